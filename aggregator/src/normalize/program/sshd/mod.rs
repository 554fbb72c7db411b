//! OpenSSH's server: who tried to log on and how it went (3002), and how connections fared (4007).
//!
//! Names in these messages are chosen by the peer. sshd writes the address after the name, so the last
//! ` from ADDRESS port N` that runs to the end of the message is the true one, whatever the name contains.
//!
//! Source of the messages: `auth.c`, `auth2*.c`, `auth-pam.c`, `packet.c`, `kex.c`, `sshd.c`, `sshd-session.c`, `session.c`,
//! `monitor.c`, `srclimit.c`, `channels.c`, `sftp-server.c` of OpenSSH 3 to 10.

mod connection;
mod credential;
mod service;
mod sftp;

use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{cut, last, port, word};
use super::pam;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `logon_type_id` 10.
const REMOTE_INTERACTIVE: i64 = 10;
const SSH_PORT: i64 = 22;

/// Reads a message of sshd.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = from_kernel(message);
    let (level, message) = ["error: ", "fatal: ", "info: ", "log: ", "debug1: ", "debug2: ", "debug3: "]
        .into_iter()
        .find_map(|level| Some((level, message.strip_prefix(level)?)))
        .unwrap_or(("", message));
    let message = message.trim_end();
    // FreeBSD's own names of the library's functions.
    let message = message.strip_prefix("Fssh_").unwrap_or(message);
    let message = message.strip_suffix(" [preauth]").or_else(|| message.strip_suffix(" [postauth]")).unwrap_or(message);
    let (first, rest) = word(message);
    let understood = match first {
        "Successful" | "Failed" | "Aborted" | "Failsafe" | "Allowed" | "Skipped"
            if rest.starts_with("Duo login for ") =>
        {
            pam::parse_of_sshd(message, header, event)
        }
        "Accepted" | "Failed" | "Postponed" | "Partial" => attempt_made(first, rest, header, event),
        "Invalid" | "Illegal" => rest.strip_prefix("user").is_some_and(|rest| invalid_user(rest, header, event)),
        "input_userauth_request:" => named(rest).is_some_and(|user| refused(user, None, "invalid user", header, event)),
        "User" => not_allowed(rest, header, event) || expired(rest, header, event) || came(rest, header, event),
        "Account" | "Login" => expired(rest, header, event) || mismatched(rest, header, event),
        "ROOT" => rest
            .strip_prefix("LOGIN REFUSED FROM ")
            .and_then(peer)
            .is_some_and(|peer| refused("root", Some(peer), "root login refused", header, event)),
        "PAM:" => pam_verdict(rest, header, event),
        "Access" => rest
            .strip_prefix("denied for user ")
            .and_then(|rest| cut(rest, " by PAM account configuration"))
            .is_some_and(|(user, _)| refused(user, None, "denied by PAM account configuration", header, event)),
        "maximum" => exceeded(rest, header, event),
        "Password" | "RSA" | "Rhosts" => first_version(first, rest, header, event),
        "Disconnecting:" | "Disconnecting" => disconnecting(message, rest, header, event),
        _ => false,
    };
    understood
        || connection::parse(message, first, rest, header, event)
        || credential::parse(message, header, event)
        || service::parse(message, header, event)
        || sftp::parse(message, event)
        || terminal(message, header, event)
        || service::trouble(level, message, event)
}

/// macOS: `bob [priv][7]: USER_PROCESS: 9 ttys000`, `bob [priv][7]: DEAD_PROCESS: 9 ttys000`.
fn terminal<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((user, rest)) = cut(message, " [priv][") else { return false };
    let Some((_, state)) = cut(rest, "]: ") else { return false };
    let (kind, rest) = word(state);
    let activity = match kind {
        "USER_PROCESS:" => 1,
        "DEAD_PROCESS:" => 2,
        _ => return false,
    };
    logon(user, None, header, event);
    event.activity_id = activity;
    event.push(Attribute::SessionTerminal, word(rest).1);
    success(event);
    true
}

