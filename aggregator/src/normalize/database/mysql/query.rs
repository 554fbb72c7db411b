//! What MySQL and MariaDB log of what was asked: the general query log and the slow query log (6005, logons 3002).
//!
//! In: a line of the general log, with its time or behind one that has it (`<tab><tab>   7 Query<tab>SELECT 1`); of the slow log
//! one comment, or a whole entry where its lines were joined. Out: the statement, or the command of the protocol, with its
//! session; in the slow log the user and host, how long it took, and every measure. Source: `sql/log.cc` of MySQL 5.5 to 8.4,
//! MariaDB and Percona Server (`log_slow_verbosity`).

use std::borrow::Cow;

use super::super::super::remark::report;
use super::super::super::text::{between, cut, milliseconds, number, word};
use super::super::super::timestamp::{self, Stamp};
use super::super::super::{Context, endpoint};
use super::super::{Logon, Statement, push_logon, push_statement};
use super::denied;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What the general log calls what a client sent.
const COMMANDS: [&str; 32] = [
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
    "Reset Connection",
    "Shutdown",
    "Binlog Dump",
    "Binlog Dump GTID",
    "Register Slave",
    "Register Replica",
    "Create DB",
    "Drop DB",
    "Refresh",
    "Processlist",
    "Connect Out",
    "Kill",
    "Debug",
    "Time",
    "Delayed insert",
    "Daemon",
    "Fetch",
    "Long Data",
    "Table Dump",
    "Set option",
];

/// What the comments of the slow log begin with.
const COMMENTS: [&str; 18] = [
    "Log_slow_rate_type: ",
    "Time: ",
    "User@Host: ",
    "Query_time: ",
    "Thread_id: ",
    "Schema: ",
    "Rows_affected: ",
    "Rows_sent: ",
    "Bytes_sent: ",
    "QC_hit: ",
    "QC_Hit: ",
    "Full_scan: ",
    "Filesort: ",
    "InnoDB_",
    "  InnoDB_",
    "No InnoDB statistics",
    "administrator command: ",
    "explain: ",
];

/// Most measures of an entry that are kept.
const MEASURES_MAX: usize = 96;

/// Whether a line is a comment of the slow log.
pub(super) fn commented(text: &str) -> bool {
    text.strip_prefix("# ").is_some_and(|comment| COMMENTS.iter().any(|mark| comment.starts_with(mark)))
}

/// `<tab>   7 Connect<tab>ann@192.0.2.7 on shop using TCP/IP`; where the tabs became spaces, two of them end the command.
pub(super) fn general<'a>(stamp: Option<Stamp<'a>>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let (thread, rest) = word(rest.trim_start_matches(['\t', ' ']));
    let split = rest.split_once('\t').or_else(|| rest.split_once("  ").map(|(name, rest)| (name, rest.trim_start())));
    let (command, argument) = split.unwrap_or((rest, ""));
    let command = command.trim();
    if number(thread).is_none() || !COMMANDS.contains(&command) {
        return false;
    }
    if let Some(stamp) = stamp {
        stamp.apply(event);
    }
    event.push(Attribute::MetadataLogFormat, "mysql_general");
    event.push(Attribute::MetadataLogProvider, "mysqld");
    event.push(Attribute::MetadataEventCode, command);
    event.push(Attribute::Message, if argument.is_empty() { rest } else { argument });
    if matches!(command, "Connect" | "Change user") && (denied(argument, event) || connected(argument, event)) {
        event.unmap("thread", thread);
        return true;
    }
    if command == "Quit" {
        // Whose session it was, the log said where it began.
        push_logon(
            Logon {
                user: Cow::Borrowed(""),
                host: None,
                port: None,
                database: None,
                service: "mysql",
                activity: 2,
                refused: None,
            },
            event,
        );
        event.unmap("thread", thread);
        return true;
    }
    event.push(Attribute::ActorSessionUid, thread);
    let is_statement = matches!(command, "Query" | "Execute" | "Prepare");
    let (text, database) = match command {
        "Init DB" => ("", Some(Cow::Borrowed(argument))),
        _ if is_statement => (argument, None),
        _ => ("", None),
    };
    push_statement(
        Statement { user: None, host: None, port: None, database, text: Cow::Borrowed(text) },
        "mysql",
        event,
    );
    match command {
        "Init DB" | "Connect" | "Change user" => event.activity_id = 3,
        _ if is_statement => {}
        _ => {
            event.activity_id = 99;
            event.push(Attribute::ActivityName, command);
        }
    }
    true
}

