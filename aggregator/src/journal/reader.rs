//! Reading the journal: by position, beside its thread or without it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use shared::frame::{Frame, FrameError};
use shared::log::{Entry, Fs, Kind, Reader, RealFs, segment_states};

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

/// Walks the journal in order of positions.
pub struct JournalReader {
    reader: Reader,
    after: u64,
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
        let mut start = None;
        segment_states(fs.as_ref(), dir, &mut |first, payload| {
            let begins = Numbers::decode(payload).map(|(numbers, _)| numbers.position);
            if start.is_none() || begins.is_some_and(|begins| begins <= position + 1) {
                start = Some(first);
            }
        })?;
        Ok(Self { reader: Reader::new(fs, dir, start.unwrap_or(0)), after: position, gap: None, held: None })
    }

    /// A reader in front of the segment that begins at log offset `first`, whether its state reads or not.
    pub(super) fn from_segment(dir: &Path, first: u64) -> Self {
        Self { reader: Reader::new(Arc::new(RealFs), dir, first), after: 0, gap: None, held: None }
    }

    /// Log offset of what is read next.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.reader.at()
    }

    /// The next frame below log offset `limit`; `None` when that is reached.
    ///
    /// # Errors
    /// The folder or a segment cannot be read.
    pub fn next(&mut self, limit: u64) -> io::Result<Option<Journaled>> {
        if let Some(frame) = self.held.take() {
            return Ok(Some(frame));
        }
        while let Some(entry) = self.reader.next(limit)? {
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
