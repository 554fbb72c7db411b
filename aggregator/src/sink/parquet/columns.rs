//! Column buffers: what a row group holds before it is written.
//!
//! A value comes in with the member of its space (a row, an element of a list) that it belongs to. A
//! member without a value costs one bit, and that only behind the first one without; a column without values
//! costs nothing at all.
//!
//! Invariant: the values of a column stand in the order of their members, whatever order they came in, and as
//! many members are present as there are values.

use std::borrow::Cow;

use super::narrow::Narrow;
use super::texts::Texts;

/// Which members of a space have a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
}

impl Bits {
    pub(super) fn get(&self, at: usize) -> bool {
        self.word(at / 64) >> (at % 64) & 1 == 1
    }

    /// The 64 members from `64 × index` on.
    pub(super) fn word(&self, index: usize) -> u64 {
        self.words.get(index).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn set(&mut self, at: usize) {
        if let Some(word) = self.words.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        } else {
            self.set_beyond(at);
        }
    }

    #[inline(never)]
    fn set_beyond(&mut self, at: usize) {
        self.words.resize(at / 64, 0);
        self.words.push(1 << (at % 64));
    }

    /// The members before `start` and `at`.
    #[cold]
    fn with_hole(start: usize, at: usize) -> Self {
        let mut bits = Self::default();
        bits.set_run(0, start);
        bits.set(at);
        bits
    }

    pub(super) fn set_run(&mut self, start: usize, count: usize) {
        let end = start + count;
        let mut at = start;
        while at < end {
            if at.is_multiple_of(64) && end - at >= 64 {
                self.words.resize(self.words.len().max(at / 64 + 1), 0);
                if let Some(word) = self.words.get_mut(at / 64) {
                    *word = u64::MAX;
                }
                at += 64;
            } else {
                self.set(at);
                at += 1;
            }
        }
    }

    /// Appends 64 members to a bitmap that is built in order.
    pub(super) fn push_word(&mut self, word: u64) {
        self.words.push(word);
    }

    /// Every member that either has.
    pub(super) fn unite(&mut self, other: &Self) {
        self.words.resize(self.words.len().max(other.words.len()), 0);
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many members before `64 × index` have a value, for each index.
    pub(super) fn ranks(&self) -> Vec<u32> {
        let count = |sum: &mut u32, word: &u64| {
            let before = *sum;
            *sum += word.count_ones();
            Some(before)
        };
        self.words.iter().scan(0, count).collect()
    }

    fn count_above(&self, at: usize) -> usize {
        let beyond: usize = self.words.iter().skip(at / 64 + 1).map(|word| word.count_ones() as usize).sum();
        let here = self.word(at / 64).checked_shr((at % 64) as u32 + 1).unwrap_or(0).count_ones() as usize;
        here + beyond
    }

    fn clear(&mut self) {
        self.words.clear();
    }

    fn heap(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

/// One value on its way into a column. Truth values travel as 0 and 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Datum<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(super) enum Values {
    Text(Texts),
    Int(Narrow<i64>),
    Float(Vec<f64>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(texts) => texts.len(),
            Self::Int(numbers) => numbers.len(),
            Self::Float(numbers) => numbers.len(),
        }
    }
}

/// A column of attributes.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) values: Values,
    /// Which members have a value; `None` while all before `next` have one.
    present: Option<Bits>,
    /// One more than the last member with a value.
    next: usize,
}

/// What a member may do with a value.
enum Claim {
    Append,
    /// Its value stands before others that came earlier.
    Insert(usize),
    /// It has one.
    Taken,
}

/// Notes that a member gets a value.
#[inline(always)]
fn claim(present: &mut Option<Bits>, next: &mut usize, at: usize) -> Claim {
    if at < *next {
        return claim_earlier(present, *next, at);
    }
    match present {
        Some(bits) => bits.set(at),
        None if at > *next => *present = Some(Bits::with_hole(*next, at)),
        None => {}
    }
    *next = at + 1;
    Claim::Append
}

