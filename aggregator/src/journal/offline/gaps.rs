//! What the journal holds of every chain, and what it does not: lost, absent, missing, and since when nothing came.
//!
//! In: the journal's frames from a moment on. Out: spans per chain, in the order in which they were received:
//!
//! - `before`: everything received earlier than the moment, or gone from the journal since;
//! - `held`: sequences that follow on;
//! - `lost`: what a loss frame gave up, with its reason and the time span in which it was seen;
//! - `absent`: what this journal never gets: another aggregator has it, or nobody knows;
//! - `hole`: sequences without either: bytes of the journal do not read back;
//! - `loss`: what was lost before it got a number, as an agent says in a record.
//!
//! Bound: [`SPANS_MAX`] spans.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::{AgentId, ChainId};
use shared::protocol::ChainState;
use shared::record::Value;
use shared::time::Timestamp;

use super::super::{ChainBooks, Journaled, Wrap, absent_of, count};
use super::{JournalFiles, OfflineError};

/// Most spans that are kept, some 100 MB.
const SPANS_MAX: usize = 500_000;

/// Losses of one reason and file that follow within this are one span: agents tell of them once a minute.
const JOINED_WITHIN: Duration = Duration::from_secs(120);

/// What a span is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// What came before, by its books: journaled, lost and absent records.
    Before(ChainBooks),
    /// In the journal.
    Held,
    /// Given up by the agent.
    Lost {
        /// Why.
        reason: &'static str,
    },
    /// Not in this journal and never will be.
    Absent {
        /// The aggregator that has it; none: nobody knows.
        elsewhere: Option<AgentId>,
    },
    /// Missing here: damage of the journal.
    Hole,
    /// Lost before it got a number.
    Loss {
        /// Why, as the agent says.
        reason: String,
        /// The file or channel.
        path: String,
    },
}

/// A range of one chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// What it is.
    pub kind: SpanKind,
    /// First and last sequence, both included; none for what has no numbers.
    pub sequences: Option<(u64, u64)>,
    /// Number of its first record; none for what has no numbers.
    pub first_record: Option<u64>,
    /// How many records; none where nobody counted.
    pub records: Option<u64>,
    /// When the first of it was received; for losses, not before this was it seen.
    pub from: Timestamp,
    /// When the last was received; for losses, not after this was it seen.
    pub to: Timestamp,
}

/// One chain and its spans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainSpans {
    /// The chain.
    pub chain: ChainId,
    /// It is the aggregator's own.
    pub own: bool,
    /// When something of it was last received.
    pub last_received: Timestamp,
    /// Its spans, in the order in which they were received.
    pub spans: Vec<Span>,
}

/// What the journal holds and does not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Gaps {
    /// Every chain, by agent and lane, epochs in the order in which they began.
    pub chains: Vec<ChainSpans>,
    /// Log offsets that do not read back: `[from, to)`.
    pub damage: Vec<(u64, u64)>,
    /// Frames whose body does not open.
    pub unreadable: u64,
}

struct Following {
    books: ChainBooks,
    own: bool,
    order: u64,
    begun: bool,
    spans: Vec<Span>,
}

struct Scan {
    agent: Option<AgentId>,
    since: Timestamp,
    chains: BTreeMap<ChainId, Following>,
    /// Prefixes at the beginning are known.
    based: bool,
    gaps: Gaps,
    spans: usize,
    opener: Opener,
}

impl JournalFiles {
    /// What the journal holds, and does not, of what was received at `since` or later; of one agent or of all.
    /// Opens every frame: losses without numbers stand in records.
    ///
    /// # Errors
    /// [`OfflineError::Io`], [`OfflineError::TooMany`].
    pub fn gaps(&self, agent: Option<AgentId>, since: Option<Timestamp>) -> Result<Gaps, OfflineError> {
        let oldest = self.oldest();
        let base = self.last_base(|numbers, _| since.is_some_and(|since| numbers.received_at < since))?;
        let base = match base {
            Some(base) => Some(base),
            None => {
                let mut seen = false;
                self.last_base(|_, _| !std::mem::replace(&mut seen, true))?.filter(|base| base.first == oldest)
            }
        };
        let first = base.as_ref().map_or(oldest, |base| base.first);
        let mut scan = Scan {
            agent,
            since: since.unwrap_or(Timestamp(i64::MIN)),
            chains: BTreeMap::new(),
            based: base.is_some(),
            gaps: Gaps::default(),
            spans: 0,
            opener: Opener::default(),
        };
        for (chain, books) in base.map(|base| base.chains.all()).unwrap_or_default() {
            if scan.wants(chain.agent) {
                scan.following(chain, books);
            }
        }
        let mut frames = self.frames_from(first);
        while let Some(found) = frames.next(self.end).map_err(|error| self.failed(error))? {
            match found {
                Journaled::Frame(wrap, frame) => scan.frame(&wrap, &frame),
                Journaled::Damage { from, to } => {
                    scan.gaps.damage.push((from, to));
                    scan.spans += 1;
                }
            }
            if scan.spans > SPANS_MAX {
                return Err(OfflineError::TooMany { max: SPANS_MAX });
            }
        }
        Ok(scan.finish())
    }
}

