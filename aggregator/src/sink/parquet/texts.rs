//! [`Texts`]: the texts of one column.
//!
//! Text stands in one arena: each distinct one once and an id a value, until so many differ that the
//! dictionary no longer pays; from then on, for the life of the writer, one text a value. Hashes are seeded at
//! random, so that nobody can choose texts that collide.

use std::ops::Range;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::narrow::Narrow;

/// From this many distinct texts on, each must come [`DICTIONARY_REPEATS`] times on average: looking one up among
/// thousands, all over the cache, costs more than compressing it, and the file is no smaller for it.
const DICTIONARY_TRIAL: usize = 1024;
const DICTIONARY_REPEATS: usize = 8;
/// The largest dictionary, in bytes of text: what one page of Parquet is meant to hold.
const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// Texts, one behind the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Arena {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        start..self.ends.get(index).copied().unwrap_or(start)
    }

    /// The length of each text.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        let length = |start: &mut usize, end: &usize| Some(end - std::mem::replace(start, *end));
        self.ends.iter().scan(0, length)
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        self.bytes.get(self.range(index)).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The bytes of the texts `from..to`, which stand side by side.
    pub(super) fn span(&self, from: usize, to: usize) -> &[u8] {
        let end = |count: usize| count.checked_sub(1).and_then(|i| self.ends.get(i)).copied().unwrap_or(0);
        self.bytes.get(end(from)..end(to)).unwrap_or_default()
    }

    pub(super) fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn insert(&mut self, index: usize, text: &[u8]) {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.splice(start..start, text.iter().copied());
        self.ends.insert(index, start);
        for end in self.ends.iter_mut().skip(index) {
            *end += text.len();
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn heap(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// A text that came lately: all of it where it is short, else where it stands in the arena.
#[derive(Clone, Copy, Debug)]
struct Recent {
    len: usize,
    /// Its first and its last bytes, which overlap; or where it begins, and nothing.
    ends: (u64, u64),
    id: u32,
}

/// The longest text that its ends tell from all others.
const SHORT: usize = 16;

/// What no text is.
const NO_TEXT: Recent = Recent { len: usize::MAX, ends: (0, 0), id: 0 };

/// How many texts a dictionary knows without hashing.
const RECENT: usize = 16;

/// The first and the last eight bytes of a text, or what there is of them.
#[inline(always)]
fn ends(text: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    (text.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)), 0)
}

/// The place of a text among the recent ones: most columns have few values, which differ in length or at the ends.
#[inline(always)]
fn recent_slot(text: &[u8]) -> usize {
    let end = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or(0));
    (text.len() ^ end(text.first()) ^ (end(text.last()) << 1)) % RECENT
}

/// What finds the id of a text in an arena of distinct ones.
#[derive(Clone, Debug)]
pub(super) struct Dictionary {
    table: HashTable<u32>,
    /// Texts that came lately.
    recent: [Recent; RECENT],
    hasher: RandomState,
}

/// A column of text.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// The distinct texts, or with no dictionary all of them.
    pub(super) arena: Arena,
    /// With a dictionary: the id of each value. Here and not behind its pointer, since every value comes by.
    pub(super) ids: Narrow<u32>,
    pub(super) dictionary: Option<Box<Dictionary>>,
}

impl Texts {
    pub(super) fn new(unique: bool, hasher: &RandomState) -> Self {
        let dictionary = || {
            let recent = [NO_TEXT; RECENT];
            Box::new(Dictionary { table: HashTable::new(), recent, hasher: hasher.clone() })
        };
        Self { arena: Arena::default(), ids: Narrow::new(), dictionary: (!unique).then(dictionary) }
    }

    pub(super) fn len(&self) -> usize {
        if self.dictionary.is_some() { self.ids.len() } else { self.arena.len() }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, text: &[u8]) {
        match &mut self.dictionary {
            None => self.arena.push(text),
            Some(dictionary) => {
                let (id, new) = dictionary.id(text, &mut self.arena);
                self.ids.push(id);
                if new {
                    self.judge();
                }
            }
        }
    }

    pub(super) fn push_run(&mut self, text: &[u8], count: usize) {
        match &mut self.dictionary {
            None => (0..count).for_each(|_| self.arena.push(text)),
            Some(dictionary) => {
                let (id, _) = dictionary.id(text, &mut self.arena);
                self.ids.push_run(id, count);
                self.judge();
            }
        }
    }

    #[cold]
    pub(super) fn insert(&mut self, index: usize, text: &[u8]) {
        match &mut self.dictionary {
            None => self.arena.insert(index, text),
            Some(dictionary) => {
                let (id, _) = dictionary.id(text, &mut self.arena);
                self.ids.insert(index, id);
            }
        }
    }

    /// Gives the dictionary up where it does not pay.
    #[inline(never)]
    fn judge(&mut self) {
        let distinct = self.arena.len();
        let too_many = distinct >= DICTIONARY_TRIAL && distinct * DICTIONARY_REPEATS > self.ids.len();
        if too_many || self.arena.bytes.len() > DICTIONARY_BYTES_MAX {
            let mut plain = Arena::default();
            for id in self.ids.iter() {
                plain.push(self.arena.get(id as usize));
            }
            (self.arena, self.ids) = (plain, Narrow::new());
            self.dictionary = None;
        }
    }

    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.ids.clear();
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.table.clear();
            dictionary.recent = [NO_TEXT; RECENT];
        }
    }

    pub(super) fn heap(&self) -> usize {
        let table = self.dictionary.as_ref().map_or(0, |d| 2 * d.table.capacity() * size_of::<u32>());
        self.arena.heap() + self.ids.heap() + table
    }
}

impl Recent {
    /// Whether it is this long text, of the same length.
    fn is(&self, text: &[u8], arena: &Arena) -> bool {
        let start = usize::try_from(self.ends.0).unwrap_or(usize::MAX);
        arena.bytes.get(start..).is_some_and(|bytes| bytes.starts_with(text))
    }
}

impl Dictionary {
    /// The id of a text, and whether it is new.
    #[inline(always)]
    fn id(&mut self, text: &[u8], arena: &mut Arena) -> (u32, bool) {
        let recent = self.recent.get(recent_slot(text)).unwrap_or(&NO_TEXT);
        if recent.len == text.len()
            && (if text.len() <= SHORT { recent.ends == ends(text) } else { recent.is(text, arena) })
        {
            return (recent.id, false);
        }
        self.look_up(text, arena)
    }

    #[inline(never)]
    fn look_up(&mut self, text: &[u8], arena: &mut Arena) -> (u32, bool) {
        let hasher = &self.hasher;
        let same = |id: &u32| arena.get(*id as usize) == text;
        let rehash = |id: &u32| hasher.hash_one(arena.get(*id as usize));
        let (id, new) = match self.table.entry(hasher.hash_one(text), same, rehash) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(free) => {
                let id = u32::try_from(arena.len()).expect("a row group ends after 65,536 rows or 16 MiB");
                free.insert(id);
                arena.push(text);
                (id, true)
            }
        };
        if let Some(recent) = self.recent.get_mut(recent_slot(text)) {
            let start = || (arena.range(id as usize).start as u64, 0);
            *recent = Recent { len: text.len(), ends: if text.len() <= SHORT { ends(text) } else { start() }, id };
        }
        (id, new)
    }
}
