//! Logs of AWS load balancers: requests of application and classic ones (4002), connections of application and network ones
//! (4001).
//!
//! Application: `TYPE TIME NAME CLIENT:PORT TARGET:PORT T T T STATUS STATUS RECEIVED SENT "REQUEST" "AGENT" CIPHER PROTOCOL GROUP "TRACE" "DOMAIN" "CERTIFICATE" PRIORITY …`;
//! classic: the same without the type, up to the protocol. Connections of an application balancer: `TIME CLIENT PORT LISTENER
//! PROTOCOL CIPHER LATENCY "SUBJECT" VALIDITY SERIAL STATUS TID_…`; of a network balancer: `tls 2.0 TIME NAME LISTENER CLIENT:PORT
//! TARGET:PORT DURATION HANDSHAKE RECEIVED SENT ALERT CERTIFICATE - CIPHER PROTOCOL GROUP DOMAIN …`. All times are UTC. Source: AWS,
//! "Access logs for your Application Load Balancer", "Connection logs for …", "… Classic Load Balancer", "… Network Load Balancer".

use super::combined::{push_code, push_request};
use super::endpoint::{self, push_destination, push_source};
use super::outcome::{failure, success};
use super::text::{closing, milliseconds, number, port, word};
use super::timestamp::Reference;
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

/// What a network balancer's line begins with: the kind of listener, and the version of the format.
const NETWORK: &str = "tls 2.0 ";

/// Whether a time in UTC, a name, and an address with a port begin the line; or what connections begin with.
pub(super) fn looks(text: &str) -> bool {
    let (_, rest) = split(text);
    let (time, rest) = word(rest);
    let behind = word(word(rest).1).0;
    (time.ends_with('Z') && time.as_bytes().get(10) == Some(&b'T') && (behind.contains(':') || port(behind).is_some()))
        || text.starts_with(NETWORK)
}

/// Reads a line; false where a column is not what it must be.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some(rest) = text.strip_prefix(NETWORK) {
        return network(rest, context, event);
    }
    let (kind, rest) = split(text);
    if kind.is_none() && port(word(word(word(text).1).1).0).is_some() {
        return connection(text, context, event);
    }
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

/// A connection over TLS, with the version and cipher it came to.
fn begin<'a>(event: &mut Event<'a>, activity: u8, format: &'static str, version: &'a str, cipher: &'a str) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::MetadataLogFormat, format);
    event.push(Attribute::MetadataLogProvider, "elasticloadbalancing");
    event.push(Attribute::ConnectionProtocolNum, 6);
    event.push(Attribute::ConnectionProtocolName, "tcp");
    if version != "-" {
        event.push(Attribute::TlsVersion, version);
        if cipher != "-" {
            event.push(Attribute::TlsCipher, cipher);
        }
    }
}

/// A connection of an application balancer: it was made, or not.
fn connection<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let mut rest = rest.trim_start();
    let mut next = || {
        let (first, after) = word(rest);
        rest = after;
        first
    };
    let (client, client_port, listener) = (next(), next(), next());
    let (version, cipher, latency) = (next(), next(), next());
    let (Some(client), Some(client_port), Some(listener)) = (endpoint::ip(client), port(client_port), port(listener))
    else {
        return false;
    };
    let Some((subject, rest)) = rest.strip_prefix('"').and_then(quoted) else { return false };
    let (validity, rest) = word(rest);
    let (serial, rest) = word(rest);
    let (status, trace) = word(rest);
    let refused = status.strip_prefix("Failed:");
    begin(event, if refused.is_some() { 4 } else { 1 }, "aws_elb_connection", version, cipher);
    stamp.apply(event);
    push_source(event, client, Some(client_port));
    // The line names no address of the balancer for the port to stand beside.
    event.unmap("listener_port", listener);
    match refused {
        Some(reason) => failure(event, reason),
        None => success(event),
    }
    if let Some(ms) = milliseconds(latency).filter(|_| version != "-") {
        event.push(Attribute::TlsHandshakeDur, ms);
    }
    let more =
        [("client_subject", subject), ("client_validity", validity), ("client_serial", serial), ("trace", trace)];
    for (key, value) in more.into_iter().filter(|(_, value)| !matches!(*value, "-" | "")) {
        event.unmap(key, value);
    }
    true
}

