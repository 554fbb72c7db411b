//! Times as logs write them.
//!
//! In: text that begins with a time, the moment it was read and the host's offset from UTC. Out: the moment
//! in UTC, the text of the time, whether its zone was assumed, and what follows. Nothing is guessed beyond
//! two things: a missing zone is the host's, and a missing year is the latest that does not put the line
//! more than a day after it was read (clocks differ, and lines are read when they are already old).

mod access;

use std::cell::Cell;

use shared::time::{Timestamp, civil_from_days, days_from_civil};

use crate::event::Event;
use crate::schema::Attribute;
pub(super) use access::access;

/// What a time without a zone or year is completed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference {
    /// When the agent read the line.
    pub(super) read_at: Timestamp,
    /// Minutes east of UTC of the host's clock.
    pub(super) utc_offset_minutes: i32,
}

/// A time found in a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp<'a> {
    pub(super) time: Timestamp,
    /// As it stands in the line.
    pub(super) text: &'a str,
    /// The offset, in minutes, that was assumed for a time without one.
    pub(super) assumed_offset: Option<i32>,
}

impl<'a> Stamp<'a> {
    /// Sets `time`, `metadata.original_time` and, where a zone was assumed, `timezone_offset`.
    pub(super) fn apply(self, event: &mut Event<'a>) {
        event.time = self.time;
        event.push(Attribute::MetadataOriginalTime, self.text);
        if let Some(minutes) = self.assumed_offset {
            event.push(Attribute::TimezoneOffset, minutes);
        }
    }

    /// The same reading of the clock in a zone that the line names after it, in place of the one that was assumed.
    pub(super) fn in_zone(self, minutes: i32) -> Self {
        let assumed = self.assumed_offset.unwrap_or(minutes);
        let shift = i64::from(assumed - minutes) * 60 * SECOND_NS;
        Self { time: Timestamp(self.time.0.saturating_add(shift)), assumed_offset: None, ..self }
    }
}

const SECOND_NS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;
/// Years whose every moment a [`Timestamp`] can hold.
const YEARS: std::ops::RangeInclusive<u32> = 1678..=2261;

/// A position in bytes that only moves over what it was asked for.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// `min` to `max` decimal digits.
    fn digits(&mut self, min: usize, max: usize) -> Option<u32> {
        let (start, mut value) = (self.at, 0_u32);
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            if self.at - start == max {
                break;
            }
            value = value * 10 + u32::from(digit - b'0');
            self.at += 1;
        }
        (self.at - start >= min).then_some(value)
    }

    /// English month abbreviation, in letters of either case, 1 to 12.
    fn month(&mut self) -> Option<u8> {
        let [first, rest @ ..] = self.bytes.get(self.at..)?.first_chunk::<3>()?;
        let month = match &[first.to_ascii_uppercase(), rest[0].to_ascii_lowercase(), rest[1].to_ascii_lowercase()] {
            b"Jan" => 1,
            b"Feb" => 2,
            b"Mar" => 3,
            b"Apr" => 4,
            b"May" => 5,
            b"Jun" => 6,
            b"Jul" => 7,
            b"Aug" => 8,
            b"Sep" => 9,
            b"Oct" => 10,
            b"Nov" => 11,
            b"Dec" => 12,
            _ => return None,
        };
        self.at += 3;
        Some(month)
    }

    /// `hh:mm:ss` and a fraction after `.` or `,`: nanoseconds of the day.
    fn clock(&mut self) -> Option<i64> {
        Some(self.whole_clock()? + self.fraction())
    }

    /// `hh:mm:ss`: nanoseconds of the day. A leap second is the one before.
    fn whole_clock(&mut self) -> Option<i64> {
        let hours = self.digits(1, 2).filter(|h| *h < 24)?;
        self.eat(b':')?;
        let minutes = self.digits(2, 2).filter(|m| *m < 60)?;
        self.eat(b':')?;
        let seconds = self.digits(2, 2).filter(|s| *s <= 60)?.min(59);
        Some(i64::from(hours * 3600 + minutes * 60 + seconds) * SECOND_NS)
    }

    /// Nanoseconds after `.` or `,`; digits beyond the ninth are read and dropped.
    fn fraction(&mut self) -> i64 {
        let dot = matches!(self.peek(), Some(b'.' | b','));
        if !dot || !self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            return 0;
        }
        self.at += 1;
        let (mut nanos, mut unit) = (0, SECOND_NS / 10);
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            nanos += i64::from(digit - b'0') * unit;
            unit /= 10;
            self.at += 1;
        }
        nanos
    }

    /// `Z`, `+hh:mm`, `+hhmm` or `+hh`: minutes east of UTC.
    fn zone(&mut self) -> Option<i32> {
        let sign = match self.peek()? {
            b'Z' | b'z' => {
                self.at += 1;
                return Some(0);
            }
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let start = self.at;
        self.at += 1;
        let minutes = self.digits(2, 2).filter(|h| *h < 24).and_then(|hours| {
            let _ = self.eat(b':');
            let minutes = if self.peek().is_some_and(|b| b.is_ascii_digit()) { self.digits(2, 2)? } else { 0 };
            i32::try_from(hours * 60 + minutes).ok().filter(|_| minutes < 60)
        });
        if minutes.is_none() {
            self.at = start;
        }
        minutes.map(|minutes| sign * minutes)
    }
}

