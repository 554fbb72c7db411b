//! Killed at many moments, an aggregator's sinks hold what one that was never killed writes from the same journal.

use std::path::Path;

use anyhow::ensure;
use picket_tests::harness::{LogFile, Seeded, assert_books, await_until};
use xtask::Failure;

use super::DEADLINE;
use super::world::{DROPPED, ROUND, World, by_uid, by_uid_at_least_once, lines, of_file, of_lake, of_logs, weight};

/// Where it is killed: while it journals, while each of the sinks commits.
const POINTS: [&str; 7] = [
    "journal.committed:9",
    "ndjson.written:4",
    "ndjson.synced:3",
    "sink.cursor:7",
    "lake.commit:3",
    "lake.rename:5",
    "lake.done:3",
];

/// Starts the aggregator, and writes until it has died at the point.
fn die_at(world: &mut World, point: &str, log: &mut LogFile, written: &mut usize) -> anyhow::Result<()> {
    let aggregator = &mut world.pair.aggregator;
    aggregator.set_env("PICKET_FAULT", point);
    // It may die before it answers.
    if let Err(failure) = aggregator.start() {
        ensure!(aggregator.ended()?.is_some(), "{failure}");
    }
    await_until(&format!("the death at {point}"), DEADLINE, || {
        if aggregator.ended()?.is_some() {
            return Ok(Some(()));
        }
        *written += 1;
        log.write(&lines(1).concat()).map_err(|error| Failure::new(format!("{error:#}")))?;
        Ok(None)
    })?;
    aggregator.await_end(DEADLINE)?;
    aggregator.set_env("PICKET_FAULT", "");
    Ok(())
}

#[test]
fn sinks_of_an_aggregator_that_is_killed_hold_what_one_without_a_crash_writes() -> anyhow::Result<()> {
    let mut seeded = Seeded::new(71);
    let mut world = World::start("reduce-crashes")?;
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    let mut written = 0;
    world.pair.aggregator.kill()?;
    for point in POINTS {
        die_at(&mut world, point, &mut log, &mut written)?;
    }
    for _ in 0..3 {
        world.pair.aggregator.start()?;
        let some = 1 + seeded.random.below(4);
        await_until("a few commits", DEADLINE, || {
            written += 1;
            log.write(&lines(1).concat()).map_err(|error| Failure::new(format!("{error:#}")))?;
            Ok((world.pair.aggregator.metrics()?.sum("picket_aggregator_sink_commits_total", &[]) >= some as f64)
                .then_some(()))
        })?;
        world.pair.aggregator.kill()?;
    }
    world.pair.aggregator.start()?;
    assert_books(&world.await_delivered(written * ROUND)?);
    let killed = (of_lake(&world.pair.aggregator.lake())?, of_file(&world.file())?);
    let expected = (written * (ROUND - DROPPED)) as u64;
    assert_eq!((weight(&killed.0), weight(&killed.1)), (expected, expected), "{written} rounds");
    let posted = world.server.events().len();

    // The same journal from its begin, into other stores.
    world.pair.aggregator.stop()?;
    std::fs::remove_dir_all(world.pair.aggregator.state().join("cursors"))?;
    let yaml = std::fs::read_to_string(world.pair.aggregator.config())?;
    let yaml = yaml.replace("path: lake,", "path: lake2,").replace("path: events.ndjson,", "path: events2.ndjson,");
    std::fs::write(world.pair.aggregator.config(), yaml)?;
    world.pair.aggregator.start()?;
    world.pair.await_quiet(DEADLINE)?;
    let beside = |name: &str| world.pair.aggregator.folder().join(name);
    let whole = (of_lake(&beside("lake2"))?, of_file(&beside("events2.ndjson"))?);
    assert_same("lake", &beside("lake2"), killed.0, whole.0);
    assert_same("file", &beside("events2.ndjson"), killed.1, whole.1);
    // The server got all of it a second time, and each event as it was.
    let events = of_logs(world.server.events());
    assert!(world.server.events().len() > posted);
    assert_eq!(weight(&by_uid_at_least_once(events).into_values().collect::<Vec<_>>()), (written * 8) as u64);
    world.pair.finish(DEADLINE)
}

#[track_caller]
fn assert_same(name: &str, place: &Path, killed: Vec<serde_json::Value>, whole: Vec<serde_json::Value>) {
    let (killed, whole) = (by_uid(killed), by_uid(whole));
    for (uid, event) in &whole {
        assert_eq!(killed.get(uid), Some(event), "{name}: {uid} of {}", place.display());
    }
    assert_eq!(killed.len(), whole.len(), "{name}");
}
