//! What stands in a certificate or in a request for one: bytes in, plain values out.
//!
//! The name of a program is the one URI in the subject alternative name, in the SPIFFE form (X509-SVID §2: exactly
//! one URI), the id being a UUID in lower case with hyphens:
//!
//! ```text
//! spiffe://picket/agent/01890a5d-ac96-774b-bcce-b302099a8057         client authentication
//! spiffe://picket/aggregator/01890a5d-ac96-774b-bcce-b302099a8057    server authentication, and DNS and IP names
//! ```
//!
//! Nothing here says that a certificate can be trusted: that is `verify`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509CertificationRequest};

use crate::identity::AgentId;
use crate::time::Timestamp;

/// Largest certificate, request or key that is looked at, in bytes of DER. Ours have some 600.
pub const DER_BYTES_MAX: usize = 8 * 1024;
/// Most names that one aggregator's certificate has.
pub const NAMES_MAX: usize = 64;
/// What every URI in our certificates starts with.
const TRUST_DOMAIN: &str = "spiffe://picket/";
/// A P-256 key as `SubjectPublicKeyInfo` (RFC 5480 §2): this prefix, then 64 bytes, 91 in all.
const P256_KEY_PREFIX: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P256_KEY_BYTES: usize = P256_KEY_PREFIX.len() + 64;

/// Why a certificate or a request was not read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CertificateError {
    /// Not X.509, or larger than [`DER_BYTES_MAX`].
    #[error("it is not a readable certificate")]
    Unreadable,
    /// No name, or more than one, in our form.
    #[error("it names neither an agent nor an aggregator of picket")]
    NotOurs,
    /// The request is damaged, or its signature is not by the key in it.
    #[error("the certificate request is damaged or not signed by its own key")]
    RequestSignature,
    /// A key of another kind than we make.
    #[error("the key in the certificate request is not ECDSA P-256")]
    KeyKind,
    /// Text without the PEM section that was looked for.
    #[error("it has no PEM section with a {0}")]
    NoPem(&'static str),
}

/// SHA-256 of a public key in its `SubjectPublicKeyInfo` form (DER): the name of a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash of these `SubjectPublicKeyInfo` bytes.
    #[must_use]
    pub fn of(public_key_der: &[u8]) -> Self {
        Self(sha256(public_key_der))
    }
}

/// SHA-256, for keys and secrets (frames have BLAKE3).
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Random bytes from the system, for ids, serials and secrets.
///
/// # Errors
/// When the system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], std::io::Error> {
    let mut bytes = [0u8; N];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}

/// Serial number of a certificate: 16 bytes, random, positive. A shorter one is padded on the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Serial(pub [u8; 16]);

macro_rules! hexadecimal {
    ($name:ident, $digits:literal, $what:literal) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::tls::NotHex;

            fn from_str(text: &str) -> Result<Self, $crate::tls::NotHex> {
                $crate::tls::from_hex(text).map(Self).ok_or($crate::tls::NotHex { what: $what, digits: $digits })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use hexadecimal;

/// What was wrong with a fixed-size value in hexadecimal.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} has {digits} lower-case hexadecimal digits")]
pub struct NotHex {
    pub(crate) what: &'static str,
    pub(crate) digits: usize,
}

pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

hexadecimal!(KeyHash, 64, "a key hash");
hexadecimal!(Serial, 32, "a certificate serial");

/// Which program a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An agent, with the id that its frames carry.
    Agent(AgentId),
    /// An aggregator.
    Aggregator(AgentId),
}

impl Role {
    /// The URI that stands in the certificate.
    #[must_use]
    pub fn uri(self) -> String {
        match self {
            Self::Agent(id) => format!("{TRUST_DOMAIN}agent/{id}"),
            Self::Aggregator(id) => format!("{TRUST_DOMAIN}aggregator/{id}"),
        }
    }

    fn from_uri(uri: &str) -> Option<Self> {
        let (kind, id) = uri.strip_prefix(TRUST_DOMAIN)?.split_once('/')?;
        let id: AgentId = id.parse().ok()?;
        let role = match kind {
            "agent" => Self::Agent(id),
            "aggregator" => Self::Aggregator(id),
            _ => return None,
        };
        (role.uri() == uri).then_some(role)
    }
}

/// A name under which an aggregator is dialed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DialName {
    /// A DNS name, in lower case, without a wildcard.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// Text that names no host.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("'{0}' is neither a DNS name nor an IP address")]
pub struct NotAName(String);

impl FromStr for DialName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        match ServerName::try_from(text) {
            Ok(ServerName::DnsName(name)) => Ok(Self::Dns(name.as_ref().to_ascii_lowercase())),
            Ok(ServerName::IpAddress(ip)) => Ok(Self::Ip(IpAddr::from(ip))),
            _ => Err(NotAName(text.chars().take(255).collect())),
        }
    }
}

