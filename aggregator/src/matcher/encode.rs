//! Values as they stand in encoded text: `base64`, `base64offset`, `utf16le` and its kin, `windash`.
//!
//! In: tokens or bytes. Out: the same in another dress. Wildcards cannot be encoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::pattern::{DASHES, Token};

/// How characters become 16-bit units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wide {
    /// `wide`, `utf16le`
    Little,
    /// `utf16be`
    Big,
    /// `utf16`: little, behind a byte order mark (`FF FE`).
    Marked,
}

/// The text as 16-bit units.
#[must_use]
pub fn wide(text: &str, form: Wide) -> Vec<u8> {
    let mut out = if form == Wide::Marked { vec![0xff, 0xfe] } else { Vec::new() };
    for unit in text.encode_utf16() {
        out.extend_from_slice(&if form == Wide::Big { unit.to_be_bytes() } else { unit.to_le_bytes() });
    }
    out
}

/// The bytes in Base64.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// The characters that the bytes give wherever they stand in a longer encoded text: at offsets 0, 1 and 2 of
/// a group of three, without those that depend on what stands around them.
#[must_use]
pub fn base64_offsets(bytes: &[u8]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(3);
    for offset in 0..3 {
        let mut padded = vec![b' '; offset];
        padded.extend_from_slice(bytes);
        // Characters that carry bits of what stands before, and of what comes after.
        let start = [0, 2, 3].get(offset).copied().unwrap_or_default();
        let end = [0, 3, 2].get(padded.len() % 3).copied().unwrap_or_default();
        let encoded = base64(&padded);
        let kept = encoded.get(start..encoded.len().saturating_sub(end)).unwrap_or_default();
        if !kept.is_empty() {
            out.push(kept.to_owned());
        }
    }
    out
}

/// Every dash or slash that begins an option (no letter, digit or `_` before it, one after it) as any dash.
pub fn windash(tokens: &mut [Token]) {
    let word = |token: Option<&Token>| match token {
        Some(Token::Char(c)) => c.is_alphanumeric() || *c == '_',
        _ => false,
    };
    let dashes: Vec<usize> = (0..tokens.len())
        .filter(|&at| matches!(tokens.get(at), Some(Token::Char('-' | '/'))))
        .filter(|&at| !word(at.checked_sub(1).and_then(|before| tokens.get(before))) && word(tokens.get(at + 1)))
        .collect();
    for at in dashes {
        if let Some(token) = tokens.get_mut(at) {
            *token = Token::Dash;
        }
    }
}

/// Texts that one value may stand for when its dashes are written out.
const SPELLED_MAX: usize = 625;

/// Every text that the tokens spell, dashes written out; none if there are wildcards, or too many texts.
#[must_use]
pub fn spelled(tokens: &[Token]) -> Option<Vec<String>> {
    let mut out = vec![String::new()];
    for token in tokens {
        match token {
            Token::Char(c) => out.iter_mut().for_each(|text| text.push(*c)),
            Token::Dash if out.len() * DASHES.len() <= SPELLED_MAX => {
                out = out.iter().flat_map(|text| DASHES.map(|dash| format!("{text}{dash}"))).collect();
            }
            Token::Dash | Token::Any | Token::One => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::pattern::tokens;
    use super::*;

    #[test]
    fn sixteen_bit_units_are_as_the_specification_prints_them() {
        assert_eq!(wide("cmd", Wide::Little), b"c\0m\0d\0");
        assert_eq!(wide("cmd", Wide::Big), b"\0c\0m\0d");
        assert_eq!(wide("cmd", Wide::Marked), b"\xff\xfec\0m\0d\0");
    }

    #[test]
    fn wherever_bytes_stand_one_of_their_three_forms_is_found() {
        let forms = base64_offsets(b"foobar");
        assert_eq!(forms, ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
        for (before, after) in [("", ""), ("x", "yz"), ("xy", "z"), ("xyz", "")] {
            let encoded = base64(format!("{before}foobar{after}").as_bytes());
            assert!(forms.iter().any(|form| encoded.contains(form)), "{encoded}");
        }
        assert_eq!(base64_offsets(b"").len(), 0);
    }

    #[test]
    fn dashes_of_options_alone_are_any_dash() {
        let mut option = tokens(" -enc a-b /x - ");
        windash(&mut option);
        assert_eq!(option.iter().filter(|token| **token == Token::Dash).count(), 2);
        assert_eq!(spelled(&option).unwrap().len(), 25);
        assert_eq!(spelled(&tokens("a*")), None);
    }
}
