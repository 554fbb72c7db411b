//! The aggregator's end of a session, without a socket.
//!
//! In: control messages, bytes of lane streams, what the journal committed, time; after each of them the shared
//! budget ([`IngestSession::balance`]). Out, by
//! [`IngestSession::poll`]: messages, entries for the journal (in the order in which they must stand there),
//! events, requests, the end.
//!
//! Invariants, per chain: `acked ≤ committed ≤ expected`; an Ack is written only for what the journal said
//! it has synced; entries follow on without a gap. Per session: `committed ≤ received ≤ limit`, in bytes.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::chain::{Absent, ChainState, Chains, Placing, place};
use super::credit::Budget;
use super::hello::{AgentHello, AggregatorHello, ChainSummary, GoAway, GoAwayReason, VersionRange, frame_versions};
use super::ingest_output::{IngestCounts, IngestEnd, IngestEvent, IngestOutput, IngestProfile, JournalEntry};
use super::lane::{LaneError, LaneItem, LaneReader, PerLane};
use super::message::{Ack, Credit, Message, Reject, RejectReason, Resume, Want};
use crate::enroll::{Reply, TrustBundle};
use crate::frame::{Frame, FrameKind, GenesisReason, Opener};
use crate::identity::{ChainId, Epoch, Lane};
use crate::limits::{CREDIT_BASE_BYTES, FRAME_BYTES_MAX};
use crate::time::Timestamp;

/// Time for an agent to say Hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// A session that holds credit of the budget and sends nothing for this long, while others wait, ends.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds that an agent stays away after a refusal that trying again does not mend.
const RETRY_AFTER_FATAL: u64 = 600;

#[derive(Debug)]
struct Chain {
    expected: ChainState,
    /// Last sequence that is synced.
    committed: u64,
    ack_due: bool,
    /// (through, bytes) of what the journal has and has not synced.
    pending: VecDeque<(u64, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Hello,
    Streaming,
    Ended,
}

#[derive(Default)]
struct LaneState {
    reader: LaneReader,
    /// Epoch of the last frame that had its place here.
    epoch: Option<Epoch>,
    /// Everything up to the resend marker is skipped.
    skipping: bool,
}

/// The aggregator's end of one session.
pub struct IngestSession {
    profile: IngestProfile,
    stage: Stage,
    started: Instant,
    moved: Instant,
    chains: BTreeMap<(Lane, Epoch), Chain>,
    /// Epochs in the agent's order, oldest first.
    order: PerLane<Vec<Epoch>>,
    lanes: PerLane<LaneState>,
    received: u64,
    committed: u64,
    limit: u64,
    told: u64,
    wanted: u64,
    /// Others waited for credit at the last balance.
    contended: bool,
    counts: IngestCounts,
    opener: Opener,
    out: VecDeque<IngestOutput>,
}

impl IngestSession {
    /// A session that waits for the agent's Hello.
    #[must_use]
    pub fn new(profile: IngestProfile, now: Instant) -> Self {
        Self {
            profile,
            stage: Stage::Hello,
            started: now,
            moved: now,
            chains: BTreeMap::new(),
            order: PerLane::default(),
            lanes: PerLane::default(),
            received: 0,
            committed: 0,
            limit: CREDIT_BASE_BYTES,
            told: CREDIT_BASE_BYTES,
            wanted: 0,
            contended: false,
            counts: IngestCounts::default(),
            opener: Opener::default(),
            out: VecDeque::new(),
        }
    }

    /// Takes a message. `wall` goes into this end's Hello.
    pub fn handle_message(&mut self, message: Message, chains: &dyn Chains, wall: Timestamp, now: Instant) {
        match (self.stage, message) {
            (Stage::Ended, _) => {}
            (Stage::Hello, Message::AgentHello(hello)) => self.hello(*hello, chains, wall, now),
            (_, Message::GoAway(away)) => self.finish(IngestEnd::Closed(away.reason)),
            (Stage::Streaming, Message::Want(want)) => self.want(want),
            (Stage::Streaming, Message::Renew(renew)) => self.out.push_back(IngestOutput::Renew(renew)),
            (Stage::Streaming, Message::Status(status)) => self.out.push_back(IngestOutput::Status(status)),
            (stage, message) => {
                self.violation(format!("message type {} came in stage {stage:?}", message.kind()));
            }
        }
    }