impl fmt::Display for DialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// What we use of a certificate of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Whose it is.
    pub role: Role,
    /// Its serial number.
    pub serial: Serial,
    /// Start of its validity. Nobody refuses a certificate for it: clocks are wrong.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// The name of its key.
    pub key: KeyHash,
    /// Names under which it is dialed (an aggregator's), at most [`NAMES_MAX`].
    pub names: Vec<DialName>,
}

impl Certificate {
    /// Reads a certificate of an agent or an aggregator.
    ///
    /// # Errors
    /// [`CertificateError::Unreadable`], [`CertificateError::NotOurs`].
    pub fn read(der: &[u8]) -> Result<Self, CertificateError> {
        let x509 = parse(der)?;
        let names = x509.subject_alternative_name().map_err(|_| CertificateError::Unreadable)?;
        let names = names.map_or(&[][..], |extension| &extension.value.general_names);
        let mut uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        });
        let (Some(uri), None) = (uris.next(), uris.next()) else { return Err(CertificateError::NotOurs) };
        Ok(Self {
            role: Role::from_uri(uri).ok_or(CertificateError::NotOurs)?,
            serial: serial(&x509)?,
            not_before: Timestamp::from_seconds(x509.validity().not_before.timestamp()),
            not_after: Timestamp::from_seconds(x509.validity().not_after.timestamp()),
            key: KeyHash::of(x509.public_key().raw),
            names: names.iter().filter_map(dial_name).take(NAMES_MAX).collect(),
        })
    }

    /// Whether two thirds of its life are over at `now`, or it begins more than a day after `now`: then it was issued
    /// by a clock that was wrong.
    #[must_use]
    pub fn renewal_due(&self, now: Timestamp) -> bool {
        let two_thirds = self.not_after.since(self.not_before) / 3 * 2;
        now >= self.not_before.plus(two_thirds) || now.plus(Duration::from_secs(86_400)) < self.not_before
    }
}

/// The name of the key in any certificate, an authority's for one.
///
/// # Errors
/// [`CertificateError::Unreadable`].
pub fn key_hash(certificate_der: &[u8]) -> Result<KeyHash, CertificateError> {
    Ok(KeyHash::of(parse(certificate_der)?.public_key().raw))
}

/// The one thing that is taken from a certificate request (PKCS#10, RFC 2986): its key, as `SubjectPublicKeyInfo` in
/// DER. The request's signature is checked, so that whoever made it has the key; subject and extensions are ignored.
///
/// # Errors
/// [`CertificateError::RequestSignature`], [`CertificateError::KeyKind`].
pub fn request_key(request_der: &[u8]) -> Result<Vec<u8>, CertificateError> {
    if request_der.len() > DER_BYTES_MAX {
        return Err(CertificateError::RequestSignature);
    }
    let parsed = X509CertificationRequest::from_der(request_der);
    let (rest, request) = parsed.map_err(|_| CertificateError::RequestSignature)?;
    let key = request.certification_request_info.subject_pki.raw;
    if key.len() != P256_KEY_BYTES || !key.starts_with(&P256_KEY_PREFIX) {
        return Err(CertificateError::KeyKind);
    }
    if !rest.is_empty() || request.verify_signature().is_err() {
        return Err(CertificateError::RequestSignature);
    }
    Ok(key.to_vec())
}

