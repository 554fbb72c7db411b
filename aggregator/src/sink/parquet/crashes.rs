//! The lake under a crash at every call: what was committed is there once, what was not is not, and the cursor says
//! which is which.
//!
//! The journal is a number of blocks, each of which gives the same few events whenever it is pushed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use parquet::file::reader::SerializedFileReader;
use shared::log::model::crashes::{Dice, Ran, crash_at_every_call};
use shared::log::{Fs, ModelFs};

use super::commits::{Commit, parse};
use super::testing::{NOON, event, id, read_from};
use super::{Lake, Limits, commits};
use crate::event::Event;
use crate::schema::{Attribute, Class};
use crate::sink::{Sink, SinkError};

const ROOT: &str = "/srv/lake";
/// Events of a block are numbered from this many times its number.
const STRIDE: u64 = 16;

/// What is known over all lives of the lake.
#[derive(Default)]
struct Known {
    /// The cursor that the lake gave.
    committed: u64,
    /// Commits that were asked for since, and failed.
    asked: Vec<u64>,
}

struct Life {
    fs: ModelFs,
    seed: u64,
    lake: Lake,
    /// Blocks up to this one were pushed.
    pushed: u64,
}

/// The events between the cuts `block - 1` and `block`.
fn block(seed: u64, block: u64) -> Vec<Event<'static>> {
    let mut dice = Dice::new(seed ^ block.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let count = dice.below(6);
    let events = (block * STRIDE..block * STRIDE + count).map(|record| {
        let class = [Class::BaseEvent, Class::ProcessActivity][usize::from(dice.below(3) == 0)];
        let mut event = event(class, record, NOON.plus(Duration::from_secs(dice.below(3) * 86_400)));
        event.set(Attribute::RawData, format!("line {record}"));
        event
    });
    events.collect()
}

/// Files of the lake whose names end in `end`.
fn files(fs: &ModelFs, end: &str) -> Vec<PathBuf> {
    let all = fs.files(Path::new(ROOT)).into_iter().map(|(path, _)| path);
    all.filter(|path| path.to_str().unwrap().ends_with(end)).collect()
}

/// The ids in a file. Most files are made again and again.
fn ids(bytes: Vec<u8>, sha256: &str) -> Vec<String> {
    static SEEN: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    if let Some(ids) = seen.get(sha256) {
        return ids.clone();
    }
    let events = read_from(SerializedFileReader::new(Bytes::from(bytes)).unwrap());
    let ids: Vec<String> = events.iter().map(|event| event["metadata"]["uid"].as_str().unwrap().to_owned()).collect();
    if seen.len() > 50_000 {
        seen.clear();
    }
    seen.insert(sha256.to_owned(), ids.clone());
    ids
}

fn limits(seed: u64) -> Limits {
    let log_bytes = if seed.is_multiple_of(2) { 900 } else { 1 << 20 };
    Limits { group_rows: 3, file_groups: 2, writers: 2, log_bytes, ..Limits::DEFAULT }
}

impl Life {
    /// Opens the lake and holds it against what is known.
    fn open(fs: &ModelFs, seed: u64, known: &mut Known) -> Result<Self, SinkError> {
        let visible = files(fs, ".parquet");
        let disk: Arc<dyn Fs> = Arc::new(fs.clone());
        let lake = Lake::open_with(disk, Path::new(ROOT), limits(seed), |_| {})?;
        let cursor = lake.cursor();
        assert!(
            cursor == known.committed || known.asked.contains(&cursor),
            "the cursor is {cursor}, {} was committed, {:?} asked for",
            known.committed,
            known.asked
        );
        let left = files(fs, ".parquet");
        assert!(visible.iter().all(|path| left.contains(path)), "what could be read is gone: {visible:?} {left:?}");
        *known = Known { committed: cursor, asked: Vec::new() };
        let life = Self { fs: fs.clone(), seed, lake, pushed: cursor };
        assert!(files(fs, ".tmp").is_empty(), "left over: {:?}", files(fs, ".tmp"));
        life.check();
        Ok(life)
    }

