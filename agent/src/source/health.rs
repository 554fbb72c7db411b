//! How a source is doing, for `status` and metrics: written by its thread, read by anyone, never waited for.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

/// Shadowed paths that are named; the rest is only counted.
const SHADOWED_MAX: usize = 100;

/// What went wrong where a source reads. Each kind has a counter and is said once per path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A folder, FIFO, device or socket where a file was expected.
    NotAFile,
    /// A file or folder that may not be opened.
    Unreadable,
    /// A read failed.
    ReadFailed,
    /// A file was cut or replaced in place.
    Truncated,
    /// More files or folders than the bound.
    TooMany,
    /// A file went with unread bytes.
    LostTail,
}

impl Trouble {
    /// Every kind, in the order of the counters.
    pub const ALL: [Self; 6] =
        [Self::NotAFile, Self::Unreadable, Self::ReadFailed, Self::Truncated, Self::TooMany, Self::LostTail];

    /// The word in metrics and `status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAFile => "not_a_file",
            Self::Unreadable => "unreadable",
            Self::ReadFailed => "read_failed",
            Self::Truncated => "truncated",
            Self::TooMany => "too_many",
            Self::LostTail => "lost_tail",
        }
    }
}

/// Counters and levels of one source. Stores are relaxed: each number is right, not all at the same instant.
#[derive(Debug, Default)]
pub struct Health {
    lines: AtomicU64,
    bytes: AtomicU64,
    last_event: AtomicI64,
    last_turn: AtomicI64,
    lag_bytes: AtomicU64,
    files: AtomicU64,
    files_open: AtomicU64,
    restarts: AtomicU64,
    troubles: [AtomicU64; Trouble::ALL.len()],
    shadowed: Mutex<(Vec<Shadowed>, u64)>,
    last_error: Mutex<Option<String>>,
}

/// A path that another source reads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shadowed {
    /// The path.
    pub path: String,
    /// The source that reads it.
    pub by: String,
}

/// [`Health`] at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthSnapshot {
    /// Lines handed over since start.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the last line was handed over.
    pub last_event: Option<Timestamp>,
    /// When the thread last came round; older than half a minute means that it hangs in a call or waits for room.
    pub last_turn: Option<Timestamp>,
    /// Bytes that were seen and not yet handed over, unfinished lines included.
    pub lag_bytes: u64,
    /// Files that are followed.
    pub files: u64,
    /// Those of them that are open.
    pub files_open: u64,
    /// How often the source was started again after it failed.
    pub restarts: u64,
    /// What went wrong, by kind, since start.
    pub troubles: Vec<(Trouble, u64)>,
    /// Paths that another source reads, the first 100.
    pub shadowed: Vec<Shadowed>,
    /// How many there are.
    pub shadowed_total: u64,
    /// The last error in words.
    pub last_error: Option<String>,
}

impl Health {
    /// Lines were handed over.
    pub fn handed_over(&self, lines: u64, bytes: u64, at: Timestamp) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.last_event.store(at.0, Ordering::Relaxed);
    }

    /// The thread came round.
    pub fn turned(&self, at: Timestamp, lag_bytes: u64, files: u64, files_open: u64) {
        self.last_turn.store(at.0, Ordering::Relaxed);
        self.lag_bytes.store(lag_bytes, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
        self.files_open.store(files_open, Ordering::Relaxed);
    }

    /// Something went wrong.
    pub fn trouble(&self, trouble: Trouble, message: String) {
        self.troubles.iter().zip(Trouble::ALL).filter(|(_, kind)| *kind == trouble).for_each(|(count, _)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        *lock(&self.last_error) = Some(message);
    }

    /// The source failed and is started again.
    pub fn restarted(&self, message: String) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
        *lock(&self.last_error) = Some(message);
    }

    /// All paths that another source reads.
    pub fn shadowed(&self, paths: impl Iterator<Item = Shadowed>) {
        let mut shadowed = (Vec::new(), 0);
        for path in paths {
            shadowed.1 += 1;
            if shadowed.0.len() < SHADOWED_MAX {
                shadowed.0.push(path);
            }
        }
        *lock(&self.shadowed) = shadowed;
    }

    /// All of it now.
    #[must_use]
    pub fn snapshot(&self) -> HealthSnapshot {
        let read = |level: &AtomicU64| level.load(Ordering::Relaxed);
        let moment = |at: &AtomicI64| Some(at.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp);
        let (shadowed, shadowed_total) = lock(&self.shadowed).clone();
        HealthSnapshot {
            lines: read(&self.lines),
            bytes: read(&self.bytes),
            last_event: moment(&self.last_event),
            last_turn: moment(&self.last_turn),
            lag_bytes: read(&self.lag_bytes),
            files: read(&self.files),
            files_open: read(&self.files_open),
            restarts: read(&self.restarts),
            troubles: Trouble::ALL.into_iter().zip(self.troubles.iter().map(read)).collect(),
            shadowed,
            shadowed_total,
            last_error: lock(&self.last_error).clone(),
        }
    }
}

impl HealthSnapshot {
    /// How often this went wrong.
    #[must_use]
    pub fn count(&self, trouble: Trouble) -> u64 {
        self.troubles.iter().find(|(kind, _)| *kind == trouble).map_or(0, |(_, count)| *count)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_tells_what_was_reported() {
        let health = Health::default();
        assert_eq!(health.snapshot().last_event, None);
        health.handed_over(2, 10, Timestamp(5));
        health.turned(Timestamp(6), 7, 8, 9);
        health.trouble(Trouble::Truncated, "why".into());
        health.shadowed((0..150).map(|i| Shadowed { path: i.to_string(), by: "a".into() }));
        let snapshot = health.snapshot();
        assert_eq!((snapshot.lines, snapshot.bytes, snapshot.last_event), (2, 10, Some(Timestamp(5))));
        assert_eq!((snapshot.lag_bytes, snapshot.files, snapshot.files_open), (7, 8, 9));
        assert_eq!((snapshot.count(Trouble::Truncated), snapshot.count(Trouble::NotAFile)), (1, 0));
        assert_eq!((snapshot.shadowed.len(), snapshot.shadowed_total), (100, 150));
        assert_eq!(snapshot.last_error.as_deref(), Some("why"));
    }
}
