//! Is the journal whole? Every record's checksum, every frame's, every chain's links, positions that rise.
//!
//! The rule of a chain is that of ingest, [`shared::protocol::place`]: each frame follows on in sequence, record
//! number and `prev`. Absent ranges stand in the aggregator's own frames and move the prefix past them. A
//! segment's state is held against what the frames before it led to; from there on the state counts.
//!
//! Checksums and chains find what a disk did. What somebody did who can write the disk is found by the seals, whose
//! signatures he cannot make ([`super::seals`]), and by anchors that lie where he cannot write ([`super::against`]).
//! Segments that the aggregator let go, and of which a crash left some, count as gone.

use std::collections::BTreeMap;
use std::path::Path;

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameError, FrameKind, Opener};
use shared::identity::{AgentId, ChainId};
use shared::log::{Kind, RealFs, Record, Verified, segment_header};
use shared::protocol::{ChainState, Placing, place};
use shared::record::Value;
use shared::tls::KeyHash;

use super::super::{ChainTable, Numbers, Wrap, absent_of};
use super::against::{self, Judged, Step, Watch};
use super::anchors::Anchors;
use super::seals::{SealBook, Segments};
use super::{JournalFiles, OfflineError};

/// Findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 1_000;
/// A segment that goes while the journal is read makes the reading begin again, so often.
const ATTEMPTS: usize = 5;

/// What a finding means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// It is as it was, or as the aggregator said that it would be.
    Fine,
    /// A person should know.
    Warn,
    /// Something that was received does not read back, or a chain does not hold.
    Fail,
}

/// What became of something that a seal or an anchor names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The very bytes are there.
    Intact,
    /// Other bytes are there, or they do not read.
    Altered,
    /// It went, and the aggregator did not let it go.
    Removed,
    /// The journal ends before it.
    Cut,
    /// It is not here: another aggregator has it.
    Elsewhere,
    /// The aggregator let it go, and signed that it did.
    Retired,
    /// Nobody vouches for it.
    Unsealed,
}

impl Fate {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Intact => "intact",
            Self::Altered => "altered",
            Self::Removed => "removed",
            Self::Cut => "cut",
            Self::Elsewhere => "elsewhere",
            Self::Retired => "retired",
            Self::Unsealed => "unsealed",
        }
    }
}

/// Something that is not as it should be; of anchors, also what is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at: `log`, `segments`, `frames`, `positions`, `chains`, `seals`, `anchors`.
    pub check: &'static str,
    /// What it means.
    pub severity: Severity,
    /// Position in the journal, where it has one.
    pub position: Option<u64>,
    /// The chain, where it is about one.
    pub chain: Option<ChainId>,
    /// What became of it, where a seal or an anchor is held against the journal.
    pub fate: Option<Fate>,
    /// Which seal or anchor.
    pub anchor: Option<String>,
    /// The last anchor up to it that is intact.
    pub since: Option<String>,
    /// What was found.
    pub detail: String,
}

impl Finding {
    /// Nothing in particular.
    pub(crate) fn about(check: &'static str, detail: String) -> Self {
        Self::new(check, Severity::Fine, detail)
    }

    /// A finding about the journal as a whole.
    pub(super) fn new(check: &'static str, severity: Severity, detail: String) -> Self {
        Self { check, severity, position: None, chain: None, fate: None, anchor: None, since: None, detail }
    }
}

/// Whom signatures are believed of, and what the journal is held against.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Keys; without any, every key that a seal names.
    pub keys: Vec<KeyHash>,
    /// Anchors; their keys count too.
    pub against: Option<Anchors>,
}

/// What was looked at, and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Segments read.
    pub segments: u64,
    /// Log records whose checksum held.
    pub records: u64,
    /// Frames whose checksums held.
    pub frames: u64,
    /// Bytes of their records.
    pub frame_bytes: u64,
    /// Chains that were followed.
    pub chains: u64,
    /// Position of the last frame.
    pub last_position: u64,
    /// Seals that are known.
    pub seals: u64,
    /// Seals and ends that the journal was held against, and the chains whose heads stand there.
    pub anchors: Option<(u64, u64)>,
    /// What was found, in the order of the journal, at most 1,000; what concerns the log as a whole comes last.
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub omitted: u64,
}

