//! Access logs of Apache, nginx and their kin: common, combined, with a virtual host in front, with fields
//! behind (4002).
//!
//! `[VHOST[:PORT] ]CLIENT IDENT USER [TIME] "METHOD TARGET HTTP/V" STATUS BYTES[ "REFERRER" "AGENT"[ …]]`
//!
//! Quotes inside quotes are escaped by most servers and not by all: the request ends at the first quote that
//! a status follows. A request that is none (a TLS hello on a plain port, binary junk) is kept whole in
//! `unmapped.request_line_raw`. Source: Apache HTTP Server, mod_log_config; nginx, ngx_http_log_module.

use super::endpoint::{Address, push_destination, push_source};
use super::outcome::LOW;
use super::syslog::Header;
use super::text::{cut, number, port, word};
use super::timestamp::{self, Reference, Stamp};
use super::{Context, Origin};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Methods with an activity of their own: their number.
const METHODS: [(&str, u8); 9] = [
    ("GET", 3),
    ("POST", 6),
    ("HEAD", 4),
    ("PUT", 7),
    ("OPTIONS", 5),
    ("DELETE", 2),
    ("CONNECT", 1),
    ("PATCH", 9),
    ("TRACE", 8),
];

/// One line, cut into its fields.
struct Access<'a> {
    vhost: Option<&'a str>,
    client: &'a str,
    user: &'a str,
    stamp: Stamp<'a>,
    request: &'a str,
    status: &'a str,
    bytes: &'a str,
    referrer: Option<&'a str>,
    agent: Option<&'a str>,
    rest: &'a str,
}

/// Reads a line of an access log.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some(access) = access(text, context.reference) else { return false };
    access.stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, if access.agent.is_some() { "combined" } else { "common" });
    event.push(Attribute::Message, access.request);
    apply(&access, context.origin, event);
    true
}

/// Reads an access log line that came as the message of a syslog line, which has said the rest.
pub(super) fn parse_message<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let reference = Reference { read_at: event.time, utc_offset_minutes: header.origin.utc_offset_minutes };
    let Some(access) = access(message, reference) else { return false };
    apply(&access, header.origin, event);
    true
}

fn access(text: &str, reference: Reference) -> Option<Access<'_>> {
    let (head, rest) = cut(text, " [")?;
    let (stamp, rest) = timestamp::access(rest, reference)?;
    let rest = rest.strip_prefix("] \"")?;
    let (vhost, client, who) = client(head)?;
    let user = who.split_once(' ')?.1;
    let (request, rest) = request(rest)?;
    let (status, rest) = word(rest);
    let (bytes, rest) = word(rest);
    let (referrer, rest) = quoted(rest);
    let (agent, rest) = quoted(rest);
    Some(Access { vhost, client, user, stamp, request, status, bytes, referrer, agent, rest })
}

/// Virtual host, client, and `IDENT USER`.
fn client(head: &str) -> Option<(Option<&str>, &str, &str)> {
    let (first, rest) = head.split_once(' ')?;
    let address = |text: &str| matches!(Address::parse(text), Some(Address::Ip(_)));
    match rest.split_once(' ') {
        Some((second, rest)) if rest.contains(' ') && !address(first) && address(second) => {
            Some((Some(first), second, rest))
        }
        // A name is only taken for a client where exactly two words follow it.
        _ if address(first) || rest.split(' ').count() == 2 => Address::parse(first).map(|_| (None, first, rest)),
        _ => None,
    }
}

/// The request line and what follows it, from the status on.
fn request(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(at) == Some(&b'\\') {
            at += 2;
            continue;
        }
        let status = bytes.get(at + 1..).and_then(|tail| tail.strip_prefix(b" ")).unwrap_or_default();
        let ends = matches!(status.get(3), None | Some(b' '));
        if status.len() >= 3 && ends && status.iter().take(3).all(u8::is_ascii_digit) {
            return Some((text.get(..at)?, text.get(at + 2..)?));
        }
        at += 1;
    }
}

