//! `kill -9` during the commit of the lake, at each of its steps.

use crate::rounds::{Point, survive};
use crate::world::Side::Aggregator;

#[test]
fn aggregator_dies_before_a_parquet_file_is_written() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "lake.write", passes: 12 }, 301)
}

#[test]
fn aggregator_dies_before_the_folders_of_a_commit_are_synced() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "lake.sync", passes: 3 }, 302)
}

#[test]
fn aggregator_dies_before_a_commit_is_logged() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "lake.commit", passes: 3 }, 303)
}

#[test]
fn aggregator_dies_between_the_renames_of_a_commit() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "lake.rename", passes: 12 }, 304)
}

#[test]
fn aggregator_dies_after_a_commit() -> anyhow::Result<()> {
    survive(Point { side: Aggregator, name: "lake.done", passes: 3 }, 305)
}
