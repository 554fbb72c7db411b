//! How long to wait before the next attempt: exponential, bounded, spread by chance.
//!
//! In: a random number per attempt. Out: a duration. Pure: it reads no clock and draws no number.
//! The n-th delay lies in `[d/2, d]` with `d = min(base · 2ⁿ, cap)`: half is kept so that nobody hammers,
//! half is chance so that a fleet that lost its aggregator at one moment does not return at one moment
//! ("equal jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

use std::time::Duration;

/// The delays between attempts at one thing.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    attempt: u32,
}

impl Backoff {
    /// Delays that start around `base` and never exceed `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, attempt: 0 }
    }

    /// The delay before the next attempt; `random` is 64 random bits.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        let full =
            2_u32.checked_pow(self.attempt).map_or(self.cap, |factor| self.base.saturating_mul(factor)).min(self.cap);
        self.attempt = self.attempt.saturating_add(1);
        let half = full / 2;
        let span = u64::try_from((full - half).as_nanos()).unwrap_or(u64::MAX);
        half + Duration::from_nanos(span.checked_add(1).map_or(random, |choices| random % choices))
    }

    /// Starts over: the thing worked.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Attempts since the last [`Backoff::reset`].
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(500);
    const CAP: Duration = Duration::from_secs(60);

    #[test]
    fn delays_double_up_to_the_cap_and_never_pass_it() {
        let mut backoff = Backoff::new(BASE, CAP);
        for attempt in 0..200_u32 {
            let full = BASE.saturating_mul(2_u32.saturating_pow(attempt)).min(CAP);
            let random = u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let delay = backoff.next_delay(random);
            assert!(delay >= full / 2 && delay <= full, "attempt {attempt}: {delay:?}");
        }
    }

    #[test]
    fn chance_spreads_over_the_whole_upper_half() {
        let at = |random| Backoff::new(BASE, CAP).next_delay(random);
        assert_eq!(at(0), BASE / 2);
        assert_eq!(at(250_000_000), BASE);
        assert_ne!(at(1), at(2));
    }

    #[test]
    fn success_starts_over() {
        let mut backoff = Backoff::new(BASE, CAP);
        for _ in 0..10 {
            backoff.next_delay(7);
        }
        assert_eq!(backoff.attempts(), 10);
        backoff.reset();
        assert!(backoff.next_delay(u64::MAX) <= BASE);
    }

    #[test]
    fn no_base_is_no_delay_and_endless_ones_do_not_overflow() {
        assert_eq!(Backoff::new(Duration::ZERO, CAP).next_delay(u64::MAX), Duration::ZERO);
        let mut endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(endless.next_delay(u64::MAX) >= Duration::MAX / 2);
    }
}
