//! Reading a tree by key: every problem is collected, every value remembers where it came from.
//!
//! A reader asks [`Fields`] for one key after the other, and only then uses `?`, so that all problems of a
//! map are found before it gives up. What was asked for is what is valid: any other key is a problem.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::report::{Origin, Read, Report, Reported};
use super::tree::{Entry, Kind, Node, Place};
use super::{nearest, rule};
use crate::printable::Excerpt;

/// Items that one list may have.
const LIST_ITEMS_MAX: usize = 1_000;

impl Report {
    /// Reads one map; `node` is absent where the key is, which is the same as an empty map.
    pub(super) fn map<T>(
        &self,
        node: Option<&Node>,
        place: Place,
        path: String,
        read: impl FnOnce(&mut Fields<'_>) -> Read<T>,
    ) -> Read<T> {
        let (entries, place): (&[Entry], _) = match node.map(|node| (&node.kind, node.place)) {
            None => (&[], place),
            Some((Kind::Null, place)) => (&[], place),
            Some((Kind::Map(entries), place)) => (entries, place),
            Some((_, place)) => {
                let found = node.map(Node::describe).unwrap_or_default();
                let at = if path.is_empty() { String::new() } else { format!("{}: ", Excerpt(&path)) };
                return Err(self.problem(place, format!("{at}a map of keys is expected, found {found}")));
            }
        };
        let mut fields =
            Fields { report: self, place, entries, path, valid: Vec::new(), handled: Vec::new(), any_key: false };
        let result = read(&mut fields);
        fields.close(result)
    }
}

/// The keys of one map, while it is read.
#[derive(Debug)]
pub struct Fields<'a> {
    report: &'a Report,
    place: Place,
    entries: &'a [Entry],
    path: String,
    valid: Vec<&'static str>,
    handled: Vec<&'static str>,
    any_key: bool,
}

impl<'a> Fields<'a> {
    /// Where the map begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }

    /// Where the value of a key stands; where the map begins if the key is absent.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Place {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.place, |entry| entry.value.place)
    }

    /// A value that may be absent.
    ///
    /// # Errors
    /// It breaks its rule.
    pub fn optional<T>(&mut self, key: &'static str, rule: impl Fn(&str) -> Result<T, String>) -> Read<Option<T>> {
        let Some(entry) = self.take(key) else { return Ok(None) };
        let path = self.path_of(key);
        let text = self.scalar(&entry.value, &path)?;
        let value = self.check(&entry.value, &path, text, rule)?;
        self.report.setting(path, text.to_owned(), self.report.origin(entry.value.place));
        Ok(Some(value))
    }

    /// A value with a default, written as in a file.
    ///
    /// # Errors
    /// It breaks its rule.
    pub fn or<T>(&mut self, key: &'static str, default: &str, rule: impl Fn(&str) -> Result<T, String>) -> Read<T> {
        if let Some(value) = self.optional(key, &rule)? {
            return Ok(value);
        }
        self.defaulted(key, default, Origin::Default);
        rule(default).map_err(|why| self.problem(self.place, format!("the default of {}: {why}", self.path_of(key))))
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// It is missing or breaks its rule.
    pub fn required<T>(&mut self, key: &'static str, rule: impl Fn(&str) -> Result<T, String>) -> Read<T> {
        match self.optional(key, rule)? {
            Some(value) => Ok(value),
            None => Err(self.missing(key)),
        }
    }

    /// A list of values, or a single one; `None` when the key is absent.
    ///
    /// # Errors
    /// An item breaks the rule, or there are too many.
    pub fn list<T>(&mut self, key: &'static str, rule: impl Fn(&str) -> Result<T, String>) -> Read<Option<Vec<T>>> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        let (path, place) = (self.path_of(key), self.place_of(key));
        let read: Vec<Read<(T, &str)>> = items
            .iter()
            .map(|item| {
                let text = self.scalar(item, &path)?;
                Ok((self.check(item, &path, text, &rule)?, text))
            })
            .collect();
        let (values, texts): (Vec<T>, Vec<&str>) = read.into_iter().collect::<Read<Vec<_>>>()?.into_iter().unzip();
        self.report.setting(path, format!("[{}]", texts.join(", ")), self.report.origin(place));
        Ok(Some(values))
    }

    /// A map with keys of its own; an absent one is read as an empty one.
    ///
    /// # Errors
    /// What `read` reports.
    pub fn map<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Fields<'_>) -> Read<T>) -> Read<T> {
        let entry = self.take(key);
        self.report.map(entry.map(|entry| &entry.value), self.place, self.path_of(key), read)
    }

    /// A map from names of the user's choice ([`rule::name`]) to maps, in order of the file.
    ///
    /// # Errors
    /// What `read` reports, and names that break the rule.
    pub fn named<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&str, &mut Fields<'_>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let path = self.path_of(key);
        let all: Vec<Read<T>> = self
            .entries_of(key)?
            .iter()
            .map(|entry| {
                let name = self.name(entry, &path);
                let below = format!("{path}.{}", entry.key);
                let value = self.report.map(Some(&entry.value), entry.place, below, |fields| read(&entry.key, fields));
                name.and(value)
            })
            .collect();
        all.into_iter().collect()
    }

    /// A map from names of the user's choice ([`rule::name`]) to values.
    ///
    /// # Errors
    /// A name or value breaks its rule.
    pub fn values<T>(
        &mut self,
        key: &'static str,
        rule: impl Fn(&str) -> Result<T, String>,
    ) -> Read<BTreeMap<String, T>> {
        let path = self.path_of(key);
        let all: Vec<Read<(String, T)>> = self
            .entries_of(key)?
            .iter()
            .map(|entry| {
                let name = self.name(entry, &path);
                let below = format!("{path}.{}", entry.key);
                let text = self.scalar(&entry.value, &below)?;
                let value = self.check(&entry.value, &below, text, &rule)?;
                self.report.setting(below, text.to_owned(), self.report.origin(entry.value.place));
                Ok((name?, value))
            })
            .collect();
        all.into_iter().collect()
    }

    /// A list of maps, or a single one; `None` when the key is absent.
    ///
    /// # Errors
    /// What `read` reports, and too many items.
    pub fn maps<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Fields<'_>) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        let path = self.path_of(key);
        let all: Vec<Read<T>> = items
            .iter()
            .enumerate()
            .map(|(i, item)| self.report.map(Some(item), item.place, format!("{path}[{i}]"), &mut read))
            .collect();
        all.into_iter().collect::<Read<Vec<_>>>().map(Some)
    }

    /// A list, or a single one, of values and maps: an item that needs no map is a plain value. `None` when the key is
    /// absent.
    ///
    /// # Errors
    /// What `plain` and `read` report, and too many items.
    pub fn maps_or<T>(
        &mut self,
        key: &'static str,
        plain: impl Fn(&str) -> Result<T, String>,
        mut read: impl FnMut(&mut Fields<'_>) -> Read<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(items) = self.items(key)? else { return Ok(None) };
        let path = self.path_of(key);
        let item = |(i, item): (usize, &Node)| match item.scalar() {
            Some(text) => self.check(item, &format!("{path}[{i}]"), text, &plain),
            None => self.report.map(Some(item), item.place, format!("{path}[{i}]"), &mut read),
        };
        let all: Vec<Read<T>> = items.iter().enumerate().map(item).collect();
        all.into_iter().collect::<Read<Vec<_>>>().map(Some)
    }

    /// A map from names of the user's choice ([`rule::name`]) to values and maps: what needs no map is a plain value.
    ///
    /// # Errors
    /// What `plain` and `read` report, and names that break the rule.
    pub fn named_or<T>(
        &mut self,
        key: &'static str,
        plain: impl Fn(&str, &str) -> Result<T, String>,
        mut read: impl FnMut(&str, &mut Fields<'_>) -> Read<T>,
    ) -> Read<Vec<T>> {
        let path = self.path_of(key);
        let entries = self.entries_of(key)?;
        let value = |entry: &Entry| {
            let name = self.name(entry, &path);
            let below = format!("{path}.{}", entry.key);
            let value = match entry.value.scalar() {
                Some(text) => self.check(&entry.value, &below, text, |text| plain(&entry.key, text)),
                None => self.report.map(Some(&entry.value), entry.place, below, |fields| read(&entry.key, fields)),
            };
            name.and(value)
        };
        let all: Vec<Read<T>> = entries.iter().map(value).collect();
        all.into_iter().collect()
    }

    /// The value of a key as it stands in the file, for a reader of its own; such a key is valid.
    pub fn raw(&mut self, key: &'static str) -> Option<&'a Node> {
        self.take(key).map(|entry| &entry.value)
    }

    /// The place of a key that this version does not know what to do with; not among the valid keys.
    pub fn later(&mut self, key: &'static str) -> Option<Place> {
        self.handled.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.place)
    }

    /// Any other key is fine: the map belongs to a version that knows more.
    pub fn allow_any_key(&mut self) {
        self.any_key = true;
    }

    /// Reports that a required key is missing.
    pub fn missing(&self, key: &str) -> Reported {
        let of = if self.path.is_empty() { String::new() } else { format!(" in {}", Excerpt(&self.path)) };
        self.problem(self.place, format!("required key '{key}' is missing{of}"))
    }

    /// Reports a problem.
    pub fn problem(&self, place: Place, message: String) -> Reported {
        self.report.problem(place, message)
    }

    /// Reports a problem of a key's value, at the value; at the map if the key is absent.
    pub fn problem_at(&self, key: &'static str, why: impl Display) -> Reported {
        self.problem(self.place_of(key), format!("{}: {why}", Excerpt(&self.path_of(key))))
    }

    /// Notes something that is right and yet worth attention.
    pub fn warn(&self, place: Place, message: String) {
        self.report.warn(place, message);
    }

    /// Notes the effective value of a key that no file sets.
    pub fn defaulted(&self, key: &'static str, value: impl Display, origin: Origin) {
        self.report.setting(self.path_of(key), value.to_string(), origin);
    }

    /// The entry of a key that from now on is valid; an empty value counts as absent.
    fn take(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.valid.push(key);
        self.entries.iter().find(|entry| entry.key == key).filter(|entry| entry.value.kind != Kind::Null)
    }

    /// The items of a list, or a single one.
    fn items(&mut self, key: &'static str) -> Read<Option<&'a [Node]>> {
        let Some(entry) = self.take(key) else { return Ok(None) };
        match &entry.value.kind {
            Kind::List(items) if items.len() > LIST_ITEMS_MAX => {
                let (path, count) = (self.path_of(key), items.len());
                let message = format!("{path}: the list has {count} items; at most {LIST_ITEMS_MAX} are read");
                Err(self.report.problem(entry.value.place, message))
            }
            Kind::List(items) => Ok(Some(items.as_slice())),
            _ => Ok(Some(std::slice::from_ref(&entry.value))),
        }
    }

    fn entries_of(&mut self, key: &'static str) -> Read<&'a [Entry]> {
        let Some(entry) = self.take(key) else { return Ok(&[]) };
        match &entry.value.kind {
            Kind::Map(entries) => Ok(entries),
            _ => Err(self.problem_at(key, format_args!("a map is expected, found {}", entry.value.describe()))),
        }
    }

    fn name(&self, entry: &Entry, path: &str) -> Read<String> {
        rule::name(&entry.key).map_err(|why| self.problem(entry.place, format!("key of {}: {why}", Excerpt(path))))
    }

    fn scalar<'n>(&self, node: &'n Node, path: &str) -> Read<&'n str> {
        node.scalar().ok_or_else(|| {
            let message = format!("{}: a single value is expected, found {}", Excerpt(path), node.describe());
            self.problem(node.place, message)
        })
    }

    fn check<T>(&self, node: &Node, path: &str, text: &str, rule: impl Fn(&str) -> Result<T, String>) -> Read<T> {
        rule(text).map_err(|why| self.problem(node.place, format!("{}: {why}", Excerpt(path))))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Reports the keys that nobody asked for.
    fn close<T>(self, result: Read<T>) -> Read<T> {
        let known = |key: &str| self.valid.iter().chain(&self.handled).any(|known| *known == key);
        let mut outcome = result;
        for entry in self.entries.iter().filter(|entry| !self.any_key && !known(&entry.key)) {
            let of = if self.path.is_empty() { String::new() } else { format!(" in {}", Excerpt(&self.path)) };
            let hint = match nearest(&entry.key, self.valid.iter().copied()) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => format!("valid keys: {}", self.valid.join(", ")),
            };
            let message = format!("unknown key '{}'{of}; {hint}", Excerpt(&entry.key));
            outcome = Err(self.report.problem(entry.place, message));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::problem::PROBLEMS_MAX;
    use super::super::report::Loaded;
    use super::super::tree;
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Journal {
        bytes: u64,
        names: Vec<String>,
    }

    fn journal(fields: &mut Fields<'_>) -> Read<Journal> {
        let bytes = fields.or("max_bytes", "1GiB", rule::size(1..=1 << 40));
        let names = fields.list("names", rule::name);
        Ok(Journal { bytes: bytes?, names: names?.unwrap_or_default() })
    }

    fn load(text: &str) -> Result<Loaded<(String, Journal, Vec<u64>)>, String> {
        let file = Arc::from("f.yaml");
        let root = tree::parse(&file, text.as_bytes()).map_err(|problems| problems.to_string())?;
        let loaded = Report::new(&file).read(&root, |fields| {
            let to = fields.required("to", rule::name);
            let below = fields.map("journal", journal);
            let numbers = fields.maps("numbers", |item| item.required("n", rule::number(0..=9)));
            Ok((to?, below?, numbers?.unwrap_or_default()))
        });
        loaded.map_err(|problems| problems.to_string())
    }

    #[test]
    fn values_know_where_they_came_from() {
        let loaded = load("to: x\njournal: { names: [a, b] }\nnumbers: [{ n: 3 }]\n").unwrap();
        assert_eq!(
            loaded.config,
            ("x".into(), Journal { bytes: 1 << 30, names: vec!["a".into(), "b".into()] }, vec![3])
        );
        let shown: Vec<String> =
            loaded.settings.iter().map(|s| format!("{} = {} ({})", s.path, s.value, s.origin)).collect();
        assert_eq!(
            shown,
            [
                "to = x (f.yaml:1:5)",
                "journal.max_bytes = 1GiB (default)",
                "journal.names = [a, b] (f.yaml:2:19)",
                "numbers[0].n = 3 (f.yaml:3:16)"
            ]
        );
    }

    #[test]
    fn five_mistakes_are_five_problems_in_order() {
        let text = "joornal: 1\njournal:\n  max_bytes: 1GB\n  names: [a, /b]\nnumbers:\n  - n: 10\n";
        assert_eq!(
            load(text).unwrap_err(),
            "f.yaml:1:1: required key 'to' is missing\n\
             f.yaml:1:1: unknown key 'joornal'; did you mean 'journal'?\n\
             f.yaml:3:14: journal.max_bytes: in '1GB' the unit 'GB' is not known; did you mean 'GiB'?\n\
             f.yaml:4:14: journal.names: '/b' is not a name (1 to 64 letters, digits, '_', '-', '.', not first a dot)\n\
             f.yaml:6:8: numbers[0].n: '10' is out of range; 0 to 9 is allowed"
        );
    }

    #[test]
    fn a_far_off_key_lists_the_valid_ones() {
        assert_eq!(
            load("to: x\njournal: { colour: red }\n").unwrap_err(),
            "f.yaml:2:12: unknown key 'colour' in journal; valid keys: max_bytes, names"
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named() {
        for (text, message) in [
            ("[1]", "f.yaml:1:1: a map of keys is expected, found a list"),
            ("to: [x]", "f.yaml:1:5: to: a single value is expected, found a list"),
            ("to: x\njournal: 5", "f.yaml:2:10: journal: a map of keys is expected, found '5'"),
            ("to: x\njournal: { names: [{}] }", "f.yaml:2:20: journal.names: a single value is expected, found a map"),
        ] {
            assert_eq!(load(text).unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn an_empty_value_is_an_absent_one() {
        assert!(load("to: x\njournal:\nnumbers: ~\n").is_ok());
        assert!(load("to:\n").unwrap_err().contains("required key 'to' is missing"));
    }

    #[test]
    fn problems_are_bounded_and_the_rest_is_counted() {
        let text: String = (0..PROBLEMS_MAX + 9).fold("to: x\n".to_owned(), |text, i| format!("{text}unknown{i}: 1\n"));
        let message = load(&text).unwrap_err();
        assert!(message.ends_with("and 9 problems more"), "{message}");
        assert_eq!(message.lines().count(), PROBLEMS_MAX + 1);
    }
}
