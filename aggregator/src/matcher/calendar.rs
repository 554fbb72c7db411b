//! Parts of a moment: what `minute`, `hour`, `day`, `week`, `month` and `year` compare.
//!
//! In: an ISO 8601 text, taken as it is written (Sigma 2.1.0 knows no time zones), or a number of seconds,
//! milliseconds, microseconds or nanoseconds since 1970, told apart by their size, in UTC. Weeks are those
//! of ISO 8601.

use shared::time::{civil_from_days, days_from_civil};

/// A part of a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// 0–59
    Minute,
    /// 0–23
    Hour,
    /// 1–31
    Day,
    /// 1–53
    Week,
    /// 1–12
    Month,
    /// The year.
    Year,
}

/// The part of the moment that the text names; none if it names no moment.
#[must_use]
pub fn part(text: &str, part: Part) -> Option<i64> {
    let text = text.trim();
    let (days, seconds) = if let Ok(number) = text.parse::<i64>() { since_epoch(number) } else { iso(text)? };
    let (year, month, day) = civil_from_days(days);
    Some(match part {
        Part::Minute => seconds / 60 % 60,
        Part::Hour => seconds / 3600,
        Part::Day => i64::from(day),
        Part::Week => week(days),
        Part::Month => i64::from(month),
        Part::Year => year,
    })
}

/// Days and seconds of the day.
fn since_epoch(number: i64) -> (i64, i64) {
    let seconds = match number.unsigned_abs() {
        0..100_000_000_000 => number,
        100_000_000_000..100_000_000_000_000 => number.div_euclid(1_000),
        100_000_000_000_000..100_000_000_000_000_000 => number.div_euclid(1_000_000),
        _ => number.div_euclid(1_000_000_000),
    };
    (seconds.div_euclid(86_400), seconds.rem_euclid(86_400))
}

/// `2026-03-16`, `2026-03-16T09:30`, `2026-03-16 09:30:00.123+01:00`.
fn iso(text: &str) -> Option<(i64, i64)> {
    let (date, time) = text.split_at_checked(10)?;
    let number = |range: std::ops::Range<usize>| {
        let digits = date.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let dashes = date.get(4..5)? == "-" && date.get(7..8)? == "-";
    if !dashes || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_from_civil(year, u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    if time.is_empty() {
        return Some((days, 0));
    }
    let clock = time.strip_prefix(['T', 't', ' ']).unwrap_or(time).as_bytes();
    let &[h, hh, b':', m, mm, ..] = clock else { return None };
    let two = |a: u8, b: u8| {
        let digits = a.is_ascii_digit() && b.is_ascii_digit();
        digits.then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    let (hour, minute) = (two(h, hh)?, two(m, mm)?);
    (hour < 24 && minute < 60).then_some((days, hour * 3600 + minute * 60))
}

/// The week of ISO 8601: the one that holds the day's Thursday, counted from that Thursday's year's first.
fn week(days: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let (year, _, _) = civil_from_days(thursday);
    (thursday - days_from_civil(year, 1, 1)) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_as_they_are_written() {
        let text = "2026-03-16T09:30:05.5+05:00";
        let parts = [Part::Minute, Part::Hour, Part::Day, Part::Week, Part::Month, Part::Year];
        assert_eq!(parts.map(|p| part(text, p).unwrap()), [30, 9, 16, 12, 3, 2026]);
        assert_eq!(part("2026-03-16 23:59", Part::Hour), Some(23));
        assert_eq!(part("2026-03-16", Part::Hour), Some(0));
    }

    #[test]
    fn numbers_are_moments_whatever_their_unit() {
        for number in ["1773653400", "1773653400000", "1773653400000000", "1773653400000000000"] {
            assert_eq!((part(number, Part::Hour), part(number, Part::Minute)), (Some(9), Some(30)), "{number}");
        }
    }

    #[test]
    fn weeks_at_the_turn_of_the_year_are_those_of_iso_8601() {
        for (date, number) in [("2021-01-03", 53), ("2021-01-04", 1), ("2018-12-31", 1), ("2020-12-31", 53)] {
            assert_eq!(part(date, Part::Week), Some(number), "{date}");
        }
    }

    #[test]
    fn what_names_no_moment_has_no_parts() {
        for text in
            ["", "yesterday", "2026-13-01", "2026-03-16T25:00", "2026-03-16Txx:00", "16/03/2026 1:00", "äöüäöüäöü"]
        {
            assert_eq!(part(text, Part::Hour), None, "{text}");
        }
    }
}
