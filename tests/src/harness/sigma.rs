//! SigmaHQ's rules and the events beside them, where the corpora are.

use std::io::Read as _;
use std::path::PathBuf;

use aggregator::matcher::{LogSource, Placeholders, Rule, rules};
use serde_json::{Map, Value};

use super::corpus;

/// A golden event: what it is, and the rules that must fire.
#[derive(Debug)]
pub struct Golden {
    /// Where it stands, for messages.
    pub place: String,
    /// What it is of.
    pub source: LogSource,
    /// The event, in SigmaHQ's names.
    pub event: Map<String, Value>,
    /// Ids of rules.
    pub expected: Vec<String>,
}

/// The folder of everything about Sigma.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    corpus("detect/sigma")
}

/// Every file of SigmaHQ's `rules/`, by name; none where the corpora are not there.
///
/// # Panics
/// The archive cannot be read.
#[must_use]
pub fn files() -> Option<Vec<(String, Vec<u8>)>> {
    let archive = std::fs::read(folder()?.join("sigma-rules.tar.zst")).expect("the archive can be read");
    let files = unpacked(&zstd::decode_all(archive.as_slice()).expect("the archive is zstd"));
    let is_rule = |name: &str| name.starts_with("rules/") && name.ends_with(".yml");
    Some(files.into_iter().filter(|(name, _)| is_rule(name)).collect())
}

/// Every rule of SigmaHQ's `rules/` that loads, and for each of the others why it does not.
///
/// # Panics
/// As [`files`].
#[must_use]
pub fn loaded() -> Option<(Vec<Rule>, Vec<String>)> {
    let (mut loaded, mut refused) = (Vec::new(), Vec::new());
    for (name, bytes) in files()? {
        for rule in rules(&name, &bytes, &Placeholders::new()) {
            match rule {
                Ok(rule) => loaded.push(rule),
                Err(problems) => refused.push(problems.to_string()),
            }
        }
    }
    Some((loaded, refused))
}

/// The golden events of one file, `real` or `rule_derived`.
///
/// # Panics
/// The file cannot be read.
#[must_use]
pub fn golden(name: &str) -> Option<Vec<Golden>> {
    let packed = std::fs::read(folder()?.join(format!("golden/{name}.jsonl.zst"))).expect("the events can be read");
    let mut text = String::new();
    let mut reader = zstd::Decoder::new(packed.as_slice()).expect("the events are zstd");
    reader.read_to_string(&mut text).expect("the events are text");
    let event = |(at, line): (usize, &str)| {
        let mut line: Map<String, Value> = serde_json::from_str(line).expect("a golden line is an object");
        let source = line.get("logsource").expect("it has a log source");
        let word = |key: &str| source.get(key).and_then(Value::as_str).unwrap_or_default();
        let source = LogSource::new(word("category"), word("product"), word("service"));
        let ids = line.get("expected").and_then(Value::as_array).expect("it names rules");
        let expected = ids.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let Some(Value::Object(event)) = line.remove("event") else { return None };
        Some(Golden { place: format!("{name}:{}", at + 1), source, event, expected })
    };
    Some(text.lines().enumerate().map(|line| event(line).expect("it holds an event")).collect())
}

/// The files of a tar archive (POSIX.1-2001 `pax`, and GNU's long names): blocks of 512 bytes, sizes in octal.
fn unpacked(mut archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut files, mut long_name) = (Vec::new(), None);
    while let Some((header, rest)) = archive.split_at_checked(512) {
        let text = |from: usize, size: usize| text_of(header.get(from..from + size).unwrap_or_default());
        let size = usize::from_str_radix(text(124, 12).trim(), 8).unwrap_or(0);
        let Some((body, rest)) = rest.split_at_checked(size.next_multiple_of(512)) else { break };
        let body = body.get(..size).unwrap_or_default();
        match text(156, 1).as_str() {
            "L" => long_name = Some(text_of(body)),
            "x" => {
                let records = text_of(body);
                long_name = records.lines().find_map(|line| line.split_once(" path=")).map(|(_, path)| path.to_owned());
            }
            "0" => {
                let (name, prefix) = (text(0, 100), text(345, 155));
                let short = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
                let name = long_name.take().unwrap_or(short);
                files.push((name.trim_start_matches("./").to_owned(), body.to_vec()));
            }
            _ => long_name = None,
        }
        archive = rest;
    }
    files
}

/// A text that ends at the first NUL.
fn text_of(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(field.get(..end).unwrap_or_default()).into_owned()
}
