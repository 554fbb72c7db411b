//! File integrity: trees of files that should not change, and what changed in them.
//!
//! ```text
//! inotify ─▶ hints ─┐
//!                   ├─▶ walk ─▶ round ─▶ changes ─▶ record ─▶ Outlet
//! interval ─────────┘             ▲ │
//!                             known ◀┴─▶ draft ─▶ baseline
//! ```
//!
//! In: paths of the fleet file. Out: records of changes, and of the baseline itself where it was not what it should be.
//!
//! Choices:
//! - **A hint is only a reason to look.** What is told is a difference between what was known and what is there, so that a
//!   change is told once however it was noticed. What came and went between two looks is not told.
//! - **A file is hashed again when its size, its times or its inode changed.** The time of the last change of an inode
//!   (`ctime`) cannot be set by a program that may not set the clock; to hash what has not changed would cost a host its
//!   disk every hour.
//! - **The baseline is a sorted file with the first path of each block in memory**, so that 100,000 files cost no memory.
//!   What is found between two of them is kept in memory, at most [`known::NEWER_MAX`] paths.
//!
//! Invariants:
//! - A change is on the spool's disk before the baseline that has it takes the place of the one before: after a crash some
//!   changes are told again, none is lost. After a clean stop none is told again. A crash takes what was found since the baseline, at
//!   most `NEWER_AGE_MAX` old: what of it is as it was in the baseline by the next look is not told again.
//! - A baseline that is missing, damaged, of another version or older than one that was in place is an event
//!   (`baseline_lost`), never a silent new one. What was in place is remembered in the spool's table of checkpoints.
//! - Nothing that stands in a tree stops the source: it is told with a flag, or counted.
//! - What the limits of the agent put off is looked at later: a look at everything begins later, or rests where it is; word
//!   of changes waits meanwhile, as it does while a look at everything is under way.

pub mod attributes;
pub mod baseline;
pub mod change;
pub mod coverage;
pub mod entry;
mod inspector;
pub mod known;
pub mod pace;
mod record;
mod round;
mod telling;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::identity::Lane;

use self::inspector::Inspector;
use super::Source;
use super::file::Surroundings;
use super::file::watch::{Mailbox, Watch};
use super::health::Missing;
use crate::handover::Outlet;
use crate::limits::Deferred;

/// What is looked at and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntegrityConfig {
    /// Absolute paths of files and folders.
    pub paths: Vec<String>,
    /// Absolute globs of what is left out of them.
    pub exclude: Vec<String>,
    /// Between two looks at everything.
    pub interval: Duration,
    /// Larger files are not hashed, bytes.
    pub hash_bytes_max: u64,
    /// Most folders that are watched.
    pub watch_max: usize,
    /// Share of one core, percent.
    pub cpu_percent: u32,
    /// Where records go.
    pub lane: Lane,
    /// The state folder of the agent: baselines stand in `integrity/` there.
    pub state_dir: PathBuf,
}

/// Word of changes gathers for this long: a file that is written for a while is looked at once.
const GATHER: Duration = Duration::from_secs(1);
/// What was found stands in memory only for this long.
const NEWER_AGE_MAX: Duration = Duration::from_secs(60);
/// Between two looks at everything that hints ask for.
const RESCAN_PAUSE: Duration = Duration::from_secs(30);
/// A look that failed is tried again after this.
const RETRY: Duration = Duration::from_secs(60);
/// A look at everything that the limits leave no room for is thought of again after this.
const DEFERRED: Duration = Duration::from_secs(5);

/// What this program lacks for all of it to be seen.
#[must_use]
pub fn missing() -> Vec<Missing> {
    // CAP_DAC_READ_SEARCH and CAP_DAC_OVERRIDE (capabilities(7)): either will do.
    const READ_ALL: u64 = 1 << 2 | 1 << 1;
    let cost =
        "files that it may not read are told by size and time only, and folders that it may not open are not looked at";
    let capability = "CAP_DAC_READ_SEARCH".to_owned();
    super::packet::capture::lacks(READ_ALL).then(|| Missing { capability, cost: cost.to_owned() }).into_iter().collect()
}

/// A source of file integrity.
pub struct IntegritySource {
    inspector: Inspector,
    mailbox: Arc<Mailbox>,
    interval: Duration,
    around: Surroundings,
}

impl IntegritySource {
    /// A source that has looked at nothing yet.
    #[must_use]
    pub fn new(config: IntegrityConfig, around: Surroundings) -> Self {
        let mailbox = Arc::new(Mailbox::new(Arc::clone(&around.wake)));
        let watch = if config.watch_max > 0 { Watch::start() } else { Watch::none() };
        let interval = config.interval;
        let inspector = Inspector::new(config, around.clone(), watch, Arc::clone(&mailbox));
        Self { inspector, mailbox, interval, around }
    }

    /// Takes what the kernel said; when everything is to be looked at because of it.
    fn attend(&mut self, scanned_at: Instant, outlet: &mut dyn Outlet) -> Option<Instant> {
        let hints = self.mailbox.take();
        if hints.overflowed {
            self.inspector.say_overflow(outlet);
        }
        let is_cut = !hints.paths.is_empty() && self.inspector.attend(hints.paths, outlet);
        (hints.all || is_cut).then(|| scanned_at + RESCAN_PAUSE)
    }
}

impl Source for IntegritySource {
    fn run(&mut self, outlet: &mut dyn Outlet) {
        pace::yield_to_all();
        let now = || Instant::now();
        let (mut scan_at, mut scanned_at, mut is_deferred) = (now(), now(), false);
        while !self.around.wake.is_stopped() && !self.inspector.is_stopped() {
            if now() >= scan_at && outlet.defers(Deferred::IntegrityScan) {
                if !std::mem::replace(&mut is_deferred, true) {
                    outlet.deferred(Deferred::IntegrityScan, 1);
                }
                scan_at = now() + DEFERRED;
            } else if now() >= scan_at {
                is_deferred = false;
                let next = if self.inspector.scan(outlet) { self.interval } else { RETRY };
                scanned_at = now();
                scan_at = scanned_at + next;
            }
            if let Some(sooner) = self.attend(scanned_at, outlet) {
                scan_at = scan_at.min(sooner);
            }
            let newer_since = self.inspector.newer_since();
            if newer_since.is_some_and(|since| since.elapsed() >= NEWER_AGE_MAX) || self.inspector.has_many_newer() {
                self.inspector.write(outlet);
            }
            self.inspector.report();
            let due = self.inspector.newer_since().map(|since| since + NEWER_AGE_MAX);
            let until = due.into_iter().fold(scan_at, Instant::min).saturating_duration_since(now());
            self.mailbox.wait(GATHER, until);
        }
        self.inspector.write(outlet);
        self.inspector.report();
    }
}

#[cfg(test)]
mod tests;
