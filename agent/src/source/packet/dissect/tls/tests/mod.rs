//! TLS against hellos written by hand, and against what other tools say of real captures.

mod agreement;
mod capture;
mod hostile;
mod made;
mod replay;

use shared::record::Value;
use shared::time::Timestamp;

use super::super::{Carrier, Dissector as _, First, HELD_BYTES_MAX, Recognized, Side, Told, Want};
use super::{Tls, recognize};
use Side::{Client, Server};
use made::{
    certificate, certificates, client_hello, extension, message, offers_tls13, record, server_hello, server_hello_of,
    server_hello13, usual, vec16,
};

/// What comes of these bytes, ten milliseconds apart, and what the dissector wanted last.
fn replay(parts: &[(Side, Vec<u8>)]) -> (Vec<Told>, Want) {
    let (mut tls, mut told, mut want) = (Tls::new(), Vec::new(), Want::More);
    for (at, (side, bytes)) in parts.iter().enumerate() {
        let at = Timestamp::from_ms(i64::try_from(at).unwrap() * 10);
        want = tls.data(*side, at, bytes, &mut |one| told.push(one));
        assert!(tls.held_bytes() <= HELD_BYTES_MAX);
        if want != Want::More {
            return (told, want);
        }
    }
    tls.end(Timestamp::from_seconds(9), &mut |one| told.push(one));
    (told, want)
}

