//! Throw-away trees, and a model of what must be told of them.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use shared::record::{LossReason, Value};
use shared::time::Clock;

use super::*;
use crate::handover::{Checkpoints, Chunk, Loss, LossUnit, Outlet, Records, SourceIndex, Stopped, Untaken};
use crate::source::file::FileSources;
use crate::source::file::bench::Table;
use crate::source::file::watch::Hint;
use crate::source::health::{Health, Trouble};
use crate::source::scratch::{Folder, Random};
use crate::source::wake::Wake;

type Fields = Vec<(String, Value)>;

/// A spool whose memory a crash takes.
#[derive(Default)]
struct Kept {
    durable: Vec<Fields>,
    pending: Vec<Fields>,
    losses: Vec<Loss>,
    table: Arc<Table>,
    /// Takes this many hand-overs more, then nothing.
    takes: Option<usize>,
}

impl Outlet for Kept {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        chunk.checkpoint.into_iter().for_each(|checkpoint| self.table.put(checkpoint));
        Ok(())
    }
    fn records(&mut self, records: Records, _: Duration) -> Result<(), Untaken> {
        if let Some(takes) = &mut self.takes {
            *takes = takes.checked_sub(1).ok_or(Stopped)?;
        }
        self.pending.extend(records.records().iter().cloned());
        Ok(())
    }
    fn settle(&mut self, _: Lane) -> bool {
        self.durable.append(&mut self.pending);
        true
    }
    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.losses.push(loss);
        Ok(())
    }
}

impl Kept {
    /// What was told, settled or not.
    fn told(&mut self) -> Vec<Fields> {
        let mut told = std::mem::take(&mut self.durable);
        told.append(&mut self.pending);
        told
    }
}

/// A tree, a state folder, and a source that looks at the one and keeps its baseline in the other.
struct Bench {
    folder: Folder,
    outlet: Kept,
    config: IntegrityConfig,
    inspector: Inspector,
    health: Arc<Health>,
    wake: Arc<Wake>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut IntegrityConfig)) -> Self {
        let folder = Folder::new();
        for name in ["tree", "state"] {
            fs::create_dir(folder.path(name)).unwrap();
        }
        let mut config = IntegrityConfig {
            paths: vec![folder.glob("tree")],
            exclude: Vec::new(),
            interval: Duration::from_secs(3_600),
            hash_bytes_max: 1 << 20,
            watch_max: 0,
            cpu_percent: 100,
            lane: Lane::High,
            state_dir: folder.path("state"),
        };
        change(&mut config);
        let (wake, health) = (Arc::<Wake>::default(), Arc::<Health>::default());
        let outlet = Kept::default();
        let inspector = inspector(&config, &outlet, &wake, &health);
        Self { folder, outlet, config, inspector, health, wake }
    }

    /// The source is made anew, as after a start.
    fn restart(&mut self) {
        self.wake = Arc::default();
        self.inspector = inspector(&self.config, &self.outlet, &self.wake, &self.health);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path("tree").join(name)
    }

    fn baseline(&self) -> PathBuf {
        self.folder.path("state/integrity/fim.baseline")
    }

    /// Looks at everything; what was told, in short.
    fn scan(&mut self) -> Vec<String> {
        assert!(self.inspector.scan(&mut self.outlet));
        let told = self.outlet.told();
        told.iter().map(|fields| self.short(fields)).collect()
    }

    /// Looks at what is hinted at.
    fn attend(&mut self, hints: &[(&str, Hint)]) -> Vec<String> {
        let hints = hints.iter().map(|(name, hint)| (self.path(name), *hint)).collect();
        assert!(!self.inspector.attend(hints, &mut self.outlet));
        let told = self.outlet.told();
        told.iter().map(|fields| self.short(fields)).collect()
    }

    fn short(&self, fields: &Fields) -> String {
        let text = |key: &str| shown(fields, key).replace(self.folder.path("tree").to_str().unwrap(), "");
        match number(fields, "activity_id") {
            0 => format!("{} {}", text("metadata.event_code"), text("unmapped.reason")),
            1 => format!("create {}", text("file.path")),
            4 => format!("delete {}", text("file.path")),
            5 => format!("rename {} {}", text("file.path"), text("file_result.path")),
            _ => format!("{} {} {}", number(fields, "activity_id"), text("file.path"), text("unmapped.changed")),
        }
    }
}

