//! A filesystem in memory that is as unkind as the rules of disks allow: for tests of whatever stands on a log.
//!
//! What was not synced may be lost, whole or by sectors of 512 bytes, in any order; names in a folder that was
//! not synced may be the old or the new ones, each on its own; the power goes at any call. A sync can fail
//! once, and then what it should have written is clean in memory and will never reach the disk, as on Linux.
//! Everything is decided by the seed.
//!
//! ```text
//! kill()        the program is gone, the page cache is not
//! power_loss()  the page cache is gone too: of what was not synced a random part is on the disk
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fs::{File, Fs};

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// `ENOENT`, `EIO`, `ENOSPC` as Linux numbers them (errno-base.h).
const ENOENT: i32 = 2;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

#[derive(Default)]
struct Inode {
    /// As programs see it.
    cache: Vec<u8>,
    /// As the disk has it.
    disk: Vec<u8>,
    /// What leads from `disk` to `cache`.
    unsynced: Vec<Change>,
}

enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

/// The faults that are to come.
#[derive(Default)]
struct Faults {
    /// The power goes at this call, counted from now.
    power_at: Option<u64>,
    /// This sync of a file or folder, counted from now, fails once.
    sync_at: Option<u64>,
    /// Nothing more fits while more than this is taken.
    room: Option<u64>,
    short_reads: bool,
    /// Inode and byte: a read that meets it fails.
    bad: Vec<(usize, u64)>,
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced: Vec<NameChange>,
    dirs: BTreeSet<PathBuf>,
    faults: Faults,
    calls: u64,
    down: bool,
    random: u64,
}

/// See the module; clones are the same disk.
#[derive(Clone, Default)]
pub struct ModelFs(Arc<Mutex<Disk>>);

struct ModelFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
}

