//! FTD's own events: connections (4001, DNS 4003, HTTP 4002), intrusions, files and malware (2004).
//!
//! In: the text behind `%FTD-1-430003: `, `Key: value, Key: value, …`; a value may hold commas, the next key ends it.
//! Out: what OCSF has a place for, every other key in `unmapped`.
//! Source: Cisco Secure Firewall Threat Defense Syslog Messages, "Security Event Syslog Messages", 430001 to 430005.

use super::super::combined::{push_code, push_url};
use super::super::endpoint::{self, push_destination, push_source};
use super::super::json_lines::push_rcode;
use super::super::outcome::{Control, controlled, failure, success};
use super::super::text::{cut, number, port, unquoted};
use super::flow::{bare_user, push_protocol};
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

/// Most words of a key: `Original Client Country`.
const KEY_WORDS_MAX: usize = 4;

/// Whether a text begins with a key: a word, or some that begin as names do, and a colon and a space behind.
fn begins_key(text: &str) -> bool {
    let mut rest = text;
    for number in 0..KEY_WORDS_MAX {
        let is_name = rest.starts_with(|c: char| c.is_ascii_uppercase());
        let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')).count();
        let Some(tail) = rest.get(len..).filter(|_| len > 0 && (is_name || number == 0)) else { return false };
        if tail.starts_with(": ") {
            return true;
        }
        let Some(tail) = tail.strip_prefix(' ').filter(|_| is_name) else { return false };
        rest = tail;
    }
    false
}

/// Where a value ends: before `, ` and the next key; a quoted one not before its quote.
fn value_end(text: &str) -> usize {
    let quoted = text.strip_prefix('"').and_then(|inner| cut(inner, "\"")).map(|(inner, _)| inner.len() + 1);
    let mut from = quoted.unwrap_or(0);
    while let Some((at, tail)) =
        text.get(from..).and_then(|rest| cut(rest, ", ")).map(|(before, tail)| (from + before.len(), tail))
    {
        if begins_key(tail) {
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
        430_004 => file(&keys, event),
        _ => connection(&keys, id, event),
    }
    for (key, value) in keys.iter().filter(|(key, value)| !value.is_empty() && !PLACED.contains(key)) {
        event.unmap(key, value);
    }
    true
}

/// What stands for a user where there is none.
const NOBODY: [&str; 5] = ["Unknown", "Not Found", "No Authentication Required", "Failed Authentication", "Invalid ID"];

/// Who, if the device knows it: `bob` of `REALM\bob`, whose whole name stays in `unmapped`.
fn user<'a>(keys: &Keys<'a>) -> Option<&'a str> {
    keys.find("User").filter(|user| !NOBODY.contains(user)).map(bare_user)
}

/// A type of record by the words that the registry of DNS parameters explains it with.
fn record_type(words: &str) -> &str {
    const NAMES: [(&str, &str); 9] = [
        ("a host address", "A"),
        ("an authoritative name server", "NS"),
        ("the canonical name for an alias", "CNAME"),
        ("marks the start of a zone of authority", "SOA"),
        ("a domain name pointer", "PTR"),
        ("mail exchange", "MX"),
        ("text strings", "TXT"),
        ("IP6 Address", "AAAA"),
        ("Server Selection", "SRV"),
    ];
    let named = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(words)).map(|(_, name)| *name);
    named.unwrap_or_else(|| words.split(' ').next().unwrap_or(words))
}

/// A code of an answer by the words that the same registry has for it.
fn response_code(words: &str) -> Option<&'static str> {
    Some(match words {
        "No Error" => "NOERROR",
        "Format Error" => "FORMERR",
        "Server Failure" => "SERVFAIL",
        "Non-Existent Domain" => "NXDOMAIN",
        "Not Implemented" => "NOTIMP",
        "Query Refused" => "REFUSED",
        _ => return None,
    })
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

/// A file that passed, in the class of the protocol that carried it where that is HTTP.
fn file<'a>(keys: &Keys<'a>, event: &mut Event<'a>) {
    // The level is that of the syslog alert, whatever passed.
    event.severity_id = 1;
    let uri = keys.find("URI").filter(|_| keys.find("ApplicationProtocol") == Some("HTTP"));
    let Some(uri) = uri else { return connection(keys, 430_004, event) };
    event.class = Class::HttpActivity;
    event.activity_id = 0;
    push_url(uri, event);
    if let Some(name) = keys.find("FileName") {
        event.push(Attribute::FileName, name);
        event.push(Attribute::FileTypeId, 1);
        if let Some(size) = keys.find("FileSize").and_then(number) {
            event.push(Attribute::FileSize, size);
        }
        if let Some(hash) = keys.find("FileSHA256") {
            event.push(Attribute::FileHashAlgorithm, "SHA-256");
            event.push(Attribute::FileHashAlgorithmId, 3);
            event.push(Attribute::FileHashValue, hash);
        }
    }
    ends(keys, event);
    let control = control(keys);
    controlled(event, control);
    if matches!(control, Control::Allowed | Control::Observed) {
        success(event);
    } else {
        failure(event, keys.find("FileAction").unwrap_or_default());
    }
}

