//! The walk through the headers of a frame: a cursor, and which header comes next.
//!
//! Invariants: `rest` are captured bytes and `left`, at least as many, is their length by the headers around them; each
//! step consumes bytes or ends the walk, and there are at most [`STEPS_MAX`].

use shared::time::Timestamp;

use super::super::{Flaws, Link, Outer, Packet, TUNNELS_MAX, Transport, Tunnel};
use super::LinkType;

/// Most headers of a frame that are looked at: four tunnels with their VLANs, labels and extension headers.
pub const STEPS_MAX: usize = 64;

/// Which header the next bytes are.
#[derive(Clone, Copy)]
pub enum Next {
    /// What a capture of this link type starts with.
    Link(LinkType),
    /// Ethernet.
    Ethernet,
    /// What an `EtherType` names.
    EtherType(u16),
    /// PPP, from its protocol or its address field on.
    Ppp,
    /// IP of the version that its first nibble says.
    Ip,
    /// IPv4.
    Ip4,
    /// IPv6.
    Ip6,
    /// What an IP protocol number names.
    Payload(u8),
    /// A fragment: the walk pauses.
    Fragment,
    /// Nothing more.
    Done,
}

/// What is to be known of a fragment to put it together with others.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// The datagram's identification: 16 bits of IPv4, 32 of IPv6.
    pub identification: u32,
    /// Offset of its payload in the datagram's.
    pub offset: usize,
    /// It is not the last.
    pub more: bool,
    /// Protocol of the datagram's payload.
    pub protocol: u8,
    /// Length of the header that the datagram will have.
    pub header_len: usize,
    /// Its payload, as far as it was captured.
    pub payload: &'a [u8],
    /// Length of its payload by the header.
    pub payload_len: usize,
}

/// The state of a walk.
pub struct Walk<'a> {
    /// What was found so far.
    pub packet: Packet<'a>,
    /// Captured bytes that were not looked at yet.
    pub rest: &'a [u8],
    /// How many bytes they are by the headers around them.
    pub left: usize,
    /// It is a first fragment alone: lengths of its payload reach beyond it rightly.
    pub partial: bool,
    /// Where the walk paused.
    pub fragment: Option<Fragment<'a>>,
    next: Next,
    /// Tunnels entered, and how many of them held a packet.
    entered: usize,
    proven: usize,
    /// Tunnels entered before the one that the outermost IP packet carries.
    outer_at: usize,
}

impl<'a> Walk<'a> {
    /// A walk from the link header on.
    #[inline]
    pub fn new(link: LinkType, at: Timestamp, captured: &'a [u8], wire_len: u32) -> Self {
        let wire_len = wire_len.max(narrow(captured.len()));
        let left = wide(wire_len);
        let mut flaws = Flaws::default();
        if captured.len() < left {
            flaws.set(Flaws::CAPTURE_CUT);
        }
        Self {
            packet: Packet {
                at,
                wire_len,
                frames: 1,
                link: Link::default(),
                ip: None,
                transport: Transport::Other(captured),
                tunnels: [Tunnel::None; TUNNELS_MAX],
                outer: None,
                flaws,
            },
            rest: captured,
            left,
            partial: false,
            fragment: None,
            next: Next::Link(link),
            entered: 0,
            proven: 0,
            outer_at: 0,
        }
    }

    /// A walk that goes on behind the header of `packet`, with `next`.
    pub fn resume(packet: Packet<'a>, next: Next, rest: &'a [u8], left: usize) -> Self {
        let entered = packet.tunnels.iter().filter(|&&tunnel| tunnel != Tunnel::None).count();
        Self { packet, rest, left, partial: false, fragment: None, next, entered, proven: entered, outer_at: 0 }
    }

