//! Asterisk's log: who registered or was refused (3002), calls that were rejected (4001), the server's own life (6002, 6008).
//!
//! In: `[2026-03-16 10:00:00] NOTICE[7][C-00000001]: chan_sip.c:28468 handle_request_register: message`, or the part from the level on
//! in syslog. Out: user, client and outcome. Source: `main/logger.c`, `res_security_log.c`, `channels/chan_sip.c`,
//! `chan_iax2.c`, `res_pjsip_session.c` of Asterisk 1.8 to 22.

use super::endpoint::with_port;
use super::outcome::{Control, controlled, failure, success};
use super::remark::remark;
use super::syslog::Header;
use super::text::{between, cut, last_cut, level, port, word};
use super::{Context, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Levels of a line.
const LEVELS: [&str; 7] = ["NOTICE", "WARNING", "ERROR", "SECURITY", "VERBOSE", "DEBUG", "DTMF"];
/// Activities of Authentication (3002).
const LOGON: u8 = 1;
const PREAUTH: u8 = 6;
/// Activity of Network Activity (4001).
const REFUSE: u8 = 5;

/// Whether a level and a thread stand behind a time in brackets.
pub(super) fn looks(text: &str) -> bool {
    let behind = text.strip_prefix('[').and_then(|rest| cut(rest, "] "));
    behind.is_some_and(|(time, rest)| time.len() < 40 && levelled(rest).is_some())
}

/// `NOTICE[7][C-00000001]: ` and what follows: the level and the message.
fn levelled(text: &str) -> Option<(&'static str, &str)> {
    let (level, rest) = LEVELS.into_iter().find_map(|level| Some((level, text.strip_prefix(level)?)))?;
    let (thread, rest) = rest.strip_prefix('[')?.split_once(']')?;
    thread.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    let rest = rest.strip_prefix("[C-").and_then(|rest| cut(rest, "]")).map_or(rest, |(_, rest)| rest);
    Some((level, rest.strip_prefix(':').unwrap_or(rest).trim_start()))
}

/// Reads a line of its own file.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some(bare) = text.strip_prefix('[') else { return false };
    let stamp = timestamp::iso(bare, context.reference).or_else(|| timestamp::bsd(bare, context.reference));
    let Some((stamp, rest)) = stamp else { return false };
    let Some((level, message)) = rest.strip_prefix("] ").and_then(levelled) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "asterisk");
    event.push(Attribute::MetadataLogProvider, "asterisk");
    event.push(Attribute::Message, message);
    said(level, message, event);
    true
}

/// Reads a message in syslog.
pub(super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    match levelled(message) {
        Some((level, message)) => said(level, message, event),
        None => remark("asterisk", message, event),
    }
}

fn said<'a>(word: &'static str, message: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::MetadataLogLevel, word);
    event.severity_id = level(word).unwrap_or(1);
    security(message, event)
        || registration(message, event)
        || authentication(message, event)
        || rejected(message, event)
        || remark("asterisk", message, event)
}

