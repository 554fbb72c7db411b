//! Replay: what the journal holds goes through the pipeline again, beside the live sinks and without touching their
//! cursors. For a parser that was mended, or a store that is to be made again.
//!
//! In: a [`Plan`]. Out: a store of its own beside the sink's (`replay=<id>/` in a lake), with the same event ids, and
//! a [`Replay`] that says how far it is.
//!
//! Invariants:
//! - It covers whole blocks: from the oldest frame that can have been received at `since`, to the first cut at or
//!   after the journal's end when it was asked for. Nothing is waited for but that cut.
//! - It goes on by itself after a restart or a failing store, from its own cursor; an event is in its store once. What
//!   it counts is kept beside the cursor and counted again from there, so that a crash makes no difference.
//! - It holds no segment back: what goes from the journal before it is read is counted as `expired`.
//! - One runs at a time: each has a sink's memory.
//!
//! The state of each is a file, `replays/<id>.json`; the last [`KEPT_MAX`] are kept.

mod run;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer, read_bounded};
use shared::identity::AgentId;
use shared::stop::Stop;
use shared::time::{Clock, Timestamp};

use super::{Configurations, SinkSetup};
use crate::journal::JournalHandle;

/// Most states that are kept; the oldest that is over goes first.
pub const KEPT_MAX: usize = 100;
/// Largest state file.
const STATE_BYTES_MAX: u64 = 64 << 10;

/// What is to be replayed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The sink whose kind of store is made, by its name in aggregator.yaml.
    pub sink: String,
    /// Only this agent's frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Only frames received then or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only frames received before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How far a replay is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// At work, or waiting to try a store again.
    Running,
    /// All of it is in its store.
    Finished,
    /// Somebody ended it; what was committed stays.
    Cancelled,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What was counted between a replay's begin and a position of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Tally {
    /// Position of the last cut that was committed.
    pub position: u64,
    /// Number of the journal's next record behind it; none before the first commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_record: Option<u64>,
    /// Frames of the selection.
    pub frames: u64,
    /// Events made and committed.
    pub events: u64,
    /// Records of frames whose body does not open.
    pub unreadable: u64,
    /// Records that the journal had lost, or let go before they were read; of all agents, since nobody knows whose.
    pub expired: u64,
}

