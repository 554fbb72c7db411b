//! The cursor of a sink that keeps none in its store: a small file, replaced by rename and fsync.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, STATE_FOLDER, Writer, read_bounded};

/// Largest cursor file.
const BYTES_MAX: u64 = 4 << 10;

/// Up to where a sink has everything, and where that ends in its file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The cut, a position in the journal.
    pub(super) cut: u64,
    /// Bytes of the file that hold events up to the cut; 0 where there is no file.
    #[serde(default)]
    pub(super) bytes: u64,
    /// The file's inode: another one is another file.
    #[serde(default)]
    pub(super) inode: u64,
}

/// Reads the cursor at `path`; one that was never written is at 0.
pub(super) fn read(path: &Path) -> Result<Cursor, DurableError> {
    let bytes = match read_bounded(path, BYTES_MAX) {
        Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(Cursor::default()),
        other => other?,
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!("{error}; remove the file, and events come from the oldest of the journal again");
        DurableError::new("read the cursor in", path, std::io::Error::new(ErrorKind::InvalidData, why))
    })
}

/// Writes the cursor durably; its folder is made where it is missing.
pub(super) fn write(path: &Path, cursor: &Cursor) -> Result<(), DurableError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    if !folder.exists() {
        let above = folder.parent().unwrap_or_else(|| Path::new("."));
        Writer::for_owner_of(above)?.folder(folder, STATE_FOLDER)?;
    }
    let bytes = serde_json::to_vec(cursor)
        .map_err(|error| DurableError::new("write the cursor in", path, std::io::Error::other(error)))?;
    Writer::for_owner_of(folder)?.replace(path, &bytes, PRIVATE, "sink.cursor")
}
