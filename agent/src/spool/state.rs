//! What a lane knows beside its frames: epochs, acks, holes, the books.
//!
//! It is folded from the log at start and written into it as marks and at the head of every segment. Its text
//! form is JSON: small, readable in a dump, and a later version may add fields.
//!
//! Invariants: epochs stand oldest first and the last one is current; within an epoch
//! `acked.through < next_sequence`; `sealed = spooled + acked + Σ lost` over all lanes of time; of what was refused
//! each record is either untold, or counted by a loss record in a frame, and untold again when that frame is lost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::frame::{Header, PreviousEpoch};
use shared::identity::{AgentId, Epoch, FrameHash};
use shared::limits::{DELIVERIES_MAX, HOLES_MAX, TOLD_MAX};
use shared::record::LossReason;

/// What an aggregator has acked of an epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delivered {
    /// Which aggregator.
    pub aggregator: AgentId,
    /// Its prefix.
    pub through: u64,
}

/// Where acks stand in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Acked {
    /// Last acked sequence; 0 for none.
    pub through: u64,
    /// Hash of the chain there; zero for none.
    pub hash: FrameHash,
    /// Number of the record behind it.
    pub next_record: u64,
}

/// Sequences that are not in the log any more, or never go out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hole {
    /// First missing sequence.
    pub sequence: u64,
    /// How many.
    pub span: u64,
    /// Number of the first missing record.
    pub first_record: u64,
    /// How many.
    pub records: u64,
    /// Why.
    pub reason: LossReason,
}

impl Hole {
    /// The sequence behind it.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.sequence.saturating_add(self.span)
    }

    pub(super) fn holds(&self, sequence: u64) -> bool {
        (self.sequence..self.end()).contains(&sequence)
    }
}

/// One epoch of a lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EpochState {
    /// Its name.
    pub epoch: Epoch,
    /// Sequence of the next frame.
    pub next_sequence: u64,
    /// Number of the next record.
    pub next_record: u64,
    /// Hash of the last frame.
    pub head: FrameHash,
    /// Where acks stand.
    pub acked: Acked,
    /// The last aggregators that acked, the latest last.
    #[serde(default)]
    pub delivered: Vec<Delivered>,
    /// Why sequences are missing; one that is missing and not named here is damage.
    #[serde(default)]
    pub holes: Vec<Hole>,
    /// It ended without proof: frames behind `next_sequence` may have been lost unseen.
    #[serde(default)]
    pub end_unknown: bool,
}

impl EpochState {
    /// An epoch that has nothing, not even its genesis frame.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            next_sequence: 1,
            next_record: 1,
            head: FrameHash::ZERO,
            acked: Acked { through: 0, hash: FrameHash::ZERO, next_record: 1 },
            delivered: Vec::new(),
            holes: Vec::new(),
            end_unknown: false,
        }
    }

    /// Whether an aggregator has everything of it.
    #[must_use]
    pub fn is_acked(&self) -> bool {
        self.acked.through + 1 >= self.next_sequence
    }

    /// What the genesis frame of the next epoch says of this one.
    #[must_use]
    pub fn as_previous(&self) -> PreviousEpoch {
        let known = !self.end_unknown;
        PreviousEpoch { epoch: self.epoch, next: known.then_some(self.next_sequence), head: known.then_some(self.head) }
    }

    /// The hole that a sequence stands in.
    #[must_use]
    pub fn hole_at(&self, sequence: u64) -> Option<&Hole> {
        self.holes.iter().find(|hole| hole.holds(sequence))
    }

    /// Adds a hole, joined with the one before it where they touch and have one reason.
    pub fn add_hole(&mut self, hole: Hole) {
        match self.holes.iter_mut().find(|known| known.end() == hole.sequence && known.reason == hole.reason) {
            Some(known) => {
                known.span = known.span.saturating_add(hole.span);
                known.records += hole.records;
            }
            None => self.holes.push(hole),
        }
        self.holes.sort_by_key(|hole| hole.sequence);
    }

    /// The parts of `[from, to)` (sequences and record numbers) of which nobody said yet that they are lost.
    #[must_use]
    pub fn not_in_holes(&self, from: (u64, u64), to: (u64, u64), reason: LossReason) -> Vec<Hole> {
        let mut parts = Vec::new();
        let mut part = |(sequence, first_record): (u64, u64), (end, end_record): (u64, u64)| {
            if end > sequence {
                let (span, records) = (end - sequence, end_record.saturating_sub(first_record));
                parts.push(Hole { sequence, span, first_record, records, reason });
            }
        };
        let mut at = from;
        for hole in self.holes.iter().filter(|hole| hole.end() > from.0 && hole.sequence < to.0) {
            part(at, (hole.sequence, hole.first_record));
            at = (at.0.max(hole.end()), at.1.max(hole.first_record + hole.records));
        }
        part(at, to);
        parts
    }

    /// Records that are lost in `[from, to)`.
    fn lost_between(&self, from: u64, to: u64) -> u64 {
        let overlap = |hole: &Hole| {
            let (start, end) = (hole.first_record.max(from), (hole.first_record + hole.records).min(to));
            end.saturating_sub(start)
        };
        self.holes.iter().map(overlap).sum()
    }
}

