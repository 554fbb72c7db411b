//! `ClientHello` and `ServerHello` (RFC 8446, 4.1; RFC 5246, 7.4.1; `SSLv2`-compatible: RFC 5246, E.2).
//!
//! In: a handshake message's body. Out: its numbers, in the order of the wire, GREASE included. What follows a length
//! that lies is left out and flagged `extension_malformed`; what stood before it counts.

use super::names;
use super::reader::Reader;

/// The random of a `ServerHello` that asks for another `ClientHello`: SHA-256 of "HelloRetryRequest" (RFC 8446, 4.1.3).
pub const HELLO_RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// Most protocols of an ALPN list that are kept.
const ALPN_MAX: usize = 8;

/// `server_name`.
pub const SERVER_NAME: u16 = 0;
/// `application_layer_protocol_negotiation`.
pub const ALPN: u16 = 16;
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const PRE_SHARED_KEY: u16 = 41;
const EARLY_DATA: u16 = 42;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

/// What a client offers.
#[derive(Default, Debug)]
pub struct ClientHello {
    /// It came in the framing of `SSLv2`: it has no extensions, and no fingerprint is defined of it.
    pub v2: bool,
    /// The version of the message itself; since 1.3 it says nothing.
    pub version: u16,
    /// The versions of `supported_versions`.
    pub versions: Vec<u16>,
    /// The session that it would resume.
    pub session: Vec<u8>,
    /// Cipher suites.
    pub ciphers: Vec<u16>,
    /// Extensions.
    pub extensions: Vec<u16>,
    /// Host name.
    pub sni: Option<Vec<u8>>,
    /// Application protocols.
    pub alpn: Vec<Vec<u8>>,
    /// Groups of key exchange.
    pub groups: Vec<u16>,
    /// Point formats.
    pub point_formats: Vec<u8>,
    /// Signature algorithms.
    pub signature_algorithms: Vec<u16>,
    /// It offers data before the handshake is done.
    pub early_data: bool,
    /// A length of it lies.
    pub malformed: bool,
}

impl ClientHello {
    /// Of a message's body; none when not even its ciphers are there.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        reader.take(32)?;
        let session = reader.vec8()?.rest().to_vec();
        let (ciphers, whole) = reader.vec16_cut()?;
        let mut hello = Self { version, session, ciphers: ciphers.u16s(), malformed: !whole, ..Self::default() };
        if whole && reader.vec8().is_some() {
            hello.malformed |=
                !each_extension(reader, &mut |extension, content| hello.extension(extension, content).is_some());
        } else {
            hello.malformed = true;
        }
        Some(hello)
    }

    /// Of a message in the framing of `SSLv2`, from its type on. Suites that only `SSLv2` has are left out.
    #[must_use]
    pub fn parse_v2(message: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(message);
        reader.u8()?;
        let version = reader.u16()?;
        let (ciphers, session) = (reader.u16()?, reader.u16()?);
        reader.u16()?;
        let ciphers = reader.take(ciphers.into())?.as_chunks::<3>().0;
        let ciphers = ciphers.iter().filter_map(|[zero, high, low]| (*zero == 0).then_some([*high, *low]));
        let ciphers = ciphers.map(u16::from_be_bytes).collect();
        let session = reader.take(session.into())?.to_vec();
        Some(Self { v2: true, version, ciphers, session, ..Self::default() })
    }

    /// The highest version that it offers.
    #[must_use]
    pub fn offered(&self) -> u16 {
        self.versions.iter().copied().filter(|version| !names::is_grease(*version)).max().unwrap_or(self.version)
    }

    fn extension(&mut self, extension: u16, mut content: Reader<'_>) -> Option<()> {
        self.extensions.push(extension);
        match extension {
            SERVER_NAME if self.sni.is_none() && !content.is_empty() => {
                let mut list = content.vec16()?;
                while !list.is_empty() {
                    let kind = list.u8()?;
                    let name = list.vec16()?;
                    if kind == 0 {
                        self.sni = Some(name.rest().to_vec());
                        break;
                    }
                }
            }
            ALPN => self.alpn = protocols(content)?,
            SUPPORTED_GROUPS => self.groups = content.vec16()?.u16s(),
            EC_POINT_FORMATS => self.point_formats = content.vec8()?.rest().to_vec(),
            SIGNATURE_ALGORITHMS => self.signature_algorithms = content.vec16()?.u16s(),
            EARLY_DATA => self.early_data = true,
            SUPPORTED_VERSIONS => self.versions = content.vec8()?.u16s(),
            _ => {}
        }
        Some(())
    }
}

/// What a server chose.
#[derive(Default, Debug)]
pub struct ServerHello {
    /// The version of the message itself.
    pub legacy_version: u16,
    /// The version chosen.
    pub version: u16,
    /// The session that it names.
    pub session: Vec<u8>,
    /// The suite chosen.
    pub cipher: u16,
    /// Extensions.
    pub extensions: Vec<u16>,
    /// Application protocol; of TLS 1.3 it is encrypted.
    pub alpn: Option<Vec<u8>>,
    /// Group of key exchange, of TLS 1.3.
    pub group: Option<u16>,
    /// A key from before is used, of TLS 1.3.
    pub pre_shared_key: bool,
    /// It asks for another `ClientHello`.
    pub retry: bool,
    /// A length of it lies.
    pub malformed: bool,
}

impl ServerHello {
    /// Of a message's body; none when not even its cipher is there.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let retry = reader.take(32)? == HELLO_RETRY_RANDOM;
        // Drafts of 1.3 that name themselves here (up to 21) have neither session nor compression.
        let draft = names::is_tls13(version);
        let session = if draft { Vec::new() } else { reader.vec8()?.rest().to_vec() };
        let cipher = reader.u16()?;
        let mut hello = Self { legacy_version: version, version, session, cipher, retry, ..Self::default() };
        if draft || reader.u8().is_some() {
            hello.malformed =
                !each_extension(reader, &mut |extension, content| hello.extension(extension, content).is_some());
        } else {
            hello.malformed = true;
        }
        Some(hello)
    }

    fn extension(&mut self, extension: u16, mut content: Reader<'_>) -> Option<()> {
        self.extensions.push(extension);
        match extension {
            ALPN => self.alpn = protocols(content)?.into_iter().next(),
            SUPPORTED_VERSIONS => self.version = content.u16()?,
            KEY_SHARE => self.group = Some(content.u16()?),
            PRE_SHARED_KEY => self.pre_shared_key = true,
            _ => {}
        }
        Some(())
    }
}

/// The protocols of an ALPN extension (RFC 7301, 3.1), at most [`ALPN_MAX`].
fn protocols(mut content: Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = content.vec16()?;
    let mut protocols = Vec::new();
    while !list.is_empty() {
        let protocol = list.vec8()?.rest();
        if protocols.len() < ALPN_MAX {
            protocols.push(protocol.to_vec());
        }
    }
    Some(protocols)
}

/// Walks extensions; whether every length was true.
fn each_extension(mut reader: Reader<'_>, each: &mut dyn FnMut(u16, Reader<'_>) -> bool) -> bool {
    if reader.is_empty() {
        return true;
    }
    let Some((mut list, mut sound)) = reader.vec16_cut() else { return false };
    while !list.is_empty() {
        let (Some(extension), Some((content, whole))) = (list.u16(), list.vec16_cut()) else { return false };
        // What is cut is named all the same, so that a fingerprint of it differs.
        sound &= each(extension, content) && whole;
    }
    sound
}
