//! One lane of the spool: its batch, its log, its state.
//!
//! What is appended changes `state`; what is committed is `committed`. Readers and acks see only committed
//! frames. A lane never decides whether it may grow: the spool asks it to, or to drop its oldest.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use shared::frame::{Frame, GenesisNotice, GenesisReason, Header, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::log::{Entry, Fs, Kind, Log, Options, Reader, Record, Report, segment_states};
use shared::time::{Clock, Timestamp};

use super::checkpoints::{ROW_LEN, Row, Table};
use super::read::Cursor;
use super::refusal::Refusing;
use super::state::{Acked, EpochState, LaneState};
use crate::fingerprint::FileId;

/// A frame index entry is noted once per this many bytes of log.
pub(super) const INDEX_STRIDE_BYTES: u64 = 1 << 20;
/// Frames kept in memory after their commit, so that the uplink need not read them back.
const RECENT_BYTES_MAX: usize = 512 << 10;
/// Places of the chain that are remembered from when they go out until they are acked.
const SENT_MAX: usize = 4_096;
/// Room that a mark may take.
pub(super) const MARK_BYTES: usize = 32 << 10;
/// Epochs with unacked frames per lane; the oldest is sealed again into the current one beyond it.
pub(super) const EPOCHS_MAX: usize = 16;

/// Where the chain stood when a segment began.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) first: u64,
    /// The epochs that there were, up to the current one: all others are later.
    pub(super) epochs: Vec<Epoch>,
    pub(super) epoch: Epoch,
    pub(super) sequence: u64,
    pub(super) next_record: u64,
    pub(super) head: FrameHash,
}

/// Head of the chain behind a frame that went out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) epoch: Epoch,
    pub(super) acked: Acked,
}

enum Staged {
    Frame(Frame),
    Row(Row),
    Mark,
}

/// What a lane is made with.
pub struct LaneConfig {
    /// Which lane.
    pub lane: Lane,
    /// Whose frames.
    pub agent: AgentId,
    /// `/etc/machine-id`, or empty.
    pub machine_id: String,
    /// Layout of its log.
    pub options: Options,
}

/// A lane of the spool.
pub struct SpoolLane {
    /// The run before did not end by a clean stop, or with records in hand.
    pub(super) ended_badly: bool,
    pub(super) lane: Lane,
    pub(super) agent: AgentId,
    pub(super) fs: Arc<dyn Fs>,
    pub(super) log: Log,
    pub(super) table: Arc<Table>,
    pub(super) state: LaneState,
    pub(super) committed: LaneState,
    pub(super) starts: VecDeque<Start>,
    pub(super) sent: VecDeque<Sent>,
    pub(super) cursor: Option<Cursor>,
    pub(super) clock: Clock,
    staged: Vec<Staged>,
    /// Records were refused since a mark or a state said so.
    pub(super) unmarked: bool,
    pub(super) refusing: Refusing,
    recent: VecDeque<Frame>,
    recent_bytes: usize,
    noted_at: u64,
    /// Frames committed since the start.
    frames_committed: u64,
}

fn encode_state(state: &LaneState, rows: &[Row]) -> Vec<u8> {
    let text = encode_mark(state);
    let mut out = Vec::with_capacity(4 + text.len() + rows.len() * ROW_LEN);
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&text);
    rows.iter().for_each(|row| out.extend_from_slice(&row.to_bytes()));
    out
}

fn encode_mark(state: &LaneState) -> Vec<u8> {
    serde_json::to_vec(state).expect("numbers and strings always encode as JSON")
}

/// The inverse of `encode_state`; `None` when it is not one.
pub(super) fn decode_state(payload: &[u8]) -> Option<(LaneState, impl Iterator<Item = Row>)> {
    let (len, rest) = payload.split_first_chunk()?;
    let (text, rows) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
    Some((serde_json::from_slice(text).ok()?, rows.chunks_exact(ROW_LEN).filter_map(Row::from_bytes)))
}

fn start_of(first: u64, state: &LaneState) -> Option<Start> {
    let current = state.current()?;
    let EpochState { epoch, next_sequence, next_record, head, .. } = *current;
    Some(Start { first, epochs: state.names(), epoch, sequence: next_sequence, next_record, head })
}

