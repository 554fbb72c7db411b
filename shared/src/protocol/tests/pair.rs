//! Both machines against the models, with a link between them that delivers bytes when the dice say so.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::model::{ModelJournal, ModelSpool, Rng};
use crate::frame::Sealer;
use crate::identity::{AgentId, Epoch, Lane};
use crate::protocol::*;
use crate::time::Timestamp;

pub struct Link {
    pub journal: usize,
    pub agent: AgentSession,
    pub ingest: IngestSession,
    up: VecDeque<u8>,
    down: VecDeque<u8>,
    lanes: PerLane<VecDeque<u8>>,
    up_reader: MessageReader,
    down_reader: MessageReader,
    fetches: Vec<(Lane, After)>,
    hashes: Vec<(Lane, Epoch, u64)>,
    written: Vec<Lane>,
    pub agent_end: Option<AgentEnd>,
    pub ingest_end: Option<IngestEnd>,
}

/// Hosts, aggregators and the links between them. A host has one link at most.
pub struct World {
    pub rng: Rng,
    pub now: Instant,
    pub sealer: Sealer,
    pub spools: Vec<ModelSpool>,
    pub links: Vec<Option<Link>>,
    pub journals: Vec<ModelJournal>,
    pub budgets: Vec<Budget>,
    pub produced: u64,
    pub dropped: BTreeSet<u64>,
    /// One frame in so many arrives broken; 0: none.
    pub broken_one_in: u64,
    pub duplicates: u64,
    pub rejects: u64,
    pub quarantined: u64,
    pub events: Vec<IngestEvent>,
    /// Order in which frames were written, by lane.
    pub written: Vec<Lane>,
}

impl World {
    pub fn new(seed: u64, hosts: u8, aggregators: u8) -> Self {
        let mut rng = Rng(seed);
        let mut sealer = Sealer::new().unwrap();
        let spools = (1..=hosts).map(|n| ModelSpool::new(AgentId([n; 16]), &mut rng, &mut sealer)).collect();
        let journal = |n| ModelJournal { id: AgentId([0xa0 + n; 16]), ..ModelJournal::default() };
        Self {
            rng,
            now: Instant::now(),
            sealer,
            spools,
            links: (0..hosts).map(|_| None).collect(),
            journals: (0..aggregators).map(journal).collect(),
            budgets: (0..aggregators).map(|_| Budget::new(0)).collect(),
            produced: 0,
            dropped: BTreeSet::new(),
            broken_one_in: 0,
            duplicates: 0,
            rejects: 0,
            quarantined: 0,
            events: Vec::new(),
            written: Vec::new(),
        }
    }

    pub fn seal(&mut self, host: usize, lane: Lane, records: u64, padding: usize) {
        let ids: Vec<u64> = (self.produced..self.produced + records).collect();
        self.produced += records;
        let padding: Vec<u8> = (0..padding).map(|_| self.rng.next().to_le_bytes()[0]).collect();
        self.spools[host].seal(lane, &ids, &padding, &mut self.sealer);
        if let Some(link) = &mut self.links[host] {
            link.agent.handle_available(lane);
        }
    }

    pub fn connect(&mut self, host: usize, journal: usize) {
        self.cut(host);
        let agent = self.spools[host].agent;
        // The newest session of an agent closes the older, whose entries are synced before it begins.
        for other in 0..self.links.len() {
            if self.links[other].as_ref().is_some_and(|l| l.journal == journal) && self.spools[other].agent == agent {
                self.cut(other);
            }
        }
        while self.commit(journal) {}
        let session = SessionId(self.rng.next());
        let profile = IngestProfile { session, aggregator: self.journals[journal].id, agent, renew_only: false };
        self.links[host] = Some(Link {
            journal,
            agent: AgentSession::new(self.spools[host].hello(), self.now),
            ingest: IngestSession::new(profile, self.now),
            up: VecDeque::new(),
            down: VecDeque::new(),
            lanes: PerLane::default(),
            up_reader: MessageReader::default(),
            down_reader: MessageReader::default(),
            fetches: Vec::new(),
            hashes: Vec::new(),
            written: Vec::new(),
            agent_end: None,
            ingest_end: None,
        });
    }

