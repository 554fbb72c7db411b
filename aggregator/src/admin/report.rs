//! How an aggregator is, as it says itself on its socket: [`StatusReport`].
//!
//! A field that another version does not send is empty; one that this version does not know is ignored.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};

use super::http::Surface;
use crate::app::reload::ConfigState;
use crate::fleet::FleetState;
use crate::journal::JournalStatus;
use crate::pipeline::counters::SinkCounters;

/// What a running aggregator says of itself.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// Version of the program that runs.
    pub version: String,
    /// Why `/readyz` says no; empty: it says yes.
    pub ready: Vec<String>,
    /// The journal.
    pub journal: JournalStatus,
    /// Open sessions.
    pub sessions: u64,
    /// Every sink, in order of the configuration.
    pub sinks: Vec<SinkStatus>,
    /// The fleet file; none: aggregator.yaml names none.
    pub fleet: Option<FleetState>,
    /// Which configuration is in force.
    pub config: ConfigState,
}

/// How a sink is. Counts are since the start of the program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Frames of the journal that it has not committed.
    pub lag_frames: u64,
    /// Events committed.
    pub delivered: u64,
    /// Events that its store refused for good.
    pub rejected: u64,
    /// Events that no route took.
    pub unrouted: u64,
    /// Failures.
    pub errors: u64,
    /// The last failure, while it lasts.
    pub last_error: Option<String>,
}

impl SinkStatus {
    /// `newest` is the journal's newest position.
    fn of(counters: &SinkCounters, newest: u64) -> Self {
        let books = counters.books();
        Self {
            name: counters.name.clone(),
            lag_frames: newest.saturating_sub(books.cursor),
            delivered: books.delivered,
            rejected: books.rejected,
            unrouted: books.unrouted,
            errors: books.errors,
            last_error: books.last_error,
        }
    }
}

impl StatusReport {
    /// What holds now.
    #[must_use]
    pub fn of(surface: &Surface) -> Self {
        let journal = surface.journal.status().borrow().clone();
        let newest = journal.position.saturating_sub(1);
        Self {
            version: crate::cli::VERSION.to_owned(),
            ready: surface.degraded(),
            sessions: u64::try_from(surface.ingest.sessions().len()).unwrap_or(u64::MAX),
            sinks: surface.sinks.iter().map(|sink| SinkStatus::of(sink, newest)).collect(),
            fleet: surface.fleet.as_ref().map(|fleet| fleet.state()),
            config: surface.config.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            journal,
        }
    }
}
