//! Hints that something happened in a folder: one inotify instance for all file sources, the only file that names notify.
//!
//! In: folders to look at. Out: hints in a source's [`Mailbox`], and its bell rung. A hint only makes a source look
//! earlier; what it then finds is what counts. Where hints cannot be had (network filesystems, the limit of watches)
//! [`Watch::add`] says so and the source polls.
//! Invariants: no lock is held while the watcher is called, since its thread delivers hints under the same locks;
//! a filesystem that may hang is never given to that thread.

use std::collections::HashMap;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{EventKind, ModifyKind, RenameMode};
use notify::{Config, ErrorKind, Event, INotifyWatcher, RecursiveMode, Watcher};
use tracing::warn;

use crate::source::wake::Wake;

/// Paths in a mailbox; beyond, the source looks at everything.
const HINTS_MAX: usize = 1_024;

/// What may have happened to a path. A stronger one covers the weaker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hint {
    /// Written to.
    Data,
    /// Permissions, links or times.
    Attributes,
    /// A name came, went or leads elsewhere.
    Name,
    /// A name came by a rename.
    Moved,
}

/// The hints that a source has not looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// By path.
    pub paths: HashMap<PathBuf, Hint>,
    /// Some were lost: anything may have happened.
    pub all: bool,
    /// The kernel itself lost some (`IN_Q_OVERFLOW`, inotify(7)).
    pub overflowed: bool,
}

/// Where hints for one source arrive.
#[derive(Debug, Default)]
pub struct Mailbox {
    wake: Arc<Wake>,
    hints: Mutex<Hints>,
}

impl Mailbox {
    /// Rings this bell when a hint arrives.
    #[must_use]
    pub fn new(wake: Arc<Wake>) -> Self {
        Self { wake, hints: Mutex::default() }
    }

    /// Takes all hints out.
    #[must_use]
    pub fn take(&self) -> Hints {
        mem::take(&mut *lock(&self.hints))
    }

    /// Whether the source was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.wake.is_stopped()
    }

    /// See [`Wake::wait`].
    pub fn wait(&self, pause: Duration, timeout: Duration) {
        self.wake.wait(pause, timeout);
    }

    fn put(&self, path: &Path, hint: Hint) {
        let mut hints = lock(&self.hints);
        if let Some(known) = hints.paths.get_mut(path) {
            *known = hint.max(*known);
        } else if hints.paths.len() < HINTS_MAX {
            hints.paths.insert(path.to_owned(), hint);
        } else {
            hints.all = true;
        }
        drop(hints);
        self.wake.poke();
    }

    fn put_all(&self) {
        let mut hints = lock(&self.hints);
        (hints.all, hints.overflowed) = (true, true);
        drop(hints);
        self.wake.poke();
    }
}

type Routes = Mutex<HashMap<PathBuf, Vec<Arc<Mailbox>>>>;

/// The one watcher; clones share it.
#[derive(Clone, Debug)]
pub struct Watch {
    watcher: Arc<Mutex<Option<INotifyWatcher>>>,
    routes: Arc<Routes>,
    limit_was_said: Arc<AtomicBool>,
}

impl Watch {
    /// Starts the watcher. Without inotify every source polls, and the log says so.
    #[must_use]
    pub fn start() -> Self {
        let routes = Arc::<Routes>::default();
        let deliver = {
            let routes = Arc::clone(&routes);
            move |event| deliver(&routes, event)
        };
        let watcher = INotifyWatcher::new(deliver, Config::default())
            .inspect_err(|error| warn!(%error, "inotify cannot be used: files are polled"))
            .ok();
        Self { watcher: Arc::new(Mutex::new(watcher)), ..Self::without_hints(routes) }
    }

    /// A watcher that watches nothing, as where inotify cannot be used.
    #[must_use]
    pub fn none() -> Self {
        Self::without_hints(Arc::default())
    }

    fn without_hints(routes: Arc<Routes>) -> Self {
        Self { watcher: Arc::default(), routes, limit_was_said: Arc::default() }
    }

