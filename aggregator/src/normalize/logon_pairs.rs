//! Logons (3002) that a program tells of in the message among its pairs or keys.
//!
//! In: fields of logfmt or JSON. Out: user, client and outcome, where the message is one of those that such programs are known
//! to write. Source: Authelia `internal/handlers`, authentik `events/models.py`, Grafana `pkg/services/contexthandler`, Nextcloud `lib/private/User`, and
//! the words that their kin share.

use super::fields::Fields;
use super::text::{between, port};
use super::{endpoint, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What programs say of a logon that failed.
const FAILED: [&str; 22] = [
    "failed login",
    "Failed login",
    "login failed",
    "login_failed",
    "nvalid credentials",
    "failed to authenticate",
    "Failed to authenticate",
    "Invalid username or password",
    "Unsuccessful 1FA authentication",
    "Unsuccessful 2FA authentication",
    "Unsuccessful TOTP authentication",
    "Unsuccessful Duo authentication",
    "Unsuccessful U2F authentication",
    "Unsuccessful WebAuthn authentication",
    "Failed authentication",
    "authentication failed",
    "Authentication failed",
    "password-auth.failed",
    "Login failed",
    "Login attempt failed",
    "Error occurred getting details for user",
    "Two-factor challenge failed",
];
/// What programs say of one that succeeded.
const PASSED: [&str; 13] = [
    "user logged in",
    "User logged in",
    "login_success",
    "logged in successfully",
    "Successful 1FA authentication",
    "Successful 2FA authentication",
    "Successful TOTP authentication",
    "Successful Duo authentication",
    "Successful U2F authentication",
    "Successful WebAuthn authentication",
    "Successful login",
    "Successful Login",
    "Login successful",
];
/// What stands around a user's name in a message.
const NAMED: [(&str, &str); 7] = [
    ("user '", "'"),
    ("username input '", "'"),
    ("user \"", "\""),
    ("user=", " "),
    ("Login failed: '", "'"),
    ("Login failed: ", " ("),
    ("username: ", " "),
];
const USERS: [&str; 8] = ["user", "username", "uname", "login", "email", "user_name", "User", "context.username"];
const CLIENTS: [&str; 9] =
    ["remote_ip", "remote_addr", "remoteAddr", "ip", "client_ip", "src_ip", "clientIP", "remote", "ip_addr"];

/// One of these stands in each of them: most messages have none, and are done with few looks.
const HINTS: [&str; 6] = ["uth", "ogin", "user", "factor", "ogged", "redential"];

/// What a program says of a logon: that it failed, or that it did not; none where it is about something else.
fn failed(fields: &Fields<'_>) -> Option<bool> {
    let has = |text: &str, words: &[&str]| words.iter().any(|words| text.contains(words));
    let texts = ["msg", "message", "error", "event", "action"].into_iter().filter_map(|key| fields.peek(key));
    let mut passed = None;
    for text in texts.filter(|text| has(text, &HINTS)) {
        if has(text, &FAILED) {
            return Some(true);
        }
        passed = passed.or_else(|| has(text, &PASSED).then_some(false));
    }
    passed
}

/// Takes a logon; it names its user in a pair or in its message. False where there is none.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let Some(failed) = failed(fields) else { return false };
    let message = fields.peek("msg").or_else(|| fields.peek("message")).unwrap_or_default();
    let named = NAMED.into_iter().find_map(|(open, close)| between(message, open, close));
    let named = named.map(|(user, _)| user.to_owned());
    let found = named.is_some() || USERS.into_iter().any(|key| fields.peek(key).is_some());
    let addressed = CLIENTS.into_iter().any(|key| fields.peek(key).is_some());
    if !found && !addressed {
        return false;
    }
    event.class = Class::Authentication;
    event.activity_id = 1;
    match named {
        Some(user) => event.push(Attribute::UserName, user),
        // A logon without a name tried one that the program does not print.
        None => {
            if !USERS.into_iter().any(|key| fields.push(event, Attribute::UserName, key)) {
                event.push(Attribute::UserName, "unknown");
            }
        }
    }
    push_client(fields, event);
    let services = ["app", "service", "component", "logger"];
    if !services.into_iter().any(|key| fields.push(event, Attribute::ServiceName, key)) {
        event.push(Attribute::ServiceName, "web");
    }
    if failed {
        outcome::failure(event, fields.text("error").or_else(|| fields.text("err")).unwrap_or_default());
    } else {
        outcome::success(event);
    }
    true
}

