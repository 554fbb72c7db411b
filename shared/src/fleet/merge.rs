//! Layers → one tree: maps merge by key, lists and values replace, `null` deletes, another `type` replaces a
//! source whole. Every node keeps the place at which it stood, so that origins survive.
//!
//! All layers of a map are taken at once, key by key: a host of hundreds of groups has as many, and each may add a
//! source to hundreds.

use std::collections::HashMap;

use crate::yaml::{Entry, Kind, Node, Place};

/// Merges layers in order, later ones over earlier ones. Each is a map with the sections of a fleet layer.
pub(super) fn layers<'n>(layers: impl Iterator<Item = &'n Node>) -> Node {
    merge(layers, Level::Layer)
}

/// Keys of one map that are looked for one by one: a table for few costs more than it saves.
const SCANNED_MAX: usize = 64;

/// How far below a layer's root a merge stands, as far as sources are concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Layer,
    Sources,
    Source,
    Below,
}

impl Level {
    fn below(self, key: &str) -> Self {
        match self {
            Self::Layer if key == "sources" => Self::Sources,
            Self::Sources => Self::Source,
            _ => Self::Below,
        }
    }
}

/// What the layers so far say under one key of a map: nothing, once one of them deleted it.
struct Slot<'n> {
    key: &'n str,
    place: Place,
    values: Vec<&'n Node>,
}

/// The keys of a map, in the order in which they came.
#[derive(Default)]
struct Slots<'n> {
    slots: Vec<Slot<'n>>,
    /// Where each stands, once they are many.
    at: HashMap<&'n str, usize>,
}

impl<'n> Slots<'n> {
    fn find(&self, key: &str) -> Option<usize> {
        if self.slots.len() > SCANNED_MAX {
            return self.at.get(key).copied();
        }
        self.slots.iter().rposition(|slot| slot.key == key)
    }

    fn take(&mut self, change: &'n Entry) {
        let found = self.find(&change.key).and_then(|at| self.slots.get_mut(at));
        let found = found.filter(|slot| !slot.values.is_empty());
        match (found, change.value.kind == Kind::Null) {
            (Some(slot), true) => slot.values.clear(),
            (Some(slot), false) => {
                slot.values.push(&change.value);
                slot.place = change.place;
            }
            (None, true) => {}
            (None, false) => {
                let slot = Slot { key: &change.key, place: change.place, values: vec![&change.value] };
                self.push(slot);
            }
        }
    }

    fn push(&mut self, slot: Slot<'n>) {
        self.slots.push(slot);
        let known = if self.slots.len() == SCANNED_MAX + 1 { 0 } else { self.slots.len() - 1 };
        if self.slots.len() > SCANNED_MAX {
            self.at.extend(self.slots.iter().enumerate().skip(known).map(|(at, slot)| (slot.key, at)));
        }
    }

    /// Whether a layer gives a source another type than it had.
    fn changes_type(&self, over: &Node) -> bool {
        let slot = self.find("type").and_then(|at| self.slots.get(at));
        let old = slot.and_then(|slot| slot.values.last()).and_then(|value| value.scalar());
        let new = over.at("type").and_then(Node::scalar);
        old.is_some() && new.is_some() && old != new
    }
}

/// Recursion ends at the depth that the parser allows.
fn merge<'n>(layers: impl Iterator<Item = &'n Node>, level: Level) -> Node {
    let (mut slots, mut last) = (Slots::default(), None);
    for layer in layers {
        last = Some(layer);
        let Kind::Map(changes) = &layer.kind else {
            slots = Slots::default();
            continue;
        };
        if level == Level::Source && slots.changes_type(layer) {
            slots = Slots::default();
        }
        changes.iter().for_each(|change| slots.take(change));
    }
    let Some(last) = last else { return Node::empty_map(Place::START) };
    if !matches!(last.kind, Kind::Map(_)) {
        return last.clone();
    }
    let said = slots.slots.into_iter().filter(|slot| !slot.values.is_empty());
    let entries = said.map(|Slot { key, place, values }| {
        let value = match values.as_slice() {
            [only] => alone(only),
            _ => merge(values.into_iter(), level.below(key)),
        };
        Entry { key: key.to_owned(), place, value }
    });
    Node { place: last.place, kind: Kind::Map(entries.collect()) }
}

/// What a layer says that stands alone: what it deletes was not there.
fn alone(node: &Node) -> Node {
    let Kind::Map(entries) = &node.kind else { return node.clone() };
    let said = entries.iter().filter(|entry| entry.value.kind != Kind::Null);
    let said = said.map(|Entry { key, place, value }| Entry { key: key.clone(), place: *place, value: alone(value) });
    Node { place: node.place, kind: Kind::Map(said.collect()) }
}
