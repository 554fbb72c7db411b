//! The addresses of this host, for the direction of flows: asked of the kernel over rtnetlink(7).
//!
//! /proc/net/fib_trie would say the same for IPv4, among all routes: a router's has a hundred megabytes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

/// Addresses that are looked at; a host with more is one whose neighbors are containers.
const ADDRESSES_MAX: usize = 4096;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Replies that are read at most; one holds hundreds of addresses.
const REPLIES_MAX: usize = 256;

/// The addresses of all interfaces of this network namespace.
///
/// # Errors
/// The system's.
pub fn local() -> io::Result<Vec<IpAddr>> {
    // NETLINK_ROUTE is protocol 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // Length, type, flags, number, port; then a message that asks for every family.
    let mut request = [0_u8; 24];
    let head = [24_u32.to_ne_bytes().as_slice(), &RTM_GETADDR.to_ne_bytes(), &DUMP.to_ne_bytes()].concat();
    request.iter_mut().zip(head).for_each(|(place, byte)| *place = byte);
    send(&socket, &request, SendFlags::empty())?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; 32 << 10]);
    for _ in 0..REPLIES_MAX {
        let (read, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let reply = buffer.get(..read).unwrap_or_default();
        if read == 0 || parse(reply, &mut found) {
            break;
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A field in the order of this machine's bytes, and what follows it.
fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_ne_bytes(*number), rest))
}

/// Takes the addresses of a reply; whether it is the last one.
fn parse(mut reply: &[u8], found: &mut Vec<IpAddr>) -> bool {
    while let Some((length, _)) = reply.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_ne_bytes(*length)).unwrap_or(usize::MAX);
        let Some(message) = reply.get(..length).filter(|_| length >= 16) else { return true };
        reply = reply.get(length.next_multiple_of(4)..).unwrap_or_default();
        let kind = message.get(4..).and_then(number).map(|(kind, _)| kind);
        match kind {
            Some(RTM_NEWADDR) if found.len() < ADDRESSES_MAX => found.extend(address(message)),
            Some(NLMSG_DONE | NLMSG_ERROR) | None => return true,
            Some(_) => {}
        }
    }
    false
}

/// The host's own address of an `RTM_NEWADDR`: of a point-to-point link `IFA_ADDRESS` is the other end.
fn address(message: &[u8]) -> Option<IpAddr> {
    let mut attributes = message.get(24..)?;
    let (mut address, mut local) = (None, None);
    while let Some((length, rest)) = number(attributes) {
        let length = usize::from(length);
        let (kind, _) = number(rest)?;
        let value = attributes.get(4..length)?;
        let ip = || match value.len() {
            4 => value.first_chunk::<4>().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets))),
            _ => value.first_chunk::<16>().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))),
        };
        match kind {
            IFA_ADDRESS => address = ip(),
            IFA_LOCAL => local = ip(),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    local.or(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_addresses_of_this_host() {
        let found = local().unwrap();
        println!("{found:?}");
        assert!(found.iter().any(IpAddr::is_loopback));
    }

    #[test]
    fn reply_that_is_cut_anywhere_ends_the_list() {
        let mut message = vec![0; 24];
        message[..4].copy_from_slice(&40_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&RTM_NEWADDR.to_ne_bytes());
        for (kind, last) in [(IFA_ADDRESS, 9_u8), (IFA_LOCAL, 7)] {
            message.extend(8_u16.to_ne_bytes());
            message.extend(kind.to_ne_bytes());
            message.extend([192, 0, 2, last]);
        }
        for cut in 0..=message.len() {
            let mut found = Vec::new();
            parse(&message[..cut], &mut found);
            let whole = cut == message.len();
            assert_eq!(found, if whole { vec![IpAddr::from([192, 0, 2, 7])] } else { vec![] }, "{cut}");
        }
    }
}
