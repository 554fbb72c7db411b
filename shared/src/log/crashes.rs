//! The log under a crash at every call: what was committed is there, unaltered, in order, once; what was not is
//! there whole or not at all.

use super::model::crashes::{Dice, Ran, crash_at_every_call};
use super::*;
use crate::time::{ManualClock, Timestamp};

const DIR: &str = "/spool/high";
const OPTIONS: Options = Options { segment_bytes: 72 << 10, quarantine_bytes_max: 1 << 20, points: ["w", "s", "c"] };

fn clock() -> Clock {
    Clock::Manual(ManualClock::new(Timestamp::from_seconds(1)))
}

/// The unit of frame `number`: its first frame, and the one behind its last. Four in a row are one unit, or four.
fn unit(number: u64) -> (u64, u64) {
    let first = number - number % 4;
    if Dice::new(first).below(2) == 0 { (number, number + 1) } else { (first, first + 4) }
}

/// Frame `number`: its number, then bytes that follow from it. Some are large enough to span many sectors.
fn payload(number: u64) -> Vec<u8> {
    let mut random = Dice::new(number);
    let len = if random.below(4) == 0 { random.below(9_000) } else { random.below(300) };
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((0..len).map(|_| u8::try_from(random.below(256)).unwrap()));
    bytes
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// A program that keeps numbered frames in a log, and what it may rely on.
struct Owner {
    fs: ModelFs,
    log: Log,
    /// Frames below are committed; frames below `next` were taken.
    committed: u64,
    next: u64,
}

/// What is known of the disk between two lives of the program.
#[derive(Clone, Copy, Default)]
struct Known {
    committed: u64,
    taken: u64,
    /// A frame below this one may have been trimmed.
    trimmed: u64,
}

impl Owner {
    /// Opens the log, and holds what it gives against what is known.
    fn open(fs: &ModelFs, known: &mut Known) -> io::Result<Self> {
        let (mut state, mut frames) = (0, Vec::new());
        let mut visit = |record: &Record<'_>| match record.kind {
            Kind::State => {
                state = number(record.payload);
                assert!(frames.is_empty(), "a state in the middle");
            }
            Kind::Frame => {
                let n = number(record.payload);
                assert_eq!(record.payload, payload(n), "frame {n} is altered");
                frames.push(n);
            }
            _ => {}
        };
        let fresh = || 0u64.to_le_bytes().to_vec();
        let opened = Log::open(Arc::new(fs.clone()), Path::new(DIR), OPTIONS, clock(), &mut visit, &fresh)?;
        // What the log could do without when the power went it has not said.
        fs.up()?;
        let report = opened.report;
        assert!(report.continuity && report.damage.is_empty() && report.foreign.is_empty(), "{report:?}");
        let next = state + frames.len() as u64;
        assert_eq!(frames, (state..next).collect::<Vec<_>>(), "once, in order, behind the state");
        assert!(next >= known.committed, "frames below {} were committed, there is none from {next}", known.committed);
        assert!(next <= known.taken, "frame {next} was never taken");
        assert_eq!(unit(next).0, next, "a unit is there whole or not at all");
        let mut owner = Self { fs: fs.clone(), log: opened.log, committed: next, next };
        owner.check(known.trimmed);
        // What was found counts from here on: it is read, sent and acked. What was not found never comes back.
        (known.committed, known.taken) = (next, next);
        Ok(owner)
    }

    /// Reads the whole log and holds it against what was committed.
    fn check(&mut self, trimmed: u64) {
        let mut reader = Reader::new(Arc::new(self.fs.clone()), Path::new(DIR), self.log.oldest());
        let mut wanted = None;
        while let Some(entry) = reader.next(self.log.committed()).unwrap() {
            let Entry::Record(record) = entry else {
                // Of several segments that were trimmed the power leaves any.
                assert!(wanted.is_none_or(|wanted| wanted <= trimmed), "{entry:?} below what is committed");
                wanted = None;
                continue;
            };
            if record.kind == Kind::Frame {
                let n = number(record.payload);
                assert_eq!(record.payload, payload(n));
                assert_eq!(n, wanted.unwrap_or(n), "frames follow each other");
                assert!(wanted.is_some() || n <= trimmed, "frames from {trimmed} are not trimmed, the first is {n}");
                wanted = Some(n + 1);
            }
        }
        assert!(wanted.is_none_or(|wanted| wanted == self.committed), "{wanted:?} {}", self.committed);
        assert!(wanted.is_some() || self.committed <= trimmed);
    }

    fn state(&self) -> Vec<u8> {
        self.committed.to_le_bytes().to_vec()
    }

    fn commit(&mut self) -> io::Result<()> {
        let state = self.state();
        self.log.commit(&|| state.clone())?;
        self.committed = self.next;
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let (first, end) = unit(self.next);
        assert_eq!(first, self.next);
        let frames: Vec<Vec<u8>> = (first..end).map(payload).collect();
        let unit: Vec<(Kind, &[u8])> = frames.iter().map(|bytes| (Kind::Frame, bytes.as_slice())).collect();
        let need = frames.iter().map(|bytes| bytes.len() + 24).sum();
        if !self.log.fits(Kind::Frame, need) {
            self.commit()?;
            self.log.roll(&self.state(), need)?;
        }
        self.log.append_unit(&unit).map_err(io::Error::other)?;
        self.next = end;
        Ok(())
    }

    fn trim(&mut self, known: &mut Known) -> io::Result<()> {
        let Some((_, end)) = self.log.oldest_finished() else { return Ok(()) };
        known.trimmed = self.committed;
        self.log.trim(end).map(|_| ())
    }
}

