//! What one value may be. A rule is a function of the text; its error is the end of a sentence that begins
//! with file, place and key.
//!
//! Sizes are written `64KiB`, `1GiB`; rates `10MiB/s`; durations `500ms`, `10s`, `5m`, `24h`, `180d`;
//! percentages `5%`. Numbers are whole and a unit is never guessed.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::nearest;
use crate::printable::{Excerpt, drives_terminal};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const SIZE_UNITS: [(&str, u64); 5] = [("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];
const DURATION_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest text that a rule takes, in bytes: Linux's `PATH_MAX`.
const TEXT_BYTES_MAX: usize = 4_096;

/// A size in bytes.
pub fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let bytes = quantity(text, &SIZE_UNITS, "a size such as 64KiB or 1GiB")?;
        within(text, bytes, &range, show_size)
    }
}

/// A rate in bytes per second, written as a size and `/s`.
pub fn rate(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let expected = "a rate such as 10MiB/s";
        let size = text.strip_suffix("/s").ok_or_else(|| not(text, expected))?;
        let bytes = quantity(size, &SIZE_UNITS, expected)?;
        within(text, bytes, &range, |bytes| format!("{}/s", show_size(bytes)))
    }
}

/// A duration, to the millisecond.
pub fn duration(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let ms = quantity(text, &DURATION_UNITS, "a duration such as 500ms, 10s, 5m, 24h or 180d")?;
        within(text, Duration::from_millis(ms), &range, show_duration)
    }
}

/// A percentage.
pub fn percent(range: RangeInclusive<u8>) -> impl Fn(&str) -> Result<u8, String> {
    move |text| {
        let digits = text.strip_suffix('%').ok_or_else(|| not(text, "a percentage such as 5%"))?;
        let value = digits_of(digits).ok_or_else(|| not(text, "a percentage such as 5%"))?;
        let value = u8::try_from(value).unwrap_or(u8::MAX);
        within(text, value, &range, |value| format!("{value}%"))
    }
}

/// A whole number.
pub fn number(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let value = digits_of(text).ok_or_else(|| not(text, "a whole number"))?;
        within(text, value, &range, |value| value.to_string())
    }
}

/// `true` or `false`.
///
/// # Errors
/// Anything else; YAML 1.1's `yes`, `no`, `on` and `off` too.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(not(text, "true or false")),
    }
}

/// One of a few words, each with what it stands for.
pub fn word<T: Clone>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| value.clone()).ok_or_else(|| unknown_word(text, words.iter().map(|(name, _)| *name)))
    }
}

/// The end of a sentence about a word that is none of the valid ones: it names the nearest, or all.
pub fn unknown_word<'a>(text: &str, valid: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, valid.clone()) {
        Some(meant) => format!("'{}' is not known; did you mean '{meant}'?", Excerpt(text)),
        None => {
            let all = valid.into_iter().collect::<Vec<_>>().join(", ");
            format!("'{}' is not known; valid: {all}", Excerpt(text))
        }
    }
}

/// Any text of 1 to `chars_max` characters without control characters.
pub fn text(chars_max: usize) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        let chars = text.chars().count();
        if text.chars().any(drives_terminal) {
            Err(format!("'{}' contains control characters", Excerpt(text)))
        } else if (1..=chars_max).contains(&chars) {
            Ok(text.to_owned())
        } else {
            Err(format!("'{}' has {chars} characters; 1 to {chars_max} are allowed", Excerpt(text)))
        }
    }
}

/// A name that stands in metrics, file names and paths: 1 to 64 letters, digits, `_`, `-`, `.`, not first a dot.
///
/// # Errors
/// Anything else.
pub fn name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && !text.starts_with('.');
    if fits && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        Ok(text.to_owned())
    } else {
        Err(not(text, "a name (1 to 64 letters, digits, '_', '-', '.', not first a dot)"))
    }
}

/// A path; a relative one is relative to `folder`, the folder of the file that it stands in.
pub fn path(folder: &Path) -> impl Fn(&str) -> Result<PathBuf, String> {
    move |written| text(TEXT_BYTES_MAX)(written).map(|path| folder.join(path))
}

/// Anything that parses from text, with what is expected instead.
pub fn parsed<T: std::str::FromStr>(expected: &str) -> impl Fn(&str) -> Result<T, String> {
    move |text| text.parse().map_err(|_| not(text, expected))
}

/// A size in its largest exact unit: `64KiB`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZE_UNITS)
}

/// A duration in its largest exact unit, to the millisecond: `180d`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    show(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATION_UNITS)
}

