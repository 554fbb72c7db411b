//! systemd and its kin: units that start, stop and fail, and the host that does (6002); mounts (1001).
//!
//! In: messages of process 1 or of a user's manager. A unit is named as the message names it: by its own name, or by its
//! description where that is all it says. Source: `job.c` (`job_get_done_message_format`), `unit.c`, `service.c`, `mount.c`,
//! `main.c`, `manager.c` of systemd; `rc` and `initlog` of Red Hat's SysV scripts; upstart's `init`.

use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Application Lifecycle (6002).
#[derive(Clone, Copy)]
enum Life {
    Start = 3,
    Stop = 4,
    Restart = 5,
    /// With its word in `activity_name`.
    Other = 99,
}

/// The host's own life goes under this name.
const SYSTEM: &str = "Linux";
/// Units are of these kinds.
const KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".mount",
    ".timer",
    ".slice",
    ".scope",
    ".swap",
    ".path",
    ".device",
    ".automount",
];

/// Reads a message of systemd.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    unit_state(message, event)
        || mount(message, event)
        || job(message, event)
        || manager(message, event)
        || remark("systemd", message, event)
}

/// Reads a message of SysV's or upstart's init, and of shutdown.
pub(super) fn parse_init<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    // init: foo main process (123) terminated with status 1
    if let Some((name, rest)) = cut(message, " main process (").filter(|(name, _)| !name.contains(' ')) {
        app(Life::Stop, "", name, event);
        failure(event, cut(rest, ") ").map_or(rest, |(_, reason)| reason));
        return true;
    }
    let (life, detail) = match message {
        _ if message.starts_with("Switching to runlevel: 0") || message.starts_with("Switching to runlevel: 6") => {
            (Life::Stop, message)
        }
        _ if message.starts_with("shutting down for system ") => (Life::Stop, message),
        _ if message.starts_with("Entering runlevel: ") || message.starts_with("Switching to runlevel: ") => {
            (Life::Start, message)
        }
        _ => return false,
    };
    app(life, "", SYSTEM, event);
    event.push(Attribute::StatusDetail, detail);
    success(event);
    true
}

/// Reads a message of systemd-coredump: `Process 7 (example) of user 1000 dumped core.`
pub(super) fn parse_coredump<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((pid, rest)) = message.strip_prefix("Process ").and_then(|rest| cut(rest, " (")) else { return false };
    let Some((name, rest)) = cut(rest, ") of user ").filter(|(_, rest)| rest.contains(" dumped core")) else {
        return false;
    };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.unmap("crashed.name", name);
    event.unmap("crashed.pid", pid);
    event.push(Attribute::ActorUserUid, word(rest).0);
    failure(event, "dumped core");
    true
}

/// What a SysV script says under the name of its own program: `cupsd startup succeeded`, `cupsd shutdown failed`.
pub(super) fn parse_script<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let (rest, went_well) = match (message.strip_suffix(" succeeded"), message.strip_suffix(" failed")) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return false,
    };
    let (life, name) = match (rest.strip_suffix(" startup"), rest.strip_suffix(" shutdown")) {
        (Some(name), _) => (Life::Start, name),
        (_, Some(name)) => (Life::Stop, name),
        _ => return false,
    };
    if name.is_empty() || name.contains(' ') {
        return false;
    }
    app(life, "", name, event);
    if went_well {
        success(event);
    } else {
        failure(event, "failed");
    }
    true
}

fn app<'a>(life: Life, word: &'static str, name: &'a str, event: &mut Event<'a>) {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = life as u8;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
    event.push(Attribute::AppName, name);
}

fn is_unit(word: &str) -> bool {
    word.len() > 5 && KINDS.iter().any(|kind| word.ends_with(kind))
}

