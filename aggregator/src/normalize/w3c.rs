//! W3C extended log format, as IIS writes it: one line a request (4002), in UTC.
//!
//! The columns are named once, in a `#Fields:` line that a later line cannot look back at. What stands where is told by
//! shape: date, time, then the method and the path that follows it; before them the server's address, behind them query,
//! port, user and client; at the end of the line the status and its two companions, bytes, and the time taken. Between
//! client and status stand version, agent, cookie, referrer and host, in this order. Headers and what has another shape is a
//! base event or no such line: what a header said is not remembered from frame to frame, since a sink, a replay or a restart
//! that began to read elsewhere would make other events of the same lines.
//! Lines of HTTP.sys, which have both ends before the method, are [`http_error`]'s.
//! Source: W3C working draft WD-logfile; Microsoft, "IIS log file formats", layouts of IIS 6 to 10.

mod http_error;

use super::Context;
use super::combined::{push_code, push_known_method};
use super::endpoint::{self, push_destination, push_source};
use super::text::{cut, number, port};
use super::timestamp::{self, Reference};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most columns that are looked at; a default layout has at most 22.
const COLUMNS_MAX: usize = 32;

/// `2026-03-16 10:00:00 `
const TIME_LEN: usize = 20;

/// What the lines before the first request begin with.
const HEADERS: [&str; 4] = ["#Software: ", "#Version: ", "#Date: ", "#Fields: "];

/// Whether a line is a header, or has a date, a time, and a method before a path.
pub(super) fn looks(text: &str) -> bool {
    match text.as_bytes() {
        [b'#', ..] => HEADERS.iter().any(|header| text.starts_with(header)),
        [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b' ', _, _, b':', ..] => {
            cut(text, " /").is_some() || text.get(TIME_LEN..).is_some_and(http_error::looks)
        }
        _ => false,
    }
}

/// Reads a line; false where no method stands before a path, or no status at the end.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if HEADERS.iter().any(|header| text.starts_with(header)) {
        event.push(Attribute::Message, text);
        event.push(Attribute::MetadataLogFormat, "w3c");
        return true;
    }
    let reference = Reference { utc_offset_minutes: 0, ..context.reference };
    let Some((stamp, rest)) = timestamp::iso(text, reference) else { return false };
    let refused = text.get(TIME_LEN..).filter(|rest| http_error::looks(rest));
    if let Some(rest) = refused {
        stamp.in_zone(0).apply(event);
        event.push(Attribute::MetadataLogFormat, "w3c");
        event.push(Attribute::MetadataLogProvider, "iis");
        event.push(Attribute::Message, rest);
        return http_error::parse(rest, event);
    }
    let mut columns = [""; COLUMNS_MAX];
    let mut count = 0;
    for (slot, column) in columns.iter_mut().zip(rest.trim_start().split(' ')) {
        *slot = column;
        count += 1;
    }
    let Some(columns) = columns.get(..count) else { return false };
    let Some(request) = Request::read(columns) else { return false };
    stamp.in_zone(0).apply(event);
    event.push(Attribute::MetadataLogFormat, "w3c");
    event.push(Attribute::MetadataLogProvider, "iis");
    event.push(Attribute::Message, rest.trim_start());
    request.apply(context, event);
    true
}

/// The columns of a request by what they are.
struct Request<'c, 'a> {
    /// Site and computer, where the layout has them.
    site: &'c [&'a str],
    server: &'a str,
    method: &'a str,
    path: &'a str,
    query: &'a str,
    port: &'a str,
    user: &'a str,
    client: &'a str,
    /// Version, agent, cookie, referrer, host.
    words: &'c [&'a str],
    /// Status, substatus, Windows status, bytes, time taken.
    numbers: &'c [&'a str],
    /// What a proxy in front said of the client.
    forwarded: Option<&'a str>,
}

