//! What the protocols of EVE records say, one function for each that has a class.

use std::borrow::Cow;

use super::super::super::fields::{Fields, Leaf};
use super::super::super::outcome::{self, Control};
use super::super::super::record::is_mac;
use super::super::super::timestamp::Reference;
use super::super::super::{fingerprints, http_fields, json};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most answers and recipients that are taken apart.
const LISTED_MAX: usize = 64;

/// Activity and attributes of an event type.
pub(super) fn parse<'a>(kind: &str, fields: &mut Fields<'a>, reference: Reference, event: &mut Event<'a>) {
    event.activity_id = 6;
    match kind {
        "flow" => flow(fields, event),
        "tls" => {
            tls(fields, reference, event);
            event.activity_id = 1;
            outcome::success(event);
        }
        "http" | "http2" => http(fields, event),
        "dns" | "mdns" | "doh2" => dns(kind, fields, event),
        "ssh" => ssh(fields, event),
        "smtp" => smtp(fields, event),
        "ftp" | "ftp_data" => ftp(kind, fields, event),
        "smb" => smb(fields, event),
        "rdp" => rdp(fields, event),
        "dhcp" => dhcp(fields, event),
        "fileinfo" => fileinfo(fields, event),
        "krb5" if event.class == Class::Authentication => kerberos(fields, event),
        "drop" => drop(fields, event),
        "anomaly" => {
            event.activity_id = 4;
            outcome::failure(event, fields.text("anomaly.event").unwrap_or_default());
        }
        _ => {
            // Any other application protocol is traffic of its name; its keys stand as they are.
            if event.value(Attribute::AppProtocolName).is_none() && kind != "netflow" {
                event.push(Attribute::AppProtocolName, kind.to_owned());
            }
        }
    }
}

/// A flow that ended: how.
fn flow<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 2;
    if fields.is("flow.state", "new") && fields.peek("tcp.state").is_some() {
        event.activity_id = 4;
    } else if fields.is_true("tcp.rst") {
        event.activity_id = 3;
    }
    fields.push_all(event, &[(Attribute::StatusCode, "flow.state"), (Attribute::StatusDetail, "flow.reason")]);
}

fn drop<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 4;
    outcome::controlled(event, Control::Dropped);
    outcome::failure(event, fields.text("drop.reason").unwrap_or_default());
    fields.push(event, Attribute::TrafficBytes, "drop.len");
}

/// Keys that tell of a handshake whose version is not said.
pub(super) const TOLD: [&str; 3] = ["tls.sni", "tls.ja3.hash", "tls.subject"];

/// Version, names and fingerprints of a handshake.
fn tls<'a>(fields: &mut Fields<'a>, reference: Reference, event: &mut Event<'a>) {
    if event.value(Attribute::AppProtocolName).is_none() {
        event.push(Attribute::AppProtocolName, "tls");
    }
    fingerprints::push_ja4(fields, "tls.ja4", event);
    if !fingerprints::push_version(fields, (Attribute::TlsVersion, "tls.version"), &TOLD, event) {
        return;
    }
    fields.push_all(event, &[(Attribute::TlsSni, "tls.sni"), (Attribute::TlsCipher, "tls.cipher")]);
    fingerprints::push_ja3(fields, ["tls.ja3.hash", "tls.ja3s.hash"], event);
    if fields.peek("tls.issuerdn").is_some() && fields.peek("tls.serial").is_some() {
        fields.push_all(
            event,
            &[
                (Attribute::TlsCertificateIssuer, "tls.issuerdn"),
                (Attribute::TlsCertificateSerialNumber, "tls.serial"),
                (Attribute::TlsCertificateSubject, "tls.subject"),
            ],
        );
        fields.push_moment(event, Attribute::TlsCertificateCreatedTime, "tls.notbefore", reference);
        fields.push_moment(event, Attribute::TlsCertificateExpirationTime, "tls.notafter", reference);
        if fields.push(event, Attribute::TlsCertificateFingerprintValue, "tls.fingerprint") {
            event.push(Attribute::TlsCertificateFingerprintAlgorithm, "SHA-1");
            event.push(Attribute::TlsCertificateFingerprintAlgorithmId, 2);
        }
    }
}

