//! Accounts and groups that programs changed: ADD_USER, DEL_USER, ADD_GROUP, DEL_GROUP, USER_MGMT, USER_CHAUTHTOK,
//! GRP_MGMT, GRP_CHAUTHTOK, ACCT_LOCK, ACCT_UNLOCK and the words of `op=` in them.
//!
//! In: `op=add-user-to-group grp="wheel" acct="bob" exe="/usr/sbin/usermod" … res=success` (shadow's `audit_logger`,
//! pam_faillock, accounts-daemon). Out: classes 3001 and 3006.

use super::record::Records;
use super::subject::{self, ACTOR};
use super::{Meaning, login, outcome};
use crate::event::Event;
use crate::normalize::outcome::LOW;
use crate::normalize::text::base_name;
use crate::schema::{Attribute, Class};

/// Activities of Account Change (3001): by the user, and by somebody else.
const PASSWORD_CHANGE: u8 = 3;
const PASSWORD_RESET: u8 = 4;

/// What happened to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Account(u8),
    Group(u8),
}

/// What a record says: by its type, and for the types that say many things by its `op=`.
fn change(kind: &str, op: &str, has_group: bool) -> Option<Change> {
    let has = |words: &[&str]| words.iter().any(|word| op.contains(word));
    Some(match kind {
        "ADD_USER" if has(&["to-group", "to group"]) => Change::Group(3),
        "ADD_USER" => Change::Account(1),
        "DEL_USER" if has(&["from-group", "from group"]) => Change::Group(4),
        "DEL_USER" => Change::Account(6),
        "ADD_GROUP" => Change::Group(6),
        "DEL_GROUP" => Change::Group(5),
        "ACCT_LOCK" | "RESP_ACCT_LOCK" | "RESP_ACCT_LOCK_TIMED" => Change::Account(9),
        "ACCT_UNLOCK" | "RESP_ACCT_UNLOCK_TIMED" => Change::Account(12),
        "USER_MGMT" | "USER_CHAUTHTOK" | "GRP_MGMT" | "GRP_CHAUTHTOK" => {
            if has_group && has(&["add-user", "adding user", "add user", "add-member"]) {
                Change::Group(3)
            } else if has_group && has(&["delete-user", "deleting user", "remove-user", "delete-member"]) {
                Change::Group(4)
            } else if kind.starts_with("GRP_") || (has_group && has(&["group"])) {
                Change::Group(99)
            } else if has(&["unlock"]) {
                Change::Account(12)
            } else if has(&["lock"]) {
                Change::Account(9)
            } else if kind == "USER_CHAUTHTOK" && (op.is_empty() || has(&["chauthtok", "password", "passwd"])) {
                Change::Account(PASSWORD_CHANGE)
            } else {
                Change::Account(99)
            }
        }
        _ => return None,
    })
}

/// Reads the event if it is about an account or a group; false where it names none.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let record = meaning.main;
    let op = records.peek(record, "op").map(|field| field.value.clone()).unwrap_or_default();
    let has_group = records.peek(record, "grp").is_some();
    let Some(mut change) = change(meaning.kind, &op, has_group) else { return false };
    if change == Change::Account(PASSWORD_CHANGE) && of_another(record, records) {
        change = Change::Account(PASSWORD_RESET);
    }
    let read = match change {
        Change::Account(activity) => account(activity, record, records, event),
        Change::Group(activity) => group(activity, record, records, event),
    };
    if !read {
        return false;
    }
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, if op.is_empty() { meaning.kind.into() } else { op });
    }
    login::source(records, record, event);
    subject::push(records, record, &ACTOR, event);
    outcome(meaning, records, event);
    event.severity_id = event.severity_id.max(LOW);
    true
}

/// Whether the account is certainly another's than the user's whose process it is: `uid=0 … acct="bob"`, `uid=0 … id=1001`. A
/// service that lets somebody in has that user's expired password changed as root, by the user.
fn of_another(record: usize, records: &Records<'_>) -> bool {
    const LETS_IN: [&str; 7] = ["sshd", "login", "su", "gdm-", "lightdm", "sddm", "cockpit"];
    let value = |key: &str| records.peek(record, key).map(|field| &*field.value);
    let program = base_name(value("exe").unwrap_or_default());
    let lets_in = |name: &&str| program == *name || (name.len() > 2 && program.starts_with(*name));
    let Some(uid) = value("uid").filter(|_| !LETS_IN.iter().any(lets_in)) else { return false };
    let is_id = uid.bytes().all(|byte| byte.is_ascii_digit());
    match (value("acct"), value("id")) {
        (Some(account), _) if is_id => {
            let name = value("UID").or((uid == "0").then_some("root"));
            name.is_some_and(|name| name != account)
        }
        (Some(named), _) | (None, Some(named)) => named != uid,
        (None, None) => false,
    }
}

fn account<'a>(activity: u8, record: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    if !login::user(records, record, event) {
        let Some(id) = login::inner_id(records, record) else { return false };
        event.push(subject::id_or_name(&id, Attribute::UserUid, Attribute::UserName), id);
    }
    event.class = Class::AccountChange;
    event.activity_id = activity;
    true
}

fn group<'a>(activity: u8, record: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let named = records.take_text(record, "grp").filter(|name| *name != "?");
    // Older shadow names the group as the account; what has only an id is told by it.
    let group_is_account = named.is_none();
    let name = if group_is_account { records.take_text(record, "acct") } else { named };
    let id = if group_is_account { records.take(record, "id") } else { None };
    if name.is_none() && id.is_none() {
        return false;
    }
    event.class = Class::GroupManagement;
    event.activity_id = activity;
    if let Some(name) = name {
        event.push(Attribute::GroupName, name);
    }
    if let Some(id) = id {
        event.push(Attribute::GroupUid, id);
    }
    if !group_is_account {
        login::user(records, record, event);
    }
    true
}
