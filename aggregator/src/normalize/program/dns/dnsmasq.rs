//! dnsmasq: `log-queries` and what it reports beside (4003).
//!
//! `[SERIAL [ADDRESS/PORT ]]query[A] NAME from ADDRESS`, `forwarded NAME to ADDRESS`, `reply|cached|config|… NAME is ANSWER`. An answer
//! names no peer: its source of the event is the server. Source: dnsmasq 2.90, src/cache.c (log_query).

use std::borrow::Cow;

use super::super::super::attempt;
use super::super::super::endpoint::{self, push_destination, push_source};
use super::super::super::outcome::{Control, controlled, failure, success};
use super::super::super::remark::remark;
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, last_cut, number, port, word};
use super::{QUERY, RESPONSE, lifecycle, push_rcode, question};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(version) = message.strip_prefix("started, version ") {
        return lifecycle(event, "dnsmasq", 3, Some(word(version).0));
    }
    if message.starts_with("exiting on receipt of SIGTERM") {
        return lifecycle(event, "dnsmasq", 4, None);
    }
    // log-queries=extra: a serial number and the client before the rest.
    let (serial, rest) = match word(message) {
        (first, rest) if number(first).is_some() => (Some(first), rest),
        _ => (None, message),
    };
    let (client, rest) = match word(rest) {
        (first, after) if serial.is_some() && first.contains('/') => (first.split_once('/'), after),
        _ => (None, rest),
    };
    if !attempt(|rest, client, event| said(rest, *client, header, event), rest, &client, event) {
        return remark("dnsmasq", message, event);
    }
    if let Some(serial) = serial {
        event.unmap("serial", serial);
    }
    true
}

fn said<'a>(rest: &'a str, client: Option<(&'a str, &'a str)>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some((kind, tail)) =
        rest.strip_prefix("query[").or_else(|| rest.strip_prefix("auth[")).and_then(|rest| cut(rest, "] "))
    {
        let Some((name, source)) = cut(tail, " from ") else { return false };
        question(event, QUERY, name, "", "");
        if !name.is_empty() {
            event.push(Attribute::QueryType, record_type(kind));
        }
        push_destination(event, header.this_host(), None);
        success(event);
        return push_source(event, word(source).0, client.and_then(|(_, number)| port(number)));
    }
    if let Some(name) = rest.strip_prefix("possible DNS-rebind attack detected: ") {
        question(event, RESPONSE, name, "", "");
        controlled(event, Control::Blocked);
        failure(event, "possible DNS-rebind attack");
        return push_destination(event, header.this_host(), None);
    }
    if let Some(network) = rest.strip_prefix("ignoring query from non-local network ") {
        event.class = Class::NetworkActivity;
        event.activity_id = 5;
        event.push(Attribute::AppProtocolName, "dns");
        push_destination(event, header.this_host(), None);
        failure(event, "non-local network");
        return push_source(event, word(network).0, None);
    }
    let upstream = rest.strip_prefix("forwarded ").map(|rest| ("", rest));
    if let Some((kind, tail)) = upstream.or_else(|| dnssec(rest)) {
        let Some((name, server)) = cut(tail, " to ") else { return false };
        question(event, QUERY, name, kind, "");
        success(event);
        let (address, number) = server.split_once('#').unwrap_or((server, ""));
        event.unmap("forwarded", true);
        if let Some((client, number)) = client {
            push_source(event, client, port(number));
        }
        return push_destination(event, word(address).0, port(number));
    }
    let Some((before, answer)) = rest.rsplit_once(" is ") else { return false };
    let Some((origin, name)) = before.rsplit_once(' ') else { return false };
    // The result of a validation that names nothing is told with the answer.
    let validated = origin == "validation";
    if origin.len() > 64 || name.is_empty() || origin.contains(": ") || origin.ends_with(':') {
        return false;
    }
    if validated && name == "result" {
        return false;
    }
    // `reply error is SERVFAIL`: the name stood in the line before.
    let is_nameless = origin == "reply" && name == "error";
    question(event, RESPONSE, if is_nameless { "" } else { name }, "", "");
    event.unmap("answered_by", origin);
    match client {
        Some((address, number)) => push_source(event, address, port(number)),
        None => push_destination(event, header.this_host(), None),
    };
    match answer {
        "SECURE" | "INSECURE" if validated => success(event),
        _ if validated => failure(event, answer),
        _ => answered(origin, answer, event),
    }
    event.value(Attribute::DstEndpointHostname).is_some()
        || event.value(Attribute::DstEndpointIp).is_some()
        || event.value(Attribute::SrcEndpointIp).is_some()
}

