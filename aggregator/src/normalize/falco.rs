//! Falco's text output: `10:00:00.123456789: Warning A shell was run (user=root shell=bash …)`.
//!
//! In: a time of day or an ISO time, a priority, the rule's output. Out: a finding (2004) with the output as its title up
//! to the fields in parentheses, and those fields in `unmapped`; its evidence is the user, file, connection and container that
//! they name. Fields may hold what a process chose: the first of each counts. Source: Falco, `formats.cpp`, `falco_outputs.cpp`.

use std::borrow::Cow;

use super::json_lines::{FalcoProcess, falco_ends, falco_severity, push_falco_ends, push_falco_process};
use super::outcome::LOW;
use super::pairs::pairs;
use super::remark::remark;
use super::syslog::Header;
use super::text::{base_name, cut, head, last_cut, number, word};
use super::{Context, carried, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The priorities of rules.
const PRIORITIES: [&str; 8] =
    ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];

/// How far a time, and the priority behind it, may reach: `2026-03-16T10:00:00.123456789+0000: Informational`.
const LEAD_LEN_MAX: usize = 64;

/// Most fields that are kept.
const FIELDS_MAX: usize = 64;

/// The priority and what follows it, where a time with nine digits of a second stands before.
fn behind_time(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = cut(head(text, LEAD_LEN_MAX), ": ")?;
    let (_, fraction) = time.split_once('.')?;
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let priority = word(rest).0;
    let known = digits == 9 && !time.contains(' ') && PRIORITIES.contains(&priority);
    known.then(|| text.get(time.len() + 2..).map(word)).flatten()
}

/// The value of the first of several keys, with the spaces in it: up to the next key. A command line may hold what looks like
/// one; the terminal that stands behind it in Falco's own rules ends it.
fn spaced<'a>(fields: &'a str, keys: &[&str]) -> Option<&'a str> {
    let at = |key: &&str| match fields.strip_prefix(*key) {
        Some(rest) => Some(rest),
        None => cut(fields, &format!(" {key}")).map(|(_, rest)| rest),
    };
    let rest = keys.iter().find_map(at)?;
    let command = keys.iter().any(|key| matches!(*key, "command=" | "cmdline="));
    if let Some((value, _)) = last_cut(rest, " terminal=").filter(|_| command) {
        return Some(value);
    }
    let key_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'[' | b']');
    let is_key = |space: &usize| {
        let behind = rest.get(space + 1..).unwrap_or_default();
        let len = behind.bytes().take_while(|b| key_byte(*b)).count();
        len > 0 && behind.as_bytes().get(len) == Some(&b'=')
    };
    let end = rest.match_indices(' ').map(|(at, _)| at).find(is_key).unwrap_or(rest.len());
    rest.get(..end)
}

/// The process that an alert's fields name, by the names of Falco's own rules or of its fields.
fn process(fields: &str) -> FalcoProcess<'_> {
    let text = |keys: &[&str]| spaced(fields, keys).map(Cow::Borrowed);
    FalcoProcess {
        name: text(&["process=", "proc.name=", "proc_name="]),
        command: text(&["command=", "cmdline=", "proc.cmdline="]),
        path: text(&["proc_exepath=", "proc.exepath=", "exepath="]),
        pid: spaced(fields, &["pid=", "proc.pid=", "proc_pid="]).and_then(number),
        parent: text(&["parent=", "proc.pname="]),
        parent_command: text(&["pcmdline=", "proc.pcmdline="]),
        parent_pid: spaced(fields, &["ppid=", "proc.ppid="]).and_then(number),
    }
}

/// Whether a time in nanoseconds and a priority begin the line, or the time of what Falco says of itself.
pub(super) fn looks(text: &str) -> bool {
    match text.as_bytes().first() {
        Some(b'0'..=b'9') => behind_time(text).is_some(),
        Some(b'F' | b'M' | b'S' | b'T' | b'W') => of_itself(text).is_some(),
        _ => false,
    }
}

/// What Falco says of itself, behind `Mon Mar 16 10:00:00 2026: ` (`falco_logger::log`).
fn of_itself(text: &str) -> Option<&str> {
    const BEGINS: [&str; 14] = [
        "Falco ",
        "Falco version",
        "System info: ",
        "Loading ",
        "The chosen syscall buffer",
        "Starting health webserver",
        "Starting gRPC server",
        "Opening '",
        "Enabled event sources",
        "Enabled rules",
        "Loaded event sources",
        "Runtime error: ",
        "Trying to open ",
        "Using ",
    ];
    let message = text.get(24..)?.strip_prefix(": ")?;
    BEGINS.iter().any(|start| message.starts_with(start)).then_some(message)
}

