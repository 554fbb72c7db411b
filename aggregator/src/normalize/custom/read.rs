//! A parser's YAML, key by key.
//!
//! In: the keys of one entry of `parsers`. Out: a compiled [`Parser`], or problems at their places. What only a run would
//! show is looked at here: captures that no pattern has, types that a target does not take, parts that OCSF requires.

use std::path::Path;
use std::sync::Arc;

use shared::printable::Excerpt;
use shared::yaml::{Entry, Fields, Kind, Node, Place, Problems, Read, Report, nearest, rule, tree};

use super::activities::{self, OTHER};
use super::clock::Clock;
use super::fill::{Fixed, Type, fitting};
use super::grok::{Own, Pattern};
use super::target::{Target, lacking, word_for};
use super::trial::Trial;
use super::{Field, Parser};
use crate::event::Value;
use crate::normalize::Format;
use crate::schema::{Attribute, Class};

/// Parsers that one file may have.
pub const PARSERS_MAX: usize = 256;
/// Patterns that one parser tries.
pub const PATTERNS_MAX: usize = 32;
/// The longest pattern as it is written.
const PATTERN_BYTES_MAX: usize = 8 << 10;
/// The longest value that a file gives.
const VALUE_CHARS_MAX: usize = 1_024;

/// The words of `type`.
const TYPES: [(&str, Option<Type>); 8] = [
    ("string", Some(Type::Text)),
    ("int", Some(Type::Int)),
    ("long", Some(Type::Long)),
    ("float", Some(Type::Float)),
    ("bool", Some(Type::Bool)),
    ("ip", Some(Type::Ip)),
    ("timestamp", Some(Type::Time(Clock::AUTO))),
    ("auto", None),
];

/// Reads a file of parsers: `parsers:` is a list of them, `patterns:` are for all.
///
/// # Errors
/// Every problem of the file.
pub fn file(path: &Path, bytes: &[u8]) -> Result<Vec<Arc<Parser>>, Problems> {
    let name: Arc<str> = path.display().to_string().into();
    let root = tree::parse(&name, bytes)?;
    let read = |fields: &mut Fields<'_>| {
        let common = patterns(fields)?;
        let parsers = fields.maps("parsers", |fields| parser(&name, &common, fields))?;
        let parsers = parsers.ok_or_else(|| fields.missing("parsers"))?;
        if parsers.len() > PARSERS_MAX {
            return Err(fields.problem_at("parsers", format_args!("at most {PARSERS_MAX} parsers stand in a file")));
        }
        Ok(parsers)
    };
    Report::new(&name).read(&root, read).map(|loaded| loaded.config)
}

/// Reads one parser; `common` are patterns that stand outside it.
///
/// # Errors
/// What is wrong was reported.
pub fn parser(file: &Arc<str>, common: &Own, fields: &mut Fields<'_>) -> Read<Arc<Parser>> {
    let name = fields.required("name", own_name);
    let mut own = common.clone();
    let patterns = patterns(fields).map(|more| own.extend(more)).and_then(|()| expressions(fields, &own));
    let class = match fields.required("class", activities::class) {
        Ok(class) => class,
        Err(reported) => {
            // What the other keys may hold depends on it.
            fields.allow_any_key();
            return Err(reported);
        }
    };
    let activity = fields.or("activity", "0", |text| activities::number(class, text));
    let fixed = fixed(fields, class);
    let targets = targets(fields, class, patterns.as_deref().ok());
    let trials = trials(fields);
    let (patterns, fixed, mut targets) = (patterns?, fixed?, targets?);
    named_by_path(&patterns, &mut targets, class);
    let activity = activity?;
    complete(fields, class, activity, &fixed, &targets)?;
    let parser = Parser {
        name: name?,
        file: Arc::clone(file),
        patterns,
        class,
        activity,
        fixed,
        fields: targets,
        trials: trials?,
    };
    Ok(Arc::new(parser))
}

/// A name that no format of Picket has.
fn own_name(text: &str) -> Result<String, String> {
    let name = rule::name(text)?;
    if Format::names().any(|known| known == name) {
        return Err(format!("'{name}' is a format of Picket's own; choose another name"));
    }
    Ok(name)
}

/// The user's named patterns.
fn patterns(fields: &mut Fields<'_>) -> Read<Own> {
    fields.values("patterns", bounded)
}

fn bounded(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > PATTERN_BYTES_MAX {
        return Err(format!("a pattern has 1 to {PATTERN_BYTES_MAX} bytes"));
    }
    Ok(text.to_owned())
}

