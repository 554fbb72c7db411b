//! Fields: what a structured line says, key by key, before it is known what it means.
//!
//! In: keys and values as a reader (JSON, tab-separated columns, CEF, LEEF, pairs) finds them; objects inside objects have
//! dotted keys. Out: values taken by key into an event's attributes, and the rest, which nobody took, into `unmapped`.
//! A key is found by its hash, whether it stood nested or with its dots (`{"a":{"b":1}}`, `{"a.b":1}`); of a key that
//! occurs twice the last counts. At most [`KEYS_MAX`] keys are kept; `unmapped.keys_dropped` says how many were not.
//! Buffers are kept by the thread for the next line.

mod moment;

use std::borrow::Cow;
use std::cell::Cell;

use super::endpoint::Address;
use super::timestamp::Reference;
use crate::event::{Event, Value};
use crate::schema::{Attribute, Kind};
use moment::moment;

/// Keys beyond these are only in `raw_data`.
pub(super) const KEYS_MAX: usize = 256;
/// Slots of the index: a power of two, at most half of them taken.
const SLOTS: usize = 2 * KEYS_MAX;
/// An empty slot.
const EMPTY: u16 = u16::MAX;
/// Where the hash of an empty key begins (FNV-1a, 32 bits).
const HASH_SEED: u32 = 0x811c_9dc5;
/// Characters of a number that may become a text or a whole number.
const NUMBER_LEN_MAX: usize = 32;

/// A value that is not an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Leaf<'a> {
    /// Nothing, or what a format writes for it.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number, as it stands.
    Number(&'a str),
    /// A text without its escapes.
    Text(Cow<'a, str>),
    /// An array or a deep object, as it stands.
    Json(&'a str),
}

impl<'a> Leaf<'a> {
    /// The text, number or truth value as text; none where there is nothing in it.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => (!text.is_empty()).then_some(text),
            Self::Number(number) => Some(Cow::Borrowed(number)),
            Self::Bool(truth) => Some(Cow::Borrowed(if truth { "true" } else { "false" })),
            Self::Json(text) => (!matches!(text, "[]" | "{}")).then_some(Cow::Borrowed(text)),
            Self::Null => None,
        }
    }

    /// The text or number as it stands.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// A whole number, also one written as text, or the whole part of one with a fraction.
    pub(super) fn as_number(&self) -> Option<i64> {
        whole(self.as_text()?)
    }

    /// What stands in `unmapped`.
    fn into_value(self) -> Option<Value<'a>> {
        Some(match self {
            Leaf::Null => return None,
            Leaf::Bool(truth) => Value::Bool(truth),
            Leaf::Number(number) => match number.parse::<i64>() {
                Ok(whole) => Value::Int(whole),
                Err(_) => match number.parse::<f64>() {
                    Ok(float) if float.is_finite() && number.contains(['.', 'e', 'E']) => Value::Float(float),
                    _ => Value::from(number),
                },
            },
            Leaf::Text(text) => Value::Text(text),
            Leaf::Json(text) => Value::from(text),
        })
    }
}

/// The whole number that a text holds, without its fraction.
fn whole(text: &str) -> Option<i64> {
    if text.len() > NUMBER_LEN_MAX {
        return None;
    }
    let number = text.parse::<i64>().ok();
    number.or_else(|| {
        let float = text.parse::<f64>().ok().filter(|float| float.abs() < 9e15)?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the bound above lies within i64, and a fraction is dropped"
        )]
        Some(float.trunc() as i64)
    })
}

/// A key, and its value where it is no object and nobody has taken it.
struct Entry<'a> {
    /// Number of the object around it; [`EMPTY`] for none.
    parent: u16,
    /// Of its dotted key.
    hash: u32,
    /// Bytes of its dotted key.
    len: usize,
    name: Cow<'a, str>,
    leaf: Option<Leaf<'a>>,
}

