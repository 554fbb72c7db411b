//! Judging certificates: is it ours, for which program, and does it stand at this time.
//!
//! In: DER, the authorities, a time. Out: a [`Certificate`] or [`Peer`], or the refusal. The two rustls verifiers
//! are thin shells around it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{CertificateError as Rustls, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use super::{
    ALPN_ENROLL, ALPN_SESSION, AgentRefused, AggregatorRefused, Certificate, DialName, KeyHash, ProvenTime,
    Revocations, Role, Serial, TlsError, key_hash, provider, unix_time,
};
use crate::identity::AgentId;
use crate::time::Timestamp;

/// Most authorities trusted at a time: the one in force, and those before and after it during a change.
const AUTHORITIES_MAX: usize = 4;

/// The certificate authorities whose agents and aggregators are believed.
#[derive(Clone, Debug)]
pub struct Authorities {
    certificates: Vec<Vec<u8>>,
    roots: Arc<RootCertStore>,
    agents: Arc<dyn ClientCertVerifier>,
}

/// What is wrong with a leaf, whichever end looks.
enum Wrong {
    Authority,
    Leaf(String),
}

impl Authorities {
    /// Trusts these authorities (DER), one to four.
    ///
    /// # Errors
    /// [`TlsError::Authority`].
    pub fn new(certificates: Vec<Vec<u8>>) -> Result<Self, TlsError> {
        if certificates.is_empty() || certificates.len() > AUTHORITIES_MAX {
            return Err(TlsError::Authority(format!("there are {}, not 1 to {AUTHORITIES_MAX}", certificates.len())));
        }
        let mut roots = RootCertStore::empty();
        for der in &certificates {
            roots.add(CertificateDer::from(der.as_slice())).map_err(|e| TlsError::Authority(e.to_string()))?;
        }
        let roots = Arc::new(roots);
        let agents = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|e| TlsError::Authority(e.to_string()))?;
        Ok(Self { certificates, roots, agents })
    }

    /// Their certificates, in DER.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// Reads the certificate of an agent that one of them issued, whatever the time.
    ///
    /// # Errors
    /// [`AgentRefused::Authority`], [`AgentRefused::NotAnAgent`].
    pub fn agent(&self, leaf: &[u8]) -> Result<(AgentId, Certificate), AgentRefused> {
        let refused = |wrong| match wrong {
            Wrong::Authority => AgentRefused::Authority,
            Wrong::Leaf(why) => AgentRefused::NotAnAgent(why),
        };
        let certificate = read(leaf).map_err(refused)?;
        let at = unix_time(certificate.not_after);
        let path = self.agents.verify_client_cert(&CertificateDer::from(leaf), &[], at);
        path.map_err(|e| refused(Wrong::from(e)))?;
        match certificate.role {
            Role::Agent(id) => Ok((id, certificate)),
            Role::Aggregator(_) => Err(AgentRefused::NotAnAgent("it is an aggregator's".to_owned())),
        }
    }

    /// Reads the certificate of an aggregator that one of them issued, whatever the time and the name.
    ///
    /// # Errors
    /// [`AggregatorRefused::Authority`], [`AggregatorRefused::NotAnAggregator`].
    pub fn aggregator(&self, leaf: &[u8]) -> Result<Certificate, AggregatorRefused> {
        let refused = |wrong| match wrong {
            Wrong::Authority => AggregatorRefused::Authority,
            Wrong::Leaf(why) => AggregatorRefused::NotAnAggregator(why),
        };
        let certificate = read(leaf).map_err(refused)?;
        let der = CertificateDer::from(leaf);
        let parsed = ParsedCertificate::try_from(&der).map_err(|e| refused(Wrong::from(e)))?;
        let algorithms = provider().signature_verification_algorithms.all;
        let at = unix_time(certificate.not_after);
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, &[], at, algorithms)
            .map_err(|e| refused(Wrong::from(e)))?;
        match certificate.role {
            Role::Aggregator(_) => Ok(certificate),
            Role::Agent(_) => Err(AggregatorRefused::NotAnAggregator("it is an agent's".to_owned())),
        }
    }
}

impl From<rustls::Error> for Wrong {
    /// A path that does not verify for any other reason than its purpose or encoding leads to another authority.
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(
                why @ (Rustls::InvalidPurpose
                | Rustls::InvalidPurposeContext { .. }
                | Rustls::BadEncoding
                | Rustls::UnhandledCriticalExtension),
            ) => Self::Leaf(why.to_string()),
            _ => Self::Authority,
        }
    }
}

fn read(leaf: &[u8]) -> Result<Certificate, Wrong> {
    Certificate::read(leaf).map_err(|e| Wrong::Leaf(e.to_string()))
}

/// What a session of this agent may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Everything.
    Full,
    /// Its certificate has ended, and can still be renewed: nothing else.
    RenewOnly,
}

/// The agent at the other end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whose session it is: the only agent id that its frames may carry.
    pub agent: AgentId,
    /// The certificate's serial, which the journal keeps with each frame.
    pub serial: Serial,
    /// The certificate's end.
    pub not_after: Timestamp,
    /// The name of its key.
    pub key: KeyHash,
    /// What it may do.
    pub standing: Standing,
}