fn show(value: u64, units: &[(&'static str, u64)]) -> String {
    let exact = units.iter().find(|(_, factor)| value != 0 && value.is_multiple_of(*factor));
    let (unit, factor) = exact.or_else(|| units.iter().find(|(_, factor)| *factor == 1)).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

fn quantity(text: &str, units: &[(&'static str, u64)], expected: &str) -> Result<u64, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits_end);
    if digits.is_empty() {
        return Err(not(text, expected));
    }
    if unit.is_empty() {
        let unit_names = units.iter().rev().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        return Err(format!("'{}' has no unit; write one of {unit_names} after the number", Excerpt(text)));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!(
            "in '{}' the unit {}",
            Excerpt(text),
            unknown_word(unit, units.iter().rev().map(|(name, _)| *name))
        ));
    };
    digits_of(digits)
        .and_then(|count| count.checked_mul(*factor))
        .ok_or_else(|| format!("'{}' is larger than any value here can be", Excerpt(text)))
}

fn digits_of(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn within<T: PartialOrd + Copy>(
    text: &str,
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!("'{}' is out of range; {} to {} is allowed", Excerpt(text), show(*range.start()), show(*range.end())))
}

fn not(text: &str, expected: impl Display) -> String {
    format!("'{}' is not {expected}", Excerpt(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_ranges() {
        let rule = size(KIB..=4 * TIB);
        for (text, bytes) in [("1024B", KIB), ("64KiB", 64 * KIB), ("20GiB", 20 * GIB), ("4TiB", 4 * TIB)] {
            assert_eq!(rule(text), Ok(bytes), "{text}");
        }
        for (text, message) in [
            ("64", "'64' has no unit; write one of B, KiB, MiB, GiB, TiB after the number"),
            ("64KB", "in '64KB' the unit 'KB' is not known; did you mean 'KiB'?"),
            ("64 furlongs", "in '64 furlongs' the unit ' furlongs' is not known; valid: B, KiB, MiB, GiB, TiB"),
            ("KiB", "'KiB' is not a size such as 64KiB or 1GiB"),
            ("-1KiB", "'-1KiB' is not a size such as 64KiB or 1GiB"),
            ("1B", "'1B' is out of range; 1KiB to 4TiB is allowed"),
            ("99999999999999999999B", "'99999999999999999999B' is larger than any value here can be"),
            ("99999999TiB", "'99999999TiB' is larger than any value here can be"),
        ] {
            assert_eq!(rule(text), Err(message.to_owned()), "{text}");
        }
    }

    #[test]
    fn durations_have_units_and_ranges() {
        let rule = duration(Duration::from_millis(100)..=Duration::from_secs(180 * 86_400));
        for (text, ms) in
            [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("24h", 86_400_000), ("180d", 15_552_000_000)]
        {
            assert_eq!(rule(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert_eq!(rule("99ms"), Err("'99ms' is out of range; 100ms to 180d is allowed".to_owned()));
        assert_eq!(rule("181d"), Err("'181d' is out of range; 100ms to 180d is allowed".to_owned()));
        assert!(rule("10").unwrap_err().contains("no unit"));
        assert!(rule("1.5s").unwrap_err().contains("the unit '.5s' is not known"));
    }

    #[test]
    fn percentages_rates_and_numbers_are_whole_and_bounded() {
        let five = percent(1..=50);
        assert_eq!(five("5%"), Ok(5));
        for text in ["5", "%", "51%", "0%", "4000%", "5.5%", "-1%"] {
            assert!(five(text).is_err(), "{text}");
        }
        let rate = rate(KIB..=GIB);
        assert_eq!(rate("10MiB/s"), Ok(10 * MIB));
        for text in ["10MiB", "/s", "2GiB/s", "10/s"] {
            assert!(rate(text).is_err(), "{text}");
        }
        let count = number(1..=10);
        assert_eq!(count("10"), Ok(10));
        for text in ["", "0", "11", "+1", "1e1", "0x1", "99999999999999999999"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1_023, KIB, 3 * MIB, 20 * GIB, TIB + 1] {
            assert_eq!(size(0..=u64::MAX)(&show_size(bytes)), Ok(bytes));
        }
        for ms in [0, 1, 1_000, 90_000, 86_400_000] {
            let time = Duration::from_millis(ms);
            assert_eq!(duration(Duration::ZERO..=Duration::MAX)(&show_duration(time)), Ok(time));
        }
    }

    #[test]
    fn words_names_and_truths_are_exact() {
        let rule = word(&[("block", 1), ("drop_oldest", 2)]);
        assert_eq!(rule("drop_oldest"), Ok(2));
        assert_eq!(rule("drop_oldst"), Err("'drop_oldst' is not known; did you mean 'drop_oldest'?".to_owned()));
        assert_eq!(rule("never"), Err("'never' is not known; valid: block, drop_oldest".to_owned()));
        assert_eq!(truth("yes"), Err("'yes' is not true or false".to_owned()));
        for bad in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert_eq!(name("nginx-access_2.old"), Ok("nginx-access_2.old".to_owned()));
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        assert_eq!(path(Path::new("/etc/picket"))("ca.pem"), Ok(PathBuf::from("/etc/picket/ca.pem")));
        assert_eq!(path(Path::new("/etc/picket"))("/var/x"), Ok(PathBuf::from("/var/x")));
        assert!(path(Path::new("/"))("a\0b").is_err());
    }
}