/// DER as a PEM section (RFC 7468) with this label, such as `CERTIFICATE`.
#[must_use]
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at_checked(64).unwrap_or((rest, ""));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// Every certificate in PEM text, in order, in DER; at most 16.
///
/// # Errors
/// [`CertificateError::NoPem`] when there is none or one is damaged.
pub fn certificates_in_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    let found = CertificateDer::pem_slice_iter(pem).take(16).map(|der| der.map(|der| der.as_ref().to_vec()));
    let found: Result<Vec<_>, _> = found.collect();
    found.ok().filter(|all| !all.is_empty()).ok_or(CertificateError::NoPem("certificate"))
}

/// The private key in PEM text, in DER (PKCS#8).
///
/// # Errors
/// [`CertificateError::NoPem`] when there is none or it is damaged.
pub fn key_in_pem(pem: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateError::NoPem("private key"))?;
    Ok(key.secret_der().to_vec())
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    if der.len() > DER_BYTES_MAX {
        return Err(CertificateError::Unreadable);
    }
    match X509Certificate::from_der(der) {
        Ok(([], x509)) => Ok(x509),
        _ => Err(CertificateError::Unreadable),
    }
}

fn serial(x509: &X509Certificate<'_>) -> Result<Serial, CertificateError> {
    let raw = x509.raw_serial();
    let mut padded = [0u8; 16];
    let start = padded.len().checked_sub(raw.len()).ok_or(CertificateError::Unreadable)?;
    padded.get_mut(start..).ok_or(CertificateError::Unreadable)?.copy_from_slice(raw);
    Ok(Serial(padded))
}

fn dial_name(name: &GeneralName<'_>) -> Option<DialName> {
    match name {
        GeneralName::DNSName(dns) => Some(DialName::Dns(dns.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => Some(DialName::Ip(IpAddr::from(<[u8; 4]>::try_from(*bytes).ok()?))),
            16 => Some(DialName::Ip(IpAddr::from(<[u8; 16]>::try_from(*bytes).ok()?))),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_uri_names_a_program() {
        let id = AgentId::v7(1_700_000_000_000, [7; 10]);
        for role in [Role::Agent(id), Role::Aggregator(id)] {
            assert_eq!(Role::from_uri(&role.uri()), Some(role));
        }
        let upper = AgentId([0xab; 16]).to_string().to_uppercase();
        for uri in [
            format!("spiffe://picket/agent/{upper}"),
            format!("spiffe://picket/agent/{id}/"),
            format!("spiffe://picket/Agent/{id}"),
            format!("spiffe://other/agent/{id}"),
            format!("https://picket/agent/{id}"),
            "spiffe://picket/agent/".to_owned(),
        ] {
            assert_eq!(Role::from_uri(&uri), None, "{uri}");
        }
    }

    #[test]
    fn names_are_dns_or_addresses_and_nothing_else() {
        assert_eq!("Agg1.Example.net".parse(), Ok(DialName::Dns("agg1.example.net".to_owned())));
        assert_eq!("::1".parse(), Ok(DialName::Ip("::1".parse().unwrap())));
        for text in ["", "*.example.net", "a b", "[::1]", "host:7443", "-"] {
            assert!(text.parse::<DialName>().is_err(), "{text}");
        }
    }

    #[test]
    fn pem_holds_any_length() {
        for length in [1usize, 47, 48, 49, 96, 500] {
            let der = vec![0x5a; length];
            assert_eq!(certificates_in_pem(to_pem("CERTIFICATE", &der).as_bytes()), Ok(vec![der]));
        }
        assert!(certificates_in_pem(b"nothing").is_err());
        assert!(key_in_pem(b"-----BEGIN PRIVATE KEY-----\nAAA").is_err());
    }

    #[test]
    fn hostile_bytes_are_refused_and_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for length in 0..400usize {
            let mut byte = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if state >> 62 == 0 { 0x30 } else { state.to_le_bytes()[7] }
            };
            let bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
            assert!(Certificate::read(&bytes).is_err());
            assert!(request_key(&bytes).is_err());
        }
        assert_eq!(Certificate::read(&vec![0x30; DER_BYTES_MAX + 1]), Err(CertificateError::Unreadable));
    }
}
