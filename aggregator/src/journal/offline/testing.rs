//! Journals on disk for tests: an agent's chain, written through [`Journal`] as ingest does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, GenesisNotice, GenesisReason, LossNotice, Opener, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, Lane};
use shared::log::RealFs;
use shared::protocol::{Absent, ChainState, JournalEntry, Placing, place};
use shared::record::{LossReason, Value};
use shared::time::{Clock, ManualClock, Timestamp};

use super::super::{Journal, JournalConfig, Received};
use crate::ca::Authority;
use crate::ca::signature::Signer;

/// The agent whose chain is written.
pub(crate) const AGENT: AgentId = AgentId([7; 16]);
/// The aggregator.
pub(crate) const AGGREGATOR: AgentId = AgentId([1; 16]);
/// The agent's chain.
pub(crate) const CHAIN: ChainId = ChainId { agent: AGENT, lane: Lane::Normal, epoch: Epoch(0x0e) };
const MAX_BYTES: u64 = 64 << 20;
const SEGMENT_BYTES: u64 = 1 << 20;

/// Writes a journal below a folder; the clock steps a second per frame.
pub(crate) struct Maker {
    pub(crate) dir: PathBuf,
    /// The folder is its own, and gone when the test ends.
    owned: bool,
    pub(crate) began: Timestamp,
    clock: ManualClock,
    journal: Option<Journal>,
    chain: ChainId,
    state: ChainState,
    sealer: Sealer,
}

impl Maker {
    /// A folder without a journal; the first frame makes one in `journal` below it.
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("picket-offline-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let mut maker = Self::at(dir);
        maker.owned = true;
        maker
    }

    /// The same in `dir`, a state folder.
    pub(crate) fn at(dir: PathBuf) -> Self {
        let began = Timestamp::from_seconds(1_795_000_000);
        let (clock, sealer) = (ManualClock::new(began), Sealer::new().unwrap());
        Self { dir, owned: false, began, clock, journal: None, chain: CHAIN, state: ChainState::EMPTY, sealer }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    /// The open journal, opened when it is not.
    pub(crate) fn journal(&mut self) -> &mut Journal {
        let (config, clock) = (self.config(), self.clock.clone());
        self.journal.get_or_insert_with(|| {
            Journal::open_on(Arc::new(RealFs), config, SEGMENT_BYTES, Clock::Manual(clock)).unwrap()
        })
    }

    /// How its journal is set up.
    pub(crate) fn config(&self) -> JournalConfig {
        JournalConfig {
            dir: self.dir.join("journal"),
            max_bytes: MAX_BYTES,
            retain: Duration::from_secs(86_400),
            block_interval: Duration::from_secs(5),
            aggregator: AGGREGATOR,
            host: HostContext::default(),
            signer: self.signer(),
            floor: 0,
        }
    }

    pub(crate) fn close(&mut self) {
        self.journal = None;
    }

    /// The authority of its state folder, where there is one.
    fn signer(&self) -> Arc<Signer> {
        Authority::load(&self.dir)
            .map_or_else(|_| Signer::of_tests(), |authority| Arc::new(authority.signer().unwrap()))
    }

    /// The segment files, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let dir = std::fs::read_dir(self.dir.join("journal")).unwrap();
        let mut paths: Vec<PathBuf> = dir.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
        paths.sort();
        paths
    }

    fn place(&self) -> Place {
        Place {
            chain: self.chain,
            sequence: self.state.through + 1,
            first_record: self.state.next_record,
            prev: self.state.head,
            sealed_at: self.now(),
        }
    }

    /// Appends a frame that follows on, and commits.
    fn put(&mut self, frame: Frame) {
        let Placing::Next(after) = place(&self.state, &frame, &mut Opener::default()) else { panic!("{frame:?}") };
        self.put_as(frame, after);
    }