/// One life of the program: random steps until the power goes or `steps` are done.
fn live(owner: &mut Owner, known: &mut Known, random: &mut Dice, steps: u32) {
    for _ in 0..steps {
        let result = match random.below(16) {
            0 => owner.trim(known),
            1 => {
                owner.fs.fail_sync_at(1 + random.below(3));
                Ok(())
            }
            2 => {
                let more = random.below(200 << 10);
                owner.fs.room((random.below(2) == 0).then(|| owner.fs.taken() + more));
                Ok(())
            }
            3..=6 => owner.commit(),
            _ => owner.append(),
        };
        // A disk that refuses changes nothing: the program goes on and tries again.
        if result.is_err() && owner.fs.is_down() {
            break;
        }
    }
    (known.committed, known.taken) = (owner.committed, owner.next);
}

fn crash(fs: &ModelFs, random: &mut Dice) {
    fs.room(None);
    if random.below(3) == 0 { fs.kill() } else { fs.power_loss() }
}

/// Three lives on one disk; the first ends at call `at`, which may be behind its end.
fn run(seed: u64, at: u64) -> Ran {
    let (mut random, fs, mut known) = (Dice::new(seed), ModelFs::new(seed ^ at), Known::default());
    fs.short_reads(seed.is_multiple_of(3));
    fs.short_writes(seed.is_multiple_of(2));
    fs.power_off_at(at);
    if let Ok(mut owner) = Owner::open(&fs, &mut known) {
        live(&mut owner, &mut known, &mut random, 70);
    }
    let ran = Ran::of(&fs, 0);
    for steps in [25, 12] {
        crash(&fs, &mut random);
        // Opening may meet the next crash.
        fs.power_off_at(1 + random.below(50));
        match Owner::open(&fs, &mut known) {
            Ok(mut owner) => live(&mut owner, &mut known, &mut random, steps),
            Err(error) => assert!(fs.is_down(), "a log opens after any crash: {error}"),
        }
    }
    crash(&fs, &mut random);
    Owner::open(&fs, &mut known).expect("a log opens after any crash");
    ran
}

#[test]
fn committed_frames_survive_a_crash_at_every_call() {
    crash_at_every_call("log", 6, run);
}

#[test]
fn segment_whose_folder_did_not_sync_takes_the_place_of_the_one_before() {
    for fails in 1..=2 {
        let fs = ModelFs::new(7);
        let mut owner = Owner::open(&fs, &mut Known::default()).unwrap();
        for _ in 0..5 {
            owner.append().unwrap();
            owner.commit().unwrap();
        }
        fs.fail_sync_at(fails);
        assert!(owner.log.roll(&owner.state(), 0).is_err());
        owner.append().unwrap();
        owner.commit().unwrap();
        fs.kill();
        let all = owner.next;
        Owner::open(&fs, &mut Known { committed: all, taken: all, trimmed: 0 }).unwrap();
    }
}

#[test]
fn room_of_trimmed_segments_does_not_come_back_when_another_log_has_taken_it() {
    for seed in 1..=40 {
        let (fs, quota) = (ModelFs::new(seed), Quota::new(4 * OPTIONS.segment_bytes));
        let open = |dir: &str| {
            let fs: Arc<dyn Fs> = Arc::new(fs.clone());
            let mut log = Log::open(fs, Path::new(dir), OPTIONS, clock(), &mut |_| {}, &|| vec![0; 8]).unwrap().log;
            log.stand_under(quota.clone());
            log
        };
        let fill = |log: &mut Log| {
            while log.append(Kind::Frame, &[&[1; 1_000]]).is_ok() {}
            log.commit(&|| vec![0; 8]).unwrap();
            log.roll(&[0; 8], 0)
        };
        let (mut one, mut other) = (open("/spool/high"), open("/spool/bulk"));
        while fill(&mut one).is_ok() {}
        one.trim(one.committed()).unwrap();
        while fill(&mut other).is_ok() {}
        fs.power_loss();
        let bytes = open("/spool/high").bytes() + open("/spool/bulk").bytes();
        assert!(bytes <= 4 * OPTIONS.segment_bytes && fs.taken() <= bytes, "seed {seed}: {bytes} bytes");
    }
}
