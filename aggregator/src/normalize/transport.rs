//! Transport protocols by name, as sensors write them.
//!
//! In: `TCP`, `udp`, `IPv6-ICMP`, `17`. Out: `connection_info` with the name in lower case and its number (IANA protocol
//! numbers), and the direction that the class requires: unknown, since a sensor is neither end.

use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Names that are seen, and their numbers; the first of a number is the name that is written.
const PROTOCOLS: [(&str, i64); 20] = [
    ("tcp", 6),
    ("udp", 17),
    ("icmp", 1),
    ("icmpv6", 58),
    ("icmp6", 58),
    ("ipv6-icmp", 58),
    ("igmp", 2),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipip", 4),
    ("ip-in-ip", 4),
    ("ipv6", 41),
    ("sctp", 132),
    ("pim", 103),
    ("ospf", 89),
    ("eigrp", 88),
    ("vrrp", 112),
    ("udplite", 136),
    ("hopopt", 0),
];

/// Name and number of a protocol given by either.
pub(super) fn protocol(text: &str) -> Option<(&'static str, i64)> {
    let number = text.parse::<i64>().ok();
    let &(_, number) = PROTOCOLS.iter().find(|(name, n)| Some(*n) == number || name.eq_ignore_ascii_case(text))?;
    PROTOCOLS.iter().find(|(_, n)| *n == number).copied()
}

/// Sets name, number and direction; returns whether the protocol is known.
pub(super) fn push(event: &mut Event<'_>, text: Option<&str>) -> bool {
    let found = text.and_then(protocol);
    if event.class == Class::DetectionFinding {
        if let Some((name, _)) = found {
            event.push(Attribute::EvidencesConnectionDirectionId, 0);
            event.push(Attribute::EvidencesConnectionProtocolName, name);
        }
    } else if event.class.carries(Attribute::ConnectionDirectionId) {
        event.push(Attribute::ConnectionDirectionId, 0);
        if let Some((name, number)) = found {
            event.push(Attribute::ConnectionProtocolName, name);
            event.push(Attribute::ConnectionProtocolNum, number);
        }
    }
    found.is_some()
}
