//! [`Skew`]: whether an agent's clock agrees with this machine's.
//!
//! In: when a frame was sealed by the agent's clock and received by ours. Out: at most once an hour, how far the clocks are
//! apart. Pure. A frame cannot be received before it is sealed: one that was shows a clock that is ahead. One that is received late may have
//! lain in the spool, so only an hour in which even the quickest of [`FRAMES_MIN`] frames was late shows a clock that is behind.

use std::time::Duration;

use shared::time::Timestamp;

use super::habit::between;

/// Clocks that are less apart agree.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// It is told once in this time.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Fewer frames of an hour say nothing.
const FRAMES_MIN: u32 = 10;

/// How an agent's clock goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Skew {
    began: Timestamp,
    frames: u32,
    /// The least time that a frame took in this period.
    quickest: Duration,
    told: Option<Timestamp>,
}

/// Clocks that do not agree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Apart {
    /// The agent's is ahead by this.
    Ahead(Duration),
    /// The agent's is behind by this, or its spool has held everything for as long.
    Behind(Duration),
}

impl Skew {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { began: now, frames: 0, quickest: Duration::MAX, told: None }
    }

    /// A frame came.
    pub(super) fn frame(&mut self, sealed_at: Timestamp, received_at: Timestamp) -> Option<Apart> {
        let ahead = between(received_at, sealed_at);
        let mut apart = (ahead > TOLERANCE).then_some(Apart::Ahead(ahead));
        self.frames = self.frames.saturating_add(1);
        self.quickest = self.quickest.min(between(sealed_at, received_at));
        if between(self.began, received_at) >= PERIOD {
            let behind = self.frames >= FRAMES_MIN && self.quickest > TOLERANCE;
            apart = apart.or(behind.then_some(Apart::Behind(self.quickest)));
            (self.began, self.frames, self.quickest) = (received_at, 0, Duration::MAX);
        }
        let silent = self.told.is_none_or(|told| between(told, received_at) >= PERIOD);
        let told = apart.filter(|_| silent)?;
        self.told = Some(received_at);
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(0).plus(Duration::from_secs(seconds))
    }

    /// What is told of frames that come every minute for three hours, sealed `late` seconds before and `early` after.
    fn told(late: u64, early: u64) -> Vec<Apart> {
        let mut skew = Skew::new(at(10_000));
        (10_000..10_000 + 3 * 3_600)
            .step_by(60)
            .filter_map(|second| skew.frame(at(second - late + early), at(second)))
            .collect()
    }

    #[test]
    fn clock_that_is_ahead_is_told_once_an_hour_and_one_that_agrees_never() {
        assert_eq!(told(0, 400), [Apart::Ahead(Duration::from_secs(400)); 3]);
        assert_eq!(told(0, 299), []);
        assert_eq!(told(299, 0), []);
    }

    #[test]
    fn clock_is_behind_only_where_every_frame_of_an_hour_is_late() {
        assert_eq!(told(600, 0), [Apart::Behind(Duration::from_secs(600)); 2]);
        let mut skew = Skew::new(at(10_000));
        let backlog = (0..600).filter_map(|n| skew.frame(at(n), at(10_000 + n)));
        assert_eq!(backlog.count(), 0);
        let live = (10_600..20_000).step_by(60).filter_map(|n| skew.frame(at(n), at(n)));
        assert_eq!(live.count(), 0, "a backlog that ends is no clock that is behind");
    }
}
