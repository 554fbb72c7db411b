//! Looks, tells, and keeps the baseline: what [`super`] does when it is time to.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::durable::{STATE_FOLDER, Writer};
use shared::record::{LossReason, Value};

use super::IntegrityConfig;
use super::baseline::{Baseline, Draft, Header, Unusable};
use super::change::{Change, Halves};
use super::coverage::{Coverage, as_path};
use super::entry::{is_within, order};
use super::known::{Known, NEWER_MAX};
use super::pace::Pace;
use super::record::{Found, about_baseline};
use super::round::{Into, Round, RoundError, Seen};
use super::telling::{Address, Telling};
use super::walk::Walk;
use crate::fingerprint::{FileId, Fingerprint, hash_prefix};
use crate::handover::{Checkpoint, Chunk, Lines, Loss, LossUnit, Outlet, Stopped};
use crate::source::file::Surroundings;
use crate::source::file::watch::{Added, Hint, Mailbox, Watch};
use crate::source::health::{IntegritySnapshot, Trouble};

/// Between two tries to have the spool's word that changes are on disk.
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// OCSF's `severity_id`.
const INFORMATIONAL: u64 = 1;
const HIGH: u64 = 4;

/// Which folders the kernel watches.
struct Watched {
    watch: Watch,
    mailbox: Arc<Mailbox>,
    max: usize,
    folders: HashSet<Box<[u8]>>,
    refused: u64,
    was_said: bool,
}

impl Watched {
    fn add(&mut self, folder: &[u8]) {
        let is_known = self.folders.contains(folder);
        let has_room = self.folders.len() < self.max;
        if (is_known || has_room) && self.watch.add(as_path(folder), &self.mailbox) != Added::Refused {
            if !is_known {
                self.folders.insert(folder.into());
            }
            return;
        }
        self.folders.remove(folder);
        self.refused += 1;
        if !has_room && self.max > 0 && !std::mem::replace(&mut self.was_said, true) {
            let (watch_max, folder) = (self.max, String::from_utf8_lossy(folder));
            tracing::warn!(watch_max, %folder, "more folders than `watch_max`: from this one on they are only scanned");
        }
    }

    fn remove(&mut self, folder: &[u8]) {
        if self.folders.remove(folder) {
            self.watch.remove(as_path(folder), &self.mailbox);
        }
    }
}

/// All that one source knows.
pub(super) struct Inspector {
    config: IntegrityConfig,
    around: Surroundings,
    address: Address,
    /// What is looked at; its patterns were checked when the table was made.
    coverage: Option<Coverage>,
    /// What the baseline covers; none: there is no baseline.
    before: Option<Coverage>,
    known: Known,
    is_open: bool,
    generation: u64,
    newer_since: Option<Instant>,
    pace: Pace,
    watched: Watched,
    totals: IntegritySnapshot,
    is_stopped: bool,
}

/// Why a look came to nothing, without its words.
enum Failed {
    Baseline,
    Disk,
    Stopped,
}

impl Inspector {
    pub(super) fn new(config: IntegrityConfig, around: Surroundings, watch: Watch, mailbox: Arc<Mailbox>) -> Self {
        let address = Address {
            source: around.index,
            lane: config.lane,
            log_name: Arc::from(config.paths.join(", ")),
            clock: around.clock.clone(),
        };
        Self {
            coverage: Coverage::new(&config.paths, &config.exclude).ok(),
            before: None,
            known: Known::default(),
            is_open: false,
            generation: 0,
            newer_since: None,
            pace: Pace::new(config.cpu_percent),
            watched: Watched {
                watch,
                mailbox,
                max: config.watch_max,
                folders: HashSet::new(),
                refused: 0,
                was_said: false,
            },
            totals: IntegritySnapshot { missing: super::missing(), ..IntegritySnapshot::default() },
            is_stopped: false,
            config,
            around,
            address,
        }
    }

    /// The outlet takes no more.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Since when something is known that the baseline does not have.
    pub(super) fn newer_since(&self) -> Option<Instant> {
        self.newer_since
    }

    /// More is known in memory than should be.
    pub(super) fn has_many_newer(&self) -> bool {
        self.known.newer() >= NEWER_MAX
    }

    fn path(&self) -> PathBuf {
        self.config.state_dir.join("integrity").join(format!("{}.baseline", self.around.name))
    }

