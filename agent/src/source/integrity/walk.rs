//! Looks at trees: every path below some roots, in order, without following a link and without opening what is no file.
//!
//! In: roots and what is left out. Out: each path with what the kernel says of it; of a file its SHA-256 when asked.
//! Invariants: every step is relative to a folder that was opened without following a link; a file is opened through the
//! handle of what was looked at (`O_PATH`), so that a FIFO or device that takes its place is never opened; what cannot be
//! seen is said to be unseen, not gone.
//!
//! Bounds: [`DEPTH_MAX`] folders open; the names of the folders on the way.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use ring::digest::{Context, SHA256};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, readlinkat, statat};
use rustix::io::Errno;

use super::attributes::Extended;
use super::coverage::Coverage;
use super::entry::{Content, Entry, FileKind, PATH_BYTES_MAX, Unhashed};

/// Folders within folders that are entered.
pub const DEPTH_MAX: usize = 128;
/// Names of one folder that are looked at.
pub const NAMES_MAX: usize = 1_000_000;
/// Bytes of a file that are read at a time.
const READ_BYTES: usize = 64 << 10;

/// Filesystems that hold no files: kernel state that is made up as it is read. Magic numbers: linux/magic.h.
const PSEUDO: [u32; 9] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x1cd1,      // devpts
    0xcafe_4a11, // bpf
];

/// What a step of a walk came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Something stands at the path.
    Seen(Entry),
    /// What stands at the path, if anything, cannot be seen now, nor what is below it.
    Unseen,
    /// What stands below the path cannot be seen now, all of it or some.
    UnseenBelow,
}

/// Why a path is unseen, counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unseen {
    /// Not permitted, or reading failed.
    pub unreadable: u64,
    /// Deeper, longer or more than the bounds.
    pub out_of_bounds: u64,
}

struct Level {
    folder: OwnedFd,
    /// Of the filesystem of the folder.
    device: u64,
    /// Not yet looked at, the last first.
    names: Vec<Box<[u8]>>,
    /// Bytes of the folder's own path.
    path_len: usize,
}

/// A walk through several trees.
pub struct Walk<'a> {
    coverage: &'a Coverage,
    /// Not yet entered, the last first; whether what is below is looked at.
    roots: Vec<(PathBuf, bool)>,
    levels: Vec<Level>,
    path: Vec<u8>,
    name: Box<[u8]>,
    /// The folder that was seen last, if it is to be entered.
    enters: Option<(u64, u64)>,
    is_deep: bool,
    unseen: Unseen,
}

fn is_gone(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

/// The kernel's answer as an entry; `None` for a type that Linux does not have.
fn entry(stat: &Stat) -> Option<Entry> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::BlockDevice => FileKind::Block,
        FileType::CharacterDevice => FileKind::Character,
        FileType::Unknown => return None,
    };
    let moment = |seconds, nanoseconds| {
        let nanoseconds = i64::try_from(nanoseconds).unwrap_or(0);
        i64::saturating_add(i64::saturating_mul(seconds, 1_000_000_000), nanoseconds)
    };
    Some(Entry {
        kind,
        mode: stat.st_mode & 0o7777,
        user: stat.st_uid,
        group: stat.st_gid,
        size: if kind == FileKind::Folder { 0 } else { u64::try_from(stat.st_size).unwrap_or(0) },
        modified: moment(stat.st_mtime, stat.st_mtime_nsec),
        changed: moment(stat.st_ctime, stat.st_ctime_nsec),
        device: stat.st_dev,
        inode: stat.st_ino,
        content: Content::Nothing,
        extended: Extended::default(),
    })
}

impl<'a> Walk<'a> {
    /// A walk from these roots, which stand in the order of a walk and not within each other; of each, whether what is
    /// below is looked at.
    #[must_use]
    pub fn new(coverage: &'a Coverage, roots: impl DoubleEndedIterator<Item = (PathBuf, bool)>) -> Self {
        Self {
            coverage,
            roots: roots.rev().collect(),
            levels: Vec::new(),
            path: Vec::new(),
            name: Box::default(),
            enters: None,
            is_deep: false,
            unseen: Unseen::default(),
        }
    }

