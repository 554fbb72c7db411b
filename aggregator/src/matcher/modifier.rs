//! Modifiers: what stands behind the `|` of a field (Sigma 2.1.0, "Modifiers").
//!
//! In: the names, left to right, and a value. Out: [`Criterion`]s, any of which the event's value may meet.
//! What makes no sense together is refused with a reason, never read as something else.

use std::collections::HashMap;

use regex::RegexBuilder;
use shared::printable::Excerpt;
use shared::yaml::{Kind, Node, nearest};

use super::calendar::Part;
use super::criterion::{Criterion, How, Number, Order, Other, Regular};
use super::encode::{Wide, base64, base64_offsets, spelled, wide, windash};
use super::network::Network;
use super::pattern::{Pattern, Token, tokens};

/// The values of placeholders (`%name%` under `expand`).
pub type Placeholders = HashMap<String, Vec<String>>;

/// Texts that one value may become when its placeholders are filled in.
const EXPANDED_MAX: usize = 10_000;
/// The largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 4 << 20;

/// Every modifier, for naming the nearest.
const NAMES: [&str; 31] = [
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "day",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "hour",
    "i",
    "lt",
    "lte",
    "m",
    "minute",
    "month",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "week",
    "wide",
    "windash",
    "year",
];

/// What is done to a text, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Contains,
    StartsWith,
    EndsWith,
    WinDash,
    Wide(Wide),
    Base64,
    Base64Offset,
}

/// What the value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Means {
    #[default]
    Text,
    Regex,
    Network,
    Exists,
    Field,
    Number,
}

/// A chain of modifiers.
#[derive(Clone, Debug, Default)]
pub struct Modifiers {
    /// `all`: every value must be met, not just one.
    pub all: bool,
    /// `neq`: the field must be otherwise.
    pub negated: bool,
    cased: bool,
    expand: bool,
    means: Means,
    flags: (bool, bool, bool),
    order: Option<Order>,
    part: Option<Part>,
    steps: Vec<Step>,
    /// The name that gave `means`, for messages.
    named: &'static str,
}

