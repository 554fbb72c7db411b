//! Redis and Valkey: `7:M 16 Mar 2026 10:00:00.123 * message`.
//!
//! In: process and role, time, a mark for the level (`.`, `-`, `*`, `#`). Out: starts and stops (6002), connections (4001)
//! that verbose logs name, a request of HTTP sent to the port (4001, refused), else a report (6002) or an error (6008). What a
//! signal brought has seconds in its time's place: `7:signal-handler (1773651600) message`. Source: Redis, `server.c`
//! (`serverLogRaw`, `serverLogFromHandler`), `networking.c`.

use super::super::remark::{life, remark, report};
use crate::event::Event;
use crate::normalize::endpoint::push_source;
use crate::normalize::outcome::{Control, controlled, failure, success};
use crate::normalize::text::{between, cut, number, port, word};
use crate::normalize::timestamp::Stamp;
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

/// Process, seconds and message of what a signal brought.
fn signalled(text: &str) -> Option<(&str, &str, &str)> {
    let (who, rest) = word(text);
    let pid = who.strip_suffix(":signal-handler")?;
    let (seconds, message) = rest.strip_prefix('(').and_then(|rest| cut(rest, ") "))?;
    number(pid).is_some().then_some((pid, seconds, message))
}

/// Whether process, role and a day begin the line.
pub(in crate::normalize) fn looks(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '[')
        && head(text).is_some_and(|(pid, _, rest)| {
            number(pid).is_some() && word(rest).0.len() <= 2 && rest.starts_with(|c: char| c.is_ascii_digit())
        })
        || text.starts_with(|c: char| c.is_ascii_digit()) && signalled(text).is_some()
}

/// Reads a line; false where time or level are none of Redis's.
pub(in crate::normalize) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some((pid, seconds, message)) = signalled(text) {
        let Some(time) = seconds.parse().ok().and_then(timestamp::epoch) else { return false };
        Stamp { time, text: seconds, assumed_offset: None }.apply(event);
        push_process(pid, event);
        said(message, event);
        return true;
    }
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
    event.push(Attribute::MetadataLogLevel, level);
    push_process(pid, event);
    if !role.is_empty() {
        event.unmap("role", role);
    }
    said(message, event);
    true
}

fn push_process(pid: &str, event: &mut Event<'_>) {
    event.push(Attribute::MetadataLogFormat, "redis");
    event.push(Attribute::MetadataLogProvider, "redis");
    if let Some(pid) = number(pid) {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "redis-server");
    }
}

/// What a message means. Its mark for a warning stands before mere reports too: words tell what went wrong.
fn said<'a>(message: &'a str, event: &mut Event<'a>) {
    event.push(Attribute::Message, message);
    if message.starts_with("Ready to accept connections") || message.starts_with("The server is now ready to accept") {
        life("redis", 3, event);
    } else if message.contains("is now ready to exit")
        || message.ends_with("scheduling shutdown...")
        || message.starts_with("User requested shutdown")
    {
        life("redis", 4, event);
    } else if let Some(peer) = message.strip_prefix("Accepted ") {
        connection(peer, 1, event);
    } else if message.starts_with("Possible SECURITY ATTACK detected")
        && let Some((peer, _)) = between(message, "Connection from ", " ")
    {
        connection(peer, 5, event);
    }
    if event.class != Class::BaseEvent {
        return;
    }
    let trouble = ["WARNING", "rror", "ailed", "an't ", "annot "].iter().any(|word| message.contains(word));
    let _ = if trouble { remark("redis", message, event) } else { report("redis", event) };
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
        for (line, kind) in [
            ("7:M 16 Mar 2026 10:00:00.123 * Background saving started by pid 9", 600_299),
            ("7:M 16 Mar 2026 10:00:00.123 # Server initialized", 600_299),
            ("7:M 16 Mar 2026 10:00:00.123 # WARNING overcommit_memory is set to 0!", 600_801),
            ("7:M 16 Mar 2026 10:00:00.123 # User requested shutdown...", 600_204),
            ("7:signal-handler (1773651600) Received SIGTERM scheduling shutdown...", 600_204),
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], kind, "{line}");
            assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(1_773_651_600), "{line}");
        }
        assert_eq!(normalized("7:M is a place")["metadata"]["log_format"], "raw");
    }
}
