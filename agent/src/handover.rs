//! What a source hands over: chunks of lines with the checkpoint that covers them, typed records, and losses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::identity::Lane;
use shared::record::{LossReason, Value};
use shared::redact::{Detector, redact};
use shared::time::Timestamp;

use crate::fingerprint::{FileId, Fingerprint};
use crate::limits::{Deferred, Governor};

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
    pub use shared::batch::{
        FLAG_CRLF as CRLF, FLAG_REDACTED as REDACTED, FLAG_TRUNCATED as TRUNCATED, FLAG_UNTERMINATED as UNTERMINATED,
    };

    /// The words of the bits that are set.
    pub fn names(flags: u8) -> impl Iterator<Item = &'static str> {
        const NAMES: [(u8, &str); 4] =
            [(UNTERMINATED, "unterminated"), (TRUNCATED, "truncated"), (CRLF, "crlf"), (REDACTED, "redacted")];
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

/// Buffers of lines that were taken, for lines to come. They are large: the allocator gives each back to the system when
/// it is dropped, and to touch their pages anew was a tenth of what a busy agent did.
struct Spares(Mutex<Vec<Lines>>);

/// Those of this process.
static SPARES: Spares = Spares(Mutex::new(Vec::new()));

/// Most spare buffers.
const SPARES_MAX: usize = 2;
/// Most lines that a spare buffer has room for: few logs have shorter ones than that makes of a chunk.
const SPARE_MARKS_MAX: usize = CHUNK_BYTES_MAX / 32;

impl Spares {
    fn lock(&self) -> MutexGuard<'_, Vec<Lines>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only buffers of the usual size: one that a long line made larger goes, or many short ones.
    fn leave(&self, mut lines: Lines) {
        let mut spares = self.lock();
        let is_usual = lines.bytes.capacity() == CHUNK_BYTES_MAX && lines.marks.capacity() <= SPARE_MARKS_MAX;
        if is_usual && spares.len() < SPARES_MAX {
            lines.bytes.clear();
            lines.marks.clear();
            spares.push(lines);
        }
    }
}

impl Lines {
    /// Room for the lines of `bytes` bytes of a file.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let spare = if bytes * 2 > CHUNK_BYTES_MAX { SPARES.lock().pop() } else { None };
        spare.unwrap_or_else(|| Self {
            bytes: Vec::with_capacity(bytes.min(CHUNK_BYTES_MAX)),
            marks: Vec::with_capacity(bytes / 128 + 1),
        })
    }

    /// Leaves the buffers to lines to come.
    pub fn leave(self) {
        SPARES.leave(self);
    }

    /// Gives the buffers that wait for lines back to the system.
    pub fn forget_spares() {
        SPARES.lock().clear();
    }

    /// Appends a line of which `kept` is the part within bounds.
    pub fn push(&mut self, kept: &[u8], offset: u64, full_size: u64, flags: u8) {
        self.bytes.extend_from_slice(kept);
        // A chunk holds 256 KiB and one line of at most 512 KiB: it never saturates.
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.marks.push(LineMark { offset, full_size, end, flags });
    }

    /// The same lines without the secrets that `detectors` find; those that had one say so in their flags.
    #[must_use]
    pub fn redacted(self, detectors: &[Detector]) -> Self {
        if detectors.is_empty() || self.iter().all(|(_, line)| redact(detectors, line).is_none()) {
            return self;
        }
        let mut clean = Self::with_capacity(self.bytes.len());
        for (mark, line) in self.iter() {
            match redact(detectors, line) {
                None => clean.push(line, mark.offset, mark.full_size, mark.flags),
                Some(line) => clean.push(&line, mark.offset, mark.full_size, mark.flags | flag::REDACTED),
            }
        }
        clean
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

/// Bytes of typed records after which they are handed over; one record more may stand in them.
pub const RECORDS_BYTES_MAX: usize = 64 * 1024;

/// Typed records of one source, in the order in which they were made. Nothing can be read again: those that are not
/// taken are lost, and counted.
#[derive(Clone, PartialEq, Debug)]
pub struct Records {
    /// Who made them.
    pub source: SourceIndex,
    /// Where they go.
    pub lane: Lane,
    /// When they were made.
    pub read_at: Timestamp,
    /// The channel, e.g. the interface.
    pub log_name: Arc<str>,
    /// The fields of each.
    records: Vec<Vec<(String, Value)>>,
    bytes: usize,
}

/// Bytes that a value takes, encoded, at most.
fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::I64(_) | Value::U64(_) | Value::F64(_) | Value::Time(_) => 11,
        Value::Ip(_) => 17,
        Value::String(text) => 11 + text.len(),
        Value::Bytes(bytes) => 11 + bytes.len(),
        Value::List(items) => 11 + items.iter().map(value_bytes).sum::<usize>(),
        Value::Map(fields) => 11 + fields_bytes(fields),
    }
}

/// Bytes that the fields of a record take at most: encoded, and their keys once as JSON. In memory it is about as much
/// and twice that for small values.
#[must_use]
pub fn fields_bytes(fields: &[(String, Value)]) -> usize {
    // A key is a number of the frame's table; a new one stands there in quotes, with a comma.
    11 + fields.iter().map(|(key, value)| 3 + 2 * key.len() + 3 + value_bytes(value)).sum::<usize>()
}

impl Records {
    /// None yet.
    #[must_use]
    pub fn new(source: SourceIndex, lane: Lane, read_at: Timestamp, log_name: Arc<str>) -> Self {
        Self { source, lane, read_at, log_name, records: Vec::new(), bytes: 0 }
    }

    /// Appends a record.
    pub fn push(&mut self, fields: Vec<(String, Value)>) {
        self.bytes += fields_bytes(&fields);
        self.records.push(fields);
    }

