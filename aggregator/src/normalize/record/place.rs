//! Fields of a record to their attributes, or to `unmapped`.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::record::Value as Recorded;

use super::lists::List;
use super::takes::takes;
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class, Kind};

/// What says of a key that its name is no attribute's.
const UNMAPPED: &str = "unmapped.";

/// Puts fields into one event, and remembers which attributes it has.
pub(super) struct Placer {
    seen: [bool; Attribute::ALL.len()],
}

impl Placer {
    /// For an event that has these attributes already: what an agent says does not replace them.
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut placer = Self { seen: [false; Attribute::ALL.len()] };
        event.shared.iter().chain(&event.fields).for_each(|field| placer.see(field.attribute));
        placer
    }

    fn see(&mut self, attribute: Attribute) {
        if let Some(seen) = self.seen.get_mut(attribute as usize) {
            *seen = true;
        }
    }

    fn has(&self, attribute: Attribute) -> bool {
        self.seen.get(attribute as usize).copied().unwrap_or(true)
    }

    /// A field to its attribute, or to `unmapped`.
    pub(super) fn keep<'a>(&mut self, key: &'a str, value: &'a Recorded, event: &mut Event<'a>) {
        if let Some(name) = key.strip_prefix(UNMAPPED).filter(|name| !name.is_empty()) {
            return unmap(name, value, event);
        }
        if let Recorded::List(elements) = value
            && let Some(list) = List::named(key).filter(|list| list.stands_in(event.class))
            && !list.attributes().any(|attribute| self.has(attribute))
        {
            list.attributes().for_each(|attribute| self.see(attribute));
            return list.place(key, elements, event);
        }
        match self.fitted(key, value, event.class) {
            Some((attribute, value)) => {
                self.see(attribute);
                event.push(attribute, value);
            }
            None if is_shared(key, value, event) => {}
            None => unmap(key, value, event),
        }
    }

    /// The attribute outside lists that this is, if its value is what that takes.
    fn fitted<'a>(&self, key: &str, value: &'a Recorded, class: Class) -> Option<(Attribute, Value<'a>)> {
        let attribute = Attribute::from_path(key)?;
        let is_plain = !key.contains("[]") && !of_profile(attribute);
        let is_open = is_plain && class.carries(attribute) && !self.has(attribute);
        Some((attribute, is_open.then(|| fitting(attribute, value)).flatten()?))
    }
}

/// Whether all events of the source say the same already.
fn is_shared(key: &str, value: &Recorded, event: &Event<'_>) -> bool {
    let Some(attribute) = Attribute::from_path(key).filter(|_| !key.contains("[]")) else { return false };
    let standing = event.shared.iter().find(|field| field.attribute == attribute);
    standing.is_some_and(|standing| fitting(attribute, value).as_ref() == Some(&standing.value))
}

/// What needs a profile that no record declares: the frame's context says which container its source is in, and programs
/// that control say in their own lines what they did.
const fn of_profile(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::DeviceContainerUid
            | Attribute::DeviceContainerName
            | Attribute::ActionId
            | Attribute::DispositionId
            | Attribute::FirewallRuleName
            | Attribute::FirewallRuleUid
            | Attribute::PolicyName
            | Attribute::ActorProcessAuid
            | Attribute::ActorProcessEuid
            | Attribute::ActorProcessEgid
            | Attribute::ProcessAuid
            | Attribute::ProcessEuid
            | Attribute::ProcessEgid
    )
}

/// Keeps a value that has no attribute.
pub(super) fn unmap<'a>(key: &'a str, value: &'a Recorded, event: &mut Event<'a>) {
    if let Some(value) = plain(value) {
        event.unmap(key, value);
    }
}

/// The value, if it is what the attribute takes.
pub(super) fn fitting(attribute: Attribute, value: &Recorded) -> Option<Value<'_>> {
    let value = match (attribute.kind(), value) {
        (Kind::Text, Recorded::String(text)) => Value::from(text.as_str()),
        (Kind::Text, Recorded::Ip(ip)) => Value::from(ip.to_canonical().to_string()),
        (Kind::Bool, Recorded::Bool(truth)) => Value::Bool(*truth),
        (Kind::Float, Recorded::F64(number)) => Value::Float(*number),
        (Kind::Integer, value) => Value::Int(whole(value).filter(|number| i32::try_from(*number).is_ok())?),
        (Kind::Long, value) => Value::Int(whole(value)?),
        _ => return None,
    };
    takes(attribute, &value).then_some(value)
}

/// A whole number; of a moment its milliseconds.
pub(super) fn whole(value: &Recorded) -> Option<i64> {
    match value {
        Recorded::I64(number) => Some(*number),
        Recorded::U64(number) => i64::try_from(*number).ok(),
        Recorded::Time(time) => Some(time.as_ms()),
        _ => None,
    }
}

/// Any value as one of `unmapped`: lists and maps as JSON text, bytes in base64.
pub(super) fn plain(value: &Recorded) -> Option<Value<'_>> {
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
pub(super) fn write_json(value: &Recorded, out: &mut String) {
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
