//! MySQL's logs as JSON: the error log of 8.0 (`log_sink_json`), the audit logs of Percona Server, MySQL Enterprise and
//! Trellix' plugin.
//!
//! In: `{"err_code":10926,"err_symbol":"ER_…","msg":"Access denied for …",…}`; `{"audit_record":{"name":"Connect",…}}`;
//! `{"class":"connection","event":"connect","account":{…},"login":{…},…}`; `{"msg-type":"activity","cmd":"Connect",…}`. Out: what the same message means in the text log;
//! logons (3002) and statements (6005) with their user, host and status. Source: MySQL 8.0 Reference Manual, 5.4.2.7 and
//! 6.4.5.4; Percona Server, `plugin/audit_log`.

use std::borrow::Cow;

use super::super::Context;
use super::super::database::mysql::{error_severity, push_said};
use super::super::database::{Asked, push_asked};
use super::super::fields::Fields;
use super::super::remark::life;
use super::bare;
use crate::event::Event;
use crate::schema::Attribute;

/// Whether it is a record of the error log.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("err_code") && fields.has("msg") && (fields.has("err_symbol") || fields.has("subsystem"))
}

/// Takes what the record says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    bare::push_time(fields, context, event);
    event.push(Attribute::MetadataLogProvider, "mysqld");
    event.severity_id = fields.peek("label").and_then(error_severity).unwrap_or(1);
    fields.push(event, Attribute::MetadataLogLevel, "label");
    if let Some(code) = fields.number("err_code") {
        event.push(Attribute::MetadataEventCode, format!("MY-{code:06}"));
    }
    let message = fields.text("msg").unwrap_or_default();
    push_said(&message, event);
    event.push(Attribute::Message, message);
}

/// Whether it is a record of an audit log.
pub(super) fn looks_audit(fields: &Fields<'_>) -> bool {
    (fields.has("audit_record.name") && fields.has("audit_record.timestamp"))
        || (fields.has("class") && fields.has("event") && fields.has("connection_id"))
            && (fields.has("account.user") || fields.is("class", "audit"))
        || (fields.is("msg-type", "activity") && fields.has("thread-id") && fields.has("cmd"))
}

/// Takes what the record says.
pub(super) fn parse_audit<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "mysqld");
    if fields.is("class", "audit") {
        fields.push_time(event, "timestamp", context.reference);
        fields.push(event, Attribute::Message, "event");
        life("mysqld", if event.text(Attribute::Message) == Some("shutdown") { 4 } else { 3 }, event);
        return;
    }
    let time = ["audit_record.timestamp", "date", "timestamp"].into_iter().find(|key| fields.has(key));
    let mut text = |keys: &[&str]| keys.iter().find_map(|key| fields.text(key)).filter(|text| !text.is_empty());
    let name = text(&["audit_record.name", "event", "cmd"]).unwrap_or_default();
    let statement = text(&["audit_record.sqltext", "general_data.query", "query"]);
    let database = text(&["audit_record.db", "connection_data.db", "table_access_data.db"]);
    let user = text(&["audit_record.user", "login.user", "account.user", "user"]);
    let host = text(&["audit_record.ip", "login.ip", "audit_record.host", "account.host", "ip", "host"]);
    let status = text(&["audit_record.status", "connection_data.status", "general_data.status", "status"]);
    time.into_iter().for_each(|key| _ = fields.push_time(event, key, context.reference));
    let session =
        ["audit_record.connection_id", "connection_id", "thread-id"].into_iter().find_map(|key| fields.number(key));
    if let Some(session) = session {
        event.push(Attribute::ActorSessionUid, session.to_string());
    }
    // Percona writes `ann[ann] @ web [192.0.2.7]` where a statement was asked.
    let user = user.map(|user| Cow::Owned(user.split('[').next().unwrap_or_default().trim().to_owned()));
    let failed = status.as_deref().is_some_and(|status| status != "0") || name == "Failed Login";
    push_asked(Asked { name: name.to_ascii_lowercase(), user, host, database, statement, failed }, event);
    if let Some(status) = status {
        event.push(Attribute::StatusCode, status);
    }
    event.push(Attribute::MetadataEventCode, name.clone());
    event.push(Attribute::Message, name);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn errors_as_json_mean_what_they_mean_as_text() {
        let line = |label: &str, msg: &str| {
            normalized(&format!(
                r#"{{"prio":1,"err_code":10926,"subsystem":"Server","msg":"{msg}","time":"2026-03-16T09:00:00.5Z","ts":1773651600500,"thread":12,"err_symbol":"ER_X","SQL_state":"28000","label":"{label}"}}"#
            ))
        };
        let event = line("Note", "Access denied for user 'ann'@'192.0.2.7' (using password: YES)");
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&json!("ann"), &json!("192.0.2.7")));
        assert_eq!(
            (&event["metadata"]["event_code"], &event["time"]),
            (&json!("MY-010926"), &json!(1_773_651_600_500_i64))
        );
        assert_eq!(line("Error", "Aborting")["class_uid"], 6008);
        assert_eq!(line("System", "/usr/sbin/mysqld: ready for connections.")["type_uid"], 600_203);
    }

    #[test]
    fn audit_logs_name_user_host_and_outcome() {
        let record = |name: &str, rest: &str| {
            normalized(&format!(
                r#"{{"audit_record":{{"name":"{name}","record":"4_x","timestamp":"2026-03-16T09:00:00Z","connection_id":"8",{rest},"host":"web","ip":"192.0.2.7","db":"shop"}}}}"#
            ))
        };
        let event = record("Connect", r#""status":1045,"user":"ann""#);
        assert_eq!(
            (&event["type_uid"], &event["status_id"], &event["status_code"]),
            (&json!(300_201), &json!(2), &json!("1045"))
        );
        assert_eq!((&event["user"]["name"], &event["src_endpoint"]["ip"]), (&json!("ann"), &json!("192.0.2.7")));
        assert_eq!(record("Quit", r#""status":0,"user":"ann""#)["type_uid"], 300_202);
        let event = record("Query", r#""status":0,"sqltext":"SELECT 1","user":"ann[ann] @ web [192.0.2.7]""#);
        assert_eq!((&event["type_uid"], &event["actor"]["user"]["name"]), (&json!(600_501), &json!("ann")));
        let event = normalized(
            r#"{ "timestamp": "2026-03-16 10:00:00", "id": 0, "class": "connection", "event": "connect", "connection_id": 12, "account": { "user": "ann", "host": "web" }, "login": { "user": "ann", "os": "", "ip": "192.0.2.7", "proxy": "" }, "connection_data": { "connection_type": "ssl", "status": 0, "db": "shop" } },"#,
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(1)));
        let event = normalized(
            r#"{"timestamp":"2026-03-16 10:00:00","id":0,"class":"audit","event":"startup","connection_id":0,"startup_data":{"server_id":1}}"#,
        );
        assert_eq!(event["type_uid"], 600_203);
        let event = normalized(
            r#"{"msg-type":"activity","date":"1773651600123","thread-id":"7","query-id":"0","user":"ann","ip":"192.0.2.7","cmd":"Failed Login","query":""}"#,
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(300_201), &json!(2)));
        assert_eq!(
            (&event["time"], &event["src_endpoint"]["ip"]),
            (&json!(1_773_651_600_123_i64), &json!("192.0.2.7"))
        );
    }
}
