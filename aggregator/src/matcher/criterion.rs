//! [`Criterion`]: what one value of a rule asks of one value of an event.
//!
//! Values compare as text: a number or truth value of an event as JSON writes it, one of a rule as it stands
//! in the file.

use std::cmp::Ordering;

use regex::Regex;

use super::calendar::{Part, part};
use super::network::Network;
use super::pattern::Pattern;

/// A value of an event.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'s> {
    /// As text; empty for what is none.
    pub text: &'s str,
    /// The same, case folded.
    pub folded: &'s [u8],
    /// What it is.
    pub nature: Nature,
}

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nature {
    /// Text, a number or a truth value.
    Scalar,
    /// Null.
    Null,
    /// An object or list: it is there, and is no text itself.
    Structure,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// Text with wildcards.
    Text(Pattern),
    /// A regular expression, found anywhere.
    Regex(Box<Regular>),
    /// An address of this network.
    Network(Network),
    /// A number in this order to that number; of a part of a moment, if one is named.
    Order(Order, Number, Option<Part>),
    /// Absent or null.
    Null,
    /// There or not, whatever its value.
    Exists(bool),
    /// Like a value of another field.
    Field(Box<Other>),
}

/// A regular expression with what is needed to look into it again.
#[derive(Clone, Debug)]
pub struct Regular {
    /// Compiled.
    pub regex: Regex,
    /// `(i, m, s)` as they were asked for.
    pub flags: (bool, bool, bool),
}

/// Another field of the same event.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// Its number in the matcher.
    pub slot: u32,
    /// How the values stand to one another.
    pub how: How,
    /// Whether case counts.
    pub cased: bool,
}

/// Where the other value stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// It is the value.
    Whole,
    /// Anywhere.
    Within,
    /// At its beginning.
    Start,
    /// At its end.
    End,
}

/// An order of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Equal.
    Equal,
    /// Less.
    Less,
    /// Less or equal.
    AtMost,
    /// Greater.
    Greater,
    /// Greater or equal.
    AtLeast,
}

/// A number, exact where it is whole.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    /// Whole.
    Int(i64),
    /// Not whole, or too great.
    Float(f64),
}

impl Number {
    /// Reads a decimal number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse() {
            return Some(Self::Int(number));
        }
        // No `inf`, `nan` or `0x`: a number has a digit before anything else.
        let digits = text.trim_start_matches(['-', '+', '.']);
        digits.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok().map(Self::Float))?
    }

    fn order(self, other: Self) -> Option<Ordering> {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return Some(a.cmp(&b));
        }
        self.float().partial_cmp(&other.float())
    }

    #[expect(clippy::cast_precision_loss, reason = "the other number is a float already")]
    fn float(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

impl Order {
    fn holds(self, value: Number, than: Number) -> bool {
        let Some(ordering) = value.order(than) else { return false };
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }
}

impl Criterion {
    /// Whether one value of the event is what is asked for. `Null`, `Exists` and `Field` ask of the field as a
    /// whole and hold of no single value.
    #[must_use]
    pub fn holds(&self, sample: Sample<'_>) -> bool {
        if sample.nature != Nature::Scalar {
            return false;
        }
        match self {
            Self::Text(pattern) if pattern.cased => pattern.matches(sample.text.as_bytes()),
            Self::Text(pattern) => pattern.matches(sample.folded),
            Self::Regex(regular) => regular.regex.is_match(sample.text),
            Self::Network(network) => network.holds(sample.text),
            Self::Order(order, than, None) => Number::parse(sample.text).is_some_and(|value| order.holds(value, *than)),
            Self::Order(order, than, Some(of)) => {
                part(sample.text, *of).is_some_and(|value| order.holds(Number::Int(value), *than))
            }
            Self::Null | Self::Exists(_) | Self::Field(_) => false,
        }
    }
}

impl Other {
    /// Whether a value stands to the other field's value as asked.
    #[must_use]
    pub fn holds(&self, value: Sample<'_>, other: Sample<'_>) -> bool {
        if value.nature != Nature::Scalar || other.nature != Nature::Scalar {
            return false;
        }
        let (text, part) =
            if self.cased { (value.text.as_bytes(), other.text.as_bytes()) } else { (value.folded, other.folded) };
        match self.how {
            How::Whole => text == part,
            How::Within => memchr::memmem::find(text, part).is_some(),
            How::Start => text.starts_with(part),
            How::End => text.ends_with(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value_and_words_do_not() {
        for (a, order, b) in [
            ("5", Order::Equal, "5.0"),
            ("9007199254740993", Order::Greater, "9007199254740992"),
            ("-1", Order::Less, "0.5"),
            ("18446744073709551616", Order::AtLeast, "1e19"),
            (" 7 ", Order::AtMost, "7"),
        ] {
            assert!(order.holds(Number::parse(a).unwrap(), Number::parse(b).unwrap()), "{a} {b}");
        }
        for text in ["", "inf", "nan", "0x10", "five", "-", "1.2.3"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
