//! The lake: events as Parquet files that any engine reads.
//!
//! Events come in in the journal's order; out go files `class=<name>/day=YYYY-MM-DD/<a>-<b>.parquet` (a, b:
//! cuts of the journal), zstd, nested OCSF columns, each row group sorted by time. The day of an event is that
//! of its time, or, where that lies outside [received − 7 d, received + 1 d], the day on which it was
//! received; its `unmapped` then says `"picket":{"time_out_of_range":true}`.
//!
//! ```text
//! Event ─▶ rows (columns: sparse buffers) ─▶ pages (spaces, encode, chunk) ─▶ writer: <a>.<k>.tmp ─┐
//!                                                                commits: `_commits` ◀── commit(b) ─┴▶ <a>-<b>[.k].parquet
//! ```
//!
//! # Exactly once
//!
//! Invariants: a file has its final name only if its commit is in `_commits`, which is the cursor; files of
//! one commit hold each event between its cuts once; a temporary file is never read and, unless its commit is
//! logged, deleted at the next opening. `commit(b)`: files are finished and fsynced (`lake.write`,
//! `lake.sync`), their folders fsynced, a line appended to `_commits` and fsynced (`lake.commit`), the files
//! renamed (`lake.rename` before each) and the folders fsynced again, `lake.done`. Before the line is durable
//! nothing has happened, after it everything has: opening finishes the renames. Any error leaves the lake
//! unusable and the disk in one of these two states; opening it again gives the cursor to push from.
//!
//! # Bounds
//!
//! A row group ends at `Limits::group_rows` rows or `Limits::group_bytes` of events, a file at
//! `Limits::file_groups` row groups; at most `Limits::writers` files are open, a further one ends the one
//! that was idle for longest, whose later events become a further part. The buffers of all of them, measured
//! by capacity whenever 64 KiB of events have come to a writer, stay under `Limits::buffered_bytes`: above
//! it the largest is written out and its memory released. Empty buffers of a commit serve the next one, up to
//! `Limits::spare_bytes`, which count as buffered: an event costs a tenth more in memory that is new each time. Beside that stand what one row group takes while it
//! is encoded (order and bits ≤ 3 MiB; a page of text 256 KiB, or one long line; a list, a page of its own, at
//! most the row group), 128 KiB of each open file, its footer (≤ 64 KiB a row group) and zstd's context (< 2
//! MiB): about 125 MiB in the worst case, 60 MiB for one busy class. After a commit no event is buffered.
//!
//! # Cost
//!
//! `measure::costs_of_an_authentication_event` prints it. An sshd line of 97 bytes that became 50 values costs
//! about 1.1 µs and 46 bytes of lake on a vCPU on which zstd level 1 takes 0.17 µs for the line alone: two fifths
//! of it is zstd (line, message, addresses), two fifths pushing, one fifth encoding. Times out of order by two
//! seconds, as many hosts give them, cost 0.2 µs more.

mod chunk;
mod columns;
mod commits;
#[cfg(test)]
mod crashes;
mod encode;
#[cfg(test)]
mod measure;
mod narrow;
mod pages;
mod recovery;
mod rows;
mod schema;
mod spaces;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod uids;
mod writer;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::RandomState;
use shared::log::{Fs, RealFs};

use crate::event::Event;
use crate::schema::Class;
use crate::sink::{Committed, Sink, SinkError};
use commits::{Commit, Commits};
use pages::Encoder;
use recovery::io_error;
use rows::Rows;
use schema::Layout;
use writer::{FinishedFile, PartName, Writer};

/// How far before its reception an event's own time is believed.
const PAST_MAX_NS: i64 = 7 * 86_400_000_000_000;
/// How far after its reception an event's own time is believed (clocks and time zones that are wrong).
const FUTURE_MAX_NS: i64 = 86_400_000_000_000;
/// A writer's memory is measured each time this many bytes of events have come to it.
const MEASURE_BYTES: usize = 64 << 10;

/// The bounds of a lake.
#[derive(Clone, Copy, Debug)]
struct Limits {
    group_rows: usize,
    group_bytes: usize,
    file_groups: usize,
    writers: usize,
    buffered_bytes: usize,
    spare_bytes: usize,
    log_bytes: u64,
}

impl Limits {
    const DEFAULT: Self = Self {
        group_rows: 65_536,
        group_bytes: 16 << 20,
        file_groups: 128,
        writers: 64,
        buffered_bytes: 96 << 20,
        spare_bytes: 32 << 20,
        log_bytes: 1 << 20,
    };
}

