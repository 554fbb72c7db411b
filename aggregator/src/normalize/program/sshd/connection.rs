//! Connections to OpenSSH's server and what became of them (4007).
//!
//! In: the message and its first word. Out: the activity and the peer, where the message names one; a name
//! that the peer claimed before it proved anything is no actor and stands in `unmapped.user`, one that was let in is the actor.

use super::super::super::endpoint::{ip, push_destination, push_source};
use super::super::super::outcome::{LOW, failure, success};
use super::super::super::syslog::Header;
use super::super::super::text::{between, cut, last, last_cut, number, port, word};
use super::{Peer, SSH_PORT, peer};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// OCSF activities of SSH Activity (4007).
#[derive(Clone, Copy)]
pub(super) enum Ssh {
    Open = 1,
    Close = 2,
    Reset = 3,
    Fail = 4,
    Refuse = 5,
    Listen = 7,
}

/// Reads a message about the connection rather than the person.
pub(super) fn parse<'a>(
    message: &'a str,
    first: &str,
    rest: &'a str,
    header: &Header<'a>,
    event: &mut Event<'a>,
) -> bool {
    match first {
        "Connection" => connection_state(rest, header, event),
        "Received" => match rest.strip_prefix("disconnect from ") {
            Some(rest) => received_disconnect(rest, header, event),
            None => false,
        },
        "Disconnected" => match rest.strip_prefix("from ") {
            Some(who) if who.starts_with("UNKNOWN") => fared(Ssh::Close, None, "", header, event),
            Some(who) => ended(Ssh::Close, who, header, event),
            None => false,
        },
        "Close" | "Starting" => session(first, rest, header, event),
        "Server" => listening(rest, event),
        "reverse" | "Address" | "Nasty" => reverse_mapping(message, header, event),
        "refused" | "drop" | "beginning" | "exited" => refusal(message, first, rest, header, event),
        _ => trouble(message, header, event),
    }
}

/// `[KIND user NAME ]ADDRESS[ port N][: REASON]`, as in `authenticating user bob 192.0.2.1 port 5`: the
/// claimed name, the peer, the reason.
pub(super) fn whose(text: &str) -> Option<(Option<&str>, Peer<'_>, &str)> {
    let (user, rest) = match cut(text, "user ") {
        Some((kind, rest)) if kind.len() < 20 && !kind.contains(':') => {
            // The name may hold spaces: the address is the last word before ` port `, or the last of all.
            let end = last(rest, " port ").unwrap_or(rest.len());
            let start = rest.get(..end)?.rfind(' ')?;
            (Some(rest.get(..start)?), rest.get(start + 1..)?)
        }
        _ => (None, text),
    };
    let (host, after) = word(rest);
    let host = host.trim_end_matches(':');
    ip(host).or_else(|| host.contains('.').then_some(host))?;
    let Some(after) = after.strip_prefix("port ") else { return Some((user, (host, None), after)) };
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (number, reason) = after.split_at_checked(digits)?;
    let reason = reason.strip_prefix(':').unwrap_or(reason).trim_start();
    Some((user, (host, port(number)), reason))
}

/// A name that the peer claimed before it proved anything: not an actor.
pub(super) fn claim<'a>(user: Option<&'a str>, event: &mut Event<'a>) {
    if let Some(user) = user {
        event.unmap("user", user);
    }
}

/// Whose connection it is: `user bob …` has logged on and is the actor, `authenticating user bob …` and `invalid user bob …` are
/// names that nothing proved (`auth2.c` and `sshd-session.c` set this preamble).
fn told<'a>(user: Option<&'a str>, who: &str, event: &mut Event<'a>) {
    match user {
        Some(user) if who.starts_with("user ") => event.push(Attribute::ActorUserName, user),
        _ => claim(user, event),
    }
}

/// A connection that ended: where the name was not proved, the logon that the peer wanted did not come about.
fn ended<'a>(activity: Ssh, who: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((user, peer, reason)) = whose(who) else { return false };
    if !fared(activity, Some(peer), reason, header, event) {
        return false;
    }
    told(user, who, event);
    if ["authenticating user ", "invalid user "].iter().any(|kind| who.starts_with(kind)) {
        event.push(Attribute::Status, "Failure");
        event.push(Attribute::StatusId, 2);
    }
    true
}

