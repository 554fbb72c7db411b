//! Disks that lost what they had promised to keep: what of the log is found again, and what is admitted.

use super::*;

const DIR: &str = "/journal";
const OPTIONS: Options = Options { segment_bytes: 80 << 10, quarantine_bytes_max: 16 << 10, points: ["w", "s", "c"] };

struct Seen {
    log: Log,
    report: Report,
    frames: Vec<u32>,
}

fn open(fs: &ModelFs) -> Seen {
    let mut frames = Vec::new();
    let mut visit = |record: &Record<'_>| {
        if record.kind == Kind::Frame {
            frames.push(u32::from_le_bytes(record.payload[..4].try_into().unwrap()));
        }
    };
    let fs = Arc::new(fs.clone());
    let opened = Log::open(fs, Path::new(DIR), OPTIONS, Clock::System, &mut visit, &|| b"fresh".to_vec()).unwrap();
    Seen { log: opened.log, report: opened.report, frames }
}

/// A log of frames 0..count, `per` in a segment.
fn made(fs: &ModelFs, count: u32, per: u32) -> Log {
    let mut log = open(fs).log;
    for i in 0..count {
        if i > 0 && i.is_multiple_of(per) {
            log.roll(b"state", 0).unwrap();
        }
        log.append(Kind::Frame, &[&i.to_le_bytes(), &[7; 1_000]]).unwrap();
        log.commit(&|| unreachable!()).unwrap();
    }
    log
}

fn read(fs: &ModelFs, limit: u64) -> (Vec<u32>, Vec<(u64, u64)>) {
    let (mut frames, mut gaps) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(Arc::new(fs.clone()), Path::new(DIR), 0);
    while let Some(entry) = reader.next(limit).unwrap() {
        match entry {
            Entry::Record(record) if record.kind == Kind::Frame => {
                frames.push(u32::from_le_bytes(record.payload[..4].try_into().unwrap()));
            }
            Entry::Record(_) => {}
            Entry::Gap { from, to } => gaps.push((from, to)),
        }
    }
    (frames, gaps)
}

fn path(first: u64) -> PathBuf {
    Path::new(DIR).join(segment_name(first))
}

#[test]
fn segment_without_its_header_is_found_again() {
    for newest in [false, true] {
        let fs = ModelFs::new(1);
        let log = made(&fs, 12, 4);
        let (committed, firsts) = (log.committed(), [log.oldest_finished().unwrap().1, log.active_first()]);
        fs.damage(&path(firsts[usize::from(newest)]), |bytes| bytes[..64].fill(0));
        let seen = open(&fs);
        assert_eq!(seen.report.foreign, [] as [String; 0]);
        assert_eq!(seen.log.committed(), committed);
        assert_eq!(read(&fs, committed), ((0..12).collect(), vec![]));
    }
}

#[test]
fn newest_segment_that_is_gone_is_no_continuity() {
    let fs = ModelFs::new(1);
    let log = made(&fs, 12, 4);
    fs.damage(&path(log.active_first()), |bytes| bytes.fill(0xff));
    let seen = open(&fs);
    assert!(!seen.report.continuity);
    assert_eq!(seen.frames.last(), Some(&7));
}

#[test]
fn log_of_which_nothing_reads_is_made_anew_and_is_no_continuity() {
    let fs = ModelFs::new(1);
    let log = made(&fs, 3, 4);
    let used = log.committed();
    fs.damage(&path(0), |bytes| bytes[..64].fill(0));
    let seen = open(&fs);
    assert!(seen.report.created && !seen.report.continuity);
    assert!(seen.report.lost_through >= used, "{:?}", seen.report);
}

#[test]
fn stray_segment_of_another_log_does_not_take_over() {
    let (fs, other) = (ModelFs::new(1), ModelFs::new(2));
    drop(made(&fs, 12, 4));
    let stray = made(&other, 40, 4).active_first();
    let mut bytes = Vec::new();
    other.damage(&path(stray), |file| bytes.clone_from(file));
    fs.create(&path(stray), 0).unwrap().write_all_at(&bytes, 0).unwrap();
    let seen = open(&fs);
    assert_eq!(seen.report.foreign, [segment_name(stray)]);
    assert_eq!(read(&fs, seen.log.committed()).0, (0..12).collect::<Vec<_>>());
}

