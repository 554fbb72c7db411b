//! Error logs of Apache and nginx: an error is an application error (6008), a notice a base event.
//!
//! Apache: `[Mon Mar 16 10:00:00.5 2026] [MODULE:error] [pid 1:tid 2] [client 192.0.2.1:5] AH00001: message`. nginx: `2018/10/10 12:34:56 [error] 123#4: *5 message, client: 192.0.2.1, server: …`.
//! The class has no source: the client stands in `unmapped.src_ip`. Source: Apache HTTP Server, core,
//! `ErrorLogFormat`; nginx, ngx_log.c.

use super::text::{between, cut, level, number, word};
use super::{Context, endpoint, outcome, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `severity_id` from which a line is an error: 3, medium.
const ERROR: u8 = 3;

/// Reads a line; false where it is neither server's.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    apache(text, context, event) || nginx(text, context, event)
}

fn apache<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = text.strip_prefix('[') else { return false };
    // The name of the day, which the date implies.
    let Some((stamp, rest)) = rest.split_once(' ').filter(|(day, _)| day.len() == 3).and_then(|(_, rest)| {
        let (stamp, rest) = timestamp::bsd(rest, context.reference)?;
        Some((stamp, rest.strip_prefix("] [")?))
    }) else {
        return false;
    };
    let Some((severity, mut rest)) = cut(rest, "] ") else { return false };
    let (module, severity) = severity.split_once(':').map_or((None, severity), |(module, level)| (Some(module), level));
    stamp.apply(event);
    said(severity, event);
    if let Some(module) = module.filter(|module| !module.is_empty()) {
        event.unmap("module", module);
    }
    if let Some((process, after)) = rest.strip_prefix("[pid ").and_then(|rest| cut(rest, "] ")) {
        let pid = process.split_once(':').map_or(process, |(pid, _)| pid);
        if let Some(pid) = number(pid) {
            event.push(Attribute::ActorProcessPid, pid);
        }
        rest = after;
    }
    if let Some((client, after)) = rest.strip_prefix("[client ").and_then(|rest| cut(rest, "] ")) {
        // IPv6 stands bare, or in brackets before a port.
        let address =
            endpoint::ip(client).or_else(|| client.rsplit_once(':').and_then(|(address, _)| endpoint::ip(address)));
        if let Some(address) = address {
            event.unmap("src_ip", address);
        }
        rest = after;
    }
    let code = rest.split_once(": ").map_or("", |(code, _)| code);
    if code.strip_prefix("AH").is_some_and(|digits| number(digits).is_some()) {
        event.push(Attribute::MetadataEventCode, code);
    }
    event.push(Attribute::MetadataLogFormat, "apache_error");
    event.push(Attribute::Message, rest);
    true
}

fn nginx<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
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
        event.push(Attribute::ActorProcessPid, pid);
    }
    if let Some(address) = between(message, ", client: ", ",").and_then(|(client, _)| endpoint::ip(client)) {
        event.unmap("src_ip", address);
    }
    event.push(Attribute::MetadataLogFormat, "nginx_error");
    event.push(Attribute::Message, message);
    true
}

/// The level, the severity it stands for, and the class that follows from it.
fn said<'a>(word: &'a str, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogLevel, word);
    event.severity_id = level(word).unwrap_or(event.severity_id);
    if event.severity_id >= ERROR {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        outcome::failure(event, "");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn errors_of_apache_are_application_errors_with_their_client() {
        let event = normalized(
            "[Mon Mar 16 10:00:00.5 2026] [some_module:error] [pid 12:tid 34] [client [2001:db8::1]:5] AH00001: not today",
        );
        assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(600_801), Some(3)));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["timezone_offset"], 60);
        assert_eq!(event["actor"]["process"]["pid"], 12);
        assert_eq!(event["unmapped"], serde_json::json!({"module": "some_module", "src_ip": "2001:db8::1"}));
        assert_eq!(event["metadata"]["event_code"], "AH00001");
        assert_eq!(event["observables"][0]["value"], "2001:db8::1");
    }

    #[test]
    fn notices_are_base_events() {
        let event = normalized("[Mon Mar 16 10:00:00 2026] [notice] all is well");
        assert_eq!((event["class_uid"].as_u64(), event["severity_id"].as_u64()), (Some(0), Some(1)));
        assert_eq!(event["message"], "all is well");
        assert_eq!(event["metadata"]["log_format"], "apache_error");
    }

    #[test]
    fn errors_of_nginx_are_read() {
        let event = normalized(
            r#"2026/03/16 10:00:00 [error] 12#3: *4 no such page, client: 192.0.2.9, server: h, request: "GET /""#,
        );
        assert_eq!(event["class_uid"], 6008);
        assert_eq!(event["unmapped"]["src_ip"], "192.0.2.9");
        assert_eq!(event["actor"]["process"]["pid"], 12);
        assert_eq!(event["metadata"]["log_format"], "nginx_error");
    }
}
