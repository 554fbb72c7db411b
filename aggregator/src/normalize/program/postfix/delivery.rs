//! qmgr, pickup, cleanup, bounce and the delivery agents: mail on its way.

use super::super::super::outcome::{failure, success};
use super::super::super::text::{cut, number, word};
use super::{INBOUND, INTERNAL, OUTBOUND, UNKNOWN, email, push_server, queued, sender, value};
use crate::event::Event;
use crate::schema::Attribute;

/// `activity_id`: send, trace, relay.
const SEND: u8 = 1;
const TRACE: u8 = 4;
const RELAY: u8 = 5;

/// Reads a message about queued mail; false where it is about something else.
pub(super) fn parse<'a>(message: &'a str, program: &'a str, event: &mut Event<'a>) -> bool {
    let Some((id, rest)) = queued(message) else { return false };
    if rest.starts_with("to=") {
        return delivered(id, rest, program, event);
    }
    if rest.starts_with("from=") {
        return accepted(id, rest, event);
    }
    if let Some(uid) = rest.strip_prefix("uid=") {
        let Some(from) = value(rest, "from=") else { return false };
        email(event, SEND, OUTBOUND, id, sender(from));
        event.push(Attribute::ActorUserUid, word(uid).0);
        success(event);
        return true;
    }
    if let Some(message_id) = value(rest, "message-id=").filter(|_| rest.contains("message-id=")) {
        email(event, TRACE, UNKNOWN, id, "");
        event.push(Attribute::EmailMessageUid, message_id);
        success(event);
        return true;
    }
    if rest == "removed" {
        email(event, TRACE, UNKNOWN, id, "");
        success(event);
        return true;
    }
    notified(id, rest, event)
}

/// `from=<a>, size=123, nrcpt=1 (queue active)`, `from=<a>, status=expired, returned to sender`.
fn accepted<'a>(id: &'a str, rest: &'a str, event: &mut Event<'a>) -> bool {
    let Some(from) = value(rest, "from=") else { return false };
    email(event, RELAY, UNKNOWN, id, sender(from));
    if let Some(size) = value(rest, "size=").and_then(number) {
        event.push(Attribute::EmailSize, size);
    }
    if let Some(recipients) = value(rest, "nrcpt=").and_then(number) {
        event.unmap("nrcpt", recipients);
    }
    match cut(rest, "status=") {
        Some((_, status)) => failure(event, status),
        None => success(event),
    }
    true
}

/// `to=<b>, orig_to=<c>, relay=host[address]:25, delay=0.1, delays=…, dsn=2.0.0, status=sent (text)`.
fn delivered<'a>(id: &'a str, rest: &'a str, program: &'a str, event: &mut Event<'a>) -> bool {
    let (Some(to), Some((head, status))) = (value(rest, "to="), cut(rest, ", status=")) else { return false };
    let direction = match program {
        "smtp" | "relay" => OUTBOUND,
        "lmtp" => INBOUND,
        "local" | "virtual" | "pipe" => INTERNAL,
        _ => UNKNOWN,
    };
    email(event, SEND, direction, id, "");
    event.push(Attribute::EmailTo, to);
    if let Some(original) = value(head, "orig_to=") {
        event.unmap("orig_to", original);
    }
    if let Some((_, relay)) = cut(head, "relay=") {
        let relay = cut(relay, ", ").map_or(relay, |(relay, _)| relay);
        if push_server(event, relay).is_none() {
            event.unmap("relay", relay);
        }
    }
    if let Some(seconds) = value(head, " delay=").and_then(|delay| delay.parse::<f64>().ok()) {
        let ms = (seconds * 1000.0).round();
        if (0.0..1e12).contains(&ms) {
            #[expect(clippy::cast_possible_truncation, reason = "checked to lie within i64 on the line above")]
            event.push(Attribute::Duration, ms as i64);
        }
    }
    if let Some(dsn) = value(head, "dsn=") {
        event.push(Attribute::StatusCode, dsn);
    }
    let (status, text) = word(status);
    event.unmap("delivery_status", status);
    let text = text.strip_prefix('(').map_or(text, |text| text.strip_suffix(')').unwrap_or(text));
    if matches!(status, "sent" | "deliverable") {
        success(event);
        if !text.is_empty() {
            event.push(Attribute::StatusDetail, text);
        }
    } else {
        failure(event, text);
    }
    true
}

/// `host h[address] said: 450 4.7.1 text`, `sender non-delivery notification: ID2`, `info: header Subject: …`, `lost connection with h[address] while …`.
fn notified<'a>(id: &'a str, rest: &'a str, event: &mut Event<'a>) -> bool {
    let server = rest
        .strip_prefix("host ")
        .or_else(|| rest.strip_prefix("lost connection with "))
        .or_else(|| cut(rest, "timed out with ").map(|(_, rest)| rest));
    let server =
        server.or_else(|| cut(rest, " for ").filter(|_| rest.starts_with("enabling PIX")).map(|(_, rest)| rest));
    if let Some(server) = server {
        email(event, SEND, OUTBOUND, id, "");
        let Some(text) = push_server(event, server) else { return false };
        let text = text.trim_start().strip_prefix("said: ").unwrap_or(text.trim_start());
        if let Some(code) = number(word(text).0) {
            event.push(Attribute::StatusCode, code.to_string());
        }
        failure(event, text);
        return true;
    }
    if let Some((kind, new)) = cut(rest, " notification: ") {
        email(event, SEND, INTERNAL, id, "");
        event.unmap("notification", kind);
        event.unmap("notification_queue_id", new);
        success(event);
        return true;
    }
    if let Some((_, subject)) = cut(rest, "header Subject: ") {
        let end = subject.find(" from ").unwrap_or(subject.len());
        email(event, TRACE, UNKNOWN, id, value(rest, "; from=").map_or("", sender));
        event.push(Attribute::EmailSubject, subject.get(..end).unwrap_or(subject));
        if let Some(to) = value(rest, " to=") {
            event.push(Attribute::EmailTo, to);
        }
        success(event);
        return true;
    }
    false
}
