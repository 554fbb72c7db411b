//! Packets that a rule of iptables, nftables or ebtables logged, with what ufw, firewalld, Shorewall, SuSEfirewall2, Proxmox
//! and others write before them; packets that the kernel itself finds odd.
//!
//! In: `[UFW BLOCK] IN=eth0 OUT= MAC=… SRC=192.0.2.1 DST=198.51.100.2 LEN=60 TOS=0x00 … PROTO=TCP SPT=1 DPT=22 … SYN URGP=0`
//! (net/netfilter/nf_log_syslog.c). Out: class 4001 with what the rule did, as far as its prefix says so: that is all that the
//! line knows.

use super::super::super::endpoint;
use super::super::super::outcome::{Control, LOW, controlled};
use super::super::super::pairs::pairs;
use super::super::super::record::is_mac;
use super::super::super::text::{cut, number, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a line can be a packet's.
pub(super) fn looks(text: &str) -> bool {
    start(text).is_some() && (cut(text, " SRC=").is_some() || cut(text, " IPSRC=").is_some())
}

/// Where the fields begin: `IN=` or `OUT=` at the beginning of a word.
fn start(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr::memchr2(b'I', b'O', text.as_bytes().get(at..)?)?;
        let begins = found == 0 || matches!(text.as_bytes().get(found - 1), Some(b' ' | b':' | b']' | b'"'));
        let rest = text.get(found..)?;
        if begins && (rest.starts_with("IN=") || rest.starts_with("OUT=")) {
            return Some(found);
        }
        at = found + 1;
    }
}

/// Reads such a message.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    match start(message) {
        Some(at) => packet(message.get(..at).unwrap_or_default(), message.get(at..).unwrap_or_default(), event),
        None => martian(message, event) || flood(message, event) || wireguard(message, event) || full(message, event),
    }
}

/// Reads a packet; the prefix of its rule is what stands before its fields, or where nothing does, `prefix`.
pub(super) fn parse_behind<'a>(prefix: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((before, fields)) = start(message).and_then(|at| message.split_at_checked(at)) else { return false };
    packet(if before.is_empty() { prefix } else { before }, fields, event)
}

/// TCP flags as bits (RFC 9293 §3.1), in the words of the log.
const FLAGS: [(&str, i64); 8] =
    [("FIN", 1), ("SYN", 2), ("RST", 4), ("PSH", 8), ("ACK", 16), ("URG", 32), ("ECE", 64), ("CWR", 128)];

/// The fields of a packet that stand in their own attributes.
#[derive(Default)]
struct Packet<'a> {
    source: &'a str,
    destination: &'a str,
    source_port: Option<i64>,
    destination_port: Option<i64>,
    input: &'a str,
    output: &'a str,
    protocol: &'a str,
    mac: &'a str,
    mac_from: &'a str,
    mac_to: &'a str,
    length: Option<i64>,
    flags: i64,
}

fn packet<'a>(prefix: &'a str, fields: &'a str, event: &mut Event<'a>) -> bool {
    // The packet that an ICMP error is about stands in brackets; it is not this one.
    let fields = cut(fields, " [").map_or(fields, |(own, _)| own);
    let mut packet = Packet::default();
    for pair in pairs(fields) {
        let value = pair.value.unwrap_or_default();
        match pair.key {
            // ARP names its ends otherwise.
            "SRC" | "IPSRC" => packet.source = value,
            "DST" | "IPDST" => packet.destination = value,
            "SPT" => packet.source_port = port(value),
            "DPT" => packet.destination_port = port(value),
            "IN" => packet.input = value,
            "OUT" => packet.output = value,
            "PROTO" => packet.protocol = value,
            "MAC" => packet.mac = value,
            // Where the link's header is shown in words (`LOG --log-macdecode`, nft's `flags ether`).
            "MACSRC" if is_mac(value) => packet.mac_from = value,
            "MACDST" if is_mac(value) => packet.mac_to = value,
            "LEN" if packet.length.is_none() => packet.length = number(value),
            "LEN" => {}
            key if pair.value.is_none() => {
                let flag = FLAGS.iter().find(|(name, _)| *name == key).map(|(_, bit)| *bit);
                match flag {
                    Some(bit) => packet.flags |= bit,
                    None if matches!(key, "DF" | "MF" | "CE") => event.unmap(key, true),
                    None => {}
                }
            }
            key if !value.is_empty() && !event.unmapped.iter().any(|(known, _)| known == key) => {
                event.unmap(key, value)
            }
            _ => {}
        }
    }
    let known = endpoint::push_source(event, packet.source, packet.source_port)
        | endpoint::push_destination(event, packet.destination, packet.destination_port);
    if !known {
        return false;
    }
    event.class = Class::NetworkActivity;
    describe(&packet, event);
    verdict(prefix, event);
    true
}