    /// The link is gone with everything that was under way.
    pub fn cut(&mut self, host: usize) {
        if let Some(mut link) = self.links[host].take() {
            link.ingest.lost();
            link.ingest.balance(&mut self.budgets[link.journal]);
            self.count(&mut link);
        }
    }

    fn count(&mut self, link: &mut Link) {
        let counts = link.ingest.take_counts();
        self.duplicates += counts.duplicates;
        self.rejects += counts.rejects;
    }

    /// The aggregator dies with what it had not synced.
    pub fn crash(&mut self, journal: usize) {
        for host in 0..self.links.len() {
            if self.links[host].as_ref().is_some_and(|link| link.journal == journal) {
                self.cut(host);
            }
        }
        self.journals[journal].queue.clear();
        assert_eq!(self.budgets[journal].in_use(), 0, "credit of dead sessions is given back");
    }

    pub fn commit(&mut self, journal: usize) -> bool {
        let Some((chain, through)) = self.journals[journal].commit() else { return false };
        for (host, link) in self.links.iter_mut().enumerate() {
            if let Some(link) = link
                && link.journal == journal
                && self.spools[host].agent == chain.agent
            {
                link.ingest.handle_committed(chain, through);
                link.ingest.balance(&mut self.budgets[journal]);
            }
        }
        true
    }

    /// Lets the machines of one host say all they have to say; whether they said anything.
    pub fn pump(&mut self, host: usize) -> bool {
        let Some(mut link) = self.links[host].take() else { return false };
        let mut moved = false;
        while let Some(output) = link.agent.poll() {
            moved = true;
            self.agent_output(host, &mut link, output);
        }
        while let Some(output) = link.ingest.poll() {
            moved = true;
            match output {
                IngestOutput::Message(message) => link.down.extend(message.encode().unwrap()),
                IngestOutput::Journal(entry) => self.journals[link.journal].queue.push_back(entry),
                IngestOutput::Event(event) => self.events.push(event),
                IngestOutput::Hello(_) | IngestOutput::Status(_) => {}
                IngestOutput::Renew(request) => panic!("nobody asked for {request:?}"),
                IngestOutput::End(end) => link.ingest_end = Some(end),
            }
        }
        let budget = &self.budgets[link.journal];
        assert!(budget.in_use() <= crate::limits::CREDIT_BUDGET_BYTES_MIN, "the budget holds");
        self.links[host] = Some(link);
        moved
    }

    fn agent_output(&mut self, host: usize, link: &mut Link, output: AgentOutput) {
        let spool = &mut self.spools[host];
        match output {
            AgentOutput::Message(message) => link.up.extend(message.encode().unwrap()),
            AgentOutput::Fetch { lane, after } => link.fetches.push((lane, after)),
            AgentOutput::HashOf { lane, epoch, sequence } => link.hashes.push((lane, epoch, sequence)),
            AgentOutput::Write { lane, resend, frame } => {
                self.written.push(lane);
                let stream = link.lanes.of_mut(lane);
                if resend {
                    stream.extend(RESEND_MARKER);
                }
                stream.extend(u32::try_from(frame.bytes().len()).unwrap().to_le_bytes());
                let (cursed, mut bytes) = (spool.cursed.contains(&frame.hash()), frame.into_bytes());
                if cursed || (self.broken_one_in > 0 && self.rng.one_in(self.broken_one_in)) {
                    let at = usize::try_from(self.rng.below(bytes.len() as u64)).unwrap();
                    bytes[at] ^= 1 << self.rng.below(8);
                }
                stream.extend(bytes);
                link.written.push(lane);
            }
            AgentOutput::Acked { lane, epoch, through, aggregator } => spool.acked(lane, epoch, through, aggregator),
            AgentOutput::Quarantine { lane, epoch, sequence, .. } => {
                self.quarantined += 1;
                self.dropped.extend(spool.quarantine(lane, epoch, sequence));
            }
            AgentOutput::Fork { lane, epoch, .. } => {
                spool.fork(lane, epoch, Epoch(self.rng.next()), &mut self.sealer);
            }
            AgentOutput::Hello(_) | AgentOutput::Config(_) | AgentOutput::Trust(_) | AgentOutput::Renewed(_) => {}
            AgentOutput::End(end) => link.agent_end = Some(end),
        }
    }

