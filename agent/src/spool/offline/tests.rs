use std::collections::BTreeSet;

use shared::batch::{Body, FLAG_CRLF, FLAG_TRUNCATED};
use shared::check::Outcome;
use shared::time::Timestamp;

use super::super::tests::{AGENT, AGGREGATOR, Dir, block_on, chunk, committed, start};
use super::*;
use crate::handover::Outlet;

const SEED: u64 = 0x5eed;

fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// A stopped spool with 200 lines in several segments of the normal lane, the first of them acked. At its stop it said the books.
fn several_segments(name: &str) -> Dir {
    let dir = Dir::new(name);
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    for i in 0..20 {
        outlet.lines(chunk(Lane::Normal, i * 10, 10, 20_000)).unwrap();
    }
    block_on(async {
        committed(&port, Lane::Normal, 200).await;
        let first = port.next_frame(Lane::Normal, None).await.unwrap().unwrap();
        port.acked(Lane::Normal, first.header().chain.epoch, 2, AGGREGATOR);
        assert!(port.status().await.unwrap().lanes["normal"].acked > 0);
    });
    spool.stop();
    dir
}

fn segments(dir: &Dir, lane: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.0.join(lane)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "seg")).collect();
    files.sort();
    files
}

fn rows(dir: &Dir) -> Vec<FrameRow> {
    let mut rows = Vec::new();
    frames(&dir.0, None, &mut |row| {
        rows.push(row.clone());
        Ok(())
    })
    .unwrap();
    rows
}

fn damage(dir: &Dir) -> Vec<Finding> {
    verify(&dir.0).unwrap().into_iter().filter(|finding| finding.outcome == Outcome::Fail).collect()
}

fn warnings(dir: &Dir) -> Vec<Finding> {
    verify(&dir.0).unwrap().into_iter().filter(|finding| finding.outcome == Outcome::Warn).collect()
}

