//! vsftpd: its own log, the same in syslog, and xferlog (4008 transfers, 3002 logons, 4001 connections).
//!
//! `Mon Jun  6 18:43:28 2016 [pid 2] [bob] OK UPLOAD: Client "192.0.2.1", "/a", 10 bytes, 1.00Kbyte/sec`,
//! `Mon Jun  6 18:43:59 2016 1 192.0.2.1 10 /a b _ i r bob ftp 0 * c`. Source: vsftpd 3.0, logging.c; xferlog(5).

use super::super::Context;
use super::super::endpoint::push_source;
use super::super::json_lines::push_ftp_command;
use super::super::outcome::{failure, success};
use super::super::syslog::Header;
use super::super::text::{between, cut, number, word};
use super::super::timestamp::{self, Stamp};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Verbs of the log, their FTP commands and activities.
const VERBS: [(&str, &str, u8); 8] = [
    ("UPLOAD", "STOR", 1),
    ("APPEND", "APPE", 1),
    ("DOWNLOAD", "RETR", 2),
    ("DELETE", "DELE", 4),
    ("RENAME", "RNTO", 5),
    ("MKDIR", "MKD", 99),
    ("RMDIR", "RMD", 99),
    ("CHMOD", "SITE CHMOD", 99),
];

/// Whether a line begins with a day and a date, as `ctime` writes them.
pub(crate) fn looks(text: &str) -> bool {
    let day = text.get(..4).is_some_and(|day| ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "].contains(&day));
    day && text.get(..text.len().min(25)).is_some_and(|head| head.bytes().filter(|b| *b == b':').count() == 2)
}

/// Reads a line of a file.
pub(crate) fn parse_line<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((stamp, rest)) = text.get(4..).and_then(|rest| timestamp::bsd(rest.trim_start(), context.reference))
    else {
        return false;
    };
    let rest = rest.trim_start();
    if let Some((pid, message)) = rest.strip_prefix("[pid ").and_then(|rest| cut(rest, "] ")) {
        if !said(message, event) {
            return false;
        }
        if let Some(pid) = number(pid) {
            event.push(Attribute::ActorProcessPid, pid);
            event.push(Attribute::ActorProcessName, "vsftpd");
        }
        return framed(stamp, message, "vsftpd", event);
    }
    transferred(rest, event) && framed(stamp, rest, "xferlog", event)
}

fn framed<'a>(stamp: Stamp<'a>, message: &'a str, format: &'static str, event: &mut Event<'a>) -> bool {
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, format);
    event.push(Attribute::MetadataLogProvider, if format == "vsftpd" { format } else { "ftpd" });
    event.push(Attribute::Message, message);
    true
}

/// Reads a message of syslog, which may have the time and process of a line of the file before it (`syslog_enable`, or a file
/// that syslog reads): the header's time stands.
pub(crate) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    let inner = Some(message).filter(|message| looks(message)).and_then(|message| between(message, " [pid ", "] "));
    let Some((pid, rest)) = inner else { return said(message, event) };
    if !said(rest, event) {
        return false;
    }
    if let Some(pid) = number(pid).filter(|_| event.value(Attribute::ActorProcessPid).is_none()) {
        event.push(Attribute::ActorProcessPid, pid);
        event.push(Attribute::ActorProcessName, "vsftpd");
    }
    true
}

/// A user's name and what follows it. A name may hold what looks like the rest of a line: of two outcomes the last is the
/// server's; only anonymous users, whose names are known, are followed by a text of theirs, the password.
fn named(text: &str) -> Option<(&str, &str)> {
    if text.starts_with("ftp] ") || text.starts_with("anonymous] ") {
        return cut(text, "] ");
    }
    let at = ["] FAIL LOGIN: ", "] OK LOGIN: "].iter().filter_map(|mark| text.rfind(mark)).max();
    match at.and_then(|at| text.split_at_checked(at)) {
        Some((user, rest)) => Some((user, rest.get(2..)?)),
        None => cut(text, "] "),
    }
}

