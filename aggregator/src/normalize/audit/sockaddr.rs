//! Socket addresses: the bytes of a `struct sockaddr` that a program gave the kernel, as hexadecimal text.
//!
//! In: `saddr=` of a SOCKADDR record. Out: family and what its family holds (linux/socket.h, in.h, in6.h, un.h, netlink.h).
//! The family is in the host's byte order, ports are in the network's; all known hosts here are little-endian, and a
//! family that only makes sense the other way round is read so.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::record;

/// What an address says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum SocketAddress {
    /// IPv4 or IPv6, and the port.
    Inet(String, u16),
    /// A path; `@…` for one of the abstract names.
    Unix(String),
    /// A netlink port (mostly a process id).
    Netlink(u32),
    /// Another family, by its name or number.
    Other(String),
}

/// `AF_*` without addresses of their own here.
fn family_name(family: u16) -> Option<&'static str> {
    Some(match family {
        0 => "unspecified",
        3 => "ax25",
        4 => "ipx",
        15 => "key",
        17 => "packet",
        29 => "can",
        31 => "bluetooth",
        38 => "alg",
        40 => "vsock",
        44 => "xdp",
        _ => return None,
    })
}

/// Reads one.
pub(super) fn parse(hex: &str) -> Option<SocketAddress> {
    let bytes = record::bytes(hex)?;
    let family = <[u8; 2]>::try_from(bytes.get(..2)?).ok()?;
    let (little, big) = (u16::from_le_bytes(family), u16::from_be_bytes(family));
    let family = if little > 255 && big <= 255 { big } else { little };
    let port = || bytes.get(2..4).and_then(|port| port.try_into().ok()).map(u16::from_be_bytes);
    Some(match family {
        1 => SocketAddress::Unix(path(bytes.get(2..).unwrap_or_default())),
        2 => {
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            SocketAddress::Inet(Ipv4Addr::from(address).to_string(), port()?)
        }
        10 => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?);
            let text = address.to_ipv4_mapped().map_or_else(|| address.to_string(), |mapped| mapped.to_string());
            SocketAddress::Inet(text, port()?)
        }
        16 => SocketAddress::Netlink(u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?)),
        other => SocketAddress::Other(family_name(other).map_or_else(|| other.to_string(), str::to_owned)),
    })
}

/// A path ends with its first NUL; an abstract name begins with one.
fn path(bytes: &[u8]) -> String {
    let text = |bytes: &[u8]| {
        let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
        String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
    };
    match bytes.split_first() {
        Some((0, name)) if name.iter().any(|byte| *byte != 0) => format!("@{}", text(name)),
        _ => text(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_read() {
        let inet = |ip: &str, port| Some(SocketAddress::Inet(ip.to_owned(), port));
        for (hex, expected) in [
            ("02000050C000020A0000000000000000", inet("192.0.2.10", 80)),
            ("0A0001BB0000000020010DB800000000000000000000000100000000", inet("2001:db8::1", 443)),
            ("0A0001BB0000000000000000000000000000FFFFC000020A00000000", inet("192.0.2.10", 443)),
            ("01002F72756E2F7800", Some(SocketAddress::Unix("/run/x".to_owned()))),
            ("010000612F62", Some(SocketAddress::Unix("@a/b".to_owned()))),
            ("0100", Some(SocketAddress::Unix(String::new()))),
            ("100000000500000000000000", Some(SocketAddress::Netlink(5))),
            ("00020050C000020A0000000000000000", inet("192.0.2.10", 80)),
            ("1100", Some(SocketAddress::Other("packet".to_owned()))),
            ("6300", Some(SocketAddress::Other("99".to_owned()))),
        ] {
            assert_eq!(parse(hex), expected, "{hex}");
        }
        for short in ["", "02", "0200", "02000050C000", "0A0001BB", "zz"] {
            assert_eq!(parse(short), None, "{short}");
        }
    }
}