#[test]
fn segment_under_a_name_that_is_not_its_own_is_not_read_as_one() {
    for name in ["ffffffffffffffff.seg", "fffffffffffffff8.seg", "8000000000000000.seg", "0000000000000008.seg"] {
        for header in [true, false] {
            let fs = ModelFs::new(1);
            let log = made(&fs, 12, 4);
            let mut bytes = Vec::new();
            fs.damage(&path(log.active_first()), |file| bytes.clone_from(file));
            if !header {
                bytes[..64].fill(0);
            }
            fs.create(&Path::new(DIR).join(name), 0).unwrap().write_all_at(&bytes, 0).unwrap();
            assert!(verify(&fs, Path::new(DIR), &mut |_| {}).is_ok());
            let seen = open(&fs);
            assert_eq!(seen.log.committed(), log.committed(), "{name}");
            assert_eq!(read(&fs, log.committed()).0, (0..12).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[test]
fn segment_that_takes_the_place_of_the_only_one_keeps_its_room() {
    let fs = ModelFs::new(1);
    drop(made(&fs, 3, 100));
    fs.damage(&path(0), |bytes| bytes[64..4_000].fill(0xee));
    // Nothing of it reads: the log begins where it began, and rolls since its continuity is not proven.
    let mut seen = open(&fs);
    assert!(!seen.report.continuity && seen.frames.is_empty());
    seen.log.roll(b"state", 0).unwrap();
    seen.log.append(Kind::Frame, &[&7u32.to_le_bytes()]).unwrap();
    seen.log.commit(&|| unreachable!()).unwrap();
    let again = open(&fs);
    assert!(again.report.continuity, "{:?}", again.report);
    assert_eq!(again.frames, [7]);
}

#[test]
fn page_that_does_not_read_costs_its_own_records_and_continuity() {
    let fs = ModelFs::new(1);
    let log = made(&fs, 14, 100);
    let committed = log.committed();
    // The last page of records: without a record behind it to say that it was committed.
    fs.bad_byte(&path(0), committed - 100);
    let seen = open(&fs);
    assert!(!seen.report.continuity && !seen.report.damage.is_empty(), "{:?}", seen.report);
    assert!(seen.log.committed() >= committed, "what was there is not written over");
    assert!((8..14).contains(&seen.frames.len()), "{}", seen.frames.len());
}

#[test]
fn finished_segment_that_became_shorter_is_damage() {
    let fs = ModelFs::new(1);
    let log = made(&fs, 12, 4);
    let (first, end) = log.oldest_finished().unwrap();
    fs.damage(&path(first), |bytes| bytes.truncate(2_200));
    let (frames, gaps) = read(&fs, log.committed());
    assert_eq!((frames.len(), gaps.len()), (10, 1));
    assert_eq!(gaps[0].1, end);
    let verified = verify(&fs, Path::new(DIR), &mut |_| {}).unwrap();
    assert_eq!(verified.damage.iter().map(|damage| (damage.from, damage.to)).collect::<Vec<_>>(), gaps);
}

#[test]
fn damage_full_of_forged_records_is_skipped_in_time() {
    let fs = ModelFs::new(1);
    let mut log = open(&fs).log;
    log.roll(b"state", 3 << 20).unwrap();
    // What an attacker may write to a log file: headers of large records, at every word.
    let forged: Vec<u8> =
        (0..64_000u32).flat_map(|_| [[0xf0, 0xff, 0x0f, 1], [1; 4], [0; 4], [0; 4]]).flatten().collect();
    for _ in 0..3 {
        log.append(Kind::Frame, &[&1u32.to_le_bytes(), &forged[..1_000_000]]).unwrap();
    }
    log.commit(&|| unreachable!()).unwrap();
    let at = usize::try_from(SEGMENT_HEADER_LEN + record_len(5)).unwrap();
    fs.damage(&path(log.active_first()), |bytes| bytes[at + 20] ^= 1);
    let begun = std::time::Instant::now();
    assert_eq!(read(&fs, log.committed()).0.len(), 2);
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn unit_that_was_torn_anywhere_is_not_there() {
    let fs = ModelFs::new(1);
    let mut log = made(&fs, 3, 100);
    let before = usize::try_from(log.committed()).unwrap();
    let unit = [9u32.to_le_bytes(), 10u32.to_le_bytes(), 11u32.to_le_bytes()];
    log.append_unit(&unit.each_ref().map(|payload| (Kind::Frame, &payload[..]))).unwrap();
    log.commit(&|| unreachable!()).unwrap();
    let after = usize::try_from(log.committed()).unwrap();
    let mut whole = Vec::new();
    fs.damage(&path(0), |bytes| whole.clone_from(bytes));
    assert_eq!(open(&fs).frames, [0, 1, 2, 9, 10, 11]);
    for end in before..after {
        // The checksum covers all but the padding behind the last payload.
        let torn = whole[64 + end..64 + after].iter().any(|byte| *byte != 0);
        fs.damage(&path(0), |bytes| {
            bytes.clone_from(&whole);
            bytes[64 + end..].fill(0);
        });
        let seen = open(&fs);
        assert!(seen.report.continuity && seen.report.damage.is_empty());
        assert_eq!(seen.frames.len(), if torn { 3 } else { 6 }, "cut at {end}");
        assert_eq!(seen.log.committed(), if torn { before } else { after } as u64);
        assert_eq!(open(&fs).frames, seen.frames);
    }
}
