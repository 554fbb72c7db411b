//! QUIC against the vectors of its documents, and against packets made here.

use shared::record::Value;
use shared::time::Timestamp;

use super::super::{Carrier, Dissector as _, First, HELD_BYTES_MAX, Recognized, Side, Told, Want};
use super::keys::Keys;
use super::version::{V1, V2};
use super::{ENTRY, Quic, fuzz, recognize};

/// The client's connection id of RFC 9001, A and RFC 9369, A.
const ID: &str = "8394c8f03e515708";
/// The client's CRYPTO frame of RFC 9001, A.2.
const CLIENT_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c\
    00000413011302010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c\
    706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b\
    0003020304000d0010000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ff\
    ff07048000ffff0801100104800075300901100f088394c8f03e51570806048000ffff";
/// The server's Initial packet of RFC 9001, A.3.
const SERVER_V1: &str = "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554\
    780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd9\
    3795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee";
/// The server's Initial packet of RFC 9369, A.3.
const SERVER_V2: &str = "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf\
    87263017915358230035f7fd3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707f0a0\
    812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn datagram(frames: &[u8], version: u32, number: u32) -> Vec<u8> {
    sealed(Side::Client, frames, (version, number), [&bytes(ID), &bytes(ID)], 1162)
}

/// An Initial packet of these frames, padded: its version and number, the connection id of its keys and its own.
fn sealed(side: Side, frames: &[u8], (version, number): (u32, u32), [key, id]: [&[u8]; 2], padded: usize) -> Vec<u8> {
    let mut frames = frames.to_vec();
    frames.resize(padded.max(frames.len()), 0);
    let mut header = vec![if version == V2 { 0xd3 } else { 0xc3 }];
    header.extend(version.to_be_bytes());
    header.push(u8::try_from(id.len()).unwrap());
    header.extend(id);
    header.extend([0, 0]);
    let len = u16::try_from(frames.len() + 4 + 16).unwrap();
    header.extend((len | 0x4000).to_be_bytes());
    let number_at = header.len();
    header.extend(number.to_be_bytes());
    Keys::derive(version, key).unwrap().seal(side, &header, number_at, &frames)
}

fn crypto(offset: u16, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![6];
    frame.extend((offset | 0x4000).to_be_bytes());
    frame.extend((u16::try_from(content.len()).unwrap() | 0x4000).to_be_bytes());
    frame.extend(content);
    frame
}

fn replay(datagrams: &[(Side, Vec<u8>)]) -> Vec<Told> {
    let (mut quic, mut told) = (Quic::new(), Vec::new());
    for (at, (side, datagram)) in datagrams.iter().enumerate() {
        let at = Timestamp::from_ms(i64::try_from(at).unwrap() * 10);
        quic.data(*side, at, datagram, &mut |one| told.push(one));
        assert!(quic.held_bytes() <= HELD_BYTES_MAX);
    }
    quic.end(Timestamp::from_seconds(1), &mut |one| told.push(one));
    told
}

fn value<'a>(told: &'a Told, path: &str) -> Option<&'a Value> {
    told.fields.iter().find(|(name, _)| name == path).map(|(_, value)| value)
}

fn text<'a>(told: &'a Told, path: &str) -> &'a str {
    match value(told, path) {
        Some(Value::String(text)) => text,
        other => panic!("{path}: {other:?} of {told:?}"),
    }
}

