//! HAProxy: HTTP and HTTPS (4002) and TCP (4001) logs, connections that failed, servers that came and went (6002).
//!
//! `A:p [TIME] FRONTEND[~] BACKEND/SERVER TR/Tw/Tc/Tr/Ta STATUS BYTES C C TERM a/f/b/s/r q/q [{h}] [{h}] "REQUEST"[ tls]`,
//! `A:p [TIME] FRONTEND BACKEND/SERVER Tw/Tc/Tt BYTES TERM a/f/b/s/r q/q`, `A:p [TIME] FRONTEND/BIND: SSL handshake failure`.
//! The time inside is when the connection was accepted; the event's is a syslog header's, and where that knows less or there
//! is none, the accepted one and the whole duration. Source: HAProxy 2.9 configuration manual §8.2.

use shared::time::Timestamp;

use super::super::combined::{parse_message, push_code, push_request};
use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, head, level, number, port, word};
use super::super::timestamp::{self, Reference, Stamp};
use super::super::{Context, attempt};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// How far a header's time may be from what the message says.
const DAY_NS: u64 = 86_400_000_000_000;
/// What a header's time may leave out.
const SECOND_NS: i64 = 1_000_000_000;

/// Whether a line may be one that HAProxy wrote without a header.
pub(crate) fn looks(text: &str) -> bool {
    if text.starts_with('[') {
        return leveled(text).is_some();
    }
    let head = head(text, 80);
    cut(head, " [")
        .is_some_and(|(peer, rest)| !peer.contains(' ') && peer.contains(':') && rest.as_bytes().get(2) == Some(&b'/'))
}

/// Reads a line without a header.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if text.starts_with('[') {
        if leveled(text).is_none() {
            return false;
        }
        if context.wrappers == 0 {
            event.push(Attribute::Message, text);
        }
        event.push(Attribute::MetadataLogFormat, "haproxy");
        event.push(Attribute::MetadataLogProvider, "haproxy");
        return own(text, event);
    }
    let Some(stamp) = traffic(text, context.reference, event) else { return false };
    if context.wrappers == 0 {
        event.push(Attribute::Message, text);
    }
    stamp.apply(event);
    event.push(Attribute::StartTime, stamp.time.as_ms());
    event.time = ended(stamp.time, event);
    event.push(Attribute::MetadataLogFormat, "haproxy");
    event.push(Attribute::MetadataLogProvider, "haproxy");
    true
}

/// Reads a message of syslog.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let found = |message: &'a str, reference: &Reference, event: &mut Event<'a>| {
        let stamp = traffic(message, *reference, event);
        if let Some(stamp) = &stamp {
            event.push(Attribute::StartTime, stamp.time.as_ms());
            end_by(stamp.time, event);
        }
        stamp.is_some()
    };
    attempt(found, message, &header.context.reference, event)
        || attempt(parse_message, message, header, event)
        || attempt(|message, (), event| connected(message, event), message, &(), event)
        || own(message, event)
}

/// When what began at `start` ended.
fn ended(start: Timestamp, event: &Event<'_>) -> Timestamp {
    let lasted = match event.value(Attribute::Duration) {
        Some(Value::Int(ms)) => ms.saturating_mul(1_000_000),
        _ => 0,
    };
    Timestamp(start.0.saturating_add(lasted))
}

/// Where the header has no year, or a wrong one: a request ends within its duration. Where it has only the second of the end,
/// or of the start, the fraction is the message's.
fn end_by(start: Timestamp, event: &mut Event<'_>) {
    let end = ended(start, event);
    let since = |moment: Timestamp| moment.0.saturating_sub(event.time.0);
    if since(end).unsigned_abs() > DAY_NS || (0..SECOND_NS).contains(&since(end)) {
        event.time = end;
    } else if (0..SECOND_NS).contains(&since(start)) {
        event.time = start;
    }
}

/// `[WARNING]  (9) : text`, `[WARNING] 074/100000 (9) : text`: the level and the text.
fn leveled(text: &str) -> Option<(&str, &str)> {
    let (level, rest) = cut(text.strip_prefix('[')?, "]")?;
    let (process, text) = cut(rest, ") : ")?;
    let shouted = level.len() <= 7 && level.bytes().all(|b| b.is_ascii_uppercase());
    (shouted && process.len() <= 32 && process.contains('(')).then_some((level, text))
}

