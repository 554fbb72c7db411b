//! Logins: USER_LOGIN, USER_AUTH, USER_ACCT, USER_START, USER_END, USER_LOGOUT, CRED_*, GRP_AUTH, USER_ROLE_CHANGE, and the
//! kernel's LOGIN; the keys and sessions of sshd's encryption (CRYPTO_*).
//!
//! In: `pid=1 uid=0 auid=1000 ses=3 msg='op=PAM:session_open acct="bob" exe="/usr/sbin/sshd" hostname=h addr=192.0.2.1
//! terminal=ssh res=success'` (PAM's audit calls, sshd's audit-linux.c). Out: class 3002, for a session of ssh 4007.

use std::borrow::Cow;

use super::record::Records;
use super::subject::{self, ACTOR};
use super::{Meaning, outcome};
use crate::event::Event;
use crate::normalize::endpoint;
use crate::normalize::outcome::LOW;
use crate::normalize::text::{base_name, port};
use crate::schema::{Attribute, Class};

/// Activities of Authentication (3002).
const LOGON: u8 = 1;
const LOGOFF: u8 = 2;
const OTHER: u8 = 99;

/// Activity of a record type, and its name where OCSF has none.
fn activity(kind: &str) -> Option<(u8, &'static str)> {
    Some(match kind {
        "USER_LOGIN" | "USER_AUTH" | "USER_START" | "CRED_ACQ" | "LOGIN" | "GRP_AUTH" | "USER_ERR" | "CRYPTO_LOGIN" => {
            (LOGON, "")
        }
        "USER_LOGOUT" | "USER_END" | "CRED_DISP" | "CRYPTO_LOGOUT" => (LOGOFF, ""),
        "USER_ACCT" => (OTHER, "Account Check"),
        "CRED_REFR" => (OTHER, "Credential Refresh"),
        "USER_ROLE_CHANGE" | "ROLE_ASSIGN" | "ROLE_REMOVE" | "ROLE_MODIFY" => (OTHER, "Role Change"),
        "CHUSER_ID" | "CHGRP_ID" => (OTHER, "Id Change"),
        _ => return None,
    })
}

/// Reads the event if it is about a login; false where it names no user.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    if meaning.kind.starts_with("CRYPTO_") && session(meaning, records, event) {
        return true;
    }
    let Some((activity, name)) = activity(meaning.kind) else { return false };
    let record = meaning.main;
    if meaning.kind == "LOGIN" {
        return assigned(meaning, records, event);
    }
    if !user(records, record, event) {
        match inner_id(records, record) {
            Some(id) => event.push(subject::id_or_name(&id, Attribute::UserUid, Attribute::UserName), id),
            None if login_user(records, record, event) => {}
            None => return false,
        }
    }
    event.class = Class::Authentication;
    event.activity_id = activity;
    if activity == OTHER {
        event.push(Attribute::ActivityName, name);
    }
    let exe = records.peek(record, "exe").map(|exe| exe.value.clone()).unwrap_or_default();
    service(records.peek(record, "terminal").map(|field| field.value.clone()), &exe, event);
    if let Some(session) = records.peek(record, "ses").map(|field| field.value.clone()) {
        event.push(Attribute::SessionUid, session);
    }
    if let Some(terminal) = records.peek(record, "terminal").map(|field| field.value.clone()) {
        event.push(Attribute::SessionTerminal, terminal);
    }
    if source(records, record, event) {
        event.push(Attribute::IsRemote, true);
        if let Some(port) = records.take(record, "rport").and_then(|text| port(&text)) {
            event.push(Attribute::SrcEndpointPort, port);
        }
    }
    subject::push(records, record, &ACTOR, event);
    outcome(meaning, records, event);
    true
}

/// `service.name`: the program that asked; without one the terminal, which is `cron`, `ssh`, … then.
fn service<'a>(terminal: Option<Cow<'a, str>>, exe: &str, event: &mut Event<'a>) {
    match (exe.is_empty(), terminal) {
        (false, _) => event.push(Attribute::ServiceName, base_name(exe).to_owned()),
        (true, Some(terminal)) => event.push(Attribute::ServiceName, terminal),
        (true, None) => event.push(Attribute::ServiceName, "audit"),
    }
}

/// The kernel gives a process its login id: `old-auid=… auid=1000 ses=3 res=1`.
fn assigned<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let record = meaning.main;
    // Linux before 3.14: `login pid=… old auid=4294967295 new auid=0 old ses=… new ses=1`: the last of each counts.
    let last = |records: &Records<'a>, key: &str| {
        let standing = records.records.get(record)?;
        let fields = records.fields.get(standing.from..standing.to)?;
        fields.iter().rfind(|field| field.key == key && super::record::says(&field.value)).map(|f| f.value.clone())
    };
    let Some(auid) = last(records, "auid") else { return false };
    event.class = Class::Authentication;
    event.activity_id = LOGON;
    event.push(subject::id_or_name(&auid, Attribute::UserUid, Attribute::UserName), auid);
    if let Some(name) = records.take_text(record, "AUID").filter(|_| event.value(Attribute::UserName).is_none()) {
        event.push(Attribute::UserName, name);
    }
    if let Some(session) = last(records, "ses") {
        event.push(Attribute::SessionUid, session);
    }
    let subject = meaning.subject();
    let exe = records.peek(subject, "exe").map(|exe| exe.value.clone()).unwrap_or_default();
    service(None, &exe, event);
    for key in ["auid", "ses"] {
        records.take(record, key);
        records.take(subject, key);
    }
    outcome(meaning, records, event);
    subject::push(records, subject, &ACTOR, event);
    true
}

