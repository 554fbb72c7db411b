//! A time as a value of a structured line: ISO 8601, an access log's, syslog's, a count since the epoch, and kin of these.
//!
//! In: a leaf. Out: the moment, and the offset that was assumed where the value names no zone. What is no time is none.

use shared::time::Timestamp;

use super::super::timestamp::{self, Reference};
use super::super::zones;
use super::Leaf;

/// When it was, and the offset that was assumed for a time without one.
pub(super) fn moment(leaf: &Leaf<'_>, reference: Reference) -> Option<(Timestamp, Option<i32>)> {
    match leaf {
        Leaf::Text(text) => {
            let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            let found = timestamp::iso(text, reference)
                .or_else(|| timestamp::access(text, reference))
                .or_else(|| timestamp::bsd(text, reference))
                .or_else(|| timestamp::bsd(without_day(text)?, reference));
            match found {
                Some((stamp, rest)) if rest.trim().is_empty() => Some((stamp.time, stamp.assumed_offset)),
                Some((stamp, rest)) => match zones::minutes(rest.trim()) {
                    Some(minutes) => Some((stamp.in_zone(minutes).time, None)),
                    None => year_last(text, reference),
                },
                None if matches!(text.as_bytes(), [_, _, b'/', _, _, b'/', ..]) => numbered(text, reference),
                None if text.get(4..5) == Some("/") => moment_of(&text.replacen('/', "-", 2), reference),
                None if text.as_bytes().first().is_some_and(u8::is_ascii_digit) && text.contains(' ') => {
                    day_first(text, reference)
                }
                None => count(text).map(|time| (time, None)),
            }
        }
        Leaf::Number(number) => count(number).map(|time| (time, None)),
        _ => None,
    }
}

/// `2026/03/16 10:00:00`, once its day is written as in ISO 8601.
fn moment_of(text: &str, reference: Reference) -> Option<(Timestamp, Option<i32>)> {
    let (stamp, rest) = timestamp::iso(text, reference)?;
    rest.trim().is_empty().then_some((stamp.time, stamp.assumed_offset))
}

/// `16 March 2026 10:00:00`, or the same with the month cut short.
fn day_first(text: &str, reference: Reference) -> Option<(Timestamp, Option<i32>)> {
    let mut words = text.split(' ');
    let (day, month, rest) = (words.next()?, words.next()?.get(..3)?, words.next()?);
    let written = format!("{month} {day:>2} {rest} {}", words.next()?);
    let (stamp, rest) = timestamp::bsd(&written, reference)?;
    (rest.is_empty() && words.next().is_none()).then_some((stamp.time, stamp.assumed_offset))
}

/// `03/16/2026 10:00:00`, `16/03/2026 10:00:00`: the month stands first where both can be one.
fn numbered(text: &str, reference: Reference) -> Option<(Timestamp, Option<i32>)> {
    let (first, second, rest) = (text.get(..2)?, text.get(3..5)?, text.get(6..)?);
    let (month, day) = if first > "12" { (second, first) } else { (first, second) };
    moment_of(&format!("{}-{month}-{day}{}", rest.get(..4)?, rest.get(4..)?), reference)
}

/// `Mon Mar 16 10:00:00 UTC 2026`, as Java and `date` write it.
fn year_last(text: &str, reference: Reference) -> Option<(Timestamp, Option<i32>)> {
    let mut words = without_day(text)?.split_ascii_whitespace();
    let (month, day, clock) = (words.next()?, words.next()?, words.next()?);
    let (zone, year) = (words.next()?, words.next().filter(|year| year.len() == 4)?);
    let written = format!("{month} {day:>2} {year} {clock}");
    let (stamp, rest) = timestamp::bsd(&written, reference)?;
    let minutes = zones::minutes(zone)?;
    rest.is_empty().then_some((stamp.in_zone(minutes).time, None))
}

/// `Mon Mar 16 10:00:00 2026` without its day.
fn without_day(text: &str) -> Option<&str> {
    const DAYS: [&str; 7] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    DAYS.into_iter().find_map(|day| text.strip_prefix(day))
}

/// A count since the epoch; one of less than nine digits is something else.
fn count(text: &str) -> Option<Timestamp> {
    let digits = text.split('.').next().unwrap_or_default();
    if !(9..=19).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A float of 64 bits has no room for nanoseconds.
    let fraction = text.get(digits.len()..).unwrap_or_default();
    match (digits.parse::<i64>().ok(), digits.len(), fraction) {
        (Some(seconds), 9..=11, fraction) => {
            let nanos = fraction.strip_prefix('.').unwrap_or_default();
            let nanos = nanos.get(..nanos.len().min(9)).and_then(|nanos| format!("{nanos:0<9}").parse::<i64>().ok());
            seconds.checked_mul(1_000_000_000)?.checked_add(nanos?).map(Timestamp)
        }
        (Some(count), 12..=14, "") => count.checked_mul(1_000_000).map(Timestamp),
        (Some(count), 15..=17, "") => count.checked_mul(1000).map(Timestamp),
        (Some(count), 18.., "") => Some(Timestamp(count)),
        _ => timestamp::epoch(text.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_however_a_program_writes_them() {
        let reference = Reference { read_at: Timestamp::from_seconds(1_773_653_400), utc_offset_minutes: 0 };
        for text in [
            "2026-03-16T09:00:00Z",
            "[16/Mar/2026:10:00:00 +0100]",
            "2026/03/16 09:00:00",
            "03/16/2026 09:00:00",
            "16/03/2026 09:00:00",
            "16 March 2026 09:00:00",
            "Mon Mar 16 09:00:00 2026",
            "Mon Mar 16 10:00:00 CET 2026",
            "1773651600",
            "1773651600000",
        ] {
            let found = moment(&Leaf::Text(text.into()), reference);
            assert_eq!(found.map(|(time, _)| time), Some(Timestamp::from_seconds(1_773_651_600)), "{text}");
        }
        for text in ["", "[", "13/13/2026 09:00:00", "03/16/26", "Mon Mar 16 09:00:00 XXX 2026", "12345"] {
            assert_eq!(moment(&Leaf::Text(text.into()), reference), None, "{text}");
        }
    }

    #[test]
    fn counts_keep_their_fraction() {
        let nanos = |text: &str| count(text).map(|time| time.0);
        assert_eq!(nanos("1700000000.123456"), Some(1_700_000_000_123_456_000));
        assert_eq!(nanos("1700000000"), Some(1_700_000_000_000_000_000));
        assert_eq!(nanos("1700000000123"), Some(1_700_000_000_123_000_000));
        assert_eq!((nanos("17"), nanos("17x0000000"), nanos("")), (None, None, None));
    }
}
