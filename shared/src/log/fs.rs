//! The filesystem as what must survive sees it: a seam, so that a test can be the disk and the power switch.
//!
//! The calls are those that durability is made of; each maps to one system call, and what takes several is built
//! from them here, once, for every filesystem. [`RealFs`] is the host's. Spool, journal, lake, roster and
//! [`crate::durable`] stand on it.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Who may do what with a file that is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    /// Its mode, whatever the umask says.
    pub mode: u32,
    /// User and group that it is given to; `None`: those of this process.
    pub owner: Option<(u32, u32)>,
}

/// A folder tree.
pub trait Fs: Send + Sync {
    /// A new, empty file of `allocate` zero bytes, readable and writable; one of that name is replaced.
    ///
    /// # Errors
    /// ENOSPC and EDQUOT when the bytes cannot be set aside.
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Box<dyn File>>;

    /// A new, empty file, readable and writable, where nothing was.
    ///
    /// # Errors
    /// `AlreadyExists` where something of that name is there, a link that leads nowhere included.
    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>>;

    /// A file that is there, for reading and writing; never through a symbolic link.
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

    /// Makes one folder.
    ///
    /// # Errors
    /// `AlreadyExists`; `NotFound` where what leads to it is missing.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;

    /// Renames over whatever is there.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `AlreadyExists` where something of that name is there.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

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

    /// Makes `dir` and what leads to it, durably. One that is there is fine; whoever made it may have been killed
    /// before its name was durable, so that the folder above is synced all the same. No folder is made before the
    /// one above it is durable, so that this is enough.
    ///
    /// # Errors
    /// As the system says.
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let Some(above) = dir.parent() else { return Ok(()) };
        match self.sync_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.create_dir(above)?;
                match self.make_dir(dir) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => self.sync_dir(above),
                }
            }
            Err(error) => Err(error),
            Ok(()) => match self.sync_dir(above) {
                // Where we may not even look somebody else has made it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                other => other,
            },
        }
    }

    /// All bytes of a file, which the caller knows to be small.
    ///
    /// # Errors
    /// As the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut FileReader::new(self.open_read(path)?.as_ref()), &mut bytes)?;
        Ok(bytes)
    }
}

/// An open file.
pub trait File: Send {
    /// Reads up to `buf.len()` bytes at `at`; 0 at the end.
    ///
    /// # Errors
    /// As the system says.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `at`, from the first on; how many.
    ///
    /// # Errors
    /// As the system says; none of the bytes was written.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`.
    ///
    /// # Errors
    /// As the system says; some of the bytes may have been written.
    fn write_all_at(&self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    at += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks that `len` bytes at `at`, just written, go to the disk while others are being made: the sync that follows has
    /// less to wait for. A hint; it promises nothing.
    fn start_writeback(&self, at: u64, len: u64) {
        let _ = (at, len);
    }

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

/// Reads a file from its first byte to its last.
pub struct FileReader<'a> {
    file: &'a dyn File,
    at: u64,
}

impl<'a> FileReader<'a> {
    /// A reader that stands at the first byte.
    #[must_use]
    pub fn new(file: &'a dyn File) -> Self {
        Self { file, at: 0 }
    }
}

impl io::Read for FileReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.file.read_at(buf, self.at)?;
        self.at += got as u64;
        Ok(got)
    }
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

/// `O_NOFOLLOW`, for [`OpenOptionsExt::custom_flags`](std::os::unix::fs::OpenOptionsExt::custom_flags).
pub(crate) fn no_follow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0)
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

    fn create_new(&self, path: &Path, access: Access) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(access.mode).open(path)?;
        file.set_permissions(Permissions::from_mode(access.mode))?;
        if let Some((user, group)) = access.owner {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
            // `fdatasync` need not keep it.
            file.sync_all()?;
        }
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).custom_flags(no_follow()).open(path)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        DirBuilder::new().create(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
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

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, at)
    }

    fn start_writeback(&self, at: u64, len: u64) {
        // Linux starts to write dirty pages that are not needed, and keeps them until they are clean: fs/fadvise.c.
        let _ = rustix::fs::fadvise(self, at, std::num::NonZeroU64::new(len), rustix::fs::Advice::DontNeed);
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
