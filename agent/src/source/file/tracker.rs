//! Which files a source follows: from what walks and `stat` say to what each path and inode is now.
//!
//! In: walks, sizes, moments. Out: what is new, changed or missing, and what became of a file that is read on.
//! Opens nothing, reads no clock. Invariants: a file is its device and inode, a path only leads to it; one file is
//! followed once however many paths lead to it; `lag` is the sum over the files of `size − offset`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use shared::time::Timestamp;

use super::splitter::Splitter;
use super::walk::{Facts, Found};
use crate::fingerprint::{FileId, Prefix};
use crate::handover::Checkpoint;
use crate::source::health::Trouble;

/// How far a file is read and how it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// Where lines begin.
    pub splitter: Splitter,
    /// How the file begins.
    pub prefix: Prefix,
}

impl Position {
    /// At `offset` of a file that begins with `head`.
    #[must_use]
    pub fn new(offset: u64, head: &[u8]) -> Self {
        Self { splitter: Splitter::at(offset), prefix: Prefix::new(head, offset) }
    }
}

/// What became of a file's content since it was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// What was read still stands: go on.
    Intact,
    /// Only the unfinished line at its end was cut: go on behind the last whole line.
    TailCut,
    /// Cut below what was handed over (copytruncate): begin again.
    Truncated,
    /// Other content in its place: begin again.
    Replaced,
}

/// Judges a file that is `size` long and does or does not begin as it did.
#[must_use]
pub fn judge(splitter: &Splitter, size: u64, begins_as_before: bool) -> Verdict {
    match () {
        () if size < splitter.start() => Verdict::Truncated,
        () if !begins_as_before => Verdict::Replaced,
        () if size < splitter.scanned() => Verdict::TailCut,
        () => Verdict::Intact,
    }
}

/// A file that is followed.
#[derive(Debug)]
pub struct Tracked {
    /// Where it can be opened.
    pub path: PathBuf,
    /// The path at which it was first seen: it stays when the file is rotated.
    pub log_name: Arc<str>,
    /// How far it is read.
    pub position: Position,
    /// Its size when it was last looked at.
    pub size: u64,
    /// Its modification time when it was last looked at.
    pub modified: i64,
    /// When it was created, where the filesystem says.
    pub birth: Option<i64>,
    /// How far it was read when it was last truncated.
    pub former: Option<Checkpoint>,
    /// When it last had something new.
    pub grew: Instant,
    /// When it was last known to be whole.
    pub read_at: Timestamp,
    /// Since when no path leads to it.
    pub gone: Option<Instant>,
    /// It waits for its turn.
    pub is_queued: bool,
    /// It cannot be opened; that was said.
    pub is_unreadable: bool,
    seen_in: u64,
}

impl Tracked {
    /// A file that was just met.
    #[must_use]
    pub fn new(path: PathBuf, facts: Facts, position: Position, now: Instant, read_at: Timestamp) -> Self {
        let log_name = path.to_string_lossy().into();
        let Facts { size, modified, birth, .. } = facts;
        let (gone, is_queued, is_unreadable, seen_in) = (None, false, false, 0);
        let (grew, former) = (now, None);
        Self {
            path,
            log_name,
            position,
            size,
            modified,
            birth,
            former,
            grew,
            read_at,
            gone,
            is_queued,
            is_unreadable,
            seen_in,
        }
    }

    /// Bytes that were seen and not handed over.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.size.saturating_sub(self.position.splitter.start())
    }

    /// Everything that was seen was looked at; what remains is an unfinished line.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.position.splitter.scanned() >= self.size
    }
}

/// What a path is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// It leads to this file.
    File(FileId),
    /// It cannot be read, and was so many bytes long.
    Troubled(Trouble, u64),
    /// Another source reads it.
    Shadowed(String),
}

/// A path that leads to a file that is not followed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Newcomer {
    /// As it was found.
    pub path: PathBuf,
    /// What it is.
    pub facts: Facts,
}

/// What a walk changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// To be opened.
    pub new: Vec<Newcomer>,
    /// Have another size or time.
    pub changed: Vec<FileId>,
    /// Were not seen: to be looked at before they count as gone.
    pub missing: Vec<FileId>,
    /// Are no files and were not known as such; true where somebody expects a file.
    pub odd: Vec<(PathBuf, bool)>,
    /// Could not be read and are gone now, with bytes in them.
    pub lost: Vec<PathBuf>,
}

/// All files and paths of a source.
#[derive(Debug, Default)]
pub struct Tracker {
    files: HashMap<FileId, Tracked>,
    places: HashMap<PathBuf, Place>,
    walks: u64,
    lag: u64,
}

