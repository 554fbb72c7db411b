//! FortiGate and what speaks as it does: traffic (4001), intrusion, viruses and anomalies (2004), web (4002) and DNS filters (4003), tunnels (4014), logons
//! (3002), changes of configuration (5019), the device's own life (6002, 6008).
//!
//! In: `[<PRI>][TIME HOST ]date=2026-03-16 time=10:00:00 … type="traffic" subtype="forward" …`, quoted or not, in the words of
//! FortiOS 4 (`src`, `src_port`, `status`) or 5 to 7 (`srcip`, `srcport`, `action`). Out: what OCSF has a place for; every other key in
//! `unmapped`. Time: `eventtime` (seconds to nanoseconds), else date and time in the zone of `tz`. Source: Fortinet, FortiOS Log
//! Message Reference 7.4.

mod device;
mod kin;
mod sophos;

use super::combined::{push_method, push_url};
use super::endpoint::{self, push_destination, push_source};
use super::formats::MARK_LEN_MAX;
use super::outcome::{Control, controlled, failure, success};
use super::pairs::pairs;
use super::record::is_mac;
use super::text::{between, cut, head, level, number, port, word};
use super::timestamp;
use super::{Context, syslog};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most keys that are read of a line.
const KEYS_MAX: usize = 112;

/// The keys and values of a line; a value that says nothing (`N/A`, `(null)`) is left out.
struct Keys<'a> {
    pairs: [(&'a str, &'a str); KEYS_MAX],
    count: usize,
}

impl<'a> Keys<'a> {
    fn read(text: &'a str) -> Self {
        let mut keys = Self { pairs: [("", ""); KEYS_MAX], count: 0 };
        let date = text.strip_prefix("date=").and_then(|rest| rest.get("2026-03-16".len()..));
        match date.map(str::as_bytes) {
            Some([b',', ..]) => elements(text, false).for_each(|(key, value)| keys.add(key, value)),
            // The quote that opens the first element stands before the text.
            Some([b'"', b',', ..]) => elements(text, true).for_each(|(key, value)| keys.add(key, value)),
            _ => pairs(text).for_each(|pair| pair.value.into_iter().for_each(|value| keys.add(pair.key, value))),
        }
        keys
    }

    fn add(&mut self, key: &'a str, value: &'a str) {
        if let Some(slot) = self.pairs.get_mut(self.count) {
            *slot = (key, value);
            self.count += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().take(self.count).copied()
    }

    fn find(&self, key: &str) -> Option<&'a str> {
        self.iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value)
            .filter(|value| !matches!(*value, "" | "N/A" | "(null)" | "undefined" | "none"))
    }

    /// The value of the first of several names.
    fn any(&self, names: &[&str]) -> Option<&'a str> {
        names.iter().find_map(|name| self.find(name))
    }
}

/// The keys and values of a line in the form of `set format csv`: `key=value,key="a, value"`, or each of them a quoted element
/// with its quotes doubled, `key=value","key=""a, value"""`.
fn elements(text: &str, is_open: bool) -> impl Iterator<Item = (&str, &str)> {
    let (mut rest, mut inside) = (text, is_open);
    let each = std::iter::from_fn(move || {
        let end = rest.bytes().position(|byte| {
            inside ^= byte == b'"';
            byte == b',' && !inside
        });
        let (element, after) = match end {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
            None => (rest, ""),
        };
        (rest, inside) = (after, false);
        (!element.is_empty()).then_some(element)
    });
    each.filter_map(|element| {
        let (key, value) = element.trim_matches(['"', ' ']).split_once('=')?;
        Some((key, value.trim_matches('"')))
    })
}

/// Most answers of a name server that are read.
const ANSWERS_MAX: u16 = 16;

/// Keys that OCSF has a place for in every event, or that say nothing beside.
const PLACED: [&str; 12] =
    ["date", "time", "eventtime", "tz", "devname", "devid", "logid", "log_id", "device_id", "level", "pri", "msg"];

