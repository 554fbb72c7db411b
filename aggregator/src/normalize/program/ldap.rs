//! OpenLDAP's slapd: binds (3002), connections and what was asked over them (4001), changed passwords (3001).
//!
//! Each line names its connection (`conn=1001`); only `ACCEPT` names the peer. `BIND … method=` is what the client asks for,
//! `BIND … mech=` is written once it is granted, `RESULT tag=97` is the answer (RFC 4511 §4.2.2) whatever it is. Source:
//! `connection.c`, `bind.c`, `search.c`, `result.c`, `passwd.c` of slapd 2.3 to 2.6 at `loglevel stats`.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{LOW, failure, success};
use super::super::remark::{life, remark};
use super::super::syslog::Header;
use super::super::text::{between, cut, number, port, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Network Activity (4001).
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const TRAFFIC: u8 = 6;
/// `connection_info.direction_id` 1: inbound.
const INBOUND: i64 = 1;
/// Tag of a bind's answer: application 1 of LDAP's protocol.
const BIND_RESPONSE: &str = "97";

/// Reads a message of slapd.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    let Some((connection, rest)) = message.strip_prefix("conn=").map(word) else {
        return match message {
            "slapd starting" => life("slapd", 3, event),
            "slapd stopped." => life("slapd", 4, event),
            _ => remark("slapd", message, event),
        };
    };
    let (place, rest) = word(rest);
    if let Some(descriptor) = place.strip_prefix("fd=") {
        event.unmap("fd", descriptor);
        return transport(connection, rest, header, event);
    }
    let Some(operation) = place.strip_prefix("op=") else { return false };
    event.unmap("op", operation);
    let (verb, rest) = word(rest);
    match verb {
        "BIND" => bind(connection, rest, header, event),
        "RESULT" if value(rest, "tag=") == BIND_RESPONSE => bound(connection, rest, header, event),
        "PASSMOD" => password(connection, rest, header, event),
        _ => asked(connection, verb, rest, header, event),
    }
}

/// The value of a key: in quotes, or a word.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let Some((_, rest)) = cut(text, key) else { return "" };
    match rest.strip_prefix('"') {
        Some(quoted) => cut(quoted, "\"").map_or(quoted, |(value, _)| value),
        None => word(rest).0,
    }
}

/// Class, activity and ends of what passes over a connection.
fn network<'a>(activity: u8, connection: &'a str, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "ldap");
    event.push(Attribute::ConnectionDirectionId, INBOUND);
    event.push(Attribute::ConnectionUid, connection);
    if event.value(Attribute::DstEndpointIp).is_none() {
        push_destination(event, header.this_host(), None);
    }
}

/// `ACCEPT from IP=192.0.2.1:5 (IP=0.0.0.0:389)`, `TLS established tls_ssf=256 ssf=256 tls_proto=TLSv1.3 tls_cipher=…`, `closed
/// (connection lost)`.
fn transport<'a>(connection: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(rest);
    match verb {
        "ACCEPT" => {
            let end = |text: &'a str| text.strip_prefix("IP=")?.rsplit_once(':');
            let Some((host, number)) = rest.strip_prefix("from ").and_then(|rest| end(word(rest).0)) else {
                return false;
            };
            push_source(event, ip(host).unwrap_or(host), port(number));
            if let Some((host, number)) = between(rest, "(", ")").and_then(|(local, _)| end(local)) {
                // Where it listens on any address, the host's name tells more.
                let host = ip(host).filter(|host| !matches!(*host, "0.0.0.0" | "::")).unwrap_or(header.this_host());
                push_destination(event, host, port(number));
                event.class = Class::NetworkActivity;
                event.activity_id = OPEN;
                event.push(Attribute::AppProtocolName, "ldap");
                event.push(Attribute::ConnectionDirectionId, INBOUND);
                event.push(Attribute::ConnectionUid, connection);
            } else {
                network(OPEN, connection, header, event);
            }
            success(event);
        }
        "TLS" if rest.starts_with("established") => {
            network(OPEN, connection, header, event);
            let version = value(rest, "tls_proto=");
            if !version.is_empty() {
                event.push(Attribute::TlsVersion, version);
                event.push(Attribute::TlsCipher, value(rest, "tls_cipher="));
            }
            success(event);
        }
        "closed" => {
            network(CLOSE, connection, header, event);
            if !rest.is_empty() {
                event.push(Attribute::StatusDetail, rest.trim_matches(['(', ')']));
            }
        }
        _ => return false,
    }
    true
}

/// What binds have in common.
fn logon<'a>(connection: &'a str, user: &'a str, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "slapd");
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
    event.push(Attribute::SessionUid, connection);
    push_destination(event, header.this_host(), None);
}

