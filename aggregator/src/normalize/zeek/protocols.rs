//! What the lines of each log say, one function for each.

use super::super::fields::{Fields, Leaf};
use super::super::json_lines::{push_ftp_code, push_ftp_command, push_rcode};
use super::super::text::base_name;
use super::super::{endpoint, fingerprints, http_fields, outcome};
use super::logs::{listed, push_outcome};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// Activity and attributes of a line of the log at `path`, which has its class.
pub(super) fn parse<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 6;
    match path {
        "conn" | "conn_long" => conn(fields, event),
        "dns" => dns(fields, event),
        "http" => http(fields, event),
        "ssl" => ssl(fields, event),
        "ssh" => ssh(fields, event),
        "ftp" => ftp(fields, event),
        "smtp" => smtp(fields, event),
        "files" => files(fields, event),
        "dhcp" => dhcp(fields, event),
        "ntp" => ntp(fields, event),
        "rdp" => rdp(fields, event),
        "smb_files" | "smb_mapping" | "smb_cmd" => smb(path, fields, event),
        "kerberos" | "ntlm" | "radius" | "ldap" if event.class == Class::Authentication => logon(path, fields, event),
        "tunnel" => tunnel(fields, event),
        "weird" | "dpd" | "analyzer" => failure(path, fields, event),
        "known_services" => {
            event.activity_id = 7;
            if let Some(service) = listed(fields, "service").into_iter().next() {
                event.push(Attribute::AppProtocolName, service.to_ascii_lowercase());
            }
        }
        "sip" => sip(fields, event),
        _ if event.class == Class::NetworkActivity => {
            if path.is_empty() {
                fields.push(event, Attribute::AppProtocolName, "service");
            } else if !OBSERVED.contains(&path) {
                event.push(Attribute::AppProtocolName, path.to_owned());
            }
            match path {
                "rfb" => push_outcome(fields, event, "auth", ""),
                "socks" => match fields.text("status") {
                    Some(status) if status == "succeeded" => outcome::success(event),
                    Some(status) => outcome::failure(event, status),
                    None => {}
                },
                _ => push_outcome(fields, event, "success", "response"),
            }
            fields.push_all(event, &[(Attribute::ActorUserName, "user"), (Attribute::ActorUserName, "username")]);
        }
        _ => {}
    }
}

/// Logs of what a host has or is, which are named after no protocol.
const OBSERVED: [&str; 5] = ["software", "known_certs", "known_hosts", "known_devices", "traceroute"];

/// A request of SIP and what was answered.
fn sip<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.push(Attribute::AppProtocolName, "sip");
    match fields.leaf("status_code").and_then(Leaf::as_number) {
        Some(400..) => outcome::failure(event, fields.text("status_msg").unwrap_or_default()),
        Some(200..) => outcome::success(event),
        _ => {}
    }
    fields.push(event, Attribute::StatusCode, "status_code");
}

/// How a connection went (`conn_state`), what was counted and how long it took.
fn conn<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match fields.peek("conn_state") {
        Some("S0" | "SH" | "SHR") => 4,
        Some("REJ") => 5,
        Some("RSTO" | "RSTR" | "RSTOS0" | "RSTRH") => 3,
        Some("SF" | "S2" | "S3") => 2,
        _ => 6,
    };
    match event.activity_id {
        2 => outcome::success(event),
        4 | 5 => outcome::failure(event, ""),
        _ => {}
    }
    let number = |fields: &Fields<'_>, key: &str| fields.leaf(key).and_then(Leaf::as_number);
    for (attribute, a, b) in
        [(Attribute::TrafficBytes, "orig_bytes", "resp_bytes"), (Attribute::TrafficPackets, "orig_pkts", "resp_pkts")]
    {
        if let (Some(a), Some(b)) = (number(fields, a), number(fields, b)) {
            event.push(attribute, a.saturating_add(b));
        }
    }
    fields.push_all(
        event,
        &[
            (Attribute::StatusCode, "conn_state"),
            (Attribute::AppProtocolName, "service"),
            (Attribute::TrafficBytesOut, "orig_bytes"),
            (Attribute::TrafficBytesIn, "resp_bytes"),
            (Attribute::TrafficPacketsOut, "orig_pkts"),
            (Attribute::TrafficPacketsIn, "resp_pkts"),
            (Attribute::ConnectionFlagHistory, "history"),
        ],
    );
    event.push(Attribute::StartTime, event.time.as_ms());
    if let Some(ms) = seconds(fields, "duration") {
        event.push(Attribute::Duration, ms);
        event.push(Attribute::EndTime, event.time.as_ms().saturating_add(ms));
    }
}

