//! Squid: access.log in its own format (4002), cache.log (6002, 6008); squidGuard's log of blocked requests (4002).
//!
//! `1773653400.123 ELAPSED CLIENT RESULT/STATUS BYTES METHOD URL USER HIERARCHY/PEER TYPE`, or with more counts and ports,
//! `1773653400.123 ELAPSED CLIENT PORT RESULT/STATUS BYTES RECEIVED N N N METHOD URL VERSION USER HIERARCHY/PEER PORT TYPE …`,
//! `2026/03/16 10:00:00 kid1| TEXT`, `2026-03-16 10:00:00 [9] Request(SOURCE/LIST/-) URL CLIENT/NAME USER METHOD REDIRECT`.
//! Source: Squid 6, src/log/FormatSquidNative.cc; squidGuard 1.6, sgLog.c.

use std::borrow::Cow;

use super::combined::{push_code, push_method};
use super::endpoint::{push_destination, push_source};
use super::outcome::{Control, controlled, failure};
use super::remark::{life, remark};
use super::syslog::Header;
use super::text::{between, cut, head, number, port, word};
use super::{Context, carried, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a line begins as one of the three does.
pub(super) fn looks(text: &str) -> bool {
    native(text).is_some()
        || (text.as_bytes().get(4).is_some_and(|b| matches!(b, b'/' | b'-'))
            && (cut(head(text, 48), "| ").is_some() || cut(head(text, 48), "] Request(").is_some()))
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if !access(text, event) && !cache(text, context, event) && !guard(text, context, event) {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "squid");
    true
}

/// Seconds with milliseconds, and what follows.
fn native(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = word(text);
    let (seconds, millis) = time.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let elapsed = word(rest).0;
    (seconds.len() == 10
        && millis.len() == 3
        && digits(seconds)
        && digits(millis)
        && !elapsed.is_empty()
        && digits(elapsed.trim_start_matches('-')))
    .then_some((time, rest))
}

fn access<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((time, rest)) = native(text) else { return false };
    let Some(stamp) = time.split_once('.').and_then(|(s, ms)| timestamp::seconds(s, ms)) else { return false };
    let (elapsed, rest) = word(rest);
    let (client, rest) = word(rest);
    let Some(request) = extended(rest).or_else(|| request(rest)) else { return false };
    let Request { result, bytes, method, url, user, hierarchy, kind, .. } = request;
    let Some((result, code)) = result.rsplit_once('/') else { return false };
    event.class = Class::HttpActivity;
    event.time = stamp;
    event.push(Attribute::MetadataOriginalTime, time);
    event.push(Attribute::Message, request.told);
    event.push(Attribute::MetadataLogProvider, "squid");
    push_source(event, client, request.client_port);
    push_method(method, url, event);
    for (attribute, value) in [
        (Attribute::HttpRequestVersion, request.version),
        (Attribute::HttpRequestReferrer, request.referrer),
        (Attribute::HttpRequestUserAgent, request.agent),
    ] {
        if !matches!(value, "" | "-") {
            event.push(attribute, value);
        }
    }
    if let Ok(received) = request.received.parse::<u32>() {
        event.push(Attribute::TrafficBytesIn, received);
    }
    // 000: nothing was answered.
    match number(code).filter(|code| *code > 0) {
        Some(code) => push_code(code, event),
        None => failure(event, result),
    }
    if let Some(ms) = number(elapsed) {
        event.push(Attribute::Duration, ms);
        if event.value(Attribute::HttpResponseCode).is_some() {
            event.push(Attribute::HttpResponseLatency, ms);
        }
    }
    if let Ok(bytes) = bytes.parse::<u32>() {
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    if user != "-" {
        event.push(Attribute::ActorUserName, user);
    }
    if let Some((_, peer)) = hierarchy.split_once('/') {
        push_destination(event, peer, request.peer_port);
    }
    if kind != "-" && event.value(Attribute::HttpResponseCode).is_some() {
        event.push(Attribute::HttpResponseContentType, kind);
    }
    event.unmap("result", result);
    event.unmap("hierarchy", hierarchy);
    controlled(event, if result.contains("DENIED") { Control::Blocked } else { Control::Allowed });
    true
}

/// What a line says of a request, behind its client.
#[derive(Default)]
struct Request<'a> {
    client_port: Option<i64>,
    result: &'a str,
    bytes: &'a str,
    received: &'a str,
    method: &'a str,
    /// What stands behind the method.
    told: &'a str,
    url: &'a str,
    version: &'a str,
    user: &'a str,
    hierarchy: &'a str,
    peer_port: Option<i64>,
    kind: &'a str,
    referrer: &'a str,
    agent: &'a str,
}

