//! The shadow suite: accounts (3001) and groups (3006) that are made, changed and removed.
//!
//! Source of the messages: `SYSLOG` calls in useradd.c, userdel.c, usermod.c, groupadd.c, groupdel.c,
//! groupmod.c, gpasswd.c, newgrp.c, passwd.c, chage.c, chfn.c and chsh.c of shadow 4.

mod dialects;

pub(in super::super) use dialects::is_userlog;
pub(super) use dialects::{parse_accounts_daemon, parse_sysusers, parse_userlog};

use super::super::outcome::{LOW, failure, success};
use super::super::syslog::Header;
use super::super::text::{base_name, between, cut, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Account Change (3001).
const CREATE: u8 = 1;
const PASSWORD_CHANGE: u8 = 3;
const PASSWORD_RESET: u8 = 4;
const DELETE: u8 = 6;
const LOCK: u8 = 9;
const UNLOCK: u8 = 12;

/// Activities of Group Management (3006).
const ADD_USER: u8 = 3;
const REMOVE_USER: u8 = 4;
const GROUP_DELETE: u8 = 5;
const GROUP_CREATE: u8 = 6;

/// Reads a message of the shadow suite.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let understood = created(message, event)
        || removed(message, event)
        || membership(message, event)
        || password(message, event)
        || changed(message, base_name(header.program), event)
        || switched_group(message, event)
        || dialects::parse(message, event);
    if understood {
        event.severity_id = event.severity_id.max(LOW);
    }
    understood
}

/// The value behind `key` in `name=bob, UID=1001, …`.
fn value<'t>(fields: &'t str, key: &str) -> Option<&'t str> {
    fields.split(", ").find_map(|field| field.strip_prefix(key)).map(unquoted).filter(|value| !value.is_empty())
}

/// `new user: name=bob, UID=1001, GID=1001, home=/home/bob, shell=/bin/sh, from=/dev/pts/0`,
/// `new group: name=web, GID=48`, `group added to /etc/group: name=web, GID=48`,
/// `failed adding user 'bob', exit code: 9`.
fn created<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let added = message.strip_prefix("new user: ").or_else(|| message.strip_prefix("new user added: "));
    if let Some(fields) = added {
        let Some(name) = value(fields, "name=") else { return false };
        account(CREATE, name, event);
        if let Some(uid) = value(fields, "UID=").or_else(|| value(fields, "uid=")) {
            event.push(Attribute::UserUid, uid);
        }
        if let Some(gid) = value(fields, "GID=").or_else(|| value(fields, "gid=")) {
            event.push(Attribute::UserGroupsUid, gid);
        }
        for (field, key) in [("home=", "home"), ("shell=", "shell"), ("from=", "from")] {
            if let Some(value) = value(fields, field) {
                event.unmap(key, value);
            }
        }
        success(event);
        return true;
    }
    if let Some(rest) = message.strip_prefix("failed adding user ") {
        let (name, reason) = rest.split_once(", ").unwrap_or((rest, ""));
        account(CREATE, unquoted(name), event);
        failure(event, reason);
        return true;
    }
    let fields = message
        .strip_prefix("new group: ")
        .or_else(|| message.strip_prefix("group added to ").and_then(|rest| cut(rest, ": ")).map(|(_, fields)| fields));
    let Some(name) = fields.and_then(|fields| value(fields, "name=")) else { return false };
    group(GROUP_CREATE, name, event);
    if let Some(gid) = fields.and_then(|fields| value(fields, "GID=").or_else(|| value(fields, "gid="))) {
        event.push(Attribute::GroupUid, gid);
    }
    success(event);
    true
}

/// `delete user 'bob'`, `removed group 'bob' owned by 'bob'`, `group 'web' removed from /etc/group`.
fn removed<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let user = message.strip_prefix("delete user ").or_else(|| value(message.strip_prefix("user removed: ")?, "name="));
    if let Some(name) = user {
        account(DELETE, unquoted(name), event);
        success(event);
        return true;
    }
    let owned = ["removed group ", "removed shadow group ", "remove group "]
        .into_iter()
        .find_map(|start| message.strip_prefix(start));
    let name = match owned {
        Some(rest) => word(rest).0,
        None => match message.strip_prefix("group ").map(word) {
            Some((name, rest)) if rest.starts_with("removed") => name,
            _ => return false,
        },
    };
    group(GROUP_DELETE, unquoted(name), event);
    success(event);
    true
}

