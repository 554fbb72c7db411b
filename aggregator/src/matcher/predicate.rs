//! [`Predicate`]: what a `where` or a rule's `detection` asks of an event.
//!
//! In: a YAML node that knows its place. Out: selections of items under a condition, or every problem with
//! its place. A map is AND, a list of maps is OR, values in a list are OR (`all`: AND), texts without a field are
//! keywords, which are looked for in every value of the event. A map with the key `condition` names its selections.

use shared::printable::Excerpt;
use shared::yaml::{Entry, Kind, Node, Place, nearest};

use super::condition::{self, Condition};
use super::criterion::Criterion;
use super::modifier::{Modifiers, Placeholders};
use super::sources::LogSource;
use super::taxonomy;

/// How deep lists and maps of a selection may nest.
const DEPTH_MAX: usize = 8;

/// Something that is wrong, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Where it stands.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

/// What is asked of an event.
#[derive(Clone, Debug)]
pub struct Predicate {
    /// The events that it is about; of a `where`: all.
    pub source: LogSource,
    pub(super) selections: Vec<Selection>,
    pub(super) condition: Condition,
}

/// One selection, or a part of one.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    /// All of them.
    All(Vec<Selection>),
    /// At least one of them.
    Any(Vec<Selection>),
    /// What one line asks.
    Item(Box<Item>),
}

/// A field, or the whole event, and what is asked of it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// The field; none: keywords.
    pub field: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// Its number in the matcher.
    pub slot: u32,
    /// For each value of the rule the criteria any of which meets it.
    pub values: Vec<Vec<Criterion>>,
    /// Every value must be met, not just one.
    pub all: bool,
    /// The answer is turned around.
    pub negated: bool,
}

impl Predicate {
    /// Reads a `where`: a map, a list of maps or keywords, or named selections with a `condition`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(node: &Node) -> Result<Self, Vec<Wrong>> {
        if node.at("condition").is_some() {
            return Self::detection(node, &Placeholders::new());
        }
        let mut reader = Reader { known: &Placeholders::new(), wrong: Vec::new() };
        let selection = reader.selection(node, 0);
        match selection {
            Some(selection) if reader.wrong.is_empty() => {
                Ok(Self { source: LogSource::default(), selections: vec![selection], condition: Condition::One(0) })
            }
            _ => Err(reader.wrong),
        }
    }

    /// Reads named selections with a `condition`.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn detection(node: &Node, known: &Placeholders) -> Result<Self, Vec<Wrong>> {
        let mut reader = Reader { known, wrong: Vec::new() };
        let Kind::Map(entries) = &node.kind else {
            reader
                .say(node.place, format!("a map of selections and a condition is expected, found {}", node.describe()));
            return Err(reader.wrong);
        };
        let (mut names, mut selections) = (Vec::new(), Vec::new());
        for Entry { key, value, .. } in entries.iter().filter(|entry| entry.key != "condition") {
            names.push(key.as_str());
            selections.extend(reader.selection(value, 0));
        }
        let condition = match node.at("condition") {
            Some(node) => reader.condition(node, &names),
            None => {
                reader.say(node.place, "a condition is missing".to_owned());
                None
            }
        };
        match condition {
            Some(condition) if reader.wrong.is_empty() => {
                Ok(Self { source: LogSource::default(), selections, condition })
            }
            _ => Err(reader.wrong),
        }
    }

    /// Names that are neither an OCSF path that Picket emits nor a name of the Sigma taxonomy for its log source, with
    /// the nearest path: they are looked for in `unmapped`, and may be spelling mistakes.
    #[must_use]
    pub fn unknown_fields(&self) -> Vec<(Place, &str, Option<&'static str>)> {
        let mut unknown = Vec::new();
        for selection in &self.selections {
            selection.each_item(&mut |item| {
                let Some(name) = item.field.as_deref() else { return };
                if !taxonomy::is_known(name, &self.source) {
                    unknown.push((item.place, name, nearest(name, taxonomy::paths())));
                }
            });
        }
        unknown
    }
}

