//! Sockets as the kernel tells them over netlink (`sock_diag(7)`, `linux/inet_diag.h`): requests out, rows in.
//!
//! Pure: bytes only. Numbers are the host's byte order but for ports and addresses, which are the network's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::flow::key::End;

/// Octets of a request: `nlmsghdr` and `inet_diag_req_v2`.
pub const REQUEST_LEN: usize = 72;
/// Octets of a netlink header.
const HEADER_LEN: usize = 16;
/// Octets of `inet_diag_msg`.
const ROW_LEN: usize = 72;
/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLM_F_REQUEST`, and with `NLM_F_ROOT` and `NLM_F_MATCH` a dump.
const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
/// `AF_INET` and `AF_INET6`.
const INET: u8 = 2;
const INET6: u8 = 10;

/// A socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its own end.
    pub local: End,
    /// The other one; a port of 0 where it has none (it listens, or is not connected).
    pub remote: End,
    /// The state, by the numbers of TCP (1 established, 10 listens); of UDP 1 connected, 7 not.
    pub state: u8,
    /// User who made it.
    pub uid: u32,
    /// Its inode; 0 where no process holds it (any more, or not yet).
    pub inode: u64,
}

/// How far an answer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// More of it comes.
    More,
    /// It is whole.
    Done,
    /// There is none: `errno`, 2 where no such socket is.
    Refused(i32),
}

/// Which sockets are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// All of an address family: IPv6 or IPv4.
    All {
        /// IPv6, otherwise IPv4.
        v6: bool,
    },
    /// The one that has these ends; a remote end of zeros: the one that listens there.
    One(End, End),
}

/// A request for sockets of `protocol` (6 TCP, 17 UDP), numbered `sequence`.
#[must_use]
pub fn request(ask: Ask, protocol: u8, sequence: u32) -> [u8; REQUEST_LEN] {
    let (v6, flags, ends) = match ask {
        Ask::All { v6 } => (v6, REQUEST | DUMP, None),
        Ask::One(local, remote) => (local.ip.is_ipv6(), REQUEST, Some((local, remote))),
    };
    let mut bytes = Vec::with_capacity(REQUEST_LEN);
    bytes.extend_from_slice(&72_u32.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[if v6 { INET6 } else { INET }, protocol, 0, 0]);
    // Every state.
    bytes.extend_from_slice(&u32::MAX.to_ne_bytes());
    if let Some((local, remote)) = ends {
        bytes.extend_from_slice(&local.port.to_be_bytes());
        bytes.extend_from_slice(&remote.port.to_be_bytes());
        bytes.extend_from_slice(&octets(local.ip));
        bytes.extend_from_slice(&octets(remote.ip));
        bytes.extend_from_slice(&[0; 4]);
        // `INET_DIAG_NOCOOKIE`, twice: any socket.
        bytes.extend_from_slice(&[0xff; 8]);
    }
    let mut whole = [0; REQUEST_LEN];
    whole.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    whole
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let ([a, b, c, d], mut all) = (ip.octets(), [0; 16]);
            all.iter_mut().zip([a, b, c, d]).for_each(|(place, byte)| *place = byte);
            all
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

/// Reads what came: `each` gets every row of the answer to `sequence`.
pub fn answer(mut bytes: &[u8], sequence: u32, each: &mut dyn FnMut(Row)) -> Answer {
    while let (Some(len), Some(kind), Some(number)) = (word(bytes, 0), half(bytes, 4), word(bytes, 8)) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(HEADER_LEN..len) else { return Answer::Done };
        if number == sequence {
            match kind {
                DONE => return Answer::Done,
                ERROR => {
                    let code = body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return if code == 0 { Answer::Done } else { Answer::Refused(code.saturating_neg()) };
                }
                BY_FAMILY => row(body).into_iter().for_each(&mut *each),
                _ => {}
            }
        }
        bytes = bytes.get(len.next_multiple_of(4).max(HEADER_LEN)..).unwrap_or_default();
    }
    Answer::More
}

fn row(body: &[u8]) -> Option<Row> {
    let body = body.get(..ROW_LEN)?;
    let v6 = match body.first() {
        Some(&INET) => false,
        Some(&INET6) => true,
        _ => return None,
    };
    let end = |port: usize, ip: usize| {
        let port = u16::from_be_bytes(*body.get(port..)?.first_chunk()?);
        let ip = if v6 {
            // An IPv4 connection of an IPv6 socket is told as IPv4, as its packets are.
            IpAddr::V6(Ipv6Addr::from(*body.get(ip..)?.first_chunk::<16>()?)).to_canonical()
        } else {
            IpAddr::V4(Ipv4Addr::from(*body.get(ip..)?.first_chunk::<4>()?))
        };
        Some(End { ip, port })
    };
    let (local, remote) = (end(4, 8)?, end(6, 24)?);
    Some(Row { local, remote, state: *body.get(1)?, uid: word(body, 64)?, inode: word(body, 68)?.into() })
}

/// What a fuzz target calls.
pub fn fuzz(input: &[u8]) {
    let number = word(input, 8).unwrap_or(0);
    let mut rows = 0;
    answer(input, number, &mut |_| rows += 1);
    assert!(rows <= input.len() / ROW_LEN, "every row has its bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER_LEN + body.len()).unwrap();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn mapped_row() -> Vec<u8> {
        let mut body = vec![INET6, 1, 0, 0];
        body.extend_from_slice(&443_u16.to_be_bytes());
        body.extend_from_slice(&50_000_u16.to_be_bytes());
        body.extend_from_slice(&"::ffff:192.0.2.1".parse::<Ipv6Addr>().unwrap().octets());
        body.extend_from_slice(&"::ffff:192.0.2.2".parse::<Ipv6Addr>().unwrap().octets());
        body.extend_from_slice(&[0; 24]);
        body.extend_from_slice(&33_u32.to_ne_bytes());
        body.extend_from_slice(&77_u32.to_ne_bytes());
        body
    }

    #[test]
    fn rows_are_those_of_the_answer_and_mapped_addresses_are_ipv4() {
        let mut bytes = message(BY_FAMILY, 6, &mapped_row());
        bytes.extend(message(BY_FAMILY, 7, &mapped_row()));
        let mut rows = Vec::new();
        assert_eq!(answer(&bytes, 7, &mut |row| rows.push(row)), Answer::More);
        let end = |ip: &str, port| End { ip: ip.parse().unwrap(), port };
        let expected =
            Row { local: end("192.0.2.1", 443), remote: end("192.0.2.2", 50_000), state: 1, uid: 33, inode: 77 };
        assert_eq!(rows, [expected]);
        assert_eq!(answer(&message(DONE, 7, &[0; 4]), 7, &mut |_| {}), Answer::Done);
        assert_eq!(answer(&message(ERROR, 7, &(-2_i32).to_ne_bytes()), 7, &mut |_| {}), Answer::Refused(2));
    }

    #[test]
    fn lengths_without_sense_end_the_answer() {
        for len in [0_u32, 1, 15, 17, 4096, u32::MAX] {
            let mut bytes = message(BY_FAMILY, 7, &mapped_row());
            bytes.splice(..4, len.to_ne_bytes());
            let mut rows = 0;
            answer(&bytes, 7, &mut |_| rows += 1);
            assert_eq!(rows, 0, "{len}");
        }
    }
}
