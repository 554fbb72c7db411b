//! One chain while its frames are read: the prefix so far, and the spans that it has become.

use std::time::Duration;

use shared::identity::ChainId;
use shared::protocol::ChainState;
use shared::time::Timestamp;

use super::super::super::ChainBooks;
use super::super::answer::HostClock;
use super::{ChainSpans, Span, SpanKind};

/// Losses of one reason and file that follow within this are one span: agents tell of them once a minute.
const JOINED_WITHIN: Duration = Duration::from_secs(120);

/// How many spans back: agents tell of several losses in turn.
const LOOKED_AT: usize = 8;

/// A chain while its frames are read.
pub(super) struct Following {
    pub(super) order: u64,
    pub(super) books: ChainBooks,
    begun: bool,
    /// When its last frame was sealed.
    pub(super) sealed: Option<Timestamp>,
    pub(super) shown: ChainSpans,
}

impl Following {
    /// A chain of which this is known; it was met as the `order`-th.
    pub(super) fn new(chain: ChainId, books: ChainBooks, order: u64) -> Self {
        let shown = ChainSpans {
            chain,
            own: false,
            last_received: books.last_received,
            used: false,
            covered: None,
            last_of_window: None,
            began: None,
            clock: HostClock::default(),
            spans: Vec::new(),
        };
        Self { order, books, begun: false, sealed: None, shown }
    }

    /// The first that is shown of this chain: what came before is one span.
    pub(super) fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) || self.books.state.through == 0 {
            return;
        }
        let ChainState { through, next_record, .. } = self.books.state;
        self.shown.spans.push(Span {
            kind: SpanKind::Before(self.books),
            sequences: Some((1, through)),
            first_record: Some(1),
            records: Some(next_record.saturating_sub(1)),
            from: None,
            to: self.books.last_received,
        });
    }

    /// Adds a span with numbers, from the prefix to `through` and `next_record`.
    pub(super) fn add(
        &mut self,
        kind: SpanKind,
        through: u64,
        next_record: u64,
        from: Option<Timestamp>,
        to: Timestamp,
    ) {
        let before = self.books.state;
        self.shown.spans.push(Span {
            kind,
            sequences: Some((before.through + 1, through)),
            first_record: Some(before.next_record),
            records: Some(next_record.saturating_sub(before.next_record)),
            from,
            to,
        });
    }

    /// Adds sequences that are there, to those before them where they follow on.
    pub(super) fn hold(&mut self, kind: SpanKind, through: u64, next_record: u64, at: Timestamp) {
        let first = self.books.state.next_record;
        match self.shown.spans.iter_mut().rfind(|span| span.sequences.is_some()) {
            Some(Span { kind: known, sequences: Some((_, last)), records: Some(records), to, .. })
                if *known == kind =>
            {
                (*last, *to) = (through, at);
                *records += next_record.saturating_sub(first);
            }
            _ => self.add(kind, through, next_record, Some(at), at),
        }
    }

    pub(super) fn tell(&mut self, told: Span) {
        let mut latest = self.shown.spans.iter_mut().rev().take(LOOKED_AT);
        let Some(last) = latest.find(|last| joins(last, &told)) else {
            return self.shown.spans.push(told);
        };
        let sum = |known: Option<u64>, more: Option<u64>| known.zip(more).map(|(sum, more)| sum.saturating_add(more));
        if let (SpanKind::Unseen { count, .. }, SpanKind::Unseen { count: more, .. }) = (&mut last.kind, &told.kind) {
            *count = sum(*count, *more);
        }
        last.records = sum(last.records, told.records);
        (last.from, last.to) = (last.from.min(told.from), last.to.max(told.to));
    }

    /// Not all of it came, or nobody knows whether, when its successor began.
    pub(super) fn end(&mut self, next: Option<u64>, began: Timestamp) {
        self.begin();
        let first = self.books.state.through + 1;
        self.shown.spans.push(Span {
            kind: SpanKind::Ended,
            sequences: next.map(|next| (first, next - 1)),
            first_record: Some(self.books.state.next_record),
            records: None,
            from: self.sealed,
            to: began,
        });
    }

    /// A frame was sealed then (of a loss frame: what it stands for was), and accounts for all before it.
    pub(super) fn cover(&mut self, sealed: Timestamp, received: Timestamp) {
        self.sealed = Some(sealed);
        self.shown.covered = self.shown.covered.max(Some(sealed.min(received)));
    }
}

/// Whether a loss goes on with another: of the same reason, unit and file, soon behind it.
fn joins(last: &Span, told: &Span) -> bool {
    let same = match (&last.kind, &told.kind) {
        (
            SpanKind::Unseen { reason, unit, path, count: _ },
            SpanKind::Unseen { reason: told_reason, unit: told_unit, path: told_path, count: _ },
        ) => (reason, unit, path) == (told_reason, told_unit, told_path),
        (last, told) => last == told,
    };
    let begins_soon = told.from.is_some_and(|from| from.since(last.to) <= JOINED_WITHIN);
    same && begins_soon && last.from.is_some_and(|from| from.since(told.to) <= JOINED_WITHIN)
}
