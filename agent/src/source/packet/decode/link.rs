//! Link headers: which of them a capture has, and what follows each.
//!
//! Numbers and layouts are those of <https://www.tcpdump.org/linktypes.html>; for live captures libpcap's DLT numbers,
//! which differ from the files' only for raw IP, are known too.

use super::super::{Flaws, Macs};
use super::walk::{Next, Walk};

/// The link type of an interface or a capture file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkType(pub u16);

impl LinkType {
    /// BSD loopback: the address family in the host's byte order.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP.
    pub const PPP: Self = Self(9);
    /// Raw IP: DLT of most systems.
    pub const DLT_RAW: Self = Self(12);
    /// Raw IP: DLT of OpenBSD.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// PPP in HDLC framing, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// `PPPoE` session, from its header on.
    pub const PPP_ETHER: Self = Self(51);
    /// Raw IP: in files.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const IEEE802_11: Self = Self(105);
    /// OpenBSD loopback: the address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked v1: what `any` gives.
    pub const LINUX_SLL: Self = Self(113);
    /// IEEE 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Linux cooked v2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// Attributes of a netfilter log message that are looked at: it has about fifteen.
const NFLOG_ATTRIBUTES_MAX: usize = 64;

impl Walk<'_> {
    /// What the frame starts with.
    pub fn link(&mut self, link: LinkType) -> Next {
        match link {
            LinkType::ETHERNET => Next::Ethernet,
            LinkType::RAW | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD => Next::Ip,
            LinkType::IPV4 => Next::Ip4,
            LinkType::IPV6 => Next::Ip6,
            LinkType::LINUX_SLL => self.cooked(),
            LinkType::LINUX_SLL2 => self.cooked2(),
            LinkType::NULL | LinkType::LOOP => self.loopback(),
            LinkType::PPP => Next::Ppp,
            LinkType::PPP_HDLC => match self.rest.first() {
                Some(0x0f | 0x8f) => self.cisco_hdlc(),
                _ => Next::Ppp,
            },
            LinkType::PPP_ETHER => self.pppoe(),
            LinkType::C_HDLC => self.cisco_hdlc(),
            LinkType::IEEE802_11 => self.wireless(),
            LinkType::RADIOTAP => self.radiotap(),
            LinkType::NFLOG => self.netfilter_log(),
            _ => self.unknown(),
        }
    }

    /// Ethernet II or IEEE 802.3.
    pub fn ethernet(&mut self) -> Next {
        let Some(&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, high, low]) = self.take::<14>() else {
            return self.end();
        };
        if self.outermost() {
            let (source, destination) = ([s0, s1, s2, s3, s4, s5], [d0, d1, d2, d3, d4, d5]);
            self.packet.link.macs = Some(Macs { source, destination });
        }
        match u16::from_be_bytes([high, low]) {
            length @ ..=1500 => {
                self.limit(usize::from(length));
                self.logical_link()
            }
            kind => Next::EtherType(kind),
        }
    }

    /// IEEE 802.2: only what SNAP names by an `EtherType` is followed.
    pub fn logical_link(&mut self) -> Next {
        match self.rest.first_chunk::<8>() {
            Some(&[0xaa, 0xaa, 0x03, 0, 0, 0, high, low]) => {
                self.take::<8>();
                Next::EtherType(u16::from_be_bytes([high, low]))
            }
            _ => self.unknown(),
        }
    }

    /// Linux cooked v1.
    fn cooked(&mut self) -> Next {
        let Some(&[_, _, h0, h1, l0, l1, s0, s1, s2, s3, s4, s5, _, _, p0, p1]) = self.take::<16>() else {
            return self.end();
        };
        let hardware = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([l0, l1]));
        self.cooked_sender(hardware, [s0, s1, s2, s3, s4, s5]);
        self.cooked_protocol(u16::from_be_bytes([p0, p1]))
    }

    /// Linux cooked v2.
    fn cooked2(&mut self) -> Next {
        let Some(&[p0, p1, _, _, i0, i1, i2, i3, h0, h1, _, length, s0, s1, s2, s3, s4, s5, _, _]) = self.take::<20>()
        else {
            return self.end();
        };
        self.packet.link.interface = Some(u32::from_be_bytes([i0, i1, i2, i3]));
        self.cooked_sender((u16::from_be_bytes([h0, h1]), u16::from(length)), [s0, s1, s2, s3, s4, s5]);
        self.cooked_protocol(u16::from_be_bytes([p0, p1]))
    }

    /// The sender of a cooked frame, if its hardware type is Ethernet (1) or Wi-Fi (801 to 803) with addresses of 6.
    fn cooked_sender(&mut self, hardware: (u16, u16), source: [u8; 6]) {
        if let (1 | 801..=803, 6) = hardware {
            self.packet.link.macs = Some(Macs { source, destination: [0; 6] });
        }
    }

    /// What a cooked frame carries; 4 stands for IEEE 802.2.
    fn cooked_protocol(&mut self, protocol: u16) -> Next {
        match protocol {
            4 => self.logical_link(),
            kind => Next::EtherType(kind),
        }
    }

    /// The address family, in either byte order: `AF_INET` is 2 everywhere, `AF_INET6` is 24, 28 or 30 in the BSDs and
    /// 10 in Linux.
    fn loopback(&mut self) -> Next {
        let Some(&family) = self.take::<4>() else { return self.end() };
        match u32::from_be_bytes(family).min(u32::from_le_bytes(family)) {
            2 => Next::Ip4,
            10 | 24 | 28 | 30 => Next::Ip6,
            _ => self.unknown(),
        }
    }

    /// PPP, RFC 1661 and 1662: address and control, and the protocol's high byte, may be left out.
    pub fn ppp(&mut self) -> Next {
        if self.rest.starts_with(&[0xff, 0x03]) {
            self.take::<2>();
        }
        let Some(&[first]) = self.take::<1>() else { return self.end() };
        let protocol = if first & 1 == 1 {
            u16::from(first)
        } else {
            let Some(&[second]) = self.take::<1>() else { return self.end() };
            u16::from_be_bytes([first, second])
        };
        match protocol {
            0x0021 => Next::Ip4,
            0x0057 => Next::Ip6,
            0x0281 | 0x0283 => self.mpls(),
            _ => self.unknown(),
        }
    }

    /// Cisco HDLC: address, control, `EtherType`.
    fn cisco_hdlc(&mut self) -> Next {
        let Some(&[_, _, high, low]) = self.take::<4>() else { return self.end() };
        Next::EtherType(u16::from_be_bytes([high, low]))
    }

    /// Linux netfilter log: attributes in the host's byte order, which is taken for little-endian; 9 is the packet.
    fn netfilter_log(&mut self) -> Next {
        let Some(&[_, 0, _, _]) = self.take::<4>() else { return self.senseless() };
        for _ in 0..NFLOG_ATTRIBUTES_MAX {
            let Some(&[l0, l1, k0, k1]) = self.take::<4>() else { return self.end() };
            let Some(length) = usize::from(u16::from_le_bytes([l0, l1])).checked_sub(4) else {
                self.lies();
                return self.end();
            };
            if u16::from_le_bytes([k0, k1]) == 9 {
                self.limit(length);
                return Next::Ip;
            }
            if self.skip(length.next_multiple_of(4)).is_none() {
                return self.end();
            }
        }
        self.packet.flaws.set(Flaws::TOO_DEEP);
        self.end()
    }
}
