//! login: logons at a terminal (3002), and those of the display managers that speak for themselves.
//!
//! Source: `login.c` of util-linux, of shadow, of BusyBox and of FreeBSD; macOS's login and loginwindow.

use super::super::endpoint::{self, push_source};
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{base_name, cut, number, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `logon_type_id` 2: interactive.
const INTERACTIVE: i64 = 2;

/// Reads a message of login.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    succeeded(message, event) || failed(message, event) || process(message, event) || notified(message, event)
}

/// `ROOT LOGIN ON tty2 [FROM host]`, `ROOT LOGIN (root) ON ttyv0`, `ROOT LOGIN  on '/dev/tty1'`, `LOGIN ON tty1 BY bob [FROM
/// host]`, `DIALUP AT ttyS0 BY bob`, `'bob' logged in on '/dev/tty1'`, `root login on 'tty1'`, `login on ttyv0 as bob`,
/// `login from host on ttyp0 as bob`.
fn succeeded<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let place = |rest: &'a str| {
        let (_, rest) = cut(rest, "ON ").or_else(|| cut(rest, "on "))?;
        let (terminal, rest) = word(rest);
        Some((unquoted(terminal), rest))
    };
    let root = message.strip_prefix("ROOT LOGIN ").or_else(|| message.strip_prefix("root login "));
    let (user, terminal, rest) = if let Some((terminal, rest)) = root.and_then(place) {
        ("root", terminal, rest)
    } else if let Some(rest) = message.strip_prefix("LOGIN ON ").or_else(|| message.strip_prefix("DIALUP AT ")) {
        let (terminal, rest) = word(rest);
        let Some((user, rest)) = rest.strip_prefix("BY ").map(word) else { return false };
        (user, terminal, rest)
    } else if let Some((user, rest)) = cut(message, " logged in") {
        let Some((terminal, rest)) = place(rest) else { return false };
        (unquoted(user), terminal, rest)
    } else if let Some((place, user)) = message.strip_prefix("login ").and_then(|rest| rest.rsplit_once(" as ")) {
        let (from, terminal) = cut(place, "on ").unwrap_or((place, ""));
        (user, terminal, from)
    } else {
        return false;
    };
    logon(user, terminal, event);
    from(rest.trim(), event);
    success(event);
    true
}

/// `FAILED LOGIN (1) on '/dev/tty1' FOR 'bob', reason`, `FAILED LOGIN 1 FROM tty1 FOR bob, reason`, `FAILED LOGIN SESSION FROM
/// tty1 FOR bob, reason`, `TOO MANY LOGIN TRIES (3) FROM tty1 FOR bob, reason`, `invalid password for 'bob' on '/dev/tty1'`,
/// `exceeded failure limit for 'bob' on '/dev/tty1'`, `2 LOGIN FAILURES ON ttyv0, bob`.
fn failed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let start = ["FAILED LOGIN ", "TOO MANY LOGIN TRIES "].into_iter().find_map(|start| message.strip_prefix(start));
    if let Some((place, who)) = start.and_then(|rest| cut(rest, " FOR ")) {
        let (user, reason) = cut(who, ", ").unwrap_or((who, "too many tries"));
        let place = cut(place, " from ").map_or(place, |(place, host)| {
            push_source(event, unquoted(host), None);
            place
        });
        // util-linux names the host in the terminal's place where there is one.
        let terminal = unquoted(place.rsplit(' ').next().unwrap_or_default());
        let remote = endpoint::ip(terminal).is_some();
        logon(unquoted(user), if remote { "" } else { terminal }, event);
        if remote {
            push_source(event, terminal, None);
        }
        failure(event, reason);
        return true;
    }
    refused(message, event)
}

/// What other programs say of a logon that failed.
fn refused<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    for start in ["invalid password for ", "exceeded failure limit for ", "login failed for "] {
        if let Some(rest) = message.strip_prefix(start) {
            let (user, rest) = word(rest);
            let (terminal, rest) = rest.strip_prefix("on ").map_or(("", rest), word);
            logon(unquoted(user), unquoted(terminal), event);
            from(rest, event);
            failure(event, start.trim_end_matches(" for "));
            return true;
        }
    }
    let (times, rest) = word(message);
    if let Some((times, rest)) = number(times).zip(rest.strip_prefix("LOGIN FAILURE")) {
        let (place, user) = cut(rest, ", ").unwrap_or((rest, ""));
        let (terminal, host) = match (cut(place, " ON "), cut(place, " FROM ")) {
            (Some((_, terminal)), _) => (terminal, ""),
            (_, Some((_, host))) => ("", host),
            _ => ("", ""),
        };
        logon(user, terminal, event);
        push_source(event, host, None);
        event.push(Attribute::Count, times);
        failure(event, "login failure");
        return true;
    }
    if message.starts_with("Couldn't authenticate user") || message.starts_with("PAM failure, aborting") {
        logon("", "", event);
        failure(event, message);
        return true;
    }
    false
}

