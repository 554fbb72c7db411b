//! Every way of not being there shows as what it is.

use std::time::Duration;

use shared::record::{LossReason, Value};

use super::*;
use crate::journal::offline::answer::{Circumstances, Missing, answer};
use crate::journal::offline::testing::{AGENT, AGGREGATOR, CHAIN, Maker, flip};

fn gaps(maker: &Maker, agent: Option<AgentId>, since: Option<Timestamp>) -> Gaps {
    JournalFiles::open(&maker.dir.join("journal")).unwrap().gaps(agent, Window { since, until: None }).unwrap()
}

/// A span: kind, sequences, records.
type Shown = (String, Option<(u64, u64)>, Option<u64>);

/// The agent's spans.
fn shown(gaps: &Gaps) -> Vec<Shown> {
    let chain = gaps.chains.iter().find(|chain| chain.chain == CHAIN).unwrap();
    let name = |kind: &SpanKind| match kind {
        SpanKind::Before(_) => "before".to_owned(),
        SpanKind::Held => "held".to_owned(),
        SpanKind::Lost { reason } => format!("lost {reason}"),
        SpanKind::Absent { elsewhere: Some(id) } => format!("absent {id}"),
        SpanKind::Absent { elsewhere: None } => "absent".to_owned(),
        SpanKind::After => "after".to_owned(),
        SpanKind::Ended => "ended".to_owned(),
        SpanKind::Hole => "hole".to_owned(),
        SpanKind::Loss { reason, path } => format!("loss {reason} {path}"),
        SpanKind::Unseen { reason, unit, count, path } => format!("unseen {reason} {unit} {count:?} {path}"),
    };
    chain.spans.iter().map(|span| (name(&span.kind), span.sequences, span.records)).collect()
}

fn span(kind: &str, first: u64, last: u64, records: u64) -> Shown {
    (kind.to_owned(), Some((first, last)), Some(records))
}

#[test]
fn held_lost_and_absent_ranges_stand_in_order_with_their_numbers() {
    let mut maker = Maker::new("gaps-order");
    maker.lines(&["one", "two"]);
    maker.lines(&["three"]);
    maker.lose(3, 30);
    maker.lines(&["four"]);
    maker.absent(5, 50, Some(AGGREGATOR));
    maker.absent(1, 7, None);
    maker.lines(&["five"]);
    let expected = [
        span("held", 1, 3, 3),
        span("lost drop_oldest", 4, 6, 30),
        span("held", 7, 7, 1),
        span(&format!("absent {AGGREGATOR}"), 8, 12, 50),
        span("absent", 13, 13, 7),
        span("held", 14, 14, 1),
    ];
    for agent in [None, Some(AGENT)] {
        let gaps = gaps(&maker, agent, None);
        assert_eq!(shown(&gaps), expected);
        assert_eq!(gaps.chains.len(), if agent.is_some() { 1 } else { 2 });
        assert_eq!((gaps.damage.len(), gaps.unreadable), (0, 0));
    }
    let gaps = gaps(&maker, None, None);
    let lost = &gaps.chains.iter().find(|chain| chain.chain == CHAIN).unwrap().spans[1];
    assert_eq!((lost.first_record, lost.from), (Some(4), Some(maker.began.plus(Duration::from_secs(2)))));
    assert!(gaps.chains[0].own && !gaps.chains[1].own, "{gaps:?}");
}

#[test]
fn what_was_lost_before_it_got_a_number_is_told_with_reason_path_and_count() {
    let mut maker = Maker::new("gaps-loss");
    let at = |seconds: i64| Value::Time(Timestamp::from_seconds(seconds));
    let told = |count: Option<u64>, from: i64| {
        let text = |text: &str| Value::String(text.to_owned());
        let mut fields = vec![
            ("picket.record", text("loss")),
            ("reason", text(LossReason::Truncated.name())),
            ("path", text("/var/log/app.log")),
            ("from", at(from)),
            ("to", at(from + 10)),
        ];
        fields.extend(count.map(|count| ("count", Value::U64(count))));
        fields
    };
    maker.typed(&told(Some(3), 1_000));
    maker.typed(&told(Some(4), 1_060));
    maker.typed(&told(None, 9_000));
    let gaps = gaps(&maker, None, None);
    let loss = "loss truncated /var/log/app.log";
    assert_eq!(shown(&gaps)[0], span("held", 1, 4, 3));
    assert_eq!(shown(&gaps)[1..], [(loss.to_owned(), None, Some(7)), (loss.to_owned(), None, None)]);
    let spans = &gaps.chains[1].spans;
    assert_eq!((spans[1].from, spans[1].to), (Some(Timestamp::from_seconds(1_000)), Timestamp::from_seconds(1_070)));
}

