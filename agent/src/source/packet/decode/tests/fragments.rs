//! Claims about fragments.

use std::time::Duration;

use super::super::{Decoder, FragmentCounts, ReassemblyLimits};
use super::*;

/// What a decoder called back with, owned.
#[derive(Clone, PartialEq, Debug)]
struct Seen {
    ports: Option<(u16, u16)>,
    payload: Vec<u8>,
    payload_len: u32,
    frames: u32,
    wire_len: u32,
    total_len: u32,
    flaws: Flaws,
    tunnels: usize,
    at: i64,
}

fn seen(packet: &Packet<'_>) -> Seen {
    let ip = packet.ip.unwrap();
    let (ports, payload, payload_len) = match packet.transport {
        Transport::Udp(udp) => (Some((udp.source, udp.destination)), udp.payload, udp.payload_len),
        Transport::Other(bytes) => (None, bytes, ip.payload_len),
        _ => panic!("no UDP in {packet:?}"),
    };
    Seen {
        ports,
        payload: payload.to_vec(),
        payload_len,
        frames: packet.frames,
        wire_len: packet.wire_len,
        total_len: ip.total_len,
        flaws: packet.flaws,
        tunnels: packet.tunnels.iter().filter(|&&tunnel| tunnel != Tunnel::None).count(),
        at: packet.at.as_seconds(),
    }
}

/// Feeds frames, a second apart, and gives what came back, the last `left` of it at the end only.
fn run(limits: ReassemblyLimits, frames: &[Vec<u8>]) -> (Vec<Seen>, usize, FragmentCounts) {
    let mut decoder = Decoder::new(limits);
    let mut all = Vec::new();
    for (second, bytes) in frames.iter().enumerate() {
        let now = at(i64::try_from(second).unwrap());
        decoder.packet(LinkType::RAW, now, bytes, 0, &mut |packet| all.push(seen(packet)));
        assert!(decoder.held_bytes() <= limits.bytes_max);
    }
    let before = all.len();
    decoder.finish(&mut |packet| all.push(seen(packet)));
    assert_eq!(decoder.held_bytes(), 0);
    let given = frames.iter().map(|bytes| u32::try_from(bytes.len()).unwrap()).sum::<u32>();
    assert_eq!(all.iter().map(|seen| seen.wire_len).sum::<u32>(), given, "each byte is told once");
    assert_eq!(all.iter().map(|seen| seen.frames).sum::<u32>(), u32::try_from(frames.len()).unwrap());
    let left = all.len() - before;
    (all, left, decoder.fragments())
}

fn payload() -> Vec<u8> {
    (0..1000).map(|index: u32| u8::try_from(index % 251).unwrap()).collect()
}

/// The datagram 1 → 2 with that payload, cut behind each of `cuts`.
fn parts(cuts: &[usize]) -> Vec<Vec<u8>> {
    let whole = udp(1, 2, &payload());
    let ends = cuts.iter().copied().chain([whole.len()]);
    let starts = [0].into_iter().chain(cuts.iter().copied());
    starts.zip(ends).map(|(start, end)| ip4_part(7, start, end < whole.len(), 17, &whole[start..end])).collect()
}

fn part6(offset: usize, more: bool, next: u8, payload: &[u8]) -> Vec<u8> {
    let field = short(offset + usize::from(more));
    ip6(44, &join(&[&[next, 0], &field, &[0, 0, 0, 9], payload]))
}

fn whole(all: &[Seen]) -> &Seen {
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].ports, &all[0].payload, all[0].payload_len), (Some((1, 2)), &payload(), 1000));
    &all[0]
}

#[test]
fn fragments_become_a_datagram_in_any_order() {
    let frames = parts(&[480, 960]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let frames = order.map(|index| frames[index].clone());
        let (all, left, counts) = run(ReassemblyLimits::default(), &frames);
        let datagram = whole(&all);
        assert_eq!((datagram.frames, datagram.wire_len, datagram.total_len), (3, 1068, 1028));
        assert_eq!((datagram.flaws, datagram.at, left), (Flaws::default(), 2, 0));
        assert_eq!(counts, FragmentCounts { fragments: 3, completed: 1, ..FragmentCounts::default() });
    }
}

#[test]
fn fragments_of_ipv6_become_a_datagram() {
    let datagram = udp(1, 2, &payload());
    let frames = [part6(504, false, 17, &datagram[504..]), part6(0, true, 17, &datagram[..504])];
    let (all, ..) = run(ReassemblyLimits::default(), &frames);
    assert_eq!((whole(&all).flaws, whole(&all).total_len), (Flaws::default(), 1048));
}

