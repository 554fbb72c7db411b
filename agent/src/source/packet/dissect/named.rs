//! Protocols that are named by how they begin, and not read further.
//!
//! Each has a line in `NAMES`: what is there has to be certain by content alone. Ports are looked at only where the first
//! words of protocols are the same (FTP, POP3 and SMTP), and for messages of IKE whose length is not theirs.

use super::{Carrier, First, Side, smb};

type Is = fn(&First<'_>) -> bool;

/// Names for `app_protocol_name`, over what they are spoken, and how they are known.
const NAMES: &[(&str, Carrier, Is)] = &[
    ("smb", Carrier::Stream, smb::is),
    ("smb", Carrier::Datagram, smb::is_in_datagram),
    ("rdp", Carrier::Stream, rdp),
    ("mysql", Carrier::Stream, mysql),
    ("postgresql", Carrier::Stream, postgresql),
    ("redis", Carrier::Stream, redis),
    ("smtp", Carrier::Stream, smtp),
    ("ftp", Carrier::Stream, ftp),
    ("imap", Carrier::Stream, imap),
    ("pop3", Carrier::Stream, pop3),
    ("irc", Carrier::Stream, irc),
    ("rfb", Carrier::Stream, |first| first.side == Side::Server && first.bytes.starts_with(b"RFB 00")),
    ("mqtt", Carrier::Stream, mqtt),
    ("amqp", Carrier::Stream, |first| first.bytes.starts_with(b"AMQP\0")),
    ("xmpp", Carrier::Stream, xmpp),
    ("telnet", Carrier::Stream, telnet),
    ("socks", Carrier::Stream, socks),
    ("http2", Carrier::Stream, |first| first.bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM")),
    ("dce_rpc", Carrier::Stream, |first| matches!(first.bytes, [5, 0, 11, 3, 0x10, 0, 0, 0, ..])),
    ("bittorrent", Carrier::Stream, |first| first.bytes.starts_with(b"\x13BitTorrent protocol")),
    ("bittorrent", Carrier::Datagram, bittorrent_table),
    ("ldap", Carrier::Stream, ldap),
    ("ldap", Carrier::Datagram, ldap),
    ("kerberos", Carrier::Stream, kerberos_stream),
    ("kerberos", Carrier::Datagram, |first| kerberos(first.bytes)),
    ("sip", Carrier::Stream, sip),
    ("sip", Carrier::Datagram, sip),
    ("openvpn", Carrier::Stream, openvpn_stream),
    ("openvpn", Carrier::Datagram, |first| openvpn(first.bytes)),
    ("wireguard", Carrier::Datagram, wireguard),
    ("snmp", Carrier::Datagram, snmp),
    ("dtls", Carrier::Datagram, dtls),
    ("ike", Carrier::Datagram, ike),
    ("stun", Carrier::Datagram, stun),
    ("tftp", Carrier::Datagram, tftp),
    ("ssdp", Carrier::Datagram, ssdp),
];

/// The name of what begins so.
#[must_use]
pub fn name(first: &First<'_>) -> Option<&'static str> {
    NAMES.iter().find(|(_, carrier, is)| *carrier == first.carrier && is(first)).map(|(name, ..)| *name)
}

/// The first line, without its end, once it is whole.
fn line<'a>(first: &First<'a>) -> Option<&'a [u8]> {
    let end = memchr::memchr(b'\n', first.bytes.get(..1024).unwrap_or(first.bytes))?;
    first.bytes.get(..end).map(<[u8]>::trim_ascii_end)
}

fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// The content of a BER value with this tag, as far as it is there, and its length (X.690 §8.1).
fn ber(bytes: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (&[first, len], rest) = bytes.split_first_chunk()?;
    if first != tag {
        return None;
    }
    if len < 0x80 {
        return Some((len.into(), rest));
    }
    let count = usize::from(len & 0x7f);
    let (octets, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
    Some((octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet)), rest))
}

/// A connection request with the cookie or the negotiation of RDP (MS-RDPBCGR §2.2.1.1).
fn rdp(first: &First<'_>) -> bool {
    let [3, 0, _, _, _, kind @ (0xe0 | 0xd0), _, _, _, _, _, rest @ ..] = first.bytes else { return false };
    match kind {
        0xe0 => {
            rest.starts_with(b"Cookie: mstshash=")
                || rest.starts_with(b"Cookie: msts=")
                || matches!(rest, [1, _, 8, 0, ..])
        }
        _ => matches!(rest, [2 | 3, _, 8, 0, ..]),
    }
}

