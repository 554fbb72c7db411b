//! QUIC, the aggregator's end: the listener, handshakes, who is let in, and the streams of a session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{HandshakeData, QuicServerConfig};
use quinn::{
    Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream,
    ServerConfig, TransportConfig, VarInt,
};
use ring::hmac;
use rustls::pki_types::CertificateDer;
use shared::enroll::MESSAGE_BYTES_MAX as ENROLL_BYTES_MAX;
use shared::identity::{Lane, fill_random};
use shared::protocol::{GoAway, GoAwayReason};
use shared::stop::{Stage, Stop};
use shared::tls::{Admission, AgentRefused, Peer, admit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::enroll::EnrollHandler;
use super::{IngestConfig, Journal, Shared, session};

/// Nothing was heard for this long: the connection is gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a handshake, for the control stream to be opened, for an enrollment.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// What a connection may have under way before it is let in: one request for enrollment.
const STRANGER_WINDOW_BYTES: u32 = 64 << 10;
/// What a session may have under way, unread: the largest frame, and messages. Credit is what holds agents;
/// this holds those that do not care for credit.
const SESSION_WINDOW_BYTES: u32 = 1_536 << 10;
/// What may be under way to one agent.
const SEND_WINDOW_BYTES: u64 = 320 << 10;
/// Bytes of a lane that are taken from the transport at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Seconds that an agent stays away when there is no room.
const OVERLOADED_RETRY: u64 = 30;
/// Seconds that an agent stays away when it was refused for good.
const REFUSED_RETRY: u64 = 600;

fn server_config(config: &IngestConfig) -> io::Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(Arc::clone(&config.tls)).map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .send_window(SEND_WINDOW_BYTES)
        .receive_window(VarInt::from_u32(STRANGER_WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(SESSION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok());
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(Arc::new(transport)).max_incoming(config.handshakes_max);
    Ok(server)
}

/// Answers packets of connections that this process does not know with a reset (RFC 9000, section 10.3) that the
/// other end recognizes: what an aggregator says after a crash, so that its agents come back at once.
fn endpoint_config(config: &IngestConfig) -> EndpointConfig {
    let mut endpoint = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &config.reset_secret)));
    endpoint.cid_generator(|| Box::new(RandomIds));
    endpoint
}

/// Connection ids of 8 random bytes. Quinn's own have a check in them that only their process knows: it would pass over
/// packets for its predecessor in silence.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; 8];
        fill_random(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The bound port.
pub(super) struct Listener(Endpoint);

impl Listener {
    pub(super) fn bind(config: &IngestConfig) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(config.listen)?;
        let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("no runtime"))?;
        Endpoint::new(endpoint_config(config), Some(server_config(config)?), socket, runtime).map(Self)
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Accepts until `stop`, then waits for the sessions to end.
    pub(super) async fn serve<J: Journal>(self, shared: Arc<Shared<J>>, stop: Stop) {
        let handshakes = Arc::new(Semaphore::new(shared.config.handshakes_max));
        let sessions = Arc::new(Semaphore::new(shared.config.sessions_max));
        let mut tasks = JoinSet::new();
        loop {
            let incoming = tokio::select! {
                incoming = self.0.accept() => incoming,
                Some(_) = tasks.join_next() => continue,
                _ = stop.reached(Stage::Draining) => break,
            };
            let Some(incoming) = incoming else { break };
            let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
                shared.counters.refused_connections.fetch_add(1, Ordering::Relaxed);
                incoming.refuse();
                continue;
            };
            let crowded =
                handshakes.available_permits() < shared.config.handshakes_max - shared.config.handshakes_max / 4;
            if crowded && !incoming.remote_address_validated() {
                // A Retry costs a spoofed address nothing but itself; this end keeps no state for it.
                let _ = incoming.retry();
                continue;
            }
            let (shared, sessions, stop) = (Arc::clone(&shared), Arc::clone(&sessions), stop.clone());
            tasks.spawn(async move { welcome(incoming, permit, sessions, shared, stop).await });
        }
        while tasks.join_next().await.is_some() {}
        self.0.close(VarInt::from_u32(u32::from(GoAwayReason::Shutdown as u8)), b"{\"reason\":\"shutdown\"}");
        let _ = tokio::time::timeout(Duration::from_secs(1), self.0.wait_idle()).await;
    }
}