/// A quoted field, and what follows it.
fn quoted(text: &str) -> (Option<&str>, &str) {
    let Some(inner) = text.strip_prefix('"') else { return (None, text) };
    let mut at = 0;
    while let Some(step) = memchr::memchr2(b'"', b'\\', inner.as_bytes().get(at..).unwrap_or_default()) {
        at += step;
        if inner.as_bytes().get(at) == Some(&b'"') {
            let (field, rest) = inner.split_at_checked(at).unwrap_or((inner, ""));
            return (Some(field), rest.trim_start_matches('"').trim_start_matches(' '));
        }
        at += 2;
    }
    (Some(inner), "")
}

fn apply<'a>(access: &Access<'a>, origin: &'a Origin, event: &mut Event<'a>) {
    event.class = Class::HttpActivity;
    push_source(event, access.client, None);
    let (host, host_port) = match access.vhost {
        Some(vhost) => match vhost.rsplit_once(':').and_then(|(host, number)| Some((host, port(number)?))) {
            Some((host, port)) => (host, Some(port)),
            None => (vhost, None),
        },
        None => (origin.hostname.as_str(), None),
    };
    push_destination(event, host, host_port);
    request_fields(access.request, access.vhost.map(|_| host), event);
    if let Some(referrer) = access.referrer.filter(|text| said(text)) {
        event.push(Attribute::HttpRequestReferrer, referrer);
    }
    if let Some(agent) = access.agent.filter(|text| said(text)) {
        event.push(Attribute::HttpRequestUserAgent, agent);
    }
    if said(access.user) {
        event.push(Attribute::ActorUserName, access.user);
    }
    // The status was read as three digits.
    let code = number(access.status).unwrap_or_default();
    event.push(Attribute::HttpResponseCode, code);
    event.push(Attribute::StatusCode, access.status);
    let failed = code >= 400;
    event.push(Attribute::StatusId, if failed { 2 } else { 1 });
    event.push(Attribute::Status, if failed { "Failure" } else { "Success" });
    if code >= 500 {
        event.severity_id = event.severity_id.max(LOW);
    }
    if let Ok(bytes) = access.bytes.parse::<u32>() {
        event.push(Attribute::HttpResponseBodyLength, bytes);
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    if !access.rest.is_empty() {
        event.unmap("trailing", access.rest);
    }
}

fn said(text: &str) -> bool {
    !text.is_empty() && text != "-"
}

/// Method, target and version; what is no request is kept as it is.
fn request_fields<'a>(line: &'a str, vhost: Option<&'a str>, event: &mut Event<'a>) {
    let Some((method, target, version)) = request_line(line) else {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Malformed Request");
        event.unmap("request_line_raw", line);
        return;
    };
    match METHODS.iter().find(|(name, _)| *name == method) {
        Some(&(_, activity)) => {
            event.activity_id = activity;
            event.push(Attribute::HttpRequestMethod, method);
        }
        None => {
            // `http_method` takes the nine methods above and no others.
            event.activity_id = 99;
            event.push(Attribute::ActivityName, method);
            event.unmap("http_method", method);
        }
    }
    if let Some(version) = version {
        event.push(Attribute::HttpRequestVersion, version);
    }
    event.push(Attribute::HttpRequestUrlString, target);
    let (scheme, authority, local) = match cut(target, "://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, local) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Some(scheme), Some(authority), local)
        }
        _ if method == "CONNECT" => (None, Some(target), ""),
        _ => (None, None, target),
    };
    let host = authority.map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host)).or(vhost);
    if let Some(scheme) = scheme {
        event.push(Attribute::HttpRequestUrlScheme, scheme);
    }
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        event.push(Attribute::HttpRequestUrlHostname, host);
    }
    let (path, query) = local.split_once('?').map_or((local, None), |(path, query)| (path, Some(query)));
    if !path.is_empty() {
        event.push(Attribute::HttpRequestUrlPath, path);
    }
    if let Some(query) = query {
        event.push(Attribute::HttpRequestUrlQueryString, query);
    }
}

