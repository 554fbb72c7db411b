//! The lake as a whole: what is pushed can be read, once, whatever happens in between.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::json;
use shared::identity::EventId;
use shared::log::RealFs;
use shared::time::Timestamp;

use super::commits::{Commit, Commits, CommittedFile};
use super::testing::{Folder, NOON, Random, event, expected, files, id, read, read_all, uids};
use super::{Lake, Limits};
use crate::event::{Event, Field, Value};
use crate::schema::{Attribute, Class, Kind};
use crate::sink::{AnySink, Committed, Sink, SinkError, Target};

const SMALL: Limits = Limits { group_rows: 100, group_bytes: 64 << 10, buffered_bytes: 1 << 20, ..Limits::DEFAULT };

fn open(folder: &Path, limits: Limits) -> Lake {
    Lake::open_with(Arc::new(RealFs), folder, limits, |_| {}).unwrap()
}

fn random_value(kind: Kind, random: &mut Random) -> Value<'static> {
    let texts =
        ["", "root", "10.0.0.7", "a \"quoted\" \\ text", "nul\u{0}inside", "\u{1f600} \u{e9}\u{301}", "line\nbreak"];
    match kind {
        Kind::Text if random.below(3) == 0 => format!("unique {}", random.below(u64::MAX)).into(),
        Kind::Text => texts[usize::try_from(random.below(7)).unwrap()].into(),
        Kind::Integer if random.below(9) == 0 => {
            i64::from([i32::MIN, i32::MAX][usize::from(random.below(2) == 0)]).into()
        }
        Kind::Integer => i64::try_from(random.below(5)).unwrap().into(),
        Kind::Long if random.below(9) == 0 => [i64::MIN, i64::MAX][usize::from(random.below(2) == 0)].into(),
        Kind::Long => i64::try_from(random.below(1 << 40)).unwrap().into(),
        Kind::Bool => (random.below(2) == 0).into(),
        Kind::Float => Value::Float(f64::from(u32::try_from(random.below(1 << 20)).unwrap()) / 8.0),
    }
}

