//! A secret that is removed at the source is in no file of the agent, in no frame of the journal, and nowhere behind it.

use picket_tests::harness::{LogFile, Place};

use super::DEADLINE;
use super::world::{ROUND, SECRETS, World, files_below, lines, of_file, of_lake};

#[test]
fn secret_that_is_redacted_at_the_source_never_leaves_the_host() -> anyhow::Result<()> {
    // The aggregator itself redacts nothing.
    let redact = ", redact: [payment_card, private_key, bearer_token, password]";
    let mut world = World::start_in(Place::new("redact-source")?, redact, &[("reduce", "reduce: []")])?;
    world.server.refuse(Some("poison"));
    // All but the badge, which only a pattern of the aggregator knows.
    let (badge, secrets) = SECRETS.split_last().unwrap_or((&"", &[]));
    let assert_without = |place: &str, text: &str| {
        assert!(text.contains("[redacted:payment_card]") && text.contains(badge), "{place} holds the lines");
        assert_eq!(secrets.iter().find(|secret| text.contains(**secret)), None, "{place} holds a secret");
    };
    // With nobody to take them they stay in the spool.
    world.pair.aggregator.stop()?;
    let poison = b"Jan  5 10:05:00 web1 door[9]: poison, badge 90210666 paid with 4111 1111 1111 1111\n".to_vec();
    LogFile::open(&world.pair.logs().join("app.log"))?.write(&[lines(3).concat(), poison].concat())?;
    let all = 3 * ROUND + 1;
    picket_tests::harness::await_until("the lines spooled", DEADLINE, || {
        let metrics = world.pair.agent.metrics()?;
        let spooled = metrics.count("picket_agent_books_records", &[("entry", "spooled"), ("lane", "high")]);
        Ok((spooled >= all as u64).then_some(()))
    })?;
    world.pair.agent.stop()?;
    assert_without("the spool", &world.pair.agent.command(&["spool", "dump"])?);
    world.pair.agent.start()?;
    world.pair.aggregator.start()?;
    world.await_delivered(all)?;
    assert_without("the journal", &world.pair.aggregator.command(&["journal", "export"])?);
    let lake = of_lake(&world.pair.aggregator.lake())?;
    assert_without("the lake", &serde_json::to_string(&lake)?);
    assert_without("the file", &serde_json::to_string(&of_file(&world.file())?)?);
    assert_without("the server", &String::from_utf8_lossy(&world.server.bytes()));
    let letters = std::fs::read_to_string(world.pair.aggregator.state().join("dlq/siem.ndjson"))?;
    assert_without("the dead letters", &letters);
    let marked =
        lake.iter().filter(|event| event["unmapped"].as_str().is_some_and(|text| text.contains("\"redacted\":")));
    assert_eq!(marked.count(), 3 * secrets.len());
    // What nobody compressed, in whatever file: spool, journal, indexes, logs of the programs.
    for folder in ["agent", "aggregator"] {
        for (path, bytes) in files_below(&world.pair.place().at(folder))? {
            let holds = |secret: &&&str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert_eq!(secrets.iter().find(holds), None, "{} holds a secret", path.display());
        }
    }
    world.pair.finish(DEADLINE)
}