    /// Whether it is time to hand over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= RECORDS_BYTES_MAX
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Their bytes, at most, encoded.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The fields of each record.
    #[must_use]
    pub fn records(&self) -> &[Vec<(String, Value)>] {
        &self.records
    }

    /// Leaves away the first `count`.
    pub fn skip(&mut self, count: usize) {
        self.bytes -=
            self.records.drain(..count.min(self.records.len())).map(|fields| fields_bytes(&fields)).sum::<usize>();
    }
}

/// What a loss is counted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LossUnit {
    /// Records: lines, or typed ones.
    Records,
    /// Packets, of which nobody knows how many records they would have been part of.
    Packets,
    /// Flows.
    Flows,
    /// Events of the kernel.
    Events,
    /// Changes of files, of which nobody knows how many there were.
    FileChanges,
}

impl LossUnit {
    /// The word in loss records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Packets => "packets",
            Self::Flows => "flows",
            Self::Events => "events",
            Self::FileChanges => "file_changes",
        }
    }
}

/// Something that nobody will see, as a typed record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// Whose.
    pub source: SourceIndex,
    /// The lane on which they would have gone.
    pub lane: Lane,
    /// Why.
    pub reason: LossReason,
    /// The file (invalid UTF-8 replaced) or interface.
    pub path: Arc<str>,
    /// How many, where that is known.
    pub count: Option<u64>,
    /// Of what.
    pub unit: LossUnit,
    /// What else was counted, by name.
    pub details: Vec<(&'static str, u64)>,
    /// When the file was last known to be whole.
    pub from: Timestamp,
    /// When the loss was noticed.
    pub to: Timestamp,
}

impl Loss {
    /// The fields of its record. `count` counts records, or what `unit` says: that stands outside of the books.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, Value)> {
        let text = |text: &str| Value::String(text.to_owned());
        let mut fields = vec![
            ("picket.record".to_owned(), text("loss")),
            ("reason".to_owned(), text(self.reason.name())),
            ("path".to_owned(), text(&self.path)),
            ("from".to_owned(), Value::Time(self.from)),
            ("to".to_owned(), Value::Time(self.to)),
        ];
        fields.extend(self.count.map(|count| ("count".to_owned(), Value::U64(count))));
        if self.unit != LossUnit::Records {
            fields.push(("unit".to_owned(), text(self.unit.name())));
        }
        fields.extend(self.details.iter().map(|(name, count)| ((*name).to_owned(), Value::U64(*count))));
        fields
    }
}

/// The outlet takes no more: the source ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("stopped")]
pub struct Stopped;

/// Why typed records were not taken. They are lost by then: what had no room is counted as `spool_full` on its lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Untaken {
    /// The lane had no room in time; the source goes on.
    #[error("the lane is full")]
    Full,
    /// The program has ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Where a source hands over. Lines and losses wait while the lane is full; that is all the backpressure there is for
/// sources that can be rewound. Typed records wait for a moment only: who makes them cannot wait.
pub trait Outlet: Send {
    /// Takes a chunk whole.
    ///
    /// # Errors
    /// [`Stopped`] when the program ends; the chunk was not taken.
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped>;

    /// Takes typed records; waits for room for at most `patience`, and not at all where the lane stands still. They are
    /// taken while sources are being stopped, too.
    ///
    /// # Errors
    /// [`Untaken`]: none of them was taken.
    fn records(&mut self, records: Records, patience: Duration) -> Result<(), Untaken>;

    /// Takes typed records of a source that would make them again; waits for room as lines do.
    ///
    /// # Errors
    /// [`Stopped`] when the program ends; they were not taken.
    fn remade_records(&mut self, records: Records) -> Result<(), Stopped> {
        self.records(records, Duration::from_secs(u64::from(u32::MAX))).map_err(|_| Stopped)
    }

    /// Seals what was handed over on `lane` and waits until it is on disk; whether all of it is. An outlet that keeps
    /// nothing in memory has nothing to do.
    fn settle(&mut self, lane: Lane) -> bool {
        let _ = lane;
        true
    }

    /// Takes word of a loss.
    ///
    /// # Errors
    /// [`Stopped`] when the program ends; the loss was not taken.
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped>;

    /// Who holds the program within its limits; none: there are no limits.
    fn governor(&self) -> Option<&Governor> {
        None
    }

    /// Whether a source is to leave this for later.
    fn defers(&self, what: Deferred) -> bool {
        self.governor().is_some_and(|governor| governor.defers(what))
    }

    /// A source left this for later, or out, so often.
    fn deferred(&self, what: Deferred, count: u64) {
        if let Some(governor) = self.governor() {
            governor.deferred(what, count);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_buffers_of_the_usual_size_wait_as_the_bound_says() {
        let spares = Spares(Mutex::new(Vec::new()));
        let of = |capacity| Lines { bytes: Vec::with_capacity(capacity), marks: Vec::new() };
        let of_many = Lines { marks: Vec::with_capacity(SPARE_MARKS_MAX + 1), ..of(CHUNK_BYTES_MAX) };
        for unusual in [of(CHUNK_BYTES_MAX / 2), of(2 * CHUNK_BYTES_MAX), of_many] {
            spares.leave(unusual);
            assert!(spares.lock().is_empty());
        }
        for _ in 0..=SPARES_MAX {
            let mut lines = of(CHUNK_BYTES_MAX);
            lines.push(b"text", 0, 4, 0);
            spares.leave(lines);
        }
        assert_eq!(spares.lock().len(), SPARES_MAX);
        assert_eq!(spares.lock().pop(), Some(Lines::default()), "nothing of what was taken is left");
    }
}
