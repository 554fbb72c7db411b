//! `picket-bench log`: the log that spool and journal stand on, beside yardsticks of the same minutes.
//!
//! Each run measures everything once, ours and the yardstick in turns; the table has medians of the runs and, where a
//! bound is a ratio, the median of the runs' ratios.

mod backlog;
mod commits;
mod journal;
mod owner;
mod spool;

use std::path::Path;

use anyhow::Context;

pub use backlog::{CHILD, work};

use crate::end_to_end::as_f64;
use crate::report::{Report, median};
use crate::{folder, known, option};
use backlog::{Figures, child};
use commits::{APPENDERS, Case};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// What is measured.
pub struct Plan {
    backlog_mib: u64,
    runs: u64,
}

impl Plan {
    /// From options.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        known(arguments, &["--mib", "--runs"])?;
        Ok(Self { backlog_mib: option(arguments, "--mib", 1_024)?, runs: option(arguments, "--runs", 5)? })
    }
}

/// Runs it all and reports.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let here = folder("log")?;
    let mut report = Report::default();
    commits(&mut report, plan, &here)?;
    written(&mut report, &here)?;
    for frame in [512, 128 * KIB] {
        backlog(&mut report, plan, &here, frame)?;
    }
    spool(&mut report, plan, &here)?;
    journal(&mut report, plan, &here)?;
    println!("\nmedians of {} runs; backlogs of {} MiB", plan.runs, plan.backlog_mib);
    report.print(&here.join("figures.json"))
}

/// Runs and reports the throughput of commits alone.
pub fn commits_alone(plan: &Plan) -> anyhow::Result<()> {
    let here = folder("log")?;
    let mut report = Report::default();
    commits(&mut report, plan, &here)?;
    println!("\nmedians of {} runs", plan.runs);
    report.print(&here.join("figures.json"))
}

fn size(frame: u64) -> String {
    if frame < KIB { format!("{frame} B") } else { format!("{} KiB", frame / KIB) }
}

fn as_mib(bytes: Option<f64>) -> Option<f64> {
    bytes.map(|bytes| bytes / as_f64(MIB))
}

fn of(runs: &[Figures], name: &str) -> Option<f64> {
    median(runs.iter().filter_map(|run| run.of(name)))
}

fn commits(report: &mut Report, plan: &Plan, here: &Path) -> anyhow::Result<()> {
    // How many slices in a run, and frames in a slice. Threads come and go with a slice: theirs are longer.
    let cases = [
        (Case::One, KIB, (128, 4)),
        (Case::One, 128 * KIB, (96, 4)),
        (Case::Many, KIB, (8, 32 * KIB)),
        (Case::Many, 128 * KIB, (8, 512)),
        (Case::Journal, KIB, (8, 32 * KIB)),
        (Case::Journal, 128 * KIB, (8, 512)),
    ];
    for (case, frame, slice) in cases {
        let who = match case {
            Case::One => "log, 1 appender that waits".to_owned(),
            Case::Many => format!("log, {APPENDERS} appenders"),
            Case::Journal => format!("journal, {APPENDERS} agents"),
        };
        let title = format!("{who}, frames of {}", size(frame));
        let mut runs = Vec::new();
        for number in 1..=plan.runs {
            let run = commits::run(&here.join("commits"), case, frame, slice)?;
            println!("{title}, run {number}: {:.3} s, yardstick {:.3} s", run.ours, run.plain);
            runs.push(run);
        }
        let speed = |seconds: &dyn Fn(&commits::Run) -> f64| {
            as_mib(median(runs.iter().map(|run| as_f64(run.frame_bytes) / seconds(run))))
        };
        report.add(title.clone(), speed(&|run| run.ours), "MiB/s");
        report.add(format!("{title}: write + fdatasync"), speed(&|run| run.plain), "MiB/s");
        let ratio = median(runs.iter().map(|run| run.plain / run.ours));
        let bound = if matches!(case, Case::Journal) { "" } else { " (≥ 0.85)" };
        report.add(format!("{title}: over write + fdatasync{bound}"), ratio, "x");
    }
    Ok(())
}

/// Bytes passed to write over bytes of frames.
fn written(report: &mut Report, here: &Path) -> anyhow::Result<()> {
    let own = here.join("written");
    for (frame, bound) in [(KIB, "1.3"), (128 * KIB, "1.05")] {
        let frames = size(frame);
        // The spool seals one frame a commit here, with the books of a flush in it: a shorter line makes up for them.
        let works: [(&str, &str, [u64; 2]); 3] = [
            ("log and index", "make", [frame, 256 * MIB]),
            ("spool of 16 files", "spool-make", [frame - 600, (64 * MIB / frame).min(2 * KIB)]),
            ("journal", "journal-make", [frame - 300, 256 * MIB]),
        ];
        for (who, work, numbers) in works {
            let made = child(work, &own, &numbers)?;
            let ratio = made.of("written").zip(made.of("frame_bytes")).map(|(written, frames)| written / frames);
            report.add(format!("{who}, frames of {frames}: written over frame bytes (≤ {bound})"), ratio, "x");
            std::fs::remove_dir_all(&own).with_context(|| format!("remove {}", own.display()))?;
        }
    }
    Ok(())
}

