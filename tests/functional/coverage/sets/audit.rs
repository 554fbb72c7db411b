//! Records of the Linux audit system: go-libaudit's logs with `.golden` (each line parsed) and its YAML files with
//! `.json.golden` (lines of one event joined), laurel's `.txt` with `.json`, and audit-userspace's logs.
//!
//! A case is an audit event: its records joined by line ends, as the aggregator's joiner hands them on.

use std::path::Path;

use serde_json::Value;

use super::super::case::{Case, OUTCOME, SOURCE, USER, What, text};
use super::{plain, read};

const PID: &[&str] = &["actor.process.pid", "process.pid", "unmapped.pid"];

/// The events of a log, or of the texts in a YAML file.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    joined(records(path, file))
}

/// Records of one stamp and node, in the place of their first, with what each of them expects.
fn joined(records: Vec<Case>) -> Vec<Case> {
    let mut cases: Vec<(Option<String>, Case)> = Vec::new();
    for record in records {
        let line = String::from_utf8_lossy(&record.line).into_owned();
        let stamp = line.split_once("audit(").and_then(|(_, rest)| rest.split_once(')')).map(|(stamp, _)| stamp);
        let node = line.split_once("node=").map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default());
        let mark = stamp.map(|stamp| format!("{stamp} {node}"));
        match cases.iter_mut().find(|(known, _)| known.is_some() && *known == mark) {
            Some((_, case)) => {
                case.line.push(b'\n');
                case.line.extend_from_slice(&record.line);
                for expected in record.expected {
                    case.expect(expected.what, &expected.key, &expected.value, expected.paths);
                }
            }
            None => cases.push((mark, record)),
        }
    }
    cases.into_iter().map(|(_, case)| case).collect()
}

/// Each record by itself.
fn records(path: &Path, file: &str) -> Vec<Case> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folder = path.with_file_name("");
    match name.rsplit_once('.') {
        Some((stem, "yaml")) => coalesced(path, file, &folder.join(format!("{stem}.json.golden"))),
        Some((_, "log")) if folder.join(format!("{name}.golden")).exists() => {
            parsed(path, file, &folder.join(format!("{name}.golden")))
        }
        Some((stem, "txt")) if !matches!(&*name, "README.txt" | "LICENSE.txt") => {
            laurel(path, file, &folder.join(format!("{stem}.json")))
        }
        Some((_, "log")) => plain(path, file),
        _ => Vec::new(),
    }
}

/// Each line beside the object that the golden file has for its `raw_msg`.
fn parsed(path: &Path, file: &str, golden: &Path) -> Vec<Case> {
    let golden: Value = serde_json::from_slice(&read(golden)).unwrap();
    let mut cases = plain(path, file);
    for case in &mut cases {
        let line = String::from_utf8_lossy(&case.line).into_owned();
        let holds = |object: &&Value| object["raw_msg"].as_str().is_some_and(|raw| line.contains(raw));
        let Some(object) = golden.as_array().into_iter().flatten().find(holds) else { continue };
        case.expect(What::Time, "@timestamp", &text(&object["@timestamp"]), &[]);
        let data = &object["data"];
        outcome(case, data["result"].as_str());
        for (key, what, paths) in [
            ("acct", What::User, if line.contains("_GROUP ") { &["group.name"] } else { USER }),
            ("addr", What::Address, SOURCE),
            ("pid", What::Detail, PID),
            (
                "exe",
                What::Detail,
                &["actor.process.file.path", "process.file.path", "actor.process.path", "unmapped.exe"],
            ),
        ] {
            if let Some(value) = data[key].as_str() {
                case.expect(what, key, value, paths);
            }
        }
    }
    cases
}

/// The lines of every text in a YAML file, each with its event's time; the first that says how it ended, with the outcome.
fn coalesced(path: &Path, file: &str, golden: &Path) -> Vec<Case> {
    let golden: Value = serde_json::from_slice(&read(golden)).unwrap();
    let text_of = String::from_utf8(read(path)).unwrap();
    let named = |name: &str| golden.as_array().into_iter().flatten().find(|event| event["test_name"] == name);
    let (mut cases, mut event, mut told) = (Vec::new(), None, false);
    for (number, line) in (1..).zip(text_of.lines()) {
        let record = line.trim_start();
        if line.starts_with("  ") && !line.starts_with("   ") && line.trim_end().ends_with('|') {
            let name = record.trim_end().trim_end_matches('|').trim_end().trim_end_matches(':');
            (event, told) = (named(name.trim_matches(['"', '\''])), false);
        }
        if !record.starts_with("type=") && !record.starts_with("node=") {
            continue;
        }
        let mut case = Case::plain(file, number, record);
        if let Some(event) = event.map(|event| &event["event"]) {
            case.expect(What::Time, "@timestamp", &text(&event["@timestamp"]), &[]);
            if !told && [" res=", " success=", "'res="].iter().any(|key| record.contains(key)) {
                told = true;
                outcome(&mut case, event["result"].as_str());
                if let Some(pid) = event["process"]["pid"].as_str() {
                    case.expect(What::Detail, "process.pid", pid, PID);
                }
            }
        }
        cases.push(case);
    }
    cases
}

/// The lines, with what laurel made of the record of each kind.
fn laurel(path: &Path, file: &str, json: &Path) -> Vec<Case> {
    let mut cases = plain(path, file);
    cases.retain(|case| !case.line.starts_with(b"#"));
    let bytes = if json.exists() { read(json) } else { Vec::new() };
    let events: Vec<Value> = serde_json::Deserializer::from_slice(&bytes).into_iter().map(Result::unwrap).collect();
    for case in &mut cases {
        let line = String::from_utf8_lossy(&case.line).into_owned();
        let of_line = |event: &&Value| event["ID"].as_str().is_some_and(|id| line.contains(id));
        let Some(event) = events.iter().find(of_line) else { continue };
        if line.contains("type=SYSCALL") {
            let syscall = &event["SYSCALL"];
            outcome(case, syscall["success"].as_str());
            if !syscall["pid"].is_null() {
                case.expect(What::Detail, "SYSCALL.pid", &text(&syscall["pid"]), PID);
            }
        }
        if line.contains("type=EXECVE")
            && let Some(words) = event["EXECVE"]["ARGV"].as_array()
        {
            let words: Vec<String> = words.iter().map(text).collect();
            case.expect(What::Detail, "EXECVE.ARGV", &words.join(" "), &["process.cmd_line", "actor.process.cmd_line"]);
        }
    }
    cases
}

fn outcome(case: &mut Case, result: Option<&str>) {
    match result {
        Some("success" | "yes") => case.expect(What::Outcome, "result", "1", OUTCOME),
        Some("fail" | "failed" | "no") => case.expect(What::Outcome, "result", "2", OUTCOME),
        _ => {}
    }
}
