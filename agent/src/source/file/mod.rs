//! Files as a source: follows what its globs name, through appends, rotations and truncations.
//!
//! In: files. Out: chunks of lines with the checkpoint that covers them, and losses. One thread a source, so that a mount
//! that hangs blocks its own source only; one inotify instance for all, whose hints only save time.
//!
//! Invariants:
//! - A file is its device and inode, confirmed by its first bytes; it is followed by one source, once.
//! - A checkpoint stands behind a line that was handed over, never inside one, but for a file that ended without newline.
//! - Reading again from any checkpoint gives the same lines at the same offsets while the file only grows.
//! - A file that is renamed is read to its end under the name at which it was found, and one that was renamed before it was
//!   found under the name that it had, where the filesystem says when files are born (the rules are in `unseen`).
//! - What was cut, replaced or went before it was read is a [`Loss`](crate::handover::Loss).
//!
//! Limits: 10,000 files, 4,096 folders and 256 open files a source; 4 MiB a turn; one buffer of 256 KiB and one chunk in
//! memory, whatever the files hold, since an unfinished line stays in its file. A copy of a followed file that the globs
//! name too (copytruncate with `include: app.log*`) is a file like any other and is read: exclude it. A file that is truncated
//! and, before anyone looks, is as long again with the same first bytes cannot be told from one that grew.

pub mod glob;
pub mod read;
pub mod reader;
pub mod splitter;
pub mod tracker;
pub mod walk;
pub mod watch;

mod discovery;
mod following;
mod unseen;

#[cfg(test)]
mod behavior;
#[cfg(test)]
pub(super) mod bench;
#[cfg(test)]
mod neighbors;
#[cfg(test)]
mod rotations;
#[cfg(test)]
mod rounds;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::redact::Detector;
use shared::time::{Clock, Timestamp};

use self::glob::{Patterns, Precedence};
use self::reader::Reader;
use self::tracker::{Place, Tracker};
use self::unseen::Unseen;
use self::walk::Facts;
use self::watch::{Hint, Mailbox, Watch};
use super::Source;
use super::health::Health;
use super::wake::Wake;
use crate::fingerprint::FileId;
use crate::handover::{Checkpoints, Outlet, SourceIndex, Stopped};

/// Files of one source that are open at a time.
pub const OPEN_FILES_MAX: usize = 256;

/// Names beside the followed files that are looked at in a folder.
const BESIDE_MAX: usize = 10_000;

/// While there is much to read it says this often how it is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What one file may read before the others of its source have their turn.
const TURN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where to begin in a file that was never seen before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StartAt {
    /// At its first byte.
    #[default]
    Beginning,
    /// Behind its last line, for what is there when the source starts. What appears later is read from its first byte.
    End,
}

/// A file source as configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileConfig {
    /// Absolute globs of what to read.
    pub include: Vec<String>,
    /// Absolute globs of what not to read of it.
    pub exclude: Vec<String>,
    /// Where to begin.
    pub from: StartAt,
    /// How much of a line is kept, in bytes; at most 512 KiB, which the config room asserts.
    pub line_bytes_max: usize,
    /// Name of the line format, for the table of sources.
    pub format: String,
    /// Where the lines go.
    pub lane: Lane,
    /// Secrets of these kinds are replaced before a line is kept.
    pub redact: Vec<Detector>,
}

/// How patient a file source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Between looks at everything where hints do not come, and at files that lost their name.
    pub poll: Duration,
    /// Between looks at everything where hints come.
    pub walk: Duration,
    /// How long a file that lost its name has to be silent before it is closed.
    pub quiet: Duration,
    /// How long an open file has to be silent before it is closed; it is still followed.
    pub idle: Duration,
    /// How long hints gather: what is written meanwhile costs one turn, and a line is at most so much later.
    pub pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            walk: Duration::from_secs(10),
            quiet: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            pause: Duration::from_millis(5),
        }
    }
}

/// What all file sources share.
#[derive(Debug)]
pub struct FileSources {
    watch: Watch,
    precedence: RwLock<Arc<Precedence>>,
    /// Counts arrangements.
    arrangement: AtomicU64,
    claims: Mutex<HashMap<FileId, SourceIndex>>,
}

impl FileSources {
    /// For the file sources with these names and patterns.
    #[must_use]
    pub fn new(watch: Watch, sources: Vec<(String, Arc<Patterns>)>) -> Self {
        let precedence = RwLock::new(Arc::new(Precedence::new(sources)));
        Self { watch, precedence, arrangement: AtomicU64::new(0), claims: Mutex::default() }
    }

