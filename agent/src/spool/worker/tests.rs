use shared::batch::HostContext;
use shared::log::{Fs, ModelFs};
use shared::record::{LossReason, Value};
use shared::time::{ManualClock, Timestamp};

use super::super::lane::LaneConfig;
use super::super::options;
use super::*;
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Chunk, Lines, Outlet, Records, SourceIndex, Stopped, Untaken};
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

/// Records of the bulk lane, each with a text of `len` bytes.
fn records(count: usize, len: usize) -> Records {
    let mut records = Records::new(SourceIndex(0), Lane::Bulk, Timestamp(1), Arc::from("eth0"));
    let mut seed = len as u64;
    for number in 0..count {
        let random = (0..len).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number as u64 | 1);
            char::from(b' ' + u8::try_from((seed >> 33) % 90).unwrap())
        });
        let text: String = random.collect();
        records.push(vec![("message".to_owned(), Value::String(text)), ("count".to_owned(), Value::U64(1))]);
    }
    records
}

#[test]
fn typed_records_become_frames_and_the_books_add_up() {
    let mut bench = Bench::new(OnFull::DropOldest);
    for _ in 0..50 {
        bench.outlet.records(records(100, 200), Duration::ZERO).unwrap();
        assert!(bench.books_of(Lane::Bulk).held >= 100);
        bench.settle();
    }
    bench.clock.advance(Duration::from_secs(6));
    bench.settle();
    let books = bench.books_of(Lane::Bulk);
    assert_eq!((books.observed, books.spooled, books.held), (5000, 5000, 0));
}

#[test]
fn record_larger_than_a_frame_is_lost_and_counted_and_those_around_it_stay() {
    let mut bench = Bench::new(OnFull::DropOldest);
    let mut mixed = records(1, 100);
    mixed.push(vec![("message".to_owned(), Value::String("x".repeat(2 << 20)))]);
    mixed.push(vec![("last".to_owned(), Value::Bool(true))]);
    bench.outlet.records(mixed, Duration::ZERO).unwrap();
    bench.settle();
    bench.clock.advance(Duration::from_secs(6));
    bench.settle();
    let books = bench.books_of(Lane::Bulk);
    assert_eq!((books.observed, books.spooled, books.lost["spool_full"]), (3, 2, 1));
}

#[test]
fn records_without_room_are_refused_without_waiting_and_counted_at_once() {
    let mut bench = Bench::new(OnFull::Block);
    bench.fs.room(Some(0));
    let mut refused = 0;
    for _ in 0..400 {
        let blocked = bench.books_of(Lane::Bulk).blocked;
        match bench.outlet.records(records(20, 4_000), Duration::from_secs(3_600)) {
            Ok(()) => {}
            Err(Untaken::Full) => {
                assert!(blocked, "a lane that may have room soon is waited for");
                refused += 20;
            }
            Err(Untaken::Stopped(Stopped)) => panic!("it has not ended"),
        }
        let books = bench.books_of(Lane::Bulk);
        assert!(books.observed >= refused);
        if !blocked {
            bench.clock.advance(Duration::from_secs(6));
        }
        bench.settle();
        assert_eq!(bench.books_of(Lane::Bulk).lost.get("spool_full").copied().unwrap_or(0), refused);
    }
    assert!(refused > 0);
    // The disk has room again: what was kept goes on, and the loss is told.
    bench.fs.room(None);
    for seconds in [2, 60, 60, 6] {
        bench.clock.advance(Duration::from_secs(seconds));
        bench.settle();
    }
    let books = bench.books_of(Lane::Bulk);
    assert_eq!((books.held, books.lost["spool_full"]), (0, refused));
    assert_eq!(bench.worker.lanes[Lane::Bulk.index()].lane.state.untold, 0, "a loss record says it");
}

#[test]
fn records_are_taken_while_sources_are_being_stopped_and_lines_are_not() {
    let mut bench = Bench::new(OnFull::DropOldest);
    bench.worker.inbox.shut();
    assert_eq!(bench.outlet.lines(chunk(&[(1, 10)], 1)), Err(Stopped));
    bench.outlet.records(records(3, 10), Duration::ZERO).unwrap();
    bench.settle();
    assert_eq!(bench.books_of(Lane::Bulk).observed, 3);
    bench.worker.inbox.close();
    assert_eq!(bench.outlet.records(records(3, 10), Duration::ZERO), Err(Untaken::Stopped(Stopped)));
    assert_eq!(bench.books_of(Lane::Bulk).observed, 3);
}
