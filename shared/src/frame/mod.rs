//! The frame, version 1: a sealed batch of one lane, the same bytes on disk, on the wire and in the journal.
//!
//! ```text
//! offset  size  field            (all little-endian)
//!      0     4  magic            "PCKT"
//!      4     1  version          1
//!      5     1  header_len       115
//!      6     1  kind             1 data, 2 loss, 3 genesis
//!      7     1  codec            0 stored, 1 zstd
//!      8     1  lane             0 high, 1 normal, 2 bulk
//!      9     2  flags            high byte must be understood; 0x0001 resealed
//!     11    16  agent
//!     27     8  epoch
//!     35     8  sequence         1, 2, 3 … within (agent, epoch, lane); 1 is the genesis frame
//!     43     4  span             sequences that the frame stands for: 1, or the width of a hole
//!     47     8  first_record     number of its first record, from 1
//!     55     4  records
//!     59     8  sealed_at        ns since the Unix epoch
//!     67     4  raw_len          bytes of the body before compression, ≤ 1 MiB
//!     71     4  body_len         bytes that follow the header, ≤ raw_len
//!     75    32  prev             BLAKE3 of the previous frame's header and body
//!    107     4  body_crc32c
//!    111     4  header_crc32c    of the 111 bytes before it
//! ```
//!
//! The body is the `zstd` (or, where that does not shrink it, the plain bytes) of a `bincode` list of columns
//! `(id u16, type u8, bytes)`; unknown ids are skipped, so a new column is not a new version. Columns of data
//! frames are those of [`crate::batch`]; loss and genesis frames have one JSON column. Checks run from cheap
//! to dear: [`Header::parse`] bounds every length before anything is allocated, [`Frame::parse`] proves both
//! checksums, [`Frame::open`] decompresses and finds the columns.

mod header;
mod notice;

use std::fmt;
use std::sync::OnceLock;

use serde::Deserialize;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::identity::{ChainId, FrameHash};
use crate::limits::{FRAME_COLUMNS_MAX, FRAME_RAW_BYTES_MAX};
use crate::time::Timestamp;

pub use header::{Codec, FLAG_RESEALED, FrameError, FrameKind, HEADER_LEN, Header, MAGIC, VERSION};
pub use notice::{GenesisNotice, GenesisReason, LossNotice, PreviousEpoch};

/// Column of loss and genesis frames: their body as JSON.
const COLUMN_NOTICE: u16 = 1;

/// A whole frame whose checksums are right. Cheap to clone is not promised: it owns its bytes.
#[derive(Clone)]
pub struct Frame {
    header: Header,
    bytes: Vec<u8>,
    /// Made when somebody asks: who reads a log for what it says does not.
    hash: OnceLock<FrameHash>,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("header", &self.header).field("hash", &self.hash()).finish_non_exhaustive()
    }
}

/// Where a new frame stands: everything of its header that its body does not decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The chain.
    pub chain: ChainId,
    /// Place in the chain.
    pub sequence: u64,
    /// Number of its first record.
    pub first_record: u64,
    /// Hash of the frame before it.
    pub prev: FrameHash,
    /// The host's clock.
    pub sealed_at: Timestamp,
}

/// Makes frames: keeps one compression context and its buffers for all of them (about 1 MiB).
pub struct Sealer {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    raw: Vec<u8>,
    /// What `raw` is compressed into: of its pages only those are ever touched that a compressed body needs.
    packed: Vec<u8>,
}

impl Sealer {
    /// Level of compression. 1: ARCHITECTURE asks for at most twice the CPU of `zstd -1` on a host.
    const LEVEL: i32 = 1;

