//! A segment file: a header and records, and the scanner that finds them again whatever happened to it.
//!
//! ```text
//! header, 64 bytes:  magic "PCKTLOG1" · log id 16 · first u64 · created_at i64 · zero 20 · crc32c of the 60 before
//! record, 8-aligned: word u32 (more << 31 | kind << 24 | length) · crc32c u32 · committed_through u64 · payload · zero to 8
//! ```
//!
//! `more` says that the record and the next one count as one. `first` is the log offset of the first byte behind the header. A record's CRC is seeded with the log id and
//! its own offset and covers everything but itself, so that bytes inside a payload, or of another log, or of
//! this log at another place, never pass for a record. (ARCHITECTURE's record had a 17-byte header; with the
//! kind in the top byte of the length it is 16, which keeps payloads aligned. A length is below 16 MiB.)

use std::io;

use super::fs::File;
use crate::limits::{FRAME_RAW_BYTES_MAX, LOG_RECORD_BYTES_MAX};
use crate::time::Timestamp;

/// Bytes of a segment's header.
pub const SEGMENT_HEADER_LEN: u64 = 64;
/// Bytes of a record's header.
pub const RECORD_HEADER_LEN: usize = 16;

const MAGIC: [u8; 8] = *b"PCKTLOG1";
/// Read from the disk in pieces of this size.
const READ_BYTES: usize = 256 << 10;
/// What is given up of what the system does not read.
const PAGE_BYTES: usize = 4 << 10;
const HEADER: usize = 64;

const _: () = assert!(LOG_RECORD_BYTES_MAX < 1 << 24);

/// What a record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A frame (in the journal: wrapped with its position).
    Frame = 1,
    /// How far a source has read; stands behind the frames that it covers.
    Checkpoint = 2,
    /// Small: acks, reasons of holes, the books.
    Mark = 3,
    /// First record of a segment: everything needed to go on without what came before.
    State = 4,
    /// Last record of a finished journal segment.
    Seal = 5,
}

impl Kind {
    fn from_u8(number: u8) -> Option<Self> {
        [Self::Frame, Self::Checkpoint, Self::Mark, Self::State, Self::Seal].into_iter().find(|k| *k as u8 == number)
    }
}

impl Kind {
    /// Longest payload.
    fn bytes_max(self) -> usize {
        match self {
            // A wrapped frame is longer than the frame by less than this.
            Self::Frame => FRAME_RAW_BYTES_MAX + 512,
            Self::Checkpoint => 512,
            Self::Mark | Self::State | Self::Seal => LOG_RECORD_BYTES_MAX,
        }
    }
}

/// Header of a segment file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Which log it belongs to: 16 random bytes, drawn when the log is made.
    pub log_id: [u8; 16],
    /// Log offset of the first byte behind the header.
    pub first: u64,
    /// When it was begun.
    pub created_at: Timestamp,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.log_id);
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.created_at.0.to_le_bytes());
        out.extend_from_slice(&[0; 20]);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.try_into().expect("the fields above add up to 64 bytes")
    }

    /// Reads the header of an open segment; `None` when it is not one.
    pub(super) fn read(file: &dyn File) -> io::Result<Option<Self>> {
        let mut bytes = [0u8; HEADER];
        let got = read_full(file, &mut bytes, 0)?;
        let (covered, crc) = bytes.split_last_chunk::<4>().expect("64 is more than 4");
        if got < HEADER || !covered.starts_with(&MAGIC) || crc32c::crc32c(covered) != u32::from_le_bytes(*crc) {
            return Ok(None);
        }
        let field = |at: usize| covered.get(at..).and_then(|tail| tail.first_chunk::<8>()).copied().unwrap_or_default();
        let log_id = covered.get(8..).and_then(|tail| tail.first_chunk::<16>()).copied().unwrap_or_default();
        let created_at = Timestamp(i64::from_le_bytes(field(32)));
        Ok(Some(Self { log_id, first: u64::from_le_bytes(field(24)), created_at }))
    }
}

/// Reads until `buf` is full or the file ends.
fn read_full(file: &dyn File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64)? {
            0 => break,
            got => filled += got,
        }
    }
    Ok(filled)
}

