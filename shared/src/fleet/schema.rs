//! The JSON Schema of the fleet file, for editors (`docs/fleet.schema.json`), made of the tables that read the file.
//!
//! In: the words of the readers. Out: JSON Schema 2020-12. A test holds the keys of every map against those that its
//! reader asks for, and the file in `docs` against what is made here.

use serde_json::{Map, Value, json};

use super::source::{FILE_KEYS_LATER, TYPES};
use super::{From, HOST_TABLES, Protocol};
use crate::identity::Lane;
use crate::redact::Detector;

/// Kinds of values, by the rules that read them.
mod value {
    use serde_json::{Value, json};

    pub(super) fn text(what: &str) -> Value {
        json!({ "type": "string", "description": what })
    }

    pub(super) fn texts(what: &str) -> Value {
        json!({ "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }], "description": what })
    }

    pub(super) fn number(least: u64, most: u64, what: &str) -> Value {
        json!({ "type": "integer", "minimum": least, "maximum": most, "description": what })
    }

    pub(super) fn truth(what: &str) -> Value {
        json!({ "type": "boolean", "description": what })
    }

    pub(super) fn size(what: &str) -> Value {
        json!({ "type": ["string", "integer"], "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)?$", "description": what })
    }

    pub(super) fn rate(what: &str) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)/s$", "description": what })
    }

    pub(super) fn duration(what: &str) -> Value {
        json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "description": what })
    }

    pub(super) fn word(words: &[&str], what: &str) -> Value {
        json!({ "enum": words, "description": what })
    }

    pub(super) fn words(words: &[&str], what: &str) -> Value {
        let word = json!({ "enum": words });
        json!({ "oneOf": [word, { "type": "array", "items": word, "minItems": 1 }], "description": what })
    }
}

