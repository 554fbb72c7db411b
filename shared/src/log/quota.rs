//! [`Quota`]: what logs may take of a disk together, whatever happens.
//!
//! The owner of a log asks before it grows one, and decides who waits. What no owner decides (a file that failed
//! is followed by another, an epoch is sealed again) meets this: a segment that would pass the bound is refused as
//! a full disk refuses it, with EDQUOT.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes for several logs; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Quota(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    max: AtomicU64,
    taken: AtomicU64,
}

impl Quota {
    /// `max` bytes in all.
    #[must_use]
    pub fn new(max: u64) -> Self {
        let quota = Self::default();
        quota.set_max(max);
        quota
    }

    /// Changes the bound; what is taken stays.
    pub fn set_max(&self, max: u64) {
        self.0.max.store(max, Ordering::Relaxed);
    }

    /// Bytes that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.max.load(Ordering::Relaxed).saturating_sub(self.0.taken.load(Ordering::Relaxed))
    }

    /// A log takes `now` bytes in place of `before`.
    pub(super) fn count(&self, before: u64, now: u64) {
        self.0.taken.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
    }
}
