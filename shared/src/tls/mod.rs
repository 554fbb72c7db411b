//! Who may talk to whom: rustls settings for both ends, and what a certificate proves.
//!
//! In: certificates, keys, a clock, the revoked agents. Out: a rustls configuration for each end, and after the
//! handshake a [`Peer`] or a refusal that says which certificate, why, and what to do. No socket is opened here.
//! This folder is the only place in `shared` that names rustls and x509-parser.
//!
//! ## One listener, two protocols
//!
//! `picket/1` needs a client certificate, `picket-enroll/1` comes without one, and both knock at one port. TLS
//! decides about client certificates before the protocol is settled, so the handshake asks for a certificate and
//! takes none for an answer; one that is shown must be good. What remains is decided by one function that both
//! listeners (QUIC and TCP) call with the finished handshake: [`admit`]. It lets nobody without a certificate into
//! `picket/1`, and nobody with or without one from `picket-enroll/1` into ingest, since it answers with a value
//! that has no [`Peer`].
//!
//! Invariants:
//! - A path has two steps, leaf and authority: intermediates that a peer sends are not looked at (but for the
//!   authority's own certificate during enrollment, which is known by its key).
//! - Signatures, path and purpose are judged by webpki at a moment inside the certificate's validity; only the
//!   question of time is ours. `not_before` is ignored by both ends: it would lock out whoever has a wrong clock.
//! - No tickets, no resumption, no early data: a certificate is looked at in every session, so a revocation or an end
//!   cannot be slept through.
//! - The aggregator judges by its own clock; the agent never by its own: see [`ProvenTime`].

mod certificate;
mod refusal;
mod verify;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};

pub use self::certificate::{
    Certificate, CertificateError, DER_BYTES_MAX, DialName, KeyHash, NAMES_MAX, NotAName, NotHex, Role, Serial,
    certificates_in_pem, key_hash, key_in_pem, random, request_key, sha256, to_pem,
};
pub(crate) use self::certificate::{from_hex, hexadecimal};
pub use self::refusal::{AgentRefused, AggregatorRefused, Alert, Side};
pub use self::verify::{Admission, Authorities, Peer, Standing, admit};
use self::verify::{AgentVerifier, AggregatorVerifier, Trust};
use crate::identity::AgentId;
use crate::time::{Clock, Timestamp};

/// ALPN of a session: both ends have certificates.
pub const ALPN_SESSION: &[u8] = b"picket/1";
/// ALPN of an enrollment: only the aggregator has a certificate; one request, one reply.
pub const ALPN_ENROLL: &[u8] = b"picket-enroll/1";
/// How long after its end an agent's certificate still opens a session that can only renew, by default.
pub const RENEW_GRACE: Duration = Duration::from_secs(365 * 86_400);
/// When this program was built (`SOURCE_DATE_EPOCH` where set): it cannot be earlier than this.
pub const BUILD_TIME: Timestamp = Timestamp::from_seconds(decimal(env!("PICKET_BUILD_SECONDS")));

/// Settings that rustls does not take.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// None or too many authorities, or one that is no certificate of an authority.
    #[error("the authority's certificate cannot be used: {0}")]
    Authority(String),
    /// A chain and key that do not fit, or a key that cannot be read.
    #[error("the certificate and its private key cannot be used: {0}")]
    Key(rustls::Error),
    /// Anything else: a fault of this program.
    #[error("tls settings are refused: {0}")]
    Settings(rustls::Error),
}

/// A certificate chain (leaf first, then its authority) with the leaf's private key, all DER, the key in PKCS#8.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Certificates, the leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The leaf's key.
    pub key: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({} certificates)", self.chain.len())
    }
}

impl Credentials {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    fn certified(&self) -> Result<CertifiedKey, TlsError> {
        CertifiedKey::from_der(self.chain(), self.key(), &provider()).map_err(TlsError::Key)
    }
}

/// The revoked agents, shared by roster, handshakes and sessions. Bounded by the roster, which knows each of them.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<RwLock<HashSet<AgentId>>>);

impl Revocations {
    /// Whether this agent is revoked.
    #[must_use]
    pub fn contains(&self, agent: AgentId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&agent)
    }

    /// Revokes an agent, from this moment on.
    pub fn insert(&self, agent: AgentId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(agent);
    }
}

