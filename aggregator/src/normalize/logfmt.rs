//! logfmt: `time=… level=info msg="…" key=value`, as programs in Go and their kin write it.
//!
//! In: a line of pairs, at least three, or with a level or message among them. Out: a logon that failed or succeeded (3002)
//! where it says so, a request (4002), a connection (4001), a warning or an error of the program (6008), a report of a program
//! or part that is named (6002), else a base event with time, level and message. Source: Go's
//! `log/slog` text handler,
//! `go-kit/log`, logrus, Grafana, Traefik, Authelia; brandur.org/logfmt.

use std::borrow::Cow;

use super::fields::{Fields, Leaf};
use super::json_lines::{is_request, push_bare, push_request};
use super::pairs::pairs;
use super::remark::spoken;
use super::text::{cut, port, word};
use super::{Context, endpoint, logon_pairs, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Keys of which one must stand there.
const MARKS: [&str; 9] =
    [" level=", " lvl=", " msg=", " message=", " severity=", " log.level=", " err=", " error=", " event="];

/// How many pairs without anything between them say enough without such a key.
const PAIRS_MIN: usize = 3;

/// Whether a line begins with a pair and one of the keys stands in it, or with several.
pub(super) fn looks(text: &str) -> bool {
    let end = text.bytes().position(|b| matches!(b, b'=' | b' ' | b'"' | b'\t'));
    let first = end.filter(|at| *at > 0 && text.as_bytes().get(*at) == Some(&b'='));
    first.is_some()
        && (pairs(text).take(PAIRS_MIN).filter(|pair| pair.value.is_some() && !pair.key.is_empty()).count()
            == PAIRS_MIN
            || MARKS.iter().any(|mark| text.starts_with(mark.trim_start()) || cut(text, mark).is_some()))
}

/// Reads a line; false where too little of it is pairs.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut fields = Fields::new();
    let (mut keyed, mut bare) = (0, 0);
    for pair in pairs(text) {
        let Some(value) = pair.value else {
            bare += 1;
            continue;
        };
        keyed += 1;
        let value = if pair.quote == Some('"') { unescaped(value) } else { Cow::Borrowed(value) };
        fields.add(None, pair.key, Leaf::Text(value));
    }
    if keyed < 2 || bare > keyed {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "logfmt");
    if !logon_pairs::parse(&mut fields, event) {
        if is_request(&fields) {
            push_request(&mut fields, context, event);
            fields.finish(event);
            return true;
        }
        if !connection(&mut fields, event) {
            logon_pairs::push_client(&mut fields, event);
        }
    }
    let weight = event.severity_id;
    push_bare(&mut fields, context, event);
    event.severity_id = event.severity_id.max(weight);
    if event.class == Class::BaseEvent {
        let part = PARTS.iter().find_map(|key| fields.text(key)).filter(|part| !part.is_empty());
        let part = part.or_else(|| event.text(Attribute::ActorProcessName).map(|name| name.to_owned().into()));
        spoken(part, fields.text("error").or_else(|| fields.text("err")), event);
    }
    fields.finish(event);
    true
}

/// Keys that name the program's part that speaks.
const PARTS: [&str; 8] = ["app", "service", "program", "logger", "component", "module", "subsystem", "caller"];

/// `\"`, `\\`, `\n`, `\t` of Go's quoting.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut escaped = false;
    for c in text.chars() {
        match (escaped, c) {
            (false, '\\') => {
                escaped = true;
                continue;
            }
            (true, 'n') => out.push('\n'),
            (true, 't') => out.push('\t'),
            (true, '"' | '\\' | '\'') => out.push(c),
            (true, c) => out.extend(['\\', c]),
            (false, c) => out.push(c),
        }
        escaped = false;
    }
    Cow::Owned(out)
}

