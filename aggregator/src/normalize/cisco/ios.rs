//! IOS: access lists, the zone firewall, intrusion signatures, layer 2 security, links and neighbors.
//!
//! In: the text behind `%SEC-6-IPACCESSLOGP: ` and its mnemonic. Out: traffic (4001), findings (2004); who logged on and what was
//! configured is read by [`ios_access`](super::ios_access). Source: Cisco IOS System Message Guide.

use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::text::{between, cut, number, port, word};
use super::flow::{push_protocol, verdicted};
use super::{Mnemonic, after, at_device, ios_access, nxos, vpn};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message by its mnemonic; false where it says nothing that has a class.
pub(super) fn parse<'a>(message: &'a str, mnemonic: &Mnemonic<'a>, event: &mut Event<'a>) -> bool {
    let facility = facility(mnemonic);
    match facility {
        "SEC" | "IPV6" | "IPV6_ACL" | "ACL" | "ACLLOG" | "FMANFP" if mnemonic.name.contains("ACCESSLOG") => {
            access_log(message, event)
        }
        // IOS XE's data plane speaks through its platform.
        "IOSXE" if mnemonic.name == "PLATFORM" => {
            let inner = cut(message, " %").and_then(|(_, inner)| super::mnemonic(inner));
            inner.is_some_and(|(mnemonic, message)| {
                mnemonic.facility != "IOSXE" && parse(message.trim_start(), &mnemonic, event)
            })
        }
        "ACLLOG" => nxos::access_log(message, event),
        "FW" if mnemonic.name.starts_with("SESS_AUDIT_TRAIL") => session(message, event),
        "FW" if mnemonic.name == "DROP_PKT" || mnemonic.name == "LOG_SUMMARY" => dropped(message, event),
        "IPS" | "IDS" => signature(message, event),
        "PORT_SECURITY" | "SW_DAI" | "IP" | "PM" | "DHCP_SNOOPING" | "STORM_CONTROL" => layer2(message, event),
        "LINK" | "LINEPROTO" | "LINK_UPDOWN" | "ETHPORT" => link(message, event),
        "BGP" | "OSPF" | "OSPFv3" | "DUAL" | "CDP" | "LDP" | "HSRP" => neighbor(message, event),
        "CRYPTO" | "IKEV2" => tunnel(message, event),
        _ => ios_access::parse(message, &Mnemonic { facility, ..*mnemonic }, event),
    }
}

/// What IOS knows a part by; IOS XR says the group of parts before it (`PKT_INFRA-LINK`, `ROUTING-OSPF`).
fn facility<'a>(mnemonic: &Mnemonic<'a>) -> &'a str {
    match mnemonic.facility {
        "PKT_INFRA" | "MGBL" | "SECURITY" | "ROUTING" | "L2" | "INFRA" => {
            mnemonic.code.split('-').nth(1).unwrap_or(mnemonic.facility)
        }
        facility => facility,
    }
}

/// `A(p) (interface mac)`, `A`: what follows, and whether there was an address.
fn end<'a>(text: &'a str, source: bool, event: &mut Event<'a>) -> Option<&'a str> {
    let stop = text.find(['(', ' ', ',']).unwrap_or(text.len());
    let (host, mut rest) = text.split_at_checked(stop)?;
    let mut found = None;
    if let Some((inner, after)) = rest.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
        found = port(inner);
        rest = after;
    }
    let pushed = if source { push_source(event, host, found) } else { push_destination(event, host, found) };
    if !pushed {
        return None;
    }
    let tail = rest.trim_start();
    if source && let Some((inner, after)) = tail.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
        let (interface, mac) = word(inner);
        event.push(Attribute::SrcEndpointInterfaceName, interface);
        if let Some(mac) = colons(mac.trim()) {
            event.push(Attribute::SrcEndpointMac, mac);
        }
        return Some(after);
    }
    Some(rest)
}

/// `00:11:22:33:44:55` of `0011.2233.4455`, or of six pairs with `-` or `:` between them.
pub(super) fn colons(mac: &str) -> Option<String> {
    let groups = |mark: char, count: usize, len: usize| {
        let is_group = |group: &str| group.len() == len && group.bytes().all(|b| b.is_ascii_hexdigit());
        mac.split(mark).count() == count && mac.split(mark).all(is_group)
    };
    let shaped = mac.len() <= 17 && (groups('.', 3, 4) || groups('-', 6, 2) || groups(':', 6, 2));
    shaped.then(|| {
        let digits: Vec<char> = mac.chars().filter(char::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| pair.iter().collect::<String>().to_ascii_lowercase()).collect::<Vec<_>>().join(":")
    })
}

