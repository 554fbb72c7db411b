//! Credit for frame bytes: a base window for each session and one budget for all of them.
//!
//! A session has *reserved* what its limit allows beyond the base window behind what is committed:
//! `reserved = limit − committed − base`. A wish is granted whole or not at all, in the order of asking, so
//! that every grant carries at least one frame. Two rules keep it from standing still:
//!
//! - `Σ reserved ≤ total`, always.
//! - One largest frame's worth of the budget is no pool but a seat: the first in turn who does not fit the
//!   pool takes the seat with all that it reserved, and leaves it when that fits the pool again. So sessions
//!   that each hold a part and wait for more cannot block one another.

use std::collections::{HashMap, VecDeque};

use crate::limits::{CREDIT_BUDGET_BYTES_MIN, FRAME_BYTES_MAX};

/// Names a session at its aggregator while the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

#[derive(Debug)]
struct Wish {
    session: SessionId,
    /// What the session would have reserved if it were granted.
    reserved: u64,
}

/// The budget that all sessions share.
#[derive(Debug)]
pub struct Budget {
    total: u64,
    reserved: HashMap<SessionId, u64>,
    /// Σ of `reserved`, without that of the seat.
    pooled: u64,
    seat: Option<SessionId>,
    waiting: VecDeque<Wish>,
    granted: Vec<SessionId>,
}

impl Budget {
    /// A budget of `total` bytes, at least [`CREDIT_BUDGET_BYTES_MIN`].
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self {
            total: total.max(CREDIT_BUDGET_BYTES_MIN),
            reserved: HashMap::new(),
            pooled: 0,
            seat: None,
            waiting: VecDeque::new(),
            granted: Vec::new(),
        }
    }

    /// Bytes reserved by all sessions. Never more than the total.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.pooled + self.seat.map_or(0, |seat| self.reserved(seat))
    }

    /// Sessions in turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What a session has reserved.
    #[must_use]
    pub fn reserved(&self, session: SessionId) -> u64 {
        self.reserved.get(&session).copied().unwrap_or(0)
    }

    /// Sessions that were granted what they wished since the last call: each is to look.
    pub fn drain_granted(&mut self) -> Vec<SessionId> {
        std::mem::take(&mut self.granted)
    }

    /// The session wishes to have `reserved` bytes; a wish that waits is changed in its place.
    pub fn wish(&mut self, session: SessionId, reserved: u64) {
        if reserved <= self.reserved(session) {
            return self.forget(session);
        }
        match self.waiting.iter_mut().find(|wish| wish.session == session) {
            Some(wish) => wish.reserved = reserved,
            None => self.waiting.push_back(Wish { session, reserved }),
        }
        self.grant();
    }

    /// The session does not wait any more.
    pub fn forget(&mut self, session: SessionId) {
        self.waiting.retain(|wish| wish.session != session);
        self.grant();
    }

    /// The session needs no more than `reserved`; more than it has changes nothing.
    pub fn settle(&mut self, session: SessionId, reserved: u64) {
        if reserved < self.reserved(session) {
            self.set(session, reserved);
            self.grant();
        }
    }

    /// The session is over.
    pub fn leave(&mut self, session: SessionId) {
        self.set(session, 0);
        self.forget(session);
    }

    fn set(&mut self, session: SessionId, reserved: u64) {
        let before = self.reserved(session);
        if reserved == 0 {
            self.reserved.remove(&session);
        } else {
            self.reserved.insert(session, reserved);
        }
        if self.seat == Some(session) {
            if reserved == 0 {
                self.seat = None;
            }
        } else {
            self.pooled = self.pooled - before + reserved;
        }
    }

    fn pool(&self) -> u64 {
        self.total - FRAME_BYTES_MAX
    }

    fn grant(&mut self) {
        loop {
            if let Some(seat) = self.seat
                && self.pooled + self.reserved(seat) <= self.pool()
            {
                self.pooled += self.reserved(seat);
                self.seat = None;
            }
            // Who sits has its turn first: all others wait for it.
            let sits = self.seat.and_then(|seat| self.waiting.iter().position(|wish| wish.session == seat));
            let turn = sits.unwrap_or(0);
            let Some(&Wish { session, reserved }) = self.waiting.get(turn) else { return };
            if self.seat != Some(session) && self.pooled - self.reserved(session) + reserved > self.pool() {
                if self.seat.is_some() || reserved > FRAME_BYTES_MAX {
                    return;
                }
                self.pooled -= self.reserved(session);
                self.seat = Some(session);
            }
            if self.seat == Some(session) && reserved > FRAME_BYTES_MAX {
                return;
            }
            self.set(session, reserved);
            self.waiting.remove(turn);
            self.granted.push(session);
        }
    }
}
