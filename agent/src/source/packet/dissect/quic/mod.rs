//! QUIC: the TLS handshake in Initial packets (RFC 9000, 9001, 9369), which anybody on the path can open.
//!
//! ```text
//! datagram ─▶ packets ─▶ frames ─▶ crypto ─▶ messages ─▶ handshake ─▶ told
//!             Long       Frame     by offset  as of TLS   with JA4 `q…`
//! ```
//!
//! In: datagrams of both sides. Out: one record a connection: activity 1 (Open) when the client sends 1-RTT packets, or
//! when the flow ends after a `ServerHello` (flagged `handshake_incomplete`); activity 4 (Fail) when the connection is
//! closed before, or the flow ends without `ServerHello`. Versions that cannot be read are told by their name and flagged
//! `version_unknown`.
//!
//! Invariants: at most [`INITIALS_MAX`] packets are opened and [`DATAGRAMS_MAX`] looked at; what a side holds is bounded
//! by `crypto.rs` and `messages.rs`, together below `HELD_BYTES_MAX`.

mod crypto;
mod frames;
mod keys;
mod packet;
mod version;

#[cfg(test)]
mod tests;

use shared::record::Value;
use shared::time::Timestamp;

use super::tls::fingerprint::Transport;
use super::tls::handshake::{Ending, Handshake};
use super::tls::messages::Messages;
use super::tls::reader::Reader;
use super::tls::{flag, names};
use super::{Carrier, Dissector, Entry, First, HELD_BYTES_MAX, Recognized, Side, Tell, Told, Want};
use crypto::Crypto;
use frames::Frame;
use keys::{Keys, Opened};
use packet::{Kind, Long};

/// Most datagrams of a flow that are looked at. A handshake takes about ten.
pub const DATAGRAMS_MAX: u32 = 512;
/// Most Initial packets of a flow that are opened.
pub const INITIALS_MAX: u32 = 64;
/// Most versions of a server's list that are told.
const VERSIONS_MAX: usize = 16;
/// A client's first datagrams are padded to that (RFC 9000, 14.1).
const FIRST_DATAGRAM_MIN: usize = 1200;
/// The shortest packet that holds a sample (RFC 9001, 5.4.2): shorter ones are something else.
const SHORT_PACKET_MIN: usize = 1 + 4 + 16;
/// Transport errors that are alerts of TLS (RFC 9000, 20.1).
const CRYPTO_ERRORS: std::ops::RangeInclusive<u64> = 0x0100..=0x01ff;

/// QUIC in the registry.
pub const ENTRY: Entry = Entry { protocol: "quic", recognize, make: |_| Box::new(Quic::new()) };

/// Whether a flow's first datagram is of QUIC: a long header with a version that is known, or, from a client, one that
/// looks like a version in a datagram that is padded.
#[must_use]
pub fn recognize(first: &First<'_>) -> Recognized {
    let mut bytes = first.bytes;
    let is_quic = first.carrier == Carrier::Datagram
        && packet::long(&mut bytes).is_some_and(|packet| match packet.kind {
            Kind::VersionNegotiation => {
                let versions = supported(&packet);
                first.side == Side::Server && versions.clone().count() > 0 && { versions }.all(version::is_plausible)
            }
            Kind::Unknown => version::is_plausible(packet.version) && first.bytes.len() >= FIRST_DATAGRAM_MIN,
            _ => true,
        });
    if is_quic { Recognized::Yes } else { Recognized::No }
}

/// The versions that a packet of version negotiation lists.
fn supported<'a>(packet: &Long<'a>) -> impl Iterator<Item = u32> + Clone + use<'a> {
    let list = packet.bytes.get(packet.number_at..).unwrap_or_default();
    list.as_chunks().0.iter().map(|version| u32::from_be_bytes(*version))
}

/// One side of a connection.
struct Lane {
    crypto: Crypto,
    messages: Messages,
    largest: Option<u64>,
    datagrams: u32,
}

impl Lane {
    fn new(side: Side) -> Self {
        Self { crypto: Crypto::default(), messages: Messages::new(side), largest: None, datagrams: 0 }
    }
}

/// QUIC on one flow.
pub struct Quic {
    handshake: Handshake,
    keys: Option<Keys>,
    client: Lane,
    server: Lane,
    version: Option<u32>,
    supported: Vec<u32>,
    initials: u32,
    retry: bool,
    zero_rtt: bool,
    told: bool,
}

