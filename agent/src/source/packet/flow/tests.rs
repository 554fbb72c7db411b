use super::super::{Flaws, Ip, Link, TUNNELS_MAX, Tcp, Tunnel, Udp};
use super::*;

fn packet<'a>(source: [u8; 4], destination: [u8; 4], at_ms: i64, transport: Transport<'a>) -> Packet<'a> {
    let (protocol, len) = match &transport {
        Transport::Tcp(tcp) => (key::TCP, 40 + tcp.payload_len),
        Transport::Udp(udp) => (key::UDP, 28 + udp.payload_len),
        _ => (key::ICMP, 28),
    };
    let ip = Ip {
        source: IpAddr::from(source),
        destination: IpAddr::from(destination),
        protocol,
        ttl: 64,
        total_len: len,
        payload_len: len - 20,
    };
    let (at, tunnels) = (Timestamp(at_ms * 1_000_000), [Tunnel::None; TUNNELS_MAX]);
    let (link, flaws) = (Link::default(), Flaws::default());
    Packet { at, frames: 1, wire_len: len + 14, link, ip: Some(ip), transport, tunnels, outer: None, flaws }
}

fn tcp(ports: (u16, u16), flags: u8, sequence: u32, payload: &[u8]) -> Transport<'_> {
    Transport::Tcp(Tcp {
        source: ports.0,
        destination: ports.1,
        sequence,
        acknowledgment: 0,
        flags,
        window: 100,
        options: &[],
        payload_len: u32::try_from(payload.len()).unwrap(),
        payload,
    })
}

fn udp(ports: (u16, u16), payload: &[u8]) -> Transport<'_> {
    let payload_len = u32::try_from(payload.len()).unwrap();
    Transport::Udp(Udp { source: ports.0, destination: ports.1, payload_len, payload })
}

fn value<'a>(told: &'a Told, key: &str) -> Option<&'a shared::record::Value> {
    told.fields.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn number(told: &Told, key: &str) -> u64 {
    match value(told, key) {
        Some(shared::record::Value::U64(number)) => *number,
        other => panic!("{key}: {other:?}"),
    }
}

const A: [u8; 4] = [192, 0, 2, 1];
const B: [u8; 4] = [192, 0, 2, 2];

#[test]
fn connection_is_one_record_from_client_to_server() {
    let (mut table, mut told) = (Table::new(Settings::default()), Vec::new());
    let mut out = |record| told.push(record);
    for (source, destination, at, transport) in [
        (A, B, 0, tcp((40_000, 22), tcp::SYN, 9, b"")),
        (B, A, 1, tcp((22, 40_000), tcp::SYN | tcp::ACK, 99, b"")),
        (A, B, 2, tcp((40_000, 22), tcp::ACK, 10, b"hello")),
        (B, A, 3, tcp((22, 40_000), tcp::ACK | tcp::FIN, 100, b"")),
        (A, B, 4, tcp((40_000, 22), tcp::ACK | tcp::FIN, 15, b"")),
    ] {
        table.packet(&packet(source, destination, at, transport), &mut out);
    }
    table.expire(Timestamp(6_000_000_000), &mut out);
    assert!(table.is_empty());
    let [flow] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(flow.activity, 2);
    assert_eq!((number(flow, "traffic.packets_out"), number(flow, "traffic.bytes_in")), (3, 80));
    assert_eq!((number(flow, "unmapped.payload_bytes_out"), number(flow, "src_endpoint.port")), (5, 40_000));
}

#[test]
fn flow_that_is_seen_from_its_answer_on_still_has_its_client() {
    let (mut table, mut told) = (Table::new(Settings::default()), Vec::new());
    table.packet(&packet(B, A, 0, tcp((22, 40_000), tcp::SYN | tcp::ACK, 9, b"")), &mut |record| told.push(record));
    table.packet(&packet(B, A, 0, udp((53, 40_001), b"answer")), &mut |record| told.push(record));
    table.finish(&mut |record| told.push(record));
    assert_eq!(told.iter().map(|flow| number(flow, "src_endpoint.port")).collect::<Vec<_>>().len(), 2);
    assert!(told.iter().all(|flow| number(flow, "src_endpoint.port") >= 40_000), "{told:?}");
}

