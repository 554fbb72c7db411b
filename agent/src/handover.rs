//! What a source hands over: chunks of lines with the checkpoint that covers them, and losses.

use std::sync::Arc;

use shared::identity::Lane;
use shared::record::LossReason;
use shared::time::Timestamp;

use crate::fingerprint::{FileId, Fingerprint};

/// Position of a source in the table of configured sources; frames carry that table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceIndex(pub u16);

/// Bytes of lines after which a chunk is handed over; one line more may stand in it.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Lines after which a chunk is handed over, so that empty lines cannot make its marks huge.
pub const CHUNK_LINES_MAX: usize = 16 * 1024;

/// Something odd about a line. The bytes of the file are restored as: the line, then nothing when
/// [`flag::UNTERMINATED`], `\r\n` when [`flag::CRLF`], else `\n`.
pub mod flag {
    pub use shared::batch::{FLAG_CRLF as CRLF, FLAG_TRUNCATED as TRUNCATED, FLAG_UNTERMINATED as UNTERMINATED};

    /// The words of the bits that are set.
    pub fn names(flags: u8) -> impl Iterator<Item = &'static str> {
        const NAMES: [(u8, &str); 3] = [(UNTERMINATED, "unterminated"), (TRUNCATED, "truncated"), (CRLF, "crlf")];
        NAMES.into_iter().filter(move |(bit, _)| flags & bit != 0).map(|(_, name)| name)
    }
}

/// One line of a [`Chunk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineMark {
    /// Where in the file its first byte stands.
    pub offset: u64,
    /// Its length in the file without terminator, in bytes; more than is kept when it was cut.
    pub full_size: u64,
    /// Where in [`Lines::bytes`] it ends; it begins where the one before ends.
    pub end: u32,
    /// Bits of [`flag`].
    pub flags: u8,
}

/// Lines back to back without terminators.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lines {
    /// The kept bytes of every line.
    pub bytes: Vec<u8>,
    /// One mark a line, in the order of the file.
    pub marks: Vec<LineMark>,
}

impl Lines {
    /// Room for the lines of `bytes` bytes of a file.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes.min(CHUNK_BYTES_MAX)), marks: Vec::with_capacity(bytes / 128 + 1) }
    }

    /// Appends a line of which `kept` is the part within bounds.
    pub fn push(&mut self, kept: &[u8], offset: u64, full_size: u64, flags: u8) {
        self.bytes.extend_from_slice(kept);
        // A chunk holds 256 KiB and one line of at most 512 KiB: it never saturates.
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.marks.push(LineMark { offset, full_size, end, flags });
    }

    /// Whether it is time to hand over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES_MAX || self.marks.len() >= CHUNK_LINES_MAX
    }

    /// Every line with its bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&LineMark, &[u8])> {
        let mut begin = 0;
        self.marks.iter().map(move |mark| {
            let end = usize::try_from(mark.end).unwrap_or(usize::MAX);
            let line = self.bytes.get(begin..end).unwrap_or_default();
            begin = end;
            (mark, line)
        })
    }
}

/// How far a file has been read: everything before `offset` was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Which file.
    pub fingerprint: Fingerprint,
    /// Its first byte that was not handed over. The prefix of the fingerprint is never longer.
    pub offset: u64,
}

/// Some lines of one file, never split further. Its checkpoint becomes durable with its lines or after them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Who read it.
    pub source: SourceIndex,
    /// Where it goes.
    pub lane: Lane,
    /// When it was read.
    pub read_at: Timestamp,
    /// The path of the file when it was first seen, invalid UTF-8 replaced.
    pub log_name: Arc<str>,
    /// The lines; none when only a checkpoint is to be kept.
    pub lines: Lines,
    /// How far the file is read with these lines.
    pub checkpoint: Option<Checkpoint>,
}

/// Lines that nobody will see, as a typed record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Whose lines.
    pub source: SourceIndex,
    /// The lane on which they would have gone.
    pub lane: Lane,
    /// Why.
    pub reason: LossReason,
    /// The file, invalid UTF-8 replaced.
    pub path: Arc<str>,
    /// How many lines, where that is known.
    pub count: Option<u64>,
    /// When the file was last known to be whole.
    pub from: Timestamp,
    /// When the loss was noticed.
    pub to: Timestamp,
}

/// The outlet takes no more: the source ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// Where a source hands over. Both calls wait while the lane is full; that is all the backpressure there is.
pub trait Outlet: Send {
    /// Takes a chunk whole.
    ///
    /// # Errors
    /// [`Stopped`] when the program ends; the chunk was not taken.
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped>;

    /// Takes word of lost lines.
    ///
    /// # Errors
    /// [`Stopped`] when the program ends; the loss was not taken.
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped>;
}

/// What is known of files from before. One row per [`FileId`]: a later checkpoint of the same device and inode
/// replaces the earlier. Within one run a checkpoint is found as soon as its chunk was taken, so that a source
/// that is restarted inside the program repeats nothing; after a start, what was durable.
pub trait Checkpoints: Send + Sync {
    /// Those whose inode number this is, on whatever device, the newest first.
    fn by_inode(&self, inode: u64) -> Vec<Checkpoint>;

    /// Those with this hash of a whole prefix ([`super::fingerprint::PREFIX_BYTES_MAX`]), the newest first.
    fn by_prefix(&self, hash: u64) -> Vec<Checkpoint>;
}

impl Checkpoint {
    /// The row in a table of checkpoints.
    #[must_use]
    pub fn file(&self) -> FileId {
        self.fingerprint.file
    }
}