/// Events with any of the attributes of their class, in rows that are not in the order of time.
fn random_events<'a>(class: Class, count: u64, seed: u64, shared: &'a [Vec<Field<'static>>]) -> Vec<Event<'a>> {
    let mut random = Random(seed);
    let lists = |path: &str| path.split_once("[]").map(|(list, _)| list.to_owned());
    (1..=count)
        .map(|record| {
            let time = Timestamp::from_ms(NOON.as_ms() + i64::try_from(random.below(5000)).unwrap());
            let mut event = event(class, record, time);
            event.shared = &shared[usize::try_from(record / 17).unwrap() % shared.len()];
            let density = 1 + random.below(6);
            let elements = random.below(4);
            for attribute in class.attributes() {
                if event.shared.iter().any(|field| field.attribute == *attribute) {
                    continue;
                }
                if lists(attribute.path()).is_none() {
                    if random.below(density) == 0 {
                        event.set(*attribute, random_value(attribute.kind(), &mut random));
                    }
                } else {
                    for index in 0..elements {
                        event.set_at(
                            *attribute,
                            u16::try_from(index).unwrap(),
                            random_value(attribute.kind(), &mut random),
                        );
                    }
                }
            }
            event
        })
        .collect()
}

#[test]
fn every_class_reads_back_with_every_kind_nulls_lists_and_nesting() {
    let text = |attribute, text: &'static str| Field { attribute, index: 0, value: text.into() };
    let shared = [
        vec![],
        vec![text(Attribute::DeviceHostname, "web-1"), text(Attribute::MetadataLogName, "auth.log")],
        vec![text(Attribute::DeviceHostname, "web-2"), text(Attribute::MetadataProfiles, "host")],
    ];
    for (seed, class) in (1..).zip(Class::ALL) {
        let folder = Folder::new();
        // A group ends by its rows.
        let mut lake = open(&folder.0, Limits { group_bytes: 1 << 20, buffered_bytes: 8 << 20, ..SMALL });
        let events = random_events(class, 350, seed, &shared);
        for event in &events {
            lake.push(event).unwrap();
        }
        lake.commit(1).unwrap();
        let got = read_all(&folder.0);
        assert_eq!(got.len(), events.len());
        for group in got.chunks(100) {
            let times: Vec<i64> = group.iter().map(|event| event["time"].as_i64().unwrap()).collect();
            assert!(times.is_sorted(), "seed {seed}: a row group of {class:?} is not sorted");
        }
        // Rows of equal time keep their order, so sorting both sides alike must give the same lists.
        let mut want: Vec<_> = events
            .chunks(100)
            .flat_map(|group| {
                let mut group: Vec<&Event<'_>> = group.iter().collect();
                group.sort_by_key(|event| event.time.as_ms());
                group
            })
            .map(expected)
            .collect();
        for (got, want) in got.iter().zip(&mut want) {
            assert_eq!(got, want, "seed {seed}");
        }
    }
}

#[test]
fn what_has_no_column_is_in_unmapped_and_a_second_value_does_not_replace_the_first() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    let mut event = event(Class::Authentication, 1, NOON);
    let field = |attribute, index, value| Field { attribute, index, value };
    event.fields = vec![
        field(Attribute::UserName, 0, "root".into()),
        field(Attribute::UserName, 0, "again".into()),
        field(Attribute::SrcEndpointPort, 0, (1i64 << 40).into()),
        field(Attribute::SrcEndpointIp, 0, 5.into()),
        field(Attribute::ObservablesName, 1, "a hole before it".into()),
        field(Attribute::ObservablesName, 0, "first".into()),
        field(Attribute::ObservablesValue, 0, "v0".into()),
        field(Attribute::ObservablesValue, 1, "v1".into()),
        field(Attribute::DeviceHostname, 3, "no list".into()),
    ];
    event.unmapped =
        vec![(Cow::Borrowed("syslog.facility"), "auth".into()), (Cow::Borrowed("syslog.severity"), 6.into())];
    lake.push(&event).unwrap();
    lake.commit(1).unwrap();
    let row = read_all(&folder.0).remove(0);
    assert_eq!(row["user"]["name"], "root");
    assert_eq!(row["observables"], json!([{ "name": "first", "value": "v0" }, { "value": "v1" }]));
    assert!(row.get("src_endpoint").is_none(), "an object without attributes is null");
    let unmapped: serde_json::Value = serde_json::from_str(row["unmapped"].as_str().unwrap()).unwrap();
    let want = json!({
        "user": { "name": "again" }, "src_endpoint": { "ip": 5, "port": 1i64 << 40 },
        "observables[1]": { "name": "a hole before it" }, "device": { "hostname[3]": "no list" },
        "syslog": { "facility": "auth", "severity": 6 },
    });
    assert_eq!(unmapped, want);
}

#[test]
fn elements_may_come_in_any_order_and_own_fields_have_precedence() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    let shared = [Field { attribute: Attribute::UserName, index: 0, value: "shared".into() }];
    for record in 1..=3 {
        let mut event = event(Class::Authentication, record, NOON);
        event.shared = &shared;
        if record == 2 {
            event.set(Attribute::UserName, "own");
        }
        event.set_at(Attribute::ObservablesName, 0, format!("n0 of {record}"));
        event.set_at(Attribute::ObservablesName, 1, format!("n1 of {record}"));
        event.set_at(Attribute::ObservablesTypeId, 1, 1);
        event.set_at(Attribute::ObservablesTypeId, 0, 0);
        lake.push(&event).unwrap();
    }
    lake.commit(1).unwrap();
    for (record, row) in (1..).zip(read_all(&folder.0)) {
        let name = |index: u32| format!("n{index} of {record}");
        let want = json!([{ "name": name(0), "type_id": 0 }, { "name": name(1), "type_id": 1 }]);
        assert_eq!(row["observables"], want);
        assert_eq!(row["user"]["name"], if record == 2 { "own" } else { "shared" });
    }
}