impl Following {
    /// The first that is shown of this chain: what came before is one span.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) || self.books.state.through == 0 {
            return;
        }
        let ChainState { through, next_record, .. } = self.books.state;
        self.spans.push(Span {
            kind: SpanKind::Before(self.books),
            sequences: Some((1, through)),
            first_record: Some(1),
            records: Some(next_record.saturating_sub(1)),
            from: self.books.last_received,
            to: self.books.last_received,
        });
    }

    /// Adds a span with numbers, from the prefix to `through` and `next_record`.
    fn add(&mut self, kind: SpanKind, through: u64, next_record: u64, (from, to): (Timestamp, Timestamp)) {
        let before = self.books.state;
        self.spans.push(Span {
            kind,
            sequences: Some((before.through + 1, through)),
            first_record: Some(before.next_record),
            records: Some(next_record.saturating_sub(before.next_record)),
            from,
            to,
        });
    }

    fn hold(&mut self, through: u64, next_record: u64, at: Timestamp) {
        let first = self.books.state.next_record;
        match self.spans.iter_mut().rfind(|span| span.sequences.is_some()) {
            Some(Span { kind: SpanKind::Held, sequences: Some((_, last)), records: Some(records), to, .. }) => {
                (*last, *to) = (through, at);
                *records += next_record.saturating_sub(first);
            }
            _ => self.add(SpanKind::Held, through, next_record, (at, at)),
        }
    }

    fn tell(&mut self, told: Span) {
        if let Some(last) = self.spans.last_mut()
            && last.kind == told.kind
            && told.from.since(last.to) <= JOINED_WITHIN
        {
            last.records = last.records.zip(told.records).map(|(sum, more)| sum.saturating_add(more));
            (last.from, last.to) = (last.from.min(told.from), last.to.max(told.to));
        } else {
            self.spans.push(told);
        }
    }
}

/// A range that this journal never gets, as an own record tells of it.
struct AbsentRange {
    chain: ChainId,
    after: ChainState,
    records: u64,
    sequence: u64,
    elsewhere: Option<AgentId>,
}

fn text<'a>(fields: &'a [(&str, Value)], name: &str) -> Option<&'a str> {
    match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::String(text))) => Some(text),
        _ => None,
    }
}

fn number(fields: &[(&str, Value)], name: &str) -> Option<u64> {
    match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::U64(number))) => Some(*number),
        _ => None,
    }
}

impl AbsentRange {
    fn of(fields: &[(&str, Value)]) -> Option<Self> {
        let (chain, after, records) = absent_of(fields)?;
        let sequence = number(fields, "sequence").unwrap_or(after.through);
        let elsewhere = text(fields, "elsewhere").and_then(|id| id.parse().ok());
        Some(Self { chain, after, records, sequence, elsewhere })
    }
}

/// What an agent says of records that were lost before they got a number.
fn loss_of(fields: &[(&str, Value)], read_at: Timestamp) -> Option<Span> {
    if text(fields, "picket.record")? != "loss" {
        return None;
    }
    let time = |name: &str| match fields.iter().find(|(key, _)| *key == name) {
        Some((_, Value::Time(at))) => *at,
        _ => read_at,
    };
    let said = |name: &str| text(fields, name).unwrap_or_default().to_owned();
    Some(Span {
        kind: SpanKind::Loss { reason: said("reason"), path: said("path") },
        sequences: None,
        first_record: None,
        records: number(fields, "count"),
        from: time("from"),
        to: time("to"),
    })
}

impl Scan {
    fn wants(&self, agent: AgentId) -> bool {
        self.agent.is_none_or(|wanted| wanted == agent)
    }

    fn following(&mut self, chain: ChainId, books: ChainBooks) -> &mut Following {
        let order = self.chains.len() as u64;
        self.chains.entry(chain).or_insert_with(|| Following {
            books,
            own: false,
            order,
            begun: false,
            spans: Vec::new(),
        })
    }

    fn frame(&mut self, wrap: &Wrap, frame: &Frame) {
        let header = frame.header();
        let own = wrap.received.serial.is_empty();
        let shown = wrap.received.at >= self.since;
        if self.wants(header.chain.agent) {
            self.follow(wrap, frame, own, shown);
        }
        // An absent range of any agent may stand in an own frame.
        let look = (shown && self.wants(header.chain.agent)) || (own && !wrap.is_cut);
        if look && header.kind == FrameKind::Data {
            self.records(wrap, frame, own, shown);
        }
    }

