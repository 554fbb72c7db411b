//! A secret that is removed at the source is in no file of the agent and in no frame of the journal.

use picket_tests::harness::{LogFile, Pair, Place, fleet};

use super::DEADLINE;
use super::world::{ROUND, SECRETS, lines, of_lake};

#[test]
fn secret_that_is_redacted_at_the_source_never_leaves_the_host() -> anyhow::Result<()> {
    let place = Place::new("redact-source")?;
    let fleet = fleet(&place.at("logs"), ", redact: [payment_card, private_key, bearer_token, password]");
    let mut pair = Pair::start_with(place, &fleet)?;
    // All but the badge, which only a pattern of the aggregator knows.
    let (badge, secrets) = SECRETS.split_last().unwrap_or((&"", &[]));
    let assert_without = |place: &str, text: &str| {
        assert!(text.contains("[redacted:payment_card]") && text.contains(badge), "{place} holds the lines");
        assert_eq!(secrets.iter().find(|secret| text.contains(**secret)), None, "{place} holds a secret");
    };
    // With nobody to take them they stay in the spool.
    pair.aggregator.stop()?;
    LogFile::open(&pair.logs().join("app.log"))?.write(&lines(3).concat())?;
    picket_tests::harness::await_until("the lines spooled", DEADLINE, || {
        let spooled =
            pair.agent.metrics()?.count("picket_agent_books_records", &[("entry", "spooled"), ("lane", "high")]);
        Ok((spooled >= 3 * ROUND as u64).then_some(()))
    })?;
    pair.agent.stop()?;
    assert_without("the spool", &pair.agent.command(&["spool", "dump"])?);
    pair.agent.start()?;
    pair.aggregator.start()?;
    pair.await_lines(3 * ROUND, DEADLINE)?;
    assert_without("the journal", &pair.aggregator.command(&["journal", "export"])?);
    let lake = of_lake(&pair.aggregator.lake())?;
    assert_without("the lake", &serde_json::to_string(&lake)?);
    let marked =
        lake.iter().filter(|event| event["unmapped"].as_str().is_some_and(|text| text.contains("\"redacted\":")));
    assert_eq!(marked.count(), 3 * secrets.len());
    pair.finish(DEADLINE)
}
