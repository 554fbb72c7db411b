//! Changes on their way to the spool. They can be found again as long as no baseline has them, so that they wait for room.

use std::sync::Arc;

use shared::identity::Lane;
use shared::record::Value;
use shared::time::{Clock, Timestamp};

use super::change::Change;
use super::record::{Found, record};
use crate::handover::{Outlet, Records, SourceIndex, Stopped};
use crate::source::health::Health;

/// Where records of this source go.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) source: SourceIndex,
    pub(super) lane: Lane,
    pub(super) log_name: Arc<str>,
    pub(super) clock: Clock,
}

/// Records that gather.
pub(super) struct Telling<'a> {
    address: &'a Address,
    health: &'a Health,
    outlet: &'a mut dyn Outlet,
    records: Records,
    /// Changes that were handed over.
    pub(super) changes: u64,
}

impl<'a> Telling<'a> {
    pub(super) fn new(address: &'a Address, health: &'a Health, outlet: &'a mut dyn Outlet) -> Self {
        let records = none(address, address.clock.now());
        Self { address, health, outlet, records, changes: 0 }
    }

    /// Takes a change.
    pub(super) fn change(&mut self, change: &Change, found: Found) -> Result<(), Stopped> {
        let now = self.address.clock.now();
        self.changes += 1;
        self.push(record(change, found, now))
    }

    /// Takes a record.
    pub(super) fn push(&mut self, fields: Vec<(String, Value)>) -> Result<(), Stopped> {
        if self.records.is_empty() {
            self.records.read_at = self.address.clock.now();
        }
        self.records.push(fields);
        if self.records.is_full() { self.hand_over() } else { Ok(()) }
    }

    /// Hands over what gathered.
    pub(super) fn hand_over(&mut self) -> Result<(), Stopped> {
        if self.records.is_empty() {
            return Ok(());
        }
        let now = self.address.clock.now();
        let records = std::mem::replace(&mut self.records, none(self.address, now));
        let (count, bytes) = (records.len() as u64, records.bytes() as u64);
        self.outlet.remade_records(records)?;
        self.health.handed_over(count, bytes, now);
        Ok(())
    }
}

fn none(address: &Address, now: Timestamp) -> Records {
    Records::new(address.source, address.lane, now, Arc::clone(&address.log_name))
}
