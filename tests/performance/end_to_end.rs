//! One agent and one aggregator, the release builds, on loopback: a file of real shapes from disk to the lake.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use picket_tests::harness::{Agent, Aggregator, Corpus, Metrics, Pace, Programs, Usage, await_until};

use shared::time::Clock;

use crate::normalize::Opened;
use crate::report::{Report, median};
use crate::yardstick::{Pass, zstd_blocks};
use crate::{folder, known, normalize, option, rsyslog};

const DEADLINE: Duration = Duration::from_secs(600);
/// Bytes.
pub const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

/// What is measured.
pub struct Plan {
    /// How large the input is.
    pub mib: u64,
    /// How often it is read.
    pub runs: u64,
    /// What it is drawn from.
    pub seed: u64,
    /// The folder whose lines are the input of `normalize` instead.
    pub from: Option<PathBuf>,
}

impl Plan {
    /// From options.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        let (from, arguments) = match arguments {
            ["--from", folder, rest @ ..] => (Some(PathBuf::from(folder)), rest),
            rest => (None, rest),
        };
        known(arguments, &["--mib", "--runs", "--seed"])?;
        Ok(Self {
            from,
            mib: option(arguments, "--mib", 256)?,
            runs: option(arguments, "--runs", 5)?,
            seed: option(arguments, "--seed", 1)?,
        })
    }

    /// When the first line was written: an hour ago, so that nothing is flagged for a time that cannot be right.
    pub fn first_second(&self) -> anyhow::Result<u64> {
        let now = u64::try_from(Clock::System.now().as_ms() / 1_000).context("read the clock")?;
        Ok(now - 3_600)
    }
}

/// The file that everybody reads.
pub struct Input {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its lines.
    pub lines: u64,
}

/// What one run of both programs took.
struct Run {
    seconds_to_lake: f64,
    agent: Usage,
    aggregator: Usage,
    frame_bytes: u64,
    ack_p50_ms: Option<f64>,
    ack_p99_ms: Option<f64>,
}

/// Runs it all and reports.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    measure(plan, Some(&Programs::of_this_build()?))
}

/// The yardsticks alone.
pub fn yardsticks(plan: &Plan) -> anyhow::Result<()> {
    measure(plan, None)
}

