//! Nothing of the test corpora stands in the source tree: their licences forbid it.

use std::collections::HashSet;

use picket_tests::harness::corpus;

use crate::tree::{assert_none, files_below, source};

/// A shared run of bytes this long is a copy; shorter ones are what a format dictates.
const RUN_BYTES: usize = 64;
const BASE: u64 = 0x0100_0000_01b3;

/// Words that corpora and we have from the same public place: examples of RFC 3164 and 5424, and fixed messages of programs
/// that a parser has to know.
const PUBLIC: [&str; 4] = ["mymachine", "192.0.2.1 myproc", "evntslog", "POSSIBLE BREAK-IN ATTEMPT"];

#[test]
fn no_line_of_the_corpora_is_copied_into_the_tree() {
    let Some(corpora) = corpus("logs") else { return };
    let ours: Vec<(String, Vec<u8>)> = source()
        .into_iter()
        .filter(|file| !file.path.starts_with("LICENSE") && file.path != "Cargo.lock")
        .map(|file| (file.path, unescaped(&file.bytes)))
        .collect();
    let mut runs = HashSet::new();
    for (_, bytes) in &ours {
        runs_of(bytes, &mut runs);
    }
    let mut breaches = Vec::new();
    for path in files_below(&corpora) {
        if path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains("licen")) {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a corpus can be read");
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = unescaped(line.trim_ascii());
            let (Some(head), Some(tail)) = (line.first_chunk::<RUN_BYTES>(), line.last_chunk::<RUN_BYTES>()) else {
                continue;
            };
            for run in [head, tail].into_iter().filter(|run| runs.contains(&hash(*run))) {
                let text = String::from_utf8_lossy(run);
                let told = PUBLIC.iter().any(|words| text.contains(words)) || !telling(run);
                for (ours, _) in
                    ours.iter().filter(|(_, bytes)| !told && bytes.windows(RUN_BYTES).any(|window| window == run))
                {
                    breaches.push(format!("{ours} has `{text}` of {}", path.display()));
                }
            }
        }
    }
    breaches.sort();
    breaches.dedup();
    assert_none("copied from the corpora", &breaches);
}

/// Whether a run says something: rules of dashes and the like are everybody's.
fn telling(run: &[u8]) -> bool {
    run.iter().collect::<HashSet<_>>().len() > 8
}

/// Without backslashes, so that a quoted string equals what it quotes.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| *byte != b'\\').collect()
}

fn hash(run: &[u8]) -> u64 {
    run.iter().fold(0, |hash: u64, byte| hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte)))
}

/// The hash of every run, rolled along.
fn runs_of(bytes: &[u8], runs: &mut HashSet<u64>) {
    let Some(first) = bytes.first_chunk::<RUN_BYTES>() else { return };
    let top = (1..RUN_BYTES).fold(1_u64, |power, _| power.wrapping_mul(BASE));
    let mut rolled = hash(first);
    runs.insert(rolled);
    for (leaving, coming) in bytes.iter().zip(bytes.iter().skip(RUN_BYTES)) {
        rolled = rolled.wrapping_sub(top.wrapping_mul(u64::from(*leaving)));
        rolled = rolled.wrapping_mul(BASE).wrapping_add(u64::from(*coming));
        runs.insert(rolled);
    }
}

#[test]
fn every_run_of_a_text_is_found_also_where_it_was_quoted() {
    let line =
        "Jan  1 00:00:00 host daemon[1]: said \"something\" that is longer than a run of bytes, and then some more";
    let mut runs = HashSet::new();
    runs_of(&unescaped(format!("const LINE: &str = {line:?};").as_bytes()), &mut runs);
    assert!(line.as_bytes().windows(RUN_BYTES).all(|run| runs.contains(&hash(run))));
    assert!(!runs.contains(&hash(&[b'x'; RUN_BYTES])));
}
