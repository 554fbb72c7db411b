//! What Fortinet's other devices say in the words of a FortiGate: FortiMail (mail 4009, its own events), FortiDDoS (2004) and
//! FortiAuthenticator (3002).
//!
//! Source: Fortinet, FortiMail Log Message Reference 7.4; FortiDDoS-F Handbook, "Syslog"; FortiAuthenticator Log Reference.

use super::super::endpoint::push_source;
use super::super::formats::MARK_LEN_MAX;
use super::super::outcome::{Control, controlled, failure, success};
use super::super::pairs::pairs;
use super::super::remark;
use super::super::text::{cut, head, level, number};
use super::Keys;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most recipients of a mail that are read.
const RECIPIENTS_MAX: u16 = 64;

/// A mail that a FortiMail took, or what its scanners found: `from`, `to`, `client_ip`, `direction`, `disposition`.
pub(super) fn mail<'a>(keys: &Keys<'a>, event: &mut Event<'a>) -> bool {
    let (Some(from), disposition) = (keys.find("from"), keys.find("disposition").unwrap_or_default()) else {
        return false;
    };
    event.class = Class::EmailActivity;
    event.activity_id = if keys.find("type") == Some("statistics") { 1 } else { 3 };
    event.push(Attribute::EmailFrom, from);
    let recipients = keys.find("to").unwrap_or_default().split([',', ';', ' ']).filter(|to| !to.is_empty());
    for (index, recipient) in (0..RECIPIENTS_MAX).zip(recipients) {
        event.push_at(Attribute::EmailTo, index, recipient);
    }
    let direction = match keys.find("direction") {
        Some("in") => 1,
        Some("out") => 2,
        _ => 0,
    };
    event.push(Attribute::EmailDirectionId, direction);
    for (attribute, name) in [
        (Attribute::EmailSubject, "subject"),
        (Attribute::EmailMessageUid, "message_id"),
        (Attribute::EmailMessageTraceUid, "session_id"),
    ] {
        if let Some(value) = keys.find(name) {
            event.push(attribute, value);
        }
    }
    if let Some(size) = keys.find("message_length").and_then(number) {
        event.push(Attribute::EmailSize, size);
    }
    if let Some(client) = keys.any(&["client_ip", "client_name"]) {
        push_source(event, client, None);
    }
    let refused =
        ["Reject", "Discard", "Quarantine", "Defer", "Delay"].iter().any(|word| cut(disposition, word).is_some());
    if refused {
        controlled(event, Control::Blocked);
        failure(event, disposition);
    } else {
        controlled(event, Control::Allowed);
        success(event);
    }
    true
}

/// Whether a text is a FortiAuthenticator's: `category="Event" subcategory="…" typeid=… `.
pub(super) fn is_authenticator(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with("category=\"") && cut(head(text, MARK_LEN_MAX), " typeid=").is_some()
}

/// What a FortiAuthenticator says of a logon: `user="u" nas="A" action="Authentication" status="Failed" …`, and in words behind
/// the keys what became of it.
pub(super) fn authenticator<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    event.push(Attribute::MetadataLogFormat, "fortiauthenticator");
    let (mut user, mut status, mut action) = ("", "", "");
    for pair in pairs(text) {
        let Some(value) = pair.value else { break };
        match pair.key {
            "user" => user = value,
            "status" => status = value,
            "action" => action = value,
            "typeid" => event.push(Attribute::MetadataEventCode, value),
            "level" => event.severity_id = level(value).unwrap_or(event.severity_id),
            "userip" => event.unmap("src_ip", value),
            _ => {}
        }
        if !value.is_empty() && !matches!(pair.key, "user" | "typeid" | "level" | "userip") {
            event.unmap(pair.key, value);
        }
    }
    let said = text.rsplit_once('"').map_or("", |(_, said)| said.trim());
    event.push(Attribute::Message, if said.is_empty() { text.trim_start() } else { said });
    if user.is_empty() || !matches!(action, "Authentication" | "Login" | "Logout") {
        return remark::report("FortiAuthenticator", event);
    }
    event.class = Class::Authentication;
    event.activity_id = if action == "Logout" { 2 } else { 1 };
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "FortiAuthenticator");
    event.push(Attribute::IsRemote, true);
    match status {
        "Failed" => failure(event, said),
        "Success" => success(event),
        // A challenge is under way.
        _ => {}
    }
    true
}
