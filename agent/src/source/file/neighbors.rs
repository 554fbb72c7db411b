//! Several files, several sources, and what is no file, as claims; and hints, with inotify and the real clock.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use shared::record::LossReason;
use shared::time::{Clock, ManualClock, Timestamp};

use super::bench::{Bench, Kept, around, config, source};
use super::glob::Patterns;
use super::watch::Watch;
use super::{FileConfig, FileSource, FileSources, OPEN_FILES_MAX, StartAt, Surroundings, Timing};
use crate::handover::{Chunk, Loss, Outlet, Stopped};
use crate::source::Source;
use crate::source::health::Trouble;
use crate::source::scratch::Folder;

const NOTHING: [&str; 0] = [];

#[test]
fn files_and_folders_that_appear_later_are_read() {
    let mut bench = Bench::new(&["d/*/x.log"]);
    bench.step();
    fs::create_dir_all(bench.folder.path("d/1")).unwrap();
    bench.append("d/1/x.log", "one\n");
    bench.step();
    assert_eq!(bench.take(), ["x.log: one"]);
}

#[test]
fn what_is_no_file_is_said_once_and_counted() {
    let mut bench = Bench::new(&["*"]);
    fs::create_dir(bench.folder.path("folder")).unwrap();
    let (fifo, mode) = (bench.folder.path("fifo"), rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    symlink("/dev/zero", bench.folder.path("zero")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.folder.path("socket")).unwrap();
    bench.append("file", "one\n");
    for _ in 0..3 {
        bench.step();
    }
    assert_eq!(bench.take(), ["file: one"]);
    assert_eq!((bench.health().count(Trouble::NotAFile), bench.losses().len()), (4, 0));
}

#[test]
fn unreadable_file_is_said_once_and_read_when_it_can_be() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root reads everything");
        return;
    }
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\n");
    fs::set_permissions(bench.folder.path("a.log"), Permissions::from_mode(0o000)).unwrap();
    bench.step();
    bench.step();
    assert_eq!((bench.take().len(), bench.health().count(Trouble::Unreadable)), (0, 1));
    fs::set_permissions(bench.folder.path("a.log"), Permissions::from_mode(0o600)).unwrap();
    bench.step();
    assert_eq!(bench.take(), ["a.log: one"]);
}

#[test]
fn file_whose_reads_fail_is_said_once_and_read_when_it_can_be() {
    let mut bench = Bench::new(&["a.log"]);
    // A regular file that opens, and whose first byte cannot be read (proc_pid_mem(5)).
    symlink("/proc/self/mem", bench.folder.path("a.log")).unwrap();
    for _ in 0..3 {
        bench.step();
    }
    assert_eq!((bench.health().count(Trouble::Unreadable), bench.health().files_open), (1, 0));
    fs::remove_file(bench.folder.path("a.log")).unwrap();
    bench.append("a.log", "one\n");
    bench.step();
    assert_eq!((bench.take(), bench.losses()), (vec!["a.log: one".to_owned()], vec![]));
}

#[test]
fn silent_source_is_left_alone_until_its_next_walk() {
    for (watch, seconds) in [(Watch::start(), 10), (Watch::none(), 1)] {
        let folder = Folder::new();
        let config = config(vec![folder.glob("*.log")], StartAt::Beginning);
        let (clock, mut kept) = (ManualClock::new(Timestamp(0)), Kept::default());
        let shared = Arc::new(FileSources::new(watch, vec![]));
        let mut source = source(&config, &Surroundings { shared, ..around("only", 0, &config, &clock, &kept.table) });
        // The second look is for what came between the first and the watch.
        source.step(&mut kept).unwrap();
        let until = source.step(&mut kept).unwrap();
        assert_eq!(until, Clock::Manual(clock).instant() + Duration::from_secs(seconds));
    }
}

