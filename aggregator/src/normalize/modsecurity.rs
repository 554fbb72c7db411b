//! ModSecurity: rules that matched a request (2004), as Apache, nginx and its own audit log print them.
//!
//! In: a line of an error log with `ModSecurity: … [id "930100"] [msg "…"] …`; or one of the serial audit log: a boundary
//! (`--6b253045-A--`) or what it did with the request (6002, a report), the ends of section A (4001), a `Message:` of section H. Out: the finding with its rule,
//! severity, what was done, client, host and URL. A line without a rule's id is left to the server's error log. Source:
//! ModSecurity 2 `apache2/msc_logging.c`, `re.c`; libmodsecurity 3 `src/rule_message.cc`.

mod record;

use super::remark::{remark, report};
use super::text::{between, cut, number, port, word};
use super::timestamp::{self, Stamp};
use super::{Context, endpoint, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most tags of a rule that are kept as types.
const TAGS_MAX: u16 = 32;

/// Whether the mark stands in the line, or the line is one of the audit log.
pub(super) fn looks(text: &str) -> bool {
    cut(text, "ModSecurity: ").is_some()
        || (text.starts_with("Message: ") && text.contains(" [id \""))
        || trailer(text)
        || (text.starts_with("--") && boundary(text.lines().next().unwrap_or_default()).is_some())
        || (text.starts_with('[') && section_a(text).is_some())
}

/// Reads a line; false where it is no rule's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if text.starts_with("--") && record::parse(text, context, event) {
        return true;
    }
    if let Some((id, section)) = boundary(text) {
        event.push(Attribute::MetadataLogFormat, "modsecurity_audit");
        event.push(Attribute::MetadataLogProvider, "modsecurity");
        event.push(Attribute::MetadataCorrelationUid, id);
        event.push(Attribute::MetadataEventCode, section);
        event.push(Attribute::Message, text);
        return report("modsecurity", event);
    }
    if let Some((time, rest)) = section_a(text) {
        return ends(text, time, rest, context, event);
    }
    let audit = text.strip_prefix("Message: ");
    if audit.is_none_or(|message| !message.contains("[id \"")) && trailer(text) {
        event.push(Attribute::MetadataLogFormat, "modsecurity_audit");
        event.push(Attribute::MetadataLogProvider, "modsecurity");
        event.push(Attribute::MetadataEventCode, text.split(':').next().unwrap_or(text));
        event.push(Attribute::Message, text);
        return remark("modsecurity", text, event);
    }
    let message = match audit {
        Some(message) => message,
        None => match cut(text, "ModSecurity: ") {
            Some((_, message)) => message,
            None => return false,
        },
    };
    if !message.contains("[id \"") {
        return false;
    }
    if audit.is_none() {
        head(text, context, event);
    }
    event.push(Attribute::MetadataLogFormat, "modsecurity");
    event.push(Attribute::MetadataLogProvider, "modsecurity");
    finding(message, event);
    if audit.is_none() {
        client(text, event);
    }
    true
}

/// Reads the message of an error log's line whose time, process and client have been read; false where it is no rule's.
pub(super) fn matched<'a>(message: &'a str, client: Option<&'a str>, event: &mut Event<'a>) -> bool {
    let Some((_, message)) = cut(message, "ModSecurity: ").filter(|(_, message)| message.contains("[id \"")) else {
        return false;
    };
    finding(message, event);
    if let Some(client) = client {
        event.push(Attribute::EvidencesSrcEndpointIp, client);
    }
    true
}

/// What the lines of section H begin with, beside its messages: what ModSecurity did with the request, how long it took.
const TRAILER: [&str; 11] = [
    "Action: Intercepted",
    "Apache-Handler: ",
    "Apache-Error: ",
    "Stopwatch: ",
    "Stopwatch2: ",
    "Producer: ModSecurity",
    "Response-Body-Transformed: ",
    "Engine-Mode: ",
    "WebApp-Info: ",
    "Sanitised-Args: ",
    "Rule-Performance-Info: ",
];

/// Whether a line is such a one; those that hold a rule are not.
fn trailer(text: &str) -> bool {
    let first = text.as_bytes().first();
    first.is_some_and(u8::is_ascii_uppercase)
        && TRAILER.iter().any(|mark| text.starts_with(mark))
        && !text.contains("[id \"")
}

