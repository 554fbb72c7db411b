//! Secrets in text: where they stand, and the text without them.
//!
//! In: a text of any bytes. Out: the places of what a [`Detector`] takes for a secret, or the text with each of them
//! replaced by `[redacted:NAME]`. Pure, linear in the length of the text, allocates only where something is found. Used
//! at the source, so that a secret is never journaled, and before every sink.
//!
//! Invariants: what is replaced begins and ends at a character's boundary, so that UTF-8 stays UTF-8; of secrets that
//! overlap the one that begins first is named, and all of their bytes go; redacting what was redacted changes nothing.
//!
//! A detector sees one text at a time: of a key that was logged line by line, only the line with its mark is recognized.

mod card;
mod key;
mod password;
mod token;

use std::ops::Range;

/// A kind of secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Detector {
    /// Numbers of payment cards: 13 to 19 digits, alone or in the groups that are printed on cards, of a known issuer and
    /// with a right check digit (ISO/IEC 7812-1, annex B).
    PaymentCard,
    /// PEM of a private key (RFC 7468), from `-----BEGIN` to its end or that of the text; `AGE-SECRET-KEY-`.
    PrivateKey,
    /// `Bearer` credentials (RFC 6750), JSON web tokens (RFC 7519), and tokens that say by their first letters what they
    /// are (GitHub, GitLab, Slack, Stripe, npm, Google, AWS, Picket).
    BearerToken,
    /// Passwords in URLs (`scheme://user:PASSWORD@host`), after names that say so (`password=`, `--token`,
    /// `"client_secret":`), `Authorization: Basic`, and of programs that take them as an option (`curl -u`, `mysql -p`,
    /// `sshpass -p`).
    Password,
}

impl Detector {
    /// Every detector.
    pub const ALL: [Self; 4] = [Self::PaymentCard, Self::PrivateKey, Self::BearerToken, Self::Password];

    /// Its name in configuration and in what takes a secret's place.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentCard => "payment_card",
            Self::PrivateKey => "private_key",
            Self::BearerToken => "bearer_token",
            Self::Password => "password",
        }
    }

    /// Adds where its secrets stand in `text`, in order.
    fn find(self, text: &[u8], found: &mut Vec<Range<usize>>) {
        match self {
            Self::PaymentCard => card::find(text, found),
            Self::PrivateKey => key::find(text, found),
            Self::BearerToken => token::find(text, found),
            Self::Password => password::find(text, found),
        }
    }
}

/// A secret: where it stands, and the name of what found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret<'n> {
    /// Its bytes.
    pub range: Range<usize>,
    /// What takes its place says this name.
    pub name: &'n str,
}

/// What every replacement begins with.
const MARK: &[u8] = b"[redacted:";

/// Adds the secrets that a detector finds in `text`.
pub fn find(detector: Detector, text: &[u8], secrets: &mut Vec<Secret<'static>>) {
    let mut found = Vec::new();
    detector.find(text, &mut found);
    secrets.extend(found.into_iter().map(|range| Secret { range, name: detector.name() }));
}

/// Whether the name of a field says that its value is a password, as [`Detector::Password`] sees it.
#[must_use]
pub fn is_password(name: &[u8], value: &[u8]) -> bool {
    !value.is_empty() && !value.starts_with(MARK) && password::says_secret(name) && !password::is_folder(name, value)
}

/// The text without `secrets`, in any order; none where there are none.
#[must_use]
pub fn replace(text: &[u8], secrets: &mut [Secret<'_>]) -> Option<Vec<u8>> {
    if secrets.is_empty() {
        return None;
    }
    secrets.sort_by_key(|secret| (secret.range.start, std::cmp::Reverse(secret.range.end)));
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut changed) = (0, false);
    for secret in secrets {
        let (start, end) = (secret.range.start, secret.range.end);
        if end <= at {
            continue;
        }
        // One that overlaps the one before it: what is left of it goes too, without a mark of its own.
        let fresh = start >= at;
        if text.get(start..end).is_some_and(|secret| secret.starts_with(MARK)) {
            continue;
        }
        if fresh {
            out.extend_from_slice(text.get(at..start).unwrap_or_default());
            out.extend_from_slice(MARK);
            out.extend_from_slice(secret.name.as_bytes());
            out.push(b']');
        }
        (at, changed) = (end, true);
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    changed.then_some(out)
}

/// The text without what `detectors` find in it; none where they find nothing.
#[must_use]
pub fn redact(detectors: &[Detector], text: &[u8]) -> Option<Vec<u8>> {
    let mut secrets = Vec::new();
    for detector in detectors {
        find(*detector, text, &mut secrets);
    }
    replace(text, &mut secrets)
}

/// Whether a byte can stand inside a word: a secret does not begin or end in the middle of one.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Whether `at` is the beginning of a word.
fn begins_word(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| !is_word(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> String {
        let out = redact(&Detector::ALL, text.as_bytes()).unwrap_or_else(|| text.as_bytes().to_vec());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn folder_that_a_shell_is_in_is_no_password() {
        for text in ["TTY=pts/0 ; PWD=/srv ; USER=root", "OLDPWD=/root", "env PWD=~bob"] {
            assert_eq!(all(text), text);
        }
        assert_eq!(all("Server=x;Pwd=/s3cret;"), "Server=x;Pwd=[redacted:password];");
    }

    #[test]
    fn each_secret_is_replaced_by_its_name_and_the_rest_stays() {
        for (text, expected) in [
            ("card 4111111111111111 of bob", "card [redacted:payment_card] of bob"),
            ("GET https://u:s3cret@example.com/ x", "GET https://u:[redacted:password]@example.com/ x"),
            ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer [redacted:bearer_token]"),
            ("a -----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY----- b", "a [redacted:private_key] b"),
            ("\u{e9} password=\u{e9}\u{e9}&x=1", "\u{e9} password=[redacted:password]&x=1"),
            ("nothing to see", "nothing to see"),
        ] {
            assert_eq!(all(text), expected);
            assert_eq!(all(&all(text)), expected, "redacting twice");
        }
    }

    #[test]
    fn secrets_that_overlap_go_whole() {
        let text = "password=4111111111111111x";
        assert_eq!(all(text), "password=[redacted:password]");
        let mut secrets = vec![Secret { range: 4..9, name: "b" }, Secret { range: 2..6, name: "a" }];
        assert_eq!(replace(b"0123456789", &mut secrets).unwrap(), b"01[redacted:a]9");
    }

    #[test]
    fn any_bytes_are_read_and_text_stays_text() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let words = [
            "password=",
            "Bearer ",
            "4111 1111 1111 1111",
            "-----BEGIN RSA PRIVATE KEY-----",
            "://a:b@c",
            "\u{e9}",
            "\"",
            "'",
            " ",
            "=",
            ":",
            "@",
            "eyJhbGciOi.eyJzdWIi.x",
            "-p",
            "curl -u a:b",
            "\\",
            "[redacted:x]",
            "\n",
            "--token ",
        ];
        for round in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                text.push_str(words[usize::try_from(seed % words.len() as u64).unwrap()]);
            }
            if let Some(out) = redact(&Detector::ALL, text.as_bytes()) {
                assert!(String::from_utf8(out).is_ok(), "round {round}: {text}");
            }
        }
    }
}
