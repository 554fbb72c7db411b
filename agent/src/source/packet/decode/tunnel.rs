//! Tunnels: GRE (RFC 2784, 2890; PPTP: RFC 2637) with ERSPAN and NVGRE (RFC 7637), VXLAN (RFC 7348), Geneve (RFC 8926)
//! and Teredo (RFC 4380).

use std::net::Ipv6Addr;

use super::super::{Flaws, Tunnel};
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

    /// VXLAN that names what it wraps (draft-ietf-nvo3-vxlan-gpe).
    pub fn vxlan_generic(&mut self) -> Next {
        let Some(&[flags, _, _, kind, n0, n1, n2, _]) = self.take::<8>() else { return Next::Done };
        let next = match (flags & 0x0c, kind) {
            (0x08, _) | (0x0c, 3) => Next::Ethernet,
            (0x0c, 1) => Next::Ip4,
            (0x0c, 2) => Next::Ip6,
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

    /// Teredo, only when what is inside proves it: an IPv6 packet that fills the datagram, between addresses that Teredo
    /// uses, and that carries something (empty ones only keep NAT open).
    pub fn teredo(&mut self) -> Next {
        if let Some(&[0, 1, client, secret, ..]) = self.rest.first_chunk::<4>()
            && self.skip(13 + usize::from(client) + usize::from(secret)).is_none()
        {
            return Next::Done;
        }
        if let Some(&[0, 0, ..]) = self.rest.first_chunk::<8>() {
            self.take::<8>();
        }
        let Some(&[first, _, _, _, l0, l1, _, _, addresses @ ..]) = self.rest.first_chunk::<40>() else {
            return Next::Done;
        };
        let payload_len = usize::from(u16::from_be_bytes([l0, l1]));
        let proven = first >> 4 == 6
            && payload_len > 0
            && payload_len.checked_add(40) == Some(self.left)
            && teredo_addresses(&addresses);
        if proven { self.enter(Tunnel::Teredo, Next::Ip6) } else { Next::Done }
    }
}

/// Whether either of two addresses is of Teredo, or of the link, as in its router solicitations.
fn teredo_addresses(addresses: &[u8; 32]) -> bool {
    let (halves, _) = addresses.as_chunks::<16>();
    halves
        .iter()
        .map(|&half| Ipv6Addr::from(half))
        .any(|address| address.segments().starts_with(&TEREDO_PREFIX) || address.is_unicast_link_local())
}
