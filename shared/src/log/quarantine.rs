//! Where damaged pieces and foreign files go, as long as there is room: evidence for a person, never read again.

use std::io;
use std::path::{Path, PathBuf};

use super::recovery::{Damage, each_piece};
use super::{Fs, SEGMENT_HEADER_LEN};

/// The `quarantine/` of one log.
pub(super) struct Quarantine<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) dir: &'a Path,
    /// Bytes that may lie there in all.
    pub(super) bytes_max: u64,
}

impl Quarantine<'_> {
    fn shelf(&self) -> io::Result<PathBuf> {
        let shelf = self.dir.join("quarantine");
        self.fs.create_dir(&shelf)?;
        Ok(shelf)
    }

    /// Room that is left once what lies there already is counted.
    fn room(&self, shelf: &Path) -> u64 {
        let size = |name: String| self.fs.open_read(&shelf.join(name)).and_then(|file| file.size()).unwrap_or(0);
        let used: u64 = self.fs.list(shelf).unwrap_or_default().into_iter().map(size).sum();
        self.bytes_max.saturating_sub(used)
    }

    /// Moves a file out of the log's way.
    pub(super) fn set_aside(&self, name: &str) {
        let moved = self.shelf().and_then(|shelf| {
            let size = self.fs.open_read(&self.dir.join(name))?.size()?;
            if size > self.room(&shelf) {
                tracing::error!(
                    file = name,
                    size,
                    "quarantine is full: a file that is no segment of this log is removed"
                );
                return self.fs.remove(&self.dir.join(name));
            }
            self.fs.rename(&self.dir.join(name), &shelf.join(name))
        });
        match moved {
            Ok(()) => {
                tracing::warn!(file = name, log = %self.dir.display(), "set a file aside that is no segment of this log")
            }
            Err(error) => tracing::warn!(file = name, %error, "could not set a foreign file aside"),
        }
    }

    /// Copies damaged bytes of the segment `name` that begins at log offset `first`.
    pub(super) fn set_aside_range(&self, name: &str, first: u64, damage: Damage) {
        let at = damage.from - first + SEGMENT_HEADER_LEN;
        let copied = self.shelf().and_then(|shelf| {
            let len = (damage.to - damage.from).min(self.room(&shelf));
            let from = self.fs.open_read(&self.dir.join(name))?;
            let copy = self.fs.create(&shelf.join(format!("{:016x}-{:016x}.damage", damage.from, damage.to)), 0)?;
            each_piece(from.as_ref(), at, at + len, |piece, position| copy.write_all_at(piece, position - at))
        });
        if let Err(error) = copied {
            tracing::warn!(from = damage.from, to = damage.to, %error, "could not keep a copy of damaged bytes");
        }
    }
}