#[test]
fn repeated_fragments_do_no_harm() {
    let mut frames = parts(&[480, 960]);
    frames.insert(1, frames[0].clone());
    frames.insert(3, frames[2].clone());
    let (all, ..) = run(ReassemblyLimits::default(), &frames);
    assert_eq!((whole(&all).frames, whole(&all).flaws), (5, Flaws::default()));
}

#[test]
fn of_overlapping_fragments_the_first_wins_and_a_difference_is_flagged() {
    let datagram = udp(1, 2, &payload());
    let part = |start: usize, end: usize| ip4_part(7, start, end < datagram.len(), 17, &datagram[start..end]);
    let same = [part(0, 480), part(960, 1008), part(240, 1008)];
    let (all, ..) = run(ReassemblyLimits::default(), &same);
    assert_eq!(whole(&all).flaws, Flaws::default(), "what overlaps is the same");

    let mut false_part = part(400, 1008);
    false_part[20 + 79] ^= 0xff; // the last byte of what is there already
    let (all, _, counts) = run(ReassemblyLimits::default(), &[part(0, 480), false_part]);
    assert_eq!((whole(&all).flaws, counts.overlapped), (Flaws::FRAGMENT_OVERLAP, 1));

    // a teardrop: the second lies within the first
    let (all, ..) =
        run(ReassemblyLimits::default(), &[part(0, 480), ip4_part(7, 240, true, 17, &[1; 8]), part(480, 1008)]);
    assert_eq!(whole(&all).flaws, Flaws::FRAGMENT_OVERLAP);
}

#[test]
fn a_gap_is_waited_for_and_then_given_up_with_what_its_beginning_says() {
    let frames = parts(&[480, 960]);
    let (all, left, counts) = run(ReassemblyLimits::default(), &[frames[0].clone(), frames[2].clone()]);
    assert_eq!((all.len(), left, counts.expired), (1, 1, 1));
    assert_eq!((all[0].ports, all[0].payload.len(), all[0].payload_len), (Some((1, 2)), 472, 1000));
    assert_eq!((all[0].flaws, all[0].frames), (Flaws::FRAGMENT, 2));

    let (all, ..) = run(ReassemblyLimits::default(), &frames[1..]);
    assert_eq!((all[0].ports, all[0].payload.len(), all[0].flaws), (None, 0, Flaws::FRAGMENT), "no beginning");
}

#[test]
fn a_datagram_waits_for_its_timeout_only() {
    let limits = ReassemblyLimits { timeout: Duration::from_secs(2), ..ReassemblyLimits::default() };
    let frames = parts(&[480]);
    let (all, left, counts) = run(limits, &[frames[0].clone(), hello4(), hello4(), frames[1].clone()]);
    assert_eq!((all.len(), left, counts.expired, counts.completed), (4, 1, 2, 0));
    assert_eq!((all[1].frames, all[1].at, all[1].flaws), (1, 0, Flaws::FRAGMENT));
}

#[test]
fn the_oldest_datagram_gives_place() {
    let datagrams =
        |count: u16| (0..count).map(|id| ip4_part(id, 0, true, 17, &udp(id, 9, &[0; 8]))).collect::<Vec<_>>();
    let limits = ReassemblyLimits { datagrams_max: 4, ..ReassemblyLimits::default() };
    let (all, left, counts) = run(limits, &datagrams(9));
    assert_eq!((left, counts.evicted, counts.expired), (4, 5, 4));
    assert_eq!(all[0].ports, Some((0, 9)), "in the order in which they came");

    let limits = ReassemblyLimits { bytes_max: 20_000, ..ReassemblyLimits::default() };
    let (_, left, counts) = run(limits, &datagrams(9));
    assert_eq!((left, counts.evicted), (4, 5), "each takes a step of growth");
}

#[test]
fn fragments_that_cannot_be_are_told_at_once() {
    let senseless = [
        ip4_part(7, 0, true, 17, &[0; 12]),        // not a multiple of 8
        ip4_part(7, 65_528, false, 17, &[0; 100]), // beyond 64 KiB: the ping of death
        ip4_part(7, 8, false, 17, &[]),            // empty
    ];
    let (all, left, counts) = run(ReassemblyLimits::default(), &senseless);
    assert_eq!((all.len(), left, counts.refused), (3, 0, 3));
    assert!(all.iter().all(|seen| seen.flaws == Flaws(Flaws::FRAGMENT.0 | Flaws::BAD_LENGTH.0)));
    let ports: Vec<_> = all.iter().map(|seen| seen.ports).collect();
    assert_eq!(ports, [Some((0, 0)), None, None], "the first begins with its ports");

    let mut frames = parts(&[480, 960]);
    frames.insert(1, ip4_part(7, 1200, true, 17, &[0; 8]));
    frames.insert(2, ip4_part(7, 1200, false, 17, &[0; 8]));
    let (all, ..) = run(ReassemblyLimits::default(), &frames);
    assert_eq!(all.len(), 2, "the true last fragment is at odds with what claims to be behind it");
}

