//! Grok: `%{NAME:capture}` in a regular expression, made one expression.
//!
//! In: a pattern as the user wrote it, the user's own named patterns. Out: a compiled [`Pattern`] whose captures are known
//! by name; a name may stand in several places, the first that took part in a match has the value.
//!
//! Bounds: [`DEPTH_MAX`] names within one another, [`EXPANDED_BYTES_MAX`] of expression, [`COMPILED_BYTES_MAX`] of program.
//! Matching is linear in the line (the `regex` crate); what cannot be is refused with a sentence that says so.

use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};
use shared::printable::Excerpt;
use shared::yaml::{nearest, rule};

use super::core;

/// How deep names of patterns stand in one another.
const DEPTH_MAX: usize = 16;
/// The longest expression that a pattern may come to.
const EXPANDED_BYTES_MAX: usize = 64 << 10;
/// The most memory that one compiled expression takes.
const COMPILED_BYTES_MAX: usize = 4 << 20;

/// Named patterns of the user.
pub(super) type Own = BTreeMap<String, String>;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Capture names in order of the pattern, each with the groups that it stands for.
    captures: Vec<(String, Vec<usize>)>,
}

impl Pattern {
    /// Compiles a grok pattern; without `%{…}` it is a regular expression.
    pub(super) fn grok(pattern: &str, own: &Own) -> Result<Self, String> {
        let mut expansion = Expansion { own, out: String::new(), names: Vec::new() };
        expansion.text(pattern, 0)?;
        Self::compile(&expansion.out, &expansion.names)
    }

    /// Compiles a regular expression; captures are `(?<name>…)`.
    pub(super) fn regex(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, &[])
    }

    fn compile(expression: &str, names: &[String]) -> Result<Self, String> {
        linear(expression)?;
        let regex = RegexBuilder::new(expression)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .nest_limit(100)
            .build()
            .map_err(|error| why(&error))?;
        let mut captures: Vec<(String, Vec<usize>)> = Vec::new();
        for (group, name) in regex.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let made = name.strip_prefix(MADE).and_then(|number| number.parse::<usize>().ok());
            let name = made.and_then(|number| names.get(number)).map_or(name, String::as_str);
            match captures.iter_mut().find(|(known, _)| known == name) {
                Some((_, groups)) => groups.push(group),
                None => captures.push((name.to_owned(), vec![group])),
            }
        }
        Ok(Self { regex, captures })
    }

    /// Names of its captures.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|(name, _)| name.as_str())
    }

    /// The match in a line.
    pub(super) fn find<'a>(&self, line: &'a str) -> Option<Captures<'a>> {
        self.regex.captures(line)
    }

    /// What each capture of a match holds; of those that took no part, nothing.
    pub(super) fn values<'p, 'a>(&'p self, found: &Captures<'a>) -> impl Iterator<Item = (&'p str, &'a str)> {
        self.captures.iter().filter_map(move |(name, groups)| {
            let value = groups.iter().find_map(|group| found.get(*group))?;
            Some((name.as_str(), value.as_str()))
        })
    }
}

/// What made names of groups begin with.
const MADE: &str = "grok_";

struct Expansion<'o> {
    own: &'o Own,
    out: String,
    /// Capture names by the number of their group's made name.
    names: Vec<String>,
}

