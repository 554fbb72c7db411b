//! Anomalies that programs found, and what they did about them: ANOM_* and RESP_* of the ranges 2100 and 2200.
//!
//! In: such a record; what it holds beside its type differs from program to program. Out: a detection finding (2004) whose
//! rule is the type.

use std::borrow::Cow;

use super::record::Records;
use super::subject::{self, ACTOR};
use super::{Meaning, login, outcome};
use crate::event::Event;
use crate::normalize::endpoint;
use crate::schema::{Attribute, Class};

/// What a type says, for people (the audit message dictionary).
fn title(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "ANOM_ACCESS_FS" => "File or folder access that ended abnormally",
        "ANOM_ADD_ACCT" => "Account addition that ended abnormally",
        "ANOM_AMTU_FAIL" => "Failure of the abstract machine test utility",
        "ANOM_CRYPTO_FAIL" => "Failure of the cryptographic system",
        "ANOM_DEL_ACCT" => "Account deletion that ended abnormally",
        "ANOM_EXEC" => "Execution of a file that ended abnormally",
        "ANOM_LOGIN_ACCT" => "Login attempt to a watched account",
        "ANOM_LOGIN_FAILURES" => "Limit of failed logins reached",
        "ANOM_LOGIN_LOCATION" => "Login from a forbidden location",
        "ANOM_LOGIN_SERVICE" => "Login through a service account",
        "ANOM_LOGIN_SESSIONS" => "Limit of concurrent sessions reached",
        "ANOM_LOGIN_TIME" => "Login at a forbidden time",
        "ANOM_MAX_DAC" => "Limit of discretionary access failures reached",
        "ANOM_MAX_MAC" => "Limit of mandatory access failures reached",
        "ANOM_MK_EXEC" => "File made executable",
        "ANOM_MOD_ACCT" => "Account modification that ended abnormally",
        "ANOM_RBAC_FAIL" => "Failure of role-based access control",
        "ANOM_RBAC_INTEGRITY_FAIL" => "Failure of the integrity of role-based access control",
        "ANOM_ROOT_TRANS" => "User became root",
        "RESP_ANOMALY" | "RESP_ALERT" => "Alert was sent",
        "RESP_ACCT_REMOTE" => "Account locked for remote access",
        "RESP_EXEC" => "Response program run",
        "RESP_HALT" => "System shut down",
        "RESP_KILL_PROC" => "Process killed",
        "RESP_SEBOOL" => "SELinux boolean set",
        "RESP_SINGLE" => "System set to single-user mode",
        "RESP_TERM_ACCESS" => "Session terminated",
        "RESP_TERM_LOCK" => "Terminal locked",
        "RESP_ORIGIN_BLOCK" | "RESP_ORIGIN_BLOCK_TIMED" => "Address blocked",
        _ => return None,
    })
}

/// `op=pam_faillock suid=1000`: whose logins they were is the actor; the user that the program runs as is kept beside.
fn whose<'a>(id: Cow<'a, str>, record: usize, records: &mut Records<'a>, event: &mut Event<'a>) {
    for key in ["uid", "UID"] {
        if let Some(own) = records.take(record, key) {
            event.unmap(key, own);
        }
    }
    event.push(subject::id_or_name(&id, Attribute::ActorUserUid, Attribute::ActorUserName), id);
    if let Some(name) = records.take_text(record, "SUID").filter(|_| event.value(Attribute::ActorUserName).is_none()) {
        event.push(Attribute::ActorUserName, name);
    }
}

/// Reads the event if it is such a finding.
pub(super) fn read<'a>(meaning: &Meaning<'a>, records: &mut Records<'a>, event: &mut Event<'a>) -> bool {
    let Some(title) = title(meaning.kind) else { return false };
    let record = meaning.main;
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = 3;
    event.push(Attribute::IsAlert, true);
    event.push(Attribute::FindingUid, meaning.stamp.text);
    event.push(Attribute::FindingTitle, title);
    event.push(Attribute::FindingTypes, "Audit anomaly");
    event.push(Attribute::FindingAnalyticName, meaning.kind);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    let account = records.take_text(record, "acct");
    let id = if account.is_none() { login::inner_id(records, record) } else { None };
    if let Some(account) = account {
        event.push(Attribute::EvidencesUserName, account);
    }
    let host = [records.take(record, "addr"), records.take(record, "hostname")];
    if let Some(ip) = host.iter().flatten().find_map(|host| endpoint::ip(host).map(str::to_owned)) {
        event.push(Attribute::EvidencesSrcEndpointIp, ip);
    }
    let pid = records.peek(record, "pid").and_then(|pid| subject::integer(&pid.value));
    if let Some(pid) = pid {
        event.push(Attribute::EvidencesProcessPid, pid);
        let exe = records.peek(record, "exe").map(|exe| exe.value.clone()).unwrap_or(Cow::Borrowed(""));
        if !exe.is_empty() {
            event.push(Attribute::EvidencesProcessName, crate::normalize::text::base_name(&exe).to_owned());
        }
    }
    if let Some(id) = id {
        whose(id, record, records, event);
    }
    subject::push(records, record, &ACTOR, event);
    outcome(meaning, records, event);
    true
}
