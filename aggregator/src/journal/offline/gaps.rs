//! What the journal holds of every chain, and what it does not: lost, elsewhere, unknown, and since when nothing came.
//!
//! In: the journal's frames from the beginning of a window on. Out: spans per chain, in the order in which they were
//! received:
//!
//! - `before`: everything received before the window, or gone from the journal since;
//! - `held`: sequences that follow on, up to and with the first that was sealed after the window;
//! - `after`: those behind it;
//! - `lost`: what a loss frame gave up, with its reason and the time span in which it was seen;
//! - `elsewhere`, `unknown`: what this journal never gets: another aggregator has it, or nobody knows; also the end
//!   of an epoch of which nobody says that all of it came;
//! - `hole`: sequences without either: bytes of the journal do not read back;
//! - `loss`: what was lost before it got a number, as an agent says in a record, and frames that do not open;
//! - `unseen`: what was lost before it could become records (packets that the kernel dropped, flows that went before
//!   their time): counted in units of its own, it stands in no sum of records.
//!
//! What the spans mean for a window is judged in [`super::answer()`]. Bound: [`SPANS_MAX`] spans.

mod following;
mod told;

use std::collections::BTreeMap;

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameKind, GenesisNotice, GenesisReason, Opener};
use shared::identity::{AgentId, ChainId};
use shared::protocol::ChainState;
use shared::record::LossReason;
use shared::time::Timestamp;

use super::super::{ChainBooks, Journaled, Wrap, count};
use super::answer::{HostClock, Window};
use super::{JournalFiles, OfflineError};
use following::Following;
use told::{AbsentRange, loss_of};

/// Most spans that are kept, some 100 MB.
const SPANS_MAX: usize = 500_000;

/// What a span is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpanKind {
    /// What came before, by its books: journaled, lost and absent records.
    Before(ChainBooks),
    /// In the journal.
    Held,
    /// In the journal, and seen after the window.
    After,
    /// The chain ended, and nobody says that all of it came: what its successor calls its end is not here, or is not
    /// known.
    Ended,
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
    /// Lost before it could become records.
    Unseen {
        /// Why, as the agent says.
        reason: String,
        /// What is counted: `packets`, `flows`, …
        unit: &'static str,
        /// How many; none where nobody counted.
        count: Option<u64>,
        /// The interface or channel.
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
    /// When the first of it was received; of what is not held: not before this was it seen, by the host's clock.
    /// None where nobody knows.
    pub from: Option<Timestamp>,
    /// When the last was received; of what is not held: not after this was it seen.
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
    /// A record of it got a number.
    pub used: bool,
    /// Everything that was seen before this is accounted for; none: no frame was looked at.
    pub covered: Option<Timestamp>,
    /// When the last frame that was sealed before the window's end was received, if that was in the window or later.
    pub last_of_window: Option<Timestamp>,
    /// When its lane began, if that was with this chain.
    pub began: Option<Timestamp>,
    /// The host's clock, by its frames.
    pub clock: HostClock,
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
    /// What was received before this is gone; none: nothing is.
    pub begins: Option<Timestamp>,
}

struct Scan {
    agent: Option<AgentId>,
    window: Window,
    chains: BTreeMap<ChainId, Following>,
    /// Chains that followed on others: the other, where it should have ended, when the follower began.
    ends: Vec<(ChainId, Option<u64>, Timestamp)>,
    /// Prefixes at the beginning are known.
    based: bool,
    gaps: Gaps,
    spans: usize,
    opener: Opener,
}

