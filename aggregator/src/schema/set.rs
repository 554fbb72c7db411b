//! [`AttributeSet`]: which attributes something has, a bit each.

use super::Attribute;

/// Words of 64 bits that all attributes take.
const WORDS: usize = Attribute::ALL.len().div_ceil(64);

/// A set of attributes; to ask and to add take a few instructions.
#[derive(Clone, Copy, Default, Debug)]
pub struct AttributeSet([u64; WORDS]);

impl AttributeSet {
    /// Adds one.
    #[inline]
    pub fn insert(&mut self, attribute: Attribute) {
        let number = attribute as usize;
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }

    /// Whether it is in the set.
    #[must_use]
    #[inline]
    pub fn has(&self, attribute: Attribute) -> bool {
        let number = attribute as usize;
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_inserted_and_nothing_else() {
        for &one in Attribute::ALL {
            let mut set = AttributeSet::default();
            set.insert(one);
            assert!(Attribute::ALL.iter().all(|&other| set.has(other) == (other == one)), "{one:?}");
        }
    }
}
