//! MongoDB before 4.4: `2026-03-16T10:00:00.123+0100 I ACCESS   [conn1] message`; since 4.4 it writes JSON.
//!
//! In: time, level and component (neither before 3.0), thread, message. Out: logons (3002), connections (4001), starts,
//! stops and reports (6002), errors (6008). A name may hold anything: the client is the last that the
//! message names. Source: MongoDB 2.4 to 4.2, `logger/message_event_utf8_encoder.cpp`, `authentication_commands.cpp`.

use std::borrow::Cow;

use super::super::remark::{life, report};
use super::{Logon, push_error, push_logon};
use crate::event::Event;
use crate::normalize::endpoint::push_source;
use crate::normalize::text::{cut, port, word};
use crate::normalize::{Context, timestamp};
use crate::schema::{Attribute, Class};

/// Components that the server names.
const COMPONENTS: [&str; 20] = [
    "-", "ACCESS", "ASIO", "BRIDGE", "COMMAND", "CONTROL", "CONNPOOL", "FTDC", "GEO", "INDEX", "INITSYNC", "NETWORK",
    "QUERY", "RECOVERY", "REPL", "ROLLBACK", "SHARDING", "STORAGE", "TOTAL", "WRITE",
];

/// Level, component, thread and message behind the time.
fn head(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (level, component, rest) = match word(text) {
        (level @ ("F" | "E" | "W" | "I" | "D" | "D1" | "D2" | "D3" | "D4" | "D5"), rest) => {
            let (component, rest) = word(rest);
            COMPONENTS.contains(&component).then_some((level, component, rest))?
        }
        _ => ("", "", text),
    };
    let (thread, message) = rest.strip_prefix('[').and_then(|rest| cut(rest, "]"))?;
    let known = ["conn", "initandlisten", "thread", "listener", "signalProcessingThread", "main", "rs"];
    let told = !level.is_empty() || known.iter().any(|name| thread.starts_with(name));
    told.then_some((level, component, thread, message.trim_start()))
}

/// Whether a time with a zone, and a level and component or a thread begin the line.
pub(in crate::normalize) fn looks(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T') && text.as_bytes().get(4) == Some(&b'-') && head(word(text).1).is_some()
}

/// Reads a line.
pub(in crate::normalize) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some((level, component, thread, message)) = head(rest.trim_start()) else { return false };
    stamp.apply(event);
    event.severity_id = match level {
        "F" => 6,
        "E" => 3,
        "W" => 2,
        _ => 1,
    };
    event.push(Attribute::MetadataLogFormat, "mongodb_text");
    event.push(Attribute::MetadataLogProvider, "mongod");
    event.push(Attribute::Message, message);
    if !level.is_empty() {
        event.push(Attribute::MetadataLogLevel, level);
        event.unmap("component", component);
    }
    event.unmap("thread", thread);
    if logon(message, event) || connection(message, event) {
        return true;
    }
    if message.starts_with("MongoDB starting") || message.starts_with("waiting for connections on port") {
        life("mongod", 3, event);
    } else if message.starts_with("dbexit")
        || message == "now exiting"
        || message.starts_with("shutting down with code")
    {
        life("mongod", 4, event);
    } else if matches!(level, "E" | "F") {
        push_error("mongod", event);
    } else {
        report("mongod", event);
    }
    true
}

/// `Failed to authenticate USER@DB with mechanism M: WHY`, `MECHANISM authentication failed for USER on DB from client HOST:PORT ; WHY`,
/// `Successfully authenticated as principal USER on DB[ from client HOST:PORT]`.
fn logon<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (who, refused) = if let Some(rest) = message.strip_prefix("Failed to authenticate ") {
        let Some((who, why)) = rest.rsplit_once(" with mechanism ") else { return false };
        let Some((user, database)) = who.rsplit_once('@') else { return false };
        let why = cut(why, ": ").map_or(why, |(_, why)| why);
        ((user, database, ""), Some(why))
    } else if let Some(rest) = message.strip_prefix("Successfully authenticated as principal ") {
        (named(rest), None)
    } else if let Some((_, rest)) = cut(message, " authentication failed for ").filter(|(how, _)| !how.contains(' ')) {
        let (rest, why) = rest.rsplit_once(" ; ").unwrap_or((rest, ""));
        (named(rest), Some(why))
    } else {
        return false;
    };
    let (user, database, client) = who;
    if user.is_empty() {
        return false;
    }
    let (host, digits) = client.rsplit_once(':').unwrap_or((client, ""));
    push_logon(
        Logon {
            user: Cow::Borrowed(user),
            host: (!host.is_empty()).then_some(Cow::Borrowed(host)),
            port: port(digits),
            database: Some(Cow::Borrowed(database)),
            service: "mongodb",
            activity: 1,
            refused: refused.map(Cow::Borrowed),
        },
        event,
    );
    true
}

/// `USER on DB[ from client HOST:PORT]`.
fn named(text: &str) -> (&str, &str, &str) {
    let (rest, client) = text.rsplit_once(" from client ").unwrap_or((text, ""));
    let (user, database) = rest.rsplit_once(" on ").unwrap_or((rest, ""));
    (user, database, client)
}

/// `connection accepted from HOST:PORT #1 (…)`, `end connection HOST:PORT (…)`.
fn connection<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (peer, activity) = match message.strip_prefix("connection accepted from ") {
        Some(rest) => (word(rest).0, 1),
        None => match message.strip_prefix("end connection ") {
            Some(rest) => (word(rest).0, 2),
            None => return false,
        },
    };
    let Some((host, Some(port))) = peer.rsplit_once(':').map(|(host, digits)| (host, port(digits))) else {
        return false;
    };
    if !push_source(event, host, Some(port)) {
        return false;
    }
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::AppProtocolName, "mongodb");
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::normalize::testing::normalized;

    #[test]
    fn logons_name_user_client_and_reason() {
        let event = normalized(
            "2026-03-16T10:00:00.123+0100 I ACCESS   [conn9] SCRAM-SHA-1 authentication failed for bob from client 192.0.2.66:9 on admin from client 192.0.2.7:4711 ; UserNotFound: none",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
        assert_eq!(event["user"]["name"], "bob from client 192.0.2.66:9");
        let event = normalized(
            "2026-03-16T10:00:00.123+0100 [conn1] Failed to authenticate root@admin with mechanism MONGODB-CR: AuthenticationFailed x",
        );
        assert_eq!((&event["user"]["name"], &event["status_id"]), (&json!("root"), &json!(2)));
        assert_eq!(event["metadata"]["log_format"], "mongodb_text");
    }

    #[test]
    fn connections_and_starts_are_read() {
        let line = |text: &str| normalized(&format!("2026-03-16T10:00:00.123+0100 I NETWORK  [listener] {text}"));
        let event = line("connection accepted from 192.0.2.7:4711 #1 (1 connection now open)");
        assert_eq!((&event["type_uid"], &event["src_endpoint"]["ip"]), (&json!(400_101), &json!("192.0.2.7")));
        assert_eq!(line("waiting for connections on port 27017")["type_uid"], 600_203);
        assert_eq!(line("Starting hostname canonicalization worker")["type_uid"], 600_299);
        let event = normalized(
            "2026-03-16T10:00:00.123+0100 I ASIO [NetworkInterfaceASIO-Replication-0] Successfully connected to db2:27017, took 9ms",
        );
        assert_eq!((&event["type_uid"], &event["metadata"]["log_format"]), (&json!(600_299), &json!("mongodb_text")));
    }
}
