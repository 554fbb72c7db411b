//! [`Encoder`]: a row group of buffered columns becomes Parquet column chunks.
//!
//! Each column picks its own encoding from what it holds: `metadata.uid` DELTA_BYTE_ARRAY (3,600 ids of one
//! chain cost 3 KB), text a dictionary or DELTA_LENGTH_BYTE_ARRAY, numbers a small dictionary or
//! DELTA_BINARY_PACKED, a constant one dictionary entry and one run. A column without values is one page of
//! a few bytes. Chunks of more than [`SMALL`] bytes are compressed with zstd level 1.
//!
//! Statistics (minimum, maximum, nulls) stand at the chunk, and only where they cost next to nothing: over a
//! dictionary and over numbers. There is no page index.

use std::io::{self, Write};
use std::ops::Range;

use parquet::basic::Encoding;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::chunk::{Chunk, Finished, null_statistics, number_statistics, text_statistics};
use super::columns::Values;
use super::encode;
use super::narrow::{Narrow, sorted};
use super::rows::Rows;
use super::schema::{Leaf, Source};
use super::spaces::{Presence, Spaces};
use super::texts::Texts;
use super::uids::{Uid, Uids};
use crate::schema::Kind;

/// A chunk below this size is not worth compressing.
const SMALL: usize = 128;
/// A page of text ends when it has this many bytes (and the next 64 rows end): what fits the second-level
/// cache together with zstd's tables.
const PAGE_BYTES: usize = 256 << 10;
/// zstd looks for no shorter repetitions: lines are as small without them, and a tenth faster.
const MATCH_BYTES_MIN: u32 = 7;
/// The most distinct numbers that get a dictionary.
const NUMBERS_MAX: usize = 256;
/// A least or greatest text longer than this is left out.
const STATISTICS_TEXT_MAX: usize = 64;

/// Turns row groups into column chunks. It keeps a zstd context and scratch memory between them.
pub(super) struct Encoder {
    zstd: Compressor<'static>,
    page: Vec<u8>,
    packed: Vec<u8>,
}

/// One column on its way into the file.
struct Target<'a> {
    rows: &'a Rows,
    spaces: &'a Spaces,
    leaf: &'a Leaf,
    descriptor: ColumnDescPtr,
    presence: Presence,
    /// How many values it has.
    values: usize,
}

impl Encoder {
    pub(super) fn new() -> io::Result<Self> {
        let mut zstd = Compressor::new(1)?;
        zstd.set_parameter(CParameter::MinMatch(MATCH_BYTES_MIN))?;
        Ok(Self { zstd, page: Vec::new(), packed: Vec::new() })
    }

    /// Writes all columns of `rows`, sorted by time.
    pub(super) fn row_group<W: Write + Send>(
        &mut self,
        rows: &mut Rows,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        rows.end_run();
        let spaces = Spaces::of(rows);
        let leaves = rows.layout.leaves.iter().zip(rows.layout.descriptor.columns()).zip(&rows.columns);
        for ((leaf, descriptor), column) in leaves {
            let own = !matches!(leaf.source, Source::Attribute | Source::Unmapped);
            let values = if own { rows.len() } else { column.values.len() };
            let present = column.present();
            let presence = if own { Presence::All } else { spaces.presence(leaf.list, &present, values) };
            let target = Target { rows, spaces: &spaces, leaf, descriptor: descriptor.clone(), presence, values };
            let order = spaces.value_order(leaf.list, &present, values);
            let chunk = match (leaf.source, &column.values) {
                (Source::Attribute | Source::Unmapped, _) if values == 0 => self.nothing(&target),
                (Source::Attribute | Source::Unmapped, Values::Text(texts)) => {
                    self.texts(&target, texts, order.as_deref())
                }
                (Source::Attribute | Source::Unmapped, Values::Int(numbers)) => {
                    match numbers.constant().filter(|_| leaf.kind != Kind::Bool) {
                        Some(number) => self.constant_number(&target, number),
                        None => self.numbers(&target, &numbers.sorted(order.as_deref())),
                    }
                }
                (Source::Attribute | Source::Unmapped, Values::Float(numbers)) => {
                    self.floats(&target, &sorted(numbers, order.as_deref()))
                }
                (source, _) => self.own(&target, source, order.as_deref()),
            };
            let (bytes, close) = chunk?;
            group.append_column(&bytes, close)?;
        }
        // A burst of long lines must not be paid for ever.
        self.page.shrink_to(16 * PAGE_BYTES);
        self.packed.shrink_to(16 * PAGE_BYTES);
        Ok(())
    }

