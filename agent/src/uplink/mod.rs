//! The uplink: frames of the spool to an aggregator, acks back.
//!
//! In: a [`Spool`] to ask, an [`Identity`] to show. Out: acks and orders to the spool, and an [`UplinkStatus`]. One
//! session at a time with one of the aggregators, tried in a shuffled order; names are resolved for every attempt.
//!
//! Invariants:
//! - What is said on the wire is decided by [`shared::protocol::AgentSession`]; this room moves bytes.
//! - A refusal that trying again does not mend is logged once, with what to do, and tried again slowly; a
//!   `retry_after` is honored.
//! - Bounds: one connection, one frame per lane in hand, [`SEND_WINDOW_BYTES`] on their way.

mod quic;
mod session;
mod status;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use shared::backoff::Backoff;
use shared::enroll::{RenewRequest, Reply, TrustBundle};
use shared::frame::Frame;
use shared::identity::{AgentId, Epoch, FrameHash, Lane, fill_random};
use shared::protocol::{After, AgentHello, ChainSummary, RejectReason, VersionRange, frame_versions};
use shared::stop::{Stage, Stop};
use shared::time::Timestamp;
use shared::tls::ClientTls;
use tokio::sync::watch;

pub use self::quic::{EnrollError, enroll};
use self::quic::{Link, LinkError};
use self::session::{Around, Outcome};
pub use self::status::{UplinkSnapshot, UplinkStatus};
use crate::config::Endpoint;
use crate::limits::Governor;
use crate::own_traffic::OwnTraffic;

/// Bytes that the transport holds until they are acknowledged. 512 KiB carry 40 Mbit/s over 100 ms.
pub const SEND_WINDOW_BYTES: u64 = 512 << 10;
/// First delay after an attempt at every aggregator failed.
const BACKOFF_BASE: Duration = Duration::from_millis(500);
/// Longest delay.
const BACKOFF_CAP: Duration = Duration::from_secs(60);
/// Delay after a refusal that trying again does not mend, unless the aggregator names another.
const FATAL_RETRY: Duration = Duration::from_secs(600);
/// Longest delay that an aggregator may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// Time for one address to answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Sessions that may follow at once on forks, new epochs and renewals before the backoff applies to them too.
const AT_ONCE_MAX: u32 = 3;

/// The spool, as the uplink needs it. Calls answer in order; none blocks the thread.
pub trait Spool: Send + Sync {
    /// Every chain with something unacked and the current one of each lane; per lane oldest first.
    fn summaries(&self) -> impl Future<Output = Vec<ChainSummary>> + Send;

    /// The frame behind `after` in log order, older epochs first: data, genesis, or a loss frame for a hole.
    /// An epoch that is there no more lies before everything.
    ///
    /// # Errors
    /// The log cannot be read.
    fn next_frame(&self, lane: Lane, after: After) -> impl Future<Output = io::Result<Option<Frame>>> + Send;

    /// Hash of the chain at `sequence`; none where it is unknown (inside a hole).
    fn hash_of(&self, lane: Lane, epoch: Epoch, sequence: u64) -> impl Future<Output = Option<FrameHash>> + Send;

    /// `aggregator` has everything up to `through`, synced.
    fn acked(&self, lane: Lane, epoch: Epoch, through: u64, aggregator: AgentId);

    /// Refused twice: set aside, and a hole with reason `rejected` takes its place.
    fn reject(&self, lane: Lane, epoch: Epoch, sequence: u64, reason: RejectReason) -> impl Future<Output = ()> + Send;

    /// Begin a new epoch and seal again under it what is unacked in this one.
    fn fork(&self, lane: Lane, epoch: Epoch) -> impl Future<Output = ()> + Send;

    /// Changes whenever something was committed.
    fn committed(&self) -> watch::Receiver<u64>;
}

/// Who this agent is, and how it stays that.
pub trait Identity: Send {
    /// Settings for the next session.
    ///
    /// # Errors
    /// In words, when key or certificates cannot be used.
    fn tls(&self) -> Result<ClientTls, String>;

