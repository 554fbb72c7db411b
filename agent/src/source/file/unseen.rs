//! Files that were rotated before anyone looked at them: created, written and renamed from `app.log` to `app.log.1` within
//! milliseconds, or while the source waited for room in its lane.
//!
//! In: the folders of a walk, renames that were hinted. Out: such files, read from their first byte under the name that
//! they had, the oldest first, before what stands at that name now. Each neighbor is judged once, when it is first seen.
//!
//! It stood there when all of this holds: nobody means its own name; its name is one that we mean and digits (compressed
//! files and other companions have letters in theirs); nothing is known of its inode; it was born since this run began, or
//! since the newest file of its lineage of which a checkpoint was known then; it was not born after what stands at the name
//! now (a copy is); a rename brought it, where hints tell; where they do not, it is no copy of what was read.
//! Bounds: 10,000 names a folder. On a filesystem without birth times (`statx`) nobody finds such files; after a restart,
//! those of a lineage of which nothing was known are not found, nor those that were compressed or deleted meanwhile.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::record::LossReason;
use shared::time::Timestamp;
use tracing::debug;

use super::following::checkpoint;
use super::glob::is_rotation;
use super::reader;
use super::tracker::{Position, Tracked};
use super::walk::{FILES_MAX, Facts};
use super::{BESIDE_MAX, FileSource};
use crate::fingerprint::{FileId, Origin, origin};
use crate::handover::{Checkpoint, Outlet, Stopped};
use crate::source::health::Trouble;

/// How far behind the time of day the kernel's stamps of files may be: one tick at 100 Hz.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// How long the hint of a rename may take before its file counts as made where it is.
const HINT_DELAY_MAX: Duration = Duration::from_millis(50);

/// What is remembered of files beside the followed ones.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Those that are there and were judged.
    judged: HashMap<FileId, Judged>,
    /// By name: when its newest file was born of which a checkpoint was known at the first walk.
    since: HashMap<PathBuf, i64>,
    /// When this run began, as the stamps of files have it.
    run_began: i64,
    /// Where a rename brought something since the last walk.
    moved: HashSet<PathBuf>,
    /// Renames may have been missed since the last walk.
    is_blind: bool,
}

impl Unseen {
    /// For a run that began then.
    pub(super) fn since(started: Timestamp) -> Self {
        let run_began = started.0.saturating_sub(i64::try_from(TICK.as_nanos()).unwrap_or(0));
        Self { run_began, ..Self::default() }
    }

    /// A rename brought something to this path.
    pub(super) fn moved(&mut self, path: PathBuf) {
        if self.moved.len() < BESIDE_MAX {
            self.moved.insert(path);
        } else {
            self.is_blind = true;
        }
    }

    /// There was a checkpoint of a file of this name at the first walk.
    pub(super) fn known(&mut self, name: &Path, birth: Option<i64>) {
        if let Some(birth) = birth {
            let since = self.since.entry(name.to_owned()).or_insert(birth);
            *since = birth.max(*since);
        }
    }

    /// Hints were lost or did not come.
    pub(super) fn blind(&mut self) {
        self.is_blind = true;
    }
}

/// What became of a neighbor.
#[derive(Clone, Copy, Debug)]
struct Judged {
    /// With its inode it tells the file from a later one.
    birth: i64,
    /// No rename that brought it was hinted since then: somebody made it under its name. A late hint opens the case again.
    unproven: Option<Instant>,
}

/// What a walk found beside the files that it is for.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be judged, the oldest first.
    fresh: Vec<Neighbor>,
    /// Names whose files wait, because a hint may come that brings an older one.
    pub(super) held: HashSet<PathBuf>,
    is_blind: bool,
}

/// A file whose name a rotation gives.
#[derive(Debug)]
struct Neighbor {
    path: PathBuf,
    /// The name from which it is rotated.
    name: PathBuf,
    facts: Facts,
    /// In nanoseconds since the Unix epoch.
    birth: i64,
}

impl FileSource {
    /// The name that we mean and from which a rotation gave this path, if nobody means the path itself.
    pub(super) fn rotated_name(&self, path: &Path) -> Option<PathBuf> {
        // Most names in a folder are dismissed here.
        path.file_name()?.as_encoded_bytes().iter().any(u8::is_ascii_digit).then_some(())?;
        let name = self.patterns.rotated_from(path).filter(|name| is_rotation(path, name))?;
        let precedence = self.around.shared.precedence();
        let is_ours = precedence.shadows(&self.around.name, &name).is_none() && !precedence.is_meant(path);
        is_ours.then_some(name)
    }