    /// Takes bytes of a lane's stream, as they come.
    pub fn handle_lane_bytes(&mut self, lane: Lane, mut bytes: &[u8], now: Instant) {
        if self.stage == Stage::Hello || (self.profile.renew_only && self.stage == Stage::Streaming) {
            return self.violation(format!("frames on lane {lane} before or without a Resume"));
        }
        self.moved = now;
        while self.stage == Stage::Streaming {
            match self.lanes.of_mut(lane).reader.read(&mut bytes) {
                Ok(Some(item)) => self.item(lane, item),
                Ok(None) => break,
                Err(error @ LaneError::TooLong(_)) => return self.violation(format!("lane {lane}: {error}")),
            }
        }
    }

    /// The journal synced everything up to `through` of this chain.
    pub fn handle_committed(&mut self, chain: ChainId, through: u64) {
        let Some(entry) = self.chains.get_mut(&(chain.lane, chain.epoch)) else { return };
        while let Some(&(last, bytes)) = entry.pending.front()
            && last <= through
        {
            entry.pending.pop_front();
            entry.committed = last;
            // What was absent is no news to the agent.
            entry.ack_due |= bytes > 0;
            self.committed += bytes;
        }
    }

    /// Settles with the budget what came of all that was handled: to be called after every other call, and when
    /// this session was granted something. Short, for a lock that all sessions share.
    pub fn balance(&mut self, budget: &mut Budget) {
        let session = self.profile.session;
        if self.stage == Stage::Ended {
            return budget.leave(session);
        }
        let base = self.committed + CREDIT_BASE_BYTES;
        let wish = self.wanted.min(self.received.saturating_add(FRAME_BYTES_MAX));
        let granted = |budget: &Budget| wish.min(base.saturating_add(budget.reserved(session)));
        self.limit = self.limit.max(base).max(granted(budget));
        budget.settle(session, self.limit.saturating_sub(base));
        if wish > self.limit {
            budget.wish(session, wish - base);
            // The wish may have been granted on the spot.
            self.limit = self.limit.max(granted(budget));
        } else {
            budget.forget(session);
        }
        self.contended = budget.waiting() > 0;
    }

    /// Ends the session from this end, telling the agent why.
    pub fn close(&mut self, reason: GoAwayReason, detail: &str) {
        self.end_with(reason, detail, IngestEnd::GoneAway(reason));
    }

    /// The connection is gone. Entries that the journal has keep their right to be committed; the next Resume says
    /// how far they came.
    pub fn lost(&mut self) {
        self.stage = Stage::Ended;
    }

    /// The answer to [`IngestOutput::Renew`].
    pub fn renewed(&mut self, reply: Reply) {
        self.send(Message::Renewed(reply));
    }

    /// Sends the agent its configuration.
    pub fn configure(&mut self, config: Value) {
        self.send(Message::Config(config));
    }

    /// Sends the agent the authorities to trust.
    pub fn trust(&mut self, bundle: TrustBundle) {
        self.send(Message::TrustBundle(bundle));
    }

    /// When [`IngestSession::handle_timeout`] is to be called next, at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.stage {
            Stage::Hello => Some(self.started + HELLO_TIMEOUT),
            Stage::Streaming if self.reserved() > 0 => Some(self.moved + STALL_TIMEOUT),
            Stage::Streaming | Stage::Ended => None,
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.stage {
            Stage::Hello if now >= self.started + HELLO_TIMEOUT => {
                self.close(GoAwayReason::Timeout, "no Hello in time");
            }
            Stage::Streaming if self.reserved() > 0 && now >= self.moved + STALL_TIMEOUT => {
                // Frames that only wait for the journal are not the agent's doing.
                if self.contended && !self.has_pending() {
                    self.close(GoAwayReason::Stalled, "held credit and sent nothing while others waited");
                } else {
                    self.moved = now;
                }
            }
            Stage::Hello | Stage::Streaming | Stage::Ended => {}
        }
    }

