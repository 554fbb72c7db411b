//! An object of no kind that names both ends of a connection (4001): what firewalls, proxies, honeypots and sensors write.
//!
//! In: fields with an address of a source and one of a destination, each under a name that such programs use. Out: network
//! activity with ports, protocol and what was done with it. Both must be addresses: nothing is guessed from one end.

use super::super::endpoint;
use super::super::fields::Fields;
use super::super::logon_pairs::is_failure;
use super::super::outcome::{failure, success};
use super::super::transport;
use crate::event::Event;
use crate::schema::Class;

/// Address and port of a source.
const SOURCES: [(&str, &str); 11] = [
    ("src_ip", "src_port"),
    ("srcip", "srcport"),
    ("source_ip", "source_port"),
    ("sourceIp", "sourcePort"),
    ("src_addr", "src_port"),
    ("source_address", "source_port"),
    ("SourceIP", "SourcePort"),
    ("SrcIP", "SrcPort"),
    ("source.ip", "source.port"),
    ("src", "spt"),
    ("ClientIP", "ClientPort"),
];
/// Address and port of a destination.
const DESTINATIONS: [(&str, &str); 14] = [
    ("dst_ip", "dst_port"),
    ("dest_ip", "dest_port"),
    ("dstip", "dstport"),
    ("destination_ip", "destination_port"),
    ("destinationIp", "destinationPort"),
    ("destIp", "destPort"),
    ("dst_addr", "dst_port"),
    ("destination_address", "destination_port"),
    ("DestinationIP", "DestinationPort"),
    ("DstIP", "DstPort"),
    ("destination.ip", "destination.port"),
    ("dst", "dpt"),
    ("OriginIP", "OriginPort"),
    ("dest", "dest_port"),
];
const PROTOCOLS: [&str; 7] = ["proto", "protocol", "transport", "Protocol", "ClientProto", "ip_protocol", "Transport"];
const ACTIONS: [&str; 6] = ["action", "Action", "event", "Event", "disposition", "verdict"];

fn end(fields: &Fields<'_>, keys: &[(&'static str, &'static str)]) -> Option<(&'static str, &'static str)> {
    keys.iter().copied().find(|(host, _)| fields.peek(host).is_some_and(|text| endpoint::ip(text).is_some()))
}

/// Takes both ends; false where one of them is not there.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let (Some(from), Some(to)) = (end(fields, &SOURCES), end(fields, &DESTINATIONS)) else { return false };
    event.class = Class::NetworkActivity;
    fields.push_source(event, from.0, from.1);
    fields.push_destination(event, to.0, to.1);
    let protocol = PROTOCOLS.into_iter().find_map(|key| fields.peek(key)).map(str::to_owned);
    transport::push(event, protocol.as_deref());
    let action = ACTIONS.into_iter().find_map(|key| fields.peek(key)).unwrap_or_default().to_ascii_lowercase();
    let refused = ["den", "drop", "block", "reject", "refuse"].iter().any(|word| action.contains(word));
    event.activity_id = match () {
        () if refused => 5,
        () if action.contains("disconnect") || action.contains("close") => 2,
        () if action.contains("connect") || action.contains("open") => 1,
        _ => 6,
    };
    if refused || is_failure(&action) == Some(true) {
        failure(event, "");
    } else if is_failure(&action) == Some(false) {
        success(event);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn an_object_with_both_ends_is_network_activity() {
        for (line, kind) in [
            (
                r#"{"ts":"2026-03-16T09:00:00Z","src_ip":"192.0.2.7","src_port":4711,"dst_ip":"198.51.100.2","dst_port":22,"proto":"tcp","action":"DENY","msg":"m"}"#,
                400_105,
            ),
            (
                r#"{"Timestamp":"2026-03-16T09:00:00Z","ClientIP":"192.0.2.7","ClientPort":4711,"ClientProto":"tcp","OriginIP":"198.51.100.2","OriginPort":22,"Event":"connect"}"#,
                400_101,
            ),
            (
                r#"{"timestamp":"2026-03-16T09:00:00Z","level":"info","srcip":"192.0.2.7","srcport":"4711","dstip":"198.51.100.2","dstport":"22","protocol":"6"}"#,
                400_106,
            ),
        ] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["time"]), (&json!(kind), &json!(1_773_651_600_000_i64)), "{line}");
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}), "{line}");
            assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 22}), "{line}");
            assert_eq!(event["connection_info"]["protocol_name"], "tcp", "{line}");
        }
        for line in [r#"{"src":"192.0.2.7","dst":"a"}"#, r#"{"src_ip":"192.0.2.7","msg":"x"}"#] {
            assert_eq!(normalized(line)["class_uid"], 0, "{line}");
        }
    }
}
