//! ProFTPD and Pure-FTPd: logons (3002), connections (4001), transfers (4008).
//!
//! ProFTPD: `SERVER (HOST[A])[ -]: USER bob (Login failed): reason`. Pure-FTPd: `(bob@A) [NOTICE] /a uploaded  (10 bytes, 1KB/sec)`.
//! Source: ProFTPD 1.3.8, modules/mod_auth.c, src/main.c; Pure-FTPd 1.0.51, src/ftpd.c, src/messages_en.h.

use super::super::endpoint::{push_destination, push_source};
use super::super::outcome::{failure, success};
use super::super::remark::remark;
use super::super::syslog::Header;
use super::super::text::{cut, last_cut, level, port, word};
use super::vsftpd::push_file;
use crate::event::Event;
use crate::schema::{Attribute, Class};

fn logon<'a>(user: &'a str, service: &'static str, activity: u8, event: &mut Event<'a>) {
    event.class = Class::Authentication;
    event.activity_id = activity;
    event.push(Attribute::UserName, user);
    event.push(Attribute::ServiceName, service);
    event.push(Attribute::IsRemote, true);
    event.push(Attribute::LogonTypeId, 3);
}

fn connection(activity: u8, event: &mut Event<'_>) {
    event.class = Class::NetworkActivity;
    event.activity_id = activity;
    event.push(Attribute::AppProtocolName, "ftp");
}

/// Reads a message of ProFTPD.
pub(crate) fn proftpd<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    if let Some(rest) = message.strip_prefix("refused connect from ") {
        connection(5, event);
        failure(event, "refused");
        return push_source(event, word(rest).0, None);
    }
    let Some((server, rest)) = cut(message, " (").filter(|(server, _)| !server.contains(' ')) else {
        return started(message, event) || remark("proftpd", message, event);
    };
    let Some((peer, text)) = cut(rest, "])") else { return false };
    let Some((host, address)) = peer.split_once('[') else { return false };
    let text = text.trim_start_matches([':', ' ', '-']);
    if !session(text, event) {
        event.unmap("src_ip", address);
        return remark("proftpd", text, event);
    }
    if !push_source(event, address, None) {
        return false;
    }
    if host != address && event.value(Attribute::SrcEndpointHostname).is_none() {
        event.push(Attribute::SrcEndpointHostname, host);
    }
    event.unmap("server", server.trim_end_matches(':'));
    true
}

fn session<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    if let Some(rest) = text.strip_prefix("USER ").or_else(|| text.strip_prefix("ANON ")) {
        let found = [" (Login failed): ", ": no such user found", ": Login successful", ": ", " ("].into_iter();
        let Some((user, mark, tail)) =
            found.into_iter().find_map(|mark| cut(rest, mark).map(|(user, tail)| (user, mark, tail)))
        else {
            return false;
        };
        logon(user, "proftpd", 1, event);
        match mark {
            ": Login successful" => success(event),
            ": no such user found" => {
                failure(event, "no such user found");
                served(tail, event);
            }
            _ => failure(event, tail.trim_end_matches('.')),
        }
        return true;
    }
    if let Some(rest) = text.strip_prefix("SECURITY VIOLATION: ").or_else(|| text.strip_prefix("SECURITY VIOLATION ")) {
        let user = rest.split([' ', '"']).find(|word| !word.is_empty()).unwrap_or_default();
        logon(user, "proftpd", 1, event);
        failure(event, text);
        return true;
    }
    if let Some((user, reason)) = unproved(text) {
        logon(user, "proftpd", 1, event);
        failure(event, reason);
        return true;
    }
    let (activity, well) = match text {
        _ if text.starts_with("Connection from") && text.contains("denied") => (5, false),
        _ if text.contains("session opened") || text.starts_with("Connection from") => (1, true),
        _ if text.contains("session closed") => (2, true),
        _ if text.starts_with("Maximum login attempts") || text.contains("refused") || text.contains("denied") => {
            (5, false)
        }
        _ if text.contains("disconnected") || text.contains("timeout") || text.contains("timed out") => (2, false),
        _ => return false,
    };
    connection(activity, event);
    if well {
        success(event)
    } else {
        failure(event, text)
    }
    true
}