    /// Other names and patterns from now on. A source that follows a file which is no longer its own commits what it read
    /// of it before it lets go.
    pub fn rearrange(&self, sources: Vec<(String, Arc<Patterns>)>) {
        *self.precedence.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Precedence::new(sources));
        self.arrangement.fetch_add(1, Ordering::Release);
    }

    fn precedence(&self) -> Arc<Precedence> {
        Arc::clone(&self.precedence.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The source that follows this file, which is `index` from now on if there was none.
    fn claim(&self, file: FileId, index: SourceIndex) -> SourceIndex {
        *self.claims().entry(file).or_insert(index)
    }

    fn release(&self, file: FileId) {
        self.claims().remove(&file);
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<FileId, SourceIndex>> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything a file source needs from around it.
#[derive(Clone)]
pub struct Surroundings {
    /// Its place in the table of sources.
    pub index: SourceIndex,
    /// Its name.
    pub name: String,
    /// What it shares with the other file sources.
    pub shared: Arc<FileSources>,
    /// What is known of files from before.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// When this run of the program began. What was born later is new.
    pub started: Timestamp,
    /// Its clock.
    pub clock: Clock,
    /// Its bell.
    pub wake: Arc<Wake>,
    /// Where it says how it is.
    pub health: Arc<Health>,
}

/// When the next walk is due.
#[derive(Debug)]
struct Schedule {
    next: Instant,
    /// A walk costs at most a tenth of the time: hints wait until then.
    earliest: Instant,
    is_wanted: bool,
}

/// One file source. [`Self::step`] does all there is to do; the thread around it waits.
pub struct FileSource {
    config: FileConfig,
    patterns: Arc<Patterns>,
    timing: Timing,
    around: Surroundings,
    mailbox: Arc<Mailbox>,
    tracker: Tracker,
    reader: Reader,
    /// Open files and when they were last used.
    open: HashMap<FileId, (Arc<File>, Instant)>,
    queue: VecDeque<FileId>,
    gone: BTreeSet<FileId>,
    unseen: Unseen,
    schedule: Schedule,
    watched: BTreeSet<PathBuf>,
    /// Folders that cannot be read and bounds that are exceeded, said once.
    said: HashSet<PathBuf>,
    is_first_walk: bool,
    is_polling: bool,
    /// The last arrangement of sources that was looked at.
    arranged: u64,
    told_at: Instant,
}

impl FileSource {
    /// A source that has not looked yet. `patterns` are those of `config`.
    #[must_use]
    pub fn new(config: FileConfig, patterns: Arc<Patterns>, timing: Timing, around: Surroundings) -> Self {
        let now = around.clock.instant();
        Self {
            patterns,
            mailbox: Arc::new(Mailbox::new(Arc::clone(&around.wake))),
            reader: Reader::new(config.line_bytes_max),
            config,
            timing,
            tracker: Tracker::default(),
            open: HashMap::new(),
            queue: VecDeque::new(),
            gone: BTreeSet::new(),
            unseen: Unseen::since(around.started),
            schedule: Schedule { next: now, earliest: now, is_wanted: true },
            watched: BTreeSet::new(),
            said: HashSet::new(),
            is_first_walk: true,
            is_polling: false,
            arranged: around.shared.arrangement.load(Ordering::Acquire),
            told_at: now,
            around,
        }
    }

    /// Looks where it is due, reads all there is and tells when to look again at the latest.
    ///
    /// # Errors
    /// [`Stopped`] when the outlet takes no more or the source was asked to end.
    pub fn step(&mut self, outlet: &mut dyn Outlet) -> Result<Instant, Stopped> {
        loop {
            self.take_hints();
            let now = self.around.clock.instant();
            if now >= self.schedule.next || (self.schedule.is_wanted && now >= self.schedule.earliest) {
                self.look(outlet)?;
            }
            let Some(id) = self.queue.pop_front() else { break };
            self.turn(id, outlet)?;
            if now.saturating_duration_since(self.told_at) >= TOLD_EVERY {
                self.told_at = now;
                self.tell_health();
            }
            if self.mailbox.is_stopped() {
                return Err(Stopped);
            }
        }
        let until = self.settle(outlet)?;
        self.tell_health();
        Ok(until)
    }

    fn tell_health(&self) {
        let (files, open) = (self.tracker.count() as u64, self.open.len() as u64);
        self.around.health.turned(self.around.clock.now(), self.tracker.lag(), files, open);
    }

    fn take_hints(&mut self) {
        let arranged = self.around.shared.arrangement.load(Ordering::Acquire);
        if std::mem::replace(&mut self.arranged, arranged) != arranged {
            self.schedule.next = self.around.clock.instant();
        }
        let hints = self.mailbox.take();
        if hints.all {
            self.schedule.is_wanted = true;
            self.unseen.blind();
        }
        for (path, hint) in hints.paths {
            match self.tracker.place(&path) {
                Some(Place::File(id)) => {
                    let id = *id;
                    self.schedule.is_wanted |= hint >= Hint::Name;
                    self.enqueue(id);
                }
                Some(Place::Troubled(..)) => self.schedule.is_wanted |= hint >= Hint::Attributes,
                Some(Place::Shadowed(_)) => self.schedule.is_wanted |= hint >= Hint::Name,
                None => {
                    let may_lead_to_files = || {
                        hint >= Hint::Name
                            && (self.watched.contains(&path) || Facts::of(&path).is_ok_and(|facts| facts.is_folder))
                    };
                    self.schedule.is_wanted |= self.patterns.matches(&path) || may_lead_to_files();
                    if hint == Hint::Moved && self.rotated_name(&path).is_some() {
                        self.schedule.is_wanted = true;
                        self.unseen.moved(path);
                    }
                }
            }
        }
    }

    fn enqueue(&mut self, id: FileId) {
        let is_new = self.tracker.update(id, |file| !std::mem::replace(&mut file.is_queued, true));
        if is_new == Some(true) {
            self.queue.push_back(id);
        }
    }
}

impl Source for FileSource {
    fn run(&mut self, outlet: &mut dyn Outlet) {
        while let Ok(until) = self.step(outlet) {
            self.mailbox.wait(self.timing.pause, until.saturating_duration_since(self.around.clock.instant()));
            if self.mailbox.is_stopped() {
                break;
            }
        }
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        for folder in &self.watched {
            self.around.shared.watch.remove(folder, &self.mailbox);
        }
        self.around.shared.claims().retain(|_, index| *index != self.around.index);
    }
}
