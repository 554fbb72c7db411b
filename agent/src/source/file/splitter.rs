//! Where lines begin and end: bytes of a file in, line marks out.
//!
//! The splitter keeps numbers, never bytes: an unfinished line lives in its file and is read again when it has
//! grown, so that ten thousand files with half a line cost nothing. Lines are copied once, into the chunk.
//! Invariants: `start ≤ scanned`; everything before `start` was pushed; there is no newline in `start..scanned`.

use memchr::memchr;

use crate::handover::{Lines, flag};

/// Up to here an unfinished line is read again from its beginning; a longer one is only searched for its end,
/// and its kept part is read when the end is found.
pub const REREAD_BYTES_MAX: u64 = 64 * 1024;

/// Reads of a file, cut into lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Splitter {
    start: u64,
    scanned: u64,
    ends_with_cr: bool,
}

/// A line that is not in the bytes at hand: `start..end` in the file, without terminator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FarLine {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Bits of [`flag`].
    pub flags: u8,
    /// First byte after its terminator.
    pub next: u64,
}

/// Why [`Splitter::split`] came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Split {
    /// All bytes were looked at.
    Done,
    /// The chunk is full: hand it over and call again with the same bytes.
    Full,
    /// Read this line from the file, [`Splitter::pass`] it and call again with the same bytes.
    Far(FarLine),
}

impl Splitter {
    /// At the beginning of a line.
    #[must_use]
    pub fn at(offset: u64) -> Self {
        Self { start: offset, scanned: offset, ends_with_cr: false }
    }

    /// First byte that was not handed over: what a checkpoint says.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// First byte that nobody looked at.
    #[must_use]
    pub fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Where the next bytes are to be read from.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        if self.scanned - self.start <= REREAD_BYTES_MAX { self.start } else { self.scanned }
    }

    /// Forgets what was seen of an unfinished line.
    pub fn rescan(&mut self) {
        self.scanned = self.start;
    }

    /// The line before `next` is done.
    pub fn pass(&mut self, next: u64) {
        *self = Self::at(next);
    }

    /// Pushes the lines that end in `bytes`, which stand at `at` = [`Self::wanted`] in the file. Of a line longer
    /// than `line_bytes_max` the beginning is kept.
    pub fn split(&mut self, at: u64, bytes: &[u8], line_bytes_max: usize, out: &mut Lines) -> Split {
        loop {
            if out.is_full() {
                return Split::Full;
            }
            let near = self.start >= at;
            let from = usize::try_from(if near { self.start - at } else { self.scanned - at }).unwrap_or(usize::MAX);
            let Some(rest) = bytes.get(from..) else { return Split::Done };
            let Some(length) = memchr(b'\n', rest) else {
                self.scanned = at + bytes.len() as u64;
                self.ends_with_cr = bytes.last().map_or(self.ends_with_cr, |last| *last == b'\r');
                return Split::Done;
            };
            let (line, next) = (rest.get(..length).unwrap_or_default(), at + (from + length + 1) as u64);
            if near {
                push(line, self.start, line_bytes_max, out);
                self.pass(next);
            } else {
                let cr = line.last().map_or(self.ends_with_cr, |last| *last == b'\r');
                let (end, flags) = if cr { (next - 2, flag::CRLF) } else { (next - 1, 0) };
                return Split::Far(FarLine { start: self.start, end, flags, next });
            }
        }
    }

    /// What stands after the last newline, as the line that it is when its file is gone.
    #[must_use]
    pub fn unfinished(&self) -> Option<FarLine> {
        let Self { start, scanned, .. } = *self;
        (scanned > start).then_some(FarLine { start, end: scanned, flags: flag::UNTERMINATED, next: scanned })
    }
}

