//! The journal under a crash at every call: what was acked is there, once and in order; a position that anybody
//! saw never names another frame.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, FrameKind, LossNotice, Opener, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::log::model::crashes::{Dice, Ran, crash_at_every_call};
use shared::log::{Fs, ModelFs};
use shared::protocol::{Absent, ChainState, JournalEntry, Placing, place};
use shared::record::LossReason;
use shared::time::{Clock, ManualClock, Timestamp};

use super::*;

const DIR: &str = "/journal";
const SEGMENT_BYTES: u64 = 80 << 10;
/// Little enough to stand at it now and then.
const MAX_BYTES: u64 = 5 * SEGMENT_BYTES;

fn received() -> Received {
    Received { at: Timestamp::from_seconds(9), peer: "192.0.2.1:1".parse().unwrap(), serial: vec![1] }
}

/// What is known over all lives of the journal.
#[derive(Default)]
struct Known {
    /// Frames that somebody read, by position.
    seen: BTreeMap<u64, FrameHash>,
    /// Prefixes that were acked.
    acked: BTreeMap<ChainId, ChainState>,
    /// Frames that were acked, by chain and sequence.
    frames: BTreeMap<(ChainId, u64), FrameHash>,
    /// Frames before this position may be trimmed.
    trimmed: u64,
}

struct Life {
    fs: ModelFs,
    journal: Journal,
    /// Prefixes as sessions see them: with what is not committed.
    views: BTreeMap<ChainId, ChainState>,
    staged: Vec<((ChainId, u64), FrameHash)>,
    sealer: Sealer,
    opener: Opener,
}

fn config(max_bytes: u64) -> JournalConfig {
    JournalConfig {
        dir: PathBuf::from(DIR),
        max_bytes,
        retain: Duration::from_secs(0),
        block_interval: Duration::from_secs(5),
        aggregator: AgentId([9; 16]),
        host: HostContext::default(),
        signer: Signer::of_tests(),
        floor: 0,
    }
}

fn chain(number: u8) -> ChainId {
    ChainId { agent: AgentId([number; 16]), lane: Lane::Normal, epoch: Epoch(u64::from(number)) }
}

impl Life {
    fn open(fs: &ModelFs, known: &mut Known) -> io::Result<Self> {
        let manual = ManualClock::new(Timestamp::from_seconds(20));
        let disk: Arc<dyn Fs> = Arc::new(fs.clone());
        let journal = Journal::open_on(disk, config(MAX_BYTES), SEGMENT_BYTES, Clock::Manual(manual))?;
        fs.up()?;
        for (chain, acked) in &known.acked {
            let has = journal.chains().books(*chain).expect("an acked chain is known").state;
            assert!(has.through >= acked.through, "{chain:?}: {acked:?} was acked, there is {has:?}");
            assert!(has.through > acked.through || has == *acked, "{acked:?} {has:?}");
        }
        let views = journal.chains().all().into_iter().map(|(chain, books)| (chain, books.state)).collect();
        let (sealer, opener) = (Sealer::new()?, Opener::default());
        let mut life = Self { fs: fs.clone(), journal, views, staged: Vec::new(), sealer, opener };
        life.check(known);
        Ok(life)
    }

    /// Books of every chain, and every frame that can be read.
    fn check(&mut self, known: &mut Known) {
        for (chain, books) in self.journal.chains().all() {
            let sum = books.journaled + books.lost + books.absent;
            assert_eq!(books.state.next_record - 1, sum, "books of {chain:?}: {books:?}");
        }
        let mut found = BTreeMap::new();
        let mut last: BTreeMap<ChainId, u64> = BTreeMap::new();
        let (mut position, mut lowest) = (0, u64::MAX);
        let disk: Arc<dyn Fs> = Arc::new(self.fs.clone());
        let mut reader = JournalReader::after_on(disk, self.journal.dir(), 0).unwrap();
        while let Some(journaled) = reader.next(self.journal.committed_offset()).unwrap() {
            let Journaled::Frame(wrap, frame) = journaled else {
                assert!(position < known.trimmed, "damage behind {position}");
                continue;
            };
            assert!(wrap.position > position, "positions rise");
            position = wrap.position;
            lowest = lowest.min(position);
            let hash = known.seen.entry(position).or_insert(frame.hash());
            assert_eq!(*hash, frame.hash(), "position {position} names two frames");
            let header = frame.header();
            let before = last.insert(header.chain, header.next_sequence() - 1).unwrap_or(0);
            // A loss frame may begin below what had arrived.
            let begins = if header.kind == FrameKind::Loss { header.next_sequence() - 1 } else { header.sequence };
            assert!(begins > before, "sequence {begins} of {:?} is there twice", header.chain);
            if header.kind != FrameKind::Loss {
                found.insert((header.chain, header.sequence), frame.hash());
            }
        }
        let next = self.journal.committed_numbers().0;
        assert!(position < next);
        self.check_seals();
        let lowest = lowest.min(next);
        assert!(lowest <= known.trimmed.max(1), "from {lowest} is left, {} may be trimmed", known.trimmed);
        if known.trimmed == 0 {
            for (place, hash) in &known.frames {
                assert_eq!(found.get(place), Some(hash), "{place:?} was acked");
            }
        }
    }