/// `list L denied|permitted [PROTOCOL] [mac] A(p) [(interface mac)] -> B(p), N packets`; `deny|permit` of IOS XR.
fn access_log<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((list, rest)) = cut(message, "list ").map(|(_, rest)| word(rest)) else { return false };
    let (verdict, rest) = word(rest);
    if !verdict.starts_with("den") && !verdict.starts_with("permit") {
        return false;
    }
    event.class = Class::NetworkActivity;
    let (first, tail) = word(rest);
    let protocol = endpoint::ip(first.split('(').next().unwrap_or(first)).is_none();
    let rest = if protocol { tail } else { rest };
    let (first_word, behind) = word(rest);
    let rest = match colons(first_word) {
        Some(mac) => {
            event.push(Attribute::SrcEndpointMac, mac);
            behind
        }
        None => rest,
    };
    let Some(rest) = end(rest, true, event) else { return false };
    let packets = match cut(rest, "-> ") {
        Some((_, rest)) => end(rest, false, event).unwrap_or(rest),
        None => rest,
    };
    if protocol {
        push_protocol(event, first);
        if let Some(number) = number(first).filter(|number| (1..256).contains(number)) {
            event.push(Attribute::ConnectionProtocolNum, number);
            event.push(Attribute::ConnectionDirectionId, 0);
        }
    }
    event.push(Attribute::FirewallRuleName, list);
    let count = packets.split([' ', ',']).rev().skip(1).find_map(number);
    if let Some(count) = count.filter(|count| *count > 0) {
        event.push(Attribute::TrafficPackets, count);
    }
    verdicted(verdict.starts_with("permit"), event);
    true
}

/// `A:p`.
fn colon_end<'a>(text: &'a str, source: bool, event: &mut Event<'a>) -> bool {
    let (host, number) = text.rsplit_once(':').filter(|_| endpoint::ip(text).is_none()).unwrap_or((text, ""));
    if source { push_source(event, host, port(number)) } else { push_destination(event, host, port(number)) }
}

/// `… Start|Stop tcp session: initiator (A:p) [sent N bytes] -- responder (B:p) [sent N bytes]`.
fn session<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (Some((initiator, rest)), Some((responder, tail))) =
        (between(message, "initiator (", ")"), between(message, "responder (", ")"))
    else {
        return false;
    };
    event.class = Class::NetworkActivity;
    if !colon_end(initiator, true, event) || !colon_end(responder, false, event) {
        return false;
    }
    push_protocol(
        event,
        message.rsplit_once(" session").map_or(message, |(head, _)| head.rsplit([':', ' ']).next().unwrap_or(head)),
    );
    event.activity_id = if message.contains("Start ") { 1 } else { 2 };
    for (attribute, text) in [(Attribute::TrafficBytesOut, rest), (Attribute::TrafficBytesIn, tail)] {
        if let Some(bytes) = after(text, "sent ").and_then(|bytes| bytes.parse::<u32>().ok()) {
            event.push(attribute, bytes);
        }
    }
    controlled(event, Control::Allowed);
    success(event);
    true
}

/// `Dropping tcp session A:p B:p on zone-pair Z class C due to R …`, `Dropping tcp pkt from I A:p => B:p(target:class)-(Z) due to R …`.
fn dropped<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((protocol, rest)) = message.strip_prefix("Dropping ").map(word) else { return false };
    let rest = rest.strip_prefix("session ").or_else(|| rest.strip_prefix("pkt ")).unwrap_or(rest);
    let (interface, rest) = rest.strip_prefix("from ").map_or(("", rest), word);
    let (source, rest) = word(rest);
    let (destination, rest) = word(rest.strip_prefix("=> ").unwrap_or(rest));
    let destination = cut(destination, "(").map_or(destination, |(end, _)| end);
    event.class = Class::NetworkActivity;
    if !colon_end(source, true, event) || !colon_end(destination, false, event) {
        return false;
    }
    push_protocol(event, protocol);
    if !interface.is_empty() {
        event.push(Attribute::SrcEndpointInterfaceName, interface);
    }
    if let Some(pair) = after(rest, "zone-pair ") {
        event.push(Attribute::FirewallRuleName, pair);
    }
    event.activity_id = 5;
    controlled(event, Control::Dropped);
    let reason =
        cut(rest, "due to ").map_or("", |(_, reason)| cut(reason, " with ").map_or(reason, |(reason, _)| reason));
    failure(event, reason.trim());
    true
}

