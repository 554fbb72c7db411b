//! The log: append-only segments on disk, committed by `fdatasync`, trimmed by unlinking whole files.
//!
//! The agent's spool (one per lane) and the aggregator's journal are both this type. A record goes in with
//! [`Log::append`], is durable when [`Log::commit`] returns, and is gone when [`Log::trim`] has passed it. What
//! records mean is the owner's business: it folds them into a state, and hands that state back, encoded, when a
//! segment begins, so that any segment can be the first one left.
//!
//! ```text
//!   log offset ──▶   first(0)                first(1)                    committed      end
//!   segment files     │ state · records … ────┤ state · records … ─────────┤  pending ────┤ zeros
//! ```
//!
//! Invariants:
//! - `trimmed ≤ committed ≤ end`, always; a record is visible to readers only below `committed`.
//! - Every segment begins with a state that covers all that came before it and nothing after it.
//! - A `.seg` file that is there was whole and durable when it got its name.
//! - After a failed write or `fdatasync` the file is not written to again: what was not committed is appended to
//!   a new segment, and the old file counts only up to `committed`.
//! - The last segment is never deleted.
//!
//! Bounds: one group of pending records (the owner commits at least every few MiB), one segment's worth of
//! names, 256 KiB per reader. No thread and no timer: when no sync runs, sync now; what arrives meanwhile
//! shares the next one. The owner's loop gives that by itself.

mod digest;
mod fs;
mod index;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod quarantine;
mod quota;
mod read;
mod recovery;
mod segment;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use digest::{SegmentDigest, segment_digests};
pub(crate) use fs::no_follow;
pub use fs::{Access, File, FileReader, Fs, RealFs};
pub use index::{Index, IndexError, LogNumber};
#[cfg(any(test, feature = "model"))]
pub use model::ModelFs;
pub use quota::Quota;
pub use read::{Entry, Reader, segment_firsts, segment_header, segment_states};
pub use recovery::{Damage, Opened, Report, Verified, verify};
pub use segment::{Found, Kind, Record, SEGMENT_HEADER_LEN, Scanner, SegmentHeader, record_len};

use crate::fault;
use crate::limits::SEGMENT_RESERVE_BYTES;
use crate::time::Clock;
use segment::encode_record;

/// A large group is written in pieces of this size as it comes together, so that the disk is at work meanwhile; each
/// piece costs a call that waits for other processors. It stays in memory until it is synced: what a failed sync takes
/// with it is written again from there. (Small in tests, whose groups are.)
const PIECE_BYTES: usize = if cfg!(test) { 2 << 10 } else { 1 << 20 };
/// Room for pending records that is kept between commits in any case.
const BUFFER_BYTES_KEPT: usize = 1 << 20;
/// One part in so many of the room beyond it goes with each commit that did not need it. Large and small groups come in
/// turns: to ask the system for the same pages each time takes longer than to fill them.
const BUFFER_SHRINKS_BY: usize = 8;

/// How a log is laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Size of a segment file, bytes; set aside when it is made. A segment is larger where its state (eight
    /// times) or a single record asks for it.
    pub segment_bytes: u64,
    /// Most bytes of damaged pieces and foreign files that are set aside in `quarantine/`.
    pub quarantine_bytes_max: u64,
    /// Name of the crash points of this log: before a write, between write and sync, after the sync.
    pub points: [&'static str; 3],
}

/// Why an append did not happen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AppendError {
    /// The active segment has no room for it (marks may use the reserve): commit, then roll.
    #[error("the segment is full")]
    SegmentFull,
}

#[derive(Clone, Debug)]
struct Segment {
    first: u64,
    bytes: u64,
}

struct Pending {
    kind: Kind,
    continues: bool,
    offset: u64,
    /// Where its payload stands in the buffer.
    payload: std::ops::Range<usize>,
}

/// An append-only log. One owner; readers come and go by path.
pub struct Log {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    clock: Clock,
    options: Options,
    id: [u8; 16],
    /// Oldest first; the last one is active.
    segments: VecDeque<Segment>,
    active: Box<dyn File>,
    committed: u64,
    buffer: Vec<u8>,
    pending: Vec<Pending>,
    /// Bytes of the buffer that stand in the active file already, not synced.
    written: usize,
    /// The active file failed once: nothing more is written to it.
    distrusted: bool,
    /// Of what is committed in the active segment, when the owner asked for it.
    digest: Option<digest::Running>,
    /// The same with what is written and not synced.
    digest_ahead: Option<digest::Running>,
    /// Bytes at the end of a segment that are kept for seals.
    kept_free: u64,
    quota: Option<Quota>,
    /// What the quota knows of this log.
    counted: u64,
}