    fn writer(&self) -> Result<Writer, RoundError> {
        let writer = Writer::for_owner_of(&self.config.state_dir)?;
        writer.folder(&self.config.state_dir.join("integrity"), STATE_FOLDER)?;
        Ok(writer)
    }

    /// Which row of the table of checkpoints says which baseline was in place: no file has this device.
    fn anchor(&self) -> Fingerprint {
        let inode = hash_prefix(format!("integrity {}", self.around.name).as_bytes());
        let file = FileId { device: u64::MAX, inode };
        Fingerprint { file, prefix_len: 0, prefix_hash: hash_prefix(b""), ended: false }
    }

    /// Reads the baseline; says what is wrong with it.
    fn open(&mut self, outlet: &mut dyn Outlet) -> Result<(), RoundError> {
        let path = self.path();
        let file = self.anchor().file;
        let rows = self.around.checkpoints.by_inode(file.inode);
        let in_place = rows.into_iter().find(|row| row.file() == file).map_or(0, |row| row.offset);
        let found = Baseline::open(&path);
        let lost = match &found {
            Ok(baseline) if baseline.header().generation < in_place => Some(("older", "an older one is in its place")),
            Ok(_) => None,
            Err(Unusable::Missing) if in_place == 0 => Some(("missing", "there is none yet")),
            Err(unusable) => Some((unusable.name(), "what changed before now is not known")),
        };
        if let Some((reason, why)) = lost {
            let message = format!("the baseline of {} cannot be relied on ({reason}): {why}", self.around.name);
            tracing::warn!(source = self.around.name, reason, path = %path.display(), "baseline lost: {why}");
            self.totals.baselines_lost += 1;
            let is_first = reason == "missing" && in_place == 0;
            if !is_first {
                self.around.health.trouble(Trouble::Baseline, message.clone());
            }
            let severity = if is_first { INFORMATIONAL } else { HIGH };
            let counts = [("generation_in_place", in_place)];
            let now = self.address.clock.now();
            let mut telling = Telling::new(&self.address, &self.around.health, outlet);
            telling.push(about_baseline("baseline_lost", reason, severity, &message, &counts, now))?;
            telling.hand_over()?;
        }
        match found {
            Ok(baseline) => {
                self.generation = baseline.header().generation.max(in_place);
                self.before = Coverage::new(&baseline.header().paths, &baseline.header().exclude).ok();
                self.known = Known::new(Some(baseline));
            }
            Err(unusable) => {
                if !matches!(unusable, Unusable::Missing) {
                    // Kept for a person to look at; the next one that is damaged takes its place.
                    let _ = std::fs::rename(&path, path.with_extension("unusable"));
                }
                (self.generation, self.before, self.known) = (in_place, None, Known::default());
            }
        }
        self.is_open = true;
        Ok(())
    }

