//! Frames and batches: header, checksums, body, columns, and the events that come of them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use aggregator::event::json;
use aggregator::journal::{Received, Wrap};
use aggregator::pipeline::interpret::{Interpreter, Passed};
use shared::batch::{Batch, BatchView, FLAG_CRLF, FLAG_TRUNCATED, HostContext, Line, Origin};
use shared::frame::{
    Column, Frame, FrameError, FrameKind, GenesisNotice, GenesisReason, HEADER_LEN, Header, LossNotice, MAGIC, Opener,
    Place, PreviousEpoch, Sealer, VERSION,
};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::limits::FRAME_COLUMNS_MAX;
use shared::record::{LossReason, Value};
use shared::time::Timestamp;

use super::Input;
use super::input::piece;

/// The agent of every frame here.
pub(super) const AGENT: AgentId = AgentId([1; 16]);
/// When everything here happens: 2026-03-16T09:30:00Z.
pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// The same bytes as a frame whose magic, version, lengths and checksums are right, if there are enough of them.
pub(super) fn with_right_checksums(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = bytes.to_vec();
    let (head, body) = out.split_at_mut_checked(HEADER_LEN)?;
    let mut put = |at: usize, field: &[u8]| {
        head.iter_mut().skip(at).zip(field).for_each(|(to, from)| *to = *from);
        crc32c::crc32c(head.get(..HEADER_LEN - 4).unwrap_or_default())
    };
    put(0, &MAGIC);
    put(4, &[VERSION, u8::try_from(HEADER_LEN).unwrap_or(0)]);
    put(10, &[0]);
    put(71, &u32::try_from(body.len()).unwrap_or(0).to_le_bytes());
    let crc = put(107, &crc32c::crc32c(body).to_le_bytes());
    put(111, &crc.to_le_bytes());
    Some(out)
}

/// Header and body of a frame from any bytes: refused, or a frame that is exactly these bytes.
pub fn frame(bytes: &[u8]) {
    one_frame(bytes);
    if let Some(bytes) = with_right_checksums(bytes) {
        one_frame(&bytes);
    }
}

