//! [`Matcher`]: all predicates of a deployment, compiled together.
//!
//! In: predicates; their order gives them their numbers. Out: fields with numbers, groups by log source, one search for
//! the witnesses of all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::criterion::Criterion;
use super::predicate::Predicate;
use super::sources::LogSource;
use super::texts::Texts;
use super::view::Names;
use super::witness;

/// The number of no field: keywords.
pub(super) const KEYWORDS: u32 = 0;

/// Predicates about events of one log source.
#[derive(Debug)]
pub(super) struct Group {
    /// Category, product and service by number; 0: any.
    pub words: [u32; 3],
    /// Predicates that have no witness, by number.
    pub always: Vec<u32>,
    /// Some of its predicates look into every value.
    pub keywords: bool,
}

/// A predicate that is to be looked at where a text stands in a field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Use {
    pub slot: u32,
    pub predicate: u32,
}

/// A predicate and its group.
#[derive(Debug)]
pub(super) struct Entry {
    pub predicate: Predicate,
    pub group: u32,
}

/// All predicates of a deployment, ready to be held against events.
#[derive(Debug)]
pub struct Matcher {
    /// Tells the scratch of one matcher from that of another.
    pub(super) stamp: u64,
    pub(super) entries: Vec<Entry>,
    pub(super) groups: Vec<Group>,
    /// Numbers of the words of log sources, from 1.
    pub(super) words: HashMap<String, u32, ahash::RandomState>,
    pub(super) names: Names,
    /// How many fields there are.
    pub(super) slots: usize,
    pub(super) texts: Option<Texts>,
    /// By number of the text.
    pub(super) uses: Vec<Vec<Use>>,
    unfilterable: Vec<usize>,
}

/// The predicates cannot be compiled together.
#[derive(Debug, thiserror::Error)]
#[error("cannot compile {predicates} predicates: {why}")]
pub struct TooMany {
    predicates: usize,
    why: String,
}

impl Matcher {
    /// Compiles predicates.
    ///
    /// # Errors
    /// There are more than an automaton or its numbers can hold.
    pub fn new(predicates: Vec<Predicate>) -> Result<Self, TooMany> {
        let count = predicates.len();
        let mut builder = Builder { names: Names::new(), slots: HashMap::default(), groups: HashMap::default() };
        let mut matcher = Self {
            stamp: next_stamp(),
            entries: Vec::with_capacity(count),
            groups: Vec::new(),
            words: HashMap::default(),
            names: Names::default(),
            slots: 0,
            texts: None,
            uses: Vec::new(),
            unfilterable: Vec::new(),
        };
        let mut texts: HashMap<Vec<u8>, Vec<Use>, ahash::RandomState> = HashMap::default();
        for (number, mut predicate) in predicates.into_iter().enumerate() {
            let id = u32::try_from(number).map_err(|_| TooMany { predicates: count, why: "too many".to_owned() })?;
            let group = matcher.group(&mut builder, &predicate.source);
            let keywords = builder.number(&mut predicate);
            let witnesses = witness::of(&predicate);
            if let Some(group) = matcher.groups.get_mut(group as usize) {
                group.keywords |= keywords;
                if witnesses.is_none() {
                    group.always.push(id);
                }
            }
            match witnesses {
                Some(set) => {
                    for (slot, text) in set {
                        texts.entry(text).or_default().push(Use { slot, predicate: id });
                    }
                }
                None => matcher.unfilterable.push(number),
            }
            matcher.entries.push(Entry { predicate, group });
        }
        matcher.slots = builder.slots.len() + 1;
        matcher.names = builder.names;
        let mut texts: Vec<(Vec<u8>, Vec<Use>)> = texts.into_iter().collect();
        texts.sort_unstable();
        let built = Texts::new(texts.iter().map(|(text, _)| text.as_slice()));
        matcher.texts = Some(built.map_err(|error| TooMany { predicates: count, why: error.to_string() })?);
        matcher.uses = texts.into_iter().map(|(_, uses)| uses).collect();
        Ok(matcher)
    }

    /// How many predicates there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The numbers of those that have no text by which to find their events: each is looked at for every event of its log
    /// source.
    #[must_use]
    pub fn unfilterable(&self) -> &[usize] {
        &self.unfilterable
    }

    fn group(&mut self, builder: &mut Builder, source: &LogSource) -> u32 {
        if let Some(known) = builder.groups.get(source) {
            return *known;
        }
        let words = source.words().map(|word| {
            if word.is_empty() {
                return 0;
            }
            let next = number(self.words.len() + 1);
            *self.words.entry(word.to_owned()).or_insert(next)
        });
        let group = number(self.groups.len());
        self.groups.push(Group { words, always: Vec::new(), keywords: false });
        builder.groups.insert(source.clone(), group);
        group
    }
}

/// Gives numbers to fields and log sources.
struct Builder {
    names: Names,
    /// A name is a field of its own for each log source: it may stand at other places.
    slots: HashMap<(String, LogSource), u32, ahash::RandomState>,
    groups: HashMap<LogSource, u32, ahash::RandomState>,
}

impl Builder {
    /// Gives the fields of a predicate their numbers; says whether there are keywords.
    fn number(&mut self, predicate: &mut Predicate) -> bool {
        let (source, mut keywords) = (&predicate.source, false);
        for selection in &mut predicate.selections {
            selection.each_item_mut(&mut |item| {
                item.slot = match &item.field {
                    Some(name) => self.slot(name, source),
                    None => KEYWORDS,
                };
                keywords |= item.field.is_none();
                for criterion in item.values.iter_mut().flatten() {
                    if let Criterion::Field(other) = criterion {
                        other.slot = self.slot(&other.name, source);
                    }
                }
            });
        }
        keywords
    }

    fn slot(&mut self, name: &str, source: &LogSource) -> u32 {
        let next = number(self.slots.len() + 1);
        let slot = *self.slots.entry((name.to_owned(), source.clone())).or_insert(next);
        if slot == next {
            self.names.add(name, source, slot);
        }
        slot
    }
}

/// A count that cannot reach `u32::MAX`: there is less memory than that.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn next_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
