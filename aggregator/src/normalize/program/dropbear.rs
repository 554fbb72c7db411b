//! dropbear: logons (3002) and connections (4007).
//!
//! A name is the peer's own claim; dropbear writes the address last. Source: `svr-auth.c`, `svr-authpasswd.c`, `svr-authpam.c`,
//! `svr-authpubkey.c`, `svr-session.c`, `svr-main.c` of dropbear 0.50 to 2025.

use super::super::endpoint::{ip, push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{between, cut, number, port, unquoted, word};
use crate::event::Event;
use crate::schema::{Attribute, Class};

const SSH_PORT: i64 = 22;
/// `logon_type_id` 10.
const REMOTE_INTERACTIVE: i64 = 10;

/// Address and port of a peer.
type Peer<'a> = (&'a str, Option<i64>);

/// Reads a message of dropbear.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let message = message.trim_end();
    succeeded(message, header, event) || failed(message, header, event) || connection(message, header, event)
}

/// `ADDRESS:PORT`, in `<>` or not, at the start of a text.
fn peer(text: &str) -> Option<Peer<'_>> {
    let text = text.trim_start_matches('<');
    let end = text.find([' ', '>', ')', ',']).unwrap_or(text.len());
    let (host, number) = text.get(..end)?.trim_end_matches(':').rsplit_once(':')?;
    Some((ip(host).unwrap_or(host), Some(port(number)?)))
}

/// What stands before the last ` from `, and the peer behind it.
fn from(text: &str) -> Option<(&str, Peer<'_>)> {
    let (before, tail) = text.rsplit_once(" from ")?;
    Some((before, peer(tail)?))
}

/// The name of `user 'bob'`; where nobody has it, dropbear writes `user 'is invalid'`.
fn claimed(user: &str) -> &str {
    Some(unquoted(user)).filter(|name| *name != "is invalid").unwrap_or_default()
}

fn logon<'a>(user: &'a str, method: &'static str, peer: Option<Peer<'a>>, header: &Header<'a>, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = 1;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, "dropbear");
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, REMOTE_INTERACTIVE);
    if let Some((host, port)) = peer {
        push_source(event, host, port);
    }
    push_destination(event, header.this_host(), Some(SSH_PORT));
    if !method.is_empty() {
        event.push(Attribute::AuthProtocolId, 99);
        event.push(Attribute::AuthProtocol, method);
    }
}

/// `Password auth succeeded for 'bob' from 192.0.2.1:5`, `PAM password auth succeeded for …`, `Pubkey auth succeeded for 'bob'
/// with ssh-ed25519 key SHA256:… from 192.0.2.1:5`, `Auth succeeded with blank password for 'bob' from 192.0.2.1:5`.
fn succeeded<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let lower = message.get(..1).unwrap_or_default();
    if !lower.eq_ignore_ascii_case("p") && !lower.eq_ignore_ascii_case("a") {
        return false;
    }
    let Some((how, rest)) = cut(message, " succeeded ") else { return false };
    let Some((_, rest)) = cut(rest, "for ") else { return false };
    let Some((who, peer)) = from(rest) else { return false };
    let (user, key) = cut(who, " with ").map_or((who, None), |(user, key)| (user, Some(key)));
    let public = how.starts_with("Pubkey") || how.starts_with("pubkey");
    logon(unquoted(user), if public { "publickey" } else { "password" }, Some(peer), header, event);
    if let Some(key) = key {
        // `ssh-rsa key SHA256:…`, of old `key sha1!! aa:bb:…`, `key md5 aa:bb:…`.
        match key.strip_prefix("key ") {
            Some(print) => event.unmap("key_fingerprint", print),
            None => {
                event.unmap("key_type", word(key).0);
                event.unmap("key_fingerprint", key.rsplit(' ').next().unwrap_or(key));
            }
        }
    }
    success(event);
    true
}

