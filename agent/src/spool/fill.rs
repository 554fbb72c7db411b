//! What comes in on its way into frames: chunks and the agent's own records become a lane's batch, a batch that
//! is full or old enough becomes a frame.
//!
//! Behind a sealed frame that finds no room everything of its lane waits, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::batch::{Batch, Line, Origin};
use shared::frame::Frame;
use shared::identity::Lane;
use shared::limits::FRAME_RAW_BYTES_SEAL;
use shared::record::{LossReason, Value};

use super::checkpoints::Row;
use super::inbox::Item;
use super::lane::SpoolLane;
use super::worker::Worker;
use super::{OnFull, seal_age};
use crate::fingerprint::FileId;
use crate::handover::{Checkpoint, Chunk, Lines, Loss, Records, SourceIndex, fields_bytes};

/// A line after this much silence on the high lane is sealed at once.
const SILENCE: Duration = Duration::from_secs(1);
const FIRST_LINE_AGE: Duration = Duration::from_millis(20);
/// A quiet lane gives its batch's room back after this long.
pub(super) const RELEASE_AFTER: Duration = Duration::from_secs(5);
/// Room that a record of the agent's own may take.
const TYPED_BYTES: usize = 16 << 10;
/// Origins remembered; a host with more files than this makes some again.
const ORIGINS_MAX: usize = 1_024;

/// A sealed frame on its way into the log.
pub(super) struct Parked {
    pub(super) frame: Frame,
    /// Its checkpoints.
    pub(super) rows: Vec<Row>,
    /// Refused records that its loss records count.
    pub(super) told: u64,
}

/// One lane's batch on its way into a frame.
pub(super) struct Filling {
    pub(super) lane: SpoolLane,
    pub(super) batch: Batch,
    pub(super) rows: BTreeMap<FileId, Checkpoint>,
    /// When the batch got its first record.
    pub(super) opened: Option<Instant>,
    pub(super) due: Option<Instant>,
    pub(super) last_record: Option<Instant>,
    /// What found no room.
    pub(super) parked: Option<Parked>,
    /// What was taken in the turn in which the frame was parked: at most one queue full.
    pub(super) waiting: VecDeque<Item>,
    pub(super) on_full: OnFull,
    /// Records counted before this start.
    pub(super) observed_before: u64,
    /// Records that this thread made itself.
    pub(super) said: u64,
    /// Refused records that loss records in the batch count.
    pub(super) telling: u64,
    pub(super) ack_due: bool,
    pub(super) last_mark: Instant,
    pub(super) released: bool,
}

impl Worker {
    fn origin(&mut self, source: SourceIndex, log_name: &Arc<str>) -> Arc<Origin> {
        let key = (source.0, Arc::clone(log_name));
        if let Some(origin) = self.origins.get(&key) {
            return Arc::clone(origin);
        }
        let mut origin = self.config.sources.get(usize::from(source.0)).cloned().unwrap_or_default();
        origin.log_name = log_name.to_string();
        let origin = Arc::new(origin);
        if self.origins.len() >= ORIGINS_MAX {
            self.origins.clear();
        }
        self.origins.insert(key, Arc::clone(&origin));
        origin
    }

