//! doas: a command that was run is a process launch (1007), one that was refused a failed account switch (3002).
//!
//! Source: `doas.c` of OpenBSD and of OpenDoas.

use super::super::syslog::Header;
use super::super::text::cut;
use super::run::{Run, launched, refused};
use crate::event::Event;

/// `bob ran command ls -l as root from /home/bob`, `failed auth for bob`, `failed command for bob: ls`, `command not
/// permitted for bob: ls`, `failed auth for bob: …`.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    if let Some((caller, rest)) = cut(message, " ran command ") {
        // A command may hold ` as ` and ` from `: doas writes its own last.
        let (rest, directory) = rest.rsplit_once(" from ").unwrap_or((rest, ""));
        let (command, user) = rest.rsplit_once(" as ").unwrap_or((rest, ""));
        if caller.is_empty() || caller.contains(' ') || command.is_empty() {
            return false;
        }
        launched(&Run { caller, command, user, directory, ..Run::default() }, event);
        return true;
    }
    for (start, reason) in [
        ("failed auth for ", "authentication failure"),
        ("failed command for ", "command not permitted"),
        ("command not permitted for ", "command not permitted"),
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            let (caller, command) = cut(rest, ": ").unwrap_or((rest, ""));
            refused(&Run { caller, command, ..Run::default() }, "doas", reason, event);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn commands_run_or_are_refused() {
        let event = normalized("Mar 16 10:00:00 h doas: bob ran command mv a from b as root from /home/bob");
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["process"]["cmd_line"], "mv a from b");
        assert_eq!(event["process"]["user"]["name"], "root");
        assert_eq!(event["process"]["working_directory"], "/home/bob");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        for message in ["failed auth for bob", "failed command for bob: ls", "command not permitted for bob: ls"] {
            let event = normalized(&format!("Mar 16 10:00:00 h doas[9]: {message}"));
            assert_eq!(event["type_uid"], 300_207, "{message}");
            assert_eq!(event["actor"]["user"]["name"], "bob", "{message}");
            assert_eq!(event["status_id"], 2, "{message}");
        }
    }
}