    /// Finds neighbors in these folders that are to be judged.
    pub(super) fn find_unseen(&mut self, folders: &BTreeSet<PathBuf>) -> Found {
        let is_blind = std::mem::take(&mut self.unseen.is_blind) || self.is_polling || self.is_first_walk;
        let (moved, judged) = (std::mem::take(&mut self.unseen.moved), std::mem::take(&mut self.unseen.judged));
        let now = self.around.clock.instant();
        let mut found = Found { is_blind, ..Found::default() };
        let neighbors = self.neighbors(folders);
        if self.is_first_walk {
            self.learn_lineages(&neighbors);
        }
        for neighbor in neighbors {
            let (id, birth) = (neighbor.facts.id, neighbor.birth);
            let is_followed = self.tracker.update(id, |tracked| {
                if tracked.gone.is_some() {
                    tracked.path.clone_from(&neighbor.path);
                }
            });
            let known = judged.get(&id).filter(|known| known.birth == birth).copied();
            let is_moved = moved.contains(&neighbor.path);
            let judged = match known {
                _ if is_followed.is_some() => Judged { birth, unproven: None },
                Some(known) if !is_moved || known.unproven.is_none() => known,
                None if !is_moved && !is_blind => Judged { birth, unproven: Some(now) },
                _ => {
                    found.fresh.push(neighbor);
                    continue;
                }
            };
            let is_open = judged.unproven.is_some_and(|since| now.saturating_duration_since(since) < HINT_DELAY_MAX);
            if is_open && self.may_have_stood(&neighbor) {
                found.held.insert(neighbor.name);
            }
            self.unseen.judged.insert(id, judged);
        }
        // Of two that were born in one tick of the clock, app.log.2 is older than app.log.1.
        found.fresh.sort_by_cached_key(|neighbor| {
            let path = neighbor.path.clone();
            (neighbor.birth, neighbor.facts.modified, Reverse((path.as_os_str().len(), path)))
        });
        found
    }

