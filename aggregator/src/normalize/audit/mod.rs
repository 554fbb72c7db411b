//! Linux audit: what the kernel and programs report of processes, files, sockets, logins, accounts and policies.
//!
//! In: the records of one audit event, one or more a line (`record`): auditd's log, raw or enriched; what `audispd` and
//! the kernel write to syslog; the JSON of laurel. The [`Joiner`](super::join::Joiner) brings records of one serial number together
//! before they come here; a record that comes alone is read on its own. Out: one event: by its records' types a launched
//! process (1007), a file (1001), a connection (4001), a login (3002), an account or group (3001, 3006), a service
//! (6002), the audit log itself (1008), a finding of a program (2004), or a system call (1003).
//!
//! Source: linux/audit.h, kernel/audit.c and auditsc.c, libaudit and auditd of audit-userspace, the audit message
//! dictionary of linux-audit/audit-documentation. What rules ask for by the record's own names stays in `unmapped`:
//! `type`, `SYSCALL`, `a0` … (the arguments of EXECVE where there are any, else the call's), `exe`, `comm`, `name`, `key`.

mod account;
mod call;
mod control;
mod errno;
mod execution;
mod finding;
mod kinds;
mod laurel;
mod login;
mod paths;
mod policy;
mod record;
mod service;
mod sockaddr;
mod subject;
mod syscalls;

use std::borrow::Cow;

use shared::time::Timestamp;

use super::Context;
use super::outcome::{failure, success};
use super::record::enforce;
use crate::event::{Event, Value};
use crate::schema::Attribute;
use record::{Records, Stamp};

pub(super) use laurel::{looks as looks_laurel, parse as parse_laurel};
pub(super) use record::{mark, record_of, turn};

const MINUTE_NS: i64 = 60 * 1_000_000_000;

/// The first look: `type=`, `node=`, or the kernel's own mark.
pub(super) fn looks(text: &str) -> bool {
    const BEGINNINGS: [&str; 5] = ["type=", "node=", "audit: type=", "audit(", "audit: audit("];
    let text = text.trim_start();
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// Reads the records of one audit event; false where there are none.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((records, mut stamp)) = Records::parse(text) else { return false };
    event.push(Attribute::MetadataLogFormat, "audit");
    if stamp.text.contains(' ') {
        // What ausearch shows is the host's own time.
        let minutes = context.reference.utc_offset_minutes;
        stamp.time = Timestamp(stamp.time.0.saturating_sub(i64::from(minutes) * MINUTE_NS));
        event.push(Attribute::TimezoneOffset, minutes);
    }
    read(records, stamp, event)
}

/// Says what the records mean.
fn read<'a>(mut records: Records<'a>, stamp: Stamp<'a>, event: &mut Event<'a>) -> bool {
    let Some(main) = main_record(&records) else { return false };
    let Some((kind, body)) = records.records.get(main).map(|record| (record.kind, record.body)) else { return false };
    event.time = stamp.time;
    event.push(Attribute::MetadataOriginalTime, stamp.text.rsplit_once(':').map_or(stamp.text, |(time, _)| time));
    event.push(Attribute::MetadataCorrelationUid, stamp.text);
    event.push(Attribute::Message, body);
    if let Some(node) = records.node {
        event.unmap("node", node);
    }
    let kind = if kind == "SYSCALL" && records.find("EXECVE").is_some() { "EXECVE" } else { kind };
    event.push(Attribute::MetadataEventCode, kind);
    // The type that says what it is about first, then those of its other records: rules ask for any of them.
    event.unmap("type", kind);
    for other in types(&records).filter(|other| *other != kind) {
        event.unmap("type", other);
    }
    for (number, key) in keys(&mut records) {
        event.unmap(if number == 0 { Cow::Borrowed("key") } else { Cow::Owned(format!("key.{number}")) }, key);
    }
    let meaning = Meaning { kind, main, call: records.find("SYSCALL"), stamp };
    let class_known = account::read(&meaning, &mut records, event)
        || login::read(&meaning, &mut records, event)
        || service::read(&meaning, &mut records, event)
        || finding::read(&meaning, &mut records, event)
        || control::read(&meaning, &mut records, event)
        || execution::read(&meaning, &mut records, event)
        || policy::read(&meaning, &mut records, event)
        || call::read(&meaning, &mut records, event);
    if !class_known {
        subject_beside(&meaning, &mut records, event);
    }
    leave(&mut records, event);
    // Records that were cut or damaged say less than their class requires.
    enforce(event);
    true
}

/// What the readers of single types work with.
struct Meaning<'a> {
    /// The type that says what the event is about.
    kind: &'a str,
    /// Its record.
    main: usize,
    /// The record of the system call in whose course it came.
    call: Option<usize>,
    stamp: Stamp<'a>,
}

impl Meaning<'_> {
    /// The record that names the subject: the system call's, else the main one.
    fn subject(&self) -> usize {
        self.call.unwrap_or(self.main)
    }
}

/// The record that says what the event is about: one that does not merely accompany a system call.
fn main_record(records: &Records<'_>) -> Option<usize> {
    let own = records.records.iter().position(|record| !accompanies(record.kind) && record.kind != "SYSCALL");
    let first_of = |kind| records.find(kind);
    own.or_else(|| first_of("SYSCALL"))
        .or_else(|| first_of("EXECVE"))
        .or_else(|| first_of("PATH"))
        .or_else(|| (!records.records.is_empty()).then_some(0))
}

