//! A lane under a crash at every call, held against an aggregator that keeps what it took.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use shared::batch::{Batch, BatchView, Body, HostContext, Line, Origin};
use shared::frame::{Frame, FrameKind, Opener, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::log::model::crashes::{Dice, Ran, crash_at_every_call};
use shared::log::{Fs, ModelFs, Options};
use shared::protocol::{ChainState, Placing, place};
use shared::record::{LossReason, Value};
use shared::time::{Clock, ManualClock, Timestamp};

use super::checkpoints::{Row, Table};
use super::lane::{LaneConfig, SpoolLane};
use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints};

pub(super) const AGENT: AgentId = AgentId([7; 16]);
const DIR: &str = "/spool/high";
/// The one file that is read: line `n` stands at offset `n`.
const FILE: FileId = FileId { device: 1, inode: 2 };

/// An aggregator, which never loses anything, and what it learned of a lane over all lives of the agent.
pub(super) struct Taker {
    lane: Lane,
    chains: BTreeMap<ChainId, ChainState>,
    /// Every frame that was ever taken: a place in a chain is used once.
    hashes: BTreeMap<(Epoch, u64), FrameHash>,
    /// How often each line came.
    pub(super) lines: BTreeMap<u64, u32>,
    /// Records that loss frames stand for.
    pub(super) lost: u64,
    /// Records that loss records count, by the frames that these came in.
    pub(super) told: BTreeMap<(Epoch, u64), u64>,
    /// Records of the agent's own.
    pub(super) typed: u64,
    opener: Opener,
}

