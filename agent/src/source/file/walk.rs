//! Which files there are now: walks what the patterns name and says which folders a watcher should look at.
//!
//! Only below the literal part of a pattern, only into folders that can still match. Symbolic links are followed; under
//! `**` a folder is entered once, so loops end. Bounds: files, folders and depth; what is beyond them is said, not hidden.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::glob::{Patterns, Route, Step};
use crate::fingerprint::FileId;

/// Files of one source.
pub const FILES_MAX: usize = 10_000;

/// Folders that one walk enters.
pub const FOLDERS_MAX: usize = 4_096;

/// Folders below each other under `**`.
const DEPTH_MAX: usize = 32;

/// What `stat` says of a path, links followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Device and inode.
    pub id: FileId,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Bytes.
    pub size: u64,
    /// Last modification, nanoseconds since the Unix epoch.
    pub modified: i64,
    /// When it was created, nanoseconds since the Unix epoch, where the filesystem says (statx(2), `stx_btime`).
    pub birth: Option<i64>,
}

impl Facts {
    /// Of a path, links followed.
    ///
    /// # Errors
    /// Those of `stat`.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Facts {
    fn from(metadata: &Metadata) -> Self {
        let since_epoch = metadata.created().ok().and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
        Self {
            id: FileId { device: metadata.dev(), inode: metadata.ino() },
            is_file: metadata.is_file(),
            is_folder: metadata.is_dir(),
            size: metadata.len(),
            modified: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            birth: since_epoch.and_then(|birth| i64::try_from(birth.as_nanos()).ok()),
        }
    }
}

/// A path that the patterns name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// As the patterns reach it.
    pub path: PathBuf,
    /// Where it really is, if it is a symbolic link.
    pub target: Option<PathBuf>,
    /// What it is.
    pub facts: Facts,
    /// Named without wildcard: somebody expects this very file.
    pub is_literal: bool,
}

/// What a walk saw.
#[derive(Debug, Default)]
pub struct Walk {
    /// In path order, each path once.
    pub found: Vec<Found>,
    /// Where a new file would appear.
    pub folders: BTreeSet<PathBuf>,
    /// What could not be looked at; files below it are unknown, not gone.
    pub failed: Vec<(PathBuf, io::Error)>,
    /// Files or folders were left out for a bound.
    pub is_cut: bool,
}

/// Walks everything that `patterns` name.
#[must_use]
pub fn walk(patterns: &Patterns) -> Walk {
    let mut walker = Walker { patterns, walk: Walk::default(), found: BTreeMap::new(), entered: 0 };
    for route in patterns.routes() {
        walker.follow(route);
    }
    let Walker { mut walk, found, .. } = walker;
    walk.found = found.into_values().collect();
    walk
}

/// Regular files beside `path` that may be what it was renamed to: `app.log` → `app.log.1`, `app-20260316.log`.
#[must_use]
pub fn siblings(path: &Path) -> Vec<(PathBuf, Facts)> {
    const SIBLINGS_MAX: usize = 1_000;
    let (Some(folder), Some(stem)) = (path.parent(), path.file_stem()) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let alike = |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(stem.as_encoded_bytes());
    let others = entries.flatten().filter(alike).map(|entry| entry.path()).filter(|other| other != path);
    let files =
        others.filter_map(|other| Facts::of(&other).ok().filter(|facts| facts.is_file).map(|facts| (other, facts)));
    files.take(SIBLINGS_MAX).collect()
}

struct Walker<'a> {
    patterns: &'a Patterns,
    walk: Walk,
    found: BTreeMap<PathBuf, Found>,
    entered: usize,
}

