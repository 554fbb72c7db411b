//! `kill -9` of an agent that looks after files: while it looks, while it writes its baseline, while files change. What is
//! told, applied to the tree as it was, is the tree as it is; nothing is told more often than the agent died since; and no
//! baseline is lost or made anew in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, Place, Programs, Random, Seeded, await_until, events};
use serde_json::Value;
use xtask::Failure;

use crate::world::{DEADLINE, PACE};

const FOLDERS: u64 = 20;
const FILES: u64 = 400;
const ROUNDS: usize = 14;

/// Points of the agent, with how often they are passed at most before it dies.
const POINTS: [(&str, u64); 7] = [
    ("integrity.path", FILES),
    ("integrity.block", 2),
    ("integrity.told", 1),
    ("integrity.baseline", 3),
    ("spool.write", 2),
    ("spool.committed", 2),
    ("spool.acked", 2),
];

/// Something done to a file, which is told at most once and once more for each death since.
#[derive(Clone, Copy, Debug)]
struct Done {
    deaths_before: u64,
}

/// Files, each content of a size of its own.
struct Tree {
    root: PathBuf,
    random: Random,
    /// Size by path: what is there.
    files: BTreeMap<String, u64>,
    /// What may go: a file that came since the baseline may go unseen.
    old: BTreeSet<String>,
    written: BTreeMap<u64, Done>,
    gone: BTreeMap<String, Done>,
    next: u64,
    deaths: u64,
}

impl Tree {
    fn plant(root: PathBuf, seed: u64) -> anyhow::Result<Self> {
        let mut this = Self {
            root,
            random: Random::new(seed),
            files: BTreeMap::new(),
            old: BTreeSet::new(),
            written: BTreeMap::new(),
            gone: BTreeMap::new(),
            next: 1,
            deaths: 0,
        };
        for folder in 0..FOLDERS {
            std::fs::create_dir_all(this.root.join(format!("folder-{folder:02}")))?;
        }
        for _ in 0..FILES {
            this.create()?;
        }
        this.old = this.files.keys().cloned().collect();
        this.written.clear();
        Ok(this)
    }

    fn new_path(&mut self) -> String {
        let folder = self.random.below(FOLDERS);
        self.root.join(format!("folder-{folder:02}/file-{:05}", self.next)).display().to_string()
    }

    fn write(&mut self, path: String) -> anyhow::Result<()> {
        let size = self.next;
        self.next += 1;
        std::fs::write(&path, vec![b'x'; usize::try_from(size)?]).with_context(|| format!("write {path}"))?;
        self.files.insert(path, size);
        self.written.insert(size, Done { deaths_before: self.deaths });
        Ok(())
    }

    fn create(&mut self) -> anyhow::Result<()> {
        let path = self.new_path();
        self.write(path)
    }

    fn any(&mut self, of_old: bool) -> Option<String> {
        let count = if of_old { self.old.len() } else { self.files.len() };
        let at = usize::try_from(self.random.below(count.max(1) as u64)).ok()?;
        if of_old { self.old.iter().nth(at).cloned() } else { self.files.keys().nth(at).cloned() }
    }

    /// Changes something.
    fn change(&mut self) -> anyhow::Result<()> {
        match self.random.below(5) {
            0 => self.create(),
            1 => {
                let Some(path) = self.any(true) else { return Ok(()) };
                std::fs::remove_file(&path)?;
                self.old.remove(&path);
                self.files.remove(&path);
                self.gone.insert(path, Done { deaths_before: self.deaths });
                Ok(())
            }
            2 => {
                let Some(path) = self.any(true) else { return Ok(()) };
                let to = self.new_path();
                self.next += 1;
                std::fs::rename(&path, &to)?;
                self.old.remove(&path);
                let size = self.files.remove(&path).context("it was there")?;
                self.files.insert(to, size);
                self.gone.insert(path, Done { deaths_before: self.deaths });
                Ok(())
            }
            _ => match self.any(false) {
                Some(path) => self.write(path),
                None => Ok(()),
            },
        }
    }

    fn change_some(&mut self) -> anyhow::Result<()> {
        (0..=self.random.below(12)).try_for_each(|_| self.change())
    }
}

