//! BIND: queries, refusals, response policy, transfers, updates, lookups that failed (4003), the service (6002, 6008).
//!
//! `[TIME ][CATEGORY: ][SEVERITY: ]client [@0x…] ADDRESS#PORT[/key K] [(NAME)]: [view V: ]TEXT`, in a file or behind a syslog
//! header. Source: BIND 9.20, lib/ns/client.c (ns_client_logv), lib/ns/query.c (log_query, log_queryerror), lib/ns/xfrout.c.

mod answer;
mod peer;

use super::super::super::endpoint::{push_destination, push_source};
use super::super::super::outcome::{Control, LOW, controlled, failure, success};
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, head, level, number, port, unquoted, word};
use super::super::super::timestamp::{self, Stamp};
use super::super::super::{Context, attempt, remark::remark, timestamp::Reference};
use super::{NOTIFY, QUERY, RESPONSE, UPDATE, lifecycle, push_rcode, question};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a line may be one of BIND's own files.
pub(crate) fn looks(text: &str) -> bool {
    let head = head(text, 96);
    let dated = matches!(text.as_bytes().get(2), Some(b'-')) || matches!(text.as_bytes().get(1), Some(b'-'));
    dated
        || text.starts_with("client ")
        || (cut(head, "client ").is_some() && cut(head, "#").is_some())
        || category(text).is_some()
}

/// Reads a line of a file.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let (stamp, rest) = stamp(text, context.reference);
    if stamp.is_none() && !text.starts_with("client ") && category(text).is_none() {
        return false;
    }
    if let Some(stamp) = stamp {
        stamp.apply(event);
    }
    event.push(Attribute::MetadataLogProvider, "named");
    event.push(Attribute::MetadataLogFormat, "bind");
    // Tomcat has the same time, and levels in capitals behind it.
    let shouted = level(word(rest).0).is_some() && rest.starts_with(|c: char| c.is_ascii_uppercase());
    let dated = !shouted && (text.as_bytes().get(2) == Some(&b'-') || text.as_bytes().get(1) == Some(&b'-'));
    let understood = said(rest, dated, event);
    event.push(Attribute::Message, rest);
    understood
}

/// Reads a message of syslog, with BIND's own time inside or without.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.strip_prefix("infoblox-responses: ").unwrap_or(message);
    let (stamp, rest) = stamp(message, header.context.reference);
    said(rest, true, event);
    if let Some(stamp) = stamp {
        event.time = stamp.time;
        event.set(Attribute::MetadataOriginalTime, stamp.text);
    }
    true
}

fn stamp(text: &str, reference: Reference) -> (Option<Stamp<'_>>, &str) {
    match timestamp::day_month_year(text, reference).or_else(|| timestamp::iso(text, reference)) {
        Some((stamp, rest)) => (Some(stamp), rest.trim_start()),
        None => (None, text),
    }
}

/// The categories of BIND's manual.
const CATEGORIES: [&str; 24] = [
    "queries",
    "query-errors",
    "responses",
    "serve-stale",
    "security",
    "client",
    "rpz",
    "rpz-passthru",
    "rate-limit",
    "general",
    "default",
    "resolver",
    "lame-servers",
    "xfer-in",
    "xfer-out",
    "notify",
    "update",
    "update-security",
    "dnssec",
    "edns-disabled",
    "network",
    "config",
    "zoneload",
    "database",
];

/// `queries: ` before the rest.
fn category(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = cut(text, ": ")?;
    CATEGORIES.contains(&name).then_some((name, rest))
}

fn said<'a>(text: &'a str, is_own: bool, event: &mut Event<'a>) -> bool {
    let mut rest = text;
    let mut about = "";
    if let Some((name, after)) = category(rest) {
        about = name;
        rest = after;
    }
    if let Some((word, after)) = cut(rest, ": ")
        && let Some(severity) =
            level(word.strip_prefix("debug ").filter(|n| number(n).is_some()).map_or(word, |_| "debug"))
    {
        event.severity_id = severity;
        event.push(Attribute::MetadataLogLevel, word);
        rest = after;
    }
    if !about.is_empty() {
        event.unmap("category", about);
    }
    let about_others = |rest: &'a str, (): &(), event: &mut Event<'a>| match rest.strip_prefix("client ") {
        Some(client) => from_client(client, event),
        None => {
            peer::transfer(rest, event)
                || peer::zone(rest, event)
                || peer::limited(rest, event)
                || peer::resolving(rest, event)
                || validating(rest, event)
                || service(rest, event)
        }
    };
    attempt(about_others, rest, &(), event) || (is_own && remark("named", rest, event))
}

