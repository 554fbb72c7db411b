//! [`Spaces`]: the order of a row group, and the levels that say where its values stand.
//!
//! Buffered rows come in; out go, for each column, its bits in the order of time and the definition and
//! repetition levels of its pages (Dremel's encoding, parquet-format "Nested Encoding"). Rows of equal time
//! keep the order in which they came; rows that came in order are not touched.

use std::borrow::Cow;
use std::ops::Range;

use super::columns::{Bits, List};
use super::encode;
use super::rows::Rows;
use super::schema::{Layout, Leaf};

/// In an outline: an element, whose level each column knows for itself.
const ELEMENT: u8 = u8::MAX;

/// Which members of a space have a value, in the order of the file.
#[derive(Clone, Debug)]
pub(super) enum Presence {
    None,
    All,
    Some(Bits),
}

/// What the columns of one list have in common.
#[derive(Debug, Default)]
struct Outline {
    elements: usize,
    order: Option<Vec<u32>>,
    /// One entry for each element, and for each row without the list that row's level.
    levels: Vec<u8>,
    /// The repetition levels, encoded.
    repetitions: Vec<u8>,
}

/// The order of rows and elements, and which objects are there.
#[derive(Debug)]
pub(super) struct Spaces {
    rows: usize,
    order: Option<Vec<u32>>,
    lists: Vec<Outline>,
    groups: Vec<Presence>,
}

impl Spaces {
    pub(super) fn of(rows: &Rows) -> Self {
        let layout = &rows.layout;
        let lists = rows.lists.iter().map(|list| Outline { elements: list.elements, ..Outline::default() }).collect();
        let mut spaces = Self { rows: rows.len(), order: order_by(&rows.times), lists, groups: Vec::new() };
        if let Some(order) = &spaces.order {
            for (outline, list) in spaces.lists.iter_mut().zip(&rows.lists).filter(|(_, list)| list.elements > 0) {
                outline.order = Some(element_order(list, order));
            }
        }
        spaces.groups = spaces.group_presence(layout, rows);
        for index in 0..spaces.lists.len() {
            spaces.outline(layout, rows, index);
        }
        spaces
    }

    /// How many members the space of a column has.
    fn members(&self, list: Option<usize>) -> usize {
        list.map_or(self.rows, |list| self.lists.get(list).map_or(0, |outline| outline.elements))
    }

    fn order_of(&self, list: Option<usize>) -> Option<&[u32]> {
        list.map_or(self.order.as_deref(), |list| self.lists.get(list)?.order.as_deref())
    }

    /// Bits of a space in the order of the file; `count` of them are set.
    pub(super) fn presence(&self, list: Option<usize>, bits: &Bits, count: usize) -> Presence {
        match self.order_of(list) {
            _ if count == 0 => Presence::None,
            _ if count == self.members(list) => Presence::All,
            None => Presence::Some(bits.clone()),
            Some(order) => {
                let mut sorted = Bits::default();
                for chunk in order.chunks(64) {
                    let bit = |(at, from): (usize, &u32)| u64::from(bits.get(*from as usize)) << at;
                    sorted.push_word(chunk.iter().enumerate().map(bit).fold(0, |word, bit| word | bit));
                }
                Presence::Some(sorted)
            }
        }
    }

