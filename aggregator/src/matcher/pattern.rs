//! Texts with wildcards (Sigma 2.1.0, "Wildcards", "Escaping").
//!
//! In: a value as it stands in a rule. Out: [`Token`]s, which modifiers change, and of them a [`Pattern`],
//! which says of bytes whether they match. `*` is any number of characters, `?` exactly one; both span line
//! ends. A backslash takes the meaning from `*`, `?` and `\` behind it and is itself before anything else.
//!
//! Time is linear in the text for patterns without `?`; with it, at worst text × pattern.

use memchr::memmem::Finder;

use super::fold::fold;

/// What `windash` takes for one another: hyphen, slash, en dash, em dash, horizontal bar.
pub const DASHES: [char; 5] = ['-', '/', '–', '—', '―'];

/// One element of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// This character.
    Char(char),
    /// `*`: any number of characters.
    Any,
    /// `?`: one character.
    One,
    /// One of [`DASHES`].
    Dash,
}

/// The tokens of a value.
#[must_use]
pub fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '\\' => Token::Char(chars.next_if(|next| matches!(next, '*' | '?' | '\\')).unwrap_or('\\')),
            _ => Token::Char(c),
        });
    }
    out
}

/// A compiled value.
#[derive(Clone, Debug)]
pub struct Pattern {
    shape: Shape,
    /// Whether case counts: then it is held against the text as it is, else against the folded text.
    pub cased: bool,
}

#[derive(Clone, Debug)]
enum Shape {
    /// `*`
    Anything,
    /// `abc`
    Exact(Vec<u8>),
    /// `abc*`
    Prefix(Vec<u8>),
    /// `*abc`
    Suffix(Vec<u8>),
    /// `*abc*`
    Contains(Box<Finder<'static>>),
    /// All else.
    Glob(Glob),
}

#[derive(Clone, Debug)]
struct Glob {
    /// The text begins with the first segment.
    from_start: bool,
    /// The text ends with the last segment.
    to_end: bool,
    /// What stands between the `*`.
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
struct Segment {
    pieces: Vec<Piece>,
    /// How many characters it takes.
    chars: usize,
    /// Its first piece, if that is text.
    finder: Option<Finder<'static>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    One,
    Dash,
}

impl Pattern {
    /// Compiles tokens.
    #[must_use]
    pub fn new(tokens: &[Token], cased: bool) -> Self {
        let from_start = tokens.first() != Some(&Token::Any);
        let to_end = tokens.last() != Some(&Token::Any);
        let parts = tokens.split(|token| *token == Token::Any).filter(|part| !part.is_empty());
        let mut segments: Vec<Segment> = parts.map(|part| Segment::new(part, cased)).collect();
        let only_text = match segments.as_slice() {
            [] => Some(Vec::new()),
            [segment] => match segment.pieces.as_slice() {
                [Piece::Text(text)] => Some(text.clone()),
                _ => None,
            },
            _ => None,
        };
        let shape = match (only_text, from_start, to_end) {
            (Some(text), _, _) if text.is_empty() && !tokens.is_empty() => Shape::Anything,
            (Some(text), true, true) => Shape::Exact(text),
            (Some(text), true, false) => Shape::Prefix(text),
            (Some(text), false, true) => Shape::Suffix(text),
            (Some(text), false, false) => Shape::Contains(Box::new(Finder::new(&text).into_owned())),
            (None, ..) => {
                segments.shrink_to_fit();
                Shape::Glob(Glob { from_start, to_end, segments })
            }
        };
        Self { shape, cased }
    }

    /// Whether the text matches: folded text, unless case counts.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        match &self.shape {
            Shape::Anything => true,
            Shape::Exact(value) => text == value.as_slice(),
            Shape::Prefix(value) => text.starts_with(value),
            Shape::Suffix(value) => text.ends_with(value),
            Shape::Contains(finder) => finder.find(text).is_some(),
            Shape::Glob(glob) => glob.matches(text),
        }
    }

    /// The longest piece of text without which nothing matches; none if there is no text in it.
    #[must_use]
    pub fn longest_text(&self) -> Option<&[u8]> {
        let text = match &self.shape {
            Shape::Anything => None,
            Shape::Exact(text) | Shape::Prefix(text) | Shape::Suffix(text) => Some(text.as_slice()),
            Shape::Contains(finder) => Some(finder.needle()),
            Shape::Glob(glob) => {
                let pieces = glob.segments.iter().flat_map(|segment| &segment.pieces);
                let texts = pieces.filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None });
                texts.max_by_key(|text| text.len()).map(Vec::as_slice)
            }
        };
        text.filter(|text| !text.is_empty())
    }
}

