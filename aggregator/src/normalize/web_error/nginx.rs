//! nginx: `2018/10/10 12:34:56 [error] 123#4: *5 message, client: 192.0.2.1, server: h, request: "GET / HTTP/1.1", upstream: "…",
//! host: "h", referrer: "…"`; as a proxy of mail `…, client: 192.0.2.1, server: 0.0.0.0:25, login: "bob"`.
//!
//! Out: a logon (3002); where a request is named, HTTP activity (4002) that failed; where only a client is, a connection
//! (4001); the server's own life (6002); an error (6008). Source: ngx_log.c, ngx_http_request.c, ngx_mail_handler.c,
//! ngx_process_cycle.c.

use std::borrow::Cow;

use super::super::text::{between, cut, level, number, word};
use super::super::{Context, endpoint, http_fields, modsecurity, outcome, timestamp};
use super::{Client, connection, life, logon, said, weighed, written_by};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What the server says as it begins, ends, or begins anew, and the activity of class 6002.
const LIFE: [(&str, u8); 19] = [
    ("start worker process", 3),
    ("start cache ", 3),
    ("using the \"", 3),
    ("using inherited sockets", 3),
    ("nginx/", 3),
    ("openresty/", 3),
    ("built by ", 3),
    ("OS: ", 3),
    ("getrlimit(", 3),
    ("ModSecurity-nginx ", 3),
    ("gracefully shutting down", 4),
    ("exiting", 4),
    ("exit", 4),
    ("worker process ", 4),
    ("cache manager process ", 4),
    ("cache loader process ", 4),
    ("reconfiguring", 5),
    ("reopening logs", 5),
    ("signal ", 4),
];

/// Reads a line; false where it is not nginx's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    if text.as_bytes().get(4) != Some(&b'/') {
        return false;
    }
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some((severity, rest)) = rest.strip_prefix(" [").and_then(|rest| cut(rest, "] ")) else { return false };
    let (process, message) = word(rest);
    let Some((pid, _)) = process.split_once('#').filter(|_| level(severity).is_some()) else { return false };
    stamp.apply(event);
    said(severity, event);
    if let Some(pid) = number(pid) {
        event.push(Attribute::ActorProcessName, "nginx");
        event.push(Attribute::ActorProcessPid, pid);
    }
    event.push(Attribute::MetadataLogFormat, "nginx_error");
    event.push(Attribute::Message, message);
    // A user's name and a path may hold what looks like a client: what counts stands behind them, and before the request.
    let behind = ["\" was not found in ", "\": password mismatch"].iter().find_map(|mark| message.rfind(mark));
    let about = behind.and_then(|at| message.get(at..)).unwrap_or(message);
    let before = message.rfind(", request: \"").and_then(|at| message.get(..at)).unwrap_or(message);
    let client = before.rsplit_once(", client: ").map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or(rest));
    let client = client.or_else(|| cut(message, "client ").map(|(_, rest)| word(rest).0)).and_then(Client::read);
    if modsecurity::matched(message, client.map(|client| client.address), event) {
        return true;
    }
    // The number of the connection.
    let bare = message.strip_prefix('*').map_or(message, |rest| word(rest).1);
    classified(bare, about, client, event);
    written_by("nginx", event);
    true
}

/// What stands behind `, name: `, in quotes or not.
fn told<'a>(about: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = cut(about, mark)?;
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(',').next(),
    };
    value.filter(|value| !matches!(*value, "" | "_"))
}

fn classified<'a>(bare: &'a str, about: &'a str, client: Option<Client<'a>>, event: &mut Event<'a>) {
    let reason = cut(bare, ", client: ").map_or(bare, |(reason, _)| reason);
    let request = told(about, ", request: ");
    let stage = LIFE.iter().find(|(mark, _)| bare.starts_with(mark)).map(|(_, activity)| *activity);
    if logon::parse(bare, client, "nginx", event) {
        // Its client is told.
    } else if let Some(client) = client {
        if !mail(bare, event) {
            match request {
                Some(_) => {
                    event.class = Class::HttpActivity;
                    outcome::failure(event, reason);
                }
                None => refused(reason, event),
            }
        }
        client.push(event);
    } else if let Some(activity) = stage.filter(|_| event.severity_id < super::WARNING) {
        let anew = bare.contains("reconfiguring") || bare.contains("reopening");
        life("nginx", if anew { 5 } else { activity }, event);
    } else {
        weighed("nginx", reason, event);
    }
    ends(bare, about, event);
    if event.class == Class::HttpActivity {
        asked(request.unwrap_or_default(), about, event);
        return;
    }
    for (key, value) in [("request", request), ("host", told(about, ", host: ")), ("referrer", told(about, REFERRER))] {
        if let Some(value) = value {
            event.unmap(key, value);
        }
    }
}

const REFERRER: &str = ", referrer: ";

/// The server that was spoken to, and the one behind it.
fn ends<'a>(bare: &'a str, about: &'a str, event: &mut Event<'a>) {
    if let Some(upstream) = told(about, ", upstream: ") {
        event.unmap("upstream", upstream);
    }
    let server = told(about, ", server: ").or_else(|| cut(bare, " connected to ").map(|(_, to)| word(to).0));
    let Some(server) = server else { return };
    match Client::read(server).filter(|_| event.class.carries(Attribute::DstEndpointIp)) {
        Some(Client { address, port }) => {
            endpoint::push_destination(event, address, port);
        }
        None => event.unmap("server", server),
    }
}

/// `GET /a HTTP/1.1` and what the client said beside.
fn asked<'a>(request: &'a str, about: &'a str, event: &mut Event<'a>) {
    let (line, version) =
        request.rsplit_once(" HTTP/").map_or((request, None), |(line, version)| (line, Some(version)));
    let (method, target) = word(line);
    http_fields::push_method(event, Cow::Borrowed(method));
    http_fields::push_target(event, Cow::Borrowed(target), told(about, ", host: ").map(Cow::Borrowed));
    if let Some(version) = version {
        event.push(Attribute::HttpRequestVersion, version);
    }
    if let Some(referrer) = told(about, REFERRER) {
        event.push(Attribute::HttpRequestReferrer, referrer);
    }
}

/// A client that did not come as far as a request.
fn refused<'a>(reason: &'a str, event: &mut Event<'a>) {
    if event.severity_id < super::WARNING && (reason.contains("closed") || reason.contains("timed out")) {
        connection(2, event);
        outcome::success(event);
    } else {
        connection(4, event);
        outcome::failure(event, reason);
    }
}

/// A proxy of mail: `client logged in`, `client login failed: "reason"` (3002), `client A:p connected to B:p`, `proxied session done`
/// (4001).
fn mail<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let user = between(message, ", login: \"", "\"").map(|(user, _)| user);
    let failed = message.strip_prefix("client login failed: ");
    if failed.is_some() || message.starts_with("client logged in") {
        event.class = Class::Authentication;
        event.activity_id = 1;
        event.push(Attribute::UserName, user.unwrap_or_default());
        event.push(Attribute::ServiceName, "nginx");
        event.push(Attribute::IsRemote, true);
        match failed {
            Some(reason) => outcome::failure(event, between(reason, "\"", "\"").map_or("", |(reason, _)| reason)),
            None => outcome::success(event),
        }
        return true;
    }
    let opened = message.starts_with("client ") && cut(message, " connected to ").is_some();
    if !opened && !message.starts_with("proxied session done") {
        return false;
    }
    connection(if opened { 1 } else { 2 }, event);
    if let Some(user) = user {
        event.push(Attribute::ActorUserName, user);
    }
    outcome::success(event);
    true
}
