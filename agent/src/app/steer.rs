//! Applies what the fleet says while the agent runs: checks, keeps, stops what changed, commits, starts anew.
//!
//! In: documents that the uplink verified. Out: other sources; [`ConfigStatus`]. Sources that are the same go on untouched.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::fleet::document::{Document, Signed};
use shared::fleet::{AgentConfig, Unavailable};
use shared::stop::{Stage, Stop};
use shared::yaml::Place;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{on_full, origins, sources};
use crate::source::Sources;
use crate::spool::{Reconfigure, Spool, SpoolPort};
use crate::steering::{ConfigStatus, Kept, Refused, TRIAL};

/// A source that does not end by then is left behind, and named: it hangs in the kernel.
const SOURCE_PATIENCE: Duration = Duration::from_secs(60);
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
}

fn lock(sources: &SharedSources) -> MutexGuard<'_, Option<Sources>> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Steersman<'_> {
    /// Applies what comes until the program stops.
    pub(super) async fn run(mut self, mut coming: watch::Receiver<Option<(Signed, Document)>>) {
        let mut proven_at = self.kept.on_trial().then(|| Instant::now() + TRIAL);
        loop {
            tokio::select! {
                _ = self.stop.reached(Stage::Draining) => break,
                () = until(proven_at) => {
                    proven_at = None;
                    self.prove();
                }
                changed = coming.changed() => {
                    let next = coming.borrow_and_update().clone();
                    let (Ok(()), Some((signed, document))) = (changed, next) else { continue };
                    if self.take(signed, &document).await {
                        proven_at = Some(Instant::now() + TRIAL);
                    }
                }
            }
        }
        if let Err(error) = self.kept.ended_well() {
            tracing::warn!(%error, "a clean end is counted as another");
        }
    }

    fn prove(&mut self) {
        match self.kept.proven() {
            Ok(()) => self.in_force.send_modify(|status| status.on_trial = false),
            Err(error) => tracing::error!(%error, "the configuration works and cannot be kept"),
        }
    }

    /// Whether another configuration is in force now.
    async fn take(&mut self, signed: Signed, document: &Document) -> bool {
        let hash = signed.hash();
        if !self.kept.is_news(&hash) {
            return false;
        }
        let config = match document.read() {
            Ok(config) => config,
            Err(reason) => {
                tracing::error!(hash, reason, "the fleet's configuration is refused; what is in force stays");
                let refused = Refused { hash, reason };
                self.in_force.send_modify(|status| status.refused = Some(refused));
                return false;
            }
        };
        if let Err(error) = self.kept.begin_trial(signed) {
            tracing::error!(hash, %error, "the fleet's configuration is not applied");
            let refused = Refused { hash, reason: error.to_string() };
            self.in_force.send_modify(|status| status.refused = Some(refused));
            return false;
        }
        shared::fault::point("fleet.trying");
        let Some(failed) = self.apply(&config, &hash).await else { return false };
        tracing::info!(hash, groups = ?config.groups, sources = config.sources.len(), "the fleet's configuration is in force");
        let unavailable = |(name, reason)| Unavailable { name, place: Place::START, reason };
        let unavailable: Vec<_> =
            config.unavailable.iter().cloned().chain(failed.into_iter().map(unavailable)).collect();
        unavailable.iter().for_each(|source| {
            tracing::warn!(source = source.name, reason = source.reason, "this source does not run here as asked");
        });
        let groups = config.groups;
        self.in_force.send_replace(ConfigStatus { running: hash, groups, on_trial: true, refused: None, unavailable });
        true
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
        hanging.iter().for_each(|source| tracing::error!(source, "the source does not end and is left behind"));
        shared::fault::point("fleet.stopped");
        while !self.port.settle().await {
            tokio::select! {
                _ = self.stop.reached(Stage::Draining) => return None,
                () = tokio::time::sleep(SETTLE_INTERVAL) => {}
            }
        }
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
        let mut sources = lock(&self.sources);
        let failed = sources.as_mut()?.begin(change, stopping, &numbers, |_| self.spool.outlet());
        shared::fault::point("fleet.applied");
        Some(failed)
    }

    async fn wait(&self, stopping: crate::source::Stopping) -> Option<(crate::source::Stopping, Vec<String>)> {
        let waiting = tokio::task::spawn_blocking(move || {
            let hanging = stopping.wait(SOURCE_PATIENCE);
            (stopping, hanging)
        });
        tokio::select! {
            waited = waiting => waited.ok(),
            _ = self.stop.reached(Stage::Draining) => None,
        }
    }
}

/// Sleeps until then, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