fn http<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let method = fields.text("http.http_method").or_else(|| fields.text("http.http2.request.method"));
    match method {
        Some(method) => http_fields::push_method(event, method),
        None => {
            event.activity_id = 99;
            event.push(Attribute::ActivityName, "No Request");
        }
    }
    let host = fields.text("http.hostname");
    match fields.text("http.url") {
        Some(url) => http_fields::push_target(event, url, host),
        None => {
            if let Some(host) = host {
                event.unmap("http.hostname", host);
            }
        }
    }
    if let Some(version) = fields.text("http.protocol") {
        event.push(Attribute::HttpRequestVersion, trimmed(version, "HTTP/"));
    }
    fields.push_all(
        event,
        &[
            (Attribute::HttpRequestUserAgent, "http.http_user_agent"),
            (Attribute::HttpRequestReferrer, "http.http_refer"),
        ],
    );
    if let Some(forwarded) = fields.text("http.xff") {
        http_fields::push_forwarded(event, forwarded);
    }
    if let Some(code) = fields.leaf("http.status").and_then(Leaf::as_number)
        && http_fields::push_status(event, code)
    {
        fields.take("http.status");
        fields.push_all(
            event,
            &[
                (Attribute::HttpResponseContentType, "http.http_content_type"),
                (Attribute::HttpResponseBodyLength, "http.length"),
            ],
        );
    } else if event.value(Attribute::HttpRequestUrlString).is_none()
        && event.value(Attribute::HttpRequestMethod).is_none()
    {
        // Neither request nor response: what is left is traffic.
        event.class = Class::NetworkActivity;
        event.activity_id = 6;
        event.fields.retain(|field| {
            field.attribute != Attribute::ActivityName && Class::NetworkActivity.carries(field.attribute)
        });
    }
}

/// A text without what may stand before it.
fn trimmed<'a>(text: Cow<'a, str>, prefix: &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.strip_prefix(prefix).unwrap_or(text)),
        Cow::Owned(text) => Cow::Owned(text.strip_prefix(prefix).map(str::to_owned).unwrap_or(text)),
    }
}

/// Versions 1 (a record for each answer), 2 (one for all answers) and 3 (queries in a list).
fn dns<'a>(kind: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let group = if kind == "mdns" { "mdns" } else { "dns" };
    let key = |name: &str| format!("{group}.{name}");
    let answered = matches!(fields.peek(&key("type")), Some("answer" | "response"));
    fields.take(&key("type"));
    event.activity_id = if answered { 2 } else { 1 };
    if event.value(Attribute::AppProtocolName).is_none() {
        event.push(Attribute::AppProtocolName, if kind == "mdns" { "mdns" } else { "dns" });
    }
    let first = match (fields.leaf(&key("queries")), fields.leaf(&key("query"))) {
        (Some(Leaf::Json(list)), _) | (None, Some(Leaf::Json(list))) => json::elements(list).next(),
        _ => None,
    };
    match first {
        Some(Leaf::Json(first)) => {
            if let Some(mut query) = json::read(first)
                && query.push(event, Attribute::QueryHostname, "rrname")
            {
                query.push(event, Attribute::QueryType, "rrtype");
                fields.push(event, Attribute::QueryPacketUid, &key("id"));
            }
        }
        _ => {
            if fields.push(event, Attribute::QueryHostname, &key("rrname")) {
                // In version 1 it is the answer's too, which takes it below.
                if let Some(kind) = fields.peek(&key("rrtype")).map(str::to_owned) {
                    event.push(Attribute::QueryType, kind);
                }
                if !fields.has(&key("rdata")) {
                    fields.take(&key("rrtype"));
                }
                fields.push(event, Attribute::QueryPacketUid, &key("id"));
                if let Some(opcode) = fields.number(&key("opcode")).filter(|code| (0..=6).contains(code)) {
                    event.push(Attribute::QueryOpcodeId, opcode);
                }
            }
        }
    }
    answers(fields, &key("answers"), event);
    if fields.push(event, Attribute::AnswersRdata, &key("rdata")) {
        fields.push(event, Attribute::AnswersType, &key("rrtype"));
        fields.push(event, Attribute::AnswersTtl, &key("ttl"));
    }
    if let Some(code) = fields.text(&key("rcode")) {
        push_rcode(event, code);
    }
    let failed = matches!(event.value(Attribute::RcodeId), Some(crate::event::Value::Int(code)) if *code != 0);
    match (answered, failed) {
        (true, true) => outcome::failure(event, event.text(Attribute::Rcode).unwrap_or_default().to_owned()),
        (true, false) => outcome::success(event),
        _ => {}
    }
}