fn push(line: &[u8], offset: u64, line_bytes_max: usize, out: &mut Lines) {
    let (line, mut flags) = match line.strip_suffix(b"\r") {
        Some(line) => (line, flag::CRLF),
        None => (line, 0),
    };
    let kept = line.get(..line_bytes_max).unwrap_or(line);
    if kept.len() < line.len() {
        flags |= flag::TRUNCATED;
    }
    out.push(kept, offset, line.len() as u64, flags);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::CHUNK_LINES_MAX;
    use crate::source::scratch::Random;

    /// Splits `content` as a file that is read `read` bytes at a time.
    fn lines_of(content: &[u8], read: impl FnMut() -> usize, max: usize) -> Vec<(u64, u64, u8, Vec<u8>)> {
        let mut read = read;
        let (mut splitter, mut out) = (Splitter::at(0), Vec::new());
        let byte = |at: u64| usize::try_from(at).unwrap();
        let mut visible = 0;
        while visible < content.len() {
            visible = content.len().min(visible + read());
            let at = splitter.wanted();
            loop {
                let mut lines = Lines::default();
                let split = splitter.split(at, &content[byte(at)..visible], max, &mut lines);
                if let Split::Far(far) = split {
                    let kept = &content[byte(far.start)..byte(far.end).min(byte(far.start) + max)];
                    let cut = if kept.len() as u64 == far.end - far.start { 0 } else { flag::TRUNCATED };
                    lines.push(kept, far.start, far.end - far.start, far.flags | cut);
                    splitter.pass(far.next);
                }
                out.extend(lines.iter().map(|(mark, line)| (mark.offset, mark.full_size, mark.flags, line.to_vec())));
                if split == Split::Done {
                    break;
                }
            }
        }
        out.extend(splitter.unfinished().map(|far| (far.start, far.end - far.start, far.flags, Vec::new())));
        out
    }

    #[test]
    fn empty_lines_crlf_nul_and_invalid_utf8_are_lines() {
        let lines = lines_of(b"\n\r\na\0b\r\n\xff\xfe\nlast", || 4, 100);
        let shape: Vec<_> =
            lines.iter().map(|(offset, size, flags, line)| (*offset, *size, *flags, &line[..])).collect();
        assert_eq!(
            shape,
            [
                (0, 0, 0, &b""[..]),
                (1, 0, flag::CRLF, b""),
                (3, 3, flag::CRLF, b"a\0b"),
                (8, 2, 0, b"\xff\xfe"),
                (11, 4, flag::UNTERMINATED, b"")
            ]
        );
    }

    #[test]
    fn carriage_return_alone_stays_in_its_line() {
        let lines = lines_of(b"a\rb\nc\r", || 1, 100);
        assert_eq!(lines[0], (0, 3, 0, b"a\rb".to_vec()));
        assert_eq!(lines[1], (4, 2, flag::UNTERMINATED, Vec::new()));
    }

    #[test]
    fn longer_than_the_bound_is_cut_and_keeps_its_size() {
        let long = vec![b'x'; 200_000];
        for terminator in [&b"\n"[..], b"\r\n"] {
            for read in [150_000, 70_000, 1, 200_000, 200_001] {
                let content = [b"a\n", &long[..], terminator, b"b\n"].concat();
                let lines = lines_of(&content, || read, 1000);
                let crlf = if terminator.len() == 2 { flag::CRLF } else { 0 };
                assert_eq!(lines[1], (2, 200_000, flag::TRUNCATED | crlf, long[..1000].to_vec()), "{read}");
                assert_eq!(lines[2].3, b"b", "{read}");
            }
        }
    }

    #[test]
    fn full_chunk_goes_on_in_the_next() {
        let content = vec![b'\n'; 3 * CHUNK_LINES_MAX + 5];
        let mut splitter = Splitter::at(0);
        let mut counts = Vec::new();
        loop {
            let mut lines = Lines::default();
            let split = splitter.split(0, &content, 10, &mut lines);
            counts.push(lines.marks.len());
            if split == Split::Done {
                break;
            }
        }
        assert_eq!(counts, [CHUNK_LINES_MAX, CHUNK_LINES_MAX, CHUNK_LINES_MAX, 5]);
    }

    #[test]
    fn pieces_do_not_change_the_lines() {
        let seed = Random::seed();
        let mut random = Random::new(seed);
        for _ in 0..50 {
            let content: Vec<u8> = (0..2000).map(|_| b"ab\r\n\0"[random.below(5)]).collect();
            let whole = lines_of(&content, || content.len(), 20);
            let pieces = lines_of(&content, || 1 + random.below(97), 20);
            assert_eq!(whole, pieces, "seed {seed}");
        }
    }
}