    /// Puts lines into their lane's batch; behind a parked frame they wait.
    pub(super) fn take_lines(&mut self, chunk: Chunk, now: Instant) {
        let origin = self.origin(chunk.source, &chunk.log_name);
        let lane = chunk.lane.index();
        let room = |f: &Filling| f.batch.has_room(&origin, chunk.lines.marks.len(), chunk.lines.bytes.len());
        if self.lanes.get(lane).is_some_and(|filling| filling.waiting.is_empty() && !room(filling)) {
            self.seal(lane);
        }
        let Some(filling) = self.lanes.get_mut(lane) else { return };
        if filling.waiting.is_empty() && filling.batch.is_empty() && !room(filling) {
            // More than one frame holds.
            return self.take_halves(chunk, now);
        }
        if !filling.waiting.is_empty() || !room(filling) {
            filling.waiting.push_back(Item::Lines(chunk));
            return;
        }
        if !chunk.lines.marks.is_empty() {
            filling.opened(now);
        }
        let index = filling.batch.origin(&origin);
        for (mark, bytes) in chunk.lines.iter() {
            let line = Line { bytes, offset: mark.offset, full_size: mark.full_size, flags: mark.flags };
            filling.batch.push_line(index, chunk.read_at, line);
        }
        if let Some(checkpoint) = chunk.checkpoint {
            filling.rows.insert(checkpoint.file(), checkpoint);
            filling.due.get_or_insert(now + seal_age(filling.lane.lane));
        }
        chunk.lines.leave();
        if filling.batch.raw_len() >= FRAME_RAW_BYTES_SEAL {
            self.seal(lane);
        }
    }

    /// Takes a chunk in two parts, the checkpoint with the second one.
    fn take_halves(&mut self, chunk: Chunk, now: Instant) {
        let count = chunk.lines.marks.len();
        if count < 2 {
            // No source may hand over a line that a frame cannot hold.
            tracing::error!(bytes = chunk.lines.bytes.len(), "a line is larger than a frame; it is lost");
            self.lanes.get_mut(chunk.lane.index()).into_iter().for_each(|filling| filling.lane.refuse(1));
            return;
        }
        let (mut first, mut second) = (Lines::default(), Lines::default());
        for (number, (mark, bytes)) in chunk.lines.iter().enumerate() {
            let half = if number < count / 2 { &mut first } else { &mut second };
            half.push(bytes, mark.offset, mark.full_size, mark.flags);
        }
        let checkpoint = chunk.checkpoint;
        self.take_lines(Chunk { lines: first, checkpoint: None, ..chunk.clone() }, now);
        self.take_lines(Chunk { lines: second, checkpoint, ..chunk }, now);
    }

    /// Puts typed records into their lane's batch; behind a parked frame they wait. One that no frame holds is refused.
    pub(super) fn take_records(&mut self, mut records: Records, now: Instant) {
        let origin = self.origin(records.source, &records.log_name);
        let lane = records.lane.index();
        let mut taken = 0;
        for fields in records.records() {
            let bytes = fields_bytes(fields);
            let room = |f: &Filling| f.waiting.is_empty() && f.batch.has_room(&origin, 1, bytes);
            if self.lanes.get(lane).is_some_and(|filling| filling.waiting.is_empty() && !room(filling)) {
                self.seal(lane);
            }
            let Some(filling) = self.lanes.get_mut(lane) else { return };
            let is_empty = filling.waiting.is_empty() && filling.batch.is_empty();
            if !is_empty && !room(filling) {
                break;
            }
            filling.opened(now);
            taken += 1;
            let fits = room(filling) && {
                let index = filling.batch.origin(&origin);
                filling.batch.push_typed(index, records.read_at, fields)
            };
            if !fits {
                tracing::error!(bytes, source = origin.source, "a record is larger than a frame takes; it is lost");
                filling.lane.refuse(1);
            } else if filling.batch.raw_len() >= FRAME_RAW_BYTES_SEAL {
                self.seal(lane);
            }
        }
        records.skip(taken);
        if !records.is_empty()
            && let Some(filling) = self.lanes.get_mut(lane)
        {
            filling.waiting.push_back(Item::Records(records));
        }
    }

    /// Takes what waited behind a parked frame, as far as it fits now.
    pub(super) fn take_waiting(&mut self, lane: usize, now: Instant) {
        let waiting = self.lanes.get_mut(lane).map(|filling| std::mem::take(&mut filling.waiting)).unwrap_or_default();
        for item in waiting {
            match item {
                Item::Lines(chunk) => self.take_lines(chunk, now),
                Item::Records(records) => self.take_records(records, now),
                Item::Loss(loss) => self.take_loss(&loss, now),
            }
        }
    }

