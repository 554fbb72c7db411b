//! The baseline: what every path was when it was looked at last, in a file of its own, sorted and compressed.
//!
//! ```text
//! "PKTFIM02" · piece · piece · …        piece = length u32 LE · CRC-32C u32 LE of tag and payload · tag u8 · payload
//! tag 0  the header: JSON               first
//! tag 1  a block of entries: zstd       some 16 KiB of them, each path told by how it differs from the one before
//! tag 2  the end: entries u64 LE        last; a file without it was cut
//! ```
//!
//! In: entries in the order of a walk. Out: the file, whole or not at all; entries again, from any place in it.
//! Invariants: what opens was read to its end once, every checksum, every entry and their order, so that damage is found
//! before anything is compared with it; one block is in memory at a time, and the first path of each.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::durable::{DurableError, PRIVATE, Replacement, Writer};
use zstd::bulk::{Compressor, Decompressor};

use super::entry::{Entry, Named, decode, encode, order};

/// The first bytes of a baseline: what it is, and its version in two digits.
const MAGIC: &[u8; 8] = b"PKTFIM02";
/// The version stands in the last two bytes of [`MAGIC`].
const MAGIC_NAME_BYTES: usize = 6;
/// A block is closed when its entries take this many bytes.
const BLOCK_BYTES: usize = 16 << 10;
/// More than a block can take: two longest paths on top.
const BLOCK_BYTES_MAX: usize = 64 << 10;
/// Longest payload of a piece: a header with all the paths that a fleet file can name.
const PIECE_BYTES_MAX: usize = 4 << 20;
/// zstd's fastest level that is worth it for text.
const LEVEL: i32 = 1;

const HEADER: u8 = 0;
const BLOCK: u8 = 1;
const END: u8 = 2;

/// What a baseline says of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// One more than that of the baseline before it.
    pub generation: u64,
    /// The roots that it covers.
    pub paths: Vec<String>,
    /// What is left out below them.
    pub exclude: Vec<String>,
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// It was written by a version whose baselines this one does not read.
    #[error("it is of another version")]
    OtherVersion,
    /// Its bytes are not those that were written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
}

impl Unusable {
    /// The word in records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::OtherVersion => "other_version",
            Self::Damaged(_) => "damaged",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// Where a block stands.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    first: Box<[u8]>,
    at: u64,
    len: u32,
}

/// What was found by reading to the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// What it says of itself.
    pub header: Header,
    /// How many entries it has.
    pub entries: u64,
    blocks: Vec<Place>,
}

/// Fills `buffer`; an end before that is damage.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<(), Unusable> {
    from.read_exact(buffer).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Unusable::Damaged("it was cut"),
        _ => Unusable::Unreadable(error),
    })
}

/// Reads a piece: its tag and payload.
fn piece(from: &mut impl Read) -> Result<(u8, Vec<u8>), Unusable> {
    let (mut len, mut sum, mut tag) = ([0; 4], [0; 4], [0; 1]);
    fill(from, &mut len)?;
    fill(from, &mut sum)?;
    fill(from, &mut tag)?;
    let len = usize::try_from(u32::from_le_bytes(len)).unwrap_or(usize::MAX);
    if len > PIECE_BYTES_MAX {
        return Err(Unusable::Damaged("a length is out of bounds"));
    }
    // A length that lies costs no more memory than there are bytes.
    let mut payload = Vec::new();
    from.take(len as u64).read_to_end(&mut payload)?;
    if payload.len() < len {
        return Err(Unusable::Damaged("it was cut"));
    }
    if crc32c::crc32c_append(crc32c::crc32c(&tag), &payload) != u32::from_le_bytes(sum) {
        return Err(Unusable::Damaged("a checksum does not hold"));
    }
    let [tag] = tag;
    Ok((tag, payload))
}

