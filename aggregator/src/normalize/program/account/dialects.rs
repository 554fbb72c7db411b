//! Accounts as others than the shadow suite report them: pwdutils (SUSE), adduser (Debian), systemd-sysusers, AccountsService
//! and pw (FreeBSD).

use super::super::super::outcome::{LOW, success};
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, unquoted, word};
use super::{
    ADD_USER, CREATE, DELETE, GROUP_CREATE, GROUP_DELETE, LOCK, PASSWORD_CHANGE, PASSWORD_RESET, REMOVE_USER, UNLOCK,
    account, group, value,
};
use crate::event::Event;
use crate::schema::Attribute;

/// Activities of Account Change (3001) that the shadow suite does not report.
const ENABLE: u8 = 2;
const DISABLE: u8 = 5;

/// Reads a message of pwdutils or adduser.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    pwdutils(message, event) || adduser(message, event)
}

/// `new account added - account=bob, uid=1001, gid=100, home=/home/bob, shell=/bin/bash, by=0`,
/// `account added to group - account=bob, group=video, gid=33, by=0`, `password changed - account=bob, uid=1001, by=0`.
fn pwdutils<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((what, fields)) = cut(message, " - ") else { return false };
    let (user, name) = (value(fields, "account="), value(fields, "group="));
    let about_user = |activity, event: &mut Event<'a>| user.map(|user| account(activity, user, event));
    let about_group = |activity, event: &mut Event<'a>| name.map(|name| group(activity, name, event));
    let found = match what {
        "new account added" => about_user(CREATE, event),
        "account deleted" => about_user(DELETE, event),
        "password changed" => {
            let own = value(fields, "uid=").is_some_and(|uid| value(fields, "by=") == Some(uid));
            about_user(if own { PASSWORD_CHANGE } else { PASSWORD_RESET }, event)
        }
        "account locked" | "password locked" => about_user(LOCK, event),
        "account unlocked" | "password unlocked" => about_user(UNLOCK, event),
        "new group added" => about_group(GROUP_CREATE, event),
        "group deleted" => about_group(GROUP_DELETE, event),
        "account added to group" => about_group(ADD_USER, event),
        "account removed from group" => about_group(REMOVE_USER, event),
        _ if user.is_some() && what.contains("changed") => {
            event.push(Attribute::ActivityName, "Account Change");
            about_user(99, event)
        }
        _ => None,
    };
    if found.is_none() {
        return false;
    }
    if what.contains("group") {
        if let Some(user) = user {
            event.push(Attribute::UserName, user);
        }
        if let Some(gid) = value(fields, "gid=") {
            event.push(Attribute::GroupUid, gid);
        }
    } else {
        if let Some(uid) = value(fields, "uid=") {
            event.push(Attribute::UserUid, uid);
        }
        for (field, key) in [("home=", "home"), ("shell=", "shell"), ("gid=", "gid")] {
            if let Some(value) = value(fields, field) {
                event.unmap(key, value);
            }
        }
    }
    if let Some(by) = value(fields, "by=") {
        event.push(Attribute::ActorUserUid, by);
    }
    success(event);
    true
}

/// ``Adding new user `bob' (1001) with group `bob' …``, ``Adding new group `web' (48) ...``, ``Removing user `bob' ...``,
/// ``Adding user `bob' to group `web' ...``.
fn adduser<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(message);
    let removes = verb == "Removing";
    if !removes && verb != "Adding" {
        return false;
    }
    let (kind, rest) = word(rest.strip_prefix("new ").unwrap_or(rest));
    let Some((name, behind)) = between(rest, "`", "'").or_else(|| between(rest, "'", "'")) else { return false };
    let member = between(behind, " group `", "'")
        .or_else(|| between(behind, " group '", "'"))
        .filter(|_| !behind.contains("with group"))
        .map(|(name, _)| name);
    match (kind, member) {
        ("user", Some(member)) => {
            group(if removes { REMOVE_USER } else { ADD_USER }, member, event);
            event.push(Attribute::UserName, name);
        }
        ("user", None) => {
            account(if removes { DELETE } else { CREATE }, name, event);
            if let Some((uid, _)) = between(behind, "(", ")").filter(|_| behind.starts_with(" (")) {
                event.push(Attribute::UserUid, uid.strip_prefix("UID ").unwrap_or(uid));
            }
        }
        ("group", _) => {
            group(if removes { GROUP_DELETE } else { GROUP_CREATE }, name, event);
            if let Some((gid, _)) = between(behind, "(", ")").filter(|_| behind.starts_with(" (")) {
                event.push(Attribute::GroupUid, gid.strip_prefix("GID ").unwrap_or(gid));
            }
        }
        _ => return false,
    }
    success(event);
    true
}

