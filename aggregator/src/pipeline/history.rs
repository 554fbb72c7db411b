//! Which configuration was in force when: so that events behind a cursor are made again as they were made.
//!
//! In: configurations, each from a position of the journal on. Out: the one in force for a frame. Every configuration that is
//! named lies beside the history as `config/<SHA-256>.json`: everything that it is made of, so that it is the same when files
//! of it have changed. A change takes force behind a cut: `config/history` names the cut's position, and is durable before a
//! frame is journaled behind it.
//!
//! Bounds: the last [`CHANGES_MAX`] changes; for frames before the oldest of them it stands too. Made are the newest, and those
//! that somebody uses.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer, read_bounded};

/// Most changes that are remembered.
pub const CHANGES_MAX: usize = 64;
/// Largest history file.
const HISTORY_BYTES_MAX: u64 = 64 << 10;
/// Largest configuration that is kept.
const CONFIG_BYTES_MAX: u64 = 256 << 20;

/// A change.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Change {
    /// Position of the cut behind which it is in force.
    after: u64,
    /// SHA-256 of the configuration, in hexadecimal.
    config: String,
}

/// Makes a configuration of the bytes that were kept of it, or says why it cannot.
pub type ReadConfiguration<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

/// The configurations of one aggregator.
pub struct History<T> {
    folder: PathBuf,
    read: ReadConfiguration<T>,
    writer: Writer,
    table: Mutex<Table<T>>,
}

struct Table<T> {
    changes: Vec<Change>,
    /// Of the last of `changes`; none before it was made in this run.
    newest: Option<Arc<T>>,
    /// Those that somebody uses, by their hash.
    used: Vec<(String, Weak<T>)>,
}

impl<T> Table<T> {
    /// The hash of the configuration in force behind `position`, and that itself where it is made.
    fn at(&self, position: u64) -> Option<(String, Option<Arc<T>>)> {
        let at = self.changes.iter().rposition(|change| change.after <= position).unwrap_or(0);
        let hash = &self.changes.get(at)?.config;
        let is_newest = self.changes.last().is_some_and(|last| last.config == *hash);
        let newest = self.newest.as_ref().filter(|_| is_newest).map(Arc::clone);
        let used = || self.used.iter().find(|(known, _)| known == hash).and_then(|(_, made)| made.upgrade());
        Some((hash.clone(), newest.or_else(used)))
    }

    fn uses(&mut self, hash: String, made: &Arc<T>) {
        self.used.retain(|(known, made)| *known != hash && made.strong_count() > 0);
        self.used.push((hash, Arc::downgrade(made)));
    }
}

