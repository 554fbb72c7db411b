//! Is the spool as it was written? Every record's checksum, every frame, every chain, and what lies beside the log.

use std::path::Path;

use shared::check::Outcome;
use shared::identity::Lane;
use shared::log::{Kind, Record};

use super::super::checkpoints::Row;
use super::super::lane::decode_state;
use super::super::state::LaneState;
use super::chain::Chains;
use super::{OfflineError, Scan, scan_whole};

/// Records that do not read and are named, per lane; the rest is only counted.
const NAMED_MAX: usize = 1_000;

/// Something that verifying found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// In which lane; none for what belongs to no lane.
    pub lane: Option<Lane>,
    /// [`Outcome::Fail`] is damage.
    pub outcome: Outcome,
    /// Where: `log`, `bytes`, `segment`, `frame`, `record`, `chain`, `tail`, `quarantine`.
    pub part: &'static str,
    /// What was found.
    pub detail: String,
}

/// What one pass saw of a lane.
struct Seen {
    chains: Chains,
    problems: Vec<(&'static str, String)>,
    unnamed: u64,
}

impl Seen {
    fn new(lane: Lane) -> Self {
        Self { chains: Chains::new(lane), problems: Vec::new(), unnamed: 0 }
    }

    fn say(&mut self, part: &'static str, offset: u64, problem: &str) {
        if self.problems.len() < NAMED_MAX {
            self.problems.push((part, format!("at log offset {offset}: {problem}")));
        } else {
            self.unnamed += 1;
        }
    }

    fn record(&mut self, record: &Record<'_>) {
        let reads = match record.kind {
            Kind::Frame => {
                for problem in self.chains.take(record.payload) {
                    self.say("frame", record.offset, &problem);
                }
                true
            }
            Kind::State => decode_state(record.payload).is_some(),
            Kind::Mark => serde_json::from_slice::<LaneState>(record.payload).is_ok(),
            Kind::Checkpoint => Row::from_bytes(record.payload).is_some(),
            // Seals stand in an aggregator's journal only.
            Kind::Seal => false,
        };
        if !reads {
            self.say("record", record.offset, &format!("a {:?} record does not decode", record.kind));
        }
    }
}

/// Reads everything. The first finding of each lane says what it has.
///
/// # Errors
/// [`OfflineError`].
pub fn verify(spool: &Path) -> Result<Vec<Finding>, OfflineError> {
    let mut findings = Vec::new();
    for lane in Lane::ALL {
        let (found, seen) = scan_whole(spool, lane, || Seen::new(lane), Seen::record)?;
        findings.append(&mut lane_findings(lane, &found, seen));
        findings.extend(quarantine(&spool.join(lane.name()), Some(lane)));
    }
    findings.extend(quarantine(spool, None));
    Ok(findings)
}

fn lane_findings(lane: Lane, found: &Scan, seen: Seen) -> Vec<Finding> {
    let Scan { verified, state, changed, .. } = found;
    let mut findings = Vec::new();
    let mut say = |outcome, part, detail| findings.push(Finding { lane: Some(lane), outcome, part, detail });
    for damage in &verified.damage {
        let bytes = damage.to.saturating_sub(damage.from);
        say(Outcome::Fail, "bytes", format!("{bytes} bytes at log offset {} do not read", damage.from));
    }
    // Where segments went, what they leave behind looks like damage.
    let whole = !*changed;
    for first in verified.stateless.iter().filter(|_| whole) {
        say(Outcome::Fail, "segment", format!("segment {first:016x}.seg does not begin with a state that reads"));
    }
    for name in verified.foreign.iter().filter(|_| whole) {
        say(Outcome::Fail, "segment", format!("{name} is no segment of this log: its header does not read"));
    }
    for (part, problem) in seen.problems {
        say(Outcome::Fail, part, problem);
    }
    if seen.unnamed > 0 {
        say(Outcome::Fail, "record", format!("and {} more that do not read", seen.unnamed));
    }
    for missing in seen.chains.missing(state).into_iter().filter(|_| whole) {
        say(Outcome::Fail, "chain", missing);
    }
    if let Some(torn) = verified.torn {
        let bytes = torn.to.saturating_sub(torn.from);
        let detail = format!(
            "{bytes} bytes from log offset {} do not read and were never known to be committed; the next start cuts them",
            torn.from
        );
        say(Outcome::Warn, "tail", detail);
    }
    if *changed {
        let detail = "segments were trimmed while they were read; stop the agent for an answer that is certain";
        say(Outcome::Warn, "log", detail.to_owned());
    }
    let (segments, frames, records) = (verified.segments, seen.chains.frames, seen.chains.records);
    let damaged = findings.iter().filter(|finding| finding.outcome == Outcome::Fail).count();
    let (outcome, verdict) = match damaged {
        0 => (Outcome::Ok, "everything reads".to_owned()),
        1 => (Outcome::Fail, "1 problem".to_owned()),
        several => (Outcome::Fail, format!("{several} problems")),
    };
    let detail = format!("{segments} segments, {frames} frames, {records} records: {verdict}");
    findings.insert(0, Finding { lane: Some(lane), outcome, part: "log", detail });
    findings
}

/// What was set aside earlier.
fn quarantine(folder: &Path, lane: Option<Lane>) -> Option<Finding> {
    let shelf = folder.join("quarantine");
    let count = std::fs::read_dir(&shelf).ok()?.count();
    let detail = format!("{count} files in {}: earlier damage or refused frames, kept for a person", shelf.display());
    (count > 0).then_some(Finding { lane, outcome: Outcome::Warn, part: "quarantine", detail })
}
