//! Holding an event against a [`Matcher`].
//!
//! In: a [`View`]. Out: the numbers of the predicates that take it. The event's values go into buffers of a
//! [`Scratch`], which the next event uses again.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::compile::{KEYWORDS, Matcher};
use super::condition::Condition;
use super::criterion::{Criterion, Nature, Sample};
use super::fold::push_folded;
use super::predicate::{Item, Predicate, Selection};
use super::taxonomy::Scalar;
use super::view::{Target, View};

/// Log sources that are remembered with the groups that are about them.
const REMEMBERED_MAX: usize = 4_096;
/// A byte that stands in no UTF-8 text: between values, so that no text is found across two.
const BETWEEN: u8 = 0xff;

/// Buffers for one thread: nothing of an event but its values until the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The matcher that it was used with.
    stamp: u64,
    /// The event's number: what is marked with another is of another event.
    turn: u32,
    values: Values,
    /// By group: the turn in which it was last about the event.
    about: Vec<u32>,
    /// The groups that are about the event.
    groups: Vec<u32>,
    /// By predicate: the turn in which it was last looked at.
    seen: Vec<u32>,
    candidates: Vec<u32>,
    /// Groups by log source.
    remembered: HashMap<[u32; 3], Vec<u32>, ahash::RandomState>,
    path: String,
}

/// The values of one event.
#[derive(Debug, Default)]
struct Values {
    /// Texts as they are, one behind the other.
    text: String,
    /// The same, case folded, with [`BETWEEN`] between them.
    folded: Vec<u8>,
    all: Vec<Slot>,
    /// Which value is of which field.
    links: Vec<Link>,
    /// By field: the turn, and its newest link.
    heads: Vec<(u32, u32)>,
}

#[derive(Clone, Debug)]
struct Slot {
    text: Range<usize>,
    folded: Range<usize>,
    nature: Nature,
    searched: bool,
    links: Range<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    field: u32,
    value: u32,
    /// The next older link of the same field; `u32::MAX`: none.
    older: u32,
}

const NONE: u32 = u32::MAX;

/// Takes the values of an event.
#[derive(Debug)]
pub struct Collector<'s> {
    values: &'s mut Values,
    turn: u32,
    keywords: bool,
    path: &'s mut String,
}

impl Collector<'_> {
    /// A buffer for a path.
    pub(super) fn take_path(&mut self) -> String {
        std::mem::take(self.path)
    }

    /// Gives it back.
    pub(super) fn give_path(&mut self, path: String) {
        *self.path = path;
    }

    /// Takes a value of these fields; `searched`: keywords are looked for in it.
    pub fn put(&mut self, targets: &[Target], value: Scalar<'_>, searched: bool) {
        let searched = searched && self.keywords;
        if targets.is_empty() && !searched {
            return;
        }
        let plain = |target: &&Target| target.reading.is_none() && !target.below;
        if searched || targets.iter().any(|target| plain(&target)) {
            let number = self.value(value, searched);
            for target in targets.iter().filter(plain) {
                self.link(target.slot, number);
            }
        }
        for target in targets.iter().filter(|target| !plain(target)) {
            let read = match target.reading {
                _ if target.below => Some(Scalar::Structure),
                Some(reading) => reading(value),
                None => None,
            };
            if let Some(read) = read {
                let number = self.value(read, false);
                self.link(target.slot, number);
            }
        }
    }

    fn value(&mut self, value: Scalar<'_>, searched: bool) -> u32 {
        let Values { text, folded, all, links, .. } = &mut *self.values;
        let (start, start_folded) = (text.len(), folded.len());
        // Formatting into a String cannot fail.
        let _ = match value {
            Scalar::Null | Scalar::Structure => Ok(()),
            Scalar::Text(value) => {
                text.push_str(value);
                Ok(())
            }
            Scalar::Int(number) => write!(text, "{number}"),
            Scalar::Float(number) => write!(text, "{number}"),
            Scalar::Number(number) => write!(text, "{number}"),
            Scalar::Bool(truth) => write!(text, "{truth}"),
        };
        push_folded(text.get(start..).unwrap_or_default(), folded);
        let nature = match value {
            Scalar::Null => Nature::Null,
            Scalar::Structure => Nature::Structure,
            _ => Nature::Scalar,
        };
        let number = u32::try_from(all.len()).unwrap_or(NONE);
        let links = links.len()..links.len();
        all.push(Slot { text: start..text.len(), folded: start_folded..folded.len(), nature, searched, links });
        folded.push(BETWEEN);
        number
    }

    fn link(&mut self, field: u32, value: u32) {
        let Values { all, links, heads, .. } = &mut *self.values;
        let number = u32::try_from(links.len()).unwrap_or(NONE);
        let (Some(head), Some(slot)) = (heads.get_mut(field as usize), all.last_mut()) else { return };
        let older = if head.0 == self.turn { head.1 } else { NONE };
        *head = (self.turn, number);
        links.push(Link { field, value, older });
        slot.links.end = links.len();
    }
}

