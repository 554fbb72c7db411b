//! The bounds that the programs keep: how much memory the agent takes, how fast a line is safe.

mod latency;
mod memory;
