//! go-syslog's vectors: `{"input", "valid", "expected": {"timestamp", "hostname", "appname", …}}`, one a line.

use std::path::Path;

use serde_json::Value;

use super::super::case::{Case, What, text};
use super::{plain, read};

/// Its fields and where OCSF has them.
const FIELDS: [(&str, What, &[&str]); 5] = [
    ("timestamp", What::Time, &[]),
    ("hostname", What::Detail, &["unmapped.hostname", "device.hostname"]),
    ("appname", What::Detail, &["metadata.log_provider", "actor.process.name"]),
    ("procid", What::Detail, &["actor.process.pid", "unmapped.procid"]),
    ("msgid", What::Detail, &["metadata.event_code"]),
];

/// The inputs; of the invalid ones nothing is expected.
pub fn cases(path: &Path, file: &str) -> Vec<Case> {
    if !file.ends_with(".jsonl") {
        return plain(path, file);
    }
    let vectors = String::from_utf8(read(path)).unwrap();
    let case = |(number, vector): (usize, &str)| {
        let vector: Value = serde_json::from_str(vector).unwrap();
        let mut case = Case::plain(file, number, text(&vector["input"]));
        for (key, what, paths) in FIELDS {
            if let Some(value) = vector["expected"].get(key).filter(|_| vector["valid"] == true) {
                let value = text(value);
                // A time in the old form is expected as it stands: nothing to compare but what the line says itself.
                if what != What::Time || value.starts_with("20") {
                    case.expect(what, key, &value, paths);
                }
            }
        }
        case
    };
    (1..).zip(vectors.lines()).map(case).collect()
}