/// The moment of a local date and time of day, if the date exists.
pub(super) fn moment(year: u32, month: u8, day: u32, clock_ns: i64, offset_minutes: i32) -> Option<Timestamp> {
    let day = u8::try_from(day).ok()?;
    if !YEARS.contains(&year) || !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let days = days_from_civil(i64::from(year), month, day);
    Some(Timestamp(days * DAY_SECONDS * SECOND_NS + clock_ns - i64::from(offset_minutes) * 60 * SECOND_NS))
}

/// How many days a month of the Gregorian calendar has.
fn days_of_month(year: u32, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The moment of a date without a year: see the module's doc. Leap days go back to a year that has one.
pub(super) fn moment_without_year(month: u8, day: u32, clock_ns: i64, reference: Reference) -> Option<Timestamp> {
    const LEAP_CYCLE_YEARS: u32 = 8;
    let latest = reference.read_at.0.saturating_add(DAY_SECONDS * SECOND_NS);
    let year = u32::try_from(civil_from_days(Timestamp(latest).day()).0).ok()?.saturating_add(1);
    (0..=LEAP_CYCLE_YEARS + 1)
        .filter_map(|back| moment(year.checked_sub(back)?, month, day, clock_ns, reference.utc_offset_minutes))
        .find(|time| time.0 <= latest)
}

/// RFC 3164 §4.1.2 `Mmm dd hh:mm:ss`, with the deviations that are seen: one-digit days without padding, a
/// year before or after the clock, a fraction.
pub(super) fn bsd(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let Some(second) = Second::of(text, reference) else { return read_bsd(text, reference) };
    if let Some((_, time)) = SECOND.get().filter(|(known, _)| *known == second) {
        let (text, rest) = text.split_at_checked(Second::LEN)?;
        return Some((Stamp { time, text, assumed_offset: Some(reference.utc_offset_minutes) }, rest));
    }
    let found = read_bsd(text, reference);
    if let Some((stamp, _)) = found.filter(|(stamp, _)| stamp.text.len() == Second::LEN) {
        SECOND.set(Some((second, stamp.time)));
    }
    found
}

/// The usual form of RFC 3164, `Mmm dd hh:mm:ss` with no year behind it, and what completes it. Lines come in order: most
/// are of the same second as the one before.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Second {
    text: [u8; Second::LEN],
    read_at: Timestamp,
    utc_offset_minutes: i32,
}

