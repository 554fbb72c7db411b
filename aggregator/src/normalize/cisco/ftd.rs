//! FTD's own events: connections (4001, DNS 4003, HTTP 4002), intrusions, files and malware (2004).
//!
//! In: the text behind `%FTD-1-430003: `, `Key: value, Key: value, …`; a value may hold commas, the next key ends it.
//! Out: what OCSF has a place for, every other key in `unmapped`.
//! Source: Cisco Secure Firewall Threat Defense Syslog Messages, "Security Event Syslog Messages", 430001 to 430005.

use super::super::combined::{push_code, push_url};
use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::text::{cut, number, port, unquoted};
use super::flow::push_protocol;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most keys that are read of a message.
const KEYS_MAX: usize = 96;

/// Keys whose values have a place of their own.
const PLACED: [&str; 20] = [
    "SrcIP",
    "DstIP",
    "SrcPort",
    "DstPort",
    "Protocol",
    "AccessControlRuleName",
    "IngressInterface",
    "EgressInterface",
    "InitiatorBytes",
    "ResponderBytes",
    "InitiatorPackets",
    "ResponderPackets",
    "ConnectionDuration",
    "DNSQuery",
    "URL",
    "HTTPReferer",
    "HTTPResponse",
    "UserAgent",
    "Message",
    "SID",
];

/// The keys and values of a message.
struct Keys<'a> {
    pairs: [(&'a str, &'a str); KEYS_MAX],
    count: usize,
}

impl<'a> Keys<'a> {
    fn read(message: &'a str) -> Self {
        let mut keys = Self { pairs: [("", ""); KEYS_MAX], count: 0 };
        let mut rest = message;
        while let (Some((key, tail)), Some(slot)) = (cut(rest, ": "), keys.pairs.get_mut(keys.count)) {
            let end = value_end(tail);
            let (value, next) = tail.split_at_checked(end).unwrap_or((tail, ""));
            *slot = (key, value.trim());
            keys.count += 1;
            rest = next.strip_prefix(", ").unwrap_or_default();
        }
        keys
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().take(self.count).copied()
    }

    fn find(&self, key: &str) -> Option<&'a str> {
        self.iter().find(|(name, _)| *name == key).map(|(_, value)| value).filter(|value| !value.is_empty())
    }
}

/// Where a value ends: before `, ` and a word that a colon and a space follow.
fn value_end(text: &str) -> usize {
    let mut from = 0;
    while let Some((at, tail)) =
        text.get(from..).and_then(|rest| cut(rest, ", ")).map(|(before, tail)| (from + before.len(), tail))
    {
        let word = tail.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
        if word > 0 && tail.get(word..).is_some_and(|rest| rest.starts_with(": ")) {
            return at;
        }
        from = at + 2;
    }
    text.len()
}

/// Reads an event; false where it names no address.
pub(super) fn parse<'a>(message: &'a str, id: i64, event: &mut Event<'a>) -> bool {
    let keys = Keys::read(message);
    if keys.find("SrcIP").or_else(|| keys.find("DstIP")).is_none() {
        return false;
    }
    match id {
        430_001 | 430_005 => finding(&keys, id, event),
        _ => connection(&keys, id, event),
    }
    for (key, value) in keys.iter().filter(|(key, value)| !value.is_empty() && !PLACED.contains(key)) {
        event.unmap(key, value);
    }
    true
}

/// Who, if the device knows it.
fn user<'a>(keys: &Keys<'a>) -> Option<&'a str> {
    keys.find("User").filter(|user| !matches!(*user, "Unknown" | "No Authentication Required"))
}

/// What an action of a rule, a file policy or an intrusion policy did.
fn control(keys: &Keys<'_>) -> Control {
    let action = ["AccessControlRuleAction", "InlineResult", "FileAction"].iter().find_map(|key| keys.find(key));
    match action.unwrap_or_default() {
        action if action.contains("eset") => Control::Reset,
        action if action.contains("rop") => Control::Dropped,
        action if action.contains("lock") => Control::Blocked,
        "Detect" | "Monitor" | "" => Control::Observed,
        _ => Control::Allowed,
    }
}

