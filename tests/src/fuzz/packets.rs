//! Packets: capture files, frames, tables of flows, each dissector, and what the kernel says of sockets and processes.

use agent::source::host::connector::message;
use agent::source::packet::decode::{self, LinkType};
use agent::source::packet::dissect::{ALL, Carrier, First, HELD_BYTES_MAX, Side, Told, Want, named};
use agent::source::packet::flow::Settings;
use agent::source::packet::meter::{Meter, fields};
use agent::source::packet::process::{diag, listing};
use agent::source::packet::{file, flow};
use shared::time::Timestamp;

/// Frames of any link type.
pub fn frame(bytes: &[u8]) {
    decode::fuzz(bytes);
}

/// A capture file, all of it.
pub fn capture(bytes: &[u8]) {
    file::fuzz(bytes);
}

/// Two frames: a question about a name in Ethernet, a segment in raw IP.
#[must_use]
pub fn frame_seeds() -> Vec<Vec<u8>> {
    let mut ethernet = vec![0; 12];
    ethernet.extend([8, 0]);
    ethernet.extend(datagram());
    let framed = |link: u8, frame: Vec<u8>| [vec![0, link, u8::try_from(frame.len()).unwrap_or(0)], frame].concat();
    vec![framed(1, ethernet), framed(101, datagram()), framed(101, segment(24, b"GET / HTTP/1.1\r\n\r\n"))]
}

/// Those frames in a file.
#[must_use]
pub fn capture_seeds() -> Vec<Vec<u8>> {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut pcap = words(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101]);
    for frame in [datagram(), segment(2, b"")] {
        let len = u32::try_from(frame.len()).unwrap_or(0);
        pcap.extend(words(&[1, 0, len, len]));
        pcap.extend(frame);
    }
    let block = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28, 1, 20, 101, 0, 20]);
    vec![pcap, block]
}

/// A small table takes frames, each behind its length and the time since the one before: its bounds hold.
pub fn table(mut bytes: &[u8]) {
    const FLOWS_MAX: usize = 8;
    const HELD_BYTES_MAX: usize = 64 << 10;
    let settings = Settings { flows_max: FLOWS_MAX, held_bytes_max: HELD_BYTES_MAX, ..Settings::default() };
    let mut meter = Meter::new(settings);
    let (mut at, mut ended, mut frames) = (Timestamp(0), 0_u64, 0_u64);
    let mut out = |told: Told| ended += u64::from(fields(told).iter().any(|(key, _)| key == "unmapped.end_reason"));
    while let Some((&[len, later], rest)) = bytes.split_first_chunk() {
        let (frame, behind) = rest.split_at_checked(len.into()).unwrap_or((rest, &[]));
        at = at.plus(std::time::Duration::from_millis(1 << (later % 20)));
        meter.frame(LinkType::RAW, at, frame, len.into(), &mut out);
        assert!(meter.flows() <= FLOWS_MAX, "a table has so many flows and no more");
        (bytes, frames) = (behind, frames + 1);
    }
    meter.finish(&mut out);
    let evicted: flow::Evicted = meter.take_evicted();
    assert!(meter.flows() == 0 && ended + evicted.untold <= frames.max(1) * 4, "what is told came");
}

/// A connection and a question.
#[must_use]
pub fn table_seeds() -> Vec<Vec<u8>> {
    let frames = [segment(2, b""), segment(24, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), datagram(), segment(17, b"")];
    let mut all = Vec::new();
    for frame in frames {
        all.extend([u8::try_from(frame.len()).unwrap_or(u8::MAX), 3]);
        all.extend(frame);
    }
    vec![all]
}

fn datagram() -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 57, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend([0x9c, 0x40, 0, 53, 0, 37, 0, 0]);
    bytes.extend(question());
    bytes
}

fn question() -> Vec<u8> {
    [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], b"\x07example\x01a\0", &[0, 1, 0, 1]].concat()
}

