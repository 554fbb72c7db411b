//! What was there the last time: of each row its key and a hash, so that the next time tells the difference.
//!
//! Bound: [`ROWS_MAX`] rows of a table are remembered; what is beyond is told in full inventories only, and counted.

use std::collections::HashMap;

use super::row::Row;

/// Rows of a table that are remembered; each takes its key and about 40 bytes.
pub const ROWS_MAX: usize = 32_768;

/// What a row is to the one before.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference {
    /// It was not there.
    Added(Row),
    /// It was like something else; its level then.
    Changed(Row, u16),
    /// It is gone; only its key is left.
    Removed(Row),
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    content: u64,
    level: u16,
    round: u16,
}

/// Rows of one table.
#[derive(Clone, Debug, Default)]
pub struct Known {
    rows: HashMap<Box<str>, Seen>,
    round: u16,
    beyond: u64,
}

impl Known {
    /// A round begins: rows that it does not see are gone at its end.
    pub fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// Takes a row of this round; the difference it makes, if it is one.
    pub fn see(&mut self, row: Row) -> Option<Difference> {
        let (key, content, level) = (row.known_by(), row.content(), row.level);
        let now = Seen { content, level, round: self.round };
        if let Some(seen) = self.rows.get_mut(&key) {
            let before = std::mem::replace(seen, now);
            return (before.content != content).then_some(Difference::Changed(row, before.level));
        }
        if self.rows.len() >= ROWS_MAX {
            self.beyond += 1;
            return None;
        }
        self.rows.insert(key, now);
        Some(Difference::Added(row))
    }

    /// The round is over. What it did not see is gone, if it was `complete`; otherwise nobody knows, and it stays.
    pub fn end(&mut self, complete: bool, each: &mut dyn FnMut(Difference)) {
        let round = self.round;
        if !complete {
            self.rows.values_mut().for_each(|seen| seen.round = round);
            return;
        }
        self.rows.retain(|key, seen| {
            let is = seen.round == round;
            if !is {
                each(Difference::Removed(Row::of_key(key)));
            }
            is
        });
        if self.rows.capacity() > self.rows.len().saturating_mul(4).max(1024) {
            self.rows.shrink_to_fit();
        }
    }

    /// Forgets a row, for those that are told otherwise.
    pub fn forget(&mut self, key: &str) {
        self.rows.remove(key);
    }

    /// Rows that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows that had no room, in all rounds.
    #[must_use]
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, version: &str) -> Row {
        let mut row = Row::default().key(".name", name);
        row.text(".version", version);
        row
    }

    fn round(known: &mut Known, rows: &[Row], complete: bool) -> Vec<String> {
        known.begin();
        let mut told: Vec<Difference> = rows.iter().filter_map(|row| known.see(row.clone())).collect();
        known.end(complete, &mut |difference| told.push(difference));
        let word = |difference: &Difference| match difference {
            Difference::Added(row) => format!("+{}", row.word(".name")),
            Difference::Changed(row, _) => format!("~{}", row.word(".name")),
            Difference::Removed(row) => format!("-{}", row.word(".name")),
        };
        told.iter().map(word).collect()
    }

    #[test]
    fn rounds_tell_what_came_changed_and_went_and_nothing_else() {
        let mut known = Known::default();
        assert_eq!(round(&mut known, &[row("a", "1"), row("b", "1")], true), ["+a", "+b"]);
        assert_eq!(round(&mut known, &[row("a", "1"), row("b", "1")], true), [""; 0]);
        assert_eq!(round(&mut known, &[row("a", "2"), row("c", "1")], true), ["~a", "+c", "-b"]);
    }

    #[test]
    fn what_an_incomplete_round_does_not_see_is_not_gone() {
        let mut known = Known::default();
        round(&mut known, &[row("a", "1"), row("b", "1")], true);
        assert_eq!(round(&mut known, &[row("a", "1")], false), [""; 0]);
        assert_eq!(round(&mut known, &[row("a", "1")], true), ["-b"]);
    }

    #[test]
    fn rows_are_bounded_and_those_beyond_are_counted() {
        let mut known = Known::default();
        known.begin();
        for number in 0..ROWS_MAX + 5 {
            known.see(Row::default().key_number(".pid", number as u64));
        }
        assert_eq!((known.len(), known.beyond()), (ROWS_MAX, 5));
    }
}
