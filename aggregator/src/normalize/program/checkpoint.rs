//! Check Point's Log Exporter in its own form of syslog: connections (4001), requests (4002), threats (2004), who logged on (3002),
//! what administrators changed (5019); else a report of a part of it (6002).
//!
//! `[action:"Drop"; src:"192.0.2.7"; dst:"198.51.100.9"; proto:"6"; s_port:"4711"; service:"22"; product:"VPN-1 & FireWall-1"; …]`, a
//! quote or bracket inside a value behind a backslash. Source: Check Point, sk122323 (Log Exporter), sk144192 (log fields).

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::report;
use super::super::syslog::Header;
use super::super::text::{closing, number, port};
use super::super::{combined, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What is read of a record; the rest stays as it is.
const KEYS: [&str; 29] = [
    "action",
    "src",
    "dst",
    "s_port",
    "service",
    "proto",
    "product",
    "rule_name",
    "user",
    "src_user_name",
    "administrator",
    "client_ip",
    "operation",
    "audit_status",
    "additional_info",
    "subject",
    "protection_name",
    "attack",
    "malware_action",
    "severity",
    "resource",
    "method",
    "user_agent",
    "sent_bytes",
    "received_bytes",
    "bytes",
    "packets",
    "ifdir",
    "loguid",
];
/// Most fields that are kept beside those.
const OTHERS_MAX: usize = 96;

/// The values of [`KEYS`]; one that is not there is empty.
struct Record<'a>([&'a str; KEYS.len()]);

impl<'a> Record<'a> {
    /// Reads the fields, and keeps those that are not known.
    fn read(text: &'a str, event: &mut Event<'a>) -> Self {
        let mut values = [""; KEYS.len()];
        let (mut rest, mut others) = (text, 0);
        while let Some((key, after)) = rest.split_once(":\"") {
            let key = key.trim_start_matches([';', ' ']);
            let end = closing(after, b'"').unwrap_or(after.len());
            let (value, behind) = after.split_at_checked(end).unwrap_or((after, ""));
            rest = behind.get(1..).unwrap_or_default();
            match KEYS.iter().zip(&mut values).find(|(name, _)| **name == key) {
                Some((_, slot)) => *slot = value,
                None if others < OTHERS_MAX && !key.is_empty() => {
                    event.unmap(key, value);
                    others += 1;
                }
                None => {}
            }
        }
        Self(values)
    }

    fn at(&self, key: &str) -> &'a str {
        KEYS.iter().zip(self.0).find(|(name, _)| **name == key).map_or("", |(_, value)| value)
    }
}

/// Reads a message.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(text) = message.strip_prefix('[').filter(|text| text.contains(":\"")) else { return false };
    let record = Record::read(text, event);
    let (action, operation) = (record.at("action"), record.at("operation"));
    let logged = |text: &str| text.ends_with("Log In") || text.ends_with("Log Out");
    if logged(operation) || logged(action) {
        logon(&record, event);
    } else if !operation.is_empty() {
        changed(&record, event);
    } else if !(record.at("protection_name").is_empty() && record.at("attack").is_empty()) {
        threat(&record, event);
    } else if !connection(&record, event) {
        let product = record.at("product");
        report(if product.is_empty() { "Check Point" } else { product }, event);
    }
    for key in ["product", "subject", "additional_info", "ifdir", "action", "loguid"] {
        if !record.at(key).is_empty() {
            event.unmap(key, record.at(key));
        }
    }
    true
}

/// What it did, in its words.
fn control(action: &str) -> Option<Control> {
    Some(match action {
        "Accept" | "Allow" | "Bypass" | "Encrypt" | "Decrypt" | "Monitor" => Control::Allowed,
        "Drop" => Control::Dropped,
        "Reject" => Control::Rejected,
        "Block" | "Prevent" | "Deny" | "Quarantine" => Control::Blocked,
        "Detect" | "Alert" => Control::Alerted,
        _ => return None,
    })
}

