//! Claims about what wraps a packet.

use super::*;

fn gre(flags: u8, version: u8, kind: u16, rest: &[&[u8]]) -> Vec<u8> {
    ip4(47, &join(&[&[flags, version], &kind.to_be_bytes(), &rest.concat()]))
}

fn inside(bytes: &[u8], tunnels: &[Tunnel]) {
    assert_hello(&frame(LinkType::RAW, bytes), tunnels);
}

#[test]
fn labels_lead_to_what_they_carry() {
    let label = [0, 1, 0x01, 64]; // label 16, the bottom
    let above = [0, 2, 0x00, 64];
    let inside = |kind: u16, parts: &[&[u8]]| {
        assert_hello(&frame(LinkType::ETHERNET, &ethernet(kind, &parts.concat())), &[Tunnel::Mpls]);
    };
    inside(0x8847, &[&label, &hello4()]);
    inside(0x8847, &[&above, &above, &label, &hello6()]);
    inside(0x8848, &[&[0, 0, 0x01, 64], &hello4()]);
    inside(0x8847, &[&label, &[0; 4], &ethernet(0x0800, &hello4())]);
    let mut bare = ethernet(0x0800, &hello4());
    bare[0] = 0x22;
    inside(0x8847, &[&label, &bare]);
}

#[test]
fn pppoe_sessions_are_followed() {
    let session = join(&[&[0x11, 0, 0, 1, 0, 35, 0, 0x21], &hello4(), &[0; 9]]);
    assert_hello(&frame(LinkType::ETHERNET, &ethernet(0x8864, &session)), &[Tunnel::PppoE]);
    let control = ethernet(0x8864, &[0x11, 0, 0, 1, 0, 4, 0xc0, 0x21, 9, 0]);
    let packet = frame(LinkType::ETHERNET, &control);
    assert_eq!((packet.tunnels, packet.flaws), ([Tunnel::None; 4], Flaws::UNKNOWN));
}

#[test]
fn gre_with_any_flags_is_followed() {
    let word = [1, 2, 3, 4];
    inside(&gre(0, 0, 0x0800, &[&hello4()]), &[Tunnel::Gre(0)]);
    inside(&gre(0x80, 0, 0x86dd, &[&word, &hello6()]), &[Tunnel::Gre(0)]);
    inside(&gre(0x20, 0, 0x0800, &[&word, &hello4()]), &[Tunnel::Gre(0x0102_0304)]);
    inside(&gre(0xb0, 0, 0x0800, &[&[0; 4], &word, &[0; 4], &hello4()]), &[Tunnel::Gre(0x0102_0304)]);
    let routes: &[&[u8]] = &[&[0; 4], &[8, 0, 0, 4, 9, 9, 9, 9], &[0; 4], &hello4()];
    inside(&gre(0x40, 0, 0x0800, routes), &[Tunnel::Gre(0)]);
    inside(&gre(0x20, 0, 0x6558, &[&word, &ethernet(0x0800, &hello4())]), &[Tunnel::Gre(0x0102_0304)]);
    inside(&gre(0, 0, 0x883e, &[&word, &hello4()]), &[Tunnel::Gre(0)]);
    inside(&gre(0, 0, 0x8847, &[&[0, 1, 1, 64], &hello4()]), &[Tunnel::Gre(0), Tunnel::Mpls]);
    let call = [0, 37, 0, 7];
    inside(&gre(0x30, 0x81, 0x880b, &[&call, &word, &word, &[0xff, 3, 0, 0x21], &hello4()]), &[Tunnel::Gre(7)]);
}