/// `ann@192.0.2.7 [as anonymous ]on shop[ using TCP/IP]`.
fn connected<'a>(argument: &'a str, event: &mut Event<'a>) -> bool {
    let (who, rest) = word(argument);
    let Some((user, host)) = who.rsplit_once('@').filter(|(user, _)| !user.is_empty()) else { return false };
    let database = rest.strip_prefix("on ").or_else(|| cut(rest, " on ").map(|(_, rest)| rest));
    push_logon(
        Logon {
            user: Cow::Borrowed(user),
            host: Some(Cow::Borrowed(host)),
            port: None,
            database: database.map(|rest| Cow::Borrowed(word(rest).0)).filter(|database| *database != "using"),
            service: "mysql",
            activity: 1,
            refused: None,
        },
        event,
    );
    true
}

/// What the comments of an entry say of its session.
#[derive(Default)]
struct Session<'a> {
    user: Option<&'a str>,
    host: Option<&'a str>,
    database: Option<&'a str>,
    took_ms: Option<i64>,
    measures: usize,
}

/// A comment of the slow log, or an entry of it.
pub(super) fn slow<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut session = Session::default();
    let (mut rest, mut statement) = (text, "");
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.trim_end_matches('\r');
        if let Some(comment) = line.strip_prefix("# ") {
            commented_on(comment, &mut session, context, event);
        } else if let Some(database) = line.strip_prefix("use ").and_then(|rest| rest.strip_suffix(';')) {
            session.database = Some(database.trim_matches('`'));
        } else if line.starts_with(SET_TIME) {
            set_time(line, event);
        } else if line == "#" {
            // MariaDB sets the plan that it explains apart so.
        } else {
            statement = rest.trim();
            break;
        }
        rest = after;
    }
    event.push(Attribute::MetadataLogFormat, "mysql_slow");
    event.push(Attribute::MetadataLogProvider, "mysqld");
    event.push(Attribute::Message, if statement.is_empty() { text } else { statement });
    let Session { user, host, database, took_ms, .. } = session;
    if user.is_none() && event.value(Attribute::ActorSessionUid).is_none() {
        return report("mysqld", event);
    }
    let statement = Statement {
        user: user.map(Cow::Borrowed),
        host: host.map(Cow::Borrowed),
        port: None,
        database: database.map(Cow::Borrowed),
        text: Cow::Borrowed(statement),
    };
    push_statement(statement, "mysql", event);
    if event.class != Class::DatastoreActivity {
        return report("mysqld", event);
    }
    if let Some(ms) = took_ms {
        event.push(Attribute::Duration, ms);
    }
    true
}

const SET_TIME: &str = "SET timestamp=";

/// `SET timestamp=1773651600;`: when the statement began.
pub(super) fn set_time<'a>(line: &'a str, event: &mut Event<'a>) -> bool {
    let Some(seconds) = line.strip_prefix(SET_TIME).and_then(|rest| rest.strip_suffix(';')) else { return false };
    let Some(time) = seconds.parse::<f64>().ok().and_then(timestamp::epoch) else { return false };
    if event.value(Attribute::MetadataOriginalTime).is_none() {
        event.time = time;
        event.push(Attribute::MetadataOriginalTime, seconds);
    }
    true
}

fn commented_on<'a>(comment: &'a str, session: &mut Session<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    if let Some(time) = comment.strip_prefix("Time: ") {
        if let Some((stamp, _)) = timestamp::mysql(time, context.reference)
            && event.value(Attribute::MetadataOriginalTime).is_none()
        {
            stamp.apply(event);
        }
    } else if let Some(rest) = comment.strip_prefix("User@Host: ") {
        let user = rest.split(['[', ' ']).next().unwrap_or_default();
        session.user = Some(user).filter(|user| !user.is_empty()).or(between(rest, "[", "]").map(|(user, _)| user));
        let Some((_, host)) = cut(rest, " @ ") else { return };
        let name = word(host).0;
        session.host = between(host, "[", "]").and_then(|(ip, _)| endpoint::ip(ip));
        session.host = session.host.or(Some(name).filter(|name| !name.is_empty() && !name.starts_with('[')));
        if let Some((_, id)) = cut(host, "Id:") {
            push_session(id.trim(), event);
        }
    } else if comment.starts_with("administrator command: ") || comment.starts_with("explain: ") {
        event.unmap("comment", comment);
    } else {
        let mut words = comment.split_ascii_whitespace().peekable();
        while let Some(key) = words.next() {
            let Some(key) = key.strip_suffix(':').filter(|_| session.measures < MEASURES_MAX) else { return };
            // A schema may be empty.
            let Some(value) = words.next_if(|word| !word.ends_with(':')) else { continue };
            session.measures += 1;
            match key {
                "Schema" => session.database = Some(value),
                "Thread_id" => push_session(value, event),
                _ => event.unmap(key, value),
            }
            if key == "Query_time" {
                session.took_ms = milliseconds(value);
            }
        }
    }
}

