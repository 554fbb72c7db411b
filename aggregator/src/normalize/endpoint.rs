//! Addresses and names of the two ends of a connection.
//!
//! In: a word that a program wrote where it names a peer. Out: `ip` when it is an address (an IPv4 address
//! mapped into IPv6 is written as IPv4), `hostname` when it can be a name, nothing otherwise.

use std::net::Ipv6Addr;

use super::text::{near, port};
use crate::event::{Event, Value};
use crate::schema::Attribute;

/// What a word that names a peer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Address<'a> {
    /// An IP address.
    Ip(&'a str),
    /// A host name.
    Name(&'a str),
}

/// Longest text of OCSF `ip_t`.
const IP_LEN_MAX: usize = 40;
/// Longest host name (RFC 1035 §2.3.4).
const NAME_LEN_MAX: usize = 255;

/// Bytes of host names, by number: most lines name a host.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let (mut slots, mut byte) = (table.as_mut_slice(), 0_u8);
    while let [slot, rest @ ..] = slots {
        *slot = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%') || byte >= 0x80;
        byte = byte.wrapping_add(1);
        slots = rest;
    }
    table
};

/// The address as OCSF writes it, if the text is one.
pub(super) fn ip(text: &str) -> Option<&str> {
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if text.len() > IP_LEN_MAX {
        return None;
    }
    let digit = |b: u8| b.is_ascii_hexdigit() || b == b':';
    if !text.bytes().next().is_some_and(digit) {
        return None;
    }
    if is_v4(text) {
        return Some(text);
    }
    near(b':', text.as_bytes())?;
    if let Some(mapped) = text.strip_prefix("::ffff:").filter(|rest| is_v4(rest)) {
        return Some(mapped);
    }
    let unscoped = text.split_once('%').map_or(text, |(address, _)| address);
    unscoped.parse::<Ipv6Addr>().is_ok().then_some(text)
}

/// Whether a text is an IPv4 address: four numbers of up to 255, without leading zeros. It is asked for most lines, often twice.
fn is_v4(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for point in [true, true, true, false] {
        let (octet, after) = match rest {
            [b'0', after @ ..] => (0, after),
            [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', after @ ..] => {
                (u32::from(a - b'0') * 100 + u32::from(b - b'0') * 10 + u32::from(c - b'0'), after)
            }
            [b'1'..=b'9', b'0'..=b'9', after @ ..] | [b'1'..=b'9', after @ ..] => (0, after),
            _ => return false,
        };
        rest = match after {
            [b'.', after @ ..] if point => after,
            [] if !point => after,
            _ => return false,
        };
        if octet > 255 {
            return false;
        }
    }
    true
}

/// An address and the port behind it, where there is one: `192.0.2.1`, `192.0.2.1:5`, `2001:db8::1`, `[2001:db8::1]:5`.
pub(super) fn with_port(text: &str) -> Option<(&str, Option<i64>)> {
    if let Some(address) = ip(text) {
        return Some((address, None));
    }
    let (host, number) = text.rsplit_once(':')?;
    Some((ip(host)?, Some(port(number)?)))
}

impl<'a> Address<'a> {
    /// Reads a word; `UNKNOWN`, `-` and what cannot be a name are none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(ip) = ip(text) {
            return Some(Self::Ip(ip));
        }
        let plausible = |byte: u8| NAME_BYTES.get(usize::from(byte)).copied().unwrap_or(false);
        let named = !text.is_empty() && text.len() <= NAME_LEN_MAX && text.bytes().all(plausible);
        (named && !matches!(text, "UNKNOWN" | "-" | "?")).then_some(Self::Name(text))
    }

    /// Sets the source's address or name.
    pub(super) fn push_as_source(self, event: &mut Event<'a>) {
        match self {
            Self::Ip(ip) => event.push(Attribute::SrcEndpointIp, ip),
            Self::Name(name) => event.push(Attribute::SrcEndpointHostname, name),
        }
    }
}

/// Sets the source; the port only stands beside an address or name. Returns whether there is one.
pub(super) fn push_source<'a>(event: &mut Event<'a>, host: &'a str, port: Option<i64>) -> bool {
    let Some(address) = Address::parse(host) else { return false };
    address.push_as_source(event);
    if let Some(port) = port {
        event.push(Attribute::SrcEndpointPort, port);
    }
    true
}

/// Sets the destination; the port only stands beside an address or name. Returns whether there is one.
pub(super) fn push_destination<'a>(event: &mut Event<'a>, host: &'a str, port: Option<i64>) -> bool {
    match Address::parse(host) {
        Some(Address::Ip(ip)) => event.push(Attribute::DstEndpointIp, ip),
        Some(Address::Name(name)) => event.push(Attribute::DstEndpointHostname, name),
        None => return false,
    }
    if let Some(port) = port {
        event.push(Attribute::DstEndpointPort, port);
    }
    true
}

/// Sets source and destination, whose addresses were read before.
pub(super) fn push_ends<'a, T: Into<Value<'a>>>(event: &mut Event<'a>, from: (T, Option<i64>), to: (T, Option<i64>)) {
    for (attribute, number, (address, port)) in [
        (Attribute::SrcEndpointIp, Attribute::SrcEndpointPort, from),
        (Attribute::DstEndpointIp, Attribute::DstEndpointPort, to),
    ] {
        event.push(attribute, address);
        if let Some(port) = port {
            event.push(number, port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_the_standard_library_takes_for_one() {
        let numbers = ["", "0", "00", "1", "01", "9", "25", "255", "256", "1234", "a", "-1", "+1", " 1"];
        for a in numbers {
            for b in numbers {
                for text in
                    [format!("{a}.0.{b}.1"), format!("1.{a}.2.{b}"), format!("{a}.{b}.1"), format!("{a}.{b}.1.2.3")]
                {
                    assert_eq!(is_v4(&text), text.parse::<std::net::Ipv4Addr>().is_ok(), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_port_may_stand_behind_an_address() {
        for (text, expected) in [
            ("192.0.2.1", Some(("192.0.2.1", None))),
            ("192.0.2.1:5", Some(("192.0.2.1", Some(5)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("[2001:db8::1]:5", Some(("2001:db8::1", Some(5)))),
            ("192.0.2.1:x", None),
            ("192.0.2.1:65536", None),
            ("example.com:5", None),
            (":5", None),
        ] {
            assert_eq!(with_port(text), expected, "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (text, ip) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
        ] {
            assert_eq!(Address::parse(text), Some(Address::Ip(ip)), "{text}");
        }
        for name in ["example.com", "192.030.0.6", "183.106.179.x", "a_b", "caf\u{e9}.example"] {
            assert_eq!(Address::parse(name), Some(Address::Name(name)), "{name}");
        }
        for none in ["", "-", "UNKNOWN", "two words", "a\"b", "tab\there"] {
            assert_eq!(Address::parse(none), None, "{none}");
        }
    }
}
