//! [`Commits`]: the log `lake/_commits`, whose last line is the lake's cursor.
//!
//! A commit is one line of JSON, `{"from":a,"to":b,"files":[{"path","size","rows","sha256"}…],"crc32c":c}`,
//! appended and fsynced after its files are on disk under their temporary names and before any of them gets
//! its final one. `crc32c` covers the line before it, up to and without the comma.
//!
//! Only the last line is ever acted on: a line is appended after the renames of the one before it were
//! fsynced. So a log over its bound is replaced by its last line, and a damaged line that is followed by a
//! good one has lost an inventory and nothing else: it is set aside in `_commits.damaged`, a warning says so,
//! and work goes on. Damage at the end is a torn append and is cut, unless the line had its newline and files
//! of that commit have their final names already ([`super::recovery`] decides).
//!
//! Each opening writes the log anew (temporary file, fsync, rename, fsync of the folder): what was read is
//! then what is durable, even where an earlier fsync failed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::log::{File, Fs};

const NAME: &str = "_commits";

/// One file of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommittedFile {
    /// Under the lake: `class=<name>/day=<day>/<a>-<b>[.k].parquet`.
    pub(super) path: String,
    /// Bytes.
    pub(super) size: u64,
    /// Events.
    pub(super) rows: u64,
    /// Of the whole file, hexadecimal.
    pub(super) sha256: String,
}

/// The events between two cuts of the journal, in the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Commit {
    /// The cut after which it begins.
    pub(super) from: u64,
    /// The cut at which it ends.
    pub(super) to: u64,
    pub(super) files: Vec<CommittedFile>,
}

/// What was read at opening.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The last good line.
    pub(super) last: Option<Commit>,
    /// The log ended with a line that is complete and wrong.
    pub(super) damaged_end: bool,
}

/// The open log.
pub(super) struct Commits {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    file: Box<dyn File>,
    size: u64,
    size_max: u64,
}

impl Commits {
    /// Opens or creates the log of the lake in `folder`, and bounds it to `size_max` bytes.
    pub(super) fn open(fs: Arc<dyn Fs>, folder: &Path, size_max: u64) -> io::Result<(Self, Found)> {
        let path = folder.join(NAME);
        let bytes = match fs.read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let mut found = Found::default();
        let (mut good, mut last_line, mut damaged) = (Vec::new(), &[][..], 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let complete = line.last() == Some(&b'\n');
            match parse(line) {
                Some(commit) if complete => {
                    found = Found { last: Some(commit), damaged_end: false };
                    good.extend_from_slice(line);
                    last_line = line;
                }
                _ if complete => {
                    damaged += 1;
                    found.damaged_end = true;
                }
                _ => {
                    tracing::info!(path = %path.display(), bytes = line.len(), "cut a torn commit: it had not happened")
                }
            }
        }
        if damaged > 0 {
            let aside = folder.join("_commits.damaged");
            fs.create(&aside, 0)?.write_all_at(&bytes, 0)?;
            tracing::warn!(
                path = %path.display(), lines = damaged, copy = %aside.display(),
                "lines of the commit log do not read: the cursor stands in its last good line, and the files of other commits are \
                 not touched; compare their SHA-256 with the copy if you need the inventory"
            );
        }
        let content = if good.len() as u64 > size_max { last_line } else { &good };
        let file = replace(fs.as_ref(), folder, content)?;
        Ok((Self { folder: folder.to_owned(), file, size: content.len() as u64, size_max, fs }, found))
    }

    /// Appends a commit and fsyncs. With an error it may or may not have happened: open the log again.
    pub(super) fn append(&mut self, commit: &Commit) -> io::Result<()> {
        let line = line(commit)?;
        if self.size + line.len() as u64 > self.size_max && self.size > 0 {
            // The lines so far are history; with the new one the log begins again.
            self.file = replace(self.fs.as_ref(), &self.folder, line.as_bytes())?;
            self.size = line.len() as u64;
            return Ok(());
        }
        self.file.write_all_at(line.as_bytes(), self.size)?;
        self.file.sync()?;
        self.size += line.len() as u64;
        Ok(())
    }
}

