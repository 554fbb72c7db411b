//! What is exported is what was sent.

use shared::record::Value;

use super::*;
use crate::journal::offline::testing::{AGENT, AGGREGATOR, CHAIN, Maker, flip};

fn raw(maker: &Maker, selection: &Selection) -> (Vec<u8>, Exported) {
    let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
    let mut out = Vec::new();
    let exported = files.export(selection, &mut |line| {
        out.extend_from_slice(line.line.bytes);
        out.extend_from_slice(line.terminator());
        Ok(())
    });
    (out, exported.unwrap())
}

fn uid(record: u64) -> Selection {
    Selection { uid: Some(EventId { chain: CHAIN, record, part: 0 }), ..Selection::default() }
}

#[test]
fn lines_come_out_byte_equal_with_their_ends() {
    let mut maker = Maker::new("export-bytes");
    maker.raw_lines(&[(b"unix", 0), (b"windows", FLAG_CRLF), (b"\xff\x00", 0), (b"", 0)]);
    maker.typed(&[("a", Value::Null)]);
    maker.raw_lines(&[(b"cut", FLAG_TRUNCATED), (b"end", FLAG_UNTERMINATED)]);
    let (bytes, exported) = raw(&maker, &Selection::default());
    assert_eq!(bytes, b"unix\nwindows\r\n\xff\x00\n\ncut\nend");
    assert_eq!((exported.lines, exported.truncated, exported.damaged), (6, 1, 0));
    assert!(exported.typed >= 1, "{exported:?}");
}

#[test]
fn one_event_leads_to_its_line_in_any_segment() {
    let mut maker = Maker::new("export-uid");
    maker.lines(&["first", "second"]);
    maker.fill_segments(2);
    maker.lines(&["last"]);
    maker.lose(2, 10);
    let last = maker.journal().chains().books(CHAIN).unwrap().journaled;
    for (record, expected) in [(1, "first\n"), (2, "second\n"), (last, "last\n")] {
        let (bytes, exported) = raw(&maker, &uid(record));
        assert_eq!((bytes.as_slice(), exported.frames), (expected.as_bytes(), 1), "record {record}");
    }
    let (bytes, exported) = raw(&maker, &uid(last + 3));
    assert_eq!((bytes.len(), exported.lost), (0, Some(LossReason::DropOldest)));
    let (_, exported) = raw(&maker, &uid(last + 100));
    assert_eq!(exported, Exported::default());
}

#[test]
fn agent_and_time_narrow_it_and_frames_come_whole() {
    let mut maker = Maker::new("export-narrow");
    maker.lines(&["early"]);
    maker.fill_segments(1);
    let since = maker.now().plus(std::time::Duration::from_millis(1));
    maker.lines(&["late"]);
    let selection = Selection { since: Some(since), agent: Some(AGENT), ..Selection::default() };
    assert_eq!(raw(&maker, &selection).0, b"late\n");
    assert_eq!(raw(&maker, &Selection { agent: Some(AGGREGATOR), ..Selection::default() }).0, b"");
    let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
    let mut bytes = Vec::new();
    let exported = files.export_frames(&selection, &mut |_, frame| {
        bytes.extend_from_slice(frame.bytes());
        Ok(())
    });
    assert_eq!(exported.unwrap().frames, 1);
    let frame = Frame::parse(bytes).unwrap();
    assert_eq!((frame.header().chain, frame.header().records), (CHAIN, 1));
}

#[test]
fn what_does_not_read_back_is_counted_and_the_rest_comes() {
    let mut maker = Maker::new("export-damage");
    maker.lines(&["one"]);
    let at = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.lines(&["two"]);
    maker.lines(&["three"]);
    maker.close();
    flip(&maker.segments().pop().unwrap(), at + 40);
    let (bytes, exported) = raw(&maker, &Selection::default());
    assert_eq!((bytes.as_slice(), exported.damaged), (&b"one\nthree\n"[..], 1));
}

#[test]
fn a_writer_that_fails_ends_the_export() {
    let mut maker = Maker::new("export-pipe");
    maker.lines(&["one"]);
    let files = JournalFiles::open(&maker.dir.join("journal")).unwrap();
    let error = files.export(&Selection::default(), &mut |_| Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
    assert!(matches!(error, ExportError::Write(e) if e.kind() == io::ErrorKind::BrokenPipe));
}

#[test]
fn what_was_received_at_the_end_of_the_time_or_later_is_left_out() {
    let mut maker = Maker::new("export-until");
    maker.lines(&["one"]);
    maker.lines(&["two"]);
    let until = maker.now();
    let selection = Selection { until: Some(until), ..Selection::default() };
    assert_eq!(raw(&maker, &selection).0, b"one\n");
    let selection = Selection { since: Some(until), ..Selection::default() };
    assert_eq!(raw(&maker, &selection).0, b"two\n");
}

#[test]
fn parts_of_chains_are_told_with_their_ends_and_whether_they_follow_on() {
    let mut maker = Maker::new("export-chains");
    maker.lines(&["one", "two"]);
    maker.lose(3, 30);
    let before = maker.journal().chains().books(CHAIN).unwrap().state;
    let since = maker.now().plus(std::time::Duration::from_millis(1));
    maker.lines(&["three"]);
    let at = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.lines(&["four"]);
    maker.lines(&["five"]);
    let end = maker.journal().chains().books(CHAIN).unwrap().state;
    let part = |maker: &Maker, since| {
        let selection = Selection { since, agent: Some(AGENT), ..Selection::default() };
        raw(maker, &selection).1.chains.remove(&CHAIN).unwrap()
    };
    let late = part(&maker, Some(since));
    assert_eq!(
        (late.first_sequence, late.first_record, late.prev),
        (before.through + 1, before.next_record, before.head)
    );
    assert_eq!((late.end, late.frames, late.unbroken), (end, 3, true));
    let whole = part(&maker, None);
    assert_eq!((whole.first_sequence, whole.end, whole.frames, whole.unbroken), (1, end, 6, true));
    assert!(whole.positions.0 < late.positions.0 && whole.positions.1 == late.positions.1);
    maker.close();
    flip(&maker.segments().pop().unwrap(), at + 40);
    let holed = part(&maker, None);
    assert_eq!((holed.end, holed.frames, holed.unbroken), (end, 5, false));
}
