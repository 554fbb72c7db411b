//! Sealing: a finished segment ends with a seal, and before segments go it is said that they do.
//!
//! Invariants:
//! - The seal is committed in its segment before the next segment is made: a crash in between leaves the segment open,
//!   and whatever is appended to it then is covered by a later seal.
//! - Where a file failed and took nothing more, its segment's seal is owed: it stands in a later segment. What a crash
//!   left without one is found at start and owed too, by what its bytes are then.
//! - The seal's room is kept free while the segment fills, by the chains that have frames in it.
//! - No segment is unlinked before a signed mark that lets it go is durable; at start that is brought to its end.
//! - Of every seal that finishes a segment a copy goes out as a record of the aggregator's own, once. (Where a start finds
//!   several without a copy in segments before the newest, only the last of these gets one: the others are named by its
//!   chain, and so are seals made at a stop.)

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use shared::frame::{Frame, Header, Opener};
use shared::identity::AgentId;
use shared::log::{Entry, Fs, Kind, Log, Reader, Record, SegmentDigest, record_len, segment_digests};
use shared::record::Value;
use shared::time::Timestamp;
use shared::tls::KeyHash;

use super::ledger::Ledger;
use super::offline::Repaired;
use super::seal::{Covered, RetiredFor, Retirement, Seal, SealHead, Statement, seal_len};
use super::{ChainTable, Journal, Numbers, OwnRecord, STATE_HEAD_LEN, STATE_VERSION, Start, Wrap, own_records};
use crate::ca::signature::{Signature, Signer};

/// Seals that are owed at most; beyond it the oldest segments stay without.
const OWED_MAX: usize = 16;

/// What a seal will say: it is numbered and signed when there is room for it.
struct Draft {
    digest: SegmentDigest,
    covered: Covered,
    heads: Vec<SealHead>,
    reread: bool,
}

/// What was appended and is not committed yet.
#[derive(Default)]
struct Staged {
    seals: Vec<Seal>,
    copied: Option<u64>,
    retired: Option<Retirement>,
    covered: Covered,
}

/// What the journal knows of its seals.
pub(super) struct Evidence {
    signer: Arc<Signer>,
    aggregator: AgentId,
    pub(super) ledger: Ledger,
    /// What the active segment holds.
    covered: Covered,
    /// The active segment was found at start.
    reread: bool,
    /// Log offset behind the last seal: where the log ends there, its last record is a seal.
    sealed_to: u64,
    staged: Staged,
    /// Oldest first.
    owed: VecDeque<Draft>,
    uncopied: VecDeque<Seal>,
    /// At start: where the seals that were read would end a segment.
    found: Vec<u64>,
    opener: Opener,
}

impl Evidence {
    pub(super) fn new(signer: Arc<Signer>, aggregator: AgentId) -> Self {
        Self {
            signer,
            aggregator,
            ledger: Ledger::default(),
            covered: Covered::default(),
            reread: false,
            sealed_to: 0,
            staged: Staged::default(),
            owed: VecDeque::new(),
            uncopied: VecDeque::new(),
            found: Vec::new(),
            opener: Opener::default(),
        }
    }

    /// Takes a record of the log at start.
    pub(super) fn fold(&mut self, record: &Record<'_>) {
        match record.kind {
            Kind::State => {
                // Of what came before a state without a ledger nobody asks for seals.
                let none = Ledger { settled: record.offset, ..Ledger::default() };
                self.ledger = ledger_of(record.payload).unwrap_or(none);
                self.covered = Covered::default();
                self.uncopied.clear();
                let last = self.ledger.last.iter();
                self.uncopied.extend(last.filter(|seal| seal.statement.number > self.ledger.copied).cloned());
            }
            Kind::Frame => self.fold_frame(record.payload),
            Kind::Seal => {
                let Some((seal, _)) = Seal::decode(record.payload) else { return };
                let covered_to = seal.statement.digest.end;
                // A late one says nothing of the segment that it stands in.
                let in_place = record.offset == covered_to;
                self.sealed_to = if in_place { record.end() } else { self.sealed_to };
                self.found.push(if in_place { record.end() } else { covered_to });
                self.uncopied.extend((!in_place).then(|| seal.clone()));
                self.ledger.last = Some(seal);
            }
            Kind::Mark => {
                if let Some((retirement, [])) = Retirement::decode(record.payload) {
                    self.ledger.retired = Some(retirement);
                }
            }
            Kind::Checkpoint => {}
        }
    }

