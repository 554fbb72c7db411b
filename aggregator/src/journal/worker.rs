//! The journal's thread: appends what sessions bring, commits it as one group, tells everybody.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared::fault;
use shared::identity::AgentId;
use shared::protocol::JournalEntry;
use shared::pulse;
use shared::record::Value;
use shared::time::Clock;
use tokio::sync::watch;

use super::mailbox::Mailbox;
use super::wrap::Received;
use super::{ChainTable, Journal, JournalConfig, JournalError, OwnRecord, WentBack, notices};

/// A group is committed at this size at the latest.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// A journal that cannot take more looks again this often.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Old segments are looked for this often.
const TRIM_INTERVAL: Duration = Duration::from_secs(60);
/// What happened once is a reason not to be ready for this long.
const NOTED_FOR: Duration = Duration::from_secs(3_600);
/// A journal that is full now and then says so this often.
const FULL_SAID_EVERY: Duration = Duration::from_secs(60);
/// Records of the aggregator's own that wait while the disk takes nothing; beyond it new ones are counted.
const OWN_WAITING_MAX: usize = 1_024;

/// What a session hands over: entries in their order, and what to do once they are durable.
pub struct JournalRequest {
    /// The entries.
    pub entries: Vec<JournalEntry>,
    /// How they came.
    pub received: Received,
    /// Called on the journal's thread after the sync that covers all of them.
    pub done: Box<dyn FnOnce() + Send>,
}

/// Called on the journal's thread with the position behind which a configuration is in force.
pub type Changed = Box<dyn FnOnce(u64) + Send>;

enum Letter {
    Entries(JournalRequest),
    Own(OwnRecord),
    Config(String, Changed),
}

/// How the journal is, for `/metrics`, `/readyz` and `status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JournalStatus {
    /// Log offset below which everything is durable.
    pub offset: u64,
    /// Position of the next frame.
    pub position: u64,
    /// Records journaled since the journal was made.
    pub records: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Raw bytes of the agents' frames that were journaled since the start.
    pub raw_bytes: u64,
    /// Bytes of these frames.
    pub frame_bytes: u64,
    /// Segments that went younger than `retain`.
    pub sacrificed_segments: u64,
    /// It stood behind its sinks when it was opened.
    pub went_back: bool,
    /// What happened within the last hour and asks for a person.
    pub notes: Vec<String>,
    /// Why nothing is taken, while nothing is.
    pub error: Option<String>,
}

/// Positions that sinks have passed.
#[derive(Default)]
struct Cursors(Mutex<BTreeMap<String, u64>>);

impl Cursors {
    fn lowest(&self) -> u64 {
        let cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the first sink has said where it stands nothing is known to be safe.
        cursors.values().copied().min().unwrap_or(0)
    }
}

/// The journal as the rest of the aggregator sees it; cheap to clone.
#[derive(Clone)]
pub struct JournalHandle {
    mailbox: Arc<Mailbox<Letter>>,
    chains: Arc<ChainTable>,
    status: watch::Receiver<JournalStatus>,
    cursors: Arc<Cursors>,
    dir: PathBuf,
    aggregator: AgentId,
}

impl JournalHandle {
    /// Hands entries over; false when the journal has ended (they are not acked, and come again).
    pub fn append(&self, request: JournalRequest) -> bool {
        self.mailbox.push(Letter::Entries(request))
    }

    /// Journals a record of the aggregator's own, soon.
    pub fn say(&self, record: OwnRecord) {
        self.mailbox.push(Letter::Own(record));
    }

    /// Cuts the block and names the configuration `hash` in the cuts to come. `changed` is called with the position of the
    /// last frame that the one before was in force for, before any is journaled behind it. False when the journal has
    /// ended.
    pub fn reconfigure(&self, hash: String, changed: Changed) -> bool {
        self.mailbox.push(Letter::Config(hash, changed))
    }

    /// As [`JournalHandle::reconfigure`], and waits for the position.
    #[must_use]
    pub fn reconfigure_now(&self, hash: String) -> u64 {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        self.reconfigure(
            hash,
            Box::new(move |after| {
                let _ = tell.send(after);
            }),
        );
        told.recv().unwrap_or(u64::MAX)
    }

    /// What the journal has of every chain.
    #[must_use]
    pub fn chains(&self) -> Arc<ChainTable> {
        Arc::clone(&self.chains)
    }

    /// The status, changed after every commit.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<JournalStatus> {
        self.status.clone()
    }

    /// Its folder, for readers.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The aggregator's own id.
    #[must_use]
    pub fn aggregator(&self) -> AgentId {
        self.aggregator
    }

    /// A required sink has everything up to `position`: segments before it may go. While no sink has said so
    /// nothing goes: say it of every required one before sessions begin, or, where none is, once with `u64::MAX`.
    pub fn passed(&self, sink: &str, position: u64) {
        let mut cursors = self.cursors.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.insert(sink.to_owned(), position);
    }
}

