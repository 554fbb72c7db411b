//! Models of what stands at both ends of a session: a spool and a journal, in memory and without mercy.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::frame::{
    COLUMN_TYPE_BYTES, Frame, FrameKind, GenesisNotice, GenesisReason, LossNotice, Opener, Place, PreviousEpoch, Sealer,
};
use crate::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use crate::protocol::*;
use crate::record::LossReason;
use crate::time::Timestamp;

/// splitmix64: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone)]
pub struct ModelEpoch {
    pub epoch: Epoch,
    pub frames: BTreeMap<u64, Frame>,
    pub next: u64,
    pub next_record: u64,
    pub head: FrameHash,
    /// Sequence, hash, and the record behind it.
    pub acked: (u64, FrameHash, u64),
    pub delivered: Vec<Delivery>,
}

impl ModelEpoch {
    fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            frames: BTreeMap::new(),
            next: 1,
            next_record: 1,
            head: FrameHash::ZERO,
            acked: (0, FrameHash::ZERO, 1),
            delivered: Vec::new(),
        }
    }

    fn push(&mut self, frame: Frame) {
        self.next = frame.header().next_sequence();
        self.next_record = frame.header().next_record();
        self.head = frame.hash();
        self.frames.insert(frame.header().sequence, frame);
    }

    /// The boundary at or below `sequence` of which everything is known: (sequence, hash, next record).
    fn boundary(&self, sequence: u64) -> (u64, FrameHash, u64) {
        let left = self.frames.range(..=sequence).next_back();
        let left = left.map_or(self.acked, |(&s, f)| (s, f.hash(), f.header().next_record()));
        // The end of a hole is known by its right neighbor, or by the end of the chain.
        let right = self.frames.range(sequence + 1..).next();
        let right = right.map_or((self.next - 1, self.head, self.next_record), |(&s, f)| {
            (s - 1, f.header().prev, f.header().first_record)
        });
        if right.0 == sequence { right } else { left }
    }

    fn after(&self, chain: ChainId, sequence: u64, sealer: &mut Sealer) -> Option<Frame> {
        let start = sequence.max(self.acked.0) + 1;
        if start >= self.next {
            return None;
        }
        if let Some(frame) = self.frames.get(&start) {
            return Some(frame.clone());
        }
        let left = self.frames.range(..start).next_back();
        let (from, prev, first_record) = left.map_or(self.acked, |(&s, f)| (s, f.hash(), f.header().next_record()));
        let right = self.frames.range(start..).next();
        let (to, last_hash, next_record) = right
            .map_or((self.next, self.head, self.next_record), |(&s, f)| (s, f.header().prev, f.header().first_record));
        let place = Place { chain, sequence: from + 1, first_record, prev, sealed_at: Timestamp(0) };
        let notice =
            LossNotice { reason: LossReason::DropOldest, first_time: Timestamp(0), last_time: Timestamp(0), last_hash };
        let span = u32::try_from(to - from - 1).unwrap();
        Some(sealer.loss(&place, span, u32::try_from(next_record - first_record).unwrap(), &notice).unwrap())
    }
}

/// An agent's spool. Cloning it is cloning the host.
#[derive(Clone)]
pub struct ModelSpool {
    pub agent: AgentId,
    pub lanes: PerLane<Vec<ModelEpoch>>,
    /// Frames that arrive broken whenever they are written.
    pub cursed: HashSet<FrameHash>,
    pub forks: u32,
}

pub fn payload(frame: &Frame, opener: &mut Opener) -> Vec<u64> {
    let columns = frame.open(opener).unwrap();
    columns[0].2.chunks(8).map(|id| u64::from_le_bytes(id.try_into().unwrap())).collect()
}

impl ModelSpool {
    pub fn new(agent: AgentId, rng: &mut Rng, sealer: &mut Sealer) -> Self {
        let mut spool = Self { agent, lanes: PerLane::default(), cursed: HashSet::new(), forks: 0 };
        for lane in Lane::ALL {
            spool.open_epoch(lane, Epoch(rng.next()), GenesisReason::NewSpool, sealer);
        }
        spool
    }

