//! Typed records: what an agent says about itself (health, losses), and loss frames.
//!
//! In: fields whose keys are OCSF attribute paths. Out: a base event, or an event of class 1008 for what
//! happened to a log. A key that the class does not carry, and a value that does not fit, stand in `unmapped`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::identity::Lane;
use shared::record::{LossReason, Value as Recorded};
use shared::time::Timestamp;

use super::Origin;
use super::outcome::failure;
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class, Kind};

/// `severity_id` 3, medium: records were lost.
const MEDIUM: u8 = 3;

/// Reads a typed record into `event`. The caller has set `event.id` and `event.shared`; `read_at` is when the
/// agent made the record, `now` becomes `metadata.processed_time`.
pub fn record<'a>(
    fields: &'a [(String, Recorded)],
    read_at: Timestamp,
    received_at: Timestamp,
    origin: &'a Origin,
    now: Timestamp,
    event: &mut Event<'a>,
) {
    event.reset(read_at, received_at);
    super::finish(read_at, now, event);
    let whole = |key: &str| fields.iter().find(|(name, _)| name == key).and_then(|(_, value)| whole(value));
    let small = |key: &str| whole(key).and_then(|number| u8::try_from(number).ok());
    let class = whole("class_uid").and_then(|uid| u32::try_from(uid).ok()).and_then(Class::from_uid);
    // Other classes come with the sources that speak them: their required attributes are theirs to know.
    let class = class.filter(|class| matches!(class, Class::BaseEvent | Class::EventLogActivity));
    event.class = class.unwrap_or(Class::BaseEvent);
    let activity_max = if event.class == Class::EventLogActivity { 10 } else { 0 };
    event.activity_id = small("activity_id").filter(|id| *id <= activity_max || *id == 99).unwrap_or(0);
    event.severity_id = small("severity_id").filter(|id| *id <= 6).unwrap_or(1);
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("activity_id" | "severity_id", _) => {}
            ("class_uid", _) if class.is_some() => {}
            ("time", Recorded::Time(time)) => event.time = *time,
            _ => keep(key, value, event),
        }
    }
    // 99 says that `activity_name` has the word for it; without the word it says nothing.
    if event.activity_id == 99 && event.value(Attribute::ActivityName).is_none() {
        event.activity_id = 0;
    }
    name_the_log(origin, event);
}

/// A stretch of records that will not come.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// Why.
    pub reason: LossReason,
    /// How many; none where nobody can know.
    pub records: Option<u64>,
    /// Number of the first one, where it had a number.
    pub first_record: Option<u64>,
    /// The lane that they belonged to.
    pub lane: Lane,
    /// From when.
    pub first_at: Timestamp,
    /// To when.
    pub last_at: Timestamp,
}

/// Says a loss as an event: class 1008, activity `Lost`.
pub fn loss<'a>(loss: &Loss, received_at: Timestamp, origin: &'a Origin, now: Timestamp, event: &mut Event<'a>) {
    event.reset(loss.last_at, received_at);
    super::finish(loss.last_at, now, event);
    event.class = Class::EventLogActivity;
    event.activity_id = 99;
    event.severity_id = MEDIUM;
    event.push(Attribute::ActivityName, "Lost");
    let number = loss.records.map_or("an unknown number of".to_owned(), |records| records.to_string());
    event.push(Attribute::Message, format!("{number} records of lane {} lost: {}", loss.lane, loss.reason.name()));
    event.push(Attribute::StartTime, loss.first_at.as_ms());
    event.push(Attribute::EndTime, loss.last_at.as_ms());
    if let Some(records) = loss.records {
        event.push(Attribute::Count, i64::from(i32::try_from(records).unwrap_or(i32::MAX)));
        event.unmap("records", long(records));
    }
    if let Some(first) = loss.first_record {
        event.unmap("first_record", long(first));
    }
    event.unmap("lane", loss.lane.name());
    failure(event, loss.reason.name());
    name_the_log(origin, event);
}

