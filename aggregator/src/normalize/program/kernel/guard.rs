//! What the kernel kept programs from, or found odd in what they asked for: lockdown, ptrace, programs without arguments, forks
//! over a limit; a program that BSD's kernel ended, or macOS's sandbox refused something.
//!
//! In: `Lockdown: insmod: unsigned module loading is restricted; …` (security/lockdown), `ptrace attach of "a"[9] was attempted by
//! "b"[10]` (security/yama), `process 'x' launched '/bin/y' with NULL argv: …` (fs/exec.c), `cgroup: fork rejected by pids controller
//! in /z` (kernel/cgroup/pids.c), `pid 9 (x), jid 0, uid 5: exited on signal 11 (core dumped)` (FreeBSD, kern_sig.c). Out: classes
//! 1003, 1007, 6008.

use super::super::super::outcome::{Control, LOW, controlled, failure};
use super::super::super::text::{base_name, between, cut, number, word};
use super::{activity, process};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id` 3.
const MEDIUM: u8 = 3;

/// Reads such a message.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    match word(message).0 {
        "Lockdown:" => lockdown(message, event),
        "ptrace" => traced(message, event),
        "process" => without_arguments(message, event),
        "cgroup:" => forked(message, event),
        "pid" => ended(message, event),
        "Sandbox:" => sandboxed(word(message).1, event),
        _ => false,
    }
}

fn lockdown<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, what)) = message.strip_prefix("Lockdown: ").and_then(|rest| cut(rest, ": ")) else { return false };
    activity("lockdown", "Restrict", event);
    event.unmap("process", name);
    failure(event, cut(what, "; ").map_or(what, |(what, _)| what));
    controlled(event, Control::Blocked);
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}

/// macOS's Seatbelt: `NAME(PID) deny(1) file-read-data /path`, of old `NAME(PID) deny network-outbound /path`.
pub(in super::super) fn sandboxed<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let text = text.trim_end();
    let Some((who, rest)) = cut(text, " deny").filter(|(who, _)| who.ends_with(')')) else { return false };
    let Some((name, pid)) = who.rsplit_once('(') else { return false };
    let Some((_, rest)) = rest.split_once(' ') else { return false };
    let (operation, target) = word(rest);
    if operation.starts_with("file-") && target.starts_with('/') {
        event.class = Class::FileActivity;
        event.activity_id = match operation {
            "file-write-create" => 1,
            "file-write-unlink" => 4,
            _ if operation.starts_with("file-write") => 3,
            _ => 14,
        };
        event.push(Attribute::FileName, base_name(target));
        event.push(Attribute::FilePath, target);
        event.push(Attribute::FileTypeId, 0);
        event.push(Attribute::ActorAppName, name);
    } else {
        activity("sandbox", "Deny", event);
        event.unmap("target", target);
    }
    process(name, number(pid.trim_end_matches(')')), event);
    event.unmap("operation", operation);
    event.push(Attribute::PolicyName, "sandbox");
    controlled(event, Control::Blocked);
    event.severity_id = event.severity_id.max(LOW);
    true
}

/// `"NAME"[PID]`.
fn named(text: &str) -> Option<(&str, i64, &str)> {
    let (name, rest) = between(text, "\"", "\"[")?;
    let (pid, rest) = cut(rest, "]")?;
    Some((name, number(pid)?, rest))
}

fn traced<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((target, target_pid, rest)) = message.strip_prefix("ptrace attach of ").and_then(named) else {
        return false;
    };
    let Some((tracer, tracer_pid, _)) = rest.strip_prefix(" was attempted by ").and_then(named) else { return false };
    event.class = Class::ProcessActivity;
    event.activity_id = 3;
    event.push(Attribute::ProcessPid, target_pid);
    event.push(Attribute::ProcessName, target);
    process(tracer, Some(tracer_pid), event);
    failure(event, "ptrace attach");
    controlled(event, Control::Blocked);
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}

fn without_arguments<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((caller, rest)) = between(message, "process '", "' launched '") else { return false };
    let Some((path, _)) = cut(rest, "' with NULL argv") else { return false };
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, caller);
    event.push(Attribute::ProcessUid, event.id.to_string());
    event.push(Attribute::ProcessName, base_name(path));
    event.push(Attribute::ProcessFileName, base_name(path));
    event.push(Attribute::ProcessFilePath, path);
    event.push(Attribute::ProcessFileTypeId, 8);
    event.push(Attribute::StatusDetail, "NULL argv");
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}

fn forked<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, group)) = cut(message, "fork rejected by pids controller in ") else { return false };
    activity("cgroup", "Reject Fork", event);
    event.unmap("cgroup", group);
    failure(event, "fork rejected by pids controller");
    controlled(event, Control::Blocked);
    true
}

fn ended<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((pid, rest)) = message.strip_prefix("pid ").and_then(|rest| cut(rest, " (")) else { return false };
    let Some((name, rest)) = cut(rest, "), ") else { return false };
    let Some((who, what)) = cut(rest, ": exited on ") else { return false };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    process(name, number(pid), event);
    if let Some((_, uid)) = cut(who, "uid ") {
        event.push(Attribute::ActorUserUid, uid);
    }
    event.push(Attribute::StatusCode, cut(what, " (").map_or(what, |(signal, _)| signal));
    failure(event, what);
    event.severity_id = event.severity_id.max(MEDIUM);
    true
}
