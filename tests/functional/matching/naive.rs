//! The specification read slowly: a rule as a tree of YAML and an event as a tree of JSON, walked anew for each question.
//!
//! Nothing is shared with the matcher but the YAML reader. Texts are lists of characters, wildcards are tried one after the
//! other, encodings are spelled out. Only what [`super::generated`] writes is known here.

use serde_json::{Map, Value};
use shared::yaml::{Kind, Node};

/// Whether the rule's `detection` takes the event.
pub fn takes(detection: &Node, event: &Map<String, Value>) -> bool {
    let Kind::Map(entries) = &detection.kind else { panic!("a detection is a map") };
    let selections: Vec<(&str, bool)> = entries
        .iter()
        .filter(|entry| entry.key != "condition")
        .map(|entry| (entry.key.as_str(), selection(&entry.value, event)))
        .collect();
    let condition = detection.at("condition").unwrap();
    let texts: Vec<&str> = match &condition.kind {
        Kind::List(items) => items.iter().map(|item| item.scalar().unwrap()).collect(),
        _ => vec![condition.scalar().unwrap()],
    };
    texts.iter().any(|text| {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
        or(&mut words, &selections)
    })
}

type Answers<'a> = [(&'a str, bool)];

fn or(words: &mut Vec<&str>, answers: &Answers<'_>) -> bool {
    let mut result = and(words, answers);
    while words.pop_if(|word| word.eq_ignore_ascii_case("or")).is_some() {
        let right = and(words, answers);
        result = result || right;
    }
    result
}

fn and(words: &mut Vec<&str>, answers: &Answers<'_>) -> bool {
    let mut result = not(words, answers);
    while words.pop_if(|word| word.eq_ignore_ascii_case("and")).is_some() {
        let right = not(words, answers);
        result = result && right;
    }
    result
}

fn not(words: &mut Vec<&str>, answers: &Answers<'_>) -> bool {
    let word = words.pop().unwrap();
    if word.eq_ignore_ascii_case("not") {
        return !not(words, answers);
    }
    if word == "(" {
        let inner = or(words, answers);
        assert_eq!(words.pop(), Some(")"));
        return inner;
    }
    if words.pop_if(|word| *word == "of").is_none() {
        return answers.iter().find(|(name, _)| *name == word).unwrap().1;
    }
    let pattern = words.pop().unwrap();
    let meant = |name: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start) && (start.starts_with('_') || !name.starts_with('_')),
        None => pattern == "them" && !name.starts_with('_'),
    };
    let mut chosen = answers.iter().filter(|(name, _)| meant(name)).map(|(_, answer)| *answer);
    if word == "all" { chosen.all(|answer| answer) } else { chosen.any(|answer| answer) }
}

fn selection(node: &Node, event: &Map<String, Value>) -> bool {
    match &node.kind {
        Kind::Map(entries) => entries.iter().all(|entry| item(&entry.key, &entry.value, event)),
        Kind::List(items) => items.iter().any(|node| selection(node, event)),
        _ => item("", node, event),
    }
}

fn item(key: &str, values: &Node, event: &Map<String, Value>) -> bool {
    let mut modifiers: Vec<&str> = key.split('|').collect();
    let field = modifiers.remove(0);
    let has = |name: &str| modifiers.contains(&name);
    let values: Vec<&Node> = match &values.kind {
        Kind::List(items) => items.iter().collect(),
        _ => vec![values],
    };
    let found = if field.is_empty() { every(event) } else { named(&Value::Object(event.clone()), field) };
    let meets = |value: &Node| meets(field, &modifiers, value, &found, event);
    let answer = if has("all") { values.into_iter().all(meets) } else { values.into_iter().any(meets) };
    answer != has("neq")
}