/// What a line says; see the module.
pub(super) struct Fields<'a> {
    entries: Vec<Entry<'a>>,
    /// Numbers of entries, by hash.
    slots: Vec<u16>,
    /// A bit for each [`sign`] of a dotted key: most keys that are asked for are not there.
    signs: u64,
    dropped: usize,
}

/// Buffers between two lines.
type Spare = (Vec<Entry<'static>>, Vec<u16>);

thread_local! {
    static SPARE: Cell<Spare> = const { Cell::new((Vec::new(), Vec::new())) };
}

impl<'a> Fields<'a> {
    /// None yet.
    pub(super) fn new() -> Self {
        let (entries, mut slots) = SPARE.take();
        slots.clear();
        slots.resize(SLOTS, EMPTY);
        Self { entries, slots, signs: 0, dropped: 0 }
    }

    /// Adds a value under `name` inside the object `parent`.
    pub(super) fn add(&mut self, parent: Option<u16>, name: impl Into<Cow<'a, str>>, leaf: Leaf<'a>) {
        if let Some(number) = self.entry(parent, name.into())
            && let Some(entry) = self.entries.get_mut(usize::from(number))
        {
            entry.leaf = Some(leaf);
        }
    }

    /// Adds an object under `name` inside the object `parent`; none where there are too many keys.
    pub(super) fn object(&mut self, parent: Option<u16>, name: Cow<'a, str>) -> Option<u16> {
        self.entry(parent, name)
    }

    fn entry(&mut self, parent: Option<u16>, name: Cow<'a, str>) -> Option<u16> {
        let within = parent.and_then(|parent| self.entries.get(usize::from(parent)));
        let hash = match within {
            Some(object) => hashed(hashed(object.hash, "."), &name),
            None => hashed(HASH_SEED, &name),
        };
        let slot = self.slot(hash, |fields, at| fields.is_path(at, parent, &name))?;
        if let Some(standing) = self.slots.get(slot).copied().filter(|at| *at != EMPTY) {
            return Some(standing);
        }
        if self.entries.len() >= KEYS_MAX {
            self.dropped += 1;
            return None;
        }
        let len = within.map_or(0, |object| object.len + 1) + name.len();
        let last = name.as_bytes().last().or(within.map(|_| &b'.'));
        self.signs |= sign(len, last);
        let number = u16::try_from(self.entries.len()).ok()?;
        *self.slots.get_mut(slot)? = number;
        self.entries.push(Entry { parent: parent.unwrap_or(EMPTY), hash, len, name, leaf: None });
        Some(number)
    }

    /// The slot of the entry with this hash that `is` accepts, or the empty one where it would stand.
    fn slot(&self, hash: u32, is: impl Fn(&Self, u16) -> bool) -> Option<usize> {
        let start = usize::try_from(hash).ok()? % SLOTS;
        (start..SLOTS).chain(0..start).find(|&slot| match self.slots.get(slot) {
            Some(&EMPTY) | None => true,
            Some(&at) => self.entries.get(usize::from(at)).is_some_and(|entry| entry.hash == hash) && is(self, at),
        })
    }

    /// Whether the dotted key of an entry is that of `name` inside `parent`.
    fn is_path(&self, at: u16, parent: Option<u16>, name: &str) -> bool {
        match self.entries.get(usize::from(at)) {
            Some(entry) if entry.parent == parent.unwrap_or(EMPTY) => entry.name == name,
            Some(_) => *self.key(at) == *self.joined(parent, name),
            None => false,
        }
    }

    fn joined<'k>(&'k self, parent: Option<u16>, name: &'k str) -> Cow<'k, str> {
        match parent {
            Some(parent) => Cow::Owned(format!("{}.{name}", self.key(parent))),
            None => Cow::Borrowed(name),
        }
    }

    /// The dotted key of an entry.
    fn key(&self, at: u16) -> Cow<'_, str> {
        match self.entries.get(usize::from(at)) {
            Some(entry) if entry.parent == EMPTY => Cow::Borrowed(entry.name.as_ref()),
            Some(entry) => Cow::Owned(format!("{}.{}", self.key(entry.parent), entry.name)),
            None => Cow::Borrowed(""),
        }
    }

    /// Whether `key` is the dotted key of an entry.
    fn is_key(&self, at: u16, key: &str) -> bool {
        match self.entries.get(usize::from(at)) {
            Some(entry) if entry.parent == EMPTY => entry.name == key,
            Some(entry) => key
                .strip_suffix(entry.name.as_ref())
                .and_then(|before| before.strip_suffix('.'))
                .is_some_and(|before| self.is_key(entry.parent, before)),
            None => false,
        }
    }

    #[inline]
    fn find(&self, key: &str) -> Option<usize> {
        if self.signs & sign(key.len(), key.as_bytes().last()) == 0 {
            return None;
        }
        self.found(key)
    }

    fn found(&self, key: &str) -> Option<usize> {
        let slot = self.slot(hashed(HASH_SEED, key), |fields, at| fields.is_key(at, key))?;
        self.slots.get(slot).copied().filter(|at| *at != EMPTY).map(usize::from)
    }

    /// How many keys there are, those of objects counted.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether keys of these [`signs`] may all stand there: less than to look for them.
    pub(super) fn may_have(&self, signs: u64) -> bool {
        self.signs & signs == signs
    }

    /// Whether the key stands there, as a value or as an object.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key, if nobody took it.
    pub(super) fn leaf(&self, key: &str) -> Option<&Leaf<'a>> {
        self.entries.get(self.find(key)?)?.leaf.as_ref()
    }

    /// The text or number of a key, if nobody took it.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.leaf(key)?.as_text().filter(|text| !text.is_empty())
    }

    /// Whether the key's text is this.
    pub(super) fn is(&self, key: &str, text: &str) -> bool {
        self.leaf(key).and_then(Leaf::as_text) == Some(text)
    }

    /// Whether the key is true.
    pub(super) fn is_true(&self, key: &str) -> bool {
        match self.leaf(key) {
            Some(Leaf::Bool(truth)) => *truth,
            Some(leaf) => matches!(leaf.as_text(), Some("true" | "T" | "yes")),
            None => false,
        }
    }

    /// Takes the value of a key.
    pub(super) fn take(&mut self, key: &str) -> Option<Leaf<'a>> {
        let at = self.find(key)?;
        self.entries.get_mut(at)?.leaf.take()
    }

    /// Puts a value back that was taken.
    pub(super) fn put_back(&mut self, key: &str, leaf: Leaf<'a>) {
        if let Some(entry) = self.find(key).and_then(|at| self.entries.get_mut(at)) {
            entry.leaf = Some(leaf);
        }
    }

    /// Takes the value of a key as text; what is empty is taken and none.
    pub(super) fn text(&mut self, key: &str) -> Option<Cow<'a, str>> {
        self.take(key)?.into_text()
    }

    /// Takes a whole number; what is none stays.
    pub(super) fn number(&mut self, key: &str) -> Option<i64> {
        let number = self.leaf(key)?.as_number()?;
        self.take(key)?;
        Some(number)
    }

    /// Takes the value of a key into an attribute, where the event's class carries it and the value is of its kind;
    /// otherwise it stays. An attribute that has been set must not be asked for.
    pub(super) fn push(&mut self, event: &mut Event<'a>, attribute: Attribute, key: &str) -> bool {
        self.push_at(event, attribute, 0, key)
    }

    /// As [`push`](Self::push), into a list's element.
    pub(super) fn push_at(&mut self, event: &mut Event<'a>, attribute: Attribute, index: u16, key: &str) -> bool {
        let Some(leaf) = self.leaf(key).filter(|_| event.class.carries(attribute)) else { return false };
        let value = match attribute.kind() {
            Kind::Text => match self.take(key) {
                Some(Leaf::Json(text)) => {
                    self.put_back(key, Leaf::Json(text));
                    None
                }
                leaf => leaf.and_then(Leaf::into_text).map(Value::Text),
            },
            Kind::Integer => leaf.as_number().filter(|n| i32::try_from(*n).is_ok()).map(Value::Int),
            Kind::Long => leaf.as_number().map(Value::Int),
            Kind::Bool => match leaf {
                Leaf::Bool(truth) => Some(Value::Bool(*truth)),
                _ => None,
            },
            Kind::Float => leaf.as_text().and_then(|text| text.parse().ok()).map(Value::Float),
        };
        let Some(value) = value else { return false };
        if attribute.kind() != Kind::Text {
            self.take(key);
        }
        event.push_at(attribute, index, value);
        true
    }

    /// [`push`](Self::push) for each line of a table.
    pub(super) fn push_all(&mut self, event: &mut Event<'a>, table: &[(Attribute, &str)]) {
        for (attribute, key) in table {
            self.push(event, *attribute, key);
        }
    }

    /// Both ends of a finding's evidence: the keys of each one's host, of which the first that is there counts, and of its port.
    pub(super) fn push_evidence_ends(&mut self, event: &mut Event<'a>, [source, destination]: [(&[&str], &str); 2]) {
        let ends = [
            (
                source,
                Attribute::EvidencesSrcEndpointIp,
                Attribute::EvidencesSrcEndpointHostname,
                Attribute::EvidencesSrcEndpointPort,
            ),
            (
                destination,
                Attribute::EvidencesDstEndpointIp,
                Attribute::EvidencesDstEndpointHostname,
                Attribute::EvidencesDstEndpointPort,
            ),
        ];
        for ((hosts, port), ip, name, number) in ends {
            if hosts.iter().any(|host| self.push_host(event, ip, name, host)) && self.is_port(port) {
                self.push(event, number, port);
            }
        }
    }

    /// [`push`](Self::push) for each line of a table whose attribute nothing has set yet.
    pub(super) fn push_new(&mut self, event: &mut Event<'a>, table: &[(Attribute, &str)]) {
        for (attribute, key) in table {
            if event.fields.iter().all(|field| field.attribute != *attribute) {
                self.push(event, *attribute, key);
            }
        }
    }

    /// Takes an address or host name into the one of two attributes that is for it.
    pub(super) fn push_host(&mut self, event: &mut Event<'a>, ip: Attribute, name: Attribute, key: &str) -> bool {
        let Some(Leaf::Text(text)) = self.leaf(key) else { return false };
        let attribute = match Address::parse(text) {
            Some(Address::Ip(_)) => ip,
            Some(Address::Name(_)) => name,
            None => return false,
        };
        if !event.class.carries(attribute) {
            return false;
        }
        match self.take(key) {
            Some(Leaf::Text(Cow::Borrowed(text))) => {
                let Some(Address::Ip(text) | Address::Name(text)) = Address::parse(text) else { return false };
                event.push(attribute, text);
            }
            Some(Leaf::Text(Cow::Owned(text))) => event.push(attribute, text),
            _ => return false,
        }
        true
    }

    /// Takes the source's address or name, and its port where there is one.
    pub(super) fn push_source(&mut self, event: &mut Event<'a>, host: &str, port: &str) -> bool {
        let found = self.push_host(event, Attribute::SrcEndpointIp, Attribute::SrcEndpointHostname, host);
        if found && self.is_port(port) {
            self.push(event, Attribute::SrcEndpointPort, port);
        }
        found
    }

    /// Takes the destination's address or name, and its port where there is one.
    pub(super) fn push_destination(&mut self, event: &mut Event<'a>, host: &str, port: &str) -> bool {
        let found = self.push_host(event, Attribute::DstEndpointIp, Attribute::DstEndpointHostname, host);
        if found && self.is_port(port) {
            self.push(event, Attribute::DstEndpointPort, port);
        }
        found
    }

    /// Whether the key's value can be a port.
    pub(super) fn is_port(&self, key: &str) -> bool {
        self.leaf(key).and_then(Leaf::as_number).is_some_and(|port| u16::try_from(port).is_ok())
    }

    /// Takes the time of the event; what is none stays.
    pub(super) fn push_time(&mut self, event: &mut Event<'a>, key: &str, reference: Reference) -> bool {
        let Some((time, assumed)) = self.leaf(key).and_then(|leaf| moment(leaf, reference)) else { return false };
        event.time = time;
        if let Some(text) = self.text(key) {
            event.push(Attribute::MetadataOriginalTime, text);
        }
        if let Some(minutes) = assumed {
            event.push(Attribute::TimezoneOffset, minutes);
        }
        true
    }

    /// Takes a time into an attribute of epoch milliseconds.
    pub(super) fn push_moment(
        &mut self,
        event: &mut Event<'a>,
        attribute: Attribute,
        key: &str,
        reference: Reference,
    ) -> bool {
        let time = self.leaf(key).and_then(|leaf| moment(leaf, reference));
        let Some((time, _)) = time.filter(|_| event.class.carries(attribute)) else { return false };
        self.take(key);
        event.push(attribute, time.as_ms());
        true
    }

    /// Gives what nobody took to `unmapped`.
    pub(super) fn finish(mut self, event: &mut Event<'a>) {
        for at in 0..self.entries.len() {
            let Some(entry) = self.entries.get_mut(at) else { break };
            let Some(value) = entry.leaf.take().and_then(Leaf::into_value) else { continue };
            let key = match entry.parent {
                EMPTY => std::mem::take(&mut entry.name),
                _ => Cow::Owned(u16::try_from(at).map(|at| self.key(at).into_owned()).unwrap_or_default()),
            };
            event.unmap(key, value);
        }
        if self.dropped > 0 {
            event.unmap("keys_dropped", i64::try_from(self.dropped).unwrap_or(i64::MAX));
        }
        self.recycle();
    }

    /// Keeps the buffers for the next line.
    fn recycle(mut self) {
        self.entries.clear();
        // Collects in place: no entry is left, so that what remains borrows nothing.
        let entries: Vec<Entry<'static>> = self.entries.into_iter().map_while(|_| None).collect();
        SPARE.set((entries, self.slots));
    }
}

