//! Access logs of Apache, nginx and their kin: common, combined, with a virtual host in front, with fields
//! behind (4002).
//!
//! `[VHOST[:PORT] ]CLIENT IDENT USER [TIME] "METHOD TARGET HTTP/V" STATUS BYTES[ "REFERRER" "AGENT"[ …]]`
//!
//! Quotes inside quotes are escaped by most servers and not by all: the request ends at the first quote that
//! a status follows. Where an address stands before the client, it is what a proxy said of the one before it. A request that is
//! none (a TLS hello on a plain port, binary junk) is kept whole in `unmapped.request_line_raw`. Source: Apache HTTP Server, mod_log_config; nginx, ngx_http_log_module.

mod head;
mod ingress;

use super::endpoint::{self, Address, push_destination, push_source};
use super::http_fields::METHODS;
use super::outcome::LOW;
use super::syslog::Header;
use super::text::{between, cut, cut_at, last_cut, number, port, unspaced, word};
use super::timestamp::{self, Reference, Stamp};
use super::{Context, Origin, attempt, envoy, http_fields};
use crate::event::Event;
use crate::schema::{Attribute, Class};
use head::{client, forwarded, ported};

/// Most proxies that are kept of a request.
const FORWARDED_MAX: u16 = 16;

/// One line, cut into its fields.
struct Access<'a> {
    vhost: Option<&'a str>,
    /// None where what stands there is neither address nor name.
    client: Option<Address<'a>>,
    client_port: Option<i64>,
    user: &'a str,
    stamp: Stamp<'a>,
    request: &'a str,
    status: &'a str,
    bytes: &'a str,
    /// The seconds that it took, where they stand before the referrer; else empty.
    took: &'a str,
    referrer: Option<&'a str>,
    agent: Option<&'a str>,
    rest: &'a str,
    /// Addresses of proxies that stand where the client would: the header X-Forwarded-For.
    forwarded: &'a str,
}

/// Whether a line may be one of an access log.
pub(super) fn looks(text: &str) -> bool {
    let timed_first = text.starts_with('[') && text.as_bytes().get(3) == Some(&b'/');
    timed_first || memchr::memchr_iter(b']', text.as_bytes()).any(|at| asked(text, at))
}

/// Whether a request may stand behind the bracket at `at`: at once, or behind one word where the bracket closes a time.
fn asked(text: &str, at: usize) -> bool {
    let Some(rest) = text.get(at + 1..).and_then(|rest| rest.strip_prefix(' ')) else { return false };
    let timed = || matches!(at.checked_sub(5).and_then(|sign| text.as_bytes().get(sign)), Some(b'+' | b'-'));
    rest.starts_with('"') || (timed() && word(rest).1.starts_with('"'))
}

/// Reads a line of an access log.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    // Ambassador's mark before Envoy's line.
    let text = text.strip_prefix("ACCESS ").filter(|rest| rest.starts_with('[')).unwrap_or(text);
    if let Some(secured) = text.strip_prefix('[') {
        return attempt(tls_request, secured, context, event)
            || attempt(managed, secured, context, event)
            || envoy::parse(text, context, event);
    }
    let Some(access) = access(text, context.reference) else { return false };
    access.stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, if access.agent.is_some() { "combined" } else { "common" });
    event.push(Attribute::Message, access.request);
    apply(&access, context.origin, event);
    true
}

/// Apache's `ssl_request_log`: `[TIME] CLIENT PROTOCOL CIPHER "REQUEST" BYTES`.
fn tls_request<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::access(text, context.reference) else { return false };
    let Some((client, rest)) = rest.strip_prefix("] ").map(word) else { return false };
    let (protocol, rest) = word(rest);
    let (cipher, rest) = word(rest);
    let Some((request, bytes)) = rest.strip_prefix('"').and_then(|rest| rest.rsplit_once("\" ")) else { return false };
    let secured = protocol == "-" || protocol.starts_with("TLS") || protocol.starts_with("SSL");
    if !secured || request_line(request).is_none() || !push_source(event, client, None) {
        return false;
    }
    event.class = Class::HttpActivity;
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "ssl_request");
    event.push(Attribute::Message, request);
    push_destination(event, &context.origin.hostname, None);
    push_request(request, event);
    if protocol != "-" {
        event.unmap("tls_version", protocol);
        event.unmap("tls_cipher", cipher);
    }
    if let Ok(bytes) = bytes.parse::<u32>() {
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    true
}