/// What the lake says.
#[derive(Default)]
struct Told {
    /// Size by path, after all that was told.
    files: BTreeMap<String, u64>,
    written: BTreeMap<u64, u64>,
    gone: BTreeMap<String, u64>,
}

impl Told {
    /// Applies what is in the lake to what was there at first.
    fn read(lake: &Path, first: &BTreeMap<String, u64>) -> anyhow::Result<Self> {
        let mut told = Self { files: first.clone(), ..Self::default() };
        for event in events(lake, "file_activity")? {
            let of = |object: &str| -> Option<(String, u64)> {
                let file = event.get(object)?;
                Some((file.get("path")?.as_str()?.to_owned(), file.get("size")?.as_u64()?))
            };
            // Of folders only the time changes.
            if event.pointer("/file/type_id") != Some(&Value::from(1)) {
                continue;
            }
            let (path, size) = of("file").context("a file")?;
            match event.get("activity_id").and_then(Value::as_u64) {
                Some(1) => told.came(path, size),
                Some(4) => told.went(path),
                Some(5) => {
                    told.went(path);
                    let (to, size) = of("file_result").context("where it is now")?;
                    told.files.insert(to, size);
                }
                Some(3) => {
                    let (path, size) = of("file_result").context("what it is now")?;
                    told.came(path, size);
                }
                other => ensure!(other == Some(6) || other == Some(7), "{event}"),
            }
        }
        Ok(told)
    }

    fn came(&mut self, path: String, size: u64) {
        *self.written.entry(size).or_default() += 1;
        self.files.insert(path, size);
    }

    fn went(&mut self, path: String) {
        *self.gone.entry(path.clone()).or_default() += 1;
        self.files.remove(&path);
    }

    /// Nothing more often than the agent died since it was done, and nothing that nobody did.
    #[track_caller]
    fn assert_once(&self, tree: &Tree) {
        let most = |done: Option<&Done>| done.map_or(0, |done| 1 + tree.deaths - done.deaths_before);
        for (size, count) in &self.written {
            // A file that was renamed and then written, or seen again after a death, came under its new name.
            let was_first = !tree.written.contains_key(size);
            assert!(was_first || *count <= most(tree.written.get(size)), "content {size} was told {count} times");
        }
        for (path, count) in &self.gone {
            assert!(*count <= most(tree.gone.get(path)), "{path} was told to be gone {count} times");
        }
    }
}

/// How often a baseline was lost and made, and for which reasons it was lost.
fn baselines(lake: &Path) -> anyhow::Result<(usize, usize, BTreeSet<String>)> {
    let (mut lost, mut made, mut reasons) = (0, 0, BTreeSet::new());
    for event in events(lake, "base_event")? {
        match event.pointer("/metadata/event_code").and_then(Value::as_str) {
            Some("baseline_lost") => {
                lost += 1;
                let unmapped: Value = serde_json::from_str(event["unmapped"].as_str().unwrap_or_default())?;
                reasons.insert(unmapped["reason"].as_str().unwrap_or_default().to_owned());
            }
            Some("baseline_made") => made += 1,
            _ => {}
        }
    }
    Ok((lost, made, reasons))
}

/// Waits until nothing is on its way to the lake.
fn await_quiet(agent: &Agent, aggregator: &Aggregator) -> anyhow::Result<()> {
    let on_the_way = [
        ("picket_agent_books_records", "held"),
        ("picket_agent_books_records", "spooled"),
        ("picket_aggregator_books_records", "pending"),
        ("picket_aggregator_books_sink_events", "pending"),
    ];
    let quiet = await_until("quiet books", DEADLINE, || {
        let metrics = agent.metrics()?.and(aggregator.metrics()?);
        let count = on_the_way.iter().map(|(family, entry)| metrics.count(family, &[("entry", entry)])).sum::<u64>();
        Ok((count == 0).then_some(()))
    });
    Ok(quiet?)
}

