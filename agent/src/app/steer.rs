//! Applies what the fleet says while the agent runs: checks, keeps, stops what changed, commits, starts anew.
//!
//! In: documents that the uplink verified, or a fleet file of the host's own whenever somebody asks for a reload. Out: other
//! sources; [`ConfigStatus`]. Sources that are the same go on untouched.
//!
//! A document that cannot be kept (a full disk) is not applied, and tried again until it can be or another one comes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::fleet::document::{Document, Signed};
use shared::fleet::{AgentConfig, Unavailable};
use shared::stop::{Stage, Stop};
use shared::yaml::Place;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{on_full, origins, sources};
use crate::config::Config;
use crate::limits::Governor;
use crate::source::{Sources, Stopping};
use crate::spool::{Reconfigure, Spool, SpoolPort};
use crate::steering::{ConfigStatus, Kept, Refused, TRIAL};

/// A source that does not end by then is left behind, and named: it hangs in the kernel.
const SOURCE_PATIENCE: Duration = Duration::from_secs(60);
/// A source that does not end is left behind after this when the program stops.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Whether the program stops is looked after this often while sources end.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// What could not be written to disk is tried again after this.
const KEEP_RETRY: Duration = Duration::from_secs(10);
/// A change that waits for the disk for so long is worth a word.
const SETTLE_WORTH_A_WORD: Duration = Duration::from_secs(5);
/// What was handed over is looked after this often until it is on disk.
const SETTLE_INTERVAL: Duration = Duration::from_millis(20);

/// What is in force, for those who tell of it.
pub(super) type InForce = watch::Sender<ConfigStatus>;

/// The sources as all see them; none once the program stops.
pub(super) type SharedSources = Arc<Mutex<Option<Sources>>>;

/// Carries out what the fleet says.
pub(super) struct Steersman<'a> {
    pub(super) state_dir: PathBuf,
    pub(super) spool: &'a Spool,
    pub(super) port: SpoolPort,
    pub(super) sources: SharedSources,
    pub(super) in_force: &'a InForce,
    pub(super) kept: Kept,
    pub(super) stop: Stop,
    pub(super) governor: Governor,
}

fn lock(sources: &SharedSources) -> MutexGuard<'_, Option<Sources>> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What became of a document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It is in force.
    Applied,
    /// It is in force already, cannot be run, or the program stops.
    Left,
    /// The disk does not take it now.
    Later,
}

