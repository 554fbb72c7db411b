//! doas: a command that was run is a process launch (1007), one that was refused a failed account switch (3002).
//!
//! Source: `doas.c` of OpenBSD and of OpenDoas.

use super::super::outcome::LOW;
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::cut;
use super::run::{Run, launched, refused};
use crate::event::Event;

/// `bob ran command ls -l as root from /home/bob`, before OpenBSD 6.0 `bob ran command as root: ls`, `failed auth for bob`,
/// `failed command for bob: ls`, `command not permitted for bob: ls`, `failed auth for bob: …`, `/x/login_passwd: path not
/// secure`, `cannot stat …`.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    if let Some((caller, rest)) = cut(message, " ran command ") {
        let (command, user, directory) = ran(rest);
        if caller.is_empty() || caller.contains(' ') || command.is_empty() {
            return false;
        }
        launched(&Run { caller, command, user, directory, ..Run::default() }, event);
        return true;
    }
    if message.ends_with(": path not secure") || message.starts_with("cannot ") {
        event.severity_id = event.severity_id.max(LOW);
        return remark("doas", message, event);
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

/// Command, user and directory of `ls -l as root from /home/bob` and of `as root: ls`; what is not said is empty.
fn ran(text: &str) -> (&str, &str, &str) {
    // A command may hold ` as ` and ` from `: doas writes its own last.
    let told = text.rsplit_once(" from ").and_then(|(rest, directory)| {
        let (command, user) = rest.rsplit_once(" as ")?;
        Some((command, user, directory))
    });
    let whole = told.filter(|(_, user, directory)| !user.contains(' ') && directory.starts_with('/'));
    let older = || cut(text.strip_prefix("as ")?, ": ").filter(|(user, _)| !user.contains(' '));
    match (whole, older()) {
        (None, Some((user, command))) => (command, user, ""),
        _ => {
            let (rest, directory) = text.rsplit_once(" from ").unwrap_or((text, ""));
            let (command, user) = rest.rsplit_once(" as ").unwrap_or((rest, ""));
            (command, user, directory)
        }
    }
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
        let event = normalized("Mar 16 10:00:00 h doas: eve ran command as bob: ls -l");
        assert_eq!(
            (&event["process"]["user"]["name"], &event["process"]["cmd_line"]),
            (&"bob".into(), &"ls -l".into())
        );
        let event = normalized("Mar 16 10:00:00 h doas: eve ran command as bob: x as root from /home/eve");
        assert_eq!(event["process"]["user"]["name"], "root");
        for message in ["/x/login_passwd: path not secure", "cannot stat /x/login_passwd: Permission denied"] {
            let event = normalized(&format!("Mar 16 10:00:00 h doas: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&600_801.into(), &2.into()), "{message}");
        }
        for message in ["failed auth for bob", "failed command for bob: ls", "command not permitted for bob: ls"] {
            let event = normalized(&format!("Mar 16 10:00:00 h doas[9]: {message}"));
            assert_eq!(event["type_uid"], 300_207, "{message}");
            assert_eq!(event["actor"]["user"]["name"], "bob", "{message}");
            assert_eq!(event["status_id"], 2, "{message}");
        }
    }
}