thread_local! {
    /// The one that was read last, and its moment: a function of nothing else.
    static SECOND: Cell<Option<(Second, Timestamp)>> = const { Cell::new(None) };
}

impl Second {
    const LEN: usize = 15;

    fn of(text: &str, reference: Reference) -> Option<Self> {
        let (second, rest) = text.as_bytes().split_first_chunk::<{ Self::LEN }>()?;
        let ends = matches!(rest, [b' ', behind, ..] if !behind.is_ascii_digit());
        let Reference { read_at, utc_offset_minutes } = reference;
        ends.then_some(Self { text: *second, read_at, utc_offset_minutes })
    }
}

fn read_bsd(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let month = cursor.month()?;
    cursor.eat(b' ')?;
    let _ = cursor.eat(b' ');
    let day = cursor.digits(1, 2)?;
    cursor.eat(b' ')?;
    let mut year = None;
    if cursor.bytes.get(cursor.at + 4) == Some(&b' ') {
        year = Some(cursor.digits(4, 4)?);
        cursor.eat(b' ')?;
    }
    let clock = cursor.clock()?;
    let end = cursor.at;
    if year.is_none() && cursor.eat(b' ').is_some() {
        // A colon ends the year of some devices; an address of IPv6 goes on behind it.
        let followed =
            |c: &Cursor<'_>| matches!(c.bytes.get(c.at..), Some([] | [b' ' | b']', ..] | [b':'] | [b':', b' ', ..]));
        year = cursor.digits(4, 4).filter(|year| (1970..2100).contains(year) && followed(&cursor));
        if year.is_none() {
            cursor.at = end;
        }
    }
    let time = match year {
        Some(year) => moment(year, month, day, clock, reference.utc_offset_minutes)?,
        None => moment_without_year(month, day, clock, reference)?,
    };
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes))
}

/// The year before the month: `2026 Mar 16 10:00:00.123` (NX-OS, and relays that say the year).
pub(super) fn year_first(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let [b'1'..=b'2', _, _, _, b' ', ..] = text.as_bytes() else { return None };
    let (year, rest) = text.split_once(' ')?;
    let rest = rest.trim_start_matches(' ');
    let (_, behind) = read_bsd(rest, reference)?;
    let clock = rest.get(..rest.len() - behind.len())?;
    let time = read_bsd(&format!("{clock} {year}"), reference).map(|(stamp, _)| stamp.time)?;
    let text = text.get(..text.len() - behind.len()).filter(|_| year.bytes().all(|b| b.is_ascii_digit()))?;
    Some((Stamp { time, text, assumed_offset: Some(reference.utc_offset_minutes) }, behind))
}

/// RFC 3339 and ISO 8601: `2026-03-16T09:30:00.123+01:00`, a space for the `T`, a comma for the point, a
/// space before the zone, or no zone at all.
pub(super) fn iso(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let year = cursor.digits(4, 4)?;
    let separator = cursor.peek().filter(|b| matches!(b, b'-' | b'/'))?;
    cursor.eat(separator)?;
    let month = u8::try_from(cursor.digits(2, 2)?).ok()?;
    cursor.eat(separator)?;
    let day = cursor.digits(2, 2)?;
    cursor.eat(b'T').or_else(|| cursor.eat(b't')).or_else(|| cursor.eat(b' '))?;
    let clock = cursor.clock()?;
    let end = cursor.at;
    let signed = |byte: Option<&u8>| matches!(byte, Some(b'+' | b'-'));
    if cursor.peek() == Some(b' ') && signed(cursor.bytes.get(end + 1)) {
        cursor.at += 1;
    }
    let zone = cursor.zone();
    if zone.is_none() {
        cursor.at = end;
    }
    let time = moment(year, month, day, clock, zone.unwrap_or(reference.utc_offset_minutes))?;
    stamped(text, &cursor, time, zone.is_none().then_some(reference.utc_offset_minutes))
}

