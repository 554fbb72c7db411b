//! The books of one sink, as atomics: written by its thread, read by `/metrics`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::schema::Class;

/// Counters of one sink.
#[derive(Default)]
pub struct SinkCounters {
    /// Its name.
    pub name: String,
    /// Journaled records that this sink has passed, since the journal was made.
    records_passed: AtomicU64,
    unreadable: AtomicU64,
    journal_damage: AtomicU64,
    expired: AtomicU64,
    normalized: AtomicU64,
    made_by_class: [AtomicU64; Class::ALL.len()],
    pending: AtomicU64,
    delivered: AtomicU64,
    unrouted: AtomicU64,
    errors: AtomicU64,
    cursor: AtomicU64,
    frames_read: AtomicU64,
    seen_any: AtomicBool,
    last_error: Mutex<Option<String>>,
    commits: AtomicU64,
}

/// The books of one sink at one moment. `journaled = normalized + unreadable + damage + expired + pending` holds
/// for `journaled = normalized + unreadable + damage + expired` here plus what the journal has beyond it.
#[derive(Clone, Debug, Default)]
pub struct SinkBooks {
    /// Records that became events; those of earlier runs included.
    pub normalized: u64,
    /// Records of frames that do not open.
    pub unreadable: u64,
    /// Records that the journal lost.
    pub journal_damage: u64,
    /// Records that went before this sink had them.
    pub expired: u64,
    /// Events made for this sink, in this run, and not undone by a failure.
    pub made: u64,
    /// Events committed.
    pub delivered: u64,
    /// Events pushed and not committed.
    pub pending: u64,
    /// Events that no route took.
    pub unrouted: u64,
    /// Failures.
    pub errors: u64,
    /// Position up to which it has everything.
    pub cursor: u64,
    /// Commits of this run.
    pub commits: u64,
    /// The last failure, while it lasts.
    pub last_error: Option<String>,
    /// Events made, by class.
    pub by_class: Vec<(&'static str, u64)>,
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl SinkCounters {
    /// Counters of the sink of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// The sink was opened, and gets again what lies behind its cursor.
    pub(super) fn opened(&self, cursor: u64) {
        self.cursor.store(cursor, Ordering::Relaxed);
        self.pending.store(0, Ordering::Relaxed);
        self.seen_any.store(false, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn failed(&self, error: &str) {
        add(&self.errors, 1);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_owned());
    }

    /// Holds the number of records before a frame against what was passed: what is missing between is lost.
    fn reach(&self, records_before: u64) {
        add(&self.frames_read, 1);
        let passed = load(&self.records_passed);
        if self.seen_any.swap(true, Ordering::Relaxed) {
            let missing = records_before.saturating_sub(passed);
            add(&self.journal_damage, missing);
        } else {
            // First frame behind the cursor: earlier runs (or this one, before a failure) had what lies before it.
            let others = load(&self.unreadable) + load(&self.journal_damage) + load(&self.expired);
            self.normalized.store(records_before.saturating_sub(others), Ordering::Relaxed);
        }
        self.records_passed.store(records_before, Ordering::Relaxed);
    }

    pub(super) fn read(&self, records_before: u64, records: u64) {
        self.reach(records_before);
        add(&self.normalized, records);
        add(&self.records_passed, records);
    }

    pub(super) fn unreadable(&self, records_before: u64, records: u64) {
        self.reach(records_before);
        add(&self.unreadable, records);
        add(&self.records_passed, records);
    }

    pub(super) fn damaged(&self) {
        add(&self.errors, 1);
    }

    pub(super) fn made(&self, class: Class, routed: bool) {
        if let Some(counter) =
            Class::ALL.iter().position(|known| *known == class).and_then(|at| self.made_by_class.get(at))
        {
            add(counter, 1);
        }
        add(if routed { &self.pending } else { &self.unrouted }, 1);
    }

    pub(super) fn committed(&self, cursor: u64) {
        add(&self.delivered, self.pending.swap(0, Ordering::Relaxed));
        add(&self.commits, 1);
        self.cursor.store(cursor, Ordering::Relaxed);
    }

    /// The books now.
    #[must_use]
    pub fn books(&self) -> SinkBooks {
        let (delivered, pending) = (load(&self.delivered), load(&self.pending));
        let by_class = Class::ALL.iter().zip(&self.made_by_class);
        SinkBooks {
            normalized: load(&self.normalized),
            unreadable: load(&self.unreadable),
            journal_damage: load(&self.journal_damage),
            expired: load(&self.expired),
            made: delivered + pending,
            delivered,
            pending,
            unrouted: load(&self.unrouted),
            errors: load(&self.errors),
            cursor: load(&self.cursor),
            commits: load(&self.commits),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            by_class: by_class.map(|(class, count)| (class.name(), load(count))).filter(|(_, n)| *n > 0).collect(),
        }
    }
}
