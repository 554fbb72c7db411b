//! Parquet's number encodings: RLE/bit-packed hybrid, DELTA_BINARY_PACKED, plain bits.
//!
//! Slices of numbers in, bytes appended to a page out. The formats are those of parquet-format's
//! `Encodings.md`. They stand here, and not in the `parquet` crate's column writers, because a text column of
//! the lake is a dictionary already when it is written: the crate takes each value as a counted buffer of its
//! own and hashes it once more, and knows no column that is absent but for two bytes of levels.

/// Values in a block of DELTA_BINARY_PACKED, in four miniblocks of 32.
const DELTA_BLOCK: usize = 128;
const DELTA_MINIBLOCK: usize = 32;

/// How many bits the numbers `0..=max` need.
pub(super) fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// ULEB128.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned(), out);
}

/// Packs numbers of `width` bits, the least significant bit first.
struct Packer<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    bits: u32,
}

impl<'a> Packer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, bits: 0 }
    }

    /// Appends the low `width` ≤ 32 bits of `value`; the others must be zero.
    fn put_short(&mut self, value: u64, width: u32) {
        self.pending |= value << self.bits;
        self.bits += width;
        if self.bits >= 32 {
            let [b0, b1, b2, b3, ..] = self.pending.to_le_bytes();
            self.out.extend_from_slice(&[b0, b1, b2, b3]);
            self.pending >>= 32;
            self.bits -= 32;
        }
    }

    fn put(&mut self, value: u64, width: u32) {
        if width > 32 {
            self.put_short(value & 0xffff_ffff, 32);
            self.put_short(value >> 32, width - 32);
        } else {
            self.put_short(value, width);
        }
    }

    /// Writes what is left, up to the next byte boundary.
    fn finish(mut self) {
        while self.bits > 0 {
            let [low, ..] = self.pending.to_le_bytes();
            self.out.push(low);
            self.pending >>= 8;
            self.bits = self.bits.saturating_sub(8);
        }
    }
}

/// One RLE run of the hybrid encoding.
pub(super) fn hybrid_run(value: u64, count: usize, width: u32, out: &mut Vec<u8>) {
    if count > 0 {
        varint((count as u64) << 1, out);
        out.extend(value.to_le_bytes().iter().take(width.div_ceil(8) as usize));
    }
}

/// The RLE/bit-packed hybrid: runs of eight and more equal values as runs, the rest packed in eights.
pub(super) fn hybrid<T: Copy + PartialEq + Into<u64>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    let mut pending = values;
    let mut literals = 0;
    loop {
        let rest = pending.split_at(literals.min(pending.len())).1;
        let Some(&first) = rest.first() else { break };
        let eights = rest.chunks_exact(8).take_while(|eight| eight.iter().all(|v| *v == first)).count();
        if eights == 0 {
            literals += 8;
            continue;
        }
        let (packed, after) = pending.split_at(literals);
        hybrid_literals(packed, width, out);
        let tail = after.iter().skip(eights * 8).take(8).take_while(|v| **v == first).count();
        hybrid_run(first.into(), eights * 8 + tail, width, out);
        pending = after.split_at(eights * 8 + tail).1;
        literals = 0;
    }
    hybrid_literals(pending, width, out);
}

/// One bit-packed run; only the last one of a page may be short of a multiple of eight (padded with 0).
fn hybrid_literals<T: Copy + Into<u64>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let eights = values.len().div_ceil(8);
    varint(((eights as u64) << 1) | 1, out);
    let mut packer = Packer::new(out);
    for value in values {
        packer.put_short((*value).into(), width);
    }
    for _ in values.len()..eights * 8 {
        packer.put_short(0, width);
    }
    packer.finish();
}

/// DELTA_BINARY_PACKED. With `narrow` the column is an INT32 and differences wrap at 32 bits, as its
/// readers expect.
pub(super) fn delta(mut values: impl ExactSizeIterator<Item = i64>, narrow: bool, out: &mut Vec<u8>) {
    varint(DELTA_BLOCK as u64, out);
    varint((DELTA_BLOCK / DELTA_MINIBLOCK) as u64, out);
    varint(values.len() as u64, out);
    let mut previous = values.next().unwrap_or(0);
    zigzag(previous, out);
    let mut block = Vec::with_capacity(DELTA_BLOCK);
    for value in values {
        let difference = value.wrapping_sub(previous);
        block.push(if narrow { wrap_to_32(difference) } else { difference });
        previous = value;
        if block.len() == DELTA_BLOCK {
            delta_block(&block, out);
            block.clear();
        }
    }
    delta_block(&block, out);
}

