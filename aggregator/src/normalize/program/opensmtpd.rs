//! OpenSMTPD: logons (3002), clients that came, went and were refused (4001), mail (4009), the service (6002, 6008).
//!
//! In: `5d2a1f0b12345678 smtp failed-command command="AUTH LOGIN" result="535 Authentication failed"` (6.0 and later), `smtp-in: New
//! session 5d2a1f0b12345678 from host h.example.com [192.0.2.1]` (5). A session's address stands in its first line alone: a later one
//! has its number. Source: `smtp_session.c`, `mta_session.c`, `mda.c` of OpenSMTPD 5.3 to 7.5.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::pairs::pairs;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{between, cut, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Network Activity (4001).
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const REFUSE: u8 = 5;
const TRAFFIC: u8 = 6;
/// Activities of Email Activity (4009).
const SEND: u8 = 1;
const RECEIVE: u8 = 2;

/// Reads a message.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let (session, rest) = word(message);
    let numbered = session.len() == 16 && session.bytes().all(|byte| byte.is_ascii_hexdigit());
    let said = match rest.split_once(' ') {
        Some((part, rest)) if numbered => step(part, rest, session, header, event),
        _ => elder(message, header, event),
    };
    said || remark("smtpd", message, event)
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    pairs(text).find(|pair| pair.key == key).and_then(|pair| pair.value).filter(|value| !value.is_empty())
}

/// What stands between angle brackets.
fn mailbox(text: &str) -> &str {
    text.trim_matches(['<', '>'])
}

/// A step of a session: of the part that takes mail in, sends it on, or hands it to a mail box.
fn step<'a>(part: &'a str, rest: &'a str, session: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (verb, fields) = word(rest);
    let address = value(fields, "address").map(|text| text.rsplit('/').next().unwrap_or(text));
    match (part, verb) {
        ("smtp", "authentication") => {
            let failed = value(fields, "result").is_some_and(|result| result != "ok");
            logon(value(fields, "user"), address, header, event);
            verdict(failed, value(fields, "result").unwrap_or_default(), event);
        }
        ("smtp", "failed-command") => {
            let command = value(fields, "command").unwrap_or_default();
            let result = value(fields, "result").unwrap_or_default();
            if command.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH")) || result.starts_with("535") {
                logon(None, address, header, event);
            } else {
                connection(REFUSE, address, header, event);
                event.unmap("command", command);
            }
            failure(event, result);
        }
        ("smtp", "connected" | "event=connected") => {
            connection(OPEN, address, header, event);
            success(event);
        }
        ("smtp", "disconnected" | "tls" | "starttls" | "cert-check") => {
            connection(if verb == "disconnected" { CLOSE } else { TRAFFIC }, address, header, event);
            success(event);
        }
        ("smtp", "message" | "envelope") => {
            mail(RECEIVE, fields, event);
            success(event);
        }
        ("mta" | "mda" | "bounce", "delivery") => {
            mail(if part == "mda" { RECEIVE } else { SEND }, fields, event);
            // `192.0.2.9 (mx.example.org)`
            if let Some(relay) = value(fields, "relay").map(|relay| word(relay).0).and_then(ip) {
                push_destination(event, relay, None);
            }
            verdict(value(fields, "result") != Some("Ok"), value(fields, "stat").unwrap_or_default(), event);
        }
        _ => return false,
    }
    event.unmap("session", session);
    true
}

/// Lines of OpenSMTPD 5.
fn elder<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = message.strip_prefix("smtp-in: ") else { return false };
    let session = |rest: &'a str| word(rest).0.trim_end_matches(':');
    if let Some(rest) = rest.strip_prefix("New session ") {
        let host = between(rest, "from host ", " [");
        let address = host.and_then(|(_, rest)| rest.split_once(']')).map(|(address, _)| address);
        connection(OPEN, address.filter(|address| ip(address).is_some()), header, event);
        event.unmap("session", session(rest));
        success(event);
    } else if let Some(rest) = rest.strip_prefix("Closing session ") {
        connection(CLOSE, None, header, event);
        event.unmap("session", session(rest));
        success(event);
    } else if let Some(rest) = rest.strip_prefix("Accepted message ") {
        mail(RECEIVE, cut(rest, ": ").map_or(rest, |(_, fields)| fields), event);
        success(event);
    } else if let Some(rest) = rest.strip_prefix("Failed command on session ") {
        let (command, result) = cut(rest, " => ").unwrap_or((rest, ""));
        let command = cut(command, ": ").map_or("", |(_, command)| command.trim_matches(['"', ' ']));
        if command.starts_with("AUTH") || result.starts_with("535") {
            logon(None, None, header, event);
        } else {
            connection(REFUSE, None, header, event);
            event.unmap("command", command);
        }
        event.unmap("session", session(rest));
        failure(event, result);
    } else if let Some((user, rest)) = between(rest, "Authentication failed for user ", " on session ") {
        logon(Some(user), None, header, event);
        event.unmap("session", session(rest));
        failure(event, "authentication failed");
    } else {
        return false;
    }
    true
}

