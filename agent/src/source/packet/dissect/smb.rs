//! SMB 1 to 3 by the first bytes of a connection (MS-CIFS §2.2.3.1, MS-SMB2 §2.2.1), behind `NetBIOS` session headers
//! (RFC 1002 §4.3). It is named; what it says is not read.

use super::{Carrier, First};

/// Octets of a datagram's header with both names, in full length (RFC 1002 §4.4.2).
const DATAGRAM_HEADER_LEN: usize = 82;
/// Session messages that may stand before the first of SMB.
const BEFORE_MAX: usize = 4;

/// Whether a side of a connection begins with SMB.
#[must_use]
pub fn is(first: &First<'_>) -> bool {
    let mut bytes = first.bytes;
    for _ in 0..BEFORE_MAX {
        let Some((&[kind, high, middle, low], rest)) = bytes.split_first_chunk() else { return false };
        let len = u32::from_be_bytes([0, high, middle, low]);
        match kind {
            0 if len >= 32 => {
                // SMB 1, 2 and 3, encrypted, compressed.
                return first.carrier == Carrier::Stream && matches!(rest, [0xfc..=0xff, b'S', b'M', b'B', ..]);
            }
            // Session request, its answers, keep-alive.
            0x81 | 0x82 | 0x83 | 0x85 => {
                let Some(behind) = usize::try_from(len).ok().and_then(|len| rest.get(len..)) else { return false };
                bytes = behind;
            }
            _ => return false,
        }
    }
    false
}

/// Whether a datagram of the datagram service (RFC 1002 §4.4) carries SMB, as browsers' announcements do.
#[must_use]
pub fn is_in_datagram(first: &First<'_>) -> bool {
    let carried = first.bytes.get(DATAGRAM_HEADER_LEN..);
    matches!(first.bytes, [0x10..=0x12, ..]) && carried.is_some_and(|smb| smb.starts_with(b"\xffSMB"))
}

#[cfg(test)]
mod tests {
    use super::super::Side;
    use super::*;

    fn named(bytes: &[u8]) -> bool {
        is(&First { carrier: Carrier::Stream, side: Side::Client, client_port: 1, server_port: 2, bytes })
    }

    #[test]
    fn it_is_known_behind_session_messages_and_nothing_else_is_taken_for_it() {
        assert!(named(b"\0\0\0\x54\xffSMBr") && named(b"\0\0\0\xfc\xfeSMB@"));
        assert!(named(b"\x81\0\0\x02ab\0\0\0\x54\xffSMBr") && named(b"\x82\0\0\0\0\0\0\x54\xffSMBr"));
        assert!(
            !named(b"\0\0\0\x54GET /") && !named(b"\x81\xff\xff\xff") && !named(b"") && !named(b"\0\0\0\x04\xffSMB")
        );
    }
}
