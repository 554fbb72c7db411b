//! The commands on a real journal, whole and damaged.

use serde_json::json;
use shared::batch::FLAG_CRLF;
use shared::exit::Reason;

use super::*;
use crate::command::scratch::Scratch;
use crate::journal::offline::testing::{AGENT, CHAIN, Maker, flip};
use crate::sink::{AnySink, Target};

fn journal(name: &str) -> (Scratch, Maker) {
    let scratch = Scratch::initialized(name);
    let maker = Maker::at(scratch.state());
    (scratch, maker)
}

#[test]
fn stat_counts_segments_positions_records_and_how_far_each_sink_is() {
    let (scratch, mut maker) = journal("journal-stat");
    maker.lines(&["one", "two"]);
    maker.journal().cut("config").unwrap();
    maker.journal().commit().unwrap();
    let mut lake = AnySink::open(&Target::Parquet { path: scratch.dir.join("lake") }).unwrap();
    crate::sink::Sink::commit(&mut lake, 2).unwrap();
    let rows = scratch.rows("journal stat");
    let [row] = &rows[..] else { panic!("{rows:?}") };
    let next = maker.journal().committed_numbers().0;
    assert_eq!((row["segments"].as_u64(), row["oldest_position"].as_u64()), (Some(1), Some(1)));
    assert_eq!((row["next_position"].as_u64(), row["chains"].as_u64()), (Some(next), Some(2)));
    assert_eq!(row["sinks"], json!([{ "name": "lake", "cursor": 2, "behind": next - 3 }]));
    assert_eq!(row["newest_received"], maker.now().to_string());
    let table = scratch.text("journal stat").unwrap();
    assert!(table.starts_with("KEY") && table.contains("behind"), "{table}");
}

#[test]
fn a_journal_that_is_not_there_is_78() {
    let scratch = Scratch::initialized("journal-none");
    for line in ["journal stat", "journal verify", "journal export", "gaps"] {
        assert_eq!(scratch.text(line).unwrap_err().reason, Reason::Config, "{line}");
    }
}

#[test]
fn verify_is_0_for_a_whole_journal_and_65_with_every_finding_for_a_damaged_one() {
    let (scratch, mut maker) = journal("journal-verify");
    maker.lines(&["one"]);
    let at = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.lines(&["two"]);
    maker.lines(&["three"]);
    assert!(scratch.output("journal verify").1.is_ok());
    let rows = scratch.rows("journal verify");
    assert!(rows.len() == 6 && rows.iter().all(|row| row["outcome"] == "ok"), "{rows:?}");
    maker.close();
    flip(&maker.segments().pop().unwrap(), at + 40);
    assert_eq!(scratch.output("journal verify").1.unwrap_err().reason, Reason::Data);
    let rows = scratch.rows("journal verify");
    let failed: Vec<_> = rows.iter().filter(|row| row["outcome"] == "fail").map(|row| &row["check"]).collect();
    assert_eq!(failed, ["log", "chains"]);
    let chain = rows.iter().find(|row| row["check"] == "chains").unwrap();
    assert_eq!((chain["agent"].as_str(), chain["lane"].as_str()), (Some(&*AGENT.to_string()), Some("normal")));
}

#[test]
fn export_gives_bytes_rows_or_frames() {
    let (scratch, mut maker) = journal("journal-export");
    maker.raw_lines(&[(b"unix", 0), (b"dos", FLAG_CRLF), (b"\xff", 0)]);
    assert_eq!(scratch.output("journal export").0, b"unix\ndos\r\n\xff\n");
    let uid = format!("{}-{}-normal-2", CHAIN.agent, CHAIN.epoch);
    assert_eq!(scratch.output(&format!("journal export --uid {uid}")).0, b"dos\r\n");
    assert_eq!(scratch.output(&format!("journal export --agent {AGENT} --since 2026-01-01")).0.len(), 13 - 1);
    let (rows, _) = scratch.output("journal export --output ndjson");
    let rows: Vec<Value> = rows
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!((rows[1]["uid"].as_str(), rows[1]["raw"].as_str()), (Some(&*uid), Some("dos")));
    assert_eq!((rows[0]["log_name"].as_str(), rows[0]["offset"].as_u64()), (Some("/var/log/app.log"), Some(0)));
    assert_eq!((&rows[2]["raw"], rows[2]["raw_base64"].as_str()), (&Value::Null, Some("/w==")));
    let (frames, result) = scratch.output(&format!("journal export --frames --agent {AGENT}"));
    assert!(result.is_ok());
    let first = shared::frame::Header::parse(&frames).unwrap();
    let second = shared::frame::Header::parse(&frames[first.frame_len()..]).unwrap();
    assert_eq!((first.sequence, second.sequence, second.records), (1, 2, 3));
    assert_eq!(frames.len(), first.frame_len() + second.frame_len());
}

#[test]
fn what_is_not_in_the_journal_is_65_and_says_why() {
    let (scratch, mut maker) = journal("journal-absent");
    maker.lines(&["one"]);
    maker.lose(2, 10);
    maker.typed(&[("a", shared::record::Value::Bool(true))]);
    let why = |record: u64| {
        let exit =
            scratch.output(&format!("journal export --uid {AGENT}-{}-normal-{record}", CHAIN.epoch)).1.unwrap_err();
        assert_eq!(exit.reason, Reason::Data);
        exit.to_string()
    };
    assert!(why(5).contains("drop_oldest"), "{}", why(5));
    assert!(why(12).contains("typed record"), "{}", why(12));
    assert!(why(99).contains("never received"), "{}", why(99));
    let at = usize::try_from(maker.journal().committed_offset()).unwrap() + 64;
    maker.lines(&["damaged"]);
    maker.lines(&["two"]);
    maker.close();
    flip(&maker.segments().pop().unwrap(), at + 40);
    let (out, result) = scratch.output("journal export");
    assert_eq!((out.as_slice(), result.unwrap_err().reason), (&b"one\ntwo\n"[..], Reason::Data));
}

#[test]
fn a_wrong_wish_is_64_and_an_unknown_agent_65() {
    let (scratch, mut maker) = journal("journal-usage");
    maker.lines(&["one"]);
    assert_eq!(scratch.output("journal export --frames --output json").1.unwrap_err().reason, Reason::Usage);
    assert_eq!(scratch.output("journal export --agent nobody").1.unwrap_err().reason, Reason::Data);
}
