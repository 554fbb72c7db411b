//! The database of small things beside the segments: the sparse frame index and the checkpoint table, in sled.
//!
//! It is a view of the logs, never the truth: whatever stands here can be made again from the segments. It is
//! written off the commit path and flushed lazily, and it is thrown away when it is missing, does not open, or
//! was not closed cleanly (then it may be behind or ahead of the log). This is the only file that names sled
//! (0.34.7, pinned, unmaintained): another store would be a change of this file.

use std::io;
use std::path::Path;
use std::time::Duration;

/// Bytes that sled may cache.
const CACHE_BYTES: u64 = 1 << 20;

/// The lock of an index that was just closed is waited for this often, and this long each time.
const LOCK_WAITS: usize = 100;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// Which of several logs that share an index: a lane's number, 0 for the journal.
pub type LogNumber = u8;

/// The index could not be read or written. Never fatal: the owner rebuilds it or goes on without.
#[derive(Debug, thiserror::Error)]
#[error("index: {0}")]
pub struct IndexError(#[from] sled::Error);

impl IndexError {
    /// Somebody holds the lock: sled has no error of its own for it.
    fn is_locked(&self) -> bool {
        matches!(&self.0, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
    }
}

/// Open index. Two tables: `places` finds a frame's neighborhood in a log, `table` keeps the owner's small
/// values by key.
pub struct Index {
    db: sled::Db,
    places: sled::Tree,
    table: sled::Tree,
}

const CLEAN: &[u8] = b"clean";

fn place_key(log: LogNumber, group: u64, number: u64) -> [u8; 17] {
    let mut key = [log; 17];
    for (to, from) in key.iter_mut().skip(1).zip(group.to_be_bytes().into_iter().chain(number.to_be_bytes())) {
        *to = from;
    }
    key
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

impl Index {
    /// Opens the index in `dir`. The second value is true when what it holds is to be trusted; otherwise it is
    /// new and empty, and the owner fills it from the logs.
    ///
    /// # Errors
    /// The folder cannot be made or sled cannot open even an empty one.
    pub fn open(dir: &Path) -> io::Result<(Self, bool)> {
        if let Some(index) = Self::open_clean(dir) {
            return Ok((index, true));
        }
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let index = Self::open_raw(dir).map_err(io::Error::other)?;
        Ok((index, false))
    }

    fn open_raw(dir: &Path) -> Result<Self, IndexError> {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = config.mode(sled::Mode::LowSpace).open()?;
        Ok(Self { places: db.open_tree("places")?, table: db.open_tree("table")?, db })
    }

    /// As `open_raw`, once nobody holds sled's lock any more. The owner's own lock keeps other programs out, but a lock of
    /// `flock` lives as long as its last descriptor, and a program that another thread is about to start has a copy of
    /// each until it runs: that is no reason to throw an index away.
    fn open_unlocked(dir: &Path) -> Result<Self, IndexError> {
        let mut waits = std::iter::repeat_n(LOCK_WAIT, LOCK_WAITS);
        loop {
            match (Self::open_raw(dir), waits.next()) {
                (Err(error), Some(wait)) if error.is_locked() => std::thread::park_timeout(wait),
                (opened, _) => return opened,
            }
        }
    }

    /// An index that was closed cleanly; from here on it counts as unclean until it is closed again.
    fn open_clean(dir: &Path) -> Option<Self> {
        if !dir.exists() {
            return None;
        }
        // sled can panic on files that it did not write; that too is an index that does not open.
        let index = std::panic::catch_unwind(|| Self::open_unlocked(dir).ok()).ok().flatten()?;
        let clean = index.db.remove(CLEAN).ok()??;
        index.db.flush().ok()?;
        (&*clean == CLEAN).then_some(index)
    }

    /// Notes that frame `(group, number)` (epoch and sequence; 0 and position) stands at `offset`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn note_place(&self, log: LogNumber, group: u64, frame: u64, offset: u64) -> Result<(), IndexError> {
        self.places.insert(place_key(log, group, frame), &offset.to_be_bytes())?;
        Ok(())
    }

    /// The nearest frame at or before `(group, number)` that was noted in this group: its number and log offset.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn place(&self, log: LogNumber, group: u64, frame: u64) -> Result<Option<(u64, u64)>, IndexError> {
        let range = place_key(log, group, 0)..=place_key(log, group, frame);
        let Some(found) = self.places.range(range).next_back() else { return Ok(None) };
        let (key, offset) = found?;
        Ok(key.get(9..).and_then(number).zip(number(&offset)))
    }

    /// Forgets every place of this log below log offset `through`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn trim_places(&self, log: LogNumber, through: u64) -> Result<(), IndexError> {
        for found in self.places.scan_prefix([log]) {
            let (key, offset) = found?;
            if number(&offset).is_some_and(|offset| offset < through) {
                self.places.remove(key)?;
            }
        }
        Ok(())
    }

    /// Puts a small value into the table.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        self.table.insert(key, value)?;
        Ok(())
    }

    /// Takes a value out of the table.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn remove(&self, key: &[u8]) -> Result<(), IndexError> {
        self.table.remove(key)?;
        Ok(())
    }

    /// The value under `key`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.table.get(key)?.map(|value| value.to_vec()))
    }

    /// The keys of the table that begin with `prefix`.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn keys_under(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, IndexError> {
        Ok(self.table.scan_prefix(prefix).keys().map(|key| key.map(|key| key.to_vec())).collect::<Result<_, _>>()?)
    }

    /// Shows every value of the table, in order of the keys.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), IndexError> {
        for found in self.table.iter() {
            let (key, value) = found?;
            visit(&key, &value);
        }
        Ok(())
    }

    /// How many values the table has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when the table has no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes that the index takes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }

    /// Flushes everything and marks the index as one to be trusted at the next start.
    ///
    /// # Errors
    /// [`IndexError`]; the next start rebuilds it.
    pub fn close(self) -> Result<(), IndexError> {
        self.db.flush()?;
        self.db.insert(CLEAN, CLEAN)?;
        self.db.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_whose_lock_is_let_go_a_little_later_is_trusted() {
        let dir = std::env::temp_dir().join(format!("picket-index-locked-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Index::open(&dir).unwrap().0.close().unwrap();
        let held = std::fs::File::open(dir.join("db")).unwrap();
        held.lock().unwrap();
        assert!(Index::open_raw(&dir).is_err_and(|error| error.is_locked()));
        let (begun, begins) = std::sync::mpsc::sync_channel(1);
        let opening = std::thread::spawn({
            let dir = dir.clone();
            move || {
                begun.send(()).unwrap();
                Index::open(&dir).unwrap().1
            }
        });
        begins.recv().unwrap();
        drop(held);
        assert!(opening.join().unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn closed_index_is_trusted_and_an_unclean_one_is_not() {
        let dir = std::env::temp_dir().join(format!("picket-index-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (index, trusted) = Index::open(&dir).unwrap();
        assert!(!trusted);
        for n in [1u64, 10, 20] {
            index.note_place(1, 7, n, n * 100).unwrap();
        }
        index.put(b"k", b"v").unwrap();
        assert_eq!(index.place(1, 7, 15).unwrap(), Some((10, 1_000)));
        assert_eq!(index.place(1, 8, 15).unwrap(), None);
        index.close().unwrap();
        let (index, trusted) = Index::open(&dir).unwrap();
        assert!(trusted);
        assert_eq!(index.value(b"k").unwrap().as_deref(), Some(&b"v"[..]));
        index.trim_places(1, 1_500).unwrap();
        assert_eq!(index.place(1, 7, 15).unwrap(), None);
        drop(index);
        let (index, trusted) = Index::open(&dir).unwrap();
        assert!(!trusted && index.is_empty(), "it was not closed");
        drop(index);
        std::fs::write(dir.join("db"), b"not sled's").unwrap();
        assert!(!Index::open(&dir).unwrap().1);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