/// Class 1008 names its log: as the source does, or the agent's own.
fn name_the_log<'a>(origin: &'a Origin, event: &mut Event<'a>) {
    if event.class != Class::EventLogActivity || event.value(Attribute::LogName).is_some() {
        return;
    }
    event.push(Attribute::LogName, origin.log_name.as_deref().unwrap_or("picket-agent"));
}

/// A field to its attribute, or to `unmapped`.
fn keep<'a>(key: &'a str, value: &'a Recorded, event: &mut Event<'a>) {
    let attribute = Attribute::from_path(key)
        .filter(|attribute| event.class.carries(*attribute) && event.value(*attribute).is_none())
        .filter(|attribute| !attribute.path().contains("[]"));
    let fitted = attribute.and_then(|attribute| Some((attribute, fitting(attribute.kind(), value)?)));
    match fitted.filter(|(attribute, value)| listed(*attribute, value)) {
        Some((attribute, value)) => event.push(attribute, value),
        None => {
            if let Some(value) = plain(value) {
                event.unmap(key, value);
            }
        }
    }
}

/// Whether an attribute that takes only the numbers of a list (OCSF 1.8.0 enums) takes this one.
fn listed(attribute: Attribute, value: &Value<'_>) -> bool {
    let Value::Int(number) = value else { return true };
    match attribute {
        Attribute::StatusId => matches!(number, 0..=2 | 99),
        Attribute::DeviceTypeId => matches!(number, 0..=15 | 99),
        Attribute::DeviceOsTypeId => matches!(number, 0 | 99..=101 | 200 | 201 | 300..=302 | 400..=402),
        _ => true,
    }
}

/// The value, if it is what the attribute takes.
fn fitting(kind: Kind, value: &Recorded) -> Option<Value<'_>> {
    match (kind, value) {
        (Kind::Text, Recorded::String(text)) => Some(Value::from(text.as_str())),
        (Kind::Text, Recorded::Ip(ip)) => Some(Value::from(ip.to_string())),
        (Kind::Bool, Recorded::Bool(truth)) => Some(Value::Bool(*truth)),
        (Kind::Float, Recorded::F64(number)) => Some(Value::Float(*number)),
        (Kind::Integer, value) => whole(value).filter(|n| i32::try_from(*n).is_ok()).map(Value::Int),
        (Kind::Long, value) => whole(value).map(Value::Int),
        _ => None,
    }
}

fn whole(value: &Recorded) -> Option<i64> {
    match value {
        Recorded::I64(number) => Some(*number),
        Recorded::U64(number) => i64::try_from(*number).ok(),
        Recorded::Time(time) => Some(time.as_ms()),
        _ => None,
    }
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Any value as one of `unmapped`: lists and maps as JSON text, bytes in base64.
fn plain(value: &Recorded) -> Option<Value<'_>> {
    Some(match value {
        Recorded::Null => return None,
        Recorded::Bool(truth) => Value::Bool(*truth),
        Recorded::I64(number) => Value::Int(*number),
        Recorded::U64(number) => match i64::try_from(*number) {
            Ok(number) => Value::Int(number),
            Err(_) => Value::from(number.to_string()),
        },
        Recorded::F64(number) => Value::Float(*number),
        Recorded::String(text) => Value::from(text.as_str()),
        Recorded::Bytes(bytes) => Value::from(BASE64.encode(bytes)),
        Recorded::Ip(ip) => Value::from(ip.to_string()),
        Recorded::Time(time) => Value::Int(time.as_ms()),
        Recorded::List(_) | Recorded::Map(_) => {
            let mut text = String::new();
            write_json(value, &mut text);
            Value::from(text)
        }
    })
}

