//! Random changes of a tree with looks, restarts and crashes in between: what is told, put together, is what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;

/// What a path holds, as far as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Held {
    kind: u64,
    size: u64,
    hash: Option<String>,
    mode: String,
    owner: String,
    /// Of files only, nanoseconds.
    modified: i64,
    target: Option<String>,
}

type Tree = BTreeMap<String, Held>;

/// The tree as it is.
fn tree(root: &Path) -> Tree {
    let (mut found, mut paths) = (Tree::new(), vec![root.to_owned()]);
    while let Some(path) = paths.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let kind = meta.file_type();
        let (is_file, is_link) = (kind.is_file(), kind.is_symlink());
        let hash = is_file.then(|| data_encoding::HEXLOWER.encode(digest(&SHA256, &fs::read(&path).unwrap()).as_ref()));
        let held = Held {
            kind: if is_file {
                1
            } else if is_link {
                7
            } else if kind.is_dir() {
                2
            } else {
                5
            },
            size: if kind.is_dir() { 0 } else { meta.len() },
            hash,
            mode: format!("{:04o}", meta.mode() & 0o7777),
            owner: meta.uid().to_string(),
            modified: if is_file { meta.mtime() * 1_000_000_000 + meta.mtime_nsec() } else { 0 },
            target: is_link.then(|| fs::read_link(&path).unwrap().to_str().unwrap().to_owned()),
        };
        found.insert(path.to_str().unwrap().to_owned(), held);
        if kind.is_dir() {
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// What a record says of one file.
fn held(fields: &Fields, prefix: &str, word: &str) -> (String, Held) {
    let text = |key: &str| match value(fields, key) {
        Some(Value::String(text)) => Some(text.clone()),
        None => None,
        other => panic!("{key}: {other:?}"),
    };
    let kind = number(fields, &format!("{prefix}.type_id"));
    let hash = value(fields, &format!("{prefix}.hashes")).map(|hashes| {
        let Value::List(hashes) = hashes else { panic!("{hashes:?}") };
        let Value::Map(entries) = &hashes[0] else { panic!("{hashes:?}") };
        shown(entries, "value")
    });
    let Some(Value::Time(modified)) = value(fields, &format!("{prefix}.modified_time")) else { panic!("{fields:?}") };
    let held = Held {
        kind,
        size: number(fields, &format!("{prefix}.size")),
        hash,
        mode: text(&format!("unmapped.{word}mode")).unwrap(),
        owner: text(&format!("{prefix}.owner.uid")).unwrap(),
        modified: if kind == 1 { modified.0 } else { 0 },
        target: text(&format!("unmapped.{word}target")),
    };
    (shown(fields, &format!("{prefix}.path")), held)
}

/// The paths that a record says went, came and were altered; what was told becomes what it says.
#[derive(Default, PartialEq, Eq, Debug)]
struct Paths {
    gone: BTreeSet<String>,
    come: BTreeSet<String>,
    altered: BTreeSet<String>,
}

struct Model {
    bench: Bench,
    random: Random,
    seed: u64,
    /// What was told, put together.
    told: Tree,
    /// The tree of the baseline on disk.
    base: Tree,
    generation: u64,
    names: u64,
}

impl Model {
    /// Applies records; each path once in each role where nothing crashed.
    fn hear(&mut self, records: &[Fields], exactly: bool) -> Paths {
        let (mut paths, seed) = (Paths::default(), self.seed);
        let once = |is_new: bool, what: &str| assert!(is_new || !exactly, "seed {seed}: {what} was told twice");
        for fields in records.iter().filter(|fields| number(fields, "class_uid") == 1001) {
            match number(fields, "activity_id") {
                1 => {
                    let (path, held) = held(fields, "file", "");
                    once(paths.come.insert(path.clone()), &path);
                    self.told.insert(path, held);
                }
                4 => {
                    let (path, was) = held(fields, "file", "");
                    once(paths.gone.insert(path.clone()), &path);
                    let known = self.told.remove(&path);
                    assert!(!exactly || known.as_ref() == Some(&was), "seed {seed}: {path} was {known:?}, not {was:?}");
                }
                5 => {
                    let ((from, was), (to, is)) = (held(fields, "file", "previous_"), held(fields, "file_result", ""));
                    once(paths.gone.insert(from.clone()) && paths.come.insert(to.clone()), &from);
                    let known = self.told.remove(&from);
                    assert!(!exactly || known.as_ref() == Some(&was), "seed {seed}: {from} was {known:?}, not {was:?}");
                    self.told.insert(to, is);
                }
                _ => {
                    let ((path, was), (_, is)) = (held(fields, "file", "previous_"), held(fields, "file_result", ""));
                    once(paths.altered.insert(path.clone()), &path);
                    assert_ne!(was, is, "seed {seed}: nothing differs at {path}");
                    let known = self.told.insert(path.clone(), is);
                    assert!(!exactly || known.as_ref() == Some(&was), "seed {seed}: {path} was {known:?}, not {was:?}");
                }
            }
        }
        paths
    }

    fn some_path(&mut self, of: impl Fn(&Held) -> bool) -> Option<PathBuf> {
        let root = self.bench.folder.path("tree");
        let paths: Vec<_> = tree(&root).into_iter().filter(|(_, held)| of(held)).map(|(path, _)| path).collect();
        let path = paths.get(self.random.below(paths.len().max(1)))?;
        Some(PathBuf::from(path))
    }

    fn new_path(&mut self) -> PathBuf {
        let folder = self.some_path(|held| held.kind == 2).unwrap();
        self.names += 1;
        // Names that sort before and behind a slash.
        folder.join(format!("{}{}", ["a", "-", "a-", "a.", "~"][self.random.below(5)], self.names % 40))
    }

    /// Changes something.
    fn step(&mut self) {
        let root = self.bench.folder.path("tree");
        let is_root = |path: &Path| path == root;
        let what = self.random.below(13);
        let (new, bytes) = (self.new_path(), vec![b'x'; self.random.below(9)]);
        let file = self.some_path(|held| held.kind == 1);
        let any = self.some_path(|_| true).filter(|path| !is_root(path));
        // What cannot be done is not done.
        let _ = match (what, file, any) {
            (0 | 1, ..) => fs::write(&new, bytes),
            (2, ..) => fs::create_dir(&new),
            (3, ..) => symlink("some/where", &new),
            (4, Some(file), _) => fs::hard_link(file, &new),
            (5 | 6, Some(file), _) => fs::write(file, format!("{what}{}", self.names)),
            (7, Some(file), _) => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.names);
                fs::File::open(file).and_then(|file| file.set_modified(time))
            }
            (8, _, Some(any)) if !any.is_symlink() => {
                fs::set_permissions(any, fs::Permissions::from_mode([0o700, 0o755, 0o4711][self.random.below(3)]))
            }
            (9, _, Some(any)) => {
                std::os::unix::fs::lchown(any, Some(u32::try_from(self.random.below(3)).unwrap()), None)
            }
            (10 | 11, _, Some(any)) => fs::rename(any, &new),
            (12, _, Some(any)) if any.is_dir() && !any.is_symlink() => fs::remove_dir_all(any),
            (12, _, Some(any)) => fs::remove_file(any),
            _ => Ok(()),
        };
    }

    /// What differs between what was told and what is.
    fn differences(&self) -> Paths {
        let (is, mut paths) = (tree(&self.bench.folder.path("tree")), Paths::default());
        for (path, was) in &self.told {
            match is.get(path) {
                None => drop(paths.gone.insert(path.clone())),
                Some(now) if now.kind != was.kind => {
                    paths.gone.insert(path.clone());
                    paths.come.insert(path.clone());
                }
                Some(now) if now != was => drop(paths.altered.insert(path.clone())),
                Some(_) => {}
            }
        }
        paths.come.extend(is.keys().filter(|path| !self.told.contains_key(*path)).cloned());
        paths
    }

    /// The baseline may have been written.
    fn note_baseline(&mut self) {
        let generation = baseline::Baseline::open(&self.bench.baseline()).unwrap().header().generation;
        if generation != self.generation {
            (self.generation, self.base) = (generation, tree(&self.bench.folder.path("tree")));
        }
    }

    /// A crash takes what was known since the baseline: what is again as it was then differs from nothing.
    fn forget_what_came_back(&mut self) {
        let is = tree(&self.bench.folder.path("tree"));
        let paths: Vec<String> = self.told.keys().chain(is.keys()).cloned().collect();
        for path in paths.into_iter().filter(|path| self.base.get(path) == is.get(path)) {
            match is.get(&path) {
                Some(held) => drop(self.told.insert(path, held.clone())),
                None => drop(self.told.remove(&path)),
            }
        }
    }

    /// Looks by hints at every path that differs, or at everything.
    fn look(&mut self, expected: &Paths) {
        if self.random.below(2) == 0 {
            self.bench.inspector.scan(&mut self.bench.outlet);
        } else {
            let paths = expected.gone.iter().chain(&expected.come).chain(&expected.altered);
            let hints = paths.map(|path| (PathBuf::from(path), Hint::Name)).collect();
            self.bench.inspector.attend(hints, &mut self.bench.outlet);
        }
    }
}