/// Reads what Falco sends to syslog: an alert in either form, or a remark about itself.
pub(super) fn parse_message<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    carried(Cow::Borrowed(message), &header.context, event) || remark("falco", message, event)
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some(message) = of_itself(text) {
        let Some((stamp, _)) = text.get(4..).and_then(|day| timestamp::bsd(day, context.reference)) else {
            return false;
        };
        stamp.apply(event);
        event.push(Attribute::MetadataLogFormat, "falco");
        event.push(Attribute::MetadataLogProvider, "falco");
        event.push(Attribute::Message, message);
        if message.starts_with("Runtime error") {
            event.severity_id = event.severity_id.max(LOW);
        }
        return remark("falco", message, event);
    }
    let Some((priority, output)) = behind_time(text) else { return false };
    let stamp = timestamp::iso(text, context.reference).or_else(|| timestamp::clock(text, context.reference));
    let Some((stamp, _)) = stamp else { return false };
    stamp.apply(event);
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = falco_severity(priority);
    event.push(Attribute::MetadataLogFormat, "falco");
    event.push(Attribute::MetadataLogProvider, "falco");
    event.push(Attribute::MetadataLogLevel, priority);
    event.push(Attribute::Message, output);
    let (title, fields) = match cut(output, " (") {
        Some((title, fields)) => (title, fields.strip_suffix(')').unwrap_or(fields)),
        None => (output, ""),
    };
    event.push(Attribute::FindingUid, format!("{title}:{}", event.time.0));
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingDesc, output);
    event.push(Attribute::IsAlert, true);
    let (mut user, mut ends, mut file, mut container) = (None, None, None, None);
    for pair in pairs(fields).take(FIELDS_MAX) {
        match (pair.key, pair.value) {
            ("user" | "user.name" | "user_name", Some(name)) if user.is_none() => user = Some(name),
            ("connection" | "fd.name" | "fd_name", Some(value)) if ends.is_none() && value.contains("->") => {
                ends = falco_ends(value);
                event.unmap(pair.key, value);
            }
            ("file" | "fd.name" | "fd_name", Some(path)) if file.is_none() && path.starts_with('/') => {
                file = Some(path);
                event.unmap(pair.key, path);
            }
            ("container_id" | "container.id" | "container", Some(id)) if container.is_none() => {
                container = Some(id).filter(|id| !matches!(*id, "" | "host" | "<NA>"));
                event.unmap(pair.key, id);
            }
            (key, Some(value)) if !key.is_empty() && !event.unmapped.iter().any(|(known, _)| known == key) => {
                event.unmap(key, value);
            }
            _ => {}
        }
    }
    let user = user.filter(|user| !matches!(*user, "" | "<NA>"));
    if let Some(user) = user {
        event.push(Attribute::EvidencesUserName, user);
    }
    if let Some(path) = file {
        event.push(Attribute::EvidencesFileName, base_name(path));
        event.push(Attribute::EvidencesFilePath, path);
        event.push(Attribute::EvidencesFileTypeId, 0);
    }
    if let Some(ends) = ends {
        push_falco_ends(ends, event);
    }
    let named = push_falco_process(process(fields), event);
    // A container alone is no evidence.
    if let Some(id) = container.filter(|_| named || user.is_some() || file.is_some() || ends.is_some()) {
        event.push(Attribute::EvidencesContainerUid, id);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn what_an_alert_names_is_its_evidence() {
        let fields = "user=root connection=192.0.2.7:40000->198.51.100.4:22 container_id=3ad7b26ded6d image=x";
        let event = normalized(&format!("10:00:00.123456789: Notice Unexpected connection ({fields})"));
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["src_endpoint"], json!({"ip": "192.0.2.7", "port": 40_000}));
        assert_eq!(evidence["dst_endpoint"], json!({"ip": "198.51.100.4", "port": 22}));
        assert_eq!(evidence["container"]["uid"], "3ad7b26ded6d");
        let event = normalized("10:00:00.123456789: Error File written (file=/etc/x container_id=host)");
        assert_eq!(event["evidences"][0]["file"]["path"], "/etc/x");
        assert!(event["evidences"][0].get("container").is_none());
    }

    #[test]
    fn a_process_is_evidence_with_its_whole_command() {
        let fields =
            "user=root process=sh proc_exepath=/bin/sh parent=httpd command=sh -c a=1 x terminal=0 container_id=host";
        let event = normalized(&format!("2026-03-16T10:00:00.123456789+0000: Informational A shell ({fields})"));
        assert_eq!((&event["class_uid"], &event["severity_id"]), (&json!(2004), &json!(1)));
        let process = &event["evidences"][0]["process"];
        assert_eq!((&process["name"], &process["cmd_line"]), (&json!("sh"), &json!("sh -c a=1 x")));
        assert_eq!(
            (&process["file"]["path"], &process["parent_process"]["name"]),
            (&json!("/bin/sh"), &json!("httpd"))
        );
        assert!(process["uid"].is_string());
    }

    #[test]
    fn what_falco_says_of_itself_is_a_report() {
        let event = normalized("Mon Mar 16 10:00:00 2026: Falco version: 0.36.0 (x86_64)");
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(600_299), &json!(1_773_651_600_000_i64)));
        assert_eq!(normalized("Mar 16 10:00:00 h falco[7]: Loading rules from file /etc/x")["app"]["name"], "falco");
        let event = normalized("Mar 16 10:00:00 h falco: 10:00:00.123456789: Error Shell (user=root)");
        assert_eq!(event["class_uid"], 2004);
        assert_eq!(normalized("Mon Mar 16 10:00:00 2026: Bread")["class_uid"], 0);
    }

    #[test]
    fn an_alert_in_text_is_a_finding() {
        let alert = "Warning Shell in a container (user=root shell=bash cmdline=bash user=x)";
        for (time, expected) in [
            ("10:00:00.123456789", 1_773_651_600_123_i64),
            ("2026-03-16T10:00:00.123456789+0100", 1_773_651_600_123),
            ("23:00:00.000000001", 1_773_612_000_000),
        ] {
            let event = normalized(&format!("{time}: {alert}"));
            assert_eq!((&event["type_uid"], &event["time"]), (&json!(200_401), &json!(expected)), "{time}");
            assert_eq!(event["finding_info"]["title"], "Shell in a container");
            assert_eq!(event["evidences"][0]["user"]["name"], "root");
            assert_eq!((&event["severity_id"], &event["unmapped"]["shell"]), (&json!(3), &json!("bash")));
        }
    }
}
