//! An agent holds itself within what it may use of its host, says so, and loses nothing by it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use picket_tests::harness::{LogFile, Pair, Place, Random, Row, await_until, rows};
use serde_json::Value;
use xtask::loopback::pause;

const DEADLINE: Duration = Duration::from_secs(180);
/// How long use is measured.
const WINDOW: Duration = Duration::from_secs(10);

/// A fleet file with these limits and a source for each lane.
fn fleet(logs: &Path, limits: &str) -> String {
    let source = |lane: &str| {
        format!("    {lane}: {{ type: file, include: [\"{}/{lane}*.log\"], lane: {lane} }}\n", logs.display())
    };
    let sources: String = ["high", "normal", "bulk"].map(source).concat();
    format!("version: 1\ndefaults:\n  limits: {limits}\n  sources:\n{sources}")
}

/// Writes a file with numbered lines of so many bytes, of which zstd finds little, and gives it its name when it is whole.
fn write_backlog(path: &Path, lines: usize, line_bytes: usize) -> anyhow::Result<()> {
    // No two begin alike: else they are copies of one file.
    let mut random = Random::new(path.as_os_str().as_encoded_bytes().iter().map(|byte| u64::from(*byte)).sum());
    let unfinished = path.with_extension("unfinished");
    let mut file = LogFile::open(&unfinished)?;
    for first in (0..lines).step_by(256) {
        let line = |number: usize| {
            let bytes = |bits: u64| bits.to_le_bytes().map(|byte| b'!' + byte % 94);
            let mut line = format!("line {number} ").into_bytes();
            line.extend((0..line_bytes / 8).flat_map(|_| bytes(random.bits())));
            line
        };
        file.write_lines(&(first..lines.min(first + 256)).map(line).collect::<Vec<_>>())?;
    }
    std::fs::rename(&unfinished, path).with_context(|| format!("name {}", path.display()))
}

/// The numbers of the lines in the lake that came from files of this name, each once.
fn numbers(rows: &[Row], name: &str) -> anyhow::Result<BTreeSet<usize>> {
    let of_name = |row: &&Row| Path::new(&row.log_name).file_name().is_some_and(|found| found == name);
    let mut numbers = BTreeSet::new();
    for row in rows.iter().filter(of_name) {
        let number = row.raw_data.split(|byte| *byte == b' ').nth(1).and_then(|word| std::str::from_utf8(word).ok());
        let number = number.and_then(|word| word.parse().ok()).context("a line without its number")?;
        ensure!(numbers.insert(number), "line {number} came twice");
    }
    Ok(numbers)
}

/// Waits until the agent gives way for a resource as far as `step`, or as little as that.
fn await_step(pair: &Pair, resource: &str, what: &str, is: impl Fn(u64) -> bool) -> anyhow::Result<()> {
    Ok(await_until(what, DEADLINE, || {
        let step = pair.agent.metrics()?.count("picket_agent_limits_step", &[("resource", resource)]);
        pause(Duration::from_millis(200));
        Ok(is(step).then_some(()))
    })?)
}

/// What the agent said of its limits, as it stands in the lake: the steps, in their order.
fn steps_said(pair: &Pair) -> anyhow::Result<Vec<u64>> {
    let mut said: Vec<(i64, u64)> = Vec::new();
    for row in rows(&pair.aggregator.lake())? {
        let unmapped: Value = serde_json::from_str(&row.unmapped).unwrap_or_default();
        if unmapped.pointer("/picket/record").is_some_and(|kind| kind == "limits") {
            said.push((
                row.sequence,
                unmapped.get("step").and_then(Value::as_u64).with_context(|| format!("no step: {unmapped}"))?,
            ));
        }
    }
    said.sort_unstable();
    Ok(said.into_iter().map(|(_, step)| step).collect())
}

fn await_said(pair: &Pair, what: &str, is: impl Fn(&[u64]) -> bool) -> anyhow::Result<Vec<u64>> {
    let found = await_until(what, DEADLINE, || {
        let said = steps_said(pair).unwrap_or_default();
        pause(Duration::from_millis(200));
        Ok(is(&said).then_some(said))
    });
    found.with_context(|| format!("said: {:?}", steps_said(pair).unwrap_or_default()))
}

