//! What suites that crash at every call have in common: seeds, dice, and the loop.
//!
//! `PICKET_SEEDS=n` asks for the seeds 1 to n in place of the few that every run makes, `PICKET_SEEDS=a-b` for
//! those from a to b (one that failed: `a-a`). A suite prints how much it did; a failure names its seed and the
//! call.

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

/// Runs `run(seed, at)` for every seed and with a crash at each call, until a run had fewer calls than that.
pub fn crash_at_every_call(suite: &str, usual: u64, run: impl Fn(u64, u64) -> Ran + RefUnwindSafe) {
    let (seeds, mut crashes, mut traces) = (seeds(usual), 0u64, BTreeSet::new());
    for seed in seeds.clone() {
        for at in 1.. {
            let ran = match std::panic::catch_unwind(|| run(seed, at)) {
                Ok(ran) => ran,
                Err(cause) => {
                    println!("{suite}: seed {seed}, power off at call {at}: again with PICKET_SEEDS={seed}-{seed}");
                    std::panic::resume_unwind(cause);
                }
            };
            if at > ran.calls {
                traces.insert(ran.trace);
                break;
            }
            crashes += 1;
        }
    }
    println!("{suite}: seeds {seeds:?}, {} distinct traces, a crash at each of {crashes} calls", traces.len());
}