fn surroundings(outlet: &Kept, wake: &Arc<Wake>, health: &Arc<Health>) -> Surroundings {
    Surroundings {
        index: SourceIndex(3),
        name: "fim".to_owned(),
        shared: Arc::new(FileSources::new(Watch::none(), Vec::new())),
        checkpoints: Arc::clone(&outlet.table) as Arc<dyn Checkpoints>,
        started: Clock::System.now(),
        clock: Clock::System,
        wake: Arc::clone(wake),
        health: Arc::clone(health),
    }
}

fn inspector(config: &IntegrityConfig, outlet: &Kept, wake: &Arc<Wake>, health: &Arc<Health>) -> Inspector {
    let around = surroundings(outlet, wake, health);
    let watch = if config.watch_max > 0 { Watch::start() } else { Watch::none() };
    Inspector::new(config.clone(), around, watch, Arc::default())
}

fn value<'a>(fields: &'a Fields, key: &str) -> Option<&'a Value> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

fn number(fields: &Fields, key: &str) -> u64 {
    match value(fields, key) {
        Some(Value::U64(number)) => *number,
        other => panic!("{key}: {other:?}"),
    }
}

fn shown(fields: &Fields, key: &str) -> String {
    match value(fields, key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::List(items)) => {
            let words = items.iter().map(|item| if let Value::String(text) = item { text.as_str() } else { "?" });
            words.collect::<Vec<_>>().join(",")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn first_look_tells_of_no_file_and_every_change_after_it_is_told_once() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    fs::create_dir(bench.path("d")).unwrap();
    assert_eq!(bench.scan(), ["baseline_lost missing", "baseline_made none"]);
    assert_eq!(bench.scan(), [""; 0]);
    fs::write(bench.path("a"), "two").unwrap();
    fs::write(bench.path("d/b"), "").unwrap();
    fs::set_permissions(bench.path("d"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(bench.scan(), ["3 /a content", "7 /d mode", "create /d/b"]);
    bench.restart();
    fs::rename(bench.path("d/b"), bench.path("c")).unwrap();
    fs::File::open(bench.path("a")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(bench.scan(), ["6 /a time", "rename /d/b /c"], "made while it was down");
    fs::remove_dir(bench.path("d")).unwrap();
    fs::remove_file(bench.path("a")).unwrap();
    symlink("c", bench.path("a")).unwrap();
    assert_eq!(bench.scan(), ["delete /a", "create /a", "delete /d"]);
}

#[test]
fn change_says_what_was_and_what_is() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    bench.scan();
    fs::write(bench.path("a"), "other").unwrap();
    fs::set_permissions(bench.path("a"), fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(bench.inspector.scan(&mut bench.outlet));
    let told = bench.outlet.told();
    let [fields] = &told[..] else { panic!("{told:?}") };
    assert_eq!((number(fields, "class_uid"), number(fields, "activity_id")), (1001, 3));
    assert_eq!((number(fields, "file.size"), number(fields, "file_result.size")), (3, 5));
    assert_eq!(
        (shown(fields, "unmapped.mode").as_str(), shown(fields, "unmapped.changed").as_str()),
        ("4755", "content,mode")
    );
    let hash = data_encoding::HEXLOWER.encode(digest(&SHA256, b"other").as_ref());
    assert!(format!("{:?}", value(fields, "file_result.hashes")).contains(&hash));
}

#[test]
fn extended_attributes_and_acls_are_told_also_where_they_come_and_go_within_a_tick() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    fs::create_dir(bench.path("d")).unwrap();
    bench.scan();
    let set = |bench: &Bench, path: &str, name: &str, value: &[u8]| {
        rustix::fs::setxattr(bench.path(path), name, value, rustix::fs::XattrFlags::empty())
    };
    if let Err(error) = set(&bench, "a", "user.note", b"0") {
        return println!("skipped: no extended attributes here: {error}");
    }
    assert_eq!(bench.scan(), ["6 /a user_attributes"]);
    for round in 1..10_u8 {
        set(&bench, "d", "user.note", &[round]).unwrap();
        assert_eq!(bench.scan(), ["6 /d user_attributes"], "round {round}");
    }
    rustix::fs::removexattr(bench.path("a"), "user.note").unwrap();
    assert_eq!(bench.scan(), ["6 /a user_attributes"]);
    // linux/posix_acl_xattr.h, version 2: the owner rw, user 1000 rw, the group r, mask rw, others r. Of the mode it changes
    // the middle bits, to the mask.
    let entry =
        |tag: u16, rights: u16, id: u32| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat();
    let nobody = u32::MAX;
    let entries = [(1, 6, nobody), (2, 6, 1000), (4, 4, nobody), (0x10, 6, nobody), (0x20, 4, nobody)];
    let acl: Vec<u8> = entries.into_iter().flat_map(|(tag, rights, id)| entry(tag, rights, id)).collect();
    match set(&bench, "a", "system.posix_acl_access", &[&2_u32.to_le_bytes()[..], &acl].concat()) {
        Ok(()) => assert_eq!(bench.scan(), ["7 /a mode,security_attributes"]),
        Err(error) => println!("skipped: no ACLs here: {error}"),
    }
    bench.restart();
    assert_eq!(bench.scan(), [""; 0], "the baseline has them");
}

#[test]
fn change_within_a_tick_of_the_clock_is_not_missed() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    bench.scan();
    for round in 0..20 {
        let time = fs::metadata(bench.path("a")).unwrap().modified().unwrap();
        fs::write(bench.path("a"), format!("{round:03}")).unwrap();
        fs::File::open(bench.path("a")).unwrap().set_modified(time).unwrap();
        assert_eq!(bench.scan(), ["3 /a content"], "round {round}");
    }
}

#[test]
fn baseline_that_is_missing_damaged_older_or_of_another_version_is_said() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    bench.scan();
    let old = fs::read(bench.baseline()).unwrap();
    fs::write(bench.path("b"), "").unwrap();
    assert_eq!(bench.scan(), ["create /b"]);

    fs::write(bench.baseline(), &old).unwrap();
    bench.restart();
    assert_eq!(bench.scan(), ["baseline_lost older", "create /b"]);
    bench.restart();
    assert_eq!(bench.scan(), [""; 0]);

    fs::remove_file(bench.baseline()).unwrap();
    bench.restart();
    fs::write(bench.path("c"), "").unwrap();
    assert_eq!(bench.scan(), ["baseline_lost missing", "baseline_made none"]);

    let mut bytes = fs::read(bench.baseline()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(bench.baseline(), &bytes).unwrap();
    bench.restart();
    assert_eq!(bench.scan(), ["baseline_lost damaged", "baseline_made none"]);
    assert_eq!(fs::read(bench.baseline().with_extension("unusable")).unwrap(), bytes, "kept for a person");

    fs::write(bench.baseline(), b"PKTFIM00 of an earlier version").unwrap();
    bench.restart();
    assert_eq!(bench.scan(), ["baseline_lost other_version", "baseline_made none"]);
    assert_eq!(bench.health.snapshot().count(Trouble::Baseline), 4);
}

#[test]
fn other_paths_in_the_fleet_file_are_no_changes_and_changes_beside_them_are_told() {
    let mut bench = Bench::new();
    for name in ["x", "y"] {
        fs::create_dir(bench.path(name)).unwrap();
        fs::write(bench.path(name).join("a"), "one").unwrap();
    }
    bench.config.paths = vec![bench.path("x").to_str().unwrap().to_owned()];
    bench.restart();
    bench.scan();
    bench.config.paths = vec![bench.folder.glob("tree")];
    bench.config.exclude = vec![bench.folder.glob("tree/*/no")];
    fs::write(bench.path("x/b"), "").unwrap();
    fs::create_dir(bench.path("x/no")).unwrap();
    fs::write(bench.path("x/no/a"), "").unwrap();
    bench.restart();
    assert_eq!(bench.scan(), ["create /x/b", "baseline_changed configuration"]);
    bench.config.paths = vec![bench.path("y").to_str().unwrap().to_owned()];
    fs::remove_file(bench.path("y/a")).unwrap();
    bench.restart();
    assert_eq!(bench.scan(), ["delete /y/a", "baseline_changed configuration"]);
}

#[test]
fn nothing_outside_the_tree_is_followed_and_nothing_but_files_is_opened() {
    let mut bench = Bench::new();
    fs::create_dir(bench.folder.path("outside")).unwrap();
    fs::write(bench.folder.path("outside/secret"), "x").unwrap();
    symlink(bench.folder.path("outside"), bench.path("out")).unwrap();
    symlink("loop", bench.path("loop")).unwrap();
    symlink(".", bench.path("here")).unwrap();
    let node = |name: &str, kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, bench.path(name), kind, rustix::fs::Mode::from_raw_mode(0o644), device)
    };
    node("fifo", rustix::fs::FileType::Fifo, 0).unwrap();
    if node("tty", rustix::fs::FileType::CharacterDevice, rustix::fs::makedev(5, 0)).is_err() {
        println!("no device was made: that needs CAP_MKNOD");
    }
    let _socket = std::os::unix::net::UnixListener::bind(bench.path("socket")).unwrap();
    bench.scan();
    fs::write(bench.folder.path("outside/secret"), "y").unwrap();
    assert_eq!(bench.scan(), [""; 0]);
    fs::remove_file(bench.path("loop")).unwrap();
    symlink("elsewhere", bench.path("loop")).unwrap();
    fs::remove_file(bench.path("fifo")).unwrap();
    assert_eq!(bench.scan(), ["3 /loop content", "delete /fifo"]);
}

