//! Tunnels of an ASA: IKE, IPsec, WebVPN, AnyConnect (4014), and the TLS sessions beneath them (4001).
//!
//! `Group = g, Username = u, IP = a, text`, `Group <g> User <u> IP <a> text`, `Group g User u IP a text`,
//! `Local:A:p Remote:B:p Username:u text`, `… between A and B (user= u) has been created`.
//! Source: Cisco Secure Firewall ASA Series Syslog Messages, 113019 to 113040, 602303, 602304, 713xxx to 734xxx, 750xxx.

use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::text::{between, cut, port, word};
use super::flow::{End, push_ends};
use super::{after, duration_ms, lasted};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Who is at the far end, and what the message says of it.
#[derive(Default)]
pub(super) struct Peer<'a> {
    pub(super) group: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) address: Option<&'a str>,
    port: Option<i64>,
    local: Option<&'a str>,
    text: &'a str,
}

/// Reads a message about a tunnel, or about all of them; what names no peer and does not belong to tunnels alone is none.
pub(super) fn parse<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let peer = peer(message);
    let named = peer.user.is_some() || peer.address.is_some() || peer.group.is_some();
    if !named && !matches!(id, 713_001..=716_999 | 737_001..=737_999 | 750_001..=753_999) {
        return false;
    }
    event.class = Class::TunnelActivity;
    act(id, peer.text, event);
    event.push(Attribute::TunnelTypeId, 0);
    let secured = matches!(id, 716_000..=734_999 | 113_029..=113_040) || cut(peer.text, "Session Type: SSL").is_some();
    event.push(Attribute::EmailProtocolName, if secured { "SSL" } else { "IPsec" });
    if let Some(address) = peer.address {
        push_source(event, address, peer.port);
    }
    if let Some(address) = peer.local {
        push_destination(event, address, None);
    }
    if let Some(user) = peer.user.filter(|user| !user.eq_ignore_ascii_case("unknown")) {
        let (domain, name) = user.rsplit_once('\\').map_or((None, user), |(domain, name)| (Some(domain), name));
        event.push(Attribute::UserName, name);
        if let Some(domain) = domain {
            event.push(Attribute::UserDomain, domain);
        }
    }
    if let Some(group) = peer.group {
        event.unmap("group", group);
    }
    details(peer.text, event);
    true
}

/// What a tunnel that ended says.
const ENDED: [&str; 10] = [
    "disconnected",
    "terminat",
    "deleted",
    "closing",
    "torn down",
    "SA DOWN",
    "ended",
    "loss",
    "logged out",
    "Disconnect",
];
/// What one that was opened says.
const OPENED: [&str; 11] = [
    "established",
    "COMPLETED",
    "completed",
    "created",
    "started",
    "SA UP",
    "New ",
    "assigned",
    "Assigned",
    "successful",
    "connected",
];
/// What one that failed says.
const FAILED: [&str; 15] = [
    "ailed",
    "ailure",
    "not allowed",
    "could not",
    "Unable",
    "ejected",
    "enied",
    "abort",
    "invalid",
    "Invalid",
    "error",
    "Error",
    "mismatch",
    "unknown",
    "unsuccessful",
];

/// What happened to the tunnel, by what the message says.
fn act<'a>(id: i64, text: &'a str, event: &mut Event<'a>) {
    let says = |words: &[&str]| words.iter().any(|word| cut(text, word).is_some());
    let detail =
        cut(text, "eason: ").or_else(|| cut(text, "closing connection: ")).or_else(|| cut(text, "SVC Message: "));
    let detail = detail.map_or("", |(_, reason)| reason.trim_end_matches('.'));
    if says(&["rekey", "Rekey", "REKEY"]) {
        event.activity_id = 3;
        success(event);
    } else if id == 113_019 || says(&ENDED) {
        event.activity_id = 2;
        success(event);
        if !detail.is_empty() {
            event.push(Attribute::StatusDetail, detail);
        }
        return;
    } else if says(&FAILED) {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Fail");
        failure(event, if detail.is_empty() { text } else { detail });
        return;
    } else if says(&OPENED) {
        event.activity_id = 1;
        success(event);
    } else {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Status");
    }
    if !detail.is_empty() {
        event.push(Attribute::StatusDetail, detail);
    }
}

/// `Session Type: SSL, Duration: 2h:27m:34s, Bytes xmt: 1, Bytes rcv: 2`; addresses that were assigned; security parameters.
fn details<'a>(text: &'a str, event: &mut Event<'a>) {
    if let Some((kind, _)) =
        between(text, "Session Type: ", ",").or_else(|| cut(text, "Session Type: ").map(|(_, kind)| (kind, "")))
    {
        event.push(Attribute::TunnelType, kind.trim_end_matches('.'));
    }
    if let Some(ms) = after(text, "Duration: ").and_then(duration_ms) {
        lasted(event, ms);
    }
    for (attribute, mark) in [(Attribute::TrafficBytesOut, "Bytes xmt: "), (Attribute::TrafficBytesIn, "Bytes rcv: ")] {
        if let Some(bytes) = after(text, mark).and_then(|bytes| bytes.parse::<u32>().ok()) {
            event.push(attribute, bytes);
        }
    }
    let assigned = between(text, "IPv4 Address <", ">").map(|(address, _)| address);
    let freed = || cut(text, "Freeing ").and_then(|(_, text)| after(text, " address ")).and_then(endpoint::ip);
    let marks = ["private IP address ", "pool address ", "Client assigned ", "from local pool ", "IPv4 Address="];
    let marked = || marks.iter().find_map(|mark| after(text, mark).and_then(endpoint::ip));
    if let Some(address) = assigned.and_then(endpoint::ip).or_else(marked).or_else(freed) {
        event.push(Attribute::TunnelInterfaceIp, address);
    }
    if let Some(spi) = after(text, "SPI= ").or_else(|| after(text, "SPI=")) {
        event.push(Attribute::SessionUid, spi.trim_end_matches(')'));
    }
}

