//! How much of a core looking may take, and that everything else comes first.
//!
//! The thread runs at nice 19 and in the idle I/O class: its reads reach a disk when nobody else's wait for it. The class
//! counts where the disk's scheduler knows of it (BFQ, mq-deadline).

use std::time::{Duration, Instant};

use ioprio::{Class, Pid, Priority, Target};
use rustix::time::{ClockId, clock_gettime};

use crate::limits::{Deferred, Governor};
use crate::source::wake::Wake;

/// The budget holds over this long; a pause is never longer.
const WINDOW: Duration = Duration::from_secs(1);

/// Gives way to everything else on the host, for good.
pub fn yield_to_all() {
    // Of this thread only (setpriority(2): "the nice value is a per-thread attribute").
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "the nice value of a scanning thread cannot be set");
    }
    // Of this thread only, too (ioprio_set(2): 0 is the calling thread).
    if let Err(error) = ioprio::set_priority(Target::Process(Pid::from_raw(0)), Priority::new(Class::Idle)) {
        tracing::debug!(%error, "the I/O class of a scanning thread cannot be set");
    }
}

/// Keeps a thread within its share.
pub struct Pace {
    percent: u32,
    /// Who may have it rest; none: nobody.
    governor: Option<Governor>,
    began: Instant,
    used_before: Duration,
}

/// CPU time of this thread so far.
pub fn used() -> Duration {
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
        Self { percent, governor: None, began: Instant::now(), used_before: used() }
    }

    /// From now on it rests while this one says so; none: never.
    pub fn obey(&mut self, governor: Option<&Governor>) {
        self.governor = governor.cloned();
    }

    /// Waits if too much was used, and while the limits leave no room; a stop ends it.
    pub fn keep(&mut self, wake: &Wake) {
        let rests = || self.governor.as_ref().is_some_and(|governor| governor.defers(Deferred::IntegrityScan));
        while rests() && !wake.rest(WINDOW) {}
        shared::pulse::beat();
        let (passed, used) = (self.began.elapsed(), used());
        let pause = pause(self.percent, used.saturating_sub(self.used_before), passed);
        if pause >= Duration::from_millis(10) {
            wake.wait(pause, pause);
        }
        if passed >= WINDOW {
            let governor = self.governor.take();
            *self = Self { governor, ..Self::new(self.percent) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scan_rests_while_the_limits_leave_no_room_and_a_stop_ends_it() {
        let governor = Governor::new(shared::time::Clock::System);
        let limit = shared::fleet::AgentConfig::default().limits.memory_bytes;
        governor.tick(crate::limits::Measured { resident_bytes: limit, ..Default::default() });
        let (mut pace, wake) = (Pace::new(100), std::sync::Arc::new(Wake::default()));
        // Nobody has it rest.
        pace.keep(&wake);
        pace.obey(Some(&governor));
        let (resting, stop) = (std::sync::Arc::clone(&wake), std::sync::mpsc::sync_channel(1));
        let thread = std::thread::spawn(move || {
            pace.keep(&resting);
            stop.0.send(()).unwrap();
        });
        assert!(stop.1.recv_timeout(Duration::from_millis(50)).is_err(), "it rests");
        wake.stop();
        stop.1.recv_timeout(Duration::from_secs(20)).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn a_thread_that_yields_is_the_last_for_cores_and_disks_and_no_other_is() {
        let class = || ioprio::get_priority(Target::Process(Pid::from_raw(0))).unwrap().class();
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = (nice(), class());
        let yielded = std::thread::spawn(move || {
            yield_to_all();
            (nice(), class())
        });
        assert_eq!(yielded.join().unwrap(), (19, Some(Class::Idle)));
        assert_eq!((nice(), class()), before);
    }

    #[test]
    fn share_is_kept_by_waiting() {
        let ms = Duration::from_millis;
        assert_eq!(pause(10, ms(20), ms(20)), ms(180));
        assert_eq!(pause(10, ms(20), ms(300)), ms(0));
        assert_eq!(pause(100, ms(20), ms(20)), ms(0));
        assert_eq!(pause(1, ms(900), ms(0)), WINDOW);
    }
}