    /// A sealer with an empty context.
    ///
    /// # Errors
    /// When libzstd cannot allocate its context.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { compressor: Some(zstd::bulk::Compressor::new(Self::LEVEL)?), raw: Vec::new(), packed: Vec::new() })
    }

    /// Gives context and buffers back until the next frame is sealed.
    pub fn rest(&mut self) {
        *self = Self { compressor: None, raw: Vec::new(), packed: Vec::new() };
    }

    /// Seals columns of `records` records into a data frame.
    ///
    /// # Errors
    /// [`FrameError::Bounds`] when the columns are larger than a frame may be or hold no or too many
    /// records; batches are bounded so that this does not happen.
    pub fn data(&mut self, place: &Place, records: u32, columns: &[Column<'_>]) -> Result<Frame, FrameError> {
        self.seal(place, FrameKind::Data, (1, records), columns)
    }

    /// Seals the notice that `span` sequences with `records` records are lost.
    ///
    /// # Errors
    /// As [`Sealer::data`].
    pub fn loss(&mut self, place: &Place, span: u32, records: u32, notice: &LossNotice) -> Result<Frame, FrameError> {
        let body = serde_json::to_vec(notice).map_err(|_| FrameError::Body { what: "loss notice" })?;
        self.seal(place, FrameKind::Loss, (span, records), &[(COLUMN_NOTICE, COLUMN_TYPE_JSON, &body)])
    }

    /// Seals the first frame of `chain`.
    ///
    /// # Errors
    /// As [`Sealer::data`].
    pub fn genesis(&mut self, chain: ChainId, at: Timestamp, notice: &GenesisNotice) -> Result<Frame, FrameError> {
        let body = serde_json::to_vec(notice).map_err(|_| FrameError::Body { what: "genesis notice" })?;
        let place = Place { chain, sequence: 1, first_record: 1, prev: FrameHash::ZERO, sealed_at: at };
        self.seal(&place, FrameKind::Genesis, (1, 0), &[(COLUMN_NOTICE, COLUMN_TYPE_JSON, &body)])
    }

    fn seal(
        &mut self,
        place: &Place,
        kind: FrameKind,
        (span, records): (u32, u32),
        columns: &[Column<'_>],
    ) -> Result<Frame, FrameError> {
        self.raw.clear();
        bincode::encode_into_std_write(columns, &mut self.raw, BINCODE)
            .map_err(|_| FrameError::Body { what: "columns do not encode" })?;
        let raw_len = u32::try_from(self.raw.len()).map_err(|_| FrameError::Bounds { field: "raw_len" })?;
        if self.raw.len() > FRAME_RAW_BYTES_MAX {
            return Err(FrameError::Bounds { field: "raw_len" });
        }
        if self.packed.len() < self.raw.len() {
            // Made anew, so that the system gives pages of zeros where they are asked for.
            self.packed = vec![0; self.raw.len()];
        }
        if self.compressor.is_none() {
            self.compressor = zstd::bulk::Compressor::new(Self::LEVEL).ok();
        }
        let packed = self.compressor.as_mut().and_then(|zstd| {
            let len = zstd.compress_to_buffer(&self.raw, self.packed.as_mut_slice()).ok()?;
            self.packed.get(..len)
        });
        // A body that does not shrink is stored.
        let (codec, body) = match packed.filter(|packed| packed.len() < self.raw.len()) {
            Some(packed) => (Codec::Zstd, packed),
            None => (Codec::Stored, self.raw.as_slice()),
        };
        let header = Header {
            version: VERSION,
            kind,
            codec,
            chain: place.chain,
            flags: 0,
            sequence: place.sequence,
            span,
            first_record: place.first_record,
            records,
            sealed_at: place.sealed_at,
            raw_len,
            body_len: u32::try_from(body.len()).map_err(|_| FrameError::Bounds { field: "body_len" })?,
            prev: place.prev,
            body_crc: crc32c::crc32c(body),
        };
        header.check()?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(body);
        Ok(Frame { header, bytes, hash: OnceLock::new() })
    }
}

/// One column of a body: id, type, bytes.
pub type Column<'a> = (u16, u8, &'a [u8]);

/// Column type: opaque bytes.
pub const COLUMN_TYPE_BYTES: u8 = 0;
/// Column type: LEB128 numbers.
pub const COLUMN_TYPE_VARINT: u8 = 1;
/// Column type: zigzag LEB128 numbers.
pub const COLUMN_TYPE_ZIGZAG: u8 = 2;
/// Column type: one JSON document.
pub const COLUMN_TYPE_JSON: u8 = 3;

const BINCODE: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Fixint,
    bincode::config::Limit<FRAME_RAW_BYTES_MAX>,
> = bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<FRAME_RAW_BYTES_MAX>();

/// Room for opening bodies, reused from frame to frame; grows to at most 1 MiB.
#[derive(Default)]
pub struct Opener {
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    /// For the front of a body alone.
    decoder: Option<Decoder<'static>>,
    raw: Vec<u8>,
}

impl Frame {
    /// Takes `bytes` as one whole frame and proves both checksums.
    ///
    /// # Errors
    /// See [`FrameError`]; trailing bytes are [`FrameError::Bounds`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, FrameError> {
        let header = Header::parse(&bytes)?;
        let need = header.frame_len();
        if bytes.len() < need {
            return Err(FrameError::Short { have: bytes.len(), need });
        }
        if bytes.len() > need {
            return Err(FrameError::Bounds { field: "body_len" });
        }
        if crc32c::crc32c(bytes.get(HEADER_LEN..).unwrap_or_default()) != header.body_crc {
            return Err(FrameError::Checksum { part: "body" });
        }
        Ok(Self { header, bytes, hash: OnceLock::new() })
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Header and body, as they are stored and sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Header and body, given away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// BLAKE3 of header and body: `prev` of the next frame.
    #[must_use]
    pub fn hash(&self) -> FrameHash {
        *self.hash.get_or_init(|| FrameHash(*blake3::hash(&self.bytes).as_bytes()))
    }

    /// The head of the chain once this frame is in it: its hash or, behind a hole, the hash that its loss
    /// notice carries.
    ///
    /// # Errors
    /// [`FrameError::Body`] when a loss frame's notice does not open.
    pub fn head_after(&self, opener: &mut Opener) -> Result<FrameHash, FrameError> {
        match self.header.kind {
            FrameKind::Loss => Ok(self.loss_notice(opener)?.last_hash),
            FrameKind::Data | FrameKind::Genesis => Ok(self.hash()),
        }
    }

    /// The same body under a new header, flagged as resealed (after a fork).
    ///
    /// # Errors
    /// [`FrameError::Bounds`] when the place is not one for this kind of frame.
    pub fn reseal(&self, place: &Place) -> Result<Self, FrameError> {
        let mut header = self.header.clone();
        header.chain = place.chain;
        header.sequence = place.sequence;
        header.first_record = place.first_record;
        header.prev = place.prev;
        header.flags |= FLAG_RESEALED;
        header.check()?;
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(self.bytes.get(HEADER_LEN..).unwrap_or_default());
        Ok(Self { header, bytes, hash: OnceLock::new() })
    }

