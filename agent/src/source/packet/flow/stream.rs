//! One side of a connection put in order: segments in, bytes without holes out.
//!
//! Bounds: what comes early is held up to [`EARLY_BYTES_MAX`] and [`EARLY_SEGMENTS_MAX`] a side; beyond that the hole in
//! front of it is given up and told. What overlaps is taken from who came first.

use std::collections::BTreeMap;

use super::tcp::at_or_behind;

/// Bytes that are held out of order.
pub const EARLY_BYTES_MAX: usize = 32 << 10;
/// Segments that are held out of order.
pub const EARLY_SEGMENTS_MAX: usize = 64;

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// So many bytes never came.
    Gap(u64),
}

/// What came early, by its distance from the first byte of the stream.
#[derive(Default, Debug)]
struct Early {
    segments: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

/// One side.
#[derive(Default, Debug)]
pub struct Stream {
    /// The sequence number of the next byte, once one is known.
    next: Option<u32>,
    /// What came early; most streams never have any.
    early: Option<Box<Early>>,
    /// Bytes that went out, holes included.
    at: u64,
}

impl Stream {
    /// The sequence number of the first byte, as its SYN says.
    pub fn begin(&mut self, first: u32) {
        self.next.get_or_insert(first);
    }

    /// Bytes held out of order.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.early.as_ref().map_or(0, |early| early.bytes)
    }

    /// Takes a segment; `missing` bytes of it behind `payload` were not captured.
    pub fn segment(&mut self, sequence: u32, payload: &[u8], missing: u32, out: &mut dyn FnMut(Piece<'_>)) {
        let next = *self.next.get_or_insert(sequence);
        let (mut payload, ahead) = if at_or_behind(sequence, next) {
            (payload, u64::from(sequence.wrapping_sub(next)))
        } else {
            let known = next.wrapping_sub(sequence) as usize;
            (payload.get(known..).unwrap_or_default(), 0)
        };
        if payload.is_empty() && missing == 0 {
            return;
        }
        if ahead > 0 {
            // Beyond any window: it is not of this stream.
            if ahead < 1 << 30 {
                self.hold(self.at + ahead, payload);
            }
            let full = |early: &Early| early.bytes > EARLY_BYTES_MAX || early.segments.len() > EARLY_SEGMENTS_MAX;
            while self.early.as_deref().is_some_and(full) {
                self.give_up(out);
            }
            return;
        }
        self.emit(&mut payload, out);
        if missing > 0 && at_or_behind(sequence.wrapping_add(missing), next) {
            out(Piece::Gap(u64::from(missing)));
            self.advance(u64::from(missing));
        }
        self.drain(out);
    }

    fn emit(&mut self, payload: &mut &[u8], out: &mut dyn FnMut(Piece<'_>)) {
        if !payload.is_empty() {
            out(Piece::Bytes(payload));
            self.advance(payload.len() as u64);
        }
    }

    fn advance(&mut self, by: u64) {
        self.at += by;
        let wrapped = u32::try_from(by & u64::from(u32::MAX)).unwrap_or(0);
        self.next = self.next.map(|next| next.wrapping_add(wrapped));
    }

    fn hold(&mut self, at: u64, payload: &[u8]) {
        // Whoever came first stays, also where the second is longer: its rest comes again or is a gap.
        let early = self.early.get_or_insert_default();
        if let std::collections::btree_map::Entry::Vacant(place) = early.segments.entry(at) {
            let bytes = payload.get(..EARLY_BYTES_MAX).unwrap_or(payload).to_vec();
            early.bytes += bytes.len();
            place.insert(bytes);
        }
    }

    /// What lies at the front now.
    fn drain(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        while let Some(early) = &mut self.early {
            let Some(entry) = early.segments.first_entry() else {
                self.early = None;
                return;
            };
            if *entry.key() > self.at {
                return;
            }
            let (at, bytes) = entry.remove_entry();
            early.bytes -= bytes.len();
            let known = usize::try_from(self.at - at).unwrap_or(usize::MAX);
            let mut fresh = bytes.get(known..).unwrap_or_default();
            self.emit(&mut fresh, out);
        }
    }

    /// The other side has everything before `number`: a hole before it is one of the capture, and will not be filled.
    pub fn acknowledged(&mut self, number: u32, out: &mut dyn FnMut(Piece<'_>)) {
        for _ in 0..=EARLY_SEGMENTS_MAX {
            let (Some(next), Some(early)) = (self.next, &self.early) else { return };
            let Some((&at, _)) = early.segments.first_key_value() else { return };
            if !at_or_behind(number, next) || at.saturating_sub(self.at) > u64::from(number.wrapping_sub(next)) {
                return;
            }
            self.give_up(out);
        }
    }

    /// The hole in front of what is held will not be filled.
    pub fn give_up(&mut self, out: &mut dyn FnMut(Piece<'_>)) {
        if let Some((at, _)) = self.early.as_ref().and_then(|early| early.segments.first_key_value()) {
            let hole = at.saturating_sub(self.at);
            if hole > 0 {
                out(Piece::Gap(hole));
                self.advance(hole);
            }
            self.drain(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(segments: &[(u32, &[u8])]) -> (Vec<u8>, u64, Stream) {
        let (mut stream, mut bytes, mut gaps) = (Stream::default(), Vec::new(), 0);
        stream.begin(u32::MAX - 2);
        for (sequence, payload) in segments {
            stream.segment(*sequence, payload, 0, &mut |piece| match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Gap(len) => gaps += len,
            });
        }
        (bytes, gaps, stream)
    }

    #[test]
    fn segments_come_out_in_order_across_the_turn_of_the_numbers() {
        let first = u32::MAX - 2;
        let (bytes, gaps, stream) =
            put(&[(first.wrapping_add(4), b"efg"), (first, b"ab"), (first, b"ab"), (first.wrapping_add(1), b"bcde")]);
        assert_eq!((bytes.as_slice(), gaps, stream.held_bytes()), (b"abcdefg".as_slice(), 0, 0));
    }

    #[test]
    fn hole_that_the_other_side_acknowledges_is_given_up_at_once() {
        let first = u32::MAX - 2;
        let (mut bytes, mut gaps, mut stream) = put(&[(first, b"ab"), (first.wrapping_add(4), b"ef")]);
        assert_eq!((bytes.as_slice(), stream.held_bytes()), (b"ab".as_slice(), 2));
        for (number, expected) in [(first.wrapping_add(2), 0), (first.wrapping_add(3), 0), (first.wrapping_add(4), 2)] {
            stream.acknowledged(number, &mut |piece| match piece {
                Piece::Bytes(more) => bytes.extend_from_slice(more),
                Piece::Gap(len) => gaps += len,
            });
            assert_eq!(gaps, expected);
        }
        assert_eq!((bytes.as_slice(), stream.held_bytes()), (b"abef".as_slice(), 0));
    }

    #[test]
    fn what_is_held_is_bounded_and_the_hole_is_told() {
        let mut segments: Vec<(u32, &[u8])> = Vec::new();
        let piece = [7; 1000];
        let first = u32::MAX - 2;
        for number in 1..100_u32 {
            segments.push((first.wrapping_add(number * 1000), &piece));
        }
        let (bytes, gaps, stream) = put(&segments);
        assert_eq!((bytes.len(), gaps), (99_000, 1000));
        assert!(stream.held_bytes() <= EARLY_BYTES_MAX);
    }
}