/// Where the first `date=` begins, or else the first `devname=`.
fn key(text: &str) -> Option<usize> {
    let mut device = None;
    for at in memchr::memchr_iter(b'=', text.as_bytes()) {
        // Both end in the same letter: most are done with one look.
        let Some((b'e', _)) = text.as_bytes().get(..at).and_then(<[u8]>::split_last) else { continue };
        let before = text.get(..at)?;
        if let Some(before) = before.strip_suffix("date") {
            return Some(before.len());
        }
        device = device.or_else(|| before.strip_suffix("devname").map(str::len));
    }
    device
}

/// What stands before the name that lines of a Sophos Firewall begin with in the format of its reporting.
const SOPHOS_CENTRAL: &str = "device_name=\"";

/// Where the keys begin, if it is such a line.
fn begin(text: &str) -> Option<usize> {
    let near = head(text, MARK_LEN_MAX);
    // Letters of the name are rarer than those of its key.
    let central = || Some(cut(near, "SFW\"")?.0.strip_suffix(SOPHOS_CENTRAL)?.len());
    let at = key(near).or_else(central)?;
    // FortiDDoS and Sophos name themselves first.
    let before = text.get(..at)?.trim_end();
    let last = before.rfind([' ', '>']).map_or(0, |mark| mark + 1);
    let at = if ["devid=", "device="].iter().any(|key| before.get(last..).is_some_and(|word| word.starts_with(key))) {
        last
    } else {
        at
    };
    let tail = text.get(at..)?;
    let named = ["logid=", "log_id=", "devid=", "device_id="].iter().any(|key| cut(tail, key).is_some());
    (named && cut(tail, "type=").is_some()).then_some(at)
}

/// Whether a line is one of these.
pub(super) fn looks(text: &str) -> bool {
    begin(text).is_some() || kin::is_authenticator(text)
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if kin::is_authenticator(text) {
        return kin::authenticator(text, event);
    }
    let Some((before, body)) = begin(text).and_then(|at| text.split_at_checked(at)) else { return false };
    let keys = Keys::read(body);
    if let Some((priority, _)) = between(before, "<", ">") {
        number(priority)
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| *n < 192)
            .into_iter()
            .for_each(|n| syslog::apply_priority(n, event));
    }
    timed(body, &keys, context, event);
    let is_sophos = sophos::is_sophos(&keys);
    let (format, provider) = if is_sophos { ("sophos_firewall", "SFW") } else { ("fortigate", "FortiGate") };
    event.push(Attribute::MetadataLogFormat, format);
    event.push(Attribute::MetadataLogProvider, provider);
    if let Some(id) = keys.any(&["logid", "log_id"]) {
        event.push(Attribute::MetadataEventCode, id);
    }
    let host = keys.any(&["devname", "devid", "device_id"]);
    if let Some(host) = host.filter(|_| !event.unmapped.iter().any(|(key, _)| key == "hostname")) {
        event.unmap("hostname", host);
    }
    if let Some(word) = keys.any(&["level", "pri"]) {
        event.push(Attribute::MetadataLogLevel, word);
        event.severity_id = level(word).unwrap_or(event.severity_id);
    }
    event.push(Attribute::Message, keys.any(&["msg", "logdesc"]).unwrap_or(body));
    let mark = (event.fields.len(), event.severity_id);
    let known = if is_sophos { sophos::classify(&keys, event) } else { classify(&keys, event) };
    if !known {
        event.fields.truncate(mark.0);
        event.severity_id = mark.1;
        event.class = Class::BaseEvent;
        event.activity_id = 0;
    }
    for (key, value) in
        keys.iter().filter(|(key, value)| !PLACED.contains(key) && !matches!(*value, "" | "N/A" | "(null)"))
    {
        event.unmap(key, value);
    }
    true
}

