//! Passwords: in URLs, after names that say so, in headers, and as options of programs.

use std::ops::Range;

use memchr::{memchr_iter, memchr2_iter, memmem};

use super::begins_word;

/// What the last word of a name says for its value to be a secret (`db_password`, `X-Api-Key`, `clientSecret`).
const NAMES: [&[u8]; 17] = [
    b"password",
    b"passwd",
    b"passphrase",
    b"pwd",
    b"pass",
    b"secret",
    b"token",
    b"apikey",
    b"api_key",
    b"api-key",
    b"access_key",
    b"access-key",
    b"accesskey",
    b"private_key",
    b"secret_key",
    b"secretkey",
    b"credential",
];
/// Longest name that is looked at.
const NAME_LEN_MAX: usize = 64;
/// Longest word of a value that is not in quotes.
const VALUE_LEN_MAX: usize = 4_096;
/// Longest `user:password@` of a URL.
const USERINFO_LEN_MAX: usize = 1_024;

/// Adds where passwords stand.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    urls(text, found);
    assignments(text, found);
    options(text, found);
    basic(text, found);
}

/// `scheme://user:PASSWORD@host` (RFC 3986 §3.2.1).
fn urls(text: &[u8], found: &mut Vec<Range<usize>>) {
    for mark in memmem::find_iter(text, "://") {
        let start = mark + 3;
        let rest = text.get(start..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(USERINFO_LEN_MAX)).unwrap_or_default();
        let authority = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#' | b' ' | b'"' | b'\'' | b'<' | b'>'));
        let authority = rest.get(..authority.unwrap_or(rest.len())).unwrap_or_default();
        let Some(at) = memchr::memrchr(b'@', authority) else { continue };
        let Some(colon) = memchr::memchr(b':', authority.get(..at).unwrap_or_default()) else { continue };
        if colon + 1 < at {
            found.push(start + colon + 1..start + at);
        }
    }
}

/// `NAME=VALUE`, `"NAME": "VALUE"`, `NAME: "VALUE"`.
fn assignments(text: &[u8], found: &mut Vec<Range<usize>>) {
    for mark in memchr2_iter(b'=', b':', text) {
        let Some((name, quoted)) = name_before(text, mark) else { continue };
        let mut from = mark + 1;
        if !says_secret(name) || is_folder(name, text.get(from..).unwrap_or_default()) {
            continue;
        }
        let colon = text.get(mark) == Some(&b':');
        if colon {
            from += text.get(from..).map_or(0, |rest| rest.iter().take_while(|byte| **byte == b' ').count());
            let quote = text.get(from).is_some_and(|byte| matches!(byte, b'"' | b'\'' | b'\\'));
            // `password: ` in prose says nothing of what follows; in an object it does.
            if !quoted && !quote {
                continue;
            }
        }
        push_value(text, from, found);
    }
}