/// Nginx Proxy Manager: `[TIME] CACHE UPSTREAM STATUS - METHOD SCHEME HOST "TARGET" [Client A] [Length N] [Gzip R] [Sent-to S]
/// "AGENT" "REFERRER"`.
fn managed<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::access(text, context.reference) else { return false };
    let Some((head, rest)) = rest.strip_prefix("] ").and_then(|rest| cut(rest, " \"")) else { return false };
    let Some((target, rest)) = cut(rest, "\" [Client ") else { return false };
    let Some((client, rest)) = cut(rest, "] ") else { return false };
    let words: Vec<&str> = head.split(' ').take(9).collect();
    let [.., status, "-", method, scheme, host] = words.as_slice() else { return false };
    let Some(code) = number(status) else { return false };
    event.class = Class::HttpActivity;
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "nginx_proxy_manager");
    event.push(Attribute::Message, target);
    push_source(event, client, None);
    push_destination(event, host, None);
    push_known_method(method, event);
    push_target(target, false, Some(host), event);
    push_code(code, event);
    event.unmap("scheme", *scheme);
    if let Some(bytes) = between(rest, "[Length ", "]").and_then(|(bytes, _)| bytes.parse::<u32>().ok()) {
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    if let Some((server, rest)) = between(rest, "[Sent-to ", "]") {
        event.unmap("upstream", server);
        let (agent, rest) = quoted(rest);
        for (attribute, value) in
            [(Attribute::HttpRequestUserAgent, agent), (Attribute::HttpRequestReferrer, quoted(rest).0)]
        {
            if let Some(value) = value.filter(|value| !matches!(*value, "" | "-")) {
                event.push(attribute, value);
            }
        }
    }
    true
}

/// Reads an access log line that came as the message of a syslog line, which has said the rest.
pub(super) fn parse_message<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let reference = Reference { read_at: event.time, utc_offset_minutes: header.context.origin.utc_offset_minutes };
    let Some(access) = access(message, reference) else { return false };
    // A header without year and zone is worth less than the request's own time, which has both.
    if event.value(Attribute::TimezoneOffset).is_some() && access.stamp.assumed_offset.is_none() {
        event
            .fields
            .retain(|field| !matches!(field.attribute, Attribute::MetadataOriginalTime | Attribute::TimezoneOffset));
        access.stamp.apply(event);
    }
    apply(&access, header.context.origin, event);
    true
}

fn access(text: &str, reference: Reference) -> Option<Access<'_>> {
    let (head, rest) = cut(text, " [")?;
    // Also nginx's `$time_iso8601`.
    let timed = |rest| timestamp::access(rest, reference).or_else(|| timestamp::iso(rest, reference));
    let (named, (stamp, rest)) = match timed(rest) {
        Some(found) => (None, found),
        // Kubernetes' ingress of old says the client twice: `A - [A] - USER [TIME] …`.
        None => {
            let (user, rest) = cut(rest, "] - ").and_then(|(_, rest)| cut(rest, " ["))?;
            (Some(user), timed(rest)?)
        }
    };
    let rest = rest.strip_prefix("] ")?;
    // nginx's `$host` stands before the request in many a format.
    let (host, rest) = match rest.strip_prefix('"') {
        Some(rest) => (None, rest),
        None => {
            let (host, rest) = word(rest);
            (Some(host).filter(|host| matches!(Address::parse(host), Some(Address::Name(_)))), rest.strip_prefix('"')?)
        }
    };
    let (vhost, client, who, forwarded) = match forwarded(head) {
        Some(found) => found,
        None => client(head)?,
    };
    let vhost = vhost.or(host);
    let (client, client_port) = client.map_or((None, None), ported);
    let user = match named {
        Some(user) => user,
        // Some formats have one dash more than the common one.
        None => undashed(cut_at(b' ', who)?.1),
    };
    let (request, rest) = request(rest)?;
    let (status, rest) = word(rest);
    let (bytes, rest) = word(rest);
    // `$request_time` before what the client says of itself.
    let timed = rest.starts_with(|c: char| c.is_ascii_digit()).then(|| word(rest));
    let (took, rest) = timed.filter(|(_, after)| after.starts_with('"')).unwrap_or(("", rest));
    let (referrer, rest) = quoted(rest);
    let (agent, rest) = quoted(rest);
    Some(Access {
        vhost,
        client,
        client_port,
        user,
        stamp,
        request,
        status,
        bytes,
        took,
        referrer,
        agent,
        rest,
        forwarded,
    })
}

