//! Merge: events that differ in nothing that matters become one, with their count.
//!
//! Within one block and one agent, events with equal values of the rule's `by` fields are folded into the first of them:
//! `count` is the sum of theirs, `start_time` the earliest and `end_time` the latest time, `severity_id` the highest; every
//! other field is the first one's. With `keep: N` the first N of a kind go on as they are and one event stands for the rest.
//!
//! Bounds: [`KEYS_MAX`] kinds and [`HELD_BYTES_MAX`] a block; what comes beyond goes on unmerged and is counted.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use shared::identity::{AgentId, EventId};
use shared::time::Timestamp;

use super::PredicateId;
use super::field::FieldRef;
use crate::event::{Event, Field, Value};
use crate::schema::{Attribute, Class};

/// Most kinds that one block holds.
pub const KEYS_MAX: usize = 65_536;
/// Most bytes that one block holds.
const HELD_BYTES_MAX: usize = 32 << 20;
/// What a kind takes besides its texts.
const KIND_BYTES: usize = 256;
/// What a field takes besides its text.
const FIELD_BYTES: usize = 48;

/// Repeats that become one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Merge {
    /// Its name in metrics, reports and `unmapped.picket.merged`.
    pub name: String,
    /// Which events; all where there is none.
    pub predicate: Option<PredicateId>,
    /// What must be equal; the agent always is.
    pub by: Vec<FieldRef>,
    /// How many of a kind go on as they are; 0 folds all into the first.
    pub keep: u64,
}

/// What became of an event.
pub(super) enum Taken {
    /// It goes on as it is: one of those that are kept.
    Passes,
    /// It waits for others of its kind.
    First,
    /// It is part of one that waits.
    Folded,
    /// No more kinds are held.
    Full,
}

