//! What a store refuses lies among the dead letters until somebody decides.

use std::path::Path;

use picket_tests::harness::{LogFile, Pair, assert_books, await_until};
use serde_json::Value;

use super::DEADLINE;
use super::world::{ROUND, World, lines, of_logs, weight};

fn rows(pair: &Pair, arguments: &[&str]) -> anyhow::Result<Vec<Value>> {
    let text = pair.aggregator.command(&[arguments, &["--output", "json"]].concat())?;
    Ok(serde_json::from_str(&text)?)
}

fn poison(number: usize) -> Vec<u8> {
    format!("Jan  5 10:05:00 web1 app[9]: poison number {number}\n").into_bytes()
}

#[test]
fn events_that_a_server_refuses_are_listed_offered_again_and_thrown_away() -> anyhow::Result<()> {
    let mut world = World::start("letters")?;
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    world.server.refuse(Some("poison"));
    let mut expected = 0;
    for number in 0..7 {
        log.write(&[lines(3).concat(), poison(number)].concat())?;
        expected += 3 * ROUND + 1;
    }
    let metrics = world.await_delivered(expected)?;
    assert_books(&metrics);
    let entry =
        |entry: &str| metrics.count("picket_aggregator_books_sink_events", &[("sink", "siem"), ("entry", entry)]);
    assert_eq!(entry("rejected"), 7);
    assert_eq!(weight(&of_logs(world.server.events())), 7 * 3 * 8, "those beside them were taken, each once");

    let listed = rows(&world.pair, &["dlq", "list"])?;
    assert_eq!(listed.len(), 1, "the lake and the file refuse nothing");
    assert_eq!(
        (&listed[0]["sink"], &listed[0]["letters"], &listed[0]["damaged"]),
        (&"siem".into(), &7.into(), &0.into())
    );
    let reason = listed[0]["last_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("400") && reason.contains("no such field"), "{reason}");
    let refused = world.pair.aggregator.command(&["dlq", "purge", "lake"]).unwrap_err().to_string();
    assert!(refused.contains("no sink 'lake' keeps dead letters (those that do: siem)"), "{refused}");

    // Offered again while the server still refuses them, then when it takes them; the aggregator was killed in between.
    replay(&world, 7)?;
    assert_eq!(rows(&world.pair, &["dlq", "list"])?[0]["letters"], 7);
    world.server.refuse(None);
    world.pair.aggregator.kill()?;
    assert_eq!(rows(&world.pair, &["dlq", "replay", "siem"])?[0]["replaying"], 7);
    world.pair.aggregator.start()?;
    taken(&world, 7)?;
    assert_eq!(rows(&world.pair, &["dlq", "list"])?[0]["letters"], 0);

    world.server.refuse(Some("poison"));
    log.write(&[lines(1).concat(), poison(8)].concat())?;
    await_until("another letter", DEADLINE, || {
        Ok(letters(&world.pair.aggregator.state()).is_some_and(|n| n == 1).then_some(()))
    })?;
    assert_eq!(rows(&world.pair, &["dlq", "purge", "siem"])?[0]["purged"], 1);
    assert_eq!(rows(&world.pair, &["dlq", "list"])?[0]["letters"], 0);
    world.pair.finish(DEADLINE)
}

fn letters(state: &Path) -> Option<usize> {
    Some(std::fs::read_to_string(state.join("dlq/siem.ndjson")).ok()?.lines().count())
}

/// Asks for `count` letters to be offered again, and waits until they were, though nothing else comes.
fn replay(world: &World, count: u64) -> anyhow::Result<()> {
    let told = rows(&world.pair, &["dlq", "replay", "siem"])?;
    assert_eq!(told.first().and_then(|row| row["replaying"].as_u64()), Some(count));
    await_until("the letters offered", DEADLINE, || {
        Ok((!world.pair.aggregator.state().join("dlq/siem.replay").exists()).then_some(()))
    })?;
    Ok(())
}

/// Waits until the server has taken `count` events that it refused at first.
fn taken(world: &World, count: usize) -> anyhow::Result<()> {
    await_until("the letters taken", DEADLINE, || {
        let events = world.server.events();
        let poisons =
            events.iter().filter(|event| event["message"].as_str().is_some_and(|text| text.contains("poison")));
        let gone = !world.pair.aggregator.state().join("dlq/siem.replay").exists();
        Ok((gone && poisons.count() == count).then_some(()))
    })?;
    Ok(())
}
