//! Normalize: what a host saw becomes what it means, in OCSF.
//!
//! In: raw lines and typed records with the context of their frame. Out: one [`Event`] for each, built in
//! place; texts borrow from the frame's buffer. Pure: opens nothing and reads no clock.
//!
//! Invariants: no input panics or is refused; `raw_data` holds the line as text and, where the line is not
//! UTF-8, `unmapped.raw_data_base64` its exact bytes; a parser that does not understand a line leaves no
//! trace in the event; every event is valid OCSF 1.8.0 once the fields of its [`Origin`] are shared.
//!
//! A format is a file with a `parse` function and a line in `formats`; a program's messages are a file
//! and a line in `program`; what users write in YAML is in [`custom`].

pub mod command;
pub mod custom;
pub mod join;
pub mod networks;
pub mod record;

mod asterisk;
mod audit;
mod cef;
mod cisco;
mod combined;
mod coredns;
mod cri;
mod database;
mod dhcp_audit;
mod elb;
mod endpoint;
mod envoy;
mod exchange;
mod fail2ban;
mod falco;
mod fields;
mod fingerprints;
mod fluentd;
mod formats;
mod fortigate;
mod glog;
mod hclog;
mod http_fields;
mod journald;
mod json;
mod json_lines;
mod lighttpd;
mod logfmt;
mod logon_pairs;
mod logon_words;
#[cfg(test)]
mod long_lines;
mod modsecurity;
mod multiline;
mod origin;
mod outcome;
mod package;
mod pairs;
mod panos;
mod plain;
mod program;
mod remark;
mod snort;
mod squid;
mod syslog;
#[cfg(test)]
mod testing;
mod text;
mod timestamp;
mod transport;
mod w3c;
mod web_error;
mod windows_xml;
mod zeek;
mod zones;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shared::time::Timestamp;

use crate::event::Event;
use crate::schema::{Attribute, Class};
use formats::{FORMATS, LineFormat};
pub use origin::{Container, Origin};
use timestamp::Reference;

/// How the lines of a source are read: `auto`, `raw`, one format, or a parser that a user wrote.
#[derive(Clone)]
pub struct Format(Choice);

#[derive(Clone)]
enum Choice {
    Auto,
    Raw,
    One(&'static LineFormat),
    Custom(Arc<custom::Parser>),
}

/// A format name that nothing answers to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown format '{name}' (known: {known})")]
pub struct UnknownFormat {
    name: String,
    known: String,
}

impl UnknownFormat {
    /// The same, where there are other names too.
    fn beside<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Self {
        for name in names {
            self.known.push_str(", ");
            self.known.push_str(name);
        }
        self
    }
}

impl Format {
    /// Each line is recognized by itself, cheaply and always the same way.
    pub const AUTO: Self = Self(Choice::Auto);
    /// Nothing is read out of the line.
    pub const RAW: Self = Self(Choice::Raw);

    /// Lines are read by a user's parser.
    #[must_use]
    pub const fn custom(parser: Arc<custom::Parser>) -> Self {
        Self(Choice::Custom(parser))
    }

    /// Every name that configuration may use, beside those of users' parsers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["auto", "raw"].into_iter().chain(FORMATS.iter().map(|format| format.name))
    }

    /// Its name in configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.0 {
            Choice::Auto => "auto",
            Choice::Raw => "raw",
            Choice::One(format) => format.name,
            Choice::Custom(parser) => parser.name(),
        }
    }
}

