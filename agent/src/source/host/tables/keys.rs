//! Keys that may log in: `authorized_keys` (sshd(8)), by their fingerprint as `ssh-keygen -l` prints it. Pure.

use data_encoding::{BASE64, BASE64_NOPAD};

use super::super::row::Row;

/// Keys of a file that are told.
const KEYS_MAX: usize = 4096;

/// Keys of a user's file; how many lines were none.
pub fn keys(user: &str, path: &str, bytes: &[u8], each: &mut dyn FnMut(Row)) -> usize {
    let mut none = 0;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).take(KEYS_MAX);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")) {
        match key(user, path, line) {
            Some(row) => each(row),
            None => none += 1,
        }
    }
    none
}

/// Where the word that begins here ends: white space within quotes is part of it.
fn word_end(bytes: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let end = bytes.iter().position(|byte| {
        let ends = !quoted && matches!(byte, b' ' | b'\t');
        if *byte == b'"' && !escaped {
            quoted = !quoted;
        }
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(bytes.len())
}

/// The type of a key and its fingerprint, if these words are one.
fn fingerprint(kind: &[u8], encoded: &[u8]) -> Option<String> {
    let blob = BASE64.decode(encoded).or_else(|_| BASE64_NOPAD.decode(encoded)).ok()?;
    // The blob begins with its type as well (RFC 4253 §6.6).
    let len = usize::try_from(u32::from_be_bytes(*blob.first_chunk()?)).ok()?;
    let named = blob.get(4..)?.get(..len)? == kind;
    let digest = ring::digest::digest(&ring::digest::SHA256, &blob);
    named.then(|| format!("SHA256:{}", BASE64_NOPAD.encode(digest.as_ref())))
}

fn key(user: &str, path: &str, line: &[u8]) -> Option<Row> {
    let (mut rest, mut options) = (line, &b""[..]);
    for _ in 0..2 {
        let (kind, more) = rest.split_at_checked(word_end(rest))?;
        let more = more.trim_ascii_start();
        let end = more.iter().position(u8::is_ascii_whitespace).unwrap_or(more.len());
        let (encoded, comment) = more.split_at_checked(end)?;
        if let Some(fingerprint) = fingerprint(kind, encoded) {
            let mut row =
                Row::default().key(".name", user).key("unmapped.fingerprint", fingerprint).key("unmapped.path", path);
            row.text("unmapped.key_type", kind);
            row.text("unmapped.comment", comment.trim_ascii());
            row.text("unmapped.options", options);
            return Some(row);
        }
        (options, rest) = (kind, more);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `ssh-keygen -t ed25519`; its fingerprint is what `ssh-keygen -lf` printed.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    #[test]
    fn keys_are_found_behind_options_and_nonsense_is_counted() {
        let text = format!(
            "# no\n{KEY} bob@x y\ncommand=\"echo \\\"a b\\\"\",no-pty {KEY}\nssh-rsa {}\nroot:x:0\n",
            &KEY[12..]
        );
        let mut told = Vec::new();
        let none = keys("bob", "/k", text.as_bytes(), &mut |row| {
            told.push((row.word("unmapped.options").to_owned(), row.word("unmapped.comment").to_owned()));
        });
        assert_eq!(
            told,
            [(String::new(), "bob@x y".into()), ("command=\"echo \\\"a b\\\"\",no-pty".into(), String::new())]
        );
        assert_eq!(none, 2);
    }
}
