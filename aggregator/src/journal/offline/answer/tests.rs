//! Two to three o'clock on one host, in every way in which it can go.

use shared::frame::{GenesisNotice, GenesisReason, PreviousEpoch};

use super::*;
use crate::journal::offline::JournalFiles;
use crate::journal::offline::testing::{AGENT, AGGREGATOR, CHAIN, Maker};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A host that has been there since midnight, at two o'clock. The window is the hour from then.
fn at_two(name: &str) -> (Maker, Window) {
    let mut maker = Maker::new(name);
    maker.lines(&["midnight"]);
    let began = maker.began;
    while maker.now() < began.plus(2 * HOUR - MINUTE) {
        maker.pass(10 * MINUTE);
        maker.lines(&["still there"]);
    }
    maker.pass(Duration::from_nanos(began.plus(2 * HOUR).since(maker.now()).as_nanos().try_into().unwrap()));
    (maker, Window { since: Some(began.plus(2 * HOUR)), until: Some(began.plus(3 * HOUR)) })
}

fn until(maker: &mut Maker, hour: u32) {
    let left = maker.began.plus(hour * HOUR).since(maker.now());
    maker.pass(left);
}

fn asked(maker: &Maker, window: Window) -> Answer {
    let gaps = JournalFiles::open(&maker.dir.join("journal")).unwrap().gaps(Some(AGENT), window).unwrap();
    let chains: Vec<&ChainSpans> = gaps.chains.iter().collect();
    answer(&chains, window, Circumstances { now: maker.now(), begins: gaps.begins, revoked: None })
}

#[track_caller]
fn assert_answer(maker: &Maker, window: Window, missing: Missing, sentence: &str) {
    let answer = asked(maker, window);
    assert_eq!(answer.missing, missing, "{answer:?}");
    assert!(answer.sentence.contains(sentence), "{answer:?}");
}

/// A genesis frame of this reason, behind an epoch that ended before `next`.
fn behind(reason: GenesisReason, next: Option<u64>) -> GenesisNotice {
    GenesisNotice { reason, previous: Some(PreviousEpoch { epoch: CHAIN.epoch, next, head: None }) }
}

#[test]
fn a_host_that_delivers_its_backlog_at_four_has_nothing_missing() {
    let (mut maker, window) = at_two("answer-backlog");
    let mut spooled = Vec::new();
    while maker.now() < window.until.unwrap() {
        maker.pass(5 * MINUTE);
        spooled.push(maker.spool("offline"));
    }
    maker.pass(MINUTE);
    assert_answer(&maker, window, Missing::Unknown, "silent from ");
    until(&mut maker, 4);
    let (last, rest) = spooled.split_last().unwrap();
    for (frame, after) in rest.iter().cloned() {
        maker.put_as(frame, after);
    }
    // All but the last: what is left of the window may still be on the host.
    assert_answer(&maker, window, Missing::Unknown, "silent from ");
    maker.put_as(last.0.clone(), last.1);
    assert_answer(&maker, window, Missing::No, "complete; the last of it came at ");
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::No, "complete; the last of it came at ");
}

#[test]
fn a_host_whose_spool_dropped_has_lost_what_touches_the_window_and_nothing_else() {
    let (mut maker, window) = at_two("answer-dropped");
    until(&mut maker, 4);
    maker.lose_between(3, 30, window.since.unwrap(), window.until.unwrap());
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::Yes, "30 records lost (drop_oldest)");
    assert_eq!(asked(&maker, window).lost, 30);
    // The loss was told at four. The hours on both sides are not touched by it.
    let before = Window { since: Some(maker.began.plus(HOUR)), until: Some(maker.began.plus(HOUR + HOUR / 2)) };
    assert_answer(&maker, before, Missing::No, "complete");
    let behind = Window { since: Some(maker.began.plus(4 * HOUR)), until: None };
    let spans = maker.began.plus(3 * HOUR + MINUTE);
    assert_answer(&maker, Window { since: Some(spans), until: None }, Missing::No, "complete; the last frame is of");
    assert_answer(&maker, behind, Missing::No, "complete");
}

