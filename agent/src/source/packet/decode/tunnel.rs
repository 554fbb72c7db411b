//! Tunnels: GRE (RFC 2784, 2890; PPTP: RFC 2637) with ERSPAN and NVGRE (RFC 7637), VXLAN (RFC 7348), Geneve (RFC 8926),
//! Teredo (RFC 4380), EtherIP (RFC 3378), registers of PIM (RFC 7761 §4.9.3).

use std::net::Ipv6Addr;

use super::super::{Flaws, Tunnel};
use super::LinkType;
use super::walk::{Next, Walk};

/// Bits of a GRE header's first two bytes.
mod gre {
    pub const CHECKSUM: u8 = 0x80;
    pub const ROUTING: u8 = 0x40;
    pub const KEY: u8 = 0x20;
    pub const SEQUENCE: u8 = 0x10;
    /// In the second byte, version 1.
    pub const ACKNOWLEDGMENT: u8 = 0x80;
}

/// Source routes of a GRE header that are passed over.
const ROUTES_MAX: usize = 8;
/// Teredo's addresses are `2001:0::/32`.
const TEREDO_PREFIX: [u16; 2] = [0x2001, 0];

impl Walk<'_> {
    /// GRE, behind an IP header.
    pub fn gre(&mut self) -> Next {
        let Some(&[flags, version, k0, k1]) = self.take::<4>() else { return Next::Done };
        let kind = u16::from_be_bytes([k0, k1]);
        match version & 7 {
            0 => self.gre_plain(flags, kind).unwrap_or(Next::Done),
            1 if kind == 0x880b => self.gre_enhanced(flags, version).unwrap_or(Next::Done),
            _ => self.senseless(),
        }
    }

    /// GRE version 0; none: it ends within its header.
    fn gre_plain(&mut self, flags: u8, kind: u16) -> Option<Next> {
        let mut key = 0;
        if flags & (gre::CHECKSUM | gre::ROUTING) != 0 {
            self.take::<4>()?;
        }
        if flags & gre::KEY != 0 {
            key = u32::from_be_bytes(*self.take::<4>()?);
        }
        if flags & gre::SEQUENCE != 0 {
            self.take::<4>()?;
        }
        if flags & gre::ROUTING != 0 && !self.gre_routes()? {
            return Some(self.senseless());
        }
        Some(match kind {
            0x88be => self.erspan2(flags & gre::SEQUENCE != 0)?,
            0x22eb => self.erspan3()?,
            0x883e => {
                // WCCP: version 2 puts a redirect header of 4 bytes, whose first is no IPv4's, before the packet
                if self.rest.first().is_some_and(|first| first >> 4 != 4) {
                    self.take::<4>()?;
                }
                self.enter(Tunnel::Gre(key), Next::Ip4)
            }
            // Wireless access points send what they hear to their controller.
            0x8200 => self.enter(Tunnel::Gre(key), Next::Link(LinkType::IEEE802_11)),
            kind => self.enter(Tunnel::Gre(key), Next::EtherType(kind)),
        })
    }

    /// Passes over source routes, RFC 1701, to the empty one; false: there is none.
    fn gre_routes(&mut self) -> Option<bool> {
        for _ in 0..ROUTES_MAX {
            let &[f0, f1, _, length] = self.take::<4>()?;
            if [f0, f1, length] == [0, 0, 0] {
                return Some(true);
            }
            self.skip(usize::from(length))?;
        }
        self.packet.flaws.set(Flaws::TOO_DEEP);
        Some(false)
    }

    /// GRE version 1, of PPTP: its key is the payload's length and the call; an acknowledgment alone has no payload.
    fn gre_enhanced(&mut self, flags: u8, version: u8) -> Option<Next> {
        let &[l0, l1, c0, c1] = self.take::<4>()?;
        if flags & gre::SEQUENCE != 0 {
            self.take::<4>()?;
        }
        if version & gre::ACKNOWLEDGMENT != 0 {
            self.take::<4>()?;
        }
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        if length == 0 {
            return Some(Next::Done);
        }
        self.limit(length);
        Some(self.enter(Tunnel::Gre(u32::from(u16::from_be_bytes([c0, c1]))), Next::Ppp))
    }

    /// ERSPAN type II right behind Ethernet.
    pub fn erspan_bare(&mut self) -> Next {
        self.erspan2(true).unwrap_or(Next::Done)
    }

    /// Ethernet in IP: its version, then a frame.
    pub fn ether_ip(&mut self) -> Next {
        match self.take::<2>() {
            Some(&[0x30, _]) => self.enter(Tunnel::EtherIp, Next::Ethernet),
            _ => Next::Done,
        }
    }

    /// What a router sends to the rendezvous point of a group, unless it is empty or a null register.
    pub fn pim(&mut self) -> Next {
        match self.rest.first_chunk::<8>() {
            Some(&[0x21, _, _, _, flags, ..]) if flags & 0x40 == 0 && self.left > 28 => {
                self.take::<8>();
                self.enter(Tunnel::Pim, Next::Ip)
            }
            _ => Next::Done,
        }
    }

    /// ERSPAN type I, which has no header, or II, which has one of 8 bytes and a sequence number in GRE's.
    fn erspan2(&mut self, sequence: bool) -> Option<Next> {
        if sequence && self.take::<8>()?[0] >> 4 != 1 {
            return Some(self.senseless());
        }
        Some(self.enter(Tunnel::Erspan, Next::Ethernet))
    }

    /// ERSPAN type III: 12 bytes, then 8 more if the last bit says so; frame type 0 is Ethernet, 2 is IP.
    fn erspan3(&mut self) -> Option<Next> {
        let &[version, .., frame, flags] = self.take::<12>()?;
        if version >> 4 != 2 {
            return Some(self.senseless());
        }
        if flags & 1 != 0 {
            self.take::<8>()?;
        }
        Some(match (frame >> 2) & 0x1f {
            0 => self.enter(Tunnel::Erspan, Next::Ethernet),
            2 => self.enter(Tunnel::Erspan, Next::Ip),
            _ => self.unknown(),
        })
    }

    /// VXLAN: an Ethernet frame of a network.
    pub fn vxlan(&mut self) -> Next {
        match self.take::<8>() {
            Some(&[flags, _, _, _, n0, n1, n2, _]) if flags & 0x08 != 0 => {
                self.enter(Tunnel::Vxlan(u32::from_be_bytes([0, n0, n1, n2])), Next::Ethernet)
            }
            _ => Next::Done,
        }
    }

    /// VXLAN that names what it wraps (draft-ietf-nvo3-vxlan-gpe), also where the bit that says so is not set.
    pub fn vxlan_generic(&mut self) -> Next {
        let Some(&[flags, _, _, kind, n0, n1, n2, _]) = self.take::<8>() else { return Next::Done };
        let next = match (flags & 0x08, kind) {
            (0, _) => return Next::Done,
            (_, 0 | 3) => Next::Ethernet,
            (_, 1) => Next::Ip4,
            (_, 2) => Next::Ip6,
            _ => return Next::Done,
        };
        self.enter(Tunnel::Vxlan(u32::from_be_bytes([0, n0, n1, n2])), next)
    }

    /// Geneve: options are passed over.
    pub fn geneve(&mut self) -> Next {
        let Some(&[first, _, k0, k1, n0, n1, n2, _]) = self.take::<8>() else { return Next::Done };
        if first >> 6 != 0 || self.skip(4 * usize::from(first & 0x3f)).is_none() {
            return Next::Done;
        }
        let kind = u16::from_be_bytes([k0, k1]);
        self.enter(Tunnel::Geneve(u32::from_be_bytes([0, n0, n1, n2])), Next::EtherType(kind))
    }

    /// Teredo on its own port, only when what is inside proves it: an IPv6 packet that fills the datagram, between
    /// addresses that Teredo uses, and that carries something (empty ones only keep NAT open).
    pub fn teredo(&mut self) -> Next {
        if let Some(&[0, 1, client, secret, ..]) = self.rest.first_chunk::<4>()
            && self.skip(13 + usize::from(client) + usize::from(secret)).is_none()
        {
            return Next::Done;
        }
        if let Some(&[0, 0, ..]) = self.rest.first_chunk::<8>() {
            self.take::<8>();
        }
        self.teredo_packet(true)
    }

    /// Teredo on any other ports, as between a client and a relay: the same, and one of the addresses has to be of Teredo.
    /// Its own ends are told with the datagram that carries it, whatever is inside.
    #[inline]
    pub fn teredo_elsewhere(&mut self) -> Next {
        match self.rest.first() {
            Some(0x60..=0x6f) => self.teredo_packet(false),
            _ => Next::Done,
        }
    }

    fn teredo_packet(&mut self, at_home: bool) -> Next {
        let Some(&[first, _, _, _, l0, l1, _, _, addresses @ ..]) = self.rest.first_chunk::<40>() else {
            return Next::Done;
        };
        let payload_len = usize::from(u16::from_be_bytes([l0, l1]));
        let proven = first >> 4 == 6
            && payload_len > 0
            && payload_len.checked_add(40) == Some(self.left)
            && teredo_addresses(&addresses, at_home);
        if proven { self.enter(Tunnel::Teredo, Next::Ip6) } else { Next::Done }
    }
}

/// Whether either of two addresses is of Teredo, or, `at_home`, of the link, as in its router solicitations.
fn teredo_addresses(addresses: &[u8; 32], at_home: bool) -> bool {
    let (halves, _) = addresses.as_chunks::<16>();
    halves
        .iter()
        .map(|&half| Ipv6Addr::from(half))
        .any(|address| address.segments().starts_with(&TEREDO_PREFIX) || at_home && address.is_unicast_link_local())
}
