//! The lake read back with the `parquet` crate's row API: what an auditor would look at.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};
use parquet::schema::types::Type;
use serde_json::Value;

/// What is asked of each event: top-level columns, and those below `metadata`.
const COLUMNS: [&str; 4] = ["raw_data", "metadata", "unmapped", "status_detail"];
const NEEDED: [&str; 2] = ["raw_data", "metadata"];
const METADATA: [&str; 4] = ["uid", "sequence", "log_name", "untruncated_size"];

/// One event of the lake.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Row {
    /// The class's name, from the path.
    pub class: String,
    /// `metadata.uid`: the event id.
    pub uid: String,
    /// `metadata.sequence`: the record's number in its agent, epoch and lane.
    pub sequence: i64,
    /// `metadata.log_name`: the file that the line stood in.
    pub log_name: String,
    /// `raw_data`: the line.
    pub raw_data: Vec<u8>,
    /// `metadata.untruncated_size`: how long the line was, where it was cut.
    pub untruncated_size: Option<i64>,
    /// `unmapped`: JSON, or empty.
    pub unmapped: String,
    /// `status_detail`, or empty: of a loss, its reason.
    pub status_detail: String,
}

/// Every event of a lake, file by file. Files that have no whole name yet (`.tmp`) are not part of it.
///
/// # Errors
/// A file cannot be read, or an event has no `metadata.uid`.
pub fn rows(lake: &Path) -> anyhow::Result<Vec<Row>> {
    let mut found = Vec::new();
    for path in parquet_files(lake)? {
        found.append(&mut rows_of(lake, &path)?);
    }
    Ok(found)
}

/// Every event of one file of a lake. A file with a whole name never changes.
///
/// # Errors
/// As [`rows`].
pub fn rows_of(lake: &Path, path: &Path) -> anyhow::Result<Vec<Row>> {
    let mut found = Vec::new();
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let reader = SerializedFileReader::new(file).with_context(|| format!("read {}", path.display()))?;
    let schema = reader.metadata().file_metadata().schema();
    let projection = projection(schema).with_context(|| format!("columns of {}", path.display()))?;
    let class = class_of(lake, path);
    for row in reader.get_row_iter(Some(projection))? {
        found.push(event(&class, &row?).with_context(|| format!("an event of {}", path.display()))?);
    }
    Ok(found)
}

/// Every event of a class, whole, as JSON, in the order of their records: of one agent, epoch and lane, the order in which it
/// made them.
///
/// # Errors
/// As [`rows`].
pub fn events(lake: &Path, class: &str) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for path in parquet_files(&lake.join(format!("class={class}")))? {
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let reader = SerializedFileReader::new(file).with_context(|| format!("read {}", path.display()))?;
        for row in reader.get_row_iter(None)? {
            found.push(object(&row?));
        }
    }
    found.sort_by_key(|event| event.pointer("/metadata/sequence").and_then(Value::as_i64));
    Ok(found)
}

fn object(row: &ParquetRow) -> Value {
    let entries = row.get_column_iter().filter(|(_, field)| !matches!(field, Field::Null));
    Value::Object(entries.map(|(name, field)| (name.clone(), json(field))).collect())
}

fn json(field: &Field) -> Value {
    match field {
        Field::Group(row) => object(row),
        Field::ListInternal(list) => list.elements().iter().map(json).collect(),
        Field::Bool(truth) => (*truth).into(),
        Field::Double(number) => (*number).into(),
        Field::Str(_) | Field::Bytes(_) => text(field).into(),
        Field::TimestampMillis(at) | Field::TimestampMicros(at) => (*at).into(),
        number => self::number(number).into(),
    }
}

/// The lines of each file in the order of their record numbers: the order in which the agent read them.
///
/// Record numbers belong to an agent, an epoch and a lane: of rows of several, only the lines say something, not their order.
#[must_use]
pub fn by_file(rows: &[Row]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by_key(|row| (&row.log_name, row.sequence));
    let mut files: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for row in sorted {
        files.entry(row.log_name.clone()).or_default().push(row.raw_data.clone());
    }
    files
}

/// Every finished file of a lake, in order of its path. A folder that vanishes in between has no files.
///
/// # Errors
/// A folder cannot be read.
pub fn parquet_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        entries => entries.with_context(|| format!("read {}", folder.display()))?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut parquet_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `lake/class=authentication/…` → `authentication`.
fn class_of(lake: &Path, path: &Path) -> String {
    let below = path.strip_prefix(lake).unwrap_or(path);
    let first = below.iter().next().unwrap_or_default().to_string_lossy();
    first.strip_prefix("class=").unwrap_or(&first).to_owned()
}

