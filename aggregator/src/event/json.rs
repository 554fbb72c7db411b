//! An [`Event`] as OCSF JSON: one object, nested, on one line.
//!
//! In: the event with its shared fields. Out: UTF-8 JSON appended to a buffer. `metadata.uid`, the class
//! and the time stand in the event itself and are written from there; lists `a[].b` become arrays of
//! objects in order of their index; dotted keys of `unmapped` nest ([`unmapped`]). Invariant: the output is
//! valid JSON whatever the texts hold.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::{Event, Field, Value, observables, unmapped};
use crate::schema::Attribute;

/// Where an attribute stands in the object, worked out once for all events.
struct Place {
    /// The objects and lists around it, outermost first; lists with `[]`.
    parents: Vec<&'static str>,
    /// Its key; empty for an element of a list of plain values.
    key: &'static str,
    /// Number of the first attribute in the same list of objects; its own outside lists.
    group: u16,
}

/// Places by attribute number.
static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    let mut places: Vec<Place> = Vec::with_capacity(Attribute::ALL.len());
    for (number, attribute) in (0..).zip(Attribute::ALL) {
        let mut parents: Vec<&'static str> = attribute.path().split('.').collect();
        let key = if attribute.path().ends_with("[]") { "" } else { parents.pop().unwrap_or_default() };
        // What stands in one list stands together in the table.
        let in_list = !key.is_empty() && parents.iter().any(|segment| segment.ends_with("[]"));
        let before = places.last().filter(|before| in_list && before.parents == parents);
        let group = before.map_or(number, |before| before.group);
        places.push(Place { parents, key, group });
    }
    places
});

/// One leaf of an event, with the order in which it is written.
struct Leaf<'e> {
    /// Group, list index and number, the most significant first: the elements of a list come one after the
    /// other, each with all its attributes.
    rank: u64,
    place: &'static Place,
    field: &'e Field<'e>,
}

/// An object or list that has been opened and not yet closed.
struct Open {
    /// The path segment, with `[]` where it is a list.
    segment: &'static str,
    index: u16,
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `"key":{`
    Object,
    /// `"key":[{`: a list of objects.
    Objects,
    /// `"key":[`: a list of plain values.
    Scalars,
}

impl Shape {
    const fn opening(self) -> &'static str {
        match self {
            Self::Object => "{",
            Self::Objects => "[{",
            Self::Scalars => "[",
        }
    }

    const fn closing(self) -> &'static str {
        match self {
            Self::Object => "}",
            Self::Objects => "}]",
            Self::Scalars => "]",
        }
    }

    /// Between two elements of a list.
    const fn between(self) -> &'static str {
        match self {
            Self::Object => "",
            Self::Objects => "},{",
            Self::Scalars => ",",
        }
    }
}

/// Appends the event as one JSON object, without a line end.
pub fn write(event: &Event<'_>, out: &mut String) {
    // Formatting into a String cannot fail.
    let _ = write!(
        out,
        "{{\"class_uid\":{},\"class_name\":\"{}\",\"category_uid\":{},\"activity_id\":{},\"type_uid\":{},\"severity_id\":{},\"time\":{}",
        event.class.uid(),
        event.class.caption(),
        event.class.category_uid(),
        event.activity_id,
        event.type_uid(),
        event.severity_id,
        event.time.as_ms(),
    );
    let mut open: Vec<Open> = Vec::with_capacity(8);
    let mut named = false;
    let observables: Vec<Field<'_>> = observables::fields(event).collect();
    for leaf in ordered(event, &observables) {
        write_leaf(&leaf, &mut open, out);
        // The event's id is no field: it stands behind the first of `metadata`.
        if !named && leaf.place.parents == ["metadata"] {
            named = true;
            write_key("uid", out);
            let _ = write!(out, "\"{}\"", event.id);
        }
    }
    close(&mut open, 0, out);
    if !event.unmapped.is_empty() {
        out.push_str(",\"unmapped\":");
        let entries = event.unmapped.iter().map(|(key, value)| (key.as_ref(), value));
        unmapped::write_object(&entries.collect::<Vec<_>>(), out);
    }
    out.push('}');
}

