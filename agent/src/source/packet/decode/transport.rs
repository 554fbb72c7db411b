//! TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792, 4443) and SCTP (RFC 9260), and which datagrams wrap a packet.

use super::super::{Icmp, Tcp, Transport, Udp};
use super::walk::{Next, Walk, narrow};

/// Ports that tunnels over UDP have by their specifications.
mod port {
    pub const TEREDO: u16 = 3544;
    pub const VXLAN: u16 = 4789;
    pub const VXLAN_GPE: u16 = 4790;
    pub const GENEVE: u16 = 6081;
    /// What Linux took before there was a number.
    pub const VXLAN_LINUX: u16 = 8472;
}

impl Walk<'_> {
    /// A TCP segment. With an offset that has no sense it has no payload.
    pub fn tcp(&mut self) -> Next {
        let Some(&[s0, s1, d0, d1, n0, n1, n2, n3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, _, _]) =
            self.take::<20>()
        else {
            return Next::Done;
        };
        let mut options: &[u8] = &[];
        match (4 * usize::from(offset >> 4)).checked_sub(20) {
            Some(0) => {}
            Some(length) if length <= self.left => {
                options = self.rest.get(..length).unwrap_or(self.rest);
                self.rest = self.rest.get(length..).unwrap_or_default();
                self.left -= length;
            }
            Some(_) => {
                self.lies();
                options = self.rest;
                (self.rest, self.left) = (&[], 0);
            }
            None => {
                self.senseless();
                (self.rest, self.left) = (&[], 0);
            }
        }
        self.packet.transport = Transport::Tcp(Tcp {
            source: u16::from_be_bytes([s0, s1]),
            destination: u16::from_be_bytes([d0, d1]),
            sequence: u32::from_be_bytes([n0, n1, n2, n3]),
            acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
            flags,
            window: u16::from_be_bytes([w0, w1]),
            options,
            payload_len: narrow(self.left),
            payload: self.rest,
        });
        Next::Done
    }

    /// A UDP datagram, and what it wraps.
    pub fn udp(&mut self) -> Next {
        let Some(&[s0, s1, d0, d1, l0, l1, _, _]) = self.take::<8>() else { return Next::Done };
        match usize::from(u16::from_be_bytes([l0, l1])) {
            0 if self.left > 0 => {} // a jumbogram, or segmentation is left to the card
            length @ 8.. => self.limit(length - 8),
            _ => {
                self.lies();
                (self.rest, self.left) = (&[], 0);
            }
        }
        let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        let (payload_len, payload) = (narrow(self.left), self.rest);
        self.packet.transport = Transport::Udp(Udp { source, destination, payload_len, payload });
        match (source, destination) {
            (_, port::VXLAN | port::VXLAN_LINUX) => self.vxlan(),
            (_, port::VXLAN_GPE) => self.vxlan_generic(),
            (_, port::GENEVE) => self.geneve(),
            (port::TEREDO, _) | (_, port::TEREDO) => self.teredo(),
            _ => self.teredo_elsewhere(),
        }
    }

    /// An ICMP message.
    pub fn icmp(&mut self, v6: bool) -> Next {
        if let Some(&[kind, code, _, _]) = self.take::<4>() {
            let (payload_len, payload) = (narrow(self.left), self.rest);
            self.packet.transport = Transport::Icmp(Icmp { v6, kind, code, payload_len, payload });
        }
        Next::Done
    }

    /// An SCTP packet: its ports.
    pub fn sctp(&mut self) -> Next {
        if let Some(&[s0, s1, d0, d1, ..]) = self.take::<12>() {
            let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            self.packet.transport = Transport::Sctp { source, destination };
        }
        Next::Done
    }
}
