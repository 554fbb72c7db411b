//! Where payload lives: the measurement behind docs/decisions/0001, scaled to run in under a minute.
//!
//! The same bytes go through each layout: a value is appended, and once 32 MiB are live the oldest is dropped for each new
//! one, as a spool does. Values are incompressible, since frames are compressed already; every MiB is flushed. Each
//! layout runs in a process of its own, so that its peak memory is its own, while the parent watches its disk.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use picket_tests::harness::{Process, Random, await_until};
use serde_json::Value;

use crate::report::Report;
use crate::{end_to_end::as_f64, folder};

/// The hidden command that a layout's own process is started with.
pub const CHILD: &str = "layout-child";

const MIB: u64 = 1 << 20;
const WRITTEN_BYTES: u64 = 512 * MIB;
const LIVE_BYTES: u64 = 32 * MIB;
const FLUSH_BYTES: u64 = MIB;
const SEGMENT_BYTES: u64 = 4 * MIB;
const DEADLINE: Duration = Duration::from_secs(300);

const LAYOUTS: [(&str, &str); 4] = [
    ("sled-128k", "values of 128 KiB in sled"),
    ("sled-16k", "values of 16 KiB in sled"),
    ("segments", "segment files + small sled"),
    ("sled-24", "values of 24 B in sled, 256 keys live"),
];

/// Measures every layout and reports.
pub fn run() -> anyhow::Result<()> {
    let here = folder("layout")?;
    let mut report = Report::default();
    let (written, live) = (WRITTEN_BYTES / MIB, LIVE_BYTES / MIB);
    println!("{written} MiB through each layout, {live} MiB of it live; sled 0.34.7");
    for (name, title) in LAYOUTS {
        let own = here.join(name);
        std::fs::create_dir_all(&own).with_context(|| format!("create {}", own.display()))?;
        let program = std::env::current_exe().context("find the running program")?;
        let log = here.join(format!("{name}.log"));
        let mut child = Process::start(Command::new(program).args([CHILD, name]).arg(&own), &log)?;
        let mut disk_peak = 0;
        let (mut memory_peak, own_path) = (0, own.clone());
        let status = await_until(title, DEADLINE, || {
            disk_peak = disk_peak.max(disk_bytes(&own_path));
            if let Ok(usage) = child.usage() {
                memory_peak = memory_peak.max(usage.resident_bytes_peak);
            }
            child.ended()
        })?;
        if !status.success() {
            bail!("{name} ended with {status}: {}", child.last_lines());
        }
        let said: Value =
            serde_json::from_str(child.last_lines().trim()).with_context(|| format!("read {}", log.display()))?;
        let figure = |key: &str| said.get(key).and_then(Value::as_f64);
        let mib = |bytes: u64| Some(as_f64(bytes) / as_f64(MIB));
        report.add(format!("{title}: disk peak"), mib(disk_peak), "MiB");
        report.add(format!("{title}: peak RSS"), mib(memory_peak), "MiB");
        report.add(format!("{title}: throughput"), figure("mib_per_second"), "MiB/s");
        report.add(format!("{title}: operations"), figure("operations_per_second"), "/s");
        std::fs::remove_dir_all(&own).with_context(|| format!("remove {}", own.display()))?;
    }
    report.print(&here.join("figures.json"))
}

/// One layout in this process; its figures go to stdout.
pub fn measure(name: &str, here: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let (bytes, operations) = match name {
        "sled-128k" => values_in_sled(here, 128 << 10)?,
        "sled-16k" => values_in_sled(here, 16 << 10)?,
        "segments" => segments(here)?,
        "sled-24" => small_values(here)?,
        _ => bail!("no layout is called {name}"),
    };
    let seconds = start.elapsed().as_secs_f64();
    let throughput = as_f64(bytes) / as_f64(MIB) / seconds;
    println!("{{\"mib_per_second\":{throughput},\"operations_per_second\":{}}}", as_f64(operations) / seconds);
    Ok(())
}

/// sled, with a cache that a light agent can afford.
fn database(path: &Path) -> anyhow::Result<sled::Db> {
    const CACHE_BYTES: u64 = 8 << 20;
    sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .open()
        .with_context(|| format!("open {}", path.display()))
}

