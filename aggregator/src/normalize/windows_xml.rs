//! Events of Windows as XML, as `wevtutil` and forwarders print them: one event a line.
//!
//! In: `<Event xmlns='…'><System>…</System><EventData><Data Name='TargetUserName'>bob</Data>…</EventData></Event>`, with or
//! without spaces between the elements. Out: the same as of such an event in JSON; requests (4002) of IIS's own channel. Nothing is
//! judged but the elements that are known: it is no reader of XML, and linear in the text. Source: Microsoft, "Event Schema";
//! "Consume IIS logs with ETW" for the channel's names.

use std::borrow::Cow;

use super::Context;
use super::fields::{Fields, Leaf};
use super::json_lines::{is_request, push_request, push_windows};
use super::text::{cut, holds};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Elements of `System` whose text is taken, and their keys in JSON.
const ELEMENTS: [(&str, &str); 6] = [
    ("EventID", "EventID"),
    ("Channel", "Channel"),
    ("Computer", "Hostname"),
    ("EventRecordID", "RecordNumber"),
    ("Level", "Level"),
    ("Message", "Message"),
];
/// Columns of IIS, and the keys that access logs in JSON give them.
const COLUMNS: [(&str, &str); 8] = [
    ("c-ip", "client_ip"),
    ("cs-method", "method"),
    ("cs-uri-stem", "path"),
    ("sc-status", "status"),
    ("cs-host", "host"),
    ("cs-username", "username"),
    ("csUser-Agent", "user_agent"),
    ("csReferer", "referer"),
];
/// What the names of the first element go on with.
const ENDS: [char; 6] = [' ', '>', '/', '\t', '\r', '\n'];

/// Whether a line begins with an event; browsers print a `-` before it.
pub(super) fn looks(text: &str) -> bool {
    let text = text.trim_start_matches([' ', '-']);
    text.strip_prefix("<Event").is_some_and(|rest| rest.starts_with([' ', '>'])) && holds(text, "<System")
}

/// Reads a line; false where the event has no number or no channel.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut fields = Fields::new();
    let mut rest = text;
    while let Some((_, element)) = rest.split_once('<') {
        let Some((head, after)) = element.split_once('>') else { break };
        rest = after;
        let (name, attributes) = head.split_once(ENDS).unwrap_or((head, ""));
        let value = after.split_once('<').map_or("", |(value, _)| value);
        let value = if head.ends_with('/') { "" } else { value };
        match name {
            "Provider" => add(&mut fields, "SourceName", attribute(attributes, "Name")),
            "TimeCreated" => add(&mut fields, "EventTime", attribute(attributes, "SystemTime")),
            "Data" => {
                let name = attribute(attributes, "Name").unwrap_or("Data");
                let column = COLUMNS.iter().find(|(column, _)| *column == name).map(|(_, key)| *key);
                add(&mut fields, column.unwrap_or(name), Some(value).filter(|value| !value.trim().is_empty()));
            }
            _ => {
                if let Some((_, key)) = ELEMENTS.iter().find(|(element, _)| *element == name) {
                    add(&mut fields, key, Some(value).filter(|value| !value.trim().is_empty()));
                }
            }
        }
    }
    if !fields.has("EventID") || !fields.has("Channel") {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "windows_xml");
    let internet = fields.peek("Channel").is_some_and(|channel| channel.starts_with("Microsoft-IIS-Logging"));
    if internet && is_request(&fields) {
        fields.push_time(event, "EventTime", context.reference);
        push_request(&mut fields, context, event);
        event.class = Class::HttpActivity;
    } else {
        push_windows(&mut fields, context, event);
    }
    fields.finish(event);
    true
}

/// The value of an attribute, in quotes of either kind.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let (before, after) = cut(rest, name)?;
        let begins = before.is_empty() || before.ends_with([' ', '\t', '\r', '\n']);
        let quoted = after.strip_prefix('=').and_then(|value| {
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            value.get(1..)?.split_once(quote)
        });
        match quoted {
            Some((value, _)) if begins => return Some(value),
            _ => rest = after,
        }
    }
}

