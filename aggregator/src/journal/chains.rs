//! What the journal has of every chain: the contiguous prefix, and the books of what came, was lost, is absent.
//!
//! Invariant per chain: `next_record − 1 = journaled + lost + absent`.
//!
//! Bound: [`CHAINS_MAX`] chains (about 50,000 agents); beyond it the chain that was quiet longest is forgotten.
//! Its agent, if it ever comes back, names an oldest frame, and what lies below it becomes `absent`.

use std::collections::BTreeMap;
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::protocol::{ChainState, Chains};
use shared::time::Timestamp;

use super::wrap::NUMBER_MAX;

/// Chains that the journal keeps; their table fits a segment's state.
pub const CHAINS_MAX: usize = 150_000;
/// Bytes of a chain in a state record.
pub(super) const CHAIN_LEN: usize = 105;

const _: () = assert!(CHAINS_MAX * CHAIN_LEN + 4_096 < shared::limits::LOG_RECORD_BYTES_MAX);

/// One chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainBooks {
    /// The prefix.
    pub state: ChainState,
    /// Records that are in the journal.
    pub journaled: u64,
    /// Records that loss frames gave up.
    pub lost: u64,
    /// Records that this journal never got.
    pub absent: u64,
    /// When something of it was last received.
    pub last_received: Timestamp,
}

impl ChainBooks {
    /// A chain of which nothing is known.
    pub const EMPTY: Self =
        Self { state: ChainState::EMPTY, journaled: 0, lost: 0, absent: 0, last_received: Timestamp(0) };
}

/// Every chain, as committed. Read by sessions, written by the journal's thread after each sync.
#[derive(Default)]
pub struct ChainTable {
    chains: RwLock<BTreeMap<ChainId, ChainBooks>>,
}

impl ChainTable {
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ChainId, ChainBooks>> {
        self.chains.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ChainId, ChainBooks>> {
        self.chains.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The books of one chain.
    #[must_use]
    pub fn books(&self, chain: ChainId) -> Option<ChainBooks> {
        self.read().get(&chain).copied()
    }

    /// How many chains there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// True without chains.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Every chain with its books, in order of agent, lane and epoch.
    #[must_use]
    pub fn all(&self) -> Vec<(ChainId, ChainBooks)> {
        self.read().iter().map(|(chain, books)| (*chain, *books)).collect()
    }

    /// Takes what was committed.
    pub(super) fn apply(&self, changed: impl IntoIterator<Item = (ChainId, ChainBooks)>) {
        let mut chains = self.write();
        chains.extend(changed);
        if chains.len() > CHAINS_MAX {
            let mut by_age: Vec<_> = chains.iter().map(|(chain, books)| (books.last_received, *chain)).collect();
            by_age.sort_unstable();
            by_age.iter().take(CHAINS_MAX / 100).for_each(|(_, chain)| {
                chains.remove(chain);
            });
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (chain, books) in self.read().iter() {
            out.extend_from_slice(&chain.agent.0);
            out.push(chain.lane as u8);
            out.extend_from_slice(&chain.epoch.0.to_le_bytes());
            out.extend_from_slice(&books.state.head.0);
            let last_received = books.last_received.0.cast_unsigned();
            for number in
                [books.state.through, books.state.next_record, books.journaled, books.lost, books.absent, last_received]
            {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }

    /// Replaces the table by what a state record says.
    pub(super) fn decode(&self, bytes: &[u8]) {
        *self.write() = bytes.chunks_exact(CHAIN_LEN).filter_map(decode_chain).collect();
    }
}

fn decode_chain(bytes: &[u8]) -> Option<(ChainId, ChainBooks)> {
    let (agent, rest) = bytes.split_first_chunk()?;
    let (&lane, rest) = rest.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (head, rest) = rest.split_first_chunk()?;
    let mut numbers = rest.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let chain =
        ChainId { agent: AgentId(*agent), lane: Lane::from_u8(lane)?, epoch: Epoch(u64::from_le_bytes(*epoch)) };
    let state = ChainState { through: numbers.next()?, head: FrameHash(*head), next_record: numbers.next()? };
    let (journaled, lost, absent) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let last_received = Timestamp(numbers.next()?.cast_signed());
    if state.next_record == 0 || state.through.max(state.next_record) > NUMBER_MAX {
        return None;
    }
    Some((chain, ChainBooks { state, journaled, lost, absent, last_received }))
}

impl Chains for ChainTable {
    fn state(&self, chain: ChainId) -> Option<ChainState> {
        self.books(chain).map(|books| books.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_survives_its_bytes() {
        let table = ChainTable::default();
        let chain = ChainId { agent: AgentId([3; 16]), lane: Lane::Bulk, epoch: Epoch(77) };
        let state = ChainState { through: 5, head: FrameHash([8; 32]), next_record: 100 };
        let books = ChainBooks { state, journaled: 90, lost: 6, absent: 3, last_received: Timestamp(-1) };
        table.apply([(chain, books)]);
        let mut bytes = Vec::new();
        table.encode(&mut bytes);
        assert_eq!(bytes.len(), CHAIN_LEN);
        let again = ChainTable::default();
        again.decode(&bytes);
        assert_eq!(again.all(), [(chain, books)]);
    }
}
