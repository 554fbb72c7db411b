//! What no log should hold, and what no glob should match: each is kept, flagged or counted, and the rest goes on.

use std::time::Duration;

use anyhow::Context;
use picket_tests::harness::{LogFile, Pair, Row, await_until, by_file};

const DEADLINE: Duration = Duration::from_secs(60);

fn lines_of<'a>(rows: &'a [Row], path: &str) -> Vec<&'a Row> {
    let mut rows: Vec<&Row> = rows.iter().filter(|row| row.log_name == path).collect();
    rows.sort_by_key(|row| row.sequence);
    rows
}

#[test]
fn odd_lines_are_kept_whole_or_flagged() -> anyhow::Result<()> {
    let pair = Pair::start("odd-lines")?;
    let path = pair.logs().join("odd.log");
    let huge = vec![b'x'; 10_000_000];
    let mut bytes = Vec::new();
    let before: [&[u8]; 5] = [b"plain", b"", b"nul \0 inside", b"not utf-8: \xff\xfe", b"carriage return"];
    for (i, line) in before.iter().enumerate() {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(if i == 4 { b"\r\n" } else { b"\n" });
    }
    bytes.extend_from_slice(&huge);
    bytes.extend_from_slice(b"\nafter the huge one\n");
    LogFile::open(&path)?.write(&bytes)?;
    let rows = pair.await_lines(7, DEADLINE)?;
    let name = path.display().to_string();
    let found = lines_of(&rows, &name);
    let raw: Vec<&[u8]> = found.iter().map(|row| row.raw_data.as_slice()).collect();
    assert_eq!(raw[..3], before[..3]);
    assert_eq!(raw[3], "not utf-8: \u{fffd}\u{fffd}".as_bytes());
    assert!(found[3].unmapped.contains("bm90IHV0Zi04OiD//g=="), "the exact bytes are kept: {}", found[3].unmapped);
    assert_eq!(raw[4], before[4]);
    assert_eq!((raw[5].len(), found[5].untruncated_size), (256 << 10, Some(10_000_000)));
    assert_eq!(raw[6], b"after the huge one");
    assert!(found.iter().enumerate().all(|(i, row)| i == 5 || row.untruncated_size.is_none()));
    // The journal gives the bytes back as they stood in the file, terminators included; of the huge line what was kept.
    let exported = pair.aggregator.command(&["journal", "export"])?;
    assert!(exported.contains("carriage return\r\n"), "CR LF comes back");
    pair.finish(DEADLINE)
}

#[test]
fn what_is_no_readable_file_is_said_and_stops_nobody() -> anyhow::Result<()> {
    let pair = Pair::start("no-file")?;
    std::fs::create_dir(pair.logs().join("folder.log"))?;
    std::os::unix::fs::symlink("/nowhere", pair.logs().join("dangling.log"))?;
    LogFile::open(&pair.logs().join("good.log"))?.write(b"good\n")?;
    let rows = pair.await_lines(1, DEADLINE)?;
    assert_eq!(by_file(&rows).len(), 1);
    let troubles = await_until("the folder counted", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let count = metrics.count("picket_agent_source_troubles_total", &[("trouble", "not_a_file")]);
        Ok((count > 0).then_some(count))
    });
    troubles.context("a folder that matches a glob is counted")?;
    pair.finish(DEADLINE)
}

#[test]
fn file_that_shrinks_is_read_anew_and_the_loss_is_reported() -> anyhow::Result<()> {
    let pair = Pair::start("shrinks")?;
    let path = pair.logs().join("shrinks.log");
    LogFile::open(&path)?.write(b"one\ntwo\nthree\n")?;
    pair.await_lines(3, DEADLINE)?;
    std::fs::write(&path, b"new\n")?;
    // Four lines, and the news that something may have been missed.
    let rows = pair.await_lines(5, DEADLINE)?;
    let name = path.display().to_string();
    let lines: Vec<_> =
        lines_of(&rows, &name).iter().filter(|r| !r.raw_data.is_empty()).map(|r| r.raw_data.clone()).collect();
    assert_eq!(lines, [&b"one"[..], b"two", b"three", b"new"]);
    let losses: Vec<_> = rows.iter().filter(|row| row.class == "event_log_actvity").collect();
    assert_eq!(losses.len(), 1, "{rows:?}");
    let gaps = pair.aggregator.command(&["gaps", "--output", "ndjson"])?;
    assert!(gaps.contains("truncated"), "{gaps}");
    pair.finish(DEADLINE)
}
