//! PAN-OS: comma-separated lines of Palo Alto's firewalls, in syslog or alone.
//!
//! `1,2026/03/16 10:00:00,SERIAL,TYPE,SUBTYPE,…`: `TRAFFIC` (4001), `THREAT` (2004; its subtype `url` 4002), `SYSTEM` (3002 where
//! somebody logs on, else 6002 and 6008), `CONFIG` (5019), `GLOBALPROTECT` (3002, 4014), `AUTHENTICATION` (3002), `USERID` (3002),
//! `DECRYPTION` (4001), `CORRELATION` (2004).
//! The time is the device's own, without a zone. Source: Palo Alto Networks, PAN-OS 8 to 11, "Syslog Field Descriptions".

use super::combined::push_url;
use super::endpoint::{ip, push_destination, push_source};
use super::outcome::{Control, controlled, failure, success};
use super::remark::remark;
use super::text::{between, number, port};
use super::{Context, timestamp, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most columns that are read of a line.
const COLUMNS_MAX: usize = 72;

/// The columns; one that says nothing is empty.
struct Columns<'a>([&'a str; COLUMNS_MAX]);

impl<'a> Columns<'a> {
    fn read(text: &'a str) -> Self {
        let mut columns = [""; COLUMNS_MAX];
        let mut rest = text;
        for slot in &mut columns {
            let quoted = rest.strip_prefix('"').and_then(|inner| inner.split_once("\",").or(Some((inner, ""))));
            let (column, after) = quoted.unwrap_or_else(|| rest.split_once(',').unwrap_or((rest, "")));
            *slot = if quoted.is_some() && after.is_empty() { column.trim_end_matches('"') } else { column };
            rest = after;
        }
        Self(columns)
    }

    fn at(&self, place: usize) -> &'a str {
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// Whether a number, a day and a comma begin the line.
pub(super) fn looks(text: &str) -> bool {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let dated = |rest: &[u8]| matches!(rest, [b',', b'2', b'0', _, _, b'/', _, _, b'/', _, _, b' ', ..]);
    rest.len() < text.len() && text.len() - rest.len() < 3 && dated(rest.as_bytes())
}

/// Reads a line; false where its kind is not known.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let columns = Columns::read(text);
    let kind = columns.at(3);
    // When it was generated, else when it was received.
    let stamp = [6, 1].into_iter().find_map(|place| timestamp::iso(columns.at(place), context.reference));
    let Some((stamp, _)) = stamp else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "panos");
    event.push(Attribute::MetadataLogProvider, "PAN-OS");
    event.push(Attribute::MetadataEventCode, kind);
    event.unmap("serial", columns.at(2));
    if !matches!(columns.at(4), "" | "0") {
        event.unmap("subtype", columns.at(4));
    }
    let message = match kind {
        "TRAFFIC" => traffic(&columns, event),
        "THREAT" => threat(&columns, event),
        "SYSTEM" => system(&columns, event),
        "CONFIG" => config(&columns, event),
        "GLOBALPROTECT" => gateway(&columns, event),
        "AUTHENTICATION" => authentication(&columns, event),
        "USERID" => mapping(&columns, event),
        "DECRYPTION" => decryption(&columns, event),
        "CORRELATION" => correlation(&columns, event),
        _ => None,
    };
    let Some(message) = message else { return false };
    event.push(Attribute::Message, if message.is_empty() { text } else { message });
    true
}

/// What the firewall did, in its words.
fn control(action: &str) -> Option<Control> {
    Some(match action {
        "allow" | "continue" | "override" => Control::Allowed,
        "deny" | "block" | "block-url" | "block-continue" | "block-override" | "sinkhole" => Control::Blocked,
        "drop" | "drop-all-packets" | "drop-icmp" | "random-drop" => Control::Dropped,
        "reset-client" | "reset-server" | "reset-both" | "reset client" | "reset server" | "reset both" => {
            Control::Reset
        }
        "alert" => Control::Alerted,
        _ => return None,
    })
}

/// What connections of both kinds have: ends, zones, interfaces, rule, session, user.
fn connection<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> bool {
    let from = push_source(event, columns.at(7), port(columns.at(24)));
    let to = push_destination(event, columns.at(8), port(columns.at(25)));
    transport::push(event, Some(columns.at(29)));
    for (known, attribute, place) in [
        (from, Attribute::SrcEndpointZone, 16),
        (to, Attribute::DstEndpointZone, 17),
        (from, Attribute::SrcEndpointInterfaceName, 18),
        (to, Attribute::DstEndpointInterfaceName, 19),
        (true, Attribute::ConnectionUid, 22),
        (true, Attribute::ActorUserName, 12),
        (true, Attribute::AppProtocolName, 14),
    ] {
        if known && !columns.at(place).is_empty() {
            event.push(attribute, columns.at(place));
        }
    }
    shared(columns, event);
    from || to
}

