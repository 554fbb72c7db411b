use shared::record::Value;

use super::super::{First, Recognized, Told};
use super::*;

fn value<'a>(told: &'a Told, key: &str) -> Option<&'a Value> {
    told.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn text<'a>(told: &'a Told, key: &str) -> &'a str {
    match value(told, key) {
        Some(Value::String(text)) => text,
        _ => "",
    }
}

fn number(told: &Told, key: &str) -> Option<u64> {
    match value(told, key) {
        Some(Value::U64(number)) => Some(*number),
        _ => None,
    }
}

/// What is told of a connection whose pieces come in this order, each cut into `size`.
fn all(pieces: &[(Side, &[u8])], size: usize) -> (Vec<Told>, Want) {
    let (mut http, mut all, mut want) = (make(Carrier::Stream), Vec::new(), Want::More);
    for (time, (side, bytes)) in (1..).zip(pieces) {
        for piece in bytes.chunks(size) {
            want = http.data(*side, Timestamp(time * 1_000_000), piece, &mut |told| all.push(told));
        }
    }
    http.end(Timestamp(9_000_000), &mut |told| all.push(told));
    (all, want)
}

use Side::{Client, Server};

#[test]
fn transactions_are_told_with_their_sizes_however_they_are_cut() {
    let pieces: &[(Side, &[u8])] = &[
        (Client, b"GET /a?b=c HTTP/1.1\r\nHost: web.example:8080\r\nUser-Agent: curl/8\r\nAuthorization: Basic dTpw\r\n\r\n"),
        (Server, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello"),
        (Client, b"\r\nPOST http://other.example/x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD /h HTTP/1.0\n\n"),
        (Server, b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n4;x\r\nwiki\r\n5\r\npedia\r\n0\r\nT: 1\r\n\r\n"),
        (Server, b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n"),
    ];
    for size in [1, 2, 3, 10, 1000] {
        let (all, _) = all(pieces, size);
        let [get, post, head] = all.as_slice() else { panic!("{size}: {all:?}") };
        assert_eq!(
            (get.activity, text(get, "http_request.url.path"), text(get, "http_request.url.query_string")),
            (3, "/a", "b=c")
        );
        assert_eq!((text(get, "http_request.url.hostname"), text(get, "actor.user.name")), ("web.example", "u"));
        assert_eq!((number(get, "http_response.code"), number(get, "http_response.body_length")), (Some(200), Some(5)));
        assert_eq!(
            (post.activity, text(post, "http_request.url.hostname"), text(post, "http_request.url.path")),
            (6, "other.example", "/x")
        );
        assert_eq!(
            (number(post, "http_request.body_length"), number(post, "http_response.body_length")),
            (Some(3), Some(9)),
            "{size}"
        );
        assert_eq!((head.activity, number(head, "http_response.body_length")), (4, Some(0)));
        assert!(all.iter().all(|told| told.flaws.is_empty()), "{size}: {all:?}");
    }
}

#[test]
fn body_without_a_length_ends_with_the_connection_and_requests_without_answers_are_told() {
    let (all, _) = all(
        &[
            (Client, b"GET / HTTP/1.0\r\n\r\n"),
            (Server, b"HTTP/1.0 200 OK\r\n\r\nto the end"),
            (Client, b"GET /2 HTTP/1.0\r\n\r\n"),
        ],
        4,
    );
    assert_eq!(all.len(), 2);
    assert_eq!(number(&all[0], "http_response.body_length"), Some(10));
    assert_eq!((text(&all[1], "http_request.url.path"), number(&all[1], "http_response.code")), ("/2", None));
}

#[test]
fn what_follows_a_tunnel_is_no_http() {
    let (all, want) = all(
        &[
            (Client, b"CONNECT mail.example:443 HTTP/1.1\r\nHost: mail.example:443\r\n\r\n"),
            (Server, b"HTTP/1.1 200 Established\r\n\r\n\x16\x03\x01"),
        ],
        1000,
    );
    assert_eq!((all.len(), all[0].activity, want), (1, 1, Want::Enough));
}

#[test]
fn malformed_and_endless_heads_are_flagged_and_bounded() {
    let (told, _) = all(&[(Client, b"GET /with space HTTP/1.1\r\n\r\n")], 1000);
    assert_eq!(
        (text(&told[0], "unmapped.request_line_raw"), told[0].flaws.as_slice()),
        ("GET /with space HTTP/1.1", ["malformed_request"].as_slice())
    );
    assert_eq!(text(&told[0], "http_request.url.path"), "/with space");
    let mut http = make(Carrier::Stream);
    let mut told = Vec::new();
    http.data(Client, Timestamp(1), b"GET / HTTP/1.1\r\n", &mut |one| told.push(one));
    for _ in 0..5000 {
        http.data(Client, Timestamp(1), b"X: 123456789\r\n", &mut |one| told.push(one));
        assert!(http.held_bytes() < 64 << 10);
    }
    assert_eq!((told.len(), told[0].flaws.as_slice()), (1, ["head_too_long"].as_slice()));
}

#[test]
fn it_is_recognized_by_its_first_line() {
    let look =
        |bytes| recognize(&First { carrier: Carrier::Stream, side: Client, client_port: 1, server_port: 2, bytes });
    assert_eq!(look(b"GET / HTTP/1.1\r\n"), Recognized::Yes);
    assert_eq!(look(b"HTTP/1.1 200 OK\r\n"), Recognized::Yes);
    assert_eq!(look(b"GE"), Recognized::Perhaps);
    assert_eq!(look(b"OPTIONS sip:x SIP/2.0\r\n"), Recognized::No);
    assert_eq!(look(b"SSH-2.0-x"), Recognized::No);
}

/// What is told where bytes of the server are missing between two pieces.
fn with_hole(pieces: &[(Side, Result<&[u8], u64>)]) -> Vec<Told> {
    let (mut http, mut all) = (make(Carrier::Stream), Vec::new());
    for (side, piece) in pieces {
        match piece {
            Ok(bytes) => http.data(*side, Timestamp(1), bytes, &mut |told| all.push(told)),
            Err(missing) => http.gap(*side, *missing, &mut |told| all.push(told)),
        };
    }
    http.end(Timestamp(9), &mut |told| all.push(told));
    all
}

#[test]
fn next_message_behind_a_hole_is_read() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
    let chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab";
    for (first, bytes, flaws) in [(&head[..], 12, &[][..]), (chunks, 2, &["stream_gap"])] {
        let all = with_hole(&[
            (Client, Ok(b"GET /1 HTTP/1.1\r\n\r\n")),
            (Server, Ok(first)),
            (Server, Err(14)),
            (Client, Ok(b"GET /2 HTTP/1.1\r\n\r\n")),
            (Server, Ok(b"the rest of something")),
            (Client, Ok(b"GET /3 HTTP/1.1\r\n\r\n")),
            (Server, Ok(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")),
        ]);
        let told = |at: usize| (text(&all[at], "http_request.url.path"), number(&all[at], "http_response.code"));
        assert_eq!([told(0), told(1), told(2)], [("/1", Some(200)), ("/2", None), ("/3", Some(404))]);
        assert_eq!((number(&all[0], "http_response.body_length"), all[0].flaws.as_slice()), (Some(bytes), flaws));
    }
}

#[test]
fn hole_within_a_body_is_a_part_of_it() {
    let all = with_hole(&[
        (Client, Ok(b"GET /1 HTTP/1.1\r\n\r\n")),
        (Server, Ok(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab")),
        (Server, Err(5)),
        (Server, Ok(b"h\r\n0\r\n\r\n")),
    ]);
    assert_eq!((all.len(), number(&all[0], "http_response.body_length"), all[0].flaws.len()), (1, Some(8), 0));
}

#[test]
fn request_of_the_flows_server_is_told_as_such() {
    let (mut http, mut all) = (turned(), Vec::new());
    http.data(Server, Timestamp(1), b"GET /back HTTP/1.1\r\n\r\n", &mut |told| all.push(told));
    http.data(Client, Timestamp(2), b"HTTP/1.1 204 None\r\n\r\n", &mut |told| all.push(told));
    assert_eq!((all.len(), text(&all[0], "http_request.url.path")), (1, "/back"));
    assert_eq!(
        (text(&all[0], "unmapped.asked_by"), number(&all[0], "http_response.code")),
        ("dst_endpoint", Some(204))
    );
    let look = |side, bytes| First { carrier: Carrier::Stream, side, client_port: 1, server_port: 2, bytes };
    assert!(is_turned(&look(Server, b"GET / HTTP/1.1\r\n")) && is_turned(&look(Client, b"HTTP/1.1 200 OK\r\n")));
    assert!(!is_turned(&look(Client, b"GET / HTTP/1.1\r\n")) && !is_turned(&look(Server, b"HTTP/1.1 200 OK\r\n")));
}

#[test]
fn only_a_target_that_begins_with_a_scheme_names_its_host() {
    let request = b"GET /to?next=http://other.example/x HTTP/1.1\r\nHost: web.example\r\n\r\n";
    let (all, _) = all(&[(Client, request)], 1000);
    assert_eq!(text(&all[0], "http_request.url.hostname"), "web.example");
    assert_eq!(text(&all[0], "http_request.url.path"), "/to");
    assert_eq!(text(&all[0], "http_request.url.query_string"), "next=http://other.example/x");
}

#[test]
fn mutated_conversations_never_panic() {
    let whole = b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap() % below
    };
    for round in 0..5_000 {
        let mut bytes = whole.to_vec();
        for _ in 0..=round % 4 {
            let at = random(bytes.len());
            bytes[at] = u8::try_from(random(256)).unwrap();
        }
        for side in [Client, Server] {
            all(&[(side, &bytes), (Server, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")], 1 + random(40));
        }
    }
}
