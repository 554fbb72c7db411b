//! The books of one sink: written by its thread, frame by frame, read by `/metrics`.
//!
//! Every entry is counted where it happens, none is the difference of others, so that both equations can fail:
//! - `journaled = earlier + normalized + unreadable + journal_damage + expired + pending`. On the right, records
//!   that were interpreted are counted one by one; `pending` is what the journal numbered behind the last frame
//!   that was read, by the number in that frame's wrap. A jump of these numbers is `journal_damage` or `expired` only where
//!   the reader told of damage, or that segments are gone: any other jump stays out, and the books do not add up.
//! - `made = not_for_this_sink + dropped + delivered + rejected + undone + pending`. `made` counts at the interpreter, `pending`
//!   what the sink took or what waits for others of its kind, `delivered` what the sink says it committed, each event as many
//!   as it stands for.
//!
//! Entries of records begin anew when the sink is opened (`earlier` is what it had by then), those of events with
//! the program. Both equations hold at every moment at which the lock is free.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::record::LossReason;

use super::interpret::Passed;
use crate::journal::Behind;
use crate::reduce::{Counts, RuleCount, Stage};
use crate::schema::Class;
use crate::sink::Committed;

/// A count for each class, in the order of [`Class::ALL`].
#[derive(Clone, Debug)]
struct ByClass([u64; Class::ALL.len()]);

impl Default for ByClass {
    fn default() -> Self {
        Self([0; Class::ALL.len()])
    }
}

/// Counters of one sink.
#[derive(Default)]
pub struct SinkCounters {
    /// Its name.
    pub name: String,
    books: Mutex<SinkBooks>,
}

/// The books of one sink at one moment.
#[derive(Clone, Debug, Default)]
pub struct SinkBooks {
    /// Records up to its cursor when it was opened last: what became of them is in the books of that time.
    pub earlier: u64,
    /// Records that were understood, since then.
    pub normalized: u64,
    /// Records that do not open; their bytes stay in the journal.
    pub unreadable: u64,
    /// Records that the journal lost.
    pub journal_damage: u64,
    /// Records that the journal let go before this sink had them.
    pub expired: u64,
    /// Records of the journal up to the last frame that was read, by the journal's own numbers.
    pub reached: u64,
    /// Events made that some route takes, or that were dropped; those made again after a failure count again.
    pub made: u64,
    /// Events that only go to others.
    pub not_for_this_sink: u64,
    /// Events that a rule dropped.
    pub dropped: u64,
    /// Events committed, a merged one as many as it stands for.
    pub delivered: u64,
    /// Rows, documents or lines committed.
    pub written: u64,
    /// Events that the store refused for good: they lie among the dead letters.
    pub rejected: u64,
    /// Events that a failure undid before they were committed: they are made again.
    pub undone: u64,
    /// Events pushed and not committed, and those that wait for others of their kind.
    pub pending: u64,
    /// Of `pending`, those that stand behind another one that was pushed or waits.
    folded: u64,
    /// Events that no route took.
    pub unrouted: u64,
    /// Events of several lines that are two: the bounds did not let the first lines wait, or a cut lay in between.
    pub divided: (u64, u64),
    /// Failures.
    pub errors: u64,
    /// Position up to which it has everything.
    pub cursor: u64,
    /// Commits of this run.
    pub commits: u64,
    /// The last failure, while it lasts.
    pub last_error: Option<String>,
    /// Events made, routed or not.
    by_class: ByClass,
    /// What each rule of `reduce` did, by stage and name.
    pub rules: BTreeMap<(Stage, String), RuleCount>,
    /// Events that came to the rules, and that went on from them.
    pub reduced: (u64, u64),
    /// The reader told since the last frame that something is missing.
    missing: Option<LossReason>,
    /// A commit at this cut was begun and its end is not known.
    committing: Option<u64>,
}

