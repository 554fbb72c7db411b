//! [`Judge`]: normalizes a case and says what is right and what is wrong with its event.

use std::borrow::Cow;

use aggregator::event::{Event, json};
use aggregator::normalize::{Format, Line, Origin, Understood, line};
use aggregator::schema::{Attribute, Class};
use picket_tests::ocsf::Schema;
use serde_json::Value;
use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
use shared::time::Timestamp;

use super::case::{Case, Expected, What, at, text};
use super::clock;
use super::registry::Registry;

/// When every line is read: 2026-03-16T09:30:00Z.
pub const READ_AT: Timestamp = Timestamp::from_seconds(1_773_653_400);

/// Attributes beside message, raw line and metadata from which a class counts as filled.
pub const ATTRIBUTES_MIN: usize = 5;

/// Reads lines and judges their events.
pub struct Judge {
    schema: Schema,
}

/// What became of a case.
pub struct Seen {
    /// The event.
    pub event: Value,
    /// How much was understood.
    pub understood: Understood,
    /// The class's name.
    pub class: &'static str,
    /// Paths of the attributes beside message, raw line and metadata.
    pub attributes: Vec<&'static str>,
    /// What is wrong with the event, whatever the set expects.
    pub problems: Vec<String>,
}

impl Seen {
    /// Its row in the table: the program of what syslog carried, or the format; what was not read belongs to its file.
    pub fn row(&self, case: &Case, registry: &Registry) -> String {
        let metadata = &self.event["metadata"];
        let format = metadata["log_format"].as_str().unwrap_or("raw");
        match format {
            "raw" | "plain" => format!("{format} ({})", folder(&case.file)),
            _ if !format.starts_with("syslog") => format.to_owned(),
            _ => match registry.program(metadata["log_provider"].as_str().unwrap_or_default()) {
                Some(program) => format!("syslog {program}"),
                None => "syslog (other programs)".to_owned(),
            },
        }
    }

    /// Whether it has a class of its own that more than the message of it fills.
    pub fn filled(&self) -> bool {
        self.understood == Understood::Class && self.attributes.len() >= ATTRIBUTES_MIN
    }

    /// Values that the event has where one was expected; empty when it is right.
    pub fn wrong(&self, case: &Case, expected: &Expected) -> Option<String> {
        let line = String::from_utf8_lossy(&case.line);
        if expected.what == What::Time {
            let ms = self.event["time"].as_i64().unwrap_or_default();
            let assumed = !self.event["timezone_offset"].is_null();
            // fail2ban's tests run where it is Zurich.
            let local = if case.file.starts_with("fail2ban") { 60 } else { 0 };
            let read = !self.event["metadata"]["original_time"].is_null();
            let right = read && clock::same(ms, assumed, &line, &expected.value, local);
            return (!right)
                .then(|| format!("{} of {}", Timestamp::from_ms(ms), self.event["metadata"]["original_time"]));
        }
        let found: Vec<String> = expected.paths.iter().flat_map(|path| at(&self.event, path)).map(text).collect();
        let right = found.iter().any(|found| equal(found, &expected.value));
        (!right).then(|| format!("{found:?}"))
    }
}

/// The file's folder and name, short.
fn folder(file: &str) -> String {
    file.split('/').take(2).collect::<Vec<_>>().join("/")
}

/// Addresses are equal as addresses, numbers as numbers, words whatever their case.
fn equal(found: &str, expected: &str) -> bool {
    let address = |text: &str| {
        let text = text.trim_start_matches('[').trim_end_matches(']');
        // What an address with leading zeros means is the same to both.
        let plain =
            text.split('.').map(|part| part.trim_start_matches('0')).map(|p| if p.is_empty() { "0" } else { p });
        text.parse::<std::net::IpAddr>().or_else(|_| plain.collect::<Vec<_>>().join(".").parse()).ok()
    };
    found.eq_ignore_ascii_case(expected)
        || address(found).zip(address(expected)).is_some_and(|(a, b)| a == b)
        || found.parse::<f64>().ok().zip(expected.parse::<f64>().ok()).is_some_and(|(a, b)| a == b)
}

impl Judge {
    /// With the schema of the corpus.
    pub fn new(corpus: &std::path::Path) -> Self {
        Self { schema: Schema::load(&corpus.join("schema/ocsf/ocsf-1.8.0.compiled.json.zst")).unwrap() }
    }

    /// What a format makes of a case.
    pub fn see(&self, case: &Case, format: Format) -> Seen {
        let origin = Origin {
            hostname: "web-1".to_owned(),
            utc_offset_minutes: case.utc_offset_minutes,
            log_name: Some("/var/log/test.log".to_owned()),
            format,
            ..Origin::default()
        };
        let fields = origin.fields();
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        let mut event = Event::new(EventId { chain, record: 1, part: 0 }, READ_AT, READ_AT);
        event.shared = &fields;
        let input = Line { raw: &case.line, read_at: READ_AT, received_at: READ_AT, full_size: None };
        let understood = line(&input, &origin, READ_AT, &mut event);
        let mut text = String::new();
        json::write(&event, &mut text);
        let parsed: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut problems = self.schema.problems(&parsed);
        problems.extend(lost(case, &parsed));
        problems.extend(misplaced(&event));
        Seen { understood, class: event.class.name(), attributes: attributes(&event), event: parsed, problems }
    }
}

/// What of the line is neither in `raw_data` nor in `unmapped.raw_data_base64`.
fn lost(case: &Case, event: &Value) -> Option<String> {
    let text = String::from_utf8_lossy(&case.line);
    let bytes_kept = matches!(text, Cow::Borrowed(_)) || event["unmapped"]["raw_data_base64"].is_string();
    let kept = event["raw_data"].as_str() == Some(&*text)
        && event["raw_data_size"].as_u64() == Some(case.line.len() as u64)
        && bytes_kept;
    (!kept).then(|| format!("raw_data is {}", event["raw_data"]))
}

/// Attributes that stand twice, or that the class has no column for.
fn misplaced(event: &Event<'_>) -> Vec<String> {
    let fields = event.shared.iter().chain(&event.fields);
    let mut places: Vec<_> = fields.map(|field| (field.attribute, field.index)).collect();
    places.sort_unstable();
    let twice = places.windows(2).filter(|pair| pair[0] == pair[1]);
    let foreign = event.fields.iter().filter(|field| !event.class.carries(field.attribute));
    twice
        .map(|pair| format!("{} stands twice", pair[0].0.path()))
        .chain(foreign.map(|field| format!("{} is no column", field.attribute.path())))
        .collect()
}

/// Attributes of its own beside message, raw line, metadata and what is made of others; a time that was read counts.
fn attributes(event: &Event<'_>) -> Vec<&'static str> {
    if event.class == Class::BaseEvent {
        return Vec::new();
    }
    let counts = |attribute: &Attribute| {
        let path = attribute.path();
        path == "metadata.original_time"
            || path == "metadata.event_code"
            || !["metadata.", "observables[]", "raw_data", "timezone_offset"]
                .iter()
                .any(|other| path.starts_with(other))
                && path != "message"
    };
    let mut seen: Vec<Attribute> = event.fields.iter().map(|field| field.attribute).filter(counts).collect();
    seen.sort_unstable();
    seen.dedup();
    seen.into_iter().map(Attribute::path).collect()
}
