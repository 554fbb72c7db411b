//! What stands in the journal: the frames as they were sent, or the lines in them.
//!
//! The lines of a frame come in their order, frames in the order of positions. A line is given with the flags that
//! restore its bytes; typed records are not lines and are counted. Of each chain it is noted which part of it was
//! given out ([`ChainRange`]): its hashes tie what is exported to the journal that it came from.

use std::collections::BTreeMap;
use std::io;

use shared::batch::{BatchView, Body, FLAG_CRLF, FLAG_TRUNCATED, FLAG_UNTERMINATED, Line};
use shared::frame::{Frame, FrameKind, Opener};
use shared::identity::{AgentId, ChainId, EventId, FrameHash};
use shared::protocol::{ChainState, Placing, place};
use shared::record::LossReason;
use shared::time::Timestamp;

use super::super::{ChainTable, Journaled, Wrap};
use super::{JournalFiles, OfflineError};

/// Which part of the journal; nothing said is everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Selection {
    /// The record of this event.
    pub uid: Option<EventId>,
    /// What this agent sent.
    pub agent: Option<AgentId>,
    /// What was received at this moment or later.
    pub since: Option<Timestamp>,
    /// What was received before this moment.
    pub until: Option<Timestamp>,
}

/// The part of a chain whose frames were selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChainRange {
    /// Sequence of the first frame.
    pub first_sequence: u64,
    /// Number of its first record.
    pub first_record: u64,
    /// `prev` of it: the head of the chain before.
    pub prev: FrameHash,
    /// The chain behind the last frame: its last sequence, its head, the record that comes next.
    pub end: ChainState,
    /// Positions of the first frame and the last.
    pub positions: (u64, u64),
    /// When they were received.
    pub received: (Timestamp, Timestamp),
    /// How many frames.
    pub frames: u64,
    /// Each follows on the one before it, by sequence, record number and hash.
    pub unbroken: bool,
}

impl ChainRange {
    fn new(wrap: &Wrap, frame: &Frame) -> Self {
        let (header, at) = (frame.header(), wrap.received.at);
        let through = header.sequence.saturating_sub(1);
        Self {
            first_sequence: header.sequence,
            first_record: header.first_record,
            prev: header.prev,
            end: ChainState { through, head: header.prev, next_record: header.first_record },
            positions: (wrap.position, wrap.position),
            received: (at, at),
            frames: 0,
            unbroken: true,
        }
    }

    fn add(&mut self, wrap: &Wrap, frame: &Frame, opener: &mut Opener) {
        let header = frame.header();
        self.end = match place(&self.end, frame, opener) {
            Placing::Next(after) => after,
            Placing::Known | Placing::Gap | Placing::Reject(_) => {
                self.unbroken = false;
                let head = frame.head_after(opener).unwrap_or_else(|_| frame.hash());
                let through = header.next_sequence().saturating_sub(1);
                ChainState { through, head, next_record: header.next_record() }
            }
        };
        (self.positions.1, self.received.1) = (wrap.position, wrap.received.at);
        self.frames += 1;
    }
}

/// A line as it stood in a log, and where that was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ExportedLine<'a> {
    /// Names the record.
    pub uid: EventId,
    /// Path or channel of the log.
    pub log_name: &'a str,
    /// When the agent read it.
    pub read_at: Timestamp,
    /// Its bytes, offset and flags.
    pub line: Line<'a>,
}

impl ExportedLine<'_> {
    /// What ended it in its file.
    #[must_use]
    pub fn terminator(&self) -> &'static [u8] {
        match self.line.flags {
            flags if flags & FLAG_UNTERMINATED != 0 => b"",
            flags if flags & FLAG_CRLF != 0 => b"\r\n",
            _ => b"\n",
        }
    }
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exported {
    /// Frames that were selected.
    pub frames: u64,
    /// Lines that were given out.
    pub lines: u64,
    /// Lines among them that the agent had cut at `max_line_bytes`.
    pub truncated: u64,
    /// Selected records that are not lines.
    pub typed: u64,
    /// Selected frames whose body does not open.
    pub unreadable: u64,
    /// Ranges of the journal that do not read back.
    pub damaged: u64,
    /// The record that was asked for stands in a loss frame.
    pub lost: Option<LossReason>,
    /// Which parts of which chains the selected frames are.
    pub chains: BTreeMap<ChainId, ChainRange>,
}

/// What takes the selected frames.
type Take<'a> = dyn FnMut(&Wrap, &Frame, &mut Exported) -> io::Result<()> + 'a;

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] OfflineError),
    /// Whoever takes it takes no more.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
}

