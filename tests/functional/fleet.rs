//! One fleet file steers agents: changes lose and double no line, whatever is killed when; a bad file changes nothing; what
//! was said last holds without the aggregator; a configuration that ends the agent is given up.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agent::steering::Kept;
use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, LogFile, Pair, Place, Programs, Random, Seeded, await_until, fleet};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shared::durable::Writer;
use xtask::loopback::pause;

const DEADLINE: Duration = Duration::from_secs(90);
const FILES: [&str; 4] = ["a", "b", "c", "d"];
const LANES: [&str; 3] = ["high", "normal", "bulk"];

/// What the agent says of its configuration; null while it does not answer.
fn said(agent: &Agent) -> Value {
    let text = agent.command(&["status", "--output", "json"]).unwrap_or_default();
    let report: Value = serde_json::from_str(&text).unwrap_or_default();
    report.pointer("/config").cloned().unwrap_or_default()
}

/// Some configuration runs.
fn runs(config: &Value) -> bool {
    config["running"].as_str().is_some_and(|running| !running.is_empty())
}

fn await_config(agent: &Agent, what: &str, is: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let found = await_until(what, DEADLINE, || Ok(Some(said(agent)).filter(|config| is(config))));
    found.with_context(|| format!("log: {}", agent.log().display()))
}

/// Lines that all files together get in a second.
const RATE: u32 = 5_600;

/// Writes numbered lines to all files at [`RATE`] until it is told to stop; how many of each, and how many a second in all.
fn write_steadily(logs: &Path, stop: &Arc<AtomicBool>) -> anyhow::Result<JoinHandle<anyhow::Result<(usize, f64)>>> {
    let mut files = FILES
        .iter()
        .map(|name| LogFile::open(&logs.join(format!("{name}.log"))))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let stop = Arc::clone(stop);
    Ok(std::thread::spawn(move || {
        let (begun, mut count) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            let due = (begun.elapsed() * RATE).as_secs() / FILES.len() as u64;
            let due = usize::try_from(due)?;
            for (file, name) in files.iter_mut().zip(FILES) {
                let lines: Vec<Vec<u8>> = (count..due).map(|n| format!("{name} line {n}").into_bytes()).collect();
                file.write_lines(&lines)?;
            }
            count = due;
            pause(Duration::from_millis(10));
        }
        let in_all = u32::try_from(count * FILES.len())?;
        Ok((count, f64::from(in_all) / begun.elapsed().as_secs_f64()))
    }))
}

