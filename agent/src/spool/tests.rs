use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::{ChainId, Epoch};
use shared::protocol::{ChainState, Placing, place};
use shared::record::LossReason;
use shared::time::Timestamp;

use super::*;
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints, Chunk, Lines, Outlet, SourceIndex};

pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("picket-spool-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }

    pub(super) fn copy(&self, name: &str) -> Self {
        let copy = Self::new(name);
        let status = std::process::Command::new("cp").arg("-a").args([&self.0, &copy.0]).status().unwrap();
        assert!(status.success());
        copy
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) const AGENT: AgentId = AgentId([7; 16]);
pub(super) const AGGREGATOR: AgentId = AgentId([8; 16]);

pub(super) fn config(dir: &Path) -> SpoolConfig {
    SpoolConfig {
        dir: dir.to_path_buf(),
        max_bytes: 32 << 20,
        on_full: [OnFull::Block, OnFull::Block, OnFull::DropOldest],
        agent: AGENT,
        machine_id: "m".into(),
        host: HostContext::default(),
        utc_offset_minutes: || 0,
        sources: vec![Origin { source: "logs".into(), kind: "file".into(), ..Origin::default() }],
    }
}

pub(super) fn start(dir: &Dir) -> Spool {
    Spool::start(config(&dir.0), Clock::System).unwrap()
}

fn fingerprint(inode: u64) -> Fingerprint {
    Fingerprint { file: FileId { device: 1, inode }, prefix_len: 0, prefix_hash: 0, ended: false }
}

/// Lines of `bytes` bytes that do not compress, numbered from `first`.
pub(super) fn chunk(lane: Lane, first: u64, count: u64, bytes: usize) -> Chunk {
    let mut lines = Lines::default();
    for number in first..first + count {
        let mut text = format!("{number}:").into_bytes();
        let mut seed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        while text.len() < bytes {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.extend_from_slice(&seed.to_le_bytes());
        }
        text.truncate(bytes);
        lines.push(&text, number * bytes as u64, bytes as u64, 0);
    }
    let offset = (first + count) * bytes as u64;
    Chunk {
        source: SourceIndex(0),
        lane,
        read_at: Timestamp::from_seconds(1),
        log_name: Arc::from("/var/log/x"),
        lines,
        checkpoint: Some(Checkpoint { fingerprint: fingerprint(5), offset }),
    }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// An aggregator in miniature: takes frames as the protocol says and remembers line numbers.
#[derive(Default)]
struct Taker {
    chains: BTreeMap<ChainId, ChainState>,
    numbers: Vec<u64>,
    losses: Vec<(LossReason, u64)>,
    kinds: Vec<FrameKind>,
    opener: Opener,
}

impl Taker {
    fn take(&mut self, frame: &Frame) {
        let header = frame.header();
        let state = self.chains.get(&header.chain).copied().unwrap_or(ChainState::EMPTY);
        let Placing::Next(after) = place(&state, frame, &mut self.opener) else {
            panic!("{header:?} does not follow on {state:?}");
        };
        self.chains.insert(header.chain, after);
        self.kinds.push(header.kind);
        match header.kind {
            FrameKind::Loss => {
                let notice = frame.loss_notice(&mut self.opener).unwrap();
                self.losses.push((notice.reason, after.next_record - state.next_record));
            }
            FrameKind::Data => {
                let columns = frame.open(&mut self.opener).unwrap();
                let view = BatchView::parse(&columns, header.records).unwrap();
                for record in view.iter() {
                    if let Body::Line(line) = record.unwrap().body {
                        let text = line.bytes.split(|b| *b == b':').next().unwrap();
                        self.numbers.push(std::str::from_utf8(text).unwrap().parse().unwrap());
                    }
                }
            }
            FrameKind::Genesis => {}
        }
    }

    /// Takes everything that a lane has, behind `after`.
    async fn drain(&mut self, port: &SpoolPort, lane: Lane, mut after: After) -> After {
        while let Some(frame) = port.next_frame(lane, after).await.unwrap() {
            self.take(&frame);
            after = Some((frame.header().chain.epoch, frame.header().next_sequence() - 1));
        }
        after
    }
}

pub(super) async fn committed(port: &SpoolPort, lane: Lane, records: u64) {
    let mut changes = port.committed();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        changes.borrow_and_update();
        let status = port.status().await.unwrap();
        let lane = &status.lanes[lane.name()];
        if lane.spooled + lane.acked + lane.lost.values().sum::<u64>() >= records {
            return;
        }
        tokio::time::timeout_at(deadline, changes.changed()).await.expect("committed in time").unwrap();
    }
}

/// Bytes of all files in a folder and those below it.
fn files_bytes(dir: &Path) -> u64 {
    let bytes = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        metadata if metadata.is_dir() => files_bytes(&entry.path()),
        metadata => metadata.len(),
    };
    std::fs::read_dir(dir).unwrap().map(|entry| bytes(entry.unwrap())).sum()
}