/// What a connection came to.
pub(super) fn fared<'a>(
    activity: Ssh,
    peer: Option<Peer<'a>>,
    reason: &'a str,
    header: &Header<'a>,
    event: &mut Event<'a>,
) -> bool {
    let source = peer.is_some_and(|(host, port)| push_source(event, host, port));
    let destination = push_destination(event, header.this_host(), Some(SSH_PORT));
    if !source && !destination {
        return false;
    }
    event.class = Class::SshActivity;
    event.activity_id = activity as u8;
    match activity {
        Ssh::Fail | Ssh::Refuse => failure(event, reason),
        Ssh::Open | Ssh::Listen => success(event),
        Ssh::Close | Ssh::Reset if !reason.is_empty() => event.push(Attribute::StatusDetail, reason),
        Ssh::Close | Ssh::Reset => {}
    }
    true
}

/// `Connection from PEER on LOCAL`, `Connection closed by …`, `Connection reset by …`.
fn connection_state<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(rest) = rest.strip_prefix("closed by ") {
        // A peer that was gone before sshd asked who it is.
        if rest.starts_with("UNKNOWN") {
            return fared(Ssh::Close, None, "", header, event);
        }
        return ended(Ssh::Close, rest, header, event);
    }
    if let Some(rest) = rest.strip_prefix("reset by ") {
        return ended(Ssh::Reset, rest, header, event);
    }
    if let Some(who) = rest.strip_suffix(" timed out") {
        let who = who.strip_prefix("from ").or_else(|| who.strip_prefix("to ")).unwrap_or(who);
        let Some((user, peer, _)) = whose(who) else { return false };
        told(user, who, event);
        return fared(Ssh::Fail, Some(peer), "timed out", header, event);
    }
    let Some(rest) = rest.strip_prefix("from ") else { return false };
    let Some(from) = peer(rest) else { return false };
    if !push_source(event, from.0, from.1) {
        return false;
    }
    match cut(rest, " on ").and_then(|(_, local)| self::local(local)) {
        Some((host, port)) => push_destination(event, host, port),
        None => push_destination(event, header.this_host(), Some(SSH_PORT)),
    };
    event.class = Class::SshActivity;
    event.activity_id = Ssh::Open as u8;
    success(event);
    true
}

/// `ADDRESS port N`, whatever follows.
fn local(text: &str) -> Option<Peer<'_>> {
    let (host, rest) = word(text);
    let number = word(rest.strip_prefix("port ")?).0;
    Some((host, port(number.trim_end_matches('.'))))
}

/// `Received disconnect from 192.0.2.1 port 5:11: Bye Bye`: the code and the words are the peer's
/// (RFC 4253 §11.1).
fn received_disconnect<'a>(rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let (host, after) = word(rest);
    let (host, port, after) = match after.strip_prefix("port ").and_then(|after| after.split_once(':')) {
        Some((number, after)) => (host, port(number), after),
        None => (host.trim_end_matches(':'), None, after),
    };
    let (code, reason) = after.split_once(':').map_or(("", after), |(code, reason)| (code, reason.trim_start()));
    if !fared(Ssh::Close, Some((host, port)), reason, header, event) {
        return false;
    }
    if number(code).is_some() {
        event.push(Attribute::StatusCode, code);
    }
    true
}

/// `Starting session: shell on pts/0 for bob from 192.0.2.1 port 5 id 0`, `Close session: user bob from …`.
fn session<'a>(first: &str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = rest.strip_prefix("session: ") else { return false };
    let (activity, who) = match first {
        "Close" => (Ssh::Close, rest.strip_prefix("user ")),
        _ => (Ssh::Open, cut(rest, " for ").map(|(_, who)| who)),
    };
    let Some((user, tail)) = who.and_then(|who| cut(who, " from ")) else { return false };
    if !fared(activity, local(tail), "", header, event) {
        return false;
    }
    event.push(Attribute::ActorUserName, user);
    if first == "Starting" {
        // shell on pts/0 · command · forced-command (config) '/bin/x' · subsystem 'sftp'
        let (kind, what) = cut(rest, " for ").map_or(("", ""), |(kind, _)| word(kind));
        event.unmap("session_type", kind);
        if let Some(terminal) = what.strip_prefix("on ") {
            event.push(Attribute::ActorSessionTerminal, terminal);
        } else if let Some((what, _)) = between(what, "'", "'") {
            event.unmap("command", what);
        }
    }
    true
}