#[test]
fn processor_time_is_held_nothing_is_lost_and_another_limit_takes_force_at_once() -> anyhow::Result<()> {
    const LINES: usize = 48 << 10;
    let place = Place::new("limits-cpu")?;
    let logs = place.at("logs");
    let pair = Pair::start_steered(place, &fleet(&logs, "{ cpu_percent: 5, memory: 1GiB }"))?;
    write_backlog(&logs.join("normal.log"), LINES, 1_024)?;
    await_step(&pair, "cpu", "reading to be slowed", |step| step == 4)?;
    let read = || -> anyhow::Result<u64> {
        Ok(pair.agent.metrics()?.count("picket_agent_source_records_total", &[("source", "normal")]))
    };
    let (before, begun, used) = (read()?, Instant::now(), pair.agent.usage()?.cpu_seconds);
    pause(WINDOW);
    let (used, passed) = (pair.agent.usage()?.cpu_seconds - used, begun.elapsed().as_secs_f64());
    let after = read()?;
    let percent = used * 100.0 / passed;
    println!("{percent:.1} % of a core where 5 are allowed; {} lines in {passed:.1} s", after - before);
    assert!(percent <= 6.0, "{percent:.1} %");
    assert!(before < after && after < LINES as u64, "{before} to {after} lines: it reads, and has not read all");

    // Both ends show it.
    let shown = pair.aggregator.command(&["agents", "show", "web-1", "--output", "json"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    assert_eq!(shown[0]["gives_way"], "all_slowed for want of cpu", "{shown:#}");
    let status = pair.agent.command(&["status"])?;
    assert!(status.contains("all reading is slowed"), "{status}");

    pair.aggregator.set_fleet(&fleet(&logs, "{ memory: 1GiB }"))?;
    let changed = Instant::now();
    let rows = pair.await_lines(LINES, DEADLINE)?;
    println!("the rest took {:?}", changed.elapsed());
    assert_eq!(numbers(&rows, "normal.log")?.len(), LINES, "lines were lost");
    assert_eq!(read()?, LINES as u64, "the source was not started again: it counts from its start");
    let said = await_said(&pair, "the end to be said", |said| said.last() == Some(&0))?;
    assert_eq!(said, [4, 0]);
    pair.finish(DEADLINE)
}

#[test]
fn bandwidth_is_held_and_lane_high_goes_first() -> anyhow::Result<()> {
    const LINES: usize = 12 << 10;
    const RATE: f64 = 256.0 * 1024.0;
    let place = Place::new("limits-bandwidth")?;
    let logs = place.at("logs");
    let pair = Pair::start_steered(place, &fleet(&logs, "{ bandwidth: 256KiB/s, memory: 1GiB }"))?;
    let mut high = LogFile::open(&logs.join("high.log"))?;
    write_backlog(&logs.join("bulk.log"), LINES, 1_024)?;
    await_step(&pair, "bandwidth", "bulk to wait", |step| step == 1)?;
    // Lines of high beside the backlog of bulk; what the aggregator takes meanwhile.
    let taken =
        || -> anyhow::Result<f64> { Ok(pair.aggregator.metrics()?.sum("picket_aggregator_ingest_bytes_total", &[])) };
    let acked = || -> xtask::Result<u64> {
        Ok(pair.agent.metrics()?.count("picket_agent_books_records", &[("lane", "high"), ("entry", "acked")]))
    };
    let (begun, before, mut slowest) = (Instant::now(), taken()?, Duration::ZERO);
    while begun.elapsed() < 2 * WINDOW {
        let (written, known) = (Instant::now(), acked()?);
        high.write(b"urgent\n")?;
        await_until("the line of high to be acked", DEADLINE, || Ok((acked()? > known).then_some(())))?;
        slowest = slowest.max(written.elapsed());
        pause(Duration::from_millis(500));
    }
    let (passed, bytes) = (begun.elapsed().as_secs_f64(), taken()? - before);
    let share = bytes / passed / RATE;
    println!("{:.1} % of the rate over {passed:.1} s; the slowest line of high took {slowest:?}", share * 100.0);
    let left = pair.agent.metrics()?.count("picket_agent_books_records", &[("lane", "bulk"), ("entry", "spooled")]);
    assert!(left > 0, "bulk is through: nothing was measured");
    assert!((0.85..=1.1).contains(&share), "{share:.3} of the rate");
    assert!(slowest < Duration::from_secs(5), "a line of high waited {slowest:?}");

    pair.aggregator.set_fleet(&fleet(&logs, "{ memory: 1GiB }"))?;
    let rows = pair.await_lines(LINES, DEADLINE)?;
    assert_eq!(numbers(&rows, "bulk.log")?.len(), LINES, "lines were lost");
    let said = await_said(&pair, "the end to be said", |said| said.last() == Some(&0))?;
    assert_eq!(said.first(), Some(&1), "{said:?}");
    pair.finish(DEADLINE)
}

#[test]
fn memory_is_given_way_for_said_and_the_books_add_up() -> anyhow::Result<()> {
    const LINES: usize = 16 << 10;
    let place = Place::new("limits-memory")?;
    let logs = place.at("logs");
    // Less than a debug build takes with a backlog on all lanes.
    let pair = Pair::start_steered(place, &fleet(&logs, "{ memory: 32MiB }"))?;
    for lane in ["high", "normal", "bulk"] {
        write_backlog(&logs.join(format!("{lane}.log")), LINES / 3, 1_024)?;
    }
    await_step(&pair, "memory", "memory to be scarce", |step| step > 0)?;
    let count = LINES / 3 * 3;
    let rows = pair.await_lines(count, DEADLINE)?;
    for lane in ["high", "normal", "bulk"] {
        assert_eq!(numbers(&rows, &format!("{lane}.log"))?.len(), LINES / 3, "lines of {lane} were lost");
    }
    println!("resident: {} MiB at most", pair.agent.usage()?.resident_bytes_peak >> 20);
    pair.aggregator.set_fleet(&fleet(&logs, "{ memory: 1GiB }"))?;
    let said = await_said(&pair, "the end to be said", |said| said.last() == Some(&0))?;
    assert!(said[0] > 0, "{said:?}");
    pair.finish(DEADLINE)
}
