//! [`Texts`]: many texts looked for at once.
//!
//! In: texts with numbers, and bytes. Out: each place at which one of them stands. A text of four bytes or more is found by
//! the four of its bytes that fewest others share: every four bytes of what is searched are looked up in a table of bits that
//! stays in the first cache, and only what is set there is compared. What that costs depends on the length of
//! what is searched and on what is found, hardly on how many texts there are; an automaton over as many walks through
//! memory that no cache holds. Shorter texts, which are few, go through an automaton.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

/// How many bytes are looked up at once.
const WINDOW: usize = 4;
/// Bits of the table for each text, so that few are set: one look in so many is in vain.
const BITS_PER_TEXT: usize = 64;
/// The smallest and the largest table, as powers of two: 512 bytes, 32 KiB.
const BITS_MIN: u32 = 12;
const BITS_MAX: u32 = 18;

/// Texts to be looked for.
#[derive(Debug)]
pub struct Texts {
    /// A bit for each hash of a window.
    bits: Vec<u64>,
    /// Shifts a hash to the number of its bit.
    shift: u32,
    windows: HashMap<u32, Vec<Windowed>, ahash::RandomState>,
    short: Option<AhoCorasick>,
    /// Numbers of the short texts.
    short_numbers: Vec<u32>,
}

/// A text and where in it its window stands.
#[derive(Debug)]
struct Windowed {
    text: Box<[u8]>,
    offset: usize,
    number: u32,
}

impl Texts {
    /// Texts, none of them empty; their order gives them their numbers.
    ///
    /// # Errors
    /// The short ones are too many for an automaton.
    pub fn new<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone) -> Result<Self, BuildError> {
        let mut shared: HashMap<u32, usize, ahash::RandomState> = HashMap::default();
        for text in texts.clone() {
            windows(text).for_each(|(_, window)| *shared.entry(window).or_default() += 1);
        }
        let log = (shared.len().min(texts.clone().count()) * BITS_PER_TEXT).next_power_of_two().trailing_zeros();
        let log = log.clamp(BITS_MIN, BITS_MAX);
        let mut made = Self {
            bits: vec![0; 1 << (log - 6)],
            shift: u32::BITS - log,
            windows: HashMap::default(),
            short: None,
            short_numbers: Vec::new(),
        };
        let mut short = Vec::new();
        for (number, text) in (0..).zip(texts) {
            let rarest = windows(text).min_by_key(|(_, window)| shared.get(window).copied().unwrap_or(0));
            let Some((offset, window)) = rarest else {
                short.push(text);
                made.short_numbers.push(number);
                continue;
            };
            let (word, bit) = made.place(window);
            if let Some(word) = made.bits.get_mut(word) {
                *word |= bit;
            }
            made.windows.entry(window).or_default().push(Windowed { text: text.into(), offset, number });
        }
        if !short.is_empty() {
            made.short = Some(AhoCorasick::builder().match_kind(MatchKind::Standard).build(short)?);
        }
        Ok(made)
    }

    /// Calls `take` with the number of each text that stands in `bytes` and a place inside of it; places do not go back, but
    /// once: behind those of all long texts come those of the short ones.
    pub fn find(&self, bytes: &[u8], mut take: impl FnMut(u32, usize)) {
        if !self.windows.is_empty() {
            for (at, window) in windows(bytes) {
                let (word, bit) = self.place(window);
                if self.bits.get(word).is_some_and(|word| word & bit != 0) {
                    self.compare(bytes, at, window, &mut take);
                }
            }
        }
        for found in self.short.iter().flat_map(|short| short.find_overlapping_iter(bytes)) {
            if let Some(number) = self.short_numbers.get(found.pattern().as_usize()) {
                take(*number, found.start());
            }
        }
    }

    fn compare(&self, bytes: &[u8], at: usize, window: u32, take: &mut impl FnMut(u32, usize)) {
        for Windowed { text, offset, number } in self.windows.get(&window).into_iter().flatten() {
            let stands = at.checked_sub(*offset).and_then(|start| bytes.get(start..));
            if stands.is_some_and(|stands| stands.starts_with(text)) {
                take(*number, at);
            }
        }
    }

    /// The word and the bit of a window (multiplicative hashing, Knuth, TAOCP 3, 6.4).
    fn place(&self, window: u32) -> (usize, u64) {
        let hash = window.wrapping_mul(0x9e37_79b1) >> self.shift;
        ((hash >> 6) as usize, 1 << (hash & 63))
    }
}

/// Every four bytes and where they stand.
fn windows(bytes: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    bytes.windows(WINDOW).enumerate().map(|(at, window)| {
        let four = window.try_into().unwrap_or([0; WINDOW]);
        (at, u32::from_le_bytes(four))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_found_wherever_it_stands_and_nothing_else() {
        let texts = ["abcd", "bcde", "x", "cd", "abcdefgh", "zzzz", "défg"];
        let made = Texts::new(texts.iter().map(|text| text.as_bytes())).unwrap();
        for bytes in ["", "abc", "xabcdefghx", "aabcdabcd", "zzzzz", "cdé", "ddéfg", "abcdefg"] {
            let mut found = Vec::new();
            made.find(bytes.as_bytes(), |number, at| {
                assert!(at < bytes.len());
                found.push(number);
            });
            for (number, text) in (0..).zip(texts) {
                let count = (0..bytes.len()).filter(|at| bytes.as_bytes()[*at..].starts_with(text.as_bytes())).count();
                assert_eq!(found.iter().filter(|n| **n == number).count(), count, "{text} in {bytes}");
            }
        }
    }
}