impl Start {
    /// Where `state`'s epoch stood then: behind this sequence and record; none: it had not begun.
    pub(super) fn of(&self, state: &EpochState) -> Option<(u64, u64)> {
        if state.epoch == self.epoch {
            return Some((self.sequence, self.next_record));
        }
        self.epochs.contains(&state.epoch).then_some((state.next_sequence, state.next_record))
    }
}

/// The checkpoints that stand in a lane's log between two log offsets, the first of which is a segment's.
fn rows_in_log(fs: &Arc<dyn Fs>, dir: &Path, lane: Lane, from: u64, to: u64) -> io::Result<Vec<Row>> {
    let mut reader = Reader::new(Arc::clone(fs), dir, from);
    let mut latest: BTreeMap<FileId, Row> = BTreeMap::new();
    let mut take = |row: Row| {
        let known = latest.entry(row.checkpoint.file()).or_insert(row);
        if row.generation > known.generation {
            *known = row;
        }
    };
    while let Some(entry) = reader.next(to)? {
        match entry {
            Entry::Record(record) if record.kind == Kind::State => {
                decode_state(record.payload).into_iter().for_each(|(_, rows)| rows.for_each(&mut take));
            }
            Entry::Record(record) if record.kind == Kind::Checkpoint => {
                Row::from_bytes(record.payload).into_iter().for_each(&mut take);
            }
            Entry::Record(_) | Entry::Gap { .. } => {}
        }
    }
    latest.retain(|_, row| row.lane == lane);
    Ok(latest.into_values().collect())
}

/// Applies a record of the log to the state that is being folded at start.
pub(super) fn fold(state: &mut LaneState, rows: &mut Vec<Row>, record: &Record<'_>) {
    match record.kind {
        Kind::State => {
            if let Some((read, table)) = decode_state(record.payload) {
                *state = read;
                rows.extend(table);
            }
        }
        Kind::Mark => {
            if let Ok(read) = serde_json::from_slice(record.payload) {
                *state = read;
            }
        }
        Kind::Frame => {
            if let Ok(header) = Header::parse(record.payload) {
                state.appended(&header, FrameHash(*blake3::hash(record.payload).as_bytes()));
            }
        }
        Kind::Checkpoint => rows.extend(Row::from_bytes(record.payload)),
        Kind::Seal => {}
    }
}

