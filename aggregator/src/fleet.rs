//! The fleet file in force: watched, taken or refused as a whole, and what each agent gets of it.
//!
//! In: the file, looked at every second and on SIGHUP; of an agent, its name and labels (claimed) and the roster's group
//! (granted). Out: signed documents for sessions ([`crate::ingest::Steering`]), [`FleetState`] for `status` and metrics.
//!
//! Invariants: what is in force was read whole without a problem; a file that has one changes nothing. At a start with a
//! refused file nothing is in force: agents go on with what they have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use shared::fleet::document::{Document, Signed, TooLong};
use shared::fleet::{Fleet, HostFacts};
use shared::identity::AgentId;
use shared::protocol::AgentHello;
use shared::time::{Clock, Timestamp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::ca::enrollment::Enrollment;
use crate::ca::signature::{SignError, Signer};
use crate::ingest::{Desired, Steering};

/// The file is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Which file is in force, and whether a newer one was refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct FleetState {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of what is in force; empty where nothing is.
    pub hash: String,
    /// When it took force.
    pub since: Option<Timestamp>,
    /// Why what the file says now is not in force: every problem with its line.
    pub refused: Option<String>,
    /// What it asks for and this version does not have.
    pub warnings: Vec<String>,
}

/// Why an agent gets nothing.
#[derive(Debug, thiserror::Error)]
enum NothingSent {
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error(transparent)]
    Sign(#[from] SignError),
}

#[derive(Default)]
struct Inner {
    state: FleetState,
    fleet: Option<Arc<Fleet>>,
    /// By what a change of the file shows.
    seen: Option<(SystemTime, u64)>,
    /// What was read last, good or not.
    read: String,
}

/// What the roster grants to an agent: group, zone and tenant of its token, as labels.
#[must_use]
pub fn granted(enrollment: &Enrollment, agent: AgentId) -> BTreeMap<String, String> {
    let facts = enrollment.roster().book().agent(agent).map(|entry| entry.facts.clone()).unwrap_or_default();
    let labels = [("group", facts.group), ("zone", facts.zone), ("tenant", facts.tenant)];
    labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// The watched file.
pub struct FleetFile {
    path: PathBuf,
    signer: Signer,
    enrollment: Arc<Enrollment>,
    clock: Clock,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

impl FleetFile {
    /// Reads the file; one that is refused is said and waited for.
    #[must_use]
    pub fn open(path: &Path, signer: Signer, enrollment: Arc<Enrollment>, clock: Clock) -> Arc<Self> {
        let state = FleetState { path: path.to_owned(), ..FleetState::default() };
        let inner = Mutex::new(Inner { state, ..Inner::default() });
        let this = Self { path: path.to_owned(), signer, enrollment, clock, inner, changed: watch::Sender::new(0) };
        this.look(true);
        Arc::new(this)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> FleetState {
        self.inner().state.clone()
    }

    /// Looks until it is dropped.
    pub async fn run(&self) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            let asked = match &mut hangup {
                Some(hangup) => tokio::select! {
                    _ = ticks.tick() => false,
                    _ = hangup.recv() => true,
                },
                None => {
                    ticks.tick().await;
                    false
                }
            };
            self.look(asked);
        }
    }

    /// Reads the file where it shows a change, or when `asked`.
    fn look(&self, asked: bool) {
        let metadata = std::fs::metadata(&self.path).ok();
        let seen = metadata.and_then(|metadata| Some((metadata.modified().ok()?, metadata.len())));
        let known = std::mem::replace(&mut self.inner().seen, seen);
        if asked || known != seen {
            self.reload();
        }
    }

    fn reload(&self) {
        let read = crate::config::read_fleet(&self.path);
        let hash = read.as_ref().map(|(_, hash)| hash.clone()).unwrap_or_default();
        if !hash.is_empty() && self.inner().read == hash {
            return;
        }
        let path = self.path.display();
        let refused = match read.and_then(|(bytes, _)| crate::config::parse_fleet(&self.path, &bytes)) {
            Ok(fleet) => {
                let warnings: Vec<String> = fleet.warnings().iter().map(ToString::to_string).collect();
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!(%path, hash, "the fleet file is in force");
                let mut inner = self.inner();
                let since = Some(self.clock.now());
                inner.read.clone_from(&hash);
                inner.state = FleetState { path: self.path.clone(), hash, since, refused: None, warnings };
                inner.fleet = Some(Arc::new(fleet));
                drop(inner);
                return self.changed.send_modify(|count| *count += 1);
            }
            Err(error) => error.to_string(),
        };
        tracing::error!(%path, reason = refused, "the fleet file is refused as a whole; agents keep what they have");
        let mut inner = self.inner();
        inner.read = hash;
        inner.state.refused = Some(refused);
    }

    /// What this host gets; none where no file is in force.
    #[must_use]
    pub fn document(&self, agent: AgentId, hostname: &str, claimed: &BTreeMap<String, String>) -> Option<Document> {
        let fleet = self.inner().fleet.clone()?;
        let granted = granted(&self.enrollment, agent);
        let facts = HostFacts { hostname: hostname.to_owned(), claimed: claimed.clone(), granted };
        Some(fleet.document(agent, &facts))
    }

    fn desired(&self, agent: AgentId, hello: &AgentHello) -> Option<Desired> {
        let document = self.document(agent, &hello.hostname, &hello.labels)?;
        match Signed::new::<NothingSent>(&document, |message| Ok(self.signer.sign(message)?)) {
            Ok(signed) => Some(Desired { hash: signed.hash(), message: serde_json::to_value(&signed).ok()? }),
            Err(error) => {
                tracing::error!(%agent, hostname = hello.hostname, %error, "this host gets no configuration");
                None
            }
        }
    }

    /// For sessions.
    #[must_use]
    pub fn steering(self: &Arc<Self>) -> Steering {
        let (this, changed) = (Arc::clone(self), self.changed.subscribe());
        Steering { desired: Arc::new(move |agent, hello| this.desired(agent, hello)), changed }
    }
}
