//! What was not seen, counted: drops of the kernel and of the interface, flows that were forgotten. Each is said as a loss
//! record when it grows, at most once in [`SAID_EVERY`], and at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::identity::Lane;
use shared::record::LossReason;
use shared::time::Timestamp;

use super::super::flow::Evicted;
use super::telling::Telling;
use super::{Drops, PacketConfig};
use crate::handover::{Loss, LossUnit, Outlet, SourceIndex};
use crate::source::health::CaptureSnapshot;

/// Losses of one reason gather for this long; the first is said at once.
pub(super) const SAID_EVERY: Duration = Duration::from_secs(60);

/// A loss that goes on.
struct Growing {
    reason: LossReason,
    unit: LossUnit,
    /// What was not said yet, and since when it gathers.
    untold: u64,
    since: Option<Timestamp>,
    said_at: Option<Instant>,
}

impl Growing {
    fn new(reason: LossReason, unit: LossUnit) -> Self {
        Self { reason, unit, untold: 0, since: None, said_at: None }
    }
}

/// All of it.
pub(super) struct Tally {
    source: SourceIndex,
    lane: Lane,
    interface: Arc<str>,
    /// What the library said last, of this capture.
    last: Drops,
    kernel: Growing,
    driver: Growing,
    flows: Growing,
    /// Of the flows: not told at all, and conversations given up, since it was said last.
    flow_details: Evicted,
    /// When nothing more was lost than was said.
    whole_at: Timestamp,
    totals: CaptureSnapshot,
}

impl Tally {
    pub(super) fn new(config: &PacketConfig, source: SourceIndex) -> Self {
        Self {
            source,
            lane: config.lane,
            interface: Arc::from(config.interface.as_str()),
            last: Drops::default(),
            kernel: Growing::new(LossReason::CaptureDrop, LossUnit::Packets),
            driver: Growing::new(LossReason::InterfaceDrop, LossUnit::Packets),
            flows: Growing::new(LossReason::FlowEvicted, LossUnit::Flows),
            flow_details: Evicted::default(),
            whole_at: Timestamp(0),
            totals: CaptureSnapshot::default(),
        }
    }

    /// A capture begins, of which so much is told already.
    pub(super) fn opened(&mut self, told: Drops) {
        self.last = told;
    }

    /// What the library said last.
    pub(super) fn told_of(&self) -> Drops {
        self.last
    }

    pub(super) fn packets(&mut self, count: u64) {
        self.totals.packets += count;
    }

    /// What the library counted since the capture was opened.
    pub(super) fn drops(&mut self, now: Drops) {
        let kernel = u64::from(now.kernel.wrapping_sub(self.last.kernel));
        let interface = u64::from(now.interface.wrapping_sub(self.last.interface));
        self.last = now;
        self.totals.kernel_drops += kernel;
        self.totals.interface_drops += interface;
        self.kernel.untold += kernel;
        self.driver.untold += interface;
    }

    /// What the table forgot since it was asked last.
    pub(super) fn evicted(&mut self, evicted: Evicted) {
        self.totals.evicted_flows += evicted.flows;
        self.totals.untold_flows += evicted.untold;
        self.totals.conversations_given_up += evicted.conversations;
        self.flows.untold += evicted.flows;
        self.flow_details.untold += evicted.untold;
        self.flow_details.conversations += evicted.conversations;
    }

    /// Says what is due.
    pub(super) fn say(&mut self, now: Timestamp, instant: Instant, telling: &mut Telling, outlet: &mut dyn Outlet) {
        self.say_due(now, Some(instant), telling, outlet);
    }

    /// Says all that was not said yet.
    pub(super) fn say_all(&mut self, now: Timestamp, telling: &mut Telling, outlet: &mut dyn Outlet) {
        self.say_due(now, None, telling, outlet);
    }

    /// `instant`: none says what is not due, too.
    fn say_due(&mut self, now: Timestamp, instant: Option<Instant>, telling: &mut Telling, outlet: &mut dyn Outlet) {
        let before = if self.whole_at == Timestamp(0) { now } else { self.whole_at };
        self.whole_at = now;
        for growing in [&mut self.kernel, &mut self.driver, &mut self.flows] {
            let given_up = growing.unit == LossUnit::Flows && self.flow_details.conversations > 0;
            if growing.untold == 0 && !given_up {
                continue;
            }
            let from = *growing.since.get_or_insert(before);
            let due = match (instant, growing.said_at) {
                (Some(instant), Some(said)) => instant >= said + SAID_EVERY,
                _ => true,
            };
            if !due {
                continue;
            }
            let details = match growing.unit {
                LossUnit::Flows => {
                    vec![("untold", self.flow_details.untold), ("conversations", self.flow_details.conversations)]
                }
                _ => Vec::new(),
            };
            let loss = Loss {
                source: self.source,
                lane: self.lane,
                reason: growing.reason,
                path: Arc::clone(&self.interface),
                count: Some(growing.untold),
                unit: growing.unit,
                details,
                from,
                to: now,
            };
            // As a record: a loss would wait for room. What finds none is said with what comes next.
            telling.push(loss.fields(), outlet);
            growing.said_at = instant.or(growing.said_at);
            if telling.hand_over(outlet) {
                (growing.untold, growing.since) = (0, None);
                if growing.unit == LossUnit::Flows {
                    self.flow_details = Evicted::default();
                }
            }
        }
    }

    /// Everything counted so far.
    pub(super) fn snapshot(&self) -> CaptureSnapshot {
        self.totals.clone()
    }
}
