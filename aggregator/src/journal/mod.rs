//! The journal: every frame that was received, as it was sent, durable before it is acked.
//!
//! In: entries of sessions ([`Journal::append`]) and what the aggregator says itself ([`Journal::say`]). Out: the
//! log that sinks read ([`JournalReader`]), the prefixes that sessions ask for ([`ChainTable`]).
//!
//! Invariants:
//! - Nothing is acked before the `fdatasync` that covers it returned: [`ChainTable`] changes only then.
//! - Positions rise by one per frame and are never used twice.
//! - The journal is cut into blocks: a cut ends one when [`JournalConfig::block_interval`] or [`BLOCK_BYTES`] have
//!   passed since the last and something came in between. Cursors of sinks stand at cuts.
//! - `max_bytes` is hard. At it, segments that every required sink has passed go, oldest first; when there is
//!   none the journal takes nothing more and the agents spool.

mod chains;
mod mailbox;
pub mod offline;
mod reader;
mod worker;
mod wrap;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::batch::{Batch, HostContext, Origin};
use shared::frame::{Frame, FrameKind, GenesisNotice, GenesisReason, Header, Place, PreviousEpoch, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, Lane};
use shared::log::{Fs, Kind, Log, Options, RealFs, Record};
use shared::protocol::{Absent, ChainState, JournalEntry};
use shared::record::Value;
use shared::time::{Clock, Timestamp};

use chains::CHAIN_LEN;
pub use chains::{ChainBooks, ChainTable};
pub use reader::{JournalReader, Journaled};
pub use worker::{JournalHandle, JournalRequest, JournalStatus, JournalThread};
pub use wrap::{Received, Wrap};

/// A block is cut after this many bytes of frames.
pub const BLOCK_BYTES: u64 = 64 << 20;
/// Largest segment.
const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// Smallest segment, of a small journal.
const SEGMENT_BYTES_MIN: u64 = 4 << 20;

/// A frame of the journal takes at least this much of its log: record header, wrap and frame header.
const FRAME_LOG_BYTES_MIN: u64 = 128;

/// A typed record of the aggregator's own: field names and values.
pub type OwnRecord = Vec<(String, Value)>;

/// How the journal is set up.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Its folder.
    pub dir: PathBuf,
    /// Bytes that its segments may take.
    pub max_bytes: u64,
    /// Segments older than this go once every required sink has them.
    pub retain: Duration,
    /// A block is cut after this long.
    pub block_interval: Duration,
    /// This aggregator's id.
    pub aggregator: AgentId,
    /// What its own frames say of its host.
    pub host: HostContext,
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    first: u64,
    position: u64,
    received_at: Timestamp,
}

/// Numbers that every segment's state carries beside the chains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Numbers {
    /// Position of the next frame.
    position: u64,
    /// Records journaled so far.
    records: u64,
    /// Epoch of the aggregator's own chain.
    own_epoch: Epoch,
    /// When the last frame was received.
    received_at: Timestamp,
}

const STATE_VERSION: u8 = 1;
const STATE_HEAD_LEN: usize = 33;

impl Numbers {
    fn encode(&self, chains: &ChainTable) -> Vec<u8> {
        let mut out = vec![STATE_VERSION];
        for number in [self.position, self.records, self.own_epoch.0, self.received_at.0.cast_unsigned()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        chains.encode(&mut out);
        out
    }

    fn decode(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (head, chains) = payload.split_at_checked(STATE_HEAD_LEN)?;
        let (&version, head) = head.split_first()?;
        let mut numbers = head.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let numbers = Self {
            position: numbers.next()?,
            records: numbers.next()?,
            own_epoch: Epoch(numbers.next()?),
            received_at: Timestamp(numbers.next()?.cast_signed()),
        };
        (version == STATE_VERSION).then_some((numbers, chains))
    }
}

/// The journal, owned by its thread.
pub struct Journal {
    config: JournalConfig,
    log: Log,
    chains: Arc<ChainTable>,
    numbers: Numbers,
    committed: Numbers,
    staged: BTreeMap<ChainId, ChainBooks>,
    starts: VecDeque<Start>,
    sealer: Sealer,
    batch: Batch,
    clock: Clock,
    block_began: Option<Instant>,
    block_bytes: u64,
}

/// What takes no more: the disk refuses, or `max_bytes` is reached and no sink has let go of anything.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// No segment may be made, and none may go.
    #[error(
        "the journal is full: {max_bytes} bytes, and a required sink still needs the oldest; see /metrics for its lag, or raise journal.max_bytes"
    )]
    Full {
        /// `journal.max_bytes`.
        max_bytes: u64,
    },
    /// The disk.
    #[error("the journal's disk refuses: {0}")]
    Disk(#[from] io::Error),
}