/// An administrator, or a user that Identity Awareness or the VPN knows.
fn logon<'a>(record: &Record<'a>, event: &mut Event<'a>) {
    let action = if record.at("operation").is_empty() { record.at("action") } else { record.at("operation") };
    event.class = Class::Authentication;
    event.activity_id = if action.ends_with("Out") { 2 } else { 1 };
    let users = ["administrator", "user", "src_user_name"];
    let user = users.into_iter().map(|key| record.at(key)).find(|user| !user.is_empty());
    event.push(Attribute::UserName, user.unwrap_or_default());
    let product = record.at("product");
    event.push(Attribute::ServiceName, if product.is_empty() { "Check Point" } else { product });
    let from = ["client_ip", "src"].into_iter().map(|key| record.at(key)).find(|from| ip(from).is_some());
    if let Some(from) = from {
        push_source(event, from, port(record.at("s_port")));
        event.push(Attribute::IsRemote, true);
    }
    if record.at("audit_status") == "Failure" || action.starts_with("Failed") {
        let reason = record.at("additional_info");
        failure(event, if reason.is_empty() { action } else { reason });
    } else {
        success(event);
    }
}

/// What an administrator did to an object, a rule or a policy.
fn changed<'a>(record: &Record<'a>, event: &mut Event<'a>) {
    event.class = Class::DeviceConfigStateChange;
    event.activity_id = 1;
    event.push(Attribute::MetadataEventCode, record.at("operation"));
    if !record.at("administrator").is_empty() {
        event.push(Attribute::ActorUserName, record.at("administrator"));
    }
    if !record.at("client_ip").is_empty() {
        event.unmap("src_ip", record.at("client_ip"));
    }
    if record.at("audit_status") == "Failure" {
        failure(event, record.at("additional_info"));
    } else {
        success(event);
    }
}

fn threat<'a>(record: &Record<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let title =
        if record.at("protection_name").is_empty() { record.at("attack") } else { record.at("protection_name") };
    event.push(Attribute::FindingUid, if record.at("loguid").is_empty() { title } else { record.at("loguid") });
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    let kind = if record.at("malware_action").is_empty() { record.at("attack") } else { record.at("malware_action") };
    if !kind.is_empty() {
        event.push(Attribute::FindingTypes, kind);
    }
    // Informational 0 to critical 4.
    if let Some(weight) = number(record.at("severity")).and_then(|weight| u8::try_from(weight).ok()) {
        event.severity_id = weight.min(4) + 1;
    }
    for (host, number, address, ports) in [
        ("src", "s_port", Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort),
        ("dst", "service", Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort),
    ] {
        let Some(host) = ip(record.at(host)) else { continue };
        event.push(address, host);
        if let Some(port) = port(record.at(number)) {
            event.push(ports, port);
        }
    }
    transport::push(event, Some(record.at("proto")));
    if !record.at("resource").is_empty() {
        event.push(Attribute::EvidencesUrlString, record.at("resource"));
    }
    let user = if record.at("user").is_empty() { record.at("src_user_name") } else { record.at("user") };
    if !user.is_empty() {
        event.push(Attribute::EvidencesUserName, user);
    }
    controlled(event, control(record.at("action")).unwrap_or(Control::Alerted));
}

