//! Parsers that users write, in YAML: patterns with named captures, and where in OCSF each capture goes.
//!
//! In: files, or entries of `parsers` in aggregator.yaml. Out: [`Parsers`], each a line format by its name, compiled once; or
//! every problem with its file, line and column. A parser may carry lines with what it must make of them; [`Parsers::trials`]
//! tries these, and `picket-aggregator validate` shows what they come to.
//!
//! Invariants: reading a line takes time linear in it; whatever the captures hold the event is valid OCSF 1.8.0.
//! Bounds: [`PARSERS_MAX`], [`PATTERNS_MAX`] a parser, and those of `grok`.

mod activities;
mod clock;
mod core;
mod fill;
mod grok;
mod read;
mod target;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::yaml::Problem;

use self::fill::{Fixed, Type};
use self::grok::Pattern;
use self::target::Target;
use self::trial::Trial;
use super::{Format, UnknownFormat};
use crate::schema::Class;
pub use read::{PARSERS_MAX, PATTERNS_MAX, file, parser};

/// A parser that a user wrote.
#[derive(Debug)]
pub struct Parser {
    name: String,
    /// The file that it stands in, for problems.
    file: Arc<str>,
    patterns: Vec<Pattern>,
    class: Class,
    activity: u8,
    fixed: Vec<(Target, Fixed)>,
    fields: Vec<Field>,
    trials: Vec<Trial>,
}

impl Parser {
    /// Its name, as a line format.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that it stands in.
    #[must_use]
    pub fn file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }
}

/// The same entry of the same file.
impl PartialEq for Parser {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.file) == (&other.name, &other.file)
    }
}

impl Eq for Parser {}

/// Where a capture goes.
#[derive(Debug)]
struct Field {
    capture: String,
    target: Target,
    kind: Type,
    /// Words of the line and what each stands for; where there are some, no other word is taken.
    words: Vec<(String, Fixed)>,
}

/// The parsers that users wrote, by name.
#[derive(Clone, Default, Debug)]
pub struct Parsers(BTreeMap<String, Arc<Parser>>);

impl Parsers {
    /// Takes parsers up; those whose name is taken already are given back.
    pub fn add(&mut self, parsers: impl IntoIterator<Item = Arc<Parser>>) -> Vec<Arc<Parser>> {
        let mut refused = Vec::new();
        for parser in parsers {
            if self.0.contains_key(&parser.name) {
                refused.push(parser);
            } else {
                self.0.insert(parser.name.clone(), parser);
            }
        }
        refused
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The format with this name: one of these, or one that Picket has.
    ///
    /// # Errors
    /// Nothing answers to the name.
    pub fn format(&self, name: &str) -> Result<Format, UnknownFormat> {
        match self.0.get(name) {
            Some(parser) => Ok(Format::custom(Arc::clone(parser))),
            None => name.parse().map_err(|error: UnknownFormat| error.beside(self.names())),
        }
    }

    /// What the parsers' own tests find wrong, and how many lines were tried.
    #[must_use]
    pub fn trials(&self) -> (Vec<Problem>, usize) {
        let problems = self.0.values().flat_map(trial::problems).collect();
        (problems, self.0.values().map(|parser| parser.trials.len()).sum())
    }
}
