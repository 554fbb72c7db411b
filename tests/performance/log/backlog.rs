//! A log with a backlog, in processes of their own: what it writes, what memory it takes, how long it takes to open, what
//! trimming costs.
//!
//! Bytes passed to write are `wchar` of `/proc/self/io`: every `write` and `pwrite` of the process, those of sled's files
//! included. Memory is `VmRSS` and `VmHWM` of `/proc/self/status`; it counts the pages of the program itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use shared::log::{Entry, Kind, Reader, RealFs};

use super::owner::Owner;
use super::{journal, spool};
use crate::end_to_end::as_f64;
use crate::layout::Values;
use crate::yardstick::cpu_seconds;

/// The hidden command that these processes are started with.
pub const CHILD: &str = "log-child";

/// A group that is synced at once while a backlog is made.
const GROUP_BYTES: usize = 1 << 20;

/// What a process measured, by name.
pub struct Figures(Map<String, Value>);

impl Figures {
    /// A figure by name.
    pub fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }
}

/// Runs `work` in a process of its own.
pub fn child(work: &str, folder: &Path, numbers: &[u64]) -> anyhow::Result<Figures> {
    let program = std::env::current_exe().context("find the running program")?;
    let mut command = Command::new(program);
    command.args([CHILD, work]).arg(folder).args(numbers.iter().map(u64::to_string));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("start this program again")?;
    if !output.status.success() {
        bail!("{work} ended with {}", output.status);
    }
    let figures = serde_json::from_slice(&output.stdout).with_context(|| format!("read what {work} said"))?;
    Ok(Figures(figures))
}

/// What such a process does; its figures go to stdout.
pub fn work(name: &str, folder: &Path, numbers: &[&str]) -> anyhow::Result<()> {
    let number = |at: usize| -> anyhow::Result<u64> {
        Ok(numbers.get(at).with_context(|| format!("{name} needs {} numbers", at + 1))?.parse()?)
    };
    let figures = match name {
        "make" => make(folder, number(0)?, number(1)?)?,
        "stream" => stream(folder)?,
        "open" => open(folder)?,
        "trim" => trim(folder)?,
        "journal-make" => journal::make(folder, number(0)?, number(1)?)?,
        "journal-open" => journal::open(folder)?,
        "spool-make" => spool::make(folder, number(0)?, number(1)?)?,
        "spool-fill" => spool::fill(folder, number(0)?)?,
        "spool-open" => spool::open(folder)?,
        "spool-drain" => spool::drain(folder)?,
        _ => bail!("there is no work called {name}"),
    };
    let figures: Map<String, Value> =
        figures.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    println!("{}", Value::Object(figures));
    Ok(())
}

/// Figures by name.
pub type Measured = Vec<(&'static str, f64)>;

/// Fills a log with frames of `frame` bytes, `bytes` in all.
fn make(folder: &Path, frame: u64, bytes: u64) -> anyhow::Result<Measured> {
    let written_before = written_bytes()?;
    let mut log = Owner::open(folder, true)?;
    let mut values = Values::new(frame)?;
    for _ in 0..bytes / frame {
        log.append(values.next())?;
        if log.pending_bytes() >= GROUP_BYTES {
            log.commit()?;
        }
    }
    log.commit()?;
    log.close()?;
    let frame_bytes = as_f64(bytes / frame * frame);
    Ok(vec![("written", as_f64(written_bytes()? - written_before)), ("frame_bytes", frame_bytes)])
}

/// Opens the log with its index and reads it from its first to its last byte.
fn stream(folder: &Path) -> anyhow::Result<Measured> {
    let log = Owner::open(folder, true)?;
    let opened = memory()?.0;
    let committed = log.log().committed();
    let mut reader = Reader::new(Arc::new(RealFs), log.log().dir(), 0);
    let (mut frames, mut bytes, mut peak) = (0_u64, 0_u64, opened);
    let start = Instant::now();
    while let Some(entry) = reader.next(committed)? {
        let Entry::Record(record) = entry else { bail!("a gap in a log that nobody damaged") };
        if record.kind == Kind::Frame {
            frames += 1;
            bytes += u64::try_from(record.payload.len())?;
        }
        if frames.is_multiple_of(10_000) {
            peak = peak.max(memory()?.0);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let (resident, high_water) = memory()?;
    log.close()?;
    Ok(vec![
        ("frames", as_f64(frames)),
        ("frame_bytes", as_f64(bytes)),
        ("seconds", seconds),
        ("resident_opened", opened),
        ("resident", peak.max(resident)),
        ("high_water", high_water),
    ])
}

/// Opens the log after its index was lost.
fn open(folder: &Path) -> anyhow::Result<Measured> {
    std::fs::remove_dir_all(folder.join("index")).context("lose the index")?;
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let log = Owner::open(folder, true)?;
    let figures = vec![("seconds", start.elapsed().as_secs_f64()), ("cpu", cpu_seconds() - cpu)];
    log.close()?;
    Ok(figures)
}

/// Lets 90 % of the log go, a hundredth at a time, as acks come.
fn trim(folder: &Path) -> anyhow::Result<Measured> {
    let mut log = Owner::open(folder, true)?;
    let (end, held, before) = (log.log().committed(), log.log().bytes(), written_bytes()?);
    let start = Instant::now();
    let mut freed = 0;
    for hundredth in 1..=90 {
        let through = end / 100 * hundredth;
        if log.log().oldest_finished().is_some_and(|(_, end)| end <= through) {
            freed += log.trim(through)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    log.close()?;
    let written = written_bytes()? - before;
    Ok(vec![
        ("seconds", seconds),
        ("freed", as_f64(freed)),
        ("freed_share", as_f64(freed) / as_f64(held)),
        ("written", as_f64(written)),
    ])
}

/// `cat` of the files in a folder to /dev/null: seconds, and its CPU seconds.
pub fn cat(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<PathBuf>>>()?;
    files.sort();
    let (start, cpu) = (Instant::now(), children_cpu_seconds()?);
    let status = Command::new("cat").args(&files).stdout(Stdio::null()).status().context("start cat")?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        bail!("cat ended with {status}");
    }
    Ok((seconds, children_cpu_seconds()? - cpu))
}

/// User and system time of children that have ended: fields 16 and 17 of `/proc/self/stat` (proc_pid_stat(5)).
fn children_cpu_seconds() -> anyhow::Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    // The name, in parentheses, may hold anything; `state` behind it is field 3.
    let (_, fields) = stat.rsplit_once(") ").context("a stat with a name")?;
    let ticks = fields.split(' ').skip(13).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS_PER_SECOND)
}

/// Bytes that this process has passed to write.
pub fn written_bytes() -> anyhow::Result<u64> {
    field("/proc/self/io", "wchar:")
}

/// Resident memory now and at its highest, bytes.
pub fn memory() -> anyhow::Result<(f64, f64)> {
    let of = |name| anyhow::Ok(as_f64(field("/proc/self/status", name)? << 10));
    Ok((of("VmRSS:")?, of("VmHWM:")?))
}

fn field(path: &str, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("{path} has no {name}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
