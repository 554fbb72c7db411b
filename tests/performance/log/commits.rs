//! Commit throughput beside a plain `write` + `fdatasync` loop on the same filesystem: the same sizes, the same sync
//! points, slices of both in turns.
//!
//! The yardstick writes what a record of the log takes (the frame, 16 bytes of header, padding to 8) with one `pwrite`
//! each, one behind the other, into files of the segments' size that `fallocate` set aside, as the log's are; at the end of
//! one it makes the next, and that is all: no checksum, no state, no rename, no sync of a folder.
//!
//! Beside the log alone its largest user is measured in the same way: the journal's thread, with frames of 64 agents.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context;
use rustix::fs::{FallocateFlags, fallocate};
use shared::limits::CREDIT_BASE_BYTES;
use shared::log::record_len;

use super::journal::Agents;
use super::owner::{Owner, SEGMENT_BYTES};
use crate::layout::Values;

/// How many append at once in case (b).
pub const APPENDERS: usize = 64;
/// The yardstick of case (b) syncs after this much.
const SYNC_BYTES: u64 = 1 << 20;
/// A frame's header and its context, about: a line of so much less makes a frame of the wanted size.
const FRAME_AROUND_LINE_BYTES: u64 = 300;

/// Who appends, and when it is synced.
#[derive(Clone, Copy)]
pub enum Case {
    /// One appender that waits for each commit.
    One,
    /// 64 appenders, each with what an agent may have in flight; the yardstick syncs per MiB.
    Many,
    /// As `Many`, through the journal.
    Journal,
}

/// What one run took.
pub struct Run {
    /// Seconds of ours.
    pub ours: f64,
    /// Seconds of the yardstick.
    pub plain: f64,
    /// Bytes of frames in each.
    pub frame_bytes: u64,
}

/// One run of `case` with frames of `frame` bytes: slices of ours and of the yardstick in turns, so short that whatever
/// else the disk does meets both.
pub fn run(here: &Path, case: Case, frame: u64, (slices, slice_frames): (u64, u64)) -> anyhow::Result<Run> {
    let mut ours = match case {
        Case::One | Case::Many => Ours::Log(case, Box::new(Owner::open(here, false)?)),
        Case::Journal => Ours::Journal(Agents::new(here, frame - FRAME_AROUND_LINE_BYTES)?),
    };
    let length = match &ours {
        Ours::Log(..) => frame,
        Ours::Journal(agents) => u64::try_from(agents.frame_bytes())?,
    };
    let sync_bytes = if matches!(case, Case::One) { 0 } else { SYNC_BYTES };
    let mut plain = Plain::new(&here.join("plain"))?;
    let mut values = Values::new(length)?;
    let mut run = Run { ours: 0.0, plain: 0.0, frame_bytes: slices * slice_frames * length };
    for slice in 0..slices {
        for our_turn in [slice % 2 == 0, slice % 2 == 1] {
            let start = Instant::now();
            if our_turn {
                ours.write(&mut values, slice_frames)?;
                run.ours += start.elapsed().as_secs_f64();
            } else {
                plain.write(&mut values, slice_frames, sync_bytes)?;
                run.plain += start.elapsed().as_secs_f64();
            }
        }
    }
    drop(ours);
    std::fs::remove_dir_all(here).with_context(|| format!("remove {}", here.display()))?;
    Ok(run)
}

enum Ours {
    Log(Case, Box<Owner>),
    Journal(Agents),
}

impl Ours {
    fn write(&mut self, values: &mut Values, frames: u64) -> anyhow::Result<()> {
        match self {
            Self::Log(Case::One, log) => one(log, values, frames),
            Self::Log(_, log) => many(log, values, frames / APPENDERS as u64),
            Self::Journal(agents) => agents.send(frames / APPENDERS as u64),
        }
    }
}

fn one(log: &mut Owner, values: &mut Values, frames: u64) -> anyhow::Result<()> {
    for _ in 0..frames {
        log.append(values.next())?;
        log.commit()?;
    }
    Ok(())
}

/// The yardstick.
struct Plain {
    here: PathBuf,
    file: File,
    files: u64,
    at: u64,
    /// A record's worth of bytes.
    record: Vec<u8>,
}

impl Plain {
    fn new(here: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(here).with_context(|| format!("create {}", here.display()))?;
        Ok(Self { here: here.to_path_buf(), file: Self::file(here, 0)?, files: 1, at: 0, record: Vec::new() })
    }

