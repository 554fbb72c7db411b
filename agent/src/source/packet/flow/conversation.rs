//! What the two ends of a flow say to each other: bytes are recognized, then given to the one dissector that speaks it.
//!
//! Bounds: the first [`FIRST_BYTES_MAX`] bytes of each side are kept until a protocol is recognized; a flow that none
//! recognizes by then is given up, and so is one whose dissector wants nothing more: both hold nothing from then on.

use shared::time::Timestamp;

use super::super::dissect::{ALL, Carrier, Dissector, Entry, First, Recognized, Side, Tell, Want, http, named, tls};
use super::stream::{Piece, Stream};
use super::tcp::{ACK, SYN};

use super::super::{Tcp, Udp};

/// Bytes of a side that are kept for recognition.
pub const FIRST_BYTES_MAX: usize = 4 << 10;
/// Datagrams of a flow that are shown to recognizers.
const DATAGRAMS_MAX: u8 = 8;

/// Pieces of a stream that are looked at for what begins after another protocol.
const WATCHED_MAX: u8 = 64;

/// The ports of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The client's.
    pub client: u16,
    /// The server's.
    pub server: u16,
}

/// Who sent bytes, when, over what.
#[derive(Clone, Copy)]
struct Sent {
    carrier: Carrier,
    side: Side,
    ports: Ports,
    at: Timestamp,
}

impl Sent {
    /// The bytes as recognizers look at them.
    fn first(self, bytes: &[u8]) -> First<'_> {
        let Self { carrier, side, ports, .. } = self;
        First { carrier, side, client_port: ports.client, server_port: ports.server, bytes }
    }
}

/// What was said so far, of a protocol that nobody knows yet.
#[derive(Default)]
struct Heard {
    sides: [Vec<u8>; 2],
    datagrams: u8,
}

/// How far the conversation is understood.
enum Phase {
    /// Nobody knows it yet.
    Unknown(Box<Heard>),
    /// A dissector is at work.
    Known(Box<dyn Dissector>),
    /// Nobody knows it, or who knew it has heard enough: so many pieces more are looked at for what
    /// begins behind the words of many protocols (STARTTLS, CONNECT, SOCKS).
    Watching { pieces: u8 },
    /// Nothing more is to be learned.
    Over,
}

/// The conversation of a flow.
pub struct Conversation {
    carrier: Carrier,
    streams: [Stream; 2],
    phase: Phase,
    protocol: Option<&'static str>,
}

fn index(side: Side) -> usize {
    match side {
        Side::Client => 0,
        Side::Server => 1,
    }
}

impl Conversation {
    /// One that nothing is known of.
    #[must_use]
    pub fn new(carrier: Carrier) -> Self {
        let phase = Phase::Unknown(Box::default());
        Self { carrier, streams: [Stream::default(), Stream::default()], phase, protocol: None }
    }

    /// The first sequence numbers of the client and the server, as far as they are known.
    pub fn begin(&mut self, first: [Option<u32>; 2]) {
        for (stream, first) in self.streams.iter_mut().zip(first) {
            first.into_iter().for_each(|first| stream.begin(first));
        }
    }