/// A connection's begin or end.
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
            event.push(Attribute::QueryType, record_type(kind));
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
    let answer = keys.find("DNSResponseType").filter(|_| event.class == Class::DnsActivity).and_then(response_code);
    if let Some(answer) = answer {
        push_rcode(event, answer.into());
    }
    let code = keys.find("HTTPResponse").and_then(number).filter(|code| *code > 0);
    match code.filter(|_| passed && event.class == Class::HttpActivity) {
        Some(code) => push_code(code, event),
        None if passed => match answer.filter(|answer| *answer != "NOERROR") {
            Some(answer) => failure(event, answer),
            None => success(event),
        },
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
    let judged = keys.find("SHA_Disposition").is_none_or(|said| matches!(said, "Malware" | "Custom Detection"));
    let harmful = id == 430_001 || judged;
    let threat = keys.find("ThreatName").filter(|name| harmful && *name != "Invalid ID");
    let title = keys.find("Message").or(threat).or_else(|| keys.find("FileName"));
    let title = title.map_or(if harmful { "malware" } else { "file" }, unquoted);
    let rule = keys.find("SID").or_else(|| keys.find("FileSHA256")).unwrap_or(title);
    event.push(Attribute::FindingUid, format!("ftd-{id}-{rule}-{}", keys.find("ConnectionID").unwrap_or("0")));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticUid, rule);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, harmful);
    if let Some(class) = keys.find("Classification") {
        event.push(Attribute::FindingTypes, class);
    }
    // `Priority` of an intrusion rule: 1 is the highest.
    event.severity_id = match keys.find("Priority") {
        Some("1") => 4,
        Some("2") => 3,
        Some("3" | "4") => 2,
        // The level is that of the syslog alert, whatever passed.
        _ if !harmful => 1,
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
            Control::Observed | Control::Allowed if harmful => Control::Alerted,
            Control::Allowed => Control::Observed,
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

    #[test]
    fn keys_of_words_end_a_value_and_placeholders_are_nobody() {
        let event = ftd(&format!(
            r"430003: {ENDS}, AccessControlRuleName: r-1, Prefilter Policy: p q, User: LAB\ann, Endpoint Profile: Box:B"
        ));
        assert_eq!((&event["firewall_rule"]["name"], &event["actor"]["user"]["name"]), (&json!("r-1"), &json!("ann")));
        assert_eq!(event["unmapped"]["Prefilter Policy"], "p q");
        assert_eq!(event["unmapped"]["Endpoint Profile"], "Box:B");
        assert!(ftd(&format!("430002: {ENDS}, User: Not Found")).get("actor").is_none());
        let event = ftd(&format!("430001: {ENDS}, Message: \"a thing, By Name: x\", SID: 9"));
        assert_eq!(event["finding_info"]["title"], "a thing, By Name: x");
        let event = ftd(&format!(
            "430003: {ENDS}, DNSQuery: a.example, DNSRecordType: a host address, DNSResponseType: Non-Existent Domain"
        ));
        assert_eq!((&event["query"]["type"], &event["rcode_id"]), (&json!("A"), &json!(3)));
    }

    #[test]
    fn a_file_without_a_verdict_is_no_malware() {
        let file = "FileName: a.cab, ApplicationProtocol: HTTP, URI: http://a.example/d/a.cab, FileAction: Detect";
        let line = normalized(&format!(
            "<113>2026-03-16T10:00:00Z ftd-1 : %FTD-1-430005: {ENDS}, {file}, SHA_Disposition: Unknown, ThreatName: Invalid ID"
        ));
        assert_eq!((&line["severity_id"], &line["finding_info"]["title"]), (&json!(1), &json!("a.cab")));
        let event = ftd(&format!("430004: {ENDS}, {file}"));
        assert_eq!((&event["class_uid"], &event["file"]["name"]), (&json!(4002), &json!("a.cab")));
        assert_eq!(event["http_request"]["url"]["path"], "/d/a.cab");
        assert_eq!(ftd(&format!("430004: {ENDS}, FileName: a.cab"))["class_uid"], 4001);
    }
}