    /// A record of the agent's own; whether it was taken. One that finds no room is counted as refused.
    pub(super) fn take_typed(&mut self, lane: Lane, origin: Origin, fields: &[(String, Value)], now: Instant) -> bool {
        let (read_at, origin) = (self.clock.now(), Arc::new(origin));
        if self.lanes.get(lane.index()).is_some_and(|filling| !filling.batch.has_room(&origin, 1, TYPED_BYTES)) {
            self.seal(lane.index());
        }
        let Some(filling) = self.lanes.get_mut(lane.index()) else { return false };
        filling.opened(now);
        let taken = filling.batch.has_room(&origin, 1, TYPED_BYTES) && {
            let index = filling.batch.origin(&origin);
            filling.batch.push_typed(index, read_at, fields)
        };
        if !taken {
            filling.lane.refuse(1);
        }
        taken
    }

    /// A record of the program's own, on lane high.
    pub(super) fn take_own(&mut self, kind: &str, fields: &[(String, Value)], now: Instant) {
        let origin = Origin { source: "picket".to_owned(), kind: kind.to_owned(), ..Origin::default() };
        if let Some(filling) = self.filling(Lane::High) {
            filling.said += 1;
        }
        self.take_typed(Lane::High, origin, fields, now);
    }

    /// Records that were refused and of which nobody was told, lane by lane.
    pub(super) fn take_refused(&mut self, now: Instant) {
        for lane in Lane::ALL {
            let Some(filling) = self.lanes.get_mut(lane.index()).filter(|filling| filling.parked.is_none()) else {
                continue;
            };
            let count = filling.lane.state.untold.saturating_sub(filling.telling);
            if count == 0 {
                continue;
            }
            filling.said += 1;
            let fields = [
                ("picket.record".to_owned(), Value::String("loss".to_owned())),
                ("reason".to_owned(), Value::String(LossReason::SpoolFull.name().to_owned())),
                ("count".to_owned(), Value::U64(count)),
            ];
            let origin = Origin { source: "picket".to_owned(), kind: "loss".to_owned(), ..Origin::default() };
            if self.take_typed(lane, origin, &fields, now)
                && let Some(filling) = self.filling(lane)
            {
                filling.telling += count;
            }
        }
    }

    pub(super) fn take_loss(&mut self, loss: &Loss, now: Instant) {
        let mut origin = self.config.sources.get(usize::from(loss.source.0)).cloned().unwrap_or_default();
        origin.log_name = loss.path.to_string();
        self.take_typed(loss.lane, origin, &loss.fields(), now);
    }

    /// The books of every lane as one typed record.
    pub(super) fn take_health(&mut self, now: Instant) {
        let status = self.status();
        let lanes = status.lanes.iter().map(|(lane, status)| {
            let mut fields = vec![
                ("observed".to_owned(), Value::U64(status.observed)),
                ("excluded".to_owned(), Value::U64(status.excluded)),
                ("held".to_owned(), Value::U64(status.held)),
                ("spooled".to_owned(), Value::U64(status.spooled)),
                ("acked".to_owned(), Value::U64(status.acked)),
            ];
            let lost = status.lost.iter().map(|(reason, count)| (reason.clone(), Value::U64(*count)));
            fields.push(("lost".to_owned(), Value::Map(lost.collect())));
            (lane.clone(), Value::Map(fields))
        });
        let fields = vec![
            ("picket.record".to_owned(), Value::String("health".to_owned())),
            ("lanes".to_owned(), Value::Map(lanes.collect())),
            ("spool_bytes".to_owned(), Value::U64(status.bytes)),
        ];
        let origin = Origin { source: "picket".to_owned(), kind: "health".to_owned(), ..Origin::default() };
        if let Some(filling) = self.filling(Lane::Normal) {
            filling.said += 1;
        }
        self.take_typed(Lane::Normal, origin, &fields, now);
    }

