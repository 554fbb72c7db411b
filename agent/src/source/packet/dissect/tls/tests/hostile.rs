//! Hostile bytes: they cost bounded time and memory, and become a flag.

use shared::time::Timestamp;

use super::super::super::{Dissector as _, HELD_BYTES_MAX, Want};
use super::super::stream::HANDSHAKE_BYTES_MAX;
use super::super::{Tls, fuzz};
use super::made::{certificate, certificates, client_hello, extension, message, record, server_hello, usual, vec16};
use super::{Client, Server, hello, one, replay, text, tls12, tls13, value};

#[test]
fn lengths_that_lie_are_flagged_and_what_stands_before_them_is_told() {
    let mut body = client_hello(&[], &usual());
    let len = body.len();
    // The last extension's inner list says more than there is.
    body[len - 12] = 0xff;
    let told = one(&[(Client, record(22, &body))]);
    assert_eq!((told.flaws.as_slice(), text(&told, "tls.sni")), (["extension_malformed"].as_slice(), "example.org"));
    // So do the extensions.
    let lying = [&client_hello(&[], &[])[4..][..47], &[0xff, 0xff], &extension(0, b"\0\x06\0\0\x03abc")].concat();
    let told = one(&[(Client, record(22, &message(1, &lying)))]);
    assert_eq!((told.flaws.as_slice(), text(&told, "tls.sni")), (["extension_malformed"].as_slice(), "abc"));
    // So do the ciphers.
    let mut body = client_hello(&[], &usual());
    body[39] = 0xff;
    let told = one(&[(Client, record(22, &body))]);
    assert_eq!(told.flaws, ["extension_malformed"]);
}

#[test]
fn a_hello_that_is_not_all_there_has_no_fingerprint() {
    let whole = hello();
    let told = one(&[(Client, whole[..whole.len() - 3].to_vec())]);
    assert_eq!((told.flaws.as_slice(), text(&told, "tls.sni")), (["hello_cut"].as_slice(), "example.org"));
    assert_eq!(value(&told, "ja4_fingerprint_list"), None);
    let told = one(&[(Client, whole[..20].to_vec())]);
    assert_eq!((told.flaws.as_slice(), value(&told, "tls.version")), (["hello_unreadable"].as_slice(), None));
}

#[test]
fn thousands_of_extensions_are_counted_and_cut() {
    let many: Vec<Vec<u8>> = (100..2600).map(|kind| extension(kind, &[])).collect();
    let body = client_hello(&[], &many);
    let records: Vec<u8> = body.chunks(16000).flat_map(|part| record(22, part)).collect();
    let told = one(&[(Client, records)]);
    assert!(told.flaws.contains(&"extensions_cut"), "{:?}", told.flaws);
    let huge = client_hello(&[], &(100..12000).map(|kind| extension(kind, &[])).collect::<Vec<_>>());
    let records: Vec<u8> = huge.chunks(16000).flat_map(|part| record(22, part)).collect();
    let told = one(&[(Client, records)]);
    assert!(told.flaws.contains(&"hello_cut"), "{:?}", told.flaws);
}