/// Without the dashes before the last.
fn undashed(mut user: &str) -> &str {
    while let Some(after) = user.strip_prefix("- ") {
        user = after;
    }
    user
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
        let coded = status.len() >= 3 && ends && status.iter().take(3).all(u8::is_ascii_digit);
        if coded || (unanswered(status) && text.get(..at).is_some_and(versioned)) {
            return Some((text.get(..at)?, text.get(at + 2..)?));
        }
        at += 1;
    }
}

/// Whether `- ` and a number of bytes stand there: a request that was never answered.
fn unanswered(status: &[u8]) -> bool {
    matches!(status, [b'-', b' ', b'0'..=b'9' | b'-', ..])
}

/// Whether a request line ends as one does: ` HTTP/1.1`.
fn versioned(request: &str) -> bool {
    last_cut(request, " HTTP/").is_some_and(|(_, version)| matches!(version.len(), 1 | 3))
}

/// A quoted field, and what follows it.
fn quoted(text: &str) -> (Option<&str>, &str) {
    let Some(inner) = text.strip_prefix('"') else { return (None, text) };
    let mut at = 0;
    while let Some(step) = memchr::memchr2(b'"', b'\\', inner.as_bytes().get(at..).unwrap_or_default()) {
        at += step;
        if inner.as_bytes().get(at) == Some(&b'"') {
            let (field, rest) = inner.split_at_checked(at).unwrap_or((inner, ""));
            return (Some(field), unspaced(rest.trim_start_matches('"')));
        }
        at += 2;
    }
    (Some(inner), "")
}

fn apply<'a>(access: &Access<'a>, origin: &'a Origin, event: &mut Event<'a>) {
    event.class = Class::HttpActivity;
    if let Some(client) = access.client {
        client.push_as_source(event);
    }
    if let Some(port) = access.client_port {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if !access.forwarded.is_empty() {
        let hops = access.forwarded.split(", ").filter(|hop| endpoint::ip(hop).is_some());
        for (index, hop) in (0..FORWARDED_MAX).zip(hops) {
            event.push_at(Attribute::HttpRequestForwardedFor, index, hop);
        }
    }
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
    // The status was read as three digits, or as none.
    let code = number(access.status);
    if let Some(code) = code {
        event.push(Attribute::StatusCode, access.status);
        push_code(code, event);
    }
    if let Ok(bytes) = access.bytes.parse::<u32>() {
        if code.is_some() {
            event.push(Attribute::HttpResponseBodyLength, bytes);
        }
        event.push(Attribute::TrafficBytesOut, bytes);
    }
    if !access.took.is_empty() {
        event.unmap("request_time", access.took);
    }
    let rest = match quoted(access.rest) {
        (Some(list), rest) if access.forwarded.is_empty() && is_forwarded(list) => {
            http_fields::push_forwarded(event, list.into());
            rest
        }
        _ => access.rest,
    };
    if !rest.is_empty() && !ingress::parse(rest, event) {
        event.unmap("trailing", rest);
    }
}

/// Whether a field begins with an address: nginx's own `main` format ends with `"$http_x_forwarded_for"`.
fn is_forwarded(list: &str) -> bool {
    list.split(',').next().is_some_and(|first| endpoint::ip(first.trim()).is_some())
}

/// Whether a field says anything; Apache writes `""` for a user whose name is empty.
fn said(text: &str) -> bool {
    !matches!(text, "" | "-" | "\"\"")
}

/// Method, target and version; what is no request is kept as it is.
fn request_fields<'a>(line: &'a str, vhost: Option<&'a str>, event: &mut Event<'a>) {
    let Some((method, target, version)) = request_line(line) else {
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Malformed Request");
        event.unmap("request_line_raw", line);
        return;
    };
    push_known_method(method, event);
    if let Some(version) = version {
        event.push(Attribute::HttpRequestVersion, version);
    }
    push_target(target, method == "CONNECT", vhost, event);
}

