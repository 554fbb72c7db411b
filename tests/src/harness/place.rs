//! A folder of a test's own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

/// A folder below the system's temporary one. It goes with its value; after a failed test it stays and is named.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    evidence: bool,
}

impl Place {
    /// A new, empty folder for the test called `name`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("picket-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self { path, evidence: false })
    }

    /// Says whether it is evidence: it then stays also where a test fails by returning an error.
    pub fn keep_as_evidence(&mut self, evidence: bool) {
        self.evidence = evidence;
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of something in it.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.evidence || std::thread::panicking() {
            println!("what the test left is in {}", self.path.display());
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            println!("{} was not removed: {error}", self.path.display());
        }
    }
}

/// Copies a folder with all below it, e.g. an agent's state while the agent runs.
///
/// Files that vanish or shrink in between are taken as they are, as a backup would.
///
/// # Errors
/// A folder cannot be made or a file not be written.
pub fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in std::fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&source, &target)?;
        } else if kind.is_file()
            && let Err(error) = std::fs::copy(&source, &target)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).with_context(|| format!("copy {} to {}", source.display(), target.display()));
        }
    }
    Ok(())
}
