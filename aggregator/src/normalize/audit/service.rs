//! Services, the system, virtual machines, packages (6002), and the audit daemon and its rules (1008).
//!
//! In: SERVICE_START, SERVICE_STOP (systemd), SYSTEM_BOOT, SYSTEM_SHUTDOWN, SYSTEM_RUNLEVEL, VIRT_* (libvirt),
//! SOFTWARE_UPDATE (rpm, dnf, pip), DAEMON_* (auditd), CONFIG_CHANGE, FEATURE_CHANGE (the kernel). Out: what started,
//! stopped or was changed, by whom.

use super::record::Records;
use super::subject::{self, ACTOR};
use super::{Meaning, login, outcome};
use crate::event::Event;
use crate::normalize::outcome::LOW;
use crate::normalize::package::rpm;
use crate::normalize::text::{base_name, port};
use crate::schema::{Attribute, Class};

/// Activities of Application Lifecycle (6002).
const INSTALL: u8 = 1;
const REMOVE: u8 = 2;
const START: u8 = 3;
const STOP: u8 = 4;
const UPDATE: u8 = 8;
const OTHER: u8 = 99;

/// Reads the event if it is about one of these.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let kind = meaning.kind;
    if kind.starts_with("DAEMON_") || matches!(kind, "CONFIG_CHANGE" | "FEATURE_CHANGE" | "USYS_CONFIG") {
        return log(meaning, records, event);
    }
    let read = match kind {
        "SERVICE_START" => unit(START, meaning, records, event),
        "SERVICE_STOP" => unit(STOP, meaning, records, event),
        "SYSTEM_BOOT" => system(START, event),
        "SYSTEM_SHUTDOWN" => system(STOP, event),
        "SYSTEM_RUNLEVEL" => system(OTHER, event),
        "SOFTWARE_UPDATE" => package(meaning, records, event),
        _ if kind.starts_with("VIRT_") => machine(meaning, records, event),
        _ => false,
    };
    if read {
        if event.activity_id == OTHER {
            let op = records.take(meaning.main, "op");
            event.push(Attribute::ActivityName, op.unwrap_or(kind.into()));
        }
        subject::push(records, meaning.main, &ACTOR, event);
        outcome(meaning, records, event);
    }
    read
}

fn unit<'a>(activity: u8, meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    // The first of systemd's named the unit as the command.
    let unit = records.take_text(meaning.main, "unit").or_else(|| {
        records.peek(meaning.main, "comm").map(|field| field.value.clone()).filter(|comm| comm != "systemd")
    });
    let Some(unit) = unit else { return false };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.unmap("unit", unit.clone());
    event.push(Attribute::AppName, unit);
    true
}

fn system(activity: u8, event: &mut Event<'_>) -> bool {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, "Linux");
    true
}

/// `sw="bash-5.1-2.x86_64" sw_type=rpm op=update`.
fn package<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(software) = records.take_text(meaning.main, "sw") else { return false };
    event.class = Class::ApplicationLifecycle;
    let op = records.peek(meaning.main, "op").map(|field| field.value.clone()).unwrap_or_default();
    event.activity_id = match &*op {
        "install" => INSTALL,
        "remove" | "erase" => REMOVE,
        "update" | "upgrade" => UPDATE,
        _ => OTHER,
    };
    if records.peek(meaning.main, "sw_type").is_none_or(|kind| kind.value != "rpm") {
        event.push(Attribute::AppName, software);
        return true;
    }
    let (name, version, architecture) = rpm::split(&software);
    event.push(Attribute::AppName, name.to_owned());
    if !version.is_empty() {
        event.push(Attribute::AppVersion, version.to_owned());
    }
    if !architecture.is_empty() {
        event.unmap("architecture", architecture.to_owned());
    }
    true
}

/// `virt=kvm op=start reason=booted vm="web" uuid=…`; Docker names none: `reason=api op=create vm=? … exe="/usr/bin/dockerd"`.
fn machine<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let exe = records.peek(meaning.main, "exe").filter(|_| meaning.kind == "VIRT_CONTROL");
    let daemon = exe.map(|exe| base_name(&exe.value).to_owned().into());
    let Some(machine) = records.take_text(meaning.main, "vm").or(daemon) else { return false };
    event.class = Class::ApplicationLifecycle;
    let op = records.peek(meaning.main, "op").map(|field| field.value.clone()).unwrap_or_default();
    event.activity_id = match (meaning.kind, &*op) {
        ("VIRT_CONTROL", "start") => START,
        ("VIRT_CONTROL", "stop") => STOP,
        ("VIRT_CREATE", _) => INSTALL,
        ("VIRT_DESTROY", _) => REMOVE,
        ("VIRT_RESOURCE", _) => UPDATE,
        _ => OTHER,
    };
    event.push(Attribute::AppName, machine);
    if let Some(uid) = records.take(meaning.main, "uuid") {
        event.push(Attribute::AppUid, uid);
    }
    true
}

/// The audit log itself: who writes it, and by which rules.
fn log<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let record = meaning.main;
    let op = records.peek(record, "op").map(|field| field.value.clone()).unwrap_or_default();
    let enabled = records.peek(record, "audit_enabled").map(|field| field.value.clone());
    let (activity, name) = match (meaning.kind, enabled.as_deref()) {
        ("DAEMON_START", _) => (6, ""),
        ("DAEMON_END" | "DAEMON_ABORT", _) => (7, ""),
        ("DAEMON_ROTATE", _) => (5, ""),
        ("DAEMON_RESUME", _) | ("CONFIG_CHANGE", Some("1" | "2")) => (9, ""),
        ("CONFIG_CHANGE", Some("0")) => (10, ""),
        ("DAEMON_ACCEPT", _) => (99, "Connection Accepted"),
        ("DAEMON_CLOSE", _) => (99, "Connection Closed"),
        ("DAEMON_ERR", _) => (99, "Error"),
        ("CONFIG_CHANGE", None) if op.contains("rule") => (99, "Rule Change"),
        _ => (99, "Configuration Change"),
    };
    event.class = Class::EventLogActivity;
    event.activity_id = activity;
    if !name.is_empty() {
        event.push(Attribute::ActivityName, name);
    }
    event.push(Attribute::LogName, "audit");
    event.push(Attribute::LogProvider, if meaning.kind.starts_with("DAEMON_") { "auditd" } else { "kernel" });
    if login::source(records, record, event)
        && let Some(port) = records.take(record, "port").and_then(|text| port(&text))
    {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if let Some(exe) = meaning.call.and_then(|call| records.peek(call, "exe")) {
        let program = base_name(&exe.value).to_owned();
        event.unmap("program", program);
    }
    subject::push(records, meaning.subject(), &ACTOR, event);
    outcome(meaning, records, event);
    let weighs = activity == 7 || activity == 10 || !op.is_empty();
    event.severity_id = event.severity_id.max(if weighs { LOW } else { 1 });
    if meaning.kind == "DAEMON_ABORT" || activity == 10 {
        event.severity_id = event.severity_id.max(3);
    }
    true
}