/// Records by what became of them, since the spool was made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Books {
    /// Dropped at the source by a rule of the fleet file.
    pub excluded: u64,
    /// Given a number and sealed into a frame.
    pub sealed: u64,
    /// Acked by an aggregator.
    pub acked: u64,
    /// Lost after they had a number, by reason.
    pub lost: BTreeMap<LossReason, u64>,
    /// Refused before they got a number, by reason.
    pub refused: BTreeMap<LossReason, u64>,
}

impl Books {
    /// Sealed and neither acked nor lost.
    #[must_use]
    pub fn spooled(&self) -> u64 {
        self.sealed.saturating_sub(self.acked).saturating_sub(self.lost.values().sum())
    }
}

/// A frame with a loss record that nobody has acked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Where it stands.
    pub epoch: Epoch,
    /// Its sequence.
    pub sequence: u64,
    /// Records that were refused, as it says.
    pub count: u64,
}

/// Everything that a lane knows beside its frames and checkpoints.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneState {
    /// The host that wrote it: `/etc/machine-id`.
    pub machine_id: String,
    /// Oldest first; the last is current.
    pub epochs: Vec<EpochState>,
    /// The books.
    pub books: Books,
    /// Of what was refused, records that no loss record counts.
    pub untold: u64,
    /// Loss records on their way, oldest first.
    pub told: Vec<Told>,
    /// The last record of a clean stop.
    pub clean: bool,
}

impl LaneState {
    /// Names of all epochs.
    #[must_use]
    pub fn names(&self) -> Vec<Epoch> {
        self.epochs.iter().map(|state| state.epoch).collect()
    }

    /// The epoch that new frames go to.
    #[must_use]
    pub fn current(&self) -> Option<&EpochState> {
        self.epochs.last()
    }

    /// An epoch by name.
    #[must_use]
    pub fn epoch(&self, epoch: Epoch) -> Option<&EpochState> {
        self.epochs.iter().find(|state| state.epoch == epoch)
    }

    /// An epoch by name, to change it.
    pub fn epoch_mut(&mut self, epoch: Epoch) -> Option<&mut EpochState> {
        self.epochs.iter_mut().find(|state| state.epoch == epoch)
    }

    /// Takes note of a frame that was appended (or is read again at start). `hash` is the frame's.
    pub fn appended(&mut self, header: &Header, hash: FrameHash) {
        if self.epoch(header.chain.epoch).is_none() {
            self.epochs.push(EpochState::new(header.chain.epoch));
        }
        let Some(epoch) = self.epoch_mut(header.chain.epoch) else { return };
        if header.sequence < epoch.next_sequence {
            return;
        }
        // At start, after damage: what is missing before it was sealed too, and becomes a hole when it is read.
        let sealed = header.next_record().saturating_sub(epoch.next_record);
        epoch.next_sequence = header.next_sequence();
        epoch.next_record = header.next_record();
        epoch.head = hash;
        self.books.sealed += sealed;
        self.clean = false;
    }

