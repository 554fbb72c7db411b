//! Frames and records of the spool, one after the other, in the order of the log.

use std::io;
use std::path::Path;

use serde::Serialize;
use shared::batch::{BatchError, BatchView, Body, Origin, RecordView};
use shared::frame::{Frame, FrameError, FrameKind, Header, Opener};
use shared::identity::{EventId, Lane};
use shared::log::{Kind, Record};
use shared::time::Timestamp;

use super::super::state::LaneState;
use super::{OfflineError, scan};

/// Frames that do not open and are named; the rest is only counted.
const UNOPENED_NAMED_MAX: usize = 20;

/// A frame as `ls` shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FrameRow {
    /// Its lane.
    pub lane: Lane,
    /// Its epoch.
    pub epoch: String,
    /// Its place in the epoch.
    pub sequence: u64,
    /// `data`, `loss`, `genesis`.
    pub kind: &'static str,
    /// Number of its first record.
    pub first_record: u64,
    /// How many it has.
    pub records: u32,
    /// When it was sealed, by the host's clock.
    pub sealed_at: Timestamp,
    /// Bytes of its body before compression.
    pub raw: u32,
    /// Bytes of its body as stored.
    pub body: u32,
    /// An aggregator has it.
    pub acked: bool,
    /// It stands here and is never sent, and why: refused, or given up.
    pub lost: Option<&'static str>,
}

/// A record as `dump` shows it.
#[derive(Clone, PartialEq, Debug)]
pub struct SpooledRecord<'a> {
    /// Its name, which its event will have.
    pub uid: EventId,
    /// Source and file.
    pub origin: &'a Origin,
    /// When the agent read it.
    pub read_at: Timestamp,
    /// The line, or the fields.
    pub body: Body<'a>,
}

/// Frames (or single records of them) that do not open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unopened {
    /// How many.
    pub count: u64,
    /// The first of them, and what is wrong.
    pub named: Vec<String>,
}

impl Unopened {
    fn add(&mut self, header: &Header, problem: impl std::fmt::Display) {
        self.count += 1;
        if self.named.len() < UNOPENED_NAMED_MAX {
            let (lane, epoch, sequence) = (header.chain.lane, header.chain.epoch, header.sequence);
            self.named.push(format!("frame {lane} {epoch} {sequence}: {problem}"));
        }
    }
}

/// The header of the frame that stands in a record of the log.
pub(super) fn frame_header(record: &Record<'_>) -> Option<Header> {
    if record.kind == Kind::Frame { Header::parse(record.payload).ok() } else { None }
}

/// The word for a kind of frame.
fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Data => "data",
        FrameKind::Loss => "loss",
        FrameKind::Genesis => "genesis",
    }
}

fn row(header: &Header, state: &LaneState) -> FrameRow {
    // An epoch that the lane forgot is acked to its end.
    let epoch = state.epoch(header.chain.epoch);
    FrameRow {
        lane: header.chain.lane,
        epoch: header.chain.epoch.to_string(),
        sequence: header.sequence,
        kind: kind_name(header.kind),
        first_record: header.first_record,
        records: header.records,
        sealed_at: header.sealed_at,
        raw: header.raw_len,
        body: header.body_len,
        acked: epoch.is_none_or(|epoch| header.sequence <= epoch.acked.through),
        lost: epoch.and_then(|epoch| epoch.hole_at(header.sequence)).map(|hole| hole.reason.name()),
    }
}

fn lanes(only: Option<Lane>) -> impl Iterator<Item = Lane> {
    Lane::ALL.into_iter().filter(move |lane| only.is_none_or(|only| only == *lane))
}

/// Every frame of the spool, or of one lane.
///
/// # Errors
/// [`OfflineError`]; what `visit` returns ends it.
pub fn frames(
    spool: &Path,
    only: Option<Lane>,
    visit: &mut dyn FnMut(&FrameRow) -> io::Result<()>,
) -> Result<(), OfflineError> {
    for lane in lanes(only) {
        // What is acked is known at the end of the log.
        let state = scan(spool, lane, &mut |_| {})?.state;
        let mut told = Ok(());
        scan(spool, lane, &mut |record| {
            if let (Ok(()), Some(header)) = (&told, frame_header(record)) {
                told = visit(&row(&header, &state));
            }
        })?;
        told.map_err(OfflineError::Output)?;
    }
    Ok(())
}

/// Every record of the spool, or of one lane. Returns what did not open.
///
/// # Errors
/// As [`frames`].
pub fn records(
    spool: &Path,
    only: Option<Lane>,
    visit: &mut dyn FnMut(&SpooledRecord<'_>) -> io::Result<()>,
) -> Result<Unopened, OfflineError> {
    let (mut opener, mut unopened) = (Opener::default(), Unopened::default());
    for lane in lanes(only) {
        let mut told = Ok(());
        scan(spool, lane, &mut |record| {
            if let (Ok(()), Some(header)) = (&told, frame_header(record)) {
                told = each_record(&header, record.payload, &mut opener, &mut unopened, visit);
            }
        })?;
        told.map_err(OfflineError::Output)?;
    }
    Ok(unopened)
}

/// Why records of a frame were not told.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn each_record(
    header: &Header,
    bytes: &[u8],
    opener: &mut Opener,
    unopened: &mut Unopened,
    visit: &mut dyn FnMut(&SpooledRecord<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut tell = || -> Result<(), NotTold> {
        let frame = Frame::parse(bytes.to_vec())?;
        let columns = frame.open(opener)?;
        let view = BatchView::parse(&columns, header.records)?;
        for (number, record) in (header.first_record..).zip(view.iter()) {
            let origin = |record: &RecordView<'_>| view.context().origins.get(record.origin);
            match record.as_ref().map(|record| (record, origin(record))) {
                Ok((record, Some(origin))) => {
                    let uid = EventId { chain: header.chain, record: number, part: 0 };
                    visit(&SpooledRecord { uid, origin, read_at: record.read_at, body: record.body.clone() })?;
                }
                Ok((_, None)) => unopened.add(header, format_args!("record {number} has no origin")),
                Err(error) => unopened.add(header, format_args!("record {number}: {error}")),
            }
        }
        Ok(())
    };
    if header.kind != FrameKind::Data {
        return Ok(());
    }
    match tell() {
        Ok(()) => Ok(()),
        Err(NotTold::Output(error)) => Err(error),
        Err(error) => {
            unopened.add(header, error);
            Ok(())
        }
    }
}
