//! Reading a lane for the uplink: frames in order, a loss frame in the place of every hole.
//!
//! The cursor stays where the last frame was found, so that a backlog is read once from front to back. What has
//! just been committed is usually still in memory and is not read at all.

use std::io;
use std::sync::Arc;

use shared::frame::{Frame, FrameKind, Header, LossNotice, Place, Sealer};
use shared::identity::{ChainId, Epoch, FrameHash};
use shared::log::{Entry, Kind, Reader};
use shared::record::LossReason;
use shared::time::Timestamp;

use super::lane::{SpoolLane, Start};
use super::state::{Acked, EpochState};

/// Where reading stands: in front of `sequence` of `epoch`.
pub(super) struct Cursor {
    reader: Reader,
    epoch: Epoch,
    sequence: u64,
    next_record: u64,
    /// Hash and time of what was last read.
    prev: FrameHash,
    time: Timestamp,
    /// A frame that was read and stands behind a hole that goes out first.
    peeked: Option<Frame>,
}

impl Cursor {
    /// Log offset of what is read next.
    pub(super) fn at(&self) -> u64 {
        self.reader.at()
    }
}

/// What a scan for a sequence ended at.
enum Reached {
    /// The frame itself.
    Frame(Frame),
    /// Nothing at that sequence; the chain goes on with this frame.
    Behind(Frame),
    /// Nothing at that sequence, and the epoch ends before anything else.
    End,
}

impl SpoolLane {
    /// The first chain position that no aggregator has.
    fn oldest_unacked(&self) -> Option<(Epoch, u64)> {
        let epoch = self.committed.epochs.iter().find(|epoch| !epoch.is_acked())?;
        Some((epoch.epoch, epoch.acked.through + 1))
    }

    fn position_after(&self, after: Option<(Epoch, u64)>) -> Option<(Epoch, u64)> {
        let Some((epoch, sequence)) = after else { return self.oldest_unacked() };
        let Some(at) = self.committed.epochs.iter().position(|state| state.epoch == epoch) else {
            return self.oldest_unacked();
        };
        let state = self.committed.epochs.get(at)?;
        if sequence + 1 < state.next_sequence {
            return Some((epoch, sequence + 1));
        }
        let next = self.committed.epochs.iter().skip(at + 1).find(|state| !state.is_acked())?;
        Some((next.epoch, next.acked.through + 1))
    }

    /// The frame that follows on `after` (none: on what is acked), or the loss frame that stands in its place;
    /// `None` when everything committed has been given out.
    ///
    /// # Errors
    /// The log's folder or a segment cannot be read.
    pub fn next_frame(&mut self, after: Option<(Epoch, u64)>, sealer: &mut Sealer) -> io::Result<Option<Frame>> {
        let Some((epoch, sequence)) = self.position_after(after) else { return Ok(None) };
        let in_hole = self.committed.epoch(epoch).is_some_and(|state| state.hole_at(sequence).is_some());
        let recent = if in_hole { None } else { self.take_recent(epoch, sequence) };
        let frame = match recent {
            Some(frame) => frame,
            None => match self.find(epoch, sequence)? {
                Reached::Frame(frame) => frame,
                Reached::Behind(right) => {
                    let header = right.header();
                    let end = (header.sequence, header.first_record, header.prev, header.sealed_at);
                    let loss = self.loss_frame(epoch, sequence, end, sealer)?;
                    if let Some(cursor) = self.cursor.as_mut() {
                        cursor.peeked = Some(right);
                    }
                    loss
                }
                Reached::End => {
                    let Some(state) = self.committed.epoch(epoch).cloned() else { return Ok(None) };
                    let end = (state.next_sequence, state.next_record, state.head, self.now());
                    self.loss_frame(epoch, sequence, end, sealer)?
                }
            },
        };
        let header = frame.header();
        let hash = self.hash_behind(&frame);
        let acked = Acked { through: header.next_sequence() - 1, hash, next_record: header.next_record() };
        self.remember_sent(epoch, acked);
        Ok(Some(frame))
    }

    /// Head of the chain behind a frame that [`SpoolLane::next_frame`] has just given.
    pub(super) fn hash_behind(&self, frame: &Frame) -> FrameHash {
        match frame.header().kind {
            FrameKind::Loss => self.cursor.as_ref().map_or(frame.hash(), |cursor| cursor.prev),
            FrameKind::Data | FrameKind::Genesis => frame.hash(),
        }
    }

