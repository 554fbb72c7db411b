//! How this host becomes an agent and stays one: key, request, certificate, renewal.
//!
//! In: a token, the replies of an aggregator, proven time. Out: requests, and an [`Identity`] on disk. No socket is
//! opened here; this folder is the only place in the agent that names rcgen.
//!
//! ```text
//! state_dir/identity/identity.pem        0600: the key, its certificate, the authorities; replaced as one file
//! state_dir/identity/enroll-<token>.key  0600: the key of an enrollment that has no reply yet
//! state_dir/identity/proven              the latest moment that an aggregator proved, see shared::tls::ProvenTime
//! ```
//!
//! Invariants:
//! - Key and certificate stand in one file that is replaced by rename: they fit after a crash at any step.
//! - The key of an enrollment is on disk before the request leaves, so that a lost reply is asked for again with
//!   the same key, and the token is not used twice.
//! - The key of a renewal is in memory until its certificate is here. A crash loses it, and nothing else: the
//!   certificate that is on disk stays good, and the next session renews again.
//! - A certificate is only stored when an authority that is trusted issued it, for the key that was asked for, for
//!   the id that this agent has, and (renewing) when it ends later than the one that it replaces.

pub mod first_config;
pub mod store;
pub mod token;

use std::time::Instant;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use shared::enroll::{Der, EnrollRequest, Issued, RefusedCode, RenewRequest, Reply, Token, TrustBundle};
use shared::identity::AgentId;
use shared::time::Timestamp;
use shared::tls::{
    AgentRefused, Authorities, Certificate, ClientTls, Credentials, KeyHash, ProvenTime, TlsError, enroll_client,
    key_hash, session_client,
};

pub use self::store::{IdentityStore, StoreError};

/// What went wrong on the way to a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The aggregator says no, and why.
    #[error("the aggregator refused: {message}")]
    Refused {
        /// What a program can do about it.
        code: RefusedCode,
        /// In its words.
        message: String,
    },
    /// The reply holds a certificate that is not for this agent.
    #[error("the aggregator's reply cannot be used ({0}): it is not stored, ask again or look at the aggregator's log")]
    Reply(String),
    /// The identity's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key or a request could not be made.
    #[error("cannot make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// TLS does not take what is here.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Who this agent is: its key, its certificate, and whom it trusts.
#[derive(Clone, Debug)]
pub struct Identity {
    agent: AgentId,
    certificate: Certificate,
    credentials: Credentials,
    authorities: Authorities,
}

/// Why key, certificate and authorities do not make an identity.
#[derive(Debug, thiserror::Error)]
pub enum NotAnIdentity {
    /// The authorities are none.
    #[error(transparent)]
    Authorities(#[from] TlsError),
    /// The certificate is of another authority.
    #[error("the certificate was not issued by a trusted authority")]
    Authority,
    /// The certificate is not an agent's.
    #[error("the certificate is not an agent's ({0})")]
    NotAnAgent(String),
    /// The certificate is for another key.
    #[error("the certificate is not for the key")]
    Key,
}

impl Identity {
    fn new(key: &KeyPair, leaf: Vec<u8>, authorities: Vec<Vec<u8>>) -> Result<Self, NotAnIdentity> {
        let authorities = Authorities::new(authorities)?;
        let (agent, certificate) = issued_by(&authorities, &leaf)?;
        if certificate.key != KeyHash::of(&key.subject_public_key_info()) {
            return Err(NotAnIdentity::Key);
        }
        let credentials = Credentials { chain: vec![leaf], key: key.serialize_der() };
        Ok(Self { agent, certificate, credentials, authorities })
    }

    /// The id that stands in every frame of this agent.
    #[must_use]
    pub fn agent(&self) -> AgentId {
        self.agent
    }

    /// What stands in the certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The names of the keys of the authorities that it trusts.
    #[must_use]
    pub fn authority_keys(&self) -> Vec<KeyHash> {
        self.authorities.certificates().iter().filter_map(|der| key_hash(der).ok()).collect()
    }

    /// This end of `picket/1`. Made anew after a renewal.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn tls(&self, proven: ProvenTime) -> Result<ClientTls, TlsError> {
        session_client(&self.credentials, self.authorities.clone(), proven)
    }

    /// Whether to renew at `now`, which is [`ProvenTime::now`] and not the system's clock.
    #[must_use]
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        self.certificate.renewal_due(now)
    }

    /// Takes over the authorities that an aggregator named in a session and stores them. `None`: they are the same.
    ///
    /// # Errors
    /// [`EnrollError::Reply`] when this agent's own certificate would not be trusted under them;
    /// [`EnrollError::Store`].
    pub fn trust(&self, bundle: &TrustBundle, store: &IdentityStore) -> Result<Option<Self>, EnrollError> {
        let authorities: Vec<_> = bundle.authorities.iter().map(|der| der.0.clone()).collect();
        if authorities == self.authorities.certificates() {
            return Ok(None);
        }
        let leaf = self.credentials.chain.first().map_or(&[][..], Vec::as_slice);
        let reply = |e: NotAnIdentity| EnrollError::Reply(e.to_string());
        let authorities = Authorities::new(authorities).map_err(|e| reply(e.into()))?;
        issued_by(&authorities, leaf).map_err(reply)?;
        let changed = Self { authorities, ..self.clone() };
        store.store(&changed, "trust.store")?;
        Ok(Some(changed))
    }
}

