//! Whether bytes begin with a hello of TLS, by content alone.

use super::super::{Carrier, First, Recognized};
use super::messages;
use super::records::{self, HANDSHAKE, HEADER_LEN, Kind};

/// Whether a side's first bytes are a hello of TLS.
#[must_use]
pub fn recognize(first: &First<'_>) -> Recognized {
    if first.carrier == Carrier::Datagram {
        return Recognized::No;
    }
    let Some((header, rest)) = first.bytes.split_first_chunk::<HEADER_LEN>() else {
        let begins = match first.bytes {
            [HANDSHAKE, rest @ ..] => rest.first().is_none_or(|major| *major == 3),
            [octet, rest @ ..] if octet & 0x80 != 0 => rest.get(1).is_none_or(|kind| *kind == messages::CLIENT_HELLO),
            bytes => bytes.is_empty(),
        };
        return if begins { Recognized::Perhaps } else { Recognized::No };
    };
    match records::header(header, true) {
        Some((Kind::Tls(HANDSHAKE), 1..)) => recognize_message(rest),
        Some((Kind::V2Hello, len)) => recognize_v2(len, rest),
        _ => Recognized::No,
    }
}

/// A first record of a handshake: its message is a hello of a plausible length. Where the record holds less than that,
/// what stands there is the next record's header, and the hello's type has to do.
fn recognize_message(content: &[u8]) -> Recognized {
    match content {
        [] => Recognized::Perhaps,
        [messages::CLIENT_HELLO | messages::SERVER_HELLO] => Recognized::Perhaps,
        [messages::CLIENT_HELLO | messages::SERVER_HELLO, 0 | HANDSHAKE, ..] => Recognized::Yes,
        _ => Recognized::No,
    }
}

/// A `ClientHello` in the framing of `SSLv2`: its three lengths fill it.
fn recognize_v2(len: usize, rest: &[u8]) -> Recognized {
    let Some(lengths) = rest.first_chunk::<6>() else { return Recognized::Perhaps };
    let [ciphers, session, challenge] = [0, 2, 4].map(|at| {
        let pair = lengths.get(at..at + 2).and_then(|pair| pair.try_into().ok());
        usize::from(pair.map_or(0, u16::from_be_bytes))
    });
    let fills = 9 + ciphers + session + challenge == len;
    if fills && ciphers > 0 && ciphers % 3 == 0 && (16..=32).contains(&challenge) {
        Recognized::Yes
    } else {
        Recognized::No
    }
}
