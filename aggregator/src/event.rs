//! [`Event`]: what a record means, in OCSF.
//!
//! An event is a flat list of fields, each an [`Attribute`] (an OCSF path with a number) and a [`Value`]
//! that borrows from the frame's buffer. It is built once, in place, and reused for the next record: a
//! sink reads it and keeps what it needs. Fields that all events of one frame and source have in common
//! (device, product, log name) stand in a slice of their own and are shared by all of them.
//!
//! Invariants: an attribute that is not inside a list occurs at most once over `shared` and own fields;
//! elements of a list are numbered 0, 1, 2 … without a hole.

pub mod json;
pub mod loss;
pub mod observables;
pub mod unmapped;

use std::borrow::Cow;

use shared::identity::EventId;
use shared::time::Timestamp;

use crate::schema::{Attribute, Class};

/// The value of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text, borrowed from the frame wherever it stands there as it is.
    Text(Cow<'a, str>),
    /// A whole number (OCSF `integer_t`, `long_t`, `timestamp_t`, every `*_id`).
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A floating-point number.
    Float(f64),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value<'_> {
    fn from(number: i32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl Value<'_> {
    /// The same value, owning its text: it outlives the buffer that it was read from.
    #[must_use]
    pub fn into_owned<'b>(self) -> Value<'b> {
        match self {
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Int(number) => Value::Int(number),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Float(number) => Value::Float(number),
        }
    }
}

/// One attribute of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// Which attribute.
    pub attribute: Attribute,
    /// Which element of the list that the attribute stands in; 0 outside lists.
    pub index: u16,
    /// Its value.
    pub value: Value<'a>,
}

impl Field<'_> {
    /// Its path with the number of the list's element, for where it stands outside its object:
    /// `answers[3].rdata`.
    #[must_use]
    pub fn key<'k>(&self) -> Cow<'k, str> {
        let path = self.attribute.path();
        match (path.split_once("[]"), self.index) {
            (Some((list, rest)), index) => Cow::Owned(format!("{list}[{index}]{rest}")),
            (None, 0) => Cow::Borrowed(path),
            (None, index) => Cow::Owned(format!("{path}[{index}]")),
        }
    }
}

/// What a record means.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// `metadata.uid`.
    pub id: EventId,
    /// `class_uid`, `class_name`, `category_uid`.
    pub class: Class,
    /// `activity_id`; `type_uid` follows from it.
    pub activity_id: u8,
    /// `severity_id`: 1 informational … 6 fatal.
    pub severity_id: u8,
    /// `time`.
    pub time: Timestamp,
    /// When the journal took the frame (decides the day of an event whose own time cannot be right).
    pub received_at: Timestamp,
    /// What all events of this frame and source have in common.
    pub shared: &'a [Field<'a>],
    /// Events with the same number, other than 0, have the same `shared`: so nobody need compare it again.
    pub run: u64,
    /// This event's own fields, in the order in which they were found.
    pub fields: Vec<Field<'a>>,
    /// What was understood and has no home in OCSF: keys may be dotted paths.
    pub unmapped: Vec<(Cow<'a, str>, Value<'a>)>,
    /// How many events it stands for; more than 1 where a rule merged them.
    pub weight: u64,
    /// Whether what its fields say is told as [`observables`] too.
    pub is_observed: bool,
}

impl<'a> Event<'a> {
    /// An event of no class yet (`base_event`, activity 0, informational).
    #[must_use]
    pub fn new(id: EventId, time: Timestamp, received_at: Timestamp) -> Self {
        Self {
            id,
            class: Class::BaseEvent,
            activity_id: 0,
            severity_id: 1,
            time,
            received_at,
            shared: &[],
            run: 0,
            fields: Vec::new(),
            unmapped: Vec::new(),
            weight: 1,
            is_observed: false,
        }
    }

    /// Empties the event for the next record; `id`, `shared` and what was allocated stay.
    pub fn reset(&mut self, time: Timestamp, received_at: Timestamp) {
        self.time = time;
        self.received_at = received_at;
        self.class = Class::BaseEvent;
        self.activity_id = 0;
        self.severity_id = 1;
        self.fields.clear();
        self.unmapped.clear();
        self.is_observed = false;
    }

    /// Takes over what an event that borrows from a shorter-lived buffer holds; texts are copied.
    pub fn adopt(&mut self, other: Event<'_>) {
        self.time = other.time;
        self.class = other.class;
        self.activity_id = other.activity_id;
        self.severity_id = other.severity_id;
        self.fields.extend(other.fields.into_iter().map(|field| Field {
            attribute: field.attribute,
            index: field.index,
            value: field.value.into_owned(),
        }));
        let unmapped = other.unmapped.into_iter();
        self.unmapped.extend(unmapped.map(|(key, value)| (Cow::Owned(key.into_owned()), value.into_owned())));
    }

    /// Sets an attribute that stands outside lists; a value set before is replaced.
    pub fn set(&mut self, attribute: Attribute, value: impl Into<Value<'a>>) {
        self.set_at(attribute, 0, value);
    }

    /// Sets an attribute of the `index`-th element of the list that it stands in.
    pub fn set_at(&mut self, attribute: Attribute, index: u16, value: impl Into<Value<'a>>) {
        let value = value.into();
        match self.fields.iter_mut().find(|f| f.attribute == attribute && f.index == index) {
            Some(field) => field.value = value,
            None => self.fields.push(Field { attribute, index, value }),
        }
    }

    /// Sets an attribute that was not set before; unlike [`set`](Self::set) it does not look, and costs nothing.
    pub fn push(&mut self, attribute: Attribute, value: impl Into<Value<'a>>) {
        self.push_at(attribute, 0, value);
    }

    /// Sets an attribute of a list's element that was not set before, without looking.
    pub fn push_at(&mut self, attribute: Attribute, index: u16, value: impl Into<Value<'a>>) {
        self.fields.push(Field { attribute, index, value: value.into() });
    }

    /// Declares that the event carries the attributes of an OCSF profile, beside those that its source has.
    pub fn profile(&mut self, name: &'static str) {
        let standing = self.shared.iter().chain(&self.fields).filter(|f| f.attribute == Attribute::MetadataProfiles);
        let index = standing.count().try_into().unwrap_or(u16::MAX);
        self.push_at(Attribute::MetadataProfiles, index, name);
    }

    /// Keeps something that has no home in OCSF under a key that was not used before.
    pub fn unmap(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.unmapped.push((key.into(), value.into()));
    }

    /// Takes what it shares with others for its own, so that it can be changed.
    pub fn unshare(&mut self) {
        self.fields.extend(self.shared.iter().cloned());
        (self.shared, self.run) = (&[], 0);
    }

    /// The value of an attribute outside lists, or of a list's first element.
    #[must_use]
    pub fn value(&self, attribute: Attribute) -> Option<&Value<'a>> {
        self.fields.iter().chain(self.shared).find(|f| f.attribute == attribute && f.index == 0).map(|f| &f.value)
    }

    /// The text of an attribute, where it is text.
    #[must_use]
    pub fn text(&self, attribute: Attribute) -> Option<&str> {
        match self.value(attribute) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// `type_uid`: class × 100 + activity.
    #[must_use]
    pub fn type_uid(&self) -> i64 {
        i64::from(self.class.uid()) * 100 + i64::from(self.activity_id)
    }
}
