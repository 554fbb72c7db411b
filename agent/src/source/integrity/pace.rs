//! How much of a core looking may take, and that everything else comes first.
//!
//! The thread runs at nice 19. The idle I/O class would need ioprio_set(2), for which rustix has no call and which cannot
//! be called without `unsafe`: Linux gives a thread of nice 19 the lowest level of the best-effort class instead
//! (ioprio_set(2): `(nice + 20) / 5` = 7). `IOSchedulingClass=idle` in the unit gives it to the whole agent.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::source::wake::Wake;

/// The budget holds over this long; a pause is never longer.
const WINDOW: Duration = Duration::from_secs(1);

/// Gives way to everything else on the host, for good.
pub fn yield_to_all() {
    // Of this thread only (setpriority(2): "the nice value is a per-thread attribute").
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "the nice value of a scanning thread cannot be set");
    }
}

/// Keeps a thread within its share.
#[derive(Debug)]
pub struct Pace {
    percent: u32,
    began: Instant,
    used_before: Duration,
}

fn used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// How long a thread that used `used` in `passed` has to wait to have used `percent` of the time.
fn pause(percent: u32, used: Duration, passed: Duration) -> Duration {
    (used * 100 / percent.max(1)).saturating_sub(passed).min(WINDOW)
}

impl Pace {
    /// A share of `percent` of one core, 1 to 100, from now on.
    #[must_use]
    pub fn new(percent: u32) -> Self {
        Self { percent, began: Instant::now(), used_before: used() }
    }

    /// Waits if too much was used; a stop ends it.
    pub fn keep(&mut self, wake: &Wake) {
        shared::pulse::beat();
        let (passed, used) = (self.began.elapsed(), used());
        let pause = pause(self.percent, used.saturating_sub(self.used_before), passed);
        if pause >= Duration::from_millis(10) {
            wake.wait(pause, pause);
        }
        if passed >= WINDOW {
            *self = Self::new(self.percent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_kept_by_waiting() {
        let ms = Duration::from_millis;
        assert_eq!(pause(10, ms(20), ms(20)), ms(180));
        assert_eq!(pause(10, ms(20), ms(300)), ms(0));
        assert_eq!(pause(100, ms(20), ms(20)), ms(0));
        assert_eq!(pause(1, ms(900), ms(0)), WINDOW);
    }
}
