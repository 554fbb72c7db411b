//! osquery: the results log of its scheduled queries.
//!
//! In: one row (`name`, `action`, `columns`), or a batch (`diffResults`, `snapshot`). Out: what rows of its event tables say:
//! processes (1007), sockets (4001), files (1001), logons (3002); of its other tables: packages that came and went (6002), ports
//! that are listened on (4001), else evidence (5040) of a process, session, user, group, job, service, module or file. A row of
//! none of these, and a batch, is inventory of the host (5001) with its columns. The status log is its own (6002, 6008). Source: osquery, `docs/wiki/deployment/logging.md`, `specs/`.

use std::borrow::Cow;

use super::super::fields::Fields;
use super::super::outcome::{failure, success};
use super::super::remark::spoken;
use super::super::text::{base_name, cut, word};
use super::super::{Context, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Activity of the inventory classes: collect.
const COLLECT: u8 = 2;

/// Whether it is a result.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    let kind = fields.has("action") && (fields.has("columns") || fields.has("snapshot"));
    is_status(fields)
        || fields.has("name")
            && (kind || fields.has("diffResults"))
            && (fields.has("hostIdentifier")
                || fields.has("unixTime")
                || ["added", "removed", "snapshot"].iter().any(|action| fields.is("action", action)))
}

/// Whether it is a line of the status log, which is glog's in JSON.
fn is_status(fields: &Fields<'_>) -> bool {
    fields.has("hostIdentifier") && fields.has("filename") && fields.has("line") && fields.has("message")
}

/// What osquery says of itself: a report (6002), from a warning on an error (6008).
fn status<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.severity_id = match fields.peek("severity") {
        Some("1") => 2,
        Some("2") => 3,
        Some("3") => 6,
        _ => 1,
    };
    spoken(Some(Cow::Borrowed("osquery")), None, event);
    fields.push(event, Attribute::Message, "message");
}

/// Takes what the row says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "osquery");
    let _ = ["columns.time", "unixTime"].into_iter().any(|key| fields.push_time(event, key, context.reference));
    if is_status(fields) {
        return status(fields, event);
    }
    let query = fields.text("name").unwrap_or_default();
    let action = fields.peek("action").unwrap_or("snapshot").to_owned();
    event.push(Attribute::Message, format!("{query} {action}"));
    let added = action != "removed";
    let column = |name: &str| fields.has(&format!("columns.{name}"));
    if column("remote_address") && column("pid") && fields.peek("columns.remote_address").is_some() {
        socket(fields, event);
    } else if column("target_path") {
        file(fields, event);
    } else if added && column("pid") && (column("cmdline") || column("path")) && column("parent") {
        process(fields, event);
    } else if (column("username") || column("user")) && column("host") && column("tty") {
        logon(fields, added, event);
    } else if column("message") && column("auid") && fields.peek("columns.message").is_some_and(|m| m.contains("acct="))
    {
        audited(fields, event);
    } else if column("address") && column("port") && column("protocol") {
        listener(fields, added, event);
    } else if column("name") && column("version") && (column("arch") || column("source") || column("release")) {
        package(fields, added, event);
    } else {
        evidence(fields, added, event);
    }
    if event.class == Class::BaseEvent {
        event.class = Class::InventoryInfo;
        event.activity_id = COLLECT;
    }
    event.push(Attribute::MetadataEventCode, query);
}

fn process<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::ProcessActivity;
    event.activity_id = 1;
    let path = fields.peek("columns.path").filter(|path| !path.is_empty()).map(str::to_owned);
    if !fields.push(event, Attribute::ProcessName, "columns.name")
        && let Some(path) = &path
    {
        event.push(Attribute::ProcessName, base_name(path).to_owned());
    }
    if let Some(path) = path {
        event.push(Attribute::ProcessFileName, base_name(&path).to_owned());
        event.push(Attribute::ProcessFilePath, path);
        event.push(Attribute::ProcessFileTypeId, 1);
    }
    if let Some(parent) = fields.leaf("columns.parent").and_then(|leaf| leaf.as_number()) {
        event.push(Attribute::ActorProcessPid, parent);
    }
    fields.push_all(
        event,
        &[
            (Attribute::ProcessPid, "columns.pid"),
            (Attribute::ProcessCmdLine, "columns.cmdline"),
            (Attribute::ProcessWorkingDirectory, "columns.cwd"),
            (Attribute::ProcessParentPid, "columns.parent"),
            (Attribute::ProcessUserUid, "columns.uid"),
            (Attribute::ProcessUserName, "columns.username"),
        ],
    );
    if event.value(Attribute::ActorProcessPid).is_none() {
        event.push(Attribute::ActorAppName, "osquery");
    }
}