impl Quic {
    /// Of a flow that said nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            handshake: Handshake::new(Transport::Quic),
            keys: None,
            client: Lane::new(Side::Client),
            server: Lane::new(Side::Server),
            version: None,
            supported: Vec::new(),
            initials: 0,
            retry: false,
            zero_rtt: false,
            told: false,
        }
    }

    /// The lane of a role, not of an end of the flow.
    fn lane(&mut self, role: Side) -> &mut Lane {
        match role {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The role of an end of the flow: it is turned when the flow's server began.
    fn role(&self, side: Side) -> Side {
        if self.handshake.is_client(side) { Side::Client } else { Side::Server }
    }

    fn datagram(&mut self, side: Side, at: Timestamp, mut bytes: &[u8]) -> Option<Ending> {
        let role = self.role(side);
        self.lane(role).datagrams += 1;
        while let Some(packet) = packet::long(&mut bytes) {
            if self.version.is_none() && packet.version != 0 {
                self.version = Some(packet.version);
            }
            match packet.kind {
                Kind::Initial => {
                    if let Some(ending) = self.initial(side, at, &packet) {
                        return Some(ending);
                    }
                }
                Kind::ZeroRtt => self.zero_rtt = true,
                Kind::Retry => self.retry = true,
                Kind::VersionNegotiation => self.supported = supported(&packet).take(VERSIONS_MAX).collect(),
                Kind::Handshake | Kind::Unknown => {}
            }
        }
        let one_rtt = bytes.len() >= SHORT_PACKET_MIN && bytes.first().is_some_and(|first| first & 0xc0 == 0x40);
        if one_rtt && self.role(side) == Side::Client && self.handshake.offer.is_some() {
            return Some(Ending::Established);
        }
        if self.client.datagrams.saturating_add(self.server.datagrams) > DATAGRAMS_MAX {
            flag(&mut self.handshake.flaws, "handshake_too_long");
            return Some(self.unfinished());
        }
        None
    }

    fn initial(&mut self, side: Side, at: Timestamp, packet: &Long<'_>) -> Option<Ending> {
        if self.initials == INITIALS_MAX {
            return None;
        }
        self.initials += 1;
        let Some(opened) = self.open(side, packet) else {
            if packet.cut {
                flag(&mut self.handshake.flaws, "datagram_cut");
            } else if self.keys.is_none() {
                flag(&mut self.handshake.flaws, "initial_unreadable");
            }
            return None;
        };
        let role = self.role(side);
        let lane = self.lane(role);
        lane.largest = lane.largest.max(Some(opened.number));
        self.frames(side, at, &opened.frames)
    }

    /// Takes the frames of an Initial packet.
    fn frames(&mut self, side: Side, at: Timestamp, opened: &[u8]) -> Option<Ending> {
        let role = self.role(side);
        let handshake = &mut self.handshake;
        let lane = match role {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        let (mut ending, mut within) = (None, true);
        let sound = frames::each(opened, &mut |frame| match frame {
            Frame::Crypto(offset, piece) => within &= lane.crypto.insert(offset, piece),
            Frame::Close(code) => ending = Some(code),
        });
        let mut understood = true;
        lane.messages.feed(lane.crypto.next(), &mut |message| {
            understood &= handshake.message(side, at, message);
        });
        for (fine, flaw) in
            [(sound, "frame_malformed"), (within, "crypto_beyond_bound"), (understood, "message_unknown")]
        {
            if !fine {
                flag(&mut handshake.flaws, flaw);
            }
        }
        ending.map(|code| self.closed(code))
    }

    /// Opens an Initial packet. Keys come from the connection id of the client's first packet; after a Retry, and where
    /// a server chose another version, from another.
    fn open(&mut self, side: Side, packet: &Long<'_>) -> Option<Opened> {
        let role = self.role(side);
        let largest = self.lane(role).largest;
        if let Some(keys) = self.keys.as_ref().filter(|keys| keys.version == packet.version)
            && let Some(opened) = keys.open(role, packet, largest)
        {
            return Some(opened);
        }
        if let Some(keys) = self.keys.as_ref().filter(|keys| keys.version != packet.version) {
            let keys = Keys::derive(packet.version, &keys.id)?;
            if let Some(opened) = keys.open(role, packet, largest) {
                self.version = Some(packet.version);
                self.keys = Some(keys);
                return Some(opened);
            }
        }
        // Before anything was opened either end may be the client.
        let same = |keys: &Keys| keys.version == packet.version && keys.id == packet.destination;
        if self.keys.as_ref().is_some_and(|keys| role == Side::Server || same(keys)) {
            return None;
        }
        let keys = Keys::derive(packet.version, packet.destination)?;
        let opened = keys.open(Side::Client, packet, None)?;
        self.handshake.client = Some(side);
        self.version = Some(packet.version);
        self.keys = Some(keys);
        let datagrams = (self.client.datagrams, self.server.datagrams);
        self.client = Lane { datagrams: datagrams.0, ..Lane::new(Side::Client) };
        self.server = Lane { datagrams: datagrams.1, ..Lane::new(Side::Server) };
        Some(opened)
    }

    /// How a connection ended that was closed in the handshake.
    fn closed(&mut self, code: u64) -> Ending {
        match u8::try_from(code & 0xff) {
            Ok(alert) if CRYPTO_ERRORS.contains(&code) => {
                self.handshake.alert(alert);
                Ending::Failed(format!("alert: {}", names::alert(alert)))
            }
            _ => Ending::Failed(format!("closed: {code:#x}")),
        }
    }

    /// How it ended, when it ends before the client has all keys.
    fn unfinished(&mut self) -> Ending {
        if self.handshake.answer.is_some() {
            return Ending::Incomplete;
        }
        let unknown = self.version.is_some_and(|version| version::salt(version).is_none());
        if unknown {
            flag(&mut self.handshake.flaws, "version_unknown");
            if self.client.datagrams > 0 && self.server.datagrams > 0 && self.supported.is_empty() {
                return Ending::Incomplete;
            }
        }
        if self.client.crypto.has_hole() {
            flag(&mut self.handshake.flaws, "crypto_hole");
        }
        Ending::Failed(if self.supported.is_empty() { "no ServerHello" } else { "version negotiation" }.to_owned())
    }

    fn stop(&mut self, ending: &Ending, at: Timestamp, tell: Tell<'_>) {
        let mut told = self.handshake.tell(ending, at);
        self.add(&mut told);
        tell(told);
        *self = Self { told: true, ..Self::new() };
    }

    /// What a record says beside the handshake.
    fn add(&self, told: &mut Told) {
        let mut put = |name: &str, value| told.fields.push((format!("unmapped.{name}"), value));
        if let Some(version) = self.version {
            put("quic_version", Value::String(version::name(version).into_owned()));
        }
        if self.retry {
            put("quic_retry", Value::Bool(true));
        }
        if self.zero_rtt {
            put("quic_zero_rtt", Value::Bool(true));
        }
        if !self.supported.is_empty() {
            let names = self.supported.iter().map(|version| Value::String(version::name(*version).into_owned()));
            put("quic_server_versions", Value::List(names.collect()));
        }
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self::new()
    }
}

impl Dissector for Quic {
    fn protocol(&self) -> &'static str {
        ENTRY.protocol
    }

    fn data(&mut self, side: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        if self.told {
            return Want::Enough;
        }
        let Some(ending) = self.datagram(side, at, bytes) else { return Want::More };
        self.stop(&ending, at, tell);
        Want::Enough
    }

    fn gap(&mut self, _side: Side, _bytes: u64, _tell: Tell<'_>) -> Want {
        // Datagrams have no gaps.
        if self.told { Want::Enough } else { Want::More }
    }

    fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        if self.told {
            return;
        }
        for (side, lane) in [(Side::Client, &mut self.client), (Side::Server, &mut self.server)] {
            let handshake = &mut self.handshake;
            let side =
                if handshake.is_client(Side::Client) == (side == Side::Client) { Side::Client } else { Side::Server };
            lane.messages.cut(&mut |message| {
                handshake.message(side, at, message);
            });
        }
        let ending = self.unfinished();
        self.stop(&ending, at, tell);
    }

    fn held_bytes(&self) -> usize {
        let lanes = [&self.client, &self.server];
        let lanes: usize = lanes.iter().map(|lane| lane.messages.held_bytes() + lane.crypto.held_bytes()).sum();
        lanes + self.handshake.held_bytes() + self.supported.len() * 4
    }
}

/// For a fuzzer: any bytes as datagrams of both sides, and as frames of opened packets, which no fuzzer finds the keys
/// of. Each part is an octet (1: of the server, 2: frames), two of length, and that many bytes.
///
/// # Panics
///
/// Where an invariant does not hold.
pub fn fuzz(bytes: &[u8]) {
    let (mut quic, mut told) = (Quic::new(), 0);
    let mut reader = Reader::new(bytes);
    while let (Some(kind), Some((part, _))) = (reader.u8(), reader.vec16_cut()) {
        let side = if kind & 1 == 0 { Side::Client } else { Side::Server };
        if kind & 2 != 0 && !quic.told {
            if let Some(ending) = quic.frames(side, Timestamp(0), part.rest()) {
                quic.stop(&ending, Timestamp(0), &mut |_| told += 1);
            }
        } else {
            quic.data(side, Timestamp(0), part.rest(), &mut |_| told += 1);
        }
        assert!(quic.held_bytes() <= HELD_BYTES_MAX, "{} held", quic.held_bytes());
    }
    quic.end(Timestamp(0), &mut |_| told += 1);
    assert_eq!(told, 1, "one record a connection");
}
