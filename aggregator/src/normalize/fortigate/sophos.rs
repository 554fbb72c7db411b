//! Sophos Firewall, whose lines have the form of a FortiGate's and words of their own: connections (4001), the web filter (4002),
//! intrusions, viruses and threats (2004), mail (4009), logons (3002), its own events (6002).
//!
//! In: `device="SFW" date=2026-03-16 time=10:00:00 timezone="+08" … log_type="Firewall" log_component="Firewall Rule"
//! log_subtype="Denied" status="Deny" …`. Source: Sophos, Sophos Firewall Syslog Guide 18 and 19.

use super::super::combined::{push_code, push_url};
use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::record::is_mac;
use super::super::text::{cut, number, port};
use super::Keys;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a Sophos Firewall wrote the line.
pub(super) fn is_sophos(keys: &Keys<'_>) -> bool {
    keys.find("device") == Some("SFW") || keys.find("device_name") == Some("SFW")
}

/// Reads a line by the kind of its log.
pub(super) fn classify<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let kind = keys.find("log_type").unwrap_or_default();
    let component = keys.find("log_component").unwrap_or_default();
    match kind {
        "Content Filtering" | "WAF" => web(keys, event) || connection(keys, event),
        "IDP" | "IPS" | "ATP" | "Anti-Virus" | "Sandbox" if component != "SMTP" => finding(keys, event),
        "Anti-Spam" | "Anti-Virus" | "Email" => mail(keys, event) || finding(keys, event),
        "Event" => occurrence(keys, event),
        "System Health" | "Heartbeat" | "Wireless" | "Wireless Protection" => report(keys, event),
        _ => connection(keys, event) || report(keys, event),
    }
}

/// What it did, by its status or the kind of entry.
fn control(keys: &Keys<'_>) -> Control {
    match keys.any(&["log_subtype", "status", "action"]).unwrap_or_default() {
        "Denied" | "Deny" | "Blocked" | "Block" | "Virus" | "Spam" | "Quarantine" => Control::Blocked,
        "Drop" | "Dropped" | "DROP" => Control::Dropped,
        "Detected" | "Detect" | "Warned" | "Probable Spam" => Control::Observed,
        _ => Control::Allowed,
    }
}

fn judged(keys: &Keys<'_>, event: &mut Event<'_>) {
    let control = control(keys);
    controlled(event, control);
    if matches!(control, Control::Allowed | Control::Observed) {
        success(event);
    } else {
        failure(event, "");
    }
}

fn ends<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let ports = |name| keys.find(name).and_then(port).filter(|port| *port > 0);
    let source = keys.find("src_ip").is_some_and(|ip| push_source(event, ip, ports("src_port")));
    let destination = keys.find("dst_ip").is_some_and(|ip| push_destination(event, ip, ports("dst_port")));
    source || destination
}

fn connection<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::NetworkActivity;
    event.activity_id = match (control(keys), keys.find("con_event").or_else(|| keys.find("connevent"))) {
        (Control::Allowed | Control::Observed, Some("Start")) => 1,
        (Control::Allowed | Control::Observed, Some("Stop")) => 2,
        (Control::Allowed | Control::Observed, _) => 6,
        _ => 5,
    };
    for (attribute, names) in [
        (Attribute::SrcEndpointInterfaceName, ["in_interface", "in_display_interface"]),
        (Attribute::DstEndpointInterfaceName, ["out_interface", "out_display_interface"]),
        (Attribute::FirewallRuleUid, ["fw_rule_id", "policy_id"]),
        (Attribute::FirewallRuleName, ["fw_rule_name", "policy_name"]),
        (Attribute::ActorUserName, ["user_name", "user"]),
        (Attribute::ConnectionUid, ["con_id", "connid"]),
    ] {
        if let Some(value) = keys.any(&names) {
            event.push(attribute, value);
        }
    }
    if let Some(mac) = keys.find("src_mac").filter(|mac| is_mac(mac)) {
        event.push(Attribute::SrcEndpointMac, mac);
    }
    if let Some(name) = keys.find("protocol") {
        let known = ["ICMP", "TCP", "UDP"].iter().zip([1, 6, 17]).find(|(known, _)| name.eq_ignore_ascii_case(known));
        let protocol = known.map(|(_, protocol)| protocol).or_else(|| number(name).filter(|number| *number < 256));
        if let Some(protocol) = protocol {
            event.push(Attribute::ConnectionProtocolNum, protocol);
            event.push(Attribute::ConnectionDirectionId, 0);
        }
        if known.is_some() {
            event.push(Attribute::ConnectionProtocolName, name.to_ascii_lowercase());
        }
    }
    for (attribute, name) in [
        (Attribute::TrafficBytesOut, "sent_bytes"),
        (Attribute::TrafficBytesOut, "bytes_sent"),
        (Attribute::TrafficBytesIn, "recv_bytes"),
        (Attribute::TrafficBytesIn, "bytes_received"),
        (Attribute::TrafficPacketsOut, "sent_pkts"),
        (Attribute::TrafficPacketsIn, "recv_pkts"),
    ] {
        if let Some(count) = keys.find(name).and_then(|count| count.parse::<u32>().ok())
            && event.value(attribute).is_none()
        {
            event.push(attribute, count);
        }
    }
    if let Some(seconds) = keys.find("duration").and_then(number) {
        event.push(Attribute::Duration, seconds * 1000);
    }
    judged(keys, event);
    ends(keys, event)
}