impl Expansion<'_> {
    fn text(&mut self, pattern: &str, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("patterns stand in one another more than {DEPTH_MAX} deep"));
        }
        let mut rest = pattern;
        while let Some((before, behind)) = rest.split_once("%{") {
            let (reference, after) = behind.split_once('}').ok_or("'%{' has no '}'")?;
            self.out.push_str(before);
            self.reference(reference, depth)?;
            rest = after;
        }
        self.out.push_str(rest);
        if self.out.len() > EXPANDED_BYTES_MAX {
            return Err(format!("with its patterns written out it is longer than {EXPANDED_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// `NAME` or `NAME:capture`.
    fn reference(&mut self, reference: &str, depth: usize) -> Result<(), String> {
        let (name, capture) = reference.split_once(':').map_or((reference, None), |(name, rest)| (name, Some(rest)));
        let own = self.own;
        let Some(pattern) = own.get(name).map(String::as_str).or_else(|| core::pattern(name)) else {
            let mut valid: Vec<&str> = own.keys().map(String::as_str).collect();
            for name in core::names() {
                valid.push(name);
            }
            let advice = nearest(name, valid)
                .map_or_else(|| "write it under `patterns`".to_owned(), |meant| format!("did you mean '{meant}'?"));
            return Err(format!("pattern '{}' is not known; {advice}", Excerpt(name)));
        };
        match capture {
            Some(capture) if capture.contains(':') => {
                let (capture, kind) = capture.split_once(':').unwrap_or((capture, ""));
                return Err(format!(
                    "'{}:{}': the type stands in `fields`, not in the pattern",
                    Excerpt(capture),
                    Excerpt(kind)
                ));
            }
            Some(capture) => {
                rule::name(capture).map_err(|why| format!("capture {why}"))?;
                self.out.push_str(&format!("(?<{MADE}{}>", self.names.len()));
                self.names.push(capture.to_owned());
            }
            None => self.out.push_str("(?:"),
        }
        self.text(pattern, depth + 1)?;
        self.out.push(')');
        Ok(())
    }
}

/// Refuses, by name, what takes more than linear time; the regex crate refuses it too, in its own words.
fn linear(expression: &str) -> Result<(), String> {
    const REFUSED: [(&str, &str); 6] = [
        ("(?=", "look-ahead"),
        ("(?!", "look-ahead"),
        ("(?<=", "look-behind"),
        ("(?<!", "look-behind"),
        ("(?>", "an atomic group"),
        ("\\k", "a backreference"),
    ];
    let bytes = expression.as_bytes();
    let mut at = 0;
    while let Some(rest) = expression.get(at..) {
        if rest.is_empty() {
            break;
        }
        let digit = bytes.get(at + 1).filter(|b| matches!(b, b'1'..=b'9'));
        let found = REFUSED.iter().find(|(text, _)| rest.starts_with(text)).map(|(_, what)| *what);
        let backreference = (bytes.get(at) == Some(&b'\\') && digit.is_some()).then_some("a backreference");
        if let Some(what) = found.or(backreference) {
            let shown: String = rest.chars().take(8).collect();
            return Err(format!(
                "'{}…' is {what}, which can take far longer than the line is long; write what the line holds there instead",
                Excerpt(&shown)
            ));
        }
        // What is escaped is no group.
        let escaped = bytes.get(at) == Some(&b'\\');
        let next = rest.chars().take(if escaped { 2 } else { 1 }).map(char::len_utf8).sum::<usize>();
        at += next.max(1);
    }
    Ok(())
}

/// The last line of the crate's report; the others show the expression.
fn why(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!(
                "compiled it is larger than {COMPILED_BYTES_MAX} bytes; make repetitions such as {{1,1000}} smaller"
            )
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            format!("not a regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pattern: &str, line: &str) -> Option<Vec<(String, String)>> {
        let pattern = Pattern::grok(pattern, &Own::new()).unwrap();
        let found = pattern.find(line)?;
        Some(pattern.values(&found).map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn one(pattern: &str, line: &str) -> Option<String> {
        values(&format!("^%{{{pattern}:x}}$"), line).map(|values| values[0].1.clone())
    }

    #[test]
    fn every_pattern_of_the_core_compiles() {
        for name in core::names() {
            Pattern::grok(&format!("%{{{name}:it}}"), &Own::new()).unwrap_or_else(|why| panic!("{name}: {why}"));
        }
    }

    #[test]
    fn core_patterns_take_what_they_are_named_for_and_nothing_else() {
        for (pattern, takes, refuses) in [
            ("IPV4", &["192.0.2.1", "255.255.255.255"][..], &["192.0.2", "256.1.1.1", "1.2.3.4.5"][..]),
            (
                "IPV6",
                &["2001:db8::1", "::1", "::", "fe80::1%eth0", "::ffff:192.0.2.1"],
                &["12:34:56", "2001:db8", "g::1"],
            ),
            ("MAC", &["02:00:5e:10:00:01", "02-00-5E-10-00-01", "0200.5e10.0001"], &["02:00:5e:10:00"]),
            ("HOSTNAME", &["example.com", "h", "web-1.example.com."], &["-a", "a b"]),
            ("NUMBER", &["1", "-1.5", ".5", "+7"], &["1e5", "x"]),
            ("QS", &[r#""a \" b""#, "'x'", "``"], &[r#""a"#]),
            (
                "TIMESTAMP_ISO8601",
                &["2026-03-16T09:30:00.123Z", "2026-03-16 09:30:00,123 +0100"],
                &["16.03.2026 09:30"],
            ),
            ("SYSLOGTIMESTAMP", &["Mar 16 09:30:00", "Mar  6 09:30:00"], &["2026-03-16"]),
            ("HTTPDATE", &["16/Mar/2026:09:30:00 +0100"], &["16/Mar/2026"]),
            ("UUID", &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567"]),
            ("URI", &["https://user@example.com:8443/a/b?c=d", "http://[", "file:///x"][..1], &["example.com"]),
            ("LOGLEVEL", &["WARN", "error", "Information"], &["loud"]),
            ("EMAILADDRESS", &["a.b+c@example.com"], &["@example.com"]),
            ("UNIXPATH", &["/var/log/a-b.log", "/"], &["var/log"]),
        ] {
            for text in takes {
                assert_eq!(one(pattern, text).as_deref(), Some(*text), "{pattern}");
            }
            for text in refuses {
                assert_eq!(one(pattern, text), None, "{pattern} {text}");
            }
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_one_capture() {
        let pattern = "^(?:user=%{USER:who}|%{EMAILADDRESS:who}) %{WORD:what}$";
        let expected = Some(vec![("who".to_owned(), "bob".to_owned()), ("what".to_owned(), "left".to_owned())]);
        assert_eq!(values(pattern, "user=bob left"), expected);
        assert_eq!(values(pattern, "bob@example.com left").unwrap()[0].1, "bob@example.com");
    }

    #[test]
    fn what_cannot_be_linear_or_is_not_known_is_refused_with_what_to_do() {
        let grok = |pattern: &str| Pattern::grok(pattern, &Own::new()).unwrap_err();
        for (pattern, sentence) in [
            ("a(?=b)", "'(?=b)…' is look-ahead, which can take far longer"),
            ("(?<!a)b", "is look-behind"),
            ("(?>a+)b", "is an atomic group"),
            (r"(a)\1", "is a backreference"),
            ("%{IPORHSOT}", "pattern 'IPORHSOT' is not known; did you mean 'IPORHOST'?"),
            ("%{ZZZZZZZZZ}", "write it under `patterns`"),
            ("%{INT:n:int}", "the type stands in `fields`"),
            ("%{INT", "'%{' has no '}'"),
            ("%{INT:a b}", "capture 'a b' is not a name"),
            ("(", "not a regular expression: unclosed group"),
            ("(?:a{1000}){1000}", "compiled it is larger than"),
        ] {
            assert!(grok(pattern).contains(sentence), "{pattern}: {}", grok(pattern));
        }
        assert!(Pattern::regex(r"\(?=x").is_ok(), "an escaped bracket is no group");
    }

    #[test]
    fn patterns_that_name_each_other_and_grow_end() {
        let own = Own::from([("A".to_owned(), "%{B}".to_owned()), ("B".to_owned(), "%{A}".to_owned())]);
        assert!(Pattern::grok("%{A}", &own).unwrap_err().contains("more than 16 deep"));
        let grow = |n: usize| (format!("P{n}"), format!("%{{P{}}}", n + 1).repeat(8));
        let own: Own = (0..14).map(grow).chain([("P14".to_owned(), "x".to_owned())]).collect();
        assert!(Pattern::grok("%{P0}", &own).unwrap_err().contains("longer than"));
    }
}
