//! Logons (3002) that a program tells of in a sentence, in a line that no parser knows better.
//!
//! In: the message behind a time, or of a program of syslog. Out: that a logon failed or succeeded, with the user and the client
//! that words introduce; nothing where no address is introduced as the client's. Source: the sentences of Gitea
//! (`routers/web/auth`), GitLab (`application.log`), Vaultwarden (`src/api/identity.rs`), Jellyfin (`UserManager`), Home Assistant
//! (`http/ban.py`), Keycloak (`JBossLoggingEventListenerProvider`), Zimbra (`SoapEngine`), Paperless, RouterOS (`system,error`),
//! pfSense and OPNsense (`auth.inc`), Synology's DSM.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::endpoint::{ip, with_port};
use super::outcome::{failure, success};
use super::text::{between, cut, port};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activities of Authentication (3002).
const LOGON: u8 = 1;
const LOGOFF: u8 = 2;
/// `logon_type_id` 3: network.
const NETWORK: i64 = 3;

/// What programs say of a logon that failed, in small letters.
const FAILED: [&str; 27] = [
    "failed login",
    "login failed",
    "login failure",
    "login attempt failed",
    "login_error",
    "invalid login",
    "unsuccessful login",
    "failed authentication",
    "authentication failed",
    "authentication failure",
    "authentication error",
    "authentication unsuccessful",
    "invalid authentication",
    "unsuccessful authentication",
    "failed to authenticate",
    "failed to log in",
    "failed to sign in",
    "auth failed",
    "auth failure",
    "invalid credentials",
    "invalid password",
    "incorrect password",
    "password is incorrect",
    "password incorrect",
    "wrong password",
    "invalid admin token",
    "invalid totp",
];
/// Of one that succeeded.
const PASSED: [&str; 8] = [
    " logged in",
    " signed in to ",
    "login successful",
    "successful login",
    "login succeeded",
    "authentication succeeded",
    "successful authentication",
    "successfully authenticated",
];

/// What else tells of one, alone or beside another.
const OTHERS_SAID: [&str; 5] =
    [" logged out", "not logged in", "authentication request for ", " has been denied", " has succeeded"];

/// All of them, in that order, in letters of either case: one pass over a message, which most leave with nothing.
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = FAILED.iter().chain(&PASSED).chain(&OTHERS_SAID);
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).expect("a few short words make a small automaton")
});
const _: () = assert!(FAILED.len() + PASSED.len() + OTHERS_SAID.len() <= 64, "a bit for each");

/// Words before the client's address, in small letters.
const CLIENTS: [&str; 12] = [
    "from",
    "ip",
    "oip",
    "ipaddress",
    "client",
    "client_ip",
    "remote_ip",
    "remote_addr",
    "rhost",
    "address",
    "remote",
    "ip_addr",
];
/// How many words after one of them the address may stand: `from host.example (192.0.2.1)`, `from private IP 192.0.2.1`.
const BEHIND_MAX: usize = 2;

/// What stands before a user's name.
const USERS: [&str; 16] = [
    "for user ",
    "by user ",
    "for invalid user ",
    "username=",
    "sername: ",
    "username:",
    "user=",
    "user: ",
    "login:",
    "\"email\":",
    "name that has been provided was ",
    "login as ",
    " for ",
    "user ",
    "User ",
    "user:",
];

/// Words that stand there and are no name.
const OTHERS: [&str; 13] =
    ["-", "a", "does", "from", "has", "invalid", "is", "name", "not", "null", "the", "user", "with"];

/// Takes a logon; false where the message tells of none, or of no client.
pub(super) fn parse<'a>(message: &'a str, service: &'a str, event: &mut Event<'a>) -> bool {
    let Some((failed, activity, reason)) = verdict(message) else { return false };
    let Some((address, port)) = client(message).or_else(|| connection(message)) else { return false };
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user(message).unwrap_or("unknown"));
    event.push(Attribute::ServiceName, if service.is_empty() { "application" } else { service });
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, NETWORK);
    event.push(Attribute::SrcEndpointIp, address);
    if let Some(port) = port.filter(|port| *port > 0) {
        event.push(Attribute::SrcEndpointPort, port);
    }
    if failed {
        failure(event, reason);
    } else {
        success(event);
    }
    true
}

/// Whether a logon failed, its activity, and the words that say so.
fn verdict(message: &str) -> Option<(bool, u8, &'static str)> {
    let said = WORDS.find_overlapping_iter(message).fold(0_u64, |said, found| said | 1 << found.pattern().as_usize());
    let any = |from: usize, count: usize| said >> from & ((1 << count) - 1);
    let failed = any(0, FAILED.len());
    if failed != 0 {
        let words = FAILED.get(failed.trailing_zeros() as usize).copied().unwrap_or_default();
        return Some((true, LOGON, words));
    }
    let [logged_out, not_logged_in, request, denied, succeeded] =
        [0, 1, 2, 3, 4].map(|number| any(FAILED.len() + PASSED.len() + number, 1) != 0);
    if denied && request {
        return Some((true, LOGON, "denied"));
    }
    if logged_out {
        return Some((false, LOGOFF, ""));
    }
    let passed = any(FAILED.len(), PASSED.len()) != 0 && !not_logged_in;
    (passed || (succeeded && request)).then_some((false, LOGON, ""))
}