/// `Server listening on 0.0.0.0 port 22.`
fn listening<'a>(rest: &'a str, event: &mut Event<'a>) -> bool {
    let Some((host, port)) = rest.strip_prefix("listening on ").and_then(local) else { return false };
    if !push_destination(event, host, port) {
        return false;
    }
    event.class = Class::SshActivity;
    event.activity_id = Ssh::Listen as u8;
    success(event);
    true
}

/// `reverse mapping checking getaddrinfo for NAME [ADDRESS] failed - POSSIBLE BREAK-IN ATTEMPT!`,
/// `Address ADDRESS maps to NAME, but this does not map back to the address …`.
fn reverse_mapping<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    // Nasty PTR record "192.0.2.9" is set up for 192.0.2.1, ignoring
    let nasty = message.strip_prefix("Nasty PTR record \"").and_then(|rest| cut(rest, "\" is set up for "));
    let nasty = nasty.map(|(name, rest)| (name, cut(rest, ", ").map_or(rest, |(address, _)| address)));
    let found = nasty.or_else(|| match message.strip_prefix("Address ") {
        Some(rest) => cut(rest, " maps to ").and_then(|(ip, rest)| Some((cut(rest, ", but this does not")?.0, ip))),
        None => between(message, "for ", " [").and_then(|(name, rest)| Some((name, cut(rest, "] failed")?.0))),
    });
    // Before OpenSSH 4 the address was not told: reverse mapping checking getaddrinfo for NAME failed - …
    if found.is_none()
        && let Some((name, _)) = between(message, "reverse mapping checking ", " failed")
        && let Some((_, name)) = cut(name, " for ").filter(|(_, name)| !name.contains(' '))
    {
        return unmapped_back(name, None, header, event);
    }
    let Some((name, address)) = found.and_then(|(name, address)| Some((name, ip(address)?))) else { return false };
    unmapped_back(name, Some(address), header, event)
}

/// A name that does not lead back to the address it was found by.
fn unmapped_back<'a>(name: &'a str, address: Option<&'a str>, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::SshActivity;
    event.activity_id = 99;
    event.severity_id = event.severity_id.max(LOW);
    event.push(Attribute::ActivityName, "Reverse Mapping Failure");
    if let Some(address) = address {
        event.push(Attribute::SrcEndpointIp, address);
    }
    event.push(Attribute::SrcEndpointHostname, name);
    push_destination(event, header.this_host(), Some(SSH_PORT));
    true
}

/// `refused connect from NAME (ADDRESS)`, `drop connection #3 from [ADDRESS]:5 on [ADDRESS]:22 past
/// MaxStartups`, `beginning MaxStartups throttling`.
fn refusal<'a>(message: &'a str, first: &str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let peer = match first {
        "refused" => {
            let Some(rest) = rest.strip_prefix("connect from ") else { return false };
            let inner = between(rest, "(", ")").map(|(address, _)| address);
            let name = word(rest).0;
            let address = inner.and_then(ip);
            if address.is_some() && ip(name).is_none() && name != "unknown" {
                event.push(Attribute::SrcEndpointHostname, name);
            }
            Some((address.unwrap_or(name), None))
        }
        "drop" if rest.starts_with("connection") => return dropped(message, rest, header, event),
        _ if rest.starts_with("MaxStartups") => None,
        _ => return false,
    };
    fared(Ssh::Refuse, peer, message, header, event)
}

/// `drop connection #3 from [192.0.2.1]:5 on [198.51.100.1]:22 past MaxStartups`, `… penalty: failed authentication`.
fn dropped<'a>(message: &'a str, rest: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let end = |text: &'a str, open: &str| {
        let (address, rest) = between(text, open, "]")?;
        let (number, reason) = word(rest.strip_prefix(':').unwrap_or(rest));
        Some(((address, port(number)), reason))
    };
    let Some((peer, rest)) = end(rest, "from [") else { return fared(Ssh::Refuse, None, message, header, event) };
    let local = end(rest, "on [");
    if !local.is_some_and(|((host, port), _)| push_destination(event, host, port)) {
        return fared(Ssh::Refuse, Some(peer), message, header, event);
    }
    push_source(event, peer.0, peer.1);
    event.class = Class::SshActivity;
    event.activity_id = Ssh::Refuse as u8;
    failure(event, local.map_or(rest, |(_, reason)| reason));
    true
}

