//! The certificate authority: who is who, and who may become an agent.
//!
//! In: a state folder, certificate requests, tokens, `now`. Out: certificates, and a roster of the agents that have
//! one. No socket is opened here. This folder is the only place that names rcgen.
//!
//! ```text
//! state_dir/ca/ca.key       the authority's key, 0600          state_dir/tokens/<id>.json   one token and its uses
//! state_dir/ca/ca.crt       its certificate, 10 years          state_dir/roster.log         every agent, every change
//! state_dir/ca/server.pem   the aggregator's key, its          state_dir/lock               who may change the roster
//!                           certificate and the authority's
//! ```
//!
//! Keys are ECDSA P-256 with SHA-256: ring, rcgen, every TLS library and every hardware module have it.
//!
//! Invariants:
//! - A certificate for an agent is only given out after the roster has it on disk; a use of a token is on disk
//!   before.
//! - Of a request only its key is taken, and only when the key signed the request. The id comes from the token's
//!   use or from the certificate that renews, never from what the other end writes.
//! - An agent of this authority that the roster does not know is still an agent: a second aggregator with the same
//!   authority has a roster of its own. Only a revocation takes it out.
//!
//! Limits: [`token::TOKENS_MAX`] tokens of [`token::USES_MAX`] uses, [`roster::AGENTS_MAX`] agents,
//! [`enrollment::CERTIFICATES_PER_DAY_MAX`] certificates per agent and day.

pub mod enrollment;
pub mod init;
pub mod lock;
pub mod roster;
pub mod signature;
pub mod token;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use shared::durable::{DurableError, PRIVATE, PUBLIC, STATE_FOLDER, Writer, read_bounded};
use shared::identity::AgentId;
use shared::time::{Timestamp, civil_from_days};
use shared::tls::{
    Authorities, Certificate, CertificateError, Credentials, DialName, KeyHash, NAMES_MAX, Role, TlsError,
    certificates_in_pem, key_hash, key_in_pem, random, to_pem,
};

use self::signature::{SignError, Signer};

/// Life of an authority.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3_653 * 86_400);
/// Life of an aggregator's certificate; it is made anew at two thirds.
pub const SERVER_LIFE: Duration = Duration::from_secs(365 * 86_400);
/// Life of an agent's certificate; it is renewed at two thirds.
pub const AGENT_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Certificates begin this much before they are made, for tools whose clock is behind. Picket does not look at it.
const BACKDATED: Duration = Duration::from_secs(3_600);
/// Largest file of keys and certificates that is read, in bytes.
const PEM_BYTES_MAX: u64 = 256 * 1024;

/// What the authority could not do.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file.
    #[error(transparent)]
    File(#[from] DurableError),
    /// A file whose content is not what belongs there.
    #[error("{path} cannot be used: {why}; restore it from a backup, agents trust no other authority", path = path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A request for a certificate that is not good.
    #[error(transparent)]
    Request(#[from] CertificateError),
    /// Names for which no certificate can be made.
    #[error("a certificate needs 1 to {NAMES_MAX} names, not {0}")]
    Names(usize),
    /// A certificate could not be made or put to use.
    #[error("cannot make a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// A certificate could not be put to use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A key that cannot sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The system gives no random bytes.
    #[error("cannot make a key or a serial: {0}")]
    Random(#[from] std::io::Error),
}

/// The authority: its certificate and its key.
pub struct Authority {
    certificate: Vec<u8>,
    key_hash: KeyHash,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.key_hash)
    }
}

/// A certificate that was made for an agent.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate.
    pub der: Vec<u8>,
    /// What stands in it.
    pub certificate: Certificate,
}

impl Authority {
    /// Makes a new authority. Its name has the start of its key's hash, so that two are never mistaken for each
    /// other.
    ///
    /// # Errors
    /// [`CaError::Issue`], [`CaError::Random`].
    pub fn generate(now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let key_hash = KeyHash::of(&key.subject_public_key_info());
        let name = format!("Picket authority {}", key_hash.to_string().get(..16).unwrap_or_default());
        let mut params = params(&name, now, AUTHORITY_LIFE)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(Self { certificate, key_hash, issuer: Issuer::new(params, key) })
    }

    /// Writes a new authority into `state_dir`, where none may be.
    ///
    /// # Errors
    /// [`CaError::File`], also when there is one.
    pub fn store_new(&self, state_dir: &Path, writer: &Writer) -> Result<(), CaError> {
        writer.folder(&state_dir.join("ca"), STATE_FOLDER)?;
        writer.create(&key_path(state_dir), self.issuer.key().serialize_pem().as_bytes(), PRIVATE)?;
        let pem = to_pem("CERTIFICATE", &self.certificate);
        Ok(writer.create(&certificate_path(state_dir), pem.as_bytes(), PUBLIC)?)
    }

