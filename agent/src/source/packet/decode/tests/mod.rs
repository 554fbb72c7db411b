//! Frames written by hand, header by header.

mod corpus;
mod fragments;
mod headers;
mod hostile;
mod tunnels;

use shared::time::Timestamp;

use super::super::{Flaws, Packet, Tcp, Transport, Tunnel, Udp};
use super::{LinkType, decode};

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const DESTINATION: [u8; 4] = [10, 0, 0, 2];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn short(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_be_bytes()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 2], &[2, 0, 0, 0, 0, 1], &kind.to_be_bytes(), payload])
}

fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&source.to_be_bytes(), &destination.to_be_bytes(), &short(payload.len() + 8), &[0, 0], payload])
}

fn tcp(source: u16, destination: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let offset = u8::try_from(5 + options.len() / 4).unwrap() << 4;
    let rest = [0, 0, 0, 7, 0, 0, 0, 9, offset, 0x18, 1, 0, 0, 0, 0, 0];
    join(&[&source.to_be_bytes(), &destination.to_be_bytes(), &rest, options, payload])
}

fn ip4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ip4_part(1, 0, false, protocol, payload)
}

/// A fragment at `offset` bytes, with all of its datagram's header.
fn ip4_part(id: u16, offset: usize, more: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let field = short(offset / 8 + if more { 0x2000 } else { 0 });
    let length = short(20 + payload.len());
    join(&[&[0x45, 0], &length, &id.to_be_bytes(), &field, &[64, protocol, 0, 0], &SOURCE, &DESTINATION, payload])
}

fn ip6(next: u8, payload: &[u8]) -> Vec<u8> {
    let (mut source, mut destination) = ([0; 16], [0; 16]);
    (source[0], source[15], destination[0], destination[15]) = (0xfd, 1, 0xfd, 2);
    join(&[&[0x60, 0, 0, 0], &short(payload.len()), &[next, 63], &source, &destination, payload])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn frame(link: LinkType, bytes: &[u8]) -> Packet<'_> {
    decode(link, at(0), bytes, u32::try_from(bytes.len()).unwrap())
}

fn udp_of<'a>(packet: &Packet<'a>) -> Udp<'a> {
    let Transport::Udp(udp) = packet.transport else { panic!("no UDP in {packet:?}") };
    udp
}

fn tcp_of<'a>(packet: &Packet<'a>) -> Tcp<'a> {
    let Transport::Tcp(tcp) = packet.transport else { panic!("no TCP in {packet:?}") };
    tcp
}

/// The packet is the datagram from port 1 to port 2 with payload `hello`, in these tunnels, and nothing is wrong.
fn assert_hello(packet: &Packet<'_>, tunnels: &[Tunnel]) {
    let udp = udp_of(packet);
    assert_eq!((udp.source, udp.destination, udp.payload, udp.payload_len), (1, 2, &b"hello"[..], 5), "{packet:?}");
    let entered = packet.tunnels.iter().copied().filter(|&tunnel| tunnel != Tunnel::None).collect::<Vec<_>>();
    assert_eq!(entered, tunnels);
    assert_eq!(packet.flaws, Flaws::default(), "{packet:?}");
}

fn hello() -> Vec<u8> {
    udp(1, 2, b"hello")
}

fn hello4() -> Vec<u8> {
    ip4(17, &hello())
}

fn hello6() -> Vec<u8> {
    ip6(17, &hello())
}
