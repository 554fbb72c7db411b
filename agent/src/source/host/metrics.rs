//! How busy a host is: processor, memory, disks, network, load. Pure but for [`sample`]: two samples make a record.

use shared::record::Value;
use shared::time::Timestamp;

use super::place::Place;
use super::record::head;
use super::row::Fields;
use super::table::Kind;
use super::tables::facts::memory;
use super::tables::kernel::mountinfo;

const LISTING_BYTES_MAX: u64 = 256 << 10;
/// File systems whose room is told.
const FILE_SYSTEMS_MAX: usize = 32;
/// Bytes of a sector in `/proc/diskstats`, whatever the disk's are.
const SECTOR: u64 = 512;

/// What was counted up to a moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Ticks: busy, waiting for disks, stolen, all.
    pub cpu: [u64; 4],
    /// Bytes read and written by disks.
    pub disk: [u64; 2],
    /// Bytes received and sent by interfaces that are no loopback.
    pub network: [u64; 2],
    /// What has no difference.
    pub levels: Fields,
}

fn numbers(line: &str) -> Vec<u64> {
    line.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect()
}

fn at(numbers: &[u64], index: usize) -> u64 {
    numbers.get(index).copied().unwrap_or(0)
}

/// `proc_stat(5)`: user, nice, system, idle, iowait, irq, softirq, steal.
fn cpu(stat: &str) -> [u64; 4] {
    let ticks = stat.lines().find_map(|line| line.strip_prefix("cpu ")).map(numbers).unwrap_or_default();
    let all: u64 = ticks.iter().take(8).sum();
    let (idle, waiting, stolen) = (at(&ticks, 3), at(&ticks, 4), at(&ticks, 7));
    [all.saturating_sub(idle + waiting), waiting, stolen, all]
}

/// `proc_diskstats(5)`: whole disks only, which have a folder in `/sys/block`.
fn disk(text: &str, disks: &[String]) -> [u64; 2] {
    let mut sum = [0; 2];
    for line in text.lines() {
        let name = line.split_ascii_whitespace().nth(2).unwrap_or_default();
        let virtual_disk = ["loop", "ram", "zram", "dm-", "md"].iter().any(|kind| name.starts_with(kind));
        if virtual_disk || !disks.iter().any(|disk| disk == name) {
            continue;
        }
        // Of `8 0 sda 1 2 3` the name is no number.
        let counts = numbers(line);
        sum = [sum[0] + at(&counts, 4) * SECTOR, sum[1] + at(&counts, 8) * SECTOR];
    }
    sum
}

/// `proc_net(5)`: `eth0: bytes packets …` received, then sent.
fn network(text: &str) -> [u64; 2] {
    let mut sum = [0; 2];
    for (name, counts) in text.lines().filter_map(|line| line.split_once(':')) {
        if name.trim() != "lo" {
            let counts = numbers(counts);
            sum = [sum[0] + at(&counts, 0), sum[1] + at(&counts, 8)];
        }
    }
    sum
}

fn file_systems(place: &Place) -> Vec<Value> {
    let mounts = mountinfo(&place.read("proc/self/mountinfo", LISTING_BYTES_MAX).unwrap_or_default());
    let (mut seen, mut all) = (Vec::new(), Vec::new());
    for mount in mounts {
        let disk = mount.source.starts_with(b"/dev/") || matches!(mount.fstype.as_str(), "zfs" | "btrfs" | "overlay");
        if !disk || seen.contains(&mount.device) || seen.len() >= FILE_SYSTEMS_MAX {
            continue;
        }
        let path = String::from_utf8_lossy(&mount.point).into_owned();
        // A file system of a network may not answer: only disks are asked.
        let Ok(room) = rustix::fs::statvfs(place.at(&path)) else { continue };
        seen.push(mount.device);
        all.push(Value::Map(vec![
            ("path".to_owned(), Value::String(path)),
            ("bytes".to_owned(), Value::U64(room.f_blocks.saturating_mul(room.f_frsize))),
            ("bytes_available".to_owned(), Value::U64(room.f_bavail.saturating_mul(room.f_frsize))),
            ("inodes_available".to_owned(), Value::U64(room.f_favail)),
        ]));
    }
    all
}

