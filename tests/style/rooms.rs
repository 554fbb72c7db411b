//! Who may know whom.

use crate::tree::{SourceFile, assert_none, rust, source};

/// Crates that shape the system, and the one file or folder of each member that may name them.
const SHAPING: &[(&str, &[&str])] = &[
    ("axum", &["aggregator/src/admin"]),
    ("bincode", &["shared/src/frame"]),
    ("notify", &["agent/src/source/file"]),
    ("pcap", &["agent/src/source/packet/capture"]),
    ("parquet", &["aggregator/src/sink/parquet"]),
    ("quinn", &["agent/src/uplink", "aggregator/src/ingest"]),
    ("rcgen", &["agent/src/enroll", "aggregator/src/ca"]),
    ("rustls", &["shared/src/tls", "agent/src/uplink", "aggregator/src/ingest"]),
    ("saphyr_parser", &["shared/src/yaml"]),
    ("sled", &["shared/src/log/index"]),
    ("zstd", &["shared/src/frame", "aggregator/src/sink/parquet", "agent/src/source/integrity"]),
];

/// The stages of each program's path. They import nouns and `shared`, never one another; `app.rs` and `pipeline.rs` wire them.
const STAGES: &[(&str, &[&str])] = &[
    ("agent", &["source", "spool", "uplink"]),
    ("aggregator", &["ingest", "journal", "normalize", "reduce", "route", "detect", "sink"]),
];

/// The members that are the product; tests and tools may name what they measure.
const PRODUCT: [&str; 3] = ["shared/", "agent/", "aggregator/"];

#[test]
fn a_crate_that_shapes_the_system_is_named_in_one_place_of_each_program() {
    let mut breaches = Vec::new();
    for file in product() {
        for (name, places) in SHAPING.iter().filter(|(_, places)| !places.iter().any(|place| file.stands_in(place))) {
            if declares(&file, name) {
                continue;
            }
            for (number, line) in file.code().iter().filter(|(_, line)| names_crate(line, name)) {
                breaches.push(format!(
                    "{}:{number} names {name}, which belongs in {}: {line}",
                    file.path,
                    places.join(", ")
                ));
            }
        }
    }
    assert_none("a crate that shapes the system has one room", &breaches);
}

#[test]
fn agent_and_aggregator_never_import_each_other_and_shared_neither() {
    let forbidden = [
        ("shared/", ["agent", "aggregator"].as_slice()),
        ("agent/", &["aggregator", "picket_aggregator"]),
        ("aggregator/", &["agent", "picket_agent"]),
    ];
    let mut breaches = Vec::new();
    for file in product() {
        for (_, others) in forbidden.iter().filter(|(member, _)| file.path.starts_with(member)) {
            for (number, line) in file.code() {
                for other in others.iter().filter(|other| names_import(&line, other) && !declares(&file, other)) {
                    breaches.push(format!("{}:{number} imports {other}: {line}", file.path));
                }
            }
        }
    }
    for manifest in source().iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        for (_, others) in forbidden.iter().filter(|(member, _)| manifest.path.starts_with(member)) {
            for line in
                manifest.text().lines().filter(|line| others.iter().any(|other| line.starts_with(&format!("{other}."))))
            {
                breaches.push(format!("{} depends on {line}", manifest.path));
            }
        }
    }
    assert_none("the two programs meet in shared", &breaches);
}

#[test]
fn stages_never_import_one_another() {
    let mut breaches = Vec::new();
    for file in product() {
        for (program, stages) in STAGES {
            let Some(own) = stages.iter().find(|stage| file.stands_in(&format!("{program}/src/{stage}"))) else {
                continue;
            };
            for imported in
                imports_of_crate(&file).into_iter().filter(|name| name != own && stages.contains(&name.as_str()))
            {
                breaches.push(format!("{} ({own}) imports crate::{imported}", file.path));
            }
        }
    }
    assert_none("stages import nouns, not stages", &breaches);
}

fn product() -> Vec<SourceFile> {
    rust()
        .into_iter()
        .filter(|file| PRODUCT.iter().any(|member| file.path.starts_with(member) && file.path.contains("/src/")))
        .collect()
}

/// Whether the file has a module of its own by that name.
fn declares(file: &SourceFile, name: &str) -> bool {
    file.code().iter().any(|(_, line)| line.ends_with(&format!("mod {name};")))
}

/// Whether a path that begins with the crate's name stands in the line.
fn names_crate(line: &str, name: &str) -> bool {
    starts_of(line, name).any(|after| after.starts_with("::")) || line == format!("use {name};")
}

/// As [`names_crate`], but only where it is an import or a full path of a crate: `agent::` may be a local variable's module.
fn names_import(line: &str, name: &str) -> bool {
    line.starts_with(&format!("use {name}::"))
        || line.starts_with(&format!("pub use {name}::"))
        || line == format!("use {name};")
}

/// What follows each place where `name` stands as a word of its own that no `::` precedes.
fn starts_of<'a>(line: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(name).filter_map(move |(at, _)| {
        let before = line.get(..at)?.chars().next_back();
        let word = before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '.' || c == '"'));
        word.then(|| line.get(at + name.len()..)).flatten()
    })
}

/// The first names of every `crate::…` path of a file, those in braces too.
fn imports_of_crate(file: &SourceFile) -> Vec<String> {
    let code: String = file.code().into_iter().map(|(_, line)| line + " ").collect();
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            None => found.push(word(path)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() => {
                            found.push(word(&group[at..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_rules_see_what_they_look_for() {
    assert!(names_crate("let x = quinn::Endpoint::new();", "quinn"));
    assert!(names_crate("use sled;", "sled"));
    assert!(!names_crate("use crate::sink::parquet::Lake;", "parquet"));
    assert!(!names_crate("use tokio_rustls::X;", "rustls"));
    assert!(!names_crate("let quinned::y", "quinn"));
    let bytes =
        b"use crate::{event::Event, sink::{Sink, parquet}, journal};\nuse crate::ca;\n// crate::reduce\n".to_vec();
    let file = SourceFile { path: "aggregator/src/ingest/mod.rs".to_owned(), bytes };
    assert_eq!(imports_of_crate(&file), ["event", "sink", "journal", "ca"]);
    assert!(file.stands_in("aggregator/src/ingest") && !file.stands_in("aggregator/src/ing"));
}
