//! Lanes at their levels: bulk at 60, normal at 85, high at 100 percent of `max_bytes`, which all lanes share.

use shared::record::LossReason;

use super::tests::{Bench, chunk};
use super::*;
use crate::handover::{Chunk, Outlet};

const MAX_BYTES: u64 = 32 << 20;
/// Chunks that are more than `max_bytes`: each is a frame of 300,000 bytes.
const CHUNKS: u64 = 200;
const CHUNK_RECORDS: u64 = 10;

impl Bench {
    /// Hands a chunk over, as long as the lane takes it; false when its sources would wait.
    fn push(&mut self, lane: Lane, number: u64) -> bool {
        if self.books_of(lane).blocked {
            return false;
        }
        let chunk = Chunk { lane, ..chunk(&[(usize::try_from(CHUNK_RECORDS).unwrap(), 30_000)], number) };
        self.outlet.lines(chunk).unwrap();
        self.settle();
        let status = self.worker.status();
        assert!(status.bytes <= MAX_BYTES, "{status:?}");
        true
    }

    /// Fills a lane until its sources wait; percent of `max_bytes` that all lanes take then.
    fn fill(&mut self, lane: Lane) -> u64 {
        let taken = (1..=CHUNKS).take_while(|number| self.push(lane, *number)).count();
        assert!((taken as u64) < CHUNKS, "{lane} never waits");
        self.percent()
    }

    fn percent(&self) -> u64 {
        self.worker.status().bytes * 100 / MAX_BYTES
    }

    fn ack_all(&mut self, lane: Lane) {
        let aggregator = AgentId([8; 16]);
        let state = self.filling(lane).lane.epochs().last().cloned().unwrap();
        self.worker.answer(Request::Acked { lane, epoch: state.epoch, through: state.next_sequence - 1, aggregator });
    }

    fn filling(&mut self, lane: Lane) -> &mut Filling {
        &mut self.worker.lanes[lane.index()]
    }

    fn loss_records(&self, lane: Lane) -> u64 {
        self.worker.lanes[lane.index()].said
    }
}

const BULK_DROPS: [OnFull; 3] = [OnFull::Block, OnFull::Block, OnFull::DropOldest];

#[test]
fn each_lane_waits_at_its_own_level_and_the_more_urgent_go_on() {
    let mut bench = Bench::with([OnFull::Block; 3]);
    // A segment is 3 percent: a lane stops where the next one would pass its level. Below the whole there is room for
    // the segment that takes the place of one whose sync fails, and for the index.
    let levels = [Lane::Bulk, Lane::Normal, Lane::High].map(|lane| bench.fill(lane));
    for (level, percent, below) in levels.into_iter().zip([(60, 4), (85, 4), (100, 9)]).map(|(l, (p, b))| (l, p, b)) {
        assert!((percent - below..=percent).contains(&level), "{level} % where {percent} % is the level");
    }
    let blocked = Lane::ALL.map(|lane| bench.books_of(lane).blocked);
    assert_eq!(blocked, [true; 3], "those that waited still do");
    let lost = |lane| bench.books_of(lane).lost.len();
    assert_eq!(Lane::ALL.map(lost), [0; 3]);

    // Acks of bulk give room to all; who is below its level goes on.
    bench.ack_all(Lane::Bulk);
    bench.clock.advance(RETRY_INTERVAL * 2);
    bench.settle();
    assert!(bench.percent() < 60, "{} %", bench.percent());
    assert_eq!(Lane::ALL.map(|lane| bench.books_of(lane).blocked), [false; 3]);
}

#[test]
fn level_compares_what_all_lanes_take() {
    let mut bench = Bench::with([OnFull::Block; 3]);
    bench.fill(Lane::Normal);
    let normal = bench.books_of(Lane::Normal);
    let before = bench.filling(Lane::Bulk).lane.log.segments();
    // Bulk has next to nothing, but there is no room below its level: the first segment that it had is all it gets.
    bench.fill(Lane::Bulk);
    assert_eq!((before, bench.filling(Lane::Bulk).lane.log.segments()), (1, 1));
    assert_eq!(bench.books_of(Lane::Normal), normal);
}

