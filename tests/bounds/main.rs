//! The bounds that the programs keep: how much memory the agent takes, how fast a line is safe, what the log writes.

mod allocations;
mod host;
mod latency;
mod log;
mod memory;
mod packets;
