//! [`Uids`]: `metadata.uid` of every row, as numbers.
//!
//! Ids of one chain differ in their record only; their text is put together when a row group is written.

use std::collections::HashMap;

use shared::identity::{ChainId, EventId};

/// `metadata.uid` of every row: the chain as a number, and the record.
#[derive(Clone, Debug, Default)]
pub(super) struct Uids {
    /// What the ids of a chain begin with: `<agent>-<epoch>-<lane>-`.
    pub(super) prefixes: Vec<String>,
    pub(super) rows: Vec<Uid>,
    numbers: HashMap<ChainId, usize>,
    last: Option<(ChainId, usize)>,
}

/// One `metadata.uid`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uid {
    pub(super) chain: usize,
    pub(super) record: u64,
    pub(super) part: u32,
}

impl Uids {
    #[inline]
    pub(super) fn push(&mut self, id: EventId) {
        let chain = match self.last {
            Some((chain, number)) if chain == id.chain => number,
            _ => self.chain(id.chain),
        };
        self.rows.push(Uid { chain, record: id.record, part: id.part });
    }

    fn chain(&mut self, chain: ChainId) -> usize {
        let prefixes = &mut self.prefixes;
        let number = *self.numbers.entry(chain).or_insert_with(|| {
            let text = EventId { chain, record: 0, part: 0 }.to_string();
            prefixes.push(text.trim_end_matches('0').to_owned());
            prefixes.len() - 1
        });
        self.last = Some((chain, number));
        number
    }

    pub(super) fn clear(&mut self) {
        self.prefixes.clear();
        self.rows.clear();
        self.numbers.clear();
        self.last = None;
    }

    pub(super) fn heap(&self) -> usize {
        self.rows.capacity() * size_of::<Uid>() + self.prefixes.len() * 256
    }
}
