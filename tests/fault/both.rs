//! Both programs armed at once: whichever dies first, the other dies with it.

use picket_tests::harness::Seeded;

use crate::rounds::{Fate, ROUNDS, after};
use crate::world::{Side, World};

/// Points of the agent, with how often they are passed at most before it dies.
const AGENT: [(&str, u64); 5] =
    [("spool.write", 6), ("spool.sync", 6), ("spool.committed", 6), ("spool.acked", 6), ("uplink.ack_read", 6)];
/// Points of the aggregator.
const AGGREGATOR: [(&str, u64); 10] = [
    ("journal.write", 8),
    ("journal.sync", 8),
    ("journal.committed", 8),
    ("journal.ack", 8),
    ("ingest.ack_written", 6),
    ("lake.write", 8),
    ("lake.sync", 2),
    ("lake.commit", 2),
    ("lake.rename", 8),
    ("lake.done", 2),
];

#[test]
fn both_die_at_seeded_points() -> anyhow::Result<()> {
    let seeded = Seeded::new(401);
    let mut world = World::start("both", seeded.seed())?;
    let turn = world.random.below(3);
    for round in 0..2 * ROUNDS {
        for (side, points) in [(Side::Aggregator, &AGGREGATOR[..]), (Side::Agent, &AGENT[..])] {
            let at = usize::try_from(world.random.below(points.len() as u64))?;
            let passes = 1 + world.random.below(points[at].1);
            println!("round {round}: {} at passing {passes}", points[at].0);
            world.down(side, true)?;
            world.arm(side, points[at].0, passes)?;
        }
        world.write_until_death(&[Side::Agent, Side::Aggregator])?;
        let Fate { index, .. } = Fate::of(round, turn);
        after(&mut world, &Fate { both: true, index })?;
        if round % 7 == 6 {
            world.settle()?;
        }
    }
    world.finish()
}
