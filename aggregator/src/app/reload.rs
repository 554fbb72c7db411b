//! Hot reload: `reduce`, `routes`, `networks` and `parsers` of aggregator.yaml change while the program runs.
//!
//! In: the file, and those of its parsers, looked at every second, and read where they changed and then were the same for one
//! look; on SIGHUP at once. Out: what it says is compiled beside what is
//! in force; if all of it is right it takes force behind a cut that the journal makes for it, else it is refused with reasons
//! and the old one runs on. Other keys take force at the next start; a file that changes the sinks is refused, since their threads run already.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use shared::durable::DurableError;
use shared::supervisor::Supervisor;
use shared::time::{Clock, Timestamp};
use tokio::sync::oneshot;

use crate::config::{self, Downstream, ParsersConfig, SinkConfig, Texts};
use crate::journal::JournalHandle;
use crate::pipeline::Configurations;
use crate::prompt::{Look, Prompt, look};

/// Which configuration is in force, and whether a newer one was refused.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigState {
    /// The hash of what is in force: of the file, and those of its parsers.
    pub hash: String,
    /// When it took force.
    pub since: Option<Timestamp>,
    /// Why what the file says now is not in force.
    pub refused: Option<String>,
}

/// The state as commands and metrics see it.
pub type SharedState = Arc<Mutex<ConfigState>>;

/// The configurations of this program, and the newest in force for frames that come from now on: what its files say, and what
/// that is.
///
/// # Errors
/// The disk's.
pub(super) fn begin(
    (texts, made): (&Texts, Downstream),
    configurations: &Configurations,
    journal: &JournalHandle,
    clock: &Clock,
) -> Result<SharedState, DurableError> {
    let (hash, made) = (texts.hash(), Arc::new(made));
    let known = configurations.newest();
    let after = match &known {
        // The first that is remembered stands for all that was journaled before, too.
        None => 0,
        // Nothing changes; what it says was just read.
        Some(newest) if *newest == hash => u64::MAX,
        Some(_) => journal.reconfigure_now(hash.clone()),
    };
    configurations.change(after, &hash, &texts.to_bytes(), made)?;
    if known.as_ref() != Some(&hash) {
        tracing::info!(hash, after, "configuration in force");
    }
    Ok(Arc::new(Mutex::new(ConfigState { hash, since: Some(clock.now()), refused: None })))
}

/// Watches the file.
pub(super) struct Reloader {
    pub(super) path: PathBuf,
    /// Those that run; they do not change.
    pub(super) sinks: Vec<SinkConfig>,
    /// What else is looked at.
    pub(super) parsers: ParsersConfig,
    pub(super) configurations: Arc<Configurations>,
    pub(super) journal: JournalHandle,
    pub(super) state: SharedState,
    pub(super) clock: Clock,
    /// Hears of a reload that somebody asked for.
    pub(super) supervisor: Arc<Supervisor>,
}

impl Reloader {
    /// Looks until it is dropped.
    pub(super) async fn run(mut self) {
        let mut prompt = Prompt::new();
        // What was read at the start may have changed since.
        let (mut seen, mut read) = (self.look(), false);
        loop {
            let asked = prompt.next().await;
            let now = self.look();
            // A file that changes at this moment may be half of one.
            let still = now == seen;
            seen = now;
            read &= still;
            if asked || (still && !read) {
                read = true;
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

    fn look(&self) -> Vec<Look> {
        let parsers = self.parsers.files().map(|path| look(&path));
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
        let ConfigState { hash: in_force, refused: said, .. } =
            self.state.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = match self.try_reload(&in_force).await {
            Ok(Some(hash)) => {
                tracing::info!(hash, "aggregator.yaml was read again; it is in force from this block on");
                let since = Some(self.clock.now());
                return self.say(|state| *state = ConfigState { hash, since, refused: None });
            }
            Ok(None) => None,
            Err(reason) if said.as_ref() == Some(&reason) => return,
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
        // Also where it is refused: what is wrong may be mended in one of these.
        self.parsers = loaded.config.parsers.clone();
        let (texts, made) = Texts::of(&loaded.config, &self.path, &bytes).map_err(|problems| problems.join("\n"))?;
        let hash = texts.hash();
        if hash == in_force {
            return Ok(None);
        }
        loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        if loaded.config.sinks != self.sinks {
            return Err(
                "sinks change at a start only: restart picket-aggregator, or leave them as they were".to_owned()
            );
        }
        let made = Arc::new(made);
        let (done, changed) = oneshot::channel();
        let (configurations, name) = (Arc::clone(&self.configurations), hash.clone());
        // On the journal's thread, between two frames.
        let change = Box::new(move |after| {
            let _ = done.send(configurations.change(after, &name, &texts.to_bytes(), made));
        });
        if !self.journal.reconfigure(hash.clone(), change) {
            return Err("the program is stopping".to_owned());
        }
        match changed.await {
            Ok(Ok(())) => Ok(Some(hash)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the program is stopping".to_owned()),
        }
    }
}
