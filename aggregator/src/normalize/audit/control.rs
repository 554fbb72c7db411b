//! What mandatory access control decided: SELinux and AppArmor (AVC, USER_AVC, APPARMOR_*), seccomp, Landlock, IPE.
//!
//! In: `avc:  denied  { read } for  pid=9 comm="x" name="y" scontext=… tcontext=… tclass=file permissive=0` (SELinux,
//! security/selinux/avc.c), `apparmor="DENIED" operation="open" profile="p" name="/y" …` (security/apparmor/audit.c),
//! `sig=31 syscall=132 code=0x0` (kernel/auditsc.c, `audit_seccomp`), `domain=… blockers=fs.read_file path="/y"`. Out: a file
//! (1001) where one was asked for, a connection (4001) where an address is told, else the kernel (1003); what the control
//! did, and the policy.

use std::borrow::Cow;

use super::record::Records;
use super::subject::{self, ACTOR};
use super::{Meaning, errno, outcome, paths, syscalls};
use crate::event::Event;
use crate::normalize::endpoint;
use crate::normalize::outcome::{Control, LOW, controlled};
use crate::normalize::text::port;
use crate::schema::{Attribute, Class};

/// Reads the event if it is a decision.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let is_apparmor = records.peek(meaning.main, "apparmor").is_some();
    match meaning.kind {
        _ if is_apparmor => apparmor(meaning, records, event),
        "AVC" | "USER_AVC" | "SELINUX_ERR" | "USER_SELINUX_ERR" => selinux(meaning, records, event),
        "SECCOMP" => seccomp(meaning, records, event),
        "LANDLOCK_ACCESS" => landlock(meaning, records, event),
        "IPE_ACCESS" => ipe(meaning, records, event),
        _ => return false,
    }
    // A policy is of the profile, whether or not something was decided.
    if event.value(Attribute::PolicyName).is_some() && event.value(Attribute::ActionId).is_none() {
        event.profile("security_control");
    }
    true
}

/// The kernel did something for the subject.
fn kernel<'a>(name: impl Into<Cow<'a, str>>, event: &mut Event<'a>) {
    event.class = Class::KernelActivity;
    event.activity_id = 4;
    event.push(Attribute::KernelName, name.into());
    event.push(Attribute::KernelTypeId, 0);
}

/// The subject; an event of the classes used here needs an actor.
fn actor<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let fields = event.fields.len();
    subject::push(records, meaning.subject(), &ACTOR, event);
    if event.fields.len() == fields && meaning.call.is_some() {
        subject::push(records, meaning.main, &ACTOR, event);
    }
    if event.fields.len() == fields && event.class != Class::NetworkActivity {
        event.push(Attribute::ActorAppName, "kernel");
    }
}

/// Activity of File System Activity (1001) for a permission of SELinux or a mask of AppArmor's words.
fn file_activity(word: &str) -> u8 {
    match word {
        "create" | "mknod" | "mkdir" | "add_name" | "link" | "symlink" => 1,
        "read" | "map" | "lock" | "file_lock" | "file_receive" | "getattr" | "file_inherit" => 2,
        "write" | "append" | "truncate" => 3,
        "unlink" | "rmdir" | "remove_name" => 4,
        "rename" | "rename_src" | "rename_dest" | "reparent" => 5,
        "setattr" => 6,
        "relabelfrom" | "relabelto" | "chmod" | "chown" => 7,
        "mounton" | "mount" => 12,
        "unmount" | "umount" => 13,
        _ => 14,
    }
}