    /// Walks on, to the end or to a fragment, which is returned; then [`Self::packet`] is the fragment's.
    pub fn run(&mut self) -> Option<Fragment<'a>> {
        for _ in 0..STEPS_MAX {
            self.next = match self.next {
                Next::Link(link) => self.link(link),
                Next::Ethernet => self.ethernet(),
                Next::EtherType(kind) => self.ethertype(kind),
                Next::Ppp => self.ppp(),
                Next::Ip => self.ip(),
                Next::Ip4 => self.ip4(),
                Next::Ip6 => self.ip6(),
                Next::Payload(protocol) => self.payload(protocol),
                Next::Fragment | Next::Done => break,
            };
        }
        match self.next {
            Next::Fragment => {}
            Next::Done => self.forget_unproven(),
            _ => {
                self.packet.flaws.set(Flaws::TOO_DEEP);
                self.forget_unproven();
            }
        }
        self.fragment.take()
    }

    /// Walks to the end, into first fragments too.
    pub fn finish(mut self) -> Packet<'a> {
        if let Some(fragment) = self.run()
            && fragment.offset == 0
        {
            self.partial = true;
            self.next = Next::Payload(fragment.protocol);
            self.run();
        }
        self.packet
    }

    /// Takes the next `N` bytes; none, and flagged, where there are fewer.
    #[inline]
    pub fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            if self.left < N {
                self.lies();
            }
            return None;
        };
        self.rest = rest;
        self.left = self.left.saturating_sub(N);
        Some(head)
    }

    /// Takes the next `length` bytes; none, and flagged, where there are fewer.
    pub fn skip(&mut self, length: usize) -> Option<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(length) else {
            if self.left < length {
                self.lies();
            }
            return None;
        };
        self.rest = rest;
        self.left = self.left.saturating_sub(length);
        Some(head)
    }

    /// A header says that `length` bytes follow it: what is beyond is padding; fewer are flagged.
    #[inline]
    pub fn limit(&mut self, length: usize) {
        if length > self.left {
            self.lies();
        }
        self.left = length;
        if let Some(kept) = self.rest.get(..length) {
            self.rest = kept;
        }
    }

    /// A header's length is not that of the bytes.
    pub fn lies(&mut self) {
        if !self.partial {
            self.packet.flaws.set(Flaws::BAD_LENGTH);
        }
    }

    /// A header's field has no sense: the walk ends.
    pub fn senseless(&mut self) -> Next {
        self.packet.flaws.set(Flaws::BAD_HEADER);
        self.end()
    }

    /// What follows is not known: the walk ends.
    pub fn unknown(&mut self) -> Next {
        if self.packet.ip.is_none() {
            self.packet.flaws.set(Flaws::UNKNOWN);
        }
        self.end()
    }

    /// The walk ends; without an IP header what is left is what the frame carries.
    pub fn end(&mut self) -> Next {
        if self.packet.ip.is_none() {
            self.packet.transport = Transport::Other(self.rest);
        }
        Next::Done
    }

    /// What follows is wrapped in `tunnel`, as `next`, if there is place for one more.
    pub fn enter(&mut self, tunnel: Tunnel, next: Next) -> Next {
        let Some(place) = self.packet.tunnels.get_mut(self.entered) else {
            self.packet.flaws.set(Flaws::TOO_DEEP);
            return self.end();
        };
        *place = tunnel;
        if self.packet.outer.is_none()
            && let Some(ip) = self.packet.ip
        {
            let (source, destination) = match &self.packet.transport {
                Transport::Udp(udp) => (udp.source, udp.destination),
                _ => (0, 0),
            };
            self.packet.outer = Some(Outer { ip, source, destination, tunnel });
            self.outer_at = self.entered;
        }
        self.entered += 1;
        next
    }

    /// The headers are still those of the outermost frame.
    pub fn outermost(&self) -> bool {
        self.entered == 0
    }

    /// A packet was found in all tunnels entered so far.
    pub fn prove(&mut self) {
        self.proven = self.entered;
    }

    /// What was entered and held no packet was no tunnel.
    fn forget_unproven(&mut self) {
        for tunnel in self.packet.tunnels.iter_mut().skip(self.proven) {
            *tunnel = Tunnel::None;
        }
        if self.outer_at >= self.proven {
            self.packet.outer = None;
        }
    }
}

/// A length as the nouns hold it: what was captured is far shorter than 4 GiB.
pub fn narrow(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// A length of a header as one of memory.
pub fn wide(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
