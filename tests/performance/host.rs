//! What looking at a host costs the agent that runs as users run it: 300 processes and 1,000 sockets at an interval of a
//! minute, and the integrity of 100,000 files.
//!
//! In: this host, with sleeping processes and connections of its own making; a tree of files. Out: the agent's CPU and memory
//! beside their bounds, and what the host did meanwhile: processes that others start are events, and cost. `--apart` is
//! the same in namespaces of processes and of the network of its own, where nobody else is: there processes are polled.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use agent::source::host::Table;
use anyhow::{Context, bail};
use ioprio::{Class, Pid, Target};
use picket_tests::harness::{Agent, Metrics, Pair, Place, Programs, await_until};

use crate::report::Report;
use crate::{folder, known, option};

const PROCESSES: usize = 300;
/// Each is two sockets.
const CONNECTIONS: usize = 500;
/// Bytes of each file.
const FILE_BYTES: usize = 1024;
const FILES_A_FOLDER: u64 = 100;
const DEADLINE: Duration = Duration::from_secs(600);
const QUIET: Duration = Duration::from_secs(120);

/// The first inventory, with hashing, is told by then.
const INVENTORY: Duration = Duration::from_secs(20);

/// Bounds.
const CORE_PERCENT_MAX: f64 = 0.3;
const HOST_MIB_MAX: f64 = 20.0;
const INVENTORY_SECONDS_MAX: f64 = 1.0;
const INTEGRITY_MIB_MAX: f64 = 30.0;

/// What is measured.
pub struct Plan {
    seconds: u64,
    files: u64,
}

impl Plan {
    /// Reads `--seconds` and `--files`.
    pub fn parse(arguments: &[&str]) -> anyhow::Result<Self> {
        known(arguments, &["--seconds", "--files"])?;
        Ok(Self { seconds: option(arguments, "--seconds", 185)?, files: option(arguments, "--files", 100_000)? })
    }
}

/// Measures, prints, and fails where a bound is not held.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let folder = folder("host")?;
    let mut report = Report::default();
    let host = host(plan, &mut report)?;
    let integrity = integrity(plan, &folder, &mut report)?;
    report.print(&folder.join("host.json"))?;
    if host && integrity { Ok(()) } else { bail!("a bound is not held") }
}

/// Runs this program again as the first process of namespaces of its own.
pub fn apart(arguments: &[&str]) -> anyhow::Result<()> {
    const NAMESPACES: [&str; 5] = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut unshare = Command::new("unshare");
    unshare.args(NAMESPACES).args(["sh", "-c", "ip link set lo up && exec \"$0\" host \"$@\""]);
    let status = unshare.arg(std::env::current_exe()?).args(arguments).status().context("start unshare")?;
    anyhow::ensure!(status.success(), "apart: {status}");
    Ok(())
}

/// A process that sleeps until it is dropped.
struct Asleep(Child);

impl Asleep {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(Command::new("sleep").arg("3600").stdin(Stdio::null()).spawn().context("start sleep")?))
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            println!("a sleeping process: {error}");
        }
    }
}

/// User and system time of this process's children that ended (proc_pid_stat(5), fields 16 and 17), seconds.
fn children_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let ticks: f64 = behind.split_whitespace().skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "megabytes")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "a few millions at most")]
fn number(count: u64) -> f64 {
    count as f64
}

fn records(metrics: &Metrics) -> u64 {
    metrics.count("picket_agent_source_records_total", &[])
}

/// The host source; whether its bounds hold.
fn host(plan: &Plan, report: &mut Report) -> anyhow::Result<bool> {
    let asleep = (0..PROCESSES).map(|_| Asleep::new()).collect::<anyhow::Result<Vec<_>>>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut connected = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        connected.push((TcpStream::connect(listener.local_addr()?)?, listener.accept()?.0));
    }

    // Once, as a program of its own: all but the walk for set-id files, which takes its time.
    let mut once = Command::new(Programs::of_this_build()?.agent);
    once.args(["host", "--no-hash"]).stdout(Stdio::null());
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Privileged) {
        once.args(["--table", table.name()]);
    }
    let before = children_seconds()?;
    let status = once.status().context("start picket-agent host")?;
    anyhow::ensure!(status.success(), "picket-agent host ended with {status}");
    let inventory = children_seconds()? - before;

    let fleet = "version: 1\ndefaults:\n  sources:\n    host: { type: host, interval: 60s }\n";
    let pair = Pair::start_with(Place::new("bench-host")?, fleet)?;
    await_until("the first records", DEADLINE, || Ok((records(&pair.agent.metrics()?) > 0).then_some(())))?;
    // Records of processes that others start never end.
    xtask::loopback::pause(INVENTORY);
    let started = pair.agent.usage()?;
    let (told, begin) = (records(&pair.agent.metrics()?), Instant::now());
    let before = pair.agent.usage()?.cpu_seconds;
    xtask::loopback::pause(Duration::from_secs(plan.seconds));
    let usage = pair.agent.usage()?;
    let percent = (usage.cpu_seconds - before) / begin.elapsed().as_secs_f64() * 100.0;
    let told = records(&pair.agent.metrics()?) - told;
    pair.stop()?;
    drop((asleep, connected));

    let (resident, peak) = (mib(usage.resident_bytes), mib(usage.resident_bytes_peak));
    report.add(format!("full inventory without hashing, CPU (≤ {INVENTORY_SECONDS_MAX})"), Some(inventory), "s");
    report.add("agent until the first inventory is told, programs hashed: CPU", Some(started.cpu_seconds), "s");
    report.add(format!("agent at 60 s: CPU of a core (≤ {CORE_PERCENT_MAX})"), Some(percent), "%");
    report.add("agent at 60 s: records meanwhile", Some(number(told)), "");
    report.add("agent at 60 s: resident memory", Some(resident), "MiB");
    report.add(format!("agent at 60 s: resident memory at most (≤ {HOST_MIB_MAX})"), Some(peak), "MiB");
    Ok(inventory <= INVENTORY_SECONDS_MAX && percent <= CORE_PERCENT_MAX && peak <= HOST_MIB_MAX)
}

