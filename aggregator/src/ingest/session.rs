//! One session: moves bytes between the link, the machine and the journal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shared::enroll::RenewRequest;
use shared::identity::{AgentId, Lane};
use shared::protocol::{
    AgentHello, GoAway, GoAwayReason, IngestEnd, IngestEvent, IngestOutput, IngestProfile, IngestSession, JournalEntry,
    Message, MessageReader, PerLane, SessionId,
};
use shared::stop::{Stage, Stop};
use shared::tls::{Peer, Standing};
use tokio::sync::{mpsc, watch};

use super::quic::{LaneStream, Link};
use super::{Arrival, Journal, Notice, Receipt, Settled, Shared};

/// Time for an agent to take a message.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a session looks whether its agent was revoked without it being told.
const REVOKED_CHECK: Duration = Duration::from_secs(5);
/// Bytes read from the control stream at once.
const CONTROL_BYTES: usize = 4 << 10;

/// What ended a session.
enum Over {
    /// The machine said so, and the agent has been told where that was possible.
    Machine(IngestEnd, GoAway),
    /// The connection is gone.
    Gone(String),
}

struct Running<'a, J> {
    shared: &'a Arc<Shared<J>>,
    agent: Peer,
    peer: SocketAddr,
    session: SessionId,
    link: Link,
    machine: IngestSession,
    messages: MessageReader,
    lanes: PerLane<(Option<LaneStream>, Vec<u8>)>,
    closing: watch::Receiver<Option<GoAwayReason>>,
    settle: mpsc::UnboundedSender<Settled>,
    /// Entries that the journal has and has not settled.
    outstanding: u64,
    /// The last GoAway that the machine wrote.
    away: GoAway,
    steered: Steered,
}

/// What this session knows of the agent's configuration.
#[derive(Default)]
struct Steered {
    hello: Option<Box<AgentHello>>,
    changed: Option<watch::Receiver<u64>>,
    /// What the agent runs, or was sent.
    has: String,
}

impl Steered {
    /// Waits until the fleet changed; for ever where nobody steers.
    async fn changed(&mut self) {
        let gone = match &mut self.changed {
            Some(changed) => changed.changed().await.is_err(),
            None => true,
        };
        if gone {
            std::future::pending::<()>().await;
        }
    }
}

/// Holds one session until it ends. Returns when everything that it gave to the journal is settled.
pub(super) async fn run<J: Journal>(
    link: Link,
    agent: Peer,
    peer: SocketAddr,
    shared: &Arc<Shared<J>>,
    stop: Stop,
    now: Instant,
) {
    let mut entered = shared.sessions.enter(agent.agent, peer, shared.config.clock.now(), now);
    if let Some(notice) = entered.notice.take() {
        shared.notify(notice);
    }
    let (id, session) = (agent.agent, entered.session);
    shared.counters.sessions.fetch_add(1, Ordering::Relaxed);
    shared.counters.open_sessions.fetch_add(1, Ordering::Relaxed);
    // The older session of this agent settles with the journal first.
    let gate = tokio::select! {
        gate = Arc::clone(&entered.gate).lock_owned() => Some(gate),
        _ = entered.closing.changed() => None,
        _ = link.state.gone() => None,
    };
    match gate {
        Some(gate) => {
            let (settle, mut settled) = receipts();
            let profile = IngestProfile {
                session,
                aggregator: shared.config.aggregator,
                agent: id,
                renew_only: agent.standing == Standing::RenewOnly,
            };
            let mut running = Running {
                shared,
                agent,
                peer,
                session,
                link,
                machine: IngestSession::new(profile, now),
                messages: MessageReader::default(),
                lanes: PerLane::default(),
                closing: entered.closing,
                settle,
                outstanding: 0,
                away: GoAway { reason: GoAwayReason::Other, retry_after: None, detail: String::new() },
                steered: Steered {
                    changed: shared.config.steering.as_ref().map(|steering| steering.changed.clone()),
                    ..Steered::default()
                },
            };
            tracing::info!(agent = %id, %peer, "session opened");
            let over = running.drive(&mut settled, &entered.granted, &stop).await;
            running.end(over, settled).await;
            drop(gate);
        }
        None => link.close(&GoAway { reason: GoAwayReason::Replaced, retry_after: None, detail: String::new() }),
    }
    shared.counters.open_sessions.fetch_sub(1, Ordering::Relaxed);
    shared.sessions.leave(id, session);
}

