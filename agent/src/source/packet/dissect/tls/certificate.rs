//! What certificates say (RFC 5280), out of a Certificate message of TLS ≤ 1.2 (RFC 5246, 7.4.2).
//!
//! In: the message's body, as far as it is held. Out: facts of the first certificate, digests and serial numbers of all.
//! Nothing is verified. A certificate that is not as RFC 5280 wants it keeps its digests, and of its facts the names and
//! the serial number (`certificate_malformed`), or none (`certificate_unreadable`).

use std::net::IpAddr;

use ring::digest;
use x509_parser::asn1_rs::{Any, Class};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate, X509Name};

use super::fingerprint::hex_of;
use super::flag;
use super::name::distinguished;
use super::reader::Reader;
use super::text::text;

/// Most certificates of a chain that are looked at.
const CHAIN_MAX: usize = 10;
/// Most alternative names that are told.
const SANS_MAX: usize = 100;
/// Most bytes of them.
const SANS_BYTES_MAX: usize = 3 << 10;
/// Most octets of a serial number; RFC 5280, 4.1.2.2 allows 20.
const SERIAL_BYTES_MAX: usize = 64;

/// A chain as it was sent.
#[derive(Default, Debug)]
pub struct Chain {
    /// The first certificate: whose holder speaks.
    pub leaf: Option<Certificate>,
    /// SHA-1 of the first certificate, lower-case hexadecimal.
    pub leaf_sha1: Option<String>,
    /// SHA-256 of each certificate, lower-case hexadecimal.
    pub sha256: Vec<String>,
    /// Serial number of each certificate that parses.
    pub serials: Vec<String>,
}

/// Facts of a certificate.
#[derive(Debug)]
pub struct Certificate {
    /// 1, 2 or 3; none of a malformed one.
    pub version: Option<u32>,
    /// Serial number: upper-case hexadecimal, without a leading zero octet.
    pub serial: String,
    /// Whose it is, as RFC 4514 writes names.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Valid from and until, milliseconds since the epoch, so that years up to 9999 fit; none of a malformed one.
    pub valid_ms: Option<(i64, i64)>,
    /// Subject and issuer are the same name.
    pub self_signed: bool,
    /// Type and value of alternative names.
    pub sans: Vec<(&'static str, String)>,
}

impl Chain {
    /// Of a message's body.
    #[must_use]
    pub fn parse(body: &[u8], flaws: &mut Vec<&'static str>) -> Self {
        let mut chain = Self::default();
        let mut reader = Reader::new(body);
        if reader.u24().is_none() {
            flag(flaws, "certificates_cut");
            return chain;
        }
        while !reader.is_empty() {
            let Some(der) = reader.u24().and_then(|len| reader.take(usize::try_from(len).ok()?)) else {
                flag(flaws, "certificates_cut");
                break;
            };
            if chain.sha256.len() == CHAIN_MAX {
                flag(flaws, "certificates_cut");
                break;
            }
            chain.add(der, flaws);
        }
        chain
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let leaf = self.leaf.as_ref().map_or(0, |leaf| {
            let sans: usize = leaf.sans.iter().map(|(_, name)| name.len() + 40).sum();
            leaf.subject.len() + leaf.issuer.len() + leaf.serial.len() + sans
        });
        let serials: usize = self.serials.iter().map(|serial| serial.len() + 24).sum();
        leaf + serials + self.sha256.len() * 88 + 40
    }

    fn add(&mut self, der: &[u8], flaws: &mut Vec<&'static str>) {
        let first = self.sha256.is_empty();
        self.sha256.push(hex_of(digest::digest(&digest::SHA256, der).as_ref()));
        if first {
            self.leaf_sha1 = Some(hex_of(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()));
        }
        let certificate = match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Some(Certificate::of(&certificate, flaws)),
            Err(_) => Certificate::malformed(der, flaws),
        };
        let Some(certificate) = certificate else { return flag(flaws, "certificate_unreadable") };
        self.serials.push(certificate.serial.clone());
        if first {
            self.leaf = Some(certificate);
        }
    }
}

impl Certificate {
    fn of(certificate: &X509Certificate<'_>, flaws: &mut Vec<&'static str>) -> Self {
        let validity = certificate.validity();
        let [from, until] = [validity.not_before, validity.not_after].map(|time| time.timestamp().saturating_mul(1000));
        Self {
            version: Some(certificate.version().0.saturating_add(1)),
            serial: serial(certificate.raw_serial()),
            subject: distinguished(certificate.subject(), flaws),
            issuer: distinguished(certificate.issuer(), flaws),
            valid_ms: Some((from, until)),
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            sans: sans(certificate, flaws),
        }
    }

    /// What stands where it should in a certificate that is otherwise not well-formed, e.g. by its times.
    fn malformed(der: &[u8], flaws: &mut Vec<&'static str>) -> Option<Self> {
        let (_, certificate) = Any::from_der(der).ok()?;
        let (_, signed) = Any::from_der(certificate.data).ok()?;
        let (mut rest, mut number) = Any::from_der(signed.data).ok()?;
        if number.class() == Class::ContextSpecific {
            (rest, number) = Any::from_der(rest).ok()?;
        }
        let (rest, _algorithm) = Any::from_der(rest).ok()?;
        let (rest, issuer) = X509Name::from_der(rest).ok()?;
        let (rest, _validity) = Any::from_der(rest).ok()?;
        let (_, subject) = X509Name::from_der(rest).ok()?;
        flag(flaws, "certificate_malformed");
        Some(Self {
            version: None,
            serial: serial(number.data),
            subject: distinguished(&subject, flaws),
            issuer: distinguished(&issuer, flaws),
            valid_ms: None,
            self_signed: subject.as_raw() == issuer.as_raw(),
            sans: Vec::new(),
        })
    }
}

fn serial(raw: &[u8]) -> String {
    let raw = match raw {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => raw,
    };
    hex_of(raw.get(..SERIAL_BYTES_MAX).unwrap_or(raw)).to_ascii_uppercase()
}

/// Alternative names of the types that name hosts, mailboxes and addresses.
fn sans(certificate: &X509Certificate<'_>, flaws: &mut Vec<&'static str>) -> Vec<(&'static str, String)> {
    let mut sans = Vec::new();
    let mut bytes = 0;
    for extension in certificate.extensions() {
        let ParsedExtension::SubjectAlternativeName(names) = extension.parsed_extension() else { continue };
        for name in &names.general_names {
            let Some((kind, name)) = san(name, flaws) else { continue };
            bytes += name.len();
            if sans.len() == SANS_MAX || bytes > SANS_BYTES_MAX {
                flag(flaws, "sans_cut");
                return sans;
            }
            sans.push((kind, name));
        }
    }
    sans
}

fn san(name: &GeneralName<'_>, flaws: &mut Vec<&'static str>) -> Option<(&'static str, String)> {
    Some(match name {
        GeneralName::DNSName(name) => ("DNS", text(name.as_bytes(), flaws)),
        GeneralName::RFC822Name(name) => ("email", text(name.as_bytes(), flaws)),
        GeneralName::URI(name) => ("URI", text(name.as_bytes(), flaws)),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok()?;
            ("IP", address.to_string())
        }
        _ => return None,
    })
}
