//! Both programs under a service manager: it hears when they are ready, is fed while they are well, idle or not, and ends one
//! of whose threads is stuck. Here the test is the service manager, by the protocol of sd_notify(3).

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use agent::steering::Kept;
use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, LogFile, Pace, Pair, Place, Programs, await_until, fleet, numbered};
use serde_json::Value;
use shared::durable::Writer;

/// `WatchdogSec` of these tests. A thread at work is stuck after half of it, and debug builds beside other tests are slow.
const WATCHDOG: Duration = Duration::from_secs(6);
const DEADLINE: Duration = Duration::from_secs(60);

/// What hears a program.
struct Manager {
    socket: UnixDatagram,
    name: String,
}

impl Manager {
    fn new(place: &Place, name: &str) -> anyhow::Result<Self> {
        let path = place.at(name);
        let socket = UnixDatagram::bind(&path)?;
        Ok(Self { socket, name: path.display().to_string() })
    }

    /// The environment of a unit with `Type=notify` and `WatchdogSec`.
    fn environment(&self) -> [(&'static str, String); 2] {
        [("NOTIFY_SOCKET", self.name.clone()), ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())]
    }

    /// What it hears next, within `patience`.
    fn hear(&self, patience: Duration) -> anyhow::Result<Option<String>> {
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut bytes = [0; 4096];
        match self.socket.recv(&mut bytes) {
            Ok(length) => Ok(Some(String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn await_word(&self, word: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while let Some(said) = self.hear(deadline.saturating_duration_since(Instant::now()))? {
            if said.lines().any(|line| line == word) {
                return Ok(());
            }
        }
        anyhow::bail!("{}: never said {word}", self.name)
    }

    /// What it said of itself with the next `READY=1`.
    fn await_verdict(&self) -> anyhow::Result<String> {
        let deadline = Instant::now() + DEADLINE;
        while let Some(said) = self.hear(deadline.saturating_duration_since(Instant::now()))? {
            if said.lines().any(|line| line == "READY=1") {
                return Ok(said);
            }
        }
        anyhow::bail!("{}: never ready", self.name)
    }

    /// Whether the watchdog is fed in time for `time`; else what was said last.
    fn is_fed_for(&self, time: Duration) -> anyhow::Result<Result<(), String>> {
        let (until, mut starves, mut last) = (Instant::now() + time, Instant::now() + WATCHDOG, String::new());
        while Instant::now() < until {
            match self.hear(starves.min(until).saturating_duration_since(Instant::now()))? {
                Some(said) if said.lines().any(|line| line == "WATCHDOG=1") => starves = Instant::now() + WATCHDOG,
                Some(said) => last = said,
                None if Instant::now() >= starves => return Ok(Err(last)),
                None => {}
            }
        }
        Ok(Ok(()))
    }
}

/// Both programs, enrolled and at rest; `more` are more sources.
fn both(place: &Place, more: &str) -> anyhow::Result<(Aggregator, Agent)> {
    let programs = Programs::of_this_build()?;
    std::fs::create_dir_all(place.at("logs"))?;
    let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?;
    aggregator.start()?;
    let fleet = fleet(&place.at("logs"), "") + more;
    let agent = Agent::enroll(&programs, &place.at("agent"), &aggregator, "host-1", &fleet)?;
    aggregator.stop()?;
    Ok((aggregator, agent))
}

#[test]
fn idle_programs_are_ready_fed_for_three_watchdogs_and_say_that_they_stop() -> anyhow::Result<()> {
    let place = Place::new("supervised-idle")?;
    let (mut aggregator, mut agent) = both(&place, "    host: { type: host, interval: 10s }\n")?;
    let (hears_aggregator, hears_agent) = (Manager::new(&place, "notify-1")?, Manager::new(&place, "notify-2")?);
    for (name, value) in hears_aggregator.environment() {
        aggregator.set_env(name, &value);
    }
    for (name, value) in hears_agent.environment() {
        agent.set_env(name, &value);
    }
    aggregator.start()?;
    agent.start()?;
    hears_aggregator.await_word("READY=1")?;
    hears_agent.await_word("READY=1")?;
    let fed = std::thread::scope(|scope| {
        let [first, second] =
            [&hears_aggregator, &hears_agent].map(|manager| scope.spawn(|| manager.is_fed_for(3 * WATCHDOG)));
        [first.join(), second.join()]
    });
    for fed in fed {
        let fed = fed.expect("it does not panic")?;
        assert_eq!(fed, Ok(()), "an idle program starved");
    }
    // Without its aggregator it keeps what it sees: that is no reason for a restart.
    aggregator.stop()?;
    hears_aggregator.await_word("STOPPING=1")?;
    assert_eq!(hears_agent.is_fed_for(2 * WATCHDOG)?, Ok(()));
    agent.stop()?;
    hears_agent.await_word("STOPPING=1")
}

#[test]
fn a_stuck_thread_starves_the_watchdog_by_name_and_a_restart_goes_on() -> anyhow::Result<()> {
    for (fault, stuck) in [("spool.turn:4:hang", "spool"), ("journal.turn:1:hang", "journal")] {
        let place = Place::new("supervised-stuck")?;
        let (mut aggregator, mut agent) = both(&place, "")?;
        let manager = Manager::new(&place, "notify")?;
        let environment = manager.environment().into_iter().chain([("PICKET_FAULT", fault.to_owned())]);
        for (name, value) in environment {
            if stuck == "journal" {
                aggregator.set_env(name, &value);
            } else {
                agent.set_env(name, &value);
            }
        }
        aggregator.start()?;
        agent.start()?;
        manager.await_word("READY=1")?;
        let mut log = LogFile::open(&place.at("logs").join("a.log"))?;
        log.write_lines(&numbered(&vec![b"a line".to_vec(); 100], 0))?;
        let starved = manager.is_fed_for(DEADLINE)?;
        assert_eq!(starved, Err(format!("STATUS=stuck: {stuck}")));
        // What systemd does then: end it, start it again.
        for name in ["PICKET_FAULT", "NOTIFY_SOCKET", "WATCHDOG_USEC"] {
            aggregator.set_env(name, "");
            agent.set_env(name, "");
        }
        if stuck == "journal" {
            aggregator.kill()?;
            aggregator.start()?;
        } else {
            agent.kill()?;
            agent.start()?;
        }
        let pair = Pair::of(place, agent, aggregator);
        let rows = pair.await_lines(100, DEADLINE).context("after the restart")?;
        ensure!(rows.len() == 100, "each line once: {}", rows.len());
        pair.finish(DEADLINE)?;
    }
    Ok(())
}

#[test]
fn configuration_under_which_the_watchdog_ends_the_agent_twice_is_given_up() -> anyhow::Result<()> {
    let place = Place::new("supervised-config")?;
    let logs = place.at("logs");
    let manager = Manager::new(&place, "notify")?;
    let mut pair = Pair::start_steered(place, &fleet(&logs, ""))?;
    let config = |agent: &Agent| -> Value {
        let text = agent.command(&["status", "--output", "json"]).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()["config"].clone()
    };
    let runs = |config: &Value| config["running"].as_str().is_some_and(|running| !running.is_empty());
    let good = await_until("the first configuration", DEADLINE, || Ok(Some(config(&pair.agent)).filter(runs)))?;
    pair.agent.stop()?;
    // As if a minute had passed.
    Kept::load(&pair.agent.state(), Writer::for_owner_of(&pair.agent.state())?).proven()?;
    for (name, value) in manager.environment() {
        pair.agent.set_env(name, &value);
    }
    // The source hangs as it is in the second configuration: it is started after the first, and at the next start.
    for hangs in ["source.began:2:hang", "source.began:1:hang"] {
        pair.agent.set_env("PICKET_FAULT", hangs);
        pair.agent.start()?;
        manager.await_word("READY=1")?;
        pair.aggregator.set_fleet(&fleet(&logs, ", max_line_bytes: 1KiB"))?;
        let starved = manager.is_fed_for(DEADLINE)?;
        assert_eq!(starved, Err("STATUS=stuck: src-logs".to_owned()));
        // What systemd does then.
        pair.agent.kill()?;
    }
    pair.agent.set_env("PICKET_FAULT", "");
    pair.agent.start()?;
    manager.await_word("READY=1")?;
    assert_eq!(manager.is_fed_for(WATCHDOG)?, Ok(()));
    let now = config(&pair.agent);
    assert_eq!(now["running"], good["running"]);
    assert!(
        now["refused"]["reason"].as_str().is_some_and(|reason| reason.contains("ended the agent 2 times")),
        "{now}"
    );
    LogFile::open(&logs.join("a.log"))?.write(b"a line\n")?;
    pair.await_lines(1, DEADLINE)?;
    pair.finish(DEADLINE)
}

/// What `kill -HUP` does.
fn hang_up(process: u32) -> anyhow::Result<()> {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw).context("its id")?;
    Ok(rustix::process::kill_process(process, rustix::process::Signal::HUP)?)
}

#[test]
fn a_reload_of_the_agent_takes_what_can_change_and_names_what_needs_a_restart() -> anyhow::Result<()> {
    let place = Place::new("supervised-agent-reload")?;
    let group = "groups:\n  - name: web\n    match: { labels: { role: web } }\n    sources: { labeled: { type: file, include: [/none] } }\n";
    let (mut aggregator, mut agent) = both(&place, group)?;
    let manager = Manager::new(&place, "notify")?;
    for (name, value) in manager.environment() {
        agent.set_env(name, &value);
    }
    aggregator.start()?;
    agent.start()?;
    manager.await_word("READY=1")?;
    let yaml = std::fs::read_to_string(agent.config())?;
    let reload = |text: &str| -> anyhow::Result<String> {
        std::fs::write(agent.config(), text)?;
        hang_up(agent.id()?)?;
        manager.await_word("RELOADING=1")?;
        manager.await_verdict()
    };
    let status = |agent: &Agent| -> Result<Value, xtask::Failure> {
        Ok(serde_json::from_str(&agent.command(&["status", "--output", "json"])?).unwrap_or_default())
    };
    let sources = |agent: &Agent| -> Result<Vec<String>, xtask::Failure> {
        let names = status(agent)?["sources"].as_array().cloned().unwrap_or_default();
        Ok(names.iter().filter_map(|source| source["name"].as_str().map(str::to_owned)).collect())
    };
    await_until("a session", DEADLINE, || Ok((status(&agent)?["uplink"]["sessions"] == 1).then_some(())))?;
    // A mistake changes nothing, and is named with its line.
    let refused = reload(&format!("{yaml}agregators: []\n"))?;
    assert!(refused.contains("what is in force stays") && refused.contains("did you mean 'aggregators'?"), "{refused}");
    // A label holds at once, in a session of its own and for the host's own fleet file; another name needs a restart.
    let labeled = format!("{}labels: {{ role: web }}\n", yaml.replace("hostname: host-1", "hostname: host-2"));
    let taken = reload(&labeled)?;
    assert!(taken.contains("hostname takes force at a restart"), "{taken}");
    await_until("the label", DEADLINE, || {
        let is_new = status(&agent)?["uplink"]["sessions"] == 2 && sources(&agent)? == ["labeled", "logs"];
        Ok(is_new.then_some(()))
    })?;
    assert_eq!(status(&agent)?["hostname"], "host-1");
    // The host's own fleet file with a mistake changes nothing.
    agent.set_fleet("version: 1\nsources: {}\n")?;
    reload(&labeled)?;
    await_until("a refusal", DEADLINE, || {
        let log = std::fs::read_to_string(agent.log()).unwrap_or_default();
        Ok(log.contains("the fleet file of this host is refused").then_some(()))
    })?;
    assert_eq!(sources(&agent)?, ["labeled", "logs"]);
    LogFile::open(&place.at("logs").join("a.log"))?.write(b"a line\n")?;
    let pair = Pair::of(place, agent, aggregator);
    pair.await_lines(1, DEADLINE)?;
    pair.finish(DEADLINE)
}

#[test]
fn a_reload_is_announced_and_ends_in_a_verdict() -> anyhow::Result<()> {
    let place = Place::new("supervised-reload")?;
    let mut aggregator = Aggregator::init(&Programs::of_this_build()?, &place.at("aggregator"), Pace::BRISK)?;
    let manager = Manager::new(&place, "notify")?;
    for (name, value) in manager.environment() {
        aggregator.set_env(name, &value);
    }
    aggregator.start()?;
    manager.await_word("READY=1")?;
    hang_up(aggregator.id()?)?;
    manager.await_word("RELOADING=1")?;
    manager.await_word("READY=1")?;
    Ok(aggregator.stop()?)
}