/// An interval of Zeek, in seconds, as milliseconds.
fn seconds(fields: &Fields<'_>, key: &str) -> Option<i64> {
    let seconds: f64 = fields.leaf(key)?.as_text()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie within i64 on this line")]
    (seconds.abs() < 9e12).then_some((seconds * 1000.0).round() as i64)
}

fn dns<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.push(Attribute::AppProtocolName, "dns");
    if fields.push(event, Attribute::QueryHostname, "query") {
        fields.push_all(
            event,
            &[
                (Attribute::QueryType, "qtype_name"),
                (Attribute::QueryClass, "qclass_name"),
                (Attribute::QueryPacketUid, "trans_id"),
            ],
        );
    }
    event.push(Attribute::QueryTime, event.time.as_ms());
    if let Some(ms) = seconds(fields, "rtt") {
        event.push(Attribute::ResponseTime, event.time.as_ms().saturating_add(ms));
    }
    let (answers, ttls) = (listed(fields, "answers"), listed(fields, "TTLs"));
    if !answers.is_empty() {
        fields.take("answers");
        fields.take("TTLs");
    }
    for (index, answer) in (0_u16..).zip(answers) {
        event.push_at(Attribute::AnswersRdata, index, answer);
        let ttl = ttls.get(usize::from(index)).and_then(|ttl| ttl.split('.').next()?.parse::<i64>().ok());
        if let Some(ttl) = ttl {
            event.push_at(Attribute::AnswersTtl, index, ttl);
        }
    }
    let Some(rcode) = fields.text("rcode_name") else {
        event.activity_id = 1;
        return;
    };
    let failed = rcode != "NOERROR";
    push_rcode(event, rcode.clone());
    if failed { outcome::failure(event, rcode) } else { outcome::success(event) }
}

fn http<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    match fields.text("method") {
        Some(method) => http_fields::push_method(event, method),
        None => {
            event.activity_id = 99;
            event.push(Attribute::ActivityName, "No Request");
        }
    }
    let host = fields.text("host");
    match (fields.text("uri"), host) {
        (Some(uri), host) => http_fields::push_target(event, uri, host),
        (None, Some(host)) => event.unmap("host", host),
        (None, None) => {}
    }
    fields.push_all(
        event,
        &[
            (Attribute::HttpRequestUserAgent, "user_agent"),
            (Attribute::HttpRequestReferrer, "referrer"),
            (Attribute::HttpRequestVersion, "version"),
            (Attribute::HttpRequestBodyLength, "request_body_len"),
            (Attribute::ActorUserName, "username"),
        ],
    );
    if let Some(code) = fields.leaf("status_code").and_then(Leaf::as_number)
        && http_fields::push_status(event, code)
    {
        fields.take("status_code");
        fields.push_all(
            event,
            &[(Attribute::HttpResponseStatus, "status_msg"), (Attribute::HttpResponseBodyLength, "response_body_len")],
        );
        if let Some(content) = listed(fields, "resp_mime_types").into_iter().next() {
            event.push(Attribute::HttpResponseContentType, content);
        }
    } else if !event.fields.iter().any(|field| field.attribute.path().starts_with("http_request")) {
        event.class = Class::NetworkActivity;
        event.activity_id = 6;
        event.fields.retain(|field| field.attribute != Attribute::ActivityName);
        event.push(Attribute::AppProtocolName, "http");
    }
}

fn ssl<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.push(Attribute::AppProtocolName, "tls");
    let established = fields.is_true("established");
    event.activity_id = if established { 1 } else { 4 };
    push_outcome(fields, event, "established", "validation_status");
    fingerprints::push_ja4(fields, "ja4", event);
    if !fingerprints::push_version(fields, (Attribute::TlsVersion, "version"), &["server_name", "cipher", "ja3"], event)
    {
        return;
    }
    fields.push_all(event, &[(Attribute::TlsCipher, "cipher"), (Attribute::TlsSni, "server_name")]);
    fingerprints::push_ja3(fields, ["ja3", "ja3s"], event);
}