/// The client, in a class that has one; elsewhere in `unmapped.src_ip`.
pub(super) fn push_client<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    for key in CLIENTS {
        let ended = fields.peek(key).and_then(|text| text.rsplit_once(':'));
        let ended = ended.and_then(|(host, number)| Some((endpoint::ip(host)?.to_owned(), port(number)?)));
        if let Some((address, number)) = ended.filter(|_| event.class.carries(Attribute::SrcEndpointPort)) {
            fields.take(key);
            event.push(Attribute::SrcEndpointIp, address);
            event.push(Attribute::SrcEndpointPort, number);
            return;
        }
        if fields.push_source(event, key, "") {
            return;
        }
        let Some(text) = fields.peek(key) else { continue };
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let found = endpoint::ip(text).or_else(|| endpoint::ip(host)).map(str::to_owned);
        let Some(address) = found else { continue };
        fields.take(key);
        if event.class.carries(Attribute::SrcEndpointIp) {
            event.push(Attribute::SrcEndpointIp, address);
        } else {
            event.unmap("src_ip", address);
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;
    use super::{FAILED, HINTS, PASSED};

    #[test]
    fn every_message_of_a_logon_has_a_hint() {
        for words in FAILED.into_iter().chain(PASSED) {
            assert!(HINTS.iter().any(|hint| words.contains(hint)), "{words}");
        }
    }

    #[test]
    fn objects_that_tell_of_a_logon_are_one() {
        for (line, user, status) in [
            (
                r#"{"method":"POST","level":"error","msg":"Unsuccessful Duo authentication attempt by user 'ann': denied","path":"/api","remote_ip":"192.0.2.7","time":"2026-03-16T10:00:00Z"}"#,
                "ann",
                2,
            ),
            (
                r#"{"method":"POST","level":"debug","msg":"Successful 1FA authentication attempt made by user 'ann'","path":"/api","remote_ip":"192.0.2.7","time":"2026-03-16T10:00:00Z"}"#,
                "ann",
                1,
            ),
            (
                r#"{"level":2,"time":"2026-03-16T10:00:00Z","remoteAddr":"192.0.2.7","user":"--","method":"POST","url":"/login","message":"Login failed: ann (Remote IP: 192.0.2.7)"}"#,
                "ann",
                2,
            ),
            (
                r#"{"action":"login_failed","client_ip":"192.0.2.7","context":{"username":"ann"},"event":"Created Event","level":"info","logger":"authentik.events.models","timestamp":"2026-03-16T10:00:00","user":{"pk":2,"username":"AnonymousUser"}}"#,
                "ann",
                2,
            ),
            (
                r#"{"level":"error","ts":1773655200.5,"caller":"mlog/log.go:172","msg":"Login failed because of invalid password","path":"/api/v4/users/login","ip_addr":"192.0.2.7","username":"ann"}"#,
                "ann",
                2,
            ),
            (
                r#"{"User":"ann","level":"info","logger":"http.server","msg":"Successful Login","remote_addr":"192.0.2.7","t":"2026-03-16T10:00:00Z"}"#,
                "ann",
                1,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(
                (event["type_uid"].as_u64(), event["status_id"].as_u64()),
                (Some(300_201), Some(status)),
                "{line}"
            );
            assert_eq!(event["user"]["name"], user, "{line}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.7", "{line}");
        }
    }
}
