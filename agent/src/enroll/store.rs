//! `state_dir/identity`: key, certificate and authorities in one file, and what belongs to them.
//!
//! In: an [`Identity`]. Out: the same, after any crash the old or the new one.

use std::path::{Path, PathBuf};

use rcgen::KeyPair;
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer, read_bounded};
use shared::enroll::TokenId;
use shared::time::Timestamp;
use shared::tls::{certificates_in_pem, key_in_pem, to_pem};

use super::{Identity, NotAnIdentity};

/// Largest identity file that is read, in bytes; ours have some 2,000.
const PEM_BYTES_MAX: u64 = 64 * 1024;

/// What could not be done with the identity's files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file.
    #[error(transparent)]
    File(#[from] DurableError),
    /// A file whose content does not make an identity.
    #[error("{path} cannot be used ({why}): remove it and enroll again with a new token", path = path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key could not be made.
    #[error("cannot make a key: {0}")]
    Key(#[from] rcgen::Error),
}

/// The identity's folder.
#[derive(Clone, Debug)]
pub struct IdentityStore {
    folder: PathBuf,
    writer: Writer,
}

impl IdentityStore {
    /// The identity below `state_dir`, whose owner gets what is written. Nothing is made yet.
    #[must_use]
    pub fn new(state_dir: &Path, writer: Writer) -> Self {
        Self { folder: state_dir.join("identity"), writer }
    }

    /// The stored identity; `None` when this host is not enrolled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(&self) -> Result<Option<Identity>, StoreError> {
        let path = self.identity_path();
        let pem = match read_bounded(&path, PEM_BYTES_MAX) {
            Ok(pem) => pem,
            Err(e) if e.source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.into()),
        };
        let content = |why: String| StoreError::Content { path: path.clone(), why };
        let key = key_in_pem(&pem).map_err(|e| content(e.to_string()))?;
        let key = KeyPair::from_pem(&to_pem("PRIVATE KEY", &key)).map_err(|e| content(e.to_string()))?;
        let mut certificates = certificates_in_pem(&pem).map_err(|e| content(e.to_string()))?;
        let leaf = certificates.remove(0);
        Identity::new(&key, leaf, certificates).map(Some).map_err(|e: NotAnIdentity| content(e.to_string()))
    }

    /// Replaces the stored identity. `point` names the moment for tests that crash there.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn store(&self, identity: &Identity, point: &'static str) -> Result<(), StoreError> {
        let mut pem = to_pem("PRIVATE KEY", &identity.credentials.key);
        for der in identity.credentials.chain.iter().chain(identity.authorities.certificates()) {
            pem.push_str(&to_pem("CERTIFICATE", der));
        }
        self.writer.folder(&self.folder, STATE_FOLDER)?;
        Ok(self.writer.replace(&self.identity_path(), pem.as_bytes(), PRIVATE, point)?)
    }

    /// The latest stored proof of time; 0 when there is none that can be read, which is always safe: the build time
    /// of the program then stands.
    #[must_use]
    pub fn proven(&self) -> Timestamp {
        let text = read_bounded(&self.proven_path(), 64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let seconds = text.and_then(|text| text.strip_suffix('\n').and_then(|line| line.parse().ok()));
        Timestamp::from_seconds(seconds.unwrap_or(0))
    }

    /// Stores the latest proof of time. Worth doing once an hour, not more.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn store_proven(&self, proven: Timestamp) -> Result<(), StoreError> {
        self.writer.folder(&self.folder, STATE_FOLDER)?;
        let line = format!("{}\n", proven.as_seconds());
        Ok(self.writer.replace(&self.proven_path(), line.as_bytes(), PRIVATE, "proven.store")?)
    }

    /// The key with which this host enrolls by this token: the one of an earlier try, or a new one, on disk.
    pub(super) fn enrolling_key(&self, token: TokenId) -> Result<KeyPair, StoreError> {
        let path = self.folder.join(format!("enroll-{token}.key"));
        let earlier = read_bounded(&path, PEM_BYTES_MAX).ok().and_then(|pem| String::from_utf8(pem).ok());
        if let Some(key) = earlier.and_then(|pem| KeyPair::from_pem(&pem).ok()) {
            return Ok(key);
        }
        let key = KeyPair::generate()?;
        self.writer.folder(&self.folder, STATE_FOLDER)?;
        self.writer.replace(&path, key.serialize_pem().as_bytes(), PRIVATE, "enroll.key")?;
        Ok(key)
    }

    /// Removes the keys of enrollments, once one of them has led to an identity.
    pub(super) fn forget_enrolling_keys(&self) -> Result<(), StoreError> {
        let failed = |e| DurableError::new("read the folder", &self.folder, e);
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("enroll-") && name.ends_with(".key")) {
                self.writer.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn identity_path(&self) -> PathBuf {
        self.folder.join("identity.pem")
    }

    fn proven_path(&self) -> PathBuf {
        self.folder.join("proven")
    }
}
