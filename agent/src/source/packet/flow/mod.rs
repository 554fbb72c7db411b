//! Flows: packets between the same two ends come in, a record comes out when they begin to matter, while they last and
//! when they end.
//!
//! What carries a tunnel is a flow, too, named by the tunnel and not read; of tunnels in tunnels the outermost one is.
//!
//! In: decoded packets, in the order of capture; their times are the only clock. Out: [`Told`] of flows, and of what
//! dissectors understood, with endpoints and Community ID.
//!
//! Bounds: [`Settings::flows_max`] flows, [`Settings::held_bytes_max`] bytes that conversations hold in all. At the
//! first the flow that was silent longest goes, one that nobody answered before all others; at the second the
//! conversation that holds most in the flow at hand. Every flow that goes before its time is counted in [`Evicted`];
//! one that was more than a question without an answer is told, too, with `end_reason` `evicted`.

mod conversation;
mod entry;
pub mod key;
mod lists;
mod owner;
mod record;
pub mod stream;
pub mod tcp;

use std::net::IpAddr;
use std::time::Duration;

use ahash::RandomState;
use hashbrown::HashTable;
use shared::time::Timestamp;

use self::conversation::Ports;
use self::entry::{Asked, Entry, Kind};
use self::key::{Key, Path};
use self::lists::{Lists, Place};
use self::owner::Unasked;
pub use self::owner::Unowned;
use super::dissect::{Side, Told};
use super::{Flaws, Outer, Packet, TUNNELS_MAX, Transport, Tunnel, Udp};
use crate::limits::UPDATES_KEPT;

/// Flows that are forgotten with a packet, at most, where the table was made smaller.
const EVICTED_AT_ONCE: usize = 8;
/// Flows that room is reserved for.
const FLOWS_AHEAD_MAX: usize = 1 << 17;

/// How the table is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most flows.
    pub flows_max: usize,
    /// Most bytes that all conversations hold.
    pub held_bytes_max: usize,
    /// A flow that lasts is told again after this.
    pub update_interval: Duration,
    /// Addresses of this host, for the direction of a flow.
    pub local: Vec<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flows_max: 32_768,
            held_bytes_max: 8 << 20,
            update_interval: Duration::from_secs(300),
            local: Vec::new(),
        }
    }
}

/// Flows that went before their time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Evicted {
    /// Flows that were forgotten to make room.
    pub flows: u64,
    /// Of these, questions without an answer: they are told nowhere else.
    pub untold: u64,
    /// Conversations that were given up because all of them held too much.
    pub conversations: u64,
}

/// Where records go.
pub type Out<'a> = &'a mut dyn FnMut(Told);

/// The flows that last.
pub struct Table {
    settings: Settings,
    /// Places of entries, by the keys of their paths.
    index: HashTable<u32>,
    hasher: RandomState,
    entries: Vec<Entry>,
    free: Vec<u32>,
    lists: Lists,
    held_bytes: usize,
    evicted: Evicted,
    /// Of updates few are told.
    samples: bool,
    /// Updates that were not told since this was asked last.
    untold_updates: u64,
    unasked: Unasked,
    now: Timestamp,
}

