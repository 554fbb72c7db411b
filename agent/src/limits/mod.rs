//! What the agent may use of its host (`limits` of the fleet file), held by itself: it gives way before anybody makes it.
//!
//! ```text
//! limits ───────┐
//! measured ─▶ asks ─▶ ladder (one a resource) ─▶ step ─▶ sources: what is left for later
//! waited ───────┘                                  └──▶ record, `status`, metrics
//! processor time ─▶ bucket ─▶ pass: a source of files waits before it hands over
//! bytes sent ─────▶ bucket ─▶ pacer: a lane waits before it writes a piece of a frame
//! ```
//!
//! In: the limits in force, measurements about once a second, questions of sources and sender. Out: waits, the [`Step`]
//! in force, a [`Change`] when a person should know.
//!
//! The order in which the agent gives way is one for all resources, [`Step`]: lane bulk is slowed; updates of flows that
//! last are sampled; inventory of the host and scans of files are paused; all reading is slowed. What each resource does:
//!
//! | | processor time | memory | bandwidth |
//! |---|---|---|---|
//! | bulk slowed | its sources wait | its queue is short | its frames wait |
//! | updates sampled | one of [`UPDATES_KEPT`] is told | same; tables of flows are smaller | same |
//! | inventory paused | none begins, a scan of files rests | same | same |
//! | all slowed | sources of files of every lane wait, high the least | every queue is short | never: the spool takes what is read |
//!
//! Invariants:
//! - Nothing is lost here. Who can be read later waits, and no longer than a bound before each chunk; what is made of the
//!   host's state is made later; what is sampled or put off is counted ([`Deferred`]). Flows that a smaller table forgets
//!   are told or counted as those of a full one.
//! - Sources of normal and high wait only while everything before them gives way, within a second.
//! - What cannot wait (packets, events of the kernel, syslog) never does.

mod asks;
mod bucket;
mod governor;
mod ladder;
mod measured;
mod pacer;
mod report;

pub use governor::Governor;
pub use ladder::Step;
pub use measured::Measured;
pub use pacer::Pacer;
pub use report::{Change, LimitReport, LimitsReport};

/// Of updates of one flow that lasts, one of so many is told while they are sampled.
pub const UPDATES_KEPT: u32 = 8;
/// The load of the host is told at one of so many turns while lane bulk is slowed.
pub const METRICS_KEPT: u32 = 4;

/// What is limited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Resident memory.
    Memory,
    /// Bytes to the aggregator.
    Bandwidth,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Bandwidth];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Bandwidth => "bandwidth",
        }
    }
}

/// What is left for later, or out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deferred {
    /// A record of the host's load.
    HostMetrics,
    /// An update of a flow that lasts.
    FlowUpdate,
    /// A look at the host's tables.
    Inventory,
    /// A look at all files that should not change.
    IntegrityScan,
}

impl Deferred {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 4] = [Self::HostMetrics, Self::FlowUpdate, Self::Inventory, Self::IntegrityScan];

    /// The word in metrics and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HostMetrics => "host_metrics",
            Self::FlowUpdate => "flow_updates",
            Self::Inventory => "inventories",
            Self::IntegrityScan => "integrity_scans",
        }
    }

    /// The step from which on it is.
    #[must_use]
    pub fn from(self) -> Step {
        match self {
            Self::HostMetrics => Step::BulkSlowed,
            Self::FlowUpdate => Step::UpdatesSampled,
            Self::Inventory | Self::IntegrityScan => Step::InventoryPaused,
        }
    }
}