fn selinux<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let record = meaning.main;
    let body = records.records.get(record).map_or("", |record| record.body);
    let denied = body.contains("denied");
    let permissions =
        body.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside.trim());
    if !permissions.is_empty() {
        event.unmap("permissions", permissions);
    }
    let permissive = records.peek(record, "permissive").is_some_and(|field| field.value == "1");
    let class = records.peek(record, "tclass").map(|field| field.value.clone()).unwrap_or_default();
    let is_file = class.ends_with("file") || matches!(&*class, "dir" | "filesystem");
    let activity = file_activity(permissions.split(' ').next_back().unwrap_or_default());
    let of_file = is_file && file(meaning, records, event, activity);
    let of_network = !of_file && class.ends_with("socket") && connection(record, records, event);
    if !of_file && !of_network {
        kernel(if class.is_empty() { Cow::Borrowed("selinux") } else { class }, event);
    }
    event.push(Attribute::PolicyName, "SELinux");
    if denied || body.contains("granted") {
        let control = match (denied, permissive) {
            (true, false) => Control::Blocked,
            (true, true) => Control::Observed,
            _ => Control::Allowed,
        };
        decided(control, event);
    }
    outcome(meaning, records, event);
    // The record of the decision names the subject too; the call's says it in full.
    actor(meaning, records, event);
}

fn decided(control: Control, event: &mut Event<'_>) {
    controlled(event, control);
    if control == Control::Blocked {
        event.severity_id = event.severity_id.max(LOW);
    }
}

/// The file: as the decision names it from the root on, else as the call's PATH does, else its bare name.
fn file<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>, activity: u8) -> bool {
    let full = ["path", "name"].into_iter().find(|key| {
        records.peek(meaning.main, key).is_some_and(|field| field.value.starts_with('/') || !field.is_text)
    });
    let item = paths::object(records).filter(|_| full.is_none());
    let pushed = match (full, item) {
        (None, Some(item)) => paths::push(records, item, event),
        (key, _) => {
            let key = key.unwrap_or("name");
            match records.take_text(meaning.main, key).or_else(|| records.take_text(meaning.main, "path")) {
                Some(path) => {
                    event.unmap("name", path.clone());
                    event.push(Attribute::FileTypeId, 0);
                    paths::push_file(path, (Attribute::FileName, Attribute::FilePath), event)
                }
                None => false,
            }
        }
    };
    if pushed {
        event.class = Class::FileActivity;
        event.activity_id = activity;
    }
    pushed
}

/// Addresses as SELinux and AppArmor write them: `saddr`/`laddr` here, `daddr`/`faddr` there.
fn connection<'a>(record: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let mut ends = false;
    for (keys, ports, (ip, port_attribute)) in [
        (["laddr", "saddr"], ["lport", "src"], (Attribute::SrcEndpointIp, Attribute::SrcEndpointPort)),
        (["faddr", "daddr"], ["fport", "dest"], (Attribute::DstEndpointIp, Attribute::DstEndpointPort)),
    ] {
        for (key, port_key) in keys.into_iter().zip(ports) {
            let Some(address) =
                records.peek(record, key).and_then(|field| endpoint::ip(&field.value).map(str::to_owned))
            else {
                continue;
            };
            records.take(record, key);
            event.push(ip, address);
            if let Some(port) = records.take(record, port_key).and_then(|text| port(&text)) {
                event.push(port_attribute, port);
            }
            ends = true;
        }
    }
    if ends {
        event.class = Class::NetworkActivity;
        event.activity_id = 4;
    }
    ends
}