/// `[@0x…] ADDRESS#PORT[/key K] [(NAME)]: [view V: ]TEXT`.
fn from_client<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let text = if text.starts_with('@') { word(text).1 } else { text };
    let end = text.find([' ', ':']).unwrap_or(text.len());
    // The colons of an IPv6 address stand before the `#`.
    let end = text.find('#').map_or(end, |hash| {
        hash + text.get(hash..).and_then(|tail| tail.find([' ', ':', '/'])).unwrap_or(text.len() - hash)
    });
    let Some((peer, rest)) = text.split_at_checked(end) else { return false };
    let Some((address, number)) = peer.split_once('#') else { return false };
    // The key that signed the request.
    let rest = match rest.strip_prefix("/key ") {
        Some(key) => key.find([' ', ':']).and_then(|at| key.get(at..)).unwrap_or_default(),
        None => rest,
    };
    let (asked, rest) =
        match rest.trim_start().strip_prefix('(').and_then(|rest| cut(rest, "): ").or_else(|| cut(rest, "):"))) {
            Some((asked, rest)) => (asked, rest),
            None => ("", rest.trim_start_matches([':', ' '])),
        };
    let (view, rest) = match rest.strip_prefix("view ").and_then(|rest| cut(rest, ": ")) {
        Some((view, rest)) => (Some(view), rest),
        None => (None, rest),
    };
    let understood = answer::exchange(rest, event)
        || query(rest, event)
        || denied(rest, asked, event)
        || failed(rest, event)
        || policy(rest, event)
        || rewritten(rest, event)
        || other(rest, asked, event);
    if !understood || !push_source(event, address, port(number)) {
        return false;
    }
    if let Some(view) = view {
        event.unmap("view", view);
    }
    true
}

/// `query: NAME CLASS TYPE FLAGS (SERVER) [ECS …]`.
fn query<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let answered = text.strip_prefix("response: ");
    let Some((name, rest)) = answered.or_else(|| text.strip_prefix("query: ")).map(word) else { return false };
    let (class, rest) = word(rest);
    let (kind, rest) = word(rest);
    let (code, rest) = if answered.is_some() { word(rest) } else { ("", rest) };
    let (flags, rest) = word(rest);
    question(event, if answered.is_some() { RESPONSE } else { QUERY }, name, kind, class);
    if !flags.is_empty() {
        event.unmap("flags", flags);
    }
    if let Some((server, _)) = rest.strip_prefix('(').and_then(|rest| cut(rest, ")")) {
        push_destination(event, server, None);
    }
    if let Some((subnet, _)) = between(rest, "[ECS ", "]") {
        event.unmap("client_subnet", subnet);
    }
    if !push_rcode(event, code) {
        success(event);
    }
    true
}

/// `NAME/TYPE/CLASS` or `NAME/CLASS`, in quotes or not.
fn slashed(text: &str) -> (&str, &str, &str) {
    let text = unquoted(text);
    let Some((head, last)) = text.rsplit_once('/') else { return (text, "", "") };
    let class = |word: &str| matches!(word, "IN" | "CH" | "HS" | "NONE" | "ANY" | "CLASS0");
    match head.rsplit_once('/') {
        Some((name, middle)) if class(last) => (name, middle, last),
        Some((name, middle)) if class(middle) => (name, last, middle),
        _ => (head, "", last),
    }
}

/// `query [(cache)] 'NAME/TYPE/CLASS' denied [(why)]`, `zone transfer …`, `update …`, `bad zone transfer request: …`, `notify …`.
fn denied<'a>(text: &'a str, asked: &'a str, event: &mut Event<'a>) -> bool {
    let bad = text.strip_prefix("bad zone transfer request: ");
    let Some((what, tail)) = (match bad {
        Some(rest) => Some((rest, rest)),
        None => text.find(" denied").map(|at| (text.get(..at).unwrap_or(text), text.get(at + 7..).unwrap_or_default())),
    }) else {
        return false;
    };
    let (name, mut kind, class) = between(what, "'", "'").map_or((asked, "", ""), |(inner, _)| slashed(inner));
    if kind.is_empty() && text.contains("zone transfer") {
        kind = "AXFR";
    }
    question(event, QUERY, name, kind, class);
    let operation =
        if bad.is_some() { "zone transfer" } else { what.find(" '").and_then(|at| what.get(..at)).unwrap_or(what) };
    event.unmap("operation", operation);
    set_opcode(operation, event);
    controlled(event, Control::Rejected);
    let reason =
        if bad.is_some() { what.rsplit(": ").next() } else { between(tail, "(", ")").map(|(reason, _)| reason) };
    if bad.is_some() && text.contains("NOTAUTH") {
        event.push(Attribute::RcodeId, 9);
        event.push(Attribute::Rcode, "NotAuth");
    } else {
        event.push(Attribute::RcodeId, 5);
        event.push(Attribute::Rcode, "Refused");
    }
    failure(event, reason.unwrap_or_default());
    true
}

