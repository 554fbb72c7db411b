//! unbound: `log-queries`, `log-replies`, `log-local-actions`, `log-servfail` (4003), the service (6002, 6008).
//!
//! `[1773653400] unbound[9:0] info: ADDRESS NAME TYPE CLASS[ RCODE SECONDS CACHED SIZE]`, behind a syslog header
//! `unbound[9]: [9:0] info: …`. Source: unbound 1.20, util/log.c, util/net_help.c (log_query_info, log_reply_info).

use super::super::super::Context;
use super::super::super::endpoint::{self, push_destination, push_source};
use super::super::super::outcome::{Control, controlled, failure, success};
use super::super::super::remark::remark;
use super::super::super::syslog::Header;
use super::super::super::text::{cut, head, level, number, port, word};
use super::super::super::timestamp;
use super::{QUERY, RESPONSE, lifecycle, push_rcode, question};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a line begins as unbound's own file does.
pub(crate) fn looks(text: &str) -> bool {
    text.starts_with('[') && cut(head(text, 40), "] unbound[").is_some()
}

/// Reads a line of a file: `[SECONDS] unbound[PID:THREAD] LEVEL: text`.
pub(crate) fn parse_line<'a>(text: &'a str, _: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((seconds, rest)) = text.strip_prefix('[').and_then(|rest| cut(rest, "] unbound[")) else { return false };
    let Some((process, rest)) = cut(rest, "] ") else { return false };
    let Some(time) = seconds.parse::<f64>().ok().and_then(timestamp::epoch) else { return false };
    event.time = time;
    event.push(Attribute::MetadataOriginalTime, seconds);
    event.push(Attribute::MetadataLogProvider, "unbound");
    event.push(Attribute::MetadataLogFormat, "unbound");
    if let Some(pid) = process.split(':').next().and_then(number) {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "unbound");
    }
    event.push(Attribute::Message, rest);
    leveled(rest, "", event);
    true
}

/// Reads a message of syslog: `[PID:THREAD] LEVEL: text`.
pub(crate) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let rest = message.strip_prefix('[').and_then(|rest| cut(rest, "] ")).map_or(message, |(_, rest)| rest);
    leveled(rest, header.this_host(), event)
}

fn leveled<'a>(text: &'a str, host: &'a str, event: &mut Event<'a>) -> bool {
    let Some((word, rest)) = cut(text, ": ") else { return false };
    // `log-tag-queryreply` puts the tag where the level stands.
    let Some(severity) = level(word).or_else(|| matches!(word, "query" | "reply").then_some(1)) else { return false };
    event.severity_id = event.severity_id.max(severity);
    let rest = rest.strip_prefix("query: ").or_else(|| rest.strip_prefix("reply: ")).unwrap_or(rest);
    service(rest, event)
        || local(rest, event)
        || asked(rest, host, event)
        || failed(rest, event)
        || handshake(rest, event)
        || limited(rest, event)
        || remark("unbound", rest, event)
}

/// `ADDRESS NAME TYPE CLASS[ RCODE SECONDS CACHED SIZE]`.
fn asked<'a>(text: &'a str, host: &'a str, event: &mut Event<'a>) -> bool {
    let mut words = text.split(' ');
    let (Some(address), Some(name), Some(kind), Some(class)) = (words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    if endpoint::ip(address).is_none() || !matches!(class, "IN" | "CH" | "HS" | "ANY" | "NONE") {
        return false;
    }
    let rcode = words.next();
    question(event, if rcode.is_some() { RESPONSE } else { QUERY }, name, kind, class);
    push_source(event, address, None);
    push_destination(event, host, None);
    match rcode {
        Some(rcode) => {
            if !push_rcode(event, rcode) {
                failure(event, rcode);
            }
            for key in ["seconds", "from_cache", "reply_bytes"] {
                if let Some(value) = words.next() {
                    event.unmap(key, value);
                }
            }
        }
        None => success(event),
    }
    true
}

/// `ZONE ACTION ADDRESS@PORT NAME TYPE CLASS`, and `rpz: applied [LIST] NAME ACTION ADDRESS@PORT NAME TYPE CLASS`.
fn local<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some(at) = text.find('@') else { return false };
    let start = text.get(..at).and_then(|head| head.rfind(' ')).map_or(0, |space| space + 1);
    let (Some(head), Some(tail)) = (text.get(..start), text.get(start..)) else { return false };
    let (peer, rest) = word(tail);
    let Some((address, number)) = peer.split_once('@') else { return false };
    let mut words = rest.split(' ');
    let (Some(name), Some(kind), Some(class)) = (words.next(), words.next(), words.next()) else { return false };
    let head = head.trim_end();
    let (zone, action) = head.rsplit_once(' ').unwrap_or((head, ""));
    if endpoint::ip(address).is_none() {
        return false;
    }
    question(event, RESPONSE, name, kind, class);
    push_source(event, address, port(number));
    let rule = zone.rsplit(' ').next().unwrap_or(zone);
    event.push(Attribute::FirewallRuleName, rule);
    event.unmap("action", action);
    let refused = ["deny", "refuse", "nxdomain", "drop", "static", "rpz-nxdomain", "rpz-nodata", "block"]
        .iter()
        .any(|word| action.contains(word));
    controlled(event, if refused { Control::Blocked } else { Control::Observed });
    if refused {
        failure(event, action)
    } else {
        success(event)
    }
    true
}

