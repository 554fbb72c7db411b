//! A journal held against anchors that were written down of it, elsewhere.
//!
//! For each seal and each end there is one of: *intact* (the very bytes are there), *altered* (other bytes are, or they
//! do not read), *removed* (a segment went that was not let go), *cut* (the journal ends before it), *retired* (the
//! aggregator let it go, and signed that it did), *elsewhere* (it is of another journal, and of every chain that the
//! anchors name this one says that another aggregator has it, or has it itself). And for each chain's head the same.
//!
//! What is not intact names the last anchor before it that is: between the two it happened.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use shared::identity::{AgentId, ChainId, FrameHash};
use shared::log::SegmentDigest;
use shared::protocol::ChainState;

use super::super::SealHead;
use super::anchors::Anchors;
use super::seals::{SealBook, Segments, seal_name};
use super::verify::{Fate, Finding, Severity};

/// How a chain came from one prefix to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The state at this log offset has it there.
    Base(u64),
    /// A frame.
    Frame,
    /// A range that this journal never got; the aggregator that has it, where one is known.
    Absent(Option<AgentId>),
}

/// What stands where an anchor's head should.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    /// The head.
    Head,
    /// Another hash.
    Other(FrameHash),
    /// Nothing: it came before the state at this log offset.
    Before(u64),
    /// An absent range.
    Absent(Option<AgentId>),
}

/// The heads of the anchors, while a pass over the journal comes by them.
#[derive(Default)]
pub(super) struct Watch {
    wanted: BTreeMap<ChainId, BTreeMap<u64, FrameHash>>,
    found: BTreeMap<(ChainId, u64), Found>,
}

impl Watch {
    pub(super) fn new(heads: &[SealHead]) -> Self {
        let mut wanted: BTreeMap<ChainId, BTreeMap<u64, FrameHash>> = BTreeMap::new();
        for SealHead { chain, through, head } in heads {
            wanted.entry(*chain).or_default().insert(*through, *head);
        }
        Self { wanted, found: BTreeMap::new() }
    }

    /// A chain goes on, from the sequence `before` to `after`.
    pub(super) fn step(&mut self, chain: ChainId, before: u64, after: &ChainState, step: Step) {
        let Some(wanted) = self.wanted.get(&chain) else { return };
        let from = if matches!(step, Step::Base(_)) { 0 } else { before + 1 };
        if from > after.through {
            return;
        }
        for (through, head) in wanted.range(from..=after.through) {
            let found = match step {
                _ if *through == after.through && *head == after.head => Found::Head,
                // Of what came before it a state knows only the prefix.
                Step::Base(offset) if *through < after.through => Found::Before(offset),
                Step::Absent(aggregator) => Found::Absent(aggregator),
                Step::Base(_) | Step::Frame => Found::Other(after.head),
            };
            self.found.entry((chain, *through)).or_insert(found);
        }
    }

    /// A finding for each head that is not intact.
    fn judge(&self, journal: &Judged<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        // What another aggregator said itself never comes here.
        let foreign = |chain: &ChainId| Some(chain.agent) == journal.foreign;
        let wanted = self.wanted.iter().filter(|(chain, _)| !foreign(chain));
        let all = wanted.flat_map(|(chain, wanted)| wanted.keys().map(|through| (*chain, *through)));
        for (chain, through) in all {
            let (fate, detail) = match self.found.get(&(chain, through)) {
                Some(Found::Head) => continue,
                Some(Found::Other(head)) => {
                    (Fate::Altered, format!("another frame stands there, with the hash {head}"))
                }
                Some(Found::Before(offset)) if *offset <= journal.book.retired_through() => {
                    (Fate::Retired, "its segment was let go".to_owned())
                }
                Some(Found::Before(_)) => (Fate::Removed, "what stood before the next segment is gone".to_owned()),
                Some(Found::Absent(Some(other))) if Some(*other) != journal.own => {
                    (Fate::Elsewhere, format!("this journal never got it, aggregator {other} has it"))
                }
                Some(Found::Absent(Some(_))) => (Fate::Removed, "this aggregator had it, and has not".to_owned()),
                Some(Found::Absent(None)) => (Fate::Removed, "this journal says that it never got it".to_owned()),
                None => match journal.ends.get(&chain) {
                    Some(end) => (Fate::Cut, format!("this chain ends with sequence {}", end.through)),
                    None => (Fate::Removed, "this journal knows nothing of this chain".to_owned()),
                },
            };
            let anchor = Some(format!("head at sequence {through}"));
            findings.push(Finding { chain: Some(chain), anchor, ..fate.finding(detail) });
        }
        findings
    }
}

