//! A tree made for the test: what is there at first is state, what is made after is a difference.

use std::fs;
use std::time::Duration;

use shared::identity::Lane;
use shared::time::{Clock, ManualClock, Timestamp};

use super::super::Table;
use super::super::row::Fields;
use super::{Kept, number, ran, source, word};
use crate::source::health::Trouble;
use crate::source::scratch::Folder;

/// A source and its tree.
pub(super) struct Bench {
    pub(super) folder: Folder,
    clock: ManualClock,
    pub(super) source: super::HostSource,
    kept: Kept,
}

const TABLES: [Table; 9] = [
    Table::Processes,
    Table::Users,
    Table::Groups,
    Table::Packages,
    Table::Cron,
    Table::AuthorizedKeys,
    Table::Modules,
    Table::Logins,
    Table::Privileged,
];

impl Bench {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let clock = ManualClock::new(Timestamp::from_seconds(1_000_000));
        write(&folder, "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        write(&folder, "etc/shadow", "root:*:1::::::\n");
        write(&folder, "etc/group", "root:x:0:\nwheel:x:10:\n");
        write(&folder, "proc/modules", "ext4 1 0 - Live 0x0\n");
        write(&folder, "var/lib/dpkg/status", &package("bash", "1"));
        process(&folder, 7, "init");
        let source = source(folder.as_ref().to_owned(), &TABLES, &Clock::Manual(clock.clone()));
        Self { folder, clock, source, kept: Kept::default() }
    }

    /// Lets time pass and all of it be looked at; what was told.
    pub(super) fn after(&mut self, seconds: u64) -> Vec<(Lane, Fields)> {
        self.clock.advance(Duration::from_secs(seconds));
        // One table a turn; the walk has its own pace.
        for _ in 0..TABLES.len() + 5 {
            self.source.turn(&mut self.kept);
            self.clock.advance(Duration::from_secs(2));
        }
        std::mem::take(&mut self.kept.0)
    }

    /// Lets an interval pass: class, activity, table of each difference.
    pub(super) fn differences(&mut self, seconds: u64) -> Vec<(u64, u64, String)> {
        let told = self.after(seconds);
        let differs = told.iter().filter(|(_, fields)| word(fields, "unmapped.change") != "state");
        let mut all: Vec<_> = differs
            .map(|(_, fields)| {
                let uid = |path: &str| number(fields, path).unwrap();
                (uid("class_uid"), uid("activity_id"), word(fields, "unmapped.table").to_owned())
            })
            .collect();
        all.sort();
        all
    }
}

pub(super) fn write(folder: &Folder, path: &str, text: &str) {
    fs::create_dir_all(folder.path(path).parent().unwrap()).unwrap();
    // Another inode: a change is seen whatever the clock's grain is.
    fs::write(folder.path(&format!("{path}.new")), text).unwrap();
    fs::rename(folder.path(&format!("{path}.new")), folder.path(path)).unwrap();
}

fn package(name: &str, version: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: {version}\n\n")
}

fn process(folder: &Folder, pid: u32, name: &str) {
    write(folder, &format!("proc/{pid}/stat"), &format!("{pid} ({name}) S 1{} 5{pid} 0", " 0".repeat(17)));
}

#[test]
fn at_the_start_all_is_state_and_then_nothing_until_something_changes() {
    let mut bench = Bench::new();
    let first = bench.after(0);
    assert!(first.iter().all(|(lane, fields)| *lane == Lane::Bulk && word(fields, "unmapped.change") == "state"));
    let told = |table: &str| first.iter().filter(|(_, fields)| word(fields, "unmapped.table") == table).count();
    assert_eq!(["processes", "users", "groups", "packages", "modules"].map(told), [1, 1, 2, 1, 1]);
    assert_eq!(bench.differences(60), []);
    // The load of the second look and after.
    assert_eq!(bench.after(60).len(), 1);
}

#[test]
fn what_changes_between_is_told_with_its_class() {
    let mut bench = Bench::new();
    bench.after(0);
    let folder = &bench.folder;
    write(folder, "etc/passwd", "root:x:0:0::/root:/bin/sh\neve:x:1000:1000::/home/eve:/bin/sh\n");
    write(folder, "etc/group", "root:x:0:\nwheel:x:10:eve\n");
    write(folder, "proc/modules", "evil 1 0 - Live 0x0 (OE)\n");
    write(folder, "var/lib/dpkg/status", &(package("bash", "2") + &package("nc", "1")));
    process(folder, 8, "sh");
    fs::remove_dir_all(folder.path("proc/7")).unwrap();
    let expected = [
        (1002, 1, "modules"),
        (1002, 2, "modules"),
        (1007, 1, "processes"),
        (1007, 2, "processes"),
        (3001, 1, "users"),
        (3006, 3, "groups"),
        (6002, 1, "packages"),
        (6002, 8, "packages"),
    ];
    assert_eq!(bench.differences(60), expected.map(|(class, activity, table)| (class, activity, table.to_owned())));
}

#[test]
fn starts_of_processes_by_polling_say_so_and_go_high() {
    let mut bench = Bench::new();
    bench.after(0);
    process(&bench.folder, 9, "x");
    let told = bench.after(60);
    let (lane, fields) = told.iter().find(|(_, fields)| number(fields, "class_uid") == Some(1007)).unwrap();
    assert_eq!(
        (*lane, word(fields, "unmapped.seen_by"), number(fields, "process.pid")),
        (Lane::High, "polling", Some(9))
    );
}