fn ssh<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    fields.push(event, Attribute::ProtocolVer, "version");
    if fields.is_true("auth_success") {
        outcome::success(event);
        fields.take("auth_success");
    } else if let Some(Leaf::Bool(false)) = fields.leaf("auth_success") {
        event.activity_id = 4;
        outcome::failure(event, "");
        fields.take("auth_success");
    }
    match fields.peek("direction") {
        Some("INBOUND") => event.set(Attribute::ConnectionDirectionId, 1),
        Some("OUTBOUND") => event.set(Attribute::ConnectionDirectionId, 2),
        _ => {}
    }
    fingerprints::push_hassh(fields, [("hassh", "hasshAlgorithms"), ("hasshServer", "hasshServerAlgorithms")], event);
}

fn ftp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let command = fields.text("command");
    push_ftp_command(event, command);
    if !fields.is("user", "<unknown>") {
        fields.push(event, Attribute::ActorUserName, "user");
    }
    // `ftp://192.0.2.9/pub/x.txt`
    if matches!(event.activity_id, 1 | 2 | 4)
        && let Some(path) = fields.text("arg")
    {
        let name = Some(base_name(&path)).filter(|name| !name.is_empty()).unwrap_or(&path).to_owned();
        event.push(Attribute::FileName, name);
        event.push(Attribute::FilePath, path);
        event.push(Attribute::FileTypeId, 1);
        fields.push(event, Attribute::FileSize, "file_size");
    }
    if let Some(code) = fields.text("reply_code") {
        push_ftp_code(event, code);
    }
    if event.value(Attribute::StatusDetail).is_none() {
        fields.push(event, Attribute::StatusDetail, "reply_msg");
    }
}

fn smtp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class != Class::EmailActivity {
        event.push(Attribute::AppProtocolName, "smtp");
        return;
    }
    event.activity_id = 1;
    event.push(Attribute::EmailDirectionId, 0);
    event.push(Attribute::EmailProtocolName, "smtp");
    if !fields.push(event, Attribute::EmailFrom, "mailfrom") {
        fields.push(event, Attribute::EmailFrom, "from");
    }
    let key = if fields.has("rcptto") { "rcptto" } else { "to" };
    let recipients = listed(fields, key);
    if !recipients.is_empty() {
        fields.take(key);
    }
    for (index, recipient) in (0..).zip(recipients) {
        event.push_at(Attribute::EmailTo, index, recipient);
    }
    fields.push_all(event, &[(Attribute::EmailSubject, "subject"), (Attribute::EmailMessageUid, "msg_id")]);
    match fields.peek("last_reply").and_then(|reply| reply.bytes().next()) {
        Some(b'2') => outcome::success(event),
        Some(b'4' | b'5') => outcome::failure(event, fields.text("last_reply").unwrap_or_default()),
        _ => {}
    }
}

fn files<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class == Class::NetworkActivity {
        if let Some(source) = fields.peek("source").map(str::to_ascii_lowercase) {
            event.push(Attribute::AppProtocolName, source);
        }
        if let Some(bytes) = fields.leaf("seen_bytes").and_then(Leaf::as_number) {
            event.push(Attribute::TrafficBytes, bytes);
        }
        return;
    }
    event.activity_id = 99;
    event.push(Attribute::ActivityName, "File Transfer");
    if !fields.push(event, Attribute::FileName, "filename") && !fields.push(event, Attribute::FileName, "fuid") {
        return;
    }
    event.push(Attribute::FileTypeId, 1);
    fields.push(event, Attribute::FileSize, "seen_bytes");
    let mut index = 0;
    for (key, name, id) in [("md5", "MD5", 1), ("sha1", "SHA-1", 2), ("sha256", "SHA-256", 3)] {
        if fields.push_at(event, Attribute::FileHashValue, index, key) {
            event.push_at(Attribute::FileHashAlgorithm, index, name);
            event.push_at(Attribute::FileHashAlgorithmId, index, id);
            index += 1;
        }
    }
}

