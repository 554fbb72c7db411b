//! One module per command. Each takes the options, its arguments and a writer for what it prints, and ends
//! with a [`shared::exit::Exit`] that carries its exit code.

pub mod completion;
pub mod config;
pub mod enroll;
pub mod read;
pub mod spool;
pub mod status;
pub mod validate;

#[cfg(test)]
mod scratch;
