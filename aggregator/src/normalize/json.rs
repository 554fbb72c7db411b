//! JSON as logs carry it (RFC 8259): one object into [`Fields`], and the elements of an array.
//!
//! In: text. Out: dotted keys and leaves that borrow from it; only a string with escapes is copied. Arrays, and objects
//! nested deeper than [`DEPTH_MAX`], are kept as their JSON text and not judged. Linear in the text.

use std::borrow::Cow;

use super::fields::{Fields, Leaf};

/// Objects nested deeper are kept as text.
const DEPTH_MAX: usize = 8;

/// The fields of a text that is one whole object.
pub(super) fn read(text: &str) -> Option<Fields<'_>> {
    let text = text.trim();
    if !text.starts_with('{') {
        return None;
    }
    let mut reader = Reader { text, at: 0 };
    let mut fields = Fields::new();
    let whole = reader.object(None, 0, &mut fields).is_some() && reader.at == text.len();
    whole.then_some(fields)
}

/// The elements of a text that is an array: objects and arrays as their text.
pub(super) fn elements(text: &str) -> Elements<'_> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let open = reader.eat(b'[').is_some();
    Elements { reader, open }
}

/// See [`elements`].
pub(super) struct Elements<'a> {
    reader: Reader<'a>,
    open: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Leaf<'a>;

    fn next(&mut self) -> Option<Leaf<'a>> {
        if !self.open {
            return None;
        }
        self.reader.space();
        let leaf = self.reader.leaf();
        self.open = leaf.is_some() && self.reader.eat(b',').is_some();
        leaf
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
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

    /// An object; its leaves go into `fields`, inside the object `parent`.
    fn object(&mut self, parent: Option<u16>, depth: usize, fields: &mut Fields<'a>) -> Option<()> {
        self.eat(b'{')?;
        if self.eat(b'}').is_some() {
            return Some(());
        }
        loop {
            self.space();
            let name = self.string()?;
            self.eat(b':')?;
            self.space();
            if self.peek() == Some(b'{') && depth + 1 < DEPTH_MAX {
                match fields.object(parent, name) {
                    Some(object) => self.object(Some(object), depth + 1, fields)?,
                    None => self.skip()?,
                }
            } else {
                let leaf = self.leaf()?;
                fields.add(parent, name, leaf);
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
                let is_count = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                if !is_count {
                    number.parse::<f64>().ok()?;
                }
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
    use super::*;

    #[test]
    fn elements_of_an_array_come_one_by_one() {
        let found: Vec<Leaf<'_>> = elements(r#"[ "a", 1,{"b":[2]}, null ]"#).collect();
        let text = |text| Leaf::Text(Cow::Borrowed(text));
        assert_eq!(found, [text("a"), Leaf::Number("1"), Leaf::Json(r#"{"b":[2]}"#), Leaf::Null]);
        for none in ["", "[]", "{}", "x", "["] {
            assert_eq!(elements(none).next(), None, "{none}");
        }
    }

    #[test]
    fn broken_objects_are_none() {
        for text in
            ["", "{", "{}x", r#"{"a":}"#, r#"{"a":1,}"#, r#"{"a" 1}"#, r#"{"a":"\q"}"#, r#"{"a":[}"#, r#"{"a":1"#]
        {
            assert!(read(text).is_none(), "{text}");
        }
        assert_eq!(read(r#"{"a":{"b":"\u00e9"}}"#).unwrap().text("a.b").as_deref(), Some("\u{e9}"));
    }
}