#[test]
fn one_inode_by_two_paths_is_read_once() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("b.log", "one\n");
    fs::hard_link(bench.folder.path("b.log"), bench.folder.path("a.log")).unwrap();
    symlink(bench.folder.path("b.log"), bench.folder.path("c.log")).unwrap();
    bench.step();
    bench.step();
    assert_eq!(bench.take(), ["a.log: one"]);
    fs::remove_file(bench.folder.path("a.log")).unwrap();
    bench.append("b.log", "two\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: two"]);
}

#[test]
fn more_files_than_may_be_open_are_all_followed() {
    let mut bench = Bench::new(&["*.log"]);
    let count = 2 * OPEN_FILES_MAX + 10;
    for round in 0..3 {
        for i in 0..count {
            bench.append(&format!("{i}.log"), format!("line {round}\nhalf of "));
        }
        bench.step();
        assert_eq!(bench.take().len(), count, "{round}");
        assert!(bench.health().files_open <= OPEN_FILES_MAX as u64);
    }
    assert_eq!((bench.losses().len(), bench.health().files), (0, count as u64));
}

#[test]
fn restored_files_that_begin_alike_are_each_read_whole() {
    let mut bench = Bench::new(&["*.log"]);
    let same = "0123456789abcde\n".repeat(100);
    bench.append("a.log", &same);
    bench.step();
    assert_eq!(bench.take().len(), 100);
    fs::remove_file(bench.folder.path("a.log")).unwrap();
    // Nobody can tell which of them is what a.log was.
    bench.append("b.log", &same);
    bench.append("c.log", &same);
    bench.step();
    assert_eq!(bench.take().len(), 200);
}

#[test]
fn busy_file_does_not_starve_the_others() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "0123456789abcde\n".repeat(1024 * 1024));
    bench.append("b.log", "small\n");
    bench.step();
    let at = bench.kept.chunks.iter().position(|chunk| chunk.log_name.ends_with("b.log")).unwrap();
    let read_before: usize = bench.kept.chunks[..at].iter().map(|chunk| chunk.lines.bytes.len()).sum();
    assert!(read_before <= 4 * 1024 * 1024);
    assert_eq!(bench.take().len(), 1024 * 1024 + 1);
}

#[test]
fn path_belongs_to_the_first_source_in_name_order_and_a_file_to_one() {
    let folder = Folder::new();
    fs::write(folder.path("a.log"), "one\n").unwrap();
    fs::write(folder.path("b.log"), "two\n").unwrap();
    symlink(folder.path("a.log"), folder.path("link")).unwrap();
    let (clock, mut kept) = (ManualClock::new(Timestamp(0)), Kept::default());
    let configs = [("alpha", "a*"), ("beta", "*.log"), ("gamma", "link")]
        .map(|(n, g)| (n, config(vec![folder.glob(g)], StartAt::Beginning)));
    let patterns = |config: &FileConfig| Arc::new(Patterns::new(&config.include, &config.exclude).unwrap());
    let all = configs.iter().map(|(name, config)| ((*name).to_owned(), patterns(config))).collect();
    let shared = Arc::new(FileSources::new(Watch::none(), all));
    let mut sources: Vec<_> = configs
        .iter()
        .zip(0..)
        .map(|((name, config), index)| {
            let around =
                Surroundings { shared: Arc::clone(&shared), ..around(name, index, config, &clock, &kept.table) };
            (source(config, &around), around.health)
        })
        .collect();
    for (source, _) in &mut sources {
        source.step(&mut kept).unwrap();
    }
    let read: Vec<_> = kept.chunks.iter().map(|chunk| (chunk.source.0, chunk.lines.bytes.as_slice())).collect();
    assert_eq!(read, [(0, &b"one"[..]), (1, b"two")]);
    let shadowed = |i: usize| sources[i].1.snapshot().shadowed.into_iter().map(|s| s.by).collect::<Vec<_>>();
    assert_eq!(
        (shadowed(0), shadowed(1), shadowed(2)),
        (vec![], vec!["alpha".into()], vec!["source 0 by another path".into()])
    );
}

