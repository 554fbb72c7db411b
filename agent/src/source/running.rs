//! The sources that run, each on its thread; some are changed while the others go on.
//!
//! In: tables of sources. Out: threads that read. A change goes in steps, none of which holds up the sources that it does
//! not touch: [`Sources::plan`] checks and reads nothing; [`Sources::take`] asks those to end that changed or went;
//! [`Stopping::wait`]; then whoever owns the outlet commits what they handed over; [`Sources::begin`] starts the new ones,
//! which go on at their checkpoints.
//!
//! Invariants: which source a file belongs to changes only in [`Sources::begin`], when what was read by then is committed;
//! a number in the table of sources is used again only when its source has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use shared::pulse;
use shared::time::{Clock, Timestamp};

use super::file::glob::Patterns;
use super::file::watch::Watch;
use super::file::{FileSources, Surroundings};
use super::health::{Health, HealthSnapshot};
use super::wake::Wake;
use super::{Plan, SourceConfig, StartError, keep_running, run_began};
use crate::handover::{Checkpoints, Outlet, SourceIndex};
use crate::own_traffic::OwnTraffic;

/// The pause before a source that failed is made again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

struct Running {
    config: SourceConfig,
    index: SourceIndex,
    patterns: Option<Arc<Patterns>>,
    /// Since when it has been there, under whatever configuration.
    since: Timestamp,
    wake: Arc<Wake>,
    health: Arc<Health>,
    ended: Receiver<()>,
}

/// All sources of the agent, each on its thread.
pub struct Sources {
    running: Vec<Running>,
    files: Arc<FileSources>,
    checkpoints: Arc<dyn Checkpoints>,
    clock: Clock,
    own: OwnTraffic,
    /// Numbers of sources that did not end.
    left: BTreeSet<SourceIndex>,
}

/// What another table of sources means for those that run.
pub struct Change {
    stop: BTreeSet<String>,
    start: Vec<(SourceConfig, Plan)>,
    /// The sources that cannot be built, and why.
    pub failed: Vec<(String, String)>,
}

impl Change {
    /// The sources that are to be started.
    pub fn starting(&self) -> impl Iterator<Item = &SourceConfig> {
        self.start.iter().map(|(config, _)| config)
    }
}

/// Sources that were asked to end.
pub struct Stopping(Vec<Running>);

impl Stopping {
    /// Waits at most `patience` in all; the names of those that have not ended.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        let hangs = |running: &&Running| {
            let ended = running.ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            // The other end is dropped with the thread: nothing is ever sent.
            ended == Err(RecvTimeoutError::Timeout)
        };
        self.0.iter().filter(hangs).map(|running| running.config.name.clone()).collect()
    }
}

