//! The journal: every frame that was received, as it was sent, durable before it is acked.
//!
//! In: entries of sessions ([`Journal::append`]) and what the aggregator says itself ([`Journal::say`]). Out: the
//! log that sinks read ([`JournalReader`]), the prefixes that sessions ask for ([`ChainTable`]).
//!
//! Invariants:
//! - Nothing is acked before the `fdatasync` that covers it returned: [`ChainTable`] changes only then.
//! - Positions rise, by one per frame, and are never used twice: a journal that was deleted, or restored from an older
//!   copy, goes on behind the furthest cursor of its sinks ([`JournalConfig::floor`]), so that they take what is new.
//! - The journal is cut into blocks: a cut ends one when [`JournalConfig::block_interval`] or [`BLOCK_BYTES`] have
//!   passed since the last and something came in between. Cursors of sinks stand at cuts.
//! - A finished segment ends with a seal of the aggregator, and nothing goes before it is said so, signed (`sealing`).
//! - `max_bytes` is hard. At it, segments that every required sink has passed go, oldest first, even younger than
//!   `retain`: counted, and said as a record. When there is none the journal takes nothing more and the agents spool;
//!   one segment is left for what the aggregator says itself.

mod chains;
mod fold;
mod ledger;
mod mailbox;
mod notices;
pub mod offline;
mod reader;
mod seal;
mod sealing;
mod worker;
mod wrap;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::batch::{Batch, HostContext, Origin};
use shared::frame::{Frame, FrameKind, GenesisNotice, GenesisReason, Place, PreviousEpoch, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, Lane};
use shared::log::{Fs, Kind, Log, Options, Quota, RealFs, Record};
use shared::protocol::{ChainState, JournalEntry};
use shared::record::Value;
use shared::time::{Clock, Timestamp};

use crate::ca::signature::Signer;
use chains::CHAIN_LEN;
pub use chains::{ChainBooks, ChainTable};
use fold::{absent_of, absent_record, count, fold, own_records};
use ledger::{LEDGER_BYTES_MAX, Ledger};
pub use reader::{Behind, JournalReader, Journaled};
pub use seal::{Covered, RetiredFor, Retirement, Seal, SealHead, Statement};
use sealing::Evidence;
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
    /// The key of its seals.
    pub signer: Arc<Signer>,
    /// The highest position up to which a sink has everything; the next frame's is above it.
    pub floor: u64,
}

/// The highest floor: far above any that is real, far below where positions would wrap.
const FLOOR_MAX: u64 = 1 << 62;

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

/// A state is its numbers, the ledger of seals behind its length, and the chains; version 1 has no ledger.
const STATE_VERSION: u8 = 2;
const STATE_HEAD_LEN: usize = 33;