/// JSON of a list or map (the frame bounds how deep it is).
fn write_json(value: &Recorded, out: &mut String) {
    match value {
        Recorded::List(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_json(value, out);
            }
            out.push(']');
        }
        Recorded::Map(entries) => {
            out.push('{');
            for (i, (key, value)) in entries.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                let _ = write!(out, "{}:", serde_json::Value::from(key.as_str()));
                write_json(value, out);
            }
            out.push('}');
        }
        other => {
            let json = match plain(other) {
                None => serde_json::Value::Null,
                Some(Value::Text(text)) => serde_json::Value::from(text),
                Some(Value::Int(number)) => serde_json::Value::from(number),
                Some(Value::Bool(truth)) => serde_json::Value::from(truth),
                Some(Value::Float(number)) => serde_json::Value::from(number),
            };
            let _ = write!(out, "{json}");
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::identity::{AgentId, ChainId, Epoch, EventId};

    use super::*;
    use crate::event::json;

    const AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

    fn empty() -> Event<'static> {
        let chain = ChainId { agent: AgentId::default(), lane: Lane::Bulk, epoch: Epoch(1) };
        Event::new(EventId { chain, record: 7, part: 0 }, AT, AT)
    }

    fn shown(event: &Event<'_>) -> serde_json::Value {
        let mut out = String::new();
        json::write(event, &mut out);
        serde_json::from_str(&out).unwrap()
    }

    #[test]
    fn a_loss_says_how_many_from_when_to_when_and_why() {
        let lost = Loss {
            reason: LossReason::DropOldest,
            records: Some(42),
            first_record: Some(5),
            lane: Lane::Bulk,
            first_at: Timestamp::from_seconds(1),
            last_at: Timestamp::from_seconds(2),
        };
        let origin = Origin::default();
        let mut event = empty();
        loss(&lost, AT, &origin, AT, &mut event);
        let event = shown(&event);
        assert_eq!(event["type_uid"], 100_899);
        assert_eq!(event["activity_name"], "Lost");
        assert_eq!(event["message"], "42 records of lane bulk lost: drop_oldest");
        assert_eq!(event["count"], 42);
        assert_eq!((event["start_time"].as_u64(), event["end_time"].as_u64()), (Some(1_000), Some(2_000)));
        assert_eq!(event["log_name"], "picket-agent");
        assert_eq!(event["unmapped"], serde_json::json!({"records": 42, "first_record": 5, "lane": "bulk"}));
    }

    #[test]
    fn what_fits_an_attribute_stands_there_and_the_rest_is_kept() {
        let inner = Recorded::Map(vec![("a\"".to_owned(), Recorded::Bytes(vec![255]))]);
        let fields = [
            ("class_uid", Recorded::U64(1008)),
            ("activity_id", Recorded::U64(5)),
            ("time", Recorded::Time(Timestamp::from_seconds(3))),
            ("log_name", Recorded::String("/var/log/a".to_owned())),
            ("status_id", Recorded::String("not a number".to_owned())),
            ("device.os.type_id", Recorded::U64(7)),
            ("user.name", Recorded::String("bob".to_owned())),
            ("device.uid", Recorded::String("forged".to_owned())),
            ("spool.bytes", Recorded::U64(u64::MAX)),
            ("lanes", Recorded::List(vec![inner, Recorded::Null])),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let origin = Origin::default();
        let shared = origin.fields();
        let mut event = empty();
        event.shared = &shared;
        record(&fields, AT, AT, &origin, AT, &mut event);
        let event = shown(&event);
        assert_eq!(event["type_uid"], 100_805);
        assert_eq!(event["time"], 3_000);
        assert_eq!(event["log_name"], "/var/log/a");
        assert_eq!(event["device"]["uid"], AgentId::default().to_string());
        assert_eq!(
            event["unmapped"],
            serde_json::json!({
                "status_id": "not a number", "device.os.type_id": 7, "user.name": "bob", "device.uid": "forged",
                "spool.bytes": u64::MAX.to_string(), "lanes": r#"[{"a\"":"/w=="},null]"#
            })
        );
    }
}