impl<J: Journal> Running<'_, J> {
    async fn drive(
        &mut self,
        settled: &mut mpsc::UnboundedReceiver<Settled>,
        granted: &tokio::sync::Notify,
        stop: &Stop,
    ) -> Over {
        let mut buffer = vec![0; CONTROL_BYTES];
        let mut revoked = tokio::time::interval(REVOKED_CHECK);
        let mut stopping = false;
        loop {
            while let Some(output) = self.machine.poll() {
                if let Err(over) = self.obey(output).await {
                    return over;
                }
            }
            self.shared.counters.add(self.machine.take_counts());
            if stopping && self.outstanding == 0 {
                self.close(GoAwayReason::Shutdown, "the aggregator stops");
                continue;
            }
            let timeout = self.machine.poll_timeout();
            let Self { link, lanes, closing, steered, .. } = self;
            let [high, normal, bulk] = lanes.each_mut();
            let (reads, opens) = (!stopping, !stopping);
            let event = tokio::select! {
                read = link.reader.read(&mut buffer) => Event::Control(read),
                Some(settled) = settled.recv() => Event::Settled(settled),
                () = granted.notified() => Event::Granted,
                more = LaneStream::read(&mut high.0, &mut high.1), if reads => Event::Lane(Lane::High, more),
                more = LaneStream::read(&mut normal.0, &mut normal.1), if reads => Event::Lane(Lane::Normal, more),
                more = LaneStream::read(&mut bulk.0, &mut bulk.1), if reads => Event::Lane(Lane::Bulk, more),
                opened = link.state.lane(), if opens => Event::Opened(opened),
                () = until(timeout) => Event::Timeout,
                _ = closing.changed() => Event::Close,
                () = steered.changed() => Event::Steer,
                _ = revoked.tick() => Event::Look,
                _ = stop.reached(Stage::Draining), if !stopping => Event::Stop,
                why = link.state.gone() => return Over::Gone(why),
            };
            match event {
                Event::Stop => stopping = true,
                Event::Control(None) => return Over::Gone(self.link.state.gone().await),
                Event::Control(Some(length)) => self.read(buffer.get(..length).unwrap_or_default()),
                Event::Opened(Some(mut stream)) => match stream.name().await {
                    Some(lane) if self.lanes.of(lane).0.is_none() => self.lanes.of_mut(lane).0 = Some(stream),
                    _ => self.close(GoAwayReason::Violation, "a stream of no lane, or of one that has a stream"),
                },
                event => self.happened(event),
            }
            self.balance();
        }
    }

    fn happened(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Settled(Some((chain, through))) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.machine.handle_committed(chain, through);
            }
            Event::Settled(None) => {
                self.outstanding = self.outstanding.saturating_sub(1);
                self.close(GoAwayReason::Shutdown, "the journal could not keep a frame; it is to be sent again");
            }
            Event::Lane(lane, true) => {
                let (_, bytes) = self.lanes.of(lane);
                self.machine.handle_lane_bytes(lane, bytes, now);
            }
            // A stream that ended: the agent may not open another for the same lane, the connection goes next.
            Event::Lane(lane, false) => self.lanes.of_mut(lane).0 = None,
            Event::Timeout => self.machine.handle_timeout(now),
            Event::Close => {
                let reason = self.closing.borrow_and_update().unwrap_or(GoAwayReason::Other);
                self.close(reason, words(reason));
            }
            Event::Steer => self.steer(),
            Event::Look => {
                if self.shared.revocations.contains(self.agent.agent) {
                    self.close(GoAwayReason::Revoked, words(GoAwayReason::Revoked));
                }
            }
            // A connection that is gone says so by itself.
            Event::Granted | Event::Opened(_) | Event::Stop | Event::Control(_) => {}
        }
    }

    fn balance(&mut self) {
        let machine = &mut self.machine;
        self.shared.sessions.with_budget(|budget| machine.balance(budget));
    }

    fn close(&mut self, reason: GoAwayReason, detail: &str) {
        self.machine.close(reason, detail);
    }

    fn read(&mut self, bytes: &[u8]) {
        self.messages.push(bytes);
        loop {
            match self.messages.next_message() {
                Ok(Some(message)) => {
                    let (wall, now) = (self.shared.config.clock.now(), Instant::now());
                    self.machine.handle_message(message, &self.shared.journal, wall, now);
                }
                Ok(None) => return,
                Err(error) => return self.close(GoAwayReason::Violation, &error.to_string()),
            }
        }
    }

    async fn obey(&mut self, output: IngestOutput) -> Result<(), Over> {
        match output {
            IngestOutput::Message(message) => self.write(message).await?,
            IngestOutput::Journal(entry) => self.append(entry).await?,
            IngestOutput::Event(event) => self.tell(event),
            IngestOutput::Hello(hello) => {
                let id = self.agent.agent;
                tracing::debug!(agent = %id, version = hello.agent_version, hostname = hello.hostname, "hello");
                self.machine.trust(self.shared.enrollment.trust_bundle(self.shared.config.clock.now()));
                self.shared.sessions.note(id, |told| {
                    told.running.clone_from(&hello.config);
                    (told.hostname, told.labels) = (hello.hostname.clone(), hello.labels.clone());
                    (told.local_fleet, told.version) = (hello.local_fleet, hello.agent_version.clone());
                });
                self.steered.has.clone_from(&hello.config);
                self.steered.hello = Some(hello);
                self.steer();
            }
            IngestOutput::Renew(request) => self.renew(request).await,
            IngestOutput::Status(status) => {
                let now = self.shared.config.clock.now();
                let running = status.pointer("/config/running").and_then(|hash| hash.as_str()).map(str::to_owned);
                self.shared.sessions.note(self.agent.agent, |told| {
                    told.running = running.unwrap_or_default();
                    told.status = Some((status, now));
                });
            }
            IngestOutput::End(end) => return Err(Over::Machine(end, self.away.clone())),
        }
        Ok(())
    }

    /// Sends the agent its configuration, where it is another than what it has.
    fn steer(&mut self) {
        let Some(steering) = &self.shared.config.steering else { return };
        let Some(hello) = self.steered.hello.as_ref().filter(|_| self.agent.standing != Standing::RenewOnly) else {
            return;
        };
        let agent = self.agent.agent;
        let Some(desired) = (steering.desired)(agent, hello).filter(|_| !hello.local_fleet) else {
            return self.shared.sessions.note(agent, |told| told.desired = None);
        };
        self.shared.sessions.note(agent, |told| told.desired = Some(desired.hash.clone()));
        if self.steered.has != desired.hash {
            tracing::debug!(%agent, hash = desired.hash, "configuration sent");
            self.steered.has = desired.hash;
            self.machine.configure(desired.message);
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), Over> {
        if let Message::GoAway(away) = &message {
            self.away = away.clone();
        }
        let ack = matches!(message, Message::Ack(_));
        let bytes = message.encode().map_err(|error| Over::Gone(error.to_string()))?;
        let Self { link, closing, .. } = self;
        tokio::select! {
            written = link.writer.write(&bytes) => match written {
                true => {}
                false => return Err(Over::Gone(link.state.gone().await)),
            },
            // Half a message may be out: nothing can follow it.
            _ = closing.changed() => {
                let reason = closing.borrow_and_update().unwrap_or(GoAwayReason::Other);
                return Err(gone_away(reason, words(reason)));
            }
            () = tokio::time::sleep(CONTROL_TIMEOUT) => {
                return Err(gone_away(GoAwayReason::Timeout, "the agent does not read"));
            }
        }
        if ack {
            shared::fault::point("ingest.ack_written");
        }
        Ok(())
    }

    async fn append(&mut self, entry: JournalEntry) -> Result<(), Over> {
        let receipt = Receipt::new(&entry, self.settle.clone());
        let received_at = self.shared.config.clock.now();
        let arrival = Arrival { entry, received_at, peer: self.peer, serial: self.agent.serial, receipt };
        // Counted first: a receipt that is dropped settles too.
        self.outstanding += 1;
        let Self { link, closing, shared, .. } = self;
        tokio::select! {
            queued = shared.journal.append(arrival) => match queued {
                Ok(()) => Ok(()),
                Err(error) => Err(gone_away(GoAwayReason::Shutdown, &error.to_string())),
            },
            _ = closing.changed() => {
                let reason = closing.borrow_and_update().unwrap_or(GoAwayReason::Other);
                Err(gone_away(reason, words(reason)))
            }
            why = link.state.gone() => Err(Over::Gone(why)),
        }
    }

    fn tell(&self, event: IngestEvent) {
        let peer = self.peer;
        self.shared.notify(match event {
            IngestEvent::Forked { chain, previous } => {
                let other = self.shared.sessions.other_peer(chain.agent, peer);
                Notice::Forked { chain, previous, peer, other }
            }
            IngestEvent::Rejected { chain, sequence, reason } => Notice::Rejected { chain, sequence, reason, peer },
            IngestEvent::ForeignAgent { certified, claimed } => Notice::ForeignAgent { certified, claimed, peer },
        });
    }

    /// Files are synced for it: not on this task.
    async fn renew(&mut self, request: RenewRequest) {
        let (enrollment, agent, now) =
            (Arc::clone(&self.shared.enrollment), self.agent.clone(), self.shared.config.clock.now());
        let renewed = tokio::task::spawn_blocking(move || enrollment.renew(&agent, &request, now)).await;
        if let Ok((reply, error)) = renewed {
            let agent = self.agent.agent;
            match error {
                Some(error) => tracing::warn!(%agent, %error, "renewal refused"),
                None => tracing::info!(%agent, "certificate renewed"),
            }
            self.machine.renewed(reply);
        }
    }

    /// Gives back credit, closes the link, and waits for the journal.
    async fn end(self, over: Over, mut settled: mpsc::UnboundedReceiver<Settled>) {
        let Self { shared, agent, peer, session, link, mut machine, settle, mut outstanding, .. } = self;
        shared.counters.add(machine.take_counts());
        machine.lost();
        shared.sessions.with_budget(|budget| machine.balance(budget));
        let id: AgentId = agent.agent;
        match over {
            Over::Machine(end, away) => {
                tracing::info!(agent = %id, %peer, session = session.0, end = %end, "session closed");
                link.close(&away);
            }
            Over::Gone(why) => tracing::info!(agent = %id, %peer, session = session.0, why, "session gone"),
        }
        drop(settle);
        while outstanding > 0 && settled.recv().await.is_some() {
            outstanding -= 1;
        }
    }
}

