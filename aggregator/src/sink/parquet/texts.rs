//! [`Texts`]: the texts of one column.
//!
//! Text stands in one arena: each distinct one once and an id a value, until so many differ that the
//! dictionary no longer pays; from then on, for the life of the writer, one text a value. Hashes are seeded at
//! random, so that nobody can choose texts that collide.

use std::ops::Range;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// From this many distinct texts on, a dictionary must hold at most every second value.
const DICTIONARY_TRIAL: usize = 1024;
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

/// Where a text stands in its arena, and its id.
type Recent = (Range<usize>, u32);

/// The last text of a dictionary that has none: no range of an arena.
const NO_TEXT: Recent = (usize::MAX..usize::MAX, 0);

/// The ids of values, into an arena of distinct texts.
#[derive(Clone, Debug)]
pub(super) struct Dictionary {
    pub(super) ids: Vec<u32>,
    table: HashTable<u32>,
    /// The two texts that came last (values often alternate): their bytes in the arena, and their ids.
    last: Recent,
    before: Recent,
    hasher: RandomState,
}

/// A column of text.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// The distinct texts, or with no dictionary all of them.
    pub(super) arena: Arena,
    pub(super) dictionary: Option<Dictionary>,
}

impl Texts {
    pub(super) fn new(unique: bool, hasher: &RandomState) -> Self {
        let dictionary = Dictionary {
            ids: Vec::new(),
            table: HashTable::new(),
            last: NO_TEXT,
            before: NO_TEXT,
            hasher: hasher.clone(),
        };
        Self { arena: Arena::default(), dictionary: (!unique).then_some(dictionary) }
    }

    pub(super) fn len(&self) -> usize {
        self.dictionary.as_ref().map_or(self.arena.len(), |dictionary| dictionary.ids.len())
    }

    #[inline(always)]
    pub(super) fn push(&mut self, text: &[u8]) {
        match &mut self.dictionary {
            None => self.arena.push(text),
            Some(dictionary) => {
                let (id, new) = dictionary.id(text, &mut self.arena);
                dictionary.ids.push(id);
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
                dictionary.ids.resize(dictionary.ids.len() + count, id);
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
                dictionary.ids.insert(index, id);
            }
        }
    }

    /// Gives the dictionary up where it does not pay.
    #[inline(never)]
    fn judge(&mut self) {
        let Some(dictionary) = &self.dictionary else { return };
        let distinct = self.arena.len();
        let too_many = distinct >= DICTIONARY_TRIAL && distinct * 2 > dictionary.ids.len();
        if too_many || self.arena.bytes.len() > DICTIONARY_BYTES_MAX {
            let mut plain = Arena::default();
            for id in &dictionary.ids {
                plain.push(self.arena.get(*id as usize));
            }
            self.arena = plain;
            self.dictionary = None;
        }
    }

    pub(super) fn clear(&mut self) {
        self.arena.clear();
        if let Some(dictionary) = &mut self.dictionary {
            dictionary.ids.clear();
            dictionary.table.clear();
            (dictionary.last, dictionary.before) = (NO_TEXT, NO_TEXT);
        }
    }

    pub(super) fn heap(&self) -> usize {
        let ids =
            self.dictionary.as_ref().map_or(0, |d| (d.ids.capacity() + 2 * d.table.capacity()) * size_of::<u32>());
        self.arena.heap() + ids
    }
}

impl Dictionary {
    /// The id of a text, and whether it is new.
    #[inline(always)]
    fn id(&mut self, text: &[u8], arena: &mut Arena) -> (u32, bool) {
        if arena.bytes.get(self.last.0.clone()) == Some(text) {
            return (self.last.1, false);
        }
        std::mem::swap(&mut self.last, &mut self.before);
        if arena.bytes.get(self.last.0.clone()) == Some(text) {
            return (self.last.1, false);
        }
        self.look_up(text, arena)
    }

    #[inline(never)]
    fn look_up(&mut self, text: &[u8], arena: &mut Arena) -> (u32, bool) {
        let hasher = &self.hasher;
        let equal = |id: &u32| arena.get(*id as usize) == text;
        let rehash = |id: &u32| hasher.hash_one(arena.get(*id as usize));
        let (id, new) = match self.table.entry(hasher.hash_one(text), equal, rehash) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(free) => {
                let id = u32::try_from(arena.len()).expect("a row group ends after 65,536 rows or 16 MiB");
                free.insert(id);
                arena.push(text);
                (id, true)
            }
        };
        self.last = (arena.range(id as usize), id);
        (id, new)
    }
}
