//! PostgreSQL: its log as text with any usual `log_line_prefix`, as CSV and as JSON.
//!
//! In: `2026-03-16 10:00:00.123 UTC [7] ann@shop FATAL:  password authentication failed for user "ann"`, what stands before
//! the level being told by its shape. Out: see the room. Source: PostgreSQL 9 to 17, `elog.c`, `csvlog.c`, `jsonlog.c`,
//! `auth.c`, `postinit.c`, `postmaster.c`; pgaudit.

use std::borrow::Cow;

use shared::time::Timestamp;

use super::super::fields::{Fields, Leaf};
use super::super::remark::{life, report};
use super::super::text::{between, cut, number, port};
use super::super::timestamp::{self, Reference, Stamp};
use super::super::{Context, endpoint, outcome, zones};
use super::{Logon, Statement, push_error, push_logon, push_statement};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Levels, and the severity that each stands for.
const LEVELS: [(&str, u8); 18] = [
    ("LOG", 1),
    ("ERROR", 3),
    ("FATAL", 4),
    ("PANIC", 6),
    ("WARNING", 2),
    ("NOTICE", 1),
    ("INFO", 1),
    ("STATEMENT", 1),
    ("DETAIL", 1),
    ("HINT", 1),
    ("CONTEXT", 1),
    ("QUERY", 1),
    ("LOCATION", 1),
    ("DEBUG", 1),
    ("DEBUG1", 1),
    ("DEBUG2", 1),
    ("DEBUG3", 1),
    ("DEBUG4", 1),
];
/// What the server says as it begins.
const BEGINS: [&str; 5] = [
    "starting PostgreSQL",
    "listening on ",
    "database system was shut down at ",
    "database system was interrupted",
    "database system is ready to accept",
];
/// What it says as it ends.
const ENDS: [&str; 4] =
    ["database system is shut down", "shutting down", "aborting any active transactions", "background worker \""];
/// Longest `log_line_prefix` that is looked through.
const PREFIX_MAX: usize = 512;
/// Columns of the CSV log, up to the first that a version lacks.
const COLUMNS: [&str; 26] = [
    "timestamp",
    "user",
    "dbname",
    "pid",
    "connection_from",
    "session_id",
    "line_num",
    "ps",
    "session_start",
    "vxid",
    "txid",
    "error_severity",
    "state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_position",
    "context",
    "statement",
    "cursor_position",
    "location",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
];

fn severity(level: &str) -> Option<u8> {
    LEVELS.iter().find(|(name, _)| *name == level).map(|(_, severity)| *severity)
}

/// Whether a level with its two spaces stands in the line, or the line is one of the CSV log.
pub(in super::super) fn looks(text: &str) -> bool {
    split(text).is_some() || csv_looks(text)
}

/// What stands before the level, the level, and the message.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let Some((before, message)) = cut(text, ":  ").filter(|(before, _)| before.len() <= PREFIX_MAX) else {
        return rejoined(text);
    };
    let (prefix, level) = match before.rfind([' ', ':', '>', ']', ',', '|', '-']) {
        Some(at) => before.split_at_checked(at + 1)?,
        None => ("", before),
    };
    severity(level).map(|_| (prefix, level, message))
}

/// The same of a line whose two spaces became one on its way: `… UTC:192.0.2.1(5):u@d:[9]:ERROR: …`, as RDS writes its prefix.
fn rejoined(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = cut(text, "]:").filter(|(before, _)| before.len() <= PREFIX_MAX)?;
    let (level, message) = rest.split_once(": ").filter(|(level, _)| severity(level).is_some())?;
    let is_prefix = before.as_bytes().first().is_some_and(u8::is_ascii_digit) && cut(before, ":[").is_some();
    is_prefix.then_some((text.get(..before.len() + 2)?, level, message))
}

/// The SQLSTATE that `log_error_verbosity = verbose` puts before a message, and the message: `42704: unrecognized …`.
fn coded(message: &str) -> Option<(&str, &str)> {
    let (code, rest) = message.split_at_checked(5)?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let rest = rest.strip_prefix(": ")?;
    (is_code && code.bytes().any(|byte| byte.is_ascii_digit())).then_some((code, rest))
}

