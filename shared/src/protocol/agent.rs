//! The agent's end of a session, without a socket.
//!
//! In: what the spool has, control messages, frames that were asked for, time. Out, by
//! [`AgentSession::poll`]: messages, frames to write, questions and orders to the spool, the end.
//!
//! Invariants: a frame is written only after every Resume came and showed no fork; `sent ≤ limit`, in bytes;
//! per lane one frame at most is held here, behind the one that is being written; while the frame whose turn it is
//! (`turns.rs`) waits for credit, none of a less urgent lane is written; `acked ≤ sent`, per chain.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent_output::{After, AgentEnd, AgentOutput};
use super::hello::{AgentHello, AggregatorHello, ChainSummary, GoAway, GoAwayReason, VersionRange};
use super::lane::PerLane;
use super::message::{Ack, Message, Reject, RejectReason, Resume, Want};
use super::turns::{Claim, Turns};
use crate::enroll::RenewRequest;
use crate::frame::{self, Frame, FrameKind};
use crate::identity::{AgentId, Epoch, FrameHash, Lane};
use crate::limits::{CREDIT_BASE_BYTES, FRAME_BYTES_MAX};

/// Time for the aggregator to say Hello and to answer every chain with a Resume.
pub const WELCOME_TIMEOUT: Duration = Duration::from_secs(30);
/// Credit that is asked for ahead, where the spool has frames for it.
const AHEAD_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Waits for the aggregator's Hello.
    Hello,
    /// Waits for this many Resumes and hashes.
    Resuming(usize),
    Streaming,
    /// Only a renewal is possible.
    Renewing,
    Ended,
}

#[derive(Debug)]
struct Chain {
    summary: ChainSummary,
    current: bool,
    /// The aggregator's prefix at Resume.
    resumed: Option<u64>,
    /// Its hash there, while the spool is asked for its own.
    disputed: Option<FrameHash>,
    /// Highest sequence that was written in this session.
    sent: u64,
    acked: u64,
}

#[derive(Default, Debug)]
enum Hand {
    /// The spool had nothing more; wait for news.
    #[default]
    Empty,
    /// To be asked for.
    Wanted,
    /// Asked for; news came meanwhile or not.
    Asked { news: bool },
    /// Waits for its turn and for credit.
    Held(Frame),
}

#[derive(Default, Debug)]
struct LaneState {
    after: After,
    hand: Hand,
    /// The transport has a frame of this lane that it has not taken whole.
    writing: bool,
    /// Bytes of the frames that were ready one after the other: what stood in line foretells what still does.
    streak: u64,
    /// A Reject was read since the last frame was written.
    resend: bool,
    /// Answer to a Fetch that a Reject made void.
    void: bool,
    /// Where this lane was refused last, how often, and why.
    strikes: Option<(Epoch, u64, u32, RejectReason)>,
}

impl LaneState {
    fn claim(&self) -> Claim {
        match &self.hand {
            _ if self.writing => Claim::Between,
            Hand::Held(frame) => Claim::Waits(len(frame)),
            Hand::Wanted | Hand::Asked { .. } if self.streak > 0 => Claim::Between,
            Hand::Empty | Hand::Wanted | Hand::Asked { .. } => Claim::None,
        }
    }
}

/// The agent's end of one session.
#[derive(Debug)]
pub struct AgentSession {
    stage: Stage,
    started: Instant,
    aggregator: AgentId,
    chains: Vec<Chain>,
    lanes: PerLane<LaneState>,
    turns: Turns,
    sent: u64,
    limit: u64,
    /// The highest limit that was asked for.
    asked: u64,
    forked: bool,
    out: VecDeque<AgentOutput>,
}