/// Keys of one map with what may stand there.
type Keys = Vec<(&'static str, Value)>;

fn lane(default: &str) -> (&'static str, Value) {
    let words = Lane::ALL.map(Lane::name);
    ("lane", value::word(&words, &format!("Where its records go; default {default}.")))
}

/// The keys of a source of this type; none: it is of a later version, and any key may stand there.
pub(super) fn source_keys(name: &str) -> Option<Keys> {
    let protocols = Protocol::ALL.map(|(word, _)| word);
    Some(match name {
        "file" => {
            let mut keys = vec![
                ("include", value::texts("Globs of absolute paths; `*` does not cross a `/`, `**` does.")),
                ("exclude", value::texts("Globs of absolute paths that are not read although included.")),
                ("from", value::word(&From::WORDS.map(|(word, _)| word), "Where a file never seen before is begun.")),
                ("format", value::text("Name of the line format; default auto.")),
                lane("normal"),
                ("redact", value::words(&Detector::ALL.map(Detector::name), "Secrets that never leave the host.")),
                ("max_line_bytes", value::size("Longer lines are cut and flagged; 256B to 512KiB; default 256KiB.")),
            ];
            let later = "Of a later version: a source with it is not run by this one.";
            keys.extend(FILE_KEYS_LATER.map(|key| (key, json!({ "description": later }))));
            keys
        }
        "host" => vec![
            ("interval", value::duration("Between two looks; 5s to 1d; default 60s.")),
            ("full_inventory", value::duration("Between two full inventories; 1m to 31d; default 24h.")),
            ("tables", value::words(&HOST_TABLES, "What is looked at; default all.")),
            ("metrics", value::truth("Whether the host's load is told; default true.")),
            lane("bulk"),
        ],
        "packet" => vec![
            ("interface", value::text("Name of the interface; default any.")),
            ("filter", value::text("A filter as of pcap-filter(7).")),
            ("snap_length", value::size("Bytes of a packet that are looked at; 256B to 256KiB; default 16KiB.")),
            ("buffer_bytes", value::size("The kernel's ring; 512KiB to 64MiB; default 4MiB.")),
            ("promiscuous", value::truth("Packets for others too; default false.")),
            ("protocols", value::words(&protocols, "What is told; default all.")),
            ("flows_max", value::number(1_024, 1 << 20, "Flows that are remembered at a time; default 32768.")),
            ("update_interval", value::duration("A flow that lasts is told again after this; 10s to 1d; default 5m.")),
            lane("bulk"),
        ],
        "integrity" => vec![
            ("paths", value::texts("Absolute paths without wildcards.")),
            ("exclude", value::texts("Globs of absolute paths that are left out.")),
            ("interval", value::duration("Between two looks at everything; 1m to 7d; default 1h.")),
            ("hash_bytes_max", value::size("Larger files are told by size and time only; default 64MiB.")),
            ("watch_max", value::number(0, 1 << 20, "Folders that the kernel watches; default 8192.")),
            ("cpu_percent", value::number(1, 100, "Share of one core that looking may take; default 10.")),
            lane("high"),
        ],
        _ => return None,
    })
}

/// A map with these keys and no others; each may be `null`, which deletes what was inherited.
fn map(keys: Keys, required: &[&str]) -> Value {
    let or_null = |schema: Value| json!({ "anyOf": [schema, { "type": "null" }] });
    let properties: Map<String, Value> = keys.into_iter().map(|(key, of)| (key.to_owned(), or_null(of))).collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn source() -> Value {
    let enabled = || ("enabled", value::truth("`false` switches it off."));
    let mut forms: Vec<Value> = Vec::new();
    let mut all: Keys = Vec::new();
    for (name, _) in TYPES {
        let kind = ("type", json!({ "const": name }));
        match source_keys(name) {
            Some(keys) => {
                all.extend(keys.clone());
                forms.push(map([enabled(), kind].into_iter().chain(keys).collect(), &["type"]));
            }
            None => forms
                .push(json!({ "type": "object", "properties": { "type": { "const": name } }, "required": ["type"] })),
        }
    }
    // An override says no type: any key of any type may stand there, and its reader says which may not.
    let names: Map<String, Value> =
        all.into_iter().chain([enabled()]).map(|(key, _)| (key.to_owned(), json!(true))).collect();
    forms.push(json!({ "type": "object", "properties": names, "additionalProperties": false }));
    forms.push(json!({ "type": "null" }));
    json!({ "anyOf": forms })
}

/// Sections of `defaults` and of each group.
fn sections() -> Keys {
    let on_full =
        || map(vec![("on_full", value::word(&["block", "drop_oldest"], "What it does when it is full."))], &[]);
    let lanes = map(Lane::ALL.map(|lane| (lane.name(), on_full())).to_vec(), &[]);
    let spool = vec![("max_bytes", value::size("Bytes on disk; 32MiB to 16TiB; default 1GiB.")), ("lanes", lanes)];
    let limits = vec![
        ("memory", value::size("Resident memory; 32MiB to 64GiB; default 64MiB.")),
        ("cpu_percent", value::number(1, 102_400, "Processor time, percent of one core.")),
        ("bandwidth", value::rate("Bytes a second to the aggregator.")),
    ];
    let sources = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/source" } });
    vec![("spool", map(spool, &[])), ("limits", map(limits, &[])), ("sources", sources)]
}

/// The schema of a whole file.
#[must_use]
pub fn schema() -> Value {
    let clause = map(
        vec![
            ("hostname", value::texts("Globs, anchored, case ignored; one must match.")),
            (
                "labels",
                json!({ "type": "object", "additionalProperties": { "type": "string" }, "description": "All must match." }),
            ),
        ],
        &[],
    );
    let mut group = vec![
        ("name", value::text("Unique in the file.")),
        ("match", json!({ "oneOf": [clause, { "type": "array", "items": clause, "minItems": 1 }] })),
        ("trusted", value::truth("Deaf to labels that a host claims; default false.")),
    ];
    group.extend(sections());
    let group = map(group, &["name", "match"]);
    let file = vec![
        ("version", json!({ "const": 1 })),
        ("defaults", map(sections(), &[])),
        ("groups", json!({ "oneOf": [group, { "type": "array", "items": group, "maxItems": 1_000 }] })),
    ];
    let mut schema = map(file, &["version"]);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        schema.insert("title".to_owned(), "Picket: fleet.yaml".into());
        schema.insert("$defs".to_owned(), json!({ "source": source() }));
    }
    schema
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fleet::{Fleet, source::Type};

    /// Keys that are in the way of this reader, asked one by one.
    fn unknown(path: &[&str], text: &str) -> Vec<String> {
        let problems = Fleet::parse("f", text.as_bytes()).err();
        let messages = problems.iter().flat_map(|problems| problems.listed()).map(|problem| problem.message.clone());
        messages
            .filter(|message| message.starts_with("unknown key") && path.iter().all(|part| message.contains(part)))
            .collect()
    }

    #[test]
    fn file_in_docs_is_current() {
        let made = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/fleet.schema.json");
        if std::env::var_os("PICKET_WRITE_SCHEMA").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == made,
            "make it again: PICKET_WRITE_SCHEMA=1 cargo test -p picket-shared file_in_docs_is_current"
        );
    }

    #[test]
    fn keys_of_the_schema_are_those_that_the_readers_know() {
        for (name, kind) in TYPES.into_iter().filter(|(_, kind)| *kind != Type::Later) {
            let keys = source_keys(name).unwrap();
            for (key, _) in &keys {
                let text = format!("version: 1\ndefaults: {{ sources: {{ s: {{ type: {name}, {key}: x }} }} }}\n");
                assert_eq!(unknown(&[], &text), [""; 0], "{name} {kind:?}");
            }
            // And the reader knows no other: it names them all where nothing is near.
            let text = format!("version: 1\ndefaults: {{ sources: {{ s: {{ type: {name}, qqqqqqqq: x }} }} }}\n");
            let message = unknown(&["qqqqqqqq"], &text).remove(0);
            let named = message.split_once("valid keys: ").unwrap().1;
            let named: BTreeSet<&str> = named.split(", ").filter(|key| !["enabled", "type"].contains(key)).collect();
            let ours: BTreeSet<&str> = keys.iter().map(|(key, _)| *key).collect();
            let later: BTreeSet<&str> = FILE_KEYS_LATER.into_iter().collect();
            assert_eq!(named, &ours - &later, "{name}");
        }
        for (section, keys) in sections().into_iter().filter(|(section, _)| *section != "sources") {
            let named = unknown(&["qqqqqqqq"], &format!("version: 1\ndefaults: {{ {section}: {{ qqqqqqqq: x }} }}\n"))
                .remove(0);
            let named: BTreeSet<String> =
                named.split_once("valid keys: ").unwrap().1.split(", ").map(str::to_owned).collect();
            let ours: BTreeSet<String> = keys["properties"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(named, ours, "{section}");
        }
    }
}
