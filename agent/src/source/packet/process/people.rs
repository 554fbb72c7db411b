//! Processes and users: `/proc/PID/{stat,exe}`, the boot's id, and `/etc/passwd`, read again when it changed.
//!
//! Users of other sources (LDAP, systemd) have a number and no name: nothing is asked that may answer late.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Process, User, listing};

/// Users that are known by name.
const USERS_MAX: usize = 4096;
/// Longest file that is read for them.
const PASSWD_BYTES_MAX: u64 = 4 << 20;

/// What a file is told by, to see that it changed.
type Version = (i64, i64, u64, u64);

pub(super) struct People {
    proc: PathBuf,
    passwd: PathBuf,
    boot: String,
    version: Option<Version>,
    names: HashMap<u32, Arc<str>>,
}

impl People {
    pub(super) fn new(proc: &Path, passwd: &Path) -> Self {
        let boot = fs::read_to_string(proc.join("sys/kernel/random/boot_id")).unwrap_or_default();
        let boot = boot.trim().get(..36).unwrap_or("0").to_owned();
        Self { proc: proc.to_owned(), passwd: passwd.to_owned(), boot, version: None, names: HashMap::new() }
    }

    /// A process; none when it is gone.
    pub(super) fn process(&self, pid: u32) -> Option<Process> {
        let folder = self.proc.join(pid.to_string());
        let (name, began_ticks) = listing::stat(&fs::read(folder.join("stat")).ok()?)?;
        // Who may not see it, and kernel threads, have none.
        let path = fs::read_link(folder.join("exe")).ok().map(|path| path.to_string_lossy().into_owned());
        Some(Process { pid, name, path, uid: format!("{}-{pid}-{began_ticks}", self.boot) })
    }

    /// Reads `/etc/passwd` if it is another one than before.
    pub(super) fn refresh(&mut self) {
        let version =
            fs::metadata(&self.passwd).ok().map(|found| (found.mtime(), found.mtime_nsec(), found.size(), found.ino()));
        if version == self.version {
            return;
        }
        self.version = version;
        self.names.clear();
        let file = fs::File::open(&self.passwd).ok();
        let mut bytes = Vec::new();
        if let Some(file) = file
            && std::io::Read::read_to_end(&mut std::io::Read::take(file, PASSWD_BYTES_MAX), &mut bytes).is_ok()
        {
            listing::users(&String::from_utf8_lossy(&bytes), &mut |uid, name| {
                if self.names.len() < USERS_MAX {
                    self.names.entry(uid).or_insert_with(|| Arc::from(name));
                }
            });
        }
    }

    pub(super) fn user(&self, uid: u32) -> User {
        User { uid, name: self.names.get(&uid).cloned() }
    }
}