/// `--6b253045-A--`, libmodsecurity's `---Xc3ZlvbR---A--`: the record's id and the section that begins.
pub(super) fn boundary(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("--")?.strip_suffix("--")?;
    let (id, section) = match inner.strip_prefix('-') {
        Some(inner) => inner.split_once("---")?,
        None => inner.split_once('-')?,
    };
    let shaped = id.len() == 8 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (shaped && section.len() == 1 && section.bytes().all(|b| b.is_ascii_uppercase())).then_some((id, section))
}

/// `[16/Mar/2026:10:00:00 +0100] UNIQUE 192.0.2.7 4444 198.51.100.9 80`: the time, and what follows its bracket.
fn section_a(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = cut(text.strip_prefix('[')?, "] ")?;
    let parts: Vec<&str> = rest.split(' ').take(6).collect();
    let &[_, from, from_port, to, to_port] = parts.as_slice() else { return None };
    let both = endpoint::ip(from).is_some() && endpoint::ip(to).is_some();
    (both && port(from_port).is_some() && port(to_port).is_some()).then_some((time, rest))
}

fn ends<'a>(text: &'a str, time: &'a str, rest: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, _)) = timestamp::access(time, context.reference) else { return false };
    stamp.apply(event);
    let mut words = rest.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let (unique, from, from_port, to, to_port) = (next(), next(), next(), next(), next());
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    event.push(Attribute::MetadataLogFormat, "modsecurity_audit");
    event.push(Attribute::MetadataLogProvider, "modsecurity");
    event.push(Attribute::MetadataCorrelationUid, unique);
    endpoint::push_source(event, from, port(from_port));
    endpoint::push_destination(event, to, port(to_port));
    event.push(Attribute::AppProtocolName, "http");
    event.push(Attribute::Message, text);
    true
}

/// Time and process of the error log around the message.
fn head<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(' ')).filter(|(day, _)| day.len() == 3);
    let stamp: Option<Stamp<'a>> = match bracketed {
        Some((_, rest)) => timestamp::bsd(rest, context.reference).map(|(stamp, _)| stamp),
        None => timestamp::iso(text, context.reference).map(|(stamp, _)| stamp),
    };
    if let Some(stamp) = stamp {
        stamp.apply(event);
    }
    let pid = match between(text, "[pid ", "]") {
        Some((pid, _)) => Some(pid.split(':').next().unwrap_or(pid)),
        None => between(text, "] ", "#").map(|(pid, _)| pid),
    };
    if let Some(pid) = pid.and_then(number) {
        event.push(Attribute::ActorProcessPid, pid);
    }
}

/// `[client 192.0.2.7:4444]` or `, client: 192.0.2.7,`.
fn client<'a>(text: &'a str, event: &mut Event<'a>) {
    let found = between(text, "[client ", "]").or_else(|| between(text, ", client: ", ","));
    let Some(client) = found.map(|(client, _)| client) else { return };
    match endpoint::ip(client) {
        Some(ip) => event.push(Attribute::EvidencesSrcEndpointIp, ip),
        None => {
            let Some((host, number)) = client.rsplit_once(':') else { return };
            let Some(ip) = endpoint::ip(host) else { return };
            event.push(Attribute::EvidencesSrcEndpointIp, ip);
            if let Some(port) = port(number) {
                event.push(Attribute::EvidencesSrcEndpointPort, port);
            }
        }
    }
}

/// `[key "value"]` after `[key "value"]`: a value ends at the first `"]`.
fn bracketed(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = cut(rest, "[")?;
            let key = after.split([' ', ']', '[']).next().unwrap_or_default();
            let quoted = after.get(key.len()..).and_then(|tail| tail.strip_prefix(" \""));
            let named = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            match quoted.filter(|_| named).and_then(|value| cut(value, "\"]")) {
                Some((value, tail)) => {
                    rest = tail;
                    return Some((key, value));
                }
                None => rest = after,
            }
        }
    })
}

/// `severity_id` of a rule's severity, in words or numbers.
pub(super) fn severity(text: &str) -> u8 {
    match text.to_ascii_uppercase().as_str() {
        "EMERGENCY" | "0" => 6,
        "ALERT" | "1" | "CRITICAL" | "2" => 5,
        "ERROR" | "3" => 4,
        "WARNING" | "4" => 3,
        "NOTICE" | "5" => 2,
        _ => 1,
    }
}