/// The method and the activity that it is.
pub(super) fn push_known_method<'a>(method: &'a str, event: &mut Event<'a>) {
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
}

/// The request line of another log: `METHOD TARGET[ VERSION]`.
pub(super) fn push_request<'a>(line: &'a str, event: &mut Event<'a>) {
    request_fields(line, None, event);
}

/// The outcome that a status code stands for.
pub(super) fn push_code(code: i64, event: &mut Event<'_>) {
    event.push(Attribute::HttpResponseCode, code);
    let failed = !(100..400).contains(&code);
    event.push(Attribute::StatusId, if failed { 2 } else { 1 });
    event.push(Attribute::Status, if failed { "Failure" } else { "Success" });
    if code >= 500 {
        event.severity_id = event.severity_id.max(LOW);
    }
}

/// A method and a URL that stand apart.
pub(super) fn push_method<'a>(method: &'a str, url: &'a str, event: &mut Event<'a>) {
    push_known_method(method, event);
    push_target(url, method == "CONNECT", None, event);
}

/// A URL without its request: what proxies and firewalls write.
pub(super) fn push_url<'a>(url: &'a str, event: &mut Event<'a>) {
    push_target(url, false, None, event);
}

/// The target of a request and its parts.
fn push_target<'a>(target: &'a str, connect: bool, vhost: Option<&'a str>, event: &mut Event<'a>) {
    event.push(Attribute::HttpRequestUrlString, target);
    let absolute = if target.starts_with('/') { None } else { cut(target, "://") };
    let (scheme, authority, local) = match absolute {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, local) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (Some(scheme), Some(authority), local)
        }
        _ if connect => (None, Some(target), ""),
        _ => (None, None, target),
    };
    let host = authority.map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host)).or(vhost);
    if let Some(scheme) = scheme {
        event.push(Attribute::HttpRequestUrlScheme, scheme);
    }
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        event.push(Attribute::HttpRequestUrlHostname, host);
    }
    let (path, query) = cut_at(b'?', local).map_or((local, None), |(path, query)| (path, Some(query)));
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
    let (method, rest) = cut_at(b' ', line)?;
    let (target, version) = match last_cut(rest, " HTTP/") {
        Some((target, version)) => (target, Some(version)),
        None => (rest, None),
    };
    let token = !method.is_empty() && method.len() <= METHOD_LEN_MAX;
    // Where a version follows, small letters are a method that nobody knows.
    let letter = |b: u8| b.is_ascii_uppercase() || (version.is_some() && b.is_ascii_lowercase());
    if !token || !method.bytes().all(|b| letter(b) || matches!(b, b'-' | b'_')) {
        return None;
    }
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
        let line = r#"192.0.2.7 - - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 404 9 "-" "-""#;
        assert_eq!(normalized(line)["actor"], serde_json::Value::Null);
        // The header has no year; the request's time has one, and a zone.
        for (header, time) in [
            ("Mar 16 10:00:00 h nginx: ", 971_211_336_000_i64),
            ("2026-03-16T10:00:00.5Z h nginx: ", 1_773_655_200_500),
        ] {
            let event = normalized(&format!("{header}{line}"));
            assert_eq!((&event["time"], &event["type_uid"]), (&time.into(), &400_203.into()), "{header}");
        }
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
    fn lists_of_proxies_and_requests_over_tls_are_read() {
        let tail = r#"- - [16/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl""#;
        for (head, source, hops) in [
            ("10.0.0.2, 198.51.100.7, 127.0.0.1", "198.51.100.7", 3),
            ("www.example.com 10.0.0.2, 127.0.0.1", "10.0.0.2", 2),
            (r#""198.51.100.7, 10.0.0.2" 192.0.2.1"#, "192.0.2.1", 2),
        ] {
            let event = normalized(&format!("{head} {tail}"));
            assert_eq!(event["src_endpoint"]["ip"], source, "{head}");
            assert_eq!(event["http_request"]["x_forwarded_for"].as_array().map(Vec::len), Some(hops), "{head}");
        }
        let event = normalized(
            r#"[16/Mar/2026:10:00:00 +0000] 192.0.2.1 TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 "GET /a HTTP/1.1" 1375"#,
        );
        assert_eq!(
            (event["type_uid"].as_u64(), event["src_endpoint"]["ip"].as_str()),
            (Some(400_203), Some("192.0.2.1"))
        );
    }

    #[test]
    fn what_stands_before_the_client_is_told_from_it() {
        let tail = r#"- bob [16/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "curl""#;
        for (head, ip, port, hop) in [
            ("192.0.2.7:50123", "192.0.2.7", Some(50_123), None),
            ("198.51.100.5 192.0.2.7", "192.0.2.7", None, Some("198.51.100.5")),
            ("- 192.0.2.7", "192.0.2.7", None, None),
            ("192.0.2.7 - [192.0.2.7]", "192.0.2.7", None, None),
        ] {
            let event = normalized(&format!("{head} {tail}"));
            assert_eq!(event["src_endpoint"]["ip"], ip, "{head}");
            assert_eq!(event["src_endpoint"]["port"].as_i64(), port, "{head}");
            assert_eq!(event["http_request"]["x_forwarded_for"][0].as_str(), hop, "{head}");
            assert_eq!(
                (&event["actor"]["user"]["name"], &event["dst_endpoint"]["hostname"]),
                (&"bob".into(), &"web-1".into())
            );
        }
        assert_eq!(normalized(&format!("- {tail}"))["type_uid"], 400_203);
        let alone = normalized(r#"192.0.2.7 [16/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5"#);
        assert_eq!((&alone["type_uid"], &alone["src_endpoint"]["ip"]), (&400_203.into(), &"192.0.2.7".into()));
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

    #[test]
    fn methods_that_nobody_knows_and_requests_without_an_answer_are_read() {
        let head = "192.0.2.7 - bob [16/Mar/2026:10:00:00 +0000]";
        let event = normalized(&format!(r#"{head} "GETx /a/1 HTTP/1.1" 400 7"#));
        assert_eq!((&event["type_uid"], &event["activity_name"]), (&400_299.into(), &"GETx".into()));
        assert_eq!(event["http_request"]["url"]["path"], "/a/1");
        let event = normalized(&format!(r#"{head} "OPTIONS /a/ HTTP/1.1" - 1234 "-" "probe (v1.0)""#));
        assert_eq!((&event["type_uid"], &event["time"]), (&400_205.into(), &1_773_655_200_000_i64.into()));
        assert_eq!(
            (&event["src_endpoint"]["ip"], &event["actor"]["user"]["name"]),
            (&"192.0.2.7".into(), &"bob".into())
        );
        assert_eq!(
            (&event["http_request"]["user_agent"], &event["traffic"]["bytes_out"]),
            (&"probe (v1.0)".into(), &1234.into())
        );
        assert!(event.get("http_response").is_none() && event.get("status_code").is_none());
    }

    #[test]
    fn what_proxies_and_operators_add_behind_does_not_hide_the_rest() {
        let head = r#"192.0.2.7 - "" [16/Mar/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5"#;
        let event = normalized(&format!(r#"{head} 0.003 "-" "curl" "198.51.100.4, 10.0.0.1""#));
        assert_eq!(event["http_request"]["user_agent"], "curl");
        assert_eq!(event["http_request"]["x_forwarded_for"], serde_json::json!(["198.51.100.4", "10.0.0.1"]));
        assert!(event.get("actor").is_none());
    }

    #[test]
    fn iso_times_are_read() {
        let event = normalized(r#"192.0.2.7 - - [2026-03-16T10:00:00+01:00] "GET /a HTTP/1.1" 200 5 "-" "curl""#);
        assert_eq!((&event["type_uid"], &event["time"]), (&400_203.into(), &1_773_651_600_000_i64.into()));
    }
}
