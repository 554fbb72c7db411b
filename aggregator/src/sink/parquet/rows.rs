//! [`Rows`]: the events of one row group, as columns.
//!
//! Events come in, one at a time; a row group goes out, sorted by time. Fields that the events of a frame
//! have in common are compared with those of the event before and reach their columns once a run.
//!
//! Nothing that an event says is lost here: an attribute that its class has no column for, a value of
//! another kind than its attribute's, a number that does not fit and a list element whose predecessor is
//! missing go to `unmapped` under their paths. Of an attribute said twice (which an event must not do) the
//! second goes there too, and an own field has precedence over a shared one.

use std::borrow::Cow;
use std::sync::Arc;

use ahash::RandomState;

use super::columns::{Column, Datum, List, Values};
use super::narrow::Narrow;
use super::schema::{Layout, Slot};
use super::texts::Texts;
use super::uids::Uids;
use crate::event::observables::{self, Observable};
use crate::event::unmapped::Skeletons;
use crate::event::{Event, Field, Value};
use crate::schema::{Attribute, Kind};

/// What a row holds besides text: its id, its numbers, a share of the bitmaps.
const ROW_BYTES: usize = 64;
/// What a value costs besides its text.
const VALUE_BYTES: usize = 8;

/// Key in `unmapped` of an event that lies under the day on which it was received, because its own time
/// cannot be right.
const TIME_OUT_OF_RANGE: &str = "picket.time_out_of_range";

/// The events of one row group.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) layout: Arc<Layout>,
    /// One for each leaf; those of [`Source`](super::schema::Source)s of the event itself stay empty.
    pub(super) columns: Vec<Column>,
    pub(super) lists: Vec<List>,
    /// Milliseconds.
    pub(super) times: Vec<i64>,
    pub(super) activities: Vec<u8>,
    pub(super) severities: Vec<u8>,
    pub(super) uids: Uids,
    shared: Vec<Field<'static>>,
    /// [`Event::run`] of the last event.
    run: u64,
    /// Which of `shared` every event says for itself: elements of lists, what has no column.
    per_event: Vec<usize>,
    /// The first row with these shared fields.
    run_start: usize,
    bytes: usize,
    skeletons: Skeletons,
    json: String,
}

impl Rows {
    pub(super) fn new(layout: Arc<Layout>, hasher: &RandomState) -> Self {
        let values = |leaf: &super::schema::Leaf| match leaf.kind {
            Kind::Text => Values::Text(Texts::new(leaf.unique, hasher)),
            Kind::Integer | Kind::Long | Kind::Bool => Values::Int(Narrow::new()),
            Kind::Float => Values::Float(Vec::new()),
        };
        Self {
            columns: layout.leaves.iter().map(|leaf| Column::new(values(leaf))).collect(),
            lists: vec![List::default(); layout.lists.len()],
            times: Vec::new(),
            activities: Vec::new(),
            severities: Vec::new(),
            uids: Uids::default(),
            shared: Vec::new(),
            run: 0,
            per_event: Vec::new(),
            run_start: 0,
            bytes: 0,
            skeletons: Skeletons::default(),
            json: String::new(),
            layout,
        }
    }

    /// How many events.
    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    /// Bytes of the events as they came, text and all: what bounds a row group.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory held, used or not. Walks all columns.
    pub(super) fn heap(&self) -> usize {
        self.columns.iter().map(Column::heap).sum::<usize>()
            + self.columns.capacity() * size_of::<Column>()
            + self.lists.iter().map(List::heap).sum::<usize>()
            + self.times.capacity() * size_of::<i64>()
            + self.activities.capacity()
            + self.severities.capacity()
            + self.uids.heap()
            + self.json.capacity()
    }

