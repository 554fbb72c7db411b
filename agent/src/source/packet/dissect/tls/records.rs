//! The record layer (RFC 8446, 5.1): type, version, length, content. Holds a header, never a content.
//!
//! In: in-order bytes, cut anywhere. Out: where a record begins, and its content in the pieces that came.

/// `change_cipher_spec`.
pub const CHANGE_CIPHER_SPEC: u8 = 20;
/// `alert`.
pub const ALERT: u8 = 21;
/// `handshake`.
pub const HANDSHAKE: u8 = 22;
/// `application_data`.
pub const APPLICATION_DATA: u8 = 23;
const HEARTBEAT: u8 = 24;

/// Octets of a header.
pub const HEADER_LEN: usize = 5;
/// Most octets of a record's content: 2^14 and what encryption adds (RFC 5246, 6.2.3).
const CONTENT_MAX: usize = (1 << 14) + 2048;
/// Most octets of a `ClientHello` in the framing of `SSLv2`. Real ones are below 200.
const V2_HELLO_MAX: usize = 4096;
/// Fewest: type, version, three lengths, a suite, a challenge.
const V2_HELLO_MIN: usize = 9 + 3 + 16;

/// What a record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A record of TLS, by its type.
    Tls(u8),
    /// A `ClientHello` in the framing of `SSLv2`. Its content begins with the header's last three octets.
    V2Hello,
    /// A server's answer in `SSLv2`.
    V2Answer,
}

/// What the next bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// Part of a header.
    Header,
    /// A record begins: what it holds and how much.
    Begins(Kind, usize),
    /// Part of its content; whether it is the last.
    Content(Kind, &'a [u8], bool),
    /// They are not of TLS.
    Garbage,
}

/// The records of one side.
#[derive(Debug)]
pub struct Records {
    header: [u8; HEADER_LEN],
    header_len: usize,
    kind: Kind,
    left: usize,
    begun: bool,
}

impl Records {
    /// Of a side that said nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { header: [0; HEADER_LEN], header_len: 0, kind: Kind::Tls(0), left: 0, begun: false }
    }

    /// Takes some of the bytes, and what they are.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Piece<'a> {
        if self.left > 0 {
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            *bytes = rest;
            self.left = self.left.saturating_sub(part.len());
            return Piece::Content(self.kind, part, self.left == 0);
        }
        let (part, rest) = bytes.split_at(bytes.len().min(HEADER_LEN.saturating_sub(self.header_len)));
        *bytes = rest;
        for octet in part {
            if let Some(place) = self.header.get_mut(self.header_len) {
                *place = *octet;
                self.header_len += 1;
            }
        }
        if self.header_len < HEADER_LEN {
            return Piece::Header;
        }
        self.header_len = 0;
        let Some((kind, len)) = header(&self.header, !self.begun) else { return Piece::Garbage };
        self.begun = true;
        self.kind = kind;
        self.left = if kind == Kind::V2Hello { len.saturating_sub(3) } else { len };
        Piece::Begins(kind, len)
    }

    /// The header that was read last.
    #[must_use]
    pub fn header(&self) -> &[u8; HEADER_LEN] {
        &self.header
    }

    /// Passes over bytes that never came; whether they were all of the record that is being read.
    pub fn skip(&mut self, bytes: u64) -> bool {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let inside = bytes <= self.left;
        self.left = if inside { self.left.saturating_sub(bytes) } else { 0 };
        if !inside {
            self.header_len = 0;
        }
        self.begun = true;
        inside
    }
}

/// Whether bytes can be the begin of a record of TLS.
#[must_use]
pub fn begins_record(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(|octets| header(octets, false).is_some())
}

/// Reads a header: what follows it and how many octets of content.
#[must_use]
pub fn header(octets: &[u8; HEADER_LEN], first: bool) -> Option<(Kind, usize)> {
    let [kind, major, minor, high, low] = *octets;
    let len = usize::from(u16::from_be_bytes([high, low]));
    let known = matches!(kind, CHANGE_CIPHER_SPEC..=HEARTBEAT);
    if known && major == 3 && minor <= 4 && len <= CONTENT_MAX {
        // Empty ones are legal for application data only, and some stacks send empty fragments of others.
        return Some((Kind::Tls(kind), len));
    }
    let v2_len = usize::from(u16::from_be_bytes([kind & 0x7f, major]));
    match (first && kind & 0x80 != 0, minor) {
        (true, 1) if matches!((high, low), (0, 2) | (3, 0..=4)) && (V2_HELLO_MIN..=V2_HELLO_MAX).contains(&v2_len) => {
            Some((Kind::V2Hello, v2_len))
        }
        (true, 4) if v2_len > 10 => Some((Kind::V2Answer, v2_len.saturating_sub(3))),
        _ => None,
    }
}
