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
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::commits::{Commit, Commits, Found, sync_folder};
use super::writer::PartName;
use crate::sink::SinkError;

/// Brings the lake to the state of its last commit and returns its cursor.
pub(super) fn recover(root: &Path, log: &mut Commits, found: &Found) -> Result<u64, SinkError> {
    let mut cursor = found.last.as_ref().map_or(0, |commit| commit.to);
    let mut names: Vec<(PartName, u64)> = Vec::new();
    if let Some(last) = &found.last {
        names.extend(last.files.iter().filter_map(|file| PartName::parse(&file.path)));
    }
    let seen = walk(root, cursor)?;
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
    // A file that is not there has its name already, or somebody has moved it away since: theirs to do.
    for (name, to) in names.iter().filter(|(name, _)| root.join(name.temporary()).exists()) {
        rename(root, name, *to)?;
    }
    let folders: BTreeSet<PathBuf> = names.iter().map(|(name, _)| root.join(&name.folder)).collect();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        sync_folder(folder).map_err(|source| io_error("fsync", folder, source))?;
    }
    for path in seen.temporary.iter().filter(|path| path.exists()) {
        fs::remove_file(path).map_err(|source| io_error("delete", path, source))?;
    }
    Ok(cursor)
}

/// Gives a file its final name.
pub(super) fn rename(root: &Path, name: &PartName, to: u64) -> Result<(), SinkError> {
    let temporary = root.join(name.temporary());
    fs::rename(&temporary, root.join(name.committed(to))).map_err(|source| io_error("rename", &temporary, source))
}

/// What lies in the lake.
#[derive(Default)]
struct Seen {
    temporary: Vec<PathBuf>,
    /// Files that begin at or after the cursor, by name, and where they end.
    ahead: Vec<(PartName, u64)>,
}

fn walk(root: &Path, cursor: u64) -> Result<Seen, SinkError> {
    let mut seen = Seen::default();
    for class in entries(root)?.into_iter().filter(|name| name.starts_with("class=")) {
        for day in entries(&root.join(&class))?.into_iter().filter(|name| name.starts_with("day=")) {
            let folder = format!("{class}/{day}");
            for name in entries(&root.join(&folder))? {
                let path = format!("{folder}/{name}");
                if name.ends_with(".tmp") {
                    seen.temporary.push(root.join(path));
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

/// Names in a folder; none where it is no folder. Names that are not UTF-8 are none of ours.
fn entries(folder: &Path) -> Result<Vec<String>, SinkError> {
    let failed = |source| io_error("list", folder, source);
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(Vec::new()),
        Err(source) => Err(failed(source)),
        Ok(entries) => entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect::<io::Result<_>>()
            .map_err(failed),
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