fn segment(flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = 40 + u8::try_from(payload.len()).unwrap_or(0);
    let mut bytes = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend([0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

/// One dissector on both sides of a flow: the first octet says over what and how the bytes are cut. It holds no more
/// than it may and ends when it says so.
fn dissector(protocol: &str, input: &[u8]) {
    let entry = ALL.iter().find(|entry| entry.protocol == protocol).expect("the table of dissectors has it");
    let Some((how, bytes)) = input.split_first() else { return };
    let carrier = if how & 1 == 0 { Carrier::Datagram } else { Carrier::Stream };
    let (one, other) = if how & 2 == 0 { (Side::Client, Side::Server) } else { (Side::Server, Side::Client) };
    let piece = match how >> 2 & 7 {
        0 => bytes.len().max(1),
        cut => usize::from(cut) * usize::from(cut),
    };
    for bytes in [bytes, bytes.get(..bytes.len() / 2).unwrap_or_default()] {
        let first = First { carrier, side: one, client_port: 40_000, server_port: 53, bytes };
        let _ = (entry.recognize)(&first);
    }
    let mut dissector = (entry.make)(carrier);
    let mut records = 0_usize;
    let mut tell = |told: Told| records += usize::from(!fields(told).is_empty());
    for (number, part) in bytes.chunks(piece).enumerate() {
        let side = if (number >> 3).is_multiple_of(2) { one } else { other };
        let at = Timestamp(i64::try_from(number).unwrap_or(0));
        let want = dissector.data(side, at, part, &mut tell);
        assert!(dissector.held_bytes() <= HELD_BYTES_MAX, "{protocol} holds {}", dissector.held_bytes());
        if want != Want::More || number % 16 == 15 && dissector.gap(side, 7, &mut tell) != Want::More {
            break;
        }
    }
    dissector.end(Timestamp(i64::MAX), &mut tell);
    assert!(records <= input.len() + 2, "a record has its bytes");
}

/// DNS.
pub fn dns(bytes: &[u8]) {
    dissector("dns", bytes);
}

/// TLS: as a stream, and its handshake alone.
pub fn tls(bytes: &[u8]) {
    dissector("tls", bytes);
    agent::source::packet::dissect::tls::fuzz(bytes);
}

/// QUIC: as datagrams, and with keys that are right.
pub fn quic(bytes: &[u8]) {
    dissector("quic", bytes);
    agent::source::packet::dissect::quic::fuzz(bytes);
}

/// HTTP.
pub fn http(bytes: &[u8]) {
    dissector("http", bytes);
}

/// SSH.
pub fn ssh(bytes: &[u8]) {
    dissector("ssh", bytes);
}

/// DHCP.
pub fn dhcp(bytes: &[u8]) {
    dissector("dhcp", bytes);
}

/// NTP.
pub fn ntp(bytes: &[u8]) {
    dissector("ntp", bytes);
}

/// Names by first words.
pub fn names(bytes: &[u8]) {
    named::fuzz(bytes);
}

/// Answers of `sock_diag`.
pub fn sockets(bytes: &[u8]) {
    diag::fuzz(bytes);
}

/// Messages of the proc connector.
pub fn events(bytes: &[u8]) {
    message::fuzz(bytes);
}

/// Listings of `/proc` and `/etc/passwd`.
pub fn listings(bytes: &[u8]) {
    listing::fuzz(bytes);
}

fn each(how: u8, seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| [&[how], *seed].concat()).collect()
}

/// A question, an answer that points at itself, and one over TCP.
#[must_use]
pub fn dns_seeds() -> Vec<Vec<u8>> {
    let answer: &[u8] = &[
        0, 7, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1, 0xc0, 31, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0,
        31,
    ];
    let mut seeds = each(0, &[&question(), answer]);
    seeds.extend(each(1, &[&[&[0, 27][..], &question()].concat()]));
    seeds
}

/// The begin of a hello, and an alert.
#[must_use]
pub fn tls_seeds() -> Vec<Vec<u8>> {
    let mut hello = vec![22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 0, 0]);
    each(1, &[&hello, &[21, 3, 3, 0, 2, 2, 40]])
}

/// The header of an Initial.
#[must_use]
pub fn quic_seeds() -> Vec<Vec<u8>> {
    let mut initial = vec![0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0x44, 0x90];
    initial.resize(1200, 0);
    each(0, &[&initial])
}

/// A request with a body in chunks, and an answer.
#[must_use]
pub fn http_seeds() -> Vec<Vec<u8>> {
    let request = b"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
    each(1, &[request, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"GET /\r\n"])
}

/// A banner, and an offer.
#[must_use]
pub fn ssh_seeds() -> Vec<Vec<u8>> {
    let mut offer = b"SSH-2.0-x\r\n\0\0\0\x50\x04\x14".to_vec();
    offer.extend([7; 16]);
    offer.extend(b"\0\0\0\x03a,b");
    offer.resize(offer.len() + 45, 0);
    each(1, &[b"SSH-2.0-OpenSSH_9.6 c\r\n", &offer])
}

/// A DISCOVER with a few options.
#[must_use]
pub fn dhcp_seeds() -> Vec<Vec<u8>> {
    let mut message = vec![1, 1, 6, 0];
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 53, 1, 1, 12, 3, b'p', b'c', b'1', 55, 2, 1, 3, 255]);
    each(0, &[&message])
}

