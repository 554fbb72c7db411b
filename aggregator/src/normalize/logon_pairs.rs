//! Logons (3002) that a program tells of in the message among its pairs or keys.
//!
//! In: fields of logfmt or JSON. Out: user, client and outcome, where the message is one of those that such programs are known
//! to write. Source: Authelia `internal/handlers`, authentik `events/models.py`, Grafana `pkg/services/contexthandler`, Nextcloud
//! `lib/private/User`, and the words that their kin share.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::fields::{Fields, Leaf};
use super::text::{between, cut, port, word};
use super::{endpoint, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// What programs say of a logon that failed, in any case.
const FAILED: [&str; 47] = [
    "failed login",
    "login failed",
    "login_failed",
    "login-failed",
    "login.failed",
    "loginfailed",
    "login_error",
    "login failure",
    "login_failure",
    "login attempt failed",
    "logon failed",
    "logon failure",
    "failed logon",
    "failed to login",
    "failed to log in",
    "failed to sign in",
    "failed sign-in",
    "sign-in failed",
    "sign in failed",
    "invalid login",
    "invalid credentials",
    "bad credentials",
    "incorrect credentials",
    "wrong credentials",
    "failed to authenticate",
    "unable to authenticate",
    "failed authentication",
    "authentication failed",
    "authentication failure",
    "authentication_failed",
    "authentication_failure",
    "auth_failed",
    "auth_failure",
    "auth failed",
    "password-auth.failed",
    "invalid username or password",
    "incorrect password",
    "wrong password",
    "invalid password",
    "unsuccessful 1fa authentication",
    "unsuccessful 2fa authentication",
    "unsuccessful totp authentication",
    "unsuccessful duo authentication",
    "unsuccessful u2f authentication",
    "unsuccessful webauthn authentication",
    "error occurred getting details for user",
    "two-factor challenge failed",
];
/// What programs say of one that succeeded.
const PASSED: [&str; 26] = [
    "user logged in",
    "has logged in",
    "\" logged in with",
    "logged in successfully",
    "successfully logged in",
    "signed in successfully",
    "successful login",
    "successful logon",
    "login successful",
    "login succeeded",
    "login success",
    "login_success",
    "login.success",
    "loginsuccess",
    "auth_success",
    "authentication_success",
    "authentication succeeded",
    "authentication successful",
    "authenticated successfully",
    "successfully authenticated",
    "successful 1fa authentication",
    "successful 2fa authentication",
    "successful totp authentication",
    "successful duo authentication",
    "successful u2f authentication",
    "successful webauthn authentication",
];

/// All of them, those of a failure first: one pass over a message.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = FAILED.iter().chain(&PASSED);
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).expect("a few short words make a small automaton")
});

/// What stands around a user's name in a message.
const NAMED: [(&str, &str); 10] = [
    ("user '", "'"),
    ("username input '", "'"),
    ("user \"", "\""),
    ("User \"", "\""),
    ("username \"", "\""),
    ("user=", " "),
    ("Login failed: '", "'"),
    ("Login failed: ", " ("),
    ("username: ", " "),
    ("username=", " "),
];
/// What stands before a client's address in a message.
const ADDRESSED: [&str; 7] = ["ip=", "ipAddress=", "IP: ", "from IP ", "from ip ", "IP address ", " from "];
const USERS: [&str; 16] = [
    "user",
    "User",
    "username",
    "uname",
    "login",
    "email",
    "user_name",
    "user.name",
    "userName",
    "usr.name",
    "account",
    "principal",
    "user_email",
    "details.username",
    "context.username",
    "user_id",
];
const CLIENTS: [&str; 21] = [
    "remote_ip",
    "ip_addr",
    "remote_addr",
    "remoteAddr",
    "ip",
    "client_ip",
    "src_ip",
    "clientIP",
    "remote",
    "ipAddress",
    "ip_address",
    "source_ip",
    "sourceIp",
    "clientIp",
    "remoteIp",
    "remote_address",
    "remoteAddress",
    "remote-addr",
    "source.ip",
    "client.ip",
    "network.client.ip",
];
/// Where an object names what happened, what it is called there where that is a logon, and where its outcome stands.
const NAMES: [&str; 9] =
    ["event", "action", "event_type", "eventType", "type", "operation", "event_name", "eventName", "activity"];
const LOGONS: [&str; 11] = [
    "login",
    "logon",
    "signin",
    "sign_in",
    "sign-in",
    "user_login",
    "user.login",
    "userlogin",
    "authentication",
    "authenticate",
    "user_signin",
];
const OUTCOMES: [&str; 6] = ["outcome", "result", "status", "success", "event.outcome", "login_status"];

/// What a program says of a logon: that it failed, or that it did not; none where it is about something else.
fn failed(fields: &Fields<'_>) -> Option<bool> {
    let texts = ["msg", "message", "body", "error", "event", "type", "event_type", "action", "eventid"]
        .into_iter()
        .filter_map(|key| fields.peek(key));
    let mut passed = None;
    for text in texts {
        for found in WORDS.find_iter(text) {
            if found.pattern().as_usize() < FAILED.len() {
                return Some(true);
            }
            passed = Some(false);
        }
    }
    passed.or_else(|| named(fields))
}