#[test]
fn file_that_goes_unread_is_a_loss() {
    struct Full;
    impl Outlet for Full {
        fn lines(&mut self, _: Chunk) -> Result<(), Stopped> {
            Err(Stopped)
        }
        fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
            Ok(())
        }
        fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
            Err(Stopped)
        }
    }
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\n");
    assert_eq!(bench.source.step(&mut Full), Err(Stopped));
    bench.restart();
    bench.step();
    bench.append("a.log", "half");
    bench.step();
    bench.source.open.clear();
    fs::remove_file(bench.folder.path("a.log")).unwrap();
    bench.step();
    assert_eq!((bench.take(), bench.losses()), (vec!["a.log: one".to_owned()], vec![LossReason::Truncated]));
    assert_eq!(bench.health().count(Trouble::LostTail), 1);
}

#[test]
fn folder_that_cannot_be_looked_at_does_not_end_its_files() {
    let mut bench = Bench::new(&["d/*.log"]);
    fs::create_dir(bench.folder.path("d")).unwrap();
    bench.append("d/a.log", "half");
    bench.step();
    // The walk sees nothing, the file itself is still there.
    let hidden = super::walk::Walk::default();
    let observed = bench.source.tracker.observe(hidden.found, |_| None);
    for id in observed.missing {
        bench.source.missing(id, &mut bench.kept).unwrap();
    }
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.take(), NOTHING);
    bench.append("d/a.log", " whole\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: half whole"]);
}

/// A source on a thread with inotify and the real clock, whose own looks are an hour apart.
pub(super) fn hinted(folder: &Folder, include: &str, check: impl FnOnce(&dyn Fn() -> String)) {
    let config = config(vec![folder.glob(include)], StartAt::Beginning);
    struct Told(SyncSender<String>);
    impl Outlet for Told {
        fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
            let lines = chunk.lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned());
            lines.for_each(|line| self.0.send(line).unwrap_or_default());
            Ok(())
        }
        fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
            Ok(())
        }
        fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
            Ok(())
        }
    }
    let (clock, (tell, told)) = (ManualClock::new(Timestamp(0)), sync_channel(1_000));
    let patterns = Arc::new(Patterns::new(&config.include, &[]).unwrap());
    let around = Surroundings {
        shared: Arc::new(FileSources::new(Watch::start(), vec![("only".into(), Arc::clone(&patterns))])),
        clock: Clock::System,
        ..around("only", 0, &config, &clock, &Arc::default())
    };
    let (hour, wake) = (Duration::from_secs(3600), Arc::clone(&around.wake));
    let timing = Timing { poll: hour, walk: hour, ..Timing::default() };
    let mut source = FileSource::new(config, patterns, timing, around);
    let mut outlet = Told(tell);
    std::thread::scope(|scope| {
        scope.spawn(move || source.run(&mut outlet));
        // A failed check must not leave the thread behind.
        let stop = StopAtEnd(wake);
        check(&|| told.recv_timeout(Duration::from_secs(20)).unwrap());
        drop(stop);
    });
}

struct StopAtEnd(Arc<crate::source::wake::Wake>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.stop();
    }
}

pub(super) fn append(path: &Path, bytes: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(bytes.as_bytes()).unwrap();
}

#[test]
fn hints_bring_new_files_appends_and_rotations_without_waiting_for_the_poll() {
    let folder = Folder::new();
    let path = folder.path("d/a.log");
    hinted(&folder, "d/a.log", |next| {
        fs::create_dir(folder.path("d")).unwrap();
        append(&path, "one\n");
        assert_eq!(next(), "one");
        append(&path, "two\n");
        assert_eq!(next(), "two");
        fs::rename(&path, folder.path("d/a.log.1")).unwrap();
        append(&path, "three\n");
        assert_eq!(next(), "three");
        append(&path, "four\n");
        assert_eq!(next(), "four");
    });
}

#[test]
fn hints_reach_a_file_behind_a_link() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    append(&folder.path("real/0"), "one\n");
    symlink(folder.path("real/0"), folder.path("link.log")).unwrap();
    hinted(&folder, "*.log", |next| {
        assert_eq!(next(), "one");
        append(&folder.path("real/0"), "two\n");
        assert_eq!(next(), "two");
    });
}
