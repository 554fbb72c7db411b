//! What the kernel reports besides system calls: packet filters, programs of BPF, modules, time, integrity, policies,
//! promiscuous interfaces, links that were refused; and what programs report that has no class of its own.
//!
//! In: NETFILTER_CFG, BPF, KERN_MODULE, TIME_*, INTEGRITY_*, MAC_*, ANOM_PROMISCUOUS, ANOM_LINK, URINGOP, KERNEL, …, with the
//! system call that they came with. Out: kernel activity (1003), a module (1002), a file (1001); messages of programs
//! become an activity of their process (1007).

use std::borrow::Cow;

use super::record::Records;
use super::subject::{self, ACTOR, PROCESS};
use super::{Meaning, outcome, paths, syscalls};
use crate::event::Event;
use crate::normalize::endpoint;
use crate::normalize::outcome::{Control, LOW, controlled};
use crate::normalize::text::{number, port};
use crate::schema::{Attribute, Class};

/// `severity_id` 3.
const MEDIUM: u8 = 3;

/// Reads the event if it is one of these.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    match meaning.kind {
        "KERN_MODULE" => module(meaning, records, event),
        "ANOM_LINK" | "ANOM_CREAT" => refused(meaning, records, event),
        kind if kind.starts_with("INTEGRITY_") => integrity(meaning, records, event),
        "NETFILTER_PKT" if packet(meaning, records, event) => true,
        kind => match subsystem(kind) {
            Some(name) => of_kernel(name, meaning, records, event),
            None if is_of_program(kind) => of_program(meaning, records, event),
            None => false,
        },
    }
}

/// The part of the kernel that a type is about.
fn subsystem(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "NETFILTER_CFG" | "NETFILTER_PKT" => "netfilter",
        "BPF" => "bpf",
        "TIME_INJOFFSET" | "TIME_ADJNTPVAL" => "clock",
        "ANOM_PROMISCUOUS" => "promiscuous mode",
        "URINGOP" => "io_uring",
        "KERNEL" => "audit",
        "REPLACE" | "EVENT_LISTENER" => "audit",
        "DM_CTRL" | "DM_EVENT" => "device mapper",
        "IPE_CONFIG_CHANGE" | "IPE_POLICY_LOAD" => "ipe",
        "LANDLOCK_DOMAIN" => "landlock",
        "MAC_POLICY_LOAD"
        | "MAC_STATUS"
        | "MAC_CONFIG_CHANGE"
        | "USER_MAC_POLICY_LOAD"
        | "USER_MAC_CONFIG_CHANGE"
        | "USER_MAC_STATUS"
        | "FS_RELABEL"
        | "LABEL_OVERRIDE"
        | "LABEL_LEVEL_CHANGE"
        | "MAC_CHECK" => "selinux",
        _ if kind.starts_with("MAC_IPSEC") => "ipsec",
        _ if kind.starts_with("MAC_") => "netlabel",
        _ => return None,
    })
}

/// Types that programs send.
fn is_of_program(kind: &str) -> bool {
    super::kinds::stands_alone(kind) || kind.starts_with("DEV_")
}

/// Activity of Kernel Activity (1003): what was made, or taken away, or called.
fn activity(op: &str) -> u8 {
    let has = |words: &[&str]| words.iter().any(|word| op.contains(word));
    if has(&["unregister", "unload", "delete", "remove", "del"]) {
        3
    } else if has(&["register", "load", "add", "create"]) {
        1
    } else {
        4
    }
}

fn of_kernel<'a>(name: &'static str, meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let op = records.peek(meaning.main, "op").map(|field| field.value.to_ascii_lowercase()).unwrap_or_default();
    event.class = Class::KernelActivity;
    event.activity_id = activity(&op);
    event.push(Attribute::KernelName, name);
    event.push(Attribute::KernelTypeId, 0);
    if let Some(call) = system_call(meaning, records, event) {
        event.push(Attribute::KernelSystemCall, call);
    }
    outcome(meaning, records, event);
    actor(meaning, records, event);
    let weighs = matches!(meaning.kind, "ANOM_PROMISCUOUS" | "MAC_STATUS" | "MAC_POLICY_LOAD" | "BPF");
    if weighs {
        event.severity_id = event.severity_id.max(LOW);
    }
    // SELinux was told to let pass what it would deny, or switched off.
    let off = |key: &str| records.peek(meaning.main, key).is_some_and(|field| field.value == "0");
    if meaning.kind == "MAC_STATUS" && (off("enforcing") || off("enabled")) {
        event.severity_id = event.severity_id.max(MEDIUM);
    }
    true
}

