//! A filesystem in memory that is as unkind as the rules of disks allow: for tests of whatever stands on a log.
//!
//! What was not synced may be lost, whole or by sectors of 512 bytes, in any order; names in a folder that was
//! not synced may be the old or the new ones, each on its own, so that of a rename from one folder to another
//! either half may be missing, and of a folder that was made everything below it; the power goes at any call, and
//! of a write at which it goes the cache has a part. A sync can fail once, and then what it should have written is
//! clean in memory and will never reach the disk, as on Linux. Reads and writes may be short, writes interrupted;
//! one that meets the end of the room is short before it is refused. Everything is decided by the seed.
//!
//! ```text
//! kill()        the program is gone, the page cache is not
//! power_loss()  the page cache is gone too: of what was not synced a random part is on the disk
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fs::{Access, File, Fs};

pub mod crashes;
mod file;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// Error numbers of Linux (errno-base.h).
const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const EIO: i32 = 5;
const EEXIST: i32 = 17;
const ENOTDIR: i32 = 20;
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
    MakeDir(PathBuf),
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
    short_writes: bool,
    /// Inode and byte: a read that meets it fails.
    bad: Vec<(usize, u64)>,
}

/// Which names lead where.
#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: Names,
    durable: Names,
    unsynced: Vec<NameChange>,
    faults: Faults,
    calls: u64,
    trace: u64,
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

    /// Every call that changes something comes by here: false when the power goes in the midst of it. `what` and
    /// `size` tell it from others.
    fn call(&mut self, what: u8, size: u64) -> io::Result<bool> {
        if self.down {
            return Err(io::Error::other("the power is off"));
        }
        self.calls += 1;
        // FNV-1a, over numbers in place of bytes.
        for part in [u64::from(what), size] {
            self.trace = (self.trace ^ part).wrapping_mul(0x0100_0000_01b3);
        }
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
        let linked: BTreeSet<usize> = self.names.files.values().copied().collect();
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

    /// How many of `bytes` go to a file in one call that is not disturbed.
    fn accepted(&mut self, inode: usize, at: usize, bytes: &[u8]) -> io::Result<usize> {
        let grows = (at + bytes.len()).saturating_sub(self.inode(inode)?.cache.len());
        let room = self.faults.room.map_or(u64::MAX, |room| room.saturating_sub(self.taken()));
        let fits = bytes.len() - grows.saturating_sub(usize::try_from(room).unwrap_or(usize::MAX));
        if fits == 0 && !bytes.is_empty() {
            return Err(errno(ENOSPC));
        }
        if !self.faults.short_writes {
            return Ok(fits);
        }
        match self.random(8) {
            0 => Err(errno(EINTR)),
            1 | 2 => Ok(usize::try_from(1 + self.random(fits as u64)).unwrap_or(fits).min(fits)),
            _ => Ok(fits),
        }
    }

    fn write(&mut self, inode: usize, at: usize, bytes: &[u8]) -> io::Result<()> {
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

    fn change(&mut self, change: NameChange) {
        self.names.apply(&change);
        self.unsynced.push(change);
    }

    /// A new, empty inode.
    fn inode_of(&mut self, path: &Path) -> usize {
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.change(NameChange::Link(path.to_path_buf(), inode));
        inode
    }

    /// Whether there is a folder for `path`, and room for a name.
    fn has_place(&self, path: &Path) -> io::Result<()> {
        if !path.parent().is_some_and(|above| self.names.has_dir(above)) {
            return Err(errno(ENOENT));
        }
        self.fits(1)
    }
}

impl Names {
    fn has_dir(&self, dir: &Path) -> bool {
        dir.parent().is_none() || self.dirs.contains(dir)
    }

    fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path) || self.dirs.contains(path)
    }

    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::MakeDir(dir) => {
                self.dirs.insert(dir.clone());
            }
            NameChange::Link(path, inode) => {
                self.files.insert(path.clone(), *inode);
            }
            NameChange::Unlink(path) => {
                self.files.remove(path);
            }
            NameChange::Rename(from, to, inode) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
        }
    }

    /// Forgets what no folder leads to.
    fn drop_orphans(&mut self) {
        // What leads to a folder comes before it.
        for dir in std::mem::take(&mut self.dirs) {
            if dir.parent().is_some_and(|above| self.has_dir(above)) {
                self.dirs.insert(dir);
            }
        }
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.filter(|(path, _)| path.parent().is_some_and(|above| self.has_dir(above))).collect();
    }
}

