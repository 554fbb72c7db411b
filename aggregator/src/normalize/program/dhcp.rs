//! DHCP: ISC dhcpd and dhclient, Kea, dnsmasq, udhcpd and udhcpc, dhcpcd, systemd-networkd (4004).
//!
//! `DHCPREQUEST for A (S) from MAC (NAME) via eth0: reason`, `DHCPACK on A to MAC (NAME) via eth0`, `DHCPACK(eth0) A MAC NAME`,
//! `DHCP4_LEASE_ALLOC [hwtype=1 MAC], cid=[…], tid=0x1: lease A has been allocated for 4000 seconds`. The client is the
//! source; a line in which a server only offers names it by its hardware address. Source: ISC DHCP 4.4, server/dhcp.c; Kea 2.6,
//! src/bin/dhcp4/dhcp4_messages.mes; dnsmasq 2.90, src/rfc2131.c; busybox 1.36, networking/udhcp.

use super::super::endpoint::{self, push_destination};
use super::super::outcome::{failure, success};
use super::super::record::is_mac;
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, head, level, number, port, word};
use super::super::{Context, attempt, timestamp};
use super::daemon;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The messages of RFC 2131 §3.1 and their kin of RFC 8415 §7.3: their activity.
const MESSAGES: [(&str, u8); 20] = [
    ("DHCPDISCOVER", 1),
    ("DHCPOFFER", 2),
    ("DHCPREQUEST", 3),
    ("DHCPDECLINE", 4),
    ("DHCPACK", 5),
    ("DHCPNAK", 6),
    ("DHCPRELEASE", 7),
    ("DHCPINFORM", 8),
    ("DHCPEXPIRE", 9),
    ("DHCPSOLICIT", 1),
    ("DHCPADVERTISE", 2),
    ("DHCPRENEW", 3),
    ("DHCPREBIND", 3),
    ("DHCPCONFIRM", 3),
    ("DHCPREPLY", 5),
    ("BOOTREQUEST", 3),
    ("BOOTREPLY", 5),
    ("DHCPLEASEQUERY", 8),
    ("DHCPINFORMATION-REQUEST", 8),
    ("SLAAC-CONFIRM", 5),
];

/// What a line says of a client and its lease.
#[derive(Default)]
struct Lease<'a> {
    activity: u8,
    address: Option<&'a str>,
    mac: Option<&'a str>,
    port: Option<i64>,
    /// The identifier of a client of IPv6.
    duid: Option<&'a str>,
    transaction: Option<&'a str>,
    name: Option<&'a str>,
    interface: Option<&'a str>,
    relay: Option<&'a str>,
    server: Option<&'a str>,
    seconds: Option<i64>,
    detail: &'a str,
}

fn mac(word: &str) -> Option<&str> {
    let marks = word.bytes().rev().take_while(|byte| matches!(byte, b',' | b';' | b':' | b'.' | b')' | b']')).count();
    word.get(..word.len() - marks).filter(|word| is_mac(word))
}

fn address(word: &str) -> Option<&str> {
    endpoint::ip(word.trim_end_matches([',', ';', ')'])).filter(|ip| mac(ip).is_none())
}

/// Reads a message of any of them.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let program = base_name(header.program);
    let lease = match program {
        "dnsmasq-dhcp" => dnsmasq(message),
        "systemd-networkd" => networkd(message),
        "dnsmasq-script" => script(message),
        _ => isc(message, program == "dhclient")
            .or_else(|| six(message))
            .or_else(|| client(message))
            .or_else(|| udhcp(message)),
    };
    let Some(lease) = lease else {
        return match program {
            "systemd-networkd" => daemon::parse(message, header, event),
            _ => remark(program, message, event),
        };
    };
    if lease.server.is_none() && matches!(program, "dhcpd" | "dhcpd3" | "dnsmasq-dhcp" | "dnsmasq-script" | "udhcpd") {
        push_destination(event, header.this_host(), None);
    }
    if matches!(program, "dhclient" | "dhcpcd" | "udhcpc" | "systemd-networkd")
        && !header.this_host().is_empty()
        && lease.name.is_none()
    {
        event.push(Attribute::SrcEndpointHostname, header.this_host());
    }
    push(lease, event)
}