#[test]
fn the_day_is_that_of_the_event_unless_its_clock_cannot_be_right() {
    let day = Duration::from_secs(86_400);
    let second = Duration::from_secs(1);
    let received = NOON;
    let before = |by: Duration| Timestamp(received.0 - i64::try_from(by.as_nanos()).unwrap());
    let cases = [
        (received, "2026-03-16", false),
        (before(day * 7), "2026-03-09", false),
        (before(day * 7 + second), "2026-03-16", true),
        (received.plus(day), "2026-03-17", false),
        (received.plus(day + second), "2026-03-16", true),
        (Timestamp(i64::MIN), "2026-03-16", true),
        (Timestamp(i64::MAX), "2026-03-16", true),
    ];
    for (time, day, flagged) in cases {
        let folder = Folder::new();
        let mut lake = open(&folder.0, SMALL);
        lake.push(&Event { received_at: received, ..event(Class::BaseEvent, 1, time) }).unwrap();
        lake.commit(4).unwrap();
        let path = folder.0.join(format!("class=base_event/day={day}/0-4.parquet"));
        let row = &read(&path)[0];
        assert_eq!(row["time"], time.as_ms());
        let flag = row.get("unmapped").map(|text| text.as_str().unwrap());
        assert_eq!(flag, flagged.then_some(r#"{"picket":{"time_out_of_range":true}}"#));
    }
}

#[test]
fn more_days_than_writers_become_parts_of_one_commit() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, Limits { writers: 4, ..SMALL });
    for record in 0..60 {
        let time = NOON.plus(Duration::from_secs(86_400 * (record % 6)));
        lake.push(&event(Class::BaseEvent, record, time)).unwrap();
        assert!(lake.writers.len() <= 4);
    }
    assert!(files(&folder.0, ".parquet").is_empty(), "nothing is visible before the commit");
    assert_eq!(lake.commit(9).unwrap(), Committed::all(60), "the commit says how many events it made visible");
    assert!(files(&folder.0, ".tmp").is_empty());
    let names: Vec<String> =
        files(&folder.0, ".parquet").iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert!(names.contains(&"0-9.parquet".to_owned()) && names.contains(&"0-9.1.parquet".to_owned()), "{names:?}");
    let mut want: Vec<String> = (0..60).map(|record| id(7, record).to_string()).collect();
    want.sort();
    assert_eq!(uids(&folder.0), want);
}

#[test]
fn sixty_five_partitions_need_no_more_than_sixty_four_writers() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, Limits::DEFAULT);
    for record in 0..130 {
        let time = NOON.plus(Duration::from_secs(86_400 * (record % 65)));
        lake.push(&event(Class::BaseEvent, record, time)).unwrap();
        assert!(lake.writers.len() <= 64);
    }
    lake.commit(1).unwrap();
    assert_eq!(uids(&folder.0).len(), 130);
}

#[test]
fn buffers_stay_under_their_bound() {
    let folder = Folder::new();
    let limits = Limits { group_bytes: 8 << 20, buffered_bytes: 3 << 20, ..Limits::DEFAULT };
    let mut lake = open(&folder.0, limits);
    let long = "x".repeat(40_000);
    for record in 0..400 {
        let time = NOON.plus(Duration::from_secs(86_400 * (record % 3)));
        let mut event = event(Class::BaseEvent, record, time);
        event.set(Attribute::RawData, format!("{record} {long}"));
        lake.push(&event).unwrap();
        // Between two measurements 64 KiB may come to each writer, and a buffer may double.
        let heap: usize = lake.writers.iter().map(|writer| writer.rows.heap()).sum();
        assert!(heap <= 2 * limits.buffered_bytes, "{heap} bytes after {record} events");
    }
    lake.commit(1).unwrap();
    assert_eq!(uids(&folder.0).len(), 400);
}