impl Steersman<'_> {
    /// Applies what comes until the program stops.
    pub(super) async fn run(mut self, mut coming: watch::Receiver<Option<(Signed, Document)>>) {
        let mut proven_at = self.kept.on_trial().then(|| Instant::now() + TRIAL);
        let mut again_at = None;
        loop {
            tokio::select! {
                _ = self.stop.reached(Stage::Draining) => break,
                () = until(proven_at) => {
                    proven_at = (!self.prove()).then(|| Instant::now() + TRIAL);
                    continue;
                }
                () = until(again_at) => {}
                changed = coming.changed() => {
                    if changed.is_err() {
                        self.stop.reached(Stage::Draining).await;
                        break;
                    }
                }
            }
            again_at = None;
            let next = coming.borrow_and_update().clone();
            let Some((signed, document)) = next else { continue };
            match self.take(signed, &document).await {
                Taken::Applied => proven_at = Some(Instant::now() + TRIAL),
                Taken::Left => {}
                Taken::Later => again_at = Some(Instant::now() + KEEP_RETRY),
            }
        }
        if let Err(error) = self.kept.ended_well() {
            tracing::warn!(%error, "a clean end is counted as another");
        }
    }

    /// Reads a fleet file of the host's own again, whenever `asked` says so, until the program stops. One with problems
    /// changes nothing.
    pub(super) async fn run_local(self, path: &Path, mut asked: watch::Receiver<Config>) {
        loop {
            tokio::select! {
                _ = self.stop.reached(Stage::Draining) => return,
                changed = asked.changed() => if changed.is_err() { return },
            }
            let config = asked.borrow_and_update().clone();
            match super::local_fleet(path, &config) {
                Ok((fleet, hash)) => {
                    let Some(failed) = self.apply(&fleet, &hash).await else { return };
                    tracing::info!(path = %path.display(), sources = fleet.sources.len(), "the fleet file of this host is in force");
                    let unavailable = unavailable(&fleet, failed);
                    self.in_force
                        .send_modify(|status| (status.groups, status.unavailable) = (fleet.groups, unavailable));
                }
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the fleet file of this host is refused; what is in force stays");
                }
            }
        }
    }

    /// Whether what is tried is now known to work; else the disk does not take it.
    fn prove(&mut self) -> bool {
        match self.kept.proven() {
            Ok(()) => self.in_force.send_modify(|status| status.on_trial = false),
            Err(error) => {
                tracing::error!(%error, "the configuration works and cannot be kept; it is tried again");
                return false;
            }
        }
        true
    }

    fn refuse(&self, hash: String, reason: String) {
        self.in_force.send_modify(|status| status.refused = Some(Refused { hash, reason }));
    }

    async fn take(&mut self, signed: Signed, document: &Document) -> Taken {
        let hash = signed.hash();
        if !self.kept.is_news(&hash) {
            if self.in_force.borrow().running == hash {
                // Said again: what was refused meanwhile is wanted no more.
                self.in_force.send_modify(|status| status.refused = None);
            }
            return Taken::Left;
        }
        let config = match document.read() {
            Ok(config) => config,
            Err(reason) => {
                tracing::error!(hash, reason, "the fleet's configuration is refused; what is in force stays");
                self.refuse(hash, reason);
                return Taken::Left;
            }
        };
        if let Err(error) = self.kept.begin_trial(signed) {
            tracing::error!(hash, %error, again_in = ?KEEP_RETRY, "the fleet's configuration is not applied");
            self.refuse(hash, error.to_string());
            return Taken::Later;
        }
        shared::fault::point("fleet.trying");
        let Some(failed) = self.apply(&config, &hash).await else { return Taken::Left };
        tracing::info!(hash, groups = ?config.groups, sources = config.sources.len(), "the fleet's configuration is in force");
        let unavailable = unavailable(&config, failed);
        let groups = config.groups;
        self.in_force.send_replace(ConfigStatus { running: hash, groups, on_trial: true, refused: None, unavailable });
        Taken::Applied
    }

    /// Other sources; those that could not be started, and why. None: the program stops.
    async fn apply(&self, config: &AgentConfig, hash: &str) -> Option<Vec<(String, String)>> {
        let table = sources(config, &self.state_dir);
        let (change, stopping) = {
            let mut sources = lock(&self.sources);
            let sources = sources.as_mut()?;
            let change = sources.plan(&table);
            let stopping = sources.take(&change);
            (change, stopping)
        };
        let (stopping, hanging) = self.wait(stopping).await?;
        shared::fault::point("fleet.stopped");
        self.settle().await?;
        shared::fault::point("fleet.settled");
        let (numbers, reconfigure) = {
            let mut sources = lock(&self.sources);
            let sources = sources.as_mut()?;
            let numbers = sources.numbers(&change, &stopping, &hanging);
            let kept = sources.numbered().map(|(index, source)| (index, source.clone()));
            let new = numbers.iter().copied().zip(change.starting().cloned());
            let reconfigure = Reconfigure {
                sources: origins(kept.chain(new)),
                max_bytes: config.spool.max_bytes,
                on_full: on_full(config),
                config_hash: hash.to_owned(),
            };
            (numbers, reconfigure)
        };
        self.port.reconfigure(reconfigure).await;
        self.governor.limit(&config.limits);
        let mut sources = lock(&self.sources);
        let failed = sources.as_mut()?.begin(change, stopping, &numbers, |_| self.spool.outlet());
        shared::fault::point("fleet.applied");
        Some(failed)
    }

    /// Waits until what stopped sources handed over is on disk. None: the program stops.
    async fn settle(&self) -> Option<()> {
        let (begun, mut said) = (Instant::now(), false);
        while !self.port.settle().await {
            if !said && begun.elapsed() > SETTLE_WORTH_A_WORD {
                tracing::warn!(
                    "the change waits until the spool has written what its sources read; they read nothing meanwhile"
                );
                said = true;
            }
            tokio::select! {
                _ = self.stop.reached(Stage::Draining) => return None,
                () = tokio::time::sleep(SETTLE_INTERVAL) => {}
            }
        }
        Some(())
    }

    /// Waits until sources have ended; those that do not. None: the program stops, which waits for them too.
    async fn wait(&self, stopping: Stopping) -> Option<(Stopping, Vec<String>)> {
        let stop = self.stop.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let (begun, mut stopped_at) = (Instant::now(), None);
            loop {
                let hanging = stopping.wait(STOP_INTERVAL);
                let now = Instant::now();
                if stop.requested() {
                    stopped_at.get_or_insert(now);
                }
                let is_over = now >= begun + SOURCE_PATIENCE || stopped_at.is_some_and(|at| now >= at + STOP_PATIENCE);
                if hanging.is_empty() || is_over {
                    return (stopping, hanging);
                }
            }
        });
        let waited = waiting.await.ok()?;
        waited.1.iter().for_each(|source| tracing::error!(source, "the source does not end and is left behind"));
        Some(waited).filter(|_| !self.stop.requested())
    }
}

/// What a configuration asks for and does not run, each said once: what cannot be read here, and what could not be started.
fn unavailable(config: &AgentConfig, failed: Vec<(String, String)>) -> Vec<Unavailable> {
    let failed = failed.into_iter().map(|(name, reason)| Unavailable { name, place: Place::START, reason });
    let unavailable: Vec<_> = config.unavailable.iter().cloned().chain(failed).collect();
    unavailable.iter().for_each(|source| {
        tracing::warn!(source = source.name, reason = source.reason, "this source does not run here as asked");
    });
    unavailable
}

/// Sleeps until then, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
