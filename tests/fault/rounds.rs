//! Rounds on one pair: a program dies at a point, sometimes the other with it, sometimes the index goes; then on.

use picket_tests::harness::Seeded;

use crate::world::{Side, World};

/// Rounds per point.
pub const ROUNDS: u64 = 21;
/// Every so many rounds both run undisturbed until everything has arrived.
const SETTLE_EVERY: u64 = 7;

/// A point of one of the programs.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Whose it is.
    pub side: Side,
    /// Its name in the code.
    pub name: &'static str,
    /// The program dies at a passing from the first to this one.
    pub passes: u64,
}

/// What else happens in a round: in a third of them the other program dies too, in another third the sled folder goes.
pub struct Fate {
    /// The other program is killed when the first has died.
    pub both: bool,
    /// The agent's sled folder is deleted.
    pub index: bool,
}

impl Fate {
    /// The fate of a round; `turn` is drawn once per test.
    pub fn of(round: u64, turn: u64) -> Self {
        let third = (round + turn) % 3;
        Self { both: third == 0, index: third == 1 }
    }
}

/// [`ROUNDS`] rounds with `point`; afterwards the lake has every line exactly once, in the order of its file.
#[track_caller]
pub fn survive(point: Point, seed: u64) -> anyhow::Result<()> {
    let seeded = Seeded::new(seed);
    let mut world = World::start(point.name, seeded.seed())?;
    let turn = world.random.below(3);
    for round in 0..ROUNDS {
        let gently = world.random.one_in(2);
        world.down(point.side, !gently)?;
        let passes = 1 + world.random.below(point.passes);
        println!("round {round}: {} at passing {passes}", point.name);
        // The aggregator first: an agent that finds nobody waits before it tries again.
        if point.side == Side::Agent {
            world.up(Side::Aggregator)?;
        }
        world.arm(point.side, point.name, passes)?;
        world.up(point.side.other())?;
        world.write_until_death(&[point.side])?;
        after(&mut world, &Fate::of(round, turn))?;
        if round % SETTLE_EVERY == SETTLE_EVERY - 1 {
            world.settle()?;
        }
    }
    world.finish()
}

/// What a round leaves behind.
pub fn after(world: &mut World, fate: &Fate) -> anyhow::Result<()> {
    if fate.both {
        world.down(Side::Agent, true)?;
        world.down(Side::Aggregator, true)?;
    }
    if fate.index {
        world.down(Side::Agent, true)?;
        world.delete_index()?;
    }
    Ok(())
}

impl Side {
    /// The other program.
    pub fn other(self) -> Self {
        match self {
            Self::Agent => Self::Aggregator,
            Self::Aggregator => Self::Agent,
        }
    }
}
