//! Accounts and groups that programs changed: ADD_USER, DEL_USER, ADD_GROUP, DEL_GROUP, USER_MGMT, USER_CHAUTHTOK,
//! GRP_MGMT, GRP_CHAUTHTOK, ACCT_LOCK, ACCT_UNLOCK and the words of `op=` in them.
//!
//! In: `op=add-user-to-group grp="wheel" acct="bob" exe="/usr/sbin/usermod" … res=success` (shadow's `audit_logger`,
//! pam_faillock, accounts-daemon). Out: classes 3001 and 3006.

use super::record::{Records, says};
use super::subject::{self, ACTOR};
use super::{Meaning, login, outcome};
use crate::event::Event;
use crate::normalize::outcome::LOW;
use crate::schema::{Attribute, Class};

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
                Change::Account(3)
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
    let Some(change) = change(meaning.kind, &op, has_group) else { return false };
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

fn account<'a>(activity: u8, record: usize, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    if !login::user(records, record, event) {
        // pam_faillock: `pid=1 uid=0 … msg='pam_faillock uid=1000 exe=…'`: the second is who is locked.
        let Some(standing) = records.records.get(record) else { return false };
        let fields = records.fields.get_mut(standing.from..standing.to).unwrap_or_default();
        let mut ids = fields.iter_mut().filter(|field| field.key == "uid").skip(1);
        let Some(field) = ids.next().filter(|field| says(&field.value)) else { return false };
        field.taken = true;
        let id = field.value.clone();
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
