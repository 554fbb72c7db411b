//! History goes through the pipeline again, into a store of its own, and nothing that runs notices.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use picket_tests::harness::{LogFile, Pair, rows};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn printed(pair: &Pair, arguments: &[&str]) -> anyhow::Result<Value> {
    let text = pair.aggregator.command(&[arguments, &["--output", "json"]].concat())?;
    let rows: Vec<Value> = serde_json::from_str(&text).with_context(|| text.clone())?;
    rows.into_iter().next().context(text)
}

#[test]
fn replay_makes_the_same_events_beside_the_lake_and_leaves_its_cursor() -> anyhow::Result<()> {
    let pair = Pair::start("replay")?;
    let lines: Vec<Vec<u8>> = (0..500).map(|n| format!("app: line {n}").into_bytes()).collect();
    LogFile::open(&pair.logs().join("app.log"))?.write_lines(&lines)?;
    let live = pair.await_lines(lines.len(), DEADLINE)?;
    pair.await_quiet(DEADLINE)?;
    let cursor = |pair: &Pair| printed(pair, &["journal", "stat"]).map(|stat| stat["sinks"][0]["cursor"].clone());
    let before = cursor(&pair)?;

    let replay = printed(&pair, &["journal", "replay", "--to", "lake", "--agent", "host-1"])?;
    assert_eq!(replay["state"], "finished");
    let store = replay["store"].as_str().context("a store")?;
    assert!(store.starts_with(&format!("{}/replay=", pair.aggregator.lake().display())), "{store}");
    let mut replayed = rows(Path::new(store))?;
    let mut live = live;
    replayed.retain(|row| Path::new(&row.log_name).starts_with(pair.logs()));
    replayed.sort();
    live.sort();
    assert!(replayed == live, "{} events were replayed, {} are in the lake", replayed.len(), live.len());
    assert_eq!(cursor(&pair)?, before, "the live sink's cursor moved");

    // A span of time without frames gives a replay without events.
    let nothing = printed(&pair, &["journal", "replay", "--to", "lake", "--until", "2020-01-01"])?;
    assert_eq!((&nothing["state"], &nothing["events"]), (&"finished".into(), &0.into()));
    let refused = pair.aggregator.command(&["journal", "replay", "--to", "attic"]).unwrap_err().to_string();
    assert!(refused.contains("there is no sink 'attic' (there are: lake)"), "{refused}");
    std::fs::remove_dir_all(store)?;
    pair.finish(DEADLINE)
}