#[test]
fn file_that_is_too_large_is_told_by_size_and_time_with_a_flag() {
    let mut bench = Bench::with(|config| config.hash_bytes_max = 4);
    fs::write(bench.path("a"), "12345").unwrap();
    bench.scan();
    fs::write(bench.path("a"), "123456").unwrap();
    assert!(bench.inspector.scan(&mut bench.outlet));
    let told = bench.outlet.told();
    assert_eq!(told.len(), 1);
    assert_eq!(shown(&told[0], "unmapped.not_hashed"), "too_large");
}

#[test]
fn folder_that_may_not_be_opened_keeps_what_was_known_of_it() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may open everything");
        return;
    }
    let mut bench = Bench::new();
    fs::create_dir(bench.path("d")).unwrap();
    fs::write(bench.path("d/a"), "x").unwrap();
    bench.scan();
    fs::set_permissions(bench.path("d"), fs::Permissions::from_mode(0o0)).unwrap();
    assert_eq!(bench.scan(), ["7 /d mode"]);
    fs::set_permissions(bench.path("d"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bench.scan(), ["7 /d mode"]);
}

#[test]
fn path_that_is_no_text_is_told_with_its_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let mut bench = Bench::new();
    bench.scan();
    fs::write(bench.folder.path("tree").join(std::ffi::OsStr::from_bytes(b"a\xff\n")), "x").unwrap();
    assert!(bench.inspector.scan(&mut bench.outlet));
    let told = bench.outlet.told();
    assert!(shown(&told[0], "file.path").ends_with("/a\u{fffd}\n"));
    assert!(
        matches!(value(&told[0], "unmapped.path_bytes"), Some(Value::Bytes(bytes)) if bytes.ends_with(b"/a\xff\n"))
    );
}

