//! Text from outside, made safe for a terminal.
//!
//! In: any text. Out: the same text with every character that could move a cursor, set a color, hide or
//! reorder what stands beside it written as an escape. Nothing that Picket prints for people skips this.

use std::fmt;

/// Shows text with its control characters escaped (`\n`, `\t`, `\u{1b}`), so that hostile bytes cannot
/// drive the terminal of the person who reads them.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if drives_terminal(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// Shows at most [`Excerpt::CHARS_MAX`] characters of a text, escaped as by [`Printable`]: for messages
/// that quote what they complain about.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'a>(pub &'a str);

impl Excerpt<'_> {
    /// Characters shown before the text is cut with `…`.
    pub const CHARS_MAX: usize = 80;
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(Self::CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", Printable(self.0.get(..end).unwrap_or_default())),
            None => write!(f, "{}", Printable(self.0)),
        }
    }
}

/// Whether a character can act on a terminal or on the order of the text around it: C0, DEL and C1
/// controls (ECMA-48), line separators, zero-width and bidirectional formatting (Unicode UAX #9).
#[must_use]
pub fn drives_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_letters_are_not() {
        assert_eq!(Printable("a\x1b[31m\n\u{9b}é\u{202e}").to_string(), "a\\u{1b}[31m\\n\\u{9b}é\\u{202e}");
    }

    #[test]
    fn an_excerpt_ends_after_its_limit() {
        assert_eq!(Excerpt("short").to_string(), "short");
        let long = "é".repeat(Excerpt::CHARS_MAX + 1);
        assert_eq!(Excerpt(&long).to_string(), format!("{}…", "é".repeat(Excerpt::CHARS_MAX)));
    }
}