impl Tracker {
    /// Takes in what a walk found. `owner` names the source that reads a path in place of this one.
    pub fn observe(&mut self, found: Vec<Found>, owner: impl Fn(&Path) -> Option<String>) -> Observed {
        self.walks += 1;
        let mut observed = Observed::default();
        let mut before = std::mem::take(&mut self.places);
        let mut new = HashSet::new();
        for Found { path, target, facts, is_literal } in found {
            let known = before.remove(&path);
            let place = if !facts.is_file {
                let place = Place::Troubled(Trouble::NotAFile, 0);
                if known.as_ref() != Some(&place) {
                    observed.odd.push((path.clone(), is_literal || !facts.is_folder));
                }
                place
            } else if let Some(owner) = owner(&path) {
                Place::Shadowed(owner)
            } else if let Some(tracked) = self.files.get_mut(&facts.id) {
                if tracked.seen_in != self.walks {
                    tracked.seen_in = self.walks;
                    tracked.gone = None;
                    if tracked.path != path {
                        tracked.path.clone_from(&path);
                    }
                    if (tracked.size, tracked.modified) != (facts.size, facts.modified) {
                        observed.changed.push(facts.id);
                    }
                }
                Place::File(facts.id)
            } else {
                let again = matches!(known, Some(Place::Troubled(Trouble::Unreadable, _)));
                if new.insert(facts.id) {
                    observed.new.push(Newcomer { path: path.clone(), facts });
                }
                if again { Place::Troubled(Trouble::Unreadable, facts.size) } else { Place::File(facts.id) }
            };
            if let Some(target) = target {
                self.places.insert(target, place.clone());
            }
            self.places.insert(path, place);
        }
        let lost = before.into_iter().filter(|(_, place)| matches!(place, Place::Troubled(Trouble::Unreadable, 1..)));
        observed.lost = lost.map(|(path, _)| path).collect();
        let unseen = self.files.iter().filter(|(_, file)| file.seen_in != self.walks && file.gone.is_none());
        observed.missing = unseen.map(|(id, _)| *id).collect();
        observed
    }

    /// What a path was when it was last seen.
    #[must_use]
    pub fn place(&self, path: &Path) -> Option<&Place> {
        self.places.get(path)
    }

    /// Changes what a path is; tells whether that is news.
    pub fn set_place(&mut self, path: &Path, place: Place) -> bool {
        let is_same = |known: &Place| match (known, &place) {
            (Place::Troubled(known, _), Place::Troubled(trouble, _)) => known == trouble,
            (known, place) => known == place,
        };
        let is_news = !self.places.get(path).is_some_and(is_same);
        self.places.insert(path.to_owned(), place);
        is_news
    }

    /// All paths and what they are.
    pub fn places(&self) -> impl Iterator<Item = (&Path, &Place)> {
        self.places.iter().map(|(path, place)| (path.as_path(), place))
    }

    /// Begins to follow a file.
    pub fn insert(&mut self, id: FileId, mut tracked: Tracked) {
        tracked.seen_in = self.walks;
        self.lag += tracked.lag();
        if let Some(old) = self.files.insert(id, tracked) {
            self.lag -= old.lag();
        }
    }

    /// Ends to follow a file.
    pub fn remove(&mut self, id: FileId) -> Option<Tracked> {
        let tracked = self.files.remove(&id)?;
        self.lag -= tracked.lag();
        Some(tracked)
    }

    /// A file, to be looked at.
    #[must_use]
    pub fn file(&self, id: FileId) -> Option<&Tracked> {
        self.files.get(&id)
    }

    /// Changes a file and keeps the books.
    pub fn update<T>(&mut self, id: FileId, change: impl FnOnce(&mut Tracked) -> T) -> Option<T> {
        let tracked = self.files.get_mut(&id)?;
        let before = tracked.lag();
        let result = change(tracked);
        self.lag = self.lag - before + tracked.lag();
        Some(result)
    }

    /// All files.
    pub fn files(&self) -> impl Iterator<Item = (FileId, &Tracked)> {
        self.files.iter().map(|(id, tracked)| (*id, tracked))
    }

