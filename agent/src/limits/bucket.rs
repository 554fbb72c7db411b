//! What may be spent in a time: earned steadily, spent in pieces, saved for a moment.
//!
//! In: a rate in units a second, what was spent, the time. Out: how long to wait until there is enough.
//! Invariants: nothing is rounded away, however often it is asked; what is saved is at most `burst` of the rate, what is
//! owed at most [`DEBT`] times that, so that one excess does not stop everything for ever.

use std::time::{Duration, Instant};

/// Most that is owed, in bursts.
const DEBT: i128 = 20;

/// Units that may be spent.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Units a second.
    rate: u64,
    burst: Duration,
    /// Units that are there, times 10⁹; below 0: owed.
    level: i128,
    at: Instant,
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

impl Bucket {
    /// Full, with `burst` of `rate` (at least 1 a second) saved.
    #[must_use]
    pub fn new(rate: u64, burst: Duration, now: Instant) -> Self {
        let mut bucket = Self { rate: rate.max(1), burst, level: 0, at: now };
        bucket.level = bucket.full();
        bucket
    }

    /// Another rate from now on. As many seconds of it are saved or owed as of the old one.
    pub fn change_rate(&mut self, rate: u64, now: Instant) {
        self.earn(now);
        let rate = rate.max(1);
        self.level = self.level.saturating_mul(rate.into()) / i128::from(self.rate);
        self.rate = rate;
    }

    fn full(&self) -> i128 {
        i128::from(self.rate) * nanos(self.burst)
    }

    /// Time has passed.
    pub fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let earned = i128::from(self.rate).saturating_mul(nanos(passed));
        self.level = self.level.saturating_add(earned).min(self.full());
        self.at = self.at.max(now);
    }

    /// Units were spent, whether they were there or not.
    pub fn spend(&mut self, units: u64) {
        let owed_most = -DEBT * self.full();
        self.level = (self.level - i128::from(units) * 1_000_000_000).max(owed_most);
    }

    /// How long it takes from the last [`earn`](Self::earn) until so many quarters of a burst are saved, or until no more
    /// than that is owed where it is negative; zero: they are.
    #[must_use]
    pub fn until(&self, quarters: i8) -> Duration {
        let lacks = self.full() * i128::from(quarters) / 4 - self.level;
        let wait = u64::try_from(lacks.max(0) / i128::from(self.rate)).unwrap_or(u64::MAX);
        // Rounded up: who waits so long finds it there.
        Duration::from_nanos(if lacks > 0 { wait.saturating_add(1) } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::scratch::Random;

    const BURST: Duration = Duration::from_millis(500);

    #[test]
    fn burst_is_saved_and_no_more() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1_000, BURST, now);
        assert_eq!(bucket.until(4), Duration::ZERO);
        bucket.earn(now + Duration::from_secs(60));
        bucket.spend(500);
        assert_eq!(bucket.until(0), Duration::ZERO);
        bucket.spend(1);
        assert_eq!(bucket.until(0).as_millis(), 1);
        assert_eq!(bucket.until(4).as_millis(), 501);
        assert_eq!(bucket.until(-4), Duration::ZERO);
    }

    #[test]
    fn debt_is_bounded_and_paid_back() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1_000, BURST, now);
        bucket.spend(u64::MAX);
        assert_eq!(bucket.until(0).as_secs(), 10);
        bucket.earn(now + Duration::from_secs(11));
        assert_eq!(bucket.until(0), Duration::ZERO);
    }

    #[test]
    fn another_rate_keeps_the_seconds_that_are_saved() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1_000, BURST, now);
        bucket.spend(750);
        bucket.change_rate(10, now);
        assert_eq!(bucket.until(0).as_millis(), 250);
    }

    #[test]
    fn whoever_waits_as_told_spends_the_rate_and_one_burst_however_the_pieces_fall() {
        let seed = Random::seed();
        for seed in (0..20).map(|round| seed.wrapping_add(round)) {
            let mut random = Random::new(seed);
            let start = Instant::now();
            let rate = 1 + random.below(100_000_000) as u64;
            let piece_max = usize::try_from(rate / 4 + 2).unwrap();
            let (mut bucket, mut now, mut spent) = (Bucket::new(rate, BURST, start), start, 0);
            for _ in 0..2_000 {
                now += bucket.until(0);
                // Asked often, also when nothing is to be spent.
                now += Duration::from_nanos(random.below(1_000) as u64);
                bucket.earn(now);
                if bucket.until(0).is_zero() {
                    let units = random.below(piece_max) as u64;
                    bucket.spend(units);
                    spent += units;
                }
            }
            let allowed = rate as f64 * ((now - start).as_secs_f64() + 0.5) + piece_max as f64;
            assert!(spent as f64 <= allowed * 1.000_001, "seed {seed}: {spent} of {allowed}");
            let least = rate as f64 * (now - start).as_secs_f64() * 0.98 - 1.0;
            assert!(spent as f64 >= least - piece_max as f64, "seed {seed}: {spent}, at least {least}");
        }
    }
}