impl NameChange {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::MakeDir(path) | Self::Link(path, _) | Self::Unlink(path) | Self::Rename(_, path, _)) = self;
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

    /// A number that is another one where other calls were made: which, in what order, of how many bytes.
    #[must_use]
    pub fn trace(&self) -> u64 {
        lock(&self.0).trace
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

    /// That the power is on, for those who need not have noticed.
    ///
    /// # Errors
    /// It is off.
    pub fn up(&self) -> io::Result<()> {
        lock(&self.0).up()
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

    /// Writes take fewer bytes than they are given, or are interrupted, at random.
    pub fn short_writes(&self, short: bool) {
        lock(&self.0).faults.short_writes = short;
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
                disk.durable.apply(&change);
            }
        }
        disk.durable.drop_orphans();
        disk.names = disk.durable.clone();
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
        if let Some(inode) = disk.names.files.get(path).copied()
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
        if let Some(inode) = disk.names.files.get(path).copied() {
            disk.faults.bad.push((inode, at));
        }
    }

    /// The files under `dir` and their sizes.
    #[must_use]
    pub fn files(&self, dir: &Path) -> Vec<(PathBuf, usize)> {
        let disk = lock(&self.0);
        let under = disk.names.files.iter().filter(|(path, _)| path.starts_with(dir));
        under.map(|(path, inode)| (path.clone(), disk.inodes.get(*inode).map_or(0, |file| file.cache.len()))).collect()
    }

    fn handle(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let disk = lock(&self.0);
        disk.up()?;
        let inode = disk.names.files.get(path).copied().ok_or_else(|| errno(ENOENT))?;
        Ok(Box::new(ModelFile { disk: Arc::clone(&self.0), inode }))
    }
}

impl Fs for ModelFs {
    fn create(&self, path: &Path, allocate: u64) -> io::Result<Box<dyn File>> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'c', allocate)?;
        disk.has_place(path)?;
        let size = usize::try_from(allocate).map_err(io::Error::other)?;
        disk.fits(size)?;
        let inode = match disk.names.files.get(path).copied() {
            Some(inode) => inode,
            None => disk.inode_of(path),
        };
        let file = disk.inode(inode)?;
        file.cache = vec![0; size];
        file.unsynced.extend([Change::Size(0), Change::Size(size)]);
        if !on {
            return Err(Disk::off());
        }
        Ok(Box::new(ModelFile { disk: Arc::clone(&self.0), inode }))
    }

    fn create_new(&self, path: &Path, _: Access) -> io::Result<Box<dyn File>> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'n', 0)?;
        if disk.names.has(path) {
            return Err(errno(EEXIST));
        }
        disk.has_place(path)?;
        let inode = disk.inode_of(path);
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
        if !disk.names.has_dir(dir) {
            return Err(errno(if disk.names.has(dir) { ENOTDIR } else { ENOENT }));
        }
        let paths = disk.names.files.keys().chain(&disk.names.dirs).filter(|path| path.parent() == Some(dir));
        Ok(paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'd', 0)?;
        if disk.names.has(dir) {
            return Err(errno(EEXIST));
        }
        disk.has_place(dir)?;
        disk.change(NameChange::MakeDir(dir.to_path_buf()));
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'r', 0)?;
        let inode = disk.names.files.get(from).copied().ok_or_else(|| errno(ENOENT))?;
        if !to.parent().is_some_and(|above| disk.names.has_dir(above)) {
            return Err(errno(ENOENT));
        }
        if from.parent() == to.parent() {
            disk.change(NameChange::Rename(from.to_path_buf(), to.to_path_buf(), inode));
        } else {
            // Each folder has its half of it.
            disk.change(NameChange::Link(to.to_path_buf(), inode));
            disk.change(NameChange::Unlink(from.to_path_buf()));
        }
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'l', 0)?;
        let inode = disk.names.files.get(from).copied().ok_or_else(|| errno(ENOENT))?;
        if disk.names.has(to) {
            return Err(errno(EEXIST));
        }
        disk.has_place(to)?;
        disk.change(NameChange::Link(to.to_path_buf(), inode));
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let on = disk.call(b'u', 0)?;
        if !disk.names.files.contains_key(path) {
            return Err(errno(ENOENT));
        }
        disk.change(NameChange::Unlink(path.to_path_buf()));
        if on { Ok(()) } else { Err(Disk::off()) }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.0);
        if !disk.call(b'f', 0)? {
            return Err(Disk::off());
        }
        let disk = &mut *disk;
        if !disk.names.has_dir(dir) {
            return Err(errno(ENOENT));
        }
        if disk.sync_fails() {
            return Err(errno(EIO));
        }
        let (done, left) = std::mem::take(&mut disk.unsynced).into_iter().partition(|change| change.is_in(dir));
        disk.unsynced = left;
        let done: Vec<NameChange> = done;
        done.iter().for_each(|change| disk.durable.apply(change));
        Ok(())
    }
}
