//! The matcher: which predicates take an event. One language (Sigma 2.1.0 detection items), one engine, wherever a
//! predicate is needed.
//!
//! `YAML ▶ Rule / Predicate ▶ Matcher ▶ numbers of the predicates that take the event`
//!
//! All predicates of a deployment are compiled together: an index by log source says which are about an event at all; the
//! values that they ask for are read once, folded once, and searched once for texts that they cannot do without
//! (`witness`); only those whose text is there are looked at. Adding rules costs what they hit.
//!
//! Invariants: a predicate is in the answer exactly if a slow reading of the specification says so; the answer is in
//! order of the predicates' numbers and names each once; matching allocates nothing once buffers have grown (regular
//! expressions keep caches of their own); whatever the event holds, nothing panics.
//!
//! Limits: conditions 16 KiB and 64 deep, selections 8 deep, regular expressions 4 MiB compiled, 10,000 values of
//! placeholders for one value. What exceeds them is refused with its place.

mod calendar;
pub mod command;
mod compile;
mod condition;
mod criterion;
mod encode;
mod fold;
mod modifier;
mod network;
mod pattern;
mod predicate;
mod rule;
mod scan;
mod sources;
mod taxonomy;
mod texts;
mod view;
mod witness;

pub use compile::Matcher;
pub use modifier::Placeholders;
pub use predicate::{Predicate, Wrong};
pub use rule::{Level, Rule, rules};
pub use scan::Scratch;
pub use sources::LogSource;
pub use view::{Json, View};
