//! Layers → one tree: maps merge by key, lists and values replace, `null` deletes, another `type` replaces a
//! source whole. Every node keeps the place at which it stood, so that origins survive.

use std::collections::HashMap;

use crate::yaml::{Entry, Kind, Node, Place};

/// Merges layers in order, later ones over earlier ones. Each is a map with the sections of a fleet layer.
pub(super) fn layers<'n>(layers: impl Iterator<Item = &'n Node>) -> Node {
    let mut merged: Option<Node> = None;
    for layer in layers {
        let place = merged.as_ref().map_or(layer.place, |node| node.place);
        merged = Some(merge(merged.unwrap_or_else(|| Node::empty_map(place)), layer, Level::Layer));
    }
    merged.unwrap_or_else(|| Node::empty_map(Place::START))
}

/// Keys of one map, old and new, that are looked for one by one.
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

/// Recursion ends at the depth that the parser allows.
fn merge(base: Node, over: &Node, level: Level) -> Node {
    let Kind::Map(changes) = &over.kind else { return over.clone() };
    let mut entries = match base.kind {
        Kind::Map(entries) if !(level == Level::Source && changes_type(&entries, over)) => entries,
        _ => Vec::new(),
    };
    // A map for few keys costs more than it saves, and a host of hundreds of groups has as many layers.
    let is_large = entries.len() + changes.len() > SCANNED_MAX;
    let indexed = entries.iter().enumerate().filter(|_| is_large).map(|(i, entry)| (entry.key.clone(), i));
    let mut at: HashMap<String, usize> = indexed.collect();
    let mut deleted = false;
    for change in changes {
        let below = level.below(&change.key);
        let found = match is_large {
            true => at.get(&change.key).and_then(|&i| entries.get_mut(i)),
            false => entries.iter_mut().find(|entry| entry.key == change.key),
        };
        match found {
            Some(entry) => {
                let old = std::mem::replace(&mut entry.value, Node::empty_map(change.place));
                entry.value = merge(old, &change.value, below);
                entry.place = change.place;
                deleted |= entry.value.kind == Kind::Null;
            }
            None if change.value.kind == Kind::Null => {}
            None => {
                if is_large {
                    at.insert(change.key.clone(), entries.len());
                }
                let value = merge(Node::empty_map(change.value.place), &change.value, below);
                entries.push(Entry { key: change.key.clone(), place: change.place, value });
            }
        }
    }
    if deleted {
        entries.retain(|entry| entry.value.kind != Kind::Null);
    }
    Node { place: over.place, kind: Kind::Map(entries) }
}

fn changes_type(base: &[Entry], over: &Node) -> bool {
    let old = base.iter().find(|entry| entry.key == "type").and_then(|entry| entry.value.scalar());
    let new = over.at("type").and_then(Node::scalar);
    old.is_some() && new.is_some() && old != new
}