/// What it says of its own life and of the servers that it knows.
fn own<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let message = match leveled(message) {
        Some((word, text)) => {
            event.severity_id = level(word).unwrap_or(event.severity_id);
            event.push(Attribute::MetadataLogLevel, word);
            text
        }
        None => message,
    };
    state(message, event) || remark("haproxy", message, event)
}

fn client<'a>(peer: &'a str, event: &mut Event<'a>) -> bool {
    let (host, number) = peer.rsplit_once(':').unwrap_or((peer, ""));
    push_source(event, host, port(number))
}

fn traffic<'a>(text: &'a str, reference: Reference, event: &mut Event<'a>) -> Option<Stamp<'a>> {
    let (peer, rest) = cut(text, " [").filter(|(peer, _)| !peer.contains(' '))?;
    let (stamp, rest) = timestamp::access(rest, reference)?;
    let rest = rest.strip_prefix("] ")?;
    let (frontend, rest) = word(rest);
    if let Some(frontend) = frontend.strip_suffix(':') {
        event.class = Class::NetworkActivity;
        event.activity_id = 4;
        event.unmap("frontend", frontend);
        failure(event, rest);
        return client(peer, event).then_some(stamp);
    }
    let (target, rest) = word(rest);
    let (backend, server) = target.split_once('/')?;
    if let Some(verdict) = refused(rest) {
        event.class = Class::NetworkActivity;
        event.activity_id = 4;
        event.unmap("frontend", frontend.trim_end_matches('~'));
        failure(event, verdict);
        return client(peer, event).then_some(stamp);
    }
    // Custom formats put a word between them, mostly the host that was asked.
    let (first, behind) = word(rest);
    let (between, (timers, rest)) = if timed(first) { ("", (first, behind)) } else { (first, word(behind)) };
    if !timed(timers) {
        return None;
    }
    let is_http = timers.split('/').count() == 5;
    let understood = if is_http { http(rest, timers, event) } else { tcp(rest, timers, event) };
    // A log may leave out who asked.
    let known = client(peer, event);
    if !understood || !(known || is_http) {
        return None;
    }
    if !between.is_empty() {
        event.unmap("host", between);
    }
    push_destination(event, server, None);
    event.unmap("frontend", frontend.trim_end_matches('~'));
    event.unmap("backend", backend);
    event.unmap("timers", timers);
    Some(stamp)
}

/// What a connection, its handshake and its certificates failed with, where no request came: `[-1/-1/-1/-1/10 ]
/// 0/A000000000000152/10/0/0 NAME/VERSION/CIPHER`, as `option httpslog` and the manual's `error-log-format` write it.
fn refused(text: &str) -> Option<&str> {
    if text.ends_with('"') {
        return None;
    }
    let (first, rest) = word(text);
    let (second, tail) = word(rest);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
    let verdict = |text: &str| text.split('/').count() == 5 && text.split('/').all(digits);
    let secured = |text: &str| !text.contains(' ') && text.split('/').count() == 3;
    if verdict(first) && secured(rest) {
        return Some(first);
    }
    (timed(first) && verdict(second) && secured(tail)).then_some(second)
}

/// Whether a word is the three to five timers.
fn timed(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'/' | b'-' | b'+'))
        && (3..=5).contains(&word.split('/').count())
}

/// The last of the timers: the whole time in milliseconds.
fn total(timers: &str) -> Option<i64> {
    timers.rsplit('/').next().and_then(|total| number(total.trim_start_matches('+')))
}

