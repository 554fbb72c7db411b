//! Witnesses: texts of which at least one stands in every event that a predicate takes.
//!
//! In: a predicate. Out: the fewest and longest such texts, each with the field in which it stands, case folded; none
//! where the predicate can take an event without any text of its own (`not …`, `null`, numbers, networks). Where a
//! witness is missing in an event, the predicate need not be looked at.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::condition::Condition;
use super::criterion::{Criterion, Regular};
use super::fold::{fold, folded};
use super::predicate::{Item, Predicate, Selection};

/// A text, and the number of the field in which it stands.
pub type Witness = (u32, Vec<u8>);

/// Longer texts are not rarer in a way that matters.
const LENGTH_ENOUGH: usize = 8;

/// How good a set is: length of its shortest text, then fewer texts.
fn worth(set: &[Witness]) -> (usize, std::cmp::Reverse<usize>) {
    let shortest = set.iter().map(|(_, text)| text.len().min(LENGTH_ENOUGH)).min().unwrap_or(0);
    (shortest, std::cmp::Reverse(set.len()))
}

fn best(sets: impl IntoIterator<Item = Option<Vec<Witness>>>) -> Option<Vec<Witness>> {
    sets.into_iter().flatten().max_by_key(|set| worth(set))
}

fn together(sets: impl IntoIterator<Item = Option<Vec<Witness>>>) -> Option<Vec<Witness>> {
    let mut all = Vec::new();
    for set in sets {
        all.extend(set?);
    }
    Some(all)
}

/// The witnesses of a predicate.
#[must_use]
pub fn of(predicate: &Predicate) -> Option<Vec<Witness>> {
    let selections: Vec<Option<Vec<Witness>>> = predicate.selections.iter().map(selection).collect();
    let mut set = condition(&predicate.condition, &selections)?;
    set.sort_unstable();
    set.dedup();
    Some(set)
}

fn condition(part: &Condition, selections: &[Option<Vec<Witness>>]) -> Option<Vec<Witness>> {
    match part {
        Condition::One(number) => selections.get(*number)?.clone(),
        Condition::All(parts) => best(parts.iter().map(|part| condition(part, selections))),
        Condition::Any(parts) => together(parts.iter().map(|part| condition(part, selections))),
        Condition::Not(_) => None,
    }
}

fn selection(part: &Selection) -> Option<Vec<Witness>> {
    match part {
        Selection::All(parts) => best(parts.iter().map(selection)),
        Selection::Any(parts) => together(parts.iter().map(selection)),
        Selection::Item(item) => item_of(item),
    }
}

fn item_of(item: &Item) -> Option<Vec<Witness>> {
    if item.negated {
        return None;
    }
    let values = item.values.iter().map(|criteria| {
        let sets = criteria.iter().map(|criterion| {
            let texts = texts(criterion)?;
            Some(texts.into_iter().map(|text| (item.slot, text)).collect())
        });
        together(sets)
    });
    if item.all { best(values) } else { together(values) }
}

/// Texts, any of which stands in every value of which the criterion holds.
fn texts(criterion: &Criterion) -> Option<Vec<Vec<u8>>> {
    match criterion {
        Criterion::Text(pattern) => {
            let text = pattern.longest_text()?;
            // A pattern that minds case holds its text as it is; what is searched is folded.
            Some(vec![folded(std::str::from_utf8(text).ok()?)])
        }
        Criterion::Regex(regular) => {
            let texts = of_regex(regular)?;
            Some(texts.into_iter().map(String::into_bytes).collect())
        }
        _ => None,
    }
}

fn of_regex(regular: &Regular) -> Option<Vec<String>> {
    let (i, m, s) = regular.flags;
    let mut builder = ParserBuilder::new();
    builder.case_insensitive(i).multi_line(m).dot_matches_new_line(s).nest_limit(50);
    required(&builder.build().parse(regular.regex.as_str()).ok()?)
}

/// Texts that one set of alternatives may have.
const ALTERNATIVES_MAX: usize = 256;

/// Folded texts of which at least one, not empty, stands in every match.
fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => exact(hir).filter(|text| !text.is_empty()).map(|text| vec![text]),
        HirKind::Empty | HirKind::Look(_) => None,
        HirKind::Repetition(repetition) if repetition.min > 0 => required(&repetition.sub),
        HirKind::Repetition(_) => None,
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(required(part)?);
            }
            (all.len() <= ALTERNATIVES_MAX).then_some(all)
        }
        HirKind::Concat(parts) => {
            let (mut sets, mut run) = (Vec::new(), String::new());
            for part in parts {
                match exact(part) {
                    Some(text) => run.push_str(&text),
                    None => {
                        sets.push(vec![std::mem::take(&mut run)]);
                        sets.extend(required(part));
                    }
                }
            }
            sets.push(vec![run]);
            let shortest = |set: &Vec<String>| set.iter().map(|text| text.len().min(LENGTH_ENOUGH)).min().unwrap_or(0);
            let found = sets.into_iter().max_by_key(|set| (shortest(set), std::cmp::Reverse(set.len())))?;
            (shortest(&found) > 0).then_some(found)
        }
    }
}

/// The only text, case folded, that this matches.
fn exact(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(String::new()),
        HirKind::Literal(literal) => Some(std::str::from_utf8(&literal.0).ok()?.chars().map(fold).collect()),
        HirKind::Class(Class::Unicode(class)) => {
            let mut chars = class.iter().flat_map(|range| range.start()..=range.end()).map(fold);
            let first = chars.next()?;
            // A class of many characters is left at the second.
            chars.all(|c| c == first).then(|| first.to_string())
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(exact).collect(),
        HirKind::Class(Class::Bytes(_)) | HirKind::Repetition(_) | HirKind::Alternation(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn regex(text: &str) -> Option<Vec<String>> {
        of_regex(&Regular { regex: Regex::new(text).unwrap(), flags: (false, false, false) })
    }

    #[test]
    fn the_text_that_a_regular_expression_cannot_do_without_is_found() {
        let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        for (expression, expected) in [
            ("(?i)PowerShell", texts(&["powershell"])),
            ("^curl .*secret-file$", texts(&["secret-file"])),
            (r"a(bc|de)+f?ghi\d", texts(&["ghi"])),
            ("(?:one|two)", texts(&["one", "two"])),
            (r"(?i)\bKelvin\b", texts(&["kelvin"])),
            ("x?y*", None),
            ("[a-z]+", None),
            ("a|b*", None),
            ("", None),
        ] {
            assert_eq!(regex(expression), expected, "{expression}");
        }
    }
}