/// The difference of two 32-bit numbers, taken modulo 2³² into −2³¹ … 2³¹ − 1.
fn wrap_to_32(difference: i64) -> i64 {
    let [b0, b1, b2, b3, ..] = difference.to_le_bytes();
    i64::from(i32::from_le_bytes([b0, b1, b2, b3]))
}

fn delta_block(deltas: &[i64], out: &mut Vec<u8>) {
    let Some(&least) = deltas.iter().min() else { return };
    zigzag(least, out);
    let above = |delta: i64| delta.wrapping_sub(least).cast_unsigned();
    let width = |mini: &[i64]| width_of(mini.iter().fold(0, |bits, d| bits | above(*d)));
    let mut widths = [0u8; DELTA_BLOCK / DELTA_MINIBLOCK];
    for (slot, mini) in widths.iter_mut().zip(deltas.chunks(DELTA_MINIBLOCK)) {
        *slot = u8::try_from(width(mini)).unwrap_or(64);
    }
    out.extend_from_slice(&widths);
    for (bits, mini) in widths.iter().zip(deltas.chunks(DELTA_MINIBLOCK)) {
        let bits = u32::from(*bits);
        let mut packer = Packer::new(out);
        for delta in mini {
            packer.put(above(*delta), bits);
        }
        for _ in mini.len()..DELTA_MINIBLOCK {
            packer.put(0, bits);
        }
        packer.finish();
    }
}

/// PLAIN booleans: one bit each, the least significant first.
pub(super) fn plain_bits(values: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    let mut packer = Packer::new(out);
    for value in values {
        packer.put_short(u64::from(value), 1);
    }
    packer.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the hybrid encoding back, by the letter of `Encodings.md`.
    fn read_hybrid(mut bytes: &[u8], width: u32, count: usize) -> Vec<u64> {
        let mut out = Vec::new();
        while out.len() < count {
            let header = read_varint(&mut bytes);
            if header & 1 == 0 {
                let size = width.div_ceil(8) as usize;
                let mut value = [0u8; 8];
                value[..size].copy_from_slice(&bytes[..size]);
                bytes = &bytes[size..];
                out.extend(std::iter::repeat_n(u64::from_le_bytes(value), usize::try_from(header >> 1).unwrap()));
            } else {
                let values = usize::try_from(header >> 1).unwrap() * 8;
                for i in 0..values {
                    let bit = |b: usize| u64::from(bytes[b / 8] >> (b % 8) & 1);
                    out.push((0..width as usize).map(|b| bit(i * width as usize + b) << b).sum());
                }
                bytes = &bytes[values * width as usize / 8..];
            }
        }
        assert!(bytes.is_empty(), "{} bytes left", bytes.len());
        out.truncate(count);
        out
    }

    fn read_varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
            shift += 7;
        }
    }

    #[test]
    fn hybrid_reads_back_whatever_the_runs_and_widths() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for width in [1, 2, 3, 7, 8, 9, 16, 17, 32] {
            for length in [0, 1, 7, 8, 9, 63, 64, 65, 1000] {
                let mut values = Vec::new();
                while values.len() < length {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let run = if seed >> 60 < 6 { (seed >> 40) as usize % 40 } else { 1 };
                    values.extend(std::iter::repeat_n((seed >> 20) & ((1 << width) - 1), run));
                }
                values.truncate(length);
                let mut bytes = Vec::new();
                hybrid(&values, width, &mut bytes);
                assert_eq!(read_hybrid(&bytes, width, length), values, "width {width} length {length}");
            }
        }
    }

    #[test]
    fn a_constant_costs_a_few_bytes() {
        let mut bytes = Vec::new();
        hybrid(&vec![3u8; 65_536], 2, &mut bytes);
        assert!(bytes.len() <= 4);
        bytes.clear();
        hybrid_run(0, 65_536, 0, &mut bytes);
        assert_eq!(read_hybrid(&bytes, 0, 65_536).len(), 65_536);
    }
}