impl Format {
    /// Whether several lines may be one event: they are joined before they are read.
    #[must_use]
    pub fn joins(&self) -> bool {
        match &self.0 {
            Choice::Auto => true,
            Choice::Raw | Choice::Custom(_) => false,
            Choice::One(format) => matches!(
                format.name,
                "audit" | "syslog" | "cri" | "json" | "journald" | "modsecurity" | "mysql" | "postgresql" | "apt"
            ),
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
#[derive(Clone, Copy)]
struct Context<'a> {
    origin: &'a Origin,
    reference: Reference,
    /// How many wrappers (syslog, a container's) stand around the text; at most [`WRAPPERS_MAX`].
    wrappers: u8,
}

/// Most wrappers around a line.
const WRAPPERS_MAX: u8 = 2;

/// Reads one line into `event`. The caller has set `event.id` and `event.shared` (the fields of `origin`);
/// everything else is set here. `now` becomes `metadata.processed_time`.
pub fn line<'a>(line: &Line<'a>, origin: &'a Origin, now: Timestamp, event: &mut Event<'a>) -> Understood {
    line_known(line, std::str::from_utf8(line.raw).ok(), origin, now, event)
}

/// [`line()`] for a caller that knows already whether the bytes are text: a look at a whole frame is cheaper than one at each
/// of its lines. `text` is `raw` as text, or nothing where it is none.
pub fn line_known<'a>(
    line: &Line<'a>,
    text: Option<&'a str>,
    origin: &'a Origin,
    now: Timestamp,
    event: &mut Event<'a>,
) -> Understood {
    event.reset(line.read_at, line.received_at);
    let understood = match text {
        Some(text) => understand(text, line.read_at, origin, event),
        None => {
            let text = String::from_utf8_lossy(line.raw);
            let mut draft = Event::new(event.id, event.time, event.received_at);
            draft.shared = event.shared;
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
    event.is_observed = true;
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
    let ends = text.bytes().rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let body = text.get(..text.len() - ends).unwrap_or(text);
    // The mark that some editors and exporters set before a file's first line.
    let body = body.strip_prefix('\u{feff}').unwrap_or(body);
    let reference = Reference { read_at, utc_offset_minutes: origin.utc_offset_minutes };
    let context = Context { origin, reference, wrappers: 0 };
    let understood = match &origin.format.0 {
        Choice::Auto => recognized(body, &context, event),
        Choice::Raw => false,
        Choice::One(format) => attempt(format.parse, body, &context, event),
        Choice::Custom(parser) => {
            attempt(|line, context, event| parser.parse(line, context, event), body, &context, event)
        }
    };
    // Logons are what most lines are about, and their parsers ask for what they require.
    if understood && !matches!(event.class, Class::BaseEvent | Class::Authentication) {
        record::settle(event);
    }
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

/// Lets the formats try that the line looks like; the first that understands it has it.
fn recognized<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let mut formats = formats::candidates(text).filter(|format| (format.looks)(text));
    formats.any(|format| attempt(format.parse, text, context, event))
}

/// Reads a text that stood inside a line which has been read: the message of a syslog line, what a container wrote. Every
/// format that can be `carried` may try; what it says of an attribute replaces what the wrapper said.
fn carried<'a>(text: Cow<'a, str>, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    held(text, formats::inner, context, event)
}

/// Reads what a container wrote: any format may stand there that could stand in a file, but wrappers of containers.
fn contained<'a>(text: Cow<'a, str>, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    held(text, formats::contained, context, event)
}

/// Reads a text by the first of these formats that understands it.
fn held<'a, F: Iterator<Item = &'static LineFormat>>(
    text: Cow<'a, str>,
    among: fn(&str) -> F,
    context: &Context<'a>,
    event: &mut Event<'a>,
) -> bool {
    if context.wrappers >= WRAPPERS_MAX {
        return false;
    }
    let inner = Context { wrappers: context.wrappers + 1, ..*context };
    let before = event.fields.len();
    let understood = match text {
        Cow::Borrowed(text) => held_in(text, among(text), &inner, event),
        Cow::Owned(text) => {
            let mut draft = Event::new(event.id, event.time, event.received_at);
            draft.shared = event.shared;
            draft.severity_id = event.severity_id;
            let understood = held_in(&text, among(&text), &inner, &mut draft);
            if understood {
                event.adopt(draft);
            }
            understood
        }
    };
    if understood {
        let (mut at, mut wrapped) = (0, before);
        while at < wrapped {
            let (wrapper, said) = event.fields.split_at(wrapped);
            let stale =
                wrapper.get(at).is_some_and(|w| said.iter().any(|s| (s.attribute, s.index) == (w.attribute, w.index)));
            if stale {
                event.fields.remove(at);
                wrapped -= 1;
            } else {
                at += 1;
            }
        }
    }
    understood
}