/// The running thread.
pub struct JournalThread {
    handle: JournalHandle,
    thread: JoinHandle<()>,
}

struct Worker {
    journal: Journal,
    mailbox: Arc<Mailbox<Letter>>,
    cursors: Arc<Cursors>,
    say: watch::Sender<JournalStatus>,
    config: String,
    /// What the aggregator says itself. It has room of its own, and waits for no agent's frames.
    own: VecDeque<OwnRecord>,
    own_suppressed: u64,
    waiting: VecDeque<JournalRequest>,
    done: Vec<Box<dyn FnOnce() + Send>>,
    error: Option<String>,
    /// Raw and frame bytes of entries taken since the start.
    taken: (u64, u64),
    sacrificed: u64,
    /// What happened, by its name, and until when it is a reason not to be ready.
    notes: BTreeMap<&'static str, (Instant, String)>,
    full_said: Option<Instant>,
    trim_at: Instant,
    clock: Clock,
}

impl JournalThread {
    /// Opens the journal and starts its thread. `config_hash` names the configuration in force, for the cuts.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn start(config: JournalConfig, config_hash: String, clock: Clock) -> io::Result<Self> {
        let aggregator = config.aggregator;
        let journal = Journal::open(config, clock.clone())?;
        let (say, status) = watch::channel(JournalStatus::default());
        let handle = JournalHandle {
            mailbox: Arc::new(Mailbox::default()),
            chains: journal.chains(),
            status,
            cursors: Arc::default(),
            dir: journal.dir().to_path_buf(),
            aggregator,
        };
        let mut worker = Worker {
            journal,
            mailbox: Arc::clone(&handle.mailbox),
            cursors: Arc::clone(&handle.cursors),
            say,
            config: config_hash,
            own: VecDeque::new(),
            own_suppressed: 0,
            waiting: VecDeque::new(),
            done: Vec::new(),
            error: None,
            taken: (0, 0),
            sacrificed: 0,
            notes: BTreeMap::new(),
            full_said: None,
            trim_at: clock.instant() + TRIM_INTERVAL,
            clock,
        };
        if let Some(WentBack { found, floor }) = worker.journal.went_back() {
            let note = format!(
                "the journal stood at position {found}, behind its sinks at {floor}: it was deleted or replaced"
            );
            worker.note("went_back", note);
        }
        worker.publish();
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let _watched = pulse::enter("journal");
            worker.run();
        })?;
        Ok(Self { handle, thread })
    }

    /// The journal for everybody else.
    #[must_use]
    pub fn handle(&self) -> JournalHandle {
        self.handle.clone()
    }

    /// Takes nothing more, commits what was taken, cuts the last block, ends.
    pub fn stop(self) {
        self.handle.mailbox.close();
        if self.thread.join().is_err() {
            tracing::error!("the journal's thread ended badly; the next start recovers from the log");
        }
    }
}

