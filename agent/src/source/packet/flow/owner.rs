//! Which flows are this host's and have no owner yet.
//!
//! Bound: [`UNASKED_MAX`] flows are kept until they are asked for; more go without (`not_asked`).

use std::net::IpAddr;
use std::sync::Arc;

use shared::time::Timestamp;

use super::super::process::Owner;
use super::Table;
use super::entry::Asked;
use super::key::{End, Path, TCP, UDP};

/// Flows that are kept until they are asked for.
const UNASKED_MAX: usize = 16_384;

/// A flow of this host that has no owner yet.
#[derive(Clone, Debug)]
pub struct Unowned {
    slot: u32,
    began_at: Timestamp,
    /// From the client to the server, as far as that is known.
    pub path: Path,
    /// The client's end, where it is of this host.
    pub client: Option<End>,
    /// The server's end, where it is of this host.
    pub server: Option<End>,
}

/// Places of flows that were not asked for; of one that ended meanwhile there is another flow, or none, at its place.
#[derive(Default)]
pub(super) struct Unasked {
    slots: Vec<u32>,
    /// Somebody asks.
    wanted: bool,
}

impl Table {
    /// The addresses of this host are others now.
    pub fn local(&mut self, addresses: Vec<IpAddr>) {
        self.settings.local = addresses;
    }

    fn is_local(&self, end: End) -> bool {
        end.ip.is_loopback() || self.settings.local.contains(&end.ip)
    }

    /// Notes a flow that began, if it is to be asked for.
    pub(super) fn opened(&mut self, slot: u32) {
        if !self.unasked.wanted {
            return;
        }
        let Some(path) = self.entry(slot).map(|entry| entry.path) else { return };
        let here = self.is_local(path.source) || self.is_local(path.destination);
        if !here || !matches!(path.protocol, TCP | UDP) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(slot as usize) {
            entry.asked = Asked::Waits;
        }
        if self.unasked.slots.len() < UNASKED_MAX {
            self.unasked.slots.push(slot);
        }
    }

    /// Flows of this host whose owner was not asked for yet, at most `most`; from the first call on they are kept.
    pub fn unowned(&mut self, most: usize) -> Vec<Unowned> {
        self.unasked.wanted = true;
        let slots = &mut self.unasked.slots;
        let taken: Vec<u32> = slots.drain(..most.min(slots.len())).collect();
        let mut flows = Vec::with_capacity(taken.len());
        for slot in taken {
            let Some(entry) = self.entries.get_mut(slot as usize).filter(|entry| entry.asked == Asked::Waits) else {
                continue;
            };
            entry.asked = Asked::Was;
            let (path, began_at) = (entry.path, entry.began_at);
            let [client, server] =
                [path.source, path.destination].map(|end| Some(end).filter(|end| self.is_local(*end)));
            flows.push(Unowned { slot, began_at, path, client, server });
        }
        flows
    }

    /// A flow is somebody's: every record of it that is told from now on says so. A flow that ended meanwhile is not.
    pub fn own(&mut self, flow: &Unowned, owner: Arc<Owner>) {
        let same = |path: &Path| path.key() == flow.path.key();
        if let Some(entry) = self.entries.get_mut(flow.slot as usize)
            && entry.asked == Asked::Was
            && entry.began_at == flow.began_at
            && same(&entry.path)
        {
            entry.owner = Some(owner);
        }
    }
}