#[test]
fn files_say_what_they_are() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    for record in 0..250 {
        let mut event = event(Class::Authentication, record, NOON.plus(Duration::from_millis(record)));
        event.set(Attribute::SrcEndpointIp, format!("10.0.0.{}", record % 7));
        lake.push(&event).unwrap();
    }
    lake.commit(1).unwrap();
    let path = files(&folder.0, ".parquet").remove(0);
    let log = fs::read_to_string(folder.0.join("_commits")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, &fs::read(&path).unwrap());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(entry["files"][0]["sha256"], hex);
    assert_eq!(entry["files"][0]["size"], fs::metadata(&path).unwrap().len());
    assert_eq!(entry["files"][0]["rows"], 250);

    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.num_row_groups(), 3);
    for group in reader.metadata().row_groups() {
        assert_eq!(group.sorting_columns().unwrap()[0].column_idx, 0);
        let column = |path: &str| group.columns().iter().find(|c| c.column_path().string() == path).unwrap();
        assert!(column("time").statistics().unwrap().min_bytes_opt().is_some());
        let ip = column("src_endpoint.ip").statistics().unwrap();
        assert_eq!((ip.min_bytes_opt(), ip.max_bytes_opt()), (Some(&b"10.0.0.0"[..]), Some(&b"10.0.0.6"[..])));
        assert_eq!(
            column("user.name").statistics().unwrap().null_count_opt(),
            Some(u64::try_from(group.num_rows()).unwrap())
        );
    }
}

#[test]
fn three_thousand_six_hundred_ids_cost_three_kilobytes() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, Limits::DEFAULT);
    for record in 0..3600 {
        lake.push(&event(Class::Authentication, 1_000_000 + record, NOON)).unwrap();
    }
    lake.commit(1).unwrap();
    let reader = SerializedFileReader::new(File::open(&files(&folder.0, ".parquet")[0]).unwrap()).unwrap();
    let group = reader.metadata().row_group(0);
    let uid = group.columns().iter().find(|c| c.column_path().string() == "metadata.uid").unwrap();
    assert!(uid.compressed_size() <= 3_100, "{} bytes", uid.compressed_size());
}

#[test]
fn ids_of_many_chains_and_parts_read_back() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    let mut random = Random(3);
    let mut want = Vec::new();
    for _ in 0..500 {
        let agent = u8::try_from(random.below(3)).unwrap();
        let record = if random.below(4) == 0 { u64::MAX - random.below(3) } else { random.below(200) };
        let part = u32::try_from(random.below(12)).unwrap();
        let event_id = EventId { part, ..id(agent, record) };
        want.push(event_id.to_string());
        lake.push(&Event::new(event_id, NOON, NOON)).unwrap();
    }
    lake.commit(1).unwrap();
    want.sort();
    assert_eq!(uids(&folder.0), want);
}

