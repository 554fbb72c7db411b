//! Packets that a rule of RouterOS's firewall logged (4001).
//!
//! In: `firewall,info drop-wan input: in:ether1 out:(unknown 0), connection-state:new src-mac 00:00:5e:00:53:01, proto TCP (SYN),
//! 192.0.2.1:4711->198.51.100.2:23, len 40`, behind a time and perhaps a host. Out: both ends, and what the rule did, as far as its
//! prefix says so. Source: MikroTik, "Log" and "Common Firewall Matchers and Actions"; RouterOS 6 and 7.

use super::super::endpoint::with_port;
use super::super::record::is_mac;
use super::super::text::{between, cut, number};
use super::kernel::{protocol, verdict};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message; false where it is no packet.
pub(in super::super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((head, rest)) = cut(message, " proto ") else { return false };
    let Some((name, rest)) = rest.split_once([' ', ',']) else { return false };
    let ends = rest.split([' ', ',']).find_map(|word| {
        let (from, to) = cut(word, "->")?;
        Some((with_port(from)?, with_port(to)?))
    });
    let (Some((from, to)), Some((before, link))) = (ends, cut(head, " in:")) else { return false };
    event.class = Class::NetworkActivity;
    for (attribute, number, (address, port)) in [
        (Attribute::SrcEndpointIp, Attribute::SrcEndpointPort, from),
        (Attribute::DstEndpointIp, Attribute::DstEndpointPort, to),
    ] {
        event.push(attribute, address);
        if let Some(port) = port {
            event.push(number, port);
        }
    }
    // A chain that packets do not leave by has no interface there: `(unknown 0)`.
    let interface = |name: &'a str| (!name.is_empty() && !name.starts_with('(')).then_some(name);
    let input = link.split([' ', ',']).next().and_then(interface);
    let output = cut(link, " out:").and_then(|(_, rest)| rest.split([' ', ',']).next()).and_then(interface);
    let direction = match (input, output) {
        (Some(_), None) => 1,
        (None, Some(_)) => 2,
        (Some(_), Some(_)) => 3,
        (None, None) => 0,
    };
    event.push(Attribute::ConnectionDirectionId, direction);
    event.push(Attribute::ConnectionProtocolVerId, if from.0.contains(':') { 6 } else { 4 });
    if let Some((name, number)) = protocol(name) {
        event.push(Attribute::ConnectionProtocolNum, number);
        if !name.is_empty() {
            event.push(Attribute::ConnectionProtocolName, name);
        }
    }
    for (attribute, name) in
        [(Attribute::SrcEndpointInterfaceName, input), (Attribute::DstEndpointInterfaceName, output)]
    {
        if let Some(name) = name {
            event.push(attribute, name);
        }
    }
    if let Some((mac, _)) = between(head, "src-mac ", ",").filter(|(mac, _)| is_mac(mac)) {
        event.push(Attribute::SrcEndpointMac, mac);
    }
    if let Some(length) = cut(rest, " len ").and_then(|(_, rest)| number(rest.split([' ', ',']).next()?)) {
        event.push(Attribute::TrafficBytes, length);
        event.push(Attribute::TrafficPackets, 1);
    }
    // Behind the topics: the rule's prefix, and the chain.
    let rule = cut(before, "firewall,").and_then(|(_, rest)| rest.split_once(' ')).map_or(before, |(_, rule)| rule);
    verdict(rule, event);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn packets_have_both_ends_and_what_the_rule_did() {
        let packet = "src-mac 00:00:5e:00:53:01, proto TCP (SYN), 192.0.2.1:4711->198.51.100.2:23, len 40";
        for (line, kind, disposition) in [
            (
                format!("2026-03-16T10:00:00+01:00 gw firewall,info drop-wan input: in:e1 out:(unknown 0), {packet}"),
                400_104,
                6,
            ),
            (format!("<30>Mar 16 10:00:00 gw firewall,info reject forward: in:e1 out:e2, {packet}"), 400_105, 25),
            (
                format!("Mar 16 10:00:00 gw firewall,info input: in:e1 out:(unknown 0), connection-state:new {packet}"),
                400_106,
                17,
            ),
        ] {
            let event = normalized(&line);
            assert_eq!((&event["type_uid"], &event["disposition_id"]), (&json!(kind), &json!(disposition)), "{line}");
            let source = &event["src_endpoint"];
            assert_eq!(
                (&source["ip"], &source["port"], &source["interface_name"]),
                (&json!("192.0.2.1"), &json!(4711), &json!("e1")),
                "{line}"
            );
            assert_eq!(
                (&event["dst_endpoint"]["ip"], &event["dst_endpoint"]["port"]),
                (&json!("198.51.100.2"), &json!(23)),
                "{line}"
            );
            assert_eq!(
                (&event["connection_info"]["protocol_name"], &event["traffic"]["bytes"]),
                (&json!("tcp"), &json!(40)),
                "{line}"
            );
        }
        let event = normalized(
            "2026-03-16T10:00:00+01:00 gw firewall,info forward: in:a out:b, connection-state:new proto UDP, [2001:db8::1]:5->[2001:db8::2]:53, len 80",
        );
        assert_eq!((&event["src_endpoint"]["ip"], &event["dst_endpoint"]["port"]), (&json!("2001:db8::1"), &json!(53)));
        assert_eq!(normalized("2026-03-16T10:00:00+01:00 the proto type, a->b in:x")["class_uid"], 0);
    }
}
