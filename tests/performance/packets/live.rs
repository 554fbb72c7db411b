//! A live capture at full traffic: tcpreplay sends into one end of a pair of virtual interfaces, an agent captures at the
//! other, each in a network namespace of its own.
//!
//! In: the mixed capture, and one of a million SYNs of as many flows; `tcpreplay` and `ip`, and the right to make
//! namespaces. Out: what was sent, seen and dropped, the agent's CPU and memory.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use picket_tests::harness::{Metrics, Namespace, Pair, Place, await_until};

use super::{capture, flows, table};
use crate::report::Report;
use crate::{folder, known, option};

/// The captured host and the one that sends.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
/// How fast the mixed capture is sent.
const MBIT_PER_SECOND: u64 = 300;
/// SYNs of the flood, each of a flow of its own, and how many a second.
const FLOOD: u32 = 1_000_000;
const FLOOD_PER_SECOND: u32 = 100_000;
/// Share of a core that the agent may take.
const CORE_MAX: f64 = 0.6;
/// What the source may take beside its table of flows.
const BESIDE_MIB_MAX: f64 = 12.0;
/// The table's bound.
const TABLE_MIB_MAX: f64 = 24.0;
const FLOWS_MAX: f64 = 32_768.0;
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the records of a flood may take to be delivered.
const SETTLED: Duration = Duration::from_secs(300);

/// What is measured.
pub struct Plan {
    mib: u64,
    seconds: u64,
}

impl Plan {
    /// Reads `--mib` and `--seconds`.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        known(arguments, &["--mib", "--seconds"])?;
        Ok(Self { mib: option(arguments, "--mib", 64)?, seconds: option(arguments, "--seconds", 20)? })
    }
}

/// What a run took.
struct Run {
    sent: f64,
    mbit_per_second: f64,
    seen: f64,
    dropped: f64,
    lost_records: f64,
    evicted: f64,
    core: f64,
    flows: f64,
    /// Resident memory at its end, MiB.
    resident: f64,
}

/// Measures, prints, and fails where a bound is not held.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let folder = folder("packets-live")?;
    let (mixed, flood) = (folder.join("mixed.pcap"), folder.join("flood.pcap"));
    let made = capture::make(&mixed, plan.mib << 20)?;
    syns(&flood)?;
    let mut report = Report::default();
    let loops = (plan.seconds * MBIT_PER_SECOND * 125_000).div_ceil(made.captured_bytes).max(1).to_string();
    let rate = format!("--mbps={MBIT_PER_SECOND}");
    let without = resident_without()?;
    let (full_mib, _) = table("default")?;
    let mixed = measure(&["--preload-pcap", &rate, "--loop", &loops], &mixed)?;
    let rate = format!("--pps={FLOOD_PER_SECOND}");
    let flood = measure(&["--preload-pcap", &rate], &flood)?;

    let mut held = true;
    for (name, run) in [("mixed capture", &mixed), ("SYN flood", &flood)] {
        report.add(format!("{name}: sent"), Some(run.mbit_per_second), "Mbit/s");
        report.add(format!("{name}: packets sent"), Some(run.sent), "");
        report.add(format!("{name}: packets seen"), Some(run.seen), "");
        report.add(format!("{name}: packets dropped (0)"), Some(run.dropped), "");
        report.add(format!("{name}: records lost"), Some(run.lost_records), "");
        report.add(format!("{name}: evictions reported"), Some(run.evicted), "");
        report.add(format!("{name}: CPU of the agent (≤ {})", CORE_MAX * 100.0), Some(run.core * 100.0), "%");
        report.add(format!("{name}: resident memory"), Some(run.resident), "MiB");
    }
    let added = mixed.resident - without;
    let beside = added - full_mib * mixed.flows / FLOWS_MAX;
    let both = flood.resident - without;
    report.add("agent without packets: resident memory", Some(without), "MiB");
    report.add("mixed capture: flows in the table", Some(mixed.flows), "");
    report.add(format!("mixed capture: added beside the table (≤ {BESIDE_MIB_MAX})"), Some(beside), "MiB");
    report.add(format!("SYN flood: added, table included (≤ {})", TABLE_MIB_MAX + BESIDE_MIB_MAX), Some(both), "MiB");
    held &= mixed.dropped == 0.0 && mixed.core <= CORE_MAX && beside <= BESIDE_MIB_MAX;
    held &= both <= TABLE_MIB_MAX + BESIDE_MIB_MAX && flood.evicted > 0.0;
    report.print(&folder.join("packets-live.json"))?;
    if held { Ok(()) } else { bail!("a bound is not held") }
}

/// An enrolled agent and its aggregator in a namespace, the agent with this source.
fn pair(host: &Namespace, source: &str) -> anyhow::Result<Pair> {
    let fleet = format!("version: 1\ndefaults:\n  sources:\n{source}");
    host.run(|| Pair::start_with(Place::new("bench-live")?, &fleet))
}

