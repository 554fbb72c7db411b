//! Tokens: bearer credentials, JSON web tokens, and those that say what they are by their first letters.

use std::ops::Range;

use memchr::memchr_iter;

use super::begins_word;

/// First letters, and how many letters at least must follow. Source: the issuers' own descriptions of their formats.
const PREFIXES: [(&[u8], usize); 22] = [
    (b"ghp_", 30),
    (b"gho_", 30),
    (b"ghu_", 30),
    (b"ghs_", 30),
    (b"ghr_", 30),
    (b"github_pat_", 30),
    (b"glpat-", 18),
    (b"gldt-", 18),
    (b"xoxb-", 10),
    (b"xoxp-", 10),
    (b"xoxa-", 10),
    (b"xoxs-", 10),
    (b"xapp-", 10),
    (b"sk_live_", 16),
    (b"rk_live_", 16),
    (b"npm_", 30),
    (b"pypi-", 30),
    (b"ya29.", 20),
    (b"AIza", 35),
    (b"AKIA", 16),
    (b"ASIA", 16),
    (b"picket1.", 20),
];
/// Shortest credential behind the word `Bearer`.
const BEARER_LEN_MIN: usize = 6;
/// Shortest part of a JSON web token.
const PART_LEN_MIN: usize = 6;

/// Adds where tokens stand.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    bearers(text, found);
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let skip = rest.iter().position(|byte| is_token(*byte)).unwrap_or(rest.len());
        let start = at + skip;
        let length = text.get(start..).map_or(0, |rest| rest.iter().take_while(|byte| is_token(**byte)).count());
        if let Some(word) = text.get(start..start + length) {
            for offset in starts(word).filter(|offset| begins_word(word, *offset)) {
                let rest = word.get(offset..).unwrap_or_default();
                if let Some(length) = prefixed(rest).or_else(|| web_token(rest)) {
                    found.push(start + offset..start + offset + length);
                    break;
                }
            }
        }
        at = start + length + 1;
    }
}

/// RFC 6750 §2.1: `b64token`, and what JSON web tokens and opaque ones use besides.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
}

/// Where a prefix of [`PREFIXES`] or of a JSON web token may begin in a word: at its start and behind each mark.
fn starts(word: &[u8]) -> impl Iterator<Item = usize> {
    let marks = word.iter().enumerate().filter(|(_, byte)| matches!(byte, b'/' | b'.' | b'+' | b'~' | b'-'));
    std::iter::once(0).chain(marks.map(|(at, _)| at + 1))
}

fn bearers(text: &[u8], found: &mut Vec<Range<usize>>) {
    const WORD: &[u8] = b"bearer";
    for space in memchr_iter(b' ', text).chain(memchr::memmem::find_iter(text, "%20").collect::<Vec<_>>()) {
        let Some(start) = space.checked_sub(WORD.len()) else { continue };
        if !text.get(start..space).is_some_and(|word| word.eq_ignore_ascii_case(WORD)) || !begins_word(text, start) {
            continue;
        }
        let from = space + if text.get(space) == Some(&b' ') { 1 } else { 3 };
        let rest = text.get(from..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| is_token(**byte) || **byte == b'=').count();
        // A word of prose (`bearer authentication failed`) has no digit, dot or dash.
        let token = rest.get(..length).unwrap_or_default();
        if length >= BEARER_LEN_MIN && token.iter().any(|byte| !byte.is_ascii_lowercase()) {
            found.push(from..from + length);
        }
    }
}

/// The length of a token with known first letters.
fn prefixed(word: &[u8]) -> Option<usize> {
    let (prefix, least) = PREFIXES.iter().find(|(prefix, _)| word.starts_with(prefix))?;
    let dashed = prefix.contains(&b'-') || prefix.contains(&b'.');
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (dashed && byte == b'-');
    let length = word.get(prefix.len()..)?.iter().take_while(|byte| inside(**byte)).count();
    (length >= *least).then_some(prefix.len() + length)
}

/// The length of `eyJ….eyJ….…` (a JSON object in base64url begins with `eyJ`).
fn web_token(word: &[u8]) -> Option<usize> {
    word.starts_with(b"eyJ").then_some(())?;
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let part = |from: usize| word.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| inside(**byte)).count());
    let head = part(0);
    let claims = (word.get(head) == Some(&b'.')).then(|| part(head + 1))?;
    (head >= PART_LEN_MIN && claims >= PART_LEN_MIN).then_some(())?;
    let signed = head + 1 + claims;
    let signature = if word.get(signed) == Some(&b'.') { 1 + part(signed + 1) } else { 0 };
    Some(signed + signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        found.into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn tokens_are_found_where_they_stand() {
        let github = format!("ghp_{}", "a1".repeat(18));
        assert_eq!(tokens(&format!("clone https://{github}@github.com")), [github.as_str()]);
        assert_eq!(tokens("authorization: bearer abc-123.x=="), ["abc-123.x=="]);
        assert_eq!(tokens("h=Bearer%20abc123def"), ["abc123def"]);
        let web = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
        assert_eq!(tokens(&format!("cookie: s={web}; p")), [web]);
        assert_eq!(tokens(&format!("/callback/{web}")), [web]);
        assert_eq!(tokens("key AKIAIOSFODNN7EXAMPLE."), ["AKIAIOSFODNN7EXAMPLE"]);
    }

    #[test]
    fn words_that_only_look_alike_stay() {
        for text in
            ["bearer authentication failed", "ghp_short", "eyJust.a", "forbearer abc123", "npm_config_x", "Bearer "]
        {
            assert_eq!(tokens(text), Vec::<&str>::new(), "{text}");
        }
    }
}