/// `validation failure <NAME TYPE CLASS>: reason`, `SERVFAIL <NAME TYPE CLASS>: reason`.
fn failed<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((what, rest)) = cut(text, " <") else { return false };
    let Some((asked, reason)) = cut(rest, ">: ") else { return false };
    let mut words = asked.split(' ');
    let (Some(name), Some(kind), Some(class)) = (words.next(), words.next(), words.next()) else { return false };
    if !matches!(what, "validation failure" | "SERVFAIL") {
        return false;
    }
    question(event, RESPONSE, name, kind, class);
    event.push(Attribute::RcodeId, 2);
    event.push(Attribute::Rcode, "ServError");
    failure(event, reason);
    let server = cut(reason, " from ").map(|(_, rest)| word(rest).0).unwrap_or_default();
    push_destination(event, server, None) || push_destination(event, "localhost", None)
}

/// `ratelimit exceeded ZONE RATE[ query NAME TYPE CLASS from ADDRESS]`, `ip_ratelimit exceeded ADDRESS RATE[ NAME CLASS TYPE]`: what
/// a client, or a zone's servers, were asked too often.
fn limited<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((what, rest)) = cut(text, " exceeded ") else { return false };
    let (limited, rest) = word(rest);
    let rest = word(rest).1;
    let (client, zone, asked) = match what {
        "ip_ratelimit" => (limited, None, rest),
        "ratelimit" => {
            let Some((asked, client)) = rest.strip_prefix("query ").and_then(|rest| cut(rest, " from ")) else {
                return false;
            };
            (client, Some(limited), asked)
        }
        _ => return false,
    };
    let client = word(client).0;
    let (client, number) = client.split_once('@').unwrap_or((client, ""));
    if endpoint::ip(client).is_none() {
        return false;
    }
    let (name, kinds) = word(asked);
    let (kind, class) = match word(kinds) {
        (class @ ("IN" | "CH" | "HS"), kind) => (kind, class),
        found => found,
    };
    question(event, QUERY, name, kind, class);
    if let Some(zone) = zone {
        event.unmap("zone", zone);
    }
    controlled(event, Control::Blocked);
    failure(event, "rate limit exceeded");
    push_source(event, client, port(number))
}

/// `ssl handshake failed A port 50123`: of a client over TLS.
fn handshake<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let Some((address, rest)) = text.strip_prefix("ssl handshake failed ").map(word) else { return false };
    if endpoint::ip(address).is_none() {
        return false;
    }
    event.class = Class::NetworkActivity;
    event.activity_id = 4;
    event.push(Attribute::AppProtocolName, "tls");
    failure(event, "ssl handshake failed");
    push_source(event, address, rest.strip_prefix("port ").and_then(port))
}

/// `start of service (unbound 1.20.0).`, `service stopped (unbound 1.20.0).`, `Restart of unbound 1.20.0.`.
fn service<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let version = || cut(text, "unbound ").map(|(_, version)| version.trim_end_matches(['.', ')']));
    if text.starts_with("start of service") {
        lifecycle(event, "unbound", 3, version())
    } else if text.starts_with("service stopped") {
        lifecycle(event, "unbound", 4, version())
    } else {
        text.starts_with("Restart of unbound") && lifecycle(event, "unbound", 5, version())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::super::testing::normalized;

    #[test]
    fn queries_replies_and_local_actions_are_read() {
        for (text, kind, at, value) in [
            ("info: 192.0.2.1 a.example. A IN", 400_301, "/query/type", json!("A")),
            ("info: 192.0.2.1 a.example. A IN NXDOMAIN 0.001 0 45", 400_302, "/rcode_id", json!(3)),
            ("reply: 192.0.2.1 a.example. A IN NOERROR 0.001 1 45", 400_302, "/query/hostname", json!("a.example")),
            ("info: reply: 192.0.2.1 a.example. A IN NOERROR 0.001 1 45", 400_302, "/unmapped/from_cache", json!("1")),
            ("info: a.example. always_nxdomain 192.0.2.1@5353 a.example. A IN", 400_302, "/disposition_id", json!(2)),
            (
                "info: validation failure <a.example. A IN>: no signatures from 192.0.2.53",
                400_302,
                "/dst_endpoint/ip",
                json!("192.0.2.53"),
            ),
            (
                "notice: ratelimit exceeded example.com. 1000 query a.example.com. A IN from 192.0.2.5",
                400_301,
                "/src_endpoint/ip",
                json!("192.0.2.5"),
            ),
            (
                "notice: ratelimit exceeded example.com. 1000 query a.example.com. A IN from 192.0.2.5",
                400_301,
                "/query",
                json!({"hostname": "a.example.com", "type": "A", "class": "IN", "opcode_id": 0}),
            ),
            ("notice: ip_ratelimit exceeded 192.0.2.5 100 a.example. A IN", 400_301, "/disposition_id", json!(2)),
            ("notice: ssl handshake failed 192.0.2.1 port 50123", 400_104, "/src_endpoint/port", json!(50_123)),
            ("info: start of service (unbound 1.20.0).", 600_203, "/app/version", json!("1.20.0")),
        ] {
            for line in
                [format!("[1773653400] unbound[9:0] {text}"), format!("Mar 16 10:00:00 gw unbound[9]: [9:0] {text}")]
            {
                let event = normalized(&line);
                assert_eq!(event["type_uid"], kind, "{line}");
                assert_eq!(event.pointer(at), Some(&value), "{line}");
            }
        }
    }
}
