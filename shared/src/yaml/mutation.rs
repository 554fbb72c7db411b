//! Seeded random edits of a valid file, for tests of everything that reads one.

/// A small generator (splitmix64, Steele, Lea and Flood 2014): the same seed gives the same edits.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// What tends to hurt a YAML reader.
const PIECES: [&[u8]; 28] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b": ",
    b"- ",
    b"? ",
    b"&a ",
    b"*a",
    b"!t ",
    b"|\n",
    b">-\n",
    b"'",
    b"\"",
    b"\\",
    b"#",
    b"%",
    b"---\n",
    b"...\n",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\n",
    b"  ",
    b"~",
    b"<<: ",
];

/// `text` with one to five edits: bytes dropped, flipped, doubled, moved, or a piece of syntax put in.
pub(crate) fn edited(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(5) {
        let from = random.below(bytes.len() + 1);
        let to = (from + random.below(24)).min(bytes.len());
        match random.below(6) {
            0 => drop(bytes.drain(from..to)),
            1 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
            2 => {
                let copy = bytes[from..to].to_vec();
                let at = random.below(bytes.len() + 1);
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(bytes.len() - random.below(bytes.len() / 4 + 1)),
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(from..from, piece.iter().copied());
            }
        }
    }
    bytes
}
