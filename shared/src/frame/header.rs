//! The header: 115 bytes that say what a frame is, checked before anything behind them is looked at.

use crate::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use crate::limits::{FRAME_RAW_BYTES_MAX, FRAME_RECORDS_MAX};
use crate::time::Timestamp;

/// First bytes of every frame.
pub const MAGIC: [u8; 4] = *b"PCKT";
/// The version that this build seals, and the highest that it opens.
pub const VERSION: u8 = 1;
/// Bytes of a version 1 header.
pub const HEADER_LEN: usize = 115;
/// The frame was sealed again with a new header after a fork: its records may have arrived before.
pub const FLAG_RESEALED: u16 = 0x0001;
/// Flags that a reader must understand to open the frame.
const FLAGS_MANDATORY: u16 = 0xff00;

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FrameKind {
    /// Records.
    Data = 1,
    /// The notice that sequences were lost, in their place.
    Loss = 2,
    /// The first frame of an epoch.
    Genesis = 3,
}

/// How the body is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Codec {
    /// As it is.
    Stored = 0,
    /// One zstd frame.
    Zstd = 1,
}

/// A frame's header, in fields. Invariants of a parsed one: `1 ≤ span`, `body_len ≤ raw_len ≤ 1 MiB`,
/// `records ≤ 2^20` (loss frames: any), `1 ≤ sequence`, and no number range wraps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Version of the format.
    pub version: u8,
    /// Data, loss or genesis.
    pub kind: FrameKind,
    /// How the body is stored.
    pub codec: Codec,
    /// Which chain the frame stands in.
    pub chain: ChainId,
    /// Flags; those in the high byte are all understood.
    pub flags: u16,
    /// Place in the chain.
    pub sequence: u64,
    /// Sequences that it stands for.
    pub span: u32,
    /// Number of its first record.
    pub first_record: u64,
    /// How many records it carries (or, a loss frame, how many are lost).
    pub records: u32,
    /// When it was sealed, by the host's clock.
    pub sealed_at: Timestamp,
    /// Bytes of the body before compression.
    pub raw_len: u32,
    /// Bytes of the body as stored.
    pub body_len: u32,
    /// Hash of the frame before it.
    pub prev: FrameHash,
    /// CRC-32C of the body as stored.
    pub body_crc: u32,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// Fewer bytes than a header, or than the header announces.
    #[error("frame is cut short: {have} bytes of {need}")]
    Short {
        /// Bytes there are.
        have: usize,
        /// Bytes there should be.
        need: usize,
    },
    /// Does not begin with the magic.
    #[error("not a frame: wrong magic")]
    Magic,
    /// A later version, or a flag that must be understood and is not: keep it for a newer program.
    #[error(
        "frame version {version} with flags {flags:#06x} is newer than this program reads (version {VERSION}); upgrade it"
    )]
    Newer {
        /// The frame's version.
        version: u8,
        /// The frame's flags.
        flags: u16,
    },
    /// A checksum does not match.
    #[error("frame {part} does not match its checksum")]
    Checksum {
        /// `header` or `body`.
        part: &'static str,
    },
    /// A field is outside its bounds.
    #[error("frame header is out of bounds: {field}")]
    Bounds {
        /// Which field.
        field: &'static str,
    },
    /// The body does not decompress or decode.
    #[error("frame body does not open: {what}")]
    Body {
        /// What was wrong with it.
        what: &'static str,
    },
}

