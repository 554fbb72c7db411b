//! The messages with a JSON body: what both ends say of themselves. Unknown fields are ignored, so that a
//! later version may add some.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::frame;
use crate::identity::{AgentId, Epoch, FrameHash, Lane};
use crate::limits::{CHAINS_MAX, DELIVERIES_MAX};
use crate::time::Timestamp;

/// Versions of this protocol that a program speaks, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VersionRange {
    /// Lowest.
    pub min: u16,
    /// Highest.
    pub max: u16,
}

impl VersionRange {
    /// What this build speaks.
    pub const OURS: Self = Self { min: 1, max: 1 };

    /// The highest version that both speak.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

/// Frame versions that this build opens.
#[must_use]
pub fn frame_versions() -> Vec<u8> {
    (1..=frame::VERSION).collect()
}

/// What an aggregator has acked of a chain, by the agent's marks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Which aggregator.
    pub aggregator: AgentId,
    /// Its prefix: it has every sequence up to this one, or journaled where they are.
    pub through: u64,
}

/// What an agent has of one (epoch, lane). `1 ≤ oldest ≤ next`; with nothing unacked `oldest = next`,
/// `prev_of_oldest = head` and `oldest_record = next_record`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChainSummary {
    /// Which unbroken run.
    pub epoch: Epoch,
    /// Of which lane.
    pub lane: Lane,
    /// Oldest sequence that no aggregator has acked.
    pub oldest: u64,
    /// Hash of the frame before it: `prev` of the frame (or hole) at `oldest`.
    pub prev_of_oldest: FrameHash,
    /// Number of the first record at or behind `oldest`.
    pub oldest_record: u64,
    /// Sequence of the next frame to be sealed.
    pub next: u64,
    /// Number of the next record.
    pub next_record: u64,
    /// Hash of the chain's last frame.
    pub head: FrameHash,
    /// The last aggregators that acked frames of this chain, at most 8.
    #[serde(default)]
    pub delivered: Vec<Delivery>,
}

impl ChainSummary {
    /// Whether the numbers can all be true at once.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let empty = self.oldest == self.next;
        1 <= self.oldest
            && self.oldest <= self.next
            && 1 <= self.oldest_record
            && self.oldest_record <= self.next_record
            && (!empty || (self.prev_of_oldest == self.head && self.oldest_record == self.next_record))
            && self.delivered.len() <= DELIVERIES_MAX
    }
}

/// An agent's first message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentHello {
    /// Protocol versions that it speaks.
    pub protocol: VersionRange,
    /// Frame versions that it reads (and may have in its spool).
    pub frame_versions: Vec<u8>,
    /// Optional abilities by name; none is defined yet.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Version of the program.
    pub agent_version: String,
    /// Name of the host, as it calls itself.
    pub hostname: String,
    /// Names the boot of the host.
    pub boot_id: String,
    /// What the host says of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// SHA-256 of the configuration by the fleet that runs, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config: String,
    /// It takes no configuration: it has a fleet file of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local_fleet: bool,
    /// Random for each session: what the fleet says is signed over it.
    #[serde(default)]
    pub challenge: u64,
    /// Every chain with something unacked and the current one of each lane; per lane oldest first.
    pub chains: Vec<ChainSummary>,
}

impl AgentHello {
    /// Whether the chains are bounded, consistent and each named once.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let mut names: Vec<_> = self.chains.iter().map(|chain| (chain.lane, chain.epoch)).collect();
        names.sort_unstable();
        names.dedup();
        self.chains.len() <= CHAINS_MAX
            && names.len() == self.chains.len()
            && self.chains.iter().all(ChainSummary::is_consistent)
    }
}

/// An aggregator's first message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AggregatorHello {
    /// Its own id, as in marks and absent ranges.
    pub aggregator: AgentId,
    /// Protocol versions that it speaks.
    pub protocol: VersionRange,
    /// Frame versions that it reads; the agent seals the highest that both know.
    pub frame_versions: Vec<u8>,
    /// Optional abilities by name; none is defined yet.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Its wall clock: proof of time for the agent's judgement of certificates.
    pub wall_time: Timestamp,
    /// The agent's certificate has expired within its grace: this session can only renew it.
    #[serde(default)]
    pub renew_only: bool,
}

/// Why a session is over. The number is the code in QUIC's CONNECTION_CLOSE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GoAwayReason {
    /// The program stops or restarts.
    Shutdown = 1,
    /// No common protocol version, or a frame version that cannot be read.
    Version = 2,
    /// The agent's identity has been revoked.
    Revoked = 3,
    /// A newer session of the same agent id took over.
    Replaced = 4,
    /// The certificate expired longer ago than the grace for renewals.
    Expired = 5,
    /// The certificate is not from this aggregator's authority, or names no agent.
    Untrusted = 6,
    /// A frame carried another agent's id.
    ForeignAgent = 7,
    /// The peer broke the protocol; the detail says how.
    Violation = 8,
    /// Too many sessions or handshakes at this moment.
    Overloaded = 9,
    /// Credit was held and not used while others waited.
    Stalled = 10,
    /// The other end took too long to say Hello.
    Timeout = 11,
    /// A reason of a later version.
    #[serde(other)]
    Other = 0,
}

impl GoAwayReason {
    /// Reasons that trying again soon does not mend: they are logged once and retried slowly.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        matches!(self, Self::Version | Self::Revoked | Self::Expired | Self::Untrusted | Self::ForeignAgent)
    }
}

/// The last message of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GoAway {
    /// Why.
    pub reason: GoAwayReason,
    /// Seconds to wait before trying this aggregator again; none: as the backoff says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What happened, for a person.
    #[serde(default)]
    pub detail: String,
}
