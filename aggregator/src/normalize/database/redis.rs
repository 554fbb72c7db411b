//! Redis and Valkey: `7:M 16 Mar 2026 10:00:00.123 * message`.
//!
//! In: process and role, time, a mark for the level (`.`, `-`, `*`, `#`). Out: starts and stops (6002), connections (4001)
//! that verbose logs name, a request of HTTP sent to the port (4001, refused), else a base event. Source: Redis,
//! `server.c` (`serverLogRaw`), `networking.c`.

use super::super::remark::life;
use crate::event::Event;
use crate::normalize::endpoint::push_source;
use crate::normalize::outcome::{Control, controlled, failure, success};
use crate::normalize::text::{between, cut, number, port, word};
use crate::normalize::{Context, timestamp};
use crate::schema::{Attribute, Class};

/// Process, role, and what follows; before version 3 the process stands in brackets.
fn head(text: &str) -> Option<(&str, &str, &str)> {
    if let Some((pid, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "] ")) {
        return (pid.len() <= 9).then_some((pid, "", rest));
    }
    let (who, rest) = word(text);
    let (pid, role) = who.split_once(':')?;
    matches!(role, "M" | "S" | "C" | "X").then_some((pid, role, rest))
}

/// Whether process, role and a day begin the line.
pub(in crate::normalize) fn looks(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '[')
        && head(text).is_some_and(|(pid, _, rest)| {
            number(pid).is_some() && word(rest).0.len() <= 2 && rest.starts_with(|c: char| c.is_ascii_digit())
        })
}

/// Reads a line; false where time or level are none of Redis's.
pub(in crate::normalize) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((pid, role, rest)) = head(text) else { return false };
    let Some((stamp, rest)) = timestamp::spelled(rest, context.reference) else { return false };
    let (mark, message) = word(rest.trim_start());
    let (level, severity) = match mark {
        "." => ("debug", 1),
        "-" => ("verbose", 1),
        "*" => ("notice", 1),
        "#" => ("warning", 2),
        _ => return false,
    };
    stamp.apply(event);
    event.severity_id = severity;
    event.push(Attribute::MetadataLogFormat, "redis");
    event.push(Attribute::MetadataLogProvider, "redis");
    event.push(Attribute::MetadataLogLevel, level);
    event.push(Attribute::Message, message);
    if let Some(pid) = number(pid) {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "redis-server");
    }
    if !role.is_empty() {
        event.unmap("role", role);
    }
    if message.starts_with("Ready to accept connections") || message.starts_with("The server is now ready to accept") {
        life("redis", 3, event);
    } else if message.contains("is now ready to exit") {
        life("redis", 4, event);
    } else if let Some(peer) = message.strip_prefix("Accepted ") {
        connection(peer, 1, event);
    } else if message.starts_with("Possible SECURITY ATTACK detected")
        && let Some((peer, _)) = between(message, "Connection from ", " ")
    {
        connection(peer, 5, event);
    }
    true
}

/// A client that was let in (1) or refused (5); none for a socket's path.
fn connection<'a>(peer: &'a str, activity: u8, event: &mut Event<'a>) {
    let Some((host, digits)) = peer.rsplit_once(':') else { return };
    let Some(port) = port(digits).filter(|_| !host.is_empty()) else { return };
    event.class = Class::NetworkActivity;
    if !push_source(event, host, Some(port)) {
        event.class = Class::BaseEvent;
        return;
    }
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "redis");
    event.push(Attribute::ConnectionDirectionId, 1);
    if activity == 5 {
        failure(event, "HTTP sent to the port of Redis");
        controlled(event, Control::Blocked);
    } else {
        success(event);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::normalize::testing::normalized;

    #[test]
    fn lifecycle_and_clients_are_read() {
        let event = normalized("7:M 16 Mar 2026 10:00:00.123 * Ready to accept connections tcp");
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(600_203), &json!(1_773_651_600_123_i64)));
        let event = normalized("7:M 16 Mar 10:00:00.123 - Accepted 192.0.2.7:4711");
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["port"]), (&json!(400_101), &json!(4711)));
        let event = normalized(
            "7:M 16 Mar 2026 10:00:00.123 # Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. Connection from 192.0.2.7:1 aborted.",
        );
        assert_eq!((&event["type_uid"], &event["disposition_id"]), (&json!(400_105), &json!(2)));
        assert_eq!(normalized("7:M is a place")["metadata"]["log_format"], "raw");
    }
}