/// `192.0.2.1`, `<CNAME>`, `NXDOMAIN`, `NODATA-IPv6`, `SECURE`; a block list's answer is a refusal.
fn answered<'a>(origin: &'a str, answer: &'a str, event: &mut Event<'a>) {
    let code = answer.split(['-', ' ']).next().unwrap_or(answer);
    if code == "NODATA" {
        push_rcode(event, "NOERROR");
        event.unmap("answer", answer);
    } else if !push_rcode(event, code) {
        push_rcode(event, "NOERROR");
        event.push(Attribute::AnswersRdata, answer.trim_matches(['<', '>']));
    }
    if ["blocked", "blacklisted", "denied"].iter().any(|word| origin.contains(word)) {
        controlled(event, Control::Blocked);
        event.push(Attribute::FirewallRuleName, origin);
    }
}

/// Reads a message of its TFTP server: `sent F to A`, `failed sending F to A`, `file F not found for A`, `error N TEXT received
/// from A` (4001).
pub(crate) fn parse_tftp<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let sent = message.strip_prefix("sent ");
    let peer = [" to ", " for ", " from "].iter().find_map(|mark| last_cut(message, mark)).map(|(_, peer)| peer);
    let Some(client) = peer.filter(|peer| endpoint::ip(peer).is_some()) else {
        return remark("dnsmasq-tftp", message, event);
    };
    event.class = Class::NetworkActivity;
    event.activity_id = 6;
    push_source(event, client, None);
    push_destination(event, header.this_host(), None);
    event.push(Attribute::AppProtocolName, "tftp");
    let path = message.split(' ').find(|word| word.starts_with('/'));
    if let Some(path) = path {
        event.unmap("path", path);
    }
    if sent.is_some() {
        success(event);
    } else {
        failure(event, message);
    }
    true
}

/// The types that dnsmasq writes as numbers (`type=65`), by the registry of the IANA.
const TYPES: [(&str, &str); 5] =
    [("64", "SVCB"), ("65", "HTTPS"), ("61", "OPENPGPKEY"), ("256", "URI"), ("257", "CAA")];

/// `A`, or of `type=65` the name of the type; `TYPE65` (RFC 3597 §5) where it has none here.
fn record_type(kind: &str) -> Cow<'_, str> {
    let Some(digits) = kind.strip_prefix("type=") else { return Cow::Borrowed(kind) };
    match TYPES.iter().find(|(number, _)| *number == digits) {
        Some((_, name)) => Cow::Borrowed(*name),
        None => Cow::Owned(format!("TYPE{digits}")),
    }
}

/// `dnssec-query[DS] `, `dnssec-retry[DS] `: the type, and what follows.
fn dnssec(text: &str) -> Option<(&str, &str)> {
    between(text.strip_prefix("dnssec-")?, "[", "] ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn queries_and_answers_are_read() {
        for (message, kind, at, value) in [
            ("query[AAAA] a.example from 192.0.2.1", 400_301, "/src_endpoint/ip", json!("192.0.2.1")),
            ("query[type=65] a.example from 192.0.2.1", 400_301, "/query/type", json!("HTTPS")),
            ("query[type=999] a.example from 192.0.2.1", 400_301, "/query/type", json!("TYPE999")),
            ("17 192.0.2.1/5353 forwarded a.example to 192.0.2.53", 400_301, "/src_endpoint/port", json!(5353)),
            ("17 192.0.2.1/5353 query[A] a.example from 192.0.2.1", 400_301, "/src_endpoint/port", json!(5353)),
            ("forwarded a.example to 198.51.100.53", 400_301, "/dst_endpoint/ip", json!("198.51.100.53")),
            ("reply a.example is 192.0.2.9", 400_302, "/answers/0/rdata", json!("192.0.2.9")),
            ("17 192.0.2.1/5353 reply a.example is <CNAME>", 400_302, "/answers/0/rdata", json!("CNAME")),
            ("cached a.example is NXDOMAIN", 400_302, "/rcode_id", json!(3)),
            ("config a.example is NODATA-IPv6", 400_302, "/rcode_id", json!(0)),
            ("gravity blocked a.example is 0.0.0.0", 400_302, "/disposition_id", json!(2)),
            ("/etc/hosts a.example is 192.0.2.7", 400_302, "/unmapped/answered_by", json!("/etc/hosts")),
            ("validation a.example is BOGUS", 400_302, "/status_id", json!(2)),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 gw dnsmasq[9]: {message}"));
            assert_eq!(event["type_uid"], kind, "{message}");
            assert_eq!(event["query"]["hostname"], "a.example", "{message}");
            assert_eq!(event.pointer(at), Some(&value), "{message}");
        }
        let event = normalized("Mar 16 10:00:00 gw dnsmasq[9]: reply error is SERVFAIL");
        assert_eq!(
            (&event["type_uid"], &event["query"], &event["rcode_id"]),
            (&json!(400_302), &json!(null), &json!(2))
        );
        assert_eq!(normalized("Mar 16 10:00:00 gw dnsmasq[9]: validation result is SECURE")["type_uid"], 600_299);
    }
}