fn held_in<'a>(
    text: &'a str,
    among: impl Iterator<Item = &'static LineFormat>,
    context: &Context<'a>,
    event: &mut Event<'a>,
) -> bool {
    let mut formats = among.filter(|format| (format.looks)(text));
    formats.any(|format| attempt(format.parse, text, context, event))
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
        let event = normalized_from(
            &origin(),
            b"Mar 16 10:00:00 h kernel: \xff IN=e OUT= SRC=192.0.2.1 DST=192.0.2.2 PROTO=2",
            None,
        );
        assert_eq!(event["metadata"]["profiles"].as_array().map(Vec::len), Some(2));
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
        assert_eq!(
            error,
            format!("unknown format 'sylog' (known: {})", Format::names().collect::<Vec<_>>().join(", "))
        );
    }

    #[test]
    fn a_name_that_looks_like_an_address_moves_none() {
        for (line, user) in [
            (
                r#"Mar 16 10:00:00 h sshd[7]: Invalid user x from 198.51.100.6 port 22 from 192.0.2.1 port 4711"#,
                r#"x from 198.51.100.6 port 22"#,
            ),
            (
                r#"Mar 16 10:00:00 h dropbear[7]: Bad password attempt for 'x' from 198.51.100.6:1' from 192.0.2.1:22"#,
                r#"x' from 198.51.100.6:1"#,
            ),
            (
                r#"Mon Mar 16 10:00:00 2026 [pid 7] [x] FAIL LOGIN: Client "198.51.100.6"] FAIL LOGIN: Client "192.0.2.1""#,
                r#"x] FAIL LOGIN: Client "198.51.100.6""#,
            ),
            (
                r#"Mar 16 10:00:00 h dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<x>, rip=198.51.100.6, a=<>, rip=192.0.2.1"#,
                r#"x"#,
            ),
            (
                r#"2026/03/16 10:00:00 [error] 7#7: *3 user "x, client: 198.51.100.6" was not found in "/p", client: 192.0.2.1, server: _, request: "GET /, client: 198.51.100.6""#,
                r#"x, client: 198.51.100.6"#,
            ),
            (
                r#"2026-03-16T10:00:00Z 7 [Note] Access denied for user 'a'@'198.51.100.6'@'192.0.2.1' (using password: YES)"#,
                r#"a'@'198.51.100.6"#,
            ),
            (
                r#"2026-03-16 10:00:00 CET [7] LOG:  disconnection: session time: 0:00:00.010 user=a host=198.51.100.6 database=d host=192.0.2.1 port=4711"#,
                r#"a"#,
            ),
            (
                r#"%ASA-6-113015: AAA user authentication Rejected : reason = Invalid password : local database : user = x : user IP = 198.51.100.6 : user IP = 192.0.2.1"#,
                r#"x"#,
            ),
        ] {
            let event = normalized(line);
            assert_eq!(event["src_endpoint"]["ip"], "192.0.2.1", "{line}");
            assert_eq!(event["user"]["name"], user, "{line}");
        }
    }

    #[test]
    fn a_container_is_named_with_its_profile() {
        let container = Some(Container { uid: "abc".to_owned(), name: Some("web".to_owned()) });
        let event = normalized_from(&Origin { container, ..origin() }, b"x", None);
        assert_eq!(event["metadata"]["profiles"], serde_json::json!(["host", "container"]));
        assert_eq!(event["device"]["container"], serde_json::json!({"uid": "abc", "name": "web"}));
    }
}
