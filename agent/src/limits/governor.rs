//! Limits and measurements in, how far the agent gives way out; where sources ask before they read on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::fleet::Limits;
use shared::identity::Lane;
use shared::protocol::PerLane;
use shared::time::{Clock, Timestamp};

use super::bucket::Bucket;
use super::ladder::{Ladder, Step};
use super::measured::{self, Measured};
use super::pacer::Pacer;
use super::report::{Change, LimitReport, LimitsReport};
use super::{Deferred, Resource, asks};

/// Processor time that is saved for a moment with nothing to do.
const CPU_BURST: Duration = Duration::from_millis(500);
/// A source that waits looks again this often, and says that it is alive.
const SLICE: Duration = Duration::from_millis(250);
/// Use is taken over this long.
const WINDOW: Duration = Duration::from_secs(10);
/// Use over less than this says nothing.
const WINDOW_MIN: Duration = Duration::from_secs(5);

/// The saved part of the burst that a lane leaves to those of more urgency, quarters; negative: what it may owe.
fn leaves(lane: Lane) -> i8 {
    match lane {
        Lane::High => -6,
        Lane::Normal => -2,
        Lane::Bulk => 2,
    }
}

/// A source waits at most this long before each chunk: what other work uses up must not stop reading for ever.
fn patience(lane: Lane) -> Duration {
    match lane {
        Lane::High => Duration::from_secs(1),
        Lane::Normal => Duration::from_secs(5),
        Lane::Bulk => Duration::from_secs(15),
    }
}

/// Processor time that may be used.
#[derive(Default)]
struct CpuBudget {
    /// Nanoseconds of processor time; none: there is no limit.
    bucket: Option<Bucket>,
    /// What was charged so far.
    charged: Duration,
}

impl CpuBudget {
    fn limit(&mut self, percent: Option<u64>, now: Instant, used: Duration) {
        let rate = percent.map(|percent| percent.saturating_mul(10_000_000));
        self.charge(now, used);
        self.bucket = match (self.bucket.take(), rate) {
            (Some(mut bucket), Some(rate)) => {
                bucket.change_rate(rate, now);
                Some(bucket)
            }
            (None, Some(rate)) => Some(Bucket::new(rate, CPU_BURST, now)),
            (_, None) => None,
        };
    }

