//! [`View`]: an event as rules see it: values by name, whatever it is made of.
//!
//! In: the names that rules ask for ([`Names`]). Out: each value once, with the fields that it is a value of. Two kinds of
//! events are looked at: [`Event`](crate::event::Event) as the pipeline has it, and [`Json`], an object as it is read from
//! a file. Neither is copied or written out first.

mod event;
mod json;

use std::collections::HashMap;

use super::scan::Collector;
use super::sources::LogSource;
use super::taxonomy::{self, HEADS, Reading};
use crate::schema::Attribute;

pub use json::Json;

/// An event.
pub trait View {
    /// Calls `take` with every log source that the event is of (category, product, service; empty: none). False: nothing
    /// is known of it, and it is held against every rule.
    fn sources(&self, take: impl FnMut([&str; 3])) -> bool;

    /// Puts every value that one of the names asks for, and those in which keywords are looked for.
    fn values(&self, names: &Names, out: &mut Collector<'_>);
}

/// A field that a place in an event is of.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The field's number.
    pub slot: u32,
    /// How the value is read.
    pub reading: Option<Reading>,
    /// The place is below the one that is named: what is named is there, and is no value.
    pub below: bool,
}

/// Fields by where they stand in an event.
#[derive(Debug, Default)]
pub struct Names {
    /// In objects that are not OCSF: by name or dotted path.
    pub(super) flat: Targets,
    /// In OCSF objects: by path.
    pub(super) paths: Targets,
    /// In events of the pipeline: by attribute number,
    attributes: Vec<Attributed>,
    /// by the number of a head,
    heads: [Vec<Target>; HEADS.len()],
    /// by key of `unmapped`.
    unmapped: Targets,
}

type Targets = HashMap<String, Vec<Target>, ahash::RandomState>;

#[derive(Debug, Default)]
struct Attributed {
    targets: Vec<Target>,
    /// Keywords are looked for in it.
    searched: bool,
}

impl Names {
    /// No names yet.
    pub(super) fn new() -> Self {
        let attribute =
            |attribute: &Attribute| Attributed { targets: Vec::new(), searched: searched(attribute.path()) };
        Self { attributes: Attribute::ALL.iter().map(attribute).collect(), ..Self::default() }
    }

    /// Adds a field of rules for a log source under its number.
    pub(super) fn add(&mut self, name: &str, source: &LogSource, slot: u32) {
        let target = Target { slot, reading: None, below: false };
        self.flat.entry(name.to_owned()).or_default().push(target);
        // Windows writes `Threat Name`, and some of its exports `ThreatName`.
        let close: String = name.split(' ').collect();
        if close != name {
            self.flat.entry(close).or_default().push(target);
        }
        taxonomy::places(name, source, |path, reading| self.place(path, Target { reading, ..target }));
    }

    fn place(&mut self, path: &str, target: Target) {
        self.paths.entry(path.to_owned()).or_default().push(target);
        if let Some(key) = path.strip_prefix("unmapped.") {
            self.unmapped.entry(key.to_owned()).or_default().push(target);
        }
        for (head, targets) in HEADS.iter().zip(&mut self.heads) {
            if *head == path {
                targets.push(target);
            }
        }
        for (attribute, attributed) in Attribute::ALL.iter().zip(&mut self.attributes) {
            let plain = attribute.path().replace("[]", "");
            let below = match plain.strip_prefix(path) {
                Some("") => false,
                Some(rest) if rest.starts_with('.') => true,
                _ => continue,
            };
            attributed.targets.push(Target { below, ..target });
        }
    }
}

/// Whether keywords are looked for in this attribute: not in what Picket itself says of the event, nor in what repeats other
/// attributes.
fn searched(path: &str) -> bool {
    let top = path.split(['.', '[']).next().unwrap_or_default();
    !matches!(top, "metadata" | "observables" | "device" | "raw_data_hash" | "activity_name")
}
