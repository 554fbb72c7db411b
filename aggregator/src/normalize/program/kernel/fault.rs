//! What went wrong: programs that the kernel stopped, memory that ran out, the kernel itself, hardware, disks.
//!
//! In: `su[9]: segfault at 10 ip 7f… sp 7ff… error 4 in libc.so[7f…+1000]` (arch/x86/mm/fault.c, kernel/traps.c), `Out of memory:
//! Killed process 9 (java) …` (mm/oom_kill.c), `INFO: task x:9 blocked for more than 120 seconds.` (kernel/hung_task.c),
//! lockups, oopses, machine checks, I/O errors (block/blk-core.c). Out: an error (6008) of the process, or kernel activity
//! (1003) for the OOM killer.

use super::super::super::outcome::failure;
use super::super::super::pairs::pairs;
use super::super::super::text::{between, cut, number, word};
use super::{activity, process};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads such a message.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    stopped(message, event)
        || memory(message, event)
        || stuck(message, event)
        || of_kernel(message, event)
        || hardware(message, event)
        || disk(message, event)
        || share(message, event)
}

/// Application Error (6008): a general error.
fn error(severity: u8, event: &mut Event<'_>) {
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(severity);
}

/// `name[pid]`, where names may hold anything but the bracket that ends them.
fn name_and_pid(text: &str) -> Option<(&str, i64, &str)> {
    let (before, rest) = text.split_once(']')?;
    let (name, pid) = before.rsplit_once('[')?;
    (!name.is_empty() && name.len() <= 64).then_some((name, number(pid)?, rest))
}

/// A program that the processor stopped.
fn stopped<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let text = message.strip_prefix("traps: ").unwrap_or(message);
    let Some((name, pid, rest)) = name_and_pid(text) else { return false };
    let rest = rest.trim_start_matches([':', ' ']);
    const KINDS: [&str; 9] = [
        "segfault",
        "general protection",
        "trap ",
        "bad frame",
        "unhandled signal",
        "user address fault",
        "undefined instruction",
        "alignment",
        "potentially unexpected fatal signal",
    ];
    if !KINDS.iter().any(|kind| rest.starts_with(kind)) {
        return false;
    }
    error(3, event);
    process(name, Some(pid), event);
    let end =
        [" at ", " ip:", " ip ", ", ", " in "].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
    let what = rest.get(..end).unwrap_or(rest);
    failure(event, what);
    event.push(Attribute::StatusCode, if what.starts_with("segfault") { "SIGSEGV" } else { "fault" });
    let mut words = rest.split(' ').peekable();
    while let Some(key) = words.next() {
        let (key, value) = match (key, key.split_once(':')) {
            ("at" | "ip" | "sp" | "error" | "in", _) => (key, words.peek().copied().unwrap_or_default()),
            (_, Some((key @ ("ip" | "sp" | "error"), value))) => (key, value),
            _ => continue,
        };
        let (key, value) = match key {
            "at" => ("address", value),
            "in" => ("module", value.split_once('[').map_or(value, |(module, _)| module)),
            _ => (key, value),
        };
        if !value.is_empty() && !event.unmapped.iter().any(|(known, _)| known == key) {
            event.unmap(key, value.trim_end_matches(','));
        }
    }
    true
}

/// The OOM killer.
fn memory<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (name, pid, doing, rest) = if let Some((name, rest)) = cut(message, " invoked oom-killer: ") {
        (name, None, "Invoke OOM Killer", rest)
    } else if let Some(rest) = message.strip_prefix("oom-kill:") {
        let task = between(rest, ",task=", ",").map(|(task, _)| task);
        let pid = between(rest, ",pid=", ",").and_then(|(pid, _)| number(pid));
        let Some(task) = task else { return false };
        (task, pid, "OOM Kill", rest)
    } else if let Some((_, rest)) = cut(message, "Killed process ")
        .or_else(|| cut(message, "Kill process "))
        .or_else(|| cut(message, "reaped process "))
    {
        let (pid, rest) = word(rest);
        let Some((name, rest)) = between(rest, "(", ")") else { return false };
        (name, number(pid.trim_end_matches(',')), "OOM Kill", rest)
    } else {
        return false;
    };
    activity("oom-killer", doing, event);
    event.severity_id = event.severity_id.max(4);
    process(name, pid, event);
    failure(event, if message.contains("emory cgroup") { "memory of the cgroup ran out" } else { "memory ran out" });
    for field in rest.split([' ', ',']).filter(|field| !field.is_empty()).take(32) {
        let Some((key, value)) = field.split_once(':').or_else(|| field.split_once('=')) else { continue };
        if !value.is_empty() && !matches!(key, "task" | "pid") && !event.unmapped.iter().any(|(known, _)| known == key)
        {
            event.unmap(key, value);
        }
    }
    true
}

/// Tasks that do not get on.
fn stuck<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((task, rest)) =
        message.strip_prefix("INFO: task ").and_then(|rest| cut(rest, " blocked for more than "))
    {
        let (name, pid) = task.rsplit_once(':').unwrap_or((task, ""));
        error(3, event);
        process(name, number(pid), event);
        failure(event, "hung task");
        event.unmap("seconds", word(rest).0);
        return true;
    }
    let lockup = ["soft lockup", "hard LOCKUP", "hard lockup", "detected stall", "self-detected stall"];
    let Some(kind) = lockup.into_iter().find(|kind| message.contains(kind)) else { return false };
    error(4, event);
    if let Some((name, pid)) =
        message.rsplit_once('[').and_then(|(_, task)| task.trim_end_matches(']').rsplit_once(':'))
    {
        process(name, number(pid), event);
    }
    failure(event, kind);
    if let Some((cpu, _)) = between(message, "CPU#", " ") {
        event.unmap("cpu", cpu);
    }
    true
}