/// The first address that is introduced as the client's, and its port.
fn client(message: &str) -> Option<(&str, Option<i64>)> {
    let mut behind = usize::MAX;
    for word in message.split([' ', '\t', '=', ',', ';', '(', ')', '`', '\'', '"', '<', '>']) {
        let word = word.trim_end_matches(['.', ':', ']']);
        if word.is_empty() {
            continue;
        }
        // `ip:192.0.2.1`
        let (introduced, word) = match word.split_once(':') {
            Some((name, value)) if is_client(name) => (true, value),
            _ => (false, word),
        };
        // The bracket that belongs to an address was cut off with the one around it.
        let bare = word.strip_prefix('[').filter(|bare| with_port(bare).is_some()).unwrap_or(word);
        if introduced || behind <= BEHIND_MAX {
            if let Some(end) = with_port(bare) {
                return Some(end);
            }
            behind = behind.saturating_add(1);
        }
        if is_client(bare.trim_start_matches('[')) {
            behind = 0;
        }
    }
    None
}

/// LiteSpeed's mark of a connection: `[192.0.2.1:4711-5#Example]`, `[192.0.2.1:4711:HTTP2-41#Example]`.
fn connection(message: &str) -> Option<(&str, Option<i64>)> {
    message.split('[').skip(1).find_map(|part| {
        let (mark, _) = part.split_once(']').filter(|(mark, _)| mark.contains('#'))?;
        let (host, rest) = mark.split_once(':')?;
        let number = rest.split([':', '-']).next()?;
        Some((ip(host)?, port(number)))
    })
}

fn is_client(word: &str) -> bool {
    CLIENTS.iter().any(|client| client.eq_ignore_ascii_case(word))
}

