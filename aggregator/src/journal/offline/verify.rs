//! Is the journal whole? Every record's checksum, every frame's, every chain's links, positions that rise.
//!
//! The rule of a chain is that of ingest, [`shared::protocol::place`]: each frame follows on in sequence, record
//! number and `prev`. Absent ranges stand in the aggregator's own frames and move the prefix past them. A
//! segment's state is held against what the frames before it led to; from there on the state counts.

use std::collections::BTreeMap;
use std::path::Path;

use shared::batch::{BatchView, Body};
use shared::frame::{Frame, FrameError, FrameKind, Opener};
use shared::identity::ChainId;
use shared::log::{Kind, RealFs, Record, Verified};
use shared::protocol::{ChainState, Placing, place};

use super::super::{ChainTable, Numbers, Wrap, absent_of};
use super::{OfflineError, segment_files};

/// Findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 1_000;
/// A segment that goes while the journal is read makes the reading begin again, so often.
const ATTEMPTS: usize = 5;

/// What a finding means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// A person should know.
    Warn,
    /// Something that was received does not read back, or a chain does not hold.
    Fail,
}

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at: `log`, `segments`, `frames`, `positions`, `chains`.
    pub check: &'static str,
    /// What it means.
    pub severity: Severity,
    /// Position in the journal, where it has one.
    pub position: Option<u64>,
    /// The chain, where it is about one.
    pub chain: Option<ChainId>,
    /// What was found.
    pub detail: String,
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
    /// What was found, in the order of the journal, at most 1,000; what concerns the log as a whole comes last.
    pub findings: Vec<Finding>,
    /// Findings beyond that.
    pub omitted: u64,
}

impl Verdict {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.omitted == 0 && self.findings.iter().all(|finding| finding.severity == Severity::Warn)
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX { self.findings.push(finding) } else { self.omitted += 1 }
    }
}

/// Reads every byte of the journal in `dir` and follows every chain; changes nothing.
///
/// # Errors
/// [`OfflineError::Missing`], [`OfflineError::Io`].
pub fn verify(dir: &Path) -> Result<Verdict, OfflineError> {
    let failed = |source| OfflineError::Io { path: dir.to_owned(), source };
    if !dir.is_dir() || segment_files(dir).map_err(failed)?.is_empty() {
        return Err(OfflineError::Missing { path: dir.to_owned() });
    }
    let mut attempt = 1;
    loop {
        let mut verifier = Verifier::default();
        match shared::log::verify(&RealFs, dir, &mut |record| verifier.record(record)) {
            Ok(log) => return Ok(verifier.finish(&log)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(failed(error)),
        }
    }
}

#[derive(Default)]
struct Verifier {
    verdict: Verdict,
    chains: BTreeMap<ChainId, ChainState>,
    /// A state was read: a chain that is not known begins behind it.
    based: bool,
    opener: Opener,
}

impl Verifier {
    fn fail(&mut self, check: &'static str, position: u64, chain: Option<ChainId>, detail: String) {
        self.verdict.add(Finding { check, severity: Severity::Fail, position: Some(position), chain, detail });
    }

    fn record(&mut self, record: &Record<'_>) {
        match record.kind {
            Kind::State => self.state(record),
            Kind::Frame => self.frame(record),
            Kind::Checkpoint | Kind::Mark | Kind::Seal => {}
        }
    }

    fn state(&mut self, record: &Record<'_>) {
        let next = self.verdict.last_position.saturating_add(1);
        let Some((numbers, table)) = Numbers::decode(record.payload) else {
            let detail = format!("the state at log offset {} is of another version", record.offset);
            return self.fail("segments", next, None, detail);
        };
        if numbers.position < next {
            let detail = format!("a segment's state says that position {} comes next", numbers.position);
            self.fail("positions", next, None, detail);
        }
        let known = ChainTable::default();
        known.decode(table);
        for (chain, books) in known.all() {
            let before = self.chains.insert(chain, books.state);
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
                let (position, detail) = (Some(wrap.position), error.to_string());
                return self.verdict.add(Finding { check: "frames", severity, position, chain: None, detail });
            }
        };
        self.verdict.frames += 1;
        self.follow(&wrap, &frame);
        if wrap.received.serial.is_empty() && frame.header().kind == FrameKind::Data && !wrap.is_cut {
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
        self.chains.insert(header.chain, ChainState { through, head, next_record: header.next_record() });
    }

    /// Absent ranges that an own frame tells of.
    fn own(&mut self, wrap: &Wrap, frame: &Frame) {
        let header = frame.header();
        let mut found = Vec::new();
        let opened = frame.open(&mut self.opener).map_err(|error| error.to_string()).and_then(|columns| {
            let view = BatchView::parse(&columns, header.records).map_err(|error| error.to_string())?;
            for record in view.iter() {
                if let Body::Typed(fields) = record.map_err(|error| error.to_string())?.body {
                    found.extend(absent_of(&fields));
                }
            }
            Ok(())
        });
        if let Err(detail) = opened {
            self.fail("frames", wrap.position, Some(header.chain), detail);
        }
        for (chain, after, records) in found {
            let before = self.chains.insert(chain, after).or(self.based.then_some(ChainState::EMPTY));
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

    fn finish(mut self, log: &Verified) -> Verdict {
        let verdict = &mut self.verdict;
        (verdict.segments, verdict.records, verdict.frame_bytes) = (log.segments, log.records, log.frame_bytes);
        verdict.chains = self.chains.len() as u64;
        let mut add = |check, severity, detail| {
            verdict.add(Finding { check, severity, position: None, chain: None, detail });
        };
        for damage in &log.damage {
            let bytes = damage.to.saturating_sub(damage.from);
            let detail = format!("{bytes} bytes at log offset {} do not read back as they were written", damage.from);
            add("log", Severity::Fail, detail);
        }
        for first in &log.stateless {
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
        self.verdict
    }
}

#[cfg(test)]
mod tests;
