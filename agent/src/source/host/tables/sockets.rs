//! TCP and UDP sockets with their processes: by `sock_diag`, or `/proc/net` where that is not to be had or the tree is not
//! the host's; the process by the links of `/proc/PID/fd`.
//!
//! Sockets that no process holds any more (TIME-WAIT) are passed over. Those of other network namespaces are not seen.

use std::collections::HashMap;
use std::fs;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};
use shared::record::Value;

use super::super::place::{self, Place};
use super::super::row::Row;
use super::super::table::LISTEN;
use super::processes;
use crate::source::packet::flow::key::Path as FlowPath;
use crate::source::packet::process::diag::{self, Answer, Ask};
use crate::source::packet::process::listing;

/// Sockets that are told.
pub const SOCKETS_MAX: usize = 32_768;
/// Links of `/proc/PID/fd` that are read in a round.
const LINKS_MAX: usize = 262_144;
const ANSWER_BYTES_MAX: usize = 32 << 10;
const LISTING_BYTES_MAX: u64 = 16 << 20;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Who holds a socket.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Owners {
    pids: HashMap<u64, u32>,
}

impl Owners {
    /// Finds the holders of sockets that are not known yet, if there are any.
    fn find(&mut self, proc: &Path, inodes: &[u64]) {
        if inodes.iter().all(|inode| self.pids.contains_key(inode)) {
            return;
        }
        self.pids.clear();
        let mut links = 0;
        for pid in processes::pids(proc).unwrap_or_default() {
            let entries = fs::read_dir(proc.join(format!("{pid}/fd"))).into_iter().flatten();
            for entry in entries.filter_map(Result::ok) {
                links += 1;
                if links > LINKS_MAX {
                    return;
                }
                let inode =
                    fs::read_link(entry.path()).ok().and_then(|link| listing::inode(link.as_os_str().as_bytes()));
                if let Some(inode) = inode {
                    // Who starts services for others holds their sockets, too.
                    let holder = self.pids.entry(inode).or_insert(pid);
                    if *holder == 1 {
                        *holder = pid;
                    }
                }
            }
        }
        // What nobody holds is not looked for at every round.
        for inode in inodes {
            self.pids.entry(*inode).or_insert(0);
        }
    }
}

/// A socket and its protocol.
type Found = (u8, diag::Row);

fn by_netlink(protocol: u8, v6: bool, each: &mut dyn FnMut(diag::Row)) -> rustix::io::Result<()> {
    let netlink: OwnedFd =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&netlink, sockopt::Timeout::Recv, Some(std::time::Duration::from_millis(100)))?;
    let question = diag::request(Ask::All { v6 }, protocol, 1);
    sendto(&netlink, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut bytes = vec![0_u8; ANSWER_BYTES_MAX];
    loop {
        let (len, _) = recv(&netlink, bytes.as_mut_slice(), RecvFlags::empty())?;
        match diag::answer(bytes.get(..len).unwrap_or_default(), 1, each) {
            Answer::More => {}
            Answer::Done => return Ok(()),
            Answer::Refused(code) => return Err(rustix::io::Errno::from_raw_os_error(code)),
        }
    }
}

fn all(place: &Place) -> std::io::Result<Vec<Found>> {
    let (mut found, mut failed) = (Vec::new(), None);
    for (protocol, v6, name) in [(TCP, false, "tcp"), (TCP, true, "tcp6"), (UDP, false, "udp"), (UDP, true, "udp6")] {
        let before = found.len();
        let mut each = |row: diag::Row| {
            if found.len() < SOCKETS_MAX && row.inode != 0 {
                found.push((protocol, row));
            }
        };
        if place.is_host() && by_netlink(protocol, v6, &mut each).is_ok() {
            continue;
        }
        found.truncate(before);
        let mut each = |row: diag::Row| {
            if found.len() < SOCKETS_MAX && row.inode != 0 {
                found.push((protocol, row));
            }
        };
        match place.read(&format!("proc/net/{name}"), LISTING_BYTES_MAX) {
            Ok(text) => listing::sockets(&String::from_utf8_lossy(&text), &mut each),
            // Where IPv6 is off there is none.
            Err(error) if !v6 => failed = Some(error),
            Err(_) => {}
        }
    }
    failed.map_or(Ok(found), Err)
}

/// The row of a socket, without its process.
fn row(protocol: u8, socket: &diag::Row) -> Row {
    let is_tcp = protocol == TCP;
    let connected = socket.remote.port != 0;
    let mut row = Row::default()
        .key(".protocol_name", if is_tcp { "tcp" } else { "udp" })
        .key("src_endpoint.ip", socket.local.ip.to_string())
        .key_number("src_endpoint.port", socket.local.port.into());
    if connected {
        row = row
            .key("dst_endpoint.ip", socket.remote.ip.to_string())
            .key_number("dst_endpoint.port", socket.remote.port.into());
    } else {
        // Several may listen at one place (SO_REUSEPORT), as several do not with both ends.
        row = row.key_number("unmapped.inode", socket.inode);
    }
    if connected {
        // As flows of the packet source have it: the same both ways.
        let path = FlowPath { source: socket.local, destination: socket.remote, protocol, one_way: false };
        row.volatile(".community_uid", Value::String(path.community_id()));
    }
    row.number(".protocol_num", protocol.into());
    row.number(".protocol_ver_id", if matches!(socket.local.ip, IpAddr::V4(_)) { 4 } else { 6 });
    // OCSF: 1 inbound; 0 where nobody knows who began.
    row.number(".direction_id", u64::from(!connected));
    row.volatile("unmapped.tcp_state", if is_tcp { Value::U64(socket.state.into()) } else { Value::Null });
    row.level = match (is_tcp, connected) {
        (true, _) => socket.state.into(),
        // A UDP socket that is bound takes what comes, as one that listens.
        (false, false) => LISTEN,
        (false, true) => 0,
    };
    row
}

/// The name of a process; none of one that is gone.
fn name(proc: &Path, pid: u32) -> Option<String> {
    let stat = place::read(&proc.join(format!("{pid}/stat")), 4096).ok()?;
    processes::stat(&stat).map(|stat| String::from_utf8_lossy(&stat.name).into_owned())
}

/// Tells every socket.
///
/// # Errors
/// The system's.
pub fn sockets(
    place: &Place,
    owners: &mut Owners,
    users: &HashMap<u32, String>,
    each: &mut dyn FnMut(Row),
) -> std::io::Result<()> {
    let proc = place.at("proc");
    let found = all(place)?;
    owners.find(&proc, &found.iter().map(|(_, socket)| socket.inode).collect::<Vec<_>>());
    // Few processes hold many sockets.
    let mut names = HashMap::new();
    for (protocol, socket) in &found {
        let mut row = row(*protocol, socket);
        row.volatile("actor.user.uid", Value::String(socket.uid.to_string()));
        if let Some(name) = users.get(&socket.uid) {
            row.volatile("actor.user.name", Value::String(name.clone()));
        }
        if let Some(pid) = owners.pids.get(&socket.inode).filter(|pid| **pid != 0) {
            row.volatile("actor.process.pid", Value::U64((*pid).into()));
            if let Some(name) = names.entry(*pid).or_insert_with(|| name(&proc, *pid)) {
                row.volatile("actor.process.name", Value::String(name.clone()));
            }
        }
        each(row);
    }
    Ok(())
}