impl Modifiers {
    /// Reads the names.
    ///
    /// # Errors
    /// An unknown name, or names that exclude each other.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut read = Self::default();
        for name in names {
            read.take(name)?;
        }
        let order_of = |what: &str| format!("'{what}' cannot stand with '{}'", read.named);
        match (read.means, read.steps.as_slice()) {
            (Means::Text, _) | (_, []) => {}
            (Means::Field, steps) if steps.iter().all(|step| step.position().is_some()) => {}
            (_, [first, ..]) => return Err(order_of(first.name())),
        }
        if read.cased && !matches!(read.means, Means::Text | Means::Field) {
            return Err(order_of("cased"));
        }
        Ok(read)
    }

    fn take(&mut self, name: &str) -> Result<(), String> {
        match name {
            "all" => self.all = true,
            "neq" => self.negated = true,
            "cased" => self.cased = true,
            "expand" => self.expand = true,
            "contains" => self.steps.push(Step::Contains),
            "startswith" => self.steps.push(Step::StartsWith),
            "endswith" => self.steps.push(Step::EndsWith),
            "windash" => self.steps.push(Step::WinDash),
            "wide" | "utf16le" => self.steps.push(Step::Wide(Wide::Little)),
            "utf16be" => self.steps.push(Step::Wide(Wide::Big)),
            "utf16" => self.steps.push(Step::Wide(Wide::Marked)),
            "base64" => self.steps.push(Step::Base64),
            "base64offset" => self.steps.push(Step::Base64Offset),
            "re" => self.mean(Means::Regex, "re")?,
            "cidr" => self.mean(Means::Network, "cidr")?,
            "exists" => self.mean(Means::Exists, "exists")?,
            "fieldref" => self.mean(Means::Field, "fieldref")?,
            "i" | "m" | "s" if self.means == Means::Regex => match name {
                "i" => self.flags.0 = true,
                "m" => self.flags.1 = true,
                _ => self.flags.2 = true,
            },
            "i" | "m" | "s" => return Err(format!("'{name}' stands behind 're' only")),
            "lt" => self.compare(Order::Less, "lt")?,
            "lte" => self.compare(Order::AtMost, "lte")?,
            "gt" => self.compare(Order::Greater, "gt")?,
            "gte" => self.compare(Order::AtLeast, "gte")?,
            "minute" => self.part_of(Part::Minute, "minute")?,
            "hour" => self.part_of(Part::Hour, "hour")?,
            "day" => self.part_of(Part::Day, "day")?,
            "week" => self.part_of(Part::Week, "week")?,
            "month" => self.part_of(Part::Month, "month")?,
            "year" => self.part_of(Part::Year, "year")?,
            _ => {
                let meant = nearest(name, NAMES).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
                return Err(format!("'{}' is no modifier{meant}", Excerpt(name)));
            }
        }
        Ok(())
    }

    fn mean(&mut self, means: Means, name: &'static str) -> Result<(), String> {
        if self.means != Means::Text && self.means != means {
            return Err(format!("'{name}' cannot stand with '{}'", self.named));
        }
        (self.means, self.named) = (means, name);
        Ok(())
    }

    fn compare(&mut self, order: Order, name: &'static str) -> Result<(), String> {
        if self.order.is_some() {
            return Err(format!("'{name}' cannot stand with '{}'; write two items of the same map", self.named));
        }
        self.mean(Means::Number, name)?;
        self.order = Some(order);
        Ok(())
    }

    fn part_of(&mut self, part: Part, name: &'static str) -> Result<(), String> {
        if self.part.is_some() {
            return Err(format!("'{name}' cannot stand with '{}'", self.named));
        }
        self.mean(Means::Number, name)?;
        self.part = Some(part);
        Ok(())
    }

    /// The criteria of one value; `keyword`: it stands without a field and is looked for anywhere.
    ///
    /// # Errors
    /// Why the value cannot be what the modifiers say.
    pub fn criteria(&self, value: &Node, keyword: bool, known: &Placeholders) -> Result<Vec<Criterion>, String> {
        let text = match &value.kind {
            Kind::Scalar(text) => text,
            Kind::Null if keyword => return Err("a keyword is a text, found nothing".to_owned()),
            Kind::Null if self.means == Means::Text && self.steps.is_empty() => return Ok(vec![Criterion::Null]),
            Kind::Null => return Err("null takes no modifiers".to_owned()),
            Kind::List(_) | Kind::Map(_) => return Err(format!("a value is expected, found {}", value.describe())),
        };
        if keyword && matches!(self.means, Means::Exists | Means::Field) {
            return Err(format!("'{}' needs a field", self.named));
        }
        if keyword && text.is_empty() {
            return Err("an empty keyword is in every event".to_owned());
        }
        let mut criteria = Vec::new();
        for text in self.expanded(text, known)? {
            match self.means {
                Means::Text => self.texts(&text, keyword, &mut criteria)?,
                Means::Regex => criteria.push(Criterion::Regex(Box::new(self.regex(&text)?))),
                Means::Network => criteria.push(Criterion::Network(Network::parse(&text).ok_or_else(|| {
                    format!("'{}' is no network such as 192.0.2.0/24 or 2001:db8::/32", Excerpt(&text))
                })?)),
                Means::Exists => criteria.push(Criterion::Exists(truth(&text)?)),
                Means::Field => criteria.push(Criterion::Field(Box::new(self.other(&text)?))),
                Means::Number => {
                    let number = Number::parse(&text).ok_or_else(|| format!("'{}' is no number", Excerpt(&text)))?;
                    criteria.push(Criterion::Order(self.order.unwrap_or(Order::Equal), number, self.part));
                }
            }
        }
        Ok(criteria)
    }

    /// The text with its placeholders filled in, in every combination.
    fn expanded(&self, text: &str, known: &Placeholders) -> Result<Vec<String>, String> {
        if !self.expand {
            return Ok(vec![text.to_owned()]);
        }
        let mut out = vec![String::new()];
        let mut rest = text;
        while let Some((before, name, behind)) = placeholder(rest) {
            let values = known.get(name).ok_or_else(|| {
                format!("the placeholder %{}% has no value here; a rule with it is not taken literally", Excerpt(name))
            })?;
            if out.len().saturating_mul(values.len()) > EXPANDED_MAX {
                return Err(format!("its placeholders give more than {EXPANDED_MAX} values"));
            }
            out =
                out.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{before}{value}"))).collect();
            rest = behind;
        }
        out.iter_mut().for_each(|text| text.push_str(rest));
        Ok(out)
    }

    fn texts(&self, text: &str, keyword: bool, criteria: &mut Vec<Criterion>) -> Result<(), String> {
        let mut forms = vec![Form::Tokens(tokens(text))];
        for step in &self.steps {
            let mut next = Vec::with_capacity(forms.len());
            for form in forms {
                step.apply(form, &mut next)?;
            }
            forms = next;
        }
        let anywhere = keyword && !self.steps.iter().any(|step| step.position().is_some());
        for form in forms {
            let mut tokens = form.into_tokens()?;
            if anywhere {
                surround(&mut tokens, true, true);
            }
            criteria.push(Criterion::Text(Pattern::new(&tokens, self.cased)));
        }
        Ok(())
    }

    fn regex(&self, text: &str) -> Result<Regular, String> {
        let (i, m, s) = self.flags;
        let mut builder = RegexBuilder::new(text);
        builder.case_insensitive(i).multi_line(m).dot_matches_new_line(s);
        let regex = builder.size_limit(REGEX_BYTES_MAX).nest_limit(50).build().map_err(|error| {
            // The last line of the parser's message says what is wrong; those before draw the place.
            let message = error.to_string();
            let said = message.lines().last().unwrap_or_default();
            format!("not a regular expression: {}", Excerpt(said.strip_prefix("error: ").unwrap_or(said)))
        })?;
        Ok(Regular { regex, flags: self.flags })
    }

    fn other(&self, name: &str) -> Result<Other, String> {
        if name.is_empty() {
            return Err("'fieldref' needs the name of a field".to_owned());
        }
        let how = self.steps.iter().find_map(|step| step.position()).unwrap_or(How::Whole);
        Ok(Other { name: name.to_owned(), slot: 0, how, cased: self.cased })
    }
}

