//! What is known of every path: the baseline on disk, and what was found since it was written.
//!
//! Invariant: an entry of [`Known::newer`] is the truth; the file is, where there is none. Both are read in one order.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;

use super::baseline::{Baseline, Entries, Unusable};
use super::entry::{Entry, Named, TreePath, is_within, order};

/// News that are kept in memory; more and a baseline is written.
pub const NEWER_MAX: usize = 4_096;

/// All that is known.
#[derive(Debug, Default)]
pub struct Known {
    baseline: Option<Baseline>,
    /// Found since; none: nothing stands there any more.
    newer: BTreeMap<TreePath, Option<Entry>>,
}

impl Known {
    /// What a baseline knows; nothing where there is none.
    #[must_use]
    pub fn new(baseline: Option<Baseline>) -> Self {
        Self { baseline, newer: BTreeMap::new() }
    }

    /// The baseline on disk.
    #[must_use]
    pub fn baseline(&self) -> Option<&Baseline> {
        self.baseline.as_ref()
    }

    /// How many paths are known better than by the file.
    #[must_use]
    pub fn newer(&self) -> usize {
        self.newer.len()
    }

    /// Takes what was found.
    pub fn learn(&mut self, news: Vec<(Box<[u8]>, Option<Entry>)>) {
        self.newer.extend(news.into_iter().map(|(path, entry)| (TreePath(path), entry)));
    }

    /// Everything that is known, in order.
    #[must_use]
    pub fn all(&self) -> Remembered<'_> {
        self.from(b"", true)
    }

    /// What is known at `root`, and below it where `is_deep`.
    #[must_use]
    pub fn from(&self, root: &[u8], is_deep: bool) -> Remembered<'_> {
        Remembered {
            file: self.baseline.as_ref().map(|baseline| baseline.from(root)),
            newer: self.newer.range(TreePath(root.into())..).peekable(),
            root: root.into(),
            is_deep,
        }
    }
}

/// Entries that are known, in order.
pub struct Remembered<'a> {
    file: Option<Entries<'a>>,
    newer: Peekable<Range<'a, TreePath, Option<Entry>>>,
    root: Box<[u8]>,
    is_deep: bool,
}

impl Remembered<'_> {
    /// The next.
    ///
    /// # Errors
    /// The baseline is not what it was when it was opened.
    pub fn pull(&mut self) -> Result<Option<Named>, Unusable> {
        loop {
            let of_file = match &mut self.file {
                Some(file) => file.peek()?.map(|(path, _)| path),
                None => None,
            };
            let of_newer = self.newer.peek().map(|(path, _)| &path.0);
            let is_file = match (of_file, of_newer) {
                (None, None) => return Ok(None),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some(file), Some(newer)) => match order(file, newer) {
                    std::cmp::Ordering::Less => true,
                    std::cmp::Ordering::Greater => false,
                    std::cmp::Ordering::Equal => {
                        // The newer one counts.
                        self.file.as_mut().and_then(Entries::take);
                        false
                    }
                },
            };
            let found = if is_file {
                self.file.as_mut().and_then(Entries::take)
            } else {
                self.newer.next().and_then(|(path, entry)| Some((path.0.clone(), entry.clone()?)))
            };
            let Some((path, entry)) = found else { continue };
            let is_meant = if self.is_deep { is_within(&path, &self.root) } else { path == self.root };
            if !is_meant && !self.root.is_empty() {
                return Ok(None);
            }
            return Ok(Some((path, entry)));
        }
    }
}