pub(super) fn segment_name(first: u64) -> String {
    format!("{first:016x}.seg")
}

/// Where a segment of this name begins. No log comes near 2^63 bytes: a name that says so is none of ours, and what
/// is added to a log offset does not wrap.
pub(super) fn segment_first(name: &str) -> Option<u64> {
    let hex = name.strip_suffix(".seg").filter(|hex| hex.len() == 16)?;
    u64::from_str_radix(hex, 16).ok().filter(|first| *first <= u64::MAX >> 1)
}

impl Log {
    /// Opens the log in `dir`, whatever the disk's state, or makes one; `visit` sees, in order, the newest state
    /// that reads and every record behind it. `fresh` is the state of a log that has nothing.
    ///
    /// # Errors
    /// Only what no file in the folder can cause: a folder that cannot be made, listed or written.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        options: Options,
        clock: Clock,
        visit: &mut dyn FnMut(&Record<'_>),
        fresh: &dyn Fn() -> Vec<u8>,
    ) -> io::Result<Opened> {
        recovery::open(fs, dir, options, clock, visit, fresh)
    }

    /// 16 random bytes that name this log.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Everything below this log offset is durable.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed
    }

    /// Log offset of the next record.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.committed + self.buffer.len() as u64
    }

    /// Log offset of the oldest byte that is still there.
    #[must_use]
    pub fn oldest(&self) -> u64 {
        self.segments.front().map_or(self.committed, |segment| segment.first)
    }

    /// Where the active segment begins.
    #[must_use]
    pub fn active_first(&self) -> u64 {
        self.segments.back().map_or(0, |segment| segment.first)
    }

    /// Bytes of disk that the segments take, room set aside included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Counts this log in a quota from now on: no segment is made that would pass it.
    pub fn stand_under(&mut self, quota: Quota) {
        (self.quota, self.counted) = (Some(quota), 0);
        self.count();
    }

    /// Tells the quota what the segments take.
    fn count(&mut self) {
        if let Some(quota) = &self.quota {
            let bytes = self.bytes();
            quota.count(self.counted, bytes);
            self.counted = bytes;
        }
    }

    fn quota_left(&self) -> u64 {
        self.quota.as_ref().map_or(u64::MAX, Quota::left)
    }

    /// How many segments there are.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The oldest segment's range `[first, end)`, unless it is the active one.
    #[must_use]
    pub fn oldest_finished(&self) -> Option<(u64, u64)> {
        let second = self.segments.get(1)?;
        Some((self.segments.front()?.first, second.first))
    }

    /// Log offsets at which the segments begin, the oldest first.
    pub fn firsts(&self) -> impl Iterator<Item = u64> {
        self.segments.iter().map(|segment| segment.first)
    }

    /// Keeps the digest of the active segment from now on. What it holds already is read once.
    ///
    /// # Errors
    /// The segment cannot be read.
    pub fn keep_digest(&mut self) -> io::Result<()> {
        let mut running = digest::Running::new(self.active_first());
        if !running.read_to(self.fs.as_ref(), &self.dir, self.committed)? {
            return Err(io::Error::other("the active segment does not read back"));
        }
        self.digest = Some(running);
        Ok(())
    }

    /// The digest of what is committed in the active segment; `None` unless it is kept.
    #[must_use]
    pub fn digest(&self) -> Option<SegmentDigest> {
        self.digest.as_ref().map(digest::Running::value)
    }

    /// From now on this much room at the end of a segment is kept for marks and seals, besides what always is.
    pub fn keep_free(&mut self, bytes: u64) {
        self.kept_free = bytes;
    }

    /// Bytes that a new segment sets aside for a state of this size.
    #[must_use]
    pub fn segment_size(&self, state_len: usize, need: usize) -> u64 {
        let fixed = SEGMENT_HEADER_LEN + record_len(state_len) + SEGMENT_RESERVE_BYTES + self.kept_free;
        self.options.segment_bytes.max(8 * state_len as u64).max(fixed + record_len(need))
    }

    fn room(&self, kind: Kind) -> u64 {
        let Some(active) = self.segments.back() else { return 0 };
        let used = SEGMENT_HEADER_LEN + (self.end() - active.first);
        let kept = SEGMENT_RESERVE_BYTES + self.kept_free;
        let reserve = if matches!(kind, Kind::Mark | Kind::Seal) { 0 } else { kept };
        active.bytes.saturating_sub(used).saturating_sub(reserve)
    }

    /// Whether a record of this kind with a payload of `len` bytes still fits the active segment.
    #[must_use]
    pub fn fits(&self, kind: Kind, len: usize) -> bool {
        !self.distrusted && record_len(len) <= self.room(kind)
    }

    /// Takes a record; it is durable once [`Log::commit`] returns.
    ///
    /// # Errors
    /// [`AppendError::SegmentFull`]: nothing was taken.
    pub fn append(&mut self, kind: Kind, payload: &[&[u8]]) -> Result<(), AppendError> {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        if !self.fits(kind, len) {
            return Err(AppendError::SegmentFull);
        }
        self.take(kind, false, payload);
        self.write_piece();
        Ok(())
    }

    /// Takes several records as one unit: a start that does not find the last of them intact finds none.
    ///
    /// # Errors
    /// [`AppendError::SegmentFull`]: nothing was taken.
    pub fn append_unit(&mut self, records: &[(Kind, &[u8])]) -> Result<(), AppendError> {
        let need: u64 = records.iter().map(|(_, payload)| record_len(payload.len())).sum();
        if self.distrusted || need > self.room(Kind::Frame) {
            return Err(AppendError::SegmentFull);
        }
        for (i, (kind, payload)) in records.iter().enumerate() {
            self.take(*kind, i + 1 < records.len(), &[payload]);
        }
        self.write_piece();
        Ok(())
    }

    fn take(&mut self, kind: Kind, continues: bool, payload: &[&[u8]]) {
        let offset = self.end();
        let start = self.buffer.len() + segment::RECORD_HEADER_LEN;
        let len: usize = payload.iter().map(|part| part.len()).sum();
        encode_record(&mut self.buffer, &self.id, offset, self.committed, (kind, continues), payload);
        self.pending.push(Pending { kind, continues, offset, payload: start..start + len });
    }

    /// Writes what has come together once it is worth a call. The commit finds out what became of it.
    fn write_piece(&mut self) {
        if !self.distrusted && self.buffer.len() - self.written >= PIECE_BYTES {
            self.write_pending();
        }
    }

    /// Writes the rest of what is pending to the active file, which is distrusted when it refuses.
    fn write_pending(&mut self) {
        let rest = self.buffer.get(self.written..).unwrap_or_default();
        let position = self.committed - self.active_first() + SEGMENT_HEADER_LEN + self.written as u64;
        match self.active.write_all_at(rest, position) {
            Ok(()) => {
                if rest.len() >= PIECE_BYTES {
                    self.active.start_writeback(position, rest.len() as u64);
                }
                // The disk is at work meanwhile.
                if let Some(digest) = &self.digest {
                    self.digest_ahead.get_or_insert_with(|| digest.clone()).take(rest);
                }
                self.written = self.buffer.len();
            }
            Err(error) => self.distrust(&error),
        }
    }

    fn distrust(&mut self, error: &io::Error) {
        tracing::error!(log = %self.dir.display(), %error, "a commit failed; its records go to a new segment");
        self.distrusted = true;
    }

    /// Bytes taken and not yet committed.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Makes everything that was taken durable. Gives the log offsets of the records, in the order in which
    /// they were taken. `state` is the owner's state as of the last commit: it heads the new segment if the
    /// active one fails.
    ///
    /// # Errors
    /// The disk refuses the active segment and a new one. Nothing is lost: the records are still pending, and
    /// the next call tries again with a new segment.
    pub fn commit(&mut self, state: &dyn Fn() -> Vec<u8>) -> io::Result<Vec<u64>> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let [write, sync, done] = self.options.points;
        if !self.distrusted {
            fault::point(write);
            self.write_pending();
        }
        if !self.distrusted {
            fault::point(sync);
            if let Err(error) = self.active.sync() {
                self.distrust(&error);
            } else if let Some(ahead) = self.digest_ahead.take() {
                self.digest = Some(ahead);
            }
        }
        if self.distrusted {
            self.retake(&state())?;
        }
        fault::point(done);
        self.committed = self.end();
        let offsets = self.pending.drain(..).map(|pending| pending.offset).collect();
        let (used, room) = (self.buffer.len(), self.buffer.capacity());
        self.buffer.clear();
        self.buffer.shrink_to(used.max(room - room / BUFFER_SHRINKS_BY).max(BUFFER_BYTES_KEPT));
        self.written = 0;
        Ok(offsets)
    }

    /// Gives the room for pending records back until the next one comes.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    /// Encodes what is pending again, behind `state`, into a new segment that begins at `committed`.
    fn retake(&mut self, state: &[u8]) -> io::Result<()> {
        let old = std::mem::take(&mut self.buffer);
        let pending = std::mem::take(&mut self.pending);
        self.take(Kind::State, false, &[state]);
        for record in &pending {
            let payload = old.get(record.payload.clone()).unwrap_or_default();
            self.take(record.kind, record.continues, &[payload]);
        }
        // Where little is left to take it is smaller than others: what waits must not wait for more.
        let least = SEGMENT_HEADER_LEN + self.buffer.len() as u64 + SEGMENT_RESERVE_BYTES + self.kept_free;
        let size = self.segment_size(state.len(), self.buffer.len()).min(self.quota_left()).max(least);
        let (failed, used) = (self.active_first(), SEGMENT_HEADER_LEN + (self.committed - self.active_first()));
        match self.make_segment(size) {
            Ok(()) => {
                self.pending.remove(0);
                self.distrusted = false;
                self.give_back(failed, used);
                Ok(())
            }
            Err(error) => {
                (self.buffer, self.pending) = (old, pending);
                Err(error)
            }
        }
    }

    /// Writes the buffer as the first bytes of a new segment at `committed` and makes it the active one.
    fn make_segment(&mut self, bytes: u64) -> io::Result<()> {
        let first = self.committed;
        let (file, path) = (self.dir.join(segment_name(first)), self.dir.join("next.tmp"));
        if bytes > self.quota_left() {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let active = self.fs.create(&path, bytes)?;
        let header = SegmentHeader { log_id: self.id, first, created_at: self.clock.now() };
        let written = active
            .write_all_at(&header.encode(), 0)
            .and_then(|()| active.write_all_at(&self.buffer, SEGMENT_HEADER_LEN))
            .and_then(|()| active.sync());
        if let Err(error) = written {
            let _ = self.fs.remove(&path);
            return Err(error);
        }
        if let Err(error) = self.fs.rename(&path, &file).and_then(|()| self.fs.sync_dir(&self.dir)) {
            // Its name may be there after a crash, and from it on the file before it counts for nothing.
            self.distrusted = true;
            return Err(error);
        }
        self.active = active;
        if let Some(digest) = self.digest.as_mut() {
            *digest = digest::Running::new(first);
            digest.take(&self.buffer);
        }
        self.digest_ahead = None;
        // A segment in which nothing was ever committed has been renamed over.
        self.segments.pop_back_if(|last| last.first == first);
        self.segments.push_back(Segment { first, bytes });
        self.count();
        Ok(())
    }

    /// Cuts the segment that came before the active one, if it is the one that begins at `first`, to the bytes that
    /// it used.
    fn give_back(&mut self, first: u64, used: u64) {
        // Where the active one is the only one it stands in the place of the other.
        let before = self.segments.len().checked_sub(2).and_then(|before| self.segments.get_mut(before));
        if let Some(segment) = before.filter(|segment| segment.first == first)
            && self.fs.open(&self.dir.join(segment_name(first))).and_then(|file| file.cut(used, 0)).is_ok()
        {
            segment.bytes = used;
        }
        self.count();
    }

    /// Begins a new segment with `state`, which covers everything before it. Nothing may be pending. The room
    /// that the old segment did not use is given back.
    ///
    /// # Errors
    /// ENOSPC and the like: the log goes on as it was. A folder that cannot be synced: the active segment takes
    /// nothing more, and the next roll or commit tries again.
    pub fn roll(&mut self, state: &[u8], need: usize) -> io::Result<()> {
        debug_assert!(self.pending.is_empty(), "the owner commits before it rolls");
        let used = SEGMENT_HEADER_LEN + (self.committed - self.active_first());
        let old = self.active_first();
        encode_record(&mut self.buffer, &self.id, self.committed, self.committed, (Kind::State, false), &[state]);
        let made = self.make_segment(self.segment_size(state.len(), need));
        if made.is_ok() {
            self.committed = self.end();
            self.distrusted = false;
        }
        self.buffer.clear();
        made?;
        self.give_back(old, used);
        Ok(())
    }

    /// Unlinks every finished segment that ends at or below `through`. The owner has committed a record that
    /// covers what goes. Returns the bytes that came free.
    ///
    /// # Errors
    /// The unlink or the folder's sync failed; what was not unlinked is tried again next time.
    pub fn trim(&mut self, through: u64) -> io::Result<u64> {
        let mut freed = 0;
        while let Some((first, end)) = self.oldest_finished().filter(|(_, end)| *end <= through) {
            debug_assert!(end <= self.committed, "only durable segments are trimmed");
            match self.fs.remove(&self.dir.join(segment_name(first))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            freed += self.segments.pop_front().map_or(0, |segment| segment.bytes);
            self.count();
        }
        if freed > 0 {
            self.fs.sync_dir(&self.dir)?;
        }
        Ok(freed)
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
