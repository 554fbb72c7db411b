//! TLS and SSL: what both sides say before they encrypt (RFC 8446, 5246, 6101), one record a handshake.
//!
//! ```text
//! bytes ─▶ records ─▶ messages ─▶ hello, certificate ─▶ handshake ─▶ told
//!          Records    Messages    what they say         one of both sides, also fed by QUIC
//! ```
//!
//! In: in-order bytes of both sides. Out: activity 1 (Open) when both sides hold keys, or when the flow ends after a
//! `ServerHello` (flagged `handshake_incomplete`); activity 4 (Fail) on a fatal alert, an answer that is not TLS, and when
//! the flow ends without `ServerHello`. Then [`Want::Enough`]. TLS that begins behind plaintext (STARTTLS, proxies) is not
//! recognized here: whoever knows where it begins feeds it from there.
//!
//! Invariants: every byte is looked at once, so that one-byte segments cost linear time; nothing is held but messages
//! that are looked at, each within its bound (`messages.rs`), together below `HELD_BYTES_MAX`; after
//! `HANDSHAKE_BYTES_MAX` of a side it is over (`handshake_too_long`).

mod certificate;
mod ciphers;
pub mod fingerprint;
pub mod handshake;
mod hello;
pub mod messages;
mod name;
pub mod names;
pub mod reader;
mod recognize;
mod records;
mod stream;
mod text;
mod told;

#[cfg(test)]
mod tests;

use shared::time::Timestamp;

use super::{Dissector as _, Entry, HELD_BYTES_MAX, Side, Want};

pub use recognize::recognize;
pub use stream::Tls;

/// TLS in the registry.
pub const ENTRY: Entry = Entry { protocol: "tls", recognize, make: |_| Box::new(Tls::new()) };

/// For a fuzzer: any bytes as what both sides of a connection say. Each part is an octet (1: of the server, 2: a gap of
/// as many bytes as follow), two of length, and that many bytes.
///
/// # Panics
///
/// Where an invariant does not hold.
pub fn fuzz(bytes: &[u8]) {
    let (mut tls, mut told, mut want) = (Tls::new(), 0, Want::More);
    let mut reader = reader::Reader::new(bytes);
    while let (Want::More, Some(kind), Some((part, _))) = (want, reader.u8(), reader.vec16_cut()) {
        let side = if kind & 1 == 0 { Side::Client } else { Side::Server };
        let part = part.rest();
        want = if kind & 2 == 0 {
            tls.data(side, Timestamp(0), part, &mut |_| told += 1)
        } else {
            tls.gap(side, u64::try_from(part.len()).unwrap_or(u64::MAX), &mut |_| told += 1)
        };
        assert!(tls.held_bytes() <= HELD_BYTES_MAX, "{} held", tls.held_bytes());
    }
    if want != Want::NotMine {
        tls.end(Timestamp(0), &mut |_| told += 1);
    }
    assert_eq!(told, usize::from(want != Want::NotMine), "one record a handshake");
}

/// Adds a flaw, once.
pub(super) fn flag(flaws: &mut Vec<&'static str>, flaw: &'static str) {
    if !flaws.contains(&flaw) {
        flaws.push(flaw);
    }
}
