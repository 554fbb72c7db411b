//! A process as `/proc/PID` tells it. Pure but for [`read`], which a process may vanish under.
//!
//! Known by its number and its stable uid: boot, number and begin in clock ticks. What it is like is its program: a name,
//! a command line or a user that changes makes no difference by itself.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use shared::record::Value;
use shared::time::Timestamp;

use super::super::place;
use super::super::row::{Row, TEXT_BYTES_MAX, readable};

/// Clock ticks of a second in what the kernel tells (`USER_HZ`).
const TICKS: u64 = 100;
/// Bytes of a listing of `/proc/PID` that are read.
const LISTING_BYTES_MAX: u64 = 16 << 10;
/// The kernel's own processes are this one's children.
const KTHREADD: u32 = 2;

/// This boot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Boot {
    /// Its id.
    pub id: String,
    /// When it was.
    pub at: Timestamp,
}

impl Boot {
    /// Of `/proc/sys/kernel/random/boot_id` and `/proc/stat`.
    #[must_use]
    pub fn of(id: &str, stat: &str) -> Self {
        let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
        Self { id: id.trim().get(..36).unwrap_or("0").to_owned(), at: Timestamp::from_seconds(seconds) }
    }

    /// The uid of a process that has its number only once in a boot and a tick.
    #[must_use]
    pub fn uid(&self, pid: u32, ticks: u64) -> String {
        format!("{}-{pid}-{ticks}", self.id)
    }
}

/// What was read of a process.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Its number.
    pub pid: u32,
    /// `stat`.
    pub stat: Vec<u8>,
    /// `status`.
    pub status: Vec<u8>,
    /// `cmdline`, one byte more than is kept at most.
    pub cmdline: Vec<u8>,
    /// What `exe` links to; none for kernel threads and where it may not be seen.
    pub exe: Option<Vec<u8>>,
    /// What `cwd` links to.
    pub cwd: Option<Vec<u8>>,
    /// `cgroup`.
    pub cgroup: Vec<u8>,
}

/// What a `stat` says (`proc_pid_stat(5)`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stat {
    /// Its name, at most 15 bytes.
    pub name: Vec<u8>,
    /// One letter.
    pub state: char,
    /// Number of its parent.
    pub parent: u32,
    /// When it began, ticks since boot.
    pub ticks: u64,
}

/// Reads a `stat`. A name may hold anything: the last parenthesis ends it.
#[must_use]
pub fn stat(bytes: &[u8]) -> Option<Stat> {
    let open = memchr::memchr(b'(', bytes)?;
    let close = memchr::memrchr(b')', bytes)?;
    let name = bytes.get(open + 1..close)?.to_vec();
    let tail = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let mut words = tail.split_ascii_whitespace();
    let (state, parent) = (words.next()?.chars().next()?, words.next()?.parse().ok()?);
    Some(Stat { name, state, parent, ticks: words.nth(17)?.parse().ok()? })
}

/// Effective user of a `status`.
fn user(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The container's id of a `cgroup`: 64 hexadecimal digits, as docker, containerd, CRI-O and podman name their groups.
#[must_use]
pub fn container(cgroup: &[u8]) -> Option<String> {
    const LEN: usize = 64;
    let mut runs = cgroup.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() == LEN);
    runs.next_back().map(|id| String::from_utf8_lossy(id).into_owned())
}

/// Arguments with spaces between them.
fn command_line(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.iter().take(end).map(|byte| if *byte == 0 { b' ' } else { *byte }).collect()
}