/// `Bad password attempt for 'bob' from 192.0.2.1:5`, `Bad PAM password attempt for …`, `Login attempt for nonexistent user
/// ['bob'] from …`, `Login attempt for nonexistent user from …`, `root login rejected`, `Exit before auth (user 'bob', 10
/// fails): Max auth tries reached - user 'bob' from 192.0.2.1:5`, `User 'bob' has invalid shell, rejected`, `User account
/// 'bob' is locked`, `user 'bob' has blank password, rejected`, `pam_authenticate() failed, rc=7, reason`, `Pubkey …`.
fn failed<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let tried = ["Login attempt with wrong user ", "Max auth tries reached - user "]
        .into_iter()
        .find_map(|start| Some((start, from(message.strip_prefix(start)?)?)));
    if let Some((start, (user, peer))) = tried {
        logon(claimed(user), "", Some(peer), header, event);
        failure(event, if start.starts_with("Max") { "Max auth tries reached" } else { "invalid user" });
        return true;
    }
    let (first, rest) = word(message);
    if first.eq_ignore_ascii_case("bad") || first.eq_ignore_ascii_case("login") {
        let Some((what, who)) = cut(rest, " for ") else { return false };
        // Where the name is not told, ` from ` comes at once.
        let (who, peer) = match from(who) {
            Some((who, peer)) => (who, Some(peer)),
            None => (who, None),
        };
        let unknown = who.strip_prefix("nonexistent user").map(str::trim_start);
        logon(
            unquoted(unknown.unwrap_or(who)),
            if what.contains("password") { "password" } else { "" },
            peer,
            header,
            event,
        );
        failure(event, if unknown.is_some() { "invalid user" } else { "bad password" });
        return true;
    }
    if let Some((what, who)) = message.strip_prefix("Pubkey auth attempt ").and_then(|rest| cut(rest, " for ")) {
        let (user, peer) = from(who).map_or((who, None), |(user, peer)| (user, Some(peer)));
        logon(unquoted(user), "publickey", peer, header, event);
        failure(event, what);
        return true;
    }
    // OpenWrt's and newer ones say from where root was turned away.
    if let Some(who) = message.get(5..).filter(|_| first.eq_ignore_ascii_case("root"))
        && who.starts_with("login rejected")
        && let Some((_, peer)) = from(who)
    {
        logon("root", "", Some(peer), header, event);
        failure(event, "root login rejected");
        return true;
    }
    if let Some((fails, rest)) = message.strip_prefix("Exit before auth").and_then(|rest| cut(rest, ": ")) {
        let Some((_, who)) = cut(rest, "Max auth tries reached - user ") else { return false };
        // Since 2020.79 the peer stands before the reason: `Exit before auth from <192.0.2.1:5>: (user 'bob', 10 fails): …`.
        let early = fails.strip_prefix(" from <").and_then(peer);
        let Some((user, peer)) = from(who).or_else(|| Some((who, early?))) else { return false };
        logon(claimed(user), "", Some(peer), header, event);
        failure(event, "Max auth tries reached");
        if let Some(count) = between(message, "', ", " fails").and_then(|(count, _)| number(count)) {
            event.push(Attribute::Count, count);
        }
        return true;
    }
    if let Some((_, reason)) = message.strip_prefix("pam_authenticate() failed, ").and_then(|rest| cut(rest, ", ")) {
        logon("", "password", None, header, event);
        failure(event, reason);
        return true;
    }
    if let Some((user, peer)) =
        message.strip_prefix("User '").and_then(from).filter(|_| message.contains(", rejected "))
    {
        logon(cut(user, "' ").map_or(user, |(user, _)| user), "", Some(peer), header, event);
        failure(event, cut(user, "' ").map_or(user, |(_, reason)| reason));
        return true;
    }
    let user = between(message, "'", "'").map(|(user, _)| user);
    let rejects =
        message.ends_with("rejected") || message.ends_with("is locked") || message.contains(" must be owned by ");
    match user {
        _ if message.starts_with("root login rejected") || message.starts_with("Root login rejected") => {
            logon("root", "", None, header, event)
        }
        Some(user) if rejects => logon(user, "", None, header, event),
        None if rejects && message.contains(" must be owned by ") => logon("", "publickey", None, header, event),
        _ => return false,
    }
    failure(event, message);
    true
}

/// `Child connection from 192.0.2.1:5`, `Exit before auth from <192.0.2.1:5>: reason`, `Exit (bob) from <192.0.2.1:5>: reason`,
/// `Exit (bob): reason`, `Not backgrounding`, `Running in background`, `Early exit: …`.
fn connection<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const OPEN: u8 = 1;
    const CLOSE: u8 = 2;
    const FAIL: u8 = 4;
    if let Some(from) = message.strip_prefix("Child connection from ").and_then(peer) {
        return ssh(OPEN, Some(from), "", header, event);
    }
    if message.starts_with("Running in background")
        || message.starts_with("Not backgrounding")
        || message.starts_with("Early exit")
    {
        event.class = Class::ApplicationLifecycle;
        event.activity_id = if message.starts_with("Early") { 4 } else { 3 };
        event.push(Attribute::AppName, "dropbear");
        event.push(Attribute::StatusDetail, message);
        return true;
    }
    let Some(rest) = message.strip_prefix("Exit ").or_else(|| message.strip_prefix("exit ")) else { return false };
    let (who, reason) = match cut(rest, ">: ").or_else(|| cut(rest, "): ")) {
        Some(found) => found,
        None => cut(rest, ": ").unwrap_or((rest, "")),
    };
    let before = rest.starts_with("before auth") || reason.starts_with("Bad ");
    let peer = cut(who, "from <").and_then(|(_, host)| peer(host)).or_else(|| from(reason).map(|(_, peer)| peer));
    let user = between(rest, "user '", "'").map(|(user, _)| user);
    if !ssh(if before { FAIL } else { CLOSE }, peer, reason, header, event) {
        return false;
    }
    match (user, rest.strip_prefix('(')) {
        // Claimed, not proved.
        (Some(user), _) => event.unmap("user", user),
        (None, Some(rest)) => event.push(Attribute::ActorUserName, cut(rest, ")").map_or(rest, |(user, _)| user)),
        (None, None) => {}
    }
    true
}