fn timed<'a>(body: &'a str, keys: &Keys<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let zone = keys.any(&["tz", "timezone"]);
    let local = cut(body, "date=").and_then(|(_, rest)| {
        let (date, rest) = word(rest);
        let clock = rest.strip_prefix("time=")?.trim_matches('"');
        let stamp = timestamp::parts(date.trim_matches('"'), clock, zone, context.reference)?;
        let end = body.len() - rest.len() + "time=".len() + clock.len().min("00:00:00\"".len());
        Some(timestamp::Stamp { text: body.get(..end).unwrap_or(date).trim(), ..stamp })
    });
    // With commas between the keys.
    let listed = || {
        let stamp = timestamp::parts(keys.find("date")?, keys.find("time")?, zone, context.reference)?;
        let end = cut(body, "time=")?.0.len() + "time=00:00:00".len();
        Some(timestamp::Stamp { text: body.get(..end)?, ..stamp })
    };
    let local = local.or_else(listed).or_else(|| Some(timestamp::iso(keys.find("timestamp")?, context.reference)?.0));
    let counted = keys.find("eventtime").and_then(|count| count.parse::<f64>().ok()).and_then(timestamp::epoch);
    if let (Some(time), Some(text)) = (counted, keys.find("eventtime")) {
        event.time = time;
        event.push(Attribute::MetadataOriginalTime, text);
    } else if let Some(stamp) = local {
        stamp.apply(event);
    }
}

fn classify<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let kind = keys.find("type").unwrap_or_default();
    let subtype = keys.find("subtype").unwrap_or_default();
    match (kind, subtype) {
        ("traffic", _) => traffic(keys, event),
        ("utm", "webfilter") | ("webfilter", _) => web(keys, event),
        ("utm" | "dns", "dns" | "dns-query" | "dns-response") => dns(keys, event),
        ("utm", "ssh") => ssh(keys, event),
        ("utm", "app-ctrl" | "ssl" | "cifs" | "file-filter" | "voip" | "forti-switch") | ("app-ctrl", _) => {
            traffic(keys, event)
        }
        ("utm" | "ips" | "anomaly" | "virus" | "attack" | "emailfilter" | "dlp" | "waf", _) => finding(keys, event),
        ("event", "vpn" | "ipsec" | "sslvpn-user" | "sslvpn-session" | "sslvpn-admin") => device::tunnel(keys, event),
        ("event", "wireless")
            if keys.find("logdesc").is_some_and(|text| text.contains("ogue") || text.contains("WIDS")) =>
        {
            finding(keys, event)
        }
        ("event" | "kevent", _) => device::occurrence(keys, event),
        ("statistics" | "spam" | "encrypt", _) => kin::mail(keys, event),
        _ => false,
    }
}

fn ends<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let ports = |names: &[&str]| keys.any(names).and_then(port);
    let source = keys
        .any(&["srcip", "src", "remip", "rem_ip"])
        .is_some_and(|ip| push_source(event, ip, ports(&["srcport", "src_port", "remport", "rem_port"])));
    let destination = keys
        .any(&["dstip", "dst", "locip", "loc_ip"])
        .is_some_and(|ip| push_destination(event, ip, ports(&["dstport", "dst_port", "locport", "loc_port"])));
    source || destination
}

/// What the firewall did, by the words of all versions.
fn control(keys: &Keys<'_>) -> Control {
    let action = keys.any(&["action", "status"]).unwrap_or_default();
    match action {
        "deny" | "denied" | "blocked" | "block" | "block-page" | "redirected" | "quarantined" => Control::Blocked,
        "dropped" | "drop" | "drop_session" | "clear_session" | "drop-session" => Control::Dropped,
        "reset" | "reset_client" | "reset_server" => Control::Reset,
        "detected" | "monitored" | "monitor" | "log" => Control::Observed,
        // FortiDDoS counts what it dropped, or in its other mode would have.
        _ if keys.find("dropcount").is_some() => match keys.find("sppoperatingmode") {
            Some("detection") => Control::Observed,
            _ => Control::Dropped,
        },
        _ => Control::Allowed,
    }
}

