//! Which word was meant: the valid one at the smallest edit distance.

/// Longer words are nobody's typing mistake; this also bounds the work.
const CHARS_MAX: usize = 64;

/// The candidate that `word` was most likely meant to be, if one is near enough: at most one edit in three
/// characters, and at least one edit (two from four characters on) is forgiven. Case does not count.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(CHARS_MAX + 1).collect();
    if word.len() > CHARS_MAX {
        return None;
    }
    let allowed = if word.len() < 4 { 1 } else { (word.len() / 3).max(2) };
    candidates
        .into_iter()
        .map(|candidate| {
            (distance(&word, &candidate.to_lowercase().chars().take(CHARS_MAX).collect::<Vec<_>>()), candidate)
        })
        .filter(|(edits, candidate)| *edits <= allowed && *edits < candidate.chars().count())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insert, delete, replace, swap of neighbors (optimal string alignment distance,
/// after Damerau 1964 and Levenshtein 1966), with three rows.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, &x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut left = i + 1;
        let mut last = None;
        for (j, &y) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut edits = (left + 1).min(cell(&above, j + 1) + 1).min(cell(&above, j) + usize::from(x != y));
            if j > 0 && previous == Some(y) && last == Some(x) {
                edits = edits.min(cell(&before, j - 1) + 1);
            }
            row.push(edits);
            left = edits;
            last = Some(y);
        }
        before = std::mem::replace(&mut above, row);
        previous = Some(x);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = ["include", "exclude", "from", "format", "lane", "max_line_bytes"];

    #[test]
    fn typing_mistakes_find_the_key_that_was_meant() {
        for (wrong, right) in [
            ("inclde", "include"),
            ("includes", "include"),
            ("exlcude", "exclude"),
            ("fromat", "format"),
            ("Lane", "lane"),
            ("max_line_byte", "max_line_bytes"),
            ("maxlinebytes", "max_line_bytes"),
        ] {
            assert_eq!(nearest(wrong, KEYS), Some(right), "{wrong}");
        }
    }

    #[test]
    fn words_that_share_nothing_suggest_nothing() {
        for wrong in ["", "x", "password", "zzzz", &"include".repeat(20)] {
            assert_eq!(nearest(wrong, KEYS), None, "{wrong}");
        }
        assert_eq!(nearest("if", ["to"]), None);
    }

    #[test]
    fn distances_count_swaps_once() {
        let between = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(between(a, b), edits, "{a} {b}");
        }
    }
}