/// The row of a process; none where it vanished while it was read.
#[must_use]
pub fn row(seen: &Seen, boot: &Boot, names: &HashMap<u32, String>) -> Option<Row> {
    let stat = stat(&seen.stat)?;
    let mut row = Row::default().key_number(".pid", seen.pid.into()).key(".uid", boot.uid(seen.pid, stat.ticks));
    if let Some(exe) = &seen.exe {
        row.text(".file.path", exe);
    }
    let mut text = |path: &str, bytes: &[u8]| {
        let (text, flaw) = readable(bytes);
        flaw.into_iter().for_each(|flaw| row.flaw(flaw));
        if !text.is_empty() {
            row.volatile(path, Value::String(text));
        }
    };
    text(".name", &stat.name);
    text(".cmd_line", &command_line(&seen.cmdline));
    if let Some(exe) = &seen.exe {
        text(".file.name", exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
    }
    text(".working_directory", seen.cwd.as_deref().unwrap_or_default());
    text(".container.uid", container(&seen.cgroup).unwrap_or_default().as_bytes());
    let user = user(&seen.status);
    text(".user.uid", user.map(|uid| uid.to_string()).unwrap_or_default().as_bytes());
    text(".user.name", user.and_then(|uid| names.get(&uid)).map_or(b"", |name| name.as_bytes()));
    if seen.exe.is_some() {
        row.volatile(".file.type_id", Value::U64(1));
    }
    row.volatile(".parent_process.pid", Value::U64(stat.parent.into()));
    let since = std::time::Duration::from_millis(stat.ticks.saturating_mul(1000 / TICKS));
    row.volatile(".created_time", Value::Time(boot.at.plus(since)));
    row.volatile("unmapped.state", Value::String(stat.state.to_string()));
    if stat.parent == KTHREADD || seen.pid == KTHREADD {
        row.volatile("unmapped.kernel_thread", Value::Bool(true));
    }
    Some(row)
}

/// Reads a process below `proc`. What vanished or may not be seen is empty.
#[must_use]
pub fn read(proc: &Path, pid: u32) -> Seen {
    let folder = proc.join(pid.to_string());
    let bytes = |name: &str, most: u64| place::read(&folder.join(name), most).unwrap_or_default();
    let link = |name: &str| fs::read_link(folder.join(name)).ok().map(|path| path.as_os_str().as_bytes().to_vec());
    Seen {
        pid,
        stat: bytes("stat", LISTING_BYTES_MAX),
        status: bytes("status", LISTING_BYTES_MAX),
        cmdline: bytes("cmdline", TEXT_BYTES_MAX as u64 + 1),
        exe: link("exe"),
        cwd: link("cwd"),
        cgroup: bytes("cgroup", LISTING_BYTES_MAX),
    }
}

/// Numbers of all processes below `proc`, in order.
///
/// # Errors
/// The system's.
pub fn pids(proc: &Path) -> std::io::Result<Vec<u32>> {
    let entries = fs::read_dir(proc)?.filter_map(Result::ok);
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    Ok(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(stat: &str, cmdline: &[u8]) -> Seen {
        Seen {
            pid: 42,
            stat: stat.as_bytes().to_vec(),
            status: b"Name:\tx\nUid:\t0\t33\t0\t0\n".to_vec(),
            cmdline: cmdline.to_vec(),
            exe: Some(b"/usr/bin/x".to_vec()),
            ..Seen::default()
        }
    }

    #[test]
    fn command_lines_lose_their_zeros_and_what_is_no_text_is_flagged() {
        let names = HashMap::from([(33, "www".to_owned())]);
        let boot = Boot::of("00000000-0000-0000-0000-000000000001\n", "cpu 1\nbtime 1000\n");
        let row = row(
            &seen("42 (a) (b) S 7 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 250 20", b"x\0-y\0\xff\0\0"),
            &boot,
            &names,
        )
        .unwrap();
        assert_eq!((row.word(".name"), row.word(".cmd_line")), ("a) (b", "x -y \u{fffd}"));
        assert_eq!((row.word(".user.name"), row.word(".user.uid")), ("www", "33"));
        assert_eq!(row.word(".uid"), "00000000-0000-0000-0000-000000000001-42-250");
        assert_eq!(row.value(".created_time"), Some(&Value::Time(Timestamp::from_ms(1_002_500))));
        assert!(format!("{:?}", row.into_fields()).contains("invalid_utf8"));
    }

    #[test]
    fn processes_that_vanish_have_no_row() {
        let (boot, names) = (Boot::default(), HashMap::new());
        assert_eq!(row(&seen("", b""), &boot, &names), None);
        assert_eq!(row(&seen("42 (a", b""), &boot, &names), None);
        assert_eq!(row(&read(Path::new("/nowhere"), 1), &boot, &names), None);
    }

    #[test]
    fn containers_are_found_in_groups() {
        let id = "0123456789abcdef".repeat(4);
        for group in [
            format!("0::/system.slice/docker-{id}.scope\n"),
            format!("12:pids:/kubepods/besteffort/pod1/{id}\n"),
            format!("0::/machine.slice/libpod-{id}.scope/container"),
        ] {
            assert_eq!(container(group.as_bytes()), Some(id.clone()), "{group}");
        }
        assert_eq!(container(b"0::/user.slice/user-0.slice\n"), None);
    }
}
