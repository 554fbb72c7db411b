//! The three ways that logs write a time, formatted once a second.

use std::fmt::Write;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The current moment, its second in every format.
pub(super) struct Stamps {
    unix_ms: u64,
    /// RFC 3164.
    pub(super) syslog: String,
    /// Access logs.
    pub(super) access: String,
    /// RFC 3339 up to the seconds.
    pub(super) iso: String,
}

impl Stamps {
    pub(super) fn new(unix_s: u64) -> Self {
        let mut stamps =
            Self { unix_ms: unix_s * 1_000, syslog: String::new(), access: String::new(), iso: String::new() };
        stamps.format();
        stamps
    }

    /// Milliseconds within the second.
    pub(super) fn millis(&self) -> u64 {
        self.unix_ms % 1_000
    }

    pub(super) fn advance(&mut self, ms: u64) {
        let before = self.unix_ms / 1_000;
        self.unix_ms += ms;
        if self.unix_ms / 1_000 != before {
            self.format();
        }
    }

    fn format(&mut self) {
        let (year, month, day) = civil(self.unix_ms / 86_400_000);
        let second = self.unix_ms / 1_000 % 86_400;
        let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
        let name = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or("Jan");
        for text in [&mut self.syslog, &mut self.access, &mut self.iso] {
            text.clear();
        }
        let written = write!(self.syslog, "{name} {day:2} {h:02}:{m:02}:{s:02}")
            .and_then(|()| write!(self.access, "{day:02}/{name}/{year}:{h:02}:{m:02}:{s:02} +0000"))
            .and_then(|()| write!(self.iso, "{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}"));
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

/// `(year, month, day)` of days since 1970-01-01; Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_written_as_each_log_writes_it() {
        let mut stamps = Stamps::new(super::super::START_UNIX_S - 1);
        assert_eq!(stamps.syslog, "Jan  4 23:59:59");
        stamps.advance(1_000);
        assert_eq!(stamps.syslog, "Jan  5 00:00:00");
        assert_eq!(stamps.access, "05/Jan/2026:00:00:00 +0000");
        assert_eq!(stamps.iso, "2026-01-05T00:00:00");
    }

    #[test]
    fn a_leap_day_is_a_day() {
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(19_783), (2024, 3, 1));
    }
}