    /// Puts the cursor in front of `(epoch, sequence)`, or somewhere before it.
    fn seek(&mut self, epoch: Epoch, sequence: u64) {
        if self.cursor.as_ref().is_some_and(|cursor| cursor.epoch == epoch && cursor.sequence == sequence) {
            return;
        }
        let state = self.committed.epoch(epoch);
        let before = |start: &&Start| {
            let stood = state.and_then(|state| start.of(state));
            stood.is_none_or(|(stood, _)| start.epoch == epoch && stood <= sequence)
        };
        let start = self.starts.iter().rfind(before);
        let place = self.table.with_index(|index| index.place(self.lane as u8, epoch.0, sequence).ok().flatten());
        let base = start.map_or(self.log.oldest(), |start| start.first);
        let offset = place.flatten().map_or(base, |(_, offset)| offset.max(base));
        // The nearest place at or before the wanted one of which the chain is known. If nothing of the log reads
        // up to the wanted one, the loss begins here: what the aggregator has of it, it leaves out.
        let acked = state.map_or(EpochState::new(epoch).acked, |state| state.acked);
        let mut stands = (acked.through + 1, acked.next_record, acked.hash);
        if let Some(start) = start.filter(|start| start.epoch == epoch && start.sequence > stands.0) {
            stands = (start.sequence, start.next_record, start.head);
        }
        if let Some(sent) = self.sent.iter().find(|sent| sent.epoch == epoch && sent.acked.through + 1 == sequence) {
            stands = (sequence, sent.acked.next_record, sent.acked.hash);
        }
        let reader = Reader::new(Arc::clone(&self.fs), self.log.dir(), offset.max(self.log.oldest()));
        let (sequence, next_record, prev) = stands;
        self.cursor = Some(Cursor { reader, epoch, sequence, next_record, prev, time: Timestamp(0), peeked: None });
    }

    /// Reads on to `(epoch, sequence)` or what stands behind it.
    fn find(&mut self, epoch: Epoch, sequence: u64) -> io::Result<Reached> {
        self.seek(epoch, sequence);
        let limit = self.log.committed();
        let later: Vec<Epoch> =
            self.committed.epochs.iter().skip_while(|state| state.epoch != epoch).skip(1).map(|s| s.epoch).collect();
        let Some(state) = self.committed.epoch(epoch) else { return Ok(Reached::End) };
        let Some(cursor) = self.cursor.as_mut() else { return Ok(Reached::End) };
        loop {
            let frame = match cursor.peeked.take() {
                Some(frame) => frame,
                None => match cursor.next(limit, epoch, &later)? {
                    Some(frame) => frame,
                    None => return Ok(Reached::End),
                },
            };
            let header = frame.header();
            if header.chain.epoch != epoch {
                cursor.peeked = Some(frame);
                return Ok(Reached::End);
            }
            let lost = state.hole_at(header.sequence).is_some();
            if header.sequence > sequence && !lost {
                return Ok(Reached::Behind(frame));
            }
            if header.sequence == sequence && !lost {
                cursor.passed(&frame);
                return Ok(Reached::Frame(frame));
            }
            if header.sequence < sequence && header.next_sequence() > cursor.sequence {
                cursor.passed(&frame);
            }
        }
    }

