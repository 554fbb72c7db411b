//! A command that somebody ran as somebody else: a process launch (1007) where it ran, a failed account switch (3002) where
//! it was refused.
//!
//! In: what sudo, doas or pkexec says about it. Out: the class and its fields; the caller is the actor.

use std::fmt::Write as _;

use super::super::outcome::{failure, success};
use super::super::text::{base_name, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `file.type_id` 8: an executable file.
const EXECUTABLE: i64 = 8;
/// `launch_type_id` 3: exec.
const EXEC: i64 = 3;

/// Room for the id of an event: agent, epoch, lane and number of the record.
const ID_LEN: usize = 80;

/// What a line says about a command; what it does not say is empty.
#[derive(Clone, Copy, Default)]
pub(super) struct Run<'a> {
    pub(super) caller: &'a str,
    pub(super) terminal: &'a str,
    pub(super) directory: &'a str,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
    pub(super) command: &'a str,
}

/// It ran.
pub(super) fn launched<'a>(run: &Run<'a>, event: &mut Event<'a>) {
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    if !run.caller.is_empty() {
        event.push(Attribute::ActorUserName, run.caller);
    }
    event.push(Attribute::LaunchTypeId, EXEC);
    if known(run.terminal) {
        event.push(Attribute::ActorSessionTerminal, run.terminal);
    }
    // The log names no process id; the event's own id stands for the process.
    let mut id = String::with_capacity(ID_LEN);
    // Formatting into a String cannot fail.
    let _ = write!(id, "{}", event.id);
    event.push(Attribute::ProcessUid, id);
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
    // With a group alone (`sudo -g`) the command runs as its caller.
    let user = if run.user.is_empty() && !run.group.is_empty() { run.caller } else { run.user };
    if !user.is_empty() {
        event.push(Attribute::ProcessUserName, user);
        if !run.group.is_empty() {
            event.push(Attribute::ProcessGroupName, run.group);
        }
    }
    success(event);
}

/// It was refused by `service`, for `reason`.
pub(super) fn refused<'a>(run: &Run<'a>, service: &'static str, reason: &'a str, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 7;
    event.push(Attribute::ActorUserName, run.caller);
    event.push(Attribute::AccountSwitchTypeId, 1);
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::UserName, run.user);
    if known(run.terminal) {
        event.push(Attribute::SessionTerminal, run.terminal);
    }
    failure(event, reason);
    if !run.command.is_empty() {
        event.unmap("command", run.command);
    }
    if known(run.directory) {
        event.unmap("working_directory", run.directory);
    }
}

fn known(value: &str) -> bool {
    !value.is_empty() && value != "unknown"
}