impl SinkBooks {
    /// Entries of the equation of records, while the journal has numbered `journaled` of them.
    #[must_use]
    pub fn records(&self, journaled: u64) -> [(&'static str, u64); 7] {
        [
            ("journaled", journaled),
            ("earlier", self.earlier),
            ("normalized", self.normalized),
            ("unreadable", self.unreadable),
            ("journal_damage", self.journal_damage),
            ("expired", self.expired),
            ("pending", journaled.saturating_sub(self.reached)),
        ]
    }

    /// Entries of the equation of events.
    #[must_use]
    pub fn events(&self) -> [(&'static str, u64); 7] {
        [
            ("made", self.made),
            ("not_for_this_sink", self.not_for_this_sink),
            ("dropped", self.dropped),
            ("delivered", self.delivered),
            ("rejected", self.rejected),
            ("undone", self.undone),
            ("pending", self.pending),
        ]
    }

    /// Events made, by name of their class.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Class::ALL.iter().zip(self.by_class.0).map(|(class, count)| (class.name(), count)).filter(|(_, n)| *n > 0)
    }
}

/// The events of one frame, counted beside the books and entered at once.
#[derive(Default)]
pub(super) struct Tally {
    made: u64,
    elsewhere: u64,
    dropped: u64,
    waiting: u64,
    left: u64,
    pushed: u64,
    folded: u64,
    refused: u64,
    unrouted: u64,
    by_class: ByClass,
}

impl Tally {
    /// An event was made, and no route takes it.
    pub(super) fn unrouted(&mut self, class: Class) {
        self.unrouted += 1;
        self.class(class);
    }

    /// An event was made.
    pub(super) fn made(&mut self, class: Class) {
        self.made += 1;
        self.class(class);
    }

    fn class(&mut self, class: Class) {
        if let Some(count) = self.by_class.0.get_mut(class as usize) {
            *count += 1;
        }
    }

    /// A rule dropped it.
    pub(super) fn dropped(&mut self) {
        self.dropped += 1;
    }

    /// It only goes to others.
    pub(super) fn elsewhere(&mut self) {
        self.elsewhere += 1;
    }

    /// It waits for others of its kind.
    pub(super) fn waits(&mut self) {
        self.waiting += 1;
    }

    /// Events that waited leave as one.
    pub(super) fn leaves(&mut self, weight: u64) {
        self.left += weight;
    }

    /// It was pushed, and stands for so many.
    pub(super) fn pushed(&mut self, taken: bool, weight: u64) {
        if taken {
            self.pushed += weight;
            self.folded += weight.saturating_sub(1);
        } else {
            self.refused += weight;
        }
    }
}

impl SinkCounters {
    /// Counters of the sink of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, SinkBooks> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink was opened, and gets again what lies behind its cursor.
    pub(super) fn opened(&self, cursor: u64, behind: Behind) {
        let mut books = self.lock();
        let (uncommitted, folded) = (std::mem::take(&mut books.pending), std::mem::take(&mut books.folded));
        if books.committing.take() == Some(cursor) {
            // It failed after the commit was durable.
            books.delivered += uncommitted;
            books.written += uncommitted.saturating_sub(folded);
            books.commits += 1;
        } else {
            books.undone += uncommitted;
        }
        (books.earlier, books.expired, books.reached) =
            (behind.records, behind.expired, behind.records + behind.expired);
        (books.normalized, books.unreadable, books.journal_damage) = (0, 0, 0);
        (books.cursor, books.missing, books.last_error) = (cursor, None, None);
    }

    pub(super) fn failed(&self, error: &str) {
        let mut books = self.lock();
        books.errors += 1;
        books.last_error = Some(error.to_owned());
    }

    /// A frame was interpreted: `records_before` and `records` by the journal's numbers, `passed` and `tally` as
    /// counted.
    pub(super) fn read(&self, (records_before, records): (u64, u64), passed: Passed, tally: &Tally) {
        let mut books = self.lock();
        let missing = records_before.saturating_sub(books.reached);
        match books.missing.take() {
            Some(LossReason::Expired) => books.expired += missing,
            Some(_) => books.journal_damage += missing,
            None => {}
        }
        books.reached = records_before + records;
        books.normalized += passed.normalized;
        books.unreadable += passed.unreadable;
        enter(&mut books, tally);
    }

    /// The sink refused an event of a frame or of a cut: the frame is read again once the sink is open again.
    pub(super) fn refused(&self, tally: &Tally) {
        enter(&mut self.lock(), tally);
    }

    /// The reader told that something is missing in front of the next frame: damage, or gone ([`LossReason::Expired`]).
    pub(super) fn missing(&self, reason: LossReason) {
        let mut books = self.lock();
        books.errors += u64::from(reason != LossReason::Expired);
        books.missing = Some(reason);
    }

