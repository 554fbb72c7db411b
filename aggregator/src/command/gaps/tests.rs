//! The rows that a script reads.

use super::*;
use crate::command::scratch::Scratch;
use crate::journal::offline::testing::{AGENT, AGGREGATOR, Maker};

#[test]
fn every_kind_of_gap_is_a_row_with_its_numbers_and_reason() {
    let scratch = Scratch::initialized("gaps");
    let mut maker = Maker::at(scratch.state());
    maker.lines(&["one", "two"]);
    maker.lose(3, 30);
    maker.absent(2, 20, Some(AGGREGATOR));
    maker.typed(&[
        ("picket.record", shared::record::Value::String("loss".to_owned())),
        ("reason", shared::record::Value::String("spool_full".to_owned())),
        ("path", shared::record::Value::String("/var/log/a".to_owned())),
        ("count", shared::record::Value::U64(4)),
    ]);
    let rows = scratch.rows(&format!("gaps --agent {AGENT}"));
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("reason"), row["sequence"].as_u64(), row["through"].as_u64(), row["records"].as_u64())
        })
        .collect();
    let row =
        |kind: &str, reason: &str, first, last, records| (kind.to_owned(), reason.to_owned(), first, last, records);
    assert_eq!(
        shown,
        [
            row("held", "", Some(1), Some(2), Some(2)),
            row("lost", "drop_oldest", Some(3), Some(5), Some(30)),
            row("absent", "elsewhere", Some(6), Some(7), Some(20)),
            row("held", "", Some(8), Some(8), Some(1)),
            row("loss", "spool_full", None, None, Some(4)),
            row("silence", "", None, None, None),
        ]
    );
    assert_eq!(rows[5]["from"], maker.now().to_string());
    assert_eq!(rows[4]["detail"], "/var/log/a");
    let all = scratch.rows("gaps");
    assert!(all.iter().any(|row| row["hostname"] == "(aggregator)" && row["kind"] == "held"), "{all:?}");
    let late = scratch.rows(&format!("gaps --agent {AGENT} --since 2100-01-01"));
    assert_eq!(
        (late[0]["kind"].as_str(), late[0]["detail"].as_str()),
        (Some("before"), Some("3 journaled, 30 lost, 20 absent"))
    );
}

#[test]
fn an_enrolled_agent_that_never_sent_anything_is_silent_and_a_revoked_one_is_not_missed() {
    let scratch = Scratch::initialized("gaps-silent");
    Maker::at(scratch.state()).lines(&["one"]);
    scratch.enroll("web-1");
    scratch.enroll("web-2");
    scratch.text("agents revoke web-2").unwrap();
    let rows = scratch.rows("gaps");
    let silent: Vec<_> = rows.iter().filter(|row| row["kind"] == "silence").map(|row| &row["hostname"]).collect();
    assert_eq!(silent, [&Value::Null, &Value::from("web-1")]);
    assert_eq!(scratch.rows("gaps --agent web-1").len(), 1);
}

#[test]
fn time_spans_are_told_in_their_two_largest_units() {
    let text = |seconds| span_text(Duration::from_secs(seconds));
    assert_eq!([text(0), text(61), text(3_600), text(90_000)], ["0s", "1m 1s", "1h 0m", "1d 1h"]);
}
