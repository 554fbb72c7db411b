//! `verify --repair`: what can be made again is made again, with the right to write.
//!
//! The journal keeps no index beside its segments: a position is found by the state that each segment begins with. What
//! is left to mend is what a start mends too (a torn tail is cut, foreign files are set aside, segments that were to go
//! go), and segments that no seal vouches for: they get one, by what their bytes are now.

use std::io;

use shared::time::Clock;

use super::super::{Journal, JournalConfig};

/// What was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Repaired {
    /// Segments that were sealed.
    pub sealed: u64,
    /// Segments without a seal whose bytes do not all read: nobody vouches for them.
    pub unreadable: u64,
}

/// Opens the journal as a start does and seals what has no seal. The caller holds the lock of the state folder.
///
/// # Errors
/// The folder cannot be written.
pub fn repair(config: JournalConfig, clock: Clock) -> io::Result<Repaired> {
    Journal::open(config, clock)?.seal_all()
}
