//! Packets with a long header (RFC 9000, 17.2), several of which may share a datagram.

use super::super::tls::reader::Reader;
use super::version::{self, V2};

/// Longest connection id of known versions.
const ID_BYTES_MAX: usize = 20;

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It begins a connection.
    Initial,
    /// Data before the handshake is done.
    ZeroRtt,
    /// It goes on with it.
    Handshake,
    /// The server wants to hear the client again.
    Retry,
    /// The server does not speak the client's version: what follows are those that it does.
    VersionNegotiation,
    /// A version that is not known here.
    Unknown,
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug)]
pub struct Long<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its version; 0 of version negotiation.
    pub version: u32,
    /// Whom it is for.
    pub destination: &'a [u8],
    /// All of it, headers included.
    pub bytes: &'a [u8],
    /// Where in it the protected packet number stands. Of what is not Initial: where the header ends.
    pub number_at: usize,
    /// It says that it is longer than the datagram.
    pub cut: bool,
}

/// Splits the first packet with a long header off a datagram; none when that is not what it begins with.
#[must_use]
pub fn long<'a>(datagram: &mut &'a [u8]) -> Option<Long<'a>> {
    let whole = *datagram;
    let mut reader = Reader::new(whole);
    let first = reader.u8().filter(|first| first & 0x80 != 0)?;
    let version = reader.u32()?;
    let destination = reader.vec8()?.rest();
    let source = reader.vec8()?.rest();
    let kind = kind(first, version);
    let known = !matches!(kind, Kind::VersionNegotiation | Kind::Unknown);
    if known && (first & 0x40 == 0 || destination.len() > ID_BYTES_MAX || source.len() > ID_BYTES_MAX) {
        return None;
    }
    if kind == Kind::Initial {
        let token = reader.varint()?;
        reader.take(usize::try_from(token).ok()?)?;
    }
    let mut cut = false;
    let len = if matches!(kind, Kind::Initial | Kind::ZeroRtt | Kind::Handshake) {
        let len = usize::try_from(reader.varint()?).ok()?;
        cut = len > reader.rest().len();
        len.min(reader.rest().len())
    } else {
        reader.rest().len()
    };
    let number_at = whole.len() - reader.rest().len();
    let (bytes, rest) = whole.split_at_checked(number_at + len)?;
    *datagram = rest;
    Some(Long { kind, version, destination, bytes, number_at, cut })
}

fn kind(first: u8, version: u32) -> Kind {
    if version == 0 {
        return Kind::VersionNegotiation;
    }
    if version::salt(version).is_none() {
        return Kind::Unknown;
    }
    // RFC 9369, 3.2: version 2 numbers its packets otherwise.
    let shift = u8::from(version == V2);
    match ((first >> 4 & 3) + 4 - shift) % 4 {
        0 => Kind::Initial,
        1 => Kind::ZeroRtt,
        2 => Kind::Handshake,
        _ => Kind::Retry,
    }
}
