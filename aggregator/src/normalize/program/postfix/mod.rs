//! Postfix: connections (4001), mail on its way (4009), logons over SASL (3002), the service itself (6002).
//!
//! In: a message of `postfix/smtpd` and its kin, whatever instance or service stands in the program's name. Out: peers, sender,
//! recipient, queue id (`message_trace_uid`), status codes and text. What a line does not say of a message is left empty: a
//! sender that is `<>` in the log stays `<>`. Source: Postfix 3.9, src/smtpd, src/qmgr, src/smtp, src/postscreen, src/global/log_adhoc.c.

mod delivery;
mod session;

use super::super::attempt;
use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{LOW, failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, cut, cut_at, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `direction_id`: unknown, inbound, outbound, internal.
const UNKNOWN: i64 = 0;
const INBOUND: i64 = 1;
const OUTBOUND: i64 = 2;
const INTERNAL: i64 = 3;

/// Reads a message by the program that says it.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let program = base_name(header.program);
    match program {
        "master" | "postfix-script" => service(message, event) || own(message, event),
        "anvil" => attempt(|message, (), event| anvil(message, event), message, &(), event) || own(message, event),
        "dnsblog" => attempt(|message, (), event| listed(message, event), message, &(), event) || own(message, event),
        _ => {
            let of_a_peer =
                |message, header: &Header<'a>, event: &mut Event<'a>| session::parse(message, program, header, event);
            attempt(of_a_peer, message, header, event)
                || attempt(|message, (), event| delivery::parse(message, program, event), message, &(), event)
                || attempt(|message, (), event| session::named(message, event), message, &(), event)
                || own(message, event)
        }
    }
}

/// What is about no peer and no mail.
fn own<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if fatal(message, event) {
        return true;
    }
    let warning = message.strip_prefix("warning: ");
    if warning.is_some() {
        event.severity_id = event.severity_id.max(LOW);
        event.push(Attribute::MetadataLogLevel, "warning");
    }
    remark("postfix", warning.unwrap_or(message), event)
}

/// A queue id and the text behind it: `4A1B2C3D5E: text`, `44JCRG5tYPzCqt2: text`, `NOQUEUE: text`.
fn queued(message: &str) -> Option<(&str, &str)> {
    let (id, rest) = cut(message, ": ")?;
    let shaped = (5..=24).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    let counted = id == "NOQUEUE" || id.bytes().any(|b| b.is_ascii_digit());
    (shaped && counted).then_some((id, rest))
}

/// `host[address]:port`, `host[address]`, `[address]:port`: host, address, port, and what follows.
fn peer(text: &str) -> Option<(&str, &str, Option<i64>, &str)> {
    let (host, rest) = cut(text, "[").filter(|(host, _)| !host.contains(' '))?;
    let (address, rest) = cut(rest, "]")?;
    let address = address.strip_prefix("IPv6:").unwrap_or(address);
    let Some(numbered) = rest.strip_prefix(':') else { return Some((host, address, None, rest)) };
    let end = numbered.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(numbered.len());
    let (digits, after) = numbered.split_at_checked(end)?;
    match port(digits) {
        Some(port) => Some((host, address, Some(port), after)),
        None => Some((host, address, None, rest)),
    }
}

/// Sets a peer as the source and gives what follows it.
fn push_client<'a>(event: &mut Event<'a>, text: &'a str) -> Option<&'a str> {
    let (host, address, port, rest) = peer(text)?;
    if !push_source(event, address, port) {
        return None;
    }
    if !matches!(host, "" | "unknown") && event.value(Attribute::SrcEndpointHostname).is_none() {
        event.push(Attribute::SrcEndpointHostname, host);
    }
    Some(rest)
}

/// Sets a peer as the destination.
fn push_server<'a>(event: &mut Event<'a>, text: &'a str) -> Option<&'a str> {
    let (host, address, port, rest) = peer(text)?;
    if !push_destination(event, address, port) {
        return None;
    }
    if !host.is_empty() && event.value(Attribute::DstEndpointHostname).is_none() {
        event.push(Attribute::DstEndpointHostname, host);
    }
    Some(rest)
}

/// Begins an event about a message on its way; `email` needs a sender or a recipient to stand.
fn email<'a>(event: &mut Event<'a>, activity: u8, direction: i64, queue_id: &'a str, from: &'a str) {
    event.class = Class::EmailActivity;
    event.activity_id = activity;
    event.push(Attribute::EmailDirectionId, direction);
    event.push(Attribute::EmailFrom, from);
    if queue_id != "NOQUEUE" {
        event.push(Attribute::EmailMessageTraceUid, queue_id);
    }
}