thread_local! {
    /// The lake that the hook copies, the copies, and how many were taken at each hook.
    static CRASHES: RefCell<(PathBuf, Vec<(&'static str, Folder)>)> = RefCell::default();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}

/// Takes a copy of the lake, as a crash at this moment would leave it.
fn crash(name: &'static str) {
    CRASHES.with_borrow_mut(|(root, copies)| {
        let copy = Folder::new();
        copy_folder(root, &copy.0);
        copies.push((name, copy));
    });
}

/// Block `block` of a journal of ten: events of two classes on three days.
fn push_block(lake: &mut Lake, block: u64) -> Result<(), SinkError> {
    for record in block * 40..(block + 1) * 40 {
        let class = if record % 3 == 0 { Class::SshActivity } else { Class::Authentication };
        let mut event = event(class, record, NOON.plus(Duration::from_secs(record % 3 * 86_400)));
        event.set(Attribute::RawData, format!("line {record}"));
        lake.push(&event)?;
    }
    Ok(())
}

fn all_ids(blocks: u64) -> Vec<String> {
    let mut all: Vec<String> = (0..blocks * 40).map(|record| id(7, record).to_string()).collect();
    all.sort();
    all
}

/// Pushes from the cursor to the end, commits and compares.
fn go_on(folder: &Path, blocks: u64, what: &str) {
    let mut lake = open(folder, SMALL);
    for block in lake.cursor()..blocks {
        push_block(&mut lake, block).unwrap();
        if block % 2 == 1 {
            lake.commit(block + 1).unwrap();
        }
    }
    assert_eq!(uids(folder), all_ids(blocks), "{what}");
    assert!(files(folder, ".tmp").is_empty(), "{what}");
}

#[test]
fn a_crash_at_any_hook_loses_nothing_and_doubles_nothing() {
    let folder = Folder::new();
    CRASHES.with_borrow_mut(|crashes| crashes.0.clone_from(&folder.0));
    let limits = Limits { group_rows: 30, writers: 4, ..SMALL };
    let mut lake = Lake::open_with(Arc::new(RealFs), &folder.0, limits, crash).unwrap();
    for block in 0..4 {
        push_block(&mut lake, block).unwrap();
        if block % 2 == 1 {
            lake.commit(block + 1).unwrap();
        }
    }
    drop(lake);
    let copies = CRASHES.with_borrow_mut(|crashes| std::mem::take(&mut crashes.1));
    for hook in ["lake.write", "lake.sync", "lake.commit", "lake.rename", "lake.done"] {
        assert!(copies.iter().filter(|(name, _)| *name == hook).count() >= 2, "{hook} was not passed twice");
    }
    for (number, (name, copy)) in copies.iter().enumerate() {
        go_on(&copy.0, 4, &format!("crash {number} at {name}"));
    }
    go_on(&folder.0, 4, "no crash");
}

#[test]
fn a_commit_log_cut_anywhere_in_its_last_line_undoes_a_commit_that_had_not_happened() {
    let folder = Folder::new();
    CRASHES.with_borrow_mut(|crashes| crashes.0.clone_from(&folder.0));
    let mut lake = Lake::open_with(Arc::new(RealFs), &folder.0, SMALL, crash).unwrap();
    for block in 0..4 {
        push_block(&mut lake, block).unwrap();
        if block % 2 == 1 {
            lake.commit(block + 1).unwrap();
        }
    }
    let copies = CRASHES.with_borrow_mut(|crashes| std::mem::take(&mut crashes.1));
    // Logged, nothing renamed: what a crash inside the append of that line looks like, cut after cut.
    let (_, logged) = copies.iter().rfind(|(name, _)| *name == "lake.commit").unwrap();
    let line = fs::read(folder.0.join("_commits")).unwrap();
    let first = line.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in (first..line.len()).step_by(37) {
        let copy = Folder::new();
        copy_folder(&logged.0, &copy.0);
        fs::write(copy.0.join("_commits"), &line[..cut]).unwrap();
        go_on(&copy.0, 4, &format!("cut at {cut}"));
    }
}

#[test]
fn a_damaged_last_line_is_proven_by_the_files_of_its_commit() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    for block in 0..2 {
        push_block(&mut lake, block).unwrap();
        lake.commit(block + 1).unwrap();
    }
    drop(lake);
    let mut log = fs::read(folder.0.join("_commits")).unwrap();
    let at = log.len() - 30;
    log[at] ^= 4;
    fs::write(folder.0.join("_commits"), &log).unwrap();
    // One of its files had not been renamed yet.
    let renamed = files(&folder.0, "1-2.parquet").remove(0);
    fs::rename(&renamed, renamed.with_file_name("1.0.tmp")).unwrap();
    let lake = open(&folder.0, SMALL);
    assert_eq!(lake.cursor(), 2);
    assert!(renamed.exists());
    drop(lake);
    assert_eq!(open(&folder.0, SMALL).cursor(), 2);
    go_on(&folder.0, 4, "after damage");
}

#[test]
fn a_commit_gives_names_to_its_own_files_only() {
    let folder = Folder::new();
    let day = folder.0.join("class=authentication/day=2026-03-16");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("0.0.tmp"), b"rows").unwrap();
    let path = "class=authentication/day=2026-03-16/0-9.parquet".to_owned();
    let strange = CommittedFile { path, size: 4, rows: 1, sha256: String::new() };
    let (mut log, _) = Commits::open(Arc::new(RealFs), &folder.0, 1 << 20).unwrap();
    log.append(&Commit { from: 0, to: 5, files: vec![strange] }).unwrap();
    for _ in 0..2 {
        assert_eq!(open(&folder.0, SMALL).cursor(), 5);
        assert_eq!(fs::read_dir(&day).unwrap().count(), 0);
    }
}

#[test]
fn files_ahead_of_the_log_refuse_to_be_doubled() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    push_block(&mut lake, 0).unwrap();
    lake.commit(1).unwrap();
    drop(lake);
    let log = fs::read(folder.0.join("_commits")).unwrap();
    fs::remove_file(folder.0.join("_commits")).unwrap();
    let error = Lake::open(&folder.0).map(|_| ()).unwrap_err();
    assert!(matches!(error, SinkError::CommitsLost { cursor: 0, .. }), "{error}");
    assert!(error.to_string().contains("restore `_commits`"));
    fs::write(folder.0.join("_commits"), log).unwrap();
    go_on(&folder.0, 2, "restored");
}

