//! laurel's JSON: one object an audit event, its records by type, arguments decoded (`ARGV`).
//!
//! In: `{"ID":"1615114232.375:15558","NODE":"h","SYSCALL":{…},"EXECVE":{"argc":1,"ARGV":["id"]},"PATH":[{…}],…}` (laurel's
//! `docs` and src/coalesce.rs). Out: what the records would say as text.

use std::borrow::Cow;

use serde_json::Value;

use super::execution::ARGUMENT_NAMES;
use super::record::{RECORDS_MAX, Record, Records, head};
use crate::event::Event;
use crate::normalize::Context;
use crate::schema::Attribute;

/// The first look: an object whose first key is laurel's.
pub(in crate::normalize) fn looks(text: &str) -> bool {
    text.starts_with("{\"ID\":\"")
}

/// Reads an object; false where it is none of laurel's.
pub(in crate::normalize) fn parse<'a>(text: &'a str, _: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text) else { return false };
    let Some(id) = text.strip_prefix("{\"ID\":\"").and_then(|rest| rest.split_once('"')).map(|(id, _)| id) else {
        return false;
    };
    // The id is what stands between the parentheses of a record.
    let marked = format!("audit({id}):");
    if head(&marked, 0).is_none() {
        return false;
    }
    let mut draft = Event::new(event.id, event.time, event.received_at);
    draft.shared = event.shared;
    draft.severity_id = event.severity_id;
    let mut records = Records::default();
    for (kind, value) in object
        .iter()
        .filter(|(kind, _)| kind.bytes().all(|b| b.is_ascii_uppercase() || b == b'_' || b.is_ascii_digit()))
    {
        match value {
            Value::Object(fields) => add(&mut records, kind, fields),
            Value::Array(all) => {
                all.iter().filter_map(Value::as_object).for_each(|fields| add(&mut records, kind, fields))
            }
            Value::String(node) if kind == "NODE" => records.node = Some(node),
            _ => {}
        }
    }
    let Some(head) = head(&marked, 0).filter(|_| !records.records.is_empty()) else { return false };
    draft.push(Attribute::MetadataLogFormat, "laurel");
    if let Some(parent) = object.get("SYSCALL").and_then(|call| call.get("PPID")).and_then(Value::as_object) {
        beside("parent", parent, &mut draft);
    }
    if !super::read(records, head.stamp, &mut draft) {
        return false;
    }
    event.adopt(draft);
    event.set(Attribute::Message, message(&object));
    true
}

/// What laurel knows of the parent (`PPID`: its executable, its labels).
fn beside<'a>(name: &str, fields: &'a serde_json::Map<String, Value>, event: &mut Event<'a>) {
    for (key, value) in fields {
        if let Some(text) = value.as_str() {
            event.unmap(format!("{name}.{key}"), text);
        }
    }
}

/// A line for people: what was run, or which record it is.
fn message(object: &serde_json::Map<String, Value>) -> String {
    let arguments = object.get("EXECVE").and_then(|execve| execve.get("ARGV")).and_then(Value::as_array);
    match arguments {
        Some(arguments) => arguments.iter().filter_map(Value::as_str).take(64).collect::<Vec<_>>().join(" "),
        None => object
            .keys()
            .filter(|key| !matches!(key.as_str(), "ID" | "NODE"))
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// Adds a record; `ARGV` becomes `a0`, `a1`, … again.
fn add<'a>(records: &mut Records<'a>, kind: &'a str, fields: &'a serde_json::Map<String, Value>) {
    if records.records.len() >= RECORDS_MAX {
        return;
    }
    let from = records.fields.len();
    for (key, value) in fields {
        match value {
            Value::String(text) => {
                let text = text.strip_prefix("0x").filter(|_| kind == "SYSCALL" && key == "arch").unwrap_or(text);
                records.push(key, Cow::Borrowed(text), true);
            }
            Value::Number(number) => records.push(key, Cow::Owned(number.to_string()), true),
            Value::Array(all) if key == "ARGV" && kind == "PROCTITLE" => {
                let title: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
                records.push("proctitle", Cow::Owned(title.join(" ")), true);
            }
            Value::Array(all) if key == "ARGV" => {
                for (name, text) in ARGUMENT_NAMES.into_iter().zip(all.iter().filter_map(Value::as_str)) {
                    let text = text.strip_prefix("0x").filter(|_| kind == "SYSCALL").unwrap_or(text);
                    records.push(name, Cow::Borrowed(text), true);
                }
            }
            _ => {}
        }
    }
    records.records.push(Record { kind, body: kind, from, to: records.fields.len() });
}