fn apparmor<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let record = meaning.main;
    let verdict = records.take(record, "apparmor").unwrap_or_default();
    let operation = records.take(record, "operation").unwrap_or_default();
    let profile = records.take_text(record, "profile").or_else(|| records.take(record, "label"));
    event.unmap("apparmor", verdict.clone());
    event.unmap("operation", operation.clone());
    if operation.starts_with("profile_") {
        let name = records.take_text(record, "name");
        kernel("apparmor", event);
        event.activity_id = if operation == "profile_remove" { 3 } else { 1 };
        if let Some(name) = name.or(profile) {
            event.push(Attribute::PolicyName, name);
        }
    } else {
        let is_file = !matches!(&*operation, "capable" | "ptrace" | "signal" | "change_hat" | "change_profile");
        let of_network = connection(record, records, event);
        let of_file = !of_network && is_file && file(meaning, records, event, file_activity(&operation));
        if !of_network && !of_file {
            kernel(operation, event);
        }
        if let Some(profile) = profile {
            event.push(Attribute::PolicyName, profile);
        }
    }
    match &*verdict {
        "DENIED" | "KILLED" => decided(Control::Blocked, event),
        "ALLOWED" => decided(Control::Allowed, event),
        "AUDIT" => decided(Control::Observed, event),
        _ => {}
    }
    outcome(meaning, records, event);
    match records.take(record, "info") {
        Some(info) if event.value(Attribute::StatusDetail).is_none() => event.push(Attribute::StatusDetail, info),
        Some(info) => event.unmap("info", info),
        None => {}
    }
    // `fsuid` is who asked; `ouid` who owns the file.
    if let Some(owner) = records.take(record, "ouid").filter(|_| event.class == Class::FileActivity)
        && event.value(Attribute::FileOwnerUid).is_none()
    {
        event.push(Attribute::FileOwnerUid, owner);
    }
    let user = records.peek(record, "fsuid").map(|field| field.value.clone());
    actor(meaning, records, event);
    if let Some(user) = user.filter(|_| event.value(Attribute::ActorUserUid).is_none()) {
        event.push(Attribute::ActorUserUid, user);
    }
}

/// What the filter did (linux/seccomp.h, `SECCOMP_RET_*`).
fn action(code: &str) -> (Control, &'static str) {
    match code.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0) & 0xffff_0000 {
        0x8000_0000 => (Control::Blocked, "kill process"),
        0x0000_0000 => (Control::Blocked, "kill thread"),
        0x0003_0000 => (Control::Blocked, "trap"),
        0x0005_0000 => (Control::Blocked, "errno"),
        0x7fc0_0000 => (Control::Observed, "user notification"),
        0x7ff0_0000 => (Control::Observed, "trace"),
        0x7ffc_0000 => (Control::Observed, "log"),
        _ => (Control::Allowed, "allow"),
    }
}

fn seccomp<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let record = meaning.main;
    let value = |records: &Records<'a>, key| records.peek(record, key).map(|f| f.value.clone()).unwrap_or_default();
    let (arch, number) = (value(records, "arch"), value(records, "syscall"));
    event.class = Class::KernelActivity;
    event.activity_id = 4;
    event.push(Attribute::KernelTypeId, 2);
    let name = syscalls::name(&arch, &number);
    event.push(Attribute::KernelName, name.map_or(number, Cow::Borrowed));
    if let Some(name) = name {
        event.push(Attribute::KernelSystemCall, name);
        event.unmap("SYSCALL", name);
    }
    event.push(Attribute::PolicyName, "seccomp");
    let (control, said) = action(&value(records, "code"));
    decided(control, event);
    event.push(Attribute::StatusDetail, said);
    if let Some(signal) = errno::signal(&value(records, "sig")) {
        event.push(Attribute::StatusCode, signal);
        event.severity_id = event.severity_id.max(3);
    }
    actor(meaning, records, event);
}

fn landlock<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let blockers = records.peek(meaning.main, "blockers").map(|field| field.value.clone()).unwrap_or_default();
    let operation = blockers.split(',').next().unwrap_or_default();
    let word = operation.rsplit('.').next().unwrap_or_default().split('_').next().unwrap_or_default();
    let activity = match word {
        "make" => 1,
        "remove" => 4,
        word => file_activity(word),
    };
    if !connection(meaning.main, records, event) && !file(meaning, records, event, activity) {
        kernel(operation.to_owned(), event);
    }
    event.push(Attribute::PolicyName, "Landlock");
    decided(Control::Blocked, event);
    outcome(meaning, records, event);
    actor(meaning, records, event);
}

fn ipe<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) {
    let enforcing = records.peek(meaning.main, "enforcing").is_none_or(|field| field.value == "1");
    if !file(meaning, records, event, 14) {
        kernel("ipe", event);
    }
    event.push(Attribute::PolicyName, "IPE");
    decided(if enforcing { Control::Blocked } else { Control::Observed }, event);
    outcome(meaning, records, event);
    actor(meaning, records, event);
}
