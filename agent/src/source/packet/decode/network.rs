//! IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200, AH: RFC 4302), and where their fragments pause the walk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Flaws, Ip, Transport, Tunnel};
use super::walk::{Fragment, Next, Walk, narrow, wide};

/// IANA protocol numbers that are looked at.
mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const IP4: u8 = 4;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const IP6: u8 = 41;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMP6: u8 = 58;
    pub const DESTINATION: u8 = 60;
    pub const ETHERIP: u8 = 97;
    pub const PIM: u8 = 103;
    pub const SCTP: u8 = 132;
    pub const MPLS: u8 = 137;
    pub const ETHERNET: u8 = 143;
}

/// Most options of a hop-by-hop header that are looked at for the jumbo one.
const OPTIONS_MAX: usize = 16;

impl Walk<'_> {
    /// IP of either version.
    pub fn ip(&mut self) -> Next {
        match self.rest.first().map(|first| first >> 4) {
            Some(4) => Next::Ip4,
            Some(6) => Next::Ip6,
            Some(_) => self.senseless(),
            None => self.end(),
        }
    }

    /// IPv4.
    pub fn ip4(&mut self) -> Next {
        let Some(&[first, _, l0, l1, i0, i1, f0, f1, ttl, protocol, _, _, addresses @ ..]) = self.take::<20>() else {
            return self.end();
        };
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        let header_len = 4 * usize::from(first & 0x0f);
        let Some(options_len) = header_len.checked_sub(20) else { return self.senseless() };
        if first >> 4 != 4 {
            return self.senseless();
        }
        let total_len = match usize::from(u16::from_be_bytes([l0, l1])) {
            0 => self.left + 20, // segmentation is left to the card
            length => length,
        };
        let Some(behind) = total_len.checked_sub(20) else {
            self.lies();
            return self.end();
        };
        self.limit(behind);
        if options_len > 0 && self.skip(options_len).is_none() {
            return self.end();
        }
        self.found(Ip {
            source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            protocol,
            ttl,
            total_len: narrow(total_len),
            payload_len: narrow(self.left),
        });
        let fragment = u16::from_be_bytes([f0, f1]);
        let (offset, more) = (8 * usize::from(fragment & 0x1fff), fragment & 0x2000 != 0);
        if offset == 0 && !more {
            return Next::Payload(protocol);
        }
        let identification = u32::from(u16::from_be_bytes([i0, i1]));
        self.pause(identification, offset, more, protocol, header_len)
    }

    /// IPv6.
    pub fn ip6(&mut self) -> Next {
        let Some(&[first, _, _, _, l0, l1, protocol, ttl, addresses @ ..]) = self.take::<40>() else {
            return self.end();
        };
        if first >> 4 != 6 {
            return self.senseless();
        }
        let (source, destination) = halves(addresses);
        match (usize::from(u16::from_be_bytes([l0, l1])), protocol) {
            (0, protocol::HOP_BY_HOP) => match jumbo_len(self.rest) {
                Some(length @ 0x1_0000..) => self.limit(wide(length)),
                Some(_) => self.lies(),
                None => {}
            },
            (0, protocol::TCP | protocol::UDP) => {} // segmentation is left to the card
            (length, _) => self.limit(length),
        }
        self.found(Ip {
            source: IpAddr::V6(source),
            destination: IpAddr::V6(destination),
            protocol,
            ttl,
            total_len: narrow(self.left).saturating_add(40),
            payload_len: narrow(self.left),
        });
        Next::Payload(protocol)
    }

    /// What an IP protocol number names.
    pub fn payload(&mut self, protocol: u8) -> Next {
        let v6 = self.packet.ip.is_some_and(|ip| ip.source.is_ipv6());
        match protocol {
            protocol::TCP => self.tcp(),
            protocol::UDP => self.udp(),
            protocol::ICMP => self.icmp(false),
            protocol::ICMP6 => self.icmp(true),
            protocol::SCTP => self.sctp(),
            protocol::IP4 => self.enter(Tunnel::IpIp, Next::Ip4),
            protocol::IP6 => self.enter(Tunnel::IpIp, Next::Ip6),
            protocol::ETHERIP => self.ether_ip(),
            protocol::ETHERNET => self.enter(Tunnel::EtherIp, Next::Ethernet),
            protocol::PIM => self.pim(),
            protocol::GRE => self.gre(),
            protocol::MPLS => self.mpls(),
            protocol::AUTHENTICATION => self.extension(4, 2),
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION if v6 => self.extension(8, 1),
            protocol::FRAGMENT if v6 => self.fragment_header(),
            _ => Next::Done,
        }
    }

    /// An extension header: its second byte and `extra` are its length in units of `unit` bytes.
    fn extension(&mut self, unit: usize, extra: usize) -> Next {
        let Some(&[protocol, length]) = self.rest.first_chunk::<2>() else {
            if self.left < 2 {
                self.lies();
            }
            return Next::Done;
        };
        if self.skip(unit * (usize::from(length) + extra)).is_none() {
            return Next::Done;
        }
        self.behind(protocol);
        Next::Payload(protocol)
    }

    /// The fragment header of IPv6. One that says "the only one" (RFC 6946) is passed over.
    fn fragment_header(&mut self) -> Next {
        let unfragmentable = self.packet.ip.map_or(0, |ip| wide(ip.total_len.saturating_sub(ip.payload_len)));
        let Some(&[protocol, _, f0, f1, i0, i1, i2, i3]) = self.take::<8>() else { return Next::Done };
        self.behind(protocol);
        let field = u16::from_be_bytes([f0, f1]);
        let (offset, more) = (usize::from(field & !7), field & 1 != 0);
        if offset == 0 && !more {
            return Next::Payload(protocol);
        }
        self.pause(u32::from_be_bytes([i0, i1, i2, i3]), offset, more, protocol, unfragmentable)
    }

    /// A network header was found: it is the packet's until one further in is.
    fn found(&mut self, ip: Ip) {
        self.prove();
        self.packet.ip = Some(ip);
        self.packet.transport = Transport::Other(self.rest);
    }

    /// An extension header was passed.
    fn behind(&mut self, protocol: u8) {
        if let Some(ip) = &mut self.packet.ip {
            ip.protocol = protocol;
            ip.payload_len = narrow(self.left);
        }
        self.packet.transport = Transport::Other(self.rest);
    }

    /// The packet is a fragment: the walk pauses, or goes on into a first one when it is in a fragment already.
    fn pause(&mut self, identification: u32, offset: usize, more: bool, protocol: u8, header_len: usize) -> Next {
        self.packet.flaws.set(Flaws::FRAGMENT);
        if self.partial {
            return if offset == 0 { Next::Payload(protocol) } else { Next::Done };
        }
        self.fragment = Some(Fragment {
            identification,
            offset,
            more,
            protocol,
            header_len,
            payload: self.rest,
            payload_len: self.left,
        });
        Next::Fragment
    }
}

/// Source and destination of an IPv6 header.
fn halves(addresses: [u8; 32]) -> (Ipv6Addr, Ipv6Addr) {
    let [mut source, mut destination] = [[0; 16]; 2];
    let (first, second) = addresses.split_at(16);
    source.copy_from_slice(first);
    destination.copy_from_slice(second);
    (Ipv6Addr::from(source), Ipv6Addr::from(destination))
}

/// The length that a hop-by-hop header's jumbo option (RFC 2675) gives.
fn jumbo_len(header: &[u8]) -> Option<u32> {
    let &[_, words, ..] = header else { return None };
    let mut options = header.get(2..(8 * (usize::from(words) + 1)).min(header.len()))?;
    for _ in 0..OPTIONS_MAX {
        options = match options {
            [0, rest @ ..] => rest,
            &[0xc2, 4, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d])),
            [_, length, rest @ ..] => rest.get(usize::from(*length)..)?,
            _ => return None,
        };
    }
    None
}
