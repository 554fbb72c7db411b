//! Exim's main and reject logs, in files and syslog: mail (4009), refused logons (3002), clients (4001).
//!
//! `[TIME ][[pid] ][QUEUE-ID ]<= a@b H=host (helo) [A]:p … S=123 id=m`, `… => b <c> R=r T=t H=host [A]:p`, `… Completed`,
//! `login authenticator failed for host (helo) [A]: 535 … (set_id=bob)`, `H=host [A] F=<a> rejected RCPT <b>: reason`.
//! Source: Exim 4.97 specification, chapter "Log files".

use super::super::endpoint::{self, push_destination, push_source};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{between, cut, head, number, port, word};
use super::super::timestamp;
use super::super::{Context, attempt};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What only lines of Exim hold.
const MARKS: [&str; 13] = [
    " authenticator failed for ",
    " <= ",
    " => ",
    " -> ",
    " == ",
    " ** ",
    " Completed",
    " H=",
    "SMTP ",
    "no host name found for IP address ",
    "no IP address found for host ",
    "TLS error on connection ",
    "unexpected disconnection ",
];

/// What it says of itself or of a message begins with these.
const OWN: [&str; 9] = [
    "DKIM: ",
    "exim 4.",
    "Start queue run: ",
    "End queue run: ",
    "cwd=",
    "Frozen (",
    "Unfrozen by ",
    "Message is frozen",
    "SIGHUP received",
];

/// Whether a line may be of one of its files.
pub(crate) fn looks(text: &str) -> bool {
    text.as_bytes().get(4) == Some(&b'-')
        && text.as_bytes().get(10) == Some(&b' ')
        && (MARKS.iter().any(|mark| cut(head(text, 200), mark).is_some()) || {
            let (id, rest) = named_first(word(word(text).1).1);
            id.is_some() || is_own(rest)
        })
}

/// Without `[pid] ` before it.
fn unnumbered(text: &str) -> &str {
    match text.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
        Some((pid, rest)) if number(pid).is_some() => rest,
        _ => text,
    }
}

/// The id of a message where it stands first, and what follows.
fn named_first(text: &str) -> (Option<&str>, &str) {
    let text = unnumbered(text);
    let (first, rest) = word(text);
    if is_id(first) { (Some(first), rest) } else { (None, text) }
}

/// `1rABCD-000abc-1x`; since 4.97 `1rABCD-00000000abc-1xYZ`.
fn is_id(word: &str) -> bool {
    let dashed = |second: usize| {
        word.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => at == 6 || at == second,
            _ => byte.is_ascii_alphanumeric(),
        })
    };
    match word.len() {
        16 => dashed(13),
        23 => dashed(18),
        _ => false,
    }
}

fn is_own(text: &str) -> bool {
    OWN.iter().any(|mark| text.starts_with(mark))
}

/// Reads a line of a file.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let rest = rest.trim_start();
    if !said(rest, event) {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "exim");
    event.push(Attribute::MetadataLogProvider, "exim");
    event.push(Attribute::Message, rest);
    true
}

/// Reads a message of syslog, which may hold Exim's own time.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let rest = timestamp::iso(message, header.context.reference).map_or(message, |(_, rest)| rest.trim_start());
    attempt(|rest, (), event| said(rest, event), rest, &(), event) || remark("exim", rest, event)
}

/// What is about a message or a client; only what stands behind an id is a message's.
fn read<'a>(text: &'a str, is_named: &bool, event: &mut Event<'a>) -> bool {
    (*is_named && mail(text, event)) || authenticator(text, event) || rejected(text, event) || client(text, event)
}

fn said<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (id, rest) = named_first(text);
    let understood =
        attempt(read, rest, &id.is_some(), event) || own(rest, event) || (id.is_some() && remark("exim", rest, event));
    if let (true, Some(id)) = (understood, id) {
        if event.class == Class::EmailActivity {
            event.push(Attribute::EmailMessageTraceUid, id);
        } else {
            event.unmap("queue_id", id);
        }
    }
    understood
}

/// The service itself: `exim 4.97 daemon started: pid=9, …`, `Start queue run: pid=9`, `cwd=/ 3 args: exim -q`.
fn own<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if !is_own(text) {
        return false;
    }
    match text.strip_prefix("exim ").map(word) {
        Some((version, rest)) if rest.starts_with("daemon started") => {
            event.push(Attribute::AppVersion, version);
            life("exim", 3, event)
        }
        _ => remark("exim", text, event),
    }
}

/// The last `[A]` before a colon of the head, with its port: hosts may give an address for their name.
fn peer(text: &str) -> Option<(&str, Option<i64>)> {
    let mut found = None;
    let mut rest = text;
    for _ in 0..4 {
        let Some((before, after)) = cut(rest, "[") else { break };
        // Parentheses hold what the client said of itself; `I=` is the interface of this host.
        if before.ends_with("I=") {
            break;
        }
        let (inner, tail) = cut(after, "]")?;
        if let Some(address) = endpoint::ip(inner).filter(|_| !before.ends_with('(')) {
            let digits =
                tail.strip_prefix(':').map(|tail| tail.split(|c: char| !c.is_ascii_digit()).next().unwrap_or(""));
            found = Some((address, digits.and_then(port)));
            break;
        }
        rest = tail;
    }
    found
}