/// The cursor in the log of the lake in `folder`, read beside whoever has the lake open; 0 without a log.
pub(super) fn cursor(fs: &dyn Fs, folder: &Path) -> io::Result<u64> {
    let bytes = match fs.read(&folder.join(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let complete = bytes.split_inclusive(|byte| *byte == b'\n').rev().filter(|line| line.last() == Some(&b'\n'));
    Ok(complete.filter_map(parse).next().map_or(0, |commit| commit.to))
}

/// Puts a log of this content in place of the one there is, and opens it.
fn replace(fs: &dyn Fs, folder: &Path, content: &[u8]) -> io::Result<Box<dyn File>> {
    let temporary = folder.join("_commits.tmp");
    let file = fs.create(&temporary, 0)?;
    file.write_all_at(content, 0)?;
    file.sync()?;
    fs.rename(&temporary, &folder.join(NAME))?;
    fs.sync_dir(folder)?;
    Ok(file)
}

fn line(commit: &Commit) -> io::Result<String> {
    let mut line = serde_json::to_string(commit)?;
    line.pop();
    let crc = crc32c::crc32c(line.as_bytes());
    Ok(format!("{line},\"crc32c\":{crc}}}\n"))
}

pub(super) fn parse(line: &[u8]) -> Option<Commit> {
    let text = str::from_utf8(line).ok()?.trim_end_matches('\n');
    let (body, crc) = text.strip_suffix('}')?.rsplit_once(",\"crc32c\":")?;
    if crc32c::crc32c(body.as_bytes()) != crc.parse::<u32>().ok()? {
        return None;
    }
    serde_json::from_str(&format!("{body}}}")).ok().filter(|commit: &Commit| commit.from < commit.to)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shared::log::RealFs;

    use super::super::testing::Folder;
    use super::*;

    fn open(folder: &Folder, size_max: u64) -> (Commits, Found) {
        Commits::open(Arc::new(RealFs), &folder.0, size_max).unwrap()
    }

    fn commit(from: u64, to: u64) -> Commit {
        let path = format!("class=authentication/day=2026-03-16/{from}-{to}.parquet");
        Commit { from, to, files: vec![CommittedFile { path, size: 10, rows: 2, sha256: "00".repeat(32) }] }
    }

    #[test]
    fn the_last_line_is_found_again_and_a_torn_one_is_cut() {
        let folder = Folder::new();
        let (mut log, found) = open(&folder, 1 << 20);
        assert_eq!(found.last, None);
        log.append(&commit(0, 5)).unwrap();
        log.append(&commit(5, 9)).unwrap();
        let whole = fs::read(folder.0.join(NAME)).unwrap();
        let second = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in second..whole.len() {
            fs::write(folder.0.join(NAME), &whole[..cut]).unwrap();
            let (_, found) = open(&folder, 1 << 20);
            assert_eq!(found.last, Some(commit(0, 5)), "cut at {cut}");
            assert_eq!(cursor(&RealFs, &folder.0).unwrap(), 5);
            assert!(!found.damaged_end);
            assert_eq!(fs::read(folder.0.join(NAME)).unwrap(), whole[..second]);
        }
        fs::write(folder.0.join(NAME), &whole).unwrap();
        assert_eq!(open(&folder, 1 << 20).1.last, Some(commit(5, 9)));
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_set_aside_and_stops_nothing() {
        let folder = Folder::new();
        let (mut log, _) = open(&folder, 1 << 20);
        (0..3).for_each(|i| log.append(&commit(i, i + 1)).unwrap());
        let mut bytes = fs::read(folder.0.join(NAME)).unwrap();
        bytes[9] ^= 1;
        fs::write(folder.0.join(NAME), &bytes).unwrap();
        let (_, found) = open(&folder, 1 << 20);
        assert_eq!((found.last, found.damaged_end), (Some(commit(2, 3)), false));
        assert_eq!(fs::read(folder.0.join("_commits.damaged")).unwrap(), bytes);
        assert!(open(&folder, 1 << 20).1.last.is_some());
    }

    #[test]
    fn a_commit_that_leads_nowhere_is_a_damaged_line() {
        for (from, to) in [(5, 5), (7, 5)] {
            let folder = Folder::new();
            let (mut log, _) = open(&folder, 1 << 20);
            log.append(&commit(0, 5)).unwrap();
            log.append(&commit(from, to)).unwrap();
            let (_, found) = open(&folder, 1 << 20);
            assert_eq!((found.last, found.damaged_end), (Some(commit(0, 5)), true));
        }
    }

    #[test]
    fn the_log_does_not_grow_beyond_its_bound() {
        let folder = Folder::new();
        let (mut log, _) = open(&folder, 1000);
        for i in 0..50 {
            log.append(&commit(i, i + 1)).unwrap();
            assert!(fs::metadata(folder.0.join(NAME)).unwrap().len() <= 1000);
        }
        assert_eq!(open(&folder, 1000).1.last, Some(commit(49, 50)));
        assert_eq!(open(&folder, 10).1.last, Some(commit(49, 50)), "one line may exceed the bound");
    }
}