    /// Decompresses the body and finds its columns.
    ///
    /// # Errors
    /// [`FrameError::Body`] when it does not decompress to exactly `raw_len` bytes or is not a list of columns.
    pub fn open<'o>(&self, opener: &'o mut Opener) -> Result<Vec<Column<'o>>, FrameError> {
        let body = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        let raw_len = usize::try_from(self.header.raw_len).map_err(|_| FrameError::Bounds { field: "raw_len" })?;
        opener.raw.clear();
        match self.header.codec {
            Codec::Stored => opener.raw.extend_from_slice(body),
            Codec::Zstd => {
                if opener.decompressor.is_none() {
                    opener.decompressor = zstd::bulk::Decompressor::new().ok();
                }
                let decompressor =
                    opener.decompressor.as_mut().ok_or(FrameError::Body { what: "no memory for zstd" })?;
                opener.raw.reserve_exact(raw_len);
                decompressor
                    .decompress_to_buffer(body, &mut opener.raw)
                    .map_err(|_| FrameError::Body { what: "zstd refuses it" })?;
            }
        }
        if opener.raw.len() != raw_len {
            return Err(FrameError::Body { what: "its length is not raw_len" });
        }
        let (columns, used): (Vec<Column<'o>>, usize) = bincode::borrow_decode_from_slice(&opener.raw, BINCODE)
            .map_err(|_| FrameError::Body { what: "it is not a list of columns" })?;
        if used != raw_len || columns.len() > FRAME_COLUMNS_MAX {
            return Err(FrameError::Body { what: "it is not a list of columns" });
        }
        Ok(columns)
    }

    /// The first column of the body. Of a body of several blocks of zstd (128 KiB each) only those are decompressed that
    /// it stands in, which for the context of a batch is one.
    ///
    /// # Errors
    /// [`FrameError::Body`] when the body does not begin with a column. What is behind it is not looked at.
    pub fn open_first<'o>(&self, opener: &'o mut Opener) -> Result<Column<'o>, FrameError> {
        const BROKEN: FrameError = FrameError::Body { what: "it does not begin with a column" };
        let body = self.bytes.get(HEADER_LEN..).unwrap_or_default();
        let raw_len = usize::try_from(self.header.raw_len).map_err(|_| FrameError::Bounds { field: "raw_len" })?;
        opener.raw.clear();
        match self.header.codec {
            Codec::Stored => opener.raw.extend_from_slice(body),
            Codec::Zstd => {
                match &mut opener.decoder {
                    Some(decoder) => decoder.reinit().map_err(|_| BROKEN)?,
                    none => *none = Some(front_decoder().map_err(|_| FrameError::Body { what: "no memory for zstd" })?),
                }
                let decoder = opener.decoder.as_mut().ok_or(BROKEN)?;
                let mut input = InBuffer::around(body);
                fill(decoder, &mut input, &mut opener.raw, COLUMN_HEAD_LEN.min(raw_len))?;
                let (.., len): ColumnHead = bincode::decode_from_slice(&opener.raw, BINCODE).map_err(|_| BROKEN)?.0;
                let need = usize::try_from(len).ok().and_then(|len| len.checked_add(COLUMN_HEAD_LEN));
                fill(decoder, &mut input, &mut opener.raw, need.filter(|need| *need <= raw_len).ok_or(BROKEN)?)?;
            }
        }
        let first: Result<((u64, Column<'o>), usize), _> = bincode::borrow_decode_from_slice(&opener.raw, BINCODE);
        first.map(|((_, column), _)| column).map_err(|_| BROKEN)
    }

    fn notice<T: for<'de> Deserialize<'de>>(&self, opener: &mut Opener, what: &'static str) -> Result<T, FrameError> {
        let columns = self.open(opener)?;
        let notice = columns.iter().find(|(id, ..)| *id == COLUMN_NOTICE);
        notice.and_then(|(.., bytes)| serde_json::from_slice(bytes).ok()).ok_or(FrameError::Body { what })
    }

    /// The body of a loss frame.
    ///
    /// # Errors
    /// [`FrameError::Body`] when there is none.
    pub fn loss_notice(&self, opener: &mut Opener) -> Result<LossNotice, FrameError> {
        self.notice(opener, "it is not a loss notice")
    }

    /// The body of a genesis frame.
    ///
    /// # Errors
    /// [`FrameError::Body`] when there is none.
    pub fn genesis_notice(&self, opener: &mut Opener) -> Result<GenesisNotice, FrameError> {
        self.notice(opener, "it is not a genesis notice")
    }
}

/// What stands before the bytes of the first column: how many columns there are, its id, its type, how many bytes.
type ColumnHead = (u64, u16, u8, u64);

/// Bytes of a [`ColumnHead`].
const COLUMN_HEAD_LEN: usize = 19;

/// A decoder that makes room for no window that is larger than a body may be, whatever the body asks for.
fn front_decoder() -> std::io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(FRAME_RAW_BYTES_MAX.ilog2()))?;
    Ok(decoder)
}

/// Decompresses on until `raw` holds `need` bytes.
fn fill(
    decoder: &mut Decoder<'static>,
    input: &mut InBuffer<'_>,
    raw: &mut Vec<u8>,
    need: usize,
) -> Result<(), FrameError> {
    let mut filled = raw.len();
    raw.resize(need.max(filled), 0);
    while filled < need {
        let mut output = OutBuffer::around_pos(raw.as_mut_slice(), filled);
        decoder.run(input, &mut output).map_err(|_| FrameError::Body { what: "zstd refuses it" })?;
        let now = output.pos();
        if now == filled {
            return Err(FrameError::Body { what: "its length is not raw_len" });
        }
        filled = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
