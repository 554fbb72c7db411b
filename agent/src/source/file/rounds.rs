//! Random writers, rotations (also before the first look and while the lane is full), truncations, copies and restarts
//! against one source: every line comes once and in order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::bench::Bench;
use crate::fingerprint::FileId;
use crate::handover::{Chunk, LineMark, Loss, Outlet, Stopped, flag};
use crate::source::scratch::Random;

const LINE_BYTES_MAX: usize = 300;

/// What was written into one file from its creation or truncation on.
struct Written {
    name: &'static str,
    content: Vec<u8>,
    id: FileId,
}

/// A source, its writers, and what they agreed on.
struct World {
    bench: Bench,
    random: Random,
    rotated_are_included: bool,
    written: Vec<Written>,
    /// By name: which of `written` stands there.
    live: BTreeMap<&'static str, usize>,
    /// How many chunks a crash leaves; never fewer than before.
    durable: usize,
    /// Which of `written` each chunk is from.
    origins: Vec<usize>,
    /// By name: how many rotated files there are.
    rotated: BTreeMap<&'static str, usize>,
    /// How many of `written` there were at the last crash.
    crashed_at: usize,
    /// Something was rotated of which nothing will be found if the program ends now.
    is_fragile: bool,
}

/// An outlet whose lane is full at its first call: meanwhile the world goes on.
struct Full<'a> {
    world: &'a mut World,
    actions: usize,
}