/// What a journaled frame adds to its chain. The same when it is appended and when it is read again at start.
fn count(books: &mut ChainBooks, header: &Header, after: ChainState, received_at: Timestamp) {
    if after.through <= books.state.through {
        return;
    }
    let records = after.next_record.saturating_sub(books.state.next_record);
    match header.kind {
        FrameKind::Loss => books.lost += records,
        FrameKind::Data | FrameKind::Genesis => books.journaled += records,
    }
    books.state = after;
    books.last_received = received_at;
}

impl Journal {
    /// Opens the journal, whatever the disk's state, or makes one.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn open(config: JournalConfig, clock: Clock) -> io::Result<Self> {
        let segment_bytes = (config.max_bytes / 16).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        Self::open_on(Arc::new(RealFs), config, segment_bytes, clock)
    }

    /// Opens the journal on any filesystem, with segments of `segment_bytes`.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(fs: Arc<dyn Fs>, config: JournalConfig, segment_bytes: u64, clock: Clock) -> io::Result<Self> {
        let chains = Arc::new(ChainTable::default());
        let mut numbers = Numbers { position: 1, records: 0, own_epoch: Epoch::random(), received_at: Timestamp(0) };
        let fresh = numbers;
        let options = Options {
            segment_bytes,
            quarantine_bytes_max: config.max_bytes / 64,
            points: ["journal.write", "journal.sync", "journal.committed"],
        };
        let mut opener = shared::frame::Opener::default();
        let mut visit = |record: &Record<'_>| fold(&mut numbers, &chains, record, &mut opener);
        let opened = Log::open(Arc::clone(&fs), &config.dir, options, clock.clone(), &mut visit, &|| {
            fresh.encode(&ChainTable::default())
        })?;
        let mut starts = VecDeque::new();
        shared::log::segment_states(fs.as_ref(), &config.dir, &mut |first, payload| {
            starts.extend(Numbers::decode(payload).map(|(numbers, _)| Start {
                first,
                position: numbers.position,
                received_at: numbers.received_at,
            }));
        })?;
        let mut journal = Self {
            config,
            log: opened.log,
            chains,
            numbers,
            committed: numbers,
            staged: BTreeMap::new(),
            starts,
            sealer: Sealer::new()?,
            batch: Batch::default(),
            clock,
            block_began: None,
            block_bytes: 0,
        };
        journal.begin(&opened.report)?;
        Ok(journal)
    }

    /// Without proof of continuity positions and the own chain might be used twice: both jump.
    fn begin(&mut self, report: &shared::log::Report) -> io::Result<()> {
        if !report.continuity {
            tracing::error!(damage = ?report.damage, foreign = ?report.foreign, "the journal was damaged; the frames on both sides are served, what is missing shows in gaps");
            // No frame takes fewer bytes than this: whatever the missing files held stays unused. Of a journal of
            // which nothing at all reads even the jumps before are not known.
            let missing = report.lost_through.saturating_sub(self.log.committed()) / FRAME_LOG_BYTES_MIN;
            self.numbers.position += if report.created { 1 << 40 } else { (1 << 20) + missing };
            let previous = std::mem::replace(&mut self.numbers.own_epoch, Epoch::random());
            self.committed = self.numbers;
            self.roll(0)?;
            return self.own_genesis(GenesisReason::Continuity, Some(previous));
        }
        if self.own_books().state.through == 0 {
            self.own_genesis(GenesisReason::NewSpool, None)?;
        }
        // What came after the last cut of the run before belongs to a block that is cut soon.
        self.block_began = Some(self.clock.instant());
        Ok(())
    }

    fn own_chain(&self) -> ChainId {
        ChainId { agent: self.config.aggregator, lane: Lane::High, epoch: self.numbers.own_epoch }
    }

    fn books(&self, chain: ChainId) -> ChainBooks {
        self.staged.get(&chain).copied().or_else(|| self.chains.books(chain)).unwrap_or(ChainBooks::EMPTY)
    }

    fn own_books(&self) -> ChainBooks {
        self.books(self.own_chain())
    }

    fn own_genesis(&mut self, reason: GenesisReason, previous: Option<Epoch>) -> io::Result<()> {
        let previous = previous.map(|epoch| PreviousEpoch { epoch, next: None, head: None });
        let notice = GenesisNotice { reason, previous };
        let frame = self.sealer.genesis(self.own_chain(), self.clock.now(), &notice).map_err(io::Error::other)?;
        self.put(&frame, Received::own(self.clock.now()), false).map_err(io::Error::other)?;
        self.commit().map(|_| ())
    }

    /// The chains that sessions ask for.
    #[must_use]
    pub fn chains(&self) -> Arc<ChainTable> {
        Arc::clone(&self.chains)
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.log.dir()
    }

    /// Log offset below which everything is durable.
    #[must_use]
    pub fn committed_offset(&self) -> u64 {
        self.log.committed()
    }

    /// Position of the next frame and records so far, as committed.
    #[must_use]
    pub fn committed_numbers(&self) -> (u64, u64) {
        (self.committed.position, self.committed.records)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Takes an entry of a session. It is durable, and may be acked, once [`Journal::commit`] returns.
    ///
    /// # Errors
    /// [`JournalError`]: nothing was taken; try again when there is room.
    pub fn append(&mut self, entry: &JournalEntry, received: Received) -> Result<(), JournalError> {
        match entry {
            // A session that was cut off left it here, and the one after it brought it again before it was durable.
            entry if entry.after().through <= self.books(entry.chain()).state.through => Ok(()),
            JournalEntry::Frame { frame, after, .. } => self.append_frame(frame, *after, received),
            JournalEntry::Absent(absent) => {
                self.say(absent_record(absent))?;
                let mut books = self.books(absent.chain);
                books.absent += absent.after.next_record.saturating_sub(absent.before.next_record);
                books.state = absent.after;
                books.last_received = received.at;
                self.staged.insert(absent.chain, books);
                Ok(())
            }
        }
    }

    fn append_frame(&mut self, frame: &Frame, after: ChainState, received: Received) -> Result<(), JournalError> {
        let (header, at) = (frame.header(), received.at);
        let mut books = self.books(header.chain);
        self.put(frame, received, false)?;
        count(&mut books, header, after, at);
        self.staged.insert(header.chain, books);
        Ok(())
    }

    /// Journals a record of the aggregator's own.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn say(&mut self, record: OwnRecord) -> Result<(), JournalError> {
        self.say_as(&record, false)
    }

    fn say_as(&mut self, record: &OwnRecord, is_cut: bool) -> Result<(), JournalError> {
        let now = self.clock.now();
        let books = self.own_books();
        let place = Place {
            chain: self.own_chain(),
            sequence: books.state.through + 1,
            first_record: books.state.next_record,
            prev: books.state.head,
            sealed_at: now,
        };
        self.batch.clear();
        let origin = Origin { source: "picket".to_owned(), kind: "aggregator".to_owned(), ..Origin::default() };
        let origin = self.batch.origin(&Arc::new(origin));
        if !self.batch.push_typed(origin, now, record) {
            return Err(io::Error::other("a record of the aggregator's own is too large").into());
        }
        let (host, sealer) = (&self.config.host, &mut self.sealer);
        let sealed = self.batch.with_columns(host, |records, columns| sealer.data(&place, records, columns));
        self.put(&sealed.map_err(io::Error::other)?, Received::own(now), is_cut)
    }

    /// Appends a frame under the next position; own frames also move the own chain.
    fn put(&mut self, frame: &Frame, received: Received, is_cut: bool) -> Result<(), JournalError> {
        let (header, at) = (frame.header(), received.at);
        let wrap = Wrap { position: self.numbers.position, records_before: self.numbers.records, received, is_cut };
        let head = wrap.encode();
        let own = header.chain.agent == self.config.aggregator;
        self.make_room(head.len() + frame.bytes().len(), own)?;
        self.log.append(Kind::Frame, &[&head, frame.bytes()]).map_err(io::Error::other)?;
        self.numbers.position += 1;
        self.numbers.received_at = at;
        if header.kind == FrameKind::Data {
            self.numbers.records += u64::from(header.records);
        }
        if header.chain.agent == self.config.aggregator {
            let mut books = self.own_books();
            let after = ChainState {
                through: header.next_sequence() - 1,
                head: frame.hash(),
                next_record: header.next_record(),
            };
            count(&mut books, header, after, at);
            self.staged.insert(header.chain, books);
        }
        if is_cut {
            (self.block_began, self.block_bytes) = (None, 0);
        } else {
            self.block_began.get_or_insert_with(|| self.clock.instant());
            self.block_bytes += frame.bytes().len() as u64;
        }
        Ok(())
    }

    /// One segment is kept for what the aggregator says itself: without a cut no sink goes on, and without a sink
    /// that goes on nothing comes free.
    fn make_room(&mut self, len: usize, own: bool) -> Result<(), JournalError> {
        let state_len = self.chains.len() * CHAIN_LEN + STATE_HEAD_LEN;
        let spare = if own { 0 } else { self.log.segment_size(state_len, 0) };
        let full = JournalError::Full { max_bytes: self.config.max_bytes };
        if self.log.fits(Kind::Frame, len) {
            return if self.log.bytes() + spare <= self.config.max_bytes { Ok(()) } else { Err(full) };
        }
        self.commit()?;
        let growth = self.log.segment_size(state_len, len);
        if self.log.bytes() + growth + spare > self.config.max_bytes {
            return Err(full);
        }
        Ok(self.roll(len)?)
    }

    fn roll(&mut self, need: usize) -> io::Result<()> {
        let first = self.log.committed();
        self.log.roll(&self.committed.encode(&self.chains), need)?;
        self.starts.retain(|start| start.first != first);
        let Numbers { position, received_at, .. } = self.committed;
        self.starts.push_back(Start { first, position, received_at });
        Ok(())
    }

    /// Bytes appended and not yet committed.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    /// Makes everything that was appended durable. Returns whether there was anything.
    ///
    /// # Errors
    /// The disk refuses; what was appended is kept and the next call tries again.
    pub fn commit(&mut self) -> io::Result<bool> {
        if self.log.pending_bytes() == 0 {
            return Ok(false);
        }
        let (committed, chains, segment) = (self.committed, &self.chains, self.log.active_first());
        self.log.commit(&|| committed.encode(chains))?;
        if self.log.active_first() != segment {
            let Numbers { position, received_at, .. } = committed;
            self.starts.push_back(Start { first: self.log.active_first(), position, received_at });
        }
        self.committed = self.numbers;
        self.chains.apply(std::mem::take(&mut self.staged));
        Ok(true)
    }

    /// When the block that is open is to be cut; `None` while nothing came in.
    #[must_use]
    pub fn cut_due(&self) -> Option<Instant> {
        let began = self.block_began?;
        Some(if self.block_bytes >= BLOCK_BYTES { began } else { began + self.config.block_interval })
    }

    /// Ends the block. `config` is the SHA-256 of the configuration that was in force in it.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn cut(&mut self, config: &str) -> Result<(), JournalError> {
        let record = vec![
            ("picket.record".to_owned(), Value::String("cut".to_owned())),
            ("config".to_owned(), Value::String(config.to_owned())),
        ];
        self.say_as(&record, true)
    }

    /// Lets finished segments go that every required sink has passed: those older than `retain`, and, at
    /// `max_bytes`, younger ones as well. Returns how many younger than `retain` went.
    ///
    /// # Errors
    /// A file cannot be unlinked.
    pub fn trim(&mut self, required: u64, full: bool) -> io::Result<u64> {
        let mut sacrificed = 0;
        while let Some((_, end)) = self.log.oldest_finished() {
            // The oldest segments may have no start: their state does not read.
            let Some(next) = self.starts.iter().find(|start| start.first >= end).copied() else { break };
            let old = self.clock.now().since(next.received_at) > self.config.retain;
            if next.position > required || !(old || full) {
                break;
            }
            let trimmed = self.log.trim(next.first);
            let oldest = self.log.oldest();
            self.starts.retain(|start| start.first >= oldest);
            trimmed?;
            if !old {
                sacrificed += 1;
                break;
            }
        }
        Ok(sacrificed)
    }
}