impl Segment {
    fn new(tokens: &[Token], cased: bool) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for token in tokens {
            match *token {
                Token::Char(c) => {
                    let c = if cased { c } else { fold(c) };
                    if !matches!(pieces.last(), Some(Piece::Text(_))) {
                        pieces.push(Piece::Text(Vec::new()));
                    }
                    if let Some(Piece::Text(text)) = pieces.last_mut() {
                        text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
                Token::One | Token::Any => pieces.push(Piece::One),
                Token::Dash => pieces.push(Piece::Dash),
            }
        }
        let finder = match pieces.first() {
            Some(Piece::Text(text)) => Some(Finder::new(text).into_owned()),
            _ => None,
        };
        Self { pieces, chars: tokens.len(), finder }
    }

    /// What remains behind the segment, if the text begins with it.
    fn behind<'t>(&self, mut text: &'t [u8]) -> Option<&'t [u8]> {
        for piece in &self.pieces {
            text = match piece {
                Piece::Text(value) => text.strip_prefix(value.as_slice())?,
                Piece::One => text.get(first_char(text)?..)?,
                Piece::Dash => {
                    let (dash, rest) = text.split_at_checked(first_char(text)?)?;
                    DASHES.iter().any(|d| d.encode_utf8(&mut [0; 4]).as_bytes() == dash).then_some(rest)?
                }
            };
        }
        Some(text)
    }

    /// What remains behind the first place at which the segment stands.
    fn find<'t>(&self, mut text: &'t [u8]) -> Option<&'t [u8]> {
        loop {
            if let Some(finder) = &self.finder {
                text = text.get(finder.find(text)?..)?;
            }
            if let Some(rest) = self.behind(text) {
                return Some(rest);
            }
            text = text.get(first_char(text)?..)?;
        }
    }

    /// Whether the text ends with the segment.
    fn ends(&self, text: &[u8]) -> bool {
        let mut start = text.len();
        for _ in 0..self.chars {
            let Some(before) = text.get(..start).and_then(last_char) else { return false };
            start = before;
        }
        text.get(start..).and_then(|tail| self.behind(tail)).is_some_and(<[u8]>::is_empty)
    }
}

impl Glob {
    fn matches(&self, mut text: &[u8]) -> bool {
        let mut segments = self.segments.as_slice();
        if self.from_start {
            let Some((first, rest)) = segments.split_first() else { return text.is_empty() };
            let Some(behind) = first.behind(text) else { return false };
            if rest.is_empty() && self.to_end {
                return behind.is_empty();
            }
            (text, segments) = (behind, rest);
        }
        let last = if self.to_end { segments.split_last() } else { None };
        for segment in last.map_or(segments, |(_, between)| between) {
            let Some(behind) = segment.find(text) else { return false };
            text = behind;
        }
        last.is_none_or(|(last, _)| last.ends(text))
    }
}

/// The size of the first character; none at the end. Bytes are those of UTF-8 text.
fn first_char(text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    let size = match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    };
    Some(size.min(text.len()))
}

/// Where the last character begins; none in an empty text.
fn last_char(text: &[u8]) -> Option<usize> {
    text.iter().rposition(|byte| byte & 0xc0 != 0x80)
}

#[cfg(test)]
mod tests {
    use super::super::fold::folded;
    use super::*;

    fn matches(value: &str, text: &str) -> bool {
        Pattern::new(&tokens(value), false).matches(&folded(text))
    }

    #[test]
    fn wildcards_backtrack_span_lines_and_count_characters() {
        for (value, text) in [
            ("*a?c", "axaabc"),
            ("a*c", "a\nb\nc"),
            ("?", "Ä"),
            ("x?z", "xöz"),
            ("*", ""),
            ("**", "x"),
            ("*ab*cd*ef", "ABxABcdCDxxEF"),
            ("a?", "ab"),
            ("?b*", "abc"),
            ("*?c", "bc"),
            ("", ""),
        ] {
            assert!(matches(value, text), "{value} {text}");
        }
        for (value, text) in [
            ("?", ""),
            ("?", "ab"),
            ("*ab*ba", "aba"),
            ("ab*ba", "aba"),
            ("*a?c", "axaab"),
            ("a?", "a"),
            ("", "x"),
            ("*?c", "c"),
            ("*x?*", "x"),
        ] {
            assert!(!matches(value, text), "{value} {text}");
        }
    }

    #[test]
    fn backslashes_escape_wildcards_and_themselves_only() {
        for (value, text) in [
            (r"a\*b", "a*b"),
            (r"C:\\*", r"C:\x"),
            (r"C:\x", r"C:\x"),
            (r"\\\*", r"\*"),
            (r"\\\\h", r"\\h"),
            (r"end\", r"end\"),
            (r"\?", "?"),
        ] {
            assert!(matches(value, text), "{value} {text}");
        }
        for (value, text) in [(r"a\*b", "axb"), (r"\?", "x"), (r"\\\*", r"\x")] {
            assert!(!matches(value, text), "{value} {text}");
        }
    }

    #[test]
    fn case_counts_only_where_it_was_asked_for() {
        let pattern = Pattern::new(&tokens("Foo*"), true);
        assert!(pattern.matches(b"FooBar") && !pattern.matches(b"foobar"));
        assert!(matches("GRÖSSE*", "größe") == matches("grösse", "größe"));
        assert!(matches("ÄRGER", "ärger"));
    }
}
