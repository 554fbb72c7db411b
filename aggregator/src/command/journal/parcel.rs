//! A folder of evidence: data files, `SHA256SUMS` as `sha256sum -c` reads it, and a manifest, which comes last.
//!
//! In: bytes of files, in any number, one name each. Out: after [`Parcel::finish`] everything is on disk, fsynced, and
//! the manifest has its name. Invariant: a folder with a `manifest.json` is whole; one whose making broke off has none,
//! and where this program could still do it, nothing at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use serde_json::{Value, json};

/// The name of the manifest.
const MANIFEST: &str = "manifest.json";
/// The list of hashes.
const SUMS: &str = "SHA256SUMS";
/// Logs are nobody else's business.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A whole data file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    name: &'static str,
    bytes: u64,
    sha256: String,
}

/// A folder while it is filled.
pub(super) struct Parcel {
    dir: PathBuf,
    /// The folder was not there before.
    made: bool,
    /// Names that were given to files, whole or not.
    names: Vec<&'static str>,
    entries: Vec<Entry>,
    finished: bool,
}

/// A data file while it is written.
pub(super) struct Part {
    name: &'static str,
    file: BufWriter<File>,
    digest: Context,
    bytes: u64,
}

/// What was finished.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Finished {
    /// The manifest.
    pub(super) manifest: PathBuf,
    /// Of the manifest, hexadecimal.
    pub(super) sha256: String,
    /// How many data files.
    pub(super) files: usize,
}

impl Parcel {
    /// Takes a folder, which must be empty or absent.
    ///
    /// # Errors
    /// It cannot be made, or something is in it.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        let made = match DirBuilder::new().mode(FOLDER_MODE).create(dir) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        if !made && dir.read_dir()?.next().is_some() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "it is not empty: name a new folder"));
        }
        Ok(Self { dir: dir.to_owned(), made, names: Vec::new(), entries: Vec::new(), finished: false })
    }

    /// Begins a data file.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn begin(&mut self, name: &'static str) -> io::Result<Part> {
        Ok(Part { name, file: BufWriter::new(self.open(name)?), digest: Context::new(&SHA256), bytes: 0 })
    }

    /// Ends a data file: it is on disk.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn end(&mut self, part: Part) -> io::Result<()> {
        let file = part.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.entries.push(Entry { name: part.name, bytes: part.bytes, sha256: hex(part.digest) });
        Ok(())
    }

    /// Writes the manifest: these fields, and every file with its size and SHA-256.
    ///
    /// # Errors
    /// As the system says.
    pub(super) fn finish(mut self, mut manifest: Value) -> io::Result<Finished> {
        let files: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let Entry { name, bytes, sha256 } = entry;
                json!({ "name": name, "bytes": bytes, "sha256": sha256 })
            })
            .collect();
        if let Value::Object(fields) = &mut manifest {
            fields.insert("files".to_owned(), files.into());
        }
        let bytes = format!("{manifest:#}\n");
        let mut digest = Context::new(&SHA256);
        digest.update(bytes.as_bytes());
        let sha256 = hex(digest);
        let sums = self.entries.iter().map(|Entry { name, sha256, .. }| format!("{sha256}  {name}\n"));
        let sums: String = sums.chain([format!("{sha256}  {MANIFEST}\n")]).collect();
        self.put(SUMS, sums.as_bytes())?;
        // Under another name until it is whole.
        let unnamed = ".manifest.json.tmp";
        self.put(unnamed, bytes.as_bytes())?;
        let path = self.dir.join(MANIFEST);
        std::fs::rename(self.dir.join(unnamed), &path)?;
        self.finished = true;
        File::open(&self.dir)?.sync_all()?;
        Ok(Finished { manifest: path, sha256, files: self.entries.len() })
    }

    fn put(&mut self, name: &'static str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.open(name)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn open(&mut self, name: &'static str) -> io::Result<File> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(self.dir.join(name))?;
        self.names.push(name);
        Ok(file)
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // It broke off for a reason that is told elsewhere.
        for name in &self.names {
            let _ = std::fs::remove_file(self.dir.join(name));
        }
        if self.made {
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn hex(digest: Context) -> String {
    data_encoding::HEXLOWER.encode(digest.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::scratch::Scratch;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_parcel_that_breaks_off_at_any_step_has_no_manifest() {
        let scratch = Scratch::new("parcel-broken");
        let dir = scratch.dir.join("out");
        drop(Parcel::create(&dir).unwrap());
        assert!(!dir.exists());
        let mut parcel = Parcel::create(&dir).unwrap();
        let mut part = parcel.begin("data").unwrap();
        part.write_all(b"half").unwrap();
        part.flush().unwrap();
        // As `kill -9` would leave it.
        assert_eq!(names(&dir), ["data"]);
        drop(parcel);
        assert!(!dir.exists());
        // The name of the list is taken: the manifest does not come either, and what was there stays.
        let mut parcel = Parcel::create(&dir).unwrap();
        let part = parcel.begin("data").unwrap();
        parcel.end(part).unwrap();
        std::fs::write(dir.join(SUMS), "somebody's").unwrap();
        assert!(parcel.finish(json!({})).is_err());
        assert_eq!(names(&dir), [SUMS]);
    }

    #[test]
    fn a_folder_that_is_not_empty_is_left_alone() {
        let scratch = Scratch::new("parcel-full");
        scratch.file("notes", "mine");
        assert!(Parcel::create(&scratch.dir).is_err());
        assert_eq!(names(&scratch.dir), ["notes"]);
    }
}