fn logon<'a>(user: Option<&'a str>, address: Option<&'a str>, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user.unwrap_or("unknown"));
    event.push(Attribute::ServiceName, "smtpd");
    event.push(Attribute::IsRemote, true);
    if let Some(address) = address {
        push_source(event, address, None);
    }
    push_destination(event, header.this_host(), None);
}

fn connection<'a>(activity: u8, address: Option<&'a str>, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    if let Some(address) = address {
        push_source(event, address, None);
    }
    push_destination(event, header.this_host(), None);
    event.push(Attribute::AppProtocolName, "smtp");
}

fn mail<'a>(activity: u8, fields: &'a str, event: &mut Event<'a>) {
    event.class = Class::EmailActivity;
    event.activity_id = activity;
    event.push(Attribute::EmailDirectionId, if activity == SEND { 2 } else { 1 });
    let field = |key: &str| value(fields, key).map(|text| text.trim_end_matches(','));
    event.push(Attribute::EmailFrom, field("from").map(mailbox).unwrap_or_default());
    event.push(Attribute::EmailTo, field("to").map(mailbox).unwrap_or_default());
    if let Some(size) = field("size").and_then(|size| size.parse::<i64>().ok()) {
        event.push(Attribute::EmailSize, size);
    }
    for key in ["msgid", "evpid"] {
        if let Some(id) = field(key) {
            event.unmap(key, id);
        }
    }
}

fn verdict<'a>(failed: bool, reason: &'a str, event: &mut Event<'a>) {
    if failed {
        failure(event, reason);
    } else {
        success(event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn steps_of_a_session_are_told_apart() {
        for (message, kind, status, address, user) in [
            (
                "5d2a1f0b12345678 smtp connected address=192.0.2.1 host=h.example.com",
                400_101,
                1,
                Some("192.0.2.1"),
                None,
            ),
            (
                "5d2a1f0b12345678 smtp failed-command address=192.0.2.1 host=h command=\"AUTH LOGIN\" result=\"535 Authentication failed\"",
                300_201,
                2,
                Some("192.0.2.1"),
                Some("unknown"),
            ),
            (
                "5d2a1f0b12345678 smtp failed-command command=\"RCPT TO:<a@example.com>\" result=\"550 Invalid recipient\"",
                400_105,
                2,
                None,
                None,
            ),
            (
                "5d2a1f0b12345678 smtp authentication user=bob address=192.0.2.1 host=h result=permfail",
                300_201,
                2,
                Some("192.0.2.1"),
                Some("bob"),
            ),
            ("5d2a1f0b12345678 smtp authentication user=bob result=ok", 300_201, 1, None, Some("bob")),
            ("5d2a1f0b12345678 smtp disconnected reason=quit", 400_102, 1, None, None),
            (
                "smtp-in: New session 5d2a1f0b12345678 from host h.example.com [192.0.2.1]",
                400_101,
                1,
                Some("192.0.2.1"),
                None,
            ),
            ("smtp-in: Closing session 5d2a1f0b12345678", 400_102, 1, None, None),
            ("smtp-in: Authentication failed for user bob on session 5d2a1f0b12345678", 300_201, 2, None, Some("bob")),
            (
                "smtp-in: Failed command on session 5d2a1f0b12345678: \"AUTH PLAIN\" => 535 Authentication failed",
                300_201,
                2,
                None,
                Some("unknown"),
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 mx smtpd[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{message}");
            assert_eq!(event["src_endpoint"]["ip"].as_str(), address, "{message}");
            assert_eq!(event["user"]["name"].as_str(), user, "{message}");
            assert_eq!(event["unmapped"]["session"], "5d2a1f0b12345678", "{message}");
        }
    }

    #[test]
    fn mail_has_its_ends_and_its_fate() {
        let event = normalized(
            "Mar 16 10:00:00 mx smtpd[9]: 0000000000000000 mta delivery evpid=6f8a1b2c3d4e5f60 from=<a@example.com> to=<b@example.org> rcpt=<-> source=\"198.51.100.2\" relay=\"192.0.2.9 (mx.example.org)\" delay=1s result=\"PermFail\" stat=\"550 no\"",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_901), &json!(2)));
        assert_eq!(event["email"], json!({"from": "a@example.com", "to": ["b@example.org"]}));
        assert_eq!((&event["dst_endpoint"]["ip"], &event["status_detail"]), (&json!("192.0.2.9"), &json!("550 no")));
        let event = normalized(
            "Mar 16 10:00:00 mx smtpd[9]: smtp-in: Accepted message 4296f490 on session 5d2a1f0b12345678: from=<a@example.com>, to=<b@example.org>, size=1746, ndest=1, proto=ESMTP",
        );
        assert_eq!(event["email"], json!({"from": "a@example.com", "to": ["b@example.org"], "size": 1746}));
        assert_eq!(normalized("Mar 16 10:00:00 mx smtpd[9]: info: OpenSMTPD 7.5.0p0 starting")["type_uid"], 600_299);
    }
}
