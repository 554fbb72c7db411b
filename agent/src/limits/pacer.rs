//! The sender's part: bytes of all lanes on their way to the aggregator, within a rate.
//!
//! Lanes write their frames in pieces and ask before each; whose turn it is decides [`Turns`], the rule by which frames
//! have theirs, so that a frame of lane high that comes while one of lane bulk is half sent goes first. What a
//! connection sends besides (handshakes, acks, what was lost and is sent again) is charged when it is seen.
//!
//! Invariant: over any time the rate is exceeded by [`BURST`] of it, a piece, and what was sent besides since the last
//! piece. Nobody who waits takes anything from the rate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::protocol::{Claim, PerLane, Turns};
use shared::time::Clock;
use tokio::sync::Notify;

use super::bucket::Bucket;

/// What is saved for a moment with nothing to send.
pub const BURST: Duration = Duration::from_millis(250);
/// A piece is what the rate gives in this part of a second.
const PIECES_A_SECOND: u64 = 20;
/// Bounds of a piece, bytes.
const PIECE_BYTES: (u64, u64) = (512, 64 << 10);
/// Who waits looks again this often: the rate may be another by then.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Whether a lane may write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum May {
    Now,
    After(Duration),
    /// Another lane is before it.
    Later,
}

#[derive(Default)]
struct Sending {
    /// None: there is no limit.
    bucket: Option<Bucket>,
    piece_bytes: u64,
    turns: Turns,
    claims: PerLane<Claim>,
    waiting_since: PerLane<Option<Instant>>,
    waited: PerLane<Duration>,
    /// Everything that was charged, with a limit or without.
    sent_bytes: u64,
}

impl Sending {
    fn ask(&mut self, lane: Lane, bytes: u64, now: Instant) -> May {
        let Some(bucket) = &mut self.bucket else {
            self.sent_bytes += bytes;
            return May::Now;
        };
        *self.claims.of_mut(lane) = Claim::Waits(bytes);
        self.waiting_since.of_mut(lane).get_or_insert(now);
        if self.turns.next(&self.claims) != Some(lane) {
            return May::Later;
        }
        bucket.earn(now);
        let wait = bucket.until(0);
        if !wait.is_zero() {
            return May::After(wait);
        }
        bucket.spend(bytes);
        self.sent_bytes += bytes;
        self.turns.wrote(lane, bytes, &self.claims);
        *self.claims.of_mut(lane) = Claim::None;
        self.has_waited(lane, now);
        May::Now
    }

    fn has_waited(&mut self, lane: Lane, now: Instant) {
        let since = self.waiting_since.of_mut(lane).take();
        *self.waited.of_mut(lane) += since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    }
}

/// Holds all lanes to a rate.
pub struct Pacer {
    clock: Clock,
    sending: Mutex<Sending>,
    taken: Notify,
}