fn csv_looks(text: &str) -> bool {
    let dated = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(10) == Some(&b' ');
    dated && text.split(',').count() >= 14 && LEVELS.iter().any(|(level, _)| text.contains(&format!(",{level},")))
}

/// Reads a line of text or CSV.
pub(in super::super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut fields = Fields::new();
    match split(text) {
        Some((prefix, level, message)) => {
            if !read_prefix(prefix, context, &mut fields, event) {
                return false;
            }
            let (code, message) = coded(message).unwrap_or(("", message));
            if !code.is_empty() {
                fields.add(None, "state_code", Leaf::Text(Cow::Borrowed(code)));
            }
            fields.add(None, "error_severity", Leaf::Text(Cow::Borrowed(level)));
            fields.add(None, "message", Leaf::Text(Cow::Borrowed(message)));
            event.push(Attribute::MetadataLogFormat, "postgresql");
        }
        None => {
            if !csv(text, context.reference, &mut fields, event) {
                return false;
            }
            event.push(Attribute::MetadataLogFormat, "postgresql_csv");
        }
    }
    apply(&mut fields, event);
    fields.finish(event);
    true
}

/// A time with the name of a zone behind it: those that are unmistakable are known, any other is the host's.
fn stamp(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let (stamp, rest) = timestamp::iso(text, reference)?;
    let zone = rest.strip_prefix(' ').map(|rest| rest.split([' ', ',', ':', ']', '|', '-']).next().unwrap_or_default());
    match zone {
        Some("UTC" | "GMT" | "Etc/UTC") => {
            let (stamp, rest) = timestamp::iso(text, Reference { utc_offset_minutes: 0, ..reference })?;
            let rest = rest.get(zone.map_or(0, str::len) + 1..).unwrap_or_default();
            Some((Stamp { assumed_offset: None, ..stamp }, rest))
        }
        Some(name) if !name.is_empty() && name.len() <= 5 && name.bytes().all(|b| b.is_ascii_uppercase()) => {
            // These stand for zones on several continents: the host's it is.
            let certain = zones::minutes(name).filter(|_| !matches!(name, "CST" | "BST"));
            let stamp = certain.map_or(stamp, |minutes| stamp.in_zone(minutes));
            Some((stamp, rest.get(name.len() + 1..).unwrap_or_default()))
        }
        _ => Some((stamp, rest)),
    }
}

/// Process, user, database, host by the shape of each word; a word that is none of them must not be there.
fn read_prefix<'a>(prefix: &'a str, context: &Context<'a>, fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let mut rest = prefix.trim();
    if context.wrappers > 0 {
        rest = unnumbered(rest);
    }
    // `< %m %u %r %d >`, as Red Hat's packages have it: user and database are words alone.
    let enclosed = rest.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).map(str::trim);
    rest = enclosed.unwrap_or(rest);
    let (mut stamped, mut strange) = (false, 0);
    while !rest.is_empty() {
        // `[%m]`: the brackets are the time's.
        let dated = rest.strip_prefix('[').unwrap_or(rest);
        if !stamped && let Some((found, after)) = stamp(dated, context.reference) {
            found.apply(event);
            stamped = true;
            rest = after.trim_start_matches([' ', ':', '|', '-', ']']);
            continue;
        }
        let (part, after) = rest.split_once([' ', '|']).unwrap_or((rest, ""));
        // `%n`: seconds and milliseconds since the epoch.
        if !stamped && let Some(time) = counted(part) {
            event.time = time;
            event.push(Attribute::MetadataOriginalTime, part);
            stamped = true;
            rest = after.trim_start_matches([' ', '|']);
            continue;
        }
        rest = after.trim_start_matches([' ', '|']);
        let mut any = false;
        for piece in pieces(part) {
            let piece = piece.trim_matches([':', '<', '>', '(', '-']);
            any |= read_word(piece, fields) || (enclosed.is_some() && read_name(piece, fields));
        }
        strange += u8::from(!any);
    }
    // A line without a time, process or session before it is somebody else's.
    strange <= 2 && (stamped || fields.has("pid") || fields.has("user") || prefix.is_empty() || prefix.starts_with('['))
}

