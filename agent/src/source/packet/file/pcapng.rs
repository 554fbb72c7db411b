//! pcapng: sections of blocks; each section has its byte order and its interfaces.

use std::io::Read;

use shared::time::Timestamp;

use super::super::decode::LinkType;
use super::input::Input;
use super::{CaptureError, Captured, RECORD_BYTES_MAX};

/// Interfaces of a section that are kept.
pub const INTERFACES_MAX: usize = 4096;
/// Bytes of an interface's block that are looked at: what is sought stands among short options.
const INTERFACE_BLOCK_BYTES_MAX: usize = 16 << 10;

/// Block types that are looked at.
mod block {
    pub const SECTION: u32 = 0x0a0d_0d0a;
    pub const INTERFACE: u32 = 1;
    pub const PACKET: u32 = 2;
    pub const SIMPLE_PACKET: u32 = 3;
    pub const ENHANCED_PACKET: u32 = 6;
}

/// Options of an interface that are looked at.
mod option {
    pub const END: u16 = 0;
    pub const RESOLUTION: u16 = 9;
    pub const TIME_OFFSET: u16 = 14;
}

/// The section that is being read.
#[derive(Default)]
pub struct Section {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Where the block ends that a frame was taken from, and its length.
    open: Option<(u64, u32)>,
    /// Simple packets have no time: they get that of the one before.
    at: Timestamp,
    /// Frames and interfaces that were passed over.
    pub skipped: u64,
}

/// An interface as the file describes it.
#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    snap_len: u32,
    resolution: Resolution,
    /// Nanoseconds to add to times.
    offset: i64,
}

/// The unit of an interface's times.
#[derive(Clone, Copy)]
enum Resolution {
    /// So many nanoseconds.
    Nanoseconds(u64),
    /// So many to the nanosecond.
    PerNanosecond(u64),
    /// A second divided by this power of two.
    Halvings(u32),
}

/// A block's header.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    length: u32,
}