    /// Takes an event. `out_of_range`: its own time cannot be right, and its `unmapped` shall say so.
    pub(super) fn push(&mut self, event: &Event<'_>, out_of_range: bool) {
        if event.run == 0 || event.run != self.run {
            if !same(&self.shared, event.shared) {
                self.share(event.shared);
            }
            self.run = event.run;
        }
        let row = self.len();
        self.times.push(event.time.as_ms());
        self.activities.push(event.activity_id);
        self.severities.push(event.severity_id);
        self.uids.push(event.id);

        let mut strays: Vec<&Field<'_>> = Vec::new();
        let Self { layout, columns, lists, per_event, .. } = self;
        let mut cells = Cells { slots: layout.slots(), columns, lists, row, text_bytes: 0 };
        let shared = per_event.iter().filter_map(|index| event.shared.get(*index));
        for field in shared {
            if !cells.put(field) {
                strays.push(field);
            }
        }
        for field in &event.fields {
            if !cells.put(field) {
                strays.push(field);
            }
        }
        let mut told = 0;
        observables::of(event).for_each(|observable| {
            cells.observe(told, &observable);
            told += 1;
        });
        self.bytes +=
            cells.text_bytes + ROW_BYTES + VALUE_BYTES * (event.fields.len() + self.shared.len() + usize::from(told));
        if out_of_range || !strays.is_empty() || !event.unmapped.is_empty() {
            self.put_unmapped(row, event, &strays, out_of_range);
        }
    }

    fn put_unmapped(&mut self, row: usize, event: &Event<'_>, strays: &[&Field<'_>], out_of_range: bool) {
        let stray_keys: Vec<Cow<'_, str>> = strays.iter().map(|field| field.key()).collect();
        let own = event.unmapped.iter().map(|(key, _)| key.as_ref());
        let more = out_of_range.then_some(TIME_OUT_OF_RANGE);
        let keys = own.chain(stray_keys.iter().map(AsRef::as_ref)).chain(more);
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        self.skeletons.write(
            keys,
            |number| match (event.unmapped.get(number), strays.get(number.wrapping_sub(event.unmapped.len()))) {
                (Some((_, value)), _) => value,
                (None, Some(field)) => &field.value,
                (None, None) => &Value::Bool(true),
            },
            &mut json,
        );
        self.put_json(row, &json);
        self.json = json;
    }

    fn put_json(&mut self, row: usize, json: &str) {
        self.bytes += json.len();
        if let Some(column) = self.columns.get_mut(self.layout.unmapped) {
            column.push_text(row, json);
        }
    }

    /// Begins a run of events with other shared fields.
    fn share(&mut self, shared: &[Field<'_>]) {
        self.end_run();
        self.per_event.clear();
        self.shared.clear();
        for (index, field) in shared.iter().enumerate() {
            let slot = self.layout.slot(field.attribute);
            if !slot.is_some_and(|slot| runs(field, slot)) {
                self.per_event.push(index);
            }
            self.shared.push(Field { attribute: field.attribute, index: field.index, value: owned(&field.value) });
        }
    }

    /// Hands the shared fields of the rows so far to their columns.
    pub(super) fn end_run(&mut self) {
        let count = self.len() - self.run_start;
        for field in &self.shared {
            let slot = self.layout.slot(field.attribute).filter(|slot| runs(field, *slot));
            let column = slot.and_then(|slot| Some((slot, self.columns.get_mut(slot.leaf())?)));
            if let Some((slot, column)) = column
                && let Some(datum) = fit(&field.value, slot.kind)
            {
                column.push_run(self.run_start, count, datum);
            }
        }
        self.run_start = self.len();
    }

    /// Forgets the events; keeps the memory, and what was learned about the columns.
    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        self.lists.iter_mut().for_each(List::clear);
        self.times.clear();
        self.activities.clear();
        self.severities.clear();
        self.uids.clear();
        self.run_start = 0;
        self.bytes = 0;
    }
}

/// The columns while one row is filled. This and what it calls is most of what an event costs before it is written:
/// what is rare stands behind calls.
struct Cells<'r> {
    slots: &'r [Option<Slot>],
    columns: &'r mut [Column],
    lists: &'r mut [List],
    row: usize,
    text_bytes: usize,
}

