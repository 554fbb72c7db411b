//! What every segment's state says of seals: enough to go on with their chain from any segment that is left.
//!
//! ```text
//! settled u64 · copied u64 · length u16 · last seal without its heads · length u16 · last retirement
//! ```

use super::seal::{Retirement, Seal};

/// The seals so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ledger {
    /// Every finished segment that ends at or below this log offset bears a seal, or never will.
    pub(super) settled: u64,
    /// Number of the last seal of which a copy went out as a record.
    pub(super) copied: u64,
    /// The last seal.
    pub(super) last: Option<Seal>,
    /// The last retirement.
    pub(super) retired: Option<Retirement>,
}

/// Bytes of an encoded ledger, at most.
pub(super) const LEDGER_BYTES_MAX: usize = 1_024;

const _: () = assert!(20 + super::seal::seal_len(0) + super::seal::RETIREMENT_BYTES_MAX <= LEDGER_BYTES_MAX);

impl Ledger {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.settled.to_le_bytes());
        out.extend_from_slice(&self.copied.to_le_bytes());
        let parts = [self.last.as_ref().map(Seal::encode), self.retired.as_ref().map(Retirement::encode)];
        for part in parts.map(Option::unwrap_or_default) {
            out.extend_from_slice(&u16::try_from(part.len()).unwrap_or(0).to_le_bytes());
            out.extend_from_slice(&part);
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (settled, rest) = bytes.split_first_chunk()?;
        let (copied, rest) = rest.split_first_chunk()?;
        let (seal, rest) = prefixed(rest)?;
        let (retirement, _) = prefixed(rest)?;
        Some(Self {
            settled: u64::from_le_bytes(*settled),
            copied: u64::from_le_bytes(*copied),
            last: Seal::decode(seal).map(|(seal, _)| seal),
            retired: Retirement::decode(retirement).map(|(retirement, _)| retirement),
        })
    }
}

/// Bytes behind their length as `u16`, and what follows.
pub(super) fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use super::super::{Numbers, STATE_HEAD_LEN, STATE_VERSION};
    use super::*;
    use crate::ca::signature::Signer;
    use crate::journal::{ChainTable, sealing};
    use shared::identity::Epoch;
    use shared::time::Timestamp;

    const NUMBERS: Numbers = Numbers { position: 3, records: 4, own_epoch: Epoch(5), received_at: Timestamp(6) };

    #[test]
    fn ledger_survives_its_bytes_and_any_bytes_are_survived() {
        let (seal, retirement) = crate::journal::seal::tests::made(&Signer::of_tests());
        for (last, retired) in [(None, None), (Some(seal.clone()), None), (Some(seal), Some(retirement))] {
            let ledger = Ledger { settled: 1 << 40, copied: 7, last, retired };
            let bytes = ledger.encode();
            assert!(bytes.len() <= LEDGER_BYTES_MAX);
            assert_eq!(Ledger::decode(&bytes), Some(ledger));
            for len in 0..bytes.len() {
                assert_eq!(Ledger::decode(&bytes[..len]), None, "{len} bytes");
            }
        }
    }

    #[test]
    fn state_of_a_journal_without_seals_still_reads() {
        let (seal, _) = crate::journal::seal::tests::made(&Signer::of_tests());
        let ledger = Ledger { last: Some(seal), ..Ledger::default() };
        let now = NUMBERS.encode(&ledger, &ChainTable::default());
        assert_eq!((Numbers::decode(&now), sealing::ledger_of(&now)), (Some((NUMBERS, &[][..])), Some(ledger)));
        let mut before = now[..STATE_HEAD_LEN].to_vec();
        before[0] = 1;
        before.extend_from_slice(b"chains");
        assert_eq!((Numbers::decode(&before), sealing::ledger_of(&before)), (Some((NUMBERS, &b"chains"[..])), None));
        before[0] = STATE_VERSION + 1;
        assert_eq!((Numbers::decode(&before), sealing::ledger_of(&before)), (None, None));
    }
}