    /// Follows those that were rotated before anyone looked: opens all, since they may be renamed again while the lane is
    /// full, then reads them.
    pub(super) fn follow_unseen(&mut self, found: &Found, outlet: &mut dyn Outlet) -> Result<(), Stopped> {
        let (mut followed, mut failed) = (Vec::new(), Vec::new());
        for neighbor in found.fresh.iter().take(FILES_MAX.saturating_sub(self.tracker.count())) {
            let (id, index) = (neighbor.facts.id, self.around.index);
            match self.unread(neighbor, found.is_blind) {
                Ok(Some((file, facts, position))) if self.around.shared.claim(id, index) == index => {
                    debug!(path = %neighbor.path.display(), "was rotated before anyone looked: reading it");
                    self.follow_nameless(&neighbor.path, &neighbor.name, facts, position, file);
                    followed.push(id);
                }
                Ok(_) => {}
                // It was renamed again or went.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                    self.schedule.is_wanted = true;
                    continue;
                }
                Err(error) => failed.push((neighbor, error)),
            }
            self.unseen.judged.insert(id, Judged { birth: neighbor.birth, unproven: None });
        }
        for (neighbor, error) in failed {
            self.trouble(Trouble::Unreadable, &neighbor.path, &format!("cannot be read: {error}"), true);
            self.loss(outlet, LossReason::Unreadable, &neighbor.name.to_string_lossy(), None)?;
        }
        for id in followed {
            // Known from now on, and durably so before any younger file of its lineage is.
            self.checkpoint(id, false, outlet)?;
            self.turn(id, outlet)?;
        }
        Ok(())
    }

    /// Whether its age is that of a file that stood at the name.
    fn may_have_stood(&self, neighbor: &Neighbor) -> bool {
        let known_since = self.unseen.since.get(&neighbor.name).copied().unwrap_or(i64::MAX);
        let since = self.unseen.run_began.min(known_since);
        let heir = Facts::of(&neighbor.name).ok().filter(|heir| heir.is_file).and_then(|heir| heir.birth);
        since <= neighbor.birth && heir.is_none_or(|heir| neighbor.birth <= heir)
    }

    /// The file and where to go on in it, if it stood at its name and not all of it was read.
    fn unread(&self, neighbor: &Neighbor, is_blind: bool) -> io::Result<Option<(File, Facts, Position)>> {
        let id = neighbor.facts.id;
        let candidates = self.around.checkpoints.by_inode(id.inode);
        if self.tracker.file(id).is_some() || candidates.is_empty() && !self.may_have_stood(neighbor) {
            return Ok(None);
        }
        let (file, facts) = reader::open(&neighbor.path)?;
        if facts.id != id {
            return Err(ErrorKind::NotFound.into());
        }
        let head = reader::head(&file)?;
        let offset = match origin(id, facts.size, &head, &candidates) {
            // It was renamed between the first walk and its first turn.
            Origin::Known(known) => Some(known.offset).filter(|offset| *offset < facts.size),
            _ if !self.may_have_stood(neighbor) => None,
            _ => Some(0).filter(|_| !is_blind || !self.is_copy(neighbor, &file, facts.size, &head)),
        };
        Ok(offset.map(|offset| (file, facts, Position::new(offset, &head))))
    }

    /// Whether it holds what was read of an older file of its lineage, as copytruncate leaves it.
    fn is_copy(&self, neighbor: &Neighbor, file: &File, size: u64, head: &[u8]) -> bool {
        let name = neighbor.name.to_string_lossy();
        let older = self.tracker.files().filter(|(_, tracked)| {
            *tracked.log_name == *name && tracked.birth.is_some_and(|birth| birth <= neighbor.birth)
        });
        let read = older.flat_map(|(id, tracked)| [Some(checkpoint(id, &tracked.position, false)), tracked.former]);
        let holds = |read: &Checkpoint| {
            read.fingerprint.prefix_len > 0
                && read.offset <= size
                && read.fingerprint.matches(head)
                && reader::line_ends_at(file, read.offset)
        };
        let is_copy = read.flatten().any(|read| holds(&read));
        if is_copy {
            debug!(path = %neighbor.path.display(), "holds what was read already: a copy");
        }
        is_copy
    }

    /// Follows a file that no path of ours leads to any more: it is read to its end under the name that it had.
    pub(super) fn follow_nameless(&mut self, path: &Path, name: &Path, facts: Facts, position: Position, file: File) {
        let (now, at) = (self.around.clock.instant(), self.around.clock.now());
        let mut tracked = Tracked::new(path.to_owned(), facts, position, now, at);
        tracked.log_name = name.to_string_lossy().into();
        tracked.gone = Some(now);
        self.tracker.insert(facts.id, tracked);
        self.gone.insert(facts.id);
        self.keep_open(facts.id, Arc::new(file));
    }

    fn neighbors(&self, folders: &BTreeSet<PathBuf>) -> Vec<Neighbor> {
        let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok());
        let files = entries.flat_map(|entries| entries.take(BESIDE_MAX).flatten());
        let files = files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let neighbors = files.filter_map(|entry| {
            let path = entry.path();
            let name = self.rotated_name(&path)?;
            let facts = Facts::of(&path).ok()?;
            Some(Neighbor { path, name, facts, birth: facts.birth? })
        });
        neighbors.collect()
    }

    /// Learns since when the lineages of these neighbors are unread.
    fn learn_lineages(&mut self, neighbors: &[Neighbor]) {
        let mut names = HashSet::new();
        for Neighbor { path, name, facts, .. } in neighbors {
            let heir = || Some((name.as_path(), Facts::of(name).ok()?));
            let heir = if names.insert(name) { heir() } else { None };
            for (path, facts) in [Some((path.as_path(), *facts)), heir].into_iter().flatten() {
                if self.is_known(path, &facts) {
                    self.unseen.known(name, facts.birth);
                }
            }
        }
    }

    /// Whether there is a checkpoint of it.
    fn is_known(&self, path: &Path, facts: &Facts) -> bool {
        let candidates = self.around.checkpoints.by_inode(facts.id.inode);
        let head = || reader::open(path).and_then(|(file, _)| reader::head(&file)).ok();
        let is_known = |head: Vec<u8>| origin(facts.id, facts.size, &head, &candidates).is_known();
        !candidates.is_empty() && head().is_some_and(is_known)
    }
}