fn describe<'a>(packet: &Packet<'a>, event: &mut Event<'a>) {
    let direction = match (packet.input, packet.output) {
        ("lo", _) | (_, "lo") => 4,
        (_, "") => 1,
        ("", _) => 2,
        _ => 3,
    };
    event.push(Attribute::ConnectionDirectionId, direction);
    event.push(Attribute::ConnectionProtocolVerId, if packet.source.contains(':') { 6 } else { 4 });
    if !packet.input.is_empty() {
        event.push(Attribute::SrcEndpointInterfaceName, packet.input);
    }
    if !packet.output.is_empty() {
        event.push(Attribute::DstEndpointInterfaceName, packet.output);
    }
    if let Some((name, number)) = protocol(packet.protocol) {
        event.push(Attribute::ConnectionProtocolNum, number);
        if !name.is_empty() {
            event.push(Attribute::ConnectionProtocolName, name);
        }
    }
    if packet.flags > 0 {
        event.push(Attribute::ConnectionTcpFlags, packet.flags);
    }
    // Ethernet: to whom, from whom, and the type.
    let (mut to, mut from) = (packet.mac_to, packet.mac_from);
    if packet.mac.len() >= 35 && packet.mac.is_ascii() {
        let (first, rest) = packet.mac.split_at_checked(17).unwrap_or_default();
        (to, from) = (first, rest.get(1..18).unwrap_or_default());
    }
    if is_mac(to) && is_mac(from) {
        event.push(Attribute::DstEndpointMac, to);
        event.push(Attribute::SrcEndpointMac, from);
    }
    if let Some(length) = packet.length {
        event.push(Attribute::TrafficBytes, length);
        event.push(Attribute::TrafficPackets, 1);
    }
}

/// Name and number of a protocol (IANA), written either way.
pub(in super::super) fn protocol(text: &str) -> Option<(&'static str, i64)> {
    const PROTOCOLS: [(&str, &str, i64); 13] = [
        ("TCP", "tcp", 6),
        ("UDP", "udp", 17),
        ("ICMP", "icmp", 1),
        ("ICMPv6", "ipv6-icmp", 58),
        ("UDPLITE", "udplite", 136),
        ("SCTP", "sctp", 132),
        ("ESP", "esp", 50),
        ("AH", "ah", 51),
        ("DCCP", "dccp", 33),
        ("2", "igmp", 2),
        ("41", "ipv6", 41),
        ("47", "gre", 47),
        ("112", "vrrp", 112),
    ];
    let written = number(text);
    let known = PROTOCOLS.iter().find(|(word, _, number)| *word == text || written == Some(*number));
    known.map(|(_, name, number)| (*name, *number)).or_else(|| written.map(|number| ("", number)))
}

/// What the rule did, by the words of its prefix.
pub(in super::super) fn verdict<'a>(prefix: &'a str, event: &mut Event<'a>) {
    const WORDS: [(&str, Control, u8); 12] = [
        ("reject", Control::Rejected, 5),
        ("drop", Control::Dropped, 4),
        ("block", Control::Blocked, 4),
        ("denied", Control::Blocked, 4),
        ("deny", Control::Blocked, 4),
        ("blacklist", Control::Blocked, 4),
        ("accept", Control::Allowed, 6),
        ("allow", Control::Allowed, 6),
        ("permit", Control::Allowed, 6),
        ("pass", Control::Allowed, 6),
        ("audit", Control::Observed, 6),
        ("log", Control::Observed, 6),
    ];
    // The first of the list that the prefix holds; most letters begin none of them, and case is one bit of a letter.
    let mut first = WORDS.len();
    for (at, byte) in prefix.bytes().enumerate() {
        let letter = byte | 0x20;
        if matches!(letter, b'r' | b'd' | b'b' | b'a' | b'p' | b'l') {
            let rest = prefix.as_bytes().get(at..).unwrap_or_default();
            let begins = |word: &str| {
                word.as_bytes().first() == Some(&letter)
                    && rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
            };
            first = WORDS.iter().take(first).position(|(word, ..)| begins(word)).unwrap_or(first);
        }
    }
    // VyOS and its kin end a rule's name with the first letter of what it did: `[WAN_IN-default-D]`.
    let ending = || match prefix.trim_end_matches([' ', ':']).strip_suffix(']')?.rsplit_once('-')?.1 {
        "D" => Some((Control::Dropped, 4)),
        "R" => Some((Control::Rejected, 5)),
        "A" => Some((Control::Allowed, 6)),
        _ => None,
    };
    let named = WORDS.get(first).map(|(_, control, activity)| (*control, *activity));
    let said = ending().or(named).unwrap_or((Control::Observed, 6));
    controlled(event, said.0);
    event.activity_id = said.1;
    if matches!(said.0, Control::Rejected | Control::Dropped | Control::Blocked) {
        event.severity_id = event.severity_id.max(LOW);
    }
    let rule = prefix.trim_matches([' ', ':', '[', ']', '-', '=', '>', '"', '\'']);
    if !rule.is_empty() {
        event.push(Attribute::FirewallRuleName, rule);
    }
}