/// Fields of a connection that traffic and filters share.
fn connection<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    for (attribute, names) in [
        (Attribute::SrcEndpointInterfaceName, ["srcintf", "src_int"]),
        (Attribute::DstEndpointInterfaceName, ["dstintf", "dst_int"]),
        (Attribute::SrcEndpointMac, ["srcmac", "mastersrcmac"]),
        (Attribute::AppProtocolName, ["service", "app_type"]),
        (Attribute::FirewallRuleUid, ["policyid", "rule"]),
        (Attribute::FirewallRuleName, ["policyname", "profile"]),
        (Attribute::ActorUserName, ["user", "unauthuser"]),
    ] {
        let takes = |value: &&str| attribute != Attribute::SrcEndpointMac || is_mac(value);
        if let Some(value) = keys.any(&names).filter(takes) {
            event.push(attribute, value);
        }
    }
    let proto = keys.find("proto").and_then(number).filter(|number| *number < 256);
    if let Some(proto) = proto {
        event.push(Attribute::ConnectionProtocolNum, proto);
        let name = match proto {
            1 => "icmp",
            6 => "tcp",
            17 => "udp",
            47 => "gre",
            50 => "esp",
            58 => "ipv6-icmp",
            _ => "",
        };
        if !name.is_empty() {
            event.push(Attribute::ConnectionProtocolName, name);
        }
    }
    let session = keys.any(&["sessionid", "SN"]);
    if let Some(session) = session {
        event.push(Attribute::ConnectionUid, session);
    }
    if proto.is_some() || session.is_some() {
        let direction = match keys.any(&["direction", "dir"]) {
            Some("incoming" | "inbound") => 1,
            Some("outgoing" | "outbound") => 2,
            _ => 0,
        };
        event.push(Attribute::ConnectionDirectionId, direction);
    }
    for (attribute, names) in [
        (Attribute::TrafficBytesOut, ["sentbyte", "sent"]),
        (Attribute::TrafficBytesIn, ["rcvdbyte", "rcvd"]),
        (Attribute::TrafficPacketsOut, ["sentpkt", "sent_pkt"]),
        (Attribute::TrafficPacketsIn, ["rcvdpkt", "rcvd_pkt"]),
    ] {
        if let Some(count) = keys.any(&names).and_then(|count| count.parse::<i64>().ok()) {
            event.push(attribute, count);
        }
    }
    if let Some(seconds) = keys.find("duration").and_then(number) {
        event.push(Attribute::Duration, seconds * 1000);
    }
    ends(keys, event)
}

fn traffic<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::NetworkActivity;
    if keys.find("type") == Some("traffic") && matches!(keys.find("action"), Some("ip-conn" | "dns")) {
        // What the policy let pass found nobody, or no name.
        event.activity_id = 4;
        failure(event, keys.find("msg").unwrap_or("failed connection attempt"));
        return connection(keys, event);
    }
    let control = control(keys);
    event.activity_id = match keys.any(&["action", "status"]).unwrap_or_default() {
        _ if !matches!(control, Control::Allowed | Control::Observed) => 5,
        "start" => 1,
        "close" | "timeout" => 2,
        "client-rst" | "server-rst" => 3,
        _ => 6,
    };
    judged(control, keys, event);
    connection(keys, event)
}

/// What the inspection of SSH let pass or not, of whom: `subtype="ssh" … login="bob" channeltype="shell"`.
fn ssh<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let known = traffic(keys, event);
    event.class = Class::SshActivity;
    if keys.find("service").is_none() {
        event.push(Attribute::AppProtocolName, "ssh");
    }
    if let Some(login) = keys.find("login").filter(|_| keys.any(&["user", "unauthuser"]).is_none()) {
        event.push(Attribute::ActorUserName, login);
    }
    known
}

fn judged<'a>(what: Control, keys: &Keys<'a>, event: &mut Event<'a>) {
    controlled(event, what);
    if matches!(what, Control::Allowed | Control::Observed) {
        success(event);
    } else {
        failure(event, keys.any(&["msg", "utmaction"]).unwrap_or_default());
    }
}

