//! `kill -9` while acks are on their way: journaled and not told, told and not read, read and not remembered.

use crate::rounds::{Point, survive};
use crate::world::Side::{Agent, Aggregator};

#[test]
fn aggregator_dies_before_it_acks_what_is_journaled() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "journal.ack", passes: 6 }, 201)
}

#[test]
fn aggregator_dies_after_an_ack_is_written() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "ingest.ack_written", passes: 4 }, 202)
}

#[test]
fn agent_dies_with_an_ack_that_it_has_read() -> anyhow::Result<()> {
    survive(Point { side: Agent, name: "uplink.ack_read", passes: 4 }, 203)
}

#[test]
fn agent_dies_before_its_spool_takes_an_ack() -> anyhow::Result<()> {
    survive(Point { side: Agent, name: "spool.acked", passes: 4 }, 204)
}
