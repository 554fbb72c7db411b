//! A source's outlet within the limits: what can be read again waits for its turn before it is handed over.

use std::sync::Arc;
use std::time::Duration;

use shared::identity::Lane;
use shared::time::Clock;

use super::health::Health;
use super::wake::Wake;
use crate::handover::{Chunk, Loss, Outlet, Records, Stopped, Untaken};
use crate::limits::Governor;

/// An outlet that asks the [`Governor`] first.
pub(super) struct Paced<O> {
    pub(super) outlet: O,
    pub(super) governor: Governor,
    pub(super) clock: Clock,
    pub(super) wake: Arc<Wake>,
    pub(super) health: Arc<Health>,
}

impl<O> Paced<O> {
    fn pass(&self, lane: Lane) {
        self.governor.pass(lane, |wait| {
            self.health.waits(self.clock.now());
            self.wake.rest(wait)
        });
    }
}

impl<O: Outlet> Outlet for Paced<O> {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        // Without a checkpoint there is nothing to go back to.
        if chunk.checkpoint.is_some() && !chunk.lines.marks.is_empty() {
            self.pass(chunk.lane);
        }
        self.outlet.lines(chunk)
    }

    fn records(&mut self, records: Records, patience: Duration) -> Result<(), Untaken> {
        self.outlet.records(records, patience)
    }

    fn remade_records(&mut self, records: Records) -> Result<(), Stopped> {
        self.pass(records.lane);
        self.outlet.remade_records(records)
    }

    fn settle(&mut self, lane: Lane) -> bool {
        self.outlet.settle(lane)
    }

    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.outlet.loss(loss)
    }

    fn governor(&self) -> Option<&Governor> {
        Some(&self.governor)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use shared::fleet::{AgentConfig, Limits};
    use shared::time::Timestamp;

    use super::*;
    use crate::fingerprint::{FileId, Fingerprint};
    use crate::handover::{Checkpoint, Lines, SourceIndex};

    #[derive(Default)]
    struct Kept(usize);

    impl Outlet for Kept {
        fn lines(&mut self, _: Chunk) -> Result<(), Stopped> {
            self.0 += 1;
            Ok(())
        }
        fn records(&mut self, _: Records, _: Duration) -> Result<(), Untaken> {
            self.0 += 1;
            Ok(())
        }
        fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
            Ok(())
        }
    }

    fn chunk(lane: Lane, can_be_read_again: bool) -> Chunk {
        let mut lines = Lines::default();
        lines.push(b"line", 0, 4, 0);
        let file = FileId { device: 1, inode: 2 };
        let fingerprint = Fingerprint { file, prefix_len: 0, prefix_hash: 0, ended: false };
        let checkpoint = can_be_read_again.then_some(Checkpoint { fingerprint, offset: 5 });
        Chunk { source: SourceIndex(0), lane, read_at: Timestamp(0), log_name: Arc::from("a"), lines, checkpoint }
    }

    /// An outlet of an agent that owes far more processor time than it may use.
    fn spent() -> Paced<Kept> {
        let governor = Governor::new(Clock::System);
        let limits = Limits { cpu_percent: Some(1), ..AgentConfig::default().limits };
        governor.limit(&limits);
        let owed = Duration::from_secs(1_000_000);
        governor.tick(crate::limits::Measured { cpu: owed, resident_bytes: 0 });
        let (wake, health) = (Arc::default(), Arc::default());
        Paced { outlet: Kept::default(), governor, clock: Clock::System, wake, health }
    }

    #[test]
    fn what_can_be_read_again_waits_and_a_stop_ends_the_wait() {
        let mut paced = spent();
        let (wake, health) = (Arc::clone(&paced.wake), Arc::clone(&paced.health));
        let (tell, told) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            paced.lines(chunk(Lane::Bulk, true)).unwrap();
            tell.send(paced.outlet.0).unwrap();
        });
        assert!(told.recv_timeout(Duration::from_millis(300)).is_err(), "it waits");
        assert!(health.snapshot().last_turn.is_some(), "and says that it is well");
        wake.stop();
        assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok(1), "what was read is handed over");
        thread.join().unwrap();
    }

    #[test]
    fn what_cannot_be_read_again_never_waits() {
        let mut paced = spent();
        let begun = std::time::Instant::now();
        for _ in 0..100 {
            paced.lines(chunk(Lane::Bulk, false)).unwrap();
            let records = Records::new(SourceIndex(0), Lane::Bulk, Timestamp(0), Arc::from("any"));
            paced.records(records, Duration::ZERO).unwrap();
        }
        assert_eq!(paced.outlet.0, 200);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}
