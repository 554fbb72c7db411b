//! The sources that run, each on its thread; some are changed while the others go on.
//!
//! In: tables of sources. Out: threads that read. A change goes in steps, none of which holds up the sources that it does
//! not touch: [`Sources::plan`] checks and reads nothing; [`Sources::take`] asks those to end that changed or went;
//! [`Stopping::wait`]; then whoever owns the outlet commits what they handed over; [`Sources::begin`] starts the new ones,
//! which go on at their checkpoints, and with the captures that those before them left open.
//!
//! Invariants: which source a file belongs to changes only in [`Sources::begin`], when what was read by then is committed;
//! a number in the table of sources is used again only when its source has ended, and says whose it is until then.

use std::collections::{BTreeMap, BTreeSet};
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
use super::paced::Paced;
use super::packet::capture::Baton;
use super::wake::Wake;
use super::{Kind, Plan, SourceConfig, StartError, keep_running, run_began};
use crate::handover::{Checkpoints, Outlet, SourceIndex};
use crate::limits::Governor;
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
    /// Where its capture lies when it has ended.
    baton: Arc<Baton>,
    ended: Receiver<()>,
}

/// All sources of the agent, each on its thread.
pub struct Sources {
    running: Vec<Running>,
    files: Arc<FileSources>,
    checkpoints: Arc<dyn Checkpoints>,
    clock: Clock,
    own: OwnTraffic,
    governor: Governor,
    /// Sources that did not end: what they still hand over is said to be theirs.
    left: BTreeMap<SourceIndex, SourceConfig>,
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
    /// `own` out; what can be read again is handed over when `governor` says so. Beside them those that get no thread, and
    /// why: they stop no other.
    ///
    /// # Errors
    /// [`StartError`]: one cannot be built; none was started.
    pub fn start<O: Outlet + 'static>(
        table: &[SourceConfig],
        checkpoints: &Arc<dyn Checkpoints>,
        clock: &Clock,
        own: &OwnTraffic,
        governor: &Governor,
        mut outlet: impl FnMut(SourceIndex) -> O,
    ) -> Result<(Self, Vec<(String, String)>), StartError> {
        if table.len() > usize::from(u16::MAX) {
            return Err(StartError::TooMany);
        }
        let plans = table.iter().map(|config| Plan::of(config, own)).collect::<Result<Vec<_>, _>>()?;
        let (checkpoints, clock, own) = (Arc::clone(checkpoints), clock.clone(), own.clone());
        let governor = governor.clone();
        let files = Arc::new(FileSources::new(Watch::start(), Vec::new()));
        let (running, left) = (Vec::new(), BTreeMap::new());
        let mut sources = Self { running, files, checkpoints, clock, own, governor, left };
        let patterns = table.iter().zip(&plans).map(|(config, plan)| (config.name.clone(), plan.file_patterns()));
        sources.files.rearrange(patterns.filter_map(|(name, patterns)| Some((name, patterns?))).collect());
        let (since, mut failed) = (run_began(&sources.clock), Vec::new());
        // Frames name sources by their place in the table: one that does not start leaves its own empty.
        for ((config, plan), index) in table.iter().zip(plans).zip((0..=u16::MAX).map(SourceIndex)) {
            if let Err(error) = sources.spawn((config.clone(), plan), (index, since), Arc::default(), outlet(index)) {
                failed.push((config.name.clone(), error.to_string()));
            }
        }
        Ok((sources, failed))
    }

    fn spawn(
        &mut self,
        (config, plan): (SourceConfig, Plan),
        (index, since): (SourceIndex, Timestamp),
        baton: Arc<Baton>,
        outlet: impl Outlet + 'static,
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
        let (wake, health, passed) = (Arc::clone(&around.wake), Arc::clone(&around.health), Arc::clone(&baton));
        let mut outlet = Paced {
            outlet,
            governor: self.governor.clone(),
            clock: self.clock.clone(),
            wake: Arc::clone(&wake),
            health: Arc::clone(&health),
        };
        let patterns = plan.file_patterns();
        // Linux shows 15 bytes of it; NUL cannot stand in a thread's name.
        let thread = thread::Builder::new().name(format!("src-{}", config.name).replace('\0', ""));
        let spawned = thread.spawn(move || {
            let _ended = say_ended;
            let _watched = pulse::enter(&format!("src-{}", around.name));
            shared::fault::point("source.began");
            let make = || plan.build(around.clone(), &passed);
            keep_running(make, &mut outlet, &around.wake, &around.health, FIRST_PAUSE);
        });
        match spawned {
            Ok(_) => {
                self.running.push(Running { config, index, patterns, since, wake, health, baton, ended });
                Ok(())
            }
            Err(problem) => Err(StartError::Thread { source_name: config.name, problem }),
        }
    }

    /// How every source is, in the order of the table.
    pub fn health(&self) -> impl Iterator<Item = (&SourceConfig, HealthSnapshot)> {
        self.running.iter().map(|running| (&running.config, running.health.snapshot()))
    }

    /// Every source with its number in the table, those that did not end too.
    pub fn numbered(&self) -> impl Iterator<Item = (SourceIndex, &SourceConfig)> {
        let left = self.left.iter().map(|(index, config)| (*index, config));
        self.running.iter().map(|running| (running.index, &running.config)).chain(left)
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
        self.left.extend(left.map(|running| (running.index, running.config.clone())));
        let taken: BTreeSet<SourceIndex> = self.running.iter().map(|running| running.index).collect();
        let free = (0..=u16::MAX).map(SourceIndex);
        let free = free.filter(|index| !taken.contains(index) && !self.left.contains_key(index));
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
            let baton = self.baton(&config, before);
            let Err(error) = self.spawn((config, plan), (index, since), Arc::clone(&baton), outlet(index)) else {
                continue;
            };
            failed.push((name, error.to_string()));
            let old = before.map(|before| before.config.clone());
            let again = old.and_then(|old| Some((Plan::of(&old, &self.own).ok()?, old)));
            if let Some((plan, old)) = again
                && let Err(error) = self.spawn((old, plan), (index, since), baton, outlet(index))
            {
                tracing::error!(%error, "the source as it was cannot be started again either");
            }
        }
        self.running.sort_by(|a, b| a.config.name.cmp(&b.config.name));
        // Files may have come to those that were not changed, and gone from them.
        self.running.iter().for_each(|running| running.wake.poke());
        failed
    }

    /// Where a source finds the capture of the one before it. What is no capture would keep it open for nothing, and one
    /// that did not end has it still.
    fn baton(&self, config: &SourceConfig, before: Option<&Running>) -> Arc<Baton> {
        let ended = before.filter(|before| !self.left.contains_key(&before.index));
        match (&config.kind, ended) {
            (Kind::Packet(_), Some(ended)) => Arc::clone(&ended.baton),
            _ => Arc::default(),
        }
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