/// `[[user] ]VERB: Client "A"[, …]`.
fn said<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (user, rest) = match message.strip_prefix('[').and_then(named) {
        Some((user, rest)) => (Some(user), rest),
        None => (None, message),
    };
    let Some((what, rest)) = cut(rest, ": ") else { return false };
    let Some((client, rest)) = between(rest, "Client \"", "\"") else { return false };
    let detail = rest.trim_start_matches([',', ' ']);
    if what == "CONNECT" {
        event.class = Class::NetworkActivity;
        event.activity_id = 1;
        event.push(Attribute::AppProtocolName, "ftp");
        success(event);
        return push_source(event, client, None);
    }
    if matches!(what, "FTP command" | "FTP response" | "DEBUG") {
        event.class = Class::FtpActivity;
        spoken(what, detail.trim_matches('"'), event);
        if let Some(user) = user {
            event.push(Attribute::ActorUserName, user);
        }
        return push_source(event, client, None);
    }
    let (outcome, verb) = word(what);
    if !matches!(outcome, "OK" | "FAIL") {
        return false;
    }
    if verb == "LOGIN" {
        event.class = Class::Authentication;
        event.activity_id = 1;
        event.push(Attribute::UserName, user.unwrap_or_default());
        event.push(Attribute::ServiceName, "vsftpd");
        event.push(Attribute::IsRemote, true);
        event.push(Attribute::LogonTypeId, 3);
        if let Some((password, _)) = between(detail, "anon password \"", "\"") {
            event.unmap("anonymous_password", password);
        }
    } else {
        event.class = Class::FtpActivity;
        file(verb, detail, event);
        if let Some(user) = user {
            event.push(Attribute::ActorUserName, user);
        }
    }
    if outcome == "OK" {
        success(event);
    } else {
        failure(event, if verb == "LOGIN" { detail.trim_matches('"') } else { "" });
    }
    push_source(event, client, None)
}

/// What a client said and what it was told: `STOR /a`, `553 Could not create file.`
fn spoken<'a>(what: &'a str, text: &'a str, event: &mut Event<'a>) {
    if what == "FTP command" {
        let (command, argument) = word(text);
        push_ftp_command(event, Some(command.into()));
        match event.activity_id {
            _ if argument.is_empty() => {}
            1 | 2 | 4 | 5 => push_file(argument, event),
            _ => event.unmap("argument", argument),
        }
        return;
    }
    event.activity_id = 99;
    event.push(Attribute::ActivityName, what);
    let code = text.get(..3).filter(|code| what == "FTP response" && number(code).is_some());
    let reason = code.and_then(|_| text.get(4..)).unwrap_or(text);
    match code {
        Some(code) if code.starts_with(['4', '5']) => failure(event, reason),
        _ => {
            success(event);
            event.push(Attribute::StatusDetail, reason);
        }
    }
    if let Some(code) = code {
        event.push(Attribute::StatusCode, code);
    }
}

/// `"/path", 10 bytes, 1.00Kbyte/sec`.
fn file<'a>(verb: &'a str, detail: &'a str, event: &mut Event<'a>) {
    let known = VERBS.iter().find(|(name, ..)| *name == verb);
    event.activity_id = known.map_or(99, |&(_, _, activity)| activity);
    event.push(Attribute::FtpCommand, known.map_or(verb, |&(_, command, _)| command));
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, verb);
    }
    let Some((path, rest)) = between(detail, "\"", "\"") else { return };
    push_file(path, event);
    if let Some(bytes) =
        rest.split(", ").find_map(|part| part.strip_suffix(" bytes")).and_then(|bytes| bytes.parse::<i64>().ok())
    {
        event.push(if event.activity_id == 1 { Attribute::TrafficBytesIn } else { Attribute::TrafficBytesOut }, bytes);
    }
}

/// The file of a transfer.
pub(super) fn push_file<'a>(path: &'a str, event: &mut Event<'a>) {
    event.push(Attribute::FileName, super::super::text::base_name(path));
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, 1);
}

