//! JSON lines: one object a line, as programs write them for machines.
//!
//! In: `{"time":…,"level":…,"msg":…, …}` (RFC 8259). Out: a base event; the keys that many programs share
//! are the event's time, level, message and correlation id, everything else stands in `unmapped` with dotted
//! keys. Arrays, and objects nested deeper than [`DEPTH_MAX`], are kept as their JSON text. Of a key that
//! occurs twice the last counts.

use std::borrow::Cow;

use super::Context;
use super::text::level;
use super::timestamp::{self, Reference};
use crate::event::{Event, Value};
use crate::schema::Attribute;

/// Objects nested deeper are kept as text.
const DEPTH_MAX: usize = 8;
/// Keys beyond these are only in `raw_data`; `unmapped.keys_dropped` says how many.
const KEYS_MAX: usize = 256;

/// A value that is not an object.
enum Leaf<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    /// An array or a deep object, as it stands.
    Json(&'a str),
}

/// Reads a line; false where it is not one whole object.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let body = text.trim();
    if !body.starts_with('{') {
        return false;
    }
    let mut reader = Reader { text: body, at: 0, found: Found::default(), reference: context.reference };
    if reader.object(None, 0, event).is_none() || reader.at != body.len() {
        return false;
    }
    event.push(Attribute::MetadataLogFormat, "json");
    if reader.found.dropped > 0 {
        event.unmap("keys_dropped", i64::try_from(reader.found.dropped).unwrap_or(i64::MAX));
    }
    true
}

/// Which of the shared meanings have been found; the first key of each wins.
#[derive(Default)]
struct Found {
    time: bool,
    level: bool,
    message: bool,
    correlation: bool,
    dropped: usize,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    found: Found,
    reference: Reference,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        while self.peek().is_some_and(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// An object; its leaves go into the event.
    fn object(&mut self, prefix: Option<&str>, depth: usize, event: &mut Event<'a>) -> Option<()> {
        self.eat(b'{')?;
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.eat(b':')?;
            self.space();
            let key = match prefix {
                Some(prefix) => Cow::Owned(format!("{prefix}.{name}")),
                None => name,
            };
            if self.peek() == Some(b'{') && depth + 1 < DEPTH_MAX {
                self.object(Some(&key), depth + 1, event)?;
            } else {
                let leaf = self.leaf()?;
                self.keep(key, leaf, event);
            }
            if self.eat(b',').is_none() {
                return self.eat(b'}');
            }
        }
    }

    fn leaf(&mut self) -> Option<Leaf<'a>> {
        let start = self.at;
        Some(match self.peek()? {
            b'"' => Leaf::Text(self.string()?),
            b'{' | b'[' => {
                self.skip()?;
                Leaf::Json(self.text.get(start..self.at)?)
            }
            b't' => self.literal("true").map(|()| Leaf::Bool(true))?,
            b'f' => self.literal("false").map(|()| Leaf::Bool(false))?,
            b'n' => self.literal("null").map(|()| Leaf::Null)?,
            _ => {
                while self.peek().is_some_and(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
                    self.at += 1;
                }
                let number = self.text.get(start..self.at)?;
                number.parse::<f64>().ok()?;
                Leaf::Number(number)
            }
        })
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    /// Over an array or object, by its brackets; what stands between them is not judged.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// A string: borrowed unless it holds escapes.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', bytes.get(self.at..)?)?;
            if bytes.get(self.at) == Some(&b'"') {
                break;
            }
            escaped = true;
            self.at += 2;
        }
        let inner = self.text.get(start..self.at)?;
        self.at += 1;
        if escaped { unescape(inner).map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
    }

    /// Puts a leaf where it belongs.
    fn keep(&mut self, key: Cow<'a, str>, leaf: Leaf<'a>, event: &mut Event<'a>) {
        let leaf = match self.claim(&key, leaf, event) {
            Some(leaf) => leaf,
            None => return,
        };
        let value = match leaf {
            Leaf::Null => return,
            Leaf::Bool(truth) => Value::Bool(truth),
            Leaf::Number(number) => match (number.parse::<i64>(), number.parse::<f64>()) {
                (Ok(whole), _) => Value::Int(whole),
                (_, Ok(float)) if float.is_finite() && number.contains(['.', 'e', 'E']) => Value::Float(float),
                _ => Value::from(number),
            },
            Leaf::Text(text) => Value::Text(text),
            Leaf::Json(text) => Value::from(text),
        };
        let known = event.unmapped.len();
        match event.unmapped.iter_mut().find(|(known, _)| *known == key) {
            Some((_, standing)) => *standing = value,
            None if known < KEYS_MAX => event.unmap(key, value),
            None => self.found.dropped += 1,
        }
    }

    /// Takes a leaf whose key has a shared meaning; gives back every other.
    fn claim(&mut self, key: &str, leaf: Leaf<'a>, event: &mut Event<'a>) -> Option<Leaf<'a>> {
        match (key, leaf) {
            ("time" | "timestamp" | "@timestamp" | "ts" | "datetime" | "date" | "eventTime", leaf)
                if !self.found.time =>
            {
                let Some((text, stamp)) = moment(&leaf, self.reference) else { return Some(leaf) };
                self.found.time = true;
                event.time = stamp.0;
                event.push(Attribute::MetadataOriginalTime, text);
                if let Some(minutes) = stamp.1 {
                    event.push(Attribute::TimezoneOffset, minutes);
                }
            }
            ("level" | "severity" | "lvl" | "loglevel" | "log_level" | "log.level" | "levelname", leaf)
                if !self.found.level =>
            {
                let Some((word, severity)) = severity(&leaf) else { return Some(leaf) };
                self.found.level = true;
                event.severity_id = severity;
                event.push(Attribute::MetadataLogLevel, word);
            }
            ("message" | "msg" | "log" | "MESSAGE", Leaf::Text(text)) if !self.found.message => {
                self.found.message = true;
                event.push(Attribute::Message, text);
            }
            (
                "trace_id" | "traceId" | "trace.id" | "traceid" | "request_id" | "requestId" | "correlation_id"
                | "correlationId",
                Leaf::Text(text),
            ) if !self.found.correlation && !text.is_empty() => {
                self.found.correlation = true;
                event.push(Attribute::MetadataCorrelationUid, text);
            }
            (_, leaf) => return Some(leaf),
        }
        None
    }
}

