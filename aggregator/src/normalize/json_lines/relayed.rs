//! Lines of syslog that a relay or collector took apart: rsyslog's and syslog-ng's templates, Logstash, fluentd, Fluent Bit,
//! Vector and Filebeat.
//!
//! In: the message beside the program that said it (`programname`, `PROGRAM`, `ident`, `syslogtag`, …) and something that only
//! syslog has: facility, severity, process, host. Out: the event of the program's message, with time, process and severity as
//! a syslog header has them; where the program says nothing that we know, what any other object is. Source: rsyslog,
//! "Properties"; syslog-ng, "Macros"; Logstash's `syslog` input; fluentd's and Fluent Bit's `syslog` parsers; Vector's
//! `syslog` source.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::text::{level, number, severity_of};
use super::super::{Context, journald};
use super::{bare, collected};
use crate::event::Event;
use crate::schema::Attribute;

const PROGRAMS: [&str; 15] = [
    "programname",
    "PROGRAM",
    "program",
    "ident",
    "SYSLOG_IDENTIFIER",
    "syslog_identifier",
    "appname",
    "app_name",
    "app-name",
    "APP-NAME",
    "syslogtag",
    "syslog_program",
    "process.program",
    "log.syslog.appname",
    "tag",
];
const MESSAGES: [&str; 5] = ["message", "msg", "MESSAGE", "MSG", "syslog_message"];
/// What says that it was syslog, beside a program.
const MARKS: [&str; 20] = [
    "facility",
    "syslogfacility",
    "syslogfacility-text",
    "syslog_facility",
    "FACILITY",
    "facility_label",
    "syslog.facility",
    "log.syslog.facility.code",
    "SYSLOG_FACILITY",
    "_TRANSPORT",
    "_PID",
    "LEGACY_MSGHDR",
    "HOST_FROM",
    "procid",
    "proc_id",
    "logsource",
    "log.syslog.priority",
    "syslogtag",
    "pri",
    "PRIORITY",
];
const PIDS: [&str; 9] =
    ["procid", "proc_id", "pid", "PID", "_PID", "SYSLOG_PID", "syslog_pid", "process.pid", "proc-id"];
const SEVERITIES: [&str; 10] = [
    "severity",
    "syslogseverity-text",
    "syslogseverity",
    "syslog_severity",
    "severity_label",
    "PRIORITY",
    "LEVEL",
    "level",
    "priority",
    "syslog.severity",
];

fn said<'k>(fields: &Fields<'_>, keys: &[&'k str]) -> Option<&'k str> {
    keys.iter().copied().find(|key| matches!(fields.leaf(key), Some(Leaf::Text(text)) if !text.is_empty()))
}

/// Whether it is a line of syslog.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    said(fields, &PROGRAMS).is_some()
        && said(fields, &MESSAGES).is_some()
        && (MARKS.iter().any(|key| fields.has(key)) || (fields.has("ident") && fields.has("host")))
}

/// The program and process of a tag: `sshd[7]:`.
fn tag<'a>(tag: Cow<'a, str>) -> (Cow<'a, str>, Option<i64>) {
    let end = tag.find(['[', ':']).unwrap_or(tag.len());
    let pid = tag.get(end..).and_then(|rest| rest.strip_prefix('[')?.split(']').next()).and_then(number);
    let program = match tag {
        Cow::Borrowed(tag) => Cow::Borrowed(tag.get(..end).unwrap_or(tag).trim()),
        Cow::Owned(mut tag) => {
            tag.truncate(end);
            Cow::Owned(tag)
        }
    };
    (program, pid)
}