    /// The path of the last step.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// What could not be seen so far.
    #[must_use]
    pub fn unseen(&self) -> Unseen {
        self.unseen
    }

    /// The next step; none at the end. `enters` is told of each folder before its names are read.
    pub fn next(&mut self, enters: &mut dyn FnMut(&[u8])) -> Option<Step> {
        if let Some(folder) = self.enters.take()
            && let Some(step) = self.enter(folder, enters)
        {
            return Some(step);
        }
        loop {
            let Some(level) = self.levels.last_mut() else {
                if let Some(step) = self.begin_root()? {
                    return Some(step);
                }
                continue;
            };
            let Some(name) = level.names.pop() else {
                self.levels.pop();
                continue;
            };
            self.path.truncate(level.path_len);
            self.path.push(b'/');
            self.path.extend_from_slice(&name);
            self.name = name;
            if self.path.len() > PATH_BYTES_MAX {
                self.unseen.out_of_bounds += 1;
                continue;
            }
            if self.coverage.is_excluded(&self.path) {
                continue;
            }
            if let Some(step) = self.look() {
                return Some(step);
            }
        }
    }

    /// Opens the folder above the next root, whose name is then the only one in it. None when there is no other root.
    fn begin_root(&mut self) -> Option<Option<Step>> {
        let (root, is_deep) = self.roots.pop()?;
        self.is_deep = is_deep;
        let (Some(above), Some(name)) = (root.parent(), root.file_name()) else { return Some(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(above, flags, Mode::empty()) {
            Ok(folder) => {
                let device = fstat(&folder).map_or(0, |stat| stat.st_dev);
                let path_len = if above.as_os_str() == OsStr::new("/") { 0 } else { above.as_os_str().len() };
                self.path = root.as_os_str().as_bytes().to_vec();
                self.levels.push(Level { folder, device, names: vec![name.as_bytes().into()], path_len });
                Some(None)
            }
            Err(error) if is_gone(error) => Some(None),
            Err(_) => {
                self.path = root.as_os_str().as_bytes().to_vec();
                self.unseen.unreadable += 1;
                Some(Some(Step::Unseen))
            }
        }
    }

    /// Asks the kernel about the current name; none: it is gone.
    fn look(&mut self) -> Option<Step> {
        let level = self.levels.last()?;
        match statat(&level.folder, &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let mut entry = entry(&stat)?;
                if entry.kind == FileKind::Link {
                    let target = readlinkat(&level.folder, &*self.name, Vec::new()).map(CString::into_bytes);
                    entry.content = match target {
                        Ok(target) => Content::Target(target.into()),
                        Err(error) if is_gone(error) => return None,
                        Err(_) => Content::Unhashed(Unhashed::Unreadable),
                    };
                }
                if entry.kind == FileKind::Folder && self.is_deep {
                    self.enters = Some((entry.device, entry.inode));
                }
                Some(Step::Seen(entry))
            }
            Err(error) if is_gone(error) => None,
            Err(_) => {
                self.unseen.unreadable += 1;
                Some(Step::Unseen)
            }
        }
    }

    /// Goes into the folder that was seen last; a step only where it cannot.
    fn enter(&mut self, (device, inode): (u64, u64), enters: &mut dyn FnMut(&[u8])) -> Option<Step> {
        if self.levels.len() > DEPTH_MAX {
            self.unseen.out_of_bounds += 1;
            return Some(Step::UnseenBelow);
        }
        let level = self.levels.last()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = openat(&level.folder, &*self.name, flags, Mode::empty());
        let folder = match opened {
            Ok(folder) => folder,
            Err(error) if is_gone(error) => return None,
            Err(_) => {
                self.unseen.unreadable += 1;
                return Some(Step::UnseenBelow);
            }
        };
        // Another that took its place is looked at the next time.
        if !fstat(&folder).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode)) {
            return Some(Step::UnseenBelow);
        }
        if device != level.device && is_pseudo(&folder) {
            return None;
        }
        enters(&self.path);
        let (names, is_whole) = names(&folder);
        self.levels.push(Level { folder, device, names, path_len: self.path.len() });
        if is_whole {
            return None;
        }
        // What it has is not known well enough to say what is gone.
        self.levels.pop();
        self.unseen.unreadable += 1;
        Some(Step::UnseenBelow)
    }

    /// The extended attributes of what was seen last; none of a link, and of what is gone by now.
    pub fn extended(&self, kind: FileKind) -> Extended {
        let Some(level) = self.levels.last().filter(|_| kind != FileKind::Link) else { return Extended::default() };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&level.folder, &*self.name, flags, Mode::empty());
        handle.map_or_else(|_| Extended::default(), |handle| Extended::of(handle.as_fd()))
    }

    /// What the file that was seen last holds; none: it is gone. `entry` becomes what it was while it was read, and
    /// `read` is told of the bytes that were.
    pub fn hash(&self, entry: &mut Entry, bytes_max: u64, read: &mut dyn FnMut(u64)) -> Option<Content> {
        const ATTEMPTS: usize = 2;
        let level = self.levels.last()?;
        for _ in 0..ATTEMPTS {
            if entry.size > bytes_max {
                return Some(Content::Unhashed(Unhashed::TooLarge));
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let handle = match openat(&level.folder, &*self.name, flags, Mode::empty()) {
                Ok(handle) => handle,
                Err(error) if is_gone(error) => return None,
                Err(_) => return Some(Content::Unhashed(Unhashed::Unreadable)),
            };
            match fstat(&handle).ok().as_ref().and_then(self::entry) {
                Some(now) if now.kind == FileKind::File => *entry = now,
                // Something else stands there by now: the next look sees what.
                _ => return Some(Content::Unhashed(Unhashed::Changing)),
            }
            let Ok(found) = digest(&handle, bytes_max, read) else {
                return Some(Content::Unhashed(Unhashed::Unreadable));
            };
            let after = fstat(&handle).ok().as_ref().and_then(self::entry);
            match (found, after) {
                (Some(hash), Some(after)) if after.is_untouched_since(entry) => return Some(Content::Sha256(hash)),
                _ => {}
            }
        }
        Some(Content::Unhashed(Unhashed::Changing))
    }
}

