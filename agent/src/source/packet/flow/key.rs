//! Which flow a packet belongs to: addresses, ports and protocol, the same in both directions; and its Community ID.
//!
//! Community ID v1: <https://github.com/corelight/community-id-spec>. ICMP messages that answer each other have each
//! other's type for a port; others are one-way, with their code for the second port.

use std::net::IpAddr;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::super::dissect::Side;
use super::super::{Icmp, Ip, Transport};

/// IANA protocol numbers.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// `ICMPv6`.
pub const ICMP_V6: u8 = 58;

/// One end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct End {
    /// Its address.
    pub ip: IpAddr,
    /// Its port; for ICMP its type or code.
    pub port: u16,
}

/// Both ends, the lesser first, and the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    low: End,
    high: End,
    protocol: u8,
}

/// A packet's ends, as it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// Who sent it.
    pub source: End,
    /// To whom.
    pub destination: End,
    /// IANA protocol number.
    pub protocol: u8,
    /// An ICMP message that nothing answers: its ports are type and code, and are not turned around.
    pub one_way: bool,
}

/// The type that answers an ICMP type.
fn counterpart(message: &Icmp<'_>) -> Option<u8> {
    let pairs: &[(u8, u8)] = if message.v6 {
        &[(128, 129), (133, 134), (135, 136), (130, 131), (144, 145), (139, 140)]
    } else {
        &[(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)]
    };
    let kind = message.kind;
    pairs.iter().find_map(|(one, other)| match kind {
        kind if kind == *one => Some(*other),
        kind if kind == *other => Some(*one),
        _ => None,
    })
}

impl Path {
    /// The ends of a packet.
    #[must_use]
    pub fn of(ip: &Ip, transport: &Transport<'_>) -> Self {
        let (source, destination, one_way) = match transport {
            Transport::Tcp(tcp) => (tcp.source, tcp.destination, false),
            Transport::Udp(udp) => (udp.source, udp.destination, false),
            Transport::Sctp { source, destination } => (*source, *destination, false),
            Transport::Icmp(icmp) => match counterpart(icmp) {
                Some(other) => (u16::from(icmp.kind), u16::from(other), false),
                None => (u16::from(icmp.kind), u16::from(icmp.code), true),
            },
            Transport::Arp(_) | Transport::Other(_) => (0, 0, false),
        };
        Self {
            source: End { ip: ip.source, port: source },
            destination: End { ip: ip.destination, port: destination },
            protocol: ip.protocol,
            one_way,
        }
    }

    /// The flow that it belongs to.
    #[must_use]
    pub fn key(&self) -> Key {
        let (low, high) = if self.one_way || self.source <= self.destination {
            (self.source, self.destination)
        } else {
            (self.destination, self.source)
        };
        Key { low, high, protocol: self.protocol }
    }

    /// The same path, from the other end.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { source: self.destination, destination: self.source, ..self }
    }

    /// The Community ID, with the default seed 0.
    #[must_use]
    pub fn community_id(&self) -> String {
        let ordered = self.one_way
            || (octets(self.source.ip), self.source.port) <= (octets(self.destination.ip), self.destination.port);
        let (first, second) = if ordered { (self.source, self.destination) } else { (self.destination, self.source) };
        let mut bytes = Vec::with_capacity(40);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&octets(first.ip));
        bytes.extend_from_slice(&octets(second.ip));
        bytes.extend_from_slice(&[self.protocol, 0]);
        if matches!(self.protocol, ICMP | TCP | UDP | ICMP_V6 | 132) {
            bytes.extend_from_slice(&first.port.to_be_bytes());
            bytes.extend_from_slice(&second.port.to_be_bytes());
        }
        format!("1:{}", base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref()))
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

impl Key {
    /// Whether `path` is sent by the end that `client` names.
    #[must_use]
    pub fn side(path: &Path, client: End) -> Side {
        if path.source == client { Side::Client } else { Side::Server }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(source: (&str, u16), destination: (&str, u16), protocol: u8) -> Path {
        let end = |(ip, port): (&str, u16)| End { ip: ip.parse().unwrap(), port };
        Path { source: end(source), destination: end(destination), protocol, one_way: false }
    }

    #[test]
    fn community_ids_are_those_of_the_specification_both_ways() {
        // Values of the specification's own examples.
        for (path, expected) in [
            (path(("128.232.110.120", 34855), ("66.35.250.204", 80), TCP), "1:LQU9qZlK+B5F3KDmev6m5PMibrg="),
            (path(("192.168.1.52", 54585), ("8.8.8.8", 53), UDP), "1:d/FP5EW3wiY1vCndhwleRRKHowQ="),
        ] {
            assert_eq!(path.community_id(), expected);
            assert_eq!(path.turned().community_id(), expected);
            assert_eq!(path.key(), path.turned().key());
        }
    }

    #[test]
    fn icmp_types_that_answer_each_other_are_one_flow_and_others_are_one_way() {
        let ip = |source: &str, destination: &str| Ip {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: ICMP,
            ttl: 64,
            total_len: 84,
            payload_len: 64,
        };
        let message = |kind, code| Transport::Icmp(Icmp { v6: false, kind, code, payload_len: 0, payload: &[] });
        let ask = Path::of(&ip("192.0.2.1", "192.0.2.2"), &message(8, 0));
        let answer = Path::of(&ip("192.0.2.2", "192.0.2.1"), &message(0, 0));
        assert_eq!((ask.key(), ask.community_id()), (answer.key(), answer.community_id()));
        let unreachable = Path::of(&ip("192.0.2.2", "192.0.2.1"), &message(3, 1));
        assert!(unreachable.one_way && unreachable.key() != ask.key());
    }
}
