//! The batch: records of one lane on their way into a frame, as columns.
//!
//! A frame explains itself: its context names the host, its time zone, its configuration and every origin
//! (source and file), so that it can be normalized years later without the fleet file of its day.
//!
//! ```text
//! id  column    what it holds
//!  1  context   JSON: host and origins
//!  2  length    varint per record: bytes of its text or encoding
//!  3  origin    runs (count, origin) of positions in the context's table; absent: all 0
//!  4  read_at   runs (count, zigzag delta to the run before), ns
//!  5  flags     runs (count, flags); absent: all 0
//!  6  offset    (records since the last entry, zigzag of offset − predicted), where a line does not begin
//!               right behind the one before it from the same origin
//!  7  full_size (records since the last entry, size) of lines that were cut
//!  8  bytes     text of all lines without their terminators, encodings of typed records, back to back
//!  9  keys      JSON list: key names of typed records
//! ```
//!
//! Lines of a log are predictable: one run of times and origins per read, no offset but the first. What is
//! left beside the text is about a byte a line.
//!
//! Invariants: the lengths add up to the bytes; runs cover exactly the records of the frame; every origin
//! index is in the table. A body that breaks one does not open as a batch ([`BatchError`]), as a whole.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::{COLUMN_TYPE_BYTES, COLUMN_TYPE_JSON, COLUMN_TYPE_VARINT, Column};
use crate::limits::{CHUNK_BYTES_MAX, FRAME_ORIGINS_MAX, FRAME_RAW_BYTES_MAX, FRAME_RECORDS_MAX};
use crate::record::Value;
use crate::time::Timestamp;

pub mod front;
mod marks;
mod typed;
mod varint;

use marks::{Mark, full_sizes, lengths, offsets, read_times, runs};
use varint::{put_signed, put_unsigned};

/// The line was longer than `max_line_bytes` and was cut; `full_size` tells how long it was.
pub const FLAG_TRUNCATED: u8 = 0x01;
/// The line ended in CR LF, which is not part of its bytes.
pub const FLAG_CRLF: u8 = 0x02;
/// The file ended (and was gone) before the line's newline came.
pub const FLAG_UNTERMINATED: u8 = 0x04;
/// Secrets in the line were replaced before it was kept; `full_size` tells how long it was.
pub const FLAG_REDACTED: u8 = 0x08;
/// Not a line but a typed record.
const FLAG_TYPED: u8 = 0x80;

const CONTEXT: u16 = 1;
const LENGTH: u16 = 2;
const ORIGIN: u16 = 3;
const READ_AT: u16 = 4;
const FLAGS: u16 = 5;
const OFFSET: u16 = 6;
const FULL_SIZE: u16 = 7;
const BYTES: u16 = 8;
const KEYS: u16 = 9;

/// Room kept for columns beside the text, per record at most: length, and its share of the other columns.
const RECORD_OVERHEAD_BYTES: usize = 24;
/// Raw bytes that the context may take beside its origins.
const CONTEXT_RESERVE_BYTES: usize = 16 << 10;
/// Bytes of an origin's JSON beside its values, and its index.
const ORIGIN_OVERHEAD_BYTES: usize = 96;

/// What is the same for all frames of a host until it restarts or is configured anew.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostContext {
    /// Version of the agent that sealed the frame.
    pub agent_version: String,
    /// The host's name as it sees itself.
    pub hostname: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// Minutes east of UTC of the host's local time.
    pub utc_offset_minutes: i32,
    /// SHA-256 of the configuration in force.
    pub config_hash: String,
    /// Operating system, as `PRETTY_NAME` of os-release.
    pub os_name: String,
    /// Kernel release.
    pub kernel_release: String,
}

/// Where records come from: a source and, for files, which one.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The source's name in the fleet file.
    pub source: String,
    /// The source's type: `file`, `journald`, ….
    #[serde(rename = "type")]
    pub kind: String,
    /// The format that its lines are declared to have, or `auto`.
    pub format: String,
    /// Path or channel.
    pub log_name: String,
    /// Container id, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// The context column.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Context<'a> {
    /// The host.
    #[serde(flatten)]
    pub host: Cow<'a, HostContext>,
    /// The origins that records of this frame refer to.
    pub origins: Vec<Arc<Origin>>,
}

/// One line as it stood in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// Its bytes without the terminator, cut at the source's bound.
    pub bytes: &'a [u8],
    /// Where it begins in its file.
    pub offset: u64,
    /// Its size before it was cut or redacted, terminator not counted; equals `bytes.len()` when it was neither.
    pub full_size: u64,
    /// `FLAG_*`.
    pub flags: u8,
}