    /// Appends a frame, whatever it is, and commits.
    pub(crate) fn put_as(&mut self, frame: Frame, after: ChainState) {
        self.journal();
        self.clock.advance(Duration::from_secs(1));
        let received = Received { at: self.now(), peer: "192.0.2.7:5000".parse().unwrap(), serial: vec![7; 16] };
        self.journal().append_frame(&frame, after, received).unwrap();
        self.journal().commit().unwrap();
        self.state = after;
    }

    fn genesis(&mut self) {
        if self.state.through == 0 {
            let notice = GenesisNotice { reason: GenesisReason::NewSpool, previous: None };
            let frame = self.sealer.genesis(self.chain, self.now(), &notice).unwrap();
            self.put(frame);
        }
    }

    /// Seals what `fill` puts into a batch, at the agent's next place.
    pub(crate) fn sealed(&mut self, fill: impl FnOnce(&mut Batch)) -> Frame {
        self.genesis();
        let mut batch = Batch::default();
        fill(&mut batch);
        let (place, sealer) = (self.place(), &mut self.sealer);
        let host = HostContext::default();
        batch.with_columns(&host, |records, columns| sealer.data(&place, records, columns)).unwrap()
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
    }

    /// Seals a frame of a line that is sent later: [`Maker::put_as`] delivers it, in order.
    pub(crate) fn spool(&mut self, line: &str) -> (Frame, ChainState) {
        let frame = self.sealed(|batch| push_line(batch, line, Timestamp(0)));
        let Placing::Next(after) = place(&self.state, &frame, &mut Opener::default()) else { panic!("{frame:?}") };
        self.state = after;
        (frame, after)
    }

    /// What a session would hand to another journal: a frame of these bytes.
    pub(crate) fn entry(&mut self, bytes: &[u8]) -> JournalEntry {
        let (before, at) = (self.state, self.now());
        let frame = self.sealed(|batch| {
            let origin = batch.origin(&Arc::new(app_log()));
            let full_size = bytes.len() as u64;
            batch.push_line(origin, at, Line { bytes, offset: 0, full_size, flags: 0 });
        });
        let before = if before.through == 0 { self.state } else { before };
        let Placing::Next(after) = place(&before, &frame, &mut Opener::default()) else { panic!("{frame:?}") };
        self.state = after;
        JournalEntry::Frame { frame, before, after }
    }

    /// Another lane, or a later epoch of the agent, from its genesis on.
    pub(crate) fn begin_chain(&mut self, lane: Lane, epoch: u64, notice: &GenesisNotice) {
        self.chain = ChainId { lane, epoch: Epoch(epoch), ..CHAIN };
        self.state = ChainState::EMPTY;
        let frame = self.sealer.genesis(self.chain, self.now(), notice).unwrap();
        self.put(frame);
    }

    /// Goes on with a chain that was begun before.
    pub(crate) fn resume_chain(&mut self, lane: Lane, epoch: u64) {
        self.chain = ChainId { lane, epoch: Epoch(epoch), ..CHAIN };
        self.state = self.journal().chains().books(self.chain).unwrap().state;
    }

    pub(crate) fn batch(&mut self, fill: impl FnOnce(&mut Batch)) {
        let frame = self.sealed(fill);
        self.put(frame);
    }

    /// A frame of these lines of `/var/log/app.log`.
    pub(crate) fn lines(&mut self, lines: &[&str]) {
        self.raw_lines(&lines.iter().map(|line| (line.as_bytes(), 0)).collect::<Vec<_>>());
    }

    /// A frame of these lines with their flags.
    pub(crate) fn raw_lines(&mut self, lines: &[(&[u8], u8)]) {
        let at = self.now();
        self.batch(|batch| {
            let origin = batch.origin(&Arc::new(app_log()));
            let mut offset = 0;
            for (bytes, flags) in lines {
                let full_size = bytes.len() as u64;
                batch.push_line(origin, at, Line { bytes, offset, full_size, flags: *flags });
                offset += full_size + 1;
            }
        });
    }