/// systemd-sysusers: `Creating user 'bob' (Bob) with UID 999 and GID 998.`, `Creating group 'web' with GID 998.`
pub(in super::super) fn parse_sysusers<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end().trim_end_matches('.');
    let (kind, rest) = word(message.strip_prefix("Creating ").unwrap_or_default());
    let Some((name, rest)) = between(rest, "'", "'") else { return false };
    let id = |key: &str| cut(rest, key).map(|(_, rest)| word(rest).0);
    match kind {
        "user" => {
            account(CREATE, name, event);
            if let Some(uid) = id("UID ") {
                event.push(Attribute::UserUid, uid);
            }
            if let Some(gid) = id("GID ") {
                event.push(Attribute::UserGroupsUid, gid);
            }
        }
        "group" => {
            group(GROUP_CREATE, name, event);
            if let Some(gid) = id("GID ") {
                event.push(Attribute::GroupUid, gid);
            }
        }
        _ => return false,
    }
    event.severity_id = event.severity_id.max(LOW);
    success(event);
    true
}

/// AccountsService: `request by system-bus-name::1.5 [settings pid:7 uid:1000]: create user 'bob'`,
/// `…: set password and hint of user 'bob' (1001)`.
pub(in super::super) fn parse_accounts_daemon<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((caller, what)) = message.strip_prefix("request by ").and_then(|rest| cut(rest, "]: ")) else {
        return false;
    };
    let Some((_, rest)) = cut(what, "user ").or_else(|| cut(what, "user account ")) else { return false };
    let activity = match what {
        _ if what.starts_with("create user") => CREATE,
        _ if what.starts_with("delete user") => DELETE,
        _ if what.starts_with("set password") => PASSWORD_RESET,
        _ if what.starts_with("lock") || what.contains("locked") => LOCK,
        _ if what.starts_with("unlock") => UNLOCK,
        _ if what.starts_with("enable") => ENABLE,
        _ if what.starts_with("disable") => DISABLE,
        _ => {
            event.push(Attribute::ActivityName, "Account Change");
            99
        }
    };
    let name = between(rest, "'", "'").map_or_else(|| unquoted(word(rest).0), |(name, _)| name);
    account(activity, name, event);
    if let Some((_, uid)) = cut(caller, "uid:") {
        event.push(Attribute::ActorUserUid, word(uid).0);
    }
    event.severity_id = event.severity_id.max(LOW);
    success(event);
    true
}

/// Caller, verb and what they are about: `[root:useradd] bob(1001):…`.
fn userlog(text: &str) -> Option<(&str, &str, &str)> {
    const VERBS: [&str; 8] =
        ["useradd", "userdel", "usermod", "userlock", "userunlock", "groupadd", "groupdel", "groupmod"];
    let (who, rest) = cut(text.strip_prefix('[')?, "] ")?;
    let (caller, verb) = who.rsplit_once(':')?;
    VERBS.contains(&verb).then_some((caller, verb, rest))
}

/// Whether what follows the time is a line of FreeBSD's `/var/log/userlog`, which names neither host nor program.
pub(in super::super::super) fn is_userlog(text: &str) -> bool {
    userlog(text).is_some()
}