    /// A column that the event itself fills.
    fn own(&mut self, target: &Target<'_>, source: Source, order: Option<&[u32]>) -> Result<Finished, ParquetError> {
        let (rows, class) = (target.rows, target.rows.layout.class);
        let widened = |bytes: &[u8], base: i64| -> Vec<i64> {
            sorted(bytes, order).iter().map(|byte| base + i64::from(*byte)).collect()
        };
        match source {
            Source::Time => self.numbers(target, &sorted(&rows.times, order)),
            Source::ActivityId => self.numbers(target, &widened(&rows.activities, 0)),
            Source::TypeUid => self.numbers(target, &widened(&rows.activities, i64::from(class.uid()) * 100)),
            Source::SeverityId => self.numbers(target, &widened(&rows.severities, 0)),
            Source::ClassUid => self.constant_number(target, class.uid().into()),
            Source::CategoryUid => self.constant_number(target, class.category_uid().into()),
            Source::ClassName => self.constant_text(target, class.caption()),
            Source::Uid => self.uids(target, &rows.uids, &sorted(&rows.uids.rows, order)),
            Source::Attribute | Source::Unmapped => self.nothing(target),
        }
    }

    /// A column without a single value.
    fn nothing(&mut self, target: &Target<'_>) -> Result<Finished, ParquetError> {
        let entries = self.begin_page(target, 0..target.rows.len());
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), None, &mut self.packed);
        chunk.data(&self.page, entries, Encoding::PLAIN)?;
        chunk.finish(null_statistics(&target.descriptor, entries))
    }

    /// A column of one value, given as PLAIN encodes it, wherever there is one.
    fn constant(
        &mut self,
        target: &Target<'_>,
        plain: &[u8],
        statistics: impl Fn(usize) -> Option<Statistics>,
    ) -> Result<Finished, ParquetError> {
        let entries = self.begin_page(target, 0..target.rows.len());
        self.page.push(0);
        encode::hybrid_run(0, target.values, 0, &mut self.page);
        let zstd = (self.page.len() + plain.len() > SMALL).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        chunk.dictionary(plain, 1)?;
        chunk.data(&self.page, entries, Encoding::RLE_DICTIONARY)?;
        chunk.finish(statistics(entries - target.values))
    }

    fn constant_number(&mut self, target: &Target<'_>, number: i64) -> Result<Finished, ParquetError> {
        let plain: Vec<u8> = plain_number(target, number).collect();
        self.constant(target, &plain, |nulls| number_statistics(&target.descriptor, (number, number), nulls))
    }

    fn constant_text(&mut self, target: &Target<'_>, text: &str) -> Result<Finished, ParquetError> {
        let mut plain = Vec::with_capacity(text.len() + 4);
        plain_text(text.as_bytes(), &mut plain)?;
        self.constant(target, &plain, |nulls| text_statistics(Some((text.as_bytes(), text.as_bytes())), nulls))
    }

    fn texts(&mut self, target: &Target<'_>, texts: &Texts, order: Option<&[u32]>) -> Result<Finished, ParquetError> {
        if texts.dictionary.is_none() {
            return self.plain_texts(target, texts, order);
        }
        let bounds = if target.leaf.list.is_none() { bounds(texts.arena.iter()) } else { None };
        let mut plain = Vec::with_capacity(texts.arena.bytes.len() + 4 * texts.arena.len());
        for text in texts.arena.iter() {
            plain_text(text, &mut plain)?;
        }
        if texts.arena.len() == 1 {
            return self.constant(target, &plain, |nulls| text_statistics(bounds, nulls));
        }
        let entries = self.begin_page(target, 0..target.rows.len());
        let (distinct, page) = (texts.arena.len(), &mut self.page);
        match &texts.ids {
            Narrow::Byte(ids) => push_ids(&sorted(ids, order), distinct, page),
            Narrow::Short(ids) => push_ids(&sorted(ids, order), distinct, page),
            Narrow::Wide(ids) => push_ids(&sorted(ids, order), distinct, page),
        }
        let zstd = (self.page.len() + plain.len() > SMALL).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        chunk.dictionary(&plain, texts.arena.len())?;
        chunk.data(&self.page, entries, Encoding::RLE_DICTIONARY)?;
        chunk.finish(text_statistics(bounds, entries - target.values))
    }

    /// DELTA_LENGTH_BYTE_ARRAY: all lengths of a page, then all its bytes.
    fn plain_texts(
        &mut self,
        target: &Target<'_>,
        texts: &Texts,
        order: Option<&[u32]>,
    ) -> Result<Finished, ParquetError> {
        let zstd = (texts.arena.bytes.len() + texts.arena.len() > SMALL).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        let mut nulls = 0;
        let mut from = 0;
        let lengths: Vec<usize> = texts.arena.lengths().collect();
        let lengths = sorted(&lengths, order);
        for (rows, values) in text_pages(target, &lengths) {
            self.page.clear();
            let levels = &mut self.page;
            let entries = target.spaces.levels(&target.rows.layout, target.leaf, &target.presence, rows, levels);
            let range = from..from + values;
            let lengths = lengths.get(range.clone()).unwrap_or_default();
            encode::delta(lengths.iter().map(|length| *length as i64), true, &mut self.page);
            match order {
                None => self.page.extend_from_slice(texts.arena.span(range.start, range.end)),
                Some(order) => {
                    let values = order.get(range).unwrap_or_default();
                    values.iter().for_each(|value| self.page.extend_from_slice(texts.arena.get(*value as usize)));
                }
            }
            chunk.data(&self.page, entries, Encoding::DELTA_LENGTH_BYTE_ARRAY)?;
            nulls += entries - values;
            from += values;
        }
        chunk.finish(text_statistics(None, nulls))
    }

    /// DELTA_BYTE_ARRAY: what an id has in common with the one before it, and the rest.
    fn uids(&mut self, target: &Target<'_>, uids: &Uids, rows: &[Uid]) -> Result<Finished, ParquetError> {
        let (mut shared, mut lengths, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let (mut before, mut text): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut chain = None;
        for uid in rows {
            let prefix = uids.prefixes.get(uid.chain).map(String::as_bytes).unwrap_or_default();
            let same = if chain == Some(uid.chain) { prefix.len() } else { 0 };
            text.clear();
            text.extend_from_slice(prefix);
            push_record(uid, &mut text);
            let common = before.iter().zip(&text).skip(same).take_while(|(a, b)| a == b).count() + same;
            shared.push(common as i64);
            lengths.push((text.len() - common) as i64);
            rest.extend(text.iter().skip(common));
            std::mem::swap(&mut before, &mut text);
            chain = Some(uid.chain);
        }
        let entries = self.begin_page(target, 0..rows.len());
        encode::delta(shared.into_iter(), true, &mut self.page);
        encode::delta(lengths.into_iter(), true, &mut self.page);
        self.page.extend_from_slice(&rest);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), Some(&mut self.zstd), &mut self.packed);
        chunk.data(&self.page, entries, Encoding::DELTA_BYTE_ARRAY)?;
        chunk.finish(None)
    }

    fn numbers(&mut self, target: &Target<'_>, values: &[i64]) -> Result<Finished, ParquetError> {
        if target.leaf.kind == Kind::Bool {
            return self.truths(target, values);
        }
        let first = values.first().copied().unwrap_or(0);
        if values.iter().all(|value| *value == first) {
            return self.constant_number(target, first);
        }
        let wider = |(least, most): (i64, i64), value: &i64| (least.min(*value), most.max(*value));
        let (least, most) = values.iter().fold((first, first), wider);
        let entries = self.begin_page(target, 0..target.rows.len());
        let dictionary = if target.leaf.source == Source::Time { None } else { Numbers::of(values) };
        let distinct: Vec<u8> =
            dictionary.iter().flat_map(|d| d.distinct.iter().flat_map(|n| plain_number(target, *n))).collect();
        match &dictionary {
            Some(dictionary) => push_ids(&dictionary.ids, dictionary.distinct.len(), &mut self.page),
            None => encode::delta(values.iter().copied(), target.leaf.kind == Kind::Integer, &mut self.page),
        }
        // Differences that need more than a byte are noise (ports, process ids): nothing to compress.
        let noise = dictionary.is_none() && self.page.len() > values.len();
        let zstd = (self.page.len() + distinct.len() > SMALL && !noise).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        match &dictionary {
            Some(dictionary) => {
                chunk.dictionary(&distinct, dictionary.distinct.len())?;
                chunk.data(&self.page, entries, Encoding::RLE_DICTIONARY)?;
            }
            None => chunk.data(&self.page, entries, Encoding::DELTA_BINARY_PACKED)?,
        }
        chunk.finish(number_statistics(&target.descriptor, (least, most), entries - target.values))
    }

    fn truths(&mut self, target: &Target<'_>, values: &[i64]) -> Result<Finished, ParquetError> {
        let entries = self.begin_page(target, 0..target.rows.len());
        encode::plain_bits(values.iter().map(|value| *value != 0), &mut self.page);
        let zstd = (self.page.len() > SMALL).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        chunk.data(&self.page, entries, Encoding::PLAIN)?;
        chunk.finish(null_statistics(&target.descriptor, entries - target.values))
    }

    fn floats(&mut self, target: &Target<'_>, values: &[f64]) -> Result<Finished, ParquetError> {
        let entries = self.begin_page(target, 0..target.rows.len());
        self.page.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        let zstd = (self.page.len() > SMALL).then_some(&mut self.zstd);
        let mut chunk = Chunk::new(&target.descriptor, target.rows.len(), zstd, &mut self.packed);
        chunk.data(&self.page, entries, Encoding::PLAIN)?;
        chunk.finish(None)
    }

    /// Empties the page and writes the levels of `rows`; returns how many entries it has.
    fn begin_page(&mut self, target: &Target<'_>, rows: Range<usize>) -> usize {
        self.page.clear();
        if target.descriptor.max_def_level() == 0 {
            return rows.len();
        }
        target.spaces.levels(&target.rows.layout, target.leaf, &target.presence, rows, &mut self.page)
    }
}