fn dhcp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let last = listed(fields, "msg_types").pop();
    event.activity_id = match last.as_deref() {
        Some("DISCOVER") => 1,
        Some("OFFER") => 2,
        Some("REQUEST") => 3,
        Some("DECLINE") => 4,
        Some("NAK") => 6,
        Some("RELEASE") => 7,
        Some("INFORM") => 8,
        Some("ACK") => 5,
        None if fields.has("assigned_ip") => 5,
        _ => 0,
    };
    if event.activity_id == 6 {
        outcome::failure(event, fields.text("server_message").unwrap_or_default());
    }
    if event.value(Attribute::SrcEndpointHostname).is_none() {
        fields.push_all(event, &[(Attribute::SrcEndpointHostname, "host_name")]);
    }
    fields.push_all(
        event,
        &[
            (Attribute::SrcEndpointDomain, "domain"),
            (Attribute::LeaseDur, "lease_time"),
            (Attribute::TransactionUid, "trans_id"),
        ],
    );
}

fn ntp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match fields.leaf("mode").and_then(Leaf::as_number) {
        Some(mode @ 1..=7) => u8::try_from(mode).unwrap_or(0),
        _ => 0,
    };
    fields.push(event, Attribute::NtpVersion, "version");
}

fn rdp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 6;
    fields.push(event, Attribute::IdentifierCookie, "cookie");
    match fields.peek("result").map(str::to_ascii_lowercase).as_deref() {
        Some("success" | "succeeded" | "encrypted") => outcome::success(event),
        Some(result) if result.contains("fail") => outcome::failure(event, result.to_owned()),
        _ => {}
    }
}

fn smb<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let key = if path == "smb_cmd" { "command" } else { "action" };
    event.activity_id = match fields.peek(key) {
        Some("SMB::FILE_OPEN") => 2,
        Some(_) => 99,
        None => 0,
    };
    if event.activity_id == 99
        && let Some(action) = fields.peek(key).map(str::to_owned)
    {
        event.push(Attribute::ActivityName, action);
    }
    fields.push(event, Attribute::FtpCommand, key);
    fields.push_all(event, &[(Attribute::ActorUserName, "username"), (Attribute::SmbShare, "tree")]);
    match fields.peek("status") {
        Some("SUCCESS") => outcome::success(event),
        // The server asks for the rest of it.
        Some("MORE_PROCESSING_REQUIRED" | "PENDING" | "") | None => {}
        Some(_) => outcome::failure(event, ""),
    }
    fields.push(event, Attribute::StatusCode, "status");
    if path == "smb_mapping" {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Tree Connect");
        fields.push_all(event, &[(Attribute::SmbShareType, "share_type")]);
    } else if fields.push(event, Attribute::FileName, "name") {
        event.push(Attribute::FileTypeId, 0);
        fields.push(event, Attribute::FileSize, "size");
    }
    fields.push(event, Attribute::SmbShare, "path");
}

/// `bob/EXAMPLE.COM`: who, and in which realm.
fn principal<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let Some(client) = fields.text("client") else { return };
    match client.rsplit_once('/').filter(|(name, realm)| !name.is_empty() && !realm.is_empty()) {
        Some((name, realm)) => {
            event.push(Attribute::UserName, name.to_owned());
            event.push(Attribute::UserDomain, realm.to_owned());
        }
        None => event.push(Attribute::UserName, client),
    }
}