/// A server's greeting of protocol 10: a version in digits, which a zero ends.
fn mysql(first: &First<'_>) -> bool {
    let [_, _, 0, 0, 10, version @ ..] = first.bytes else { return false };
    let Some(end) = version.iter().take(64).position(|byte| *byte == 0) else { return false };
    let version = version.get(..end).unwrap_or_default();
    first.side == Side::Server
        && version.first().is_some_and(u8::is_ascii_digit)
        && version.contains(&b'.')
        && version.iter().all(u8::is_ascii_graphic)
}

/// A start of protocol 3, or what may stand before it: TLS, GSSAPI, a cancelled query.
fn postgresql(first: &First<'_>) -> bool {
    match first.bytes {
        [0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f | 0x30, ..] | [0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, ..] => true,
        [0, 0, _, _, 0, 3, 0, 0, rest @ ..] => rest.starts_with(b"user\0") || contains(rest, b"\0user\0"),
        _ => false,
    }
}

/// A command as a list of strings: `*1\r\n$4\r\nPING`.
fn redis(first: &First<'_>) -> bool {
    let digits = |bytes: &[u8]| (1..=6).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_digit);
    let Some(line) = line(first) else { return false };
    let Some(count) = line.strip_prefix(b"*") else { return false };
    let behind = first.bytes.get(line.len() + 2..).unwrap_or_default();
    first.side == Side::Client && digits(count) && matches!(behind, [b'$', b'0'..=b'9', ..])
}

fn smtp(first: &First<'_>) -> bool {
    let Some(line) = line(first) else { return false };
    match first.side {
        Side::Client => {
            let quits = line == b"QUIT" && matches!(first.server_port, 25 | 587);
            quits || begins(line, b"EHLO ") || begins(line, b"HELO ") || begins(line, b"MAIL FROM:<")
        }
        Side::Server => (begins(line, b"220 ") || begins(line, b"220-")) && contains(line, b"SMTP"),
    }
}

fn ftp(first: &First<'_>) -> bool {
    let Some(line) = line(first) else { return false };
    match first.side {
        Side::Client => {
            let one_word = begins(line, b"USER ") && !line.get(5..).unwrap_or_default().contains(&b' ');
            let quits = line == b"QUIT" && first.server_port == 21;
            quits || one_word && first.server_port != 110 || [&b"AUTH TLS"[..], b"AUTH SSL", b"FEAT"].contains(&line)
        }
        Side::Server => (begins(line, b"220 ") || begins(line, b"220-")) && contains(line, b"FTP"),
    }
}

fn imap(first: &First<'_>) -> bool {
    let Some(line) = line(first) else { return false };
    first.side == Side::Server && [&b"* OK"[..], b"* PREAUTH", b"* BYE"].iter().any(|word| begins(line, word))
}

fn pop3(first: &First<'_>) -> bool {
    let Some(line) = line(first) else { return false };
    first.side == Side::Server && begins(line, b"+OK") && line.get(3).is_none_or(|byte| *byte == b' ')
}

fn irc(first: &First<'_>) -> bool {
    let Some(line) = line(first) else { return false };
    match first.side {
        Side::Client => {
            begins(line, b"NICK ") || begins(line, b"USER ") && contains(line, b" :") || begins(line, b"CAP LS")
        }
        Side::Server => line.starts_with(b":") && (contains(line, b" NOTICE ") || contains(line, b" 001 ")),
    }
}

/// CONNECT, with the protocol's name (MQTT 3.1.1 §3.1).
fn mqtt(first: &First<'_>) -> bool {
    let [0x10, rest @ ..] = first.bytes else { return false };
    let Some(end) = rest.iter().take(4).position(|byte| byte & 0x80 == 0) else { return false };
    let name = rest.get(end + 1..).unwrap_or_default();
    name.starts_with(b"\0\x04MQTT") || name.starts_with(b"\0\x06MQIsdp")
}

