//! Apache: `[Mon Mar 16 10:00:00.5 2026] [MODULE:error] [pid 1:tid 2] (13)Permission denied: [client 192.0.2.1:5] AH00001:
//! message, referer: …`; before 2.4 without module, process and port.
//!
//! Source: Apache HTTP Server, core, `ErrorLogFormat`; server/log.c, server/mpm; mod_jk and mod_jk2 of Tomcat.

use super::super::text::{cut, level, number};
use super::super::{Context, modsecurity, outcome, timestamp};
use super::{Client, connection, life, logon, said, weighed, written_by};
use crate::event::Event;
use crate::schema::Attribute;

/// Furthest that a client stands behind what the system said.
const CLIENT_WITHIN: usize = 200;

/// What the server says as it begins, ends, or changes what it runs, and the activity of class 6002.
const LIFE: [(&str, u8); 18] = [
    ("resuming normal operations", 3),
    ("Command line: ", 3),
    ("Found child ", 3),
    ("workerEnv.init() ok", 3),
    ("Server built: ", 3),
    ("generating secret for digest authentication", 3),
    ("mechanism enabled", 6),
    (" configured.", 6),
    (" loaded.", 6),
    ("caught SIGTERM, shutting down", 4),
    ("caught SIGWINCH, shutting down", 4),
    ("shutting down gracefully", 4),
    ("removed PID file", 4),
    ("Graceful restart requested", 5),
    ("Doing graceful restart", 5),
    ("doing restart", 5),
    ("SIGHUP received", 5),
    ("Attempting to restart", 5),
];

/// What the server says of a request that it does not serve.
const REFUSED: [&str; 12] = [
    "client denied by server configuration",
    "file permissions deny server access",
    "Invalid URI in request",
    "Invalid method in request",
    "File does not exist",
    "script not found or unable to stat",
    "' not found or unable to stat",
    "request failed: ",
    "Attempt to serve directory",
    "Directory index forbidden",
    "Cannot serve directory",
    "Symbolic link not allowed",
];

/// Reads a line; false where it is not Apache's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = text.strip_prefix('[') else { return false };
    // The name of the day, which the date implies; `%{cu}t` has none.
    let found = match rest.split_once(' ').filter(|(day, _)| day.len() == 3) {
        Some((_, rest)) => timestamp::bsd(rest, context.reference),
        None => timestamp::iso(rest, context.reference),
    };
    let (stamp, rest) = match found.and_then(|(stamp, rest)| Some((stamp, rest.strip_prefix("] [")?))) {
        Some((stamp, rest)) => (Some(stamp), rest),
        // In syslog, whose header tells the time, the level begins the message; so it does where the format leaves the time out.
        None if leveled(rest) && (context.wrappers > 0 || named(rest)) => (None, rest),
        None => return false,
    };
    // Others write a time and a word in brackets too.
    if text.as_bytes().get(5) == Some(&b'-') && !severity_named(rest) {
        return false;
    }
    let Some((severity, mut rest)) = cut(rest, "] ") else { return false };
    let (module, severity) = severity.split_once(':').map_or((None, severity), |(module, level)| (Some(module), level));
    if let Some(stamp) = stamp {
        stamp.apply(event);
    }
    said(severity, event);
    if let Some(module) = module.filter(|module| !module.is_empty()) {
        event.unmap("module", module);
    }
    if let Some((process, after)) = rest.strip_prefix("[pid ").and_then(|rest| cut(rest, "] ")) {
        let pid = process.split_once(':').map_or(process, |(pid, _)| pid);
        if let Some(pid) = number(pid) {
            event.push(Attribute::ActorProcessName, "httpd");
            event.push(Attribute::ActorProcessPid, pid);
        }
        rest = after;
    }
    let system = system(rest);
    let message = rest;
    if let Some((said, after)) = system {
        let code = said.strip_prefix('(').and_then(|said| said.split(')').next()).filter(|code| number(code).is_some());
        if let Some(code) = code {
            event.push(Attribute::StatusCode, code);
        }
        rest = after;
    }
    let mut client = None;
    // ModSecurity says it twice.
    let peers = |rest: &'a str| rest.strip_prefix("[client ").or_else(|| rest.strip_prefix("[remote "));
    while let Some((peer, after)) = peers(rest).and_then(|rest| cut(rest, "] ")) {
        // IPv6 stands bare, or in brackets before a port.
        client = client.or_else(|| Client::read(peer));
        rest = after;
    }
    event.push(Attribute::MetadataLogFormat, "apache_error");
    event.push(Attribute::Message, if system.is_some() { message } else { rest });
    if !modsecurity::matched(rest, client.map(|client| client.address), event) {
        classified(rest, client, event);
        written_by("httpd", event);
    }
    true
}

