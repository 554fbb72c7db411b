//! A lane by itself: what it appends, acks and gives up.

use std::path::Path;
use std::sync::Arc;

use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, FrameKind, Opener, Sealer};
use shared::identity::{AgentId, Epoch, Lane};
use shared::limits::HOLES_MAX;
use shared::log::{ModelFs, Options};
use shared::protocol::{ChainState, Placing, place};
use shared::record::LossReason;
use shared::time::{Clock, Timestamp};

use super::checkpoints::{Row, Table};
use super::lane::{LaneConfig, SpoolLane};
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints};

const DIR: &str = "/spool/high";

struct Bench {
    fs: ModelFs,
    lane: SpoolLane,
    table: Arc<Table>,
    sealer: Sealer,
}

fn open(fs: &ModelFs) -> std::io::Result<Bench> {
    let (table, mut sealer) = (Arc::new(Table::in_memory()), Sealer::new()?);
    let options = Options { segment_bytes: 96 << 10, quarantine_bytes_max: 1 << 20, points: ["w", "s", "c"] };
    let config = LaneConfig { lane: Lane::High, agent: AgentId([7; 16]), machine_id: "m".into(), options };
    let disk = Arc::new(fs.clone());
    let (lane, _) = SpoolLane::open(disk, Path::new(DIR), config, Arc::clone(&table), Clock::System, &mut sealer)?;
    Ok(Bench { fs: fs.clone(), lane, table, sealer })
}

fn row(offset: u64) -> Row {
    let file = FileId { device: 1, inode: 2 };
    let fingerprint = Fingerprint { file, prefix_len: 0, prefix_hash: 0, ended: false };
    Row { checkpoint: Checkpoint { fingerprint, offset }, generation: offset, lane: Lane::High }
}

impl Bench {
    fn seal(&mut self) -> Frame {
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin::default()));
        let place = self.lane.next_place();
        let mut seed = place.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..2 {
            let bytes: Vec<u8> = (0..250)
                .flat_map(|_| {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    seed.to_le_bytes()
                })
                .collect();
            batch.push_line(origin, Timestamp(1), Line { bytes: &bytes, offset: 0, full_size: 2_000, flags: 0 });
        }
        let sealer = &mut self.sealer;
        batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap()
    }

    fn frames(&mut self, count: u32) {
        for _ in 0..count {
            let frame = self.seal();
            self.lane.append(&frame, &[], 0).unwrap();
            self.lane.commit().unwrap();
        }
    }

    fn epoch(&self) -> Epoch {
        self.lane.state.current().unwrap().epoch
    }

    fn spooled(&self) -> u64 {
        let books = &self.lane.state.books;
        assert_eq!(books.sealed, books.acked + books.spooled() + books.lost.values().sum::<u64>(), "{books:?}");
        books.spooled()
    }

    /// Everything of the current epoch as an aggregator takes it: records of data frames, and lost ones.
    fn drain(&mut self) -> (u64, u64) {
        let (mut state, mut opener, mut sums) = (ChainState::EMPTY, Opener::default(), (0, 0));
        let mut after = Some((self.epoch(), 0));
        while let Some(frame) = self.lane.next_frame(after, &mut self.sealer).unwrap() {
            let header = frame.header();
            let Placing::Next(next) = place(&state, &frame, &mut opener) else { panic!("{header:?} on {state:?}") };
            match header.kind {
                FrameKind::Loss => sums.1 += next.next_record - state.next_record,
                _ => sums.0 += u64::from(header.records),
            }
            state = next;
            after = Some((header.chain.epoch, header.next_sequence() - 1));
        }
        assert_eq!(state.next_record - 1, sums.0 + sums.1);
        sums
    }
}

#[test]
fn hole_of_more_records_than_a_frame_can_name_goes_in_parts() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    bench.frames(2);
    for _ in 0..5 {
        bench.lane.state.lost_before(3 << 30, LossReason::DropOldest);
    }
    bench.frames(2);
    assert_eq!(bench.lane.state.current().unwrap().holes.len(), 1);
    assert_eq!(bench.drain(), (8, 5 * (3 << 30)));
}

#[test]
fn frame_that_was_sealed_before_a_fork_stands_behind_it() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    bench.frames(3);
    let (parked, old) = (bench.seal(), bench.epoch());
    bench.lane.fork(old, &mut bench.sealer).unwrap();
    bench.lane.append(&parked, &[], 0).unwrap();
    bench.lane.commit().unwrap();
    bench.frames(1);
    assert_eq!(bench.lane.epochs().iter().filter(|state| state.epoch == old).count(), 0, "the old epoch is over");
    assert_eq!(bench.drain(), (10, 0));
    assert_eq!(bench.spooled(), 10);
}

#[test]
fn dropping_the_oldest_after_a_fork_gives_up_nothing_that_stays() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    bench.frames(30);
    let old = bench.epoch();
    bench.lane.fork(old, &mut bench.sealer).unwrap();
    bench.frames(10);
    while bench.lane.log.segments() > 3 {
        assert!(bench.lane.drop_oldest().unwrap());
    }
    let (came, lost) = bench.drain();
    assert!(came >= 20, "{came} records of three segments");
    assert_eq!((came + lost, bench.spooled()), (80, came));
}