#[test]
fn fragments_as_small_as_can_be_are_put_together_within_the_bound() {
    let cuts = (1..126).map(|index| 8 * index).collect::<Vec<_>>();
    let mut frames = parts(&cuts);
    frames.reverse();
    let (all, ..) = run(ReassemblyLimits { timeout: Duration::from_secs(999), ..ReassemblyLimits::default() }, &frames);
    assert_eq!(whole(&all).frames, 126);

    let mut decoder = Decoder::new(ReassemblyLimits::default());
    let (mut told, mut given) = (0, 0);
    for offset in (0..65_000).step_by(16).rev() {
        decoder.packet(LinkType::RAW, at(0), &ip4_part(7, offset, true, 17, &[0; 8]), 0, &mut |packet| {
            told += packet.frames;
        });
        given += 1;
        assert!(decoder.held_bytes() < 128 << 10);
    }
    decoder.finish(&mut |packet| told += packet.frames);
    assert_eq!(told, given);
    assert!(decoder.fragments().refused > 0, "more pieces than a datagram may have");
}

#[test]
fn fragments_cut_by_the_capture_make_a_datagram_that_is_known_up_to_the_cut() {
    let frames = parts(&[480]);
    let mut decoder = Decoder::new(ReassemblyLimits::default());
    let mut all = Vec::new();
    for frame in &frames {
        let length = u32::try_from(frame.len()).unwrap();
        decoder.packet(LinkType::RAW, at(0), &frame[..96], length, &mut |packet| all.push(seen(packet)));
    }
    assert_eq!((all.len(), all[0].payload.len(), all[0].payload_len), (1, 68, 1000));
    assert_eq!((all[0].ports, all[0].flaws), (Some((1, 2)), Flaws::CAPTURE_CUT));
}

#[test]
fn fragments_in_fragments_in_tunnels_are_put_together() {
    let inner = udp(1, 2, &payload());
    let outer = |id: u16, inner: &[u8]| {
        let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &ethernet(0x0800, inner)]);
        let datagram = udp(9, 4789, &vxlan);
        [ip4_part(id, 0, true, 17, &datagram[..304]), ip4_part(id, 304, false, 17, &datagram[304..])]
    };
    let first = outer(1, &ip4_part(7, 0, true, 17, &inner[..504]));
    let second = outer(2, &ip4_part(7, 504, false, 17, &inner[504..]));
    let (all, ..) = run(ReassemblyLimits::default(), &[first, second].concat());
    assert_eq!((whole(&all).frames, whole(&all).tunnels, whole(&all).flaws), (4, 1, Flaws::default()));
}

#[test]
fn fragments_of_different_datagrams_are_not_mixed() {
    let whole = udp(1, 2, &payload());
    let tagged = |id: u16, offset: usize, part: &[u8], vlan: u8| {
        join(&[&ethernet(0x8100, &[0, vlan, 8, 0]), &ip4_part(id, offset, offset == 0, 17, part)])
    };
    let frames = [tagged(7, 0, &whole[..504], 1), tagged(8, 504, &whole[504..], 1), tagged(7, 504, &whole[504..], 2)];
    let (mut decoder, mut told) = (Decoder::new(ReassemblyLimits::default()), 0);
    for frame in &frames {
        decoder.packet(LinkType::ETHERNET, at(0), frame, 0, &mut |_| told += 1);
    }
    assert_eq!((told, decoder.fragments().completed), (0, 0));
}

#[test]
fn decoding_alone_shows_the_transport_of_a_first_fragment_and_no_other() {
    let frames = parts(&[480]);
    let packet = frame(LinkType::RAW, &frames[0]);
    assert_eq!(
        (udp_of(&packet).payload_len, udp_of(&packet).payload.len(), packet.flaws),
        (1000, 472, Flaws::FRAGMENT)
    );
    let packet = frame(LinkType::RAW, &frames[1]);
    assert_eq!((packet.transport, packet.flaws), (Transport::Other(&frames[1][20..]), Flaws::FRAGMENT));
}
