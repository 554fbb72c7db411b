//! Where host state is read: the folder that stands for `/`, and files of it, bounded.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// A host's file tree: `/`, or a folder that looks like one.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    is_host: bool,
}

impl Place {
    /// The tree below `root`. What has no file (netlink, `uname`) is asked of the kernel only where that is `/`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), is_host: root == Path::new("/") }
    }

    /// It is the host's own.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.is_host
    }

    /// Where `path`, without its first slash, is.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What the host calls this path.
    #[must_use]
    pub fn told(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        format!("/{}", below.to_string_lossy().trim_start_matches('/'))
    }

    /// The first `most` bytes of a regular file.
    ///
    /// # Errors
    /// The system's, and [`io::ErrorKind::InvalidInput`] for what is no regular file: a FIFO is never waited for.
    pub fn read(&self, path: &str, most: u64) -> io::Result<Vec<u8>> {
        read(&self.at(path), most)
    }

    /// The same as text, invalid UTF-8 replaced; empty where it cannot be read.
    #[must_use]
    pub fn text(&self, path: &str, most: u64) -> String {
        self.read(path, most).map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
    }

    /// Names in a folder, sorted; at most `most`, none where it cannot be read.
    #[must_use]
    pub fn names(&self, path: &str, most: usize) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(path)).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).take(most).collect();
        names.sort_unstable();
        names
    }
}

/// Opens a regular file without waiting for what is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// The first `most` bytes of a regular file.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