#[test]
fn seldom_tables_are_looked_at_every_tenth_time_and_all_is_told_again_daily() {
    let mut bench = Bench::new();
    bench.after(0);
    write(&bench.folder, "etc/cron.d/x", "* * * * * root /bin/evil\n");
    let looks: Vec<usize> = (0..10).map(|_| bench.differences(60).len()).collect();
    assert_eq!(looks, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let again = bench.after(86_400);
    let state = again.iter().filter(|(_, fields)| word(fields, "unmapped.change") == "state");
    let tables: std::collections::BTreeSet<&str> = state.map(|(_, fields)| word(fields, "unmapped.table")).collect();
    assert!(["processes", "users", "packages", "cron"].iter().all(|table| tables.contains(table)), "{tables:?}");
}

#[test]
fn what_cannot_be_read_for_once_is_not_gone() {
    let mut bench = Bench::new();
    bench.after(0);
    fs::remove_file(bench.folder.path("etc/group")).unwrap();
    fs::create_dir(bench.folder.path("etc/group")).unwrap();
    assert_eq!(bench.differences(60), []);
    fs::remove_dir(bench.folder.path("etc/group")).unwrap();
    write(&bench.folder, "etc/group", "root:x:0:\n");
    assert_eq!(bench.differences(60), [(3006, 5, "groups".to_owned())]);
}

#[test]
fn a_source_that_runs_tells_and_ends_when_it_is_asked_to() {
    use crate::source::Source as _;
    let folder = Folder::new();
    write(&folder, "etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    write(&folder, "var/lib/wtmpdb/wtmp.db", "SQLite format 3\0");
    let mut running = source(folder.as_ref().to_owned(), &[Table::Users, Table::Logins], &Clock::System);
    let (wake, health) = running.bells();
    let looks = std::sync::Arc::clone(&health);
    let kept = std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            let mut kept = Kept::default();
            running.run(&mut kept);
            kept
        });
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while health.snapshot().lines == 0 && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        wake.stop();
        thread.join().unwrap()
    });
    assert_eq!(kept.0.len(), 1);
    assert_eq!(word(&kept.0[0].1, "user.name"), "root");
    assert_eq!(looks.snapshot().count(Trouble::Unreadable), 1, "logins in a database that is not read are counted");
}

#[test]
fn what_was_logged_before_is_state_and_what_is_appended_happens_once() {
    use super::super::tables::logins::{Layout, made};
    let mut bench = Bench::new();
    let login = |user: &str| made(Layout::native(), 7, user, "pts/0", "", 1_000);
    fs::create_dir_all(bench.folder.path("var/log")).unwrap();
    let path = bench.folder.path("var/log/wtmp");
    fs::write(&path, login("old")).unwrap();
    let first = bench.after(0);
    let logins = |told: &[(Lane, Fields)]| -> Vec<(String, String)> {
        let of_class = told.iter().filter(|(_, fields)| number(fields, "class_uid") == Some(3002));
        of_class.map(|(_, fields)| (word(fields, "user.name").into(), word(fields, "unmapped.change").into())).collect()
    };
    assert_eq!(logins(&first), [("old".into(), "state".into())]);
    let mut grown = login("old");
    grown.extend(login("new"));
    grown.extend_from_slice(&login("torn")[..100]);
    fs::write(&path, &grown).unwrap();
    assert_eq!(logins(&bench.after(60)), [("new".into(), "add".into())]);
    assert_eq!(logins(&bench.after(86_400)), []);
    // The log was rotated.
    fs::remove_file(&path).unwrap();
    fs::write(bench.folder.path("var/log/wtmp.new"), login("next")).unwrap();
    fs::rename(bench.folder.path("var/log/wtmp.new"), &path).unwrap();
    assert_eq!(logins(&bench.after(60)), [("next".into(), "add".into())]);
}

#[test]
fn users_and_groups_that_the_systems_own_tools_make_are_told() {
    let mut bench = Bench::new();
    bench.after(0);
    let root = bench.folder.as_ref().to_owned();
    // A hash that is none.
    for (command, differences) in [
        ("groupadd -g 2000 ops", &[(3006, 6, "groups")][..]),
        ("useradd -M -N -g 0 -u 1234 eve", &[(3001, 1, "users")]),
        ("usermod -p $y$none eve", &[(3001, 12, "users")]),
        ("usermod -a -G ops eve", &[(3001, 99, "users"), (3006, 3, "groups")]),
        ("usermod -L eve", &[(3001, 9, "users")]),
        ("usermod -U eve", &[(3001, 12, "users")]),
        ("usermod -G root eve", &[(3001, 99, "users"), (3006, 3, "groups"), (3006, 4, "groups")]),
        ("userdel eve", &[(3001, 6, "users"), (3006, 4, "groups")]),
        ("groupdel ops", &[(3006, 5, "groups")]),
    ] {
        let mut words = command.split(' ');
        let mut tool = std::process::Command::new(words.next().unwrap());
        if !ran(tool.arg("--prefix").arg(&root).args(words)) {
            return;
        }
        let expected: Vec<_> =
            differences.iter().map(|(class, activity, table)| (*class, *activity, (*table).to_owned())).collect();
        assert_eq!(bench.differences(60), expected, "{command}");
    }
}