    /// Seals the loss frame for `[sequence, end)`, and remembers the hole if nobody knew of it.
    fn loss_frame(
        &mut self,
        epoch: Epoch,
        sequence: u64,
        (end, end_record, last_hash, last_time): (u64, u64, FrameHash, Timestamp),
        sealer: &mut Sealer,
    ) -> io::Result<Frame> {
        let known = self.committed.epoch(epoch).and_then(|state| state.hole_at(sequence)).map(|hole| hole.reason);
        let Some(cursor) = self.cursor.as_mut() else { return Err(io::Error::other("reading stands nowhere")) };
        let (sequence, first_record) = (cursor.sequence.min(sequence), cursor.next_record.min(end_record));
        let (span, records) = (end - sequence, end_record - first_record);
        // A range that is too wide for one frame goes in parts; the records stand in the first ones, and what
        // the chain was between the parts is this host's to say.
        let span = if records > u64::from(u32::MAX) && span > 1 { 1 } else { u32::try_from(span).unwrap_or(u32::MAX) };
        let records = u32::try_from(records).unwrap_or(u32::MAX);
        let (whole_end, whole_hash) = (end, last_hash);
        let (end, end_record) = (sequence + u64::from(span), first_record + u64::from(records));
        let last_hash = if end < whole_end { cursor.prev } else { whole_hash };
        let reason = known.unwrap_or(LossReason::Damage);
        let chain = ChainId { agent: self.agent, lane: self.lane, epoch };
        let sealed_at = self.clock.now();
        let place = Place { chain, sequence, first_record, prev: cursor.prev, sealed_at };
        let notice = LossNotice { reason, first_time: cursor.time, last_time, last_hash };
        let frame = sealer.loss(&place, span, records, &notice).map_err(io::Error::other)?;
        (cursor.sequence, cursor.next_record, cursor.prev, cursor.time) = (end, end_record, last_hash, last_time);
        let unsaid =
            |state: &EpochState| state.not_in_holes((sequence, first_record), (end, end_record), LossReason::Damage);
        for hole in self.state.epoch(epoch).map(unsaid).unwrap_or_default() {
            tracing::error!(lane = %self.lane, %epoch, hole.sequence, hole.span, hole.records, "frames do not read back; a loss frame takes their place");
            self.state.lose(epoch, hole);
            self.committed.lose(epoch, hole);
        }
        Ok(frame)
    }

    /// The head of the chain behind `through`, read from the log: to prove or refute what an aggregator says.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn chain_at(&mut self, epoch: Epoch, through: u64) -> io::Result<Option<Acked>> {
        let Some(state) = self.committed.epoch(epoch).cloned() else { return Ok(None) };
        if through == state.acked.through {
            return Ok(Some(state.acked));
        }
        if through == 0 || through >= state.next_sequence || through < state.acked.through {
            return Ok(None);
        }
        if through + 1 == state.next_sequence {
            return Ok(Some(Acked { through, hash: state.head, next_record: state.next_record }));
        }
        if let Some(sent) = self.sent.iter().find(|sent| sent.epoch == epoch && sent.acked.through == through) {
            return Ok(Some(sent.acked));
        }
        self.cursor = None;
        let reached = self.find(epoch, through)?;
        let found = match reached {
            Reached::Frame(frame) => Some(behind(&frame)),
            // `through` ends a hole: the chain goes on with what its right neighbor says came before it.
            Reached::Behind(right) if right.header().sequence == through + 1 => {
                let header = right.header();
                Some(Acked { through, hash: header.prev, next_record: header.first_record })
            }
            Reached::Behind(_) | Reached::End => None,
        };
        self.cursor = None;
        Ok(found)
    }

    /// Everything of the lane that an aggregator is told at the beginning of a session.
    #[must_use]
    pub fn epochs(&self) -> &[EpochState] {
        &self.committed.epochs
    }

    /// A committed frame, for quarantine.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn frame_at(&mut self, epoch: Epoch, sequence: u64) -> io::Result<Option<Frame>> {
        self.cursor = None;
        let reached = self.find(epoch, sequence)?;
        self.cursor = None;
        Ok(match reached {
            Reached::Frame(frame) => Some(frame),
            Reached::Behind(_) | Reached::End => None,
        })
    }

    /// Gives buffers back: nothing has come for a while, or the uplink has caught up.
    pub fn rest(&mut self) {
        self.log.rest();
        if let Some(cursor) = self.cursor.as_mut() {
            cursor.reader.rest();
        }
    }
}

fn behind(frame: &Frame) -> Acked {
    let header = frame.header();
    Acked { through: header.next_sequence() - 1, hash: frame.hash(), next_record: header.next_record() }
}

impl Cursor {
    fn passed(&mut self, frame: &Frame) {
        let header = frame.header();
        (self.epoch, self.sequence) = (header.chain.epoch, header.next_sequence());
        (self.next_record, self.prev, self.time) = (header.next_record(), frame.hash(), header.sealed_at);
    }

    /// The next frame of `epoch`, or the first of an epoch behind it.
    fn next(&mut self, limit: u64, epoch: Epoch, later: &[Epoch]) -> io::Result<Option<Frame>> {
        while let Some(entry) = self.reader.next(limit)? {
            let Entry::Record(record) = entry else { continue };
            if record.kind != Kind::Frame {
                continue;
            }
            let Ok(header) = Header::parse(record.payload) else { continue };
            if header.chain.epoch != epoch && !later.contains(&header.chain.epoch) {
                continue;
            }
            if let Ok(frame) = Frame::parse(record.payload.to_vec()) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}
