//! The mouth of the spool: one bounded queue per lane for sources, one for requests of the uplink.
//!
//! A source that pushes waits while its lane's queue is full; a lane that stands at its level is not emptied, so
//! that its sources wait. That is all the backpressure there is.
//!
//! Bound: [`QUEUE_BYTES_MAX`] per lane and one item more.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shared::identity::Lane;

use super::checkpoints::Table;
use super::port::Request;
use crate::handover::{Chunk, Loss, Outlet, Stopped};

/// A source waits while its lane's queue holds this much.
pub const QUEUE_BYTES_MAX: usize = 512 << 10;

/// Something that a source handed over.
pub(super) enum Item {
    Lines(Chunk),
    Loss(Loss),
}

impl Item {
    fn lane(&self) -> Lane {
        match self {
            Self::Lines(chunk) => chunk.lane,
            Self::Loss(loss) => loss.lane,
        }
    }

    /// Bytes that it takes in memory, and records that it brings.
    fn weight(&self) -> (usize, u64) {
        match self {
            Self::Lines(chunk) => {
                (chunk.lines.bytes.len() + chunk.lines.marks.len() * 32, chunk.lines.marks.len() as u64)
            }
            Self::Loss(_) => (256, 1),
        }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    records: u64,
    /// Records ever pushed.
    pushed: u64,
    /// The lane stands at its level: nothing is taken.
    blocked: bool,
}

#[derive(Default)]
struct State {
    queues: [Queue; 3],
    requests: VecDeque<Request>,
    /// Sources are told to end.
    shut: bool,
    stopping: bool,
    closed: bool,
}

/// Shared by sources, uplink and the spool's thread.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    work: Condvar,
    room: Condvar,
}

/// What the thread found when it looked.
pub(super) struct Taken {
    pub(super) items: Vec<Item>,
    pub(super) requests: Vec<Request>,
    pub(super) stopping: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: Item) -> Result<(), Stopped> {
        let lane = item.lane().index();
        let (bytes, records) = item.weight();
        let mut state = self.lock();
        loop {
            if state.closed || state.shut {
                return Err(Stopped);
            }
            let Some(queue) = state.queues.get_mut(lane) else { return Err(Stopped) };
            if queue.bytes < QUEUE_BYTES_MAX {
                queue.items.push_back(item);
                queue.bytes += bytes;
                queue.records += records;
                queue.pushed += records;
                break;
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Hands a request to the thread; false when it has ended.
    pub(super) fn request(&self, request: Request) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.requests.push_back(request);
        drop(state);
        self.work.notify_one();
        true
    }

    /// Waits until there is something to do or `deadline` has come, and takes all of it.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Taken {
        let mut state = self.lock();
        loop {
            let ready = !state.requests.is_empty()
                || state.stopping
                || state.queues.iter().any(|queue| !queue.blocked && !queue.items.is_empty());
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if ready || left.is_some_and(|left| left.is_zero()) {
                break;
            }
            state = match left {
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let mut items = Vec::new();
        for queue in state.queues.iter_mut().filter(|queue| !queue.blocked) {
            items.extend(queue.items.drain(..));
            (queue.bytes, queue.records) = (0, 0);
        }
        let taken = Taken { items, requests: state.requests.drain(..).collect(), stopping: state.stopping };
        drop(state);
        self.room.notify_all();
        taken
    }

    /// Stops or starts taking from a lane; says whether it stood still before.
    pub(super) fn block(&self, lane: Lane, blocked: bool) -> bool {
        self.lock().queues.get_mut(lane.index()).is_some_and(|queue| std::mem::replace(&mut queue.blocked, blocked))
    }

    /// Records ever pushed into a lane, and those that wait in its queue.
    pub(super) fn counts(&self, lane: Lane) -> (u64, u64) {
        self.lock().queues.get(lane.index()).map_or((0, 0), |queue| (queue.pushed, queue.records))
    }

    /// Takes nothing more from sources; those that wait for room end. What was taken is still sealed.
    pub fn shut(&self) {
        self.lock().shut = true;
        self.room.notify_all();
    }

    /// Asks the thread to finish what it has and end. Sources have ended before.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.work.notify_one();
    }

    /// From here on nothing is taken.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.requests.clear();
        drop(state);
        self.room.notify_all();
    }
}

/// Where a source hands over to the spool.
pub struct SpoolOutlet {
    pub(super) inbox: Arc<Inbox>,
    pub(super) table: Arc<Table>,
}

impl Outlet for SpoolOutlet {
    fn lines(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        // Before: its commit, which takes it out again, may be faster than this thread.
        if let Some(checkpoint) = chunk.checkpoint {
            self.table.take(checkpoint);
        }
        self.inbox.push(Item::Lines(chunk))
    }

    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.inbox.push(Item::Loss(loss))
    }
}
