//! HTTPERR, the log of HTTP.sys under IIS: what it answered or closed itself before any site saw it.
//!
//! In: `C 4711 S 80 HTTP/1.1 GET /a[ STREAM] 503 SITE REASON QUEUE[ …]`, what is unknown being `-`. Out: a request that was refused
//! (4002); without one, a connection that failed, or that was idle and closed (4001). Source: Microsoft, "Error logging in HTTP
//! APIs"; layouts of Windows Server 2003 to 2022, the later with the stream of HTTP/2 before the status.

use super::super::combined::{push_code, push_known_method, push_url};
use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::failure;
use super::super::text::{number, port};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most columns that are looked at; the newest layout has 14 behind the time.
const COLUMNS_MAX: usize = 16;

/// Whether two ends, each an address and a port, begin the columns behind the time, a version or nothing behind them.
pub(super) fn looks(text: &str) -> bool {
    let mut columns = text.split(' ');
    let mut ported = || {
        let host = columns.next().unwrap_or_default();
        columns.next().and_then(port).is_some() && ip(host).is_some()
    };
    ported() && ported() && columns.next().is_some_and(|version| version == "-" || version.starts_with("HTTP/"))
}

/// Reads the columns behind the time; false where they are fewer than the log has.
pub(super) fn parse<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let mut columns = ["-"; COLUMNS_MAX];
    let mut count = 0;
    for (slot, column) in columns.iter_mut().zip(text.split(' ')) {
        *slot = column;
        count += 1;
    }
    let Some([client, from, server, to, version, method, target, rest @ ..]) = columns.get(..count) else {
        return false;
    };
    // The stream's number stands before the status where the layout has it; the site may be a number too, the reason never is.
    let Some(reason_at) = rest.iter().position(|column| column.starts_with(|c: char| c.is_ascii_alphabetic())) else {
        return false;
    };
    let Some(([before @ .., status, site], [reason, behind @ ..])) = rest.split_at_checked(reason_at) else {
        return false;
    };
    if before.len() > 1 {
        return false;
    }
    let is_request = *method != "-";
    event.class = if is_request { Class::HttpActivity } else { Class::NetworkActivity };
    if !(push_source(event, client, port(from)) && push_destination(event, server, port(to))) {
        return false;
    }
    if is_request {
        push_known_method(method, event);
        if *target != "-" {
            push_url(target, event);
        }
        if let Some(version) = version.strip_prefix("HTTP/") {
            event.push(Attribute::HttpRequestVersion, version);
        }
        if let Some(code) = number(status).filter(|code| (100..600).contains(code)) {
            push_code(code, event);
            event.push(Attribute::StatusCode, *status);
            event.push(Attribute::StatusDetail, *reason);
        } else {
            failure(event, *reason);
        }
    } else {
        event.push(Attribute::ConnectionDirectionId, 1);
        event.push(Attribute::AppProtocolName, "http");
        if *reason == "Timer_ConnectionIdle" {
            event.activity_id = 2;
            event.push(Attribute::StatusDetail, *reason);
        } else {
            event.activity_id = 4;
            failure(event, *reason);
        }
    }
    for (key, value) in [("site", Some(site)), ("queue", behind.first()), ("stream", before.first())] {
        if let Some(value) = value.filter(|value| **value != "-") {
            event.unmap(key, *value);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn what_no_site_saw_is_a_request_or_a_connection() {
        for (rest, kind, status, reason) in [
            ("HTTP/1.1 GET /a?b=c 503 3 AppOffline pool", 400_203, json!(2), "AppOffline"),
            ("HTTP/1.1 GET /a?b=c - 400 - Hostname -", 400_203, json!(2), "Hostname"),
            ("HTTP/2 GET /a?b=c 5 408 3 Timer_EntityBody pool TCP", 400_203, json!(2), "Timer_EntityBody"),
            ("- - - - - Timer_MinBytesPerSecond -", 400_104, json!(2), "Timer_MinBytesPerSecond"),
            ("- - - - - - Timer_ConnectionIdle -", 400_102, json!(null), "Timer_ConnectionIdle"),
        ] {
            for (client, server) in [("192.0.2.7", "198.51.100.9"), ("fe80::7%4", "fe80::9%4")] {
                let event = normalized(&format!("2026-03-16 10:00:00 {client} 4711 {server} 80 {rest}"));
                assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &status), "{rest}");
                assert_eq!(event["src_endpoint"], json!({"ip": client, "port": 4711}), "{rest}");
                assert_eq!(event["dst_endpoint"], json!({"ip": server, "port": 80}), "{rest}");
                assert_eq!(event["status_detail"], reason, "{rest}");
                assert_eq!(event["time"], 1_773_655_200_000_i64, "{rest}");
                if kind == 400_203 {
                    assert_eq!(event["http_request"]["url"]["query_string"], "b=c", "{rest}");
                }
            }
        }
        for line in ["2026-03-16 10:00:00 192.0.2.7 4711 198.51.100.9 80 is slow", "2026-03-16 10:00:00 192.0.2.7 4711"]
        {
            assert_eq!(normalized(line)["metadata"]["log_format"], "plain", "{line}");
        }
    }
}
