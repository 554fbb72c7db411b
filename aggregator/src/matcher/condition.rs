//! Conditions: `selection and not 1 of filter_*` (Sigma 2.1.0, "Condition").
//!
//! In: the text and the names of the selections. Out: a tree over their numbers. `x of` binds before `not`,
//! `not` before `and`, `and` before `or`; words in any case. `them` and patterns leave out names that begin with
//! `_`, unless the pattern does too.

use shared::printable::Excerpt;
use shared::yaml::nearest;

use super::pattern::{Pattern, tokens};

/// The longest condition, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// How deep parentheses and `not` may nest.
const DEPTH_MAX: usize = 64;

/// A condition over selections by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// This selection.
    One(usize),
    /// All of them.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}

/// Reads a condition.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str, names: &[&str]) -> Result<Condition, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("the condition has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len()));
    }
    if text.contains('|') {
        return Err("aggregations ('| count() …') are not read; write a correlation rule".to_owned());
    }
    let mut reader = Reader { words: words(text), names, depth: 0 };
    let condition = reader.any()?;
    match reader.words.next() {
        None => Ok(condition),
        Some(word) => Err(format!("'{}' is not expected here: 'and' or 'or' is missing", Excerpt(word))),
    }
}

/// Words and parentheses.
type Words<'t> = std::iter::Peekable<std::vec::IntoIter<&'t str>>;

fn words(text: &str) -> Words<'_> {
    let mut out = Vec::new();
    for mut word in text.split_whitespace() {
        while let Some(at) = word.find(['(', ')']) {
            let (before, rest) = word.split_at(at);
            let (parenthesis, behind) = rest.split_at(1);
            out.extend((!before.is_empty()).then_some(before));
            out.push(parenthesis);
            word = behind;
        }
        out.extend((!word.is_empty()).then_some(word));
    }
    out.into_iter().peekable()
}

struct Reader<'t> {
    words: Words<'t>,
    names: &'t [&'t str],
    depth: usize,
}

impl<'t> Reader<'t> {
    fn next_is(&mut self, word: &str) -> bool {
        self.words.next_if(|next| next.eq_ignore_ascii_case(word)).is_some()
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.next_is("or") {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.next_is("and") {
            parts.push(self.one()?);
        }
        Ok(single_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("the condition nests more than {DEPTH_MAX} deep"));
        }
        let condition = if self.next_is("not") {
            Condition::Not(Box::new(self.one()?))
        } else if self.next_is("(") {
            let inner = self.any()?;
            if !self.next_is(")") {
                return Err("a ')' is missing".to_owned());
            }
            inner
        } else {
            let word = self.words.next().ok_or("a selection is missing at the end")?;
            self.term(word)?
        };
        self.depth -= 1;
        Ok(condition)
    }

    /// A selection, or so many of several.
    fn term(&mut self, word: &'t str) -> Result<Condition, String> {
        let of = self.words.peek().is_some_and(|next| next.eq_ignore_ascii_case("of"));
        if !of {
            let found = self.names.iter().position(|name| *name == word);
            return found.map(Condition::One).ok_or_else(|| {
                let meant = nearest(word, self.names.iter().copied());
                let meant = meant.map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                format!("no selection is called '{}'{meant}", Excerpt(word))
            });
        }
        self.words.next();
        let pattern = self.words.next().ok_or("'of' needs 'them' or the name of selections")?;
        let chosen = self.chosen(pattern);
        if chosen.is_empty() {
            return Err(format!("no selection is meant by '{}'", Excerpt(pattern)));
        }
        if word.eq_ignore_ascii_case("all") {
            return Ok(single_or(chosen, Condition::All));
        }
        if word == "1" || word.eq_ignore_ascii_case("any") {
            return Ok(single_or(chosen, Condition::Any));
        }
        Err(format!("'{} of' is not known: '1 of' or 'all of'", Excerpt(word)))
    }

    fn chosen(&self, pattern: &str) -> Vec<Condition> {
        let hidden_too = pattern.starts_with('_');
        let them = pattern.eq_ignore_ascii_case("them");
        let compiled = Pattern::new(&tokens(pattern), true);
        let meant = |name: &str| (hidden_too || !name.starts_with('_')) && (them || compiled.matches(name.as_bytes()));
        (0..).zip(self.names).filter(|(_, name)| meant(name)).map(|(at, _)| Condition::One(at)).collect()
    }
}

/// The one part, or all of them together.
fn single_or(mut parts: Vec<Condition>, several: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    match (parts.len(), parts.pop()) {
        (1, Some(part)) => part,
        (_, last) => {
            parts.extend(last);
            several(parts)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Condition::{All, Any, Not, One};
    use super::*;

    const NAMES: [&str; 6] = ["sel_a", "sel_b", "filter", "_hidden", "or_x", "not_y"];

    #[test]
    fn precedence_and_quantifiers_are_those_of_the_specification() {
        for (text, expected) in [
            ("sel_a", One(0)),
            ("sel_a or sel_b and not filter", Any(vec![One(0), All(vec![One(1), Not(Box::new(One(2)))])])),
            ("(sel_a OR sel_b) AND NOT filter", All(vec![Any(vec![One(0), One(1)]), Not(Box::new(One(2)))])),
            ("1 of sel_*", Any(vec![One(0), One(1)])),
            ("all of *_*", All(vec![One(0), One(1), One(4), One(5)])),
            ("1 of _*", One(3)),
            ("not 1 of sel*", Not(Box::new(Any(vec![One(0), One(1)])))),
            ("all of them", All(vec![One(0), One(1), One(2), One(4), One(5)])),
            ("or_x and not_y", All(vec![One(4), One(5)])),
            ("not(filter)", Not(Box::new(One(2)))),
        ] {
            assert_eq!(parse(text, &NAMES).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_conditions_say_what_is_wrong() {
        for (text, said) in [
            ("", "a selection is missing"),
            ("sel_a sel_b", "'and' or 'or' is missing"),
            ("sel_c", "did you mean 'sel_a'?"),
            ("(sel_a", "')' is missing"),
            ("sel_a)", "not expected"),
            ("sel_a and", "missing at the end"),
            ("2 of sel*", "'2 of'"),
            ("1 of x*", "meant by 'x*'"),
            ("sel_a | count() > 5", "correlation"),
            (&"(".repeat(1000), "64 deep"),
            (&"a ".repeat(20_000), "at most"),
        ] {
            let refused = parse(text, &NAMES).unwrap_err();
            assert!(refused.contains(said), "{text}: {refused}");
        }
    }
}
