//! Ansible's modules on the host that they change: a command that was run is a process launch (1007), any other module a report on
//! Ansible (6002).
//!
//! In: `Invoked with _raw_params=id _uses_shell=True …` of the program `ansible-MODULE`. Source: `module_utils/basic.py`,
//! `_log_invocation` of Ansible 2.

use super::super::remark::report;
use super::super::syslog::Header;
use super::super::text::{base_name, cut};
use super::run::{Run, launched};
use crate::event::Event;

/// Reads a message of a module.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(arguments) = message.trim_end().strip_prefix("Invoked with ") else { return false };
    let module = base_name(header.program);
    let module = module.strip_prefix("ansible-").unwrap_or(module);
    event.unmap("module", module);
    if let Some(command) =
        cut(arguments, "_raw_params=").map(|(_, rest)| rest).filter(|rest| !rest.starts_with("None "))
    {
        // The next argument begins with a name of its own: `… _uses_shell=True argv=None`.
        let command = [" _uses_shell=", " expand_argument_vars=", " stdin_add_newline=", " warn="]
            .into_iter()
            .fold(command, |command, mark| cut(command, mark).map_or(command, |(command, _)| command));
        launched(&Run { command, ..Run::default() }, event);
        return true;
    }
    event.unmap("arguments", arguments);
    report("ansible", event)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_command_is_a_launch_and_other_modules_are_reports() {
        let line = "Mar 16 10:00:00 h ansible-ansible.legacy.command[9]: Invoked with _raw_params=id -u _uses_shell=True argv=None";
        let event = normalized(line);
        assert_eq!((&event["type_uid"], &event["process"]["cmd_line"]), (&100_701.into(), &"id -u".into()));
        let event = normalized("Mar 16 10:00:00 h ansible-user[9]: Invoked with name=bob state=present");
        assert_eq!((&event["type_uid"], &event["unmapped"]["module"]), (&600_299.into(), &"user".into()));
    }
}
