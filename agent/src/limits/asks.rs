//! What each resource asks for, by what was measured in the last moment. Pure.
//!
//! Who waits says more than how much is used: while the limit holds somebody back the use stands at the limit, whatever
//! is wanted. What no wait holds back (packets, an inventory that has begun) is seen in the use.

use std::time::Duration;

use shared::identity::Lane;
use shared::protocol::PerLane;

use super::ladder::{Asked, Step};

/// A lane that waited less than this in a moment was not held back.
const BITES: Duration = Duration::from_millis(200);

/// Per mille of the processor time that is allowed at which more than lane bulk gives way, where nobody waits.
const CPU: [(u64, Step); 2] = [(1_100, Step::UpdatesSampled), (1_200, Step::InventoryPaused)];
/// Per mille of the memory that is allowed at which each step is taken.
const MEMORY: [(u64, Step); 4] =
    [(850, Step::BulkSlowed), (900, Step::UpdatesSampled), (940, Step::InventoryPaused), (970, Step::AllSlowed)];
/// So much below, a step is kept.
const MARGIN: u64 = 50;

fn highest(table: &[(u64, Step)], value: u64) -> Step {
    table.iter().rev().find(|(from, _)| value >= *from).map_or(Step::None, |(_, step)| *step)
}

fn with_margin(table: &[(u64, Step)], value: u64) -> Asked {
    Asked { take: highest(table, value), keep: highest(table, value.saturating_add(MARGIN)) }
}

/// `used` of `allowed`, per mille.
fn share(used: u64, allowed: u64) -> u64 {
    u64::try_from(u128::from(used) * 1_000 / u128::from(allowed.max(1))).unwrap_or(u64::MAX)
}

/// `used_permille` of the processor time that is allowed; none: not known yet. `waited`: how long sources of each lane did.
pub(super) fn cpu(used_permille: Option<u64>, waited: &PerLane<Duration>) -> Asked {
    let waits = |lane| *waited.of(lane) >= BITES;
    if waits(Lane::High) || waits(Lane::Normal) {
        return Asked::just(Step::AllSlowed);
    }
    let by_use = with_margin(&CPU, used_permille.unwrap_or(0));
    let by_waits = if waits(Lane::Bulk) { Step::BulkSlowed } else { Step::None };
    Asked { take: by_use.take.max(by_waits), keep: by_use.keep.max(by_waits) }
}

/// Resident bytes, and those that are allowed.
pub(super) fn memory(used_bytes: u64, allowed_bytes: u64) -> Asked {
    with_margin(&MEMORY, share(used_bytes, allowed_bytes))
}

/// How long frames of each lane waited to be sent. Reading never waits for it: what is read is kept in the spool, whose own
/// level holds reading back when it is full.
pub(super) fn bandwidth(waited: &PerLane<Duration>) -> Asked {
    let by_lane =
        [(Lane::High, Step::InventoryPaused), (Lane::Normal, Step::UpdatesSampled), (Lane::Bulk, Step::BulkSlowed)];
    let step = by_lane.into_iter().find(|(lane, _)| *waited.of(*lane) >= BITES);
    Asked::just(step.map_or(Step::None, |(_, step)| step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(high: u64, normal: u64, bulk: u64) -> PerLane<Duration> {
        PerLane::new(|lane| Duration::from_millis([high, normal, bulk][lane.index()]))
    }

    #[test]
    fn first_that_gives_way_is_bulk_whatever_it_wants() {
        assert_eq!(cpu(Some(1_050), &waited(0, 0, 900)), Asked { take: Step::BulkSlowed, keep: Step::UpdatesSampled });
        assert_eq!(cpu(Some(900), &waited(0, 0, 900)), Asked::just(Step::BulkSlowed));
        assert_eq!(bandwidth(&waited(0, 0, 900)), Asked::just(Step::BulkSlowed));
    }

    #[test]
    fn lane_of_more_urgency_waits_only_with_everything_else_in_force() {
        assert_eq!(cpu(None, &waited(0, 300, 0)), Asked::just(Step::AllSlowed));
        assert_eq!(cpu(None, &waited(300, 0, 0)), Asked::just(Step::AllSlowed));
        assert_eq!(bandwidth(&waited(0, 300, 900)), Asked::just(Step::UpdatesSampled));
        assert_eq!(bandwidth(&waited(300, 0, 900)), Asked::just(Step::InventoryPaused));
    }

    #[test]
    fn what_no_wait_holds_back_is_seen_in_the_use() {
        let take = |permille| cpu(Some(permille), &waited(0, 0, 0)).take;
        assert_eq!([999, 1_100, 5_000].map(take), [Step::None, Step::UpdatesSampled, Step::InventoryPaused]);
        assert_eq!(cpu(None, &waited(100, 100, 100)), Asked::default());
    }

    #[test]
    fn memory_gives_way_before_its_limit_is_reached() {
        let limit = 64 << 20;
        let asks = |percent: u64| memory(limit * percent / 100, limit);
        assert_eq!(asks(70), Asked::default());
        assert_eq!(asks(82), Asked { take: Step::None, keep: Step::BulkSlowed });
        assert_eq!([86, 91, 95, 98, 300].map(|percent| asks(percent).take.number()), [1, 2, 3, 4, 4]);
        assert_eq!(memory(0, limit), Asked::default());
        assert_eq!(memory(u64::MAX, 0).take, Step::AllSlowed);
    }
}