fn assert_books(status: &SpoolStatus) {
    for (name, lane) in &status.lanes {
        let lost: u64 = lane.lost.values().sum();
        let sum = lane.excluded + lane.held + lane.spooled + lane.acked + lost;
        assert_eq!(lane.observed, sum, "books of {name}: {lane:?}");
    }
}

#[test]
fn lines_become_frames_that_follow_on_and_go_when_acked() {
    let dir = Dir::new("flow");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    for i in 0..5 {
        outlet.lines(chunk(Lane::High, i * 10, 10, 100)).unwrap();
    }
    block_on(async {
        committed(&port, Lane::High, 50).await;
        let mut taker = Taker::default();
        let (epoch, through) = taker.drain(&port, Lane::High, None).await.unwrap();
        assert_eq!(taker.numbers, (0..50).collect::<Vec<_>>());
        assert_eq!(taker.kinds[0], FrameKind::Genesis);
        let chain = ChainId { agent: AGENT, lane: Lane::High, epoch };
        assert_eq!(port.hash_of(Lane::High, epoch, through).await, Some(taker.chains[&chain].head));
        port.acked(Lane::High, epoch, through, AGGREGATOR);
        assert_eq!(port.next_frame(Lane::High, None).await.unwrap(), None);
        let status = port.status().await.unwrap();
        assert_books(&status);
        assert_eq!((status.lanes["high"].acked, status.lanes["high"].spooled), (50, 0));
        assert_eq!(
            port.hash_of(Lane::High, epoch, through).await,
            Some(taker.chains[&chain].head),
            "kept after the ack"
        );
    });
    spool.stop();
    let spool = start(&dir);
    assert_eq!(spool.checkpoints().by_inode(5)[0].offset, 5_000);
    block_on(async {
        let status = spool.port().status().await.unwrap();
        assert_books(&status);
        assert_eq!((status.lanes["high"].acked, status.lanes["high"].spooled), (50, 0));
        let chains = spool.port().summaries().await;
        let high: Vec<_> = chains.iter().filter(|chain| chain.lane == Lane::High).collect();
        assert_eq!(high.len(), 1);
        assert!(high[0].is_consistent() && high[0].oldest == high[0].next);
        assert_eq!(high[0].delivered[0].aggregator, AGGREGATOR);
    });
    spool.stop();
}

#[test]
fn what_was_committed_is_there_after_a_crash_with_and_without_an_index() {
    let dir = Dir::new("crash");
    let spool = start(&dir);
    let port = spool.port();
    spool.outlet().lines(chunk(Lane::Normal, 0, 40, 50)).unwrap();
    block_on(committed(&port, Lane::Normal, 40));
    let copies = [dir.copy("crash-1"), dir.copy("crash-2")];
    spool.stop();
    std::fs::remove_dir_all(copies[1].0.join("index")).unwrap();
    for copy in &copies {
        let spool = start(copy);
        assert_eq!(spool.checkpoints().by_inode(5)[0].offset, 2_000);
        block_on(async {
            let mut taker = Taker::default();
            taker.drain(&spool.port(), Lane::Normal, None).await;
            assert_eq!(taker.numbers, (0..40).collect::<Vec<_>>());
            assert_books(&spool.port().status().await.unwrap());
        });
        spool.stop();
    }
}

#[test]
fn full_lane_that_blocks_waits_and_goes_on_after_acks() {
    let dir = Dir::new("block");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    let feeder = std::thread::spawn(move || {
        for i in 0..50 {
            outlet.lines(chunk(Lane::High, i * 10, 10, 80_000)).unwrap();
        }
    });
    block_on(async {
        let mut changes = port.committed();
        while !port.status().await.unwrap().lanes["high"].blocked {
            changes.changed().await.unwrap();
        }
        let status = port.status().await.unwrap();
        assert!(status.bytes <= status.max_bytes, "{status:?}");
        let files = files_bytes(&dir.0);
        assert!(files <= status.max_bytes, "{files} bytes of logs, index and quarantine");
        assert_books(&status);
        let mut taker = Taker::default();
        let mut after = None;
        while taker.numbers.len() < 500 {
            after = taker.drain(&port, Lane::High, after).await;
            let (epoch, through) = after.unwrap();
            port.acked(Lane::High, epoch, through, AGGREGATOR);
            let status = port.status().await.unwrap();
            assert!(status.bytes <= status.max_bytes);
            if taker.numbers.len() < 500 {
                let _ = tokio::time::timeout(Duration::from_millis(100), changes.changed()).await;
            }
        }
        assert_eq!(taker.numbers, (0..500).collect::<Vec<_>>());
        assert_eq!(taker.losses, []);
        assert_books(&port.status().await.unwrap());
    });
    feeder.join().unwrap();
    spool.stop();
}