impl Sources {
    /// Starts every source of the table; `outlet` makes the one that a source keeps over its restarts. Captures leave
    /// `own` out.
    ///
    /// # Errors
    /// [`StartError`]; sources that were started by then are asked to end.
    pub fn start<O: Outlet + 'static>(
        table: &[SourceConfig],
        checkpoints: &Arc<dyn Checkpoints>,
        clock: &Clock,
        own: &OwnTraffic,
        mut outlet: impl FnMut(SourceIndex) -> O,
    ) -> Result<Self, StartError> {
        let plans = table.iter().map(|config| Plan::of(config, own)).collect::<Result<Vec<_>, _>>()?;
        let (checkpoints, clock, own) = (Arc::clone(checkpoints), clock.clone(), own.clone());
        let files = Arc::new(FileSources::new(Watch::start(), Vec::new()));
        let mut sources = Self { running: Vec::new(), files, checkpoints, clock, own, left: BTreeSet::new() };
        let patterns = table.iter().zip(&plans).map(|(config, plan)| (config.name.clone(), plan.file_patterns()));
        sources.files.rearrange(patterns.filter_map(|(name, patterns)| Some((name, patterns?))).collect());
        let since = run_began(&sources.clock);
        for (config, plan) in table.iter().zip(plans) {
            let index = sources.free_index().ok_or(StartError::TooMany)?;
            if let Err(error) = sources.spawn(config.clone(), plan, (index, since), outlet(index)) {
                sources.ask_to_end();
                return Err(error);
            }
        }
        Ok(sources)
    }

    fn spawn(
        &mut self,
        config: SourceConfig,
        plan: Plan,
        (index, since): (SourceIndex, Timestamp),
        mut outlet: impl Outlet + 'static,
    ) -> Result<(), StartError> {
        let around = Surroundings {
            index,
            name: config.name.clone(),
            shared: Arc::clone(&self.files),
            checkpoints: Arc::clone(&self.checkpoints),
            started: since,
            clock: self.clock.clone(),
            wake: Arc::default(),
            health: Arc::default(),
        };
        let (say_ended, ended): (SyncSender<()>, _) = sync_channel(1);
        let (wake, health) = (Arc::clone(&around.wake), Arc::clone(&around.health));
        let patterns = plan.file_patterns();
        // Linux shows 15 bytes of it; NUL cannot stand in a thread's name.
        let thread = thread::Builder::new().name(format!("src-{}", config.name).replace('\0', ""));
        let spawned = thread.spawn(move || {
            let _ended = say_ended;
            let _watched = pulse::enter(&format!("src-{}", around.name));
            let make = || plan.build(around.clone());
            keep_running(make, &mut outlet, &around.wake, &around.health, FIRST_PAUSE);
        });
        match spawned {
            Ok(_) => {
                self.running.push(Running { config, index, patterns, since, wake, health, ended });
                Ok(())
            }
            Err(problem) => Err(StartError::Thread { source_name: config.name, problem }),
        }
    }

    /// The lowest number that no source has.
    fn free_index(&self) -> Option<SourceIndex> {
        let taken: BTreeSet<SourceIndex> = self.running.iter().map(|running| running.index).collect();
        (0..=u16::MAX).map(SourceIndex).find(|index| !taken.contains(index) && !self.left.contains(index))
    }

    /// How every source is, in the order of the table.
    pub fn health(&self) -> impl Iterator<Item = (&SourceConfig, HealthSnapshot)> {
        self.running.iter().map(|running| (&running.config, running.health.snapshot()))
    }

    /// Every source with its number in the table.
    pub fn numbered(&self) -> impl Iterator<Item = (SourceIndex, &SourceConfig)> {
        self.running.iter().map(|running| (running.index, &running.config))
    }

    /// What another table means; nothing is opened or stopped.
    #[must_use]
    pub fn plan(&self, table: &[SourceConfig]) -> Change {
        let mut change = Change { stop: BTreeSet::new(), start: Vec::new(), failed: Vec::new() };
        let goes = |running: &&Running| !table.contains(&running.config);
        change.stop = self.running.iter().filter(goes).map(|running| running.config.name.clone()).collect();
        for config in table.iter().filter(|config| self.running.iter().all(|running| running.config != **config)) {
            match Plan::of(config, &self.own) {
                Ok(plan) => change.start.push((config.clone(), plan)),
                Err(error) => {
                    // What it was goes on.
                    change.stop.remove(&config.name);
                    change.failed.push((config.name.clone(), error.to_string()));
                }
            }
        }
        change
    }

    /// Asks the sources to end that a change stops.
    pub fn take(&mut self, change: &Change) -> Stopping {
        let stops = |running: &mut Running| change.stop.contains(&running.config.name);
        let stopping: Vec<Running> = self.running.extract_if(.., stops).collect();
        stopping.iter().for_each(|running| running.wake.stop());
        Stopping(stopping)
    }

    /// The numbers that the sources of a change will have, to be told before they start.
    #[must_use]
    pub fn numbers(&mut self, change: &Change, stopped: &Stopping, hanging: &[String]) -> Vec<SourceIndex> {
        let left = stopped.0.iter().filter(|running| hanging.contains(&running.config.name));
        self.left.extend(left.map(|running| running.index));
        let taken: BTreeSet<SourceIndex> = self.running.iter().map(|running| running.index).collect();
        let free = (0..=u16::MAX).map(SourceIndex).filter(|index| !taken.contains(index) && !self.left.contains(index));
        free.take(change.start.len()).collect()
    }

    /// Starts the sources of a change with these numbers, once what the stopped ones handed over is committed. One that
    /// cannot be started goes on as it was; the names of those, and why.
    pub fn begin<O: Outlet + 'static>(
        &mut self,
        change: Change,
        stopped: Stopping,
        numbers: &[SourceIndex],
        mut outlet: impl FnMut(SourceIndex) -> O,
    ) -> Vec<(String, String)> {
        let mut failed = change.failed;
        let running = self.running.iter().map(|running| (running.config.name.clone(), running.patterns.clone()));
        let starting = change.start.iter().map(|(config, plan)| (config.name.clone(), plan.file_patterns()));
        let patterns = running.chain(starting).filter_map(|(name, patterns)| Some((name, patterns?)));
        self.files.rearrange(patterns.collect());
        let now = self.clock.now();
        for ((config, plan), &index) in change.start.into_iter().zip(numbers) {
            let before = stopped.0.iter().find(|running| running.config.name == config.name);
            let (name, since) = (config.name.clone(), before.map_or(now, |before| before.since));
            let Err(error) = self.spawn(config, plan, (index, since), outlet(index)) else { continue };
            failed.push((name, error.to_string()));
            let old = before.map(|before| before.config.clone());
            let again = old.and_then(|old| Some((Plan::of(&old, &self.own).ok()?, old)));
            if let Some((plan, old)) = again
                && let Err(error) = self.spawn(old, plan, (index, since), outlet(index))
            {
                tracing::error!(%error, "the source as it was cannot be started again either");
            }
        }
        self.running.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        // Files may have come to those that were not changed, and gone from them.
        self.running.iter().for_each(|running| running.wake.poke());
        failed
    }

    /// Asks every source to end and waits at most `patience` in all. Outlets that wait for room must have been told to
    /// stop too. Returns the names of those that did not end.
    #[must_use]
    pub fn stop(self, patience: Duration) -> Vec<String> {
        self.ask_to_end();
        Stopping(self.running).wait(patience)
    }

    fn ask_to_end(&self) {
        self.running.iter().for_each(|running| running.wake.stop());
    }
}