fn meets(field: &str, modifiers: &[&str], value: &Node, found: &[Value], event: &Map<String, Value>) -> bool {
    let has = |name: &str| modifiers.contains(&name);
    let scalars = || found.iter().filter(|value| !value.is_null() && !value.is_object() && !value.is_array());
    let Some(text) = value.scalar() else {
        return found.iter().any(Value::is_null) || scalars().next().is_none();
    };
    if has("exists") {
        return found.is_empty() == (text == "false");
    }
    let fold = |text: &str| -> Vec<char> { if has("cased") { text.chars().collect() } else { small(text) } };
    if has("fieldref") {
        let others = named(&Value::Object(event.clone()), text);
        let others: Vec<Vec<char>> = others
            .iter()
            .filter(|value| !value.is_null() && !value.is_object() && !value.is_array())
            .map(|other| fold(&shown(other)))
            .collect();
        return scalars().any(|value| others.iter().any(|other| stands(modifiers, &fold(&shown(value)), other)));
    }
    scalars().any(|value| {
        let shown = shown(value);
        if has("re") {
            return regular(text, &shown, has("i"));
        }
        if has("cidr") {
            return inside(text, &shown);
        }
        if let Some(order) = modifiers.iter().find(|name| ["lt", "lte", "gt", "gte"].contains(name)) {
            let (Ok(a), Ok(b)) = (shown.trim().parse::<f64>(), text.parse::<f64>()) else { return false };
            return match *order {
                "lt" => a < b,
                "lte" => a <= b,
                "gt" => a > b,
                _ => a >= b,
            };
        }
        spelled(modifiers, text).iter().any(|pattern| {
            let mut pattern = pattern.clone();
            let anywhere = field.is_empty() && !has("startswith") && !has("endswith");
            if has("contains") || has("endswith") || anywhere {
                pattern.insert(0, Token::Star);
            }
            if has("contains") || has("startswith") || anywhere {
                pattern.push(Token::Star);
            }
            let pattern: Vec<Token> = pattern
                .into_iter()
                .map(|token| if let Token::Char(c) = token { Token::Char(fold(&c.to_string())[0]) } else { token })
                .collect();
            glob(&pattern, &fold(&shown))
        })
    })
}

fn stands(modifiers: &[&str], value: &[char], other: &[char]) -> bool {
    if modifiers.contains(&"startswith") {
        value.starts_with(other)
    } else if modifiers.contains(&"endswith") {
        value.ends_with(other)
    } else if modifiers.contains(&"contains") {
        other.is_empty() || value.windows(other.len()).any(|window| window == other)
    } else {
        value == other
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Char(char),
    Star,
    Mark,
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let next = chars.get(at + 1);
        if chars[at] == '\\' && next.is_some_and(|next| "*?\\".contains(*next)) {
            out.push(Token::Char(chars[at + 1]));
            at += 1;
        } else {
            out.push(match chars[at] {
                '*' => Token::Star,
                '?' => Token::Mark,
                c => Token::Char(c),
            });
        }
        at += 1;
    }
    out
}

/// Every pattern that a value stands for: its dashes as each of the five, its text encoded.
fn spelled(modifiers: &[&str], text: &str) -> Vec<Vec<Token>> {
    let mut patterns = vec![tokens(text)];
    if modifiers.contains(&"windash") {
        let word = |token: Option<&Token>| matches!(token, Some(Token::Char(c)) if c.is_alphanumeric() || *c == '_');
        let original = patterns[0].clone();
        for at in 0..original.len() {
            let dash = matches!(original[at], Token::Char('-' | '/'));
            if dash && !(at > 0 && word(original.get(at - 1))) && word(original.get(at + 1)) {
                patterns = patterns
                    .iter()
                    .flat_map(|pattern| {
                        "-/–—―".chars().map(|dash| {
                            let mut pattern = pattern.clone();
                            pattern[at] = Token::Char(dash);
                            pattern
                        })
                    })
                    .collect();
            }
        }
    }
    if modifiers.contains(&"base64offset") {
        let bytes = text.replace("\\\\", "\\").into_bytes();
        let encoded = (0..3).map(|offset| within_base64(&bytes, offset));
        return encoded.map(|text| text.chars().map(Token::Char).collect()).collect();
    }
    patterns
}