/// The text of a time, when it was, and the offset that was assumed for it.
type Moment<'a> = (Cow<'a, str>, (shared::time::Timestamp, Option<i32>));

fn moment<'a>(leaf: &Leaf<'a>, reference: Reference) -> Option<Moment<'a>> {
    match leaf {
        Leaf::Text(text) => {
            let (stamp, rest) = timestamp::iso(text, reference)
                .or_else(|| timestamp::access(text, reference))
                .or_else(|| timestamp::bsd(text, reference))?;
            let found = (stamp.time, stamp.assumed_offset);
            rest.trim().is_empty().then(|| (text.clone(), found))
        }
        Leaf::Number(number) => {
            let time = timestamp::epoch(number.parse().ok()?)?;
            Some((Cow::Borrowed(*number), (time, None)))
        }
        _ => None,
    }
}

/// The level as written and its severity: words, or the tens of bunyan and pino.
fn severity<'a>(leaf: &Leaf<'a>) -> Option<(Cow<'a, str>, u8)> {
    match leaf {
        Leaf::Text(word) => Some((word.clone(), level(word)?)),
        Leaf::Number(number) => {
            let severity = match *number {
                "10" | "20" | "30" => 1,
                "40" => 2,
                "50" => 3,
                "60" => 6,
                _ => return None,
            };
            Some((Cow::Borrowed(*number), severity))
        }
        _ => None,
    }
}

/// RFC 8259 §7; half a surrogate pair becomes U+FFFD.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, tail)) = rest.split_once('\\') {
        out.push_str(plain);
        let escape = tail.chars().next()?;
        rest = tail.get(escape.len_utf8()..)?;
        match escape {
            '"' | '\\' | '/' => out.push(escape),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let unit = hex(rest)?;
                rest = rest.get(4..)?;
                let low = rest.strip_prefix("\\u").filter(|_| (0xd800..0xdc00).contains(&unit)).and_then(hex);
                match low.filter(|low| (0xdc00..0xe000).contains(low)) {
                    Some(low) => {
                        let scalar = 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                        out.push(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
                        rest = rest.get(6..)?;
                    }
                    None => out.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)),
                }
            }
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

fn hex(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::normalized;

    #[test]
    fn shared_keys_have_their_meaning_and_the_rest_is_kept() {
        let event = normalized(
            r#"{"ts":"2026-03-16T09:30:00.5Z","level":"error","msg":"it \"broke\"\n\u00e9\ud83d\ude00","trace_id":"abc","http":{"status":500,"ok":false},"tags":["a",{"b":1}],"pi":3.5,"big":18446744073709551615,"none":null}"#,
        );
        assert_eq!(event["class_uid"], 0);
        assert_eq!(event["time"], 1_773_653_400_500_i64);
        assert_eq!(event["severity_id"], 3);
        assert_eq!(event["message"], "it \"broke\"\n\u{e9}\u{1f600}");
        assert_eq!(event["metadata"]["correlation_uid"], "abc");
        assert_eq!(
            event["unmapped"],
            serde_json::json!({
                "http.status": 500, "http.ok": false, "tags": r#"["a",{"b":1}]"#, "pi": 3.5,
                "big": "18446744073709551615"
            })
        );
    }

    #[test]
    fn what_is_not_one_object_stays_raw() {
        for text in [
            "{",
            "{}x",
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            r#"{"a":"\q"}"#,
            r#"{"a":[}"#,
            "{'a':1}",
            r#"{"a":1"#,
        ] {
            let event = normalized(text);
            assert_eq!(event["metadata"]["log_format"], "raw", "{text}");
            assert_eq!(event["message"], text);
            assert!(event.get("unmapped").is_none(), "{text}");
        }
    }

    #[test]
    fn of_a_key_that_occurs_twice_the_last_counts() {
        assert_eq!(
            normalized(r#"{"a":1,"a":2,"b":{"c":1},"b.c":3}"#)["unmapped"],
            serde_json::json!({"a": 2, "b.c": 3})
        );
    }

    #[test]
    fn deep_and_wide_objects_are_bounded() {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        assert_eq!(normalized(&deep)["metadata"]["log_format"], "json");
        let keys: Vec<String> = (0..1_000).map(|n| format!("\"k{n}\":{n}")).collect();
        let event = normalized(&format!("{{{}}}", keys.join(",")));
        assert_eq!(event["unmapped"]["keys_dropped"], 744);
        assert_eq!(event["unmapped"]["k255"], 255);
    }
}