/// All leaves, so that what stands in one object or list element stands together.
fn ordered<'e>(event: &'e Event<'_>, observables: &'e [Field<'_>]) -> Vec<Leaf<'e>> {
    let mut leaves = Vec::with_capacity(event.fields.len() + event.shared.len() + observables.len());
    leaves.extend(event.shared.iter().chain(&event.fields).chain(observables).filter_map(|field| {
        let number = field.attribute as u16;
        let place = PLACES.get(usize::from(number))?;
        let rank = u64::from(place.group) << 32 | u64::from(field.index) << 16 | u64::from(number);
        Some(Leaf { rank, place, field })
    }));
    leaves.sort_unstable_by_key(|leaf| leaf.rank);
    leaves
}

fn write_leaf(leaf: &Leaf<'_>, open: &mut Vec<Open>, out: &mut String) {
    let Place { parents, key: name, .. } = leaf.place;
    let index = leaf.field.index;
    let mut segments = parents.iter().copied().peekable();

    // Keep what is still open and right; close the rest.
    let mut kept = 0;
    let mut next_element = false;
    while let (Some(&segment), Some(standing)) = (segments.peek(), open.get(kept)) {
        if standing.segment != segment || next_element {
            break;
        }
        next_element = standing.shape != Shape::Object && standing.index != index;
        kept += 1;
        segments.next();
    }
    close(open, kept, out);
    if let Some(list) = open.last_mut().filter(|_| next_element) {
        list.index = index;
        out.push_str(list.shape.between());
    }
    for segment in segments {
        let key = segment.strip_suffix("[]");
        let shape = match key {
            Some(_) if name.is_empty() => Shape::Scalars,
            Some(_) => Shape::Objects,
            None => Shape::Object,
        };
        write_key(key.unwrap_or(segment), out);
        out.push_str(shape.opening());
        open.push(Open { segment, index, shape });
    }
    if !name.is_empty() {
        write_key(name, out);
    }
    write_value(&leaf.field.value, out);
}

/// A key of the innermost object, after a comma unless it is the first.
fn write_key(key: &str, out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
    write_text(key, out);
    out.push(':');
}

fn close(open: &mut Vec<Open>, keep: usize, out: &mut String) {
    for closed in open.drain(keep.min(open.len())..).rev() {
        out.push_str(closed.shape.closing());
    }
}

/// Appends a value; a number that JSON has no word for as text.
pub(super) fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::Int(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Float(number) if number.is_finite() => {
            let _ = write!(out, "{number}");
        }
        Value::Float(number) => {
            let _ = write!(out, "\"{number}\"");
        }
    }
}

/// Appends a JSON string (RFC 8259 §7).
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b < 0x20 || b == b'"' || b == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        match chars.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
    use shared::time::Timestamp;

    use super::*;
    use crate::schema::Class;

    fn event(shared: &'static [Field<'static>]) -> Event<'static> {
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        let mut event = Event::new(EventId { chain, record: 7, part: 0 }, Timestamp::from_ms(5), Timestamp(0));
        event.shared = shared;
        event
    }

    fn json(event: &Event<'_>) -> serde_json::Value {
        let mut out = String::new();
        write(event, &mut out);
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}"))
    }

    #[test]
    fn key_said_twice_in_unmapped_holds_both_values() {
        let mut event = event(&[]);
        event.unmap("a", 1);
        event.unmap("b", "x");
        event.unmap("a", "y");
        assert_eq!(json(&event)["unmapped"], serde_json::json!({"a": [1, "y"], "b": "x"}));
    }

    #[test]
    fn paths_become_objects_whatever_order_they_were_set_in() {
        let mut event = event(&[]);
        event.class = Class::Authentication;
        event.activity_id = 1;
        event.push(Attribute::MetadataVersion, "1.8.0");
        event.push(Attribute::SrcEndpointPort, 22);
        event.push(Attribute::UserName, "root");
        event.push(Attribute::SrcEndpointIp, "::1");
        event.unmap("a.b", Value::Float(1.5));
        let json = json(&event);
        assert_eq!(json["type_uid"], 300_201);
        assert_eq!(json["class_name"], "Authentication");
        assert_eq!(json["src_endpoint"], serde_json::json!({"ip": "::1", "port": 22}));
        assert_eq!(json["metadata"]["uid"], event.id.to_string());
        assert_eq!(json["unmapped"], serde_json::json!({"a": {"b": 1.5}}));
    }

    #[test]
    fn list_elements_keep_their_attributes_together() {
        let mut event = event(&[]);
        for (index, name) in ["a", "b", "c"].into_iter().enumerate() {
            let index = u16::try_from(index).unwrap();
            event.push_at(Attribute::ObservablesName, index, name);
            event.push_at(Attribute::MetadataProfiles, index, name);
            event.push_at(Attribute::ObservablesTypeId, index, i64::from(index));
        }
        let json = json(&event);
        assert_eq!(json["metadata"]["profiles"], serde_json::json!(["a", "b", "c"]));
        assert_eq!(json["observables"][2], serde_json::json!({"name": "c", "type_id": 2}));
        assert_eq!(json["observables"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn any_text_and_any_number_is_valid_json() {
        let mut event = event(&[]);
        let text: String = (0..300).filter_map(char::from_u32).chain("{\"\\".chars()).collect();
        event.push(Attribute::Message, text.clone());
        let key = text.replace('.', "");
        event.unmap(key.clone(), Value::Float(f64::NAN));
        event.unmap("{", Value::Bool(true));
        let json = json(&event);
        assert_eq!(json["message"], text);
        assert_eq!(json["unmapped"][&key], "NaN");
    }
}
