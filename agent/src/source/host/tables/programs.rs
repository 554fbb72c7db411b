//! SHA-256 of programs, kept by device, inode, size and time of change, with a budget of bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::super::place;

/// Programs whose hash is remembered; each takes about 120 bytes.
pub const PROGRAMS_MAX: usize = 8192;
/// Programs that are larger have no hash.
pub const PROGRAM_BYTES_MAX: u64 = 256 << 20;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

type Version = (u64, u64, u64, i64, i64);

/// Why there is no hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unhashed {
    /// It may not be read, or is gone.
    Unreadable,
    /// It is larger than [`PROGRAM_BYTES_MAX`].
    TooLarge,
    /// What may be read in this turn was read.
    Budget,
    /// It changed while it was read.
    Changed,
}

impl Unhashed {
    /// The word in `unmapped.hash_unknown`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Budget => "budget",
            Self::Changed => "changed",
        }
    }
}

/// Hashes of programs.
#[derive(Debug, Default)]
pub struct Programs {
    known: HashMap<Version, [u8; 32]>,
    /// Bytes that may still be read.
    budget: u64,
}

fn version(file: &File) -> Option<(Version, u64)> {
    let found = file.metadata().ok()?;
    Some(((found.dev(), found.ino(), found.size(), found.mtime(), found.mtime_nsec()), found.size()))
}

impl Programs {
    /// So many bytes may be read from now on.
    pub fn allow(&mut self, bytes: u64) {
        self.budget = bytes;
    }

    /// The hash of the program at `path`, as lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`Unhashed`].
    pub fn hash(&mut self, path: &Path) -> Result<String, Unhashed> {
        let mut file = place::open(path).map_err(|_| Unhashed::Unreadable)?;
        let (is, size) = version(&file).ok_or(Unhashed::Unreadable)?;
        if let Some(hash) = self.known.get(&is) {
            return Ok(HEXLOWER.encode(hash));
        }
        if size > PROGRAM_BYTES_MAX {
            return Err(Unhashed::TooLarge);
        }
        if size > self.budget {
            return Err(Unhashed::Budget);
        }
        self.budget -= size;
        let (mut context, mut piece) = (Context::new(&SHA256), vec![0; PIECE]);
        let mut left = size;
        loop {
            let read = file.read(&mut piece).map_err(|_| Unhashed::Unreadable)?;
            left = left.checked_sub(read as u64).ok_or(Unhashed::Changed)?;
            if read == 0 {
                break;
            }
            context.update(piece.get(..read).unwrap_or_default());
        }
        if left > 0 || version(&file).map(|(now, _)| now) != Some(is) {
            return Err(Unhashed::Changed);
        }
        let mut hash = [0; 32];
        hash.iter_mut().zip(context.finish().as_ref()).for_each(|(place, byte)| *place = *byte);
        if self.known.len() >= PROGRAMS_MAX {
            self.known.clear();
        }
        self.known.insert(is, hash);
        Ok(HEXLOWER.encode(&hash))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::super::scratch::Folder;
    use super::*;

    #[test]
    fn programs_are_read_once_until_they_change_and_within_the_budget() {
        let folder = Folder::new();
        let path = folder.path("x");
        std::fs::write(&path, "abc").unwrap();
        let mut programs = Programs::default();
        assert_eq!(programs.hash(&path), Err(Unhashed::Budget));
        programs.allow(3);
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(programs.hash(&path).as_deref(), Ok(hash));
        assert_eq!(programs.hash(&path).as_deref(), Ok(hash), "what is known costs nothing");
        std::fs::write(&path, "abcd").unwrap();
        assert_eq!(programs.hash(&path), Err(Unhashed::Budget));
        assert_eq!(programs.hash(&folder.path("none")), Err(Unhashed::Unreadable));
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path("fifo"), rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(programs.hash(&folder.path("fifo")), Err(Unhashed::Unreadable));
    }
}
