//! MIT Kerberos: tickets that were asked for and given or refused (3002), and what kadmind did to principals (3001).
//!
//! `AS_REQ (4 etypes {18 17 20 19}) 192.0.2.1: ISSUE: authtime 1773651600, etypes {rep=18 …}, bob@EXAMPLE.COM for
//! krbtgt/EXAMPLE.COM@EXAMPLE.COM`. The client's name is its own claim. Source: `kdc_log.c` of krb5kdc, `server_stubs.c` and
//! `schpw.c` of kadmind, releases 1.6 to 1.21.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{LOW, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{between, cut, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `auth_protocol_id` 2: Kerberos.
const KERBEROS: i64 = 2;
/// Activities of Authentication (3002).
const AUTHENTICATION_TICKET: u8 = 3;
const SERVICE_TICKET: u8 = 4;
const PREAUTH: u8 = 6;

/// Reads a message of krb5kdc or kadmind.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let (first, rest) = word(message);
    match first {
        "AS_REQ" => ticket(AUTHENTICATION_TICKET, rest, header, event),
        "TGS_REQ" => ticket(SERVICE_TICKET, rest, header, event),
        "Request:" => request(rest, true, event),
        "Unauthorized" => rest.strip_prefix("request: ").is_some_and(|rest| request(rest, false, event)),
        "chpw" => own_password(rest, event),
        "commencing" | "starting" => life(header.program, 3, event),
        "shutting" => life(header.program, 4, event),
        _ => remark(header.program, message, event),
    }
}

/// Name and realm of a principal.
fn push_user<'a>(principal: &'a str, event: &mut Event<'a>) {
    let (name, realm) = principal.rsplit_once('@').unwrap_or((principal, ""));
    event.push(Attribute::UserName, name);
    if !realm.is_empty() {
        event.push(Attribute::UserDomain, realm);
    }
}

/// `(4 etypes {…}) ADDRESS: STATUS: [authtime N, [etypes {…}, ]]CLIENT for SERVER[, REASON]`.
fn ticket<'a>(activity: u8, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (types, rest) = match between(rest, "{", "})") {
        Some((types, rest)) if rest.starts_with(' ') => (types, rest.trim_start()),
        _ => ("", rest),
    };
    let Some((address, rest)) = cut(rest, ": ") else { return false };
    let Some((status, rest)) = cut(rest, ": ") else { return false };
    let rest = match rest.strip_prefix("authtime ").and_then(|rest| cut(rest, ", ")) {
        Some((_, rest)) => rest.trim_start(),
        None => rest,
    };
    let given = rest.strip_prefix("etypes {").and_then(|rest| cut(rest, "}, "));
    let (given, rest) = given.map_or(("", rest), |(given, rest)| (given, rest));
    let Some((client, rest)) = cut(rest, " for ") else { return false };
    let (server, reason) = cut(rest, ", ").unwrap_or((rest, ""));
    event.class = Class::Authentication;
    event.activity_id = activity;
    push_user(client, event);
    event.push(Attribute::ServiceName, server);
    event.push(Attribute::AuthProtocolId, KERBEROS);
    event.push(Attribute::AuthProtocol, "Kerberos");
    event.push(Attribute::IsRemote, true);
    push_source(event, ip(address).unwrap_or_default(), None);
    push_destination(event, header.this_host(), None);
    event.push(Attribute::StatusCode, status);
    match status {
        "ISSUE" => success(event),
        // The client is told to prove itself and asks anew: neither yes nor no yet.
        "NEEDED_PREAUTH" | "PREAUTH_REQUIRED" | "MORE_PREAUTH_DATA_REQUIRED" => {
            event.activity_id = PREAUTH;
            event.push(Attribute::StatusDetail, reason);
        }
        _ => failure(event, if reason.is_empty() { status } else { reason }),
    }
    for (key, value) in [("requested_etypes", types), ("etypes", given)] {
        if !value.is_empty() {
            event.unmap(key, value);
        }
    }
    true
}