/// `METHOD TARGET HTTP/V`, or HTTP/0.9's `METHOD TARGET`.
fn request_line(line: &str) -> Option<(&str, &str, Option<&str>)> {
    const METHOD_LEN_MAX: usize = 32;
    let (method, rest) = line.split_once(' ')?;
    let token = !method.is_empty() && method.len() <= METHOD_LEN_MAX;
    if !token || !method.bytes().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_')) {
        return None;
    }
    let (target, version) = match rest.rsplit_once(" HTTP/") {
        Some((target, version)) => (target, Some(version)),
        None => (rest, None),
    };
    let plausible = target.starts_with('/') || version.is_some();
    (plausible && !target.is_empty()).then_some((method, target, version))
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn a_combined_line_becomes_http_activity() {
        let event = normalized(
            r#"192.0.2.7 - frank [10/Oct/2000:13:55:36 -0700] "GET /a/b.gif?x=1&y HTTP/1.0" 200 2326 "http://r.example/s" "Mozilla/4.08 \"x\"""#,
        );
        assert_eq!(event["type_uid"], 400_203);
        assert_eq!(event["time"], 971_211_336_000_i64);
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["actor"]["user"]["name"], "frank");
        assert_eq!(event["http_request"]["url"]["url_string"], "/a/b.gif?x=1&y");
        assert_eq!(event["http_request"]["url"]["path"], "/a/b.gif");
        assert_eq!(event["http_request"]["url"]["query_string"], "x=1&y");
        assert_eq!(event["http_request"]["user_agent"], r#"Mozilla/4.08 \"x\""#);
        assert_eq!(event["http_request"]["version"], "1.0");
        assert_eq!(event["http_response"], serde_json::json!({"code": 200, "body_length": 2326}));
        assert_eq!(event["status_id"], 1);
        assert_eq!(event["metadata"]["log_format"], "combined");
        assert!(event.get("timezone_offset").is_none());
    }

    #[test]
    fn a_virtual_host_in_front_is_the_destination() {
        let event =
            normalized(r#"www.example.com:443 192.0.2.7 - - [16/Mar/2026:10:00:00 +0200] "GET / HTTP/1.1" 403 69"#);
        assert_eq!(event["dst_endpoint"], serde_json::json!({"hostname": "www.example.com", "port": 443}));
        assert_eq!(event["http_request"]["url"]["hostname"], "www.example.com");
        assert_eq!(event["status_id"], 2);
        assert_eq!(event["metadata"]["log_format"], "common");
    }

    #[test]
    fn what_is_no_request_is_kept_whole() {
        for request in [r"\x16\x03\x01\x00t", "HELP", "-", "", r"a|b = \x22"] {
            let event =
                normalized(&format!(r#"192.0.2.7 - - [16/Mar/2026:10:00:00 -0700] "{request}" 400 157 "-" "-""#));
            assert_eq!(event["type_uid"], 400_299, "{request}");
            assert_eq!(event["unmapped"]["request_line_raw"], request);
            assert_eq!(event["http_response"]["code"], 400);
        }
    }

    #[test]
    fn unescaped_quotes_do_not_end_the_request() {
        let event = normalized(r#"192.0.2.7 - - [16/Mar/2026:10:00:00 +0000] "GET /a?b="c"&d="e" HTTP/1.0" 404 11"#);
        assert_eq!(event["http_request"]["url"]["query_string"], r#"b="c"&d="e""#);
        assert_eq!(event["http_response"]["code"], 404);
    }

    #[test]
    fn methods_and_targets_beyond_the_usual_are_read() {
        let line =
            |request: &str| normalized(&format!(r#"h.example - - [16/Mar/2026:10:00:00 +0000] "{request}" 200 -"#));
        let event = line("PROPFIND /dav HTTP/1.1");
        assert_eq!((event["activity_name"].as_str(), event["activity_id"].as_u64()), (Some("PROPFIND"), Some(99)));
        let event = line("GET http://other.example:8080/x?y HTTP/1.1");
        assert_eq!(event["http_request"]["url"]["hostname"], "other.example");
        assert_eq!(event["http_request"]["url"]["path"], "/x");
        assert_eq!(line("CONNECT other.example:443 HTTP/1.1")["http_request"]["url"]["hostname"], "other.example");
        assert_eq!(line("GET /")["activity_id"], 3);
        assert_eq!(event["src_endpoint"]["hostname"], "h.example");
    }
}
