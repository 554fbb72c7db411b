//! Do the frames of a lane follow on one another? Frames in, in the order of the log; findings out.
//!
//! Within an epoch the next frame has the next sequence, the next record, and the hash of the one before it in `prev`. A sequence
//! may be missing when it was acked (its segment is trimmed) or when the lane says why it is lost; nothing else may be.

use std::collections::BTreeMap;
use std::ops::Range;

use shared::batch::{BatchError, BatchView};
use shared::frame::{Frame, FrameError, FrameKind, Opener};
use shared::identity::{AgentId, Epoch, FrameHash, Lane};

use super::super::state::{EpochState, LaneState};

/// Gaps in one epoch that are looked at; a log with more of them has said enough.
const GAPS_MAX: usize = 1_000;

/// What stands behind the last frame that was read of an epoch.
struct Head {
    sequence: u64,
    record: u64,
    hash: FrameHash,
    /// Sequences that did not come.
    gaps: Vec<Range<u64>>,
}

/// The frames of one lane, as far as they were read.
pub(super) struct Chains {
    lane: Lane,
    agent: Option<AgentId>,
    heads: BTreeMap<Epoch, Head>,
    opener: Opener,
    pub(super) frames: u64,
    pub(super) records: u64,
}

#[derive(Debug, thiserror::Error)]
enum Unopened {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Batch(#[from] BatchError),
}

impl Chains {
    pub(super) fn new(lane: Lane) -> Self {
        let (heads, opener) = (BTreeMap::new(), Opener::default());
        Self { lane, agent: None, heads, opener, frames: 0, records: 0 }
    }

    /// Takes the next frame. Says what is wrong with it, each problem once.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.frames += 1;
        let frame = match Frame::parse(bytes.to_vec()) {
            Ok(frame) => frame,
            Err(error) => return vec![error.to_string()],
        };
        let header = frame.header();
        self.records += u64::from(header.records);
        let mut problems = Vec::new();
        let (chain, sequence) = (header.chain, header.sequence);
        let mut say = |what: String| problems.push(format!("epoch {} sequence {sequence}: {what}", chain.epoch));
        if let Err(error) = self.open(&frame) {
            say(error.to_string());
        }
        if chain.lane != self.lane {
            say(format!("it is a frame of lane {}", chain.lane));
        }
        let agent = *self.agent.get_or_insert(chain.agent);
        if chain.agent != agent {
            say(format!("it is of agent {}, those before it are of {agent}", chain.agent));
        }
        let first = Head { sequence: 1, record: 1, hash: FrameHash::ZERO, gaps: Vec::new() };
        let head = self.heads.entry(chain.epoch).or_insert(first);
        if sequence < head.sequence {
            say(format!("it comes after sequence {}", head.sequence - 1));
            return problems;
        }
        if sequence > head.sequence {
            if head.gaps.len() < GAPS_MAX {
                head.gaps.push(head.sequence..sequence);
            }
        } else if header.prev != head.hash {
            say("its prev is not the hash of the frame before it".to_owned());
        } else if header.first_record != head.record {
            say(format!("its first record is {}, not {}", header.first_record, head.record));
        }
        (head.sequence, head.record, head.hash) = (header.next_sequence(), header.next_record(), frame.hash());
        problems
    }

    fn open(&mut self, frame: &Frame) -> Result<(), Unopened> {
        let header = frame.header();
        match header.kind {
            FrameKind::Data => {
                let columns = frame.open(&mut self.opener)?;
                let view = BatchView::parse(&columns, header.records)?;
                for record in view.iter() {
                    record?;
                }
            }
            FrameKind::Loss => {
                frame.loss_notice(&mut self.opener)?;
            }
            FrameKind::Genesis => {
                frame.genesis_notice(&mut self.opener)?;
            }
        }
        Ok(())
    }

    /// Sequences that are missing although nothing says why, given what the lane knows at the end of its log.
    pub(super) fn missing(&self, state: &LaneState) -> Vec<String> {
        let mut missing = Vec::new();
        for epoch in &state.epochs {
            let head = self.heads.get(&epoch.epoch);
            let end = head.map_or(1, |head| head.sequence)..epoch.next_sequence;
            let gaps = head.into_iter().flat_map(|head| head.gaps.iter().cloned()).chain([end]);
            for gap in gaps.flat_map(|gap| unexplained(epoch, gap)) {
                missing.push(format!("epoch {}: sequences {} to {} are missing", epoch.epoch, gap.start, gap.end - 1));
            }
        }
        missing
    }
}

/// The parts of `gap` that are neither acked nor known to be lost.
fn unexplained(epoch: &EpochState, gap: Range<u64>) -> Vec<Range<u64>> {
    let mut left = Vec::new();
    let mut at = gap.start.max(epoch.acked.through + 1);
    // Holes stand in the order of their sequences.
    for hole in &epoch.holes {
        if hole.end() <= at {
            continue;
        }
        if hole.sequence >= gap.end {
            break;
        }
        if hole.sequence > at {
            left.push(at..hole.sequence);
        }
        at = hole.end();
    }
    if at < gap.end {
        left.push(at..gap.end);
    }
    left
}

#[cfg(test)]
mod tests {
    use shared::record::LossReason;

    use super::super::super::state::{Acked, Hole};
    use super::*;

    #[test]
    fn only_what_is_neither_acked_nor_lost_is_missing() {
        let hole =
            |sequence, span| Hole { sequence, span, first_record: 1, records: 1, reason: LossReason::DropOldest };
        let mut epoch = EpochState::new(Epoch(1));
        epoch.acked = Acked { through: 4, hash: FrameHash::ZERO, next_record: 5 };
        epoch.holes = vec![hole(6, 2), hole(8, 1), hole(12, 3)];
        let unexplained = |start, end| -> Vec<(u64, u64)> {
            unexplained(&epoch, start..end).into_iter().map(|range| (range.start, range.end)).collect()
        };
        assert_eq!(unexplained(1, 5), []);
        assert_eq!(unexplained(1, 6), [(5, 6)]);
        assert_eq!(unexplained(6, 9), []);
        assert_eq!(unexplained(3, 11), [(5, 6), (9, 11)]);
        assert_eq!(unexplained(10, 16), [(10, 12), (15, 16)]);
        assert_eq!(unexplained(7, 8), []);
        assert_eq!(unexplained(20, 21), [(20, 21)]);
        assert_eq!(unexplained(9, 9), []);
    }
}
