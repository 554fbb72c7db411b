//! Falco's text output: `10:00:00.123456789: Warning A shell was run (user=root shell=bash …)`.
//!
//! In: a time of day or an ISO time, a priority, the rule's output. Out: a finding (2004) with the output as its title up
//! to the fields in parentheses, and those fields in `unmapped`. Fields may hold what a process chose: the user is the
//! first that the output names. Source: Falco, `formats.cpp`, `falco_outputs.cpp`.

use super::json_lines::falco_severity;
use super::pairs::pairs;
use super::text::{cut, head, word};
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The priorities of rules.
const PRIORITIES: [&str; 8] =
    ["Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"];

/// Most fields that are kept.
const FIELDS_MAX: usize = 64;

/// The priority and what follows it, where a time with nine digits of a second stands before.
fn behind_time(text: &str) -> Option<(&str, &str)> {
    let (time, rest) = cut(head(text, 48), ": ")?;
    let (_, fraction) = time.split_once('.')?;
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    let priority = word(rest).0;
    let known = digits == 9 && !time.contains(' ') && PRIORITIES.contains(&priority);
    known.then(|| text.get(time.len() + 2..).map(word)).flatten()
}

/// Whether a time in nanoseconds and a priority begin the line.
pub(super) fn looks(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit) && behind_time(text).is_some()
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
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
    let mut user = None;
    for pair in pairs(fields).take(FIELDS_MAX) {
        match (pair.key, pair.value) {
            ("user" | "user.name" | "user_name", Some(name)) if user.is_none() => user = Some(name),
            (key, Some(value)) if !key.is_empty() && !event.unmapped.iter().any(|(known, _)| known == key) => {
                event.unmap(key, value);
            }
            _ => {}
        }
    }
    if let Some(user) = user.filter(|user| !matches!(*user, "" | "<NA>")) {
        event.push(Attribute::EvidencesUserName, user);
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

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