#[inline(never)]
fn claim_earlier(present: &mut Option<Bits>, next: usize, at: usize) -> Claim {
    let Some(bits) = present.as_mut().filter(|bits| at < next && !bits.get(at)) else { return Claim::Taken };
    let above = bits.count_above(at);
    bits.set(at);
    Claim::Insert(above)
}

impl Column {
    pub(super) fn new(values: Values) -> Self {
        Self { values, present: None, next: 0 }
    }

    /// Which members have a value.
    pub(super) fn present(&self) -> Cow<'_, Bits> {
        match &self.present {
            Some(bits) => Cow::Borrowed(bits),
            None => {
                let mut bits = Bits::default();
                bits.set_run(0, self.next);
                Cow::Owned(bits)
            }
        }
    }

    /// Gives member `at` a value; `false` and nothing done where it has one or the column takes no such
    /// value.
    pub(super) fn push(&mut self, at: usize, datum: Datum<'_>) -> bool {
        match datum {
            Datum::Text(text) => self.push_text(at, text),
            Datum::Int(number) => self.push_number(at, number),
            Datum::Float(number) => self.push_float(at, number),
        }
    }

    /// As [`Column::push`].
    #[inline(always)]
    pub(super) fn push_text(&mut self, at: usize, text: &str) -> bool {
        let Self { values: Values::Text(texts), present, next } = self else { return false };
        match claim(present, next, at) {
            Claim::Append => texts.push(text.as_bytes()),
            Claim::Insert(above) => texts.insert(texts.len() - above, text.as_bytes()),
            Claim::Taken => return false,
        }
        true
    }

    /// As [`Column::push`].
    #[inline(always)]
    pub(super) fn push_number(&mut self, at: usize, number: i64) -> bool {
        let Self { values: Values::Int(numbers), present, next } = self else { return false };
        match claim(present, next, at) {
            Claim::Append => numbers.push(number),
            Claim::Insert(above) => numbers.insert(numbers.len() - above, number),
            Claim::Taken => return false,
        }
        true
    }

    fn push_float(&mut self, at: usize, number: f64) -> bool {
        let Self { values: Values::Float(numbers), present, next } = self else { return false };
        match claim(present, next, at) {
            Claim::Append => numbers.push(number),
            Claim::Insert(above) => numbers.insert(numbers.len() - above, number),
            Claim::Taken => return false,
        }
        true
    }

    /// Gives the members `start..start + count` one value; those that have another keep it.
    pub(super) fn push_run(&mut self, start: usize, count: usize, datum: Datum<'_>) {
        if start < self.next {
            for at in start..start + count {
                self.push(at, datum);
            }
            return;
        }
        match (&mut self.values, datum) {
            (Values::Text(texts), Datum::Text(text)) => texts.push_run(text.as_bytes(), count),
            (Values::Int(numbers), Datum::Int(number)) => numbers.push_run(number, count),
            (Values::Float(numbers), Datum::Float(number)) => numbers.resize(numbers.len() + count, number),
            _ => return,
        }
        if start > self.next || self.present.is_some() {
            let mut bits = self.present().into_owned();
            bits.set_run(start, count);
            self.present = Some(bits);
        }
        self.next = start + count;
    }

    /// Forgets the values and keeps their memory.
    pub(super) fn clear(&mut self) {
        self.next = 0;
        self.present = None;
        match &mut self.values {
            Values::Text(texts) => texts.clear(),
            Values::Int(numbers) => numbers.clear(),
            Values::Float(numbers) => numbers.clear(),
        }
    }

    /// Bytes of memory held.
    pub(super) fn heap(&self) -> usize {
        self.present.as_ref().map_or(0, Bits::heap)
            + match &self.values {
                Values::Text(texts) => texts.heap(),
                Values::Int(numbers) => numbers.heap(),
                Values::Float(numbers) => numbers.capacity() * size_of::<f64>(),
            }
    }
}

