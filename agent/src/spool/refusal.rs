//! Records that a lane gives up: they get no number, and a count.

use std::collections::BTreeMap;
use std::io;

use super::checkpoints::Row;
use super::lane::SpoolLane;
use crate::fingerprint::FileId;

/// Records that found no room, and the checkpoints behind them, which become durable with their count: as one, or a crash
/// between them would have the sources read again what was counted as lost.
#[derive(Default)]
pub(super) struct Refusing {
    pub(super) count: u64,
    pub(super) rows: BTreeMap<FileId, Row>,
}

impl Refusing {
    /// Its checkpoints but for those of which `rows` has a later one.
    pub(super) fn rows_beside(&self, rows: &[Row]) -> impl Iterator<Item = Row> {
        let later = |row: &&Row| !rows.iter().any(|later| later.checkpoint.file() == row.checkpoint.file());
        self.rows.values().filter(later).copied()
    }
}

impl SpoolLane {
    /// Counts records of the agent's own that get no number.
    pub fn refuse(&mut self, count: u64) {
        self.state.refuse(count);
        self.unmarked = true;
        self.settle();
    }

    /// Gives up records that get no number, and the checkpoints behind them. They count as held until
    /// [`SpoolLane::append_refused`], or whatever is appended first, has room for the count.
    pub fn refuse_behind(&mut self, count: u64, rows: Vec<Row>) {
        self.refusing.count += count;
        self.refusing.rows.extend(rows.into_iter().map(|row| (row.checkpoint.file(), row)));
    }

    /// Records that were given up and are not counted yet.
    #[must_use]
    pub fn refusing(&self) -> u64 {
        self.refusing.count
    }

    /// Appends the count of what was given up, with its checkpoints.
    ///
    /// # Errors
    /// No room could be made; they stay given up, and held.
    pub fn append_refused(&mut self) -> io::Result<()> {
        if self.refusing.count == 0 { Ok(()) } else { self.append_all(None, &[], 0) }
    }
}