/// `kadm5_create_principal, bob@EXAMPLE.COM, success, client=admin/admin@EXAMPLE.COM, service=…, addr=192.0.2.1`; an
/// unauthorized one states no result.
fn request<'a>(rest: &'a str, authorized: bool, event: &mut Event<'a>) -> bool {
    let Some((call, rest)) = cut(rest, ", ") else { return false };
    let Some((target, rest)) = cut(rest, ", ") else { return false };
    let (result, rest) = cut(rest, "client=").unwrap_or((rest, ""));
    let result = result.trim_end_matches([' ', ',']);
    let client = cut(rest, ", ").map_or(rest, |(client, _)| client);
    let address = cut(rest, "addr=").map_or("", |(_, rest)| word(rest).0.trim_end_matches(','));
    let call = call.strip_prefix("kadm5_").unwrap_or(call);
    let name = match call {
        "init" => "",
        "create_principal" => "Create",
        "delete_principal" => "Delete",
        "chpass_principal" | "randkey_principal" | "setkey_principal" if client == target => "Password Change",
        "chpass_principal" | "randkey_principal" | "setkey_principal" => "Password Reset",
        "modify_principal" => "Principal Change",
        "rename_principal" => "Rename",
        _ => "Principal Read",
    };
    event.activity_id = match name {
        "" | "Create" => 1,
        "Password Change" => 3,
        "Password Reset" => 4,
        "Delete" => 6,
        _ => 99,
    };
    if name.is_empty() {
        event.class = Class::Authentication;
        event.push(Attribute::ServiceName, "kadmind");
        event.push(Attribute::AuthProtocolId, KERBEROS);
        event.push(Attribute::AuthProtocol, "Kerberos");
    } else {
        event.class = Class::AccountChange;
        event.push(Attribute::ActorUserName, client);
        if event.activity_id == 99 {
            event.push(Attribute::ActivityName, name);
        }
        if name != "Principal Read" {
            event.severity_id = event.severity_id.max(LOW);
        }
    }
    push_user(target, event);
    push_source(event, address, None);
    event.unmap("call", call);
    match result {
        "success" if authorized => success(event),
        "" => failure(event, "unauthorized request"),
        _ => failure(event, result),
    }
    true
}

/// `chpw request from 192.0.2.1 for bob@EXAMPLE.COM: success`.
fn own_password<'a>(rest: &'a str, event: &mut Event<'a>) -> bool {
    let Some((address, rest)) = rest.strip_prefix("request from ").and_then(|rest| cut(rest, " for ")) else {
        return false;
    };
    let Some((principal, result)) = cut(rest, ": ") else { return false };
    event.class = Class::AccountChange;
    event.activity_id = 3;
    event.severity_id = event.severity_id.max(LOW);
    push_user(principal, event);
    push_source(event, address, None);
    match result {
        "success" => success(event),
        _ => failure(event, result),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_ticket_names_client_service_peer_and_verdict() {
        for (request, kind, status, user) in [
            (
                "AS_REQ (2 etypes {18 17}) 192.0.2.1: ISSUE: authtime 1773651600, etypes {rep=18 tkt=18 ses=18}, bob@EXAMPLE.COM for krbtgt/EXAMPLE.COM@EXAMPLE.COM",
                300_203,
                Some(1),
                "bob",
            ),
            (
                "AS_REQ (2 etypes {18 17}) 192.0.2.1: PREAUTH_FAILED: bob@EXAMPLE.COM for krbtgt/EXAMPLE.COM@EXAMPLE.COM, Preauthentication failed",
                300_203,
                Some(2),
                "bob",
            ),
            (
                "AS_REQ (2 etypes {aes256-cts(18), aes128-cts(17)}) 192.0.2.1: NEEDED_PREAUTH: bob@EXAMPLE.COM for krbtgt/EXAMPLE.COM@EXAMPLE.COM, Additional pre-authentication required",
                300_206,
                None,
                "bob",
            ),
            (
                "TGS_REQ (1 etypes {18}) 192.0.2.1: LOOKING_UP_SERVER: authtime 0,  bob@EXAMPLE.COM for HTTP/x@EXAMPLE.COM, Server not found in Kerberos database",
                300_204,
                Some(2),
                "bob",
            ),
        ] {
            for tag in ["krb5kdc[9]", "krb5kdc[9](info)"] {
                let event = normalized(&format!("Mar 16 10:00:00 kdc {tag}: {request}"));
                assert_eq!(event["type_uid"], kind, "{request}");
                assert_eq!(event["status_id"].as_i64(), status, "{request}");
                assert_eq!(event["user"], serde_json::json!({"name": user, "domain": "EXAMPLE.COM"}), "{request}");
                assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{request}");
                assert_eq!(event["auth_protocol_id"], 2, "{request}");
            }
        }
    }

    #[test]
    fn kadmind_changes_accounts() {
        let tail = "client=admin/admin@EXAMPLE.COM, service=kadmin/admin@EXAMPLE.COM, addr=192.0.2.1";
        for (request, kind, status) in [
            (format!("Request: kadm5_create_principal, bob@EXAMPLE.COM, success, {tail}"), 300_101, 1),
            (format!("Request: kadm5_chpass_principal, bob@EXAMPLE.COM, success, {tail}"), 300_104, 1),
            (format!("Unauthorized request: kadm5_delete_principal, bob@EXAMPLE.COM, {tail}"), 300_106, 2),
            ("chpw request from 192.0.2.1 for bob@EXAMPLE.COM: success".to_owned(), 300_103, 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 kdc kadmind[9]: {request}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&kind.into(), &status.into()), "{request}");
            assert_eq!(event["user"]["name"], "bob", "{request}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{request}");
            if request.contains("client=") {
                assert_eq!(event["actor"]["user"]["name"], "admin/admin@EXAMPLE.COM");
            }
        }
    }
}
