//! Streams of the wire: control messages and lanes, however they are cut.

use shared::enroll::{Der, Refused, RefusedCode, RenewRequest, Reply, TrustBundle};
use shared::frame::Frame;
use shared::identity::{AgentId, Epoch, FrameHash, Lane};
use shared::protocol::{
    Ack, AgentHello, AggregatorHello, ChainSummary, Credit, Delivery, GoAway, GoAwayReason, LaneItem, LaneReader,
    Message, MessageReader, RESEND_MARKER, Reject, RejectReason, Resume, VersionRange, Want,
};

use super::frames::{AGENT, NOW, chain, chain_of_frames, frame_seeds, with_right_checksums};

/// The control stream: what reads is a message that survives its own bytes, the same however the stream was cut.
pub fn message(bytes: &[u8]) {
    let (whole, ended) = messages(bytes, bytes.len().max(1));
    for message in &whole {
        let again = message.encode();
        assert!(again.is_ok(), "{message:?}");
        let (read, _) = messages(&again.unwrap_or_default(), usize::MAX);
        // The last digit of a fraction may change: JSON of our own has none.
        if !matches!(message, Message::Config(_) | Message::Status(_)) {
            assert_eq!(read.as_slice(), std::slice::from_ref(message));
        }
    }
    let cut = usize::from(bytes.first().copied().unwrap_or(0) % 16) + 1;
    assert_eq!(messages(bytes, cut), (whole, ended), "cut into pieces of {cut}");
}

fn messages(bytes: &[u8], piece: usize) -> (Vec<Message>, bool) {
    let mut reader = MessageReader::default();
    let mut read = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => read.push(message),
                Ok(None) => break,
                Err(_) => return (read, true),
            }
        }
    }
    (read, false)
}

/// A lane's stream, as it is and with checksums that are right.
pub fn lane(bytes: &[u8]) {
    let whole = items(bytes, bytes.len().max(1));
    let cut = usize::from(bytes.first().copied().unwrap_or(0) % 32) + 1;
    assert_eq!(items(bytes, cut), whole, "cut into pieces of {cut}");
    if let Some(frame) = with_right_checksums(bytes) {
        items(&stream(&frame), 1 + frame.len() / 2);
    }
}

fn items(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut reader = LaneReader::default();
    let mut read = Vec::new();
    for mut piece in bytes.chunks(piece) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(item)) => {
                    if let LaneItem::Frame(frame) = &item {
                        assert_eq!(Frame::parse(frame.bytes().to_vec()).as_ref(), Ok(frame));
                    }
                    read.push(format!("{item:?}"));
                }
                Ok(None) => break,
                Err(error) => {
                    read.push(error.to_string());
                    return read;
                }
            }
        }
        assert!(piece.is_empty(), "a reader that wants more has taken what there is");
    }
    read
}

/// A frame as it stands in a lane's stream.
pub(super) fn stream(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap_or(0).to_le_bytes()[..], frame].concat()
}

/// The Hello of an agent that has the chain of [`chain_of_frames`], nothing of it acked.
pub(super) fn hello() -> AgentHello {
    let frames = chain_of_frames();
    let last = frames.last().map(|frame| (frame.header().next_sequence(), frame.header().next_record(), frame.hash()));
    let (next, next_record, head) = last.unwrap_or((1, 1, FrameHash::ZERO));
    let summary = ChainSummary {
        epoch: chain().epoch,
        lane: chain().lane,
        oldest: 1,
        prev_of_oldest: FrameHash::ZERO,
        oldest_record: 1,
        next,
        next_record,
        head,
        delivered: vec![Delivery { aggregator: AgentId([4; 16]), through: 0 }],
    };
    AgentHello {
        protocol: VersionRange::OURS,
        frame_versions: vec![1],
        capabilities: Vec::new(),
        agent_version: "0.1.0".to_owned(),
        hostname: "web-1".to_owned(),
        boot_id: "boot".to_owned(),
        labels: std::collections::BTreeMap::new(),
        config: String::new(),
        local_fleet: false,
        challenge: u64::MAX,
        chains: vec![summary],
    }
}

/// The Hello of an aggregator.
pub(super) fn welcome() -> AggregatorHello {
    AggregatorHello {
        aggregator: AgentId([2; 16]),
        protocol: VersionRange::OURS,
        frame_versions: vec![1],
        capabilities: Vec::new(),
        wall_time: NOW,
        renew_only: false,
    }
}

/// One message of every type.
#[must_use]
pub fn message_seeds() -> Vec<Vec<u8>> {
    let (epoch, lane) = (Epoch(7), Lane::Normal);
    let messages = [
        Message::AgentHello(Box::new(hello())),
        Message::AggregatorHello(welcome()),
        Message::Resume(Resume { epoch, lane, through: 2, head: FrameHash([3; 32]) }),
        Message::Ack(Ack { epoch, lane, through: 3 }),
        Message::Reject(Reject { epoch, lane, sequence: 4, reason: RejectReason::Checksum }),
        Message::Credit(Credit { limit: 1 << 20 }),
        Message::Want(Want { known: 32 << 10, limit: 1 << 20 }),
        Message::Config(serde_json::json!({"a": [1, null, "x"]})),
        Message::Status(serde_json::json!({"agent": AGENT.to_string()})),
        Message::Renew(RenewRequest { csr: Der(vec![1, 2]) }),
        Message::Renewed(Reply::Refused(Refused { code: RefusedCode::Final, message: "x".to_owned() })),
        Message::TrustBundle(TrustBundle { authorities: vec![Der(vec![1, 2])], time: NOW }),
        Message::GoAway(GoAway { reason: GoAwayReason::Revoked, retry_after: Some(600), detail: "x".to_owned() }),
    ];
    let encoded: Vec<Vec<u8>> = messages.iter().filter_map(|message| message.encode().ok()).collect();
    let unknown = vec![0x2a, 0x80, 3, 0, 0, 0, 1, 2, 3];
    let all = encoded.iter().chain([&unknown]).flatten().copied().collect();
    encoded.into_iter().chain([unknown, all]).collect()
}

/// Streams of one frame, and of several with a marker between.
#[must_use]
pub fn lane_seeds() -> Vec<Vec<u8>> {
    let frames = frame_seeds();
    let joined = frames.iter().flat_map(|frame| [stream(frame), RESEND_MARKER.to_vec()].concat()).collect();
    frames.iter().map(|frame| stream(frame)).chain(frames.clone()).chain([joined]).collect()
}