#[test]
fn erspan_of_each_type_is_followed() {
    let mirrored = ethernet(0x0800, &hello4());
    inside(&gre(0, 0, 0x88be, &[&mirrored]), &[Tunnel::Erspan]);
    inside(&gre(0x10, 0, 0x88be, &[&[0; 4], &[0x10, 1, 0, 0, 0, 0, 0, 0], &mirrored]), &[Tunnel::Erspan]);
    let third = [0x20, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    inside(&gre(0x10, 0, 0x22eb, &[&[0; 4], &third, &mirrored]), &[Tunnel::Erspan]);
    let mut platform = third;
    platform[11] = 1;
    inside(&gre(0x10, 0, 0x22eb, &[&[0; 4], &platform, &[0; 8], &mirrored]), &[Tunnel::Erspan]);
}

#[test]
fn tunnels_over_udp_are_followed() {
    let inner = ethernet(0x0800, &hello4());
    let vxlan = join(&[&[8, 0, 0, 0, 0, 1, 2, 0], &inner]);
    for port in [4789, 8472] {
        inside(&ip4(17, &udp(9999, port, &vxlan)), &[Tunnel::Vxlan(258)]);
    }
    let generic = join(&[&[0x0c, 0, 0, 2, 0, 0, 7, 0], &hello6()]);
    inside(&ip4(17, &udp(9999, 4790, &generic)), &[Tunnel::Vxlan(7)]);
    let unsaid = join(&[&[8, 0, 0, 1, 0, 0, 7, 0], &hello4()]);
    inside(&ip4(17, &udp(9999, 4790, &unsaid)), &[Tunnel::Vxlan(7)]);
    inside(&ip4(17, &udp(9999, 4790, &vxlan)), &[Tunnel::Vxlan(258)]);
    let geneve = join(&[&[2, 0, 0x65, 0x58, 0, 0, 9, 0], &[7; 8], &inner]);
    inside(&ip6(17, &udp(9999, 6081, &geneve)), &[Tunnel::Geneve(9)]);
}

#[test]
fn ip_in_ip_is_followed() {
    inside(&ip4(4, &hello4()), &[Tunnel::IpIp]);
    inside(&ip4(41, &hello6()), &[Tunnel::IpIp]);
    inside(&ip6(4, &hello4()), &[Tunnel::IpIp]);
    inside(&ip6(4, &ip4(41, &ip6(41, &hello6()))), &[Tunnel::IpIp; 3]);
}

#[test]
fn teredo_is_followed_only_where_its_content_proves_it() {
    let mut inner = hello6();
    inner[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    let authentication = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    inside(&ip4(17, &udp(50_000, 3544, &inner)), &[Tunnel::Teredo]);
    inside(&ip4(17, &udp(3544, 50_000, &join(&[&authentication, &origin, &inner]))), &[Tunnel::Teredo]);

    let stranger = ip4(17, &udp(50_000, 3544, &hello6()));
    assert_eq!(udp_of(&frame(LinkType::RAW, &stranger)).destination, 3544, "other addresses");
    let longer = ip4(17, &udp(50_000, 3544, &join(&[&inner, b"!"])));
    assert_eq!(udp_of(&frame(LinkType::RAW, &longer)).destination, 3544, "another length");
}

#[test]
fn teredo_is_followed_on_any_port_between_addresses_of_its_own() {
    let mut inner = hello6();
    inner[8..12].copy_from_slice(&[0x20, 1, 0, 0]);
    inside(&ip4(17, &udp(50_000, 32_900, &inner)), &[Tunnel::Teredo]);
    let mut link_local = hello6();
    link_local[8..10].copy_from_slice(&[0xfe, 0x80]);
    for payload in [&link_local, &hello6(), &join(&[&[0; 8], &inner]), &join(&[&inner, b"!"]), &inner[..44].to_vec()] {
        let bytes = ip4(17, &udp(50_000, 32_900, payload));
        let packet = frame(LinkType::RAW, &bytes);
        assert_eq!((udp_of(&packet).destination, packet.flaws), (32_900, Flaws::default()), "{payload:?}");
    }
}

#[test]
fn outermost_packet_that_carries_others_is_kept() {
    let vxlan = join(&[&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x0800, &ip4(4, &hello4()))]);
    let bytes = ip4(17, &udp(9999, 4789, &vxlan));
    let packet = frame(LinkType::RAW, &bytes);
    assert_hello(&packet, &[Tunnel::Vxlan(258), Tunnel::IpIp]);
    let outer = packet.outer.unwrap();
    assert_eq!((outer.source, outer.destination, outer.tunnel.name()), (9999, 4789, "vxlan"));
    assert_eq!(usize::try_from(outer.ip.total_len).unwrap(), bytes.len());
    for alone in [hello4(), gre(0, 0, 0, &[b"alive"]), ip4(17, &udp(9999, 4789, &[8, 0, 0, 0, 0, 0, 0, 0]))] {
        assert_eq!(frame(LinkType::RAW, &alone).outer, None);
    }
    let labeled = ethernet(0x8847, &join(&[&[0, 1, 1, 64], &ip4(4, &hello4())]));
    assert_eq!(frame(LinkType::ETHERNET, &labeled).outer.unwrap().tunnel, Tunnel::IpIp);
}

#[test]
fn frames_in_ip_and_registers_are_followed() {
    let inner = ethernet(0x0800, &hello4());
    inside(&ip4(97, &join(&[&[0x30, 0], &inner])), &[Tunnel::EtherIp]);
    inside(&ip6(143, &inner), &[Tunnel::EtherIp]);
    inside(&ip4(103, &join(&[&[0x21, 0, 0, 0, 0, 0, 0, 0], &hello4()])), &[Tunnel::Pim]);
    for other in [join(&[&[0x21, 0, 0, 0, 0x40, 0, 0, 0], &hello4()]), join(&[&[0x20, 0, 0, 0], &[0; 30]])] {
        let bytes = ip4(103, &other);
        let packet = frame(LinkType::RAW, &bytes);
        assert_eq!((packet.transport, packet.tunnels[0]), (Transport::Other(&other), Tunnel::None));
    }
    let mirrored = ethernet(0x88be, &join(&[&[0x10, 1, 0, 0, 0, 0, 0, 0], &inner]));
    assert_hello(&frame(LinkType::ETHERNET, &mirrored), &[Tunnel::Erspan]);
    let (heard, snap) = ([8, 1, 0, 0], [0xaa, 0xaa, 3, 0, 0, 0, 8, 0]);
    inside(&gre(0, 0, 0x8200, &[&heard, &[2; 18], &[0; 2], &snap, &hello4()]), &[Tunnel::Gre(0)]);
}

#[test]
fn what_holds_no_packet_is_no_tunnel() {
    let vxlan = join(&[&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x88cc, b"lldp")]);
    let bytes = ip4(17, &udp(9999, 4789, &vxlan));
    let packet = frame(LinkType::RAW, &bytes);
    assert_eq!(
        (udp_of(&packet).destination, packet.tunnels, packet.flaws),
        (4789, [Tunnel::None; 4], Flaws::default())
    );

    let keepalive = gre(0, 0, 0, &[b"alive"]);
    let packet = frame(LinkType::RAW, &keepalive);
    assert_eq!((packet.ip.unwrap().protocol, packet.tunnels), (47, [Tunnel::None; 4]));
    assert_eq!(packet.transport, Transport::Other(&keepalive[20..]));
}

#[test]
fn arp_in_a_tunnel_is_arp() {
    let request = join(&[&[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]]);
    let vxlan = join(&[&[8, 0, 0, 0, 0, 1, 2, 0], &ethernet(0x0806, &request)]);
    let bytes = ip4(17, &udp(9999, 4789, &vxlan));
    let packet = frame(LinkType::RAW, &bytes);
    assert_eq!((packet.transport, packet.ip, packet.tunnels[0]), (Transport::Arp(&request), None, Tunnel::Vxlan(258)));
}

#[test]
fn a_fifth_tunnel_is_not_entered() {
    let mut bytes = hello4();
    for _ in 0..5 {
        bytes = ip4(4, &bytes);
    }
    let packet = frame(LinkType::RAW, &bytes);
    assert_eq!((packet.tunnels, packet.flaws), ([Tunnel::IpIp; 4], Flaws::TOO_DEEP));
    assert!(matches!(packet.transport, Transport::Other(_)));
    assert_eq!(packet.ip.unwrap().protocol, 4);
}
