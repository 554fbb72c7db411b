use shared::batch::HostContext;
use shared::log::{Fs, ModelFs};
use shared::record::LossReason;
use shared::time::{ManualClock, Timestamp};

use super::super::lane::LaneConfig;
use super::super::options;
use super::*;
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Chunk, Lines, Outlet, SourceIndex};
use crate::spool::SpoolOutlet;

pub(super) struct Bench {
    fs: ModelFs,
    pub(super) clock: ManualClock,
    pub(super) worker: Worker,
    pub(super) outlet: SpoolOutlet,
    table: Arc<Table>,
}

impl Bench {
    fn new(on_full: OnFull) -> Self {
        Self::with([on_full; 3])
    }

    /// A spool of 32 MiB whose lanes do this at their levels.
    pub(super) fn with(on_full: [OnFull; 3]) -> Self {
        let (fs, clock) = (ModelFs::new(1), ManualClock::new(Timestamp::from_seconds(1)));
        let config = SpoolConfig {
            dir: "/spool".into(),
            max_bytes: 32 << 20,
            on_full,
            agent: AgentId([7; 16]),
            machine_id: "m".into(),
            host: HostContext::default(),
            utc_offset_minutes: || 0,
            sources: vec![Origin::default()],
        };
        let (table, mut sealer) = (Arc::new(Table::in_memory()), Sealer::new().unwrap());
        let disk: Arc<dyn Fs> = Arc::new(fs.clone());
        let lanes = Lane::ALL.map(|lane| {
            let lane_config =
                LaneConfig { lane, agent: config.agent, machine_id: "m".into(), options: options(config.max_bytes) };
            let dir = super::super::lane_dir(&config, lane);
            let clock = Clock::Manual(clock.clone());
            SpoolLane::open(Arc::clone(&disk), &dir, lane_config, Arc::clone(&table), clock, &mut sealer).unwrap().0
        });
        let inbox = Arc::new(Inbox::default());
        let outlet = SpoolOutlet { inbox: Arc::clone(&inbox), table: Arc::clone(&table) };
        let say = watch::channel(0).0;
        let worker =
            Worker::new(config, lanes.into(), (inbox, Arc::clone(&table)), sealer, say, Clock::Manual(clock.clone()));
        Self { fs, clock, worker, outlet, table }
    }

    /// One turn of the thread, if it has something to do now.
    fn turn(&mut self) -> bool {
        let now = self.worker.clock.instant();
        let due = self.worker.deadline() <= now;
        let taken = self.worker.inbox.take(Some(Instant::now()));
        let any = due || !taken.items.is_empty();
        self.worker.turn(taken);
        any
    }

    /// Turns until there is nothing to do; how many.
    pub(super) fn settle(&mut self) -> u32 {
        (0..100).take_while(|_| self.turn()).fold(0, |turns, _| turns + 1)
    }

    fn normal(&mut self) -> &mut Filling {
        &mut self.worker.lanes[Lane::Normal.index()]
    }

    fn books(&mut self) -> LaneStatus {
        self.books_of(Lane::Normal)
    }

    /// What `status` says of a lane; its books add up.
    pub(super) fn books_of(&self, lane: Lane) -> LaneStatus {
        let status = self.worker.status().lanes.remove(lane.name()).unwrap();
        let lost: u64 = status.lost.values().sum();
        assert_eq!(status.observed, status.excluded + status.held + status.spooled + status.acked + lost, "{status:?}");
        status
    }
}

pub(super) fn chunk(lines: &[(usize, usize)], offset: u64) -> Chunk {
    let (mut out, mut seed) = (Lines::default(), offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for (count, len) in lines {
        for _ in 0..*count {
            let bytes: Vec<u8> = (0..*len)
                .map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed.to_le_bytes()[3]
                })
                .collect();
            out.push(&bytes, 0, *len as u64, 0);
        }
    }
    let file = FileId { device: 1, inode: 5 };
    let fingerprint = Fingerprint { file, prefix_len: 0, prefix_hash: 0, ended: false };
    Chunk {
        source: SourceIndex(0),
        lane: Lane::Normal,
        read_at: Timestamp(1),
        log_name: Arc::from("/x"),
        lines: out,
        checkpoint: Some(Checkpoint { fingerprint, offset }),
    }
}

/// Chunks until the disk takes no more frames.
fn fill(bench: &mut Bench) {
    bench.fs.room(Some(0));
    for n in 1..200 {
        bench.outlet.lines(chunk(&[(10, 30_000)], n)).unwrap();
        bench.settle();
        if bench.normal().parked.is_some() {
            // One in a batch, and one behind it.
            bench.worker.take_lines(chunk(&[(10, 60_000)], 500), bench.worker.clock.instant());
            bench.worker.take_lines(chunk(&[(10, 60_000)], 501), bench.worker.clock.instant());
            // They did not come by the queue, which counts.
            bench.normal().said += 20;
            assert!(!bench.normal().waiting.is_empty());
            return;
        }
    }
    panic!("the disk is never full");
}

#[test]
fn blocked_lane_rests_until_it_may_try_again_and_then_everything_goes_on() {
    let mut bench = Bench::new(OnFull::Block);
    fill(&mut bench);
    bench.clock.advance(Duration::from_secs(3));
    assert!(bench.settle() <= 2, "it does not spin");
    assert!(bench.books().blocked && bench.worker.deadline() > bench.worker.clock.instant());
    bench.fs.room(None);
    bench.clock.advance(Duration::from_secs(2));
    assert!(bench.settle() < 10);
    assert!(bench.normal().parked.is_none() && bench.normal().waiting.is_empty());
    bench.clock.advance(Duration::from_secs(2));
    bench.settle();
    assert_eq!((bench.books().held, bench.books().blocked), (0, false));
    assert_eq!(bench.worker.error, None);
}

#[test]
fn lane_with_nothing_left_to_drop_refuses_says_so_and_goes_on() {
    let mut bench = Bench::new(OnFull::DropOldest);
    bench.fs.room(Some(0));
    for n in 1..20 {
        bench.outlet.lines(chunk(&[(10, 30_000)], n)).unwrap();
        bench.settle();
    }
    let status = bench.books();
    assert!(status.lost.values().sum::<u64>() > 0 && !status.blocked);
    let refused = bench.normal().lane.state.books.refused[&LossReason::SpoolFull];
    bench.fs.room(None);
    bench.clock.advance(Duration::from_secs(61));
    bench.settle();
    bench.books();
    bench.outlet.lines(chunk(&[(10, 30_000)], 99)).unwrap();
    bench.clock.advance(Duration::from_secs(2));
    bench.settle();
    assert_eq!(bench.normal().lane.state.untold, 0, "a loss record says {refused}");
    assert_eq!(bench.books().held, 0);
}

#[test]
fn chunk_that_is_more_than_a_frame_goes_in_parts_with_its_checkpoint_last() {
    use crate::handover::Checkpoints;
    let mut bench = Bench::new(OnFull::Block);
    bench.outlet.lines(chunk(&[(16_383, 15), (1, 512 << 10)], 9)).unwrap();
    bench.settle();
    bench.outlet.lines(chunk(&[(1, 10)], 10)).unwrap();
    bench.settle();
    bench.clock.advance(Duration::from_secs(2));
    bench.settle();
    assert_eq!((bench.books().spooled, bench.books().held), (16_385, 0));
    assert_eq!(bench.table.by_inode(5)[0].offset, 10);
}
