//! Small cuts of a line: words, numbers, what stands between two marks. All borrow, none panics.

use memchr::{memchr, memchr_iter, memrchr};

/// The first word and what follows the spaces after it.
#[inline]
pub(super) fn word(text: &str) -> (&str, &str) {
    match near(b' ', text.as_bytes()).and_then(|at| text.split_at_checked(at)) {
        Some((first, rest)) => (first, unspaced(rest)),
        None => (text, ""),
    }
}

/// Without the spaces before it.
#[inline]
pub(super) fn unspaced(text: &str) -> &str {
    let spaces = text.bytes().take_while(|byte| *byte == b' ').count();
    text.get(spaces..).unwrap_or(text)
}

/// Where the first `byte` is. As `memchr`, for what stands a few bytes away: eight of them take less than the call.
#[inline]
pub(super) fn near(byte: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let wanted = ONES * u64::from(byte);
    let (eights, _) = bytes.as_chunks::<8>();
    for (at, eight) in (0..).step_by(8).zip(eights.iter().take(NEAR_EIGHTS)) {
        // A byte of zero is the wanted one: its high bit is the lowest that is set here (Mycroft's test).
        let other = u64::from_le_bytes(*eight) ^ wanted;
        let zeros = other.wrapping_sub(ONES) & !other & HIGH;
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
    }
    let from = 8 * eights.len().min(NEAR_EIGHTS);
    memchr(byte, bytes.get(from..)?).map(|at| from + at)
}

