//! Has the governor look at what the program uses, and carries out what it says beside the path of records.
//!
//! In: measurements once a second. Out: short queues for want of memory, a record and a line of the log when the program
//! begins to give way, gives way further, or stops to.

use std::time::Duration;

use shared::identity::Lane;
use shared::stop::{Stage, Stop};

use crate::limits::{Governor, Measured, Step};
use crate::spool::{QUEUE_BYTES_MAX, SpoolPort};

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// What a short queue holds.
const SHORT_QUEUE_BYTES: usize = QUEUE_BYTES_MAX / 8;

/// What the queue of a lane may hold.
fn queue_bytes_max(lane: Lane, memory: Step) -> usize {
    let is_short = memory >= Step::AllSlowed || (lane == Lane::Bulk && memory >= Step::BulkSlowed);
    if is_short { SHORT_QUEUE_BYTES } else { QUEUE_BYTES_MAX }
}

/// Looks until the program stops.
pub(super) async fn keep(governor: &Governor, port: &SpoolPort, stop: &Stop) {
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut bounded = Step::None;
    loop {
        tokio::select! {
            _ = looks.tick() => {}
            _ = stop.reached(Stage::Draining) => return,
        }
        if let Some(change) = governor.tick(Measured::now()) {
            if change.to == Step::None {
                tracing::info!("{}", change.words());
            } else {
                tracing::warn!(step = change.to.number(), "{}", change.words());
            }
            port.say("limits", change.fields());
        }
        let memory = governor.memory_step();
        if memory != bounded {
            bounded = memory;
            Lane::ALL.into_iter().for_each(|lane| port.bound(lane, queue_bytes_max(lane, memory)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_is_the_first_to_have_a_short_queue_and_high_the_last() {
        let short = |memory| Lane::ALL.map(|lane| queue_bytes_max(lane, memory) < QUEUE_BYTES_MAX);
        assert_eq!(short(Step::None), [false; 3]);
        assert_eq!(short(Step::BulkSlowed), [false, false, true]);
        assert_eq!(short(Step::InventoryPaused), [false, false, true]);
        assert_eq!(short(Step::AllSlowed), [true; 3]);
    }
}
