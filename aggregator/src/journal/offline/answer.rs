//! Was anything missing from this host in this window? One answer per agent, from what [`super::Gaps`] found.
//!
//! # How a window is judged
//!
//! Windows are in the aggregator's time; a host's clock is never believed where it could hide something. Two times
//! stand on each frame: `received_at`, ours, and `sealed_at`, the host's. A record is seen before its frame is sealed,
//! and sealed before it is received. From this follows:
//!
//! - **The beginning** is held against `received_at` alone: what was received before `since` was seen before it, and
//!   everything later may belong to the window. A backlog that comes hours late is therefore read to the end.
//! - **The end** needs proof. Sequences of a chain follow on without a gap, so a frame that was sealed after `until`
//!   accounts for everything its lane saw up to there: it is held, or a span says what became of it. A lane is
//!   *covered* up to the latest `min(sealed_at, received_at)` of its frames, so that a clock that is ahead proves
//!   nothing early. Frames received after `until` but sealed before it are of the window, and came late; they are not
//!   missing. Without a frame from after `until` the answer is silent: nobody knows.
//! - **A lane that had nothing to say** is covered by one of lower priority: the agent sends high before normal before
//!   bulk. A lane that never carried a record is not asked.
//! - **Losses** carry their own span of time, by the host's clock: [first, last] of a loss frame or record, or the
//!   `sealed_at` of the frames on both sides of a hole. One that touches the window counts, whenever it was told. The
//!   smallest `received_at − sealed_at` of the host's frames bounds how wrong its clock is (ahead by at least that
//!   where it is negative, behind by at most that), and widens the span by as much.
//! - **An open end** (no `until`, or one that is not over): judged up to each agent's last frame. Quiet for longer
//!   than [`QUIET_MAX`] is silent.
//!
//! Lost is `missing: true`, in records or in units of its own (packets that the kernel dropped): these stand in the
//! sentence and in no sum of records. Elsewhere, unknown and silent are `unknown`: this journal cannot tell. The rest is `false`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use shared::identity::Lane;
use shared::record::LossReason;
use shared::time::Timestamp;

use super::gaps::{ChainSpans, Span, SpanKind};

/// An agent that was quiet for longer than this is silent, where the window has no end. Agents have nothing to say
/// while their hosts have not; most hosts write something more often.
pub const QUIET_MAX: Duration = Duration::from_secs(15 * 60);

/// A difference of clocks that is said.
const CLOCK_TOLD: Duration = Duration::from_secs(60);

/// From when on and before when, in the aggregator's time; what is not given has no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// Its beginning.
    pub since: Option<Timestamp>,
    /// Its end.
    pub until: Option<Timestamp>,
}

/// How far a host's clock is from ours, as far as its frames tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostClock {
    /// The smallest `received_at − sealed_at`, nanoseconds; none without frames.
    pub delay_least: Option<i64>,
}

/// Whether something is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Nothing is.
    No,
    /// Something is.
    Yes,
    /// This journal cannot tell.
    Unknown,
}

/// The answer for one agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// In one word.
    pub missing: Missing,
    /// Records that are known to be lost.
    pub lost: u64,
    /// In one sentence: `complete`, `N records lost (reason)`, `unknown: …`, `silent from … to …`.
    pub sentence: String,
}

/// What else is known of an agent and its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// When it is asked.
    pub now: Timestamp,
    /// What was received before this is gone from the journal.
    pub begins: Option<Timestamp>,
    /// Its certificate was revoked.
    pub revoked: Option<Timestamp>,
}

impl HostClock {
    pub(super) fn seen(&mut self, sealed_at: Timestamp, received_at: Timestamp) {
        let delay = received_at.0.saturating_sub(sealed_at.0);
        self.delay_least = Some(self.delay_least.map_or(delay, |least| least.min(delay)));
    }

    fn joined(clocks: impl Iterator<Item = Self>) -> Self {
        Self { delay_least: clocks.filter_map(|clock| clock.delay_least).min() }
    }

    /// A sentence about a clock that is wrong by more than a little.
    fn told(self) -> Option<String> {
        let delay = self.delay_least?;
        let by = Duration::from_nanos(delay.unsigned_abs());
        let is = if delay < 0 { "its clock is ahead by" } else { "its clock is behind, or its frames were late, by" };
        (by >= CLOCK_TOLD).then(|| format!("{is} {}", span_text(by)))
    }
}

