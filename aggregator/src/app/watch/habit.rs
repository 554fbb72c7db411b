//! [`Habit`]: how long something that keeps coming is wont to stay away, and whether it stays away longer now.
//!
//! In: the moments at which it came. Out: since when it is silent against its habit, and when that ended. Pure.
//!
//! What came within [`BEAT`] is one beat; the longest pause of each beat is a gap, and the last [`GAPS`] gaps are the habit. Silence
//! is a pause beyond [`SILENCE_MIN`], beyond [`FACTOR`] times the gap that nine tenths of them do not exceed, and beyond one
//! and a half times the second longest of the silences that have ended: a host that sleeps each night is told of twice, then
//! no more. Without [`GAPS_MIN`] gaps there is no habit and no silence.

use std::time::Duration;

use shared::time::Timestamp;

/// What came within this is one beat.
const BEAT: Duration = Duration::from_secs(10);
/// Gaps that are remembered.
const GAPS: usize = 32;
/// Fewer gaps are no habit.
const GAPS_MIN: usize = 8;
/// Silences that are remembered.
const SILENCES: usize = 4;
/// No shorter pause is a silence.
pub(super) const SILENCE_MIN: Duration = Duration::from_secs(15 * 60);
/// How many times the usual gap a silence takes.
const FACTOR: u32 = 10;

/// What is known of one thing that keeps coming.
#[derive(Clone, Debug)]
pub(super) struct Habit {
    /// In seconds, the oldest first replaced.
    gaps: [u32; GAPS],
    seen: usize,
    /// Past silences, in seconds, the oldest first replaced.
    silences: [u32; SILENCES],
    ended: usize,
    beat_began: Timestamp,
    widest: u32,
    last: Timestamp,
    /// It was told that it is silent.
    told: bool,
}

/// A silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Silence {
    /// When it came last.
    pub(super) since: Timestamp,
    /// How long a pause had to be to be one.
    pub(super) limit: Duration,
    /// How long it lasts, or lasted.
    pub(super) length: Duration,
}

fn seconds(length: Duration) -> u32 {
    u32::try_from(length.as_secs()).unwrap_or(u32::MAX)
}

/// From `earlier` to `later`; nothing where the clock was set back.
pub(super) fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(later.0.saturating_sub(earlier.0)).unwrap_or(0))
}

impl Habit {
    /// It came for the first time.
    pub(super) fn new(at: Timestamp) -> Self {
        Self {
            gaps: [0; GAPS],
            seen: 0,
            silences: [0; SILENCES],
            ended: 0,
            beat_began: at,
            widest: 0,
            last: at,
            told: false,
        }
    }

    /// How long a pause must be to be a silence; none while there is no habit.
    fn limit(&self) -> Option<Duration> {
        if self.seen < GAPS_MIN {
            return None;
        }
        let mut known: Vec<u32> = self.gaps.iter().take(self.seen.min(GAPS)).copied().collect();
        known.sort_unstable();
        let usual = known.get(known.len() * 9 / 10).copied().unwrap_or(0);
        let mut silences = self.silences;
        silences.sort_unstable();
        let slept = silences.iter().rev().nth(1).copied().unwrap_or(0);
        let limit = usual.saturating_mul(FACTOR).max(slept.saturating_add(slept / 2));
        Some(Duration::from_secs(u64::from(limit)).max(SILENCE_MIN))
    }

    /// It came. Gives the silence that this ends, if one was told.
    pub(super) fn came(&mut self, at: Timestamp) -> Option<Silence> {
        let pause = between(self.last, at);
        let ended =
            self.told.then(|| Silence { since: self.last, limit: self.limit().unwrap_or(SILENCE_MIN), length: pause });
        if self.limit().is_some_and(|limit| pause > limit) {
            // A silence is no habit, but it may become one.
            if let Some(place) = self.silences.get_mut(self.ended % SILENCES) {
                *place = seconds(pause);
            }
            self.ended += 1;
            (self.beat_began, self.widest) = (at, 0);
        } else {
            self.widest = self.widest.max(seconds(pause));
            if between(self.beat_began, at) >= BEAT {
                if let Some(place) = self.gaps.get_mut(self.seen % GAPS) {
                    *place = self.widest;
                }
                self.seen += 1;
                (self.beat_began, self.widest) = (at, 0);
            }
        }
        self.last = self.last.max(at);
        self.told = false;
        ended
    }

