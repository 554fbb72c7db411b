//! What there is to follow: one walk, and what each file that it met for the first time is.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::record::LossReason;
use tracing::{debug, warn};

use super::reader::{self, TurnFailure};
use super::tracker::{Newcomer, Place, Position, Tracked};
use super::walk::{Facts, Walk, walk};
use super::watch::Added;
use super::{BESIDE_MAX, FileSource, StartAt};
use crate::fingerprint::{FileId, Origin, PREFIX_BYTES_MAX, hash_prefix, moved_from, origin};
use crate::handover::{Outlet, Stopped};
use crate::source::health::{Shadowed, Trouble};

/// What a newcomer's own inode said about it.
enum Met {
    Followed,
    /// Nothing; this is the hash of its whole prefix.
    Unknown(u64),
}

/// A newcomer whose inode said nothing, but whose prefix is whole and may.
struct Unknown {
    newcomer: Newcomer,
    /// It took the place of a file that was read.
    is_heir: bool,
    /// Hash of its prefix.
    prefix: u64,
}

impl FileSource {
    /// Walks, and takes in what changed.
    pub(super) fn look(&mut self, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let begun = self.around.clock.instant();
        self.schedule.is_wanted = false;
        let walk = walk(&self.patterns);
        self.say_failures(&walk);
        self.watch_folders(&walk.folders);
        let (precedence, name) = (self.around.shared.precedence(), self.around.name.clone());
        let observed = self.tracker.observe(walk.found, |path| precedence.shadows(&name, path).map(str::to_owned));
        for (path, is_expected) in observed.odd {
            self.trouble(Trouble::NotAFile, &path, "is no regular file: exclude it", is_expected);
        }
        for path in observed.lost {
            self.loss(outlet, LossReason::Unreadable, &path.to_string_lossy(), None)?;
        }
        for id in observed.missing {
            let path = self.tracker.file(id).map(|tracked| tracked.path.as_path());
            match path.is_some_and(|path| precedence.shadows(&name, path).is_some()) {
                true => self.hand_on(id, outlet),
                false => self.missing(id, outlet)?,
            }
        }
        observed.changed.into_iter().for_each(|id| self.enqueue(id));
        let heirs = if self.is_first_walk { self.follow_predecessors(&walk.folders) } else { HashSet::new() };
        let unseen = self.find_unseen(&walk.folders);
        let (held, new): (Vec<_>, _) = observed.new.into_iter().partition(|new| unseen.held.contains(&new.path));
        self.schedule.is_wanted |= !held.is_empty();
        self.follow_unseen(&unseen, outlet)?;
        self.welcome(new, &heirs, outlet)?;
        self.tell_shadowed();
        self.close_idle();
        self.reader.rest();
        self.is_first_walk = false;

        let now = self.around.clock.instant();
        let rest = now.saturating_duration_since(begun).saturating_mul(10).min(Duration::from_secs(5));
        let interval = if self.is_polling { self.timing.poll } else { self.timing.walk }.max(rest);
        self.schedule.earliest = now + rest;
        self.schedule.next = match self.schedule.next + interval {
            next if next > now && next <= now + interval => next,
            _ => now + interval,
        };
        Ok(())
    }

    /// Says once what could not be looked at.
    fn say_failures(&mut self, walk: &Walk) {
        let failed: HashSet<&Path> = walk.failed.iter().map(|(path, _)| path.as_path()).collect();
        let bound = Path::new("");
        self.said.retain(|path| failed.contains(path.as_path()) || (walk.is_cut && path == bound));
        for (path, error) in &walk.failed {
            if self.said.insert(path.clone()) {
                self.trouble(Trouble::Unreadable, path, &format!("cannot be looked at: {error}"), true);
            }
        }
        if walk.is_cut && self.said.insert(bound.to_owned()) {
            let reason = "more files or folders than one source follows: narrow include or split the source";
            self.trouble(Trouble::TooMany, Path::new(&self.config.include.join(" ")), reason, true);
        }
    }

    fn watch_folders(&mut self, folders: &BTreeSet<PathBuf>) {
        let watch = &self.around.shared.watch;
        for folder in self.watched.difference(folders) {
            watch.remove(folder, &self.mailbox);
        }
        self.watched.clear();
        self.is_polling = false;
        for folder in folders {
            match watch.add(folder, &self.mailbox) {
                Added::Refused => self.is_polling = true,
                // Something may have come between the walk and the watch.
                Added::New => {
                    self.schedule.is_wanted = true;
                    self.unseen.blind();
                }
                Added::Known => {}
            }
            self.watched.insert(folder.clone());
        }
    }

    fn tell_shadowed(&self) {
        let shadowed = self.tracker.places().filter_map(|(path, place)| match place {
            Place::Shadowed(by) => Some((path, by)),
            _ => None,
        });
        let mut shadowed: Vec<_> = shadowed.collect();
        shadowed.sort();
        let named = |(path, by): (&Path, &String)| Shadowed { path: path.to_string_lossy().into(), by: by.clone() };
        self.around.health.shadowed(shadowed.into_iter().map(named));
    }

