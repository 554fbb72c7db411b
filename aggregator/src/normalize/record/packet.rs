//! What a record of the network says besides its own words: outcome, captions, a line for people.

use std::borrow::Cow;

use super::message;
use super::takes::{OTHER, is_mac};
use crate::event::{Event, Value};
use crate::normalize::endpoint;
use crate::normalize::outcome::LOW;
use crate::schema::{Attribute, Class};

/// The port of a DHCP client (RFC 2131 §4.1).
const DHCP_CLIENT_PORT: i64 = 68;

/// Gives attributes to what agents keep under names of their own.
pub(super) fn rename(event: &mut Event<'_>) {
    match event.class {
        Class::DhcpActivity => dhcp_client(event),
        Class::HttpActivity => forwarded_for(event),
        _ => {}
    }
}

/// The client's address and names, to the end that is the client; behind a relay neither end is.
fn dhcp_client(event: &mut Event<'_>) {
    let is_client = |port| event.value(port) == Some(&Value::Int(DHCP_CLIENT_PORT));
    let [mac, hostname, domain] = match (is_client(Attribute::SrcEndpointPort), is_client(Attribute::DstEndpointPort)) {
        (true, _) => [Attribute::SrcEndpointMac, Attribute::SrcEndpointHostname, Attribute::SrcEndpointDomain],
        (false, true) => [Attribute::DstEndpointMac, Attribute::DstEndpointHostname, Attribute::DstEndpointDomain],
        (false, false) => return,
    };
    move_text(event, "client_mac", mac, is_mac);
    move_text(event, "client_hostname", hostname, |name| !name.is_empty());
    move_text(event, "domain", domain, |name| !name.is_empty());
}

/// Moves a text of `unmapped` to its attribute, where it fits and nothing stands there.
fn move_text(event: &mut Event<'_>, key: &str, to: Attribute, fits: impl Fn(&str) -> bool) {
    let fits = |value: &Value<'_>| matches!(value, Value::Text(text) if fits(text));
    let at = event.unmapped.iter().position(|(name, value)| name == key && fits(value));
    if let Some(at) = at.filter(|_| event.value(to).is_none()) {
        let (_, value) = event.unmapped.remove(at);
        event.push(to, value);
    }
}

/// `X-Forwarded-For`, if all of it are addresses.
fn forwarded_for(event: &mut Event<'_>) {
    const MOST: usize = 64;
    let Some(at) = event.unmapped.iter().position(|(name, _)| name == "x_forwarded_for") else { return };
    let Some((_, Value::Text(text))) = event.unmapped.get(at) else { return };
    let each = text.split(',').map(|one| {
        let one = one.trim_matches([' ', '\t']);
        endpoint::ip(one).filter(|ip| *ip == one).map(str::to_owned)
    });
    let Some(addresses) = each.take(MOST + 1).collect::<Option<Vec<_>>>() else { return };
    let is_set = event.value(Attribute::HttpRequestForwardedFor).is_some();
    if is_set || addresses.len() > MOST {
        return;
    }
    event.unmapped.remove(at);
    for (index, address) in (0..).zip(addresses) {
        event.push_at(Attribute::HttpRequestForwardedFor, index, address);
    }
}

/// Says how it ended, in numbers, captions and a line.
pub(super) fn describe(event: &mut Event<'_>) {
    outcome(event);
    for (id, word) in CAPTIONED {
        if let Some(Value::Int(number)) = event.value(id)
            && let Some(caption) = caption(id, *number).filter(|_| event.value(word).is_none())
        {
            event.push(word, caption);
        }
    }
    if event.value(Attribute::Message).is_none() {
        let message = message::of(event);
        event.push(Attribute::Message, message);
    }
}

/// Numbers and the attributes of their captions.
const CAPTIONED: [(Attribute, Attribute); 3] = [
    (Attribute::ConnectionDirectionId, Attribute::ConnectionDirection),
    (Attribute::RcodeId, Attribute::Rcode),
    (Attribute::NtpStratumId, Attribute::NtpStratum),
];

/// What OCSF calls a number; nothing for 0, "unknown", but where that is an answer.
const fn caption(id: Attribute, number: i64) -> Option<&'static str> {
    Some(match (id, number) {
        (Attribute::ConnectionDirectionId, 1) => "Inbound",
        (Attribute::ConnectionDirectionId, 2) => "Outbound",
        (Attribute::ConnectionDirectionId, 3) => "Lateral",
        (Attribute::ConnectionDirectionId, 4) => "Local",
        (Attribute::RcodeId, 0) => "NoError",
        (Attribute::RcodeId, 1) => "FormError",
        (Attribute::RcodeId, 2) => "ServError",
        (Attribute::RcodeId, 3) => "NXDomain",
        (Attribute::RcodeId, 4) => "NotImp",
        (Attribute::RcodeId, 5) => "Refused",
        (Attribute::NtpStratumId, 1) => "Primary Server",
        (Attribute::NtpStratumId, 2) => "Secondary Server",
        (Attribute::NtpStratumId, 16) => "Unsynchronized",
        (Attribute::NtpStratumId, 17) => "Reserved",
        _ => return None,
    })
}

/// `status_id`, its caption and code, where the record does not say them.
fn outcome(event: &mut Event<'_>) {
    const SUCCESS: i64 = 1;
    const FAILURE: i64 = 2;
    let number = |attribute| match event.value(attribute) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let by = |failed: bool| Some(if failed { FAILURE } else { SUCCESS });
    let said = number(Attribute::StatusId);
    let mut code = None;
    let found = match (event.class, event.activity_id) {
        (Class::HttpActivity, _) => {
            code = number(Attribute::HttpResponseCode);
            code.and_then(|code| by(code >= 400))
        }
        (Class::DnsActivity, _) => number(Attribute::RcodeId).and_then(|rcode| by(rcode != 0)),
        (Class::NetworkActivity | Class::SshActivity, 4 | 5) | (Class::DhcpActivity, 4 | 6) => by(true),
        (Class::NetworkActivity | Class::SshActivity, 2) | (Class::DhcpActivity, 5) => by(false),
        _ => None,
    };
    if event.class == Class::HttpActivity && code.is_some_and(|code| code >= 500) {
        event.severity_id = event.severity_id.max(LOW);
    }
    if let Some(code) = code.filter(|_| event.value(Attribute::StatusCode).is_none()) {
        event.push(Attribute::StatusCode, code.to_string());
    }
    let Some(status) = said.or(found) else { return };
    if said.is_none() {
        event.push(Attribute::StatusId, status);
    }
    if status != OTHER && event.value(Attribute::Status).is_none() {
        let caption = match status {
            SUCCESS => "Success",
            FAILURE => "Failure",
            _ => "Unknown",
        };
        event.push(Attribute::Status, Cow::Borrowed(caption));
    }
}