    /// Reads the authority in `state_dir`.
    ///
    /// # Errors
    /// [`CaError::File`], [`CaError::Content`].
    pub fn load(state_dir: &Path) -> Result<Self, CaError> {
        let path = certificate_path(state_dir);
        let content = |path: &Path, why: String| CaError::Content { path: path.to_owned(), why };
        let pem = read_bounded(&path, PEM_BYTES_MAX)?;
        let certificate = certificates_in_pem(&pem).map_err(|e| content(&path, e.to_string()))?.swap_remove(0);
        let key_hash = key_hash(&certificate).map_err(|e| content(&path, e.to_string()))?;
        let path = key_path(state_dir);
        let pem = String::from_utf8(read_bounded(&path, PEM_BYTES_MAX)?);
        let key = pem.ok().and_then(|pem| KeyPair::from_pem(&pem).ok());
        let key = key.ok_or_else(|| content(&path, "it has no private key".to_owned()))?;
        if KeyHash::of(&key.subject_public_key_info()) != key_hash {
            return Err(content(&path, "it is not the key of the certificate in ca.crt".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.as_slice().into(), key)?;
        Ok(Self { certificate, key_hash, issuer })
    }

    /// The name of its key: what tokens carry.
    #[must_use]
    pub fn key_hash(&self) -> KeyHash {
        self.key_hash
    }

    /// What signs in its name, for the journal's seals.
    ///
    /// # Errors
    /// [`CaError::Sign`]: its key is not one that Picket makes.
    pub fn signer(&self) -> Result<Signer, CaError> {
        Ok(Signer::from_pkcs8(&self.issuer.key().serialize_der())?)
    }

    /// The name of the key in the certificate that lies in `state_dir`; the key itself need not be there.
    ///
    /// # Errors
    /// [`CaError::File`], [`CaError::Content`].
    pub fn key_hash_in(state_dir: &Path) -> Result<KeyHash, CaError> {
        let path = certificate_path(state_dir);
        let found = certificates_in_pem(&read_bounded(&path, PEM_BYTES_MAX)?);
        found
            .and_then(|found| key_hash(found.first().map_or(&[], Vec::as_slice)))
            .map_err(|error| CaError::Content { path, why: error.to_string() })
    }

    /// Its certificate, in DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Itself, as what the listener trusts.
    ///
    /// # Errors
    /// [`CaError::Tls`].
    pub fn trusted(&self) -> Result<Authorities, CaError> {
        Ok(Authorities::new(vec![self.certificate.clone()])?)
    }

    /// Makes a certificate for `agent` with this key (`SubjectPublicKeyInfo`, from [`shared::tls::request_key`]).
    ///
    /// # Errors
    /// [`CaError::Issue`], [`CaError::Random`].
    pub fn issue_agent(&self, agent: AgentId, public_key: &[u8], now: Timestamp) -> Result<Leaf, CaError> {
        let key = SubjectPublicKeyInfo::from_der(public_key)?;
        let mut params = leaf_params(Role::Agent(agent), &agent.to_string(), now, AGENT_LIFE)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        let certificate = Certificate::read(&der)?;
        Ok(Leaf { der, certificate })
    }

    /// Makes a key and a certificate for an aggregator that is dialed under these names.
    ///
    /// # Errors
    /// [`CaError::Names`], [`CaError::Issue`], [`CaError::Random`].
    pub fn issue_server(&self, id: AgentId, names: &[DialName], now: Timestamp) -> Result<Credentials, CaError> {
        if names.is_empty() || names.len() > NAMES_MAX {
            return Err(CaError::Names(names.len()));
        }
        let mut params = leaf_params(Role::Aggregator(id), &id.to_string(), now, SERVER_LIFE)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        for name in names {
            params.subject_alt_names.push(match name {
                DialName::Dns(dns) => SanType::DnsName(dns.as_str().try_into()?),
                DialName::Ip(ip) => SanType::IpAddress(*ip),
            });
        }
        let key = KeyPair::generate()?;
        let leaf = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Credentials { chain: vec![leaf, self.certificate.clone()], key: key.serialize_der() })
    }
}

/// The aggregator's own key and certificate, on disk in one file.
#[derive(Clone, Debug)]
pub struct Server {
    /// For the listener.
    pub credentials: Credentials,
    /// What stands in the certificate.
    pub certificate: Certificate,
    /// The aggregator's id, kept over re-issues.
    pub id: AgentId,
}

impl Server {
    /// Makes the first certificate of an aggregator and stores it.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn create(
        authority: &Authority,
        names: &[DialName],
        state_dir: &Path,
        writer: &Writer,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        let id = new_id(now)?;
        Self::from_credentials(&server_path(state_dir), authority.issue_server(id, names, now)?)?
            .store(state_dir, writer)
    }

