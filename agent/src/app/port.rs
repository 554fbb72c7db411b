//! The spool as the uplink asks for it.

use std::future::Future;
use std::io;

use shared::frame::Frame;
use shared::identity::{AgentId, Epoch, FrameHash, Lane};
use shared::protocol::{After, ChainSummary, RejectReason};
use tokio::sync::watch;

use crate::spool::SpoolPort;
use crate::uplink;

impl uplink::Spool for SpoolPort {
    fn summaries(&self) -> impl Future<Output = Vec<ChainSummary>> + Send {
        SpoolPort::summaries(self)
    }

    fn next_frame(&self, lane: Lane, after: After) -> impl Future<Output = io::Result<Option<Frame>>> + Send {
        SpoolPort::next_frame(self, lane, after)
    }

    fn hash_of(&self, lane: Lane, epoch: Epoch, sequence: u64) -> impl Future<Output = Option<FrameHash>> + Send {
        SpoolPort::hash_of(self, lane, epoch, sequence)
    }

    fn acked(&self, lane: Lane, epoch: Epoch, through: u64, aggregator: AgentId) {
        SpoolPort::acked(self, lane, epoch, through, aggregator);
    }

    fn reject(&self, lane: Lane, epoch: Epoch, sequence: u64, reason: RejectReason) -> impl Future<Output = ()> + Send {
        SpoolPort::reject(self, lane, epoch, sequence, reason.name().to_owned())
    }

    fn fork(&self, lane: Lane, epoch: Epoch) -> impl Future<Output = ()> + Send {
        SpoolPort::fork(self, lane, epoch)
    }

    fn committed(&self) -> watch::Receiver<u64> {
        SpoolPort::committed(self)
    }
}
