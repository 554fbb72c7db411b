//! Both ends of a session against a peer that says anything: steps from bytes, good messages among raw ones.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shared::enroll::{Der, Refused, RefusedCode, RenewRequest, Reply};
use shared::frame::Frame;
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::limits::{CREDIT_BASE_BYTES, CREDIT_BUDGET_BYTES_MIN};
use shared::protocol::{
    Ack, After, AgentOutput, AgentSession, Budget, ChainState, Chains, Credit, GoAway, GoAwayReason, IngestOutput,
    IngestProfile, IngestSession, Message, MessageReader, RESEND_MARKER, Reject, RejectReason, Resume, SessionId, Want,
};

use super::Input;
use super::frames::{AGENT, NOW, chain, chain_of_frames, with_right_checksums};
use super::input::piece;
use super::wire::{hello, message_seeds, stream, welcome};

/// Outputs of one step; more would not end.
const OUTPUTS_MAX: usize = 10_000;

fn lane_of(byte: u8) -> Lane {
    Lane::ALL.get(usize::from(byte) % Lane::ALL.len()).copied().unwrap_or(Lane::Normal)
}

fn pick<'a>(frames: &'a [Frame], input: &mut Input<'_>) -> Option<&'a Frame> {
    frames.get(input.below(frames.len()))
}

/// The control stream of one peer: gives nothing more once it could not be read.
#[derive(Default)]
struct Control {
    reader: MessageReader,
    ended: bool,
}

impl Control {
    fn read(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut read = Vec::new();
        if self.ended {
            return read;
        }
        self.reader.push(bytes);
        loop {
            match self.reader.next_message() {
                Ok(Some(message)) => read.push(message),
                Ok(None) => return read,
                Err(_) => {
                    self.ended = true;
                    return read;
                }
            }
        }
    }
}

/// The aggregator's prefixes, as its journal has them.
#[derive(Default)]
struct Prefixes(BTreeMap<ChainId, ChainState>);

impl Chains for Prefixes {
    fn state(&self, chain: ChainId) -> Option<ChainState> {
        self.0.get(&chain).copied()
    }
}

/// The aggregator's end.
struct IngestEnd {
    session: IngestSession,
    budget: Budget,
    prefixes: Prefixes,
    /// Prefixes that went to the journal and are not synced.
    views: BTreeMap<ChainId, ChainState>,
    ended: bool,
}

impl IngestEnd {
    fn settle(&mut self) {
        self.session.balance(&mut self.budget);
        for said in 0.. {
            assert!(said < OUTPUTS_MAX, "the session does not come to rest");
            let Some(output) = self.session.poll() else { break };
            assert!(!self.ended, "{output:?} follows the end");
            match output {
                IngestOutput::Message(message) => assert!(message.encode().is_ok(), "{message:?}"),
                IngestOutput::Journal(entry) => {
                    let (chain, after) = (entry.chain(), entry.after());
                    assert_eq!(chain.agent, AGENT, "a frame of another agent passed");
                    let before = self.views.get(&chain).copied().unwrap_or(ChainState::EMPTY);
                    assert!(after.through > before.through, "{after:?} does not follow {before:?}");
                    assert!(after.next_record >= before.next_record, "{after:?} takes records of {before:?} back");
                    self.views.insert(chain, after);
                }
                IngestOutput::End(end) => {
                    assert!(!end.to_string().is_empty());
                    self.ended = true;
                }
                IngestOutput::Event(_) | IngestOutput::Hello(_) | IngestOutput::Renew(_) | IngestOutput::Status(_) => {}
            }
        }
        self.session.balance(&mut self.budget);
        assert!(self.budget.in_use() <= CREDIT_BUDGET_BYTES_MIN, "{} bytes of credit", self.budget.in_use());
        self.budget.drain_granted();
    }
}

