//! Bytes of messages and lane streams: what stands where, and that nothing hostile gets through.

use serde_json::json;

use super::model::Rng;
use crate::enroll::{Der, Refused, RefusedCode, RenewRequest, Reply, TrustBundle};
use crate::frame::{COLUMN_TYPE_BYTES, Frame, HEADER_LEN, Place, Sealer};
use crate::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use crate::limits::{CHAINS_MAX, FRAME_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::protocol::*;
use crate::time::Timestamp;

pub fn hello() -> AgentHello {
    let summary = ChainSummary {
        epoch: Epoch(0x0102_0304_0506_0708),
        lane: Lane::Normal,
        oldest: 5,
        prev_of_oldest: FrameHash([0xaa; 32]),
        oldest_record: 40,
        next: 7,
        next_record: 60,
        head: FrameHash([0xbb; 32]),
        delivered: vec![Delivery { aggregator: AgentId([1; 16]), through: 4 }],
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

fn every_message() -> Vec<(Message, Vec<u8>)> {
    let (epoch, lane) = (Epoch(0x0102_0304_0506_0708), Lane::Bulk);
    let chain = [8, 7, 6, 5, 4, 3, 2, 1, 2];
    let fixed = |kind: u8, parts: &[&[u8]]| {
        let body = parts.concat();
        [&[kind, 0, u8::try_from(body.len()).unwrap(), 0, 0, 0], &body[..]].concat()
    };
    let text = |kind: u8, body: &str| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        [&[kind, 0], &length[..], body.as_bytes()].concat()
    };
    let nine = [9, 0, 0, 0, 0, 0, 0, 0];
    vec![
        (
            Message::AgentHello(Box::new(hello())),
            text(
                1,
                concat!(
                    r#"{"protocol":{"min":1,"max":1},"frame_versions":[1],"capabilities":[],"agent_version":"0.1.0","#,
                    r#""hostname":"web-1","boot_id":"boot","challenge":18446744073709551615,"#,
                    r#""chains":[{"epoch":72623859790382856,"lane":"normal","#,
                    r#""oldest":5,"prev_of_oldest":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","#,
                    r#""oldest_record":40,"next":7,"next_record":60,"#,
                    r#""head":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","#,
                    r#""delivered":[{"aggregator":"01010101-0101-0101-0101-010101010101","through":4}]}]}"#,
                ),
            ),
        ),
        (
            Message::AggregatorHello(AggregatorHello {
                aggregator: AgentId([1; 16]),
                protocol: VersionRange::OURS,
                frame_versions: vec![1],
                capabilities: Vec::new(),
                wall_time: Timestamp(7),
                renew_only: false,
            }),
            text(
                2,
                concat!(
                    r#"{"aggregator":"01010101-0101-0101-0101-010101010101","protocol":{"min":1,"max":1},"#,
                    r#""frame_versions":[1],"capabilities":[],"wall_time":7,"renew_only":false}"#,
                ),
            ),
        ),
        (
            Message::Resume(Resume { epoch, lane, through: 9, head: FrameHash([0xcc; 32]) }),
            fixed(3, &[&chain, &nine, &[0xcc; 32]]),
        ),
        (Message::Ack(Ack { epoch, lane, through: 9 }), fixed(4, &[&chain, &nine])),
        (
            Message::Reject(Reject { epoch, lane, sequence: 9, reason: RejectReason::Checksum }),
            fixed(5, &[&chain, &nine, &[3]]),
        ),
        (Message::Credit(Credit { limit: 9 }), fixed(6, &[&nine])),
        (Message::Want(Want { known: 9, limit: 9 }), fixed(7, &[&nine, &nine])),
        (Message::Config(json!({"a": 1})), text(8, r#"{"a":1}"#)),
        (Message::Status(json!({"a": 1})), text(9, r#"{"a":1}"#)),
        (Message::Renew(RenewRequest { csr: Der(vec![1, 2]) }), text(10, r#"{"csr":"AQI="}"#)),
        (
            Message::Renewed(Reply::Refused(Refused { code: RefusedCode::Final, message: "x".to_owned() })),
            text(11, r#"{"refused":{"code":"final","message":"x"}}"#),
        ),
        (
            Message::TrustBundle(TrustBundle { authorities: vec![Der(vec![1, 2])], time: Timestamp(7) }),
            text(12, r#"{"authorities":["AQI="],"time":7}"#),
        ),
        (
            Message::GoAway(GoAway { reason: GoAwayReason::Revoked, retry_after: Some(600), detail: "x".to_owned() }),
            text(13, r#"{"reason":"revoked","retry_after":600,"detail":"x"}"#),
        ),
    ]
}

#[test]
fn messages_are_their_golden_bytes_both_ways() {
    let mut all = Vec::new();
    for (message, golden) in every_message() {
        assert_eq!(message.encode().unwrap(), golden, "{message:?}");
        all.extend(golden);
    }
    let mut reader = MessageReader::default();
    let mut read = Vec::new();
    for byte in all {
        reader.push(&[byte]);
        read.extend(reader.next_message().unwrap());
    }
    assert_eq!(read, every_message().into_iter().map(|(message, _)| message).collect::<Vec<_>>());
}

#[test]
fn unknown_type_is_skipped_with_the_top_bit_and_refused_without() {
    let mut reader = MessageReader::default();
    reader.push(&[0x2a, 0x80, 3, 0, 0, 0, 1, 2, 3]);
    reader.push(&Message::Credit(Credit { limit: 1 }).encode().unwrap());
    assert_eq!(reader.next_message(), Ok(Some(Message::Credit(Credit { limit: 1 }))));
    reader.push(&[0x2a, 0x00, 0, 0, 0, 0]);
    assert_eq!(reader.next_message(), Err(MessageError::Unknown(0x2a)));
}

#[test]
fn unknown_fields_and_reasons_of_later_versions_are_read() {
    let away = Message::decode(13, br#"{"reason":"moon_phase","since":"dawn"}"#).unwrap();
    let expected = GoAway { reason: GoAwayReason::Other, retry_after: None, detail: String::new() };
    assert_eq!(away, Some(Message::GoAway(expected)));
    let mut reject = every_message()[4].1[6..].to_vec();
    *reject.last_mut().unwrap() = 250;
    let reject = Message::decode(5, &reject).unwrap();
    assert!(matches!(reject, Some(Message::Reject(Reject { reason: RejectReason::Other, .. }))));
}

#[test]
fn message_over_its_bound_is_refused_by_its_head() {
    let mut reader = MessageReader::default();
    let length = u32::try_from(MESSAGE_BYTES_MAX + 1).unwrap();
    reader.push(&[&[8, 0], &length.to_le_bytes()[..]].concat());
    assert!(matches!(reader.next_message(), Err(MessageError::TooLong { kind: 8, .. })));
    let long = Message::Config(json!("x".repeat(MESSAGE_BYTES_MAX)));
    assert!(matches!(long.encode(), Err(MessageError::TooLong { .. })));
}

#[test]
fn largest_hello_fits_a_message() {
    let mut hello = hello();
    let delivery = Delivery { aggregator: AgentId([255; 16]), through: u64::MAX };
    let chain = ChainSummary {
        epoch: Epoch(u64::MAX),
        lane: Lane::Normal,
        oldest: u64::MAX,
        prev_of_oldest: FrameHash([255; 32]),
        oldest_record: u64::MAX,
        next: u64::MAX,
        next_record: u64::MAX,
        head: FrameHash([255; 32]),
        delivered: vec![delivery; 8],
    };
    hello.chains = vec![chain; CHAINS_MAX];
    Message::AgentHello(Box::new(hello)).encode().unwrap();
}

#[test]
fn contradictory_chains_are_noticed() {
    let good = hello();
    assert!(good.is_consistent());
    let broken: [fn(&mut ChainSummary); 5] =
        [|c| c.oldest = 0, |c| c.oldest = 8, |c| c.oldest_record = 0, |c| c.oldest_record = 61, |c| c.oldest = 7];
    for change in broken {
        let mut bad = good.clone();
        change(&mut bad.chains[0]);
        assert!(!bad.is_consistent(), "{:?}", bad.chains[0]);
    }
    let mut twice = good.clone();
    twice.chains.push(good.chains[0].clone());
    assert!(!twice.is_consistent());
}

#[test]
fn mutated_messages_never_panic_and_never_grow() {
    let golden: Vec<Vec<u8>> = every_message().into_iter().map(|(_, bytes)| bytes).collect();
    for seed in 0..20_000 {
        let mut rng = Rng(seed);
        let mut bytes = golden[usize::try_from(rng.below(golden.len() as u64)).unwrap()].clone();
        for _ in 0..=rng.below(4) {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            match rng.below(4) {
                0 => bytes[at] = rng.next().to_le_bytes()[0],
                1 => bytes[at] ^= 1 << rng.below(8),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, rng.next().to_le_bytes()[0]),
            }
        }
        let mut reader = MessageReader::default();
        reader.push(&bytes);
        while let Ok(Some(message)) = reader.next_message() {
            assert!(message.encode().is_ok(), "seed {seed}: {message:?}");
        }
    }
}

fn frame(sealer: &mut Sealer, body: &[u8]) -> Frame {
    let chain = ChainId { agent: AgentId([7; 16]), lane: Lane::Normal, epoch: Epoch(1) };
    let place = Place { chain, sequence: 2, first_record: 1, prev: FrameHash([9; 32]), sealed_at: Timestamp(0) };
    sealer.data(&place, 1, &[(9, COLUMN_TYPE_BYTES, body)]).unwrap()
}

fn stream(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_le_bytes()[..], frame].concat()
}

fn items(reader: &mut LaneReader, mut bytes: &[u8]) -> Result<Vec<LaneItem>, LaneError> {
    let mut items = Vec::new();
    while let Some(item) = reader.read(&mut bytes)? {
        items.push(item);
    }
    Ok(items)
}

#[test]
fn lane_stream_reads_the_same_whole_and_byte_by_byte() {
    let mut sealer = Sealer::new().unwrap();
    let (first, second) = (frame(&mut sealer, b"one"), frame(&mut sealer, &[7; 3_000]));
    let bytes = [stream(first.bytes()), RESEND_MARKER.to_vec(), stream(second.bytes())].concat();
    let whole = items(&mut LaneReader::default(), &bytes).unwrap();
    let mut reader = LaneReader::default();
    let pieces: Vec<LaneItem> = bytes.iter().flat_map(|&byte| items(&mut reader, &[byte]).unwrap()).collect();
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    let [LaneItem::Begins(_), LaneItem::Frame(a), LaneItem::Resend, LaneItem::Begins(_), LaneItem::Frame(b)] =
        &whole[..]
    else {
        panic!("{whole:?}");
    };
    assert_eq!((a, b), (&first, &second));
}

#[test]
fn broken_frame_is_skipped_and_the_next_one_reads() {
    let mut sealer = Sealer::new().unwrap();
    let good = frame(&mut sealer, b"one");
    for at in 0..good.bytes().len() {
        let mut bad = good.bytes().to_vec();
        bad[at] ^= 0x10;
        let read = items(&mut LaneReader::default(), &[stream(&bad), stream(good.bytes())].concat()).unwrap();
        assert!(matches!(read[1], LaneItem::Bad { .. }), "byte {at}: {:?}", read[1]);
        assert!(matches!(&read[3], LaneItem::Frame(frame) if *frame == good), "byte {at}");
    }
}

#[test]
fn length_over_the_bound_is_refused_before_room_is_made() {
    let length = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
    let mut reader = LaneReader::default();
    assert_eq!(items(&mut reader, &length.to_le_bytes()).unwrap_err(), LaneError::TooLong(FRAME_BYTES_MAX + 1));
}

#[test]
fn frame_of_a_later_version_is_told_apart_with_a_longer_header() {
    let mut header = frame(&mut Sealer::new().unwrap(), b"one").bytes()[..HEADER_LEN - 4].to_vec();
    header[4] = 2;
    header[5] = 127;
    header.extend([0; 12]);
    let crc = crc32c::crc32c(&header);
    header.extend(crc.to_le_bytes());
    header.extend([1; 40]);
    let (mut reader, bytes) = (LaneReader::default(), stream(&header));
    let mut input = &bytes[..];
    assert!(matches!(reader.read(&mut input), Ok(Some(LaneItem::Begins(_)))));
    assert!(matches!(reader.read(&mut input), Ok(Some(LaneItem::Newer { version: 2, .. }))));
}

#[test]
fn mutated_lane_streams_never_panic() {
    let mut sealer = Sealer::new().unwrap();
    let good = frame(&mut sealer, b"a line of a log, and another one");
    let golden = [stream(good.bytes()), RESEND_MARKER.to_vec(), stream(good.bytes())].concat();
    for seed in 0..20_000 {
        let mut rng = Rng(seed);
        let mut bytes = golden.clone();
        for _ in 0..=rng.below(3) {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[at] = rng.next().to_le_bytes()[0];
        }
        let mut reader = LaneReader::default();
        let cut = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
        let (a, b) = bytes.split_at(cut);
        for piece in [a, b] {
            let Ok(read) = items(&mut reader, piece) else { break };
            let intact = |item: &LaneItem| !matches!(item, LaneItem::Frame(frame) if *frame != good);
            assert!(read.iter().all(intact), "seed {seed}: a broken frame passed");
        }
    }
}