    /// Takes note of an ack. Returns true when it moved something.
    pub fn ack(&mut self, epoch: Epoch, acked: Acked) -> bool {
        let Some(state) = self.epoch_mut(epoch) else { return false };
        if acked.through <= state.acked.through || acked.through >= state.next_sequence {
            return false;
        }
        let (from, to) = (state.acked.next_record, acked.next_record.max(state.acked.next_record));
        let delivered = (to - from).saturating_sub(state.lost_between(from, to));
        state.acked = acked;
        state.holes.retain(|hole| hole.end() > acked.through + 1);
        self.told.retain(|told| told.epoch != epoch || told.sequence > acked.through);
        self.books.acked += delivered;
        let current = self.epochs.len().saturating_sub(1);
        let mut index = 0;
        self.epochs.retain(|state| {
            index += 1;
            index > current || !state.is_acked()
        });
        true
    }

    /// Remembers how far an aggregator is.
    pub fn delivered(&mut self, epoch: Epoch, aggregator: AgentId, through: u64) {
        let Some(state) = self.epoch_mut(epoch) else { return };
        state.delivered.retain(|known| known.aggregator != aggregator);
        state.delivered.push(Delivered { aggregator, through });
        if state.delivered.len() > DELIVERIES_MAX {
            state.delivered.remove(0);
        }
    }

    /// Counts sequences as lost and remembers why.
    pub fn lose(&mut self, epoch: Epoch, hole: Hole) {
        if let Some(state) = self.epoch_mut(epoch) {
            state.add_hole(hole);
            *self.books.lost.entry(hole.reason).or_default() += hole.records;
            let again = self.told.extract_if(.., |told| told.epoch == epoch && hole.holds(told.sequence));
            self.untold += again.map(|told| told.count).sum::<u64>();
        }
        self.forget_holes();
    }

    /// Counts records that get no number.
    pub fn refuse(&mut self, count: u64) {
        *self.books.refused.entry(LossReason::SpoolFull).or_default() += count;
        self.untold += count;
    }

    /// The last frame has a loss record that counts `count` of what was refused.
    pub fn tell(&mut self, count: u64) {
        self.untold = self.untold.saturating_sub(count);
        let Some(current) = self.epochs.last().filter(|_| count > 0) else { return };
        self.told.push(Told { epoch: current.epoch, sequence: current.next_sequence - 1, count });
        if self.told.len() > TOLD_MAX {
            self.told.remove(0);
        }
    }

    /// The last frame was sealed again from `sequence` of `epoch`.
    pub fn tell_again(&mut self, epoch: Epoch, sequence: u64) {
        let Some(current) = self.epochs.last() else { return };
        let (to, at) = (current.epoch, current.next_sequence - 1);
        for told in self.told.iter_mut().filter(|told| told.epoch == epoch && told.sequence == sequence) {
            (told.epoch, told.sequence) = (to, at);
        }
    }

    /// Records that were lost in an epoch that is given up for the current one: they leave a hole in this one, so
    /// that the aggregator hears of them. The books know them already.
    pub fn lost_before(&mut self, records: u64, reason: LossReason) {
        let Some(current) = self.epochs.last_mut() else { return };
        let (sequence, first_record) = (current.next_sequence, current.next_record);
        current.add_hole(Hole { sequence, span: 1, first_record, records, reason });
        (current.next_sequence, current.next_record) = (sequence + 1, first_record + records);
        self.forget_holes();
    }