/// The compiled patterns: those of `grok`, then those of `regex`.
fn expressions(fields: &mut Fields<'_>, own: &Own) -> Read<Vec<Pattern>> {
    let grok = fields.list("grok", |text| Pattern::grok(&bounded(text)?, own));
    let regex = fields.list("regex", |text| Pattern::regex(&bounded(text)?));
    let mut all = grok?.unwrap_or_default();
    all.extend(regex?.unwrap_or_default());
    if all.is_empty() {
        return Err(fields.problem(fields.place(), "a parser needs a pattern: write `grok` or `regex`".to_owned()));
    }
    if all.len() > PATTERNS_MAX {
        let message = format!("a parser tries at most {PATTERNS_MAX} patterns; write several parsers");
        return Err(fields.problem(fields.place(), message));
    }
    Ok(all)
}

/// The entries of a key that holds a map from paths to values.
fn entries<'n>(fields: &mut Fields<'n>, key: &'static str) -> Read<&'n [Entry]> {
    match fields.raw(key).map(|node| &node.kind) {
        None => Ok(&[]),
        Some(Kind::Map(entries)) => Ok(entries),
        Some(_) => Err(fields.problem_at(key, "a map from paths to values is expected")),
    }
}

fn scalar<'n>(fields: &Fields<'_>, node: &'n Node, of: &str) -> Read<&'n str> {
    node.scalar().filter(|text| text.chars().count() <= VALUE_CHARS_MAX).ok_or_else(|| {
        let message = format!("{}: one value of at most {VALUE_CHARS_MAX} characters is expected", Excerpt(of));
        fields.problem(node.place, message)
    })
}

/// What `static` sets.
fn fixed(fields: &mut Fields<'_>, class: Class) -> Read<Vec<(Target, Fixed)>> {
    let mut all = Vec::new();
    let mut wrong = None;
    for Entry { key, place, value } in entries(fields, "static")? {
        let said = |why: String| fields.problem(*place, format!("static: {why}"));
        let read = Target::parse(key, class).map_err(said).and_then(|target| {
            let text = scalar(fields, value, key)?;
            if target == Target::Time {
                return Err(fields.problem(*place, "static: the time is the line's; take it from a capture".to_owned()));
            }
            let fixed = fixed_value(&target, &Type::of(&target), text);
            fixed
                .map(|fixed| (target, fixed))
                .map_err(|why| fields.problem(value.place, format!("static.{}: {why}", Excerpt(key))))
        });
        match read {
            Ok(read) => all.push(read),
            Err(reported) => wrong = Some(reported),
        }
    }
    wrong.map_or(Ok(all), Err)
}

/// A value of the file for a target.
fn fixed_value(target: &Target, kind: &Type, text: &str) -> Result<Fixed, String> {
    let whole = |text: &str| text.parse::<i64>().map(Fixed::Int).map_err(|_| "a whole number".to_owned());
    let fixed = match kind {
        Type::Text | Type::Ip => Ok(Fixed::Text(text.to_owned())),
        Type::Int | Type::Long | Type::Time(_) => whole(text),
        Type::Float => text.parse().map(Fixed::Float).map_err(|_| "a number".to_owned()),
        Type::Bool => rule::truth(text).map(Fixed::Bool).map_err(|_| "true or false".to_owned()),
    };
    let fixed = fixed.map_err(|expected| format!("'{}' is not {expected}", Excerpt(text)))?;
    let value = match &fixed {
        Fixed::Text(text) => Value::from(text.as_str()),
        Fixed::Int(number) => Value::Int(*number),
        Fixed::Float(number) => Value::Float(*number),
        Fixed::Bool(truth) => Value::Bool(*truth),
    };
    let takes = match (target, &value) {
        (Target::Attribute(attribute), value) => fitting(*attribute, value),
        (Target::Severity, Value::Int(level)) => (0..=6).contains(level),
        _ => true,
    };
    if takes { Ok(fixed) } else { Err(format!("{} does not take '{}'", Excerpt(&target.path()), Excerpt(text))) }
}

/// Where captures go, as `fields` says.
fn targets(fields: &mut Fields<'_>, class: Class, patterns: Option<&[Pattern]>) -> Read<Vec<Field>> {
    fields.named_or(
        "fields",
        |capture, path| {
            is_capture(capture, patterns)?;
            let target = Target::parse(path, class)?;
            Ok(Field { capture: capture.to_owned(), kind: Type::of(&target), target, words: Vec::new() })
        },
        |capture, fields| {
            is_capture(capture, patterns).map_err(|why| fields.problem(fields.place(), why))?;
            let target = fields.required("path", |path| Target::parse(path, class));
            let kind = fields.or("type", "auto", rule::word(&TYPES));
            let clock = fields.optional("format", Clock::parse);
            let target = target?;
            let kind = match (kind?, clock?) {
                (None, None) => Type::of(&target),
                (None | Some(Type::Time(_)), Some(clock)) => Type::Time(clock),
                (Some(kind), None) => kind,
                (Some(_), Some(_)) => return Err(fields.problem_at("format", "only a timestamp has a format")),
            };
            if !kind.fits(&target) {
                let why = format!("{} does not take values of this type", Excerpt(&target.path()));
                return Err(fields.problem_at("type", why));
            }
            let words = words(fields, &target, &kind)?;
            Ok(Field { capture: capture.to_owned(), target, kind, words })
        },
    )
}

