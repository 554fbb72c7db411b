//! Seeded edits of good bytes.

use xtask::corpus::Random;

use super::Target;

/// Longest input that is made.
pub const INPUT_BYTES_MAX: usize = 64 << 10;

/// One to six edits of one of `seeds`: bytes flipped, set, dropped, doubled, moved, cut, zeroed, a word put in, another
/// seed's bytes put in.
#[must_use]
pub fn mutated(target: &Target, seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds.get(below(random, seeds.len())).cloned().unwrap_or_default();
    for _ in 0..=below(random, 6) {
        let from = below(random, bytes.len() + 1);
        let longest = 1 << below(random, 8);
        let to = (from + below(random, longest)).min(bytes.len());
        match below(random, 9) {
            0 => drop(bytes.drain(from..to)),
            1 => bytes.truncate(from.max(to)),
            2 => bytes.iter_mut().skip(from).take(1).for_each(|byte| *byte ^= 1 << below(random, 8)),
            3 => bytes.iter_mut().skip(from).take(to - from).for_each(|byte| *byte = 0),
            4 => {
                let number = [0u64, 1, 0x7f, 0x80, 0xff, 0xffff, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX];
                let number = number.get(below(random, number.len())).copied().unwrap_or(0).to_le_bytes();
                let len = 1 << below(random, 4);
                bytes.iter_mut().skip(from).zip(number.iter().take(len)).for_each(|(to, from)| *to = *from);
            }
            5 => {
                let copy: Vec<u8> = bytes.iter().skip(from).take(to - from).copied().collect();
                let at = below(random, bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            6 if !target.words.is_empty() => {
                let word = target.words.get(below(random, target.words.len())).copied().unwrap_or_default();
                bytes.splice(from..from, word.iter().copied());
            }
            7 => {
                let other = seeds.get(below(random, seeds.len())).map_or(&[][..], Vec::as_slice);
                let part = other.iter().skip(below(random, other.len())).take(below(random, 256)).copied();
                bytes.splice(from..to, part);
            }
            _ => bytes.iter_mut().skip(from).take(1).for_each(|byte| *byte = random.bits().to_le_bytes()[0]),
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(bound as u64)).unwrap_or(0)
}
