//! sftp-server, and sshd's own copy of it: files that a peer opened, changed and removed (1001), and its sessions (4007).
//!
//! `session opened for local user bob from [192.0.2.1]`, `open "/a" flags READ mode 0666`, `close "/a" bytes read 5 written
//! 0`, `remove name "/a"`, `rename old "/a" new "/b"`, … The class needs an actor: a line without a process id is none of
//! these. Source: `sftp-server.c`.

use super::super::super::endpoint::push_source;
use super::super::super::outcome::{failure, success};
use super::super::super::text::{base_name, between, cut, word};
use super::connection::Ssh;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `file.type_id`: a regular file, a folder, a symbolic link.
const FILE: i64 = 1;
const FOLDER: i64 = 2;
const LINK: i64 = 7;

/// Reads a message of the SFTP server.
pub(super) fn parse<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    session(message, event) || on_file(message, event) || answered(message, event)
}

/// `sent status No such file`: what the server answered, and nothing of whom or what.
fn answered<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some(status) = message.strip_prefix("sent status ") else { return false };
    event.class = Class::ApplicationError;
    event.activity_id = 1;
    event.push(Attribute::ActorAppName, "sftp-server");
    failure(event, status);
    true
}

/// `session opened for local user bob from [192.0.2.1]`, `session closed for …`.
fn session<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((verb, who)) = message.strip_prefix("session ").and_then(|rest| cut(rest, " for local user ")) else {
        return false;
    };
    let Some((user, host)) = cut(who, " from [") else { return false };
    let activity = match verb {
        "opened" => Ssh::Open,
        "closed" => Ssh::Close,
        _ => return false,
    };
    if !push_source(event, host.trim_end_matches(']'), None) {
        return false;
    }
    event.class = Class::SshActivity;
    event.activity_id = activity as u8;
    event.push(Attribute::ActorUserName, user);
    event.unmap("session_type", "sftp");
    success(event);
    true
}

fn on_file<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let (verb, rest) = word(message);
    let (activity, kind, word) = match verb {
        "open" if rest.contains("CREATE") || rest.contains("TRUNCATE") => (1, FILE, ""),
        "open" => (14, FILE, ""),
        "close" | "forced" => (99, FILE, "Close"),
        "remove" => (4, FILE, ""),
        "rename" | "posix-rename" => (5, FILE, ""),
        "set" => (6, FILE, ""),
        "mkdir" => (1, FOLDER, ""),
        "rmdir" => (4, FOLDER, ""),
        "opendir" => (14, FOLDER, ""),
        "closedir" => (99, FOLDER, "Close"),
        "symlink" | "hardlink" => (1, LINK, ""),
        _ => return false,
    };
    let Some((path, behind)) = between(rest, "\"", "\"") else { return false };
    if path.is_empty() || event.value(Attribute::ActorProcessPid).is_none() {
        return false;
    }
    event.class = Class::FileActivity;
    event.activity_id = activity;
    if !word.is_empty() {
        event.push(Attribute::ActivityName, word);
    }
    event.push(Attribute::FileName, base_name(path.trim_end_matches('/')));
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, kind);
    if let Some((new, _)) = between(behind, "\"", "\"") {
        event.push(Attribute::FileResultName, base_name(new));
        event.push(Attribute::FileResultPath, new);
        event.push(Attribute::FileResultTypeId, kind);
    } else if let Some((flags, mode)) = behind.strip_prefix(" flags ").and_then(|rest| cut(rest, " mode ")) {
        event.unmap("flags", flags);
        event.unmap("mode", mode);
    } else if let Some((read, written)) = cut(behind, "bytes read ").and_then(|(_, rest)| cut(rest, " written ")) {
        event.unmap("bytes_read", read);
        event.unmap("bytes_written", written);
    }
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use super::super::super::super::testing::normalized;

    #[test]
    fn files_that_a_peer_touched_are_named() {
        for (message, activity, path) in [
            ("open \"/srv/a b\" flags READ mode 0666", 14, "/srv/a b"),
            ("open \"/srv/a\" flags WRITE,CREATE,TRUNCATE mode 0644", 1, "/srv/a"),
            ("close \"/srv/a\" bytes read 0 written 9", 99, "/srv/a"),
            ("remove name \"/srv/a\"", 4, "/srv/a"),
            ("rename old \"/srv/a\" new \"/srv/b\"", 5, "/srv/a"),
            ("mkdir name \"/srv/d\" mode 0777", 1, "/srv/d"),
            ("rmdir name \"/srv/d\"", 4, "/srv/d"),
            ("set \"/srv/a\" mode 0600", 6, "/srv/a"),
        ] {
            let event = normalized(&format!("Mar 16 10:00:00 h internal-sftp[9]: {message}"));
            assert_eq!(event["type_uid"], 100_100 + activity, "{message}");
            assert_eq!(event["file"]["path"], path, "{message}");
        }
        let event = normalized("Mar 16 10:00:00 h sftp-server[9]: session opened for local user bob from [192.0.2.1]");
        assert_eq!(event["type_uid"], 400_701);
        assert_eq!(event["actor"]["user"]["name"], "bob");
        assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1");
        assert_eq!(normalized("Mar 16 10:00:00 h sftp-server: remove name \"/a\"")["type_uid"], 600_299);
        let event = normalized("Mar 16 10:00:00 h sftp-server[9]: sent status No such file");
        assert_eq!((&event["type_uid"], &event["status_detail"]), (&600_801.into(), &"No such file".into()));
    }
}