fn push_session<'a>(id: &'a str, event: &mut Event<'a>) {
    if event.value(Attribute::ActorSessionUid).is_none() {
        event.push(Attribute::ActorSessionUid, id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn the_general_log_has_statements_commands_and_logons() {
        for (line, kind, at, value) in [
            ("8 Query\tSELECT 1", 600_501, "/query_info/query_string", json!("SELECT 1")),
            ("8 Execute\tDELETE FROM t", 600_507, "/actor/session/uid", json!("8")),
            ("8 Init DB\tshop", 600_503, "/database/name", json!("shop")),
            ("8 Quit\t", 300_202, "/unmapped/thread", json!("8")),
            ("8 Ping\t", 600_599, "/activity_name", json!("Ping")),
            ("8 Connect\tann@192.0.2.7 as anonymous on shop", 300_201, "/unmapped/database", json!("shop")),
            ("8 Change user\tbob@192.0.2.7 on shop", 300_201, "/user/name", json!("bob")),
            (
                "8 Connect\tAccess denied for user 'ann'@'192.0.2.7' (using password: YES)",
                300_201,
                "/status_id",
                json!(2),
            ),
        ] {
            for time in ["2026-03-16T09:00:00.5Z\t   ", "260316 10:00:00\t    ", "\t\t    "] {
                let event = normalized(&format!("{time}{line}"));
                assert_eq!(event["type_uid"], kind, "{time}{line}");
                assert_eq!(event.pointer(at), Some(&value), "{time}{line}");
            }
        }
        let event = normalized(
            "260316 10:00:00       8 Connect     Access denied for user 'ann'@'192.0.2.7' (using password: YES)",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!((&event["user"]["name"], &event["time"]), (&json!("ann"), &json!(1_773_651_600_000_i64)));
        let event = normalized("260316 10:00:00       8 Query       SELECT  1");
        assert_eq!(event["query_info"]["query_string"], "SELECT  1");
    }

    #[test]
    fn an_entry_of_the_slow_log_is_a_statement_and_each_of_its_comments_is_read() {
        let event = normalized(
            "# Time: 2026-03-16T09:00:00.5Z\n# User@Host: ann[ann] @ web [192.0.2.7]  Id:     3\n# Query_time: 2.012345  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 9\nuse shop;\nSET timestamp=1773651598;\nSELECT 1\nFROM t;",
        );
        assert_eq!((&event["type_uid"], &event["duration"]), (&json!(600_501), &json!(2012)));
        assert_eq!(
            (&event["actor"]["user"]["name"], &event["src_endpoint"]["ip"]),
            (&json!("ann"), &json!("192.0.2.7"))
        );
        assert_eq!((&event["database"]["name"], &event["unmapped"]["Rows_examined"]), (&json!("shop"), &json!("9")));
        assert_eq!(event["query_info"]["query_string"], "SELECT 1\nFROM t;");
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        let event = normalized(
            "# Time: 260316 10:00:00\n# User@Host: ann[ann] @ localhost []\n# Thread_id: 8  Schema: shop  QC_hit: No\n# Query_time: 1.5  Lock_time: 0.0  Rows_sent: 1  Rows_examined: 9\n#\n# explain: id\tselect_type\ttable\n# explain: 1\tSIMPLE\tt\n#\nSET timestamp=1773651598;\nselect * from t;",
        );
        assert_eq!(event["query_info"]["query_string"], "select * from t;");
        for (line, kind) in [
            ("Tcp port: 3306  Unix socket: /run/mysqld/mysqld.sock", 600_299),
            ("Time                 Id Command    Argument", 600_299),
            ("# User@Host: root[root] @ localhost []  Id: 3", 600_504),
            ("# Thread_id: 8  Schema: shop  QC_hit: No", 600_504),
            ("# Schema:   Last_errno: 1370  Killed: 0", 600_299),
            ("# Query_time: 2.000123  Lock_time: 0.000011", 600_299),
            ("#   InnoDB_IO_r_ops: 0  InnoDB_IO_r_bytes: 0", 600_299),
            ("SET timestamp=1773651600;", 600_299),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
    }
}
