//! What a log and its index do for whoever owns them: the rolls, places and marks that the agent's spool and the
//! aggregator's journal write, around frames of random bytes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use shared::log::{Index, Kind, Log, Options, RealFs, segment_states};
use shared::time::Clock;

/// The largest segment of a spool.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// A place is noted in the index once per this many bytes, as the spool does.
const STRIDE_BYTES: u64 = 1 << 20;
/// State at the head of every segment: that of a spool which follows some 60 files.
const STATE_BYTES: usize = 4 << 10;

/// A log, and the sled index beside it where one is asked for.
pub struct Owner {
    log: Log,
    index: Option<Index>,
    state: Vec<u8>,
    noted_at: u64,
    frames: u64,
}

impl Owner {
    /// Opens the log in `here/log` and the index in `here/index`, or makes them.
    pub fn open(here: &Path, indexed: bool) -> anyhow::Result<Self> {
        let state = vec![7; STATE_BYTES];
        let index = indexed.then(|| Index::open(&here.join("index"))).transpose().context("open the index")?;
        let options =
            Options { segment_bytes: SEGMENT_BYTES, quarantine_bytes_max: 0, points: ["write", "sync", "done"] };
        let (dir, fs) = (here.join("log"), Arc::new(RealFs));
        let opened =
            Log::open(fs, &dir, options, Clock::System, &mut |_| {}, &|| state.clone()).context("open the log")?;
        // Where each segment's chain begins: every owner looks that up at its start.
        segment_states(&RealFs, &dir, &mut |_, _| {}).context("read the states")?;
        Ok(Self { log: opened.log, index: index.map(|(index, _)| index), state, noted_at: 0, frames: 0 })
    }

    /// Takes a frame; the segment before it is finished where it does not fit.
    pub fn append(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        if !self.log.fits(Kind::Frame, frame.len()) {
            self.commit()?;
            self.log.roll(&self.state, frame.len()).context("roll")?;
        }
        let offset = self.log.end();
        self.log.append(Kind::Frame, &[frame]).context("append")?;
        self.frames += 1;
        if let Some(index) = self.index.as_ref().filter(|_| offset >= self.noted_at + STRIDE_BYTES) {
            index.note_place(0, 1, self.frames, offset).context("note a place")?;
            self.noted_at = offset;
        }
        Ok(())
    }

    /// Makes what was appended durable.
    pub fn commit(&mut self) -> anyhow::Result<()> {
        self.log.commit(&|| self.state.clone()).context("commit").map(|_| ())
    }

    /// Bytes that were appended and are not durable.
    pub fn pending_bytes(&self) -> usize {
        self.log.pending_bytes()
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Lets everything below log offset `through` go as the spool does: a mark that covers it, then whole files.
    pub fn trim(&mut self, through: u64) -> anyhow::Result<u64> {
        const MARK: &[u8] = &[0; 600];
        self.log.append(Kind::Mark, &[MARK]).context("mark")?;
        self.commit()?;
        let freed = self.log.trim(through).context("trim")?;
        if let Some(index) = &self.index {
            index.trim_places(0, self.log.oldest()).context("trim the index")?;
        }
        Ok(freed)
    }

    /// The end of a clean stop.
    pub fn close(self) -> anyhow::Result<()> {
        self.index.map_or(Ok(()), |index| index.close().context("close the index"))
    }
}
