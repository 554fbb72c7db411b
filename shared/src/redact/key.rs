//! Private keys: PEM (RFC 7468) and age's identities.

use std::ops::Range;

use memchr::memmem;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
const AGE: &[u8] = b"AGE-SECRET-KEY-";
/// Longest label of a PEM block that is read: `OPENSSH PRIVATE KEY` has 19.
const LABEL_LEN_MAX: usize = 64;

/// Adds where private keys stand.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(start) = text.get(at..).and_then(|rest| memmem::find(rest, BEGIN)).map(|skip| at + skip) {
        let label = start + BEGIN.len();
        let Some(length) = label_length(text, label).filter(|length| is_private(text, label, *length)) else {
            at = label;
            continue;
        };
        let body = label + length + DASHES.len();
        let end = text.get(body..).and_then(|rest| {
            let mark = memmem::find(rest, END)? + END.len();
            let label = label_length(rest, mark)?;
            Some(body + mark + label + DASHES.len())
        });
        let end = end.unwrap_or(text.len());
        found.push(start..end);
        at = end;
    }
    for start in memmem::find_iter(text, AGE) {
        let body = text.get(start + AGE.len()..).unwrap_or_default();
        let length = body.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        found.push(start..start + AGE.len() + length);
    }
}

/// Bytes up to the closing dashes.
fn label_length(text: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    memmem::find(rest.get(..rest.len().min(LABEL_LEN_MAX))?, DASHES)
}

fn is_private(text: &[u8], label: usize, length: usize) -> bool {
    text.get(label..label + length).is_some_and(|label| label.ends_with(b"PRIVATE KEY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_to_their_end_and_certificates_are_not() {
        let mut found = Vec::new();
        let text =
            b"x -----BEGIN CERTIFICATE-----a-----END CERTIFICATE----- -----BEGIN EC PRIVATE KEY-----b-----END EC \
                     PRIVATE KEY----- y -----BEGIN OPENSSH PRIVATE KEY-----cut";
        find(text, &mut found);
        assert_eq!(found.len(), 2);
        assert!(text[found[0].clone()].ends_with(b"-----END EC PRIVATE KEY-----"));
        assert_eq!(found[1].end, text.len());
        found.clear();
        find(b"AGE-SECRET-KEY-1QQQ rest", &mut found);
        assert_eq!((found.len(), found.first()), (1, Some(&(0..19))));
    }
}
