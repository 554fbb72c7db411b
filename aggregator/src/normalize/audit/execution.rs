//! Processes: launched (EXECVE, fork), run by sudo (USER_CMD), ended (ANOM_ABEND, exit), what was typed at a terminal (TTY).
//!
//! In: the records of such an event. Out: class 1007 with the process, its parent as the actor, the command line joined from
//! the arguments, which also stay as `a0` … as rules know them.

use std::borrow::Cow;

use super::record::{Records, decoded};
use super::subject::{self, ACTOR, PROCESS};
use super::{Meaning, errno, outcome, paths, syscalls};
use crate::event::Event;
use crate::normalize::outcome::failure;
use crate::normalize::text::{base_name, word};
use crate::schema::{Attribute, Class};

/// Activities of Process Activity (1007).
const LAUNCH: u8 = 1;
const TERMINATE: u8 = 2;
const OPEN: u8 = 3;
const INJECT: u8 = 4;
const SET_USER: u8 = 5;

/// `launch_type_id`: spawn, fork, exec.
const FORK: i64 = 2;
const EXEC: i64 = 3;

/// Longest command line; what is longer is in `raw_data`.
const COMMAND_BYTES_MAX: usize = 32 << 10;
/// Names of the first arguments, as rules know them.
pub(super) const ARGUMENT_NAMES: [&str; 32] = [
    "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9", "a10", "a11", "a12", "a13", "a14", "a15", "a16", "a17",
    "a18", "a19", "a20", "a21", "a22", "a23", "a24", "a25", "a26", "a27", "a28", "a29", "a30", "a31",
];
/// Most arguments that are kept one by one.
const ARGUMENTS_MAX: usize = 64;

/// Reads the event if it is about a process.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    match meaning.kind {
        "EXECVE" => executed(meaning, records, event),
        "PROCTITLE" => title(meaning, records, event),
        "USER_CMD" => commanded(meaning, records, event),
        "ANOM_ABEND" => ended(meaning, records, event),
        "TTY" | "USER_TTY" => typed(meaning, records, event),
        "SYSCALL" => called(meaning, records, event),
        _ => false,
    }
}

fn begin(activity: u8, event: &mut Event<'_>) {
    event.class = Class::ProcessActivity;
    event.activity_id = activity;
}

/// The process of the call, its parent as the actor.
fn process_of_call<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let record = meaning.subject();
    let parent = records.take(record, "ppid").and_then(|ppid| subject::integer(&ppid));
    subject::push(records, record, &PROCESS, event);
    if let Some(parent) = parent {
        event.push(Attribute::ActorProcessPid, parent);
        event.push(Attribute::ProcessParentPid, parent);
    } else {
        event.push(Attribute::ActorAppName, "kernel");
    }
    // Where no call is told the event's own id stands for the process.
    if event.value(Attribute::ProcessPid).is_none() {
        event.push(Attribute::ProcessUid, meaning.stamp.text);
    }
    if let Some(cwd) = records.find("CWD").and_then(|cwd| records.take_text(cwd, "cwd")) {
        event.push(Attribute::ProcessWorkingDirectory, cwd);
    }
}

/// The name of the call, as rules know it.
fn call_name<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> Option<&'static str> {
    let record = meaning.call?;
    let arch = records.peek(record, "arch").map(|field| field.value.clone()).unwrap_or_default();
    let name = records.peek(record, "syscall").and_then(|number| syscalls::name(&arch, &number.value))?;
    if records.peek(record, "SYSCALL").is_none() {
        event.unmap("SYSCALL", name);
    }
    Some(name)
}

fn executed<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    begin(LAUNCH, event);
    event.push(Attribute::LaunchTypeId, EXEC);
    call_name(meaning, records, event);
    forget_registers(meaning, records);
    let arguments = arguments(records, event);
    let command = if arguments.is_empty() { proctitle(records) } else { Some(Cow::Owned(arguments)) };
    process_of_call(meaning, records, event);
    if let Some(item) = paths::object(records)
        && let Some(name) = records.peek(item, "name")
    {
        let name = name.value.clone();
        event.unmap("name", name);
    }
    if let Some(command) = command {
        if event.value(Attribute::ProcessName).is_none() {
            let name = base_name(word(&command).0).to_owned();
            event.push(Attribute::ProcessName, name);
        }
        event.push(Attribute::ProcessCmdLine, command);
    }
    outcome(meaning, records, event);
    true
}

/// The call's `a0` … are addresses of what EXECVE spells out.
fn forget_registers(meaning: &Meaning<'_>, records: &mut Records<'_>) {
    for key in ["a0", "a1", "a2", "a3"] {
        if let Some(call) = meaning.call {
            records.take(call, key);
        }
    }
}