    /// The protocol, by what was said.
    #[must_use]
    pub fn protocol(&self) -> Option<&'static str> {
        self.protocol
    }

    /// Nothing more is to be learned: it may be dropped once [`Conversation::end`] was called.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let streams: usize = self.streams.iter().map(Stream::held_bytes).sum();
        streams
            + match &self.phase {
                Phase::Unknown(heard) => heard.sides.iter().map(Vec::capacity).sum(),
                Phase::Known(dissector) => dissector.held_bytes(),
                Phase::Watching { .. } | Phase::Over => 0,
            }
    }

    /// The direction was turned.
    pub fn turn(&mut self) {
        self.streams.swap(0, 1);
        if let Phase::Unknown(heard) = &mut self.phase {
            heard.sides.swap(0, 1);
        }
    }

    /// Takes a segment.
    pub fn segment(&mut self, side: Side, ports: Ports, at: Timestamp, tcp: &Tcp<'_>, tell: Tell<'_>) {
        let Self { streams, phase, protocol, carrier } = self;
        let [client, server] = streams;
        let (stream, other, answered) = match side {
            Side::Client => (client, server, Side::Server),
            Side::Server => (server, client, Side::Client),
        };
        if tcp.flags & ACK != 0 {
            other.acknowledged(tcp.acknowledgment, &mut |piece| match piece {
                Piece::Bytes(bytes) => {
                    phase.bytes(protocol, Sent { carrier: *carrier, side: answered, ports, at }, bytes, tell);
                }
                Piece::Gap(len) => phase.gap(answered, len, tell),
            });
        }
        let syn = tcp.flags & SYN != 0;
        let sequence = tcp.sequence.wrapping_add(u32::from(syn));
        if syn {
            stream.begin(sequence);
        }
        let captured = u32::try_from(tcp.payload.len()).unwrap_or(u32::MAX);
        let missing = tcp.payload_len.saturating_sub(captured);
        stream.segment(sequence, tcp.payload, missing, &mut |piece| match piece {
            Piece::Bytes(bytes) => phase.bytes(protocol, Sent { carrier: *carrier, side, ports, at }, bytes, tell),
            Piece::Gap(len) => phase.gap(side, len, tell),
        });
    }

    /// Takes a datagram.
    pub fn datagram(&mut self, side: Side, ports: Ports, at: Timestamp, udp: &Udp<'_>, tell: Tell<'_>) {
        let sent = Sent { carrier: self.carrier, side, ports, at };
        self.phase.bytes(&mut self.protocol, sent, udp.payload, tell);
    }

    /// The flow is over or forgotten.
    pub fn end(&mut self, at: Timestamp, tell: Tell<'_>) {
        let Self { streams, phase, protocol, carrier } = self;
        let ports = Ports { client: 0, server: 0 };
        for (stream, side) in streams.iter_mut().zip([Side::Client, Side::Server]) {
            stream.give_up(&mut |piece| match piece {
                Piece::Bytes(bytes) => phase.bytes(protocol, Sent { carrier: *carrier, side, ports, at }, bytes, tell),
                Piece::Gap(len) => phase.gap(side, len, tell),
            });
        }
        if let Phase::Known(dissector) = &mut self.phase {
            dissector.end(at, tell);
        }
        self.phase = Phase::Over;
    }
}

/// What begins with bytes behind the words of another protocol: TLS (STARTTLS, CONNECT, SOCKS), or a whole request
/// line of HTTP (SOCKS; from the server where it is the one who asks for connections).
fn begins_within(sent: &Sent, bytes: &[u8]) -> Option<&'static Entry> {
    let look = sent.first(bytes);
    if tls::recognize(&look) == Recognized::Yes {
        return Some(&tls::ENTRY);
    }
    let line = bytes.get(..memchr::memchr(b'\n', bytes)?)?.trim_ascii_end();
    let asks = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    (asks && (http::ENTRY.recognize)(&look) == Recognized::Yes).then_some(&http::ENTRY)
}

/// A dissector for what begins so. Of HTTP either end may be the one who asks.
fn make(entry: &Entry, look: &First<'_>) -> Box<dyn Dissector> {
    if entry.protocol == http::ENTRY.protocol && http::is_turned(look) {
        return http::turned();
    }
    (entry.make)(look.carrier)
}

