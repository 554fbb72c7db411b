//! [`Chunk`]: encoded pages become a column chunk, with its metadata.
//!
//! Pages come in as bytes, compressed here; the `parquet` crate writes their headers and, once the chunk is
//! spliced into the file, the footer.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, Type as Physical, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

/// The bytes of a chunk and what the footer says about it.
pub(super) type Finished = (Bytes, ColumnCloseResult);

/// A column chunk that is being written.
pub(super) struct Chunk<'e> {
    descriptor: ColumnDescPtr,
    rows: usize,
    zstd: Option<&'e mut Compressor<'static>>,
    packed: &'e mut Vec<u8>,
    bytes: TrackedWrite<Vec<u8>>,
    encodings: Vec<Encoding>,
    entries: usize,
    uncompressed: usize,
    dictionary: Option<u64>,
    data: Option<u64>,
}

impl<'e> Chunk<'e> {
    /// A chunk of `rows` rows; its pages are compressed where there is a compressor. `packed` is scratch.
    pub(super) fn new(
        descriptor: &ColumnDescPtr,
        rows: usize,
        zstd: Option<&'e mut Compressor<'static>>,
        packed: &'e mut Vec<u8>,
    ) -> Self {
        Self {
            descriptor: descriptor.clone(),
            rows,
            zstd,
            packed,
            bytes: TrackedWrite::new(Vec::new()),
            encodings: vec![Encoding::RLE],
            entries: 0,
            uncompressed: 0,
            dictionary: None,
            data: None,
        }
    }

    /// Adds the dictionary: `count` values, PLAIN. It comes before the data.
    pub(super) fn dictionary(&mut self, plain: &[u8], count: usize) -> Result<(), ParquetError> {
        let num_values = number_of(count)?;
        let page = |buf| Page::DictionaryPage { buf, num_values, encoding: Encoding::PLAIN, is_sorted: false };
        self.dictionary = Some(self.write(plain, Encoding::PLAIN, page)?);
        Ok(())
    }

    /// Adds a page of `entries` levels and their values.
    pub(super) fn data(&mut self, page: &[u8], entries: usize, encoding: Encoding) -> Result<(), ParquetError> {
        let num_values = number_of(entries)?;
        let offset = self.write(page, encoding, |buf| Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        })?;
        self.data.get_or_insert(offset);
        self.entries += entries;
        Ok(())
    }

    fn write(&mut self, raw: &[u8], encoding: Encoding, page: impl FnOnce(Bytes) -> Page) -> Result<u64, ParquetError> {
        let bytes = match &mut self.zstd {
            None => Bytes::copy_from_slice(raw),
            Some(zstd) => {
                self.packed.clear();
                self.packed.reserve(compress_bound(raw.len()));
                zstd.compress_to_buffer(raw, self.packed).map_err(|error| ParquetError::External(Box::new(error)))?;
                Bytes::copy_from_slice(self.packed)
            }
        };
        let page = CompressedPage::new(page(bytes), raw.len());
        let spec = SerializedPageWriter::new(&mut self.bytes).write_page(page)?;
        self.uncompressed += spec.uncompressed_size;
        self.encodings.push(encoding);
        Ok(spec.offset)
    }

    /// The chunk, with its statistics.
    pub(super) fn finish(self, statistics: Option<Statistics>) -> Result<Finished, ParquetError> {
        let codec = match self.zstd {
            Some(_) => Compression::ZSTD(ZstdLevel::try_new(1)?),
            None => Compression::UNCOMPRESSED,
        };
        let bytes = Bytes::from(self.bytes.into_inner()?);
        let mut metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(codec)
            .set_encodings_mask(EncodingMask::new_from_encodings(self.encodings.iter()))
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.entries as i64)
            .set_dictionary_page_offset(self.dictionary.map(|offset| offset as i64))
            .set_data_page_offset(self.data.unwrap_or(0) as i64);
        if let Some(statistics) = statistics {
            metadata = metadata.set_statistics(statistics);
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        Ok((bytes, close))
    }
}

fn number_of(count: usize) -> Result<u32, ParquetError> {
    u32::try_from(count).map_err(|error| ParquetError::External(Box::new(error)))
}

/// How many entries have no value, and nothing else.
pub(super) fn null_statistics(descriptor: &ColumnDescPtr, nulls: usize) -> Option<Statistics> {
    let nulls = Some(nulls as u64);
    match descriptor.physical_type() {
        Physical::BOOLEAN => Some(Statistics::boolean(None, None, None, nulls, false)),
        Physical::INT32 => Some(Statistics::int32(None, None, None, nulls, false)),
        Physical::INT64 => Some(Statistics::int64(None, None, None, nulls, false)),
        Physical::DOUBLE => Some(Statistics::double(None, None, None, nulls, false)),
        Physical::BYTE_ARRAY => Some(Statistics::byte_array(None, None, None, nulls, false)),
        _ => None,
    }
}

/// The least and the greatest number, and how many entries have none.
pub(super) fn number_statistics(
    descriptor: &ColumnDescPtr,
    (least, most): (i64, i64),
    nulls: usize,
) -> Option<Statistics> {
    if descriptor.physical_type() == Physical::INT64 {
        return Some(Statistics::int64(Some(least), Some(most), None, Some(nulls as u64), false));
    }
    let (least, most) = (i32::try_from(least).ok()?, i32::try_from(most).ok()?);
    Some(Statistics::int32(Some(least), Some(most), None, Some(nulls as u64), false))
}

/// The least and the greatest text where they are known, and how many entries have none.
pub(super) fn text_statistics(bounds: Option<(&[u8], &[u8])>, nulls: usize) -> Option<Statistics> {
    let (least, most) = bounds.map(|(a, b)| (ByteArray::from(a.to_vec()), ByteArray::from(b.to_vec()))).unzip();
    Some(Statistics::byte_array(least, most, None, Some(nulls as u64), false))
}
