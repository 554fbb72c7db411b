//! Handshake messages out of in-order bytes (RFC 8446, 4): a message may span records, a record may hold several.
//!
//! In: bytes as they come, cut anywhere. Out: each message, once. Only kinds that are looked at are held, and of those
//! only so much that the sum of both sides stays below `HELD_BYTES_MAX`; the rest is skipped by its length.

use super::super::Side;

/// `ClientHello`.
pub const CLIENT_HELLO: u8 = 1;
/// `ServerHello`, and since draft 22 `HelloRetryRequest`.
pub const SERVER_HELLO: u8 = 2;
/// `HelloRetryRequest` up to draft 21.
pub const HELLO_RETRY: u8 = 6;
/// Certificate.
pub const CERTIFICATE: u8 = 11;
/// `ServerKeyExchange`.
pub const SERVER_KEY_EXCHANGE: u8 = 12;
/// `ServerHelloDone`.
pub const SERVER_HELLO_DONE: u8 = 14;

/// Most bytes held of a hello. Real ones are below 4 KiB.
const HELLO_BYTES_MAX: usize = 10 << 10;
/// Most bytes held of a server's chain. Real ones are mostly below 6 KiB, and the first certificate is what counts.
const SERVER_CERTIFICATES_BYTES_MAX: usize = 16 << 10;
/// Most bytes held of a client's chain.
const CLIENT_CERTIFICATES_BYTES_MAX: usize = 8 << 10;
/// What says the curve.
const KEY_EXCHANGE_BYTES_MAX: usize = 3;

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its type.
    pub kind: u8,
    /// Its body, as far as it is held.
    pub body: &'a [u8],
    /// Its body is all there.
    pub whole: bool,
}

/// The messages of one side.
#[derive(Debug)]
pub struct Messages {
    side: Side,
    header: [u8; 4],
    header_len: usize,
    /// Bytes of the current message that are still to come.
    left: usize,
    /// Bytes of it that are still to be held.
    hold: usize,
    whole: bool,
    body: Vec<u8>,
}

impl Messages {
    /// Of this side.
    #[must_use]
    pub fn new(side: Side) -> Self {
        Self { side, header: [0; 4], header_len: 0, left: 0, hold: 0, whole: true, body: Vec::new() }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(Message<'_>)) {
        while let Some(&next) = bytes.first() {
            if let Some(place) = self.header.get_mut(self.header_len) {
                *place = next;
                self.header_len += 1;
                bytes = bytes.get(1..).unwrap_or_default();
                if self.header_len == self.header.len() {
                    self.begin();
                    self.finish_if_done(each);
                }
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.hold(part.get(..self.hold.min(part.len())).unwrap_or_default());
            self.left = self.left.saturating_sub(part.len());
            bytes = rest;
            self.finish_if_done(each);
        }
    }

    /// Tells what there is of a message that will not be completed, and forgets it.
    pub fn cut(&mut self, each: &mut dyn FnMut(Message<'_>)) {
        if self.header_len == self.header.len() {
            self.whole = false;
            self.left = 0;
            self.finish_if_done(each);
        }
        *self = Self::new(self.side);
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.body.capacity()
    }

    fn begin(&mut self) {
        let [kind, a, b, c] = self.header;
        let len = u32::from_be_bytes([0, a, b, c]);
        self.left = usize::try_from(len).unwrap_or(usize::MAX);
        let most = match (kind, self.side) {
            (CLIENT_HELLO | SERVER_HELLO, _) => HELLO_BYTES_MAX,
            (CERTIFICATE, Side::Server) => SERVER_CERTIFICATES_BYTES_MAX,
            (CERTIFICATE, Side::Client) => CLIENT_CERTIFICATES_BYTES_MAX,
            (SERVER_KEY_EXCHANGE, _) => KEY_EXCHANGE_BYTES_MAX,
            _ => 0,
        };
        self.hold = self.left.min(most);
        self.whole = self.left <= most;
    }

    /// Holds a part: room grows twofold, but never beyond what will be held.
    fn hold(&mut self, part: &[u8]) {
        if self.body.capacity() - self.body.len() < part.len() {
            self.body.reserve_exact(self.body.len().max(part.len()).min(self.hold));
        }
        self.body.extend_from_slice(part);
        self.hold -= part.len();
    }

    fn finish_if_done(&mut self, each: &mut dyn FnMut(Message<'_>)) {
        if self.left > 0 {
            return;
        }
        each(Message { kind: self.header[0], body: &self.body, whole: self.whole });
        self.header_len = 0;
        // Given back at once: a flow may stay in the table for long.
        self.body = Vec::new();
    }
}
