//! Access logs of Envoy as text (4002, and 4001 for connections without a request), Istio's among them.
//!
//! `[TIME] "METHOD PATH PROTOCOL" STATUS FLAGS[ DETAILS TERMINATION "FAILURE"] RECEIVED SENT MS UPSTREAM_MS "FORWARDED" "AGENT"
//! "REQUEST_ID" "AUTHORITY" "UPSTREAM"[ CLUSTER LOCAL DOWNSTREAM_LOCAL DOWNSTREAM_REMOTE SNI ROUTE]`. A connection has `- - -`
//! for a request and 0 for a status. Source: Envoy, "Access logging", default format string; Istio, `EnvoyTextLogFormat`.

use super::combined::{push_code, push_method};
use super::endpoint::{self, push_destination, push_source};
use super::http_fields;
use super::outcome::{failure, success};
use super::text::{number, port, unspaced, word};
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most fields of a line; Istio's has 23.
const FIELDS_MAX: usize = 32;

/// What stands behind the request.
struct Fields<'a> {
    all: [&'a str; FIELDS_MAX],
    count: usize,
}

impl<'a> Fields<'a> {
    /// Words, and what stands between quotes; an empty one where the line has no more.
    fn read(mut rest: &'a str) -> Self {
        let mut fields = Self { all: [""; FIELDS_MAX], count: 0 };
        while !rest.is_empty()
            && let Some(slot) = fields.all.get_mut(fields.count)
        {
            let quoted = rest.strip_prefix('"').and_then(|inner| inner.split_once('"'));
            let (field, after) = quoted.unwrap_or_else(|| word(rest));
            *slot = if field == "-" { "" } else { field };
            fields.count += 1;
            rest = unspaced(after);
        }
        fields
    }

    fn at(&self, place: usize) -> &'a str {
        self.all.get(place).copied().unwrap_or_default()
    }

    fn number(&self, place: usize) -> Option<i64> {
        number(self.at(place))
    }
}

/// Reads a line; false where it is not Envoy's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = text.strip_prefix('[') else { return false };
    let Some((stamp, rest)) = timestamp::iso(rest, context.reference) else { return false };
    let Some((request, rest)) = rest.strip_prefix("] \"").and_then(|rest| rest.split_once("\" ")) else { return false };
    let mut words = request.split(' ');
    let (Some(method), Some(target), Some(protocol), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let fields = Fields::read(rest);
    // Istio tells three things more before the sizes.
    let sizes = if fields.number(2).is_some() && fields.number(3).is_some() { 2 } else { 5 };
    let (Some(code), Some(received), Some(sent)) = (fields.number(0), fields.number(sizes), fields.number(sizes + 1))
    else {
        return false;
    };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "envoy");
    event.push(Attribute::MetadataLogProvider, "envoy");
    event.push(Attribute::Message, request);
    let authority = fields.at(sizes + 7);
    event.class = if method == "-" { Class::NetworkActivity } else { Class::HttpActivity };
    ends(&fields, sizes, authority, context, event);
    if let Some(took) = fields.number(sizes + 2) {
        event.push(Attribute::Duration, took);
    }
    event.push(Attribute::TrafficBytesIn, received);
    event.push(Attribute::TrafficBytesOut, sent);
    let flags = fields.at(1);
    if method == "-" {
        event.activity_id = if flags.is_empty() { 2 } else { 4 };
        match flags {
            "" => success(event),
            flags => failure(event, flags),
        }
    } else {
        push_method(method, target, event);
        if event.value(Attribute::HttpRequestUrlHostname).is_none() && !authority.is_empty() {
            event.push(Attribute::HttpRequestUrlHostname, host_of(authority));
        }
        if let Some(version) = protocol.strip_prefix("HTTP/") {
            event.push(Attribute::HttpRequestVersion, version);
        }
        push_code(code, event);
        if !fields.at(sizes + 5).is_empty() {
            event.push(Attribute::HttpRequestUserAgent, fields.at(sizes + 5));
        }
        if !flags.is_empty() {
            event.push(Attribute::StatusDetail, flags);
        }
    }
    if !fields.at(sizes + 6).is_empty() {
        event.push(Attribute::MetadataCorrelationUid, fields.at(sizes + 6));
    }
    for (key, place) in [("details", 2), ("termination", 3), ("failure", 4)] {
        if sizes == 5 && !fields.at(place).is_empty() {
            event.unmap(key, fields.at(place));
        }
    }
    for (key, place) in [("upstream", 8), ("cluster", 9), ("upstream_local", 10), ("sni", 13), ("route", 14)] {
        if !fields.at(sizes + place).is_empty() {
            event.unmap(key, fields.at(sizes + place));
        }
    }
    true
}