/// What a pass over the journal has found.
pub(super) struct Judged<'a> {
    /// The last prefix of each chain.
    pub(super) ends: &'a BTreeMap<ChainId, ChainState>,
    pub(super) book: &'a SealBook,
    pub(super) segments: &'a Segments,
    /// The aggregator itself.
    pub(super) own: Option<AgentId>,
    /// The aggregator of the anchors, where they are of another journal.
    pub(super) foreign: Option<AgentId>,
}

/// Everything that the anchors say, judged, in the order of the journal; heads come last.
pub(super) fn judge(anchors: &Anchors, watch: &Watch, journal: &Judged<'_>) -> Vec<Finding> {
    let Judged { book, segments, .. } = *journal;
    let heads = watch.judge(journal);
    let excused = !anchors.heads.is_empty() && heads.iter().all(|finding| finding.severity != Severity::Fail);
    let mut found: Vec<(u64, Finding)> = Vec::new();
    for seal in &anchors.seals {
        let said = &seal.statement;
        let (mut fate, mut detail) = place(&said.digest, said.log_id, segments, book, excused);
        let known = book.seals.get(&said.number);
        if fate == Fate::Intact && known.is_some_and(|known| known != seal) {
            (fate, detail) = (Fate::Altered, "the journal has another seal of this number".to_owned());
        }
        if fate == Fate::Intact {
            detail = format!("hash {}", HEXLOWER.encode(&seal.hash()));
        }
        let position = (said.positions.1 != 0).then_some(said.positions.1);
        let anchor = Some(seal_name(said.number));
        found.push((said.digest.end, Finding { anchor, position, ..fate.finding(detail) }));
    }
    for end in &anchors.ends {
        let (fate, detail) = place(&end.digest, end.log_id, segments, book, excused);
        let position = (end.position != 0).then_some(end.position);
        let anchor = Some(format!("end of {}", end.taken_at));
        found.push((end.digest.end, Finding { anchor, position, ..fate.finding(detail) }));
    }
    found.sort_by_key(|(end, _)| *end);
    let mut since = "the beginning".to_owned();
    let mut judged = Vec::with_capacity(found.len() + heads.len());
    for (_, finding) in found {
        if finding.fate == Some(Fate::Intact) {
            since = finding.anchor.clone().unwrap_or_default();
        }
        judged.push(Finding { since: Some(since.clone()), ..finding });
    }
    judged.extend(heads);
    judged
}

/// What became of the bytes that an anchor names. `excused`: no chain misses what the anchors say that it had.
fn place(
    digest: &SegmentDigest,
    log_id: [u8; 16],
    segments: &Segments,
    book: &SealBook,
    excused: bool,
) -> (Fate, String) {
    let SegmentDigest { first, end, .. } = *digest;
    if log_id != segments.log_id {
        let whose = format!(
            "it is of the journal {}, this one is {}",
            HEXLOWER.encode(&log_id),
            HEXLOWER.encode(&segments.log_id)
        );
        return if excused {
            (Fate::Elsewhere, format!("{whose}; what its heads name is here, or another aggregator has it"))
        } else {
            (Fate::Removed, whose)
        };
    }
    match segments.matches(digest) {
        Some(true) => return (Fate::Intact, String::new()),
        _ if end <= book.retired_through() => {
            let retired = book.retired.as_ref();
            let said = retired.map(|retired| format!("let go for {} by {}", retired.reason.name(), retired.at));
            return (Fate::Retired, said.unwrap_or_default());
        }
        Some(false) => {
            return (Fate::Altered, format!("log offsets {first} to {end} are not the bytes that were there"));
        }
        None => {}
    }
    let newest = segments.firsts.last().copied().unwrap_or(0);
    if first > newest || (first == newest && end > segments.end) {
        (Fate::Cut, format!("the journal ends at log offset {}, before {end}", segments.end))
    } else if segments.firsts.contains(&first) {
        (Fate::Altered, format!("log offsets {first} to {end} do not all read any more"))
    } else {
        (Fate::Removed, format!("the segment from log offset {first} to {end} is gone"))
    }
}

/// Chains that the anchors name and that are as they say: for the sentence that counts them.
pub(super) fn chains_named(anchors: &Anchors) -> usize {
    anchors.heads.iter().map(|head| head.chain).collect::<BTreeSet<_>>().len()
}

impl Fate {
    /// A finding about an anchor.
    pub(super) fn finding(self, detail: String) -> Finding {
        let severity = match self {
            Self::Intact | Self::Retired => Severity::Fine,
            Self::Elsewhere | Self::Unsealed => Severity::Warn,
            Self::Altered | Self::Removed | Self::Cut => Severity::Fail,
        };
        Finding { fate: Some(self), ..Finding::new("anchors", severity, detail) }
    }
}

#[cfg(test)]
mod tests;
