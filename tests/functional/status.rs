//! `status` of both programs: whether it is well is its first line, and what is not is said with what to do.

use std::time::Duration;

use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, LogFile, Pace, Pair, Place, Programs, Random, await_until, fleet};

const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until a program's `status` says all of these, each in some line of it; `well` is a line of its own.
fn await_said(say: impl Fn() -> String, expected: &[&str]) -> anyhow::Result<String> {
    let mut last = String::new();
    let said = await_until(&expected.join(", "), DEADLINE, || {
        last = say();
        let is_said =
            |words: &&str| last.lines().any(|line| line == *words || *words != "well" && line.contains(*words));
        Ok(expected.iter().all(is_said).then(|| last.clone()))
    });
    said.with_context(|| last.clone())
}

fn of_agent(agent: &Agent) -> impl Fn() -> String + '_ {
    || agent.command(&["status"]).unwrap_or_default()
}

fn of_aggregator(aggregator: &Aggregator) -> impl Fn() -> String + '_ {
    || aggregator.command(&["status"]).unwrap_or_default()
}

#[test]
fn what_is_well_says_so_on_one_screen_and_each_side_says_that_the_other_is_away() -> anyhow::Result<()> {
    let mut pair = Pair::start("status-well")?;
    LogFile::open(&pair.logs().join("a.log"))?.write(b"a line\n")?;
    pair.await_lines(1, DEADLINE)?;
    for text in [
        await_said(of_agent(&pair.agent), &["well", "connected to"])?,
        await_said(of_aggregator(&pair.aggregator), &["well", "1 enrolled, 1 connected, 0 away", "lake"])?,
    ] {
        ensure!(text.starts_with("well\n") && text.lines().count() <= 24, "one screen: {text}");
    }
    pair.agent.stop()?;
    await_said(
        of_aggregator(&pair.aggregator),
        &["! one agent of 1 not connected: host-1", "`picket-agent status` says why"],
    )?;
    let refused = pair.agent.command(&["status"]).expect_err("nobody answers").to_string();
    ensure!(refused.contains("systemctl start picket-agent"), "{refused}");
    pair.aggregator.stop()?;
    let refused = pair.aggregator.command(&["status"]).expect_err("nobody answers").to_string();
    ensure!(refused.contains("systemctl start picket-aggregator") && refused.contains("validate"), "{refused}");
    pair.agent.start()?;
    await_said(of_agent(&pair.agent), &["! no session with an aggregator", "records are kept on this host meanwhile"])?;
    pair.aggregator.start()?;
    await_said(of_agent(&pair.agent), &["well"])?;
    pair.finish(DEADLINE)
}

#[test]
fn a_store_that_fails_and_a_file_that_is_refused_are_said_with_what_to_do() -> anyhow::Result<()> {
    let pair = Pair::start("status-sink")?;
    await_said(of_aggregator(&pair.aggregator), &["well", "1 connected"])?;
    // Where the lake is to be, a file is.
    let (lake, aside) = (pair.aggregator.lake(), pair.place().at("aside"));
    std::fs::rename(&lake, &aside)?;
    std::fs::write(&lake, "not a folder")?;
    LogFile::open(&pair.logs().join("a.log"))?.write(b"a line\n")?;
    await_said(of_aggregator(&pair.aggregator), &["! sink lake fails: ", "mend its store"])?;
    pair.aggregator.set_fleet("version: 1\ngruops: []\n")?;
    await_said(
        of_aggregator(&pair.aggregator),
        &["2 things need a person", "! the fleet file is refused", "validate --fleet"],
    )?;
    std::fs::remove_file(&lake)?;
    std::fs::rename(&aside, &lake)?;
    pair.aggregator.set_fleet("version: 1\n")?;
    pair.await_lines(1, DEADLINE)?;
    await_said(of_aggregator(&pair.aggregator), &["well"])?;
    pair.finish(DEADLINE)
}

#[test]
fn a_certificate_that_is_refused_and_a_spool_that_is_full_are_said_with_what_to_do() -> anyhow::Result<()> {
    let mut place = Place::new("status-refused")?;
    place.keep_as_evidence(true);
    let programs = Programs::of_this_build()?;
    std::fs::create_dir_all(place.at("logs"))?;
    let mut own = Aggregator::init(&programs, &place.at("own"), Pace::BRISK)?;
    let mut other = Aggregator::init(&programs, &place.at("other"), Pace::BRISK)?;
    own.start()?;
    other.start()?;
    let small = fleet(&place.at("logs"), "") + "  spool: { max_bytes: 32MiB }\n";
    let mut agent = Agent::enroll(&programs, &place.at("agent"), &own, "host-1", &small)?;
    let yaml = std::fs::read_to_string(agent.config())?;
    std::fs::write(agent.config(), yaml.replace(&own.listen().to_string(), &other.listen().to_string()))?;
    agent.start()?;
    // An aggregator of another authority: neither side trusts the other, and the agent says so.
    await_said(of_agent(&agent), &["! no session with an aggregator", "authority", "picket-agent validate"])?;
    // Nobody takes what it sees: its lane fills up, and its file waits.
    let mut log = LogFile::open(&place.at("logs").join("a.log"))?;
    let mut random = Random::new(8);
    for _ in 0..600 {
        // What compression makes half of.
        let words = (0..8_000).map(|n| format!("{:016x}{}", random.bits(), if n % 8 == 7 { "\n" } else { "" }));
        log.write(words.collect::<String>().as_bytes())?;
    }
    await_said(
        of_agent(&agent),
        &["! lane high is full: its sources wait", "spool.max_bytes in the fleet file is the bound"],
    )?;
    agent.stop()?;
    std::fs::write(agent.config(), yaml)?;
    agent.start()?;
    await_said(of_agent(&agent), &["connected to"])?;
    own.command(&["agents", "revoke", "host-1", "--reason", "sold"])?;
    await_said(
        of_agent(&agent),
        &["! no session with an aggregator", "revoked", "enroll the host again with a new token"],
    )?;
    agent.stop()?;
    own.stop()?;
    other.stop()?;
    place.keep_as_evidence(false);
    Ok(())
}
