//! The filesystem as the log sees it: a seam, so that a test can be the disk and the power switch.
//!
//! The calls are those that durability is made of; each maps to one system call. [`RealFs`] is the host's
//! filesystem.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A folder tree on which logs stand.
pub trait Fs: Send + Sync {
    /// A new, empty file of `allocate` zero bytes, readable and writable; one of that name is replaced.
    ///
    /// # Errors
    /// ENOSPC and EDQUOT when the bytes cannot be set aside.
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Box<dyn File>>;

    /// A file that is there, for reading and writing.
    ///
    /// # Errors
    /// As the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// A file that is there, for reading.
    ///
    /// # Errors
    /// As the system says.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>>;

    /// Names of the files and folders in `dir`, in no order.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Makes `dir` and what leads to it, durably. One that is there is fine.
    ///
    /// # Errors
    /// As the system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames over whatever is there.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Unlinks a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and unlinks in `dir` durable.
    ///
    /// # Errors
    /// As the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file.
pub trait File: Send {
    /// Reads up to `buf.len()` bytes at `at`; 0 at the end.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// As the system says; some of the bytes may have been written.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes the file's data durable (`fdatasync`). After an error nothing that was written since the last
    /// success may be believed, whatever a later call returns.
    ///
    /// # Errors
    /// As the system says.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `len` bytes and sets aside zero bytes up to `allocate`.
    ///
    /// # Errors
    /// As the system says.
    fn cut(&self, len: u64, allocate: u64) -> io::Result<()>;

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// As the system says.
    fn size(&self) -> io::Result<u64>;
}

/// The host's filesystem.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

/// Sets aside `len` bytes; where the filesystem cannot, the file is made that long and stays sparse.
fn allocate(file: &std::fs::File, len: u64) -> io::Result<()> {
    if len == 0 || file.metadata()?.len() >= len {
        return Ok(());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(len),
        other => Ok(other?),
    }
}

impl Fs for RealFs {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        if let Err(error) = allocate(&file, len) {
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<PathBuf> = dir.ancestors().take_while(|d| !d.exists()).map(Path::to_path_buf).collect();
        std::fs::create_dir_all(dir)?;
        missing.iter().filter_map(|made| made.parent()).try_for_each(|parent| self.sync_dir(parent))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        std::fs::File::open(dir)?.sync_all()
    }
}

impl File for std::fs::File {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buf, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, len: u64, until: u64) -> io::Result<()> {
        self.set_len(len)?;
        allocate(self, until)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