/// A connection, or a request where its URL is known; false where neither end is.
fn connection<'a>(record: &Record<'a>, event: &mut Event<'a>) -> bool {
    let is_request = record.at("resource").contains("://");
    event.class = if is_request { Class::HttpActivity } else { Class::NetworkActivity };
    let from = push_source(event, record.at("src"), port(record.at("s_port")));
    let to = push_destination(event, record.at("dst"), port(record.at("service")));
    if !(from || to) {
        event.class = Class::BaseEvent;
        return false;
    }
    event.activity_id = if is_request { 0 } else { 6 };
    if is_request {
        combined::push_url(record.at("resource"), event);
        if !record.at("method").is_empty() {
            combined::push_known_method(record.at("method"), event);
        }
        if !record.at("user_agent").is_empty() {
            event.push(Attribute::HttpRequestUserAgent, record.at("user_agent"));
        }
    }
    transport::push(event, Some(record.at("proto")));
    let user = if record.at("user").is_empty() { record.at("src_user_name") } else { record.at("user") };
    for (attribute, value) in [(Attribute::ActorUserName, user), (Attribute::FirewallRuleName, record.at("rule_name"))]
    {
        if !value.is_empty() {
            event.push(attribute, value);
        }
    }
    for (attribute, key) in [
        (Attribute::TrafficBytesOut, "sent_bytes"),
        (Attribute::TrafficBytesIn, "received_bytes"),
        (Attribute::TrafficBytes, "bytes"),
        (Attribute::TrafficPackets, "packets"),
    ] {
        if let Ok(count) = record.at(key).parse::<u32>() {
            event.push(attribute, count);
        }
    }
    match control(record.at("action")) {
        Some(Control::Allowed) => {
            controlled(event, Control::Allowed);
            success(event);
        }
        Some(control) => {
            if !is_request {
                event.activity_id = 5;
            }
            controlled(event, control);
            failure(event, "");
        }
        None if record.at("rule_name").is_empty() => {}
        None => event.profile("security_control"),
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::testing::normalized;

    fn checkpoint(fields: &str) -> Value {
        normalized(&format!(
            r#"<134>1 2026-03-16T09:00:00Z fw CheckPoint 7 - [{fields}; flags:"1"; ifdir:"inbound"; loguid:"{{0x1,0x2}}"; policy:"a [b\] \"c\"; d"]"#
        ))
    }

    const ENDS: &str =
        r#"src:"192.0.2.7"; dst:"198.51.100.9"; proto:"6"; s_port:"4711"; service:"443"; product:"VPN-1 & FireWall-1""#;

    #[test]
    fn connections_are_what_the_firewall_did_with_them() {
        for (action, kind, status, disposition) in
            [("Accept", 400_106, 1, 1), ("Drop", 400_105, 2, 6), ("Reject", 400_105, 2, 25)]
        {
            let event = checkpoint(&format!(r#"action:"{action}"; {ENDS}; rule_name:"all"; user:"ann""#));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{action}");
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
            assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 443}));
            assert_eq!(
                (&event["disposition_id"], &event["actor"]["user"]["name"]),
                (&json!(disposition), &json!("ann"))
            );
            assert_eq!(event["unmapped"]["flags"], "1", "{action}");
            assert_eq!(event["time"], 1_773_651_600_000_i64);
        }
        let event = checkpoint(&format!(r#"action:"Key Install"; {ENDS}; rule_name:"all""#));
        assert_eq!(event["metadata"]["profiles"], json!(["host", "security_control"]));
        assert_eq!(event["metadata"]["log_format"], "syslog5424");
        let event = checkpoint(&format!(r#"action:"Block"; {ENDS}; resource:"https://www.example.com/a?b""#));
        assert_eq!(
            (&event["class_uid"], &event["http_request"]["url"]["hostname"]),
            (&json!(4002), &json!("www.example.com"))
        );
    }

    #[test]
    fn administrators_threats_and_reports_have_their_class() {
        let by = r#"administrator:"ann"; client_ip:"192.0.2.7"; product:"SmartConsole""#;
        for (fields, kind, status) in [
            (format!(r#"action:"Accept"; {by}; operation:"Log In""#), 300_201, json!(1)),
            (
                format!(
                    r#"action:"Accept"; {by}; audit_status:"Failure"; operation:"Log In"; additional_info:"Wrong Password""#
                ),
                300_201,
                json!(2),
            ),
            (format!(r#"action:"Accept"; {by}; operation:"Log Out""#), 300_202, json!(1)),
            (format!(r#"action:"Accept"; {by}; operation:"Install Policy""#), 501_901, json!(1)),
            (format!(r#"action:"Prevent"; {ENDS}; protection_name:"Bot"; severity:"3""#), 200_401, json!(null)),
            (r#"stormagentname:"daemon"; stormagentaction:"Agent is up""#.to_owned(), 600_299, json!(1)),
        ] {
            let event = checkpoint(&fields);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &status), "{fields}");
            if kind / 100 == 3002 {
                assert_eq!(
                    (&event["user"]["name"], &event["src_endpoint"]["ip"]),
                    (&json!("ann"), &json!("192.0.2.7"))
                );
            }
            if kind == 200_401 {
                assert_eq!((&event["severity_id"], &event["disposition_id"]), (&json!(4), &json!(2)));
            }
        }
    }
}
