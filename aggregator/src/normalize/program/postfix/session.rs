//! smtpd, postscreen, tlsproxy, smtp: who connected, logged on, broke off or was refused.

use super::super::super::endpoint::{ip, push_source};
use super::super::super::outcome::{Control, controlled, failure, success};
use super::super::super::syslog::Header;
use super::super::super::text::{cut, last, number, word};
use super::{INBOUND, connection, email, push_client, push_server, queued, sender, value};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Words behind a queue id that say what was done about a command, and whether it was refused.
const VERDICTS: [(&str, bool); 12] = [
    ("reject", true),
    ("milter-reject", true),
    ("reject_warning", false),
    ("hold", true),
    ("milter-hold", true),
    ("discard", true),
    ("milter-discard", true),
    ("filter", false),
    ("redirect", false),
    ("prepend", false),
    ("warn", false),
    ("bcc", false),
];

/// Reads a message about a connection; false where it is about something else.
pub(super) fn parse<'a>(message: &'a str, program: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some((id, rest)) = queued(message) {
        return verdict(id, rest, event) || client(id, rest, header, event);
    }
    let message = message.strip_prefix("warning: ").unwrap_or(message);
    if program == "postscreen" || program == "tlsproxy" {
        return screened(message, event) || tls(message, event);
    }
    sasl(message, header, event) || tls(message, event) || outgoing(message, event) || incoming(message, event)
}

/// `reject: RCPT from host[address]: 554 5.7.1 <…>: text; from=<> to=<> proto=ESMTP helo=<h>`.
fn verdict<'a>(id: &'a str, rest: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verdict, rest)) = cut(rest, ": ") else { return false };
    let Some(&(_, refused)) = VERDICTS.iter().find(|(name, _)| *name == verdict) else { return false };
    let Some((command, rest)) = cut(rest, " from ") else { return false };
    let about =
        last(rest, "; from=<").or_else(|| last(rest, "; proto=")).and_then(|at| rest.get(at..)).unwrap_or_default();
    let to = value(about, " to=<").is_some().then(|| value(about, " to=")).flatten().filter(|to| !to.is_empty());
    match value(about, " from=") {
        Some(from) => {
            email(event, 2, INBOUND, id, sender(from));
            event.push(Attribute::FtpCommand, command);
            if let Some(protocol) = value(about, "proto=") {
                event.push(Attribute::EmailProtocolName, protocol);
            }
        }
        None => {
            connection(event, 5);
            event.unmap("command", command);
        }
    }
    if let Some(helo) = value(about, "helo=").filter(|helo| !helo.is_empty()) {
        event.unmap("smtp_hello", helo);
    }
    if let (Some(to), Class::EmailActivity) = (to, event.class) {
        event.push(Attribute::EmailTo, to);
    }
    let Some(rest) = push_client(event, rest) else { return false };
    let text = rest.trim_start_matches([':', ' ']);
    let text = text.get(..text.len().saturating_sub(about.len())).unwrap_or(text);
    let (code, tail) = word(text);
    if number(code).is_some() || code.contains('.') {
        event.push(Attribute::StatusCode, code);
        let (enhanced, reason) = word(tail);
        let dsn = enhanced.split('.').filter(|part| number(part).is_some()).count() == 3;
        if dsn {
            event.unmap("dsn", enhanced);
        }
        ended(refused, if dsn { reason } else { tail }, event);
    } else {
        ended(refused, text, event);
    }
    true
}

fn ended<'a>(refused: bool, reason: &'a str, event: &mut Event<'a>) {
    if refused {
        controlled(event, Control::Rejected);
        failure(event, reason);
    } else {
        controlled(event, Control::Observed);
        success(event);
        event.push(Attribute::StatusDetail, reason);
    }
}

/// `client=host[address], sasl_method=PLAIN, sasl_username=u`.
fn client<'a>(id: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(client) = rest.strip_prefix("client=") else { return false };
    match value(rest, "sasl_username=") {
        Some(user) => logon(user, value(rest, "sasl_method="), header, event),
        None => connection(event, 6),
    }
    event.unmap("queue_id", id);
    success(event);
    push_client(event, client).is_some()
}

fn logon<'a>(user: &'a str, method: Option<&'a str>, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, header.program);
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
    if let Some(method) = method {
        event.push(Attribute::AuthProtocolId, 99);
        event.push(Attribute::AuthProtocol, method);
    }
}

/// `host[address]: SASL LOGIN authentication failed: reason, sasl_username=u`.
fn sasl<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((client, rest)) = cut(message, ": SASL ") else { return false };
    let (method, rest) = word(rest);
    let Some((outcome, reason)) = rest.strip_prefix("authentication ").map(word) else { return false };
    let user = value(reason, "sasl_username=").unwrap_or_default();
    logon(user, Some(method), header, event);
    let reason = cut(reason, ", sasl_username=").map_or(reason, |(reason, _)| reason);
    if outcome.starts_with("succe") {
        success(event)
    } else {
        failure(event, reason)
    }
    push_client(event, client).is_some()
}

/// `[Anonymous|Trusted|…] TLS connection established from|to host[address]: TLSv1.3 with cipher C (256/256 bits)`.
fn tls<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((_, rest)) = cut(message, "TLS connection established ") else { return false };
    connection(event, 1);
    let tail = match rest.strip_prefix("from ") {
        Some(client) => push_client(event, client),
        None => rest.strip_prefix("to ").and_then(|server| push_server(event, server)),
    };
    let Some((version, rest)) = tail.and_then(|tail| tail.strip_prefix(": ")).map(word) else { return false };
    event.push(Attribute::TlsVersion, version);
    if let Some(cipher) = value(rest, "with cipher ") {
        event.push(Attribute::TlsCipher, cipher);
    }
    success(event);
    true
}

