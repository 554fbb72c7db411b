//! What a match becomes: captures converted, put where they go, and the event kept valid.
//!
//! A value that its target does not take, and what an object lacks a required part of, stands in `unmapped` under its path;
//! an event that then lacks what its class requires is a base event.

use std::net::IpAddr;

use super::activities::OTHER;
use super::clock::Clock;
use super::target::{Lack, Target, lacking, of_control, word_for};
use super::{Field, Parser};
use crate::event::{Event, Value};
use crate::normalize::record::takes;
use crate::normalize::timestamp::Reference;
use crate::normalize::{Context, endpoint, text};
use crate::schema::{Attribute, Class, Kind};

/// How the text of a capture is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Type {
    /// As it stands.
    Text,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// A number.
    Float,
    /// true, yes, on, 1 and their opposites.
    Bool,
    /// An address.
    Ip,
    /// A moment; of an attribute its milliseconds.
    Time(Clock),
}

/// A value that a file gives.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Fixed {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

impl Fixed {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Int(number) => Value::Int(*number),
            Self::Float(number) => Value::Float(*number),
            Self::Bool(truth) => Value::Bool(*truth),
        }
    }
}

impl Type {
    /// What a target is read as where nobody says it.
    pub(super) fn of(target: &Target) -> Self {
        match target {
            Target::Time => Self::Time(Clock::AUTO),
            Target::Unmapped(_) => Self::Text,
            Target::Severity => Self::Int,
            Target::Attribute(attribute) if is_address(*attribute) => Self::Ip,
            Target::Attribute(attribute) => match attribute.kind() {
                Kind::Text => Self::Text,
                Kind::Integer => Self::Int,
                Kind::Long => Self::Long,
                Kind::Bool => Self::Bool,
                Kind::Float => Self::Float,
            },
        }
    }

    /// Whether values of this type fit a target.
    pub(super) fn fits(&self, target: &Target) -> bool {
        match (target, self) {
            (Target::Unmapped(_), _) | (Target::Time, Self::Time(_)) | (Target::Severity, Self::Int) => true,
            (Target::Time | Target::Severity, _) => false,
            (Target::Attribute(attribute), kind) => match attribute.kind() {
                Kind::Text => matches!(kind, Self::Text | Self::Ip),
                Kind::Integer => matches!(kind, Self::Int),
                Kind::Long => matches!(kind, Self::Int | Self::Long | Self::Time(_)),
                Kind::Bool => matches!(kind, Self::Bool),
                Kind::Float => matches!(kind, Self::Int | Self::Long | Self::Float),
            },
        }
    }

