//! The rows that a script reads.

use std::time::Duration;

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
    maker.typed(&[
        ("picket.record", shared::record::Value::String("loss".to_owned())),
        ("reason", shared::record::Value::String("capture_drop".to_owned())),
        ("unit", shared::record::Value::String("packets".to_owned())),
        ("path", shared::record::Value::String("eth0".to_owned())),
        ("count", shared::record::Value::U64(9)),
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
            row("answer", "", None, None, Some(34)),
            row("held", "", Some(1), Some(2), Some(2)),
            row("lost", "drop_oldest", Some(3), Some(5), Some(30)),
            row("elsewhere", "", Some(6), Some(7), Some(20)),
            row("held", "", Some(8), Some(9), Some(2)),
            row("loss", "spool_full", None, None, Some(4)),
            row("unseen", "capture_drop", None, None, None),
            row("silence", "", None, None, None),
        ]
    );
    assert_eq!(rows[7]["from"], maker.now().to_string());
    assert_eq!((&rows[5]["detail"], &rows[6]["detail"]), (&"/var/log/a".into(), &"9 packets on eth0".into()));
    let all = scratch.rows("gaps");
    assert!(all.iter().any(|row| row["hostname"] == "(aggregator)" && row["kind"] == "held"), "{all:?}");
    let late = scratch.rows(&format!("gaps --agent {AGENT} --since 2100-01-01"));
    assert_eq!(
        (late[1]["kind"].as_str(), late[1]["detail"].as_str()),
        (Some("before"), Some("4 journaled, 30 lost, 20 absent"))
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
    let rows = scratch.rows("gaps --agent web-1");
    assert_eq!((rows.len(), &rows[0]["missing"], &rows[1]["kind"]), (2, &"unknown".into(), &"silence".into()));
}

#[test]
fn was_anything_missing_between_two_and_three_is_one_command_with_one_answer() {
    let mut scratch = Scratch::initialized("gaps-answer");
    let mut maker = Maker::at(scratch.state());
    maker.lines(&["before"]);
    maker.pass(Duration::from_secs(3_600));
    let since = maker.now();
    maker.lines(&["in the window"]);
    maker.pass(Duration::from_secs(3_600));
    let until = maker.now();
    maker.lines(&["behind it"]);
    scratch.now = maker.now();
    let line = format!("gaps --agent {AGENT} --since {} --until {}", rfc(since), rfc(until));
    let text = scratch.text(&line).unwrap();
    assert_eq!(text.lines().next(), Some(&*format!("{AGENT}: complete")), "{text}");
    let rows = scratch.rows(&line);
    assert_eq!((&rows[0]["kind"], &rows[0]["missing"]), (&"answer".into(), &false.into()), "{rows:?}");
    maker.lose_between(1, 7, since, until);
    let text = scratch.text(&line).unwrap();
    assert_eq!(text.lines().next(), Some(&*format!("{AGENT}: complete")), "lost after the frame behind it: {text}");
    let wider = format!("gaps --agent {AGENT} --since {} --until {}", rfc(since), rfc(maker.now()));
    let rows = scratch.rows(&wider);
    assert_eq!((&rows[0]["missing"], &rows[0]["records"]), (&true.into(), &7.into()), "{rows:?}");
    assert!(scratch.text(&wider).unwrap().contains("7 records lost (drop_oldest)"));
    let exit = scratch.output("gaps --since 03:00 --until 02:00").1.unwrap_err();
    assert_eq!(exit.reason, Reason::Usage);
}

/// To whole seconds, as a person writes it.
fn rfc(at: Timestamp) -> String {
    Timestamp::from_seconds(at.as_seconds()).to_string().replace(".000Z", "Z")
}