#[test]
fn packets_of_the_documents_are_made_and_opened() {
    let v1 = datagram(&bytes(CLIENT_FRAME), V1, 2);
    assert_eq!(v1.len(), 1200);
    assert!(v1.starts_with(&bytes("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11")));
    assert!(v1.ends_with(&bytes("e221af44860018ab0856972e194cd934")));
    let v2 = datagram(&bytes(CLIENT_FRAME), V2, 2);
    assert!(v2.starts_with(&bytes("d76b3343cf088394c8f03e5157080000449ea0c95e82")));
    for (client, server, version) in [(v1, SERVER_V1, "1"), (v2, SERVER_V2, "2")] {
        let told = replay(&[(Side::Client, client), (Side::Server, bytes(server)), (Side::Client, vec![0x40; 30])]);
        assert_eq!((told.len(), told[0].activity), (1, 1), "{told:?}");
        assert!(told[0].flaws.is_empty(), "{told:?}");
        assert_eq!(text(&told[0], "tls.sni"), "example.com");
        assert_eq!(text(&told[0], "tls.version"), "1.3");
        assert_eq!(text(&told[0], "tls.cipher"), "TLS_AES_128_GCM_SHA256");
        assert_eq!(text(&told[0], "unmapped.quic_version"), version);
        assert_eq!(text(&told[0], "unmapped.curve"), "x25519");
        assert_eq!(value(&told[0], "tls.handshake_dur"), Some(&Value::U64(20)));
        let Some(Value::List(prints)) = value(&told[0], "ja4_fingerprint_list") else { panic!("{told:?}") };
        let Value::Map(print) = &prints[0] else { panic!("{told:?}") };
        assert!(matches!(&print[2].1, Value::String(ja4) if ja4.starts_with("q13d0211an_62ed6f6ca7ad_")), "{print:?}");
    }
}

#[test]
fn a_hello_over_several_packets_in_any_order_and_doubled_is_read() {
    let frame = bytes(CLIENT_FRAME);
    let hello = &frame[4..];
    let first = datagram(&[crypto(200, &hello[200..]), crypto(0, &hello[..50])].concat(), V1, 0);
    let second = datagram(&[crypto(40, &hello[40..120]), vec![1], crypto(120, &hello[120..200])].concat(), V1, 1);
    let told = replay(&[(Side::Client, first.clone()), (Side::Client, first), (Side::Client, second)]);
    assert_eq!(text(&told[0], "tls.sni"), "example.com");
    assert_eq!((told[0].activity, text(&told[0], "status_detail")), (4, "no ServerHello"));
}

#[test]
fn coalesced_packets_of_one_datagram_are_all_read() {
    let frame = bytes(CLIENT_FRAME);
    let hello = &frame[4..];
    let id = bytes(ID);
    let parts: Vec<u8> = [(0, &hello[..100]), (100, &hello[100..])]
        .iter()
        .flat_map(|(at, part)| sealed(Side::Client, &crypto(*at, part), (V1, u32::from(*at)), [&id, &id], 0))
        .collect();
    assert_eq!(text(&replay(&[(Side::Client, parts)])[0], "tls.sni"), "example.com");
}

#[test]
fn after_a_retry_keys_come_from_the_servers_connection_id() {
    let frame = bytes(CLIENT_FRAME);
    let retry = bytes("f0000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba");
    let second = bytes("f067a5502a4262b5");
    let again = sealed(Side::Client, &frame, (V1, 1), [&second, &second], 1162);
    let told = replay(&[
        (Side::Client, datagram(&frame[..1], V1, 0)),
        (Side::Server, retry),
        (Side::Client, again),
        (Side::Client, vec![0x40; 30]),
    ]);
    assert_eq!(text(&told[0], "tls.sni"), "example.com");
    assert_eq!(value(&told[0], "unmapped.quic_retry"), Some(&Value::Bool(true)));
    assert_eq!(told[0].flaws, ["server_hello_unseen"]);
}

#[test]
fn a_server_that_changes_the_version_is_followed() {
    let id = bytes(ID);
    let answer = sealed(Side::Server, &[2, 0, 0, 0, 0, 0x1c, 0x41, 0x28, 0, 0], (V2, 0), [&id, &[]], 60);
    let told = replay(&[(Side::Client, datagram(&bytes(CLIENT_FRAME), V1, 0)), (Side::Server, answer)]);
    assert_eq!(text(&told[0], "unmapped.quic_version"), "2");
    assert_eq!((told[0].activity, text(&told[0], "status_detail")), (4, "alert: handshake_failure"));
    assert_eq!(value(&told[0], "tls.alert"), Some(&Value::U64(40)));
}