/// The one record of these bytes.
fn one(parts: &[(Side, Vec<u8>)]) -> Told {
    let (mut told, _) = replay(parts);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
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

fn flag(told: &Told, path: &str) -> Option<bool> {
    value(told, path).map(|value| *value == Value::Bool(true))
}

fn texts(list: &[&str]) -> Value {
    Value::List(list.iter().map(|text| Value::String((*text).to_owned())).collect())
}

fn hello() -> Vec<u8> {
    record(22, &client_hello(&[], &usual()))
}

fn chain() -> Vec<u8> {
    certificates(&[
        certificate("ca", "example.org", &["example.org", "*.example.org"], "30"),
        certificate("ca", "ca", &[], "40"),
    ])
}

/// A whole handshake of TLS 1.2.
fn tls12() -> Vec<(Side, Vec<u8>)> {
    let exchange = message(12, &[3, 0, 29, 4, 1, 2, 3, 4]);
    let flight =
        [server_hello(&[8; 32], 0xc02f, &[extension(16, &vec16(b"\x02h2"))]), chain(), exchange, message(14, &[])];
    let keys = [record(22, &message(16, &[1; 33])), record(20, &[1]), record(22, &[0xee; 40])].concat();
    vec![
        (Client, hello()),
        (Server, record(22, &flight.concat())),
        (Client, keys),
        (Server, [record(20, &[1]), record(22, &[0xee; 40])].concat()),
    ]
}

/// A whole handshake of TLS 1.3.
fn tls13() -> Vec<(Side, Vec<u8>)> {
    let share = extension(51, &[0, 29, 0, 2, 1, 2]);
    vec![
        (Client, record(22, &client_hello(&[5; 32], &[usual(), vec![offers_tls13()]].concat()))),
        (Server, [record(22, &server_hello13(&[share])), record(20, &[1]), record(23, &[0xee; 900])].concat()),
        (Client, [record(20, &[1]), record(23, &[0xee; 53])].concat()),
    ]
}

#[test]
fn a_handshake_of_tls_1_2_is_told_when_both_sides_are_finished() {
    let (told, want) = replay(&tls12());
    assert_eq!((told.len(), want), (1, Want::Enough));
    let told = &told[0];
    assert_eq!((told.activity, told.at, told.flaws.as_slice()), (1, Timestamp::from_ms(30), [].as_slice()));
    assert_eq!(text(told, "tls.version"), "1.2");
    assert_eq!(text(told, "tls.cipher"), "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(text(told, "tls.sni"), "example.org");
    assert_eq!(text(told, "unmapped.alpn"), "h2");
    assert_eq!(value(told, "unmapped.client_alpn"), Some(&texts(&["h2", "http/1.1"])));
    assert_eq!(text(told, "unmapped.curve"), "x25519");
    assert_eq!(value(told, "tls.handshake_dur"), Some(&Value::U64(30)));
    assert_eq!((flag(told, "unmapped.established"), flag(told, "unmapped.resumed")), (Some(true), Some(false)));
    assert_eq!(value(told, "status_id"), Some(&Value::U64(1)));
    let suites = ["TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"];
    assert_eq!(value(told, "tls.client_ciphers"), Some(&texts(&suites)));
}

#[test]
fn certificates_are_told_by_their_facts() {
    let told = one(&tls12());
    assert_eq!(text(&told, "tls.certificate.subject"), r"CN=example.org,O=Acme\, Inc.");
    assert_eq!(text(&told, "tls.certificate.issuer"), r"CN=ca,O=Acme\, Inc.");
    assert_eq!(text(&told, "tls.certificate.serial_number"), "ABCD");
    assert_eq!(text(&told, "tls.certificate.version"), "3");
    assert_eq!(value(&told, "tls.certificate.created_time"), Some(&Value::I64(1_577_836_800_000)));
    assert_eq!(value(&told, "tls.certificate.expiration_time"), Some(&Value::I64(1_893_456_000_000)));
    assert_eq!(flag(&told, "tls.certificate.is_self_signed"), Some(false));
    assert_eq!(value(&told, "tls.certificate_chain"), Some(&texts(&["ABCD", "ABCD"])));
    let Some(Value::List(sans)) = value(&told, "tls.certificate.sans") else { panic!("{told:?}") };
    let san = |name: &str| {
        let text = |text: &str| Value::String(text.to_owned());
        Value::Map(vec![("name".to_owned(), text(name)), ("type".to_owned(), text("DNS"))])
    };
    assert_eq!(*sans, [san("example.org"), san("*.example.org")]);
    let Some(Value::List(prints)) = value(&told, "tls.certificate.fingerprints") else { panic!("{told:?}") };
    assert_eq!(prints.len(), 2);
}

#[test]
fn a_certificate_with_a_time_that_is_none_keeps_its_names() {
    let bad = certificates(&[certificate("me", "me", &[], "xx")]);
    let told = one(&[(Client, hello()), (Server, record(22, &[server_hello(&[], 0x2f, &[]), bad].concat()))]);
    assert_eq!(told.flaws, ["certificate_malformed", "handshake_incomplete"]);
    assert_eq!(text(&told, "tls.certificate.subject"), r"CN=me,O=Acme\, Inc.");
    assert_eq!(flag(&told, "tls.certificate.is_self_signed"), Some(true));
    assert_eq!(value(&told, "tls.certificate.created_time"), None);
}

#[test]
fn a_certificate_that_is_none_keeps_its_digests() {
    let bad = certificates(&[vec![0x30, 3, 1, 2, 3]]);
    let told = one(&[(Client, hello()), (Server, record(22, &[server_hello(&[], 0x2f, &[]), bad].concat()))]);
    assert_eq!(told.flaws, ["certificate_unreadable", "handshake_incomplete"]);
    assert!(matches!(value(&told, "unmapped.certificate_sha256"), Some(Value::List(all)) if all.len() == 1));
    assert_eq!(value(&told, "tls.certificate.issuer"), None);
}

#[test]
fn a_clients_certificate_is_told_beside_the_servers() {
    let mut parts = tls12();
    let own = record(22, &certificates(&[certificate("ca", "alice", &[], "30")]));
    parts[2].1.splice(0..0, own);
    let told = one(&parts);
    let Some(Value::Map(facts)) = value(&told, "unmapped.client_certificate") else { panic!("{told:?}") };
    assert!(facts.contains(&("subject".to_owned(), Value::String(r"CN=alice,O=Acme\, Inc.".to_owned()))), "{facts:?}");
    assert_eq!(text(&told, "tls.certificate.subject"), r"CN=example.org,O=Acme\, Inc.");
}

#[test]
fn a_handshake_of_tls_1_3_is_told_when_the_client_answers() {
    let told = one(&tls13());
    assert_eq!((told.activity, told.at, told.flaws.as_slice()), (1, Timestamp::from_ms(20), [].as_slice()));
    assert_eq!(text(&told, "tls.version"), "1.3");
    assert_eq!(text(&told, "tls.cipher"), "TLS_AES_128_GCM_SHA256");
    assert_eq!(text(&told, "unmapped.curve"), "x25519");
    assert_eq!(flag(&told, "unmapped.resumed"), Some(false));
    let Some(Value::List(prints)) = value(&told, "ja4_fingerprint_list") else { panic!("{told:?}") };
    let Value::Map(print) = &prints[0] else { panic!("{told:?}") };
    assert!(matches!(&print[2].1, Value::String(ja4) if ja4.starts_with("t13d0306h2_")), "{print:?}");
}

#[test]
fn an_encrypted_alert_of_the_client_fails_a_handshake_of_tls_1_3() {
    let mut parts = tls13();
    parts[2].1 = record(23, &[0xee; 19]);
    let told = one(&parts);
    assert_eq!((told.activity, text(&told, "status_detail")), (4, "encrypted alert of the client"));
}

#[test]
fn the_hello_after_a_retry_is_part_of_the_same_handshake() {
    let random = super::hello::HELLO_RETRY_RANDOM;
    let retry = server_hello_of([3, 3], random, &[], 0x1301, &[extension(43, &[3, 4]), extension(51, &[0, 23])]);
    let mut parts = tls13();
    let again = [record(20, &[1]), parts[0].1.clone()].concat();
    parts.splice(1..1, [(Server, [record(22, &retry), record(20, &[1])].concat()), (Client, again)]);
    let told = one(&parts);
    assert_eq!((told.activity, flag(&told, "unmapped.hello_retry")), (1, Some(true)));
    assert!(told.flaws.is_empty(), "{told:?}");
    assert_eq!(text(&told, "unmapped.curve"), "x25519");
}

#[test]
fn early_drafts_of_tls_1_3_have_no_session_in_their_server_hello() {
    let body = [&[0x7f, 0x12][..], &[9; 32], &[0x13, 0x01], &vec16(&extension(40, &[0, 29, 0, 1, 7]))].concat();
    let told = one(&[(Client, hello()), (Server, record(22, &message(2, &body)))]);
    assert_eq!(text(&told, "tls.version"), "1.3-draft18");
    assert_eq!(text(&told, "tls.cipher"), "TLS_AES_128_GCM_SHA256");
}

#[test]
fn bytes_may_be_cut_anywhere() {
    for whole in [tls12(), tls13()] {
        let expected = one(&whole);
        let bytes = |parts: &[(Side, Vec<u8>)]| {
            let mut told = one(parts);
            told.at = expected.at;
            told.fields.retain(|(name, _)| name != "tls.handshake_dur");
            told
        };
        let expected = bytes(&whole);
        let single: Vec<_> =
            whole.iter().flat_map(|(side, part)| part.iter().map(|octet| (*side, vec![*octet]))).collect();
        assert_eq!(bytes(&single), expected);
        for (index, (side, part)) in whole.iter().enumerate() {
            for cut in 0..part.len() {
                let mut parts = whole.clone();
                parts.splice(index..=index, [(*side, part[..cut].to_vec()), (*side, part[cut..].to_vec())]);
                assert_eq!(bytes(&parts), expected, "part {index} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_message_may_span_records() {
    let whole = client_hello(&[], &usual());
    let parts: Vec<u8> = whole.chunks(1).flat_map(|part| record(22, part)).collect();
    assert_eq!(recognized(&parts[..6]), Recognized::Perhaps);
    assert_eq!(recognized(&parts[..7]), Recognized::Yes);
    assert_eq!(text(&one(&[(Client, parts)]), "tls.sni"), "example.org");
}

#[test]
fn a_session_goes_on_by_its_identifier_by_a_ticket_or_by_a_key() {
    let finished = [record(20, &[1]), record(22, &[0xee; 40])].concat();
    let resumed = |session: &[u8], answer: &[u8]| {
        let server = [record(22, &server_hello(answer, 0x2f, &[])), finished.clone()].concat();
        one(&[(Client, record(22, &client_hello(session, &usual()))), (Server, server), (Client, finished.clone())])
    };
    assert_eq!(flag(&resumed(&[5; 32], &[5; 32]), "unmapped.resumed"), Some(true));
    assert_eq!(flag(&resumed(&[], &[]), "unmapped.resumed"), Some(true), "no ServerHelloDone: a ticket");
    let mut parts = tls13();
    parts[1].1 = [record(22, &server_hello13(&[extension(41, &[0, 0])])), record(23, &[1; 99])].concat();
    assert_eq!(flag(&one(&parts), "unmapped.resumed"), Some(true));
}

#[test]
fn a_fatal_alert_fails_and_a_warning_does_not() {
    let (told, want) = replay(&[(Client, hello()), (Server, record(21, &[2, 40]))]);
    assert_eq!((told[0].activity, want), (4, Want::Enough));
    assert_eq!(text(&told[0], "status_detail"), "alert: handshake_failure");
    assert_eq!(value(&told[0], "tls.alert"), Some(&Value::U64(40)));
    assert_eq!(text(&told[0], "tls.version"), "1.2", "what the client offered");
    let mut parts = tls12();
    parts.insert(1, (Server, record(21, &[1, 112])));
    let told = one(&parts);
    assert_eq!((told.activity, value(&told, "tls.alert")), (1, Some(&Value::U64(112))));
}

#[test]
fn a_flow_that_ends_early_fails_without_and_is_incomplete_with_a_server_hello() {
    let told = one(&tls12()[..1]);
    assert_eq!((told.activity, text(&told, "status_detail")), (4, "no ServerHello"));
    assert_eq!(flag(&told, "unmapped.established"), Some(false));
    let told = one(&tls12()[..2]);
    assert_eq!((told.activity, told.flaws.as_slice()), (1, ["handshake_incomplete"].as_slice()));
    assert_eq!((flag(&told, "unmapped.established"), value(&told, "status_id")), (Some(false), None));
}

#[test]
fn a_reply_that_is_not_tls_fails() {
    let told = one(&[(Client, hello()), (Server, b"HTTP/1.1 400 Bad Request\r\n".to_vec())]);
    assert_eq!((told.activity, told.flaws.as_slice()), (4, ["reply_not_tls"].as_slice()));
    let (told, want) = replay(&[(Client, b"GET / HTTP/1.1\r\n".to_vec())]);
    assert_eq!((told.len(), want), (0, Want::NotMine));
}

#[test]
fn a_hello_in_the_framing_of_sslv2_is_read() {
    let body = [&[1, 3, 1, 0, 9, 0, 0, 0, 16][..], &[0, 0, 0x2f, 1, 0, 0x80, 0, 0, 0x35], &[7; 16]].concat();
    let hello = [&[0x80, u8::try_from(body.len()).unwrap()][..], &body].concat();
    for cut in 0..11 {
        assert_eq!(recognized(&hello[..cut]), Recognized::Perhaps);
    }
    assert_eq!(recognized(&hello), Recognized::Yes);
    let mut parts = tls12();
    parts[0].1.clone_from(&hello);
    let told = one(&parts);
    assert_eq!((told.activity, text(&told, "unmapped.client_version")), (1, "1.0"));
    let suites = ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"];
    assert_eq!(value(&told, "tls.client_ciphers"), Some(&texts(&suites)));
    assert_eq!(value(&told, "ja4_fingerprint_list"), None);
    let answer = [&[0x80, 11, 4, 0, 1, 0, 2, 0, 0, 0, 0, 0, 16][..]].concat();
    let told = one(&[(Client, hello), (Server, answer)]);
    assert_eq!(told.flaws, ["sslv2", "server_hello_unseen", "handshake_incomplete"]);
}

#[test]
fn tls_roles_may_be_the_reverse_of_those_of_tcp() {
    let turned = |side| if side == Client { Server } else { Client };
    let parts: Vec<_> = tls12().into_iter().map(|(side, part)| (turned(side), part)).collect();
    let told = one(&parts);
    assert_eq!((told.activity, text(&told, "tls.sni")), (1, "example.org"));
    assert_eq!(text(&told, "tls.certificate.serial_number"), "ABCD");
}

#[test]
fn a_connection_of_which_only_the_client_was_captured_is_no_failure() {
    let told = one(&[tls12()[0].clone(), tls12()[2].clone()]);
    assert_eq!((told.activity, told.flaws.as_slice()), (1, ["server_hello_unseen", "handshake_incomplete"].as_slice()));
}

#[test]
fn a_gap_costs_what_it_hides_and_no_more() {
    let (parts, mut told) = (tls12(), Vec::new());
    let mut tell = |one| told.push(one);
    let mut tls = Tls::new();
    let flight = &parts[1].1;
    tls.data(Client, Timestamp(0), &parts[0].1, &mut tell);
    tls.data(Server, Timestamp(0), &flight[..200], &mut tell);
    assert_eq!(tls.gap(Server, u64::try_from(flight.len() - 200).unwrap(), &mut tell), Want::More);
    tls.data(Client, Timestamp(0), &parts[2].1, &mut tell);
    assert_eq!(tls.data(Server, Timestamp(0), &parts[3].1, &mut tell), Want::Enough);
    assert_eq!((told[0].activity, text(&told[0], "tls.version")), (1, "1.2"));
    assert!(told[0].flaws.contains(&"stream_gap") && told[0].flaws.contains(&"certificates_cut"), "{told:?}");
}

#[test]
fn behind_a_gap_that_hides_a_records_begin_the_next_one_is_found() {
    let (parts, mut told) = (tls12(), Vec::new());
    let mut tell = |one| told.push(one);
    let mut tls = Tls::new();
    tls.data(Client, Timestamp(0), &parts[0].1, &mut tell);
    tls.gap(Server, 5000, &mut tell);
    assert_eq!(tls.data(Server, Timestamp(0), &[0xee; 100], &mut tell), Want::More);
    tls.data(Client, Timestamp(0), &parts[2].1, &mut tell);
    assert_eq!(tls.data(Server, Timestamp(0), &parts[3].1, &mut tell), Want::Enough);
    assert_eq!(told[0].flaws, ["stream_gap", "server_hello_unseen"]);
}

fn recognized(bytes: &[u8]) -> Recognized {
    recognize(&First { carrier: Carrier::Stream, side: Client, client_port: 1, server_port: 2, bytes })
}

#[test]
fn hellos_are_recognized_by_their_first_bytes_alone() {
    for whole in [hello(), tls13()[1].1.clone()] {
        for cut in 0..7 {
            assert_eq!(recognized(&whole[..cut]), Recognized::Perhaps, "{cut}");
        }
        assert_eq!(recognized(&whole[..7]), Recognized::Yes);
        assert_eq!(recognized(&whole), Recognized::Yes);
    }
}

#[test]
fn what_is_no_hello_is_not_recognized() {
    let others: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\n",
        b"SSH-2.0-x\r\n",
        b"220 mail ESMTP\r\n",
        &[0x16, 3, 1, 0, 0, 0, 0],
        &[0x16, 3, 1, 2, 0, 4, 0, 0],
        &[0x16, 2, 1, 0, 9],
        &[0x17, 3, 3, 0, 9, 1, 2],
        &[0x80, 0x2e, 1, 3, 1, 0, 9, 0, 1, 0, 16],
    ];
    for other in others {
        assert_eq!(recognized(other), Recognized::No, "{other:02x?}");
    }
}
