//! Records on their way to a lane: handed over when there are enough of them or nothing else is to be done.

use std::sync::Arc;
use std::time::Duration;

use shared::identity::Lane;
use shared::time::{Clock, Timestamp};

use super::row::Fields;
use crate::handover::{Outlet, Records, SourceIndex, Untaken};

/// A full lane is waited for this long, and not again until it has taken something.
pub const ROOM_PATIENCE: Duration = Duration::from_millis(50);

/// Records of one lane.
pub struct Outbox {
    source: SourceIndex,
    lane: Lane,
    log_name: Arc<str>,
    clock: Clock,
    records: Records,
    was_full: bool,
    stopped: bool,
    handed_over: (u64, u64, Option<Timestamp>),
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new(source: SourceIndex, lane: Lane, log_name: &str, clock: &Clock) -> Self {
        let log_name: Arc<str> = Arc::from(log_name);
        let records = Records::new(source, lane, clock.now(), Arc::clone(&log_name));
        Self {
            source,
            lane,
            log_name,
            clock: clock.clone(),
            records,
            was_full: false,
            stopped: false,
            handed_over: (0, 0, None),
        }
    }

    /// Takes a record.
    pub fn push(&mut self, fields: Fields, outlet: &mut dyn Outlet) {
        if self.records.is_empty() {
            self.records.read_at = self.clock.now();
        }
        self.records.push(fields);
        if self.records.is_full() {
            self.hand_over(outlet);
        }
    }

    /// Hands over what there is; whether it was taken. What was not is lost, and counted by the lane.
    pub fn hand_over(&mut self, outlet: &mut dyn Outlet) -> bool {
        if self.records.is_empty() {
            return true;
        }
        let now = self.clock.now();
        let next = Records::new(self.source, self.lane, now, Arc::clone(&self.log_name));
        let records = std::mem::replace(&mut self.records, next);
        let (count, bytes) = (records.len() as u64, records.bytes() as u64);
        let patience = if self.was_full { Duration::ZERO } else { ROOM_PATIENCE };
        let taken = outlet.records(records, patience);
        match &taken {
            Ok(()) => {
                let (all, all_bytes, _) = self.handed_over;
                self.handed_over = (all + count, all_bytes + bytes, Some(now));
            }
            Err(Untaken::Full) if !self.was_full => {
                tracing::warn!(
                    lane = self.lane.name(),
                    records = count,
                    "the lane is full: records are lost, and counted"
                );
            }
            Err(Untaken::Full) => {}
            Err(Untaken::Stopped(_)) => self.stopped = true,
        }
        self.was_full = taken.is_err();
        taken.is_ok()
    }

    /// Records and bytes that were taken, and when the last was.
    #[must_use]
    pub fn handed_over(&self) -> (u64, u64, Option<Timestamp>) {
        self.handed_over
    }

    /// The outlet takes no more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }
}