/// What a line is about that names no type of record: `update`, `update forwarding`, `updating zone …`, `received notify …`.
fn set_opcode(operation: &str, event: &mut Event<'_>) {
    let opcode = match () {
        () if operation.starts_with("updat") => UPDATE,
        () if operation.starts_with("notify") || operation.starts_with("received notify") => NOTIFY,
        () => return,
    };
    if event.value(Attribute::QueryOpcodeId).is_some() {
        event.set(Attribute::QueryOpcodeId, opcode);
    }
}

/// `rewriting query name 'NAME' to 'OTHER', type A`.
fn rewritten<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((name, rest)) = between(text, "rewriting query name '", "'") else { return false };
    let Some((other, rest)) = between(rest, " to '", "'") else { return false };
    question(event, QUERY, name, rest.strip_prefix(", type ").map_or("", |rest| word(rest).0), "");
    event.unmap("rewritten_to", other);
    success(event);
    true
}

/// `query failed (SERVFAIL) for NAME/CLASS/TYPE at query.c:1`.
fn failed<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((code, rest)) = between(text, "query failed (", ")") else { return false };
    let Some((asked, rest)) = rest.strip_prefix(" for ").map(word) else { return false };
    let (name, kind, class) = slashed(asked);
    question(event, RESPONSE, name, kind, class);
    if !push_rcode(event, code) {
        failure(event, code);
    }
    if let Some(place) = rest.strip_prefix("at ") {
        event.unmap("source_code", place);
    }
    true
}

/// `rpz QNAME NXDOMAIN rewrite NAME/TYPE/CLASS via ZONE`, `[disabled ]rpz …`, `rate limit drop NXDOMAIN response to P for NAME CLASS TYPE (hash)`.
fn policy<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((head, rest)) = cut(text, "rpz ") {
        let (trigger, rest) = word(rest);
        let (action, rest) = word(rest);
        let (asked, rest) = word(rest.strip_prefix("rewrite ").or_else(|| rest.strip_prefix("via ")).unwrap_or(rest));
        let (name, kind, class) = slashed(asked);
        question(event, RESPONSE, name, kind, class);
        event.unmap("rpz_trigger", trigger);
        event.unmap("rpz_action", action);
        if let Some(zone) = rest.strip_prefix("via ").map(|zone| word(zone).0) {
            event.push(Attribute::FirewallRuleName, zone);
        }
        let passed = head.contains("disabled") || action == "PASSTHRU";
        controlled(
            event,
            if passed {
                Control::Allowed
            } else if action == "DROP" {
                Control::Dropped
            } else {
                Control::Blocked
            },
        );
        if passed {
            success(event)
        } else {
            failure(event, action)
        }
        return true;
    }
    let Some((_, rest)) = cut(text, "rate limit ") else { return false };
    let Some((target, rest)) = cut(rest, " for ").map(|(_, rest)| word(rest)) else { return false };
    let (class, rest) = word(rest);
    let kind = word(rest).0;
    let (class, kind) = if class == "IN" { (class, kind) } else { ("", "") };
    question(event, RESPONSE, target, kind, class);
    controlled(event, Control::Dropped);
    failure(event, text);
    true
}