    fn read<'a>(&self, text: &'a str, reference: Reference) -> Option<Value<'a>> {
        Some(match self {
            Self::Text => Value::from(text),
            Self::Int => Value::Int(i64::from(text.parse::<i32>().ok()?)),
            Self::Long => Value::Int(text.parse().ok()?),
            Self::Float => Value::Float(text.parse().ok().filter(|number: &f64| number.is_finite())?),
            Self::Bool => Value::Bool(truth(text)?),
            Self::Ip => Value::from(endpoint::ip(text).filter(|ip| ip.split('%').next().is_some_and(is_ip))?),
            Self::Time(clock) => Value::Int(clock.read(text, reference)?.time.as_ms()),
        })
    }
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn truth(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match (is(&["true", "yes", "on", "1"]), is(&["false", "no", "off", "0"])) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// Whether OCSF has an address there (`ip_t`).
fn is_address(attribute: Attribute) -> bool {
    let path = attribute.path();
    path.ends_with(".ip") || matches!(path, "http_request.x_forwarded_for[]")
}

/// Whether OCSF takes the value: addresses, hardware addresses, ports, enums.
pub(super) fn fitting(attribute: Attribute, value: &Value<'_>) -> bool {
    let path = attribute.path();
    match value {
        Value::Text(text) if is_address(attribute) => endpoint::ip(text) == Some(text),
        Value::Int(number) if path.ends_with(".port") => u16::try_from(*number).is_ok(),
        Value::Int(number) if attribute.kind() == Kind::Integer && i32::try_from(*number).is_err() => false,
        Value::Int(number) => known(path, *number) && takes(attribute, value),
        _ => takes(attribute, value),
    }
}

/// Whether a number is in its enum, where it has one; 99 needs its word, which is looked for later.
fn known(path: &str, number: i64) -> bool {
    const ENUMS: [(&str, i64); 8] = [
        ("action_id", 4),
        ("disposition_id", 27),
        ("direction_id", 4),
        ("tunnel_type_id", 2),
        ("database.type_id", 8),
        ("kernel.type_id", 2),
        ("analytic.type_id", 11),
        ("file.type_id", 8),
    ];
    let most = ENUMS.iter().find(|(end, _)| path.ends_with(end)).map(|(_, most)| *most);
    most.is_none_or(|most| (0..=most).contains(&number) || number == i64::from(OTHER))
}

impl Parser {
    /// Reads a line; false where none of the patterns is in it.
    pub(in crate::normalize) fn parse<'a>(
        &'a self,
        line: &'a str,
        context: &Context<'a>,
        event: &mut Event<'a>,
    ) -> bool {
        let Some((pattern, found)) = self.patterns.iter().find_map(|pattern| Some((pattern, pattern.find(line)?)))
        else {
            return false;
        };
        event.class = self.class;
        event.activity_id = self.activity;
        event.push(Attribute::MetadataLogFormat, self.name.as_str());
        for (target, value) in &self.fixed {
            put(target, value.value(), event);
        }
        for (capture, value) in pattern.values(&found).filter(|(_, value)| !value.is_empty()) {
            match self.fields.iter().find(|field| field.capture == capture) {
                Some(field) => field.fill(value, context.reference, event),
                None => event.unmap(capture, value),
            }
        }
        if event.value(Attribute::Message).is_none() {
            event.push(Attribute::Message, line);
        }
        self.settle(event);
        true
    }

    /// Takes away what is not whole.
    fn settle(&self, event: &mut Event<'_>) {
        while let Some(id) = wordless(event) {
            strip(event, |attribute| attribute == id);
        }
        if event.activity_id == OTHER && event.value(Attribute::ActivityName).is_none() {
            event.activity_id = 0;
        }
        loop {
            let paths: Vec<&str> = event.fields.iter().map(|field| field.attribute.path()).collect();
            match lacking(event.class, &paths) {
                None => break,
                Some(Lack { object, .. }) if !object.is_empty() => {
                    strip(event, |attribute| attribute.path().starts_with(object.as_str()));
                }
                Some(_) => {
                    event.unmap("class_uid", event.class.uid());
                    event.class = Class::BaseEvent;
                    event.activity_id = 0;
                    strip(event, |attribute| !Class::BaseEvent.carries(attribute));
                }
            }
        }
        if event.fields.iter().any(|field| of_control(field.attribute)) {
            event.profile("security_control");
        }
    }
}

impl Field {
    fn fill<'a>(&'a self, value: &'a str, reference: Reference, event: &mut Event<'a>) {
        let word = self.words.iter().find(|(word, _)| word == value);
        let read = match (&self.target, &self.kind, word) {
            (_, _, Some((_, fixed))) => Some(fixed.value()),
            (Target::Time, Type::Time(clock), None) => {
                let stamp =
                    clock.read(value, reference).filter(|_| event.value(Attribute::MetadataOriginalTime).is_none());
                return match stamp {
                    Some(stamp) => stamp.apply(event),
                    None => event.unmap(self.capture.as_str(), value),
                };
            }
            (Target::Severity, _, None) => text::level(value)
                .map(|level| Value::Int(i64::from(level)))
                .or_else(|| self.kind.read(value, reference)),
            // What is listed word by word takes no other word.
            _ if !self.words.is_empty() => None,
            _ => self.kind.read(value, reference),
        };
        if !read.is_some_and(|read| put(&self.target, read, event)) {
            event.unmap(self.target.path(), value);
        }
    }
}

/// Puts a value where it goes; false where that does not take it.
fn put<'a>(target: &'a Target, value: Value<'a>, event: &mut Event<'a>) -> bool {
    match target {
        Target::Attribute(attribute) => {
            let fits = fitting(*attribute, &value);
            if fits {
                event.set(*attribute, value);
            }
            fits
        }
        Target::Severity => match value {
            Value::Int(level @ 0..=6) => {
                event.severity_id = u8::try_from(level).unwrap_or(0);
                true
            }
            _ => false,
        },
        Target::Unmapped(key) => {
            event.unmap(key.as_str(), value);
            true
        }
        Target::Time => false,
    }
}

/// A number that says "other" without the word for it.
fn wordless(event: &Event<'_>) -> Option<Attribute> {
    let other = Value::Int(i64::from(OTHER));
    let ids = event.fields.iter().filter(|field| field.value == other && field.attribute.path().ends_with("_id"));
    let mut wordless = ids.filter(|field| word_for(field.attribute).is_none_or(|word| event.value(word).is_none()));
    wordless.next().map(|field| field.attribute)
}

/// Moves fields to `unmapped`, under their paths.
fn strip(event: &mut Event<'_>, mut goes: impl FnMut(Attribute) -> bool) {
    for field in std::mem::take(&mut event.fields) {
        if goes(field.attribute) {
            event.unmapped.push((field.key(), field.value));
        } else {
            event.fields.push(field);
        }
    }
}