impl JournalFiles {
    /// Shows `take` every selected frame, as it was sent, and how it came.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export_frames(
        &self,
        selection: &Selection,
        take: &mut dyn FnMut(&Wrap, &Frame) -> io::Result<()>,
    ) -> Result<Exported, ExportError> {
        let mut exported = Exported::default();
        self.select(selection, &mut exported, &mut |wrap, frame, _| take(wrap, frame))?;
        Ok(exported)
    }

    /// Shows `take` every line of the selected frames.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn export(
        &self,
        selection: &Selection,
        take: &mut dyn FnMut(&ExportedLine<'_>) -> io::Result<()>,
    ) -> Result<Exported, ExportError> {
        let (mut exported, mut opener) = (Exported::default(), Opener::default());
        let only = selection.uid.map(|uid| uid.record);
        self.select(selection, &mut exported, &mut |_, frame, exported| {
            lines(frame, only, &mut opener, exported, take)
        })?;
        Ok(exported)
    }

    fn select(&self, selection: &Selection, exported: &mut Exported, take: &mut Take<'_>) -> Result<(), ExportError> {
        let first = self.first_of(selection)?;
        self.select_from(first, selection, exported, take)?;
        // A chain that the journal had forgotten and met again: its record may stand further back than its states say.
        if selection.uid.is_some() && exported.frames == 0 && exported.lost.is_none() && first > self.oldest() {
            self.select_from(self.oldest(), selection, exported, take)?;
        }
        Ok(())
    }

    /// The segment in which the selection begins.
    fn first_of(&self, selection: &Selection) -> Result<u64, OfflineError> {
        let Selection { uid, since, .. } = *selection;
        if uid.is_none() && since.is_none() {
            return Ok(self.oldest());
        }
        let base = self.last_base(|numbers, chains| {
            since.is_none_or(|since| numbers.received_at < since)
                && uid.is_none_or(|uid| next_record(chains, uid.chain) <= uid.record)
        })?;
        Ok(base.map_or(self.oldest(), |base| base.first))
    }

    fn select_from(
        &self,
        first: u64,
        selection: &Selection,
        exported: &mut Exported,
        take: &mut Take<'_>,
    ) -> Result<(), ExportError> {
        let mut frames = self.frames_from(first);
        let mut opener = Opener::default();
        while let Some(found) = frames.next(self.end).map_err(|error| self.failed(error))? {
            let (wrap, frame) = match found {
                Journaled::Frame(wrap, frame) => (wrap, frame),
                Journaled::Damage { .. } => {
                    exported.damaged += 1;
                    continue;
                }
            };
            if !selection.takes(&wrap, &frame) {
                continue;
            }
            if selection.uid.is_some() && frame.header().kind == FrameKind::Loss {
                exported.lost = frame.loss_notice(&mut opener).ok().map(|notice| notice.reason);
                return Ok(());
            }
            exported.frames += 1;
            let range = exported.chains.entry(frame.header().chain).or_insert_with(|| ChainRange::new(&wrap, &frame));
            range.add(&wrap, &frame, &mut opener);
            take(&wrap, &frame, exported)?;
            if selection.uid.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The number of the record that comes next in a chain, by a segment's state.
fn next_record(table: &[u8], chain: ChainId) -> u64 {
    let chains = ChainTable::default();
    chains.decode(table);
    chains.books(chain).map_or(1, |books| books.state.next_record)
}

impl Selection {
    fn takes(&self, wrap: &Wrap, frame: &Frame) -> bool {
        let header = frame.header();
        self.since.is_none_or(|since| wrap.received.at >= since)
            && self.until.is_none_or(|until| wrap.received.at < until)
            && self.agent.is_none_or(|agent| header.chain.agent == agent)
            && self.uid.is_none_or(|uid| {
                let records = header.first_record..header.next_record();
                header.chain == uid.chain && records.contains(&uid.record)
            })
    }
}

/// Gives out the lines of a frame; with `only`, that of one record.
fn lines(
    frame: &Frame,
    only: Option<u64>,
    opener: &mut Opener,
    exported: &mut Exported,
    take: &mut dyn FnMut(&ExportedLine<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let header = frame.header();
    if header.kind != FrameKind::Data {
        return Ok(());
    }
    let opened = frame.open(opener).ok();
    let Some(view) = opened.and_then(|columns| BatchView::parse(&columns, header.records).ok()) else {
        exported.unreadable += 1;
        return Ok(());
    };
    for (number, record) in (header.first_record..).zip(view.iter()) {
        if only.is_some_and(|only| only != number) {
            continue;
        }
        let line = match record.as_ref().map(|record| &record.body) {
            Ok(Body::Line(line)) => *line,
            Ok(Body::Typed(_)) => {
                exported.typed += 1;
                continue;
            }
            Err(_) => {
                exported.unreadable += 1;
                continue;
            }
        };
        let Ok(record) = record else { continue };
        let log_name = view.context().origins.get(record.origin).map_or("", |origin| origin.log_name.as_str());
        let uid = EventId { chain: header.chain, record: number, part: 0 };
        exported.lines += 1;
        exported.truncated += u64::from(line.flags & FLAG_TRUNCATED != 0);
        take(&ExportedLine { uid, log_name, read_at: record.read_at, line })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
