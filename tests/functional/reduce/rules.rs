//! What comes out of the sinks is what the rules say, the books balance, and no secret is anywhere.

use serde_json::Value;

use super::DEADLINE;
use super::world::{DROPPED, ROUND, SECRETS, World, files_below, lines, of_file, of_lake, of_logs, weight};
use picket_tests::harness::{LogFile, assert_books};

const ROUNDS: usize = 20;

#[track_caller]
fn assert_without_secrets(place: &str, bytes: &[u8]) {
    for secret in SECRETS {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        let around = found.map(|at| {
            String::from_utf8_lossy(bytes.get(at.saturating_sub(300)..at + secret.len()).unwrap_or_default())
                .into_owned()
        });
        assert_eq!(around, None, "{place} holds a secret");
    }
}

fn text<'e>(event: &'e Value, pointer: &str) -> &'e str {
    event.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn events_are_dropped_redacted_merged_and_routed_and_no_secret_is_left() -> anyhow::Result<()> {
    let world = World::start("reduce")?;
    let aggregator = &world.pair.aggregator;
    world.server.refuse(Some("poison"));
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    for round in lines(ROUNDS).chunks(ROUND * 4) {
        log.write(&round.concat())?;
        log.write(b"Jan  5 10:05:00 web1 app[9]: poison, paid with 4111 1111 1111 1111\n")?;
    }
    let poisons = ROUNDS / 4;
    // A secret in the name of a log, which all events of it have in common.
    let named = world.pair.logs().join(format!("{}.log", SECRETS[1]));
    LogFile::open(&named)?.write(b"Jan  5 10:06:00 web1 app[9]: of a log with a name\n")?;
    let metrics = world.await_delivered(ROUNDS * ROUND + poisons + 1)?;
    assert_books(&metrics);

    let (lake, file) = (of_lake(&aggregator.lake())?, of_file(&world.file())?);
    let expected = (ROUNDS * (ROUND - DROPPED) + 1) as u64;
    assert_eq!((weight(&lake), weight(&file)), (expected, expected));
    assert!(lake.len() < ROUNDS * (ROUND - DROPPED) - ROUNDS, "{} events are not merged", lake.len());
    for events in [&lake, &file] {
        assert!(!events.iter().any(|event| text(event, "/http_request/user_agent").starts_with("kube-probe")));
        assert!(
            events.iter().any(|event| text(event, "/src_endpoint/zone") == "scanners"),
            "the narrowest network is named"
        );
        assert!(events.iter().any(|event| text(event, "/src_endpoint/zone") == "docs"));
    }
    let merged = file.iter().filter(|event| text(event, "/unmapped/picket/merged") == "failed-logons");
    let logons: u64 = merged.map(|event| event["count"].as_u64().unwrap_or(1)).sum();
    assert!(logons > 0 && file.iter().any(|event| text(event, "/unmapped/picket/throttled") == "chatty"));
    // To the server goes what is a logon or a request, and what it refuses lies among the dead letters.
    let taken = of_logs(world.server.events());
    assert!(taken.iter().all(|event| matches!(event["class_uid"].as_u64(), Some(3002 | 4002))), "{taken:?}");
    assert_eq!(weight(&taken), (ROUNDS * (6 + 1 + 1)) as u64);

    assert_without_secrets("the lake", serde_json::to_string(&lake)?.as_bytes());
    // What Parquet does not compress: its footers, with the least and the greatest value of each column.
    for (path, bytes) in files_below(&aggregator.lake())? {
        assert_without_secrets(&path.display().to_string(), &bytes);
    }
    assert_without_secrets("the file", &std::fs::read(world.file())?);
    assert_without_secrets("the server", &world.server.bytes());
    let letters = std::fs::read(aggregator.state().join("dlq/siem.ndjson"))?;
    assert_eq!(letters.iter().filter(|byte| **byte == b'\n').count(), poisons);
    assert_without_secrets("the dead letters", &letters);
    let exported = aggregator.command(&["journal", "export"])?;
    assert!(SECRETS.iter().all(|secret| exported.contains(secret)), "the evidence is what was written");
    let shown = serde_json::to_string(&file)?;
    assert!(shown.contains("PWD=/srv"), "a folder is no password");
    for (name, mark) in [
        ("cards", "payment_card"),
        ("keys", "private_key"),
        ("tokens", "bearer_token"),
        ("passwords", "password"),
        ("badges", "badges"),
    ] {
        assert!(shown.contains(&format!("[redacted:{mark}]")), "{mark}");
        let count = metrics
            .count("picket_aggregator_reduced_events_total", &[("stage", "redact"), ("rule", name), ("sink", "lines")]);
        assert!(count >= ROUNDS as u64, "{name} redacted {count}");
    }
    reported(&world, &metrics)?;
    world.pair.finish(DEADLINE)
}

/// The command, the metrics and the sinks say the same.
fn reported(world: &World, metrics: &picket_tests::harness::Metrics) -> anyhow::Result<()> {
    let rows: Vec<Value> = serde_json::from_str(&world.pair.aggregator.command(&["reduction", "--output", "json"])?)?;
    let row = |sink: &str, rule: &str| {
        rows.iter().find(|row| row["sink"] == sink && row["rule"] == rule).expect("the rule is reported")
    };
    let dropped = (ROUNDS * DROPPED) as u64;
    for sink in ["lake", "lines", "siem"] {
        assert_eq!(
            (&row(sink, "health-checks")["in"], &row(sink, "health-checks")["out"]),
            (&dropped.into(), &0.into())
        );
        assert_eq!(
            metrics.count("picket_aggregator_books_sink_events", &[("sink", sink), ("entry", "dropped")]),
            dropped
        );
    }
    // What goes elsewhere is not reduced.
    let posted = (ROUNDS * (6 + 1 + 1) + ROUNDS / 4) as u64;
    assert_eq!(row("siem", "all")["in"], dropped + posted);
    let logons = row("lines", "failed-logons");
    assert_eq!(logons["in"], ROUNDS * 6);
    assert!(logons["ratio"].as_f64() > Some(1.0), "{logons}");
    let elsewhere =
        metrics.count("picket_aggregator_books_sink_events", &[("sink", "lines"), ("entry", "not_for_this_sink")]);
    assert_eq!(elsewhere, (ROUNDS / 4) as u64, "the poison goes to the server only");
    Ok(())
}
