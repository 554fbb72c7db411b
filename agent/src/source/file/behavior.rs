//! What becomes of one file, as claims on real files: appends, rotations, truncations, reused inodes, restarts.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use shared::record::LossReason;

use super::StartAt;
use super::bench::Bench;
use crate::fingerprint::FileId;
use crate::handover::{Checkpoints, flag};
use crate::source::health::Trouble;
use crate::source::scratch::Folder;

const NOTHING: [&str; 0] = [];

#[test]
fn appends_are_read_once_and_checkpointed() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "one\ntwo\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "a.log: two"]);
    bench.append("a.log", "three\n");
    bench.step();
    bench.step();
    assert_eq!(bench.take(), ["a.log: three"]);
    assert_eq!(bench.kept.table.of(&bench.folder.path("a.log")).unwrap().offset, 14);
    bench.restart();
    bench.append("a.log", "four\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: four"]);
    assert!(bench.losses().is_empty());
}

#[test]
fn unfinished_line_waits_for_its_newline() {
    let mut bench = Bench::new(&["a.log"]);
    for piece in ["on", "e", "\r"] {
        bench.append("a.log", piece);
        bench.step();
        assert_eq!(bench.take(), NOTHING);
    }
    assert_eq!(bench.health().lag_bytes, 4);
    bench.append("a.log", "\nhalf");
    bench.step();
    assert_eq!(bench.flags(), [flag::CRLF]);
    assert_eq!(bench.take(), ["a.log: one"]);
    bench.restart();
    bench.append("a.log", " and half\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: half and half"]);
}

#[test]
fn unfinished_line_of_a_file_that_is_gone_is_handed_over_with_a_flag() {
    for leave in [
        |bench: &Bench| fs::remove_file(bench.folder.path("a.log")).unwrap(),
        |bench: &Bench| bench.rename("a.log", "a.1"),
    ] {
        let mut bench = Bench::new(&["a.log"]);
        bench.append("a.log", "one\nhalf");
        bench.step();
        leave(&bench);
        bench.pass(Duration::from_secs(10));
        assert_eq!(bench.take(), ["a.log: one"]);
        bench.pass(Duration::from_secs(31));
        assert_eq!(bench.flags(), [flag::UNTERMINATED]);
        assert_eq!(bench.kept.chunks[0].checkpoint.map(|c| (c.offset, c.fingerprint.ended)), Some((8, true)));
        assert_eq!(bench.take(), ["a.log: half"]);
        assert_eq!((bench.losses().len(), bench.health().files, bench.health().files_open), (0, 0, 0));
    }
}

#[test]
fn renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    for include in ["app.log", "app.log*"] {
        let mut bench = Bench::new(&[include]);
        bench.append("app.log", "one\n");
        bench.step();
        bench.append("app.log", "two\n");
        bench.rename("app.log", "app.log.1");
        bench.step();
        bench.append("app.log.1", "three\n");
        bench.append("app.log", "new\n");
        bench.step();
        bench.append("app.log.1", "four\n");
        bench.pass(Duration::from_secs(20));
        let mut lines = bench.take();
        lines.sort();
        assert_eq!(
            lines,
            ["app.log: four", "app.log: new", "app.log: one", "app.log: three", "app.log: two"],
            "{include}"
        );
        assert!(bench.losses().is_empty());
    }
}

#[test]
fn writer_that_never_reopens_keeps_its_renamed_file_open() {
    let mut bench = Bench::new(&["app.log"]);
    bench.append("app.log", "0\n");
    bench.step();
    bench.rename("app.log", "app.log.1");
    for i in 1..5 {
        bench.append("app.log.1", format!("{i}\n"));
        bench.pass(Duration::from_secs(29));
    }
    assert_eq!(bench.take().len(), 5);
    bench.pass(Duration::from_secs(31));
    assert_eq!(bench.health().files, 0);
}

#[test]
fn rotation_while_nobody_watched_loses_nothing() {
    for from in [StartAt::Beginning, StartAt::End] {
        let mut bench = Bench::over(Folder::new(), &["app.log"], StartAt::Beginning);
        bench.append("app.log", "one\n");
        bench.step();
        bench.append("app.log", "two\nthree\n");
        bench.rename("app.log", "app.log.1");
        bench.append("app.log", "new\n");
        bench.config.from = from;
        bench.restart();
        bench.step();
        let mut lines = bench.take();
        lines.sort();
        assert_eq!(lines, ["app.log: new", "app.log: one", "app.log: three", "app.log: two"]);
        bench.pass(Duration::from_secs(31));
        bench.restart();
        bench.step();
        assert_eq!(bench.take(), NOTHING);
    }
}

#[test]
fn file_that_was_closed_and_renamed_is_found_beside_its_old_name() {
    let mut bench = Bench::new(&["app.log"]);
    bench.append("app.log", "one\n");
    bench.step();
    bench.pass(Duration::from_secs(400));
    assert_eq!((bench.health().files, bench.health().files_open), (1, 0));
    bench.append("app.log", "two\n");
    bench.rename("app.log", "app.log.1");
    bench.step();
    assert_eq!(bench.take(), ["app.log: one", "app.log: two"]);
}

#[test]
fn closed_file_that_grows_is_read_on() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\n");
    bench.step();
    bench.pass(Duration::from_secs(400));
    bench.append("a.log", "two\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "a.log: two"]);
    bench.append("a.log", "three\n");
    bench.step();
    assert_eq!(bench.kept.table.of(&bench.folder.path("a.log")).unwrap().fingerprint.prefix_len, 14);
}