    /// Nothing can have come until now: nobody listened.
    pub(super) fn excuse(&mut self, until: Timestamp) {
        self.last = self.last.max(until);
        self.beat_began = self.beat_began.max(until);
    }

    /// The silence that stands at `now`, if it was not told yet.
    pub(super) fn falls_silent(&mut self, now: Timestamp) -> Option<Silence> {
        // Cheap first: most came a moment ago.
        let length = between(self.last, now);
        if self.told || length <= SILENCE_MIN {
            return None;
        }
        let limit = self.limit().filter(|limit| length > *limit)?;
        self.told = true;
        Some(Silence { since: self.last, limit, length })
    }

    /// Whether it was told that it is silent, and it is.
    pub(super) fn is_silent(&self) -> bool {
        self.told
    }

    /// When it came last.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(seconds))
    }

    /// Comes every `step` seconds from `from` until before `to`.
    fn comes(habit: &mut Habit, from: u64, to: u64, step: usize) {
        for second in (from..to).step_by(step) {
            assert_eq!(habit.falls_silent(at(second)), None, "{second}");
            assert_eq!(habit.came(at(second)), None, "{second}");
        }
    }

    #[test]
    fn what_came_every_minute_is_silent_after_a_quarter_of_an_hour_and_once() {
        let mut habit = Habit::new(at(0));
        comes(&mut habit, 60, HOUR, 60);
        let last = HOUR - 60;
        assert_eq!(habit.falls_silent(at(last + 900)), None);
        let silence = habit.falls_silent(at(last + 901)).unwrap();
        assert_eq!((silence.since, silence.limit), (at(last), SILENCE_MIN));
        assert_eq!(habit.falls_silent(at(last + 5_000)), None, "it is told once");
        let ended = habit.came(at(last + 6_000)).unwrap();
        assert_eq!((ended.since, ended.length), (at(last), Duration::from_secs(6_000)));
        assert_eq!(habit.came(at(last + 6_001)), None);
    }

    #[test]
    fn what_comes_in_bursts_every_hour_has_ten_hours() {
        let mut habit = Habit::new(at(0));
        for hour in 1..20 {
            comes(&mut habit, hour * HOUR, hour * HOUR + 5, 1);
        }
        let last = 19 * HOUR + 4;
        assert_eq!(habit.falls_silent(at(last + 9 * HOUR)), None);
        assert!(habit.falls_silent(at(last + 10 * HOUR + 1)).is_some());
    }

    #[test]
    fn what_comes_all_the_time_has_a_habit_too_and_what_came_seldom_has_none() {
        let mut busy = Habit::new(at(0));
        comes(&mut busy, 1, 200, 1);
        assert!(busy.falls_silent(at(200 + 901)).is_some());
        let mut new = Habit::new(at(0));
        comes(&mut new, 60, 300, 60);
        assert_eq!(new.falls_silent(at(100 * HOUR)), None);
    }

    #[test]
    fn host_that_sleeps_each_night_is_told_of_twice_and_no_more() {
        let mut habit = Habit::new(at(0));
        let mut told = 0;
        for day in 0..6 {
            let morning = day * 24 * HOUR;
            for second in (morning..morning + 12 * HOUR).step_by(60) {
                habit.came(at(second));
            }
            told += u32::from(habit.falls_silent(at(morning + 23 * HOUR)).is_some());
        }
        assert_eq!(told, 2);
    }

    #[test]
    fn clock_that_was_set_back_and_time_in_which_nobody_listened_are_no_silence() {
        let mut habit = Habit::new(at(HOUR));
        comes(&mut habit, HOUR + 60, 2 * HOUR, 60);
        assert_eq!(habit.came(at(5)), None);
        assert_eq!(habit.falls_silent(at(6)), None);
        habit.excuse(at(30 * HOUR));
        assert_eq!(habit.falls_silent(at(30 * HOUR + 600)), None);
        assert!(habit.falls_silent(at(30 * HOUR + 901)).is_some());
    }
}