/// Reads a message of sftp-server.
pub(super) fn parse_sftp<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    sftp::parse(message.strip_suffix(" [postauth]").unwrap_or(message), event)
}

/// Without what a console adds to messages that pass through it: `kernel: [  970.699397] `.
fn from_kernel(message: &str) -> &str {
    let inner = message.strip_prefix("kernel:").and_then(|rest| rest.trim_start().strip_prefix('['));
    inner.and_then(|rest| cut(rest, "]")).map_or(message, |(_, message)| message.trim_start_matches([':', ' ']))
}

/// Address and port as sshd writes them: `192.0.2.1`, `192.0.2.1 port 5`.
type Peer<'a> = (&'a str, Option<i64>);

/// A peer, and nothing behind it but ` ssh2`, ` via ADDRESS`, or what a colon introduces.
fn peer(text: &str) -> Option<Peer<'_>> {
    let (host, rest) = word(text);
    if let Some(host) = host.strip_suffix(':').filter(|_| !rest.is_empty()) {
        return Some((host, None));
    }
    if rest.is_empty() || rest.starts_with("via ") {
        return Some((host, None));
    }
    let (number, rest) = word(rest.strip_prefix("port ")?);
    let (number, colon) = number.strip_suffix(':').map_or((number, false), |number| (number, true));
    let ended = colon || rest.is_empty() || rest.starts_with("ssh") || rest.starts_with("on ");
    ended.then_some((host, Some(port(number)?)))
}

/// Splits `NAME from PEER…` at the last ` from ` that a peer follows which ends as sshd ends it; a peer
/// with a port and a protocol goes before one with neither, as old versions and PAM write it.
fn user_from(text: &str) -> Option<(&str, &str)> {
    let mut found: Option<(&str, &str)> = None;
    let mut end = text.len();
    while let Some(at) = last(text.get(..end)?, "from ") {
        let (user, tail) = (text.get(..at)?, text.get(at + "from ".len()..)?);
        end = at;
        // An empty name leaves ` from ` at the start, or nothing before `from `.
        if (at > 0 && !user.ends_with(' ')) || peer(tail).is_none() {
            continue;
        }
        let split = (user.strip_suffix(' ').unwrap_or(user), tail);
        let whole = cut(tail, " port ").is_some_and(|(_, rest)| word(rest).1.starts_with("ssh"));
        if whole {
            return Some(split);
        }
        found = found.or(Some(split));
    }
    found
}

/// The name after `invalid user ` or `illegal user `.
fn named(text: &str) -> Option<&str> {
    text.strip_prefix("invalid user").or_else(|| text.strip_prefix("illegal user")).map(|name| name.trim_start())
}

/// What all logons by sshd have in common.
fn logon<'a>(user: &'a str, peer: Option<Peer<'a>>, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    remote(peer, header, event);
}

/// What makes a logon one through sshd: service, ends, and that it is remote.
pub(super) fn remote<'a>(peer: Option<Peer<'a>>, header: &Header<'a>, event: &mut Event<'a>) {
    event.push(Attribute::ServiceName, "sshd");
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, REMOTE_INTERACTIVE);
    if let Some((host, port)) = peer {
        push_source(event, host, port);
    }
    push_destination(event, header.this_host(), Some(SSH_PORT));
}

fn refused<'a>(
    user: &'a str,
    peer: Option<Peer<'a>>,
    reason: &'a str,
    header: &Header<'a>,
    event: &mut Event<'a>,
) -> bool {
    logon(user, peer, header, event);
    failure(event, reason);
    true
}