/// One of the words.
fn one_of(words: &[&'static str], random: &mut Random) -> &'static str {
    let at = random.below(u64::try_from(words.len()).unwrap_or(1));
    words.get(usize::try_from(at).unwrap_or(0)).copied().unwrap_or_default()
}

/// A fleet file in which each file is read by some source of some lane, by the defaults, by a group, or not at all; the
/// `number` makes it another than all others.
fn any_fleet(logs: &Path, number: u32, whole: bool, random: &mut Random) -> String {
    let numbered = format!("      n{number}: {{ type: file, include: [\"{}/none/{number}\"] }}\n", logs.display());
    let mut layers = [numbered, String::new(), String::new()];
    for file in FILES {
        if !whole && random.one_in(6) {
            continue;
        }
        let (source, lane) = (random.below(3), one_of(&LANES, random));
        let Some(layer) = layers.get_mut(usize::try_from(random.below(3)).unwrap_or(0)) else { continue };
        let _ = writeln!(
            layer,
            "      {file}{source}: {{ type: file, include: [\"{}/{file}.log\"], lane: {lane} }}",
            logs.display()
        );
    }
    if random.one_in(3) {
        // One that takes some of the files from those behind it in name order.
        let _ = writeln!(
            layers[0],
            "      a-first: {{ type: file, include: [\"{}/[ab].log\"], lane: normal }}",
            logs.display()
        );
    }
    let [defaults, web, other] = layers;
    let map = |text: String| if text.is_empty() { " {}\n".to_owned() } else { format!("\n{text}") };
    // The host is of `web` and `any`, and never of `dark`.
    format!(
        "version: 1\ndefaults:\n    sources:{}groups:\n  - name: web\n    match: {{ labels: {{ role: web }} }}\n    sources:{}  \
         - name: any\n    match: [ {{ hostname: none }}, {{ hostname: web-* }} ]\n    sources:{}  \
         - name: dark\n    match: {{ labels: {{ role: db }} }}\n    sources: {{ z: {{ type: file, include: [\"{}/*.log\"] }} }}\n",
        map(defaults),
        map(web),
        map(other),
        logs.display()
    )
}

/// Tells the aggregator that its fleet file changed, instead of letting it look.
fn tell(aggregator: &Aggregator) -> anyhow::Result<()> {
    let process = i32::try_from(aggregator.id()?).ok().and_then(Pid::from_raw).context("its id")?;
    Ok(kill_process(process, Signal::HUP)?)
}

/// The name of what runs, once it is another than `before`; an agent that died of what it was armed with is started again.
fn await_next(agent: &mut Agent, before: &Value, kills: &mut u32) -> anyhow::Result<Value> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if agent.ended()?.is_some() {
            *kills += 1;
            let _ = agent.kill();
            agent.set_env("PICKET_FAULT", "");
            agent.start()?;
        }
        let now = said(agent);
        if let Some(running) = now.get("running").filter(|running| runs(&now) && *running != before) {
            ensure!(now.get("refused").is_none_or(Value::is_null), "{now}");
            return Ok(running.clone());
        }
        ensure!(
            Instant::now() < deadline,
            "the next configuration is not in force: {now}; log: {}",
            agent.log().display()
        );
        pause(Duration::from_millis(10));
    }
}

#[test]
fn changes_with_kills_in_half_of_them_lose_and_double_no_line() -> anyhow::Result<()> {
    const ROUNDS: u32 = 50;
    const KILLS: u32 = 25;
    // While it is written down (the start has counted by then, in three steps), and while sources change.
    const POINTS: [&str; 5] =
        ["fleet.store:5", "fleet.store:6", "fleet.stopped:1", "fleet.settled:1", "fleet.applied:1"];
    let mut seeded = Seeded::new(81);
    println!("seed {}", seeded.seed());
    let random = &mut seeded.random;
    let place = Place::new("fleet-changes")?;
    let logs = place.at("logs");
    let mut pair = Pair::start_steered(place, &any_fleet(&logs, 0, true, random))?;
    let mut running = await_next(&mut pair.agent, &Value::Null, &mut 0)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, writing) = (Instant::now(), write_steadily(&logs, &stop)?);
    let (mut kills, mut killed, mut armed) = (0, 0, false);
    for round in 1..=ROUNDS {
        pair.aggregator.set_fleet(&any_fleet(&logs, round, round == ROUNDS, random))?;
        tell(&pair.aggregator)?;
        let (left, rounds_left) = (u64::from(KILLS - killed), u64::from(ROUNDS - round + 1));
        if armed {
            // It dies in the middle of the change.
            pair.agent.await_end(DEADLINE)?;
        }
        if armed || random.below(rounds_left) < left {
            if !armed {
                pause(Duration::from_millis(random.below(300)));
            }
            let _ = pair.agent.kill();
            (kills, killed) = (kills + 1, killed + 1);
            armed = random.one_in(2) && killed < KILLS;
            let point = one_of(&POINTS, random);
            pair.agent.set_env("PICKET_FAULT", if armed { point } else { "" });
            pair.agent.start()?;
        }
        let before = kills;
        running = await_next(&mut pair.agent, &running, &mut kills)?;
        // What it was armed with is spent, if this change came only after the start.
        armed = armed && kills == before;
    }
    stop.store(true, Ordering::Relaxed);
    let (count, rate) = writing.join().map_err(|_| anyhow::anyhow!("the writer failed"))??;
    let (lines, changed) = (count * FILES.len(), begun.elapsed());
    println!(
        "{ROUNDS} changes, {killed} of them with a kill, {kills} kills in all, {lines} lines, {rate:.0} lines/s, {changed:?}"
    );
    ensure!(killed >= ROUNDS / 2 && rate >= 5_000.0, "too little was asked of it");
    let rows = pair.await_lines(lines, DEADLINE)?;
    println!("all in the lake after {:?}", begun.elapsed());
    let mut found: BTreeMap<&[u8], u32> = BTreeMap::new();
    rows.iter().for_each(|row| *found.entry(row.raw_data.as_slice()).or_default() += 1);
    let written = FILES.iter().flat_map(|name| (0..count).map(move |n| format!("{name} line {n}")));
    let lost: Vec<String> = written.filter(|line| !found.contains_key(line.as_bytes())).collect();
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    assert!(lost.is_empty(), "{} lost, first {:?}", lost.len(), lost.first());
    assert!(doubled.is_empty(), "{} doubled, first {:?}", doubled.len(), doubled.first());
    pair.finish(DEADLINE)
}

