//! sudo: a command that was run is a process launch (1007), one that was refused a failed account switch
//! (3002).
//!
//! `bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/ls -l`; a refusal stands before the fields:
//! `bob : command not allowed ; TTY=…`. `COMMAND` is last and takes the rest.

use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{base_name, cut, number, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `file.type_id` 8: an executable file.
const EXECUTABLE: i64 = 8;
/// `launch_type_id` 3: exec.
const EXEC: i64 = 3;

/// What a line of sudo says.
#[derive(Default)]
struct Run<'a> {
    reason: &'a str,
    terminal: &'a str,
    directory: &'a str,
    user: &'a str,
    group: &'a str,
    command: &'a str,
}

/// Reads a message of sudo.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((caller, rest)) = cut(message, " : ") else { return false };
    let caller = caller.trim();
    let run = fields(rest);
    if caller.is_empty() || caller.contains(' ') || run.command.is_empty() {
        return false;
    }
    event.push(Attribute::ActorUserName, caller);
    if run.reason.is_empty() {
        launched(&run, event)
    } else {
        refused(&run, event)
    }
    true
}

fn fields(text: &str) -> Run<'_> {
    let mut run = Run::default();
    let mut rest = text;
    loop {
        let segment = rest.trim_start();
        if let Some(command) = segment.strip_prefix("COMMAND=") {
            run.command = command.trim_end();
            return run;
        }
        let (field, after) = cut(segment, " ; ").map_or((segment, None), |(field, after)| (field, Some(after)));
        match field.split_once('=') {
            Some(("TTY", value)) => run.terminal = value,
            Some(("PWD", value)) => run.directory = value,
            Some(("USER", value)) => run.user = value,
            Some(("GROUP", value)) => run.group = value,
            Some((key, _)) if key.bytes().all(|b| b.is_ascii_uppercase()) => {}
            _ => run.reason = field,
        }
        match after {
            Some(after) => rest = after,
            None => return run,
        }
    }
}

fn launched<'a>(run: &Run<'a>, event: &mut Event<'a>) {
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    event.push(Attribute::LaunchTypeId, EXEC);
    if known(run.terminal) {
        event.push(Attribute::ActorSessionTerminal, run.terminal);
    }
    // The log names no process id; the event's own id stands for the process.
    event.push(Attribute::ProcessUid, event.id.to_string());
    event.push(Attribute::ProcessCmdLine, run.command);
    let path = word(run.command).0;
    event.push(Attribute::ProcessName, base_name(path));
    if path.starts_with('/') {
        event.push(Attribute::ProcessFileName, base_name(path));
        event.push(Attribute::ProcessFilePath, path);
        event.push(Attribute::ProcessFileTypeId, EXECUTABLE);
    }
    if known(run.directory) {
        event.push(Attribute::ProcessWorkingDirectory, run.directory);
    }
    if !run.user.is_empty() {
        event.push(Attribute::ProcessUserName, run.user);
        if !run.group.is_empty() {
            event.push(Attribute::ProcessGroupName, run.group);
        }
    }
    success(event);
}

fn refused<'a>(run: &Run<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 7;
    event.push(Attribute::AccountSwitchTypeId, 1);
    event.push(Attribute::ServiceName, "sudo");
    event.push(Attribute::UserName, run.user);
    if known(run.terminal) {
        event.push(Attribute::SessionTerminal, run.terminal);
    }
    let (times, what) = word(run.reason);
    if let Some(times) = number(times).filter(|_| what.starts_with("incorrect password attempt")) {
        event.push(Attribute::Count, times);
    }
    failure(event, run.reason);
    event.unmap("command", run.command);
    if known(run.directory) {
        event.unmap("working_directory", run.directory);
    }
}

fn known(value: &str) -> bool {
    !value.is_empty() && value != "unknown"
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_command_is_a_process_launch() {
        let line =
            "Mar 16 10:00:00 h sudo:   bob : TTY=pts/1 ; PWD=/srv/bob ; USER=root ; COMMAND=/usr/bin/head -n 5 a ; b";
        let event = normalized(line);
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["actor"]["session"]["terminal"], "pts/1");
        assert_eq!(
            event["process"],
            serde_json::json!({
                "uid": event["metadata"]["uid"], "name": "head", "cmd_line": "/usr/bin/head -n 5 a ; b",
                "working_directory": "/srv/bob", "file": {"name": "head", "path": "/usr/bin/head", "type_id": 8},
                "user": {"name": "root"}
            })
        );
        assert_eq!(event["launch_type_id"], 3);
        assert_eq!(event["status_id"], 1);
    }

    #[test]
    fn a_refusal_is_a_failed_account_switch() {
        for (reason, count) in
            [("command not allowed", None), ("3 incorrect password attempts", Some(3)), ("user NOT in sudoers", None)]
        {
            let fields = "TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/ls";
            let event = normalized(&format!("Mar 16 10:00:00 h sudo: eve : {reason} ; {fields}"));
            assert_eq!(event["type_uid"], 300_207, "{reason}");
            assert_eq!(event["status_id"], 2, "{reason}");
            assert_eq!(event["status_detail"], reason);
            assert_eq!(event["count"].as_u64(), count);
            assert_eq!(event["user"]["name"], "root");
            assert_eq!(event["actor"]["user"]["name"], "eve");
            assert_eq!(event["unmapped"]["command"], "/bin/ls");
        }
    }

    #[test]
    fn other_messages_stay_base_events() {
        for message in [
            "bob : problem with defaults entries",
            "unable to resolve host h",
            "a b : TTY=x ; COMMAND=y",
            " : COMMAND=",
        ] {
            assert_eq!(normalized(&format!("Mar 16 10:00:00 h sudo: {message}"))["class_uid"], 0, "{message}");
        }
    }
}
