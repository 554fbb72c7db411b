//! Times as a user's parser describes them: by name of a form that is known, or by the letters of `strftime(3)`.
//!
//! In: a format at start, a text a line. Out: the moment; a text is read once, from left to right.

use shared::time::Timestamp;
use shared::yaml::rule;

use crate::normalize::timestamp::{self, Reference, Stamp};

/// The letters behind `%`.
const LETTERS: &str = "Y m d e y b B a A H I k M S f p z Z s j T F D R %";

/// Names of forms.
const FORMS: [(&str, Form); 5] =
    [("auto", Form::Auto), ("iso", Form::Iso), ("syslog", Form::Bsd), ("access", Form::Access), ("epoch", Form::Epoch)];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Auto,
    Iso,
    Bsd,
    Access,
    Epoch,
}

/// A piece of a format.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Letter(char),
    Text(char),
}

/// How a time is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Clock(How);

#[derive(Clone, PartialEq, Eq, Debug)]
enum How {
    Form(Form),
    Pieces(Vec<Piece>),
}

impl Clock {
    /// The form that is found out line by line.
    pub(super) const AUTO: Self = Self(How::Form(Form::Auto));

    /// Reads a format.
    pub(super) fn parse(format: &str) -> Result<Self, String> {
        if let Some((_, form)) = FORMS.iter().find(|(name, _)| *name == format) {
            return Ok(Self(How::Form(*form)));
        }
        if !format.contains('%') {
            let forms = FORMS.iter().map(|(name, _)| *name);
            return Err(format!(
                "the form {}, or letters such as %Y-%m-%d %H:%M:%S",
                rule::unknown_word(format, forms)
            ));
        }
        let (mut pieces, mut rest) = (Vec::new(), format.chars());
        while let Some(next) = rest.next() {
            if next != '%' {
                pieces.push(Piece::Text(next));
                continue;
            }
            let letter = rest.next().unwrap_or(' ');
            let written_out = match letter {
                'T' => "H:M:S",
                'F' => "Y-m-d",
                'D' => "m/d/y",
                'R' => "H:M",
                _ if LETTERS.contains(letter) && letter != ' ' => {
                    pieces.push(if letter == '%' { Piece::Text('%') } else { Piece::Letter(letter) });
                    continue;
                }
                _ => return Err(format!("'%{}' is not known; valid: {LETTERS}", letter.escape_default())),
            };
            pieces.extend(
                written_out.chars().map(|c| if c.is_ascii_alphabetic() { Piece::Letter(c) } else { Piece::Text(c) }),
            );
        }
        Ok(Self(How::Pieces(pieces)))
    }

    /// The moment that a text tells; a time without a zone is the host's.
    pub(super) fn read<'a>(&self, text: &'a str, reference: Reference) -> Option<Stamp<'a>> {
        let whole = |read: Option<(Stamp<'a>, &'a str)>| read.map(|(stamp, _)| stamp);
        let epoch = || {
            let time = text.parse().ok().and_then(timestamp::epoch)?;
            Some(Stamp { time, text, assumed_offset: None })
        };
        match &self.0 {
            How::Form(Form::Iso) => whole(timestamp::iso(text, reference)),
            How::Form(Form::Bsd) => whole(timestamp::bsd(text, reference)),
            How::Form(Form::Access) => whole(timestamp::access(text, reference)),
            How::Form(Form::Epoch) => epoch(),
            How::Form(Form::Auto) => whole(timestamp::iso(text, reference))
                .or_else(|| whole(timestamp::bsd(text, reference)))
                .or_else(|| whole(timestamp::access(text, reference)))
                .or_else(epoch),
            How::Pieces(pieces) => Told::default().read(pieces, text)?.stamp(text, reference),
        }
    }
}