fn absent_record(absent: &Absent) -> OwnRecord {
    let text = |key: &str, value: String| (key.to_owned(), Value::String(value));
    let number = |key: &str, value: u64| (key.to_owned(), Value::U64(value));
    let mut record = vec![
        text("picket.record", "absent".to_owned()),
        text("agent", absent.chain.agent.to_string()),
        text("lane", absent.chain.lane.to_string()),
        text("epoch", absent.chain.epoch.to_string()),
        number("sequence", absent.before.through + 1),
        number("through", absent.after.through),
        number("first_record", absent.before.next_record),
        number("records", absent.after.next_record.saturating_sub(absent.before.next_record)),
        text("head", absent.after.head.to_string()),
    ];
    let place = absent.elsewhere.map_or("unknown".to_owned(), |aggregator| aggregator.to_string());
    record.push(text("elsewhere", place));
    record
}

/// The absent range that an own record tells of: the chain, the prefix behind it, and how many records.
fn absent_of(fields: &[(&str, Value)]) -> Option<(ChainId, ChainState, u64)> {
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let text = |name: &str| match field(name)? {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    };
    let number = |name: &str| match field(name)? {
        Value::U64(number) => Some(*number),
        _ => None,
    };
    if text("picket.record")? != "absent" {
        return None;
    }
    let agent = text("agent")?.parse().ok()?;
    let chain = ChainId { agent, lane: text("lane")?.parse().ok()?, epoch: text("epoch")?.parse().ok()? };
    let records = number("records")?;
    let next_record = number("first_record")?.saturating_add(records);
    Some((chain, ChainState { through: number("through")?, head: text("head")?.parse().ok()?, next_record }, records))
}

