//! The filesystem as a reader beside a running agent sees it: it changes nothing, and a file that was trimmed after its folder
//! was listed is empty.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::log::{Access, File, Fs, RealFs};

/// The host's filesystem, reading only.
#[derive(Debug, Default)]
pub(super) struct Beside {
    went: AtomicBool,
}

impl Beside {
    /// Whether a file went between listing and opening: what was read does not fit together.
    pub(super) fn changed(&self) -> bool {
        self.went.load(Ordering::Relaxed)
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Fs for Beside {
    fn create(&self, _: &Path, _: u64) -> io::Result<Box<dyn File>> {
        refused()
    }

    fn open(&self, _: &Path) -> io::Result<Box<dyn File>> {
        refused()
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        match RealFs.open_read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.went.store(true, Ordering::Relaxed);
                Ok(Box::new(Gone))
            }
            other => other,
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealFs.list(dir)
    }

    fn create_new(&self, _: &Path, _: Access) -> io::Result<Box<dyn File>> {
        refused()
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn link(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
}

/// A file that went.
struct Gone;

impl File for Gone {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        refused()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn cut(&self, _: u64, _: u64) -> io::Result<()> {
        refused()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }
}
