//! One look: what is there beside what was known, both in one order; differences out, and what is known from now on.
//!
//! ```text
//! walk ─────────┐
//!               ├─▶ merge ─▶ changes ─▶ spool
//! known ────────┘      └───▶ draft of a baseline, or news
//! ```
//!
//! Invariants: what cannot be seen stays as it was; what is there for the first time because it is looked at for the first
//! time is not told; a stop leaves what was not looked at as it was.

use shared::durable::DurableError;

use crate::handover::Stopped;
use crate::source::wake::Wake;

use super::baseline::{Draft, Unusable};
use super::change::{Change, Differs, Halves};
use super::coverage::Coverage;
use super::entry::{Content, Entry, FileKind, Named, UNSETTLED, is_within, order};
use super::known::{NEWER_MAX, Remembered};
use super::pace::Pace;
use super::walk::{Step, Walk};

/// Paths between two thoughts of the share of the CPU and of a stop.
const PATHS_A_BREATH: u64 = 64;
/// The same in bytes of files.
const BYTES_A_BREATH: u64 = 1 << 20;

/// The kernel stamps files with a clock that ticks every 10 ms at the slowest: within a tick two changes have one time.
const TICKS_NS: i64 = 100_000_000;

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The baseline is not what it was.
    #[error("the baseline {0}")]
    Baseline(#[from] Unusable),
    /// The new baseline cannot be written.
    #[error(transparent)]
    Disk(#[from] DurableError),
    /// The spool takes no more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Where what is known from now on goes.
pub enum Into<'a> {
    /// All of it, into a baseline.
    Draft(&'a mut Draft),
    /// What is new, into memory.
    News(&'a mut Vec<(Box<[u8]>, Option<Entry>)>),
}

/// What a look came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Seen {
    /// Paths.
    pub paths: u64,
    /// Files that were hashed.
    pub hashed: u64,
    /// Paths that are looked at for the first time because the configuration says so.
    pub absorbed: u64,
    /// Paths that are not looked at any more.
    pub dropped: u64,
    /// Not permitted, or reading failed.
    pub unreadable: u64,
    /// Beyond the bounds.
    pub out_of_bounds: u64,
    /// Files that changed while they were read.
    pub changing: u64,
    /// It ended before its end: it was stopped, or found more news than are kept in memory.
    pub is_cut: bool,
}

/// The clock that files are stamped with.
fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

/// One look.
pub struct Round<'a> {
    /// What is looked at now.
    pub coverage: &'a Coverage,
    /// What was looked at before; none: nothing was, all is new and nothing of it told.
    pub before: Option<&'a Coverage>,
    /// Larger files are not hashed.
    pub hash_bytes_max: u64,
    /// Its share of the CPU.
    pub pace: &'a mut Pace,
    /// Asks it to end.
    pub wake: &'a Wake,
    /// Where what is known from now on goes.
    pub into: Into<'a>,
    /// Takes changes.
    pub tell: &'a mut dyn FnMut(Change) -> Result<(), Stopped>,
    /// Renames that are being put together.
    pub halves: &'a mut Halves,
    /// What it came to so far.
    pub seen: Seen,
}

impl Round<'_> {
    /// Looks at what `walk` shows beside what is `remembered` of the same paths.
    ///
    /// # Errors
    /// [`RoundError`]: what was told may be told again.
    pub fn look(
        &mut self,
        mut walk: Walk<'_>,
        mut remembered: Remembered<'_>,
        enters: &mut dyn FnMut(&[u8]),
    ) -> Result<(), RoundError> {
        let mut old = remembered.pull()?;
        while let Some(step) = walk.next(enters) {
            if self.breathes() {
                self.seen.is_cut = true;
                break;
            }
            // What stands before it and was not met is gone.
            while let Some((path, entry)) = old.take_if(|(path, _)| order(path, walk.path()).is_lt()) {
                self.gone(path, entry)?;
                old = remembered.pull()?;
            }
            match step {
                Step::Seen(entry) => {
                    let same = old.take_if(|(path, _)| **path == *walk.path());
                    if same.is_some() {
                        old = remembered.pull()?;
                    }
                    self.met(&walk, entry, same)?;
                }
                Step::Unseen | Step::UnseenBelow => {
                    while let Some(named) = old.take_if(|(path, _)| is_within(path, walk.path())) {
                        self.keep(named)?;
                        old = remembered.pull()?;
                    }
                }
            }
        }
        while let Some((path, entry)) = old {
            if self.seen.is_cut {
                self.keep((path, entry))?
            } else {
                self.gone(path, entry)?
            }
            old = remembered.pull()?;
        }
        self.seen.unreadable += walk.unseen().unreadable;
        self.seen.out_of_bounds += walk.unseen().out_of_bounds;
        Ok(())
    }

    /// Tells what found no other half.
    ///
    /// # Errors
    /// The spool takes no more.
    pub fn finish(&mut self) -> Result<(), RoundError> {
        let left: Vec<Change> = self.halves.left().collect();
        left.into_iter().try_for_each(|change| (self.tell)(change)).map_err(RoundError::from)
    }

    /// Keeps within the share of the CPU; whether it is time to stop.
    fn breathes(&mut self) -> bool {
        shared::fault::point("integrity.path");
        self.seen.paths += 1;
        if self.seen.paths.is_multiple_of(PATHS_A_BREATH) {
            self.pace.keep(self.wake);
        }
        let is_full = matches!(&self.into, Into::News(news) if news.len() >= NEWER_MAX);
        is_full || self.wake.is_stopped()
    }

    /// What stays as it was.
    fn keep(&mut self, (path, entry): Named) -> Result<(), RoundError> {
        match &mut self.into {
            Into::Draft(draft) => Ok(draft.push(&path, &entry)?),
            Into::News(_) => Ok(()),
        }
    }

    /// What is so from now on.
    fn learn(&mut self, path: &[u8], entry: &Entry) -> Result<(), RoundError> {
        match &mut self.into {
            Into::Draft(draft) => draft.push(path, entry)?,
            Into::News(news) => news.push((path.into(), Some(entry.clone()))),
        }
        Ok(())
    }

    fn gone(&mut self, path: Box<[u8]>, entry: Entry) -> Result<(), RoundError> {
        if let Into::News(news) = &mut self.into {
            news.push((path.clone(), None));
        }
        if !self.coverage.covers(&path) {
            self.seen.dropped += 1;
            return Ok(());
        }
        let change = self.halves.went(path, entry);
        change.map_or(Ok(()), |change| Ok((self.tell)(change)?))
    }

    fn came(&mut self, path: &[u8], entry: Entry) -> Result<(), RoundError> {
        if !self.before.is_some_and(|before| before.covers(path)) {
            self.seen.absorbed += 1;
            return Ok(());
        }
        let change = self.halves.came(path.into(), entry);
        change.map_or(Ok(()), |change| Ok((self.tell)(change)?))
    }

    /// Something is there; `old`: what was.
    fn met(&mut self, walk: &Walk<'_>, mut entry: Entry, old: Option<Named>) -> Result<(), RoundError> {
        let path = walk.path();
        let holds = old.as_ref().filter(|(_, old)| {
            let is_final = matches!(old.content, Content::Sha256(_) | Content::Nothing | Content::Target(_));
            let is_final = is_final || entry.size > self.hash_bytes_max;
            is_final && entry.is_untouched_since(old)
        });
        match holds {
            Some((_, old)) => (entry.content, entry.extended) = (old.content.clone(), old.extended),
            None if entry.kind == FileKind::File => {
                let Some(content) = self.hash(walk, &mut entry) else {
                    // It went while it was looked at.
                    return old.map_or(Ok(()), |(path, entry)| self.gone(path, entry));
                };
                entry.content = content;
                self.extend(walk, &mut entry);
            }
            None => self.extend(walk, &mut entry),
        }
        let Some((_, was)) = old else {
            self.learn(path, &entry)?;
            return self.came(path, entry);
        };
        if was == entry {
            return self.keep((path.into(), entry));
        }
        self.learn(path, &entry)?;
        if was.kind != entry.kind {
            (self.tell)(Change::Deleted(path.into(), was))?;
            return Ok((self.tell)(Change::Created(path.into(), entry))?);
        }
        let differs = Differs::between(&was, &entry);
        if differs.is_nothing() {
            return Ok(());
        }
        Ok((self.tell)(Change::Altered(path.into(), Box::new((was, entry)), differs))?)
    }

    /// Adds the extended attributes. What is so young that a later change may bear the same time is looked at again.
    fn extend(&mut self, walk: &Walk<'_>, entry: &mut Entry) {
        entry.extended = walk.extended(entry.kind);
        if entry.kind != FileKind::Link && now_ns().saturating_sub(entry.changed) < TICKS_NS {
            entry.changed = UNSETTLED;
        }
    }

    fn hash(&mut self, walk: &Walk<'_>, entry: &mut Entry) -> Option<Content> {
        let (pace, wake, mut unpaced) = (&mut *self.pace, self.wake, 0);
        let content = walk.hash(entry, self.hash_bytes_max, &mut |bytes| {
            unpaced += bytes;
            if unpaced >= BYTES_A_BREATH {
                unpaced = 0;
                pace.keep(wake);
            }
        });
        match &content {
            Some(Content::Sha256(_)) => self.seen.hashed += 1,
            Some(Content::Unhashed(super::entry::Unhashed::Changing)) => self.seen.changing += 1,
            Some(Content::Unhashed(super::entry::Unhashed::Unreadable)) => self.seen.unreadable += 1,
            _ => {}
        }
        content
    }
}