impl<'c, 'a> Request<'c, 'a> {
    fn read(columns: &'c [&'a str]) -> Option<Self> {
        let verb = |text: &str| (3..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
        let at = columns.windows(2).take(5).position(|pair| match pair {
            [method, path] => verb(method) && (path.starts_with('/') || *path == "*"),
            _ => false,
        })?;
        let (before, rest) = columns.split_at_checked(at)?;
        let (server, site) = match before.split_last() {
            Some((server, site)) if endpoint::ip(server).is_some() => (*server, site),
            _ => ("-", before),
        };
        let [method, path, query, port, user, client, rest @ ..] = rest else { return None };
        (number(port).is_some() && (endpoint::ip(client).is_some() || *client == "-")).then_some(())?;
        let (rest, forwarded) = match rest.split_last() {
            Some((last, rest)) if endpoint::ip(last).is_some() => (rest, Some(*last)),
            Some((&"-", rest)) => (rest, None),
            _ => (rest, None),
        };
        let digits = rest.iter().rev().take_while(|text| text.parse::<u32>().is_ok()).count();
        let (words, numbers) = rest.split_at_checked(rest.len() - digits)?;
        let (status, _) = numbers.split_first()?;
        number(status).filter(|code| (100..600).contains(code))?;
        Some(Self { site, server, method, path, query, port, user, client, words, numbers, forwarded })
    }

    fn apply(self, context: &Context<'a>, event: &mut Event<'a>) {
        event.class = Class::HttpActivity;
        push_known_method(self.method, event);
        event.push(Attribute::HttpRequestUrlPath, self.path);
        if self.query == "-" {
            event.push(Attribute::HttpRequestUrlString, self.path);
        } else {
            event.push(Attribute::HttpRequestUrlQueryString, self.query);
            event.push(Attribute::HttpRequestUrlString, format!("{}?{}", self.path, self.query));
        }
        if !push_destination(event, self.server, port(self.port)) {
            push_destination(event, &context.origin.hostname, port(self.port));
        }
        push_source(event, self.client, None);
        if self.user != "-" {
            event.push(Attribute::ActorUserName, self.user);
        }
        if let Some(forwarded) = self.forwarded.and_then(endpoint::ip) {
            event.push_at(Attribute::HttpRequestForwardedFor, 0, forwarded);
        }
        for (key, value) in ["site", "computer"].into_iter().zip(self.site.iter().filter(|value| **value != "-")) {
            event.unmap(key, *value);
        }
        self.words(event);
        self.numbers(event);
    }

    fn words(&self, event: &mut Event<'a>) {
        let mut words = self.words;
        if let [version, rest @ ..] = words
            && let Some(version) = version.strip_prefix("HTTP/")
        {
            event.push(Attribute::HttpRequestVersion, version);
            words = rest;
        }
        let (agent, cookie, referrer, host) = match words {
            [agent] => (*agent, "-", "-", "-"),
            [agent, referrer] => (*agent, "-", *referrer, "-"),
            [agent, cookie, referrer] => (*agent, *cookie, *referrer, "-"),
            [agent, cookie, referrer, host, ..] => (*agent, *cookie, *referrer, *host),
            [] => return,
        };
        if agent != "-" {
            // Spaces are written as plus signs.
            event.push(Attribute::HttpRequestUserAgent, agent.replace('+', " "));
        }
        if referrer != "-" {
            event.push(Attribute::HttpRequestReferrer, referrer);
        }
        if cookie != "-" {
            event.unmap("cookie", cookie);
        }
        if host != "-" {
            event.push(Attribute::HttpRequestUrlHostname, host.rsplit_once(':').map_or(host, |(name, _)| name));
        }
    }

    fn numbers(&self, event: &mut Event<'a>) {
        let (status, rest) = match self.numbers {
            [status, substatus, windows, rest @ ..] => {
                event.unmap("substatus", *substatus);
                event.unmap("win32_status", *windows);
                (*status, rest)
            }
            [status, rest @ ..] => (*status, rest),
            [] => return,
        };
        push_code(number(status).unwrap_or_default(), event);
        event.push(Attribute::StatusCode, status);
        let (sent, taken) = match rest {
            [sent, _, taken] => (Some(sent), Some(taken)),
            [sent, _] => (Some(sent), None),
            [taken] => (None, Some(taken)),
            _ => (None, None),
        };
        if let Some(Ok(bytes)) = sent.map(|text| text.parse::<u32>()) {
            event.push(Attribute::HttpResponseBodyLength, bytes);
            event.push(Attribute::TrafficBytesOut, bytes);
        }
        if let Some(taken) = taken.and_then(|text| number(text)) {
            event.push(Attribute::Duration, taken);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn default_layouts_are_told_by_shape() {
        let tail = "Mozilla/5.0+(X) https://example.com/ 404 0 2 15";
        for head in ["192.0.2.9", "W3SVC1 192.0.2.9", "W3SVC1 WEB 192.0.2.9"] {
            let event =
                normalized(&format!("2026-03-16 10:00:00 {head} GET /a.aspx x=1&y=2 443 bob 198.51.100.7 {tail}"));
            assert_eq!(
                (&event["type_uid"], &event["time"]),
                (&json!(400_203), &json!(1_773_655_200_000_i64)),
                "{head}"
            );
            assert_eq!(event["src_endpoint"]["ip"], "198.51.100.7");
            assert_eq!(event["dst_endpoint"], json!({"ip": "192.0.2.9", "port": 443}));
            assert_eq!(event["http_request"]["url"]["url_string"], "/a.aspx?x=1&y=2");
            assert_eq!(event["http_request"]["user_agent"], "Mozilla/5.0 (X)");
            assert_eq!(event["http_request"]["referrer"], "https://example.com/");
            assert_eq!((&event["http_response"]["code"], &event["duration"]), (&json!(404), &json!(15)));
            assert_eq!(event["actor"]["user"]["name"], "bob");
        }
        let event = normalized(
            "2026-03-16 10:00:00 W3SVC1 WEB 192.0.2.9 POST /a - 80 - 198.51.100.7 HTTP/1.1 A - - example.com:80 200 0 0 5 6 7",
        );
        assert_eq!(event["http_request"]["url"]["hostname"], "example.com");
        assert_eq!((&event["traffic"]["bytes_out"], &event["duration"]), (&json!(5), &json!(7)));
    }

    #[test]
    fn an_agent_that_looks_like_columns_moves_no_address() {
        let event =
            normalized("2026-03-16 10:00:00 192.0.2.9 GET /a - 80 - 198.51.100.7 GET+/x+-+80+-+192.0.2.66 200 0 0 1");
        assert_eq!(event["src_endpoint"]["ip"], "198.51.100.7");
    }

    #[test]
    fn headers_and_other_lines_with_a_date_are_not_requests() {
        assert_eq!(normalized("#Fields: date time s-ip cs-method")["metadata"]["log_format"], "w3c");
        assert_eq!(normalized("2026-03-16 10:00:00 GET /a is slow")["metadata"]["log_format"], "plain");
    }
}
