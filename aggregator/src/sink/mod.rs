//! Sinks: where events leave.
//!
//! Events and cuts of the journal come in, in the journal's order; a store that others read goes out. A sink
//! knows nothing of queues, retries or other sinks: a driver feeds it, and after an error drops it, opens it
//! again and pushes from its cursor.
//!
//! Invariants: what was pushed after the cursor is invisible, or replaced by the same, until `commit`
//! returns; after `commit(to)` the cursor is `to`, also after a crash.
//!
//! A new sink is a folder or file here, and a variant of [`AnySink`] with its name in [`AnySink::TYPES`].

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Event;

pub mod parquet;

/// A store that takes events and remembers up to which cut of the journal it has them.
pub trait Sink {
    /// Takes an event. It need not be durable or visible before the next commit.
    ///
    /// # Errors
    /// The sink is of no further use: open it again and push from its cursor.
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError>;

    /// Makes durable and visible what was pushed since the last commit: all events between the cursor and
    /// the cut `to`. Gives how many it made so, by its own count of what it wrote.
    ///
    /// # Errors
    /// The sink is of no further use, and the commit may or may not have happened: open it again and ask for
    /// its cursor.
    fn commit(&mut self, to: u64) -> Result<u64, SinkError>;

    /// The cut (a position in the journal) up to which this sink has everything; 0 when it has nothing.
    fn cursor(&self) -> u64;
}

/// Why a sink could not take, commit or open.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The operating system refused; a full disk is here too.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Events could not be written in the store's format (also where that was a write to the disk).
    #[error("cannot write events to {}: {source}", path.display())]
    Write {
        /// Into which file.
        path: PathBuf,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// An earlier call failed.
    #[error("{} failed before: open it again and push from its cursor", path.display())]
    Failed {
        /// The store.
        path: PathBuf,
    },
    /// The journal's cuts only grow.
    #[error("cut {to} is not after the cursor {cursor} of {}", path.display())]
    Backwards {
        /// The store.
        path: PathBuf,
        /// Where its cursor stands.
        cursor: u64,
        /// The cut that was to be committed.
        to: u64,
    },
    /// The store holds events that its commit log does not know; going on would double them.
    #[error(
        "{} is not in the commit log of its lake (cursor {cursor}): restore `_commits` from a copy, or move the lake \
         aside and let it be made again from the journal", path.display()
    )]
    CommitsLost {
        /// The first such file.
        path: PathBuf,
        /// What the log says.
        cursor: u64,
    },
    /// `type:` names no sink.
    #[error("no sink is of type '{name}' (there are: {})", AnySink::TYPES.join(", "))]
    UnknownType {
        /// The name.
        name: String,
    },
}

/// A sink of any type: the registry.
pub enum AnySink {
    /// The Parquet lake.
    Parquet(Box<parquet::Lake>),
}

impl AnySink {
    /// `type:` of every sink in aggregator.yaml.
    pub const TYPES: &[&str] = &["parquet"];

    /// Opens the sink that a configuration names, and finishes or undoes what a crash left of it.
    ///
    /// # Errors
    /// An unknown type; whatever keeps the store from opening.
    pub fn open(type_name: &str, path: &Path) -> Result<Self, SinkError> {
        match type_name {
            "parquet" => Ok(Self::Parquet(Box::new(parquet::Lake::open(path)?))),
            name => Err(SinkError::UnknownType { name: name.to_owned() }),
        }
    }

    /// Where a replay's store of its own stands, beside what the sink at `path` holds: `replay=<id>/` in it.
    #[must_use]
    pub fn replay_path(path: &Path, id: &str) -> PathBuf {
        path.join(format!("replay={id}"))
    }

    /// The cursor of the sink that a configuration names, read without opening it: for commands that look while
    /// the aggregator may run. 0 when it was never opened.
    ///
    /// # Errors
    /// An unknown type; the cursor cannot be read.
    pub fn peek(type_name: &str, path: &Path) -> Result<u64, SinkError> {
        match type_name {
            "parquet" => parquet::Lake::peek(path),
            name => Err(SinkError::UnknownType { name: name.to_owned() }),
        }
    }
}

impl Sink for AnySink {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        match self {
            Self::Parquet(lake) => lake.push(event),
        }
    }

    fn commit(&mut self, to: u64) -> Result<u64, SinkError> {
        match self {
            Self::Parquet(lake) => lake.commit(to),
        }
    }

    fn cursor(&self) -> u64 {
        match self {
            Self::Parquet(lake) => lake.cursor(),
        }
    }
}