impl Verdict {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.omitted == 0 && self.findings.iter().all(|finding| finding.severity != Severity::Fail)
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX { self.findings.push(finding) } else { self.omitted += 1 }
    }
}

/// Reads every byte of the journal in `dir`, follows every chain, and holds it against its seals and what `trust` says;
/// changes nothing.
///
/// # Errors
/// [`OfflineError::Missing`], [`OfflineError::Io`].
pub fn verify(dir: &Path, trust: &Trust) -> Result<Verdict, OfflineError> {
    let mut keys = trust.keys.clone();
    keys.extend(trust.against.iter().flat_map(|anchors| &anchors.seals).map(|seal| seal.statement.key));
    let mut attempt = 1;
    loop {
        // Segments that go meanwhile make the reading begin again.
        let files = JournalFiles::open(dir)?;
        match verify_once(&files, &keys, trust.against.as_ref()) {
            Err(OfflineError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            other => return other,
        }
    }
}

fn verify_once(files: &JournalFiles, keys: &[KeyHash], against: Option<&Anchors>) -> Result<Verdict, OfflineError> {
    let failed = |error| files.failed(error);
    let mut verifier = Verifier { gone: files.retired_through(keys)?, keys: keys.to_vec(), ..Verifier::default() };
    verifier.watch = against.map(|anchors| Watch::new(&anchors.heads));
    let log = shared::log::verify(&RealFs, &files.dir, &mut |record| verifier.record(record)).map_err(failed)?;
    let header = segment_header(&RealFs, &files.dir, files.oldest()).map_err(failed)?;
    let log_id = header.map_or([0; 16], |header| header.log_id);
    let there = super::segment_files(&files.dir).map_err(failed)?.into_iter().map(|segment| segment.first);
    let firsts = there.filter(|first| !log.foreign.contains(&super::segment_name(*first))).collect();
    let sealed = verifier.book.seals.values().map(|seal| seal.statement.digest);
    let anchored = against.into_iter().flat_map(|anchors| {
        anchors.seals.iter().map(|seal| seal.statement.digest).chain(anchors.ends.iter().map(|end| end.digest))
    });
    let parts = (log_id, firsts, verifier.end);
    let segments = Segments::read(&files.dir, parts, sealed.chain(anchored)).map_err(failed)?;
    verifier.book.judge(&segments, &log.damage, keys);
    Ok(verifier.finish(&log, &segments, against))
}

#[derive(Default)]
struct Verifier {
    verdict: Verdict,
    chains: BTreeMap<ChainId, ChainState>,
    /// A state was read: a chain that is not known begins behind it.
    based: bool,
    opener: Opener,
    /// Log offset below which the aggregator has let everything go.
    gone: u64,
    /// Log offset behind the last record.
    end: u64,
    keys: Vec<KeyHash>,
    book: SealBook,
    watch: Option<Watch>,
    /// The aggregator itself.
    own: Option<AgentId>,
}

impl Verifier {
    fn fail(&mut self, check: &'static str, position: u64, chain: Option<ChainId>, detail: String) {
        self.verdict.add(Finding { position: Some(position), chain, ..Finding::new(check, Severity::Fail, detail) });
    }

    fn step(&mut self, chain: ChainId, before: u64, after: &ChainState, step: Step) {
        if let Some(watch) = self.watch.as_mut() {
            watch.step(chain, before, after, step);
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        self.end = self.end.max(record.end());
        if record.offset < self.gone {
            return;
        }
        match record.kind {
            Kind::State => self.state(record),
            Kind::Frame => self.frame(record),
            Kind::Seal => self.book.seal(record, &self.chains),
            Kind::Mark => self.book.mark(record, &self.keys),
            Kind::Checkpoint => {
                let next = self.verdict.last_position.saturating_add(1);
                let detail = format!("the record at log offset {} is none of a journal", record.offset);
                self.fail("log", next, None, detail);
            }
        }
    }

    fn state(&mut self, record: &Record<'_>) {
        let next = self.verdict.last_position.saturating_add(1);
        let Some((numbers, table)) = Numbers::decode(record.payload) else {
            let detail = format!("the state at log offset {} is of another version", record.offset);
            return self.fail("segments", next, None, detail);
        };
        self.book.state(record, &self.keys);
        if numbers.position < next {
            let detail = format!("a segment's state says that position {} comes next", numbers.position);
            self.fail("positions", next, None, detail);
        }
        let known = ChainTable::default();
        known.decode(table);
        for (chain, books) in known.all() {
            let before = self.chains.insert(chain, books.state);
            if before != Some(books.state) {
                self.step(chain, before.map_or(0, |before| before.through), &books.state, Step::Base(record.offset));
            }
            let expected = before.or(self.based.then_some(ChainState::EMPTY));
            if let Some(before) = expected.filter(|before| *before != books.state) {
                let detail = format!(
                    "a segment's state has sequences through {} and records before {}, the frames before it lead to {} and {}",
                    books.state.through, books.state.next_record, before.through, before.next_record
                );
                self.fail("chains", next, Some(chain), detail);
            }
        }
        self.based = true;
    }

    fn frame(&mut self, record: &Record<'_>) {
        let next = self.verdict.last_position.saturating_add(1);
        let Some((wrap, bytes)) = Wrap::split(record.payload) else {
            let detail = format!("the frame at log offset {} has no head", record.offset);
            return self.fail("frames", next, None, detail);
        };
        if wrap.position < next {
            let detail = format!("position {} stands behind position {}", wrap.position, next - 1);
            self.fail("positions", wrap.position, None, detail);
        }
        self.verdict.last_position = self.verdict.last_position.max(wrap.position);
        let frame = match Frame::parse(bytes.to_vec()) {
            Ok(frame) => frame,
            Err(error) => {
                let newer = matches!(error, FrameError::Newer { .. });
                let severity = if newer { Severity::Warn } else { Severity::Fail };
                let finding = Finding::new("frames", severity, error.to_string());
                return self.verdict.add(Finding { position: Some(wrap.position), ..finding });
            }
        };
        self.verdict.frames += 1;
        self.own = wrap.is_own().then_some(frame.header().chain.agent).or(self.own);
        self.follow(&wrap, &frame);
        if wrap.is_own() && frame.header().kind == FrameKind::Data && !wrap.is_cut {
            self.own(&wrap, &frame);
        }
    }

    /// The prefix of a chain, or what the frame takes for one where nothing is known of the chain.
    fn prefix(&self, frame: &Frame) -> ChainState {
        let header = frame.header();
        let unknown = if self.based {
            ChainState::EMPTY
        } else {
            ChainState { through: header.sequence - 1, head: header.prev, next_record: header.first_record }
        };
        self.chains.get(&header.chain).copied().unwrap_or(unknown)
    }

    fn follow(&mut self, wrap: &Wrap, frame: &Frame) {
        let (header, before) = (frame.header(), self.prefix(frame));
        let placing = place(&before, frame, &mut self.opener);
        let after = match placing {
            Placing::Next(after) => {
                self.step(header.chain, before.through, &after, Step::Frame);
                self.chains.insert(header.chain, after);
                return;
            }
            Placing::Known => {
                let detail = format!("sequence {} comes again, after {}", header.sequence, before.through);
                return self.fail("chains", wrap.position, Some(header.chain), detail);
            }
            Placing::Gap => format!(
                "sequences {} to {} are missing before this frame (records {} to {})",
                before.through + 1,
                header.sequence - 1,
                before.next_record,
                header.first_record.saturating_sub(1)
            ),
            Placing::Reject(reason) => format!(
                "sequence {} does not follow on {}: {reason:?} (prev {}, head {})",
                header.sequence, before.through, header.prev, before.head
            ),
        };
        self.fail("chains", wrap.position, Some(header.chain), after);
        let head = frame.head_after(&mut self.opener).unwrap_or_else(|_| frame.hash());
        let through = header.next_sequence().saturating_sub(1);
        let after = ChainState { through, head, next_record: header.next_record() };
        self.step(header.chain, header.sequence.saturating_sub(1), &after, Step::Frame);
        self.chains.insert(header.chain, after);
    }

    /// Absent ranges that an own frame tells of.
    fn own(&mut self, wrap: &Wrap, frame: &Frame) {
        let header = frame.header();
        let mut found = Vec::new();
        let opened = frame.open(&mut self.opener).map_err(|error| error.to_string()).and_then(|columns| {
            let view = BatchView::parse(&columns, header.records).map_err(|error| error.to_string())?;
            for record in view.iter() {
                if let Body::Typed(fields) = record.map_err(|error| error.to_string())?.body {
                    found.extend(absent_of(&fields).map(|absent| (absent, elsewhere_of(&fields))));
                }
            }
            Ok(())
        });
        if let Err(detail) = opened {
            self.fail("frames", wrap.position, Some(header.chain), detail);
        }
        for ((chain, after, records), elsewhere) in found {
            let before = self.chains.insert(chain, after);
            self.step(chain, before.map_or(0, |before| before.through), &after, Step::Absent(elsewhere));
            let before = before.or(self.based.then_some(ChainState::EMPTY));
            let Some(before) = before else { continue };
            if before.next_record != after.next_record.saturating_sub(records) || before.through > after.through {
                let detail = format!(
                    "an absent range of {records} records through sequence {} does not follow on sequence {} and record {}",
                    after.through, before.through, before.next_record
                );
                self.fail("chains", wrap.position, Some(chain), detail);
            }
        }
    }

    fn finish(mut self, log: &Verified, segments: &Segments, against: Option<&Anchors>) -> Verdict {
        let verdict = &mut self.verdict;
        (verdict.segments, verdict.records, verdict.frame_bytes) = (log.segments, log.records, log.frame_bytes);
        (verdict.chains, verdict.seals) = (self.chains.len() as u64, self.book.seals.len() as u64);
        let mut add = |check, severity, detail| verdict.add(Finding::new(check, severity, detail));
        let gone = self.gone.max(self.book.retired_through());
        for damage in log.damage.iter().filter(|damage| damage.to > gone) {
            let bytes = damage.to.saturating_sub(damage.from);
            let detail = format!("{bytes} bytes at log offset {} do not read back as they were written", damage.from);
            add("log", Severity::Fail, detail);
        }
        for first in log.stateless.iter().filter(|first| **first >= gone) {
            add("segments", Severity::Fail, format!("the segment that begins at log offset {first} has no state"));
        }
        for name in &log.foreign {
            add(
                "segments",
                Severity::Warn,
                format!("{name} is no segment of this journal: the next start sets it aside"),
            );
        }
        if let Some(torn) = log.torn {
            let bytes = torn.to.saturating_sub(torn.from);
            let detail = format!(
                "{bytes} bytes at log offset {} are a torn tail, which was never acked and which the next start cuts; or \
                 the aggregator is writing there",
                torn.from
            );
            add("log", Severity::Warn, detail);
        }
        std::mem::take(&mut self.book.findings).into_iter().for_each(|finding| verdict.add(finding));
        if let Some((anchors, watch)) = against.zip(self.watch) {
            let named = anchors.seals.len() + anchors.ends.len();
            verdict.anchors = Some((named as u64, against::chains_named(anchors) as u64));
            let foreign = anchors.ends.iter().all(|end| end.log_id != segments.log_id);
            let foreign = anchors.aggregator.filter(|_| foreign);
            let journal = Judged { ends: &self.chains, book: &self.book, segments, own: self.own, foreign };
            // Every anchor has its line, however many findings there are.
            verdict.findings.extend(against::judge(anchors, &watch, &journal));
        }
        self.verdict
    }
}

/// The aggregator that an absent range names.
fn elsewhere_of(fields: &[(&str, Value)]) -> Option<AgentId> {
    match fields.iter().find(|(key, _)| *key == "elsewhere")? {
        (_, Value::String(id)) => id.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