/// A replay, as its file and as a command shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Its name: when it was asked for, UTC.
    pub id: String,
    /// What is replayed.
    #[serde(flatten)]
    pub plan: Plan,
    /// Its store.
    pub store: PathBuf,
    /// Position of the journal's last frame when it was asked for.
    pub through: u64,
    /// How far it is.
    pub state: State,
    /// What was counted up to its last commit.
    #[serde(flatten)]
    pub tally: Tally,
    /// Why it does not get on, while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// Why no replay begins or ends.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// One is enough.
    #[error("replay {id} is running: wait for its end, or end it with `journal replay --cancel {id}`")]
    Busy {
        /// The one.
        id: String,
    },
    /// No sink has that name.
    #[error("there is no sink '{name}' (there are: {})", known.join(", "))]
    NoSink {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// There is nothing to replay.
    #[error("the journal holds no frame yet")]
    Empty,
    /// No replay of that id runs.
    #[error("no replay '{id}' is running")]
    NotRunning {
        /// The id.
        id: String,
    },
    /// The program is about to end.
    #[error("the aggregator is stopping")]
    Stopping,
    /// Its state cannot be kept.
    #[error(transparent)]
    File(#[from] DurableError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// The replays of a running aggregator; clones are the same.
#[derive(Clone)]
pub struct Replays(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    writer: Writer,
    journal: JournalHandle,
    sinks: Vec<SinkSetup>,
    configurations: Arc<Configurations>,
    stop: Stop,
    clock: Clock,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    replays: BTreeMap<String, Replay>,
    running: Option<Running>,
}

struct Running {
    id: String,
    cancel: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Replays {
    /// Reads the states in `dir` and goes on with a replay that was under way. It ends, unfinished, when `stop` is
    /// requested.
    ///
    /// # Errors
    /// The folder cannot be made or read. A state that does not read is passed over with a warning.
    pub fn open(
        dir: &Path,
        writer: Writer,
        journal: JournalHandle,
        (sinks, configurations): (Vec<SinkSetup>, Arc<Configurations>),
        stop: Stop,
        clock: Clock,
    ) -> Result<Self, ReplayError> {
        writer.folder(dir, STATE_FOLDER)?;
        let replays = read_states(dir)?;
        let unfinished: Vec<Replay> =
            replays.values().filter(|replay| replay.state == State::Running).cloned().collect();
        let table = Mutex::new(Table { replays, running: None });
        let dir = dir.to_owned();
        let here = Self(Arc::new(Inner { dir, writer, journal, sinks, configurations, stop, clock, table }));
        for replay in unfinished {
            let mut table = here.0.lock();
            match here.0.sink(&replay.plan.sink) {
                Some(_) if table.running.is_none() => here.begin(&mut table, replay)?,
                _ => {
                    tracing::warn!(replay = replay.id, sink = replay.plan.sink, "a replay ends: its sink is gone");
                    here.0.close(&mut table, &replay.id, State::Cancelled);
                }
            }
        }
        Ok(here)
    }

    /// Begins a replay.
    ///
    /// # Errors
    /// [`ReplayError`]; nothing has begun then.
    pub fn start(&self, plan: Plan) -> Result<Replay, ReplayError> {
        if self.0.stop.requested() {
            return Err(ReplayError::Stopping);
        }
        let through = self.0.journal.status().borrow().position.saturating_sub(1);
        let mut table = self.0.lock();
        if let Some(running) = &table.running {
            return Err(ReplayError::Busy { id: running.id.clone() });
        }
        let Some(sink) = self.0.sink(&plan.sink) else {
            let known = self.0.sinks.iter().map(|sink| sink.name.clone()).collect();
            return Err(ReplayError::NoSink { name: plan.sink, known });
        };
        if through == 0 {
            return Err(ReplayError::Empty);
        }
        let now = self.0.clock.now();
        let id = free_id(&table.replays, now);
        let replay = Replay {
            store: sink.target.of_replay(&id).place(),
            id: id.clone(),
            plan,
            through,
            state: State::Running,
            tally: Tally::default(),
            error: None,
            started_at: now,
            ended_at: None,
        };
        self.0.save(&replay)?;
        self.0.forget_old(&mut table);
        table.replays.insert(id, replay.clone());
        self.begin(&mut table, replay.clone())?;
        Ok(replay)
    }

    /// All that are known, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Replay> {
        self.0.lock().replays.values().cloned().collect()
    }

    /// Tells a running replay to end, which it does soon; what it has committed stays.
    ///
    /// # Errors
    /// [`ReplayError::NotRunning`].
    pub fn cancel(&self, id: &str) -> Result<Replay, ReplayError> {
        let table = self.0.lock();
        let not_running = || ReplayError::NotRunning { id: id.to_owned() };
        let running = table.running.as_ref().filter(|running| running.id == id).ok_or_else(not_running)?;
        running.cancel.store(true, Ordering::Relaxed);
        table.replays.get(id).cloned().ok_or_else(not_running)
    }

    /// Waits for the thread; `stop` was requested.
    pub fn join(&self) {
        let running = self.0.lock().running.take();
        if running.is_some_and(|running| running.thread.join().is_err()) {
            tracing::error!("a replay's thread ended badly; the next start goes on from its cursor");
        }
    }

    fn begin(&self, table: &mut Table, replay: Replay) -> Result<(), ReplayError> {
        let (inner, cancel, id) = (Arc::clone(&self.0), Arc::new(AtomicBool::new(false)), replay.id.clone());
        let cancelled = Arc::clone(&cancel);
        tracing::info!(replay = id, sink = replay.plan.sink, store = %replay.store.display(), "a replay runs");
        let thread = std::thread::Builder::new().name("replay".to_owned());
        let thread = thread.spawn(move || inner.work(replay, &cancelled)).map_err(ReplayError::Thread)?;
        table.running = Some(Running { id, cancel, thread });
        Ok(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sink(&self, name: &str) -> Option<&SinkSetup> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    fn path(&self, id: &str) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    fn save(&self, replay: &Replay) -> Result<(), DurableError> {
        let path = self.path(&replay.id);
        let bytes = serde_json::to_vec_pretty(replay)
            .map_err(|error| DurableError::new("write the state in", &path, error.into()))?;
        self.writer.replace(&path, &bytes, PRIVATE, "replay.state")
    }

    /// Runs a replay to its end, the program's, or somebody's word.
    fn work(&self, replay: Replay, cancelled: &AtomicBool) {
        let id = replay.id.clone();
        let ended = run::Run { inner: self, replay, cancelled }.run();
        let mut table = self.lock();
        if let Some(state) = ended {
            self.close(&mut table, &id, state);
        }
        table.running = None;
    }

    /// What was counted is kept: on disk, then in what commands see.
    fn counted(&self, replay: &Replay) -> Result<(), DurableError> {
        self.save(replay)?;
        if let Some(known) = self.lock().replays.get_mut(&replay.id) {
            known.clone_from(replay);
        }
        Ok(())
    }

    fn trouble(&self, id: &str, error: Option<String>) {
        if let Some(known) = self.lock().replays.get_mut(id) {
            known.error = error;
        }
    }

    /// A replay is over. Its state on disk may say otherwise if that cannot be written: then it ends again.
    fn close(&self, table: &mut Table, id: &str, state: State) {
        let Some(replay) = table.replays.get_mut(id) else { return };
        (replay.state, replay.ended_at, replay.error) = (state, Some(self.clock.now()), None);
        tracing::info!(replay = id, state = state.name(), events = replay.tally.events, "a replay is over");
        if let Err(error) = self.save(replay) {
            tracing::error!(%error, "the end of a replay is not kept; the next start runs its end again");
        }
    }

    fn forget_old(&self, table: &mut Table) {
        while table.replays.len() >= KEPT_MAX {
            let over = table.replays.values().find(|replay| replay.state != State::Running);
            let Some(id) = over.map(|replay| replay.id.clone()) else { return };
            if let Err(error) = self.writer.remove(&self.path(&id)) {
                tracing::warn!(%error, "the state of an old replay stays");
            }
            table.replays.remove(&id);
        }
    }
}

/// `20260316T093000Z`, with a number behind it where that is taken.
fn free_id(taken: &BTreeMap<String, Replay>, now: Timestamp) -> String {
    let second: String = now.to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    let names = std::iter::once(format!("{second}Z")).chain((2..).map(|number| format!("{second}Z-{number}")));
    names.into_iter().find(|name| !taken.contains_key(name)).unwrap_or(second)
}

fn read_states(dir: &Path) -> Result<BTreeMap<String, Replay>, ReplayError> {
    let mut replays = BTreeMap::new();
    let entries = std::fs::read_dir(dir).map_err(|error| DurableError::new("list", dir, error))?;
    for entry in entries {
        let path = entry.map_err(|error| DurableError::new("list", dir, error))?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let read = read_bounded(&path, STATE_BYTES_MAX).map_err(|error| error.to_string());
        match read.and_then(|bytes| serde_json::from_slice::<Replay>(&bytes).map_err(|error| error.to_string())) {
            Ok(replay) => drop(replays.insert(replay.id.clone(), replay)),
            Err(error) => tracing::warn!(path = %path.display(), error, "the state of a replay does not read"),
        }
    }
    Ok(replays)
}