    pub fn open_epoch(&mut self, lane: Lane, epoch: Epoch, reason: GenesisReason, sealer: &mut Sealer) {
        let epochs = self.lanes.of_mut(lane);
        let previous = epochs.last().map(|e| PreviousEpoch { epoch: e.epoch, next: Some(e.next), head: Some(e.head) });
        let chain = ChainId { agent: self.agent, lane, epoch };
        let mut new = ModelEpoch::new(epoch);
        new.push(sealer.genesis(chain, Timestamp(0), &GenesisNotice { reason, previous }).unwrap());
        epochs.push(new);
    }

    pub fn seal(&mut self, lane: Lane, ids: &[u64], padding: &[u8], sealer: &mut Sealer) {
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let current = self.lanes.of_mut(lane).last_mut().unwrap();
        let chain = ChainId { agent: self.agent, lane, epoch: current.epoch };
        let place = Place {
            chain,
            sequence: current.next,
            first_record: current.next_record,
            prev: current.head,
            sealed_at: Timestamp(0),
        };
        let columns = [(9, COLUMN_TYPE_BYTES, &bytes[..]), (10, COLUMN_TYPE_BYTES, padding)];
        current.push(sealer.data(&place, u32::try_from(ids.len()).unwrap(), &columns).unwrap());
    }

    /// Gives up the oldest `count` frames of a lane; their payload.
    pub fn drop_oldest(&mut self, lane: Lane, count: u64) -> Vec<u64> {
        let mut opener = Opener::default();
        let mut dropped = Vec::new();
        if let Some(epoch) = self.lanes.of_mut(lane).iter_mut().find(|e| !e.frames.is_empty()) {
            for _ in 0..count {
                let Some((_, frame)) = epoch.frames.pop_first() else { break };
                if frame.header().kind == FrameKind::Data {
                    dropped.extend(payload(&frame, &mut opener));
                }
            }
        }
        dropped
    }

    pub fn quarantine(&mut self, lane: Lane, epoch: Epoch, sequence: u64) -> Vec<u64> {
        let epoch = self.lanes.of_mut(lane).iter_mut().find(|e| e.epoch == epoch).expect("a chain of its own");
        let frame = epoch.frames.remove(&sequence).expect("a frame of its own");
        if frame.header().kind == FrameKind::Data { payload(&frame, &mut Opener::default()) } else { Vec::new() }
    }

    pub fn hello(&self) -> AgentHello {
        let mut chains = Vec::new();
        for lane in Lane::ALL {
            for e in self.lanes.of(lane) {
                let (acked, prev_of_oldest, oldest_record) = e.acked;
                chains.push(ChainSummary {
                    epoch: e.epoch,
                    lane,
                    oldest: acked + 1,
                    prev_of_oldest,
                    oldest_record,
                    next: e.next,
                    next_record: e.next_record,
                    head: e.head,
                    delivered: e.delivered.clone(),
                });
            }
        }
        AgentHello {
            protocol: VersionRange::OURS,
            frame_versions: frame_versions(),
            capabilities: Vec::new(),
            agent_version: "0.1.0".to_owned(),
            hostname: "web-1".to_owned(),
            boot_id: "b".to_owned(),
            labels: BTreeMap::new(),
            config: String::new(),
            local_fleet: false,
            challenge: u64::MAX,
            chains,
        }
    }

    pub fn next_frame(&self, lane: Lane, after: After, sealer: &mut Sealer) -> Option<Frame> {
        let epochs = self.lanes.of(lane);
        let at = after.and_then(|(epoch, _)| epochs.iter().position(|e| e.epoch == epoch));
        for (i, e) in epochs.iter().enumerate().skip(at.unwrap_or(0)) {
            let sequence = if at == Some(i) { after.map_or(0, |(_, s)| s) } else { 0 };
            let chain = ChainId { agent: self.agent, lane, epoch: e.epoch };
            if let Some(frame) = e.after(chain, sequence, sealer) {
                return Some(frame);
            }
        }
        None
    }

    pub fn hash_of(&self, lane: Lane, epoch: Epoch, sequence: u64) -> Option<FrameHash> {
        let e = self.lanes.of(lane).iter().find(|e| e.epoch == epoch)?;
        let (at, hash, _) = e.boundary(sequence);
        (at == sequence).then_some(hash)
    }