/// Rounds of changes and looks; with `crashes` some looks lose what the spool did not have on disk.
fn live(seed: u64, rounds: usize, crashes: bool) {
    let mut bench = Bench::new();
    bench.scan();
    let told = tree(&bench.folder.path("tree"));
    let mut model = Model { bench, random: Random::new(seed), seed, base: told.clone(), told, generation: 1, names: 0 };
    for round in 0..rounds {
        (0..=model.random.below(8)).for_each(|_| model.step());
        let expected = model.differences();
        if crashes && model.random.below(3) == 0 {
            model.bench.outlet.takes = Some(model.random.below(2));
            model.look(&expected);
            model.note_baseline();
            model.bench.outlet.takes = None;
            // What was only in memory is gone, with what the source knew.
            model.bench.outlet.pending.clear();
            let heard = std::mem::take(&mut model.bench.outlet.durable);
            model.hear(&heard, false);
            model.bench.restart();
            assert!(model.bench.inspector.scan(&mut model.bench.outlet), "seed {seed}");
            let heard = model.bench.outlet.told();
            model.hear(&heard, false);
            model.forget_what_came_back();
        } else {
            model.look(&expected);
            if model.random.below(3) == 0 {
                model.bench.inspector.write(&mut model.bench.outlet);
                model.bench.restart();
                model.bench.inspector.scan(&mut model.bench.outlet);
            }
            let heard = model.bench.outlet.told();
            let exactly = !crashes;
            let paths = model.hear(&heard, exactly);
            assert!(!exactly || paths == expected, "seed {seed}, round {round}:\n{paths:#?}\n{expected:#?}");
        }
        let is = tree(&model.bench.folder.path("tree"));
        assert_eq!(model.told, is, "seed {seed}, round {round}");
        model.note_baseline();
        let lost = model.bench.health.snapshot().count(Trouble::Baseline);
        assert_eq!(lost, 0, "seed {seed}, round {round}: {:?}", model.bench.health.snapshot().last_error);
    }
}

