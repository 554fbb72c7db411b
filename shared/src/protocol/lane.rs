//! The stream of one lane: `{length u32, frame}`, a length of 0 is the resend marker.
//!
//! The length stands in front of the frame so that a frame with a broken header can be skipped, and the
//! marker tells the frames that were under way when a Reject was written from those written after it.

use super::message::RejectReason;
use crate::frame::{Frame, FrameError, HEADER_LEN, Header};
use crate::identity::Lane;
use crate::limits::FRAME_BYTES_MAX;

/// What an agent writes after a [`super::Reject`], before the frame that it resends.
pub const RESEND_MARKER: [u8; 4] = [0; 4];

/// One of something for each lane.
#[derive(Clone, Default, Debug)]
pub struct PerLane<T>([T; 3]);

impl<T> PerLane<T> {
    /// Made by lane.
    pub fn new(make: impl FnMut(Lane) -> T) -> Self {
        Self(Lane::ALL.map(make))
    }

    /// That of one lane.
    pub fn of(&self, lane: Lane) -> &T {
        let [high, normal, bulk] = &self.0;
        match lane {
            Lane::High => high,
            Lane::Normal => normal,
            Lane::Bulk => bulk,
        }
    }

    /// That of one lane.
    pub fn of_mut(&mut self, lane: Lane) -> &mut T {
        let [high, normal, bulk] = &mut self.0;
        match lane {
            Lane::High => high,
            Lane::Normal => normal,
            Lane::Bulk => bulk,
        }
    }
}

impl<T> PerLane<T> {
    /// All three at once, the most urgent first.
    pub fn each_mut(&mut self) -> [&mut T; 3] {
        self.0.each_mut()
    }
}

/// A lane stream that cannot be read on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LaneError {
    /// Longer than a frame may be.
    #[error("a frame of {0} bytes is announced, more than {FRAME_BYTES_MAX}")]
    TooLong(u64),
}

/// What a lane stream holds.
#[derive(Debug)]
pub enum LaneItem {
    /// A frame of this length begins: the moment to hold it against the credit, before room is made for it.
    Begins(u64),
    /// A whole frame; both checksums are right.
    Frame(Frame),
    /// A frame of this length that is refused. Its bytes are gone.
    Bad {
        /// Why.
        reason: RejectReason,
        /// Bytes that it took.
        length: u64,
    },
    /// A frame of a later version: the session ends, the agent keeps it.
    Newer {
        /// Its version.
        version: u8,
        /// Its flags.
        flags: u16,
    },
    /// What follows was written after the last Reject was read.
    Resend,
}

#[derive(Debug)]
enum Step {
    Length { bytes: [u8; 4], have: usize },
    Head { length: u64, bytes: Vec<u8>, need: usize },
    Body { length: u64, bytes: Vec<u8> },
    Skip { length: u64, left: u64, reason: RejectReason },
}

/// Cuts the stream of one lane into frames: the header first, its bounds before room is made for the body.
#[derive(Debug)]
pub struct LaneReader {
    step: Step,
}

impl Default for LaneReader {
    fn default() -> Self {
        Self { step: Step::Length { bytes: [0; 4], have: 0 } }
    }
}

/// Moves bytes from the front of `input` to `bytes` until those are `need`; whether they are.
fn fill(bytes: &mut Vec<u8>, need: usize, input: &mut &[u8]) -> bool {
    let take = need.saturating_sub(bytes.len()).min(input.len());
    if let Some((now, rest)) = input.split_at_checked(take) {
        bytes.extend_from_slice(now);
        *input = rest;
    }
    bytes.len() >= need
}

impl LaneReader {
    /// Reads on from the front of `input`, which is moved past what was used; none when it is used up.
    ///
    /// # Errors
    /// [`LaneError`]; the stream cannot be read on after it.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<LaneItem>, LaneError> {
        loop {
            match std::mem::take(self).step {
                Step::Length { mut bytes, mut have } => {
                    let mut used = 0;
                    for (to, from) in bytes.iter_mut().skip(have).zip(*input) {
                        *to = *from;
                        used += 1;
                    }
                    have += used;
                    *input = input.get(used..).unwrap_or_default();
                    if have < bytes.len() {
                        self.step = Step::Length { bytes, have };
                        return Ok(None);
                    }
                    return self.begin(u64::from(u32::from_le_bytes(bytes))).map(Some);
                }
                Step::Head { length, mut bytes, need } => {
                    if !fill(&mut bytes, need, input) {
                        self.step = Step::Head { length, bytes, need };
                        return Ok(None);
                    }
                    if let Some(item) = self.judge(length, bytes) {
                        return Ok(Some(item));
                    }
                }
                Step::Body { length, mut bytes } => {
                    if !fill(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX), input) {
                        self.step = Step::Body { length, bytes };
                        return Ok(None);
                    }
                    return Ok(Some(match Frame::parse(bytes) {
                        Ok(frame) => LaneItem::Frame(frame),
                        Err(error) => LaneItem::Bad { reason: refusal(&error), length },
                    }));
                }
                Step::Skip { length, left, reason } => {
                    let used = left.min(u64::try_from(input.len()).unwrap_or(u64::MAX));
                    *input = input.get(usize::try_from(used).unwrap_or(usize::MAX)..).unwrap_or_default();
                    if used == left {
                        return Ok(Some(LaneItem::Bad { reason, length }));
                    }
                    self.step = Step::Skip { length, left: left - used, reason };
                    return Ok(None);
                }
            }
        }
    }

    fn begin(&mut self, length: u64) -> Result<LaneItem, LaneError> {
        if length == 0 {
            return Ok(LaneItem::Resend);
        }
        if length > FRAME_BYTES_MAX {
            return Err(LaneError::TooLong(length));
        }
        let header = u64::try_from(HEADER_LEN).unwrap_or(u64::MAX);
        self.step = if length < header {
            Step::Skip { length, left: length, reason: RejectReason::Header }
        } else {
            Step::Head { length, bytes: Vec::new(), need: HEADER_LEN }
        };
        Ok(LaneItem::Begins(length))
    }

    /// Decides on the header how the rest of the frame is read.
    fn judge(&mut self, length: u64, mut bytes: Vec<u8>) -> Option<LaneItem> {
        let have = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let reason = match Header::parse(&bytes) {
            Ok(header) if u64::try_from(header.frame_len()) == Ok(length) => {
                bytes.reserve_exact(header.frame_len().saturating_sub(bytes.len()));
                self.step = Step::Body { length, bytes };
                return None;
            }
            Ok(_) => RejectReason::Bounds,
            // The header of a later version is longer.
            Err(FrameError::Short { need, .. })
                if u64::try_from(need).is_ok_and(|need| have < need && need <= length) =>
            {
                self.step = Step::Head { length, bytes, need };
                return None;
            }
            Err(FrameError::Newer { version, flags }) => return Some(LaneItem::Newer { version, flags }),
            Err(error) => refusal(&error),
        };
        self.step = Step::Skip { length, left: length.saturating_sub(have), reason };
        None
    }
}

fn refusal(error: &FrameError) -> RejectReason {
    match error {
        FrameError::Checksum { .. } => RejectReason::Checksum,
        FrameError::Bounds { .. } => RejectReason::Bounds,
        FrameError::Body { .. } => RejectReason::Notice,
        FrameError::Short { .. } | FrameError::Magic | FrameError::Newer { .. } => RejectReason::Header,
    }
}