    fn fold_frame(&mut self, payload: &[u8]) {
        let Some((wrap, bytes)) = Wrap::split(payload) else { return };
        let Ok(header) = Header::parse(bytes) else { return };
        self.covered.note(&wrap, header.chain);
        let Some(frame) = wrap.is_own().then(|| Frame::parse(bytes.to_vec()).ok()).flatten() else { return };
        let mut copied = 0;
        own_records(&wrap, &frame, &mut self.opener, &mut |fields| {
            copied = copied.max(copy_number(fields).unwrap_or(0))
        });
        self.ledger.copied = self.ledger.copied.max(copied);
        self.uncopied.retain(|seal| seal.statement.number > copied);
    }

    /// The log was opened: what bears no seal and should is owed one.
    pub(super) fn opened(&mut self, fs: &Arc<dyn Fs>, log: &mut Log) {
        self.reread = true;
        if let Err(error) = log.keep_digest() {
            tracing::warn!(%error, "the journal's active segment does not read back and gets no seal");
        }
        let (firsts, found): (Vec<u64>, _) = (log.firsts().collect(), std::mem::take(&mut self.found));
        for (first, end) in firsts.iter().zip(firsts.iter().skip(1)) {
            if *end <= self.ledger.settled || found.contains(end) {
                continue;
            }
            match survey(fs, log.dir(), *first, *end) {
                Ok(Some(draft)) => self.owe(draft),
                Ok(None) => tracing::warn!(first, end, "a segment of the journal does not read back and gets no seal"),
                Err(error) => tracing::warn!(first, end, %error, "a segment of the journal gets no seal"),
            }
        }
    }

    fn owe(&mut self, draft: Draft) {
        if self.owed.len() >= OWED_MAX {
            self.owed.pop_front();
        }
        self.owed.push_back(draft);
    }

    /// Whether the segment that ends at log offset `end` waits for its seal.
    #[cfg(test)]
    pub(super) fn owes(&self, end: u64) -> bool {
        self.owed.iter().any(|draft| draft.digest.end == end)
    }

    /// Numbers and signs a draft; gives the payload of its record.
    fn sign(&self, draft: &Draft, log: &Log, now: Timestamp) -> io::Result<(Seal, Vec<u8>)> {
        let last = self.staged.seals.last().or(self.ledger.last.as_ref());
        let statement = Statement {
            log_id: log.id(),
            aggregator: self.aggregator,
            number: last.map_or(0, |seal| seal.statement.number) + 1,
            digest: draft.digest,
            positions: draft.covered.positions,
            span: draft.covered.span,
            made_at: now,
            previous: last.map_or([0; 32], Seal::hash),
            heads: 0,
            heads_sha256: [0; 32],
            reread: draft.reread,
            key: KeyHash([0; 32]),
        };
        Seal::make(statement, &draft.heads, &self.signer).map_err(io::Error::other)
    }

    /// A draft for what `digest` covers, the committed part of the active segment.
    fn draft(&self, digest: SegmentDigest, chains: &ChainTable) -> Draft {
        let head = |chain| {
            let state = chains.books(chain)?.state;
            Some(SealHead { chain, through: state.through, head: state.head })
        };
        let heads = self.covered.chains.iter().filter_map(|chain| head(*chain)).collect();
        let covered = Covered { chains: Default::default(), ..self.covered };
        Draft { digest, covered, heads, reread: self.reread }
    }

    /// A frame was appended.
    pub(super) fn note(&mut self, wrap: &Wrap, header: &Header) {
        self.staged.covered.note(wrap, header.chain);
    }

    /// Chains that the active segment's seal names, when one more comes.
    fn heads(&self) -> usize {
        self.covered.chains.len() + self.staged.covered.chains.len() + 1
    }