/// `Accepted publickey for bob from 192.0.2.1 port 5 ssh2: ED25519 SHA256:…`, and `Failed`, `Postponed`,
/// `Partial` in its place.
fn attempt_made<'a>(verdict: &str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((method, rest)) = cut(rest, " for ") else { return false };
    // A host-based client names its own user and host behind the peer: there the first one is sshd's.
    let split = if method == "hostbased" { cut(rest, " from ") } else { user_from(rest) };
    let Some((user, tail)) = split else { return false };
    let Some(peer) = peer(tail) else { return false };
    let (user, invalid) = match named(user) {
        Some(user) => (user, true),
        None => (user.strip_prefix("user ").unwrap_or(user), user == "<invalid username>"),
    };
    logon(user, Some(peer), header, event);
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, method);
    if method == "password" {
        event.push(Attribute::AuthFactorsFactorTypeId, 11);
    }
    match (method, cut(tail, ": ")) {
        ("publickey" | "hostbased", Some((_, key))) => credential::key(key, event),
        ("gssapi-with-mic" | "gssapi-keyex", Some((_, principal))) => event.unmap("principal", principal),
        _ => {}
    }
    match (verdict, invalid) {
        ("Accepted", _) => success(event),
        ("Failed", true) => failure(event, "invalid user"),
        ("Failed", false) if method == "password" => failure(event, "bad password"),
        ("Failed", false) => failure(event, "authentication failed"),
        // More is asked for: neither yes nor no yet (activity 6, Preauth).
        _ => event.activity_id = 6,
    }
    true
}

/// `Invalid user bob from 192.0.2.1 port 5`; the name may be empty.
fn invalid_user<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    match user_from(rest.strip_prefix(' ').unwrap_or(rest)) {
        Some((user, tail)) => refused(user, peer(tail), "invalid user", header, event),
        None => false,
    }
}

/// `User root from 192.0.2.1 not allowed because not listed in AllowUsers`.
fn not_allowed<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((who, reason)) = rest.rsplit_once(" not allowed because ") else { return false };
    let (user, peer) = match user_from(who) {
        Some((user, tail)) => (user, peer(tail)),
        None => (who, None),
    };
    refused(user, peer, reason, header, event)
}

/// Solaris: `User bob, coming from a.example, authenticated.`
fn came<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((user, rest)) = rest.rsplit_once(", coming from ") else { return false };
    let Some(host) = rest.trim_end_matches('.').strip_suffix(", authenticated") else { return false };
    logon(user, Some((host, None)), header, event);
    success(event);
    true
}

/// `User bob password has expired (password aged)`, `Account bob has expired`, `Login restricted for bob: reason`.
fn expired<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let found = cut(rest, " password has expired")
        .map(|(user, _)| (user, "password has expired"))
        .or_else(|| rest.strip_suffix(" has expired").map(|user| (user, "account has expired")))
        .or_else(|| cut(rest.strip_prefix("restricted for ")?, ": "));
    let Some((user, reason)) = found.filter(|(user, _)| !user.contains(' ')) else { return false };
    refused(user, None, reason, header, event)
}

/// `Login name bob does not match stored username boby`.
fn mismatched<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const MISMATCH: &str = " does not match stored username ";
    let Some((user, stored)) = rest.strip_prefix("name ").and_then(|rest| cut(rest, MISMATCH)) else { return false };
    event.unmap("stored_user", stored);
    refused(user, None, "login name does not match stored username", header, event)
}

/// `PAM: Authentication failure for [illegal user] bob from host.example [via 192.0.2.1]`.
fn pam_verdict<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((reason, who)) = cut(rest, " for ") else { return false };
    match user_from(who) {
        Some((user, tail)) => refused(named(user).unwrap_or(user), peer(tail), reason, header, event),
        None => false,
    }
}

/// Version 1 of the protocol: `Password authentication for bob accepted.`, `Password authentication for bob failed.`
fn first_version<'a>(method: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = rest.strip_prefix("authentication for ") else { return false };
    let (user, accepted) = match (rest.strip_suffix(" accepted."), rest.strip_suffix(" failed.")) {
        (Some(user), _) => (user, true),
        (_, Some(user)) => (user, false),
        _ => return false,
    };
    logon(user, None, header, event);
    event.push(Attribute::AuthProtocolId, 99);
    event.push(Attribute::AuthProtocol, method);
    if accepted {
        success(event);
    } else {
        failure(event, "authentication failed");
    }
    true
}

