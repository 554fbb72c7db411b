//! login: logons at a terminal (3002).

use super::super::endpoint::push_source;
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{cut, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `logon_type_id` 2: interactive.
const INTERACTIVE: i64 = 2;

/// `ROOT LOGIN ON tty2`, `LOGIN ON tty1 BY bob [FROM host]`, `FAILED LOGIN (1) on '/dev/tty1' FOR 'bob', reason`,
/// `FAILED LOGIN 1 FROM tty1 FOR bob, reason`, `FAILED LOGIN SESSION FROM tty1 FOR bob, reason`.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    if let Some(rest) = message.strip_prefix("ROOT LOGIN ").and_then(|rest| cut(rest, "ON ")).map(|(_, rest)| rest) {
        let (terminal, rest) = word(rest);
        logon("root", terminal.trim_matches('\''), event);
        from(rest, event);
        success(event);
        return true;
    }
    if let Some((terminal, rest)) = message.strip_prefix("LOGIN ON ").map(word) {
        let Some((user, rest)) = rest.strip_prefix("BY ").map(word) else { return false };
        logon(user, terminal, event);
        from(rest, event);
        success(event);
        return true;
    }
    let Some((place, who)) = message.strip_prefix("FAILED LOGIN ").and_then(|rest| cut(rest, " FOR ")) else {
        return false;
    };
    let terminal = place.rsplit(' ').next().unwrap_or_default();
    let (user, reason) = cut(who, ", ").unwrap_or((who, ""));
    logon(user.trim_matches('\''), terminal.trim_matches('\''), event);
    failure(event, reason);
    true
}

fn logon<'a>(user: &'a str, terminal: &'a str, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "login");
    event.push(Attribute::LogonTypeId, INTERACTIVE);
    if !terminal.is_empty() {
        event.push(Attribute::SessionTerminal, terminal);
    }
}

fn from<'a>(rest: &'a str, event: &mut Event<'a>) {
    if let Some(host) = rest.strip_prefix("FROM ") {
        push_source(event, word(host).0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn logons_at_a_terminal_are_read() {
        for (message, user, terminal, status) in [
            ("ROOT LOGIN ON tty2", "root", "tty2", 1),
            ("LOGIN ON tty1 BY bob FROM 192.0.2.1", "bob", "tty1", 1),
            ("FAILED LOGIN (1) on '/dev/tty1' FOR 'bob', Authentication failure", "bob", "/dev/tty1", 2),
            ("FAILED LOGIN 1 FROM tty1 FOR bob, Authentication failure", "bob", "tty1", 2),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h login[9]: {message}"));
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["session"]["terminal"], terminal, "{message}");
            assert_eq!(event["logon_type_id"], 2);
        }
    }
}