impl Values {
    fn sample(&self, slot: &Slot) -> Sample<'_> {
        Sample {
            text: self.text.get(slot.text.clone()).unwrap_or_default(),
            folded: self.folded.get(slot.folded.clone()).unwrap_or_default(),
            nature: slot.nature,
        }
    }
}

/// The values of the event at hand.
#[derive(Clone, Copy)]
struct Facts<'s> {
    values: &'s Values,
    turn: u32,
}

impl<'s> Facts<'s> {
    /// The values of a field, newest first.
    fn of(self, field: u32) -> impl Iterator<Item = Sample<'s>> {
        let newest = self.values.heads.get(field as usize).filter(|head| head.0 == self.turn).map(|head| head.1);
        let mut next = newest.unwrap_or(NONE);
        std::iter::from_fn(move || {
            let link = self.values.links.get(next as usize)?;
            next = link.older;
            self.values.all.get(link.value as usize).map(|slot| self.values.sample(slot))
        })
    }

    /// The values in which keywords are looked for.
    fn searched(self) -> impl Iterator<Item = Sample<'s>> {
        self.values.all.iter().filter(|slot| slot.searched).map(move |slot| self.values.sample(slot))
    }

    fn takes(self, predicate: &Predicate) -> bool {
        self.condition(&predicate.condition, &predicate.selections)
    }

    fn condition(self, condition: &Condition, selections: &[Selection]) -> bool {
        match condition {
            Condition::One(number) => selections.get(*number).is_some_and(|selection| self.selection(selection)),
            Condition::All(parts) => parts.iter().all(|part| self.condition(part, selections)),
            Condition::Any(parts) => parts.iter().any(|part| self.condition(part, selections)),
            Condition::Not(part) => !self.condition(part, selections),
        }
    }

    fn selection(self, selection: &Selection) -> bool {
        match selection {
            Selection::All(parts) => parts.iter().all(|part| self.selection(part)),
            Selection::Any(parts) => parts.iter().any(|part| self.selection(part)),
            Selection::Item(item) => self.item(item) != item.negated,
        }
    }

    fn item(self, item: &Item) -> bool {
        let met = |criteria: &Vec<Criterion>| criteria.iter().any(|criterion| self.met(item.slot, criterion));
        if item.all { item.values.iter().all(met) } else { item.values.iter().any(met) }
    }

    fn met(self, field: u32, criterion: &Criterion) -> bool {
        match criterion {
            _ if field == KEYWORDS => self.searched().any(|sample| criterion.holds(sample)),
            Criterion::Null => {
                let mut there = false;
                for sample in self.of(field) {
                    match sample.nature {
                        Nature::Null => return true,
                        Nature::Scalar => there = true,
                        Nature::Structure => {}
                    }
                }
                !there
            }
            Criterion::Exists(expected) => self.of(field).next().is_some() == *expected,
            Criterion::Field(other) => {
                self.of(field).any(|value| self.of(other.slot).any(|than| other.holds(value, than)))
            }
            criterion => self.of(field).any(|sample| criterion.holds(sample)),
        }
    }
}