/// The arguments of all EXECVE records, each kept as `aN`, joined by spaces. Long ones come in pieces `aN[0]`, `aN[1]`, …
fn arguments<'a>(records: &mut Records<'a>, event: &mut Event<'a>) -> String {
    let mut line = String::with_capacity(128);
    let mut kept: Option<(usize, Cow<'a, str>)> = None;
    let mut count = 0;
    for field in fields_of(records, "EXECVE") {
        let Some((number, piece)) = argument(&records.fields, field) else { continue };
        let Some(field) = records.fields.get_mut(field) else { continue };
        field.taken = true;
        if piece == Piece::Length {
            continue;
        }
        // The same arguments once more, where one event is told twice.
        if piece == Piece::Whole && kept.as_ref().is_some_and(|(standing, _)| number <= *standing) {
            break;
        }
        let text = if field.is_text { field.value.clone() } else { decoded(field.value.clone()) };
        match (&mut kept, piece) {
            (Some((standing, whole)), Piece::Part(part)) if *standing == number && part > 0 => {
                if whole.len() + text.len() <= COMMAND_BYTES_MAX {
                    whole.to_mut().push_str(&text);
                }
            }
            _ => {
                keep(kept.take(), &mut line, &mut count, event);
                kept = Some((number, text));
            }
        }
    }
    keep(kept, &mut line, &mut count, event);
    line
}

fn keep<'a>(argument: Option<(usize, Cow<'a, str>)>, line: &mut String, count: &mut usize, event: &mut Event<'a>) {
    let Some((number, text)) = argument else { return };
    if line.len() + text.len() < COMMAND_BYTES_MAX {
        if *count > 0 {
            line.push(' ');
        }
        line.push_str(&text);
    }
    *count += 1;
    if *count <= ARGUMENTS_MAX {
        match ARGUMENT_NAMES.get(number) {
            Some(name) => event.unmap(*name, text),
            None => event.unmap(format!("a{number}"), text),
        }
    }
}

/// What a key of EXECVE names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Whole,
    Part(usize),
    Length,
}

/// `a3`, `a3[1]`, `a3_len`.
fn argument(fields: &[super::record::Field<'_>], at: usize) -> Option<(usize, Piece)> {
    let key = fields.get(at)?.key.strip_prefix('a')?;
    if let Some(number) = key.strip_suffix("_len") {
        return Some((number.parse().ok()?, Piece::Length));
    }
    match key.split_once('[') {
        Some((number, part)) => Some((number.parse().ok()?, Piece::Part(part.strip_suffix(']')?.parse().ok()?))),
        None => Some((key.parse().ok()?, Piece::Whole)),
    }
}

/// Where the fields of all records of a type stand.
fn fields_of(records: &Records<'_>, kind: &str) -> Vec<usize> {
    records.records.iter().filter(|record| record.kind == kind).flat_map(|record| record.from..record.to).collect()
}

/// The command line that the process shows, cut by the kernel at 128 bytes.
fn proctitle<'a>(records: &mut Records<'a>) -> Option<Cow<'a, str>> {
    let record = records.find("PROCTITLE")?;
    records.take_text(record, "proctitle")
}

fn title<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(command) = proctitle(records) else { return false };
    begin(99, event);
    event.push(Attribute::ActivityName, "Process Title");
    event.push(Attribute::ActorAppName, "kernel");
    event.push(Attribute::ProcessUid, meaning.stamp.text);
    event.push(Attribute::ProcessName, base_name(word(&command).0).to_owned());
    event.push(Attribute::ProcessCmdLine, command);
    true
}

/// sudo: `cwd="/root" cmd=6C73 exe="/usr/bin/sudo" terminal=pts/0 res=success`. The uid of the record is the caller's.
fn commanded<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(command) = records.take_text(meaning.main, "cmd") else { return false };
    begin(LAUNCH, event);
    event.push(Attribute::LaunchTypeId, EXEC);
    let before = event.fields.len();
    subject::push(records, meaning.main, &ACTOR, event);
    if event.fields.len() == before {
        event.push(Attribute::ActorAppName, "audit");
    }
    event.push(Attribute::ProcessUid, meaning.stamp.text);
    event.push(Attribute::ProcessName, base_name(word(&command).0).to_owned());
    event.push(Attribute::ProcessCmdLine, command);
    if let Some(cwd) = records.take_text(meaning.main, "cwd") {
        event.push(Attribute::ProcessWorkingDirectory, cwd);
    }
    outcome(meaning, records, event);
    true
}

/// A process that a signal ended: `reason="memory violation" sig=11 res=1`.
fn ended<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    begin(TERMINATE, event);
    let reason = records.take_text(meaning.main, "reason").unwrap_or_default();
    let signal = records.peek(meaning.main, "sig").and_then(|sig| errno::signal(&sig.value));
    records.take(meaning.main, "res");
    subject::push(records, meaning.main, &PROCESS, event);
    event.push(Attribute::ActorAppName, "kernel");
    if event.value(Attribute::ProcessPid).is_none() {
        event.push(Attribute::ProcessUid, meaning.stamp.text);
    }
    if let Some(signal) = signal {
        event.push(Attribute::StatusCode, signal);
    }
    failure(event, if reason.is_empty() { Cow::Borrowed(signal.unwrap_or_default()) } else { reason });
    event.severity_id = event.severity_id.max(3);
    true
}

