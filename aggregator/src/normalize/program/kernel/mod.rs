//! The kernel's own messages: packet filters, faults of programs and of the kernel, devices, modules, file systems, audit.
//!
//! In: a message of the program `kernel`, with or without the time since boot before it (`[   12.345678] `, and a thread or
//! processor after that: `[T1] `), or such a line alone (`dmesg`). Out: a connection that a packet filter saw (4001), an error
//! (6008), kernel activity (1003), a module (1002), a device (1010), a mount (1001); what no reader knows is the report of a part
//! of the kernel (1003), or an error by its severity (6008).
//!
//! Source: the `pr_*` and `printk` calls of Linux, named in each file; net/netfilter/nf_log_syslog.c for packets.

mod device;
mod dmesg;
mod fault;
mod firewall;
mod guard;
mod storage;

use std::borrow::Cow;

use super::super::outcome::LOW;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, cut_at, unspaced};
use super::super::{Context, attempt, audit, carried, timestamp};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};
pub(in crate::normalize) use dmesg::{behind_uptime, is_timed, iso_timed};
pub(super) use firewall::{protocol, verdict};

/// The longest name of a part of the kernel.
const PART_LEN_MAX: usize = 40;

/// Reads a message of the kernel.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (uptime, message) = uptime(message);
    // systemd writes to the kernel's buffer until the journal runs.
    if let Some(message) = message.strip_prefix("systemd[1]: ") {
        return super::systemd::parse(message, header, event);
    }
    let understood =
        if audit::looks(message) { audited(message, header, event) } else { read(message, &header.context, event) };
    if !understood {
        report(message, event);
    }
    if let Some(uptime) = uptime {
        event.unmap("uptime", uptime);
    }
    true
}

/// What a part of the kernel says, and no reader knows better: an error by its severity, else a report of the part.
fn report<'a>(message: &'a str, event: &mut Event<'a>) {
    if event.severity_id >= LOW {
        remark("kernel", message, event);
        return;
    }
    // `EXT4-fs (sda1): …`, `usb 1-1: …`, `ACPI: …`: what stands before the colon, unless it is a sentence.
    let part = cut(message, ": ").map_or("", |(part, _)| part.trim());
    let is_part = !part.is_empty() && part.len() <= PART_LEN_MAX && part.bytes().filter(|b| *b == b' ').count() <= 1;
    activity(if is_part { part } else { "kernel" }, "Report", event);
}

/// Reads what auditd, or a program that hands its records on, writes to syslog: the records' process, not the program's.
pub(super) fn audited<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let mut own = [Attribute::ActorProcessName, Attribute::ActorProcessPid].map(|own| event.value(own).cloned());
    if !carried(Cow::Borrowed(message), &header.context, event) {
        // What journald hands on has no serial number, and the time of its header.
        let original = event.value(Attribute::MetadataOriginalTime).cloned();
        let Some(record) = audit::record_of(message, event.time, 0) else {
            return super::log_service::parse(message, header, event);
        };
        if !carried(Cow::Owned(record), &header.context, event) {
            return false;
        }
        event.fields.retain(|field| field.attribute != Attribute::MetadataCorrelationUid);
        // Its header names the process that the record is about.
        own = own.map(|value| value.filter(|value| matches!(value, Value::Text(_))));
        if let Some(original) = original {
            event.set(Attribute::MetadataOriginalTime, original);
        }
    }
    let [name, pid] = own;
    let still = |attribute, own: &Option<Value<'a>>| own.is_some() && event.value(attribute) == own.as_ref();
    if still(Attribute::ActorProcessPid, &pid) || still(Attribute::ActorProcessName, &name) {
        let of_wrapper = [(Attribute::ActorProcessPid, pid), (Attribute::ActorProcessName, name)];
        event.fields.retain(|field| {
            !of_wrapper
                .iter()
                .any(|(attribute, own)| field.attribute == *attribute && own.as_ref() == Some(&field.value))
        });
        // The class needs a doer all the same.
        let has_actor = event.fields.iter().any(|field| field.attribute.path().starts_with("actor."));
        if !has_actor && event.class.carries(Attribute::ActorAppName) {
            event.push(Attribute::ActorAppName, header.program);
        }
    }
    true
}

/// Reads what macOS's sandboxd says for the kernel.
pub(super) fn parse_sandboxd<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    guard::sandboxed(message, event)
}

/// Reads a packet that a rule logged, where the prefix of the rule stands in place of the program or nothing says that it is the
/// kernel's: `DENY: IN=eth0 …`, `[WAN_LOCAL-default-D]IN=eth0 …`.
pub(super) fn parse_packet<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    cut(message, " SRC=").is_some()
        && cut(message, " PROTO=").is_some()
        && firewall::parse_behind(header.program, message, event)
}

/// The first look at a line without a header: dmesg's, or a packet filter's.
pub(in crate::normalize) fn looks(text: &str) -> bool {
    firewall::looks(text) || uptime(text).0.is_some() || dmesg::looks(text)
}

