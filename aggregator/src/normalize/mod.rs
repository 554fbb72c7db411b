//! Normalize: what a host saw becomes what it means, in OCSF.
//!
//! In: raw lines and typed records with the context of their frame. Out: one [`Event`] for each, built in
//! place; texts borrow from the frame's buffer. Pure: opens nothing and reads no clock.
//!
//! Invariants: no input panics or is refused; `raw_data` holds the line as text and, where the line is not
//! UTF-8, `unmapped.raw_data_base64` its exact bytes; a parser that does not understand a line leaves no
//! trace in the event; every event is valid OCSF 1.8.0 once the fields of its [`Origin`] are shared.
//!
//! A format is a file with a `parse` function and a line in `FORMATS`; a program's messages are a file
//! and a line in `program`.

pub mod command;
pub mod record;

mod combined;
mod endpoint;
mod json_lines;
mod observables;
mod origin;
mod outcome;
mod plain;
mod program;
mod syslog;
#[cfg(test)]
mod testing;
mod text;
mod timestamp;
mod web_error;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::time::Timestamp;

use crate::event::Event;
use crate::schema::{Attribute, Class};
pub use origin::{Container, Origin};
use timestamp::Reference;

/// A line format: its name in configuration, and the function that reads a line. The function says whether
/// it understood; what it set before it said no is taken back.
struct LineFormat {
    name: &'static str,
    parse: for<'a> fn(&'a str, &Context<'a>, &mut Event<'a>) -> bool,
}

/// The registry. `auto` tries them in this order; the first that understands the line has it.
static FORMATS: [LineFormat; 5] = [
    LineFormat { name: "json", parse: json_lines::parse },
    LineFormat { name: "syslog", parse: syslog::parse },
    LineFormat { name: "combined", parse: combined::parse },
    LineFormat { name: "web_error", parse: web_error::parse },
    LineFormat { name: "plain", parse: plain::parse },
];

/// How the lines of a source are read: `auto`, `raw`, or the name of one format.
#[derive(Clone, Copy)]
pub struct Format(Choice);

#[derive(Clone, Copy)]
enum Choice {
    Auto,
    Raw,
    One(&'static LineFormat),
}

/// A format name that nothing answers to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown format '{name}' (known: {known})")]
pub struct UnknownFormat {
    name: String,
    known: String,
}

impl Format {
    /// Each line is recognized by itself, cheaply and always the same way.
    pub const AUTO: Self = Self(Choice::Auto);
    /// Nothing is read out of the line.
    pub const RAW: Self = Self(Choice::Raw);

    /// Every name that configuration may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["auto", "raw"].into_iter().chain(FORMATS.iter().map(|format| format.name))
    }

    /// Its name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            Choice::Auto => "auto",
            Choice::Raw => "raw",
            Choice::One(format) => format.name,
        }
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name {
            "auto" => Ok(Self::AUTO),
            "raw" => Ok(Self::RAW),
            _ => FORMATS.iter().find(|format| format.name == name).map(|format| Self(Choice::One(format))).ok_or_else(
                || UnknownFormat { name: name.to_owned(), known: Self::names().collect::<Vec<_>>().join(", ") },
            ),
        }
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One line as the agent read it.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its bytes, without the line end.
    pub raw: &'a [u8],
    /// When the agent read it.
    pub read_at: Timestamp,
    /// When the journal took its frame.
    pub received_at: Timestamp,
    /// How many bytes the line had, where it was cut to what `raw` holds.
    pub full_size: Option<u64>,
}

/// How much of a line was understood, for the stage's counters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Understood {
    /// It has a class of its own.
    Class,
    /// Its frame was read (time, program, fields); what it says is a base event.
    Frame,
    /// Nothing: a base event with its raw line.
    Nothing,
}

/// What a parser knows beside the line.
struct Context<'a> {
    origin: &'a Origin,
    reference: Reference,
}

/// Reads one line into `event`. The caller has set `event.id` and `event.shared` (the fields of `origin`);
/// everything else is set here. `now` becomes `metadata.processed_time`.
pub fn line<'a>(line: &Line<'a>, origin: &'a Origin, now: Timestamp, event: &mut Event<'a>) -> Understood {
    event.reset(line.read_at, line.received_at);
    let understood = match std::str::from_utf8(line.raw) {
        Ok(text) => understand(text, line.read_at, origin, event),
        Err(_) => {
            let text = String::from_utf8_lossy(line.raw);
            let mut draft = Event::new(event.id, event.time, event.received_at);
            let understood = understand(&text, line.read_at, origin, &mut draft);
            event.adopt(draft);
            event.unmap("raw_data_base64", BASE64.encode(line.raw));
            understood
        }
    };
    event.push(Attribute::RawDataSize, length(line.raw));
    finish(line.read_at, now, event);
    if let Some(full_size) = line.full_size {
        event.push(Attribute::MetadataIsTruncated, true);
        event.push(Attribute::MetadataUntruncatedSize, i64::try_from(full_size).unwrap_or(i64::MAX));
    }
    observables::push(event, origin);
    understood
}