/// What stands between `name=<` and `>`, or behind `name=` up to a comma or space.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = cut(text, name)?;
    match rest.strip_prefix('<') {
        Some(inner) => cut_at(b'>', inner).map(|(inner, _)| inner),
        None => {
            let end = rest.bytes().position(|byte| matches!(byte, b',' | b' ' | b';'));
            rest.get(..end.unwrap_or(rest.len()))
        }
    }
}

/// An address as it stands between `<` and `>`; the null sender keeps its brackets.
fn sender(text: &str) -> &str {
    if text.is_empty() { "<>" } else { text }
}

/// The network event of a peer that did something beside mail.
fn connection<'a>(event: &mut Event<'a>, activity: u8) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "smtp");
}

/// `daemon started -- version 3.9, configuration /etc/postfix`, `terminating on signal 15`, `reload -- version …`.
fn service<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    event.activity_id = if message.starts_with("daemon started") || message.starts_with("starting the Postfix") {
        3
    } else if message.starts_with("terminating") || message.starts_with("stopping the Postfix") {
        4
    } else if message.starts_with("reload") || message.starts_with("refreshing the Postfix") {
        5
    } else {
        event.activity_id = 0;
        return false;
    };
    event.class = Class::ApplicationLifecycle;
    event.push(Attribute::AppName, "postfix");
    event.push(Attribute::AppVendorName, "Postfix");
    if let Some(version) = value(message, "version ") {
        event.push(Attribute::AppVersion, version);
    }
    success(event);
    true
}

/// `statistics: max connection rate 1/60s for (smtp:192.0.2.1) at May  1 10:00:00`.
fn anvil<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((what, rest)) = message.strip_prefix("statistics: ").and_then(|rest| cut(rest, " for (")) else {
        return false;
    };
    let Some((service, address)) = rest.split(')').next().and_then(|inner| inner.split_once(':')) else { return false };
    connection(event, 6);
    let (name, figure) = what.rsplit_once(' ').unwrap_or((what, ""));
    event.unmap("statistic", name);
    event.unmap("figure", figure);
    event.unmap("service", service);
    success(event);
    push_source(event, address, None)
}

/// `addr 192.0.2.1 listed by domain dnsbl.example as 127.0.0.4`.
fn listed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((address, rest)) = message.strip_prefix("addr ").map(word) else { return false };
    let Some((domain, answer)) = rest.strip_prefix("listed by domain ").map(word) else { return false };
    connection(event, 6);
    push_source(event, address, None);
    event.unmap("dnsbl_domain", domain);
    event.unmap("dnsbl_answer", answer.strip_prefix("as ").unwrap_or(answer));
    success(event);
    true
}