/// Reads a baseline to its end.
///
/// # Errors
/// [`Unusable`].
pub fn read(from: &mut impl Read, mut each: impl FnMut(&[u8], &Entry)) -> Result<Contents, Unusable> {
    let mut magic = [0; MAGIC.len()];
    fill(from, &mut magic)?;
    if magic != *MAGIC {
        let is_ours = magic.get(..MAGIC_NAME_BYTES) == MAGIC.get(..MAGIC_NAME_BYTES);
        return Err(if is_ours { Unusable::OtherVersion } else { Unusable::Damaged("it does not begin as one") });
    }
    let (tag, payload) = piece(from)?;
    let header = serde_json::from_slice(&payload).ok().filter(|_| tag == HEADER);
    let header = header.ok_or(Unusable::Damaged("its header cannot be read"))?;
    let mut at = (MAGIC.len() + PIECE_HEAD + payload.len()) as u64;
    let mut decompressor = Decompressor::new()?;
    let (mut blocks, mut entries, mut last) = (Vec::new(), 0, Box::default());
    loop {
        let (tag, payload) = piece(from)?;
        at += PIECE_HEAD as u64;
        match tag {
            BLOCK => {
                let found = open(&mut decompressor, &payload, &last)?;
                let (Some((first, _)), Some((end, _))) = (found.first(), found.last()) else {
                    return Err(Unusable::Damaged("a block is empty"));
                };
                let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                blocks.push(Place { first: first.clone(), at, len });
                last = end.clone();
                entries += found.len() as u64;
                found.iter().for_each(|(path, entry)| each(path, entry));
            }
            END if payload == entries.to_le_bytes() => break,
            _ => return Err(Unusable::Damaged("its end does not fit")),
        }
        at += payload.len() as u64;
    }
    match from.read(&mut [0])? {
        0 => Ok(Contents { header, entries, blocks }),
        _ => Err(Unusable::Damaged("something stands behind its end")),
    }
}

/// Bytes of a piece beside its payload.
const PIECE_HEAD: usize = 9;

fn open(decompressor: &mut Decompressor<'_>, payload: &[u8], last: &[u8]) -> Result<Block, Unusable> {
    let block = decompressor.decompress(payload, BLOCK_BYTES_MAX);
    let block = block.map_err(|_| Unusable::Damaged("a block cannot be decompressed"))?;
    decode(&block, last).ok_or(Unusable::Damaged("the entries of a block cannot be read"))
}

type Block = Vec<Named>;

/// A baseline that was read to its end.
#[derive(Debug)]
pub struct Baseline {
    file: File,
    contents: Contents,
}

impl Baseline {
    /// Opens the baseline at `path`.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unusable::Missing,
            _ => Unusable::Unreadable(error),
        })?;
        let contents = read(&mut BufReader::new(&file), |_, _| {})?;
        Ok(Self { file, contents })
    }

    /// What it says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.contents.header
    }

    /// How many entries it has.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.contents.entries
    }

    /// Its entries from `path` on.
    #[must_use]
    pub fn from(&self, path: &[u8]) -> Entries<'_> {
        let blocks = &self.contents.blocks;
        let behind = blocks.partition_point(|block| order(&block.first, path).is_le());
        Entries { baseline: self, next_block: behind.saturating_sub(1), block: VecDeque::new(), from: path.into() }
    }

    fn block(&self, number: usize) -> Result<Option<Block>, Unusable> {
        let Some(place) = self.contents.blocks.get(number) else { return Ok(None) };
        let mut payload = vec![0; usize::try_from(place.len).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut payload, place.at)?;
        open(&mut Decompressor::new()?, &payload, b"").map(Some)
    }
}

/// Entries of a baseline, in order.
pub struct Entries<'a> {
    baseline: &'a Baseline,
    next_block: usize,
    block: VecDeque<Named>,
    from: Box<[u8]>,
}

impl Entries<'_> {
    /// The next entry, which stays.
    ///
    /// # Errors
    /// The file is not what it was when it was opened.
    pub fn peek(&mut self) -> Result<Option<&Named>, Unusable> {
        while self.block.is_empty() {
            let Some(block) = self.baseline.block(self.next_block)? else { return Ok(None) };
            self.next_block += 1;
            let from = &self.from;
            self.block.extend(block.into_iter().filter(|(path, _)| order(path, from).is_ge()));
        }
        Ok(self.block.front())
    }

    /// Takes what [`Self::peek`] showed.
    pub fn take(&mut self) -> Option<Named> {
        self.block.pop_front()
    }
}

/// A baseline being written.
pub struct Draft {
    file: Replacement,
    compressor: Compressor<'static>,
    block: Vec<u8>,
    last: Vec<u8>,
    entries: u64,
}