/// `1773651600.123`
fn counted(text: &str) -> Option<Timestamp> {
    let (seconds, millis) =
        text.split_once('.').filter(|(seconds, millis)| (seconds.len(), millis.len()) == (10, 3))?;
    number(millis)?;
    timestamp::seconds(seconds, millis)
}

/// Without the number of the message and of its part (`[3-1] `) that the server writes first in syslog.
fn unnumbered(prefix: &str) -> &str {
    let Some((numbers, rest)) = prefix.strip_prefix('[').and_then(|inner| inner.split_once(']')) else { return prefix };
    let is = numbers.split_once('-').is_some_and(|(n, part)| number(n).is_some() && number(part).is_some());
    if is { rest.trim_start() } else { prefix }
}

/// The parts of a word: `user=u,db=d`, and `192.0.2.1(5432):u@d:[9]` (`%r:%u@%d:[%p]`).
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let (peer, rest) = match word.find("):").or_else(|| word.find("]:").filter(|_| word.starts_with("[local]:"))) {
        Some(at) => word.split_at_checked(at + 1).unwrap_or((word, "")),
        None => ("", word),
    };
    let separator = if peer.is_empty() && !(rest.contains('@') && rest.contains(":[")) { ',' } else { ':' };
    [peer].into_iter().chain(rest.split(separator)).filter(|piece| !piece.is_empty())
}

fn read_word<'a>(text: &'a str, fields: &mut Fields<'a>) -> bool {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let mut add = |key: &'static str, value: &'a str| {
        if !value.is_empty() && value != "[unknown]" && !fields.has(key) {
            fields.add(None, key, Leaf::Text(Cow::Borrowed(value)));
        }
        true
    };
    if let Some((key, value)) = text.split_once('=') {
        return match key {
            "user" | "u" | "usr" => add("user", value),
            "db" | "d" | "database" => add("dbname", value),
            "app" | "a" | "application" => add("application_name", value),
            "client" | "host" | "h" | "r" | "remote" => add("connection_from", value),
            "pid" | "p" => add("pid", value),
            "session" | "s" | "c" => add("session_id", value),
            _ => false,
        };
    }
    let process = bare.split('-').next().unwrap_or_default();
    if number(process).is_some() {
        return if text.starts_with('[') || text.len() <= 7 { add("pid", process) } else { false };
    }
    if endpoint::ip(bare).is_some() || address_and_port(bare).is_some() || bare == "[local]" || bare == "local" {
        return add("connection_from", bare);
    }
    // `%c`: the session's start and process, both in hexadecimal.
    let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    if bare.split_once('.').is_some_and(|(start, process)| start.len() == 8 && is_hex(start) && is_hex(process)) {
        return add("session_id", bare);
    }
    let in_brackets = text.starts_with('[') && !text.contains("[unknown]");
    match if in_brackets { bare } else { text }.split_once('@') {
        Some((user, database)) => {
            add("user", user);
            add("dbname", database)
        }
        None => false,
    }
}

/// A user before the client's address, a database behind it.
fn read_name<'a>(name: &'a str, fields: &mut Fields<'a>) -> bool {
    let key = if fields.has("connection_from") { "dbname" } else { "user" };
    let plausible =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'$') || byte >= 0x80;
    let unknown = name == "[unknown]";
    if fields.has(key) || name.is_empty() || !(unknown || name.bytes().all(plausible)) {
        return false;
    }
    if !unknown {
        fields.add(None, key, Leaf::Text(Cow::Borrowed(name)));
    }
    true
}