impl Window {
    /// Whether what was seen from `from` (none: nobody knows since when) to `to`, by a host's clock, may lie in it.
    #[must_use]
    pub fn touches(&self, from: Option<Timestamp>, to: Timestamp, clock: HostClock) -> bool {
        let delay = clock.delay_least.unwrap_or(0);
        let from = from.map(|from| from.0.saturating_add(delay.min(0)));
        let to = to.0.saturating_add(delay.max(0));
        self.since.is_none_or(|since| to >= since.0) && self.until.zip(from).is_none_or(|(until, from)| from < until.0)
    }

    /// Whether a span is part of it: everything but losses of another time.
    #[must_use]
    pub fn shows(&self, span: &Span, clock: HostClock) -> bool {
        match span.kind {
            SpanKind::Before(_) | SpanKind::Held | SpanKind::After => true,
            _ => self.touches(span.from, span.to, clock),
        }
    }

    /// Its end, where that is over.
    fn closed(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until < now)
    }
}

/// What was found of one agent so far.
#[derive(Default)]
struct Findings {
    /// By reason; none: nobody counted.
    lost: BTreeMap<String, Option<u64>>,
    /// What never became records, by reason and unit.
    unseen: BTreeMap<(String, &'static str), Option<u64>>,
    unknown: Vec<String>,
    elsewhere: BTreeMap<String, u64>,
    nowhere: u64,
    silent: Option<String>,
}

/// The answer for the agent whose chains these are.
#[must_use]
pub fn answer(chains: &[&ChainSpans], window: Window, around: Circumstances) -> Answer {
    let clock = HostClock::joined(chains.iter().map(|chain| chain.clock));
    let mut found = Findings::default();
    for chain in chains {
        for span in chain.spans.iter().filter(|span| window.shows(span, clock)) {
            found.span(span, window, around.begins);
        }
    }
    found.silent = silence(chains, window, around, &mut found.unknown);
    let mut end = Vec::new();
    let covered = chains.iter().filter_map(|chain| chain.covered).max();
    if window.closed(around.now).is_none() && found.silent.is_none() {
        end.extend(covered.map(|covered| format!("the last frame is of {covered}")));
    }
    if let Some(until) = window.closed(around.now) {
        let late = chains.iter().filter_map(|chain| chain.last_of_window).max();
        end.extend(
            late.filter(|late| late.since(until) >= CLOCK_TOLD).map(|late| format!("the last of it came at {late}")),
        );
        let began = chains.iter().map(|chain| chain.began).min().flatten();
        end.extend(began.filter(|began| *began > until).map(|began| format!("it began at {began}, after the window")));
    }
    end.extend(clock.told());
    found.conclude(end)
}

/// The answer for an agent of the roster that never sent anything.
#[must_use]
pub fn never_heard(enrolled: Timestamp, window: Window) -> Answer {
    if let Some(until) = window.until.filter(|until| enrolled > *until) {
        let sentence = format!("complete: it was enrolled at {enrolled}, after {until}");
        return Answer { missing: Missing::No, lost: 0, sentence };
    }
    let sentence = format!("unknown: nothing of it is in this journal; it was enrolled at {enrolled}");
    Answer { missing: Missing::Unknown, lost: 0, sentence }
}

/// Up to where the window is not covered, if anything is not; lanes that alone are not covered go to `unknown`.
fn silence(chains: &[&ChainSpans], window: Window, around: Circumstances, unknown: &mut Vec<String>) -> Option<String> {
    let covered = |lanes: &dyn Fn(Lane) -> bool| {
        chains.iter().filter(|chain| lanes(chain.chain.lane)).filter_map(|chain| chain.covered).max()
    };
    let latest = covered(&|_| true);
    let shown = |covered: Option<Timestamp>| covered.map_or("the beginning".to_owned(), |at| at.to_string());
    let Some(until) = window.closed(around.now) else {
        let end = around.revoked.unwrap_or(around.now);
        let quiet = latest.is_none_or(|latest| end.since(latest) > QUIET_MAX);
        return quiet.then(|| format!("silent from {} to {end}", shown(latest)));
    };
    let until = around.revoked.map_or(until, |revoked| revoked.min(until));
    if latest.is_none_or(|latest| latest < until) {
        return Some(format!("silent from {} to {until}", shown(latest)));
    }
    let used: BTreeSet<Lane> = chains.iter().filter(|chain| chain.used).map(|chain| chain.chain.lane).collect();
    for lane in used {
        let covered = covered(&|other| other >= lane);
        if covered.is_none_or(|covered| covered < until) {
            unknown.push(format!("lane {lane} has sent nothing that is later than {}", shown(covered)));
        }
    }
    None
}

impl Findings {
    fn lose(&mut self, reason: &str, records: Option<u64>) {
        let known = self.lost.entry(reason.to_owned()).or_insert(Some(0));
        *known = known.zip(records).map(|(sum, more)| sum.saturating_add(more));
    }

