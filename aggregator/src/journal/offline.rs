//! The journal as files: what the commands read, without a lock and while the aggregator may write.
//!
//! In: the journal's folder. Out: how large it is ([`JournalFiles::stat`]), whether it is whole and as it was written
//! ([`verify`]), what to write down of it elsewhere ([`JournalFiles::anchors`]), what stands in it
//! ([`JournalFiles::export`]), and what does not ([`JournalFiles::gaps`], [`answer()`]).
//!
//! Invariants: nothing is changed; what stands behind the last record that counts (room, a torn tail, a write
//! under way) is not shown. A command reads what was there when it began; a segment that goes while it reads shows
//! as damage of the log range that it had.

mod against;
mod anchors;
mod answer;
mod export;
mod gaps;
mod repair;
mod seals;
mod stat;
#[cfg(test)]
pub(crate) mod testing;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::log::{Entry, Fs, Reader, RealFs, segment_header, segment_states};

use super::{ChainTable, JournalReader, Numbers};

pub use anchors::{AnchorRow, Anchors, AnchorsError, EndAnchor};
pub use answer::{Answer, Circumstances, HostClock, Missing, Window, answer, never_heard, span_text};
pub use export::{ChainRange, ExportError, Exported, ExportedLine, Selection};
pub use gaps::{ChainSpans, Gaps, Span, SpanKind};
pub use repair::{Repaired, repair};
pub use stat::{MEASURED_MIN, Rate, Stat, Totals};
pub use verify::{Fate, Finding, Severity, Trust, Verdict, verify};

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is none.
    #[error("there is no journal in {path}: the aggregator makes it when it runs first, see state_dir in aggregator.yaml", path = path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("cannot read the journal in {path}: {source}", path = path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// More than a person could look at, and than memory should hold.
    #[error("there are more than {max} ranges to show: narrow it with --agent or --since")]
    TooMany {
        /// The bound.
        max: usize,
    },
}

/// A segment file, by its name.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentFile {
    /// Log offset of its first record.
    pub(super) first: u64,
    /// Bytes on disk, room set aside included.
    bytes: u64,
}

/// A segment's state: where it begins, and the numbers and chains there.
struct Base {
    first: u64,
    numbers: Numbers,
    chains: ChainTable,
}

/// A journal's folder as it was when it was opened.
pub struct JournalFiles {
    dir: PathBuf,
    /// Oldest first; at least one.
    segments: Vec<SegmentFile>,
    /// Log offset behind the last record that counts.
    end: u64,
}

impl JournalFiles {
    /// Looks at the journal in `dir`.
    ///
    /// # Errors
    /// [`OfflineError::Missing`], [`OfflineError::Io`].
    pub fn open(dir: &Path) -> Result<Self, OfflineError> {
        let failed = |source| OfflineError::Io { path: dir.to_owned(), source };
        let segments = match segment_files(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(failed)?,
        };
        let segments = with_header(dir, segments);
        let newest = segments.last().copied().ok_or_else(|| OfflineError::Missing { path: dir.to_owned() })?;
        let end = readable_end(dir, newest).map_err(failed)?;
        Ok(Self { dir: dir.to_owned(), segments, end })
    }

    fn failed(&self, source: io::Error) -> OfflineError {
        OfflineError::Io { path: self.dir.clone(), source }
    }

    /// The last segment with a state that `choose` accepts, with its state.
    fn last_base(&self, mut choose: impl FnMut(&Numbers, &[u8]) -> bool) -> Result<Option<Base>, OfflineError> {
        let mut found: Option<(u64, Numbers, Vec<u8>)> = None;
        segment_states(&RealFs, &self.dir, &mut |first, payload| {
            if let Some((numbers, chains)) = Numbers::decode(payload)
                && choose(&numbers, chains)
            {
                let room = found.take().map(|(.., room)| room).unwrap_or_default();
                found = Some((first, numbers, refill(room, chains)));
            }
        })
        .map_err(|error| self.failed(error))?;
        Ok(found.map(|(first, numbers, bytes)| {
            let chains = ChainTable::default();
            chains.decode(&bytes);
            Base { first, numbers, chains }
        }))
    }

    /// The first log offset that is left.
    fn oldest(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.first)
    }

    /// Frames from log offset `first`, where a segment begins.
    fn frames_from(&self, first: u64) -> JournalReader {
        JournalReader::from_segment(&self.dir, first)
    }
}

/// Those that are segments; all where none is. A start sets the others aside, unless it finds records of this log in them.
fn with_header(dir: &Path, files: Vec<SegmentFile>) -> Vec<SegmentFile> {
    let reads = |file: &SegmentFile| segment_header(&RealFs, dir, file.first).is_ok_and(|header| header.is_some());
    let good: Vec<SegmentFile> = files.iter().copied().filter(reads).collect();
    if good.is_empty() { files } else { good }
}

fn segment_name(first: u64) -> String {
    format!("{first:016x}.seg")
}

fn refill(mut room: Vec<u8>, bytes: &[u8]) -> Vec<u8> {
    room.clear();
    room.extend_from_slice(bytes);
    room
}

/// The segment files of a log, oldest first: their names are the log offsets of their first records.
pub(super) fn segment_files(dir: &Path) -> io::Result<Vec<SegmentFile>> {
    let mut files = Vec::new();
    for name in RealFs.list(dir)? {
        let hex = name.strip_suffix(".seg").filter(|hex| hex.len() == 16);
        let Some(first) = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()) else { continue };
        match std::fs::metadata(dir.join(&name)) {
            Ok(meta) => files.push(SegmentFile { first, bytes: meta.len() }),
            // It was trimmed in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_unstable_by_key(|file| file.first);
    Ok(files)
}

/// Log offset behind the last record of the newest segment that counts. Bad bytes above everything that a record
/// says was committed are a torn tail: it and what follows does not count, as at the next start.
fn readable_end(dir: &Path, newest: SegmentFile) -> io::Result<u64> {
    let limit = newest.first.saturating_add(newest.bytes);
    let mut reader = Reader::new(Arc::new(RealFs), dir, newest.first);
    let (mut committed, mut end) = (newest.first, newest.first);
    let mut gaps: Vec<u64> = Vec::new();
    while let Some(entry) = reader.next(limit)? {
        match entry {
            Entry::Record(record) => {
                committed = committed.max(record.committed_through);
                end = record.end();
                gaps.retain(|from| *from >= committed);
            }
            Entry::Gap { from, .. } if from >= committed => gaps.push(from),
            Entry::Gap { .. } => {}
        }
    }
    Ok(gaps.first().copied().unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use super::testing::Maker;
    use super::*;

    #[test]
    fn a_missing_or_empty_folder_is_no_journal() {
        let maker = Maker::new("offline-missing");
        for dir in [maker.dir.join("nothing"), maker.dir.clone()] {
            let error = JournalFiles::open(&dir).err().unwrap();
            assert!(matches!(error, OfflineError::Missing { .. }), "{error}");
        }
    }

    #[test]
    fn a_torn_tail_ends_the_journal_wherever_it_is_torn() {
        let mut maker = Maker::new("offline-torn");
        maker.lines(&["one"]);
        let before = maker.journal().committed_offset();
        maker.lines(&["two"]);
        let end = maker.journal().committed_offset();
        maker.close();
        let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
        assert_eq!(files.end, end);
        let path = maker.segments().pop().unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in (before..end).step_by(8) {
            let mut torn = whole.clone();
            torn[usize::try_from(cut).unwrap() + 64..].fill(0);
            std::fs::write(&path, &torn).unwrap();
            let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
            assert_eq!(files.end, before, "torn at {cut}");
        }
    }
}
