//! Logs of databases: who connected, who was refused, what was asked.
//!
//! In: lines of PostgreSQL ([`postgresql`]), MySQL and MariaDB ([`mysql`]), MongoDB ([`mongodb`]) and Redis ([`redis`]), and
//! what their JSON says. Out: logons
//! (3002), statements (6005), errors (6008), starts, stops and reports (6002).

pub(super) mod mongodb;
pub(super) mod mysql;
pub(super) mod postgresql;
pub(super) mod redis;

use std::borrow::Cow;

use super::endpoint::Address;
use super::outcome;
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// `database.type_id` 1: relational; `type_id` of the class 1: a database.
const RELATIONAL: i64 = 1;

/// A user at a host, for a logon.
struct Logon<'a> {
    user: Cow<'a, str>,
    host: Option<Cow<'a, str>>,
    port: Option<i64>,
    database: Option<Cow<'a, str>>,
    service: &'static str,
    /// 1 logon, 2 logoff.
    activity: u8,
    /// Why it failed; none where it did not.
    refused: Option<Cow<'a, str>>,
}

fn push_logon<'a>(logon: Logon<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = logon.activity;
    event.push(Attribute::UserName, logon.user);
    event.push(Attribute::ServiceName, logon.service);
    if push_host(logon.host, event)
        && let Some(port) = logon.port
    {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if let Some(database) = logon.database.filter(|name| !name.is_empty()) {
        event.unmap("database", database);
    }
    match logon.refused {
        Some(reason) => outcome::failure(event, reason),
        None => outcome::success(event),
    }
}

/// The source's address or name; a local socket is this host and no source.
fn push_host<'a>(host: Option<Cow<'a, str>>, event: &mut Event<'a>) -> bool {
    let Some(host) = host.filter(|host| *host != "[local]") else { return false };
    let attribute = match Address::parse(&host) {
        Some(Address::Ip(_)) => Attribute::SrcEndpointIp,
        Some(Address::Name(_)) => Attribute::SrcEndpointHostname,
        None => return false,
    };
    event.push(attribute, host);
    true
}

/// What was asked, by whom, from where, of which database.
struct Statement<'a> {
    user: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
    port: Option<i64>,
    database: Option<Cow<'a, str>>,
    text: Cow<'a, str>,
}

/// A statement, or an empty one where only its session is known, is datastore activity (6005) where its host is known, or the
/// server's process or session for its client; else its parts stand in `unmapped`. A server whose database is not named is
/// the database.
fn push_statement<'a>(statement: Statement<'a>, service: &'static str, event: &mut Event<'a>) {
    let Statement { user, host, port, database, text } = statement;
    let placed = host.as_ref().is_some_and(|host| *host != "[local]" && Address::parse(host).is_some());
    let named = user.filter(|user| !user.is_empty()).map(|user| event.push(Attribute::ActorUserName, user)).is_some();
    // Where the log does not say from where, the server's process or session stands for its client.
    let session = match (event.value(Attribute::ActorProcessPid), event.text(Attribute::ActorSessionUid)) {
        (Some(Value::Int(pid)), _) => Some(pid.to_string()),
        (_, session) => session.map(str::to_owned),
    };
    if session.is_none() && !(placed && named) {
        event.unmap("statement", text);
        if let Some(database) = database.filter(|name| !name.is_empty()) {
            event.unmap("database", database);
        }
        return;
    }
    let verb: String = text
        .trim_start_matches(['(', ' ', '\t', '\n'])
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .take(16)
        .collect::<String>()
        .to_ascii_uppercase();
    event.class = Class::DatastoreActivity;
    event.activity_id = match verb.as_str() {
        "SELECT" | "FETCH" | "TABLE" | "WITH" | "VALUES" => 1,
        "UPDATE" | "ALTER" => 2,
        "INSERT" | "REPLACE" | "COPY" | "MERGE" | "LOAD" => 5,
        "CREATE" | "GRANT" => 6,
        "DELETE" | "DROP" | "TRUNCATE" | "REVOKE" => 7,
        "SHOW" | "DESCRIBE" => 8,
        _ => 4,
    };
    if push_host(host, event) {
        if let Some(port) = port {
            event.push(Attribute::SrcEndpointPort, port);
        }
    } else if let Some(session) = session {
        event.push(Attribute::SrcEndpointUid, session);
    }
    event.push(Attribute::DatabaseName, database.filter(|name| !name.is_empty()).unwrap_or(Cow::Borrowed(service)));
    event.push(Attribute::DatabaseTypeId, RELATIONAL);
    if !text.is_empty() {
        event.push(Attribute::QueryInfoName, if verb.is_empty() { "statement".to_owned() } else { verb });
        event.push(Attribute::QueryInfoQueryString, text);
    }
}

/// A record of an audit log.
pub(super) struct Asked<'a> {
    /// Its name, in small letters.
    pub(super) name: String,
    pub(super) user: Option<Cow<'a, str>>,
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) database: Option<Cow<'a, str>>,
    pub(super) statement: Option<Cow<'a, str>>,
    pub(super) failed: bool,
}

/// A logon (3002) by its name, else a statement (6005), of MySQL.
pub(super) fn push_asked<'a>(asked: Asked<'a>, event: &mut Event<'a>) {
    let Asked { name, user, host, database, statement, failed } = asked;
    let activity = match name.as_str() {
        "connect" | "change user" | "change_user" | "failed_connect" | "failed login" => 1,
        "quit" | "disconnect" => 2,
        _ => 0,
    };
    match user {
        Some(user) if activity != 0 => {
            let refused = failed.then_some(Cow::Borrowed(""));
            push_logon(Logon { user, host, port: None, database, service: "mysql", activity, refused }, event);
        }
        user => {
            let text = statement.unwrap_or_default();
            push_statement(Statement { user, host, port: None, database, text }, "mysql", event);
            if failed {
                outcome::failure(event, "");
            } else {
                outcome::success(event);
            }
        }
    }
}

/// An error (6008).
fn push_error(name: &'static str, event: &mut Event<'_>) {
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, name);
    outcome::failure(event, "");
}