    /// In which order the values of a column stand in the file; `None`: as they are.
    pub(super) fn value_order(&self, list: Option<usize>, bits: &Bits, count: usize) -> Option<Cow<'_, [u32]>> {
        let order = self.order_of(list)?;
        if count == order.len() {
            return Some(Cow::Borrowed(order));
        }
        let ranks = bits.ranks();
        let rank = |member: u32| {
            let (index, bit) = (member as usize / 64, member % 64);
            let word = bits.word(index);
            let below = (word & ((1 << bit) - 1)).count_ones();
            (word >> bit & 1 == 1).then(|| ranks.get(index).map_or(0, |rank| rank + below))
        };
        Some(order.iter().filter_map(|member| rank(*member)).collect())
    }

    /// Appends the levels of a page as data page version 1 has them (length, then the hybrid encoding),
    /// and returns how many entries it has. `rows` begins at a multiple of 64.
    pub(super) fn levels(
        &self,
        layout: &Layout,
        leaf: &Leaf,
        presence: &Presence,
        rows: Range<usize>,
        out: &mut Vec<u8>,
    ) -> usize {
        let groups = |groups: &[usize]| groups.iter().filter_map(|group| self.groups.get(*group)).collect::<Vec<_>>();
        let Some((node, outline)) = leaf.list.and_then(|l| Some((layout.lists.get(l)?, self.lists.get(l)?))) else {
            let mut above = groups(&leaf.groups);
            above.push(presence);
            let width = encode::width_of(above.len() as u64);
            let count = rows.len();
            prefixed(out, |out| row_levels(&above, 0, rows, width, out));
            return count;
        };
        let width = encode::width_of((node.groups.len() + 2 + leaf.groups.len() + 1) as u64);
        out.extend_from_slice(&outline.repetitions);
        if outline.elements == 0 {
            let above = groups(&node.groups);
            prefixed(out, |out| row_levels(&above, 0, 0..self.rows, width, out));
            return self.rows;
        }
        let mut inside = groups(&leaf.groups);
        inside.push(presence);
        let (base, partial) = split(&inside, node.groups.len() + 2);
        let mut element = 0..;
        let level = |entry: &u8| match (*entry, partial.as_slice()) {
            (ELEMENT, []) => base,
            (ELEMENT, partial) => {
                let at = element.next().unwrap_or_default();
                base + partial.iter().map(|bits| u8::from(bits.get(at))).sum::<u8>()
            }
            (level, _) => level,
        };
        let levels: Vec<u8> = outline.levels.iter().map(level).collect();
        prefixed(out, |out| encode::hybrid(&levels, width, out));
        levels.len()
    }

    /// Which objects are there: those of which any column has a value.
    fn group_presence(&self, layout: &Layout, rows: &Rows) -> Vec<Presence> {
        let mut everywhere = vec![false; layout.groups.len()];
        let mut united = vec![Bits::default(); layout.groups.len()];
        let leaves = layout.leaves.iter().zip(&rows.columns).filter(|(leaf, _)| !leaf.groups.is_empty());
        let leaves = leaves.map(|(leaf, column)| (&leaf.groups, leaf.list, column.present(), column.values.len()));
        let lists = layout.lists.iter().zip(&rows.lists);
        let lists = lists.map(|(node, list)| (&node.groups, None, Cow::Borrowed(&list.present), list.lengths.len()));
        for (groups, list, bits, count) in leaves.chain(lists).filter(|(.., count)| *count > 0) {
            for group in groups {
                if let (Some(everywhere), Some(united)) = (everywhere.get_mut(*group), united.get_mut(*group)) {
                    *everywhere |= count == self.members(list);
                    if !*everywhere {
                        united.unite(&bits);
                    }
                }
            }
        }
        let presence = |((list, everywhere), bits): ((&Option<usize>, &bool), &Bits)| match everywhere {
            true => Presence::All,
            false => self.presence(*list, bits, bits.count()),
        };
        layout.groups.iter().zip(&everywhere).zip(&united).map(presence).collect()
    }

    fn outline(&mut self, layout: &Layout, rows: &Rows, index: usize) {
        let (Some(node), Some(list)) = (layout.lists.get(index), rows.lists.get(index)) else { return };
        let (mut levels, mut repetitions) = (Vec::new(), Vec::new());
        if list.elements == 0 {
            prefixed(&mut repetitions, |out| encode::hybrid_run(0, self.rows, 1, out));
        } else {
            let above: Vec<&Presence> = node.groups.iter().filter_map(|group| self.groups.get(*group)).collect();
            let (base, partial) = split(&above, 0);
            let mut repeats: Vec<u8> = Vec::with_capacity(list.elements + self.rows);
            let lengths = lengths_by_row(list, self.rows);
            let length = |row: usize| lengths.get(row).copied().unwrap_or(0) as usize;
            for at in 0..self.rows {
                let row = self.order.as_ref().and_then(|order| order.get(at)).map_or(at, |row| *row as usize);
                match length(row) {
                    0 => {
                        levels.push(base + partial.iter().map(|bits| u8::from(bits.get(at))).sum::<u8>());
                        repeats.push(0);
                    }
                    length => {
                        levels.resize(levels.len() + length, ELEMENT);
                        repeats.push(0);
                        repeats.resize(repeats.len() + length - 1, 1);
                    }
                }
            }
            prefixed(&mut repetitions, |out| encode::hybrid(&repeats, 1, out));
        }
        if let Some(outline) = self.lists.get_mut(index) {
            outline.levels = levels;
            outline.repetitions = repetitions;
        }
    }
}