/// What is quickly told of a key: its length and last byte, as one bit of 64.
const fn sign(len: usize, last: Option<&u8>) -> u64 {
    let last = match last {
        Some(last) => *last as usize,
        None => 0,
    };
    1 << ((len * 13 + last) % 64)
}

/// The [`sign`]s of keys.
pub(super) fn signs(keys: &[&str]) -> u64 {
    keys.iter().fold(0, |signs, key| signs | sign(key.len(), key.as_bytes().last()))
}

/// FNV-1a over a text, from the hash of what stands before it.
fn hashed(seed: u32, text: &str) -> u32 {
    text.bytes().fold(seed, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_dotted_keys_are_one() {
        let mut fields = Fields::new();
        let object = fields.object(None, Cow::Borrowed("a"));
        fields.add(object, "b", Leaf::Number("1"));
        fields.add(None, "c.d", Leaf::Text(Cow::Borrowed("x")));
        assert_eq!(fields.leaf("a.b"), Some(&Leaf::Number("1")));
        fields.add(None, "a.b", Leaf::Number("2"));
        assert_eq!(fields.leaf("a.b"), Some(&Leaf::Number("2")));
        assert!(fields.has("a") && !fields.has("a.c") && !fields.has("b"));
        assert_eq!(fields.text("c.d").as_deref(), Some("x"));
        assert_eq!(fields.leaf("c.d"), None);
    }

    #[test]
    fn keys_beyond_the_bound_are_counted() {
        let mut fields = Fields::new();
        for n in 0..KEYS_MAX + 5 {
            fields.add(None, format!("k{n}"), Leaf::Null);
        }
        assert_eq!(fields.dropped, 5);
        assert!(fields.has("k255") && !fields.has("k256"));
    }
}