fn answers<'a>(fields: &mut Fields<'a>, key: &str, event: &mut Event<'a>) {
    let Some(Leaf::Json(list)) = fields.leaf(key) else { return };
    let mut index = 0;
    for answer in json::elements(list).take(LISTED_MAX) {
        let Leaf::Json(answer) = answer else { continue };
        let Some(mut answer) = json::read(answer) else { continue };
        if answer.push_at(event, Attribute::AnswersRdata, index, "rdata") {
            answer.push_at(event, Attribute::AnswersType, index, "rrtype");
            answer.push_at(event, Attribute::AnswersTtl, index, "ttl");
            index += 1;
        }
    }
    if index > 0 {
        fields.take(key);
    }
}

/// The response code by its name (IANA DNS parameters).
pub(in super::super::super) fn push_rcode<'a>(event: &mut Event<'a>, name: Cow<'a, str>) {
    const NAMES: [(&str, i64); 21] = [
        ("NOERROR", 0),
        ("FORMERR", 1),
        ("SERVFAIL", 2),
        ("NXDOMAIN", 3),
        ("NOTIMP", 4),
        ("REFUSED", 5),
        ("YXDOMAIN", 6),
        ("YXRRSET", 7),
        ("NXRRSET", 8),
        ("NOTAUTH", 9),
        ("NOTZONE", 10),
        ("DSOTYPENI", 11),
        ("BADVERS", 16),
        ("BADSIG", 16),
        ("BADKEY", 17),
        ("BADTIME", 18),
        ("BADMODE", 19),
        ("BADNAME", 20),
        ("BADALG", 21),
        ("BADTRUNC", 22),
        ("BADCOOKIE", 23),
    ];
    let id = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name)).map_or(99, |(_, id)| *id);
    event.push(Attribute::RcodeId, id);
    event.push(Attribute::Rcode, name);
}

fn ssh<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    if !fields.push(event, Attribute::ProtocolVer, "ssh.client.proto_version") {
        fields.push(event, Attribute::ProtocolVer, "ssh.server.proto_version");
    }
    fingerprints::push_hassh(
        fields,
        [("ssh.client.hassh.hash", "ssh.client.hassh.string"), ("ssh.server.hassh.hash", "ssh.server.hassh.string")],
        event,
    );
}

fn smtp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    event.push(Attribute::EmailDirectionId, 0);
    event.push(Attribute::EmailProtocolName, "smtp");
    let sender = fields.push(event, Attribute::EmailFrom, "email.from")
        || fields.push(event, Attribute::EmailFrom, "smtp.mail_from");
    let received = [fields.leaf("smtp.rcpt_to"), fields.leaf("email.to")].into_iter().find_map(|leaf| match leaf {
        Some(Leaf::Json(list)) => Some(*list),
        _ => None,
    });
    let mut recipients = 0;
    if let Some(list) = received {
        for recipient in json::elements(list).take(LISTED_MAX).filter_map(Leaf::into_text) {
            let address = match recipient.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')) {
                Some(address) => Cow::Owned(address.to_owned()),
                None => recipient,
            };
            event.push_at(Attribute::EmailTo, recipients, address);
            recipients += 1;
        }
    }
    if !sender && recipients == 0 {
        // `email` needs one of them.
        event.class = Class::NetworkActivity;
        event.activity_id = 6;
        event.fields.retain(|field| Class::NetworkActivity.carries(field.attribute));
        event.push(Attribute::ConnectionDirectionId, 0);
        return;
    }
    fields.push_all(
        event,
        &[(Attribute::EmailSubject, "email.subject"), (Attribute::EmailMessageUid, "email.message_id")],
    );
}

