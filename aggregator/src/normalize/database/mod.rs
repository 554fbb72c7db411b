//! Logs of databases: who connected, who was refused, what was asked.
//!
//! In: lines of PostgreSQL ([`postgresql`]), MySQL and MariaDB ([`mysql`]), MongoDB ([`mongodb`]) and Redis ([`redis`]), and
//! what their JSON says. Out: logons
//! (3002), statements of a known user (6005), errors (6008), starts and stops (6002), else base events.

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

/// A statement is datastore activity (6005) where its user and database are known, and its host or the server's process; else
/// its parts stand in `unmapped`.
fn push_statement<'a>(statement: Statement<'a>, event: &mut Event<'a>) {
    let Statement { user, host, port, database, text } = statement;
    let named = |text: &Option<Cow<'a, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
    let placed = host.as_ref().is_some_and(|host| *host != "[local]" && Address::parse(host).is_some());
    if let Some(user) = user.filter(|user| !user.is_empty()) {
        event.push(Attribute::ActorUserName, user);
    } else {
        event.unmap("statement", text);
        return;
    }
    // Where the log does not say from where, the server's process stands for its client.
    let session = match event.value(Attribute::ActorProcessPid) {
        Some(Value::Int(pid)) => Some(pid.to_string()),
        _ => None,
    };
    if (!placed && session.is_none()) || !named(&database) {
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
    if let Some(database) = database {
        event.push(Attribute::DatabaseName, database);
        event.push(Attribute::DatabaseTypeId, RELATIONAL);
    }
    event.push(Attribute::QueryInfoName, if verb.is_empty() { "statement".to_owned() } else { verb });
    event.push(Attribute::QueryInfoQueryString, text);
}

/// A server that starts (3) or stops (4).
fn push_lifecycle(event: &mut Event<'_>, name: &'static str, activity: u8) {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, name);
    outcome::success(event);
}

/// An error (6008).
fn push_error(event: &mut Event<'_>) {
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    outcome::failure(event, "");
}
