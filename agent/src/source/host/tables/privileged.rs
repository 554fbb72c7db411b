//! Files that run as their owner or group (SUID, SGID): a walk of the local file systems, a few entries at a time.
//!
//! Links are not followed, network and pseudo file systems and those mounted `nosuid` are left out. Bounds: [`ENTRIES_MAX`]
//! entries a round, [`DEPTH_MAX`] folders deep.

use std::fs::{self, ReadDir};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use shared::time::Timestamp;

use super::super::place::Place;
use super::super::row::Row;
use super::kernel::Mount;

/// Entries that are looked at in a round.
pub const ENTRIES_MAX: u64 = 4_000_000;
/// Folders within folders that are followed.
pub const DEPTH_MAX: usize = 64;
const SET_ID: u32 = 0o6000;
const LOCAL: [&str; 10] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "overlay", "zfs", "f2fs", "tmpfs", "reiserfs"];

/// A walk that goes on where it stopped.
#[derive(Debug)]
pub struct Walk {
    place: Place,
    open: Vec<ReadDir>,
    /// Mount points that are not entered.
    closed: Vec<PathBuf>,
    entries: u64,
    /// What could not be entered, or was too deep or too much.
    incomplete: bool,
}

impl Walk {
    /// One that begins, of a tree with these mounts.
    #[must_use]
    pub fn new(place: &Place, mounts: &[Mount]) -> Self {
        let is_left_out = |mount: &&Mount| !LOCAL.contains(&mount.fstype.as_str()) || mount.has("nosuid");
        let closed = mounts.iter().filter(is_left_out).map(|mount| place.at(&String::from_utf8_lossy(&mount.point)));
        let root = place.at("");
        // Of a tree that is not the host's the mounts are not its own.
        let closed: Vec<PathBuf> = closed.filter(|point| *point != root).collect();
        let closed = if place.is_host() { closed } else { Vec::new() };
        let open = fs::read_dir(&root).into_iter().collect();
        Self { place: place.clone(), open, closed, entries: 0, incomplete: false }
    }

    /// Everything was looked at.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Looks at `most` entries; whether the walk is over.
    pub fn step(&mut self, most: u64, each: &mut dyn FnMut(Row)) -> bool {
        for _ in 0..most {
            let Some(folder) = self.open.last_mut() else { return true };
            let Some(entry) = folder.next() else {
                self.open.pop();
                continue;
            };
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                self.incomplete = true;
                self.open.clear();
                return true;
            }
            let Ok(entry) = entry else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.enter(entry.path());
            } else if kind.is_file()
                && let Ok(found) = entry.metadata()
                && found.mode() & SET_ID != 0
            {
                each(row(&self.place, &entry.path(), &found));
            }
        }
        self.open.is_empty()
    }

    fn enter(&mut self, path: PathBuf) {
        if self.closed.contains(&path) {
            return;
        }
        if self.open.len() >= DEPTH_MAX {
            self.incomplete = true;
            return;
        }
        match fs::read_dir(path) {
            Ok(folder) => self.open.push(folder),
            Err(error) => self.incomplete |= error.kind() != std::io::ErrorKind::NotFound,
        }
    }
}

fn row(place: &Place, path: &std::path::Path, found: &fs::Metadata) -> Row {
    let mut row = Row::default().key(".path", place.told(path).as_bytes());
    if std::str::from_utf8(path.as_os_str().as_bytes()).is_err() {
        row.flaw("invalid_utf8");
    }
    row.text(".owner.uid", found.uid().to_string());
    row.text("unmapped.gid", found.gid().to_string());
    row.text("unmapped.mode", format!("{:04o}", found.mode() & 0o7777));
    row.number(".size", found.size());
    row.time(".modified_time", Timestamp(Timestamp::from_seconds(found.mtime()).0.saturating_add(found.mtime_nsec())));
    row
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::super::super::scratch::Folder;
    use super::*;

    #[test]
    fn set_id_files_are_found_a_few_entries_at_a_time_and_links_are_not_followed() {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("a/b")).unwrap();
        for (name, mode) in [("a/b/suid", 0o4755), ("a/sgid", 0o2755), ("a/plain", 0o755)] {
            fs::write(folder.path(name), "").unwrap();
            fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("..", folder.path("a/loop")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path("a/fifo"), rustix::fs::Mode::RUSR).unwrap();
        let place = Place::new(folder.as_ref());
        let (mut walk, mut told, mut steps) = (Walk::new(&place, &[]), Vec::new(), 0);
        while !walk.step(1, &mut |row| told.push((row.word(".path").to_owned(), row.word("unmapped.mode").to_owned())))
        {
            steps += 1;
        }
        told.sort();
        assert_eq!(told, [("/a/b/suid".into(), "4755".into()), ("/a/sgid".into(), "2755".into())]);
        assert!(steps > 5 && walk.is_complete());
    }
}
