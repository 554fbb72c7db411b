//! Logons that a web server refused (3002).
//!
//! nginx: `user "bob": password mismatch`, `user "bob" was not found in "…"`, `PAM: user 'bob' - not authenticated: reason`;
//! Apache: `AH01617: user bob: authentication failure for "/": reason`, `AH01618: user bob not found: /`, `Digest: user bob:
//! password mismatch: /`, `AH01695: auth_ldap authenticate: user bob authentication failed; URI / [reason]`, `AH01790: user `bob' in realm `r' not found: /`,
//! `AH01788: realm mismatch - got `a' but expected `r'`, `AH01071: Got error 'PHP message: user bob authentication failure for
//! Baikal'`. Source: ngx_http_auth_basic_module.c;
//! mod_auth_basic.c, mod_auth_digest.c of httpd.

use super::super::outcome;
use super::super::text::cut;
use super::Client;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message; false where it is no logon's.
pub(super) fn parse<'a>(
    message: &'a str,
    client: Option<Client<'a>>,
    service: &'static str,
    event: &mut Event<'a>,
) -> bool {
    let Some((user, reason)) = refused(message) else { return false };
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user.trim_matches(['`', '\'', '"']));
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::IsRemote, true);
    if let Some(client) = client {
        client.push(event);
    }
    outcome::failure(event, reason);
    true
}

/// The user and why.
fn refused(message: &str) -> Option<(&str, &str)> {
    let before_client = |reason: &'_ str| reason.find(", client").unwrap_or(reason.len());
    if let Some(rest) = message.strip_prefix("user \"") {
        let at = ["\": password mismatch", "\" was not found in "].iter().find_map(|mark| rest.find(mark))?;
        let (user, reason) = rest.split_at_checked(at)?;
        let reason = reason.trim_start_matches(['"', ':', ' ']);
        return Some((user, reason.get(..before_client(reason)).unwrap_or(reason)));
    }
    if let Some(rest) = message.strip_prefix("PAM: user '") {
        let (user, reason) = cut(rest, "' - not authenticated: ")?;
        return Some((user, reason.get(..before_client(reason)).unwrap_or(reason)));
    }
    let code = |text: &str| text.strip_prefix("AH").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    let rest = cut(message, ": ").filter(|(first, _)| code(first)).map_or(message, |(_, rest)| rest);
    let rest = rest.strip_prefix("Digest: ").unwrap_or(rest);
    // What a client answered to a challenge that was not this server's names no user that could be believed.
    if ["realm mismatch - got ", "invalid nonce ", "invalid qop "].iter().any(|mark| rest.starts_with(mark)) {
        return Some(("", rest));
    }
    if let Some((user, rest)) = rest.strip_prefix("Authorization of user ").and_then(|rest| cut(rest, " to access ")) {
        return Some((user, cut(rest, " failed, reason: ").map_or("not authorized", |(_, reason)| reason)));
    }
    let rest = rest.strip_prefix("Got error 'PHP message: ").unwrap_or(rest);
    let rest = rest.strip_prefix("auth_ldap authenticate: ").unwrap_or(rest).strip_prefix("user ")?;
    if let Some((user, reason)) = cut(rest, " authentication failed; URI ") {
        return Some((user, cut(reason, " [").map_or(reason, |(_, reason)| reason.trim_end_matches(']'))));
    }
    if let Some((user, reason)) = cut(rest, ": authentication failure for ") {
        return Some((user, cut(reason, ": ").map_or(reason, |(_, reason)| reason)));
    }
    if let Some((user, _)) = cut(rest, " authentication failure for ") {
        return Some((user, "authentication failure"));
    }
    if let Some((user, _)) = cut(rest, ": password mismatch: ") {
        return Some((user, "password mismatch"));
    }
    if let Some((user, _)) = cut(rest, " not found: ") {
        let user = cut(user, " in realm ").map_or(user, |(user, _)| user);
        return Some((user, "not found"));
    }
    let (user, rest) = cut(rest, " in realm ")?;
    (rest.contains("not found") || rest.contains("mismatch")).then_some((user, "not found"))
}
