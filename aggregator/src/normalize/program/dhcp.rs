//! DHCP: ISC dhcpd and dhclient, Kea, dnsmasq, udhcpd and udhcpc, dhcpcd, systemd-networkd (4004).
//!
//! `DHCPREQUEST for A (S) from MAC (NAME) via eth0: reason`, `DHCPACK on A to MAC (NAME) via eth0`, `DHCPACK(eth0) A MAC NAME`.
//! The client is the source; a line in which a server only offers names it by its hardware address. Source: ISC DHCP 4.4,
//! server/dhcp.c; dnsmasq 2.90, src/rfc2131.c; busybox 1.36, networking/udhcp.

mod isc;
pub(super) mod kea;

use super::super::endpoint::{self, push_destination};
use super::super::outcome::{failure, success};
use super::super::record::is_mac;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, number, word};
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
    ("DHCPLEASEQUERY", LEASE_QUERY),
    ("DHCPINFORMATION-REQUEST", 8),
    ("SLAAC-CONFIRM", 5),
];

/// `activity_id` of a question about the lease of another (RFC 4388 §6.1), which OCSF has no number for.
const LEASE_QUERY: u8 = 99;

/// What servers write where they do not grant, or do not even answer.
const REFUSALS: [&str; 15] = [
    "no free leases",
    "no address ",
    "No DHCPOFFERS",
    "unknown network",
    "unknown lease",
    "unknown client",
    "ignored",
    "not authoritative",
    "wrong network",
    "database update failed",
    "not found",
    "unavailable",
    "not allowed",
    "peer holds all",
    "disallowed",
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
    server_port: Option<i64>,
    seconds: Option<i64>,
    is_renewal: Option<bool>,
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
        _ => isc::message(message, program == "dhclient")
            .or_else(|| isc::six(message))
            .or_else(|| client(message))
            .or_else(|| udhcp(message)),
    };
    let Some(lease) = lease else {
        return match program {
            "systemd-networkd" => daemon::parse(message, header, event),
            _ => {
                isc::spoofed(program, message, event)
                    || isc::service(program, message, event)
                    || remark(program, message, event)
            }
        };
    };
    if lease.server.is_none()
        && matches!(program, "dhcpd" | "dhcpd3" | "dhcpdv6" | "dnsmasq-dhcp" | "dnsmasq-script" | "udhcpd")
    {
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
    if lease.activity == LEASE_QUERY {
        event.push(Attribute::ActivityName, "Lease Query");
    }
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
        push_destination(event, server, lease.server_port);
    }
    if let Some(seconds) = lease.seconds {
        event.push(Attribute::LeaseDur, seconds);
    }
    if let Some(is_renewal) = lease.is_renewal {
        event.push(Attribute::IsRenewal, is_renewal);
    }
    if matches!(lease.activity, 4 | 6) || REFUSALS.iter().any(|refusal| lease.detail.contains(refusal)) {
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
        return Some(Lease { activity: isc::activity_of_six(verb)?, interface, server, ..Lease::default() });
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