/// Reads what FreeBSD's pw writes there: `[root:useradd] bob(1001):bob(1001):User &:/home/bob:/bin/sh`, `[root:userdel] bob(1001)
/// account removed`, `[root:groupadd] web(48)` (`pw_log` of usr.sbin/pw).
pub(in super::super) fn parse_userlog<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((caller, verb, rest)) = userlog(message.trim_end()) else { return false };
    let (subject, rest) = rest.split_once([':', ' ']).unwrap_or((rest, ""));
    let (name, id) = numbered(subject);
    if name.is_empty() {
        return false;
    }
    let about = Attribute::UserUid;
    let (about, known) = match verb {
        // What comes with it has a line of its own: `bob(1001) home /home/bob made`.
        "useradd" if !rest.starts_with("home ") && !rest.starts_with("new user") => (about, Some(CREATE)),
        "userdel" if !rest.starts_with("home ") => (about, Some(DELETE)),
        "userlock" => (about, Some(LOCK)),
        "userunlock" => (about, Some(UNLOCK)),
        "groupadd" => (Attribute::GroupUid, Some(GROUP_CREATE)),
        "groupdel" => (Attribute::GroupUid, Some(GROUP_DELETE)),
        "groupmod" => (Attribute::GroupUid, None),
        _ => (about, None),
    };
    if about == Attribute::UserUid {
        account(known.unwrap_or(99), name, event);
        settings(rest, event);
    } else {
        group(known.unwrap_or(99), name, event);
    }
    if known.is_none() {
        event
            .push(Attribute::ActivityName, if about == Attribute::UserUid { "Account Change" } else { "Group Change" });
    }
    if !id.is_empty() {
        event.push(about, id);
    }
    event.push(Attribute::ActorUserName, caller);
    event.severity_id = event.severity_id.max(LOW);
    success(event);
    true
}

/// Name and number of `bob(1001)`.
fn numbered(text: &str) -> (&str, &str) {
    let (name, id) = text.split_once('(').unwrap_or((text, ""));
    (name, id.trim_end_matches(')'))
}

/// What stands behind the account: `bob(1001):User &:/home/bob:/bin/sh`.
fn settings<'a>(text: &'a str, event: &mut Event<'a>) {
    let mut fields = text.split(':');
    let (Some(group), Some(home), Some(shell)) = (fields.next(), fields.nth(1), fields.next()) else { return };
    event.push(Attribute::UserGroupsUid, numbered(group).1);
    event.unmap("home", home);
    event.unmap("shell", shell);
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    #[test]
    fn other_suites_make_and_remove_accounts_too() {
        for (message, kind, user) in [
            (
                "useradd[9]: new account added - account=bob, uid=1001, gid=100, home=/h, shell=/bin/sh, by=0",
                300_101,
                "bob",
            ),
            ("userdel[9]: account deleted - account=bob, uid=1001, by=0", 300_106, "bob"),
            ("passwd[9]: password changed - account=bob, uid=1001, by=1001", 300_103, "bob"),
            ("usermod[9]: account added to group - account=bob, group=web, gid=48, by=0", 300_603, "bob"),
            ("adduser[9]: Adding new user `bob' (1001) with group `bob (1001)' ...", 300_101, "bob"),
            ("adduser[9]: Adding user `bob' to group `web' ...", 300_603, "bob"),
            ("deluser[9]: Removing user `bob' ...", 300_106, "bob"),
            ("systemd-sysusers[9]: Creating user 'bob' (Bob) with UID 999 and GID 998.", 300_101, "bob"),
            (
                "accounts-daemon[9]: request by system-bus-name::1.5 [settings pid:7 uid:1000]: create user 'bob'",
                300_101,
                "bob",
            ),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["severity_id"], 2, "{message}");
        }
    }

    #[test]
    fn lines_of_userlog_name_who_did_what_to_whom() {
        for (message, kind, about) in [
            ("useradd] bob(1002):staff(20):Bob:/home/bob:/bin/sh", 300_101, "user"),
            ("useradd] bob(1002) home /home/bob made", 300_199, "user"),
            ("usermod] bob(1002):staff(20):Bob:/home/bob:/bin/csh", 300_199, "user"),
            ("userdel] bob(1002) account removed", 300_106, "user"),
            ("groupadd] bob(1002)", 300_606, "group"),
            ("groupdel] bob(1002) group removed", 300_605, "group"),
        ] {
            let event = normalized(&format!("2026-03-16 10:00:00 [eve:{message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!((&event[about]["name"], &event[about]["uid"]), (&"bob".into(), &"1002".into()), "{message}");
            assert_eq!(event["actor"]["user"]["name"], "eve", "{message}");
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{message}");
        }
        assert_eq!(normalized("2026-03-16 10:00:00 [eve:other] bob(1002)")["class_uid"], 0);
    }
}
