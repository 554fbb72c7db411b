//! Networks in CIDR notation (`cidr`).
//!
//! In: `192.0.2.0/24`, `2001:db8::/32`, host bits set or not. An IPv4 address that is written as an IPv6
//! one (`::ffff:192.0.2.1`) is the IPv4 address, in rules and in events.

use std::net::{IpAddr, Ipv6Addr};

/// A network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// Its first address, as an IPv6 number.
    first: u128,
    /// The bits that are the network's.
    mask: u128,
    four: bool,
}

impl Network {
    /// Reads a network; an address alone is the network of that address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let (number, four) = number(written);
        let bits_max: u32 = if written.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => bits.parse().ok().filter(|b| *b <= bits_max)?,
            Some(_) => return None,
            None => bits_max,
        };
        // A mapped network shorter than its prefix holds more than IPv4.
        let four = four && bits + 128 - bits_max >= 96;
        let mask = u128::MAX.checked_shl(bits_max - bits).unwrap_or(0);
        let mask = if written.is_ipv4() { mask | (u128::MAX << 32) } else { mask };
        Some(Self { first: number & mask, mask, four })
    }

    /// Whether the text is an address of this network.
    #[must_use]
    pub fn holds(&self, text: &str) -> bool {
        let text = text.trim();
        let Ok(address) = text.parse::<IpAddr>() else { return false };
        let (number, four) = number(address);
        four == self.four && number & self.mask == self.first
    }
}

/// The address as an IPv6 number, and whether it is an IPv4 address.
fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(four) => (u128::from(four.to_ipv6_mapped()), true),
        IpAddr::V6(six) => (u128::from(Ipv6Addr::from(six.octets())), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_their_networks_however_they_are_written() {
        for (network, address) in [
            ("192.0.2.0/24", "192.0.2.77"),
            ("192.0.2.99/24", "192.0.2.1"),
            ("192.0.2.0/24", "::ffff:192.0.2.5"),
            ("::ffff:192.0.2.0/120", "192.0.2.5"),
            ("2001:db8::/32", "2001:DB8:0:1::1"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("198.51.100.7", "198.51.100.7"),
        ] {
            assert!(Network::parse(network).unwrap().holds(address), "{network} {address}");
        }
        for (network, address) in [
            ("192.0.2.0/24", "192.0.3.1"),
            ("0.0.0.0/0", "2001:db8::1"),
            ("::/0", "192.0.2.1"),
            ("2001:db8::/32", "2001:db9::1"),
            ("192.0.2.0/24", "192.0.2"),
            ("192.0.2.0/24", ""),
        ] {
            assert!(!Network::parse(network).unwrap().holds(address), "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "192.0.2.0/33", "192.0.2/24", "2001:db8::/129", "192.0.2.0/", "192.0.2.0/+8", "x/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
