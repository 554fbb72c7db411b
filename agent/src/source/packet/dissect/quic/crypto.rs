//! The stream of handshake bytes of a side: pieces by offset, in any order and more than once.
//!
//! Invariants: at most [`CRYPTO_BYTES_MAX`] are held, in at most [`PIECES_MAX`] pieces; the first bytes at an offset
//! stay; every byte is handed on once, in order.

/// Most handshake bytes of a side. Real ones are below 4 KiB.
const CRYPTO_BYTES_MAX: usize = 10 << 10;
/// Most pieces that do not touch each other. Browsers that shuffle a hello make about twenty.
const PIECES_MAX: usize = 64;

/// Handshake bytes of a side.
#[derive(Default, Debug)]
pub struct Crypto {
    bytes: Vec<u8>,
    /// Begin and end of what is there, in order, not touching.
    pieces: Vec<(usize, usize)>,
    handed_on: usize,
}

impl Crypto {
    /// Takes a piece; whether it is within the bounds. One that differs from what was there before is not told apart.
    pub fn insert(&mut self, offset: u64, piece: &[u8]) -> bool {
        let Ok(begin) = usize::try_from(offset) else { return false };
        let Some(end) = begin.checked_add(piece.len()).filter(|end| *end <= CRYPTO_BYTES_MAX) else { return false };
        let first = self.pieces.partition_point(|(_, other)| *other < begin);
        let after = self.pieces.partition_point(|(other, _)| *other <= end);
        if piece.is_empty() || (first == after && self.pieces.len() == PIECES_MAX) {
            return piece.is_empty();
        }
        if self.bytes.len() < end {
            // Room grows twofold, but never beyond the bound.
            let more = (end - self.bytes.len()).max(self.bytes.len());
            self.bytes.reserve_exact(more.min(CRYPTO_BYTES_MAX - self.bytes.len()));
            self.bytes.resize(end, 0);
        }
        let mut merged = (begin, end);
        let mut at = begin;
        for &(other_begin, other_end) in self.pieces.get(first..after).unwrap_or_default() {
            copy(&mut self.bytes, begin, piece, at, other_begin.min(end));
            at = at.max(other_end);
            merged = (merged.0.min(other_begin), merged.1.max(other_end));
        }
        copy(&mut self.bytes, begin, piece, at, end);
        self.pieces.splice(first..after, [merged]);
        true
    }

    /// What is complete from the begin on and was not handed on yet.
    pub fn next(&mut self) -> &[u8] {
        let complete = self.pieces.first().filter(|(begin, _)| *begin == 0).map_or(0, |(_, end)| *end);
        let from = std::mem::replace(&mut self.handed_on, complete);
        self.bytes.get(from..complete).unwrap_or_default()
    }

    /// Whether a piece is there that others before it are missing for.
    #[must_use]
    pub fn has_hole(&self) -> bool {
        self.pieces.last().is_some_and(|(_, end)| *end > self.handed_on)
    }

    /// Bytes that it holds.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(usize, usize)>()
    }
}

/// Copies what of a piece, that begins at `begin`, stands between two places.
fn copy(bytes: &mut [u8], begin: usize, piece: &[u8], from: usize, to: usize) {
    if from >= to {
        return;
    }
    if let (Some(target), Some(source)) = (bytes.get_mut(from..to), piece.get(from - begin..to - begin)) {
        target.copy_from_slice(source);
    }
}

#[cfg(test)]
mod tests {
    use super::{CRYPTO_BYTES_MAX, Crypto, PIECES_MAX};

    #[test]
    fn pieces_in_any_order_are_handed_on_once_and_in_order() {
        let mut crypto = Crypto::default();
        assert!(crypto.insert(6, b"ghi"));
        assert!(crypto.insert(2, b"cd"));
        assert!(crypto.next().is_empty() && crypto.has_hole());
        assert!(crypto.insert(0, b"ab"));
        assert_eq!(crypto.next(), b"abcd");
        assert!(crypto.next().is_empty());
        assert!(crypto.insert(0, b"abcdefgh"));
        assert_eq!(crypto.next(), b"efghi");
        assert!(!crypto.has_hole());
    }

    #[test]
    fn the_first_bytes_at_an_offset_stay() {
        let mut crypto = Crypto::default();
        assert!(crypto.insert(1, b"B") && crypto.insert(3, b"D") && crypto.insert(0, b"xxxxx"));
        assert_eq!(crypto.next(), b"xBxDx");
    }

    #[test]
    fn offsets_and_pieces_are_bounded() {
        let mut crypto = Crypto::default();
        assert!(!crypto.insert(u64::MAX, b"a"));
        assert!(!crypto.insert(u64::try_from(CRYPTO_BYTES_MAX).unwrap(), b"a"));
        for at in 0..PIECES_MAX {
            assert!(crypto.insert(u64::try_from(at * 2 + 1).unwrap(), b"a"));
        }
        assert!(!crypto.insert(1000, b"a"));
        assert!(crypto.insert(0, b"a"), "what touches a piece makes no new one");
    }

    #[test]
    fn any_order_of_any_pieces_gives_the_same_bytes() {
        let whole: Vec<u8> = (0..=255).cycle().take(600).collect();
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for round in 0..200 {
            let (mut crypto, mut got) = (Crypto::default(), Vec::new());
            for _ in 0..400 {
                let begin = random(whole.len());
                let end = (begin + 1 + random(40)).min(whole.len());
                let _ = crypto.insert(u64::try_from(begin).unwrap(), &whole[begin..end]);
                got.extend_from_slice(crypto.next());
            }
            assert_eq!(got, whole[..got.len()], "round {round}");
        }
    }
}