fn xmpp(first: &First<'_>) -> bool {
    first.bytes.trim_ascii_start().starts_with(b"<")
        && contains(first.bytes.get(..512).unwrap_or(first.bytes), b"<stream:stream ")
}

/// Two negotiations of options, one behind the other (RFC 854).
fn telnet(first: &First<'_>) -> bool {
    matches!(first.bytes, [0xff, 0xfb..=0xfe, 0..=50, 0xff, 0xfa..=0xfe, 0..=50, ..])
}

/// A client's choice of methods, and nothing behind it (RFC 1928); or a request of version 4, ended by its zero.
fn socks(first: &First<'_>) -> bool {
    first.side == Side::Client
        && match first.bytes {
            [5, count @ 1..=4, methods @ ..] => {
                methods.len() == usize::from(*count) && methods.iter().all(|one| *one <= 3)
            }
            [4, 1 | 2, _, _, _, _, _, _, user @ ..] => {
                user.last() == Some(&0) && user.iter().all(|byte| *byte == 0 || byte.is_ascii_graphic())
            }
            _ => false,
        }
}

/// A table's message (BEP 5).
fn bittorrent_table(first: &First<'_>) -> bool {
    [&b"d1:ad2:id20:"[..], b"d1:rd2:id20:", b"d1:eli20"].iter().any(|begin| first.bytes.starts_with(begin))
}

/// A message of LDAP (RFC 4511 §4.1.1): a number, then an operation.
fn ldap(first: &First<'_>) -> bool {
    let Some((len, message)) = ber(first.bytes, 0x30) else { return false };
    let Some((width @ 1..=4, number)) = ber(message, 2) else { return false };
    let operation = number.get(width..).unwrap_or_default();
    let within = |tag: u8| ber(operation, tag).filter(|(inner, _)| *inner < len).map(|(_, rest)| rest);
    // Bind with its version; its answer with a code; search with its base; extended with its name; entries found.
    let bind = within(0x60).is_some_and(|rest| matches!(rest, [2, 1, 2 | 3, 4, ..]));
    let answer = [0x61, 0x65, 0x78]
        .into_iter()
        .any(|tag| within(tag).is_some_and(|rest| matches!(rest, [10, 1, 0..=80, 4, ..])));
    let search = within(0x63).is_some_and(|rest| {
        ber(rest, 4)
            .and_then(|(base, rest)| rest.get(base..))
            .is_some_and(|rest| matches!(rest, [10, 1, 0..=2, 10, 1, 0..=3, ..]))
    });
    let found = within(0x64).is_some_and(|rest| {
        ber(rest, 4).and_then(|(base, rest)| rest.get(base..)).is_some_and(|rest| rest.first() == Some(&0x30))
    });
    let extended = within(0x77).is_some_and(|rest| rest.first() == Some(&0x80));
    bind || answer || search || found || extended
}

/// A message of Kerberos 5 (RFC 4120 §5.4, §5.9): its tag, and the version that all have.
fn kerberos(bytes: &[u8]) -> bool {
    let version = |tag: u8, number: u8| {
        let sequence = ber(bytes, tag).and_then(|(_, rest)| ber(rest, 0x30)).map(|(_, rest)| rest);
        sequence.is_some_and(|rest| rest.starts_with(&[number, 3, 2, 1, 5]))
    };
    version(0x6a, 0xa1) || version(0x6c, 0xa1) || [0x6b, 0x6d, 0x7e].into_iter().any(|tag| version(tag, 0xa0))
}

fn kerberos_stream(first: &First<'_>) -> bool {
    matches!(first.bytes, [0, _, _, _, rest @ ..] if kerberos(rest))
}

fn sip(first: &First<'_>) -> bool {
    line(first).is_some_and(|line| line.starts_with(b"SIP/2.0 ") || line.ends_with(b" SIP/2.0"))
}