    pub fn acked(&mut self, lane: Lane, epoch: Epoch, through: u64, aggregator: AgentId) {
        let epochs = self.lanes.of_mut(lane);
        let Some(e) = epochs.iter_mut().find(|e| e.epoch == epoch) else { return };
        assert!(through < e.next, "acked what was never sealed");
        let boundary = e.boundary(through);
        if boundary.0 > e.acked.0 {
            e.acked = boundary;
            e.frames = e.frames.split_off(&(boundary.0 + 1));
        }
        e.delivered.retain(|d| d.aggregator != aggregator);
        e.delivered.push(Delivery { aggregator, through: boundary.0 });
        // Older epochs go once they are acked.
        let last = epochs.len() - 1;
        let mut i = 0;
        epochs.retain(|e| {
            i += 1;
            i - 1 == last || e.acked.0 + 1 < e.next
        });
    }

    pub fn fork(&mut self, lane: Lane, epoch: Epoch, new: Epoch, sealer: &mut Sealer) {
        self.forks += 1;
        self.open_epoch(lane, new, GenesisReason::Fork, sealer);
        let epochs = self.lanes.of_mut(lane);
        let at = epochs.iter().position(|e| e.epoch == epoch).expect("a chain of its own");
        let old = epochs.remove(at);
        let current = epochs.last_mut().unwrap();
        for frame in old.frames.into_values().filter(|f| f.header().kind == FrameKind::Data) {
            let place = Place {
                chain: ChainId { agent: self.agent, lane, epoch: new },
                sequence: current.next,
                first_record: current.next_record,
                prev: current.head,
                sealed_at: Timestamp(0),
            };
            current.push(frame.reseal(&place).unwrap());
        }
    }

    pub fn is_acked(&self) -> bool {
        Lane::ALL.into_iter().all(|lane| self.lanes.of(lane).iter().all(|e| e.acked.0 + 1 == e.next))
    }
}

/// An aggregator's journal: a queue, and what is synced.
#[derive(Default)]
pub struct ModelJournal {
    pub id: AgentId,
    pub states: HashMap<ChainId, ChainState>,
    pub queue: VecDeque<JournalEntry>,
    /// How often each payload id was journaled.
    pub journaled: HashMap<u64, u32>,
    /// Records journaled, lost and absent, by chain.
    pub books: HashMap<ChainId, (u64, u64, u64)>,
    pub absent: Vec<Absent>,
    pub frames: u64,
}

impl Chains for ModelJournal {
    fn state(&self, chain: ChainId) -> Option<ChainState> {
        self.states.get(&chain).copied()
    }
}

impl ModelJournal {
    /// Syncs the oldest entry of the queue.
    pub fn commit(&mut self) -> Option<(ChainId, u64)> {
        let entry = self.queue.pop_front()?;
        let (chain, after) = (entry.chain(), entry.after());
        let state = self.states.entry(chain).or_insert(ChainState::EMPTY);
        let books = self.books.entry(chain).or_default();
        match entry {
            JournalEntry::Frame { frame, before, after } => {
                assert_eq!(*state, before, "entries follow on");
                let records = after.next_record - before.next_record;
                self.frames += 1;
                match frame.header().kind {
                    FrameKind::Data => {
                        assert_eq!(frame.header().sequence, before.through + 1);
                        assert_eq!(u64::from(frame.header().records), records);
                        books.0 += records;
                        for id in payload(&frame, &mut Opener::default()) {
                            *self.journaled.entry(id).or_default() += 1;
                        }
                    }
                    FrameKind::Loss => books.1 += records,
                    FrameKind::Genesis => assert_eq!(records, 0),
                }
            }
            JournalEntry::Absent(absent) => {
                assert_eq!(*state, absent.before, "entries follow on");
                books.2 += absent.after.next_record - absent.before.next_record;
                self.absent.push(absent);
            }
        }
        *state = after;
        Some((chain, after.through))
    }

    pub fn assert_books(&self) {
        for (chain, (journaled, lost, absent)) in &self.books {
            assert_eq!(self.states[chain].next_record - 1, journaled + lost + absent, "{chain:?}");
        }
    }
}