impl JournalFiles {
    /// What the journal holds, and does not, of a window; of one agent or of all. Opens every frame that was received
    /// since its beginning: losses without numbers stand in records, and are told late.
    ///
    /// # Errors
    /// [`OfflineError::Io`], [`OfflineError::TooMany`].
    pub fn gaps(&self, agent: Option<AgentId>, window: Window) -> Result<Gaps, OfflineError> {
        let (oldest, since) = (self.oldest(), window.since);
        let base = self.last_base(|numbers, _| since.is_some_and(|since| numbers.received_at < since))?;
        let base = match base {
            Some(base) => Some(base),
            None => {
                let mut seen = false;
                self.last_base(|_, _| !std::mem::replace(&mut seen, true))?.filter(|base| base.first == oldest)
            }
        };
        let first = base.as_ref().map_or(oldest, |base| base.first);
        let begins = base.as_ref().filter(|base| base.numbers.position > 1).map(|base| base.numbers.received_at);
        let mut scan = Scan {
            agent,
            window,
            chains: BTreeMap::new(),
            ends: Vec::new(),
            based: base.is_some(),
            gaps: Gaps { begins, ..Gaps::default() },
            spans: 0,
            opener: Opener::default(),
        };
        for (chain, books) in base.map(|base| base.chains.all()).unwrap_or_default() {
            if scan.wants(chain.agent) {
                scan.following(chain, books);
            }
        }
        let mut looked_at_any = false;
        let mut frames = self.frames_from(first);
        while let Some(found) = frames.next(self.end).map_err(|error| self.failed(error))? {
            match found {
                Journaled::Frame(wrap, frame) => {
                    if !std::mem::replace(&mut looked_at_any, true) && !scan.based {
                        scan.gaps.begins = Some(wrap.received.at);
                    }
                    scan.frame(&wrap, &frame);
                }
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

impl Scan {
    fn wants(&self, agent: AgentId) -> bool {
        self.agent.is_none_or(|wanted| wanted == agent)
    }

    fn following(&mut self, chain: ChainId, books: ChainBooks) -> &mut Following {
        let order = self.chains.len() as u64;
        self.chains.entry(chain).or_insert_with(|| Following::new(chain, books, order))
    }

    fn frame(&mut self, wrap: &Wrap, frame: &Frame) {
        let header = frame.header();
        let own = wrap.received.serial.is_empty();
        let shown = self.window.since.is_none_or(|since| wrap.received.at >= since);
        let seen_since = self.chains.get(&header.chain).and_then(|following| following.sealed);
        if self.wants(header.chain.agent) {
            if header.kind == FrameKind::Genesis {
                self.genesis(frame);
            }
            self.follow(wrap, frame, own, shown);
        }
        // An absent range of any agent may stand in an own frame.
        let look = (shown && self.wants(header.chain.agent)) || (own && !wrap.is_cut);
        if look && header.kind == FrameKind::Data {
            self.records(wrap, frame, own, shown, seen_since);
        }
    }

    /// A chain begins: where should the one before it have ended? After a fork what had not come of it comes in this
    /// one.
    fn genesis(&mut self, frame: &Frame) {
        let (chain, sealed_at) = (frame.header().chain, frame.header().sealed_at);
        let Ok(GenesisNotice { reason, previous }) = frame.genesis_notice(&mut self.opener) else { return };
        if self.chains.get(&chain).is_some_and(|known| known.books.state.through > 0) || reason == GenesisReason::Fork {
            return;
        }
        let lane = self.chains.iter().filter(|(known, _)| (known.agent, known.lane) == (chain.agent, chain.lane));
        let before = lane.max_by_key(|(_, following)| following.order).map(|(known, _)| *known);
        match previous {
            Some(previous) => {
                self.ends.push((ChainId { epoch: previous.epoch, ..chain }, previous.next, sealed_at));
            }
            // A spool that was deleted knows of none before it.
            None if before.is_some() => self.ends.extend(before.map(|before| (before, None, sealed_at))),
            None => self.following(chain, ChainBooks::EMPTY).shown.began = Some(sealed_at),
        }
    }

    fn follow(&mut self, wrap: &Wrap, frame: &Frame, own: bool, shown: bool) {
        let (header, at) = (frame.header(), wrap.received.at);
        let notice = match header.kind {
            FrameKind::Loss => frame.loss_notice(&mut self.opener).ok(),
            FrameKind::Data | FrameKind::Genesis => None,
        };
        let (mut unknown, until) = (ChainBooks::EMPTY, self.window.until);
        if !self.based {
            (unknown.state.through, unknown.state.next_record) = (header.sequence - 1, header.first_record);
        }
        let following = self.following(header.chain, unknown);
        let spans_before = following.shown.spans.len();
        following.shown.own |= own;
        following.shown.clock.seen(header.sealed_at, at);
        let through = header.next_sequence().saturating_sub(1);
        let after = ChainState { through, head: frame.hash(), next_record: header.next_record() };
        if through <= following.books.state.through {
            return;
        }
        // A loss frame is sealed when it is sent; what it stands for ends with its right neighbor.
        let sealed = notice.as_ref().map_or(header.sealed_at, |notice| notice.last_time);
        if shown {
            following.begin();
            let is_over = until.is_some_and(|until| following.shown.covered >= Some(until));
            if until.is_none_or(|until| sealed < until) {
                following.shown.last_of_window = Some(at);
            }
            if header.sequence > following.books.state.through + 1 {
                let since = following.sealed;
                following.add(SpanKind::Hole, header.sequence - 1, header.first_record, since, sealed);
                (following.books.state.through, following.books.state.next_record) =
                    (header.sequence - 1, header.first_record);
            }
            if header.kind == FrameKind::Loss {
                let reason = notice.as_ref().map_or("unreadable notice", |notice| notice.reason.name());
                // An agent that began to read behind the last frame does not know its time.
                let told = notice.map(|notice| notice.first_time).filter(|time| time.0 != 0);
                let from = following.sealed.filter(|at| *at <= sealed).max(told);
                following.add(SpanKind::Lost { reason }, through, after.next_record, from, sealed);
            } else {
                let kind = if is_over { SpanKind::After } else { SpanKind::Held };
                following.hold(kind, through, after.next_record, at);
            }
        }
        following.cover(sealed, at);
        count(&mut following.books, header, after, at);
        self.spans += following.shown.spans.len() - spans_before;
    }

    /// Looks for what records of a frame say of losses, and of absent ranges in own frames.
    fn records(&mut self, wrap: &Wrap, frame: &Frame, own: bool, shown: bool, seen_since: Option<Timestamp>) {
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
        if opened.is_none() && shown {
            losses.push(Span {
                kind: SpanKind::Loss { reason: LossReason::FrameUnreadable.name().to_owned(), path: String::new() },
                sequences: None,
                first_record: Some(header.first_record),
                records: Some(u64::from(header.records)),
                from: seen_since.filter(|since| *since <= header.sealed_at),
                to: header.sealed_at,
            });
        }
        drop(opened);
        self.opener = opener;
        if self.wants(header.chain.agent) {
            let following = self.following(header.chain, ChainBooks::EMPTY);
            let spans_before = following.shown.spans.len();
            losses.into_iter().for_each(|told| following.tell(told));
            self.spans += following.shown.spans.len() - spans_before;
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
        let spans_before = following.shown.spans.len();
        if shown {
            following.begin();
            let since = following.sealed;
            following.add(SpanKind::Absent { elsewhere }, after.through, after.next_record, since, at);
        }
        following.books.absent += records;
        (following.books.state, following.books.last_received) = (after, at);
        self.spans += following.shown.spans.len() - spans_before;
    }

    fn finish(mut self) -> Gaps {
        for (chain, next, began) in std::mem::take(&mut self.ends) {
            self.ended(chain, next, began);
        }
        let mut gaps = self.gaps;
        let mut chains: Vec<(u64, ChainSpans)> = Vec::new();
        for mut following in self.chains.into_values() {
            following.begin();
            let Following { books, order, mut shown, .. } = following;
            (shown.last_received, shown.used) = (books.last_received, books.state.next_record > 1);
            chains.push((order, shown));
        }
        chains.sort_by_key(|(order, spans)| (spans.chain.agent, spans.chain.lane, *order));
        gaps.chains = chains.into_iter().map(|(_, spans)| spans).collect();
        gaps
    }

    /// A chain ended before `next` (none: nobody knows) when its successor began: is all of it here?
    fn ended(&mut self, chain: ChainId, next: Option<u64>, began: Timestamp) {
        let Some(following) = self.chains.get_mut(&chain) else {
            // Nothing of it ever came here. Its genesis frame alone says nothing.
            if next.is_none_or(|next| next > 2) {
                let following = self.following(chain, ChainBooks::EMPTY);
                following.end(next, began);
            }
            return;
        };
        if next.is_none_or(|next| next > following.books.state.through + 1) {
            following.end(next, began);
        }
    }
}

#[cfg(test)]
mod tests;