/// What has no place in OCSF, and what findings have too.
fn shared<'a>(columns: &Columns<'a>, event: &mut Event<'a>) {
    let action = columns.at(30);
    let rule = columns.at(11);
    match control(action) {
        Some(control) => {
            controlled(event, control);
            if !rule.is_empty() {
                event.push(Attribute::FirewallRuleName, rule);
            }
        }
        // A rule is known only where it is said what it did.
        None if !rule.is_empty() => event.unmap("rule", rule),
        None => {}
    }
    for (key, place) in [("nat_src_ip", 9), ("nat_dst_ip", 10), ("dst_user", 13), ("vsys", 15), ("action", 30)] {
        if !matches!(columns.at(place), "" | "0.0.0.0") {
            event.unmap(key, columns.at(place));
        }
    }
}

/// Whether a session was let through, by the word of what was done.
fn judged(action: &str, event: &mut Event<'_>) {
    match control(action) {
        Some(Control::Allowed) => success(event),
        Some(_) => {
            event.activity_id = 5;
            failure(event, "");
        }
        None => {}
    }
}

/// How a session ended that was let through is no failure.
fn traffic<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    event.class = Class::NetworkActivity;
    event.activity_id = match columns.at(4) {
        "start" => 1,
        "end" => 2,
        _ => 5,
    };
    if !connection(columns, event) {
        return None;
    }
    judged(columns.at(30), event);
    for (attribute, place) in [
        (Attribute::TrafficBytes, 31),
        (Attribute::TrafficBytesOut, 32),
        (Attribute::TrafficBytesIn, 33),
        (Attribute::TrafficPackets, 34),
    ] {
        if let Ok(count) = columns.at(place).parse::<i64>() {
            event.push(attribute, count);
        }
    }
    if let Some(seconds) = number(columns.at(36)) {
        event.push(Attribute::Duration, seconds * 1000);
    }
    if !columns.at(46).is_empty() {
        event.push(Attribute::StatusCode, columns.at(46));
    }
    Some("")
}

fn weight(word: &str) -> u8 {
    match word {
        "critical" => 5,
        "high" => 4,
        "medium" => 3,
        "low" => 2,
        _ => 1,
    }
}

/// A threat, or a request that the filter of URLs saw.
fn threat<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    event.severity_id = weight(columns.at(34));
    if columns.at(4) == "url" {
        event.class = Class::HttpActivity;
        event.activity_id = 0;
        if !connection(columns, event) {
            return None;
        }
        push_url(columns.at(31).trim_end_matches('/'), event);
        if !columns.at(46).is_empty() {
            event.push(Attribute::HttpRequestUserAgent, columns.at(46));
        }
        event.unmap("category", columns.at(33));
        return Some(columns.at(31));
    }
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let threat = columns.at(32);
    let (name, id) = threat.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).unwrap_or((threat, columns.at(4)));
    event.push(Attribute::FindingUid, format!("{id}:{}:{}", columns.at(22), columns.at(36)));
    event.push(Attribute::FindingTitle, if name.is_empty() { columns.at(4) } else { name });
    event.push(Attribute::FindingAnalyticName, if name.is_empty() { columns.at(4) } else { name });
    event.push(Attribute::FindingAnalyticUid, id);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::FindingTypes, columns.at(4));
    event.push(Attribute::IsAlert, true);
    for (host, number, address, ports) in [
        (7, 24, Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort),
        (8, 25, Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort),
    ] {
        let Some(host) = ip(columns.at(host)) else { continue };
        event.push(address, host);
        if let Some(port) = port(columns.at(number)) {
            event.push(ports, port);
        }
    }
    transport::push(event, Some(columns.at(29)));
    if !columns.at(12).is_empty() {
        event.push(Attribute::EvidencesUserName, columns.at(12));
    }
    if !columns.at(31).is_empty() {
        event.unmap("file_or_url", columns.at(31));
    }
    shared(columns, event);
    Some(name)
}

/// A logon (3002); always something to read.
fn logon<'a>(user: &'a str, from: &'a str, service: &'a str, passed: bool, reason: &'a str, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
    if ip(from).is_some_and(|ip| ip != "0.0.0.0") {
        push_source(event, from, None);
        event.push(Attribute::IsRemote, true);
    }
    if passed {
        success(event);
    } else {
        failure(event, reason);
    }
}

/// `failed authentication for user 'u'. Reason: …. From: A.`, `User u logged in via Web from A using https`.
fn system<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    event.severity_id = weight(columns.at(13));
    let said = columns.at(14);
    event.unmap("event", columns.at(8));
    let user = between(said, "user '", "'").or_else(|| between(said, "User '", "'")).map(|(user, _)| user);
    let user = user.or_else(|| said.strip_prefix("User ").and_then(|rest| rest.split(' ').next()));
    let from = said.rsplit_once(" from ").or_else(|| said.rsplit_once("From: "));
    let from = from.map_or("", |(_, rest)| rest.split([' ', ',']).next().unwrap_or_default().trim_end_matches('.'));
    let passed = said.contains("authenticated for user") || said.contains(" logged in ");
    let failed = said.starts_with("failed authentication") || said.contains("authentication failed");
    match user.filter(|user| !user.is_empty() && (passed || failed)) {
        Some(user) => logon(user, from, columns.at(12), passed, said, event),
        None => {
            remark("PAN-OS", said, event);
        }
    }
    Some(said)
}

