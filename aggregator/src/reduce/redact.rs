//! Redact: secrets leave the strings of an event.
//!
//! Every string is looked at, `raw_data` and what was decoded from it each for itself, what the event shares with others of its
//! source (the log's path, the host's name), the keys and the whole numbers of `unmapped`; and then all of these for copies of
//! what was found in the others, attributes that are whole numbers too. Where `fields` narrows a rule, only those are looked at
//! and what holds copies of them ([`COPIES`]). What was found is replaced by `[redacted:NAME]`, and the paths of what was
//! changed stand in `unmapped.picket.redacted`. An attribute that cannot hold that text goes to `unmapped` under its path. Exact
//! bytes of a line that was no text (`unmapped.raw_data_base64`) are redacted too.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memmem;
use regex::bytes::Regex;
use shared::redact::{Detector, Secret, find, replace};

use super::PredicateId;
use super::field::FieldRef;
use crate::event::{Event, Value};
use crate::schema::Attribute;

/// Where the paths of what was changed stand.
const REDACTED: &str = "picket.redacted";
/// What holds copies of other fields: looked at by every rule. Observables are told from the fields as they are then.
const COPIES: [Attribute; 2] = [Attribute::RawData, Attribute::Message];
/// Key of a line's exact bytes.
const RAW_BASE64: &str = "raw_data_base64";

/// Shorter secrets are not looked for in the event's other strings: they would be found where they are none.
const COPY_LEN_MIN: usize = 6;
/// Most secrets of one event that are looked for in its other strings.
const COPIES_MAX: usize = 64;
/// Runs of events ([`Event::run`]) that are remembered as clean.
const RUNS: usize = 64;

/// What a rule looks for.
#[derive(Clone, Debug)]
pub enum What {
    /// Secrets of a known kind.
    Detector(Detector),
    /// What an expression matches; where it has a group named `secret`, that group.
    Pattern(Regex),
}

/// Secrets that nobody behind here shall see.
#[derive(Clone, Debug)]
pub struct Redact {
    /// Its name in metrics, in reports, and, for a pattern, in what takes a secret's place.
    pub name: String,
    /// Which events; all where there is none.
    pub predicate: Option<PredicateId>,
    /// What it looks for.
    pub what: What,
    /// Where it looks besides what holds copies; everywhere where there is none.
    pub fields: Option<Vec<FieldRef>>,
}

/// In whose shared fields a rule found nothing: they need not be looked at for each event.
#[derive(Clone, Debug)]
pub(super) struct Clean([u64; RUNS]);

impl Default for Clean {
    fn default() -> Self {
        Self([0; RUNS])
    }
}

impl Clean {
    fn place(&mut self, run: u64) -> Option<&mut u64> {
        self.0.get_mut(usize::try_from(run).unwrap_or_default() % RUNS)
    }

    fn knows(&mut self, run: u64) -> bool {
        run != 0 && self.place(run).is_some_and(|known| *known == run)
    }

    fn learn(&mut self, run: u64) {
        if let Some(place) = self.place(run) {
            *place = run;
        }
    }
}

impl Redact {
    /// Removes what it finds. Returns whether there was something.
    pub(super) fn apply(&self, event: &mut Event<'_>, clean: &mut Clean) -> bool {
        if !clean.knows(event.run) {
            if self.shares(event, |text| self.redacted(text, &mut |_, _| {}).is_some()) {
                event.unshare();
            } else {
                clean.learn(event.run);
            }
        }
        let (mut changed, mut secrets) = (Vec::new(), Secrets::default());
        self.each(event, &mut changed, &mut |place, value| match place {
            Place::Key => self.clean(value, &mut secrets),
            Place::Attribute => matches!(value, Value::Text(_)) && self.clean(value, &mut secrets),
            Place::Unmapped(key) if self.clean_named(key, value, &mut secrets) => true,
            Place::Unmapped(RAW_BASE64) => self.clean_bytes(value),
            Place::Unmapped(_) => self.clean(value, &mut secrets),
        });
        if changed.is_empty() {
            return false;
        }
        // What a word beside it gave away in one string may stand alone in another.
        if self.shares(event, |text| secrets.0.iter().any(|(secret, _)| memmem::find(text, secret).is_some())) {
            event.unshare();
        }
        self.each(event, &mut changed, &mut |place, value| {
            !matches!(place, Place::Unmapped(RAW_BASE64)) && secrets.remove(value)
        });
        for path in changed {
            if !event.unmapped.iter().any(|(key, value)| key == REDACTED && *value == Value::Text(path.clone())) {
                event.unmap(REDACTED, Value::Text(path));
            }
        }
        true
    }

    fn looks_at(&self, attribute: Attribute) -> bool {
        let named = |fields: &Vec<FieldRef>| fields.iter().any(|named| named.covers(attribute));
        COPIES.contains(&attribute) || self.fields.as_ref().is_none_or(named)
    }

    fn looks_at_unmapped(&self, key: &str) -> bool {
        let named = |fields: &Vec<FieldRef>| fields.iter().any(|named| named.covers_unmapped(key));
        key == RAW_BASE64 || self.fields.as_ref().is_none_or(named)
    }

    /// Whether a text that the event shares with others, and that the rule looks at, `has` something.
    fn shares(&self, event: &Event<'_>, has: impl Fn(&[u8]) -> bool) -> bool {
        event.shared.iter().any(|field| match &field.value {
            Value::Text(text) => self.looks_at(field.attribute) && has(text.as_bytes()),
            _ => false,
        })
    }

