//! The JSON log of PostgreSQL 15 and later: the keys are those that its text and CSV logs are brought to.
//!
//! Also what CloudNativePG's instance manager makes of the CSV log: `{"logger":"postgres","msg":"record","record":{"log_time":…,
//! "user_name":…, …}}`. Source: PostgreSQL, `jsonlog.c`; CloudNativePG, "Logging".

use super::super::Context;
use super::super::database::postgresql;
use super::super::fields::Fields;
use crate::event::Event;

/// Keys of CloudNativePG's records that the server's own log has under other names.
const RECORD: [(&str, &str); 22] = [
    ("record.log_time", "timestamp"),
    ("record.user_name", "user"),
    ("record.database_name", "dbname"),
    ("record.process_id", "pid"),
    ("record.connection_from", "connection_from"),
    ("record.session_id", "session_id"),
    ("record.session_line_num", "line_num"),
    ("record.command_tag", "ps"),
    ("record.session_start_time", "session_start"),
    ("record.virtual_transaction_id", "vxid"),
    ("record.transaction_id", "txid"),
    ("record.error_severity", "error_severity"),
    ("record.sql_state_code", "state_code"),
    ("record.message", "message"),
    ("record.detail", "detail"),
    ("record.hint", "hint"),
    ("record.context", "context"),
    ("record.query", "statement"),
    ("record.query_pos", "cursor_position"),
    ("record.application_name", "application_name"),
    ("record.backend_type", "backend_type"),
    ("record.query_id", "query_id"),
];

/// Whether it is a record of the server.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    let own = ["backend_type", "dbname", "session_id"];
    (fields.has("error_severity") && own.iter().any(|key| fields.has(key))) || wrapped(fields)
}

fn wrapped(fields: &Fields<'_>) -> bool {
    fields.has("record.error_severity") && fields.has("record.log_time")
}

/// Takes what the record says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    if wrapped(fields) {
        for (key, name) in RECORD {
            if let Some(leaf) = fields.take(key) {
                fields.add(None, name, leaf);
            }
        }
    }
    postgresql::push_time(fields, context.reference, event);
    postgresql::apply(fields, event);
}
