//! One handshake: what both sides said of it, and the record that it becomes. TLS and QUIC feed the same.
//!
//! In: handshake messages of either side. Out: one [`Told`]. Of each hello only what a record takes is kept, bounded.

use shared::time::Timestamp;

use super::super::{NetworkClass, Side, Told};
use super::certificate::Chain;
use super::fingerprint::{self, Transport};
use super::hello::{ClientHello, ServerHello};
use super::messages::{
    CERTIFICATE, CLIENT_HELLO, HELLO_RETRY, Message, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE,
};
use super::reader::Reader;
use super::text::{cut, text};
use super::{ciphers, flag, names, told};

/// Most suites of a client that are told.
const CIPHERS_MAX: usize = 128;
/// Most extensions of a client that are told.
const EXTENSIONS_MAX: usize = 64;
/// Longest session identifier (RFC 5246, 7.4.1.2).
const SESSION_BYTES_MAX: usize = 32;

/// How a handshake ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Both sides hold keys.
    Established,
    /// The server answered, and what followed was not seen.
    Incomplete,
    /// It failed, and why.
    Failed(String),
}

/// What a client offered.
#[derive(Debug)]
pub struct Offer {
    /// The highest version.
    pub version: u16,
    /// JA3 and JA4; none of a hello that is cut or came in the framing of `SSLv2`.
    pub fingerprints: Option<(String, String)>,
    /// Host name.
    pub sni: Option<String>,
    /// Application protocols.
    pub alpn: Vec<String>,
    /// Suites, without GREASE.
    pub ciphers: Vec<u16>,
    /// Extensions, without GREASE.
    pub extensions: Vec<u16>,
    /// It sends data before the handshake is done.
    pub early_data: bool,
    session: Vec<u8>,
}

/// What a server chose.
#[derive(Debug)]
pub struct Answer {
    /// The version.
    pub version: u16,
    /// The suite.
    pub cipher: u16,
    /// JA3S; none of a hello that is cut.
    pub ja3s: Option<String>,
    /// Application protocol.
    pub alpn: Option<String>,
    /// A session from before goes on.
    pub resumed: bool,
}

/// One handshake.
#[derive(Debug)]
pub struct Handshake {
    transport: Transport,
    /// Which end of the flow is the client of TLS; with FTP it is not who opened the connection.
    pub client: Option<Side>,
    /// When its first byte came.
    pub started: Option<Timestamp>,
    /// What the client offered.
    pub offer: Option<Offer>,
    /// What the server chose.
    pub answer: Option<Answer>,
    /// The server asked for another `ClientHello`.
    pub retried: bool,
    /// Group of key exchange.
    pub group: Option<u16>,
    /// The server's certificates.
    pub server_chain: Option<Chain>,
    /// The client's certificates.
    pub client_chain: Option<Chain>,
    /// The last alert.
    pub alert: Option<u8>,
    /// What is wrong with it.
    pub flaws: Vec<&'static str>,
    hello_done: bool,
}

