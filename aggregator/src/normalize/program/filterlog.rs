//! Packets that a rule of pf logged, as filterlog of pfSense and OPNsense writes them (4001).
//!
//! In: `5,,,1000000103,em0,match,block,in,4,0x0,,64,54321,0,none,6,tcp,60,192.0.2.1,198.51.100.1,50123,22,0,S,1,,1024,,mss`:
//! rule, sub-rule, anchor, tracker, interface, reason, action, direction, version, then what the version and the protocol have.
//! Source: "Raw Filter Log Format" of pfSense's manual; `print-pf.c` of filterlog.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{Control, LOW, controlled};
use super::super::syslog::Header;
use super::super::text::{number, port};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Network Activity (4001).
const FAIL: u8 = 4;
const REFUSE: u8 = 5;
const TRAFFIC: u8 = 6;

/// TCP's flags in the letters of the log, as bits (RFC 9293 §3.1).
const FLAGS: [(char, i64); 8] = [('F', 1), ('S', 2), ('R', 4), ('P', 8), ('A', 16), ('U', 32), ('E', 64), ('C', 128)];

/// Reads a message of filterlog.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let mut fields = message.trim_end().split(',');
    let (Some(rule), _, _, Some(tracker)) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let (Some(interface), Some(reason), Some(action)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let (Some(direction), Some(version)) = (fields.next(), fields.next()) else { return false };
    // Version 4: tos, ecn, ttl, id, offset, flags, number, name; version 6: class, flow label, hop limit, name, number.
    let named = |mut fields: std::str::Split<'a, char>| match version {
        "4" => fields.nth(6).zip(fields.next()).map(|(number, name)| (name, number, fields)),
        "6" => fields.nth(3).zip(fields.next()).map(|(name, number)| (name, number, fields)),
        _ => None,
    };
    let Some((protocol, protocol_number, mut fields)) = named(fields) else { return false };
    let (Some(length), Some(source), Some(destination)) = (fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let (Some(source), Some(destination)) = (ip(source), ip(destination)) else { return false };
    let lower = protocol.len() <= 4;
    let ports = lower && (protocol.eq_ignore_ascii_case("tcp") || protocol.eq_ignore_ascii_case("udp"));
    let mut ends = || fields.next().filter(|_| ports).and_then(port);
    let (source_port, destination_port) = (ends(), ends());
    push_source(event, source, source_port);
    push_destination(event, destination, destination_port);
    event.class = Class::NetworkActivity;
    event.push(Attribute::ConnectionDirectionId, if direction == "out" { 2 } else { 1 });
    event.push(Attribute::ConnectionProtocolVerId, if version == "6" { 6 } else { 4 });
    let standing =
        if direction == "out" { Attribute::DstEndpointInterfaceName } else { Attribute::SrcEndpointInterfaceName };
    event.push(standing, interface);
    event.push(Attribute::ConnectionProtocolName, protocol.to_ascii_lowercase());
    if let Some(number) = number(protocol_number) {
        event.push(Attribute::ConnectionProtocolNum, number);
    }
    if let Some(length) = number(length) {
        event.push(Attribute::TrafficBytes, length);
        event.push(Attribute::TrafficPackets, 1);
    }
    // Behind the ports: the data's length and, for TCP, the flags.
    if let Some(flags) = fields.nth(1).filter(|_| ports) {
        let bits = FLAGS.iter().filter(|(letter, _)| flags.contains(*letter)).map(|(_, bit)| bit).sum::<i64>();
        if bits > 0 {
            event.push(Attribute::ConnectionTcpFlags, bits);
        }
    }
    event.push(Attribute::FirewallRuleUid, tracker);
    event.unmap("rule", rule);
    event.unmap("reason", reason);
    let (activity, control) = match action {
        "block" => (FAIL, Control::Dropped),
        "reject" => (REFUSE, Control::Rejected),
        _ => (TRAFFIC, Control::Allowed),
    };
    event.activity_id = activity;
    controlled(event, control);
    if activity != TRAFFIC {
        event.severity_id = event.severity_id.max(LOW);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    fn filterlog(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 fw filterlog[9]: {message}"))
    }

    #[test]
    fn packets_of_both_versions_name_ends_rule_and_verdict() {
        let event = filterlog(
            "5,,,1000000103,em0,match,block,in,4,0x0,,64,54321,0,none,6,tcp,60,192.0.2.1,198.51.100.1,50123,22,0,S,1,,1024,,mss",
        );
        assert_eq!((&event["type_uid"], &event["disposition_id"]), (&400_104.into(), &6.into()));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 50123, "interface_name": "em0"}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.1", "port": 22}));
        assert_eq!((&event["connection_info"]["tcp_flags"], &event["traffic"]["bytes"]), (&2.into(), &60.into()));
        let event =
            filterlog("7,,,1000000105,em1,match,pass,out,6,0x00,0x0,64,UDP,17,80,2001:db8::1,2001:db8::2,5353,53,40");
        assert_eq!((&event["type_uid"], &event["connection_info"]["protocol_name"]), (&400_106.into(), &"udp".into()));
        assert_eq!(event["dst_endpoint"], json!({"ip": "2001:db8::2", "port": 53, "interface_name": "em1"}));
        assert_eq!(filterlog("5,,,1,em0,match,block,in,4")["class_uid"], 0);
    }
}