/// `AXFR started (serial 1)`, `transfer of 'Z/IN': AXFR ended`, `updating zone 'Z/IN': …`, `signer "K" approved`, `received notify for zone 'Z'`, `message parsing failed: …`.
fn other<'a>(text: &'a str, asked: &'a str, event: &mut Event<'a>) -> bool {
    let zone = between(text, "'", "'").map_or(asked, |(inner, _)| slashed(inner).0);
    let known = [
        "AXFR",
        "IXFR",
        "updating zone",
        "signer ",
        "received notify",
        "message parsing failed",
        "request ",
        "no matching view",
        "update ",
        "RFC 1918 response",
    ];
    if !known.iter().any(|mark| cut(text, mark).is_some()) {
        return false;
    }
    let kind = ["AXFR", "IXFR"].into_iter().find(|kind| cut(text, kind).is_some()).unwrap_or_default();
    let bad = ["failed", "no matching view", "invalid", "FORMERR", "unsuccessful", "not allow"]
        .iter()
        .any(|mark| cut(text, mark).is_some());
    if zone.is_empty() || text.starts_with("no matching view") {
        // Nobody knows what was asked.
        event.class = Class::NetworkActivity;
        event.activity_id = if bad { 4 } else { 6 };
    } else {
        question(event, QUERY, zone, kind, "");
        set_opcode(text, event);
    }
    if bad {
        failure(event, text);
    } else {
        success(event);
        event.push(Attribute::StatusDetail, text);
    }
    true
}

/// `validating NAME/TYPE: no valid signature found`, `validating @0x7f: NAME TYPE: got insecure response`.
fn validating<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((asked, reason)) = text.trim_start().strip_prefix("validating ").and_then(|rest| cut(rest, ": ")) else {
        return false;
    };
    let (asked, reason) =
        if asked.starts_with('@') { cut(reason, ": ").unwrap_or((reason, "")) } else { (asked, reason) };
    let Some((name, kind)) = asked.rsplit_once(['/', ' ']) else { return false };
    question(event, RESPONSE, name, kind, "");
    failure(event, reason);
    push_destination(event, "localhost", None)
}

/// `reloading configuration failed: unexpected token`, and what is said of a line of the configuration:
/// `/etc/named.conf:12: missing ';' before '}'`.
fn misconfigured<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let at_line = || text.split(':').nth(1).and_then(number).is_some() && cut(text, ": ").is_some();
    let failed = ["loading configuration failed: ", "reloading configuration failed: ", "reloading zones failed: "];
    let named = text.starts_with('/') && at_line();
    if !named && !failed.iter().any(|start| text.starts_with(start)) {
        return false;
    }
    event.severity_id = event.severity_id.max(LOW);
    remark("named", text, event)
}