/// `a.service: Main process exited, code=exited, status=1/FAILURE`, `a.service: Failed with result 'exit-code'.`,
/// `a.service: Deactivated successfully.`, `Unit a.service entered failed state.`, `a.service failed.`
fn unit_state<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (unit, what) = match cut(message, ": ").filter(|(unit, _)| is_unit(unit)) {
        Some(found) => found,
        None => {
            let rest = message.strip_prefix("Unit ").unwrap_or(message);
            let (unit, what) = word(rest);
            let fails = what.starts_with("entered failed state") || what.starts_with("failed");
            match is_unit(unit) && (fails || what.contains("timed out")) {
                true => (unit, what),
                false => return false,
            }
        }
    };
    let what = what.trim_end_matches('.');
    let lower = what.get(..1).is_some_and(|first| first.bytes().all(|b| b.is_ascii_lowercase()));
    let starts = |text: &str| what.starts_with(text) || (lower && what.starts_with(&text.to_ascii_lowercase()));
    if starts("Main process exited, ") || starts("Control process exited, ") || starts("Child ") {
        app(Life::Stop, "", unit, event);
        let status = cut(what, "status=").map_or("", |(_, status)| status);
        if !status.is_empty() {
            event.push(Attribute::StatusCode, status);
        }
        if status.starts_with("0/") || status.ends_with("/TERM") {
            success(event);
        } else {
            failure(event, what);
        }
    } else if starts("Succeeded") || starts("Deactivated successfully") {
        app(Life::Stop, "", unit, event);
        success(event);
    } else if starts("Failed with result ") {
        app(Life::Stop, "", unit, event);
        failure(event, between(what, "'", "'").map_or(what, |(result, _)| result));
    } else if starts("Scheduled restart job") || starts("Service hold-off time over") || starts("Service RestartSec=") {
        app(Life::Restart, "", unit, event);
        if let Some((_, counter)) = cut(what, "counter is at ") {
            event.unmap("restart_counter", counter);
        }
        success(event);
    } else if starts("Start request repeated too quickly")
        || starts("Failed to ")
        || starts("Start operation timed out")
    {
        app(Life::Start, "", unit, event);
        failure(event, what);
    } else if starts("Unit entered failed state")
        || starts("Failed")
        || starts("Watchdog timeout")
        || what.contains("failed")
    {
        app(Life::Stop, "", unit, event);
        failure(event, what);
    } else {
        let word = if starts("Consumed ") {
            "Resources"
        } else if starts("Killing process ") || starts("Sent signal ") {
            "Kill"
        } else if starts("Changed ") || what.contains(" -> ") {
            "State Change"
        } else {
            "Notice"
        };
        if what.ends_with("killed by the OOM killer") {
            app(Life::Other, "OOM Kill", unit, event);
            failure(event, what);
            // As what the kernel says of it.
            event.severity_id = event.severity_id.max(4);
        } else if what.contains("timed out") {
            app(Life::Other, word, unit, event);
            failure(event, what);
        } else {
            app(Life::Other, word, unit, event);
            event.push(Attribute::StatusDetail, what);
        }
    }
    true
}

/// `Mounted /boot.`, `Unmounted boot.mount - /boot.` The class needs an actor: a process id.
fn mount<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    const MOUNT: u8 = 12;
    const UNMOUNT: u8 = 13;
    const FOLDER: i64 = 2;
    let (activity, what) = match (message.strip_prefix("Mounted "), message.strip_prefix("Unmounted ")) {
        (Some(what), _) => (MOUNT, what),
        (_, Some(what)) => (UNMOUNT, what),
        _ => return false,
    };
    let what = what.trim_end_matches('.');
    let (unit, path) = cut(what, " - ").unwrap_or(("", what));
    if !path.starts_with('/') || event.value(Attribute::ActorProcessPid).is_none() {
        return false;
    }
    event.class = Class::FileActivity;
    event.activity_id = activity;
    event.push(Attribute::FileName, Some(base_name(path)).filter(|name| !name.is_empty()).unwrap_or("/"));
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, FOLDER);
    if !unit.is_empty() {
        event.unmap("unit", unit);
    }
    success(event);
    true
}

/// How a job of a unit went: the words before the unit, what it means, and whether it went well.
static JOBS: [(&str, Life, &str, bool); 31] = [
    ("Failed to start ", Life::Start, "", false),
    ("Failed to stop ", Life::Stop, "", false),
    ("Failed to reload ", Life::Other, "Reload", false),
    ("Failed to mount ", Life::Start, "", false),
    ("Failed to listen on ", Life::Start, "", false),
    ("Dependency failed for ", Life::Start, "", false),
    ("Timed out starting ", Life::Start, "", false),
    ("Timed out waiting for ", Life::Start, "", false),
    ("Starting ", Life::Other, "Starting", true),
    ("Started ", Life::Start, "", true),
    ("Stopping ", Life::Other, "Stopping", true),
    ("Stopped ", Life::Stop, "", true),
    ("Reloading ", Life::Other, "Reloading", true),
    ("Reloaded ", Life::Other, "Reload", true),
    ("Finished ", Life::Other, "Finish", true),
    ("Listening on ", Life::Start, "", true),
    ("Closed ", Life::Stop, "", true),
    ("Reached target ", Life::Start, "", true),
    ("Created slice ", Life::Start, "", true),
    ("Removed slice ", Life::Stop, "", true),
    ("Set up automount ", Life::Start, "", true),
    ("Unset automount ", Life::Stop, "", true),
    ("Activated swap ", Life::Start, "", true),
    ("Deactivated swap ", Life::Stop, "", true),
    ("Mounted ", Life::Start, "", true),
    ("Unmounted ", Life::Stop, "", true),
    ("Mounting ", Life::Other, "Starting", true),
    ("Unmounting ", Life::Other, "Stopping", true),
    ("Activating swap ", Life::Other, "Starting", true),
    ("Deactivating swap ", Life::Other, "Stopping", true),
    ("Condition check resulted in ", Life::Other, "Skip", true),
];