impl Selection {
    pub(super) fn each_item<'s>(&'s self, take: &mut impl FnMut(&'s Item)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.each_item(take)),
            Self::Item(item) => take(item),
        }
    }

    pub(super) fn each_item_mut(&mut self, take: &mut impl FnMut(&mut Item)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter_mut().for_each(|part| part.each_item_mut(take)),
            Self::Item(item) => take(item),
        }
    }
}

struct Reader<'k> {
    known: &'k Placeholders,
    wrong: Vec<Wrong>,
}

impl Reader<'_> {
    fn say(&mut self, place: Place, message: String) {
        self.wrong.push(Wrong { place, message });
    }

    fn condition(&mut self, node: &Node, names: &[&str]) -> Option<Condition> {
        let alone = std::slice::from_ref(node);
        let texts = if let Kind::List(items) = &node.kind { items.as_slice() } else { alone };
        let mut conditions = Vec::with_capacity(texts.len());
        for node in texts {
            let read = match node.scalar() {
                Some(text) => condition::parse(text, names),
                None => Err(format!("a condition is a text, found {}", node.describe())),
            };
            match read {
                Ok(condition) => conditions.push(condition),
                Err(message) => self.say(node.place, message),
            }
        }
        if conditions.len() < texts.len() {
            return None;
        }
        if conditions.is_empty() {
            self.say(node.place, "a condition is missing".to_owned());
        }
        Some(Condition::Any(conditions))
    }

    fn selection(&mut self, node: &Node, depth: usize) -> Option<Selection> {
        if depth > DEPTH_MAX {
            self.say(node.place, format!("selections nest more than {DEPTH_MAX} deep"));
            return None;
        }
        match &node.kind {
            Kind::Null => {
                self.say(node.place, "a selection holds fields or keywords, found nothing".to_owned());
                None
            }
            Kind::Scalar(_) => self.item("", node.place, std::slice::from_ref(node)),
            Kind::List(items) => self.list(node.place, items, depth),
            Kind::Map(entries) if entries.is_empty() => {
                self.say(node.place, "an empty map would take every event".to_owned());
                None
            }
            Kind::Map(entries) => {
                let read = entries.iter().map(|entry| {
                    let alone = std::slice::from_ref(&entry.value);
                    let values = if let Kind::List(items) = &entry.value.kind { items.as_slice() } else { alone };
                    self.item(&entry.key, entry.place, values)
                });
                let items: Vec<Option<Selection>> = read.collect();
                Some(Selection::All(items.into_iter().collect::<Option<_>>()?))
            }
        }
    }

    /// Maps, or keywords, or both: any of them.
    fn list(&mut self, place: Place, items: &[Node], depth: usize) -> Option<Selection> {
        let (keywords, maps): (Vec<&Node>, Vec<&Node>) =
            items.iter().partition(|node| matches!(node.kind, Kind::Scalar(_) | Kind::Null));
        let mut parts: Vec<Option<Selection>> = maps.into_iter().map(|map| self.selection(map, depth + 1)).collect();
        if !keywords.is_empty() {
            let keywords: Vec<Node> = keywords.into_iter().cloned().collect();
            parts.push(self.item("", place, &keywords));
        }
        if parts.is_empty() {
            self.say(place, "an empty list would take no event".to_owned());
            return None;
        }
        Some(Selection::Any(parts.into_iter().collect::<Option<_>>()?))
    }

    fn item(&mut self, key: &str, place: Place, nodes: &[Node]) -> Option<Selection> {
        let mut names = key.split('|');
        let field = names.next().filter(|name| !name.is_empty());
        let shown = if field.is_some() { format!("{}: ", Excerpt(key)) } else { String::new() };
        let modifiers = match Modifiers::parse(names) {
            Ok(modifiers) => modifiers,
            Err(message) => {
                self.say(place, format!("{shown}{message}"));
                return None;
            }
        };
        if nodes.is_empty() {
            self.say(place, format!("{shown}an empty list of values"));
            return None;
        }
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            match modifiers.criteria(node, field.is_none(), self.known) {
                Ok(criteria) => values.push(criteria),
                Err(message) => self.say(node.place, format!("{shown}{message}")),
            }
        }
        let item = Item {
            field: field.map(str::to_owned),
            place,
            slot: 0,
            values,
            all: modifiers.all,
            negated: modifiers.negated,
        };
        Some(Selection::Item(Box::new(item)))
    }
}