/// Everything else that ends a connection before it was one.
fn trouble<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const FAILS: [&str; 31] = [
        "kex protocol error: ",
        "kex: ",
        "Hm, ",
        "protocol error: ",
        "crc32 compensation attack: ",
        "deattack: ",
        "probed from ",
        "getpeername failed",
        "get_remote_port failed",
        "Could not write ident string to ",
        "Did not receive identification string from ",
        "Bad protocol version identification ",
        "Bad remote protocol version identification: ",
        "banner exchange: ",
        "kex_exchange_identification: ",
        "kex_protocol_error: ",
        "Unable to negotiate ",
        "Timeout before authentication for ",
        "ssh_dispatch_run_fatal: ",
        "Protocol major versions differ",
        "Magic value check failed ",
        "Corrupted MAC on input",
        "Bad packet length ",
        "no matching ",
        "padding error: ",
        "message authentication code incorrect",
        "bad client public DH value",
        "dispatch_protocol_error: ",
        "no hostkey alg",
        "Client protocol ",
        "scanned from ",
    ];
    const RESETS: [&str; 8] = [
        "connection lost: ",
        "Local disconnected: ",
        "Read error from remote host",
        "Read from socket failed",
        "Write failed: ",
        "packet_write",
        "ssh_packet_",
        "Timeout, client not responding",
    ];
    let activity = if FAILS.iter().any(|start| message.starts_with(start)) {
        Ssh::Fail
    } else if RESETS.iter().any(|start| message.starts_with(start)) {
        Ssh::Reset
    } else {
        return false;
    };
    if let Some(ends) = message.strip_prefix("Timeout before authentication for connection from ") {
        let Some((host, local)) = cut(ends, " to ") else { return false };
        let local = cut(local, ", ").map_or(local, |(local, _)| local);
        if !push_source(event, host, None) {
            return false;
        }
        push_destination(event, local, Some(SSH_PORT));
        event.class = Class::SshActivity;
        event.activity_id = activity as u8;
        failure(event, "Timeout before authentication");
        return true;
    }
    // The peer stands somewhere behind one of these words, if it is named at all.
    let found = ["from ", "with ", "for ", "host ", "to "].into_iter().find_map(|mark| {
        let (_, who) = last_cut(message, mark)?;
        Some((who, whose(who)?))
    });
    let Some((who, (user, peer, reason))) = found else { return fared(activity, None, message, header, event) };
    told(user, who, event);
    fared(activity, Some(peer), if reason.is_empty() { message } else { reason }, header, event)
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    fn sshd(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 web-1 sshd[9]: {message}"))
    }

    #[test]
    fn connections_that_end_name_their_peer_and_only_a_proved_name_is_the_actor() {
        for (message, activity, port, user) in [
            ("Connection closed by 192.0.2.1 [preauth]", 2, None, None),
            ("Connection closed by 192.0.2.1 port 5 [preauth]", 2, Some(5), None),
            ("Connection closed by authenticating user root 192.0.2.1 port 5 [preauth]", 2, Some(5), Some("root")),
            ("Connection reset by invalid user a b 192.0.2.1 port 5 [preauth]", 3, Some(5), Some("a b")),
            ("Disconnected from user bob 192.0.2.1 port 5", 2, Some(5), Some("bob")),
            ("Disconnected from 192.0.2.1 port 5", 2, Some(5), None),
            ("Did not receive identification string from 192.0.2.1 port 5", 4, Some(5), None),
            ("fatal: Timeout before authentication for 192.0.2.1 port 5", 4, Some(5), None),
            ("Bad protocol version identification 'GET / HTTP/1.1' from 192.0.2.1 port 5", 4, Some(5), None),
            ("error: kex protocol error: type 30 seq 1 from 192.0.2.1 port 5", 4, Some(5), None),
            ("Connection from invalid user bob 192.0.2.1 port 5 timed out", 4, Some(5), Some("bob")),
            ("fatal: Timeout before authentication for connection from 192.0.2.1 to 192.0.2.9, pid = 7", 4, None, None),
            ("Timeout, client not responding from user bob 192.0.2.1 port 5", 3, Some(5), Some("bob")),
            ("banner exchange: Connection from 192.0.2.1 port 5: invalid format", 4, Some(5), None),
            ("Read error from remote host 192.0.2.1: Connection reset by peer", 3, None, None),
            ("refused connect from name.example (192.0.2.1)", 5, None, None),
            ("drop connection #3 from [192.0.2.1]:5 on [192.0.2.9]:22 past MaxStartups", 5, Some(5), None),
        ] {
            let event = sshd(message);
            assert_eq!(event["type_uid"].as_i64(), Some(400_700 + activity), "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
            assert_eq!(event["src_endpoint"]["port"].as_i64(), port, "{message}");
            let proved = message.contains("from user ");
            let (named, other) = (&event["actor"]["user"]["name"], &event["unmapped"]["user"]);
            let (named, other) = if proved { (named, other) } else { (other, named) };
            assert_eq!((named.as_str(), other.as_str()), (user, None), "{message}");
            let local = message.contains("192.0.2.9");
            let key = if local { "/dst_endpoint/ip" } else { "/dst_endpoint/hostname" };
            assert_eq!(event.pointer(key), Some(&if local { "192.0.2.9" } else { "web-1" }.into()), "{message}");
            assert_eq!(event["dst_endpoint"]["port"], 22, "{message}");
        }
    }

    #[test]
    fn a_disconnect_keeps_code_and_reason() {
        for message in [
            "Received disconnect from 192.0.2.1 port 5:11: Bye Bye [preauth]",
            "error: Received disconnect from 192.0.2.1: 11: Bye Bye [preauth]",
        ] {
            let event = sshd(message);
            assert_eq!(event["type_uid"], 400_702, "{message}");
            assert_eq!(event["status_code"], "11", "{message}");
            assert_eq!(event["status_detail"], "Bye Bye", "{message}");
        }
    }

    #[test]
    fn failures_say_why() {
        let offer = "no matching MAC found. Their offer: hmac-sha1";
        let event = sshd(&format!("Unable to negotiate with 192.0.2.1 port 5: {offer} [preauth]"));
        assert_eq!(event["type_uid"], 400_704);
        assert_eq!(event["status_detail"], offer);
        let event = sshd("fatal: Write failed: Connection reset by peer [preauth]");
        assert_eq!(event["type_uid"], 400_703);
        assert!(event.get("src_endpoint").is_none());
    }

    #[test]
    fn opened_connections_and_sessions_are_read() {
        let event = sshd(r#"Connection from 192.0.2.1 port 5 on 192.0.2.9 port 2222 rdomain """#);
        assert_eq!(event["type_uid"], 400_701);
        assert_eq!(event["dst_endpoint"], serde_json::json!({"ip": "192.0.2.9", "port": 2222}));
        let event = sshd("Starting session: shell on pts/0 for bob from 192.0.2.1 port 5 id 0");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["actor"]["session"]["terminal"], "pts/0");
        assert_eq!(sshd("Close session: user bob from 192.0.2.1 port 5 id 0")["type_uid"], 400_702);
        let event = sshd("Server listening on 0.0.0.0 port 22.");
        assert_eq!(event["dst_endpoint"], serde_json::json!({"ip": "0.0.0.0", "port": 22}));
        assert_eq!(event["type_uid"], 400_707);
    }

    #[test]
    fn names_that_do_not_map_back_are_told() {
        for message in [
            "reverse mapping checking getaddrinfo for a.example [192.0.2.1] failed - oh",
            "Address 192.0.2.1 maps to a.example, but this does not map back to it",
        ] {
            let event = sshd(message);
            assert_eq!(event["activity_name"], "Reverse Mapping Failure");
            assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "hostname": "a.example"}));
        }
    }

    #[test]
    fn other_messages_are_reports_of_the_server() {
        for (message, kind) in [("debug1: PAM: initializing for \"bob\"", 6002), ("Connection", 6002), ("", 0)] {
            let event = sshd(message);
            assert_eq!(event["class_uid"], kind, "{message}");
            assert_eq!(event["metadata"]["log_provider"], "sshd");
        }
    }
}
