//! One aggregator and one enrolled agent that reads `logs/*.log` of a place: what most tests begin with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::lake::{Row, parquet_files, rows_of};
use super::{Agent, Aggregator, Metrics, Pace, Place, Programs, assert_books, await_until};

/// The two, in a place of their own.
#[derive(Debug)]
pub struct Pair {
    /// The agent.
    pub agent: Agent,
    /// The aggregator.
    pub aggregator: Aggregator,
    // Last, so that it is removed after both processes are gone.
    place: Place,
}

impl Pair {
    /// Both, enrolled and running, in a place called `name`; the agent reads what is written into [`logs`](Self::logs).
    ///
    /// # Errors
    /// A program is missing or does not start.
    pub fn start(name: &str) -> anyhow::Result<Self> {
        let place = Place::new(name)?;
        let fleet = fleet(&place.at("logs"), "");
        Self::start_with(place, &fleet)
    }

    /// As [`start`](Self::start), with a fleet file of the test's own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(place: Place, fleet: &str) -> anyhow::Result<Self> {
        Self::start_configured(place, fleet, &[])
    }

    /// As [`start_with`](Self::start_with), with top-level keys of the aggregator's configuration replaced by lines.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_configured(mut place: Place, fleet: &str, keys: &[(&str, &str)]) -> anyhow::Result<Self> {
        place.keep_as_evidence(true);
        let programs = Programs::of_this_build()?;
        let logs = place.at("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?;
        for (key, line) in keys {
            aggregator.configure(key, line)?;
        }
        aggregator.start()?;
        let mut agent = Agent::enroll(&programs, &place.at("agent"), &aggregator, "host-1", fleet)?;
        agent.start()?;
        Ok(Self { agent, aggregator, place })
    }

    /// As [`start`](Self::start), but the agent has no fleet file of its own: the aggregator's is `fleet`. The host claims
    /// the label `role: web`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_steered(mut place: Place, fleet: &str) -> anyhow::Result<Self> {
        place.keep_as_evidence(true);
        let programs = Programs::of_this_build()?;
        let logs = place.at("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), Pace::BRISK)?;
        aggregator.set_fleet(fleet)?;
        aggregator.start()?;
        let labels = "labels: { role: web }\n";
        let mut agent = Agent::enroll_steered(&programs, &place.at("agent"), &aggregator, "web-1", labels)?;
        agent.start()?;
        Ok(Self { agent, aggregator, place })
    }

    /// Two programs that run already, in their place.
    #[must_use]
    pub fn of(mut place: Place, agent: Agent, aggregator: Aggregator) -> Self {
        place.keep_as_evidence(true);
        Self { agent, aggregator, place }
    }

    /// How every test ends: when all is quiet the books add up, and both programs stop cleanly.
    ///
    /// # Errors
    /// Something is still on its way at `deadline`, or a program does not stop with 0.
    ///
    /// # Panics
    /// The books do not add up.
    #[track_caller]
    pub fn finish(self, deadline: Duration) -> anyhow::Result<()> {
        assert_books(&self.await_quiet(deadline)?);
        self.stop()
    }

    /// Stops both, for an agent that is never quiet: one that tells of processes tells of those that ask it how it is.
    ///
    /// # Errors
    /// A program does not stop with 0.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.agent.stop()?;
        self.aggregator.stop()?;
        self.place.keep_as_evidence(false);
        Ok(())
    }

    /// The folder whose `*.log` files the agent reads.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.place.at("logs")
    }

    /// The place.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Waits until the lake holds at least `count` events with a raw line below the logs folder, then gives all of those.
    ///
    /// # Errors
    /// They are fewer at `deadline`; the message says how many, and what both programs said last.
    pub fn await_lines(&self, count: usize, deadline: Duration) -> anyhow::Result<Vec<Row>> {
        let (lake, logs) = (self.aggregator.lake(), self.logs());
        let (mut read, mut found) = (BTreeSet::new(), Vec::new());
        let arrived = await_until(&format!("{count} lines in the lake"), deadline, || {
            // A file of the list is whole and never changes, but the list may be of a moment ago.
            for path in parquet_files(&lake).unwrap_or_default() {
                if read.contains(&path) {
                    continue;
                }
                let Ok(rows) = rows_of(&lake, &path) else { return Ok(None) };
                found.extend(rows.into_iter().filter(|row| Path::new(&row.log_name).starts_with(&logs)));
                read.insert(path);
            }
            Ok((found.len() >= count).then_some(()))
        });
        let seen = found.len();
        let arrived = arrived.map(|()| found);
        arrived.with_context(|| {
            format!("the lake holds {seen}; logs: {} {}", self.agent.log().display(), self.aggregator.log().display())
        })
    }

    /// Waits until nothing is on its way: all that the agent observed is acked or lost, all that was journaled delivered.
    ///
    /// # Errors
    /// Something still is at `deadline`.
    pub fn await_quiet(&self, deadline: Duration) -> anyhow::Result<Metrics> {
        let quiet = await_until("quiet books", deadline, || {
            let metrics = self.agent.metrics()?.and(self.aggregator.metrics()?);
            let pending = [
                ("picket_agent_books_records", "held"),
                ("picket_agent_books_records", "spooled"),
                ("picket_aggregator_books_records", "pending"),
                ("picket_aggregator_books_sink_events", "pending"),
            ];
            let pending: u64 = pending.iter().map(|(family, entry)| metrics.count(family, &[("entry", entry)])).sum();
            Ok((pending == 0).then_some(metrics))
        });
        Ok(quiet?)
    }
}

/// A fleet file with one source that reads `*.log` of a folder; `keys` are more of its keys, e.g. `, max_line_bytes: 1KiB`.
#[must_use]
pub fn fleet(logs: &Path, keys: &str) -> String {
    let logs = logs.display();
    format!(
        "version: 1\ndefaults:\n  sources:\n    logs: {{ type: file, include: [\"{logs}/*.log\"], lane: high{keys} }}\n"
    )
}
