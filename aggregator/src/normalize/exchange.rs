//! Protocol logs of Exchange: who logged on (3002), and what was said over a connection (4001).
//!
//! In: comma-separated columns behind a time in UTC. SMTP: connector, session, number, local end, remote end, `+` open, `-` close, `>`
//! sent, `<` received, `*` remark, data, context. POP3 and IMAP4: session, number, server's end, client's end, user, duration, bytes of
//! request and response, command, parameters, context. Source: Microsoft, "Protocol logging in Exchange Server"; the headers
//! of such logs.

use super::endpoint::{push_ends, with_port};
use super::outcome::{failure, success};
use super::text::{between, number};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Network Activity (4001).
const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const TRAFFIC: u8 = 6;

/// Reads what stands behind the time and its comma; false where no two ends stand where they must.
pub(super) fn parse<'a>(columns: &'a str, event: &mut Event<'a>) -> bool {
    smtp(columns, event) || mailbox(columns, event)
}

fn smtp<'a>(columns: &'a str, event: &mut Event<'a>) -> bool {
    let mut parts = columns.splitn(7, ',');
    let (Some(connector), Some(session), Some(count)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let (Some(local), Some(remote)) = (parts.next().and_then(with_port), parts.next().and_then(with_port)) else {
        return false;
    };
    let (Some(verb), Some(data)) = (parts.next(), parts.next()) else { return false };
    if number(count).is_none() || !matches!(verb, "+" | "-" | ">" | "<" | "*") {
        return false;
    }
    let failed = data.starts_with("535 ");
    if verb == ">" && (failed || data.starts_with("235 ")) {
        event.class = Class::Authentication;
        event.activity_id = 1;
        event.push(Attribute::UserName, "unknown");
        event.push(Attribute::ServiceName, "smtp");
        event.push(Attribute::IsRemote, true);
        event.push(Attribute::SessionUid, session);
        outcome(failed, data.trim_end_matches(','), event);
    } else {
        event.class = Class::NetworkActivity;
        event.activity_id = match verb {
            "+" => OPEN,
            "-" => CLOSE,
            _ => TRAFFIC,
        };
        event.push(Attribute::AppProtocolName, "smtp");
        event.unmap("session", session);
    }
    push_ends(event, remote, local);
    event.unmap("connector", connector);
    true
}

fn mailbox<'a>(columns: &'a str, event: &mut Event<'a>) -> bool {
    let mut parts = columns.splitn(10, ',');
    let (Some(session), Some(count)) = (parts.next(), parts.next()) else { return false };
    let (Some(server), Some(client)) = (parts.next().and_then(with_port), parts.next().and_then(with_port)) else {
        return false;
    };
    let (Some(user), Some(milliseconds), _, _, Some(command), Some(rest)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    if number(count).is_none() {
        return false;
    }
    let service = match server.1 {
        Some(110 | 995) => "pop3",
        _ => "imap",
    };
    if matches!(command, "auth" | "authenticate" | "login" | "pass") {
        let failed = rest.contains("AuthFailed") || rest.contains("-ERR ") || rest.contains(" NO ");
        let reason = between(rest, "ErrMsg=", "\"").map_or("", |(reason, _)| reason);
        event.class = Class::Authentication;
        event.activity_id = 1;
        event.push(Attribute::UserName, if user.is_empty() { "unknown" } else { user });
        event.push(Attribute::ServiceName, service);
        event.push(Attribute::IsRemote, true);
        event.push(Attribute::SessionUid, session);
        outcome(failed, reason, event);
    } else {
        event.class = Class::NetworkActivity;
        event.activity_id = match command {
            "OpenSession" => OPEN,
            "CloseSession" => CLOSE,
            _ => TRAFFIC,
        };
        event.push(Attribute::AppProtocolName, service);
        if !user.is_empty() {
            event.push(Attribute::ActorUserName, user);
        }
        event.unmap("session", session);
        if let Some(milliseconds) = number(milliseconds) {
            event.push(Attribute::Duration, milliseconds);
        }
    }
    push_ends(event, client, server);
    event.unmap("command", command);
    true
}

fn outcome<'a>(failed: bool, reason: &'a str, event: &mut Event<'a>) {
    if failed {
        failure(event, reason);
    } else {
        success(event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn logons_and_connections_of_each_protocol_are_told_apart() {
        for (rest, kind, status, user, port) in [
            (
                "MX1\\Default,08DA,9,198.51.100.2:25,192.0.2.1:4711,>,535 5.7.3 Authentication unsuccessful,",
                300_201,
                Some(2),
                Some("unknown"),
                25,
            ),
            (
                "MX1\\Default,08DA,9,198.51.100.2:25,192.0.2.1:4711,>,235 2.7.0 Authentication successful,",
                300_201,
                Some(1),
                Some("unknown"),
                25,
            ),
            ("MX1\\Default,08DA,0,198.51.100.2:25,192.0.2.1:4711,+,,", 400_101, None, None, 25),
            ("MX1\\Default,08DA,3,198.51.100.2:25,192.0.2.1:4711,<,EHLO a,", 400_106, None, None, 25),
            (
                "000E,2,198.51.100.2:143,192.0.2.1:4711,bob,168,31,31,authenticate,PLAIN,\"R=\"\"2 NO AUTHENTICATE failed.\"\";Msg=\"\"AuthFailed:LogonDenied,User: bob\"\";ErrMsg=AuthFailed:LogonDenied\",",
                300_201,
                Some(2),
                Some("bob"),
                143,
            ),
            (
                "0005,1,198.51.100.2:110,192.0.2.1:4711,bob,193,21,69,pass,*****,R=ok,",
                300_201,
                Some(1),
                Some("bob"),
                110,
            ),
            ("0005,4,198.51.100.2:110,192.0.2.1:4711,bob,1,4,27,stat,,R=ok,", 400_106, None, None, 110),
        ] {
            let event = normalized(&format!("2026-03-16T09:00:00.123Z,{rest}"));
            assert_eq!((&event["type_uid"], event["status_id"].as_i64()), (&json!(kind), status), "{rest}");
            assert_eq!(event["user"]["name"].as_str(), user, "{rest}");
            assert_eq!(
                (&event["src_endpoint"]["ip"], &event["src_endpoint"]["port"]),
                (&json!("192.0.2.1"), &json!(4711)),
                "{rest}"
            );
            assert_eq!(
                (&event["dst_endpoint"]["port"], &event["time"]),
                (&json!(port), &json!(1_773_651_600_123_i64)),
                "{rest}"
            );
        }
        assert_eq!(normalized("2026-03-16T09:00:00.123Z,a,b,c,d,e,f,g,h,i,j,k")["class_uid"], 0);
    }
}
