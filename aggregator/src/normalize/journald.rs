//! The journal of systemd as JSON: `journalctl -o json` (also `json-sse`, `json-seq`), one entry a line.
//!
//! In: an object whose keys are field names in capitals (systemd.journal-fields(7)); a value is a text, null where it was too
//! large to show, an array of bytes where it is not UTF-8, and an array of those where the field occurs more than once. Out:
//! time, program, process, facility and severity as a syslog header has them; the message goes to the program's own parser;
//! every other field stands in `unmapped` under its own name. An entry that the journal took from the audit subsystem is a
//! record of an audit event; those of one event come as lines that the [`Joiner`](super::join::Joiner) brought together.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use super::join::Mark;
use super::syslog::{self, Header};
use super::text::{holds, number, severity_of};
use super::timestamp;
use super::{Context, audit, program};
use crate::event::{Event, Field};
use crate::schema::{Attribute, Class};

/// Fields beyond these are only in `raw_data`.
const FIELDS_MAX: usize = 256;

/// The first look: an object with a field that only the journal writes.
pub(super) fn looks(text: &str) -> bool {
    const OWN: [&str; 4] =
        ["\"_SOURCE_REALTIME_TIMESTAMP\"", "\"_SYSTEMD_UNIT\"", "\"SYSLOG_IDENTIFIER\"", "\"_TRANSPORT\""];
    body(text).starts_with('{')
        && (holds(text, "\"__REALTIME_TIMESTAMP\"")
            || (holds(text, "\"MESSAGE\"") && OWN.into_iter().any(|name| holds(text, name))))
}

/// Without what `json-sse` and `json-seq` put before an entry.
fn body(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("data: ").or_else(|| text.strip_prefix('\u{1e}')).unwrap_or(text)
}

/// Reads a line; false where it is not one whole entry.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (first, others) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(Fields(fields)) = serde_json::from_str::<Fields<'a>>(body(first)) else { return false };
    if !fields.iter().any(|(name, _)| matches!(&**name, "__REALTIME_TIMESTAMP" | "MESSAGE" | "_SYSTEMD_UNIT")) {
        return false;
    }
    let mut entry = Entry::sort(fields, event);
    if let Some(mut records) = entry.audit_record() {
        for other in others.lines() {
            let Ok(Fields(fields)) = serde_json::from_str::<Fields<'_>>(body(other)) else { return false };
            let mut draft = Event::new(event.id, event.time, event.received_at);
            let Some(record) = Entry::sort(fields, &mut draft).audit_record() else { return false };
            records.push('\n');
            records.push_str(&record);
        }
        entry.message = Some(Cow::Owned(records));
    } else if !others.is_empty() {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "journald");
    entry.header(context, event);
    entry.message(context, event);
    true
}

/// What an entry that is an audit record has; each line that is an object is asked for it.
static SERIAL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"_AUDIT_ID\""));
/// Most bytes of an entry in which the mark of an audit event is looked for.
const MARK_BYTES_MAX: usize = 16 << 10;

/// The mark of an entry that is a record of an audit event of several.
pub(super) fn part(raw: &[u8]) -> Option<Mark<'_>> {
    let raw = raw.get(..raw.len().min(MARK_BYTES_MAX)).filter(|raw| raw.starts_with(b"{"))?;
    SERIAL.find(raw)?;
    let value = |name: &[u8]| {
        let behind = memchr::memmem::find(raw, name)? + name.len();
        let rest = raw.get(behind..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b',' | b'}' | b' '))?;
        std::str::from_utf8(rest.get(..end)?).ok()
    };
    let serial = value(SERIAL.needle())?.parse().ok()?;
    let turn = audit::turn(value(b"\"_AUDIT_TYPE\"")?)?;
    // The records of one event bear one time.
    let time = timestamp::epoch(value(b"\"_SOURCE_REALTIME_TIMESTAMP\"")?.parse().ok()?)?;
    Some(Mark { turn, name: "", name_at: 0, stamp: Some((time, serial)) })
}

/// The fields of an entry, in order, each once.
struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry of the journal")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields: Vec<(Cow<'de, str>, Cow<'de, str>)> = Vec::with_capacity(32);
                while let Some((name, value)) = map.next_entry::<Name<'de>, Text<'de>>()? {
                    let Some(value) = value.0 else { continue };
                    let known = fields.iter().position(|(known, _)| *known == name.0);
                    if let Some((_, known)) = known.and_then(|at| fields.get_mut(at)) {
                        *known = value;
                    } else if fields.len() < FIELDS_MAX {
                        fields.push((name.0, value));
                    }
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A name, borrowed where it holds no escape.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Value).map(|text| Self(text.0.unwrap_or_default()))
    }
}