/// `Sig:N Subsig:N Sev:N NAME [A:p -> B:p]`; the classic `Sig:N:NAME - from A to B`.
fn signature<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(sig) = after(message, "Sig:") else { return false };
    let (sig, sev, name, ends) = match cut(message, "Sev:").map(|(_, rest)| word(rest)) {
        Some((sev, rest)) => {
            let (name, ends) = cut(rest, " [").unwrap_or((rest, ""));
            (sig, sev, name, cut(ends, " -> "))
        }
        None => {
            let Some((name, ends)) = cut(message, " - from ") else { return false };
            let name = cut(name, "Sig:").and_then(|(_, name)| cut(name, ":")).map_or(name, |(_, name)| name);
            (sig.split(':').next().unwrap_or(sig), "", name, cut(ends, " to "))
        }
    };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::FindingUid, format!("ios-ips-{sig}"));
    event.push(Attribute::FindingTitle, name);
    event.push(Attribute::FindingAnalyticUid, sig);
    event.push(Attribute::FindingAnalyticName, name);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    event.severity_id = number(sev).and_then(|n| u8::try_from(n).ok()).map_or(event.severity_id, |n| n.clamp(1, 5));
    if let Some((source, destination)) = ends {
        let destination = destination.split([' ', ']']).next().unwrap_or_default();
        if let Some((host, port)) = vpn::address(source) {
            event.push(Attribute::EvidencesSrcEndpointIp, host);
            port.into_iter().for_each(|port| event.push(Attribute::EvidencesSrcEndpointPort, port));
        }
        if let Some((host, port)) = vpn::address(destination) {
            event.push(Attribute::EvidencesDstEndpointIp, host);
            port.into_iter().for_each(|port| event.push(Attribute::EvidencesDstEndpointPort, port));
        }
    }
    controlled(event, Control::Alerted);
    true
}

/// Violations of port security, ARP inspection, duplicate addresses: the first address of each kind and the port.
fn layer2<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let words = || message.split([' ', ',', '[', ']', '(', ')', '/']).take(48).map(|word| word.trim_end_matches('.'));
    let mac = words().find_map(colons);
    let ip = words().find_map(|word| endpoint::ip(word).filter(|ip| ip.contains('.')));
    if mac.is_none() && ip.is_none() {
        return false;
    }
    event.class = Class::NetworkActivity;
    if let Some(ip) = ip {
        event.push(Attribute::SrcEndpointIp, ip);
    }
    if let Some(mac) = mac {
        event.push(Attribute::SrcEndpointMac, mac);
    }
    let interface = after(message, " on port ").or_else(|| after(message, " on ")).filter(|word| *word != "untrusted");
    if ip.is_none() && interface.is_none() && !at_device(event) {
        return false;
    }
    if let Some(interface) = interface {
        event.push(Attribute::SrcEndpointInterfaceName, interface.trim_end_matches('.'));
    }
    let vlan = after(message, "vlan ").and_then(|vlan| vlan.split(|c: char| !c.is_ascii_digit()).next());
    if let Some(vlan) = vlan.filter(|vlan| !vlan.is_empty()) {
        event.push(Attribute::SrcEndpointVlanUid, vlan);
    }
    verdicted(false, event);
    true
}

/// `Interface I, changed state to up|down`, `Interface I is admin up`.
pub(super) fn link<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (Some(interface), Some((_, state))) =
        (after(message, "nterface "), cut(message, "state to ").or_else(|| cut(message, " is ")))
    else {
        return false;
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 99;
    let state = state.strip_prefix("admin ").unwrap_or(state);
    let state = word(state).0;
    let up = state.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("up"));
    event.push(Attribute::ActivityName, if up { "Link Up" } else { "Link Down" });
    event.push(Attribute::SrcEndpointInterfaceName, interface);
    if up {
        success(event)
    } else {
        failure(event, state)
    }
    true
}

