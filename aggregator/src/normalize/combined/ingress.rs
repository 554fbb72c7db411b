//! What Kubernetes' ingress-nginx adds behind the user agent of an access log's line (its log format `upstreaminfo`).
//!
//! `89 0.001 [default-web-80] [] 198.51.100.5:80 59 0.000 200 529a…`: the request's length and time, the service and the one that
//! stands for it, address, length, time and status of each server that was asked, and the request's id. Source: ingress-nginx,
//! "Log format"; nginx, ngx_http_upstream_module.

use super::super::text::{milliseconds, number, word};
use crate::event::Event;
use crate::schema::Attribute;

/// Reads it; false, and nothing set, where it is something else.
pub(super) fn parse<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (length, rest) = word(text);
    let (took, rest) = word(rest);
    let (Some(length), Some(took)) = (number(length), milliseconds(took)) else { return false };
    let Some((service, rest)) = bracketed(rest) else { return false };
    let (alternative, rest) = bracketed(rest).unwrap_or(("", rest));
    let (address, rest) = each(rest);
    let (answered, rest) = each(rest);
    let (lasted, rest) = each(rest);
    let (status, id) = each(rest);
    if status.is_empty() || id.contains(' ') {
        return false;
    }
    event.push(Attribute::TrafficBytesIn, length);
    event.push(Attribute::Duration, took);
    if !matches!(id, "" | "-") {
        event.push(Attribute::MetadataCorrelationUid, id);
    }
    for (key, value) in [
        ("upstream", address),
        ("upstream_service", service),
        ("upstream_alternative", alternative),
        ("upstream_response_length", answered),
        ("upstream_response_time", lasted),
        ("upstream_status", status),
    ] {
        if !matches!(value, "" | "-") {
            event.unmap(key, value);
        }
    }
    true
}

/// What stands in brackets that are a word of their own; `[2001:db8::1]:80` is none.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once("] ").filter(|(inside, _)| !inside.contains(' '))
}

/// A value, or those of several servers: `A, B`, and `A : B` where a redirect led on; and what follows.
fn each(text: &str) -> (&str, &str) {
    let mut end = 0;
    while let Some(rest) = text.get(end..) {
        end += rest.find(' ').unwrap_or(rest.len());
        let Some((value, after)) = text.split_at_checked(end) else { break };
        let after = after.trim_start();
        if !value.ends_with(',') && !value.ends_with(" :") && !after.starts_with(": ") {
            return (value, after);
        }
        if after.is_empty() {
            break;
        }
        end += 1;
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn servers_behind_an_ingress_and_the_request_s_id_are_read() {
        let head = r#"192.0.2.7 - - [16/Mar/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 59 "-" "curl" 89 1.02"#;
        for (tail, upstream, status) in [
            ("[shop-web-80] [] 198.51.100.5:80 59 0.010 200 52ab", json!("198.51.100.5:80"), json!("200")),
            (
                "[shop-web-80] [] [2001:db8::5]:80, [2001:db8::6]:80 0, 59 0.010, 0.004 502, 200 52ab",
                json!("[2001:db8::5]:80, [2001:db8::6]:80"),
                json!("502, 200"),
            ),
            (
                "[a] [b] 198.51.100.5:80 : unix:/run/a 0 : 59 0.010 : - 502 : - 52ab",
                json!("198.51.100.5:80 : unix:/run/a"),
                json!("502 : -"),
            ),
            ("[] [] - - - - 52ab", json!(null), json!(null)),
            ("[a] [2001:db8::5]:80 59 0.010 200 52ab", json!("[2001:db8::5]:80"), json!("200")),
        ] {
            let event = normalized(&format!("{head} {tail}"));
            assert_eq!((&event["type_uid"], &event["duration"]), (&json!(400_203), &json!(1020)), "{tail}");
            assert_eq!(event["metadata"]["correlation_uid"], "52ab", "{tail}");
            assert_eq!(
                (&event["unmapped"]["upstream"], &event["unmapped"]["upstream_status"]),
                (&upstream, &status),
                "{tail}"
            );
            assert_eq!(event["traffic"], json!({"bytes_in": 89, "bytes_out": 59}), "{tail}");
            assert_eq!(event["unmapped"]["trailing"], json!(null), "{tail}");
        }
        let event = normalized(&format!("{head} words"));
        assert_eq!(event["unmapped"]["trailing"], "89 1.02 words");
    }
}