/// A whole text that is a day, any number of spaces, and a clock: `2026-03-16  10:00:00` (apt).
pub(super) fn spaced(text: &str, reference: Reference) -> Option<Stamp<'_>> {
    let (day, clock) = text.split_once(' ')?;
    let mut cursor = Cursor { bytes: day.as_bytes(), at: 0 };
    let year = cursor.digits(4, 4)?;
    cursor.eat(b'-')?;
    let month = u8::try_from(cursor.digits(2, 2)?).ok()?;
    cursor.eat(b'-')?;
    let day = cursor.digits(2, 2)?;
    let clock = Cursor { bytes: clock.trim().as_bytes(), at: 0 }.clock()?;
    let time = moment(year, month, day, clock, reference.utc_offset_minutes)?;
    Some(Stamp { time, text, assumed_offset: Some(reference.utc_offset_minutes) })
}

/// Times of MySQL and MariaDB: as [`iso`], also with a space for the hour's first digit, `YYMMDD hh:mm:ss` and
/// `YYYYMMDD hh:mm:ss`.
pub(super) fn mysql(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    if let Some(found) = iso(text, reference) {
        return Some(found);
    }
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let year = match digits {
        4 | 8 => cursor.digits(4, 4)?,
        6 => 2000 + cursor.digits(2, 2)?,
        _ => return None,
    };
    if digits == 4 {
        cursor.eat(b'-')?;
    }
    let month = u8::try_from(cursor.digits(2, 2)?).ok()?;
    if digits == 4 {
        cursor.eat(b'-')?;
    }
    let day = cursor.digits(2, 2)?;
    cursor.eat(b' ')?;
    let _ = cursor.eat(b' ');
    let clock = cursor.whole_clock()?;
    // A comma ends the time: in the audit log the server's name follows it.
    let fraction = if cursor.peek() == Some(b'.') { cursor.fraction() } else { 0 };
    let time = moment(year, month, day, clock + fraction, reference.utc_offset_minutes)?;
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes))
}

/// A date and a time of day that stand apart (`2026-03-16`, `10:00:00`, a space after the hour is passed over), with a zone or
/// none (`-0500`).
pub(super) fn parts<'a>(date: &'a str, clock: &str, zone: Option<&str>, reference: Reference) -> Option<Stamp<'a>> {
    let mut cursor = Cursor { bytes: date.as_bytes(), at: 0 };
    let year = cursor.digits(4, 4)?;
    cursor.eat(b'-')?;
    let month = u8::try_from(cursor.digits(1, 2)?).ok()?;
    cursor.eat(b'-')?;
    let day = cursor.digits(1, 2)?;
    let mut clock = Cursor { bytes: clock.as_bytes(), at: 0 };
    let hours = clock.digits(1, 2).filter(|hours| *hours < 24)?;
    clock.eat(b':')?;
    let _ = clock.eat(b' ');
    let minutes = clock.digits(2, 2).filter(|minutes| *minutes < 60)?;
    clock.eat(b':')?;
    let seconds = clock.digits(2, 2).filter(|seconds| *seconds <= 60)?.min(59);
    let fraction = clock.fraction();
    let zone = zone.and_then(|zone| Cursor { bytes: zone.as_bytes(), at: 0 }.zone());
    let since = i64::from(hours * 3600 + minutes * 60 + seconds) * SECOND_NS + fraction;
    let time = moment(year, month, day, since, zone.unwrap_or(reference.utc_offset_minutes))?;
    Some(Stamp { time, text: date, assumed_offset: zone.is_none().then_some(reference.utc_offset_minutes) })
}

/// `19-Oct-2022 05:34:02.425`, as BIND writes it (lib/isc/log.c, isc_time_formattimestamp).
pub(super) fn day_month_year(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let day = cursor.digits(1, 2)?;
    cursor.eat(b'-')?;
    let month = cursor.month()?;
    cursor.eat(b'-')?;
    let year = cursor.digits(4, 4)?;
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    let time = moment(year, month, day, clock, reference.utc_offset_minutes)?;
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes))
}

