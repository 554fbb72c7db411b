//! The columns of numbers of a batch, checked and spread over its records.
//!
//! In: one column at a time. Out: a [`Mark`] for each record, or which column does not hold together with the others.

use super::{BatchError, FLAG_TYPED, Line, varint};

/// What the columns say of one record.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    pub(super) end: usize,
    pub(super) origin: u32,
    pub(super) flags: u8,
    pub(super) read_at: i64,
    pub(super) offset: u64,
    pub(super) full_size: u64,
}

/// A mark for each record, with where its bytes end.
pub(super) fn lengths(column: &[u8], count: usize, total: usize) -> Result<Vec<Mark>, BatchError> {
    let bad = |what| BatchError { column: "length", what };
    if column.len() < count {
        return Err(bad("has fewer entries than records"));
    }
    let mut marks = Vec::with_capacity(count);
    let (mut input, mut end) = (column, 0usize);
    for _ in 0..count {
        let len =
            varint::unsigned(&mut input).and_then(|len| usize::try_from(len).ok()).ok_or(bad("does not decode"))?;
        end = end.checked_add(len).filter(|&end| end <= total).ok_or(bad("runs past the bytes"))?;
        marks.push(Mark { end, full_size: len as u64, ..Mark::default() });
    }
    if end == total && input.is_empty() { Ok(marks) } else { Err(bad("does not add up to the bytes")) }
}

/// Applies runs to the marks, in order; they must cover all of them. An absent column is all 0.
pub(super) fn runs(
    name: &'static str,
    column: Option<&[u8]>,
    marks: &mut [Mark],
    mut apply: impl FnMut(&mut Mark, i64) -> bool,
) -> Result<(), BatchError> {
    let bad = |what| BatchError { column: name, what };
    let Some(mut input) = column else {
        return if marks.iter_mut().all(|mark| apply(mark, 0)) { Ok(()) } else { Err(bad("is missing")) };
    };
    let mut rest = marks.iter_mut();
    while !input.is_empty() {
        let run = varint::unsigned(&mut input).zip(varint::signed(&mut input));
        let (count, value) = run.ok_or(bad("does not decode"))?;
        for _ in 0..count {
            let mark = rest.next().ok_or(bad("covers more records than there are"))?;
            if !apply(mark, value) {
                return Err(bad("is out of range"));
            }
        }
    }
    if rest.next().is_none() { Ok(()) } else { Err(bad("does not cover every record")) }
}

/// Runs of deltas: each run's first record steps on from the run before, the others repeat it.
pub(super) fn read_times(column: &[u8], marks: &mut [Mark]) -> Result<(), BatchError> {
    let bad = |what| BatchError { column: "read_at", what };
    let (mut input, mut at, mut rest) = (column, 0i64, marks.iter_mut());
    while !input.is_empty() {
        let run = varint::unsigned(&mut input).zip(varint::signed(&mut input));
        let (count, delta) = run.ok_or(bad("does not decode"))?;
        at = at.wrapping_add(delta);
        for _ in 0..count {
            rest.next().ok_or(bad("covers more records than there are"))?.read_at = at;
        }
    }
    if rest.next().is_none() { Ok(()) } else { Err(bad("does not cover every record")) }
}

/// Walks entries `(records since the last entry, value)`.
fn entries(name: &'static str, column: &[u8], mut apply: impl FnMut(usize, u64) -> bool) -> Result<(), BatchError> {
    let bad = |what| BatchError { column: name, what };
    let (mut input, mut record) = (column, 0u64);
    while !input.is_empty() {
        let entry = varint::unsigned(&mut input).zip(varint::unsigned(&mut input));
        let (skip, value) = entry.ok_or(bad("does not decode"))?;
        record = record.saturating_add(skip);
        if !apply(usize::try_from(record).unwrap_or(usize::MAX), value) {
            return Err(bad("names a record that is not there"));
        }
    }
    Ok(())
}

/// The sizes of records that were cut.
pub(super) fn full_sizes(column: &[u8], marks: &mut [Mark]) -> Result<(), BatchError> {
    entries("full_size", column, |record, size| marks.get_mut(record).map(|mark| mark.full_size = size).is_some())
}

/// Where each line stands in its file: behind the one before it, but for the jumps that the column names.
pub(super) fn offsets(column: &[u8], marks: &mut [Mark], origins: usize) -> Result<(), BatchError> {
    let mut jumps = Vec::new();
    entries("offset", column, |record, value| {
        jumps.push((record, value));
        record < marks.len()
    })?;
    let mut jumps = jumps.into_iter().peekable();
    let mut predicted = vec![0u64; origins];
    for (record, mark) in marks.iter_mut().enumerate() {
        let Some(expected) = predicted.get_mut(mark.origin as usize) else { continue };
        if mark.flags & FLAG_TYPED != 0 {
            continue;
        }
        mark.offset = *expected;
        if let Some((_, jump)) = jumps.next_if(|(at, _)| *at == record) {
            mark.offset = expected.wrapping_add(varint::unzigzag(jump).cast_unsigned());
        }
        let line = Line { bytes: &[], offset: mark.offset, full_size: mark.full_size, flags: mark.flags };
        *expected = line.end();
    }
    Ok(())
}