/// `dn="uid=bob,ou=people,dc=example" method=128`: asked for; `… mech=SIMPLE ssf=0`: granted.
fn bind<'a>(connection: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let dn = value(rest, "dn=");
    logon(connection, dn, header, event);
    let mechanism = value(rest, "mech=");
    if mechanism.is_empty() {
        event.activity_id = 6;
    } else {
        event.push(Attribute::AuthProtocolId, 99);
        event.push(Attribute::AuthProtocol, mechanism);
        success(event);
    }
    for (key, mark) in [("method", "method="), ("ssf", " ssf="), ("authcid", "authcid="), ("authzid", "authzid=")] {
        let value = value(rest, mark);
        if !value.is_empty() {
            event.unmap(key, value);
        }
    }
    true
}

/// `tag=97 err=49 text=`: the answer to a bind, which names nobody.
fn bound<'a>(connection: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    logon(connection, "", header, event);
    outcome(rest, event);
    true
}

/// `err=`: LDAP's result code (RFC 4511 appendix A).
fn outcome<'a>(rest: &'a str, event: &mut Event<'a>) {
    let code = value(rest, "err=");
    let text = cut(rest, " text=").map_or("", |(_, text)| text);
    event.push(Attribute::StatusCode, code);
    let reason = match number(code) {
        // compareFalse, compareTrue, referral and saslBindInProgress are no errors.
        Some(0 | 5 | 6 | 10 | 14) => return success(event),
        Some(32) => "no such object",
        Some(49) => "invalid credentials",
        Some(50) => "insufficient access rights",
        Some(53) => "unwilling to perform",
        _ => "",
    };
    failure(event, if text.is_empty() { reason } else { text });
}

/// `PASSMOD id="uid=bob,…" new`: what is asked; its answer is a `RESULT` without the name.
fn password<'a>(connection: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let id = value(rest, "id=");
    if id.is_empty() {
        return asked(connection, "PASSMOD", rest, header, event);
    }
    event.class = Class::AccountChange;
    event.activity_id = 4;
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::UserName, id);
    event.unmap("connection", connection);
    true
}

/// `SRCH base="dc=example" scope=2 deref=0 filter="(uid=bob)"`, `MOD dn="…"`, `SEARCH RESULT tag=101 err=0 nentries=1 text=`,
/// `UNBIND`, and the like.
fn asked<'a>(connection: &'a str, verb: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let answer = verb == "RESULT" || rest.starts_with("RESULT ");
    let plain = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase());
    if !plain {
        return false;
    }
    network(if verb == "UNBIND" { CLOSE } else { TRAFFIC }, connection, header, event);
    event.unmap("operation", verb);
    if answer {
        outcome(rest, event);
    }
    for (key, mark) in [
        ("dn", "dn="),
        ("base", "base="),
        ("scope", "scope="),
        ("filter", "filter="),
        ("attributes", "attr="),
        ("entries", "nentries="),
        ("oid", "oid="),
    ] {
        let value = value(rest, mark);
        if !value.is_empty() {
            event.unmap(key, value);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    fn slapd(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 dir slapd[9]: {message}"))
    }

    #[test]
    fn a_bind_is_asked_for_granted_or_refused() {
        for (message, kind, status, user) in [
            ("conn=1 op=0 BIND dn=\"uid=bob,dc=example\" method=128", 300_206, None, "uid=bob,dc=example"),
            ("conn=1 op=0 BIND dn=\"uid=bob,dc=example\" mech=SIMPLE ssf=0", 300_201, Some(1), "uid=bob,dc=example"),
            ("conn=1 op=0 RESULT tag=97 err=0 text=", 300_201, Some(1), ""),
            ("conn=1 op=0 RESULT tag=97 err=49 qtime=0.000012 etime=0.001234 text=", 300_201, Some(2), ""),
        ] {
            let event = slapd(message);
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["status_id"].as_i64(), status, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["session"]["uid"], "1", "{message}");
        }
        assert_eq!(slapd("conn=1 op=0 RESULT tag=97 err=49 text=")["status_detail"], "invalid credentials");
    }

    #[test]
    fn connections_and_requests_are_network_activity() {
        let event = slapd("conn=1 fd=12 ACCEPT from IP=192.0.2.1:5 (IP=0.0.0.0:389)");
        assert_eq!(event["type_uid"], 400_101);
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!(event["dst_endpoint"], serde_json::json!({"hostname": "dir", "port": 389}));
        let event = slapd("conn=1 fd=12 ACCEPT from IP=[2001:db8::1]:5 (IP=[2001:db8::9]:636)");
        assert_eq!(event["dst_endpoint"]["ip"], "2001:db8::9");
        let event = slapd("conn=1 op=1 SRCH base=\"dc=example\" scope=2 deref=0 filter=\"(uid=bob)\"");
        assert_eq!((&event["type_uid"], &event["unmapped"]["filter"]), (&400_106.into(), &"(uid=bob)".into()));
        assert_eq!(slapd("conn=1 fd=12 closed (connection lost)")["status_detail"], "connection lost");
        assert_eq!(slapd("conn=1 op=4 PASSMOD id=\"uid=bob,dc=example\" new")["type_uid"], 300_104);
        assert_eq!(slapd("slapd starting")["type_uid"], 600_203);
        assert_eq!(slapd("conn=1 op=x")["class_uid"], 0);
    }
}