    /// What waited for the end of the block left.
    pub(super) fn left(&self, tally: &Tally) {
        enter(&mut self.lock(), tally);
    }

    /// Events of several lines that the bounds and cuts divided, since the program began.
    pub(super) fn divided(&self, divided: (u64, u64)) {
        self.lock().divided = divided;
    }

    /// What the rules did since the last call.
    pub(super) fn reduced(&self, (names, counts): (Vec<(Stage, String)>, Counts)) {
        let mut books = self.lock();
        books.reduced.0 += counts.events_in;
        books.reduced.1 += counts.events_out;
        for (name, count) in names.into_iter().zip(counts.rules) {
            let sum = books.rules.entry(name).or_default();
            sum.taken += count.taken;
            sum.reduced += count.reduced;
            sum.overflowed += count.overflowed;
        }
    }

    /// A commit at `cut` begins.
    pub(super) fn committing(&self, cut: u64) {
        self.lock().committing = Some(cut);
    }

    /// Everything up to `cut` is committed: so many events, as the sink says.
    pub(super) fn committed(&self, cut: u64, events: Committed) {
        let mut books = self.lock();
        // What another event stands for is not in the sink's count.
        let folded = std::mem::take(&mut books.folded);
        (books.pending, books.committing, books.cursor) = (0, None, cut);
        books.delivered += events.delivered + folded.saturating_sub(events.rejected_folded);
        books.written += events.delivered;
        books.rejected += events.rejected + events.rejected_folded;
        books.commits += 1;
    }