/// Why a flow is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// It lasts.
    Update,
    /// Both ends, or one of them, ended it.
    Closed,
    /// Nothing came for its time.
    Silent,
    /// The table is full.
    Evicted,
    /// The capture ends.
    Finished,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        // Room that nobody wrote to costs nothing, and a table that grows would for a moment be there twice.
        let most = settings.flows_max.min(FLOWS_AHEAD_MAX);
        let (index, entries) = (HashTable::with_capacity(most), Vec::with_capacity(most));
        let (hasher, free, lists) = (RandomState::new(), Vec::new(), Lists::default());
        let (held_bytes, evicted, unasked, now) = (0, Evicted::default(), Unasked::default(), Timestamp(i64::MIN));
        let (samples, untold_updates) = (false, 0);
        Self {
            settings,
            index,
            hasher,
            entries,
            free,
            lists,
            held_bytes,
            evicted,
            samples,
            untold_updates,
            unasked,
            now,
        }
    }

    /// Flows that last.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// No flow lasts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes that conversations hold.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What went before its time since this was asked last.
    pub fn take_evicted(&mut self) -> Evicted {
        std::mem::take(&mut self.evicted)
    }

    /// Other bounds from now on: those of the settings or less.
    pub fn bound(&mut self, flows_max: usize, held_bytes_max: usize) {
        (self.settings.flows_max, self.settings.held_bytes_max) = (flows_max.max(1), held_bytes_max);
    }

    /// Whether of updates of a flow that lasts only one of [`UPDATES_KEPT`] is told from now on.
    pub fn sample_updates(&mut self, samples: bool) {
        self.samples = samples;
    }

    /// Updates that were not told since this was asked last.
    pub fn take_untold_updates(&mut self) -> u64 {
        std::mem::take(&mut self.untold_updates)
    }

    /// Takes a packet. One without IP belongs to no flow.
    pub fn packet(&mut self, packet: &Packet<'_>, out: Out<'_>) {
        self.expire(packet.at, out);
        if let Some(outer) = &packet.outer {
            self.carrier(outer, packet, out);
        }
        let Some(ip) = &packet.ip else { return };
        let path = Path::of(ip, &packet.transport);
        let at = self.place(&path, packet, out);
        self.count(at, &path, packet, out);
    }

    /// Counts the packet that wraps another one to the flow that carries the tunnel. Nothing of what is inside is read there.
    fn carrier(&mut self, outer: &Outer, packet: &Packet<'_>, out: Out<'_>) {
        let Outer { ip, source, destination, tunnel } = *outer;
        let wrapped = ip.payload_len.saturating_sub(8);
        let transport = if ip.protocol == key::UDP {
            Transport::Udp(Udp { source, destination, payload_len: wrapped, payload: &[] })
        } else {
            Transport::Other(&[])
        };
        let (tunnels, flaws) = ([Tunnel::None; TUNNELS_MAX], Flaws::default());
        let carrier = Packet { ip: Some(ip), transport, tunnels, outer: None, flaws, ..packet.clone() };
        let path = Path::of(&ip, &carrier.transport);
        let at = self.place(&path, &carrier, out);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.listened = true;
        }
        self.count(at, &path, &carrier, out);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.protocol.get_or_insert(tunnel.name());
        }
    }

    /// The flow of a packet, opened where there is none.
    fn place(&mut self, path: &Path, packet: &Packet<'_>, out: Out<'_>) -> u32 {
        let key = path.key();
        match self.find(&key) {
            Some(at) if self.begins_anew(at, packet) => {
                self.end(at, Why::Closed, out);
                self.open(key, *path, packet, out)
            }
            Some(at) => at,
            None => self.open(key, *path, packet, out),
        }
    }

    /// A SYN on the ports of a connection that is over begins another one.
    fn begins_anew(&self, at: u32, packet: &Packet<'_>) -> bool {
        let Transport::Tcp(tcp) = &packet.transport else { return false };
        let fresh = tcp.flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
        fresh
            && self.entry(at).is_some_and(|entry| match &entry.kind {
                Kind::Tcp(connection) => connection.is_over(),
                Kind::Other => false,
            })
    }

    fn find(&self, key: &Key) -> Option<u32> {
        let same = |at: &u32| self.entry(*at).is_some_and(|entry| entry.path.key() == *key);
        self.index.find(self.hasher.hash_one(key), same).copied()
    }

    fn entry(&self, at: u32) -> Option<&Entry> {
        self.entries.get(at as usize)
    }

    fn open(&mut self, key: Key, path: Path, packet: &Packet<'_>, out: Out<'_>) -> u32 {
        for _ in 0..EVICTED_AT_ONCE {
            if self.index.len() < self.settings.flows_max {
                break;
            }
            self.evict(out);
        }
        let entry = Entry::new(path, packet);
        let at = match self.free.pop() {
            Some(at) => {
                if let Some(place) = self.entries.get_mut(at as usize) {
                    *place = entry;
                }
                at
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let Self { index, hasher, entries, .. } = self;
        let hash = |at: &u32| entries.get(*at as usize).map_or(0, |entry| hasher.hash_one(entry.path.key()));
        index.insert_unique(hasher.hash_one(key), at, hash);
        self.opened(at);
        at
    }

    fn count(&mut self, at: u32, path: &Path, packet: &Packet<'_>, out: Out<'_>) {
        let Some(entry) = self.entries.get_mut(at as usize) else { return };
        let side = entry.count(path, packet);
        let local = &self.settings.local;
        if let Some(mut conversation) = entry.conversation(&packet.transport) {
            let before = conversation.held_bytes();
            let ports = Ports { client: entry.path.source.port, server: entry.path.destination.port };
            let mut tell = |mut told: Told| {
                record::address(&mut told, entry, local);
                out(told);
            };
            match &packet.transport {
                Transport::Tcp(tcp) => conversation.segment(side, ports, packet.at, tcp, &mut tell),
                Transport::Udp(udp) => conversation.datagram(side, ports, packet.at, udp, &mut tell),
                _ => {}
            }
            let mut held = conversation.held_bytes();
            if self.held_bytes + held > before + self.settings.held_bytes_max && held > 0 {
                conversation.end(packet.at, &mut tell);
                self.evicted.conversations += 1;
            }
            entry.protocol = conversation.protocol();
            if conversation.is_over() {
                held = 0;
            } else {
                entry.conversation = Some(conversation);
            }
            self.held_bytes = (self.held_bytes + held).saturating_sub(before);
        }
        let due = entry.told_at.plus(self.settings.update_interval);
        if packet.at >= due {
            entry.told_at = packet.at;
            entry.updates += 1;
            // The numbers of those that are told show how many are not.
            if self.samples && !entry.updates.is_multiple_of(UPDATES_KEPT) {
                self.untold_updates += 1;
            } else {
                out(record::flow(entry, Why::Update, local));
            }
        }
        self.lists.put(at, entry.patience(), packet.at, &mut self.entries);
    }

    /// Ends flows that were silent for their time at `now`. Time that goes back ends nothing.
    pub fn expire(&mut self, now: Timestamp, out: Out<'_>) {
        self.now = self.now.max(now);
        for patience in lists::ALL {
            while let Some(at) = self.lists.oldest(*patience) {
                let Some(entry) = self.entry(at) else { break };
                if self.now.since(entry.last_at) < patience.time() {
                    break;
                }
                let why = if entry.is_over() { Why::Closed } else { Why::Silent };
                self.end(at, why, out);
            }
        }
    }

    /// Ends everything: the capture is over.
    pub fn finish(&mut self, out: Out<'_>) {
        for patience in lists::ALL {
            while let Some(at) = self.lists.oldest(*patience) {
                let why = if self.entry(at).is_some_and(Entry::is_over) { Why::Closed } else { Why::Finished };
                self.end(at, why, out);
            }
        }
    }

    fn evict(&mut self, out: Out<'_>) {
        let oldest = lists::ALL.iter().find_map(|patience| self.lists.oldest(*patience));
        let Some(at) = oldest else { return };
        self.evicted.flows += 1;
        self.end(at, Why::Evicted, out);
    }

    fn end(&mut self, at: u32, why: Why, out: Out<'_>) {
        self.lists.take(at, &mut self.entries);
        let Some(entry) = self.entries.get_mut(at as usize) else { return };
        let local = &self.settings.local;
        if let Some(mut conversation) = entry.conversation.take() {
            self.held_bytes = self.held_bytes.saturating_sub(conversation.held_bytes());
            conversation.end(entry.last_at, &mut |mut told: Told| {
                record::address(&mut told, entry, local);
                out(told);
            });
            entry.protocol = conversation.protocol().or(entry.protocol);
        }
        if why == Why::Evicted && entry.is_unanswered() {
            self.evicted.untold += 1;
        } else {
            out(record::flow(entry, why, local));
        }
        if let Ok(place) = self.index.find_entry(self.hasher.hash_one(entry.path.key()), |known| *known == at) {
            place.remove();
        }
        entry.place = Place::default();
        entry.asked = Asked::Never;
        entry.owner = None;
        self.free.push(at);
    }
}

/// The side that a path is sent from, for a flow whose client is at the source of `client`.
fn side(path: &Path, client: &Path) -> Side {
    Key::side(path, client.source)
}

#[cfg(test)]
mod tests;