/// An enrollment on its way. The same token gives the same key until the reply is stored.
#[derive(Debug)]
pub struct Enrolling {
    token: Token,
    key: KeyPair,
    request: EnrollRequest,
    proven: ProvenTime,
}

impl Enrolling {
    /// Makes the key, or takes up the one of an earlier try with this token, and the request.
    ///
    /// # Errors
    /// [`EnrollError::Store`], [`EnrollError::Key`].
    pub fn start(store: &IdentityStore, token: Token, hostname: &str, at: Instant) -> Result<Self, EnrollError> {
        let key = store.enrolling_key(token.id)?;
        let csr = request(&key)?;
        let request = EnrollRequest { token: token.reveal(), csr, hostname: hostname.to_owned() };
        Ok(Self { token, key, request, proven: ProvenTime::new(store.proven(), at) })
    }

    /// What to send.
    #[must_use]
    pub fn request(&self) -> &EnrollRequest {
        &self.request
    }

    /// This end of `picket-enroll/1`: it trusts the authority that the token names.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn tls(&self) -> Result<ClientTls, TlsError> {
        enroll_client(self.token.authority, self.proven.clone())
    }

    /// Checks the reply that came at the monotonic moment `at`, and stores what it brings.
    ///
    /// # Errors
    /// [`EnrollError`]; nothing is stored then, and asking again is safe.
    pub fn finish(&self, store: &IdentityStore, reply: Reply, at: Instant) -> Result<Identity, EnrollError> {
        let issued = issued(reply)?;
        let pinned = |der: &&Der| key_hash(&der.0) == Ok(self.token.authority);
        let authority = issued.authorities.iter().find(pinned);
        let authority =
            authority.ok_or_else(|| EnrollError::Reply("it does not bring the token's authority".to_owned()))?;
        // Issued by the authority that the token names, whatever others come along.
        identity(&self.key, &issued, vec![authority.0.clone()])?;
        let identity = identity(&self.key, &issued, ders(&issued.authorities))?;
        store.store(&identity, "enroll.store")?;
        if let Some(proven) = self.proven.prove(issued.time, at) {
            store.store_proven(proven)?;
        }
        store.forget_enrolling_keys()?;
        Ok(identity)
    }
}

/// A renewal on its way, with a new key.
#[derive(Debug)]
pub struct Renewing {
    key: KeyPair,
    request: RenewRequest,
}

impl Renewing {
    /// Makes the new key and the request.
    ///
    /// # Errors
    /// [`EnrollError::Key`].
    pub fn start() -> Result<Self, EnrollError> {
        let key = KeyPair::generate()?;
        let request = RenewRequest { csr: request(&key)? };
        Ok(Self { key, request })
    }

    /// What to send.
    #[must_use]
    pub fn request(&self) -> &RenewRequest {
        &self.request
    }

    /// Checks the reply and stores what it brings; the identity that it returns is for the next session.
    ///
    /// # Errors
    /// [`EnrollError`]; `current` then stays, on disk too.
    pub fn finish(&self, store: &IdentityStore, current: &Identity, reply: Reply) -> Result<Identity, EnrollError> {
        let issued = issued(reply)?;
        let renewed = identity(&self.key, &issued, current.authorities.certificates().to_vec())?;
        if renewed.agent != current.agent {
            return Err(EnrollError::Reply(format!("it is for agent {}, this is {}", renewed.agent, current.agent)));
        }
        let (end, before) = (renewed.certificate.not_after, current.certificate.not_after);
        if end <= before {
            return Err(EnrollError::Reply(format!(
                "the new certificate ends at {end}, not after the present one at {before}; the aggregator's clock is wrong"
            )));
        }
        store.store(&renewed, "renew.store")?;
        Ok(renewed)
    }
}

fn issued_by(authorities: &Authorities, leaf: &[u8]) -> Result<(AgentId, Certificate), NotAnIdentity> {
    authorities.agent(leaf).map_err(|refused| match refused {
        AgentRefused::NotAnAgent(why) => NotAnIdentity::NotAnAgent(why),
        _ => NotAnIdentity::Authority,
    })
}

fn issued(reply: Reply) -> Result<Issued, EnrollError> {
    match reply {
        Reply::Issued(issued) => Ok(issued),
        Reply::Refused(refused) => {
            let printable = |c: char| if c.is_control() { ' ' } else { c };
            let message = refused.message.chars().take(1_000).map(printable).collect();
            Err(EnrollError::Refused { code: refused.code, message })
        }
    }
}

fn identity(key: &KeyPair, issued: &Issued, authorities: Vec<Vec<u8>>) -> Result<Identity, EnrollError> {
    let identity = Identity::new(key, issued.certificate.0.clone(), authorities);
    let identity = identity.map_err(|e| EnrollError::Reply(e.to_string()))?;
    if identity.agent != issued.agent {
        return Err(EnrollError::Reply(format!("it says {}, its certificate {}", issued.agent, identity.agent)));
    }
    Ok(identity)
}

fn request(key: &KeyPair) -> Result<Der, EnrollError> {
    // Nothing but the key counts: the aggregator ignores subject and names.
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(Der(params.serialize_request(key)?.der().to_vec()))
}

fn ders(all: &[Der]) -> Vec<Vec<u8>> {
    all.iter().map(|der| der.0.clone()).collect()
}
