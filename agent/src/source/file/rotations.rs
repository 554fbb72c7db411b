//! Rotations before anyone looked, as claims: stepped by hand, and with inotify and the real clock.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::StartAt;
use super::bench::{Bench, Kept};
use super::neighbors::{append, hinted};
use super::tracker::Newcomer;
use super::walk::Facts;
use crate::handover::{Chunk, Loss, Outlet, Stopped, flag};
use crate::source::scratch::Folder;

const NOTHING: [&str; 0] = [];

#[test]
fn file_that_was_rotated_before_anyone_looked_is_read_first_and_once() {
    for rotated in ["app.log.1", "app.log-20260316", "app.log.2026-03-16", "app-1.log"] {
        let mut bench = Bench::new(&["app.log"]);
        bench.step();
        bench.append("app.log", "one\ntwo\n");
        bench.rename("app.log", rotated);
        bench.append("app.log", "new\n");
        bench.append(rotated, "three\nhalf");
        bench.step();
        assert_eq!(bench.take(), ["app.log: one", "app.log: two", "app.log: three", "app.log: new"], "{rotated}");
        bench.pass(Duration::from_secs(31));
        assert_eq!((bench.flags(), bench.take()), (vec![flag::UNTERMINATED], vec!["app.log: half".to_owned()]));
        for _ in 0..2 {
            bench.step();
            bench.restart();
        }
        assert_eq!((bench.take(), bench.losses()), (vec![], vec![]));
    }
}

#[test]
fn several_rotations_before_anyone_looked_are_read_in_order_of_age() {
    for from in [StartAt::Beginning, StartAt::End] {
        let mut bench = Bench::over(Folder::new(), &["*.log"], from);
        bench.step();
        for i in 0..4 {
            for (at, to) in [("app.log.2", "app.log.3"), ("app.log.1", "app.log.2"), ("app.log", "app.log.1")] {
                if bench.folder.path(at).exists() {
                    bench.rename(at, to);
                }
            }
            bench.append("app.log", format!("{i}\n"));
        }
        bench.step();
        assert_eq!(bench.take(), ["app.log: 0", "app.log: 1", "app.log: 2", "app.log: 3"]);
        bench.rename("app.log.3", "app.log.4");
        bench.append("app.log.4", "late\n");
        bench.step();
        assert_eq!(bench.take(), ["app.log: late"]);
    }
}

#[test]
fn rotations_while_the_lane_was_full_are_read() {
    /// Its first call lasts for three rotations.
    struct Full<'a>(&'a mut Kept, &'a Folder);
    impl Outlet for Full<'_> {
        fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
            for i in 1..4 {
                let rotated = self.1.path(&format!("app.log.{}", 4 - i));
                if self.0.chunks.is_empty() {
                    fs::rename(self.1.path("app.log"), rotated).unwrap();
                    append(&self.1.path("app.log"), &format!("{i}\n"));
                }
            }
            self.0.lines(chunk)
        }
        fn records(&mut self, _: crate::handover::Records, _: Duration) -> Result<(), crate::handover::Untaken> {
            Ok(())
        }
        fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
            self.0.loss(loss)
        }
    }
    let mut bench = Bench::new(&["app.log"]);
    bench.append("app.log", "0\n");
    bench.source.step(&mut Full(&mut bench.kept, &bench.folder)).unwrap();
    bench.step();
    assert_eq!(bench.take(), ["app.log: 0", "app.log: 1", "app.log: 2", "app.log: 3"]);
    bench.pass(Duration::from_secs(60));
    assert_eq!((bench.take(), bench.losses()), (vec![], vec![]));
}

#[test]
fn newcomer_that_is_renamed_during_the_walk_is_read() {
    let mut bench = Bench::new(&["app.log"]);
    bench.step();
    bench.append("app.log", "one\n");
    let path = bench.folder.path("app.log");
    let newcomer = Newcomer { facts: Facts::of(&path).unwrap(), path };
    bench.rename("app.log", "app.log.1");
    bench.source.welcome(vec![newcomer], &Default::default(), &mut bench.kept).unwrap();
    bench.step();
    assert_eq!((bench.take(), bench.losses()), (vec!["app.log: one".to_owned()], vec![]));
}

#[test]
fn what_was_rotated_while_the_program_was_down_is_read_behind_what_it_knew() {
    for known_is_rotated in [false, true] {
        let mut bench = Bench::new(&["app.log"]);
        bench.append("app.log", "0\n");
        bench.step();
        if known_is_rotated {
            bench.rename("app.log", "app.log-0");
        }
        for i in 1..4 {
            bench.append("app.log", format!("{i}\n"));
            bench.rename("app.log", &format!("app.log-{i}"));
        }
        bench.append("app.log", "4\n");
        bench.restart();
        bench.step();
        let mut lines = bench.take();
        lines.sort();
        assert_eq!(lines, ["app.log: 0", "app.log: 1", "app.log: 2", "app.log: 3", "app.log: 4"]);
        bench.restart();
        bench.step();
        assert_eq!(bench.take(), NOTHING);
    }
}