/// The part of a file's schema that is asked for: reading all columns of a large lake takes ten times as long.
fn projection(schema: &Type) -> anyhow::Result<Type> {
    let mut wanted = Vec::new();
    for column in schema.get_fields().iter().filter(|column| COLUMNS.contains(&column.name())) {
        if column.is_group() {
            let fields = column.get_fields().iter().filter(|field| METADATA.contains(&field.name())).cloned().collect();
            let repetition = column.get_basic_info().repetition();
            let group =
                Type::group_type_builder(column.name()).with_repetition(repetition).with_fields(fields).build()?;
            wanted.push(Arc::new(group));
        } else {
            wanted.push(Arc::clone(column));
        }
    }
    // A lake in which nothing was left over has no `unmapped`.
    if !NEEDED.iter().all(|name| wanted.iter().any(|column| column.name() == *name)) {
        bail!("{NEEDED:?} are not all there");
    }
    Ok(Type::group_type_builder(schema.name()).with_fields(wanted).build()?)
}

fn event(class: &str, row: &ParquetRow) -> anyhow::Result<Row> {
    let mut event = Row { class: class.to_owned(), ..Row::default() };
    for (name, field) in row.get_column_iter() {
        match (name.as_str(), field) {
            ("raw_data", field) => event.raw_data = bytes(field),
            ("unmapped", field) => event.unmapped = text(field),
            ("status_detail", field) => event.status_detail = text(field),
            ("metadata", Field::Group(metadata)) => {
                for (name, field) in metadata.get_column_iter() {
                    match name.as_str() {
                        "uid" => event.uid = text(field),
                        "log_name" => event.log_name = text(field),
                        "untruncated_size" if !matches!(field, Field::Null) => {
                            event.untruncated_size = Some(number(field));
                        }
                        "untruncated_size" => {}
                        _ => event.sequence = number(field),
                    }
                }
            }
            _ => {}
        }
    }
    if event.uid.is_empty() { bail!("it has no metadata.uid") } else { Ok(event) }
}

fn bytes(field: &Field) -> Vec<u8> {
    match field {
        Field::Str(text) => text.as_bytes().to_vec(),
        Field::Bytes(bytes) => bytes.data().to_vec(),
        _ => Vec::new(),
    }
}

fn text(field: &Field) -> String {
    String::from_utf8_lossy(&bytes(field)).into_owned()
}

fn number(field: &Field) -> i64 {
    match field {
        Field::Int(number) => i64::from(*number),
        Field::Long(number) => *number,
        Field::UInt(number) => i64::from(*number),
        Field::ULong(number) => i64::try_from(*number).unwrap_or(i64::MAX),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::*;
    use crate::harness::Place;

    const SCHEMA: &str = "message event { required int64 time; optional binary raw_data (UTF8);
        required group metadata { required binary uid (UTF8); required binary version (UTF8);
        optional binary log_name (UTF8); optional int32 sequence; } }";

    fn write(path: &Path, lines: &[(&str, &str, i32)]) {
        let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
        let mut writer =
            SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(WriterProperties::default()))
                .unwrap();
        let mut group = writer.next_row_group().unwrap();
        let count = lines.len();
        let texts = |of: &dyn Fn(usize) -> String| -> Vec<ByteArray> {
            (0..count).map(|n| ByteArray::from(of(n).into_bytes())).collect()
        };
        let present = vec![1_i16; count];
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&vec![1_i64; count], None, None).unwrap();
        column.close().unwrap();
        for (of, levels) in [
            (&(|n: usize| lines[n].1.to_owned()) as &dyn Fn(usize) -> String, true),
            (&|n| format!("agent-epoch-high-{}", lines[n].2), false),
            (&|_| "1.8.0".to_owned(), false),
            (&|n| lines[n].0.to_owned(), true),
        ] {
            let mut column = group.next_column().unwrap().unwrap();
            let levels = levels.then_some(present.as_slice());
            column.typed::<ByteArrayType>().write_batch(&texts(of), levels, None).unwrap();
            column.close().unwrap();
        }
        let mut column = group.next_column().unwrap().unwrap();
        let numbers: Vec<i32> = lines.iter().map(|line| line.2).collect();
        column.typed::<Int32Type>().write_batch(&numbers, Some(&present), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn events_come_back_by_file_in_the_order_of_their_records_and_unfinished_files_do_not() {
        let place = Place::new("lake").unwrap();
        let day = place.at("class=authentication/day=2026-01-05");
        std::fs::create_dir_all(&day).unwrap();
        write(&day.join("1-2.parquet"), &[("/b", "second", 2), ("/a", "first of a", 3), ("/b", "first", 1)]);
        std::fs::write(day.join("3-4.parquet.tmp"), b"half").unwrap();
        let rows = rows(place.path()).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].class.as_str(), rows[0].uid.as_str()), ("authentication", "agent-epoch-high-2"));
        let files = by_file(&rows);
        assert_eq!(files["/b"], [b"first".to_vec(), b"second".to_vec()]);
        assert_eq!(files["/a"], [b"first of a".to_vec()]);
    }

    #[test]
    fn a_lake_that_is_not_there_yet_is_empty() {
        let place = Place::new("no-lake").unwrap();
        assert_eq!(rows(&place.at("lake")).unwrap(), []);
    }
}
