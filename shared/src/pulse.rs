//! Which threads still come round, for the watchdog of `systemd.service(5)` and for `/healthz`.
//!
//! In: each thread that does a program's work [`enter`]s by its name, says [`beat`] when it comes round and wraps in [`waiting`]
//! what takes as long as others take: for input, for room, for an answer. Out: [`stuck`], those that had something to do and did
//! not come round.
//!
//! Invariants: a thread that waits is well, however long; one that is at work and has not come round for longer than asked is
//! named; a thread that has ended is not named. There is one list per process, as there is one watchdog.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::time::Clock;

/// Stands for the moment of a thread that waits.
const WAITING: u64 = u64::MAX;

static PULSES: Mutex<Vec<Arc<Pulse>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: RefCell<Option<Arc<Pulse>>> = const { RefCell::new(None) };
}

/// One thread under watch.
#[derive(Debug)]
struct Pulse {
    name: String,
    /// When it last came round, milliseconds since the first look; [`WAITING`].
    at: AtomicU64,
}

/// A thread that is at work and does not come round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// The thread's name.
    pub thread: String,
    /// How long ago it last came round.
    pub silent: Duration,
}

/// The thread is under watch as long as this lives.
#[derive(Debug)]
#[must_use = "the thread leaves the watch when this is dropped"]
pub struct Entered {
    pulse: Arc<Pulse>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        pulses().retain(|pulse| !Arc::ptr_eq(pulse, &self.pulse));
        OWN.with_borrow_mut(|own| *own = None);
    }
}

fn pulses() -> MutexGuard<'static, Vec<Arc<Pulse>>> {
    PULSES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let now = Clock::System.instant();
    u64::try_from(now.saturating_duration_since(*FIRST.get_or_init(|| now)).as_millis()).unwrap_or(WAITING - 1)
}

fn mark(at: impl FnOnce() -> u64) {
    OWN.with_borrow(|own| {
        if let Some(pulse) = own {
            pulse.at.store(at(), Ordering::Relaxed);
        }
    });
}

/// Puts the thread that calls under watch.
pub fn enter(name: &str) -> Entered {
    let pulse = Arc::new(Pulse { name: name.to_owned(), at: AtomicU64::new(now()) });
    pulses().push(Arc::clone(&pulse));
    OWN.with_borrow_mut(|own| *own = Some(Arc::clone(&pulse)));
    Entered { pulse }
}

/// The thread that calls came round; nothing where it is not under watch.
pub fn beat() {
    mark(now);
}

/// Does what takes as long as others take; the thread that calls is well meanwhile.
pub fn waiting<T>(wait: impl FnOnce() -> T) -> T {
    mark(|| WAITING);
    let waited = wait();
    beat();
    waited
}

/// The threads that have been at work for `longer_than` without coming round.
#[must_use]
pub fn stuck(longer_than: Duration) -> Vec<Stuck> {
    let now = now();
    let look = |pulse: &Arc<Pulse>| {
        let at = pulse.at.load(Ordering::Relaxed);
        let silent = Duration::from_millis(now.saturating_sub(at));
        (at != WAITING && silent > longer_than).then(|| Stuck { thread: pulse.name.clone(), silent })
    };
    pulses().iter().filter_map(look).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn is_stuck(name: &str, longer_than: Duration) -> bool {
        stuck(longer_than).iter().any(|stuck| stuck.thread == name)
    }

    fn until(condition: impl Fn() -> bool) {
        let deadline = Clock::System.instant() + Duration::from_secs(20);
        while !condition() {
            assert!(Clock::System.instant() < deadline, "it never came true");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_thread_at_work_is_stuck_until_it_comes_round_and_one_that_waits_never_is() {
        let (go, wait) = mpsc::sync_channel::<()>(0);
        let thread = std::thread::spawn(move || {
            let _entered = enter("pulse-a");
            wait.recv().unwrap();
            waiting(|| wait.recv()).unwrap();
            beat();
            wait.recv().unwrap();
        });
        let patience = Duration::from_millis(20);
        until(|| is_stuck("pulse-a", patience));
        go.send(()).unwrap();
        until(|| !is_stuck("pulse-a", Duration::ZERO));
        let long = Clock::System.instant() + 3 * patience;
        until(|| {
            assert!(!is_stuck("pulse-a", Duration::ZERO));
            Clock::System.instant() > long
        });
        go.send(()).unwrap();
        until(|| is_stuck("pulse-a", patience));
        go.send(()).unwrap();
        thread.join().unwrap();
        assert!(!is_stuck("pulse-a", Duration::ZERO));
    }

    #[test]
    fn a_thread_that_panics_leaves_the_watch() {
        let thread = std::thread::spawn(|| {
            let _entered = enter("pulse-b");
            panic!("it ends badly");
        });
        assert!(thread.join().is_err());
        assert!(!is_stuck("pulse-b", Duration::ZERO));
        beat();
    }
}