/// A reset of either side, bare or with the digest of `tls-auth`: numbered 0, with nothing acknowledged by the client.
fn openvpn(bytes: &[u8]) -> bool {
    match bytes {
        // Client or server, without a digest.
        [0x38, rest @ ..] if rest.len() == 13 => rest.ends_with(&[0; 5]),
        [0x40, rest @ ..] if rest.len() == 25 => matches!(rest.get(8), Some(1)) && rest.ends_with(&[0; 4]),
        // With a digest of 16, 20, 32 or 64 octets, a number of 1 and a time.
        [0x38, rest @ ..] if [37, 41, 53, 85].contains(&rest.len()) => {
            let number = rest.get(rest.len() - 13..rest.len() - 9);
            number == Some(&[0, 0, 0, 1]) && rest.ends_with(&[0; 5])
        }
        _ => false,
    }
}

fn openvpn_stream(first: &First<'_>) -> bool {
    let Some((len, rest)) = first.bytes.split_first_chunk() else { return false };
    first.side == Side::Client && rest.get(..u16::from_be_bytes(*len).into()).is_some_and(openvpn)
}

/// The three messages that have one length each (<https://www.wireguard.com/protocol/>).
fn wireguard(first: &First<'_>) -> bool {
    matches!(
        (first.bytes, first.bytes.len()),
        ([1, 0, 0, 0, ..], 148) | ([2, 0, 0, 0, ..], 92) | ([3, 0, 0, 0, ..], 64)
    )
}

/// A version, then the community or the header of version 3 (RFC 1901, RFC 3412).
fn snmp(first: &First<'_>) -> bool {
    ber(first.bytes, 0x30).is_some_and(|(_, rest)| matches!(rest, [2, 1, 0 | 1, 4, ..] | [2, 1, 3, 0x30, ..]))
}

/// A handshake of epoch 0 whose length is there (RFC 6347 §4.1).
fn dtls(first: &First<'_>) -> bool {
    let [0x16, 0xfe, 0xff | 0xfd, 0, 0, _, _, _, _, _, _, high, low, rest @ ..] = first.bytes else { return false };
    rest.len() >= usize::from(u16::from_be_bytes([*high, *low])) && matches!(rest, [0..=20, ..])
}

/// A header that says the length that it has (RFC 7296 §3.1, RFC 2408 §3.1), behind the marker of port 4500 or not. On its
/// own ports one of a known exchange is enough, or one of either version with a cookie of who began it.
fn ike(first: &First<'_>) -> bool {
    let own = |port: u16| first.client_port == port || first.server_port == port;
    let header = |bytes: &[u8], own: bool| {
        let Some([_, version, exchange, _, _, _, _, _, a, b, c, d]) = bytes.get(16..28) else { return false };
        let len = u32::from_be_bytes([*a, *b, *c, *d]);
        let known = match version {
            0x10 => matches!(exchange, 1..=6 | 32 | 33),
            0x20 => matches!(exchange, 34..=37 | 43),
            _ => false,
        };
        let begun = bytes.get(..8).is_some_and(|cookie| cookie != [0; 8]);
        let whole = usize::try_from(len).is_ok_and(|len| len == bytes.len());
        known && (own || whole) || own && begun && matches!(version >> 4, 1 | 2)
    };
    let behind_marker = first.bytes.strip_prefix(&[0; 4]);
    header(first.bytes, own(500)) || behind_marker.is_some_and(|bytes| header(bytes, own(4500)))
}

/// The cookie, and the length that it has (RFC 8489 §5).
fn stun(first: &First<'_>) -> bool {
    let [0..=0x3f, _, high, low, 0x21, 0x12, 0xa4, 0x42, rest @ ..] = first.bytes else { return false };
    rest.len() == usize::from(u16::from_be_bytes([*high, *low])) + 12
}

/// A request for a file and how it is wanted (RFC 1350 §5).
fn tftp(first: &First<'_>) -> bool {
    let [0, 1 | 2, rest @ ..] = first.bytes else { return false };
    let mut words = rest.split(|byte| *byte == 0);
    let name = words.next().unwrap_or_default();
    let mode = words.next().unwrap_or_default();
    !name.is_empty() && [&b"octet"[..], b"netascii", b"mail"].iter().any(|known| mode.eq_ignore_ascii_case(known))
}

fn ssdp(first: &First<'_>) -> bool {
    line(first).is_some_and(|line| line == b"M-SEARCH * HTTP/1.1" || line == b"NOTIFY * HTTP/1.1")
}

