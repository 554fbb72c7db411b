//! Whose socket has these ends: by netlink, or where that is not to be had by `/proc/net`.
//!
//! Few are asked for one by one, which costs the kernel a hash lookup each; many by one dump of all sockets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};

use super::super::flow::key::{End, TCP, UDP};
use super::diag::{Answer, Ask, REQUEST_LEN, Row, answer, request};
use super::listing;

/// Sockets that are asked for one by one; more cost a dump.
const ONE_BY_ONE_MAX: usize = 64;
/// Octets that the kernel sends at once.
const ANSWER_BYTES_MAX: usize = 32 << 10;
/// Longest listing that is read: about 400,000 sockets.
const LISTING_BYTES_MAX: u64 = 64 << 20;

/// Ends of a socket of this host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ends {
    /// 6 TCP, 17 UDP.
    pub(super) protocol: u8,
    pub(super) local: End,
    pub(super) remote: End,
}

/// Who made a socket, and its inode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Socket {
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// The kernel's sockets.
pub(super) struct Sockets {
    netlink: Option<OwnedFd>,
    sequence: u32,
    listings: PathBuf,
}

fn is_unspecified(end: End) -> bool {
    end.port == 0
}

impl Sockets {
    /// By netlink, where the kernel has it and `netlink` is said, otherwise by the listings below `proc`.
    pub(super) fn open(proc: &Path, netlink: bool) -> Self {
        let netlink = if netlink { socket().ok() } else { None };
        Self { netlink, sequence: 0, listings: proc.join("net") }
    }

    /// The kernel is asked by netlink.
    pub(super) fn by_netlink(&self) -> bool {
        self.netlink.is_some()
    }

    /// The socket of each of `asked`, in that order: the one with both ends, or who listens at the local one.
    pub(super) fn find(&mut self, asked: &[Ends]) -> Vec<Option<Socket>> {
        if self.netlink.is_some() && asked.len() <= ONE_BY_ONE_MAX {
            return asked.iter().map(|ends| self.one(ends)).collect();
        }
        let mut sought = Sought::new(asked);
        for protocol in [TCP, UDP] {
            if asked.iter().any(|ends| ends.protocol == protocol) {
                for v6 in [false, true] {
                    self.all(protocol, v6, &mut |row| sought.row(protocol, &row));
                }
            }
        }
        sought.found
    }

    fn one(&mut self, ends: &Ends) -> Option<Socket> {
        let nobody = End { ip: if ends.local.ip.is_ipv4() { [0; 4].into() } else { [0; 16].into() }, port: 0 };
        // Kernels differ in which end of a UDP lookup is their own (`udp_dump_one`, changed in 5.8).
        let turned = (ends.protocol == UDP).then_some((ends.remote, ends.local));
        let tries = [Some((ends.local, ends.remote)), turned, Some((ends.local, nobody))];
        tries.into_iter().flatten().find_map(|(local, remote)| {
            let mut found = None;
            self.ask(Ask::One(local, remote), ends.protocol, &mut |row| {
                let is = row.local.port == ends.local.port && row.inode != 0;
                found = is.then_some(Socket { uid: row.uid, inode: row.inode });
            });
            found
        })
    }

    fn all(&mut self, protocol: u8, v6: bool, each: &mut dyn FnMut(Row)) {
        if self.netlink.is_some() {
            self.ask(Ask::All { v6 }, protocol, each);
            return;
        }
        let name = match (protocol, v6) {
            (TCP, false) => "tcp",
            (TCP, true) => "tcp6",
            (_, false) => "udp",
            (_, true) => "udp6",
        };
        let mut text = String::new();
        if let Ok(file) = std::fs::File::open(self.listings.join(name))
            && std::io::Read::read_to_string(&mut std::io::Read::take(file, LISTING_BYTES_MAX), &mut text).is_ok()
        {
            listing::sockets(&text, each);
        }
    }

    /// Asks the kernel; an answer that fails or ends early is what came of it.
    fn ask(&mut self, ask: Ask, protocol: u8, each: &mut dyn FnMut(Row)) {
        self.sequence = self.sequence.wrapping_add(1);
        let Some(netlink) = &self.netlink else { return };
        let question: [u8; REQUEST_LEN] = request(ask, protocol, self.sequence);
        if sendto(netlink, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).is_err() {
            return;
        }
        let mut bytes = vec![0_u8; if matches!(ask, Ask::One(..)) { 1024 } else { ANSWER_BYTES_MAX }];
        loop {
            let Ok((len, _)) = recv(netlink, bytes.as_mut_slice(), RecvFlags::empty()) else { return };
            let mut any = false;
            let came = bytes.get(..len).unwrap_or_default();
            let state = answer(came, self.sequence, &mut |row| {
                any = true;
                each(row);
            });
            // Of one socket there is one row and nothing behind it.
            if state != Answer::More || any && matches!(ask, Ask::One(..)) {
                return;
            }
        }
    }
}

fn socket() -> rustix::io::Result<OwnedFd> {
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    // The kernel answers before the call returns; this is for one that does not answer at all.
    let patience = Some(std::time::Duration::from_millis(100));
    sockopt::set_socket_timeout(&netlink, sockopt::Timeout::Recv, patience)?;
    Ok(netlink)
}

/// What is looked for in a dump.
struct Sought {
    exact: HashMap<Ends, Vec<usize>>,
    /// By protocol and local port.
    listening: HashMap<(u8, u16), Vec<(IpAddr, usize)>>,
    found: Vec<Option<Socket>>,
    /// Found with both ends: who listens does not take its place.
    sure: Vec<bool>,
}

impl Sought {
    fn new(asked: &[Ends]) -> Self {
        let (found, sure) = (vec![None; asked.len()], vec![false; asked.len()]);
        let mut sought = Self { exact: HashMap::new(), listening: HashMap::new(), found, sure };
        for (at, ends) in asked.iter().enumerate() {
            sought.exact.entry(*ends).or_default().push(at);
            sought.listening.entry((ends.protocol, ends.local.port)).or_default().push((ends.local.ip, at));
        }
        sought
    }

    fn row(&mut self, protocol: u8, row: &Row) {
        let Self { exact, listening, found, sure } = self;
        let socket = Socket { uid: row.uid, inode: row.inode };
        if row.inode == 0 {
            return;
        }
        let mut put = |at: usize, is_sure: bool| {
            if let (Some(found), Some(sure)) = (found.get_mut(at), sure.get_mut(at))
                && !*sure
            {
                (*found, *sure) = (Some(socket), is_sure);
            }
        };
        if !is_unspecified(row.remote) {
            let ends = Ends { protocol, local: row.local, remote: row.remote };
            exact.get(&ends).into_iter().flatten().for_each(|at| put(*at, true));
            return;
        }
        for (ip, at) in listening.get(&(protocol, row.local.port)).into_iter().flatten() {
            let anywhere = row.local.ip.is_unspecified() && (row.local.ip.is_ipv6() || ip.is_ipv4());
            if anywhere || row.local.ip == *ip {
                put(*at, false);
            }
        }
    }
}