/// The rule and what it says; the URL and host that it names.
fn finding<'a>(message: &'a str, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = 2;
    let (mut rule, mut title, mut unique, mut uri, mut host) = ("", "", "", "", "");
    let mut tags = 0;
    for (key, value) in bracketed(message) {
        match key {
            "id" => rule = value,
            "msg" => title = value,
            "severity" => event.severity_id = severity(value),
            "ver" if !value.is_empty() => event.unmap("ver", value),
            "rev" if !value.is_empty() => event.unmap("rev", value),
            "data" if !value.is_empty() => event.unmap("data", value),
            "file" | "line" => event.unmap(key, value),
            "tag" if tags < TAGS_MAX => {
                event.push_at(Attribute::FindingTypes, tags, value);
                tags += 1;
            }
            "unique_id" => unique = value,
            "uri" => uri = value,
            "hostname" => host = value,
            _ => {}
        }
    }
    let title = if title.is_empty() { message.split(" [").next().unwrap_or(message) } else { title };
    event.push(Attribute::FindingUid, format!("{rule}:{unique}"));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingDesc, message.split(" [file ").next().unwrap_or(message));
    event.push(Attribute::FindingAnalyticName, title);
    event.push(Attribute::FindingAnalyticUid, rule);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    if !unique.is_empty() {
        event.push(Attribute::MetadataCorrelationUid, unique);
    }
    if !uri.is_empty() {
        event.push(Attribute::EvidencesUrlString, uri);
        if !host.is_empty() {
            event.push(Attribute::EvidencesUrlHostname, host);
        }
    }
    let denied = message.contains("Access denied");
    let control = if denied { outcome::Control::Blocked } else { outcome::Control::Alerted };
    outcome::controlled(event, control);
    if let Some((code, _)) = between(message, "Access denied with code ", " ").filter(|(code, _)| word(code).0 == *code)
    {
        event.push(Attribute::StatusCode, code.trim_end_matches('.'));
    }
    event.push(Attribute::Message, title);
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    const RULE: &str = r#"ModSecurity: Access denied with code 403 (phase 2). Pattern match "x\"y" at ARGS:a. [file "/r.conf"] [line "47"] [id "930100"] [msg "Path Traversal Attack (/../)"] [severity "CRITICAL"] [tag "attack-lfi"] [tag "OWASP_CRS"] [hostname "www.example.com"] [uri "/x"] [unique_id "YVW7"]"#;

    #[test]
    fn a_rule_that_matched_is_a_finding() {
        for line in [
            format!(
                "[Mon Mar 16 10:00:00.500000 2026] [:error] [pid 7:tid 9] [client 192.0.2.7:4444] [client 192.0.2.7] {RULE}"
            ),
            format!("2026/03/16 10:00:00 [error] 7#7: *5 [client 192.0.2.7] {RULE}, client: 192.0.2.7, server: _"),
        ] {
            let event = normalized(&line);
            assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(200_401), Some(5)), "{line}");
            assert_eq!(event["finding_info"]["analytic"]["uid"], "930100");
            assert_eq!(event["finding_info"]["types"], serde_json::json!(["attack-lfi", "OWASP_CRS"]));
            assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.7");
            assert_eq!(event["evidences"][0]["url"]["url_string"], "/x");
            assert_eq!((event["action_id"].as_u64(), event["status_code"].as_str()), (Some(2), Some("403")));
            assert_eq!(event["actor"]["process"]["pid"], 7);
        }
    }

    #[test]
    fn the_serial_log_is_read_line_by_line() {
        let event = normalized("--6b253045-A--");
        assert_eq!(event["metadata"]["correlation_uid"], "6b253045");
        assert_eq!(normalized("---Xc3ZlvbR---H--")["metadata"]["event_code"], "H");
        assert_eq!(normalized("Action: Intercepted (phase 2)")["type_uid"], 600_299);
        let event = normalized("[16/Mar/2026:10:00:00 +0100] YVW7 192.0.2.7 4444 198.51.100.9 80");
        assert_eq!(event["class_uid"], 4001);
        assert_eq!(event["dst_endpoint"], serde_json::json!({"ip": "198.51.100.9", "port": 80}));
        let event = normalized(r#"Message: Warning. Matched. [id "1"] [msg "m"]"#);
        assert_eq!(event["class_uid"], 2004);
    }

    #[test]
    fn its_own_errors_are_the_servers() {
        let event = normalized(
            "[Mon Mar 16 10:00:00 2026] [error] [pid 7] [client 192.0.2.7] ModSecurity: Audit log: Failed writing",
        );
        assert_eq!(event["class_uid"], 6008);
    }
}