    /// A commit returned. `before` is the active segment's digest from before it, `moved` says that its records went to
    /// a new segment; `chains` are those of before it.
    pub(super) fn committed(&mut self, before: Option<SegmentDigest>, moved: bool, chains: &ChainTable) {
        let Staged { seals, copied, retired, covered } = std::mem::take(&mut self.staged);
        if moved {
            let covers = |digest: &SegmentDigest| seals.iter().any(|seal| seal.statement.digest == *digest);
            let open = |digest: &SegmentDigest| digest.end > digest.first && digest.end != self.sealed_to;
            if let Some(digest) = before.filter(|digest| open(digest) && !covers(digest)) {
                self.owe(self.draft(digest, chains));
            }
            (self.covered, self.reread) = (covered, false);
        } else {
            self.covered.absorb(covered);
        }
        // One that stands in its segment finishes it only when the next segment is made.
        let active = before.map(|digest| digest.first).filter(|_| !moved);
        self.uncopied.extend(seals.iter().filter(|seal| Some(seal.statement.digest.first) != active).cloned());
        self.ledger.last = seals.into_iter().next_back().or(self.ledger.last.take());
        self.ledger.copied = copied.unwrap_or(self.ledger.copied);
        self.ledger.retired = retired.or(self.ledger.retired.take());
    }
}

impl Journal {
    /// Keeps room for the seal of the active segment.
    pub(super) fn keep_seal_room(&mut self) {
        self.log.keep_free(record_len(seal_len(self.evidence.heads())));
    }

    /// Ends the active segment with a seal, unless it does already, and commits. One that finds no room is owed.
    fn seal(&mut self) -> io::Result<()> {
        debug_assert_eq!(self.log.pending_bytes(), 0, "what a seal covers is committed");
        let Some(digest) = self.log.digest().filter(|digest| digest.end != self.evidence.sealed_to) else {
            return Ok(());
        };
        let draft = self.evidence.draft(digest, &self.chains);
        let (seal, payload) = self.evidence.sign(&draft, &self.log, self.clock.now())?;
        if self.log.append(Kind::Seal, &[&payload]).is_err() {
            self.evidence.owe(draft);
            return Ok(());
        }
        self.evidence.staged.seals.push(seal);
        let active = self.log.active_first();
        self.commit()?;
        if self.log.active_first() == active {
            self.evidence.sealed_to = self.log.committed();
        }
        Ok(())
    }

    /// Begins a new segment, after the seal of the one that is full. Nothing is pending.
    pub(super) fn roll(&mut self, need: usize) -> io::Result<()> {
        let active = self.log.active_first();
        self.seal()?;
        if self.log.active_first() != active && self.log.fits(Kind::Frame, need) {
            return Ok(());
        }
        let first = self.log.committed();
        let settled = self.evidence.owed.front().map_or(first, |draft| draft.digest.first);
        let ledger = Ledger { settled, ..self.evidence.ledger.clone() };
        self.log.roll(&self.committed.encode(&ledger, &self.chains), need)?;
        (self.evidence.ledger, self.evidence.covered, self.evidence.reread) = (ledger, Covered::default(), false);
        if self.evidence.sealed_to == first {
            self.evidence.uncopied.extend(self.evidence.ledger.last.clone());
        }
        if self.log.digest().is_none() {
            // The segment before did not read back; this one is new.
            self.log.keep_digest()?;
        }
        self.starts.retain(|start| start.first != first);
        let Numbers { position, received_at, .. } = self.committed;
        self.starts.push_back(Start { first, position, received_at });
        Ok(())
    }

    /// Begins a new segment where `max_bytes` has room for one.
    fn roll_within(&mut self) -> io::Result<()> {
        if self.log.bytes() + self.log.segment_size(self.state_len(), 0) > self.config.max_bytes {
            return Err(io::Error::other("journal.max_bytes leaves no room for another segment"));
        }
        self.roll(0)
    }

    /// Appends what is owed, as far as there is room: late seals, and copies of seals.
    pub(super) fn settle(&mut self) {
        self.keep_seal_room();
        while let Some(draft) = self.evidence.owed.front() {
            if !self.log.fits(Kind::Frame, seal_len(draft.heads.len())) {
                break;
            }
            let signed = self.evidence.sign(draft, &self.log, self.clock.now());
            match signed.map(|(seal, payload)| self.log.append(Kind::Seal, &[&payload]).map(|()| seal)) {
                Ok(Ok(seal)) => self.evidence.staged.seals.push(seal),
                _ => break,
            }
            self.evidence.owed.pop_front();
        }
        for _ in 0..self.evidence.uncopied.len() {
            let Some(copy) = self.evidence.uncopied.front().map(copy_of) else { break };
            if self.say_as(&copy, false).is_err() {
                break;
            }
            self.evidence.staged.copied = self.evidence.uncopied.pop_front().map(|seal| seal.statement.number);
        }
    }