#[test]
fn losses_in_units_of_their_own_are_joined_by_reason_and_stand_in_no_sum_of_records() {
    let mut maker = Maker::new("gaps-unseen");
    let told = |reason: &str, unit: &str, count: u64, from: i64| {
        let text = |text: &str| Value::String(text.to_owned());
        let at = |seconds: i64| Value::Time(Timestamp::from_seconds(seconds));
        vec![
            ("picket.record", text("loss")),
            ("reason", text(reason)),
            ("unit", text(unit)),
            ("path", text("eth0")),
            ("count", Value::U64(count)),
            ("from", at(from)),
            ("to", at(from + 60)),
        ]
    };
    for minute in 0..3 {
        maker.typed(&told("capture_drop", "packets", 100, minute * 60));
        maker.typed(&told("flow_evicted", "flows", 7, minute * 60));
    }
    maker.typed(&told("spool_full", "records", 2, 0));
    let gaps = gaps(&maker, None, None);
    let unseen = |text: &str| (text.to_owned(), None, None);
    assert_eq!(
        shown(&gaps)[1..],
        [
            unseen("unseen capture_drop packets Some(300) eth0"),
            unseen("unseen flow_evicted flows Some(21) eth0"),
            ("loss spool_full eth0".to_owned(), None, Some(2)),
        ]
    );
    let chains: Vec<_> = gaps.chains.iter().filter(|chain| !chain.own).collect();
    let around = Circumstances { now: maker.now(), begins: None, revoked: None };
    let answer = answer(&chains, Window::default(), around);
    assert_eq!((answer.missing, answer.lost), (Missing::Yes, 2));
    let sentence = "2 records lost (spool_full); 300 packets never became records (capture_drop); \
        21 flows never became records (flow_evicted)";
    assert!(answer.sentence.starts_with(sentence), "{}", answer.sentence);
}

#[test]
fn damage_of_the_journal_is_a_hole_between_what_is_held() {
    let mut maker = Maker::new("gaps-hole");
    maker.lines(&["one"]);
    let at = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.lines(&["two", "three"]);
    maker.lines(&["four"]);
    maker.close();
    flip(&maker.segments().pop().unwrap(), at + 40);
    let gaps = gaps(&maker, None, None);
    assert_eq!(shown(&gaps), [span("held", 1, 2, 1), span("hole", 3, 3, 2), span("held", 4, 4, 1)]);
    assert_eq!(gaps.damage.len(), 1);
}

#[test]
fn what_came_before_is_one_span_whether_it_is_older_or_gone() {
    let mut maker = Maker::new("gaps-before");
    maker.lines(&["one"]);
    maker.lose(2, 9);
    maker.fill_segments(2);
    let books = maker.journal().chains().books(CHAIN).unwrap();
    let since = maker.now().plus(Duration::from_millis(1));
    maker.lines(&["late"]);
    let (through, before) = (books.state.through, books.state.next_record - 1);
    let late = [span("before", 1, through, before), span("held", through + 1, through + 1, 1)];
    assert_eq!(shown(&gaps(&maker, None, Some(since))), late);
    let quiet = gaps(&maker, None, Some(maker.now().plus(Duration::from_secs(1))));
    assert_eq!(shown(&quiet), [span("before", 1, through + 1, before + 1)]);
    assert_eq!(quiet.chains[1].last_received, maker.now());
    maker.close();
    for state_reads in [true, false] {
        let segments = maker.segments();
        if state_reads {
            std::fs::remove_file(&segments[0]).unwrap();
        } else {
            flip(&segments[0], 64 + 20);
        }
        let spans = shown(&gaps(&maker, Some(AGENT), None));
        let [(before, Some((1, through)), _), (held, Some((first, _)), _)] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((before.as_str(), held.as_str(), through + 1), ("before", "held", *first), "{spans:?}");
    }
}