impl Handshake {
    /// Of this transport.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            client: None,
            started: None,
            offer: None,
            answer: None,
            retried: false,
            group: None,
            server_chain: None,
            client_chain: None,
            alert: None,
            flaws: Vec::new(),
            hello_done: false,
        }
    }

    /// Whether TLS 1.3 was chosen; false while nothing was.
    #[must_use]
    pub fn is_tls13(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| names::is_tls13(answer.version))
    }

    /// Whether a side is the client of TLS.
    #[must_use]
    pub fn is_client(&self, side: Side) -> bool {
        self.client.unwrap_or(Side::Client) == side
    }

    /// Takes a message; whether it is one of TLS.
    pub fn message(&mut self, side: Side, at: Timestamp, message: Message<'_>) -> bool {
        match message.kind {
            CLIENT_HELLO => {
                self.client = Some(side);
                self.client_hello(at, ClientHello::parse(message.body), message.whole);
            }
            SERVER_HELLO => {
                self.client.get_or_insert(if side == Side::Client { Side::Server } else { Side::Client });
                self.server_hello(at, message);
            }
            HELLO_RETRY => self.retried = true,
            CERTIFICATE => {
                let chain = Chain::parse(message.body, &mut self.flaws);
                if !message.whole {
                    flag(&mut self.flaws, "certificates_cut");
                }
                let place = if self.is_client(side) { &mut self.client_chain } else { &mut self.server_chain };
                if !chain.sha256.is_empty() {
                    place.get_or_insert(chain);
                }
            }
            SERVER_KEY_EXCHANGE => self.key_exchange(message.body),
            SERVER_HELLO_DONE => self.hello_done = true,
            // HelloRequest, NewSessionTicket, EndOfEarlyData, EncryptedExtensions, CertificateRequest, CertificateVerify,
            // ClientKeyExchange, Finished, CertificateURL, CertificateStatus, SupplementalData, KeyUpdate,
            // CompressedCertificate, NextProtocol.
            0 | 4 | 5 | 8 | 13 | 15 | 16 | 20..=25 | 67 => {}
            _ => return false,
        }
        true
    }

    /// Takes a `ClientHello`, whatever it was framed in.
    pub fn client_hello(&mut self, at: Timestamp, hello: Option<ClientHello>, whole: bool) {
        self.started.get_or_insert(at);
        let Some(hello) = hello else { return flag(&mut self.flaws, "hello_unreadable") };
        self.flag_hello(hello.malformed, whole);
        // The second one, after a retry, offers the same but for keys.
        if self.offer.is_some() {
            return;
        }
        let flaws = &mut self.flaws;
        let numbers = |numbers: &[u16]| -> Vec<u16> {
            numbers.iter().copied().filter(|number| !names::is_grease(*number)).collect()
        };
        let (mut ciphers, mut extensions) = (numbers(&hello.ciphers), numbers(&hello.extensions));
        if ciphers.len() > CIPHERS_MAX {
            flag(flaws, "ciphers_cut");
            ciphers.truncate(CIPHERS_MAX);
            ciphers.shrink_to_fit();
        }
        if extensions.len() > EXTENSIONS_MAX {
            flag(flaws, "extensions_cut");
            extensions.truncate(EXTENSIONS_MAX);
            extensions.shrink_to_fit();
        }
        let fingerprints =
            (whole && !hello.v2).then(|| (fingerprint::ja3(&hello), fingerprint::ja4(self.transport, &hello)));
        self.offer = Some(Offer {
            version: hello.offered(),
            fingerprints,
            sni: hello.sni.as_ref().map(|name| text(name, flaws)),
            alpn: hello.alpn.iter().map(|protocol| protocol_name(protocol, flaws)).collect(),
            ciphers,
            extensions,
            early_data: hello.early_data,
            session: hello.session,
        });
    }

    fn server_hello(&mut self, at: Timestamp, message: Message<'_>) {
        self.started.get_or_insert(at);
        let Some(hello) = ServerHello::parse(message.body) else { return flag(&mut self.flaws, "hello_unreadable") };
        self.flag_hello(hello.malformed, message.whole);
        if hello.retry {
            self.retried = true;
            return;
        }
        if self.answer.is_some() {
            return;
        }
        self.group = hello.group.or(self.group);
        let same_session = self.offer.as_ref().is_some_and(|offer| {
            let session = hello.session.as_slice();
            !session.is_empty() && session.len() <= SESSION_BYTES_MAX && offer.session == session
        });
        self.answer = Some(Answer {
            version: hello.version,
            cipher: hello.cipher,
            ja3s: message.whole.then(|| fingerprint::ja3s(&hello)),
            alpn: hello.alpn.as_ref().map(|protocol| protocol_name(protocol, &mut self.flaws)),
            resumed: if names::is_tls13(hello.version) { hello.pre_shared_key } else { same_session },
        });
    }

    /// Takes notice that the server of TLS ≤ 1.2 encrypts from now on: without `ServerHelloDone` a session goes on.
    pub fn server_changed_cipher(&mut self) {
        let hello_done = self.hello_done;
        if let Some(answer) = self.answer.as_mut().filter(|answer| !names::is_tls13(answer.version)) {
            answer.resumed |= !hello_done;
        }
    }

    /// Takes an alert's description.
    pub fn alert(&mut self, code: u8) {
        self.alert = Some(code);
    }

    /// The record of it.
    #[must_use]
    pub fn tell(&mut self, ending: &Ending, at: Timestamp) -> Told {
        if self.answer.is_none() && !matches!(ending, Ending::Failed(_)) {
            flag(&mut self.flaws, "server_hello_unseen");
        }
        if *ending == Ending::Incomplete {
            flag(&mut self.flaws, "handshake_incomplete");
        }
        Told {
            class: NetworkClass::NetworkActivity,
            activity: if matches!(ending, Ending::Failed(_)) { 4 } else { 1 },
            at,
            fields: told::fields(self, ending, at),
            flaws: std::mem::take(&mut self.flaws),
        }
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let offer = self.offer.as_ref().map_or(0, |offer| {
            let alpn: usize = offer.alpn.iter().map(|protocol| protocol.len() + 24).sum();
            let sni = offer.sni.as_ref().map_or(0, String::len);
            sni + alpn + (offer.ciphers.len() + offer.extensions.len()) * 2 + 120
        });
        let chains = [&self.server_chain, &self.client_chain];
        offer + chains.into_iter().flatten().map(Chain::held_bytes).sum::<usize>()
    }

    fn flag_hello(&mut self, malformed: bool, whole: bool) {
        if !whole {
            flag(&mut self.flaws, "hello_cut");
        } else if malformed {
            flag(&mut self.flaws, "extension_malformed");
        }
    }

    /// The curve of an elliptic key exchange (RFC 8422, 5.4): octet 3, then its number.
    fn key_exchange(&mut self, body: &[u8]) {
        let elliptic = self.answer.as_ref().is_some_and(|answer| ciphers::name(answer.cipher).contains("_ECDH"));
        let mut reader = Reader::new(body);
        if elliptic && reader.u8() == Some(3) {
            self.group = reader.u16().or(self.group);
        }
    }
}

fn protocol_name(protocol: &[u8], flaws: &mut Vec<&'static str>) -> String {
    cut(protocol.escape_ascii().to_string(), false, flaws)
}