fn push_peer<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((address, port)) = peer(text) else { return false };
    if let Some(name) = named(text) {
        event.push(Attribute::SrcEndpointHostname, name);
    }
    push_source(event, address, port)
}

/// The name that the peer's address leads to: `H=mail.example.com (helo) [A]`; without one the helo or the address follows.
fn named(text: &str) -> Option<&str> {
    let (_, rest) = cut(text, "H=").filter(|(before, _)| before.is_empty() || before.ends_with(' '))?;
    let name = word(rest).0;
    (!name.starts_with(['(', '[']) && name.contains('.')).then_some(name)
}

/// `login authenticator failed for host (helo) [A]:p I=[B]:q: 535 reason (set_id=bob)`.
fn authenticator<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((method, rest)) = cut(text, " authenticator failed for ") else { return false };
    event.class = Class::Authentication;
    event.activity_id = 1;
    let user = between(rest, "(set_id=", ")").map_or("", |(user, _)| user);
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "exim");
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, method);
    let reason = cut(rest, ": 5")
        .map_or("", |(_, reason)| reason.find(' ').and_then(|at| reason.get(at + 1..)).unwrap_or(reason));
    failure(event, reason.split(" (set_id=").next().unwrap_or(reason));
    push_peer(rest, event)
}

fn email<'a>(event: &mut Event<'a>, activity: u8, direction: i64, from: &'a str) {
    event.class = Class::EmailActivity;
    event.activity_id = activity;
    event.push(Attribute::EmailDirectionId, direction);
    event.push(Attribute::EmailFrom, from);
}

/// `H=host (helo) [A]:p F=<a> [temporarily ]rejected RCPT <b>: reason`, `H=… sender verify fail for <a>: reason`.
fn rejected<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((before, rest)) = cut(text, "H=") else { return false };
    // `local_scan()` names the sender first.
    let first = before.strip_prefix("F=").map(|from| word(from).0);
    if !before.is_empty() && first.is_none() {
        return false;
    }
    let from = between(rest, " F=<", ">").map(|(from, _)| from);
    let from = from.or_else(|| cut(rest, " F=").map(|(_, from)| word(from).0)).or(first);
    let verified = between(rest, "sender verify fail for <", ">");
    let verdict = cut(rest, "rejected ");
    match (from, verified, verdict) {
        (_, Some((from, reason)), _) => {
            email(event, 2, 1, from);
            failure(event, reason.trim_start_matches([':', ' ']));
        }
        (Some(from), None, Some((_, what))) => {
            email(event, 2, 1, if from.is_empty() { "<>" } else { from });
            let (command, target) = word(what.strip_prefix("after ").unwrap_or(what));
            if command != "by" {
                event.push(Attribute::FtpCommand, command.trim_end_matches(':'));
            }
            let (to, reason) = cut(target, ": ").unwrap_or(("", target));
            let to = to.trim_matches(['<', '>']);
            if command != "by" && !to.is_empty() && !to.contains(' ') {
                event.push(Attribute::EmailTo, to);
            }
            failure(event, reason);
        }
        (None, None, Some((_, what))) => {
            event.class = Class::NetworkActivity;
            event.activity_id = 5;
            event.push(Attribute::AppProtocolName, "smtp");
            failure(event, what);
        }
        _ => return false,
    }
    controlled(event, Control::Rejected);
    push_peer(text, event)
}

/// Clients that misbehaved, and names that do not lead anywhere.
fn client<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, rest) = if let Some(rest) = text.strip_prefix("SMTP connection from ") {
        (
            if rest.contains("closed by") {
                2
            } else if rest.contains(" lost") {
                3
            } else {
                1
            },
            rest,
        )
    } else if let Some((_, rest)) = cut(text, "no IP address found for host ") {
        (6, rest)
    } else if let Some(address) = text.strip_prefix("no host name found for IP address ") {
        event.class = Class::NetworkActivity;
        event.activity_id = 6;
        failure(event, "no host name found");
        return push_source(event, word(address).0, None);
    } else if [
        "SMTP protocol",
        "SMTP call from",
        "no MAIL in SMTP",
        "TLS error on connection",
        "unexpected disconnection",
        "SMTP command timeout",
        "SMTP data timeout",
        "SMTP syntax error",
        "rejected ",
    ]
    .iter()
    .any(|mark| text.starts_with(mark))
    {
        (4, text)
    } else {
        return false;
    };
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "smtp");
    if matches!(activity, 1 | 2) {
        success(event)
    } else {
        failure(event, text)
    }
    push_peer(rest, event)
}

