//! Packets of a capture file beside tshark, and what a table of flows takes.
//!
//! In: the captures of the public corpora (`PICKET_CORPUS`), put into one file over and over; `tshark`, where it is
//! there. Out: CPU seconds of both for the same file and the same fields, bits a second of a core, and the resident
//! memory of tables that are full, each in a process of its own.

mod capture;
mod flows;
pub mod live;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use agent::source::packet::file::CaptureFile;
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::{Meter, fields};

use crate::report::{Report, median};
use crate::yardstick::cpu_seconds;
use crate::{folder, known, option};

/// The word that makes a process of its own fill a table.
pub const CHILD: &str = "packets-table";

/// What tshark is asked for: what records of the packet source say.
const FIELDS: &[&str] = &[
    "frame.time_epoch",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "ip.proto",
    "ip.len",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "tcp.analysis.retransmission",
    "tcp.analysis.initial_rtt",
    "udp.srcport",
    "udp.dstport",
    "dns.id",
    "dns.qry.name",
    "dns.qry.type",
    "dns.flags.rcode",
    "dns.resp.name",
    "dns.a",
    "dns.aaaa",
    "dns.time",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "tls.handshake.version",
    "tls.handshake.ciphersuite",
    "tls.handshake.ja3",
    "tls.handshake.ja3s",
    "http.request.method",
    "http.host",
    "http.request.uri",
    "http.user_agent",
    "http.response.code",
    "http.time",
    "ssh.protocol",
    "dhcp.option.hostname",
];

/// What is measured.
pub struct Plan {
    mib: u64,
    runs: u64,
}

impl Plan {
    /// Reads `--mib` and `--runs`.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        known(arguments, &["--mib", "--runs"])?;
        Ok(Self { mib: option(arguments, "--mib", 64)?, runs: option(arguments, "--runs", 3)? })
    }
}

/// Measures, prints, and fails where a bound is not held.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let folder = folder("packets")?;
    let mut report = Report::default();
    let mut held = true;
    for (name, most_mib) in [("default", 24.0), ("connections", 128.0), ("flood", 24.0)] {
        let (mib, evicted) = table(name)?;
        report.add(format!("{}: resident memory (≤ {most_mib})", flows::words(name)), Some(mib), "MiB");
        if name == "flood" {
            #[expect(clippy::cast_precision_loss, reason = "a million")]
            report.add(format!("{}: evictions reported", flows::words(name)), Some(evicted as f64), "");
        }
        held &= mib <= most_mib;
    }
    let file = folder.join("mixed.pcap");
    let made = capture::make(&file, plan.mib << 20)?;
    #[expect(clippy::cast_precision_loss, reason = "counts of one run")]
    let (frames, bits) = (made.frames as f64, made.captured_bytes as f64 * 8.0);
    report.add("mixed capture: frames", Some(frames), "");
    report.add("mixed capture: captured bytes", Some(bits / 8.0 / f64::from(1 << 20)), "MiB");
    let (mut core, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.runs {
        core.push(decode(&file)?);
        ours.push(cpu_of(Command::new(agent()?).arg("pcap").arg(&file))?);
        let arguments = ["-n", "-r"];
        let names = FIELDS.iter().flat_map(|field| ["-e", field]);
        let mut tshark = Command::new("tshark");
        tshark.args(arguments).arg(&file).args(["-T", "fields"]).args(names);
        if let Some(version) = version() {
            if theirs.is_empty() {
                println!("{version}: {tshark:?}");
            }
            theirs.push(cpu_of(&mut tshark)?);
        }
    }
    let (core, ours, theirs) = (median(core), median(ours), median(theirs));
    let rate = core.map(|seconds| bits / seconds / 1e9);
    let ratio = ours.zip(theirs).map(|(ours, theirs)| theirs / ours);
    report.add("frames to records: CPU", core, "s");
    report.add("frames to records: a core (≥ 1)", rate, "Gbit/s");
    report.add("picket-agent pcap, NDJSON: CPU", ours, "s");
    report.add("tshark -T fields: CPU", theirs, "s");
    report.add("tshark's CPU over picket-agent's (≥ 5)", ratio, "x");
    report.print(&folder.join("packets.json"))?;
    if !held || rate.is_some_and(|rate| rate < 1.0) || ratio.is_some_and(|ratio| ratio < 5.0) {
        bail!("a bound is not held");
    }
    Ok(())
}

fn version() -> Option<String> {
    let out = Command::new("tshark").arg("--version").stderr(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&out.stdout).lines().next().map(str::to_owned)
}

fn agent() -> anyhow::Result<std::path::PathBuf> {
    let folder = std::env::var_os("PICKET_BIN_DIR").map(std::path::PathBuf::from);
    let folder = match folder {
        Some(folder) => folder,
        None => std::env::current_exe()?.parent().context("this program has a folder")?.to_owned(),
    };
    Ok(folder.join("picket-agent"))
}

/// CPU seconds from the bytes of a file to records in memory.
fn decode(file: &Path) -> anyhow::Result<f64> {
    let bytes = std::fs::read(file)?;
    let begin = cpu_seconds();
    let mut file = CaptureFile::open(bytes.as_slice())?;
    let (mut meter, mut records) = (Meter::new(Settings::default()), 0_u64);
    let mut put = |told| records += u64::from(!fields(told).is_empty());
    while let Some(frame) = file.next_frame()? {
        meter.frame(frame.link, frame.at, frame.bytes, frame.wire_len, &mut put);
    }
    meter.finish(&mut put);
    let seconds = cpu_seconds() - begin;
    println!("{records} records of {} frames", meter.frames());
    Ok(seconds)
}

/// CPU seconds of a command, its output thrown away: what the children of this process took more when it is over.
fn cpu_of(command: &mut Command) -> anyhow::Result<f64> {
    let before = children_seconds()?;
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(children_seconds()? - before)
}

/// `cutime` and `cstime` of `proc_pid_stat(5)`, in hundredths of a second.
fn children_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, tail) = stat.rsplit_once(')').context("stat has a name")?;
    let ticks = tail.split_ascii_whitespace().skip(13).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

/// Fills a table in a process of its own: MiB that it took, and flows that it evicted.
fn table(name: &str) -> anyhow::Result<(f64, u64)> {
    let out = Command::new(std::env::current_exe()?).args([CHILD, name]).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let (kib, evicted) = text.trim().split_once(' ').with_context(|| format!("the table {name} says {text:?}"))?;
    Ok((kib.parse::<f64>()? / 1024.0, evicted.parse()?))
}

/// In that process: prints KiB and evictions.
pub fn fill(name: &str) -> anyhow::Result<()> {
    let (kib, evicted) = flows::fill(name)?;
    println!("{kib} {evicted}");
    Ok(())
}
