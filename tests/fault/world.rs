//! One aggregator, one agent, authors, and what the lake holds of their lines.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, ensure};
use picket_tests::harness::{
    Agent, Aggregator, Metrics, Pace, Place, Programs, Random, assert_books, await_until, parquet_files, rows_of,
};
use shared::identity::Lane;
use xtask::Failure;

use crate::authors::{Author, Found};
use crate::full_disk::Disk;

/// Everything that is awaited comes within seconds; a machine that is busy with other things gets its time.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Blocks as short as a configuration allows, so that commits come often.
pub const PACE: Pace = Pace { block: Duration::from_millis(100), commit: Duration::from_millis(100) };

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The agent.
    Agent,
    /// The aggregator.
    Aggregator,
}

/// The two programs in a place of their own. Each of the authors writes to a lane of its own.
pub struct World {
    pub agent: Agent,
    pub aggregator: Aggregator,
    pub authors: Vec<Author>,
    pub random: Random,
    running: [bool; 2],
    /// What the lake has, and the files that it was read from: they never change.
    found: Found,
    read: BTreeSet<PathBuf>,
    // Last, so that both go after the processes are gone.
    pub disk: Option<Disk>,
    place: Place,
}

/// A fleet file whose sources read `*<lane>.log` of a folder, one a lane; `spool` is the text of its key, or nothing.
pub fn fleet(logs: &std::path::Path, spool: &str) -> String {
    let source = |lane: &str| {
        format!("    {lane}: {{ type: file, include: [\"{}/*{lane}.log\"], lane: {lane} }}\n", logs.display())
    };
    format!("version: 1\ndefaults:\n{spool}  sources:\n{}{}", source("high"), source("normal"))
}

impl World {
    /// Both enrolled and running; authors that have written nothing.
    pub fn start(name: &str, seed: u64) -> anyhow::Result<Self> {
        Self::start_in(Place::new(name)?, seed, "", |_, _| Ok(None))
    }

    /// As [`start`](Self::start), with a spool of its own (see [`fleet`]), and perhaps with a disk below a folder of the
    /// place, mounted before anything is started.
    pub fn start_in(
        mut place: Place,
        seed: u64,
        spool: &str,
        mount: impl FnOnce(&Place, &Aggregator) -> anyhow::Result<Option<Disk>>,
    ) -> anyhow::Result<Self> {
        println!("seed {seed}: PICKET_SEED={seed} repeats this");
        place.keep_as_evidence(true);
        let programs = Programs::of_this_build()?;
        let logs = place.at("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("create {}", logs.display()))?;
        let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), PACE)?;
        // The smallest journal: its segments are read whole at every start.
        aggregator.configure("journal", "journal: { max_bytes: 256MiB, retain: 30d, block_interval: 100ms }")?;
        let disk = mount(&place, &aggregator)?;
        aggregator.start()?;
        let agent = Agent::enroll(&programs, &place.at("agent"), &aggregator, "host-1", &fleet(&logs, spool))?;
        let author = |lane: Lane| Author::new(&logs, lane.name(), seed ^ u64::from(lane as u8));
        let authors = vec![author(Lane::High)?, author(Lane::Normal)?];
        let random = Random::new(seed);
        let (found, read) = (Found::default(), BTreeSet::new());
        let mut this = Self { agent, aggregator, authors, random, running: [false, true], found, read, disk, place };
        this.up(Side::Agent)?;
        Ok(this)
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    fn set_env(&mut self, side: Side, name: &str, value: &str) {
        match side {
            Side::Agent => self.agent.set_env(name, value),
            Side::Aggregator => self.aggregator.set_env(name, value),
        }
    }

    /// How a program ended, if it has.
    pub fn ended(&mut self, side: Side) -> xtask::Result<Option<ExitStatus>> {
        match side {
            Side::Agent => self.agent.ended(),
            Side::Aggregator => self.aggregator.ended(),
        }
    }

    /// Starts a program that does not run, to do as it should.
    pub fn up(&mut self, side: Side) -> anyhow::Result<()> {
        if !self.running[side as usize] {
            self.set_env(side, "PICKET_FAULT", "");
            match side {
                Side::Agent => self.agent.start()?,
                Side::Aggregator => self.aggregator.start()?,
            }
            self.running[side as usize] = true;
        }
        Ok(())
    }

    /// Ends a program that runs: with SIGKILL, or as a service manager does.
    pub fn down(&mut self, side: Side, kill: bool) -> anyhow::Result<()> {
        if std::mem::take(&mut self.running[side as usize]) {
            match (side, kill) {
                (Side::Agent, true) => self.agent.kill()?,
                (Side::Agent, false) => {
                    // Before it answers it may not listen to signals yet.
                    await_until("the agent's status", DEADLINE, || self.agent.metrics().map(Some))?;
                    self.agent.stop()?;
                }
                (Side::Aggregator, true) => self.aggregator.kill()?,
                (Side::Aggregator, false) => self.aggregator.stop()?,
            }
        }
        Ok(())
    }

    /// Starts a program, which is down, to die at the `passes`th passing of a point.
    pub fn arm(&mut self, side: Side, point: &str, passes: u64) -> anyhow::Result<()> {
        ensure!(!self.running[side as usize], "{side:?} runs");
        self.set_env(side, "PICKET_FAULT", &format!("{point}:{passes}"));
        match side {
            Side::Agent => self.agent.start()?,
            // It may die before it answers.
            Side::Aggregator => match self.aggregator.start() {
                Err(failure) if self.aggregator.ended()?.is_none() => return Err(failure.into()),
                _ => {}
            },
        }
        self.running[side as usize] = true;
        Ok(())
    }

