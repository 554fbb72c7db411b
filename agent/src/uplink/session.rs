//! One session: moves bytes between the link, the machine and the spool.

use std::time::{Duration, Instant};

use serde_json::Value;
use shared::identity::{AgentId, Lane};
use shared::protocol::{AgentEnd, AgentHello, AgentOutput, AgentSession, GoAway, GoAwayReason, MessageReader, PerLane};
use shared::stop::{Stage, Stop};
use tokio::sync::{mpsc, watch};

use super::quic::{LaneWrite, Link, LinkError};
use super::{Identity, Spool, UplinkStatus};
use crate::limits::Governor;

/// How often the certificate is looked at.
const RENEWAL_CHECK: Duration = Duration::from_secs(60);
/// Time for the transport to take a message.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read from the control stream at once.
const CONTROL_BYTES: usize = 8 << 10;

/// How an attempt or a session went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Frames could flow.
    pub(super) worked: bool,
    /// The next session follows at once.
    pub(super) again: bool,
    /// Why it ended, in words.
    pub(super) error: Option<String>,
    /// Trying again soon does not mend it.
    pub(super) fatal: bool,
    /// The aggregator asks for this pause.
    pub(super) retry_after: Option<Duration>,
}

impl Outcome {
    pub(super) fn failed(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    pub(super) fn fatal(error: String) -> Self {
        Self { fatal: true, ..Self::failed(error) }
    }

    /// By the link's own end.
    pub(super) fn ended(worked: bool, error: &LinkError) -> Self {
        let (fatal, retry_after) = match error {
            LinkError::GoAway(away) => (away.reason.is_fatal(), away.retry_after.map(Duration::from_secs)),
            LinkError::Refused(_) => (true, None),
            LinkError::Socket(_) | LinkError::Dial(_) | LinkError::Gone(_) => (false, None),
        };
        Self { worked, again: false, error: Some(error.to_string()), fatal, retry_after }
    }

    fn by_machine(worked: bool, end: &AgentEnd) -> Self {
        let again = matches!(end, AgentEnd::Forked | AgentEnd::NewEpoch | AgentEnd::Renewed);
        let (fatal, retry_after) = match end {
            AgentEnd::GoAway(away) => (away.reason.is_fatal(), away.retry_after.map(Duration::from_secs)),
            AgentEnd::Version { .. } => (true, None),
            _ => (false, None),
        };
        Self { worked, again, error: Some(end.to_string()), fatal, retry_after }
    }
}

/// What a session works with.
pub(super) struct Around<'a, S, I> {
    pub(super) spool: &'a S,
    pub(super) identity: &'a mut I,
    pub(super) status: &'a UplinkStatus,
    pub(super) stop: &'a Stop,
    pub(super) told: watch::Receiver<Value>,
    pub(super) governor: Governor,
}

struct Running<'a, 'b, S, I> {
    link: Link,
    machine: AgentSession,
    messages: MessageReader,
    lanes: PerLane<Option<mpsc::Sender<LaneWrite>>>,
    written: mpsc::Sender<Lane>,
    around: &'b mut Around<'a, S, I>,
    at: &'b str,
    /// What this session's Hello asks to be signed over.
    challenge: u64,
    worked: bool,
}

/// What ended a session.
enum Over {
    Machine(AgentEnd),
    Link(LinkError),
}

/// Holds one session until it ends or the program stops. `at` names the aggregator.
pub(super) async fn run<S: Spool, I: Identity>(
    link: Link,
    hello: AgentHello,
    at: &str,
    around: &mut Around<'_, S, I>,
) -> Outcome {
    let (written, mut taken) = mpsc::channel(Lane::ALL.len());
    let challenge = hello.challenge;
    let machine = AgentSession::new(hello, Instant::now());
    let (messages, lanes) = (MessageReader::default(), PerLane::default());
    let mut running = Running { link, machine, messages, lanes, written, around, at, challenge, worked: false };
    let end = running.drive(&mut taken).await;
    let Running { link, worked, .. } = running;
    match end {
        Over::Machine(end) => {
            let outcome = Outcome::by_machine(worked, &end);
            let reason = match &end {
                AgentEnd::Violation(_) | AgentEnd::Refused { .. } => GoAwayReason::Violation,
                AgentEnd::Version { .. } => GoAwayReason::Version,
                AgentEnd::Timeout => GoAwayReason::Timeout,
                _ => GoAwayReason::Shutdown,
            };
            link.close(&GoAway { reason, retry_after: None, detail: end.to_string() }).await;
            outcome
        }
        Over::Link(error) => Outcome::ended(worked, &error),
    }
}

