//! Domain names on the wire (RFC 1035 §3.1, §4.1.4), as text: labels and compression in, dots and escapes out.
//!
//! A pointer leads to what stands before it (RFC 1035 §4.1.4). Servers answer names with pointers ahead all the same, so
//! these are followed, too, and flagged. A name that is too long keeps its first octets, and is flagged.
//!
//! Bounds: at most [`JUMPS_MAX`] pointers are followed; 255 octets.

use super::Flaw;

/// Pointers that are followed in one name.
const JUMPS_MAX: usize = 32;
/// Octets of a name, lengths included (RFC 1035 §2.3.4).
const OCTETS_MAX: usize = 255;

/// A name.
#[derive(PartialEq, Eq, Debug)]
pub struct Name {
    /// Its text, `.` for the root.
    pub text: String,
    /// Where what follows it begins.
    pub end: usize,
    /// What is wrong with it, though it reads: [`Flaw::ForwardPointer`], [`Flaw::NameTooLong`].
    pub flaw: Option<Flaw>,
}

/// Reads the name at `at`. Gives its text, and where what follows it begins.
///
/// # Errors
/// As [`lenient`], and what that only flags.
pub fn read(message: &[u8], at: usize) -> Result<(String, usize), Flaw> {
    let Name { text, end, flaw } = lenient(message, at)?;
    flaw.map_or(Ok((text, end)), Err)
}

/// Reads the name at `at`, as far as it can be.
///
/// # Errors
/// [`Flaw::Truncated`], [`Flaw::CompressionLoop`], [`Flaw::BadLabel`].
pub fn lenient(message: &[u8], at: usize) -> Result<Name, Flaw> {
    let (mut text, mut octets, mut jumps) = (String::new(), 0, 0);
    let (mut place, mut end, mut barrier, mut flaw) = (at, None, at, None);
    loop {
        let length = *message.get(place).ok_or(Flaw::Truncated)?;
        match length >> 6 {
            0 if length == 0 => break,
            0 => {
                let label = message.get(place + 1..place + 1 + usize::from(length)).ok_or(Flaw::Truncated)?;
                octets += label.len() + 1;
                place += 1 + label.len();
                if octets > OCTETS_MAX {
                    flaw = Some(Flaw::NameTooLong);
                    // Behind a pointer the end is known, and else the labels are passed over.
                    if end.is_some() {
                        break;
                    }
                } else {
                    write_label(&mut text, label);
                }
            }
            3 => {
                let low = *message.get(place + 1).ok_or(Flaw::Truncated)?;
                let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                end.get_or_insert(place + 2);
                if flaw == Some(Flaw::NameTooLong) {
                    break;
                }
                jumps += 1;
                if jumps > JUMPS_MAX {
                    return Err(Flaw::CompressionLoop);
                }
                if target >= barrier {
                    flaw = Some(Flaw::ForwardPointer);
                }
                (place, barrier) = (target, barrier.min(target));
            }
            _ => return Err(Flaw::BadLabel),
        }
    }
    if text.is_empty() {
        text.push('.');
    } else {
        text.pop();
    }
    Ok(Name { text, end: end.unwrap_or(place + 1), flaw })
}

/// Where the name at `at` ends, unread.
///
/// # Errors
/// [`Flaw::Truncated`], [`Flaw::BadLabel`].
pub fn end(message: &[u8], at: usize) -> Result<usize, Flaw> {
    let mut place = at;
    loop {
        let length = *message.get(place).ok_or(Flaw::Truncated)?;
        match length >> 6 {
            0 if length == 0 => return Ok(place + 1),
            0 => place += 1 + usize::from(length),
            3 => return Ok(place + 2),
            _ => return Err(Flaw::BadLabel),
        }
    }
}

/// A label and its dot; what is not printable, and dots and backslashes inside, as `\DDD` and `\.` (RFC 4343 §2.1).
fn write_label(text: &mut String, label: &[u8]) {
    for &octet in label {
        match octet {
            b'.' | b'\\' => text.extend(['\\', char::from(octet)]),
            0x21..=0x7e => text.push(char::from(octet.to_ascii_lowercase())),
            _ => {
                text.push('\\');
                text.extend([octet / 100, octet / 10 % 10, octet % 10].map(|digit| char::from(b'0' + digit)));
            }
        }
    }
    text.push('.');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_compression() {
        let message = b"\x03WWW\x07example\x03com\x00\x04mail\xc0\x04\xc0\x11";
        assert_eq!(read(message, 0), Ok(("www.example.com".into(), 17)));
        assert_eq!(read(message, 17), Ok(("mail.example.com".into(), 24)));
        assert_eq!(read(message, 24), Ok(("mail.example.com".into(), 26)));
        assert_eq!(read(b"\x00", 0), Ok((".".into(), 1)));
        assert_eq!(read(b"\x04a.b\xff\x00", 0), Ok(("a\\.b\\255".into(), 6)));
    }

    #[test]
    fn names_that_cannot_be_are_told_in_bounded_time() {
        assert_eq!(read(b"\xc0\x00", 0), Err(Flaw::CompressionLoop));
        assert_eq!(read(b"\x01a\xc0\x00", 0), Err(Flaw::CompressionLoop));
        assert_eq!(read(b"\x05abc", 0), Err(Flaw::Truncated));
        assert_eq!(read(b"", 0), Err(Flaw::Truncated));
        assert_eq!(read(b"\x80a", 0), Err(Flaw::BadLabel));
        let long = b"\x3f".iter().chain(&[b'a'; 63]).copied().collect::<Vec<_>>().repeat(5);
        assert_eq!(read(&long, 0), Err(Flaw::Truncated));
    }

    #[test]
    fn pointers_ahead_are_followed_and_flagged_and_long_names_keep_their_begin() {
        let ahead = lenient(b"\xc0\x02\x03www\x07example\x00", 0);
        assert_eq!(ahead, Ok(Name { text: "www.example".into(), end: 2, flaw: Some(Flaw::ForwardPointer) }));
        let label = b"\x3f".iter().chain(&[b'a'; 63]).copied().collect::<Vec<_>>();
        let long = [label.repeat(5), vec![0]].concat();
        let Ok(Name { text, end, flaw }) = lenient(&long, 0) else { panic!("no name") };
        assert_eq!((text.len(), end, flaw), (3 * 64 - 1, long.len(), Some(Flaw::NameTooLong)));
        let pointed = lenient(&[&long[..], &[1, b'x', 0xc0, 0]].concat(), long.len()).map(|name| (name.end, name.flaw));
        assert_eq!(pointed, Ok((long.len() + 4, Some(Flaw::NameTooLong))));
        for (name, expected) in
            [(&b"\x03www\x00"[..], Ok(5)), (b"\x03www\xc0\x00", Ok(6)), (b"\x05abc", Err(Flaw::Truncated))]
        {
            assert_eq!(super::end(name, 0), expected);
        }
        for circle in [&b"\xc0\x02\xc0\x00"[..], b"\xc0\x00", b"\x01a\xc0\x00"] {
            assert!(read(circle, 0).is_err(), "{circle:?}");
        }
    }
}