fn record_crc(log_id: &[u8; 16], offset: u64, word: u32, committed_through: u64, payload: &[&[u8]]) -> u32 {
    let mut seed = [0u8; 36];
    for (to, from) in seed.iter_mut().zip(
        log_id.iter().chain(&offset.to_le_bytes()).chain(&word.to_le_bytes()).chain(&committed_through.to_le_bytes()),
    ) {
        *to = *from;
    }
    payload.iter().fold(crc32c::crc32c(&seed), |crc, part| crc32c::crc32c_append(crc, part))
}

/// Bytes that a record with a payload of `len` takes.
#[must_use]
pub fn record_len(len: usize) -> u64 {
    (RECORD_HEADER_LEN + len).next_multiple_of(8) as u64
}

/// Appends a record to `out`. `offset` is where it will stand in the log; the payload is below 16 MiB.
pub(super) fn encode_record(
    out: &mut Vec<u8>,
    log_id: &[u8; 16],
    offset: u64,
    committed_through: u64,
    (kind, continues): (Kind, bool),
    payload: &[&[u8]],
) {
    let len: usize = payload.iter().map(|part| part.len()).sum();
    debug_assert!(len <= kind.bytes_max(), "callers bound their payloads");
    let word = (u32::from(continues) << 31) | (u32::from(kind as u8) << 24) | u32::try_from(len).unwrap_or(0);
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(&record_crc(log_id, offset, word, committed_through, payload).to_le_bytes());
    out.extend_from_slice(&committed_through.to_le_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A record found by the scanner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its log offset.
    pub offset: u64,
    /// What it holds.
    pub kind: Kind,
    /// The log was durable up to here when the record was made.
    pub committed_through: u64,
    /// It and the next one were appended as one.
    pub continues: bool,
    /// What it holds, as bytes.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Log offset of what follows.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + record_len(self.payload.len())
    }
}

/// What the scanner found next.
#[derive(Debug)]
pub enum Found<'a> {
    /// A record.
    Record(Record<'a>),
    /// Bytes `[from, to)` that are none. `zero` when they hold nothing but zeros: room set aside.
    Gap {
        /// First log offset.
        from: u64,
        /// Log offset behind it.
        to: u64,
        /// All zeros.
        zero: bool,
    },
}

/// Walks the records of one segment, resynchronizing at each aligned offset after damage. Holds 256 KiB, or one
/// record where that is larger.
pub struct Scanner {
    file: Box<dyn File>,
    log_id: [u8; 16],
    first: u64,
    /// Log offset that is not scanned any more.
    end: u64,
    /// Log offset of the next byte to look at.
    at: u64,
    /// Log offset of `buf`'s first byte.
    buf_at: u64,
    buf: Vec<u8>,
    /// Log offset behind the last byte that the system would not read; 0 for none.
    unreadable_to: u64,
}

impl Scanner {
    /// Scans the log range `[from, end)` of an open segment whose header was read. `from` is a record's offset.
    pub(super) fn new(file: Box<dyn File>, header: &SegmentHeader, from: u64, end: u64) -> io::Result<Self> {
        let size = file.size()?.saturating_sub(SEGMENT_HEADER_LEN);
        let end = end.min(header.first + (size & !7));
        let at = from.max(header.first);
        Ok(Self {
            file,
            log_id: header.log_id,
            first: header.first,
            end,
            at,
            buf_at: at,
            buf: Vec::new(),
            unreadable_to: 0,
        })
    }

