//! What the rest of the agent asks of the spool's thread: requests with a reply each.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared::batch::Origin;
use shared::frame::Frame;
use shared::identity::{AgentId, Epoch, FrameHash, Lane};
use shared::protocol::ChainSummary;
use shared::record::Value;
use tokio::sync::{oneshot, watch};

use super::OnFull;
use super::inbox::Inbox;
use super::state::Books;

/// Place in a lane after which the next frame is wanted; none: after what is acked.
pub type After = Option<(Epoch, u64)>;

pub(super) enum Request {
    Summaries(oneshot::Sender<Vec<ChainSummary>>),
    NextFrame {
        lane: Lane,
        after: After,
        reply: oneshot::Sender<std::io::Result<Option<Frame>>>,
    },
    HashOf {
        lane: Lane,
        epoch: Epoch,
        sequence: u64,
        reply: oneshot::Sender<Option<FrameHash>>,
    },
    Acked {
        lane: Lane,
        epoch: Epoch,
        through: u64,
        aggregator: AgentId,
    },
    Reject {
        lane: Lane,
        epoch: Epoch,
        sequence: u64,
        reason: String,
        reply: oneshot::Sender<()>,
    },
    Fork {
        lane: Lane,
        epoch: Epoch,
        reply: oneshot::Sender<()>,
    },
    Flush(oneshot::Sender<()>),
    /// Whether the first `pushed` records of the lane are on disk, or lost and counted, once all are sealed.
    Settle {
        lane: Lane,
        pushed: u64,
        reply: oneshot::Sender<bool>,
    },
    Status(oneshot::Sender<SpoolStatus>),
    /// A record of the program's own, on lane high.
    Say(&'static str, Vec<(String, Value)>),
    /// What was handed over by now is sealed, and what comes is under another configuration.
    Reconfigure(Reconfigure, oneshot::Sender<()>),
}

/// What changes with a configuration while the spool runs.
#[derive(Clone, Debug)]
pub struct Reconfigure {
    /// Sources by their index.
    pub sources: Vec<Origin>,
    /// Bytes that logs, index and quarantine may take together.
    pub max_bytes: u64,
    /// What a lane does at its level, by lane.
    pub on_full: [OnFull; 3],
    /// The name of the configuration, for frames.
    pub config_hash: String,
}

/// One lane, for `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LaneStatus {
    /// Bytes on disk, room set aside included.
    pub bytes: u64,
    /// Current epoch.
    pub epoch: String,
    /// Frames sealed and not acked.
    pub unacked_frames: u64,
    /// At its level: its sources wait.
    pub blocked: bool,
    /// Records that came in, since the spool was made.
    pub observed: u64,
    /// Records in memory, not yet sealed.
    pub held: u64,
    /// Records sealed and neither acked nor lost.
    pub spooled: u64,
    /// Records acked.
    pub acked: u64,
    /// Records excluded by rule.
    pub excluded: u64,
    /// Records lost, by reason.
    pub lost: BTreeMap<String, u64>,
}

impl LaneStatus {
    pub(super) fn new(books: &Books, pushed: u64, held: u64) -> Self {
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        let all = books.lost.iter().chain(&books.refused);
        all.for_each(|(reason, count)| *lost.entry(reason.name().to_owned()).or_default() += count);
        Self {
            held,
            spooled: books.spooled(),
            acked: books.acked,
            excluded: books.excluded,
            lost,
            observed: pushed,
            ..Self::default()
        }
    }
}

/// The spool, for `status`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SpoolStatus {
    /// Bytes that all lanes and the index take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub max_bytes: u64,
    /// Why the disk last refused, while it does.
    pub error: Option<String>,
    /// By lane.
    pub lanes: BTreeMap<String, LaneStatus>,
}

/// The spool as the uplink and `status` see it. Every call answers `None` or nothing once the spool has ended.
#[derive(Clone)]
pub struct SpoolPort {
    pub(super) inbox: Arc<Inbox>,
    pub(super) committed: watch::Receiver<u64>,
}

impl SpoolPort {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.inbox.request(request(reply));
        answer.await.ok()
    }

    /// Every chain with something unacked and the current one of each lane; per lane oldest first.
    pub async fn summaries(&self) -> Vec<ChainSummary> {
        self.ask(Request::Summaries).await.unwrap_or_default()
    }

    /// The frame behind `after`, or the loss frame in its place.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn next_frame(&self, lane: Lane, after: After) -> std::io::Result<Option<Frame>> {
        self.ask(|reply| Request::NextFrame { lane, after, reply }).await.unwrap_or(Ok(None))
    }

    /// Hash of the chain at `sequence`, where this spool knows it.
    pub async fn hash_of(&self, lane: Lane, epoch: Epoch, sequence: u64) -> Option<FrameHash> {
        self.ask(|reply| Request::HashOf { lane, epoch, sequence, reply }).await.flatten()
    }

    /// `aggregator` has journaled everything up to `through`.
    pub fn acked(&self, lane: Lane, epoch: Epoch, through: u64, aggregator: AgentId) {
        self.inbox.request(Request::Acked { lane, epoch, through, aggregator });
    }

    /// The aggregator refused this frame twice: set it aside, a loss frame takes its place.
    pub async fn reject(&self, lane: Lane, epoch: Epoch, sequence: u64, reason: String) {
        self.ask(|reply| Request::Reject { lane, epoch, sequence, reason, reply }).await;
    }

    /// This epoch is known elsewhere with other content: begin a new one and seal again what is unacked.
    pub async fn fork(&self, lane: Lane, epoch: Epoch) {
        self.ask(|reply| Request::Fork { lane, epoch, reply }).await;
    }

    /// Seals and commits what is held, with the books, before its age is due.
    pub async fn flush(&self) {
        self.ask(Request::Flush).await;
    }

    /// Another configuration holds for what is handed over from now on.
    pub async fn reconfigure(&self, to: Reconfigure) {
        self.ask(|reply| Request::Reconfigure(to, reply)).await;
    }

    /// Seals what was handed over on every lane and waits until it is on disk; whether all of it is.
    pub async fn settle(&self) -> bool {
        for lane in Lane::ALL {
            let (pushed, _) = self.inbox.counts(lane);
            if self.ask(|reply| Request::Settle { lane, pushed, reply }).await != Some(true) {
                return false;
            }
        }
        true
    }

    /// Takes a record of the program's own, of this kind, on lane high.
    pub fn say(&self, kind: &'static str, fields: Vec<(String, Value)>) {
        self.inbox.request(Request::Say(kind, fields));
    }

    /// A source waits from now on while a lane's queue holds this many bytes, [`QUEUE_BYTES_MAX`](super::QUEUE_BYTES_MAX) at
    /// most.
    pub fn bound(&self, lane: Lane, bytes_max: usize) {
        self.inbox.bound(lane, bytes_max);
    }

    /// Bytes, books, and what is wrong.
    pub async fn status(&self) -> Option<SpoolStatus> {
        self.ask(Request::Status).await
    }

    /// Changes whenever something was committed.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }
}
