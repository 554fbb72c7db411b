//! Capture files: bytes of a pcap or pcapng file come in, frames with their link type and time go out.
//!
//! Formats: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap> and `…-pcapng`. Of what pcapng says about a host
//! (comments, names, keys, statistics) nothing is read.
//!
//! Invariants: memory is at most [`RECORD_BYTES_MAX`] and a header, and 4,096 interfaces; a file
//! whose end is missing gives what is there and says [`CaptureFile::truncated`]; the time of a frame is what the file
//! says, in whatever order.

mod input;
mod pcap;
mod pcapng;
#[cfg(test)]
mod tests;

use std::io::{self, Read};

use shared::time::Timestamp;

use super::decode::LinkType;
use input::Input;

/// Most captured bytes of a frame: the longest snap length of libpcap.
pub const RECORD_BYTES_MAX: usize = 256 << 10;

/// Why a capture file is not read, or not further. Offsets are bytes from its beginning.
#[derive(thiserror::Error, Debug)]
pub enum CaptureError {
    /// Its bytes are not to be had.
    #[error("cannot read the capture file: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("not a pcap or pcapng file: it starts with {0:02x?}")]
    Format(Vec<u8>),
    /// It has a version that is not known.
    #[error("pcap version {0}.{1} is not known, 2.4 is; convert it with `editcap`")]
    Version(u16, u16),
    /// A frame's length is beyond what any capture has: the file is damaged.
    #[error("the record at byte {offset} says {length} captured bytes, more than 262144; the file is damaged there")]
    Record {
        /// Where.
        offset: u64,
        /// Captured bytes that it says.
        length: u32,
    },
    /// A pcapng block's lengths have no sense: the file is damaged.
    #[error("the block at byte {offset} says a length of {length}, which has no sense; the file is damaged there")]
    Block {
        /// Where.
        offset: u64,
        /// Its length by its header.
        length: u32,
    },
}

/// A frame of a capture file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Captured<'a> {
    /// How it starts.
    pub link: LinkType,
    /// When it was captured.
    pub at: Timestamp,
    /// Its length on the wire.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
    /// The interface by its number in the file; 0 where it has but one.
    pub interface: u32,
}

/// A capture file that is being read.
pub struct CaptureFile<R> {
    input: Input<R>,
    format: Format,
}

enum Format {
    Pcap(pcap::File),
    Pcapng(pcapng::Section),
}

impl<R: Read> CaptureFile<R> {
    /// Reads the beginning of a file; which format it has is in its first bytes.
    ///
    /// # Errors
    /// It is no capture file, or cannot be read.
    pub fn open(reader: R) -> Result<Self, CaptureError> {
        let mut input = Input::new(reader);
        input.fill(4)?;
        let format = match input.ahead() {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Format::Pcapng(pcapng::Section::default()),
            _ => Format::Pcap(pcap::File::open(&mut input)?),
        };
        Ok(Self { input, format })
    }

    /// The next frame; none at the end.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged such that no frame can be found after it; so are all further calls.
    pub fn next_frame(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        match &mut self.format {
            Format::Pcap(file) => file.next_frame(&mut self.input),
            Format::Pcapng(section) => section.next_frame(&mut self.input),
        }
    }

    /// The file ended within a record or block.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.input.truncated
    }

    /// Frames and interfaces that were passed over because a pcapng file says nonsense about them.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        match &self.format {
            Format::Pcap(_) => 0,
            Format::Pcapng(section) => section.skipped,
        }
    }
}

/// What a fuzz target calls: reads all of `input` as a capture file and decodes its frames.
pub fn fuzz(input: &[u8]) {
    let Ok(mut file) = CaptureFile::open(input) else { return };
    let mut decoder = super::decode::Decoder::new(super::decode::ReassemblyLimits::default());
    while let Ok(Some(frame)) = file.next_frame() {
        decoder.packet(frame.link, frame.at, frame.bytes, frame.wire_len, &mut |_| {});
    }
    decoder.finish(&mut |_| {});
}