/// `add 'bob' to group 'sudo'`, `delete 'bob' from group 'sudo'` (and `shadow group`),
/// `user bob added by root to group sudo`, `user bob removed by root from group sudo`.
fn membership<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (activity, user, caller, name) = if let Some((user, rest)) = message.strip_prefix("user ").map(word) {
        let (verb, rest) = rest.split_once(" by ").unwrap_or_default();
        let (caller, name) = cut(rest, " to group ").or_else(|| cut(rest, " from group ")).unwrap_or_default();
        match verb {
            "added" => (ADD_USER, user, caller, name),
            "removed" => (REMOVE_USER, user, caller, name),
            _ => return false,
        }
    } else if let Some((user, rest)) = message.strip_prefix("add ").and_then(|rest| cut(rest, " to ")) {
        (ADD_USER, user, "", cut(rest, "group ").unwrap_or_default().1)
    } else if let Some((user, rest)) = message.strip_prefix("delete ").and_then(|rest| cut(rest, " from ")) {
        (REMOVE_USER, user, "", cut(rest, "group ").unwrap_or_default().1)
    } else {
        return false;
    };
    if name.is_empty() || user.contains(' ') {
        return false;
    }
    group(activity, unquoted(name), event);
    event.push(Attribute::UserName, unquoted(user));
    if !caller.is_empty() {
        event.push(Attribute::ActorUserName, unquoted(caller));
    }
    success(event);
    true
}

/// `lock user 'bob' password`, `unlock …`, `change user 'bob' password`, `password for 'bob' changed by
/// 'root'`, `password for bob changed by root`.
fn password<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    for (start, activity) in [("lock user ", LOCK), ("unlock user ", UNLOCK), ("change user ", PASSWORD_RESET)] {
        let name = message.strip_prefix(start).and_then(|rest| rest.strip_suffix(" password"));
        if let Some(name) = name {
            account(activity, unquoted(name), event);
            success(event);
            return true;
        }
    }
    for start in ["incorrect password for ", "can't view or modify password information for "] {
        if let Some(name) = message.strip_prefix(start) {
            account(PASSWORD_CHANGE, unquoted(name), event);
            failure(event, start.trim_end_matches(" for "));
            return true;
        }
    }
    let Some((name, rest)) = message.strip_prefix("password for ").and_then(|rest| cut(rest, " changed")) else {
        return false;
    };
    let name = unquoted(name);
    let caller = rest.strip_prefix(" by ").map(unquoted);
    account(if caller.is_none_or(|caller| caller == name) { PASSWORD_CHANGE } else { PASSWORD_RESET }, name, event);
    if let Some(caller) = caller {
        event.push(Attribute::ActorUserName, caller);
    }
    success(event);
    true
}

