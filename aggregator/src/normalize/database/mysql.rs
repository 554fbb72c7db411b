//! MySQL and MariaDB: error log, general query log, slow query log, and MariaDB's audit plugin.
//!
//! In: `2026-03-16T09:00:00.5Z 7 [Note] [MY-010926] [Server] Access denied for user 'ann'@'192.0.2.7' (using password: YES)`
//! and the forms of older servers (`260316  9:00:00 [Warning] …`). Out: see the room. A statement of the general log does not
//! say whose it is: a base event. Source: MySQL 5.5 to 8.4 `sql/log.cc`, `sql_connect.cc`; MariaDB `server_audit.c`.

use std::borrow::Cow;

use super::super::text::{between, cut, number, word};
use super::super::timestamp::{self, Stamp};
use super::super::{Context, endpoint, outcome};
use super::{Logon, Statement, push_error, push_lifecycle, push_logon, push_statement};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id` from which a line is an error.
const ERROR: u8 = 3;
/// What the general log calls what a client sent.
const COMMANDS: [&str; 14] = [
    "Connect",
    "Query",
    "Quit",
    "Init DB",
    "Prepare",
    "Execute",
    "Close stmt",
    "Statistics",
    "Ping",
    "Change user",
    "Field List",
    "Reset stmt",
    "Shutdown",
    "Binlog Dump",
];

/// Whether a line can be one of the four logs.
pub(in super::super) fn looks(text: &str) -> bool {
    let first = text.as_bytes().first();
    let dated = first.is_some_and(u8::is_ascii_digit);
    (dated && (cut(text, " [").is_some() || memchr::memchr2(b'\t', b',', text.as_bytes()).is_some()))
        || text.starts_with("# User@Host: ")
        || text.starts_with("# Query_time: ")
        || text.starts_with("# Time: ")
        || cut(text, "Access denied for user '").is_some()
}

/// Reads a line; false where it is of none of them.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some(comment) = text.strip_prefix("# ") {
        return slow(comment, text, context, event);
    }
    let Some((stamp, rest)) = timestamp::mysql(text, context.reference) else {
        // A message alone, as in syslog.
        return text.starts_with("Access denied for user '") && denied(text, event) && named(text, event);
    };
    if stamp.text.as_bytes().get(4) == Some(&b'/') {
        return false;
    }
    if let Some(rest) = rest.strip_prefix(',') {
        return audit(stamp, rest, event);
    }
    error(stamp, rest, event) || general(stamp, rest, event)
}

fn named<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::MetadataLogFormat, "mysql_error");
    event.push(Attribute::Message, message);
    true
}

/// `7 [Note] [MY-010926] [Server] message`.
fn error<'a>(stamp: Stamp<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let mut rest = rest.trim_start();
    let mut thread = None;
    // Only servers before 5.7 leave the thread out, and they write the date in six digits.
    if !(rest.starts_with('[') && stamp.text.as_bytes().get(4) != Some(&b'-')) {
        let (first, after) = word(rest);
        if !first.bytes().all(|b| b.is_ascii_digit() || b == b'x') {
            return false;
        }
        thread = Some(first);
        rest = after;
    }
    let Some((word, mut message)) = between(rest, "[", "]").filter(|_| rest.starts_with('[')) else { return false };
    let severity = match word {
        "System" | "Note" => 1,
        "Warning" => 2,
        "ERROR" => 3,
        _ => return false,
    };
    stamp.apply(event);
    event.severity_id = severity;
    event.push(Attribute::MetadataLogLevel, word);
    if let Some((code, after)) = message.strip_prefix(" [MY-").and_then(|rest| cut(rest, "]")) {
        event.push(Attribute::MetadataEventCode, format!("MY-{code}"));
        message = after;
    }
    if let Some((subsystem, after)) = message.strip_prefix(" [").and_then(|rest| cut(rest, "]")) {
        event.unmap("subsystem", subsystem);
        message = after;
    }
    let message = message.trim_start();
    if let Some(thread) = thread.filter(|thread| *thread != "0") {
        event.unmap("thread", thread);
    }
    event.push(Attribute::MetadataLogProvider, "mysqld");
    named(message, event);
    if denied(message, event) || aborted(message, event) {
        return true;
    }
    if message.contains("ready for connections") {
        push_lifecycle(event, "mysqld", 3);
    } else if message.contains("Shutdown complete") || message.contains("Normal shutdown") {
        push_lifecycle(event, "mysqld", 4);
    } else if severity >= ERROR {
        push_error(event);
    }
    true
}

/// `Access denied for user 'ann'@'192.0.2.7' (using password: YES)`, also `… to database 'shop'`.
fn denied<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    // A name may hold quotes: the host is the last that one follows.
    let Some((_, who)) = cut(message, "Access denied for user '") else { return false };
    let Some((user, rest)) = who.rsplit_once("'@'") else { return false };
    let Some((host, rest)) = cut(rest, "'") else { return false };
    push_logon(
        Logon {
            user: Cow::Borrowed(user),
            host: Some(Cow::Borrowed(host)),
            port: None,
            database: between(rest, "to database '", "'").map(|(name, _)| Cow::Borrowed(name)),
            service: "mysql",
            activity: 1,
            refused: Some(Cow::Borrowed(rest.trim().trim_start_matches('(').trim_end_matches(')'))),
        },
        event,
    );
    true
}

/// `Aborted connection 5 to db: 'shop' user: 'ann' host: '192.0.2.7' (Got timeout reading communication packets)`.
fn aborted<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((host, reason)) = between(message, "host: '", "'").filter(|_| message.starts_with("Aborted connection"))
    else {
        return false;
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 3;
    if !super::push_host(Some(Cow::Borrowed(host)), event) {
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        return false;
    }
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::AppProtocolName, "mysql");
    if let Some((user, _)) = between(message, "user: '", "'") {
        event.push(Attribute::ActorUserName, user);
    }
    outcome::failure(event, reason.trim().trim_start_matches('(').trim_end_matches(')'));
    true
}

/// `<tab>   7 Connect<tab>ann@192.0.2.7 on shop using TCP/IP`.
fn general<'a>(stamp: Stamp<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let (thread, rest) = word(rest.trim_start_matches(['\t', ' ']));
    let Some((command, argument)) = rest.split_once('\t').or(Some((rest, ""))) else { return false };
    if number(thread).is_none() || !COMMANDS.contains(&command.trim()) {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "mysql_general");
    event.push(Attribute::MetadataLogProvider, "mysqld");
    event.push(Attribute::MetadataEventCode, command.trim());
    event.push(Attribute::Message, if argument.is_empty() { rest } else { argument });
    event.unmap("thread", thread);
    if command.trim() == "Connect" && !denied(argument, event) {
        let (who, rest) = word(argument);
        if let Some((user, host)) = who.rsplit_once('@').filter(|(user, _)| !user.is_empty()) {
            push_logon(
                Logon {
                    user: Cow::Borrowed(user),
                    host: Some(Cow::Borrowed(host)),
                    port: None,
                    database: rest
                        .strip_prefix("on ")
                        .map(|rest| Cow::Borrowed(word(rest).0))
                        .filter(|db| *db != "using"),
                    service: "mysql",
                    activity: 1,
                    refused: None,
                },
                event,
            );
        }
    } else if matches!(command.trim(), "Query" | "Execute" | "Prepare") {
        event.unmap("statement", argument);
    }
    true
}

/// The comments of the slow log.
fn slow<'a>(comment: &'a str, text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if let Some(time) = comment.strip_prefix("Time: ") {
        let Some((stamp, _)) = timestamp::mysql(time, context.reference) else { return false };
        stamp.apply(event);
    } else if let Some(rest) = comment.strip_prefix("User@Host: ") {
        let user = rest.split(['[', ' ']).next().unwrap_or_default();
        if !user.is_empty() {
            event.push(Attribute::ActorUserName, user);
        }
        if let Some((_, host)) = cut(rest, " @ ") {
            if let Some(ip) = between(host, "[", "]").and_then(|(ip, _)| endpoint::ip(ip)) {
                event.unmap("src_ip", ip);
            }
            let name = word(host).0;
            if !name.is_empty() && !name.starts_with('[') {
                event.unmap("src_host", name);
            }
        }
    } else if comment.starts_with("Query_time: ") {
        let mut words = comment.split_ascii_whitespace();
        while let (Some(key), Some(value)) = (words.next(), words.next()) {
            event.unmap(key.trim_end_matches(':'), value);
        }
    } else {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "mysql_slow");
    event.push(Attribute::MetadataLogProvider, "mysqld");
    event.push(Attribute::Message, text);
    true
}

/// `server,user,host,connection,query,operation,database,object,code` of MariaDB's plugin.
fn audit<'a>(stamp: Stamp<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let mut parts = rest.splitn(8, ',');
    let mut next = || parts.next();
    let (
        Some(server),
        Some(user),
        Some(host),
        Some(connection),
        Some(query),
        Some(operation),
        Some(database),
        Some(tail),
    ) = (next(), next(), next(), next(), next(), next(), next(), next())
    else {
        return false;
    };
    let spaced = stamp.text.contains(' ') && !operation.is_empty();
    if !spaced || number(connection).is_none() || !operation.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
        return false;
    }
    let (object, code) = tail.rsplit_once(',').unwrap_or((tail, ""));
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "mariadb_audit");
    event.push(Attribute::MetadataLogProvider, "server_audit");
    event.push(Attribute::MetadataEventCode, operation);
    event.unmap("server", server);
    event.unmap("connection", connection);
    if query != "0" {
        event.unmap("query", query);
    }
    let failed = number(code).is_some_and(|code| code != 0);
    match operation {
        "CONNECT" | "DISCONNECT" | "FAILED_CONNECT" if !user.is_empty() => push_logon(
            Logon {
                user: Cow::Borrowed(user),
                host: Some(Cow::Borrowed(host)),
                port: None,
                database: Some(Cow::Borrowed(database)),
                service: "mysql",
                activity: if operation == "DISCONNECT" { 2 } else { 1 },
                refused: (failed || operation == "FAILED_CONNECT").then_some(Cow::Borrowed("")),
            },
            event,
        ),
        _ => {
            push_statement(
                Statement {
                    user: Some(Cow::Borrowed(user)),
                    host: Some(Cow::Borrowed(host)),
                    port: None,
                    database: Some(Cow::Borrowed(database)),
                    text: Cow::Borrowed(object.trim_matches('\'')),
                },
                event,
            );
            if failed {
                outcome::failure(event, "");
            } else {
                outcome::success(event);
            }
        }
    }
    if !code.is_empty() {
        event.push(Attribute::StatusCode, code);
    }
    event.push(Attribute::Message, format!("{operation} {user}@{host} {object}"));
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn refusals_of_every_version_are_failed_logons() {
        let said = "Access denied for user 'ann'@'192.0.2.7' (using password: YES)";
        for line in [
            format!("2026-03-16T09:00:00.000000Z 344 [Note] [MY-010926] [Server] {said}"),
            format!("2026-03-16T09:00:00.000000Z 344 [Note] {said}"),
            format!("2026-03-16 10:00:00 8 [Warning] {said}"),
            format!("260316 10:00:00 [Warning] {said}"),
            format!("2026-03-16T09:00:00.000000Z\t   12 Connect\t{said}"),
        ] {
            let event = normalized(&line);
            assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)), "{line}");
            assert_eq!(event["user"]["name"], "ann");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
            assert_eq!(event["time"], 1_773_651_600_000_i64, "{line}");
        }
        let event = normalized(&format!("2026-03-16  5:00:00 8 [Warning] {said}"));
        assert_eq!(event["time"], 1_773_633_600_000_i64);
        assert_eq!(
            normalized(&format!("Mar 16 10:00:00 h mysqld: 260316 10:00:00 [Warning] {said}"))["class_uid"],
            3002
        );
    }

    #[test]
    fn the_other_logs_are_read() {
        let event = normalized("2026-03-16T09:00:00.000000Z\t   12 Connect\tann@192.0.2.7 on shop using TCP/IP");
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(1)));
        let event = normalized("20260316 10:00:00,db1,ann,192.0.2.7,7,9,QUERY,shop,'SELECT 1',0");
        assert_eq!(event["type_uid"], 600_501);
        assert_eq!(event["query_info"]["query_string"], "SELECT 1");
        assert_eq!(event["database"]["name"], "shop");
        let event = normalized("20260316 10:00:00,db1,ann,192.0.2.7,7,0,FAILED_CONNECT,,,1045");
        assert_eq!((event["class_uid"].as_u64(), event["status_id"].as_u64()), (Some(3002), Some(2)));
        let event = normalized("# User@Host: ann[ann] @ web [192.0.2.7]  Id: 3");
        assert_eq!(event["unmapped"]["src_ip"], "192.0.2.7");
        assert_eq!(event["actor"]["user"]["name"], "ann");
        let event = normalized("2026-03-16T09:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting");
        assert_eq!(event["class_uid"], 6008);
    }
}
