//! DHCP for IPv4 (RFC 2131, options of RFC 2132): a record per message.

use std::net::Ipv4Addr;

use shared::record::Value;
use shared::time::Timestamp;

use super::{Carrier, Dissector, Entry, Fields, First, NetworkClass, Recognized, Side, Tell, Told, Want};

/// Octets before the options, the magic cookie included.
const FIXED_LEN: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Options that are looked at.
const OPTIONS_MAX: usize = 128;

/// This dissector.
pub const ENTRY: Entry = Entry { protocol: "dhcp", recognize, make };

fn recognize(first: &First<'_>) -> Recognized {
    let is = first.carrier == Carrier::Datagram
        && first.bytes.get(FIXED_LEN - 4..FIXED_LEN) == Some(COOKIE.as_slice())
        && matches!(first.bytes.first(), Some(1 | 2));
    if is { Recognized::Yes } else { Recognized::No }
}

fn make(_: Carrier) -> Box<dyn Dissector> {
    Box::new(Dhcp)
}

struct Dhcp;

impl Dissector for Dhcp {
    fn protocol(&self) -> &'static str {
        "dhcp"
    }

    fn data(&mut self, _: Side, at: Timestamp, bytes: &[u8], tell: Tell<'_>) -> Want {
        if let Some(told) = message(at, bytes) {
            tell(told);
        }
        Want::More
    }

    fn gap(&mut self, _: Side, _: u64, _: Tell<'_>) -> Want {
        Want::More
    }

    fn end(&mut self, _: Timestamp, _: Tell<'_>) {}

    fn held_bytes(&self) -> usize {
        0
    }
}

/// OCSF `activity_id` and the name of a message type (RFC 2132 §9.6).
fn kind(message_type: u8) -> (u8, &'static str) {
    match message_type {
        1 => (1, "DISCOVER"),
        2 => (2, "OFFER"),
        3 => (3, "REQUEST"),
        4 => (4, "DECLINE"),
        5 => (5, "ACK"),
        6 => (6, "NAK"),
        7 => (7, "RELEASE"),
        8 => (8, "INFORM"),
        9 => (99, "FORCERENEW"),
        10 => (99, "LEASEQUERY"),
        _ => (99, "UNKNOWN"),
    }
}

fn address(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let octets: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(Ipv4Addr::from(*octets)).filter(|ip| !ip.is_unspecified())
}

fn seconds(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes).into())
}

fn message(at: Timestamp, bytes: &[u8]) -> Option<Told> {
    let fixed = bytes.get(..FIXED_LEN)?;
    let mut fields: Fields = Vec::new();
    let mut flaws = Vec::new();
    let mut put = |key: &str, value| fields.push((key.to_owned(), value));
    let text = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned());
    let ip = |ip: Ipv4Addr| Value::Ip(ip.into());
    let transaction: [u8; 4] = *fixed.get(4..)?.first_chunk()?;
    put("transaction_uid", Value::String(format!("{:08x}", u32::from_be_bytes(transaction))));
    if fixed.get(1..3) == Some(&[1, 6]) {
        let mac: &[u8; 6] = fixed.get(28..)?.first_chunk()?;
        let [a, b, c, d, e, f] = *mac;
        put("unmapped.client_mac", Value::String(format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")));
    }
    for (key, place) in [("unmapped.client_ip", 12), ("unmapped.assigned_ip", 16), ("relay.ip", 24)] {
        address(fixed, place).into_iter().for_each(|found| put(key, ip(found)));
    }
    let renews = address(fixed, 12).is_some();
    let (mut rest, mut message_type) = (bytes.get(FIXED_LEN..).unwrap_or_default(), 0);
    for _ in 0..OPTIONS_MAX {
        match rest.split_first() {
            None | Some((255, _)) => break,
            Some((0, more)) => {
                rest = more;
                continue;
            }
            Some((option, more)) => {
                let value = more.split_first().and_then(|(len, more)| more.get(..usize::from(*len)));
                let Some(value) = value else {
                    flaws.push("bad_option");
                    break;
                };
                rest = more.get(1 + value.len()..).unwrap_or_default();
                match option {
                    12 => put("unmapped.client_hostname", text(value)),
                    15 => put("unmapped.domain", text(value)),
                    50 => address(value, 0).into_iter().for_each(|found| put("unmapped.requested_ip", ip(found))),
                    51 => seconds(value).into_iter().for_each(|lease| put("lease_dur", Value::U64(lease))),
                    53 => message_type = value.first().copied().unwrap_or(0),
                    54 => address(value, 0).into_iter().for_each(|found| put("unmapped.server_id", ip(found))),
                    56 => put("unmapped.message", text(value)),
                    60 => put("unmapped.vendor_class", text(value)),
                    81 => put("unmapped.client_fqdn", text(value.get(3..).unwrap_or_default())),
                    _ => {}
                }
            }
        }
    }
    let (activity, name) = kind(message_type);
    put("unmapped.message_type", Value::String(name.to_owned()));
    if activity == 99 {
        put("activity_name", Value::String(name.to_owned()));
    }
    if activity == 3 {
        put("is_renewal", Value::Bool(renews));
    }
    Some(Told { class: NetworkClass::DhcpActivity, activity, at, fields, flaws })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_LEN];
        bytes[..8].copy_from_slice(&[1, 1, 6, 0, 0xde, 0xad, 0xbe, 0xef]);
        bytes[12..16].copy_from_slice(&[192, 0, 2, 7]);
        bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        bytes[FIXED_LEN - 4..].copy_from_slice(&COOKIE);
        bytes.extend(options);
        bytes
    }

    fn value<'a>(told: &'a Told, key: &str) -> Option<&'a Value> {
        told.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    #[test]
    fn message_is_told_with_its_client_and_its_options() {
        let bytes = request(b"\x35\x01\x03\x00\x0c\x03web\x33\x04\x00\x00\x0e\x10\xff");
        let told = message(Timestamp(1), &bytes).unwrap();
        assert_eq!((told.activity, value(&told, "lease_dur")), (3, Some(&Value::U64(3600))));
        assert_eq!(value(&told, "transaction_uid"), Some(&Value::String("deadbeef".into())));
        assert_eq!(value(&told, "unmapped.client_mac"), Some(&Value::String("02:00:00:00:00:09".into())));
        assert_eq!(value(&told, "unmapped.client_hostname"), Some(&Value::String("web".into())));
        assert_eq!(value(&told, "is_renewal"), Some(&Value::Bool(true)));
    }

    #[test]
    fn options_that_cannot_be_are_flagged() {
        assert_eq!(message(Timestamp(1), &request(b"\x35\x09\x03")).unwrap().flaws, ["bad_option"]);
        assert_eq!(message(Timestamp(1), &[0; 100]), None);
        for (bytes, expected) in [(request(b""), Recognized::Yes), (vec![0; 300], Recognized::No)] {
            let (carrier, side) = (Carrier::Datagram, Side::Client);
            assert_eq!(recognize(&First { carrier, side, client_port: 1, server_port: 2, bytes: &bytes }), expected);
        }
    }
}