#[test]
fn every_difference_between_two_looks_is_told_exactly_once_and_none_is_invented() {
    let seed = Random::seed();
    println!("PICKET_SEED={seed}");
    (0..4).for_each(|number| live(seed.wrapping_add(number), 60, false));
}

#[test]
fn with_crashes_every_difference_is_told_at_least_once() {
    let seed = Random::seed();
    println!("PICKET_SEED={seed}");
    (0..4).for_each(|number| live(seed.wrapping_add(number), 60, true));
}

/// `cargo test -p picket-agent --lib hundred_thousand_files -- --ignored --nocapture`
#[test]
#[ignore = "makes 100,000 files; run alone, its memory is the process's"]
fn hundred_thousand_files_cost_no_memory() {
    let mut bench = Bench::with(|config| config.watch_max = 8_192);
    for folder in 0..1_000 {
        fs::create_dir(bench.path(&format!("{folder:04}"))).unwrap();
        for file in 0..100 {
            fs::write(bench.path(&format!("{folder:04}/a-file-with-a-name-{file:03}.conf")), file.to_string()).unwrap();
        }
    }
    let cpu = || Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime)).unwrap();
    let peak = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("VmHWM")).unwrap().to_owned()
    };
    println!("before: {}", peak());
    for look in ["first look", "second look"] {
        let (begun, before) = (Instant::now(), cpu());
        bench.scan();
        println!("{look}: {:?} wall, {:?} CPU, {}", begun.elapsed(), cpu() - before, peak());
    }
    let (begun, before) = (Instant::now(), cpu());
    fs::write(bench.path("0500/a-file-with-a-name-050.conf"), "other").unwrap();
    assert_eq!(bench.attend(&[("0500/a-file-with-a-name-050.conf", Hint::Data)]).len(), 1);
    println!("one hint: {:?} wall, {:?} CPU", begun.elapsed(), cpu() - before);
    println!("baseline: {} bytes", fs::metadata(bench.baseline()).unwrap().len());
    let kib: u64 = peak().split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(kib <= 30 << 10, "{kib} KiB");
}