fn push<'a>(lease: Lease<'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::DhcpActivity;
    event.activity_id = lease.activity;
    for (attribute, value) in [
        (Attribute::SrcEndpointIp, lease.address),
        (Attribute::SrcEndpointMac, lease.mac),
        (Attribute::SrcEndpointHostname, lease.name.filter(|name| !name.is_empty())),
        (Attribute::SrcEndpointInterfaceName, lease.interface),
        (Attribute::RelayIp, lease.relay),
    ] {
        if let Some(value) = value {
            event.push(attribute, value);
        }
    }
    if let (Some(port), true) = (lease.port, lease.address.is_some()) {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if let Some(transaction) = lease.transaction {
        event.push(Attribute::TransactionUid, transaction);
    }
    if let Some(duid) = lease.duid {
        event.push(Attribute::SrcEndpointUid, duid);
    }
    if let Some(server) = lease.server {
        push_destination(event, server, None);
    }
    if let Some(seconds) = lease.seconds {
        event.push(Attribute::LeaseDur, seconds);
    }
    if matches!(lease.activity, 4 | 6)
        || lease.detail.contains("no free leases")
        || lease.detail.contains("no address ")
        || lease.detail.starts_with("No DHCPOFFERS")
        || lease.detail.contains("unknown network")
    {
        failure(event, lease.detail);
    } else {
        success(event);
        if !lease.detail.is_empty() {
            event.push(Attribute::StatusDetail, lease.detail);
        }
    }
    // An endpoint has an address, a name or an interface: a hardware address alone is none.
    if lease.address.is_none()
        && lease.interface.is_none()
        && lease.name.is_none()
        && lease.duid.is_none()
        && event.value(Attribute::SrcEndpointHostname).is_none()
    {
        match lease.mac {
            Some(mac) => event.push(Attribute::SrcEndpointUid, mac),
            None => return lease.server.is_some(),
        }
    }
    true
}

fn activity(name: &str) -> Option<u8> {
    MESSAGES.iter().find(|(message, _)| *message == name).map(|&(_, activity)| activity)
}

/// `DHCPREQUEST for A (S) from MAC (NAME) via eth0: reason`, `DHCPOFFER on A to MAC (NAME) via 192.0.2.1`, `DHCPRELEASE of A from MAC via eth0 (found)`.
/// What a client says itself names the server behind `from` and `to`: `DHCPREQUEST for A on eth0 to S port 67`, `DHCPACK from S`.
fn isc(message: &str, is_client: bool) -> Option<Lease<'_>> {
    let (name, rest) = word(message);
    let activity = activity(name)?;
    let (head, detail) = match cut(rest, " via ") {
        Some((_, via)) => via.split_once([':', ' ']).map_or((rest, ""), |(_, detail)| (rest, detail.trim())),
        None => (rest, ""),
    };
    let mut lease = Lease { activity, detail: detail.trim_matches(['(', ')']), ..Lease::default() };
    let mut before = "";
    for word in head.split(' ') {
        match before {
            "for" | "on" | "of" | "from" | "to" | "interval" => {
                if let Some(found) = mac(word) {
                    lease.mac = lease.mac.or(Some(found));
                } else if let Some(found) = address(word) {
                    // A client names the server that it asks, or that offers, grants or denies: `DHCPNAK from S`.
                    let from_server = lease.address.is_some() || matches!(activity, 2 | 5 | 6);
                    if (is_client && matches!(before, "from" | "to")) || (before == "from" && from_server) {
                        lease.server = Some(found)
                    } else {
                        lease.address = lease.address.or(Some(found))
                    }
                } else if before == "on" {
                    lease.interface = Some(word);
                }
            }
            "via" => {
                let via = word.trim_end_matches(':');
                match endpoint::ip(via) {
                    Some(relay) => lease.relay = Some(relay),
                    None => lease.interface = Some(via),
                }
                break;
            }
            _ => {
                if let Some(inner) = word.strip_prefix('(') {
                    let inner = inner.trim_end_matches(')');
                    match address(inner) {
                        None if lease.mac.is_none() && mac(inner).is_some() => lease.mac = mac(inner),
                        Some(server) if lease.mac.is_none() => lease.server = Some(server),
                        _ if lease.mac.is_some() && lease.name.is_none() => lease.name = Some(inner),
                        _ => {}
                    }
                }
            }
        }
        before = word;
    }
    Some(lease)
}

/// The messages of RFC 8415 as ISC's programs name them.
fn activity_of_six(name: &str) -> Option<u8> {
    Some(match name {
        "Solicit" => 1,
        "Advertise" => 2,
        "Request" | "Renew" | "Rebind" | "Confirm" | "Relay-forward" => 3,
        "Decline" => 4,
        "Reply" | "Relay-reply" => 5,
        "Release" => 7,
        "Information-request" | "Info-Request" => 8,
        _ => return None,
    })
}

