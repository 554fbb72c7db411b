//! The seals of a journal, held against its bytes.
//!
//! In: the records that a pass over the journal shows, and the segment files. Out: findings. What a seal covers is read
//! and hashed once more, since a checksum can be mended by whoever can write it and a signature cannot.
//!
//! A seal is known twice: by its record, and by the ledger in the states of later segments. So a segment that is gone is
//! named by the one behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use shared::identity::ChainId;
use shared::log::{
    Damage, Entry, Kind, Reader, RealFs, Record, SegmentDigest, record_len, segment_digests, segment_states,
};
use shared::protocol::ChainState;
use shared::tls::KeyHash;

use super::super::sealing::ledger_of;
use super::super::{Retirement, Seal, SealHead};
use super::verify::{Fate, Finding, Severity};
use super::{JournalFiles, OfflineError};

/// Seals that are looked at in one journal.
const SEALS_MAX: usize = 200_000;

/// Everything that a journal says of its seals.
#[derive(Default)]
pub(super) struct SealBook {
    /// By number.
    pub(super) seals: BTreeMap<u64, Seal>,
    /// The furthest retirement whose signature holds.
    pub(super) retired: Option<Retirement>,
    pub(super) findings: Vec<Finding>,
}

/// The segments of a journal as a pass found them, and the digests that were asked for.
pub(super) struct Segments {
    pub(super) log_id: [u8; 16],
    /// Where they begin, the oldest first; at least one.
    pub(super) firsts: Vec<u64>,
    /// Log offset behind the last record.
    pub(super) end: u64,
    digests: BTreeMap<(u64, u64), [u8; 32]>,
}

impl Segments {
    /// Reads the files for the digests of `wanted`: first and end of each.
    pub(super) fn read(
        dir: &Path,
        (log_id, firsts, end): ([u8; 16], Vec<u64>, u64),
        wanted: impl Iterator<Item = SegmentDigest>,
    ) -> io::Result<Self> {
        let mut ends: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for digest in wanted.filter(|digest| firsts.contains(&digest.first)) {
            ends.entry(digest.first).or_default().insert(digest.end);
        }
        let mut digests = BTreeMap::new();
        for (first, ends) in ends {
            let ends: Vec<u64> = ends.into_iter().collect();
            let found = segment_digests(&RealFs, dir, first, &ends)?;
            digests.extend(found.into_iter().flatten().map(|digest| ((digest.first, digest.end), digest.sha256)));
        }
        Ok(Self { log_id, firsts, end, digests })
    }

    /// Where the segment that begins at `first` ends; none if it is not there.
    pub(super) fn end_of(&self, first: u64) -> Option<u64> {
        let at = self.firsts.binary_search(&first).ok()?;
        Some(self.firsts.get(at + 1).copied().unwrap_or(self.end))
    }

    /// Whether the bytes that a digest was made of are those that are there; none if they are not all there.
    pub(super) fn matches(&self, digest: &SegmentDigest) -> Option<bool> {
        let end = self.end_of(digest.first)?;
        let found = self.digests.get(&(digest.first, digest.end)).filter(|_| digest.end <= end)?;
        Some(*found == digest.sha256)
    }

    fn oldest(&self) -> u64 {
        self.firsts.first().copied().unwrap_or(0)
    }
}

/// Whether a signature by this key counts; without any known key each does.
pub(super) fn is_trusted(keys: &[KeyHash], key: KeyHash) -> bool {
    keys.is_empty() || keys.contains(&key)
}

impl SealBook {
    fn fail(&mut self, fate: Fate, anchor: String, detail: String) {
        let finding = Finding::new("seals", Severity::Fail, detail);
        self.findings.push(Finding { fate: Some(fate), anchor: Some(anchor), ..finding });
    }

