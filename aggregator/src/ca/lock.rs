//! `state_dir/lock`: who may change the state. The daemon holds it while it runs; a command takes it when no daemon
//! does.
//!
//! In: a state folder. Out: a guard, or who has it. The kernel lets go of it when the process ends, however it ends.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use shared::durable::{DurableError, PRIVATE, Writer};

/// Why the state cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{path} is held by process {holder}: it is the daemon or another command, ask it or wait", path = path.display())]
    Held {
        /// The lock.
        path: PathBuf,
        /// Its process id, as it wrote it.
        holder: String,
    },
    /// The file cannot be opened.
    #[error(transparent)]
    File(#[from] DurableError),
}

/// The right to change what is in a state folder, until dropped.
#[derive(Debug)]
pub struct StateLock {
    file: File,
}

impl Drop for StateLock {
    /// Lets go of the lock itself and not just of the file: a child that is being started at this moment has the file open
    /// until it runs its program, and with it the lock.
    fn drop(&mut self) {
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl StateLock {
    /// Takes the lock of `state_dir`, without waiting.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(state_dir: &Path, writer: &Writer) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let mut file = writer.open_append(&path, PRIVATE)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let _ = file.rewind().and_then(|()| file.take(16).read_to_string(&mut holder));
                let holder = holder.trim();
                let holder = if holder.is_empty() { "unknown" } else { holder }.to_owned();
                return Err(LockError::Held { path, holder });
            }
            Err(e) => return Err(DurableError::new("lock", &path, e.into()).into()),
        }
        // Who it is, for the message above: nothing depends on it.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::tests::folder;

    #[test]
    fn second_taker_is_told_who_has_it() {
        let dir = folder("lock");
        let writer = Writer::for_owner_of(&dir).unwrap();
        let first = StateLock::take(&dir, &writer).unwrap();
        let error = StateLock::take(&dir, &writer).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        // As a child has it between its birth and its program.
        let inherited = first.file.try_clone().unwrap();
        drop(first);
        StateLock::take(&dir, &writer).unwrap();
        drop(inherited);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