/// Any other change to an account or group: activity 99, named after what changed.
fn changed<'a>(message: &'a str, program: &str, event: &mut Event<'a>) -> bool {
    if let Some(rest) = message.strip_prefix("change user ").or_else(|| message.strip_prefix("changed user ")) {
        // change user 'bob' home from '/home/bob' to '/srv/bob' · change user name 'bob' to 'rob'
        let (name, what) = match rest.strip_prefix("name ") {
            Some(rest) => (word(rest).0, "Name Change"),
            None => (word(rest).0, attribute_change(word(word(rest).1).0)),
        };
        account(99, unquoted(name), event);
        event.push(Attribute::ActivityName, what);
        let (before, to) = cut(rest, " to ").unwrap_or((rest, ""));
        if let Some((_, from)) = cut(before, " from ") {
            event.unmap("from", unquoted(from));
        }
        if !to.is_empty() {
            event.unmap("to", unquoted(to));
        }
        if what == "Uid Change" && !to.is_empty() {
            event.push(Attribute::UserUid, unquoted(to));
        }
        success(event);
        return true;
    }
    if let Some(name) = message.strip_prefix("changed password expiry for ") {
        let name = name.strip_prefix("user ").unwrap_or(name);
        account(99, unquoted(name), event);
        event.push(Attribute::ActivityName, "Password Expiry Change");
        success(event);
        return true;
    }
    // usermod: change 'bob' to 'rob' in group 'web' · change admin 'bob' to 'rob' in shadow group 'web'
    if let Some((who, name)) = message.strip_prefix("change ").and_then(|rest| cut(rest, " group '")) {
        group(99, unquoted(name), event);
        event.push(Attribute::ActivityName, "Member Rename");
        event.push(Attribute::UserName, unquoted(word(who.strip_prefix("admin ").unwrap_or(who)).0));
        success(event);
        return true;
    }
    // groupmod: group changed in /etc/group (group web/48, new name: www)
    let name = match program {
        "groupmod" => between(message, "(group ", ")").and_then(|(inner, _)| inner.split(['/', ',']).next()),
        "gpasswd" => ["members of group ", "password of group ", "administrators of group ", "access to group "]
            .into_iter()
            .find_map(|start| cut(message, start))
            .map(|(_, rest)| word(rest).0),
        _ => None,
    };
    let Some(name) = name else { return false };
    group(99, unquoted(name), event);
    event.push(Attribute::ActivityName, "Group Change");
    if program == "groupmod" {
        // (group web/48, new gid: 49)
        // of /etc/gshadow (group web, new name: www)
        let inner = between(message, "(group ", ")").map_or("", |(inner, _)| inner);
        let (who, new) = cut(inner, ", ").unwrap_or((inner, ""));
        if let Some((_, id)) = who.split_once('/') {
            event.push(Attribute::GroupUid, id);
        }
        for (key, mark) in [("new_gid", "new gid: "), ("new_name", "new name: ")] {
            if let Some((_, value)) = cut(new, mark) {
                event.unmap(key, value.split(',').next().unwrap_or(value));
            }
        }
    }
    if let Some(caller) = cut(message, " by ").map(|(_, rest)| word(rest).0) {
        event.push(Attribute::ActorUserName, unquoted(caller));
    }
    success(event);
    true
}

/// newgrp: `user 'bob' (login 'bob' on pts/0) switched to group 'web'`, `… returned to group 'web'`, `Invalid password for
/// group 'web' from 'bob'`.
fn switched_group<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (user, name, went_well) = match message.strip_prefix("Invalid password for group ") {
        Some(rest) => match cut(rest, " from ") {
            Some((name, user)) => (user, name, false),
            None => return false,
        },
        None => {
            let found = cut(message, " switched to group ").or_else(|| cut(message, " returned to group "));
            match found.and_then(|(who, name)| Some((word(who.strip_prefix("user ")?).0, name))) {
                Some((user, name)) => (user, name, true),
                None => return false,
            }
        }
    };
    group(99, unquoted(name), event);
    event.push(Attribute::ActivityName, "Group Switch");
    event.push(Attribute::UserName, unquoted(user));
    if went_well {
        success(event);
    } else {
        failure(event, "invalid password");
    }
    true
}

fn attribute_change(what: &str) -> &'static str {
    match what {
        "home" => "Home Change",
        "shell" => "Shell Change",
        "UID" => "Uid Change",
        "GID" => "Gid Change",
        "expiration" => "Expiration Change",
        "inactive" => "Inactivity Change",
        "information" => "Information Change",
        _ => "Account Change",
    }
}

fn account<'a>(activity: u8, name: &'a str, event: &mut Event<'a>) {
    event.class = Class::AccountChange;
    event.activity_id = activity;
    event.push(Attribute::UserName, name);
}

