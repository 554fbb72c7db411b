//! Access logs of AWS load balancers (4002): application and classic.
//!
//! Application: `TYPE TIME NAME CLIENT:PORT TARGET:PORT T T T STATUS STATUS RECEIVED SENT "REQUEST" "AGENT" CIPHER PROTOCOL GROUP "TRACE" "DOMAIN" "CERTIFICATE" PRIORITY …`;
//! classic: the same without the type, up to the protocol. Source: AWS, "Access logs for your Application Load Balancer"
//! and "… Classic Load Balancer".

use super::combined::{push_code, push_request};
use super::endpoint::{push_destination, push_source};
use super::text::{number, port, word};
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What an application balancer's line begins with.
const KINDS: [&str; 6] = ["http ", "https ", "h2 ", "grpcs ", "ws ", "wss "];

/// The line behind its type, and the type.
fn split(text: &str) -> (Option<&str>, &str) {
    match KINDS.iter().find_map(|kind| text.strip_prefix(kind).map(|rest| (kind.trim_end(), rest))) {
        Some((kind, rest)) => (Some(kind), rest),
        None => (None, text),
    }
}

/// Whether a time in UTC, a name, and an address with a port begin the line.
pub(super) fn looks(text: &str) -> bool {
    let (_, rest) = split(text);
    let (time, rest) = word(rest);
    time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T') && word(word(rest).1).0.contains(':')
}

/// Reads a line; false where a column is not what it must be.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (kind, rest) = split(text);
    let Some((stamp, rest)) = timestamp::iso(rest, context.reference) else { return false };
    let mut rest = rest.trim_start();
    let mut next = || {
        let (first, after) = word(rest);
        rest = after;
        first
    };
    let (name, client, target) = (next(), next(), next());
    let times = [next(), next(), next()];
    let (status, target_status, received, sent) = (next(), next(), next(), next());
    let seconds = |text: &str| text == "-1" || text.parse::<f64>().is_ok_and(|n| n >= 0.0);
    let (Some((host, host_port)), Some(request)) = (ended(client), rest.strip_prefix('"')) else { return false };
    if !times.iter().all(|text| seconds(text)) || !(status == "-" || number(status).is_some()) {
        return false;
    }
    let Some((request, rest)) = quoted(request) else { return false };
    let (agent, rest) = rest.strip_prefix('"').and_then(quoted).unwrap_or(("-", rest));
    event.class = Class::HttpActivity;
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "aws_elb");
    event.push(Attribute::MetadataLogProvider, "elasticloadbalancing");
    event.push(Attribute::Message, request);
    push_source(event, host, Some(host_port));
    if let Some((host, port)) = ended(target) {
        push_destination(event, host, Some(port));
    } else {
        push_destination(event, name, None);
    }
    push_request(request, event);
    push_code(number(status).unwrap_or_default(), event);
    if agent != "-" {
        event.push(Attribute::HttpRequestUserAgent, agent);
    }
    if let (Ok(received), Ok(sent)) = (received.parse::<u32>(), sent.parse::<u32>()) {
        event.push(Attribute::TrafficBytesIn, received);
        event.push(Attribute::TrafficBytesOut, sent);
    }
    for (key, value) in [("balancer", name), ("type", kind.unwrap_or("-")), ("target_status", target_status)] {
        if value != "-" {
            event.unmap(key, value);
        }
    }
    if !rest.is_empty() {
        event.unmap("trailing", rest);
    }
    true
}

/// `HOST:PORT`.
fn ended(text: &str) -> Option<(&str, i64)> {
    text.rsplit_once(':').and_then(|(host, digits)| Some((host, port(digits)?)))
}

/// What stands before the next quote that no backslash stands before, and what follows the space behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((text.get(..end)?, text.get(end + 1..)?.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn both_balancers_are_read() {
        let tail = r#"192.0.2.7:2817 10.0.0.1:80 0.000 0.001 0.000 502 200 34 366 "GET http://www.example.com:80/a?b HTTP/1.1" "curl/7.46.0" - -"#;
        for kind in ["http ", "https ", ""] {
            let event = normalized(&format!("{kind}2026-03-16T10:00:00.186641Z app/my/50dc {tail}"));
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&json!(400_203), &json!(1_773_655_200_186_i64)),
                "{kind}"
            );
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 2817}));
            assert_eq!(event["dst_endpoint"], json!({"ip": "10.0.0.1", "port": 80}));
            assert_eq!((&event["http_response"]["code"], &event["status_id"]), (&json!(502), &json!(2)));
            assert_eq!(event["http_request"]["user_agent"], "curl/7.46.0");
            assert_eq!(event["http_request"]["url"]["hostname"], "www.example.com");
        }
    }

    #[test]
    fn a_quote_in_a_request_ends_nothing() {
        let event = normalized(
            r#"http 2026-03-16T10:00:00.1Z app/a/b 192.0.2.7:1 - -1 -1 -1 400 - 0 1 "GET /\" 200 \" HTTP/1.1" "-" - -"#,
        );
        assert_eq!(event["http_request"]["url"]["url_string"], r#"/\" 200 \""#);
    }
}