const ATTEMPTS_EXCEEDED: &str = "maximum authentication attempts exceeded";

/// `maximum authentication attempts exceeded for [invalid user] bob from 192.0.2.1 port 5 ssh2`.
fn exceeded<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((_, who)) = cut(rest, "attempts exceeded for ") else { return false };
    match user_from(who) {
        Some((user, tail)) => refused(named(user).unwrap_or(user), peer(tail), ATTEMPTS_EXCEEDED, header, event),
        None => false,
    }
}

/// `Disconnecting: Too many authentication failures for root`, `Disconnecting invalid user bob 192.0.2.1
/// port 5: Too many authentication failures`, and other reasons to hang up.
fn disconnecting<'a>(message: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const TOO_MANY: &str = "Too many authentication failures";
    if let Some(reason) = message.strip_prefix("Disconnecting: ") {
        return match reason.strip_prefix(TOO_MANY).and_then(|rest| rest.strip_prefix(" for ")) {
            Some(user) => refused(named(user).unwrap_or(user), None, TOO_MANY, header, event),
            None => connection::fared(connection::Ssh::Fail, None, reason, header, event),
        };
    }
    let Some((who, peer, reason)) = connection::whose(rest) else { return false };
    if reason.starts_with(TOO_MANY) {
        return refused(who.unwrap_or_default(), Some(peer), TOO_MANY, header, event);
    }
    connection::claim(who, event);
    connection::fared(connection::Ssh::Fail, Some(peer), reason, header, event)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    fn sshd(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 web-1 sshd[9]: {message}"))
    }

    #[test]
    fn solaris_says_who_came_from_where() {
        let event = normalized(
            "Mar 16 10:00:00 h sshd[9]: [ID 800047 auth.info] User bob, coming from 192.0.2.1, authenticated.",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &1.into()));
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&"bob".into(), &"192.0.2.1".into()));
    }

    #[test]
    fn a_terminal_of_macos_is_taken_and_left() {
        for (state, kind) in [("USER_PROCESS", 300_201), ("DEAD_PROCESS", 300_202)] {
            let event = normalized(&format!("Mar 16 10:00:00 mac sshd: bob [priv][7]: {state}: 9 ttys000"));
            assert_eq!((&event["type_uid"], &event["user"]["name"]), (&kind.into(), &"bob".into()), "{state}");
            assert_eq!(event["session"]["terminal"], "ttys000", "{state}");
        }
        assert_eq!(sshd("bob [priv][7]: NO_PROCESS: 9 x")["type_uid"], 600_299);
    }

    #[test]
    fn an_accepted_logon_names_user_peer_and_key() {
        let event = sshd("Accepted publickey for bob from 192.0.2.1 port 5 ssh2: ED25519 SHA256:abc");
        assert_eq!(event["type_uid"], 300_201);
        assert_eq!(event["status_id"], 1);
        assert_eq!(event["user"]["name"], "bob");
        assert_eq!(event["service"]["name"], "sshd");
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!(event["dst_endpoint"], serde_json::json!({"hostname": "web-1", "port": 22}));
        assert_eq!(event["is_remote"], true);
        assert_eq!(event["logon_type_id"], 10);
        assert_eq!(event["auth_protocol_id"], 99);
        assert_eq!(event["auth_protocol"], "publickey");
        assert_eq!(event["unmapped"], serde_json::json!({"key_type": "ED25519", "key_fingerprint": "SHA256:abc"}));
        assert_eq!(event["actor"]["process"], serde_json::json!({"name": "sshd", "pid": 9}));
        let observed: Vec<_> = event["observables"].as_array().unwrap().iter().map(|o| &o["value"]).collect();
        assert_eq!(observed, ["bob", "192.0.2.1"]);
    }

    #[test]
    fn failures_say_who_and_why() {
        const EXCEEDED: &str = "maximum authentication attempts exceeded";
        const TOO_MANY: &str = "Too many authentication failures";
        for (message, user, detail, peer) in [
            ("Failed password for root from 192.0.2.1 port 5 ssh2", "root", "bad password", true),
            ("Failed password for invalid user bob from 192.0.2.1 port 5 ssh2", "bob", "invalid user", true),
            ("Failed none for invalid user  from 192.0.2.1 port 5 ssh2", "", "invalid user", true),
            ("Failed publickey for git from 192.0.2.1 port 5 ssh2: RSA 04:bc", "git", "authentication failed", true),
            ("Invalid user bob from 192.0.2.1 port 5", "bob", "invalid user", true),
            ("Invalid user  from 192.0.2.1", "", "invalid user", true),
            ("input_userauth_request: invalid user bob [preauth]", "bob", "invalid user", false),
            (
                "User root from 192.0.2.1 not allowed because not listed in AllowUsers",
                "root",
                "not listed in AllowUsers",
                true,
            ),
            ("User root not allowed because account is locked", "root", "account is locked", false),
            (
                "Login name bob does not match stored username rob",
                "bob",
                "login name does not match stored username",
                false,
            ),
            ("ROOT LOGIN REFUSED FROM 192.0.2.1 port 5 [preauth]", "root", "root login refused", true),
            ("error: PAM: No such user for bob from 192.0.2.1 via 192.0.2.9", "bob", "No such user", true),
            ("error: PAM: No such user for illegal user bob from 192.0.2.1", "bob", "No such user", true),
            (
                &format!("error: {EXCEEDED} for invalid user bob from 192.0.2.1 port 5 ssh2 [preauth]"),
                "bob",
                EXCEEDED,
                true,
            ),
            (&format!("Disconnecting: {TOO_MANY} for bob [preauth]"), "bob", TOO_MANY, false),
            (&format!("Disconnecting invalid user bob 192.0.2.1 port 5: {TOO_MANY} [preauth]"), "bob", TOO_MANY, true),
        ] {
            let event = sshd(message);
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["status_id"], 2, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["status_detail"], detail, "{message}");
            assert_eq!(event["src_endpoint"]["ip"].as_str(), peer.then_some("192.0.2.1"), "{message}");
            assert_eq!(event["severity_id"], 2, "{message}");
        }
    }

    #[test]
    fn a_name_cannot_pretend_to_be_the_peer() {
        let event = sshd("Failed password for invalid user x from 10.9.9.9 port 1 ssh2 from 192.0.2.1 port 5 ssh2");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        assert_eq!(event["user"]["name"], "x from 10.9.9.9 port 1 ssh2");
        let event = sshd("Failed password for bob from 192.0.2.1 port 5 ssh1: ruser x from 10.9.9.9");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        let event = sshd(
            r#"Failed hostbased for bob from 192.0.2.1 port 5 ssh2: RSA 8c:e3, client user "x from 10.9.9.9 port 1 ssh2""#,
        );
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        assert_eq!(event["unmapped"]["key_fingerprint"], "8c:e3");
    }

    #[test]
    fn an_attempt_that_needs_more_is_neither_yes_nor_no() {
        let event = sshd("Postponed publickey for bob from 192.0.2.1 port 5 ssh2 [preauth]");
        assert_eq!(event["type_uid"], 300_206);
        assert!(event.get("status_id").is_none());
    }

    #[test]
    fn repeats_are_counted() {
        let event = sshd("message repeated 5 times: [ Failed password for root from 192.0.2.1 port 5 ssh2]");
        assert_eq!(event["count"], 5);
        assert_eq!(event["class_uid"], 3002);
        assert_eq!(event["src_endpoint"]["port"], 5);
        let event = sshd("message repeated 5 times: [ something else]");
        assert_eq!((&event["type_uid"], &event["count"]), (&600_299.into(), &5.into()));
    }
}
