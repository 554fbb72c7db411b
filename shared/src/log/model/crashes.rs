//! What suites that crash at every call have in common: seeds, dice, and the loop.
//!
//! `PICKET_SEEDS=n` asks for the seeds 1 to n in place of the few that every run makes, `PICKET_SEEDS=a-b` for
//! those from a to b (one that failed: `a-a`). `PICKET_CRASHES=n` crashes at n calls of each seed in place of every
//! one: many traces in little time. A suite prints how much it did; a failure names its seed and the call.

use std::collections::BTreeSet;
use std::panic::RefUnwindSafe;

use super::ModelFs;

/// xorshift64: good enough to choose, and the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as `seed` says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    /// A number below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound.max(1)
    }
}

/// What one run did.
#[derive(Clone, Copy, Debug)]
pub struct Ran {
    /// Calls of the part that may crash at any of them.
    pub calls: u64,
    /// Names what was done in that part: see [`ModelFs::trace`].
    pub trace: u64,
}

impl Ran {
    /// What was done on `fs` since it had made `calls_before` calls.
    #[must_use]
    pub fn of(fs: &ModelFs, calls_before: u64) -> Self {
        Self { calls: fs.calls() - calls_before, trace: fs.trace() }
    }
}

/// The seeds that are asked for, or 1 to `usual`.
#[must_use]
pub fn seeds(usual: u64) -> std::ops::RangeInclusive<u64> {
    let asked = std::env::var("PICKET_SEEDS").unwrap_or_default();
    let (first, last) = asked.split_once('-').unwrap_or(("1", &asked));
    first.parse().unwrap_or(1)..=last.parse().unwrap_or(usual)
}

/// The calls of a trace of `calls` at which it crashes: every one, or as many as are asked for.
fn crashes(seed: u64, calls: u64) -> Vec<u64> {
    let asked: Option<u64> = std::env::var("PICKET_CRASHES").ok().and_then(|count| count.parse().ok());
    let Some(count) = asked.filter(|count| *count < calls) else { return (1..=calls).collect() };
    let mut dice = Dice::new(seed ^ calls);
    let chosen: BTreeSet<u64> = (0..count).map(|_| 1 + dice.below(calls)).collect();
    chosen.into_iter().collect()
}

/// Runs `run(seed, at)` for every seed: once without a crash, which says how many calls there are, and with one at each
/// of them.
pub fn crash_at_every_call(suite: &str, usual: u64, run: impl Fn(u64, u64) -> Ran + RefUnwindSafe) {
    let attempt = |seed: u64, at: u64| match std::panic::catch_unwind(|| run(seed, at)) {
        Ok(ran) => ran,
        Err(cause) => {
            println!("{suite}: seed {seed}, power off at call {at}: again with PICKET_SEEDS={seed}-{seed}");
            std::panic::resume_unwind(cause);
        }
    };
    let (seeds, mut crashed, mut calls, mut traces) = (seeds(usual), 0, 0, BTreeSet::new());
    for seed in seeds.clone() {
        let whole = attempt(seed, u64::MAX);
        traces.insert(whole.trace);
        calls += whole.calls;
        for at in crashes(seed, whole.calls) {
            attempt(seed, at);
            crashed += 1;
        }
    }
    println!("{suite}: seeds {seeds:?}, {} distinct traces, {crashed} crashes at {calls} calls", traces.len());
}