/// `connect to host[address]:25: Connection timed out`.
fn outgoing<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let server = message
        .strip_prefix("connect to ")
        .or_else(|| message.strip_prefix("SSL_connect error to "))
        .or_else(|| message.strip_prefix("host "))
        .or_else(|| cut(message, "certificate verification failed for ").map(|(_, rest)| rest));
    let Some(server) = server else { return false };
    connection(event, 4);
    let Some(rest) = push_server(event, server) else { return false };
    failure(event, rest.trim_start_matches([':', ' ']));
    true
}

/// What a client did, and to which activity it amounts: with its outcome.
const DEEDS: [(&str, u8, bool); 11] = [
    ("connect from ", 1, true),
    ("setting up TLS connection from ", 1, true),
    ("disconnect from ", 2, true),
    ("lost connection after ", 3, false),
    ("timeout after ", 4, false),
    ("too many errors after ", 4, false),
    ("improper command pipelining after ", 4, false),
    ("SSL_accept error from ", 4, false),
    ("non-SMTP command from ", 4, false),
    ("Connection rate limit exceeded: ", 5, false),
    ("Connection concurrency limit exceeded: ", 5, false),
];

/// What a client did; a name that does not lead back to its address.
fn incoming<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((name, rest)) = message.strip_prefix("hostname ").map(word)
        && let Some((_, rest)) = cut(rest, "address ")
    {
        let (address, reason) = cut(rest, ": ").unwrap_or((rest, "does not resolve to address"));
        let Some(address) = ip(address) else { return false };
        connection(event, 6);
        event.push(Attribute::SrcEndpointHostname, name);
        failure(event, reason);
        return push_source(event, address, None);
    }
    let Some(&(deed, activity, well)) = DEEDS.iter().find(|(deed, ..)| message.starts_with(deed)) else { return false };
    let Some(rest) = message.strip_prefix(deed) else { return false };
    connection(event, activity);
    let (stage, client) = if deed.ends_with("after ") { cut(rest, " from ").unwrap_or(("", rest)) } else { ("", rest) };
    let client = cut(client, " from ").filter(|_| deed.starts_with("Connection ")).map_or(client, |(_, client)| client);
    let Some(rest) = push_client(event, client) else { return false };
    if !stage.is_empty() {
        event.unmap("after", stage);
    }
    let detail = rest.trim_start_matches([':', ' ']);
    if well {
        success(event);
        for pair in detail.split(' ').filter_map(|pair| pair.split_once('=')).take(16) {
            event.unmap(pair.0, pair.1);
        }
    } else {
        failure(
            event,
            if detail.is_empty() { deed.trim_end_matches(" after ").trim_end_matches(" from ") } else { detail },
        );
    }
    true
}

/// A peer that a message names anywhere: `Illegal address syntax from host[address] in MAIL command: text`,
/// `host[address] sent non-SMTP command instead of RCPT`, `numeric hostname: address`,
/// `ID: replace: header … from host[address]; from=<>`, `ID: conversation with host[address] timed out`.
pub(super) fn named<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let warning = message.strip_prefix("warning: ");
    let text = warning.unwrap_or(message);
    connection(event, if warning.is_some() { 4 } else { 6 });
    let at = text.find('[').map_or(0, |at| text.get(..at).and_then(|head| head.rfind(' ')).map_or(0, |at| at + 1));
    let known = match text.strip_prefix("numeric hostname: ") {
        Some(address) => push_source(event, address, None),
        None if cut(text, "conversation with ").is_some() => {
            text.get(at..).and_then(|server| push_server(event, server)).is_some()
        }
        None => text.get(at..).and_then(|client| push_client(event, client)).is_some(),
    };
    if let Some((id, _)) = queued(text) {
        event.unmap("queue_id", id);
    }
    if warning.is_some() || cut(text, " timed out").is_some() {
        failure(event, text);
    } else {
        success(event);
    }
    known && event.value(Attribute::SrcEndpointIp).or_else(|| event.value(Attribute::DstEndpointIp)).is_some()
}

/// `CONNECT from [A]:p to [B]:p`, `PASS NEW [A]:p`, `PREGREET n after t from [A]:p: text`, `HANGUP after t from [A]:p in tests …`, `DNSBL rank n for [A]:p`, `DISCONNECT [A]:p`.
fn screened<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(message);
    let (activity, well) = match verb {
        "CONNECT" => (1, true),
        "DISCONNECT" => (2, true),
        "PASS" | "ALLOWLISTED" | "WHITELISTED" | "ALLOWLIST" | "WHITELIST" => (6, true),
        "DNSBL" | "DENYLISTED" | "BLACKLISTED" => (6, false),
        "HANGUP" => (3, false),
        "PREGREET" | "BARE" | "NON-SMTP" | "COMMAND" | "DATA" => (4, false),
        _ => return false,
    };
    let Some(at) = rest.find('[') else { return false };
    connection(event, activity);
    let Some(tail) = rest.get(at..).and_then(|client| push_client(event, client)) else { return false };
    if let Some(server) = tail.strip_prefix(" to ") {
        push_server(event, server);
    }
    let verdict = rest.get(..at).unwrap_or_default().trim();
    if verdict.len() > 4 || verb == "PASS" {
        event.unmap("verdict", verdict);
    }
    if well {
        success(event);
    } else {
        failure(event, verb);
    }
    true
}