fn web<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::HttpActivity;
    let Some(url) = keys.any(&["url", "hostname"]) else { return false };
    match keys.find("httpmethod") {
        Some(method) => push_method(method, url, event),
        None => push_url(url, event),
    }
    if let Some(host) = keys.find("hostname").filter(|_| event.value(Attribute::HttpRequestUrlHostname).is_none()) {
        event.push(Attribute::HttpRequestUrlHostname, host);
    }
    for (attribute, key) in
        [(Attribute::HttpRequestUserAgent, "agent"), (Attribute::HttpRequestReferrer, "referralurl")]
    {
        if let Some(value) = keys.find(key) {
            event.push(attribute, value);
        }
    }
    judged(control(keys), keys, event);
    connection(keys, event)
}

fn dns<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let Some(name) = keys.find("qname") else { return false };
    event.class = Class::DnsActivity;
    event.activity_id = if keys.find("eventtype") == Some("dns-query") { 1 } else { 2 };
    event.push(Attribute::QueryHostname, name);
    for (attribute, key) in [(Attribute::QueryType, "qtype"), (Attribute::QueryClass, "qclass")] {
        if let Some(value) = keys.find(key) {
            event.push(attribute, value);
        }
    }
    for (index, address) in
        (0..ANSWERS_MAX).zip(keys.find("ipaddr").unwrap_or_default().split([',', ' ']).filter(|a| !a.is_empty()))
    {
        event.push_at(Attribute::AnswersRdata, index, address);
    }
    judged(if keys.find("action") == Some("pass") { Control::Allowed } else { control(keys) }, keys, event);
    connection(keys, event)
}

fn finding<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let subtype = keys.find("subtype").unwrap_or("utm");
    let Some(title) =
        keys.any(&["attack", "virus", "attackname", "attack_name", "description", "msg", "logdesc", "eventtype"])
    else {
        return false;
    };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let id = keys.any(&["attackid", "virusid", "attack_id", "logid", "log_id"]).unwrap_or(title);
    event.push(
        Attribute::FindingUid,
        format!("fortigate-{id}-{}", keys.any(&["sessionid", "incidentserialno"]).unwrap_or("0")),
    );
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingTypes, subtype);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticUid, id);
    event.push(Attribute::FindingAnalyticTypeId, if subtype == "anomaly" { 2 } else { 1 });
    if let Some(reference) = keys.find("ref") {
        event.push(Attribute::FindingSrcUrl, reference);
    }
    event.push(Attribute::IsAlert, true);
    event.severity_id = match keys.any(&["severity", "crlevel"]) {
        Some("critical") => 5,
        Some("high") => 4,
        Some("medium") => 3,
        Some("low") => 2,
        Some("info") => 1,
        _ => event.severity_id,
    };
    let ports = |names: &[&str]| keys.any(names).and_then(port);
    for (attribute, value) in [
        (Attribute::EvidencesSrcEndpointIp, keys.any(&["srcip", "src", "sip"]).and_then(endpoint::ip)),
        (Attribute::EvidencesDstEndpointIp, keys.any(&["dstip", "dst", "dip"]).and_then(endpoint::ip)),
        (Attribute::EvidencesUserName, keys.find("user")),
        (Attribute::EvidencesUrlString, keys.find("url")),
    ] {
        if let Some(value) = value {
            event.push(attribute, value);
        }
    }
    for (attribute, beside, names) in [
        (Attribute::EvidencesSrcEndpointPort, Attribute::EvidencesSrcEndpointIp, ["srcport", "src_port"]),
        (Attribute::EvidencesDstEndpointPort, Attribute::EvidencesDstEndpointIp, ["dstport", "dst_port"]),
    ] {
        if let Some(port) = ports(&names).filter(|_| event.value(beside).is_some()) {
            event.push(attribute, port);
        }
    }
    controlled(event, control(keys).of_finding());
    true
}

#[cfg(test)]
mod tests;
