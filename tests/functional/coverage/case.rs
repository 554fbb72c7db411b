//! [`Case`]: a line of a set and what the set says of it.

use serde_json::Value;

/// What a value is about; the table has a column for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum What {
    /// Who.
    User,
    /// An address or the name of a host.
    Address,
    /// A port.
    Port,
    /// Whether it worked.
    Outcome,
    /// When.
    Time,
    /// Anything else: request, status code, process, rule.
    Detail,
}

impl What {
    /// In the order of the table's columns.
    pub const ALL: [Self; 6] = [Self::User, Self::Address, Self::Port, Self::Outcome, Self::Time, Self::Detail];
}

/// A value that a set expects.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What it is about.
    pub what: What,
    /// The set's own name of it.
    pub key: String,
    /// As the set writes it.
    pub value: String,
    /// The OCSF paths of which one must hold it, `[]` behind lists; none for a time, which has one place.
    pub paths: &'static [&'static str],
}

/// A line.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file below `logs`.
    pub file: String,
    /// Its number there, counted from one.
    pub number: usize,
    /// Its bytes.
    pub line: Vec<u8>,
    /// Minutes east of UTC of the host that wrote it.
    pub utc_offset_minutes: i32,
    /// What is expected; empty where the set says nothing.
    pub expected: Vec<Expected>,
}

impl Case {
    /// A line of which nothing is expected.
    pub fn plain(file: &str, number: usize, line: impl Into<Vec<u8>>) -> Self {
        Self { file: file.to_owned(), number, line: line.into(), utc_offset_minutes: 0, expected: Vec::new() }
    }

    /// Expects a value, unless it says that there is none.
    pub fn expect(&mut self, what: What, key: &str, value: &str, paths: &'static [&'static str]) {
        let nothing = matches!(value, "" | "-" | "?" | "unset" | "(none)" | "unknown");
        let known = self.expected.iter().any(|e| e.what == what && e.value == value && e.paths == paths);
        if !nothing && !known {
            self.expected.push(Expected { what, key: key.to_owned(), value: value.to_owned(), paths });
        }
    }
}

/// One end of a connection or of an attack, the one that began it.
pub const SOURCE: &[&str] = &[
    "src_endpoint.ip",
    "src_endpoint.hostname",
    "evidences[].src_endpoint.ip",
    "evidences[].src_endpoint.hostname",
    "unmapped.src_ip",
];
/// The other end.
pub const DESTINATION: &[&str] = &[
    "dst_endpoint.ip",
    "dst_endpoint.hostname",
    "evidences[].dst_endpoint.ip",
    "evidences[].dst_endpoint.hostname",
    "unmapped.dst_ip",
];
/// The port of the end that began it.
pub const SOURCE_PORT: &[&str] = &["src_endpoint.port", "evidences[].src_endpoint.port", "unmapped.src_port"];
/// The port of the other end.
pub const DESTINATION_PORT: &[&str] = &["dst_endpoint.port", "evidences[].dst_endpoint.port", "unmapped.dst_port"];
/// Whoever a line names.
pub const USER: &[&str] = &[
    "user.name",
    "user.email_addr",
    "user.uid",
    "actor.user.name",
    "actor.user.uid",
    "actor.user.email_addr",
    "process.user.name",
    "process.user.uid",
    "evidences[].user.name",
    "evidences[].actor.user.name",
    "unmapped.user",
    // Of mail, who sends it and who is to have it.
    "email.from",
    "email.to[]",
];
/// How it ended.
pub const OUTCOME: &[&str] = &["status_id"];

/// What stands under a key whose dots nest, or, where they do not, stay.
fn within<'v>(object: &'v Value, key: &str) -> Option<&'v Value> {
    let below = |(head, rest): (&str, &str)| within(object.get(head)?, rest);
    object.get(key).or_else(|| key.split_once('.').and_then(below))
}

/// Every value that stands at a path.
pub fn at<'v>(event: &'v Value, path: &str) -> Vec<&'v Value> {
    if let Some(key) = path.strip_prefix("unmapped.") {
        return within(&event["unmapped"], key).into_iter().collect();
    }
    let mut found = vec![event];
    for segment in path.split('.') {
        let name = segment.trim_end_matches("[]");
        found = found.into_iter().filter_map(|value| value.get(name)).collect();
        if segment.ends_with("[]") {
            found = found.into_iter().flat_map(|list| list.as_array().into_iter().flatten()).collect();
        }
    }
    found
}

/// A plain value as text.
pub fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