#[test]
fn version_negotiation_and_unknown_versions_are_told() {
    let mut unknown = datagram(&bytes(CLIENT_FRAME), V1, 0);
    unknown[1..5].copy_from_slice(b"Q050");
    let told = replay(&[(Side::Client, unknown.clone()), (Side::Server, bytes("8000000000000000000001ff00001d"))]);
    assert_eq!(text(&told[0], "unmapped.quic_version"), "Q050");
    assert_eq!(text(&told[0], "status_detail"), "version negotiation");
    assert_eq!(told[0].flaws, ["version_unknown"]);
    let first = |bytes| First { carrier: Carrier::Datagram, side: Side::Client, client_port: 1, server_port: 2, bytes };
    assert_eq!(recognize(&first(&unknown)), Recognized::Yes);
    assert_eq!(recognize(&first(&unknown[..1000])), Recognized::No);
}

#[test]
fn a_packet_that_is_cut_or_of_other_keys_is_flagged() {
    let whole = datagram(&bytes(CLIENT_FRAME), V1, 0);
    let told = replay(&[(Side::Client, whole[..600].to_vec())]);
    assert_eq!(told[0].flaws, ["datagram_cut"]);
    let mut other = whole;
    other[700] ^= 1;
    let told = replay(&[(Side::Client, other)]);
    assert_eq!(told[0].flaws, ["initial_unreadable"]);
    assert_eq!((told[0].activity, value(&told[0], "tls.version")), (4, None));
}

#[test]
fn what_is_no_quic_is_not_recognized() {
    let first =
        |bytes| First { carrier: Carrier::Datagram, side: Side::Client, client_port: 1, server_port: 443, bytes };
    let quic = datagram(&bytes(CLIENT_FRAME), V1, 0);
    assert_eq!(recognize(&first(&quic)), Recognized::Yes);
    let dns = bytes("8394010000010000000000000377777707657861");
    let stun = bytes("000100002112a442000000000000000000000000");
    for other in [&dns[..], &stun, &[], &[0xc0], &quic[..12]] {
        assert_eq!(recognize(&first(other)), Recognized::No);
    }
    assert_eq!(recognize(&First { carrier: Carrier::Stream, ..first(&quic) }), Recognized::No);
}

#[test]
fn hostile_packets_cost_bounded_memory_and_tell_once() {
    let mut datagrams = Vec::new();
    for number in 0..600_u32 {
        // Pieces that never touch, offsets beyond the bound, and a hello that says it is 16 MiB.
        let at = u16::try_from(number * 20 % 16000).unwrap();
        let frames = [crypto(0, &[1, 0xff, 0xff, 0xff]), crypto(at + 8, &[0; 10])].concat();
        datagrams.push((Side::Client, datagram(&frames, V1, number)));
    }
    let told = replay(&datagrams);
    assert_eq!(told.len(), 1);
    assert!(told[0].flaws.contains(&"handshake_too_long"), "{told:?}");
    assert!(told[0].flaws.contains(&"crypto_beyond_bound"), "{told:?}");
}

#[test]
fn damaged_datagrams_never_panic() {
    let whole = [datagram(&bytes(CLIENT_FRAME), V1, 0), bytes(SERVER_V1)];
    let mut seed = 7_u64;
    for _ in 0..3000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = usize::try_from(seed >> 33).unwrap();
        let mut datagram = whole[place % 2].clone();
        let len = datagram.len();
        datagram[place / 2 % 60.min(len)] = u8::try_from(seed >> 20 & 0xff).unwrap();
        datagram.truncate(if place & 4 == 0 { len } else { place % len });
        let mut quic = (ENTRY.make)(Carrier::Datagram);
        let want = quic.data(Side::Client, Timestamp(0), &datagram, &mut |_| ());
        assert_ne!(want, Want::NotMine);
        quic.end(Timestamp(0), &mut |_| ());
    }
}

#[test]
fn any_frames_and_datagrams_tell_one_record() {
    let seed = 0x00c0_ffee_u64;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for _ in 0..2000 {
        let mut input = Vec::new();
        for _ in 0..8 {
            let mut part = match random(3) {
                0 => datagram(&bytes(CLIENT_FRAME), V1, 0),
                1 => bytes(SERVER_V2),
                _ => [bytes(CLIENT_FRAME), crypto(u16::try_from(random(16000)).unwrap(), &[1; 90])].concat(),
            };
            let at = random(part.len());
            part[at] = u8::try_from(random(256)).unwrap();
            input.push(u8::try_from(random(4)).unwrap());
            input.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            input.extend(part);
        }
        fuzz(&input);
    }
}
