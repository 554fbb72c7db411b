//! Elastic's package tests: `X.log` or `X.json` and `X…-expected.json`, one document of the Elastic Common Schema a line.

use std::path::Path;

use serde_json::Value;

use super::super::case::{Case, DESTINATION, DESTINATION_PORT, OUTCOME, SOURCE, SOURCE_PORT, USER, What, text};
use super::read;

/// ECS fields and where OCSF has them.
const FIELDS: [(&str, What, &[&str]); 24] = [
    ("user.name", What::User, USER),
    ("source.user.name", What::User, USER),
    ("destination.user.name", What::User, USER),
    ("user.effective.name", What::User, USER),
    ("user.target.name", What::User, USER),
    ("source.ip", What::Address, SOURCE),
    ("source.domain", What::Address, SOURCE),
    ("destination.ip", What::Address, DESTINATION),
    ("destination.domain", What::Address, DESTINATION),
    ("source.port", What::Port, SOURCE_PORT),
    ("destination.port", What::Port, DESTINATION_PORT),
    ("event.outcome", What::Outcome, OUTCOME),
    ("@timestamp", What::Time, &[]),
    ("http.request.method", What::Detail, &["http_request.http_method"]),
    ("http.response.status_code", What::Detail, &["http_response.code"]),
    (
        "http.response.body.bytes",
        What::Detail,
        &["http_response.body_length", "http_response.length", "traffic.bytes_out"],
    ),
    ("http.request.referrer", What::Detail, &["http_request.referrer"]),
    ("http.version", What::Detail, &["http_request.version"]),
    ("url.path", What::Detail, &["http_request.url.path"]),
    ("user_agent.original", What::Detail, &["http_request.user_agent"]),
    ("process.pid", What::Detail, &["actor.process.pid", "process.pid", "unmapped.procid"]),
    ("process.name", What::Detail, &["actor.process.name", "process.name", "metadata.log_provider"]),
    ("event.code", What::Detail, &["metadata.event_code"]),
    (
        "network.transport",
        What::Detail,
        &["connection_info.protocol_name", "evidences[].connection_info.protocol_name"],
    ),
];

/// The lines of an input; of what is expected, which stands beside it, none.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    let beside =
        path.with_file_name(format!("{}-expected.json", path.file_name().unwrap_or_default().to_string_lossy()));
    if file.ends_with("-expected.json") || !beside.exists() {
        return Vec::new();
    }
    let documents: Value = serde_json::from_slice(&read(&beside)).unwrap();
    let documents = documents["expected"].as_array().cloned().unwrap_or_default();
    let bytes = read(path);
    let mut lines: Vec<String> = if file.ends_with(".json") { events(&bytes) } else { folded(&bytes) };
    if lines.len() != documents.len() {
        lines = documents.iter().map(|document| text(&document["event"]["original"])).collect();
    }
    // A firewall that denies did what it should, says ECS; OCSF asks how it ended for what was tried.
    let denied = |document: &Value| {
        document["event"]["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "denied"))
    };
    // What the host's clock stood at is told by the test's configuration, not by the line.
    let fixed = file.contains("elb_logs");
    (1..)
        .zip(lines.into_iter().zip(documents))
        .map(|(number, (line, document))| {
            let mut case = Case::plain(file, number, line);
            case.utc_offset_minutes = offset(&text(&document["event"]["timezone"]));
            for (key, what, paths) in FIELDS {
                let value = key.split('.').fold(&document, |value, part| &value[part]);
                let (value, time) = (text(value), what == What::Time);
                match (what, &*value) {
                    (_, "null") => {}
                    (What::Time, _) if fixed && time => {}
                    (What::Outcome, "success") if denied(&document) => case.expect(what, key, "2", paths),
                    (What::Outcome, "success") => case.expect(what, key, "1", paths),
                    (What::Outcome, "failure") => case.expect(what, key, "2", paths),
                    (What::Outcome, _) => {}
                    _ => case.expect(what, key, &value, paths),
                }
            }
            case
        })
        .collect()
}

/// The events of a JSON input: what stands in `json` or `message`, or the event as it is.
fn events(bytes: &[u8]) -> Vec<String> {
    let json: Value = serde_json::from_slice(bytes).unwrap();
    let events = json["events"].as_array().cloned().unwrap_or_default();
    let line = |event: Value| match (event.get("json"), event["message"].as_str()) {
        (Some(json), _) => json.to_string(),
        (None, Some(message)) if message.starts_with('{') => message.to_owned(),
        _ => event.to_string(),
    };
    events.into_iter().map(line).collect()
}

/// Lines of a text; one that begins with a blank goes on with the one before.
fn folded(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match lines.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => *last = format!("{last}\n{line}"),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `+0000`, `GMT-0200`, `-02:00`, `GMT+2`: minutes.
fn offset(zone: &str) -> i32 {
    let Some(at) = zone.find(['+', '-']) else { return 0 };
    let digits: String = zone.chars().skip(at + 1).filter(char::is_ascii_digit).collect();
    let minutes = match (digits.get(0..2), digits.get(2..4)) {
        (Some(hours), Some(minutes)) => hours.parse::<i32>().unwrap() * 60 + minutes.parse::<i32>().unwrap(),
        _ => digits.parse::<i32>().map_or(0, |hours| hours * 60),
    };
    if zone.contains('-') { -minutes } else { minutes }
}