impl Pacer {
    pub(super) fn new(clock: Clock) -> Self {
        // Before anybody sets a limit there is none.
        let sending = Sending { piece_bytes: u64::MAX, ..Sending::default() };
        Self { clock, sending: Mutex::new(sending), taken: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another rate from now on, bytes a second; none: no limit.
    pub(super) fn limit(&self, rate: Option<u64>) {
        let now = self.clock.instant();
        let mut sending = self.lock();
        sending.bucket = match (sending.bucket.take(), rate) {
            (Some(mut bucket), Some(rate)) => {
                bucket.change_rate(rate, now);
                Some(bucket)
            }
            (None, Some(rate)) => Some(Bucket::new(rate, BURST, now)),
            (_, None) => None,
        };
        // Whoever waits asks again, and by the new rate.
        sending.claims = PerLane::default();
        for lane in Lane::ALL {
            sending.has_waited(lane, now);
        }
        sending.piece_bytes =
            rate.map_or(u64::MAX, |rate| (rate / PIECES_A_SECOND).clamp(PIECE_BYTES.0, PIECE_BYTES.1));
        drop(sending);
        self.taken.notify_waiters();
    }

    /// Bytes to ask for at once, at most.
    #[must_use]
    pub fn piece_bytes(&self) -> usize {
        usize::try_from(self.lock().piece_bytes).unwrap_or(usize::MAX)
    }

    /// Waits until `lane` may write `bytes`.
    pub async fn take(&self, lane: Lane, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        loop {
            // Before it is asked: what is taken from here on is heard.
            let taken = self.taken.notified();
            let wait = match self.lock().ask(lane, bytes, self.clock.instant()) {
                May::Now => break,
                May::After(wait) => wait.min(LOOK_AGAIN),
                May::Later => LOOK_AGAIN,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = taken => {}
            }
        }
        self.taken.notify_waiters();
    }

    /// So much was sent that nobody asked for.
    pub fn charge(&self, bytes: u64) {
        let mut sending = self.lock();
        sending.sent_bytes += bytes;
        if let Some(bucket) = &mut sending.bucket {
            bucket.spend(bytes);
        }
    }

    /// How long each lane waited so far, those that wait now too.
    pub(super) fn waited(&self) -> PerLane<Duration> {
        let (now, sending) = (self.clock.instant(), self.lock());
        PerLane::new(|lane| {
            let since = *sending.waiting_since.of(lane);
            *sending.waited.of(lane) + since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
        })
    }

    /// Bytes that were sent so far.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.lock().sent_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of these lengths wait on each lane at second 0; bytes that each lane sent in `seconds`, and when its first
    /// frame was through.
    fn send(rate: u64, seconds: u64, frames: [&[u64]; 3]) -> ([u64; 3], [Option<Duration>; 3]) {
        let start = Instant::now();
        let (mut now, end) = (start, start + Duration::from_secs(seconds));
        let mut sending = Sending { bucket: Some(Bucket::new(rate, BURST, start)), ..Sending::default() };
        let piece = (rate / PIECES_A_SECOND).clamp(PIECE_BYTES.0, PIECE_BYTES.1);
        let mut left = frames.map(<[u64]>::to_vec);
        let (mut sent, mut through) = ([0; 3], [None; 3]);
        while now < end {
            let mut wait = Duration::from_millis(1);
            for lane in Lane::ALL {
                let Some(frame) = left[lane.index()].first_mut() else { continue };
                let bytes = piece.min(*frame);
                match sending.ask(lane, bytes, now) {
                    May::Now => {
                        *frame -= bytes;
                        sent[lane.index()] += bytes;
                        wait = Duration::ZERO;
                        if *frame == 0 {
                            left[lane.index()].remove(0);
                            through[lane.index()].get_or_insert(now - start);
                        }
                    }
                    May::After(after) => wait = wait.max(after),
                    May::Later => {}
                }
            }
            if left.iter().all(Vec::is_empty) {
                break;
            }
            now += wait;
        }
        (sent, through)
    }

    #[test]
    fn rate_is_held_and_used() {
        for rate in [1 << 10, 100 << 10, 10 << 20] {
            let backlog = vec![200_000; usize::try_from(rate * 20 / 200_000 + 1).unwrap()];
            let ([.., bulk], _) = send(rate, 10, [&[], &[], &backlog]);
            let permille = bulk * 1_000 / (rate * 10);
            assert!((980..=1_080).contains(&permille), "{permille} per mille of {rate} bytes a second");
        }
    }

    #[test]
    fn frame_of_high_goes_before_what_is_left_of_one_of_bulk() {
        // Alone the frame of 20 KB takes 0.2 s of 100 KB/s, the one of bulk 10 s.
        let (_, [high, _, bulk]) = send(100_000, 60, [&[20_000], &[], &[1_000_000]]);
        assert!(high.unwrap() < Duration::from_millis(500), "{high:?}");
        assert!((9..=11).contains(&bulk.unwrap().as_secs()), "{bulk:?}");
    }

    #[test]
    fn backlog_of_high_leaves_the_others_a_share() {
        let backlog = [50_000; 200];
        let (sent, _) = send(100_000, 30, [&backlog, &backlog, &backlog]);
        let all: u64 = sent.iter().sum();
        assert!(sent.iter().all(|sent| *sent > 0), "{sent:?}");
        assert!(sent[0] * 10 / all >= 8, "high has 8 of 9 bytes: {sent:?}");
    }

    #[test]
    fn what_is_sent_besides_counts() {
        let clock = Clock::System;
        let pacer = Pacer::new(clock);
        pacer.limit(Some(1_000_000));
        pacer.charge(750_000);
        let now = pacer.clock.instant();
        let may = pacer.lock().ask(Lane::High, 10, now);
        assert!(matches!(may, May::After(wait) if wait > Duration::from_millis(400)), "{may:?}");
        assert_eq!(pacer.sent_bytes(), 750_000);
        pacer.limit(None);
        assert_eq!(pacer.lock().ask(Lane::Bulk, 1 << 30, now), May::Now);
    }

    #[test]
    fn limit_that_went_and_comes_back_waits_for_nobody_who_is_gone() {
        let pacer = Pacer::new(Clock::System);
        pacer.limit(Some(1_000));
        pacer.charge(1_000_000);
        let now = pacer.clock.instant();
        assert_ne!(pacer.lock().ask(Lane::High, 500, now), May::Now);
        pacer.limit(None);
        assert_eq!(pacer.lock().ask(Lane::High, 500, now), May::Now);
        pacer.limit(Some(1_000));
        assert_eq!(pacer.lock().ask(Lane::Bulk, 500, pacer.clock.instant()), May::Now);
        let (waited, later) = (pacer.waited(), pacer.waited());
        assert_eq!(waited.of(Lane::High), later.of(Lane::High), "it waits no more");
    }

    #[test]
    fn who_waits_is_known_while_it_waits() {
        let pacer = Pacer::new(Clock::System);
        pacer.limit(Some(1_000));
        pacer.charge(1_000_000);
        let now = pacer.clock.instant();
        assert_ne!(pacer.lock().ask(Lane::Normal, 500, now - Duration::from_secs(3)), May::Now);
        let waited = pacer.waited();
        assert!(*waited.of(Lane::Normal) >= Duration::from_secs(3));
        assert_eq!(*waited.of(Lane::High), Duration::ZERO);
    }
}