    fn file(here: &Path, number: u64) -> anyhow::Result<File> {
        let path = here.join(number.to_string());
        let open = OpenOptions::new().create_new(true).write(true).open(&path);
        let file = open.with_context(|| format!("create {}", path.display()))?;
        fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES).context("fallocate")?;
        Ok(file)
    }

    /// Writes so many frames and syncs whenever `sync_bytes` have come together, or after each.
    fn write(&mut self, values: &mut Values, frames: u64, sync_bytes: u64) -> anyhow::Result<()> {
        let mut unsynced = 0;
        for _ in 0..frames {
            let frame = values.next();
            let length = record_len(frame.len());
            self.record.clear();
            self.record.extend_from_slice(frame);
            self.record.resize(usize::try_from(length)?, 0);
            if self.at + length > SEGMENT_BYTES {
                self.file.sync_data().context("fdatasync")?;
                (self.file, self.at) = (Self::file(&self.here, self.files)?, 0);
                self.files += 1;
                unsynced = 0;
            }
            self.file.write_all_at(&self.record, self.at).context("write")?;
            self.at += length;
            unsynced += length;
            if unsynced >= sync_bytes {
                self.file.sync_data().context("fdatasync")?;
                unsynced = 0;
            }
        }
        if unsynced > 0 {
            self.file.sync_data().context("fdatasync")?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<(usize, Arc<[u8]>)>,
    /// Bytes of each appender that are not durable.
    unsynced: Vec<u64>,
    /// Appenders that have more to bring.
    open: usize,
    /// The log refuses: nobody waits any more.
    failed: bool,
}

/// Where 64 threads meet the log's owner, as sources meet the spool and sessions the journal.
#[derive(Default)]
struct Mouth {
    queue: Mutex<Queue>,
    arrived: Condvar,
    durable: Condvar,
}

impl Mouth {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings so many frames, never more than the credit of a fresh session (or one frame) ahead of what is durable.
    fn bring(&self, appender: usize, frame: &Arc<[u8]>, count: u64) {
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        for _ in 0..count {
            let mut queue = self.lock();
            while !queue.failed
                && queue.unsynced.get(appender).is_some_and(|bytes| *bytes > 0 && bytes + length > CREDIT_BASE_BYTES)
            {
                queue = self.durable.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            queue.unsynced.iter_mut().skip(appender).take(1).for_each(|bytes| *bytes += length);
            let is_first = queue.frames.is_empty();
            queue.frames.push_back((appender, Arc::clone(frame)));
            drop(queue);
            if is_first {
                self.arrived.notify_one();
            }
        }
        self.lock().open -= 1;
        self.arrived.notify_one();
    }

    /// Everything that waits; none at the end.
    fn take(&self) -> Option<VecDeque<(usize, Arc<[u8]>)>> {
        let mut queue = self.lock();
        while queue.frames.is_empty() {
            if queue.open == 0 {
                return None;
            }
            queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some(std::mem::take(&mut queue.frames))
    }

    fn synced(&self, frames: &VecDeque<(usize, Arc<[u8]>)>) {
        let mut queue = self.lock();
        for (appender, frame) in frames {
            let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
            queue.unsynced.iter_mut().skip(*appender).take(1).for_each(|bytes| *bytes -= length);
        }
        drop(queue);
        self.durable.notify_all();
    }
}

/// The owner's loop: when no sync runs, sync now; what arrives meanwhile shares the next one.
fn many(log: &mut Owner, values: &mut Values, each: u64) -> anyhow::Result<()> {
    let mouth = Mouth::default();
    *mouth.lock() = Queue { unsynced: vec![0; APPENDERS], open: APPENDERS, ..Queue::default() };
    std::thread::scope(|threads| {
        for appender in 0..APPENDERS {
            let frame: Arc<[u8]> = Arc::from(values.next());
            let mouth = &mouth;
            threads.spawn(move || mouth.bring(appender, &frame, each));
        }
        let outcome = (|| {
            while let Some(taken) = mouth.take() {
                taken.iter().try_for_each(|(_, frame)| log.append(frame))?;
                log.commit()?;
                mouth.synced(&taken);
            }
            Ok(())
        })();
        mouth.lock().failed = outcome.is_err();
        mouth.durable.notify_all();
        outcome
    })
}