impl<T> History<T> {
    /// Opens the history in the folder `config` of a state folder; one that does not read is begun anew. `read` makes a
    /// configuration of what was kept of it.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(state_dir: &Path, writer: Writer, read: ReadConfiguration<T>) -> Result<Self, DurableError> {
        let folder = state_dir.join("config");
        writer.folder(&folder, STATE_FOLDER)?;
        let path = folder.join("history");
        let changes = match read_bounded(&path, HISTORY_BYTES_MAX) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(%error, path = %path.display(), "the history of configurations does not read; it begins anew");
                Vec::new()
            }),
        };
        Ok(Self { folder, read, writer, table: Mutex::new(Table { changes, newest: None, used: Vec::new() }) })
    }

    fn table(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hash of the newest configuration.
    #[must_use]
    pub fn newest(&self) -> Option<String> {
        self.table().changes.last().map(|change| change.config.clone())
    }

    /// From the cut `after` on the configuration `hash` is in force, which is made of `bytes`. Durable after `Ok`.
    ///
    /// # Errors
    /// The disk's; the change did not happen then.
    pub fn change(&self, after: u64, hash: &str, bytes: &[u8], made: Arc<T>) -> Result<(), DurableError> {
        self.writer.replace(&self.file(hash), bytes, PRIVATE, "config.file")?;
        let mut table = self.table();
        let standing = table.changes.iter().filter(|change| change.after < after);
        let mut changes: Vec<Change> = standing.cloned().collect();
        if changes.last().is_none_or(|last| last.config != hash) {
            changes.push(Change { after, config: hash.to_owned() });
        }
        let gone = changes.len().saturating_sub(CHANGES_MAX);
        changes.drain(..gone);
        let text = serde_json::to_vec(&changes)
            .map_err(|error| DurableError::new("write", &self.folder.join("history"), std::io::Error::other(error)))?;
        self.writer.replace(&self.folder.join("history"), &text, PRIVATE, "config.history")?;
        let before = table.changes.last().map(|last| last.config.clone());
        table.changes = changes;
        if let (Some(hash), Some(old)) = (before, table.newest.replace(made)) {
            table.uses(hash, &old);
        }
        drop(table);
        self.forget();
        Ok(())
    }

    /// The configuration in force for frames behind `position`. One whose file is gone or does not read any more gives way
    /// to the newest; none where that is not known either.
    pub fn at(&self, position: u64) -> Option<Arc<T>> {
        let (hash, made) = self.table().at(position)?;
        if made.is_some() {
            return made;
        }
        // Beside the lock: whoever journals does not wait for it.
        let path = self.file(&hash);
        let read = read_bounded(&path, CONFIG_BYTES_MAX).map_err(|error| error.to_string());
        let made = read.and_then(|bytes| (self.read)(&bytes));
        let mut table = self.table();
        let made = match made {
            Ok(made) => Arc::new(made),
            Err(error) => {
                let newest = Arc::clone(table.newest.as_ref()?);
                tracing::error!(error, path = %path.display(), "a configuration that was in force does not read; the newest stands in for it");
                newest
            }
        };
        table.uses(hash, &made);
        Some(made)
    }

    fn file(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.json"))
    }

    /// Removes the files of configurations that no change names.
    fn forget(&self) {
        let table = self.table();
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(hash) = name.to_str().and_then(|name| name.strip_suffix(".json")) else { continue };
            if !table.changes.iter().any(|change| change.config == hash)
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(%error, path = %entry.path().display(), "an old configuration could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::offline::testing::Maker;

    fn open(folder: &Path) -> History<String> {
        let read = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            if text.contains("bad") { Err("bad".to_owned()) } else { Ok(text) }
        };
        History::open(folder, Writer::for_owner_of(folder).unwrap(), Box::new(read)).unwrap()
    }

    fn at(history: &History<String>, position: u64) -> Option<String> {
        history.at(position).map(|made| made.as_ref().clone())
    }

    fn made(text: &str) -> Arc<String> {
        Arc::new(text.to_owned())
    }

    #[test]
    fn frames_behind_a_change_get_it_also_after_a_restart() {
        let maker = Maker::new("config-history");
        let folder = &maker.dir;
        let history = open(folder);
        assert_eq!(at(&history, 5), None);
        history.change(0, "a", b"one", made("one")).unwrap();
        history.change(7, "b", b"two", made("two")).unwrap();
        history.change(9, "b", b"two", made("two")).unwrap();
        drop(history);
        let history = open(folder);
        assert_eq!(history.newest().as_deref(), Some("b"));
        for (position, expected) in [(0, "one"), (6, "one"), (7, "two"), (99, "two")] {
            assert_eq!(at(&history, position).as_deref(), Some(expected), "{position}");
        }
    }

    #[test]
    fn configuration_that_does_not_read_any_more_gives_way_to_the_newest_and_old_files_go() {
        let maker = Maker::new("config-damage");
        let folder = &maker.dir;
        let history = open(folder);
        history.change(0, "a", b"bad", made("one")).unwrap();
        for n in 1..=u64::try_from(CHANGES_MAX).unwrap() {
            history.change(n, &format!("h{n}"), b"x", made("x")).unwrap();
        }
        assert!(!folder.join("config/a.json").exists());
        drop(history);
        std::fs::write(folder.join("config/h3.json"), b"bad").unwrap();
        let history = open(folder);
        assert_eq!(at(&history, 3), None, "the newest was not read yet");
        history.change(99, "new", b"new", made("new")).unwrap();
        assert_eq!(at(&history, 3).as_deref(), Some("new"));
        assert_eq!(at(&history, 0).as_deref(), Some("x"), "older than all: the oldest that is known");
    }

    #[test]
    fn only_the_newest_and_those_that_are_used_are_held_and_one_in_use_is_the_same() {
        let maker = Maker::new("config-held");
        let history = open(&maker.dir);
        let one = made("one");
        let gone = Arc::downgrade(&one);
        history.change(0, "a", b"one", one).unwrap();
        assert_eq!(at(&history, 1).as_deref(), Some("one"));
        let in_use = history.at(1).unwrap();
        history.change(7, "b", b"two", made("two")).unwrap();
        assert!(Arc::ptr_eq(&history.at(3).unwrap(), &in_use));
        drop(in_use);
        assert!(gone.upgrade().is_none(), "nobody uses it");
        let again = history.at(1).unwrap();
        assert!(Arc::ptr_eq(&again, &history.at(3).unwrap()), "it is made once for all that use it");
        for n in 8..2_000 {
            history.change(n, &format!("h{}", n % 7), b"x", made("x")).unwrap();
        }
        assert!(history.table().used.len() <= 3);
    }
}