/// `192.0.2.7(4444)` or `192.0.2.7:4444`.
fn address_and_port(text: &str) -> Option<(&str, i64)> {
    let (host, number) = match text.strip_suffix(')') {
        Some(inner) => inner.rsplit_once('(')?,
        None => text.rsplit_once(':')?,
    };
    Some((endpoint::ip(host)?, port(number)?))
}

/// Values in double quotes, a quote inside doubled.
fn csv<'a>(text: &'a str, reference: Reference, fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = stamp(text, reference).filter(|(_, rest)| rest.starts_with(',')) else { return false };
    stamp.apply(event);
    let mut rest = rest.get(1..);
    for column in COLUMNS.into_iter().skip(1) {
        let Some(text) = rest else { break };
        let value = match text.strip_prefix('"') {
            Some(inner) => {
                let mut at = 0;
                while let Some(step) = memchr::memchr(b'"', inner.as_bytes().get(at..).unwrap_or_default()) {
                    at += step;
                    if inner.as_bytes().get(at + 1) != Some(&b'"') {
                        break;
                    }
                    at += 2;
                }
                let value = inner.get(..at).unwrap_or(inner);
                rest = inner.get(at + 1..).and_then(|after| after.strip_prefix(','));
                if value.contains("\"\"") { Cow::Owned(value.replace("\"\"", "\"")) } else { Cow::Borrowed(value) }
            }
            None => match text.split_once(',') {
                Some((value, after)) => {
                    rest = Some(after);
                    Cow::Borrowed(value)
                }
                None => {
                    rest = None;
                    Cow::Borrowed(text)
                }
            },
        };
        if !value.is_empty() {
            fields.add(None, column, Leaf::Text(value));
        }
    }
    fields.peek("error_severity").is_some_and(|level| severity(level).is_some())
}

/// The time of a JSON record, which names its zone.
pub(in super::super) fn push_time<'a>(fields: &mut Fields<'a>, reference: Reference, event: &mut Event<'a>) {
    let Some((time, assumed)) = fields
        .peek("timestamp")
        .and_then(|text| stamp(text, reference))
        .map(|(stamp, _)| (stamp.time, stamp.assumed_offset))
    else {
        return;
    };
    event.time = time;
    fields.push(event, Attribute::MetadataOriginalTime, "timestamp");
    if let Some(minutes) = assumed {
        event.push(Attribute::TimezoneOffset, minutes);
    }
}

/// What the keys of the JSON log say, whichever form they came in.
pub(in super::super) fn apply<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "postgresql");
    let level = fields.text("error_severity").unwrap_or_default();
    event.severity_id = severity(&level).unwrap_or(1);
    event.push(Attribute::MetadataLogLevel, level.clone());
    fields.push(event, Attribute::ActorProcessPid, "pid");
    fields.push(event, Attribute::MetadataCorrelationUid, "session_id");
    fields.push(event, Attribute::MetadataEventCode, "state_code");
    let message = fields.text("message").unwrap_or_default();
    let peer = fields.text("connection_from").or_else(|| fields.text("remote_host"));
    let (host, mut port) = match peer {
        Some(peer) => match address_and_port(&peer).map(|(host, port)| (host.to_owned(), port)) {
            Some((host, port)) => (Some(Cow::Owned(host)), Some(port)),
            None => (Some(peer), None),
        },
        None => (None, None),
    };
    if port.is_none() {
        port = fields.number("remote_port");
    }
    let known = Known { user: fields.text("user"), database: fields.text("dbname"), host, port };
    said(&message, &level, known, event);
    event.push(Attribute::Message, message);
}

/// What goes wrong without being said as an error.
const FAULTS: [&str; 9] = [
    "could not receive data from client",
    "could not send data to client",
    "could not accept SSL connection",
    "could not accept GSSAPI security context",
    "invalid length of startup packet",
    "incomplete startup packet",
    "unexpected EOF on client connection",
    "server process (PID ",
    "terminating any other active server processes",
];

/// What the line says of the session.
struct Known<'a> {
    user: Option<Cow<'a, str>>,
    database: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    port: Option<i64>,
}

