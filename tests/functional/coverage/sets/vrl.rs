//! The examples of Vector's remap language: `parse_X!("LINE", …)` and what it gives.

use std::path::Path;

use serde_json::Value;

use super::super::case::{Case, DESTINATION, DESTINATION_PORT, OUTCOME, SOURCE, SOURCE_PORT, USER, What, text};
use super::read;

/// Functions that parse log lines; the others parse pieces of them.
const FORMATS: [&str; 11] = [
    "apache_log",
    "aws_alb_log",
    "cef",
    "common_log",
    "glog",
    "json",
    "klog",
    "linux_authorization",
    "logfmt",
    "nginx_log",
    "syslog",
];

/// Its results and where OCSF has them.
const FIELDS: [(&str, What, &[&str]); 18] = [
    ("user", What::User, USER),
    ("suser", What::User, USER),
    ("client", What::Address, SOURCE),
    ("client_host", What::Address, SOURCE),
    ("remote_addr", What::Address, SOURCE),
    ("src", What::Address, SOURCE),
    ("dst", What::Address, DESTINATION),
    ("spt", What::Port, SOURCE_PORT),
    ("dpt", What::Port, DESTINATION_PORT),
    ("port", What::Port, SOURCE_PORT),
    ("timestamp", What::Time, &[]),
    ("outcome", What::Outcome, OUTCOME),
    ("method", What::Detail, &["http_request.http_method"]),
    ("status", What::Detail, &["http_response.code"]),
    ("agent", What::Detail, &["http_request.user_agent"]),
    ("appname", What::Detail, &["metadata.log_provider", "actor.process.name"]),
    ("procid", What::Detail, &["actor.process.pid", "unmapped.procid"]),
    (
        "deviceEventClassId",
        What::Detail,
        &["metadata.event_code", "finding_info.analytic.uid", "unmapped.signature_id"],
    ),
];

/// The first text of each example's source.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    let function = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if !FORMATS.iter().any(|format| function.strip_prefix("parse_") == Some(format)) {
        return Vec::new();
    }
    let json: Value = serde_json::from_slice(&read(path)).unwrap();
    let examples = json["examples"].as_array().cloned().unwrap_or_default();
    let case = |(number, example): (usize, Value)| {
        let source = text(&example["source"]);
        let line = first_text(source.split_once('(').map_or("", |(_, rest)| rest))?;
        let mut case = Case::plain(file, number, line);
        for (key, what, paths) in FIELDS {
            if let Some(value) = example["return"].get(key).filter(|value| !value.is_null()) {
                case.expect(what, key, &text(value), paths);
            }
        }
        Some(case)
    };
    (1..).zip(examples).filter_map(case).collect()
}

/// `s'…'` as it stands, or `"…"` with its escapes taken away.
fn first_text(source: &str) -> Option<String> {
    let source = source.trim_start();
    if let Some(rest) = source.strip_prefix("s'") {
        let end = (1..rest.len()).find(|at| rest[*at..].starts_with('\'') && !rest[..*at].ends_with('\\'))?;
        return Some(rest[..end].replace("\\'", "'"));
    }
    let rest = source.strip_prefix('"')?;
    let end = (1..rest.len()).find(|at| rest[*at..].starts_with('"') && !rest[..*at].ends_with('\\'))?;
    Some(rest[..end].replace("\\\"", "\"").replace("\\\\", "\\"))
}