/// Reads a line without a header.
pub(in crate::normalize) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let headed = dmesg::head(text, context, event);
    let is_own = headed.is_some() || is_timed(text);
    let (uptime, message) = uptime(headed.unwrap_or(text));
    let before = event.fields.len();
    if let Some((stamp, _)) = proxmox(message).and_then(|at| timestamp::access(at, context.reference)) {
        stamp.apply(event);
    }
    let records = |event: &mut Event<'a>| audit::looks(message) && audit::parse(message, context, event);
    if !attempt(|message, context, event| read(message, context, event), message, context, event) {
        event.fields.truncate(before);
        match records(event) {
            true => {}
            false if is_own => report(message, event),
            false if uptime.is_none() => return false,
            false => {}
        }
    }
    if event.fields.iter().all(|field| field.attribute != Attribute::Message) {
        event.push(Attribute::Message, message);
        event.push(Attribute::MetadataLogFormat, "kernel");
    }
    if let Some(uptime) = uptime {
        event.unmap("uptime", uptime);
    }
    true
}

/// The time in `0 3 PVEFW-HOST-IN 20/Jun/2022:13:09:14 +0200 policy DROP: IN=…` (Proxmox's pvefw-logger).
fn proxmox(text: &str) -> Option<&str> {
    let mut rest = text;
    for _ in 0..3 {
        rest = rest.split_once(' ')?.1;
    }
    rest.get(..2)?.bytes().all(|b| b.is_ascii_digit()).then_some(rest)
}

/// Seconds since boot, and the message behind them.
fn uptime(text: &str) -> (Option<&str>, &str) {
    let found = text.strip_prefix('[').and_then(|rest| cut_at(b']', rest)).and_then(|(inside, rest)| {
        let inside = unspaced(inside);
        let (whole, part) = cut_at(b'.', inside)?;
        let digits = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
        (digits(whole) && digits(part)).then_some((inside, rest))
    });
    let Some((uptime, rest)) = found else { return (None, text) };
    let rest = unspaced(rest);
    // CONFIG_PRINTK_CALLER: the thread or the processor.
    let caller = rest.strip_prefix('[').and_then(|rest| cut_at(b']', rest)).map(|(caller, rest)| (caller.trim(), rest));
    match caller.filter(|(caller, _)| {
        caller
            .strip_prefix(['T', 'C'])
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    }) {
        Some((_, rest)) => (Some(uptime), rest.trim_start_matches(' ')),
        None => (Some(uptime), rest),
    }
}

fn read<'a>(message: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let readers = [firewall::parse, fault::parse, device::parse, storage::parse, guard::parse, log_of_audit, life];
    let of_kernel = |event: &mut Event<'a>| {
        readers
            .into_iter()
            .any(|reader| attempt(|text, _: &Context<'a>, event| reader(text, event), message, context, event))
    };
    of_kernel(event)
}

/// Kernel activity (1003) of a part of the kernel.
fn activity<'a>(name: &'a str, doing: &'static str, event: &mut Event<'a>) {
    event.class = Class::KernelActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, doing);
    event.push(Attribute::KernelName, name);
    event.push(Attribute::KernelTypeId, 0);
    event.push(Attribute::ActorAppName, "kernel");
}

/// The process that a message names.
fn process<'a>(name: &'a str, pid: Option<i64>, event: &mut Event<'a>) {
    if let Some(pid) = pid {
        event.set(Attribute::ActorProcessPid, pid);
        event.set(Attribute::ActorProcessName, name);
    }
    event.unmap("process", name);
}

/// audit's own troubles (kernel/audit.c): records that got lost.
fn log_of_audit<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let text = message.strip_prefix("audit: ").unwrap_or(message);
    let lost = text.starts_with("audit_lost=")
        || text.starts_with("audit_backlog=")
        || text == "backlog limit exceeded"
        || text.starts_with("kauditd hold queue overflow")
        || text.starts_with("rate limit exceeded");
    if !lost {
        return false;
    }
    event.class = Class::EventLogActivity;
    event.activity_id = 99;
    event.severity_id = event.severity_id.max(3);
    event.push(Attribute::ActivityName, "Records Lost");
    event.push(Attribute::LogName, "audit");
    event.push(Attribute::LogProvider, "kernel");
    super::super::outcome::failure(event, text);
    for pair in super::super::pairs::pairs(text) {
        if let Some(value) = pair.value {
            event.unmap(pair.key, value);
        }
    }
    true
}

/// The system starts and ends: `Linux version 6.1.0 (…) …`, `reboot: Power down` (init/version.c, kernel/reboot.c).
fn life<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let begun = message.strip_prefix("Linux version ");
    let ended = message.strip_prefix("reboot: ").or_else(|| {
        ["Restarting system", "System halted", "Power down"]
            .into_iter()
            .find(|word| message.starts_with(word))
            .map(|_| message)
    });
    event.class = Class::ApplicationLifecycle;
    match (begun, ended) {
        (Some(version), _) => {
            event.activity_id = 3;
            event.push(Attribute::AppVersion, version.split(' ').next().unwrap_or(version));
            if let Some((builder, _)) = cut(version, " (").and_then(|(_, rest)| cut(rest, ")")) {
                event.unmap("builder", builder);
            }
        }
        (None, Some(how)) => {
            event.activity_id = if how.starts_with("Restarting") { 5 } else { 4 };
            event.unmap("how", how);
        }
        _ => return false,
    }
    event.push(Attribute::AppName, "Linux");
    event.push(Attribute::AppVendorName, "kernel.org");
    super::super::outcome::success(event);
    true
}

#[cfg(test)]
mod tests;