fn ssh<'a>(activity: u8, peer: Option<Peer<'a>>, reason: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let source = peer.is_some_and(|(host, port)| push_source(event, host, port));
    if !push_destination(event, header.this_host(), Some(SSH_PORT)) && !source {
        return false;
    }
    event.class = Class::SshActivity;
    event.activity_id = activity;
    match activity {
        4 => failure(event, reason),
        1 => success(event),
        _ if !reason.is_empty() => event.push(Attribute::StatusDetail, reason),
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    fn dropbear(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 web-1 dropbear[9]: {message}"))
    }

    #[test]
    fn root_and_keys_that_are_turned_away_are_failed_logons() {
        for message in [
            "Root login rejected from 192.0.2.1:5",
            "Pubkey auth attempt with unknown algo for 'root' from 192.0.2.1:5",
        ] {
            let event = dropbear(message);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()), "{message}");
            assert_eq!(
                (&event["user"]["name"], &event["src_endpoint"]["port"]),
                (&"root".into(), &5.into()),
                "{message}"
            );
        }
    }

    #[test]
    fn logons_name_user_and_peer() {
        for (message, user, status) in [
            ("Password auth succeeded for 'bob' from 192.0.2.1:5", "bob", 1),
            ("password auth succeeded for 'bob' from ::ffff:192.0.2.1:5", "bob", 1),
            ("Pubkey auth succeeded for 'bob' with ssh-ed25519 key SHA256:abc from 192.0.2.1:5", "bob", 1),
            ("Bad password attempt for 'bob' from 192.0.2.1:5", "bob", 2),
            ("Bad PAM password attempt for 'bob' from 192.0.2.1:5", "bob", 2),
            ("Login attempt for nonexistent user from 192.0.2.1:5", "", 2),
            ("Login attempt with wrong user bob from 192.0.2.1:5", "bob", 2),
            ("Max auth tries reached - user 'bob' from 192.0.2.1:5", "bob", 2),
            ("Max auth tries reached - user 'is invalid' from 192.0.2.1:5", "", 2),
            ("User 'bob' has invalid shell, rejected from 192.0.2.1:5", "bob", 2),
            ("Login attempt for nonexistent user 'bob' from 192.0.2.1:5", "bob", 2),
            ("Exit before auth (user 'bob', 10 fails): Max auth tries reached - user 'bob' from 192.0.2.1:5", "bob", 2),
            (
                "Exit before auth from <192.0.2.1:5>: (user 'bob', 10 fails): Max auth tries reached - user 'bob'",
                "bob",
                2,
            ),
            ("Pubkey auth succeeded for 'bob' with key sha1!! aa:bb from 192.0.2.1:5", "bob", 1),
        ] {
            let event = dropbear(message);
            assert_eq!(event["type_uid"], 300_201, "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
            assert_eq!(event["status_id"], status, "{message}");
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}), "{message}");
        }
    }

    #[test]
    fn what_names_no_peer_is_a_failed_logon_too() {
        for (message, user) in [
            ("User 'bob' has invalid shell, rejected", "bob"),
            ("pam_authenticate() failed, rc=7, Authentication failure", ""),
        ] {
            let event = dropbear(message);
            assert_eq!((&event["type_uid"], &event["status_id"]), (&300_201.into(), &2.into()), "{message}");
            assert_eq!(event["user"]["name"], user, "{message}");
        }
    }

    #[test]
    fn connections_open_and_end() {
        for (message, activity) in [
            ("Child connection from 192.0.2.1:5", 1),
            ("Exit before auth from <192.0.2.1:5>: Bad buf_getptr", 4),
            ("Exit (bob) from <192.0.2.1:5>: Disconnect received", 2),
        ] {
            let event = dropbear(message);
            assert_eq!(event["type_uid"], 400_700 + activity, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
        }
        assert_eq!(dropbear("Exit (bob): Disconnect received")["actor"]["user"]["name"], "bob");
    }
}
