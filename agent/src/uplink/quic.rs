//! QUIC, the agent's end: a connection with small windows, its control stream, its lane streams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use shared::frame::Frame;
use shared::identity::Lane;
use shared::protocol::{GoAway, GoAwayReason, RESEND_MARKER};
use shared::tls::{Alert, ClientTls, Side};

use crate::limits::{Governor, Pacer};
use crate::own_traffic::{OwnEnds, OwnTraffic, UDP};
use tokio::sync::mpsc;

use super::SEND_WINDOW_BYTES;

/// Nothing was heard for this long: the connection is gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A packet at least this often keeps the way through middleboxes open.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// What the aggregator may have under way to us: one configuration.
const RECEIVE_WINDOW_BYTES: u32 = 320 << 10;
/// Time for the last packets of a connection to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection does not come about or is gone.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// No socket.
    #[error("cannot open a UDP socket: {0}")]
    Socket(#[source] io::Error),
    /// The settings are not for QUIC, or the name is none.
    #[error("cannot dial: {0}")]
    Dial(String),
    /// The aggregator went away with a reason.
    #[error("the aggregator closed the connection ({:?}): {}", .0.reason, .0.detail)]
    GoAway(GoAway),
    /// The aggregator's TLS refused this agent.
    #[error("the aggregator refused the handshake: {0}")]
    Refused(Alert),
    /// Anything else.
    #[error("the connection is gone: {0}")]
    Gone(#[source] ConnectionError),
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::ApplicationClosed(close) => {
                let detail = || String::from_utf8_lossy(&close.reason).into_owned();
                let unknown = |_| GoAway { reason: GoAwayReason::Other, retry_after: None, detail: detail() };
                Self::GoAway(serde_json::from_slice(&close.reason).unwrap_or_else(unknown))
            }
            ConnectionError::ConnectionClosed(ref close) => {
                match Alert::from_quic(Side::Agent, u64::from(close.error_code)) {
                    Some(alert) => Self::Refused(alert),
                    None => Self::Gone(error),
                }
            }
            error => Self::Gone(error),
        }
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .send_window(SEND_WINDOW_BYTES)
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .stream_receive_window(VarInt::from_u32(RECEIVE_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // Lane streams share the link packet by packet. A stream that is served until it runs empty would keep the
        // others waiting for the backlog of its lane; by priority a backlog of high would silence bulk. Which frame is
        // next is decided before it gets here.
        .send_fairness(true)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IDLE_TIMEOUT.try_into().ok());
    transport
}

async fn dial(
    address: SocketAddr,
    name: &str,
    tls: &ClientTls,
    own: &OwnTraffic,
) -> Result<(Endpoint, Connection), LinkError> {
    let local: SocketAddr =
        if address.is_ipv6() { (Ipv6Addr::UNSPECIFIED, 0).into() } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
    let endpoint = Endpoint::client(local).map_err(LinkError::Socket)?;
    let local_port = endpoint.local_addr().map_err(LinkError::Socket)?.port();
    own.declare(OwnEnds { protocol: UDP, local_port, remote: address });
    let crypto =
        QuicClientConfig::try_from(Arc::clone(&tls.config)).map_err(|error| LinkError::Dial(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport()));
    let connecting =
        endpoint.connect_with(config, address, name).map_err(|error| LinkError::Dial(error.to_string()))?;
    let connection = connecting.await?;
    Ok((endpoint, connection))
}

/// An open connection.
pub(super) struct Link {
    endpoint: Endpoint,
    pub(super) state: LinkState,
    pub(super) reader: ControlReader,
    pub(super) writer: ControlWriter,
    charged: Arc<Charged>,
}

/// Bytes of a connection that were charged to the rate.
#[derive(Default)]
struct Charged(AtomicU64);

impl Charged {
    /// Writes bytes in pieces as the rate allows. Before each, what the connection sent besides is charged: what left it
    /// is more than what was written only by that.
    async fn write(
        &self,
        stream: &mut SendStream,
        connection: &Connection,
        pacer: &Pacer,
        lane: Lane,
        bytes: &[u8],
    ) -> bool {
        for piece in bytes.chunks(pacer.piece_bytes()) {
            let left = connection.stats().udp_tx.bytes;
            let charged = self.0.fetch_max(left, Ordering::Relaxed);
            pacer.charge(left.saturating_sub(charged));
            pacer.take(lane, piece.len()).await;
            self.0.fetch_add(u64::try_from(piece.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            if stream.write_all(piece).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// The connection itself.
pub(super) struct LinkState(Connection);

impl LinkState {
    /// Why the connection is gone; waits until it is.
    pub(super) async fn gone(&self) -> LinkError {
        self.0.closed().await.into()
    }
}

/// The incoming half of the control stream.
pub(super) struct ControlReader(RecvStream);

/// The outgoing half of the control stream.
pub(super) struct ControlWriter(SendStream);

impl ControlReader {
    /// Reads what is there, at least a byte; none when the aggregator ended the stream or the connection. May
    /// be dropped at any time without losing bytes.
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

/// A frame to be written to a lane's stream.
pub(super) struct LaneWrite {
    pub(super) resend: bool,
    pub(super) frame: Frame,
}

impl Link {
    /// Connects and opens the control stream.
    pub(super) async fn dial(
        address: SocketAddr,
        name: &str,
        tls: &ClientTls,
        own: &OwnTraffic,
    ) -> Result<Self, LinkError> {
        let (endpoint, connection) = dial(address, name, tls, own).await?;
        let (send, receive) = connection.open_bi().await?;
        // Before every lane: acks of credit and renewals must not wait for frames.
        send.set_priority(i32::from(u8::MAX)).unwrap_or_default();
        let (reader, writer) = (ControlReader(receive), ControlWriter(send));
        Ok(Self { endpoint, state: LinkState(connection), reader, writer, charged: Arc::default() })
    }

    /// A task that writes one lane's stream, as fast as the rate allows; opened with its first frame. `written` hears of
    /// each frame that the transport took. It ends when the sender is dropped or the connection is gone.
    pub(super) fn lane(&self, lane: Lane, written: mpsc::Sender<Lane>, governor: Governor) -> mpsc::Sender<LaneWrite> {
        let (sender, mut frames) = mpsc::channel::<LaneWrite>(1);
        let (connection, charged) = (self.state.0.clone(), Arc::clone(&self.charged));
        tokio::spawn(async move {
            let Ok(mut stream) = connection.open_uni().await else { return };
            let mut head = vec![lane as u8];
            while let Some(LaneWrite { resend, frame }) = frames.recv().await {
                if resend {
                    head.extend(RESEND_MARKER);
                }
                let bytes = frame.bytes();
                head.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
                let is_begun = stream.write_all(&head).await.is_ok();
                if !is_begun || !charged.write(&mut stream, &connection, governor.pacer(), lane, bytes).await {
                    return;
                }
                head.clear();
                if written.send(lane).await.is_err() {
                    return;
                }
            }
        });
        sender
    }

    /// Closes the connection and lets the last packets leave.
    pub(super) async fn close(mut self, away: &GoAway) {
        // What was written to the control stream goes first; the text of the close says the same.
        let _ = self.writer.0.finish();
        let text = serde_json::to_vec(away).unwrap_or_default();
        self.state.0.close(VarInt::from_u32(u32::from(away.reason as u8)), &text);
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

/// Why an enrollment got no reply.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// No address.
    #[error("{0} does not resolve: {1}")]
    Resolve(crate::config::Endpoint, #[source] io::Error),
    /// No connection, or it went away.
    #[error("{address}: {reason}")]
    Link {
        /// Where.
        address: SocketAddr,
        /// Why, in words.
        reason: String,
    },
}

/// Sends one request by `picket-enroll/1` (`tls` is that of [`shared::tls::enroll_client`]) and returns the reply's bytes.
///
/// # Errors
/// [`EnrollError`], of the last address that was tried.
pub async fn enroll(
    aggregator: &crate::config::Endpoint,
    tls: &ClientTls,
    request: &[u8],
) -> Result<Vec<u8>, EnrollError> {
    let resolve = |error| EnrollError::Resolve(aggregator.clone(), error);
    let addresses = tokio::net::lookup_host((aggregator.host.as_str(), aggregator.port)).await.map_err(resolve)?;
    let mut last = resolve(io::Error::new(io::ErrorKind::NotFound, "no address"));
    for address in addresses {
        let asked = tokio::time::timeout(super::DIAL_TIMEOUT, ask(address, &aggregator.host, tls, request)).await;
        let reason = match asked {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => tls.take_refusal().map_or_else(|| error.to_string(), |refused| refused.to_string()),
            Err(_) => "no answer in time".to_owned(),
        };
        last = EnrollError::Link { address, reason };
    }
    Err(last)
}

async fn ask(address: SocketAddr, name: &str, tls: &ClientTls, request: &[u8]) -> Result<Vec<u8>, LinkError> {
    // Before there are sources; what is captured meanwhile is another agent's.
    let (endpoint, connection) = dial(address, name, tls, &OwnTraffic::default()).await?;
    let gone = |connection: &Connection| {
        connection.close_reason().map_or(LinkError::Dial("the reply was cut off".to_owned()), LinkError::from)
    };
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(request).await.map_err(|_| gone(&connection))?;
    send.finish().map_err(|_| gone(&connection))?;
    let reply = receive.read_to_end(shared::enroll::MESSAGE_BYTES_MAX).await.map_err(|_| gone(&connection))?;
    connection.close(VarInt::from_u32(0), b"");
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
    Ok(reply)
}