/// Who changed what, from where.
fn config<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    event.class = Class::DeviceConfigStateChange;
    event.activity_id = 1;
    event.push(Attribute::ActorUserName, columns.at(10));
    match columns.at(12) {
        "Failed" | "Unauthorized" => failure(event, columns.at(12)),
        _ => success(event),
    }
    for (key, place) in [("src_ip", 7), ("command", 9), ("client", 11), ("path", 13)] {
        if !columns.at(place).is_empty() {
            event.unmap(key, columns.at(place));
        }
    }
    Some(columns.at(9))
}

/// What is neither the beginning nor the end of a tunnel.
const STATUS: u8 = 99;

/// A client of GlobalProtect that logs on, or whose tunnel comes and goes; that it is given its configuration or asked for the
/// state of its host is no logon.
fn gateway<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    let (name, stage, user) = (columns.at(8), columns.at(9), columns.at(12));
    let passed = columns.at(28) != "failure";
    let reason = if columns.at(26).is_empty() { columns.at(25) } else { columns.at(26) };
    let from = columns.at(15);
    if user.is_empty() {
        return None;
    }
    let tunnel = match (stage, name) {
        ("logout", _) | (_, "gateway-logout" | "gateway-tunnel-down") => Some(2),
        (_, "gateway-config-release") => Some(2),
        ("connected" | "tunnel", _) => Some(1),
        ("configuration" | "host-info", _) => Some(STATUS),
        _ => None,
    };
    match tunnel {
        Some(activity) => {
            event.class = Class::TunnelActivity;
            event.activity_id = activity;
            if activity == STATUS {
                event.push(Attribute::ActivityName, "Status");
            }
            event.push(Attribute::TunnelTypeId, 0);
            event.push(Attribute::UserName, user);
            push_source(event, from, None);
            if let Some(assigned) = ip(columns.at(17)).filter(|ip| *ip != "0.0.0.0") {
                event.push(Attribute::TunnelInterfaceIp, assigned);
            }
            if passed {
                success(event);
            } else {
                failure(event, reason);
            }
        }
        None => logon(user, from, "GlobalProtect", passed, reason, event),
    }
    for (key, place) in [("stage", 9), ("auth_method", 10), ("machine", 14), ("client_version", 21), ("client_os", 23)]
    {
        if !columns.at(place).is_empty() {
            event.unmap(key, columns.at(place));
        }
    }
    Some(name)
}

/// `…,vsys,A,USER,NORMALIZED,OBJECT,POLICY,REPEATED,ID,VENDOR,ACTION,PROFILE,DESCRIPTION,CLIENT,EVENT,…`.
fn authentication<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    let user = columns.at(9);
    let said = columns.at(20);
    let passed = !["fail", "invalid", "denied", "reject"].iter().any(|word| said.to_ascii_lowercase().contains(word));
    (!user.is_empty()).then(|| logon(user, columns.at(8), "PAN-OS", passed, columns.at(18), event))?;
    Some(said)
}

/// A user that was mapped to an address, or is no longer: `…,vsys,A,USER,SOURCE,EVENT,…`.
fn mapping<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    let user = columns.at(9);
    (!user.is_empty()).then(|| logon(user, columns.at(8), "User-ID", true, "", event))?;
    if columns.at(4) == "logout" {
        event.activity_id = 2;
    }
    Some("")
}

/// A TLS session that was decrypted, or could not be: as traffic up to what was done, then the handshake.
fn decryption<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    if !connection(columns, event) {
        return None;
    }
    judged(columns.at(30), event);
    if !columns.at(39).is_empty() {
        event.unmap("tls_version", columns.at(39));
    }
    Some("")
}

/// `…,A,USER,VSYS,CATEGORY,SEVERITY,…,OBJECT,ID,EVIDENCE`: what several of its logs say together.
fn correlation<'a>(columns: &Columns<'a>, event: &mut Event<'a>) -> Option<&'a str> {
    let title = if columns.at(19).is_empty() { columns.at(10) } else { columns.at(19) };
    let from = ip(columns.at(7)).filter(|_| !title.is_empty())?;
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = match number(columns.at(11)) {
        Some(level) => u8::try_from(level).map_or(1, |level| level.clamp(1, 5)),
        None => weight(columns.at(11)),
    };
    event.push(Attribute::FindingUid, format!("{}:{from}:{}", columns.at(20), event.time.as_ms()));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticUid, columns.at(20));
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::FindingTypes, columns.at(10));
    event.push(Attribute::IsAlert, true);
    event.push(Attribute::EvidencesSrcEndpointIp, from);
    if !columns.at(8).is_empty() {
        event.push(Attribute::EvidencesUserName, columns.at(8));
    }
    Some(columns.at(21))
}

#[cfg(test)]
mod tests;
