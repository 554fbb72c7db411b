//! How a source is woken and stopped without sleeping.
//!
//! In: a stop from the registry, pokes from whoever has news for the source. Out: the source's thread goes on.
//! Invariants: a poke that comes before the wait is not lost; a stop ends every wait at once and stays.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::pulse;

/// One source's bell: the thread waits on it, others ring it.
#[derive(Debug, Default)]
pub struct Wake {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    poked: bool,
}

impl Wake {
    /// Asks the source to end; what it has not read stays in its origin.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Says that there may be something to do.
    pub fn poke(&self) {
        let mut state = self.lock();
        if !state.poked {
            state.poked = true;
            self.changed.notify_all();
        }
    }

    /// Whether the source was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits for a poke, a stop or `timeout`, whichever comes first, but lets pokes gather for `pause`:
    /// a file written line by line costs one turn per pause instead of one per line.
    pub fn wait(&self, pause: Duration, timeout: Duration) {
        pulse::waiting(|| self.sleep(pause, timeout));
    }

    fn sleep(&self, pause: Duration, timeout: Duration) {
        let state = self.lock();
        let pause = pause.min(timeout);
        let (state, _) = self
            .changed
            .wait_timeout_while(state, pause, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, timeout.saturating_sub(pause), |state| !state.stopped && !state.poked)
            .unwrap_or_else(PoisonError::into_inner);
        state.poked = false;
    }

    /// Waits for a stop or this long; whether it was stopped. Pokes stay for the next [`wait`](Self::wait).
    pub fn rest(&self, time: Duration) -> bool {
        let rest = || self.changed.wait_timeout_while(self.lock(), time, |state| !state.stopped);
        pulse::waiting(rest).unwrap_or_else(PoisonError::into_inner).0.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn poke_before_the_wait_is_not_lost() {
        let wake = Wake::default();
        let start = Instant::now();
        wake.poke();
        wake.wait(Duration::ZERO, LONG);
        assert!(start.elapsed() < LONG);
        wake.wait(Duration::ZERO, Duration::from_millis(1));
        assert!(!wake.is_stopped());
    }

    #[test]
    fn rest_keeps_pokes_and_ends_with_a_stop() {
        let wake = Wake::default();
        wake.poke();
        assert!(!wake.rest(Duration::from_millis(1)));
        let start = Instant::now();
        wake.wait(Duration::ZERO, LONG);
        wake.stop();
        assert!(wake.rest(LONG));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn stop_ends_pause_and_wait() {
        let wake = Wake::default();
        wake.stop();
        wake.wait(LONG, LONG);
        assert!(wake.is_stopped());
    }
}
