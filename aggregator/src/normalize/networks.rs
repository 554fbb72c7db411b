//! Networks that have a name: addresses of a connection's ends get the name of the narrowest network that holds them.
//!
//! In: CIDR blocks with names (RFC 4632, RFC 4291 §2.3). Out: `src_endpoint.zone` and `dst_endpoint.zone`, where the line
//! has not said them. A lookup is a binary search per prefix length that is in use.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::event::{Event, Value};
use crate::schema::Attribute;

/// A block of addresses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Network {
    /// Bits that are the same for all; of an IPv4 block with the 96 of `::ffff:0:0`.
    prefix: u8,
    /// The first address, IPv4 as `::ffff:a.b.c.d`.
    first: u128,
}

/// What is no block of addresses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NetworkError {
    /// No address before the slash.
    #[error("'{0}' is no block of addresses, such as 192.0.2.0/24 or 2001:db8::/32")]
    Address(String),
    /// The number behind the slash is too large, or none.
    #[error("the prefix of '{0}' is no number from 0 to {1}")]
    Prefix(String, u8),
    /// Bits behind the prefix are set.
    #[error("'{0}' has bits set behind its prefix; the block is {1}")]
    Host(String, String),
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let short = || text.chars().take(80).collect::<String>();
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address(short()))?;
        let (longest, offset) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix
                .parse::<u8>()
                .ok()
                .filter(|prefix| *prefix <= longest)
                .ok_or_else(|| NetworkError::Prefix(short(), longest))?,
        };
        let (whole, own) = (wide(address), prefix + offset);
        let first = whole & mask(own);
        if first != whole {
            let block = Ipv6Addr::from_bits(first);
            let block = block.to_ipv4_mapped().map_or_else(|| block.to_string(), |block| block.to_string());
            return Err(NetworkError::Host(short(), format!("{block}/{prefix}")));
        }
        Ok(Self { prefix: own, first })
    }
}

/// Blocks of one prefix length: first addresses in order, with their names.
type Blocks = (u8, Vec<(u128, String)>);

/// Names of networks.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Networks {
    /// By prefix, the longest first.
    by_prefix: Arc<[Blocks]>,
}

impl Networks {
    /// Of blocks and their names; of a block that is named twice the first counts.
    pub fn new(networks: impl IntoIterator<Item = (Network, String)>) -> Self {
        let mut all: Vec<(Network, String)> = networks.into_iter().collect();
        all.sort_by(|(a, _), (b, _)| b.prefix.cmp(&a.prefix).then(a.first.cmp(&b.first)));
        let mut by_prefix: Vec<Blocks> = Vec::new();
        for (network, name) in all {
            match by_prefix.last_mut().filter(|(prefix, _)| *prefix == network.prefix) {
                Some((_, blocks)) if blocks.last().is_some_and(|(first, _)| *first == network.first) => {}
                Some((_, blocks)) => blocks.push((network.first, name)),
                None => by_prefix.push((network.prefix, vec![(network.first, name)])),
            }
        }
        Self { by_prefix: by_prefix.into() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// The name of the narrowest network that holds an address.
    #[must_use]
    pub fn name_of(&self, address: &str) -> Option<&str> {
        let address = wide(address.parse().ok()?);
        self.by_prefix.iter().find_map(|(prefix, blocks)| {
            let at = blocks.binary_search_by_key(&(address & mask(*prefix)), |(first, _)| *first).ok()?;
            blocks.get(at).map(|(_, name)| name.as_str())
        })
    }

    /// Names the networks of an event's ends.
    pub fn name(&self, event: &mut Event<'_>) {
        if self.is_empty() {
            return;
        }
        let ends = [
            (Attribute::SrcEndpointIp, Attribute::SrcEndpointZone),
            (Attribute::DstEndpointIp, Attribute::DstEndpointZone),
        ];
        for (ip, zone) in ends {
            if !event.class.carries(zone) || event.value(zone).is_some() {
                continue;
            }
            if let Some(name) = event.text(ip).and_then(|ip| self.name_of(ip)).map(str::to_owned) {
                event.push(zone, Value::from(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks() -> Networks {
        let blocks =
            [("10.0.0.0/8", "inside"), ("10.9.0.0/16", "lab"), ("192.0.2.7", "gate"), ("2001:db8::/32", "six")];
        Networks::new(blocks.map(|(block, name)| (block.parse().unwrap(), name.to_owned())))
    }

    #[test]
    fn narrowest_network_that_holds_an_address_names_it() {
        for (address, name) in [
            ("10.1.2.3", Some("inside")),
            ("10.9.2.3", Some("lab")),
            ("::ffff:10.9.2.3", Some("lab")),
            ("192.0.2.7", Some("gate")),
            ("192.0.2.8", None),
            ("2001:db8:1::1", Some("six")),
            ("::1", None),
            ("no address", None),
        ] {
            assert_eq!(networks().name_of(address), name, "{address}");
        }
        let everything = Networks::new([("0.0.0.0/0".parse().unwrap(), "v4".to_owned())]);
        assert_eq!((everything.name_of("192.0.2.1"), everything.name_of("2001:db8::1")), (Some("v4"), None));
    }

    #[test]
    fn what_is_no_block_says_what_would_be() {
        for (text, part) in [
            ("10.0.0.0/33", "0 to 32"),
            ("2001:db8::/129", "0 to 128"),
            ("10.0.0.1/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("ten", "such as"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