    fn span(&mut self, span: &Span, window: Window, begins: Option<Timestamp>) {
        match &span.kind {
            SpanKind::Held | SpanKind::After => {}
            SpanKind::Before(books) => match window.since {
                None if books.lost > 0 => self.lose("before the oldest frame that is left", Some(books.lost)),
                None => self.nowhere = self.nowhere.saturating_add(books.absent),
                Some(since) => {
                    if let Some(begins) = begins.filter(|begins| *begins > since) {
                        let (lost, absent) = (books.lost, books.absent);
                        let told = format!(
                            "the journal begins at {begins}; of all before it {lost} records were lost and {absent} absent"
                        );
                        if !self.unknown.contains(&told) {
                            self.unknown.push(told);
                        }
                    }
                }
            },
            SpanKind::Lost { reason } => self.lose(reason, span.records),
            SpanKind::Hole => self.lose(LossReason::JournalDamage.name(), span.records),
            SpanKind::Loss { reason, .. } => self.lose(reason, span.records),
            SpanKind::Unseen { reason, unit, count, .. } => {
                let known = self.unseen.entry((reason.clone(), unit)).or_insert(Some(0));
                *known = known.zip(*count).map(|(sum, more)| sum.saturating_add(more));
            }
            SpanKind::Absent { elsewhere: Some(aggregator) } => {
                let sum = self.elsewhere.entry(aggregator.to_string()).or_default();
                *sum = sum.saturating_add(span.records.unwrap_or(0));
            }
            SpanKind::Absent { elsewhere: None } => {
                self.nowhere = self.nowhere.saturating_add(span.records.unwrap_or(0));
            }
            SpanKind::Ended => {
                let sequences = span.sequences.map(|(first, last)| format!(" (sequences {first} to {last})"));
                let sequences = sequences.unwrap_or_default();
                self.unknown.push(format!("an epoch ended without proof that all of it came{sequences}"));
            }
        }
    }

    fn conclude(mut self, end: Vec<String>) -> Answer {
        let lost = self.lost.values().flatten().fold(0, |sum: u64, more| sum.saturating_add(*more));
        let mut parts = Vec::new();
        if !self.lost.is_empty() {
            let uncounted = self.lost.values().any(Option::is_none);
            let mut reasons = String::new();
            for (reason, records) in &self.lost {
                let between = if reasons.is_empty() { "" } else { ", " };
                let _ = match records {
                    Some(records) if self.lost.len() > 1 => write!(reasons, "{between}{reason} {records}"),
                    Some(_) => write!(reasons, "{between}{reason}"),
                    None => write!(reasons, "{between}{reason} uncounted"),
                };
            }
            parts.push(match (lost, uncounted) {
                (0, true) => format!("records lost ({reasons})"),
                (lost, true) => format!("{lost} records and more lost ({reasons})"),
                (1, false) => format!("1 record lost ({reasons})"),
                (lost, false) => format!("{lost} records lost ({reasons})"),
            });
        }
        for ((reason, unit), count) in &self.unseen {
            parts.push(match count {
                Some(count) => format!("{count} {unit} never became records ({reason})"),
                None => format!("{unit} never became records ({reason})"),
            });
        }
        for (aggregator, records) in &self.elsewhere {
            self.unknown.push(format!("{records} records are elsewhere (aggregator {aggregator})"));
        }
        if self.nowhere > 0 {
            self.unknown.push(format!("{} records never came here, and nobody says where they are", self.nowhere));
        }
        let missing = match (parts.is_empty(), self.unknown.is_empty() && self.silent.is_none()) {
            (false, _) => Missing::Yes,
            (true, false) => Missing::Unknown,
            (true, true) => Missing::No,
        };
        if !self.unknown.is_empty() {
            parts.push(format!("unknown: {}", self.unknown.join(", ")));
        }
        parts.extend(self.silent);
        if parts.is_empty() {
            parts.push("complete".to_owned());
        }
        parts.extend(end);
        Answer { missing, lost, sentence: parts.join("; ") }
    }
}

/// A time span in its two largest units.
#[must_use]
pub fn span_text(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests;
