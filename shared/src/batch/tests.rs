use super::*;
use crate::frame::{Frame, Opener, Place, Sealer};
use crate::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};

fn host() -> HostContext {
    HostContext { hostname: "web-1".into(), utc_offset_minutes: -120, ..HostContext::default() }
}

fn origin(name: &str) -> Arc<Origin> {
    Arc::new(Origin { source: "logs".into(), kind: "file".into(), log_name: name.into(), ..Origin::default() })
}

fn line(bytes: &[u8], offset: u64, flags: u8) -> Line<'_> {
    Line { bytes, offset, full_size: bytes.len() as u64, flags }
}

fn seal(batch: &mut Batch) -> Frame {
    let chain = ChainId { agent: AgentId([1; 16]), lane: Lane::High, epoch: Epoch(2) };
    let place =
        Place { chain, sequence: 2, first_record: 1, prev: FrameHash::ZERO, sealed_at: Timestamp::from_seconds(1) };
    batch.with_columns(&host(), |records, columns| Sealer::new().unwrap().data(&place, records, columns)).unwrap()
}

#[test]
fn records_come_back_as_they_went_in() {
    let mut batch = Batch::default();
    let (a, b) = (batch.origin(&origin("/a")), batch.origin(&origin("/b")));
    let t = Timestamp::from_seconds(1_700_000_000);
    let later = Timestamp(t.0 + 5);
    let cut = Line { bytes: b"cut", offset: 7, full_size: 10_000_000, flags: FLAG_TRUNCATED };
    let lines = [
        (a, t, line(b"first", 100, 0)),
        (a, t, line(b"", 106, FLAG_CRLF)),
        (b, t, cut),
        (a, later, line(b"\xff\0\n", 108, 0)),
        (b, t, line(b"after the cut one", 10_000_008, FLAG_UNTERMINATED)),
        (b, t, line(b"file began anew", 0, 0)),
    ];
    for (origin, at, line) in lines {
        batch.push_line(origin, at, line);
    }
    let typed = vec![
        ("reason".to_owned(), Value::String("drop_oldest".into())),
        ("count".to_owned(), Value::U64(u64::MAX)),
        ("ip".to_owned(), Value::Ip("2001:db8::1".parse().unwrap())),
        ("nested".to_owned(), Value::Map(vec![("count".into(), Value::List(vec![Value::Null, Value::F64(0.5)]))])),
    ];
    assert!(batch.push_typed(a, later, &typed));
    let frame = seal(&mut batch);
    let mut opener = Opener::default();
    let view = BatchView::parse(&frame.open(&mut opener).unwrap(), frame.header().records).unwrap();
    assert_eq!(view.context().host.utc_offset_minutes, -120);
    assert_eq!(view.context().origins[1].log_name, "/b");
    let records: Vec<RecordView<'_>> = view.iter().map(Result::unwrap).collect();
    for ((origin, at, line), record) in lines.iter().zip(&records) {
        assert_eq!((origin.0, at, &Body::Line(*line)), (record.origin, &record.read_at, &record.body));
    }
    let Body::Typed(fields) = &records[6].body else { panic!("{records:?}") };
    let fields: Vec<(String, Value)> = fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    assert_eq!(fields, typed);
}

#[test]
fn columns_cost_about_a_byte_a_line() {
    let mut batch = Batch::default();
    let origin = batch.origin(&origin("/var/log/syslog"));
    let mut offset = 0;
    for i in 0..2_000 {
        let text = format!("Jan  1 00:00:00 host daemon[{i}]: message number {i}");
        batch.push_line(origin, Timestamp(i / 500), line(text.as_bytes(), offset, 0));
        offset += text.len() as u64 + 1;
    }
    let beside = batch.raw_len() - batch.bytes.len();
    assert!(beside < 2_000 + 64, "{beside} bytes beside the text of 2,000 lines");
}