/// The user that a record names: `acct=`, `id=`.
pub(super) fn user<'a>(records: &mut Records<'a>, record: usize, event: &mut Event<'a>) -> bool {
    let account = records.take_text(record, "acct");
    let id = records.take(record, "id");
    let named = account.is_some() || id.is_some();
    if let Some(account) = account {
        event.push(Attribute::UserName, account);
    } else if let Some(name) = records.take_text(record, "ID") {
        event.push(Attribute::UserName, name);
    }
    if let Some(id) = id {
        let place = subject::id_or_name(&id, Attribute::UserUid, Attribute::UserName);
        if event.value(place).is_none() {
            event.push(place, id);
        }
    }
    named
}

/// Whom a program means that names a user by id alone: `uid=0 … msg='op=pam_faillock suid=1000 …'`, `uid=0 …
/// msg='pam_tally2 uid=1000 reset=0 …'`, where the first `uid=` is its own.
pub(super) fn inner_id<'a>(records: &mut Records<'a>, record: usize) -> Option<Cow<'a, str>> {
    if let Some(id) = records.take(record, "suid") {
        return Some(id);
    }
    let standing = records.records.get(record)?;
    let fields = records.fields.get_mut(standing.from..standing.to)?;
    let field = fields.iter_mut().filter(|field| field.key == "uid").nth(1)?;
    // Older ones wrote `uid=1000: exe=…`.
    if !super::record::says(&field.value) || field.value.ends_with(':') {
        return None;
    }
    field.taken = true;
    Some(field.value.clone())
}

/// The user that the process works for, where the record names no other.
fn login_user<'a>(records: &mut Records<'a>, record: usize, event: &mut Event<'a>) -> bool {
    let ids = [("auid", "AUID"), ("uid", "UID")];
    let known = |(id, _): &(&str, &str)| records.peek(record, id).is_some();
    let Some((id, name)) = ids.into_iter().find(known) else { return false };
    let value = records.peek(record, id).map(|field| field.value.clone()).unwrap_or_default();
    let place = subject::id_or_name(&value, Attribute::UserUid, Attribute::UserName);
    event.push(place, value);
    if place == Attribute::UserName {
        return true;
    }
    if let Some(name) = records.peek(record, name).map(|field| field.value.clone()) {
        event.push(Attribute::UserName, name);
    }
    true
}

/// From where: `addr=`, `hostname=`. A host that is told twice is told once.
pub(super) fn source<'a>(records: &mut Records<'a>, record: usize, event: &mut Event<'a>) -> bool {
    let address = records.take(record, "addr");
    let host = records.take(record, "hostname");
    let ip = |text: &Cow<'a, str>| endpoint::ip(text).map(str::to_owned);
    let found = address.as_ref().and_then(ip).or_else(|| host.as_ref().and_then(ip));
    if let Some(ip) = &found {
        event.push(Attribute::SrcEndpointIp, ip.clone());
    }
    let name = [host, address].into_iter().flatten().find(|text| endpoint::ip(text).is_none());
    match name {
        Some(Cow::Borrowed(name)) => {
            let named = endpoint::Address::parse(name);
            if let Some(endpoint::Address::Name(name)) = named {
                event.push(Attribute::SrcEndpointHostname, name);
            }
            found.is_some() || named.is_some()
        }
        _ => found.is_some(),
    }
}

/// sshd's keys and ciphers: `op=start direction=from-server cipher=… rport=… laddr=… lport=… addr=…`.
fn session<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let record = meaning.main;
    let Some(address) = records.peek(record, "addr").map(|field| field.value.clone()) else { return false };
    let Some(address) = endpoint::ip(&address).map(str::to_owned) else { return false };
    records.take(record, "addr");
    let is_ssh = records.peek(record, "exe").is_some_and(|exe| base_name(&exe.value).starts_with("sshd"));
    event.class = if is_ssh { Class::SshActivity } else { Class::NetworkActivity };
    let op = records.peek(record, "op").map(|field| field.value.clone()).unwrap_or_default();
    event.activity_id = match &*op {
        "start" | "create" => 1,
        "destroy" => 2,
        _ => 6,
    };
    event.push(Attribute::SrcEndpointIp, address);
    if let Some(port) = records.take(record, "rport").and_then(|text| port(&text)) {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if let Some(local) = records.take(record, "laddr").filter(|local| endpoint::ip(local).is_some()) {
        event.push(Attribute::DstEndpointIp, local);
        if let Some(port) = records.take(record, "lport").and_then(|text| port(&text)) {
            event.push(Attribute::DstEndpointPort, port);
        }
    }
    subject::push(records, record, &ACTOR, event);
    outcome(meaning, records, event);
    event.severity_id = event.severity_id.min(LOW);
    true
}