/// `<= a@b …`, `=> b …`, `-> b …`, `== b … defer`, `** b …: reason`, `Completed`.
fn mail<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (arrow, rest) = word(text);
    let option = |name: &str| cut(rest, name).map(|(_, value)| word(value).0);
    match arrow {
        "<=" => {
            email(event, 2, 1, word(rest).0);
            if let Some(size) = option(" S=").and_then(number) {
                event.push(Attribute::EmailSize, size);
            }
            if let Some(id) = option(" id=") {
                event.push(Attribute::EmailMessageUid, id);
            }
            if let Some(protocol) = option(" P=") {
                event.push(Attribute::EmailProtocolName, protocol);
            }
            if let Some(login) = option(" A=") {
                if let Some((_, user)) = login.split_once(':') {
                    event.push(Attribute::ActorUserName, user);
                }
                event.unmap("authenticated_as", login);
            }
            if let Some((subject, _)) = between(rest, " T=\"", "\"") {
                event.push(Attribute::EmailSubject, subject);
            }
            push_peer(rest, event);
            success(event);
        }
        "=>" | "->" | "==" | "**" | "*>" | ">>" => {
            email(event, 1, 2, option(" F=").map_or("", |from| from.trim_matches(['<', '>'])));
            let (first, tail) = word(rest);
            let to = tail
                .strip_prefix('<')
                .and_then(|tail| tail.split('>').next())
                .filter(|_| !first.contains('@'))
                .unwrap_or(first);
            event.push(Attribute::EmailTo, to.trim_end_matches(':'));
            if let Some((address, port)) = cut(rest, " H=").and_then(|(_, host)| peer(host)) {
                push_destination(event, address, port);
                if let Some(name) = named(rest) {
                    event.push(Attribute::DstEndpointHostname, name);
                }
            }
            if matches!(arrow, "==" | "**") {
                failure(event, cut(rest, ": ").map_or(rest, |(_, reason)| reason));
            } else {
                success(event);
            }
        }
        "Completed" => {
            email(event, 4, 0, "");
            success(event);
        }
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn mail_logons_and_clients_are_read() {
        for (text, kind, at, value) in [
            (
                "1rABCD-000abc-1x <= a@example.com H=h.example (helo) [192.0.2.1]:5 P=esmtps S=123 id=m@example.com",
                400_902,
                "/email/size",
                json!(123),
            ),
            (
                "1rABCD-000abc-1x => b@example.org R=dnslookup T=remote_smtp H=mx.example [192.0.2.1]:25",
                400_901,
                "/dst_endpoint",
                json!({"ip": "192.0.2.1", "hostname": "mx.example", "port": 25}),
            ),
            (
                "1rABCD-000abc-1x <= a@example.com H=h.example (helo) [192.0.2.1]:5 P=esmtpsa A=login:ann S=123",
                400_902,
                "/actor/user/name",
                json!("ann"),
            ),
            ("exim 4.97 daemon started: pid=9, -q30m", 600_203, "/app/version", json!("4.97")),
            ("1rABCD-00000000abc-1xYZ SA: Action: scanned but message isn't spam", 600_299, "/app/name", json!("exim")),
            ("H=(x) [192.0.2.1]:5 F=<a@example.com> rejected after DATA: spam", 400_902, "/command", json!("DATA")),
            ("[9] Start queue run: pid=9", 600_299, "/app/name", json!("exim")),
            (
                "[9] SMTP syntax error in \"GET\" H=[192.0.2.1]:5 unrecognized command",
                400_104,
                "/src_endpoint/port",
                json!(5),
            ),
            (
                "TLS error on connection from h.example [192.0.2.1]:5 (SSL_accept): error:1",
                400_104,
                "/src_endpoint/ip",
                json!("192.0.2.1"),
            ),
            ("1rABCD-000abc-1x ** b@example.org: Unrouteable address", 400_901, "/status_id", json!(2)),
            ("1rABCD-000abc-1x Completed", 400_904, "/message_trace_uid", json!("1rABCD-000abc-1x")),
            (
                "login authenticator failed for ([10.9.9.9]) [192.0.2.1]:5 I=[198.51.100.1]:25: 535 Incorrect authentication data (set_id=bob)",
                300_201,
                "/user/name",
                json!("bob"),
            ),
            (
                "H=h.example [192.0.2.1]:5 F=<a@example.com> rejected RCPT <b@example.org>: relay not permitted",
                400_902,
                "/status_detail",
                json!("relay not permitted"),
            ),
            (
                "[7513] SMTP protocol error in \"AUTH LOGIN\" H=(x) [192.0.2.1]:5 I=[198.51.100.1]:587 AUTH command used when not advertised",
                400_104,
                "/src_endpoint/port",
                json!(5),
            ),
            (
                "[7] 1rABCD-000abc-1x F=a@example.com H=(x) [192.0.2.1]:5 I=[198.51.100.1]:25 P=esmtp rejected by local_scan(): Rejected",
                400_902,
                "/src_endpoint/ip",
                json!("192.0.2.1"),
            ),
            ("no host name found for IP address 192.0.2.1", 400_106, "/src_endpoint/ip", json!("192.0.2.1")),
        ] {
            for line in [
                format!("2026-03-16 10:00:00 {text}"),
                format!("Mar 16 10:00:00 h exim[9]: 2026-03-16 10:00:00 {text}"),
            ] {
                let event = normalized(&line);
                assert_eq!(event["type_uid"], kind, "{line}");
                assert_eq!(event.pointer(at), Some(&value), "{line}");
            }
        }
    }
}