fn add_open(report: &mut Report, title: &str, opens: &[Figures], cats: &[(f64, f64)]) {
    report.add(format!("{title}: open without index"), of(opens, "seconds"), "s");
    report.add(format!("{title}: open without index, CPU"), of(opens, "cpu"), "s");
    report.add(format!("{title}: cat"), median(cats.iter().map(|(seconds, _)| *seconds)), "s");
    report.add(format!("{title}: cat, CPU"), median(cats.iter().map(|(_, cpu)| *cpu)), "s");
    let ratios = opens.iter().zip(cats).filter_map(|(open, (cat, _))| Some(open.of("seconds")? / cat));
    report.add(format!("{title}: open over cat (≤ 2)"), median(ratios), "x");
}

fn add_memory(report: &mut Report, title: &str, runs: &[Figures]) {
    report.add(format!("{title}: RSS when opened"), as_mib(of(runs, "resident_opened")), "MiB");
    report.add(format!("{title}: RSS when read through"), as_mib(of(runs, "resident")), "MiB");
    report.add(format!("{title}: highest RSS (≤ 12)"), as_mib(of(runs, "high_water")), "MiB");
}

fn add_trim(report: &mut Report, title: &str, trimmed: &Figures) {
    report.add(format!("{title}: trimmed"), trimmed.of("freed_share").map(|share| share * 100.0), "%");
    let written = trimmed.of("written").map(|bytes| bytes / as_f64(KIB));
    report.add(format!("{title}: written while trimming"), written, "KiB");
}

fn backlog(report: &mut Report, plan: &Plan, here: &Path, frame: u64) -> anyhow::Result<()> {
    let own = here.join("backlog");
    let title = format!("log, backlog of frames of {}", size(frame));
    println!("{title}");
    child("make", &own, &[frame, plan.backlog_mib * MIB])?;
    let (mut streams, mut opens, mut cats) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        cats.push(backlog::cat(&own.join("log"))?);
        opens.push(child("open", &own, &[])?);
        streams.push(child("stream", &own, &[])?);
    }
    let trimmed = child("trim", &own, &[])?;
    std::fs::remove_dir_all(&own).with_context(|| format!("remove {}", own.display()))?;
    add_memory(report, &title, &streams);
    let speeds = streams.iter().filter_map(|run| Some(run.of("frame_bytes")? / run.of("seconds")?));
    report.add(format!("{title}: read"), as_mib(median(speeds)), "MiB/s");
    add_open(report, &title, &opens, &cats);
    add_trim(report, &title, &trimmed);
    Ok(())
}

fn spool(report: &mut Report, plan: &Plan, here: &Path) -> anyhow::Result<()> {
    let (own, title) = (here.join("spool"), "spool, backlog of frames of 256 KiB");
    println!("{title}");
    child("spool-fill", &own, &[plan.backlog_mib * MIB])?;
    let (mut opens, mut cats) = (Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        cats.push(backlog::cat(&own.join("log/normal"))?);
        opens.push(child("spool-open", &own, &[])?);
    }
    let drained = child("spool-drain", &own, &[])?;
    std::fs::remove_dir_all(&own).with_context(|| format!("remove {}", own.display()))?;
    add_open(report, title, &opens, &cats);
    add_trim(report, title, &drained);
    add_memory(report, title, &[drained]);
    Ok(())
}

/// The journal has no index: only the segments are read.
fn journal(report: &mut Report, plan: &Plan, here: &Path) -> anyhow::Result<()> {
    let own = here.join("journal");
    for frame in [KIB, 128 * KIB] {
        let title = format!("journal, frames of {}", size(frame));
        println!("{title}");
        child("journal-make", &own, &[frame - 300, plan.backlog_mib * MIB])?;
        let (mut opens, mut cats) = (Vec::new(), Vec::new());
        for _ in 0..plan.runs {
            cats.push(backlog::cat(&own.join("log"))?);
            opens.push(child("journal-open", &own, &[])?);
        }
        std::fs::remove_dir_all(&own).with_context(|| format!("remove {}", own.display()))?;
        add_open(report, &title, &opens, &cats);
    }
    Ok(())
}
