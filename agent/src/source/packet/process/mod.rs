//! Whose a flow is: process, pid and user of the flows of this host.
//!
//! ```text
//! flow opens ─▶ Sockets (sock_diag)  ─▶ Holders (/proc/PID/fd) ─▶ People (/proc/PID, /etc/passwd) ─▶ Owner of the flow
//! ends          user and inode          pid                      name, path, stable id; user name
//! ```
//!
//! In: [`Attribution::turn`], called whenever frames were taken and at least every 250 ms. Out: an [`Owner`] on every new
//! TCP and UDP flow with an end here; each record of the flow told after that carries it. A packet costs nothing, a flow
//! one question; many flows at once cost one dump. What an [`Asker`] found at a flow's first packet, on a thread of its
//! own, is taken before that. A connection belongs to who holds its socket; where that is gone, or
//! not accepted yet, to who listens on its port. Of a flow between two sockets of this host it is the client's process.
//!
//! Bounds: [`WAITING_MAX`] flows wait for a sweep of `/proc`, for at most [`WAIT_MAX`]; see `holders` for those of
//! sweeps. What cannot be named says why ([`Unknown`]). Sockets of other network namespaces are not seen.
//!
//! Processes of other users are seen with `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH` only; without them their flows still
//! have their user. [`Attribution::missing`] says what lacks.

pub mod diag;
mod early;
mod holders;
pub mod listing;
mod people;
mod sockets;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shared::time::Timestamp;

pub use self::early::{Asker, Early};
use self::holders::Holders;
use self::people::People;
use self::sockets::{Ends, Socket, Sockets};
use super::flow::Unowned;
use super::meter::Meter;

/// Flows that wait for their process; more are told as [`Unknown::TooMany`].
pub const WAITING_MAX: usize = 1024;
/// Longest time that a flow waits for its process.
pub const WAIT_MAX: Duration = Duration::from_secs(3);
/// Flows that are asked for in a turn; more wait for the next.
const ASKED_MAX: usize = 4096;
/// Owners that are shared between flows.
const OWNERS_MAX: usize = 1024;
/// Sockets that nobody here holds (the kernel's own, other namespaces'): they are not looked for again so soon.
const HELD_BY_NONE_MAX: usize = 1024;
const HELD_BY_NONE_FOR: Duration = Duration::from_secs(30);
/// Bits of capabilities (`linux/capability.h`).
const DAC_OVERRIDE: u64 = 1 << 1;
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYS_PTRACE: u64 = 1 << 19;

/// A process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, as the kernel has it: at most 15 octets.
    pub name: String,
    /// Its program; none where that may not be seen. ` (deleted)` stands behind one that is.
    pub path: Option<String>,
    /// Boot, number and begin: no other process ever has it.
    pub uid: String,
}

/// A user.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct User {
    /// The number.
    pub uid: u32,
    /// The name by `/etc/passwd`.
    pub name: Option<Arc<str>>,
}

/// Why a process could not be named.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Unknown {
    /// No socket has these ends: it was closed before it could be asked for, or belongs to another namespace.
    NoSocket,
    /// It is another user's, and a capability is missing.
    NotPermitted,
    /// No process of this namespace holds the socket.
    NotHeld,
    /// It is still being looked for, or the flow ended before.
    NotAsked,
    /// Too many flows began at once.
    TooMany,
}

impl Unknown {
    /// The word for it in `unmapped.process_unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoSocket => "no_socket",
            Self::NotPermitted => "not_permitted",
            Self::NotHeld => "not_held",
            Self::NotAsked => "not_asked",
            Self::TooMany => "too_many",
        }
    }
}

/// Whose a flow is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Owner {
    /// The process, or why it is not known.
    pub process: Result<Process, Unknown>,
    /// The user who made the socket; none where it was not found.
    pub user: Option<User>,
}

/// What lacks for processes to be named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// `CAP_SYS_PTRACE`: sockets of other users' processes are not seen.
    Ptrace,
    /// `CAP_DAC_READ_SEARCH`: descriptors of other users' processes are not seen.
    ReadSearch,
    /// The kernel answers no `sock_diag`: the slower `/proc/net` is read.
    SockDiag,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ptrace => "CAP_SYS_PTRACE is missing: processes of other users are not named",
            Self::ReadSearch => "CAP_DAC_READ_SEARCH is missing: processes of other users are not named",
            Self::SockDiag => "the kernel answers no sock_diag: sockets are found by /proc/net, which costs more",
        })
    }
}