/// `RESULT/STATUS BYTES METHOD URL USER HIERARCHY/PEER TYPE`.
fn request(text: &str) -> Option<Request<'_>> {
    let (result, rest) = word(text);
    let (bytes, rest) = word(rest);
    let (method, rest) = word(rest);
    let [url, user, hierarchy, kind] = tail(rest)?;
    Some(Request { result, bytes, method, told: rest, url, user, hierarchy, kind, ..Request::default() })
}

/// `PORT RESULT/STATUS BYTES RECEIVED N N N METHOD URL VERSION USER HIERARCHY/PEER PORT TYPE - - "REFERRER" "AGENT" …`.
fn extended(text: &str) -> Option<Request<'_>> {
    let mut words = text.splitn(9, ' ');
    let client_port = Some(port(words.next()?)?);
    let (result, bytes, received) = (words.next()?, words.next()?, words.next()?);
    let counted = |text: &str| text == "-" || number(text).is_some();
    let sizes = [words.next()?, words.next()?, words.next()?];
    if !result.contains('/') || !counted(received) || !sizes.into_iter().all(counted) {
        return None;
    }
    let (method, told) = (words.next()?, words.next()?);
    let mut words = told.split(' ');
    let (url, version) = (words.next()?, words.next()?);
    let (user, hierarchy) = (words.next()?, words.next()?);
    hierarchy.contains('/').then_some(())?;
    let (peer_port, kind) = (port(words.next()?), words.next()?);
    let mut quoted = text.split('"').skip(1).step_by(2);
    let (referrer, agent) = (quoted.next().unwrap_or_default(), quoted.next().unwrap_or_default());
    Some(Request {
        client_port,
        result,
        bytes,
        received,
        method,
        told,
        url,
        version,
        user,
        hierarchy,
        peer_port,
        kind,
        referrer,
        agent,
    })
}

/// `URL USER HIERARCHY/PEER TYPE`, and what a site adds: the fourth word is not the type then. A URL may hold spaces where
/// the request was none: without a hierarchy as the third word what follows the URL is read from the end.
fn tail(text: &str) -> Option<[&str; 4]> {
    let hierarchy = |word: &str| {
        let (how, peer) = word.split_once('/').unwrap_or_default();
        !peer.is_empty() && !how.is_empty() && how.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'_' | b'-'))
    };
    let mut words = text.split(' ');
    if let [Some(url), Some(user), Some(third), Some(kind)] = [words.next(), words.next(), words.next(), words.next()]
        && hierarchy(third)
    {
        return Some([url, user, third, kind]);
    }
    let mut words = text.rsplitn(4, ' ');
    let (kind, hierarchy, user) = (words.next()?, words.next()?, words.next()?);
    Some([words.next()?, user, hierarchy, kind])
}

fn cache<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    if stamp.text.as_bytes().get(4) != Some(&b'/') {
        return false;
    }
    let Some((process, message)) =
        cut(rest, "| ").filter(|(process, _)| process.is_empty() || process.starts_with(" kid"))
    else {
        return false;
    };
    stamp.apply(event);
    event.push(Attribute::MetadataLogProvider, "squid");
    event.push(Attribute::Message, message);
    if !process.trim().is_empty() {
        event.unmap("process", process.trim());
    }
    told(message, event)
}

/// Reads what Squid sends to syslog: a line of its access log, or what stands in `cache.log` behind the time.
pub(super) fn parse_message<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    carried(Cow::Borrowed(message), &header.context, event) || told(message, event)
}

/// What the cache says of itself.
fn told<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let lifecycle = if message.starts_with("Starting Squid") {
        3
    } else if message.starts_with("Squid Cache") && message.contains("Exiting") || message.starts_with("Shutting down")
    {
        4
    } else if message.starts_with("Reconfiguring Squid") {
        5
    } else {
        0
    };
    if lifecycle != 0 {
        life("squid", lifecycle, event);
        if let Some((_, version)) = cut(message, "ersion ") {
            event.push(Attribute::AppVersion, word(version).0.trim_end_matches([':', '.']));
        }
    } else if ["FATAL", "ERROR", "SECURITY ALERT", "BUG"].iter().any(|mark| message.trim_start().starts_with(mark)) {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        event.severity_id = if message.starts_with("FATAL") { 4 } else { 3 };
        failure(event, message);
    } else {
        let warned = ["WARNING", "Error ", "Failed "].iter().any(|mark| message.starts_with(mark));
        event.severity_id = if warned { 2 } else { 1 };
        remark("squid", message, event);
    }
    true
}

