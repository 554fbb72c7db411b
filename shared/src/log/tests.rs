use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let n = NUMBER.fetch_add(1, Ordering::SeqCst);
        let dir = std::env::temp_dir().join(format!("picket-log-{}-{name}-{n}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const OPTIONS: Options =
    Options { segment_bytes: 128 << 10, quarantine_bytes_max: 1 << 20, points: ["write", "sync", "done"] };

struct Seen {
    log: Log,
    report: Report,
    state: Option<Vec<u8>>,
    frames: Vec<Vec<u8>>,
}

fn open_on(fs: Arc<dyn Fs>, dir: &Path) -> Seen {
    let (mut state, mut frames) = (None, Vec::new());
    let mut visit = |record: &Record<'_>| match record.kind {
        Kind::State => state = Some(record.payload.to_vec()),
        Kind::Frame => frames.push(record.payload.to_vec()),
        _ => {}
    };
    let opened = Log::open(fs, dir, OPTIONS, Clock::System, &mut visit, &|| b"fresh".to_vec()).unwrap();
    Seen { log: opened.log, report: opened.report, state, frames }
}

fn open(dir: &Dir) -> Seen {
    open_on(Arc::new(RealFs), &dir.0)
}

fn fill(log: &mut Log, from: u32, to: u32) {
    for i in from..to {
        let payload = vec![u8::try_from(i % 251).unwrap(); 3_000];
        if log.append(Kind::Frame, &[&i.to_le_bytes(), &payload]) == Err(AppendError::SegmentFull) {
            log.commit(&|| unreachable!()).unwrap();
            log.roll(format!("state before {i}").as_bytes(), 3_004).unwrap();
            log.append(Kind::Frame, &[&i.to_le_bytes(), &payload]).unwrap();
        }
        log.commit(&|| unreachable!()).unwrap();
    }
}

fn number(payload: &[u8]) -> u32 {
    u32::from_le_bytes(payload[..4].try_into().unwrap())
}

fn read_all(dir: &Path, from: u64, limit: u64) -> (Vec<u32>, Vec<(u64, u64)>) {
    let mut reader = Reader::new(Arc::new(RealFs), dir, from);
    let (mut frames, mut gaps) = (Vec::new(), Vec::new());
    while let Some(entry) = reader.next(limit).unwrap() {
        match entry {
            Entry::Record(record) if record.kind == Kind::Frame => frames.push(number(record.payload)),
            Entry::Record(_) => {}
            Entry::Gap { from, to } => gaps.push((from, to)),
        }
    }
    (frames, gaps)
}

#[test]
fn committed_records_are_there_after_a_start() {
    let dir = Dir::new("start");
    let mut seen = open(&dir);
    assert!(seen.report.created);
    fill(&mut seen.log, 0, 100);
    let (committed, segments) = (seen.log.committed(), seen.log.segments());
    assert!(segments > 3);
    assert_eq!(read_all(&dir.0, 0, committed), ((0..100).collect(), vec![]));
    let again = open(&dir);
    assert!(again.report.continuity && again.report.damage.is_empty() && again.report.cut.is_none());
    assert_eq!((again.log.committed(), again.log.segments()), (committed, segments));
    let first = number(&again.frames[0]);
    assert_eq!(again.state.unwrap(), format!("state before {first}").into_bytes());
    assert_eq!(number(again.frames.last().unwrap()), 99);
}

#[test]
fn torn_tail_is_cut_at_every_byte() {
    let dir = Dir::new("torn");
    let mut seen = open(&dir);
    fill(&mut seen.log, 0, 5);
    let before = seen.log.committed();
    for tail in [&b"last but one"[..], b"last"] {
        seen.log.append(Kind::Frame, &[&7u32.to_le_bytes(), tail]).unwrap();
    }
    seen.log.commit(&|| unreachable!()).unwrap();
    let after = seen.log.committed();
    let file = dir.0.join(segment_name(0));
    let whole = std::fs::read(&file).unwrap();
    for end in before..after {
        let mut torn = whole.clone();
        torn[usize::try_from(SEGMENT_HEADER_LEN + end).unwrap()..].fill(0);
        std::fs::write(&file, &torn).unwrap();
        let seen = open(&dir);
        assert!(seen.report.continuity && seen.report.damage.is_empty(), "cut at {end}: {:?}", seen.report);
        assert!(seen.log.committed() >= before && seen.log.committed() <= end.next_multiple_of(8));
        assert!(seen.frames.len() == 5 || seen.frames.len() == 6);
        let mut log = seen.log;
        log.append(Kind::Frame, &[&8u32.to_le_bytes()]).unwrap();
        log.commit(&|| unreachable!()).unwrap();
        assert_eq!(open(&dir).frames.last().map(|frame| number(frame)), Some(8));
    }
}

#[test]
fn damage_is_a_gap_with_good_frames_on_both_sides() {
    let dir = Dir::new("damage");
    let mut seen = open(&dir);
    fill(&mut seen.log, 0, 100);
    let committed = seen.log.committed();
    drop(seen);
    for (segment, at) in [(0u64, 7_000usize), (u64::MAX, 20_000)] {
        let first = std::fs::read_dir(&dir.0)
            .unwrap()
            .filter_map(|e| segment_first(e.unwrap().file_name().to_str().unwrap()))
            .reduce(|a, b| if segment == 0 { a.min(b) } else { a.max(b) })
            .unwrap();
        let file = dir.0.join(segment_name(first));
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let (frames, gaps) = read_all(&dir.0, 0, committed);
    assert_eq!((frames.len(), gaps.len()), (98, 2));
    assert!(frames.windows(2).all(|pair| pair[0] < pair[1]) && frames[0] == 0 && frames[97] == 99);
    let seen = open(&dir);
    assert!(!seen.report.continuity, "the newest segment has a hole");
    assert_eq!(seen.report.damage, vec![Damage { from: gaps[1].0, to: gaps[1].1 }]);
    assert_eq!(seen.log.committed(), committed);
    assert_eq!(std::fs::read_dir(dir.0.join("quarantine")).unwrap().count(), 1);
    let verified = verify(&RealFs, &dir.0, &mut |_| {}).unwrap();
    assert_eq!(verified.damage.len(), 2);
}

#[test]
fn foreign_and_stateless_files_do_not_stop_a_start() {
    let dir = Dir::new("foreign");
    let mut seen = open(&dir);
    fill(&mut seen.log, 0, 60);
    let newest = dir.0.join(segment_name(seen.log.active_first()));
    std::fs::write(dir.0.join("0000000000ffffff.seg"), b"what is this").unwrap();
    std::fs::write(dir.0.join("README"), b"not a segment at all").unwrap();
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..usize::try_from(SEGMENT_HEADER_LEN).unwrap()]).unwrap();
    let seen = open(&dir);
    assert!(!seen.report.continuity);
    assert_eq!(seen.report.foreign, ["0000000000ffffff.seg"]);
    assert!(seen.state.is_some(), "the segment before it has one");
    let mut log = seen.log;
    log.roll(b"a new epoch", 0).unwrap();
    log.append(Kind::Frame, &[&500u32.to_le_bytes()]).unwrap();
    log.commit(&|| unreachable!()).unwrap();
    let seen = open(&dir);
    assert!(seen.report.continuity);
    assert_eq!(seen.state.as_deref(), Some(&b"a new epoch"[..]));
}

