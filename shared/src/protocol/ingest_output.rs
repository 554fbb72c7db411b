//! What the aggregator's machine is told at start and what it says: outputs, entries, events, ends, counts.

use serde_json::Value;

use super::chain::{Absent, ChainState};
use super::credit::SessionId;
use super::hello::{AgentHello, GoAwayReason};
use super::message::{Message, RejectReason};
use crate::enroll::RenewRequest;
use crate::frame::{Frame, PreviousEpoch};
use crate::identity::{AgentId, ChainId};

/// Who is at the other end, by its certificate, and what it may do.
#[derive(Clone, Debug)]
pub struct IngestProfile {
    /// Names this session in the budget.
    pub session: SessionId,
    /// This aggregator's own id.
    pub aggregator: AgentId,
    /// The agent of the peer's certificate.
    pub agent: AgentId,
    /// The certificate has expired within its grace: nothing but a renewal.
    pub renew_only: bool,
}

/// Something for the journal, to be appended in the order of [`super::IngestSession::poll`].
#[derive(Debug)]
pub enum JournalEntry {
    /// A frame that follows on. A loss frame stands for the sequences `before.through + 1 ..= after.through`
    /// and the records `before.next_record .. after.next_record`, which is less than its header says where
    /// the prefix had passed its beginning.
    Frame {
        /// The frame, as it came.
        frame: Frame,
        /// The prefix before it.
        before: ChainState,
        /// The prefix behind it.
        after: ChainState,
    },
    /// A range that this journal does not get.
    Absent(Absent),
}

impl JournalEntry {
    /// The chain that it belongs to.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        match self {
            Self::Frame { frame, .. } => frame.header().chain,
            Self::Absent(absent) => absent.chain,
        }
    }

    /// The prefix of that chain once the entry is committed.
    #[must_use]
    pub fn after(&self) -> ChainState {
        match self {
            Self::Frame { after, .. } => *after,
            Self::Absent(absent) => absent.after,
        }
    }
}

/// Something that a person may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IngestEvent {
    /// The agent began an epoch because this aggregator knew frames that it never wrote: its state was
    /// cloned or restored.
    Forked {
        /// The new chain.
        chain: ChainId,
        /// The epoch that two hosts wrote.
        previous: Option<PreviousEpoch>,
    },
    /// A frame was refused.
    Rejected {
        /// Its chain.
        chain: ChainId,
        /// The sequence expected there.
        sequence: u64,
        /// Why.
        reason: RejectReason,
    },
    /// A frame carried another agent's id.
    ForeignAgent {
        /// The agent of the certificate.
        certified: AgentId,
        /// The agent of the header.
        claimed: AgentId,
    },
}

/// Why a session is over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IngestEnd {
    /// The agent said so.
    #[error("the agent closed the session: {0:?}")]
    Closed(GoAwayReason),
    /// This end said so.
    #[error("session closed: {0:?}")]
    GoneAway(GoAwayReason),
    /// The agent broke the protocol.
    #[error("the agent broke the protocol: {0}")]
    Violation(String),
    /// A frame carried another agent's id.
    #[error(
        "frame header names agent {claimed}, but the certificate is that of agent {certified}; enroll each host by itself"
    )]
    ForeignAgent {
        /// The agent of the certificate.
        certified: AgentId,
        /// The agent of the header.
        claimed: AgentId,
    },
    /// A frame or protocol of another version.
    #[error("{0}; upgrade the aggregator before its agents")]
    Version(String),
}

/// What the machine wants done.
#[derive(Debug)]
pub enum IngestOutput {
    /// Write this to the control stream.
    Message(Message),
    /// Hand this to the journal; tell [`super::IngestSession::handle_committed`] when it is synced.
    Journal(JournalEntry),
    /// Tell.
    Event(IngestEvent),
    /// The agent introduced itself; its Resume messages follow.
    Hello(Box<AgentHello>),
    /// The agent wants a certificate: answer with [`super::IngestSession::renewed`].
    Renew(RenewRequest),
    /// The agent's own state.
    Status(Value),
    /// Close the connection once what was polled before is written. Nothing follows.
    End(IngestEnd),
}

/// What a session counted since it was last asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct IngestCounts {
    /// Frames for the journal.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames at or below the prefix, dropped and acked.
    pub duplicates: u64,
    /// Frames refused.
    pub rejects: u64,
}