    /// Shows `clean` every value of the event's own that the rule looks at, and the keys of `unmapped`; the paths of those
    /// that it changes are added to `changed`.
    fn each<'e>(
        &self,
        event: &mut Event<'e>,
        changed: &mut Vec<Cow<'static, str>>,
        clean: &mut dyn FnMut(Place<'_>, &mut Value<'e>) -> bool,
    ) {
        let unmapped = &mut event.unmapped;
        event.fields.retain_mut(|field| {
            let was_text = matches!(field.value, Value::Text(_));
            if !self.looks_at(field.attribute) || !clean(Place::Attribute, &mut field.value) {
                return true;
            }
            let path = field.key().into_owned();
            if !was_text {
                unmapped.push((Cow::Owned(path.clone()), field.value.clone()));
            }
            changed.push(Cow::Owned(path));
            was_text
        });
        for (key, value) in unmapped.iter_mut().filter(|(key, _)| key != REDACTED) {
            if !self.looks_at_unmapped(key) {
                continue;
            }
            let mut text = Value::Text(std::mem::take(key));
            let renamed = clean(Place::Key, &mut text);
            if let Value::Text(text) = text {
                *key = text;
            }
            if clean(Place::Unmapped(key), value) || renamed {
                changed.push(Cow::Owned(format!("unmapped.{key}")));
            }
        }
    }

    /// The text without what is found in it, which `found` is shown.
    fn redacted(&self, text: &[u8], found: &mut dyn FnMut(&[u8], &str)) -> Option<Vec<u8>> {
        let mut secrets: Vec<Secret<'_>> = Vec::new();
        match &self.what {
            What::Detector(detector) => {
                let mut own = Vec::new();
                find(*detector, text, &mut own);
                secrets.extend(own);
            }
            What::Pattern(pattern) => secrets.extend(pattern.captures_iter(text).filter_map(|found| {
                let range = found.name("secret").or_else(|| found.get(0))?.range();
                (!range.is_empty()).then_some(Secret { range, name: &self.name })
            })),
        }
        let redacted = replace(text, &mut secrets)?;
        for secret in &secrets {
            found(text.get(secret.range.clone()).unwrap_or_default(), secret.name);
        }
        Some(redacted)
    }

    /// Where the detector is for passwords and the key says that the value is one, all of it goes.
    fn clean_named(&self, key: &str, value: &mut Value<'_>, secrets: &mut Secrets) -> bool {
        let What::Detector(detector @ Detector::Password) = &self.what else { return false };
        let Some(text) = text_of(value) else { return false };
        if !shared::redact::is_password(key.as_bytes(), text.as_bytes()) {
            return false;
        }
        secrets.add(text.as_bytes(), detector.name());
        *value = Value::Text(Cow::Owned(format!("[redacted:{}]", detector.name())));
        true
    }

    fn clean(&self, value: &mut Value<'_>, secrets: &mut Secrets) -> bool {
        let Some(text) = text_of(value) else { return false };
        let Some(redacted) = self.redacted(text.as_bytes(), &mut |secret, name| secrets.add(secret, name)) else {
            return false;
        };
        *value = Value::Text(Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()));
        true
    }

    fn clean_bytes(&self, value: &mut Value<'_>) -> bool {
        let Value::Text(text) = value else { return false };
        let Ok(raw) = BASE64.decode(text.as_bytes()) else { return self.clean(value, &mut Secrets::default()) };
        let Some(redacted) = self.redacted(&raw, &mut |_, _| {}) else { return false };
        *text = Cow::Owned(BASE64.encode(redacted));
        true
    }
}

/// Where a value stands.
#[derive(Clone, Copy)]
enum Place<'k> {
    /// In an attribute.
    Attribute,
    /// In `unmapped`, under this key.
    Unmapped(&'k str),
    /// It is a key of `unmapped`.
    Key,
}

/// A text, or a whole number as it is written.
fn text_of<'v>(value: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(_) | Value::Float(_) => None,
    }
}

/// The secrets of one event, and the names of what found them.
#[derive(Default)]
struct Secrets(Vec<(Vec<u8>, String)>);

impl Secrets {
    fn add(&mut self, secret: &[u8], name: &str) {
        let fits = secret.len() >= COPY_LEN_MIN && self.0.len() < COPIES_MAX;
        if fits && !self.0.iter().any(|(known, _)| known == secret) {
            self.0.push((secret.to_owned(), name.to_owned()));
        }
    }

    /// Removes every copy of them from a value. Returns whether there was one.
    fn remove(&self, value: &mut Value<'_>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(text) = text_of(value) else { return false };
        let mut found: Vec<Secret<'_>> = Vec::new();
        // A number is a copy as a whole, or it is another number.
        let whole = matches!(value, Value::Int(_)).then_some(text.len());
        for (secret, name) in self.0.iter().filter(|(secret, _)| whole.is_none_or(|size| size == secret.len())) {
            let at = memmem::find_iter(text.as_bytes(), secret);
            found.extend(at.map(|at| Secret { range: at..at + secret.len(), name }));
        }
        let Some(redacted) = replace(text.as_bytes(), &mut found) else { return false };
        *value = Value::Text(Cow::Owned(String::from_utf8_lossy(&redacted).into_owned()));
        true
    }
}
