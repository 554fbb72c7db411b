//! The agent under its fleet: what it is to do, kept over restarts, and returned to when the next does not work.
//!
//! In: signed documents of the aggregator. Out: which configuration to run ([`Kept`]), and how that went ([`ConfigStatus`]).
//! The wiring (which source stops, which starts) is the app's.
//!
//! Invariants: a configuration is on disk, counted, before it is applied; it is the last-known-good one after
//! [`TRIAL`]; one under which the program ended twice within that time is not tried again, and the last-known-good one
//! holds. Without an aggregator that holds for ever.

mod kept;

use serde::{Deserialize, Serialize};
use shared::fleet::Unavailable;

pub use kept::{Kept, KeptError, TRIAL, current};

/// What is in force and what is not, for `status` and for the aggregator.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigStatus {
    /// The name of what runs; empty: nothing yet.
    pub running: String,
    /// The groups that hold for this host.
    pub groups: Vec<String>,
    /// It has run for less than a minute.
    pub on_trial: bool,
    /// A configuration that is not run, and why.
    pub refused: Option<Refused>,
    /// Sources that are asked for and do not run as they should, and why.
    #[serde(skip)]
    pub unavailable: Vec<Unavailable>,
}

/// A configuration that is not run.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Its name.
    pub hash: String,
    /// Why.
    pub reason: String,
}
