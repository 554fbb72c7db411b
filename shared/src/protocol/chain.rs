//! Where a frame stands in the chain that the aggregator has: the rules for duplicates, gaps and losses.

use super::message::RejectReason;
use crate::frame::{Frame, FrameKind, Opener};
use crate::identity::{AgentId, ChainId, FrameHash};

/// What an aggregator has of one chain: a contiguous prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainState {
    /// Last sequence of the prefix; 0 for none.
    pub through: u64,
    /// Hash of the frame there; zero for none.
    pub head: FrameHash,
    /// Number of the record that comes next.
    pub next_record: u64,
}

impl ChainState {
    /// A chain of which nothing is known.
    pub const EMPTY: Self = Self { through: 0, head: FrameHash::ZERO, next_record: 1 };
}

/// What the journal has committed, by chain.
pub trait Chains {
    /// State of a chain as of the last sync; none when the journal never heard of it.
    fn state(&self, chain: ChainId) -> Option<ChainState>;
}

/// Sequences `before.through + 1 ..= after.through` are not in this journal and never will be; they hold
/// the records `before.next_record .. after.next_record`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Absent {
    /// The chain.
    pub chain: ChainId,
    /// The prefix that was.
    pub before: ChainState,
    /// The prefix that is.
    pub after: ChainState,
    /// The aggregator that has them, or has journaled where they are; none: `unknown`.
    pub elsewhere: Option<AgentId>,
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placing {
    /// It follows on: journal it; this is the prefix behind it. The records between the two prefixes are
    /// those of a data frame, or those that a loss frame counts (a clipped one: only its part past the prefix).
    Next(ChainState),
    /// All of it is at or below the prefix: a duplicate, or a loss of what had arrived.
    Known,
    /// It begins behind the next sequence: something is missing before it.
    Gap,
    /// It does not fit there.
    Reject(RejectReason),
}

/// Holds `frame` against the prefix of its chain. The body is looked at only for the hash that a loss
/// frame carries.
#[must_use]
pub fn place(state: &ChainState, frame: &Frame, opener: &mut Opener) -> Placing {
    let header = frame.header();
    let expected = state.through.saturating_add(1);
    let last = header.next_sequence().saturating_sub(1);
    if last <= state.through {
        return Placing::Known;
    }
    if header.sequence > expected {
        return Placing::Gap;
    }
    // Only a loss frame, wider than one sequence, can begin below the prefix and end past it: then nothing
    // in this chain says what its `prev` should be.
    if header.sequence == expected && header.prev != state.head {
        return Placing::Reject(RejectReason::Prev);
    }
    if header.kind != FrameKind::Loss && header.first_record != state.next_record
        || header.next_record() < state.next_record
    {
        return Placing::Reject(RejectReason::Sequence);
    }
    match frame.head_after(opener) {
        Ok(head) => Placing::Next(ChainState { through: last, head, next_record: header.next_record() }),
        Err(_) => Placing::Reject(RejectReason::Notice),
    }
}
