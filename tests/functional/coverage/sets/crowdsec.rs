//! CrowdSec's hub: a log and `parser.assert`, lines like
//! `results["STAGE"]["PARSER"][0].Evt.Meta["source_ip"] == "192.0.2.1"`.
//!
//! Which line an index is about is told by the message that the same entry holds: entries stand in the order of their
//! lines, and an entry is there only for lines that came as far as its parser.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::case::{Case, DESTINATION, DESTINATION_PORT, OUTCOME, SOURCE, SOURCE_PORT, USER, What};
use super::{plain, read};

/// Keys of `Evt.Meta`, `Evt.Parsed` and `Evt.Enriched`, and where OCSF has them.
const FIELDS: [(&str, What, &[&str]); 30] = [
    ("Meta.username", What::User, USER),
    ("Meta.user", What::User, USER),
    ("Meta.target_user", What::User, USER),
    ("Meta.source_user", What::User, USER),
    ("Parsed.sshd_invalid_user", What::User, USER),
    ("Parsed.dovecot_user", What::User, USER),
    ("Meta.source_ip", What::Address, SOURCE),
    ("Parsed.source_ip", What::Address, SOURCE),
    ("Parsed.src_ip", What::Address, SOURCE),
    ("Parsed.sshd_client_ip", What::Address, SOURCE),
    ("Parsed.dovecot_remote_ip", What::Address, SOURCE),
    ("Parsed.dst_ip", What::Address, DESTINATION),
    ("Parsed.dest_ip", What::Address, DESTINATION),
    ("Parsed.source_port", What::Port, SOURCE_PORT),
    ("Parsed.src_port", What::Port, SOURCE_PORT),
    ("Parsed.remote_port", What::Port, SOURCE_PORT),
    ("Parsed.dst_port", What::Port, DESTINATION_PORT),
    ("Parsed.dest_port", What::Port, DESTINATION_PORT),
    ("Meta.auth_status", What::Outcome, OUTCOME),
    ("Meta.log_type", What::Outcome, OUTCOME),
    ("Meta.sub_type", What::Outcome, OUTCOME),
    ("Enriched.MarshaledTime", What::Time, &[]),
    ("Meta.http_verb", What::Detail, &["http_request.http_method"]),
    ("Meta.http_status", What::Detail, &["http_response.code"]),
    ("Meta.http_user_agent", What::Detail, &["http_request.user_agent"]),
    ("Parsed.http_version", What::Detail, &["http_request.version"]),
    ("Parsed.program", What::Detail, &["metadata.log_provider", "actor.process.name"]),
    ("Meta.rule_id", What::Detail, &["finding_info.analytic.uid", "evidences[].data", "unmapped.rule_id"]),
    ("Parsed.queue_id", What::Detail, &["email.uid", "unmapped.queue_id"]),
    ("Meta.machine", What::Detail, &["unmapped.hostname", "device.hostname"]),
];

/// Stages whose programs' names are read from the line, not taken from the test's configuration.
const SYSLOG: &str = "crowdsecurity/syslog-logs";

/// Entries of a parser by index: key to value.
type Entries = BTreeMap<usize, BTreeMap<String, String>>;

/// The lines of a log, with everything that any parser got out of them.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    let mut cases = plain(path, file);
    let folder = path.with_file_name("");
    let named = |log: &str| path.file_name().is_some_and(|name| name.to_string_lossy() == log);
    let configuration = String::from_utf8(read(&folder.join("config.yaml"))).unwrap();
    let log = configuration.lines().find_map(|line| line.strip_prefix("log_file:")).unwrap_or_default();
    let asserts = folder.join("parser.assert");
    if !named(log.trim().trim_matches('"')) || !asserts.exists() {
        return cases;
    }
    let asserts = String::from_utf8(read(&asserts)).unwrap();
    let mut parsers: BTreeMap<(String, String), Entries> = BTreeMap::new();
    for line in asserts.lines() {
        if let Some((stage, parser, index, key, value)) = assertion(line) {
            parsers.entry((stage, parser)).or_default().entry(index).or_default().insert(key, value);
        }
    }
    for ((_, parser), entries) in parsers {
        let mut from = 0;
        for entry in entries.values().filter(|entry| entry.get("Success").is_none_or(|success| success == "true")) {
            let Some(message) = entry.get("Parsed.message").map(|message| message.trim()) else { continue };
            let holds = |case: &Case| String::from_utf8_lossy(&case.line).contains(message);
            let Some(at) = cases.iter().skip(from).position(holds).map(|at| from + at) else { continue };
            from = at + 1;
            expect(&mut cases[at], entry, parser == SYSLOG);
        }
    }
    cases
}

/// What an entry says of its line.
fn expect(case: &mut Case, entry: &BTreeMap<String, String>, syslog: bool) {
    for (key, what, paths) in FIELDS {
        let Some(value) = entry.get(key) else { continue };
        match (what, key) {
            (What::Outcome, _) => {
                let failed = ["failed-auth", "failed_auth", "auth_fail", "auth-fail", "failed_login", "login_failed"];
                let word = value.to_lowercase();
                if failed.iter().any(|failed| word.contains(failed)) || matches!(&*word, "failed" | "failure") {
                    case.expect(what, key, "2", paths);
                } else if word == "success" {
                    case.expect(what, key, "1", paths);
                }
            }
            (_, "Parsed.program" | "Meta.machine") if !syslog => {}
            // A path in brackets and what stands behind a slash are parts of a name that the service has for itself.
            _ => case.expect(what, key, value, paths),
        }
    }
}

/// Stage, parser, index, key and value of an assertion about one entry.
fn assertion(line: &str) -> Option<(String, String, usize, String, String)> {
    let (left, right) = line.split_once(" == ")?;
    let left = left.trim_start_matches("basename(").trim_end_matches(')');
    let rest = left.strip_prefix("results[\"")?;
    let (stage, rest) = rest.split_once("\"][\"")?;
    let (parser, rest) = rest.split_once("\"][")?;
    let (index, rest) = rest.split_once("].")?;
    let key = match rest.strip_prefix("Evt.") {
        Some(rest) => {
            let (kind, rest) = rest.split_once("[\"")?;
            let key = rest.strip_suffix("\"]")?;
            // What was decoded from JSON has paths of its own.
            (!key.contains("\"]")).then(|| format!("{kind}.{key}"))?
        }
        None => rest.to_owned(),
    };
    Some((stage.to_owned(), parser.to_owned(), index.parse().ok()?, key, unquoted(right)?))
}

/// A Go string literal, or a word.
fn unquoted(literal: &str) -> Option<String> {
    let Some(quoted) = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Some(literal.to_owned());
    };
    serde_json::from_str(&format!("\"{}\"", quoted.replace("\\x", "\\u00").replace("\\a", "\\u0007"))).ok()
}
