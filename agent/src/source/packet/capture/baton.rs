//! An open capture on its way from a source that ends to the one that takes its place: what comes in between waits in the
//! kernel's ring, so that a change of other keys misses no packet.
//!
//! In: the capture of a source that was asked to end. Out: the same, for a source that would open it in the same way; for
//! any other it is closed. The flows that were open are told by the source that ends, as at every end, and begin anew.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Capture, Drops, PacketConfig};

/// A capture, and what its source knew of it.
pub struct Left {
    /// It is open.
    pub capture: Box<dyn Capture>,
    /// Under which it was opened.
    pub config: PacketConfig,
    /// What was dropped and is told already.
    pub drops: Drops,
    /// Up to which declaration of own traffic its filter leaves that out.
    pub own_generation: u64,
}

/// Where it lies; empty while its source reads.
#[derive(Default)]
pub struct Baton(Mutex<Option<Left>>);

impl Baton {
    fn lock(&self) -> MutexGuard<'_, Option<Left>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves it for the next.
    pub fn leave(&self, left: Left) {
        *self.lock() = Some(left);
    }

    /// What was left, if it is what `config` would open; else it is closed.
    #[must_use]
    pub fn take(&self, config: &PacketConfig) -> Option<Left> {
        self.lock().take().filter(|left| left.config.opens_as(config))
    }
}

impl fmt::Debug for Baton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Baton").field(&self.lock().is_some()).finish()
    }
}
