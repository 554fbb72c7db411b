//! Packets of a capture file, as far as the agreement with other tools needs them: no tunnels, no fragments.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use shared::time::Timestamp;

/// A segment or datagram.
pub struct Packet {
    pub at: Timestamp,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
    /// Sequence number and flags, of TCP.
    pub tcp: Option<(u32, u8)>,
}

/// All of a file, pcap or pcapng.
pub fn read(path: &Path) -> Vec<Packet> {
    let bytes = std::fs::read(path).unwrap();
    let mut packets = Vec::new();
    match bytes.first_chunk::<4>() {
        Some([0x0a, 0x0d, 0x0d, 0x0a]) => pcapng(&bytes, &mut packets),
        Some(magic) => pcap(&bytes, u32::from_le_bytes(*magic), &mut packets),
        None => {}
    }
    packets
}

fn number(bytes: &[u8], at: usize, len: usize, big: bool) -> usize {
    let field = bytes.get(at..at + len).unwrap_or(&[]);
    let octets: Vec<u8> = if big { field.to_vec() } else { field.iter().rev().copied().collect() };
    octets.iter().fold(0, |number, octet| number << 8 | usize::from(*octet))
}

fn pcap(bytes: &[u8], magic: u32, packets: &mut Vec<Packet>) {
    let big = matches!(magic, 0xd4c3_b2a1 | 0x4d3c_b2a1);
    let nano = matches!(magic, 0xa1b2_3c4d | 0x4d3c_b2a1);
    let link = number(bytes, 20, 4, big) & 0xffff;
    let mut at = 24;
    while at + 16 <= bytes.len() {
        let [seconds, part, len] = [0, 4, 8].map(|field| number(bytes, at + field, 4, big));
        let stamp = seconds * 1_000_000_000 + if nano { part } else { part * 1000 };
        let end = (at + 16 + len).min(bytes.len());
        link_layer(link, i64::try_from(stamp).unwrap_or(0), &bytes[at + 16..end], packets);
        at += 16 + len;
    }
}

fn pcapng(bytes: &[u8], packets: &mut Vec<Packet>) {
    let (mut at, mut big, mut links) = (0, false, Vec::new());
    while at + 12 <= bytes.len() {
        if bytes[at..at + 4] == [0x0a, 0x0d, 0x0d, 0x0a] {
            big = bytes[at + 8] == 0x1a;
            links.clear();
        }
        let (kind, len) = (number(bytes, at, 4, big), number(bytes, at + 4, 4, big));
        if len < 12 {
            return;
        }
        match kind {
            1 => links.push(number(bytes, at + 8, 2, big)),
            6 => {
                let interface = number(bytes, at + 8, 4, big);
                let stamp = number(bytes, at + 12, 4, big) << 32 | number(bytes, at + 16, 4, big);
                let end = (at + 28 + number(bytes, at + 20, 4, big)).min(bytes.len());
                let link = links.get(interface).copied().unwrap_or(1);
                link_layer(link, i64::try_from(stamp).unwrap_or(0).saturating_mul(1000), &bytes[at + 28..end], packets);
            }
            _ => {}
        }
        at += len;
    }
}

fn link_layer(link: usize, stamp: i64, frame: &[u8], packets: &mut Vec<Packet>) {
    let (mut at, mut ether) = match link {
        1 => (14, number(frame, 12, 2, true)),
        113 => (16, number(frame, 14, 2, true)),
        276 => (20, number(frame, 0, 2, true)),
        0 | 108 => (4, 0x0800),
        9 => (2, if number(frame, 0, 2, true) == 0x57 { 0x86dd } else { 0x0800 }),
        _ => (0, 0x0800),
    };
    loop {
        match ether {
            0x8100 | 0x88a8 | 0x9100 => (at, ether) = (at + 4, number(frame, at + 2, 2, true)),
            0x8864 => (at, ether) = (at + 8, 0x0800),
            _ => break,
        }
    }
    let Some(network) = frame.get(at..) else { return };
    if !matches!(ether, 0x0800 | 0x86dd) || network.len() < 20 {
        return;
    }
    let (protocol, header, total, addresses): (u8, usize, usize, [IpAddr; 2]) = if network[0] >> 4 == 6 {
        let Some(ids) = network.get(8..40) else { return };
        let address = |at: usize| IpAddr::from(<[u8; 16]>::try_from(&ids[at..at + 16]).unwrap());
        (network[6], 40, 40 + number(network, 4, 2, true), [address(0), address(16)])
    } else {
        if number(network, 6, 2, true) & 0x1fff != 0 {
            return;
        }
        let address = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&network[at..at + 4]).unwrap());
        (network[9], usize::from(network[0] & 15) * 4, number(network, 2, 2, true), [address(12), address(16)])
    };
    // Captured before segmentation offload, a packet says 0.
    let end = if total == 0 { network.len() } else { total.min(network.len()) };
    let Some(segment) = network.get(header..end).filter(|segment| segment.len() >= 8) else { return };
    let [from, to] = [0, 2].map(|at| u16::try_from(number(segment, at, 2, true)).unwrap());
    let (skip, tcp) = match protocol {
        6 if segment.len() >= 20 => {
            let sequence = u32::try_from(number(segment, 4, 4, true)).unwrap();
            (usize::from(segment[12] >> 4) * 4, Some((sequence, segment[13])))
        }
        17 => (8, None),
        _ => return,
    };
    packets.push(Packet {
        at: Timestamp(stamp),
        from: SocketAddr::new(addresses[0], from),
        to: SocketAddr::new(addresses[1], to),
        payload: segment.get(skip..).unwrap_or(&[]).to_vec(),
        tcp,
    });
}
