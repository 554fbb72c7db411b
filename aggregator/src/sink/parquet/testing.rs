//! What the tests of this folder share: a folder that goes away, events by the thousand, and the lake as
//! JSON, read by `parquet`'s own reader.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::{Field as Cell, Row};
use serde_json::{Map, Value as Json, json};
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use crate::event::{Event, Field, Value, observables};
use crate::schema::Class;

/// 2026-03-16 09:30:00 UTC.
pub(super) const NOON: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// A folder of its own, deleted at the end.
pub(in crate::sink) struct Folder(pub(in crate::sink) PathBuf);

impl Folder {
    pub(in crate::sink) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("picket-lake-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The id of record `record` of agent number `agent`.
pub(super) fn id(agent: u8, record: u64) -> EventId {
    let chain = ChainId { agent: AgentId([agent; 16]), lane: Lane::Normal, epoch: Epoch(0xfeed) };
    EventId { chain, record, part: 0 }
}

/// An event of a class at a time, received at that time.
pub(super) fn event<'a>(class: Class, record: u64, time: Timestamp) -> Event<'a> {
    Event { class, activity_id: 1, ..Event::new(id(7, record), time, time) }
}

/// All files under `folder` whose names end in `end`, sorted.
pub(super) fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every event of a file, without what is null.
pub(super) fn read(path: &Path) -> Vec<Json> {
    read_from(SerializedFileReader::new(File::open(path).unwrap()).unwrap())
}

/// Every event that a reader gives, without what is null.
pub(super) fn read_from(reader: SerializedFileReader<impl ChunkReader + 'static>) -> Vec<Json> {
    reader.get_row_iter(None).unwrap().map(|row| object(&row.unwrap())).collect()
}

/// Every event of a lake, in the order of paths.
pub(super) fn read_all(folder: &Path) -> Vec<Json> {
    files(folder, ".parquet").iter().flat_map(|path| read(path)).collect()
}

/// `metadata.uid` of every event of a lake, sorted.
pub(super) fn uids(folder: &Path) -> Vec<String> {
    let mut uids: Vec<String> =
        read_all(folder).iter().map(|event| event["metadata"]["uid"].as_str().unwrap().to_owned()).collect();
    uids.sort();
    uids
}

fn object(row: &Row) -> Json {
    let members = row.get_column_iter().filter(|(_, cell)| **cell != Cell::Null);
    Json::Object(members.map(|(name, cell)| (name.clone(), value(cell))).collect())
}

fn value(cell: &Cell) -> Json {
    match cell {
        Cell::Bool(truth) => json!(truth),
        Cell::Int(number) => json!(number),
        Cell::Long(number) | Cell::TimestampMillis(number) => json!(number),
        Cell::Double(number) => json!(number),
        Cell::Str(text) => json!(text),
        Cell::Group(row) => object(row),
        Cell::ListInternal(list) => list.elements().iter().map(value).collect(),
        other => panic!("a {other:?} in the lake"),
    }
}

/// The event as the lake must hold it, built from its fields one by one.
pub(super) fn expected(event: &Event<'_>) -> Json {
    let class = event.class;
    let mut out = json!({
        "time": event.time.as_ms(), "class_uid": class.uid(), "class_name": class.caption(),
        "category_uid": class.category_uid(), "activity_id": event.activity_id, "type_uid": event.type_uid(),
        "severity_id": event.severity_id,
        "metadata": { "uid": event.id.to_string() },
    });
    let observables: Vec<Field<'_>> = observables::fields(event).collect();
    for field in event.shared.iter().chain(&event.fields).chain(&observables) {
        let mut at = &mut out;
        for segment in field.attribute.path().split('.') {
            let name = segment.trim_end_matches("[]");
            at =
                at.as_object_mut().unwrap().entry(name).or_insert(if name == segment { Json::Null } else { json!([]) });
            if name != segment {
                let list = at.as_array_mut().unwrap();
                let index = usize::from(field.index);
                list.resize(list.len().max(index + 1), Json::Null);
                at = &mut list[index];
            }
            if at.is_null() {
                *at = Json::Object(Map::new());
            }
        }
        *at = match &field.value {
            Value::Text(text) => json!(text),
            Value::Int(number) => json!(number),
            Value::Bool(truth) => json!(truth),
            Value::Float(number) => json!(number),
        };
    }
    out
}

/// A generator of numbers that are the same in every run (PCG's multiplier, xorshifted).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 29) ^ (self.0 >> 43)) % bound
    }
}