const _: () = assert!(Limits::DEFAULT.buffered_bytes >= 4 * Limits::DEFAULT.group_bytes);
const _: () = assert!(Limits::DEFAULT.spare_bytes <= Limits::DEFAULT.buffered_bytes / 2);

/// A folder of Parquet files with a cursor.
pub struct Lake {
    fs: Arc<dyn Fs>,
    root: PathBuf,
    cursor: u64,
    log: Commits,
    writers: Vec<Writer>,
    /// Empty buffers, with what they hold, for writers to come.
    spare: Vec<(Rows, usize)>,
    /// Files of the next commit that are whole.
    finished: Vec<FinishedFile>,
    layouts: Vec<Arc<Layout>>,
    encoder: Encoder,
    hasher: RandomState,
    limits: Limits,
    fault: fn(&'static str),
    pushes: u64,
    failed: bool,
}

impl Lake {
    /// Opens or creates the lake in the folder `root`: finishes the last commit, deletes what was not
    /// committed. Only one process may have it open.
    ///
    /// # Errors
    /// The disk; [`SinkError::CommitsLost`] where files stand ahead of the commit log.
    pub fn open(root: &Path) -> Result<Self, SinkError> {
        Self::open_on(Arc::new(RealFs), root)
    }

    /// As [`Lake::open`], on any filesystem.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open_on(fs: Arc<dyn Fs>, root: &Path) -> Result<Self, SinkError> {
        Self::open_with(fs, root, Limits::DEFAULT, shared::fault::point)
    }

    /// The cursor of the lake in `root`, read without opening it: whoever has it open is not disturbed.
    ///
    /// # Errors
    /// The commit log cannot be read.
    pub fn peek(root: &Path) -> Result<u64, SinkError> {
        commits::cursor(&RealFs, root).map_err(|source| io_error("read the commit log of", root, source))
    }

    fn open_with(fs: Arc<dyn Fs>, root: &Path, limits: Limits, fault: fn(&'static str)) -> Result<Self, SinkError> {
        fs.create_dir(root).map_err(|source| io_error("create", root, source))?;
        let opened = Commits::open(Arc::clone(&fs), root, limits.log_bytes);
        let (mut log, found) = opened.map_err(|source| io_error("open the commit log of", root, source))?;
        let cursor = recovery::recover(fs.as_ref(), root, &mut log, &found)?;
        Ok(Self {
            fs,
            root: root.to_owned(),
            cursor,
            log,
            writers: Vec::new(),
            spare: Vec::new(),
            finished: Vec::new(),
            layouts: Vec::new(),
            encoder: Encoder::new().map_err(|source| io_error("set up compression for", root, source))?,
            hasher: RandomState::new(),
            limits,
            fault,
            pushes: 0,
            failed: false,
        })
    }

    /// Runs one operation; after an error the lake takes no more.
    fn attempt<T>(&mut self, operation: impl FnOnce(&mut Self) -> Result<T, SinkError>) -> Result<T, SinkError> {
        if self.failed {
            return Err(SinkError::Failed { path: self.root.clone() });
        }
        let result = operation(self);
        self.failed = result.is_err();
        result
    }

    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        let (day, out_of_range) = day_of(event);
        let index = self.writer_for(event.class, day)?;
        let Some(writer) = self.writers.get_mut(index) else { return Ok(()) };
        self.pushes += 1;
        writer.used = self.pushes;
        writer.push(event, out_of_range);
        if writer.rows.len() >= self.limits.group_rows || writer.rows.bytes() >= self.limits.group_bytes {
            (self.fault)("lake.write");
            writer.flush(self.fs.as_ref(), &self.root, &mut self.encoder)?;
            if writer.groups >= self.limits.file_groups {
                self.finish(index)?;
            }
        } else if writer.unmeasured >= MEASURE_BYTES {
            self.measure(index)?;
        }
        Ok(())
    }

    /// The open writer of a class and day; opens one where there is none.
    fn writer_for(&mut self, class: Class, day: i64) -> Result<usize, SinkError> {
        if let Some(index) = self.writers.iter().position(|writer| writer.class == class && writer.day == day) {
            return Ok(index);
        }
        if self.writers.len() >= self.limits.writers {
            let idle = self.writers.iter().enumerate().min_by_key(|(_, writer)| writer.used).map(|(index, _)| index);
            self.finish(idle.unwrap_or(0))?;
        }
        let first = PartName::new(class, day, self.cursor, 0);
        let number = self.finished.iter().filter(|file| file.name.folder == first.folder).count();
        let rows = self.rows(class)?;
        self.writers.push(Writer::new(PartName { number, ..first }, day, rows));
        Ok(self.writers.len() - 1)
    }