/// The aggregator's end, fed by steps: `{ kind u8, … }*`.
pub fn ingest(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (frames, mut now) = (chain_of_frames(), Instant::now());
    let flags = input.u8();
    let profile =
        IngestProfile { session: SessionId(1), aggregator: AgentId([2; 16]), agent: AGENT, renew_only: flags & 1 != 0 };
    let mut prefixes = Prefixes::default();
    if let Some(known) = frames.get(usize::from(flags >> 1) % 8) {
        let header = known.header();
        let through = header.next_sequence() - 1;
        prefixes.0.insert(chain(), ChainState { through, head: known.hash(), next_record: header.next_record() });
    }
    let mut end = IngestEnd {
        session: IngestSession::new(profile, now),
        budget: Budget::new(0),
        views: prefixes.0.clone(),
        prefixes,
        ended: false,
    };
    let mut control = Control::default();
    while !input.is_empty() {
        match input.u8() % 12 {
            0 => {
                for message in control.read(input.piece()) {
                    end.session.handle_message(message, &end.prefixes, NOW, now);
                    end.settle();
                }
            }
            1 => {
                let mut hello = hello();
                for summary in &mut hello.chains {
                    (summary.oldest, summary.next) = (input.count(), input.count());
                    (summary.oldest_record, summary.next_record) = (input.count(), input.count());
                    summary.epoch = Epoch(input.count());
                }
                end.session.handle_message(Message::AgentHello(Box::new(hello)), &end.prefixes, NOW, now);
            }
            2 => end.session.handle_message(Message::AgentHello(Box::new(hello())), &end.prefixes, NOW, now),
            3 => end.session.handle_lane_bytes(lane_of(input.u8()), input.piece(), now),
            4 | 5 => {
                let Some(frame) = pick(frames, &mut input) else { continue };
                end.session.handle_lane_bytes(chain().lane, &stream(frame.bytes()), now);
            }
            6 => {
                let Some(frame) = pick(frames, &mut input) else { continue };
                let (at, value, right) = (usize::from(input.u16()), input.u8(), input.u8());
                let mut bytes = frame.bytes().to_vec();
                let len = bytes.len();
                bytes.iter_mut().skip(at % len).take(1).for_each(|byte| *byte ^= value);
                let bytes = if right & 1 == 1 { with_right_checksums(&bytes).unwrap_or(bytes) } else { bytes };
                end.session.handle_lane_bytes(chain().lane, &stream(&bytes), now);
            }
            7 => end.session.handle_lane_bytes(chain().lane, &RESEND_MARKER, now),
            8 => {
                let through = input.count();
                if let Some(view) = end.views.get(&chain()).copied().filter(|view| view.through <= through) {
                    end.prefixes.0.insert(chain(), view);
                }
                end.session.handle_committed(chain(), through);
            }
            9 => {
                now += Duration::from_secs(u64::from(input.u8()));
                end.session.handle_timeout(now);
            }
            10 => {
                let (known, limit) = (input.count() << 10, input.count() << 12);
                end.session.handle_message(Message::Want(Want { known, limit }), &end.prefixes, NOW, now);
            }
            _ => match input.u8() % 4 {
                0 => end.session.close(GoAwayReason::Shutdown, "stop"),
                1 => {
                    let refused = Refused { code: RefusedCode::Final, message: "no".to_owned() };
                    end.session.renewed(Reply::Refused(refused));
                }
                2 => end.session.configure(serde_json::json!({"a": 1})),
                _ => {
                    end.session.lost();
                    end.ended = true;
                }
            },
        }
        end.settle();
        assert!(end.session.poll_timeout().is_none() || !end.ended, "an ended session waits for nothing");
    }
}

/// The agent's end and its spool.
struct AgentEnd {
    session: AgentSession,
    frames: &'static [Frame],
    fetches: Vec<(Lane, After)>,
    hashes: Vec<(Lane, Epoch, u64)>,
    written: Vec<Lane>,
    sent: u64,
    limit: u64,
    ended: bool,
}

impl AgentEnd {
    fn settle(&mut self) {
        for said in 0.. {
            assert!(said < OUTPUTS_MAX, "the session does not come to rest");
            let Some(output) = self.session.poll() else { break };
            assert!(!self.ended, "{output:?} follows the end");
            match output {
                AgentOutput::Message(message) => assert!(message.encode().is_ok(), "{message:?}"),
                AgentOutput::Fetch { lane, after } => self.fetches.push((lane, after)),
                AgentOutput::HashOf { lane, epoch, sequence } => self.hashes.push((lane, epoch, sequence)),
                AgentOutput::Write { lane, frame, .. } => {
                    self.sent += frame.bytes().len() as u64;
                    assert!(self.sent <= self.limit, "{} bytes sent of {} allowed", self.sent, self.limit);
                    self.written.push(lane);
                }
                AgentOutput::End(end) => {
                    assert!(!end.to_string().is_empty());
                    self.ended = true;
                }
                AgentOutput::Acked { .. }
                | AgentOutput::Quarantine { .. }
                | AgentOutput::Fork { .. }
                | AgentOutput::Hello(_)
                | AgentOutput::Config(_)
                | AgentOutput::Trust(_)
                | AgentOutput::Renewed(_) => {}
            }
        }
    }

    fn take(&mut self, message: Message) {
        if let Message::Credit(credit) = &message {
            self.limit = self.limit.max(credit.limit);
        }
        self.session.handle_message(message);
        self.settle();
    }

