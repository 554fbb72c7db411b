//! The whole spool under a crash at every call: three lanes on one disk, of which they never take more than
//! `max_bytes`, held against an aggregator that keeps what it took.

use shared::batch::HostContext;
use shared::log::model::crashes::{Dice, Ran, crash_at_every_call};
use shared::log::{Fs, ModelFs, Options};
use shared::record::LossReason;
use shared::time::{ManualClock, Timestamp};

use super::super::crashes::{AGENT, Taker, line};
use super::super::lane::LaneConfig;
use super::*;
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints as _, Chunk, Lines, Outlet as _, SourceIndex};
use crate::spool::SpoolOutlet;

const SEGMENT_BYTES: u64 = 96 << 10;
/// Little enough that every lane comes to its level.
const MAX_BYTES: u64 = 12 * SEGMENT_BYTES;

/// What is known over all lives, by lane.
struct Known {
    takers: [Taker; 3],
    /// Lanes of this seed may fork.
    forks: bool,
    /// A fork may double.
    forked: bool,
    /// What loss records said whose frames came and were dropped all the same, by lane.
    again: [u64; 3],
}

impl Known {
    fn note_dropped(&mut self, worker: &Worker) {
        for ((filling, taker), again) in worker.lanes.iter().zip(&mut self.takers).zip(&mut self.again) {
            for state in filling.lane.epochs() {
                let dropped = |(epoch, sequence): &(Epoch, u64), _: &mut u64| {
                    *epoch == state.epoch && state.holes.iter().any(|hole| hole.holds(*sequence))
                };
                *again += taker.told.extract_if(.., dropped).map(|(_, count)| count).sum::<u64>();
            }
        }
    }
}

struct Life {
    fs: ModelFs,
    clock: ManualClock,
    worker: Worker,
    outlet: SpoolOutlet,
    /// The next line of each lane's file.
    next_line: [u64; 3],
}

fn file(lane: usize) -> FileId {
    FileId { device: 1, inode: 10 + lane as u64 }
}

impl Life {
    fn open(fs: &ModelFs) -> std::io::Result<Self> {
        let manual = ManualClock::new(Timestamp::from_seconds(1));
        let clock = || Clock::Manual(manual.clone());
        let config = SpoolConfig {
            dir: "/spool".into(),
            max_bytes: MAX_BYTES,
            on_full: [OnFull::Block, OnFull::Block, OnFull::DropOldest],
            agent: AGENT,
            machine_id: "m".into(),
            host: HostContext::default(),
            utc_offset_minutes: || 0,
            sources: vec![Origin::default()],
        };
        let (table, mut sealer) = (Arc::new(Table::in_memory()), Sealer::new()?);
        let disk: Arc<dyn Fs> = Arc::new(fs.clone());
        let mut lanes = Vec::new();
        for lane in Lane::ALL {
            let options =
                Options { segment_bytes: SEGMENT_BYTES, quarantine_bytes_max: MAX_BYTES / 64, points: ["w", "s", "c"] };
            let lane_config = LaneConfig { lane, agent: AGENT, machine_id: "m".into(), options };
            let dir = super::super::lane_dir(&config, lane);
            let table = Arc::clone(&table);
            let (lane, report) = SpoolLane::open(Arc::clone(&disk), &dir, lane_config, table, clock(), &mut sealer)?;
            assert!(report.continuity && report.damage.is_empty() && report.foreign.is_empty(), "{report:?}");
            lanes.push(lane);
        }
        let inbox = Arc::new(Inbox::default());
        let outlet = SpoolOutlet { inbox: Arc::clone(&inbox), table: Arc::clone(&table) };
        let next_line = [0, 1, 2].map(|lane| table.by_inode(file(lane).inode).first().map_or(0, |c| c.offset));
        let worker = Worker::new(config, lanes, (inbox, table), sealer, watch::channel(0).0, clock());
        fs.up()?;
        let life = Self { fs: fs.clone(), clock: manual, worker, outlet, next_line };
        life.check();
        Ok(life)
    }

    /// The disk and the books.
    fn check(&self) {
        let (taken, files) = (self.fs.taken(), || self.fs.files(std::path::Path::new("/spool")));
        assert!(taken <= MAX_BYTES, "{taken} bytes of {MAX_BYTES}: {:?}", files());
        for (lane, status) in self.worker.status().lanes {
            let lost: u64 = status.lost.values().sum();
            let sum = status.excluded + status.held + status.spooled + status.acked + lost;
            assert_eq!(status.observed, sum, "{lane}: {status:?}");
        }
    }

    fn lines(&mut self, lane: usize, dice: &mut Dice) {
        if self.worker.lanes[lane].parked.is_some() {
            return;
        }
        let (count, size, mut lines) = (1 + dice.below(16), 20 + dice.below(4_000), Lines::default());
        for number in self.next_line[lane]..self.next_line[lane] + count {
            lines.push(&line(number, size), number, size, 0);
        }
        self.next_line[lane] += count;
        let fingerprint = Fingerprint { file: file(lane), prefix_len: 0, prefix_hash: 0, ended: false };
        let chunk = Chunk {
            source: SourceIndex(0),
            lane: Lane::ALL[lane],
            read_at: Timestamp(1),
            log_name: Arc::from("/x"),
            lines,
            checkpoint: Some(Checkpoint { fingerprint, offset: self.next_line[lane] }),
        };
        self.outlet.lines(chunk).unwrap();
    }

    /// Time passes, and the thread does what is due.
    fn turn(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        let taken = self.worker.inbox.take(Some(Instant::now()));
        self.worker.turn(taken);
    }