/// Adds a value that stands there and is none of Windows's words for nothing.
fn add<'a>(fields: &mut Fields<'a>, key: &'a str, value: Option<&'a str>) {
    if let Some(value) = value.filter(|value| *value != "-") {
        fields.add(None, key, Leaf::Text(unescaped(value)));
    }
}

/// Without the five entities of XML (§4.6), and line ends written as numbers.
fn unescaped(text: &str) -> Cow<'_, str> {
    const ENTITIES: [(&str, char); 9] = [
        ("amp;", '&'),
        ("lt;", '<'),
        ("gt;", '>'),
        ("quot;", '"'),
        ("apos;", '\''),
        ("#13;", '\r'),
        ("#10;", '\n'),
        ("#xD;", '\r'),
        ("#xA;", '\n'),
    ];
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('&') {
        out.push_str(plain);
        match ENTITIES.iter().find_map(|(name, c)| Some((tail.strip_prefix(name)?, *c))) {
            Some((tail, c)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    fn event(code: u16, channel: &str, data: &str) -> serde_json::Value {
        normalized(&format!(
            r#"<Event xmlns="urn:example"><System>  <Provider Name="Example-Auditing" Guid="{{1}}" />   <EventID>{code}</EventID>   <Level>0</Level>  <TimeCreated SystemTime="2026-03-16T09:00:00.1234567Z" />   <EventRecordID>7</EventRecordID>   <Channel>{channel}</Channel>   <Computer>pc.example.com</Computer>   <Security />   </System><EventData>{data}</EventData></Event>"#
        ))
    }

    #[test]
    fn logons_are_read_as_those_in_json() {
        let data = r#" <Data Name="SubjectUserName">-</Data> <Data Name="TargetUserName">bob&amp;ann</Data>  <Data Name='TargetDomainName'>EX</Data><Data Name="Status">0xc000006d</Data><Data Name="SubStatus">0xc0000064</Data><Data Name="LogonType">3</Data><Data Name="IpAddress">192.0.2.7</Data><Data Name="IpPort">4711</Data><Data Name="KeyLength" />"#;
        let event = event(4625, "Security", data);
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(event["user"], json!({"name": "bob&ann", "domain": "EX"}));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
        assert_eq!((&event["status_code"], &event["logon_type_id"]), (&json!("0xc0000064"), &json!(3)));
        assert_eq!(event["time"], 1_773_651_600_123_i64);
        assert_eq!(event["metadata"]["log_provider"], "Example-Auditing");
        assert_eq!(event["metadata"]["log_format"], "windows_xml");
        assert_eq!(event["unmapped"]["Hostname"], "pc.example.com");
    }

    #[test]
    fn requests_of_iis_are_requests() {
        let data = r#"<Data Name="c-ip">192.0.2.7</Data><Data Name="cs-username">-</Data><Data Name="cs-method">GET</Data><Data Name="cs-uri-stem">/a</Data><Data Name="cs-uri-query">b=&lt;c&gt;</Data><Data Name="sc-status">400</Data><Data Name="csUser-Agent">curl</Data>"#;
        let event = event(6200, "Microsoft-IIS-Logging/Logs", data);
        assert_eq!((&event["type_uid"], &event["http_response"]["code"]), (&json!(400_203), &json!(400)));
        assert_eq!(
            (&event["src_endpoint"]["ip"], &event["http_request"]["url"]["path"]),
            (&json!("192.0.2.7"), &json!("/a"))
        );
        assert_eq!(event["unmapped"]["cs-uri-query"], "b=<c>");
        assert_eq!(event["time"], 1_773_651_600_123_i64);
    }

    #[test]
    fn what_is_broken_or_another_document_is_left() {
        for line in [
            "<Event><System><EventID>1</EventID></System></Event>",
            "<Event><System",
            "<Event <System Name=",
            "<Events><System></System></Events>",
            "- <a>",
        ] {
            assert_eq!(normalized(line)["metadata"]["log_format"], "raw", "{line}");
        }
    }
}
