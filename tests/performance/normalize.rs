//! `picket-bench normalize`: what it takes to open frames and normalize their lines, beside the yardstick; with `--lake` also to
//! write them to a lake, whole and without what repeats something else.
//!
//! In: the lines that everything is measured on, or those of the `.log` files below a folder (`--from`), sealed into frames as an
//! agent seals them. Out: CPU of this process while one interpreter opens every frame and shows each event to a sink that counts,
//! or to a lake: no journal, no network.

use std::convert::Infallible;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aggregator::event::Event;
use aggregator::journal::{Received, Wrap};
use aggregator::pipeline::interpret::Interpreter;
use aggregator::schema::Attribute;
use aggregator::sink::Sink;
use aggregator::sink::parquet::Lake;
use anyhow::{Context, ensure};
use picket_tests::harness::Corpus;
use shared::batch::{Batch, HostContext, Line, Origin};
use shared::frame::{Frame, Place, Sealer};
use shared::identity::{AgentId, ChainId, Epoch, FrameHash, Lane};
use shared::limits::FRAME_RAW_BYTES_SEAL;
use shared::time::{Clock, Timestamp};

use crate::end_to_end::{MIB, Plan, as_f64};
use crate::folder;
use crate::report::{Report, median};
use crate::yardstick::{Pass, cpu_seconds, zstd_blocks};

const CHAIN: ChainId = ChainId { agent: AgentId([1; 16]), lane: Lane::Normal, epoch: Epoch(1) };

/// What is measured, in memory.
struct Input {
    bytes: Vec<u8>,
    lines: u64,
    name: String,
}

impl Input {
    fn of(plan: &Plan) -> anyhow::Result<Self> {
        let mut bytes = Vec::new();
        if let Some(folder) = &plan.from {
            gather(folder, &mut bytes)?;
            ensure!(!bytes.is_empty(), "no .log file below {}", folder.display());
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            return Ok(Self { bytes, lines, name: folder.display().to_string() });
        }
        let size = usize::try_from(plan.mib << 20).context("so much does not fit into memory")?;
        let lines = Corpus::starting(plan.seed, plan.first_second()?).fill(&mut bytes, size);
        Ok(Self { bytes, lines, name: format!("{} MiB of seed {}", plan.mib, plan.seed) })
    }
}

/// The `.log` files below a folder, by name.
fn gather(folder: &Path, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, bytes)?;
        } else if path.extension().is_some_and(|extension| extension == "log") {
            bytes.extend(std::fs::read(&path).with_context(|| format!("read {}", path.display()))?);
            if bytes.last().is_some_and(|byte| *byte != b'\n') {
                bytes.push(b'\n');
            }
        }
    }
    Ok(())
}

/// Measures and prints.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let Input { bytes, lines, name } = Input::of(plan)?;
    let frames = sealed(&bytes)?;
    let (mut passes, mut opened) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        passes.push(zstd_blocks(&bytes)?);
        opened.push(open(&frames)?.cpu_seconds);
    }
    println!("{name}, {lines} lines, medians of {} runs", plan.runs);
    let mut report = Report::default();
    add(&mut report, as_f64(bytes.len() as u64), lines, &passes, &opened);
    report.print(&folder("normalize")?.join("figures.json"))
}