fn ftp<'a>(kind: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let group = if kind == "ftp" { "ftp" } else { "ftp_data" };
    let command = fields.text(&format!("{group}.command"));
    push_ftp_command(event, command);
    let argument = if kind == "ftp" { "ftp.command_data" } else { "ftp_data.filename" };
    let named = matches!(event.activity_id, 1 | 2 | 4);
    if named && fields.push(event, Attribute::FileName, argument) {
        event.push(Attribute::FileTypeId, 1);
    }
    if event.text(Attribute::FtpCommand).is_some_and(|command| command.eq_ignore_ascii_case("USER")) {
        fields.push(event, Attribute::ActorUserName, argument);
    }
    let code = match fields.leaf("ftp.completion_code") {
        Some(Leaf::Json(list)) => json::elements(list).last().and_then(Leaf::into_text),
        _ => None,
    };
    if let Some(code) = code {
        push_ftp_code(event, code);
    }
}

/// The command and the activity that it is.
pub(in super::super::super) fn push_ftp_command<'a>(event: &mut Event<'a>, command: Option<Cow<'a, str>>) {
    let Some(command) = command else {
        event.activity_id = 0;
        return;
    };
    event.activity_id = match command.to_ascii_uppercase().as_str() {
        "STOR" | "APPE" | "STOU" => 1,
        "RETR" => 2,
        "DELE" | "RMD" => 4,
        "RNFR" | "RNTO" => 5,
        "LIST" | "NLST" | "MLSD" => 6,
        _ => 99,
    };
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, command.clone());
    }
    event.push(Attribute::FtpCommand, command);
}

/// The reply code and what it says of the outcome.
pub(in super::super::super) fn push_ftp_code<'a>(event: &mut Event<'a>, code: Cow<'a, str>) {
    match code.as_bytes().first() {
        Some(b'1'..=b'3') => outcome::success(event),
        Some(b'4' | b'5') => outcome::failure(event, ""),
        _ => {}
    }
    event.push(Attribute::StatusCode, code);
}

fn smb<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match (fields.peek("smb.disposition"), fields.peek("smb.command")) {
        (Some("FILE_SUPERSEDE"), _) => 1,
        (Some("FILE_OPEN"), _) => 2,
        (Some("FILE_CREATE"), _) => 3,
        (Some("FILE_OPEN_IF"), _) => 4,
        (Some("FILE_OVERWRITE"), _) => 5,
        (Some("FILE_OVERWRITE_IF"), _) => 6,
        (_, Some(_)) => 99,
        _ => 0,
    };
    if event.activity_id == 99
        && let Some(command) = fields.peek("smb.command").map(str::to_owned)
    {
        event.push(Attribute::ActivityName, command);
    }
    match fields.peek("smb.status").map(str::to_owned) {
        Some(status) if status == "STATUS_SUCCESS" => outcome::success(event),
        Some(status) if status != "STATUS_MORE_PROCESSING_REQUIRED" => outcome::failure(event, status),
        _ => {}
    }
    fields.push_all(
        event,
        &[
            (Attribute::FtpCommand, "smb.command"),
            (Attribute::SmbDialect, "smb.dialect"),
            (Attribute::SmbShare, "smb.share"),
            (Attribute::SmbShareType, "smb.share_type"),
            (Attribute::SmbTreeUid, "smb.tree_id"),
            (Attribute::StatusCode, "smb.status_code"),
            (Attribute::ActorUserName, "smb.ntlmssp.user"),
        ],
    );
    if fields.push(event, Attribute::FileName, "smb.filename") {
        event.push(Attribute::FileTypeId, 0);
    }
}