impl SpoolLane {
    /// Opens or makes the lane's log in `dir`, folds its state, and begins an epoch where one is due.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        config: LaneConfig,
        table: Arc<Table>,
        clock: Clock,
        sealer: &mut Sealer,
    ) -> io::Result<(Self, Report)> {
        let LaneConfig { lane, agent, machine_id, options } = config;
        let mut state = LaneState { machine_id: machine_id.clone(), ..LaneState::default() };
        let mut rows = Vec::new();
        let fresh = state.clone();
        let opened = Log::open(
            Arc::clone(&fs),
            dir,
            options,
            clock.clone(),
            &mut |record| fold(&mut state, &mut rows, record),
            &|| encode_state(&fresh, &[]),
        )?;
        rows.into_iter().for_each(|row| table.commit(row));
        let mut starts = VecDeque::new();
        segment_states(fs.as_ref(), dir, &mut |first, payload| {
            starts.extend(decode_state(payload).and_then(|(state, _)| start_of(first, &state)));
        })?;
        let mut lane = Self {
            ended_badly: !state.epochs.is_empty() && !state.clean,
            lane,
            agent,
            log: opened.log,
            table,
            committed: state.clone(),
            state,
            starts,
            sent: VecDeque::new(),
            cursor: None,
            clock,
            staged: Vec::new(),
            unmarked: false,
            refusing: Refusing::default(),
            recent: VecDeque::new(),
            recent_bytes: 0,
            noted_at: 0,
            frames_committed: 0,
            fs,
        };
        lane.begin(&opened.report, machine_id, sealer)?;
        Ok((lane, opened.report))
    }

    /// Begins a new epoch where the log could not prove its continuity, or has none.
    fn begin(&mut self, report: &Report, machine_id: String, sealer: &mut Sealer) -> io::Result<()> {
        let moved = !machine_id.is_empty() && !self.state.machine_id.is_empty() && machine_id != self.state.machine_id;
        // A start that found no continuity may have ended before the new epoch stood in the log.
        let torn = !report.continuity || self.state.current().is_some_and(|current| current.end_unknown);
        let reason = match (self.state.epochs.is_empty(), torn, moved) {
            (true, false, _) => GenesisReason::NewSpool,
            (_, true, _) => GenesisReason::Continuity,
            (false, false, true) => GenesisReason::MachineId,
            (false, false, false) => return Ok(()),
        };
        if !machine_id.is_empty() {
            self.state.machine_id = machine_id;
        }
        if !report.continuity {
            if let Some(last) = self.state.epochs.last_mut() {
                last.end_unknown = true;
            }
            self.committed = self.state.clone();
            self.roll(0)?;
        }
        self.new_epoch(reason, sealer)?;
        // So that the machine's id is known again, even if the segment goes on for long.
        self.mark();
        self.commit().map(|_| ())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn chain(&self, epoch: Epoch) -> ChainId {
        ChainId { agent: self.agent, lane: self.lane, epoch }
    }

    /// Appends the genesis frame of a new epoch.
    pub(super) fn new_epoch(&mut self, reason: GenesisReason, sealer: &mut Sealer) -> io::Result<()> {
        let previous = self.state.current().map(EpochState::as_previous);
        let chain = self.chain(Epoch::random());
        tracing::info!(lane = %self.lane, epoch = %chain.epoch, ?reason, "a new epoch begins");
        let frame = sealer.genesis(chain, self.now(), &GenesisNotice { reason, previous }).map_err(io::Error::other)?;
        self.make_room(frame.bytes().len())?;
        self.stage(frame)
    }

    /// Where the next frame stands.
    #[must_use]
    pub fn next_place(&self) -> Place {
        let (sequence, first_record, prev, epoch) = self
            .state
            .current()
            .map_or((1, 1, FrameHash::ZERO, Epoch(0)), |e| (e.next_sequence, e.next_record, e.head, e.epoch));
        Place { chain: self.chain(epoch), sequence, first_record, prev, sealed_at: self.now() }
    }

    /// Whether a frame of this size goes into the segment that is there.
    #[must_use]
    pub fn fits(&self, frame_len: usize) -> bool {
        self.log.fits(Kind::Frame, frame_len)
    }

    /// Bytes of disk that one segment more would take.
    #[must_use]
    pub fn growth(&self, frame_len: usize) -> u64 {
        self.log.segment_size(self.table.count_of(self.lane) * ROW_LEN + 8_192, frame_len)
    }

    /// Whether the log has one segment, and every frame in it was acked or lost.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        let done = |state: &EpochState| state.acked.through + 1 == state.next_sequence;
        self.log.segments() == 1 && self.staged.is_empty() && self.state.epochs.iter().all(done)
    }

    /// Commits and begins a new segment when a frame of this size does not fit.
    pub(super) fn make_room(&mut self, frame_len: usize) -> io::Result<()> {
        if self.fits(frame_len) {
            return Ok(());
        }
        self.commit()?;
        self.roll(frame_len)
    }

    /// The rows of this lane, out of its log where the index lost them.
    ///
    /// # Errors
    /// The log cannot be read: no state may be written without them.
    pub fn rows(&self) -> io::Result<Vec<Row>> {
        if let Some(rows) = self.table.rows_of(self.lane) {
            return Ok(rows);
        }
        let rows = rows_in_log(&self.fs, self.log.dir(), self.lane, self.log.active_first(), self.log.committed())?;
        self.table.restore(self.lane, rows);
        Ok(self.table.rows_of(self.lane).unwrap_or_default())
    }

    pub(super) fn roll(&mut self, need: usize) -> io::Result<()> {
        let state = encode_state(&self.committed, &self.rows()?);
        let first = self.log.committed();
        self.log.roll(&state, need)?;
        self.unmarked &= self.committed.books != self.state.books;
        self.starts.retain(|start| start.first != first);
        self.starts.extend(start_of(first, &self.committed));
        Ok(())
    }

    /// Takes a frame that [`SpoolLane::make_room`] made room for.
    pub(super) fn stage(&mut self, frame: Frame) -> io::Result<()> {
        self.log.append(Kind::Frame, &[frame.bytes()]).map_err(io::Error::other)?;
        self.staged(frame);
        Ok(())
    }

    fn staged(&mut self, frame: Frame) {
        self.state.appended(frame.header(), frame.hash());
        self.staged.push(Staged::Frame(frame));
    }

    /// Bytes that checkpoints take in the log behind a frame of this size, with room to spare; and the mark that
    /// says what was refused before them, or is counted in the frame.
    #[must_use]
    pub fn need(&self, frame_len: usize, rows: usize, told: u64) -> usize {
        let marked = told > 0 || self.unmarked || self.refusing.count > 0;
        frame_len + (rows + self.refusing.rows.len()) * (ROW_LEN + 24) + if marked { MARK_BYTES } else { 0 }
    }

    /// Appends a frame and its checkpoints as one: after a crash all of it is there, or nothing. Its loss records
    /// count `told` of what was refused. A frame that was sealed for a place which another one has taken since (a
    /// fork came between) gets a new header.
    ///
    /// # Errors
    /// No room could be made; nothing was taken.
    pub fn append(&mut self, frame: &Frame, rows: &[Row], told: u64) -> io::Result<()> {
        self.append_all(Some(frame), rows, told)
    }

    /// Appends a checkpoint.
    ///
    /// # Errors
    /// No room could be made.
    pub fn append_row(&mut self, row: Row) -> io::Result<()> {
        self.append_all(None, &[row], 0)
    }

    pub(super) fn append_all(&mut self, frame: Option<&Frame>, rows: &[Row], told: u64) -> io::Result<()> {
        self.make_room(self.need(frame.map_or(0, |frame| frame.bytes().len()), rows.len(), told))?;
        let place = self.next_place();
        let frame = frame.map(|frame| {
            let header = frame.header();
            let stands = header.chain == place.chain && header.sequence == place.sequence && header.prev == place.prev;
            if stands { Ok(frame.clone()) } else { frame.reseal(&place).map_err(io::Error::other) }
        });
        let (frame, refused) = (frame.transpose()?, self.refusing.count);
        let rows: Vec<Row> = self.refusing.rows_beside(rows).chain(rows.iter().copied()).collect();
        let encoded: Vec<[u8; ROW_LEN]> = rows.iter().map(|row| row.to_bytes()).collect();
        let mut unit: Vec<(Kind, &[u8])> = frame.iter().map(|frame| (Kind::Frame, frame.bytes())).collect();
        unit.extend(encoded.iter().map(|row| (Kind::Checkpoint, row.as_slice())));
        let marked = (told > 0 || refused > 0 || self.unmarked).then(|| {
            let mut behind = self.state.clone();
            if let Some(frame) = &frame {
                behind.appended(frame.header(), frame.hash());
            }
            behind.refuse(refused);
            behind.tell(told);
            behind
        });
        let mark = marked.as_ref().map(encode_mark);
        unit.extend(mark.iter().map(|text| (Kind::Mark, text.as_slice())));
        self.log.append_unit(&unit).map_err(io::Error::other)?;
        frame.into_iter().for_each(|frame| self.staged(frame));
        self.staged.extend(rows.into_iter().map(Staged::Row));
        if let Some(behind) = marked {
            (self.state, self.unmarked) = (behind, false);
            self.staged.push(Staged::Mark);
        }
        self.refusing = Refusing::default();
        Ok(())
    }

    /// Appends a mark with everything that acks, holes and the books changed. Left out when even the reserve
    /// of the segment is used up: the next segment's state says the same.
    pub fn mark(&mut self) -> bool {
        let fits = self.log.append(Kind::Mark, &[&encode_mark(&self.state)]).is_ok();
        if fits {
            self.staged.push(Staged::Mark);
            self.unmarked = false;
        }
        fits
    }

    /// Makes what was appended durable. Returns how many frames that were.
    ///
    /// # Errors
    /// The disk refuses; what was appended is kept and the next call tries again.
    pub fn commit(&mut self) -> io::Result<usize> {
        if self.staged.is_empty() {
            return Ok(0);
        }
        let (committed, table, lane, fs) = (&self.committed, &self.table, self.lane, &self.fs);
        let (segment, through, dir) = (self.log.active_first(), self.log.committed(), self.log.dir().to_path_buf());
        let rows = || {
            table.rows_of(lane).map_or_else(|| rows_in_log(fs, &dir, lane, segment, through), Ok).unwrap_or_else(
                |error| {
                    tracing::error!(%lane, %error, "checkpoints could not be read back; files may be read twice");
                    Vec::new()
                },
            )
        };
        let offsets = self.log.commit(&|| encode_state(committed, &rows()))?;
        if self.log.active_first() != segment {
            self.starts.extend(start_of(self.log.active_first(), &self.committed));
        }
        self.committed = self.state.clone();
        let mut frames = 0;
        for (staged, offset) in self.staged.drain(..).zip(offsets) {
            match staged {
                Staged::Frame(frame) => {
                    frames += 1;
                    if offset >= self.noted_at + INDEX_STRIDE_BYTES {
                        let header = frame.header();
                        let (lane, epoch) = (self.lane as u8, header.chain.epoch.0);
                        self.table.with_index(|index| index.note_place(lane, epoch, header.sequence, offset));
                        self.noted_at = offset;
                    }
                    self.recent_bytes += frame.bytes().len();
                    self.recent.push_back(frame);
                }
                Staged::Row(row) => self.table.commit(row),
                Staged::Mark => {}
            }
        }
        self.frames_committed += frames as u64;
        while self.recent_bytes > RECENT_BYTES_MAX {
            let Some(frame) = self.recent.pop_front() else { break };
            self.recent_bytes -= frame.bytes().len();
        }
        Ok(frames)
    }

    /// What was changed without a record counts as committed where no record is under way.
    pub(super) fn settle(&mut self) {
        if self.staged.is_empty() {
            self.committed = self.state.clone();
        }
    }

    /// Makes the state durable: as a mark or, where none fits any more, at the head of a new segment.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn say(&mut self) -> io::Result<()> {
        if !self.mark() {
            self.commit()?;
            self.settle();
            self.roll(0)?;
        }
        self.commit().map(|_| ())
    }

    /// Frames committed since the start, by whatever call.
    #[must_use]
    pub fn frames_committed(&self) -> u64 {
        self.frames_committed
    }

    /// A frame that was committed a moment ago, taken out of memory.
    pub(super) fn take_recent(&mut self, epoch: Epoch, sequence: u64) -> Option<Frame> {
        let is_it = |f: &Frame| f.header().chain.epoch == epoch && f.header().sequence == sequence;
        let at = self.recent.iter().position(is_it)?;
        // What stands before it has been read or acked.
        self.recent.drain(..at).for_each(|frame| self.recent_bytes -= frame.bytes().len());
        let frame = self.recent.pop_front()?;
        self.recent_bytes -= frame.bytes().len();
        Some(frame)
    }

    pub(super) fn remember_sent(&mut self, epoch: Epoch, acked: Acked) {
        // What goes out again takes the place of what went out before.
        while self.sent.back().is_some_and(|sent| sent.epoch == epoch && sent.acked.through >= acked.through) {
            self.sent.pop_back();
        }
        if self.sent.len() == SENT_MAX {
            // Every other place is enough: an ack between two of them counts for the lower one.
            let mut number = 0;
            self.sent.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
        self.sent.push_back(Sent { epoch, acked });
    }

    /// The highest place up to `through` that went out and is remembered; forgets it and what came before.
    fn take_sent(&mut self, epoch: Epoch, through: u64) -> Option<Acked> {
        let mut highest: Option<Acked> = None;
        while let Some(sent) = self.sent.front().copied() {
            if sent.epoch == epoch && sent.acked.through <= through {
                highest = highest.filter(|known| known.through > sent.acked.through).or(Some(sent.acked));
            } else if sent.epoch == epoch || self.state.epoch(sent.epoch).is_some() {
                break;
            }
            self.sent.pop_front();
        }
        highest
    }

    /// Takes an ack: `through` of `epoch` is in an aggregator's journal. Durable with the next mark; until then a
    /// start only offers again what the aggregator knows.
    ///
    /// # Errors
    /// The frame's hash had to be read from the log and could not.
    pub fn acked(&mut self, epoch: Epoch, through: u64) -> io::Result<bool> {
        let known = self.take_sent(epoch, through);
        // Where only a later place is remembered the ack of that one says the same, soon.
        let later = self.sent.front().is_some_and(|sent| sent.epoch == epoch);
        let acked = match known.filter(|known| known.through == through) {
            None if !later => self.chain_at(epoch, through)?.or(known),
            exact => exact.or(known),
        };
        let moved = acked.is_some_and(|acked| self.state.ack(epoch, acked));
        self.settle();
        Ok(moved)
    }
}