#[test]
fn a_full_disk_is_an_error_and_pushing_again_from_the_cursor_mends_it() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    push_block(&mut lake, 0).unwrap();
    lake.commit(1).unwrap();
    push_block(&mut lake, 1).unwrap();
    // Whatever is written to the next file of that day meets ENOSPC.
    let day = folder.0.join("class=authentication/day=2026-03-17");
    symlink("/dev/full", day.join("1.0.tmp")).unwrap();
    let error = lake.commit(2).unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert!(matches!(lake.commit(2), Err(SinkError::Failed { .. })));
    assert!(matches!(push_block(&mut lake, 1), Err(SinkError::Failed { .. })));
    assert_eq!(uids(&folder.0), all_ids(1), "nothing of it is visible");
    drop(lake);
    go_on(&folder.0, 2, "after ENOSPC");
}

#[test]
fn a_commit_that_failed_after_its_line_has_happened() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    push_block(&mut lake, 0).unwrap();
    let blocked = folder.0.join("class=ssh_activity/day=2026-03-16/0-1.parquet");
    fs::create_dir_all(blocked.join("not empty")).unwrap();
    let error = lake.commit(1).unwrap_err();
    assert!(error.to_string().contains("cannot rename"), "{error}");
    drop(lake);
    fs::remove_dir_all(&blocked).unwrap();
    let lake = open(&folder.0, SMALL);
    assert_eq!(lake.cursor(), 1);
    drop(lake);
    go_on(&folder.0, 2, "after the obstacle is gone");
}

#[test]
fn commits_without_events_move_the_cursor_and_cuts_only_grow() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, SMALL);
    lake.commit(0).unwrap();
    lake.commit(3).unwrap();
    lake.commit(3).unwrap();
    assert!(files(&folder.0, ".parquet").is_empty());
    drop(lake);
    let mut lake = open(&folder.0, SMALL);
    assert_eq!(lake.cursor(), 3);
    assert!(matches!(lake.commit(2), Err(SinkError::Backwards { cursor: 3, to: 2, .. })));
    let target = Target::Parquet { path: folder.0.clone() };
    assert_eq!((target.peek().unwrap(), AnySink::open(&target).unwrap().cursor()), (3, 3));
}

#[test]
fn texts_that_fill_many_pages_read_back_in_the_order_of_time() {
    let folder = Folder::new();
    let mut lake = open(&folder.0, Limits { group_bytes: 32 << 20, ..Limits::DEFAULT });
    let mut random = Random(11);
    let mut want = Vec::new();
    for record in 0..6000 {
        let mut event = event(Class::BaseEvent, record, NOON.plus(Duration::from_millis(random.below(100_000))));
        if random.below(3) > 0 && record < 5900 {
            let length = usize::try_from(random.below(3000)).unwrap();
            event.set(Attribute::RawData, format!("{record}:{}", "y".repeat(length)));
        }
        want.push(expected(&event));
        lake.push(&event).unwrap();
    }
    lake.commit(1).unwrap();
    let key = |event: &serde_json::Value| event["time"].as_i64();
    want.sort_by_key(key);
    let got = read_all(&folder.0);
    assert_eq!(got.len(), want.len());
    assert!(got == want, "the first event that differs: {:?}", got.iter().zip(&want).position(|(a, b)| a != b));
}
