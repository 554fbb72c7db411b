//! [`Table`]: lines and expected values counted by format, and printed.

use std::collections::BTreeMap;
use std::fmt;

use aggregator::normalize::Understood;

use super::case::{Case, What};
use super::judge::Seen;

/// Of how many, how many are right.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Share {
    pub right: usize,
    pub of: usize,
}

impl Share {
    pub fn count(&mut self, right: bool) {
        self.right += usize::from(right);
        self.of += 1;
    }

    /// In percent; of nothing, all.
    pub fn percent(self) -> f64 {
        if self.of == 0 { 100.0 } else { 100.0 * self.right as f64 / self.of as f64 }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.of == 0 { String::new() } else { format!("{:.1} % of {}", self.percent(), self.of) };
        f.pad(&text)
    }
}

/// A row.
#[derive(Clone, Default, Debug)]
pub struct Row {
    /// With a class of their own, of all lines.
    pub class: Share,
    /// With a class of their own and enough attributes.
    pub filled: Share,
    /// Of which anything was read.
    pub read: Share,
    /// Expected values.
    pub values: BTreeMap<What, Share>,
    /// Classes by how often.
    pub classes: BTreeMap<&'static str, usize>,
    /// Attributes of lines with a class, by how often.
    pub attributes: BTreeMap<&'static str, usize>,
}

impl Row {
    fn count(&mut self, case: &Case, seen: &Seen) {
        self.class.count(seen.understood == Understood::Class);
        self.filled.count(seen.filled());
        self.read.count(seen.understood != Understood::Nothing);
        *self.classes.entry(seen.class).or_default() += 1;
        for path in &seen.attributes {
            *self.attributes.entry(path).or_default() += 1;
        }
        for expected in &case.expected {
            self.values.entry(expected.what).or_default().count(seen.wrong(case, expected).is_none());
        }
    }

    /// Expected values of a kind.
    pub fn value(&self, what: What) -> Share {
        self.values.get(&what).copied().unwrap_or_default()
    }

    /// Every expected value of the kinds that a promise is made for: all but details.
    pub fn promised(&self) -> Share {
        let shares = self.values.iter().filter(|(what, _)| **what != What::Detail).map(|(_, share)| share);
        shares.fold(Share::default(), |all, share| Share { right: all.right + share.right, of: all.of + share.of })
    }
}

/// Rows by name.
#[derive(Default, Debug)]
pub struct Table(pub BTreeMap<String, Row>);

impl Table {
    /// Counts a case in a row.
    pub fn count(&mut self, row: &str, case: &Case, seen: &Seen) {
        if !self.0.contains_key(row) {
            self.0.insert(row.to_owned(), Row::default());
        }
        if let Some(row) = self.0.get_mut(row) {
            row.count(case, seen);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<44} {:>6} {:>6} {:>6} {:>6}", "", "lines", "read", "class", "≥ 5")?;
        for what in What::ALL {
            write!(f, " {:>16}", format!("{what:?}").to_lowercase())?;
        }
        writeln!(f)?;
        for (name, row) in &self.0 {
            let (read, class, filled) = (row.read.percent(), row.class.percent(), row.filled.percent());
            write!(f, "{name:<44} {:>6} {read:>6.1} {class:>6.1} {filled:>6.1}", row.class.of)?;
            for what in What::ALL {
                write!(f, " {:>16}", row.value(what))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