/// A text on its way.
enum Form {
    Tokens(Vec<Token>),
    Bytes(Vec<u8>),
}

impl Form {
    fn into_tokens(self) -> Result<Vec<Token>, String> {
        match self {
            Self::Tokens(tokens) => Ok(tokens),
            Self::Bytes(bytes) => {
                let text = String::from_utf8(bytes).map_err(|_| {
                    "as UTF-16 it is no text; put 'base64' or 'base64offset' behind the encoding".to_owned()
                })?;
                Ok(text.chars().map(Token::Char).collect())
            }
        }
    }

    /// The texts or bytes that are to be encoded.
    fn encodable(self, step: Step) -> Result<Vec<Vec<u8>>, String> {
        match self {
            Self::Bytes(bytes) => Ok(vec![bytes]),
            Self::Tokens(tokens) => match spelled(&tokens) {
                Some(texts) => Ok(texts.into_iter().map(String::into_bytes).collect()),
                None => Err(format!("wildcards cannot be encoded: '{}' stands behind them", step.name())),
            },
        }
    }
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
            Self::WinDash => "windash",
            Self::Wide(Wide::Little) => "wide",
            Self::Wide(Wide::Big) => "utf16be",
            Self::Wide(Wide::Marked) => "utf16",
            Self::Base64 => "base64",
            Self::Base64Offset => "base64offset",
        }
    }

    const fn position(self) -> Option<How> {
        match self {
            Self::Contains => Some(How::Within),
            Self::StartsWith => Some(How::Start),
            Self::EndsWith => Some(How::End),
            _ => None,
        }
    }

    fn apply(self, form: Form, out: &mut Vec<Form>) -> Result<(), String> {
        let text_of = |bytes: String| Form::Tokens(bytes.chars().map(Token::Char).collect());
        match self {
            Self::Contains | Self::StartsWith | Self::EndsWith => {
                let mut tokens = form.into_tokens()?;
                surround(&mut tokens, self != Self::StartsWith, self != Self::EndsWith);
                out.push(Form::Tokens(tokens));
            }
            Self::WinDash => {
                let mut tokens = form.into_tokens()?;
                windash(&mut tokens);
                out.push(Form::Tokens(tokens));
            }
            Self::Wide(how) => {
                for bytes in form.encodable(self)? {
                    let text = String::from_utf8(bytes).map_err(|_| "it is encoded twice".to_owned())?;
                    out.push(Form::Bytes(wide(&text, how)));
                }
            }
            Self::Base64 => out.extend(form.encodable(self)?.iter().map(|bytes| text_of(base64(bytes)))),
            Self::Base64Offset => {
                let texts = form.encodable(self)?;
                out.extend(texts.iter().flat_map(|bytes| base64_offsets(bytes)).map(text_of));
                if out.is_empty() {
                    return Err("too short for 'base64offset'".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// Puts `*` before and behind, where none stands.
fn surround(tokens: &mut Vec<Token>, before: bool, behind: bool) {
    if before && tokens.first() != Some(&Token::Any) {
        tokens.insert(0, Token::Any);
    }
    if behind && tokens.last() != Some(&Token::Any) {
        tokens.push(Token::Any);
    }
}

/// The first `%name%` of a text: what stands before it, its name, what comes after.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find('%')?;
        let name = text.get(start + 1..)?;
        let end = name.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '.'))?;
        if end > 0 && name.get(end..)?.starts_with('%') {
            return Some((text.get(..start)?, name.get(..end)?, name.get(end + 1..)?));
        }
        from = start + 1;
    }
}

fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(format!("'exists' is true or false, found '{}'", Excerpt(text))),
    }
}