/// Everything below a folder, with its bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.append(&mut snapshot(&path));
            found.insert(path, None);
        } else {
            found.insert(path.clone(), Some(std::fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn numbers_are_those_of_the_running_spool_and_of_the_stopped_one() {
    let dir = Dir::new("offline-stat");
    let spool = start(&dir);
    let port = spool.port();
    spool.outlet().lines(chunk(Lane::High, 0, 30, 50)).unwrap();
    let status = block_on(async {
        committed(&port, Lane::High, 30).await;
        let frame = port.next_frame(Lane::High, None).await.unwrap().unwrap();
        port.acked(Lane::High, frame.header().chain.epoch, 1, AGGREGATOR);
        port.status().await.unwrap()
    });
    let (running, lane) = (stat(&dir.0).unwrap(), &status.lanes["high"]);
    assert_eq!((running[0].lane, running[0].frames, running[0].records, running[0].segments), (Lane::High, 2, 30, 1));
    assert_eq!((running[0].bytes, running[0].checkpoints), (lane.bytes, 1));
    assert_eq!((running[0].observed, running[0].spooled), (lane.observed, lane.spooled));
    assert!(!running[0].clean);
    spool.stop();
    let stopped = stat(&dir.0).unwrap();
    assert_eq!((stopped[0].epochs[0].acked_through, stopped[0].unacked_frames), (1, 1));
    assert_eq!((stopped[0].epochs[0].epoch.as_str(), stopped[0].epochs[0].next_sequence), (lane.epoch.as_str(), 3));
    assert!(stopped[0].clean);
    let books = &stopped[0];
    assert_eq!(books.observed, books.excluded + books.spooled + books.acked + books.lost.values().sum::<u64>());
}

#[test]
fn frames_are_listed_in_order_with_what_is_acked() {
    let dir = several_segments("offline-ls");
    let rows = rows(&dir);
    let normal: Vec<_> = rows.iter().filter(|row| row.lane == Lane::Normal).collect();
    let sequences: Vec<u64> = normal.iter().map(|row| row.sequence).collect();
    assert_eq!(sequences, (1..=normal.len() as u64).collect::<Vec<_>>());
    assert_eq!((normal[0].kind, normal[1].kind), ("genesis", "data"));
    assert_eq!(normal.iter().filter(|row| row.acked).count(), 2);
    assert_eq!(normal.iter().map(|row| u64::from(row.records)).sum::<u64>(), 201, "and the books");
    assert!(normal.windows(2).all(|pair| pair[0].first_record + u64::from(pair[0].records) == pair[1].first_record));
    assert!(normal.iter().all(|row| row.body > 0 && row.body <= row.raw && row.lost.is_none()));
    let mut only_high = 0;
    frames(&dir.0, Some(Lane::High), &mut |row| {
        only_high += u64::from(row.lane == Lane::High);
        Ok(())
    })
    .unwrap();
    assert_eq!(only_high, 1, "its genesis frame");
}

#[test]
fn records_are_dumped_as_they_were_read() {
    let dir = Dir::new("offline-dump");
    let spool = start(&dir);
    let mut sent = chunk(Lane::High, 0, 3, 20);
    sent.lines = crate::handover::Lines::default();
    sent.lines.push(b"plain", 0, 5, 0);
    sent.lines.push(b"not \xff text", 6, 10, FLAG_CRLF);
    sent.lines.push(b"cut", 18, 1_000, FLAG_TRUNCATED);
    spool.outlet().lines(sent).unwrap();
    block_on(committed(&spool.port(), Lane::High, 3));
    spool.stop();
    let mut seen = Vec::new();
    let mut said = 0;
    let unopened = records(&dir.0, None, &mut |record| {
        let Body::Line(line) = &record.body else {
            assert_eq!((record.origin.kind.as_str(), record.uid.chain.lane), ("health", Lane::Normal));
            said += 1;
            return Ok(());
        };
        let (uid, origin) = (record.uid, record.origin);
        assert_eq!((uid.chain.agent, uid.chain.lane, record.read_at), (AGENT, Lane::High, Timestamp::from_seconds(1)));
        assert_eq!((origin.source.as_str(), origin.log_name.as_str()), ("logs", "/var/log/x"));
        seen.push((uid.record, line.bytes.to_vec(), line.offset, line.full_size, line.flags));
        Ok(())
    })
    .unwrap();
    assert_eq!((unopened, said), (Unopened::default(), 1));
    let expected: [(u64, &[u8], u64, u64, u8); 3] =
        [(1, b"plain", 0, 5, 0), (2, b"not \xff text", 6, 10, FLAG_CRLF), (3, b"cut", 18, 1_000, FLAG_TRUNCATED)];
    assert_eq!(seen, expected.map(|(number, bytes, at, size, flags)| (number, bytes.to_vec(), at, size, flags)));
}

#[test]
fn output_that_fails_ends_the_listing() {
    let dir = several_segments("offline-pipe");
    let mut calls = 0;
    let broken = records(&dir.0, None, &mut |_| {
        calls += 1;
        Err(io::ErrorKind::BrokenPipe.into())
    });
    assert!(matches!(broken, Err(OfflineError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    assert_eq!(calls, 1);
}

#[test]
fn nothing_is_changed_by_looking() {
    let dir = several_segments("offline-readonly");
    let before = snapshot(&dir.0);
    stat(&dir.0).unwrap();
    glance(&dir.0).unwrap();
    rows(&dir);
    records(&dir.0, None, &mut |_| Ok(())).unwrap();
    verify(&dir.0).unwrap();
    assert!(before == snapshot(&dir.0));
}

#[test]
fn whole_spool_has_no_damage_and_says_what_it_has() {
    let dir = several_segments("offline-whole");
    let findings = verify(&dir.0).unwrap();
    assert!(findings.iter().all(|finding| finding.outcome == Outcome::Ok), "{findings:?}");
    assert_eq!(findings.iter().map(|finding| finding.lane).collect::<Vec<_>>(), Lane::ALL.map(Some));
    assert!(findings[1].detail.contains("201 records: everything reads"), "{findings:?}");
    assert!(glance(&dir.0).unwrap().iter().all(|lane| lane.segments > 0 && lane.segments == lane.states));
}

#[test]
fn any_changed_byte_of_a_finished_segment_is_damage() {
    let dir = several_segments("offline-flip");
    let files = segments(&dir, "normal");
    assert!(files.len() > 2, "{files:?}");
    let (file, mut seed) = (&files[1], SEED);
    let whole = std::fs::read(file).unwrap();
    // Zeros may be padding behind a record, which no checksum covers.
    let header = (0..32).step_by(7);
    let inside = (0..16).map(|_| usize::try_from(next(&mut seed)).unwrap() % (whole.len() - 64) + 64);
    for at in header.chain(inside).collect::<BTreeSet<_>>() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (next(&mut seed) % 8);
        std::fs::write(file, &bytes).unwrap();
        assert!(whole[at] == 0 || !damage(&dir).is_empty(), "seed {SEED:#x}: byte {at}");
        assert!(!rows(&dir).is_empty(), "the other frames are still listed");
    }
    std::fs::write(file, whole).unwrap();
    assert_eq!(damage(&dir), []);
}

#[test]
fn missing_segment_is_missing_frames() {
    let dir = several_segments("offline-gone");
    std::fs::remove_file(&segments(&dir, "normal")[1]).unwrap();
    let damage = damage(&dir);
    let missing = damage.iter().filter(|finding| finding.part == "chain" && finding.detail.ends_with("are missing"));
    assert_eq!(missing.count(), 1, "{damage:?}");
}

#[test]
fn file_that_is_no_segment_is_named() {
    let dir = several_segments("offline-foreign");
    std::fs::write(dir.0.join("normal/00000000deadbeef.seg"), b"not a segment").unwrap();
    let damage = damage(&dir);
    assert!(
        damage.iter().any(|finding| finding.detail.starts_with("00000000deadbeef.seg is no segment")),
        "{damage:?}"
    );
}

#[test]
fn torn_tail_is_no_damage_but_is_said() {
    let dir = several_segments("offline-torn");
    let newest = segments(&dir, "normal").pop().unwrap();
    let mut bytes = std::fs::read(&newest).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used + 64..used + 128].fill(0xab);
    std::fs::write(&newest, bytes).unwrap();
    assert_eq!(damage(&dir), []);
    let warnings = warnings(&dir);
    assert_eq!((warnings.len(), warnings[0].part), (1, "tail"), "{warnings:?}");
}

#[test]
fn what_was_dropped_is_a_hole_with_its_reason_and_no_damage() {
    let dir = Dir::new("offline-drop");
    let spool = start(&dir);
    let mut outlet = spool.outlet();
    for i in 0..60 {
        outlet.lines(chunk(Lane::Bulk, i * 10, 10, 60_000)).unwrap();
    }
    block_on(committed(&spool.port(), Lane::Bulk, 600));
    spool.stop();
    assert_eq!(damage(&dir), []);
    let stat = &stat(&dir.0).unwrap()[Lane::Bulk.index()];
    let [hole] = &stat.epochs[0].holes[..] else { panic!("{stat:?}") };
    assert_eq!((hole.reason, hole.records), (LossReason::DropOldest, stat.lost["drop_oldest"]));
    assert!(stat.spooled > 0 && stat.spooled + hole.records == 600, "{stat:?}");
}

#[test]
fn refused_frame_is_listed_as_lost_and_its_copy_is_pointed_at() {
    let dir = Dir::new("offline-reject");
    let spool = start(&dir);
    let port = spool.port();
    spool.outlet().lines(chunk(Lane::High, 0, 5, 50)).unwrap();
    block_on(async {
        committed(&port, Lane::High, 5).await;
        let genesis = port.next_frame(Lane::High, None).await.unwrap().unwrap();
        port.reject(Lane::High, genesis.header().chain.epoch, 2, "checksum".into()).await;
    });
    spool.stop();
    let refused: Vec<_> = rows(&dir).into_iter().filter(|row| row.lost == Some("rejected")).collect();
    assert_eq!((refused.len(), refused[0].sequence, refused[0].acked), (1, 2, false));
    assert_eq!(damage(&dir), []);
    let warnings = warnings(&dir);
    assert_eq!((warnings.len(), warnings[0].part, warnings[0].lane), (1, "quarantine", None), "{warnings:?}");
}

#[test]
fn running_agent_that_appends_and_trims_looks_whole() {
    let dir = Dir::new("offline-live");
    let spool = start(&dir);
    let port = spool.port();
    let mut outlet = spool.outlet();
    let feeder = std::thread::spawn(move || {
        for i in 0..80 {
            outlet.lines(chunk(Lane::Normal, i * 10, 10, 20_000)).unwrap();
        }
    });
    let acker = std::thread::spawn(move || {
        block_on(async {
            let (mut after, mut records, mut changes) = (None, 0, port.committed());
            while records < 800 {
                changes.borrow_and_update();
                while let Some(frame) = port.next_frame(Lane::Normal, after).await.unwrap() {
                    let header = frame.header();
                    records += header.records;
                    after = Some((header.chain.epoch, header.sequence));
                    port.acked(Lane::Normal, header.chain.epoch, header.sequence, AGGREGATOR);
                }
                if records < 800 {
                    changes.changed().await.unwrap();
                }
            }
        });
    });
    let mut looks = 0;
    while looks == 0 || !acker.is_finished() {
        assert_eq!(damage(&dir), []);
        stat(&dir.0).unwrap();
        looks += 1;
    }
    feeder.join().unwrap();
    acker.join().unwrap();
    spool.stop();
    assert_eq!(damage(&dir), []);
    assert_eq!(stat(&dir.0).unwrap()[1].acked, 800);
}

#[test]
fn missing_spool_is_named_and_a_missing_lane_is_empty() {
    let dir = Dir::new("offline-none");
    let error = stat(&dir.0).unwrap_err().to_string();
    assert!(error.starts_with(&format!("there is no spool at {}", dir.0.display())), "{error}");
    std::fs::create_dir_all(&dir.0).unwrap();
    assert!(stat(&dir.0).unwrap().iter().all(|lane| lane.segments == 0 && lane.frames == 0));
    assert_eq!(damage(&dir), []);
}
