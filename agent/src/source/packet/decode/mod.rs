//! Decode: a captured frame comes in, its innermost packet goes out, with what is wrong with it.
//!
//! ```text
//! link ─▶ ethertype ─▶ network ─▶ transport ─▶ Packet
//!            ▲  ▲         │ ▲          │
//!            │  └─ tunnel ◀─┼──────────┘  VXLAN, Geneve, Teredo
//!            └──────────────┘             GRE, MPLS, IP in IP
//! ```
//!
//! [`decode`] is one pure call a frame; [`Decoder`] puts fragments together before it calls back.
//!
//! Invariants: every frame given to a [`Decoder`] is in exactly one packet that it calls back with, be it whole, refused
//! or never completed: the sums of `frames` and `wire_len` of what goes out are those of what came in. A frame costs at
//! most 64 headers. A wrapped packet is only followed when what is inside is one: else the wrapping
//! packet is given as it is. Lengths are those of the headers; link padding is not payload; a network length of 0
//! (segmentation offload, jumbograms) is that of the frame. Checksums are not looked at: on the sending host the card
//! computes them after the capture.

mod decoder;
mod ethertype;
mod link;
mod network;
mod reassembler;
#[cfg(test)]
mod tests;
mod transport;
mod tunnel;
mod walk;
mod wireless;

pub use decoder::Decoder;
pub use link::LinkType;
pub use reassembler::{FragmentCounts, ReassemblyLimits};

use shared::time::Timestamp;

use super::Packet;

/// The innermost packet of a frame, of which `captured` are the first bytes and `wire_len` is the length. A first
/// fragment is decoded as far as it goes, a later one is `Other`; both are flagged `FRAGMENT`.
#[must_use]
pub fn decode(link: LinkType, at: Timestamp, captured: &[u8], wire_len: u32) -> Packet<'_> {
    walk::Walk::new(link, at, captured, wire_len).finish()
}

/// What a fuzz target calls: the first two bytes are the link type, the others frames of up to 255 bytes with their
/// length before them.
///
/// # Panics
/// A frame was lost or counted twice.
pub fn fuzz(input: &[u8]) {
    let Some((link, mut rest)) = input.split_first_chunk::<2>() else { return };
    let (mut decoder, mut given, mut told) = (Decoder::new(ReassemblyLimits::default()), 0, 0);
    while let Some((&length, after)) = rest.split_first() {
        let (frame, next) = after.split_at(usize::from(length).min(after.len()));
        decoder.packet(LinkType(u16::from_be_bytes(*link)), Timestamp(given), frame, 0, &mut |packet| {
            told += i64::from(packet.frames);
        });
        (given, rest) = (given + 1, next);
    }
    decoder.finish(&mut |packet| told += i64::from(packet.frames));
    assert_eq!(given, told, "each frame is in exactly one packet");
}