pub(super) fn peer(message: &str) -> Peer<'_> {
    if ["Group <", "User <", "TunnelGroup <"].iter().any(|start| message.starts_with(start)) {
        return Peer {
            group: between(message, "Group <", ">").map(|(group, _)| group),
            user: between(message, "User <", ">").map(|(user, _)| user),
            address: between(message, "IP <", ">").and_then(|(ip, _)| endpoint::ip(ip)),
            text: cut(message, "IP <").and_then(|(_, rest)| cut(rest, "> ")).map_or(message, |(_, text)| text),
            ..Peer::default()
        };
    }
    if let Some((_, rest)) = cut(message, "Local:") {
        return ikev2(rest);
    }
    if let Some(rest) = message.strip_prefix("DAP: User ") {
        let user = rest.split([',', ':']).next();
        return Peer {
            user,
            address: after(message, "Addr ").and_then(endpoint::ip),
            text: message,
            ..Peer::default()
        };
    }
    if let Some(user) = after(message, "client user ") {
        return Peer {
            user: Some(user),
            address: after(message, "IP ").and_then(endpoint::ip),
            text: message,
            ..Peer::default()
        };
    }
    if let Some((first, rest)) = between(message, " between ", " and ") {
        let (second, rest) = word(rest);
        let user = between(rest, "user= ", ")").or_else(|| between(rest, "user=", ")")).map(|(user, _)| user.trim());
        // Whose address is the user's name is the peer; an inbound association says it first.
        let (local, remote) = if user == Some(first) { (second, first) } else { (first, second) };
        return Peer { user, address: Some(remote), local: Some(local), text: message, ..Peer::default() };
    }
    if let Some((address, rest)) = cut(message, "remote-peer = ").map(|(_, rest)| cut(rest, ",").unwrap_or((rest, "")))
    {
        let user = after(rest, "username = ");
        return Peer { user, address: endpoint::ip(address.trim()), text: message, ..Peer::default() };
    }
    labeled(message)
}

/// `A:p Remote:B:p Username:u text`.
fn ikev2(rest: &str) -> Peer<'_> {
    let ends = |text| -> Option<(&str, Option<i64>)> {
        let (first, _) = word(text);
        let (host, number) = first.rsplit_once(':')?;
        Some((host, port(number)))
    };
    let local = ends(rest).map(|(host, _)| host);
    let remote = cut(rest, "Remote:").and_then(|(_, rest)| ends(rest));
    let (user, text) = match cut(rest, "Username:") {
        Some((_, rest)) => {
            let (user, text) = word(rest);
            (Some(user), text)
        }
        None => (None, rest),
    };
    Peer {
        user,
        address: remote.map(|(host, _)| host),
        port: remote.and_then(|(_, port)| port),
        local,
        text,
        group: None,
    }
}

/// `Group = g, Username = u, IP = a, text` with any of them missing, and `Group g User u IP a text`.
fn labeled(message: &str) -> Peer<'_> {
    let mut peer = Peer { text: message, ..Peer::default() };
    let mut rest = message;
    for _ in 0..4 {
        let (label, tail) = word(rest);
        let (value, tail) = match tail.strip_prefix("= ") {
            Some(tail) => cut(tail, ", ").unwrap_or((tail, "")),
            None => word(tail),
        };
        match label {
            "Group" => peer.group = Some(value),
            "Username" | "User" if peer.user.is_none() => peer.user = Some(value),
            "IP" => peer.address = endpoint::ip(value.trim_end_matches([',', '.'])),
            _ => break,
        }
        rest = tail;
    }
    peer.text = rest;
    if peer.address.is_none() {
        peer.address = after(rest, "from ")
            .or_else(|| after(rest, "peer "))
            .and_then(|word| endpoint::ip(word.trim_end_matches(['.', ':'])));
    }
    if peer.group.is_none() {
        peer.group = after(rest, "connection attempt from ").map(|group| group.trim_end_matches('.'));
    }
    peer
}

/// `Device completed SSL handshake with client IFC:A/p [to IFC:B/p] for TLSv1.2 session`.
pub(super) fn tls<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, "client ").or_else(|| cut(message, "server ")).or_else(|| cut(message, "peer "))
    else {
        return false;
    };
    let Some((source, rest)) = End::parse(rest) else { return false };
    let destination = rest.trim_start().strip_prefix("to ").and_then(End::parse).map(|(end, _)| end);
    push_ends(event, Some(&source), destination.as_ref());
    event.push(Attribute::AppProtocolName, "tls");
    let version =
        cut(message, "for ").map(|(_, rest)| word(rest).0).filter(|word| word.contains("SSL") || word.contains("TLS"));
    if let Some(version) = version {
        event.push(Attribute::TlsVersion, version);
    }
    match id {
        725_006 | 725_014 | 725_015 => {
            event.activity_id = 4;
            failure(event, cut(message, "eason: ").map_or("", |(_, reason)| reason));
        }
        725_007 => {
            event.activity_id = 2;
            success(event);
        }
        725_001..=725_003 => {
            event.activity_id = 1;
            success(event);
        }
        _ => event.activity_id = 6,
    }
    true
}

/// `A:500`, `A`, without what follows it.
pub(super) fn address(text: &str) -> Option<(&str, Option<i64>)> {
    let text = text.trim_end_matches(['.', ',', ')']);
    match endpoint::ip(text) {
        Some(ip) => Some((ip, None)),
        None => text.rsplit_once(':').and_then(|(host, number)| Some((endpoint::ip(host)?, port(number)))),
    }
}