impl Origin {
    /// Bytes that it takes in a context, at most.
    fn json_len(&self) -> usize {
        let escaped = |text: &String| {
            let cost = |byte: u8| if byte < 0x20 { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) };
            text.bytes().map(cost).sum::<usize>()
        };
        let texts =
            [Some(&self.source), Some(&self.kind), Some(&self.format), Some(&self.log_name), self.container.as_ref()];
        ORIGIN_OVERHEAD_BYTES + texts.into_iter().flatten().map(escaped).sum::<usize>()
    }
}

impl Line<'_> {
    /// Where the next line begins if nothing stands between them.
    fn end(&self) -> u64 {
        let terminator =
            if self.flags & FLAG_UNTERMINATED != 0 { 0 } else { 1 + u64::from(self.flags & FLAG_CRLF != 0) };
        self.offset.wrapping_add(self.full_size).wrapping_add(terminator)
    }
}

/// Pairs (count, value) in which equal neighbors share one pair.
#[derive(Default)]
struct Runs {
    bytes: Vec<u8>,
    count: u64,
    value: i64,
    trivial: bool,
}

impl Runs {
    fn push(&mut self, value: i64) {
        if self.count > 0 && value != self.value {
            self.close();
        }
        self.value = value;
        self.count += 1;
    }

    fn close(&mut self) {
        put_unsigned(&mut self.bytes, self.count);
        put_signed(&mut self.bytes, self.value);
        self.count = 0;
    }

    fn finish(&mut self) {
        self.trivial = self.bytes.is_empty() && self.value == 0;
        if self.count > 0 {
            self.close();
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        (self.count, self.value, self.trivial) = (0, 0, false);
    }
}

/// Entries for some records only, as (records since the last entry, value).
#[derive(Default)]
struct Sparse {
    bytes: Vec<u8>,
    last: u64,
}

impl Sparse {
    fn push(&mut self, record: u64, value: u64) {
        put_unsigned(&mut self.bytes, record - self.last);
        put_unsigned(&mut self.bytes, value);
        self.last = record;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.last = 0;
    }
}

/// Records of one lane, growing until they are sealed. Reused: [`Batch::clear`] keeps up to 256 KiB of room.
#[derive(Default)]
pub struct Batch {
    origins: Vec<Arc<Origin>>,
    predicted: Vec<u64>,
    records: u32,
    last_read_at: i64,
    lengths: Vec<u8>,
    origin: Runs,
    read_at: Runs,
    flags: Runs,
    offset: Sparse,
    full_size: Sparse,
    bytes: Vec<u8>,
    keys: Vec<String>,
    /// What the key names take as JSON, without escapes.
    key_bytes: usize,
    /// What the origins take as JSON.
    origin_bytes: usize,
}

impl Batch {
    /// Records so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// True before the first record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Bytes of text and columns so far; a frame is sealed at [`FRAME_RAW_BYTES_SEAL`](crate::limits::FRAME_RAW_BYTES_SEAL).
    #[must_use]
    pub fn raw_len(&self) -> usize {
        self.bytes.len()
            + self.lengths.len()
            + self.origin.bytes.len()
            + self.read_at.bytes.len()
            + self.flags.bytes.len()
            + self.offset.bytes.len()
            + self.full_size.bytes.len()
            + self.key_bytes
    }

    /// Whether `lines` more records with `bytes` of text from `origin` are sure to fit.
    #[must_use]
    pub fn has_room(&self, origin: &Arc<Origin>, lines: usize, bytes: usize) -> bool {
        let named = self.position(origin).is_some();
        let origins_left = self.origins.len() < FRAME_ORIGINS_MAX || named;
        let records_left = usize::try_from(FRAME_RECORDS_MAX - self.records).unwrap_or(0);
        let more = bytes.saturating_add(lines.saturating_mul(RECORD_OVERHEAD_BYTES));
        let context = CONTEXT_RESERVE_BYTES + self.origin_bytes + if named { 0 } else { origin.json_len() };
        let raw = self.raw_len().saturating_add(more).saturating_add(context);
        origins_left && lines <= records_left && raw <= FRAME_RAW_BYTES_MAX
    }

    fn position(&self, origin: &Arc<Origin>) -> Option<usize> {
        self.origins.iter().rposition(|known| Arc::ptr_eq(known, origin) || known == origin)
    }

    /// The place of `origin` in this batch's table, for [`Batch::push_line`]. Valid until [`Batch::clear`].
    pub fn origin(&mut self, origin: &Arc<Origin>) -> OriginIndex {
        OriginIndex(self.position(origin).unwrap_or_else(|| {
            self.origins.push(Arc::clone(origin));
            self.origin_bytes += origin.json_len();
            self.predicted.push(0);
            self.origins.len() - 1
        }))
    }

