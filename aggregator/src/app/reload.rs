//! Hot reload: `reduce`, `routes`, `networks` and `parsers` of aggregator.yaml change while the program runs.
//!
//! In: the file, and those of its parsers, looked at every second and on SIGHUP. Out: what it says is compiled beside what is in force; if all of it is
//! right it takes force behind a cut that the journal makes for it, else it is refused with reasons and the old one runs on. Other
//! keys take force at the next start; a file that changes the sinks is refused, since their threads run already.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use shared::durable::DurableError;
use shared::supervisor::Supervisor;
use shared::time::{Clock, Timestamp};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::{self, Config, Downstream, ParsersConfig};
use crate::journal::JournalHandle;
use crate::pipeline::Configurations;

/// The file is looked at this often.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Which configuration is in force, and whether a newer one was refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct ConfigState {
    /// SHA-256 of the file that is in force.
    pub hash: String,
    /// When it took force.
    pub since: Option<Timestamp>,
    /// Why what the file says now is not in force.
    pub refused: Option<String>,
}

/// The state as commands and metrics see it.
pub type SharedState = Arc<Mutex<ConfigState>>;

/// SHA-256 of a file and of those that its parsers stand in, in hexadecimal.
fn hash_of(bytes: &[u8], parsers: &ParsersConfig) -> String {
    let mut whole = bytes.to_vec();
    for path in parsers.files() {
        whole.extend(std::fs::read(&path).unwrap_or_default());
    }
    shared::tls::sha256(&whole).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// What the program starts with.
pub(super) struct InForce<'a> {
    /// The configuration.
    pub(super) config: &'a Config,
    /// What it says of events, with the parsers of its files.
    pub(super) downstream: Downstream,
    /// Where it was read.
    pub(super) path: &'a Path,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
}

/// The configurations of this program, and the newest in force for frames that come from now on.
///
/// # Errors
/// The disk's.
pub(super) fn begin(
    InForce { config, downstream, path, bytes }: InForce<'_>,
    configurations: &Configurations,
    journal: &JournalHandle,
    clock: &Clock,
) -> Result<SharedState, DurableError> {
    let hash = hash_of(bytes, &config.parsers);
    let made = Arc::new(downstream);
    if configurations.newest().as_deref() == Some(hash.as_str()) {
        // Its file is there; what it says was just read.
        configurations.change(u64::MAX, &hash, bytes, made)?;
    } else {
        let after = match configurations.newest() {
            // The first that is remembered stands for all that was journaled before, too.
            None => 0,
            Some(_) => journal.reconfigure_now(hash.clone()),
        };
        configurations.change(after, &hash, bytes, made)?;
        tracing::info!(path = %path.display(), hash, after, "configuration in force");
    }
    Ok(Arc::new(Mutex::new(ConfigState { hash, since: Some(clock.now()), refused: None })))
}

/// Watches the file.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    pub(super) running: Config,
    pub(super) configurations: Arc<Configurations>,
    pub(super) journal: JournalHandle,
    pub(super) state: SharedState,
    pub(super) clock: Clock,
    /// Hears of a reload that somebody asked for.
    pub(super) supervisor: Arc<Supervisor>,
}

/// By what a change of the files shows.
type Look = Vec<Option<(SystemTime, u64)>>;

impl Reloader {
    /// Looks until it is dropped.
    pub(super) async fn run(mut self) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let mut ticks = tokio::time::interval(LOOK_INTERVAL);
        let mut seen = self.look();
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
            let now = self.look();
            if asked || now != seen {
                seen = now;
                if asked {
                    self.supervisor.reloading();
                }
                self.reload().await;
                if asked {
                    self.supervisor.ready(&self.verdict());
                }
            }
        }
    }

    fn look(&self) -> Look {
        let look = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        let parsers = self.running.parsers.files().map(|path| look(&path));
        std::iter::once(look(&self.path)).chain(parsers).collect()
    }

    fn say(&self, change: impl FnOnce(&mut ConfigState)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What became of the last reload, in a line.
    fn verdict(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.refused {
            Some(reason) => format!("aggregator.yaml is refused, what was in force stays: {reason}"),
            None => format!("configuration {} in force", state.hash.get(..12).unwrap_or_default()),
        }
    }

    async fn reload(&mut self) {
        let in_force = self.state.lock().unwrap_or_else(PoisonError::into_inner).hash.clone();
        let refused = match self.try_reload(&in_force).await {
            Ok(Some(hash)) => {
                tracing::info!(hash, "aggregator.yaml was read again; it is in force from this block on");
                let since = Some(self.clock.now());
                return self.say(|state| *state = ConfigState { hash, since, refused: None });
            }
            Ok(None) => None,
            Err(reason) => {
                tracing::error!(reason, "aggregator.yaml was changed and is refused; what was in force stays");
                Some(reason)
            }
        };
        self.say(|state| state.refused = refused);
    }

    /// The hash of what is in force now; none where nothing changed.
    async fn try_reload(&mut self, in_force: &str) -> Result<Option<String>, String> {
        let bytes =
            std::fs::read(&self.path).map_err(|error| format!("cannot read {}: {error}", self.path.display()))?;
        let loaded = config::parse(&self.path, &bytes).map_err(|problems| problems.to_string())?;
        let hash = hash_of(&bytes, &loaded.config.parsers);
        if hash == in_force {
            return Ok(None);
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        if loaded.config.sinks != self.running.sinks {
            return Err(
                "sinks change at a start only: restart picket-aggregator, or leave them as they were".to_owned()
            );
        }
        let made = Arc::new(loaded.config.with_parsers().map_err(|problems| problems.join("\n"))?);
        let parsers = loaded.config.parsers;
        let (done, changed) = oneshot::channel();
        let (configurations, name) = (Arc::clone(&self.configurations), hash.clone());
        // On the journal's thread, between two frames.
        let change = Box::new(move |after| {
            let _ = done.send(configurations.change(after, &name, &bytes, made));
        });
        if !self.journal.reconfigure(hash.clone(), change) {
            return Err("the program is stopping".to_owned());
        }
        match changed.await {
            Ok(Ok(())) => {
                self.running.parsers = parsers;
                Ok(Some(hash))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the program is stopping".to_owned()),
        }
    }
}