impl Outlet for Full<'_> {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        for _ in 0..std::mem::take(&mut self.actions) {
            let name = ["a.log", "b.log"][self.world.random.below(2)];
            match self.world.random.below(2) {
                0 => self.world.append(name),
                _ => self.world.rotate(name),
            }
        }
        self.world.bench.kept.lines(chunk)
    }

    fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
        Ok(())
    }
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.world.bench.kept.loss(loss)
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let rotated_are_included = random.below(2) == 0;
        let include = if rotated_are_included { "*.log*" } else { "*.log" };
        let mut bench = Bench::new(&[include]);
        bench.config.line_bytes_max = LINE_BYTES_MAX;
        bench.configure();
        Self {
            bench,
            random,
            rotated_are_included,
            written: Vec::new(),
            live: BTreeMap::new(),
            durable: 0,
            origins: Vec::new(),
            rotated: BTreeMap::new(),
            crashed_at: 0,
            is_fragile: false,
        }
    }

    fn act(&mut self) {
        let name = ["a.log", "b.log", "c.log"][self.random.below(3)];
        match self.random.below(23) {
            0..8 => self.append(name),
            8..12 => self.step(),
            12..14 => self.rotate(name),
            14..16 => self.crash(),
            16..18 => self.truncate(name),
            18 => self.unlink(name),
            19 => self.rotate_several(name),
            20..22 => self.step_while_full(),
            _ => self.durable = self.bench.kept.chunks.len(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bench.folder.path(name)
    }

    fn line(&mut self) -> Vec<u8> {
        let length = match self.random.below(200) {
            0 => 100_000 + self.random.below(500_000),
            1..20 => 200 + self.random.below(200),
            20..30 => 0,
            _ => self.random.below(120),
        };
        let mut line = format!("{:08x} ", self.random.below(1 << 32)).into_bytes();
        line.resize(line.len() + length, b'x');
        if length == 0 {
            line.clear();
        }
        line.extend_from_slice([&b"\n"[..], b"\n", b"\r\n"][self.random.below(3)]);
        line
    }

    /// A few lines, the last perhaps not to its end. No two files begin alike: one that is truncated and at once grows
    /// as long as it was, with the same first bytes, is one that only grew.
    fn piece(&mut self, name: &str) -> Vec<u8> {
        let mut piece = Vec::new();
        if self.live.get(name).is_none_or(|at| self.written[*at].content.is_empty()) {
            piece.extend(format!("{} {:08x}\n", self.written.len(), self.random.below(1 << 32)).into_bytes());
        }
        for _ in 0..=self.random.below(6) {
            piece.extend(self.line());
        }
        let cut = if self.random.below(2) == 0 { 0 } else { self.random.below(piece.len()) };
        piece.truncate(piece.len() - cut);
        piece
    }

    fn append(&mut self, name: &'static str) {
        let piece = self.piece(name);
        let file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        self.write(name, file, &piece);
    }

    fn write(&mut self, name: &'static str, mut file: File, piece: &[u8]) {
        file.write_all(piece).unwrap();
        let metadata = file.metadata().unwrap();
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        let at = *self.live.entry(name).or_insert_with(|| {
            self.written.push(Written { name, content: Vec::new(), id });
            self.written.len() - 1
        });
        self.written[at].content.extend_from_slice(piece);
    }

    /// `c.log` is only copied and truncated.
    fn rotate(&mut self, name: &'static str) {
        let Some(at) = self.live.get(name).copied().filter(|_| name != "c.log") else { return };
        if !self.rotated_are_included && !self.origins[..self.durable].contains(&at) {
            // After a restart it is found behind an older file of its name of which there is a checkpoint.
            let has_elder = self.origins[..self.durable].iter().any(|at| self.is_there(*at, name));
            let is_new = self.written[..self.crashed_at].iter().all(|before| before.id != self.written[at].id);
            if !is_new && !has_elder {
                return;
            }
            self.is_fragile |= !has_elder;
        }
        let file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
        let count = self.rotated.entry(name).or_default();
        *count += 1;
        for number in (1..*count).rev() {
            self.bench.rename(&format!("{name}.{number}"), &format!("{name}.{}", number + 1));
        }
        self.bench.rename(name, &format!("{name}.1"));
        if self.random.below(2) == 0 {
            let piece = self.piece(name);
            self.write(name, file, &piece);
        }
        self.live.remove(name);
    }

    /// Whether a file of this name is there and was not truncated since; it may have another name now.
    fn is_there(&self, at: usize, name: &str) -> bool {
        let written = &self.written[at];
        let is_other = |later: &Written| later.id == written.id;
        if written.name != name || self.written[at + 1..].iter().any(is_other) {
            return false;
        }
        let count = self.rotated.get(written.name).copied().unwrap_or(0);
        let paths = (1..=count).map(|number| self.path(&format!("{}.{number}", written.name)));
        let mut paths = paths.chain([self.path(written.name)]);
        paths.any(|path| fs::metadata(path).is_ok_and(|metadata| metadata.ino() == written.id.inode))
    }

    /// More often than anybody looks.
    fn rotate_several(&mut self, name: &'static str) {
        for _ in 0..2 + self.random.below(4) {
            self.append(name);
            self.rotate(name);
        }
    }

    fn step_while_full(&mut self) {
        let actions = self.random.below(10);
        self.bench.clock.advance(Duration::from_secs(1 + self.random.below(14) as u64));
        let mut source = self.bench.take_source();
        source.step(&mut Full { world: self, actions }).unwrap();
        self.bench.source = source;
        self.attribute();
    }

    /// Whether all of it is read, durable, and ends with a newline.
    fn is_settled(&mut self, name: &str) -> Option<usize> {
        let at = *self.live.get(name)?;
        self.step_by(11);
        let read: usize = self.lines_of(at).iter().map(|(mark, _)| size_in_file(mark)).sum();
        self.durable = self.bench.kept.chunks.len();
        (read == self.written[at].content.len() && read > 0).then_some(at)
    }

    /// The losing half of copytruncate is done only when nothing can be lost.
    fn truncate(&mut self, name: &'static str) {
        let Some(at) = self.is_settled(name) else { return };
        if name == "c.log" && !self.rotated_are_included {
            self.bench.await_tick();
            let count = self.rotated.entry(name).or_default();
            *count += 1;
            fs::copy(self.bench.folder.path(name), self.bench.folder.path(&format!("{name}.{count}"))).unwrap();
        }
        File::create(self.path(name)).unwrap();
        let id = self.written[at].id;
        self.written.push(Written { name, content: Vec::new(), id });
        self.live.insert(name, self.written.len() - 1);
        if self.random.below(2) == 0 {
            self.append(name);
        }
    }

    fn unlink(&mut self, name: &'static str) {
        if self.is_settled(name).is_some() {
            fs::remove_file(self.path(name)).unwrap();
            self.live.remove(name);
        }
    }

    fn step(&mut self) {
        let seconds = 1 + self.random.below(14) as u64;
        self.step_by(seconds);
    }

    fn step_by(&mut self, seconds: u64) {
        self.bench.pass(Duration::from_secs(seconds));
        self.attribute();
    }

    /// Finds out which file each new chunk is from.
    fn attribute(&mut self) {
        let latest: HashMap<FileId, usize> =
            self.written.iter().zip(0..).map(|(written, at)| (written.id, at)).collect();
        for chunk in &self.bench.kept.chunks[self.origins.len()..] {
            self.origins.push(latest[&chunk.checkpoint.unwrap().file()]);
        }
    }

    /// Some of what was handed over never became durable.
    fn crash(&mut self) {
        if std::mem::take(&mut self.is_fragile) {
            self.step_by(11);
            self.durable = self.bench.kept.chunks.len();
        }
        self.crashed_at = self.written.len();
        let chunks = &mut self.bench.kept.chunks;
        self.durable += self.random.below(chunks.len() - self.durable + 1);
        chunks.truncate(self.durable);
        self.origins.truncate(self.durable);
        self.bench.kept.table.clear();
        for chunk in &self.bench.kept.chunks {
            self.bench.kept.table.put(chunk.checkpoint.unwrap());
        }
        self.bench.restart();
    }

    fn lines_of(&self, at: usize) -> Vec<(LineMark, Vec<u8>)> {
        let chunks = self.bench.kept.chunks.iter().zip(&self.origins).filter(|(_, origin)| **origin == at);
        chunks.flat_map(|(chunk, _)| chunk.lines.iter().map(|(mark, line)| (*mark, line.to_vec()))).collect()
    }

    fn check(&mut self, seed: u64) {
        for _ in 0..6 {
            self.step_by(15);
        }
        let live: HashSet<usize> = self.live.values().copied().collect();
        for (at, written) in self.written.iter().enumerate() {
            let (mut rest, mut offset) = (&written.content[..], 0);
            for (mark, line) in self.lines_of(at) {
                let size = size_in_file(&mark);
                let (expected, after) = rest.split_at(size);
                let unterminated = expected.strip_suffix(b"\n").unwrap_or(expected);
                let is_crlf = mark.flags & flag::CRLF != 0;
                let text = if is_crlf { unterminated.strip_suffix(b"\r").unwrap() } else { unterminated };
                assert_eq!((mark.offset, mark.full_size), (offset, text.len() as u64), "seed {seed} file {at}");
                assert_eq!(line, text[..text.len().min(LINE_BYTES_MAX)], "seed {seed} file {at} at {offset}");
                assert_eq!(mark.flags & flag::TRUNCATED != 0, text.len() > LINE_BYTES_MAX, "seed {seed} file {at}");
                rest = after;
                offset += size as u64;
            }
            let may_wait = live.contains(&at) || self.rotated_are_included;
            let waits = may_wait && !rest.contains(&b'\n');
            assert!(rest.is_empty() || waits, "seed {seed} file {at}: {} bytes were not read", rest.len());
        }
    }
}

fn size_in_file(mark: &LineMark) -> usize {
    let terminator = match mark.flags {
        flags if flags & flag::UNTERMINATED != 0 => 0,
        flags if flags & flag::CRLF != 0 => 2,
        _ => 1,
    };
    usize::try_from(mark.full_size).unwrap() + terminator
}

#[test]
fn every_line_comes_once_and_in_order_whatever_happens() {
    let first = Random::seed();
    for seed in (0..40).map(|round| first.wrapping_add(round)) {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.act();
        }
        world.check(seed);
    }
}