/// Which handler a finished handshake goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// `picket/1`, with this agent.
    Session(Peer),
    /// `picket-enroll/1`, with somebody who has yet to show a token.
    Enrollment,
}

/// Decides about a finished handshake of [`super::server_config`]: `alpn` is the protocol that was settled on,
/// `chain` what the other end showed, leaf first. The handshake has proven path and key; protocol, revocation and
/// time are judged here, so that a session which outlives a revocation can be judged again.
///
/// # Errors
/// [`AgentRefused`].
pub fn admit(
    alpn: Option<&[u8]>,
    chain: Option<&[CertificateDer<'_>]>,
    revocations: &Revocations,
    renew_grace: Duration,
    now: Timestamp,
) -> Result<Admission, AgentRefused> {
    match alpn {
        Some(ALPN_ENROLL) => Ok(Admission::Enrollment),
        Some(ALPN_SESSION) => {
            let leaf = chain.and_then(<[_]>::first).ok_or(AgentRefused::NoCertificate)?;
            let certificate = Certificate::read(leaf).map_err(|e| AgentRefused::NotAnAgent(e.to_string()))?;
            let Role::Agent(agent) = certificate.role else {
                return Err(AgentRefused::NotAnAgent("it is an aggregator's".to_owned()));
            };
            stand(agent, &certificate, revocations, renew_grace, now).map(Admission::Session)
        }
        _ => Err(AgentRefused::Protocol),
    }
}

fn stand(
    agent: AgentId,
    certificate: &Certificate,
    revocations: &Revocations,
    renew_grace: Duration,
    now: Timestamp,
) -> Result<Peer, AgentRefused> {
    let &Certificate { serial, not_after, key, .. } = certificate;
    if revocations.contains(agent) {
        return Err(AgentRefused::Revoked { agent });
    }
    let standing = if now <= not_after {
        Standing::Full
    } else if now <= not_after.plus(renew_grace) {
        Standing::RenewOnly
    } else {
        return Err(AgentRefused::Expired { agent, not_after, grace_days: renew_grace.as_secs() / 86_400 });
    };
    Ok(Peer { agent, serial, not_after, key, standing })
}

/// The aggregator's verifier. A client may show no certificate: [`admit`] decides about that.
#[derive(Debug)]
pub(super) struct AgentVerifier {
    pub(super) authorities: Authorities,
    pub(super) revocations: Revocations,
    pub(super) renew_grace: Duration,
}

impl AgentVerifier {
    fn judge(&self, leaf: &[u8], now: Timestamp) -> Result<Peer, AgentRefused> {
        let (agent, certificate) = self.authorities.agent(leaf)?;
        stand(agent, &certificate, &self.revocations, self.renew_grace, now)
    }
}

impl ClientCertVerifier for AgentVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let now = Timestamp::from_seconds(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        match self.judge(end_entity, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refused) => {
                // The alert that the agent gets cannot carry this text, and the connection's error does not carry
                // the id.
                tracing::info!(reason = %refused, "an agent is refused");
                Err(refused.into_rustls(now))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Whom an agent believes about the aggregator.
#[derive(Debug)]
pub(super) enum Trust {
    /// The authorities that it was enrolled with.
    Authorities(Authorities),
    /// Enrolling: the authority with this key, whose certificate the aggregator sends.
    Pinned(KeyHash),
}

/// The agent's verifier. It never looks at the system clock.
#[derive(Debug)]
pub(super) struct AggregatorVerifier {
    pub(super) trust: Trust,
    pub(super) proven: ProvenTime,
    pub(super) refused: Arc<Mutex<Option<AggregatorRefused>>>,
}

impl AggregatorVerifier {
    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<(), AggregatorRefused> {
        let certificate = match &self.trust {
            Trust::Authorities(authorities) => authorities.aggregator(leaf)?,
            Trust::Pinned(expected) => pinned_authority(*expected, others)?.aggregator(leaf)?,
        };
        let dialed = match name {
            ServerName::IpAddress(ip) => DialName::Ip((*ip).into()),
            other => DialName::Dns(other.to_str().to_ascii_lowercase()),
        };
        if !certificate.names.contains(&dialed) {
            return Err(AggregatorRefused::name(&dialed, &certificate.names));
        }
        let proven = self.proven.latest();
        if certificate.not_after < proven {
            return Err(AggregatorRefused::Expired { not_after: certificate.not_after, proven });
        }
        self.proven.believe_until(certificate.not_after);
        Ok(())
    }
}

fn pinned_authority(expected: KeyHash, sent: &[CertificateDer<'_>]) -> Result<Authorities, AggregatorRefused> {
    let refused = AggregatorRefused::TokenAuthority { expected };
    let found = sent.iter().take(AUTHORITIES_MAX).find(|der| key_hash(der) == Ok(expected));
    let found = found.ok_or_else(|| refused.clone())?;
    Authorities::new(vec![found.to_vec()]).map_err(|_| refused)
}

impl ServerCertVerifier for AggregatorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let judged = self.judge(end_entity, intermediates, server_name);
        let mut slot = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = judged.as_ref().err().cloned();
        match judged {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(refused) => Err(refused.to_rustls()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

fn only_tls13() -> rustls::Error {
    rustls::Error::General("only TLS 1.3 is spoken".to_owned())
}
