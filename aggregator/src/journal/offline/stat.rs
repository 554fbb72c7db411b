//! How large the journal is, and what it has of every chain: the newest state and what came behind it.

use std::sync::Arc;
use std::time::Duration;

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
    /// Bytes of the log that are left, without room set aside.
    pub log_bytes: u64,
}

/// A rate is measured over at least this long: less is no day's mean, and a new agent's backlog comes fast.
pub const MEASURED_MIN: Duration = Duration::from_secs(3_600);

/// How fast the journal grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Bytes of the log.
    pub bytes: u64,
    /// In this time, at least [`MEASURED_MIN`].
    pub over: Duration,
}

impl Rate {
    /// Bytes that come in this time.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.bytes) * time.as_millis() / self.over.as_millis().max(1);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How long it takes until so many bytes have come.
    #[must_use]
    pub fn time_to(self, bytes: u64) -> Duration {
        let millis = u128::from(bytes) * self.over.as_millis() / u128::from(self.bytes.max(1));
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}

impl Stat {
    /// How fast the journal grew between the oldest and the newest frame that are left, by the times at which they were
    /// received; none while that is less than [`MEASURED_MIN`].
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        let over = self.newest_received?.since(self.oldest_received?);
        (over >= MEASURED_MIN).then_some(Rate { bytes: self.log_bytes, over })
    }
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
            log_bytes: self.end.saturating_sub(self.oldest()),
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
            assert!(stat.segments >= 3 && stat.bytes >= 2 << 20, "{stat:?}");
            assert_eq!(stat.oldest_received, Some(maker.began));
            assert_eq!(stat.newest_received, Some(maker.now()));
            maker.close();
        }
    }

    #[test]
    fn rate_is_bytes_of_the_log_over_the_time_in_which_they_came_and_none_within_the_first_hour() {
        let mut maker = Maker::new("stat-rate");
        let rate = |maker: &Maker| JournalFiles::open(&maker.dir.join("journal")).unwrap().stat().unwrap().rate();
        maker.lines(&["one"]);
        maker.pass(MEASURED_MIN.saturating_sub(Duration::from_secs(10)));
        maker.lines(&["two"]);
        assert_eq!(rate(&maker), None);
        maker.pass(Duration::from_secs(10));
        maker.lines(&["three"]);
        let measured = rate(&maker).unwrap();
        assert_eq!(measured.bytes, maker.journal().committed_offset());
        assert_eq!(measured.over, maker.now().since(maker.began));
        let rate = Rate { bytes: 1_000, over: Duration::from_secs(3_600) };
        assert_eq!((rate.bytes_in(Duration::from_secs(86_400)), rate.time_to(2_000).as_secs()), (24_000, 7_200));
        assert_eq!(Rate { bytes: u64::MAX, ..rate }.bytes_in(Duration::from_secs(1 << 40)), u64::MAX);
    }
}
