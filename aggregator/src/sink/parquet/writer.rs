//! [`Writer`]: one file of a commit, under its temporary name.
//!
//! Events of one class and day come in; row groups go to `<a>.<k>.tmp` beside the file's final place, and
//! finishing leaves a whole, fsynced file whose size, rows and SHA-256 are known. The file is made with its
//! first row group; its bytes are hashed as they are written.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use ahash::RandomState;
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use ring::digest;
use shared::log::{File, Fs};
use shared::time::civil_from_days;

use super::commits::CommittedFile;
use super::pages::Encoder;
use super::rows::Rows;
use super::schema::Layout;
use crate::event::Event;
use crate::schema::Class;
use crate::sink::SinkError;

/// The name of a file, before and after its commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PartName {
    /// `class=<name>/day=<day>`, under the lake.
    pub(super) folder: String,
    /// The cut after which its events come.
    pub(super) from: u64,
    /// Which file of this class, day and commit.
    pub(super) number: usize,
}

impl PartName {
    /// The `number`-th file of a class and day (in days since 1970-01-01).
    pub(super) fn new(class: Class, day: i64, from: u64, number: usize) -> Self {
        let (year, month, date) = civil_from_days(day);
        Self { folder: format!("class={}/day={year:04}-{month:02}-{date:02}", class.name()), from, number }
    }

    pub(super) fn temporary(&self) -> String {
        format!("{}/{}.{}.tmp", self.folder, self.from, self.number)
    }

    pub(super) fn committed(&self, to: u64) -> String {
        let Self { folder, from, number } = self;
        if *number == 0 {
            format!("{folder}/{from}-{to}.parquet")
        } else {
            format!("{folder}/{from}-{to}.{number}.parquet")
        }
    }

    /// The inverse of [`PartName::committed`]; `None` for a file that is none of ours, or not in the lake.
    pub(super) fn parse(path: &str) -> Option<(Self, u64)> {
        let (folder, name) = path.rsplit_once('/')?;
        let (class, day) = folder.split_once('/')?;
        if !class.starts_with("class=") || !day.starts_with("day=") || day.contains('/') {
            return None;
        }
        let (from, rest) = name.strip_suffix(".parquet")?.split_once('-')?;
        let (to, number) = rest.split_once('.').unwrap_or((rest, "0"));
        let part = Self { folder: folder.to_owned(), from: from.parse().ok()?, number: number.parse().ok()? };
        let to = to.parse().ok()?;
        (part.committed(to) == path).then_some((part, to))
    }
}

/// What is gathered before it is hashed and written.
const BUFFER: usize = 128 << 10;

/// A file that hashes what is written to it.
struct HashedFile {
    file: Box<dyn File>,
    digest: digest::Context,
    size: u64,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.size)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One file being written.
pub(super) struct Writer {
    pub(super) name: PartName,
    pub(super) class: Class,
    pub(super) day: i64,
    pub(super) rows: Rows,
    /// When an event last came, in pushes.
    pub(super) used: u64,
    /// Memory held when it was last measured, and the bytes of events since.
    pub(super) heap: usize,
    pub(super) unmeasured: usize,
    /// Row groups in the file.
    pub(super) groups: usize,
    written: u64,
    file: Option<SerializedFileWriter<BufWriter<HashedFile>>>,
}

impl Writer {
    pub(super) fn new(name: PartName, day: i64, rows: Rows) -> Self {
        let class = rows.layout.class;
        let heap = rows.heap();
        Self { name, class, day, rows, used: 0, heap, unmeasured: 0, groups: 0, written: 0, file: None }
    }

    pub(super) fn push(&mut self, event: &Event<'_>, out_of_range: bool) {
        let before = self.rows.bytes();
        self.rows.push(event, out_of_range);
        self.unmeasured += self.rows.bytes() - before;
    }