/// What the pieces of a text told.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanoseconds: i64,
    afternoon: Option<bool>,
    offset_minutes: Option<i32>,
    epoch: Option<i64>,
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl Told {
    fn read(mut self, pieces: &[Piece], text: &str) -> Option<Self> {
        let mut rest = text;
        for piece in pieces {
            rest = match piece {
                Piece::Text(' ') => rest.trim_start(),
                Piece::Text(expected) => rest.strip_prefix(*expected)?,
                Piece::Letter(letter) => self.letter(*letter, rest)?,
            };
        }
        Some(self)
    }

    /// What a letter stands for, taken off the text.
    fn letter<'t>(&mut self, letter: char, text: &'t str) -> Option<&'t str> {
        let number = |most: usize, to: &mut u32| {
            let (digits, rest) = digits(text, most)?;
            *to = digits.parse().ok()?;
            Some(rest)
        };
        match letter {
            'Y' => number(4, self.year.get_or_insert(0)),
            'y' => {
                let rest = number(2, self.year.get_or_insert(0))?;
                self.year = self.year.map(|year| year + if year < 69 { 2000 } else { 1900 });
                Some(rest)
            }
            'm' => number(2, self.month.get_or_insert(0)),
            'd' | 'e' => {
                let (digits, rest) = digits(text.trim_start(), 2)?;
                self.day = Some(digits.parse().ok()?);
                Some(rest)
            }
            'j' => number(3, self.day_of_year.get_or_insert(0)),
            'H' | 'I' => number(2, &mut self.hour),
            'k' => {
                let (digits, rest) = digits(text.trim_start(), 2)?;
                self.hour = digits.parse().ok()?;
                Some(rest)
            }
            'M' => number(2, &mut self.minute),
            'S' => number(2, &mut self.second),
            'b' | 'B' => {
                let (at, rest) = word(text, &MONTHS)?;
                self.month = u32::try_from(at + 1).ok();
                Some(rest)
            }
            'a' | 'A' => word(text, &DAYS).map(|(_, rest)| rest),
            'f' => {
                let (digits, rest) = digits(text, 18)?;
                let nanoseconds: String = digits.chars().chain("000000000".chars()).take(9).collect();
                self.nanoseconds = nanoseconds.parse().ok()?;
                Some(rest)
            }
            'p' => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = Some(half.eq_ignore_ascii_case("pm"));
                (self.afternoon == Some(true) || half.eq_ignore_ascii_case("am")).then_some(rest)
            }
            's' => {
                let (digits, rest) = digits(text, 11)?;
                self.epoch = Some(digits.parse().ok()?);
                Some(rest)
            }
            'z' => self.zone(text),
            'Z' => {
                let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
                let (name, rest) = text.split_at_checked(end)?;
                if matches!(name, "UTC" | "GMT" | "Z") {
                    self.offset_minutes = Some(0);
                }
                Some(rest)
            }
            _ => None,
        }
    }

    /// `Z`, `+0100`, `+01:00`, `+01`.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        if let Some(rest) = text.strip_prefix('Z') {
            self.offset_minutes = Some(0);
            return Some(rest);
        }
        let (sign, rest) =
            text.strip_prefix('+').map(|rest| (1, rest)).or_else(|| Some((-1, text.strip_prefix('-')?)))?;
        let (hours, rest) = digits(rest, 2)?;
        let (minutes, rest) = digits(rest.strip_prefix(':').unwrap_or(rest), 2).unwrap_or(("0", rest));
        let (hours, minutes) = (hours.parse::<i32>().ok()?, minutes.parse::<i32>().ok()?);
        self.offset_minutes = Some(sign * (hours * 60 + minutes));
        (hours < 24 && minutes < 60).then_some(rest)
    }

    fn stamp(self, text: &str, reference: Reference) -> Option<Stamp<'_>> {
        const SECOND_NS: i64 = 1_000_000_000;
        if let Some(seconds) = self.epoch {
            let time = Timestamp(seconds.checked_mul(SECOND_NS)?.checked_add(self.nanoseconds)?);
            return Some(Stamp { time, text, assumed_offset: None });
        }
        let hour = match self.afternoon {
            Some(afternoon) if (1..=12).contains(&self.hour) => self.hour % 12 + if afternoon { 12 } else { 0 },
            Some(_) => return None,
            None => self.hour,
        };
        if hour > 23 || self.minute > 59 || self.second > 60 {
            return None;
        }
        let clock = i64::from(hour * 3600 + self.minute * 60 + self.second.min(59)) * SECOND_NS + self.nanoseconds;
        let offset = self.offset_minutes.unwrap_or(reference.utc_offset_minutes);
        let month = u8::try_from(self.month.unwrap_or(1)).ok()?;
        let time = match (self.year, self.day_of_year) {
            (Some(year), Some(day)) if (1..=366).contains(&day) => {
                timestamp::moment(year, 1, 1, clock + i64::from(day - 1) * 86_400 * SECOND_NS, offset)?
            }
            (_, Some(_)) => return None,
            (Some(year), None) => timestamp::moment(year, month, self.day.unwrap_or(1), clock, offset)?,
            (None, None) => {
                let reference = Reference { utc_offset_minutes: offset, ..reference };
                timestamp::moment_without_year(u8::try_from(self.month?).ok()?, self.day?, clock, reference)?
            }
        };
        Some(Stamp { time, text, assumed_offset: self.offset_minutes.is_none().then_some(offset) })
    }
}