/// What a fuzz target calls: the first octet says over what and from which side.
pub fn fuzz(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let carrier = if how & 1 == 0 { Carrier::Stream } else { Carrier::Datagram };
    let side = if how & 2 == 0 { Side::Client } else { Side::Server };
    let _ = name(&First { carrier, side, client_port: 40_000, server_port: 4000, bytes });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(carrier: Carrier, side: Side, bytes: &[u8]) -> Option<&'static str> {
        name(&First { carrier, side, client_port: 40_000, server_port: 4000, bytes })
    }

    #[test]
    fn protocols_are_named_by_their_first_words() {
        use Carrier::{Datagram, Stream};
        use Side::{Client, Server};
        for (carrier, side, bytes, expected) in [
            (Stream, Client, &b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0"[..], "rdp"),
            (Stream, Server, b"\x4a\0\0\0\x0a8.0.36\0rest", "mysql"),
            (Stream, Client, b"\0\0\0\x08\x04\xd2\x16\x2f", "postgresql"),
            (Stream, Client, b"*1\r\n$4\r\nPING\r\n", "redis"),
            (Stream, Server, b"220 mail.example ESMTP\r\n", "smtp"),
            (Stream, Client, b"EHLO me\r\n", "smtp"),
            (Stream, Server, b"220 (vsFTPd 3.0.3)\r\n", "ftp"),
            (Stream, Client, b"USER anonymous\r\n", "ftp"),
            (Stream, Client, b"USER me 0 * :Me\r\n", "irc"),
            (Stream, Server, b"* OK IMAP4rev1\r\n", "imap"),
            (Stream, Server, b"+OK ready\r\n", "pop3"),
            (Stream, Client, b"\x10\x10\0\x04MQTT\x04", "mqtt"),
            (Stream, Client, b"\x05\x01\0", "socks"),
            (Datagram, Client, b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0", "ldap"),
            (Datagram, Client, b"\x6a\x09\x30\x07\xa1\x03\x02\x01\x05\xa2\0", "kerberos"),
            (Datagram, Client, b"INVITE sip:a@b SIP/2.0\r\n", "sip"),
            (Datagram, Client, b"\x38abcdefgh\0\0\0\0\0", "openvpn"),
            (Datagram, Client, b"\0\x01file\0octet\0", "tftp"),
            (Datagram, Client, b"d1:ad2:id20:", "bittorrent"),
        ] {
            assert_eq!(named(carrier, side, bytes), Some(expected));
        }
        let mut begin = [7; 148];
        begin[..4].copy_from_slice(&[1, 0, 0, 0]);
        assert_eq!(named(Datagram, Client, &begin), Some("wireguard"));
    }

    #[test]
    fn ports_decide_only_between_what_begins_alike() {
        fn named(carrier: Carrier, server_port: u16, bytes: &[u8]) -> Option<&'static str> {
            name(&First { carrier, side: Side::Client, client_port: 40_000, server_port, bytes })
        }
        let quits = [25, 587, 21, 4000].map(|port| named(Carrier::Stream, port, b"QUIT\r\n"));
        assert_eq!(quits, [Some("smtp"), Some("smtp"), Some("ftp"), None]);
        let mut key_exchange = [7; 40];
        key_exchange[17..19].copy_from_slice(&[0x10, 5]);
        let marked = [&[0; 4][..], &key_exchange].concat();
        assert_eq!([500, 4000].map(|port| named(Carrier::Datagram, port, &key_exchange)), [Some("ike"), None]);
        assert_eq!([4500, 4000].map(|port| named(Carrier::Datagram, port, &marked)), [Some("ike"), None]);
        let whole = [&key_exchange[..24], &[0, 0, 0, 40], &key_exchange[28..]].concat();
        assert_eq!(named(Carrier::Datagram, 4000, &whole), Some("ike"));
    }

    #[test]
    fn what_is_cut_or_alike_has_no_name() {
        use Carrier::{Datagram, Stream};
        for bytes in
            [&b""[..], b"\x30\x84", b"220 hello\r\n", b"+OKAY\r\n", b"*x\r\n$", b"\x05\x09", b"\x38", b"\0\x01\0\0"]
        {
            for carrier in [Stream, Datagram] {
                for side in [Side::Client, Side::Server] {
                    assert_eq!(named(carrier, side, bytes), None, "{bytes:?}");
                }
            }
        }
    }
}