/// The distinct numbers of a column, where they are few.
struct Numbers {
    distinct: Vec<i64>,
    ids: Vec<u32>,
}

impl Numbers {
    /// `None` where differences are the better encoding: too many distinct numbers, or too few repeats.
    fn of(values: &[i64]) -> Option<Self> {
        // Open addressing, at most a quarter full.
        let mut slots: Vec<Option<(i64, u32)>> = vec![None; 4 * NUMBERS_MAX];
        let mut found = Self { distinct: Vec::new(), ids: Vec::with_capacity(values.len()) };
        let mut last = None;
        for value in values {
            let id = match last {
                Some((known, id)) if known == *value => id,
                _ => found.id(*value, &mut slots)?,
            };
            last = Some((*value, id));
            found.ids.push(id);
        }
        (found.distinct.len() * 4 <= values.len()).then_some(found)
    }

    fn id(&mut self, value: i64, slots: &mut [Option<(i64, u32)>]) -> Option<u32> {
        let hash = (value.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        for probe in hash..hash + slots.len() {
            match slots.get_mut(probe % (4 * NUMBERS_MAX))? {
                Some((known, id)) if *known == value => return Some(*id),
                Some(_) => {}
                empty => {
                    let id = u32::try_from(self.distinct.len()).ok().filter(|id| (*id as usize) < NUMBERS_MAX)?;
                    *empty = Some((value, id));
                    self.distinct.push(value);
                    return Some(id);
                }
            }
        }
        None
    }
}

/// The values of a data page that refers to a dictionary.
fn push_ids<T: Copy + PartialEq + Into<u64>>(ids: &[T], distinct: usize, page: &mut Vec<u8>) {
    let width = encode::width_of(distinct.saturating_sub(1) as u64);
    page.push(u8::try_from(width).unwrap_or(32));
    encode::hybrid(ids, width, page);
}

/// A number as PLAIN encodes it: four bytes or eight, by the column.
fn plain_number(target: &Target<'_>, number: i64) -> impl Iterator<Item = u8> + use<> {
    number.to_le_bytes().into_iter().take(if target.leaf.kind == Kind::Integer { 4 } else { 8 })
}

/// A text as PLAIN encodes it: its length, its bytes.
fn plain_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), ParquetError> {
    let length = u32::try_from(text.len()).map_err(|error| ParquetError::External(Box::new(error)))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
    Ok(())
}