/// Whether a module and a level stand there.
fn severity_named(rest: &str) -> bool {
    cut(rest, "] ").and_then(|(said, _)| said.split_once(':')).is_some_and(|(_, word)| level(word).is_some())
}

/// Whether a client is named in brackets.
fn named(rest: &str) -> bool {
    [" [client ", " [remote "].iter().any(|mark| cut(rest, mark).is_some())
}

/// Whether a level stands there, with its module or without, and behind it what only Apache writes.
fn leveled(rest: &str) -> bool {
    cut(rest, "] ").is_some_and(|(said, rest)| {
        let own = ["[pid ", "[client ", "[remote ", "AH0"].iter().any(|mark| rest.starts_with(mark));
        own && level(said.rsplit(':').next().unwrap_or(said)).is_some()
    })
}

/// What the system said, or the place in the source, before the client: `(70014)End of file found: `, `mod_rewrite.c(470): `,
/// `(13)Permission denied `.
fn system(rest: &str) -> Option<(&str, &str)> {
    if rest.starts_with('[') {
        return None;
    }
    let near = rest.char_indices().take_while(|(at, _)| *at < CLIENT_WITHIN).last().map_or(0, |(at, _)| at);
    let at = rest.get(..near)?.find("[client ").filter(|at| *at > 0)?;
    let (said, after) = rest.split_at_checked(at)?;
    let said = said.strip_suffix(": ").or_else(|| said.strip_suffix(' ').filter(|said| said.starts_with('(')))?;
    (said.starts_with('(') || said.contains(".c(")).then_some((said, after))
}

fn classified<'a>(text: &'a str, client: Option<Client<'a>>, event: &mut Event<'a>) {
    let (message, referrer) = cut(text, ", referer: ").map_or((text, None), |(text, referrer)| (text, Some(referrer)));
    // What the system said may stand before the code: (111)Connection refused: AH00957: …
    let coded = match message.starts_with('(') {
        true => cut(message, ": ").map_or(message, |(_, rest)| rest),
        false => message,
    };
    let code = coded.split_once(": ").map_or("", |(code, _)| code);
    if code.strip_prefix("AH").is_some_and(|digits| number(digits).is_some()) {
        event.push(Attribute::MetadataEventCode, code);
    }
    if let Some(referrer) = referrer {
        event.unmap("referrer", referrer);
    }
    if logon::parse(message, client, "httpd", event) {
        return;
    }
    let crashed = message.starts_with("child pid ") || message.contains(": child pid ");
    let stage = LIFE.iter().find(|(mark, _)| message.contains(mark)).map(|(_, activity)| *activity);
    if crashed && message.contains(" exit signal ") {
        event.severity_id = event.severity_id.max(super::WARNING);
        weighed("httpd", message, event);
    } else if let Some(activity) = stage.filter(|_| client.is_none() && event.severity_id < super::WARNING) {
        life("httpd", activity, event);
    } else if client.is_some() && REFUSED.iter().any(|words| message.contains(words)) {
        connection(5, event);
        outcome::failure(event, message);
    } else if client.is_some() && message.contains(" handshake") {
        connection(4, event);
        outcome::failure(event, message);
    } else if client.is_some() && event.severity_id < super::WARNING {
        connection(if message.contains(" established (server ") { 1 } else { 6 }, event);
        outcome::success(event);
    } else {
        weighed("httpd", message, event);
    }
    if let Some(client) = client {
        client.push(event);
    }
}
