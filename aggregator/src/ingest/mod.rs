//! The mouth: agents connect, their frames go to the journal, acks go back.
//!
//! In: QUIC connections. Out: [`Arrival`]s to a [`Journal`], requests for certificates to the authority, notices
//! to whoever listens. What is said on the wire is decided by [`shared::protocol::IngestSession`].
//!
//! Invariants:
//! - Nothing is acked before the journal said that it is synced ([`Receipt::committed`]).
//! - One session per agent id: the newest closes the older, and begins only when all that the older one gave to
//!   the journal is synced or lost. So the prefix that a Resume names is never behind what is still under way.
//! - Who has no good certificate reaches nothing but [`enrollment`](shared::tls::Admission::Enrollment), which has a
//!   handler of its own without a way to the journal.
//!
//! Bounds: handshakes and sessions ([`IngestConfig`]), bytes of frames (one credit budget for all), receive windows
//! per connection; a session waits where the journal is full.

mod enroll;
mod notice;
mod quic;
mod session;
mod sessions;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::identity::{AgentId, ChainId, fill_random};
use shared::limits::CREDIT_BUDGET_BYTES_MIN;
use shared::protocol::{AgentHello, Chains, GoAwayReason, IngestCounts, JournalEntry};
use shared::stop::Stop;
use shared::time::{Clock, Timestamp};
use shared::tls::{RENEW_GRACE, Revocations, Serial};
use tokio::sync::{mpsc, watch};

pub use self::notice::Notice;
use self::sessions::Sessions;
pub use self::sessions::{SessionView, Told};
use crate::ca::enrollment::Enrollment;

/// Refused connections that are told of in a minute; all are counted.
const REFUSALS_TOLD_MAX: u32 = 30;

/// Something for the journal, with everything that its wrap needs.
#[derive(Debug)]
pub struct Arrival {
    /// A frame or an absent range.
    pub entry: JournalEntry,
    /// When it was received, by this machine's clock.
    pub received_at: Timestamp,
    /// From where.
    pub peer: SocketAddr,
    /// By which certificate.
    pub serial: Serial,
    /// To be told when the entry is synced.
    pub receipt: Receipt,
}

/// Tells a session what became of an [`Arrival`]. Dropped without a word it says that the entry is lost: the
/// session ends, nothing is acked, and the agent sends it again.
#[derive(Debug)]
pub struct Receipt {
    chain: ChainId,
    through: u64,
    tell: Option<mpsc::UnboundedSender<Settled>>,
}

/// What became of an arrival: synced up to here, or lost.
type Settled = Option<(ChainId, u64)>;

impl Receipt {
    fn new(entry: &JournalEntry, tell: mpsc::UnboundedSender<Settled>) -> Self {
        Self { chain: entry.chain(), through: entry.after().through, tell: Some(tell) }
    }

    /// `fdatasync` of the entry has returned.
    pub fn committed(mut self) {
        if let Some(tell) = self.tell.take() {
            // A session that is over does not listen any more.
            let _ = tell.send(Some((self.chain, self.through)));
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            let _ = tell.send(None);
        }
    }
}

/// The journal has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the journal takes nothing any more")]
pub struct JournalClosed;

/// The journal, as ingest needs it.
pub trait Journal: Chains + Send + Sync + 'static {
    /// Queues an arrival behind all earlier ones; waits for room. May be dropped while it waits: then nothing was
    /// queued.
    ///
    /// # Errors
    /// [`JournalClosed`].
    fn append(&self, arrival: Arrival) -> impl Future<Output = Result<(), JournalClosed>> + Send;
}

/// How ingest is set up.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Where agents connect, UDP.
    pub listen: SocketAddr,
    /// This aggregator's id.
    pub aggregator: AgentId,
    /// Settings of TLS for both protocols, of [`shared::tls::server_config`].
    pub tls: Arc<rustls::ServerConfig>,
    /// How long after its end a certificate may still renew.
    pub renew_grace: Duration,
    /// Bytes of frames that all sessions together may have beyond their base windows.
    pub credit_bytes: u64,
    /// Sessions at one time.
    pub sessions_max: usize,
    /// Handshakes and enrollments at one time; from a quarter of it on, addresses have to prove themselves first.
    pub handshakes_max: usize,
    /// Times of receipt, ends of certificates.
    pub clock: Clock,
    /// What an agent's old connection is reset with after a crash of this program. The same over starts, or agents
    /// notice only when they have heard nothing for 30 s.
    pub reset_secret: [u8; 32],
    /// What agents are to do; none: they are left alone.
    pub steering: Option<Steering>,
}

/// The configuration of one agent.
#[derive(Clone, PartialEq, Debug)]
pub struct Desired {
    /// Its name.
    pub hash: String,
    /// The body of message Config.
    pub message: serde_json::Value,
}

/// What an agent with this Hello is to do.
pub type Resolve = Arc<dyn Fn(AgentId, &AgentHello) -> Option<Desired> + Send + Sync>;

/// What agents are to do.
#[derive(Clone)]
pub struct Steering {
    /// What this agent is to do; none: as it does.
    pub desired: Resolve,
    /// Changes when the answer may.
    pub changed: watch::Receiver<u64>,
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Steering")
    }
}

