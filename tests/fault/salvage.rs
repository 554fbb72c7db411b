//! A spool or a journal whose disk was unkind while nobody looked: its program starts by itself, what still reads arrives,
//! and what does not is said: offline, in the books, on the wire, in `gaps` and as an event.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use picket_tests::harness::{LogFile, Pair, Place, Random, Row, Seeded, assert_books, await_until, rows};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(120);
/// Some four segments of a spool of the smallest size: hexadecimal digits take half a byte at best.
const LINES: usize = 24_000;

/// What a disk, or a hand, does to a segment between others.
type Harm = fn(&Path, &mut Random) -> anyhow::Result<()>;

fn overwrite(path: &Path, random: &mut Random, bytes: &[u8]) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let at = file.metadata()?.len() / 4 + random.below(file.metadata()?.len() / 4);
    Ok(file.write_all_at(bytes, at)?)
}

fn flip_a_byte(path: &Path, random: &mut Random) -> anyhow::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let at = file.metadata()?.len() / 4 + random.below(file.metadata()?.len() / 4);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(file.write_all_at(&[byte[0] ^ 0x10], at)?)
}

fn zero_a_page(path: &Path, random: &mut Random) -> anyhow::Result<()> {
    overwrite(path, random, &[0; 4096])
}

fn truncate(path: &Path, _: &mut Random) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    Ok(file.set_len(file.metadata()?.len() / 2)?)
}

fn remove(path: &Path, _: &mut Random) -> anyhow::Result<()> {
    Ok(std::fs::remove_file(path)?)
}

/// The segments of the lane, oldest first.
fn segments(spool: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(spool).with_context(|| format!("list {}", spool.display()))?;
    let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

/// Lines that do not compress well, numbered.
fn lines(random: &mut Random) -> Vec<Vec<u8>> {
    let line = |number: usize| {
        let hex: String = (0..14).map(|_| format!("{:016x}", random.below(u64::MAX))).collect();
        format!("{number:08} {hex}").into_bytes()
    };
    (0..LINES).map(line).collect()
}

/// A pair with a spool of the smallest size.
fn pair(name: &str) -> anyhow::Result<Pair> {
    let place = Place::new(name)?;
    let logs = place.at("logs");
    let source = format!("    logs: {{ type: file, include: [\"{}/*.log\"], lane: high }}\n", logs.display());
    let fleet = format!("version: 1\ndefaults:\n  spool: {{ max_bytes: 32MiB }}\n  sources:\n{source}");
    Pair::start_with(place, &fleet)
}

/// Waits until an entry of the agent's books counts so many records.
fn await_entry(pair: &Pair, entry: &str, count: usize) -> anyhow::Result<()> {
    let all = await_until(&format!("{count} records {entry}"), DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        Ok((metrics.count("picket_agent_books_records", &[("entry", entry)]) >= count as u64).then_some(()))
    });
    all.with_context(|| pair.agent.log().display().to_string())
}

/// A pair whose agent has spooled every line and is down, and the lines; the aggregator is down too.
fn spooled(name: &str, random: &mut Random) -> anyhow::Result<(Pair, Vec<Vec<u8>>)> {
    let mut pair = pair(name)?;
    pair.aggregator.stop()?;
    let lines = lines(random);
    LogFile::open(&pair.logs().join("app.log"))?.write_lines(&lines)?;
    await_entry(&pair, "spooled", LINES)?;
    pair.agent.stop()?;
    Ok((pair, lines))
}

/// What has come of the lines: each once, in order. How many have not.
fn missing(rows: &[Row], logs: &Path, lines: &[Vec<u8>]) -> anyhow::Result<usize> {
    let of_file = rows.iter().filter(|row| Path::new(&row.log_name).starts_with(logs));
    let mut came: Vec<(i64, &[u8])> = of_file.map(|row| (row.sequence, row.raw_data.as_slice())).collect();
    came.sort_unstable();
    let distinct: BTreeSet<&[u8]> = came.iter().map(|(_, line)| *line).collect();
    ensure!(distinct.len() == came.len(), "{} lines came twice", came.len() - distinct.len());
    let expected: Vec<&[u8]> = lines.iter().map(Vec::as_slice).filter(|line| distinct.contains(line)).collect();
    ensure!(expected.len() == came.len(), "lines came that nobody wrote");
    ensure!(came.iter().map(|(_, line)| *line).eq(expected), "lines came in another order");
    Ok(lines.len() - came.len())
}

