//! Packets: what a host's network traffic says, as metadata, never its payload.
//!
//! ```text
//! capture, file ─▶ decode ─▶ flow ─▶ dissect ─▶ record
//! bytes            Packet    Table   Told       fields of a typed record, keys are OCSF paths
//! ```
//!
//! In: frames of an interface or of a capture file. Out: a record per flow (open, update, close) and per thing that a
//! dissector understood. Everything between is pure: it opens nothing and reads no clock, time is the packets' own.
//!
//! Invariants: what is malformed becomes a flag on a record, never a panic, and never unbounded time or memory.

pub mod capture;
pub mod decode;
pub mod dissect;
pub mod file;
pub mod flow;
pub mod meter;
pub mod neighbor;
pub mod process;

use std::net::IpAddr;

use shared::time::Timestamp;

/// One packet, decapsulated: its innermost network header and what it carries. Borrows the captured bytes.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// When it was captured.
    pub at: Timestamp,
    /// Bytes that it had on the wire, link header included; of a reassembled one those of all its frames.
    pub wire_len: u32,
    /// Captured frames that it came in: 1, or as many as its fragments.
    pub frames: u32,
    /// Hardware addresses and VLANs of the outermost frame.
    pub link: Link,
    /// The innermost IP header; none for ARP and what is no IP.
    pub ip: Option<Ip>,
    /// What follows it.
    pub transport: Transport<'a>,
    /// What it was wrapped in, outermost first; unused places are [`Tunnel::None`].
    pub tunnels: [Tunnel; TUNNELS_MAX],
    /// The outermost IP packet, where it wraps this one.
    pub outer: Option<Outer>,
    /// What is wrong with it.
    pub flaws: Flaws,
}

/// An IP packet that wraps another one: who sends the tunnel to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// Its header; of fragments inside of tunnels that were put together, with the lengths of all their wrappings.
    pub ip: Ip,
    /// Source port; 0: it has none.
    pub source: u16,
    /// Destination port; 0: it has none.
    pub destination: u16,
    /// What it carries.
    pub tunnel: Tunnel,
}

/// Tunnels in tunnels that are followed.
pub const TUNNELS_MAX: usize = 4;

/// The outermost link header.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Link {
    /// Hardware addresses; none where the link has none (loopback, raw IP).
    pub macs: Option<Macs>,
    /// VLAN ids, outermost first; 0: none.
    pub vlans: [u16; 2],
    /// Interface index, of captures that name it (Linux cooked v2).
    pub interface: Option<u32>,
}

/// Hardware addresses of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Macs {
    /// Who sent it.
    pub source: [u8; 6],
    /// To whom; Linux cooked captures do not say: zeros.
    pub destination: [u8; 6],
}

/// The innermost network header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ip {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// IANA protocol number of what follows, behind all extension headers.
    pub protocol: u8,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Length of the network packet by its own header: header and payload.
    pub total_len: u32,
    /// Length of what follows the header, behind all extension headers, by the header: without link padding.
    pub payload_len: u32,
}

/// What a network packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(Tcp<'a>),
    /// A UDP datagram.
    Udp(Udp<'a>),
    /// ICMP or `ICMPv6`.
    Icmp(Icmp<'a>),
    /// An SCTP packet: only its ports are looked at.
    Sctp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// An ARP message, from its hardware type on.
    Arp(&'a [u8]),
    /// Any other protocol, or a fragment that is not the first: its payload.
    Other(&'a [u8]),
}

/// A TCP segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tcp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
    /// Flags, as on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128.
    pub flags: u8,
    /// Window, not scaled.
    pub window: u16,
    /// Options, not parsed.
    pub options: &'a [u8],
    /// Length of the payload by the headers; the captured bytes may be fewer.
    pub payload_len: u32,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
}

/// A UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Udp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Length of the payload by the headers; the captured bytes may be fewer.
    pub payload_len: u32,
    /// The payload, as far as it was captured.
    pub payload: &'a [u8],
}

/// An ICMP message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp<'a> {
    /// It is `ICMPv6`.
    pub v6: bool,
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Length of what follows the four octets of type, code and checksum, by the headers.
    pub payload_len: u32,
    /// What follows type, code and checksum, as far as it was captured.
    pub payload: &'a [u8],
}

/// What a packet was wrapped in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Tunnel {
    /// Nothing.
    #[default]
    None,
    /// `PPPoE` session.
    PppoE,
    /// MPLS labels.
    Mpls,
    /// GRE, with its key.
    Gre(u32),
    /// ERSPAN, any type.
    Erspan,
    /// VXLAN, with its network id.
    Vxlan(u32),
    /// Geneve, with its network id.
    Geneve(u32),
    /// IP in IP, 6in4, 4in6.
    IpIp,
    /// Teredo.
    Teredo,
    /// Ethernet in IP.
    EtherIp,
    /// A PIM register message.
    Pim,
}

impl Tunnel {
    /// The word for it, as `app_protocol_name`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::PppoE => "pppoe",
            Self::Mpls => "mpls",
            Self::Gre(_) => "gre",
            Self::Erspan => "erspan",
            Self::Vxlan(_) => "vxlan",
            Self::Geneve(_) => "geneve",
            Self::IpIp => "ipip",
            Self::Teredo => "teredo",
            Self::EtherIp => "etherip",
            Self::Pim => "pim",
        }
    }
}

/// What is wrong with a packet; several things may be.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flaws(pub u16);

impl Flaws {
    /// Fewer bytes were captured than it had.
    pub const CAPTURE_CUT: Self = Self(1);
    /// A header says more bytes than there are, or fewer than it needs.
    pub const BAD_LENGTH: Self = Self(1 << 1);
    /// A header's field has no sense: version, offset, options.
    pub const BAD_HEADER: Self = Self(1 << 2);
    /// It is a fragment that was not reassembled.
    pub const FRAGMENT: Self = Self(1 << 3);
    /// Fragments of it overlapped and differed.
    pub const FRAGMENT_OVERLAP: Self = Self(1 << 4);
    /// More tunnels or extension headers than are followed.
    pub const TOO_DEEP: Self = Self(1 << 5);
    /// A link type or network protocol that is not known.
    pub const UNKNOWN: Self = Self(1 << 6);

    /// Whether any of `flaws` is set.
    #[must_use]
    pub fn has(self, flaws: Self) -> bool {
        self.0 & flaws.0 != 0
    }

    /// Sets `flaws` too.
    pub fn set(&mut self, flaws: Self) {
        self.0 |= flaws.0;
    }

    /// Takes `flaws` back.
    pub fn clear(&mut self, flaws: Self) {
        self.0 &= !flaws.0;
    }
}
