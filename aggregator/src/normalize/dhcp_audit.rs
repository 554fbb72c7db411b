//! The audit log of Windows' DHCP server: leases (4004), names that it had changed (4003), its own life (6002, 6008).
//!
//! `ID,03/16/26,10:00:00,DESCRIPTION,ADDRESS,HOST,001122334455,USER,TRANSACTION,…`; for IPv6, where ids are of five digits,
//! `ID,DATE,TIME,DESCRIPTION,ADDRESS,HOST,ERROR,DUID LENGTH,DUID,USER,…`. Times are the host's own. Source: Microsoft,
//! "Analyze DHCP server log files", and the header of DhcpSrvLog-*.log and DhcpV6SrvLog-*.log.

use super::endpoint::{self, push_destination, push_source};
use super::outcome::{LOW, failure, success};
use super::remark::{life, remark};
use super::text::number;
use super::timestamp::{self, Stamp};
use super::{Context, Origin};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most columns of a line that are read.
const COLUMNS_MAX: usize = 9;

/// Whether a line begins with an id, a date and a time.
pub(super) fn looks(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    let date = |rest: &[u8]| {
        matches!(rest, [b',', _, _, b'/', _, _, b'/', _, _, b',', _, _, b':', _, _, b':', _, _, b',', ..])
    };
    matches!(digits, 2 | 5) && bytes.get(digits..).is_some_and(date)
}

/// What an id stands for.
#[derive(Clone, Copy)]
enum Meaning {
    /// A message of DHCP: its activity, and whether the client got what it asked for.
    Lease(u8, bool),
    /// A record of a name server that was to be changed, and whether it was.
    Name(bool),
    /// The service starts (3) or stops (4).
    Life(u8),
    /// What else the service says of itself: as bad as this.
    Report(u8),
}

fn meaning(id: i64) -> Meaning {
    match id {
        10 | 20 | 21 => Meaning::Lease(5, true),
        11_000 => Meaning::Lease(1, true),
        11_001 => Meaning::Lease(2, true),
        11 | 11_002..=11_005 => Meaning::Lease(3, true),
        13 | 11_006 | 11_014 | 11_015 => Meaning::Lease(4, false),
        14 | 15 | 22 | 33 | 36 | 11_009 => Meaning::Lease(6, false),
        12 | 16 | 23 | 11_007 | 11_016 => Meaning::Lease(7, true),
        11_008 => Meaning::Lease(8, true),
        17 | 18 | 29 | 11_017..=11_019 => Meaning::Lease(9, true),
        30 | 32 | 11_022 | 11_024 => Meaning::Name(true),
        31 | 34 | 35 | 11_023 | 11_028 | 11_029 => Meaning::Name(false),
        0 | 11_010 => Meaning::Life(3),
        1 | 11_011 => Meaning::Life(4),
        // The disk is full.
        2 | 11_012 => Meaning::Report(LOW),
        _ => Meaning::Report(1),
    }
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut columns = [""; COLUMNS_MAX];
    for (slot, column) in columns.iter_mut().zip(text.split(',')) {
        *slot = column.trim();
    }
    let [code, date, clock, what, address, host, sixth, seventh, eighth] = columns;
    let (Some(id), true) = (number(code), looks(text)) else { return false };
    let (Some(month), Some(day), Some(year)) = (date.get(..2), date.get(3..5), date.get(6..8)) else { return false };
    let day = format!("20{year}-{month}-{day}");
    let Some((time, assumed_offset)) =
        timestamp::parts(&day, clock, None, context.reference).map(|stamp| (stamp.time, stamp.assumed_offset))
    else {
        return false;
    };
    let end = code.len() + 1 + date.len() + 1 + clock.len();
    Stamp { time, text: text.get(code.len() + 1..end).unwrap_or(date), assumed_offset }.apply(event);
    event.push(Attribute::MetadataLogFormat, "windows_dhcp");
    event.push(Attribute::MetadataLogProvider, "DHCP Server");
    event.push(Attribute::MetadataEventCode, code);
    event.push(Attribute::Message, what);
    let is_six = id >= 11_000;
    let client = Client {
        address,
        host,
        card: if is_six { "" } else { sixth },
        duid: if is_six { eighth } else { "" },
        transaction: if is_six { "" } else { eighth },
    };
    if !is_six && !seventh.is_empty() {
        event.unmap("user", seventh);
    }
    match meaning(id) {
        Meaning::Lease(activity, granted) => {
            client.leased(activity, context.origin, event) && judged(granted, what, event)
        }
        Meaning::Name(changed) if !host.is_empty() => {
            client.named(context.origin, event) && judged(changed, what, event)
        }
        Meaning::Life(activity) => life("DHCP Server", activity, event),
        Meaning::Name(_) => remark("DHCP Server", what, event),
        Meaning::Report(severity) => {
            event.severity_id = severity;
            remark("DHCP Server", what, event)
        }
    }
}

fn judged<'a>(well: bool, what: &'a str, event: &mut Event<'a>) -> bool {
    if well {
        success(event);
    } else {
        failure(event, what);
    }
    true
}

/// Whom a line is about.
struct Client<'a> {
    address: &'a str,
    host: &'a str,
    card: &'a str,
    duid: &'a str,
    transaction: &'a str,
}