#[test]
fn deep_tree_is_cut_at_its_bound_and_counted() {
    let mut bench = Bench::new();
    let mut path = bench.path("d");
    for _ in 0..200 {
        fs::create_dir(&path).unwrap();
        path.push("d");
    }
    bench.scan();
    bench.inspector.report();
    assert_eq!(bench.health.snapshot().integrity.unwrap().out_of_bounds, 1);
    assert_eq!(bench.scan(), [""; 0]);
}

#[test]
fn hint_is_looked_at_alone_and_a_later_look_at_everything_does_not_repeat_it() {
    let mut bench = Bench::new();
    fs::write(bench.path("a"), "one").unwrap();
    bench.scan();
    fs::write(bench.path("a"), "two").unwrap();
    fs::write(bench.path("b"), "not hinted at").unwrap();
    assert_eq!(bench.attend(&[("a", Hint::Data)]), ["3 /a content"]);
    assert_eq!(bench.attend(&[("a", Hint::Data)]), [""; 0]);
    fs::create_dir_all(bench.path("d/e")).unwrap();
    fs::write(bench.path("d/e/f"), "").unwrap();
    fs::rename(bench.path("a"), bench.path("c")).unwrap();
    let hints = [("a", Hint::Name), ("c", Hint::Moved), ("d", Hint::Name), ("d/e", Hint::Name), ("none", Hint::Data)];
    let told = bench.attend(&hints);
    assert_eq!(
        told,
        ["rename /a /c", "create /d", "create /d/e", "create /d/e/f"].map(str::to_owned).to_vec().sorted(&told)
    );
    assert_eq!(bench.scan(), ["create /b"]);
    fs::remove_dir_all(bench.path("d")).unwrap();
    assert_eq!(bench.attend(&[("d", Hint::Name)]).len(), 3);
    bench.inspector.write(&mut bench.outlet);
    bench.restart();
    assert_eq!(bench.scan(), [""; 0], "what was written needs no look");
}