#[test]
fn trimmed_segments_are_gone_and_read_as_a_gap() {
    let dir = Dir::new("trim");
    let mut seen = open(&dir);
    fill(&mut seen.log, 0, 100);
    let (_, end) = seen.log.oldest_finished().unwrap();
    let bytes = seen.log.bytes();
    let freed = seen.log.trim(end).unwrap();
    assert!(freed > 0 && seen.log.bytes() + freed == bytes && seen.log.oldest() == end);
    let (frames, gaps) = read_all(&dir.0, 0, seen.log.committed());
    assert_eq!(gaps, [(0, end)]);
    assert_eq!(frames.last(), Some(&99));
    seen.log.trim(u64::MAX).unwrap();
    assert_eq!(seen.log.segments(), 1, "the last segment is never deleted");
}

#[test]
fn reader_follows_the_log_across_a_roll() {
    let dir = Dir::new("follow");
    let mut seen = open(&dir);
    let mut reader = Reader::new(Arc::new(RealFs), &dir.0, 0);
    let mut got = Vec::new();
    for i in 0..120 {
        fill(&mut seen.log, i, i + 1);
        while let Some(entry) = reader.next(seen.log.committed()).unwrap() {
            match entry {
                Entry::Record(record) if record.kind == Kind::Frame => got.push(number(record.payload)),
                Entry::Record(_) => {}
                Entry::Gap { from, to } => panic!("gap {from}..{to}"),
            }
        }
        assert_eq!(got.len(), usize::try_from(i).unwrap() + 1);
    }
}

/// The real filesystem with a disk that fails once when told.
#[derive(Default)]
struct Failing {
    sync: Arc<AtomicBool>,
    create: AtomicBool,
    made: Mutex<u32>,
}