/// `STATUS BYTES COOKIE COOKIE TERM COUNTS QUEUES [{…}] [{…}] "REQUEST"[ tls]`.
fn http<'a>(text: &'a str, timers: &'a str, event: &mut Event<'a>) -> bool {
    let Some((head, request)) = cut(text, " \"") else { return false };
    let mut words = head.splitn(8, ' ');
    let (Some(status), Some(bytes), Some(_), Some(_), Some(term), Some(counts), Some(_)) =
        (words.next(), words.next(), words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    event.class = Class::HttpActivity;
    let end = request.rfind('"').unwrap_or(request.len());
    let (line, tls) = request.split_at_checked(end).unwrap_or((request, ""));
    push_request(line, event);
    match number(status) {
        Some(code) => push_code(code, event),
        None => failure(event, ""),
    }
    if let Some(bytes) = bytes.trim_start_matches('+').parse::<u32>().ok().filter(|bytes| *bytes > 0) {
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    if let Some(ms) = total(timers) {
        if number(status).is_some() {
            event.push(Attribute::HttpResponseLatency, ms);
        }
        event.push(Attribute::Duration, ms);
    }
    event.unmap("termination_state", term);
    event.unmap("connections", counts);
    if let Some(captured) = words.next().map(str::trim).filter(|captured| !captured.is_empty()) {
        event.unmap("captured_headers", captured);
    }
    if let Some((_, details)) = tls.strip_prefix("\" ").map(word).filter(|(_, details)| !details.is_empty()) {
        event.unmap("tls", details);
        // The end of `option httpslog`: name, version, cipher.
        let mut parts = details.rsplit(' ').next().unwrap_or_default().split('/');
        for key in ["tls_sni", "tls_version", "tls_cipher"] {
            if let Some(value) = parts.next().filter(|value| !matches!(*value, "" | "-")) {
                event.unmap(key, value);
            }
        }
    }
    true
}

/// `BYTES TERM COUNTS QUEUES`.
fn tcp<'a>(text: &'a str, timers: &'a str, event: &mut Event<'a>) -> bool {
    let mut words = text.split(' ');
    let (Some(bytes), Some(term), Some(counts)) = (words.next(), words.next(), words.next()) else { return false };
    let (Ok(bytes), 2) = (bytes.trim_start_matches('+').parse::<u32>(), term.len()) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 2;
    event.push(Attribute::TrafficBytesOut, bytes);
    if let Some(ms) = total(timers) {
        event.push(Attribute::Duration, ms);
    }
    event.unmap("termination_state", term);
    event.unmap("connections", counts);
    if term == "--" {
        success(event)
    } else {
        failure(event, term)
    }
    true
}

/// `Connect from A:p to B:p (FRONTEND/HTTP)`.
fn connected<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((source, rest)) = message.strip_prefix("Connect from ").map(word) else { return false };
    let Some((target, frontend)) = rest.strip_prefix("to ").map(word) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 1;
    let (host, number) = target.rsplit_once(':').unwrap_or((target, ""));
    push_destination(event, host, port(number));
    event.unmap("frontend", frontend.trim_matches(['(', ')']));
    success(event);
    client(source, event)
}

