//! Both programs under a service manager: it hears when they are ready, is fed while they are well, idle or not, and ends one
//! of whose threads is stuck. Here the test is the service manager, by the protocol of sd_notify(3).

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, LogFile, Pace, Pair, Place, Programs, fleet, numbered};

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
fn a_reload_is_announced_and_ends_in_a_verdict() -> anyhow::Result<()> {
    let place = Place::new("supervised-reload")?;
    let mut aggregator = Aggregator::init(&Programs::of_this_build()?, &place.at("aggregator"), Pace::BRISK)?;
    let manager = Manager::new(&place, "notify")?;
    for (name, value) in manager.environment() {
        aggregator.set_env(name, &value);
    }
    aggregator.start()?;
    manager.await_word("READY=1")?;
    let process = i32::try_from(aggregator.id()?).ok().and_then(rustix::process::Pid::from_raw).context("its id")?;
    rustix::process::kill_process(process, rustix::process::Signal::HUP)?;
    manager.await_word("RELOADING=1")?;
    manager.await_word("READY=1")?;
    Ok(aggregator.stop()?)
}