    /// Hints for what happens in `folder`, not below it, go to `mailbox` from now on. `New` means that whatever
    /// happened before this call has to be looked for.
    pub fn add(&self, folder: &Path, mailbox: &Arc<Mailbox>) -> Added {
        let is_watched = {
            let mut routes = lock(&self.routes);
            let is_watched = routes.contains_key(folder);
            if let Some(mailboxes) = routes.get_mut(folder) {
                if mailboxes.iter().any(|known| Arc::ptr_eq(known, mailbox)) {
                    return Added::Known;
                }
                mailboxes.push(Arc::clone(mailbox));
            }
            is_watched
        };
        if is_watched {
            return Added::New;
        }
        match is_remote(folder) {
            Ok(false) => {}
            Ok(true) | Err(_) => return Added::Refused,
        }
        // The route first: a hint may come before the call returns.
        lock(&self.routes).entry(folder.to_owned()).or_default().push(Arc::clone(mailbox));
        let watched = match &mut *lock(&self.watcher) {
            Some(watcher) => watcher.watch(folder, RecursiveMode::NonRecursive).map_err(Some),
            None => Err(None),
        };
        let Err(error) = watched else { return Added::New };
        self.forget(folder, mailbox);
        if let Some(error) = error {
            self.say(folder, &error);
        }
        Added::Refused
    }

    /// Ends hints for `folder` to `mailbox`.
    pub fn remove(&self, folder: &Path, mailbox: &Arc<Mailbox>) {
        if self.forget(folder, mailbox)
            && let Some(watcher) = &mut *lock(&self.watcher)
        {
            // It is gone already when the folder is.
            let _ = watcher.unwatch(folder);
        }
    }

    /// Whether it was the last mailbox of the folder.
    fn forget(&self, folder: &Path, mailbox: &Arc<Mailbox>) -> bool {
        let mut routes = lock(&self.routes);
        let Some(mailboxes) = routes.get_mut(folder) else { return false };
        mailboxes.retain(|known| !Arc::ptr_eq(known, mailbox));
        let is_last = mailboxes.is_empty();
        if is_last {
            routes.remove(folder);
        }
        is_last
    }

    fn say(&self, folder: &Path, error: &notify::Error) {
        match error.kind {
            ErrorKind::PathNotFound => {}
            _ if self.limit_was_said.swap(true, Ordering::Relaxed) => {}
            ErrorKind::MaxFilesWatch => warn!(
                folder = %folder.display(),
                "no more inotify watches: files there are polled; raise fs.inotify.max_user_watches"
            ),
            _ => warn!(folder = %folder.display(), %error, "cannot be watched: files there are polled"),
        }
    }
}

/// What [`Watch::add`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// Hints come from now on.
    New,
    /// Hints came already.
    Known,
    /// No hints will come: poll.
    Refused,
}

fn deliver(routes: &Routes, event: notify::Result<Event>) {
    let hint = match &event {
        Ok(event) if event.need_rescan() => None,
        Ok(event) => match event.kind {
            EventKind::Access(_) => return,
            EventKind::Modify(ModifyKind::Data(_)) => Some(Hint::Data),
            EventKind::Modify(ModifyKind::Metadata(_)) => Some(Hint::Attributes),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Hint::Moved),
            _ => Some(Hint::Name),
        },
        Err(_) => None,
    };
    let mut routes = lock(routes);
    let (Some(hint), Ok(event)) = (hint, event) else {
        routes.values().flatten().for_each(|mailbox| mailbox.put_all());
        return;
    };
    for path in &event.paths {
        let beside = path.parent().and_then(|folder| routes.get(folder));
        beside.into_iter().flatten().for_each(|mailbox| mailbox.put(path, hint));
        // The folder itself went: the kernel has dropped its watch, the next walk asks for a new one.
        if hint >= Hint::Name && !matches!(event.kind, EventKind::Create(_)) {
            let gone = routes.remove(path);
            gone.into_iter().flatten().for_each(|mailbox| mailbox.put(path, hint));
        }
    }
}