/// A connection's begin or end, or a file that passed.
fn connection<'a>(keys: &Keys<'a>, id: i64, event: &mut Event<'a>) {
    let control = control(keys);
    let passed = matches!(control, Control::Allowed | Control::Observed);
    event.class = Class::NetworkActivity;
    event.activity_id = match id {
        _ if !passed => 5,
        430_002 => 1,
        430_003 => 2,
        _ => 6,
    };
    if let Some(name) = keys.find("DNSQuery") {
        event.class = Class::DnsActivity;
        event.activity_id = if id == 430_002 { 1 } else { 6 };
        event.push(Attribute::QueryHostname, name.trim_end_matches('.'));
        if let Some(kind) = keys.find("DNSRecordType") {
            event.push(Attribute::QueryType, kind.split(' ').next().unwrap_or(kind));
        }
    } else if let Some(url) = keys.find("URL").filter(|_| keys.find("HTTPResponse").is_some()) {
        event.class = Class::HttpActivity;
        event.activity_id = 0;
        push_url(url, event);
        for (attribute, key) in
            [(Attribute::HttpRequestReferrer, "HTTPReferer"), (Attribute::HttpRequestUserAgent, "UserAgent")]
        {
            if let Some(value) = keys.find(key) {
                event.push(attribute, value);
            }
        }
    } else {
        for key in ["URL", "HTTPReferer", "UserAgent"] {
            if let Some(value) = keys.find(key) {
                event.unmap(key, value);
            }
        }
    }
    ends(keys, event);
    controlled(event, control);
    let code = keys.find("HTTPResponse").and_then(number).filter(|code| *code > 0);
    match code.filter(|_| passed && event.class == Class::HttpActivity) {
        Some(code) => push_code(code, event),
        None if passed => success(event),
        None => failure(event, keys.find("AccessControlRuleReason").unwrap_or_default()),
    }
}

/// Both ends of a connection, how much passed between them, and by which rule.
fn ends<'a>(keys: &Keys<'a>, event: &mut Event<'a>) {
    let ports = |key| keys.find(key).and_then(port);
    if let Some(address) = keys.find("SrcIP") {
        push_source(event, address, ports("SrcPort"));
    }
    if let Some(address) = keys.find("DstIP") {
        push_destination(event, address, ports("DstPort"));
    }
    if let Some(protocol) = keys.find("Protocol") {
        push_protocol(event, protocol);
    }
    if let Some(user) = user(keys) {
        event.push(Attribute::ActorUserName, user);
    }
    for (attribute, key) in [
        (Attribute::SrcEndpointInterfaceName, "IngressInterface"),
        (Attribute::DstEndpointInterfaceName, "EgressInterface"),
        (Attribute::SrcEndpointZone, "IngressZone"),
        (Attribute::DstEndpointZone, "EgressZone"),
        (Attribute::FirewallRuleName, "AccessControlRuleName"),
        (Attribute::AppProtocolName, "ApplicationProtocol"),
    ] {
        if let Some(value) = keys.find(key) {
            event.push(attribute, value);
        }
    }
    for (attribute, key) in [
        (Attribute::TrafficBytesOut, "InitiatorBytes"),
        (Attribute::TrafficBytesIn, "ResponderBytes"),
        (Attribute::TrafficPacketsOut, "InitiatorPackets"),
        (Attribute::TrafficPacketsIn, "ResponderPackets"),
    ] {
        if let Some(count) = keys.find(key).and_then(|count| count.parse::<u32>().ok()) {
            event.push(attribute, count);
        }
    }
    if let Some(seconds) = keys.find("ConnectionDuration").and_then(number) {
        event.push(Attribute::Duration, seconds * 1000);
    }
}

