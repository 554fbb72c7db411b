//! Claims about link, network and transport headers.

use super::super::super::{Ip, Macs};
use super::*;

#[test]
fn every_link_type_leads_to_its_packet() {
    let sll = join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &[8, 0], &hello4()]);
    let sll2 = join(&[&[0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &hello6()]);
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &hello4()]);
    let nflog = join(&[&[2, 0, 0, 0], &[6, 0, 10, 0, 1, 2, 0, 0], &[37, 0, 9, 0], &hello4(), &[0, 0, 0]]);
    let station = join(&[&[0x88, 1, 0, 0], &[1; 6], &[2; 6], &[3; 6], &[0x10, 0], &[0, 0], &snap]);
    let cases: &[(LinkType, Vec<u8>)] = &[
        (LinkType::ETHERNET, ethernet(0x0800, &hello4())),
        (LinkType::ETHERNET, ethernet(0x86dd, &hello6())),
        (LinkType::ETHERNET, ethernet(41, &snap)),
        (LinkType::LINUX_SLL, sll),
        (LinkType::LINUX_SLL2, sll2),
        (LinkType::RAW, hello4()),
        (LinkType::RAW, hello6()),
        (LinkType::DLT_RAW, hello4()),
        (LinkType::DLT_RAW_OPENBSD, hello6()),
        (LinkType::IPV4, hello4()),
        (LinkType::IPV6, hello6()),
        (LinkType::NULL, join(&[&[2, 0, 0, 0], &hello4()])),
        (LinkType::NULL, join(&[&[0, 0, 0, 28], &hello6()])),
        (LinkType::NULL, join(&[&[30, 0, 0, 0], &hello6()])),
        (LinkType::LOOP, join(&[&[0, 0, 0, 24], &hello6()])),
        (LinkType::PPP, join(&[&[0xff, 3, 0, 0x21], &hello4()])),
        (LinkType::PPP, join(&[&[0x57], &hello6()])),
        (LinkType::PPP_HDLC, join(&[&[0x0f, 0, 8, 0], &hello4()])),
        (LinkType::C_HDLC, join(&[&[0x8f, 0, 0x86, 0xdd], &hello6()])),
        (LinkType::NFLOG, nflog),
        (LinkType::IEEE802_11, station.clone()),
        (LinkType::RADIOTAP, join(&[&[0, 0, 9, 0, 0, 0, 0, 0, 0], &station])),
    ];
    for (link, bytes) in cases {
        assert_hello(&frame(*link, bytes), &[]);
    }
}

#[test]
fn a_link_says_who_sent_and_where() {
    let macs = Macs { source: [2, 0, 0, 0, 0, 1], destination: [2, 0, 0, 0, 0, 2] };
    let q_in_q = ethernet(0x88a8, &join(&[&[0x60, 100, 0x81, 0], &[0, 200, 8, 0], &hello4()]));
    let packet = frame(LinkType::ETHERNET, &q_in_q);
    assert_hello(&packet, &[]);
    assert_eq!((packet.link.macs, packet.link.vlans, packet.link.interface), (Some(macs), [100, 200], None));

    let cooked = join(&[&[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &hello4()]);
    let packet = frame(LinkType::LINUX_SLL2, &cooked);
    assert_eq!(packet.link.macs, Some(Macs { destination: [0; 6], ..macs }));
    assert_eq!(packet.link.interface, Some(3));

    let loopback = join(&[&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], &hello4()]);
    assert_eq!(frame(LinkType::LINUX_SLL, &loopback).link.macs, None);
}

#[test]
fn padding_is_no_payload() {
    let padded = join(&[&ethernet(0x0800, &ip4(6, &tcp(1, 2, &[], b""))), &[0; 6]]);
    let packet = frame(LinkType::ETHERNET, &padded);
    assert_eq!((tcp_of(&packet).payload, tcp_of(&packet).payload_len), (&b""[..], 0));
    assert_eq!((packet.wire_len, packet.ip.unwrap().total_len, packet.flaws), (60, 40, Flaws::default()));

    let request = join(&[&[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]]);
    let arp = join(&[&ethernet(0x0806, &request), &[0; 18]]);
    let packet = frame(LinkType::ETHERNET, &arp);
    assert_eq!((packet.transport, packet.ip.is_none()), (Transport::Arp(&request), true));
}