/// What arrivals report to. The journal's thread never waits for a session.
#[expect(clippy::disallowed_methods, reason = "one receipt per arrival, and credit bounds arrivals")]
fn receipts() -> (mpsc::UnboundedSender<Settled>, mpsc::UnboundedReceiver<Settled>) {
    mpsc::unbounded_channel()
}

/// What a session waits for.
enum Event {
    Control(Option<usize>),
    Settled(Settled),
    Granted,
    Lane(Lane, bool),
    Opened(Option<LaneStream>),
    Timeout,
    Close,
    Steer,
    Look,
    Stop,
}

fn gone_away(reason: GoAwayReason, detail: &str) -> Over {
    let retry_after = reason.is_fatal().then_some(600);
    Over::Machine(IngestEnd::GoneAway(reason), GoAway { reason, retry_after, detail: detail.to_owned() })
}

/// What an agent's log says of the reason.
fn words(reason: GoAwayReason) -> &'static str {
    match reason {
        GoAwayReason::Revoked => {
            "this agent was revoked: if that was a mistake, enroll the host again with a new token"
        }
        GoAwayReason::Replaced => {
            "a newer session of the same agent took over: if that is another host, enroll it by itself"
        }
        _ => "",
    }
}

/// Sleeps until then, or for ever.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