    pub(super) fn seal_due(&mut self, lane: usize, all: bool, now: Instant) {
        let Some(filling) = self.lanes.get_mut(lane) else { return };
        if all || filling.due.is_some_and(|due| due <= now) {
            self.seal(lane);
        }
        let Some(filling) = self.lanes.get_mut(lane) else { return };
        if !filling.released && filling.last_record.is_some_and(|last| now >= last + RELEASE_AFTER) {
            filling.batch.release();
            filling.lane.rest();
            filling.released = true;
            if self.lanes.iter().all(|filling| filling.released) {
                self.sealer.rest();
                // Sources rest before what they handed over last is taken.
                Lines::forget_spares();
            }
        }
    }

    /// Turns a lane's batch into a frame and appends it, or parks it.
    pub(super) fn seal(&mut self, lane: usize) {
        let Some(filling) = self.lanes.get_mut(lane) else { return };
        if filling.parked.is_some() {
            return;
        }
        if filling.batch.is_empty() && !filling.rows.is_empty() {
            let need = filling.lane.need(0, filling.rows.len(), 0);
            let (fits, by) = (filling.lane.fits(need), filling.lane.growth(need));
            if !fits && !self.may_grow(lane, by) {
                // They ride with the next frame.
                self.lanes.get_mut(lane).into_iter().for_each(|filling| filling.due = None);
                return;
            }
        }
        let Some(filling) = self.lanes.get_mut(lane) else { return };
        let generation = &mut self.generation;
        let number = |checkpoint| {
            *generation += 1;
            Row { checkpoint, generation: *generation, lane: filling.lane.lane }
        };
        let rows: Vec<Row> = std::mem::take(&mut filling.rows).into_values().map(number).collect();
        (filling.opened, filling.due) = (None, None);
        if filling.batch.is_empty() {
            for row in rows {
                if let Err(error) = filling.lane.append_row(row) {
                    tracing::debug!(%error, "a checkpoint waits for room, and rides with the next frame");
                    filling.rows.insert(row.checkpoint.file(), row.checkpoint);
                }
            }
            return;
        }
        let (place, sealer) = (filling.lane.next_place(), &mut self.sealer);
        let sealed = filling.batch.with_columns(&self.config.host, |n, columns| sealer.data(&place, n, columns));
        match sealed {
            Ok(frame) => {
                filling.batch.clear();
                filling.parked = Some(Parked { frame, rows, told: std::mem::take(&mut filling.telling) });
                self.store_parked(lane);
            }
            // Batches are bounded below what a frame takes; if that ever fails the lines must not vanish quietly.
            Err(error) => {
                tracing::error!(%error, records = filling.batch.records(), "a batch could not be sealed; its records are lost");
                filling.lane.refuse_behind(u64::from(filling.batch.records()), rows);
                filling.telling = 0;
                filling.batch.clear();
            }
        }
    }
}

impl Filling {
    /// Records in memory that no frame holds, or whose frame found no room, or that were given up and not counted yet.
    pub(super) fn held(&self) -> u64 {
        let parked = self.parked.as_ref().map_or(0, |parked| u64::from(parked.frame.header().records));
        let waiting: u64 = self.waiting.iter().map(|item| item.weight().1).sum();
        u64::from(self.batch.records()) + parked + waiting + self.lane.refusing()
    }

    /// The batch gets a record: when is it due?
    fn opened(&mut self, now: Instant) {
        let quiet = self.last_record.is_none_or(|last| now.saturating_duration_since(last) >= SILENCE);
        let age = if quiet && self.lane.lane == Lane::High { FIRST_LINE_AGE } else { seal_age(self.lane.lane) };
        if self.opened.is_none() {
            self.opened = Some(now);
            self.due = Some(now + age);
        }
        self.last_record = Some(now);
        self.released = false;
    }
}