    /// Reads the aggregator's certificate.
    ///
    /// # Errors
    /// [`CaError::File`], [`CaError::Content`].
    pub fn load(state_dir: &Path) -> Result<Self, CaError> {
        let path = server_path(state_dir);
        let content = |e: CertificateError| CaError::Content { path: path.clone(), why: e.to_string() };
        let pem = read_bounded(&path, PEM_BYTES_MAX)?;
        let chain = certificates_in_pem(&pem).map_err(content)?;
        let key = key_in_pem(&pem).map_err(content)?;
        Self::from_credentials(&path, Credentials { chain, key })
    }

    /// Whether it is time to make it anew: two thirds of its life are over, or a wrong clock made it.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> bool {
        self.certificate.renewal_due(now)
    }

    /// Makes key and certificate anew, with the same id and names (or others), and stores them. What runs goes on
    /// with the old until it is told ([`shared::tls::ServerCertificate::replace`]).
    ///
    /// # Errors
    /// [`CaError`]; the old ones then stay.
    pub fn reissue(
        &self,
        authority: &Authority,
        names: &[DialName],
        state_dir: &Path,
        writer: &Writer,
        now: Timestamp,
    ) -> Result<Self, CaError> {
        Self::from_credentials(&server_path(state_dir), authority.issue_server(self.id, names, now)?)?
            .store(state_dir, writer)
    }

    fn store(self, state_dir: &Path, writer: &Writer) -> Result<Self, CaError> {
        let mut pem = to_pem("PRIVATE KEY", &self.credentials.key);
        for der in &self.credentials.chain {
            pem.push_str(&to_pem("CERTIFICATE", der));
        }
        writer.replace(&server_path(state_dir), pem.as_bytes(), PRIVATE, "ca.server")?;
        Ok(self)
    }

    fn from_credentials(path: &Path, credentials: Credentials) -> Result<Self, CaError> {
        let content = |why: String| CaError::Content { path: path.to_owned(), why };
        let leaf = credentials.chain.first().ok_or_else(|| content("it has no certificate".to_owned()))?;
        let certificate = Certificate::read(leaf).map_err(|e| content(e.to_string()))?;
        let Role::Aggregator(id) = certificate.role else { return Err(content("it is an agent's".to_owned())) };
        Ok(Self { credentials, certificate, id })
    }
}

/// A new id (UUIDv7).
///
/// # Errors
/// [`CaError::Random`].
pub fn new_id(now: Timestamp) -> Result<AgentId, CaError> {
    Ok(AgentId::v7(u64::try_from(now.as_ms()).unwrap_or(0), random()?))
}

