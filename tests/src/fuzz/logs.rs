//! The log on a disk that somebody wrote to: it always opens, and what it gives is what was put in, in order.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use shared::log::{Entry, Fs, Kind, Log, ModelFs, Opened, Options, Reader, Record, verify};
use shared::time::{Clock, ManualClock};

use super::Input;
use super::frames::NOW;

const DIR: &str = "/log";
const OPTIONS: Options = Options { segment_bytes: 70 << 10, quarantine_bytes_max: 16 << 10, points: ["w", "s", "c"] };
const FRAMES: u32 = 12;
/// Where the edits begin to be of no interest: behind it a segment is zeros.
const USED_BYTES: usize = 4 << 10;

/// Segments of a log of frames 0..[`FRAMES`], four in each, by name.
static GOLDEN: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let fs = ModelFs::new(1);
    let mut log = open(&fs, &mut |_| {}).log;
    for number in 0..FRAMES {
        if number > 0 && number.is_multiple_of(4) {
            log.roll(b"state", 0).expect("the disk is sound");
        }
        let filling = vec![7; 40 * usize::try_from(number).unwrap_or(0)];
        log.append(Kind::Frame, &[&number.to_le_bytes(), &filling]).expect("it fits");
        if number % 3 == 0 {
            log.append(Kind::Mark, &[b"mark"]).expect("it fits");
        }
        log.commit(&|| b"state".to_vec()).expect("the disk is sound");
    }
    let contents = |(path, _): (PathBuf, usize)| {
        let mut bytes = Vec::new();
        fs.damage(&path, |file| bytes.clone_from(file));
        (path, bytes)
    };
    fs.files(Path::new(DIR)).into_iter().map(contents).collect()
});

