//! What the kernel writes as text: sockets (`/proc/net/tcp` and its like), a process (`/proc/PID/stat`), capabilities
//! (`/proc/PID/status`), users (`/etc/passwd`). Pure: text in, values out; what has no sense is passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::flow::key::End;
use super::diag::Row;

/// Octets of a name or path that are kept.
const TEXT_BYTES_MAX: usize = 4096;

/// Reads `/proc/net/{tcp,tcp6,udp,udp6}` (`proc_net(5)`).
pub fn sockets(text: &str, each: &mut dyn FnMut(Row)) {
    text.lines().skip(1).filter_map(socket).for_each(each);
}

fn socket(line: &str) -> Option<Row> {
    let mut words = line.split_ascii_whitespace();
    let (local, remote) = (end(words.nth(1)?)?, end(words.next()?)?);
    let state = u8::from_str_radix(words.next()?, 16).ok()?;
    // Queues, timer and retransmissions stand between.
    let uid = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    Some(Row { local, remote, state, uid, inode })
}

/// `0100007F:0016`: the address in words of the host's order, the port in the usual one.
fn end(text: &str) -> Option<End> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            octets.iter_mut().zip(words.as_flattened()).for_each(|(place, octet)| *place = *octet);
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some(End { ip, port: u16::from_str_radix(port, 16).ok()? })
}

/// The name of a process and when it began, in clock ticks since boot, of its `stat` (`proc_pid_stat(5)`).
#[must_use]
pub fn stat(bytes: &[u8]) -> Option<(String, u64)> {
    let text = String::from_utf8_lossy(bytes.get(..TEXT_BYTES_MAX).unwrap_or(bytes));
    // A name may hold anything, parentheses too: the last one ends it.
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some((name.to_owned(), tail.split_ascii_whitespace().nth(19)?.parse().ok()?))
}

/// The inode of a socket of what a descriptor links to: `socket:[4711]`.
#[must_use]
pub fn inode(link: &[u8]) -> Option<u64> {
    str::from_utf8(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?).ok()?.parse().ok()
}

/// Effective capabilities of a `status`, as bits.
#[must_use]
pub fn capabilities(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

/// Users by number, of a `passwd(5)`; the first of a number counts.
pub fn users(text: &str, each: &mut dyn FnMut(u32, &str)) {
    for line in text.lines() {
        let mut fields = line.split(':');
        let (name, uid) = (fields.next(), fields.nth(1).and_then(|uid| uid.parse().ok()));
        if let (Some(name), Some(uid)) = (name, uid)
            && !name.is_empty()
            && !name.starts_with(['#', '+', '-'])
        {
            each(uid, name.get(..256).unwrap_or(name));
        }
    }
}

/// What a fuzz target calls.
pub fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    sockets(&text, &mut |_| {});
    users(&text, &mut |_, name| assert!(name.len() <= 256, "a name is bounded"));
    let _ = (stat(input), inode(input), capabilities(&text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_read_as_the_kernel_writes_them() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                    0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n\
                    nonsense\n\
                    1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:C350 01 0:0 0:0 0 33 0 9 1 0";
        let mut rows = Vec::new();
        sockets(text, &mut |row| rows.push(row));
        let end = |ip: &str, port| End { ip: ip.parse().unwrap(), port };
        let first = Row { local: end("127.0.0.1", 22), remote: end("0.0.0.0", 0), state: 10, uid: 0, inode: 4711 };
        let second = Row { local: end("127.0.0.1", 80), remote: end("127.0.0.2", 50_000), state: 1, uid: 33, inode: 9 };
        assert_eq!(rows, [first, second]);
    }

    #[test]
    fn names_of_processes_may_hold_parentheses() {
        let stat_line = b"42 (a) (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(stat(stat_line), Some(("a) (b".to_owned(), 4242)));
        assert_eq!((stat(b"42 (a"), stat(b"")), (None, None));
    }

    #[test]
    fn links_status_and_passwd_are_read_and_nonsense_is_not() {
        assert_eq!((inode(b"socket:[12]"), inode(b"pipe:[12]"), inode(b"socket:[x]")), (Some(12), None, None));
        assert_eq!((capabilities("Name:\tx\nCapEff:\t0000000000080004\n"), capabilities("")), (0x80004, 0));
        let mut named = Vec::new();
        users("root:x:0:0:root:/root:/bin/sh\n# no\n+::0:\nbad\nwww:x:33:33::/:/x", &mut |uid, name| {
            named.push((uid, name.to_owned()));
        });
        assert_eq!(named, [(0, "root".to_owned()), (33, "www".to_owned())]);
    }
}