fn web<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let Some(url) = keys.any(&["url", "domain"]) else { return false };
    event.class = Class::HttpActivity;
    push_url(url, event);
    match keys.any(&["http_status", "httpstatus", "status_code", "reponsecode"]).and_then(number) {
        Some(code) => push_code(code, event),
        None => judged(keys, event),
    }
    if let Some(user) = keys.any(&["user_name", "user"]) {
        event.push(Attribute::ActorUserName, user);
    }
    if let Some(agent) = keys.any(&["user_agent", "useragent"]) {
        event.push(Attribute::HttpRequestUserAgent, agent);
    }
    ends(keys, event)
}

fn finding<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let Some(title) =
        keys.any(&["signature_msg", "virus", "malware", "threat_name", "threatname", "message", "log_subtype"])
    else {
        return false;
    };
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let id = keys.any(&["signature_id", "idp_policy_id", "log_id"]).unwrap_or(title);
    event.push(Attribute::FindingUid, format!("sophos-{id}-{}", keys.any(&["con_id", "src_port"]).unwrap_or("0")));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticUid, id);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    for (attribute, beside, address, port_name) in [
        (Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort, "src_ip", "src_port"),
        (Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort, "dst_ip", "dst_port"),
    ] {
        if let Some(ip) = keys.find(address).and_then(endpoint::ip) {
            event.push(attribute, ip);
            if let Some(port) = keys.find(port_name).and_then(port) {
                event.push(beside, port);
            }
        }
    }
    if let Some(user) = keys.any(&["user_name", "user"]) {
        event.push(Attribute::EvidencesUserName, user);
    }
    controlled(event, control(keys).of_finding());
    true
}

fn mail<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let Some(from) = keys.any(&["from_email_address", "sender"]) else { return false };
    event.class = Class::EmailActivity;
    event.activity_id = 3;
    event.push(Attribute::EmailFrom, from);
    if let Some(to) = keys.any(&["to_email_address", "recipient"]) {
        event.push_at(Attribute::EmailTo, 0, to);
    }
    event.push(Attribute::EmailDirectionId, 0);
    for (attribute, names) in [
        (Attribute::EmailSubject, ["email_subject", "subject"]),
        (Attribute::EmailMessageUid, ["mailid", "message_id"]),
    ] {
        if let Some(value) = keys.any(&names) {
            event.push(attribute, value);
        }
    }
    judged(keys, event);
    ends(keys, event);
    true
}

/// `log_type="Event"`: who logged on to it or through it, and what it says of itself.
fn occurrence<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let text = keys.find("message").unwrap_or_default();
    let says = |words: &[&str]| words.iter().any(|word| cut(text, word).is_some());
    let logged = says(&["logged in", "login", "logged out", "log out", "logon", "authenticat"]);
    let Some(user) = keys.any(&["user_name", "user", "name", "username"]).filter(|_| logged) else {
        return report(keys, event);
    };
    event.class = Class::Authentication;
    event.activity_id = if says(&["logged out", "log out", "logout"]) { 2 } else { 1 };
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, keys.any(&["log_component", "auth_client"]).unwrap_or("Sophos Firewall"));
    if let Some(source) = keys.find("src_ip").or_else(|| keys.find("ipaddress")) {
        push_source(event, source, None);
    }
    event.push(Attribute::IsRemote, true);
    if keys.find("status") == Some("Failed") {
        failure(event, keys.any(&["reason", "message"]).unwrap_or_default());
    } else {
        success(event);
    }
    true
}

fn report<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let known = super::super::remark::report("Sophos Firewall", event);
    if let Some(user) = keys.any(&["user_name", "user"]) {
        event.push(Attribute::ActorUserName, user);
    }
    known
}