fn owned<'a>(text: &str) -> Cow<'a, str> {
    Cow::Owned(text.to_owned())
}

/// The value behind the last of a key: names may hold anything, and what the server knows by itself stands behind them.
fn last<'t>(message: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = message.rsplit_once(key)?;
    rest.split([' ', ',']).next().filter(|text| !text.is_empty())
}

fn said<'a>(message: &str, level: &str, known: Known<'a>, event: &mut Event<'a>) {
    if let Some(user) = refused(message).filter(|_| matches!(level, "FATAL" | "LOG" | "ERROR")) {
        return refusal(message, user, known, level, event);
    }
    let ended = message.starts_with("disconnection: ");
    if message.starts_with("connection authorized: ")
        || message.starts_with("replication connection authorized: ")
        || message.starts_with("connection authenticated: ")
        || ended
    {
        session(message, ended, known, level, event);
    } else if message.starts_with("connection received: ") {
        event.class = Class::NetworkActivity;
        event.activity_id = 1;
        if super::push_host(last(message, " host=").map(owned), event) {
            event.push(Attribute::ConnectionDirectionId, 1);
            event.push(Attribute::AppProtocolName, "postgresql");
            if let Some(port) = last(message, " port=").and_then(port) {
                event.push(Attribute::SrcEndpointPort, port);
            }
        } else {
            report("postgresql", event);
        }
    } else if let Some(text) = statement(message).or_else(|| Some(message).filter(|_| level == "STATEMENT")) {
        let Known { user, database, host, port } = known;
        push_statement(Statement { user, host, port, database, text: owned(text) }, "postgresql", event);
        let took = message.strip_prefix("duration: ").and_then(|rest| rest.split(['.', ' ']).next()).and_then(number);
        if let Some(took) = took.filter(|_| event.class == Class::DatastoreActivity) {
            event.push(Attribute::Duration, took);
        }
        if level == "STATEMENT" && event.class == Class::DatastoreActivity {
            // It stands behind the error that it led to.
            outcome::failure(event, "");
        }
    } else if BEGINS.iter().any(|words| message.starts_with(words)) {
        life("postgresql", 3, event);
    } else if ENDS.iter().any(|words| message.starts_with(words)) || message.ends_with("shutdown request") {
        life("postgresql", 4, event);
    } else if FAULTS.iter().any(|words| message.starts_with(words)) {
        fault(message, known, event);
    } else {
        keep(known, level, event);
    }
}

/// What went wrong with a client whose address is known is a connection that failed (4001).
fn fault<'a>(message: &str, known: Known<'a>, event: &mut Event<'a>) {
    let of_client = message.contains("client") || message.contains("startup packet") || message.contains("accept");
    if !of_client || !super::push_host(known.host.clone(), event) {
        push_error("postgresql", event);
        return keep(known, "", event);
    }
    event.class = Class::NetworkActivity;
    event.activity_id = 4;
    if let Some(port) = known.port {
        event.push(Attribute::SrcEndpointPort, port);
    }
    event.push(Attribute::ConnectionDirectionId, 1);
    event.push(Attribute::AppProtocolName, "postgresql");
    outcome::failure(event, message.to_owned());
    keep(Known { host: None, port: None, ..known }, "", event);
}

/// A logon that was refused. Only what `pg_hba.conf` refuses names host and database itself, the host before any name.
fn refusal<'a>(message: &str, user: &str, known: Known<'a>, level: &str, event: &mut Event<'a>) {
    let user = match (user, &known.user) {
        ("", Some(user)) => user.clone(),
        ("", None) => return keep(known, level, event),
        (user, _) => owned(user),
    };
    let entry = message.starts_with("no pg_hba.conf entry") || message.starts_with("pg_hba.conf rejects");
    let host = between(message, "for host \"", "\"").filter(|_| entry).map(|(host, _)| owned(host));
    let database =
        message.rsplit_once("database \"").and_then(|(_, rest)| cut(rest, "\"")).map(|(name, _)| owned(name));
    push_logon(
        Logon {
            user,
            host: host.or(known.host),
            port: known.port,
            database: database.or(known.database),
            service: "postgresql",
            activity: 1,
            refused: Some(owned(message)),
        },
        event,
    );
}