/// Rows by time; `None` where they already are.
fn order_by(times: &[i64]) -> Option<Vec<u32>> {
    if times.is_sorted() {
        return None;
    }
    let mut keyed: Vec<(i64, u32)> = times.iter().copied().zip(0..).collect();
    keyed.sort_unstable();
    Some(keyed.into_iter().map(|(_, row)| row).collect())
}

fn element_order(list: &List, rows: &[u32]) -> Vec<u32> {
    let lengths = lengths_by_row(list, rows.len());
    let start = |sum: &mut u32, length: &u32| {
        let start = *sum;
        *sum += length;
        Some((start, *length))
    };
    let spans: Vec<(u32, u32)> = lengths.iter().scan(0, start).collect();
    let span = |row: &u32| spans.get(*row as usize).copied().unwrap_or((0, 0));
    rows.iter().map(span).flat_map(|(start, length)| start..start + length).collect()
}

/// How many elements each row has.
fn lengths_by_row(list: &List, rows: usize) -> Vec<u32> {
    let mut lengths = list.lengths.iter().copied();
    (0..rows).map(|row| if list.present.get(row) { lengths.next().unwrap_or(0) } else { 0 }).collect()
}

/// What is there everywhere, as a level, and the bits of what is there in places. Each stands inside the
/// one before it, so that nothing follows what is nowhere.
fn split<'p>(above: &[&'p Presence], base: usize) -> (u8, Vec<&'p Bits>) {
    let everywhere = above.iter().filter(|p| matches!(p, Presence::All)).count();
    let partial = above.iter().filter_map(|p| if let Presence::Some(bits) = p { Some(bits) } else { None });
    (u8::try_from(base + everywhere).unwrap_or(u8::MAX), partial.collect())
}

/// The definition levels of rows: how many of `above` are there.
fn row_levels(above: &[&Presence], base: usize, rows: Range<usize>, width: u32, out: &mut Vec<u8>) {
    let (base, partial) = split(above, base);
    if partial.is_empty() {
        return encode::hybrid_run(base.into(), rows.len(), width, out);
    }
    let mut levels: Vec<u8> = Vec::with_capacity(rows.len());
    for start in rows.clone().step_by(64) {
        let count = (rows.end - start).min(64);
        let mask = u64::MAX >> (64 - count);
        let words = partial.iter().map(|bits| bits.word(start / 64) & mask);
        if words.clone().all(|word| word == 0 || word == mask) {
            let full = words.map(|word| u8::from(word == mask)).sum::<u8>();
            levels.resize(levels.len() + count, base + full);
        } else {
            let at = levels.len();
            levels.resize(at + count, base);
            for word in words {
                for (bit, level) in levels.iter_mut().skip(at).enumerate() {
                    *level += u8::from(word >> bit & 1 == 1);
                }
            }
        }
    }
    encode::hybrid(&levels, width, out);
}

/// Appends what `write` writes behind its length.
fn prefixed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX).to_le_bytes();
    for (slot, byte) in out.iter_mut().skip(at).zip(length) {
        *slot = byte;
    }
}