    /// A request for a new certificate, when one is due (or `forced`: the present one can do nothing else) and
    /// none is under way.
    fn renewal(&mut self, forced: bool) -> Option<RenewRequest>;

    /// The answer to the request.
    ///
    /// # Errors
    /// In words, when there is no new certificate or it cannot be stored.
    fn renewed(&mut self, reply: Reply) -> Result<(), String>;

    /// The authorities to trust from now on.
    ///
    /// # Errors
    /// In words, when they are refused or cannot be stored.
    fn trust(&mut self, bundle: TrustBundle) -> Result<(), String>;

    /// What the fleet says that this agent is to do, in the session of `challenge`.
    ///
    /// # Errors
    /// In words, when it is not taken.
    fn configured(&mut self, config: Value, challenge: u64) -> Result<(), String>;

    /// An authenticated aggregator says what time it is.
    fn proven(&mut self, time: Timestamp);
}

/// What the uplink is told.
#[derive(Clone)]
pub struct UplinkConfig {
    /// Where aggregators are.
    pub aggregators: Vec<Endpoint>,
    /// The host's name, as it calls itself.
    pub hostname: String,
    /// Names the boot.
    pub boot_id: String,
    /// Where it says what it sends, before it does.
    pub own: OwnTraffic,
    /// What the host says of itself.
    pub labels: BTreeMap<String, String>,
    /// It has a fleet file of its own.
    pub local_fleet: bool,
    /// The name of the configuration that runs.
    pub running: watch::Receiver<String>,
    /// What the agent says of itself; empty until it does.
    pub told: watch::Receiver<Value>,
    /// Who holds what is sent within a rate.
    pub governor: Governor,
}

/// One aggregator and what is known of it.
struct Target {
    endpoint: Endpoint,
    not_before: Instant,
    /// The refusal that was logged last.
    refusal: Option<String>,
}

/// 64 random bits, of the generator that seeds the standard library's hash maps.
fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Indexes below `count` in random order.
fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<(u64, usize)> = (0..count).map(|i| (random(), i)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, i)| i).collect()
}

/// Sends until `stop`. Raise it when the spool has nothing more to give or the time to drain is over.
pub async fn run<S: Spool, I: Identity>(
    config: UplinkConfig,
    spool: S,
    identity: &mut I,
    status: &UplinkStatus,
    stop: Stop,
) {
    let now = Instant::now();
    let target = |endpoint: &Endpoint| Target { endpoint: endpoint.clone(), not_before: now, refusal: None };
    let mut targets: Vec<Target> = config.aggregators.iter().map(target).collect();
    let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_CAP);
    let told = config.told.clone();
    let governor = config.governor.clone();
    let mut around = Around { spool: &spool, identity, status, stop: &stop, told, governor };
    let mut at_once = 0;
    let mut wait = Duration::ZERO;
    while !stop.requested() {
        if rest(wait, &stop).await {
            return;
        }
        wait = backoff.next_delay(random());
        for i in shuffled(targets.len()) {
            let Some(target) = targets.get_mut(i).filter(|target| target.not_before <= Instant::now()) else {
                continue;
            };
            let outcome = attempt(&config, target, &mut around).await;
            if stop.requested() {
                return;
            }
            match settle(target, outcome, status) {
                Next::Other => {}
                Next::Again { worked } => {
                    if worked {
                        backoff.reset();
                        at_once = 0;
                    }
                    at_once += 1;
                    wait = if at_once <= AT_ONCE_MAX { Duration::ZERO } else { backoff.next_delay(random()) };
                    break;
                }
                Next::AfterPause => {
                    backoff.reset();
                    wait = backoff.next_delay(random());
                    break;
                }
            }
        }
    }
}

enum Next {
    /// The next aggregator of this round.
    Other,
    /// A new session without a pause.
    Again { worked: bool },
    /// It worked and ended: a new round after the first delay.
    AfterPause,
}

