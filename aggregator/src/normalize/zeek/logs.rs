//! The logs: what each has in common, and the class of each.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::record::is_mac;
use super::super::remark::report;
use super::super::{Context, json, outcome, transport};
use super::protocols;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most elements of a vector that are taken apart.
const LISTED_MAX: usize = 64;

/// The class of a log's lines, where two ends are known.
fn class(path: &str, fields: &Fields<'_>) -> Class {
    match path {
        "dns" => Class::DnsActivity,
        "http" => Class::HttpActivity,
        "ssh" => Class::SshActivity,
        "ftp" => Class::FtpActivity,
        "smtp" if fields.has("mailfrom") || fields.has("from") || fields.has("rcptto") || fields.has("to") => {
            Class::EmailActivity
        }
        "smb_files" | "smb_mapping" | "smb_cmd" => Class::SmbActivity,
        "files" => match fields.peek("source") {
            Some("FTP_DATA") => Class::FtpActivity,
            Some("SMB") => Class::SmbActivity,
            _ => Class::NetworkActivity,
        },
        "rdp" => Class::RdpActivity,
        "dhcp" => Class::DhcpActivity,
        "ntp" if fields.has("version") => Class::NtpActivity,
        "tunnel" => Class::TunnelActivity,
        "kerberos" if fields.has("client") => Class::Authentication,
        "ntlm" | "radius" if fields.has("username") => Class::Authentication,
        "ldap" if fields.peek("opcode").is_some_and(|opcode| opcode.starts_with("bind")) && fields.has("object") => {
            Class::Authentication
        }
        "notice" | "intel" | "signatures" => Class::DetectionFinding,
        "x509" | "pe" | "ocsp" => Class::FileActivity,
        _ => Class::NetworkActivity,
    }
}

/// Logs of what the sensor says of itself.
const OWN: [&str; 10] = [
    "stats",
    "capture_loss",
    "reporter",
    "packet_filter",
    "cluster",
    "loaded_scripts",
    "broker",
    "telemetry",
    "config",
    "print",
];

/// A report of the sensor (6002), or its warning or error (6008).
fn own<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.severity_id = match fields.peek("level") {
        Some("Reporter::WARNING") => 2,
        Some("Reporter::ERROR") => 3,
        _ => 1,
    };
    if event.severity_id < 2 {
        report("zeek", event);
    } else {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        event.push(Attribute::ActorAppName, "zeek");
        outcome::failure(event, fields.peek("message").unwrap_or_default().to_owned());
    }
    fields.push(event, Attribute::Message, "message");
}

/// A certificate, an answer about one, or a program that passed as a file (1001): the sensor's id of it is its name.
fn file<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "Observe");
    event.push(Attribute::ActorAppName, "zeek");
    event.push(Attribute::FileTypeId, 1);
    let _ = ["id", "fuid", "fingerprint"].into_iter().any(|key| fields.push(event, Attribute::FileName, key));
    outcome::success(event);
}

/// Takes what a line of the log at `path` says.
pub(super) fn parse<'a>(path: &str, fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "zeek");
    if !path.is_empty() {
        event.push(Attribute::MetadataEventCode, path.to_owned());
    }
    let _ = ["ts", "_write_ts"].into_iter().any(|key| fields.push_time(event, key, context.reference));
    let class = class(path, fields);
    event.class = class;
    if class == Class::DetectionFinding {
        protocols::finding(path, fields, event);
    } else if OWN.contains(&path) {
        own(fields, event);
    } else if class == Class::FileActivity {
        file(fields, event);
    } else {
        if !ends(path, fields, event) && class != Class::Authentication {
            event.class = Class::BaseEvent;
            if path == "weird" {
                report("zeek", event);
            }
        } else {
            connection(fields, event);
            protocols::parse(path, fields, event);
        }
    }
    if let Some(uid) = fields.peek("uid").map(str::to_owned) {
        let (uid_attribute, correlation) = (Attribute::ConnectionUid, Attribute::MetadataCorrelationUid);
        fields.take("uid");
        if event.class.carries(uid_attribute) {
            event.push(uid_attribute, uid.clone());
        }
        event.push(correlation, uid);
    }
    message(path, event);
}

