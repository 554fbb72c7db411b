//! The part of OCSF 1.8.0 that Picket emits: classes, and attributes as numbered paths.
//!
//! `attributes!` is the one table: a line here is a column in the lake, a path in JSON and a name in
//! rules. Adding an attribute is one line: its name, path, kind, and the classes that carry it.

mod attributes;
mod classes;

pub use attributes::{Attribute, Kind};
pub use classes::{CLASS_ATTRIBUTES_MAX, Class};

/// The version of OCSF that every event declares in `metadata.version`.
pub const VERSION: &str = "1.8.0";
