//! What `status` and the metrics say of the uplink.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use shared::identity::{AgentId, Epoch, Lane};
use shared::protocol::PerLane;
use shared::time::{Clock, Timestamp};

/// Frames whose way to the ack is timed at one moment; beyond it only every frame's count is kept.
const TIMED_MAX: usize = 4_096;
/// Buckets of the latency histogram: 4 per octave from 1 µs to 2³² µs.
const BUCKETS: usize = 128;

/// Octaves below 64 µs are shown as one.
const OCTAVES_SKIPPED: usize = 5;

/// How long acks took, in buckets a fifth wide.
struct Histogram {
    counts: [u64; BUCKETS],
    sum: Duration,
}

impl Histogram {
    /// Bucket of a duration: octave of its microseconds and the two bits below the highest.
    fn bucket(took: Duration) -> usize {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(4, u64::from(u32::MAX));
        let octave = us.ilog2();
        let quarter = (us >> (octave - 2)) & 3;
        usize::try_from(u64::from(octave) * 4 + quarter).unwrap_or(BUCKETS - 1).min(BUCKETS - 1)
    }

    /// Upper end of a bucket.
    fn upper(bucket: usize) -> Duration {
        let (octave, quarter) = (bucket / 4, u64::try_from(bucket % 4).unwrap_or(3));
        let step = 1_u64 << octave.saturating_sub(2);
        Duration::from_micros((4 + quarter + 1).saturating_mul(step))
    }

    /// Acks that took no longer than each power of two of microseconds, as (seconds, count), counts rising.
    fn octaves(&self) -> Vec<(f64, u64)> {
        let mut below = 0;
        let ends = (3..BUCKETS).step_by(4);
        let octave = |(end, counts): (usize, &[u64])| {
            below += counts.iter().sum::<u64>();
            (Self::upper(end).as_secs_f64(), below)
        };
        ends.zip(self.counts.chunks(4)).map(octave).skip(OCTAVES_SKIPPED).collect()
    }

    fn add(&mut self, took: Duration) {
        self.sum = self.sum.saturating_add(took);
        if let Some(count) = self.counts.get_mut(Self::bucket(took)) {
            *count += 1;
        }
    }

    /// The duration that `per_mille` of all acks did not exceed.
    fn quantile(&self, per_mille: u64) -> Option<Duration> {
        let total: u64 = self.counts.iter().sum();
        let rank = (total * per_mille).div_ceil(1_000);
        let mut below = 0;
        let reached = |count: &u64| {
            below += count;
            below >= rank
        };
        (total > 0).then(|| Self::upper(self.counts.iter().position(reached).unwrap_or(BUCKETS - 1)))
    }
}

struct Timed {
    lane: Lane,
    epoch: Epoch,
    last: u64,
    at: Instant,
}

struct Inner {
    connected: Option<(String, AgentId)>,
    since: Timestamp,
    last_error: Option<String>,
    sessions: u64,
    sent_frames: PerLane<u64>,
    acked_frames: PerLane<u64>,
    sent_bytes: u64,
    latency: Histogram,
    on_their_way: VecDeque<Timed>,
}

/// The uplink's state, written by its session and read by `status`.
pub struct UplinkStatus {
    clock: Clock,
    inner: Mutex<Inner>,
}

/// The state at one moment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UplinkSnapshot {
    /// Whether a session is open.
    pub connected: bool,
    /// Name and address of the aggregator.
    pub aggregator: Option<String>,
    /// Its id.
    pub aggregator_id: Option<AgentId>,
    /// Since when the session is open, or there is none.
    pub since: Timestamp,
    /// Why the last session or attempt ended.
    pub last_error: Option<String>,
    /// Sessions that were opened since the start.
    pub sessions: u64,
    /// Frames sent since the start: high, normal, bulk.
    pub sent_frames: [u64; 3],
    /// Of these, acked.
    pub acked_frames: [u64; 3],
    /// Bytes of frames sent since the start.
    pub sent_bytes: u64,
    /// Seconds from writing a frame to its ack that half of them did not exceed.
    pub ack_latency_p50: Option<f64>,
    /// The same for 99 of 100.
    pub ack_latency_p99: Option<f64>,
    /// Acks that took no longer than so many seconds, counts rising.
    pub ack_latency_buckets: Vec<(f64, u64)>,
    /// Seconds that all of them took.
    pub ack_latency_sum: f64,
}

