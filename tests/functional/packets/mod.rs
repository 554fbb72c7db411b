//! Promise: what the packet source says of a capture is what Zeek, Arkime, Suricata, tshark and the Community ID
//! specification say of it.
//!
//! Each test prints a table, `corpus field agree of all percent`, and holds a floor a little below what is reached.
//! A value that is not known counts as a disagreement. What cannot be compared is left out and counted by its reason.
//! `SHOW=field` prints the differences of a field, `SHOW=all` those of all. docs/packets.md explains those that are left.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what it expects by failing on the spot")]

mod arkime;
mod specification;
mod suricata;
mod tshark;
mod zeek;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use agent::source::packet::file::CaptureFile;
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::{Meter, fields};
use shared::record::Value;

/// What the packet source says, by attribute path.
type Record = BTreeMap<String, Value>;

/// The records of a capture; none where it is none.
fn records(path: &Path) -> Option<Vec<Record>> {
    let mut file = CaptureFile::open(File::open(path).ok()?).ok()?;
    let (mut meter, mut records) = (Meter::new(Settings::default()), Vec::new());
    let mut put = |told| records.push(fields(told).into_iter().collect());
    while let Ok(Some(captured)) = file.next_frame() {
        meter.frame(captured.link, captured.at, captured.bytes, captured.wire_len, &mut put);
    }
    meter.finish(&mut put);
    Some(records)
}

/// A value as text; empty where there is none.
fn text(record: &Record, key: &str) -> String {
    match record.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::U64(number)) => number.to_string(),
        Some(Value::Ip(ip)) => ip.to_string(),
        _ => String::new(),
    }
}

/// The texts of a list, or of a key in a list of maps.
fn texts(record: &Record, list: &str, key: &str) -> Vec<String> {
    let Some(Value::List(values)) = record.get(list) else { return Vec::new() };
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Map(fields) => fields.iter().find_map(|(known, value)| match value {
            Value::String(text) if known == key => Some(text.clone()),
            _ => None,
        }),
        _ => None,
    };
    values.iter().filter_map(one).collect()
}

/// Client and server, with their ports.
fn ends(record: &Record) -> String {
    ["src_endpoint.ip", "src_endpoint.port", "dst_endpoint.ip", "dst_endpoint.port"]
        .map(|key| text(record, key))
        .join(" ")
}

/// How often each field agrees, and what was left out.
#[derive(Default)]
struct Agreement {
    fields: BTreeMap<String, Field>,
    skipped: BTreeMap<&'static str, u64>,
}

#[derive(Default)]
struct Field {
    agree: u64,
    all: u64,
    differ: Vec<String>,
}

impl Agreement {
    fn compare(&mut self, field: &str, whence: &str, expected: &str, found: &str) {
        let entry = self.fields.entry(field.to_owned()).or_default();
        entry.all += 1;
        if expected == found {
            entry.agree += 1;
        } else {
            entry.differ.push(format!("{whence}: {expected:?} expected, {found:?} found"));
        }
    }

    fn skip(&mut self, reason: &'static str) {
        *self.skipped.entry(reason).or_default() += 1;
    }

    /// Prints the table and asserts that each field reaches its percentage.
    fn hold(&self, corpus: &str, floors: &[(&str, f64)]) {
        let show = std::env::var("SHOW").unwrap_or_default();
        for (name, field) in &self.fields {
            println!("{corpus:<14} {name:<22} {:>6} of {:>6} {:>7.2} %", field.agree, field.all, field.percent());
            field.differ.iter().filter(|_| show == *name || show == "all").for_each(|differ| println!("    {differ}"));
        }
        self.skipped.iter().for_each(|(reason, rows)| println!("{corpus:<14} left out: {rows} {reason}"));
        for (name, floor) in floors {
            let field = &self.fields[*name];
            let some = field.differ.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
            assert!(field.percent() >= *floor, "{corpus} {name}: {:.2} % is below {floor} %\n{some}", field.percent());
        }
    }
}

impl Field {
    fn percent(&self) -> f64 {
        100.0 * self.agree as f64 / self.all.max(1) as f64
    }
}
