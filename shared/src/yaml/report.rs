//! What reading a file yields: a configuration with the origin of every value, or all problems.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::sync::Arc;

use super::problem::{PROBLEMS_MAX, Problem, Problems};
use super::read::Fields;
use super::tree::{Node, Place};

/// The mark that a problem stands in the report; a value was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reported(());

/// A value, or the mark that it could not be read and why is reported.
pub type Read<T> = Result<T, Reported>;

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It stands in a file.
    File(Arc<str>, Place),
    /// Nobody set it.
    Default,
    /// It was taken from the system (the host's name).
    System,
    /// The aggregator handed it out.
    Aggregator,
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, place) => write!(f, "{file}:{place}"),
            Self::Default => f.write_str("default"),
            Self::System => f.write_str("system"),
            Self::Aggregator => f.write_str("aggregator"),
        }
    }
}

/// One effective value, for `config show`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The path of its key: `journal.max_bytes`, `routes[0].to`.
    pub path: String,
    /// The value as it is written in a file.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// What a file gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded<T> {
    /// The configuration, defaults filled in.
    pub config: T,
    /// Every effective value and its origin, in reading order.
    pub settings: Vec<Setting>,
    /// What is right and yet worth a person's attention, in order of place.
    pub warnings: Vec<Problem>,
}

/// Collects problems, warnings and settings while one file is read.
#[derive(Debug)]
pub struct Report {
    file: Arc<str>,
    root: String,
    found: RefCell<Found>,
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    beyond: usize,
    warnings: Vec<Problem>,
    settings: Vec<Setting>,
}

impl Report {
    /// A report on `file`, as the user named it.
    #[must_use]
    pub fn new(file: &Arc<str>) -> Self {
        Self { file: Arc::clone(file), root: String::new(), found: RefCell::default() }
    }

    /// A report on a part of `file` whose key path is `root`.
    #[must_use]
    pub fn below(file: &Arc<str>, root: &str) -> Self {
        Self { root: root.to_owned(), ..Self::new(file) }
    }

    /// Reads a whole tree; an empty file is an empty map.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn read<T>(self, root: &Node, read: impl FnOnce(&mut Fields<'_>) -> Read<T>) -> Result<Loaded<T>, Problems> {
        let result = self.map(Some(root), root.place, self.root.clone(), read);
        let Found { problems, beyond, mut warnings, settings } = self.found.into_inner();
        warnings.sort_by_key(|warning| warning.place);
        match result {
            Ok(config) if problems.is_empty() => Ok(Loaded { config, settings, warnings }),
            _ => Err(Problems::sorted(problems, beyond).unwrap_or_else(|| {
                let message = "the file cannot be read".to_owned();
                Problem { file: self.file, place: root.place, message }.into()
            })),
        }
    }

    /// Adds a problem.
    pub(super) fn problem(&self, place: Place, message: String) -> Reported {
        let mut found = self.found.borrow_mut();
        if found.problems.len() < PROBLEMS_MAX {
            found.problems.push(Problem { file: Arc::clone(&self.file), place, message });
        } else {
            found.beyond += 1;
        }
        Reported(())
    }

    /// Adds a warning; as many as problems are kept.
    pub(super) fn warn(&self, place: Place, message: String) {
        let mut found = self.found.borrow_mut();
        if found.warnings.len() < PROBLEMS_MAX {
            found.warnings.push(Problem { file: Arc::clone(&self.file), place, message });
        }
    }

    /// Adds an effective value.
    pub(super) fn setting(&self, path: String, value: String, origin: Origin) {
        self.found.borrow_mut().settings.push(Setting { path, value, origin });
    }

    /// A place in this file.
    pub(super) fn origin(&self, place: Place) -> Origin {
        Origin::File(Arc::clone(&self.file), place)
    }
}
