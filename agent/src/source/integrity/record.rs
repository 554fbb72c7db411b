//! A change as a typed record: OCSF's `file_activity` (1001). `file` is what stood at the path, `file_result` what stands
//! there now; of what came or went there is only `file`.

use shared::record::Value;
use shared::time::Timestamp;

use super::attributes::Attributes;
use super::change::Change;
use super::entry::{Content, Entry};

/// How a change was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The kernel said that something happened there.
    Watch,
    /// By looking at everything.
    Scan,
}

type Fields = Vec<(String, Value)>;

/// OCSF's `fingerprint.algorithm_id` of SHA-256.
const SHA_256: u64 = 3;

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// What every record of this source begins with.
fn begin(class: u64, activity: u64, at: Timestamp) -> Fields {
    let head = [
        ("picket.record", text("host")),
        ("class_uid", Value::U64(class)),
        ("activity_id", Value::U64(activity)),
        ("time", Value::Time(at)),
    ];
    head.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

/// The attributes of one file under `prefix`; what OCSF has no attribute for is named with `word` before it.
fn describe(prefix: &str, word: &str, path: &[u8], entry: &Entry, fields: &mut Fields) {
    let shown = String::from_utf8_lossy(path);
    let name = shown.rsplit('/').next().unwrap_or_default();
    let mut add = |key: &str, value| fields.push((format!("{prefix}.{key}"), value));
    add("name", text(name));
    add("path", text(&shown));
    add("type_id", Value::U64(entry.kind.type_id()));
    add("size", Value::U64(entry.size));
    add("modified_time", Value::Time(Timestamp(entry.modified)));
    add("owner.uid", text(&entry.user.to_string()));
    if let Content::Sha256(hash) = &entry.content {
        let value = data_encoding::HEXLOWER.encode(hash);
        let pairs = [("algorithm", text("SHA-256")), ("algorithm_id", Value::U64(SHA_256)), ("value", text(&value))];
        let hash = Value::Map(pairs.map(|(key, value)| (key.to_owned(), value)).to_vec());
        add("hashes", Value::List(vec![hash]));
    }
    let mut own = |key: &str, value| fields.push((format!("unmapped.{word}{key}"), value));
    own("mode", text(&format!("{:04o}", entry.mode)));
    own("gid", Value::U64(u64::from(entry.group)));
    own("inode", Value::U64(entry.inode));
    match &entry.content {
        Content::Target(target) => own("target", text(&String::from_utf8_lossy(target))),
        Content::Unhashed(why) => own("not_hashed", text(why.name())),
        Content::Nothing | Content::Sha256(_) => {}
    }
    for (key, attributes) in [("security_attributes", &entry.extended.guard), ("user_attributes", &entry.extended.user)]
    {
        match attributes {
            Attributes::None => {}
            Attributes::Sha256(digest) => own(key, text(&format!("sha256:{}", data_encoding::HEXLOWER.encode(digest)))),
            Attributes::Unreadable => own(key, text("unreadable")),
        }
    }
    if std::str::from_utf8(path).is_err() {
        own("path_bytes", Value::Bytes(path.to_vec()));
    }
}

/// The record of a change that was noticed `at`.
#[must_use]
pub fn record(change: &Change, found: Found, at: Timestamp) -> Fields {
    const CREATE: u64 = 1;
    const UPDATE: u64 = 3;
    const DELETE: u64 = 4;
    const RENAME: u64 = 5;
    const SET_ATTRIBUTES: u64 = 6;
    const SET_SECURITY: u64 = 7;
    let begin = |activity| begin(1001, activity, at);
    let mut fields = match change {
        Change::Created(path, entry) => {
            let mut fields = begin(CREATE);
            describe("file", "", path, entry, &mut fields);
            fields
        }
        Change::Deleted(path, entry) => {
            let mut fields = begin(DELETE);
            describe("file", "", path, entry, &mut fields);
            fields
        }
        Change::Renamed(from, to, entries) => {
            let mut fields = begin(RENAME);
            describe("file", "previous_", from, &entries.0, &mut fields);
            describe("file_result", "", to, &entries.1, &mut fields);
            fields
        }
        Change::Altered(path, entries, differs) => {
            let activity = match differs {
                differs if differs.content => UPDATE,
                differs if differs.mode || differs.owner || differs.guard => SET_SECURITY,
                _ => SET_ATTRIBUTES,
            };
            let mut fields = begin(activity);
            describe("file", "previous_", path, &entries.0, &mut fields);
            describe("file_result", "", path, &entries.1, &mut fields);
            let names = differs.names().map(text).collect();
            fields.push(("unmapped.changed".to_owned(), Value::List(names)));
            fields
        }
    };
    let found = match found {
        Found::Watch => "watch",
        Found::Scan => "scan",
    };
    fields.push(("unmapped.found_by".to_owned(), text(found)));
    fields.push(("actor.app_name".to_owned(), text("picket-agent")));
    fields
}

/// Something about the baseline itself, as a base event: `code` names it, `reason` says why, `counts` what came of it.
#[must_use]
pub fn about_baseline(
    code: &str,
    reason: &str,
    severity: u64,
    message: &str,
    counts: &[(&str, u64)],
    at: Timestamp,
) -> Fields {
    let mut fields = begin(0, 0, at);
    fields.push(("severity_id".to_owned(), Value::U64(severity)));
    fields.push(("metadata.event_code".to_owned(), text(code)));
    fields.push(("message".to_owned(), text(message)));
    fields.push(("unmapped.reason".to_owned(), text(reason)));
    fields.extend(counts.iter().map(|(name, count)| (format!("unmapped.{name}"), Value::U64(*count))));
    fields
}
