//! What a lane lets go of: segments in which everything is acked, its oldest when it is full, frames that the
//! aggregator refuses, an epoch that is known elsewhere with other content.
//!
//! Nothing is unlinked before the log says, durably, what became of it.

use std::io;

use shared::frame::{Frame, FrameKind, GenesisReason, Sealer};
use shared::identity::Epoch;
use shared::record::LossReason;

use super::lane::{MARK_BYTES, SpoolLane, Start};
use super::state::Acked;

/// What a fork seals again between two commits.
const FORK_GROUP_BYTES: usize = 1 << 20;

impl SpoolLane {
    /// Whether every frame before `start` is acked. Epochs that began later do not matter, nor those that are
    /// gone from the list: all of them is acked, or sealed again.
    fn is_acked_before(&self, start: &Start) -> bool {
        let unacked = |state: &_| start.of(state).is_some_and(|(sequence, _)| state.acked.through + 1 < sequence);
        !self.state.epochs.iter().any(unacked)
    }

    /// Unlinks the finished segments in which everything is acked. Returns the bytes that came free.
    ///
    /// # Errors
    /// The covering mark could not be made durable, or a file not be unlinked.
    pub fn trim(&mut self) -> io::Result<u64> {
        let acked = self.starts.iter().rev().find(|start| self.is_acked_before(start));
        let through = acked.map_or(0, |start| start.first);
        self.drop_through(through)
    }

    /// Marks, commits, unlinks.
    fn drop_through(&mut self, through: u64) -> io::Result<u64> {
        if self.log.oldest_finished().is_none_or(|(_, end)| end > through) {
            return Ok(0);
        }
        self.say()?;
        let freed = self.log.trim(through);
        let oldest = self.log.oldest();
        self.starts.retain(|start| start.first >= oldest);
        self.table.with_index(|index| index.trim_places(self.lane as u8, oldest));
        if self.cursor.as_ref().is_some_and(|cursor| cursor.at() < oldest) {
            self.cursor = None;
        }
        freed
    }

    /// Gives up the oldest finished segment: what is unacked in it becomes a hole. False when only the active
    /// one is left.
    ///
    /// # Errors
    /// As [`SpoolLane::trim`].
    pub fn drop_oldest(&mut self) -> io::Result<bool> {
        self.commit()?;
        let Some((_, end)) = self.log.oldest_finished() else { return Ok(false) };
        let Some(behind) = self.starts.iter().find(|start| start.first >= end).cloned() else { return Ok(false) };
        let mut holes = Vec::new();
        for state in &self.state.epochs {
            let Some(to) = behind.of(state) else { continue };
            let from = (state.acked.through + 1, state.acked.next_record);
            let parts = state.not_in_holes(from, to, LossReason::DropOldest);
            holes.extend(parts.into_iter().map(|hole| (state.epoch, hole)));
        }
        for (epoch, hole) in holes {
            tracing::warn!(lane = %self.lane, %epoch, records = hole.records, "dropped the oldest segment: the spool is full");
            self.state.lose(epoch, hole);
        }
        self.settle();
        self.drop_through(behind.first).map(|_| true)
    }

    /// Sets a frame aside that the aggregator refused twice: a loss frame takes its place.
    ///
    /// # Errors
    /// The mark could not be made durable.
    pub fn reject(&mut self, epoch: Epoch, frame: &Frame) -> io::Result<()> {
        let header = frame.header();
        let from = (header.sequence, header.first_record);
        let to = (header.next_sequence(), header.next_record());
        let parts = self.state.epoch(epoch).map(|state| state.not_in_holes(from, to, LossReason::Rejected));
        for hole in parts.into_iter().flatten() {
            self.state.lose(epoch, hole);
        }
        self.cursor = None;
        self.settle();
        self.say()
    }

    /// Begins a new epoch (or, for an older one, uses the current) and seals again what is unacked of `epoch`.
    ///
    /// # Errors
    /// The log cannot be read or written; the next session finds the fork again.
    pub fn fork(&mut self, epoch: Epoch, sealer: &mut Sealer) -> io::Result<()> {
        self.commit()?;
        if self.state.current().is_some_and(|current| current.epoch == epoch) {
            self.new_epoch(GenesisReason::Fork, sealer)?;
        }
        let mut after = self.state.epoch(epoch).map_or(0, |state| state.acked.through);
        while let Some(frame) = self.next_frame(Some((epoch, after)), sealer)? {
            let header = frame.header().clone();
            if header.chain.epoch != epoch {
                break;
            }
            after = header.next_sequence() - 1;
            if header.kind == FrameKind::Data {
                let again = frame.reseal(&self.next_place()).map_err(io::Error::other)?;
                self.make_room(again.bytes().len())?;
                self.stage(again)?;
                self.state.tell_again(epoch, header.sequence);
                // The same records under new numbers: they are in the books once.
                self.state.books.sealed = self.state.books.sealed.saturating_sub(u64::from(header.records));
            }
            if header.kind == FrameKind::Loss {
                let reason =
                    self.state.epoch(epoch).and_then(|old| old.hole_at(header.sequence)).map(|hole| hole.reason);
                // The mark stands behind the hole in one write: nobody hears of a sequence that is not in the log.
                self.make_room(MARK_BYTES)?;
                self.state.lost_before(u64::from(header.records), reason.unwrap_or(LossReason::Damage));
                self.mark();
            }
            let hash = self.hash_behind(&frame);
            if let Some(old) = self.state.epoch_mut(epoch) {
                old.acked = Acked { through: after, hash, next_record: header.next_record() };
            }
            if self.log.pending_bytes() > FORK_GROUP_BYTES {
                self.say()?;
                self.trim()?;
            }
        }
        self.state.epochs.retain(|state| state.epoch != epoch);
        self.cursor = None;
        self.sent.clear();
        self.settle();
        self.say()?;
        self.trim().map(|_| ())
    }
}
