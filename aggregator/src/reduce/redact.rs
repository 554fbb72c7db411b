//! Redact: secrets leave the strings of an event.
//!
//! Every string is looked at, `raw_data` and what was decoded from it each for itself, and then for copies of what was found in
//! the others; where `fields` narrows a rule, only those and what holds copies of them ([`COPIES`]). What was found is replaced by `[redacted:NAME]`, and the paths of what was changed stand in
//! `unmapped.picket.redacted`. Exact bytes of a line that was no text (`unmapped.raw_data_base64`) are redacted too.

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
/// What holds copies of other fields: looked at by every rule.
const COPIES: [Attribute; 3] = [Attribute::RawData, Attribute::Message, Attribute::ObservablesValue];
/// Key of a line's exact bytes.
const RAW_BASE64: &str = "raw_data_base64";

/// Shorter secrets are not looked for in the event's other strings: they would be found where they are none.
const COPY_LEN_MIN: usize = 6;
/// Most secrets of one event that are looked for in its other strings.
const COPIES_MAX: usize = 64;

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

impl Redact {
    /// Removes what it finds. Returns whether there was something.
    pub(super) fn apply(&self, event: &mut Event<'_>) -> bool {
        let (mut changed, mut secrets) = (Vec::new(), Secrets::default());
        self.each(event, &mut changed, &mut |key, value| match self.clean_named(key, value, &mut secrets) {
            true => true,
            false if key == Some(RAW_BASE64) => self.clean_bytes(value),
            false => self.clean(value, &mut secrets),
        });
        if changed.is_empty() {
            return false;
        }
        // What a word beside it gave away in one string may stand alone in another.
        self.each(event, &mut changed, &mut |key, value| key != Some(RAW_BASE64) && secrets.remove(value));
        for path in changed {
            if !event.unmapped.iter().any(|(key, value)| key == REDACTED && *value == Value::Text(path.clone())) {
                event.unmap(REDACTED, Value::Text(path));
            }
        }
        true
    }

    /// Shows `clean` every value that the rule looks at, with its key where it is unmapped; the paths of those that it changes
    /// are added to `changed`.
    fn each<'e>(
        &self,
        event: &mut Event<'e>,
        changed: &mut Vec<Cow<'static, str>>,
        clean: &mut dyn FnMut(Option<&str>, &mut Value<'e>) -> bool,
    ) {
        for field in &mut event.fields {
            let looked_at = self.fields.as_ref().is_none_or(|fields| {
                COPIES.contains(&field.attribute) || fields.iter().any(|named| named.covers(field.attribute))
            });
            if looked_at && clean(None, &mut field.value) {
                changed.push(Cow::Owned(field.key().into_owned()));
            }
        }
        for (key, value) in &mut event.unmapped {
            let narrowed =
                |fields: &Vec<FieldRef>| key == RAW_BASE64 || fields.iter().any(|named| named.covers_unmapped(key));
            if !self.fields.as_ref().is_none_or(narrowed) || key == REDACTED {
                continue;
            }
            if clean(Some(key), value) {
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
    fn clean_named(&self, key: Option<&str>, value: &mut Value<'_>, secrets: &mut Secrets) -> bool {
        let What::Detector(detector @ Detector::Password) = &self.what else { return false };
        let Some(key) = key else { return false };
        let text = match &*value {
            Value::Text(text) => Cow::Borrowed(text.as_ref()),
            Value::Int(number) => Cow::Owned(number.to_string()),
            _ => return false,
        };
        if !shared::redact::is_password(key.as_bytes(), text.as_bytes()) {
            return false;
        }
        secrets.add(text.as_bytes(), detector.name());
        *value = Value::Text(Cow::Owned(format!("[redacted:{}]", detector.name())));
        true
    }

    fn clean(&self, value: &mut Value<'_>, secrets: &mut Secrets) -> bool {
        let Value::Text(text) = value else { return false };
        let found = &mut |secret: &[u8], name: &str| secrets.add(secret, name);
        let Some(redacted) = self.redacted(text.as_bytes(), found) else { return false };
        *text = Cow::Owned(String::from_utf8_lossy(&redacted).into_owned());
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
        let Value::Text(text) = value else { return false };
        let mut found: Vec<Secret<'_>> = Vec::new();
        for (secret, name) in &self.0 {
            let at = memmem::find_iter(text.as_bytes(), secret);
            found.extend(at.map(|at| Secret { range: at..at + secret.len(), name }));
        }
        let Some(redacted) = replace(text.as_bytes(), &mut found) else { return false };
        *text = Cow::Owned(String::from_utf8_lossy(&redacted).into_owned());
        true
    }
}
