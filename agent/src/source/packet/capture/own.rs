//! The agent's own traffic, as a part of a filter and of a packet.

use std::net::IpAddr;

use super::super::{Packet, Transport};
use crate::own_traffic::{OwnEnds, UDP};

/// Octets of the shortest segment over IPv4 without a link header.
const V4_LEN_MIN: usize = 40;
/// Octets of the shortest segment over IPv6 without a link header.
const V6_LEN_MIN: usize = 60;

/// pcap-filter(7) text that leaves `own` out of what `filter` lets through. Ours comes first: behind `vlan` or `mpls` in
/// the user's the rest of a filter means what is inside.
///
/// A filter that looks behind the end of a packet lets it not through, and nobody counts that. So lengths are looked at
/// first, the shortest that a packet of ours can have, then the addresses, and ports only of what is between the two hosts:
/// what is cut or malformed between others is captured.
pub(super) fn filter(filter: Option<&str>, own: &[OwnEnds]) -> String {
    let one = |ends: &OwnEnds| {
        let OwnEnds { local_port: local, remote, .. } = ends;
        let protocol = if ends.protocol == UDP { "udp" } else { "tcp" };
        let (ip, port) = (remote.ip().to_canonical(), remote.port());
        let (version, least) = if ip.is_ipv4() { ("ip", V4_LEN_MIN) } else { ("ip6", V6_LEN_MIN) };
        format!(
            "(greater {least} and \
             (({version} dst host {ip} and {protocol} src port {local} and {protocol} dst port {port}) or \
             ({version} src host {ip} and {protocol} dst port {local} and {protocol} src port {port})))"
        )
    };
    let own: Vec<String> = own.iter().map(one).collect();
    match (own.is_empty(), filter) {
        (true, filter) => filter.unwrap_or_default().to_owned(),
        (false, None) => format!("not ({})", own.join(" or ")),
        (false, Some(filter)) => format!("not ({}) and ({filter})", own.join(" or ")),
    }
}

/// Whether a packet is of one of these conversations.
pub fn is_own(packet: &Packet<'_>, own: &[OwnEnds]) -> bool {
    if own.is_empty() {
        return false;
    }
    let Some(ip) = &packet.ip else { return false };
    let (source, destination) = match &packet.transport {
        Transport::Udp(udp) => (udp.source, udp.destination),
        Transport::Tcp(tcp) => (tcp.source, tcp.destination),
        _ => return false,
    };
    let is = |ends: &OwnEnds, local: u16, remote: (IpAddr, u16)| {
        ends.local_port == local && ends.remote.port() == remote.1 && ends.remote.ip().to_canonical() == remote.0
    };
    own.iter()
        .filter(|ends| ends.protocol == ip.protocol)
        .any(|ends| is(ends, source, (ip.destination, destination)) || is(ends, destination, (ip.source, source)))
}