/// Reads the message.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let (Some(named), Some(told)) = (said(fields, &PROGRAMS), said(fields, &MESSAGES)) else { return };
    let (Some(Leaf::Text(name)), Some(Leaf::Text(message))) = (fields.take(named), fields.take(told)) else { return };
    let before = (event.fields.len(), event.unmapped.len(), event.time, event.severity_id);
    let severity = SEVERITIES.into_iter().find_map(|key| Some((key, fields.leaf(key).and_then(weight)?)));
    if let Some((_, severity)) = severity {
        event.severity_id = severity;
    }
    let (program, within) = tag(name.clone());
    event.push(Attribute::MetadataLogProvider, program.clone());
    let pid = PIDS.into_iter().find_map(|key| number(fields.peek(key)?)).or(within);
    if let Some(pid) = pid {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, program.clone());
    }
    event.push(Attribute::Message, message.clone());
    let understood = journald::hand(message.clone(), program, context, event);
    // What the program says of its time counts for more than when the line was relayed.
    if event.value(Attribute::MetadataOriginalTime).is_none() {
        bare::push_time(fields, context, event);
        let _ = event.value(Attribute::MetadataOriginalTime).is_some()
            || ["DATE", "ISODATE", "time_reported", "timereported", "timegenerated"]
                .iter()
                .any(|key| fields.push_time(event, key, context.reference));
    }
    if understood {
        return;
    }
    let (time, original) = (event.time, event.text(Attribute::MetadataOriginalTime).map(str::to_owned));
    event.fields.truncate(before.0);
    event.unmapped.truncate(before.1);
    event.severity_id = before.3;
    fields.put_back(named, Leaf::Text(name));
    fields.put_back(told, Leaf::Text(message));
    collected::otherwise(fields, context, event);
    if let Some(original) = original.filter(|_| event.value(Attribute::MetadataOriginalTime).is_none()) {
        event.time = time;
        event.push(Attribute::MetadataOriginalTime, original);
    }
}

/// The severity that a number of syslog or a word stands for.
fn weight(leaf: &Leaf<'_>) -> Option<u8> {
    let text = leaf.as_text()?;
    match number(text) {
        Some(code) => u8::try_from(code).ok().filter(|code| *code < 8).map(severity_of),
        None => level(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn the_message_is_the_programs() {
        const MESSAGE: &str = "Failed password for bob from 192.0.2.1 port 5 ssh2";
        for object in [
            format!(
                r#"{{"timestamp":"2026-03-16T09:00:00Z","host":"h","syslogtag":"sshd[7]:","severity":"info","facility":"auth","msg":" {MESSAGE}"}}"#
            ),
            format!(
                r#"{{"PROGRAM":"sshd","PRIORITY":"info","PID":"7","MESSAGE":"{MESSAGE}","HOST":"h","FACILITY":"auth","DATE":"Mar 16 10:00:00"}}"#
            ),
            format!(
                r#"{{"appname":"sshd","facility":"auth","hostname":"h","message":"{MESSAGE}","procid":7,"severity":"info","source_type":"syslog","timestamp":"2026-03-16T09:00:00Z"}}"#
            ),
            format!(
                r#"{{"@timestamp":"2026-03-16T09:00:00Z","program":"sshd","pid":"7","logsource":"h","message":"{MESSAGE}\n"}}"#
            ),
            format!(r#"{{"time":"2026-03-16T09:00:00Z","host":"h","ident":"sshd","pid":"7","message":"{MESSAGE}"}}"#),
        ] {
            let event = normalized(&object);
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&300_201.into(), &"bob".into()), "{object}");
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}), "{object}");
            assert_eq!((&event["time"], &event["status_id"]), (&1_773_651_600_000_i64.into(), &2.into()), "{object}");
            assert_eq!(event["actor"]["process"], serde_json::json!({"name": "sshd", "pid": 7}), "{object}");
        }
    }

    #[test]
    fn what_no_program_says_stays_an_object() {
        let event = normalized(
            r#"{"time":"2026-03-16T09:00:00Z","program":"x","facility":"user","level":"error","message":"it broke"}"#,
        );
        assert_eq!((&event["type_uid"], &event["message"]), (&600_801.into(), &"it broke".into()));
        assert_eq!(event["time"], 1_773_651_600_000_i64);
    }
}
