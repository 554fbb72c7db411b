//! [`Narrow`]: numbers of a column in as few bytes as the widest of them needs.
//!
//! Most columns hold small numbers: ids into dictionaries of some dozen texts, enumerations, truth values, ports. An event
//! writes to some forty columns of its class, and what they write is memory that no cache holds by the time of the next
//! event of that class: a byte a value instead of four or eight is most of what a push costs.
//!
//! Invariant: what was pushed is what is read, whatever the width. It only grows, also over [`Narrow::clear`].

use std::borrow::Cow;

/// Numbers of up to 16 bits, or any `W`.
#[derive(Clone, Debug)]
pub(super) enum Narrow<W> {
    Byte(Vec<u8>),
    Short(Vec<u16>),
    Wide(Vec<W>),
}

/// What [`Narrow`] can make narrow.
pub(super) trait Whole: Copy + PartialEq + From<u8> + From<u16> + TryInto<u8> + TryInto<u16> {}

impl Whole for u32 {}
impl Whole for i64 {}

impl<W: Whole> Narrow<W> {
    pub(super) const fn new() -> Self {
        Self::Byte(Vec::new())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Byte(values) => values.len(),
            Self::Short(values) => values.len(),
            Self::Wide(values) => values.len(),
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, value: W) {
        match self {
            Self::Byte(values) => match value.try_into() {
                Ok(value) => values.push(value),
                Err(_) => self.push_wider(value),
            },
            Self::Short(values) => match value.try_into() {
                Ok(value) => values.push(value),
                Err(_) => self.push_wider(value),
            },
            Self::Wide(values) => values.push(value),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_wider(&mut self, value: W) {
        self.make_room(value);
        self.push(value);
    }

    #[cold]
    pub(super) fn insert(&mut self, index: usize, value: W) {
        self.make_room(value);
        match self {
            Self::Byte(values) => values.insert(index, value.try_into().unwrap_or(u8::MAX)),
            Self::Short(values) => values.insert(index, value.try_into().unwrap_or(u16::MAX)),
            Self::Wide(values) => values.insert(index, value),
        }
    }

    /// Appends a value `count` times.
    pub(super) fn push_run(&mut self, value: W, count: usize) {
        self.make_room(value);
        let len = self.len() + count;
        match self {
            Self::Byte(values) => values.resize(len, value.try_into().unwrap_or(u8::MAX)),
            Self::Short(values) => values.resize(len, value.try_into().unwrap_or(u16::MAX)),
            Self::Wide(values) => values.resize(len, value),
        }
    }

    /// Becomes wide enough for a value.
    fn make_room(&mut self, value: W) {
        let fits_short = TryInto::<u16>::try_into(value).is_ok();
        match self {
            Self::Byte(_) if TryInto::<u8>::try_into(value).is_ok() => {}
            Self::Byte(values) if fits_short => *self = Self::Short(values.iter().copied().map(u16::from).collect()),
            Self::Byte(values) => *self = Self::Wide(values.iter().copied().map(W::from).collect()),
            Self::Short(values) if !fits_short => *self = Self::Wide(values.iter().copied().map(W::from).collect()),
            Self::Short(_) | Self::Wide(_) => {}
        }
    }

    /// The values, one by one.
    pub(super) fn iter(&self) -> impl Iterator<Item = W> {
        let (bytes, shorts, wide): (&[u8], &[u16], &[W]) = match self {
            Self::Byte(values) => (values, &[], &[]),
            Self::Short(values) => (&[], values, &[]),
            Self::Wide(values) => (&[], &[], values),
        };
        let narrow = bytes.iter().copied().map(W::from).chain(shorts.iter().copied().map(W::from));
        narrow.chain(wide.iter().copied())
    }

    /// The one number that all of them are.
    pub(super) fn constant(&self) -> Option<W> {
        match self {
            Self::Byte(values) => constant(values).map(W::from),
            Self::Short(values) => constant(values).map(W::from),
            Self::Wide(values) => constant(values),
        }
    }

    /// The values in the order of the file.
    pub(super) fn sorted(&self, order: Option<&[u32]>) -> Cow<'_, [W]> {
        match self {
            Self::Byte(values) => Cow::Owned(widened(values, order)),
            Self::Short(values) => Cow::Owned(widened(values, order)),
            Self::Wide(values) => sorted(values, order),
        }
    }

    /// Forgets the values; keeps memory and width.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Byte(values) => values.clear(),
            Self::Short(values) => values.clear(),
            Self::Wide(values) => values.clear(),
        }
    }

    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Byte(values) => values.capacity(),
            Self::Short(values) => values.capacity() * size_of::<u16>(),
            Self::Wide(values) => values.capacity() * size_of::<W>(),
        }
    }
}

/// Values in the order of the file.
pub(super) fn sorted<'v, T: Copy>(values: &'v [T], order: Option<&[u32]>) -> Cow<'v, [T]> {
    let Some(order) = order else { return Cow::Borrowed(values) };
    order.iter().filter_map(|at| values.get(*at as usize).copied()).collect()
}

fn widened<T: Copy, W: From<T>>(values: &[T], order: Option<&[u32]>) -> Vec<W> {
    match order {
        None => values.iter().copied().map(W::from).collect(),
        Some(order) => order.iter().filter_map(|at| values.get(*at as usize).copied()).map(W::from).collect(),
    }
}

fn constant<T: Copy + PartialEq>(values: &[T]) -> Option<T> {
    let first = values.first().copied()?;
    values.iter().all(|value| *value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_what_is_read_at_every_width() {
        let widest = [i64::MIN, -1, 65_536, i64::MAX];
        for (step, last) in [255, 256, 65_535].into_iter().chain(widest).enumerate() {
            let mut narrow = Narrow::<i64>::new();
            let mut expected = vec![7, 0, 255];
            expected.iter().for_each(|value| narrow.push(*value));
            match step % 3 {
                0 => narrow.push(last),
                1 => narrow.push_run(last, 1),
                _ => narrow.insert(3, last),
            }
            expected.push(last);
            narrow.push(3);
            expected.push(3);
            assert_eq!(narrow.iter().collect::<Vec<_>>(), expected);
            assert_eq!(narrow.sorted(None).as_ref(), expected);
            assert_eq!(narrow.sorted(Some(&[4, 0, 3])).as_ref(), [3, 7, last]);
            assert_eq!((narrow.len(), narrow.constant()), (5, None));
            narrow.clear();
            narrow.push_run(last, 3);
            assert_eq!(narrow.constant(), Some(last));
        }
        assert_eq!(Narrow::<u32>::new().constant(), None);
    }
}