/// Where the first of some bytes is: eight at once, as [`near`] looks, however far.
#[inline]
pub(super) fn near_any<const N: usize>(wanted: [u8; N], bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let (eights, tail) = bytes.as_chunks::<8>();
    for (at, eight) in (0..).step_by(8).zip(eights) {
        // The lowest of the high bits that are set is right for each of them, and so for all.
        let zeros = wanted.iter().fold(0, |zeros, byte| {
            let other = u64::from_le_bytes(*eight) ^ (ONES * u64::from(*byte));
            zeros | (other.wrapping_sub(ONES) & !other & HIGH)
        });
        if zeros != 0 {
            return Some(at + (zeros.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter().position(|byte| wanted.contains(byte)).map(|at| bytes.len() - tail.len() + at)
}

/// What stands before and after the first `mark`, an ASCII byte that is a few bytes away.
#[inline]
pub(super) fn cut_at(mark: u8, text: &str) -> Option<(&str, &str)> {
    let at = near(mark, text.as_bytes())?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// How far [`near`] looks by itself.
const NEAR_EIGHTS: usize = 4;

/// What stands before and after the first `mark`.
#[inline]
pub(super) fn cut<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    // Spaces are everywhere: what is looked for is the first byte of the mark that is none. Lines are short, and a
    // searcher made for each would cost more than it saves.
    let skip = mark.bytes().position(|byte| byte != b' ').unwrap_or(0);
    let byte = mark.as_bytes().get(skip).copied()?;
    let mut from = skip;
    loop {
        let found = from + memchr(byte, text.as_bytes().get(from..)?)?;
        let (before, rest) = text.as_bytes().split_at_checked(found - skip)?;
        if rest.starts_with(mark.as_bytes()) {
            return Some((text.get(..before.len())?, text.get(before.len() + mark.len()..)?));
        }
        from = found + 1;
    }
}

/// Where the last `mark` begins.
#[inline]
pub(super) fn last(text: &str, mark: &str) -> Option<usize> {
    let skip = mark.bytes().position(|byte| byte != b' ').unwrap_or(0);
    let byte = mark.as_bytes().get(skip).copied()?;
    let mut end = text.len();
    loop {
        end = memrchr(byte, text.as_bytes().get(..end)?)?;
        let begin = end.checked_sub(skip)?;
        if text.as_bytes().get(begin..)?.starts_with(mark.as_bytes()) {
            return Some(begin);
        }
    }
}

/// What stands before and after the last `mark`.
#[inline]
pub(super) fn last_cut<'t>(text: &'t str, mark: &str) -> Option<(&'t str, &'t str)> {
    let at = last(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// Whether `mark` stands in a text: for marks whose first letter is rarer there than their first byte, as a key's is in JSON.
#[inline]
pub(super) fn holds(text: &str, mark: &str) -> bool {
    let skip = mark.bytes().position(|byte| byte.is_ascii_alphabetic()).unwrap_or(0);
    let Some(letter) = mark.as_bytes().get(skip).copied() else { return true };
    let begins = |at: usize| text.as_bytes().get(at.checked_sub(skip)?..);
    memchr_iter(letter, text.as_bytes()).any(|at| begins(at).is_some_and(|rest| rest.starts_with(mark.as_bytes())))
}

/// The first `most` bytes, or up to three less so as not to cut a character.
pub(super) fn head(text: &str, most: usize) -> &str {
    (0..4).find_map(|less| text.get(..most.min(text.len()).saturating_sub(less))).unwrap_or(text)
}

/// What stands between `open` and the next `close`, and what follows.
pub(super) fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<(&'t str, &'t str)> {
    cut(text, open).and_then(|(_, rest)| cut(rest, close))
}

/// A whole number of at most nine digits (it fits every OCSF integer), nothing else around it.
pub(super) fn number(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.bytes().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
}

/// Whole milliseconds of seconds that may have a fraction: `2.000123`.
pub(super) fn milliseconds(seconds: &str) -> Option<i64> {
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let thousandths = format!("{:0<3}", fraction.get(..3).unwrap_or(fraction));
    Some(number(whole)? * 1000 + number(&thousandths)?)
}

/// A port.
pub(super) fn port(text: &str) -> Option<i64> {
    number(text).filter(|n| *n <= i64::from(u16::MAX))
}

/// The last part of a path.
#[inline]
pub(super) fn base_name(path: &str) -> &str {
    // Names are a few bytes long.
    let at = path.bytes().rposition(|byte| byte == b'/');
    at.and_then(|at| path.get(at + 1..)).unwrap_or(path)
}

/// Where the first `quote` stands that no backslash stands before.
pub(super) fn closing(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// Without quotes of either kind around it: `'root'`, `"root"`, `` `root' ``.
pub(super) fn unquoted(text: &str) -> &str {
    text.trim_matches(['\'', '"', '`'])
}

/// OCSF `severity_id` of a severity number of RFC 5424 §6.2.1.
pub(super) fn severity_of(syslog: u8) -> u8 {
    match syslog {
        0 => 6,
        1 => 5,
        2 => 4,
        3 => 3,
        4 => 2,
        _ => 1,
    }
}

/// OCSF `severity_id` of a level as programs write it, in any case.
pub(super) fn level(word: &str) -> Option<u8> {
    const LEVELS: [(&str, u8); 20] = [
        // log15's, four letters each.
        ("eror", 3),
        ("dbug", 1),
        ("trace", 1),
        ("debug", 1),
        ("verbose", 1),
        ("info", 1),
        ("information", 1),
        ("notice", 1),
        ("warn", 2),
        ("warning", 2),
        ("err", 3),
        ("error", 3),
        ("severe", 3),
        ("crit", 4),
        ("critical", 4),
        ("alert", 5),
        ("emerg", 6),
        ("panic", 6),
        ("fatal", 6),
        ("emergency", 6),
    ];
    LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, severity)| severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_some_bytes_is_found_wherever_it_stands() {
        let bytes: Vec<u8> = (0..=255).chain(0..=255).collect();
        for from in 0..300 {
            for len in 0..40 {
                let part = &bytes[from..from + len];
                for wanted in [[b'=', b' ', b'\t'], [0, 0x80, 0xff], [1, 0x81, 2]] {
                    let expected = part.iter().position(|byte| wanted.contains(byte));
                    assert_eq!(near_any(wanted, part), expected, "{part:?} {wanted:?}");
                }
            }
        }
    }

    #[test]
    fn words_skip_runs_of_spaces() {
        assert_eq!(word("a   b c"), ("a", "b c"));
        assert_eq!(word("a"), ("a", ""));
        assert_eq!(word(" a"), ("", "a"));
    }

    #[test]
    fn what_is_near_is_where_it_is_however_far() {
        for length in 0..70_usize {
            // Bytes that differ from the wanted one in one bit, or by a carry from the one before.
            for other in [b'x', b'!', b'\0', 0xa0, 0x21, 0x1f] {
                let mut bytes = vec![other; length];
                assert_eq!(near(b' ', &bytes), None, "{length} of {other}");
                bytes.extend_from_slice(b"  ");
                assert_eq!(near(b' ', &bytes), Some(length), "{length} of {other}");
            }
        }
        assert_eq!(
            (cut_at(b'=', "k=v=w"), cut_at(b'=', "\u{e9}="), cut_at(b'=', "")),
            (Some(("k", "v=w")), Some(("\u{e9}", "")), None)
        );
        assert_eq!((unspaced("  a "), unspaced("   "), unspaced("\ta")), ("a ", "", "\ta"));
    }

    #[test]
    fn a_head_is_cut_between_characters() {
        assert_eq!((head("ab", 5), head("ab\u{1f600}c", 5), head("\u{e9}", 1), head("abc", 2)), ("ab", "ab", "", "ab"));
    }

    #[test]
    fn a_cut_is_at_the_first_mark() {
        assert_eq!(cut("a for b for c", " for "), Some(("a", "b for c")));
        assert_eq!(cut("f for", " for "), None);
        assert_eq!(cut(": x", ": "), Some(("", "x")));
        assert_eq!(cut("for  for  x", "  x"), Some(("for  for", "")));
        assert_eq!(cut("\u{e9}  [\u{e9}", " ["), Some(("\u{e9} ", "\u{e9}")));
        assert_eq!(cut("a   b", "   "), Some(("a", "b")));
        assert_eq!((cut("", " x"), cut("x", " x"), cut("abc", "abcd")), (None, None, None));
    }

    #[test]
    fn a_last_cut_is_at_the_last_mark() {
        assert_eq!(last_cut("a by b by c", " by "), Some(("a by b", "c")));
        assert_eq!(last_cut("aaa", "aa"), Some(("a", "")));
        assert_eq!(last_cut("\u{e9}  [\u{e9}", " ["), Some(("\u{e9} ", "\u{e9}")));
        assert_eq!(
            (last("by ", " by "), last("by", " by "), last("", "x"), last(" x", " x")),
            (None, None, None, Some(0))
        );
    }

    #[test]
    fn a_text_holds_its_parts() {
        assert!(holds(r#"{"b":1,"MESSAGE":"x"}"#, "\"MESSAGE\""));
        for text in ["", "MESSAGE\"", "\"MESSAGE", "\"MESSAG\" M"] {
            assert!(!holds(text, "\"MESSAGE\""), "{text}");
        }
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        assert_eq!(number("0042"), Some(42));
        for bad in ["", "-1", "1a", "1234567890", "\u{661}"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(port("65535"), Some(65_535));
        assert_eq!(port("65536"), None);
        assert_eq!(
            ["2.000123", "0.5", "3", "-", "1.x"].map(milliseconds),
            [Some(2000), Some(500), Some(3000), None, None]
        );
    }
}