    /// Keeps marks within their bound: the oldest holes go, and count again when they are met, as damage.
    fn forget_holes(&mut self) {
        while self.epochs.iter().map(|state| state.holes.len()).sum::<usize>() > HOLES_MAX {
            let Some(state) = self.epochs.iter_mut().find(|state| !state.holes.is_empty()) else { return };
            let forgotten = state.holes.remove(0);
            // Records of it that an ack has passed were counted for good.
            let passed = state.acked.next_record.saturating_sub(forgotten.first_record).min(forgotten.records);
            let lost = self.books.lost.entry(forgotten.reason).or_default();
            *lost = lost.saturating_sub(forgotten.records - passed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(through: u64, next_record: u64) -> Acked {
        Acked { through, hash: FrameHash([1; 32]), next_record }
    }

    fn lane() -> LaneState {
        let mut epoch = EpochState::new(Epoch(1));
        (epoch.next_sequence, epoch.next_record) = (11, 101);
        let books = Books { sealed: 100, ..Books::default() };
        LaneState { epochs: vec![epoch], books, ..LaneState::default() }
    }

    #[test]
    fn acks_count_what_was_delivered_and_not_what_was_lost() {
        let mut lane = lane();
        let hole = Hole { sequence: 3, span: 2, first_record: 21, records: 20, reason: LossReason::DropOldest };
        lane.lose(Epoch(1), hole);
        assert_eq!(lane.books.spooled(), 80);
        assert!(lane.ack(Epoch(1), acked(5, 51)));
        assert_eq!((lane.books.acked, lane.books.spooled()), (30, 50));
        assert!(!lane.ack(Epoch(1), acked(4, 41)), "an older ack moves nothing");
        assert!(!lane.ack(Epoch(1), acked(11, 111)), "nothing is acked that was not sealed");
        assert!(lane.epochs[0].holes.is_empty());
        assert!(lane.ack(Epoch(1), acked(10, 101)));
        assert_eq!((lane.books.acked, lane.books.spooled()), (80, 0));
        assert_eq!(lane.epochs.len(), 1, "the current epoch stays");
    }

    #[test]
    fn old_epoch_goes_when_it_is_acked() {
        let mut lane = lane();
        lane.epochs.push(EpochState::new(Epoch(2)));
        assert!(lane.ack(Epoch(1), acked(10, 101)));
        assert_eq!(lane.epochs.iter().map(|e| e.epoch).collect::<Vec<_>>(), [Epoch(2)]);
    }

    #[test]
    fn touching_holes_of_one_reason_are_one() {
        let mut epoch = EpochState::new(Epoch(1));
        for i in 0..200u64 {
            let hole =
                Hole { sequence: 1 + i, span: 1, first_record: 1 + i, records: 1, reason: LossReason::DropOldest };
            epoch.add_hole(hole);
        }
        assert_eq!(epoch.holes.len(), 1);
        assert_eq!(epoch.holes[0].span, 200);
    }

    #[test]
    fn loss_record_in_a_frame_that_is_lost_is_told_again() {
        let mut lane = lane();
        lane.refuse(7);
        lane.tell(5);
        assert_eq!((lane.untold, lane.told.len()), (2, 1));
        let hole = Hole { sequence: 9, span: 2, first_record: 81, records: 20, reason: LossReason::DropOldest };
        lane.lose(Epoch(1), hole);
        assert_eq!((lane.untold, lane.told.len()), (7, 0));
        lane.epochs.push(EpochState { next_sequence: 4, ..EpochState::new(Epoch(2)) });
        lane.tell(7);
        lane.lose(Epoch(1), Hole { sequence: 3, span: 1, ..hole });
        assert!(lane.ack(Epoch(2), acked(2, 1)));
        assert_eq!(lane.untold, 0, "another epoch, and an ack before it");
        assert!(lane.ack(Epoch(2), acked(3, 1)));
        assert!(lane.told.is_empty());
    }

    #[test]
    fn state_survives_its_text_form() {
        let mut lane = lane();
        lane.books.lost.insert(LossReason::Damage, 3);
        lane.delivered(Epoch(1), AgentId([9; 16]), 4);
        let text = serde_json::to_vec(&lane).unwrap();
        assert_eq!(serde_json::from_slice::<LaneState>(&text).unwrap(), lane);
    }
}
