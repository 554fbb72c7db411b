//! [`FieldRef`]: a field of an event as rules name it.

use shared::yaml::rule::unknown_word;

use crate::event::{Event, Field, Value, observables};
use crate::schema::Attribute;

/// A field by its name in a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FieldRef {
    /// `class_uid`.
    ClassUid,
    /// `activity_id`.
    ActivityId,
    /// `type_uid`.
    TypeUid,
    /// `severity_id`.
    SeverityId,
    /// An attribute by its path; of a list, all elements.
    Attribute(Attribute),
    /// `unmapped.NAME`.
    Unmapped(String),
}

/// A name that is no field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "'{name}' is no class_uid, activity_id, type_uid or severity_id, begins with no 'unmapped.', and as a path of OCSF 1.8.0 {hint}"
)]
pub struct UnknownField {
    /// As it was written.
    pub name: String,
    /// The end of a sentence that names the most similar field.
    pub hint: String,
}

impl FieldRef {
    /// The field of this name: `class_uid`, an OCSF path (`user.name`, `answers[].rdata` or `answers.rdata`),
    /// `unmapped.KEY`.
    ///
    /// # Errors
    /// No such field, with the nearest.
    pub fn parse(name: &str) -> Result<Self, UnknownField> {
        Ok(match name {
            "class_uid" => Self::ClassUid,
            "activity_id" => Self::ActivityId,
            "type_uid" => Self::TypeUid,
            "severity_id" => Self::SeverityId,
            _ => match name.strip_prefix("unmapped.") {
                Some(key) if !key.is_empty() => Self::Unmapped(key.to_owned()),
                _ => Self::Attribute(attribute(name)?),
            },
        })
    }

    /// Appends what the event says there, so that equal values give equal bytes and different ones different bytes.
    pub(super) fn key(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        match self {
            Self::ClassUid => number(i64::from(event.class.uid()), out),
            Self::ActivityId => number(i64::from(event.activity_id), out),
            Self::TypeUid => number(event.type_uid(), out),
            Self::SeverityId => number(i64::from(event.severity_id), out),
            Self::Attribute(attribute) => {
                let mut said = |field: &Field<'_>| {
                    if field.attribute == *attribute {
                        value(&field.value, out);
                    }
                };
                event.shared.iter().chain(&event.fields).for_each(&mut said);
                if observables::PARTS.contains(attribute) {
                    observables::fields(event).for_each(|field| said(&field));
                }
            }
            Self::Unmapped(key) => {
                event.unmapped.iter().filter(|(name, _)| name == key).for_each(|(_, said)| value(said, out));
            }
        }
        // The end of this field's values.
        out.push(0);
    }

    /// Whether this is the attribute, or the object that it stands in.
    pub(super) fn covers(&self, attribute: Attribute) -> bool {
        matches!(self, Self::Attribute(own) if *own == attribute)
    }

    /// Whether this is the key of `unmapped`.
    pub(super) fn covers_unmapped(&self, key: &str) -> bool {
        matches!(self, Self::Unmapped(own) if own == key)
    }
}

/// An attribute by its path, with or without the marks of lists.
fn attribute(name: &str) -> Result<Attribute, UnknownField> {
    let plain = |path: &str| path.replace("[]", "");
    Attribute::from_path(name)
        .or_else(|| Attribute::ALL.iter().copied().find(|attribute| plain(attribute.path()) == name))
        .ok_or_else(|| {
            let hint = unknown_word(name, Attribute::ALL.iter().map(|attribute| attribute.path()));
            UnknownField { name: name.to_owned(), hint }
        })
}

fn number(number: i64, out: &mut Vec<u8>) {
    out.push(1);
    out.extend_from_slice(&number.to_le_bytes());
}

fn value(said: &Value<'_>, out: &mut Vec<u8>) {
    match said {
        Value::Text(text) => {
            out.push(2);
            out.extend_from_slice(&(text.len() as u64).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Value::Int(whole) => number(*whole, out),
        Value::Bool(truth) => out.extend_from_slice(&[3, u8::from(*truth)]),
        Value::Float(float) => {
            out.push(4);
            out.extend_from_slice(&float.to_bits().to_le_bytes());
        }
    }
}