/// A value as text; none for null.
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Value)
    }
}

struct Value;

impl<'de> Visitor<'de> for Value {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, null or an array")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(text.to_owned()))))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(if truth { "true" } else { "false" }))))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(number.to_string()))))
    }

    /// Bytes, or the values of a field that occurs more than once, a line each.
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let (mut bytes, mut texts) = (Vec::new(), Vec::new());
        while let Some(element) = list.next_element::<Text<'de>>()? {
            let Some(element) = element.0 else { continue };
            match element.parse::<u8>() {
                Ok(byte) if texts.is_empty() => bytes.push(byte),
                _ => texts.push(element),
            }
        }
        if texts.is_empty() {
            return Ok(Text(Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))));
        }
        Ok(Text(Some(Cow::Owned(texts.join("\n")))))
    }
}

/// What an entry says of itself; everything else is in the event already.
#[derive(Default)]
struct Entry<'a> {
    message: Option<Cow<'a, str>>,
    /// When the program said it, and when the journal took it, in microseconds.
    said: Option<Cow<'a, str>>,
    taken: Option<Cow<'a, str>>,
    /// When a collector says that it was: Fluent Bit in seconds, Vector and Filebeat as ISO 8601.
    dated: Option<Cow<'a, str>>,
    identifier: Option<Cow<'a, str>>,
    command: Option<Cow<'a, str>>,
    pid: Option<Cow<'a, str>>,
    syslog_pid: Option<Cow<'a, str>>,
    priority: Option<Cow<'a, str>>,
    facility: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    message_id: Option<Cow<'a, str>>,
    unit: Option<Cow<'a, str>>,
    container: [Option<Cow<'a, str>>; 2],
    /// Serial number of the audit event.
    audit_id: Option<Cow<'a, str>>,
}

impl<'a> Entry<'a> {
    /// Takes the fields that have a meaning here; the others go into `unmapped`.
    fn sort(fields: Vec<(Cow<'a, str>, Cow<'a, str>)>, event: &mut Event<'a>) -> Self {
        let mut entry = Self::default();
        for (name, value) in fields {
            let slot = match &*name {
                "MESSAGE" | "message" => &mut entry.message,
                "date" | "timestamp" | "@timestamp" => &mut entry.dated,
                "_SOURCE_REALTIME_TIMESTAMP" => &mut entry.said,
                "__REALTIME_TIMESTAMP" => &mut entry.taken,
                "SYSLOG_IDENTIFIER" => &mut entry.identifier,
                "_COMM" => &mut entry.command,
                "_PID" => &mut entry.pid,
                "SYSLOG_PID" => &mut entry.syslog_pid,
                "PRIORITY" => &mut entry.priority,
                "SYSLOG_FACILITY" => &mut entry.facility,
                "_HOSTNAME" => &mut entry.host,
                "MESSAGE_ID" => &mut entry.message_id,
                "UNIT" | "USER_UNIT" => &mut entry.unit,
                "_AUDIT_ID" => &mut entry.audit_id,
                "CONTAINER_ID_FULL" | "CONTAINER_ID" => {
                    let [full, _] = &mut entry.container;
                    if full.as_ref().is_none_or(|known| known.len() < value.len()) {
                        *full = Some(value);
                    }
                    continue;
                }
                "CONTAINER_NAME" => {
                    let [_, named] = &mut entry.container;
                    named
                }
                _ => {
                    event.unmap(name, value);
                    continue;
                }
            };
            *slot = Some(value);
        }
        entry
    }

    /// The record of an audit event as auditd writes it.
    fn audit_record(&self) -> Option<String> {
        let serial = number(self.audit_id.as_deref()?)?;
        let time = self.said.as_ref().or(self.taken.as_ref()).and_then(|text| timestamp::epoch(text.parse().ok()?))?;
        audit::record_of(self.message.as_deref()?, time, serial)
    }