fn group<'a>(activity: u8, name: &'a str, event: &mut Event<'a>) {
    event.class = Class::GroupManagement;
    event.activity_id = activity;
    event.push(Attribute::GroupName, name);
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    const NEW_USER: &str = "useradd[9]: new user: name=bob, UID=1001, GID=1002, home=/home/bob, shell=/bin/sh";

    #[test]
    fn accounts_are_made_changed_and_removed() {
        for (message, activity) in [
            (NEW_USER, 1),
            ("userdel[9]: delete user 'bob'", 6),
            ("usermod[9]: lock user 'bob' password", 9),
            ("usermod[9]: unlock user 'bob' password", 12),
            ("usermod[9]: change user 'bob' password", 4),
            ("usermod[9]: change user 'bob' shell from '/bin/sh' to '/bin/bash'", 99),
            ("usermod[9]: change user 'bob' UID from '1001' to '0'", 99),
            ("usermod[9]: change user name 'bob' to 'rob'", 99),
            ("passwd[9]: password for 'bob' changed by 'root'", 4),
            ("passwd[9]: password for 'bob' changed by 'bob'", 3),
            ("passwd[9]: pam_unix(passwd:chauthtok): password changed for bob", 3),
            ("chpasswd[9]: pam_unix(chpasswd:chauthtok): password changed for bob", 4),
            ("chage[9]: changed password expiry for bob", 99),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 300_100 + activity, "{message}");
            assert_eq!(event["user"]["name"], "bob", "{message}");
            assert_eq!(event["status_id"], 1, "{message}");
            assert_eq!(event["severity_id"], 2, "{message}");
        }
    }

    #[test]
    fn a_new_account_keeps_ids_home_and_shell() {
        let event = normalized(&format!("Mar 16 10:00:00 h {NEW_USER}"));
        assert_eq!(event["user"], serde_json::json!({"name": "bob", "uid": "1001", "groups": [{"uid": "1002"}]}));
        assert_eq!(event["unmapped"]["shell"], "/bin/sh");
        let event = normalized("Mar 16 10:00:00 h useradd[9]: failed adding user 'bob', exit code: 9");
        assert_eq!(event["status_id"], 2);
        assert_eq!(event["status_detail"], "exit code: 9");
    }

    #[test]
    fn groups_of_gshadow_and_passwords_that_stay_are_told() {
        let event =
            normalized("Mar 16 10:00:00 h groupmod[9]: group changed in /etc/gshadow (group web, new name: www)");
        assert_eq!((&event["group"]["name"], &event["unmapped"]["new_name"]), (&"web".into(), &"www".into()));
        let event = normalized("Mar 16 10:00:00 h passwd[9]: incorrect password for bob");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_103.into(), &2.into()));
        assert_eq!(event["user"]["name"], "bob");
    }

    #[test]
    fn groups_and_members_come_and_go() {
        for (message, activity, user, caller) in [
            ("groupadd[9]: new group: name=web, GID=48", 6, None, None),
            ("groupadd[9]: group added to /etc/group: name=web, GID=48", 6, None, None),
            ("groupdel[9]: group 'web' removed from /etc/group", 5, None, None),
            ("userdel[9]: removed group 'web' owned by 'bob'", 5, None, None),
            ("usermod[9]: add 'bob' to group 'web'", 3, Some("bob"), None),
            ("usermod[9]: add 'bob' to shadow group 'web'", 3, Some("bob"), None),
            ("userdel[9]: delete 'bob' from group 'web'", 4, Some("bob"), None),
            ("gpasswd[9]: user bob added by root to group web", 3, Some("bob"), Some("root")),
            ("gpasswd[9]: user bob removed by root from group web", 4, Some("bob"), Some("root")),
            ("gpasswd[9]: members of group web set by root to a,b", 99, None, Some("root")),
            ("newgrp[9]: user 'bob' (login 'bob' on pts/0) switched to group 'web'", 99, Some("bob"), None),
            ("newgrp[9]: Invalid password for group 'web' from 'bob'", 99, Some("bob"), None),
            ("usermod[9]: change 'bob' to 'rob' in group 'web'", 99, Some("bob"), None),
            ("groupmod[9]: group changed in /etc/group (group web/48, new name: www)", 99, None, None),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!(event["type_uid"], 300_600 + activity, "{message}");
            assert_eq!(event["group"]["name"], "web", "{message}");
            assert_eq!(event["user"]["name"].as_str(), user, "{message}");
            assert_eq!(event["actor"]["user"]["name"].as_str(), caller, "{message}");
        }
    }
}