    /// What is to be done next; none: nothing until something is handled.
    pub fn poll(&mut self) -> Option<IngestOutput> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if self.stage != Stage::Streaming {
            return None;
        }
        if let Some((&(lane, epoch), chain)) = self.chains.iter_mut().find(|(_, chain)| chain.ack_due) {
            chain.ack_due = false;
            return Some(IngestOutput::Message(Message::Ack(Ack { epoch, lane, through: chain.committed })));
        }
        if self.limit > self.told && !self.profile.renew_only {
            self.told = self.limit;
            return Some(IngestOutput::Message(Message::Credit(Credit { limit: self.limit })));
        }
        None
    }

    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> IngestCounts {
        std::mem::take(&mut self.counts)
    }

    /// Whether the journal has entries of this session that it has not synced.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.chains.values().any(|chain| !chain.pending.is_empty())
    }

    fn hello(&mut self, hello: AgentHello, chains: &dyn Chains, wall: Timestamp, now: Instant) {
        if hello.protocol.common(VersionRange::OURS).is_none() {
            let text = format!("agent speaks protocol versions {:?}, this is {:?}", hello.protocol, VersionRange::OURS);
            return self.end_with(GoAwayReason::Version, &text, IngestEnd::Version(text.clone()));
        }
        if !hello.is_consistent() {
            return self.violation("the chains of its Hello contradict themselves".to_owned());
        }
        self.stage = Stage::Streaming;
        self.moved = now;
        self.send(Message::AggregatorHello(AggregatorHello {
            aggregator: self.profile.aggregator,
            protocol: VersionRange::OURS,
            frame_versions: frame_versions(),
            capabilities: Vec::new(),
            wall_time: wall,
            renew_only: self.profile.renew_only,
        }));
        if !self.profile.renew_only {
            for summary in &hello.chains {
                self.resume(summary, chains);
            }
        }
        self.out.push_back(IngestOutput::Hello(Box::new(hello)));
    }

    /// Decides where a chain goes on. What the agent has no more and this journal never got is absent.
    fn resume(&mut self, summary: &ChainSummary, chains: &dyn Chains) {
        let (lane, epoch) = (summary.lane, summary.epoch);
        let id = ChainId { agent: self.profile.agent, lane, epoch };
        let before = chains.state(id).unwrap_or(ChainState::EMPTY);
        let last = summary.oldest - 1;
        let mut chain = Chain { expected: before, committed: before.through, ack_due: false, pending: VecDeque::new() };
        // Records that this prefix has and that the agent is yet to send: two hosts wrote this chain. The
        // prefix stays, and the agent sees by it that this is a fork.
        if before.through < last && before.next_record <= summary.oldest_record {
            let head = summary.prev_of_oldest;
            let after = ChainState { through: last, head, next_record: summary.oldest_record };
            // The newest mark that covers the whole range; what that aggregator itself lacks it journaled as absent.
            let elsewhere = summary.delivered.iter().rev().find(|d| d.through >= last);
            let elsewhere = elsewhere.map(|d| d.aggregator).filter(|&other| other != self.profile.aggregator);
            chain.expected = after;
            chain.pending.push_back((last, 0));
            self.out.push_back(IngestOutput::Journal(JournalEntry::Absent(Absent {
                chain: id,
                before,
                after,
                elsewhere,
            })));
        }
        let ChainState { through, head, .. } = chain.expected;
        self.send(Message::Resume(Resume { epoch, lane, through, head }));
        self.order.of_mut(lane).push(epoch);
        self.chains.insert((lane, epoch), chain);
    }

    fn item(&mut self, lane: Lane, item: LaneItem) {
        match item {
            LaneItem::Begins(length) => {
                self.received = self.received.saturating_add(length);
                if self.received > self.limit {
                    let text = format!("{} bytes of frames with credit for {}", self.received, self.limit);
                    self.violation(text);
                }
            }
            LaneItem::Newer { version, flags } => {
                let text = format!("frame version {version} with flags {flags:#06x} on lane {lane} cannot be read");
                self.end_with(GoAwayReason::Version, &text, IngestEnd::Version(text.clone()));
            }
            LaneItem::Resend => self.lanes.of_mut(lane).skipping = false,
            LaneItem::Bad { length, .. } if self.lanes.of(lane).skipping => self.committed += length,
            LaneItem::Bad { reason, length } => {
                self.committed += length;
                self.reject(lane, None, reason);
            }
            LaneItem::Frame(frame) if self.lanes.of(lane).skipping => self.committed += len(&frame),
            LaneItem::Frame(frame) => self.frame(lane, frame),
        }
    }

    fn frame(&mut self, lane: Lane, frame: Frame) {
        let header = frame.header();
        let (id, sequence, kind) = (header.chain, header.sequence, header.kind);
        let certified = self.profile.agent;
        if id.agent != certified {
            let end = IngestEnd::ForeignAgent { certified, claimed: id.agent };
            self.out.push_back(IngestOutput::Event(IngestEvent::ForeignAgent { certified, claimed: id.agent }));
            return self.end_with(GoAwayReason::ForeignAgent, &end.to_string(), end);
        }
        let Some(chain) = self.chains.get_mut(&(id.lane, id.epoch)).filter(|_| id.lane == lane) else {
            return self.violation(format!("frame of epoch {} on lane {lane}, which Hello did not name", id.epoch));
        };
        self.lanes.of_mut(lane).epoch = Some(id.epoch);
        let before = chain.expected;
        match place(&before, &frame, &mut self.opener) {
            Placing::Next(after) => {
                chain.expected = after;
                chain.pending.push_back((after.through, len(&frame)));
                self.counts.frames += 1;
                self.counts.bytes += len(&frame);
                let notice = (kind == FrameKind::Genesis).then(|| frame.genesis_notice(&mut self.opener));
                if let Some(Ok(notice)) = notice
                    && notice.reason == GenesisReason::Fork
                {
                    let event = IngestEvent::Forked { chain: id, previous: notice.previous };
                    self.out.push_back(IngestOutput::Event(event));
                }
                self.out.push_back(IngestOutput::Journal(JournalEntry::Frame { frame, before, after }));
            }
            Placing::Known => {
                // Acked at once where the prefix is synced, else with the commit that is under way.
                chain.ack_due = true;
                self.counts.duplicates += 1;
                self.committed += len(&frame);
            }
            Placing::Gap => {
                let text = format!("sequence {sequence} of epoch {} on lane {lane} after {}", id.epoch, before.through);
                self.violation(text);
            }
            Placing::Reject(reason) => {
                self.committed += len(&frame);
                self.reject(lane, Some(id.epoch), reason);
            }
        }
    }

    /// Refuses what came in place of the next frame. A header that does not read names no epoch: it stands
    /// where the lane was or, if that epoch was done, where the next begins.
    fn reject(&mut self, lane: Lane, epoch: Option<Epoch>, reason: RejectReason) {
        let epoch = epoch.or(self.lanes.of(lane).epoch).or_else(|| self.order.of(lane).first().copied());
        let Some((epoch, chain)) = epoch.and_then(|epoch| Some((epoch, self.chains.get(&(lane, epoch))?))) else {
            return self.violation(format!("frame on lane {lane}, of which Hello named no chain"));
        };
        let sequence = chain.expected.through + 1;
        self.counts.rejects += 1;
        self.lanes.of_mut(lane).skipping = true;
        let chain = ChainId { agent: self.profile.agent, lane, epoch };
        self.out.push_back(IngestOutput::Event(IngestEvent::Rejected { chain, sequence, reason }));
        self.send(Message::Reject(Reject { epoch, lane, sequence, reason }));
    }

    fn want(&mut self, want: Want) {
        if want.limit > want.known {
            self.wanted = want.limit;
        } else {
            self.wanted = 0;
            if want.known == self.limit {
                self.limit = want.limit.max(self.received).max(self.committed + CREDIT_BASE_BYTES).min(self.limit);
                self.told = self.limit;
            }
        }
    }

    fn reserved(&self) -> u64 {
        self.limit.saturating_sub(self.committed + CREDIT_BASE_BYTES)
    }

    fn send(&mut self, message: Message) {
        if self.stage != Stage::Ended {
            self.out.push_back(IngestOutput::Message(message));
        }
    }

    fn violation(&mut self, text: String) {
        self.end_with(GoAwayReason::Violation, &text, IngestEnd::Violation(text.clone()));
    }

    fn end_with(&mut self, reason: GoAwayReason, detail: &str, end: IngestEnd) {
        let retry_after = reason.is_fatal().then_some(RETRY_AFTER_FATAL);
        self.send(Message::GoAway(GoAway { reason, retry_after, detail: detail.to_owned() }));
        self.finish(end);
    }

    fn finish(&mut self, end: IngestEnd) {
        if self.stage != Stage::Ended {
            self.stage = Stage::Ended;
            self.out.push_back(IngestOutput::End(end));
        }
    }
}

fn len(frame: &Frame) -> u64 {
    u64::try_from(frame.bytes().len()).unwrap_or(u64::MAX)
}