    fn charge(&mut self, now: Instant, used: Duration) {
        let more = used.saturating_sub(self.charged);
        self.charged = used;
        if let Some(bucket) = &mut self.bucket {
            bucket.earn(now);
            bucket.spend(u64::try_from(more.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// How long a lane has to wait, if nothing is used meanwhile.
    fn wait(&self, lane: Lane) -> Duration {
        self.bucket.as_ref().map_or(Duration::ZERO, |bucket| bucket.until(leaves(lane)))
    }
}

/// Use at a moment that is past.
#[derive(Clone, Copy)]
struct Past {
    at: Instant,
    cpu: Duration,
    sent_bytes: u64,
}

/// What is known of one resource.
#[derive(Default)]
struct Side {
    ladder: Ladder,
    allowed: Option<u64>,
    used: Option<u64>,
    waited: PerLane<Duration>,
}

struct State {
    limits: Limits,
    cpu: Side,
    memory: Side,
    bandwidth: Side,
    past: VecDeque<Past>,
    /// When the agent began to give way, and how far it was said to.
    since: Option<Timestamp>,
    said: Step,
}

impl State {
    fn sides(&mut self) -> [(Resource, &mut Side); 3] {
        let Self { cpu, memory, bandwidth, .. } = self;
        [(Resource::Cpu, cpu), (Resource::Memory, memory), (Resource::Bandwidth, bandwidth)]
    }
}

struct Shared {
    clock: Clock,
    pacer: Pacer,
    budget: Mutex<CpuBudget>,
    state: Mutex<State>,
    /// Numbers of steps in force: of all together, and for want of memory.
    step: AtomicU8,
    memory_step: AtomicU8,
    /// Nanoseconds for which sources waited, by lane.
    waited: [AtomicU64; Lane::ALL.len()],
    deferred: [AtomicU64; Deferred::ALL.len()],
}

/// Holds the agent within its limits; clones are the same one.
#[derive(Clone)]
pub struct Governor(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Governor {
    /// One that holds nothing back but memory, which is never measured unless [`tick`](Self::tick) is called.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let limits = shared::fleet::AgentConfig::default().limits;
        let side = Side::default;
        let state = State {
            limits,
            cpu: side(),
            memory: side(),
            bandwidth: side(),
            past: VecDeque::new(),
            since: None,
            said: Step::None,
        };
        Self(Arc::new(Shared {
            pacer: Pacer::new(clock.clone()),
            clock,
            budget: Mutex::default(),
            state: Mutex::new(state),
            step: AtomicU8::new(0),
            memory_step: AtomicU8::new(0),
            waited: Default::default(),
            deferred: Default::default(),
        }))
    }

    /// Other limits from now on.
    pub fn limit(&self, limits: &Limits) {
        let used = measured::cpu();
        lock(&self.0.budget).limit(limits.cpu_percent, self.0.clock.instant(), used);
        self.0.pacer.limit(limits.bandwidth_bytes_per_second);
        lock(&self.0.state).limits = limits.clone();
    }

    /// Where the sender asks before it sends.
    #[must_use]
    pub fn pacer(&self) -> &Pacer {
        &self.0.pacer
    }

    /// Waits until the source of a lane may read on: at once where there is no limit. `rest` waits for a time or until the
    /// source is to end, and says whether it is.
    pub fn pass(&self, lane: Lane, mut rest: impl FnMut(Duration) -> bool) {
        let begun = self.0.clock.instant();
        loop {
            let now = self.0.clock.instant();
            let wait = {
                let mut budget = lock(&self.0.budget);
                if budget.bucket.is_none() {
                    return;
                }
                budget.charge(now, measured::cpu());
                budget.wait(lane)
            };
            let left = patience(lane).saturating_sub(now.saturating_duration_since(begun));
            let wait = wait.min(left).min(SLICE);
            if wait.is_zero() || rest(wait) {
                return;
            }
            let waited = self.0.clock.instant().saturating_duration_since(now);
            if let Some(total) = self.0.waited.get(lane.index()) {
                total.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        }
    }

    /// How far the agent gives way.
    #[must_use]
    pub fn step(&self) -> Step {
        Step::of_number(self.0.step.load(Ordering::Relaxed))
    }

    /// How far it does for want of memory.
    #[must_use]
    pub fn memory_step(&self) -> Step {
        Step::of_number(self.0.memory_step.load(Ordering::Relaxed))
    }

    /// Whether this is to be left for later.
    #[must_use]
    pub fn defers(&self, what: Deferred) -> bool {
        self.step() >= what.from()
    }

    /// This was left for later, or out, so often.
    pub fn deferred(&self, what: Deferred, count: u64) {
        if let Some(total) = self.0.deferred.get(what as usize) {
            total.fetch_add(count, Ordering::Relaxed);
        }
    }

    fn waited(&self) -> PerLane<Duration> {
        let nanos = |lane: Lane| self.0.waited.get(lane.index()).map_or(0, |total| total.load(Ordering::Relaxed));
        PerLane::new(|lane| Duration::from_nanos(nanos(lane)))
    }

    /// Takes a measurement, about once a second. What changed for the worse, or is over, if a person should know.
    pub fn tick(&self, used: Measured) -> Option<Change> {
        let now = self.0.clock.instant();
        let sent_bytes = self.0.pacer.sent_bytes();
        lock(&self.0.budget).charge(now, used.cpu);
        let waited = [self.waited(), PerLane::default(), self.0.pacer.waited()];
        let mut state = lock(&self.0.state);
        let rates = state.rates(Past { at: now, cpu: used.cpu, sent_bytes });
        let (cpu, sent) = rates.map_or((None, None), |(cpu, sent)| (Some(cpu), Some(sent)));
        let limits = state.limits.clone();
        let allowed = [
            limits.cpu_percent.map(|percent| percent * 10),
            Some(limits.memory_bytes),
            limits.bandwidth_bytes_per_second,
        ];
        let used = [cpu, Some(used.resident_bytes), sent];
        for ((((resource, side), allowed), used), waited) in
            state.sides().into_iter().zip(allowed).zip(used).zip(waited)
        {
            let before = std::mem::replace(&mut side.waited, waited);
            let lately = PerLane::new(|lane| side.waited.of(lane).saturating_sub(*before.of(lane)));
            (side.allowed, side.used) = (allowed, used);
            let asked = match (resource, allowed, used) {
                (_, None, _) => Default::default(),
                (Resource::Cpu, Some(allowed), used) => {
                    asks::cpu(used.map(|used| used.saturating_mul(1_000) / allowed.max(1)), &lately)
                }
                (Resource::Memory, Some(allowed), used) => asks::memory(used.unwrap_or(0), allowed),
                (Resource::Bandwidth, Some(_), _) => asks::bandwidth(&lately),
            };
            side.ladder.measured(asked, now);
        }
        let step = state.sides().map(|(_, side)| side.ladder.step()).into_iter().max().unwrap_or_default();
        self.0.step.store(step.number(), Ordering::Relaxed);
        self.0.memory_step.store(state.memory.ladder.step().number(), Ordering::Relaxed);
        self.change(&mut state, step)
    }

    fn change(&self, state: &mut State, step: Step) -> Option<Change> {
        let (said, at) = (state.said, self.0.clock.now());
        let ends = step == Step::None && said != Step::None;
        if step <= said && !ends {
            return None;
        }
        let since = *state.since.get_or_insert(at);
        if ends {
            state.since = None;
        }
        state.said = step;
        Some(Change { from: said, to: step, since, at, report: self.report_of(state, step) })
    }

    /// How it stands.
    #[must_use]
    pub fn report(&self) -> LimitsReport {
        let mut state = lock(&self.0.state);
        self.report_of(&mut state, self.step())
    }

    fn report_of(&self, state: &mut State, step: Step) -> LimitsReport {
        let milliseconds = |waited: &Duration| u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let since = state.since;
        let resources = state.sides().map(|(resource, side)| {
            let waited = Lane::ALL.map(|lane| (lane.name().to_owned(), milliseconds(side.waited.of(lane))));
            let report = LimitReport {
                allowed: side.allowed,
                used: side.used,
                step: side.ladder.step(),
                waited_ms: waited.into_iter().filter(|(_, waited)| *waited > 0).collect(),
            };
            (resource.name().to_owned(), report)
        });
        let deferred = Deferred::ALL.into_iter().zip(&self.0.deferred);
        LimitsReport {
            step,
            since,
            resources: resources.into_iter().collect(),
            deferred: deferred.map(|(what, count)| (what.name().to_owned(), count.load(Ordering::Relaxed))).collect(),
        }
    }
}

impl State {
    /// Per mille of a core and bytes a second over the window; none: it is too short yet.
    fn rates(&mut self, now: Past) -> Option<(u64, u64)> {
        self.past.push_back(now);
        while self.past.get(1).is_some_and(|past| now.at.saturating_duration_since(past.at) >= WINDOW) {
            self.past.pop_front();
        }
        let first = self.past.front()?;
        let passed = now.at.saturating_duration_since(first.at);
        let per_second = |units: u128| u64::try_from(units * 1_000 / passed.as_millis().max(1)).unwrap_or(u64::MAX);
        let cpu = per_second(now.cpu.saturating_sub(first.cpu).as_millis());
        let sent = per_second(u128::from(now.sent_bytes.saturating_sub(first.sent_bytes)));
        (passed >= WINDOW_MIN).then_some((cpu, sent))
    }
}

#[cfg(test)]
mod tests {
    use shared::time::ManualClock;

    use super::*;
    use crate::source::scratch::Random;

    const MIB: u64 = 1 << 20;
    const SECOND: Duration = Duration::from_secs(1);

    fn limits(cpu_percent: Option<u64>) -> Limits {
        Limits { memory_bytes: 64 * MIB, cpu_percent, bandwidth_bytes_per_second: None }
    }

    fn governor(cpu_percent: Option<u64>) -> (Governor, ManualClock) {
        let clock = ManualClock::new(Timestamp::from_seconds(1_773_653_400));
        let governor = Governor::new(Clock::Manual(clock.clone()));
        governor.limit(&limits(cpu_percent));
        (governor, clock)
    }

    #[test]
    fn memory_is_given_way_for_and_said_when_it_begins_deepens_and_ends() {
        let (governor, clock) = governor(None);
        let tick = |mib: u64| {
            clock.advance(SECOND);
            governor.tick(Measured { cpu: Duration::ZERO, resident_bytes: mib * MIB })
        };
        assert!(tick(20).is_none());
        let begins = tick(55).unwrap();
        assert_eq!((begins.from, begins.to), (Step::None, Step::BulkSlowed));
        assert!(tick(56).is_none(), "the same is not said again");
        assert_eq!(tick(63).unwrap().to, Step::AllSlowed);
        assert_eq!(governor.memory_step(), Step::AllSlowed);
        assert!(governor.defers(Deferred::Inventory) && governor.defers(Deferred::FlowUpdate));
        let ends = (0..60).find_map(|_| tick(20)).unwrap();
        assert_eq!((ends.from, ends.to), (Step::AllSlowed, Step::None));
        assert!(ends.at.since(ends.since) >= 20 * SECOND, "step by step");
        assert!(!governor.defers(Deferred::Inventory));
        assert_eq!(governor.report().resources["memory"].used, Some(20 * MIB));
    }

    #[test]
    fn processor_time_that_nobody_can_hold_back_is_seen_in_the_use() {
        let (governor, clock) = governor(Some(10));
        let mut cpu = Duration::ZERO;
        let mut tick = |used: Duration| {
            clock.advance(SECOND);
            cpu += used;
            governor.tick(Measured { cpu, resident_bytes: MIB })
        };
        assert!((0..30).all(|_| tick(SECOND / 11).is_none()), "below the limit");
        let begins = (0..30).find_map(|_| tick(SECOND / 5)).unwrap();
        assert_eq!(begins.from, Step::None);
        assert!(governor.step() >= Step::UpdatesSampled);
        assert!((0..10).filter_map(|_| tick(SECOND / 5)).all(|change| change.to == Step::InventoryPaused));
        assert_eq!((0..60).find_map(|_| tick(Duration::ZERO)).unwrap().to, Step::None);
    }

    #[test]
    fn without_a_limit_nobody_waits_and_with_one_nobody_waits_for_ever() {
        let (governor, _) = governor(None);
        governor.pass(Lane::Bulk, |_| panic!("there is no limit"));
        // A budget that is used up: of each lane somebody waits until its patience ends.
        let (budget, clock) = self::governor(Some(1));
        lock(&budget.0.budget).charge(clock_now(&budget), Duration::from_secs(1_000_000));
        for lane in Lane::ALL {
            let mut waited = Duration::ZERO;
            budget.pass(lane, |wait| {
                clock.advance(wait);
                waited += wait;
                false
            });
            assert!(waited > Duration::ZERO && waited <= patience(lane), "{lane}: {waited:?}");
        }
        budget.pass(Lane::Bulk, |_| true);
    }

    fn clock_now(governor: &Governor) -> Instant {
        governor.0.clock.instant()
    }

    #[test]
    fn lanes_share_the_budget_in_their_order() {
        let start = Instant::now();
        let mut budget = CpuBudget::default();
        budget.limit(Some(10), start, Duration::ZERO);
        // A quarter of the burst less than is saved.
        budget.charge(start, Duration::from_millis(30));
        let waits = |budget: &CpuBudget| Lane::ALL.map(|lane| !budget.wait(lane).is_zero());
        assert_eq!(waits(&budget), [false, false, true]);
        budget.charge(start, Duration::from_millis(80));
        assert_eq!(waits(&budget), [false, true, true]);
        budget.charge(start, Duration::from_millis(130));
        assert_eq!(waits(&budget), [true, true, true]);
        budget.limit(None, start, Duration::from_millis(130));
        assert_eq!(waits(&budget), [false; 3]);
    }

    /// Sources that want more than there is, whose chunks cost what they cost a while after they were handed over.
    #[test]
    fn whatever_is_wanted_the_budget_holds_and_what_is_more_urgent_is_served() {
        let first = Random::seed();
        for seed in (0..30).map(|round| first.wrapping_add(round)) {
            let mut random = Random::new(seed);
            let percent = 2 + random.below(60) as u64;
            let chunk = Duration::from_micros(500 + random.below(4_000) as u64);
            let (mut budget, start) = (CpuBudget::default(), Instant::now());
            budget.limit(Some(percent), start, Duration::ZERO);
            let (mut used, mut owed, mut served) = (Duration::ZERO, Duration::ZERO, [0_u64; 3]);
            let wants = [random.below(2) == 0, random.below(2) == 0, true];
            const MS: Duration = Duration::from_millis(1);
            for millisecond in 0..20_000_u32 {
                // One core works off what was handed over.
                let works = owed.min(MS);
                (used, owed) = (used + works, owed - works);
                budget.charge(start + MS * millisecond, used);
                for lane in Lane::ALL.into_iter().filter(|lane| wants[lane.index()]) {
                    // The spool's queue is bounded.
                    if budget.wait(lane).is_zero() && owed < chunk * 3 {
                        served[lane.index()] += 1;
                        owed += chunk;
                    }
                }
            }
            let allowed = Duration::from_secs(20).mul_f64(percent as f64 / 100.0);
            let over = allowed.mul_f64(0.15) + chunk * 6;
            assert!(used <= allowed + over, "seed {seed}: {used:?} of {allowed:?}");
            assert!(used + chunk * 6 >= allowed.mul_f64(0.9), "seed {seed}: {used:?} of {allowed:?}");
            if wants[0] {
                assert!(served[0] * 10 >= served.iter().sum::<u64>() * 8, "seed {seed}: {served:?}");
            } else if wants[1] {
                assert!(served[1] * 10 >= served.iter().sum::<u64>() * 8, "seed {seed}: {served:?}");
            }
        }
    }
}
