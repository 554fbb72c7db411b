//! What the agent's machine says: outputs and ends.

use serde_json::Value;

use super::hello::{AggregatorHello, GoAway, VersionRange};
use super::message::{Message, RejectReason};
use crate::enroll::{Reply, TrustBundle};
use crate::frame::{self, Frame};
use crate::identity::{AgentId, Epoch, Lane};

/// Where a lane has been read to: an epoch and the last sequence of it that was taken.
pub type After = Option<(Epoch, u64)>;

/// Why a session is over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AgentEnd {
    /// The aggregator said so.
    #[error("the aggregator closed the session ({:?}): {}", .0.reason, .0.detail)]
    GoAway(GoAway),
    /// This end said so.
    #[error("session closed")]
    Closed,
    /// Forks were ordered: the spool opens new epochs, then a new session begins at once.
    #[error("the aggregator knows frames of this agent that this host did not write; a new epoch begins")]
    Forked,
    /// The spool has a chain that this session's Hello did not name: a new session begins at once.
    #[error("the spool began a new epoch")]
    NewEpoch,
    /// A certificate arrived in a session that could do nothing else: a new session begins at once.
    #[error("the certificate was renewed")]
    Renewed,
    /// No common version.
    #[error(
        "aggregator speaks protocol {theirs:?} and reads frames {frames:?}; this agent needs {:?} and frame version {}; upgrade the aggregator first",
        VersionRange::OURS,
        frame::VERSION
    )]
    Version {
        /// Its protocol versions.
        theirs: VersionRange,
        /// Its frame versions.
        frames: Vec<u8>,
    },
    /// The aggregator broke the protocol.
    #[error("the aggregator broke the protocol: {0}")]
    Violation(String),
    /// The same place was refused again after its frame had gone to quarantine.
    #[error("the aggregator refuses sequence {sequence} on lane {lane} although its frame was replaced")]
    Refused {
        /// The lane.
        lane: Lane,
        /// The sequence.
        sequence: u64,
    },
    /// Hello or Resume did not come in time.
    #[error("the aggregator did not answer in time")]
    Timeout,
}

/// What the machine wants done.
#[derive(Debug)]
pub enum AgentOutput {
    /// Write this to the control stream.
    Message(Message),
    /// The aggregator introduced itself. The highest frame version that both know is to be sealed.
    Hello(AggregatorHello),
    /// Ask the spool for the frame of this lane behind `after`, in log order, older epochs first: data,
    /// genesis, or a loss frame for a hole. An epoch that the spool has no more lies before everything;
    /// sequence 0 before the first frame of its epoch. Answer with [`super::AgentSession::handle_frame`].
    Fetch {
        /// The lane.
        lane: Lane,
        /// The last one that was taken.
        after: After,
    },
    /// Ask the spool for the hash of a frame of its own. Answer with [`super::AgentSession::handle_hash`].
    HashOf {
        /// Lane of the chain.
        lane: Lane,
        /// Epoch of the chain.
        epoch: Epoch,
        /// The frame.
        sequence: u64,
    },
    /// Write to the lane's stream: the resend marker if said, the frame's length, the frame. Tell
    /// [`super::AgentSession::handle_written`].
    Write {
        /// The lane.
        lane: Lane,
        /// The marker comes first.
        resend: bool,
        /// The frame.
        frame: Frame,
    },
    /// The aggregator has everything up to `through`, synced: the spool may forget it.
    Acked {
        /// Lane of the chain.
        lane: Lane,
        /// Epoch of the chain.
        epoch: Epoch,
        /// The last sequence.
        through: u64,
        /// Who has it, for the marks.
        aggregator: AgentId,
    },
    /// Put this frame into quarantine: a hole with reason `rejected` takes its place.
    Quarantine {
        /// Lane of the chain.
        lane: Lane,
        /// Epoch of the chain.
        epoch: Epoch,
        /// The frame.
        sequence: u64,
        /// Why it was refused.
        reason: RejectReason,
    },
    /// Open a new epoch on this lane, and seal again under it what is unacked in `epoch`.
    Fork {
        /// The lane.
        lane: Lane,
        /// The epoch that two hosts wrote.
        epoch: Epoch,
        /// How far the aggregator knows it.
        through: u64,
    },
    /// Configuration of the fleet.
    Config(Value),
    /// Authorities to trust.
    Trust(TrustBundle),
    /// The answer to [`super::AgentSession::renew`]: a certificate, or why there is none. When it is in place and
    /// this session can do nothing else, tell [`super::AgentSession::renewed`].
    Renewed(Reply),
    /// Close the connection once what was polled before is written. Nothing follows.
    End(AgentEnd),
}
