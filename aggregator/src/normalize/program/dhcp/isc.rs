//! ISC dhcpd, dhclient's messages on the wire, and dhcpd as Infoblox has it.
//!
//! `DHCPREQUEST for A (S) from MAC (NAME) via eth0: reason`, `DHCPACK on A to MAC via eth0 relay A lease-duration 1800 (RENEW)
//! uid 01:…`, `Solicit message from A port 546, transaction ID 0x1`. Source: ISC DHCP 4.4, server/dhcp.c, server/dhcpv6.c.

use super::super::super::endpoint;
use super::super::super::outcome::LOW;
use super::super::super::remark::{life, remark, report};
use super::super::super::text::{between, cut, number, port, word};
use super::{Lease, activity, address, mac};
use crate::event::Event;

/// `severity_id` 3, medium: somebody gave back an address that is in use.
const SPOOFED: u8 = 3;

/// `Possible release spoof - Not releasing address A`, `IP address A answers a ping after sending a release`: a report, but one
/// to look at.
pub(super) fn spoofed<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    let said = message.strip_prefix("Possible release spoof - Not releasing address ").or_else(|| {
        message.strip_prefix("IP address ").filter(|rest| rest.contains(" answers a ping after sending a release"))
    });
    let Some(found) = said.and_then(|said| address(word(said).0)) else { return false };
    event.unmap("src_ip", found);
    event.severity_id = event.severity_id.max(SPOOFED);
    report(program, event)
}

/// The server itself: `exiting.`, `Can't listen on eth0 …`, `/etc/dhcp/dhcpd.conf line 3: expecting left brace.`
pub(super) fn service<'a>(program: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    if message == "exiting." {
        return life(program, 4, event);
    }
    let at_line = || cut(message, " line ").and_then(|(_, rest)| cut(rest, ": ")).and_then(|(at, _)| number(at));
    let named = message.starts_with('/') && at_line().is_some();
    if !named && !message.starts_with("Can't ") {
        return false;
    }
    event.severity_id = event.severity_id.max(LOW);
    remark(program, message, event)
}

/// `DHCPREQUEST for A (S) from MAC (NAME) via eth0: reason`, `DHCPOFFER on A to MAC (NAME) via 192.0.2.1`, `DHCPRELEASE of A from MAC via eth0 (found)`.
/// What a client says itself names the server behind `from` and `to`: `DHCPREQUEST for A on eth0 to S port 67`, `DHCPACK from S`.
pub(super) fn message(message: &str, is_client: bool) -> Option<Lease<'_>> {
    let (name, rest) = word(message);
    let activity = activity(name)?;
    let (head, via) = cut(rest, " via ").unwrap_or((rest, ""));
    let (head, detail) = cut(head, ": ").unwrap_or((head, ""));
    let mut lease = Lease { activity, detail, ..Lease::default() };
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
    if !via.is_empty() {
        came(via, &mut lease);
    }
    Some(lease)
}

/// Behind ` via `: `eth0: reason`, `192.0.2.1`, `eth0 (not found)`, and what Infoblox adds: `eth0 relay A lease-duration 1800
/// offered-duration 3600 (RENEW) TransID 1a uid 01:…: reason`.
fn came<'a>(via: &'a str, lease: &mut Lease<'a>) {
    let (by, mut rest) = word(via);
    match endpoint::ip(by.trim_end_matches(':')) {
        Some(relay) => lease.relay = Some(relay),
        None => lease.interface = Some(by.trim_end_matches(':')),
    }
    let mut is_over = by.ends_with(':');
    while !is_over && !rest.is_empty() {
        if let Some((inner, after)) = rest.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
            match inner {
                "RENEW" => lease.is_renewal = Some(true),
                _ => lease.detail = inner,
            }
            is_over = after.starts_with(':');
            rest = after.trim_start_matches([':', ' ']);
            continue;
        }
        let (key, after) = word(rest);
        let (value, after) = word(after);
        let bare = value.trim_end_matches(':');
        match key {
            "relay" => lease.relay = endpoint::ip(bare).or(lease.relay),
            "lease-duration" | "offered-duration" => lease.seconds = number(bare).or(lease.seconds),
            "TransID" => lease.transaction = Some(bare),
            "uid" => lease.duid = Some(bare),
            _ => break,
        }
        is_over = value.ends_with(':');
        rest = after;
    }
    if !rest.is_empty() {
        lease.detail = rest.trim();
    }
}