    fn push_common(&mut self, origin: OriginIndex, read_at: Timestamp, len: usize, flags: u8) {
        put_unsigned(&mut self.lengths, len as u64);
        self.origin.push(i64::try_from(origin.0).unwrap_or(i64::MAX));
        let delta = read_at.0.wrapping_sub(self.last_read_at);
        // A run of one time is one pair: only its first record carries the step from the time before.
        if delta != 0 || self.records == 0 {
            if self.read_at.count > 0 {
                self.read_at.close();
            }
            self.read_at.value = delta;
        }
        self.read_at.count += 1;
        self.last_read_at = read_at.0;
        self.flags.push(i64::from(flags));
        self.records += 1;
    }

    /// Appends a line. The caller has asked [`Batch::has_room`].
    pub fn push_line(&mut self, origin: OriginIndex, read_at: Timestamp, line: Line<'_>) {
        let record = u64::from(self.records);
        if let Some(predicted) = self.predicted.get_mut(origin.0) {
            if *predicted != line.offset {
                self.offset.push(record, varint::zigzag(line.offset.wrapping_sub(*predicted).cast_signed()));
            }
            *predicted = line.end();
        }
        if line.flags & (FLAG_TRUNCATED | FLAG_REDACTED) != 0 {
            self.full_size.push(record, line.full_size);
        }
        self.push_common(origin, read_at, line.bytes.len(), line.flags & !FLAG_TYPED);
        self.bytes.extend_from_slice(line.bytes);
    }

    /// Appends a typed record; fields keep their order. Returns false, and appends nothing, when it is too
    /// large or nested deeper than [`VALUE_DEPTH_MAX`](crate::limits::VALUE_DEPTH_MAX).
    #[must_use]
    pub fn push_typed(&mut self, origin: OriginIndex, read_at: Timestamp, fields: &[(String, Value)]) -> bool {
        let (start, keys) = (self.bytes.len(), self.keys.len());
        let fits =
            typed::encode(&mut self.bytes, &mut self.keys, fields) && self.bytes.len() - start <= CHUNK_BYTES_MAX;
        if fits {
            self.push_common(origin, read_at, self.bytes.len() - start, FLAG_TYPED);
            self.key_bytes += self.keys.iter().skip(keys).map(|key| key.len() + 3).sum::<usize>();
        } else {
            self.bytes.truncate(start);
            self.keys.truncate(keys);
        }
        fits
    }

