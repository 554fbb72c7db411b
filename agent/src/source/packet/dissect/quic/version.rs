//! Versions of QUIC: how they are numbered, named and salted.

use std::borrow::Cow;

/// Version 1 (RFC 9000).
pub const V1: u32 = 1;
/// Version 2 (RFC 9369).
pub const V2: u32 = 0x6b33_43cf;

/// Salt of version 1 (RFC 9001, 5.2), and of drafts 33 and 34.
const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f,
    0x0a,
];
/// Salt of version 2 (RFC 9369, 3.3.1).
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e,
    0xd9,
];
/// Salt of drafts 29 to 32.
const SALT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8,
    0x99,
];
/// Salt of drafts 23 to 28.
const SALT_23: [u8; 20] = [
    0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7, 0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5,
    0x02,
];

/// The salt of a version's Initial packets; none of versions that cannot be read.
#[must_use]
pub fn salt(version: u32) -> Option<&'static [u8; 20]> {
    match version {
        V1 | 0xff00_0021 | 0xff00_0022 => Some(&SALT_V1),
        V2 => Some(&SALT_V2),
        0xff00_001d..=0xff00_0020 => Some(&SALT_29),
        0xff00_0017..=0xff00_001c => Some(&SALT_23),
        _ => None,
    }
}

/// Whether a number has the look of a version that is in use: one that is salted here, another draft, Google's QUIC
/// (`Q050`, `T051`), or one that is reserved to force version negotiation (`0x?a?a?a?a`).
#[must_use]
pub fn is_plausible(version: u32) -> bool {
    let [a, b, c, d] = version.to_be_bytes();
    let google = matches!(a, b'Q' | b'T') && b == b'0' && c.is_ascii_digit() && d.is_ascii_digit();
    salt(version).is_some() || version >> 8 == 0x00ff_0000 || google || version & 0x0f0f_0f0f == 0x0a0a_0a0a
}

/// A version's name: `1`, `2`, `draft-29`, `Q050`, else its number in hexadecimal.
#[must_use]
pub fn name(version: u32) -> Cow<'static, str> {
    let octets = version.to_be_bytes();
    match (version, octets) {
        (V1, _) => Cow::Borrowed("1"),
        (V2, _) => Cow::Borrowed("2"),
        (_, [0xff, 0, 0, draft]) => Cow::Owned(format!("draft-{draft}")),
        (_, [b'Q' | b'T', rest @ ..]) if rest.iter().all(u8::is_ascii_digit) => {
            Cow::Owned(octets.map(char::from).iter().collect())
        }
        _ => Cow::Owned(format!("{version:#010x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn versions_are_named_as_people_write_them() {
        assert_eq!(
            [1, 0x6b33_43cf, 0xff00_001d, 0x5130_3530, 0x1a2a_3a4a].map(name),
            ["1", "2", "draft-29", "Q050", "0x1a2a3a4a"]
        );
    }
}