/// How many records `gaps` has of a kind.
fn in_gaps(pair: &Pair, kind: &str) -> anyhow::Result<u64> {
    let gaps: Vec<Value> = serde_json::from_str(&pair.aggregator.command(&["gaps", "--output", "json"])?)?;
    Ok(gaps.iter().filter(|row| row["kind"] == kind).filter_map(|row| row["records"].as_u64()).sum())
}

/// How many records the events about losses for a reason are about.
fn told(rows: &[Row], reason: &str) -> anyhow::Result<u64> {
    let mut told = 0;
    for row in rows.iter().filter(|row| row.unmapped.contains("\"records\"") && row.status_detail == reason) {
        told += serde_json::from_str::<Value>(&row.unmapped)?["records"].as_u64().unwrap_or(0);
    }
    Ok(told)
}

/// Both run again, all that can come has come. How many lines did not.
fn salvaged(mut pair: Pair, lines: &[Vec<u8>]) -> anyhow::Result<usize> {
    pair.aggregator.start()?;
    pair.agent.start()?;
    let metrics = await_until("all that can come", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let of = |entry: &str| metrics.count("picket_agent_books_records", &[("entry", entry)]);
        Ok((of("spooled") + of("held") == 0 && of("acked") > 0).then_some(()))
    });
    metrics.with_context(|| pair.agent.log().display().to_string())?;
    let metrics = pair.await_quiet(DEADLINE)?;
    assert_books(&metrics);
    let rows = rows(&pair.aggregator.lake())?;
    let lost = missing(&rows, &pair.logs(), lines)?;
    let said = metrics.count("picket_agent_spool_dropped_records_total", &[("reason", "damage")]);
    assert_eq!(said, lost as u64, "the agent's books");
    let on_the_wire = metrics.count("picket_aggregator_books_chain_records", &[("entry", "lost")]);
    assert_eq!(on_the_wire, lost as u64, "the aggregator's books");
    assert_eq!(in_gaps(&pair, "lost")?, lost as u64, "gaps");
    assert_eq!(told(&rows, "damage")?, lost as u64, "the events");
    pair.finish(DEADLINE)?;
    Ok(lost)
}

fn harmed(name: &str, seed: u64, harm: Harm) -> anyhow::Result<()> {
    let mut seeded = Seeded::new(seed);
    let (pair, lines) = spooled(name, &mut seeded.random)?;
    let spool = pair.agent.state().join("spool/high");
    let found = segments(&spool)?;
    ensure!(found.len() >= 3, "segments: {found:?}");
    harm(&found[1], &mut seeded.random)?;
    let verdict = pair.agent.command(&["spool", "verify"]).err().map(|failure| failure.to_string());
    ensure!(verdict.is_some(), "spool verify calls a harmed spool whole");
    let lost = salvaged(pair, &lines)?;
    println!("{lost} of {LINES} lines are lost");
    ensure!(lost > 0 && lost < LINES / 2, "{lost} of {LINES} lines are lost");
    Ok(())
}

#[test]
fn flipped_byte_costs_its_frame() -> anyhow::Result<()> {
    harmed("salvage-flip", 801, flip_a_byte)
}

#[test]
fn zeroed_page_costs_the_frames_that_it_touches() -> anyhow::Result<()> {
    harmed("salvage-zero", 802, zero_a_page)
}

#[test]
fn truncated_segment_costs_what_was_cut() -> anyhow::Result<()> {
    harmed("salvage-cut", 803, truncate)
}

#[test]
fn missing_segment_costs_its_frames() -> anyhow::Result<()> {
    harmed("salvage-missing", 804, remove)
}