#[cfg(test)]
mod tests {
    use shared::yaml::Place;

    use super::*;
    use crate::matcher::criterion::{Nature, Sample};
    use crate::matcher::fold::folded;

    fn criteria(modifiers: &str, value: &str) -> Result<Vec<Criterion>, String> {
        let known = Placeholders::from([("admins".to_owned(), vec!["root".to_owned(), "alice*".to_owned()])]);
        let node = Node { place: Place::START, kind: Kind::Scalar(value.to_owned()) };
        Modifiers::parse(modifiers.split('|').filter(|name| !name.is_empty()))?.criteria(&node, false, &known)
    }

    #[track_caller]
    fn matches(modifiers: &str, value: &str, text: &str) -> bool {
        let sample = Sample { text, folded: &folded(text), nature: Nature::Scalar };
        criteria(modifiers, value).unwrap().iter().any(|criterion| criterion.holds(sample))
    }

    #[test]
    fn each_modifier_matches_what_it_says_and_not_what_it_does_not() {
        for (modifiers, value, yes, no) in [
            ("", "Abc", "aBC", "abcd"),
            ("cased", "Abc", "Abc", "abc"),
            ("contains", "b\\", "ab\\c", "abc"),
            ("startswith", "ab", "ABx", "xab"),
            ("endswith", r"\cmd.exe", r"C:\CMD.EXE", "cmd.exe"),
            ("contains|windash", " -f ", "x —F y", "x _f y"),
            ("re", "^a+$", "aa", "AA"),
            ("re|i", "^a+$", "AA", "ab"),
            ("re|m", "^b$", "a\nb", "ab"),
            ("re|s", "a.b", "a\nb", "a\n\nb"),
            ("cidr", "192.0.2.0/24", "192.0.2.9", "192.0.3.9"),
            ("gte", "5.5", "5.50", "5.4"),
            ("lt", "-3", "-4", "-3"),
            ("hour|gte", "18", "2026-03-16T18:00:00Z", "2026-03-16T17:59:59Z"),
            ("month", "3", "2026-03-16", "2026-04-16"),
            ("base64", "foobar", "Zm9vYmFy", "foobar"),
            ("base64offset|contains", "foobar", "xxmb29iYXIyy", "xxm29iYXIyy"),
            ("wide|base64offset|contains", "ping", "AHAAaQBuAGcA", "cABxAG4AZwA"),
            ("wide", "ab", "A\0b\0", "ab"),
            ("expand", "%admins%", "ALICE-2", "bob"),
            ("expand|contains", "user=%admins%!", "user=root!", "user=bob!"),
        ] {
            assert!(matches(modifiers, value, yes), "{modifiers} {value} {yes}");
            assert!(!matches(modifiers, value, no), "{modifiers} {value} {no}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        for (modifiers, value, said) in [
            ("contain", "x", "did you mean 'contains'?"),
            ("re|contains", "x", "'contains' cannot stand with 're'"),
            ("cidr|re", "x", "'re' cannot stand with 'cidr'"),
            ("gt|lt", "1", "two items"),
            ("i", "x", "behind 're' only"),
            ("re", "(?=x)", "look-around"),
            ("re", "(", "not a regular expression"),
            ("cidr", "192.0.2.0/99", "no network"),
            ("gt", "many", "no number"),
            ("exists", "maybe", "true or false"),
            ("expand", "%unknown%", "%unknown% has no value"),
            ("contains|base64", "x", "wildcards cannot be encoded"),
            ("wide", "é", "put 'base64'"),
            ("fieldref|windash", "x", "cannot stand"),
            ("cidr|cased", "::/0", "cannot stand"),
        ] {
            let refused = criteria(modifiers, value).unwrap_err();
            assert!(refused.contains(said), "{modifiers}: {refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn a_percent_sign_alone_is_no_placeholder() {
        for text in ["100%", "%", "%%", "a % b %", "%APPDATA%"] {
            assert!(criteria("", text).is_ok());
        }
        assert!(matches("expand", "100% of %admins%", "100% of root"));
        assert!(criteria("expand", "%APPDATA%").is_err());
    }
}