/// What the agent takes with a source of files instead, once it has a session, MiB.
fn resident_without() -> anyhow::Result<f64> {
    let host = Namespace::make().context("no network namespace")?;
    let pair = pair(&host, "    logs: { type: file, include: ['/nowhere/*.log'] }\n")?;
    await_until("a session", DEADLINE, || {
        Ok((pair.agent.metrics()?.count("picket_agent_uplink_sessions_total", &[]) > 0).then_some(()))
    })?;
    let resident = resident_mib(&pair)?;
    host.run(|| pair.finish(DEADLINE))?;
    Ok(resident)
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn resident_mib(pair: &Pair) -> anyhow::Result<f64> {
    Ok(pair.agent.usage()?.resident_bytes as f64 / f64::from(1 << 20))
}

/// Captures what tcpreplay sends with these arguments.
fn measure(arguments: &[&str], file: &Path) -> anyhow::Result<Run> {
    let (host, other) = Namespace::make().zip(Namespace::make()).context("no network namespace")?;
    host.join(("pk0", HOST), &other, ("pk1", OTHER))?;
    // The corpora have frames that a card had put together.
    host.ip(&["link", "set", "pk0", "mtu", "65535"])?;
    other.ip(&["link", "set", "pk1", "mtu", "65535"])?;
    let pair = pair(&host, "    wire: { type: packet, interface: pk0 }\n")?;
    await_until("an open capture", DEADLINE, || {
        Ok((pair.agent.metrics()?.count("picket_agent_capture_open", &[]) == 1).then_some(()))
    })?;
    let mut tcpreplay = Command::new("tcpreplay");
    tcpreplay.args(["-q", "--no-flow-stats", "-i", "pk1"]).args(arguments).arg(file);
    println!("{tcpreplay:?}");
    let (before, begin) = (pair.agent.usage()?.cpu_seconds, Instant::now());
    let output = other.run(|| tcpreplay.output()).context("start tcpreplay")?;
    let core = (pair.agent.usage()?.cpu_seconds - before) / begin.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(output.status.success(), "tcpreplay: {}", String::from_utf8_lossy(&output.stderr));
    let (sent, mbit_per_second) = actual(&said).with_context(|| format!("tcpreplay says {said}"))?;
    let (metrics, resident) = settled(&pair)?;
    let sum = |name: &str| metrics.sum(name, &[]);
    let run = Run {
        sent,
        mbit_per_second,
        seen: sum("picket_agent_capture_packets_total"),
        dropped: metrics.sum("picket_agent_capture_dropped_packets_total", &[("reason", "capture_drop")]),
        lost_records: sum("picket_agent_capture_lost_records_total"),
        evicted: sum("picket_agent_capture_evicted_flows_total"),
        core,
        flows: sum("picket_agent_capture_flows"),
        resident,
    };
    // All of it is delivered, and the books add up.
    host.run(|| pair.finish(SETTLED))?;
    Ok(run)
}

/// What the agent says, and its memory, once its counts of packets stay as they are.
fn settled(pair: &Pair) -> anyhow::Result<(Metrics, f64)> {
    let mut seen = None;
    Ok(await_until("counts that stay", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        let now = metrics.count("picket_agent_capture_packets_total", &[]);
        // Counts are told once a second.
        xtask::loopback::pause(Duration::from_millis(1200));
        let before = seen.replace(now);
        Ok((before == Some(now)).then_some((metrics, resident_mib(pair).unwrap_or(f64::MAX))))
    })?)
}

/// `Actual: 172173 packets (…) sent in … seconds` and `Rated: … Bps, 300.00 Mbps, … pps`.
fn actual(said: &str) -> Option<(f64, f64)> {
    let packets = said.split("Actual: ").nth(1)?.split(' ').next()?.parse().ok()?;
    let rate = said.split(" Mbps").next()?.rsplit(' ').next()?.parse().ok()?;
    Some((packets, rate))
}

/// A capture of SYNs, each of a flow of its own.
fn syns(path: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.write_all(&word.to_le_bytes())?;
    }
    for number in 0..FLOOD {
        let client = (Ipv4Addr::from(0x0b00_0000 + number / 4), u16::try_from(40_000 + number % 4)?);
        let frame = flows::segment(client, (Ipv4Addr::new(10, 77, 0, 1), 80), 2, 99, b"");
        let len = u32::try_from(14 + frame.len())?;
        let second = 1_700_000_000 + number / FLOOD_PER_SECOND;
        for word in [second, number % FLOOD_PER_SECOND * 10_000, len, len] {
            out.write_all(&word.to_le_bytes())?;
        }
        // To nobody in particular: the host's stack does not answer.
        out.write_all(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0])?;
        out.write_all(&frame)?;
    }
    Ok(out.flush()?)
}
