//! Times as sets write them, compared with the time of an event.
//!
//! A set that reads a line without a year puts its own in; what the line does not say is not compared.

use shared::time::{Timestamp, civil_from_days, days_from_civil};

const DAY_SECONDS: i64 = 86_400;

/// A time of a set.
#[derive(Clone, Copy, Debug)]
struct Told {
    year: i64,
    /// Seconds since the epoch, as if it were UTC.
    local_seconds: i64,
    milliseconds: Option<i64>,
    offset_minutes: Option<i64>,
}

/// `2005-06-21T16:47:48[.123][Z|+01:00]`, a space for the `T`.
fn told(text: &str) -> Option<Told> {
    let text = text.trim_start_matches("t'").trim_end_matches('\'');
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, u8::try_from(number(5, 7)?).ok()?, u8::try_from(number(8, 10)?).ok()?);
    let seconds = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let fraction: String = rest.chars().skip(1).take(digits).chain("000".chars()).take(3).collect();
    let zone = rest.get(if digits > 0 { digits + 1 } else { 0 }..)?;
    let offset_minutes = match zone.bytes().next() {
        Some(b'Z') => Some(0),
        Some(sign @ (b'+' | b'-')) => {
            let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
            let minutes = digits.get(0..2)?.parse::<i64>().ok()? * 60 + digits.get(2..4)?.parse::<i64>().ok()?;
            Some(if sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    };
    let local_seconds = days_from_civil(year, month, day) * DAY_SECONDS + seconds;
    let milliseconds = (digits > 0).then(|| fraction.parse().ok()).flatten();
    Some(Told { year, local_seconds, milliseconds, offset_minutes })
}

/// Whether an event's time is the one that a set tells. `local` is the offset, in minutes, that the set's own clock had in
/// winter where it names no zone; it keeps the summer time of central Europe then.
pub fn same(event_ms: i64, assumed_offset: bool, line: &str, expected: &str, local: i64) -> bool {
    let Some(told) = told(expected) else { return false };
    let offsets = match told.offset_minutes {
        Some(offset) => vec![offset],
        None if assumed_offset => vec![0],
        None => vec![0, local, local + 60],
    };
    let year_in_line = line.contains(&told.year.to_string())
        || line.bytes().filter(u8::is_ascii_digit).count() >= 10 && epoch_in(line);
    offsets.into_iter().any(|offset| {
        let seconds = told.local_seconds - offset * 60;
        let (event_seconds, event_fraction) = (event_ms.div_euclid(1000), event_ms.rem_euclid(1000));
        let whole =
            if year_in_line { event_seconds == seconds } else { within_year(event_seconds) == within_year(seconds) };
        whole && told.milliseconds.is_none_or(|ms| ms == 0 || event_fraction == 0 || ms == event_fraction)
    })
}

/// Whether a line holds a count of seconds since the epoch.
fn epoch_in(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= 10 && digits.starts_with('1'))
}

/// Month, day and second of the day.
fn within_year(seconds: i64) -> (u8, u8, i64) {
    let (_, month, day) = civil_from_days(Timestamp::from_seconds(seconds).day());
    (month, day, seconds.rem_euclid(DAY_SECONDS))
}