impl Matcher {
    /// Puts the numbers of the predicates that take the event into `hits`, in order; what stood there is gone.
    pub fn matches(&self, event: &impl View, scratch: &mut Scratch, hits: &mut Vec<usize>) {
        hits.clear();
        scratch.begin(self);
        scratch.choose(self, event);
        if scratch.groups.is_empty() {
            return;
        }
        let group = |number: &u32| self.groups.get(*number as usize);
        let keywords = scratch.groups.iter().filter_map(group).any(|group| group.keywords);
        let mut collector =
            Collector { values: &mut scratch.values, turn: scratch.turn, keywords, path: &mut scratch.path };
        event.values(&self.names, &mut collector);
        scratch.candidates.extend(scratch.groups.iter().filter_map(group).flat_map(|group| &group.always));
        scratch.find(self);
        let facts = Facts { values: &scratch.values, turn: scratch.turn };
        for number in &scratch.candidates {
            let taken = self.entries.get(*number as usize).is_some_and(|entry| facts.takes(&entry.predicate));
            if taken {
                hits.push(*number as usize);
            }
        }
        hits.sort_unstable();
    }
}

impl Scratch {
    /// Forgets the last event.
    fn begin(&mut self, matcher: &Matcher) {
        if self.stamp != matcher.stamp || self.turn == u32::MAX {
            let path = std::mem::take(&mut self.path);
            *self = Self { stamp: matcher.stamp, path, ..Self::default() };
            self.about.resize(matcher.groups.len(), 0);
            self.seen.resize(matcher.entries.len(), 0);
            self.values.heads.resize(matcher.slots, (0, NONE));
        }
        self.turn += 1;
        let Values { text, folded, all, links, .. } = &mut self.values;
        text.clear();
        folded.clear();
        all.clear();
        links.clear();
        self.groups.clear();
        self.candidates.clear();
    }

    /// Chooses the groups that are about the event.
    fn choose(&mut self, matcher: &Matcher, event: &impl View) {
        let Self { about, groups, remembered, turn, .. } = self;
        let mut choose = |number: u32| {
            if let Some(mark) = about.get_mut(number as usize).filter(|mark| **mark != *turn) {
                *mark = *turn;
                groups.push(number);
            }
        };
        let mut words_of = |words: [&str; 3]| {
            let key =
                words.map(|word| if word.is_empty() { NONE } else { matcher.words.get(word).copied().unwrap_or(NONE) });
            if remembered.len() > REMEMBERED_MAX {
                remembered.clear();
            }
            let fits = |needs: &[u32; 3]| needs.iter().zip(&key).all(|(need, has)| *need == 0 || need == has);
            let found = remembered.entry(key).or_insert_with(|| {
                let numbered = (0..).zip(&matcher.groups);
                numbered.filter(|(_, group)| fits(&group.words)).map(|(number, _)| number).collect()
            });
            found.iter().for_each(|number| choose(*number));
        };
        // Rules without a log source are about every event.
        words_of([""; 3]);
        if matcher.words.is_empty() {
            return;
        }
        if !event.sources(words_of) {
            (0..).zip(&matcher.groups).for_each(|(number, _)| choose(number));
        }
    }

    /// Adds the predicates whose witness stands in the event.
    fn find(&mut self, matcher: &Matcher) {
        let Self { values, about, seen, candidates, turn, .. } = self;
        let Some(texts) = &matcher.texts else { return };
        let (mut from, mut last) = (0, 0);
        texts.find(&values.folded, |number, at| {
            // Places go back once, to those of the short texts.
            if at < last {
                from = 0;
            }
            last = at;
            while values.all.get(from).is_some_and(|slot| slot.folded.end <= at) {
                from += 1;
            }
            let Some(slot) = values.all.get(from) else { return };
            let links = values.links.get(slot.links.clone()).unwrap_or_default();
            for usage in matcher.uses.get(number as usize).into_iter().flatten() {
                let stands = if usage.slot == KEYWORDS {
                    slot.searched
                } else {
                    links.iter().any(|link| link.field == usage.slot)
                };
                let Some(mark) = seen.get_mut(usage.predicate as usize).filter(|mark| stands && **mark != *turn) else {
                    continue;
                };
                let group = matcher.entries.get(usage.predicate as usize).map_or(0, |entry| entry.group);
                if about.get(group as usize) == Some(turn) {
                    *mark = *turn;
                    candidates.push(usage.predicate);
                }
            }
        });
    }
}