#[test]
fn full_quarantine_keeps_nobody_from_starting() -> anyhow::Result<()> {
    harmed("salvage-quarantine", 805, |path, random| {
        let lane = path.parent().context("a lane")?;
        let quarantine = lane.join("quarantine");
        std::fs::create_dir_all(&quarantine)?;
        // Its bound is a 64th of `max_bytes`.
        std::fs::write(quarantine.join("older.bin"), vec![0x5a; 512 << 10])?;
        zero_a_page(path, random)
    })
}

#[test]
fn foreign_files_cost_nothing() -> anyhow::Result<()> {
    let mut seeded = Seeded::new(806);
    let (pair, lines) = spooled("salvage-foreign", &mut seeded.random)?;
    let spool = pair.agent.state().join("spool/high");
    let found = segments(&spool)?;
    // Somebody's notes, a copy under another name, and a segment of no log at the place of one to come.
    std::fs::write(spool.join("notes.txt"), "do not delete")?;
    std::fs::copy(&found[0], spool.join("copy-of-a-segment"))?;
    let lost = salvaged(pair, &lines)?;
    ensure!(lost == 0, "{lost} lines are lost");
    Ok(())
}

/// The harm comes between the ack and the commit of the lake: what it costs is nowhere else.
fn harmed_journal(name: &str, seed: u64, harm: Harm) -> anyhow::Result<()> {
    let mut seeded = Seeded::new(seed);
    let mut pair = pair(name)?;
    let lake = |commit: &str| format!("sinks: {{ lake: {{ type: parquet, path: lake, commit_interval: {commit} }} }}");
    pair.aggregator.stop()?;
    pair.aggregator.configure("sinks", &lake("1h"))?;
    pair.aggregator.start()?;
    let lines = lines(&mut seeded.random);
    let mut log = LogFile::open(&pair.logs().join("app.log"))?;
    log.write_lines(&lines)?;
    await_entry(&pair, "acked", LINES)?;
    // Only what a later commit follows is known to have been committed; the end of a log may be a torn tail.
    let last = [lines.clone(), vec![b"one more".to_vec()]].concat();
    log.write_lines(&last[LINES..])?;
    await_entry(&pair, "acked", LINES + 1)?;
    let lines = last;
    pair.aggregator.kill()?;
    let segment = segments(&pair.aggregator.state().join("journal"))?;
    harm(segment.first().context("a segment")?, &mut seeded.random)?;
    ensure!(pair.aggregator.command(&["journal", "verify"]).is_err(), "journal verify calls a harmed journal whole");

    pair.aggregator.configure("sinks", &lake("500ms"))?;
    pair.aggregator.start()?;
    let metrics = pair.await_quiet(DEADLINE)?;
    assert_books(&metrics);
    let rows = rows(&pair.aggregator.lake())?;
    let lost = missing(&rows, &pair.logs(), &lines)?;
    println!("{lost} of {LINES} lines are lost");
    ensure!(lost > 0 && lost < LINES / 2, "{lost} of {LINES} lines are lost");
    let said = metrics.count("picket_aggregator_books_records", &[("entry", "journal_damage")]);
    assert_eq!((said, in_gaps(&pair, "hole")?), (lost as u64, lost as u64), "the books, and gaps");
    assert_eq!(told(&rows, "journal_damage")?, lost as u64, "the events");
    pair.finish(DEADLINE)
}

#[test]
fn flipped_byte_of_the_journal_costs_its_frame() -> anyhow::Result<()> {
    harmed_journal("salvage-journal-flip", 811, |path, random| {
        // Past its state, before what was preallocated.
        let bytes = std::fs::read(path)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).context("an empty segment")? as u64;
        let at = end / 4 + random.below(end / 4);
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(file.write_all_at(&[bytes[usize::try_from(at)?] ^ 0x10], at)?)
    })
}

#[test]
fn zeroed_page_of_the_journal_costs_the_frames_that_it_touches() -> anyhow::Result<()> {
    harmed_journal("salvage-journal-zero", 812, |path, random| {
        let bytes = std::fs::read(path)?;
        let end = bytes.iter().rposition(|byte| *byte != 0).context("an empty segment")? as u64;
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(file.write_all_at(&[0; 4096], end / 4 + random.below(end / 4))?)
    })
}