/// What found no other half comes in no order.
trait Sorted {
    fn sorted(self, like: &[String]) -> Vec<String>;
}

impl Sorted for Vec<String> {
    fn sorted(mut self, like: &[String]) -> Self {
        self.sort_by_key(|one| like.iter().position(|other| other == one));
        self
    }
}

#[test]
fn folders_beyond_the_budget_are_only_scanned() {
    let mut bench = Bench::with(|config| config.watch_max = 3);
    for i in 0..5 {
        fs::create_dir(bench.path(&i.to_string())).unwrap();
    }
    bench.scan();
    bench.inspector.report();
    let snapshot = bench.health.snapshot().integrity.unwrap();
    assert_eq!((snapshot.folders_watched, snapshot.folders_scanned_only), (3, 3));
    fs::write(bench.path("4/a"), "").unwrap();
    assert_eq!(bench.scan(), ["create /4/a"]);
    fs::remove_dir(bench.path("0")).unwrap();
    assert_eq!(bench.scan(), ["delete /0"]);
    bench.inspector.report();
    assert_eq!(bench.health.snapshot().integrity.unwrap().folders_scanned_only, 2, "its watch went to another");
}

#[test]
fn queue_of_the_kernel_that_ran_over_is_a_loss_in_its_own_unit() {
    let mut bench = Bench::new();
    bench.inspector.say_overflow(&mut bench.outlet);
    let loss = &bench.outlet.losses[0];
    assert_eq!((loss.reason, loss.unit, loss.count), (LossReason::WatchOverflow, LossUnit::FileChanges, None));
}

/// Says what was told to whoever waits.
struct Said(std::sync::mpsc::SyncSender<Fields>, Arc<Table>);

impl Outlet for Said {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        chunk.checkpoint.into_iter().for_each(|checkpoint| self.1.put(checkpoint));
        Ok(())
    }
    fn records(&mut self, records: Records, _: Duration) -> Result<(), Untaken> {
        records.records().iter().for_each(|fields| self.0.send(fields.clone()).unwrap());
        Ok(())
    }
    fn loss(&mut self, _: Loss) -> Result<(), Stopped> {
        Ok(())
    }
}

#[test]
fn running_source_tells_of_changes_as_they_come_and_remembers_them_at_its_end() {
    let bench = Bench::with(|config| config.watch_max = 100);
    let (say, said) = std::sync::mpsc::sync_channel(1_000);
    let await_change = |wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let fields = said.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap();
            if bench.short(&fields) == wanted {
                return shown_or(&fields, "unmapped.found_by");
            }
        }
    };
    let run = |wake: Arc<Wake>| {
        let around = surroundings(&bench.outlet, &wake, &bench.health);
        let (mut source, mut outlet) =
            (IntegritySource::new(bench.config.clone(), around), Said(say.clone(), Arc::clone(&bench.outlet.table)));
        std::thread::spawn(move || source.run(&mut outlet))
    };
    let wake = Arc::<Wake>::default();
    let running = run(Arc::clone(&wake));
    await_change("baseline_made none");
    fs::create_dir(bench.path("d")).unwrap();
    assert_eq!(await_change("create /d"), "watch");
    fs::write(bench.path("d/a"), "x").unwrap();
    assert_eq!(await_change("create /d/a"), "watch");
    wake.stop();
    running.join().unwrap();
    let wake = Arc::<Wake>::default();
    fs::remove_file(bench.path("d/a")).unwrap();
    let running = run(Arc::clone(&wake));
    assert_eq!(await_change("delete /d/a"), "scan", "it is known although no look at everything saw it");
    wake.stop();
    running.join().unwrap();
}

fn shown_or(fields: &Fields, key: &str) -> String {
    if value(fields, key).is_some() { shown(fields, key) } else { String::new() }
}

#[test]
fn stop_within_a_look_leaves_the_rest_as_it_was() {
    let mut bench = Bench::new();
    for i in 0..300 {
        fs::write(bench.path(&format!("{i:03}")), "x").unwrap();
    }
    bench.scan();
    for i in 0..300 {
        fs::write(bench.path(&format!("{i:03}")), "y").unwrap();
    }
    bench.wake.stop();
    assert!(!bench.inspector.scan(&mut bench.outlet), "cut");
    let first = bench.outlet.told().len();
    bench.restart();
    assert_eq!(first + bench.scan().len(), 300);
}

mod model;