    /// Seals what came since the last seal, before a stop, where that leaves room for the segment's last one.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn seal_end(&mut self) -> io::Result<()> {
        self.commit()?;
        self.keep_seal_room();
        if self.log.fits(Kind::Frame, seal_len(self.evidence.heads())) { self.seal() } else { Ok(()) }
    }

    /// Gives every segment that has no seal one, and ends with one. Reads all that stands in the journal.
    ///
    /// # Errors
    /// The disk refuses, or a segment cannot be read.
    pub(super) fn seal_all(&mut self) -> io::Result<Repaired> {
        let firsts: Vec<u64> = self.log.firsts().collect();
        let mut done = Repaired::default();
        let sealed = sealed_ends(&self.fs, self.log.dir(), self.log.oldest(), self.log.committed())?;
        for (first, end) in firsts.iter().zip(firsts.iter().skip(1)).filter(|(_, end)| !sealed.contains(end)) {
            if !self.evidence.owed.iter().any(|draft| draft.digest.end == *end) {
                match survey(&self.fs, self.log.dir(), *first, *end)? {
                    Some(draft) => self.evidence.owe(draft),
                    None => {
                        done.unreadable += 1;
                        continue;
                    }
                }
            }
            done.sealed += 1;
            self.settle();
            if !self.evidence.owed.is_empty() {
                self.commit()?;
                self.roll_within()?;
                self.settle();
            }
            self.commit()?;
        }
        self.seal_end()?;
        Ok(done)
    }

    /// Lets finished segments go that every required sink has passed: those older than `retain`, and, at
    /// `max_bytes`, one younger as well. Returns how many younger than `retain` went.
    ///
    /// # Errors
    /// Nobody could be told that they go, or a file cannot be unlinked.
    pub fn trim(&mut self, required: u64, full: bool) -> io::Result<u64> {
        let (now, active) = (self.clock.now(), self.log.active_first());
        let (mut last, mut sacrificed) = (None, 0);
        // The oldest segments may have no start: their state does not read.
        let oldest_end = self.log.oldest_finished().map_or(u64::MAX, |(_, end)| end);
        for next in self.starts.iter().filter(|start| (oldest_end..=active).contains(&start.first)) {
            let old = now.since(next.received_at) > self.config.retain;
            if next.position > required || !(old || full) {
                break;
            }
            last = Some((*next, if old { RetiredFor::Age } else { RetiredFor::Room }));
            if !old {
                sacrificed = 1;
                break;
            }
        }
        let Some((next, reason)) = last else { return Ok(0) };
        self.retire(next, reason)?;
        self.unlink(next.first)?;
        Ok(sacrificed)
    }

    /// Brings to its end what a crash has interrupted: segments that were to go are gone.
    pub(super) fn finish_retirement(&mut self) -> io::Result<()> {
        let key = self.evidence.signer.key_hash();
        let through = match &self.evidence.ledger.retired {
            Some(retired) if retired.log_id == self.log.id() && retired.key == key && retired.holds() => {
                retired.through
            }
            _ => return Ok(()),
        };
        self.unlink(through)
    }

    fn unlink(&mut self, through: u64) -> io::Result<()> {
        let trimmed = self.log.trim(through);
        let oldest = self.log.oldest();
        self.starts.retain(|start| start.first >= oldest);
        trimmed.map(|_| ())
    }

    /// Says durably that everything before `next` goes.
    fn retire(&mut self, next: Start, reason: RetiredFor) -> io::Result<()> {
        // It may have been said, and the disk have refused it: then it is still pending.
        self.commit()?;
        let retired = self.evidence.ledger.retired.as_ref();
        if retired.is_some_and(|retired| retired.through >= next.first && retired.log_id == self.log.id()) {
            return Ok(());
        }
        let retirement = Retirement {
            log_id: self.log.id(),
            aggregator: self.config.aggregator,
            through: next.first,
            position: next.position,
            seals: self.evidence.ledger.last.as_ref().map_or(0, |seal| seal.statement.number),
            at: self.clock.now(),
            reason,
            key: KeyHash([0; 32]),
            signature: Signature { der: Vec::new(), key: Vec::new() },
        };
        let retirement = retirement.sign(&self.evidence.signer).map_err(io::Error::other)?;
        let payload = retirement.encode();
        if self.log.append(Kind::Mark, &[&payload]).is_err() {
            // The file failed, or hundreds of marks are in its reserve: they go on in a new one.
            self.roll_within()?;
            self.log.append(Kind::Mark, &[&payload]).map_err(io::Error::other)?;
        }
        self.evidence.staged.retired = Some(retirement);
        self.commit().map(|_| ())
    }
}