/// dhcpd for IPv6: `Solicit message from A port 546, transaction ID 0x1`, `Reply NA: address A to client with duid D iaid = 1
/// valid for 300 seconds`, `Sending Reply to A port 546`, `Client D releases address A`.
fn six(message: &str) -> Option<Lease<'_>> {
    let (verb, rest) = match message.strip_prefix("Sending ") {
        Some(sent) => word(sent),
        None => word(message),
    };
    if verb == "Client" {
        let (duid, rest) = word(rest);
        let (verb, rest) = word(rest);
        let activity = match verb {
            "releases" => 7,
            "declines" => 4,
            _ => return None,
        };
        return Some(Lease {
            activity,
            address: address(word(rest).1),
            duid: Some(duid),
            detail: message,
            ..Lease::default()
        });
    }
    let activity = activity_of_six(verb)?;
    if let Some(rest) = rest.strip_prefix("message from ").or_else(|| rest.strip_prefix("to ")) {
        let number = between(rest, " port ", ",").map(|(port, _)| port).or_else(|| cut(rest, " port ").map(|(_, p)| p));
        return Some(Lease {
            activity,
            address: address(word(rest).0),
            port: number.and_then(port),
            transaction: cut(rest, "transaction ID ").map(|(_, id)| word(id).0),
            relay: cut(rest, "link address ").and_then(|(_, link)| address(word(link).0)),
            ..Lease::default()
        });
    }
    let (kind, rest) = cut(rest, ": address ")?;
    let (found, rest) = word(rest);
    matches!(kind, "NA" | "TA" | "PD").then(|| Lease {
        activity,
        address: address(found.split('/').next().unwrap_or(found)),
        duid: between(rest, "duid ", " ").map(|(duid, _)| duid),
        seconds: between(rest, "valid for ", " ").and_then(|(seconds, _)| number(seconds)),
        ..Lease::default()
    })
}

/// The script that dnsmasq runs for a lease: `add|old|del MAC A [NAME]`.
fn script(message: &str) -> Option<Lease<'_>> {
    let mut words = message.split(' ');
    let activity = match words.next()? {
        "add" | "old" => 5,
        "del" => 9,
        _ => return None,
    };
    let (mac, found) = (mac(words.next()?)?, address(words.next()?)?);
    Some(Lease { activity, address: Some(found), mac: Some(mac), name: words.next(), ..Lease::default() })
}

/// dhclient: `DHCPREQUEST for A on eth0 to S port 67` is read as above; `bound to A -- renewal in 100 seconds.`, `No DHCPOFFERS
/// received.`, `XMT: Solicit on eth0, interval 1000ms.`, `RCV: Reply message on eth0 from S.`; dhcpcd: `eth0: leased A for 86400 seconds`.
fn client(message: &str) -> Option<Lease<'_>> {
    if let Some(rest) = message.strip_prefix("bound to ") {
        let seconds = between(rest, "renewal in ", " ").and_then(|(seconds, _)| number(seconds));
        return Some(Lease { activity: 5, address: address(word(rest).0), seconds, ..Lease::default() });
    }
    if message.starts_with("No DHCPOFFERS") {
        return Some(Lease { activity: 1, detail: message, ..Lease::default() });
    }
    let (interface, rest) = cut(message, ": ")?;
    let (verb, rest) = word(rest);
    if matches!(interface, "XMT" | "RCV") {
        let interface = cut(rest, "on ").map(|(_, rest)| word(rest).0.trim_end_matches([',', '.']));
        let server = cut(rest, "from ").and_then(|(_, server)| address(server.trim_end_matches('.')));
        return Some(Lease { activity: activity_of_six(verb)?, interface, server, ..Lease::default() });
    }
    let activity = match verb {
        "leased" | "acknowledged" | "rebinding" => 5,
        "offered" => 2,
        "soliciting" => 1,
        "requesting" | "renewing" => 3,
        "releasing" => 7,
        _ => return None,
    };
    let found = rest.split(' ').find_map(address);
    let seconds = between(rest, "for ", " seconds").and_then(|(seconds, _)| number(seconds));
    let server = between(rest, "from ", " ").map(|(server, _)| server).and_then(address);
    Some(Lease {
        activity,
        address: found,
        interface: Some(interface),
        seconds,
        server,
        detail: "",
        ..Lease::default()
    })
}