impl IngestConfig {
    /// The defaults: 64 MiB of credit, 10,000 sessions, 256 handshakes, resets that nobody recognizes.
    #[must_use]
    pub fn new(listen: SocketAddr, aggregator: AgentId, tls: Arc<rustls::ServerConfig>) -> Self {
        let mut reset_secret = [0; 32];
        fill_random(&mut reset_secret);
        Self {
            reset_secret,
            steering: None,
            listen,
            aggregator,
            tls,
            renew_grace: RENEW_GRACE,
            credit_bytes: CREDIT_BUDGET_BYTES_MIN.max(64 << 20),
            sessions_max: 10_000,
            handshakes_max: 256,
            clock: Clock::System,
        }
    }
}

/// Counters since the start; `picket_aggregator_ingest_<name>_total`, but for the one that says otherwise.
#[derive(Default, Debug)]
pub struct IngestCounters {
    /// Frames given to the journal.
    pub frames: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Frames that had come before: dropped and acked.
    pub duplicate_frames: AtomicU64,
    /// Frames refused.
    pub rejected_frames: AtomicU64,
    /// Sessions opened.
    pub sessions: AtomicU64,
    /// Sessions open now (a gauge).
    pub open_sessions: AtomicU64,
    /// Connections refused, for whatever reason.
    pub refused_connections: AtomicU64,
    /// Requests for enrollment that were answered.
    pub enrollments: AtomicU64,
}

impl IngestCounters {
    fn add(&self, counts: IngestCounts) {
        let add = |counter: &AtomicU64, by| counter.fetch_add(by, Ordering::Relaxed);
        add(&self.frames, counts.frames);
        add(&self.bytes, counts.bytes);
        add(&self.duplicate_frames, counts.duplicates);
        add(&self.rejected_frames, counts.rejects);
    }
}

/// What the rest of the program holds of a running ingest; cheap to clone.
#[derive(Clone)]
pub struct IngestHandle {
    sessions: Arc<Sessions>,
    counters: Arc<IngestCounters>,
}

impl IngestHandle {
    /// Ends the open session of an agent that was revoked. The revocation itself stands in [`Revocations`].
    pub fn revoked(&self, agent: AgentId) {
        self.sessions.close(agent, GoAwayReason::Revoked);
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &IngestCounters {
        &self.counters
    }

    /// What agents said of themselves since the start, newest word of each.
    #[must_use]
    pub fn told(&self) -> Vec<(AgentId, Told)> {
        self.sessions.all_told()
    }

    /// The sessions that are open now.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionView> {
        self.sessions.view()
    }
}

/// Called with each notice, from the sessions' tasks: it must not block.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// What every connection needs.
struct Shared<J> {
    config: IngestConfig,
    journal: J,
    enrollment: Arc<Enrollment>,
    revocations: Revocations,
    sessions: Arc<Sessions>,
    counters: Arc<IngestCounters>,
    notify: Notify,
    /// Start of the present minute, and refusals told in it.
    told: Mutex<(Instant, u32)>,
}

impl<J> Shared<J> {
    fn notify(&self, notice: Notice) {
        notice.log();
        (self.notify)(notice);
    }

    /// Counts a refusal, and tells of it unless many were told of this minute: anybody may knock.
    fn refused(&self, peer: SocketAddr, reason: String) {
        self.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
        let told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.0.elapsed() > Duration::from_secs(60) {
                *told = (Instant::now(), 0);
            }
            told.1 = told.1.saturating_add(1);
            told.1
        };
        if told <= REFUSALS_TOLD_MAX {
            self.notify(Notice::Refused { peer, reason });
        }
    }
}

/// The listener, bound and not yet running.
pub struct Ingest<J> {
    endpoint: quic::Listener,
    shared: Arc<Shared<J>>,
}

impl<J: Journal> Ingest<J> {
    /// Binds the port. `revocations` is the set that the TLS settings have too. To be called within a runtime.
    ///
    /// # Errors
    /// The port cannot be bound, or the TLS settings are not for QUIC.
    pub fn bind(
        config: IngestConfig,
        journal: J,
        enrollment: Arc<Enrollment>,
        revocations: Revocations,
        notify: Notify,
    ) -> io::Result<Self> {
        let endpoint = quic::Listener::bind(&config)?;
        let sessions = Arc::new(Sessions::new(config.credit_bytes));
        let (counters, told) = (Arc::default(), Mutex::new((Instant::now(), 0)));
        let shared = Shared { config, journal, enrollment, revocations, sessions, counters, notify, told };
        Ok(Self { endpoint, shared: Arc::new(shared) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// A handle for the rest of the program.
    #[must_use]
    pub fn handle(&self) -> IngestHandle {
        IngestHandle { sessions: Arc::clone(&self.shared.sessions), counters: Arc::clone(&self.shared.counters) }
    }

    /// Serves until `stop`: then no session reads on, what the journal has is waited for and acked, and every
    /// agent is told to go away.
    pub async fn run(self, stop: Stop) {
        self.endpoint.serve(self.shared, stop).await;
    }
}
