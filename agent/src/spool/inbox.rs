//! The mouth of the spool: one bounded queue per lane for sources, one for requests of the uplink.
//!
//! A source that pushes lines waits while its lane's queue is full; a lane that stands at its level is not emptied, so
//! that its sources wait. That is all the backpressure there is. Typed records wait for a moment; those that then find
//! no room are refused: counted here, and in the lane's books as soon as the thread comes round.
//!
//! Bound: [`QUEUE_BYTES_MAX`] per lane and one item more, or less where [`Inbox::bound`] says so.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::pulse;
use tokio::sync::oneshot;

use super::checkpoints::Table;
use super::port::Request;
use crate::handover::{Chunk, Loss, Outlet, Records, Stopped, Untaken};

/// A source waits while its lane's queue holds this much.
pub const QUEUE_BYTES_MAX: usize = 512 << 10;

/// Something that a source handed over.
pub(super) enum Item {
    Lines(Chunk),
    Records(Records),
    Loss(Loss),
}

impl Item {
    fn lane(&self) -> Lane {
        match self {
            Self::Lines(chunk) => chunk.lane,
            Self::Records(records) => records.lane,
            Self::Loss(loss) => loss.lane,
        }
    }

    /// Bytes that it takes in memory, and records that it brings.
    pub(super) fn weight(&self) -> (usize, u64) {
        match self {
            Self::Lines(chunk) => {
                (chunk.lines.bytes.len() + chunk.lines.marks.len() * 32, chunk.lines.marks.len() as u64)
            }
            Self::Records(records) => (2 * records.bytes(), records.len() as u64),
            Self::Loss(_) => (256, 1),
        }
    }
}

struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    bytes_max: usize,
    records: u64,
    /// Records ever pushed or refused.
    pushed: u64,
    /// Records that found no room and that the thread has not counted yet.
    refused: u64,
    /// The lane stands at its level: nothing is taken.
    blocked: bool,
}

impl Default for Queue {
    fn default() -> Self {
        let (items, bytes_max) = (VecDeque::new(), QUEUE_BYTES_MAX);
        Self { items, bytes: 0, bytes_max, records: 0, pushed: 0, refused: 0, blocked: false }
    }
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
    /// Records of each lane that found no room.
    pub(super) refused: [u64; 3],
    pub(super) stopping: bool,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, item: Item) -> Result<(), Stopped> {
        let lane = item.lane().index();
        let (bytes, records) = item.weight();
        pulse::beat();
        let mut state = self.lock();
        loop {
            // What can be read again is not taken any more; the rest as long as there is room.
            let (closed, shut) = (state.closed, state.shut);
            let Some(queue) = state.queues.get_mut(lane) else { return Err(Stopped) };
            if closed || (shut && (matches!(item, Item::Lines(_)) || queue.bytes >= queue.bytes_max)) {
                return Err(Stopped);
            }
            if queue.bytes < queue.bytes_max {
                queue.items.push_back(item);
                queue.bytes += bytes;
                queue.records += records;
                queue.pushed += records;
                break;
            }
            state = pulse::waiting(|| self.room.wait(state)).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Takes records if there is room within `patience`, or counts them as refused.
    fn push_records(&self, records: Records, patience: Duration) -> Result<(), Untaken> {
        let deadline = Instant::now() + patience;
        let lane = records.lane.index();
        let item = Item::Records(records);
        let (bytes, count) = item.weight();
        pulse::beat();
        let mut state = self.lock();
        let taken = loop {
            let closed = state.closed;
            let Some(queue) = state.queues.get_mut(lane).filter(|_| !closed) else {
                return Err(Untaken::Stopped(Stopped));
            };
            if queue.bytes < queue.bytes_max {
                queue.items.push_back(item);
                queue.bytes += bytes;
                queue.records += count;
                queue.pushed += count;
                break Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if queue.blocked || left.is_zero() {
                queue.pushed += count;
                queue.refused += count;
                break Err(Untaken::Full);
            }
            state = self.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        drop(state);
        self.work.notify_one();
        taken
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
                || state.queues.iter().any(|queue| queue.refused > 0 || (!queue.blocked && !queue.items.is_empty()));
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if ready || left.is_some_and(|left| left.is_zero()) {
                break;
            }
            state = pulse::waiting(|| match left {
                Some(left) => self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            });
        }
        let mut items = Vec::new();
        for queue in state.queues.iter_mut().filter(|queue| !queue.blocked) {
            items.extend(queue.items.drain(..));
            (queue.bytes, queue.records) = (0, 0);
        }
        let refused = state.queues.each_mut().map(|queue| std::mem::take(&mut queue.refused));
        let taken = Taken { items, requests: state.requests.drain(..).collect(), refused, stopping: state.stopping };
        drop(state);
        self.room.notify_all();
        taken
    }

    /// Stops or starts taking from a lane; says whether it stood still before.
    pub(super) fn block(&self, lane: Lane, blocked: bool) -> bool {
        self.lock().queues.get_mut(lane.index()).is_some_and(|queue| std::mem::replace(&mut queue.blocked, blocked))
    }

    /// A source waits from now on while a lane's queue holds this much; one item is always taken.
    pub(super) fn bound(&self, lane: Lane, bytes_max: usize) {
        if let Some(queue) = self.lock().queues.get_mut(lane.index()) {
            queue.bytes_max = bytes_max.clamp(1, QUEUE_BYTES_MAX);
        }
        self.room.notify_all();
    }

    /// Records ever handed over to a lane, and those that wait in its queue or to be counted as refused.
    pub(super) fn counts(&self, lane: Lane) -> (u64, u64) {
        self.lock().queues.get(lane.index()).map_or((0, 0), |queue| (queue.pushed, queue.records + queue.refused))
    }

    /// Takes no more lines; sources that wait for room end. What cannot be read again is still taken while there is
    /// room, and what was taken is still sealed.
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

    fn records(&mut self, records: Records, patience: Duration) -> Result<(), Untaken> {
        if records.is_empty() { Ok(()) } else { self.inbox.push_records(records, patience) }
    }

    fn remade_records(&mut self, records: Records) -> Result<(), Stopped> {
        if records.is_empty() { Ok(()) } else { self.inbox.push(Item::Records(records)) }
    }

    fn settle(&mut self, lane: Lane) -> bool {
        let (pushed, _) = self.inbox.counts(lane);
        let (reply, answer) = oneshot::channel();
        self.inbox.request(Request::Settle { lane, pushed, reply }) && answer.blocking_recv().unwrap_or(false)
    }

    fn loss(&mut self, loss: Loss) -> Result<(), Stopped> {
        self.inbox.push(Item::Loss(loss))
    }
}