impl Cells<'_> {
    /// Puts a field into its column; `false` where it has none.
    #[inline(always)]
    fn put(&mut self, field: &Field<'_>) -> bool {
        let Some(slot) = self.slots.get(field.attribute as usize).copied().flatten() else { return false };
        match (&field.value, slot.kind) {
            (Value::Text(text), Kind::Text) => {
                let Some((column, at)) = self.place(slot, field.index) else { return false };
                let taken = column.push_text(at, text);
                self.text_bytes += text.len();
                taken
            }
            (Value::Int(number), Kind::Long) => self.put_number(slot, field.index, *number),
            (Value::Int(number), Kind::Integer) => {
                i32::try_from(*number).is_ok() && self.put_number(slot, field.index, *number)
            }
            (Value::Bool(truth), Kind::Bool) => self.put_number(slot, field.index, i64::from(*truth)),
            (value, kind) => self.put_other(slot, field.index, fit(value, kind)),
        }
    }

    /// Puts an observable into its three columns, which are those of one element. It repeats another field: nothing is lost
    /// where the class has none.
    #[inline(always)]
    fn observe(&mut self, index: u16, observable: &Observable<'_>) {
        let slot = |part: Attribute| self.slots.get(part as usize).copied().flatten();
        let [Some(name), Some(type_id), Some(value)] = observables::PARTS.map(slot) else { return };
        let list = name.list().and_then(|list| self.lists.get_mut(list));
        let Some(at) = list.and_then(|list| list.element(self.row, index)) else { return };
        let mut text = |slot: Slot, text: &str| {
            if let Some(column) = self.columns.get_mut(slot.leaf()) {
                column.push_text(at, text);
            }
            self.text_bytes += text.len();
        };
        text(name, observable.name);
        text(value, observable.value);
        if let Some(column) = self.columns.get_mut(type_id.leaf()) {
            column.push_number(at, i64::from(observable.type_id));
        }
    }

    #[inline(always)]
    fn put_number(&mut self, slot: Slot, index: u16, number: i64) -> bool {
        self.place(slot, index).is_some_and(|(column, at)| column.push_number(at, number))
    }

    #[cold]
    fn put_other(&mut self, slot: Slot, index: u16, datum: Option<Datum<'_>>) -> bool {
        datum.is_some_and(|datum| self.place(slot, index).is_some_and(|(column, at)| column.push(at, datum)))
    }

    /// The column, and the member of its space that the field belongs to.
    #[inline(always)]
    fn place(&mut self, slot: Slot, index: u16) -> Option<(&mut Column, usize)> {
        let at = match slot.list() {
            None => (index == 0).then_some(self.row)?,
            Some(list) => self.lists.get_mut(list)?.element(self.row, index)?,
        };
        Some((self.columns.get_mut(slot.leaf())?, at))
    }
}

/// Whether two events share the same fields.
fn same(before: &[Field<'_>], now: &[Field<'_>]) -> bool {
    let equal = |(a, b): (&Field<'_>, &Field<'_>)| {
        a.attribute == b.attribute
            && a.index == b.index
            && match (&a.value, &b.value) {
                (Value::Text(a), Value::Text(b)) => a.as_bytes() == b.as_bytes(),
                (a, b) => a == b,
            }
    };
    before.len() == now.len() && before.iter().zip(now).all(equal)
}

/// Whether a shared field reaches its column once a run.
fn runs(field: &Field<'_>, slot: Slot) -> bool {
    slot.list().is_none() && field.index == 0 && fit(&field.value, slot.kind).is_some()
}

/// A value as its column takes it; `None` where it is of another kind or does not fit.
fn fit<'v>(value: &'v Value<'_>, kind: Kind) -> Option<Datum<'v>> {
    match (value, kind) {
        (Value::Text(text), Kind::Text) => Some(Datum::Text(text)),
        (Value::Int(number), Kind::Integer) => i32::try_from(*number).ok().map(|n| Datum::Int(n.into())),
        (Value::Int(number), Kind::Long) => Some(Datum::Int(*number)),
        (Value::Int(number), Kind::Float) => i32::try_from(*number).ok().map(|n| Datum::Float(n.into())),
        (Value::Bool(truth), Kind::Bool) => Some(Datum::Int((*truth).into())),
        (Value::Float(number), Kind::Float) => Some(Datum::Float(*number)),
        _ => None,
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
        Value::Int(number) => Value::Int(*number),
        Value::Bool(truth) => Value::Bool(*truth),
        Value::Float(number) => Value::Float(*number),
    }
}