/// The name behind the first of the words that introduce one.
fn user(message: &str) -> Option<&str> {
    // GitLab's name may have spaces, and the address follows it.
    if let Some((name, _)) = between(message, "username=", " ip=") {
        return Some(name);
    }
    USERS.iter().find_map(|open| {
        let (_, rest) = cut(message, open)?;
        let close = match rest.bytes().next()? {
            quote @ (b'\'' | b'"' | b'`') => Some(char::from(quote)),
            b'[' => Some(']'),
            _ => None,
        };
        let name = match close {
            Some(close) => rest.get(1..)?.split_once(close)?.0,
            None => rest.split([' ', ',', ';']).next()?.trim_end_matches(['.', ':', ')']),
        };
        // Between quotes a name may hold anything; elsewhere these belong to what is no name.
        let bare = close.is_none() && (name.contains(['=', '{']) || name.starts_with("db:"));
        let is_name = !name.is_empty() && !bare && !OTHERS.contains(&name);
        is_name.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::normalized;

    /// A line, and the user, address, port and outcome that it tells of.
    type Told = (&'static str, &'static str, &'static str, Option<i64>, i64);

    fn told(lines: &[Told]) {
        for (line, user, address, port, status) in lines {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(status)), "{line}");
            assert_eq!(event["user"]["name"], *user, "{line}");
            assert_eq!(event["src_endpoint"]["ip"], *address, "{line}");
            assert_eq!(event["src_endpoint"]["port"].as_i64(), *port, "{line}");
            assert_eq!(event["time"].as_i64().map(|ms| ms / 1000), Some(1_773_651_600), "{line}");
        }
    }

    #[test]
    fn sentences_of_a_logon_have_user_client_and_outcome() {
        told(&[
            (
                "2026/03/16 10:00:00 ...ers/web/auth/auth.go:200:SignInPost() [I] Failed authentication attempt for bob from 192.0.2.1:4711: user does not exist [uid: 0, name: bob, keyid: 0]",
                "bob",
                "192.0.2.1",
                Some(4711),
                2,
            ),
            (
                "2026/03/16 10:00:00 ...ers/web/auth/auth.go:206:SignInPost() [I] [645e] Failed authentication attempt for bob from [2001:db8::1]:0: user does not exist [uid: 0, name: bob]",
                "bob",
                "2001:db8::1",
                None,
                2,
            ),
            ("2026-03-16T09:00:00.123Z: Failed Login: username=bob ip=192.0.2.1", "bob", "192.0.2.1", None, 2),
            (
                "2026-03-16T09:00:00.123Z: Failed Login: username=bob the builder ip=192.0.2.1",
                "bob the builder",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "[2026-03-16 10:00:00.123][vaultwarden::api::identity][ERROR] Username or password is incorrect. Try again. IP: 192.0.2.1. Username: bob@example.com.",
                "bob@example.com",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "[2026-03-16 10:00:00.123][vaultwarden::api::admin][ERROR] Invalid admin token. IP: ::1",
                "unknown",
                "::1",
                None,
                2,
            ),
            (
                "[2026-03-16 10:00:00.123 +01:00] [INF] [7] Jellyfin.Server.Implementations.Users.UserManager: Authentication request for \"bob\" has been denied (IP: \"192.0.2.1\").",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00.123 WARNING (MainThread) [homeassistant.components.http.ban] Login attempt or request with invalid authentication from h.example.com (192.0.2.1). Requested URL: '/auth'. (Mozilla/5.0)",
                "unknown",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00,123 WARN  [org.keycloak.events] (executor-thread-1) type=LOGIN_ERROR, realmId=x, clientId=web, userId=null, ipAddress=192.0.2.1, error=user_not_found, auth_method=openid-connect, username=bob",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00,123 INFO  [qtp9:https://mail.example.com:7071/service/admin/soap/AuthRequest] [name=bob@example.com;oip=192.0.2.1;port=4711;ua=Client;soapId=9;] SoapEngine - handler exception: authentication failed for [bob@example.com], invalid password",
                "bob@example.com",
                "192.0.2.1",
                None,
                2,
            ),
        ]);
    }

    #[test]
    fn words_that_introduce_user_and_client_differ() {
        told(&[
            (
                "Mar 16 10:00:00 nas Connection: User [bob] from [192.0.2.1] failed to sign in to [DSM] via [password] due to authorization failure.",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "Mar 16 10:00:00 nas Connection: User [bob] from [192.0.2.1] signed in to [DSM] successfully via [password].",
                "bob",
                "192.0.2.1",
                None,
                1,
            ),
            (
                "2026-03-16T10:00:00.123+0100\terror\tmlog/log.go:172\tLogin failed because of invalid password\t{\"path\": \"/api/v4/users/login\", \"ip_addr\": \"192.0.2.1\", \"user_id\": \"\"}",
                "unknown",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "[2026-03-16 10:00:00,123] [INFO] [paperless.auth] Login failed for user `bob` from private IP `192.0.2.1`.",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16T10:00:00.123+01:00 gw system,error,critical login failure for user bob from 192.0.2.1 via ssh",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "<30>Mar 16 10:00:00 gw system,info,account user bob logged in from 192.0.2.1 via winbox",
                "bob",
                "192.0.2.1",
                None,
                1,
            ),
            (
                "<35>1 2026-03-16T09:00:00+00:00 gw audit 7 - [meta sequenceId=\"4\"] /index.php: Web GUI authentication error for 'bob' from 192.0.2.1",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "Mar 16 10:00:00 gw php-fpm[7]: /index.php: webConfigurator authentication error for user 'bob' from: 192.0.2.1",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00.123456 [NOTICE] [7] [192.0.2.9:4711:HTTP2-41#_AdminVHost] [STDERR] [WebAdmin Console] Failed Login Attempt - username:bob ip:192.0.2.1 url:",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00.123456 [INFO] [7] [192.0.2.1:4711-5#Example] User 'bob' failed to authenticate.",
                "bob",
                "192.0.2.1",
                Some(4711),
                2,
            ),
            (
                "2026-03-16T09:00:00.123Z [info][Auth]: Failed login attempt from user with incorrect credentials {\"account\":{\"ip\":\"::ffff:192.0.2.1\",\"email\":\"bob\",\"password\":\"x\"}}",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00,123 1 INFO shop addons.base.models.res_users: Login failed for db:shop login:bob from 192.0.2.1",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00.12 Logon       Login failed for user '==bob'. Reason: Password did not match. [CLIENT: 192.0.2.1]",
                "==bob",
                "192.0.2.1",
                None,
                2,
            ),
            (
                "2026-03-16 10:00:00.123 Connection \"7\": User authentication failed. The user name that has been provided was \"bob\", from 192.0.2.1.",
                "bob",
                "192.0.2.1",
                None,
                2,
            ),
        ]);
    }

    #[test]
    fn a_logoff_is_one() {
        let event =
            normalized("2026-03-16T10:00:00+01:00 gw system,info,account user bob logged out from 192.0.2.1 via ssh");
        assert_eq!((&event["type_uid"], &event["user"]["name"]), (&json!(300_202), &json!("bob")));
    }

    #[test]
    fn what_names_no_client_or_tells_of_no_logon_is_left() {
        for line in [
            "2026-03-16 10:00:00 INFO login page from 192.0.2.1 shown",
            "2026-03-16 10:00:00 INFO login failed, see manual 1.2.3.4",
            "2026-03-16 10:00:00 INFO user not logged in from 192.0.2.1",
            "2026-03-16 10:00:00 INFO backup from 192.0.2.1 failed",
        ] {
            assert_eq!(normalized(line)["class_uid"], 0, "{line}");
        }
    }
}