/// Who proved to be whom, over the wire.
fn logon<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let (protocol, id) = match path {
        "kerberos" => ("Kerberos", 2),
        "ntlm" => ("NTLM", 1),
        "radius" => ("RADIUS", 10),
        _ => ("LDAP", 12),
    };
    event.push(Attribute::AuthProtocol, protocol);
    event.push(Attribute::AuthProtocolId, id);
    match path {
        "kerberos" => {
            event.activity_id = if fields.is("request_type", "TGS") { 4 } else { 3 };
            principal(fields, event);
            fields.push(event, Attribute::ServiceName, "service");
            push_outcome(fields, event, "success", "error_msg");
        }
        "ldap" => {
            fields.push(event, Attribute::UserName, "object");
            match fields.text("result") {
                Some(result) if result == "success" => outcome::success(event),
                Some(result) => outcome::failure(event, result),
                None => {}
            }
        }
        _ => {
            fields.push_all(
                event,
                &[
                    (Attribute::UserName, "username"),
                    (Attribute::UserDomain, "domainname"),
                    (Attribute::SrcEndpointHostname, "hostname"),
                    (Attribute::DstEndpointHostname, "server_dns_computer_name"),
                ],
            );
            push_outcome(fields, event, "success", "");
            match fields.text("result") {
                Some(result) if result == "success" => outcome::success(event),
                Some(result) => outcome::failure(event, result),
                None => {}
            }
        }
    }
    if event.value(Attribute::DstEndpointIp).is_none() && event.value(Attribute::ServiceName).is_none() {
        event.push(Attribute::ServiceName, protocol);
    }
}

fn tunnel<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match fields.text("action").as_deref() {
        Some("Tunnel::DISCOVER") => 1,
        Some("Tunnel::CLOSE" | "Tunnel::EXPIRE") => 2,
        _ => 0,
    };
    if fields.push(event, Attribute::TunnelType, "tunnel_type") {
        event.push(Attribute::TunnelTypeId, 99);
    }
}

/// What a protocol must not do, and an analyzer that gave up.
fn failure<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 4;
    let key = if path == "weird" { "name" } else { "failure_reason" };
    outcome::failure(event, fields.text(key).unwrap_or_default());
    if let Some(name) = fields.peek("analyzer").or_else(|| fields.peek("analyzer_name")).map(str::to_ascii_lowercase) {
        event.push(Attribute::AppProtocolName, name);
    }
}

/// `notice`, `intel` and `signatures`: a finding with its evidence.
pub(super) fn finding<'a>(path: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    event.severity_id = 3;
    let (title, desc) = match path {
        "notice" => ("note", "msg"),
        "intel" => ("seen.indicator", "seen.where"),
        _ => ("sig_id", "event_msg"),
    };
    let name = fields.peek(title).unwrap_or(path).to_owned();
    let at = fields.peek("uid").or_else(|| fields.peek("src")).unwrap_or_default();
    event.push(Attribute::FindingUid, format!("{name}:{at}:{}", event.time.as_ms()));
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::FindingAnalyticName, name);
    event.push(Attribute::IsAlert, true);
    fields.push(event, Attribute::FindingTitle, title);
    fields.push(event, Attribute::FindingTypes, "seen.indicator_type");
    if let Some(text) = fields.text(desc) {
        event.push(Attribute::Message, text.clone());
        event.push(Attribute::FindingDesc, text);
    }
    let ends = [
        (
            ["id.orig_h", "src", "src_addr"],
            ["id.orig_p", "", "src_port"],
            Attribute::EvidencesSrcEndpointIp,
            Attribute::EvidencesSrcEndpointPort,
        ),
        (
            ["id.resp_h", "dst", "dst_addr"],
            ["id.resp_p", "p", "dst_port"],
            Attribute::EvidencesDstEndpointIp,
            Attribute::EvidencesDstEndpointPort,
        ),
    ];
    for (hosts, ports, ip, port) in ends {
        let found = hosts
            .into_iter()
            .zip(ports)
            .find(|(host, _)| fields.peek(host).is_some_and(|text| endpoint::ip(text).is_some()));
        let Some((host, number)) = found else { continue };
        fields.push(event, ip, host);
        if fields.is_port(number) {
            fields.push(event, port, number);
        }
    }
    if let Some(protocol) = fields.peek("proto").map(str::to_owned)
        && super::super::transport::push(event, Some(&protocol))
    {
        fields.take("proto");
    }
    let dropped = listed(fields, "actions").iter().any(|action| action == "Notice::ACTION_DROP");
    if dropped {
        outcome::controlled(event, outcome::Control::Blocked);
    }
    let counted = fields.number("n");
    if let Some(count) = counted.filter(|count| *count > 0 && i32::try_from(*count).is_ok()) {
        event.push(Attribute::Count, Value::Int(count));
    }
}