    /// Writes until one of the armed programs has died; which.
    pub fn write_until_death(&mut self, armed: &[Side]) -> anyhow::Result<Side> {
        let (dead, status) = await_until(&format!("the death of {armed:?}"), DEADLINE, || {
            for side in armed {
                if let Some(status) = self.ended(*side)? {
                    return Ok(Some((*side, status)));
                }
            }
            self.write().map_err(|error| Failure::new(format!("{error:#}")))?;
            Ok(None)
        })?;
        self.running[dead as usize] = false;
        ensure!(
            status.signal() == Some(9),
            "{dead:?} ended with {status} and not at the point; its log: {}",
            self.logs()
        );
        Ok(dead)
    }

    /// A few lines by one author or both.
    pub fn write(&mut self) -> anyhow::Result<()> {
        for author in &mut self.authors {
            if !self.random.one_in(3) {
                author.write(&mut self.random)?;
            }
        }
        Ok(())
    }

    /// A few lines by every author.
    pub fn write_all(&mut self) -> anyhow::Result<()> {
        self.write_first(self.authors.len())
    }

    /// A few lines by each of the first `count` authors.
    pub fn write_first(&mut self, count: usize) -> anyhow::Result<()> {
        self.authors.iter_mut().take(count).try_for_each(|author| author.write(&mut self.random))
    }

    /// Deletes the agent's sled folder. The agent is down.
    pub fn delete_index(&mut self) -> anyhow::Result<()> {
        ensure!(!self.running[Side::Agent as usize], "the agent runs");
        let index = self.agent.state().join("spool/index");
        match std::fs::remove_dir_all(&index) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("delete {}", index.display()))
            }
            _ => Ok(()),
        }
    }

    /// What both programs print.
    pub fn logs(&self) -> String {
        format!("{} {}", self.agent.log().display(), self.aggregator.log().display())
    }

    /// How many lines were written.
    pub fn written(&self) -> usize {
        self.authors.iter().map(Author::lines).sum()
    }

    /// The lake as it is now.
    ///
    /// # Panics
    /// As [`Found::take`].
    #[track_caller]
    fn found(&mut self) -> anyhow::Result<&Found> {
        let lake = self.aggregator.lake();
        let files: BTreeSet<PathBuf> = parquet_files(&lake)?.into_iter().collect();
        let gone: Vec<_> = self.read.difference(&files).collect();
        ensure!(gone.is_empty(), "files of the lake are gone: {gone:?}");
        for path in files {
            if !self.read.contains(&path) {
                rows_of(&lake, &path)?.into_iter().for_each(|row| self.found.take(row));
                self.read.insert(path);
            }
        }
        Ok(&self.found)
    }

    /// Waits until the lake has every line that was written.
    #[track_caller]
    pub fn await_lines(&mut self) -> anyhow::Result<()> {
        let expected = self.written();
        let all = await_until(&format!("{expected} lines in the lake"), DEADLINE, || {
            let found = self.found().map_err(|error| Failure::new(format!("{error:#}")))?;
            Ok((found.distinct() >= expected).then_some(()))
        });
        let (logs, Self { found, authors, .. }) = (self.logs(), self);
        if let Err(failure) = all {
            println!("{failure}; {} have come; logs: {logs}", found.distinct());
            // Says which are missing.
            found.assert_nothing_lost(authors);
            return Err(failure.into());
        }
        Ok(())
    }

    /// Each line is in the lake, and nothing that nobody wrote. How many came more than once.
    #[track_caller]
    pub fn assert_nothing_lost(&self) -> usize {
        self.found.assert_nothing_lost(&self.authors)
    }

    /// Both run as they should until every line is in the lake, exactly once and in order.
    #[track_caller]
    pub fn settle(&mut self) -> anyhow::Result<()> {
        self.up(Side::Aggregator)?;
        self.up(Side::Agent)?;
        self.await_lines()?;
        self.found.assert_exactly(&self.authors);
        self.authors.iter_mut().for_each(Author::delivered);
        Ok(())
    }

    /// Waits until nothing is on its way.
    pub fn await_quiet(&mut self) -> anyhow::Result<Metrics> {
        let (agent, aggregator) = (&self.agent, &self.aggregator);
        let quiet = await_until("quiet books", DEADLINE, || {
            let metrics = agent.metrics()?.and(aggregator.metrics()?);
            let pending = [
                ("picket_agent_books_records", "held"),
                ("picket_agent_books_records", "spooled"),
                ("picket_aggregator_books_records", "pending"),
                ("picket_aggregator_books_sink_events", "pending"),
            ];
            let pending: u64 = pending.iter().map(|(family, entry)| metrics.count(family, &[("entry", entry)])).sum();
            Ok((pending == 0).then_some(metrics))
        });
        quiet.with_context(|| self.logs())
    }

    /// How every test ends where nothing may be lost or doubled.
    #[track_caller]
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.settle()?;
        self.await_quiet()?;
        self.found()?;
        self.found.assert_exactly(&self.authors);
        self.close()
    }

    /// The books add up and know of no loss, both stop cleanly, and what they leave on disk reads.
    #[track_caller]
    pub fn close(mut self) -> anyhow::Result<()> {
        let metrics = self.await_quiet()?;
        assert_books(&metrics);
        for family in ["picket_agent_books_records", "picket_aggregator_books_chain_records"] {
            assert_eq!(metrics.count(family, &[("entry", "lost")]), 0, "{family} knows of a loss");
        }
        self.down(Side::Agent, false)?;
        self.down(Side::Aggregator, false)?;
        self.agent.command(&["spool", "verify"])?;
        self.aggregator.command(&["journal", "verify"])?;
        self.place.keep_as_evidence(false);
        Ok(())
    }
}