/// What a segment's state says of seals; `None` where it is of a version without.
pub(super) fn ledger_of(state: &[u8]) -> Option<Ledger> {
    let (head, rest) = state.split_at_checked(STATE_HEAD_LEN)?;
    let ledger = (head.first() == Some(&STATE_VERSION)).then(|| super::ledger::prefixed(rest))??;
    Ledger::decode(ledger.0)
}

/// Where the seals between two log offsets end what they cover: as the last record of its segment, or before the next.
fn sealed_ends(fs: &Arc<dyn Fs>, dir: &Path, from: u64, to: u64) -> io::Result<BTreeSet<u64>> {
    let mut ends = BTreeSet::new();
    let mut reader = Reader::new(Arc::clone(fs), dir, from);
    while let Some(entry) = reader.next(to)? {
        if let Entry::Record(record) = entry
            && record.kind == Kind::Seal
            && let Some((seal, _)) = Seal::decode(record.payload)
        {
            let covered_to = seal.statement.digest.end;
            ends.insert(if record.offset == covered_to { record.end() } else { covered_to });
        }
    }
    Ok(ends)
}

/// Reads a finished segment for its seal; `None` when its bytes do not all read.
fn survey(fs: &Arc<dyn Fs>, dir: &Path, first: u64, end: u64) -> io::Result<Option<Draft>> {
    let Some(digest) = segment_digests(fs.as_ref(), dir, first, &[end])?.into_iter().next().flatten() else {
        return Ok(None);
    };
    let mut covered = Covered::default();
    let mut heads = std::collections::BTreeMap::new();
    let mut opener = Opener::default();
    let mut reader = Reader::new(Arc::clone(fs), dir, first);
    while let Some(entry) = reader.next(end)? {
        let Entry::Record(record) = entry else { continue };
        let Some((wrap, bytes)) = Wrap::split(record.payload).filter(|_| record.kind == Kind::Frame) else { continue };
        let Ok(frame) = Frame::parse(bytes.to_vec()) else { continue };
        let Ok(head) = frame.head_after(&mut opener) else { continue };
        let (chain, through) = (frame.header().chain, frame.header().next_sequence() - 1);
        covered.note(&wrap, chain);
        heads.insert(chain, SealHead { chain, through, head });
    }
    covered.chains.clear();
    Ok(Some(Draft { digest, covered, heads: heads.into_values().collect(), reread: true }))
}

/// A seal as a record of the aggregator's own: what the sinks keep of it, with all that checks it.
fn copy_of(seal: &Seal) -> OwnRecord {
    let text = |key: &str, value: &str| (key.to_owned(), Value::String(value.to_owned()));
    let number = |key: &str, value: u64| (key.to_owned(), Value::U64(value));
    let bytes = |key: &str, value: &[u8]| (key.to_owned(), Value::Bytes(value.to_vec()));
    let time = |key: &str, value: Timestamp| (key.to_owned(), Value::Time(value));
    let said = &seal.statement;
    vec![
        text("picket.record", "seal"),
        number("number", said.number),
        text("log", &HEXLOWER.encode(&said.log_id)),
        number("first", said.digest.first),
        number("end", said.digest.end),
        number("first_position", said.positions.0),
        number("last_position", said.positions.1),
        time("since", said.span.0),
        time("until", said.span.1),
        time("made_at", said.made_at),
        text("sha256", &HEXLOWER.encode(&said.digest.sha256)),
        text("hash", &HEXLOWER.encode(&seal.hash())),
        text("previous", &HEXLOWER.encode(&said.previous)),
        number("heads", u64::from(said.heads)),
        bytes("signed", &seal.signed()),
        bytes("signature", &seal.signature.der),
        bytes("key", &seal.signature.key),
    ]
}

/// The number of the seal that an own record is a copy of.
pub(super) fn copy_number(fields: &[(&str, Value)]) -> Option<u64> {
    let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let is_copy = matches!(field("picket.record")?, Value::String(kind) if kind == "seal");
    match field("number")? {
        Value::U64(number) if is_copy => Some(*number),
        _ => None,
    }
}