fn measure(plan: &Plan, programs: Option<&Programs>) -> anyhow::Result<()> {
    ensure!(plan.from.is_none(), "--from is an option of normalize: with an agent the corpus is what is read");
    let here = folder("end-to-end")?;
    let input = input(&here, plan)?;
    let rsyslog = rsyslog::Tools::find();
    if let Err(why) = &rsyslog {
        println!("rsyslog is not measured: {why}");
    }
    let (mut passes, mut opened, mut runs, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for number in 1..=plan.runs {
        println!("run {number} of {}", plan.runs);
        let bytes = std::fs::read(&input.path).with_context(|| format!("read {}", input.path.display()))?;
        passes.push(zstd_blocks(&bytes)?);
        if let Some(programs) = programs {
            let frames = normalize::sealed(&bytes)?;
            drop(bytes);
            let Opened { cpu_seconds, events } = normalize::open(&frames)?;
            ensure!(events == input.lines, "{events} events of {} lines", input.lines);
            opened.push(cpu_seconds);
            drop(frames);
            runs.push(one_run(programs, &here.join("run"), &input).with_context(|| format!("run {number}"))?);
        }
        if let Ok(tools) = &rsyslog {
            others.push(tools.run(&here.join("rsyslog"), &input).context("rsyslog")?);
        }
    }
    println!("\n{} MiB, {} lines, seed {}, medians of {} runs", plan.mib, input.lines, plan.seed, plan.runs);
    let mut report = Report::default();
    add_picket(&mut report, &input, &passes, &runs);
    if !opened.is_empty() {
        normalize::add(&mut report, as_f64(input.bytes), input.lines, &passes, &opened);
    }
    add_rsyslog(&mut report, &input, &others);
    report.print(&here.join("figures.json"))?;
    std::fs::remove_file(&input.path).with_context(|| format!("remove {}", input.path.display()))
}

fn input(here: &Path, plan: &Plan) -> anyhow::Result<Input> {
    let path = here.join("corpus.log");
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    let (bytes, lines) = Corpus::starting(plan.seed, plan.first_second()?)
        .write(&mut file, plan.mib << 20)
        .context("write the corpus")?;
    Ok(Input { path, bytes, lines })
}

/// A fresh CA, aggregator and agent; until every line is in the lake.
fn one_run(programs: &Programs, here: &Path, input: &Input) -> anyhow::Result<Run> {
    if here.exists() {
        std::fs::remove_dir_all(here).with_context(|| format!("remove {}", here.display()))?;
    }
    let pace = Pace { commit: Duration::from_secs(1), ..Pace::DEFAULT };
    let mut aggregator = Aggregator::init(programs, &here.join("aggregator"), pace)?;
    aggregator.start()?;
    let fleet = format!(
        "version: 1\ndefaults:\n  sources:\n    corpus: {{ type: file, include: [\"{}\"], lane: normal }}\n",
        input.path.display()
    );
    let mut agent = Agent::enroll(programs, &here.join("agent"), &aggregator, "bench", &fleet)?;
    let start = Instant::now();
    agent.start()?;
    await_until("every line in the lake", DEADLINE, || Ok(delivered(&aggregator.metrics()?, input).then_some(())))?;
    let seconds_to_lake = start.elapsed().as_secs_f64();
    let said = aggregator.metrics()?;
    let asked = agent.metrics()?;
    let millis = |q| asked.quantile("picket_agent_uplink_ack_latency_seconds", q).map(|seconds| seconds * 1e3);
    let run = Run {
        seconds_to_lake,
        agent: agent.usage()?,
        aggregator: aggregator.usage()?,
        frame_bytes: said.count("picket_aggregator_ingest_frame_bytes_total", &[]),
        ack_p50_ms: millis(0.5),
        ack_p99_ms: millis(0.99),
    };
    agent.stop()?;
    aggregator.stop()?;
    Ok(run)
}

fn delivered(metrics: &Metrics, input: &Input) -> bool {
    metrics.count("picket_aggregator_sink_delivered_events_total", &[("sink", "lake")]) >= input.lines
}

fn add_picket(report: &mut Report, input: &Input, passes: &[Pass], runs: &[Run]) {
    let bytes = as_f64(input.bytes);
    let zstd = median(passes.iter().map(|pass| pass.cpu_seconds));
    let zstd_ratio = median(passes.iter().map(|pass| bytes / as_f64(pass.packed_bytes)));
    let per_gib = |cpu: Option<f64>| cpu.map(|cpu| cpu / (bytes / GIB));
    report.add("zstd -1 on 256 KiB blocks: CPU", per_gib(zstd), "s/GiB");
    report.add("zstd -1 on 256 KiB blocks: ratio", zstd_ratio, ": 1");
    if runs.is_empty() {
        return;
    }

    let of = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure));
    let over = |figure: Option<f64>, yardstick: Option<f64>| {
        figure.zip(yardstick).map(|(figure, yardstick)| figure / yardstick)
    };
    report.add("file to lake: throughput", of(&|run| bytes / MIB / run.seconds_to_lake), "MiB/s");
    for (name, cpu, peak) in [
        ("agent", of(&|run| run.agent.cpu_seconds), of(&|run| as_f64(run.agent.resident_bytes_peak) / MIB)),
        (
            "aggregator",
            of(&|run| run.aggregator.cpu_seconds),
            of(&|run| as_f64(run.aggregator.resident_bytes_peak) / MIB),
        ),
    ] {
        report.add(format!("{name}: CPU"), per_gib(cpu), "s/GiB");
        report.add(format!("{name}: CPU over zstd's"), over(cpu, zstd), "x");
        report.add(format!("{name}: peak RSS"), peak, "MiB");
    }
    let wire = median(runs.iter().filter(|run| run.frame_bytes > 0).map(|run| bytes / as_f64(run.frame_bytes)));
    report.add("wire: ratio with headers", wire, ": 1");
    report.add("wire: ratio over zstd's", over(wire, zstd_ratio), "x");
    report.add("ack latency p50", median(runs.iter().filter_map(|run| run.ack_p50_ms)), "ms");
    report.add("ack latency p99", median(runs.iter().filter_map(|run| run.ack_p99_ms)), "ms");
}

fn add_rsyslog(report: &mut Report, input: &Input, runs: &[rsyslog::Run]) {
    if runs.is_empty() {
        return;
    }
    let bytes = as_f64(input.bytes);
    let of = |figure: &dyn Fn(&rsyslog::Run) -> f64| median(runs.iter().map(figure));
    report.add("rsyslog over TLS, file to file: throughput", of(&|run| bytes / MIB / run.seconds), "MiB/s");
    report.add("rsyslog sender: CPU", of(&|run| run.sender.cpu_seconds / (bytes / GIB)), "s/GiB");
    report.add("rsyslog sender: peak RSS", of(&|run| as_f64(run.sender.resident_bytes_peak) / MIB), "MiB");
    report.add("rsyslog receiver: CPU", of(&|run| run.receiver.cpu_seconds / (bytes / GIB)), "s/GiB");
    report.add("rsyslog receiver: peak RSS", of(&|run| as_f64(run.receiver.resident_bytes_peak) / MIB), "MiB");
}

/// Counts of bytes as the figures need them.
#[expect(clippy::cast_precision_loss, reason = "figures have three digits")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}
