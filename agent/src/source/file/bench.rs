//! For tests: a source over a folder, stepped by hand with a clock that is turned by hand.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use shared::identity::Lane;
use shared::record::LossReason;
use shared::time::{Clock, ManualClock, Timestamp};

use super::glob::Patterns;
use super::unseen::TICK;
use super::watch::Watch;
use super::{FileConfig, FileSource, FileSources, StartAt, Surroundings, Timing};
use crate::fingerprint::{FileId, PREFIX_BYTES_MAX};
use crate::handover::{Checkpoint, Checkpoints, Chunk, Loss, Outlet, SourceIndex, Stopped};
use crate::source::health::HealthSnapshot;
use crate::source::scratch::Folder;

/// A table of checkpoints in memory.
#[derive(Default)]
pub struct Table(Mutex<HashMap<FileId, (u64, Checkpoint)>>);

impl Table {
    pub fn put(&self, checkpoint: Checkpoint) {
        let mut rows = self.0.lock().unwrap();
        let generation = 1 + rows.values().map(|(generation, _)| *generation).max().unwrap_or(0);
        rows.insert(checkpoint.file(), (generation, checkpoint));
    }

    pub fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    pub fn of(&self, path: &Path) -> Option<Checkpoint> {
        let inode = fs::metadata(path).unwrap().ino();
        self.by_inode(inode).first().copied()
    }

    fn find(&self, wanted: impl Fn(&Checkpoint) -> bool) -> Vec<Checkpoint> {
        let mut rows: Vec<_> = self.0.lock().unwrap().values().filter(|(_, row)| wanted(row)).copied().collect();
        rows.sort_by_key(|(generation, _)| std::cmp::Reverse(*generation));
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl Checkpoints for Table {
    fn by_inode(&self, inode: u64) -> Vec<Checkpoint> {
        self.find(|row| row.file().inode == inode)
    }

    fn by_prefix(&self, hash: u64) -> Vec<Checkpoint> {
        let is_whole = |row: &Checkpoint| usize::from(row.fingerprint.prefix_len) == PREFIX_BYTES_MAX;
        self.find(|row| is_whole(row) && row.fingerprint.prefix_hash == hash)
    }
}

/// An outlet that keeps everything and whose checkpoints are durable at once.
#[derive(Default)]
pub struct Kept {
    pub chunks: Vec<Chunk>,
    pub losses: Vec<Loss>,
    pub table: Arc<Table>,
}

impl Outlet for Kept {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        let checkpoint = chunk.checkpoint.unwrap();
        assert!(u64::from(checkpoint.fingerprint.prefix_len) <= checkpoint.offset);
        self.table.put(checkpoint);
        self.chunks.push(chunk);
        Ok(())
    }

    fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
        Ok(())
    }
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.losses.push(loss);
        Ok(())
    }
}

/// A source over a folder, stepped by hand.
pub struct Bench {
    pub folder: Folder,
    pub clock: ManualClock,
    pub kept: Kept,
    pub config: FileConfig,
    pub source: FileSource,
    around: Surroundings,
}

impl Bench {
    /// Reads `include` below a new folder.
    pub fn new(include: &[&str]) -> Self {
        Self::over(Folder::new(), include, StartAt::Beginning)
    }

    pub fn over(folder: Folder, include: &[&str], from: StartAt) -> Self {
        let include = include.iter().map(|name| folder.glob(name)).collect();
        let config = config(include, from);
        let (clock, kept) = (ManualClock::new(Timestamp::from_seconds(1)), Kept::default());
        let around = around("only", 0, &config, &clock, &kept.table);
        let source = source(&config, &around);
        Self { folder, clock, kept, config, source, around }
    }

    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.folder.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.folder.path(from), self.folder.path(to)).unwrap();
    }

    /// Waits until what is created from now on is seen to be younger than what is there; when that is.
    pub fn await_tick(&self) -> Timestamp {
        let probe = || {
            let path = self.folder.path("probe");
            let birth = fs::File::create(&path).unwrap().metadata().unwrap().created().unwrap();
            fs::remove_file(path).unwrap();
            birth
        };
        let first = probe();
        let later = std::iter::repeat_with(probe).find(|later| *later > first).unwrap();
        Timestamp(i64::try_from(later.duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap())
    }

    /// Lets time pass until the next walk and does what is due.
    pub fn step(&mut self) {
        self.pass(Duration::from_secs(10));
    }

    pub fn pass(&mut self, time: Duration) {
        self.clock.advance(time);
        self.source.step(&mut self.kept).unwrap();
    }

    /// The program ends and starts again with the checkpoints in the table; what is there was born before.
    pub fn restart(&mut self) {
        self.around.started = self.await_tick().plus(TICK);
        self.configure();
    }

    /// The source is made again within its run, as after a panic or with another `config`.
    pub fn configure(&mut self) {
        self.source = source(&self.config, &self.around);
    }

    /// Takes the source out, so that what is around it can change while it hands over; to be put back.
    pub fn take_source(&mut self) -> FileSource {
        std::mem::replace(&mut self.source, source(&self.config, &self.around))
    }

    /// Takes out what was handed over: file name and line.
    pub fn take(&mut self) -> Vec<String> {
        let chunks = std::mem::take(&mut self.kept.chunks);
        let name = |chunk: &Chunk| Path::new(&*chunk.log_name).file_name().unwrap().to_str().unwrap().to_owned();
        let lines = chunks.iter().flat_map(|chunk| chunk.lines.iter().map(|(_, line)| (name(chunk), line)));
        lines.map(|(name, line)| format!("{name}: {}", String::from_utf8_lossy(line))).collect()
    }

    pub fn flags(&self) -> Vec<u8> {
        self.kept.chunks.iter().flat_map(|chunk| &chunk.lines.marks).map(|mark| mark.flags).collect()
    }

    pub fn losses(&mut self) -> Vec<LossReason> {
        std::mem::take(&mut self.kept.losses).iter().map(|loss| loss.reason).collect()
    }

    pub fn health(&self) -> HealthSnapshot {
        self.around.health.snapshot()
    }
}

pub fn config(include: Vec<String>, from: StartAt) -> FileConfig {
    let (exclude, format, lane) = (Vec::new(), "auto".into(), Lane::Normal);
    FileConfig { include, exclude, from, line_bytes_max: 256 * 1024, format, lane, redact: Vec::new() }
}

pub fn around(name: &str, index: u16, config: &FileConfig, clock: &ManualClock, table: &Arc<Table>) -> Surroundings {
    let patterns = Arc::new(Patterns::new(&config.include, &config.exclude).unwrap());
    Surroundings {
        index: SourceIndex(index),
        name: name.into(),
        shared: Arc::new(FileSources::new(Watch::none(), vec![(name.into(), patterns)])),
        checkpoints: Arc::clone(table) as Arc<dyn Checkpoints>,
        started: Timestamp(0),
        clock: Clock::Manual(clock.clone()),
        wake: Arc::default(),
        health: Arc::default(),
    }
}

pub fn source(config: &FileConfig, around: &Surroundings) -> FileSource {
    let patterns = Arc::new(Patterns::new(&config.include, &config.exclude).unwrap());
    FileSource::new(config.clone(), patterns, Timing::default(), around.clone())
}