impl Draft {
    /// Begins one that takes the place of `path`.
    ///
    /// # Errors
    /// The disk's.
    pub fn begin(writer: Writer, path: &Path, header: &Header) -> Result<Self, DurableError> {
        let failed = |error| DurableError::new("compress", path, error);
        let compressor = Compressor::new(LEVEL).map_err(failed)?;
        let mut file = writer.begin(path, PRIVATE)?;
        file.write(MAGIC)?;
        let json = serde_json::to_vec(header).map_err(|error| failed(error.into()))?;
        put(&mut file, HEADER, &json)?;
        Ok(Self { file, compressor, block: Vec::new(), last: Vec::new(), entries: 0 })
    }

    /// Appends an entry; its path is behind every one before.
    ///
    /// # Errors
    /// The disk's.
    pub fn push(&mut self, path: &[u8], entry: &Entry) -> Result<(), DurableError> {
        debug_assert!(order(&self.last, path).is_lt(), "in the order of a walk");
        let before: &[u8] = if self.block.is_empty() { b"" } else { &self.last };
        encode(before, path, entry, &mut self.block);
        self.last.clear();
        self.last.extend_from_slice(path);
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<(), DurableError> {
        if self.block.is_empty() {
            return Ok(());
        }
        let payload = self.compressor.compress(&self.block);
        let payload = payload.map_err(|error| DurableError::new("compress", Path::new("a block"), error))?;
        self.block.clear();
        shared::fault::point("integrity.block");
        put(&mut self.file, BLOCK, &payload)
    }

    /// Puts it in place.
    ///
    /// # Errors
    /// The disk's.
    pub fn commit(mut self) -> Result<(), DurableError> {
        self.close_block()?;
        put(&mut self.file, END, &self.entries.to_le_bytes())?;
        self.file.commit("integrity.baseline")
    }
}

fn put(file: &mut Replacement, tag: u8, payload: &[u8]) -> Result<(), DurableError> {
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let sum = crc32c::crc32c_append(crc32c::crc32c(&[tag]), payload);
    file.write(&[&len.to_le_bytes()[..], &sum.to_le_bytes(), &[tag], payload].concat())
}

#[cfg(test)]
mod tests {
    use super::super::attributes::Extended;
    use super::super::entry::{Content, FileKind};
    use super::*;
    use crate::source::scratch::Folder;

    fn entry(inode: u64) -> Entry {
        Entry {
            kind: FileKind::File,
            mode: 0o644,
            user: 0,
            group: 0,
            size: inode,
            modified: 1,
            changed: 2,
            device: 3,
            inode,
            content: Content::Sha256([7; 32]),
            extended: Extended::default(),
        }
    }

    fn written(folder: &Folder, count: u64) -> std::path::PathBuf {
        let path = folder.path("b");
        let writer = Writer::for_owner_of(folder.as_ref()).unwrap();
        let header = Header { generation: 5, paths: vec!["/a".into()], exclude: Vec::new() };
        let mut draft = Draft::begin(writer, &path, &header).unwrap();
        (0..count).for_each(|i| draft.push(format!("/a/{i:06}").as_bytes(), &entry(i)).unwrap());
        draft.commit().unwrap();
        path
    }

    #[test]
    fn entries_are_found_from_any_place() {
        let folder = Folder::new();
        let baseline = Baseline::open(&written(&folder, 5_000)).unwrap();
        assert_eq!((baseline.entries(), baseline.header().generation), (5_000, 5));
        assert!(baseline.contents.blocks.len() > 5);
        for from in [0, 1, 333, 4_999, 5_000] {
            let mut entries = baseline.from(format!("/a/{from:06}").as_bytes());
            for i in from..5_000 {
                assert_eq!(entries.peek().unwrap().unwrap().0, format!("/a/{i:06}").as_bytes().into());
                assert_eq!(entries.take().unwrap().1.inode, i);
            }
            assert_eq!(entries.peek().unwrap(), None);
        }
    }

    #[test]
    fn every_byte_that_changed_and_every_cut_is_noticed() {
        let folder = Folder::new();
        let bytes = std::fs::read(written(&folder, 300)).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&mut &changed[..], |_, _| {}).is_err(), "byte {at}");
            assert!(read(&mut &bytes[..at], |_, _| {}).is_err(), "cut at {at}");
        }
        assert!(matches!(read(&mut &b"PKTFIM01"[..], |_, _| {}), Err(Unusable::OtherVersion)));
        assert!(matches!(Baseline::open(&folder.path("none")), Err(Unusable::Missing)));
    }
}
