//! MySQL and MariaDB: error log, general query log, slow query log, and MariaDB's audit plugin.
//!
//! In: `2026-03-16T09:00:00.5Z 7 [Note] [MY-010926] [Server] Access denied for user 'ann'@'192.0.2.7' (using password: YES)`
//! and the forms of older servers (`260316  9:00:00 [Warning] …`). Out: see the room. A statement of the general log does not
//! say whose it is, only in which session. Source: MySQL 5.5 to 8.4 `sql/log.cc`, `sql_connect.cc`; MariaDB `server_audit.c`.

mod audit;
mod query;

use std::borrow::Cow;

pub(in super::super) use audit::parse_message as parse_audited;

use super::super::remark::{life, remark, report};
use super::super::text::{between, cut, head, word};
use super::super::timestamp::{self, Stamp};
use super::super::{Context, endpoint, outcome};
use super::{Logon, push_logon};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id` from which a line is an error.
const ERROR: u8 = 3;
/// Whether a line can be one of the four logs.
pub(in super::super) fn looks(text: &str) -> bool {
    let first = text.as_bytes().first();
    let dated = first.is_some_and(u8::is_ascii_digit);
    (dated && (cut(text, " [").is_some() || memchr::memchr2(b'\t', b',', text.as_bytes()).is_some() || of_old(text)))
        || text.starts_with("\t\t")
        || BARE.iter().any(|mark| text.starts_with(mark))
        || query::commented(text)
        || cut(text, "Access denied for user '").is_some()
        || began(text)
}

/// What lines without a time begin with: an engine that writes around the log, the start of a statement in the slow log, the
/// head of the query logs.
const BARE: [&str; 7] = [
    "InnoDB: ",
    "SET timestamp=",
    "Version: '",
    "ERROR: 1",
    "Tcp port: ",
    "Time                 Id Command ",
    "Time\t\t    Id Command\t",
];

/// `260316 10:00:00 …` of servers before 5.7, a line of `mysqld_safe`, `10:00:00 UTC - mysqld got signal 11 ;`.
fn of_old(text: &str) -> bool {
    let at = |place: usize, byte: u8| text.as_bytes().get(place) == Some(&byte);
    (at(6, b' ') && at(9, b':')) || cut(head(text, 48), " mysqld_safe ").is_some() || crashed(text).is_some()
}

/// What stands behind the time of a server that crashed.
fn crashed(text: &str) -> Option<&str> {
    text.get(8..)?.strip_prefix(" UTC - ").filter(|rest| rest.starts_with("mysqld got "))
}

/// `/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:`: the head of the query logs.
fn began(text: &str) -> bool {
    text.starts_with('/') && text.ends_with("started with:") && cut(text, ", Version: ").is_some()
}

/// Reads a line; false where it is of none of them.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if query::commented(text) {
        return query::slow(text, context, event);
    }
    if text.starts_with("\t\t") {
        return query::general(None, text, event);
    }
    if began(text) {
        named(text, event);
        life("mysqld", 3, event);
        event.unmap("version", between(text, ", Version: ", " ").map_or("", |(version, _)| version));
        return true;
    }
    if BARE.iter().any(|mark| text.starts_with(mark)) || crashed(text).is_some() {
        return bare(text, event);
    }
    if text.as_bytes().get(audit::MICROS_LEN) == Some(&b',')
        && let Some((micros, rest)) = text.split_once(',')
    {
        // Aurora's audit log counts from the epoch.
        let time = micros.parse().ok().and_then(timestamp::epoch);
        return time.is_some_and(|time| audit::parse(Stamp { time, text: micros, assumed_offset: None }, rest, event));
    }
    let Some((stamp, rest)) = timestamp::mysql(text, context.reference) else {
        // A message alone, as in syslog.
        return text.starts_with("Access denied for user '") && denied(text, event) && named(text, event);
    };
    if stamp.text.as_bytes().get(4) == Some(&b'/') {
        return false;
    }
    if let Some(rest) = rest.strip_prefix(',') {
        return audit::parse(stamp, rest, event);
    }
    error(stamp, rest, event) || query::general(Some(stamp), rest, event) || old(stamp, rest, event)
}

/// A line without a time.
fn bare<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if text.starts_with("SET ") {
        event.push(Attribute::MetadataLogFormat, "mysql_slow");
        event.push(Attribute::MetadataLogProvider, "mysqld");
        event.push(Attribute::Message, text);
        return query::set_time(text, event) && report("mysqld", event);
    }
    named(text, event);
    event.push(Attribute::MetadataLogProvider, "mysqld");
    if let Some((version, _)) = between(text, "Version: '", "'  socket: ") {
        event.push(Attribute::AppVersion, version);
        return life("mysqld", 3, event);
    }
    event.severity_id = match () {
        () if text.starts_with("ERROR: ") => ERROR,
        () if crashed(text).is_some() => 5,
        () if text.starts_with("InnoDB: Error") => ERROR,
        () if text.starts_with("InnoDB: Warning") => 2,
        () => 1,
    };
    remark("mysqld", text, event)
}

/// `mysqld_safe Starting mysqld daemon with databases from /var/lib/mysql`, ` InnoDB: Initializing buffer pool`.
fn old<'a>(stamp: Stamp<'a>, rest: &'a str, event: &mut Event<'a>) -> bool {
    let message = rest.trim_start();
    if !["mysqld", "InnoDB: ", audit::NAME].iter().any(|mark| message.starts_with(mark)) {
        return false;
    }
    stamp.apply(event);
    event.push(Attribute::MetadataLogProvider, word(message).0.trim_end_matches(':'));
    named(message, event);
    if audit::lived(message, event) {
        return true;
    }
    if message.contains(" Starting mysqld daemon") {
        life("mysqld", 3, event);
    } else if message.ends_with(" ended") {
        life("mysqld", 4, event);
    } else {
        if message.contains("rror") || message.starts_with("mysqld got ") {
            event.severity_id = ERROR;
        }
        remark("mysqld", message, event);
    }
    true
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
        if !first.bytes().all(|b| b.is_ascii_hexdigit() || b == b'x') {
            return false;
        }
        thread = Some(first);
        rest = after;
    }
    let Some((word, mut message)) = between(rest, "[", "]").filter(|_| rest.starts_with('[')) else { return false };
    let Some(severity) = error_severity(word) else { return false };
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
    said(message, event);
    true
}

/// `severity_id` of a level.
pub(in super::super) fn error_severity(word: &str) -> Option<u8> {
    match word {
        "System" | "Note" => Some(1),
        "Warning" => Some(2),
        "ERROR" | "Error" => Some(ERROR),
        _ => None,
    }
}

/// What a message of the error log means, where the message does not live as long as the event.
pub(in super::super) fn push_said(message: &str, event: &mut Event<'_>) {
    let mut draft = Event::new(event.id, event.time, event.received_at);
    draft.shared = event.shared;
    draft.severity_id = event.severity_id;
    said(message, &mut draft);
    let time = event.time;
    event.adopt(draft);
    event.time = time;
}

/// What a message of the error log means.
fn said<'a>(message: &'a str, event: &mut Event<'a>) {
    if denied(message, event) || aborted(message, event) || peered(message, event) || audit::lived(message, event) {
        return;
    }
    let begins = ["ready for connections", " starting as process ", "Starting MariaDB ", "Starting MySQL "];
    let ends = ["Shutdown complete", "Normal shutdown", "Received SHUTDOWN from user"];
    if begins.iter().any(|mark| message.contains(mark)) {
        life("mysqld", 3, event);
    } else if ends.iter().any(|mark| message.contains(mark)) {
        life("mysqld", 4, event);
    } else {
        remark("mysqld", message, event);
    }
    // `Forcing close of thread 14  user: 'ann'.`
    if let Some((user, _)) = between(message, "user: '", "'").filter(|_| message.contains("Forcing close of thread ")) {
        event.push(Attribute::ActorUserName, user);
    }
}

/// A peer that was not let in, or whose name was sought: `Host '192.0.2.7' is not allowed to connect to this MySQL server`,
/// `IP address '192.0.2.7' could not be resolved: reason`, `… exceeded for `ann`@`192.0.2.7`. …`.
fn peered<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let refused = message.starts_with("Host '")
        && (message.contains(" is not allowed to connect ") || message.contains(" is blocked because "));
    let named = message.starts_with("IP address '");
    let idle = message.starts_with("'wait_timeout'") || message.starts_with("'interactive_timeout'");
    let (host, activity) = match () {
        () if refused => (between(message, "Host '", "'"), 5),
        () if named => (between(message, "IP address '", "'"), 6),
        () if idle => (between(message, "`@`", "`"), 2),
        () => return false,
    };
    let Some((host, _)) = host.filter(|(host, _)| endpoint::Address::parse(host).is_some()) else { return false };
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    super::push_host(Some(Cow::Borrowed(host)), event);
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::AppProtocolName, "mysql");
    if let Some((user, _)) = between(message, "`", "`@`").filter(|_| idle) {
        event.push(Attribute::ActorUserName, user);
    }
    outcome::failure(event, message);
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
        let event = normalized(r"20260316 10:00:00,db1,ann,192.0.2.7,7,9,QUERY,shop,'SELECT a FROM b WHERE c=\'d\'',0");
        assert_eq!(event["query_info"]["query_string"], r"SELECT a FROM b WHERE c=\'d\'");
        let event = normalized("20260316 10:00:00,db1,ann,192.0.2.7,7,0,FAILED_CONNECT,,,1045");
        assert_eq!((event["class_uid"].as_u64(), event["status_id"].as_u64()), (Some(3002), Some(2)));
        let event = normalized("20260316 10:00:00,db1,ann,192.0.2.7,7,9,WRITE,shop,orders,");
        assert_eq!((event["type_uid"].as_u64(), event["unmapped"]["table"].as_str()), (Some(600_505), Some("orders")));
        let event = normalized("1773651600123456,db1,ann,192.0.2.7,7,0,FAILED_CONNECT,,,1045");
        assert_eq!((event["type_uid"].as_u64(), event["time"].as_i64()), (Some(300_201), Some(1_773_651_600_123)));
        let event =
            normalized("Mar 16 10:00:00 h mysql-server_auditing: db1,ann,192.0.2.7,7,9,QUERY,shop,'SELECT 1',0");
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(600_501), Some(1)));
        let event = normalized("2026-03-16T09:00:00.000000Z 0 [ERROR] [MY-010119] [Server] Aborting");
        assert_eq!(event["class_uid"], 6008);
    }

    #[test]
    fn the_error_log_of_every_age_has_a_class() {
        for (line, kind) in [
            ("260316 10:00:00 mysqld_safe Starting mysqld daemon with databases from /var/lib/mysql", 600_203),
            ("2026-03-16T09:00:00.5Z mysqld_safe mysqld from pid file /run/mysqld.pid ended", 600_204),
            ("260316 10:00:00 server_audit: MariaDB Audit Plugin version 1.4.12 STARTED.", 600_203),
            ("2026-03-16 10:00:00 0 [Note] server_audit: STOPPED", 600_204),
            ("260316 10:00:00  InnoDB: Initializing buffer pool, size = 128.0M", 600_299),
            ("InnoDB: Error: log file is of different size", 600_801),
            ("10:00:00 UTC - mysqld got signal 11 ;", 600_801),
            (
                "2026-03-16 10:00:00 9 [Warning] Host '192.0.2.7' is not allowed to connect to this MariaDB server",
                400_105,
            ),
            ("2026-03-16 10:00:00 9 [Warning] IP address '192.0.2.7' could not be resolved: Unknown", 400_106),
            (
                "2026-03-16T09:00:00.5Z 9 [Note] [MY-013730] [Server] 'wait_timeout' period of 9 seconds was exceeded for `ann`@`192.0.2.7`. The idle time",
                400_102,
            ),
            ("2026-03-16T09:00:00.5Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.", 600_801),
            ("/usr/sbin/mysqld, Version: 8.0.36 (MySQL Community Server - GPL). started with:", 600_203),
        ] {
            assert_eq!(normalized(line)["type_uid"], kind, "{line}");
        }
    }

    #[test]
    fn a_client_that_is_thrown_out_is_named() {
        let event = normalized(
            "2026-03-16T09:00:00.5Z 0 [Warning] [MY-010909] [Server] mysqld: Forcing close of thread 9  user: 'ann'.",
        );
        assert_eq!((event["class_uid"].as_u64(), event["actor"]["user"]["name"].as_str()), (Some(6008), Some("ann")));
    }
}