    /// What is vouched for is what is there: every seal, the chain of seals, and what went.
    fn check_seals(&self) {
        let (disk, dir): (Arc<dyn Fs>, _) = (Arc::new(self.fs.clone()), self.journal.dir());
        let firsts: Vec<u64> = self.journal.log.firsts().collect();
        let mut known: Option<Seal> = None;
        let mut told: Vec<u64> = Vec::new();
        let (mut sealed, mut retired, mut holes) = (Vec::new(), 0, Vec::new());
        let mut reader = shared::log::Reader::new(Arc::clone(&disk), dir, firsts[0]);
        let mut opener = Opener::default();
        while let Some(entry) = reader.next(self.journal.committed_offset()).unwrap() {
            let record = match entry {
                shared::log::Entry::Record(record) => record,
                shared::log::Entry::Gap { from, to } => {
                    holes.push((from, to));
                    known = None;
                    continue;
                }
            };
            match record.kind {
                Kind::State => {
                    let ledger = sealing::ledger_of(record.payload).unwrap();
                    assert!(known.is_none() || ledger.last == known, "the state says what came before it");
                    retired = ledger.retired.map_or(0, |retirement| retirement.through).max(retired);
                    known = ledger.last;
                }
                Kind::Seal => {
                    let (seal, heads) = Seal::parse(record.payload).unwrap();
                    let said = seal.statement;
                    assert!(seal.holds() && heads.len() == said.heads as usize);
                    assert_eq!(said.number, known.as_ref().map_or(0, |seal| seal.statement.number) + 1);
                    assert_eq!(said.previous, known.as_ref().map_or([0; 32], Seal::hash));
                    if firsts.contains(&said.digest.first) {
                        let ends = [said.digest.end];
                        let found = shared::log::segment_digests(disk.as_ref(), dir, said.digest.first, &ends).unwrap();
                        assert_eq!(found, [Some(said.digest)], "seal {} is for other bytes", said.number);
                    }
                    sealed.extend([said.digest.end, record.end()]);
                    known = Some(seal);
                }
                Kind::Mark => {
                    let (retirement, rest) = Retirement::decode(record.payload).unwrap();
                    assert!(retirement.holds() && rest.is_empty() && retirement.through > retired);
                    retired = retirement.through;
                }
                Kind::Frame => {
                    let (wrap, bytes) = Wrap::split(record.payload).unwrap();
                    let frame = Frame::parse(bytes.to_vec()).unwrap();
                    own_records(&wrap, &frame, &mut opener, &mut |fields| {
                        told.extend(sealing::copy_number(fields));
                    });
                }
                Kind::Checkpoint => {}
            }
        }
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "copies of seals go out once: {told:?}");
        assert!(firsts[0] <= retired, "segments below {} went, {retired} was said", firsts[0]);
        assert!(holes.iter().all(|(_, to)| *to <= retired), "{holes:?} went, {retired} was said");
        for end in firsts.iter().skip(1).filter(|end| **end > retired) {
            let owed = self.journal.evidence.owes(*end);
            assert!(sealed.contains(end) || owed, "the segment that ends at {end} has no seal: {sealed:?}");
        }
    }

    fn frame(&mut self, chain: ChainId, state: ChainState, random: &mut Dice) -> Frame {
        if state.through == 0 {
            let notice = GenesisNotice { reason: GenesisReason::NewSpool, previous: None };
            return self.sealer.genesis(chain, Timestamp(1), &notice).unwrap();
        }
        let mut place = Place {
            chain,
            sequence: state.through + 1,
            first_record: state.next_record,
            prev: state.head,
            sealed_at: Timestamp(1),
        };
        if random.below(8) == 0 {
            let back = random.below(3).min(state.through - 1).min(state.next_record - 1);
            (place.sequence, place.first_record) = (place.sequence - back, place.first_record - back);
            let reason = LossReason::DropOldest;
            let last_hash = FrameHash([u8::try_from(random.below(256)).unwrap(); 32]);
            let notice = LossNotice { reason, first_time: Timestamp(0), last_time: Timestamp(1), last_hash };
            let (span, records) = (u32::try_from(back).unwrap() + 2, u32::try_from(back + random.below(50)).unwrap());
            return self.sealer.loss(&place, span, records, &notice).unwrap();
        }
        let mut batch = Batch::default();
        let origin = batch.origin(&Arc::new(Origin::default()));
        for _ in 0..=random.below(4) {
            let bytes: Vec<u8> = (0..random.below(1_200)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
            let line = Line { bytes: &bytes, offset: 0, full_size: bytes.len() as u64, flags: 0 };
            batch.push_line(origin, Timestamp(1), line);
        }
        let sealer = &mut self.sealer;
        batch.with_columns(&HostContext::default(), |n, columns| sealer.data(&place, n, columns)).unwrap()
    }

    fn append(&mut self, random: &mut Dice) -> Result<(), JournalError> {
        let chain = chain(1 + u8::try_from(random.below(3)).unwrap());
        let before = self.views.get(&chain).copied().unwrap_or(ChainState::EMPTY);
        let frame = self.frame(chain, before, random);
        let Placing::Next(after) = place(&before, &frame, &mut self.opener) else { panic!("{frame:?} on {before:?}") };
        let (sequence, hash, kind) = (frame.header().sequence, frame.hash(), frame.header().kind);
        let entry = JournalEntry::Frame { frame: frame.clone(), before, after };
        self.journal.append(&entry, received())?;
        self.views.insert(chain, after);
        if kind != FrameKind::Loss {
            self.staged.push(((chain, sequence), hash));
        }
        if random.below(6) == 0 {
            // The session ended, and the next one brings it again.
            self.journal.append(&entry, received())?;
        }
        Ok(())
    }

    fn absent(&mut self, random: &mut Dice) -> Result<(), JournalError> {
        let chain = chain(1 + u8::try_from(random.below(3)).unwrap());
        let before = self.views.get(&chain).copied().unwrap_or(ChainState::EMPTY);
        let after = ChainState {
            through: before.through + 1 + random.below(9),
            head: FrameHash([3; 32]),
            next_record: before.next_record + random.below(99),
        };
        let entry = JournalEntry::Absent(Absent { chain, before, after, elsewhere: None });
        self.journal.append(&entry, received())?;
        self.views.insert(chain, after);
        Ok(())
    }

    fn commit(&mut self, known: &mut Known) -> Result<(), JournalError> {
        self.journal.commit()?;
        self.note(known);
        Ok(())
    }

    /// What is durable is acked.
    fn note(&mut self, known: &mut Known) {
        if self.journal.pending_bytes() == 0 {
            known.acked.extend(self.views.iter().filter(|(chain, _)| chain.agent != AgentId([9; 16])));
            known.frames.extend(self.staged.drain(..));
        }
    }

    fn step(&mut self, known: &mut Known, random: &mut Dice) -> Result<(), JournalError> {
        match random.below(25) {
            0..=12 => self.append(random),
            13 => self.absent(random),
            14..=18 => self.commit(known),
            19 => self.journal.cut("config"),
            20 => {
                self.fs.fail_sync_at(1 + random.below(3));
                Ok(())
            }
            21 => {
                let more = random.below(300 << 10);
                self.fs.room((random.below(2) == 0).then(|| self.fs.taken() + more));
                Ok(())
            }
            22 => {
                let required = self.journal.committed_numbers().0;
                known.trimmed = required;
                self.journal.trim(required, random.below(2) == 0)?;
                Ok(())
            }
            23 => Ok(self.journal.seal_end()?),
            _ => {
                if self.journal.pending_bytes() == 0 && !self.fs.is_down() {
                    self.check(known);
                }
                Ok(())
            }
        }
    }

    fn live(&mut self, known: &mut Known, random: &mut Dice, steps: u32) {
        for _ in 0..steps {
            let result = self.step(known, random);
            self.note(known);
            assert!(
                self.fs.taken() <= MAX_BYTES,
                "{} bytes of {MAX_BYTES} ({}): {:?}",
                self.fs.taken(),
                self.journal.bytes(),
                self.fs.files(Path::new(DIR))
            );
            if result.is_err() && self.fs.is_down() {
                return;
            }
        }
    }
}

fn run(seed: u64, at: u64) -> Ran {
    let mut random = Dice::new(seed);
    let (fs, mut known) = (ModelFs::new(seed ^ at), Known::default());
    fs.short_reads(seed.is_multiple_of(3));
    fs.short_writes(seed.is_multiple_of(2));
    let begun = fs.calls();
    fs.power_off_at(at);
    if let Ok(mut life) = Life::open(&fs, &mut known) {
        life.live(&mut known, &mut random, 80);
    }
    let ran = Ran::of(&fs, begun);
    for steps in [30, 15] {
        fs.room(None);
        if random.below(3) == 0 {
            fs.kill()
        } else {
            fs.power_loss()
        }
        // Opening may meet the next crash.
        fs.power_off_at(1 + random.below(70));
        match Life::open(&fs, &mut known) {
            Ok(mut life) => life.live(&mut known, &mut random, steps),
            Err(error) => assert!(fs.is_down(), "a journal opens after any crash: {error}"),
        }
    }
    fs.room(None);
    fs.power_loss();
    Life::open(&fs, &mut known).expect("a journal opens after any crash");
    ran
}

#[test]
fn journal_keeps_its_promises_through_a_crash_at_every_call() {
    crash_at_every_call("journal", 5, run);
}