    /// What a syslog header would say.
    fn header(&self, context: &Context<'a>, event: &mut Event<'a>) {
        let times = [self.said.as_ref(), self.taken.as_ref()];
        let found = times.into_iter().flatten().find_map(|text| Some((text, timestamp::epoch(text.parse().ok()?)?)));
        let collected = || {
            let text = self.dated.as_ref()?;
            let iso = timestamp::iso(text, context.reference).map(|(stamp, _)| stamp.time);
            Some((text, iso.or_else(|| timestamp::epoch(text.parse().ok()?))?))
        };
        if let Some((text, time)) = found.or_else(collected) {
            event.time = time;
            event.push(Attribute::MetadataOriginalTime, text.clone());
        }
        if let Some(priority) = self.priority.as_deref().and_then(number).and_then(|n| u8::try_from(n).ok()) {
            event.severity_id = severity_of(priority);
            if let Some(severity) = syslog::severity_name(priority) {
                event.unmap("severity", severity);
            }
        }
        match self.facility.as_deref().map(|text| (number(text).and_then(syslog::facility_name), text)) {
            Some((Some(name), _)) => event.unmap("facility", name),
            Some((None, text)) => event.unmap("facility", text.to_owned()),
            None => {}
        }
        if let Some(program) = self.program() {
            event.push(Attribute::MetadataLogProvider, program.clone());
        }
        let pid = [self.pid.as_deref(), self.syslog_pid.as_deref()].into_iter().flatten().find_map(number);
        if let Some(pid) = pid {
            event.push(Attribute::ActorProcessPid, pid);
            if let Some(name) = self.command.as_ref().or(self.identifier.as_ref()) {
                event.push(Attribute::ActorProcessName, name.clone());
            }
        }
        if let Some(host) = self.host.as_ref().filter(|host| **host != context.origin.hostname) {
            event.unmap("hostname", host.clone());
        }
        if let Some(id) = &self.message_id {
            event.push(Attribute::MetadataEventCode, id.clone());
        }
        let [uid, name] = &self.container;
        if let Some(uid) = uid.as_ref().filter(|_| context.origin.container.is_none()) {
            event.profile("container");
            event.push(Attribute::DeviceContainerUid, uid.clone());
            if let Some(name) = name {
                event.push(Attribute::DeviceContainerName, name.clone());
            }
        }
    }

    fn program(&self) -> Option<&Cow<'a, str>> {
        self.identifier.as_ref().or(self.command.as_ref())
    }

    /// Hands the message to the program's parser.
    fn message(self, context: &Context<'a>, event: &mut Event<'a>) {
        let program = self.program().cloned();
        let message = self.message.unwrap_or_default();
        event.push(Attribute::Message, message.clone());
        hand(message, program.unwrap_or_default(), context, event);
        // The unit that systemd speaks of has a field of its own.
        if let Some(unit) = self.unit {
            if event.class == Class::ApplicationLifecycle {
                event.set(Attribute::AppName, unit);
            } else {
                event.unmap("UNIT", unit);
            }
        }
    }
}