/// `cargo test --release -p picket-agent -- --ignored --nocapture full_speed`
#[test]
#[ignore = "prints figures; for release builds"]
fn full_speed_in_mb_per_second_and_cpu_per_gib() {
    struct Count(u64);
    impl Outlet for Count {
        fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
            self.0 += chunk.lines.marks.len() as u64;
            Ok(())
        }
        fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
            Ok(())
        }
        fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
            Ok(())
        }
    }
    const LINE: &[u8] =
        b"Mar 16 09:30:00 web-1 sshd[4711]: Accepted publickey for deploy from 192.0.2.10 port 53211 ssh2\n";
    const BYTES: usize = 1 << 30;
    let mut bench = Bench::new(&["a.log"]);
    let block = LINE.repeat(10_000);
    let mut file = File::create(bench.folder.path("a.log")).unwrap();
    for _ in 0..BYTES / block.len() {
        file.write_all(&block).unwrap();
    }
    let cpu = || fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let cpu = || cpu().split(' ').next().unwrap().parse::<u64>().unwrap();
    for _ in 0..3 {
        bench.kept.table.clear();
        bench.restart();
        let (mut count, wall, before) = (Count(0), Instant::now(), cpu());
        bench.source.step(&mut count).unwrap();
        let (wall, cpu) = (wall.elapsed(), Duration::from_nanos(cpu() - before));
        let mb = BYTES as f64 / 1e6 / wall.as_secs_f64();
        println!("{} lines, {mb:.0} MB/s, {:.3} s CPU per GiB", count.0, cpu.as_secs_f64());
    }
}