impl Section {
    /// The next frame.
    pub fn next_frame<'a>(&mut self, input: &'a mut Input<impl Read>) -> Result<Option<Captured<'a>>, CaptureError> {
        let (frame, taken) = loop {
            let Some(block) = self.block(input)? else { return Ok(None) };
            let body = usize::try_from(block.length).unwrap_or(usize::MAX).saturating_sub(12);
            let found = match block.kind {
                block::INTERFACE => {
                    let taken = input.take(body.min(INTERFACE_BLOCK_BYTES_MAX))?;
                    self.describe(input.taken(taken));
                    None
                }
                block::ENHANCED_PACKET => self.packet(input, body, false)?,
                block::PACKET => self.packet(input, body, true)?,
                block::SIMPLE_PACKET => self.simple_packet(input, body)?,
                _ => None,
            };
            if let Some((frame, captured)) = found {
                break (frame, input.take(captured)?);
            }
        };
        Ok(Some(Captured { bytes: input.taken(taken), ..frame }))
    }

    /// Goes to the next block and reads its header; a section's sets the byte order.
    fn block(&mut self, input: &mut Input<impl Read>) -> Result<Option<Block>, CaptureError> {
        if let Some((end, length)) = self.open.take() {
            input.skip((end - 4).saturating_sub(input.offset))?;
            let Some(again) = input.peek::<4>()? else {
                input.truncated = true;
                return Ok(None);
            };
            if self.number(again) != length {
                self.open = Some((end, length)); // the error stays
                return Err(CaptureError::Block { offset: end - u64::from(length), length });
            }
            input.take(4)?;
        }
        let offset = input.offset;
        let Some(header @ [k0, k1, k2, k3, l0, l1, l2, l3]) = input.peek::<8>()? else { return Ok(None) };
        let kind = self.number([k0, k1, k2, k3]);
        if kind == block::SECTION {
            let Some([.., o0, o1, o2, o3]) = input.peek::<12>()? else { return Ok(None) };
            self.big_endian = match [o0, o1, o2, o3] {
                [0x1a, 0x2b, 0x3c, 0x4d] => true,
                [0x4d, 0x3c, 0x2b, 0x1a] => false,
                _ => return Err(CaptureError::Format(header.to_vec())),
            };
            self.interfaces.clear();
        }
        let length = self.number([l0, l1, l2, l3]);
        if length < 12 || !length.is_multiple_of(4) {
            return Err(CaptureError::Block { offset, length });
        }
        input.take(8)?;
        let end = offset + u64::from(length);
        self.open = Some((end, length));
        Ok(Some(Block { kind, length }))
    }

    /// An interface's description.
    fn describe(&mut self, body: &[u8]) {
        let Some((&[l0, l1, _, _, s0, s1, s2, s3], mut options)) = body.split_first_chunk::<8>() else {
            self.skipped += 1;
            return;
        };
        if self.interfaces.len() >= INTERFACES_MAX {
            self.skipped += 1;
            return;
        }
        let mut interface = Interface {
            link: LinkType(self.short([l0, l1])),
            snap_len: self.number([s0, s1, s2, s3]),
            resolution: Resolution::Nanoseconds(1000),
            offset: 0,
        };
        while let Some((&[k0, k1, l0, l1], after)) = options.split_first_chunk::<4>() {
            let (kind, length) = (self.short([k0, k1]), usize::from(self.short([l0, l1])));
            match (kind, after.get(..length)) {
                (option::END, _) | (_, None) => break,
                (option::RESOLUTION, Some(&[exponent])) => interface.resolution = Resolution::read(exponent),
                (option::TIME_OFFSET, Some(value)) => {
                    if let Some(&seconds) = value.first_chunk::<8>() {
                        let seconds =
                            if self.big_endian { i64::from_be_bytes(seconds) } else { i64::from_le_bytes(seconds) };
                        interface.offset = seconds.saturating_mul(1_000_000_000);
                    }
                }
                _ => {}
            }
            options = after.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        self.interfaces.push(interface);
    }

    /// A packet's header, and how many bytes of it follow.
    fn packet(
        &mut self,
        input: &mut Input<impl Read>,
        body: usize,
        obsolete: bool,
    ) -> Result<Option<(Captured<'static>, usize)>, CaptureError> {
        let Some(body) = body.checked_sub(20) else {
            self.skipped += 1;
            return Ok(None);
        };
        let Some([i0, i1, i2, i3, h0, h1, h2, h3, l0, l1, l2, l3, c0, c1, c2, c3, w0, w1, w2, w3]) =
            input.peek::<20>()?
        else {
            return Ok(None);
        };
        input.take(20)?;
        let number = if obsolete { u32::from(self.short([i0, i1])) } else { self.number([i0, i1, i2, i3]) };
        let found = usize::try_from(number).ok().and_then(|number| self.interfaces.get(number));
        let Some(&Interface { link, resolution, offset, .. }) = found else {
            self.skipped += 1;
            return Ok(None);
        };
        let ticks = u64::from(self.number([h0, h1, h2, h3])) << 32 | u64::from(self.number([l0, l1, l2, l3]));
        let captured = self.number([c0, c1, c2, c3]);
        let wire_len = self.number([w0, w1, w2, w3]).max(captured);
        self.at = Timestamp(resolution.nanoseconds(ticks).saturating_add(offset));
        let frame = Captured { link, at: self.at, wire_len, bytes: &[], interface: number };
        Ok(Some((frame, usize::try_from(captured).unwrap_or(usize::MAX).min(body).min(RECORD_BYTES_MAX))))
    }

    /// A simple packet's header: it is of the first interface and as long as that one's snap length lets it be.
    fn simple_packet(
        &mut self,
        input: &mut Input<impl Read>,
        body: usize,
    ) -> Result<Option<(Captured<'static>, usize)>, CaptureError> {
        let (Some(body), Some(&Interface { link, snap_len, .. })) = (body.checked_sub(4), self.interfaces.first())
        else {
            self.skipped += 1;
            return Ok(None);
        };
        let Some(length) = input.peek::<4>()? else { return Ok(None) };
        input.take(4)?;
        let wire_len = self.number(length);
        let captured = if snap_len == 0 { wire_len } else { wire_len.min(snap_len) };
        let frame = Captured { link, at: self.at, wire_len, bytes: &[], interface: 0 };
        Ok(Some((frame, usize::try_from(captured).unwrap_or(usize::MAX).min(body).min(RECORD_BYTES_MAX))))
    }

    fn number(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

impl Resolution {
    /// From `if_tsresol`: a negative power of ten, or of two with the highest bit set.
    fn read(exponent: u8) -> Self {
        let power = u32::from(exponent & 0x7f);
        if exponent & 0x80 != 0 {
            return Self::Halvings(power);
        }
        match power.checked_sub(9) {
            None | Some(0) => Self::Nanoseconds(10_u64.pow(9 - power)),
            Some(more) => Self::PerNanosecond(10_u64.saturating_pow(more)),
        }
    }

    /// Nanoseconds of so many units; saturates.
    fn nanoseconds(self, ticks: u64) -> i64 {
        let nanoseconds = match self {
            Self::Nanoseconds(each) => ticks.saturating_mul(each),
            Self::PerNanosecond(many) => ticks / many,
            Self::Halvings(power) => {
                let shifted = (u128::from(ticks) * 1_000_000_000) >> power.min(127);
                u64::try_from(shifted).unwrap_or(u64::MAX)
            }
        };
        i64::try_from(nanoseconds).unwrap_or(i64::MAX)
    }
}