#[test]
fn a_host_that_never_came_back_is_silent_and_nobody_knows() {
    let (mut maker, window) = at_two("answer-silent");
    until(&mut maker, 9);
    assert_answer(&maker, window, Missing::Unknown, "silent from ");
    let open = Window { until: None, ..window };
    assert_answer(&maker, open, Missing::Unknown, "silent from ");
    assert_answer(&maker, Window::default(), Missing::Unknown, "silent from ");
}

#[test]
fn an_idle_hour_is_proven_by_the_frame_behind_it() {
    let (mut maker, window) = at_two("answer-idle");
    until(&mut maker, 7);
    maker.lines(&["good morning"]);
    assert_answer(&maker, window, Missing::No, "complete");
    assert_eq!(asked(&maker, window).sentence, "complete");
}

#[test]
fn losses_without_numbers_count_in_their_own_time_and_without_a_count() {
    use shared::record::Value;
    let (mut maker, window) = at_two("answer-loss");
    until(&mut maker, 5);
    let text = |text: &str| Value::String(text.to_owned());
    let told = |from: Timestamp, count: Option<u64>| {
        let mut fields = vec![
            ("picket.record", text("loss")),
            ("reason", text("spool_full")),
            ("from", Value::Time(from)),
            ("to", Value::Time(from.plus(MINUTE))),
        ];
        fields.extend(count.map(|count| ("count", Value::U64(count))));
        fields
    };
    maker.typed(&told(maker.began.plus(4 * HOUR), Some(3)));
    assert_answer(&maker, window, Missing::No, "complete");
    maker.typed(&told(maker.began.plus(2 * HOUR + MINUTE), Some(4)));
    assert_answer(&maker, window, Missing::Yes, "4 records lost (spool_full)");
    maker.typed(&told(maker.began.plus(2 * HOUR + 30 * MINUTE), None));
    assert_answer(&maker, window, Missing::Yes, "records lost (spool_full uncounted)");
}

#[test]
fn what_another_aggregator_has_and_what_nobody_has_is_unknown() {
    let (mut maker, window) = at_two("answer-elsewhere");
    until(&mut maker, 4);
    maker.absent(5, 50, Some(AGGREGATOR));
    maker.absent(1, 7, None);
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::Unknown, "50 records are elsewhere (aggregator ");
    assert_answer(&maker, window, Missing::Unknown, "7 records never came here");
}

#[test]
fn a_clock_that_is_ahead_neither_hides_a_loss_nor_proves_the_window() {
    let (mut maker, window) = at_two("answer-ahead");
    // Sealed at five by the host, at half past two by ours.
    let (frame, after) = {
        let mut ahead = Maker::new("answer-ahead-host");
        ahead.lines(&["midnight"]);
        while ahead.now() < ahead.began.plus(2 * HOUR - MINUTE) {
            ahead.pass(10 * MINUTE);
            ahead.lines(&["still there"]);
        }
        until(&mut ahead, 5);
        ahead.spool("from the future")
    };
    maker.pass(30 * MINUTE);
    maker.put_as(frame, after);
    until(&mut maker, 4);
    assert_answer(&maker, window, Missing::Unknown, "silent from ");
    assert_answer(&maker, window, Missing::Unknown, "its clock is ahead by 2h 29m");
    let four_by_the_host = maker.began.plus(4 * HOUR);
    maker.lose_between(1, 9, four_by_the_host, four_by_the_host.plus(2 * HOUR));
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::Yes, "9 records lost");
}

