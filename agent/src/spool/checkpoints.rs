//! The checkpoint table: how far each file has been read, durably.
//!
//! A checkpoint is first *taken* (its lines are in memory), then *committed* (its record stands in a lane's log
//! behind the frames that it covers). Committed rows live in the index, a view of the logs; rows that are only
//! taken live here, so that a source restarted inside the program repeats nothing.
//!
//! An index that fails (a full disk is enough) is not asked again: its rows are read back from the logs into
//! memory, so that no segment's state is ever written without them and no file is read twice.
//!
//! Bounds: [`CHECKPOINTS_MAX`] committed rows; beyond it the files that ended longest ago go first.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::identity::Lane;
use shared::limits::CHECKPOINTS_MAX;
use shared::log::{Index, IndexError};

use crate::fingerprint::{FileId, Fingerprint};
use crate::handover::{Checkpoint, Checkpoints};

/// Bytes of a row: fingerprint, offset, generation, lane.
pub const ROW_LEN: usize = Fingerprint::ENCODED_LEN + 8 + 8 + 1;

/// A committed checkpoint: which generation it is and in which lane's log it stands. Over all lanes the highest
/// generation of a file wins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Counts up over all lanes and starts.
    pub generation: u64,
    /// The lane whose log it stands in.
    pub lane: Lane,
}

impl Row {
    /// Fixed binary form, as in log records.
    #[must_use]
    pub fn to_bytes(self) -> [u8; ROW_LEN] {
        let mut out = [0; ROW_LEN];
        let fields = self.checkpoint.fingerprint.to_bytes().into_iter();
        let fields = fields.chain(self.checkpoint.offset.to_le_bytes()).chain(self.generation.to_le_bytes());
        out.iter_mut().zip(fields.chain([self.lane as u8])).for_each(|(to, from)| *to = from);
        out
    }

    /// The inverse of [`Row::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (fingerprint, rest) = bytes.split_at_checked(Fingerprint::ENCODED_LEN)?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let [lane] = rest else { return None };
        let checkpoint =
            Checkpoint { fingerprint: Fingerprint::from_bytes(fingerprint)?, offset: u64::from_le_bytes(*offset) };
        Some(Self { checkpoint, generation: u64::from_le_bytes(*generation), lane: Lane::from_u8(*lane)? })
    }
}

/// Row key: `f` inode device, so that one look finds an inode on every device.
fn file_key(file: FileId) -> [u8; 17] {
    let mut key = [b'f'; 17];
    let fields = file.inode.to_be_bytes().into_iter().chain(file.device.to_be_bytes());
    key.iter_mut().skip(1).zip(fields).for_each(|(to, from)| *to = from);
    key
}

/// Second key of files with a whole prefix: `p` hash, file key.
fn prefix_key(hash: u64, file: FileId) -> [u8; 26] {
    let mut key = [b'p'; 26];
    let fields = hash.to_be_bytes().into_iter().chain(file_key(file));
    key.iter_mut().skip(1).zip(fields).for_each(|(to, from)| *to = from);
    key
}

/// Where committed rows are kept: in the index or, once that has failed, in memory.
enum Rows {
    Indexed(Index),
    Memory(BTreeMap<FileId, Row>),
}

impl Rows {
    fn row(&self, file: FileId) -> Result<Option<Row>, IndexError> {
        match self {
            Self::Indexed(index) => Ok(index.value(&file_key(file))?.and_then(|bytes| Row::from_bytes(&bytes))),
            Self::Memory(rows) => Ok(rows.get(&file).copied()),
        }
    }

