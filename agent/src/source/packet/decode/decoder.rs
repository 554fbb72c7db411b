//! The decoder of one capture: what [`super::decode`] does, with fragments put together.

use shared::time::Timestamp;

use super::super::{Flaws, Packet, Transport};
use super::reassembler::{Datagram, Opened, Reassembler, Verdict};
use super::walk::{Fragment, Next, Walk};
use super::{FragmentCounts, LinkType, ReassemblyLimits};

/// Decodes the frames of a capture, in the order in which they came.
pub struct Decoder {
    reassembler: Reassembler,
}

impl Decoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self { reassembler: Reassembler::new(limits) }
    }

    /// What became of fragments so far.
    #[must_use]
    pub fn fragments(&self) -> FragmentCounts {
        self.reassembler.counts()
    }

    /// Memory that fragments take; at most [`ReassemblyLimits::bytes_max`] between two calls.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.reassembler.held_bytes()
    }

    /// Decodes a frame of which `captured` are the first bytes and `wire_len` is the length. `each` gets its packet; a
    /// fragment's when its datagram is complete or given up, which may be at a later frame.
    pub fn packet(
        &mut self,
        link: LinkType,
        at: Timestamp,
        captured: &[u8],
        wire_len: u32,
        each: &mut dyn FnMut(&Packet<'_>),
    ) {
        self.expire(at, each);
        let mut walk = Walk::new(link, at, captured, wire_len);
        match walk.run() {
            None => each(&walk.packet),
            Some(fragment) => self.fragment(&walk, &fragment, each),
        }
    }

    /// Gives up the fragments that have waited too long at `now`: for when no frames come.
    #[inline]
    pub fn expire(&mut self, now: Timestamp, each: &mut dyn FnMut(&Packet<'_>)) {
        while let Some(datagram) = self.reassembler.overdue(now) {
            incomplete(datagram, each);
        }
    }

    /// Gives up all fragments: the capture is over.
    pub fn finish(&mut self, each: &mut dyn FnMut(&Packet<'_>)) {
        while let Some(datagram) = self.reassembler.remaining() {
            incomplete(datagram, each);
        }
    }

    /// Takes a fragment in; a datagram that it completes may be a fragment in a tunnel, and so on, as often as there are
    /// tunnels.
    fn fragment(&mut self, walk: &Walk<'_>, fragment: &Fragment<'_>, each: &mut dyn FnMut(&Packet<'_>)) {
        let mut complete = self.insert(&walk.packet, fragment, each);
        while let Some(datagram) = complete.take() {
            let mut opened = datagram.open();
            opened.packet.flaws.clear(Flaws::FRAGMENT);
            let mut walk = inside(&opened);
            match walk.run() {
                None => each(&walk.packet),
                Some(fragment) => complete = self.insert(&walk.packet, &fragment, each),
            }
        }
        while let Some(datagram) = self.reassembler.surplus() {
            incomplete(datagram, each);
        }
    }

    fn insert(
        &mut self,
        packet: &Packet<'_>,
        fragment: &Fragment<'_>,
        each: &mut dyn FnMut(&Packet<'_>),
    ) -> Option<Box<Datagram>> {
        match self.reassembler.insert(packet, fragment) {
            Verdict::Held => None,
            Verdict::Complete(datagram) => Some(datagram),
            Verdict::Refused(flaws) => {
                let mut packet = packet.clone();
                packet.flaws.set(flaws);
                packet.transport = Transport::Other(fragment.payload);
                if fragment.offset == 0 {
                    // What it begins with is there all the same.
                    let next = Next::Payload(fragment.protocol);
                    let mut walk = Walk::resume(packet, next, fragment.payload, fragment.payload_len);
                    walk.partial = true;
                    each(&walk.finish());
                } else {
                    each(&packet);
                }
                None
            }
        }
    }
}

/// The walk into what fragments were put together to.
fn inside(opened: &Opened) -> Walk<'_> {
    let packet = Packet { transport: Transport::Other(&opened.payload), ..opened.packet.clone() };
    Walk::resume(packet, Next::Payload(opened.protocol), &opened.payload, opened.length)
}

/// Gives what there is of a datagram that will not be complete: its transport too, if its beginning came.
fn incomplete(datagram: Datagram, each: &mut dyn FnMut(&Packet<'_>)) {
    let opened = datagram.open();
    let mut walk = inside(&opened);
    if opened.payload.is_empty() {
        each(&walk.packet);
    } else {
        walk.partial = true;
        each(&walk.finish());
    }
}
