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
//! it the largest is written out and its memory released. Beside that stand what one row group takes while it
//! is encoded (order and bits ≤ 3 MiB; a page of text 256 KiB, or one long line; a list, a page of its own, at
//! most the row group), 128 KiB of each open file, its footer (≤ 64 KiB a row group) and zstd's context (< 2
//! MiB): about 125 MiB in the worst case, 60 MiB for one busy class. After a commit nothing is buffered.
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
mod encode;
#[cfg(test)]
mod measure;
mod pages;
mod recovery;
mod rows;
mod schema;
mod spaces;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod texts;
mod uids;
mod unmapped;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::RandomState;

use crate::event::Event;
use crate::schema::Class;
use crate::sink::{Sink, SinkError};
use commits::{Commit, Commits};
use pages::Encoder;
use recovery::io_error;
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
    log_bytes: u64,
}

impl Limits {
    const DEFAULT: Self = Self {
        group_rows: 65_536,
        group_bytes: 16 << 20,
        file_groups: 128,
        writers: 64,
        buffered_bytes: 96 << 20,
        log_bytes: 1 << 20,
    };
}

const _: () = assert!(Limits::DEFAULT.buffered_bytes >= 4 * Limits::DEFAULT.group_bytes);

/// A folder of Parquet files with a cursor.
pub struct Lake {
    root: PathBuf,
    cursor: u64,
    log: Commits,
    writers: Vec<Writer>,
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
        Self::open_with(root, Limits::DEFAULT, shared::fault::point)
    }

    /// The cursor of the lake in `root`, read without opening it: whoever has it open is not disturbed.
    ///
    /// # Errors
    /// The commit log cannot be read.
    pub fn peek(root: &Path) -> Result<u64, SinkError> {
        commits::cursor(root).map_err(|source| io_error("read the commit log of", root, source))
    }

    fn open_with(root: &Path, limits: Limits, fault: fn(&'static str)) -> Result<Self, SinkError> {
        fs::create_dir_all(root).map_err(|source| io_error("create", root, source))?;
        let opened = Commits::open(root, limits.log_bytes);
        let (mut log, found) = opened.map_err(|source| io_error("open the commit log of", root, source))?;
        let cursor = recovery::recover(root, &mut log, &found)?;
        Ok(Self {
            root: root.to_owned(),
            cursor,
            log,
            writers: Vec::new(),
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
            writer.flush(&self.root, &mut self.encoder)?;
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
        let layout = self.layout(class)?;
        self.writers.push(Writer::new(PartName { number, ..first }, day, layout, &self.hasher));
        Ok(self.writers.len() - 1)
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
        let file = self.writers.swap_remove(index).finish(&self.root, &mut self.encoder)?;
        self.finished.extend(file);
        Ok(())
    }

    /// Holds the bound on buffered bytes.
    fn measure(&mut self, index: usize) -> Result<(), SinkError> {
        if let Some(writer) = self.writers.get_mut(index) {
            writer.heap = writer.rows.heap();
            writer.unmeasured = 0;
        }
        while self.writers.iter().map(|writer| writer.heap).sum::<usize>() > self.limits.buffered_bytes {
            let Some(largest) = self.writers.iter_mut().max_by_key(|writer| writer.heap) else { break };
            (self.fault)("lake.write");
            largest.flush(&self.root, &mut self.encoder)?;
            largest.release(&self.hasher);
        }
        Ok(())
    }

    fn commit_to(&mut self, to: u64) -> Result<(), SinkError> {
        let idle = self.writers.is_empty() && self.finished.is_empty();
        if to == self.cursor && idle {
            return Ok(());
        }
        if to <= self.cursor {
            return Err(SinkError::Backwards { path: self.root.clone(), cursor: self.cursor, to });
        }
        while !self.writers.is_empty() {
            self.finish(0)?;
        }
        (self.fault)("lake.sync");
        let folders: BTreeSet<PathBuf> = self.finished.iter().map(|file| self.root.join(&file.name.folder)).collect();
        for folder in &folders {
            commits::sync_folder(folder).map_err(|source| io_error("fsync", folder, source))?;
        }
        (self.fault)("lake.commit");
        let files = self.finished.iter().map(|file| file.entry(to)).collect();
        let appended = self.log.append(&Commit { from: self.cursor, to, files });
        appended.map_err(|source| io_error("append to the commit log of", &self.root, source))?;
        for file in std::mem::take(&mut self.finished) {
            (self.fault)("lake.rename");
            recovery::rename(&self.root, &file.name, to)?;
        }
        for folder in &folders {
            commits::sync_folder(folder).map_err(|source| io_error("fsync", folder, source))?;
        }
        self.cursor = to;
        (self.fault)("lake.done");
        Ok(())
    }
}

impl Sink for Lake {
    fn push(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        self.attempt(|lake| lake.take(event))
    }

    fn commit(&mut self, to: u64) -> Result<(), SinkError> {
        self.attempt(|lake| lake.commit_to(to))
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
