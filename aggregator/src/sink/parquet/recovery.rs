//! What a crash left: finishing the last commit, undoing what was not committed.
//!
//! The commit log comes in, the cursor goes out. The files of the last commit get their final names; every
//! other temporary file is deleted, since the journal will give its events again.
//!
//! Invariant: afterwards each file with a final name belongs to a commit at or before the cursor. A file that
//! begins at the cursor can only have got its name after its commit was logged: where the end of the log is
//! damaged it proves that commit, which is then finished and logged again (without its inventory). A file
//! ahead of the cursor without such an explanation (a log deleted or put back from an old copy) is an error:
//! pushing again would double its events.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use shared::log::Fs;

use super::commits::{Commit, Commits, Found};
use super::writer::PartName;
use crate::sink::SinkError;

/// Brings the lake to the state of its last commit and returns its cursor.
pub(super) fn recover(fs: &dyn Fs, root: &Path, log: &mut Commits, found: &Found) -> Result<u64, SinkError> {
    let mut cursor = found.last.as_ref().map_or(0, |commit| commit.to);
    let mut names: Vec<(PartName, u64)> = Vec::new();
    if let Some(last) = &found.last {
        let parts = last.files.iter().filter_map(|file| PartName::parse(&file.path));
        names.extend(parts.filter(|(part, to)| (part.from, *to) == (last.from, last.to)));
    }
    let mut seen = walk(fs, root, cursor)?;
    if let Some((first, to)) = seen.ahead.first() {
        let proven = found.damaged_end && seen.ahead.iter().all(|(name, end)| name.from == cursor && end == to);
        if !proven {
            return Err(SinkError::CommitsLost { path: root.join(first.committed(*to)), cursor });
        }
        tracing::warn!(lake = %root.display(), from = cursor, to, "the last commit is proven by its files: finished it");
        let temporary = seen.temporary.iter().filter_map(|path| uncommitted(root, path));
        names.extend(temporary.filter(|name| name.from == cursor).map(|name| (name, *to)));
        let commit = Commit { from: cursor, to: *to, files: Vec::new() };
        log.append(&commit).map_err(|source| io_error("append to the commit log of", root, source))?;
        cursor = *to;
    }
    let names: Vec<(PathBuf, PartName, u64)> =
        names.into_iter().map(|(name, to)| (root.join(name.temporary()), name, to)).collect();
    // A file that is not there has its name already, or somebody has moved it away since: theirs to do.
    for (temporary, name, to) in &names {
        if seen.temporary.remove(temporary) {
            rename(fs, root, name, *to)?;
        }
    }
    for path in &seen.temporary {
        match fs.remove(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io_error("delete", path, source)),
            _ => {}
        }
    }
    // Folders of events, the ones above them, and the names in those of the last commit: whoever made them may
    // have been killed before they were durable.
    let last = names.iter().map(|(_, name, _)| root.join(&name.folder));
    let folders: BTreeSet<PathBuf> = last.filter(|folder| seen.folders.contains(folder)).chain(seen.above).collect();
    for folder in &folders {
        fs.sync_dir(folder).map_err(|source| io_error("fsync", folder, source))?;
    }
    Ok(cursor)
}

/// Gives a file its final name.
pub(super) fn rename(fs: &dyn Fs, root: &Path, name: &PartName, to: u64) -> Result<(), SinkError> {
    let temporary = root.join(name.temporary());
    fs.rename(&temporary, &root.join(name.committed(to))).map_err(|source| io_error("rename", &temporary, source))
}

/// What lies in the lake.
#[derive(Default)]
struct Seen {
    /// The lake and the folders of classes.
    above: Vec<PathBuf>,
    /// The folders of days.
    folders: BTreeSet<PathBuf>,
    temporary: BTreeSet<PathBuf>,
    /// Files that begin at or after the cursor, by name, and where they end.
    ahead: Vec<(PartName, u64)>,
}

fn walk(fs: &dyn Fs, root: &Path, cursor: u64) -> Result<Seen, SinkError> {
    let mut seen = Seen { above: vec![root.to_owned()], ..Seen::default() };
    let of = |start: &'static str| move |name: &String| name.starts_with(start);
    for class in entries(fs, root)?.unwrap_or_default().into_iter().filter(of("class=")) {
        let Some(days) = entries(fs, &root.join(&class))? else { continue };
        seen.above.push(root.join(&class));
        for day in days.into_iter().filter(of("day=")) {
            let folder = format!("{class}/{day}");
            let Some(names) = entries(fs, &root.join(&folder))? else { continue };
            seen.folders.insert(root.join(&folder));
            for name in names {
                let path = format!("{folder}/{name}");
                if name.ends_with(".tmp") {
                    seen.temporary.insert(root.join(path));
                } else if let Some((part, to)) = PartName::parse(&path)
                    && part.from >= cursor
                {
                    seen.ahead.push((part, to));
                }
            }
        }
    }
    Ok(seen)
}

/// Names in a folder; `None` where there is no folder of that name.
fn entries(fs: &dyn Fs, folder: &Path) -> Result<Option<Vec<String>>, SinkError> {
    match fs.list(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::NotFound) => Ok(None),
        Err(source) => Err(io_error("list", folder, source)),
        Ok(names) => Ok(Some(names)),
    }
}

fn uncommitted(root: &Path, path: &Path) -> Option<PartName> {
    let (folder, name) = path.strip_prefix(root).ok()?.to_str()?.rsplit_once('/')?;
    let (from, number) = name.strip_suffix(".tmp")?.split_once('.')?;
    Some(PartName { folder: folder.to_owned(), from: from.parse().ok()?, number: number.parse().ok()? })
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> SinkError {
    SinkError::Io { action, path: path.to_owned(), source }
}