fn values_in_sled(here: &Path, value_bytes: u64) -> anyhow::Result<(u64, u64)> {
    let database = database(here)?;
    let mut values = Values::new(value_bytes)?;
    let (count, live) = (WRITTEN_BYTES / value_bytes, LIVE_BYTES / value_bytes);
    for number in 0..count {
        database.insert(number.to_be_bytes(), values.next()).context("insert")?;
        if number >= live {
            database.remove((number - live).to_be_bytes()).context("remove")?;
        }
        if number % (FLUSH_BYTES / value_bytes).max(1) == 0 {
            database.flush().context("flush")?;
        }
    }
    database.flush().context("flush")?;
    Ok((WRITTEN_BYTES, count))
}

/// Files of 4 MiB that are appended to and removed whole, and in sled an index entry for each MiB.
fn segments(here: &Path) -> anyhow::Result<(u64, u64)> {
    const VALUE_BYTES: u64 = 128 << 10;
    let database = database(&here.join("index"))?;
    let mut values = Values::new(VALUE_BYTES)?;
    let mut files: VecDeque<PathBuf> = VecDeque::new();
    let mut current: Option<File> = None;
    let count = WRITTEN_BYTES / VALUE_BYTES;
    for number in 0..count {
        let offset = number * VALUE_BYTES;
        if offset.is_multiple_of(SEGMENT_BYTES) {
            let path = here.join(format!("{offset:016x}"));
            current = Some(segment(&path)?);
            files.push_back(path);
            if as_count(files.len()) > LIVE_BYTES / SEGMENT_BYTES {
                drop_oldest(&mut files, &database)?;
            }
        }
        let file = current.as_mut().context("the first value opens a segment")?;
        file.write_all(values.next()).context("append")?;
        if (offset + VALUE_BYTES).is_multiple_of(FLUSH_BYTES) {
            file.sync_data().context("fdatasync")?;
            database.insert(offset.to_be_bytes(), &offset.to_le_bytes()).context("insert")?;
        }
    }
    Ok((WRITTEN_BYTES, count))
}

fn segment(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new().create_new(true).append(true).open(path).with_context(|| format!("create {}", path.display()))
}

fn drop_oldest(files: &mut VecDeque<PathBuf>, database: &sled::Db) -> anyhow::Result<()> {
    let Some(oldest) = files.pop_front() else { return Ok(()) };
    std::fs::remove_file(&oldest).with_context(|| format!("remove {}", oldest.display()))?;
    let name = oldest.file_name().unwrap_or_default().to_string_lossy();
    let first = u64::from_str_radix(&name, 16).context("a segment is named by its offset")?;
    for key in database.range(first.to_be_bytes()..(first + SEGMENT_BYTES).to_be_bytes()).keys() {
        database.remove(key.context("read a key")?).context("remove")?;
    }
    Ok(())
}

/// What the checkpoint table does: few keys, small values, over and over.
fn small_values(here: &Path) -> anyhow::Result<(u64, u64)> {
    const COUNT: u64 = 300_000;
    let database = database(here)?;
    let mut random = Random::new(1);
    for number in 0..COUNT {
        let value: Vec<u8> = (0..3).flat_map(|_| random.bits().to_le_bytes()).collect();
        database.insert((number % 256).to_be_bytes(), value).context("insert")?;
        if number % 1_000 == 0 {
            database.flush().context("flush")?;
        }
    }
    database.flush().context("flush")?;
    Ok((COUNT * 24, COUNT))
}

/// Incompressible values: windows of one block of random bytes, never the same two in a row.
pub struct Values {
    block: Vec<u8>,
    length: usize,
    at: usize,
}

impl Values {
    /// Values of `length` bytes.
    pub fn new(length: u64) -> anyhow::Result<Self> {
        let length = usize::try_from(length)?;
        let mut random = Random::new(7);
        let block = (0..(2 * length + 4096) / 8).flat_map(|_| random.bits().to_le_bytes()).collect();
        Ok(Self { block, length, at: 0 })
    }

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        self.at = (self.at + 997) % (self.block.len() - self.length);
        self.block.get(self.at..self.at + self.length).unwrap_or_default()
    }
}

/// What a folder holds on disk, in whole blocks.
fn disk_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        // Removed in between.
        Err(_) => 0,
    };
    entries.map(size).sum()
}

fn as_count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
