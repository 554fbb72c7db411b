//! Whose a state folder is, for commands that make files in it through others (a store, a log) and cannot give them away.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Root would leave files behind that the program whose state it is cannot write.
#[derive(Debug, thiserror::Error)]
pub enum NotTheOwner {
    /// It belongs to somebody else.
    #[error("{path} belongs to user {user}, who could not write what root makes there: run this as that user, with sudo -u '#{user}'", path = path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        user: u32,
    },
    /// It cannot be looked at.
    #[error("cannot look at {path}: {source}", path = path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Makes sure that what this process makes in `state_dir` is for the folder's owner to write.
///
/// # Errors
/// [`NotTheOwner`]. A user who is neither root nor the owner is refused by the system, where it matters.
pub fn may_write_in(state_dir: &Path) -> Result<(), NotTheOwner> {
    let path = state_dir.to_path_buf();
    match std::fs::metadata(state_dir) {
        Ok(meta) if meta.uid() != 0 && rustix::process::geteuid().is_root() => {
            Err(NotTheOwner::Root { path, user: meta.uid() })
        }
        Ok(_) => Ok(()),
        Err(source) => Err(NotTheOwner::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_folder_is_fine_and_one_that_is_not_there_is_named() {
        let dir = std::env::temp_dir().join(format!("picket-owner-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert!(may_write_in(&dir).is_ok());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&dir, Some(12_345), None).unwrap();
            let error = may_write_in(&dir).unwrap_err().to_string();
            assert!(error.contains("belongs to user 12345") && error.contains("sudo -u '#12345'"), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(may_write_in(&dir).unwrap_err().to_string().contains("picket-owner"));
    }
}
