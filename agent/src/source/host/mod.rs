//! The state of a host: who runs what, who is logged in, what listens, what is installed.
//!
//! ```text
//! /proc, /sys, /etc, netlink ─▶ tables ─▶ known ─▶ record ─▶ Outlet
//!                               Row       Difference   fields of a typed record
//! ```
//!
//! In: files below a root, netlink of the kernel. Out: typed records, a full inventory at start and daily, differences
//! between, processes as they start and end.
//!
//! Invariants: what cannot be read makes rows or flaws of rows missing and never ends the source; what is not known whole is
//! never told as gone; memory is bounded by rows, of which only key and hash are kept.

pub mod capabilities;
pub mod child;
pub mod connector;
pub mod known;
pub mod metrics;
mod outbox;
pub mod place;
pub mod record;
pub mod row;
mod source;
pub mod table;
pub mod tables;
#[cfg(test)]
mod tests;

pub use self::source::{Around, HostConfig, HostSource};
pub use self::table::Table;