#[test]
fn full_lane_that_drops_says_exactly_what_it_dropped() {
    let dir = Dir::new("drop");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    for i in 0..60 {
        outlet.lines(chunk(Lane::Bulk, i * 10, 10, 60_000)).unwrap();
    }
    block_on(async {
        committed(&port, Lane::Bulk, 600).await;
        let mut taker = Taker::default();
        taker.drain(&port, Lane::Bulk, None).await;
        let status = port.status().await.unwrap();
        assert!(status.bytes <= status.max_bytes);
        assert_books(&status);
        let [(LossReason::DropOldest, lost)] = taker.losses[..] else { panic!("{:?}", taker.losses) };
        assert_eq!(status.lanes["bulk"].lost["drop_oldest"], lost);
        assert_eq!(taker.numbers, (lost..600).collect::<Vec<_>>());
        assert!(lost > 0);
    });
    let copy = dir.copy("drop-crash");
    spool.stop();
    let spool = start(&copy);
    block_on(async {
        let mut taker = Taker::default();
        taker.drain(&spool.port(), Lane::Bulk, None).await;
        assert_eq!(taker.losses.len(), 1, "the reason survives a crash");
        assert_eq!(taker.losses[0].0, LossReason::DropOldest);
        assert_books(&spool.port().status().await.unwrap());
    });
    spool.stop();
}

#[test]
fn damage_becomes_a_loss_frame_in_its_place() {
    let dir = Dir::new("damage");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    for i in 0..20 {
        outlet.lines(chunk(Lane::Normal, i * 10, 10, 40_000)).unwrap();
    }
    block_on(committed(&port, Lane::Normal, 200));
    spool.stop();
    let first = dir.0.join("normal/0000000000000000.seg");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[700_000] ^= 1;
    std::fs::write(&first, bytes).unwrap();
    let spool = start(&dir);
    block_on(async {
        let mut taker = Taker::default();
        let after = taker.drain(&spool.port(), Lane::Normal, None).await;
        let [(LossReason::Damage, lost)] = taker.losses[..] else { panic!("{:?}", taker.losses) };
        assert_eq!(taker.numbers.len() as u64 + lost, 200);
        let status = spool.port().status().await.unwrap();
        assert_books(&status);
        let (epoch, through) = after.unwrap();
        spool.port().acked(Lane::Normal, epoch, through, AGGREGATOR);
        let status = spool.port().status().await.unwrap();
        assert_books(&status);
        assert_eq!((status.lanes["normal"].spooled, status.lanes["normal"].lost["damage"]), (0, lost));
    });
    spool.stop();
}

#[test]
fn fork_seals_what_was_unacked_again_and_refusal_becomes_a_loss_frame() {
    let dir = Dir::new("fork");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    for i in 0..4 {
        outlet.lines(chunk(Lane::High, i * 10, 10, 70_000)).unwrap();
    }
    block_on(async {
        committed(&port, Lane::High, 40).await;
        let mut taker = Taker::default();
        let first = port.next_frame(Lane::High, None).await.unwrap().unwrap();
        let epoch = first.header().chain.epoch;
        let second = port.next_frame(Lane::High, Some((epoch, 1))).await.unwrap().unwrap();
        taker.take(&first);
        taker.take(&second);
        port.acked(Lane::High, epoch, 2, AGGREGATOR);
        port.fork(Lane::High, epoch).await;
        let after = taker.drain(&port, Lane::High, None).await;
        assert_ne!(after.unwrap().0, epoch);
        assert_eq!(taker.numbers, (0..40).collect::<Vec<_>>());
        assert_books(&port.status().await.unwrap());
        // The aggregator refuses the second frame of the new epoch.
        let epoch: Epoch = after.unwrap().0;
        port.reject(Lane::High, epoch, 2, "checksum".into()).await;
        let mut taker = Taker::default();
        taker.drain(&port, Lane::High, None).await;
        assert_eq!(taker.losses.len(), 1);
        assert_eq!(taker.losses[0].0, LossReason::Rejected);
        assert_eq!(taker.numbers.len() as u64 + taker.losses[0].1, 30);
        assert_books(&port.status().await.unwrap());
    });
    assert_eq!(std::fs::read_dir(dir.0.join("quarantine")).unwrap().count(), 1);
    spool.stop();
}

#[test]
fn what_was_settled_is_on_disk() {
    use crate::handover::Records;
    use shared::record::Value;
    let dir = Dir::new("settled");
    let spool = start(&dir);
    let mut outlet = spool.outlet();
    let mut records = Records::new(SourceIndex(0), Lane::High, Timestamp(1), "x".into());
    records.push(vec![("picket.record".into(), Value::String("host".into()))]);
    outlet.remade_records(records).unwrap();
    assert!(outlet.settle(Lane::High));
    // As a crash leaves it: nobody has stopped the spool.
    let left = dir.copy("settled-copy");
    let status = start(&left).port();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let status = runtime.block_on(status.status()).unwrap();
    assert!(status.lanes["high"].spooled >= 1, "{status:?}");
    drop(spool);
}