/// What `values` makes of words.
fn words(fields: &mut Fields<'_>, target: &Target, kind: &Type) -> Read<Vec<(String, Fixed)>> {
    let mut words = Vec::new();
    for Entry { key, value, .. } in entries(fields, "values")? {
        let text = scalar(fields, value, key)?;
        let fixed = fixed_value(target, kind, text)
            .map_err(|why| fields.problem(value.place, format!("values.{}: {why}", Excerpt(key))))?;
        words.push((key.clone(), fixed));
    }
    Ok(words)
}

/// Whether some pattern has a capture; of patterns that are wrong themselves nothing is said.
fn is_capture(capture: &str, patterns: Option<&[Pattern]>) -> Result<(), String> {
    let Some(patterns) = patterns else { return Ok(()) };
    let names = || patterns.iter().flat_map(Pattern::names);
    if names().any(|name| name == capture) {
        return Ok(());
    }
    let advice = nearest(capture, names())
        .map_or_else(|| "none of the patterns has it".to_owned(), |meant| format!("did you mean '{meant}'?"));
    Err(format!("there is no capture '{}'; {advice}", Excerpt(capture)))
}

/// Captures that are named by a path go there without a line in `fields`.
fn named_by_path(patterns: &[Pattern], targets: &mut Vec<Field>, class: Class) {
    let names = || patterns.iter().flat_map(Pattern::names);
    for name in names() {
        let is_path = name.contains('.') || matches!(name, "time" | "message" | "severity_id");
        if is_path
            && targets.iter().all(|field| field.capture != name)
            && let Ok(target) = Target::parse(name, class)
        {
            targets.push(Field { capture: name.to_owned(), kind: Type::of(&target), target, words: Vec::new() });
        }
    }
}

/// What OCSF requires of all that the parser may set is set.
fn complete(fields: &Fields<'_>, class: Class, activity: u8, fixed: &[(Target, Fixed)], targets: &[Field]) -> Read<()> {
    let all = fixed.iter().map(|(target, _)| target).chain(targets.iter().map(|field| &field.target));
    let attributes: Vec<Attribute> = all
        .filter_map(|target| match target {
            Target::Attribute(attribute) => Some(*attribute),
            _ => None,
        })
        .collect();
    let paths: Vec<&str> = attributes.iter().map(|attribute| attribute.path()).collect();
    if let Some(lack) = lacking(class, &paths) {
        return Err(
            fields.problem_at("class", format!("{}; fill it from a capture, or under `static`", lack.sentence(class)))
        );
    }
    if activity == OTHER && !attributes.contains(&Attribute::ActivityName) {
        return Err(fields.problem_at("activity", "99 (other) needs activity_name, under `static` or from a capture"));
    }
    for (target, value) in fixed {
        if let (Target::Attribute(id), Fixed::Int(99)) = (target, value)
            && id.path().ends_with("_id")
            && !word_for(*id).is_some_and(|word| attributes.contains(&word))
        {
            let word = word_for(*id).map_or("a word for it, which has no place here", Attribute::path);
            return Err(fields.problem_at("static", format!("{} 99 (other) needs {word}", id.path())));
        }
    }
    Ok(())
}

/// The parser's own lines.
fn trials(fields: &mut Fields<'_>) -> Read<Vec<Trial>> {
    let read = |fields: &mut Fields<'_>| {
        let place: Place = fields.place();
        let line = fields.required("line", |text| Ok::<_, String>(text.to_owned()));
        let matches = fields.or("matches", "true", rule::truth);
        let mut expect = Vec::new();
        for Entry { key, value, .. } in entries(fields, "expect")? {
            expect.push((key.clone(), scalar(fields, value, key)?.to_owned(), value.place));
        }
        let matches = matches?;
        if !matches && !expect.is_empty() {
            return Err(fields.problem_at("expect", "a line that no pattern matches has no event to expect of"));
        }
        Ok(Trial { place, line: line?, matches, expect })
    };
    Ok(fields.maps("tests", read)?.unwrap_or_default())
}