/// SHA-256 of a file that is known to be one; none where it is longer than `bytes_max`.
fn digest(handle: &OwnedFd, bytes_max: u64, read: &mut dyn FnMut(u64)) -> std::io::Result<Option<[u8; 32]>> {
    // The same file again, whatever stands at its path by now (proc_pid_fd(5)).
    let same = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut file = File::from(open(same, flags, Mode::empty())?);
    let (mut context, mut buffer, mut length) = (Context::new(&SHA256), vec![0; READ_BYTES], 0);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            let digest = context.finish();
            return Ok(digest.as_ref().first_chunk().copied());
        }
        context.update(buffer.get(..count).unwrap_or_default());
        length += count as u64;
        read(count as u64);
        if length > bytes_max {
            return Ok(None);
        }
    }
}

fn is_pseudo(folder: &OwnedFd) -> bool {
    let magic = rustix::fs::fstatfs(folder).map_or(0, |found| i128::from(found.f_type));
    PSEUDO.iter().any(|pseudo| magic & 0xffff_ffff == i128::from(*pseudo))
}

/// The names of a folder, the last first, and whether they are all.
fn names(folder: &OwnedFd) -> (Vec<Box<[u8]>>, bool) {
    let mut names: Vec<Box<[u8]>> = Vec::new();
    let Ok(mut entries) = Dir::read_from(folder) else { return (names, false) };
    let mut is_whole = true;
    while let Some(entry) = entries.read() {
        match entry {
            Ok(entry) if matches!(entry.file_name().to_bytes(), b"." | b"..") => {}
            Ok(entry) if names.len() < NAMES_MAX => names.push(entry.file_name().to_bytes().into()),
            // A folder that was removed meanwhile has no names.
            Err(Errno::NOENT) => break,
            Ok(_) | Err(_) => {
                is_whole = false;
                break;
            }
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    (names, is_whole)
}
