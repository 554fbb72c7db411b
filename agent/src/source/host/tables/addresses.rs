//! Addresses of interfaces by rtnetlink (`rtnetlink(7)`, `linux/if_addr.h`): a request out, addresses in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};

/// Addresses that are told.
const ADDRESSES_MAX: usize = 4096;
const HEADER_LEN: usize = 16;
/// Octets of `ifaddrmsg`.
const MESSAGE_LEN: usize = 8;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// An address of an interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// The interface's number.
    pub interface: u32,
    /// Bits of its network.
    pub prefix: u8,
    /// The address.
    pub ip: IpAddr,
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_ne_bytes(*half))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_ne_bytes(*word))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into()),
        16 => bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into()),
        _ => None,
    }
}

fn address(body: &[u8]) -> Option<Address> {
    let (prefix, interface) = (*body.get(1)?, word(body, 4)?);
    let (mut rest, mut found, mut local) = (body.get(MESSAGE_LEN..)?, None, None);
    while let (Some(len), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let len = usize::from(len);
        let Some(value) = rest.get(4..len) else { break };
        match kind {
            IFA_ADDRESS => found = ip(value),
            // Of a point-to-point link the address is the other end's.
            IFA_LOCAL => local = ip(value),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(Address { interface, prefix, ip: local.or(found)? })
}

/// Reads what came; whether it was the end.
pub fn answer(mut bytes: &[u8], each: &mut dyn FnMut(Address)) -> bool {
    while let (Some(len), Some(kind)) = (word(bytes, 0), half(bytes, 4)) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let Some(body) = bytes.get(HEADER_LEN..len) else { return true };
        match kind {
            DONE | ERROR => return true,
            NEW_ADDRESS => address(body).into_iter().for_each(&mut *each),
            _ => {}
        }
        bytes = bytes.get(len.next_multiple_of(4).max(HEADER_LEN)..).unwrap_or_default();
    }
    false
}

/// This host's addresses.
///
/// # Errors
/// The kernel's.
pub fn ask() -> rustix::io::Result<Vec<Address>> {
    // No protocol is 0, `NETLINK_ROUTE`.
    let netlink: OwnedFd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&netlink, sockopt::Timeout::Recv, Some(std::time::Duration::from_millis(100)))?;
    let mut request = 24_u32.to_ne_bytes().to_vec();
    request.extend_from_slice(&GET_ADDRESS.to_ne_bytes());
    // `NLM_F_REQUEST | NLM_F_DUMP`, number 1, any family.
    request.extend_from_slice(&0x301_u16.to_ne_bytes());
    request.extend_from_slice(&1_u32.to_ne_bytes());
    request.extend_from_slice(&[0; 12]);
    sendto(&netlink, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let (mut found, mut bytes) = (Vec::new(), vec![0_u8; 32 << 10]);
    loop {
        let (len, _) = recv(&netlink, bytes.as_mut_slice(), RecvFlags::empty())?;
        let mut each = |address| {
            if found.len() < ADDRESSES_MAX {
                found.push(address);
            }
        };
        if answer(bytes.get(..len).unwrap_or_default(), &mut each) {
            found.sort_unstable();
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_has_its_loopback_address_where_it_is_up() {
        let found = ask().unwrap();
        let up = std::fs::read_to_string("/sys/class/net/lo/flags").is_ok_and(|flags| flags.trim().ends_with('9'));
        let loopback = found.iter().any(|address| address.ip == IpAddr::from([127, 0, 0, 1]) && address.prefix == 8);
        assert!(loopback || !up, "{found:?}");
    }
}