    /// Follows what was not followed.
    pub(super) fn welcome(
        &mut self,
        newcomers: Vec<Newcomer>,
        heirs: &HashSet<PathBuf>,
        outlet: &mut dyn Outlet,
    ) -> Result<(), Stopped> {
        let there: HashSet<u64> = newcomers.iter().map(|newcomer| newcomer.facts.id.inode).collect();
        let mut unknown = Vec::new();
        let mut twins = HashMap::<u64, usize>::new();
        for newcomer in newcomers {
            if self.tracker.file(newcomer.facts.id).is_some() {
                // It was renamed since the walk and is followed beside its name.
                continue;
            }
            let owner = self.around.shared.claim(newcomer.facts.id, self.around.index);
            if owner != self.around.index {
                let by = format!("source {} by another path", owner.0);
                self.tracker.set_place(&newcomer.path, Place::Shadowed(by));
                continue;
            }
            let is_heir = heirs.contains(&newcomer.path);
            let met = self.meet(&newcomer, is_heir, outlet);
            if let Some(Met::Unknown(prefix)) = self.opened_or_said(&newcomer, met)? {
                *twins.entry(prefix).or_default() += 1;
                unknown.push(Unknown { newcomer, is_heir, prefix });
            }
        }
        for unknown in unknown {
            let is_alone = twins.get(&unknown.prefix) == Some(&1);
            let followed = self.follow_moved(&unknown, is_alone, &there, outlet);
            self.opened_or_said(&unknown.newcomer, followed)?;
        }
        Ok(())
    }

    /// What was made of a newcomer; one that cannot be opened is said once and tried again at the next walk.
    fn opened_or_said<T>(&mut self, newcomer: &Newcomer, met: Result<T, TurnFailure>) -> Result<Option<T>, Stopped> {
        let error = match met {
            Ok(met) => return Ok(Some(met)),
            Err(TurnFailure::Stopped(stopped)) => return Err(stopped),
            Err(TurnFailure::Read(error)) => error,
        };
        let Newcomer { path, facts } = newcomer;
        self.around.shared.release(facts.id);
        self.open.remove(&facts.id);
        match error.kind() {
            // It went or was replaced since the walk: look again.
            ErrorKind::NotFound | ErrorKind::InvalidInput => self.schedule.is_wanted = true,
            _ => {
                if self.tracker.set_place(path, Place::Troubled(Trouble::Unreadable, facts.size)) {
                    self.trouble(Trouble::Unreadable, path, &format!("cannot be read: {error}"), true);
                }
            }
        }
        Ok(None)
    }

    /// Decides by inode what a file is, and follows it unless its prefix has to decide.
    fn meet(&mut self, newcomer: &Newcomer, is_heir: bool, outlet: &mut dyn Outlet) -> Result<Met, TurnFailure> {
        let (facts, head) = self.open_newcomer(newcomer)?;
        let candidates = self.around.checkpoints.by_inode(facts.id.inode);
        let origin = origin(facts.id, facts.size, &head, &candidates);
        if self.is_first_walk && origin.is_known() {
            self.unseen.known(&newcomer.path, facts.birth);
        }
        match origin {
            Origin::Known(checkpoint) => self.follow(newcomer, facts, Position::new(checkpoint.offset, &head)),
            Origin::Cut | Origin::Replaced => {
                let name = newcomer.path.to_string_lossy();
                self.trouble(Trouble::Truncated, &newcomer.path, "was cut or replaced while nobody read it", true);
                self.loss(outlet, LossReason::Truncated, &name, None)?;
                self.follow(newcomer, facts, Position::new(0, &[]));
                let former = candidates.into_iter().find(|known| known.file() == facts.id);
                self.tracker.update(facts.id, |tracked| tracked.former = former);
                self.checkpoint(facts.id, false, outlet)?;
            }
            Origin::Unknown if head.len() == PREFIX_BYTES_MAX => return Ok(Met::Unknown(hash_prefix(&head))),
            Origin::Unknown => self.begin(newcomer, facts, &head, is_heir, outlet)?,
        }
        Ok(Met::Followed)
    }