/// Files in folders of a hundred.
fn plant(root: &Path, files: u64) -> anyhow::Result<()> {
    for number in 0..files {
        let folder = root.join(format!("{:05}", number / FILES_A_FOLDER));
        if number % FILES_A_FOLDER == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        let mut bytes = number.to_string().into_bytes();
        bytes.resize(FILE_BYTES, b'.');
        std::fs::write(folder.join(format!("file-{number}")), bytes)?;
    }
    Ok(())
}

/// Of the thread of a process that has the highest nice value (proc_pid_stat(5), field 19): that, and whether its I/O class
/// is the idle one (ioprio_get(2)).
fn yielded(agent: &Agent) -> anyhow::Result<(f64, bool)> {
    let mut most = (f64::MIN, false);
    for task in std::fs::read_dir(format!("/proc/{}/task", agent.id()?))? {
        let task = task?;
        let stat = std::fs::read_to_string(task.path().join("stat"))?;
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let nice: f64 = behind.split_whitespace().nth(16).context("a nice value")?.parse()?;
        let thread = Pid::from_raw(task.file_name().to_string_lossy().parse()?);
        if nice > most.0 {
            most = (nice, ioprio::get_priority(Target::Process(thread))?.class() == Some(Class::Idle));
        }
    }
    Ok(most)
}

/// The integrity source; whether its bounds hold.
fn integrity(plan: &Plan, folder: &Path, report: &mut Report) -> anyhow::Result<bool> {
    let tree = folder.join("tree");
    plant(&tree, plan.files)?;
    let fleet = format!(
        "version: 1\ndefaults:\n  sources:\n    guard: {{ type: integrity, paths: [\"{}\"] }}\n",
        tree.display()
    );
    let pair = Pair::start_with(Place::new("bench-integrity")?, &fleet)?;
    let scanned = await_until("the first look at everything", DEADLINE, || {
        let metrics = pair.agent.metrics()?;
        Ok((metrics.count("picket_agent_integrity_scans_total", &[]) > 0).then_some(metrics))
    })?;
    let (first, (nice, is_idle)) = (pair.agent.usage()?, yielded(&pair.agent)?);
    let begin = Instant::now();
    std::fs::write(tree.join("00000/file-0"), b"another content")?;
    await_until("word of a change", QUIET, || {
        Ok((pair.agent.metrics()?.count("picket_agent_integrity_changes_total", &[]) > 0).then_some(()))
    })?;
    let (noticed, usage) = (begin.elapsed(), pair.agent.usage()?);
    let baseline = std::fs::metadata(pair.agent.state().join("integrity/guard.baseline"))?.len();
    pair.finish(QUIET)?;
    std::fs::remove_dir_all(&tree)?;

    let (files, peak) = (plan.files, mib(usage.resident_bytes_peak));
    let seconds = scanned.sum("picket_agent_integrity_scan_seconds", &[]);
    report.add(format!("integrity of {files} files: first look"), Some(seconds), "s");
    report.add(format!("integrity of {files} files: first look, CPU of the agent"), Some(first.cpu_seconds), "s");
    report.add("integrity: nice value of its thread (19)", Some(nice), "");
    report.add("integrity: idle I/O class of its thread (1)", Some(f64::from(u8::from(is_idle))), "");
    report.add(format!("integrity: resident memory at most (≤ {INTEGRITY_MIB_MAX})"), Some(peak), "MiB");
    report.add("integrity: baseline", Some(number(baseline) / 1e6), "MB");
    report.add("integrity: a change is told after", Some(noticed.as_secs_f64()), "s");
    Ok(peak <= INTEGRITY_MIB_MAX && nice >= 19.0 && is_idle)
}