fn open(fs: &ModelFs, visit: &mut dyn FnMut(&Record<'_>)) -> Opened {
    let clock = Clock::Manual(ManualClock::new(NOW));
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    Log::open(fs, Path::new(DIR), OPTIONS, clock, visit, &|| b"fresh".to_vec()).expect("any state of the disk starts")
}

/// The number of one of our frames; panics where it is not as it was written.
#[track_caller]
fn number(record: &Record<'_>) -> Option<u32> {
    if record.kind != Kind::Frame {
        return None;
    }
    let (number, filling) = record.payload.split_first_chunk().expect("a frame has its number");
    let number = u32::from_le_bytes(*number);
    let sound = number == FRAMES || filling.len() == 40 * usize::try_from(number).unwrap_or(0);
    assert!(sound && number <= FRAMES && filling.iter().all(|byte| *byte == 7), "frame {number} is altered");
    Some(number)
}

#[track_caller]
fn assert_in_order(numbers: &[u32]) {
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

/// Edits from any bytes: `{ file u8, kind u8, at u16, … }*`, applied to the segments of a good log.
pub fn log(bytes: &[u8]) {
    let fs = ModelFs::new(1);
    fs.create_dir(Path::new(DIR)).expect("the disk is sound");
    for (path, content) in GOLDEN.iter() {
        put(&fs, path, content);
    }
    let mut input = Input(bytes);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        edit(&fs, &mut input);
    }
    let verified = verify(&fs, Path::new(DIR), &mut |_| {}).expect("the disk reads");

    let mut visited = Vec::new();
    let mut opened = open(&fs, &mut |record| visited.extend(number(record)));
    assert_in_order(&visited);
    let log = &mut opened.log;
    assert!(log.oldest() <= log.committed() && log.committed() == log.end());
    let read = read(&fs, log.committed());
    let missing = visited.iter().find(|number| !read.contains(number));
    assert_eq!(missing, None, "opening saw {visited:?}, reading {read:?}");
    if verified.damage.is_empty() && verified.foreign.is_empty() && verified.stateless.is_empty() {
        assert!(opened.report.damage.is_empty(), "{verified:?} {:?}", opened.report);
    }

    // Whose continuity is not proven begins anew, as spool and journal do.
    if !opened.report.continuity || log.append(Kind::Frame, &[&FRAMES.to_le_bytes()]).is_err() {
        log.roll(b"state", 64).expect("the disk is sound");
        log.append(Kind::Frame, &[&FRAMES.to_le_bytes()]).expect("the segment is new");
    }
    log.commit(&|| b"state".to_vec()).expect("the disk is sound");
    let committed = log.committed();
    let mut again = Vec::new();
    let reopened = open(&fs, &mut |record| again.extend(number(record)));
    assert_eq!(again.last(), Some(&FRAMES), "what was committed is there");
    assert!(reopened.log.committed() >= committed && reopened.report.continuity, "{:?}", reopened.report);
    assert_in_order(&again);
}

fn put(fs: &ModelFs, path: &Path, content: &[u8]) {
    fs.create(path, 0).and_then(|file| file.write_all_at(content, 0)).expect("the disk is sound");
}

fn read(fs: &ModelFs, limit: u64) -> Vec<u32> {
    let mut reader = Reader::new(Arc::new(fs.clone()), Path::new(DIR), 0);
    let (mut numbers, mut at) = (Vec::new(), 0);
    while let Some(entry) = reader.next(limit).expect("the disk reads") {
        match entry {
            Entry::Record(record) => {
                assert!(record.offset >= at, "{} after {at}", record.offset);
                at = record.end();
                numbers.extend(number(&record));
            }
            Entry::Gap { from, to } => {
                assert!(from >= at && to > from, "gap {from}..{to} after {at}");
                at = to;
            }
        }
    }
    assert_in_order(&numbers);
    numbers
}

fn edit(fs: &ModelFs, input: &mut Input<'_>) {
    let files = fs.files(Path::new(DIR));
    let Some((path, len)) = files.get(input.below(files.len())) else { return };
    let (kind, at) = (input.u8(), usize::from(input.u16()) % (*len).clamp(1, USED_BYTES));
    match kind % 9 {
        0 => {
            let value = input.u8();
            fs.damage(path, |bytes| bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value.max(1)));
        }
        1 => {
            let (len, value) = (usize::from(input.u16()), input.u8());
            fs.damage(path, |bytes| bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = value));
        }
        2 => fs.damage(path, |bytes| bytes.truncate(at)),
        3 => fs.remove(path).expect("it is there"),
        4 => {
            let raw = input.piece();
            fs.damage(path, |bytes| bytes.iter_mut().skip(at).zip(raw).for_each(|(to, from)| *to = *from));
        }
        // A piece of a segment elsewhere.
        5 => {
            let (from, len) = (usize::from(input.u16()) % USED_BYTES, usize::from(input.u16()));
            let (other, _) = files.get(input.below(files.len())).unwrap_or(&(PathBuf::new(), 0)).clone();
            let mut copy = Vec::new();
            fs.damage(&other, |bytes| copy = bytes.iter().skip(from).take(len).copied().collect());
            fs.damage(path, |bytes| bytes.iter_mut().skip(at).zip(copy).for_each(|(to, from)| *to = from));
        }
        // A segment under another name, beside it or instead.
        6 | 7 => {
            let name = format!("{:016x}.seg", input.count());
            let mut copy = Vec::new();
            fs.damage(path, |bytes| copy.clone_from(bytes));
            put(fs, &Path::new(DIR).join(name), &copy);
            if kind % 9 == 7 {
                let _ = fs.remove(path);
            }
        }
        _ => {
            let names = ["next.tmp", "0000000000000000.seg", "ffffffffffffffff.seg", "x", "00000000000000ff.seg"];
            let name = names.get(input.below(names.len())).copied().unwrap_or_default();
            put(fs, &Path::new(DIR).join(name), input.piece());
        }
    }
}

/// One edit of each kind, and none.
#[must_use]
pub fn log_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![],
        vec![0, 0, 100, 0, 1],
        vec![1, 1, 64, 0, 200, 0, 0],
        vec![2, 2, 0, 1],
        vec![1, 3],
        vec![0, 4, 64, 0, 4, 0, 1, 2, 3, 4],
        vec![0, 5, 64, 0, 64, 0, 0, 1, 1],
        vec![1, 6, 0, 0, 9, 0, 3],
        vec![2, 7, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0],
        vec![0, 8, 0, 0, 2, 3, 0, 1, 2, 3],
    ]
}