#[test]
fn truncated_file_begins_again_and_the_loss_is_said() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\ntwo\n");
    bench.step();
    fs::write(bench.folder.path("a.log"), "new\n").unwrap();
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "a.log: two", "a.log: new"]);
    let loss = bench.kept.losses[0].clone();
    assert_eq!((loss.reason, loss.count), (LossReason::Truncated, None));
    assert!(loss.from < loss.to && loss.path.ends_with("a.log"));
    assert_eq!((bench.losses().len(), bench.health().count(Trouble::Truncated)), (1, 1));
}

#[test]
fn truncated_file_that_grew_beyond_is_recognized_by_its_beginning() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\n");
    bench.step();
    fs::write(bench.folder.path("a.log"), "other and longer\n").unwrap();
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "a.log: other and longer"]);
    assert_eq!(bench.losses(), [LossReason::Truncated]);
}

#[test]
fn truncation_while_nobody_watched_is_noticed() {
    let long = "x".repeat(2000);
    for (then, now, lines, losses) in [("one\n", "two\n", vec!["a.log: two"], 1), (&*long, &*long, vec![], 0)] {
        let mut bench = Bench::new(&["a.log"]);
        bench.append("a.log", then);
        bench.step();
        bench.take();
        fs::write(bench.folder.path("a.log"), now).unwrap();
        bench.restart();
        bench.step();
        assert_eq!((bench.take(), bench.losses().len()), (lines.iter().map(ToString::to_string).collect(), losses));
    }
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", format!("{long}\ntail\n"));
    bench.step();
    bench.take();
    File::options().write(true).open(bench.folder.path("a.log")).unwrap().set_len(2001).unwrap();
    bench.restart();
    bench.step();
    assert_eq!((bench.take().len(), bench.losses()), (1, vec![LossReason::Truncated]));
}

#[test]
fn unfinished_line_that_is_cut_off_is_a_loss_and_whole_lines_are_not_repeated() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\nhalf");
    bench.step();
    File::options().write(true).open(bench.folder.path("a.log")).unwrap().set_len(5).unwrap();
    bench.step();
    bench.append("a.log", "at\n");
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "a.log: hat"]);
    assert_eq!(bench.losses(), [LossReason::Truncated]);
}

#[test]
fn truncation_is_remembered_across_a_restart() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "one\ntwo\n");
    bench.step();
    File::create(bench.folder.path("a.log")).unwrap();
    bench.step();
    bench.restart();
    bench.append("a.log", "one\ntwo\nthree\n");
    bench.step();
    assert_eq!(bench.take().len(), 5);
    assert_eq!(bench.losses(), [LossReason::Truncated]);
}

#[test]
fn reused_inode_of_a_file_that_was_read_to_its_end_is_a_new_file() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "one\n");
    bench.step();
    let inode = fs::metadata(bench.folder.path("a.log")).unwrap().ino();
    fs::remove_file(bench.folder.path("a.log")).unwrap();
    bench.pass(Duration::from_secs(10));
    bench.pass(Duration::from_secs(31));
    // Filesystems reuse the number as they like: the table is made to look as if this one had.
    bench.append("b.log", "two\nthree\n");
    let file = fs::metadata(bench.folder.path("b.log")).unwrap();
    let mut old = bench.kept.table.by_inode(inode)[0];
    assert!(old.fingerprint.ended);
    old.fingerprint.file = FileId { device: file.dev(), inode: file.ino() };
    bench.kept.table.put(old);
    bench.step();
    assert_eq!(bench.take(), ["a.log: one", "b.log: two", "b.log: three"]);
    assert!(bench.losses().is_empty());
}

#[test]
fn restored_file_goes_on_where_the_old_one_was_read_to() {
    let mut bench = Bench::new(&["a.log"]);
    bench.append("a.log", "0123456789abcde\n".repeat(100));
    bench.step();
    assert_eq!(bench.take().len(), 100);
    // As an editor saves: a copy takes the name, the old file is unlinked.
    fs::copy(bench.folder.path("a.log"), bench.folder.path("b")).unwrap();
    bench.append("b", "more\n");
    bench.rename("b", "a.log");
    bench.step();
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.take(), ["a.log: more"]);
    assert!(bench.losses().is_empty());
}

#[test]
fn copy_beside_a_file_that_is_still_there_is_a_file_of_its_own() {
    let mut bench = Bench::new(&["*.log"]);
    bench.append("a.log", "0123456789abcde\n".repeat(100));
    bench.step();
    fs::copy(bench.folder.path("a.log"), bench.folder.path("b.log")).unwrap();
    bench.step();
    assert_eq!(bench.take().len(), 200);
}

#[test]
fn only_what_comes_is_read_from_the_end() {
    let folder = Folder::new();
    fs::write(folder.path("a.log"), "old\nhal").unwrap();
    let mut bench = Bench::over(folder, &["*.log"], StartAt::End);
    bench.step();
    bench.restart();
    bench.append("a.log", "f\n");
    bench.append("b.log", "later\n");
    bench.restart();
    bench.append("c.log", "seen\n");
    bench.step();
    bench.append("d.log", "appears\n");
    bench.step();
    // b.log and c.log were there when a source started that had never seen them.
    assert_eq!(bench.take(), ["a.log: half", "d.log: appears"]);
}