impl UplinkStatus {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let inner = Inner {
            connected: None,
            since: clock.now(),
            last_error: None,
            sessions: 0,
            sent_frames: PerLane::default(),
            acked_frames: PerLane::default(),
            sent_bytes: 0,
            latency: Histogram { counts: [0; BUCKETS], sum: Duration::ZERO },
            on_their_way: VecDeque::new(),
        };
        Self { clock, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What holds now.
    #[must_use]
    pub fn snapshot(&self) -> UplinkSnapshot {
        let inner = self.lock();
        let (aggregator, aggregator_id) = inner.connected.clone().unzip();
        let seconds = |took: Duration| took.as_secs_f64();
        UplinkSnapshot {
            connected: inner.connected.is_some(),
            aggregator,
            aggregator_id,
            since: inner.since,
            last_error: inner.last_error.clone(),
            sessions: inner.sessions,
            sent_frames: Lane::ALL.map(|lane| *inner.sent_frames.of(lane)),
            acked_frames: Lane::ALL.map(|lane| *inner.acked_frames.of(lane)),
            sent_bytes: inner.sent_bytes,
            ack_latency_p50: inner.latency.quantile(500).map(seconds),
            ack_latency_p99: inner.latency.quantile(990).map(seconds),
            ack_latency_buckets: inner.latency.octaves(),
            ack_latency_sum: inner.latency.sum.as_secs_f64(),
        }
    }

    pub(super) fn connected(&self, at: &str, aggregator: AgentId) {
        let mut inner = self.lock();
        inner.connected = Some((at.to_owned(), aggregator));
        inner.since = self.clock.now();
        inner.sessions += 1;
        inner.last_error = None;
    }

    pub(super) fn disconnected(&self, error: Option<&str>) {
        let mut inner = self.lock();
        if inner.connected.take().is_some() {
            inner.since = self.clock.now();
        }
        inner.last_error = error.map(str::to_owned);
        inner.on_their_way.clear();
    }

    pub(super) fn sent(&self, (lane, epoch, last): (Lane, Epoch, u64), bytes: usize, at: Instant) {
        let mut inner = self.lock();
        *inner.sent_frames.of_mut(lane) += 1;
        inner.sent_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        if inner.on_their_way.len() < TIMED_MAX {
            inner.on_their_way.push_back(Timed { lane, epoch, last, at });
        }
    }

    pub(super) fn acked(&self, lane: Lane, epoch: Epoch, through: u64, at: Instant) {
        let mut inner = self.lock();
        let Inner { on_their_way, latency, acked_frames, .. } = &mut *inner;
        on_their_way.retain(|timed| {
            let acked = timed.lane == lane && timed.epoch == epoch && timed.last <= through;
            if acked {
                latency.add(at.saturating_duration_since(timed.at));
                *acked_frames.of_mut(lane) += 1;
            }
            !acked
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_quarter_of_the_truth() {
        let mut histogram = Histogram { counts: [0; BUCKETS], sum: Duration::ZERO };
        assert_eq!(histogram.quantile(500), None);
        for ms in 1..=1_000 {
            histogram.add(Duration::from_millis(ms));
        }
        for (per_mille, truth) in [(500, 0.5), (990, 0.99)] {
            let found = histogram.quantile(per_mille).unwrap().as_secs_f64();
            assert!((truth..truth * 1.26).contains(&found), "{per_mille}: {found}");
        }
        histogram.add(Duration::ZERO);
        histogram.add(Duration::MAX);
        assert!(histogram.quantile(1_000).is_some());
    }

    #[test]
    fn ack_is_cumulative_and_of_one_chain() {
        let status = UplinkStatus::new(Clock::System);
        let now = Instant::now();
        for last in 1..=3 {
            status.sent((Lane::High, Epoch(1), last), 10, now);
            status.sent((Lane::High, Epoch(2), last), 10, now);
        }
        status.acked(Lane::High, Epoch(1), 2, now + Duration::from_millis(5));
        let snapshot = status.snapshot();
        assert_eq!((snapshot.sent_frames, snapshot.acked_frames), ([6, 0, 0], [2, 0, 0]));
        assert_eq!(snapshot.sent_bytes, 60);
    }
}
