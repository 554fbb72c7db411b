//! How large the journal is, and what it has of every chain: the newest state and what came behind it.

use std::sync::Arc;

use shared::frame::Opener;
use shared::identity::{AgentId, ChainId, Epoch};
use shared::log::{Entry, Reader, RealFs};
use shared::time::Timestamp;

use super::super::{ChainBooks, ChainTable, Journaled, Numbers, fold};
use super::{JournalFiles, OfflineError};

/// The journal in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Segment files.
    pub segments: u64,
    /// Bytes on disk, room set aside included.
    pub bytes: u64,
    /// Position of the oldest frame that is left.
    pub oldest_position: Option<u64>,
    /// Position of the next frame.
    pub next_position: u64,
    /// Records journaled since the journal was made, also those that went since.
    pub records: u64,
    /// Chains that the journal knows.
    pub chains: u64,
    /// When the oldest frame that is left was received.
    pub oldest_received: Option<Timestamp>,
    /// When the newest was.
    pub newest_received: Option<Timestamp>,
}

/// The journal's end, as the next start would find it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Position of the next frame.
    pub next_position: u64,
    /// Records journaled since the journal was made.
    pub records: u64,
    /// When the last frame was received; none without frames.
    pub newest_received: Option<Timestamp>,
    /// The aggregator itself, once it has said something.
    pub own: Option<AgentId>,
    /// The books of every chain, in order of agent, lane and epoch.
    pub chains: Vec<(ChainId, ChainBooks)>,
}

impl JournalFiles {
    /// Prefix and books of every chain, from the newest state that reads and what came behind it.
    ///
    /// # Errors
    /// [`OfflineError::Io`].
    pub fn totals(&self) -> Result<Totals, OfflineError> {
        let fresh = Numbers { position: 1, records: 0, own_epoch: Epoch(0), received_at: Timestamp(0) };
        let base = self.last_base(|_, _| true)?;
        let (first, mut numbers, chains) = match base {
            Some(base) => (base.first, base.numbers, base.chains),
            None => (self.oldest(), fresh, ChainTable::default()),
        };
        let mut reader = Reader::new(Arc::new(RealFs), &self.dir, first);
        let mut opener = Opener::default();
        while let Some(entry) = reader.next(self.end).map_err(|error| self.failed(error))? {
            if let Entry::Record(record) = entry {
                fold(&mut numbers, &chains, &record, &mut opener);
            }
        }
        let chains = chains.all();
        let own = chains.iter().find(|(chain, _)| chain.epoch == numbers.own_epoch);
        Ok(Totals {
            next_position: numbers.position,
            records: numbers.records,
            newest_received: (numbers.received_at.0 != 0).then_some(numbers.received_at),
            own: own.map(|(chain, _)| chain.agent),
            chains,
        })
    }

    /// The journal in numbers. Reads the states of all segments and the frames of the newest.
    ///
    /// # Errors
    /// [`OfflineError::Io`].
    pub fn stat(&self) -> Result<Stat, OfflineError> {
        let totals = self.totals()?;
        let mut frames = self.frames_from(self.oldest());
        let oldest = loop {
            match frames.next(self.end).map_err(|error| self.failed(error))? {
                Some(Journaled::Frame(wrap, _)) => break Some(wrap),
                Some(Journaled::Damage { .. }) => {}
                None => break None,
            }
        };
        Ok(Stat {
            segments: self.segments.len() as u64,
            bytes: self.segments.iter().map(|segment| segment.bytes).sum(),
            oldest_position: oldest.as_ref().map(|wrap| wrap.position),
            next_position: totals.next_position,
            records: totals.records,
            chains: totals.chains.len() as u64,
            oldest_received: oldest.map(|wrap| wrap.received.at),
            newest_received: totals.newest_received,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{AGGREGATOR, Maker};
    use super::*;

    #[test]
    fn totals_are_those_of_the_running_journal_over_segments() {
        let mut maker = Maker::new("stat");
        maker.fill_segments(2);
        maker.lose(5, 10);
        maker.lines(&["last"]);
        let expected = maker.journal().chains().all();
        let (position, records) = maker.journal().committed_numbers();
        // Beside the open journal, then without it.
        for _ in 0..2 {
            let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
            let totals = files.totals().unwrap();
            assert_eq!((totals.own, &totals.chains), (Some(AGGREGATOR), &expected));
            assert_eq!((totals.next_position, totals.records), (position, records));
            let stat = files.stat().unwrap();
            assert_eq!((stat.oldest_position, stat.chains), (Some(1), expected.len() as u64));
            assert!(stat.segments >= 3 && stat.bytes >= 3 << 20, "{stat:?}");
            assert_eq!(stat.oldest_received, Some(maker.began));
            assert_eq!(stat.newest_received, Some(maker.now()));
            maker.close();
        }
    }
}
