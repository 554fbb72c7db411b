//! Small files that must survive: keys, certificates, tokens, the roster's file.
//!
//! In: a path and all of its bytes. Out: after `Ok` the file is on disk, whole, with its mode and owner; after a
//! crash at any step it has its old content or its new one, never a mixture.
//!
//! Files are changed through [`Fs`]; folders are made on the host.
//!
//! Invariants: a temporary file is made new (`O_EXCL`), so a link planted in a folder that an unprivileged user
//! owns is never followed by a command that root runs; a name is only given to bytes that are fsynced; the folder
//! is fsynced after a name changed. What root writes gets the owner of the state folder (ARCHITECTURE §9). Two
//! writers of one path at a time are the caller's business (a lock).

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::log::{self, Access, Fs, RealFs, no_follow};

/// Mode of a file that only its owner reads: keys, tokens.
pub const PRIVATE: u32 = 0o600;
/// Mode of a file that everybody may read: certificates, configuration without secrets.
pub const PUBLIC: u32 = 0o644;
/// Mode of a folder with state in it.
pub const STATE_FOLDER: u32 = 0o750;

/// What could not be done with a file, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}: {source}", path = path.display())]
pub struct DurableError {
    /// The step that failed, as a verb.
    pub doing: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

impl DurableError {
    /// An error of `doing` on `path`.
    pub fn new(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }

    /// Whether the reason is that the file was there already.
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.source.kind() == ErrorKind::AlreadyExists
    }
}

/// Writes small files so that they survive, for the owner of one state folder.
#[derive(Clone, Copy, Debug)]
pub struct Writer<F = RealFs> {
    fs: F,
    owner: Option<(u32, u32)>,
    fault: fn(&'static str),
}

impl Writer {
    /// A writer for what belongs to `state_dir`: when this process is root, what it writes gets that folder's owner.
    ///
    /// # Errors
    /// When `state_dir` cannot be looked at.
    pub fn for_owner_of(state_dir: &Path) -> Result<Self, DurableError> {
        let owner = if rustix::process::geteuid().is_root() {
            let meta = std::fs::metadata(state_dir).map_err(|e| DurableError::new("look at", state_dir, e))?;
            Some((meta.uid(), meta.gid()))
        } else {
            None
        };
        Ok(Self { fs: RealFs, owner, fault: crate::fault::point })
    }

    /// Makes the folder `path` and those above it that are missing; one that is there keeps its mode and owner.
    /// Root, writing for somebody else, does not go through a symbolic link at `path`: that somebody may have put
    /// it there.
    ///
    /// # Errors
    /// When it cannot be made, or something there is no folder.
    pub fn folder(&self, path: &Path, mode: u32) -> Result<(), DurableError> {
        let link = path.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if link && self.owner.is_some_and(|(user, _)| user != 0) {
            let refused = std::io::Error::other("it is a symbolic link, which root does not follow here");
            return Err(DurableError::new("use the folder", path, refused));
        }
        if path.is_dir() || path.as_os_str().is_empty() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.folder(parent, mode)?;
        }
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
            Err(e) => return Err(DurableError::new("create the folder", path, e)),
        }
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags(no_follow())
            .open(path)
            .map_err(|e| DurableError::new("open", path, e))?;
        self.own(&folder, path)?;
        self.sync_folder_of(path)
    }

    /// Opens `path` for reading and appending, made with `mode` when missing, never through a symbolic link.
    ///
    /// # Errors
    /// When it cannot be opened, owned or made durable.
    pub fn open_append(&self, path: &Path, mode: u32) -> Result<File, DurableError> {
        let missing = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(mode)
            .custom_flags(no_follow())
            .open(path)
            .map_err(|e| DurableError::new("open", path, e))?;
        if missing {
            self.own(&file, path)?;
            self.sync_folder_of(path)?;
        }
        Ok(file)
    }

    fn own(&self, file: &impl AsFd, path: &Path) -> Result<(), DurableError> {
        let Some((user, group)) = self.owner else { return Ok(()) };
        std::os::unix::fs::fchown(file, Some(user), Some(group))
            .map_err(|e| DurableError::new("set the owner of", path, e))
    }
}

impl<F: Fs> Writer<F> {
    /// A writer to another filesystem than the host's, where everything belongs to this process.
    #[must_use]
    pub fn on(fs: F) -> Self {
        Self { fs, owner: None, fault: crate::fault::point }
    }

