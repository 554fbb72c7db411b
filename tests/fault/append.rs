//! `kill -9` while records are appended: to the agent's spool, to the aggregator's journal.

use crate::rounds::{Point, survive};
use crate::world::Side::{Agent, Aggregator};

#[test]
fn agent_dies_before_it_writes_to_the_spool() -> anyhow::Result<()> {
    survive(Point { side: Agent, name: "spool.write", passes: 4 }, 101)
}

#[test]
fn agent_dies_between_writing_and_syncing_the_spool() -> anyhow::Result<()> {
    survive(Point { side: Agent, name: "spool.sync", passes: 4 }, 102)
}

#[test]
fn agent_dies_after_syncing_the_spool() -> anyhow::Result<()> {
    survive(Point { side: Agent, name: "spool.committed", passes: 4 }, 103)
}

#[test]
fn aggregator_dies_before_it_writes_to_the_journal() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "journal.write", passes: 6 }, 104)
}

#[test]
fn aggregator_dies_between_writing_and_syncing_the_journal() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "journal.sync", passes: 6 }, 105)
}

#[test]
fn aggregator_dies_after_syncing_the_journal() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "journal.committed", passes: 6 }, 106)
}