impl AgentSession {
    /// A session that opens with `hello`.
    #[must_use]
    pub fn new(hello: AgentHello, now: Instant) -> Self {
        let mut chains: Vec<Chain> = Vec::new();
        for summary in &hello.chains {
            for older in chains.iter_mut().filter(|chain| chain.summary.lane == summary.lane) {
                older.current = false;
            }
            let (summary, acked) = (summary.clone(), summary.oldest.saturating_sub(1));
            chains.push(Chain { summary, current: true, resumed: None, disputed: None, sent: 0, acked });
        }
        let hello = AgentOutput::Message(Message::AgentHello(Box::new(hello)));
        Self {
            stage: Stage::Hello,
            started: now,
            aggregator: AgentId::default(),
            chains,
            lanes: PerLane::default(),
            turns: Turns::default(),
            sent: 0,
            limit: CREDIT_BASE_BYTES,
            asked: 0,
            forked: false,
            out: VecDeque::from([hello]),
        }
    }

    /// Takes a message.
    pub fn handle_message(&mut self, message: Message) {
        match (self.stage, message) {
            (Stage::Ended, _) => {}
            (_, Message::GoAway(away)) => self.end(AgentEnd::GoAway(away)),
            (Stage::Hello, Message::AggregatorHello(hello)) => self.hello(hello),
            (Stage::Hello, message) => self.violation(format!("message type {} before Hello", message.kind())),
            (_, Message::Config(config)) => self.out.push_back(AgentOutput::Config(config)),
            (_, Message::TrustBundle(bundle)) => self.out.push_back(AgentOutput::Trust(bundle)),
            (_, Message::Renewed(reply)) => self.out.push_back(AgentOutput::Renewed(reply)),
            (Stage::Resuming(_), Message::Resume(resume)) => self.resume(resume),
            (Stage::Resuming(_) | Stage::Streaming, Message::Credit(credit)) => {
                self.limit = self.limit.max(credit.limit);
            }
            (Stage::Streaming, Message::Ack(ack)) => self.ack(ack),
            (Stage::Streaming, Message::Reject(reject)) => self.reject(reject),
            (stage, message) => self.violation(format!("message type {} in stage {stage:?}", message.kind())),
        }
    }

    /// The spool committed something on this lane.
    pub fn handle_available(&mut self, lane: Lane) {
        let state = self.lanes.of_mut(lane);
        match state.hand {
            Hand::Empty => state.hand = Hand::Wanted,
            Hand::Asked { .. } => state.hand = Hand::Asked { news: true },
            Hand::Wanted | Hand::Held(_) => {}
        }
    }

