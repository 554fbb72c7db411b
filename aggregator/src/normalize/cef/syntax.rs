//! How CEF and LEEF are written: header, extension, escapes.
//!
//! Source: ArcSight "Implementing Common Event Format", revision 26; IBM "LEEF overview".

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};

/// What stands before the extension.
pub(super) struct Header<'a> {
    pub(super) vendor: Cow<'a, str>,
    pub(super) product: Cow<'a, str>,
    pub(super) version: Cow<'a, str>,
    pub(super) code: Cow<'a, str>,
    /// CEF only.
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) severity: Option<Cow<'a, str>>,
    pub(super) extension: &'a str,
    pub(super) delimiter: char,
}

/// A part of the header up to the next `|` that no backslash stands before.
fn part(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'|', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(at) == Some(&b'|') {
            return Some((unescaped(text.get(..at)?), text.get(at + 1..)?));
        }
        at += 2;
    }
}

/// The header of CEF; none where it is not whole.
pub(super) fn cef_header(text: &str) -> Option<Header<'_>> {
    let (_, rest) = part(text)?;
    let (vendor, rest) = part(rest)?;
    let (product, rest) = part(rest)?;
    let (version, rest) = part(rest)?;
    let (code, rest) = part(rest)?;
    let (name, rest) = part(rest)?;
    // The last `|` is missing where there is no extension.
    let (severity, extension) = part(rest).unwrap_or((Cow::Borrowed(rest), ""));
    Some(Header {
        vendor,
        product,
        version,
        code,
        name: Some(name),
        severity: Some(severity),
        extension,
        delimiter: ' ',
    })
}

/// The header of LEEF; none where it is not whole.
pub(super) fn leef_header(text: &str) -> Option<Header<'_>> {
    let (format, rest) = part(text)?;
    let (vendor, rest) = part(rest)?;
    let (product, rest) = part(rest)?;
    let (version, rest) = part(rest)?;
    let (code, rest) = part(rest)?;
    let mut header =
        Header { vendor, product, version, code, name: None, severity: None, extension: rest, delimiter: '\t' };
    if format.starts_with('2')
        && let Some((delimiter, extension)) = rest.split_once('|').filter(|(text, _)| text.len() <= 6)
    {
        header.delimiter = delimiter_of(delimiter);
        header.extension = extension;
    }
    Some(header)
}

/// `^`, `x5E` or `0x5E`; nothing is a tabulator.
fn delimiter_of(text: &str) -> char {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix('x')).filter(|hex| !hex.is_empty());
    let coded = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    coded.or_else(|| text.chars().next()).unwrap_or('\t')
}

/// `key=value key=value`: a value goes on until the next key, a word of letters, digits and a few marks before `=`.
pub(super) fn cef_extension<'a>(text: &'a str, fields: &mut Fields<'a>) {
    let mut rest = text.trim_start();
    while let Some(equals) = rest.find('=') {
        let key = rest.get(..equals).unwrap_or_default().trim();
        let value = rest.get(equals + 1..).unwrap_or_default();
        let end = value_end(value);
        let (value, after) = value.split_at_checked(end).unwrap_or((value, ""));
        if is_key(key) {
            fields.add(None, key, Leaf::Text(unescaped(value.trim_end())));
        }
        rest = after.trim_start();
    }
}

/// Where the space stands behind which the next key begins.
fn value_end(value: &str) -> usize {
    let bytes = value.as_bytes();
    let (mut at, mut space) = (0, None);
    while let Some(step) = memchr::memchr3(b'\\', b' ', b'=', bytes.get(at..).unwrap_or_default()) {
        at += step;
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            Some(b' ') => {
                space = Some(at);
                at += 1;
            }
            _ => {
                if let Some(space) = space.filter(|space| value.get(space + 1..at).is_some_and(is_key)) {
                    return space;
                }
                at += 1;
            }
        }
    }
    value.len()
}

fn is_key(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']' | b',');
    !text.is_empty() && text.bytes().all(plain)
}

/// `key=value` between delimiters.
pub(super) fn leef_extension<'a>(text: &'a str, delimiter: char, fields: &mut Fields<'a>) {
    for pair in text.split(delimiter) {
        if let Some((key, value)) = pair.split_once('=').map(|(key, value)| (key.trim(), value))
            && is_key(key)
        {
            fields.add(None, key, Leaf::Text(Cow::Borrowed(value)));
        }
    }
}

/// `\|`, `\=`, `\\`, `\n`, `\r`.
fn unescaped(text: &str) -> Cow<'_, str> {
    let Some((before, mut rest)) = text.split_once('\\') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(before);
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(c @ ('|' | '=' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
        match chars.as_str().split_once('\\') {
            Some((before, after)) => {
                out.push_str(before);
                rest = after;
            }
            None => {
                out.push_str(chars.as_str());
                return Cow::Owned(out);
            }
        }
    }
}
