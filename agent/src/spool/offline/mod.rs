//! The spool read from outside: its segment files, without index and without lock, while an agent may run on it.
//!
//! In: the spool's folder. Out: numbers ([`stat`]), frames ([`frames`]), records ([`records`]), findings ([`verify`]).
//!
//! Nothing is changed: the log is read through a filesystem that refuses every call that would. What a running agent appends
//! meanwhile is not seen; what it trims is left out, and where numbers must fit together the log is read again. A tail that the
//! next start would cut does not count. Acks are those of the log's last mark: a running agent may know of later ones.

mod beside;
mod chain;
mod listing;
mod verify;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use shared::identity::Lane;
use shared::log::{Kind, Record, Verified, segment_states};
use shared::record::LossReason;

pub use self::listing::{FrameRow, SpooledRecord, Unopened, frames, records};
pub use self::verify::{Finding, verify};
pub use super::state::Hole;

use self::beside::Beside;
use super::checkpoints::Row;
use super::lane::{decode_state, fold};
use super::state::{EpochState, LaneState};
use crate::fingerprint::FileId;

/// A log that is trimmed while it is read is read again, this often at most.
const SCANS_MAX: u32 = 8;

/// Why the spool cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// There is none.
    #[error("there is no spool at {path}: the agent has not run yet, or state_dir is another folder", path = .0.display())]
    Missing(PathBuf),
    /// Not by this user.
    #[error("cannot read {path}: permission denied; run this as root or as the user of the agent", path = .0.display())]
    Forbidden(PathBuf),
    /// The system says no.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// Folder of a lane.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What was read could not be handed on.
    #[error(transparent)]
    Output(io::Error),
}

impl OfflineError {
    fn reading(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden(path.to_path_buf()),
            _ => Self::Unreadable { path: path.to_path_buf(), source },
        }
    }
}

/// One epoch of a lane.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EpochStat {
    /// Its name.
    pub epoch: String,
    /// Sequence of the frame that would come next.
    pub next_sequence: u64,
    /// Every sequence up to here is in an aggregator's journal.
    pub acked_through: u64,
    /// Its end is not proven: frames may have been lost behind it.
    pub end_unknown: bool,
    /// Unacked sequences that are lost, and why.
    pub holes: Vec<Hole>,
}

/// One lane. Records are counted since the spool was made, but for `records`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LaneStat {
    /// Which.
    pub lane: Lane,
    /// Bytes of its segments, room set aside included.
    pub bytes: u64,
    /// Segment files.
    pub segments: u64,
    /// Frames on disk, acked ones that are not trimmed yet included.
    pub frames: u64,
    /// Their records.
    pub records: u64,
    /// Frames sealed and not acked; lost ones count until an aggregator has taken note.
    pub unacked_frames: u64,
    /// Oldest first; the last one is current.
    pub epochs: Vec<EpochStat>,
    /// Records that came in. The books: observed = excluded + spooled + acked + Σ lost (nothing is held on disk).
    pub observed: u64,
    /// Records excluded by rule.
    pub excluded: u64,
    /// Records sealed and neither acked nor lost.
    pub spooled: u64,
    /// Records acked.
    pub acked: u64,
    /// Records lost, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Files of which this log says how far they were read.
    pub checkpoints: u64,
    /// The log ends with the mark of a clean stop.
    pub clean: bool,
}

/// What a pass over one lane's log found.
pub(in crate::spool) struct Scan {
    verified: Verified,
    state: LaneState,
    pub(in crate::spool) rows: BTreeMap<FileId, Row>,
    /// Segments went while it read.
    changed: bool,
}

/// Folder of a lane; the spool itself must be there.
fn lane_folder(spool: &Path, lane: Lane) -> Result<PathBuf, OfflineError> {
    match std::fs::metadata(spool) {
        Ok(_) => Ok(spool.join(lane.name())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OfflineError::Missing(spool.to_path_buf())),
        Err(error) => Err(OfflineError::reading(spool, error)),
    }
}