/// `from h.example [192.0.2.1] to ::ffff:198.51.100.1:21`: the server's own address.
fn served<'a>(text: &'a str, event: &mut Event<'a>) {
    let to = last_cut(text, " to ").and_then(|(_, to)| to.trim_end_matches('.').rsplit_once(':'));
    if let Some((host, number)) = to {
        push_destination(event, host, port(number));
    }
}

/// `no such user 'bob'`, `mod_sftp/1.0: public key authentication failed for user 'bob'`: the user, and why not.
fn unproved(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("mod_").and_then(|rest| cut(rest, ": ")).map_or(text, |(_, rest)| rest);
    let (reason, user) = match text.strip_prefix("no such user '") {
        Some(user) => ("no such user", user),
        None => cut(text, " failed for user '")?,
    };
    Some((user.split('\'').next()?, reason))
}

/// `SERVER - ProFTPD 1.3.8 (stable) (built …) standalone mode STARTUP`, `… SHUTDOWN`, `…: Fatal: …`.
fn started<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    if let Some((_, rest)) = cut(message, "ProFTPD ") {
        event.activity_id = if message.contains("STARTUP") {
            3
        } else if message.contains("SHUTDOWN") || message.contains("killed") {
            4
        } else {
            return false;
        };
        event.class = Class::ApplicationLifecycle;
        event.push(Attribute::AppName, "proftpd");
        if event.activity_id == 3 {
            event.push(Attribute::AppVersion, word(rest).0);
        }
        success(event);
        return true;
    }
    let Some((_, reason)) = cut(message, "atal: ") else { return false };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.severity_id = event.severity_id.max(3);
    failure(event, reason);
    true
}

/// Reads a message of Pure-FTPd.
pub(crate) fn pureftpd<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let Some((who, rest)) = message.strip_prefix('(').and_then(|rest| cut(rest, ") [")) else { return false };
    let Some((user, host)) = who.rsplit_once('@') else { return false };
    let Some((severity, text)) = cut(rest, "] ") else { return false };
    event.severity_id = level(severity).unwrap_or(event.severity_id);
    event.push(Attribute::MetadataLogLevel, severity);
    let mut named = None;
    if let Some((user, reason)) = denied(text) {
        logon(user, "pure-ftpd", 1, event);
        failure(event, reason);
    } else if text.starts_with("Anonymous user logged in") {
        logon("anonymous", "pure-ftpd", 1, event);
        success(event);
    } else if let Some((user, _)) = cut(text, " is now logged in") {
        logon(user, "pure-ftpd", 1, event);
        success(event);
    } else if text.starts_with("Logout") || text.starts_with("Timeout") {
        connection(2, event);
        named = Some(user);
        success(event);
    } else if text.starts_with("Too many ") {
        connection(5, event);
        failure(event, text);
    } else if text.starts_with("TLS: ") || text.starts_with("SSL/TLS: ") {
        connection(1, event);
        success(event);
    } else if let Some((command, argument)) = text.strip_prefix("Command [").and_then(|rest| cut(rest, "] [")) {
        event.class = Class::FtpActivity;
        event.activity_id = 99;
        event.push(Attribute::ActivityName, "Command");
        event.push(Attribute::FtpCommand, command);
        event.unmap("argument", argument.trim_end_matches(']'));
        named = Some(user);
        success(event);
    } else if text.starts_with("New connection from ") {
        connection(1, event);
        success(event);
    } else if let Some((path, verb, rest)) = transferred(text) {
        event.class = Class::FtpActivity;
        event.activity_id = match verb {
            "uploaded" => 1,
            "downloaded" => 2,
            _ => 4,
        };
        event.push(
            Attribute::FtpCommand,
            match verb {
                "uploaded" => "STOR",
                "downloaded" => "RETR",
                _ => "DELE",
            },
        );
        push_file(path, event);
        if let Some(bytes) = cut(rest, "(").and_then(|(_, rest)| word(rest).0.parse::<i64>().ok()) {
            event.push(if verb == "uploaded" { Attribute::TrafficBytesIn } else { Attribute::TrafficBytesOut }, bytes);
        }
        named = Some(user);
        success(event);
    } else {
        event.unmap("src_ip", host);
        return remark("pure-ftpd", text, event);
    }
    if let Some(user) = named.filter(|user| *user != "?") {
        event.push(Attribute::ActorUserName, user);
    }
    push_source(event, host, None)
}

