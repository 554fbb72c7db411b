//! MariaDB's audit plugin (logons 3002, statements 6005, its own life 6002).
//!
//! `20260316 10:00:00,server,user,host,connection,query,operation,database,object,code[,connection type,…]`: a statement stands
//! between quotes, those inside it behind a backslash or doubled. Source: MariaDB `plugin/server_audit/server_audit.c`; Amazon
//! RDS, which adds columns behind the code.

use std::borrow::Cow;

use super::super::super::outcome;
use super::super::super::remark::life;
use super::super::super::syslog::Header;
use super::super::super::text::{cut, number, word};
use super::super::super::timestamp::Stamp;
use super::super::{Logon, Statement, push_logon, push_statement};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Digits of the microseconds since the epoch, from 2001 to 2286.
pub(super) const MICROS_LEN: usize = 16;
/// What begins a line of the plugin about itself.
pub(super) const NAME: &str = "server_audit: ";

/// Reads what stands behind the time of a file's line.
pub(super) fn parse<'a>(stamp: Stamp<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    if !(stamp.text.contains(' ') || stamp.text.len() == MICROS_LEN) || !audited(rest, event) {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "mariadb_audit");
    event.push(Attribute::MetadataLogProvider, "server_audit");
    event.push(Attribute::Message, rest);
    true
}

/// Reads a message of syslog: `[INFO ]server,user,host,…`.
pub(in super::super::super) fn parse_message<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message
        .rsplit_once(' ')
        .filter(|(info, _)| !info.contains(','))
        .map_or(message, |(info, _)| message.get(info.len() + 1..).unwrap_or(message));
    audited(message.trim_start(), event)
}

/// `server_audit: MariaDB Audit Plugin version 1.4.12 STARTED.`, `server_audit: STOPPED`.
pub(super) fn lived<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(text) = message.strip_prefix(NAME) else { return false };
    let activity = match text.trim_end_matches('.') {
        text if text.ends_with("STARTED") => 3,
        text if text.ends_with("STOPPED") => 4,
        _ => return false,
    };
    if let Some((_, version)) = cut(text, " version ") {
        event.push(Attribute::AppVersion, word(version).0);
    }
    life("server_audit", activity, event)
}

/// What was done to a table, where the plugin logs tables.
fn table_activity(operation: &str) -> Option<u8> {
    Some(match operation {
        "READ" => 1,
        "ALTER" | "RENAME" => 2,
        "WRITE" => 5,
        "CREATE" => 6,
        "DROP" => 7,
        _ => return None,
    })
}

/// A record from its server on.
#[derive(Clone, Copy)]
struct Record<'a> {
    user: &'a str,
    host: &'a str,
    operation: &'a str,
    database: &'a str,
    object: &'a str,
    failed: bool,
}

fn audited<'a>(rest: &'a str, event: &mut Event<'a>) -> bool {
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
    if operation.is_empty()
        || number(connection).is_none()
        || !operation.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    {
        return false;
    }
    let (object, code, kind) = ended(tail);
    event.push(Attribute::MetadataEventCode, operation);
    event.unmap("server", server);
    event.unmap("connection", connection);
    if query != "0" {
        event.unmap("query", query);
    }
    let failed = number(code).is_some_and(|code| code != 0);
    let record = Record { user, host, operation, database, object, failed };
    match operation {
        "CONNECT" | "DISCONNECT" | "FAILED_CONNECT" => connected(record, event),
        _ => asked(record, event),
    }
    if !code.is_empty() {
        event.push(Attribute::StatusCode, code);
    }
    if !kind.is_empty() {
        event.unmap("connection_type", kind);
    }
    true
}

/// A connection that nobody has logged on to ends without a user.
fn connected<'a>(record: Record<'a>, event: &mut Event<'a>) {
    let Record { user, host, operation, database, failed, .. } = record;
    push_logon(
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
    );
}

