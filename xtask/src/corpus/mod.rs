//! Log lines of real shapes from a seed: what the bench and the tests read.
//!
//! In: a seed. Out: lines as a busy Linux server writes them; numbers, addresses, users, pids and times are drawn from
//! a seeded generator. Invariants: the same seed gives the same bytes on every machine; times never go back; each line ends with one
//! newline and holds no other; blocks of 256 KiB compress by 4 to 8 with `zstd -1`, as real logs do (a test and
//! the bench print by how much).

mod draw;
mod random;
mod shapes;
mod stamps;

pub use random::Random;

use draw::Drawer;
use shapes::{Field, SHAPES};

/// 2026-01-05 00:00:00 UTC, a Monday: where time starts unless told.
pub const START_UNIX_S: u64 = 1_767_571_200;

/// Between two lines pass fewer milliseconds than this: the 2 million lines of 256 MiB span about an hour.
const MILLIS_BETWEEN_LINES: u64 = 4;

/// A piece of a shape.
enum Piece {
    Text(&'static str),
    Drawn(Field),
}

/// An endless file of log lines.
pub struct Corpus {
    shapes: Vec<(u64, Vec<Piece>)>,
    weight_total: u64,
    drawer: Drawer,
}

impl Corpus {
    /// The lines of `seed`, from [`START_UNIX_S`] on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::starting(seed, START_UNIX_S)
    }

    /// The lines of `seed` as if the first were written at `unix_s`.
    #[must_use]
    pub fn starting(seed: u64, unix_s: u64) -> Self {
        let mut weight_total = 0;
        let shapes = SHAPES
            .iter()
            .map(|(weight, shape)| {
                weight_total += weight;
                (weight_total, cut(shape))
            })
            .collect();
        Self { shapes, weight_total, drawer: Drawer::new(seed, unix_s) }
    }

    /// Appends one line and its newline.
    pub fn line(&mut self, out: &mut Vec<u8>) {
        let passed = self.drawer.random.below(MILLIS_BETWEEN_LINES);
        self.drawer.stamps.advance(passed);
        let ticket = self.drawer.random.below(self.weight_total);
        let place = self.shapes.partition_point(|(upto, _)| *upto <= ticket);
        if let Some((_, pieces)) = self.shapes.get(place) {
            for piece in pieces {
                match piece {
                    Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                    Piece::Drawn(field) => self.drawer.draw(*field, out),
                }
            }
        }
        out.push(b'\n');
    }

    /// Appends whole lines until `out` holds at least `bytes`; how many lines that were.
    pub fn fill(&mut self, out: &mut Vec<u8>, bytes: usize) -> u64 {
        let mut lines = 0;
        while out.len() < bytes {
            self.line(out);
            lines += 1;
        }
        lines
    }

    /// Writes whole lines to `sink` until they are at least `bytes`; `(bytes, lines)` written.
    ///
    /// # Errors
    /// What the sink answers.
    pub fn write(&mut self, sink: &mut impl std::io::Write, bytes: u64) -> std::io::Result<(u64, u64)> {
        const CHUNK_BYTES: u64 = 1 << 20;
        let (mut written, mut lines) = (0_u64, 0_u64);
        let mut chunk = Vec::new();
        while written < bytes {
            chunk.clear();
            let wanted = (bytes - written).min(CHUNK_BYTES);
            lines += self.fill(&mut chunk, usize::try_from(wanted).unwrap_or(usize::MAX));
            sink.write_all(&chunk)?;
            written += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        }
        Ok((written, lines))
    }
}

/// A shape as pieces. A brace that names no field stays text: JSON has braces of its own.
fn cut(shape: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = shape;
    while let Some(open) = rest.find('{') {
        let (text, tail) = rest.split_at(open);
        let named = tail.find('}').and_then(|close| {
            let (brace, after) = tail.split_at(close + 1);
            let name = brace.strip_prefix('{')?.strip_suffix('}')?;
            Some((Field::named(name)?, after))
        });
        match named {
            Some((field, after)) => {
                pieces.push(Piece::Text(text));
                pieces.push(Piece::Drawn(field));
                rest = after;
            }
            None => {
                let (text, tail) = rest.split_at(open + 1);
                pieces.push(Piece::Text(text));
                rest = tail;
            }
        }
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        Corpus::new(seed).fill(&mut out, 200_000);
        out
    }

    #[test]
    fn a_seed_names_its_bytes_and_another_names_others() {
        assert_eq!(sample(1), sample(1));
        assert_ne!(sample(1), sample(2));
    }

    #[test]
    fn weights_are_per_mille() {
        assert_eq!(SHAPES.iter().map(|(weight, _)| weight).sum::<u64>(), 1_000);
    }

    #[test]
    fn every_brace_that_is_a_word_names_a_field() {
        for (_, shape) in SHAPES {
            for tail in shape.split('{').skip(1) {
                let name = tail.split('}').next().unwrap();
                if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
                    assert!(Field::named(name).is_some(), "{name} in {shape}");
                }
            }
        }
    }

    #[test]
    fn lines_are_text_that_is_never_empty_and_json_lines_are_whole() {
        let text = String::from_utf8(sample(3)).unwrap();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            assert!(line.len() > 30, "{line}");
            assert!(line.is_ascii(), "{line}");
            if line.starts_with('{') {
                assert!(line.ends_with('}'), "{line}");
                assert_eq!(line.matches('"').count() % 2, 0, "{line}");
            }
        }
    }

    #[test]
    fn what_is_written_is_what_is_filled() {
        let (mut written, mut filled) = (Vec::new(), Vec::new());
        let (bytes, lines) = Corpus::new(9).write(&mut written, 3 << 20).unwrap();
        let counted = Corpus::new(9).fill(&mut filled, written.len());
        assert_eq!((bytes, lines), (written.len() as u64, counted));
        assert!(written == filled);
    }
}
