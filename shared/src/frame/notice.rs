//! What loss and genesis frames say, as JSON.

use serde::{Deserialize, Serialize};

use crate::identity::{Epoch, FrameHash};
use crate::record::LossReason;
use crate::time::Timestamp;

/// Body of a loss frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LossNotice {
    /// Why.
    pub reason: LossReason,
    /// Not before this moment were they seen.
    pub first_time: Timestamp,
    /// Not after this moment.
    pub last_time: Timestamp,
    /// Hash of the last lost frame (`prev` of the right neighbor): the chain's head behind the hole.
    pub last_hash: FrameHash,
}

/// Why an epoch began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenesisReason {
    /// A spool that was not there before.
    NewSpool,
    /// The log could not prove that nothing is missing at its end.
    Continuity,
    /// The state folder was found on another machine.
    MachineId,
    /// The aggregator knows frames of this chain that this spool did not write: a clone or a restored copy.
    Fork,
}

/// The epoch before this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreviousEpoch {
    /// Its name.
    pub epoch: Epoch,
    /// The sequence that would have come next, where that is known.
    pub next: Option<u64>,
    /// Hash of its last frame, where that is known.
    pub head: Option<FrameHash>,
}

/// Body of a genesis frame.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GenesisNotice {
    /// Why the epoch began.
    pub reason: GenesisReason,
    /// What came before it, if anything did.
    pub previous: Option<PreviousEpoch>,
}