/// `Started Example Daemon.`, `Started a.service - Example Daemon.`, `Failed to start Example Daemon.`
fn job<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let found = JOBS.iter().find_map(|job| message.strip_prefix(job.0).map(|rest| (job, rest)));
    let Some(((start, life, word, went_well), rest)) = found else {
        let Some((what, reason)) = cut(message, " was skipped because ") else { return false };
        app(Life::Other, "Skip", named(what, event), event);
        event.push(Attribute::StatusDetail, reason);
        return true;
    };
    let rest = rest.strip_prefix("target ").unwrap_or(rest).trim_end_matches('.');
    let rest = rest.strip_suffix(" being skipped").unwrap_or(rest);
    if rest.is_empty() {
        return false;
    }
    let name = named(rest, event);
    app(*life, word, name, event);
    if *went_well {
        success(event);
    } else {
        failure(event, start.trim_end());
    }
    true
}

/// The unit's name, where both name and description stand; its description goes beside it.
fn named<'a>(what: &'a str, event: &mut Event<'a>) -> &'a str {
    match cut(what, " - ").filter(|(unit, _)| is_unit(unit)) {
        Some((unit, description)) => {
            event.unmap("description", description);
            unit
        }
        None => what,
    }
}

/// The manager itself, and the host: `systemd 255 running in system mode (…)`, `Startup finished in …`, `Shutting down.`,
/// `Reloading.`, `Reexecuting.`
fn manager<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((version, rest)) = message.strip_prefix("systemd ").and_then(|rest| cut(rest, " running in ")) {
        app(Life::Start, "", "systemd", event);
        event.push(Attribute::AppVersion, word(version).0);
        event.unmap("mode", word(rest).0);
        success(event);
        return true;
    }
    if message.starts_with("Failed to ") {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        failure(event, message);
        return true;
    }
    let (life, word, name) = match message {
        _ if message.starts_with("Startup finished in ") => (Life::Start, "", SYSTEM),
        _ if message.starts_with("Shutting down") => (Life::Stop, "", SYSTEM),
        _ if message.starts_with("Reloading") => (Life::Other, "Reload", "systemd"),
        _ if message.starts_with("Reexecuting") => (Life::Restart, "", "systemd"),
        _ => return false,
    };
    app(life, word, name, event);
    event.push(Attribute::StatusDetail, message.trim_end_matches('.'));
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn units_start_stop_and_fail() {
        for (message, activity, name, status) in [
            ("Started Example Daemon.", 3, "Example Daemon", Some(1)),
            ("Started a.service - Example Daemon.", 3, "a.service", Some(1)),
            ("Failed to start Example Daemon.", 3, "Example Daemon", Some(2)),
            ("Stopped Example Daemon.", 4, "Example Daemon", Some(1)),
            ("Reloaded Example Daemon.", 99, "Example Daemon", Some(1)),
            ("Reached target Multi-User System.", 3, "Multi-User System", Some(1)),
            ("a.service: Main process exited, code=exited, status=1/FAILURE", 4, "a.service", Some(2)),
            ("a.service: main process exited, code=killed, status=9/KILL", 4, "a.service", Some(2)),
            ("a.service: Failed with result 'exit-code'.", 4, "a.service", Some(2)),
            ("a.service: Deactivated successfully.", 4, "a.service", Some(1)),
            ("Unit a.service entered failed state.", 4, "a.service", Some(2)),
            ("a.service failed.", 4, "a.service", Some(2)),
            ("a.service: Scheduled restart job, restart counter is at 5.", 5, "a.service", Some(1)),
            ("a.service: Start request repeated too quickly.", 3, "a.service", Some(2)),
            ("a.service: Consumed 1.2s CPU time.", 99, "a.service", None),
            ("Startup finished in 1.2s (kernel) + 3.4s (userspace) = 4.6s.", 3, "Linux", Some(1)),
            ("systemd 255.4-1 running in system mode (+PAM)", 3, "systemd", Some(1)),
            ("Condition check resulted in Example being skipped.", 99, "Example", Some(1)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h systemd[1]: {message}"));
            assert_eq!(event["type_uid"], 600_200 + activity, "{message}");
            assert_eq!(event["app"]["name"], name, "{message}");
            assert_eq!(event["status_id"].as_i64(), status, "{message}");
        }
        let event =
            normalized("Mar 16 10:00:00 h systemd[1]: a.service: Main process exited, code=exited, status=1/FAILURE");
        assert_eq!(event["status_code"], "1/FAILURE");
        let event = normalized("Mar 16 10:00:00 h systemd[1]: Detected virtualization kvm.");
        assert_eq!(event["type_uid"], 600_299);
    }

    #[test]
    fn mounts_and_older_inits_are_read() {
        let event = normalized("Mar 16 10:00:00 h systemd[1]: Mounted boot-efi.mount - /boot/efi.");
        assert_eq!(event["type_uid"], 100_112);
        assert_eq!(event["file"]["path"], "/boot/efi");
        let event = normalized("Mar 16 10:00:00 h cups: cupsd startup succeeded");
        assert_eq!(event["type_uid"], 600_203);
        assert_eq!(event["app"]["name"], "cupsd");
        let event = normalized("Mar 16 10:00:00 h init: foo main process (12) terminated with status 1");
        assert_eq!(event["type_uid"], 600_204);
        assert_eq!(event["status_id"], 2);
        let event = normalized("Mar 16 10:00:00 h shutdown[9]: shutting down for system reboot");
        assert_eq!(event["app"]["name"], "Linux");
    }
}