#[test]
fn bad_file_is_refused_as_a_whole_and_the_old_one_stays() -> anyhow::Result<()> {
    let place = Place::new("fleet-bad")?;
    let logs = place.at("logs");
    let pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    let before = await_config(&pair.agent, "a first configuration", runs)?;
    let bad = fleet(&logs, ", lan: high").replace("type: file", "type: fil");
    pair.aggregator.set_fleet(&bad)?;
    let refused = |pair: &Pair| -> Result<u64, xtask::Failure> {
        Ok(pair.aggregator.metrics()?.count("picket_aggregator_fleet_refused", &[]))
    };
    await_until("the refusal", DEADLINE, || Ok((refused(&pair)? == 1).then_some(())))?;
    let mut log = LogFile::open(&logs.join("x.log"))?;
    log.write(b"one\n")?;
    pair.await_lines(1, DEADLINE)?;
    assert_eq!(said(&pair.agent)["running"], before["running"]);
    let text = std::fs::read_to_string(pair.aggregator.log())?;
    for problem in ["did you mean 'file'?", "fleet.yaml:4:"] {
        assert!(text.contains(problem), "{problem} is not said");
    }
    pair.aggregator.set_fleet(&fleet(&logs, ", max_line_bytes: 1KiB"))?;
    await_config(&pair.agent, "the next configuration", |config| {
        runs(config) && config["running"] != before["running"]
    })?;
    await_until("no refusal", DEADLINE, || Ok((refused(&pair)? == 0).then_some(())))?;
    pair.finish(DEADLINE)
}

#[test]
fn configuration_that_cannot_be_written_down_is_not_run_before_it_can_be() -> anyhow::Result<()> {
    let place = Place::new("fleet-full")?;
    let logs = place.at("logs");
    let pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    let before = await_config(&pair.agent, "a first configuration", runs)?;
    // What a full disk does: the file cannot be replaced.
    let in_the_way = pair.agent.state().join(".fleet.json.tmp");
    std::fs::create_dir(&in_the_way)?;
    pair.aggregator.set_fleet(&fleet(&logs, ", max_line_bytes: 1KiB"))?;
    let refused = await_config(&pair.agent, "the refusal", |config| !config["refused"].is_null())?;
    assert_eq!(refused["running"], before["running"]);
    assert!(refused["refused"]["reason"].as_str().is_some_and(|reason| reason.contains("cannot be kept")), "{refused}");
    LogFile::open(&logs.join("x.log"))?.write(b"one\n")?;
    pair.await_lines(1, DEADLINE)?;
    std::fs::remove_dir(&in_the_way)?;
    await_config(&pair.agent, "the second configuration", |config| {
        runs(config) && config["running"] != before["running"] && config["refused"].is_null()
    })?;
    pair.finish(DEADLINE)
}