impl Walker<'_> {
    fn follow(&mut self, route: &Route) {
        let mut deep = HashSet::new();
        let mut open = vec![(route.root.clone(), 0, 0)];
        while let Some((folder, step, depth)) = open.pop() {
            let is_last = step + 1 == route.steps.len();
            match route.steps.get(step) {
                Some(Step::Name(name)) if is_last => {
                    let path = folder.join(name);
                    match fs::symlink_metadata(&path) {
                        Ok(link) => self.take(path, link.is_symlink(), route.steps.len() == 1),
                        Err(error) => self.failed(&folder, error),
                    }
                    self.watch(&folder);
                }
                Some(Step::Name(name)) => {
                    self.watch(&folder);
                    open.push((folder.join(name), step + 1, depth));
                }
                Some(Step::Wild(names)) => {
                    for entry in self.entries(&folder) {
                        if !names.is_match(entry.file_name()) {
                            continue;
                        }
                        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                        if is_last {
                            self.take(entry.path(), is_link, false);
                        } else if is_folder(&entry) {
                            open.push((entry.path(), step + 1, depth));
                        }
                    }
                }
                Some(Step::Deep) => {
                    if Facts::of(&folder).is_ok_and(|facts| !deep.insert((step, facts.id))) {
                        continue;
                    }
                    if depth < DEPTH_MAX {
                        let mut below: Vec<_> = self.entries(&folder).into_iter().filter(is_folder).collect();
                        // Last in, first out: real folders before links to them, so that files go by their own path.
                        below.sort_by_key(|entry| !entry.file_type().is_ok_and(|kind| kind.is_symlink()));
                        open.extend(below.iter().map(|entry| (entry.path(), step, depth + 1)));
                    } else {
                        self.walk.is_cut = true;
                    }
                    open.push((folder, step + 1, depth));
                }
                None => {}
            }
        }
    }

    fn entries(&mut self, folder: &Path) -> Vec<DirEntry> {
        if self.entered == FOLDERS_MAX {
            self.walk.is_cut = true;
            return Vec::new();
        }
        self.entered += 1;
        self.watch(folder);
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.unwrap_or_else(|error| {
            self.failed(folder, error);
            Vec::new()
        });
        entries.sort_by_key(DirEntry::file_name);
        entries
    }

    fn take(&mut self, path: PathBuf, is_link: bool, is_literal: bool) {
        if self.patterns.is_excluded(&path) || self.found.contains_key(&path) {
            return;
        }
        if self.found.len() == FILES_MAX {
            self.walk.is_cut = true;
            return;
        }
        let facts = match Facts::of(&path) {
            Ok(facts) => facts,
            Err(error) => return self.failed(&path, error),
        };
        let target = is_link.then(|| fs::canonicalize(&path).ok()).flatten();
        if let Some(folder) = target.as_deref().and_then(Path::parent) {
            self.watch(folder);
        }
        self.found.insert(path.clone(), Found { path, target, facts, is_literal });
    }

    /// A folder that does not exist yet will appear in the nearest that does.
    fn watch(&mut self, folder: &Path) {
        let is_there = |folder: &&Path| self.walk.folders.contains(*folder) || folder.is_dir();
        let nearest = folder.ancestors().find(is_there).map(Path::to_owned);
        self.walk.folders.extend(nearest);
    }

    fn failed(&mut self, path: &Path, error: io::Error) {
        const FAILED_MAX: usize = 100;
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
            && self.walk.failed.len() < FAILED_MAX
        {
            self.walk.failed.push((path.to_owned(), error));
        }
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::source::scratch::Folder;

    fn names(folder: &Folder, include: &[&str], exclude: &[&str]) -> (Vec<String>, Walk) {
        let globs = |list: &[&str]| list.iter().map(|name| folder.glob(name)).collect::<Vec<_>>();
        let walk = walk(&Patterns::new(&globs(include), &globs(exclude)).unwrap());
        let below = |path: &Path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (walk.found.iter().map(|found| below(&found.path)).collect(), walk)
    }

    fn tree(paths: &[&str]) -> Folder {
        let folder = Folder::new();
        for path in paths {
            fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
            fs::write(folder.path(path), b"x\n").unwrap();
        }
        folder
    }

    #[test]
    fn finds_what_is_included_and_not_excluded_once_and_in_order() {
        let folder = tree(&["b.log", "a.log", "a.gz", "d/c.log", "d/e/f.log"]);
        assert_eq!(names(&folder, &["*.log", "a*"], &["*.gz"]).0, ["a.log", "b.log"]);
        assert_eq!(names(&folder, &["**/*.log"], &[]).0, ["a.log", "b.log", "d/c.log", "d/e/f.log"]);
        assert_eq!(names(&folder, &["*/c.log"], &[]).0, ["d/c.log"]);
        assert_eq!(names(&folder, &["d/**"], &[]).0, ["d/c.log", "d/e", "d/e/f.log"]);
        assert_eq!(names(&folder, &["none/*.log", "a.log/x"], &[]).0, [""; 0]);
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let folder = tree(&["real/a.log"]);
        symlink(folder.path("real"), folder.path("alias")).unwrap();
        symlink(folder.as_ref(), folder.path("real/loop")).unwrap();
        symlink(folder.path("real/a.log"), folder.path("link.log")).unwrap();
        symlink(folder.path("nowhere"), folder.path("dead.log")).unwrap();
        let (found, walk) = names(&folder, &["**/*.log"], &[]);
        assert_eq!(found, ["link.log", "real/a.log"]);
        assert_eq!(walk.found[0].target.as_deref(), Some(&*folder.path("real/a.log")));
        assert!(!walk.is_cut && walk.failed.is_empty());
    }

    #[test]
    fn folder_that_does_not_exist_is_awaited_in_the_nearest_that_does() {
        let folder = tree(&["a/x"]);
        let (_, walk) = names(&folder, &["a/b/c/*.log", "z.log"], &[]);
        assert_eq!(
            Vec::from_iter(walk.folders),
            [folder.path("").join(""), folder.path("a")].map(|p| p.components().collect::<PathBuf>())
        );
    }

    #[test]
    fn more_files_than_the_bound_are_said() {
        let folder = Folder::new();
        for i in 0..=FILES_MAX {
            fs::File::create(folder.path(&format!("{i}.log"))).unwrap();
        }
        let (found, walk) = names(&folder, &["*.log"], &[]);
        assert_eq!((found.len(), walk.is_cut), (FILES_MAX, true));
    }

    #[test]
    fn siblings_are_the_names_a_rotation_gives() {
        let folder = tree(&["app.log", "app.log.1", "app-2026.log", "web.log"]);
        fs::create_dir(folder.path("app.d")).unwrap();
        let mut found: Vec<_> = siblings(&folder.path("app.log")).into_iter().map(|(path, _)| path).collect();
        found.sort();
        assert_eq!(found, [folder.path("app-2026.log"), folder.path("app.log.1")]);
    }
}