/// `0316 10:00:00.123456`: month and day without a year, as glog writes them.
pub(super) fn month_day(text: &str, reference: Reference) -> Option<Stamp<'_>> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let month = u8::try_from(cursor.digits(2, 2)?).ok()?;
    let day = cursor.digits(2, 2)?;
    cursor.eat(b' ')?;
    let clock = cursor.clock()?;
    let time = moment_without_year(month, day, clock, reference)?;
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes)).map(|(stamp, _)| stamp)
}

/// `16 Mar 2026 10:00:00.123`, as Redis writes it; before version 4 there is no year.
pub(super) fn spelled(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let day = cursor.digits(1, 2)?;
    cursor.eat(b' ')?;
    let month = cursor.month()?;
    cursor.eat(b' ')?;
    let year = (cursor.bytes.get(cursor.at + 4) == Some(&b' ')).then(|| cursor.digits(4, 4));
    if year.is_some() {
        cursor.eat(b' ')?;
    }
    let clock = cursor.clock()?;
    let time = match year {
        Some(year) => moment(year?, month, day, clock, reference.utc_offset_minutes)?,
        None => moment_without_year(month, day, clock, reference)?,
    };
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes))
}

/// A time of day alone, `10:00:00.123456789`: the last one that was when the line was read, with a minute's grace.
pub(super) fn clock(text: &str, reference: Reference) -> Option<(Stamp<'_>, &str)> {
    const DAY_NS: i64 = 86_400 * SECOND_NS;
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let clock = cursor.clock()?;
    let shift = i64::from(reference.utc_offset_minutes) * 60 * SECOND_NS;
    let local = reference.read_at.0.checked_add(shift)?;
    let today = local.checked_sub(local.rem_euclid(DAY_NS))?.checked_add(clock)?;
    let passed = if today > local.saturating_add(60 * SECOND_NS) { today.checked_sub(DAY_NS)? } else { today };
    let time = Timestamp(passed.checked_sub(shift)?);
    stamped(text, &cursor, time, Some(reference.utc_offset_minutes))
}

/// TAI64N, `@` and 24 hexadecimal digits, as multilog writes it; leap seconds as of 2017 (10 before 1972, 37 since) are
/// taken as ten, which is what multilog's own tools do. Source: cr.yp.to/libtai/tai64.html.
pub(super) fn tai64n(text: &str) -> Option<(Stamp<'_>, &str)> {
    let (label, rest) = text.split_at_checked(25)?;
    let seconds = i64::from_str_radix(label.strip_prefix('@')?.get(..16)?, 16).ok()?;
    let nanos = i64::from_str_radix(label.get(17..)?, 16).ok().filter(|nanos| *nanos < SECOND_NS)?;
    let seconds = seconds.checked_sub(0x4000_0000_0000_0000)?.checked_sub(10)?;
    let time = Timestamp(seconds.checked_mul(SECOND_NS)?.checked_add(nanos)?);
    Some((Stamp { time, text: label, assumed_offset: None }, rest))
}

/// A count since the epoch in seconds, milliseconds, microseconds or nanoseconds, told by its size.
pub(super) fn epoch(count: f64) -> Option<Timestamp> {
    const UNITS: [(f64, f64); 4] = [(1e11, 1e9), (1e14, 1e6), (1e17, 1e3), (9e18, 1.0)];
    if !(count.is_finite() && count > 0.0) {
        return None;
    }
    let (_, nanos) = UNITS.into_iter().find(|(below, _)| count < *below)?;
    let nanos = (count * nanos).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked to lie within i64 on this line")]
    (nanos < 9.2e18).then_some(Timestamp(nanos as i64))
}