    fn follow(&mut self, wrap: &Wrap, frame: &Frame, own: bool, shown: bool) {
        let (header, at) = (frame.header(), wrap.received.at);
        let notice = match header.kind {
            FrameKind::Loss => frame.loss_notice(&mut self.opener).ok(),
            FrameKind::Data | FrameKind::Genesis => None,
        };
        let mut unknown = ChainBooks::EMPTY;
        if !self.based {
            (unknown.state.through, unknown.state.next_record) = (header.sequence - 1, header.first_record);
        }
        let following = self.following(header.chain, unknown);
        let spans_before = following.spans.len();
        following.own |= own;
        let through = header.next_sequence().saturating_sub(1);
        let after = ChainState { through, head: frame.hash(), next_record: header.next_record() };
        if through <= following.books.state.through {
            return;
        }
        if shown {
            following.begin();
            let since = following.books.last_received;
            if header.sequence > following.books.state.through + 1 {
                following.add(SpanKind::Hole, header.sequence - 1, header.first_record, (since, at));
                (following.books.state.through, following.books.state.next_record) =
                    (header.sequence - 1, header.first_record);
            }
            match (header.kind, notice) {
                (FrameKind::Loss, notice) => {
                    let reason = notice.as_ref().map_or("unreadable notice", |notice| notice.reason.name());
                    let seen = notice.map_or((at, at), |notice| (notice.first_time, notice.last_time));
                    following.add(SpanKind::Lost { reason }, through, after.next_record, seen);
                }
                _ => following.hold(through, after.next_record, at),
            }
        }
        count(&mut following.books, header, after, at);
        self.spans += following.spans.len() - spans_before;
    }

    /// Looks for what records of a frame say of losses, and of absent ranges in own frames.
    fn records(&mut self, wrap: &Wrap, frame: &Frame, own: bool, shown: bool) {
        let header = frame.header();
        let mut opener = std::mem::take(&mut self.opener);
        let (mut losses, mut absent) = (Vec::new(), Vec::new());
        let opened = frame.open(&mut opener).ok().and_then(|columns| BatchView::parse(&columns, header.records).ok());
        match &opened {
            None => self.gaps.unreadable += 1,
            Some(view) => {
                for record in view.iter().filter_map(Result::ok) {
                    let Body::Typed(fields) = record.body else { continue };
                    if own {
                        absent.extend(AbsentRange::of(&fields));
                    }
                    if shown && let Some(told) = loss_of(&fields, record.read_at) {
                        losses.push(told);
                    }
                }
            }
        }
        drop(opened);
        self.opener = opener;
        if self.wants(header.chain.agent) {
            let following = self.following(header.chain, ChainBooks::EMPTY);
            let spans_before = following.spans.len();
            losses.into_iter().for_each(|told| following.tell(told));
            self.spans += following.spans.len() - spans_before;
        }
        for range in absent.into_iter().filter(|range| self.wants(range.chain.agent)).collect::<Vec<_>>() {
            self.absent(&range, wrap.received.at, shown);
        }
    }

    fn absent(&mut self, range: &AbsentRange, at: Timestamp, shown: bool) {
        let AbsentRange { chain, after, records, sequence, elsewhere } = *range;
        let mut unknown = ChainBooks::EMPTY;
        if !self.based {
            unknown.state.through = sequence.saturating_sub(1);
            unknown.state.next_record = after.next_record.saturating_sub(records);
        }
        let following = self.following(chain, unknown);
        if after.through <= following.books.state.through {
            return;
        }
        let spans_before = following.spans.len();
        if shown {
            following.begin();
            following.add(SpanKind::Absent { elsewhere }, after.through, after.next_record, (at, at));
        }
        following.books.absent += records;
        (following.books.state, following.books.last_received) = (after, at);
        self.spans += following.spans.len() - spans_before;
    }

    fn finish(self) -> Gaps {
        let mut gaps = self.gaps;
        let mut chains: Vec<(u64, ChainSpans)> = Vec::new();
        for (chain, mut following) in self.chains {
            following.begin();
            let Following { books, own, order, spans, .. } = following;
            chains.push((order, ChainSpans { chain, own, last_received: books.last_received, spans }));
        }
        chains.sort_by_key(|(order, spans)| (spans.chain.agent, spans.chain.lane, *order));
        gaps.chains = chains.into_iter().map(|(_, spans)| spans).collect();
        gaps
    }
}

#[cfg(test)]
mod tests;