/// Reads little-endian fields one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((chunk, rest)) => {
                self.0 = rest;
                *chunk
            }
            None => [0; N],
        }
    }

    fn u8(&mut self) -> u8 {
        let [byte] = self.take();
        byte
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

impl Header {
    /// Reads and checks the header at the start of `bytes`. Nothing behind the header is looked at.
    ///
    /// # Errors
    /// Every way in which the bytes are not a header that this program reads. [`FrameError::Newer`] is
    /// told apart from damage by the checksum, which every version keeps in its last four bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let short = |need| FrameError::Short { have: bytes.len(), need };
        let (prelude, _) = bytes.split_at_checked(6).ok_or(short(HEADER_LEN))?;
        let (Some(version), Some(&header_len)) = (prelude.get(4).copied(), prelude.get(5)) else {
            return Err(short(6));
        };
        if !prelude.starts_with(&MAGIC) {
            return Err(FrameError::Magic);
        }
        let header_len = usize::from(header_len);
        if header_len < HEADER_LEN {
            return Err(FrameError::Bounds { field: "header_len" });
        }
        let (head, _) = bytes.split_at_checked(header_len).ok_or(short(header_len))?;
        let (covered, stored) = head.split_last_chunk::<4>().ok_or(short(header_len))?;
        if crc32c::crc32c(covered) != u32::from_le_bytes(*stored) {
            return Err(FrameError::Checksum { part: "header" });
        }
        let flags = head.get(9..11).map_or(0, |pair| Fields(pair).u16());
        if version != VERSION || header_len != HEADER_LEN || flags & FLAGS_MANDATORY != 0 {
            return Err(FrameError::Newer { version, flags });
        }
        Self::fields(Fields(covered.get(6..).unwrap_or_default()), version)
    }

    fn fields(mut f: Fields<'_>, version: u8) -> Result<Self, FrameError> {
        let bounds = |field| FrameError::Bounds { field };
        let kind = match f.u8() {
            1 => FrameKind::Data,
            2 => FrameKind::Loss,
            3 => FrameKind::Genesis,
            _ => return Err(bounds("kind")),
        };
        let codec = match f.u8() {
            0 => Codec::Stored,
            1 => Codec::Zstd,
            _ => return Err(bounds("codec")),
        };
        let lane = Lane::from_u8(f.u8()).ok_or(bounds("lane"))?;
        let flags = f.u16();
        let chain = ChainId { agent: AgentId(f.take()), epoch: Epoch(f.u64()), lane };
        let header = Self {
            version,
            kind,
            codec,
            chain,
            flags,
            sequence: f.u64(),
            span: f.u32(),
            first_record: f.u64(),
            records: f.u32(),
            sealed_at: Timestamp(f.u64().cast_signed()),
            raw_len: f.u32(),
            body_len: f.u32(),
            prev: FrameHash(f.take()),
            body_crc: f.u32(),
        };
        header.check()?;
        Ok(header)
    }

    pub(super) fn check(&self) -> Result<(), FrameError> {
        let bounds = |field| Err(FrameError::Bounds { field });
        if usize::try_from(self.raw_len).map_or(true, |len| len > FRAME_RAW_BYTES_MAX) {
            return bounds("raw_len");
        }
        if self.body_len > self.raw_len || (self.codec == Codec::Stored && self.body_len != self.raw_len) {
            return bounds("body_len");
        }
        if self.sequence == 0 || self.sequence.checked_add(u64::from(self.span)).is_none() {
            return bounds("sequence");
        }
        if self.first_record == 0 || self.first_record.checked_add(u64::from(self.records)).is_none() {
            return bounds("first_record");
        }
        match self.kind {
            FrameKind::Data if self.span != 1 => bounds("span"),
            FrameKind::Data if self.records > FRAME_RECORDS_MAX || self.records == 0 => bounds("records"),
            FrameKind::Data if self.sequence == 1 => bounds("sequence"),
            FrameKind::Loss if self.span == 0 => bounds("span"),
            FrameKind::Genesis if self.sequence != 1 || self.span != 1 => bounds("sequence"),
            FrameKind::Genesis if self.records != 0 || self.first_record != 1 => bounds("records"),
            FrameKind::Genesis if self.prev != FrameHash::ZERO => bounds("prev"),
            _ => Ok(()),
        }
    }

    /// The header's 115 bytes, checksum included.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        #[expect(clippy::cast_possible_truncation, reason = "115 fits a byte")]
        out.extend_from_slice(&[
            self.version,
            HEADER_LEN as u8,
            self.kind as u8,
            self.codec as u8,
            self.chain.lane as u8,
        ]);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(&self.chain.agent.0);
        out.extend_from_slice(&self.chain.epoch.0.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.span.to_le_bytes());
        out.extend_from_slice(&self.first_record.to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.sealed_at.0.to_le_bytes());
        out.extend_from_slice(&self.raw_len.to_le_bytes());
        out.extend_from_slice(&self.body_len.to_le_bytes());
        out.extend_from_slice(&self.prev.0);
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.try_into().expect("the fields above add up to 115 bytes")
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_len(&self) -> usize {
        HEADER_LEN + usize::try_from(self.body_len).unwrap_or(usize::MAX - HEADER_LEN)
    }

    /// The sequence after this frame.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(u64::from(self.span))
    }

    /// The number of the record after this frame.
    #[must_use]
    pub fn next_record(&self) -> u64 {
        self.first_record.saturating_add(u64::from(self.records))
    }
}
