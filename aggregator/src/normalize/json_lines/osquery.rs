//! osquery: the results log of its scheduled queries.
//!
//! In: one row (`name`, `action`, `columns`), or a batch (`diffResults`, `snapshot`). Out: what rows of its event tables say:
//! processes (1007), sockets (4001), files (1001), logons (3002); every other row is a base event with its columns. A batch
//! is a base event. Source: osquery, `docs/wiki/deployment/logging.md`, `specs/`.

use super::super::fields::Fields;
use super::super::text::base_name;
use super::super::{Context, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a result.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    let kind = fields.has("action") && (fields.has("columns") || fields.has("snapshot"));
    fields.has("name")
        && (kind || fields.has("diffResults"))
        && (fields.has("hostIdentifier") || fields.has("unixTime"))
}

/// Takes what the row says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "osquery");
    let _ = ["columns.time", "unixTime"].into_iter().any(|key| fields.push_time(event, key, context.reference));
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
    super::super::outcome::success(event);
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
        let event = line("pack_x", r#""name":"kernel","version":"5""#);
        let version = event["unmapped"]["columns"]["version"].as_str();
        assert_eq!((event["class_uid"].as_u64(), version), (Some(0), Some("5")));
    }
}