    /// A frame with one typed record.
    pub(crate) fn typed(&mut self, fields: &[(&str, Value)]) {
        let at = self.now();
        let fields: Vec<(String, Value)> =
            fields.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        self.batch(|batch| {
            let origin = batch.origin(&Arc::new(app_log()));
            assert!(batch.push_typed(origin, at, &fields));
        });
    }

    /// A loss frame in place of `span` sequences with `records` records.
    pub(crate) fn lose(&mut self, span: u32, records: u32) {
        self.lose_between(span, records, self.began, self.now());
    }

    /// The same, of what was seen in this time.
    pub(crate) fn lose_between(&mut self, span: u32, records: u32, first_time: Timestamp, last_time: Timestamp) {
        self.genesis();
        let last_hash = shared::identity::FrameHash([9; 32]);
        let notice = LossNotice { reason: LossReason::DropOldest, first_time, last_time, last_hash };
        let frame = self.sealer.loss(&self.place(), span, records, &notice).unwrap();
        self.put(frame);
    }

    /// A range of `span` sequences and `records` records that this journal never gets.
    pub(crate) fn absent(&mut self, span: u64, records: u64, elsewhere: Option<AgentId>) {
        self.genesis();
        let before = self.state;
        let head = shared::identity::FrameHash([8; 32]);
        let after = ChainState { through: before.through + span, head, next_record: before.next_record + records };
        let entry = JournalEntry::Absent(Absent { chain: self.chain, before, after, elsewhere });
        let received = Received::own(self.now());
        self.journal().append(&entry, received).unwrap();
        self.journal().commit().unwrap();
        self.state = after;
    }

    /// Frames that do not compress until `more` further segments have begun.
    pub(crate) fn fill_segments(&mut self, more: usize) {
        self.genesis();
        let target = self.segments().len() + more;
        while self.segments().len() < target {
            let mut noise = vec![0; 200 << 10];
            shared::identity::fill_random(&mut noise);
            self.raw_lines(&[(&noise, 0)]);
        }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.journal = None;
        if self.owned {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn push_line(batch: &mut Batch, line: &str, at: Timestamp) {
    let origin = batch.origin(&Arc::new(app_log()));
    let (bytes, full_size) = (line.as_bytes(), line.len() as u64);
    batch.push_line(origin, at, Line { bytes, offset: 0, full_size, flags: 0 });
}

fn app_log() -> Origin {
    Origin {
        source: "app".to_owned(),
        kind: "file".to_owned(),
        format: "auto".to_owned(),
        log_name: "/var/log/app.log".to_owned(),
        container: None,
    }
}

/// Flips a bit of the byte at `at` of a file.
pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Rewrites the records of a segment, checksums mended, as somebody does who can write the disk and knows the format.
/// `change` sees each record's log offset, kind (as in [`shared::log::Kind`]) and payload.
pub(crate) fn rewrite(path: &Path, change: &mut dyn FnMut(u64, u8, &mut [u8])) {
    let mut bytes = std::fs::read(path).unwrap();
    let (log_id, first) = (bytes[8..24].to_vec(), u64::from_le_bytes(bytes[24..32].try_into().unwrap()));
    let mut at = 64;
    while let Some(word) = bytes.get(at..at + 4).map(|word| u32::from_le_bytes(word.try_into().unwrap())) {
        let (kind, len) = ((word >> 24).to_le_bytes()[0] & 0x7f, (word & 0x00ff_ffff) as usize);
        if word == 0 {
            break;
        }
        let offset = first + at as u64 - 64;
        change(offset, kind, &mut bytes[at + 16..at + 16 + len]);
        let seed = [&log_id[..], &offset.to_le_bytes(), &word.to_le_bytes(), &bytes[at + 8..at + 16]].concat();
        let sum = crc32c::crc32c_append(crc32c::crc32c(&seed), &bytes[at + 16..at + 16 + len]);
        bytes[at + 4..at + 8].copy_from_slice(&sum.to_le_bytes());
        at += (16 + len).next_multiple_of(8);
    }
    std::fs::write(path, bytes).unwrap();
}
