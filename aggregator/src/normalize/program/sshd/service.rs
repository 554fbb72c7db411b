//! OpenSSH's server itself: its start and stop (6002), sessions' subsystems and traffic (4007), forwarded connections (4001),
//! penalties, and what went wrong inside (6008).

use super::super::super::endpoint::{ip, push_destination, push_source};
use super::super::super::outcome::{failure, success};
use super::super::super::syslog::Header;
use super::super::super::text::{cut, number, port, word};
use super::connection::{Ssh, fared, whose};
use super::{SSH_PORT, refused};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Reads a message about the server rather than about one peer's attempt.
pub(super) fn parse<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    lifecycle(message, event)
        || subsystem(message, header, event)
        || traffic(message, header, event)
        || forwarded(message, header, event)
        || penalty(message, header, event)
        || child(message, event)
}

/// An error that nothing else explains: `fatal: mm_request_receive: …`, `error: Could not load host key: …`.
pub(super) fn trouble<'a>(level: &'a str, message: &'a str, event: &mut Event<'a>) -> bool {
    const TROUBLES: [&str; 9] = [
        "Could not load host key",
        "Unable to load host key",
        "Missing privilege separation directory",
        "lastlog_",
        "syslogin_",
        "Failed to release session",
        "refusing RSA key",
        "Could not reverse map address",
        "PAM: password expired",
    ];
    let level = level.trim_end_matches([':', ' ']);
    let plain = || {
        let outdated = ["Deprecated option ", "Unsupported option "];
        TROUBLES.iter().any(|start| message.starts_with(start))
            || outdated.iter().any(|mark| cut(message, mark).is_some())
    };
    if level.is_empty() && plain() {
        event.class = Class::ApplicationError;
        event.activity_id = 1;
        failure(event, message);
        return true;
    }
    if !matches!(level, "error" | "fatal") || message.is_empty() {
        return false;
    }
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(if level == "fatal" { 4 } else { 3 });
    event.set(Attribute::MetadataLogLevel, level);
    failure(event, message);
    true
}

/// `Received signal 15; terminating.`, `Received SIGHUP; restarting.`, `Exiting on signal 15`,
/// `Bind to port 22 on 0.0.0.0 failed: Address already in use.`
fn lifecycle<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((number, rest)) = message.strip_prefix("Bind to port ").and_then(|rest| cut(rest, " on ")) {
        let Some((host, reason)) = cut(rest, " failed: ") else { return false };
        if !push_destination(event, host, port(number)) {
            return false;
        }
        event.class = Class::SshActivity;
        event.activity_id = Ssh::Fail as u8;
        failure(event, reason.trim_end_matches('.'));
        return true;
    }
    let ends = (message.starts_with("Received signal ") && message.contains("terminating"))
        || message.starts_with("Exiting on signal ");
    let activity = match message.starts_with("Received SIGHUP; restarting") {
        true => 5,
        false if ends => 4,
        false => return false,
    };
    event.class = Class::ApplicationLifecycle;
    event.activity_id = activity;
    event.push(Attribute::AppName, "sshd");
    event.push(Attribute::AppVendorName, "OpenSSH");
    event.push(Attribute::StatusDetail, message.trim_end_matches('.'));
    success(event);
    true
}

/// `subsystem request for sftp by user bob`, `subsystem request for x by user bob failed, subsystem not found`.
fn subsystem<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some(rest) = message.strip_prefix("subsystem request for ") else { return false };
    let (what, reason) = cut(rest, " failed, ").unwrap_or((rest, ""));
    let (name, user) = cut(what, " by user ").unwrap_or((what, ""));
    if !fared(if reason.is_empty() { Ssh::Open } else { Ssh::Fail }, None, reason, header, event) {
        return false;
    }
    if !user.is_empty() {
        event.push(Attribute::ActorUserName, user);
    }
    event.unmap("session_type", "subsystem");
    event.unmap("subsystem", name);
    true
}

/// `Transferred: sent 3052, received 2792 bytes`, `Closing connection to 192.0.2.1 port 5`.
fn traffic<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(who) = message.strip_prefix("Closing connection to ") {
        return whose(who).is_some_and(|(_, peer, reason)| fared(Ssh::Close, Some(peer), reason, header, event));
    }
    let Some((sent, rest)) = message.strip_prefix("Transferred: sent ").and_then(|rest| cut(rest, ", received "))
    else {
        return false;
    };
    if !push_destination(event, header.this_host(), Some(SSH_PORT)) {
        return false;
    }
    event.class = Class::SshActivity;
    event.activity_id = 6;
    if let Ok(received) = word(rest).0.parse::<i64>() {
        event.push(Attribute::TrafficBytesIn, received);
    }
    if let Ok(sent) = sent.parse::<i64>() {
        event.push(Attribute::TrafficBytesOut, sent);
    }
    success(event);
    true
}

/// A host or address and its port: `a.example port 80`, whatever follows.
fn end(text: &str) -> Option<(&str, Option<i64>)> {
    let (host, rest) = word(text);
    let number = word(rest.strip_prefix("port ")?).0;
    Some((host, port(number.trim_end_matches([',', '.', ':']))))
}