fn asked<'a>(record: Record<'a>, event: &mut Event<'a>) {
    let Record { user, host, operation, database, object, failed } = record;
    let table = table_activity(operation);
    push_statement(
        Statement {
            user: Some(Cow::Borrowed(user)),
            host: Some(Cow::Borrowed(host)),
            port: None,
            database: Some(Cow::Borrowed(database)),
            text: Cow::Borrowed(if table.is_some() { "" } else { object }),
        },
        "mysql",
        event,
    );
    if let Some(activity) = table {
        event.unmap("table", object);
        if event.class == Class::DatastoreActivity {
            event.activity_id = activity;
        }
    }
    if failed {
        outcome::failure(event, "");
    } else {
        outcome::success(event);
    }
}

/// The object without its quotes, the code behind it, and the connection's type or nothing. A statement that was cut has no
/// closing quote: there the code is the last field.
fn ended(tail: &str) -> (&str, &str, &str) {
    let cut_off = || {
        let (object, code) = tail.rsplit_once(',').unwrap_or((tail, ""));
        (object.trim_start_matches('\''), code, "")
    };
    let (object, rest) = match tail.strip_prefix('\'') {
        Some(inner) => match closed(inner) {
            Some(found) => found,
            None => return cut_off(),
        },
        None => tail.split_once(',').unwrap_or((tail, "")),
    };
    let mut columns = rest.split(',');
    let code = columns.next().unwrap_or_default();
    if !code.is_empty() && number(code).is_none() {
        return cut_off();
    }
    (object, code, columns.next().unwrap_or_default())
}

/// What stands before the closing quote, the first that a code follows, and what follows the comma behind it.
fn closed(inner: &str) -> Option<(&str, &str)> {
    let bytes = inner.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'\'', b'\\', bytes.get(at..)?)?;
        let rest = inner.get(at + 1..)?;
        if bytes.get(at) == Some(&b'\\') || rest.starts_with('\'') {
            at += 2;
            continue;
        }
        let after = rest.strip_prefix(',').or(Some(rest).filter(|rest| rest.is_empty()));
        let code = |after: &&str| after.split(',').next().is_none_or(|code| code.is_empty() || number(code).is_some());
        if let Some(after) = after.filter(code) {
            return Some((inner.get(..at)?, after));
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    #[test]
    fn a_server_s_name_may_begin_with_a_digit() {
        let event = normalized("20260316 10:00:00,4db1,ann,192.0.2.7,7,9,QUERY,shop,'SELECT 1',0");
        assert_eq!((event["type_uid"].as_u64(), event["time"].as_i64()), (Some(600_501), Some(1_773_651_600_000)));
        assert_eq!((&event["unmapped"]["server"], &event["actor"]["user"]["name"]), (&"4db1".into(), &"ann".into()));
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
    }

    #[test]
    fn the_code_stands_behind_the_closing_quote() {
        for (tail, text, code, status) in [
            ("'DROP TABLE x',1146,,", "DROP TABLE x", "1146", 2),
            (r"'SELECT 1 WHERE (a <> \'B\')',0,,", r"SELECT 1 WHERE (a <> \'B\')", "0", 1),
            (r"'SELECT \'a\',7',0", r"SELECT \'a\',7", "0", 1),
            ("'SET x = ''''',0,SOCKET", "SET x = ''''", "0", 1),
            ("'SELECT cut,0", "SELECT cut", "0", 1),
        ] {
            let event = normalized(&format!("20260316 10:00:00,db1,ann,192.0.2.7,7,9,QUERY,shop,{tail}"));
            assert_eq!(event["query_info"]["query_string"], text, "{tail}");
            assert_eq!((&event["status_code"], &event["status_id"]), (&code.into(), &status.into()), "{tail}");
        }
    }

    #[test]
    fn connections_have_a_class_whoever_they_are_of() {
        let event = normalized("20260316 10:00:00,db1,ann,192.0.2.7,7,0,FAILED_CONNECT,,,1045,SOCKET");
        assert_eq!((event["type_uid"].as_u64(), &event["status_code"]), (Some(300_201), &"1045".into()));
        assert_eq!(event["unmapped"]["connection_type"], "SOCKET");
        let event = normalized("20260316 10:00:00,db1,,,7,0,DISCONNECT,,,0");
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_202), Some(1)));
    }
}
