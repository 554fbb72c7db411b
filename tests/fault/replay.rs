//! `kill -9` during a replay, at each of its steps and of its store's: it goes on by itself and has each event once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use picket_tests::harness::{Row, await_until, rows};
use serde_json::Value;

use crate::world::Side::{Agent, Aggregator};
use crate::world::{DEADLINE, World};

/// Points of the code and at which of their passings the aggregator dies; a replay's state is written three times, in
/// three steps each: when it begins, when its last cut is committed, and when it is over.
const DEATHS: [(&str, u64); 14] = [
    ("replay.state", 1),
    ("replay.state", 2),
    ("replay.state", 3),
    ("replay.state", 4),
    ("replay.state", 5),
    ("replay.state", 6),
    ("replay.state", 7),
    ("replay.state", 8),
    ("replay.state", 9),
    ("lake.write", 1),
    ("lake.sync", 1),
    ("lake.commit", 1),
    ("lake.rename", 1),
    ("lake.done", 1),
];

/// How often each event id occurs.
fn ids(rows: &[Row]) -> BTreeMap<&str, u32> {
    let mut ids = BTreeMap::new();
    rows.iter().for_each(|row| *ids.entry(row.uid.as_str()).or_default() += 1);
    ids
}

fn replays(world: &World) -> anyhow::Result<Vec<Value>> {
    let printed = world.aggregator.command(&["journal", "replay", "--output", "json"])?;
    serde_json::from_str(&printed).with_context(|| printed)
}

/// The replay that is over; a death may have come before it began.
fn finished(world: &World) -> anyhow::Result<Value> {
    if replays(world)?.is_empty() {
        world.aggregator.command(&["journal", "replay", "--to", "lake", "--detach"])?;
    }
    let over = await_until("the end of the replay", DEADLINE, || {
        let known = replays(world).unwrap_or_default();
        Ok(known.into_iter().find(|replay| replay["state"] == "finished"))
    });
    over.with_context(|| world.logs())
}

#[test]
fn replay_goes_on_after_every_death_and_has_each_event_once() -> anyhow::Result<()> {
    let mut world = World::start("replay-deaths", 701)?;
    for _ in 0..10 {
        world.write_all()?;
    }
    world.settle()?;
    world.await_quiet()?;
    world.down(Agent, false)?;
    let lake = world.aggregator.lake();
    for (point, passes) in DEATHS {
        // What the aggregator says itself is in it too: it is at rest only when it is down.
        world.down(Aggregator, false)?;
        world.arm(Aggregator, point, passes)?;
        // The answer may die with whoever gives it.
        let _ = world.aggregator.command(&["journal", "replay", "--to", "lake", "--detach"]);
        let died = await_until("the death", DEADLINE, || world.ended(Aggregator));
        let status = died.with_context(|| format!("{point}:{passes}; {}", world.logs()))?;
        println!("{point}:{passes}: {status}");
        world.down(Aggregator, true)?;
        world.up(Aggregator)?;
        let replay = finished(&world)?;
        let store = PathBuf::from(replay["store"].as_str().context("a store")?);
        let replayed = rows(&store)?;
        std::fs::remove_dir_all(&store).context("remove the replay's store")?;
        let live = rows(&lake)?;
        ensure!(ids(&replayed) == ids(&live), "{point}:{passes}: {} events of {}", replayed.len(), live.len());
        assert_eq!(replay["events"], live.len(), "{point}:{passes}: counted otherwise than made");
        world.down(Aggregator, false)?;
        std::fs::remove_dir_all(world.aggregator.state().join("replays")).context("forget the replay")?;
    }
    world.finish()
}
