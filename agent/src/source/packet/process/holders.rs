//! Which process holds a socket: the links of `/proc/PID/fd`, read a few at a time and remembered.
//!
//! Bounds: [`INODES_MAX`] sockets are remembered (beyond that all are forgotten and found again as they are asked for),
//! [`LINKS_PER_TURN`] links are read in a turn and [`LINKS_PER_SECOND`] in the long run: about 3 % of a core. Processes
//! that are new come first, then those that held what was asked for before, then all others, on from where it stopped.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shared::time::Timestamp;

use super::listing;

/// Sockets that are remembered; each takes about 40 bytes.
pub const INODES_MAX: usize = 16_384;
/// Links that are read in a turn: a few milliseconds.
pub const LINKS_PER_TURN: u32 = 8192;
/// Links that are read in a second, in the long run.
pub const LINKS_PER_SECOND: u32 = 20_000;
/// Processes whose numbers are known, to see which are new.
const PROCESSES_MAX: usize = 32_768;
/// Processes that are looked at first.
const RECENT_MAX: usize = 16;

/// Who holds a socket, and as which descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Holder {
    pid: u32,
    descriptor: u32,
}

/// Sockets and their processes.
pub(super) struct Holders {
    proc: PathBuf,
    inodes: HashMap<u64, Holder>,
    known: BTreeSet<u32>,
    recent: VecDeque<u32>,
    /// The sweep goes on behind this process.
    cursor: u32,
    /// How often it came by the last one.
    sweeps: u64,
    links: u32,
    refilled_at: Option<Timestamp>,
    /// Processes whose descriptors may not be seen, in the last sweep.
    refused: u32,
}

impl Holders {
    pub(super) fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            inodes: HashMap::new(),
            known: BTreeSet::new(),
            recent: VecDeque::new(),
            cursor: 0,
            sweeps: 0,
            links: LINKS_PER_TURN,
            refilled_at: None,
            refused: 0,
        }
    }

    /// Sockets that are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Links that may still be read.
    #[cfg(test)]
    pub(super) fn links(&self) -> u32 {
        self.links
    }

    /// Sweeps that are whole.
    pub(super) fn sweeps(&self) -> u64 {
        self.sweeps
    }

    /// Whether there were processes that may not be looked at.
    pub(super) fn refused(&self) -> bool {
        self.refused > 0
    }

    /// The process that holds a socket, if it is known and still does.
    pub(super) fn holder(&mut self, inode: u64) -> Option<u32> {
        let holder = *self.inodes.get(&inode)?;
        let path = self.proc.join(format!("{}/fd/{}", holder.pid, holder.descriptor));
        let still =
            fs::read_link(path).is_ok_and(|link| listing::inode(link.as_os_str().as_encoded_bytes()) == Some(inode));
        if !still {
            self.inodes.remove(&inode);
            return None;
        }
        if self.recent.front() != Some(&holder.pid) {
            self.recent.retain(|pid| *pid != holder.pid);
            self.recent.push_front(holder.pid);
            self.recent.truncate(RECENT_MAX);
        }
        Some(holder.pid)
    }

    /// Lets `now` pass: what may be read grows with it.
    pub(super) fn refill(&mut self, now: Timestamp) {
        let before = *self.refilled_at.get_or_insert(now);
        let ms = u64::try_from(now.since(before).as_millis()).unwrap_or(u64::MAX);
        let more = ms.saturating_mul(u64::from(LINKS_PER_SECOND) / 1000);
        if more > 0 {
            self.refilled_at = Some(now);
            let links = u64::from(self.links).saturating_add(more).min(LINKS_PER_TURN.into());
            self.links = u32::try_from(links).unwrap_or(LINKS_PER_TURN);
        }
    }

    /// Takes those processes that are there for known; otherwise the first look does, after a sweep of all.
    pub(super) fn know(&mut self) {
        self.known = self.processes().unwrap_or_default().into_iter().take(PROCESSES_MAX).collect();
    }

    /// Looks for sockets until all of `wanted` are known or as much was read as may be.
    pub(super) fn look(&mut self, wanted: &[u64]) {
        if self.links == 0 || self.all_known(wanted) {
            return;
        }
        let Ok(pids) = self.processes() else { return };
        self.spend(u32::try_from(pids.len() / 8).unwrap_or(u32::MAX));
        let fresh: Vec<u32> = pids.iter().rev().filter(|pid| !self.known.contains(pid)).copied().collect();
        // At the first look all are new: the sweep is for them.
        let fresh = if self.known.is_empty() { Vec::new() } else { fresh };
        let first: Vec<u32> = fresh.into_iter().chain(self.recent.iter().copied()).collect();
        self.known = pids.iter().take(PROCESSES_MAX).copied().collect();
        for pid in first {
            self.process(pid);
            if self.links == 0 || self.all_known(wanted) {
                return;
            }
        }
        let from = pids.partition_point(|pid| *pid <= self.cursor);
        let (passed, ahead) = pids.split_at_checked(from).unwrap_or_default();
        for pid in ahead.iter().chain(passed) {
            if *pid <= self.cursor {
                // Around: a sweep is whole.
                (self.sweeps, self.refused) = (self.sweeps + 1, 0);
            }
            self.cursor = *pid;
            self.process(*pid);
            if self.links == 0 || self.all_known(wanted) {
                return;
            }
        }
        self.sweeps += 1;
        self.cursor = 0;
    }

    fn all_known(&self, wanted: &[u64]) -> bool {
        wanted.iter().all(|inode| self.inodes.contains_key(inode))
    }

    fn spend(&mut self, links: u32) {
        self.links = self.links.saturating_sub(links.max(1));
    }

    /// Numbers of all processes, in order.
    fn processes(&self) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(&self.proc)?.filter_map(Result::ok);
        let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// Reads the links of a process; one that went away meanwhile has none.
    fn process(&mut self, pid: u32) {
        self.spend(1);
        let entries = match fs::read_dir(self.proc.join(format!("{pid}/fd"))) {
            Ok(entries) => entries,
            Err(error) => {
                self.refused += u32::from(error.kind() == io::ErrorKind::PermissionDenied);
                return;
            }
        };
        let mut links = 0_u32;
        for entry in entries.filter_map(Result::ok) {
            links += 1;
            // One process with a million descriptors does not take the turns of all others.
            if links > LINKS_PER_TURN * 4 {
                break;
            }
            match fs::read_link(entry.path()) {
                Ok(link) => {
                    let descriptor = entry.file_name().to_str().and_then(|name| name.parse().ok());
                    let inode = listing::inode(link.as_os_str().as_encoded_bytes());
                    if let (Some(inode), Some(descriptor)) = (inode, descriptor) {
                        self.put(inode, Holder { pid, descriptor });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.refused += 1;
                    break;
                }
                Err(_) => {}
            }
        }
        self.spend(links);
    }

    /// Of several that hold a socket the oldest number counts, but not that of who starts services for others.
    fn put(&mut self, inode: u64, holder: Holder) {
        if self.inodes.len() >= INODES_MAX && !self.inodes.contains_key(&inode) {
            self.inodes.clear();
        }
        let known = self.inodes.entry(inode).or_insert(holder);
        if known.pid == 1 || (holder.pid != 1 && holder.pid < known.pid) {
            *known = holder;
        }
    }
}