/// The outcome of an event whose name says that it is a logon.
fn named(fields: &Fields<'_>) -> Option<bool> {
    let is_logon = |key: &&str| {
        let name = fields.peek(key).unwrap_or_default();
        LOGONS.iter().any(|logon| logon.eq_ignore_ascii_case(name))
    };
    NAMES.iter().find(|key| is_logon(key))?;
    OUTCOMES.into_iter().find_map(|key| match fields.leaf(key)? {
        Leaf::Bool(passed) => Some(!passed),
        leaf => is_failure(leaf.as_text()?),
    })
}

/// Whether a word says that something failed.
pub(super) fn is_failure(word: &str) -> Option<bool> {
    const FAILURES: [&str; 16] = [
        "failure",
        "failed",
        "fail",
        "error",
        "deny",
        "denied",
        "false",
        "no",
        "blocked",
        "rejected",
        "unauthorized",
        "unauthenticated",
        "invalid",
        "fraud",
        "credentials_failed",
        "mfa_failed",
    ];
    const SUCCESSES: [&str; 13] = [
        "success",
        "succeeded",
        "successful",
        "ok",
        "allow",
        "allowed",
        "granted",
        "accepted",
        "passed",
        "true",
        "yes",
        "0",
        "partiallysucceeded",
    ];
    let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if is(&FAILURES) {
        return Some(true);
    }
    is(&SUCCESSES).then_some(false)
}

/// Takes a logon; it names its user in a pair or in its message. False where there is none.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let Some(failed) = failed(fields) else { return false };
    let message = ["msg", "message", "body"].into_iter().find_map(|key| fields.peek(key)).unwrap_or_default();
    let named = NAMED.into_iter().find_map(|(open, close)| {
        // What a space would end may be the message's last word.
        let last = || cut(message, open).filter(|_| close == " ").map(|(_, user)| (user, ""));
        between(message, open, close).or_else(last)
    });
    let named = named.map(|(user, _)| user.trim_end_matches([',', ';']).to_owned());
    let place = ADDRESSED.into_iter().find_map(|open| {
        let (word, _) = word(cut(message, open)?.1);
        endpoint::ip(word.trim_matches([',', ';', '.', ')', '(', '"', '\''])).map(str::to_owned)
    });
    let found = named.is_some() || USERS.into_iter().any(|key| fields.peek(key).is_some());
    let addressed = CLIENTS.into_iter().any(|key| fields.peek(key).is_some());
    if !found && !addressed && place.is_none() {
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
    if let Some(place) = place.filter(|_| event.value(Attribute::SrcEndpointIp).is_none()) {
        event.push(Attribute::SrcEndpointIp, place);
    }
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
    use super::{FAILED, PASSED, WORDS};

    #[test]
    fn a_word_of_success_holds_no_word_of_failure() {
        for words in FAILED.into_iter().chain(PASSED) {
            assert_eq!(words, words.to_ascii_lowercase());
        }
        for words in PASSED {
            let found: Vec<usize> = WORDS.find_iter(words).map(|found| found.pattern().as_usize()).collect();
            assert!(found.iter().all(|number| *number >= FAILED.len()), "{words}");
        }
    }

    #[test]
    fn an_event_that_is_named_a_logon_has_its_outcome_beside_it() {
        for (line, status) in [
            (r#"{"event":"login","outcome":"failure","user":"ann","ip":"192.0.2.7"}"#, 2),
            (r#"{"action":"USER_LOGIN","success":true,"user":{"name":"ann"},"source_ip":"192.0.2.7"}"#, 1),
            (r#"{"type":"LOGIN_ERROR","realmId":"r","ipAddress":"192.0.2.7","details":{"username":"ann"}}"#, 2),
        ] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &status.into()), "{line}");
            assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&"ann".into(), &"192.0.2.7".into()));
        }
        assert_eq!(normalized(r#"{"event":"login","user":"ann","ip":"192.0.2.7"}"#)["class_uid"], 0);
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
                r#"{"timestamp":"2026-03-16 10:00:00","message":"Failed login attempt for username \"ann\" from ip 192.0.2.7 (bad)","levelName":"ERROR","level":4}"#,
                "ann",
                2,
            ),
            (
                r#"{"level":"info","sender":"SSH","message":"User \"ann\" logged in with \"password\", from ip \"192.0.2.7\", client x"}"#,
                "ann",
                1,
            ),
            (
                r#"{"severity":"INFO","time":"2026-03-16T10:00:00Z","message":"Failed Login: username=ann ip=192.0.2.7"}"#,
                "ann",
                2,
            ),
            (
                r#"{"level":"WARN","loggerName":"org.keycloak.events","message":"type=LOGIN_ERROR, realmId=r, ipAddress=192.0.2.7, error=x, username=ann"}"#,
                "ann",
                2,
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
