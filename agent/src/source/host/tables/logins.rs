//! Sessions and the history of logins: `utmp(5)` records of utmp, wtmp and btmp, and logind's session files. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::record::Value;
use shared::time::Timestamp;

use super::super::row::Row;

const RUN_LEVEL: u16 = 1;
const BOOT: u16 = 2;
const USER: u16 = 7;
const DEAD: u16 = 8;

/// How glibc lays a record out: with times of 32 bits (x86, POWER, s390), or of 64 (aarch64, riscv64, loongarch64).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// 384 bytes.
    Narrow,
    /// 400 bytes.
    Wide,
}

impl Layout {
    /// This machine's.
    #[must_use]
    pub fn native() -> Self {
        const WIDE: bool = cfg!(any(target_arch = "aarch64", target_arch = "riscv64", target_arch = "loongarch64"));
        if WIDE { Self::Wide } else { Self::Narrow }
    }

    /// Bytes of a record.
    #[must_use]
    pub fn record_len(self) -> usize {
        if self == Self::Wide { 400 } else { 384 }
    }
}

/// Which file a record is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Log {
    /// Who is logged in.
    Utmp,
    /// Who was.
    Wtmp,
    /// Who failed to.
    Btmp,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry<'a> {
    kind: u16,
    pid: u32,
    line: &'a [u8],
    user: &'a [u8],
    host: &'a [u8],
    at: Timestamp,
    address: Option<IpAddr>,
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn text(bytes: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    bytes.get(at..at + len)?.split(|byte| *byte == 0).next()
}

fn entry(bytes: &[u8], layout: Layout) -> Option<Entry<'_>> {
    let (seconds, micros, address) = match layout {
        Layout::Narrow => (
            i64::from(u32::from_ne_bytes(array(bytes, 340)?)),
            i64::from(i32::from_ne_bytes(array(bytes, 344)?)),
            array::<16>(bytes, 348)?,
        ),
        Layout::Wide => {
            (i64::from_ne_bytes(array(bytes, 344)?), i64::from_ne_bytes(array(bytes, 352)?), array::<16>(bytes, 360)?)
        }
    };
    let [a, b, c, d, rest @ ..] = address;
    let address = match (address == [0; 16], rest == [0; 12]) {
        (true, _) => None,
        (_, true) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        _ => Some(IpAddr::V6(Ipv6Addr::from(address)).to_canonical()),
    };
    let micros = micros.clamp(0, 999_999);
    Some(Entry {
        kind: u16::from_ne_bytes(array(bytes, 0)?),
        pid: u32::from_ne_bytes(array(bytes, 4)?),
        line: text(bytes, 8, 32)?,
        user: text(bytes, 44, 32)?,
        host: text(bytes, 76, 256)?,
        at: Timestamp(Timestamp::from_seconds(seconds).0.saturating_add(micros * 1000)),
        address,
    })
}

/// Terminals whose users are remembered.
const TERMINALS_MAX: usize = 4096;

/// Who logged in at which terminal: a logout names the terminal only (utmp(5)), as last(1) reads it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Terminals {
    users: HashMap<Box<[u8]>, Box<[u8]>>,
}

impl Terminals {
    /// Whose entry it is: the one that it names, or who logged in there before.
    fn user(&mut self, entry: &Entry<'_>) -> Box<[u8]> {
        match entry.kind {
            BOOT => self.users.clear(),
            DEAD => {
                let before = self.users.remove(entry.line);
                return before.filter(|_| entry.user.is_empty()).unwrap_or_else(|| entry.user.into());
            }
            USER if self.users.len() < TERMINALS_MAX || self.users.contains_key(entry.line) => {
                self.users.insert(entry.line.into(), entry.user.into());
            }
            _ => {}
        }
        entry.user.into()
    }
}

/// Rows of a file, from a record's begin on. What is left behind the last whole record is passed over.
pub fn rows(bytes: &[u8], layout: Layout, log: Log, terminals: &mut Terminals, each: &mut dyn FnMut(Row)) {
    for bytes in bytes.chunks_exact(layout.record_len()) {
        if let Some(entry) = entry(bytes, layout) {
            let user = if log == Log::Wtmp { terminals.user(&entry) } else { entry.user.into() };
            row(&Entry { user: &user, ..entry }, log).into_iter().for_each(&mut *each);
        }
    }
}

fn row(entry: &Entry<'_>, log: Log) -> Option<Row> {
    // The level is the activity: 1 logon, 2 logoff; 3 and 4 start and stop of the host.
    let level = match (log, entry.kind) {
        (Log::Utmp, USER) | (Log::Wtmp, USER) | (Log::Btmp, _) => 1,
        (Log::Wtmp, DEAD) => 2,
        (Log::Wtmp, BOOT) => 3,
        (Log::Wtmp, RUN_LEVEL) if entry.user == b"shutdown" => 4,
        _ => return None,
    };
    // OCSF requires a user; a program may have left it out.
    let user = if entry.user.is_empty() { b"unknown" } else { entry.user };
    let mut row = match log {
        // Whose session ended is known by its key.
        Log::Utmp => {
            let row = Row::default().key(".uid", entry.pid.to_string()).key(".terminal", entry.line);
            row.key("user.name", user)
        }
        Log::Wtmp | Log::Btmp => Row::default(),
    };
    if level >= 3 {
        row.text("app.name", "system");
        row.text("unmapped.kernel_release", entry.host);
    } else {
        if entry.user.is_empty() {
            row.flaw("no_user");
        }
        if log != Log::Utmp {
            row.text("user.name", user);
            row.text("session.terminal", entry.line);
        }
        remote(&mut row, entry, if log == Log::Utmp { ".is_remote" } else { "is_remote" });
    }
    row.level = level;
    if log == Log::Utmp {
        row.time(".created_time", entry.at);
        row.text("unmapped.seen_by", "utmp");
        return Some(row);
    }
    row.number("actor.process.pid", entry.pid.into());
    row.time("unmapped.at", entry.at);
    row.text("unmapped.seen_by", if log == Log::Btmp { "btmp" } else { "wtmp" });
    if log == Log::Btmp {
        row.number("status_id", 2);
        row.text("status_detail", "failed login");
    } else {
        row.number("status_id", 1);
    }
    Some(row)
}