/// What every event says about its own way here.
fn finish(read_at: Timestamp, now: Timestamp, event: &mut Event<'_>) {
    let sequence = i64::try_from(event.id.record).unwrap_or(i64::MAX);
    event.push(Attribute::MetadataSequence, sequence);
    event.push(Attribute::MetadataLoggedTime, read_at.as_ms());
    event.push(Attribute::MetadataProcessedTime, now.as_ms());
}

fn length(bytes: &[u8]) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

fn understand<'a>(text: &'a str, read_at: Timestamp, origin: &'a Origin, event: &mut Event<'a>) -> Understood {
    event.push(Attribute::RawData, text);
    let body = text.trim_end_matches(['\r', '\n']);
    let reference = Reference { read_at, utc_offset_minutes: origin.utc_offset_minutes };
    let context = Context { origin, reference };
    let understood = match origin.format.0 {
        Choice::Auto => FORMATS.iter().any(|format| attempt(format.parse, body, &context, event)),
        Choice::Raw => false,
        Choice::One(format) => attempt(format.parse, body, &context, event),
    };
    match (understood, event.class) {
        (true, Class::BaseEvent) => Understood::Frame,
        (true, _) => Understood::Class,
        (false, _) => {
            event.push(Attribute::Message, body);
            event.push(Attribute::MetadataLogFormat, "raw");
            Understood::Nothing
        }
    }
}

/// Lets a parser try; what it set before it gave up is taken back.
fn attempt<'a, C>(
    parse: impl Fn(&'a str, &C, &mut Event<'a>) -> bool,
    text: &'a str,
    context: &C,
    event: &mut Event<'a>,
) -> bool {
    let before = (event.fields.len(), event.unmapped.len(), event.time, event.severity_id);
    let understood = parse(text, context, event);
    if !understood {
        let (fields, unmapped, time, severity) = before;
        event.fields.truncate(fields);
        event.unmapped.truncate(unmapped);
        event.time = time;
        event.severity_id = severity;
        event.class = Class::BaseEvent;
        event.activity_id = 0;
    }
    understood
}

#[cfg(test)]
mod tests {
    use super::testing::{normalized, normalized_from, origin};
    use super::*;

    #[test]
    fn every_event_says_where_it_came_from() {
        let event = normalized("text");
        assert_eq!(event["metadata"]["version"], "1.8.0");
        assert_eq!(event["metadata"]["profiles"], serde_json::json!(["host"]));
        assert_eq!(event["metadata"]["sequence"], 7);
        assert_eq!(event["metadata"]["logged_time"], 1_773_653_400_000_i64);
        assert_eq!(event["device"]["hostname"], "web-1");
        assert_eq!(event["message"], "text");
        assert_eq!(event["raw_data"], "text");
        assert_eq!(event["raw_data_size"], 4);
        assert_eq!(event["time"], 1_773_653_400_000_i64);
    }

    #[test]
    fn bytes_that_are_not_text_are_kept_exactly() {
        let raw = b"Mar 16 10:00:00 h sshd[9]: Invalid user \xff\0 from 192.0.2.1";
        let event = normalized_from(&origin(), raw, None);
        assert_eq!(event["user"]["name"], "\u{fffd}\0");
        assert_eq!(event["class_uid"], 3002);
        assert_eq!(BASE64.decode(event["unmapped"]["raw_data_base64"].as_str().unwrap()).unwrap(), raw);
        assert_eq!(event["raw_data_size"], raw.len());
    }

    #[test]
    fn a_cut_line_says_its_full_size() {
        let event = normalized_from(&origin(), b"half of", Some(1_000_000));
        assert_eq!(event["metadata"]["is_truncated"], true);
        assert_eq!(event["metadata"]["untruncated_size"], 1_000_000);
    }

    #[test]
    fn a_carriage_return_stays_in_the_raw_line_only() {
        let event = normalized_from(&origin(), b"text\r", None);
        assert_eq!(event["message"], "text");
        assert_eq!(event["raw_data"], "text\r");
    }

    #[test]
    fn a_named_format_is_the_only_one_tried() {
        let line = br#"{"msg":"x"}"#;
        for (name, format) in [("auto", "json"), ("json", "json"), ("syslog", "raw"), ("raw", "raw")] {
            let origin = Origin { format: name.parse().unwrap(), ..origin() };
            assert_eq!(normalized_from(&origin, line, None)["metadata"]["log_format"], format, "{name}");
        }
    }

    #[test]
    fn format_names_lead_back_and_unknown_ones_name_the_known() {
        for name in Format::names() {
            assert_eq!(name.parse::<Format>().unwrap().name(), name);
        }
        let error = "sylog".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "unknown format 'sylog' (known: auto, raw, json, syslog, combined, web_error, plain)");
    }

    #[test]
    fn a_container_is_named_with_its_profile() {
        let container = Some(Container { uid: "abc".to_owned(), name: Some("web".to_owned()) });
        let event = normalized_from(&Origin { container, ..origin() }, b"x", None);
        assert_eq!(event["metadata"]["profiles"], serde_json::json!(["host", "container"]));
        assert_eq!(event["device"]["container"], serde_json::json!({"uid": "abc", "name": "web"}));
    }
}