#[test]
fn direction_is_by_which_ends_are_this_host() {
    let (own, other) = ([192, 0, 2, 7], [198, 51, 100, 7]);
    let settings = Settings { local: vec![own.into()], ..Settings::default() };
    for (source, destination, expected) in
        [(own, other, 2), (other, own, 1), (own, own, 4), (own, [127, 0, 0, 1], 4), (other, A, 0)]
    {
        let (mut table, mut told) = (Table::new(settings.clone()), Vec::new());
        table.packet(&packet(source, destination, 0, udp((40_000, 9), b"x")), &mut |record| told.push(record));
        table.finish(&mut |record| told.push(record));
        assert_eq!(number(&told[0], "connection_info.direction_id"), expected, "{source:?} {destination:?}");
    }
}

#[test]
fn flow_that_lasts_is_told_while_it_does_and_silence_ends_it() {
    let settings = Settings { update_interval: Duration::from_secs(10), ..Settings::default() };
    let (mut table, mut told) = (Table::new(settings), Vec::new());
    for second in 0..25 {
        table.packet(&packet(A, B, second * 1000, udp((40_000, 9), b"x")), &mut |record| told.push(record));
    }
    assert_eq!(told.len(), 2);
    table.expire(Timestamp(200_000_000_000), &mut |record| told.push(record));
    assert_eq!(told.len(), 3);
    let reason = value(&told[2], "unmapped.end_reason");
    assert_eq!(
        (number(&told[2], "traffic.packets_out"), reason),
        (25, Some(&shared::record::Value::String("timeout".into())))
    );
}

#[test]
fn sampled_flow_is_told_seldom_counted_and_told_at_its_end() {
    let settings = Settings { update_interval: Duration::from_secs(1), ..Settings::default() };
    let (mut table, mut told) = (Table::new(settings), Vec::new());
    table.sample_updates(true);
    for second in 0..=20 {
        table.packet(&packet(A, B, second * 1000, udp((40_000, 9), b"x")), &mut |record| told.push(record));
    }
    let updates = |told: &[Told]| told.iter().map(|told| number(told, "unmapped.update")).collect::<Vec<_>>();
    assert_eq!(updates(&told), [8, 16], "one of eight, and its number says so");
    assert_eq!((table.take_untold_updates(), table.take_untold_updates()), (18, 0));
    table.sample_updates(false);
    table.packet(&packet(A, B, 21_000, udp((40_000, 9), b"x")), &mut |record| told.push(record));
    assert_eq!((updates(&told), table.take_untold_updates()), (vec![8, 16, 21], 0));
    table.sample_updates(true);
    table.finish(&mut |record| told.push(record));
    assert_eq!((told.len(), number(&told[3], "traffic.packets_out")), (4, 22), "its end is told whatever is sampled");
}

#[test]
fn smaller_table_forgets_few_flows_at_a_time_and_counts_them() {
    let (mut table, mut told) = (Table::new(Settings { flows_max: 100, ..Settings::default() }), Vec::new());
    let mut flow = |table: &mut Table, number: u8, to: [u8; 4]| {
        table.packet(&packet([10, 0, 0, number], to, 1, udp((1, 80), b"x")), &mut |record| told.push(record));
        table.len()
    };
    (0..100).for_each(|number| assert!(flow(&mut table, number, A) <= 100));
    table.bound(20, 1 << 20);
    assert_eq!(flow(&mut table, 100, A), 100 - 8 + 1);
    let sizes: Vec<usize> = (0..30).map(|number| flow(&mut table, number, B)).collect();
    assert_eq!(sizes.last(), Some(&20));
    assert_eq!(table.take_evicted().flows, 100 + 31 - 20);
    table.bound(100, 1 << 20);
    assert_eq!(flow(&mut table, 31, B), 21);
}

#[test]
fn flood_of_questions_costs_bounded_room_and_leaves_connections_alone() {
    let settings = Settings { flows_max: 100, ..Settings::default() };
    let (mut table, mut told) = (Table::new(settings), Vec::new());
    let mut out = |record| told.push(record);
    table.packet(&packet(A, B, 0, tcp((40_000, 22), tcp::SYN, 9, b"")), &mut out);
    table.packet(&packet(B, A, 0, tcp((22, 40_000), tcp::SYN | tcp::ACK, 99, b"")), &mut out);
    for number in 0..10_000_u32 {
        let [_, x, y, z] = number.to_be_bytes();
        table.packet(&packet([10, x, y, z], B, 1, tcp((1, 80), tcp::SYN, 9, b"")), &mut out);
        assert!(table.len() <= 100);
    }
    let evicted = table.take_evicted();
    assert_eq!((evicted.flows, evicted.untold), (10_000 - 99, 10_000 - 99));
    table.finish(&mut out);
    assert_eq!(told.len(), 100, "the connection, and what was left of the flood");
    assert!(told.iter().any(|flow| number(flow, "dst_endpoint.port") == 22));
}