/// The name in front of `=` or `:`, and whether it stood in quotes.
fn name_before(text: &[u8], mark: usize) -> Option<(&[u8], bool)> {
    let mut end = mark;
    let mut quoted = false;
    while let Some(byte) = end.checked_sub(1).and_then(|at| text.get(at)) {
        match byte {
            b'"' | b'\'' | b'\\' => quoted = true,
            b']' if !quoted => {}
            _ => break,
        }
        end -= 1;
    }
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[');
    let before = text.get(end.saturating_sub(NAME_LEN_MAX)..end)?;
    let length = before.iter().rev().take_while(|byte| inside(byte)).count();
    (length > 0).then(|| (before.get(before.len() - length..).unwrap_or_default(), quoted))
}

/// Whether a name ends with one of [`NAMES`] as a word of its own.
pub(super) fn says_secret(name: &[u8]) -> bool {
    NAMES.iter().any(|word| {
        let Some(at) = name.len().checked_sub(word.len()) else { return false };
        let (before, tail) = name.split_at(at);
        if !tail.eq_ignore_ascii_case(word) {
            return false;
        }
        // `bypass=` and `compass=` are no passwords, `userPass=` and `db_pass=` are.
        let own = before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let camel = tail.first().is_some_and(u8::is_ascii_uppercase);
        own || camel || (word.len() > 4 && *word != b"token") || before.iter().all(u8::is_ascii_uppercase)
    })
}

/// Whether the value of `PWD` or `OLDPWD` is what these are in a shell, in `sudo` and in `env`: the folder that one is in.
pub(super) fn is_folder(name: &[u8], value: &[u8]) -> bool {
    let tail = name.len().checked_sub(3).and_then(|at| name.get(at..)).unwrap_or_default();
    tail == b"PWD" && matches!(value.first(), Some(b'/' | b'~'))
}

/// A value: up to its closing quote, or to what ends a word.
fn push_value(text: &[u8], from: usize, found: &mut Vec<Range<usize>>) {
    let rest = text.get(from..).unwrap_or_default();
    let escaped = rest.first() == Some(&b'\\');
    let open = usize::from(escaped);
    let (start, length) = match rest.get(open) {
        Some(quote @ (b'"' | b'\'')) => {
            let inner = rest.get(open + 1..).unwrap_or_default();
            (from + open + 1, quoted_length(inner, *quote, escaped))
        }
        _ => {
            let ends = |byte: &u8| {
                matches!(byte, b' ' | b'\t' | b'&' | b',' | b';' | b'"' | b'\'' | b'}' | b')' | b'\n' | b'\r')
            };
            let window = rest.get(..rest.len().min(VALUE_LEN_MAX)).unwrap_or_default();
            (from, window.iter().position(ends).unwrap_or(window.len()))
        }
    };
    let end = boundary(text, start + length);
    if end > start {
        found.push(start..end);
    }
}

/// Bytes up to the quote that closes: one that no backslash stands before, or, inside escaped quotes, one that does.
fn quoted_length(inner: &[u8], quote: u8, escaped: bool) -> usize {
    let closes = |at: &usize| (*at > 0 && inner.get(at - 1) == Some(&b'\\')) == escaped;
    match memchr_iter(quote, inner).find(closes) {
        Some(at) => at - usize::from(escaped),
        None => inner.len(),
    }
}

/// The next boundary of a character at or behind `at`.
fn boundary(text: &[u8], at: usize) -> usize {
    let tail = text.get(at..).unwrap_or_default();
    at + tail.iter().take(3).take_while(|byte| (0x80..0xc0).contains(*byte)).count()
}

/// Options: `--password VALUE`, and what some programs call otherwise.
fn options(text: &[u8], found: &mut Vec<Range<usize>>) {
    for mark in memmem::find_iter(text, "--") {
        let rest = text.get(mark + 2..).unwrap_or_default();
        let length = rest.iter().take(NAME_LEN_MAX).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
        let name = rest.get(..length).unwrap_or_default();
        let from = mark + 2 + length + 1;
        let value = text.get(mark + 2 + length) == Some(&b' ') && text.get(from).is_some_and(|byte| *byte != b'-');
        if !value {
            continue;
        }
        if says_secret(name) {
            push_value(text, from, found);
        } else if name == b"user" || name == b"proxy-user" {
            after_colon(text, from, found);
        }
    }
    if let Some(curl) = word_at(text, b"curl") {
        for flag in memmem::find_iter(text, " -u").filter(|flag| *flag > curl) {
            let from = flag + 3;
            after_colon(text, from + usize::from(text.get(from) == Some(&b' ')), found);
        }
    }
    for (program, spaced) in
        [(b"sshpass".as_slice(), true), (b"mysql", false), (b"mysqldump", false), (b"mysqladmin", false)]
    {
        let Some(program) = word_at(text, program) else { continue };
        for flag in memmem::find_iter(text, " -p").filter(|flag| *flag > program) {
            let from = flag + 3;
            match text.get(from) {
                Some(b' ') if spaced => push_value(text, from + 1, found),
                Some(byte) if *byte != b' ' => push_value(text, from, found),
                _ => {}
            }
        }
    }
}

/// Where a word stands alone, or at the end of a path.
fn word_at(text: &[u8], word: &[u8]) -> Option<usize> {
    memmem::find_iter(text, word)
        .find(|at| begins_word(text, *at) && text.get(at + word.len()).is_none_or(|byte| *byte == b' '))
}

/// `user:PASSWORD`.
fn after_colon(text: &[u8], from: usize, found: &mut Vec<Range<usize>>) {
    let rest = text.get(from..).unwrap_or_default();
    let open = rest.iter().take_while(|byte| matches!(byte, b'"' | b'\'')).count();
    let word =
        rest.iter().skip(open).position(|byte| matches!(byte, b' ' | b'"' | b'\'')).map_or(rest.len(), |at| at + open);
    let Some(colon) = memchr::memchr(b':', rest.get(..word).unwrap_or_default()) else { return };
    if colon + 1 < word {
        found.push(from + colon + 1..from + word);
    }
}

/// `Authorization: Basic BASE64` (RFC 7617).
fn basic(text: &[u8], found: &mut Vec<Range<usize>>) {
    const WORD: &[u8] = b"basic ";
    for space in memchr_iter(b' ', text) {
        let Some(start) = (space + 1).checked_sub(WORD.len()) else { continue };
        if !text.get(start..=space).is_some_and(|word| word.eq_ignore_ascii_case(WORD)) || !begins_word(text, start) {
            continue;
        }
        let before = text.get(start.saturating_sub(24)..start).unwrap_or_default().to_ascii_lowercase();
        if memmem::find(&before, b"authorization").is_none() {
            continue;
        }
        let rest = text.get(space + 1..).unwrap_or_default();
        let inside = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_');
        let length = rest.iter().take_while(|byte| inside(byte)).count();
        if length >= 4 {
            found.push(space + 1..space + 1 + length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(text: &str) -> String {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        let mut secrets: Vec<_> = found.into_iter().map(|range| super::super::Secret { range, name: "p" }).collect();
        let out = super::super::replace(text.as_bytes(), &mut secrets).unwrap_or_else(|| text.as_bytes().to_vec());
        String::from_utf8(out).unwrap().replace("[redacted:p]", "*")
    }

    #[test]
    fn passwords_are_found_where_people_leave_them() {
        for (text, expected) in [
            ("postgres://app:s3cr@t@db.example.com/x", "postgres://app:*@db.example.com/x"),
            ("GET /login?user=bob&password=hunter2&x=1 HTTP/1.1", "GET /login?user=bob&password=*&x=1 HTTP/1.1"),
            (r#"{"user":"bob","password":"a\"b","n":1}"#, r#"{"user":"bob","password":"*","n":1}"#),
            (r#"{"log":"{\"password\":\"x y\",\"a\":1}"}"#, r#"{"log":"{\"password\":\"*\",\"a\":1}"}"#),
            ("tool --password s3cret --verbose", "tool --password * --verbose"),
            ("tool --db-password=s3cret -v", "tool --db-password=* -v"),
            ("tool --password='a b' -v", "tool --password='*' -v"),
            ("PGPASSWORD=x psql -h db", "PGPASSWORD=* psql -h db"),
            ("MYSQL_PWD=x mysql", "MYSQL_PWD=* mysql"),
            ("curl -u bob:pw https://example.com", "curl -u bob:* https://example.com"),
            ("/usr/bin/curl --user bob:pw x", "/usr/bin/curl --user bob:* x"),
            ("mysql -uroot -phunter2 db", "mysql -uroot -p* db"),
            ("sshpass -p hunter2 ssh a", "sshpass -p * ssh a"),
            ("Authorization: Basic Ym9iOnB3", "Authorization: Basic *"),
            ("clientSecret=abc&api_key=def;", "clientSecret=*&api_key=*;"),
            ("user[password]=abc&x", "user[password]=*&x"),
            ("X-Api-Key: \"abc\"", "X-Api-Key: \"*\""),
        ] {
            assert_eq!(without(text), expected);
        }
    }

    #[test]
    fn prose_and_names_that_only_end_alike_stay() {
        for text in [
            "Failed password for root from 192.0.2.1 port 5 ssh2",
            "password: check pass; user unknown",
            "bypass=1 compass=n",
            "https://example.com:8443/a@b",
            "tool --password",
            "tool --password --verbose",
            "mysql -p db",
            "basic training starts",
            "tokens=5",
            "mysqld[4]: -pid",
            "password=",
        ] {
            assert_eq!(without(text), text);
        }
    }
}
