//! Reading the journal: by position, beside its thread or without it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shared::frame::{Frame, FrameError, FrameKind, Header};
use shared::log::{Entry, Fs, Kind, Reader, RealFs, segment_firsts, segment_states};
use shared::time::Timestamp;

use super::Numbers;
use super::wrap::Wrap;

/// What stands in the journal.
#[derive(Debug)]
pub enum Journaled {
    /// A frame, with how it came.
    Frame(Wrap, Box<Frame>),
    /// Bytes of the journal that do not read back: frames of these log offsets are lost here.
    Damage {
        /// First log offset.
        from: u64,
        /// Log offset behind it.
        to: u64,
    },
}

/// What the journal numbered up to the position behind which a reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Behind {
    /// Records up to the position, if frames up to it are still there (or the position is 0).
    pub records: u64,
    /// Records behind the position whose segments are gone. Counted only from position 0: how many lay up to
    /// another one is not known once its segment is gone, all are in `records` then.
    pub expired: u64,
}

impl Behind {
    /// So many records lie before the first that is left, and the position that is wanted with them.
    fn gone(position: u64, records: u64) -> Self {
        if position == 0 { Self { records: 0, expired: records } } else { Self { records, expired: 0 } }
    }
}

/// Walks the journal in order of positions.
pub struct JournalReader {
    reader: Reader,
    after: u64,
    behind: Behind,
    /// No state says what lies behind the first segment: the first frame does.
    uncounted: bool,
    /// What [`JournalReader::skip`] came upon.
    first: Option<Journaled>,
    /// Damage that was met: told before the frame behind it, unless that too lies before what is wanted.
    gap: Option<(u64, u64)>,
    /// The frame behind damage that was told.
    held: Option<Journaled>,
}

impl JournalReader {
    /// A reader in front of the frame behind `position` (0: of the oldest frame that is left).
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn after(dir: &Path, position: u64) -> io::Result<Self> {
        Self::after_on(Arc::new(RealFs), dir, position)
    }

    /// As [`JournalReader::after`], on any filesystem.
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn after_on(fs: Arc<dyn Fs>, dir: &Path, position: u64) -> io::Result<Self> {
        let (mut start, mut behind, next) = (None, Behind::default(), position.saturating_add(1));
        let mut oldest = None;
        segment_states(fs.as_ref(), dir, &mut |first, payload| {
            let Some((Numbers { position: begins, records, .. }, _)) = Numbers::decode(payload) else { return };
            oldest = oldest.or(Some((first, records)));
            if begins <= next {
                (start, behind) = (Some(first), Behind { records, expired: 0 });
            }
        })?;
        let mut uncounted = false;
        let first = match start {
            Some(first) => first,
            None => {
                // What is wanted first is gone, or stands in a segment whose state does not read.
                let first = segment_firsts(fs.as_ref(), dir)?.first().copied().unwrap_or(0);
                let said = oldest.filter(|(oldest, _)| *oldest == first);
                uncounted = said.is_none();
                let records = said.map_or(0, |(_, records)| records);
                behind = Behind::gone(position, records);
                first
            }
        };
        let reader = Reader::new(fs, dir, first);
        Ok(Self { reader, after: position, behind, uncounted, first: None, gap: None, held: None })
    }

    /// A position at or before which no frame was received at `since` or later: where a segment begins. 0 when there
    /// is none.
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn position_before(dir: &Path, since: Timestamp) -> io::Result<u64> {
        // Clocks are set back: the first segment that began too late ends the search.
        let (mut before, mut late) = (0, false);
        segment_states(&RealFs, dir, &mut |_, payload| {
            if let Some((numbers, _)) = Numbers::decode(payload) {
                late |= numbers.received_at >= since;
                if !late {
                    before = numbers.position.saturating_sub(1);
                }
            }
        })?;
        Ok(before)
    }

    /// Whether what lay below log offset `to` is gone, with its segments, and not damaged.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_gone(dir: &Path, to: u64) -> io::Result<bool> {
        Ok(super::offline::segment_files(dir)?.first().is_some_and(|oldest| oldest.first >= to))
    }

    /// A reader in front of the segment that begins at log offset `first`, whether its state reads or not.
    pub(super) fn from_segment(dir: &Path, first: u64) -> Self {
        let reader = Reader::new(Arc::new(RealFs), dir, first);
        Self { reader, after: 0, behind: Behind::default(), uncounted: false, first: None, gap: None, held: None }
    }

    /// Log offset of what is read next.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.reader.at()
    }

    /// Reads up to what [`JournalReader::next`] gives first, and tells what lies behind that. Once, at the begin.
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn skip(&mut self, limit: u64) -> io::Result<Behind> {
        let position = self.after;
        self.first = self.advance(limit)?;
        let frame = self.held.as_ref().or(self.first.as_ref());
        if let Some(Journaled::Frame(wrap, _)) = frame
            && self.uncounted
        {
            self.behind = Behind::gone(position, wrap.records_before);
        } else if let Some(Journaled::Frame(wrap, _)) = frame
            && wrap.position == position.saturating_add(1)
            && self.behind.expired == 0
        {
            // Exact, even where the frames before it do not read any more.
            self.behind.records = wrap.records_before;
        }
        Ok(self.behind)
    }

    /// The next frame below log offset `limit`; `None` when that is reached.
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn next(&mut self, limit: u64) -> io::Result<Option<Journaled>> {
        match self.first.take().or_else(|| self.held.take()) {
            Some(journaled) => Ok(Some(journaled)),
            None => self.advance(limit),
        }
    }

    fn advance(&mut self, limit: u64) -> io::Result<Option<Journaled>> {
        while let Some(entry) = self.reader.next(limit)? {
            shared::pulse::beat();
            let record = match entry {
                Entry::Gap { from, to } => {
                    self.gap = Some((self.gap.map_or(from, |(from, _)| from), to));
                    continue;
                }
                Entry::Record(record) => record,
            };
            if record.kind != Kind::Frame {
                continue;
            }
            let (from, to) = (record.offset, record.end());
            let Some((wrap, bytes)) = Wrap::split(record.payload) else {
                return Ok(Some(Journaled::Damage { from, to }));
            };
            let gap = self.gap.take();
            if wrap.position <= self.after {
                // Damage before what is wanted was told to whoever read it first.
                let data = Header::parse(bytes).ok().filter(|header| header.kind == FrameKind::Data);
                self.uncounted = false;
                self.behind.records = wrap.records_before + data.map_or(0, |header| u64::from(header.records));
                continue;
            }
            self.after = wrap.position;
            let journaled = match Frame::parse(bytes.to_vec()) {
                Ok(frame) => Journaled::Frame(wrap, Box::new(frame)),
                Err(error @ FrameError::Newer { .. }) => {
                    tracing::error!(position = wrap.position, %error, "a journaled frame stays for a newer program");
                    Journaled::Damage { from, to }
                }
                Err(_) => Journaled::Damage { from, to },
            };
            let Some((from, to)) = gap else { return Ok(Some(journaled)) };
            self.held = Some(journaled);
            return Ok(Some(Journaled::Damage { from, to }));
        }
        Ok(self.gap.take().map(|(from, to)| Journaled::Damage { from, to }))
    }
}