fn leaf_params(role: Role, name: &str, now: Timestamp, life: Duration) -> Result<CertificateParams, CaError> {
    let mut params = params(name, now, life)?;
    params.subject_alt_names = vec![SanType::URI(role.uri().as_str().try_into()?)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn params(name: &str, now: Timestamp, life: Duration) -> Result<CertificateParams, CaError> {
    let date = |at: Timestamp| {
        let (year, month, day) = civil_from_days(at.day());
        let midnight = Timestamp::from_seconds(at.day().saturating_mul(86_400));
        let seconds = at.since(midnight).as_secs();
        rcgen::date_time_ymd(i32::try_from(year).unwrap_or(9_999), month, day) + Duration::from_secs(seconds)
    };
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(Timestamp(now.0.saturating_sub(i64::try_from(BACKDATED.as_nanos()).unwrap_or(0))));
    params.not_after = date(now.plus(life));
    let mut serial: [u8; 16] = random()?;
    // Positive, and of one length: 126 random bits (RFC 5280 §4.1.2.2 wants at most 20 bytes).
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("ca/ca.key")
}

fn certificate_path(state_dir: &Path) -> PathBuf {
    state_dir.join("ca/ca.crt")
}

fn server_path(state_dir: &Path) -> PathBuf {
    state_dir.join("ca/server.pem")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    /// A folder of one test, empty.
    pub(crate) fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("picket-ca-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// A moment in 2026.
    pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_795_000_000);

    /// A certificate request with a new key, and names that nobody should believe.
    pub(crate) fn request() -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["root.example.net".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.serialize_request(&key).unwrap().der().to_vec();
        (key, der)
    }

    #[test]
    fn authority_and_server_survive_their_files() {
        let dir = folder("files");
        let writer = Writer::for_owner_of(&dir).unwrap();
        let authority = Authority::generate(NOW).unwrap();
        authority.store_new(&dir, &writer).unwrap();
        assert!(matches!(authority.store_new(&dir, &writer), Err(CaError::File(e)) if e.already_exists()));
        let names: Vec<DialName> = ["agg.example.net", "::1"].iter().map(|n| n.parse().unwrap()).collect();
        let server = Server::create(&authority, &names, &dir, &writer, NOW).unwrap();

        let authority = Authority::load(&dir).unwrap();
        let loaded = Server::load(&dir).unwrap();
        assert_eq!(loaded.credentials, server.credentials);
        assert_eq!(loaded.certificate.names, names);
        assert!(authority.trusted().unwrap().aggregator(&loaded.credentials.chain[0]).is_ok());
        for file in ["ca/ca.key", "ca/server.pem"] {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(dir.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn key_of_another_authority_is_refused() {
        let dir = folder("mixed");
        let writer = Writer::for_owner_of(&dir).unwrap();
        Authority::generate(NOW).unwrap().store_new(&dir, &writer).unwrap();
        let other = Authority::generate(NOW).unwrap();
        std::fs::write(key_path(&dir), other.issuer.key().serialize_pem()).unwrap();
        let error = Authority::load(&dir).unwrap_err().to_string();
        assert!(error.contains("not the key of the certificate"), "{error}");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn server_is_due_at_two_thirds_and_keeps_id_and_names() {
        let dir = folder("due");
        let writer = Writer::for_owner_of(&dir).unwrap();
        let authority = Authority::generate(NOW).unwrap();
        authority.store_new(&dir, &writer).unwrap();
        let server = Server::create(&authority, &["localhost".parse().unwrap()], &dir, &writer, NOW).unwrap();
        assert!(!server.due(NOW) && !server.due(NOW.plus(DAY * 242)));
        assert!(server.due(NOW.plus(DAY * 244)));
        let later = NOW.plus(DAY * 300);
        let renewed = server.reissue(&authority, &server.certificate.names, &dir, &writer, later).unwrap();
        assert_eq!((renewed.id, &renewed.certificate.names), (server.id, &server.certificate.names));
        assert!(!renewed.due(later));
        assert!(renewed.due(NOW), "made by a clock that was ahead");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn nothing_but_the_key_of_a_request_is_taken() {
        let authority = Authority::generate(NOW).unwrap();
        let (_, csr) = request();
        let key = shared::tls::request_key(&csr).unwrap();
        let agent = new_id(NOW).unwrap();
        let leaf = authority.issue_agent(agent, &key, NOW).unwrap();
        assert_eq!(leaf.certificate.role, Role::Agent(agent));
        assert_eq!(leaf.certificate.names, []);
        assert_eq!(leaf.certificate.key, KeyHash::of(&key));
        assert_eq!(leaf.certificate.not_after, NOW.plus(AGENT_LIFE));
        assert_eq!(authority.trusted().unwrap().agent(&leaf.der).unwrap().0, agent);
        let other = Authority::generate(NOW).unwrap().trusted().unwrap();
        assert_eq!(other.agent(&leaf.der).unwrap_err(), shared::tls::AgentRefused::Authority);
    }

    #[test]
    fn request_that_another_key_signed_is_refused() {
        let (key, csr) = request();
        let (other, _) = request();
        let at = csr.windows(65).position(|bytes| bytes == key.public_key_raw()).unwrap();
        let mut swapped = csr.clone();
        swapped[at..at + 65].copy_from_slice(other.public_key_raw());
        assert_eq!(shared::tls::request_key(&swapped), Err(CertificateError::RequestSignature));
        for at in 0..csr.len() {
            let mut damaged = csr.clone();
            damaged[at] ^= 0x20;
            let taken = shared::tls::request_key(&damaged);
            assert!(taken.is_err() || taken == Ok(key.subject_public_key_info()), "byte {at}");
        }
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let csr = CertificateParams::default().serialize_request(&ed25519).unwrap();
        assert_eq!(shared::tls::request_key(csr.der()), Err(CertificateError::KeyKind));
    }
}