/// Reads the whole log of a lane, from its oldest segment to its torn tail, and folds what it knows.
fn scan(spool: &Path, lane: Lane, visit: &mut dyn FnMut(&Record<'_>)) -> Result<Scan, OfflineError> {
    let folder = lane_folder(spool, lane)?;
    let fs = Beside::default();
    let (mut state, mut rows, mut latest) = (LaneState::default(), Vec::new(), BTreeMap::new());
    let verified = shared::log::verify(&fs, &folder, &mut |record| {
        fold(&mut state, &mut rows, record);
        if record.kind == Kind::State {
            latest.clear();
        }
        for row in rows.drain(..) {
            let known: &mut Row = latest.entry(row.checkpoint.file()).or_insert(row);
            if known.generation < row.generation {
                *known = row;
            }
        }
        visit(record);
    });
    let verified = match verified {
        // The agent was stopped before it made this lane.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Verified::default(),
        other => other.map_err(|error| OfflineError::reading(&folder, error))?,
    };
    Ok(Scan { verified, state, rows: latest, changed: fs.changed() })
}

/// As [`scan`], begun again with a fresh `start()` while segments go under it.
pub(in crate::spool) fn scan_whole<T>(
    spool: &Path,
    lane: Lane,
    start: impl Fn() -> T,
    visit: impl Fn(&mut T, &Record<'_>),
) -> Result<(Scan, T), OfflineError> {
    let mut left = SCANS_MAX;
    loop {
        let mut seen = start();
        let found = scan(spool, lane, &mut |record| visit(&mut seen, record))?;
        left -= 1;
        if !found.changed || left == 0 {
            return Ok((found, seen));
        }
    }
}

/// Bytes of the segment files of a lane; what goes meanwhile counts nothing.
fn segment_bytes(folder: &Path) -> u64 {
    let size = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry.ok().filter(|entry| entry.path().extension().is_some_and(|extension| extension == "seg"))?;
        Some(entry.metadata().ok()?.len())
    };
    std::fs::read_dir(folder).map_or(0, |entries| entries.filter_map(size).sum())
}

fn epoch_stat(state: &EpochState) -> EpochStat {
    EpochStat {
        epoch: state.epoch.to_string(),
        next_sequence: state.next_sequence,
        acked_through: state.acked.through,
        end_unknown: state.end_unknown,
        holes: state.holes.clone(),
    }
}

/// Every lane in numbers, the most urgent first. Reads the whole log.
///
/// # Errors
/// [`OfflineError`].
pub fn stat(spool: &Path) -> Result<Vec<LaneStat>, OfflineError> {
    Lane::ALL.into_iter().map(|lane| lane_stat(spool, lane)).collect()
}

fn lane_stat(spool: &Path, lane: Lane) -> Result<LaneStat, OfflineError> {
    let (found, (frames, records)) = scan_whole(
        spool,
        lane,
        || (0, 0),
        |(frames, records), record| {
            if let Some(header) = listing::frame_header(record) {
                *frames += 1;
                *records += u64::from(header.records);
            }
        },
    )?;
    let (state, books) = (&found.state, &found.state.books);
    let mut lost: BTreeMap<&'static str, u64> = BTreeMap::new();
    let all = books.lost.iter().chain(&books.refused);
    all.for_each(|(reason, count)| *lost.entry(LossReason::name(*reason)).or_default() += count);
    let unacked = |epoch: &EpochState| epoch.next_sequence.saturating_sub(epoch.acked.through).saturating_sub(1);
    Ok(LaneStat {
        lane,
        bytes: segment_bytes(&spool.join(lane.name())),
        segments: found.verified.segments,
        frames,
        records,
        unacked_frames: state.epochs.iter().map(unacked).sum(),
        epochs: state.epochs.iter().map(epoch_stat).collect(),
        observed: books.sealed + books.excluded + books.refused.values().sum::<u64>(),
        excluded: books.excluded,
        spooled: books.spooled(),
        acked: books.acked,
        lost,
        checkpoints: found.rows.len() as u64,
        clean: state.clean,
    })
}

/// A quick look at one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// Which.
    pub lane: Lane,
    /// Segment files.
    pub segments: u64,
    /// Those of them whose state reads. The last one may be about to be made or trimmed.
    pub states: u64,
}

/// Reads the head of every segment and nothing else; for `validate`.
///
/// # Errors
/// [`OfflineError`].
pub fn glance(spool: &Path) -> Result<Vec<Glance>, OfflineError> {
    let look = |lane: Lane| {
        let folder = lane_folder(spool, lane)?;
        let fs = Beside::default();
        let mut glance = Glance { lane, segments: 0, states: 0 };
        let names = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(glance),
            other => other.map_err(|error| OfflineError::reading(&folder, error))?,
        };
        let is_segment = |name: &std::fs::DirEntry| name.path().extension().is_some_and(|extension| extension == "seg");
        glance.segments = names.flatten().filter(is_segment).count() as u64;
        segment_states(&fs, &folder, &mut |_, payload| glance.states += u64::from(decode_state(payload).is_some()))
            .map_err(|error| OfflineError::reading(&folder, error))?;
        Ok(glance)
    };
    Lane::ALL.into_iter().map(look).collect()
}

#[cfg(test)]
mod tests;