fn one_frame(bytes: &[u8]) {
    let header = Header::parse(bytes);
    let frame = match Frame::parse(bytes.to_vec()) {
        Ok(frame) => frame,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(header.as_ref(), Ok(frame.header()), "header alone and in a frame");
    assert_eq!(frame.bytes(), bytes, "a frame is the bytes that it came in");
    let header = frame.header();
    assert!(header.body_len <= header.raw_len && header.span >= 1 && header.sequence >= 1, "{header:?}");
    assert!(header.next_sequence() > header.sequence && header.next_record() >= header.first_record, "{header:?}");
    let mut opener = Opener::default();
    if let Ok(columns) = frame.open(&mut opener) {
        view(&columns, header.records);
    }
    let _ = frame.loss_notice(&mut opener);
    let _ = frame.genesis_notice(&mut opener);
    let _ = frame.head_after(&mut opener);
    let place = Place {
        chain: ChainId { epoch: Epoch(header.chain.epoch.0 ^ 1), ..header.chain },
        sequence: header.sequence,
        first_record: header.first_record,
        prev: header.prev,
        sealed_at: header.sealed_at,
    };
    let resealed = frame.reseal(&place).expect("its own place is one");
    assert_eq!(Frame::parse(resealed.bytes().to_vec()).as_ref(), Ok(&resealed), "a resealed frame opens");
    let received = Received { at: NOW, peer: SocketAddr::from(([192, 0, 2, 1], 1)), serial: vec![1] };
    interpret(&frame, &Wrap { position: 1, records_before: 0, received, is_cut: false });
    if let Some((wrap, rest)) = Wrap::split(bytes) {
        assert!(Wrap::split(&[&wrap.encode(), rest].concat()).is_some(), "a wrap survives its bytes");
    }
}

fn view(columns: &[Column<'_>], records: u32) -> Option<usize> {
    let view = BatchView::parse(columns, records).ok()?;
    assert_eq!(view.len(), usize::try_from(records).unwrap_or(usize::MAX), "as many records as the header says");
    assert_eq!(view.iter().count(), view.len());
    Some(view.iter().filter(Result::is_ok).count())
}

/// Events of a frame: every record is counted, every event is one JSON object.
fn interpret(frame: &Frame, wrap: &Wrap) -> Passed {
    let mut text = String::new();
    let Ok(passed) = Interpreter::default().frame(wrap, frame, NOW, &mut |event| {
        text.clear();
        json::write(event, &mut text);
        let value: serde_json::Value = serde_json::from_str(&text).expect("an event is JSON");
        assert!(value.is_object(), "{text}");
        Ok::<_, Infallible>(())
    });
    let records = if frame.header().kind == FrameKind::Data { u64::from(frame.header().records) } else { 0 };
    assert_eq!(passed.normalized + passed.unreadable, records, "every record is accounted for");
    passed
}

/// Columns of a data frame from any bytes: `records u8, { id u8, length u16, bytes }*`, sealed, opened, interpreted.
pub fn batch(bytes: &[u8]) {
    let mut input = Input(bytes);
    let records = u32::from(input.u8());
    let mut columns = Vec::new();
    while !input.is_empty() {
        columns.push((u16::from(input.u8()), 0, input.piece()));
    }
    let readable = view(&columns, records);
    let place = Place { chain: chain(), sequence: 2, first_record: 1, prev: FrameHash::ZERO, sealed_at: NOW };
    let Ok(frame) = Sealer::new().expect("zstd has memory").data(&place, records, &columns) else { return };
    let wrap = Wrap { position: 1, records_before: 0, received: Received::own(NOW), is_cut: false };
    let passed = interpret(&frame, &wrap);
    if columns.len() <= FRAME_COLUMNS_MAX {
        assert_eq!(passed.normalized, readable.unwrap_or(0) as u64, "of {records} records");
    }
}

pub(super) fn chain() -> ChainId {
    ChainId { agent: AGENT, lane: Lane::Normal, epoch: Epoch(7) }
}

/// A batch of lines and a typed record.
fn sample() -> Batch {
    let mut batch = Batch::default();
    let named = |path: &str| {
        Arc::new(Origin {
            source: "logs".to_owned(),
            kind: "file".to_owned(),
            log_name: path.to_owned(),
            ..Origin::default()
        })
    };
    let (first, second) = (batch.origin(&named("/var/log/a.log")), batch.origin(&named("/var/log/b.log")));
    let mut offset = 0;
    for (origin, bytes, flags) in [
        (first, &b"Mar 16 09:30:00 web-1 sshd[7]: Invalid user a from 192.0.2.7 port 22"[..], 0),
        (first, b"{\"msg\":\"one\"}", FLAG_CRLF),
        (second, b"\xff\0", FLAG_TRUNCATED),
        (second, b"", 0),
    ] {
        let full_size = bytes.len() as u64 + u64::from(flags & FLAG_TRUNCATED) * 1_000;
        batch.push_line(origin, NOW, Line { bytes, offset, full_size, flags });
        offset += 7 + bytes.len() as u64;
    }
    let typed = [
        ("picket.record".to_owned(), Value::String("loss".to_owned())),
        ("count".to_owned(), Value::U64(3)),
        ("from".to_owned(), Value::Time(NOW)),
        ("more".to_owned(), Value::List(vec![Value::Null, Value::Map(vec![("a".to_owned(), Value::F64(0.5))])])),
    ];
    assert!(batch.push_typed(second, NOW, &typed), "it is small");
    batch
}

/// Six frames of one chain: genesis, three of data, a loss, data again.
pub(super) fn chain_of_frames() -> &'static [Frame] {
    static FRAMES: LazyLock<Vec<Frame>> = LazyLock::new(sealed_chain);
    &FRAMES
}

fn sealed_chain() -> Vec<Frame> {
    let mut sealer = Sealer::new().expect("zstd has memory");
    let previous = Some(PreviousEpoch { epoch: Epoch(6), next: Some(9), head: Some(FrameHash([5; 32])) });
    let notice = GenesisNotice { reason: GenesisReason::Fork, previous };
    let genesis = sealer.genesis(chain(), NOW, &notice).expect("it is small");
    let mut frames = vec![genesis];
    for number in 0..5 {
        let last = frames.last().map(|frame: &Frame| {
            let header = frame.header();
            (header.next_sequence(), header.next_record(), frame.head_after(&mut Opener::default()))
        });
        let (sequence, first_record, prev) = last.unwrap_or((1, 1, Ok(FrameHash::ZERO)));
        let prev = prev.unwrap_or(FrameHash::ZERO);
        let place = Place { chain: chain(), sequence, first_record, prev, sealed_at: NOW };
        let made = if number == 3 {
            let last_hash = FrameHash([9; 32]);
            let notice = LossNotice { reason: LossReason::DropOldest, first_time: NOW, last_time: NOW, last_hash };
            sealer.loss(&place, 4, 11, &notice)
        } else {
            sample().with_columns(&HostContext::default(), |records, columns| sealer.data(&place, records, columns))
        };
        frames.push(made.expect("it is small"));
    }
    frames
}

/// Frames of every kind.
#[must_use]
pub fn frame_seeds() -> Vec<Vec<u8>> {
    chain_of_frames().iter().map(|frame| frame.bytes().to_vec()).collect()
}

/// Columns of a good batch, as [`batch`] reads them.
#[must_use]
pub fn batch_seeds() -> Vec<Vec<u8>> {
    let encoded = sample().with_columns(&HostContext::default(), |records, columns| {
        let mut out = vec![u8::try_from(records).unwrap_or(0)];
        for (id, _, bytes) in columns {
            out.push(u8::try_from(*id).unwrap_or(0));
            out.extend(piece(bytes));
        }
        Ok::<_, FrameError>(out)
    });
    encoded.into_iter().collect()
}
