//! An aggregator that crashes and comes back is found at once, not when its agents' connections have timed out.

use std::time::{Duration, Instant};

use picket_tests::harness::Seeded;

use crate::world::{Side, World};

/// When an agent gives up a connection on which it hears nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn aggregator_that_comes_back_is_found_long_before_the_idle_timeout() -> anyhow::Result<()> {
    let seeded = Seeded::new(801);
    let mut world = World::start("comeback", seeded.seed())?;
    world.write_all()?;
    world.settle()?;
    world.down(Side::Aggregator, true)?;
    world.up(Side::Aggregator)?;
    let up = Instant::now();
    world.write_all()?;
    world.await_lines()?;
    let took = up.elapsed();
    assert!(took < IDLE_TIMEOUT / 2, "lines arrived {took:?} after the aggregator came back");
    world.finish()
}