#[test]
fn start_that_broke_off_before_its_genesis_does_not_go_on_in_the_old_epoch() {
    for at in 1.. {
        let fs = ModelFs::new(at);
        let mut bench = open(&fs).unwrap();
        bench.frames(3);
        let (old, used) = (bench.epoch(), bench.lane.log.committed());
        drop(bench);
        let path = Path::new(DIR).join(format!("{:016x}.seg", 0));
        fs.damage(&path, |bytes| bytes[usize::try_from(used).unwrap() / 2] ^= 1);
        fs.power_off_at(at);
        let broke_off = open(&fs).is_err();
        fs.power_loss();
        let bench = open(&fs).unwrap();
        assert_ne!(bench.epoch(), old, "power off at call {at}");
        if !broke_off {
            break;
        }
    }
}

#[test]
fn refused_frame_in_a_dropped_segment_is_lost_once() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    bench.frames(20);
    let epoch = bench.epoch();
    let refused = bench.lane.frame_at(epoch, 3).unwrap().unwrap();
    bench.lane.reject(epoch, &refused).unwrap();
    bench.lane.reject(epoch, &refused).unwrap();
    bench.lane.drop_oldest().unwrap();
    let (came, lost) = bench.drain();
    assert_eq!((came + lost, bench.spooled()), (40, came));
}

#[test]
fn more_holes_than_are_remembered_keep_the_books_and_the_marks_small() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    let count = 2 * u32::try_from(HOLES_MAX).unwrap() + 40;
    bench.frames(count);
    let epoch = bench.epoch();
    for sequence in (2..u64::from(count)).step_by(2) {
        let refused = bench.lane.frame_at(epoch, sequence).unwrap().unwrap();
        bench.lane.reject(epoch, &refused).unwrap();
    }
    assert_eq!(bench.lane.state.current().unwrap().holes.len(), HOLES_MAX);
    let (came, lost) = bench.drain();
    assert_eq!((came + lost, bench.spooled()), (2 * u64::from(count), came));
}

#[test]
fn checkpoints_outlive_an_index_that_fails() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    let frame = bench.seal();
    bench.lane.append(&frame, &[row(77)], 0).unwrap();
    bench.lane.commit().unwrap();
    bench.table.lose_index();
    bench.frames(60);
    assert!(bench.lane.log.segments() > 3);
    assert_eq!(bench.table.by_inode(2)[0].offset, 77);
    let (epoch, last) = (bench.epoch(), bench.lane.state.current().unwrap().next_sequence - 1);
    bench.lane.acked(epoch, last).unwrap();
    bench.lane.trim().unwrap();
    let again = open(&bench.fs).unwrap();
    assert_eq!(again.table.by_inode(2)[0].offset, 77);
}

#[test]
fn full_disk_still_takes_acks_and_gives_its_segments_back() {
    let fs = ModelFs::new(1);
    let mut bench = open(&fs).unwrap();
    bench.frames(40);
    fs.room(Some(0));
    while let Ok(()) = {
        let frame = bench.seal();
        bench.lane.append(&frame, &[], 0).and_then(|()| bench.lane.commit().map(|_| ()))
    } {}
    let (epoch, before) = (bench.epoch(), fs.taken());
    for through in 2..bench.lane.epochs()[0].next_sequence {
        bench.lane.acked(epoch, through).unwrap();
        bench.lane.trim().unwrap();
    }
    assert!(fs.taken() < before / 2 && bench.lane.log.segments() == 1);
    // After a crash in which the tail was torn there is still room for marks.
    fs.power_loss();
    fs.room(Some(0));
    let mut bench = open(&fs).unwrap();
    assert!(bench.spooled() < 40, "what was trimmed does not come back");
    bench.lane.say().unwrap();
}

#[test]
fn acks_of_more_frames_than_are_remembered_read_nothing_back() {
    let mut bench = open(&ModelFs::new(1)).unwrap();
    let count = 5_000;
    for n in 0..count {
        let place = bench.lane.next_place();
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin::default()));
        batch.push_line(origin, Timestamp(1), Line { bytes: b"x", offset: n, full_size: 1, flags: 0 });
        let sealer = &mut bench.sealer;
        let frame = batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap();
        bench.lane.append(&frame, &[], 0).unwrap();
    }
    bench.lane.commit().unwrap();
    assert_eq!(bench.drain(), (count, 0));
    let (epoch, last) = (bench.epoch(), bench.lane.state.current().unwrap().next_sequence - 1);
    // A disk that reads nothing: what is acked one by one is known by heart.
    bench.fs.power_off_at(1);
    let _ = bench.lane.log.roll(b"", 0);
    assert!(bench.fs.is_down());
    for through in 3..=last {
        bench.lane.acked(epoch, through).unwrap();
        let acked = bench.lane.state.current().unwrap().acked.through;
        assert!(acked <= through && through - acked <= 2);
    }
    assert_eq!(bench.spooled(), 0);
}
