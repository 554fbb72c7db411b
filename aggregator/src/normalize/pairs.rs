//! Pairs: `key=value key="a value" flag …`, as firewalls, auditd, logfmt and appliances write them.
//!
//! In: a text. Out: its words in order, each a key with or without a value; all borrow, none panics, every byte is looked
//! at a bounded number of times. A value in double or single quotes ends at the next such quote that no backslash stands
//! before, or with the text; it is given without its quotes and with its backslashes.

use super::text::{closing, near_any};

/// One word: a key, and its value where an `=` followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pair<'a> {
    /// What stands before the `=`, or the whole word.
    pub(super) key: &'a str,
    /// What stands behind the `=`, without quotes; none for a word without one.
    pub(super) value: Option<&'a str>,
    /// The quote that the value stood in: `"`, `'`, or none.
    pub(super) quote: Option<char>,
}

/// The words of a text, cut at spaces.
#[derive(Clone, Debug)]
pub(super) struct Pairs<'a> {
    rest: &'a str,
}

/// The words of `text`.
pub(super) fn pairs(text: &str) -> Pairs<'_> {
    Pairs { rest: text }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let blanks = self.rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let text = self.rest.get(blanks..).unwrap_or_default();
        if text.is_empty() {
            self.rest = text;
            return None;
        }
        let mark = near_any([b'=', b' ', b'\t'], text.as_bytes()).unwrap_or(text.len());
        let (key, after) = text.split_at_checked(mark)?;
        let Some(value) = after.strip_prefix('=') else {
            self.rest = after;
            return Some(Pair { key, value: None, quote: None });
        };
        let quote = value.bytes().next().filter(|first| matches!(first, b'"' | b'\''));
        if let Some(quote) = quote {
            let inner = value.get(1..)?;
            let end = closing(inner, quote).unwrap_or(inner.len());
            let (value, after) = inner.split_at_checked(end)?;
            self.rest = after.get(1..).unwrap_or_default();
            return Some(Pair { key, value: Some(value), quote: Some(quote.into()) });
        }
        let end = near_any([b' ', b'\t'], value.as_bytes()).unwrap_or(value.len());
        let (value, after) = value.split_at_checked(end)?;
        self.rest = after;
        Some(Pair { key, value: Some(value), quote: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_keys_values_and_flags() {
        let found: Vec<_> = pairs(r#"SRC=192.0.2.1 DF  a="x \" y" b='z' c= =d e="open"#)
            .map(|pair| (pair.key, pair.value, pair.quote))
            .collect();
        let expected = [
            ("SRC", Some("192.0.2.1"), None),
            ("DF", None, None),
            ("a", Some(r#"x \" y"#), Some('"')),
            ("b", Some("z"), Some('\'')),
            ("c", Some(""), None),
            ("", Some("d"), None),
            ("e", Some("open"), Some('"')),
        ];
        assert_eq!(found, expected);
        assert_eq!(pairs("  ").next(), None);
        assert_eq!(pairs("k=\"\u{e9}").next().unwrap().value, Some("\u{e9}"));
    }
}
