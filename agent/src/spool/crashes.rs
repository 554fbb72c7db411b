//! A lane under a crash at every call, held against an aggregator that keeps what it took. `PICKET_SEEDS` asks for
//! more traces.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shared::batch::{Batch, BatchView, Body, HostContext, Line, Origin};
use shared::frame::{Frame, FrameKind, Opener, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::log::{Fs, ModelFs, Options};
use shared::protocol::{ChainState, Placing, place};
use shared::time::{Clock, ManualClock, Timestamp};

use super::checkpoints::{Row, Table};
use super::lane::{LaneConfig, SpoolLane};
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints};

const AGENT: AgentId = AgentId([7; 16]);
const DIR: &str = "/spool/high";
/// The one file that is read: line `n` stands at offset `n`.
const FILE: FileId = FileId { device: 1, inode: 2 };

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}

/// An aggregator, which never loses anything, and what it learned over all lives of the agent.
#[derive(Default)]
struct Taker {
    chains: BTreeMap<ChainId, ChainState>,
    /// Every frame that was ever taken: a place in a chain is used once.
    hashes: BTreeMap<(Epoch, u64), FrameHash>,
    /// How often each line came.
    lines: BTreeMap<u64, u32>,
    lost: u64,
    opener: Opener,
}

impl Taker {
    fn state(&self, epoch: Epoch) -> ChainState {
        let chain = ChainId { agent: AGENT, lane: Lane::High, epoch };
        self.chains.get(&chain).copied().unwrap_or(ChainState::EMPTY)
    }

    fn take(&mut self, frame: &Frame) {
        let header = frame.header();
        let before = self.state(header.chain.epoch);
        let after = match place(&before, frame, &mut self.opener) {
            Placing::Next(after) => after,
            Placing::Known => return,
            other => panic!("{other:?}: {header:?} does not follow on {before:?}"),
        };
        self.chains.insert(header.chain, after);
        match header.kind {
            FrameKind::Genesis => {}
            FrameKind::Loss => self.lost += after.next_record - before.next_record,
            FrameKind::Data => {
                let known = self.hashes.insert((header.chain.epoch, header.sequence), frame.hash());
                assert!(known.is_none(), "sequence {} is used twice", header.sequence);
                let columns = frame.open(&mut self.opener).unwrap();
                let view = BatchView::parse(&columns, header.records).unwrap();
                for record in view.iter() {
                    let Body::Line(line) = record.unwrap().body else { panic!("no line") };
                    *self.lines.entry(line.offset).or_default() += 1;
                }
            }
        }
    }
}

/// What is known of the lane over its lives.
#[derive(Default)]
struct Known {
    /// Lines in committed frames that were neither dropped nor refused.
    committed: BTreeMap<u64, ()>,
    /// Lines that were dropped or refused on purpose: they may come, or be lost.
    given_up: BTreeMap<u64, ()>,
    /// A fork may double.
    forked: bool,
    next_generation: u64,
}

struct Agent {
    fs: ModelFs,
    lane: SpoolLane,
    sealer: Sealer,
    /// The next line of the file.
    next_line: u64,
    /// Lines staged and not committed.
    staged: Vec<u64>,
    observed: u64,
}

impl Agent {
    fn open(fs: &ModelFs) -> std::io::Result<Self> {
        let table = Arc::new(Table::in_memory());
        let mut sealer = Sealer::new()?;
        let options = Options { segment_bytes: 76 << 10, quarantine_bytes_max: 64 << 10, points: ["w", "s", "c"] };
        let config = LaneConfig { lane: Lane::High, agent: AGENT, machine_id: "m".into(), options };
        let disk: Arc<dyn Fs> = Arc::new(fs.clone());
        let clock = Clock::Manual(ManualClock::new(Timestamp::from_seconds(1)));
        let (lane, report) = SpoolLane::open(disk, Path::new(DIR), config, Arc::clone(&table), clock, &mut sealer)?;
        assert!(report.continuity && report.damage.is_empty() && report.foreign.is_empty(), "{report:?}");
        // The source goes on where its checkpoint says.
        let next_line = table.by_inode(FILE.inode).first().map_or(0, |checkpoint| checkpoint.offset);
        let books = &lane.state.books;
        let observed = books.sealed + books.excluded + books.refused.values().sum::<u64>();
        let agent = Self { fs: fs.clone(), lane, sealer, next_line, staged: Vec::new(), observed };
        agent.check_books();
        Ok(agent)
    }

