//! What an `EtherType` names: IP and ARP, and what stands between them and Ethernet.
//!
//! Numbers: <https://www.iana.org/assignments/ieee-802-numbers>.

use super::super::{Transport, Tunnel};
use super::walk::{Next, Walk};

/// Labels of an MPLS stack that are looked at.
const LABELS_MAX: usize = 16;

impl Walk<'_> {
    /// What follows by an `EtherType`, from IP to what is not known.
    pub fn ethertype(&mut self, kind: u16) -> Next {
        match kind {
            0x0800 => Next::Ip4,
            0x86dd => Next::Ip6,
            0x0806 | 0x8035 => self.arp(),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => self.vlan(),
            0x8864 => self.pppoe(),
            0x8847 | 0x8848 => self.mpls(),
            0x880b => Next::Ppp,
            0x6558 => Next::Ethernet,
            0x88be => self.erspan_bare(),
            0x88e5 => self.macsec(),
            0x8926 | 0x893f => self.bridge_tag(),
            0x88e7 => self.backbone(),
            0x894f => self.service_chain(),
            _ => self.unknown(),
        }
    }

    /// ARP and RARP: its length is in its header, what follows is padding.
    fn arp(&mut self) -> Next {
        self.prove();
        self.packet.ip = None;
        if let Some(&[_, _, _, _, hardware, protocol, _, _]) = self.rest.first_chunk::<8>() {
            self.limit(8 + 2 * (usize::from(hardware) + usize::from(protocol)));
        } else if self.left < 8 {
            self.lies();
        }
        self.packet.transport = Transport::Arp(self.rest);
        Next::Done
    }

    /// A VLAN tag: the outermost two are kept.
    fn vlan(&mut self) -> Next {
        let Some(&[t0, t1, k0, k1]) = self.take::<4>() else { return self.end() };
        if self.outermost() {
            let id = u16::from_be_bytes([t0, t1]) & 0x0fff;
            if let Some(place) = self.packet.link.vlans.iter_mut().find(|place| **place == 0) {
                *place = id;
            }
        }
        match u16::from_be_bytes([k0, k1]) {
            length @ ..=1500 => {
                self.limit(usize::from(length));
                self.logical_link()
            }
            kind => Next::EtherType(kind),
        }
    }

    /// MACsec (IEEE 802.1AE): what is only authenticated is followed; its check value is behind what IP says of its length.
    fn macsec(&mut self) -> Next {
        let Some(&[control, ..]) = self.take::<6>() else { return self.end() };
        if control & 0x8c != 0 {
            return self.unknown(); // another version, or encrypted
        }
        if control & 0x20 != 0 && self.take::<8>().is_none() {
            return self.end();
        }
        match self.take::<2>() {
            Some(kind) => Next::EtherType(u16::from_be_bytes(*kind)),
            None => self.end(),
        }
    }

    /// A tag between bridges: VN-Tag is 4 bytes, E-Tag (IEEE 802.1BR) 6, each with the `EtherType` at its end.
    fn bridge_tag(&mut self) -> Next {
        let Some(&[.., high, low]) = self.take::<6>() else { return self.end() };
        Next::EtherType(u16::from_be_bytes([high, low]))
    }

    /// A provider's backbone (IEEE 802.1ah): a service tag of 4 bytes, then the customer's frame.
    fn backbone(&mut self) -> Next {
        match self.take::<4>() {
            Some(_) => Next::Ethernet,
            None => self.end(),
        }
    }

    /// A service function chain's header, RFC 8300: its length in words of 4, then what it says.
    fn service_chain(&mut self) -> Next {
        let Some(&[version, length, _, protocol, ..]) = self.rest.first_chunk::<8>() else { return self.end() };
        let length = 4 * usize::from(length & 0x3f);
        if version >> 6 != 0 || length < 8 {
            return self.senseless();
        }
        match (self.skip(length), protocol) {
            (None, _) => self.end(),
            (_, 1) => Next::Ip4,
            (_, 2) => Next::Ip6,
            (_, 3) => Next::Ethernet,
            _ => self.unknown(),
        }
    }

    /// `PPPoE` session, RFC 2516. Its length is only checked: some senders count less than the packet inside says.
    pub fn pppoe(&mut self) -> Next {
        let Some(&[version, code, _, _, high, low]) = self.take::<6>() else { return self.end() };
        if version != 0x11 {
            return self.senseless();
        }
        if code != 0 {
            return self.unknown();
        }
        if usize::from(u16::from_be_bytes([high, low])) > self.left {
            self.lies();
        }
        self.enter(Tunnel::PppoE, Next::Ppp)
    }

    /// MPLS, RFC 3032: labels to the bottom of the stack. What follows is not said: an explicit null label or the first
    /// nibble tells IP, 0 is the control word of an Ethernet pseudowire (RFC 4448), 1 its side channel (RFC 5586).
    pub fn mpls(&mut self) -> Next {
        let mut bottom = None;
        for _ in 0..LABELS_MAX {
            let Some(&entry) = self.take::<4>() else { return self.end() };
            let entry = u32::from_be_bytes(entry);
            if entry & 0x100 != 0 {
                bottom = Some(entry >> 12);
                break;
            }
        }
        let Some(label) = bottom else { return self.senseless() };
        let next = match (label, self.rest.first()) {
            (0, _) | (_, Some(0x45..=0x4f)) => Next::Ip4,
            (2, _) | (_, Some(0x60..=0x6f)) => Next::Ip6,
            (_, Some(0x00..=0x0f)) => match self.take::<4>() {
                Some(_) => Next::Ethernet,
                None => return self.end(),
            },
            (_, Some(0x10..=0x1f)) => return self.unknown(),
            _ => Next::Ethernet,
        };
        self.enter(Tunnel::Mpls, next)
    }
}
