//! Frames in, records out: the decoder, the flow table and the neighbors as one.

use std::net::IpAddr;
use std::sync::Arc;

use shared::time::Timestamp;

use super::Transport;
use super::capture::is_own;
use super::decode::{Decoder, FragmentCounts, LinkType, ReassemblyLimits};
use super::dissect::Told;
use super::flow::{Evicted, Out, Settings, Table, Unowned};
use super::neighbor::Neighbors;
use super::process::Owner;
use crate::own_traffic::OwnEnds;

/// What makes records of frames. One capture each.
pub struct Meter {
    decoder: Decoder,
    table: Table,
    neighbors: Neighbors,
    frames: u64,
    own: Vec<OwnEnds>,
}

impl Meter {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let decoder = Decoder::new(ReassemblyLimits::default());
        Self { decoder, table: Table::new(settings), neighbors: Neighbors::default(), frames: 0, own: Vec::new() }
    }

    /// Takes a frame of which `captured` are the first bytes and `wire_len` is the length.
    pub fn frame(&mut self, link: LinkType, at: Timestamp, captured: &[u8], wire_len: u32, out: Out<'_>) {
        self.frames += 1;
        let Self { decoder, table, neighbors, own, .. } = self;
        decoder.packet(link, at, captured, wire_len, &mut |packet| match &packet.transport {
            _ if is_own(packet, own) => {}
            Transport::Arp(message) => {
                if let Some(told) = neighbors.message(packet.at, message) {
                    out(told);
                }
                // Of ARP in a tunnel what carries it is still a flow.
                if packet.outer.is_some() {
                    table.packet(packet, out);
                }
            }
            _ => table.packet(packet, out),
        });
    }

    /// What was silent for its time at `now` ends: for when no frames come.
    pub fn expire(&mut self, now: Timestamp, out: Out<'_>) {
        let Self { decoder, table, .. } = self;
        decoder.expire(now, &mut |packet| table.packet(packet, out));
        table.expire(now, out);
    }

    /// The capture is over: everything is told.
    pub fn finish(&mut self, out: Out<'_>) {
        let Self { decoder, table, .. } = self;
        decoder.finish(&mut |packet| table.packet(packet, out));
        table.finish(out);
    }

    /// From now on packets of these conversations are not looked at.
    pub fn leave_out(&mut self, own: Vec<OwnEnds>) {
        self.own = own;
    }

    /// Flows of this host whose owner was not asked for yet, at most `most`; from the first call on they are kept.
    pub fn unowned(&mut self, most: usize) -> Vec<Unowned> {
        self.table.unowned(most)
    }

    /// A flow is somebody's: every record of it that is told from now on says so. A flow that ended meanwhile is not.
    pub fn own(&mut self, flow: &Unowned, owner: Arc<Owner>) {
        self.table.own(flow, owner);
    }

    /// The addresses of this host are others now.
    pub fn local(&mut self, addresses: Vec<IpAddr>) {
        self.table.local(addresses);
    }

    /// Fewer flows and less of conversations is kept, fewer updates are told, or as much as ever.
    pub fn restrain(&mut self, (flows_max, held_bytes_max): (usize, usize), samples_updates: bool) {
        self.table.bound(flows_max, held_bytes_max);
        self.table.sample_updates(samples_updates);
    }

    /// Updates of flows that were not told since this was asked last.
    pub fn take_untold_updates(&mut self) -> u64 {
        self.table.take_untold_updates()
    }

    /// Frames so far.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Flows that last.
    #[must_use]
    pub fn flows(&self) -> usize {
        self.table.len()
    }

    /// What became of fragments so far.
    #[must_use]
    pub fn fragments(&self) -> FragmentCounts {
        self.decoder.fragments()
    }

    /// Flows that went before their time since this was asked last.
    pub fn take_evicted(&mut self) -> Evicted {
        self.table.take_evicted()
    }
}

/// The keys and values of a record as it is handed over: its class and activity first.
#[must_use]
pub fn fields(told: Told) -> super::dissect::Fields {
    use shared::record::Value;
    let text = |text: &str| Value::String(text.to_owned());
    let head = [
        ("picket.record", text("network")),
        ("class_uid", Value::U64(told.class.uid())),
        ("activity_id", Value::U64(told.activity.into())),
        ("time", Value::Time(told.at)),
    ];
    let mut fields: super::dissect::Fields = head.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    fields.extend(told.fields);
    if !told.flaws.is_empty() {
        fields.push(("unmapped.flaws".to_owned(), Value::List(told.flaws.into_iter().map(text).collect())));
    }
    fields
}