/// A session that was let in, or ended: only its end names the host, behind all names.
fn session<'a>(message: &str, ended: bool, known: Known<'a>, level: &str, event: &mut Event<'a>) {
    let identity = between(message, "identity=\"", "\"").map(|(user, _)| user);
    let named =
        cut(message, " user=").and_then(|(_, rest)| rest.split([' ', ',']).next()).filter(|user| !user.is_empty());
    let Some(user) = named.or(identity).map(owned).or_else(|| known.user.clone()) else {
        return keep(known, level, event);
    };
    let behind = |key: &str| last(message, key).filter(|_| ended);
    let database = cut(message, " database=").and_then(|(_, rest)| rest.split([' ', ',']).next());
    push_logon(
        Logon {
            user,
            host: behind(" host=").map(owned).or(known.host),
            port: behind(" port=").and_then(port).or(known.port),
            database: database.filter(|name| !name.is_empty()).map(owned).or(known.database),
            service: "postgresql",
            activity: if ended { 2 } else { 1 },
            refused: None,
        },
        event,
    );
}

/// An error, or a report of the server; the session's parts stay with it.
fn keep<'a>(known: Known<'a>, level: &str, event: &mut Event<'a>) {
    if matches!(level, "ERROR" | "FATAL" | "PANIC" | "WARNING") {
        push_error("postgresql", event);
    } else if event.class == Class::BaseEvent {
        report("postgresql", event);
    }
    if let Some(user) = known.user {
        event.push(Attribute::ActorUserName, user);
    }
    if let Some(database) = known.database {
        event.unmap("database", database);
    }
    if let Some(host) = known.host {
        event.unmap(if endpoint::ip(&host).is_some() { "src_ip" } else { "src_host" }, host);
    }
    if let Some(port) = known.port {
        event.unmap("src_port", port);
    }
}

/// The user of a logon that was refused; empty where the message names none.
fn refused(message: &str) -> Option<&str> {
    let quoted = |mark: &str| between(message, mark, "\"").map(|(user, _)| user);
    if message.contains("authentication failed for user \"") {
        return quoted("for user \"");
    }
    if message.starts_with("no pg_hba.conf entry for") || message.starts_with("pg_hba.conf rejects ") {
        return quoted("user \"");
    }
    if let Some(rest) = message.strip_prefix("role \"") {
        let told = ["\" does not exist", "\" is not permitted to log in"];
        return told.into_iter().find_map(|end| cut(rest, end)).map(|(user, _)| user);
    }
    if message.starts_with("too many connections for role \"") {
        return quoted("role \"");
    }
    if message.starts_with("permission denied for database ") || message.starts_with("database \"") {
        return message.ends_with("does not exist").then_some("").or(message.starts_with("permission").then_some(""));
    }
    None
}

/// The statement of `statement: …`, `execute NAME: …`, `duration: … ms  statement: …` or pgaudit's `AUDIT: …`.
fn statement(message: &str) -> Option<&str> {
    let rest = match message.strip_prefix("duration: ") {
        Some(rest) => cut(rest, " ms  ")?.1,
        None => message,
    };
    if let Some(text) = rest.strip_prefix("statement: ") {
        return Some(text);
    }
    if let Some(rest) = rest.strip_prefix("AUDIT: ") {
        // Type, numbers, class, command, object's type and name; then the statement, and its parameters.
        let mut parts = rest.splitn(8, ',');
        let text = parts.by_ref().nth(7)?;
        let text = text.rsplit_once(',').map_or(text, |(text, _)| text);
        return Some(text.trim_matches('"'));
    }
    let named =
        ["execute ", "parse ", "bind ", "execute fetch from "].into_iter().find_map(|verb| rest.strip_prefix(verb))?;
    cut(named, ": ").map(|(_, text)| text)
}

#[cfg(test)]
mod tests;