/// An agent that dies at a point, with what is done meanwhile.
fn die(agent: &mut Agent, tree: &mut Tree, (point, passes): (&str, u64), changes: bool) -> anyhow::Result<()> {
    agent.set_env("PICKET_FAULT", &format!("{point}:{passes}"));
    agent.start()?;
    let status = await_until(&format!("the death at {point}"), DEADLINE, || {
        if changes {
            tree.change().map_err(|error| Failure::new(format!("{error:#}")))?;
        }
        agent.ended()
    })?;
    ensure!(status.signal() == Some(9), "it ended with {status}; its log: {}", agent.log().display());
    agent.await_end(DEADLINE)?;
    tree.deaths += 1;
    agent.set_env("PICKET_FAULT", "");
    Ok(())
}

#[test]
fn agent_that_dies_loses_no_change_of_a_file_and_makes_no_baseline_in_silence() -> anyhow::Result<()> {
    let mut seeded = Seeded::new(701);
    println!("seed {0}: PICKET_SEED={0} repeats this", seeded.seed());
    let mut place = Place::new("integrity")?;
    place.keep_as_evidence(true);
    let programs = Programs::of_this_build()?;
    let mut tree = Tree::plant(place.at("tree"), seeded.seed())?;
    let first = tree.files.clone();
    let mut aggregator = Aggregator::init(&programs, &place.at("aggregator"), PACE)?;
    aggregator.start()?;
    let fleet = format!(
        "version: 1\ndefaults:\n  sources:\n    guard: {{ type: integrity, paths: [\"{}\"], interval: 1m, cpu_percent: 100 }}\n",
        tree.root.display()
    );
    let mut agent = Agent::enroll(&programs, &place.at("agent"), &aggregator, "host-1", &fleet)?;
    let lake = aggregator.lake();
    let wrap = |error: anyhow::Error| Failure::new(format!("{error:#}"));

    // The first baseline: until it is in place every start says that there is none.
    die(&mut agent, &mut tree, ("integrity.block", 1), false)?;
    die(&mut agent, &mut tree, ("integrity.baseline", 2), false)?;
    agent.start()?;
    await_until("a baseline", DEADLINE, || {
        let paths = agent.metrics().map(|metrics| metrics.count("picket_agent_integrity_paths", &[]));
        Ok((paths.unwrap_or(0) > FILES).then_some(()))
    })?;
    await_quiet(&agent, &aggregator)?;
    let made = baselines(&lake)?;
    assert!(made.1 > 0, "the first baseline is told");
    assert!(made.0 >= made.1, "a baseline was made {} times and lost {} times", made.1, made.0);
    assert_eq!(made.2, BTreeSet::from(["missing".to_owned()]));

    for round in 0..ROUNDS {
        let gently = seeded.random.one_in(3);
        if gently {
            agent.stop()?
        } else {
            agent.kill()?
        }
        tree.deaths += u64::from(!gently);
        tree.change_some()?;
        let (point, most) = POINTS[round % POINTS.len()];
        let passes = 1 + seeded.random.below(most);
        let (armed, changes) = (!seeded.random.one_in(4), seeded.random.one_in(2));
        println!("round {round}: {point} at passing {passes}, armed {armed}, changes meanwhile {changes}");
        if armed {
            // Only with something to tell the spool writes.
            let changes = changes || point.starts_with("spool.");
            die(&mut agent, &mut tree, (point, passes), changes)?;
            tree.change_some()?;
        }
        agent.start()?;
        let settled = await_until("the tree in the lake", DEADLINE, || {
            Ok((Told::read(&lake, &first).map_err(wrap)?.files == tree.files).then_some(()))
        });
        let told = Told::read(&lake, &first)?;
        if let Err(failure) = settled {
            let wrong = |of: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>| {
                of.iter()
                    .filter(|(path, size)| other.get(*path) != Some(*size))
                    .map(|it| format!("{it:?}"))
                    .collect::<Vec<_>>()
            };
            println!("there: {:?}\ntold: {:?}", wrong(&tree.files, &told.files), wrong(&told.files, &tree.files));
            return Err(failure.into());
        }
        told.assert_once(&tree);
    }
    await_quiet(&agent, &aggregator)?;
    let (lost, made_in_all, _) = baselines(&lake)?;
    assert_eq!((lost, made_in_all), (made.0, made.1), "a baseline was lost or made anew");
    agent.stop()?;
    aggregator.stop()?;
    place.keep_as_evidence(false);
    Ok(())
}