    /// Writes the buffered events as a row group of the file under `root`.
    pub(super) fn flush(&mut self, fs: &dyn Fs, root: &Path, encoder: &mut Encoder) -> Result<(), SinkError> {
        if self.rows.len() == 0 {
            return Ok(());
        }
        let path = root.join(self.name.temporary());
        let failed = |source: ParquetError| SinkError::Write { path: path.clone(), source: Box::new(source) };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => create(fs, root, &self.name, &self.rows.layout)?,
        };
        let mut group = file.next_row_group().map_err(failed)?;
        encoder.row_group(&mut self.rows, &mut group).map_err(failed)?;
        group.close().map_err(failed)?;
        self.file = Some(file);
        self.groups += 1;
        self.written += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    /// Gives the memory of the (empty) buffers back.
    pub(super) fn release(&mut self, hasher: &RandomState) {
        self.rows = Rows::new(Arc::clone(&self.rows.layout), hasher);
        self.heap = self.rows.heap();
    }

    /// Ends the file: footer and fsync. `None` where no event came. The empty buffers are left over.
    pub(super) fn finish(
        mut self,
        fs: &dyn Fs,
        root: &Path,
        encoder: &mut Encoder,
    ) -> Result<(Option<FinishedFile>, Rows), SinkError> {
        self.flush(fs, root, encoder)?;
        let Some(file) = self.file else { return Ok((None, self.rows)) };
        let path = root.join(self.name.temporary());
        let file = match file.into_inner().map(BufWriter::into_inner) {
            Ok(Ok(file)) => file,
            Ok(Err(source)) => return Err(SinkError::Io { action: "write", path, source: source.into_error() }),
            Err(source) => return Err(SinkError::Write { path, source: Box::new(source) }),
        };
        file.file.sync().map_err(|source| SinkError::Io { action: "fsync", path, source })?;
        let digest = file.digest.finish();
        let sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let file = FinishedFile { name: self.name, size: file.size, rows: self.written, sha256 };
        Ok((Some(file), self.rows))
    }
}

/// A whole file that waits for its commit.
#[derive(Clone, Debug)]
pub(super) struct FinishedFile {
    pub(super) name: PartName,
    size: u64,
    rows: u64,
    sha256: String,
}

impl FinishedFile {
    /// Its entry in the commit that ends at `to`.
    pub(super) fn entry(&self, to: u64) -> CommittedFile {
        let Self { name, size, rows, sha256 } = self;
        CommittedFile { path: name.committed(to), size: *size, rows: *rows, sha256: sha256.clone() }
    }
}

fn create(
    fs: &dyn Fs,
    root: &Path,
    name: &PartName,
    layout: &Layout,
) -> Result<SerializedFileWriter<BufWriter<HashedFile>>, SinkError> {
    let path = root.join(name.temporary());
    let failed = |source| SinkError::Io { action: "create", path: path.clone(), source };
    let file = match fs.create(&path, 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs.create_dir(&root.join(&name.folder)).and_then(|()| fs.create(&path, 0))
        }
        other => other,
    };
    let file = file.map_err(failed)?;
    let time = i32::try_from(layout.time).unwrap_or(0);
    let properties = WriterProperties::builder()
        .set_created_by(concat!("picket-aggregator ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: time, descending: false, nulls_first: false }]))
        .build();
    let hashed = HashedFile { file, digest: digest::Context::new(&digest::SHA256), size: 0 };
    SerializedFileWriter::new(
        BufWriter::with_capacity(BUFFER, hashed),
        Arc::clone(&layout.schema),
        Arc::new(properties),
    )
    .map_err(|source| SinkError::Write { path, source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_foreign_files_are_none_of_ours() {
        for number in [0, 1, 12] {
            let name = PartName::new(Class::Authentication, 20_528, 7, number);
            assert_eq!(PartName::parse(&name.committed(9)), Some((name.clone(), 9)));
            assert_eq!(PartName::parse(&name.temporary()), None);
        }
        let name = PartName::new(Class::Authentication, 20_528, 7, 0);
        assert_eq!(name.committed(9), "class=authentication/day=2026-03-16/7-9.parquet");
        for foreign in ["x.parquet", "1-2.parquet.bak", "01-2.parquet", "1-2.0.parquet"] {
            let foreign = format!("class=a/day=b/{foreign}");
            assert_eq!(PartName::parse(&foreign), None, "{foreign}");
        }
        for folder in
            ["", "a/b/", "class=a/", "class=a/b/", "../class=a/day=b/", "class=a/../day=b/", "class=a/day=b/../"]
        {
            let outside = format!("{folder}1-2.parquet");
            assert_eq!(PartName::parse(&outside), None, "{outside}");
        }
    }
}