/// The messages of RFC 8415 as ISC's programs name them.
pub(super) fn activity_of_six(name: &str) -> Option<u8> {
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

/// dhcpd for IPv6: `Solicit message from A port 546, transaction ID 0x1`, `Encapsulated Solicit message from A port 547 from
/// client DUID D, transaction ID 0x1`, `Reply NA: address A to client with duid D iaid = 1 valid for 300 seconds`, `Sending Reply
/// to A port 546`, `Encapsulating Reply message to send to A port 547`, `Client D releases address A`.
pub(super) fn six(message: &str) -> Option<Lease<'_>> {
    let act = ["Sending ", "Encapsulated ", "Encapsulating "].iter().find_map(|act| message.strip_prefix(act));
    let (verb, rest) = word(act.unwrap_or(message));
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
    let peer = ["message from ", "message to send to ", "message to ", "to "];
    if let Some(rest) = peer.iter().find_map(|mark| rest.strip_prefix(mark)) {
        let number = cut(rest, " port ").map(|(_, port)| word(port).0.trim_end_matches(','));
        return Some(Lease {
            activity,
            address: address(word(rest).0),
            port: number.and_then(port),
            duid: between(rest, "client DUID ", ",").map(|(duid, _)| duid),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn the_server_stops_and_says_what_it_cannot_do() {
        for (message, kind, status) in [
            ("exiting.", 600_204, 1),
            ("Can't listen on eth1 - dhcpd.conf has no subnet declaration for 192.0.2.1.", 600_801, 2),
            ("/etc/dhcp/dhcpd.conf line 7: expecting left brace.", 600_801, 2),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw dhcpd[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{message}");
        }
    }

    #[test]
    fn a_refusal_is_a_failure_with_its_reason() {
        for (message, kind, detail) in [
            (
                "DHCPREQUEST for 192.0.2.5 (192.0.2.1) from 00:11:22:33:44:55 via eth1: unknown lease 192.0.2.5.",
                3,
                "unknown lease 192.0.2.5.",
            ),
            (
                "DHCPREQUEST for 192.0.2.5 from 00:11:22:33:44:55 via eth1 TransID 9a: ignored (not authoritative).",
                3,
                "ignored (not authoritative).",
            ),
            ("DHCPREQUEST for 192.0.2.5 from 00:11:22:33:44:55 (pc) via eth1: wrong network.", 3, "wrong network."),
            (
                "DHCPREQUEST for 192.0.2.5 from 00:11:22:33:44:55 via eth1 TransID 9a uid 01:00: database update failed",
                3,
                "database update failed",
            ),
            (
                "DHCPREQUEST for 192.0.2.5 from 00:11:22:33:44:55 via eth1: lease 192.0.2.5 unavailable.",
                3,
                "lease 192.0.2.5 unavailable.",
            ),
            ("DHCPRELEASE of 192.0.2.5 from 00:11:22:33:44:55 via eth1 (not found) TransID 9a", 7, "not found"),
            (
                "DHCPINFORM from 192.0.2.5 via 192.0.2.254 TransID 9a: not authoritative for subnet 192.0.2.0",
                8,
                "not authoritative for subnet 192.0.2.0",
            ),
            (
                "DHCPLEASEQUERY from 192.0.2.5: LEASEQUERY not allowed, query ignored",
                99,
                "LEASEQUERY not allowed, query ignored",
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw dhcpd[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_400 + kind), &json!(2)), "{message}");
            assert_eq!(
                (&event["status_detail"], &event["src_endpoint"]["ip"]),
                (&json!(detail), &json!("192.0.2.5")),
                "{message}"
            );
        }
    }

    #[test]
    fn what_infoblox_adds_is_read() {
        let lease = "to 00:11:22:33:44:55 (pc) via eth1 relay 192.0.2.254 lease-duration 1800";
        for (message, seconds, renewal) in [
            (format!("DHCPACK on 192.0.2.5 {lease} (RENEW) uid 01:00:11"), 1800, json!(true)),
            (format!("DHCPOFFER on 192.0.2.5 {lease} offered-duration 3600 uid 01:00:11"), 3600, json!(null)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw dhcpd[9]: {message}"));
            assert_eq!((&event["lease_dur"], &event["is_renewal"]), (&json!(seconds), &renewal), "{message}");
            let expected = json!({
                "ip": "192.0.2.5", "mac": "00:11:22:33:44:55", "hostname": "pc", "interface_name": "eth1", "uid": "01:00:11"
            });
            assert_eq!(
                (&event["src_endpoint"], &event["relay"]["ip"]),
                (&expected, &json!("192.0.2.254")),
                "{message}"
            );
            assert_eq!((&event["status_id"], &event["status_detail"]), (&json!(1), &json!(null)), "{message}");
        }
        let event = normalized(
            "Mar 16 10:00:00 gw dhcpd[9]: DHCPRELEASE of 192.0.2.5 from 00:11:22:33:44:55 via eth1 (found) TransID 1a2b uid 01:00",
        );
        assert_eq!((&event["transaction_uid"], &event["status_detail"]), (&json!("1a2b"), &json!("found")));
    }

    #[test]
    fn relayed_six_and_spoofed_releases_name_the_address() {
        let event = normalized(
            "Mar 16 10:00:00 gw dhcpdv6[9]: Encapsulated Solicit message from 2001:db8::1 port 547 from client DUID 00:01:aa, transaction ID 0x1A2B",
        );
        assert_eq!((&event["type_uid"], &event["transaction_uid"]), (&json!(400_401), &json!("0x1A2B")));
        assert_eq!(event["src_endpoint"], json!({"ip": "2001:db8::1", "port": 547, "uid": "00:01:aa"}));
        for message in [
            "Possible release spoof - Not releasing address 192.0.2.5",
            "IP address 192.0.2.5 answers a ping after sending a release",
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw dhcpd[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(600_299), &json!(3)), "{message}");
            assert_eq!(event["unmapped"]["src_ip"], "192.0.2.5", "{message}");
        }
    }
}