/// `Authentication failed for user [u]`, `Can't login as [u]: account disabled`: the user, and why not.
fn denied(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix("Authentication failed for user [") {
        return rest.strip_suffix(']').map(|user| (user, "authentication failed"));
    }
    cut(text.strip_prefix("Can't login as [")?, "]: ")
}

/// `/a uploaded  (10 bytes, 1KB/sec)`, `Deleted /a`.
fn transferred(text: &str) -> Option<(&str, &str, &str)> {
    if let Some(path) = text.strip_prefix("Deleted ") {
        return Some((path, "deleted", ""));
    }
    [" uploaded ", " downloaded "].into_iter().find_map(|verb| {
        let at = text.rfind(verb)?;
        Some((text.get(..at)?, verb.trim(), text.get(at + verb.len()..)?))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn logons_and_connections_are_read() {
        for (message, kind, user, status) in [
            (
                "proftpd[9] ftp.example.com (h.example[192.0.2.1]): USER bob (Login failed): Incorrect password.",
                300_201,
                Some("bob"),
                2,
            ),
            (
                "proftpd[9]: ftp.example.com (192.0.2.1[192.0.2.1]) - USER bob: no such user found from 192.0.2.1 [192.0.2.1] to 198.51.100.1:21",
                300_201,
                Some("bob"),
                2,
            ),
            (
                "proftpd[9]: ftp.example.com (h.example[192.0.2.1]) - ANON bob: Login successful.",
                300_201,
                Some("bob"),
                1,
            ),
            (
                "proftpd[9]: ftp.example.com (h.example[::ffff:192.0.2.1]) - SECURITY VIOLATION: root login attempted.",
                300_201,
                Some("root"),
                2,
            ),
            ("proftpd[9]: ftp.example.com (h.example[192.0.2.1]) - FTP session opened.", 400_101, None, 1),
            ("proftpd[9]: h (h.example[192.0.2.1]) - Connection from h.example [192.0.2.1] denied.", 400_105, None, 2),
            ("proftpd[9]: h (h.example[192.0.2.1]) - no such user 'bob'", 300_201, Some("bob"), 2),
            (
                "proftpd[9]: h (h.example[192.0.2.1]) - mod_sftp/1.0: public key authentication failed for user 'bob'",
                300_201,
                Some("bob"),
                2,
            ),
            ("pure-ftpd: (?@192.0.2.1) [WARNING] Can't login as [bob]: account disabled", 300_201, Some("bob"), 2),
            ("pure-ftpd: (?@192.0.2.1) [ERROR] Too many authentication failures", 400_105, None, 2),
            ("pure-ftpd: (bob@192.0.2.1) [DEBUG] Command [cwd] [/]", 400_899, None, 1),
            ("proftpd[9]: refused connect from 192.0.2.1 (192.0.2.1)", 400_105, None, 2),
            ("pure-ftpd: (?@192.0.2.1) [WARNING] Authentication failed for user [bob]", 300_201, Some("bob"), 2),
            ("pure-ftpd: (?@192.0.2.1) [INFO] bob is now logged in", 300_201, Some("bob"), 1),
            ("pure-ftpd: (bob@192.0.2.1) [NOTICE] /home/a uploaded  (10 bytes, 1.00KB/sec)", 400_801, None, 1),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h {message}"));
            assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{message}");
            assert_eq!(event["user"]["name"].as_str(), user, "{message}");
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{message}");
        }
    }

    #[test]
    fn the_server_that_a_stranger_came_to_is_the_destination() {
        let event = normalized(
            "Mar 16 10:00:00 h proftpd[9]: h (h.example[192.0.2.1]) - USER bob: no such user found from h.example [192.0.2.1] to ::ffff:198.51.100.1:21",
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.1", "port": 21}));
    }
}