/// `<record>[.k]`.
fn push_record(uid: &Uid, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = uid.record;
    loop {
        out.push(b'0' + u8::try_from(rest % 10).unwrap_or(0));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
    if uid.part > 0 {
        out.extend_from_slice(format!(".{}", uid.part).as_bytes());
    }
}

/// The least and the greatest text, where both are short.
fn bounds<'t>(texts: impl Iterator<Item = &'t [u8]> + Clone) -> Option<(&'t [u8], &'t [u8])> {
    let bounds = (texts.clone().min()?, texts.max()?);
    (bounds.0.len().max(bounds.1.len()) <= STATISTICS_TEXT_MAX).then_some(bounds)
}

/// Cuts a column of text into pages: rows (from a multiple of 64 on) and how many values they have. A page
/// has at least one value. A list is one page.
fn text_pages(target: &Target<'_>, lengths: &[usize]) -> Vec<(Range<usize>, usize)> {
    let rows = target.rows.len();
    if target.leaf.list.is_some() {
        return vec![(0..rows, target.values)];
    }
    let mut pages: Vec<(Range<usize>, usize)> = Vec::new();
    let (mut start, mut values, mut before, mut bytes) = (0, 0, 0, 0);
    for word in 0..rows.div_ceil(64) {
        let end = rows.min((word + 1) * 64);
        let more = match &target.presence {
            Presence::None => 0,
            Presence::All => end - word * 64,
            Presence::Some(bits) => bits.word(word).count_ones() as usize,
        };
        let at = before + values;
        bytes += lengths.get(at..at + more).unwrap_or_default().iter().sum::<usize>();
        values += more;
        if bytes >= PAGE_BYTES {
            pages.push((start..end, values));
            (start, before, values, bytes) = (end, before + values, 0, 0);
        }
    }
    match pages.last_mut() {
        Some((range, _)) if values == 0 => range.end = rows,
        _ => pages.push((start..rows, values)),
    }
    pages
}