fn rdp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match fields.text("rdp.event_type").as_deref() {
        Some("initial_request") => 1,
        Some("initial_response") => 2,
        Some("connect_request") => 3,
        Some("connect_response") => 4,
        Some("tls_handshake") => 5,
        _ => 6,
    };
    fields.push_all(
        event,
        &[
            (Attribute::IdentifierCookie, "rdp.cookie"),
            (Attribute::ProtocolVer, "rdp.client.version"),
            (Attribute::ProtocolVer, "rdp.server_supports"),
        ],
    );
}

fn dhcp<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = match fields.text("dhcp.dhcp_type").as_deref() {
        Some("discover") => 1,
        Some("offer") => 2,
        Some("request") => 3,
        Some("decline") => 4,
        Some("ack") => 5,
        Some("nak") => 6,
        Some("release") => 7,
        Some("inform") => 8,
        _ => 0,
    };
    if event.activity_id == 6 {
        outcome::failure(event, "");
    }
    if event.value(Attribute::SrcEndpointMac).is_none() {
        let client = !fields.is("dhcp.type", "reply");
        let mac = if client { Attribute::SrcEndpointMac } else { Attribute::DstEndpointMac };
        if event.value(mac).is_none() && fields.peek("dhcp.client_mac").is_some_and(is_mac) {
            fields.push(event, mac, "dhcp.client_mac");
        }
    }
    fields.push_all(event, &[(Attribute::TransactionUid, "dhcp.id"), (Attribute::LeaseDur, "dhcp.lease_time")]);
    if !fields.is("dhcp.relay_ip", "0.0.0.0") {
        fields.push(event, Attribute::RelayIp, "dhcp.relay_ip");
    }
    // The client's name, which a reply is sent to.
    let replied = fields.is("dhcp.type", "reply");
    let name = if replied { Attribute::DstEndpointHostname } else { Attribute::SrcEndpointHostname };
    if event.value(name).is_none() {
        fields.push(event, name, "dhcp.hostname");
    }
}

/// A file on the wire: in the class of the protocol that carried it.
fn fileinfo<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    match event.class {
        Class::HttpActivity => http(fields, event),
        _ => event.activity_id = 0,
    }
    if event.class == Class::NetworkActivity {
        event.activity_id = 6;
    }
    if event.class == Class::FtpActivity || event.class == Class::SmbActivity {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "File Transfer");
    }
    if !fields.push(event, Attribute::FileName, "fileinfo.filename") {
        return;
    }
    event.push(Attribute::FileTypeId, 1);
    fields.push(event, Attribute::FileSize, "fileinfo.size");
    let hashes = [("fileinfo.md5", "MD5", 1), ("fileinfo.sha1", "SHA-1", 2), ("fileinfo.sha256", "SHA-256", 3)];
    let mut index = 0;
    for (key, name, id) in hashes {
        if fields.push_at(event, Attribute::FileHashValue, index, key) {
            event.push_at(Attribute::FileHashAlgorithm, index, name);
            event.push_at(Attribute::FileHashAlgorithmId, index, id);
            index += 1;
        }
    }
}

/// Tickets: who asked, for what, and whether it was given.
fn kerberos<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let refused = fields.peek("krb5.error_code").map(str::to_owned);
    let asked = fields.peek("krb5.failed_request").or_else(|| fields.peek("krb5.msg_type")).unwrap_or_default();
    // Authentication ticket, service ticket.
    event.activity_id = if asked.contains("TGS") { 4 } else { 3 };
    fields.push_all(
        event,
        &[
            (Attribute::UserName, "krb5.cname"),
            (Attribute::UserDomain, "krb5.realm"),
            (Attribute::ServiceName, "krb5.sname"),
        ],
    );
    event.push(Attribute::AuthProtocolId, 2);
    event.push(Attribute::AuthProtocol, "Kerberos");
    match refused {
        Some(reason) => outcome::failure(event, reason),
        None => outcome::success(event),
    }
}
