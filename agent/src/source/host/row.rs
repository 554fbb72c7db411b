//! One thing of a host: what it is known by, what it is like, what of it changes all the time.
//!
//! A path that begins with a dot is one of the row's subject: `.name` of a process is `process.name`. Text is bounded; what
//! is cut or no UTF-8 says so in `unmapped.flaws`.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use shared::record::Value;
use shared::time::Timestamp;

/// Attribute paths and their values.
pub type Fields = Vec<(String, Value)>;

/// Bytes of a text that are kept.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Items of a list that are kept.
pub const ITEMS_MAX: usize = 256;
/// Between the parts of a key. Names that hold it have a replacement character there.
const SEPARATOR: char = '\u{1f}';

/// A row of a table.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Row {
    keys: Fields,
    fields: Fields,
    volatile: Fields,
    flaws: Vec<&'static str>,
    /// A small measure whose change has a meaning of its own: see `Table::changed`.
    pub level: u16,
}

/// Text of `bytes`, within bounds, and what is wrong with it.
#[must_use]
pub fn readable(bytes: &[u8]) -> (String, Option<&'static str>) {
    let kept = bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes);
    match std::str::from_utf8(kept) {
        Ok(text) if kept.len() == bytes.len() => (text.to_owned(), None),
        Ok(text) => (text.to_owned(), Some("text_cut")),
        // A character that was cut in two is no fault of the text.
        Err(error) if error.error_len().is_none() && kept.len() < bytes.len() => {
            let whole = kept.get(..error.valid_up_to()).unwrap_or_default();
            (String::from_utf8_lossy(whole).into_owned(), Some("text_cut"))
        }
        Err(_) => (String::from_utf8_lossy(kept).into_owned(), Some("invalid_utf8")),
    }
}

impl Row {
    /// Adds a part of what it is known by.
    #[must_use]
    pub fn key(mut self, path: &str, value: impl AsRef<[u8]>) -> Self {
        let text = self.bounded(value.as_ref()).replace(SEPARATOR, "\u{fffd}");
        self.keys.push((path.to_owned(), Value::String(text)));
        self
    }

    /// Adds a number that it is known by.
    #[must_use]
    pub fn key_number(mut self, path: &str, value: u64) -> Self {
        self.keys.push((path.to_owned(), Value::U64(value)));
        self
    }

    /// Adds text, unless it is empty.
    pub fn text(&mut self, path: &str, value: impl AsRef<[u8]>) {
        if !value.as_ref().is_empty() {
            let text = self.bounded(value.as_ref());
            self.put(path, Value::String(text));
        }
    }

    /// Adds a number.
    pub fn number(&mut self, path: &str, value: u64) {
        self.put(path, Value::U64(value));
    }

    /// Adds a moment.
    pub fn time(&mut self, path: &str, at: Timestamp) {
        self.put(path, Value::Time(at));
    }

    /// Adds a list of texts, unless it is empty.
    pub fn list<T: AsRef<str>>(&mut self, path: &str, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter();
        let kept: Vec<Value> =
            items.by_ref().take(ITEMS_MAX).map(|item| Value::String(readable(item.as_ref().as_bytes()).0)).collect();
        if items.next().is_some() {
            self.flaw("list_cut");
        }
        if !kept.is_empty() {
            self.put(path, Value::List(kept));
        }
    }

    /// Adds a value.
    pub fn put(&mut self, path: &str, value: Value) {
        self.fields.push((path.to_owned(), value));
    }

    /// Adds a value whose change is no difference.
    pub fn volatile(&mut self, path: &str, value: Value) {
        self.volatile.push((path.to_owned(), value));
    }