struct FailingFile(Box<dyn File>, Arc<AtomicBool>);

impl File for FailingFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.0.read_at(buf, at)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        self.0.write_at(bytes, at)
    }
    fn sync(&self) -> io::Result<()> {
        if self.1.swap(false, Ordering::SeqCst) { Err(io::Error::from_raw_os_error(5)) } else { self.0.sync() }
    }
    fn cut(&self, len: u64, allocate: u64) -> io::Result<()> {
        self.0.cut(len, allocate)
    }
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
}

impl Fs for Failing {
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Box<dyn File>> {
        if self.create.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(28));
        }
        *self.made.lock().unwrap() += 1;
        Ok(Box::new(FailingFile(RealFs.create(path, allocate)?, Arc::clone(&self.sync))))
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(FailingFile(RealFs.open(path)?, Arc::clone(&self.sync))))
    }
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        RealFs.open_read(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFs.list(dir)
    }
    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        RealFs.create_new(path, access)
    }
    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.make_dir(dir)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealFs.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFs.sync_dir(dir)
    }
}

#[test]
fn failed_sync_moves_the_records_to_a_new_segment() {
    let dir = Dir::new("eio");
    let fs = Arc::new(Failing::default());
    let mut seen = open_on(Arc::clone(&fs) as Arc<dyn Fs>, &dir.0);
    fill(&mut seen.log, 0, 3);
    let committed = seen.log.committed();
    for n in [3u32, 4] {
        seen.log.append(Kind::Frame, &[&n.to_le_bytes()]).unwrap();
    }
    // The disk fails, and there is no room for another segment: the records wait.
    fs.sync.store(true, Ordering::SeqCst);
    fs.create.store(true, Ordering::SeqCst);
    assert!(seen.log.commit(&|| b"as of three".to_vec()).is_err());
    assert_eq!(seen.log.committed(), committed);
    assert!(!seen.log.fits(Kind::Frame, 10), "nothing more goes to a file that failed");
    fs.create.store(false, Ordering::SeqCst);
    let offsets = seen.log.commit(&|| b"as of three".to_vec()).unwrap();
    assert_eq!(offsets.len(), 2);
    assert_eq!(seen.log.active_first(), committed);
    assert_eq!(read_all(&dir.0, 0, seen.log.committed()), (vec![0, 1, 2, 3, 4], vec![]));
    let again = open(&dir);
    assert!(again.report.continuity);
    assert_eq!(again.state.as_deref(), Some(&b"as of three"[..]));
    assert_eq!(again.frames.len(), 2);
}

#[test]
fn room_for_large_groups_goes_little_by_little() {
    const LARGE: usize = 8 << 20;
    let (dir, options) = (Dir::new("room"), Options { segment_bytes: 128 << 20, ..OPTIONS });
    let fs = Arc::new(ModelFs::default());
    let mut log = Log::open(fs, &dir.0, options, Clock::System, &mut |_| {}, &Vec::new).unwrap().log;
    let mut commit = |bytes: usize| {
        let frame = vec![7; bytes.min(1 << 20)];
        (0..bytes / frame.len()).for_each(|_| log.append(Kind::Frame, &[&frame]).unwrap());
        log.commit(&|| unreachable!()).unwrap();
        log.buffer.capacity()
    };
    assert!(commit(LARGE) >= LARGE);
    // Large and small groups in turns find the room that they need.
    for _ in 0..4 {
        assert!(commit(100) > LARGE / 4 * 3);
        assert!(commit(LARGE) >= LARGE);
    }
    let after: Vec<usize> = (0..40).map(|_| commit(100)).collect();
    assert_eq!(after.last(), Some(&BUFFER_BYTES_KEPT), "{after:?}");
}

#[test]
fn records_larger_than_a_read_are_found() {
    let dir = Dir::new("large");
    let mut seen = open(&dir);
    for i in 0..6u32 {
        let payload: Vec<u8> = (0..400_000u32).map(|n| u8::try_from((n * 31 + i) % 251).unwrap()).collect();
        if !seen.log.fits(Kind::Frame, payload.len() + 100) {
            seen.log.roll(b"state", payload.len() + 100).unwrap();
        }
        seen.log.append(Kind::Frame, &[&i.to_le_bytes(), &payload]).unwrap();
        seen.log.append(Kind::Checkpoint, &[b"small"]).unwrap();
        seen.log.commit(&|| unreachable!()).unwrap();
    }
    assert_eq!(read_all(&dir.0, 0, seen.log.committed()), ((0..6).collect(), vec![]));
}