    /// Decides by the whole prefix: restored or moved from elsewhere, or never seen.
    fn follow_moved(
        &mut self,
        unknown: &Unknown,
        is_alone: bool,
        there: &HashSet<u64>,
        outlet: &mut dyn Outlet,
    ) -> Result<(), TurnFailure> {
        let Unknown { newcomer, is_heir, prefix } = unknown;
        let (facts, head) = self.open_newcomer(newcomer)?;
        let candidates = self.around.checkpoints.by_prefix(*prefix);
        let is_followed = |file: FileId| {
            let mut same = self.tracker.files().filter(|(id, _)| id.inode == file.inode);
            same.any(|(_, known)| known.gone.is_none() || !known.is_at_end())
        };
        let is_there = |file: FileId| {
            there.contains(&file.inode) || is_followed(file) || self.is_beside(&newcomer.path, file.inode)
        };
        let from = moved_from(facts.size, &candidates, is_there).filter(|from| {
            is_alone
                && hash_prefix(&head) == *prefix
                && self.open.get(&facts.id).is_some_and(|(file, _)| reader::line_ends_at(file, from.offset))
        });
        let Some(from) = from else { return self.begin(newcomer, facts, &head, *is_heir, outlet) };
        // An unfinished line of the old file stands in the new one too: it is read there.
        if self.tracker.file(from.file()).is_some() {
            self.forget(from.file(), outlet)?;
        }
        self.follow(newcomer, facts, Position::new(from.offset, &head));
        Ok(self.checkpoint(facts.id, false, outlet)?)
    }

    /// Whether the file with this inode only has another name now.
    fn is_beside(&self, path: &Path, inode: u64) -> bool {
        super::walk::siblings(path).iter().any(|(_, facts)| facts.id.inode == inode)
    }

    /// Follows a file that was never seen.
    fn begin(
        &mut self,
        newcomer: &Newcomer,
        facts: Facts,
        head: &[u8],
        is_heir: bool,
        outlet: &mut dyn Outlet,
    ) -> Result<(), TurnFailure> {
        if self.config.from == StartAt::Beginning || !self.is_first_walk || is_heir {
            self.follow(newcomer, facts, Position::new(0, &[]));
            return Ok(());
        }
        let end = self.open.get(&facts.id).map_or(Ok(0), |(file, _)| reader::end(file, facts.size))?;
        self.follow(newcomer, facts, Position::new(end, head));
        Ok(self.checkpoint(facts.id, false, outlet)?)
    }

    fn follow(&mut self, newcomer: &Newcomer, facts: Facts, position: Position) {
        let (now, at) = (self.around.clock.instant(), self.around.clock.now());
        self.tracker.insert(facts.id, Tracked::new(newcomer.path.clone(), facts, position, now, at));
        self.tracker.set_place(&newcomer.path, Place::File(facts.id));
        if self.tracker.file(facts.id).is_some_and(|tracked| tracked.lag() > 0) {
            self.enqueue(facts.id);
        }
    }

    fn open_newcomer(&mut self, newcomer: &Newcomer) -> io::Result<(Facts, Vec<u8>)> {
        let (file, facts) = reader::open(&newcomer.path)?;
        if facts.id != newcomer.facts.id {
            return Err(ErrorKind::NotFound.into());
        }
        let head = reader::head(&file)?;
        self.keep_open(facts.id, Arc::new(file));
        Ok((facts, head))
    }

    /// Files that were rotated out of the globs while nobody watched: their name leads back to one that we mean, their
    /// checkpoint proves that we read them, and what is unread of them is read to its end. Returns the names that such
    /// files had: what stands there now is new as a whole.
    fn follow_predecessors(&mut self, folders: &BTreeSet<PathBuf>) -> HashSet<PathBuf> {
        let mut names = HashSet::new();
        for entries in folders.iter().filter_map(|folder| fs::read_dir(folder).ok()) {
            for path in entries.take(BESIDE_MAX).flatten().map(|entry| entry.path()) {
                let Some(name) = self.patterns.rotated_from(&path) else { continue };
                if !self.around.shared.precedence().is_meant(&path) && self.follow_predecessor(&path, &name) {
                    names.insert(name);
                }
            }
        }
        names
    }

    /// Whether `path` is a file that we read once.
    fn follow_predecessor(&mut self, path: &Path, name: &Path) -> bool {
        let Ok(facts) = Facts::of(path) else { return false };
        let candidates = self.around.checkpoints.by_inode(facts.id.inode);
        if !facts.is_file || candidates.is_empty() || self.tracker.file(facts.id).is_some() {
            return false;
        }
        let Ok((file, facts)) = reader::open(path) else { return false };
        let Ok(head) = reader::head(&file) else { return false };
        let Origin::Known(checkpoint) = origin(facts.id, facts.size, &head, &candidates) else { return false };
        let (index, shared) = (self.around.index, &self.around.shared);
        if checkpoint.offset < facts.size && shared.claim(facts.id, index) == index {
            debug!(path = %path.display(), "was rotated while nobody watched: reading its rest");
            self.follow_nameless(path, name, facts, Position::new(checkpoint.offset, &head), file);
            self.enqueue(facts.id);
        }
        true
    }

    /// Counts, and logs: as a warning where somebody expects otherwise.
    pub(super) fn trouble(&self, trouble: Trouble, path: &Path, what: &str, is_warning: bool) {
        let (source, path) = (&self.around.name, path.display());
        match is_warning {
            true => warn!(%source, %path, "{what}"),
            false => debug!(%source, %path, "{what}"),
        }
        self.around.health.trouble(trouble, format!("{path}: {what}"));
    }
}