#[test]
fn network_headers_are_read() {
    let bytes = ip4(17, &hello());
    let expected = Ip {
        source: SOURCE.into(),
        destination: DESTINATION.into(),
        protocol: 17,
        ttl: 64,
        total_len: 33,
        payload_len: 13,
    };
    assert_eq!(frame(LinkType::RAW, &bytes).ip, Some(expected));

    let mut options = hello4();
    options.splice(20..20, [7, 3, 4, 0]);
    (options[0], options[3]) = (0x46, 37);
    let packet = frame(LinkType::RAW, &options);
    assert_hello(&packet, &[]);
    assert_eq!((packet.ip.unwrap().total_len, packet.ip.unwrap().payload_len), (37, 13));
}

#[test]
fn extension_headers_are_passed_over() {
    let authentication = join(&[&[17, 4], &[0; 22], &hello()]);
    let destination = join(&[&[51, 0, 1, 4, 0, 0, 0, 0], &authentication]);
    let only = join(&[&[60, 0, 0, 0, 0, 0, 0, 9], &destination]);
    let routing = join(&[&[44, 0, 0, 0, 0, 0, 0, 0], &only]);
    let hop_by_hop = join(&[&[43, 1], &[1, 12], &[0; 12], &routing]);
    let bytes = ip6(0, &hop_by_hop);
    let packet = frame(LinkType::RAW, &bytes);
    let (protocol, payload_len) = (packet.ip.unwrap().protocol, packet.ip.unwrap().payload_len);
    assert_eq!((protocol, payload_len, packet.flaws), (17, 13, Flaws::default()));
    assert_eq!(udp_of(&packet).payload, b"hello");
}

#[test]
fn a_length_of_zero_is_that_of_the_frame_where_a_card_segments() {
    let mut bytes = ip4(6, &tcp(1, 2, &[], &[7; 9000]));
    (bytes[2], bytes[3]) = (0, 0);
    let packet = frame(LinkType::RAW, &bytes);
    assert_eq!((tcp_of(&packet).payload_len, packet.ip.unwrap().total_len), (9000, 9040));
    assert_eq!(packet.flaws, Flaws::default());

    let mut bytes = ip6(6, &tcp(1, 2, &[], &[7; 9000]));
    (bytes[4], bytes[5]) = (0, 0);
    assert_eq!(tcp_of(&frame(LinkType::RAW, &bytes)).payload_len, 9000);
}

#[test]
fn a_jumbogram_has_the_length_of_its_option() {
    let segment = tcp(1, 2, &[], &vec![7; 70_000]);
    let length = u32::try_from(8 + segment.len()).unwrap().to_be_bytes();
    let mut bytes = ip6(0, &[]);
    bytes.extend(join(&[&[6, 0, 0xc2, 4], &length, &segment, &[0; 3]]));
    let packet = frame(LinkType::RAW, &bytes);
    assert_eq!((tcp_of(&packet).payload_len, packet.flaws), (70_000, Flaws::default()));

    bytes[44..48].copy_from_slice(&[0, 0, 1, 0]);
    assert!(frame(LinkType::RAW, &bytes).flaws.has(Flaws::BAD_LENGTH), "a jumbogram of less than 64 KiB");
}

#[test]
fn tcp_is_read() {
    let bytes = ip4(6, &tcp(443, 50_000, &[2, 4, 5, 180], b"data"));
    let packet = frame(LinkType::RAW, &bytes);
    let expected = Tcp {
        source: 443,
        destination: 50_000,
        sequence: 7,
        acknowledgment: 9,
        flags: 0x18,
        window: 256,
        options: &[2, 4, 5, 180],
        payload_len: 4,
        payload: b"data",
    };
    assert_eq!((tcp_of(&packet), packet.flaws), (expected, Flaws::default()));
}