/// `SecurityEvent="InvalidPassword",…,Service="SIP",…,AccountID="bob",…,LocalAddress="IPV4/UDP/198.51.100.2/5060",RemoteAddress=
/// "IPV4/UDP/192.0.2.1/4711"` (res_security_log.c). The peer chooses the session's name, and no quote is escaped: of the addresses the
/// last ones are the server's word.
fn security<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, rest)) = between(message, "SecurityEvent=\"", "\"") else { return false };
    let (activity, passed) = match name {
        "SuccessfulAuth" => (LOGON, Some(true)),
        "ChallengeSent" => (PREAUTH, None),
        "InvalidPassword"
        | "InvalidAccountID"
        | "ChallengeResponseFailed"
        | "FailedACL"
        | "AuthMethodNotAllowed"
        | "UnexpectedAddress"
        | "RequestNotAllowed" => (LOGON, Some(false)),
        _ => return remark("asterisk", name, event),
    };
    let value = |open: &str| between(rest, open, "\"").map(|(value, _)| value).filter(|value| !value.is_empty());
    let address = |open: &str| last_cut(rest, open).and_then(|(_, value)| transport(value.split('"').next()?));
    let client = address(",RemoteAddress=\"");
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::MetadataEventCode, name);
    event.push(Attribute::UserName, value("AccountID=\"").filter(|name| *name != "<unknown>").unwrap_or("unknown"));
    event.push(Attribute::ServiceName, value("Service=\"").unwrap_or("asterisk"));
    event.push(Attribute::IsRemote, true);
    if let Some(session) = value("SessionID=\"") {
        event.push(Attribute::SessionUid, session);
    }
    push_client(client, event);
    if let Some((address, port)) = address(",LocalAddress=\"") {
        event.push(Attribute::DstEndpointIp, address);
        if let Some(port) = port {
            event.push(Attribute::DstEndpointPort, port);
        }
    }
    match passed {
        Some(true) => success(event),
        Some(false) => failure(event, name),
        None => {}
    }
    true
}

/// `IPV4/UDP/192.0.2.1/4711`.
fn transport(text: &str) -> Option<(&str, Option<i64>)> {
    let mut parts = text.splitn(4, '/').skip(2);
    let (address, _) = with_port(parts.next()?)?;
    Some((address, parts.next().and_then(port)))
}

/// `192.0.2.1:5`, `UDP:192.0.2.1:5`, `TCP:[2001:db8::1]:5`.
fn end(text: &str) -> Option<(&str, Option<i64>)> {
    with_port(text).or_else(|| with_port(text.split_once(':')?.1))
}

fn push_client<'a>(client: Option<(&'a str, Option<i64>)>, event: &mut Event<'a>) {
    let Some((address, port)) = client else { return };
    event.push(Attribute::SrcEndpointIp, address);
    if let Some(port) = port {
        event.push(Attribute::SrcEndpointPort, port);
    }
}

/// A logon that failed.
fn refused<'a>(
    service: &'static str,
    user: &'a str,
    client: Option<(&'a str, Option<i64>)>,
    reason: &'a str,
    event: &mut Event<'a>,
) -> bool {
    event.class = Class::Authentication;
    event.activity_id = LOGON;
    event.push(Attribute::UserName, if user.is_empty() { "unknown" } else { user });
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::IsRemote, true);
    push_client(client, event);
    failure(event, reason);
    true
}

/// `Registration from '"bob" <sip:bob@198.51.100.2>' failed for '192.0.2.1:4711' - Wrong password`; PJSIP's `Request 'REGISTER' from
/// '<sip:bob@198.51.100.2>' failed for '192.0.2.1:4711' (callid: x) - No matching endpoint found`.
fn registration<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    // What the peer calls itself stands before: the address is the last one.
    let Some((head, rest)) = message.rsplit_once("' failed for '") else { return false };
    let Some((client, rest)) = rest.split_once('\'') else { return false };
    let Some((_, name)) = cut(head, " from '") else { return false };
    let user = cut(name, "sip:").map_or(name, |(_, user)| user);
    let user = user.split(['@', '>', '\'']).next().unwrap_or(user).trim_matches(['"', '<', ' ']);
    let reason = cut(rest, " - ").map_or("", |(_, reason)| reason);
    refused("SIP", user, end(client), reason, event)
}