/// The elements of one list: how many each row has.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) present: Bits,
    /// Elements of each row that has the list.
    pub(super) lengths: Vec<u32>,
    /// Elements of all rows.
    pub(super) elements: usize,
    /// The row whose list is being filled, one-based.
    current: usize,
}

impl List {
    /// The member of the list's space that is element `index` of `row`; `None` where one before it is
    /// missing. Rows come in order.
    pub(super) fn element(&mut self, row: usize, index: u16) -> Option<usize> {
        let index = u32::from(index);
        let fresh = self.current != row + 1;
        let length = if fresh { 0 } else { self.lengths.last().copied().unwrap_or(0) };
        if index > length {
            return None;
        }
        if fresh {
            self.current = row + 1;
            self.present.set(row);
            self.lengths.push(0);
        }
        if index == length {
            self.elements += 1;
            *self.lengths.last_mut()? += 1;
        }
        Some(self.elements - (length.max(index + 1) - index) as usize)
    }

    pub(super) fn clear(&mut self) {
        self.present.clear();
        self.lengths.clear();
        self.elements = 0;
        self.current = 0;
    }

    pub(super) fn heap(&self) -> usize {
        self.present.heap() + self.lengths.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use ahash::RandomState;

    use super::*;

    fn texts(column: &Column) -> Vec<String> {
        let Values::Text(texts) = &column.values else { panic!("not text") };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        match &texts.dictionary {
            Some(_) => texts.ids.iter().map(|id| text(texts.arena.get(id as usize))).collect(),
            None => texts.arena.iter().map(text).collect(),
        }
    }

    #[test]
    fn values_stand_in_the_order_of_their_members() {
        for unique in [false, true] {
            let mut column = Column::new(Values::Text(Texts::new(unique, &RandomState::new())));
            assert!(column.push(3, Datum::Text("d")));
            assert!(column.push(70, Datum::Text("z")));
            assert!(column.push(1, Datum::Text("")));
            assert!(column.push(64, Datum::Text("y")));
            assert!(!column.push(3, Datum::Text("other")), "a second value of one member");
            column.push_run(62, 5, Datum::Text("run"));
            assert_eq!(texts(&column), ["", "d", "run", "run", "y", "run", "run", "z"]);
            assert_eq!(column.present().count(), column.values.len());
        }
    }

    #[test]
    fn a_dictionary_that_does_not_pay_is_given_up_without_loss() {
        let mut column = Column::new(Values::Text(Texts::new(false, &RandomState::new())));
        let expected: Vec<String> = (0..3000).map(|i| format!("{}", i / 3 * 7)).collect();
        for (at, text) in expected.iter().enumerate() {
            column.push(at, Datum::Text(text));
        }
        assert!(matches!(&column.values, Values::Text(Texts { dictionary: Some(_), .. })), "each comes three times");
        for at in 3000..6000 {
            column.push(at, Datum::Text(&format!("u{at}")));
        }
        assert!(matches!(&column.values, Values::Text(Texts { dictionary: None, .. })));
        assert_eq!(texts(&column)[..3000], expected);
        assert_eq!(texts(&column)[5999], "u5999");
        column.clear();
        assert!(column.push(0, Datum::Text("again")));
        assert_eq!(texts(&column), ["again"]);
    }

    #[test]
    fn elements_are_numbered_through_and_holes_are_refused() {
        let mut list = List::default();
        assert_eq!(list.element(0, 0), Some(0));
        assert_eq!(list.element(0, 0), Some(0));
        assert_eq!(list.element(0, 1), Some(1));
        assert_eq!(list.element(0, 0), Some(0));
        assert_eq!(list.element(0, 3), None);
        assert_eq!(list.element(4, 1), None, "a list that begins with its second element");
        assert_eq!(list.element(4, 0), Some(2));
        assert_eq!(list.element(4, 1), Some(3));
        assert_eq!(list.element(4, 0), Some(2));
        assert_eq!((list.lengths.as_slice(), list.elements), ([2, 2].as_slice(), 4));
        assert!(list.present.get(4) && !list.present.get(3));
    }
}