#[test]
fn without_the_aggregator_what_it_said_last_holds() -> anyhow::Result<()> {
    let place = Place::new("fleet-away")?;
    let logs = place.at("logs");
    let mut pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    await_config(&pair.agent, "a first configuration", runs)?;
    pair.agent.stop()?;
    pair.aggregator.stop()?;
    pair.agent.start()?;
    LogFile::open(&logs.join("x.log"))?.write(b"one\ntwo\n")?;
    await_until("lines in the spool", DEADLINE, || {
        let lane = [("lane", "high"), ("entry", "spooled")];
        Ok((pair.agent.metrics()?.count("picket_agent_books_records", &lane) >= 2).then_some(()))
    })?;
    pair.aggregator.start()?;
    assert_eq!(pair.await_lines(2, DEADLINE)?.len(), 2);
    pair.finish(DEADLINE)
}

#[test]
fn configuration_that_ends_the_agent_twice_is_given_up_by_itself() -> anyhow::Result<()> {
    let place = Place::new("fleet-crash")?;
    let logs = place.at("logs");
    let mut pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    let good = await_config(&pair.agent, "a first configuration", runs)?;
    pair.agent.stop()?;
    // As if a minute had passed.
    Kept::load(&pair.agent.state(), Writer::for_owner_of(&pair.agent.state())?).proven()?;
    pair.agent.set_env("PICKET_FAULT", "fleet.trying:1");
    pair.agent.start()?;
    await_config(&pair.agent, "the good configuration", |config| config["running"] == good["running"])?;
    pair.aggregator.set_fleet(&fleet(&logs, ", max_line_bytes: 1KiB"))?;
    for _ in 0..2 {
        pair.agent.await_end(DEADLINE)?;
        pair.agent.start()?;
    }
    let now = await_config(&pair.agent, "the return", |config| !config["refused"].is_null())?;
    assert_eq!(now["running"], good["running"]);
    assert!(now["refused"]["reason"].as_str().is_some_and(|reason| reason.contains("ended the agent")), "{now}");
    LogFile::open(&logs.join("x.log"))?.write(b"one\n")?;
    pair.await_lines(1, DEADLINE)?;
    let shown = pair.aggregator.command(&["agents", "list", "--output", "json"])?;
    let rows: Vec<Value> = serde_json::from_str(&shown)?;
    assert_eq!((&rows[0]["config"], &rows[0]["running"]), (&"refused".into(), &good["running"]), "{shown}");
    pair.finish(DEADLINE)
}

#[test]
fn change_reaches_every_connected_agent_in_three_seconds() -> anyhow::Result<()> {
    const AGENTS: usize = 12;
    let place = Place::new("fleet-many")?;
    let logs = place.at("logs");
    let pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    let programs = Programs::of_this_build()?;
    let mut agents = Vec::new();
    for number in 1..AGENTS {
        let folder = pair.place().at(&format!("agent-{number}"));
        let mut agent = Agent::enroll_steered(&programs, &folder, &pair.aggregator, &format!("host-{number}"), "")?;
        agent.start()?;
        agents.push(agent);
    }
    // Steered, and by the newest file.
    let behind = || -> Result<Option<u64>, xtask::Failure> {
        let text = pair.aggregator.command(&["agents", "list", "--output", "json"])?;
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        Ok((rows.len() == AGENTS && rows.iter().all(|row| row["config"] == "current")).then_some(0))
    };
    await_until("all have the first", DEADLINE, behind)?;
    let first = await_config(&pair.agent, "a first configuration", runs)?;
    let changed = Instant::now();
    pair.aggregator.set_fleet(&fleet(&logs, ", max_line_bytes: 1KiB"))?;
    await_until("one has the second", DEADLINE, || {
        Ok(Some(said(&pair.agent)).filter(|now| runs(now) && now["running"] != first["running"]))
    })?;
    await_until("all have the second", DEADLINE, behind)?;
    let took = changed.elapsed();
    println!("a change reached {AGENTS} agents in {took:?}");
    assert!(took < Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 3 }), "{took:?}");
    for mut agent in agents {
        agent.stop()?;
    }
    pair.finish(DEADLINE)
}