fn remote(row: &mut Row, entry: &Entry<'_>, is_remote: &str) {
    if let Some(address) = entry.address {
        row.put("src_endpoint.ip", Value::Ip(address));
        row.put(is_remote, Value::Bool(true));
    }
    let host = String::from_utf8_lossy(entry.host);
    let is_address = host.parse::<IpAddr>().is_ok();
    // A display (`:0`) is no host.
    if !host.is_empty() && !host.starts_with(':') && !is_address {
        row.text("src_endpoint.hostname", entry.host);
    }
}

/// A session of logind (`/run/systemd/sessions/N`; its form is private and has been the same since systemd 30).
#[must_use]
pub fn session(uid: &str, text: &[u8]) -> Option<Row> {
    let text = String::from_utf8_lossy(text);
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.filter(|value| !value.is_empty())
    };
    // Whose session ended is known by its key.
    let mut row = Row::default().key(".uid", uid).key(".terminal", field("TTY").unwrap_or_default());
    row = row.key("user.name", field("USER")?);
    if let Some(service) = field("SERVICE") {
        row = row.key("service.name", service);
    }
    row.text("user.uid", field("UID").unwrap_or_default());
    row.text("unmapped.class", field("CLASS").unwrap_or_default());
    row.text("unmapped.type", field("TYPE").unwrap_or_default());
    if let Some(host) = field("REMOTE_HOST") {
        match host.parse() {
            Ok(ip) => row.put("src_endpoint.ip", Value::Ip(ip)),
            Err(_) => row.text("src_endpoint.hostname", host),
        }
    }
    row.put(".is_remote", Value::Bool(field("REMOTE") == Some("1")));
    if let Some(micros) = field("REALTIME").and_then(|micros| micros.parse::<i64>().ok()) {
        row.time(".created_time", Timestamp(micros.saturating_mul(1000)));
    }
    row.text("unmapped.seen_by", "logind");
    Some(row)
}

/// A record as glibc writes it, for tests.
#[cfg(test)]
pub(in super::super) fn made(layout: Layout, kind: u16, user: &str, line: &str, host: &str, seconds: u32) -> Vec<u8> {
    let mut bytes = vec![0; layout.record_len()];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &kind.to_ne_bytes());
    put(4, &77_u32.to_ne_bytes());
    put(8, line.as_bytes());
    put(44, user.as_bytes());
    put(76, host.as_bytes());
    match layout {
        Layout::Narrow => put(340, &seconds.to_ne_bytes()),
        Layout::Wide => put(344, &u64::from(seconds).to_ne_bytes()),
    }
    put(if layout == Layout::Narrow { 348 } else { 360 }, &[192, 0, 2, 1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_logouts_failures_and_boots_are_told_of_both_layouts() {
        for layout in [Layout::Narrow, Layout::Wide] {
            let mut bytes = made(layout, BOOT, "reboot", "~", "6.1.0", 100);
            bytes.extend(made(layout, USER, "bob", "pts/0", "example.net", 200));
            bytes.extend(made(layout, DEAD, "", "pts/0", "", 300));
            bytes.extend(made(layout, 5, "", "tty1", "", 300));
            bytes.extend_from_slice(b"torn");
            let mut found = Vec::new();
            rows(&bytes, layout, Log::Wtmp, &mut Terminals::default(), &mut |row| found.push(row));
            assert_eq!(found.iter().map(|row| row.level).collect::<Vec<_>>(), [3, 1, 2]);
            assert_eq!(found[2].word("user.name"), "bob", "a logout names the terminal only");
            assert_eq!((found[1].word("user.name"), found[1].word("session.terminal")), ("bob", "pts/0"));
            assert_eq!(found[1].value("unmapped.at"), Some(&Value::Time(Timestamp::from_seconds(200))));
            assert_eq!(found[1].value("src_endpoint.ip"), Some(&Value::Ip([192, 0, 2, 1].into())));
            let mut failed = Vec::new();
            let mut bytes = made(layout, 6, "eve", "ssh:notty", "", 1);
            bytes.extend(made(layout, 6, "", "ssh:notty", "", 1));
            rows(&bytes, layout, Log::Btmp, &mut Terminals::default(), &mut |row| failed.push(row));
            assert_eq!(failed[0].value("status_id"), Some(&Value::U64(2)));
            assert_eq!((failed[0].word("user.name"), failed[1].word("user.name")), ("eve", "unknown"));
        }
    }

    #[test]
    fn sessions_of_logind_are_read() {
        let text = b"# private\nUID=1000\nUSER=bob\nACTIVE=1\nREMOTE=1\nREMOTE_HOST=192.0.2.1\nTTY=pts/0\nSERVICE=sshd\nREALTIME=1700000000000000\n";
        let row = session("3", text).unwrap();
        assert_eq!((row.word("user.name"), row.word(".terminal"), row.word("service.name")), ("bob", "pts/0", "sshd"));
        assert_eq!(session("3", b"nonsense"), None);
    }
}
