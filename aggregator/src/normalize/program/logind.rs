//! systemd-logind: sessions that begin and end (3002), and the host that goes down (6002).
//!
//! Source: `logind-session.c`, `logind-dbus.c`, `logind-button.c` of systemd; elogind.

use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{between, cut, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message of systemd-logind.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end().trim_end_matches('.');
    session(message, event) || remark("systemd-logind", message, event)
}

/// `New session 12 of user root.`, `New session '12' of user 'root' with class 'user' and type 'tty'.`, `Removed session 12.`
/// (which names no user: `user.name` is empty), `Session 12 logged out. Waiting for processes to exit.`
fn session<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, session, user) = if let Some(rest) = message.strip_prefix("New session ") {
        let Some((session, rest)) = cut(rest, " of user ") else { return false };
        let quoted = rest.strip_prefix('\'').and_then(|rest| cut(rest, "'"));
        let user = quoted.map_or_else(|| word(rest).0, |(user, _)| user);
        if let Some((class, _)) = between(rest, "class '", "'") {
            event.unmap("session_class", class);
        }
        if let Some((kind, _)) = between(rest, "type '", "'") {
            event.unmap("session_type", kind);
        }
        (1, session, user)
    } else if let Some(session) = message.strip_prefix("Removed session ") {
        (2, session, "")
    } else if let Some((session, rest)) = message.strip_prefix("Session ").map(word) {
        if !rest.starts_with("logged out") {
            return false;
        }
        event.push(Attribute::ActivityName, "Session Ending");
        (99, session, "")
    } else {
        return host(message, event);
    };
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "systemd-logind");
    event.push(Attribute::SessionUid, unquoted(session));
    success(event);
    true
}

/// `System is powering down.`, `System is rebooting (kexec).`, `Power key pressed short.`, `Lid closed.`, `Failed to …`.
fn host<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, word) =
        if let Some(what) = message.strip_prefix("System is ").or_else(|| message.strip_prefix("The system will ")) {
            if what.contains("reboot") { (5, "") } else { (4, "") }
        } else if message.ends_with(" key pressed")
            || message.ends_with(" key pressed short")
            || message.starts_with("Lid ")
        {
            (99, "Key")
        } else if message.starts_with("Creating /run/nologin") || message.starts_with("Suspending") {
            (4, "")
        } else if message.starts_with("Failed to ") {
            event.class = Class::ApplicationError;
            event.activity_id = 1;
            failure(event, message);
            return true;
        } else {
            return false;
        };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
    event.push(Attribute::AppName, "Linux");
    event.push(Attribute::StatusDetail, message);
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_session_of_a_class_names_its_user() {
        let line =
            "Mar 16 10:00:00 h systemd-logind[9]: New session c1 of user gdm with class 'greeter' and type 'x11'.";
        let event = normalized(line);
        assert_eq!((&event["user"]["name"], &event["unmapped"]["session_class"]), (&"gdm".into(), &"greeter".into()));
    }

    #[test]
    fn sessions_begin_and_end() {
        for (message, activity, session, user) in [
            ("New session 12 of user bob.", 1, "12", "bob"),
            ("New session 'c2' of user 'bob' with class 'user' and type 'tty'.", 1, "c2", "bob"),
            ("Removed session 12.", 2, "12", ""),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h systemd-logind[9]: {message}"));
            assert_eq!(event["type_uid"], 300_200 + activity, "{message}");
            assert_eq!(event["session"]["uid"], session, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
        }
        let event =
            normalized("Mar 16 10:00:00 h systemd-logind[9]: Session 12 logged out. Waiting for processes to exit.");
        assert_eq!(event["type_uid"], 300_299);
        assert_eq!(event["session"]["uid"], "12");
        let event = normalized("Mar 16 10:00:00 h systemd-logind[9]: System is rebooting.");
        assert_eq!(event["type_uid"], 600_205);
        assert_eq!(normalized("Mar 16 10:00:00 h systemd-logind[9]: New seat seat0.")["type_uid"], 600_299);
    }
}
