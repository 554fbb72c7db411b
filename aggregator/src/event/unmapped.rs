//! `unmapped`: what has no home in OCSF, as one JSON object, the same in every sink.
//!
//! Keys and values in, JSON out. Dotted keys nest (`picket.flag` becomes `{"picket":{"flag":…}}`); keys are
//! sorted, so that equal content is equal text. Nothing is lost: a key said twice becomes an array of its
//! values, a key that goes on where another one already has a value keeps its dots
//! (`a` and `a.b` become `{"a":1,"a.b":2}`), and so does the rest of a key nested deeper than
//! `DEPTH_MAX`.

use std::borrow::Cow;

use super::Value;
use super::json::{write_text, write_value};

/// How many objects may stand in one another; hostile keys have a thousand dots.
const DEPTH_MAX: usize = 16;

/// One key and its value.
pub type Entry<'a> = (Cow<'a, str>, Cow<'a, Value<'a>>);

/// Appends the object; `entries` are sorted on the way.
pub fn write_object(entries: &mut [Entry<'_>], out: &mut String) {
    if entries.len() > 1 {
        entries.sort_by(|(a, _), (b, _)| a.bytes().map(rank).cmp(b.bytes().map(rank)));
    }
    object(entries, 0, 1, out);
}

/// Bytes in the order of keys: segment by segment, so that a dot comes before everything else.
fn rank(byte: u8) -> u16 {
    if byte == b'.' { 0 } else { 1 + u16::from(byte) }
}

/// The members of one object: entries that agree in the first `prefix` bytes of their keys.
fn object(entries: &[Entry<'_>], prefix: usize, depth: usize, out: &mut String) {
    let mut rest = entries;
    let mut separator = '{';
    while let Some((key, _)) = rest.first() {
        let segment = segment(key, prefix, depth);
        let same = |entry: &&Entry<'_>| self::segment(&entry.0, prefix, depth) == segment;
        let (group, after) = rest.split_at(1 + rest.iter().skip(1).take_while(same).count());
        let end = prefix + segment.len();
        let values = group.iter().take_while(|(key, _)| key.len() == end).count();
        if values == 0 {
            member(segment, &mut separator, out);
            object(group, end + 1, depth + 1, out);
        } else {
            let mut flat = group;
            while let Some((key, _)) = flat.first() {
                let (equal, others) = flat.split_at(flat.iter().take_while(|(k, _)| k == key).count());
                member(key.get(prefix..).unwrap_or_default(), &mut separator, out);
                write_values(equal, out);
                flat = others;
            }
        }
        rest = after;
    }
    if separator == '{' {
        out.push('{');
    }
    out.push('}');
}

/// The part of `key` that names a member of the object at `prefix`.
fn segment(key: &str, prefix: usize, depth: usize) -> &str {
    let rest = key.get(prefix..).unwrap_or_default();
    let dot = if depth < DEPTH_MAX { rest.bytes().position(|byte| byte == b'.') } else { None };
    dot.and_then(|dot| rest.get(..dot)).unwrap_or(rest)
}

fn member(key: &str, separator: &mut char, out: &mut String) {
    out.push(*separator);
    *separator = ',';
    write_text(key, out);
    out.push(':');
}

fn write_values(entries: &[Entry<'_>], out: &mut String) {
    if let [(_, value)] = entries {
        return write_value(value, out);
    }
    let mut separator = '[';
    for (_, value) in entries {
        out.push(separator);
        separator = ',';
        write_value(value, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(entries: &[(&str, Value<'static>)]) -> String {
        let mut entries: Vec<Entry<'_>> =
            entries.iter().map(|(k, v)| (Cow::Borrowed(*k), Cow::Owned(v.clone()))).collect();
        let mut text = String::new();
        write_object(&mut entries, &mut text);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        text
    }

    #[test]
    fn dotted_keys_nest_and_equal_content_is_equal_text() {
        let nested = json(&[("b.y", 2.into()), ("a", "x".into()), ("b.x", true.into()), ("b.z.q", Value::Float(0.5))]);
        assert_eq!(nested, r#"{"a":"x","b":{"x":true,"y":2,"z":{"q":0.5}}}"#);
        assert_eq!(json(&[]), "{}");
        assert_eq!(json(&[("", 1.into()), ("a.", 2.into()), (".a", 3.into())]), r#"{"":1,".a":3,"a":{"":2}}"#);
    }

    #[test]
    fn keys_that_collide_lose_nothing() {
        assert_eq!(json(&[("a.b", 2.into()), ("a", 1.into()), ("a.c", 3.into())]), r#"{"a":1,"a.b":2,"a.c":3}"#);
        assert_eq!(json(&[("k", 1.into()), ("j", 0.into()), ("k", 2.into())]), r#"{"j":0,"k":[1,2]}"#);
        assert_eq!(json(&[("a-b", 1.into()), ("a.c", 2.into()), ("a", 3.into())]), r#"{"a":3,"a.c":2,"a-b":1}"#);
    }

    #[test]
    fn hostile_text_is_escaped_and_depth_is_bounded() {
        assert_eq!(json(&[("q\"\u{0}", "\u{1}\\\u{e9}\n".into())]), "{\"q\\\"\\u0000\":\"\\u0001\\\\\u{e9}\\n\"}");
        assert_eq!(json(&[("n", Value::Float(f64::NAN))]), r#"{"n":"NaN"}"#);
        let dots = ".".repeat(100_000);
        let text = json(&[(&dots, 1.into())]);
        assert!(text.ends_with(&format!(":1{}", "}".repeat(DEPTH_MAX))));
    }
}