/// A question about the time, and a control message.
#[must_use]
pub fn ntp_seeds() -> Vec<Vec<u8>> {
    let mut question = vec![0x23, 0, 6, 0xec];
    question.resize(48, 0);
    each(0, &[&question, &[0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]])
}

/// First words.
#[must_use]
pub fn names_seeds() -> Vec<Vec<u8>> {
    let mut seeds =
        each(0, &[b"\0\0\0\x54\xfeSMB@", b"*1\r\n$4\r\nPING\r\n", b"EHLO a\r\n", b"\x10\x10\0\x04MQTT\x04"]);
    seeds.extend(each(
        1,
        &[b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", b"\x6a\x09\x30\x07\xa1\x03\x02\x01\x05"],
    ));
    seeds.extend(each(2, &[b"\x4a\0\0\0\x0a8.0.36\0", b"220 a ESMTP\r\n", b"+OK\r\n"]));
    seeds
}

/// A row, and an error.
#[must_use]
pub fn sockets_seeds() -> Vec<Vec<u8>> {
    let mut row = [88_u32.to_ne_bytes(), 20_u32.to_ne_bytes(), 7_u32.to_ne_bytes(), [0; 4]].concat();
    row.extend([2, 1, 0, 0]);
    row.resize(88, 1);
    let refused = [20_u32.to_ne_bytes(), 2_u32.to_ne_bytes(), [0; 4], [0; 4], (-2_i32).to_ne_bytes()].concat();
    vec![row, refused]
}

/// A fork, a program, an end, an answer, and two of them in one datagram.
#[must_use]
pub fn events_seeds() -> Vec<Vec<u8>> {
    let event = |sequence: u32, what: u32, data: [u32; 6]| {
        let head = [76_u32.to_ne_bytes().to_vec(), 3_u16.to_ne_bytes().to_vec(), vec![0; 10]].concat();
        let words = [message::PROC, message::PROC, sequence, 0, 40, what, 0, 5, 0];
        let words = words.iter().chain(&data).flat_map(|word| word.to_ne_bytes());
        head.into_iter().chain(words).collect::<Vec<u8>>()
    };
    let fork = event(1, 1, [10, 10, 20, 20, 0, 0]);
    let exec = event(2, 2, [20, 20, 0, 0, 0, 0]);
    let both = [fork.clone(), exec.clone()].concat();
    vec![fork, exec, both, event(9, 0x8000_0000, [20, 20, 256, 17, 10, 10]), event(1, 0, [0; 6])]
}

/// A line of each.
#[must_use]
pub fn listings_seeds() -> Vec<Vec<u8>> {
    let lines: [&[u8]; 5] = [
        b"head\n0: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 4711 1 0\n",
        b"42 (a) (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20",
        b"socket:[4711]",
        b"CapEff:\t0000000000080004\n",
        b"root:x:0:0:root:/root:/bin/sh\n",
    ];
    lines.map(<[u8]>::to_vec).to_vec()
}