/// Takes out of an event what shall not reach the lake.
type Share = fn(&mut Event<'_>);

/// What of each event reaches the lake, by the name of its row.
const SHARES: [(&str, Share); 3] = [
    ("to the lake", |_| {}),
    ("to the lake without observables", |event| event.is_observed = false),
    ("to the lake without observables, message and raw line", |event| {
        event.is_observed = false;
        event.fields.retain(|field| !matches!(field.attribute, Attribute::Message | Attribute::RawData));
    }),
];
/// The lake commits behind so many events: as often as that of `end-to-end`, whose interval is a second.
const COMMIT_EVENTS: u64 = 200_000;

/// Measures [`SHARES`] and prints.
pub fn lake(plan: &Plan) -> anyhow::Result<()> {
    let Input { bytes, lines, name } = Input::of(plan)?;
    let frames = sealed(&bytes)?;
    let here = folder("normalize-lake")?;
    let (mut passes, mut opened, mut filled) = (Vec::new(), Vec::new(), SHARES.map(|_| Vec::new()));
    for _ in 0..plan.runs {
        passes.push(zstd_blocks(&bytes)?);
        opened.push(open(&frames)?.cpu_seconds);
        for ((_, share), filled) in SHARES.iter().zip(&mut filled) {
            filled.push(fill(&frames, &here.join("lake"), *share)?);
        }
    }
    println!("{name}, {lines} lines, medians of {} runs", plan.runs);
    let mut report = Report::default();
    add(&mut report, as_f64(bytes.len() as u64), lines, &passes, &opened);
    for ((name, _), filled) in SHARES.iter().zip(&filled) {
        let ratio = median(filled.iter().zip(&passes).map(|(cpu, pass)| cpu / pass.cpu_seconds));
        let line = median(filled.iter().copied()).map(|cpu| cpu * 1e9 / as_f64(lines));
        report.add(format!("{name}: CPU over zstd's"), ratio, "x");
        report.add(format!("{name}: a line"), line, "ns");
    }
    report.print(&here.join("figures.json"))
}

/// Opens and normalizes everything once into a new lake, commits included; the CPU that it took.
fn fill(frames: &[Frame], place: &Path, share: Share) -> anyhow::Result<f64> {
    if place.exists() {
        std::fs::remove_dir_all(place).with_context(|| format!("remove {}", place.display()))?;
    }
    let mut lake = Lake::open(place)?;
    let now = Clock::System.now();
    let wrap = Wrap { position: 1, records_before: 0, received: Received::own(now), is_cut: false };
    let mut interpreter = Interpreter::default();
    let start = cpu_seconds();
    let (mut events, mut cut) = (0, 1);
    for frame in frames {
        interpreter.frame(&wrap, frame, now, &mut |event| {
            share(event);
            events += 1;
            lake.push(event)
        })?;
        if events >= COMMIT_EVENTS {
            (events, cut) = (0, cut + 1);
            lake.commit(cut)?;
        }
    }
    lake.commit(cut + 1)?;
    Ok(cpu_seconds() - start)
}

/// The lines as frames of one agent, each as large as an agent's.
pub fn sealed(bytes: &[u8]) -> anyhow::Result<Vec<Frame>> {
    let now = Clock::System.now();
    let source = Arc::new(Origin {
        source: "corpus".to_owned(),
        kind: "file".to_owned(),
        log_name: "/var/log/corpus.log".to_owned(),
        ..Origin::default()
    });
    let host = HostContext { hostname: "bench".to_owned(), ..HostContext::default() };
    let mut sealer = Sealer::new().context("make a sealer")?;
    let (mut batch, mut frames, mut first_record, mut offset) = (Batch::default(), Vec::new(), 1, 0);
    // The first of a chain is its genesis.
    let mut sequence = 2;
    let mut lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let origin = batch.origin(&source);
        let full_size = line.len() as u64;
        batch.push_line(origin, now, Line { bytes: line, offset, full_size, flags: 0 });
        offset += full_size + 1;
        if batch.raw_len() >= FRAME_RAW_BYTES_SEAL || lines.peek().is_none() {
            let place = Place { chain: CHAIN, sequence, first_record, prev: FrameHash::ZERO, sealed_at: now };
            let frame = batch.with_columns(&host, |records, columns| sealer.data(&place, records, columns));
            frames.push(frame.context("seal a frame")?);
            (sequence, first_record) = (sequence + 1, first_record + u64::from(batch.records()));
            batch.clear();
        }
    }
    Ok(frames)
}

/// What opening and normalizing everything once took, and came to.
pub struct Opened {
    pub cpu_seconds: f64,
    pub events: u64,
}

/// Opens and normalizes everything once.
pub fn open(frames: &[Frame]) -> anyhow::Result<Opened> {
    let now = Clock::System.now();
    let wrap = Wrap { position: 1, records_before: 0, received: Received::own(now), is_cut: false };
    let mut interpreter = Interpreter::default();
    let start = cpu_seconds();
    let mut events = 0;
    for frame in frames {
        events += shown(&mut interpreter, &wrap, frame, now);
    }
    Ok(Opened { cpu_seconds: cpu_seconds() - start, events })
}

/// How many events a frame has.
fn shown(interpreter: &mut Interpreter, wrap: &Wrap, frame: &Frame, now: Timestamp) -> u64 {
    let mut events = 0;
    let shown = interpreter.frame(wrap, frame, now, &mut |event| {
        black_box(event);
        events += 1;
        Ok::<(), Infallible>(())
    });
    match shown {
        Ok(_) => events,
        Err(never) => match never {},
    }
}

/// The figures: of the corpus's `bytes` and `lines`, and of the same runs' yardsticks.
pub fn add(report: &mut Report, bytes: f64, lines: u64, passes: &[Pass], opened: &[f64]) {
    let cpu = median(opened.iter().copied());
    let ratio = median(opened.iter().zip(passes).map(|(cpu, pass)| cpu / pass.cpu_seconds));
    report.add("open + normalize: CPU over zstd's (≤ 3)", ratio, "x");
    report.add("open + normalize: throughput of a core", cpu.map(|cpu| bytes / MIB / cpu), "MiB/s");
    report.add("open + normalize: a line", cpu.map(|cpu| cpu * 1e9 / as_f64(lines)), "ns");
}