impl Phase {
    fn bytes(&mut self, protocol: &mut Option<&'static str>, sent: Sent, bytes: &[u8], tell: Tell<'_>) {
        let Sent { carrier, side, at, .. } = sent;
        match self {
            Self::Over => {}
            Self::Watching { pieces } => {
                *pieces -= 1;
                let over = *pieces == 0;
                if let Some(entry) = begins_within(&sent, bytes) {
                    self.within(entry, protocol, sent, bytes, tell);
                } else if over {
                    *self = Self::Over;
                }
            }
            Self::Known(dissector) => {
                let want = dissector.data(side, at, bytes, tell);
                let greeted = dissector.protocol() == tls::ENTRY.protocol && bytes.starts_with(b"HTTP/1.");
                self.after(want, protocol, sent, tell);
                // A server that does not speak TLS says so in its own words.
                if want != Want::More && greeted {
                    self.within(&http::ENTRY, protocol, sent, bytes, tell);
                }
            }
            Self::Unknown(heard) => {
                let Heard { sides, datagrams } = heard.as_mut();
                let spoken = carrier == Carrier::Stream && sides.iter().all(|side| !side.is_empty());
                if spoken && let Some(entry) = begins_within(&sent, bytes) {
                    return self.within(entry, protocol, sent, bytes, tell);
                }
                let first = match carrier {
                    Carrier::Datagram => {
                        *datagrams += 1;
                        bytes
                    }
                    Carrier::Stream => {
                        let Some(kept) = sides.get_mut(index(side)) else { return };
                        let room = FIRST_BYTES_MAX.saturating_sub(kept.len());
                        kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                        kept.as_slice()
                    }
                };
                let look = sent.first(first);
                let mut perhaps = false;
                let known = ALL.iter().find(|entry| match (entry.recognize)(&look) {
                    Recognized::Yes => true,
                    Recognized::No => false,
                    Recognized::Perhaps => {
                        perhaps = true;
                        false
                    }
                });
                if let Some(entry) = known {
                    *protocol = Some(entry.protocol);
                    let dissector = make(entry, &look);
                    let sides = std::mem::take(sides);
                    *self = Self::Known(dissector);
                    self.replay(protocol, sent, sides, bytes, tell);
                } else if let Some(name) = named::name(&look) {
                    *protocol = Some(name);
                    *self = Self::no_more(carrier);
                } else {
                    let full = match carrier {
                        Carrier::Datagram => *datagrams >= DATAGRAMS_MAX,
                        // Who speaks second may still be recognized, but not when both have said enough.
                        Carrier::Stream => {
                            !perhaps && sides.iter().all(|side| side.len() >= 64)
                                || sides.iter().any(|side| side.len() >= FIRST_BYTES_MAX)
                        }
                    };
                    if full {
                        *self = Self::no_more(carrier);
                    }
                }
            }
        }
    }

    /// A protocol begins behind the words of another one.
    fn within(&mut self, entry: &Entry, protocol: &mut Option<&'static str>, sent: Sent, bytes: &[u8], tell: Tell<'_>) {
        protocol.get_or_insert(entry.protocol);
        let mut dissector = make(entry, &sent.first(bytes));
        let want = dissector.data(sent.side, sent.at, bytes, tell);
        *self = Self::Known(dissector);
        self.after(want, protocol, sent, tell);
    }

    /// What was kept goes to the dissector: who spoke first, first.
    fn replay(
        &mut self,
        protocol: &mut Option<&'static str>,
        sent: Sent,
        sides: [Vec<u8>; 2],
        bytes: &[u8],
        tell: Tell<'_>,
    ) {
        let Sent { carrier, side, at, .. } = sent;
        let Self::Known(dissector) = self else { return };
        let mut want = Want::More;
        match carrier {
            Carrier::Datagram => want = dissector.data(side, at, bytes, tell),
            Carrier::Stream => {
                let [client, server] = sides;
                // The side that was recognized now spoke last; the other one's bytes came before.
                let order = match side {
                    Side::Client => [(Side::Server, server), (Side::Client, client)],
                    Side::Server => [(Side::Client, client), (Side::Server, server)],
                };
                for (side, kept) in order {
                    if want == Want::More && !kept.is_empty() {
                        want = dissector.data(side, at, &kept, tell);
                    }
                }
                // What did not fit into what is kept follows.
            }
        }
        self.after(want, protocol, sent, tell);
    }

    /// What follows when nobody listens.
    fn no_more(carrier: Carrier) -> Self {
        match carrier {
            Carrier::Stream => Self::Watching { pieces: WATCHED_MAX },
            Carrier::Datagram => Self::Over,
        }
    }

    fn after(&mut self, want: Want, protocol: &mut Option<&'static str>, sent: Sent, tell: Tell<'_>) {
        let Self::Known(dissector) = self else { return };
        match want {
            Want::More => {}
            Want::Enough => {
                dissector.end(sent.at, tell);
                // Behind TLS is nothing but TLS.
                let inner = dissector.protocol() == tls::ENTRY.protocol;
                *self = if inner { Self::Over } else { Self::no_more(sent.carrier) };
            }
            Want::NotMine => {
                *protocol = None;
                *self = Self::no_more(sent.carrier);
            }
        }
    }

    fn gap(&mut self, side: Side, len: u64, tell: Tell<'_>) {
        match self {
            Self::Known(dissector) => match dissector.gap(side, len, tell) {
                Want::More => {}
                Want::Enough | Want::NotMine => *self = Self::Over,
            },
            // What comes behind a hole begins nowhere.
            Self::Unknown(_) => *self = Self::no_more(Carrier::Stream),
            Self::Watching { .. } | Self::Over => {}
        }
    }
}