fn guard<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some((list, rest)) = between(rest, "] Request(", ") ") else { return false };
    let (url, rest) = word(rest);
    let (client, rest) = word(rest);
    let (user, rest) = word(rest);
    let (method, action) = word(rest);
    stamp.apply(event);
    event.class = Class::HttpActivity;
    event.push(Attribute::MetadataLogProvider, "squidGuard");
    event.push(Attribute::Message, url);
    push_method(method, url, event);
    if user != "-" {
        event.push(Attribute::ActorUserName, user);
    }
    event.push(Attribute::FirewallRuleName, list);
    event.unmap("action", action);
    controlled(event, Control::Blocked);
    failure(event, list);
    push_source(event, client.split('/').next().unwrap_or(client), None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn requests_through_squid_are_read() {
        let event = normalized(
            "1773653400.123    231 192.0.2.1 TCP_MISS/200 1536 GET http://www.example.com/a?b bob HIER_DIRECT/198.51.100.2 text/html",
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_203), &json!(1_773_653_400_123_i64)));
        assert_eq!(
            (&event["src_endpoint"]["ip"], &event["dst_endpoint"]["ip"]),
            (&json!("192.0.2.1"), &json!("198.51.100.2"))
        );
        assert_eq!(
            (&event["actor"]["user"]["name"], &event["http_request"]["url"]["hostname"]),
            (&json!("bob"), &json!("www.example.com"))
        );
        let event = normalized(
            "1773653400.123      4 192.0.2.1 TCP_DENIED/403 4099 CONNECT www.example.com:443 - HIER_NONE/- text/html",
        );
        assert_eq!(
            (&event["type_uid"], &event["status_id"], &event["disposition_id"]),
            (&json!(400_201), &json!(2), &json!(2))
        );
        let event = normalized(
            "2026-03-16 10:00:00 [9] Request(default/ads/-) http://ads.example/ 192.0.2.1/- bob GET REDIRECT",
        );
        assert_eq!((&event["type_uid"], &event["firewall_rule"]["name"]), (&json!(400_203), &json!("default/ads/-")));
    }

    #[test]
    fn what_a_site_adds_behind_the_type_moves_nothing() {
        for (tail, user, peer) in [
            (
                "http://a.example/b bob HIER_DIRECT/198.51.100.2 text/html \"Mozilla/5.0 (X11)\" \"-\"",
                "bob",
                "198.51.100.2",
            ),
            ("http://a.example/b c d bob HIER_DIRECT/198.51.100.2 text/html", "bob", "198.51.100.2"),
            (
                "http://a.example/b bob -/198.51.100.2 - [Host: a.example\\r\\n] [HTTP/1.1 200 OK\\r\\n]",
                "bob",
                "198.51.100.2",
            ),
        ] {
            let event = normalized(&format!("1773653400.123    231 192.0.2.1 TCP_MISS/200 1536 GET {tail}"));
            assert_eq!(
                (&event["actor"]["user"]["name"], &event["dst_endpoint"]["ip"]),
                (&json!(user), &json!(peer)),
                "{tail}"
            );
        }
    }

    #[test]
    fn lines_with_ports_and_more_counts_are_read() {
        let event = normalized(
            r#"1773653400.123    104 192.0.2.199 5893 TCP_MISS/200 904 123 364 123 - GET http://a.example/ 1.1 bob HIER_DIRECT/198.51.100.10 80 text/html - - "-" "curl/8" "a.example" "-" 53 -"#,
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_203), &json!(1_773_653_400_123_i64)));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.199", "port": 5893}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.10", "port": 80}));
        assert_eq!((&event["actor"]["user"]["name"], &event["http_response"]["code"]), (&json!("bob"), &json!(200)));
        assert_eq!(event["http_request"]["user_agent"], "curl/8");
        assert_eq!(event["http_request"]["url"]["url_string"], "http://a.example/");
    }

    #[test]
    fn the_log_of_the_cache_is_read() {
        for (text, kind) in [
            ("kid1| Starting Squid Cache version 6.6 for x86_64...", 600_203),
            ("kid1| FATAL: no port", 600_801),
            ("kid1| Accepting HTTP connections", 600_299),
        ] {
            assert_eq!(normalized(&format!("2026/03/16 10:00:00 {text}"))["type_uid"], kind, "{text}");
        }
    }

    #[test]
    fn what_squid_sends_to_syslog_is_read() {
        for (message, kind) in [
            ("Starting Squid Cache version 6.1", 600_203),
            ("WARNING: no more file descriptors", 600_801),
            ("1773653400.123    231 192.0.2.1 TCP_MISS/000 0 GET http://www.example.com/ - HIER_NONE/- -", 400_203),
        ] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 px squid[7]: {message}"))["type_uid"], kind, "{message}");
        }
    }
}