/// The client: its connection where the line tells of it, else the first of those that proxies name; and the server.
fn ends<'a>(fields: &Fields<'a>, sizes: usize, authority: &'a str, context: &Context<'a>, event: &mut Event<'a>) {
    let forwarded = fields.at(sizes + 4);
    let split = |text: &'a str| text.rsplit_once(':').and_then(|(host, digits)| Some((host, port(digits)?)));
    match (split(fields.at(sizes + 12)), forwarded.split(',').next().unwrap_or_default()) {
        (Some((host, port)), "") => {
            push_source(event, host.trim_matches(['[', ']']), Some(port));
        }
        (_, first) => {
            push_source(event, first, None);
        }
    }
    if !forwarded.is_empty() && event.class == Class::HttpActivity {
        http_fields::push_forwarded(event, forwarded.into());
    }
    match (split(fields.at(sizes + 11)), authority) {
        (Some((host, port)), _) if endpoint::ip(host).is_some() => push_destination(event, host, Some(port)),
        (_, "") => push_destination(event, &context.origin.hostname, None),
        (_, authority) => push_destination(event, host_of(authority), split(authority).map(|(_, port)| port)),
    };
}

fn host_of(authority: &str) -> &str {
    authority.rsplit_once(':').filter(|(_, digits)| port(digits).is_some()).map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn both_usual_formats_are_requests() {
        for line in [
            r#"[2026-03-16T09:00:00.5Z] "POST /a?b HTTP/2" 503 UF 154 7 226 - "192.0.2.7" "curl/8" "cc21" "www.example.com" "198.51.100.1:80""#,
            r#"[2026-03-16T09:00:00.5Z] "POST /a?b HTTP/2" 503 UF details{x} - "-" 154 7 226 9 "192.0.2.7" "curl/8" "cc21" "www.example.com" "198.51.100.1:80" outbound|80||a 198.51.100.2:1 198.51.100.3:443 198.51.100.4:5 - default"#,
        ] {
            let event = normalized(line);
            assert_eq!(normalized(&format!("ACCESS {line}"))["type_uid"], event["type_uid"], "{line}");
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&json!(400_206), &json!(1_773_651_600_500_i64)),
                "{line}"
            );
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
            assert_eq!(event["http_request"]["url"]["hostname"], "www.example.com");
            assert_eq!(event["http_request"]["url"]["query_string"], "b");
            assert_eq!(event["http_request"]["user_agent"], "curl/8");
            assert_eq!((&event["http_response"]["code"], &event["status_id"]), (&json!(503), &json!(2)));
            assert_eq!((&event["status_detail"], &event["duration"]), (&json!("UF"), &json!(226)));
            assert_eq!(event["traffic"], json!({"bytes_in": 154, "bytes_out": 7}));
            assert_eq!(event["metadata"]["correlation_uid"], "cc21");
        }
    }

    #[test]
    fn a_connection_without_a_request_is_network_activity() {
        let event = normalized(
            r#"[2026-03-16T09:00:00.5Z] "- - -" 0 - - - "-" 15 40 10005 - "-" "-" "-" "-" "198.51.100.1:443" outbound|443||a 198.51.100.2:1 198.51.100.3:443 192.0.2.7:5 www.example.com -"#,
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_102), &json!(1)));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 5}));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.3", "port": 443}));
    }
}
