//! lighttpd's error log: `2026-03-16 10:00:00: (server.c.1521) message`.
//!
//! In: date, time, a colon and a place in the source. Out: logons that failed (3002), starts and stops (6002), else a base
//! event with time and place. Source: lighttpd, log.c, `mod_auth.c`, `server.c`.

use super::endpoint::push_source;
use super::text::{between, cut, unquoted, word};
use super::{Context, outcome, timestamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether a place in a C file stands behind a time and a colon.
pub(super) fn looks(text: &str) -> bool {
    text.get(19..).and_then(|rest| rest.strip_prefix(": ")).and_then(place).is_some()
}

/// `(server.c.1521) ` and what follows; some versions leave the first parenthesis out.
fn place(text: &str) -> Option<(&str, &str)> {
    let (place, rest) = cut(text.strip_prefix('(').unwrap_or(text), ") ")?;
    (place.contains(".c.") && !place.contains(' ')).then_some((place, rest))
}

/// Reads a line.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = timestamp::iso(text, context.reference) else { return false };
    let Some((place, message)) = rest.strip_prefix(": ").and_then(place) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "lighttpd");
    event.push(Attribute::MetadataLogProvider, "lighttpd");
    event.push(Attribute::Message, message);
    event.unmap("source", place);
    if message.starts_with("server started") || message.starts_with("server stopped") {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = if message.starts_with("server started") { 3 } else { 4 };
        event.push(Attribute::AppName, "lighttpd");
        outcome::success(event);
    } else {
        logon(message, event);
    }
    true
}

/// `password doesn't match for /url username: NAME, IP: ADDRESS`, `digest: auth failed for NAME: wrong password, IP: …`,
/// `get_password failed, IP: …`. A name may hold anything: the address is the last one.
fn logon<'a>(message: &'a str, event: &mut Event<'a>) {
    const REFUSED: [&str; 5] = [
        "password doesn't match",
        "digest: auth failed",
        "get_password failed",
        "pwcheck failed",
        "password did not match",
    ];
    if !REFUSED.iter().any(|reason| message.starts_with(reason)) {
        return;
    }
    let Some((said, address)) = message.rsplit_once("IP: ") else { return };
    let said = said.trim_end_matches([' ', ',']);
    let name = cut(said, "username: ")
        .map(|(_, name)| name)
        .or_else(|| between(said, "auth failed for ", ": ").map(|(name, _)| name.trim()));
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, name.map_or("unknown", unquoted));
    event.push(Attribute::ServiceName, "lighttpd");
    push_source(event, word(address).0, None);
    outcome::failure(event, said);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    #[test]
    fn a_refused_password_is_a_logon_of_the_last_address() {
        let event = normalized(
            "2026-03-16 10:00:00: (mod_auth.c.875) password doesn't match for /a username: bob, IP: 192.0.2.66, IP: 192.0.2.7",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["user"]["name"], "bob, IP: 192.0.2.66");
        let event = normalized(
            "2026-03-16 10:00:00: (http_auth.c.1136) digest: auth failed for  bob : wrong password, IP: 192.0.2.7",
        );
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&json!("bob"), &json!("192.0.2.7")));
        assert_eq!(normalized("2026-03-16 10:00:00: (server.c.1) server started")["type_uid"], 600_203);
    }
}