/// A flow whose socket is known and whose process is being looked for.
struct Waiting {
    flow: Unowned,
    socket: Socket,
    since: Timestamp,
    /// Sweeps that were whole when it came.
    sweeps: u64,
}

/// Finds owners for flows.
pub struct Attribution {
    sockets: Sockets,
    holders: Holders,
    people: People,
    /// Answers that were found ahead of the capture.
    early: Arc<Early>,
    /// Flows whose answer was not: they are asked for.
    unasked: Vec<Unowned>,
    waiting: VecDeque<Waiting>,
    owners: HashSet<Arc<Owner>>,
    held_by_none: HashMap<u64, Timestamp>,
    own_uid: u32,
    capabilities: u64,
}

impl Attribution {
    /// One for this host. Opens a netlink socket where the kernel has it.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Path::new("/proc"), Path::new("/etc/passwd"), true)
    }

    fn at(proc: &Path, passwd: &Path, netlink: bool) -> Self {
        let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
        Self {
            sockets: Sockets::open(proc, netlink),
            holders: Holders::new(proc),
            people: People::new(proc, passwd),
            early: Arc::default(),
            unasked: Vec::new(),
            waiting: VecDeque::new(),
            owners: HashSet::new(),
            held_by_none: HashMap::new(),
            own_uid: rustix::process::geteuid().as_raw(),
            capabilities: listing::capabilities(&status),
        }
    }

    /// What lacks for every process to be named, for `status`.
    #[must_use]
    pub fn missing(&self) -> Vec<Missing> {
        let lacks = [
            (self.capabilities & SYS_PTRACE == 0, Missing::Ptrace),
            (self.capabilities & (DAC_OVERRIDE | DAC_READ_SEARCH) == 0, Missing::ReadSearch),
            (!self.sockets.by_netlink(), Missing::SockDiag),
        ];
        lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect()
    }

    /// Where answers that are found ahead of the capture are put.
    #[must_use]
    pub fn early(&self) -> Arc<Early> {
        Arc::clone(&self.early)
    }

    /// Flows that wait for their process.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Gives the flows that began since the last turn their owners, as far as they are found by now. The first turn, which
    /// has to come before the first frame, makes the table remember which flows have none.
    pub fn turn(&mut self, meter: &mut Meter, now: Timestamp) {
        self.recognize(meter, now);
        let flows = std::mem::take(&mut self.unasked);
        if flows.is_empty() && self.waiting.is_empty() {
            return;
        }
        self.people.refresh();
        self.holders.refill(now);
        self.ask(meter, flows, now);
        if !self.waiting.is_empty() {
            let wanted: Vec<u64> = self.waiting.iter().map(|waiting| waiting.socket.inode).collect();
            self.holders.look(&wanted);
            self.settle(meter, now);
        }
    }

    /// Gives new flows the owners that were found ahead of the capture, which costs nearly nothing.
    pub fn recognize(&mut self, meter: &mut Meter, now: Timestamp) {
        let flows = meter.unowned(ASKED_MAX.saturating_sub(self.unasked.len()));
        if flows.is_empty() {
            return;
        }
        self.people.refresh();
        for flow in flows {
            let ends = client(&flow);
            if let Some((process, uid)) = ends.and_then(|ends| self.early.named(&ends, now)) {
                self.give(meter, &flow, Ok(process), Some(uid));
            } else if let Some(uid) = ends.and_then(|ends| self.early.user(&ends, now, |uid| self.is_refused(uid))) {
                self.give(meter, &flow, Err(Unknown::NotPermitted), Some(uid));
            } else {
                self.unasked.push(flow);
            }
        }
    }

    /// Finds the sockets of new flows, and the processes that are known already.
    fn ask(&mut self, meter: &mut Meter, flows: Vec<Unowned>, now: Timestamp) {
        // The client's end first; what it does not find is asked for the server's.
        let (mut left, mut none) = (flows, Vec::new());
        for client in [true, false] {
            let ends = |flow: &Unowned| {
                if client { self::client(flow) } else { server(flow) }
            };
            let (asked, other): (Vec<_>, Vec<_>) = left.into_iter().partition(|flow| ends(flow).is_some());
            let sockets = self.sockets.find(&asked.iter().filter_map(ends).collect::<Vec<_>>());
            none.extend(other);
            for (flow, socket) in asked.into_iter().zip(sockets) {
                match socket {
                    Some(socket) => self.found(meter, flow, socket, now),
                    None => none.push(flow),
                }
            }
            left = std::mem::take(&mut none);
        }
        for flow in left {
            // Seen ahead, when its process had gone already: its user is known.
            let uid = client(&flow).and_then(|ends| self.early.user(&ends, now, |_| true));
            self.give(meter, &flow, Err(Unknown::NoSocket), uid);
        }
    }

    fn found(&mut self, meter: &mut Meter, flow: Unowned, socket: Socket, now: Timestamp) {
        if self.named(meter, &flow, socket) {
            return;
        }
        let nobody = self.held_by_none.get(&socket.inode).is_some_and(|at| now.since(*at) < HELD_BY_NONE_FOR);
        let unknown = match () {
            () if self.is_refused(socket.uid) => Unknown::NotPermitted,
            () if nobody => Unknown::NotHeld,
            () if self.waiting.len() >= WAITING_MAX => Unknown::TooMany,
            () => {
                let sweeps = self.holders.sweeps();
                return self.waiting.push_back(Waiting { flow, socket, since: now, sweeps });
            }
        };
        self.give(meter, &flow, Err(unknown), Some(socket.uid));
    }

    /// Whether processes of this user may not be looked at.
    fn is_refused(&self, uid: u32) -> bool {
        uid != self.own_uid && self.missing().iter().any(|what| *what != Missing::SockDiag)
    }

    /// Gives a flow its process, if that is known.
    fn named(&mut self, meter: &mut Meter, flow: &Unowned, socket: Socket) -> bool {
        let process = self.holders.holder(socket.inode).and_then(|pid| self.people.process(pid));
        let is = process.is_some();
        if let Some(process) = process {
            self.give(meter, flow, Ok(process), Some(socket.uid));
        }
        is
    }

    /// Those whose process is known now, and those that waited enough.
    fn settle(&mut self, meter: &mut Meter, now: Timestamp) {
        for waiting in std::mem::take(&mut self.waiting) {
            if self.named(meter, &waiting.flow, waiting.socket) {
                continue;
            }
            // The sweep that was under way when it came may have passed its process already.
            let swept = self.holders.sweeps() >= waiting.sweeps + 2;
            if !swept && now.since(waiting.since) < WAIT_MAX {
                self.waiting.push_back(waiting);
                continue;
            }
            if swept {
                if self.held_by_none.len() >= HELD_BY_NONE_MAX {
                    self.held_by_none.clear();
                }
                self.held_by_none.insert(waiting.socket.inode, now);
            }
            let unknown = if self.holders.refused() { Unknown::NotPermitted } else { Unknown::NotHeld };
            self.give(meter, &waiting.flow, Err(unknown), Some(waiting.socket.uid));
        }
    }

    fn give(&mut self, meter: &mut Meter, flow: &Unowned, process: Result<Process, Unknown>, uid: Option<u32>) {
        let owner = Owner { process, user: uid.map(|uid| self.people.user(uid)) };
        let known = self.owners.get(&owner).cloned();
        let owner = known.unwrap_or_else(|| {
            if self.owners.len() >= OWNERS_MAX {
                self.owners.clear();
            }
            let owner = Arc::new(owner);
            self.owners.insert(owner.clone());
            owner
        });
        meter.own(flow, owner);
    }
}

/// The socket of the client, where that is here.
fn client(flow: &Unowned) -> Option<Ends> {
    Some(Ends { protocol: flow.path.protocol, local: flow.client?, remote: flow.path.destination })
}

/// The socket of the server, where that is here.
fn server(flow: &Unowned) -> Option<Ends> {
    Some(Ends { protocol: flow.path.protocol, local: flow.server?, remote: flow.path.source })
}

impl Default for Attribution {
    fn default() -> Self {
        Self::new()
    }
}
