//! Domain names on the wire (RFC 1035 §3.1, §4.1.4), as text: labels and compression in, dots and escapes out.
//!
//! Bounds: a pointer must lead to before where its name began, and at most [`JUMPS_MAX`] are followed; 255 octets.

use super::Flaw;

/// Pointers that are followed in one name.
const JUMPS_MAX: usize = 32;
/// Octets of a name, lengths included (RFC 1035 §2.3.4).
const OCTETS_MAX: usize = 255;

/// Reads the name at `at`. Gives its text, `.` for the root, and where what follows it begins.
///
/// # Errors
/// [`Flaw::Truncated`], [`Flaw::CompressionLoop`], [`Flaw::BadLabel`].
pub fn read(message: &[u8], at: usize) -> Result<(String, usize), Flaw> {
    let (mut text, mut octets, mut jumps) = (String::new(), 0, 0);
    let (mut place, mut end, mut barrier) = (at, None, at);
    loop {
        let length = *message.get(place).ok_or(Flaw::Truncated)?;
        match length >> 6 {
            0 if length == 0 => break,
            0 => {
                let label = message.get(place + 1..place + 1 + usize::from(length)).ok_or(Flaw::Truncated)?;
                octets += label.len() + 1;
                if octets > OCTETS_MAX {
                    return Err(Flaw::BadLabel);
                }
                write_label(&mut text, label);
                place += 1 + label.len();
            }
            3 => {
                let low = *message.get(place + 1).ok_or(Flaw::Truncated)?;
                let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                end.get_or_insert(place + 2);
                jumps += 1;
                if target >= barrier || jumps > JUMPS_MAX {
                    return Err(Flaw::CompressionLoop);
                }
                (place, barrier) = (target, target);
            }
            _ => return Err(Flaw::BadLabel),
        }
    }
    if text.is_empty() {
        text.push('.');
    } else {
        text.pop();
    }
    Ok((text, end.unwrap_or(place + 1)))
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
        assert_eq!(read(&long, 0), Err(Flaw::BadLabel));
    }
}