/// Applies a record of the log to what is being folded at start.
fn fold(numbers: &mut Numbers, chains: &ChainTable, record: &Record<'_>, opener: &mut shared::frame::Opener) {
    match record.kind {
        Kind::State => {
            if let Some((read, table)) = Numbers::decode(record.payload) {
                *numbers = read;
                chains.decode(table);
            }
        }
        Kind::Frame => fold_frame(numbers, chains, record.payload, opener),
        Kind::Mark | Kind::Checkpoint | Kind::Seal => {}
    }
}

fn fold_frame(numbers: &mut Numbers, chains: &ChainTable, payload: &[u8], opener: &mut shared::frame::Opener) {
    let Some((wrap, bytes)) = Wrap::split(payload) else { return };
    let Ok(frame) = Frame::parse(bytes.to_vec()) else { return };
    let header = frame.header();
    numbers.position = wrap.position + 1;
    numbers.received_at = wrap.received.at;
    if header.kind == FrameKind::Data {
        numbers.records = wrap.records_before + u64::from(header.records);
    }
    let Ok(head) = frame.head_after(opener) else { return };
    let mut books = chains.books(header.chain).unwrap_or(ChainBooks::EMPTY);
    let after = ChainState { through: header.next_sequence() - 1, head, next_record: header.next_record() };
    count(&mut books, header, after, wrap.received.at);
    chains.apply([(header.chain, books)]);
    // Only the aggregator's own frames come without a certificate: an absent range may stand in one.
    if wrap.received.serial.is_empty() && header.kind == FrameKind::Data && !wrap.is_cut {
        let Ok(columns) = frame.open(opener) else { return };
        let Ok(view) = shared::batch::BatchView::parse(&columns, header.records) else { return };
        for record in view.iter().filter_map(Result::ok) {
            let shared::batch::Body::Typed(fields) = record.body else { continue };
            if let Some((chain, state, records)) = absent_of(&fields) {
                let mut books = chains.books(chain).unwrap_or(ChainBooks::EMPTY);
                if state.through <= books.state.through {
                    continue;
                }
                (books.state, books.last_received) = (state, wrap.received.at);
                books.absent += records;
                chains.apply([(chain, books)]);
            }
        }
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
