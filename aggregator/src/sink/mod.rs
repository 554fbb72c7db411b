//! Sinks: where events leave.
//!
//! Events and cuts of the journal come in, in the journal's order; a store that others read goes out. A sink
//! knows nothing of queues, retries or other sinks: a driver feeds it, and after an error drops it, opens it
//! again and pushes from its cursor.
//!
//! Invariants: what was pushed after the cursor is invisible, or replaced by the same, until `commit`
//! returns; after `commit(to)` the cursor is `to`, also after a crash.
//!
//! A new sink is a folder or file here, and a variant of [`Target`] and [`AnySink`].

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::Event;

mod cursor;
pub mod http;
pub mod letters;
pub mod ndjson;
pub mod parquet;

/// A store that takes events and remembers up to which cut of the journal it has them.
pub trait Sink {
    /// Takes an event. It need not be durable or visible before the next commit.
    ///
    /// # Errors
    /// The sink is of no further use: open it again and push from its cursor.
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError>;

    /// Makes durable and visible what was pushed since the last commit: all events between the cursor and
    /// the cut `to`. Gives what became of them, by its own count of what it wrote.
    ///
    /// # Errors
    /// The sink is of no further use, and the commit may or may not have happened: open it again and ask for
    /// its cursor.
    fn commit(&mut self, to: u64) -> Result<Committed, SinkError>;

    /// The cut (a position in the journal) up to which this sink has everything; 0 when it has nothing.
    fn cursor(&self) -> u64;

    /// Does something of what is besides, where it has nothing to do. Gives whether there is more of it.
    ///
    /// # Errors
    /// The sink is of no further use: open it again and push from its cursor.
    fn idle(&mut self) -> Result<bool, SinkError> {
        Ok(false)
    }
}

/// What became of the events of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Committed {
    /// Events that the store has.
    pub delivered: u64,
    /// Events that the store will not have, whatever is tried: they lie among the dead letters.
    pub rejected: u64,
    /// Events that stand behind the rejected ones: rules merged them.
    pub rejected_folded: u64,
}

impl Committed {
    /// Of a store that refuses no event.
    #[must_use]
    pub const fn all(delivered: u64) -> Self {
        Self { delivered, rejected: 0, rejected_folded: 0 }
    }
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
    /// A small file that must survive could not be written.
    #[error(transparent)]
    Durable(#[from] shared::durable::DurableError),
    /// The other end could not be reached, or does not take anything now.
    #[error("{endpoint} takes no events now: {reason}")]
    Unavailable {
        /// Where events go.
        endpoint: String,
        /// What it said, or why it was not reached.
        reason: String,
    },
    /// A secret, or what the connection is made with, cannot be read.
    #[error("cannot set up the connection to {endpoint}: {reason}")]
    Setup {
        /// Where events go.
        endpoint: String,
        /// What is missing or wrong, and the way out.
        reason: String,
    },
}

/// What a sink is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A lake in a folder.
    Parquet {
        /// The folder.
        path: PathBuf,
    },
    /// A file of JSON lines, or standard output.
    Ndjson(ndjson::Settings),
    /// JSON lines to a web server.
    Http(Box<http::Settings>),
}

impl Target {
    /// The store of a replay with this name, beside what the sink holds: `replay=<id>/` in a lake, `<file>.replay-<id>`
    /// beside a file. A web server gets the events again, with the ids that they have.
    #[must_use]
    pub fn of_replay(&self, id: &str) -> Self {
        match self {
            Self::Parquet { path } => Self::Parquet { path: path.join(format!("replay={id}")) },
            Self::Ndjson(settings) => Self::Ndjson(settings.of_replay(id)),
            Self::Http(settings) => Self::Http(Box::new(settings.of_replay(id))),
        }
    }

    /// The file or folder that it writes; nobody else may.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Parquet { path } => Some(path),
            Self::Ndjson(settings) => settings.path.as_deref(),
            Self::Http(_) => None,
        }
    }

    /// Where what it holds can be looked at.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        match self {
            Self::Parquet { path } => path.clone(),
            Self::Ndjson(settings) => settings.place(),
            Self::Http(settings) => PathBuf::from(&settings.endpoint),
        }
    }

    /// The cursor of this sink, read without opening it: for commands that look while the aggregator may run. 0 when
    /// it was never opened.
    ///
    /// # Errors
    /// The cursor cannot be read.
    pub fn peek(&self) -> Result<u64, SinkError> {
        match self {
            Self::Parquet { path } => parquet::Lake::peek(path),
            Self::Ndjson(settings) => settings.peek(),
            Self::Http(settings) => settings.peek(),
        }
    }
}

/// A sink of any type: the registry.
pub enum AnySink {
    /// The Parquet lake.
    Parquet(Box<parquet::Lake>),
    /// JSON lines in a file or on standard output.
    Ndjson(Box<ndjson::Lines>),
    /// JSON lines to a web server.
    Http(Box<http::Poster>),
}

impl AnySink {
    /// Opens a sink, and finishes or undoes what a crash left of it.
    ///
    /// # Errors
    /// Whatever keeps the store from opening.
    pub fn open(target: &Target) -> Result<Self, SinkError> {
        Ok(match target {
            Target::Parquet { path } => Self::Parquet(Box::new(parquet::Lake::open(path)?)),
            Target::Ndjson(settings) => Self::Ndjson(Box::new(ndjson::Lines::open(settings)?)),
            Target::Http(settings) => Self::Http(Box::new(http::Poster::open(settings)?)),
        })
    }
}

impl Sink for AnySink {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        match self {
            Self::Parquet(lake) => lake.push(event),
            Self::Ndjson(lines) => lines.push(event),
            Self::Http(poster) => poster.push(event),
        }
    }

    fn commit(&mut self, to: u64) -> Result<Committed, SinkError> {
        match self {
            Self::Parquet(lake) => lake.commit(to),
            Self::Ndjson(lines) => lines.commit(to),
            Self::Http(poster) => poster.commit(to),
        }
    }

    fn cursor(&self) -> u64 {
        match self {
            Self::Parquet(lake) => lake.cursor(),
            Self::Ndjson(lines) => lines.cursor(),
            Self::Http(poster) => poster.cursor(),
        }
    }

    fn idle(&mut self) -> Result<bool, SinkError> {
        match self {
            Self::Parquet(lake) => lake.idle(),
            Self::Ndjson(lines) => lines.idle(),
            Self::Http(poster) => poster.idle(),
        }
    }
}
