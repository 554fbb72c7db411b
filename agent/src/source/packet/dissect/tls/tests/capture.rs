//! Segments and datagrams of a capture file, for the agreement with other tools.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;

use shared::time::Timestamp;

use super::super::super::super::Transport;
use super::super::super::super::decode::{Decoder, ReassemblyLimits};
use super::super::super::super::file::CaptureFile;

/// A segment or datagram.
pub struct Packet {
    pub at: Timestamp,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub payload: Vec<u8>,
    /// Sequence number and flags, of TCP.
    pub tcp: Option<(u32, u8)>,
}

/// All of a file, as far as it is one.
pub fn read(path: &Path) -> Vec<Packet> {
    let mut packets = Vec::new();
    let Ok(mut file) = CaptureFile::open(File::open(path).unwrap()) else { return packets };
    let mut decoder = Decoder::new(ReassemblyLimits::default());
    while let Ok(Some(frame)) = file.next_frame() {
        decoder.packet(frame.link, frame.at, frame.bytes, frame.wire_len, &mut |packet| {
            let Some(ip) = &packet.ip else { return };
            let (ports, payload, tcp) = match &packet.transport {
                Transport::Tcp(tcp) => ([tcp.source, tcp.destination], tcp.payload, Some((tcp.sequence, tcp.flags))),
                Transport::Udp(udp) => ([udp.source, udp.destination], udp.payload, None),
                _ => return,
            };
            let [from, to] = [(ip.source, ports[0]), (ip.destination, ports[1])].map(SocketAddr::from);
            packets.push(Packet { at: packet.at, from, to, payload: payload.to_vec(), tcp });
        });
    }
    packets
}