/// Keys that somebody pressed.
fn typed<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    if records.peek(meaning.main, "pid").is_none() {
        return false;
    }
    begin(99, event);
    event.push(Attribute::ActivityName, "Terminal Input");
    subject::push(records, meaning.main, &PROCESS, event);
    event.push(Attribute::ActorAppName, "tty");
    if event.value(Attribute::ProcessPid).is_none() {
        event.push(Attribute::ProcessUid, meaning.stamp.text);
    }
    outcome(meaning, records, event);
    true
}

/// System calls that are about a process.
fn called<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(call) = meaning.call else { return false };
    let arch = records.peek(call, "arch").map(|field| field.value.clone()).unwrap_or_default();
    let name = records.peek(call, "syscall").and_then(|number| syscalls::name(&arch, &number.value));
    let succeeded = records.peek(call, "success").is_some_and(|said| said.value == "yes");
    match name.unwrap_or_default() {
        "execve" | "execveat" => executed_without_arguments(meaning, records, event),
        "fork" | "vfork" | "clone" | "clone3" if succeeded => forked(meaning, call, records, event),
        "exit" | "exit_group" => exited(meaning, call, records, event),
        "setuid" | "setreuid" | "setresuid" | "setuid32" | "setreuid32" | "setresuid32" | "setfsuid" | "setfsuid32" => {
            begin(SET_USER, event);
            call_name(meaning, records, event);
            process_of_call(meaning, records, event);
            outcome(meaning, records, event);
            true
        }
        "ptrace" | "process_vm_writev" => on_another(INJECT, meaning, records, event),
        "process_vm_readv" | "pidfd_open" | "pidfd_getfd" => on_another(OPEN, meaning, records, event),
        "kill" | "tkill" | "tgkill" | "pidfd_send_signal" if !is_question(name, call, records) => {
            on_another(TERMINATE, meaning, records, event)
        }
        _ => false,
    }
}

/// Signal 0 only asks whether the process is there.
fn is_question(name: Option<&str>, call: usize, records: &Records<'_>) -> bool {
    let signal = if name == Some("tgkill") { "a2" } else { "a1" };
    records.peek(call, signal).is_some_and(|field| field.value == "0")
}

fn executed_without_arguments<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    begin(LAUNCH, event);
    event.push(Attribute::LaunchTypeId, EXEC);
    call_name(meaning, records, event);
    let command = proctitle(records);
    process_of_call(meaning, records, event);
    if let Some(command) = command {
        event.push(Attribute::ProcessCmdLine, command);
    }
    outcome(meaning, records, event);
    true
}

/// The child is what `exit=` says; the caller is its parent.
fn forked<'a>(meaning: &Meaning<'a>, call: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(child) = records.peek(call, "exit").and_then(|exit| subject::integer(&exit.value)) else { return false };
    begin(LAUNCH, event);
    event.push(Attribute::LaunchTypeId, FORK);
    call_name(meaning, records, event);
    let parent = records.peek(call, "pid").and_then(|pid| subject::integer(&pid.value));
    subject::push(records, call, &ACTOR, event);
    event.push(Attribute::ProcessPid, child);
    if let Some(name) = event.text(Attribute::ActorProcessName).map(str::to_owned) {
        event.push(Attribute::ProcessName, name);
    }
    if let Some(parent) = parent {
        event.push(Attribute::ProcessParentPid, parent);
    }
    if let Some(title) = proctitle(records) {
        event.push(Attribute::ActorProcessCmdLine, title);
    }
    outcome(meaning, records, event);
    true
}

fn exited<'a>(meaning: &Meaning<'a>, call: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    begin(TERMINATE, event);
    call_name(meaning, records, event);
    let code = records.peek(call, "a0").and_then(|code| i32::from_str_radix(&code.value, 16).ok());
    if let Some(code) = code {
        event.push(Attribute::ExitCode, code);
    }
    process_of_call(meaning, records, event);
    true
}

/// A call that is about another process, which OBJ_PID names.
fn on_another<'a>(activity: u8, meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(object) = records.find("OBJ_PID") else { return false };
    let Some(pid) = records.take(object, "opid").and_then(|pid| subject::integer(&pid)) else { return false };
    begin(activity, event);
    call_name(meaning, records, event);
    subject::push(records, meaning.subject(), &ACTOR, event);
    if let Some(title) = proctitle(records) {
        event.push(Attribute::ActorProcessCmdLine, title);
    }
    event.push(Attribute::ProcessPid, pid);
    if let Some(name) = records.take_text(object, "ocomm") {
        event.push(Attribute::ProcessName, name);
    }
    if let Some(uid) = records.take(object, "ouid") {
        event.push(Attribute::ProcessUserUid, uid);
    }
    if let Some(session) = records.take(object, "oses") {
        event.push(Attribute::ProcessSessionUid, session);
    }
    outcome(meaning, records, event);
    true
}