    /// A session of one lane: what is known there, then some frames, some acks.
    fn session(&mut self, lane: usize, known: &mut Known, dice: &mut Dice) -> std::io::Result<()> {
        let (name, taker) = (Lane::ALL[lane], &mut known.takers[lane]);
        let spool_lane = &self.worker.lanes[lane].lane;
        let epochs: Vec<_> = spool_lane.epochs().iter().map(|state| (state.epoch, state.acked)).collect();
        for (epoch, acked) in epochs {
            if taker.state(epoch).through < acked.through {
                assert!(known.forked, "acked {} was never taken", acked.through);
                taker.pass(epoch, acked.through, acked.hash, acked.next_record);
            }
            self.worker.acked(name, epoch, taker.state(epoch).through, AgentId([8; 16]));
        }
        let first = self.worker.lanes[lane].lane.epochs().first();
        let mut after = first.map(|state| (state.epoch, taker.state(state.epoch).through));
        for _ in 0..dice.below(12) {
            let filling = &mut self.worker.lanes[lane];
            let Some(frame) = filling.lane.next_frame(after, &mut self.worker.sealer)? else { return Ok(()) };
            taker.take(&frame);
            let (epoch, through) = (frame.header().chain.epoch, frame.header().next_sequence() - 1);
            after = Some((epoch, through));
            if dice.below(3) == 0 {
                self.worker.acked(name, epoch, through, AgentId([8; 16]));
            }
        }
        Ok(())
    }

    fn step(&mut self, known: &mut Known, dice: &mut Dice) {
        let lane = usize::try_from(dice.below(3)).unwrap();
        match dice.below(32) {
            0 => self.fs.fail_sync_at(1 + dice.below(4)),
            1 => {
                let more = dice.below(300 << 10);
                self.fs.room((dice.below(2) == 0).then(|| self.fs.taken() + more));
            }
            2 if known.forks => {
                // It may have no room; then the next session finds the fork again.
                known.forked = true;
                let filling = &mut self.worker.lanes[lane];
                let Some(epoch) = filling.lane.epochs().last().map(|state| state.epoch) else { return };
                let _ = filling.lane.fork(epoch, &mut self.worker.sealer);
            }
            3 => self.turn(61_000),
            4..=8 => {
                let _ = self.session(lane, known, dice);
            }
            9..=16 => self.turn(dice.below(6_000)),
            _ => self.lines(lane, dice),
        }
    }

    fn live(&mut self, known: &mut Known, dice: &mut Dice, steps: u32) {
        for _ in 0..steps {
            if self.fs.is_down() {
                return;
            }
            self.step(known, dice);
            self.check();
            known.note_dropped(&self.worker);
        }
    }

    /// Adds the records that the agent made itself.
    fn count_own(&self, made: &mut [u64; 3]) {
        made.iter_mut().zip(&self.worker.lanes).for_each(|(made, filling)| *made += filling.said);
    }

    /// Everything goes out and is acked, and all that is in memory comes behind it.
    fn drain(&mut self, known: &mut Known) {
        for _ in 0..60 {
            for lane in 0..3 {
                self.session(lane, known, &mut Dice::new(7)).unwrap();
            }
            self.turn(61_000);
            self.check();
        }
    }
}

fn run(seed: u64, at: u64) -> Ran {
    let (mut dice, fs) = (Dice::new(seed), ModelFs::new(seed ^ at));
    fs.short_writes(seed.is_multiple_of(3));
    let mut known =
        Known { takers: Lane::ALL.map(Taker::of), forks: seed.is_multiple_of(2), forked: false, again: [0; 3] };
    let mut made = [0; 3];
    fs.power_off_at(at);
    if let Ok(mut life) = Life::open(&fs) {
        life.live(&mut known, &mut dice, 110);
        life.count_own(&mut made);
    }
    let ran = Ran::of(&fs, 0);
    for steps in [40, 20] {
        fs.room(None);
        if dice.below(3) == 0 {
            fs.kill()
        } else {
            fs.power_loss()
        }
        // Opening may meet the next crash.
        fs.power_off_at(1 + dice.below(90));
        match Life::open(&fs) {
            Ok(mut life) => {
                life.live(&mut known, &mut dice, steps);
                life.count_own(&mut made);
            }
            Err(error) => assert!(fs.is_down(), "a spool opens after any crash: {error}"),
        }
    }
    fs.room(None);
    fs.power_loss();
    let mut life = Life::open(&fs).expect("a spool opens after any crash");
    life.drain(&mut known);
    life.count_own(&mut made);
    for (lane, taker) in known.takers.iter().enumerate() {
        let refused = life.worker.lanes[lane].lane.state.books.refused.get(&LossReason::SpoolFull);
        let missing: Vec<u64> = (0..life.next_line[lane]).filter(|line| !taker.lines.contains_key(line)).collect();
        let again = known.again[lane];
        let said = taker.lost + taker.told.values().sum::<u64>() + again;
        assert!(missing.len() as u64 <= said, "{lane}: {missing:?} are nowhere, {said} lost, {refused:?} refused");
        if !known.forked {
            // Records of the agent's own may be among what was lost, and a loss record is told again where its frame
            // was dropped before the agent heard that it had come: lines may not.
            let own = made[lane] - taker.typed;
            assert!(
                said <= missing.len() as u64 + own + again,
                "{lane}: {} lost, {:?} told, {own} of the agent's own at most, {again} again; {} lines are missing",
                taker.lost,
                taker.told,
                missing.len()
            );
            assert!(taker.lines.values().all(|count| *count == 1), "{lane}: a line came twice");
        }
    }
    ran
}

#[test]
fn spool_keeps_its_promises_within_its_bytes_through_a_crash_at_every_call() {
    crash_at_every_call("spool", 2, run);
}