    /// How many files are followed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Bytes that were seen and not handed over, over all files.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, inode: u64, size: u64) -> Found {
        let id = FileId { device: 1, inode };
        let facts = Facts { id, is_file: true, is_folder: false, size, modified: 0, birth: None };
        Found { path: path.into(), target: None, facts, is_literal: false }
    }

    fn nobody(_: &Path) -> Option<String> {
        None
    }

    fn follow(tracker: &mut Tracker, found: Vec<Found>) {
        for Newcomer { path, facts } in tracker.observe(found, nobody).new {
            let tracked = Tracked::new(path, facts, Position::new(0, b""), Instant::now(), Timestamp(0));
            tracker.insert(facts.id, tracked);
        }
    }

    const A: FileId = FileId { device: 1, inode: 1 };
    const B: FileId = FileId { device: 1, inode: 2 };

    #[test]
    fn renamed_file_is_the_same_and_its_old_path_is_new() {
        for order in [["/a", "/a.1"], ["/z", "/a.1"]] {
            let mut tracker = Tracker::default();
            follow(&mut tracker, vec![found(order[0], 1, 5)]);
            let mut walk = vec![found(order[0], 2, 0), found(order[1], 1, 5)];
            walk.sort_by(|a, b| a.path.cmp(&b.path));
            let observed = tracker.observe(walk, nobody);
            assert_eq!(observed.new.iter().map(|new| new.facts.id).collect::<Vec<_>>(), [B]);
            assert_eq!((observed.changed, observed.missing), (vec![], vec![]));
            assert_eq!(tracker.file(A).unwrap().path, Path::new(order[1]));
            assert_eq!(&*tracker.file(A).unwrap().log_name, order[0]);
        }
    }

    #[test]
    fn growth_and_absence_are_noticed_once_per_walk() {
        let mut tracker = Tracker::default();
        follow(&mut tracker, vec![found("/a", 1, 5), found("/b", 2, 5)]);
        let observed = tracker.observe(vec![found("/a", 1, 6), found("/link", 1, 6)], nobody);
        assert_eq!((observed.changed, observed.missing, observed.new.len()), (vec![A], vec![B], 0));
        assert_eq!(tracker.place(Path::new("/link")), Some(&Place::File(A)));
        assert_eq!(tracker.place(Path::new("/b")), None);
    }

    #[test]
    fn file_that_comes_back_is_not_gone() {
        let mut tracker = Tracker::default();
        follow(&mut tracker, vec![found("/a", 1, 5)]);
        tracker.update(A, |file| file.gone = Some(Instant::now()));
        assert!(tracker.observe(vec![], nobody).missing.is_empty());
        tracker.observe(vec![found("/a", 1, 5)], nobody);
        assert!(tracker.file(A).unwrap().gone.is_none());
    }

    #[test]
    fn folders_are_odd_once_and_shadowed_paths_are_nobodys_news() {
        let mut tracker = Tracker::default();
        let mut folder = found("/d", 9, 0);
        (folder.facts.is_file, folder.facts.is_folder) = (false, true);
        let owner = |path: &Path| (path == Path::new("/s")).then(|| "other".to_owned());
        let observed = tracker.observe(vec![folder.clone(), found("/s", 3, 1)], owner);
        assert_eq!((observed.odd, observed.new), (vec![("/d".into(), false)], vec![]));
        assert!(tracker.observe(vec![folder], owner).odd.is_empty());
    }

    #[test]
    fn unreadable_file_that_goes_with_bytes_in_it_is_lost() {
        let mut tracker = Tracker::default();
        for (path, inode, size) in [("/a", 1, 5), ("/empty", 2, 0)] {
            tracker.observe(vec![found(path, inode, size)], nobody);
            assert!(tracker.set_place(Path::new(path), Place::Troubled(Trouble::Unreadable, size)));
            let again = tracker.observe(vec![found(path, inode, size)], nobody);
            assert_eq!((again.new.len(), again.lost.len()), (1, 0));
            assert!(!tracker.set_place(Path::new(path), Place::Troubled(Trouble::Unreadable, size)));
            assert_eq!(tracker.observe(vec![], nobody).lost.len(), usize::from(size > 0));
        }
    }

    #[test]
    fn lag_is_the_sum_of_what_is_unread() {
        let mut tracker = Tracker::default();
        follow(&mut tracker, vec![found("/a", 1, 5), found("/b", 2, 7)]);
        assert_eq!(tracker.lag(), 12);
        tracker.update(A, |file| file.position = Position::new(4, b""));
        assert_eq!(tracker.lag(), 8);
        tracker.update(A, |file| file.size = 2);
        tracker.remove(B);
        assert_eq!((tracker.lag(), tracker.count()), (0, 1));
    }

    #[test]
    fn content_is_judged_by_size_and_beginning() {
        let mut splitter = Splitter::at(10);
        splitter.split(10, b"half", 100, &mut Default::default());
        let cases = [
            (9, true, Verdict::Truncated),
            (9, false, Verdict::Truncated),
            (10, true, Verdict::TailCut),
            (13, true, Verdict::TailCut),
            (14, true, Verdict::Intact),
            (20, true, Verdict::Intact),
            (20, false, Verdict::Replaced),
        ];
        for (size, begins, verdict) in cases {
            assert_eq!(judge(&splitter, size, begins), verdict, "{size} {begins}");
        }
    }
}