/// An intrusion (430001) or malware (430005).
fn finding<'a>(keys: &Keys<'a>, id: i64, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let title = ["Message", "ThreatName", "FileName"].iter().find_map(|key| keys.find(key)).map_or("malware", unquoted);
    let rule = keys.find("SID").or_else(|| keys.find("FileSHA256")).unwrap_or(title);
    event.push(Attribute::FindingUid, format!("ftd-{id}-{rule}-{}", keys.find("ConnectionID").unwrap_or("0")));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticUid, rule);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    if let Some(class) = keys.find("Classification") {
        event.push(Attribute::FindingTypes, class);
    }
    // `Priority` of an intrusion rule: 1 is the highest.
    event.severity_id = match keys.find("Priority") {
        Some("1") => 4,
        Some("2") => 3,
        Some("3" | "4") => 2,
        _ => event.severity_id.max(3),
    };
    for (attribute, key, port_attribute, port_key) in [
        (Attribute::EvidencesSrcEndpointIp, "SrcIP", Attribute::EvidencesSrcEndpointPort, "SrcPort"),
        (Attribute::EvidencesDstEndpointIp, "DstIP", Attribute::EvidencesDstEndpointPort, "DstPort"),
    ] {
        let Some(address) = keys.find(key).and_then(endpoint::ip) else { continue };
        event.push(attribute, address);
        if let Some(port) = keys.find(port_key).and_then(port) {
            event.push(port_attribute, port);
        }
    }
    if let Some(user) = user(keys) {
        event.push(Attribute::EvidencesUserName, user);
    }
    if let Some(name) = keys.find("FileName") {
        event.push(Attribute::EvidencesFileName, name);
        event.push(Attribute::EvidencesFileTypeId, 1);
    }
    if let Some(url) = keys.find("URL").or_else(|| keys.find("URI")) {
        event.push(Attribute::EvidencesUrlString, url);
    }
    controlled(
        event,
        match control(keys) {
            Control::Observed | Control::Allowed => Control::Alerted,
            other => other,
        },
    );
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::testing::normalized;

    fn ftd(message: &str) -> Value {
        normalized(&format!("<166>2026-03-16T10:00:00Z ftd-1 : %FTD-1-{message}"))
    }

    const ENDS: &str = "SrcIP: 192.0.2.1, DstIP: 198.51.100.9, SrcPort: 5, DstPort: 80, Protocol: tcp";

    #[test]
    fn connections_say_what_the_rule_did_with_them() {
        let event = ftd(&format!(
            "430003: AccessControlRuleAction: Block, AccessControlRuleReason: Bad, worse, AccessControlRuleName: r 1, {ENDS}, User: bob, InitiatorBytes: 7"
        ));
        assert_eq!(event["type_uid"], 400_105);
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 80}));
        assert_eq!((event["status_detail"].as_str(), event["action_id"].as_i64()), (Some("Bad, worse"), Some(2)));
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["firewall_rule"]["name"], "r 1");
        assert_eq!(event["traffic"]["bytes_out"], 7);
        let event = ftd(&format!("430002: AccessControlRuleAction: Allow, {ENDS}, User: Unknown"));
        assert_eq!((event["type_uid"].as_i64(), event["status_id"].as_i64()), (Some(400_101), Some(1)));
        assert!(event.get("actor").is_none());
    }

    #[test]
    fn names_and_requests_have_their_classes() {
        let event =
            ftd(&format!("430003: {ENDS}, AccessControlRuleAction: Allow, DNSQuery: a.example., DNSRecordType: A x"));
        assert_eq!(event["type_uid"], 400_306);
        assert_eq!(event["query"], json!({"hostname": "a.example", "type": "A"}));
        let event = ftd(&format!("430003: {ENDS}, HTTPResponse: 404, UserAgent: a, b, URL: http://a.example/x"));
        assert_eq!((event["class_uid"].as_i64(), event["status_id"].as_i64()), (Some(4002), Some(2)));
        assert_eq!(event["http_request"]["user_agent"], "a, b");
        assert_eq!(event["http_request"]["url"]["hostname"], "a.example");
    }

    #[test]
    fn intrusions_and_malware_are_findings() {
        let event =
            ftd(&format!("430001: {ENDS}, Priority: 1, SID: 7, Message: \"BAD thing, twice\", InlineResult: Blocked"));
        assert_eq!(event["type_uid"], 200_401);
        assert_eq!(event["finding_info"]["title"], "BAD thing, twice");
        assert_eq!((event["severity_id"].as_i64(), event["disposition_id"].as_i64()), (Some(4), Some(2)));
        let event = ftd(&format!("430005: {ENDS}, FileAction: Detect, FileName: a.exe, ThreatName: EICAR"));
        assert_eq!(event["evidences"][0]["file"]["name"], "a.exe");
        assert_eq!((event["finding_info"]["title"].as_str(), event["action_id"].as_i64()), (Some("EICAR"), Some(3)));
        assert_eq!(ftd("430003: nothing").get("src_endpoint"), None);
    }
}