/// One connection from its first packet on.
async fn welcome<J: Journal>(
    incoming: Incoming,
    handshake: OwnedSemaphorePermit,
    sessions: Arc<Semaphore>,
    shared: Arc<Shared<J>>,
    stop: Stop,
) {
    let peer = incoming.remote_address();
    let Ok(connecting) = incoming.accept() else { return };
    let connection = match tokio::time::timeout(OPEN_TIMEOUT, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            return shared.refused(peer, error.to_string());
        }
        Err(_) => return,
    };
    match admission(&connection, &shared) {
        Ok(Admission::Enrollment) => {
            let handler = EnrollHandler::new(&shared.enrollment);
            let now = shared.config.clock.now();
            // A permit of the handshakes is held all the time: strangers never take the room of sessions.
            let answered = tokio::time::timeout(OPEN_TIMEOUT, enroll(&connection, handler, peer, now)).await;
            if answered.is_ok_and(|answered| answered.is_some()) {
                shared.counters.enrollments.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(Admission::Session(agent)) => {
            drop(handshake);
            match sessions.try_acquire_owned() {
                Ok(permit) => {
                    open(connection, agent, peer, &shared, stop).await;
                    drop(permit);
                }
                Err(_) => {
                    let detail = "this aggregator has as many sessions as it may".to_owned();
                    refuse(&connection, GoAwayReason::Overloaded, Some(OVERLOADED_RETRY), detail.clone());
                    shared.refused(peer, detail);
                }
            }
        }
        Err(refused) => {
            let reason = match refused {
                AgentRefused::Revoked { .. } => GoAwayReason::Revoked,
                AgentRefused::Expired { .. } => GoAwayReason::Expired,
                _ => GoAwayReason::Untrusted,
            };
            refuse(&connection, reason, Some(REFUSED_RETRY), refused.to_string());
            shared.refused(peer, refused.to_string());
        }
    }
}

fn admission<J>(connection: &Connection, shared: &Shared<J>) -> Result<Admission, AgentRefused> {
    let handshake = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    let alpn = handshake.and_then(|data| data.protocol);
    let identity = connection.peer_identity();
    let chain = identity.and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    let config = &shared.config;
    admit(
        alpn.as_deref(),
        chain.as_deref().map(Vec::as_slice),
        &shared.revocations,
        config.renew_grace,
        config.clock.now(),
    )
}

fn refuse(connection: &Connection, reason: GoAwayReason, retry_after: Option<u64>, detail: String) {
    close(connection, &GoAway { reason, retry_after, detail });
}

fn close(connection: &Connection, away: &GoAway) {
    let text = serde_json::to_vec(away).unwrap_or_default();
    connection.close(VarInt::from_u32(u32::from(away.reason as u8)), &text);
}

/// One request, one reply.
async fn enroll(
    connection: &Connection,
    handler: EnrollHandler,
    peer: SocketAddr,
    now: shared::time::Timestamp,
) -> Option<()> {
    let (mut send, mut receive) = connection.accept_bi().await.ok()?;
    let request = receive.read_to_end(ENROLL_BYTES_MAX).await.ok()?;
    let reply = tokio::task::spawn_blocking(move || handler.answer(peer, &request, now)).await.ok()?;
    send.write_all(&reply).await.ok()?;
    send.finish().ok()?;
    // The agent closes once it has read the reply.
    connection.closed().await;
    Some(())
}

async fn open<J: Journal>(connection: Connection, agent: Peer, peer: SocketAddr, shared: &Arc<Shared<J>>, stop: Stop) {
    connection.set_receive_window(VarInt::from_u32(SESSION_WINDOW_BYTES));
    connection.set_max_concurrent_uni_streams(VarInt::from_u32(3));
    let Ok(Ok((send, receive))) = tokio::time::timeout(OPEN_TIMEOUT, connection.accept_bi()).await else {
        return refuse(&connection, GoAwayReason::Timeout, None, "no control stream in time".to_owned());
    };
    let link = Link { state: LinkState(connection), writer: ControlWriter(send), reader: ControlReader(receive) };
    session::run(link, agent, peer, shared, stop, Instant::now()).await;
}

/// An admitted connection with its control stream.
pub(super) struct Link {
    pub(super) state: LinkState,
    pub(super) writer: ControlWriter,
    pub(super) reader: ControlReader,
}

/// The connection itself.
pub(super) struct LinkState(Connection);

/// The incoming half of the control stream.
pub(super) struct ControlReader(RecvStream);

/// The outgoing half of the control stream.
pub(super) struct ControlWriter(SendStream);

/// The stream of one lane.
pub(super) struct LaneStream(RecvStream);

impl LinkState {
    /// Waits until the connection is gone; why, in words.
    pub(super) async fn gone(&self) -> String {
        self.0.closed().await.to_string()
    }

    /// The next lane stream that the agent opens; none when the connection is gone. May be dropped at any time.
    pub(super) async fn lane(&self) -> Option<LaneStream> {
        self.0.accept_uni().await.ok().map(LaneStream)
    }
}

impl ControlReader {
    /// Reads what is there, at least a byte; none when the stream or the connection ended. May be dropped at any
    /// time without losing bytes.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.0.read(buffer).await.ok().flatten()
    }
}

impl ControlWriter {
    /// Writes all of it; false when the connection is gone.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }
}

impl LaneStream {
    /// Which lane it is: its first byte, which comes with the first frame.
    pub(super) async fn name(&mut self) -> Option<Lane> {
        let mut lane = [0];
        tokio::time::timeout(OPEN_TIMEOUT, self.0.read_exact(&mut lane)).await.ok()?.ok()?;
        let [lane] = lane;
        Lane::from_u8(lane)
    }

    /// The next bytes of the lane, at most [`CHUNK_BYTES`]; none when the stream ended. Waits for ever where there
    /// is no stream. May be dropped at any time without losing bytes.
    pub(super) async fn read(stream: &mut Option<Self>, buffer: &mut Vec<u8>) -> bool {
        let Some(Self(stream)) = stream else { return std::future::pending().await };
        match stream.read_chunk(CHUNK_BYTES, true).await {
            Ok(Some(chunk)) => {
                buffer.clear();
                buffer.extend_from_slice(&chunk.bytes);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

impl Link {
    /// Ends the control stream and closes the connection with the same words.
    pub(super) fn close(mut self, away: &GoAway) {
        let _ = self.writer.0.finish();
        close(&self.state.0, away);
    }
}