/// A packet that a rule of netfilter's AUDIT target saw: `saddr=192.0.2.1 daddr=198.51.100.2 proto=6`, of kernels before 4.12
/// with ports, interfaces and what the rule did (net/netfilter/xt_AUDIT.c).
fn packet<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let end = |key: &str, records: &Records<'a>| {
        records.peek(meaning.main, key).and_then(|field| endpoint::ip(&field.value).map(str::to_owned))
    };
    let (Some(source), Some(destination)) = (end("saddr", records), end("daddr", records)) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    event.push(Attribute::ConnectionDirectionId, 0);
    event.push(Attribute::ConnectionProtocolVerId, if source.contains(':') { 6 } else { 4 });
    event.push(Attribute::SrcEndpointIp, source);
    event.push(Attribute::DstEndpointIp, destination);
    for key in ["saddr", "daddr"] {
        records.take(meaning.main, key);
    }
    for (key, attribute) in [("sport", Attribute::SrcEndpointPort), ("dport", Attribute::DstEndpointPort)] {
        if let Some(port) = records.take(meaning.main, key).and_then(|text| port(&text)) {
            event.push(attribute, port);
        }
    }
    if let Some(number) = records.take(meaning.main, "proto").and_then(|text| number(&text)) {
        event.push(Attribute::ConnectionProtocolNum, number);
    }
    match records.take(meaning.main, "action").as_deref() {
        Some("0") => controlled(event, Control::Allowed),
        Some("1") => controlled(event, Control::Dropped),
        Some("2") => controlled(event, Control::Rejected),
        _ => {}
    }
    true
}

/// The system call in whose course the record came.
pub(super) fn system_call<'a>(
    meaning: &Meaning<'a>,
    records: &mut Records<'a>,
    event: &mut Event<'a>,
) -> Option<Cow<'a, str>> {
    let call = meaning.call?;
    if let Some(named) = records.peek(call, "SYSCALL") {
        // The name stays for rules too.
        return Some(named.value.clone());
    }
    let arch = records.peek(call, "arch").map(|field| field.value.clone()).unwrap_or_default();
    let name = records.peek(call, "syscall").and_then(|number| syscalls::name(&arch, &number.value))?;
    event.unmap("SYSCALL", name);
    Some(Cow::Borrowed(name))
}

/// The subject: the call's, else the record's own, else the kernel.
pub(super) fn actor<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let fields = event.fields.len();
    subject::push(records, meaning.subject(), &ACTOR, event);
    if event.fields.len() == fields {
        event.push(Attribute::ActorAppName, "kernel");
    }
    if let Some(title) = records.find("PROCTITLE").and_then(|record| records.take_text(record, "proctitle")) {
        event.push(Attribute::ActorProcessCmdLine, title);
    }
}

/// `name="nf_tables"`, with a call that loads or unloads modules.
fn module<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(name) = records.take_text(meaning.main, "name") else { return false };
    event.class = Class::KernelExtensionActivity;
    let call = system_call(meaning, records, event);
    event.activity_id = if call.as_deref() == Some("delete_module") { 2 } else { 1 };
    event.unmap("name", name.clone());
    event.push(Attribute::DriverFileName, name);
    event.push(Attribute::DriverFileTypeId, 1);
    event.severity_id = event.severity_id.max(LOW);
    outcome(meaning, records, event);
    actor(meaning, records, event);
    true
}

/// A link or file that the kernel refused: `op=linkat ppid=… res=0`, with the PATH of what it was about.
fn refused<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let item = paths::object(records);
    let named = item.is_some_and(|item| paths::push(records, item, event));
    if named {
        event.class = Class::FileActivity;
        event.activity_id = 1;
    } else {
        event.class = Class::KernelActivity;
        event.activity_id = 4;
        event.push(Attribute::KernelName, "protected links");
        event.push(Attribute::KernelTypeId, 0);
    }
    controlled(event, Control::Blocked);
    system_call(meaning, records, event);
    outcome(meaning, records, event);
    let fields = event.fields.len();
    subject::push(records, meaning.main, &ACTOR, event);
    if event.fields.len() == fields {
        actor(meaning, records, event);
    }
    event.severity_id = event.severity_id.max(LOW);
    true
}

/// IMA and EVM: `op=appraise_data cause=invalid-signature comm="x" name="/y" dev=… ino=… res=0`.
fn integrity<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let key = ["file", "name"].into_iter().find(|key| records.peek(meaning.main, key).is_some());
    let path = key.and_then(|key| records.take_text(meaning.main, key)).filter(|path| path.starts_with('/'));
    match path {
        Some(path) => {
            event.class = Class::FileActivity;
            event.activity_id = 99;
            event.push(Attribute::ActivityName, "Integrity");
            event.unmap("name", path.clone());
            paths::push_file(path, (Attribute::FileName, Attribute::FilePath), event);
            event.push(Attribute::FileTypeId, 1);
        }
        None => {
            event.class = Class::KernelActivity;
            event.activity_id = 4;
            event.push(Attribute::KernelName, "integrity");
            event.push(Attribute::KernelTypeId, 0);
        }
    }
    outcome(meaning, records, event);
    actor(meaning, records, event);
    true
}

/// What a program reports: an activity of its process.
fn of_program<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    if records.peek(meaning.main, "pid").is_none() {
        return false;
    }
    event.class = Class::ProcessActivity;
    event.activity_id = 99;
    event.push(Attribute::ActivityName, meaning.kind);
    subject::push(records, meaning.main, &PROCESS, event);
    event.push(Attribute::ActorAppName, "audit");
    if event.value(Attribute::ProcessPid).is_none() {
        event.push(Attribute::ProcessUid, meaning.stamp.text);
    }
    outcome(meaning, records, event);
    true
}