/// `IPv4: martian source 192.0.2.9 from 198.51.100.3, on dev eth0` (net/ipv4/route.c): the packet's destination stands first.
fn martian<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let text = message.strip_prefix("IPv4: ").unwrap_or(message);
    let Some((kind, rest)) = text.strip_prefix("martian ").map(word) else { return false };
    let Some((destination, rest)) = cut(rest, " from ") else { return false };
    let (source, rest) = rest.split_once(',').unwrap_or((rest, ""));
    if !(endpoint::push_source(event, source, None) | endpoint::push_destination(event, destination, None)) {
        return false;
    }
    event.class = Class::NetworkActivity;
    event.activity_id = 4;
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::ConnectionDirectionId, 1);
    if let Some((_, device)) = cut(rest, "dev ") {
        event.push(Attribute::SrcEndpointInterfaceName, device.trim());
    }
    event.push(Attribute::StatusDetail, if kind == "source" { "martian source" } else { "martian destination" });
    controlled(event, Control::Dropped);
    true
}

/// `TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.` (net/ipv4/tcp_input.c).
fn flood<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, "ossible SYN flooding on port ") else { return false };
    let (at, doing) = cut(rest, ". ").unwrap_or((rest, ""));
    let (address, port) = at.rsplit_once(':').map_or(("", at), |(address, port)| (address, port));
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(3);
    event.push(Attribute::IsAlert, true);
    event.push(Attribute::FindingUid, format!("syn-flooding-{at}"));
    event.push(Attribute::FindingTitle, "Possible SYN flooding");
    event.push(Attribute::FindingDesc, message);
    event.push(Attribute::FindingTypes, "Denial of service");
    event.push(Attribute::FindingAnalyticName, "tcp_syn_flood_action");
    event.push(Attribute::FindingAnalyticTypeId, 1);
    if let Some(ip) = endpoint::ip(address) {
        event.push(Attribute::EvidencesDstEndpointIp, ip);
        if let Some(port) = super::super::super::text::port(port) {
            event.push(Attribute::EvidencesDstEndpointPort, port);
        }
    }
    event.unmap("port", port);
    event.unmap("response", doing.split('.').next().unwrap_or(doing));
    true
}

/// `wireguard: wg0: Invalid handshake initiation from 192.0.2.1:51820` (drivers/net/wireguard/receive.c): packets of peers.
fn wireguard<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((interface, text)) = message.strip_prefix("wireguard: ").and_then(|rest| cut(rest, ": ")) else {
        return false;
    };
    let Some(at) = text.split(' ').map(|word| word.trim_matches(['(', ')', ','])).rfind(|word| {
        word.rsplit_once(':').is_some_and(|(ip, number)| endpoint::ip(ip).is_some() && port(number).is_some())
    }) else {
        return false;
    };
    let (ip, number) = at.rsplit_once(':').unwrap_or((at, ""));
    event.class = Class::NetworkActivity;
    let failed =
        ["Invalid", "unallowed", "did not complete", "No peer", "Could not"].iter().any(|word| text.contains(word));
    event.activity_id = if failed { 4 } else { 6 };
    let sent = text.starts_with("Sending");
    if sent {
        endpoint::push_destination(event, ip, port(number));
    } else {
        endpoint::push_source(event, ip, port(number));
    }
    event.push(Attribute::ConnectionDirectionId, if sent { 2 } else { 1 });
    event.push(Attribute::ConnectionProtocolNum, 17);
    event.push(Attribute::ConnectionProtocolName, "udp");
    event.push(Attribute::AppProtocolName, "wireguard");
    event.push(Attribute::DstEndpointInterfaceName, interface);
    if failed {
        super::super::super::outcome::failure(event, text);
    }
    if let Some((unallowed, _)) = super::super::super::text::between(text, "unallowed src IP (", ")") {
        event.unmap("unallowed_source", unallowed);
    }
    true
}

/// `nf_conntrack: nf_conntrack: table full, dropping packet` (net/netfilter/nf_conntrack_core.c).
fn full<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if !message.contains("table full, dropping packet") {
        return false;
    }
    super::activity("nf_conntrack", "Packet Drop", event);
    event.severity_id = event.severity_id.max(3);
    super::super::super::outcome::failure(event, "table full");
    controlled(event, Control::Dropped);
    true
}