#[test]
fn unfinished_line_of_a_file_that_was_rotated_is_found_again_after_a_restart() {
    let mut bench = Bench::new(&["app.log"]);
    bench.append("app.log", "half");
    bench.step();
    bench.rename("app.log", "app.log.1");
    bench.append("app.log", "new\n");
    bench.step();
    bench.restart();
    bench.append("app.log.1", " whole\n");
    bench.step();
    assert_eq!(bench.take(), ["app.log: new", "app.log: half whole"]);
}

#[test]
fn rotated_files_from_before_the_first_start_are_history() {
    for from in [StartAt::Beginning, StartAt::End] {
        let mut bench = Bench::over(Folder::new(), &["app.log"], from);
        bench.append("app.log.2", "old\n");
        bench.append("app.log.1", "old\n");
        bench.append("app.log", "one\n");
        bench.restart();
        bench.step();
        bench.take();
        bench.rename("app.log.2", "app.log.3");
        bench.rename("app.log", "app.log.2");
        bench.append("app.log", "two\n");
        bench.step();
        assert_eq!(bench.take(), ["app.log: two"]);
    }
}

#[test]
fn neighbors_that_were_never_the_file_are_not_read() {
    let mut bench = Bench::new(&["app.log"]);
    bench.append("app.log", "one\n");
    bench.step();
    bench.await_tick();
    for name in ["app.log.1.gz", "app.log.offset", "app.log-2", "app-3.log"] {
        bench.append(name, "no line of app.log\n");
    }
    bench.step();
    // They were judged: a younger file at the name changes nothing.
    fs::remove_file(bench.folder.path("app.log")).unwrap();
    bench.append("app.log", "two\n");
    bench.step();
    assert_eq!(bench.take(), ["app.log: one", "app.log: two"]);
}

#[test]
fn copies_that_truncation_leaves_are_not_read() {
    for is_looked_at in [false, true] {
        let mut bench = Bench::new(&["app.log"]);
        bench.append("app.log", "one\ntwo\n");
        bench.step();
        fs::copy(bench.folder.path("app.log"), bench.folder.path("app.log.1")).unwrap();
        fs::write(bench.folder.path("app.log"), "three\n").unwrap();
        if is_looked_at {
            bench.step();
        }
        // And what follows is renamed.
        bench.rename("app.log.1", "app.log.2");
        bench.rename("app.log", "app.log.1");
        bench.append("app.log", "four\n");
        bench.step();
        let lines = ["app.log: one", "app.log: two", "app.log: three", "app.log: four"];
        assert_eq!(bench.take(), lines, "{is_looked_at}");
        bench.restart();
        bench.step();
        assert_eq!(bench.take(), NOTHING, "{is_looked_at}");
    }
}

#[test]
fn hints_tell_what_was_renamed_from_what_was_made() {
    let folder = Folder::new();
    let path = folder.path("a.log");
    append(&path, "zero\n");
    hinted(&folder, "a.log", |next| {
        assert_eq!(next(), "zero");
        for i in 1..200 {
            // Nobody looks that often: most are renamed before they are seen.
            fs::rename(&path, folder.path(&format!("a.log.{}", 200 - i))).unwrap();
            append(&path, &format!("{i}\n"));
        }
        let read: BTreeSet<String> = (1..200).map(|_| next()).collect();
        assert_eq!(read, (1..200).map(|i| i.to_string()).collect());
        fs::rename(&path, folder.path("a.log.200")).unwrap();
        append(&folder.path("a.log.201"), "of somebody else\n");
        append(&path, "end\n");
        assert_eq!(next(), "end");
        append(&path, "very end\n");
        assert_eq!(next(), "very end");
    });
}

#[test]
fn appended_lines_are_handed_over_within_100_ms() {
    let folder = Folder::new();
    let path = folder.path("a.log");
    hinted(&folder, "a.log", |next| {
        append(&path, "zero\n");
        assert_eq!(next(), "zero");
        let late = |i: usize| {
            let begun = Instant::now();
            append(&path, &format!("{i}\n"));
            assert_eq!(next(), i.to_string());
            begun.elapsed()
        };
        let mut late: Vec<Duration> = (0..100).map(late).collect();
        late.sort();
        println!("median {:?}, longest {:?}", late[50], late[99]);
        assert!(late[50] < Duration::from_millis(100), "{late:?}");
    });
}