impl<'a> Client<'a> {
    /// A message between the client and this host.
    fn leased(&self, activity: u8, origin: &'a Origin, event: &mut Event<'a>) -> bool {
        event.class = Class::DhcpActivity;
        event.activity_id = activity;
        let address = endpoint::ip(self.address);
        if let Some(ip) = address {
            event.push(Attribute::SrcEndpointIp, ip);
        }
        for (attribute, value) in [
            (Attribute::SrcEndpointHostname, self.host),
            (Attribute::SrcEndpointUid, self.duid),
            (Attribute::TransactionUid, self.transaction),
        ] {
            if !matches!(value, "" | "0") {
                event.push(attribute, value);
            }
        }
        let card = card(self.card);
        let is_named = address.is_some() || !self.host.is_empty() || !matches!(self.duid, "" | "0");
        if let (Some(card), false) = (&card, is_named) {
            // A hardware address alone is no endpoint.
            event.push(Attribute::SrcEndpointUid, card.clone());
        }
        let is_known = is_named || card.is_some();
        if let Some(card) = card {
            event.push(Attribute::SrcEndpointMac, card);
        }
        push_destination(event, &origin.hostname, None) || is_known
    }

    /// An update that this host sent to a name server; an address may stand there as in a reverse zone.
    fn named(&self, origin: &'a Origin, event: &mut Event<'a>) -> bool {
        event.class = Class::DnsActivity;
        event.activity_id = 1;
        event.push(Attribute::QueryHostname, self.host);
        // UPDATE, RFC 2136 §1.3.
        event.push(Attribute::QueryOpcodeId, 5);
        if !self.address.is_empty() {
            event.unmap("address", self.address);
        }
        push_source(event, &origin.hostname, None) || push_source(event, "localhost", None)
    }
}

/// `00:11:22:33:44:55` of `001122334455`.
fn card(text: &str) -> Option<String> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    (pairs.len() == 6 && rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| {
        let pairs: Vec<_> = pairs.iter().map(|pair| String::from_utf8_lossy(pair).to_ascii_lowercase()).collect();
        pairs.join(":")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Origin;
    use super::super::testing::{normalized, normalized_from};

    #[test]
    fn a_line_is_read_also_where_nobody_knows_its_host() {
        for (line, kind, at, value) in [
            ("10,03/16/26,10:00:00,Assign,192.0.2.100,,0011223344AA,,1234,0", 400_405, "ip", "192.0.2.100"),
            ("10,03/16/26,10:00:00,Assign,,,0011223344AA,,1234,0", 400_405, "uid", "00:11:22:33:44:aa"),
            (
                "32,03/16/26,10:00:00,DNS Update Successful,192.0.2.9,pc.example.com,,,0,6",
                400_301,
                "hostname",
                "localhost",
            ),
        ] {
            let event = normalized_from(&Origin::default(), line.as_bytes(), None);
            assert_eq!((&event["type_uid"], &event["src_endpoint"][at]), (&json!(kind), &json!(value)), "{line}");
        }
        let event = normalized_from(&Origin::default(), b"10,03/16/26,10:00:00,Assign,,,,,1234,0", None);
        assert_eq!(event["class_uid"], 0);
    }

    #[test]
    fn leases_of_both_protocols_name_their_client() {
        let event = normalized(
            "10,03/16/26,10:00:00,Assign,192.0.2.100,pc.example.com,0011223344AA,,1234,0,,,,0x4D53,MSFT 5.0,,,,0",
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_405), &json!(1_773_651_600_000_i64)));
        assert_eq!(
            event["src_endpoint"],
            json!({"ip": "192.0.2.100", "hostname": "pc.example.com", "mac": "00:11:22:33:44:aa"})
        );
        assert_eq!((&event["dst_endpoint"]["hostname"], &event["status_id"]), (&json!("web-1"), &json!(1)));
        assert_eq!(event["metadata"]["original_time"], "03/16/26,10:00:00");
        let event =
            normalized("11001,03/16/26,10:00:00,DHCPV6 Advertise,2001:db8::7,pc.example.com,,14,0001000126AA,,,,,");
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["uid"]), (&json!(400_402), &json!("0001000126AA")));
        let event = normalized("15,03/16/26,10:00:00,NACK,192.0.2.9,,001122334455,,0,6,,,");
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&json!(400_406), &json!("NACK")));
    }

    #[test]
    fn the_server_speaks_of_names_and_of_itself() {
        for (line, kind) in [
            ("30,03/16/26,10:00:00,DNS Update Request,100.2.0.192,pc.example.com,,,0,6,,,,,,,,,0", 400_301),
            ("31,03/16/26,10:00:00,DNS Update Failed,192.0.2.100,pc.example.com,-1,,0,6,,,,,,,,,9004", 400_301),
            ("24,03/16/26,00:00:23,Database Cleanup Begin,,,,,0,6,,,,,,,,,0", 600_299),
            ("00,03/16/26,10:00:00,Started,,,,,0,6,,,,,,,,,0", 600_203),
            ("30,03/16/26,10:00:00,DNS Update Request,,,,,0,6", 600_299),
            ("02,03/16/26,10:00:00,Paused,,,,,0,6,,,,,,,,,0", 600_801),
            ("10,13/16/26,10:00:00,Assign,192.0.2.100,pc,001122334455,", 0),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
        }
    }
}