    /// Hands the columns to `seal` (usually [`Sealer::data`](crate::frame::Sealer::data)).
    pub fn with_columns<R>(&mut self, host: &HostContext, seal: impl FnOnce(u32, &[Column<'_>]) -> R) -> R {
        for runs in [&mut self.origin, &mut self.read_at, &mut self.flags] {
            runs.finish();
        }
        let context = Context { host: Cow::Borrowed(host), origins: self.origins.clone() };
        let context = serde_json::to_vec(&context).expect("strings and numbers always encode as JSON");
        let keys = serde_json::to_vec(&self.keys).expect("strings always encode as JSON");
        let columns: [(bool, Column<'_>); 9] = [
            (true, (CONTEXT, COLUMN_TYPE_JSON, &context)),
            (true, (LENGTH, COLUMN_TYPE_VARINT, &self.lengths)),
            (!self.origin.trivial, (ORIGIN, COLUMN_TYPE_VARINT, &self.origin.bytes)),
            (true, (READ_AT, COLUMN_TYPE_VARINT, &self.read_at.bytes)),
            (!self.flags.trivial, (FLAGS, COLUMN_TYPE_VARINT, &self.flags.bytes)),
            (!self.offset.bytes.is_empty(), (OFFSET, COLUMN_TYPE_VARINT, &self.offset.bytes)),
            (!self.full_size.bytes.is_empty(), (FULL_SIZE, COLUMN_TYPE_VARINT, &self.full_size.bytes)),
            (true, (BYTES, COLUMN_TYPE_BYTES, &self.bytes)),
            (!self.keys.is_empty(), (KEYS, COLUMN_TYPE_JSON, &keys)),
        ];
        let present: Vec<Column<'_>> = columns.into_iter().filter(|(present, _)| *present).map(|(_, c)| c).collect();
        seal(self.records, &present)
    }

    /// Forgets the records; gives back room beyond what a usual batch needs.
    pub fn clear(&mut self) {
        self.origins.clear();
        self.predicted.clear();
        self.records = 0;
        self.last_read_at = 0;
        self.lengths.clear();
        for runs in [&mut self.origin, &mut self.read_at, &mut self.flags] {
            runs.clear();
        }
        self.offset.clear();
        self.full_size.clear();
        self.bytes.clear();
        self.keys.clear();
        (self.key_bytes, self.origin_bytes) = (0, 0);
        self.bytes.shrink_to(crate::limits::FRAME_RAW_BYTES_SEAL);
        self.lengths.shrink_to(64 << 10);
    }

    /// Gives all room back to the system: for a lane that has been quiet for a while.
    pub fn release(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// Place of an origin in a batch's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginIndex(usize);

/// Why a body is not a batch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("frame body is not a batch: column {column} {what}")]
pub struct BatchError {
    column: &'static str,
    what: &'static str,
}

/// What a record of an opened batch is.
#[derive(Clone, PartialEq, Debug)]
pub enum Body<'a> {
    /// A line of a log.
    Line(Line<'a>),
    /// A typed record: keys are OCSF attribute paths.
    Typed(Vec<(&'a str, Value)>),
}

/// One record of an opened batch.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordView<'a> {
    /// Place of its origin in the context's table.
    pub origin: usize,
    /// When the agent read it.
    pub read_at: Timestamp,
    /// The record itself.
    pub body: Body<'a>,
    /// Its bytes as text, where the bytes of all records of the batch are text: nobody need look at them again.
    pub text: Option<&'a str>,
}

/// An opened batch: every column checked, records ready to be walked.
pub struct BatchView<'a> {
    context: Context<'static>,
    marks: Vec<Mark>,
    bytes: &'a [u8],
    keys: Vec<String>,
}

fn json<T: for<'de> Deserialize<'de>>(column: &'static str, bytes: &[u8]) -> Result<T, BatchError> {
    serde_json::from_slice(bytes).map_err(|_| BatchError { column, what: "is not the JSON that it should be" })
}

impl<'a> BatchView<'a> {
    /// Checks the columns of a data frame with `records` records.
    ///
    /// # Errors
    /// [`BatchError`] names the column that does not hold together with the others.
    pub fn parse(columns: &[Column<'a>], records: u32) -> Result<Self, BatchError> {
        let column = |id: u16| columns.iter().find(|c| c.0 == id).map(|c| c.2);
        let count = usize::try_from(records.min(FRAME_RECORDS_MAX)).unwrap_or(0);
        let bytes = column(BYTES).unwrap_or_default();
        let context: Context<'static> = json("context", column(CONTEXT).unwrap_or(b"{}"))?;
        let keys = column(KEYS).map_or_else(|| Ok(Vec::new()), |bytes| json("keys", bytes))?;
        let mut marks = lengths(column(LENGTH).unwrap_or_default(), count, bytes.len())?;
        let origins = i64::try_from(context.origins.len()).unwrap_or(0);
        runs("origin", column(ORIGIN), &mut marks, |mark, origin| {
            mark.origin = u32::try_from(origin).unwrap_or(u32::MAX);
            (0..origins).contains(&origin)
        })?;
        runs("flags", column(FLAGS), &mut marks, |mark, flags| {
            mark.flags = u8::try_from(flags).unwrap_or(0);
            (0..=255).contains(&flags)
        })?;
        read_times(column(READ_AT).unwrap_or_default(), &mut marks)?;
        full_sizes(column(FULL_SIZE).unwrap_or_default(), &mut marks)?;
        offsets(column(OFFSET).unwrap_or_default(), &mut marks, context.origins.len())?;
        Ok(Self { context, marks, bytes, keys })
    }

    /// Host and origins.
    #[must_use]
    pub fn context(&self) -> &Context<'static> {
        &self.context
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// True without records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Every record in order. A typed record whose encoding does not hold together comes as an error, alone.
    pub fn iter(&self) -> impl Iterator<Item = Result<RecordView<'_>, BatchError>> {
        let mut start = 0;
        // One look at all bytes is cheaper than one at each line.
        let all = std::str::from_utf8(self.bytes).ok();
        self.marks.iter().map(move |mark| {
            let bytes = self.bytes.get(start..mark.end).unwrap_or_default();
            let text = all.and_then(|text| text.get(start..mark.end));
            start = mark.end;
            let body = if mark.flags & FLAG_TYPED == 0 {
                Body::Line(Line { bytes, offset: mark.offset, full_size: mark.full_size, flags: mark.flags })
            } else {
                let broken = BatchError { column: "bytes", what: "holds a typed record that does not decode" };
                Body::Typed(typed::decode(bytes, &self.keys).ok_or(broken)?)
            };
            Ok(RecordView { origin: mark.origin as usize, read_at: Timestamp(mark.read_at), body, text })
        })
    }
}

#[cfg(test)]
mod tests;
