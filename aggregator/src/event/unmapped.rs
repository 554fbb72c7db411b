//! `unmapped`: what has no home in OCSF, as one JSON object, the same in every sink.
//!
//! Keys and values in, JSON out. Dotted keys nest (`picket.flag` becomes `{"picket":{"flag":…}}`); keys are
//! sorted, so that equal content is equal text. Nothing is lost: a key said twice becomes an array of its
//! values, a key that goes on where another one already has a value keeps its dots
//! (`a` and `a.b` become `{"a":1,"a.b":2}`), and so does the rest of a key nested deeper than
//! `DEPTH_MAX`.

use super::Value;
use super::json::{write_text, write_value};

/// How many objects may stand in one another; hostile keys have a thousand dots.
const DEPTH_MAX: usize = 16;

/// A key, and the number of its value.
type Entry<'k> = (&'k str, usize);

/// What writes the value of a number.
type WriteValue<'w> = &'w mut dyn FnMut(usize, &mut String);

/// Appends the object of these keys and values.
pub fn write_object(entries: &[(&str, &Value<'_>)], out: &mut String) {
    let keys = (0..).zip(entries).map(|(number, (key, _))| (*key, number)).collect();
    write_keys(keys, out, &mut |number, out| {
        if let Some((_, value)) = entries.get(number) {
            write_value(value, out);
        }
    });
}

fn write_keys(mut entries: Vec<Entry<'_>>, out: &mut String, value: WriteValue<'_>) {
    entries.sort_by(|(a, _), (b, _)| a.bytes().map(rank).cmp(b.bytes().map(rank)));
    object(&entries, 0, 1, out, value);
}

/// Objects without their values, by their keys: most events of a class say the same few of different things.
#[derive(Debug, Default)]
pub struct Skeletons {
    known: Vec<Skeleton>,
}

/// An object without its values.
#[derive(Debug)]
struct Skeleton {
    keys: Vec<Box<str>>,
    text: String,
    /// Where in the text a value stands, and its number.
    gaps: Vec<(usize, usize)>,
}

/// Most that are remembered, and the longest of them in bytes.
const SKELETONS_MAX: usize = 16;
const SKELETON_BYTES_MAX: usize = 4096;

impl Skeletons {
    /// Appends the object of these keys; `value` gives the value of a key's number.
    pub fn write<'k, 'v>(
        &mut self,
        keys: impl Iterator<Item = &'k str> + Clone,
        value: impl Fn(usize) -> &'v Value<'v>,
        out: &mut String,
    ) {
        if let Some(skeleton) = self.known.iter().find(|skeleton| skeleton.has(keys.clone())) {
            return skeleton.write(value, out);
        }
        let skeleton = Skeleton::of(&keys.collect::<Vec<_>>());
        skeleton.write(value, out);
        if skeleton.text.len() <= SKELETON_BYTES_MAX {
            // What came first comes most.
            self.known.truncate(SKELETONS_MAX - 1);
            self.known.push(skeleton);
        }
    }
}

impl Skeleton {
    fn of(keys: &[&str]) -> Self {
        let (mut text, mut gaps) = (String::new(), Vec::new());
        write_keys(keys.iter().copied().zip(0..).collect(), &mut text, &mut |number, out| {
            gaps.push((out.len(), number))
        });
        Self { keys: keys.iter().map(|key| Box::from(*key)).collect(), text, gaps }
    }

    /// Whether it has these keys, in this order.
    fn has<'k>(&self, keys: impl Iterator<Item = &'k str>) -> bool {
        self.keys.iter().map(AsRef::as_ref).eq(keys)
    }

    fn write<'v>(&self, value: impl Fn(usize) -> &'v Value<'v>, out: &mut String) {
        let mut from = 0;
        for (to, number) in &self.gaps {
            out.push_str(self.text.get(from..*to).unwrap_or_default());
            write_value(value(*number), out);
            from = *to;
        }
        out.push_str(self.text.get(from..).unwrap_or_default());
    }
}

/// Bytes in the order of keys: segment by segment, so that a dot comes before everything else.
fn rank(byte: u8) -> u16 {
    if byte == b'.' { 0 } else { 1 + u16::from(byte) }
}

/// The members of one object: entries that agree in the first `prefix` bytes of their keys.
fn object(entries: &[Entry<'_>], prefix: usize, depth: usize, out: &mut String, value: WriteValue<'_>) {
    let mut rest = entries;
    let mut separator = '{';
    while let Some((key, _)) = rest.first() {
        let segment = segment(key, prefix, depth);
        let same = |entry: &&Entry<'_>| self::segment(entry.0, prefix, depth) == segment;
        let (group, after) = rest.split_at(1 + rest.iter().skip(1).take_while(same).count());
        let end = prefix + segment.len();
        let values = group.iter().take_while(|(key, _)| key.len() == end).count();
        if values == 0 {
            member(segment, &mut separator, out);
            object(group, end + 1, depth + 1, out, value);
        } else {
            let mut flat = group;
            while let Some((key, _)) = flat.first() {
                let (equal, others) = flat.split_at(flat.iter().take_while(|(k, _)| k == key).count());
                member(key.get(prefix..).unwrap_or_default(), &mut separator, out);
                write_values(equal, out, value);
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

fn write_values(entries: &[Entry<'_>], out: &mut String, value: WriteValue<'_>) {
    if let [(_, number)] = entries {
        return value(*number, out);
    }
    let mut separator = '[';
    for (_, number) in entries {
        out.push(separator);
        separator = ',';
        value(*number, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(entries: &[(&str, Value<'static>)]) -> String {
        let entries: Vec<(&str, &Value<'_>)> = entries.iter().map(|(key, value)| (*key, value)).collect();
        let mut text = String::new();
        write_object(&entries, &mut text);
        let mut skeletons = Skeletons::default();
        for _ in 0..2 {
            let mut again = String::new();
            skeletons.write(entries.iter().map(|(key, _)| *key), |number| entries[number].1, &mut again);
            assert_eq!(again, text);
        }
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