impl Worker {
    fn run(&mut self) {
        loop {
            // What was handed over before the end is journaled: only a box that was closed before it was emptied stays empty.
            let ends = self.mailbox.is_closed();
            let letters = self.mailbox.take(self.deadline());
            pulse::beat();
            fault::point("journal.turn");
            for letter in letters {
                match letter {
                    Letter::Own(record) => self.say_soon(record),
                    Letter::Entries(request) => self.waiting.push_back(request),
                    Letter::Config(hash, changed) => self.reconfigure(hash, changed),
                }
            }
            self.turn();
            if ends {
                break;
            }
        }
        self.cut();
        self.commit();
        if let Err(error) = self.journal.seal_end() {
            tracing::warn!(%error, "what came since the last seal gets its own at the next start");
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let stuck = self.error.is_some() || !self.waiting.is_empty() || !self.own.is_empty();
        let retry = stuck.then(|| self.clock.instant() + RETRY_INTERVAL);
        // A cut that was refused is tried again with everything else.
        let cut = self.journal.cut_due().filter(|_| !stuck);
        [cut, retry, Some(self.trim_at)].into_iter().flatten().min()
    }

    fn turn(&mut self) {
        let now = self.clock.instant();
        while let Some(request) = self.waiting.pop_front() {
            if let Err((error, request)) = self.take(request) {
                self.waiting.push_front(request);
                if self.refused(&error) {
                    continue;
                }
                break;
            }
            if self.journal.pending_bytes() >= GROUP_BYTES_MAX {
                self.commit();
            }
        }
        self.take_own();
        self.commit();
        if self.journal.cut_due().is_some_and(|due| due <= now) {
            self.cut();
            self.commit();
        }
        if now >= self.trim_at {
            self.trim_at = now + TRIM_INTERVAL;
            self.trim(false);
            self.publish();
        }
    }

    /// Appends the entries of a request; gives back those that found no room.
    fn take(&mut self, mut request: JournalRequest) -> Result<(), (JournalError, JournalRequest)> {
        for (taken, entry) in request.entries.iter().enumerate() {
            if let Err(error) = self.journal.append(entry, request.received.clone()) {
                request.entries.drain(..taken);
                return Err((error, request));
            }
            if let JournalEntry::Frame { frame, .. } = entry {
                self.taken.0 += u64::from(frame.header().raw_len);
                self.taken.1 += frame.bytes().len() as u64;
            }
        }
        self.done.push(request.done);
        self.error = None;
        Ok(())
    }

    fn say_soon(&mut self, mut record: OwnRecord) {
        if self.own.len() >= OWN_WAITING_MAX {
            self.own_suppressed += 1;
            return;
        }
        if self.own_suppressed > 0 {
            let suppressed = std::mem::take(&mut self.own_suppressed);
            record.push(("notices_suppressed".to_owned(), Value::U64(suppressed)));
        }
        self.own.push_back(record);
    }

    /// Appends what the aggregator says itself, also while agents find no room.
    fn take_own(&mut self) {
        while let Some(record) = self.own.pop_front() {
            if let Err(error) = self.journal.say(record.clone()) {
                self.own.push_front(record);
                if !self.refused(&error) {
                    break;
                }
            }
        }
    }

    /// Something happened that asks for a person.
    fn note(&mut self, name: &'static str, note: String) {
        self.notes.insert(name, (self.clock.instant() + NOTED_FOR, note));
    }

    /// Makes room where a sink has let go of something, and says so; else the journal waits, and with it the agents.
    fn refused(&mut self, error: &JournalError) -> bool {
        if let JournalError::Full { max_bytes } = error {
            let before = self.journal.bytes();
            self.trim(true);
            if self.journal.bytes() < before {
                return true;
            }
            let now = self.clock.instant();
            if self.full_said.is_none_or(|said| now >= said + FULL_SAID_EVERY) && self.error.is_none() {
                self.full_said = Some(now);
                self.say_soon(notices::full(*max_bytes));
            }
        }
        if self.error.is_none() {
            tracing::error!(%error, "the journal takes nothing; the agents keep what they see until it does");
        }
        self.error = Some(error.to_string());
        self.publish();
        false
    }

    fn commit(&mut self) {
        match self.journal.commit() {
            // Also when there was nothing left to do: making room commits what came before.
            Ok(_) => {
                fault::point("journal.ack");
                // First the watermark: whoever is told may look at once.
                self.publish();
                self.done.drain(..).for_each(|done| done());
            }
            Err(error) => {
                self.refused(&JournalError::Disk(error));
                return;
            }
        }
        let overdue = self.journal.cut_due().is_some_and(|due| due <= self.clock.instant());
        if self.waiting.is_empty() && self.own.is_empty() && !overdue && self.error.take().is_some() {
            tracing::info!("the journal takes records again");
            self.publish();
        }
    }

    fn cut(&mut self) {
        if self.journal.cut_due().is_some()
            && let Err(error) = self.journal.cut(&self.config)
        {
            self.refused(&error);
        }
    }

    /// Ends the block under the configuration before.
    fn reconfigure(&mut self, hash: String, changed: Changed) {
        self.turn();
        self.cut();
        self.commit();
        self.config = hash;
        changed(self.journal.committed_numbers().0.saturating_sub(1));
    }

    fn trim(&mut self, full: bool) {
        match self.journal.trim(self.cursors.lowest(), full) {
            Ok(0) => {}
            Ok(count) => {
                self.sacrificed += count;
                self.say_soon(notices::sacrificed(count, self.journal.begins()));
                let note = format!(
                    "journal.max_bytes was reached: {} segments went younger than journal.retain since the start",
                    self.sacrificed
                );
                self.note("sacrificed", note);
                tracing::error!(
                    count,
                    "the journal is full: a segment went before its time; raise journal.max_bytes or lower journal.retain"
                );
            }
            Err(error) => tracing::warn!(%error, "an old segment could not be removed; it is tried again"),
        }
    }

    fn publish(&mut self) {
        let (position, records) = self.journal.committed_numbers();
        let now = self.clock.instant();
        self.notes.retain(|_, (until, _)| *until > now);
        let status = JournalStatus {
            offset: self.journal.committed_offset(),
            position,
            records,
            bytes: self.journal.bytes(),
            raw_bytes: self.taken.0,
            frame_bytes: self.taken.1,
            sacrificed_segments: self.sacrificed,
            went_back: self.journal.went_back().is_some(),
            notes: self.notes.values().map(|(_, note)| note.clone()).collect(),
            error: self.error.clone(),
        };
        self.say.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
    }
}

#[cfg(test)]
mod tests;