    /// Empty buffers for events of a class: left over, or new.
    fn rows(&mut self, class: Class) -> Result<Rows, SinkError> {
        match self.spare.iter().position(|(rows, _)| rows.layout.class == class) {
            Some(index) => Ok(self.spare.swap_remove(index).0),
            None => Ok(Rows::new(self.layout(class)?, &self.hasher)),
        }
    }

    fn layout(&mut self, class: Class) -> Result<Arc<Layout>, SinkError> {
        if let Some(layout) = self.layouts.iter().find(|layout| layout.class == class) {
            return Ok(Arc::clone(layout));
        }
        let layout = Layout::of(class).map_err(|source| {
            let path = self.root.join(format!("class={}", class.name()));
            SinkError::Write { path, source: Box::new(source) }
        })?;
        self.layouts.push(Arc::new(layout));
        self.layouts.last().cloned().ok_or_else(|| SinkError::Failed { path: self.root.clone() })
    }

    /// Ends the file of a writer as a part of the next commit.
    fn finish(&mut self, index: usize) -> Result<(), SinkError> {
        (self.fault)("lake.write");
        let (file, rows) = self.writers.swap_remove(index).finish(self.fs.as_ref(), &self.root, &mut self.encoder)?;
        self.finished.extend(file);
        let heap = rows.heap();
        if heap + self.spare_bytes() <= self.limits.spare_bytes {
            self.spare.push((rows, heap));
        }
        Ok(())
    }

    fn spare_bytes(&self) -> usize {
        self.spare.iter().map(|(_, heap)| heap).sum()
    }

    /// Holds the bound on buffered bytes.
    fn measure(&mut self, index: usize) -> Result<(), SinkError> {
        if let Some(writer) = self.writers.get_mut(index) {
            writer.heap = writer.rows.heap();
            writer.unmeasured = 0;
        }
        let buffered = |lake: &Self| lake.writers.iter().map(|writer| writer.heap).sum::<usize>();
        if buffered(self) + self.spare_bytes() > self.limits.buffered_bytes {
            self.spare.clear();
        }
        while buffered(self) > self.limits.buffered_bytes {
            let Some(largest) = self.writers.iter_mut().max_by_key(|writer| writer.heap) else { break };
            (self.fault)("lake.write");
            largest.flush(self.fs.as_ref(), &self.root, &mut self.encoder)?;
            largest.release(&self.hasher);
        }
        Ok(())
    }

    fn commit_to(&mut self, to: u64) -> Result<u64, SinkError> {
        let idle = self.writers.is_empty() && self.finished.is_empty();
        if to == self.cursor && idle {
            return Ok(0);
        }
        if to <= self.cursor {
            return Err(SinkError::Backwards { path: self.root.clone(), cursor: self.cursor, to });
        }
        // What no writer took since the last commit.
        self.spare.clear();
        while !self.writers.is_empty() {
            self.finish(0)?;
        }
        (self.fault)("lake.sync");
        let folders: BTreeSet<PathBuf> = self.finished.iter().map(|file| self.root.join(&file.name.folder)).collect();
        for folder in &folders {
            self.fs.sync_dir(folder).map_err(|source| io_error("fsync", folder, source))?;
        }
        (self.fault)("lake.commit");
        let files: Vec<_> = self.finished.iter().map(|file| file.entry(to)).collect();
        let rows = files.iter().map(|file| file.rows).sum();
        let appended = self.log.append(&Commit { from: self.cursor, to, files });
        appended.map_err(|source| io_error("append to the commit log of", &self.root, source))?;
        for file in std::mem::take(&mut self.finished) {
            (self.fault)("lake.rename");
            recovery::rename(self.fs.as_ref(), &self.root, &file.name, to)?;
        }
        for folder in &folders {
            self.fs.sync_dir(folder).map_err(|source| io_error("fsync", folder, source))?;
        }
        self.cursor = to;
        (self.fault)("lake.done");
        Ok(rows)
    }
}

impl Sink for Lake {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        self.attempt(|lake| lake.take(event))
    }

    fn commit(&mut self, to: u64) -> Result<Committed, SinkError> {
        self.attempt(|lake| lake.commit_to(to)).map(Committed::all)
    }

    fn cursor(&self) -> u64 {
        self.cursor
    }
}

/// The day under which an event lies, and whether its own time was not believed.
fn day_of(event: &Event<'_>) -> (i64, bool) {
    let late = event.received_at.0.saturating_sub(event.time.0);
    if (-FUTURE_MAX_NS..=PAST_MAX_NS).contains(&late) {
        (event.time.day(), false)
    } else {
        (event.received_at.day(), true)
    }
}