/// A connection that a peer wanted the server to make: `connect_to a.example port 80: failed.`, `connect_to a.example: unknown
/// host (…)`, `Received request to connect to host a.example port 80, but the request was denied.`, `refused local port
/// forward: originator 192.0.2.1 port 5, target a.example port 80`, `channel 3: open failed: …`.
fn forwarded<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    const REFUSED: u8 = 5;
    const FAILED: u8 = 4;
    if let Some((reason, _)) = message.strip_prefix("channel ").and_then(|rest| {
        let (id, rest) = cut(rest, ": ")?;
        let reason = rest.strip_prefix("connection failed: ").or_else(|| rest.strip_prefix("open failed: "))?;
        number(id).map(|_| (reason, ()))
    }) {
        return fared(Ssh::Fail, None, reason, header, event);
    }
    if let Some(reason) = message.strip_prefix("server_input_channel_open: failure ") {
        return fared(Ssh::Fail, None, reason, header, event);
    }
    // Before version 5: `connect to a.example port 80 failed: Connection refused`.
    let older = || message.strip_prefix("connect to ").filter(|rest| cut(rest, " failed: ").is_some());
    let (activity, source, target, reason) = if let Some(rest) = message.strip_prefix("connect_to ").or_else(older) {
        let target = end(rest).or_else(|| cut(rest, ": ").map(|(host, _)| (host, None)));
        (FAILED, None, target, cut(rest, ": ").map_or("", |(_, reason)| reason))
    } else if let Some(rest) = message.strip_prefix("Received request to connect to ") {
        let rest = rest.strip_prefix("host ").unwrap_or(rest);
        (REFUSED, None, end(rest), "the request was denied")
    } else if let Some((from, rest)) =
        message.strip_prefix("Received request from ").and_then(|rest| cut(rest, " to connect to host "))
    {
        (REFUSED, end(from), end(rest), "the request was denied")
    } else if let Some((what, rest)) = cut(message, ": originator ") {
        let source = end(rest);
        let (activity, reason) = if what.starts_with("refused ") { (REFUSED, what) } else { (1, "") };
        (activity, source, cut(rest, "target ").and_then(|(_, rest)| end(rest)), reason)
    } else {
        return false;
    };
    if !target.is_some_and(|(host, port)| push_destination(event, host, port)) {
        return false;
    }
    if let Some((host, port)) = source {
        push_source(event, host, port);
    }
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "ssh");
    if activity == 1 {
        success(event);
    } else {
        failure(event, reason.trim_end_matches('.'));
    }
    true
}

/// `srclimit_penalise: ipv4: new 192.0.2.1/32 deferred penalty of 5 seconds for penalty: failed authentication`, and
/// libpam's `PAM service(sshd) ignoring max retries; 6 > 3`.
fn penalty<'a>(message: &'a str, header: &Header<'a>, event: &mut Event<'a>) -> bool {
    if message.starts_with("PAM service(") {
        return refused("", None, message, header, event);
    }
    let Some(rest) = message.strip_prefix("srclimit_penalise: ") else { return false };
    let rest = rest.strip_prefix("ipv4: ").or_else(|| rest.strip_prefix("ipv6: ")).unwrap_or(rest);
    let Some(address) = rest.split([' ', '/']).find_map(ip) else { return false };
    event.push(Attribute::ActivityName, "Penalty");
    fared(Ssh::Refuse, Some((address, None)), rest, header, event);
    event.activity_id = 99;
    true
}

/// `User child is on pid 1234`: the process of the session.
fn child(message: &str, event: &mut Event<'_>) -> bool {
    let Some(pid) = message.strip_prefix("User child is on pid ").and_then(number) else { return false };
    if event.value(Attribute::ActorProcessPid).is_none() {
        return false;
    }
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    event.push(Attribute::ProcessPid, pid);
    event.push(Attribute::ProcessName, "sshd");
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    fn sshd(message: &str) -> serde_json::Value {
        normalized(&format!("Mar 16 10:00:00 web-1 sshd[9]: {message}"))
    }

    #[test]
    fn each_kind_has_its_class() {
        for (message, kind) in [
            ("Received signal 15; terminating.", 600_204),
            ("Received SIGHUP; restarting.", 600_205),
            ("error: Bind to port 22 on 0.0.0.0 failed: Address already in use.", 400_704),
            ("subsystem request for sftp by user bob", 400_701),
            ("subsystem request for x by user bob failed, subsystem not found", 400_704),
            ("Transferred: sent 3052, received 2792 bytes", 400_706),
            ("Closing connection to 192.0.2.1 port 5", 400_702),
            ("error: connect_to a.example port 80: failed.", 400_104),
            ("error: connect to a.example port 80 failed: Connection refused", 400_104),
            ("Received request to connect to host a.example port 80, but the request was denied.", 400_105),
            ("refused local port forward: originator 192.0.2.1 port 5, target a.example port 80", 400_105),
            ("debug1: channel 5: connection failed: Connection refused", 400_704),
            (
                "srclimit_penalise: ipv4: new 192.0.2.1/32 deferred penalty of 5 seconds for penalty: failed authentication",
                400_799,
            ),
            ("PAM service(sshd) ignoring max retries; 6 > 3", 300_201),
            ("User child is on pid 10", 100_701),
            ("error: Could not load host key: /etc/ssh/k", 600_801),
            ("fatal: Cannot bind any address.", 600_801),
            ("debug1: rexec start in 5 out 5", 600_299),
            (
                "Received request from 192.0.2.1 port 5 to connect to host a.example port 80, but the request was denied.",
                400_105,
            ),
        ] {
            assert_eq!(sshd(message)["type_uid"], kind, "{message}");
        }
        let event = sshd("subsystem request for x by user bob failed, subsystem not found");
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["status_detail"], "subsystem not found");
        let event = sshd("refused local port forward: originator 192.0.2.1 port 5, target a.example port 80");
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.1", "port": 5}));
        assert_eq!(event["dst_endpoint"], serde_json::json!({"hostname": "a.example", "port": 80}));
    }
}
