//! What a developer's commands share with the tests: standard library only.
//!
//! - [`corpus`]: log lines of real shapes from a seed
//! - [`loopback`]: both programs as processes on this machine
//! - [`packing`]: both programs as .deb and .rpm
//! - [`scrape`]: what the programs say of themselves over HTTP

use std::fmt;

pub mod corpus;
pub mod loopback;
pub mod packing;
pub mod scrape;

/// Why a step could not be done: a sentence for the person at the terminal.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure in lowercase words that name what failed on what.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }

    /// The failure of `what` (e.g. `write /tmp/x`) with its cause.
    pub fn of(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self(format!("{what}: {cause}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// Outcome of a step.
pub type Result<T> = std::result::Result<T, Failure>;

/// Names what an [`std::io`] operation was about.
pub trait Naming<T> {
    /// Turns an error into a [`Failure`] of `what`.
    ///
    /// # Errors
    /// The error that was there, with `what` before it.
    fn naming(self, what: impl fmt::Display) -> Result<T>;
}

impl<T> Naming<T> for std::io::Result<T> {
    fn naming(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Failure::of(what, cause))
    }
}
