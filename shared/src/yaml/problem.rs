//! What is wrong with a file: a sentence with its place, and the list of all of them.

use std::fmt;
use std::sync::Arc;

use super::tree::Place;

/// Problems that one file may report; what comes after is counted only.
pub const PROBLEMS_MAX: usize = 100;

/// One thing that is wrong, as `file:line:column: message`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{place}: {message}")]
pub struct Problem {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Where in it.
    pub place: Place,
    /// What is wrong and, where a person can act, what to do; control characters are escaped.
    pub message: String,
}

/// Everything that is wrong with a file, in order of place; never empty. Shows one problem a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems {
    listed: Vec<Problem>,
    beyond: usize,
}

impl Problems {
    /// The problems in order of place, each once, the first [`PROBLEMS_MAX`] of them; `None` when there are
    /// none. `beyond` are those that were not even kept.
    #[must_use]
    pub fn sorted(mut all: Vec<Problem>, beyond: usize) -> Option<Self> {
        all.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        all.dedup();
        let beyond = beyond + all.len().saturating_sub(PROBLEMS_MAX);
        all.truncate(PROBLEMS_MAX);
        if all.is_empty() { None } else { Some(Self { listed: all, beyond }) }
    }

    /// The problems; at most [`PROBLEMS_MAX`].
    #[must_use]
    pub fn listed(&self) -> &[Problem] {
        &self.listed
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { listed: vec![problem], beyond: 0 }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.listed.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        if self.beyond > 0 {
            write!(f, "\nand {} problems more", self.beyond)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