    /// Takes a segment's state.
    pub(super) fn state(&mut self, record: &Record<'_>, keys: &[KeyHash]) {
        let Some(ledger) = ledger_of(record.payload) else { return };
        if let Some(seal) = ledger.last {
            self.know(seal);
        }
        if let Some(retirement) = ledger.retired {
            self.retire(retirement, record.offset, keys);
        }
    }

    /// Takes a mark.
    pub(super) fn mark(&mut self, record: &Record<'_>, keys: &[KeyHash]) {
        match Retirement::decode(record.payload) {
            Some((retirement, [])) => self.retire(retirement, record.offset, keys),
            _ => {
                let detail = format!("the mark at log offset {} does not decode", record.offset);
                self.findings.push(Finding::new("seals", Severity::Fail, detail));
            }
        }
    }

    fn retire(&mut self, retirement: Retirement, offset: u64, keys: &[KeyHash]) {
        if self.retired.as_ref().is_some_and(|known| *known == retirement) {
            return;
        }
        if !retirement.holds() || !is_trusted(keys, retirement.key) {
            let detail = format!(
                "what says at log offset {offset} that segments below log offset {} were let go is not signed by this aggregator",
                retirement.through
            );
            return self.fail(Fate::Altered, "retirement".to_owned(), detail);
        }
        if self.retired.as_ref().is_none_or(|known| known.through < retirement.through) {
            self.retired = Some(retirement);
        }
    }

    /// Takes a seal's record; `chains` are the prefixes that the frames before it lead to.
    pub(super) fn seal(&mut self, record: &Record<'_>, chains: &BTreeMap<ChainId, ChainState>) {
        let Some((seal, heads)) = Seal::parse(record.payload) else {
            let detail =
                format!("the seal at log offset {} does not decode, or its heads are not its own", record.offset);
            return self.fail(Fate::Altered, format!("log offset {}", record.offset), detail);
        };
        let number = seal.statement.number;
        if record.offset == seal.statement.digest.end {
            let differs = |head: &&SealHead| {
                chains.get(&head.chain).is_none_or(|state| (state.through, state.head) != (head.through, head.head))
            };
            if let Some(SealHead { chain, through, .. }) = heads.iter().find(differs) {
                let detail = format!("it names sequence {through} of this chain, the frames before it lead elsewhere");
                self.fail(Fate::Altered, seal_name(number), detail);
                self.findings.last_mut().into_iter().for_each(|finding| finding.chain = Some(*chain));
            }
        }
        self.know(seal);
    }

    fn know(&mut self, seal: Seal) {
        let number = seal.statement.number;
        match self.seals.get(&number) {
            Some(known) if *known != seal => {
                let detail = "there are two seals of this number, which say different things".to_owned();
                self.fail(Fate::Altered, seal_name(number), detail);
            }
            Some(_) => {}
            None if self.seals.len() < SEALS_MAX => {
                self.seals.insert(number, seal);
            }
            None => {}
        }
    }

    /// Log offset below which segments were let go.
    pub(super) fn retired_through(&self) -> u64 {
        self.retired.as_ref().map_or(0, |retirement| retirement.through)
    }

    /// Holds everything against the files.
    pub(super) fn judge(&mut self, segments: &Segments, damage: &[Damage], keys: &[KeyHash]) {
        let retired = self.retired_through();
        if segments.oldest() > retired {
            let detail = format!(
                "log offsets {retired} to {} are gone, and nothing that this aggregator signed says that it let them go",
                segments.oldest()
            );
            self.fail(Fate::Removed, "beginning".to_owned(), detail);
        }
        let mut before: Option<Seal> = None;
        for (number, seal) in self.seals.clone() {
            if let Some((fate, detail)) = judge_one(&seal, before.as_ref(), segments, retired, keys) {
                self.fail(fate, seal_name(number), detail);
            }
            before = Some(seal);
        }
        self.unsealed(segments, damage, retired);
    }

