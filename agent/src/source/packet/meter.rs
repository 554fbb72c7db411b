//! Frames in, records out: the decoder, the flow table and the neighbors as one.

use shared::time::Timestamp;

use super::Transport;
use super::decode::{Decoder, FragmentCounts, LinkType, ReassemblyLimits};
use super::dissect::Told;
use super::flow::{Evicted, Out, Settings, Table};
use super::neighbor::Neighbors;

/// What makes records of frames. One capture each.
pub struct Meter {
    decoder: Decoder,
    table: Table,
    neighbors: Neighbors,
    frames: u64,
}

impl Meter {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let decoder = Decoder::new(ReassemblyLimits::default());
        Self { decoder, table: Table::new(settings), neighbors: Neighbors::default(), frames: 0 }
    }

    /// Takes a frame of which `captured` are the first bytes and `wire_len` is the length.
    pub fn frame(&mut self, link: LinkType, at: Timestamp, captured: &[u8], wire_len: u32, out: Out<'_>) {
        self.frames += 1;
        let Self { decoder, table, neighbors, .. } = self;
        decoder.packet(link, at, captured, wire_len, &mut |packet| match &packet.transport {
            Transport::Arp(message) => {
                if let Some(told) = neighbors.message(packet.at, message) {
                    out(told);
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
