//! Who did it: the process, user, login id and session that a record names.
//!
//! In: a record with `pid=`, `uid=`, `auid=`, `ses=`, `comm=`, `exe=`, … and their enriched names. Out: `actor.*`, or
//! `process.*` where the event is about that process itself; the profile `linux/linux_users` where login or effective ids
//! are known. What rules ask for by the record's own names stays in `unmapped` too (`exe`, `comm`).

use std::borrow::Cow;

use super::record::Records;
use crate::event::Event;
use crate::normalize::text::base_name;
use crate::schema::Attribute;

/// Where the parts of a subject go.
pub(super) struct Role {
    pid: Attribute,
    name: Attribute,
    file_name: Attribute,
    file_path: Attribute,
    file_type_id: Attribute,
    auid: Attribute,
    euid: Attribute,
    egid: Attribute,
    parent_pid: Option<Attribute>,
    session: Attribute,
    terminal: Attribute,
    user_uid: Attribute,
    user_name: Attribute,
}

/// The subject did something.
pub(super) const ACTOR: Role = Role {
    pid: Attribute::ActorProcessPid,
    name: Attribute::ActorProcessName,
    file_name: Attribute::ActorProcessFileName,
    file_path: Attribute::ActorProcessFilePath,
    file_type_id: Attribute::ActorProcessFileTypeId,
    auid: Attribute::ActorProcessAuid,
    euid: Attribute::ActorProcessEuid,
    egid: Attribute::ActorProcessEgid,
    parent_pid: Some(Attribute::ActorProcessParentPid),
    session: Attribute::ActorSessionUid,
    terminal: Attribute::ActorSessionTerminal,
    user_uid: Attribute::ActorUserUid,
    user_name: Attribute::ActorUserName,
};

/// The event is about the subject.
pub(super) const PROCESS: Role = Role {
    pid: Attribute::ProcessPid,
    name: Attribute::ProcessName,
    file_name: Attribute::ProcessFileName,
    file_path: Attribute::ProcessFilePath,
    file_type_id: Attribute::ProcessFileTypeId,
    auid: Attribute::ProcessAuid,
    euid: Attribute::ProcessEuid,
    egid: Attribute::ProcessEgid,
    parent_pid: None,
    session: Attribute::ProcessSessionUid,
    terminal: Attribute::ProcessSessionTerminal,
    user_uid: Attribute::ProcessUserUid,
    user_name: Attribute::ProcessUserName,
};

/// `file.type_id` of an executable.
const EXECUTABLE: i64 = 8;

/// A number that OCSF's `integer_t` takes.
pub(super) fn integer(text: &str) -> Option<i64> {
    text.parse::<i32>().ok().filter(|number| *number >= 0).map(i64::from)
}

/// Sets what a record says of its subject. An actor's process must have an id: without one there is a user at most.
pub(super) fn push<'a>(records: &mut Records<'a>, record: usize, role: &Role, event: &mut Event<'a>) {
    let has_pid = records.peek(record, "pid").is_some_and(|pid| integer(&pid.value).is_some());
    if role.parent_pid.is_some() && !has_pid {
        return person(records, record, event);
    }
    number(records, record, "pid", role.pid, event);
    if let Some(parent) = role.parent_pid {
        number(records, record, "ppid", parent, event);
    }
    if let Some(comm) = records.take_text(record, "comm") {
        event.unmap("comm", comm.clone());
        event.push(role.name, comm);
    }
    if let Some(exe) = records.take_text(record, "exe") {
        event.unmap("exe", exe.clone());
        executable(exe, role, event);
    }
    let before = event.fields.len();
    number(records, record, "auid", role.auid, event);
    number(records, record, "euid", role.euid, event);
    number(records, record, "egid", role.egid, event);
    if event.fields.len() > before {
        event.profile("linux/linux_users");
    }
    if let Some(session) = records.take(record, "ses") {
        event.push(role.session, session);
    }
    if let Some(terminal) = records.take(record, "tty").or_else(|| records.take(record, "terminal")) {
        event.push(role.terminal, terminal);
    }
    user(records, record, role, event);
}

/// The user and session of a record that names no process: the login id stands for the user.
fn person<'a>(records: &mut Records<'a>, record: usize, event: &mut Event<'a>) {
    let user = records.take(record, "uid").or_else(|| records.take(record, "auid"));
    if let Some(user) = user {
        event.push(id_or_name(&user, Attribute::ActorUserUid, Attribute::ActorUserName), user);
    }
    if let Some(session) = records.take(record, "ses") {
        event.push(Attribute::ActorSessionUid, session);
    }
}

/// The user that the process runs as.
fn user<'a>(records: &mut Records<'a>, record: usize, role: &Role, event: &mut Event<'a>) {
    let Some(uid) = records.take(record, "uid") else { return };
    let place = id_or_name(&uid, role.user_uid, role.user_name);
    event.push(place, uid);
    if place == role.user_name {
        return;
    }
    if let Some(name) = records.take_text(record, "UID").filter(|name| !name.starts_with("unknown(")) {
        event.push(role.user_name, name);
    }
}

/// Where an id goes: `ausearch --interpret` writes the name in its place.
pub(super) fn id_or_name(text: &str, id: Attribute, name: Attribute) -> Attribute {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { id } else { name }
}

/// A number where OCSF has a place for it; too large a one stays where it is.
fn number<'a>(records: &mut Records<'a>, record: usize, key: &str, attribute: Attribute, event: &mut Event<'a>) {
    let Some(number) = records.peek(record, key).and_then(|field| integer(&field.value)) else { return };
    records.take(record, key);
    event.push(attribute, number);
}

/// An executable file by its path.
pub(super) fn executable<'a>(path: Cow<'a, str>, role: &Role, event: &mut Event<'a>) {
    let name = match &path {
        Cow::Borrowed(path) => Cow::Borrowed(base_name(path)),
        Cow::Owned(path) => Cow::Owned(base_name(path).to_owned()),
    };
    if name.is_empty() {
        return;
    }
    if event.value(role.name).is_none() {
        event.push(role.name, name.clone());
    }
    event.push(role.file_name, name);
    event.push(role.file_path, path);
    event.push(role.file_type_id, EXECUTABLE);
}
