//! A good journal is whole; every kind of damage is found and named.

use super::*;
use crate::journal::offline::testing::{CHAIN, Maker, flip};
use shared::record::Value;

fn checks(maker: &Maker) -> (Vec<(&'static str, Severity)>, Verdict) {
    let trust = Trust { keys: vec![crate::ca::signature::Signer::of_tests().key_hash()], against: None };
    let verdict = verify(&maker.dir.join("journal"), &trust).unwrap();
    (verdict.findings.iter().map(|finding| (finding.check, finding.severity)).collect(), verdict)
}

#[test]
fn a_journal_with_losses_absent_ranges_and_many_segments_is_whole() {
    let mut maker = Maker::new("verify-whole");
    maker.lines(&["one", "two"]);
    maker.lose(3, 30);
    maker.absent(4, 40, None);
    maker.lines(&["three"]);
    maker.journal().cut("config").unwrap();
    maker.fill_segments(2);
    maker.typed(&[("a", Value::U64(1))]);
    for running in [true, false] {
        let (findings, verdict) = checks(&maker);
        assert_eq!(findings, [], "running {running}: {verdict:?}");
        assert!(verdict.is_whole() && verdict.segments >= 3 && verdict.chains == 2, "{verdict:?}");
        assert_eq!(verdict.last_position, verdict.frames);
        maker.close();
    }
}

#[test]
fn a_changed_bit_anywhere_in_a_frame_is_damage_and_breaks_its_chain() {
    let mut maker = Maker::new("verify-bit");
    maker.lines(&["first line"]);
    let before = maker.journal().committed_offset();
    maker.lines(&["the damaged line"]);
    let after = maker.journal().committed_offset();
    maker.lines(&["last line"]);
    maker.close();
    let path = maker.segments().pop().unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in (before..after).step_by(11) {
        flip(&path, usize::try_from(at).unwrap() + 64);
        let (findings, verdict) = checks(&maker);
        // Zeros up to the next record of 8 bytes are not covered by a checksum, and hold nothing.
        if !findings.is_empty() {
            assert_eq!(findings, [("chains", Severity::Fail), ("log", Severity::Fail)], "byte {at}: {verdict:?}");
            assert_eq!(verdict.findings[0].chain, Some(CHAIN));
            assert!(verdict.findings[0].detail.contains("sequences 3 to 3 are missing"), "{verdict:?}");
            assert!(!verdict.is_whole());
        } else {
            assert!(at + 8 >= after, "byte {at} of {before}..{after}");
        }
        std::fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_frame_that_comes_twice_is_found() {
    let mut maker = Maker::new("verify-frame");
    let frame = maker.sealed(|batch| {
        let origin = batch.origin(&std::sync::Arc::default());
        let line = shared::batch::Line { bytes: b"x", offset: 0, full_size: 1, flags: 0 };
        batch.push_line(origin, shared::time::Timestamp(0), line);
    });
    // The same frame twice: what a journal that forgot its prefix would do.
    let header = frame.header().clone();
    let state = ChainState { through: header.sequence, head: frame.hash(), next_record: header.next_record() };
    maker.put_as(frame.clone(), state);
    maker.put_as(frame, state);
    maker.lines(&["after"]);
    let (findings, verdict) = checks(&maker);
    assert_eq!(findings, [("chains", Severity::Fail)]);
    assert!(verdict.findings[0].detail.contains("sequence 2 comes again"), "{verdict:?}");
}

#[test]
fn a_frame_that_does_not_link_to_the_one_before_is_found_once() {
    let mut maker = Maker::new("verify-prev");
    maker.lines(&["one"]);
    let stranger = maker.sealed(|batch| {
        let origin = batch.origin(&std::sync::Arc::default());
        let line = shared::batch::Line { bytes: b"x", offset: 0, full_size: 1, flags: 0 };
        batch.push_line(origin, shared::time::Timestamp(0), line);
    });
    let place = shared::frame::Place {
        chain: CHAIN,
        sequence: stranger.header().sequence,
        first_record: stranger.header().first_record,
        prev: shared::identity::FrameHash([3; 32]),
        sealed_at: shared::time::Timestamp(0),
    };
    let stranger = stranger.reseal(&place).unwrap();
    let after = ChainState {
        through: stranger.header().sequence,
        head: stranger.hash(),
        next_record: stranger.header().next_record(),
    };
    maker.put_as(stranger, after);
    maker.lines(&["two"]);
    let (findings, verdict) = checks(&maker);
    assert_eq!(findings, [("chains", Severity::Fail)], "{verdict:?}");
    assert!(verdict.findings[0].detail.contains("does not follow on 2: Prev"), "{verdict:?}");
}

#[test]
fn a_torn_tail_and_a_foreign_file_are_told_and_are_no_failure() {
    let mut maker = Maker::new("verify-tail");
    maker.lines(&["one"]);
    maker.lines(&["a line in the torn tail"]);
    let end = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.close();
    let path = maker.segments().pop().unwrap();
    flip(&path, end - 16);
    std::fs::write(maker.dir.join("journal/00000000ffffffff.seg"), b"not a segment").unwrap();
    let (findings, verdict) = checks(&maker);
    assert_eq!(findings, [("segments", Severity::Warn), ("log", Severity::Warn)], "{verdict:?}");
    assert!(verdict.is_whole());
}

#[test]
fn a_segment_without_its_state_and_one_that_is_gone_are_found() {
    let mut maker = Maker::new("verify-state");
    maker.fill_segments(3);
    maker.lines(&["end"]);
    maker.close();
    let segments = maker.segments();
    let second = std::fs::read(&segments[1]).unwrap();
    flip(&segments[1], 64 + 20);
    let (findings, verdict) = checks(&maker);
    let altered = [("seals", Severity::Fail)];
    assert_eq!(
        findings,
        [&[("log", Severity::Fail), ("segments", Severity::Fail)], &altered[..]].concat(),
        "{verdict:?}"
    );
    std::fs::write(&segments[1], second).unwrap();
    // The oldest may be gone, but not unsaid; with or without a state behind it that is all that is found.
    std::fs::remove_file(&segments[0]).unwrap();
    assert_eq!(checks(&maker).0, [("seals", Severity::Fail); 2]);
    flip(&segments[1], 64 + 20);
    let (findings, _) = checks(&maker);
    assert_eq!(findings[..2], [("log", Severity::Fail), ("segments", Severity::Fail)]);
    flip(&segments[1], 64 + 20);
    // One in the middle may not.
    std::fs::remove_file(&segments[2]).unwrap();
    let (findings, verdict) = checks(&maker);
    assert!(!verdict.is_whole() && findings.contains(&("chains", Severity::Fail)), "{verdict:?}");
}

#[test]
fn findings_are_bounded_and_counted() {
    let mut verdict = Verdict::default();
    for position in 0..FINDINGS_MAX as u64 + 5 {
        verdict.add(Finding { position: Some(position), ..Finding::new("log", Severity::Warn, String::new()) });
    }
    assert_eq!((verdict.findings.len(), verdict.omitted, verdict.is_whole()), (FINDINGS_MAX, 5, false));
}

#[test]
fn an_absent_range_that_does_not_follow_on_is_found() {
    let mut maker = Maker::new("verify-absent");
    maker.lines(&["one"]);
    let state = maker.journal().chains().books(CHAIN).unwrap().state;
    let before = ChainState { next_record: state.next_record + 5, ..state };
    let after = ChainState { through: 9, next_record: before.next_record + 40, ..state };
    let absent = shared::protocol::Absent { chain: CHAIN, before, after, elsewhere: None };
    let entry = shared::protocol::JournalEntry::Absent(absent);
    let received = crate::journal::Received::own(maker.now());
    maker.journal().append(&entry, received).unwrap();
    maker.journal().commit().unwrap();
    let (findings, verdict) = checks(&maker);
    assert_eq!(findings, [("chains", Severity::Fail)]);
    assert!(verdict.findings[0].detail.contains("an absent range of 40 records"), "{verdict:?}");
}

#[test]
fn what_the_log_holds_and_is_no_frame_and_positions_that_do_not_rise_are_found() {
    let mut maker = Maker::new("verify-bytes");
    maker.lines(&["one"]);
    let position = maker.journal().committed_numbers().0;
    maker.close();
    let options = shared::log::Options { segment_bytes: 4 << 20, quarantine_bytes_max: 0, points: ["", "", ""] };
    let (dir, clock) = (maker.dir.join("journal"), shared::time::Clock::System);
    let opened = shared::log::Log::open(std::sync::Arc::new(RealFs), &dir, options, clock, &mut |_| {}, &Vec::new);
    let mut log = opened.unwrap().log;
    let received = crate::journal::Received::own(maker.now());
    let mut wrap = Wrap { position, records_before: 1, received, is_cut: false };
    log.append(Kind::Frame, &[&wrap.encode(), b"PCKT and no more of a frame"]).unwrap();
    log.append(Kind::Frame, &[b"not even a head"]).unwrap();
    wrap.position = 1;
    log.append(Kind::Frame, &[&wrap.encode(), b""]).unwrap();
    log.append(Kind::Checkpoint, &[b"filler"]).unwrap();
    log.append(Kind::Mark, &[b"filler"]).unwrap();
    log.append(Kind::Seal, &[b"filler"]).unwrap();
    log.commit(&Vec::new).unwrap();
    let (findings, verdict) = checks(&maker);
    let expected = ["frames", "frames", "positions", "frames", "log", "seals", "seals"];
    let expected = expected.map(|check| (check, Severity::Fail));
    assert_eq!(findings, expected, "{verdict:?}");
}