/// `fatal: …`, `panic: …`, `error: …`: an error of the application.
fn fatal<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((level, text)) = cut(message, ": ").filter(|(level, _)| matches!(*level, "fatal" | "panic" | "error"))
    else {
        return false;
    };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(if level == "error" { 3 } else { 4 });
    event.push(Attribute::MetadataLogLevel, level);
    failure(event, text);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::testing::normalized;

    fn said(program: &str, message: &str) -> Value {
        normalized(&format!("Mar 16 10:00:00 mx postfix/{program}[9]: {message}"))
    }

    #[test]
    fn clients_and_screened_clients_are_connections() {
        for (program, message, kind, status) in [
            ("smtpd", "connect from mail.example.com[192.0.2.1]", 400_101, 1),
            (
                "submission/smtpd",
                "disconnect from mail.example.com[192.0.2.1] ehlo=1 auth=0/1 quit=1 commands=2/3",
                400_102,
                1,
            ),
            ("smtpd", "lost connection after AUTH from unknown[192.0.2.1]", 400_103, 2),
            ("smtpd", "too many errors after RCPT from mail.example.com[192.0.2.1]", 400_104, 2),
            ("smtpd", "improper command pipelining after AUTH from unknown[192.0.2.1]: QUIT", 400_104, 2),
            ("smtpd", "SSL_accept error from unknown[192.0.2.1]: lost connection", 400_104, 2),
            ("smtpd", "warning: non-SMTP command from unknown[192.0.2.1]: GET / HTTP/1.1", 400_104, 2),
            ("smtpd", "warning: hostname x.example.com does not resolve to address 192.0.2.1", 400_106, 2),
            (
                "smtpd",
                "Anonymous TLS connection established from mail.example.com[192.0.2.1]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
                400_101,
                1,
            ),
            ("postscreen", "CONNECT from [192.0.2.1]:5000 to [198.51.100.1]:25", 400_101, 1),
            ("postscreen", "PREGREET 11 after 0.1 from [192.0.2.1]:5000: EHLO x", 400_104, 2),
            ("postscreen", "PASS NEW [192.0.2.1]:5000", 400_106, 1),
            ("postscreen", "DNSBL rank 4 for [192.0.2.1]:5000", 400_106, 2),
            ("anvil", "statistics: max connection rate 1/60s for (smtp:192.0.2.1) at May  1 10:00:00", 400_106, 1),
            ("smtpd", "4A1B2C3D5E: client=mail.example.com[192.0.2.1]", 400_106, 1),
        ] {
            let event = said(program, message);
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
            assert_eq!(event["status_id"], status, "{message}");
        }
        let event = said("smtp", "connect to mx.example.com[192.0.2.1]:25: Connection timed out");
        assert_eq!(
            (event["type_uid"].as_i64(), &event["dst_endpoint"]),
            (Some(400_104), &json!({"ip": "192.0.2.1", "hostname": "mx.example.com", "port": 25}))
        );
    }

    #[test]
    fn sasl_logons_name_user_and_outcome() {
        for (message, user, status) in [
            ("warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", "", 2),
            (
                "warning: unknown[192.0.2.1]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=bob",
                "bob",
                2,
            ),
            ("4A1B2C3D5E: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=bob", "bob", 1),
        ] {
            let event = said("smtps/smtpd", message);
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!((&event["user"]["name"], &event["status_id"]), (&json!(user), &json!(status)), "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        }
    }

    #[test]
    fn mail_is_followed_by_its_queue_id() {
        for (program, message, kind, from, to, status) in [
            (
                "smtpd",
                "NOQUEUE: reject: RCPT from x.example[192.0.2.1]: 554 5.7.1 <b@example.com>: Relay access denied; from=<a@example.com> to=<b@example.com> proto=ESMTP helo=<h>",
                400_902,
                json!("a@example.com"),
                json!(["b@example.com"]),
                json!(2),
            ),
            (
                "postscreen",
                "NOQUEUE: reject: RCPT from [192.0.2.1]:60591: 550 5.7.1 Service unavailable; client [192.0.2.1] blocked using rbl.example.com; from=<a@example.com>, to=<b@example.com>, proto=ESMTP, helo=<h>",
                400_902,
                json!("a@example.com"),
                json!(["b@example.com"]),
                json!(2),
            ),
            (
                "qmgr",
                "4A1B2C3D5E: from=<a@example.com>, size=123, nrcpt=1 (queue active)",
                400_905,
                json!("a@example.com"),
                json!(null),
                json!(1),
            ),
            (
                "qmgr",
                "4A1B2C3D5E: from=<>, status=expired, returned to sender",
                400_905,
                json!("<>"),
                json!(null),
                json!(2),
            ),
            (
                "smtp",
                "4A1B2C3D5E: to=<b@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.5, delays=0.1/0/0.2/0.2, dsn=2.0.0, status=sent (250 OK)",
                400_901,
                json!(""),
                json!(["b@example.com"]),
                json!(1),
            ),
            (
                "local",
                "4A1B2C3D5E: to=<b@example.com>, orig_to=<b>, relay=local, delay=0.5, delays=0/0/0/0, dsn=5.1.1, status=bounced (unknown user: \"b\")",
                400_901,
                json!(""),
                json!(["b@example.com"]),
                json!(2),
            ),
            ("cleanup", "4A1B2C3D5E: message-id=<m@example.com>", 400_904, json!(""), json!(null), json!(1)),
            ("qmgr", "4A1B2C3D5E: removed", 400_904, json!(""), json!(null), json!(1)),
            ("pickup", "4A1B2C3D5E: uid=0 from=<root>", 400_901, json!("root"), json!(null), json!(1)),
        ] {
            let event = said(program, message);
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(
                (&event["email"]["from"], &event["email"]["to"], &event["status_id"]),
                (&from, &to, &status),
                "{message}"
            );
        }
        let event = said(
            "smtp",
            "4A1B2C3D5E: to=<b@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=0.5, dsn=2.0.0, status=sent (250 OK)",
        );
        assert_eq!(
            (&event["dst_endpoint"]["port"], &event["duration"], &event["status_code"]),
            (&json!(25), &json!(500), &json!("2.0.0"))
        );
        assert_eq!(event["message_trace_uid"], "4A1B2C3D5E");
    }
}