/// The aggregator's certificate in force; sessions that begin after [`ServerCertificate::replace`] see the new one.
pub struct ServerCertificate(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Starts with these credentials.
    ///
    /// # Errors
    /// [`TlsError::Key`].
    pub fn new(credentials: &Credentials) -> Result<Self, TlsError> {
        Ok(Self(RwLock::new(Arc::new(credentials.certified()?))))
    }

    /// Puts other credentials in force.
    ///
    /// # Errors
    /// [`TlsError::Key`]; the old ones then stay.
    pub fn replace(&self, credentials: &Credentials) -> Result<(), TlsError> {
        let certified = Arc::new(credentials.certified()?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerCertificate")
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What the aggregator's listener needs.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Whose agents are let in.
    pub authorities: Authorities,
    /// What it shows.
    pub certificate: Arc<ServerCertificate>,
    /// Who is not let in although its certificate is good.
    pub revocations: Revocations,
    /// How long after its end a certificate may still renew; see [`RENEW_GRACE`].
    pub renew_grace: Duration,
    /// By which the ends of agents' certificates are judged.
    pub clock: Clock,
}

/// The aggregator's end of both protocols. [`admit`] decides about each finished handshake.
///
/// # Errors
/// [`TlsError::Settings`].
pub fn server_config(settings: ServerSettings) -> Result<Arc<ServerConfig>, TlsError> {
    let ServerSettings { authorities, certificate, revocations, renew_grace, clock } = settings;
    let verifier = AgentVerifier { authorities, revocations, renew_grace };
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(ClockTime(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![ALPN_SESSION.to_vec(), ALPN_ENROLL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The agent's end of one protocol: the rustls settings, and why the last aggregator was refused.
#[derive(Clone, Debug)]
pub struct ClientTls {
    /// For quinn or a TLS stream.
    pub config: Arc<ClientConfig>,
    refused: Arc<Mutex<Option<AggregatorRefused>>>,
}

impl ClientTls {
    /// Why the last handshake ended on our side, once. QUIC turns errors of a handshake into numbers; this is the
    /// text.
    #[must_use]
    pub fn take_refusal(&self) -> Option<AggregatorRefused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The agent's end of `picket/1`. Made anew after a renewal or a change of authorities.
///
/// # Errors
/// [`TlsError::Key`], [`TlsError::Settings`].
pub fn session_client(
    credentials: &Credentials,
    authorities: Authorities,
    proven: ProvenTime,
) -> Result<ClientTls, TlsError> {
    let (builder, refused) = client_builder(Trust::Authorities(authorities), proven)?;
    let config = builder.with_client_auth_cert(credentials.chain(), credentials.key()).map_err(TlsError::Key)?;
    Ok(finish_client(config, ALPN_SESSION, refused))
}

/// The agent's end of `picket-enroll/1`: trusts the one authority whose key has the hash that stands in the token.
/// The aggregator sends that authority's certificate in its chain.
///
/// # Errors
/// [`TlsError::Settings`].
pub fn enroll_client(authority_key: KeyHash, proven: ProvenTime) -> Result<ClientTls, TlsError> {
    let (builder, refused) = client_builder(Trust::Pinned(authority_key), proven)?;
    Ok(finish_client(builder.with_no_client_auth(), ALPN_ENROLL, refused))
}

type ClientBuilder = rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>;
type RefusedSlot = Arc<Mutex<Option<AggregatorRefused>>>;

fn client_builder(trust: Trust, proven: ProvenTime) -> Result<(ClientBuilder, RefusedSlot), TlsError> {
    let refused = RefusedSlot::default();
    let verifier = AggregatorVerifier { trust, proven, refused: Arc::clone(&refused) };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok((builder, refused))
}

fn finish_client(mut config: ClientConfig, alpn: &[u8], refused: RefusedSlot) -> ClientTls {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    ClientTls { config: Arc::new(config), refused }
}

/// What an agent knows of time without believing its own clock: it is later than the build of the program, and later
/// than what an aggregator said in an authenticated session. Clones share one knowledge.
///
/// What an aggregator says is believed up to the end of the certificate that it showed, so that one whose clock runs
/// years ahead does not take its agents with it.
#[derive(Clone, Debug)]
pub struct ProvenTime(Arc<Mutex<Proof>>);

#[derive(Debug)]
struct Proof {
    latest: Timestamp,
    anchor: (Timestamp, Instant),
    believed_until: Timestamp,
}

impl ProvenTime {
    /// Starts from what was stored (0 for nothing) at the monotonic moment `at`.
    #[must_use]
    pub fn new(stored: Timestamp, at: Instant) -> Self {
        let latest = stored.max(BUILD_TIME);
        Self(Arc::new(Mutex::new(Proof { latest, anchor: (latest, at), believed_until: Timestamp(i64::MAX) })))
    }

    /// The latest moment that is certainly past: the end of an aggregator's certificate is judged against it.
    #[must_use]
    pub fn latest(&self) -> Timestamp {
        self.lock().latest
    }

    /// The best estimate of the present: the last proof and the monotonic time since. Renewal is judged by it.
    #[must_use]
    pub fn now(&self, at: Instant) -> Timestamp {
        let (time, since) = self.lock().anchor;
        time.plus(at.saturating_duration_since(since))
    }

    /// An aggregator said in its session that it is `time`. Answers with the latest proven moment when that moved:
    /// it is worth storing then.
    #[must_use]
    pub fn prove(&self, time: Timestamp, at: Instant) -> Option<Timestamp> {
        let mut proof = self.lock();
        let time = time.min(proof.believed_until);
        if time <= proof.latest {
            return None;
        }
        proof.latest = time;
        proof.anchor = (time, at);
        Some(time)
    }

    fn believe_until(&self, end: Timestamp) {
        self.lock().believed_until = end;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Proof> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_seconds()).unwrap_or(0)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

const fn decimal(text: &str) -> i64 {
    let mut rest = text.as_bytes();
    let mut value = 0i64;
    while let [digit, tail @ ..] = rest {
        value = value * 10 + (*digit - b'0') as i64;
        rest = tail;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proven_time_only_moves_forward_and_not_beyond_the_certificate() {
        let start = Instant::now();
        let proven = ProvenTime::new(Timestamp::default(), start);
        assert_eq!(proven.latest(), BUILD_TIME);
        let day = Duration::from_secs(86_400);
        assert_eq!(proven.prove(BUILD_TIME.plus(day), start), Some(BUILD_TIME.plus(day)));
        assert_eq!(proven.prove(BUILD_TIME, start), None);
        assert_eq!(proven.now(start + day), BUILD_TIME.plus(day * 2));
        proven.believe_until(BUILD_TIME.plus(day * 300));
        let far = BUILD_TIME.plus(day * 5_000);
        assert_eq!(proven.prove(far, start), Some(BUILD_TIME.plus(day * 300)));
        assert_eq!(ProvenTime::new(BUILD_TIME.plus(day), start).latest(), BUILD_TIME.plus(day));
    }

    #[test]
    fn build_time_is_plausible() {
        assert!(BUILD_TIME >= Timestamp::from_seconds(0), "{BUILD_TIME}");
        assert_eq!(decimal("1773653400"), 1_773_653_400);
    }
}
