//! The mouth of the journal's thread: requests wait here, in order, until the thread takes them all.
//!
//! Bound: the credit budget bounds the bytes of frames under way, so that a push never waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shared::pulse;

struct State<T> {
    letters: VecDeque<T>,
    closed: bool,
}

/// A queue from many to one.
pub(super) struct Mailbox<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

impl<T> Default for Mailbox<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { letters: VecDeque::new(), closed: false }), arrived: Condvar::new() }
    }
}

impl<T> Mailbox<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a letter in; false when nobody takes it any more.
    pub(super) fn push(&self, letter: T) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        // Who takes letters takes all of them, and waits only for the first.
        let is_first = state.letters.is_empty();
        state.letters.push_back(letter);
        drop(state);
        if is_first {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits until there is a letter, the deadline has come or the box is closed, and takes everything.
    pub(super) fn take(&self, deadline: Option<Instant>) -> VecDeque<T> {
        let mut state = self.lock();
        while state.letters.is_empty() && !state.closed {
            let Some(deadline) = deadline else {
                state = pulse::waiting(|| self.arrived.wait(state)).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = pulse::waiting(|| self.arrived.wait_timeout(state, left)).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut state.letters)
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