/// Sleeps, unless the program stops: then true.
async fn rest(wait: Duration, stop: &Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(wait) => false,
        _ = stop.reached(Stage::Draining) => true,
    }
}

/// Writes down how an attempt went, and when this aggregator may be tried again.
fn settle(target: &mut Target, outcome: Outcome, status: &UplinkStatus) -> Next {
    let Outcome { worked, again, error, fatal, retry_after } = outcome;
    status.disconnected(error.as_deref());
    let pause = retry_after.map(|pause| pause.min(RETRY_AFTER_MAX)).or(fatal.then_some(FATAL_RETRY));
    if let Some(pause) = pause {
        // Up to a quarter more, so that a fleet does not come back at one moment.
        let spread = u64::try_from(pause.as_millis() / 4).unwrap_or(0).saturating_add(1);
        target.not_before = Instant::now() + pause + Duration::from_millis(random() % spread);
    }
    let (aggregator, text) = (&target.endpoint, error.as_deref().unwrap_or("closed"));
    if !fatal {
        tracing::info!(%aggregator, error = text, "session ended");
    } else if target.refusal.as_deref() != Some(text) {
        tracing::error!(%aggregator, error = text, "refused; trying again every ten minutes or so");
        target.refusal = error;
    }
    match (again, worked) {
        (true, worked) => Next::Again { worked },
        (false, true) => {
            target.refusal = None;
            Next::AfterPause
        }
        (false, false) => Next::Other,
    }
}

/// Resolves, dials address by address, and holds one session.
async fn attempt<S: Spool, I: Identity>(
    config: &UplinkConfig,
    target: &Target,
    around: &mut Around<'_, S, I>,
) -> Outcome {
    let endpoint = &target.endpoint;
    let tls = match around.identity.tls() {
        Ok(tls) => tls,
        Err(error) => return Outcome::fatal(error),
    };
    let addresses: Vec<SocketAddr> = match tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Outcome::failed(format!("{endpoint} does not resolve: {error}")),
    };
    let mut failed = Outcome::failed(format!("{endpoint} has no address"));
    for i in shuffled(addresses.len()) {
        let Some(&address) = addresses.get(i) else { continue };
        let dialed = tokio::select! {
            dialed = tokio::time::timeout(DIAL_TIMEOUT, Link::dial(address, &endpoint.host, &tls, &config.own)) => dialed,
            _ = around.stop.reached(Stage::Draining) => return Outcome::failed("stopped".to_owned()),
        };
        match dialed {
            Ok(Ok(link)) => {
                let hello = hello(config, around.spool.summaries().await);
                let at = format!("{endpoint} ({address})");
                let outcome = session::run(link, hello, &at, around).await;
                return outcome.explained(tls.take_refusal());
            }
            Ok(Err(error)) => failed = Outcome::from_link(&error, &address).explained(tls.take_refusal()),
            Err(_) => failed = Outcome::failed(format!("{address} does not answer")),
        }
    }
    failed
}

fn hello(config: &UplinkConfig, chains: Vec<ChainSummary>) -> AgentHello {
    let mut challenge = [0; 8];
    fill_random(&mut challenge);
    AgentHello {
        protocol: VersionRange::OURS,
        frame_versions: frame_versions(),
        capabilities: Vec::new(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: config.hostname.clone(),
        boot_id: config.boot_id.clone(),
        labels: config.labels.clone(),
        config: config.running.borrow().clone(),
        local_fleet: config.local_fleet,
        challenge: u64::from_le_bytes(challenge),
        chains,
    }
}

impl Outcome {
    fn from_link(error: &LinkError, address: &SocketAddr) -> Self {
        let mut outcome = Self::ended(false, error);
        outcome.error = Some(format!("{address}: {error}"));
        outcome
    }

    /// The words for an aggregator that this end refused.
    fn explained(mut self, refused: Option<impl ToString>) -> Self {
        if let Some(refused) = refused {
            self.error = Some(refused.to_string());
            self.fatal = true;
        }
        self
    }
}