/// A connection of a network balancer, when it has ended.
fn network<'a>(rest: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let utc = Reference { utc_offset_minutes: 0, ..context.reference };
    let Some((stamp, rest)) = timestamp::iso(rest, utc) else { return false };
    let mut rest = rest.trim_start();
    let mut next = || {
        let (first, after) = word(rest);
        rest = after;
        first
    };
    let (name, listener, client, target) = (next(), next(), next(), next());
    let (duration, handshake, received, sent) = (next(), next(), next(), next());
    let (alert, certificate, _serial, cipher, version, _group, domain) =
        (next(), next(), next(), next(), next(), next(), next());
    let Some((host, host_port)) = ended(client) else { return false };
    begin(event, 6, "aws_nlb", version, cipher);
    stamp.apply(event);
    push_source(event, host, Some(host_port));
    match ended(target) {
        Some((host, port)) => push_destination(event, host, Some(port)),
        None => push_destination(event, name, None),
    };
    if let (Ok(received), Ok(sent)) = (received.parse::<u32>(), sent.parse::<u32>()) {
        event.push(Attribute::TrafficBytesIn, received);
        event.push(Attribute::TrafficBytesOut, sent);
    }
    if let Some(ms) = number(duration) {
        event.push(Attribute::Duration, ms);
    }
    if version != "-" {
        if let Some(ms) = number(handshake) {
            event.push(Attribute::TlsHandshakeDur, ms);
        }
        if domain != "-" {
            event.push(Attribute::TlsSni, domain);
        }
    }
    // Without an alert and without a version the client went before the handshake had ended.
    match (number(alert), version) {
        (Some(_), _) => failure(event, "alert"),
        (None, "-") => failure(event, "no handshake"),
        (None, _) => success(event),
    }
    let more = [("balancer", name), ("listener", listener), ("tls_alert", alert), ("certificate", certificate)];
    for (key, value) in more.into_iter().filter(|(_, value)| !matches!(*value, "-" | "")) {
        event.unmap(key, value);
    }
    true
}

/// `HOST:PORT`.
fn ended(text: &str) -> Option<(&str, i64)> {
    text.rsplit_once(':').and_then(|(host, digits)| Some((host, port(digits)?)))
}

/// What stands before the next quote that no backslash stands before, and what follows the space behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let end = closing(text, b'"')?;
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

    #[test]
    fn connections_of_both_kinds_are_read() {
        let event = normalized(
            r#"2026-03-16T10:00:00.5Z 192.0.2.7 36280 443 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 4.036 "CN=a,O=b" NotBefore=x;NotAfter=y FEF2 Success TID_1"#,
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_101), &json!(1)), "{event}");
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 36280}));
        assert_eq!((&event["unmapped"]["listener_port"], &event["tls"]["version"]), (&json!(443), &json!("TLSv1.2")));
        let event = normalized(
            r#"2026-03-16T10:00:00.5Z 192.0.2.7 36280 443 TLSv1.2 A - "CN=a" NotBefore=x;NotAfter=y FEF2 Failed:ClientCertUntrusted"#,
        );
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&json!(400_104), &json!("ClientCertUntrusted")));
        let event = normalized(
            "tls 2.0 2026-03-16T10:00:00 net/a/c6e7 g3d4 192.0.2.7:2817 10.0.0.1:80 5 2 98 246 - arn:aws:acm:x - ECDHE tlsv12 - a.example.com h2 h2 \"h2\",\"http/1.1\" 2026-03-16T09:59:55",
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(400_106), &json!(1_773_655_200_000_i64)), "{event}");
        assert_eq!(event["tls"]["sni"], "a.example.com");
        assert_eq!((&event["duration"], &event["traffic"]["bytes_out"]), (&json!(5), &json!(246)));
        let event = normalized(
            "tls 2.0 2026-03-16T10:00:00 net/a/c6e7 g3d4 192.0.2.7:2817 10.0.0.1:80 0 - 0 0 - - - - - - - - - - 2026-03-16T10:00:00",
        );
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&json!(400_106), &json!("no handshake")));
    }
}
