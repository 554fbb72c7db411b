//! What aggregator.yaml says of events changes while the aggregator runs: at a cut, or not at all.

use std::path::Path;

use anyhow::Context;
use picket_tests::harness::{Aggregator, LogFile, Place, assert_books, await_until};
use rustix::process::{Pid, Signal, kill_process};

use super::DEADLINE;
use super::world::{World, by_uid, of_file, of_lake, of_logs};

/// Replaces aggregator.yaml as an editor does: by a whole file.
fn edit(path: &Path, change: impl FnOnce(String) -> String) -> anyhow::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, change(std::fs::read_to_string(path)?))?;
    Ok(std::fs::rename(new, path)?)
}

/// Waits until the aggregator's log says so, at least `times` times.
fn await_said(aggregator: &Aggregator, text: &str, times: usize) -> anyhow::Result<()> {
    await_until(text, DEADLINE, || {
        let said = std::fs::read_to_string(aggregator.log()).unwrap_or_default();
        Ok((said.matches(text).count() >= times).then_some(()))
    })?;
    Ok(())
}

const TAKEN: &str = "was read again; it is in force";

fn refused(aggregator: &Aggregator) -> anyhow::Result<u64> {
    Ok(aggregator.metrics()?.count("picket_aggregator_config_refused", &[]))
}

fn line(kind: &str, number: usize) -> Vec<u8> {
    format!("Jan  5 10:05:00 web1 app[9]: {kind} number {number}\n").into_bytes()
}

#[test]
fn rules_change_at_a_cut_and_no_event_is_lost() -> anyhow::Result<()> {
    let mut world = World::start("reload")?;
    let aggregator = &world.pair.aggregator;
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    let mut written = 0;
    for round in 0..6 {
        edit(&aggregator.config(), |yaml| match round % 2 {
            0 => yaml.replace("reduce:\n", "reduce:\n- drop: { name: chaff, where: { message|contains: chaff } }\n"),
            _ => yaml.replace("- drop: { name: chaff, where: { message|contains: chaff } }\n", ""),
        })?;
        // Lines come before, while and after the change takes force.
        await_until("the change in force", DEADLINE, || {
            written += 1;
            let both = [line("chaff", written), line("wheat", written)].concat();
            log.write(&both).map_err(|error| xtask::Failure::new(format!("{error:#}")))?;
            let said = std::fs::read_to_string(aggregator.log()).unwrap_or_default();
            Ok((said.matches(TAKEN).count() > round).then_some(()))
        })?;
    }
    assert_eq!(refused(aggregator)?, 0);
    let metrics = world.await_delivered(2 * written)?;
    assert_books(&metrics);
    let dropped = metrics.count("picket_aggregator_books_sink_events", &[("sink", "lines"), ("entry", "dropped")]);
    let (lake, file) = (of_lake(&aggregator.lake())?, of_file(&world.file())?);
    let count = |kind: &str| {
        file.iter().filter(|event| event["message"].as_str().is_some_and(|text| text.starts_with(kind))).count()
    };
    assert_eq!(count("wheat"), written, "wheat is never dropped");
    assert_eq!(count("chaff") as u64 + dropped, written as u64);
    assert!(dropped > 0 && count("chaff") > 0, "{dropped} of {written} were dropped");
    assert_eq!(lake.len(), file.len());
    // A replay goes by the rules of today, which drop no chaff.
    let replayed = aggregator.command(&["journal", "replay", "--to", "lines", "--output", "json"])?;
    let replayed: Vec<serde_json::Value> = serde_json::from_str(&replayed)?;
    let store = replayed.first().and_then(|replay| replay["store"].as_str()).context("a store")?;
    assert_eq!(of_file(Path::new(store))?.len(), 2 * written);
    // A sink that begins again goes by the rules of their time.
    world.pair.aggregator.stop()?;
    std::fs::remove_file(world.pair.aggregator.state().join("cursors/lines"))?;
    std::fs::remove_file(world.file())?;
    world.pair.aggregator.start()?;
    world.pair.await_quiet(DEADLINE)?;
    assert!(by_uid(of_file(&world.file())?) == by_uid(file), "the same events as while the rules changed");
    world.pair.finish(DEADLINE)
}