fn socket<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::NetworkActivity;
    let to = fields.push_destination(event, "columns.remote_address", "columns.remote_port");
    let from = fields.push_source(event, "columns.local_address", "columns.local_port");
    if !to && !from {
        event.class = Class::BaseEvent;
        return;
    }
    event.activity_id =
        if fields.is("columns.action", "accept") || fields.is("columns.action", "connect") { 1 } else { 6 };
    let protocol = fields.peek("columns.protocol").map(str::to_owned);
    transport::push(event, protocol.as_deref());
    fields.push_all(
        event,
        &[(Attribute::ActorProcessPid, "columns.pid"), (Attribute::ActorProcessName, "columns.process_name")],
    );
}

fn file<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::FileActivity;
    event.activity_id = match fields.peek("columns.action") {
        Some("CREATED" | "MOVED_TO") => 1,
        Some("UPDATED") => 3,
        Some("DELETED") => 4,
        Some("MOVED_FROM") => 5,
        Some("ATTRIBUTES_MODIFIED") => 6,
        Some("ACCESSED" | "OPENED") => 14,
        _ => 0,
    };
    let path = fields.text("columns.target_path").unwrap_or_default();
    event.push(Attribute::FileName, base_name(&path).to_owned());
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, 1);
    fields.push_all(event, &[(Attribute::FileSize, "columns.size"), (Attribute::FileOwnerUid, "columns.uid")]);
    let mut index = 0;
    for (key, name, id) in [("md5", "MD5", 1), ("sha1", "SHA-1", 2), ("sha256", "SHA-256", 3)] {
        if fields.push_at(event, Attribute::FileHashValue, index, &format!("columns.{key}")) {
            event.push_at(Attribute::FileHashAlgorithm, index, name);
            event.push_at(Attribute::FileHashAlgorithmId, index, id);
            index += 1;
        }
    }
    event.push(Attribute::ActorAppName, "osquery");
}

fn logon<'a>(fields: &mut Fields<'a>, added: bool, event: &mut Event<'a>) {
    let named = ["columns.username", "columns.user"].into_iter().find(|key| fields.peek(key).is_some());
    let Some(named) = named else { return };
    event.class = Class::Authentication;
    event.activity_id = if added { 1 } else { 2 };
    fields.push(event, Attribute::UserName, named);
    fields.push(event, Attribute::SessionTerminal, "columns.tty");
    fields.push_source(event, "columns.host", "");
    event.push(Attribute::ServiceName, "login");
    success(event);
}

/// A row of `user_events`: what the kernel's audit says of a logon.
fn audited<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let message = fields.text("columns.message").unwrap_or_default();
    let value = |mark: &str| cut(&message, mark).map(|(_, rest)| word(rest).0.trim_matches(['"', '\'']).to_owned());
    event.class = Class::Authentication;
    event.activity_id = if value("op=").is_some_and(|op| op.contains("session_close")) { 2 } else { 1 };
    event.push(Attribute::UserName, value("acct=").unwrap_or_default());
    event.push(Attribute::ServiceName, value("exe=").map_or("login".to_owned(), |path| base_name(&path).to_owned()));
    fields.push_source(event, "columns.address", "");
    fields.push(event, Attribute::SessionTerminal, "columns.terminal");
    if value("res=").is_some_and(|result| result.starts_with("fail")) {
        failure(event, "");
    } else {
        success(event);
    }
    event.unmap("audit_message", message);
}

/// A socket that somebody listens on, or no longer does.
fn listener<'a>(fields: &mut Fields<'a>, added: bool, event: &mut Event<'a>) {
    event.class = Class::NetworkActivity;
    event.activity_id = if added { 7 } else { 2 };
    if !fields.push_destination(event, "columns.address", "columns.port") {
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        return;
    }
    let protocol = fields.peek("columns.protocol").map(str::to_owned);
    transport::push(event, protocol.as_deref());
    fields
        .push_all(event, &[(Attribute::ActorProcessPid, "columns.pid"), (Attribute::ActorProcessName, "columns.name")]);
}