/// Records that only tell more of a system call.
fn accompanies(kind: &str) -> bool {
    matches!(
        kind,
        "PATH"
            | "CWD"
            | "PROCTITLE"
            | "EXECVE"
            | "SOCKADDR"
            | "SOCKETCALL"
            | "EOE"
            | "FD_PAIR"
            | "OBJ_PID"
            | "IPC"
            | "IPC_SET_PERM"
            | "MQ_OPEN"
            | "MQ_SENDRECV"
            | "MQ_NOTIFY"
            | "MQ_GETSETATTR"
            | "BPRM_FCAPS"
            | "CAPSET"
            | "MMAP"
            | "FANOTIFY"
            | "OPENAT2"
            | "AVC_PATH"
            | "MAC_TASK_CONTEXTS"
            | "MAC_OBJ_CONTEXTS"
            | "KERNEL_OTHER"
    )
}

/// The types of all records, in order, each once.
fn types<'a>(records: &Records<'a>) -> impl Iterator<Item = &'a str> + use<'a> {
    let mut kinds: Vec<&str> = Vec::new();
    for record in &records.records {
        if !kinds.contains(&record.kind) && record.kind != "EOE" {
            kinds.push(record.kind);
        }
    }
    kinds.into_iter()
}

/// The keys of the rules that matched, numbered. `auditctl -k a -k b` joins them with 0x01.
fn keys<'a>(records: &mut Records<'a>) -> Vec<(usize, Cow<'a, str>)> {
    let mut keys = Vec::new();
    for record in 0..records.records.len() {
        if let Some(found) = records.take_text(record, "key") {
            match found.contains(',') {
                true => keys.extend(found.split(',').map(|key| Cow::Owned(key.to_owned()))),
                false => keys.push(found),
            }
        }
    }
    keys.into_iter().take(8).enumerate().collect()
}

/// The subject and outcome of what has no class.
fn subject_beside<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    for attribute in [(Attribute::ActorProcessPid, "pid"), (Attribute::ActorUserUid, "uid")] {
        let Some(value) = records.peek(meaning.main, attribute.1).map(|field| field.value.clone()) else { continue };
        match (attribute.0, subject::integer(&value)) {
            (Attribute::ActorProcessPid, Some(pid)) => event.push(Attribute::ActorProcessPid, pid),
            (Attribute::ActorUserUid, _) => event.push(Attribute::ActorUserUid, value),
            _ => {}
        }
    }
    outcome(meaning, records, event);
}

/// How it ended: `success=` and `exit=` of the call, or `res=` of the record.
fn outcome<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    if let Some(res) = records.take(meaning.main, "res") {
        match &*res {
            "1" | "success" | "yes" => success(event),
            "0" | "failed" | "fail" | "no" => {
                let reason = records.take_text(meaning.main, "reason");
                failure(event, reason.unwrap_or_default());
            }
            _ => event.unmap("res", res),
        }
        return;
    }
    let record = meaning.subject();
    let Some(said) = records.take(record, "success") else { return };
    match &*said {
        "yes" => success(event),
        "no" => {
            let error = records.peek(record, "exit").and_then(|exit| errno::name(&exit.value));
            failure(event, error.unwrap_or_default());
            if let Some(error) = error {
                event.push(Attribute::StatusCode, error);
            }
        }
        _ => {}
    }
}

/// Keeps what found no place under its own key; a key that is taken gets its record's type before it.
fn leave<'a>(records: &mut Records<'a>, event: &mut Event<'a>) {
    let items: Vec<Option<Cow<'a, str>>> = (0..records.records.len())
        .map(|record| records.peek(record, "item").map(|field| field.value.clone()))
        .collect();
    let fields = std::mem::take(&mut records.fields);
    let mut standing = records.records.iter().zip(&items).peekable();
    for (at, field) in fields.into_iter().enumerate() {
        while standing.peek().is_some_and(|(record, _)| record.to <= at) {
            standing.next();
        }
        let Some((record, item)) = standing.peek() else { return };
        let is_noise = matches!(field.key, "item" | "items" | "argc" | "SADDR" | "msg") || zero_capability(&field);
        if field.taken || is_noise || !record::says(&field.value) {
            continue;
        }
        let value = if field.is_text || !is_encoded(field.key) { field.value } else { record::decoded(field.value) };
        let known = |key: &str| event.unmapped.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        let key = match (record.kind, known(field.key)) {
            ("PATH", _) => Cow::Owned(format!("PATH.{}.{}", item.as_deref().unwrap_or("0"), field.key)),
            (_, None) => Cow::Borrowed(field.key),
            (_, Some(Value::Text(text))) if *text == value => continue,
            (kind, Some(_)) => Cow::Owned(format!("{kind}.{}", field.key)),
        };
        if known(&key).is_none() {
            event.unmap(key, value);
        }
    }
}

/// File capabilities that are not there.
fn zero_capability(field: &record::Field<'_>) -> bool {
    (field.key.starts_with("cap_f") && field.value.bytes().all(|b| b == b'0'))
        || (field.key == "rdev" && field.value == "00:00")
}

/// Keys whose values the kernel or libaudit may encode.
fn is_encoded(key: &str) -> bool {
    matches!(
        key,
        "acct"
            | "cmd"
            | "comm"
            | "cwd"
            | "data"
            | "dir"
            | "exe"
            | "file"
            | "grp"
            | "key"
            | "name"
            | "new-disk"
            | "ocomm"
            | "old-disk"
            | "path"
            | "proctitle"
            | "sw"
            | "unit"
            | "vm"
            | "watch"
            | "AUID"
            | "UID"
            | "GID"
            | "EUID"
            | "ID"
            | "SUID"
            | "FSUID"
            | "EGID"
            | "SGID"
            | "FSGID"
            | "OUID"
            | "OGID"
            | "OAUID"
    )
}

#[cfg(test)]
mod tests;