/// macOS: `USER_PROCESS: 81562 ttys000`, `DEAD_PROCESS: 81562 ttys000`.
fn process<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, rest) = match message.strip_prefix("USER_PROCESS: ") {
        Some(rest) => (1, rest),
        None => match message.strip_prefix("DEAD_PROCESS: ") {
            Some(rest) => (2, rest),
            None => return false,
        },
    };
    logon("", word(rest).1, event);
    event.activity_id = activity;
    success(event);
    true
}

/// loginwindow of macOS: `… | sendDistributedNotification: com.apple.sessionDidLogin, with userID:7`.
fn notified<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((rest, user)) = message.rsplit_once(", with userID:") else { return false };
    let activity = match rest.rsplit('.').next().unwrap_or_default() {
        "sessionDidLogin" => 1,
        "sessionDidLogout" => 2,
        "screenIsLocked" | "screenIsUnlocked" => 99,
        _ => return false,
    };
    event.class = Class::Authentication;
    event.activity_id = activity;
    if activity == 99 {
        event.push(Attribute::ActivityName, if rest.ends_with("Unlocked") { "Unlock" } else { "Lock" });
    }
    event.push(Attribute::UserUid, user);
    event.push(Attribute::ServiceName, "loginwindow");
    event.push(Attribute::LogonTypeId, INTERACTIVE);
    success(event);
    true
}

fn logon<'a>(user: &'a str, terminal: &'a str, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    let program = match event.value(Attribute::MetadataLogProvider) {
        Some(crate::event::Value::Text(std::borrow::Cow::Borrowed(program))) => base_name(program),
        _ => "login",
    };
    event.push(Attribute::ServiceName, program);
    event.push(Attribute::LogonTypeId, INTERACTIVE);
    if !terminal.is_empty() {
        event.push(Attribute::SessionTerminal, terminal);
    }
}

fn from<'a>(rest: &'a str, event: &mut Event<'a>) {
    if let Some(host) = rest.strip_prefix("FROM ").or_else(|| rest.strip_prefix("from ")) {
        push_source(event, unquoted(word(host).0), None);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn logons_at_a_terminal_are_read() {
        for (message, user, terminal, status) in [
            ("ROOT LOGIN ON tty2", "root", "tty2", 1),
            ("ROOT LOGIN (root) ON tty2", "root", "tty2", 1),
            ("ROOT LOGIN  on '/dev/tty1'", "root", "/dev/tty1", 1),
            ("root login on 'ttyS0'", "root", "ttyS0", 1),
            ("LOGIN ON tty1 BY bob FROM 192.0.2.1", "bob", "tty1", 1),
            ("'bob' logged in on '/dev/tty1'", "bob", "/dev/tty1", 1),
            ("login on ttyv0 as bob", "bob", "ttyv0", 1),
            ("FAILED LOGIN (1) on '/dev/tty1' FOR 'bob', Authentication failure", "bob", "/dev/tty1", 2),
            ("FAILED LOGIN (1) on '/dev/pts/1' from 'a.example' FOR 'bob', Failure", "bob", "/dev/pts/1", 2),
            ("FAILED LOGIN 1 FROM tty1 FOR bob, Authentication failure", "bob", "tty1", 2),
            ("TOO MANY LOGIN TRIES (3) FROM tty1 FOR bob, Authentication failure", "bob", "tty1", 2),
            ("invalid password for 'bob' on 'ttyS0'", "bob", "ttyS0", 2),
            ("2 LOGIN FAILURES ON ttyv0, bob", "bob", "ttyv0", 2),
            ("USER_PROCESS: 81562 ttys000", "", "ttys000", 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h login[9]: {message}"));
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["session"]["terminal"], terminal, "{message}");
            assert_eq!(event["logon_type_id"], 2);
            assert_eq!(event["service"]["name"], "login");
        }
        let event = normalized("Mar 16 10:00:00 h login[9]: login from 192.0.2.1 on ttyp0 as bob");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
    }
}