/// Seconds since the epoch and the digits of their fraction, exactly.
pub(super) fn seconds(whole: &str, fraction: &str) -> Option<Timestamp> {
    let seconds: i64 = whole.parse().ok()?;
    let digits = fraction.get(..fraction.len().min(9))?;
    let scale = 10_i64.checked_pow(u32::try_from(9 - digits.len()).ok()?)?;
    let nanos = if digits.is_empty() { 0 } else { digits.parse::<i64>().ok()?.checked_mul(scale)? };
    Some(Timestamp(seconds.checked_mul(SECOND_NS)?.checked_add(nanos)?))
}

fn stamped<'a>(
    text: &'a str,
    cursor: &Cursor<'_>,
    time: Timestamp,
    assumed_offset: Option<i32>,
) -> Option<(Stamp<'a>, &'a str)> {
    let (text, rest) = text.split_at_checked(cursor.at)?;
    Some((Stamp { time, text, assumed_offset }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read at 2026-03-16T09:30:00Z on a host one hour east of UTC.
    const REFERENCE: Reference = Reference { read_at: Timestamp::from_seconds(1_773_653_400), utc_offset_minutes: 60 };

    fn shown(parsed: Option<(Stamp<'_>, &str)>) -> String {
        parsed.map_or("none".to_owned(), |(stamp, rest)| format!("{} [{}]{rest}", stamp.time, stamp.text))
    }

    #[test]
    fn a_missing_year_is_the_latest_that_is_not_in_the_future() {
        assert_eq!(shown(bsd("Mar 16 10:29:59 h", REFERENCE)), "2026-03-16T09:29:59.000Z [Mar 16 10:29:59] h");
        assert_eq!(shown(bsd("Mar 17 10:00:00", REFERENCE)), "2026-03-17T09:00:00.000Z [Mar 17 10:00:00]");
        assert_eq!(shown(bsd("Mar 18 10:00:00", REFERENCE)), "2025-03-18T09:00:00.000Z [Mar 18 10:00:00]");
        assert_eq!(shown(bsd("Dec 31 23:59:59", REFERENCE)), "2025-12-31T22:59:59.000Z [Dec 31 23:59:59]");
        assert_eq!(shown(bsd("Feb 29 12:00:00", REFERENCE)), "2024-02-29T11:00:00.000Z [Feb 29 12:00:00]");
        let eve = Reference { read_at: Timestamp::from_seconds(1_767_225_500), utc_offset_minutes: 0 };
        assert_eq!(shown(bsd("Jan  1 00:00:10", eve)), "2026-01-01T00:00:10.000Z [Jan  1 00:00:10]");
    }

    #[test]
    fn a_second_that_was_just_read_is_read_the_same_and_for_another_host_or_year_anew() {
        let east = Reference { utc_offset_minutes: 120, ..REFERENCE };
        let before = Reference { read_at: Timestamp::from_seconds(1_700_000_000), ..REFERENCE };
        for _ in 0..2 {
            for (text, reference, expected) in [
                ("Mar 16 10:00:00 h", REFERENCE, "2026-03-16T09:00:00.000Z [Mar 16 10:00:00] h"),
                ("Mar 16 10:00:00 h", REFERENCE, "2026-03-16T09:00:00.000Z [Mar 16 10:00:00] h"),
                ("Mar 16 10:00:00 h", east, "2026-03-16T08:00:00.000Z [Mar 16 10:00:00] h"),
                ("Mar 16 10:00:00 h", before, "2023-03-16T09:00:00.000Z [Mar 16 10:00:00] h"),
                ("Mar 16 10:00:00.5 h", before, "2023-03-16T09:00:00.500Z [Mar 16 10:00:00.5] h"),
                ("Mar 16 10:00:00 2018 h", before, "2018-03-16T09:00:00.000Z [Mar 16 10:00:00 2018] h"),
            ] {
                assert_eq!(shown(bsd(text, reference)), expected, "{text}");
            }
        }
    }

    #[test]
    fn bsd_times_deviate_and_are_read() {
        assert_eq!(shown(bsd("Feb 7 16:01:07 x", REFERENCE)), "2026-02-07T15:01:07.000Z [Feb 7 16:01:07] x");
        assert_eq!(
            shown(bsd("Oct 10 2018 12:34:56 x", REFERENCE)),
            "2018-10-10T11:34:56.000Z [Oct 10 2018 12:34:56] x"
        );
        assert_eq!(
            shown(bsd("Oct 10 12:34:56 2018 x", REFERENCE)),
            "2018-10-10T11:34:56.000Z [Oct 10 12:34:56 2018] x"
        );
        assert_eq!(shown(bsd("Oct 10 12:34:56.5 2x", REFERENCE)), "2025-10-10T11:34:56.500Z [Oct 10 12:34:56.5] 2x");
        assert_eq!(shown(bsd("Jan  1 23:59:60", REFERENCE)), "2026-01-01T22:59:59.000Z [Jan  1 23:59:60]");
        assert_eq!(
            shown(bsd("Oct 10 12:34:56 2001:db8::9 x", REFERENCE)),
            "2025-10-10T11:34:56.000Z [Oct 10 12:34:56] 2001:db8::9 x"
        );
        assert_eq!(
            shown(year_first("2018 Oct 10 12:34:56.5 x", REFERENCE)),
            "2018-10-10T11:34:56.500Z [2018 Oct 10 12:34:56.5] x"
        );
        assert_eq!(shown(year_first("20x8 Oct 10 12:34:56 x", REFERENCE)), "none");
        for bad in ["", "Jan", "Foo 1 00:00:00", "Jan 32 00:00:00", "Jan 1 24:00:00", "Feb 30 00:00:00", "Jan 1 1:2:3"]
        {
            assert_eq!(shown(bsd(bad, REFERENCE)), "none", "{bad}");
        }
    }

    #[test]
    fn iso_times_keep_their_zone_or_take_the_hosts() {
        for (text, utc) in [
            ("2026-03-16T09:30:00.123456Z", "2026-03-16T09:30:00.123Z"),
            ("2026-03-16T09:30:00+01:00", "2026-03-16T08:30:00.000Z"),
            ("2020-03-23 06:47:42.801612-0700", "2020-03-23T13:47:42.801Z"),
            ("2020-03-23 06:47:42 +0200", "2020-03-23T04:47:42.000Z"),
            ("2015-10-18 18:01:47,978", "2015-10-18T17:01:47.978Z"),
            ("2026-03-16T09:30:00.1234567891234Z", "2026-03-16T09:30:00.123Z"),
        ] {
            assert_eq!(shown(iso(text, REFERENCE)), format!("{utc} [{text}]"));
        }
        let (stamp, rest) = iso("2015-10-18 18:01:47 - x", REFERENCE).unwrap();
        assert_eq!((stamp.assumed_offset, rest), (Some(60), " - x"));
        for bad in
            ["2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "9999-01-01T00:00:00Z", "2026-03-16", "20260316T000000"]
        {
            assert_eq!(shown(iso(bad, REFERENCE)), "none", "{bad}");
        }
    }

    #[test]
    fn access_log_times_are_read() {
        let text = "10/Oct/2000:13:55:36 -0700";
        assert_eq!(shown(access(text, REFERENCE)), format!("2000-10-10T20:55:36.000Z [{text}]"));
        let text = "10/10/2000:13:55:36 -0700";
        assert_eq!(shown(access(text, REFERENCE)), format!("2000-10-10T20:55:36.000Z [{text}]"));
        assert_eq!(shown(access("10/Oct/2000", REFERENCE)), "none");
    }

    #[test]
    fn counts_since_the_epoch_are_told_by_size() {
        for count in [1_700_000_000.0, 1_700_000_000_000.0, 1.7e15, 1.7e18] {
            assert_eq!(epoch(count).map(Timestamp::as_seconds), Some(1_700_000_000), "{count}");
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(epoch(bad), None, "{bad}");
        }
    }
}