/// `Proxy P started.`, `Stopping backend B in 0 ms.`, `[Backup ]Server B/S is DOWN|UP[, reason: …]`, `backend B has no server available!`.
fn state<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let name = |text: &'a str| word(text).0;
    if let Some(version) = message.strip_prefix("haproxy version is ") {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = 3;
        event.push(Attribute::AppName, "haproxy");
        event.push(Attribute::AppVersion, version);
        success(event);
        return true;
    }
    if let Some(rest) = message.strip_prefix("Health check for ") {
        let (server, rest) = word(rest.trim_start_matches("backup ").trim_start_matches("server "));
        event.class = Class::ApplicationLifecycle;
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Health Check");
        event.push(Attribute::AppName, server);
        if rest.starts_with("failed") {
            failure(event, cut(rest, "reason: ").map_or(rest, |(_, reason)| reason));
        } else {
            success(event);
        }
        return true;
    }
    let (app, activity, detail) = if let Some(rest) = message.strip_prefix("Proxy ") {
        (name(rest), if rest.contains(" started") { 3 } else { 4 }, "")
    } else if let Some((_, rest)) = cut(message, "Server ").filter(|_| message.contains(" is ")) {
        let detail = cut(rest, "reason: ").map_or("", |(_, reason)| reason);
        (name(rest), if rest.contains(" is UP") { 3 } else { 4 }, detail)
    } else if let Some(rest) = message.strip_prefix("backend ").filter(|rest| rest.contains("has no server available"))
    {
        (name(rest), 4, "no server available")
    } else if let Some((kind, rest)) = message.strip_prefix("Stopping ").map(word) {
        (if kind == "backend" || kind == "frontend" || kind == "proxy" { name(rest) } else { kind }, 4, "")
    } else {
        return false;
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, app);
    if activity == 4 && !detail.is_empty() {
        failure(event, detail)
    } else {
        success(event)
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn request_of_another_year_than_the_header_is_taken_for_ended_within_its_duration() {
        let event = normalized(
            r#"Feb  6 12:14:14 lb haproxy[9]: 192.0.2.1:5 [06/Feb/2009:12:14:14.655] main app/app1 10/0/30/69/109 200 275 - - ---- 1/1/1/1/0 0/0 "GET /a HTTP/1.1""#,
        );
        let ms = |key: &str| event[key].as_i64().unwrap();
        assert_eq!((ms("time") - ms("start_time"), ms("start_time") / 86_400_000), (109, 14_281));
        assert_eq!(event["metadata"]["original_time"], "Feb  6 12:14:14");
    }

    #[test]
    fn a_word_before_the_timers_and_a_client_that_is_left_out_move_nothing() {
        let event = normalized(
            r#"Mar 16 10:00:02 lb haproxy[9]: -:4444 [16/Mar/2026:10:00:00.439] main~ app/app1 www.example.com 0/0/1/55/56 200 3097 - - ---- 2/2/0/0/0 0/0 "GET /a HTTP/1.1""#,
        );
        assert_eq!((&event["type_uid"], &event["http_response"]["code"]), (&json!(400_203), &json!(200)));
        assert_eq!(
            (&event["unmapped"]["host"], &event["dst_endpoint"]["hostname"]),
            (&json!("www.example.com"), &json!("app1"))
        );
    }

    #[test]
    fn requests_are_read_with_and_without_a_header() {
        let text = r#"192.0.2.1:58444 [16/Mar/2026:10:00:00.439] main~ app/app1 19/0/1/0/1940 403 5168 - - ---- 3/3/0/0/0 0/0 {example.com|curl} {} "GET /a?b HTTP/1.1""#;
        for line in [
            text.to_owned(),
            format!("Mar 16 10:00:02 lb haproxy[9]: {text}"),
            format!("<134>Mar 16 10:00:02 haproxy[9]: {text}"),
        ] {
            let event = normalized(&line);
            assert_eq!(event["type_uid"], 400_203, "{line}");
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.1", "port": 58444}));
            assert_eq!(
                (&event["http_response"]["code"], &event["http_response"]["latency"]),
                (&json!(403), &json!(1940))
            );
            assert_eq!(event["dst_endpoint"]["hostname"], "app1");
            assert_eq!(event["unmapped"]["captured_headers"], "{example.com|curl} {}");
        }
        // Accepted at .439, ended 1940 ms later.
        let event = normalized(text);
        assert_eq!(
            (&event["start_time"], &event["time"]),
            (&json!(1_773_651_600_439_i64), &json!(1_773_651_602_379_i64))
        );
    }

    #[test]
    fn a_header_of_the_same_second_does_not_cut_the_fraction() {
        let event = normalized(
            r#"Mar 16 10:00:00 lb haproxy[9]: 192.0.2.1:5 [16/Mar/2026:10:00:00.439] main app/app1 0/0/1/0/2 200 5 - - ---- 3/3/0/0/0 0/0 "GET /a HTTP/1.1""#,
        );
        assert_eq!(
            (&event["start_time"], &event["time"]),
            (&json!(1_773_651_600_439_i64), &json!(1_773_651_600_441_i64))
        );
    }

    #[test]
    fn tcp_failures_and_states_are_read() {
        for (message, kind, status) in [
            ("192.0.2.1:58444 [16/Mar/2026:10:00:00.439] fnt bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0", 400_102, 1),
            ("192.0.2.1:58444 [16/Mar/2026:10:00:00.439] fnt/1: SSL handshake failure", 400_104, 2),
            (
                "192.0.2.1:58444 [16/Mar/2026:10:00:00.439] fnt~ fnt/<NOSRV> -1/-1/-1/-1/10 0/A000000000000152/10/0/0 -/-/-",
                400_104,
                2,
            ),
            (
                "192.0.2.1:58444 [16/Mar/2026:10:00:00.439] fnt~ 1/1 30/14094416/0/0/0 example.com/TLSv1.2/(NONE)",
                400_104,
                2,
            ),
            (
                r#"192.0.2.1 - - [16/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 12 "" "" 41222 123 "f" "b" "s" 0"#,
                400_203,
                1,
            ),
            (
                r#"192.0.2.1:58430 [16/Mar/2026:10:00:00.608] main main/<NOSRV> -1/-1/-1/-1/0 400 248 - - PR-- 0/0/0/0/0 0/0 "<BADREQ>""#,
                400_299,
                2,
            ),
            ("Connect from 192.0.2.1:5 to 198.51.100.1:80 (main/HTTP)", 400_101, 1),
            ("Server app/app1 is DOWN, reason: Layer4 timeout, check duration: 2001ms.", 600_204, 2),
            ("Proxy main started.", 600_203, 1),
            ("Health check for server app/app1 failed, reason: Layer4 timeout, status: 2/3 UP.", 600_299, 2),
            ("Health check for backup server app/app1 succeeded, reason: Layer7 check passed.", 600_299, 1),
            ("[NOTICE]   (9) : haproxy version is 2.8.5", 600_203, 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:02 lb haproxy[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{message}");
        }
    }
}
