//! Claims about bytes that nobody means well with.

use super::super::{Decoder, ReassemblyLimits};
use super::*;

/// A generator of numbers: splitmix64.
pub struct Seeded(pub u64);

impl Seeded {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Frames of every header that is known.
fn seeds() -> Vec<(LinkType, Vec<u8>)> {
    let ether = ethernet(0x0800, &hello4());
    let inner =
        |payload: &[u8]| ethernet(0x0800, &ip4(17, &udp(9, 4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], payload]))));
    let geneve = udp(9, 6081, &join(&[&[2, 0, 0x65, 0x58, 0, 0, 9, 0], &[7; 8], &ether]));
    let extended = ip6(
        0,
        &join(&[&[43, 0, 0xc2, 4, 0, 1, 0, 0], &[44, 0, 0, 0, 0, 0, 0, 0], &[17, 0, 0, 1, 0, 0, 0, 9], &hello()]),
    );
    vec![
        (LinkType::ETHERNET, inner(&inner(&ether))),
        (
            LinkType::ETHERNET,
            ethernet(
                0x88a8,
                &join(&[&[0, 1, 0x81, 0, 0, 2, 8, 0], &ip4_part(1, 0, true, 6, &tcp(1, 2, &[1; 8], b"four"))]),
            ),
        ),
        (LinkType::ETHERNET, ethernet(0x8864, &join(&[&[0x11, 0, 0, 1, 0, 35, 0, 0x21], &hello4()]))),
        (LinkType::ETHERNET, ethernet(0x8847, &join(&[&[0, 2, 0, 64, 0, 1, 1, 64, 0, 0, 0, 0], &ether]))),
        (LinkType::RAW, extended),
        (LinkType::RAW, ip4_part(2, 0, true, 17, &hello()[..8])),
        (LinkType::RAW, ip4_part(2, 8, false, 17, &hello()[8..])),
        (LinkType::RAW, ip6(17, &geneve)),
        (LinkType::RAW, ip4(47, &join(&[&[0xf0, 0, 0x88, 0xbe], &[0; 12], &[0; 4], &[0x10; 8], &ether]))),
        (LinkType::RAW, ip4(47, &join(&[&[0x30, 0x81, 0x88, 0x0b, 0, 35, 0, 7], &[0; 8], &[0, 0x21], &hello4()]))),
        (LinkType::RAW, ip4(17, &udp(3544, 9, &join(&[&[0, 1, 0, 0], &[0; 9], &[0; 8], &hello6()])))),
        (LinkType::NFLOG, join(&[&[2, 0, 0, 0], &[6, 0, 10, 0, 1, 2, 0, 0], &[37, 0, 9, 0], &hello4()])),
        (LinkType::LINUX_SLL2, join(&[&[8, 6, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], &[1; 28]])),
    ]
}

#[test]
fn mutated_frames_are_told_once_each_and_stay_within_what_was_captured() {
    let rounds = std::env::var("PICKET_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000);
    let seed = std::env::var("PICKET_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("seed {seed}, {rounds} rounds");
    let (mut random, seeds) = (Seeded(seed), seeds());
    let limits = ReassemblyLimits { bytes_max: 64 << 10, datagrams_max: 8, ..ReassemblyLimits::default() };
    let mut decoder = Decoder::new(limits);
    let (mut given, mut told) = ((0_u64, 0_u64), (0_u64, 0_u64));
    for round in 0..rounds {
        let (link, frame) = &seeds[random.below(seeds.len())];
        let mut bytes = frame.clone();
        for _ in 0..random.below(6) {
            let index = random.below(bytes.len());
            bytes[index] = [0, 0xff, bytes[index] ^ (1 << random.below(8)), u8::try_from(random.below(256)).unwrap()]
                [random.below(4)];
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
        let wire_len = u32::try_from(random.below(2000)).unwrap();
        let range = bytes.as_ptr_range();
        let within =
            |part: &[u8]| part.is_empty() || (range.contains(&part.as_ptr()) && part.as_ptr_range().end <= range.end);
        let packet = decode(*link, at(0), &bytes, wire_len);
        let whole = match packet.transport {
            Transport::Tcp(tcp) => {
                within(tcp.payload)
                    && within(tcp.options)
                    && tcp.payload.len() <= usize::try_from(tcp.payload_len).unwrap()
            }
            Transport::Udp(udp) => {
                within(udp.payload) && udp.payload.len() <= usize::try_from(udp.payload_len).unwrap()
            }
            Transport::Icmp(icmp) => {
                within(icmp.payload) && icmp.payload.len() <= usize::try_from(icmp.payload_len).unwrap()
            }
            Transport::Arp(bytes) | Transport::Other(bytes) => within(bytes),
            Transport::Sctp { .. } => true,
        };
        assert!(whole, "seed {seed}, round {round}: {packet:?}");
        let now = Timestamp(i64::from(round) * 10_000_000);
        decoder.packet(*link, now, &bytes, wire_len, &mut |packet| {
            told = (told.0 + u64::from(packet.frames), told.1 + u64::from(packet.wire_len));
        });
        given = (given.0 + 1, given.1 + u64::from(wire_len).max(bytes.len() as u64));
        assert!(decoder.held_bytes() <= limits.bytes_max);
    }
    decoder.finish(&mut |packet| told = (told.0 + u64::from(packet.frames), told.1 + u64::from(packet.wire_len)));
    assert_eq!(given, told, "seed {seed}");
    assert!(decoder.fragments().completed > 0, "{:?}", decoder.fragments());
}

#[test]
fn what_a_fuzzer_gives_is_taken() {
    let mut random = Seeded(7);
    for _ in 0..2000 {
        let length = random.below(600);
        let mut input = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect::<Vec<_>>();
        if let [high, low, ..] = input.as_mut_slice() {
            (*high, *low) = (0, [1, 101, 113, 0][random.below(4)]);
        }
        super::super::fuzz(&input);
        super::super::super::file::fuzz(&input);
    }
}

#[test]
fn headers_without_end_are_left() {
    let vlans = ethernet(0x8100, &[0, 1, 0x81, 0].repeat(1000));
    let packet = frame(LinkType::ETHERNET, &vlans);
    assert_eq!((packet.flaws, packet.link.vlans), (Flaws::TOO_DEEP, [1, 1]));
    let extensions = ip6(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(1000));
    assert_eq!(frame(LinkType::RAW, &extensions).flaws, Flaws::TOO_DEEP);
    let labels = ethernet(0x8847, &[0; 4000]);
    assert!(frame(LinkType::ETHERNET, &labels).flaws.has(Flaws::BAD_HEADER));
}