impl<S: Spool, I: Identity> Running<'_, '_, S, I> {
    async fn drive(&mut self, taken: &mut mpsc::Receiver<Lane>) -> Over {
        let mut committed = self.around.spool.committed();
        let mut told = self.around.told.clone();
        // Each aggregator is told at the start of its session.
        told.mark_changed();
        let mut renewal = tokio::time::interval(RENEWAL_CHECK);
        let mut buffer = vec![0; CONTROL_BYTES];
        loop {
            while let Some(output) = self.machine.poll() {
                if let Err(end) = self.obey(output).await {
                    return end;
                }
            }
            let timeout = self.machine.poll_timeout();
            tokio::select! {
                read = self.link.reader.read(&mut buffer) => match read {
                    Some(length) => self.messages.push(buffer.get(..length).unwrap_or_default()),
                    None => return Over::Link(self.link.state.gone().await),
                },
                Some(lane) = taken.recv() => self.machine.handle_written(lane),
                Ok(()) = told.changed(), if self.machine.is_streaming() => {
                    let status = told.borrow_and_update().clone();
                    if !status.is_null() {
                        self.machine.status(status);
                    }
                }
                Ok(()) = committed.changed() => Lane::ALL.into_iter().for_each(|lane| self.machine.handle_available(lane)),
                () = until(timeout) => self.machine.handle_timeout(Instant::now()),
                _ = renewal.tick(), if self.worked => self.renew(false),
                error = self.link.state.gone() => return Over::Link(error),
                _ = self.around.stop.reached(Stage::Draining) => self.machine.close(),
            }
            loop {
                match self.messages.next_message() {
                    Ok(Some(message)) => self.machine.handle_message(message),
                    Ok(None) => break,
                    Err(error) => return Over::Machine(AgentEnd::Violation(error.to_string())),
                }
            }
        }
    }

    fn renew(&mut self, forced: bool) {
        if let Some(request) = self.around.identity.renewal(forced) {
            self.machine.renew(request);
        }
    }

    async fn obey(&mut self, output: AgentOutput) -> Result<(), Over> {
        match output {
            AgentOutput::Message(message) => {
                let bytes = message.encode().map_err(|e| Over::Machine(AgentEnd::Violation(e.to_string())))?;
                let write = tokio::time::timeout(CONTROL_TIMEOUT, self.link.writer.write(&bytes));
                match write.await {
                    Ok(true) => {}
                    Ok(false) => return Err(Over::Link(self.link.state.gone().await)),
                    Err(_) => return Err(Over::Machine(AgentEnd::Timeout)),
                }
            }
            AgentOutput::Hello(hello) => {
                self.around.identity.proven(hello.wall_time);
                self.around.status.connected(self.at, hello.aggregator);
                tracing::info!(aggregator = self.at, id = %hello.aggregator, renew_only = hello.renew_only, "connected");
                self.worked = !hello.renew_only;
                if hello.renew_only {
                    self.renew(true);
                }
            }
            AgentOutput::Fetch { lane, after } => match self.around.spool.next_frame(lane, after).await {
                Ok(frame) => self.machine.handle_frame(lane, frame),
                Err(error) => {
                    tracing::error!(%lane, %error, "the spool cannot be read; nothing of this lane is sent until it can");
                    self.machine.handle_frame(lane, None);
                }
            },
            AgentOutput::HashOf { lane, epoch, sequence } => {
                let hash = self.around.spool.hash_of(lane, epoch, sequence).await;
                self.machine.handle_hash(lane, epoch, hash);
            }
            AgentOutput::Write { lane, resend, frame } => self.write(lane, LaneWrite { resend, frame }).await,
            AgentOutput::Acked { lane, epoch, through, aggregator } => {
                shared::fault::point("uplink.ack_read");
                self.acked(lane, (epoch, through), aggregator);
            }
            AgentOutput::Quarantine { lane, epoch, sequence, reason } => {
                tracing::error!(%lane, %epoch, sequence, reason = reason.name(), "the aggregator refused a frame twice; it goes to quarantine");
                self.around.spool.reject(lane, epoch, sequence, reason).await;
            }
            AgentOutput::Fork { lane, epoch, through } => {
                tracing::warn!(%lane, %epoch, through, aggregator = self.at,
                    "the aggregator has frames that this host did not write: it is a clone or a restored copy; a new epoch begins, what is unacked is sent again");
                self.around.spool.fork(lane, epoch).await;
            }
            AgentOutput::Config(config) => {
                if let Err(error) = self.around.identity.configured(config, self.challenge) {
                    tracing::error!(%error, "the fleet's configuration is not taken; what is in force stays");
                }
            }
            AgentOutput::Trust(bundle) => {
                if let Err(error) = self.around.identity.trust(bundle) {
                    tracing::error!(%error, "the authorities that the aggregator named are not taken");
                }
            }
            AgentOutput::Renewed(reply) => {
                shared::fault::point("uplink.renewal_read");
                match self.around.identity.renewed(reply) {
                    Ok(()) => {
                        tracing::info!("certificate renewed");
                        self.machine.renewed();
                    }
                    Err(error) => {
                        tracing::error!(%error, "the certificate was not renewed; tried again in the next session")
                    }
                }
            }
            AgentOutput::End(end) => return Err(Over::Machine(end)),
        }
        Ok(())
    }

    fn acked(&self, lane: Lane, (epoch, through): (shared::identity::Epoch, u64), aggregator: AgentId) {
        self.around.status.acked(lane, epoch, through, Instant::now());
        self.around.spool.acked(lane, epoch, through, aggregator);
    }

    async fn write(&mut self, lane: Lane, write: LaneWrite) {
        let header = write.frame.header();
        let place = (lane, header.chain.epoch, header.next_sequence().saturating_sub(1));
        self.around.status.sent(place, write.frame.bytes().len(), Instant::now());
        let (link, written, governor) = (&self.link, &self.written, &self.around.governor);
        let open = || link.lane(lane, written.clone(), governor.clone());
        let sender = self.lanes.of_mut(lane).get_or_insert_with(open);
        // The machine gives a lane one frame at a time: there is room. A task that is gone means that the
        // connection is, which the loop hears of.
        let _ = sender.send(write).await;
    }
}

/// Sleeps until then, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