/// The characters that depend on these bytes alone when `offset` bytes stand before them: encoded with two different
/// surroundings, what is equal.
fn within_base64(bytes: &[u8], offset: usize) -> String {
    let around = |byte: u8| {
        let mut all = vec![byte; offset];
        all.extend_from_slice(bytes);
        all.extend([byte; 3]);
        let bits: Vec<bool> = all.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
        let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
        bits.chunks_exact(6)
            .map(|six| alphabet[six.iter().fold(0, |number, bit| number * 2 + usize::from(*bit))])
            .collect::<Vec<char>>()
    };
    let (ones, zeros) = (around(0xff), around(0));
    let whole = |at: usize| at * 6 >= offset * 8 && (at + 1) * 6 <= (offset + bytes.len()) * 8;
    ones.iter()
        .zip(&zeros)
        .enumerate()
        .filter(|(at, _)| whole(*at))
        .map(|(_, (one, zero))| {
            assert_eq!(one, zero);
            *one
        })
        .collect()
}

fn glob(pattern: &[Token], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((Token::Star, rest)) => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        Some((Token::Mark, rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((Token::Char(c), rest)) => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

/// `^`, `$`, `.`, characters, and `*`, `+`, `?` behind one of them.
fn regular(pattern: &str, text: &str, any_case: bool) -> bool {
    let read = |text: &str| -> Vec<char> { if any_case { small(text) } else { text.chars().collect() } };
    let (pattern, text) = (read(pattern), read(text));
    let (pattern, from_start) = match pattern.strip_prefix(&['^']) {
        Some(rest) => (rest.to_vec(), true),
        None => (pattern, false),
    };
    let last = if from_start { 0 } else { text.len() };
    (0..=last).any(|at| here(&pattern, &text[at..]))
}

fn here(pattern: &[char], text: &[char]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return true };
    if first == '$' && rest.is_empty() {
        return text.is_empty();
    }
    let fits = |c: &char| if first == '.' { *c != '\n' } else { *c == first };
    let run = text.iter().take_while(|c| fits(c)).count();
    match rest.split_first() {
        Some(('*', rest)) => (0..=run).any(|taken| here(rest, &text[taken..])),
        Some(('+', rest)) => (1..=run).any(|taken| here(rest, &text[taken..])),
        Some(('?', rest)) => (0..=run.min(1)).any(|taken| here(rest, &text[taken..])),
        _ => run > 0 && here(rest, &text[1..]),
    }
}

fn inside(network: &str, address: &str) -> bool {
    let bits = |text: &str| -> Option<String> {
        let parts: Vec<&str> = text.split('.').collect();
        let four = parts.len() == 4;
        let parts: Option<Vec<u8>> = parts.iter().map(|part| part.parse().ok()).collect();
        parts.filter(|_| four).map(|parts| parts.iter().map(|part| format!("{part:08b}")).collect())
    };
    let (base, length) = network.split_once('/').unwrap();
    let length: usize = length.parse().unwrap();
    let address = address.strip_prefix("::ffff:").unwrap_or(address);
    bits(address).is_some_and(|address| address[..length] == bits(base).unwrap()[..length])
}

fn small(text: &str) -> Vec<char> {
    text.chars().map(|c| c.to_lowercase().next().unwrap()).collect()
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every value under this name: lists stand for their members, and are there even if they are empty.
fn named(value: &Value, name: &str) -> Vec<Value> {
    let mut out = Vec::new();
    match value {
        Value::Array(items) => items.iter().for_each(|item| out.extend(named(item, name))),
        Value::Object(object) => {
            for (key, value) in object {
                if key == name || *key == name.replace(' ', "") {
                    out.extend(members(value));
                }
                if let Some(rest) = name.strip_prefix(key.as_str()).and_then(|rest| rest.strip_prefix('.')) {
                    out.extend(named(value, rest));
                }
            }
        }
        _ => {}
    }
    out
}

fn members(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => {
            std::iter::once(Value::Array(Vec::new())).chain(items.iter().flat_map(members)).collect()
        }
        value => vec![value.clone()],
    }
}

/// Every scalar of the event.
fn every(event: &Map<String, Value>) -> Vec<Value> {
    fn below(value: &Value, out: &mut Vec<Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| below(item, out)),
            Value::Object(object) => object.values().for_each(|value| below(value, out)),
            value => out.push(value.clone()),
        }
    }
    let mut out = Vec::new();
    event.values().for_each(|value| below(value, &mut out));
    out
}