/// A row of `deb_packages`, `rpm_packages` and their kin.
fn package<'a>(fields: &mut Fields<'a>, added: bool, event: &mut Event<'a>) {
    event.class = Class::ApplicationLifecycle;
    event.activity_id = if added { 1 } else { 2 };
    fields.push_all(event, &[(Attribute::AppName, "columns.name"), (Attribute::AppVersion, "columns.version")]);
    success(event);
}

/// What else a row may be about: `query_type_id` of what is evidence, the column that shows it, and where columns go. The first
/// whose column is there has the row.
type Evidence = (i64, &'static str, &'static [(Attribute, &'static str)]);

static EVIDENCE: [Evidence; 12] = [
    (
        10,
        "columns.pid",
        &[
            (Attribute::EvidenceProcessPid, "columns.pid"),
            (Attribute::EvidenceProcessName, "columns.name"),
            (Attribute::EvidenceProcessCmdLine, "columns.cmdline"),
            (Attribute::EvidenceProcessWorkingDirectory, "columns.cwd"),
            (Attribute::EvidenceProcessFilePath, "columns.path"),
            (Attribute::EvidenceProcessUserUid, "columns.uid"),
            (Attribute::EvidenceProcessParentPid, "columns.parent"),
        ],
    ),
    (12, "columns.tty", &[(Attribute::EvidenceSessionTerminal, "columns.tty")]),
    (2, "columns.key_file", &[(Attribute::EvidenceFilePath, "columns.key_file")]),
    (
        5,
        "columns.command",
        &[(Attribute::EvidenceJobName, "columns.command"), (Attribute::EvidenceJobUserName, "columns.user")],
    ),
    (
        13,
        "columns.directory",
        &[(Attribute::EvidenceUserName, "columns.username"), (Attribute::EvidenceUserUid, "columns.uid")],
    ),
    (11, "columns.active_state", &[(Attribute::EvidenceServiceName, "columns.id")]),
    // Of suid_bin, which names the owners beside the file.
    (2, "columns.permissions", &[(Attribute::EvidenceFilePath, "columns.path")]),
    (
        4,
        "columns.groupname",
        &[(Attribute::EvidenceGroupName, "columns.groupname"), (Attribute::EvidenceGroupUid, "columns.gid")],
    ),
    (6, "columns.used_by", &[(Attribute::EvidenceModuleFileName, "columns.name")]),
    (3, "columns.device", &[(Attribute::EvidenceFolderPath, "columns.path")]),
    (
        2,
        "columns.path",
        &[(Attribute::EvidenceFilePath, "columns.path"), (Attribute::EvidenceFileSize, "columns.size")],
    ),
    (
        13,
        "columns.username",
        &[(Attribute::EvidenceUserName, "columns.username"), (Attribute::EvidenceUserUid, "columns.uid")],
    ),
];

fn evidence<'a>(fields: &mut Fields<'a>, added: bool, event: &mut Event<'a>) {
    let found = EVIDENCE.iter().find(|(_, mark, _)| fields.peek(mark).is_some_and(|value| !value.is_empty()));
    let Some((kind, _, table)) = found else { return };
    event.class = Class::EvidenceInfo;
    event.activity_id = 1;
    // What was asked for exists, or does no more.
    event.push(Attribute::QueryResultId, if added { 1 } else { 3 });
    event.push(Attribute::EvidenceQueryTypeId, *kind);
    fields.push_all(event, table);
    let name = |path: Option<&str>| path.map(|path| base_name(path).to_owned()).filter(|name| !name.is_empty());
    match kind {
        2 => {
            if let Some(name) = name(event.text(Attribute::EvidenceFilePath)) {
                event.push(Attribute::EvidenceFileName, name);
                event.push(Attribute::EvidenceFileTypeId, 1);
            }
        }
        3 => {
            let path = event.text(Attribute::EvidenceFolderPath).map(str::to_owned).unwrap_or_default();
            event.push(Attribute::EvidenceFolderName, path);
            event.push(Attribute::EvidenceFolderTypeId, 2);
        }
        10 => {
            if let Some(name) = name(event.text(Attribute::EvidenceProcessFilePath)) {
                event.push(Attribute::EvidenceProcessFileName, name);
                event.push(Attribute::EvidenceProcessFileTypeId, 1);
            }
        }
        5 => {
            let command = event.text(Attribute::EvidenceJobName).map(str::to_owned).unwrap_or_default();
            event.push(Attribute::EvidenceJobCmdLine, command);
        }
        6 => {
            event.push(Attribute::EvidenceModuleLoadTypeId, 1);
            event.push(Attribute::EvidenceModuleFileTypeId, 1);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn rows_of_event_tables_have_their_class() {
        let line = |name: &str, columns: &str| {
            normalized(&format!(
                r#"{{"name":"{name}","hostIdentifier":"h","calendarTime":"Mon Mar 16 09:00:00 2026 UTC","unixTime":1773651600,"columns":{{{columns}}},"action":"added"}}"#
            ))
        };
        let event = line("process_events", r#""pid":"7","parent":"1","path":"/bin/ls","cmdline":"ls -l","uid":"0""#);
        assert_eq!(event["type_uid"], 100_701);
        assert_eq!(event["process"]["cmd_line"], "ls -l");
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        let event = line(
            "socket_events",
            r#""pid":"7","action":"connect","remote_address":"192.0.2.7","remote_port":"443","local_address":"","local_port":"0""#,
        );
        assert_eq!(event["type_uid"], 400_101);
        assert_eq!(event["dst_endpoint"]["port"], 443);
        assert_eq!(line("fim", r#""target_path":"/etc/passwd","action":"UPDATED""#)["type_uid"], 100_103);
        for (name, columns, kind, at, value) in [
            (
                "listening_ports",
                r#""pid":"7","port":"80","protocol":"6","address":"0.0.0.0""#,
                400_107,
                "/dst_endpoint/port",
                80,
            ),
            ("deb_packages", r#""name":"curl","version":"8","arch":"amd64""#, 600_201, "/status_id", 1),
            (
                "users",
                r#""uid":"0","username":"ann","directory":"/root""#,
                504_001,
                "/query_evidence/query_type_id",
                13,
            ),
            ("groups", r#""gid":"27","groupname":"sudo""#, 504_001, "/query_evidence/query_type_id", 4),
            ("crontab", r#""command":"run-parts","path":"/etc/crontab""#, 504_001, "/query_evidence/query_type_id", 5),
            ("kernel_modules", r#""name":"xt_nat","used_by":"-""#, 504_001, "/query_evidence/query_type_id", 6),
            ("mounts", r#""device":"/dev/sda1","path":"/""#, 504_001, "/query_evidence/query_type_id", 3),
            (
                "suid_bin",
                r#""path":"/usr/bin/x","groupname":"root","permissions":"S""#,
                504_001,
                "/query_evidence/file/type_id",
                1,
            ),
            ("processes", r#""pid":"7","name":"sh""#, 504_001, "/query_evidence/process/pid", 7),
            (
                "systemd_units",
                r#""id":"ssh.service","active_state":"active""#,
                504_001,
                "/query_evidence/query_type_id",
                11,
            ),
            (
                "user_events",
                r#""message":"op=PAM:authentication acct=\"ann\" res=failed","auid":"1","address":"192.0.2.7""#,
                300_201,
                "/status_id",
                2,
            ),
        ] {
            let event = line(name, columns);
            assert_eq!(event["type_uid"], kind, "{name}");
            assert_eq!(event.pointer(at).and_then(serde_json::Value::as_i64), Some(value), "{name}");
        }
        let event = line("processes", r#""pid":"7","name":"sshd","path":"/usr/sbin/sshd""#);
        let file = &event["query_evidence"]["process"]["file"];
        assert_eq!((&file["name"], &file["path"]), (&"sshd".into(), &"/usr/sbin/sshd".into()));
        let gone = normalized(
            r#"{"name":"mounts","unixTime":"1773651600","columns":{"device":"/dev/sda1","path":"/"},"action":"removed"}"#,
        );
        assert_eq!((gone["type_uid"].as_i64(), gone["query_result_id"].as_i64()), (Some(504_001), Some(3)));
        let event = line("pack_x", r#""name":"kernel","version":"5""#);
        let version = event["unmapped"]["columns"]["version"].as_str();
        assert_eq!((event["type_uid"].as_u64(), version), (Some(500_102), Some("5")));
    }

    #[test]
    fn what_osquery_says_of_itself_is_a_report_or_an_error() {
        for (severity, kind) in [("0", 600_299), ("2", 600_801)] {
            let event = normalized(&format!(
                r#"{{"hostIdentifier":"h","unixTime":"1773651600","severity":"{severity}","filename":"s.cpp","line":"8","message":"m"}}"#
            ));
            assert_eq!((event["type_uid"].as_i64(), event["time"].as_i64()), (Some(kind), Some(1_773_651_600_000)));
        }
    }
}
