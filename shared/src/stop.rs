//! [`Stop`]: one handle that tells threads and tasks alike to end, in two stages.
//!
//! In: signals. Out: a [`Stage`] to look at, to sleep on (threads) or to await (tasks of any runtime). A
//! stage only rises: the first signal drains (stop enters at the mouth, each stage ends when its input
//! ends), the second one ends now. Clones share one stage.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::pulse;

/// How far a program is on its way to the end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Stage {
    /// At work.
    #[default]
    Running,
    /// Take nothing new in, finish what is inside.
    Draining,
    /// Leave everything as it is on disk and end.
    Now,
}

/// A handle on the end of the program; cheap to clone.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

type Callback = Arc<dyn Fn(Stage) + Send + Sync>;

#[derive(Default)]
struct State {
    stage: Stage,
    next_waker: u64,
    wakers: BTreeMap<u64, Waker>,
    callbacks: Vec<Callback>,
}

impl Stop {
    /// A handle at [`Stage::Running`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a signal does: raises the stage by one. Returns the stage that holds now.
    pub fn signal(&self) -> Stage {
        let next = match self.stage() {
            Stage::Running => Stage::Draining,
            Stage::Draining | Stage::Now => Stage::Now,
        };
        self.raise(next)
    }

    /// Raises the stage to `stage`; a lower one changes nothing. Returns the stage that holds now.
    pub fn raise(&self, stage: Stage) -> Stage {
        let (reached, wakers, callbacks) = {
            let mut state = self.lock();
            if stage <= state.stage {
                return state.stage;
            }
            state.stage = stage;
            (stage, std::mem::take(&mut state.wakers), state.callbacks.clone())
        };
        self.inner.changed.notify_all();
        for waker in wakers.into_values() {
            waker.wake();
        }
        for callback in &callbacks {
            callback(reached);
        }
        reached
    }

    /// The stage that holds now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.lock().stage
    }

    /// Whether anything but [`Stage::Running`] holds.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.stage() > Stage::Running
    }

    /// Blocks the thread until `stage` is reached.
    pub fn wait(&self, stage: Stage) {
        let guard = self.lock();
        drop(self.inner.changed.wait_while(guard, |state| state.stage < stage).unwrap_or_else(PoisonError::into_inner));
    }

    /// Blocks the thread until `stage` is reached or `timeout` has passed; true when it was reached.
    #[must_use]
    pub fn wait_timeout(&self, stage: Stage, timeout: Duration) -> bool {
        let wait =
            pulse::waiting(|| self.inner.changed.wait_timeout_while(self.lock(), timeout, |state| state.stage < stage));
        let (state, _) = wait.unwrap_or_else(PoisonError::into_inner);
        state.stage >= stage
    }

    /// A future that is ready once `stage` is reached. It needs no runtime of its own and may be dropped at
    /// any time.
    pub fn reached(&self, stage: Stage) -> Reached {
        Reached { stop: self.clone(), stage, waker: None }
    }

    /// Calls `callback` with each stage reached from now on, on the thread that raises it, and at once with
    /// the present stage if that is above [`Stage::Running`]; for a thread that sleeps in a channel and has to
    /// be woken through it. It must not block, and may hear a stage twice when both happen at one moment.
    pub fn on_change(&self, callback: impl Fn(Stage) + Send + Sync + 'static) {
        let callback: Callback = Arc::new(callback);
        let stage = {
            let mut state = self.lock();
            state.callbacks.push(Arc::clone(&callback));
            state.stage
        };
        if stage > Stage::Running {
            callback(stage);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stop").field(&self.stage()).finish()
    }
}

/// Ready once a stage is reached; made by [`Stop::reached`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is awaited"]
pub struct Reached {
    stop: Stop,
    stage: Stage,
    waker: Option<u64>,
}

impl Future for Reached {
    type Output = Stage;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Stage> {
        let stop = self.stop.clone();
        let mut state = stop.lock();
        if state.stage >= self.stage {
            return Poll::Ready(state.stage);
        }
        let key = *self.waker.get_or_insert_with(|| {
            state.next_waker += 1;
            state.next_waker
        });
        state.wakers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        if let Some(key) = self.waker {
            self.stop.lock().wakers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_first_signal_drains_and_the_second_ends_now() {
        let stop = Stop::new();
        assert!(!stop.requested());
        assert_eq!(stop.signal(), Stage::Draining);
        assert_eq!(stop.clone().signal(), Stage::Now);
        assert_eq!(stop.signal(), Stage::Now);
    }

    #[test]
    fn a_stage_never_falls() {
        let stop = Stop::new();
        stop.raise(Stage::Now);
        assert_eq!(stop.raise(Stage::Draining), Stage::Now);
    }

    #[test]
    fn a_waiting_thread_is_woken() {
        let stop = Stop::new();
        let (done, finished) = mpsc::sync_channel(8);
        let thread = {
            let stop = stop.clone();
            std::thread::spawn(move || {
                stop.wait(Stage::Draining);
                done.send(stop.stage())
            })
        };
        assert!(finished.try_recv().is_err());
        stop.signal();
        assert_eq!(finished.recv(), Ok(Stage::Draining));
        thread.join().unwrap().unwrap();
    }

    #[test]
    fn a_wait_ends_at_its_timeout_and_says_so() {
        let stop = Stop::new();
        assert!(!stop.wait_timeout(Stage::Draining, Duration::ZERO));
        stop.signal();
        assert!(stop.wait_timeout(Stage::Draining, Duration::MAX));
        assert!(!stop.wait_timeout(Stage::Now, Duration::from_millis(1)));
    }

    #[test]
    fn a_task_is_woken_once_its_stage_is_reached_and_forgotten_when_dropped() {
        let stop = Stop::new();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let (mut drain, mut now) = (Box::pin(stop.reached(Stage::Draining)), Box::pin(stop.reached(Stage::Now)));
        for _ in 0..3 {
            assert!(drain.as_mut().poll(&mut context).is_pending());
            assert!(now.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(stop.lock().wakers.len(), 2);
        stop.signal();
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
        assert_eq!(drain.as_mut().poll(&mut context), Poll::Ready(Stage::Draining));
        assert!(now.as_mut().poll(&mut context).is_pending());
        drop(now);
        assert!(stop.lock().wakers.is_empty());
    }

    #[test]
    fn a_callback_hears_every_stage_and_a_late_one_the_present() {
        let stop = Stop::new();
        let (tell, told) = mpsc::sync_channel(8);
        let early = tell.clone();
        stop.on_change(move |stage| early.send(("early", stage)).unwrap());
        stop.signal();
        stop.on_change(move |stage| tell.send(("late", stage)).unwrap());
        stop.signal();
        let heard: Vec<_> = told.try_iter().collect();
        assert_eq!(heard.len(), 4);
        assert!(heard.starts_with(&[("early", Stage::Draining), ("late", Stage::Draining)]));
        assert!(heard.contains(&("early", Stage::Now)) && heard.contains(&("late", Stage::Now)));
    }
}