/// Firewalls that write pairs, and Traefik: `src=192.0.2.1:5:WAN dst=198.51.100.2:80:LAN proto=tcp/http`, `msg="Handling TCP
/// connection from 192.0.2.1:5 to 198.51.100.2:80"` (4001).
fn connection<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let message = fields.peek("msg").or_else(|| fields.peek("message")).unwrap_or_default();
    let handled = message
        .strip_prefix("Handling ")
        .and_then(|rest| Some((word(rest).0, cut(rest, " from ")?.1)))
        .and_then(|(protocol, rest)| Some((protocol.to_ascii_lowercase(), cut(rest, " to ")?)))
        .map(|(protocol, (from, to))| (protocol, from, to));
    let (protocol, from, to) = match (handled, fields.peek("src"), fields.peek("dst")) {
        (Some(ends), _, _) => ends,
        (None, Some(from), Some(to)) => {
            let protocol = fields.peek("proto").unwrap_or_default();
            (protocol.split('/').next().unwrap_or_default().to_ascii_lowercase(), from, to)
        }
        _ => return false,
    };
    let (Some(from), Some(to)) = (end(from), end(to)) else { return false };
    let lower = message.to_ascii_lowercase();
    let refused = ["denied", "dropped", "blocked", "rejected", "refused"].iter().any(|mark| lower.contains(mark));
    event.class = Class::NetworkActivity;
    event.activity_id = match () {
        () if refused => 5,
        () if lower.contains("opened") || lower.starts_with("handling ") => 1,
        () if lower.contains("closed") => 2,
        () => 6,
    };
    endpoint::push_ends(event, from, to);
    if !protocol.is_empty() {
        event.push(Attribute::ConnectionDirectionId, 0);
        event.push(Attribute::ConnectionProtocolName, protocol);
    }
    if refused {
        outcome::failure(event, "");
    } else {
        outcome::success(event);
    }
    true
}

/// `192.0.2.1`, `192.0.2.1:5`, `192.0.2.1:5:WAN:name`, `[2001:db8::1]:5`.
fn end(text: &str) -> Option<(String, Option<i64>)> {
    if let Some(address) = endpoint::ip(text) {
        return Some((address.to_owned(), None));
    }
    let (host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some(parts) => parts,
        None => text.split_once(':')?,
    };
    let number = rest.split(':').next().unwrap_or_default();
    endpoint::ip(host).map(|address| (address.to_owned(), port(number)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn pairs_are_read_and_the_rest_is_kept() {
        let event =
            normalized(r#"time="2026-03-16T10:00:00+01:00" level=warning msg="it \"broke\"" component=x empty= n=5"#);
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        assert_eq!(event["severity_id"], 2);
        assert_eq!(event["message"], "it \"broke\"");
        assert_eq!(event["actor"]["app_name"], "x");
        assert_eq!(event["metadata"]["log_format"], "logfmt");
    }

    #[test]
    fn a_logon_that_failed_is_one() {
        let event = normalized(
            r#"logger=context userId=0 uname= t=2026-03-16T10:00:00+01:00 level=error msg="Invalid username or password" error="user not found" remote_addr=192.0.2.7"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        let event = normalized(
            r#"time="2026-03-16T10:00:00Z" level=error msg="Unsuccessful 1FA authentication attempt by user 'ann': user not found" method=POST path=/api/firstfactor remote_ip=192.0.2.1"#,
        );
        assert_eq!(event["user"]["name"], "ann");
    }

    #[test]
    fn connections_have_both_ends() {
        for (rest, kind) in [
            (r#"level=debug msg="Handling TCP connection from 192.0.2.1:5 to 198.51.100.2:80""#, 400_101),
            (
                r#"fw=192.0.2.9 pri=6 msg="Connection Closed" src=192.0.2.1:5:X1 dst=198.51.100.2:80:X0 proto=tcp/http"#,
                400_102,
            ),
            (r#"fw=192.0.2.9 pri=1 msg="packet dropped" src=192.0.2.1:5:X1 dst=198.51.100.2:80:X0 proto=tcp"#, 400_105),
        ] {
            let event = normalized(&format!(r#"time="2026-03-16T10:00:00Z" {rest}"#));
            assert_eq!(event["type_uid"], kind, "{rest}");
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}), "{rest}");
            assert_eq!(event["dst_endpoint"], serde_json::json!({"ip": "198.51.100.2", "port": 80}), "{rest}");
            assert_eq!(event["connection_info"]["protocol_name"], "tcp", "{rest}");
        }
    }

    #[test]
    fn prose_with_an_equals_sign_is_not_taken() {
        for line in ["x=1 and that is all msg= of it here", "level=info", "just level=info text"] {
            assert_ne!(normalized(line)["metadata"]["log_format"], "logfmt", "{line}");
        }
    }
}
