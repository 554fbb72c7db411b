//! What the journal says of itself, as records of the aggregator's own: it goes back, it is full, segments go early.

use shared::record::Value;
use shared::time::Timestamp;

use super::{OwnRecord, WentBack};

/// `severity_id` of OCSF for what a person must act on: high.
const HIGH: i64 = 4;

fn notice(name: &str, message: String, fields: Vec<(&str, Value)>) -> OwnRecord {
    let mut record = vec![
        ("picket.record".to_owned(), Value::String("notice".to_owned())),
        ("notice".to_owned(), Value::String(name.to_owned())),
        ("severity_id".to_owned(), Value::I64(HIGH)),
        ("message".to_owned(), Value::String(message)),
    ];
    record.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
    record
}

/// It stood behind its sinks.
pub(super) fn went_back(WentBack { found, floor }: WentBack) -> OwnRecord {
    let message = format!(
        "the journal was deleted or replaced by an older copy: it stood at position {found}, its sinks at {floor}; it goes on behind them"
    );
    notice("journal_went_back", message, vec![("position", Value::U64(found)), ("cursor", Value::U64(floor))])
}

/// Segments went before they were as old as `retain`.
pub(super) fn sacrificed(segments: u64, begins: Option<(u64, Timestamp)>) -> OwnRecord {
    let message = format!("journal.max_bytes was reached: {segments} segments went younger than journal.retain");
    let mut fields = vec![("segments", Value::U64(segments))];
    if let Some((position, received)) = begins {
        fields.extend([("oldest_position", Value::U64(position)), ("gone_until", Value::Time(received))]);
    }
    notice("journal_sacrificed", message, fields)
}

/// It takes nothing more from agents.
pub(super) fn full(max_bytes: u64) -> OwnRecord {
    let message =
        "journal.max_bytes was reached and a required sink needs the oldest segment: agents spool until it goes on";
    notice("journal_full", message.to_owned(), vec![("max_bytes", Value::U64(max_bytes))])
}
