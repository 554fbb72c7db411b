//! pcap: a header of 24 bytes, then records, all in the byte order of who wrote them.

use std::io::Read;

use shared::time::Timestamp;

use super::super::decode::LinkType;
use super::input::Input;
use super::{CaptureError, Captured, RECORD_BYTES_MAX};

/// What the header says.
pub struct File {
    big_endian: bool,
    /// Nanoseconds of the smaller unit of its times.
    unit: i64,
    /// Records have Kuznetzov's eight bytes more: interface, protocol and packet type.
    modified: bool,
    link: LinkType,
}

impl File {
    /// Reads the header.
    pub fn open(input: &mut Input<impl Read>) -> Result<Self, CaptureError> {
        let Some([m0, m1, m2, m3, v0, v1, v2, v3, .., l0, l1, l2, l3]) = input.peek::<24>()? else {
            return Err(CaptureError::Format(input.ahead().iter().take(4).copied().collect()));
        };
        let (big_endian, unit, modified) = match [m0, m1, m2, m3] {
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1000, false),
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1000, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1, false),
            [0xa1, 0xb2, 0xcd, 0x34] => (true, 1000, true),
            [0x34, 0xcd, 0xb2, 0xa1] => (false, 1000, true),
            _ => return Err(CaptureError::Format(vec![m0, m1, m2, m3])),
        };
        let (major, minor) = if big_endian {
            (u16::from_be_bytes([v0, v1]), u16::from_be_bytes([v2, v3]))
        } else {
            (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([v2, v3]))
        };
        if major != 2 {
            return Err(CaptureError::Version(major, minor));
        }
        // the upper half says how long a check sequence ends the frames: headers within say the same
        let link = LinkType(if big_endian { u16::from_be_bytes([l2, l3]) } else { u16::from_le_bytes([l0, l1]) });
        input.take(24)?;
        Ok(Self { big_endian, unit, modified, link })
    }

    /// The next record.
    pub fn next_frame<'a>(&self, input: &'a mut Input<impl Read>) -> Result<Option<Captured<'a>>, CaptureError> {
        let offset = input.offset;
        let Some(header) = input.peek::<16>()? else { return Ok(None) };
        let [seconds, fraction, length, wire_len] = self.words(header);
        let captured = usize::try_from(length).unwrap_or(usize::MAX);
        if captured > RECORD_BYTES_MAX {
            return Err(CaptureError::Record { offset, length });
        }
        input.take(if self.modified { 24 } else { 16 })?;
        let taken = input.take(captured)?;
        let at = i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * self.unit;
        let wire_len = wire_len.max(length);
        Ok(Some(Captured { link: self.link, at: Timestamp(at), wire_len, bytes: input.taken(taken), interface: 0 }))
    }

    fn words(&self, header: [u8; 16]) -> [u32; 4] {
        let (words, _) = header.as_chunks::<4>();
        let mut numbers = [0; 4];
        for (number, &word) in numbers.iter_mut().zip(words) {
            *number = if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) };
        }
        numbers
    }
}