#[test]
fn deep_or_huge_typed_records_are_refused_whole() {
    let mut batch = Batch::default();
    let origin = batch.origin(&origin("/a"));
    let deep = (0..20).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert!(!batch.push_typed(origin, Timestamp(0), &[("k".into(), deep)]));
    let huge = Value::Bytes(vec![0; CHUNK_BYTES_MAX]);
    assert!(!batch.push_typed(origin, Timestamp(0), &[("k".into(), huge)]));
    assert!(batch.is_empty() && batch.raw_len() == 0 && batch.keys.is_empty());
}

#[test]
fn a_full_chunk_of_short_lines_is_sealed_in_time() {
    let origin = origin("/a");
    let mut batch = Batch::default();
    assert!(batch.has_room(&origin, 1, CHUNK_BYTES_MAX));
    while batch.has_room(&origin, 1, 0) {
        let index = batch.origin(&origin);
        batch.push_line(index, Timestamp(i64::from(batch.records())), line(b"", u64::from(batch.records()) * 77, 2));
    }
    assert!(seal(&mut batch).header().raw_len as usize <= FRAME_RAW_BYTES_MAX);
}

#[test]
fn mangled_columns_are_errors_and_never_panics() {
    let mut batch = Batch::default();
    let o = batch.origin(&origin("/a"));
    for i in 0..50u64 {
        batch.push_line(o, Timestamp(i.cast_signed()), line(b"text", i * 9, (i % 7 == 0).into()));
    }
    assert!(batch.push_typed(o, Timestamp(9), &[("k".into(), Value::List(vec![Value::I64(-5); 9]))]));
    let frame = seal(&mut batch);
    let mut opener = Opener::default();
    let columns = frame.open(&mut opener).unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap()
    };
    for _ in 0..20_000 {
        let mut owned: Vec<(u16, u8, Vec<u8>)> = columns.iter().map(|c| (c.0, c.1, c.2.to_vec())).collect();
        let which = random() % owned.len();
        let bytes = &mut owned[which].2;
        match random() % 3 {
            0 if !bytes.is_empty() => {
                let i = random() % bytes.len();
                bytes[i] ^= 1 << (random() % 8);
            }
            1 => bytes.truncate(random() % (bytes.len() + 1)),
            _ => bytes.push(u8::try_from(random() % 256).unwrap()),
        }
        let columns: Vec<Column<'_>> = owned.iter().map(|(id, kind, bytes)| (*id, *kind, &bytes[..])).collect();
        if let Ok(view) = BatchView::parse(&columns, frame.header().records) {
            assert_eq!(view.iter().count(), 51);
        }
    }
}

#[test]
fn columns_that_grow_with_odd_lines_leave_room_for_the_next_chunk() {
    let origin = origin("/a");
    let mut batch = Batch::default();
    // Each line odd in its own way: another flag, cut, away from where it was expected.
    let mut n = 0u64;
    while batch.has_room(&origin, 1, 0) && batch.raw_len() < crate::limits::FRAME_RAW_BYTES_SEAL {
        let index = batch.origin(&origin);
        let flags = if n.is_multiple_of(2) { FLAG_CRLF } else { FLAG_TRUNCATED };
        batch.push_line(index, Timestamp(1), Line { bytes: b"", offset: n << 40, full_size: u64::MAX, flags });
        n += 1;
    }
    let room = (0..FRAME_RAW_BYTES_MAX).rev().step_by(4_096).find(|len| batch.has_room(&origin, 1, *len)).unwrap();
    let index = batch.origin(&origin);
    let rest: Vec<u8> = (0..room as u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    batch.push_line(index, Timestamp(1), line(&rest, 0, 0));
    assert!(seal(&mut batch).header().raw_len as usize <= FRAME_RAW_BYTES_MAX);
}

#[test]
fn origins_with_endless_names_leave_room_for_their_context() {
    let mut batch = Batch::default();
    let mut n = 0;
    loop {
        let name = format!("/{n}/{}", "\n".repeat(3_000));
        let origin = origin(&name);
        if !batch.has_room(&origin, 1, 10) {
            break;
        }
        let index = batch.origin(&origin);
        batch.push_line(index, Timestamp(1), line(b"0123456789", 0, 0));
        n += 1;
    }
    assert!(n > 20);
    assert!(seal(&mut batch).header().raw_len as usize <= FRAME_RAW_BYTES_MAX);
}