    /// Holds every file against the blocks up to the cursor and the last commits.
    fn check(&self) {
        // A lake that is given up writes what it had in its buffers and asks nobody: the power may be off.
        if self.fs.is_down() {
            return;
        }
        let cursor = self.lake.cursor();
        assert_eq!(commits::cursor(&self.fs, Path::new(ROOT)).unwrap(), cursor, "for those who look from beside");
        let log = self.fs.read(&Path::new(ROOT).join("_commits")).unwrap();
        let logged: Vec<Commit> = log.split_inclusive(|byte| *byte == b'\n').map(|line| parse(line).unwrap()).collect();
        let entries: BTreeMap<&str, &str> =
            logged.iter().flat_map(|commit| &commit.files).map(|file| (&*file.path, &*file.sha256)).collect();
        let mut found = Vec::new();
        for path in files(&self.fs, ".parquet") {
            let bytes = self.fs.read(&path).unwrap();
            let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
            let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap();
            assert_eq!(*entries.get(name).unwrap_or(&&*sha256), sha256, "{name} is not what was committed");
            found.extend(ids(bytes, &sha256));
        }
        found.sort();
        let events = (1..=cursor).flat_map(|number| block(self.seed, number));
        let mut wanted: Vec<String> = events.map(|event| event.id.to_string()).collect();
        wanted.sort();
        assert_eq!(found, wanted, "the lake up to {cursor}");
        let last = logged.last().map_or(&[][..], |commit| &commit.files);
        assert!(last.iter().all(|file| self.fs.read(&Path::new(ROOT).join(&file.path)).is_ok()), "{last:?}");
    }

    fn push(&mut self) -> Result<(), SinkError> {
        let number = self.pushed + 1;
        block(self.seed, number).iter().try_for_each(|event| self.lake.push(event))?;
        self.pushed = number;
        Ok(())
    }

    fn commit(&mut self, known: &mut Known) -> Result<(), SinkError> {
        known.asked.push(self.pushed);
        self.lake.commit(self.pushed)?;
        *known = Known { committed: self.pushed, asked: Vec::new() };
        assert_eq!(self.lake.cursor(), self.pushed);
        Ok(())
    }

    fn step(&mut self, known: &mut Known, dice: &mut Dice) -> Result<(), SinkError> {
        match dice.below(16) {
            0 => self.fs.fail_sync_at(1 + dice.below(8)),
            1 => {
                let more = dice.below(24 << 10);
                self.fs.room((dice.below(2) == 0).then(|| self.fs.taken() + more));
            }
            2 => {
                self.lake.failed = true;
                *self = Self::open(&self.fs.clone(), self.seed, known)?;
            }
            3..=6 => return self.commit(known),
            7 => self.check(),
            _ => return self.push(),
        }
        Ok(())
    }

    /// Random steps until the power goes. After an error the lake is opened again, as its driver does.
    fn live(mut self, known: &mut Known, dice: &mut Dice, steps: u32) {
        for _ in 0..steps {
            if self.step(known, dice).is_ok() {
                continue;
            }
            assert!(self.fs.is_down() || self.lake.commit(self.pushed + 1).is_err(), "after an error it takes no more");
            self.fs.room(None);
            // One sync may still fail.
            let again = (0..2).find_map(|_| Self::open(&self.fs, self.seed, known).ok());
            match again {
                Some(life) => self = life,
                None => {
                    assert!(self.fs.is_down(), "a lake opens again");
                    return;
                }
            }
        }
    }
}

fn run(seed: u64, at: u64) -> Ran {
    let mut dice = Dice::new(seed);
    let (fs, mut known) = (ModelFs::new(seed ^ at), Known::default());
    fs.short_reads(seed.is_multiple_of(3));
    fs.short_writes(seed.is_multiple_of(5));
    fs.power_off_at(at);
    if let Ok(life) = Life::open(&fs, seed, &mut known) {
        life.live(&mut known, &mut dice, 24);
    }
    let ran = Ran::of(&fs, 0);
    for steps in [10, 6] {
        fs.room(None);
        if dice.below(3) == 0 {
            fs.kill()
        } else {
            fs.power_loss()
        }
        // Opening may meet the next crash.
        fs.power_off_at(1 + dice.below(50));
        match Life::open(&fs, seed, &mut known) {
            Ok(life) => life.live(&mut known, &mut dice, steps),
            Err(error) => assert!(fs.is_down(), "a lake opens after any crash: {error}"),
        }
    }
    fs.room(None);
    fs.power_loss();
    let mut life = Life::open(&fs, seed, &mut known).expect("a lake opens after any crash");
    life.push().unwrap();
    life.commit(&mut known).unwrap();
    fs.power_loss();
    Life::open(&fs, seed, &mut known).expect("a lake opens after any crash");
    ran
}

#[test]
fn lake_has_what_was_committed_once_through_a_crash_at_every_call() {
    crash_at_every_call("lake", 3, run);
}

#[test]
fn events_of_a_block_are_the_same_whenever_it_is_pushed() {
    let ids_of = |number| block(5, number).iter().map(|event| event.id).collect::<Vec<_>>();
    let first = (1..).find(|number| !ids_of(*number).is_empty()).unwrap();
    assert_eq!(ids_of(first)[0], id(7, first * STRIDE));
    assert_eq!(ids_of(first), ids_of(first));
}