    fn put(&mut self, row: Row, old: Option<Row>) -> Result<(), IndexError> {
        let fingerprint = row.checkpoint.fingerprint;
        let file = fingerprint.file;
        match self {
            Self::Memory(rows) => {
                rows.insert(file, row);
            }
            Self::Indexed(index) => {
                let old = old.map(|old| old.checkpoint.fingerprint.prefix_hash);
                if let Some(hash) = old.filter(|hash| *hash != fingerprint.prefix_hash) {
                    index.remove(&prefix_key(hash, file))?;
                }
                index.put(&file_key(file), &row.to_bytes())?;
                if fingerprint.is_whole() {
                    index.put(&prefix_key(fingerprint.prefix_hash, file), &[])?;
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, row: Row) -> Result<(), IndexError> {
        let fingerprint = row.checkpoint.fingerprint;
        match self {
            Self::Memory(rows) => {
                rows.remove(&fingerprint.file);
            }
            Self::Indexed(index) => {
                index.remove(&prefix_key(fingerprint.prefix_hash, fingerprint.file))?;
                index.remove(&file_key(fingerprint.file))?;
            }
        }
        Ok(())
    }

    fn each(&self, visit: &mut dyn FnMut(Row)) -> Result<(), IndexError> {
        match self {
            Self::Memory(rows) => rows.values().for_each(|row| visit(*row)),
            Self::Indexed(index) => index.each(&mut |key, value| {
                if key.first() == Some(&b'f') {
                    Row::from_bytes(value).into_iter().for_each(&mut *visit);
                }
            })?,
        }
        Ok(())
    }

    /// Rows of files with this inode number on any device.
    fn of_inode(&self, inode: u64) -> Result<Vec<Row>, IndexError> {
        match self {
            Self::Memory(rows) => {
                Ok(rows.values().filter(|row| row.checkpoint.file().inode == inode).copied().collect())
            }
            Self::Indexed(_) => self.under(&[&[b'f'][..], &inode.to_be_bytes()].concat()),
        }
    }

    /// Rows of files whose whole prefix has this hash.
    fn of_prefix(&self, hash: u64) -> Result<Vec<Row>, IndexError> {
        let is_it = |row: &Row| {
            let fingerprint = row.checkpoint.fingerprint;
            fingerprint.is_whole() && fingerprint.prefix_hash == hash
        };
        let rows = match self {
            Self::Memory(rows) => rows.values().copied().collect(),
            Self::Indexed(_) => self.under(&[&[b'p'][..], &hash.to_be_bytes()].concat())?,
        };
        Ok(rows.into_iter().filter(is_it).collect())
    }

    /// Rows of the files that the keys under `prefix` end with.
    fn under(&self, prefix: &[u8]) -> Result<Vec<Row>, IndexError> {
        let Self::Indexed(index) = self else { return Ok(Vec::new()) };
        let file = |key: &[u8]| {
            let (rest, device) = key.split_last_chunk::<8>()?;
            let (_, inode) = rest.split_last_chunk::<8>()?;
            Some(FileId { device: u64::from_be_bytes(*device), inode: u64::from_be_bytes(*inode) })
        };
        let files: Vec<FileId> = index.keys_under(prefix)?.iter().filter_map(|key| file(key)).collect();
        files.into_iter().filter_map(|file| self.row(file).transpose()).collect()
    }
}

struct Inner {
    rows: Rows,
    /// Rows by lane of their log.
    counts: [usize; 3],
    /// Lanes whose rows went with the index: they are to be read from their logs.
    lost: [bool; 3],
    taken: BTreeMap<FileId, Checkpoint>,
}

impl Inner {
    fn is_lost(&self, lane: Lane) -> bool {
        self.lost.get(lane.index()).copied().unwrap_or(false)
    }

    fn count(&mut self, lane: Lane) -> Option<&mut usize> {
        self.counts.get_mut(lane.index())
    }

    /// Passes on what the index says. Once it has failed it is not asked again: the logs say the same.
    fn asked<T: Default>(&mut self, answer: Result<T, IndexError>) -> T {
        answer.unwrap_or_else(|error| {
            tracing::error!(%error, "the index failed; checkpoints are kept in memory and in the logs until the next start");
            (self.rows, self.counts, self.lost) = (Rows::Memory(BTreeMap::new()), [0; 3], [true; 3]);
            T::default()
        })
    }

    fn put(&mut self, row: Row) -> Result<(), IndexError> {
        let old = self.rows.row(row.checkpoint.file())?;
        if old.is_some_and(|old| old.generation >= row.generation) {
            return Ok(());
        }
        self.rows.put(row, old)?;
        if let Some(count) = old.and_then(|old| self.count(old.lane)) {
            *count = count.saturating_sub(1);
        }
        self.count(row.lane).into_iter().for_each(|count| *count += 1);
        if self.counts.iter().sum::<usize>() > CHECKPOINTS_MAX {
            self.forget_oldest(CHECKPOINTS_MAX / 100)
        } else {
            Ok(())
        }
    }

    fn forget_oldest(&mut self, count: usize) -> Result<(), IndexError> {
        let mut rows = Vec::new();
        self.rows.each(&mut |row| rows.push(row))?;
        rows.sort_unstable_by_key(|row| (!row.checkpoint.fingerprint.ended, row.generation));
        for row in rows.into_iter().take(count) {
            self.rows.remove(row)?;
            self.count(row.lane).into_iter().for_each(|count| *count = count.saturating_sub(1));
        }
        Ok(())
    }
}

/// The table; shared by the spool, which writes it, and the sources, which ask it.
pub struct Table {
    inner: Mutex<Inner>,
}

impl Table {
    /// A table over an index; rows that it holds count.
    #[must_use]
    pub fn new(index: Index) -> Self {
        Self::of(Rows::Indexed(index))
    }

    /// A table without an index.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::of(Rows::Memory(BTreeMap::new()))
    }

    fn of(rows: Rows) -> Self {
        let mut inner = Inner { rows, counts: [0; 3], lost: [false; 3], taken: BTreeMap::new() };
        let mut counts = [0usize; 3];
        let counted =
            inner.rows.each(&mut |row| counts.iter_mut().skip(row.lane.index()).take(1).for_each(|n| *n += 1));
        inner.counts = counts;
        inner.asked(counted);
        // What a log holds is folded into the table when its lane is opened.
        inner.lost = [false; 3];
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `ask` on the index, while there is one.
    pub fn with_index<R>(&self, ask: impl FnOnce(&Index) -> R) -> Option<R> {
        match &self.lock().rows {
            Rows::Indexed(index) => Some(ask(index)),
            Rows::Memory(_) => None,
        }
    }

    /// Remembers a checkpoint whose lines were taken into memory.
    pub fn take(&self, checkpoint: Checkpoint) {
        self.lock().taken.insert(checkpoint.file(), checkpoint);
    }

    /// Puts a committed row, unless the table has a newer one of this file.
    pub fn commit(&self, row: Row) {
        let mut inner = self.lock();
        let file = row.checkpoint.file();
        if inner.taken.get(&file) == Some(&row.checkpoint) {
            inner.taken.remove(&file);
        }
        let put = inner.put(row);
        inner.asked(put);
    }

    /// Every committed row that stands in `lane`'s log, for a segment's state; none when they were lost with the
    /// index and must be read from that log (see [`Table::restore`]).
    #[must_use]
    pub fn rows_of(&self, lane: Lane) -> Option<Vec<Row>> {
        let mut inner = self.lock();
        let mut rows = Vec::new();
        let seen = inner.rows.each(&mut |row| {
            if row.lane == lane {
                rows.push(row);
            }
        });
        inner.asked(seen);
        (!inner.is_lost(lane)).then_some(rows)
    }

    /// Whether the rows of `lane` are to be restored.
    #[must_use]
    pub fn is_lost(&self, lane: Lane) -> bool {
        self.lock().is_lost(lane)
    }

    /// Takes the rows of `lane` as its log has them.
    pub fn restore(&self, lane: Lane, rows: Vec<Row>) {
        rows.into_iter().for_each(|row| self.commit(row));
        self.lock().lost.iter_mut().skip(lane.index()).take(1).for_each(|lost| *lost = false);
    }

    /// How many rows of `lane` there are.
    #[must_use]
    pub fn count_of(&self, lane: Lane) -> usize {
        self.lock().counts.get(lane.index()).copied().unwrap_or(0)
    }

    /// The highest generation that the table holds.
    #[must_use]
    pub fn generation(&self) -> u64 {
        let mut inner = self.lock();
        let mut highest = 0;
        let seen = inner.rows.each(&mut |row| highest = highest.max(row.generation));
        inner.asked(seen);
        highest
    }

    /// What an index that fails leaves behind.
    #[cfg(test)]
    pub(super) fn lose_index(&self) {
        let mut inner = self.lock();
        (inner.rows, inner.counts, inner.lost) = (Rows::Memory(BTreeMap::new()), [0; 3], [true; 3]);
    }

    /// Closes the index so that the next start trusts it.
    pub fn close(&self) {
        let rows = std::mem::replace(&mut self.lock().rows, Rows::Memory(BTreeMap::new()));
        if let Rows::Indexed(index) = rows
            && let Err(error) = index.close()
        {
            tracing::warn!(%error, "the index did not close; the next start makes it again");
        }
    }

    /// Taken ones first, then committed ones of files that have no taken one, the latest first.
    fn found(taken: Vec<Checkpoint>, mut rows: Vec<Row>) -> Vec<Checkpoint> {
        rows.retain(|row| !taken.iter().any(|checkpoint| checkpoint.file() == row.checkpoint.file()));
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.generation));
        taken.into_iter().chain(rows.into_iter().map(|row| row.checkpoint)).collect()
    }
}

impl Checkpoints for Table {
    fn by_inode(&self, inode: u64) -> Vec<Checkpoint> {
        let mut inner = self.lock();
        let taken = inner.taken.values().filter(|c| c.file().inode == inode).copied().collect();
        let rows = inner.rows.of_inode(inode);
        Self::found(taken, inner.asked(rows))
    }

    fn by_prefix(&self, hash: u64) -> Vec<Checkpoint> {
        let mut inner = self.lock();
        let whole = |c: &&Checkpoint| c.fingerprint.is_whole() && c.fingerprint.prefix_hash == hash;
        let taken = inner.taken.values().filter(whole).copied().collect();
        let rows = inner.rows.of_prefix(hash);
        Self::found(taken, inner.asked(rows))
    }
}
