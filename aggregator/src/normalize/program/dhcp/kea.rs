//! Kea: leases and packets (4004), its own life (6002).
//!
//! `2026-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/9.140] DHCP4_LEASE_ALLOC [hwtype=1 MAC], cid=[…], tid=0x1: lease A has been
//! allocated for 4000 seconds`, in a file or behind a syslog header. Source: Kea 2.6, src/bin/dhcp4/dhcp4_messages.mes,
//! src/bin/dhcp6/dhcp6_messages.mes.

use super::super::super::remark::{life, remark};
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, head, level, number, port, word};
use super::super::super::{Context, attempt, timestamp};
use super::{Lease, MESSAGES, address, mac, push};
use crate::event::Event;
use crate::schema::Attribute;

/// Whether a line begins as a line of Kea does.
pub(crate) fn looks(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-') && cut(head(text, 64), " [kea-").is_some()
}

/// `2026-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/9.140] DHCP4_LEASE_ALLOC text`.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
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

/// Reads a message of Kea that came in syslog, with Kea's own time inside or without: `[TIME ]INFO  [kea-dhcp4.leases/9.140]
/// DHCP4_LEASE_ALLOC text`.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let found = timestamp::iso(message, header.context.reference);
    let text = found.as_ref().map_or(message, |(_, rest)| rest.trim_start());
    let rest = match cut(text, "] ").filter(|_| text.contains("[kea-")) {
        Some((_, rest)) => rest,
        None => word(text).1,
    };
    let rest = rest.trim_start();
    if !attempt(|rest, (), event| leased(rest, event), rest, &(), event) {
        own(rest, event);
    }
    event.push(Attribute::MetadataEventCode, word(rest).0);
    if let Some((stamp, _)) = found {
        event.time = stamp.time;
        event.set(Attribute::MetadataOriginalTime, stamp.text);
    }
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
    if matches!(name, "PACKET_SEND" | "PACKET_RECEIVED") && moved(name == "PACKET_SEND", rest, event) {
        return true;
    }
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
    let Label { hardware, duid, transaction } = labelled(rest);
    if found.is_none() && hardware.is_none() && duid.is_none() {
        return false;
    }
    let seconds = between(rest, " for ", " seconds").and_then(|(seconds, _)| number(seconds));
    let is_renewal = Some(name.ends_with("LEASE_RENEW"));
    let detail = cut(rest, ": ").filter(|_| activity == 6).map_or("", |(_, detail)| detail);
    let lease = Lease { address: found, mac: hardware, duid, transaction, seconds, is_renewal, ..Lease::default() };
    push(Lease { activity, detail, ..lease }, event)
}

/// How a line names the client and its transaction.
struct Label<'a> {
    hardware: Option<&'a str>,
    duid: Option<&'a str>,
    transaction: Option<&'a str>,
}

/// `[hwtype=1 MAC], cid=[…], tid=0x1: `, `duid=[D], [no hwaddr info], tid=0x1: `.
fn labelled(text: &str) -> Label<'_> {
    Label {
        hardware: between(text, "[hwtype=", "]").and_then(|(inner, _)| mac(word(inner).1)),
        duid: between(text, "duid=[", "]").map(|(duid, _)| duid),
        transaction: cut(text, "tid=").map(|(_, tid)| word(tid).0.trim_end_matches([',', ':'])),
    }
}

/// `…: trying to send packet DHCPOFFER (type 2) from A:67 to B:68 on interface eth0`, `…: DHCPDISCOVER (type 1) received from A
/// to B on interface eth0`: the one that Kea sends to, or receives from, is the client.
fn moved<'a>(is_sent: bool, text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((before, rest)) = cut(text, " (type ") else { return false };
    let kind = before.rsplit(' ').next().unwrap_or(before);
    let named = |name: &str| name == kind || name.strip_prefix("DHCP") == Some(kind);
    let Some(&(_, activity)) = MESSAGES.iter().find(|(name, _)| named(name)) else { return false };
    let Some((from, rest)) = cut(rest, " from ").map(|(_, rest)| word(rest)) else { return false };
    let Some((to, rest)) = rest.strip_prefix("to ").map(word) else { return false };
    let ((client, number), (server, server_port)) = if is_sent { (end(to), end(from)) } else { (end(from), end(to)) };
    let Label { hardware, duid, transaction } = labelled(before);
    let lease = Lease { mac: hardware, duid, transaction, server: address(server), server_port, ..Lease::default() };
    let interface = rest.strip_prefix("on interface ").map(|name| word(name).0);
    push(Lease { activity, address: address(client), port: number, interface, ..lease }, event)
}

/// `A`, `A:67`, `[A]:547`.
fn end(text: &str) -> (&str, Option<i64>) {
    if address(text).is_some() {
        return (text, None);
    }
    text.rsplit_once(':').map_or((text, None), |(host, number)| (host, port(number)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn the_time_inside_is_the_time() {
        let event = normalized(
            "Mar 16 10:00:00 gw kea-dhcp4[9]: 2024-03-16 10:00:00.123 INFO  [kea-dhcp4.leases/9.140] DHCP4_RELEASE [hwtype=1 00:11:22:33:44:55], cid=[01:00], tid=0x1: address 192.0.2.5 was released properly.",
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_407), &json!(1_710_579_600_123_i64)));
        assert_eq!(event["metadata"]["original_time"], "2024-03-16 10:00:00.123");
        assert_eq!(
            (&event["transaction_uid"], &event["metadata"]["event_code"]),
            (&json!("0x1"), &json!("DHCP4_RELEASE"))
        );
    }

    #[test]
    fn packets_name_both_ends() {
        let label = "[hwtype=1 00:11:22:33:44:55], cid=[01:00], tid=0x1a";
        for (said, kind, client, server) in [
            (
                format!("DHCP4_PACKET_SEND {label}: trying to send packet DHCPOFFER (type 2) from 192.0.2.254:67 to 192.0.2.5:68 on interface eth1"),
                400_402,
                json!({"ip": "192.0.2.5", "port": 68, "mac": "00:11:22:33:44:55", "interface_name": "eth1"}),
                json!({"ip": "192.0.2.254", "port": 67}),
            ),
            (
                format!("DHCP4_PACKET_RECEIVED {label}: DHCPDISCOVER (type 1) received from 0.0.0.0 to 255.255.255.255 on interface eth1"),
                400_401,
                json!({"ip": "0.0.0.0", "mac": "00:11:22:33:44:55", "interface_name": "eth1"}),
                json!({"ip": "255.255.255.255"}),
            ),
            (
                "DHCP6_PACKET_SEND duid=[00:01], [no hwaddr info], tid=0x1a: trying to send packet ADVERTISE (type 2) from [fe80::1]:547 to [fe80::2]:546 on interface eth1".to_owned(),
                400_402,
                json!({"ip": "fe80::2", "port": 546, "uid": "00:01", "interface_name": "eth1"}),
                json!({"ip": "fe80::1", "port": 547}),
            ),
        ] {
            let event = normalized(&format!("2026-03-16 10:00:00.123 INFO  [kea-dhcp4.packets/9.140] {said}"));
            assert_eq!((&event["type_uid"], &event["transaction_uid"]), (&json!(kind), &json!("0x1a")), "{said}");
            assert_eq!((&event["src_endpoint"], &event["dst_endpoint"]), (&client, &server), "{said}");
        }
    }
}