#[test]
fn what_carries_a_tunnel_is_a_flow_beside_what_is_inside() {
    let (mut table, mut told) = (Table::new(Settings::default()), Vec::new());
    let mut out = |record| told.push(record);
    for at in 0..3 {
        let inner = packet(A, B, at, udp((40_000, 9), b"x"));
        let ip =
            Ip { source: [10, 0, 0, 1].into(), destination: [10, 0, 0, 2].into(), total_len: 79, ..inner.ip.unwrap() };
        let outer =
            Outer { ip: Ip { payload_len: 59, ..ip }, source: 50_000, destination: 4789, tunnel: Tunnel::Vxlan(7) };
        table.packet(&Packet { outer: Some(outer), ..inner }, &mut out);
    }
    table.finish(&mut out);
    let [carrier, inner] = told.as_slice() else { panic!("{told:?}") };
    let name = Some(&shared::record::Value::String("vxlan".into()));
    assert_eq!((number(carrier, "dst_endpoint.port"), value(carrier, "app_protocol_name")), (4789, name));
    assert_eq!((number(carrier, "traffic.packets_out"), number(carrier, "traffic.bytes_out")), (3, 237));
    assert_eq!(number(carrier, "unmapped.payload_bytes_out"), 3 * 51);
    assert_eq!((number(inner, "traffic.packets_out"), number(inner, "traffic.bytes_out")), (3, 87));
}

#[test]
fn server_that_answers_tls_in_http_is_told() {
    let hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let (mut table, mut told) = (Table::new(Settings::default()), Vec::new());
    let mut out = |record| told.push(record);
    table.packet(&packet(A, B, 0, tcp((40_000, 443), tcp::SYN, 9, b"")), &mut out);
    table.packet(&packet(A, B, 1, tcp((40_000, 443), tcp::ACK, 10, hello)), &mut out);
    table.packet(&packet(B, A, 2, tcp((443, 40_000), tcp::ACK, 100, answer)), &mut out);
    table.finish(&mut out);
    let answered = told.iter().find(|told| told.class.uid() == 4002).map(|told| number(told, "http_response.code"));
    assert_eq!(answered, Some(400), "{told:?}");
}

#[test]
fn request_from_behind_a_proxy_that_was_connected_to_is_read() {
    let (mut table, mut told) = (Table::new(Settings::default()), Vec::new());
    let mut out = |record| told.push(record);
    for (source, destination, sequence, bytes) in [
        (A, B, 10, &b"\x05\x00\x05"[..]),
        (B, A, 100, b"\x05\x01\x00"),
        (A, B, 13, b"\x00\x00\x01"),
        (B, A, 103, b"GET /back HTTP/1.1\r\nHost: web.example\r\n\r\n"),
        (A, B, 16, b"HTTP/1.1 204 None\r\n\r\n"),
    ] {
        let ports = if source == A { (40_000, 8855) } else { (8855, 40_000) };
        table.packet(&packet(source, destination, 1, tcp(ports, tcp::ACK, sequence, bytes)), &mut out);
    }
    table.finish(&mut out);
    let http = told.iter().find(|told| told.class.uid() == 4002).unwrap();
    assert_eq!((number(http, "http_response.code"), number(http, "src_endpoint.port")), (204, 40_000));
    assert!(value(http, "unmapped.asked_by").is_some());
}

#[test]
fn entry_is_small_enough_for_the_table_to_keep_its_bound() {
    // 32,768 flows in 24 MiB: 768 bytes each, in the worst case with a connection's state and an idle conversation in HTTP,
    // each with what its allocation adds, and a place in the index.
    let (entry, connection) = (size_of::<Entry>(), size_of::<tcp::Connection>() + 16);
    let conversation = size_of::<conversation::Conversation>() + 16 + 208;
    println!("{entry} {connection} {conversation}");
    assert!(entry + connection + conversation + 10 <= 768, "{entry} {connection} {conversation}");
}