#[test]
fn icmp_and_sctp_are_read() {
    let echo = ip4(1, &[8, 0, 1, 2, 0, 1, 0, 2, 9]);
    let Transport::Icmp(icmp) = frame(LinkType::RAW, &echo).transport else { panic!("no ICMP") };
    assert_eq!((icmp.v6, icmp.kind, icmp.code, icmp.payload_len, icmp.payload), (false, 8, 0, 5, &[0, 1, 0, 2, 9][..]));

    let solicitation = ip6(58, &[135, 0, 0, 0, 0, 0, 0, 0]);
    let Transport::Icmp(icmp) = frame(LinkType::RAW, &solicitation).transport else { panic!("no ICMPv6") };
    assert_eq!((icmp.v6, icmp.kind, icmp.payload_len), (true, 135, 4));

    let init = ip4(132, &[0x0b, 0x59, 0x0b, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4]);
    let expected = Transport::Sctp { source: 2905, destination: 2906 };
    assert_eq!(frame(LinkType::RAW, &init).transport, expected);

    let ospf = ip4(89, b"hello");
    assert_eq!(frame(LinkType::RAW, &ospf).transport, Transport::Other(b"hello"));
}

#[test]
fn what_was_cut_by_the_capture_is_what_is_there_and_flagged() {
    let bytes = ethernet(0x0800, &ip4(6, &tcp(1, 2, &[1, 1, 1, 1], &[7; 100])));
    let length = u32::try_from(bytes.len()).unwrap();
    let packet = decode(LinkType::ETHERNET, at(0), &bytes[..68], length);
    let tcp = tcp_of(&packet);
    assert_eq!((tcp.payload_len, tcp.payload.len(), packet.flaws), (100, 10, Flaws::CAPTURE_CUT));
    for cut in 0..bytes.len() {
        let packet = decode(LinkType::ETHERNET, at(0), &bytes[..cut], length);
        assert_eq!((packet.flaws, packet.wire_len), (Flaws::CAPTURE_CUT, length), "cut to {cut}");
        assert_eq!(packet.ip.is_some(), cut >= 34);
        assert_eq!(matches!(packet.transport, Transport::Tcp(_)), cut >= 54);
    }
}

#[test]
fn what_is_malformed_is_flagged() {
    let change = |index: usize, value: u8| {
        let mut bytes = ip4(6, &tcp(1, 2, &[], b"data"));
        bytes[index] = value;
        decode(LinkType::IPV4, at(0), &bytes, 0).flaws
    };
    assert_eq!(change(0, 0x55), Flaws::BAD_HEADER, "version 5");
    assert_eq!(change(0, 0x44), Flaws::BAD_HEADER, "header of 16 bytes");
    assert_eq!(change(3, 19), Flaws::BAD_LENGTH, "shorter than its header");
    assert_eq!(change(3, 45), Flaws::BAD_LENGTH, "longer than the frame");
    assert_eq!(change(32, 0x40), Flaws::BAD_HEADER, "TCP header of 16 bytes");
    assert_eq!(change(32, 0xf0), Flaws::BAD_LENGTH, "TCP header longer than the segment");

    let length = |length: u8| {
        let mut bytes = ip4(17, &hello());
        bytes[25] = length;
        let packet = decode(LinkType::RAW, at(0), &bytes, 0);
        (udp_of(&packet).payload_len, packet.flaws)
    };
    assert_eq!(length(7), (0, Flaws::BAD_LENGTH));
    assert_eq!(length(14), (6, Flaws::BAD_LENGTH));
    assert_eq!(length(12), (4, Flaws::default()), "what follows a datagram is its options");
    assert_eq!(frame(LinkType(147), b"x").flaws, Flaws::UNKNOWN);
    assert_eq!(frame(LinkType::ETHERNET, &ethernet(0x88cc, b"x")).flaws, Flaws::UNKNOWN);
    assert_eq!(frame(LinkType::ETHERNET, &[0; 13]).flaws, Flaws::BAD_LENGTH);
}

#[test]
fn macsec_that_is_only_authenticated_is_followed() {
    let tag = [0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1];
    let clear = ethernet(0x88e5, &join(&[&tag, &[8, 0], &hello4(), &[9; 16]]));
    assert_hello(&frame(LinkType::ETHERNET, &clear), &[]);
    let mut encrypted = clear.clone();
    encrypted[14] |= 0x0c;
    let packet = frame(LinkType::ETHERNET, &encrypted);
    assert_eq!((packet.ip, packet.flaws), (None, Flaws::UNKNOWN));
}