#[test]
fn change_that_is_wrong_is_refused_with_reasons_and_the_old_rules_stay() -> anyhow::Result<()> {
    let world = World::start("reload-refused")?;
    let aggregator = &world.pair.aggregator;
    let good = std::fs::read_to_string(aggregator.config())?;
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    let await_refused = |expected: u64| {
        await_until(&format!("config_refused {expected}"), DEADLINE, || {
            Ok((refused(aggregator).map_err(|error| xtask::Failure::new(format!("{error:#}")))? == expected)
                .then_some(()))
        })
    };
    for (number, (from, to, reason)) in [
        ("user_agent|startswith", "user_agent|startwith", "startwith"),
        ("{ to: lines }", "{ to: elsewhere }", "sink 'elsewhere'"),
        ("commit_interval: 300ms, batch", "commit_interval: 400ms, batch", "sinks change at a start only"),
        ("version: 1", "version: 2", "version"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(good.contains(from), "{from}");
        edit(&aggregator.config(), |_| good.replacen(from, to, 1))?;
        await_refused(1)?;
        await_said(aggregator, reason, 1)?;
        let health =
            "192.0.2.1 - - [05/Jan/2026:10:01:00 +0000] \"GET /healthz HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.30\"\n";
        log.write(&[health.as_bytes().to_vec(), line("kept", number)].concat())?;
        world.await_delivered(2 * (number + 1))?;
        assert_eq!(of_file(&world.file())?.len(), number + 1, "health checks are still dropped");
        edit(&aggregator.config(), |_| good.clone())?;
        await_refused(0)?;
    }
    let said = std::fs::read_to_string(aggregator.log())?;
    assert!(!said.contains(TAKEN), "nothing changed");
    world.pair.finish(DEADLINE)
}

#[test]
fn signal_reads_a_file_again_that_looks_unchanged() -> anyhow::Result<()> {
    let world = World::start("reload-signal")?;
    let aggregator = &world.pair.aggregator;
    let path = aggregator.config();
    let before = std::fs::metadata(&path)?;
    let new = path.with_extension("new");
    std::fs::write(&new, std::fs::read_to_string(&path)?.replace("kube-probe", "blackboxes"))?;
    std::fs::File::options().write(true).open(&new)?.set_modified(before.modified()?)?;
    assert_eq!(std::fs::metadata(&new)?.len(), before.len());
    std::fs::rename(&new, &path)?;
    let id = Pid::from_raw(i32::try_from(aggregator.id()?)?).context("a process id")?;
    kill_process(id, Signal::HUP)?;
    await_said(aggregator, TAKEN, 1)?;
    let request = |agent: &str| {
        format!("192.0.2.1 - - [05/Jan/2026:10:01:00 +0000] \"GET / HTTP/1.1\" 200 2 \"-\" \"{agent}\"\n")
    };
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    log.write([request("kube-probe/1.30"), request("blackboxes/1")].concat().as_bytes())?;
    world.await_delivered(2)?;
    let file = of_file(&world.file())?;
    assert_eq!(file.len(), 1);
    assert_eq!(file[0]["http_request"]["user_agent"], "kube-probe/1.30");
    world.pair.finish(DEADLINE)
}

#[test]
fn lines_are_read_with_the_parsers_of_their_time_when_the_files_of_these_say_something_else() -> anyhow::Result<()> {
    let place = Place::new("reload-parsers")?;
    let file = place.at("door.yaml");
    let write = |capture: &str| {
        let text = format!("parsers:\n  - {{ name: door, class: base_event, regex: '^door (?<{capture}>\\d+)' }}\n");
        std::fs::write(&file, text)
    };
    write("first")?;
    let parsers = format!("parsers: [{}]", file.display());
    let mut world = World::start_in(place, ", format: door", &[("parsers", &parsers)])?;
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    for (changes, capture) in ["first", "second", "third"].into_iter().enumerate() {
        write(capture)?;
        await_said(&world.pair.aggregator, TAKEN, changes)?;
        log.write(format!("door {changes}\n").as_bytes())?;
        world.await_delivered(changes + 1)?;
    }
    let events = by_uid(of_file(&world.file())?);
    let mut read: Vec<String> = events.values().map(|event| event["unmapped"].to_string().replace('"', "")).collect();
    read.sort();
    assert_eq!(read, ["{first:0}", "{second:1}", "{third:2}"]);
    world.pair.aggregator.stop()?;
    std::fs::remove_file(world.pair.aggregator.state().join("cursors/lines"))?;
    std::fs::remove_file(world.file())?;
    write("fourth")?;
    world.pair.aggregator.start()?;
    world.pair.await_quiet(DEADLINE)?;
    assert!(by_uid(of_file(&world.file())?) == events, "the same events as in their time");
    world.pair.finish(DEADLINE)
}

#[test]
fn sink_that_lags_gets_events_by_the_rules_of_their_time_also_after_a_restart() -> anyhow::Result<()> {
    let mut world = World::start("reload-lag")?;
    world.server.away(true);
    let mut log = LogFile::open(&world.pair.logs().join("app.log"))?;
    let logon = |number: usize| {
        format!(
            "Jan  5 10:04:00 web1 sshd[9]: Accepted password for bob from 192.0.2.200 port {} ssh2\n",
            1_000 + number
        )
    };
    let drop = "reduce:\n- drop: { name: logons, where: { class_uid: 3002 } }\n";
    log.write(logon(1).as_bytes())?;
    world.pair.await_lines(1, DEADLINE)?;
    edit(&world.pair.aggregator.config(), |yaml| yaml.replace("reduce:\n", drop))?;
    await_said(&world.pair.aggregator, TAKEN, 1)?;
    log.write(logon(2).as_bytes())?;
    let journaled = |world: &World, count: u64| {
        await_until("lines journaled", DEADLINE, || {
            let metrics = world.pair.agent.metrics()?;
            Ok((metrics.count("picket_agent_books_records", &[("entry", "acked"), ("lane", "high")]) >= count)
                .then_some(()))
        })
    };
    journaled(&world, 2)?;
    world.pair.aggregator.kill()?;
    edit(&world.pair.aggregator.config(), |yaml| yaml.replace(drop, "reduce:\n"))?;
    world.pair.aggregator.start()?;
    log.write(logon(3).as_bytes())?;
    journaled(&world, 3)?;
    world.server.away(false);
    let metrics = world.pair.await_quiet(DEADLINE)?;
    assert_books(&metrics);
    let ports = |events: Vec<serde_json::Value>| {
        let mut ports: Vec<u64> = events.iter().filter_map(|event| event["src_endpoint"]["port"].as_u64()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    assert_eq!(ports(of_logs(world.server.events())), [1_001, 1_003], "the second was dropped in its time");
    assert_eq!(ports(of_file(&world.file())?), [1_001, 1_003]);
    world.pair.finish(DEADLINE)
}