/// `SECONDS HOST BYTES FILE TYPE FLAG DIRECTION MODE USER SERVICE METHOD ID STATUS`, from both ends: a file may hold spaces.
fn transferred<'a>(text: &'a str, event: &mut Event<'a>) -> bool {
    let (seconds, rest) = word(text);
    let (host, rest) = word(rest);
    let (bytes, rest) = word(rest);
    let mut tail = rest.rsplitn(10, ' ');
    let (
        Some(status),
        Some(id),
        Some(_),
        Some(service),
        Some(user),
        Some(mode),
        Some(direction),
        Some(_),
        Some(kind),
        Some(path),
    ) = (
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
        tail.next(),
    )
    else {
        return false;
    };
    let (Some(seconds), Ok(bytes)) = (number(seconds), bytes.parse::<i64>()) else { return false };
    let activity = match direction {
        "i" => 1,
        "o" => 2,
        "d" => 4,
        _ => return false,
    };
    if !matches!(kind, "a" | "b") || !push_source(event, host, None) {
        return false;
    }
    event.class = Class::FtpActivity;
    event.activity_id = activity;
    event.push(
        Attribute::FtpCommand,
        match activity {
            1 => "STOR",
            2 => "RETR",
            _ => "DELE",
        },
    );
    push_file(path, event);
    event.push(Attribute::TrafficBytes, bytes);
    event.push(Attribute::Duration, seconds * 1000);
    event.push(Attribute::ActorUserName, user);
    event.unmap("access_mode", mode);
    event.unmap("service", service);
    if id != "*" {
        event.unmap("authenticated_user", id);
    }
    if status == "c" {
        success(event)
    } else {
        failure(event, "incomplete")
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn what_clients_did_is_read_in_files_and_syslog() {
        for (message, kind, status) in [
            (r#"CONNECT: Client "192.0.2.1""#, 400_101, 1),
            (r#"[bob] OK LOGIN: Client "192.0.2.1""#, 300_201, 1),
            (r#"[bob] FAIL LOGIN: Client "::ffff:192.0.2.1", "This user is not on the list.""#, 300_201, 2),
            (r#"[bob] OK UPLOAD: Client "192.0.2.1", "/home/bob/a b.txt", 10 bytes, 1.00Kbyte/sec"#, 400_801, 1),
            (r#"[bob] FAIL DOWNLOAD: Client "192.0.2.1", "/a", 0.00Kbyte/sec"#, 400_802, 2),
            (r#"[bob] OK MKDIR: Client "192.0.2.1", "/a""#, 400_899, 1),
        ] {
            for line in [
                format!("Mon Mar 16 10:00:00 2026 [pid 2] {message}"),
                format!("Mar 16 10:00:00 h vsftpd[2]: {message}"),
                format!("Mar 16 10:00:00 h vsftpd: Mon Mar 16 11:00:00 2026 [pid 2] {message}"),
            ] {
                let event = normalized(&line);
                assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{line}");
                assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{line}");
                assert_eq!(event["time"], 1_773_651_600_000_i64);
            }
        }
        let line = |said: &str| normalized(&format!("Mon Mar 16 10:00:00 2026 [pid 2] [bob] {said}"));
        let event = line(r#"FTP command: Client "192.0.2.1", "STOR /a b.zip""#);
        assert_eq!((&event["type_uid"], &event["command"]), (&json!(400_801), &json!("STOR")));
        assert_eq!(event["file"]["path"], "/a b.zip");
        let event = line(r#"FTP response: Client "192.0.2.1", "550 No such file.""#);
        assert_eq!((&event["type_uid"], &event["command"]), (&json!(400_899), &json!(null)));
        assert_eq!((&event["status_code"], &event["status_id"]), (&json!("550"), &json!(2)));
        assert_eq!(event["status_detail"], "No such file.");
        assert_eq!(line(r#"FTP response: Client "192.0.2.1", "226 Done.""#)["status_id"], 1);
        let event = normalized("Mon Mar 16 10:00:00 2026 1 192.0.2.1 10 /home/bob/a b.txt b _ i r bob ftp 0 * c");
        assert_eq!(
            (&event["type_uid"], &event["actor"]["user"]["name"], &event["file"]["path"]),
            (&json!(400_801), &json!("bob"), &json!("/home/bob/a b.txt"))
        );
    }
}