/// One to `most` digits.
fn digits(text: &str, most: usize) -> Option<(&str, &str)> {
    let end = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if end == 0 { None } else { text.split_at_checked(end) }
}

/// One of some words, in full or by its first three letters.
fn word<'t>(text: &'t str, words: &[&str]) -> Option<(usize, &'t str)> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    let named = |full: &&str| {
        full.eq_ignore_ascii_case(word) || full.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(word))
    };
    words.iter().position(named).map(|at| (at, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, text: &str) -> Option<String> {
        let reference = Reference { read_at: Timestamp::from_seconds(1_773_653_400), utc_offset_minutes: 60 };
        Clock::parse(format).unwrap().read(text, reference).map(|stamp| stamp.time.to_string())
    }

    #[test]
    fn letters_read_what_strftime_writes() {
        for (format, text, utc) in [
            ("%Y-%m-%d %H:%M:%S.%f %z", "2026-03-16 09:30:00.25 +0100", "2026-03-16T08:30:00.250Z"),
            ("%d/%b/%Y %I:%M:%S %p", "16/Mar/2026 01:02:03 PM", "2026-03-16T12:02:03.000Z"),
            ("%a %B %e %T %Y", "Mon March  6 01:02:03 2026", "2026-03-06T00:02:03.000Z"),
            ("%F %T %Z", "2026-03-16 09:30:00 UTC", "2026-03-16T09:30:00.000Z"),
            ("%b %e %T", "Mar 16 10:00:00", "2026-03-16T09:00:00.000Z"),
            ("%y%j %R", "26075 10:00", "2026-03-16T09:00:00.000Z"),
            ("%s.%f", "1773653400.5", "2026-03-16T09:30:00.500Z"),
            ("%D %k:%M", "03/16/26 9:30", "2026-03-16T08:30:00.000Z"),
            ("100%% %Y", "100% 2026", "2025-12-31T23:00:00.000Z"),
            ("%Y%m%dT%H%M%S%z", "20260316T093000-02:30", "2026-03-16T12:00:00.000Z"),
        ] {
            assert_eq!(read(format, text).as_deref(), Some(utc), "{format} {text}");
        }
        for (format, text) in [
            ("%Y-%m-%d", "2026-02-30"),
            ("%H:%M", "25:00"),
            ("%I %p", "13 PM"),
            ("%b", "Foo"),
            ("%z", "+99:00"),
            ("%Y", "é"),
            ("%p", "é"),
            ("%s", "99999999999"),
            ("%j", "075"),
        ] {
            assert_eq!(read(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn forms_have_names_and_auto_finds_them() {
        for (form, text) in [
            ("iso", "2026-03-16T09:30:00Z"),
            ("syslog", "Mar 16 10:30:00"),
            ("access", "16/Mar/2026:09:30:00 +0000"),
            ("epoch", "1773653400"),
        ] {
            assert_eq!(read(form, text).as_deref(), Some("2026-03-16T09:30:00.000Z"), "{form}");
            assert_eq!(read("auto", text), read(form, text));
        }
        assert!(Clock::parse("isso").unwrap_err().contains("did you mean 'iso'?"));
        assert!(Clock::parse("%Q").unwrap_err().starts_with("'%Q' is not known"));
    }
}
