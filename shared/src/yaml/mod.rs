//! Configuration files: YAML in, plain structs and **all** that is wrong with the file out.
//!
//! - [`tree`] turns bytes into [`Node`]s that know where they stand (the only file that names the parser);
//! - [`Report`] and [`Fields`] read a tree by key: they collect every problem with file, line, column and key
//!   path, name the nearest valid key, and note where each value came from;
//! - [`rule`] says what one value may be: sizes, durations, percentages, numbers, words, names.
//!
//! Invariants: nothing here panics on any input; every problem carries a line; a value that breaks its rule
//! never reaches a struct; what is read is exactly what is known as a valid key, there is no second list.
//! Bounds: [`tree::BYTES_MAX`], [`tree::DEPTH_MAX`], [`tree::NODES_MAX`], [`PROBLEMS_MAX`]. Anchors, aliases
//! and tags are refused: a small file cannot grow.

pub mod file;
#[cfg(test)]
pub(crate) mod mutation;
mod nearest;
mod problem;
mod read;
mod report;
pub mod rule;
pub mod tree;

pub use file::LoadError;
pub use nearest::nearest;
pub use problem::{PROBLEMS_MAX, Problem, Problems};
pub use read::Fields;
pub use report::{Loaded, Origin, Read, Report, Reported, Setting};
pub use tree::{Entry, Kind, Node, Place};
