//! ARP (RFC 826): who has which address. A record per pair of addresses, not per message.
//!
//! Bound: [`KNOWN_MAX`] pairs are known; with more all are forgotten, and told again when they speak again.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use shared::record::Value;
use shared::time::Timestamp;

use super::dissect::{NetworkClass, Told};

/// Pairs that are known.
pub const KNOWN_MAX: usize = 1024;
/// A pair that still speaks is told again after this.
const AGAIN: Duration = Duration::from_secs(3600);

/// Who says what it has: operation, hardware address, address, whom it asks.
type Pair = (u16, [u8; 6], Ipv4Addr, Ipv4Addr);

/// What is known.
#[derive(Default)]
pub struct Neighbors {
    told: HashMap<Pair, Timestamp>,
}

fn mac(bytes: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// A message between Ethernet and IPv4 addresses.
struct Message {
    operation: u16,
    sender: [u8; 6],
    sender_ip: Ipv4Addr,
    target: [u8; 6],
    target_ip: Ipv4Addr,
}

fn read(message: &[u8]) -> Option<Message> {
    let message: &[u8; 28] = message.first_chunk()?;
    let [h0, h1, p0, p1, hlen, plen, o0, o1, rest @ ..] = message;
    if [*h0, *h1, *p0, *p1, *hlen, *plen] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let (sender, rest) = rest.split_first_chunk::<6>()?;
    let (sender_ip, rest) = rest.split_first_chunk::<4>()?;
    let (target, rest) = rest.split_first_chunk::<6>()?;
    let target_ip: &[u8; 4] = rest.first_chunk()?;
    Some(Message {
        operation: u16::from_be_bytes([*o0, *o1]),
        sender: *sender,
        sender_ip: Ipv4Addr::from(*sender_ip),
        target: *target,
        target_ip: Ipv4Addr::from(*target_ip),
    })
}

impl Neighbors {
    /// Takes a message, from its hardware type on; none where it says nothing new.
    pub fn message(&mut self, at: Timestamp, message: &[u8]) -> Option<Told> {
        let told = |fields, flaws| {
            let class = NetworkClass::NetworkActivity;
            Some(Told { class, activity: 6, at, fields, flaws })
        };
        let text = |text: &str| Value::String(text.to_owned());
        let mut fields = vec![("app_protocol_name".to_owned(), text("arp"))];
        let mut put = |key: &str, value| fields.push((key.to_owned(), value));
        // Required of the class; ARP has no direction that means anything.
        put("connection_info.direction_id", Value::U64(0));
        let Some(Message { operation, sender, sender_ip, target, target_ip }) = read(message) else {
            let known = self.told.insert((0, [0; 6], Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED), at);
            return if known.is_some_and(|known| at.since(known) < AGAIN) {
                None
            } else {
                told(fields, vec!["bad_arp"])
            };
        };
        let pair = (operation, sender, sender_ip, target_ip);
        if self.told.get(&pair).is_some_and(|known| at.since(*known) < AGAIN) {
            return None;
        }
        if self.told.len() >= KNOWN_MAX {
            self.told.clear();
        }
        self.told.insert(pair, at);
        put("src_endpoint.mac", Value::String(mac(sender)));
        put("src_endpoint.ip", Value::Ip(sender_ip.into()));
        if target != [0; 6] {
            put("dst_endpoint.mac", Value::String(mac(target)));
        }
        put("dst_endpoint.ip", Value::Ip(target_ip.into()));
        let name = match operation {
            1 if sender_ip == target_ip => "announcement",
            1 => "request",
            2 => "reply",
            _ => "other",
        };
        put("unmapped.arp_operation", text(name));
        told(fields, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_is_told_once_and_nonsense_is_flagged_once() {
        let mut neighbors = Neighbors::default();
        let mut message = vec![0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 2];
        let told = neighbors.message(Timestamp(1), &message).unwrap();
        assert!(told.fields.contains(&("src_endpoint.mac".into(), Value::String("02:00:00:00:00:01".into()))));
        assert_eq!(neighbors.message(Timestamp(2), &message), None);
        message.truncate(20);
        assert_eq!(neighbors.message(Timestamp(3), &message).unwrap().flaws, ["bad_arp"]);
        assert_eq!(neighbors.message(Timestamp(4), &message), None);
        for number in 0..5000_u16 {
            let [high, low] = number.to_be_bytes();
            let one = [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, high, low, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 2];
            assert!(neighbors.message(Timestamp(5), &one).is_some());
            assert!(neighbors.told.len() <= KNOWN_MAX);
        }
    }
}