#[test]
fn huge_certificates_are_cut_and_flagged_and_the_first_is_told() {
    let names: Vec<String> = (0..500).map(|number| format!("host-{number}.example.org")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = certificate("ca", "example.org", &names, "30");
    let chain = certificates(&[vec![first; 3], vec![vec![0x30; 60_000]; 4]].concat());
    let flight = [server_hello(&[], 0x2f, &[]), chain, message(14, &[])].concat();
    let flight: Vec<u8> = flight.chunks(16000).flat_map(|part| record(22, part)).collect();
    let mut parts = tls12();
    parts[1].1 = flight;
    let told = one(&parts);
    assert_eq!(told.flaws, ["sans_cut", "certificates_cut"]);
    assert_eq!((told.activity, text(&told, "tls.certificate.serial_number")), (1, "ABCD"));
}

#[test]
fn everything_that_can_be_held_at_once_is_below_the_bound() {
    let names: Vec<String> = (0..200).map(|number| format!("{number:0>30}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let long = "x".repeat(3000);
    let chain = certificates(&vec![certificate(&long, &long, &names, "30"); 1]);
    let protocols: Vec<u8> = (0..20).flat_map(|_| [&[255][..], &[1; 255]].concat()).collect();
    let alpn = extension(16, &vec16(&protocols));
    let sni = extension(0, &vec16(&[&[0][..], &vec16(&[b'a'; 2500])].concat()));
    let mut tls = Tls::new();
    let mut most = 0;
    let lie = |kind: u8| [&[kind, 0xff, 0xff, 0xff][..], &[0x30; 16000]].concat();
    let parts = [
        (Client, client_hello(&[], &[sni, alpn])),
        (Server, [server_hello(&[], 0x2f, &[]), chain.clone()].concat()),
        (Client, chain),
        (Client, lie(1)),
        (Server, lie(11)),
    ];
    for (side, part) in parts {
        for octets in part.chunks(700) {
            assert_eq!(tls.data(side, Timestamp(0), &record(22, octets), &mut |_| ()), Want::More);
            most = most.max(tls.held_bytes());
        }
    }
    assert!((40_000..=HELD_BYTES_MAX).contains(&most), "{most}");
}

#[test]
fn a_handshake_without_end_ends() {
    let mut tls = Tls::new();
    let mut told = Vec::new();
    tls.data(Client, Timestamp(0), &hello(), &mut |one| told.push(one));
    let record = record(22, &message(4, &[0; 16000]));
    let rounds =
        (0..100).take_while(|_| tls.data(Server, Timestamp(0), &record, &mut |one| told.push(one)) == Want::More);
    assert!(rounds.count() < 50);
    assert!(told[0].flaws.contains(&"handshake_too_long"), "{told:?}");
}

#[test]
fn one_byte_segments_cost_as_much_as_their_bytes() {
    let mut tls = Tls::new();
    let flood = [hello(), vec![]].concat();
    let endless = record(22, &[&[11, 0xff, 0xff, 0xff][..], &[0x30; 16000]].concat());
    let bytes = u64::try_from(flood.len()).unwrap();
    for octet in &flood {
        tls.data(Client, Timestamp(0), &[*octet], &mut |_| ());
    }
    let mut fed = 0;
    for octet in endless.iter().cycle() {
        fed += 1;
        if tls.data(Server, Timestamp(0), &[*octet], &mut |_| ()) != Want::More {
            break;
        }
    }
    assert!(fed + bytes <= HANDSHAKE_BYTES_MAX + bytes + 1);
}

#[test]
fn unknown_messages_and_records_are_flagged() {
    let told = one(&[(Client, hello()), (Server, record(22, &message(99, &[1, 2, 3])))]);
    assert_eq!(told.flaws, ["message_unknown"]);
    let told = one(&[(Client, hello()), (Server, record(22, &server_hello(&[], 0x2f, &[]))), (Server, vec![0; 5])]);
    assert_eq!(told.flaws, ["record_malformed", "handshake_incomplete"]);
    assert_eq!(replay(&[(Client, record(22, &message(99, &[1])))]).1, Want::NotMine);
}

#[test]
fn any_damage_to_a_handshake_tells_one_record_or_none() {
    let seed = 0x5eed_u64;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for round in 0..4000 {
        let mut input = Vec::new();
        for (side, part) in if round % 2 == 0 { tls12() } else { tls13() } {
            let mut part = part;
            for _ in 0..random(4) {
                let at = random(part.len());
                part[at] = u8::try_from(random(256)).unwrap();
            }
            for piece in part.chunks(1 + random(400)) {
                let gap = if random(30) == 0 { 2 } else { 0 };
                input.push(gap | u8::from(side == Server));
                input.extend(u16::try_from(piece.len()).unwrap().to_be_bytes());
                input.extend(piece);
            }
        }
        fuzz(&input);
    }
}