    /// Finished segments without a seal: the file failed, or the program that wrote them had none.
    fn unsealed(&mut self, segments: &Segments, damage: &[Damage], retired: u64) {
        let ends = |seal: &Seal| {
            let SegmentDigest { first, end, .. } = seal.statement.digest;
            [(first, end), (first, end + record_len(seal.payload_len()))]
        };
        let sealed: BTreeSet<(u64, u64)> = self.seals.values().flat_map(ends).collect();
        for (first, next) in segments.firsts.iter().zip(segments.firsts.iter().skip(1)) {
            // Where what followed it is gone, it ends where that begins.
            let lost = damage.iter().find(|damage| damage.to == *next && damage.from > *first);
            let end = lost.map_or(*next, |damage| damage.from);
            if *first < retired || sealed.contains(&(*first, end)) {
                continue;
            }
            let detail = format!(
                "the segment from log offset {first} to {end} has no seal: whether it is as it was written is known by \
                 its checksums and chains only; `journal verify --repair` seals it as it is now"
            );
            let finding = Finding::new("seals", Severity::Warn, detail);
            let anchor = Some(format!("log offset {first}"));
            self.findings.push(Finding { fate: Some(Fate::Unsealed), anchor, ..finding });
        }
    }
}

fn judge_one(
    seal: &Seal,
    before: Option<&Seal>,
    segments: &Segments,
    retired: u64,
    keys: &[KeyHash],
) -> Option<(Fate, String)> {
    let said = &seal.statement;
    let SegmentDigest { first, end, .. } = said.digest;
    if !seal.holds() || !is_trusted(keys, said.key) || said.log_id != segments.log_id {
        let why = if !seal.holds() {
            "its signature does not hold".to_owned()
        } else if said.log_id != segments.log_id {
            "it is of another journal".to_owned()
        } else {
            format!("it is signed with the key {}, which is not this authority's", said.key)
        };
        return Some((Fate::Altered, why));
    }
    if let Some(before) = before {
        let missing = said.number.saturating_sub(before.statement.number).saturating_sub(1);
        if missing > 0 {
            let (from, to) = (before.statement.number + 1, said.number - 1);
            return Some((Fate::Removed, format!("seals {from} to {to} before it are gone, with what they covered")));
        }
        if said.previous != before.hash() {
            return Some((Fate::Altered, format!("it does not follow on seal {}", before.statement.number)));
        }
    }
    match segments.matches(&said.digest) {
        Some(true) => None,
        _ if end <= retired => None,
        Some(false) => {
            Some((Fate::Altered, format!("log offsets {first} to {end} are not the bytes that it was made for")))
        }
        None if segments.end_of(first).is_some() => {
            Some((Fate::Altered, format!("log offsets {first} to {end} do not all read any more")))
        }
        None => Some((Fate::Removed, format!("the segment from log offset {first} to {end} is gone"))),
    }
}

/// A seal, as findings name it.
pub(super) fn seal_name(number: u64) -> String {
    format!("seal {number}")
}

impl JournalFiles {
    /// Log offset below which the aggregator has let everything go, as the states and the newest segment say.
    pub(super) fn retired_through(&self, keys: &[KeyHash]) -> Result<u64, OfflineError> {
        let mut book = SealBook::default();
        let newest = self.segments.last().map_or(0, |segment| segment.first);
        let mut retired = Vec::new();
        segment_states(&RealFs, &self.dir, &mut |_, payload| {
            retired.extend(ledger_of(payload).and_then(|ledger| ledger.retired));
        })
        .map_err(|error| self.failed(error))?;
        let mut reader = Reader::new(Arc::new(RealFs), &self.dir, newest);
        while let Some(entry) = reader.next(self.end).map_err(|error| self.failed(error))? {
            if let Entry::Record(record) = entry
                && record.kind == Kind::Mark
            {
                retired.extend(Retirement::decode(record.payload).map(|(retirement, _)| retirement));
            }
        }
        retired.into_iter().for_each(|retirement| book.retire(retirement, 0, keys));
        Ok(book.retired_through())
    }
}