    /// Log offset that it will look at next.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Goes on up to `end` (more has been committed since).
    pub fn extend(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// True before the end.
    pub(super) fn has_more(&self) -> bool {
        self.at < self.end
    }

    /// Log offset behind the last byte that the system refused to read; 0 when it read all of them. They look
    /// like zeros, but are damage and not room set aside.
    pub(super) fn unreadable_to(&self) -> u64 {
        self.unreadable_to
    }

    /// Brings `[self.at, self.at + len)` into the buffer; false when the segment has no more.
    fn fill(&mut self, len: usize) -> bool {
        let len = len.next_multiple_of(8);
        if self.at + len as u64 > self.end {
            return false;
        }
        let have = self.buf_at + self.buf.len() as u64;
        if self.at >= self.buf_at && self.at + len as u64 <= have {
            return true;
        }
        let want = usize::try_from((self.end - self.at).min(READ_BYTES.max(len) as u64)).unwrap_or(len);
        self.buf.resize(want, 0);
        self.buf.shrink_to(READ_BYTES.max(len));
        self.buf_at = self.at;
        let position = self.at - self.first + SEGMENT_HEADER_LEN;
        match read_full(self.file.as_ref(), &mut self.buf, position) {
            Ok(got) => self.buf.truncate(got & !7),
            Err(_) => self.fill_around(position),
        }
        self.buf.len() >= len
    }

    /// Reads page by page: one that cannot be read is damage, not the end of the program nor of its neighbors.
    fn fill_around(&mut self, position: u64) {
        let mut at = 0;
        for page in self.buf.chunks_mut(PAGE_BYTES) {
            if read_full(self.file.as_ref(), page, position + at).is_err() {
                page.fill(0);
                self.unreadable_to = self.unreadable_to.max(self.buf_at + at + page.len() as u64);
            }
            at += page.len() as u64;
        }
    }

    fn window(&self, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(self.at.checked_sub(self.buf_at)?).ok()?;
        self.buf.get(start..start.checked_add(len)?)
    }

    /// The record at `self.at`: its kind, whether more belongs to it, payload length and `committed_through`, if its checksum holds.
    fn probe(&mut self) -> Option<(Kind, bool, usize, u64)> {
        if !self.fill(RECORD_HEADER_LEN) {
            return None;
        }
        let head: [u8; RECORD_HEADER_LEN] = self.window(RECORD_HEADER_LEN)?.try_into().ok()?;
        let ([word, crc, ..], committed) = (head.as_chunks::<4>().0, head.last_chunk::<8>()?) else { return None };
        let word = u32::from_le_bytes(*word);
        let committed = u64::from_le_bytes(*committed);
        let kind = Kind::from_u8(((word >> 24) & 0x7f).to_le_bytes().first().copied()?)?;
        let len = usize::try_from(word & 0x00ff_ffff).ok()?;
        // What a record of this log cannot be is told without its checksum: damage may look like a long record
        // at every word, and a state stands in one place only.
        let stands = kind != Kind::State || self.at == self.first;
        let claims = (self.first..=self.at).contains(&committed);
        if !stands || !claims || len > kind.bytes_max() || !self.fill(RECORD_HEADER_LEN + len) {
            return None;
        }
        let payload = self.window(RECORD_HEADER_LEN + len)?.get(RECORD_HEADER_LEN..)?;
        let sum = record_crc(&self.log_id, self.at, word, committed, &[payload]);
        (sum == u32::from_le_bytes(*crc)).then_some((kind, word >> 31 == 1, len, committed))
    }

    /// Skips aligned words that are zero; true when it moved.
    fn skip_zeros(&mut self) -> bool {
        let from = self.at;
        while self.fill(8) {
            let start = usize::try_from(self.at - self.buf_at).unwrap_or(0);
            let window = self.buf.get(start..).unwrap_or_default();
            let zeros = window.as_chunks::<8>().0.iter().take_while(|word| **word == [0; 8]).count() * 8;
            self.at += zeros as u64;
            if zeros < window.len() & !7 {
                break;
            }
        }
        self.at > from
    }

    /// The next record, or the bytes before it that are none; `None` at the end.
    pub fn find_next(&mut self) -> Option<Found<'_>> {
        let (from, mut zero) = (self.at, true);
        while self.at < self.end {
            if let Some((kind, continues, len, committed_through)) = self.probe() {
                if self.at > from {
                    return Some(Found::Gap { from, to: self.at, zero });
                }
                let offset = self.at;
                self.at += record_len(len);
                let start = usize::try_from(offset - self.buf_at).ok()? + RECORD_HEADER_LEN;
                let payload = self.buf.get(start..start + len)?;
                return Some(Found::Record(Record { offset, kind, committed_through, continues, payload }));
            }
            if !self.fill(8) {
                // The file is shorter than the log says.
                (self.at, zero) = (self.end, false);
            } else if !self.skip_zeros() {
                self.at += 8;
                zero = false;
            }
        }
        self.at = self.at.min(self.end);
        (self.at > from).then_some(Found::Gap { from, to: self.at, zero })
    }
}