#[test]
fn a_quiet_lane_is_covered_by_one_that_is_sent_after_it_and_by_no_other() {
    let (mut maker, window) = at_two("answer-lanes");
    let fresh = GenesisNotice { reason: GenesisReason::NewSpool, previous: None };
    maker.begin_chain(Lane::High, 0x10, &fresh);
    maker.lines(&["an alarm"]);
    maker.begin_chain(Lane::Bulk, 0x11, &fresh);
    until(&mut maker, 4);
    maker.resume_chain(Lane::Normal, CHAIN.epoch.0);
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::No, "complete");
    maker.resume_chain(Lane::Bulk, 0x11);
    maker.lines(&["packets"]);
    until(&mut maker, 6);
    maker.resume_chain(Lane::High, 0x10);
    maker.lines(&["an alarm"]);
    let later = Window { since: Some(maker.began.plus(5 * HOUR)), until: Some(maker.began.plus(6 * HOUR)) };
    assert_answer(&maker, later, Missing::Unknown, "lane normal has sent nothing that is later than");
    assert_answer(&maker, later, Missing::Unknown, "lane bulk has sent nothing that is later than");
}

#[test]
fn an_epoch_that_ended_early_or_without_proof_is_unknown_unless_it_forked() {
    for (reason, short, missing) in [
        (GenesisReason::Continuity, Some(0), Missing::No),
        (GenesisReason::Continuity, Some(2), Missing::Unknown),
        (GenesisReason::Continuity, None, Missing::Unknown),
        (GenesisReason::MachineId, Some(2), Missing::Unknown),
        (GenesisReason::Fork, Some(2), Missing::No),
    ] {
        let (mut maker, window) = at_two("answer-epoch");
        maker.pass(30 * MINUTE);
        maker.lines(&["last"]);
        let through = maker.journal().chains().books(CHAIN).unwrap().state.through;
        until(&mut maker, 4);
        maker.begin_chain(Lane::Normal, 0xff, &behind(reason, short.map(|short| through + 1 + short)));
        maker.lines(&["live"]);
        let sentence = if missing == Missing::No { "complete" } else { "an epoch ended without proof" };
        assert_answer(&maker, window, missing, sentence);
    }
}

#[test]
fn a_spool_that_was_deleted_may_have_held_something() {
    let (mut maker, window) = at_two("answer-deleted");
    until(&mut maker, 4);
    maker.begin_chain(Lane::Normal, 0xff, &GenesisNotice { reason: GenesisReason::NewSpool, previous: None });
    maker.lines(&["live"]);
    assert_answer(&maker, window, Missing::Unknown, "an epoch ended without proof that all of it came");
    let later = Window { since: Some(maker.began.plus(4 * HOUR).plus(MINUTE)), until: None };
    assert_answer(&maker, later, Missing::No, "complete");
}

#[test]
fn a_window_that_begins_before_the_journal_does_is_unknown() {
    let (mut maker, window) = at_two("answer-trimmed");
    maker.lose(2, 9);
    maker.fill_segments(2);
    until(&mut maker, 4);
    maker.lines(&["live"]);
    maker.close();
    std::fs::remove_file(&maker.segments()[0]).unwrap();
    assert_answer(&maker, window, Missing::Unknown, "the journal begins at");
    assert_answer(&maker, Window::default(), Missing::Yes, "9 records lost (before the oldest frame that is left)");
}

#[test]
fn a_host_that_is_newer_than_the_window_says_so() {
    let mut maker = Maker::new("answer-newer");
    let window = Window { since: Some(maker.began), until: Some(maker.began.plus(HOUR)) };
    until(&mut maker, 4);
    maker.lines(&["first"]);
    assert_answer(&maker, window, Missing::No, "complete; it began at");
    let enrolled = maker.now();
    assert_eq!(never_heard(enrolled, window).missing, Missing::No);
    assert_eq!(never_heard(enrolled, Window::default()).missing, Missing::Unknown);
}

#[test]
fn time_spans_are_told_in_their_two_largest_units() {
    let text = |seconds| span_text(Duration::from_secs(seconds));
    assert_eq!([text(0), text(61), text(3_600), text(90_000)], ["0s", "1m 1s", "1h 0m", "1d 1h"]);
}