    /// The books now.
    #[must_use]
    pub fn books(&self) -> SinkBooks {
        self.lock().clone()
    }
}

fn enter(books: &mut SinkBooks, tally: &Tally) {
    books.made += tally.made;
    books.not_for_this_sink += tally.elsewhere;
    books.dropped += tally.dropped;
    books.pending = (books.pending + tally.pushed + tally.waiting).saturating_sub(tally.left);
    books.folded += tally.folded;
    books.undone += tally.refused;
    books.unrouted += tally.unrouted;
    for (sum, count) in books.by_class.0.iter_mut().zip(tally.by_class.0) {
        *sum += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Passed = Passed { normalized: 2, unreadable: 0 };

    fn tally(pushed: u64, refused: u64) -> Tally {
        let mut tally = Tally::default();
        (0..pushed + refused).for_each(|event| {
            tally.made(Class::ALL[0]);
            tally.pushed(event < pushed, 1);
        });
        tally
    }

    fn opened(cursor: u64, records: u64) -> SinkCounters {
        let counters = SinkCounters::new("lake");
        counters.opened(cursor, Behind { records, expired: 0 });
        counters
    }

    fn adds_up<const N: usize>(entries: [(&str, u64); N]) -> bool {
        let whole = entries[0].1;
        entries[1..].iter().map(|(_, count)| count).sum::<u64>() == whole
    }

    #[track_caller]
    fn assert_books(counters: &SinkCounters, journaled: u64) {
        let books = counters.books();
        assert!(adds_up(books.records(journaled)), "{:?}", books.records(journaled));
        assert!(adds_up(books.events()), "{:?}", books.events());
    }

    #[test]
    fn books_add_up_from_before_the_first_opening_to_the_last_commit() {
        let counters = SinkCounters::new("lake");
        assert_books(&counters, 9);
        counters.opened(4, Behind { records: 3, expired: 0 });
        assert_books(&counters, 9);
        counters.read((3, 2), TWO, &tally(2, 0));
        counters.read((5, 3), Passed { normalized: 2, unreadable: 1 }, &tally(2, 0));
        assert_books(&counters, 9);
        assert_eq!(counters.books().records(9)[6], ("pending", 1));
        counters.committing(6);
        counters.committed(6, Committed { delivered: 3, rejected: 1, rejected_folded: 0 });
        assert_books(&counters, 9);
        assert_eq!((counters.books().delivered, counters.books().rejected, counters.books().pending), (3, 1, 0));
    }

    #[test]
    fn records_of_damage_that_was_told_are_journal_damage_and_those_of_segments_that_went_expired() {
        let counters = opened(1, 0);
        counters.missing(LossReason::JournalDamage);
        counters.read((7, 2), TWO, &tally(2, 0));
        assert_books(&counters, 9);
        assert_eq!((counters.books().journal_damage, counters.books().errors), (7, 1));
        counters.missing(LossReason::Expired);
        counters.read((12, 2), TWO, &tally(2, 0));
        assert_books(&counters, 14);
        assert_eq!((counters.books().expired, counters.books().errors), (3, 1));
    }

    #[test]
    fn what_went_before_a_new_sink_is_expired() {
        let counters = SinkCounters::new("lake");
        counters.opened(0, Behind { records: 0, expired: 7 });
        counters.read((7, 2), TWO, &tally(2, 0));
        assert_books(&counters, 9);
        assert_eq!((counters.books().expired, counters.books().journal_damage), (7, 0));
    }

    #[test]
    fn failure_undoes_what_was_pushed_and_a_commit_that_happened_all_the_same_delivers_it() {
        for (cursor, delivered, undone) in [(1, 0, 3), (6, 2, 1)] {
            let counters = opened(1, 0);
            counters.read((0, 2), TWO, &tally(2, 0));
            counters.refused(&tally(0, 1));
            assert_books(&counters, 9);
            counters.committing(6);
            counters.failed("the disk");
            counters.opened(cursor, Behind { records: 2 * u64::from(cursor == 6), expired: 0 });
            assert_books(&counters, 9);
            let books = counters.books();
            assert_eq!((books.delivered, books.undone, books.pending), (delivered, undone, 0));
        }
    }

    #[test]
    fn record_that_is_skipped_a_frame_that_is_skipped_and_a_frame_that_is_read_twice_show() {
        let skipped_record = opened(1, 0);
        skipped_record.read((0, 3), TWO, &tally(2, 0));
        assert!(!adds_up(skipped_record.books().records(9)));
        let skipped_frame = opened(1, 0);
        skipped_frame.read((2, 2), TWO, &tally(2, 0));
        assert!(!adds_up(skipped_frame.books().records(9)));
        let read_twice = opened(1, 0);
        (0..2).for_each(|_| read_twice.read((0, 2), TWO, &tally(2, 0)));
        assert!(!adds_up(read_twice.books().records(9)));
        let beyond_the_journal = opened(1, 0);
        beyond_the_journal.read((8, 2), TWO, &tally(2, 0));
        assert!(!adds_up(beyond_the_journal.books().records(9)));
    }

    #[test]
    fn events_that_are_dropped_go_elsewhere_wait_and_leave_as_one_are_in_the_books() {
        let counters = opened(1, 0);
        let mut tally = Tally::default();
        (0..6).for_each(|_| tally.made(Class::ALL[0]));
        tally.dropped();
        tally.elsewhere();
        (0..4).for_each(|_| tally.waits());
        counters.read((0, 2), TWO, &tally);
        assert_books(&counters, 9);
        assert_eq!(counters.books().pending, 4);
        let mut cut = Tally::default();
        cut.leaves(4);
        cut.pushed(true, 4);
        counters.left(&cut);
        assert_books(&counters, 9);
        counters.committing(6);
        counters.committed(6, Committed::all(1));
        assert_books(&counters, 9);
        let books = counters.books();
        assert_eq!((books.delivered, books.written, books.dropped, books.not_for_this_sink), (4, 1, 1, 1));
    }

    #[test]
    fn merged_event_that_is_rejected_counts_as_many_as_it_stands_for() {
        let counters = opened(1, 0);
        let mut tally = Tally::default();
        (0..7).for_each(|_| tally.made(Class::ALL[0]));
        tally.pushed(true, 5);
        tally.pushed(true, 2);
        counters.read((0, 2), TWO, &tally);
        counters.committing(6);
        counters.committed(6, Committed { delivered: 1, rejected: 1, rejected_folded: 4 });
        assert_books(&counters, 9);
        assert_eq!((counters.books().delivered, counters.books().rejected), (2, 5));
    }

    #[test]
    fn event_that_the_sink_lost_or_doubled_shows() {
        for committed in [1, 3] {
            let counters = opened(1, 0);
            counters.read((0, 2), TWO, &tally(2, 0));
            counters.committing(6);
            counters.committed(6, Committed::all(committed));
            assert!(!adds_up(counters.books().events()));
        }
        let made_and_not_pushed = opened(1, 0);
        let mut tally = tally(1, 0);
        tally.made(Class::ALL[0]);
        made_and_not_pushed.read((0, 2), TWO, &tally);
        assert!(!adds_up(made_and_not_pushed.books().events()));
    }
}