/// What waits for the end of the block.
#[derive(Default)]
pub(super) struct Held {
    /// Rule, agent and values → place in `kinds`.
    index: HashMap<Box<[u8]>, usize, ahash::RandomState>,
    /// In order of their first event.
    kinds: Vec<Kind>,
    bytes: usize,
    key: Vec<u8>,
    /// The shared fields of the last event that was kept, and its run.
    shared: Option<(u64, AgentId, Arc<[Field<'static>]>)>,
}

/// One kind of event of one agent.
struct Kind {
    rule: usize,
    /// How many have gone on as they are.
    kept: u64,
    first: Option<First>,
}

/// The first event of a kind that did not go on, and what the others added to it.
struct First {
    id: EventId,
    class: Class,
    activity_id: u8,
    severity_id: u8,
    time: Timestamp,
    received_at: Timestamp,
    shared: Arc<[Field<'static>]>,
    fields: Vec<Field<'static>>,
    unmapped: Vec<(Cow<'static, str>, Value<'static>)>,
    /// How many events it stands for.
    weight: u64,
    is_observed: bool,
    /// Sum of their `count`.
    count: i64,
    start: i64,
    end: i64,
}

impl Held {
    /// Takes an event of a rule.
    pub(super) fn take(&mut self, number: usize, rule: &Merge, event: &Event<'_>) -> Taken {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(&(number as u64).to_le_bytes());
        key.extend_from_slice(&event.id.chain.agent.0);
        rule.by.iter().for_each(|field| field.key(event, &mut key));
        let taken = self.place(&key, number, rule, event);
        self.key = key;
        taken
    }

    fn place(&mut self, key: &[u8], number: usize, rule: &Merge, event: &Event<'_>) -> Taken {
        let at = match self.index.get(key) {
            Some(at) => *at,
            None => {
                if self.kinds.len() >= KEYS_MAX || self.bytes >= HELD_BYTES_MAX {
                    return Taken::Full;
                }
                self.bytes += key.len() + KIND_BYTES;
                self.index.insert(key.into(), self.kinds.len());
                self.kinds.push(Kind { rule: number, kept: 0, first: None });
                self.kinds.len() - 1
            }
        };
        let Some(kind) = self.kinds.get_mut(at) else { return Taken::Full };
        if kind.kept < rule.keep {
            kind.kept += 1;
            return Taken::Passes;
        }
        if let Some(first) = &mut kind.first {
            first.fold(event);
            return Taken::Folded;
        }
        let shared = shared(&mut self.shared, event);
        let first = First::new(event, shared);
        self.bytes += first.bytes();
        kind.first = Some(first);
        Taken::First
    }

    /// Shows what waited, and forgets it.
    pub(super) fn leave<E>(
        &mut self,
        rules: &[Merge],
        emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kinds = std::mem::take(&mut self.kinds);
        self.clear();
        for kind in kinds {
            let (Some(first), Some(rule)) = (kind.first, rules.get(kind.rule)) else { continue };
            first.show(rule, emit)?;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.kinds.clear();
        self.bytes = 0;
        self.shared = None;
    }
}

/// The shared fields of an event, copied once a run.
fn shared(last: &mut Option<(u64, AgentId, Arc<[Field<'static>]>)>, event: &Event<'_>) -> Arc<[Field<'static>]> {
    let agent = event.id.chain.agent;
    if let Some((run, of, fields)) = last
        && event.run != 0
        && (*run, *of) == (event.run, agent)
    {
        return Arc::clone(fields);
    }
    let fields: Arc<[Field<'static>]> = event.shared.iter().map(owned).collect();
    *last = Some((event.run, agent, Arc::clone(&fields)));
    fields
}

fn owned(field: &Field<'_>) -> Field<'static> {
    Field { attribute: field.attribute, index: field.index, value: field.value.clone().into_owned() }
}

fn text_bytes(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len() + FIELD_BYTES,
        _ => FIELD_BYTES,
    }
}

/// Events that an event stands for by what it says itself (`message repeated 5 times`).
fn said_count(event: &Event<'_>) -> i64 {
    match event.value(Attribute::Count) {
        Some(Value::Int(count)) => (*count).max(1),
        _ => 1,
    }
}

fn said_time(event: &Event<'_>, attribute: Attribute) -> i64 {
    match event.value(attribute) {
        Some(Value::Int(at)) => *at,
        _ => event.time.as_ms(),
    }
}

impl First {
    fn new(event: &Event<'_>, shared: Arc<[Field<'static>]>) -> Self {
        Self {
            id: event.id,
            class: event.class,
            activity_id: event.activity_id,
            severity_id: event.severity_id,
            time: event.time,
            received_at: event.received_at,
            shared,
            fields: event.fields.iter().map(owned).collect(),
            unmapped: event
                .unmapped
                .iter()
                .map(|(key, value)| (Cow::Owned(key.to_string()), value.clone().into_owned()))
                .collect(),
            weight: 1,
            is_observed: event.is_observed,
            count: said_count(event),
            start: said_time(event, Attribute::StartTime),
            end: said_time(event, Attribute::EndTime),
        }
    }

    fn bytes(&self) -> usize {
        self.fields.iter().map(|field| text_bytes(&field.value)).sum::<usize>()
            + self.unmapped.iter().map(|(key, value)| key.len() + text_bytes(value)).sum::<usize>()
    }

    fn fold(&mut self, event: &Event<'_>) {
        self.weight += 1;
        self.count = self.count.saturating_add(said_count(event));
        self.start = self.start.min(said_time(event, Attribute::StartTime));
        self.end = self.end.max(said_time(event, Attribute::EndTime));
        self.severity_id = self.severity_id.max(event.severity_id);
    }

    fn show<E>(self, rule: &Merge, emit: &mut dyn FnMut(&Event<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut event = Event::new(self.id, self.time, self.received_at);
        event.class = self.class;
        event.activity_id = self.activity_id;
        event.severity_id = self.severity_id;
        event.fields = self.fields;
        event.unmapped = self.unmapped;
        event.shared = &self.shared;
        event.weight = self.weight;
        event.is_observed = self.is_observed;
        if self.weight > 1 {
            event.set(Attribute::Count, i32::try_from(self.count).unwrap_or(i32::MAX));
            event.set(Attribute::StartTime, self.start);
            event.set(Attribute::EndTime, self.end);
        }
        if self.weight > 1 || rule.keep > 0 {
            let said = if rule.keep > 0 { "picket.throttled" } else { "picket.merged" };
            event.unmap(said, rule.name.clone());
        }
        emit(&event)
    }
}