/// `starting BIND 9.20.1 …`, `running`, `shutting down`, `exiting`, `reloading configuration succeeded`.
fn service<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some(version) = text.strip_prefix("starting BIND ") {
        return lifecycle(event, "named", 3, Some(word(version).0));
    }
    match text {
        "running" | "all zones loaded" => lifecycle(event, "named", 3, None),
        "shutting down" | "exiting" | "stopping command channel" => lifecycle(event, "named", 4, None),
        "reloading configuration succeeded"
        | "reloading zones succeeded"
        | "received SIGHUP signal to reload zones" => lifecycle(event, "named", 5, None),
        _ => misconfigured(text, event),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::super::testing::normalized;

    #[test]
    fn a_configuration_that_is_not_taken_is_an_error() {
        for message in
            ["reloading configuration failed: file not found", "/etc/bind/named.conf:12: missing ';' before '}'"]
        {
            let event = normalized(&format!("Mar 16 10:00:00 ns named[9]: {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(600_801), &json!(2)), "{message}");
        }
    }

    fn asked(event: &Value) -> Value {
        json!([
            event["src_endpoint"]["ip"],
            event["src_endpoint"]["port"],
            event["query"]["hostname"],
            event["query"]["type"]
        ])
    }

    #[test]
    fn queries_are_read_in_files_and_syslog() {
        let expected = json!(["192.0.2.1", 5353, "www.example.com", "A"]);
        for line in [
            "16-Mar-2026 10:00:00.123 queries: info: client @0x7f65100ee4d8 192.0.2.1#5353 (www.example.com): query: www.example.com IN A +E(0)K (198.51.100.53)",
            "16-Mar-2026 10:00:00.123 client 192.0.2.1#5353: view internal: query: www.example.com IN A +",
            "Mar 16 10:00:00 ns named[9]: client @0x7f65 192.0.2.1#5353 (www.example.com): query: www.example.com IN A +E(0)K (198.51.100.53)",
            "Mar 16 10:00:00 ns named[9]: queries: client 192.0.2.1#5353/key k (www.example.com): query: www.example.com IN A +E(0)K (198.51.100.53)",
            "client @0x7f65 192.0.2.1#5353 (www.example.com): query: www.example.com IN A +E(0)K (198.51.100.53)",
        ] {
            let event = normalized(line);
            assert_eq!(event["type_uid"], 400_301, "{line}");
            assert_eq!(asked(&event), expected, "{line}");
        }
        let event = normalized(
            "16-Mar-2026 10:00:00.123 client @0x7 2001:db8::1#5 (a.example): query: a.example IN AAAA + (2001:db8::53)",
        );
        assert_eq!(asked(&event), json!(["2001:db8::1", 5, "a.example", "AAAA"]));
        assert_eq!(
            (&event["dst_endpoint"]["ip"], &event["time"]),
            (&json!("2001:db8::53"), &json!(1_773_651_600_123_i64))
        );
    }

    #[test]
    fn refusals_policies_and_errors_say_why() {
        for (text, kind, rcode) in [
            (
                "query-errors: debug 1: client @0x7 192.0.2.1#5 (a.example): query failed (REFUSED) for a.example/IN/A at a.c:7",
                400_302,
                json!(5),
            ),
            (
                "client @0x7 192.0.2.1#5 (a.example): query (cache) 'a.example/ANY/IN' denied (allow-query-cache did not match)",
                400_301,
                json!(5),
            ),
            (
                "security: error: client 192.0.2.1#5 (a.example): zone transfer 'a.example/AXFR/IN' denied",
                400_301,
                json!(5),
            ),
            (
                "client 192.0.2.1#5 (a.example): bad zone transfer request: 'a.example/IN': non-authoritative zone (NOTAUTH)",
                400_301,
                json!(9),
            ),
            (
                "query-errors: info: client @0x7 192.0.2.1#5 (a.example): query failed (SERVFAIL) for a.example/IN/A at query.c:5678",
                400_302,
                json!(2),
            ),
            (
                "rpz: info: client @0x7 192.0.2.1#5 (a.example): rpz QNAME NXDOMAIN rewrite a.example/A/IN via a.example.rpz.zone",
                400_302,
                json!(null),
            ),
        ] {
            let event = normalized(&format!("16-Mar-2026 10:00:00.123 {text}"));
            assert_eq!(event["type_uid"], kind, "{text}");
            assert_eq!(
                (&event["query"]["hostname"], &event["src_endpoint"]["ip"]),
                (&json!("a.example"), &json!("192.0.2.1")),
                "{text}"
            );
            assert_eq!((&event["rcode_id"], &event["status_id"]), (&rcode, &json!(2)), "{text}");
        }
        for (text, kind) in [("message parsing failed: FORMERR", 400_104), ("signer \"k\" approved", 400_106)] {
            let event = normalized(&format!("16-Mar-2026 10:00:00.123 client 192.0.2.1#5/key k: {text}"));
            assert_eq!((&event["type_uid"], &event["src_endpoint"]["port"]), (&json!(kind), &json!(5)), "{text}");
        }
        for (text, opcode, status) in [
            ("received notify for zone 'a.example'", 4, 1),
            ("updating zone 'a.example/IN': adding an RR at 'b.a.example' A 192.0.2.9", 5, 1),
            ("update 'a.example/IN' denied", 5, 2),
            ("rewriting query name 'a.example' to 'b.example', type A", 0, 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 ns named[9]: client @0x7 192.0.2.1#5: {text}"));
            assert_eq!((&event["type_uid"], &event["src_endpoint"]["port"]), (&json!(400_301), &json!(5)), "{text}");
            assert_eq!((&event["query"]["opcode_id"], &event["status_id"]), (&json!(opcode), &json!(status)), "{text}");
            assert_eq!(event["query"]["hostname"], "a.example", "{text}");
        }
        let event = normalized("Mar 16 10:00:00 ns named[9]: client 192.0.2.1#5: query (cache) denied");
        assert_eq!((&event["type_uid"], &event["query"]), (&json!(400_301), &json!(null)));
        let event =
            normalized("Mar 16 10:00:00 ns named[9]: connection refused resolving 'a.example/A/IN': 192.0.2.53#53");
        assert_eq!((&event["dst_endpoint"]["ip"], &event["query"]["type"]), (&json!("192.0.2.53"), &json!("A")));
        assert_eq!(
            normalized("Mar 16 10:00:00 ns named[9]: starting BIND 9.20.1 (Stable)")["app"]["version"],
            "9.20.1"
        );
    }
}