#[test]
fn lane_that_drops_drops_its_own_oldest_and_no_other_lanes() {
    let mut bench = Bench::with(BULK_DROPS);
    for number in 1..=20 {
        assert!(bench.push(Lane::Normal, number) && bench.push(Lane::High, number));
    }
    for number in 1..=CHUNKS {
        assert!(bench.push(Lane::Bulk, number), "a lane that drops never lets its sources wait");
        assert!(bench.percent() <= 60);
    }
    bench.clock.advance(seal_age_of_bulk());
    bench.settle();
    let bulk = bench.books_of(Lane::Bulk);
    assert_eq!(bulk.lost.keys().map(String::as_str).collect::<Vec<_>>(), ["drop_oldest"]);
    assert_eq!(bulk.observed, bulk.spooled + bulk.lost["drop_oldest"]);
    assert!(bulk.lost["drop_oldest"] > 0 && bulk.spooled > 0);
    for lane in [Lane::High, Lane::Normal] {
        let status = bench.books_of(lane);
        assert_eq!((status.spooled + status.held, status.lost.len()), (20 * CHUNK_RECORDS, 0), "{lane}");
    }
    // The newest are there: what went is the oldest.
    let epoch = bench.filling(Lane::Bulk).lane.epochs()[0].clone();
    let [hole] = epoch.holes[..] else { panic!("{:?}", epoch.holes) };
    assert_eq!((hole.reason, hole.records), (LossReason::DropOldest, bulk.lost["drop_oldest"]));
    assert!(hole.end() < epoch.next_sequence && hole.sequence <= 2, "{hole:?} of {epoch:?}");
}

fn seal_age_of_bulk() -> Duration {
    super::super::seal_age(Lane::Bulk)
}

#[test]
fn lane_with_its_active_segment_alone_rejects_before_a_number_is_given_and_says_so_once_a_minute() {
    let mut bench = Bench::with(BULK_DROPS);
    bench.fill(Lane::Normal);
    for number in 1..=30 {
        assert!(bench.push(Lane::Bulk, number), "its sources do not wait");
    }
    let refused = |bench: &mut Bench| bench.filling(Lane::Bulk).lane.state.books.refused[&LossReason::SpoolFull];
    let first = refused(&mut bench);
    assert!(first > 0 && first.is_multiple_of(CHUNK_RECORDS));
    let epoch = bench.filling(Lane::Bulk).lane.epochs()[0].clone();
    let spooled = bench.books_of(Lane::Bulk).spooled;
    assert_eq!(epoch.next_record - 1, spooled, "what was rejected had no number");
    assert_eq!(epoch.holes, []);
    assert_eq!(bench.books_of(Lane::Bulk).lost["spool_full"], first);

    // One record of it when a minute has passed, whatever came together, and none while nothing comes.
    assert_eq!(bench.loss_records(Lane::Bulk), 0);
    bench.clock.advance(HEALTH_INTERVAL);
    bench.settle();
    let filling = bench.filling(Lane::Bulk);
    assert_eq!((filling.said, filling.lane.state.untold - filling.telling), (1, 0), "what is not told is being told");
    bench.clock.advance(HEALTH_INTERVAL);
    bench.settle();
    assert_eq!(bench.loss_records(Lane::Bulk), 1);
    (31..=34).for_each(|number| assert!(bench.push(Lane::Bulk, number)));
    assert!(refused(&mut bench) > first);
    bench.clock.advance(HEALTH_INTERVAL);
    bench.settle();
    assert_eq!(bench.loss_records(Lane::Bulk), 2);
}

#[test]
fn quarantine_counts() {
    let mut bench = Bench::with([OnFull::Block; 3]);
    bench.worker.quarantined = MAX_BYTES / 4;
    let level = bench.fill(Lane::Bulk);
    assert!((56..=60).contains(&level), "{level} %");
    let logs: u64 = bench.worker.lanes.iter().map(|filling| filling.lane.log.bytes()).sum();
    assert!(logs * 100 / MAX_BYTES <= 60 - 25, "{logs} bytes of logs beside a quarter of quarantine");
}