/// Line `number`, of `size` bytes.
pub(super) fn line(number: u64, size: u64) -> Vec<u8> {
    let (mut dice, size) = (Dice::new(number), usize::try_from(size).unwrap());
    let mut bytes = Vec::with_capacity(size + 4);
    while bytes.len() < size {
        bytes.extend_from_slice(&u32::try_from(dice.below(1 << 32)).unwrap().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

impl Taker {
    pub(super) fn of(lane: Lane) -> Self {
        Self {
            lane,
            chains: BTreeMap::new(),
            hashes: BTreeMap::new(),
            lines: BTreeMap::new(),
            lost: 0,
            told: BTreeMap::new(),
            typed: 0,
            opener: Opener::default(),
        }
    }

    pub(super) fn state(&self, epoch: Epoch) -> ChainState {
        self.chains.get(&self.chain(epoch)).copied().unwrap_or(ChainState::EMPTY)
    }

    fn chain(&self, epoch: Epoch) -> ChainId {
        ChainId { agent: AGENT, lane: self.lane, epoch }
    }

    /// Moves the prefix over an absent range.
    pub(super) fn pass(&mut self, epoch: Epoch, through: u64, head: FrameHash, next_record: u64) {
        self.chains.insert(self.chain(epoch), ChainState { through, head, next_record });
    }

    pub(super) fn take(&mut self, frame: &Frame) {
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
                    match record.unwrap().body {
                        Body::Line(taken) => {
                            let number = taken.offset;
                            assert_eq!(taken.bytes, line(number, taken.full_size), "line {number} is altered");
                            *self.lines.entry(number).or_default() += 1;
                        }
                        Body::Typed(fields) => {
                            self.typed += 1;
                            let count = fields.iter().find(|(name, _)| *name == "count").map(|(_, value)| value);
                            let count = if let Some(Value::U64(count)) = count { *count } else { 0 };
                            *self.told.entry((header.chain.epoch, header.sequence)).or_default() += count;
                        }
                    }
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
    /// Where acks stood when a segment was unlinked for them: nothing below may come as unacked.
    trimmed: BTreeMap<Epoch, u64>,
    /// Sequences that were dropped: a loss frame stands for them.
    dropped: BTreeSet<(Epoch, u64)>,
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
        fs.up()?;
        assert!(report.continuity && report.damage.is_empty() && report.foreign.is_empty(), "{report:?}");
        // The source goes on where its checkpoint says.
        let next_line = table.by_inode(FILE.inode).first().map_or(0, |checkpoint| checkpoint.offset);
        let books = &lane.state.books;
        let observed = books.sealed + books.excluded + books.refused.values().sum::<u64>();
        let agent = Self { fs: fs.clone(), lane, sealer, next_line, staged: Vec::new(), observed };
        agent.check_books();
        agent.check_gone();
        Ok(agent)
    }

    /// Of what stands in no segment any more the log says that it was acked or lost.
    fn check_gone(&self) {
        let Some(oldest) = self.lane.starts.front().filter(|start| start.first == self.lane.log.oldest()) else {
            return;
        };
        for state in self.lane.epochs() {
            let Some(to) = oldest.of(state) else { continue };
            let from = (state.acked.through + 1, state.acked.next_record);
            let unsaid = state.not_in_holes(from, to, LossReason::DropOldest);
            assert!(unsaid.is_empty(), "{}: gone, and nothing says why: {unsaid:?}", state.epoch);
        }
    }

    fn check_books(&self) {
        let books = &self.lane.state.books;
        let lost: u64 = books.lost.values().chain(books.refused.values()).sum();
        assert_eq!(self.observed, books.excluded + books.spooled() + books.acked + lost, "{books:?}");
        assert!(books.sealed >= books.acked + books.lost.values().sum::<u64>(), "{books:?}");
    }

    fn append(&mut self, known: &mut Known, random: &mut Dice) -> std::io::Result<()> {
        let (count, size) = (1 + random.below(5), 20 + random.below(1_500));
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin::default()));
        for number in self.next_line..self.next_line + count {
            let bytes = line(number, size);
            batch.push_line(origin, Timestamp(1), Line { bytes: &bytes, offset: number, full_size: size, flags: 0 });
        }
        let (place, sealer) = (self.lane.next_place(), &mut self.sealer);
        let frame = batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap();
        known.next_generation += 1;
        let fingerprint = Fingerprint { file: FILE, prefix_len: 0, prefix_hash: 0, ended: false };
        let checkpoint = Checkpoint { fingerprint, offset: self.next_line + count };
        let row = Row { checkpoint, generation: known.next_generation, lane: Lane::High };
        self.lane.append(&frame, &[row], 0)?;
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

    /// Lets segments go.
    fn trim(&mut self, known: &mut Known) -> std::io::Result<()> {
        if self.lane.trim()? > 0 {
            known.trimmed.extend(self.lane.epochs().iter().map(|state| (state.epoch, state.acked.through)));
        }
        Ok(())
    }

    /// Drops the oldest segment, whatever stands in it.
    fn drop_oldest(&mut self, known: &mut Known) -> std::io::Result<()> {
        if self.lane.drop_oldest()? {
            let holes = self.lane.epochs().iter().flat_map(|state| state.holes.iter().map(|hole| (state.epoch, hole)));
            known.dropped.extend(
                holes.flat_map(|(epoch, hole)| (hole.sequence..hole.end()).map(move |sequence| (epoch, sequence))),
            );
        }
        Ok(())
    }

    /// A session: Resume, then some frames, some acks.
    fn session(&mut self, taker: &mut Taker, known: &mut Known, random: &mut Dice) -> std::io::Result<()> {
        self.lane.commit()?;
        let epochs: Vec<Epoch> = self.lane.epochs().iter().map(|state| state.epoch).collect();
        for epoch in epochs {
            let through = taker.state(epoch).through;
            let Some(state) = self.lane.epochs().iter().find(|state| state.epoch == epoch) else { continue };
            assert!(through < state.next_sequence, "the aggregator has {through}, next is {}", state.next_sequence);
            if through < state.acked.through {
                // Only a fork moves frames to another epoch; what it left behind becomes an absent range.
                assert!(known.forked, "acked {} was never taken", state.acked.through);
                taker.pass(epoch, state.acked.through, state.acked.hash, state.acked.next_record);
                continue;
            }
            let trimmed = known.trimmed.get(&epoch).copied().unwrap_or(0);
            assert!(state.acked.through >= trimmed, "{trimmed} was trimmed, {} is acked", state.acked.through);
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
            let header = frame.header();
            let (epoch, through) = (header.chain.epoch, header.next_sequence() - 1);
            let trimmed = known.trimmed.get(&epoch).is_some_and(|trimmed| header.sequence <= *trimmed);
            assert!(!trimmed, "{header:?} was trimmed and comes as unacked");
            let dropped = header.kind != FrameKind::Loss && known.dropped.contains(&(epoch, header.sequence));
            assert!(!dropped, "{header:?} was dropped and comes");
            taker.take(&frame);
            after = Some((epoch, through));
            if random.below(4) == 0 {
                self.lane.acked(epoch, through)?;
                self.trim(known)?;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, known: &mut Known) {
        let committed = std::mem::take(&mut known.committed);
        known.given_up.extend(committed);
        known.given_up.extend(self.staged.drain(..).map(|line| (line, ())));
    }

    fn step(&mut self, taker: &mut Taker, known: &mut Known, random: &mut Dice) -> std::io::Result<()> {
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
            27 => self.trim(known),
            28 => {
                self.give_up(known);
                self.drop_oldest(known)
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

    fn live(&mut self, taker: &mut Taker, known: &mut Known, random: &mut Dice, steps: u32) {
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

fn crash(fs: &ModelFs, random: &mut Dice) {
    fs.room(None);
    if random.below(3) == 0 { fs.kill() } else { fs.power_loss() }
}

fn open_again(fs: &ModelFs, known: &mut Known) -> Option<Agent> {
    let agent = match Agent::open(fs) {
        Ok(agent) => agent,
        Err(error) => {
            assert!(fs.is_down(), "a lane opens after any crash: {error}");
            return None;
        }
    };
    // What was found counts from here on.
    let found = (0..agent.next_line).filter(|line| !known.given_up.contains_key(line));
    known.committed.extend(found.map(|line| (line, ())));
    Some(agent)
}

/// Three lives on one disk, the first of which ends at call `at`; then everything is drained and compared.
fn run(seed: u64, at: u64) -> Ran {
    let mut random = Dice::new(seed);
    let (fs, mut taker, mut known) = (ModelFs::new(seed ^ at), Taker::of(Lane::High), Known::default());
    fs.short_reads(seed.is_multiple_of(3));
    fs.short_writes(seed.is_multiple_of(2));
    let begun = fs.calls();
    fs.power_off_at(at);
    if let Ok(mut agent) = Agent::open(&fs) {
        agent.live(&mut taker, &mut known, &mut random, 70);
    }
    let ran = Ran::of(&fs, begun);
    for steps in [30, 15] {
        crash(&fs, &mut random);
        // Opening may meet the next crash.
        fs.power_off_at(1 + random.below(70));
        if let Some(mut agent) = open_again(&fs, &mut known) {
            agent.live(&mut taker, &mut known, &mut random, steps);
        }
    }
    crash(&fs, &mut random);
    let mut agent = open_again(&fs, &mut known).expect("it is up");
    agent.lane.rows().unwrap();
    let checkpoint = agent.next_line;
    for _ in 0..64 {
        agent.session(&mut taker, &mut known, &mut Dice::new(7)).unwrap();
    }
    let _ = agent.lane.trim().unwrap();
    agent.check_books();
    let lines = &taker.lines;
    for line in known.committed.keys() {
        assert!(lines.contains_key(line), "line {line} was committed and did not arrive");
    }
    assert!(lines.keys().all(|line| *line < checkpoint), "a line came without its checkpoint {checkpoint}");
    let missing: Vec<u64> = (0..checkpoint).filter(|line| !lines.contains_key(line)).collect();
    assert!(
        missing.iter().all(|line| known.given_up.contains_key(line)),
        "the checkpoint stands at {checkpoint}, of {missing:?} some are nowhere"
    );
    if known.forked {
        // What was lost before a fork may be said again after it.
        assert!(missing.len() as u64 <= taker.lost, "{} lines are missing, {} lost", missing.len(), taker.lost);
    } else {
        // A line whose frame came and whose checkpoint did not is read again; nothing else doubles.
        assert!(lines.values().all(|count| *count == 1), "{:?}", lines.iter().find(|(_, count)| **count > 1));
        assert_eq!(missing.len() as u64, taker.lost, "what is lost is what loss frames say: {missing:?}");
    }
    ran
}

#[test]
fn lane_keeps_its_promises_through_a_crash_at_every_call() {
    crash_at_every_call("lane", 5, run);
}