    /// The answer to [`AgentOutput::Fetch`]; none: nothing is committed behind `after`.
    pub fn handle_frame(&mut self, lane: Lane, answer: Option<Frame>) {
        let ended = self.stage == Stage::Ended;
        let state = self.lanes.of_mut(lane);
        let Hand::Asked { news } = state.hand else { return };
        if ended {
            return;
        }
        if std::mem::take(&mut state.void) {
            state.hand = Hand::Wanted;
            return;
        }
        let Some(frame) = answer else {
            state.streak = 0;
            state.hand = if news { Hand::Wanted } else { Hand::Empty };
            return;
        };
        let header = frame.header();
        let (epoch, sequence, last) = (header.chain.epoch, header.sequence, header.next_sequence().saturating_sub(1));
        let announced = self.chains.iter().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch));
        let Some(resumed) = announced.map(|chain| chain.resumed.unwrap_or(0)) else {
            return self.end(AgentEnd::NewEpoch);
        };
        if last <= resumed {
            // The aggregator has it already: go on behind.
            state.after = Some((epoch, resumed));
            state.hand = Hand::Wanted;
            return;
        }
        if let Some((_, _, 2, reason)) = state.strikes
            && state.resend
            && header.kind != FrameKind::Loss
        {
            state.hand = Hand::Wanted;
            // Once in one place: what comes back from there now is sent, and its refusal is the end.
            state.strikes = state.strikes.map(|(e, s, _, reason)| (e, s, 3, reason));
            self.out.push_back(AgentOutput::Quarantine { lane, epoch, sequence, reason });
            return;
        }
        state.hand = Hand::Held(frame);
    }

    /// The answer to [`AgentOutput::HashOf`]; none when the spool does not know (the frame is in a hole).
    pub fn handle_hash(&mut self, lane: Lane, epoch: Epoch, ours: Option<FrameHash>) {
        let chain = self.chains.iter_mut().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch));
        let Some(chain) = chain.filter(|_| self.stage != Stage::Ended) else { return };
        if let Some(theirs) = chain.disputed.take() {
            // In a hole nothing can be compared, and nothing of it is left to be lost: the loss frame counts it.
            let through = chain.resumed.unwrap_or(0);
            self.resumed(lane, epoch, through, ours.is_some_and(|ours| ours != theirs));
        }
    }

    /// The frame of [`AgentOutput::Write`] has been taken by the transport.
    pub fn handle_written(&mut self, lane: Lane) {
        self.lanes.of_mut(lane).writing = false;
    }

    /// Asks for a new certificate.
    pub fn renew(&mut self, request: RenewRequest) {
        self.send(Message::Renew(request));
    }

    /// A new certificate is in place. A session that could only renew ends, and the next one is whole.
    pub fn renewed(&mut self) {
        if self.stage == Stage::Renewing {
            self.end(AgentEnd::Renewed);
        }
    }

    /// Whether frames and status may flow.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.stage == Stage::Streaming
    }

    /// Tells the aggregator about this agent.
    pub fn status(&mut self, status: Value) {
        if self.stage == Stage::Streaming {
            self.send(Message::Status(status));
        }
    }

    /// Ends the session from this end.
    pub fn close(&mut self) {
        self.end(AgentEnd::Closed);
    }

    /// When [`AgentSession::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        matches!(self.stage, Stage::Hello | Stage::Resuming(_)).then(|| self.started + WELCOME_TIMEOUT)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| now >= at) {
            self.end(AgentEnd::Timeout);
        }
    }

    /// What is to be done next; none: nothing until something is handled.
    pub fn poll(&mut self) -> Option<AgentOutput> {
        if let Some(output) = self.out.pop_front() {
            return Some(output);
        }
        if self.stage != Stage::Streaming {
            return None;
        }
        for lane in Lane::ALL {
            let state = self.lanes.of_mut(lane);
            if matches!(state.hand, Hand::Wanted) {
                state.hand = Hand::Asked { news: false };
                return Some(AgentOutput::Fetch { lane, after: state.after });
            }
        }
        self.write().or_else(|| self.give_back())
    }

    fn hello(&mut self, hello: AggregatorHello) {
        if hello.protocol.common(VersionRange::OURS).is_none() || !hello.frame_versions.contains(&frame::VERSION) {
            return self.end(AgentEnd::Version { theirs: hello.protocol, frames: hello.frame_versions });
        }
        self.aggregator = hello.aggregator;
        self.stage = match (hello.renew_only, self.chains.len()) {
            (true, _) => Stage::Renewing,
            (false, 0) => Stage::Streaming,
            (false, chains) => Stage::Resuming(chains),
        };
        self.out.push_back(AgentOutput::Hello(hello));
        self.start();
    }

    /// Holds the aggregator's prefix against this host's own chain.
    fn resume(&mut self, resume: Resume) {
        let Resume { lane, epoch, through, head } = resume;
        let chain = self.chains.iter_mut().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch));
        let Some(chain) = chain.filter(|chain| chain.resumed.is_none()) else {
            return self.violation(format!("Resume of epoch {epoch} on lane {lane} twice or without a chain"));
        };
        let summary = &chain.summary;
        chain.resumed = Some(through);
        let forked = if through >= summary.next {
            // An older epoch whose end was torn off here may be longer there; the current one may not.
            chain.current
        } else if through + 1 < summary.oldest {
            // The prefix could not move past what this host has no more.
            true
        } else if through + 1 == summary.next {
            head != summary.head
        } else if through + 1 == summary.oldest {
            head != summary.prev_of_oldest
        } else {
            chain.disputed = Some(head);
            return self.out.push_back(AgentOutput::HashOf { lane, epoch, sequence: through });
        };
        self.resumed(lane, epoch, through, forked);
    }

    fn resumed(&mut self, lane: Lane, epoch: Epoch, through: u64, forked: bool) {
        if forked {
            self.forked = true;
            self.out.push_back(AgentOutput::Fork { lane, epoch, through });
        } else {
            self.acknowledge(lane, epoch, through);
        }
        if let Stage::Resuming(left) = self.stage {
            self.stage = if left > 1 { Stage::Resuming(left - 1) } else { Stage::Streaming };
        }
        self.start();
    }

    /// Once every chain is settled: either all lanes go, or forks end the session.
    fn start(&mut self) {
        if self.stage != Stage::Streaming {
            return;
        }
        if self.forked {
            return self.end(AgentEnd::Forked);
        }
        for lane in Lane::ALL {
            let oldest = self.chains.iter().find(|chain| chain.summary.lane == lane);
            let state = self.lanes.of_mut(lane);
            state.after = oldest.map(|chain| (chain.summary.epoch, chain.resumed.unwrap_or(0)));
            state.hand = Hand::Wanted;
        }
    }

    fn ack(&mut self, ack: Ack) {
        let chain = self.chains.iter().find(|c| (c.summary.lane, c.summary.epoch) == (ack.lane, ack.epoch));
        match chain {
            Some(chain) if ack.through <= chain.sent.max(chain.resumed.unwrap_or(0)) => {
                self.acknowledge(ack.lane, ack.epoch, ack.through);
            }
            _ => self.violation(format!("Ack through {} on lane {}, which was not sent", ack.through, ack.lane)),
        }
    }

    fn acknowledge(&mut self, lane: Lane, epoch: Epoch, through: u64) {
        let Some(chain) = self.chains.iter_mut().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch)) else {
            return;
        };
        // Of an older epoch whose end was torn off here the aggregator may have more than this host.
        let through = through.min(chain.sent.max(chain.summary.next - 1));
        if through > chain.acked {
            chain.acked = through;
            self.out.push_back(AgentOutput::Acked { lane, epoch, through, aggregator: self.aggregator });
        }
    }

    /// One resend, then quarantine; what is refused even then ends the session.
    fn reject(&mut self, reject: Reject) {
        let Reject { lane, epoch, sequence, reason } = reject;
        let chain = self.chains.iter().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch));
        let within = |chain: &&Chain| {
            let resumed = chain.resumed.unwrap_or(0);
            resumed < sequence && sequence <= chain.sent.max(resumed) + 1
        };
        if chain.filter(within).is_none() {
            return self.violation(format!("Reject of sequence {sequence} on lane {lane}, which was not sent"));
        }
        let state = self.lanes.of_mut(lane);
        let strikes = match state.strikes {
            Some((e, s, strikes, _)) if (e, s) == (epoch, sequence) => strikes + 1,
            _ => 1,
        };
        if strikes > 2 {
            return self.end(AgentEnd::Refused { lane, sequence });
        }
        state.strikes = Some((epoch, sequence, strikes, reason));
        state.after = Some((epoch, sequence - 1));
        state.resend = true;
        match state.hand {
            // The answer that is under way belongs to the old place.
            Hand::Asked { .. } => state.void = true,
            Hand::Empty | Hand::Wanted | Hand::Held(_) => state.hand = Hand::Wanted,
        }
    }

    /// The frame whose turn it is, if credit covers it; else a wish for more.
    fn write(&mut self) -> Option<AgentOutput> {
        let claims = PerLane::new(|lane| self.lanes.of(lane).claim());
        let lane = self.turns.next(&claims)?;
        let queued: u64 = Lane::ALL.into_iter().map(|lane| self.queued(lane)).fold(0, u64::saturating_add);
        let state = self.lanes.of_mut(lane);
        let Hand::Held(frame) = &state.hand else { return None };
        let need = self.sent.saturating_add(len(frame));
        let ahead = self.sent.saturating_add(queued.min(AHEAD_BYTES_MAX)).max(need);
        let low = self.limit.saturating_sub(need) < ahead.saturating_sub(need) / 2;
        // One wish at a time, unless what was asked for does not even cover this frame.
        if need > self.asked.max(self.limit) || (low && self.asked <= self.limit) {
            self.asked = ahead.min(self.sent.saturating_add(FRAME_BYTES_MAX));
            return Some(AgentOutput::Message(Message::Want(Want { known: self.limit, limit: self.asked })));
        }
        if need > self.limit {
            return None;
        }
        let Hand::Held(frame) = std::mem::replace(&mut state.hand, Hand::Wanted) else { return None };
        state.writing = true;
        let header = frame.header();
        let (epoch, last) = (header.chain.epoch, header.next_sequence().saturating_sub(1));
        state.after = Some((epoch, last));
        state.streak = state.streak.saturating_add(len(&frame));
        let resend = std::mem::take(&mut state.resend);
        self.sent = need;
        self.turns.wrote(lane, len(&frame), &claims);
        if let Some(chain) = self.chains.iter_mut().find(|c| (c.summary.lane, c.summary.epoch) == (lane, epoch)) {
            chain.sent = chain.sent.max(last);
        }
        Some(AgentOutput::Write { lane, resend, frame })
    }

    fn queued(&self, lane: Lane) -> u64 {
        let state = self.lanes.of(lane);
        match &state.hand {
            Hand::Held(frame) => len(frame).saturating_add(state.streak),
            _ => 0,
        }
    }

    /// With nothing to send, credit beyond the base window goes back to those who wait for it.
    fn give_back(&mut self) -> Option<AgentOutput> {
        let idle = |lane: Lane| matches!(self.lanes.of(lane).hand, Hand::Empty) && !self.lanes.of(lane).writing;
        let idle = Lane::ALL.into_iter().all(idle);
        let enough = self.limit.min(self.sent + CREDIT_BASE_BYTES);
        if !idle || (enough == self.limit && self.asked <= self.limit) {
            return None;
        }
        let want = Want { known: self.limit, limit: enough };
        (self.limit, self.asked) = (enough, enough);
        Some(AgentOutput::Message(Message::Want(want)))
    }

    fn send(&mut self, message: Message) {
        if self.stage != Stage::Ended {
            self.out.push_back(AgentOutput::Message(message));
        }
    }

    fn violation(&mut self, text: String) {
        self.end(AgentEnd::Violation(text));
    }

    fn end(&mut self, end: AgentEnd) {
        if self.stage == Stage::Ended {
            return;
        }
        let reason = match &end {
            AgentEnd::GoAway(_) => None,
            AgentEnd::Closed | AgentEnd::Forked | AgentEnd::NewEpoch | AgentEnd::Renewed => {
                Some(GoAwayReason::Shutdown)
            }
            AgentEnd::Version { .. } => Some(GoAwayReason::Version),
            AgentEnd::Violation(_) | AgentEnd::Refused { .. } => Some(GoAwayReason::Violation),
            AgentEnd::Timeout => Some(GoAwayReason::Timeout),
        };
        if let Some(reason) = reason {
            self.send(Message::GoAway(GoAway { reason, retry_after: None, detail: end.to_string() }));
        }
        self.stage = Stage::Ended;
        self.out.push_back(AgentOutput::End(end));
    }
}

fn len(frame: &Frame) -> u64 {
    u64::try_from(frame.bytes().len()).unwrap_or(u64::MAX)
}
