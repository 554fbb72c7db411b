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
    /// A capture could not be opened, or ended.
    CaptureFailed,
    /// A baseline was missing or could not be used or written.
    Baseline,
}

impl Trouble {
    /// Every kind, in the order of the counters.
    pub const ALL: [Self; 8] = [
        Self::NotAFile,
        Self::Unreadable,
        Self::ReadFailed,
        Self::Truncated,
        Self::TooMany,
        Self::LostTail,
        Self::CaptureFailed,
        Self::Baseline,
    ];

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
            Self::CaptureFailed => "capture_failed",
            Self::Baseline => "baseline",
        }
    }
}

/// A capability that the program does not have, or a facility that the kernel does not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// Its name, e.g. `CAP_NET_RAW`.
    pub capability: String,
    /// What is not seen without it.
    pub cost: String,
}

/// How a capture of packets is doing. Counts are since the start of the program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CaptureSnapshot {
    /// The interface, or `any`.
    pub interface: String,
    /// Packets are being captured.
    pub open: bool,
    /// Why not; none while it is open.
    pub problem: Option<String>,
    /// What to do about it; empty for nothing.
    pub advice: String,
    /// Packets that were looked at.
    pub packets: u64,
    /// Packets for which the kernel's ring had no room.
    pub kernel_drops: u64,
    /// Packets that the interface or its driver dropped.
    pub interface_drops: u64,
    /// Flows that last now.
    pub flows: u64,
    /// Flows that were forgotten before their end to make room.
    pub evicted_flows: u64,
    /// Those of them that are told nowhere: questions without an answer.
    pub untold_flows: u64,
    /// Conversations that were given up because all of them held too much.
    pub conversations_given_up: u64,
    /// Records that found no room in the spool.
    pub records_lost: u64,
    /// Capabilities that the program does not have, and what that costs.
    pub missing: Vec<Missing>,
}

/// How file integrity is doing. Counts are since the start of the program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IntegritySnapshot {
    /// Paths that the baseline has.
    pub paths: u64,
    /// Folders for which the kernel says that something happened.
    pub folders_watched: u64,
    /// Folders that are only scanned: beyond `watch_max`, or the kernel refused.
    pub folders_scanned_only: u64,
    /// Looks at everything that came to their end.
    pub scans: u64,
    /// When the last one did.
    pub scanned_at: Option<Timestamp>,
    /// How long it took, milliseconds.
    pub scan_ms: u64,
    /// Changes that were told.
    pub changes: u64,
    /// In the last one: paths that may not be looked at or read.
    pub unreadable: u64,
    /// In the last one: folders and names beyond the bounds.
    pub out_of_bounds: u64,
    /// Files that changed while they were read.
    pub changing: u64,
    /// How often the kernel lost word of changes.
    pub overflows: u64,
    /// How often there was no baseline that could be used.
    pub baselines_lost: u64,
    /// Capabilities that the program does not have, and what that costs.
    pub missing: Vec<Missing>,
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
    capture: Mutex<Option<CaptureSnapshot>>,
    missing: Mutex<Vec<Missing>>,
    integrity: Mutex<Option<IntegritySnapshot>>,
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
    /// Lines or typed records handed over since start.
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
    /// Capabilities that the source could use and has not, and what that costs; a capture's are with the capture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
    /// Of a capture, more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<CaptureSnapshot>,
    /// Of file integrity, more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integrity: Option<IntegritySnapshot>,
}

impl Health {
    /// Lines were handed over.
    pub fn handed_over(&self, lines: u64, bytes: u64, at: Timestamp) {
        self.lines.fetch_add(lines, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.last_event.store(at.0, Ordering::Relaxed);
    }

    /// So much was handed over since start.
    pub fn handed_over_in_all(&self, records: u64, bytes: u64, last: Timestamp) {
        self.lines.store(records, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
        self.last_event.store(last.0, Ordering::Relaxed);
    }

    /// The thread came round.
    pub fn turned(&self, at: Timestamp, lag_bytes: u64, files: u64, files_open: u64) {
        shared::pulse::beat();
        self.last_turn.store(at.0, Ordering::Relaxed);
        self.lag_bytes.store(lag_bytes, Ordering::Relaxed);
        self.files.store(files, Ordering::Relaxed);
        self.files_open.store(files_open, Ordering::Relaxed);
    }

    /// The thread waits for its turn: it is well.
    pub fn waits(&self, at: Timestamp) {
        self.last_turn.store(at.0, Ordering::Relaxed);
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

    /// How the capture is doing.
    pub fn capture(&self, capture: CaptureSnapshot) {
        *lock(&self.capture) = Some(capture);
    }

    /// What the source cannot see for want of a capability.
    pub fn lacks(&self, missing: Vec<Missing>) {
        *lock(&self.missing) = missing;
    }

    /// How file integrity is doing.
    pub fn integrity(&self, integrity: IntegritySnapshot) {
        *lock(&self.integrity) = Some(integrity);
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
            missing: lock(&self.missing).clone(),
            capture: lock(&self.capture).clone(),
            integrity: lock(&self.integrity).clone(),
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
