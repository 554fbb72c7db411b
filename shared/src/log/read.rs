//! Reading a log by path: from any log offset up to what is committed, across segments, past damage.
//!
//! A reader has its own file handle and no lock; it runs beside the owner, in another thread or another
//! process. A segment that was trimmed under it shows as a gap.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::segment::{Found, Kind, Record, Scanner, SegmentHeader};
use super::{Fs, segment_first, segment_name};

/// What a reader came upon.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A record.
    Record(Record<'a>),
    /// Log offsets `[from, to)` hold nothing that reads: damage, or segments that were trimmed.
    Gap {
        /// First log offset.
        from: u64,
        /// Log offset behind it.
        to: u64,
    },
}

/// Walks a log from a log offset. Holds 256 KiB, or one record where that is larger.
pub struct Reader {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    at: u64,
    current: Option<Current>,
}

/// The segment being read.
struct Current {
    scanner: Scanner,
    first: u64,
    /// Where the next segment begins, once there is one.
    next: Option<u64>,
    /// The limit for which `next` was looked up: a segment is in the folder before the log is committed past
    /// its beginning, so a look at the folder after a limit was learned finds every boundary below it.
    checked: u64,
}

/// Log offsets at which the segments in `dir` begin by their names, the oldest first.
///
/// # Errors
/// The folder cannot be listed.
pub fn segment_firsts(fs: &dyn Fs, dir: &Path) -> io::Result<Vec<u64>> {
    let mut firsts: Vec<u64> = fs.list(dir)?.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

impl Reader {
    /// A reader of the log in `dir` that begins at log offset `from`: 0 or the offset or end of a record.
    #[must_use]
    pub fn new(fs: Arc<dyn Fs>, dir: &Path, from: u64) -> Self {
        Self { fs, dir: dir.to_path_buf(), at: from, current: None }
    }

    /// Log offset of what comes next.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Gives the buffer and the file back; the next call opens them again.
    pub fn rest(&mut self) {
        self.current = None;
    }

    /// Opens the segment that holds `self.at`. Gives the gap to the first one left where that was trimmed.
    fn enter(&mut self, limit: u64) -> io::Result<Option<(u64, u64)>> {
        let firsts = segment_firsts(self.fs.as_ref(), &self.dir)?;
        let holder = firsts.iter().rposition(|first| *first <= self.at);
        let Some(holder) = holder else {
            let to = firsts.first().copied().unwrap_or(limit).min(limit);
            let gap = (self.at, to);
            self.at = to;
            return Ok(Some(gap));
        };
        let (Some(&first), next) = (firsts.get(holder), firsts.get(holder + 1).copied()) else { return Ok(None) };
        let file = match self.fs.open_read(&self.dir.join(segment_name(first))) {
            Ok(file) => file,
            // Trimmed since the folder was listed: look again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.enter(limit),
            Err(error) => return Err(error),
        };
        let Some(header) = SegmentHeader::read(file.as_ref())?.filter(|header| header.first == first) else {
            let gap = (self.at, next.unwrap_or(limit).min(limit));
            self.at = gap.1;
            return Ok(Some(gap));
        };
        let end = next.unwrap_or(limit).min(limit);
        let scanner = Scanner::new(file, &header, self.at, end)?;
        self.current = Some(Current { scanner, first, next, checked: limit });
        Ok(None)
    }

    /// The next record or gap below `limit`, the log offset that is committed; `None` when that is reached.
    ///
    /// # Errors
    /// The folder cannot be listed or a segment not be opened. A page that cannot be read is a gap.
    pub fn next(&mut self, limit: u64) -> io::Result<Option<Entry<'_>>> {
        loop {
            if self.at >= limit {
                return Ok(None);
            }
            let Some(current) = self.current.as_mut() else {
                if let Some((from, to)) = self.enter(limit)? {
                    return Ok((to > from).then_some(Entry::Gap { from, to }));
                }
                continue;
            };
            if current.next.is_none() && limit > current.checked {
                let newer =
                    segment_firsts(self.fs.as_ref(), &self.dir)?.into_iter().find(|first| *first > current.first);
                (current.next, current.checked) = (newer, limit);
            }
            current.scanner.extend(current.next.unwrap_or(limit).min(limit));
            if current.scanner.has_more() {
                break;
            }
            self.at = current.scanner.at();
            self.current = None;
        }
        let (Some(current), at) = (self.current.as_mut(), &mut self.at) else { return Ok(None) };
        Ok(current.scanner.find_next().map(|found| match found {
            Found::Record(record) => {
                *at = record.end();
                Entry::Record(record)
            }
            Found::Gap { from, to, .. } => {
                *at = to;
                Entry::Gap { from, to }
            }
        }))
    }
}

/// The header of the segment that begins at log offset `first`; `None` when its file has none that reads.
///
/// # Errors
/// The file cannot be opened or read.
pub fn segment_header(fs: &dyn Fs, dir: &Path, first: u64) -> io::Result<Option<SegmentHeader>> {
    let header = SegmentHeader::read(fs.open_read(&dir.join(segment_name(first)))?.as_ref())?;
    Ok(header.filter(|header| header.first == first))
}

/// The first log offset and the state of every segment whose state reads, oldest first.
///
/// # Errors
/// The folder cannot be listed or a file not be opened.
pub fn segment_states(fs: &dyn Fs, dir: &Path, visit: &mut dyn FnMut(u64, &[u8])) -> io::Result<()> {
    for first in segment_firsts(fs, dir)? {
        let file = match fs.open_read(&dir.join(segment_name(first))) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let Some(header) = SegmentHeader::read(file.as_ref())?.filter(|header| header.first == first) else { continue };
        if let Some(Found::Record(record)) = Scanner::new(file, &header, 0, u64::MAX)?.find_next()
            && record.kind == Kind::State
        {
            visit(first, record.payload);
        }
    }
    Ok(())
}
