//! Extended attributes (xattr(7)) of a file or folder as two digests: of those that guard it (ACLs, capabilities, labels) and
//! of those that users give it. Of `trusted.` nothing: who may see them differs from one start of the agent to the next.
//!
//! In: the handle of what was looked at. Out: a digest of each kind, or that there are none, or that they cannot be read.
//! Bounds: 1 MiB of values; Linux has at most 64 KiB of names and of one value (xattr(7)).

use std::os::fd::{AsRawFd as _, BorrowedFd};

use ring::digest::{Context, SHA256};
use rustix::fs::{getxattr, listxattr, listxattr_query};
use rustix::io::Errno;

/// Bytes of values that are read of one file.
const VALUES_BYTES_MAX: usize = 1 << 20;
/// `XATTR_LIST_MAX` and `XATTR_SIZE_MAX` (linux/limits.h).
const PIECE_BYTES_MAX: usize = 64 << 10;

/// Attributes of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Attributes {
    /// There are none.
    #[default]
    None,
    /// SHA-256 of their names and values.
    Sha256([u8; 32]),
    /// They may not be read, or are too many.
    Unreadable,
}

impl Attributes {
    /// Whether these became others. What could not be read says nothing.
    #[must_use]
    pub fn differ(&self, other: &Self) -> bool {
        self != other && *self != Self::Unreadable && *other != Self::Unreadable
    }
}

/// Attributes of both kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extended {
    /// `security.` and `system.`: ACLs, capabilities, labels of SELinux and its like.
    pub guard: Attributes,
    /// `user.`.
    pub user: Attributes,
}

impl Extended {
    /// None can be read.
    const UNREADABLE: Self = Self { guard: Attributes::Unreadable, user: Attributes::Unreadable };

    /// Those of what a handle (`O_PATH`) is of.
    #[must_use]
    pub fn of(handle: BorrowedFd<'_>) -> Self {
        // By the handle itself, which may not be read from (proc_pid_fd(5)).
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        match listxattr_query(path.as_str()) {
            // None, or a file system without them.
            Ok(0) | Err(Errno::NOTSUP) => Self::default(),
            Ok(_) => Self::read(&path).unwrap_or(Self::UNREADABLE),
            Err(_) => Self::UNREADABLE,
        }
    }

    fn read(path: &str) -> Result<Self, Errno> {
        let mut buffer = vec![0; PIECE_BYTES_MAX];
        let len = listxattr(path, buffer.as_mut_slice())?;
        let listed = buffer.get(..len).unwrap_or_default().to_vec();
        let mut names: Vec<&[u8]> = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        let (mut guard, mut user, mut room) = (Digest::default(), Digest::default(), VALUES_BYTES_MAX);
        for name in names {
            let digest = match name.split(|byte| *byte == b'.').next() {
                Some(b"security" | b"system") => &mut guard,
                Some(b"user") => &mut user,
                _ => continue,
            };
            match getxattr(path, name, buffer.as_mut_slice()) {
                Ok(len) if len <= room => {
                    room -= len;
                    digest.take(name, buffer.get(..len).unwrap_or_default());
                }
                // It went meanwhile: the next look sees it.
                Err(Errno::NODATA) => {}
                Ok(_) | Err(_) => digest.is_cut = true,
            }
        }
        Ok(Self { guard: guard.end(), user: user.end() })
    }
}

/// A digest of names and values.
#[derive(Default)]
struct Digest {
    context: Option<Context>,
    is_cut: bool,
}

impl Digest {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        let context = self.context.get_or_insert_with(|| Context::new(&SHA256));
        for part in [name, value] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
    }

    fn end(self) -> Attributes {
        let digest = self.context.map(Context::finish);
        match (self.is_cut, digest.and_then(|digest| digest.as_ref().first_chunk().copied())) {
            (true, _) => Attributes::Unreadable,
            (false, Some(digest)) => Attributes::Sha256(digest),
            (false, None) => Attributes::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::fs::{CWD, Mode, OFlags, XattrFlags, openat, setxattr};

    use super::*;
    use crate::source::scratch::Folder;

    #[test]
    fn attributes_of_users_and_those_that_guard_are_told_apart() {
        let folder = Folder::new();
        let path = folder.path("a");
        std::fs::write(&path, "x").unwrap();
        let now = || {
            let handle = openat(CWD, &path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
            Extended::of(handle.as_fd())
        };
        let first = now();
        if let Err(error) = setxattr(&path, "user.note", b"one", XattrFlags::empty()) {
            return println!("skipped: no extended attributes here: {error}");
        }
        let one = now();
        setxattr(&path, "user.note", b"two", XattrFlags::empty()).unwrap();
        let two = now();
        assert!(first.user == Attributes::None && first.user.differ(&one.user) && one.user.differ(&two.user));
        assert_eq!((first.guard, one.guard), (two.guard, two.guard));
        assert!(!Attributes::Unreadable.differ(&one.user) && !one.user.differ(&Attributes::Unreadable));
    }
}