/// `neighbor A Up`, `Nbr A on I from X to FULL`, `Neighbor A (I) is up`.
fn neighbor<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let words = message.split([' ', ',', '(', ')']);
    let Some(address) = words.take(24).find_map(endpoint::ip) else { return false };
    event.class = Class::NetworkActivity;
    event.push(Attribute::SrcEndpointIp, address);
    let up = ["Up", " is up", "to FULL", "new adjacency"].iter().any(|mark| cut(message, mark).is_some());
    event.activity_id = if up { 1 } else { 2 };
    if let Some(interface) = after(message, " on ") {
        event.push(Attribute::SrcEndpointInterfaceName, interface);
    }
    if up {
        success(event)
    } else {
        failure(event, "")
    }
    true
}

/// `Crypto tunnel is UP. Peer A:500 Id: x`, and messages that name `src_addr`, `dest_addr`, `peer at`.
fn tunnel<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let peer =
        ["Peer ", "peer at ", "src_addr= ", "srcaddr=", "from ", "peer "].iter().find_map(|mark| after(message, mark));
    let Some(peer) = peer.and_then(|peer| vpn::address(peer)) else { return false };
    event.class = Class::TunnelActivity;
    let (host, port) = peer;
    push_source(event, host, port);
    let local = after(message, "dest_addr= ").or_else(|| after(message, "destaddr=")).and_then(vpn::address);
    if let Some((host, _)) = local {
        push_destination(event, host, None);
    }
    event.push(Attribute::TunnelTypeId, 0);
    event.push(Attribute::EmailProtocolName, "IPsec");
    let up = message.contains("is UP") || message.contains("is ON");
    let down = message.contains("is DOWN") || message.contains("is OFF");
    if up || down {
        event.activity_id = if up { 1 } else { 2 };
        success(event);
    } else {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Fail");
        failure(event, message);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn small_switches_write_their_severity_as_a_letter() {
        let event = normalized("<188>%SNMP-W-SNMPAUTHFAIL: Access attempted by unauthorized NMS 192.0.2.7");
        assert_eq!((&event["class_uid"], &event["severity_id"]), (&4001.into(), &2.into()));
        assert_eq!(
            (&event["metadata"]["event_code"], &event["src_endpoint"]["ip"]),
            (&"SNMP-W-SNMPAUTHFAIL".into(), &"192.0.2.7".into())
        );
        assert_ne!(normalized("<188>%SNMP-X-SNMPAUTHFAIL: no severity")["metadata"]["log_format"], "cisco_ios");
    }

    #[test]
    fn framings_of_ios_are_read() {
        for (line, time) in [
            (
                "<189>85: r1: *Mar  1 00:01:02.123: %SYS-5-CONFIG_I: Configured from console by bob on vty0 (192.0.2.1)",
                1_772_319_662_123_i64,
            ),
            (
                "Mar 16 10:00:00 r1 681: Mar 16 09:59:58.5 UTC: %SYS-5-CONFIG_I: Configured from console by bob on vty0 (192.0.2.1)",
                1_773_655_198_500,
            ),
            (
                "Mar 16 10:00:00 r1 681: *Mar  1 00:01:02.123: %SYS-5-CONFIG_I: Configured from console by bob on vty0 (192.0.2.1)",
                1_773_651_600_000,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 501_901, "{line}");
            assert_eq!(event["time"], time, "{line}");
            assert_eq!(event["actor"]["user"]["name"], "bob");
            assert_eq!(event["unmapped"]["hostname"], "r1");
            assert_eq!(event["metadata"]["event_code"], "SYS-5-CONFIG_I");
        }
        let event =
            normalized("<189>85: Mar 16 10:00:00.5 DST: %SYS-5-CONFIG_I: Configured from console by vty2 (192.0.2.1)");
        assert_eq!(
            (&event["unmapped"]["hostname"], &event["time"]),
            (&serde_json::Value::Null, &serde_json::json!(1_773_651_600_500_i64))
        );
        assert_eq!(event["actor"], serde_json::json!({"session": {"terminal": "vty2"}}));
        assert_eq!(event["unmapped"]["src_ip"], "192.0.2.1");
    }

    #[test]
    fn who_came_and_what_passed_is_named() {
        for (message, kind, at, value) in [
            (
                "SEC-6-IPACCESSLOGP: list 102 denied tcp 192.0.2.1(3067) (Gi0/1 0011.2233.4455) -> 198.51.100.2(139), 3 packets",
                400_105,
                "/src_endpoint/mac",
                "00:11:22:33:44:55",
            ),
            (
                "FMANFP-6-IPACCESSLOGP: F0/0: fman_fp_image: list in denied tcp 00-00-5E-00-53-23 192.0.2.1(5) Te0/1/1-> 198.51.100.2(22), 1 packet",
                400_105,
                "/src_endpoint/mac",
                "00:00:5e:00:53:23",
            ),
            (
                "SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: ] [Source: 192.0.2.1] [localport: 22]",
                300_201,
                "/src_endpoint/ip",
                "192.0.2.1",
            ),
            ("SYS-6-TTY_EXPIRE_TIMER: (exec timer expired, tty 2 (192.0.2.1)), user bob", 300_202, "/user/name", "bob"),
            (
                "SYS-5-RELOAD: Reload requested by bob on vty0 (192.0.2.1). Reload Reason: Reload Command.",
                600_205,
                "/actor/user/name",
                "bob",
            ),
            (
                "AAA-6-AAA_ACCOUNTING_MESSAGE: update:192.0.2.1@pts/0:bob:configure terminal ; shut (SUCCESS)",
                100_701,
                "/process/cmd_line",
                "configure terminal ; shut",
            ),
            ("AAA-6-AAA_ACCOUNTING_MESSAGE: start:192.0.2.1@pts/0:bob:", 300_201, "/src_endpoint/ip", "192.0.2.1"),
            (
                "AUTHPRIV-3-SYSTEM_MSG: pam_aaa:Authentication failed from 192.0.2.1 - sshd[9]",
                300_201,
                "/service/name",
                "sshd",
            ),
            ("SMART_LIC-5-COMM_RESTORED: Communications with the manager restored", 600_299, "/app/name", "IOS"),
        ] {
            let event = normalized(&format!("<189>Mar 16 10:00:00 r1 5: %{message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event.pointer(at).and_then(|found| found.as_str()), Some(value), "{message}");
        }
    }

    #[test]
    fn messages_of_ios_have_their_classes() {
        for (message, kind, at, value) in [
            (
                "ACL-IPV4_ACL-6-IPACCESSLOGP : access-list out deny tcp 192.0.2.1(5) -> 198.51.100.2(22), 1 packet",
                400_105,
                "/dst_endpoint/ip",
                "198.51.100.2",
            ),
            (
                "IOSXE-6-PLATFORM: R0/0: cpp_cp: QFP:0.0 Thread:001 TS:1 %FW-6-SESS_AUDIT_TRAIL: (target:class) (A:B):Stop dns session: initiator (192.0.2.1:5) sent 48 bytes -- responder (198.51.100.2:53) sent 40 bytes, from Gi1",
                400_102,
                "/dst_endpoint/ip",
                "198.51.100.2",
            ),
            (
                "IOSXE-6-PLATFORM: R0/0: cpp_cp: QFP:0.0 Thread:001 TS:1 %FW-6-DROP_PKT: Dropping tcp pkt from Gi1 192.0.2.1:5 => 198.51.100.2:80(target:class)-(A:B) due to Policy drop:classify result with ip ident 1",
                400_105,
                "/dst_endpoint/ip",
                "198.51.100.2",
            ),
            (
                "SEC-6-IPACCESSLOGDP: list 102 permitted icmp 192.0.2.1 -> 198.51.100.2 (8/0), 1 packet",
                400_106,
                "/dst_endpoint/ip",
                "198.51.100.2",
            ),
            (
                "SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: bob] [Source: 192.0.2.1] [localport: 22] [Reason: Bad] at 1:00",
                300_201,
                "/status_detail",
                "Bad",
            ),
            (
                "SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: bob] [Source: 192.0.2.1] [localport: 22] at 1:00",
                300_201,
                "/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "PARSER-5-CFGLOG_LOGGEDCMD: User:bob  logged command:no logging",
                100_701,
                "/process/cmd_line",
                "no logging",
            ),
            (
                "SSH-5-SSH2_CLOSE: SSH2 Session from 192.0.2.1 (tty = 0) for user 'bob' using crypto cipher 'a', hmac 'b' closed",
                400_702,
                "/actor/user/name",
                "bob",
            ),
            (
                "AUTHMGR-5-FAIL: Authorization failed for client (0011.2233.4455) on Interface Gi1/0/1 AuditSessionID 0A",
                300_201,
                "/session/uid",
                "0A",
            ),
            (
                "LINEPROTO-5-UPDOWN: Line protocol on Interface Gi0/1, changed state to down",
                400_199,
                "/activity_name",
                "Link Down",
            ),
            (
                "PORT_SECURITY-2-PSECURE_VIOLATION: Security violation occurred, caused by MAC address 0011.2233.4455 on port Gi0/1.",
                400_105,
                "/src_endpoint/interface_name",
                "Gi0/1",
            ),
            (
                "IPS-4-SIGNATURE: Sig:3051 Subsig:1 Sev:4 Window DoS [192.0.2.1:5 -> 198.51.100.2:6]",
                200_401,
                "/evidences/0/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "CRYPTO-5-SESSION_STATUS: Crypto tunnel is UP  .  Peer 192.0.2.1:500       Id: x",
                401_401,
                "/src_endpoint/ip",
                "192.0.2.1",
            ),
            (
                "OSPF-5-ADJCHG: Process 1, Nbr 192.0.2.1 on Gi0/0 from LOADING to FULL, Loading Done",
                400_101,
                "/src_endpoint/interface_name",
                "Gi0/0",
            ),
            ("ENV-2-FAN_FAILED: fan 1 failed", 600_801, "/metadata/log_provider", "IOS"),
        ] {
            let event = normalized(&format!("<189>Mar 16 10:00:00 r1 5: %{message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event.pointer(at).and_then(|found| found.as_str()), Some(value), "{message}");
        }
    }

    #[test]
    fn an_address_is_no_card_and_up_is_up_whoever_says_so() {
        let head = "<189>Mar 16 10:00:00 r1 5:";
        let event = normalized(&format!(
            "{head} %SEC-6-IPACCESSLOGRP: list 177 denied igmp 192.168.100.197 -> 198.51.100.22, 1 packet"
        ));
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&400_105.into(), &"192.168.100.197".into()));
        assert_eq!(event["dst_endpoint"]["ip"], "198.51.100.22");
        assert!(event["src_endpoint"].get("mac").is_none());
        let event = normalized(&format!("{head} %ETHPORT-5-IF_ADMIN_UP: Interface Ethernet1/9 is admin up ."));
        assert_eq!((&event["activity_name"], &event["status_id"]), (&"Link Up".into(), &1.into()));
    }

    #[test]
    fn a_year_at_the_end_of_the_message_is_the_times() {
        let said = "[user: bob] [Source: 192.0.2.1] [localport: 22] at 10:00:00 UTC Mon Mar 15 2021";
        let event = normalized(&format!("Mar 15 10:00:00.5 UTC: %SEC_LOGIN-5-LOGIN_SUCCESS: Login Success {said}"));
        assert_eq!(event["time"], 1_615_802_400_500_i64);
    }

    #[test]
    fn nexus_switches_say_who_was_refused_and_who_configured() {
        let head = "2026 Mar 16 10:00:00 n9k";
        let event = normalized(&format!(
            "{head} %AUTHPRIV-4-SYSTEM_MSG: pam_aaa:Authentication failed for user bob from 192.0.2.7 - sshd[9]"
        ));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()));
        assert_eq!((&event["user"]["name"], &event["service"]["name"]), (&"bob".into(), &"sshd".into()));
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        let event = normalized(&format!("{head} %AUTHPRIV-5-SYSTEM_MSG: Login failed for user bob - sshd[9]"));
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()));
        assert_eq!((&event["user"]["name"], &event["service"]["name"]), (&"bob".into(), &"sshd".into()));
        let event = normalized(&format!("{head} %SYS-SW1-6-LOGOUT_C6K: User bob has exited tty session 2(192.0.2.32)"));
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&300_202.into(), &"192.0.2.32".into()));
        let event =
            normalized(&format!("{head} %VSHD-5-VSHD_SYSLOG_CONFIG_I: Configured from vty by bob on 192.0.2.7@pts/0"));
        assert_eq!((&event["class_uid"], &event["actor"]["user"]["name"]), (&5019.into(), &"bob".into()));
        assert_eq!(event["actor"]["session"]["terminal"], "pts/0");
    }
}
