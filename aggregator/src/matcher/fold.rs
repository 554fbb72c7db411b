//! Case folding: text as it is compared.
//!
//! In: a character or a text. Out: one character for each, so that `?` and offsets mean the same before and
//! after. Simple folding in the sense of Unicode (`CaseFolding.txt`, status C and S): what would change the
//! number of characters (`ß` → `ss`, `İ` → `i̇`) stays as it is.

/// The one character that all characters equal to `c` but for their case have in common.
#[must_use]
pub fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    // The dotless i is a letter of its own, although its capital is the I of all.
    if c == 'ı' {
        return c;
    }
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

/// Appends the folded text.
pub fn push_folded(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    if text.is_ascii() {
        out.extend_from_slice(text.as_bytes());
        out.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        return;
    }
    let mut bytes = [0; 4];
    for c in text.chars() {
        out.extend_from_slice(fold(c).encode_utf8(&mut bytes).as_bytes());
    }
}

/// The folded text.
#[must_use]
pub fn folded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    push_folded(text, &mut out);
    out
}

/// The character, if there is just one.
fn only(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_of_every_script_are_equal_to_their_small_letters() {
        for (a, b) in [('A', 'a'), ('Ä', 'ä'), ('Σ', 'ς'), ('σ', 'ς'), ('K', 'k'), ('ſ', 's'), ('ẞ', 'ß'), ('Я', 'я')]
        {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn letters_that_only_look_alike_stay_apart_and_every_character_stays_one() {
        for (a, b) in [('ı', 'i'), ('İ', 'i'), ('ß', 's'), ('é', 'e')] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
        for c in '\0'..=char::MAX {
            assert_eq!(fold(fold(c)), fold(c), "{c:?}");
        }
    }
}