/// udhcpd: `sending OFFER of A`, `sending ACK to A`; udhcpc: `lease of A obtained from S, lease time 3600`, `sending discover`, `sending select for A`.
fn udhcp(message: &str) -> Option<Lease<'_>> {
    let lower = message.strip_prefix("Sending ").or_else(|| message.strip_prefix("sending "));
    if let Some(rest) = lower {
        let (verb, rest) = word(rest);
        let activity = match verb.trim_end_matches("...") {
            "OFFER" => 2,
            "ACK" => 5,
            "NAK" => 6,
            "discover" | "broadcast" => 1,
            "select" | "renew" => 3,
            "release" | "unicast" => 7,
            _ => return None,
        };
        return Some(Lease {
            activity,
            address: rest.split(' ').find_map(|word| address(word.trim_end_matches("..."))),
            ..Lease::default()
        });
    }
    let (_, rest) = message.split_at_checked(9).filter(|(head, _)| head.eq_ignore_ascii_case("lease of "))?;
    let (found, rest) = word(rest);
    let server = cut(rest, "from ").map(|(_, server)| word(server).0).and_then(address);
    let seconds = cut(rest, "lease time ").and_then(|(_, seconds)| number(word(seconds).0));
    Some(Lease { activity: 5, address: address(found), server, seconds, ..Lease::default() })
}

/// `[XID ]DHCPACK(eth0) A MAC NAME`; a client of IPv6 is named by its DUID.
fn dnsmasq(message: &str) -> Option<Lease<'_>> {
    let message = match word(message) {
        (first, rest) if number(first).is_some() || first.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => message,
    };
    let (name, rest) = cut(message, "(")?;
    let activity = activity(name)?;
    let (interface, rest) = cut(rest, ")")?;
    let mut lease = Lease { activity, interface: Some(interface), ..Lease::default() };
    let mut rest = rest.trim_start();
    if let Some(found) = address(word(rest).0) {
        lease.address = Some(found);
        rest = word(rest).1;
    }
    if let Some(found) = mac(word(rest).0) {
        lease.mac = Some(found);
        rest = word(rest).1;
    } else if word(rest).0.contains(':') {
        rest = word(rest).1;
    }
    if matches!(activity, 5) && !rest.contains(' ') && !rest.is_empty() {
        lease.name = Some(rest);
    } else {
        lease.detail = rest;
    }
    Some(lease)
}

/// `eth0: DHCPv4 address A/24 via|, gateway S [acquired from S]`, `eth0: DHCP lease lost`.
fn networkd(message: &str) -> Option<Lease<'_>> {
    let (interface, rest) = cut(message, ": ")?;
    if rest.starts_with("DHCP lease lost") {
        return Some(Lease { activity: 9, interface: Some(interface), ..Lease::default() });
    }
    let rest = rest.strip_prefix("DHCPv4 address ").or_else(|| rest.strip_prefix("DHCPv6 address "))?;
    let (found, rest) = word(rest);
    let server =
        cut(rest, "from ").map(|(_, rest)| rest.trim()).or_else(|| cut(rest, "via ").map(|(_, rest)| word(rest).0));
    let found = found.trim_end_matches(',').split('/').next()?;
    Some(Lease {
        activity: 5,
        address: address(found),
        interface: Some(interface),
        server: server.and_then(address),
        ..Lease::default()
    })
}

/// Whether a line begins as a line of Kea does.
pub(crate) fn kea_looks(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-') && cut(head(text, 64), " [kea-").is_some()
}

/// `2026-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/9.140] DHCP4_LEASE_ALLOC text`.
pub(crate) fn kea_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let (word_level, rest) = word(rest.trim_start());
    let (Some(severity), Some((logger, rest))) =
        (level(word_level), rest.strip_prefix("[kea-").and_then(|rest| cut(rest, "] ")))
    else {
        return false;
    };
    stamp.apply(event);
    event.severity_id = severity;
    event.push(Attribute::MetadataLogLevel, word_level);
    event.push(Attribute::MetadataLogProvider, "kea");
    event.push(Attribute::MetadataLogFormat, "kea");
    if let Some(pid) = logger.split('/').nth(1).and_then(|id| number(id.split('.').next().unwrap_or(id))) {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "kea");
    }
    event.push(Attribute::Message, rest);
    event.push(Attribute::MetadataEventCode, word(rest).0);
    attempt(|rest, (), event| leased(rest, event), rest, &(), event) || own(rest, event)
}