/// The kernel itself.
fn of_kernel<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const KINDS: [(&str, u8); 11] = [
        ("Kernel panic - not syncing", 6),
        ("kernel BUG at ", 5),
        ("BUG: unable to handle", 5),
        ("BUG: ", 4),
        ("Oops: ", 5),
        ("general protection fault: ", 5),
        ("general protection fault, ", 5),
        ("Unable to handle kernel ", 5),
        ("divide error: ", 5),
        ("invalid opcode: ", 5),
        ("WARNING: CPU: ", 3),
    ];
    let Some((kind, severity)) = KINDS.into_iter().find(|(kind, _)| message.starts_with(kind)) else {
        return of_process(message, event);
    };
    error(severity, event);
    event.push(Attribute::MetadataEventCode, kind.trim_end_matches([' ', ':', ',']));
    failure(event, message);
    for (mark, key) in [("CPU: ", "cpu"), ("PID: ", "pid"), ("address: ", "address"), (" at ", "at")] {
        if let Some((_, rest)) = cut(message, mark) {
            event.unmap(key, word(rest).0);
        }
    }
    true
}

/// `CPU: 1 PID: 9 Comm: x Not tainted 6.1.0 #1`: whose turn it was.
fn of_process<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, rest)) = between(message, " Comm: ", " ").filter(|_| message.contains("PID: ")) else {
        return false;
    };
    let pid = between(message, "PID: ", " ").and_then(|(pid, _)| number(pid));
    error(3, event);
    process(name, pid, event);
    event.unmap("taint", rest.split(' ').take(2).last().unwrap_or_default());
    event.push(Attribute::StatusDetail, "stack trace");
    true
}

/// Machine checks, memory errors, heat.
fn hardware<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let kind = if message.contains("[Hardware Error]") || message.starts_with("mce: ") {
        "machine check"
    } else if message.starts_with("EDAC ") && (message.contains(" CE ") || message.contains(" UE ")) {
        "memory error"
    } else if message.contains("temperature above threshold") {
        "temperature above threshold"
    } else if message.contains("PCIe Bus Error: ") || (message.contains("AER: ") && message.contains("error")) {
        "bus error"
    } else {
        return false;
    };
    let fatal = message.contains("Fatal") && !message.contains("Non-Fatal");
    error(if message.contains(" UE ") || fatal { 5 } else { 3 }, event);
    event.push(Attribute::MetadataEventCode, kind);
    failure(event, message);
    event.unmap("component", message.split([':', ' ']).next().unwrap_or_default());
    true
}

/// `CIFS VFS: Send error in SessSetup = -13`, `CIFS: VFS: cifs_mount failed w/return code = -13` (fs/smb/client).
fn share<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let text = message.strip_prefix("CIFS VFS: ").or_else(|| message.strip_prefix("CIFS: VFS: "));
    let Some(text) = text.filter(|text| text.contains("rror") || text.contains("failed")) else { return false };
    error(3, event);
    event.push(Attribute::MetadataEventCode, "CIFS error");
    failure(event, text);
    if let Some((_, code)) = text.rsplit_once(" = -") {
        event.push(Attribute::StatusCode, word(code).0);
    }
    true
}

/// `I/O error, dev sda, sector 123 op 0x0:(READ) flags 0x0`, `Buffer I/O error on dev sda1, logical block 0`,
/// `EXT4-fs error (device sda1): …`, `ata1.00: exception Emask 0x0 SAct 0x0 SErr 0x0 action 0x6 frozen`.
fn disk<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const KINDS: [&str; 12] = [
        "I/O error",
        "medium error",
        "target error",
        "critical space",
        "-fs error",
        "-fs warning",
        "orruption",
        "Disk failure on",
        "not responding",
        "rejecting I/O",
        "failed command",
        "exception Emask",
    ];
    let Some(kind) = KINDS.into_iter().find(|kind| message.contains(kind)) else { return false };
    error(4, event);
    event.push(Attribute::MetadataEventCode, kind.trim_start_matches('-'));
    failure(event, message);
    let device = [("dev ", ","), ("device ", ","), ("(device ", ")"), ("XFS (", ")"), ("failure on ", ","), ("[", "]")]
        .into_iter()
        .find_map(|(open, close)| between(message, open, close))
        .map(|(device, _)| word(device.trim_end_matches(')')).0)
        .or_else(|| {
            cut(message, ": ").map(|(port, _)| port).filter(|port| port.starts_with("ata") && !port.contains(' '))
        });
    if let Some(device) = device {
        event.unmap("device", device);
    }
    for (mark, key) in [("sector ", "sector"), ("logical block ", "block")] {
        if let Some((_, rest)) = cut(message, mark) {
            event.unmap(key, word(rest).0.trim_end_matches(','));
        }
    }
    for pair in pairs(message).filter(|pair| pair.value.is_some()).take(16) {
        if !event.unmapped.iter().any(|(known, _)| known == pair.key) {
            event.unmap(pair.key, pair.value.unwrap_or_default());
        }
    }
    true
}