/// IAX: `Host 192.0.2.1 failed to authenticate as 'bob'`, `Host 192.0.2.1 failed MD5 authentication for 'bob' (… != …)`, `No
/// registration for peer 'bob' (from 192.0.2.1)`.
fn authentication<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((user, rest)) = between(message, "No registration for peer '", "' (from ") {
        let client = rest.split_once(')').and_then(|(client, _)| end(client));
        return refused("IAX2", user, client, "no registration for peer", event);
    }
    let Some((_, rest)) = cut(message, "Host ") else { return false };
    let (client, rest) = word(rest);
    let (reason, open) = match rest {
        _ if rest.starts_with("failed to authenticate as '") => ("failed to authenticate", "as '"),
        _ if rest.starts_with("failed MD5 authentication for '") => ("failed MD5 authentication", "for '"),
        _ => return false,
    };
    let Some((user, _)) = between(rest, open, "'") else { return false };
    refused("IAX2", user, end(client), reason, event)
}

/// `Call from 'bob' (192.0.2.1:4711) to extension '900' rejected because extension not found in context 'default'.`, `anonymous: Call
/// (UDP:192.0.2.1:4711) to extension …`, `Rejecting unknown SIP connection from 192.0.2.1:4711`, `hacking attempt detected
/// '192.0.2.1'`.
fn rejected<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let call = message.split_once("' rejected because ").and_then(|(head, reason)| {
        let (head, extension) = head.rsplit_once(") to extension '")?;
        let (caller, client) = head.rsplit_once('(')?;
        Some((caller, client, extension, reason))
    });
    let (client, reason) = match call {
        Some((_, client, _, reason)) => (client, reason),
        None => {
            let opens = ["Rejecting unknown SIP connection from ", "hacking attempt detected '"];
            let Some(client) = opens.into_iter().find_map(|open| Some(cut(message, open)?.1)) else { return false };
            (word(client).0.trim_matches(['"', '\'', '.']), "")
        }
    };
    let Some(client) = end(client) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = REFUSE;
    push_client(Some(client), event);
    event.push(Attribute::AppProtocolName, "sip");
    if let Some((caller, _, extension, _)) = call {
        if let Some((caller, _)) = between(caller, "Call from '", "'").filter(|(caller, _)| !caller.is_empty()) {
            event.push(Attribute::ActorUserName, caller);
        }
        event.unmap("extension", extension);
    }
    failure(event, reason);
    controlled(event, Control::Rejected);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn who_was_refused_is_read() {
        for (message, user, address, port) in [
            (
                "NOTICE[7]: chan_sip.c:28468 handle_request_register: Registration from '\"bob\" <sip:bob@198.51.100.2>' failed for '192.0.2.1:4711' - Wrong password",
                "bob",
                "192.0.2.1",
                Some(4711),
            ),
            (
                "NOTICE[7] chan_sip.c: Registration from '<sip:301@example.com>' failed for '192.0.2.1' - No matching peer found",
                "301",
                "192.0.2.1",
                None,
            ),
            (
                "NOTICE[7]: res_pjsip/pjsip_distributor.c:676 log_failed_request: Request 'REGISTER' from '<sip:301@198.51.100.2>' failed for '192.0.2.1:4711' (callid: 9) - No matching endpoint found",
                "301",
                "192.0.2.1",
                Some(4711),
            ),
            ("NOTICE[7] chan_iax2.c: Host 192.0.2.1 failed to authenticate as 'bob'", "bob", "192.0.2.1", None),
            (
                "NOTICE[7] chan_iax2.c: Host 192.0.2.1 failed MD5 authentication for 'bob' (e7 != 53)",
                "bob",
                "192.0.2.1",
                None,
            ),
            ("NOTICE[7] chan_iax2.c: No registration for peer 'bob' (from 192.0.2.1)", "bob", "192.0.2.1", None),
            (
                "SECURITY[7] res_security_log.c: SecurityEvent=\"InvalidPassword\",EventTV=\"1\",Severity=\"Error\",Service=\"SIP\",EventVersion=\"2\",AccountID=\"bob\",SessionID=\"0x7\",LocalAddress=\"IPV4/UDP/198.51.100.2/5060\",RemoteAddress=\"IPV4/UDP/192.0.2.1/4711\",Challenge=\"4\"",
                "bob",
                "192.0.2.1",
                Some(4711),
            ),
            (
                "SECURITY[7]: res_security_log.c:114 security_event_stasis_cb: SecurityEvent=\"ChallengeResponseFailed\",Service=\"PJSIP\",AccountID=\"<unknown>\",LocalAddress=\"IPV6/TLS/2001:db8::2/5061\",RemoteAddress=\"IPV6/TLS/2001:db8::1/4711\"",
                "unknown",
                "2001:db8::1",
                Some(4711),
            ),
            (
                "SECURITY[7] res_security_log.c: SecurityEvent=\"InvalidAccountID\",Service=\"PJSIP\",AccountID=\"bob\",SessionID=\"\",RemoteAddress=\"IPV4/UDP/198.51.100.66/1\",LocalAddress=\"IPV4/UDP/198.51.100.2/5060\",RemoteAddress=\"IPV4/UDP/192.0.2.1/4711\"",
                "bob",
                "192.0.2.1",
                Some(4711),
            ),
        ] {
            for line in [
                format!("[2026-03-16 10:00:00] {message}"),
                format!("[Mar 16 10:00:00] {message}"),
                format!("Mar 16 10:00:00 pbx asterisk[9]: {message}"),
            ] {
                let event = normalized(&line);
                assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)), "{line}");
                assert_eq!(
                    (&event["user"]["name"], &event["src_endpoint"]["ip"]),
                    (&json!(user), &json!(address)),
                    "{line}"
                );
                assert_eq!(event["src_endpoint"]["port"].as_i64(), port, "{line}");
                assert_eq!(event["time"], 1_773_651_600_000_i64, "{line}");
            }
        }
    }

    #[test]
    fn who_came_in_and_who_was_asked_is_told_apart() {
        let line = |name: &str| {
            normalized(&format!(
                "[2026-03-16 10:00:00] SECURITY[7] res_security_log.c: SecurityEvent=\"{name}\",Service=\"PJSIP\",AccountID=\"bob\",RemoteAddress=\"IPV4/UDP/192.0.2.1/4711\""
            ))
        };
        let event = line("SuccessfulAuth");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(1)));
        let event = line("ChallengeSent");
        assert_eq!((&event["type_uid"], event.get("status_id")), (&json!(300_206), None));
        assert_eq!(line("LoadAverageLimit")["class_uid"], 6002);
    }

    #[test]
    fn calls_that_are_rejected_are_connections_that_were_refused() {
        for (message, caller, port) in [
            (
                "NOTICE[7][C-00000fa9] chan_sip.c: Call from '' (192.0.2.1:4711) to extension '900' rejected because extension not found in context 'default'.",
                None,
                Some(4711),
            ),
            (
                "NOTICE[7]: res_pjsip_session.c:2337 new_invite: Call from 'bob' (TCP:[192.0.2.1]:4711) to extension '900' rejected because extension not found in context 'default'.",
                Some("bob"),
                Some(4711),
            ),
            (
                "NOTICE[7] res_pjsip_session.c:  anonymous: Call (UDP:192.0.2.1:4711) to extension '900' rejected because extension not found in context 'in'.",
                None,
                Some(4711),
            ),
            ("WARNING[7][C-0000001d] Ext. s: \"Rejecting unknown SIP connection from 192.0.2.1\"", None, None),
            ("NOTICE[7] chan_sip.c: hacking attempt detected '192.0.2.1'", None, None),
        ] {
            let event = normalized(&format!("[2026-03-16 10:00:00] {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_105), &json!(2)), "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
            assert_eq!(event["src_endpoint"]["port"].as_i64(), port, "{message}");
            assert_eq!(event["actor"]["user"]["name"].as_str(), caller, "{message}");
        }
        assert_eq!(normalized("[2026-03-16 10:00:00] WARNING[7]: file.c:1 x: no sound")["type_uid"], 600_801);
    }
}
