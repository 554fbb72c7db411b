//! How files look.

use crate::tree::{assert_none, rust};

/// Words that name nothing.
const EMPTY_WORDS: [&str; 12] =
    ["utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "models", "types", "info", "stuff"];
/// A file is one idea; it is mostly under 400 lines and never over this.
const LINES_MAX: usize = 600;

#[test]
fn a_file_or_folder_is_named_by_what_it_does() {
    let mut breaches = Vec::new();
    for file in rust() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            if part.split(['_', '-']).any(|word| EMPTY_WORDS.contains(&word)) {
                breaches.push(format!("{}: {part}", file.path));
            }
        }
    }
    assert_none("these names say nothing", &breaches);
}

#[test]
fn a_file_is_one_idea_and_no_longer_than_it_can_be_read() {
    let long = |file: &crate::tree::SourceFile| {
        let lines = file.text().lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", file.path))
    };
    assert_none(&format!("files of more than {LINES_MAX} lines"), &rust().iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn every_file_begins_with_what_it_is_for_and_every_folder_has_a_door() {
    let files = rust();
    let mut breaches = Vec::new();
    for file in &files {
        let text = file.text();
        let first = text.lines().find(|line| !line.starts_with("#![")).unwrap_or_default();
        let unit_tests = file.path.ends_with("/tests.rs");
        if !first.starts_with("//! ") && !unit_tests {
            breaches.push(format!("{} has no module doc", file.path));
        }
        let Some((folder, _)) = file.path.rsplit_once('/') else { continue };
        let inside_src = folder.split_once("/src/").is_some_and(|(_, below)| below != "bin");
        let door = |name: &str| files.iter().any(|other| other.path == name);
        if inside_src && !door(&format!("{folder}/mod.rs")) && !door(&format!("{folder}.rs")) {
            breaches.push(format!("{folder} has no mod.rs"));
        }
    }
    breaches.dedup();
    assert_none("module docs come first", &breaches);
}

#[test]
fn getters_are_named_by_what_they_get_and_nothing_is_left_to_do() {
    let mut breaches = Vec::new();
    for file in rust().iter().filter(|file| file.path != "tests/style/shape.rs") {
        for (number, line) in file.code() {
            if line.contains("fn get_") {
                breaches.push(format!("{}:{number} {line}", file.path));
            }
        }
        for (at, line) in file.text().lines().enumerate() {
            if ["TODO", "FIXME", "XXX:"].iter().any(|mark| line.contains(mark)) {
                breaches.push(format!("{}:{} {}", file.path, at + 1, line.trim()));
            }
        }
    }
    assert_none("no get_, nothing left to do", &breaches);
}