/// Whether other machines may write there without the kernel knowing, or a call may hang.
/// Magic numbers: statfs(2) and linux/magic.h.
fn is_remote(folder: &Path) -> io::Result<bool> {
    const REMOTE: [u32; 15] = [
        0x6969,      // nfs
        0x517b,      // smb
        0xff53_4d42, // cifs
        0xfe53_4d42, // smb2
        0x6573_5546, // fuse
        0x00c3_6400, // ceph
        0x0102_1997, // 9p
        0x5346_414f, // afs
        0x6b41_4653, // kafs
        0x7375_7245, // coda
        0x0bd0_0bd0, // lustre
        0x4750_4653, // gpfs
        0x7461_636f, // ocfs2
        0x0116_1970, // gfs2
        0x786f_4256, // vboxsf
    ];
    let magic = rustix::fs::statfs(folder)?.f_type;
    // Some platforms sign-extend the 32 bits.
    Ok(REMOTE.iter().any(|remote| i128::from(magic) & 0xffff_ffff == i128::from(*remote)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;
    use crate::source::scratch::Folder;

    /// Waits until a hint satisfies `wanted`.
    fn await_hint(mailbox: &Mailbox, wanted: impl Fn(&Path, Hint) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !mailbox.take().paths.iter().any(|(path, hint)| wanted(path, *hint)) {
            assert!(Instant::now() < deadline, "no hint came");
            mailbox.wait(Duration::ZERO, Duration::from_secs(1));
        }
    }

    #[test]
    fn writes_and_names_are_hinted_to_every_source_of_the_folder() {
        let folder = Folder::new();
        let (watch, mailboxes) = (Watch::start(), [Arc::<Mailbox>::default(), Arc::default()]);
        for mailbox in &mailboxes {
            assert_eq!(watch.add(folder.as_ref(), mailbox), Added::New);
            assert_eq!(watch.add(folder.as_ref(), mailbox), Added::Known);
        }
        fs::write(folder.path("a"), b"x").unwrap();
        for mailbox in &mailboxes {
            await_hint(mailbox, |path, hint| path == folder.path("a") && hint >= Hint::Data);
        }
        watch.remove(folder.as_ref(), &mailboxes[0]);
        fs::rename(folder.path("a"), folder.path("b")).unwrap();
        await_hint(&mailboxes[1], |path, hint| path == folder.path("b") && hint == Hint::Moved);
        assert_eq!(mailboxes[0].take(), Hints::default());
    }

    #[test]
    fn folder_that_went_can_be_added_again() {
        let folder = Folder::new();
        let (watch, mailbox) = (Watch::start(), Arc::<Mailbox>::default());
        fs::create_dir(folder.path("d")).unwrap();
        assert_eq!(watch.add(&folder.path("d"), &mailbox), Added::New);
        fs::remove_dir(folder.path("d")).unwrap();
        await_hint(&mailbox, |path, _| path == folder.path("d"));
        assert_eq!(watch.add(&folder.path("d"), &mailbox), Added::Refused);
        fs::create_dir(folder.path("d")).unwrap();
        assert_eq!(watch.add(&folder.path("d"), &mailbox), Added::New);
        fs::write(folder.path("d/a"), b"x").unwrap();
        await_hint(&mailbox, |path, _| path == folder.path("d/a"));
    }

    #[test]
    fn without_inotify_every_folder_is_refused() {
        let folder = Folder::new();
        assert_eq!(Watch::none().add(folder.as_ref(), &Arc::default()), Added::Refused);
    }

    #[test]
    fn more_hints_than_the_bound_become_one_for_all() {
        let mailbox = Mailbox::default();
        for i in 0..=HINTS_MAX {
            mailbox.put(Path::new(&i.to_string()), Hint::Data);
        }
        let hints = mailbox.take();
        assert_eq!((hints.paths.len(), hints.all), (HINTS_MAX, true));
    }

    #[test]
    fn a_stronger_hint_covers_the_weaker() {
        let mailbox = Mailbox::default();
        for hint in [Hint::Name, Hint::Data] {
            mailbox.put(Path::new("a"), hint);
        }
        assert_eq!(mailbox.take().paths[Path::new("a")], Hint::Name);
    }
}