fn errno(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    if let Some(place) = file.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

impl Disk {
    /// xorshift64; good enough to choose, the same everywhere.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % below.max(1)
    }

    /// Every call that changes something comes by here: false when the power goes in the midst of it.
    fn call(&mut self) -> io::Result<bool> {
        if self.down {
            return Err(io::Error::other("the power is off"));
        }
        self.calls += 1;
        if let Some(left) = self.faults.power_at.as_mut() {
            *left = left.saturating_sub(1);
            self.down = *left == 0;
        }
        Ok(!self.down)
    }

    fn off() -> io::Error {
        io::Error::other("the power went")
    }

    fn up(&self) -> io::Result<()> {
        if self.down { Err(Self::off()) } else { Ok(()) }
    }

    fn taken(&self) -> u64 {
        let linked: BTreeSet<usize> = self.names.values().copied().collect();
        linked.into_iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.cache.len() as u64).sum()
    }

    fn fits(&self, more: usize) -> io::Result<()> {
        match self.faults.room {
            Some(room) if self.taken() + more as u64 > room => Err(errno(ENOSPC)),
            _ => Ok(()),
        }
    }

    fn inode(&mut self, inode: usize) -> io::Result<&mut Inode> {
        self.inodes.get_mut(inode).ok_or_else(|| errno(ENOENT))
    }

    fn write(&mut self, inode: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
        let grows = (at + bytes.len()).saturating_sub(self.inode(inode)?.cache.len());
        if grows > 0 {
            self.fits(grows)?;
        }
        let file = self.inode(inode)?;
        put(&mut file.cache, at, bytes);
        file.unsynced.push(Change::Write { at, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync_fails(&mut self) -> bool {
        let fails = self.faults.sync_at.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        fails && self.faults.sync_at.take().is_some()
    }

    fn sync(&mut self, inode: usize) -> io::Result<()> {
        if self.sync_fails() {
            self.settle(inode);
            return Err(errno(EIO));
        }
        let file = self.inode(inode)?;
        for change in file.unsynced.drain(..) {
            match change {
                Change::Write { at, bytes } => put(&mut file.disk, at, &bytes),
                Change::Size(size) => file.disk.resize(size, 0),
            }
        }
        Ok(())
    }

    /// A random part of what was not synced reaches the disk; the rest never will.
    fn settle(&mut self, inode: usize) {
        let Some(changes) = self.inodes.get_mut(inode).map(|file| std::mem::take(&mut file.unsynced)) else { return };
        for change in changes {
            let how = self.random(4);
            match change {
                Change::Size(size) if how > 1 => {
                    if let Some(file) = self.inodes.get_mut(inode) {
                        file.disk.resize(size, 0);
                    }
                }
                Change::Size(_) => {}
                Change::Write { at, bytes } => {
                    let sectors = (at % SECTOR + bytes.len()).div_ceil(SECTOR) as u64;
                    let cut = self.random(sectors + 1);
                    let mut done = 0;
                    for number in 0..sectors {
                        let len = (SECTOR - (at + done) % SECTOR).min(bytes.len() - done);
                        let kept = match how {
                            0 => false,
                            1 => number < cut,
                            2 => self.random(2) == 0,
                            _ => true,
                        };
                        let piece = bytes.get(done..done + len).unwrap_or_default();
                        if let Some(file) = self.inodes.get_mut(inode).filter(|_| kept) {
                            put(&mut file.disk, at + done, piece);
                        }
                        done += len;
                    }
                }
            }
        }
    }

    fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
        match change {
            NameChange::Link(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            NameChange::Unlink(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }

    fn rename_all(&mut self, change: NameChange) {
        Self::apply(&mut self.names, &change);
        self.unsynced.push(change);
    }

    fn in_dir(change: &NameChange, dir: &Path) -> bool {
        let (NameChange::Link(path, _) | NameChange::Unlink(path) | NameChange::Rename(_, path, _)) = change;
        path.parent() == Some(dir)
    }
}

impl ModelFs {
    /// An empty disk.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let fs = Self::default();
        lock(&fs.0).random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        fs
    }

    /// Calls so far that change something.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.0).calls
    }

    /// The power goes at the `n`th call from now, from 1; that call may still have had its effect.
    pub fn power_off_at(&self, n: u64) {
        lock(&self.0).faults.power_at = Some(n.max(1));
    }

    /// The power went.
    #[must_use]
    pub fn is_down(&self) -> bool {
        lock(&self.0).down
    }

    /// The `n`th sync of a file or folder from now, from 1, fails, once.
    pub fn fail_sync_at(&self, n: u64) {
        lock(&self.0).faults.sync_at = Some(n.max(1));
    }

    /// The disk has room for this many bytes of files in all; none: no end of it.
    pub fn room(&self, bytes: Option<u64>) {
        lock(&self.0).faults.room = bytes;
    }

    /// Bytes that files take.
    #[must_use]
    pub fn taken(&self) -> u64 {
        lock(&self.0).taken()
    }

    /// Reads give fewer bytes than asked for, at random.
    pub fn short_reads(&self, short: bool) {
        lock(&self.0).faults.short_reads = short;
    }

    /// The program is gone and may come again; what the kernel was told is still in its cache.
    pub fn kill(&self) {
        let mut disk = lock(&self.0);
        (disk.down, disk.faults.power_at, disk.faults.sync_at) = (false, None, None);
    }

    /// The power went and came again: what was not synced is there in part.
    pub fn power_loss(&self) {
        let mut disk = lock(&self.0);
        let disk = &mut *disk;
        (disk.down, disk.faults.power_at, disk.faults.sync_at) = (false, None, None);
        for change in std::mem::take(&mut disk.unsynced) {
            if disk.random(2) == 0 {
                Disk::apply(&mut disk.durable_names, &change);
            }
        }
        disk.names = disk.durable_names.clone();
        for inode in 0..disk.inodes.len() {
            disk.settle(inode);
        }
        for file in &mut disk.inodes {
            file.cache.clone_from(&file.disk);
        }
    }

    /// Changes a file as a failing disk would: in the cache and on the disk, and nobody is told.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = lock(&self.0);
        if let Some(inode) = disk.names.get(path).copied()
            && let Ok(file) = disk.inode(inode)
        {
            change(&mut file.cache);
            file.disk.clone_from(&file.cache);
            file.unsynced.clear();
        }
    }

    /// From now on reads that meet this byte of the file fail.
    pub fn bad_byte(&self, path: &Path, at: u64) {
        let mut disk = lock(&self.0);
        if let Some(inode) = disk.names.get(path).copied() {
            disk.faults.bad.push((inode, at));
        }
    }

    /// The files under `dir` and their sizes.
    #[must_use]
    pub fn files(&self, dir: &Path) -> Vec<(PathBuf, usize)> {
        let disk = lock(&self.0);
        let under = disk.names.iter().filter(|(path, _)| path.starts_with(dir));
        under.map(|(path, inode)| (path.clone(), disk.inodes.get(*inode).map_or(0, |file| file.cache.len()))).collect()
    }

    fn handle(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let disk = lock(&self.0);
        disk.up()?;
        let inode = disk.names.get(path).copied().ok_or_else(|| errno(ENOENT))?;
        Ok(Box::new(ModelFile { disk: Arc::clone(&self.0), inode }))
    }
}

impl Fs for ModelFs {
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Box<dyn File>> {
        let mut disk = lock(&self.0);
        let on = disk.call()?;
        let size = usize::try_from(allocate).map_err(io::Error::other)?;
        disk.fits(size)?;
        let inode = disk.inodes.len();
        disk.inodes.push(Inode { cache: vec![0; size], disk: Vec::new(), unsynced: vec![Change::Size(size)] });
        disk.rename_all(NameChange::Link(path.to_path_buf(), inode));
        if !on {
            return Err(Disk::off());
        }
        Ok(Box::new(ModelFile { disk: Arc::clone(&self.0), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.handle(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn File>> {
        self.handle(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.0);
        disk.up()?;
        let paths = disk.names.keys().chain(&disk.dirs).filter(|path| path.parent() == Some(dir));
        Ok(paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.up()?;
        disk.dirs.insert(dir.to_path_buf());
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call()?;
        let inode = disk.names.get(from).copied().ok_or_else(|| errno(ENOENT))?;
        disk.rename_all(NameChange::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call()?;
        if !disk.names.contains_key(path) {
            return Err(errno(ENOENT));
        }
        disk.rename_all(NameChange::Unlink(path.to_path_buf()));
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        if !disk.call()? {
            return Err(Disk::off());
        }
        let disk = &mut *disk;
        if disk.sync_fails() {
            return Err(errno(EIO));
        }
        let (done, left) = std::mem::take(&mut disk.unsynced).into_iter().partition(|change| Disk::in_dir(change, dir));
        disk.unsynced = left;
        let done: Vec<NameChange> = done;
        done.iter().for_each(|change| Disk::apply(&mut disk.durable_names, change));
        Ok(())
    }
}

impl File for ModelFile {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut disk = lock(&self.disk);
        disk.up()?;
        let want = if disk.faults.short_reads { 1 + disk.random(buf.len() as u64) } else { buf.len() as u64 };
        let want = usize::try_from(want).unwrap_or(buf.len()).min(buf.len());
        let end = at + want as u64;
        if disk.faults.bad.iter().any(|(inode, byte)| *inode == self.inode && (at..end).contains(byte)) {
            return Err(errno(EIO));
        }
        let file = disk.inode(self.inode)?;
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(file.cache.len());
        let bytes = file.cache.get(from..).unwrap_or_default();
        let got = bytes.len().min(want);
        if let (Some(to), Some(from)) = (buf.get_mut(..got), bytes.get(..got)) {
            to.copy_from_slice(from);
        }
        Ok(got)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let on = disk.call()?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        disk.write(self.inode, at, bytes)?;
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if !disk.call()? {
            return Err(Disk::off());
        }
        disk.sync(self.inode)
    }

    fn cut(&self, len: u64, allocate: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let on = disk.call()?;
        let (len, size) = (usize::try_from(len).unwrap_or(0), usize::try_from(allocate.max(len)).unwrap_or(0));
        let grows = size.saturating_sub(disk.inode(self.inode)?.cache.len());
        if grows > 0 {
            disk.fits(grows)?;
        }
        let file = disk.inode(self.inode)?;
        file.cache.truncate(len);
        file.cache.resize(size, 0);
        file.unsynced.extend([Change::Size(len), Change::Size(size)]);
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn size(&self) -> io::Result<u64> {
        let mut disk = lock(&self.disk);
        disk.up()?;
        Ok(disk.inode(self.inode)?.cache.len() as u64)
    }
}