/// What Kea says of itself: `DHCP4_STARTED Kea DHCPv4 server version 2.2.0 started`, `DHCP4_SHUTDOWN server shutdown`.
fn own<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let code = word(text).0;
    let activity = match () {
        () if code.ends_with("_STARTED") || code.ends_with("_STARTING") => 3,
        () if code.ends_with("_SHUTDOWN") => 4,
        () => return remark("kea", text, event),
    };
    if let Some((_, version)) = cut(text, "version ") {
        event.push(Attribute::AppVersion, word(version).0);
    }
    life("kea", activity, event)
}

/// Reads a message of Kea that came in syslog.
pub(crate) fn kea<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let rest = match message.find("] ").filter(|_| message.contains("[kea-")) {
        Some(at) => message.get(at + 2..).unwrap_or(message),
        None => word(message).1,
    };
    let rest = rest.trim_start();
    if !attempt(|rest, (), event| leased(rest, event), rest, &(), event) {
        own(rest, event);
    }
    event.push(Attribute::MetadataEventCode, word(rest).0);
    true
}

/// `DHCP4_LEASE_ALLOC [hwtype=1 MAC], cid=[…], tid=0x1: lease A has been allocated for 4000 seconds`.
fn leased<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (code, rest) = word(text);
    let name = match code.split_once('_') {
        Some(("DHCP4" | "DHCP6", name)) => name,
        Some(("ALLOC", "ENGINE_V4_ALLOC_FAIL" | "ENGINE_V6_ALLOC_FAIL")) => "ALLOC_FAIL",
        _ => return false,
    };
    let activity = match name.strip_prefix("PD_").unwrap_or(name) {
        "LEASE_ALLOC" | "LEASE_RENEW" | "LEASE_REUSE" | "V6_LEASE_ALLOC" => 5,
        "INIT_REBOOT" => 3,
        "LEASE_ADVERT" | "LEASE_OFFER" => 2,
        "PACKET_SEND" => match () {
            () if rest.contains("DHCPOFFER") || rest.contains("ADVERTISE") => 2,
            () if rest.contains("DHCPNAK") => 6,
            () => 5,
        },
        "RELEASE" | "RELEASE_NA" | "RELEASE_PD" | "LEASE_RELEASE" => 7,
        "DECLINE_LEASE" | "DECLINE_LEASE_MATCH" => 4,
        "RELEASE_EXPIRED" | "LEASE_EXPIRE" => 9,
        "QUERY_DATA" | "PACKET_RECEIVED" => match cut(rest, "DHCPDISCOVER").or_else(|| cut(rest, "SOLICIT")) {
            Some(_) => 1,
            None => 3,
        },
        "PACKET_NAK_0001" | "PACKET_NAK_0002" | "PACKET_NAK_0003" | "PACKET_NAK_0004" | "ALLOC_FAIL" => 6,
        _ => return false,
    };
    let names = |before: &str| matches!(before, "lease" | "address" | "prefix");
    let found = rest
        .split(' ')
        .zip(rest.split(' ').skip(1))
        .filter(|(before, _)| names(before))
        .find_map(|(_, word)| address(word.split('/').next().unwrap_or(word)));
    let hardware = between(rest, "[hwtype=", "]").and_then(|(inner, _)| mac(word(inner).1));
    let duid = between(rest, "duid=[", "]").map(|(duid, _)| duid);
    if found.is_none() && hardware.is_none() && duid.is_none() {
        return false;
    }
    let seconds = between(rest, " for ", " seconds").and_then(|(seconds, _)| number(seconds));
    if let Some((tid, _)) = between(rest, "tid=", ":").or_else(|| between(rest, "tid=", ",")) {
        event.push(Attribute::TransactionUid, tid);
    }
    event.push(Attribute::IsRenewal, name.ends_with("LEASE_RENEW"));
    let detail = cut(rest, ": ").filter(|_| activity == 6).map_or("", |(_, detail)| detail);
    push(Lease { activity, address: found, mac: hardware, duid, seconds, detail, ..Lease::default() }, event)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn every_server_names_the_client_and_its_address() {
        let mac = "00:11:22:33:44:55";
        for (program, message, activity, name) in [
            (
                "dhcpd",
                "DHCPREQUEST for 192.0.2.5 (198.51.100.1) from 00:11:22:33:44:55 (laptop) via eth0",
                3,
                json!("laptop"),
            ),
            ("dhcpd", "DHCPACK on 192.0.2.5 to 00:11:22:33:44:55 (laptop) via eth0", 5, json!("laptop")),
            ("dhcpd", "DHCPACK to 192.0.2.5 (00:11:22:33:44:55) via eth0", 5, json!(null)),
            ("dhcpd", "DHCPNAK on 192.0.2.5 to 00:11:22:33:44:55 via eth0", 6, json!(null)),
            ("dhcpd", "DHCPRELEASE of 192.0.2.5 from 00:11:22:33:44:55 (laptop) via eth0 (found)", 7, json!("laptop")),
            ("dhcpd", "DHCPDECLINE of 192.0.2.5 from 00:11:22:33:44:55 via eth0: abandoned", 4, json!(null)),
            ("dnsmasq-dhcp", "DHCPACK(eth0) 192.0.2.5 00:11:22:33:44:55 laptop", 5, json!("laptop")),
            ("dnsmasq-dhcp", "123456789 DHCPNAK(eth0) 192.0.2.5 00:11:22:33:44:55 wrong network", 6, json!(null)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw {program}[9]: {message}"));
            assert_eq!(event["type_uid"], 400_400 + activity, "{message}");
            let source = &event["src_endpoint"];
            assert_eq!(
                (&source["ip"], &source["mac"], &source["interface_name"]),
                (&json!("192.0.2.5"), &json!(mac), &json!("eth0")),
                "{message}"
            );
            assert_eq!(source["hostname"], name, "{message}");
            assert!(event["dst_endpoint"].is_object(), "{message}");
        }
        let event = normalized(
            "Mar 16 10:00:00 gw dhcpd[9]: DHCPDISCOVER from 00:11:22:33:44:55 via 192.0.2.254: network a: no free leases",
        );
        assert_eq!((&event["relay"]["ip"], &event["status_id"]), (&json!("192.0.2.254"), &json!(2)));
    }

    #[test]
    fn what_a_client_says_names_the_server() {
        for (said, client, server) in [
            ("DHCPDISCOVER on eth0 to 255.255.255.255 port 67 interval 3", json!(null), "255.255.255.255"),
            ("DHCPREQUEST for 192.0.2.9 on eth0 to 192.0.2.1 port 67", json!("192.0.2.9"), "192.0.2.1"),
            ("DHCPACK from 192.0.2.1", json!(null), "192.0.2.1"),
            ("RCV: Reply message on eth0 from fe80::1.", json!(null), "fe80::1"),
            ("DHCPACK of 192.0.2.9 from 192.0.2.1", json!("192.0.2.9"), "192.0.2.1"),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h dhclient[7]: {said}"));
            assert_eq!(
                (&event["src_endpoint"]["ip"], &event["dst_endpoint"]["ip"]),
                (&client, &json!(server)),
                "{said}"
            );
        }
    }

    #[test]
    fn clients_and_kea_are_read() {
        for (line, kind) in [
            ("Mar 16 10:00:00 gw dhclient[9]: bound to 192.0.2.5 -- renewal in 100 seconds.", 400_405),
            ("Mar 16 10:00:00 gw dhclient[9]: DHCPACK of 192.0.2.5 from 198.51.100.1", 400_405),
            ("Mar 16 10:00:00 gw udhcpc[9]: lease of 192.0.2.5 obtained from 198.51.100.1, lease time 3600", 400_405),
            ("Mar 16 10:00:00 gw udhcpd[9]: sending OFFER of 192.0.2.5", 400_402),
            (
                "Mar 16 10:00:00 gw systemd-networkd[9]: eth0: DHCPv4 address 192.0.2.5/24, gateway 192.0.2.1 acquired from 192.0.2.1",
                400_405,
            ),
            (
                "2026-03-16 10:00:00.123 WARN  [kea-dhcp4.alloc-engine/9] ALLOC_ENGINE_V4_ALLOC_FAIL [hwtype=1 00:11:22:33:44:55], tid=0x1: address 192.0.2.5 failed",
                400_406,
            ),
            ("Mar 16 10:00:00 gw dhcpcd[9]: eth0: leased 192.0.2.5 for 3600 seconds", 400_405),
            (
                "2026-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/9.140] DHCP4_LEASE_ALLOC [hwtype=1 00:11:22:33:44:55], cid=[01:00], tid=0x1: lease 192.0.2.5 has been allocated for 4000 seconds",
                400_405,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.5", "{line}");
        }
    }
}