    /// Looks at everything and writes a new baseline; whether it came to its end.
    pub(super) fn scan(&mut self, outlet: &mut dyn Outlet) -> bool {
        let begun = Instant::now();
        self.pace.obey(outlet.governor());
        let scanned = self.scan_all(outlet);
        self.pace.obey(None);
        match self.judge(scanned) {
            Ok(seen) if !seen.is_cut => {
                self.totals.scans += 1;
                self.totals.scanned_at = Some(self.address.clock.now());
                self.totals.scan_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                (self.totals.unreadable, self.totals.out_of_bounds) = (seen.unreadable, seen.out_of_bounds);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn scan_all(&mut self, outlet: &mut dyn Outlet) -> Result<Seen, RoundError> {
        if !self.is_open {
            self.open(outlet)?;
        }
        let Some(coverage) = &self.coverage else { return Ok(Seen::default()) };
        let header = self.header();
        let mut draft = Draft::begin(self.writer()?, &self.path(), &header)?;
        let stale = std::mem::take(&mut self.watched.folders);
        self.watched.refused = 0;
        self.watched.folders = HashSet::with_capacity(stale.len());
        // A file is watched through its folder.
        for root in coverage.roots().iter().filter(|root| !root.is_dir()) {
            if let Some(above) = root.parent() {
                self.watched.add(above.as_os_str().as_bytes());
            }
        }
        let mut telling = Telling::new(&self.address, &self.around.health, outlet);
        let (mut halves, watched) = (Halves::default(), &mut self.watched);
        let mut round = Round {
            coverage,
            before: self.before.as_ref(),
            hash_bytes_max: self.config.hash_bytes_max,
            pace: &mut self.pace,
            wake: &self.around.wake,
            into: Into::Draft(&mut draft),
            tell: &mut |change: Change| telling.change(&change, Found::Scan),
            halves: &mut halves,
            seen: Seen::default(),
        };
        let walk = Walk::new(coverage, coverage.roots().iter().map(|root| (root.clone(), true)));
        round.look(walk, self.known.all(), &mut |folder| watched.add(folder))?;
        round.finish()?;
        let seen = round.seen;
        for gone in stale {
            if !seen.is_cut && !self.watched.folders.contains(&gone) {
                self.watched.watch.remove(as_path(&gone), &self.watched.mailbox);
            } else {
                self.watched.folders.insert(gone);
            }
        }
        if seen.is_cut && self.before.is_none() {
            // What was not looked at would all be new the next time.
            telling.hand_over()?;
            return Ok(seen);
        }
        if let Some(record) = self.say_coverage(&seen) {
            telling.push(record)?;
        }
        telling.hand_over()?;
        shared::fault::point("integrity.told");
        self.totals.changes += telling.changes;
        self.totals.changing += seen.changing;
        self.put_in_place(draft, header, outlet)?;
        Ok(seen)
    }

    fn header(&self) -> Header {
        let (paths, exclude) = (self.config.paths.clone(), self.config.exclude.clone());
        Header { generation: self.generation + 1, paths, exclude }
    }

    /// What is said of a baseline that covers other paths than the one before.
    fn say_coverage(&self, seen: &Seen) -> Option<Vec<(String, Value)>> {
        let counts = [("paths", seen.paths), ("absorbed", seen.absorbed), ("dropped", seen.dropped)];
        let name = &self.around.name;
        let say = |code, reason, message: String| {
            about_baseline(code, reason, INFORMATIONAL, &message, &counts, self.address.clock.now())
        };
        if self.before.is_none() {
            return Some(say(
                "baseline_made",
                "none",
                format!("a baseline of {} paths was made for {name}", seen.paths),
            ));
        }
        let (absorbed, dropped) = (seen.absorbed, seen.dropped);
        let message = format!("{name} looks at other paths: {absorbed} came into its baseline, {dropped} left it");
        (absorbed + dropped > 0).then(|| say("baseline_changed", "configuration", message))
    }

    /// Waits until all that was told is on the spool's disk, then puts a baseline in place.
    fn put_in_place(&mut self, draft: Draft, header: Header, outlet: &mut dyn Outlet) -> Result<(), RoundError> {
        while !outlet.settle(self.config.lane) {
            if self.around.wake.is_stopped() {
                return Err(Stopped.into());
            }
            self.around.wake.wait(SETTLE_PAUSE, SETTLE_PAUSE);
        }
        draft.commit()?;
        self.generation = header.generation;
        self.before = Coverage::new(&header.paths, &header.exclude).ok();
        self.known = Known::new(Some(Baseline::open(&self.path())?));
        self.newer_since = None;
        let chunk = Chunk {
            source: self.address.source,
            lane: self.config.lane,
            read_at: self.address.clock.now(),
            log_name: Arc::clone(&self.address.log_name),
            lines: Lines::default(),
            checkpoint: Some(Checkpoint { fingerprint: self.anchor(), offset: self.generation }),
        };
        // Without it an older baseline is not told from this one: nothing that stops us.
        let _ = outlet.lines(chunk);
        Ok(())
    }

    /// Writes what is known in memory into a new baseline.
    pub(super) fn write(&mut self, outlet: &mut dyn Outlet) {
        if self.known.newer() > 0 {
            let written = self.write_all(outlet);
            let _ = self.judge(written);
        }
    }

    fn write_all(&mut self, outlet: &mut dyn Outlet) -> Result<(), RoundError> {
        let header = self.header();
        let mut draft = Draft::begin(self.writer()?, &self.path(), &header)?;
        let mut remembered = self.known.all();
        while let Some((path, entry)) = remembered.pull()? {
            draft.push(&path, &entry)?;
        }
        drop(remembered);
        self.put_in_place(draft, header, outlet)
    }

    /// Looks at what the kernel spoke of; whether there was more than is kept in memory.
    pub(super) fn attend(&mut self, hints: HashMap<PathBuf, Hint>, outlet: &mut dyn Outlet) -> bool {
        if self.before.is_none() {
            // Nothing is known yet: the first look sees it.
            return false;
        }
        let attended = self.attend_to(hints, outlet);
        match self.judge(attended) {
            Ok(is_cut) => is_cut && !self.around.wake.is_stopped(),
            Err(Failed::Baseline | Failed::Disk) => true,
            Err(Failed::Stopped) => false,
        }
    }

    fn attend_to(&mut self, hints: HashMap<PathBuf, Hint>, outlet: &mut dyn Outlet) -> Result<bool, RoundError> {
        let Some(coverage) = &self.coverage else { return Ok(false) };
        let mut roots: Vec<(PathBuf, bool)> = Vec::new();
        let mut hints: Vec<(PathBuf, Hint)> = hints.into_iter().collect();
        hints.sort_by(|(a, _), (b, _)| order(bytes(a), bytes(b)));
        for (path, hint) in hints {
            let is_met = roots.last().is_some_and(|(root, is_deep)| *is_deep && is_within(bytes(&path), bytes(root)));
            if is_met || !coverage.covers(bytes(&path)) {
                continue;
            }
            let is_deep = hint >= Hint::Name || self.known.from(bytes(&path), false).pull()?.is_none();
            roots.push((path, is_deep));
        }
        let (mut news, mut halves, mut is_cut) = (Vec::new(), Halves::default(), false);
        let mut telling = Telling::new(&self.address, &self.around.health, outlet);
        let watched = &mut self.watched;
        for (root, is_deep) in &roots {
            let mut round = Round {
                coverage,
                before: self.before.as_ref(),
                hash_bytes_max: self.config.hash_bytes_max,
                pace: &mut self.pace,
                wake: &self.around.wake,
                into: Into::News(&mut news),
                tell: &mut |change: Change| telling.change(&change, Found::Watch),
                halves: &mut halves,
                seen: Seen::default(),
            };
            let walk = Walk::new(coverage, std::iter::once((root.clone(), *is_deep)));
            round.look(walk, self.known.from(bytes(root), *is_deep), &mut |folder| watched.add(folder))?;
            is_cut |= round.seen.is_cut;
            self.totals.changing += round.seen.changing;
            if is_cut {
                break;
            }
        }
        for change in halves.left().collect::<Vec<_>>() {
            telling.change(&change, Found::Watch)?;
        }
        telling.hand_over()?;
        self.totals.changes += telling.changes;
        for (path, _) in news.iter().filter(|(_, entry)| entry.is_none()) {
            self.watched.remove(path);
        }
        if !news.is_empty() {
            self.newer_since.get_or_insert_with(Instant::now);
            self.known.learn(news);
        }
        Ok(is_cut)
    }

    /// The kernel lost word of changes.
    pub(super) fn say_overflow(&mut self, outlet: &mut dyn Outlet) {
        self.totals.overflows += 1;
        let loss = Loss {
            source: self.address.source,
            lane: self.config.lane,
            reason: LossReason::WatchOverflow,
            path: Arc::clone(&self.address.log_name),
            count: None,
            unit: LossUnit::FileChanges,
            details: Vec::new(),
            from: self.totals.scanned_at.unwrap_or_else(|| self.address.clock.now()),
            to: self.address.clock.now(),
        };
        self.is_stopped |= outlet.loss(loss).is_err();
    }

    /// Says what went wrong, and makes the next look begin where it can.
    fn judge<T>(&mut self, result: Result<T, RoundError>) -> Result<T, Failed> {
        let error = match result {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let failed = match &error {
            RoundError::Stopped(_) => {
                self.is_stopped = true;
                return Err(Failed::Stopped);
            }
            RoundError::Baseline(_) => {
                self.is_open = false;
                Failed::Baseline
            }
            RoundError::Disk(_) => Failed::Disk,
        };
        tracing::warn!(source = self.around.name, %error, "a look at files came to nothing; it is tried again");
        self.around.health.trouble(Trouble::Baseline, error.to_string());
        Err(failed)
    }

    /// Says how it goes.
    pub(super) fn report(&mut self) {
        self.totals.paths = self.known.baseline().map_or(0, Baseline::entries);
        self.totals.folders_watched = self.watched.folders.len() as u64;
        self.totals.folders_scanned_only = self.watched.refused;
        let health = &self.around.health;
        health.turned(self.address.clock.now(), 0, self.totals.paths, 0);
        health.integrity(self.totals.clone());
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