    /// The same writer with another hook than [`crate::fault::point`] at each named step: tests crash there.
    #[must_use]
    pub fn with_fault(self, fault: fn(&'static str)) -> Self {
        Self { fault, ..self }
    }

    /// The fault hook, for those who have steps of their own.
    #[must_use]
    pub fn fault(&self) -> fn(&'static str) {
        self.fault
    }

    /// Gives `path` the content `bytes`, whatever was there. The fault hook is called with `point` three times:
    /// before anything, with the bytes fsynced under a temporary name, and after the rename before the folder is
    /// fsynced.
    ///
    /// # Errors
    /// When a step fails; the old content is then still there, or the new one is there and may not be durable.
    pub fn replace(&self, path: &Path, bytes: &[u8], mode: u32, point: &'static str) -> Result<(), DurableError> {
        (self.fault)(point);
        let temporary = self.write_temporary(path, bytes, mode)?;
        (self.fault)(point);
        self.fs.rename(&temporary, path).map_err(|e| DurableError::new("put in place", path, e))?;
        (self.fault)(point);
        self.sync_folder_of(path)
    }

    /// Begins to give `path` other content, piece by piece, for what should not stand in memory whole. What is there
    /// stays until [`Replacement::commit`].
    ///
    /// # Errors
    /// When the temporary file cannot be made.
    pub fn begin(&self, path: &Path, mode: u32) -> Result<Replacement<F>, DurableError>
    where
        F: Clone,
    {
        let (temporary, file) = self.create_temporary(path, mode)?;
        Ok(Replacement { writer: self.clone(), path: path.to_owned(), temporary, file, len: 0 })
    }

    /// Makes `path` with the content `bytes`; what is there already stays.
    ///
    /// # Errors
    /// [`DurableError::already_exists`] when something is there, or any step that fails.
    pub fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
        let temporary = self.write_temporary(path, bytes, mode)?;
        let linked = self.fs.link(&temporary, path).map_err(|e| DurableError::new("create", path, e));
        self.fs.remove(&temporary).map_err(|e| DurableError::new("remove", &temporary, e))?;
        linked.and_then(|()| self.sync_folder_of(path))
    }

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// When it is there and stays.
    pub fn remove(&self, path: &Path) -> Result<(), DurableError> {
        match self.fs.remove(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(DurableError::new("remove", path, e)),
            // Also where it is gone: whoever removed it may not have come to the sync.
            _ => match self.sync_folder_of(path) {
                Err(e) if e.source.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            },
        }
    }

    /// Opens `path`, a log that its owner appends to, made with `mode` when missing, never through a symbolic link.
    /// Its name is durable then, whoever made it.
    ///
    /// # Errors
    /// When it cannot be opened, owned or made durable.
    pub fn open_log(&self, path: &Path, mode: u32) -> Result<Box<dyn log::File>, DurableError> {
        let file = match self.fs.open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => self.fs.create_new(path, Access { mode, owner: self.owner }),
            other => other,
        };
        let file = file.map_err(|e| DurableError::new("open", path, e))?;
        self.sync_folder_of(path)?;
        Ok(file)
    }

    fn write_temporary(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, DurableError> {
        let (temporary, file) = self.create_temporary(path, mode)?;
        let failed = |doing| move |e| DurableError::new(doing, path, e);
        file.write_all_at(bytes, 0).map_err(failed("write"))?;
        file.sync().map_err(failed("sync"))?;
        Ok(temporary)
    }

    fn create_temporary(&self, path: &Path, mode: u32) -> Result<(PathBuf, Box<dyn log::File>), DurableError> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let failed = |doing| move |e| DurableError::new(doing, path, e);
        match self.fs.remove(&temporary) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed("clear the way for")(e)),
            _ => {}
        }
        let access = Access { mode, owner: self.owner };
        let file = self.fs.create_new(&temporary, access).map_err(failed("write"))?;
        Ok((temporary, file))
    }

    fn sync_folder_of(&self, path: &Path) -> Result<(), DurableError> {
        let folder = folder_of(path);
        self.fs.sync_dir(folder).map_err(|e| DurableError::new("sync the folder", folder, e))
    }
}

/// Other content for a file, being written under a temporary name; dropped, it never was.
pub struct Replacement<F: Fs = RealFs> {
    writer: Writer<F>,
    path: PathBuf,
    temporary: PathBuf,
    file: Box<dyn log::File>,
    len: u64,
}

impl<F: Fs> Replacement<F> {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DurableError> {
        self.file.write_all_at(bytes, self.len).map_err(|e| DurableError::new("write", &self.path, e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// There are none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts it in place, as [`Writer::replace`] does, with its fault points.
    ///
    /// # Errors
    /// As there.
    pub fn commit(self, point: &'static str) -> Result<(), DurableError> {
        let Self { writer, path, temporary, file, .. } = self;
        (writer.fault)(point);
        file.sync().map_err(|e| DurableError::new("sync", &path, e))?;
        (writer.fault)(point);
        writer.fs.rename(&temporary, &path).map_err(|e| DurableError::new("put in place", &path, e))?;
        (writer.fault)(point);
        writer.sync_folder_of(&path)
    }
}

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// When it is missing, unreadable or larger.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, DurableError> {
    use std::io::Read as _;
    let failed = |e| DurableError::new("read", path, e);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(failed(std::io::Error::other(format!("it is larger than {bytes_max} bytes"))));
    }
    Ok(bytes)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::log::ModelFs;
    use crate::log::model::crashes::{Dice, Ran, crash_at_every_call};

    thread_local! { static STEPS_LEFT: Cell<u32> = const { Cell::new(0) }; }

