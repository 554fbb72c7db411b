//! The journal as evidence: what was written down of it, elsewhere, finds out whoever changed it since.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use picket_tests::harness::{Aggregator, LogFile, Pair, Place, Programs, Seeded, copy_folder, fleet, numbered, rows};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(120);
/// Bytes of lines: with segments of 16 MiB several seals.
const BYTES: usize = 44 << 20;

/// `journal verify --against` by the real program: its exit code and rows.
fn verify(aggregator: &Aggregator, heads: &Path) -> anyhow::Result<(Option<i32>, Vec<Value>)> {
    let programs = Programs::of_this_build()?;
    let output = std::process::Command::new(&programs.aggregator)
        .args(["journal", "verify", "--output", "json", "--against"])
        .arg(heads)
        .arg("-c")
        .arg(aggregator.config())
        .output()?;
    let rows =
        serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((output.status.code(), rows))
}

fn segments(journal: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(journal)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let mut segments: Vec<PathBuf> =
        entries.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "seg")).collect();
    segments.sort();
    Ok(segments)
}

/// The verdicts about anchors of this kind, in order.
fn verdicts<'a>(rows: &'a [Value], kind: &str) -> Vec<&'a str> {
    let anchors = rows.iter().filter(|row| row["check"] == "anchors");
    let named = anchors.filter(|row| row["anchor"].as_str().is_some_and(|anchor| anchor.starts_with(kind)));
    named.filter_map(|row| row["verdict"].as_str()).collect()
}

#[test]
fn journal_that_somebody_changed_is_found_out_by_the_anchors_that_were_taken_before() -> anyhow::Result<()> {
    let mut seeded = Seeded::new(7);
    let place = Place::new("evidence")?;
    let fleet = fleet(&place.at("logs"), "");
    let journal = ("journal", "journal: { max_bytes: 256MiB, retain: 30d, block_interval: 500ms }");
    let pair = Pair::start_configured(place, &fleet, &[journal])?;
    // Lines that do not compress, so that segments fill.
    let lines: Vec<Vec<u8>> = (0..BYTES / 1_000)
        .map(|_| (0..990).map(|_| b'!' + u8::try_from(seeded.random.below(90)).unwrap_or(0)).collect())
        .collect();
    let lines = numbered(&lines, 0);
    let mut log = LogFile::open(&pair.logs().join("app.log"))?;
    log.write_lines(&lines)?;
    pair.await_lines(lines.len(), DEADLINE)?;
    let heads = pair.place().at("heads.json");
    // Beside the running aggregator, which goes on.
    std::fs::write(&heads, pair.aggregator.command(&["journal", "heads", "--output", "json"])?)?;
    let (code, rows) = verify(&pair.aggregator, &heads)?;
    assert_eq!(code, Some(0), "{rows:?}");
    let seals = verdicts(&rows, "seal").len();
    assert!(seals >= 2 && verdicts(&rows, "seal").iter().all(|verdict| *verdict == "intact"), "{rows:?}");
    log.write_lines(&numbered(&[b"after the anchors".to_vec()], lines.len()))?;
    pair.await_lines(lines.len() + 1, DEADLINE)?;
    tampered(pair, &heads, seals)
}

/// Stops both and changes the journal in every way.
fn tampered(mut pair: Pair, heads: &Path, seals: usize) -> anyhow::Result<()> {
    pair.await_quiet(DEADLINE)?;
    let lake = rows(&pair.aggregator.lake())?;
    let copies = lake.iter().filter(|row| row.unmapped.contains("\"signed\"")).count();
    let said: Vec<&str> = lake.iter().map(|row| row.unmapped.as_str()).filter(|said| !said.is_empty()).collect();
    assert_eq!(copies, seals, "copies of seals in the lake; what agents and aggregator said: {said:?}");
    pair.agent.stop()?;
    pair.aggregator.stop()?;
    let journal = pair.aggregator.state().join("journal");
    let (code, rows) = verify(&pair.aggregator, heads)?;
    assert_eq!((code, verdicts(&rows, "end")), (Some(0), vec!["intact"]), "{rows:?}");
    let whole = pair.place().at("whole");
    copy_folder(&journal, &whole)?;
    let restore = || -> anyhow::Result<()> {
        std::fs::remove_dir_all(&journal)?;
        copy_folder(&whole, &journal)
    };

    // One byte of an old line.
    let first = segments(&journal)?.remove(0);
    let mut bytes = std::fs::read(&first)?;
    let middle = bytes.len() / 2;
    bytes.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 1);
    std::fs::write(&first, bytes)?;
    let (code, rows) = verify(&pair.aggregator, heads)?;
    assert_eq!((code, verdicts(&rows, "seal").first().copied()), (Some(65), Some("altered")), "{rows:?}");
    restore()?;

    // The oldest segment.
    std::fs::remove_file(&first)?;
    let (code, rows) = verify(&pair.aggregator, heads)?;
    assert_eq!((code, verdicts(&rows, "seal").first().copied()), (Some(65), Some("removed")), "{rows:?}");
    restore()?;

    // The newest.
    std::fs::remove_file(segments(&journal)?.pop().context("a journal has segments")?)?;
    let (code, rows) = verify(&pair.aggregator, heads)?;
    assert_eq!((code, verdicts(&rows, "end")), (Some(65), vec!["cut"]), "{rows:?}");
    restore()?;

    // As it was; and it goes on.
    assert_eq!(verify(&pair.aggregator, heads)?.0, Some(0));
    pair.aggregator.start()?;
    pair.agent.start()?;
    pair.finish(DEADLINE)
}