/// Reads what the host counts.
#[must_use]
pub fn sample(place: &Place, now: Timestamp) -> Sample {
    let text =
        |path: &str| String::from_utf8_lossy(&place.read(path, LISTING_BYTES_MAX).unwrap_or_default()).into_owned();
    let mut levels = Vec::new();
    let mut level = |path: &str, value: Value| levels.push((path.to_owned(), value));
    let meminfo = text("proc/meminfo");
    for (path, name) in [
        ("unmapped.memory_total_bytes", "MemTotal"),
        ("unmapped.memory_available_bytes", "MemAvailable"),
        ("unmapped.swap_total_bytes", "SwapTotal"),
        ("unmapped.swap_free_bytes", "SwapFree"),
    ] {
        memory(&meminfo, name).into_iter().for_each(|bytes| level(path, Value::U64(bytes)));
    }
    let loads = text("proc/loadavg");
    for (path, load) in ["unmapped.load_1m", "unmapped.load_5m", "unmapped.load_15m"].iter().zip(loads.split(' ')) {
        load.parse().into_iter().for_each(|load| level(path, Value::F64(load)));
    }
    let file_systems = file_systems(place);
    if !file_systems.is_empty() {
        level("unmapped.file_systems", Value::List(file_systems));
    }
    let stat = text("proc/stat");
    let running = stat.lines().find_map(|line| line.strip_prefix("procs_running ")?.trim().parse().ok());
    running.into_iter().for_each(|running| level("unmapped.processes_running", Value::U64(running)));
    Sample {
        at: now,
        cpu: cpu(&stat),
        disk: disk(&text("proc/diskstats"), &place.names("sys/block", 1024)),
        network: network(&text("proc/net/dev")),
        levels,
    }
}

/// The record of the time between two samples: class 0, as OCSF has none for measures. A counter that went back (an
/// interface that left) counts as 0.
#[must_use]
pub fn record(before: &Sample, now: Sample) -> Fields {
    let mut fields = head(Kind { class: 0, activity: 0, name: None }, now.at, "metrics", "state");
    let ms = u64::try_from(now.at.since(before.at).as_millis()).unwrap_or(u64::MAX).max(1);
    fields.push(("start_time".to_owned(), Value::Time(before.at)));
    fields.push(("end_time".to_owned(), Value::Time(now.at)));
    let grown = |now: [u64; 4], before: [u64; 4], at: usize| {
        let pick = |all: [u64; 4]| all.get(at).copied().unwrap_or(0);
        pick(now).saturating_sub(pick(before))
    };
    let all = grown(now.cpu, before.cpu, 3);
    for (at, path) in
        ["unmapped.cpu_percent", "unmapped.cpu_wait_percent", "unmapped.cpu_steal_percent"].iter().enumerate()
    {
        if let Some(permyriad) = (grown(now.cpu, before.cpu, at) * 10_000).checked_div(all) {
            let permyriad = u32::try_from(permyriad.min(10_000)).unwrap_or(10_000);
            fields.push(((*path).to_owned(), Value::F64(f64::from(permyriad) / 100.0)));
        }
    }
    for (path, now, before) in [
        ("unmapped.disk_read_bytes_per_second", now.disk[0], before.disk[0]),
        ("unmapped.disk_written_bytes_per_second", now.disk[1], before.disk[1]),
        ("unmapped.network_received_bytes_per_second", now.network[0], before.network[0]),
        ("unmapped.network_sent_bytes_per_second", now.network[1], before.network[1]),
    ] {
        let per_second = u128::from(now.saturating_sub(before)) * 1000 / u128::from(ms);
        fields.push((path.to_owned(), Value::U64(u64::try_from(per_second).unwrap_or(u64::MAX))));
    }
    fields.extend(now.levels);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_samples_make_rates() {
        let stat = |busy: u64, idle: u64| format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1\n");
        let before = Sample {
            at: Timestamp::from_ms(0),
            cpu: cpu(&stat(100, 100)),
            network: network("h|x\n lo: 9 0 0 0 0 0 0 0 9\neth0: 1000 1 0 0 0 0 0 0 50 1\n"),
            ..Sample::default()
        };
        let now = Sample {
            at: Timestamp::from_ms(2000),
            cpu: cpu(&stat(150, 250)),
            network: [5000, 40],
            ..Sample::default()
        };
        let fields = record(&before, now);
        let value = |path: &str| fields.iter().find(|(key, _)| key == path).map(|(_, value)| value.clone());
        assert_eq!(value("unmapped.cpu_percent"), Some(Value::F64(25.0)));
        assert_eq!(value("unmapped.network_received_bytes_per_second"), Some(Value::U64(2000)));
        assert_eq!(value("unmapped.network_sent_bytes_per_second"), Some(Value::U64(0)));
    }

    #[test]
    fn disks_are_counted_whole() {
        let text = "8 0 sda 1 0 2 0 1 0 4 0\n8 1 sda1 1 0 2 0 1 0 4 0\n7 0 loop0 1 0 9 0 0 0 9 0\n";
        assert_eq!(disk(text, &["sda".into(), "loop0".into()]), [1024, 2048]);
    }
}