/// Hands a message to the parser of the program that said it; false where it is none of that program's.
pub(super) fn hand<'a>(
    message: Cow<'a, str>,
    program: Cow<'a, str>,
    context: &Context<'a>,
    event: &mut Event<'a>,
) -> bool {
    if let (Cow::Borrowed(message), Cow::Borrowed(program)) = (&message, &program) {
        let header = Header { host: None, program, module: None, context: *context };
        return program::parse(message.trim_start_matches(' '), &header, event);
    }
    // Decoded texts do not live as long as the line does.
    let mut draft = Event::new(event.id, event.time, event.received_at);
    draft.shared = event.shared;
    draft.severity_id = event.severity_id;
    // The parser may look at what the entry said, and replace it.
    draft.fields.extend(event.fields.iter().map(|field| Field {
        attribute: field.attribute,
        index: field.index,
        value: field.value.clone().into_owned(),
    }));
    let header = Header { host: None, program: &program, module: None, context: *context };
    let understood = program::parse(message.trim_start_matches(' '), &header, &mut draft);
    if understood {
        event.fields.clear();
        event.adopt(draft);
    }
    understood
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn an_entry_is_read_as_a_syslog_message_is() {
        let event = normalized(
            r#"{"__REALTIME_TIMESTAMP":"1773653400123456","_SOURCE_REALTIME_TIMESTAMP":"1773653400000001","_PID":"9","_COMM":"sshd","SYSLOG_IDENTIFIER":"sshd","SYSLOG_FACILITY":"10","PRIORITY":"6","_HOSTNAME":"web-1","_SYSTEMD_UNIT":"ssh.service","MESSAGE":"Accepted password for bob from 192.0.2.1 port 5 ssh2"}"#,
        );
        assert_eq!(event["type_uid"], 300_201);
        assert_eq!(event["time"], 1_773_653_400_000_i64);
        assert_eq!(event["user"]["name"], "bob");
        assert_eq!(event["src_endpoint"]["port"], 5);
        assert_eq!(event["metadata"]["log_format"], "journald");
        assert_eq!(event["actor"]["process"], serde_json::json!({"name": "sshd", "pid": 9}));
        assert_eq!(
            event["unmapped"],
            serde_json::json!({"_SYSTEMD_UNIT": "ssh.service", "severity": "info", "facility": "authpriv"})
        );
    }

    #[test]
    fn what_the_journal_took_from_audit_is_an_audit_event() {
        let entry = |kind: u16, message: &str| {
            format!(
                r#"{{"_TRANSPORT":"audit","SYSLOG_IDENTIFIER":"audit","_PID":"9","_AUDIT_TYPE":"{kind}","_AUDIT_ID":"77","_SOURCE_REALTIME_TIMESTAMP":"1773653400123000","__REALTIME_TIMESTAMP":"1773653400123456","MESSAGE":"{message}"}}"#
            )
        };
        let event = normalized(&entry(
            1130,
            r#"SERVICE_START pid=1 uid=0 auid=4294967295 ses=4294967295 msg='unit=cron comm=\"systemd\" exe=\"/usr/lib/systemd/systemd\" hostname=? addr=? terminal=? res=success'"#,
        ));
        assert_eq!((&event["type_uid"], &event["app"]["name"]), (&600_203.into(), &"cron".into()));
        assert_eq!(event["metadata"]["correlation_uid"], "1773653400.123:77");
        let lines = [
            entry(
                1300,
                r#"SYSCALL arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=9 uid=0 comm=\"id\" exe=\"/bin/id\""#,
            ),
            entry(1309, r#"EXECVE argc=2 a0=\"id\" a1=\"-u\""#),
            entry(1327, "PROCTITLE proctitle=6964002D75"),
        ];
        let event = normalized(&lines.join("\n"));
        assert_eq!((&event["type_uid"], &event["process"]["cmd_line"]), (&100_701.into(), &"id -u".into()));
        let marks = lines.iter().map(|line| super::part(line.as_bytes()).unwrap());
        assert!(marks.map(|mark| mark.stamp).all(|stamp| stamp.is_some_and(|(_, serial)| serial == 77)));
        assert!(super::part(entry(1130, "SERVICE_START pid=1").as_bytes()).is_none());
    }

    #[test]
    fn bytes_nulls_and_repeated_fields_are_read() {
        let event = normalized(
            r#"{"_SYSTEMD_UNIT":"a.service","MESSAGE":[104,105,255],"A":null,"B":["x","y"],"__REALTIME_TIMESTAMP":"1773653400123456"}"#,
        );
        assert_eq!(event["message"], "hi\u{fffd}");
        assert_eq!(event["unmapped"], serde_json::json!({"_SYSTEMD_UNIT": "a.service", "B": "x\ny"}));
        let event = normalized(
            r#"{"SYSLOG_IDENTIFIER":"sudo","_PID":"9","MESSAGE":"bob : TTY=pts\/0 ; PWD=/ ; USER=root ; COMMAND=/bin/echo \"x\"","__REALTIME_TIMESTAMP":"1773653400123456"}"#,
        );
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["process"]["cmd_line"], "/bin/echo \"x\"");
        assert_eq!(event["actor"]["process"]["pid"], 9);
    }

    #[test]
    fn the_unit_of_a_message_is_its_application() {
        let event = normalized(
            r#"{"MESSAGE":"Started Example Daemon.","UNIT":"a.service","SYSLOG_IDENTIFIER":"systemd","_PID":"1","__REALTIME_TIMESTAMP":"1773653400123456"}"#,
        );
        assert_eq!(event["type_uid"], 600_203);
        assert_eq!(event["app"]["name"], "a.service");
    }

    #[test]
    fn other_objects_are_not_the_journals() {
        for line in [r#"{"MESSAGE":"x"}"#, r#"{"__REALTIME_TIMESTAMP":"1""#, r#"{"a":"__REALTIME_TIMESTAMP"}"#] {
            assert_ne!(normalized(line)["metadata"]["log_format"], "journald", "{line}");
        }
    }
}