impl Numbers {
    fn encode(&self, ledger: &Ledger, chains: &ChainTable) -> Vec<u8> {
        let mut out = vec![STATE_VERSION];
        for number in [self.position, self.records, self.own_epoch.0, self.received_at.0.cast_unsigned()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let ledger = ledger.encode();
        out.extend_from_slice(&u16::try_from(ledger.len()).unwrap_or(0).to_le_bytes());
        out.extend_from_slice(&ledger);
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
        match version {
            _ if numbers.position.max(numbers.records) > wrap::NUMBER_MAX => None,
            1 => Some((numbers, chains)),
            STATE_VERSION => ledger::prefixed(chains).map(|(_, chains)| (numbers, chains)),
            _ => None,
        }
    }
}

/// The journal, owned by its thread.
pub struct Journal {
    config: JournalConfig,
    fs: Arc<dyn Fs>,
    log: Log,
    chains: Arc<ChainTable>,
    numbers: Numbers,
    committed: Numbers,
    staged: BTreeMap<ChainId, ChainBooks>,
    starts: VecDeque<Start>,
    sealer: Sealer,
    batch: Batch,
    evidence: Evidence,
    clock: Clock,
    block_began: Option<Instant>,
    block_bytes: u64,
    went_back: Option<WentBack>,
}

/// The journal stood behind its sinks when it was opened: it was deleted, or an older copy of it was put in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WentBack {
    /// Position of the next frame, as found.
    pub found: u64,
    /// The furthest cursor.
    pub floor: u64,
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
        let floor = config.floor.min(FLOOR_MAX);
        let mut numbers =
            Numbers { position: floor + 1, records: 0, own_epoch: Epoch::random(), received_at: Timestamp(0) };
        let fresh = numbers;
        let options = Options {
            segment_bytes,
            quarantine_bytes_max: config.max_bytes / 64,
            points: ["journal.write", "journal.sync", "journal.committed"],
        };
        let mut opener = shared::frame::Opener::default();
        let mut evidence = Evidence::new(Arc::clone(&config.signer), config.aggregator);
        let mut visit = |record: &Record<'_>| {
            fold(&mut numbers, &chains, record, &mut opener);
            evidence.fold(record);
        };
        let mut opened = Log::open(Arc::clone(&fs), &config.dir, options, clock.clone(), &mut visit, &|| {
            fresh.encode(&Ledger::default(), &ChainTable::default())
        })?;
        evidence.opened(&fs, &mut opened.log);
        opened.log.stand_under(Quota::new(config.max_bytes));
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
            fs,
            log: opened.log,
            chains,
            numbers,
            committed: numbers,
            staged: BTreeMap::new(),
            starts,
            sealer: Sealer::new()?,
            batch: Batch::default(),
            evidence,
            clock,
            block_began: None,
            block_bytes: 0,
            went_back: None,
        };
        journal.begin(&opened.report)?;
        Ok(journal)
    }

    /// Without proof of continuity positions and the own chain might be used twice: both jump.
    fn begin(&mut self, report: &shared::log::Report) -> io::Result<()> {
        self.finish_retirement()?;
        if !report.continuity {
            tracing::error!(damage = ?report.damage, foreign = ?report.foreign, "the journal was damaged; the frames on both sides are served, what is missing shows in gaps");
            // No frame takes fewer bytes than this: whatever the missing files held stays unused. Of a journal of
            // which nothing at all reads even the jumps before are not known.
            let missing = report.lost_through.saturating_sub(self.log.committed()) / FRAME_LOG_BYTES_MIN;
            self.numbers.position += if report.created { 1 << 40 } else { (1 << 20) + missing };
            let previous = std::mem::replace(&mut self.numbers.own_epoch, Epoch::random());
            self.committed = self.numbers;
            self.roll(0)?;
            self.own_genesis(GenesisReason::Continuity, Some(previous))?;
        }
        self.pass_floor(report)?;
        if self.own_books().state.through == 0 {
            self.own_genesis(GenesisReason::NewSpool, None)?;
        }
        // What came after the last cut of the run before belongs to a block that is cut soon.
        self.block_began = Some(self.clock.instant());
        Ok(())
    }

    /// What stands at or below a cursor no sink would take: positions go on above it.
    fn pass_floor(&mut self, report: &shared::log::Report) -> io::Result<()> {
        let floor = self.config.floor.min(FLOOR_MAX);
        let found = if report.created { 1 } else { self.numbers.position };
        if found > floor {
            return Ok(());
        }
        tracing::error!(
            found,
            cursor = floor,
            "the journal stands behind its sinks: it was deleted, or an older copy was put in its place; it goes on behind their cursors, and what it held is lost here"
        );
        if self.numbers.position <= floor {
            // What an older copy says next under its own epoch it has said before.
            let previous = std::mem::replace(&mut self.numbers.own_epoch, Epoch::random());
            self.numbers.position = floor + 1;
            self.committed = self.numbers;
            self.roll(0)?;
            self.own_genesis(GenesisReason::Continuity, Some(previous))?;
        } else if self.own_books().state.through == 0 {
            self.own_genesis(GenesisReason::NewSpool, None)?;
        }
        let went_back = WentBack { found, floor };
        self.went_back = Some(went_back);
        if let Err(error) = self.say(notices::went_back(went_back)) {
            tracing::error!(%error, "there is no room to say so as a record");
        }
        self.commit().map(|_| ())
    }

    /// Whether it stood behind its sinks when it was opened.
    #[must_use]
    pub fn went_back(&self) -> Option<WentBack> {
        self.went_back
    }

    /// Position of the first frame that is left, as far as that is known, and when the last before it was received.
    #[must_use]
    pub fn begins(&self) -> Option<(u64, Timestamp)> {
        self.starts.front().map(|start| (start.position, start.received_at))
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
        self.settle();
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
        self.settle();
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
        self.evidence.note(&wrap, header);
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
        self.keep_seal_room();
        let state_len = self.state_len();
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

    /// Bytes of a state, at most.
    fn state_len(&self) -> usize {
        STATE_HEAD_LEN + 2 + LEDGER_BYTES_MAX + self.chains.len() * CHAIN_LEN
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
        let (ledger, before) = (&self.evidence.ledger, self.log.digest());
        self.log.commit(&|| committed.encode(ledger, chains))?;
        let moved = self.log.active_first() != segment;
        if moved {
            let Numbers { position, received_at, .. } = committed;
            self.starts.push_back(Start { first: self.log.active_first(), position, received_at });
        }
        self.evidence.committed(before, moved, &self.chains);
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
        self.settle();
        self.say_as(&record, true)
    }
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