    /// Says that something is wrong with it.
    pub fn flaw(&mut self, flaw: &'static str) {
        if !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    fn bounded(&mut self, bytes: &[u8]) -> String {
        let (text, flaw) = readable(bytes);
        flaw.into_iter().for_each(|flaw| self.flaw(flaw));
        text
    }

    /// Takes away what stands at a path.
    pub fn take(&mut self, path: &str) {
        self.fields.retain(|(name, _)| name != path);
    }

    /// The value at a path.
    #[must_use]
    pub fn value(&self, path: &str) -> Option<&Value> {
        self.all().find(|(name, _)| name == path).map(|(_, value)| value)
    }

    /// The text at a path; empty where there is none.
    #[must_use]
    pub fn word(&self, path: &str) -> &str {
        match self.value(path) {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }

    /// Of a process, its number and the ticks at which it began, which end its uid.
    #[must_use]
    pub fn process(&self) -> Option<(u32, u64)> {
        let Some(Value::U64(pid)) = self.value(".pid") else { return None };
        let (_, ticks) = self.word(".uid").rsplit_once('-')?;
        Some((u32::try_from(*pid).ok()?, ticks.parse().ok()?))
    }

    /// Every field.
    pub fn all(&self) -> impl Iterator<Item = &(String, Value)> {
        self.keys.iter().chain(&self.fields).chain(&self.volatile)
    }

    /// All of it, flaws last.
    #[must_use]
    pub fn into_fields(self) -> Fields {
        let mut all = self.keys;
        all.extend(self.fields);
        all.extend(self.volatile);
        if !self.flaws.is_empty() {
            let flaws = self.flaws.into_iter().map(|flaw| Value::String(flaw.to_owned())).collect();
            all.push(("unmapped.flaws".to_owned(), Value::List(flaws)));
        }
        all
    }

    /// What it is known by, as one text.
    #[must_use]
    pub fn known_by(&self) -> Box<str> {
        let mut text = String::new();
        for (at, (path, value)) in self.keys.iter().enumerate() {
            if at > 0 {
                text.push(SEPARATOR);
            }
            text.push_str(path);
            text.push('=');
            match value {
                Value::U64(number) => text.push_str(&format!("#{number}")),
                Value::String(word) => text.push_str(&format!("'{word}")),
                _ => {}
            }
        }
        text.into()
    }

    /// The row of which only that is left.
    #[must_use]
    pub fn of_key(known_by: &str) -> Self {
        let mut row = Self::default();
        for (path, value) in known_by.split(SEPARATOR).filter_map(|part| part.split_once('=')) {
            let value = match value.split_at_checked(1) {
                Some(("#", number)) => number.parse().map(Value::U64).unwrap_or(Value::Null),
                Some((_, word)) => Value::String(word.to_owned()),
                None => Value::Null,
            };
            row.keys.push((path.to_owned(), value));
        }
        row
    }

    /// A hash of what it is like; of this build and run only.
    #[must_use]
    pub fn content(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, value) in &self.fields {
            path.hash(&mut hasher);
            hash_value(value, &mut hasher);
        }
        self.level.hash(&mut hasher);
        hasher.finish()
    }
}

fn hash_value(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => value.hash(hasher),
        Value::I64(value) => value.hash(hasher),
        Value::U64(value) => value.hash(hasher),
        Value::F64(value) => value.to_bits().hash(hasher),
        Value::String(value) => value.hash(hasher),
        Value::Bytes(value) => value.hash(hasher),
        Value::Ip(value) => value.hash(hasher),
        Value::Time(value) => value.hash(hasher),
        Value::List(values) => {
            values.len().hash(hasher);
            values.iter().for_each(|value| hash_value(value, hasher));
        }
        Value::Map(fields) => {
            fields.len().hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                hash_value(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_row_is_known_by_reads_back() {
        let row = Row::default().key(".name", "a=b\u{1f}'").key_number(".pid", 7).key(".x", "");
        let back = Row::of_key(&row.known_by());
        assert_eq!(back.word(".name"), "a=b\u{fffd}'");
        assert_eq!((back.value(".pid"), back.word(".x")), (Some(&Value::U64(7)), ""));
        assert_eq!(back.known_by(), row.known_by());
    }

    #[test]
    fn text_is_bounded_and_what_is_no_text_is_flagged() {
        assert_eq!(readable(b"a\xffb"), ("a\u{fffd}b".to_owned(), Some("invalid_utf8")));
        assert_eq!(readable("ä".repeat(3000).as_bytes()).1, Some("text_cut"));
        let (text, flaw) = readable(format!("a{}", "ä".repeat(3000)).as_bytes());
        assert!(text.len() < TEXT_BYTES_MAX && text.ends_with('ä') && flaw == Some("text_cut"));
    }

    #[test]
    fn what_changes_all_the_time_is_no_content() {
        let (mut one, mut other) = (Row::default().key(".name", "x"), Row::default().key(".name", "x"));
        one.volatile("unmapped.load", Value::U64(1));
        other.volatile("unmapped.load", Value::U64(2));
        assert_eq!(one.content(), other.content());
        other.text(".version", "2");
        assert_ne!(one.content(), other.content());
    }
}