    fn crash_when_counted_down(_: &'static str) {
        let left = STEPS_LEFT.get();
        STEPS_LEFT.set(left.saturating_sub(1));
        assert_ne!(left, 1, "crash");
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("picket-durable-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn crash_at_any_step_leaves_old_or_new() {
        let dir = folder("crash");
        let path = dir.join("key.pem");
        let writer = Writer::for_owner_of(&dir).unwrap();
        for step in 1..=3 {
            writer.replace(&path, b"old", PRIVATE, "p").unwrap();
            STEPS_LEFT.set(step);
            let crashing = writer.with_fault(crash_when_counted_down);
            assert!(std::panic::catch_unwind(|| crashing.replace(&path, b"new and longer", PRIVATE, "p")).is_err());
            let expected: &[u8] = if step < 3 { b"old" } else { b"new and longer" };
            assert_eq!(std::fs::read(&path).unwrap(), expected, "step {step}");
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn create_keeps_what_is_there() {
        let dir = folder("create");
        let writer = Writer::for_owner_of(&dir).unwrap();
        let path = dir.join("agent.yaml");
        writer.create(&path, b"first", PUBLIC).unwrap();
        assert!(writer.create(&path, b"second", PUBLIC).unwrap_err().already_exists());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn planted_link_is_not_followed() {
        let dir = folder("link");
        let victim = dir.join("victim");
        std::fs::write(&victim, b"untouched").unwrap();
        std::os::unix::fs::symlink(&victim, dir.join(".key.pem.tmp")).unwrap();
        std::os::unix::fs::symlink(&victim, dir.join("log")).unwrap();
        let writer = Writer::for_owner_of(&dir).unwrap();
        writer.replace(&dir.join("key.pem"), b"secret", PRIVATE, "p").unwrap();
        assert!(writer.open_append(&dir.join("log"), PRIVATE).is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_root_writes_gets_the_owner_of_the_state_folder() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root");
            return;
        }
        let dir = folder("owner");
        std::os::unix::fs::chown(&dir, Some(4_242), Some(4_243)).unwrap();
        let writer = Writer::for_owner_of(&dir).unwrap();
        writer.folder(&dir.join("a/b"), STATE_FOLDER).unwrap();
        writer.replace(&dir.join("a/b/key"), b"k", PRIVATE, "p").unwrap();
        writer.open_append(&dir.join("a/log"), PRIVATE).unwrap();
        for path in ["a", "a/b", "a/b/key", "a/log"] {
            let meta = std::fs::metadata(dir.join(path)).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (4_242, 4_243), "{path}");
        }
        std::os::unix::fs::symlink("/etc", dir.join("tokens")).unwrap();
        assert!(writer.folder(&dir.join("tokens"), STATE_FOLDER).is_err(), "a planted link");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Replaces, makes and removes one file; what it may hold afterwards.
    fn live(fs: &ModelFs, may_be: &mut Vec<Option<Vec<u8>>>, dice: &mut Dice, steps: u32) {
        let (writer, path) = (Writer::on(fs.clone()), Path::new("/state/key.pem"));
        for _ in 0..steps {
            let bytes = vec![u8::try_from(dice.below(256)).unwrap(); usize::try_from(dice.below(3_000)).unwrap()];
            let (will_be, result) = match dice.below(8) {
                0 => (None, writer.remove(path)),
                1 => {
                    let result = writer.create(path, &bytes, PRIVATE);
                    if result.as_ref().is_err_and(DurableError::already_exists) {
                        continue;
                    }
                    (Some(bytes), result)
                }
                2 => {
                    fs.fail_sync_at(1 + dice.below(3));
                    continue;
                }
                3 => {
                    let more = dice.below(3_000);
                    fs.room((dice.below(2) == 0).then(|| fs.taken() + more));
                    continue;
                }
                _ => (Some(bytes.clone()), writer.replace(path, &bytes, PRIVATE, "p")),
            };
            if result.is_ok() {
                may_be.clear();
            }
            may_be.push(will_be);
        }
    }

    #[test]
    fn small_files_are_old_or_new_through_a_crash_at_every_call() {
        crash_at_every_call("small files", 20, |seed, at| {
            let (mut dice, fs) = (Dice::new(seed), ModelFs::new(seed ^ at));
            fs.short_writes(seed.is_multiple_of(2));
            fs.create_dir(Path::new("/state")).unwrap();
            let (begun, mut may_be) = (fs.calls(), vec![None]);
            fs.power_off_at(at);
            live(&fs, &mut may_be, &mut dice, 14);
            let ran = Ran::of(&fs, begun);
            for _ in 0..3 {
                fs.room(None);
                if dice.below(3) == 0 {
                    fs.kill()
                } else {
                    fs.power_loss()
                }
                let found = fs.read(Path::new("/state/key.pem")).ok();
                assert!(may_be.contains(&found), "{found:?} is none of {may_be:?}");
                fs.power_off_at(1 + dice.below(20));
                live(&fs, &mut may_be, &mut dice, 6);
            }
            ran
        });
    }
}