    /// What the spool gives behind `after`.
    fn behind(&self, lane: Lane, after: After) -> Option<Frame> {
        let through = after.filter(|(epoch, _)| *epoch == chain().epoch).map_or(0, |(_, through)| through);
        let mut own = self.frames.iter().filter(|_| lane == chain().lane);
        own.find(|frame| frame.header().next_sequence() - 1 > through).cloned()
    }
}

/// The agent's end, fed by steps: `{ kind u8, … }*`.
pub fn agent(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut now = Instant::now();
    let mut end = AgentEnd {
        session: AgentSession::new(hello(), now),
        frames: chain_of_frames(),
        fetches: Vec::new(),
        hashes: Vec::new(),
        written: Vec::new(),
        sent: 0,
        limit: CREDIT_BASE_BYTES,
        ended: false,
    };
    let mut control = Control::default();
    let ChainId { epoch, lane, .. } = chain();
    while !input.is_empty() {
        match input.u8() % 14 {
            0 => control.read(input.piece()).into_iter().for_each(|message| end.take(message)),
            1 => end.take(Message::AggregatorHello(welcome())),
            2 => {
                let (through, head) = pick(end.frames, &mut input)
                    .map_or((0, FrameHash::ZERO), |frame| (frame.header().next_sequence() - 1, frame.hash()));
                end.take(Message::Resume(Resume { epoch, lane, through, head }));
            }
            3 => {
                let (epoch, through) = (Epoch(input.count()), input.count());
                end.take(Message::Resume(Resume { epoch, lane, through, head: FrameHash([input.u8(); 32]) }));
            }
            4 => end.take(Message::Ack(Ack { epoch, lane, through: input.count() })),
            5 => {
                let (sequence, reason) = (input.count(), RejectReason::Checksum);
                end.take(Message::Reject(Reject { epoch, lane, sequence, reason }));
            }
            6 => end.take(Message::Credit(Credit { limit: input.count() << 10 })),
            7 => end.session.handle_available(lane_of(input.u8())),
            8 => {
                if let Some((lane, after)) = end.fetches.pop() {
                    let answer = end.behind(lane, after);
                    end.session.handle_frame(lane, answer);
                }
            }
            9 => {
                if let Some((lane, epoch, sequence)) = end.hashes.pop() {
                    let ours = end.frames.iter().find(|frame| frame.header().sequence == sequence).map(Frame::hash);
                    end.session.handle_hash(lane, epoch, ours);
                }
            }
            10 => {
                if let Some(lane) = end.written.pop() {
                    end.session.handle_written(lane);
                }
            }
            11 => {
                now += Duration::from_secs(u64::from(input.u8()));
                end.session.handle_timeout(now);
            }
            12 => end.session.renew(RenewRequest { csr: Der(vec![1]) }),
            _ => match input.u8() % 4 {
                0 => end.session.close(),
                1 => end.session.renewed(),
                2 => end.session.status(serde_json::json!({"a": 1})),
                _ => {
                    let away = GoAway { reason: GoAwayReason::Shutdown, retry_after: None, detail: String::new() };
                    end.take(Message::GoAway(away));
                }
            },
        }
        end.settle();
    }
}

/// A session that streams, and one that only says every message.
#[must_use]
pub fn ingest_seeds() -> Vec<Vec<u8>> {
    let said: Vec<u8> = message_seeds().iter().flat_map(|message| [vec![0], piece(message)].concat()).collect();
    vec![
        vec![14, 2, 4, 0, 4, 1, 4, 2, 8, 3, 4, 3, 4, 4, 10, 32, 64, 8, 9, 4, 5, 8, 255, 11, 0],
        vec![2, 2, 4, 0, 6, 1, 70, 0, 1, 0, 7, 4, 1, 4, 2, 6, 3, 30, 0, 9, 1, 9, 200],
        [vec![14], said].concat(),
        vec![1, 2, 11, 1, 9, 60],
    ]
}

/// A session that streams, a dispute, and one that only hears every message.
#[must_use]
pub fn agent_seeds() -> Vec<Vec<u8>> {
    let said = message_seeds().iter().flat_map(|message| [vec![0], piece(message)].concat()).collect();
    vec![
        vec![1, 2, 0, 9, 7, 1, 8, 10, 8, 10, 4, 2, 6, 200, 8, 10, 8, 10, 8, 10, 4, 9, 13, 0],
        vec![1, 3, 7, 2, 5, 9, 8, 10, 5, 2, 8, 10, 5, 2, 8, 10, 5, 2, 8, 13, 3],
        vec![1, 2, 5, 9, 12, 13, 2, 13, 1, 11, 60],
        said,
    ]
}