    fn check_books(&self) {
        let books = &self.lane.state.books;
        let lost: u64 = books.lost.values().chain(books.refused.values()).sum();
        assert_eq!(self.observed, books.excluded + books.spooled() + books.acked + lost, "{books:?}");
        assert!(books.sealed >= books.acked + books.lost.values().sum::<u64>(), "{books:?}");
    }

    fn append(&mut self, known: &mut Known, random: &mut Random) -> std::io::Result<()> {
        let (count, size) = (1 + random.below(5), 20 + random.below(1_500));
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin::default()));
        for line in self.next_line..self.next_line + count {
            let mut noise = Random(line.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let bytes: Vec<u8> = (0..size).map(|_| u8::try_from(noise.below(256)).unwrap()).collect();
            batch.push_line(origin, Timestamp(1), Line { bytes: &bytes, offset: line, full_size: size, flags: 0 });
        }
        let (place, sealer) = (self.lane.next_place(), &mut self.sealer);
        let frame = batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap();
        known.next_generation += 1;
        let fingerprint = Fingerprint { file: FILE, prefix_len: 0, prefix_hash: 0, ended: false };
        let checkpoint = Checkpoint { fingerprint, offset: self.next_line + count };
        let row = Row { checkpoint, generation: known.next_generation, lane: Lane::High };
        self.lane.append(&frame, &[row])?;
        self.observed += count;
        self.staged.extend(self.next_line..self.next_line + count);
        self.next_line += count;
        Ok(())
    }

    /// After any call that may have committed: what is staged no more counts as promised.
    fn note(&mut self, known: &mut Known) {
        if self.lane.log.pending_bytes() == 0 {
            known.committed.extend(self.staged.drain(..).map(|line| (line, ())));
        }
    }

    /// A session: Resume, then some frames, some acks.
    fn session(&mut self, taker: &mut Taker, known: &Known, random: &mut Random) -> std::io::Result<()> {
        self.lane.commit()?;
        let epochs: Vec<Epoch> = self.lane.epochs().iter().map(|state| state.epoch).collect();
        for epoch in epochs {
            let through = taker.state(epoch).through;
            let Some(state) = self.lane.epochs().iter().find(|state| state.epoch == epoch) else { continue };
            assert!(through < state.next_sequence, "the aggregator has {through}, next is {}", state.next_sequence);
            if through < state.acked.through {
                // Only a fork moves frames to another epoch; what it left behind becomes an absent range.
                assert!(known.forked, "acked {} was never taken", state.acked.through);
                let chain = ChainId { agent: AGENT, lane: Lane::High, epoch };
                let (through, head, next_record) = (state.acked.through, state.acked.hash, state.acked.next_record);
                taker.chains.insert(chain, ChainState { through, head, next_record });
                continue;
            }
            if let Some(ours) = self.lane.chain_at(epoch, through)? {
                assert!(through == 0 || ours.hash == taker.state(epoch).head, "no fork happened at {through}");
            }
            self.lane.acked(epoch, through)?;
        }
        let mut after = self.lane.epochs().first().map(|state| (state.epoch, taker.state(state.epoch).through));
        let mut budget = random.below(40);
        while let Some(frame) = self.lane.next_frame(after, &mut self.sealer)? {
            if budget == 0 {
                return Ok(());
            }
            budget -= 1;
            taker.take(&frame);
            let (epoch, through) = (frame.header().chain.epoch, frame.header().next_sequence() - 1);
            after = Some((epoch, through));
            if random.below(4) == 0 {
                self.lane.acked(epoch, through)?;
                self.lane.trim()?;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, known: &mut Known) {
        let committed = std::mem::take(&mut known.committed);
        known.given_up.extend(committed);
        known.given_up.extend(self.staged.drain(..).map(|line| (line, ())));
    }

    fn step(&mut self, taker: &mut Taker, known: &mut Known, random: &mut Random) -> std::io::Result<()> {
        match random.below(32) {
            0..=12 => self.append(known, random),
            13..=18 => self.lane.commit().map(|_| ()),
            19..=24 => self.session(taker, known, random),
            25 => {
                self.fs.fail_sync_at(1 + random.below(3));
                Ok(())
            }
            26 => {
                let more = random.below(300 << 10);
                self.fs.room((random.below(2) == 0).then(|| self.fs.taken() + more));
                Ok(())
            }
            27 => self.lane.trim().map(|_| ()),
            28 => {
                self.give_up(known);
                self.lane.drop_oldest().map(|_| ())
            }
            29 => {
                self.give_up(known);
                let Some(state) = self.lane.epochs().last() else { return Ok(()) };
                let (epoch, acked) = (state.epoch, state.acked.through);
                let span = state.next_sequence - 1 - acked;
                let sequence = acked + 1 + random.below(span);
                let sequence = sequence.max(taker.state(epoch).through + 1);
                match self.lane.frame_at(epoch, sequence)? {
                    Some(frame) if frame.header().kind == FrameKind::Data => self.lane.reject(epoch, &frame),
                    _ => Ok(()),
                }
            }
            30 => {
                known.forked = true;
                let Some(state) = self.lane.epochs().last() else { return Ok(()) };
                let epoch = state.epoch;
                let _ = self.lane.acked(epoch, taker.state(epoch).through)?;
                self.lane.fork(epoch, &mut self.sealer)
            }
            _ => {
                self.lane.mark();
                Ok(())
            }
        }
    }

    fn live(&mut self, taker: &mut Taker, known: &mut Known, random: &mut Random, steps: u32) {
        for _ in 0..steps {
            let result = self.step(taker, known, random);
            self.note(known);
            if result.is_err() && self.fs.is_down() {
                return;
            }
            self.check_books();
        }
    }
}

fn crash(fs: &ModelFs, random: &mut Random) {
    fs.room(None);
    if random.below(3) == 0 { fs.kill() } else { fs.power_loss() }
}

fn open_again(fs: &ModelFs) -> Agent {
    Agent::open(fs).expect("a lane opens after any crash")
}

/// Three lives on one disk, the first of which ends at call `at`; then everything is drained and compared.
fn run(seed: u64, at: u64) -> u64 {
    let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1);
    let (fs, mut taker, mut known) = (ModelFs::new(seed ^ at), Taker::default(), Known::default());
    let begun = fs.calls();
    fs.power_off_at(at);
    if let Ok(mut agent) = Agent::open(&fs) {
        agent.live(&mut taker, &mut known, &mut random, 70);
    }
    let calls = fs.calls() - begun;
    for steps in [30, 15] {
        crash(&fs, &mut random);
        let mut agent = open_again(&fs);
        fs.power_off_at(1 + random.below(60));
        agent.live(&mut taker, &mut known, &mut random, steps);
    }
    crash(&fs, &mut random);
    let mut agent = open_again(&fs);
    agent.lane.rows().unwrap();
    let checkpoint = agent.next_line;
    for _ in 0..64 {
        agent.session(&mut taker, &known, &mut Random(7)).unwrap();
    }
    let _ = agent.lane.trim().unwrap();
    agent.check_books();
    let lines = &taker.lines;
    for line in known.committed.keys() {
        assert!(lines.contains_key(line), "line {line} was committed and did not arrive");
    }
    for line in 0..checkpoint {
        let is_known = lines.contains_key(&line) || known.given_up.contains_key(&line);
        assert!(is_known || taker.lost > 0, "the checkpoint stands at {checkpoint}, line {line} is nowhere");
    }
    if !known.forked {
        // A line whose frame came and whose checkpoint did not is read again; nothing else doubles.
        assert!(lines.values().all(|count| *count == 1), "{:?}", lines.iter().find(|(_, count)| **count > 1));
    }
    calls
}

#[test]
fn lane_keeps_its_promises_through_a_crash_at_every_call() {
    let seeds = std::env::var("PICKET_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for seed in 1..=seeds {
        let mut at = 1;
        loop {
            let calls = std::panic::catch_unwind(|| run(seed, at));
            let calls = calls.unwrap_or_else(|_| panic!("seed {seed}, power off at call {at}"));
            at += 1;
            if at > calls + 1 {
                break;
            }
        }
    }
}
