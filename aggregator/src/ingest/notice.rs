//! What ingest tells of connections and agents that a person may want to know.

use std::net::SocketAddr;

use shared::frame::PreviousEpoch;
use shared::identity::{AgentId, ChainId};
use shared::protocol::RejectReason;

/// Something happened at the mouth.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A connection was refused.
    Refused {
        /// From where.
        peer: SocketAddr,
        /// Why, and what to do.
        reason: String,
    },
    /// Twice within a minute a session was closed by a newer one of the same agent: two hosts have one identity,
    /// or the way to the host is broken.
    TwoHosts {
        /// The agent.
        agent: AgentId,
        /// The older and the newer session's addresses.
        peers: [SocketAddr; 2],
    },
    /// An agent began a new epoch because its host had been cloned or restored.
    Forked {
        /// The new chain.
        chain: ChainId,
        /// The epoch that two hosts wrote.
        previous: Option<PreviousEpoch>,
        /// Who forked.
        peer: SocketAddr,
        /// The last other address that was seen with this identity.
        other: Option<SocketAddr>,
    },
    /// A frame was refused.
    Rejected {
        /// Its chain.
        chain: ChainId,
        /// The sequence expected in its place.
        sequence: u64,
        /// Why.
        reason: RejectReason,
        /// From where.
        peer: SocketAddr,
    },
    /// A frame carried another agent's id; the session was ended.
    ForeignAgent {
        /// The agent of the certificate.
        certified: AgentId,
        /// The agent of the header.
        claimed: AgentId,
        /// From where.
        peer: SocketAddr,
    },
}

impl Notice {
    pub(super) fn log(&self) {
        match self {
            Self::Refused { peer, reason } => tracing::warn!(%peer, reason, "connection refused"),
            Self::TwoHosts { agent, peers: [older, newer] } => tracing::warn!(
                %agent, %older, %newer,
                "sessions of one agent close each other: if these are two hosts, one is a clone, enroll it anew"
            ),
            Self::Forked { chain, peer, other, .. } => {
                let other = other.map(|other| other.to_string()).unwrap_or_default();
                tracing::warn!(agent = %chain.agent, lane = %chain.lane, epoch = %chain.epoch, %peer, other,
                    "the agent forked: its host was cloned or restored; if two hosts go on, enroll one of them anew");
            }
            Self::Rejected { chain, sequence, reason, peer } => {
                tracing::warn!(agent = %chain.agent, lane = %chain.lane, epoch = %chain.epoch, sequence, %peer,
                    reason = reason.name(), "frame refused");
            }
            Self::ForeignAgent { certified, claimed, peer } => tracing::warn!(%certified, %claimed, %peer,
                "frames carry another agent's id than the certificate: enroll each host by itself"),
        }
    }
}