    /// One thing that is under way on this host's link happens: `what` picks it, `most` bounds its bytes.
    pub fn deliver(&mut self, host: usize, what: u64, most: usize) -> bool {
        let Some(link) = &mut self.links[host] else { return false };
        let journal = link.journal;
        let take = |bytes: &mut VecDeque<u8>| bytes.drain(..most.min(bytes.len())).collect::<Vec<u8>>();
        match what {
            0 => {
                let bytes = take(&mut link.up);
                link.up_reader.push(&bytes);
                while let Some(message) = link.up_reader.next_message().unwrap() {
                    link.ingest.handle_message(message, &self.journals[journal], Timestamp(0), self.now);
                    link.ingest.balance(&mut self.budgets[journal]);
                }
                !bytes.is_empty()
            }
            1 => {
                let bytes = take(&mut link.down);
                link.down_reader.push(&bytes);
                while let Some(message) = link.down_reader.next_message().unwrap() {
                    link.agent.handle_message(message);
                }
                !bytes.is_empty()
            }
            2..=4 => {
                let lane = Lane::from_u8(u8::try_from(what - 2).unwrap()).unwrap();
                let bytes = take(link.lanes.of_mut(lane));
                if !bytes.is_empty() {
                    link.ingest.handle_lane_bytes(lane, &bytes, self.now);
                    link.ingest.balance(&mut self.budgets[journal]);
                }
                !bytes.is_empty()
            }
            5 if !link.fetches.is_empty() => {
                let (lane, after) = link.fetches.remove(0);
                let answer = self.spools[host].next_frame(lane, after, &mut self.sealer);
                link.agent.handle_frame(lane, answer);
                true
            }
            6 if !link.hashes.is_empty() => {
                let (lane, epoch, sequence) = link.hashes.remove(0);
                link.agent.handle_hash(lane, epoch, self.spools[host].hash_of(lane, epoch, sequence));
                true
            }
            7 if !link.written.is_empty() => {
                link.agent.handle_written(link.written.remove(0));
                true
            }
            _ => false,
        }
    }

    /// Sessions that were granted credit look at it.
    pub fn wake(&mut self) {
        for journal in 0..self.budgets.len() {
            if self.budgets[journal].drain_granted().is_empty() {
                continue;
            }
            for link in self.links.iter_mut().flatten().filter(|link| link.journal == journal) {
                link.ingest.balance(&mut self.budgets[journal]);
            }
        }
    }

    /// Everything under way arrives until nothing moves. Ended sessions are followed by new ones.
    pub fn settle(&mut self, host: usize, journal: usize) {
        for round in 0.. {
            assert!(round < 200_000, "the pair does not come to rest");
            let mut moved = self.links[host].is_none();
            if moved || self.links[host].as_ref().is_some_and(|l| l.journal != journal || l.agent_end.is_some()) {
                self.connect(host, journal);
                moved = true;
            }
            moved |= self.pump(host);
            for what in 0..8 {
                moved |= self.deliver(host, what, usize::MAX);
                moved |= self.pump(host);
            }
            moved |= self.commit(journal);
            self.wake();
            if !moved {
                return;
            }
        }
    }
}