/// Originator and responder, as the log names them.
fn ends<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    match path {
        "dhcp" if fields.has("client_addr") || fields.has("mac") => {
            let addresses = ["client_addr", "assigned_addr", "requested_addr", "id.orig_h"];
            let client = addresses.into_iter().any(|key| fields.push_source(event, key, "id.orig_p"));
            // A card alone is no endpoint.
            let client = client || fields.push_source(event, "host_name", "");
            if client && fields.peek("mac").is_some_and(is_mac) {
                fields.push(event, Attribute::SrcEndpointMac, "mac");
            }
            let server = fields.push_destination(event, "server_addr", "id.resp_p")
                || fields.push_destination(event, "id.resp_h", "id.resp_p");
            client || server
        }
        "known_services" | "known_certs" => fields.push_destination(event, "host", "port_num"),
        "known_hosts" | "known_modbus" => fields.push_source(event, "host", ""),
        "known_devices" => {
            let known = fields.push_source(event, "dhcp_host_name", "");
            known && fields.push(event, Attribute::SrcEndpointMac, "mac")
        }
        "software" => fields.push_source(event, "host", "host_p"),
        "files" if !fields.has("id.orig_h") => {
            // The first of the hosts that sent it, and of those that got it.
            let from = first(fields, "tx_hosts").is_some_and(|host| push_ip(event, Attribute::SrcEndpointIp, host));
            let to = first(fields, "rx_hosts").is_some_and(|host| push_ip(event, Attribute::DstEndpointIp, host));
            from || to
        }
        "traceroute" => fields.push_source(event, "src", "") | fields.push_destination(event, "dst", ""),
        _ => {
            let from = fields.push_source(event, "id.orig_h", "id.orig_p");
            let to = fields.push_destination(event, "id.resp_h", "id.resp_p");
            from || to
        }
    }
}

fn push_ip<'a>(event: &mut Event<'a>, attribute: Attribute, host: Cow<'a, str>) -> bool {
    let found = super::super::endpoint::ip(&host).is_some();
    if found {
        event.push(attribute, host);
    }
    found
}

/// Protocol, direction, cards and networks.
fn connection<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if !event.class.carries(Attribute::ConnectionDirectionId) {
        return;
    }
    let protocol = match fields.peek("proto").or_else(|| fields.peek("port_proto")) {
        Some("unknown_transport") => fields.peek("ip_proto"),
        Some(name) => Some(name),
        None => None,
    };
    let protocol = protocol.map(str::to_owned);
    if transport::push(event, protocol.as_deref()) {
        fields.take("proto");
        fields.take("port_proto");
    }
    let direction = match (fields.leaf("local_orig"), fields.leaf("local_resp")) {
        (Some(Leaf::Bool(true)), Some(Leaf::Bool(false))) => 2,
        (Some(Leaf::Bool(false)), Some(Leaf::Bool(true))) => 1,
        // Both ends are ours: lateral.
        (Some(Leaf::Bool(true)), Some(Leaf::Bool(true))) => 3,
        _ => 0,
    };
    if direction != 0 {
        event.set(Attribute::ConnectionDirectionId, direction);
    }
    fields.push_all(
        event,
        &[
            (Attribute::ConnectionCommunityUid, "community_id"),
            (Attribute::SrcEndpointMac, "orig_l2_addr"),
            (Attribute::DstEndpointMac, "resp_l2_addr"),
            (Attribute::SrcEndpointVlanUid, "vlan"),
        ],
    );
}

/// The elements of a vector or set: an array of JSON, or texts with commas between them.
pub(super) fn listed<'a>(fields: &Fields<'a>, key: &str) -> Vec<Cow<'a, str>> {
    match fields.leaf(key) {
        Some(Leaf::Json(list)) => json::elements(list).take(LISTED_MAX).filter_map(Leaf::into_text).collect(),
        Some(Leaf::Text(Cow::Borrowed(text))) => text.split(',').take(LISTED_MAX).map(Cow::Borrowed).collect(),
        Some(Leaf::Text(Cow::Owned(text))) => {
            text.split(',').take(LISTED_MAX).map(|part| Cow::Owned(part.to_owned())).collect()
        }
        Some(Leaf::Number(number)) => vec![Cow::Borrowed(*number)],
        _ => Vec::new(),
    }
}

fn first<'a>(fields: &Fields<'a>, key: &str) -> Option<Cow<'a, str>> {
    listed(fields, key).into_iter().next()
}

/// Sets the outcome of a truth value.
pub(super) fn push_outcome<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, key: &str, reason: &str) {
    match fields.take(key) {
        Some(Leaf::Bool(true)) => outcome::success(event),
        Some(Leaf::Bool(false)) => outcome::failure(event, fields.text(reason).unwrap_or_default()),
        Some(other) => fields.put_back(key, other),
        None => {}
    }
}

/// What a person reads: the path and what the line is about.
fn message(path: &str, event: &mut Event<'_>) {
    if event.value(Attribute::Message).is_some() {
        return;
    }
    let about = [
        Attribute::QueryHostname,
        Attribute::HttpRequestUrlString,
        Attribute::TlsSni,
        Attribute::EmailSubject,
        Attribute::UserName,
        Attribute::FileName,
        Attribute::FtpCommand,
        Attribute::StatusDetail,
        Attribute::DstEndpointIp,
    ];
    // A line of JSON need not say which log it is of.
    let path = if path.is_empty() { "zeek" } else { path };
    let text = match about.into_iter().find_map(|attribute| event.text(attribute)) {
        Some(about) => format!("{path} {about}"),
        None => path.to_owned(),
    };
    event.push(Attribute::Message, text);
}
