//! What answers say, as zone files write it (RFC 1035 §5.1 and the documents of each type; unknown ones by RFC 3597).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::TEXT_BYTES_MAX;
use super::message::word;
use super::{Flaw, name};

/// Types and their names (IANA, "Resource Record (RR) TYPEs").
const KINDS: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (24, "SIG"),
    (25, "KEY"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (32, "NB"),
    (33, "SRV"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (39, "DNAME"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
    (32768, "TA"),
    (32769, "DLV"),
];

/// `A`, `AAAA`, …, `TYPE1234`.
#[must_use]
pub fn kind_name(kind: u16) -> String {
    match KINDS.iter().find(|(number, _)| *number == kind) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("TYPE{kind}"),
    }
}

/// Bytes of a type that has no form of its own: `\# 4 0a000001` (RFC 3597 §5).
#[must_use]
pub fn unknown(bytes: &[u8]) -> String {
    let mut text = format!("\\# {}", bytes.len());
    if !bytes.is_empty() {
        text.push(' ');
        hex(&mut text, bytes);
    }
    text
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes.iter().take(TEXT_BYTES_MAX / 2) {
        let _ = write!(text, "{byte:02x}");
    }
}

/// What an answer's bytes `[begin, end)` say.
///
/// # Errors
/// [`Flaw`]: they are not of their type.
pub fn text(message: &[u8], begin: usize, end: usize, kind: u16) -> Result<String, Flaw> {
    let data = message.get(begin..end).ok_or(Flaw::Truncated)?;
    let within = |at: usize| message.get(..end).ok_or(Flaw::Truncated).and_then(|message| name::read(message, at));
    Ok(match kind {
        1 => Ipv4Addr::from(*<&[u8; 4]>::try_from(data).map_err(|_| Flaw::BadData)?).to_string(),
        28 => Ipv6Addr::from(*<&[u8; 16]>::try_from(data).map_err(|_| Flaw::BadData)?).to_string(),
        2 | 5 | 12 | 39 => within(begin)?.0,
        15 | 18 | 36 => format!("{} {}", word(data, 0)?, within(begin + 2)?.0),
        33 => {
            let target = within(begin + 6)?.0;
            format!("{} {} {} {target}", word(data, 0)?, word(data, 2)?, word(data, 4)?)
        }
        6 => {
            let (server, at) = within(begin)?;
            let (mailbox, at) = within(at)?;
            let mut text = format!("{server} {mailbox}");
            for number in 0..5 {
                let (high, low) = (word(message, at + 4 * number)?, word(message, at + 4 * number + 2)?);
                let _ = write!(text, " {}", u32::from(high) << 16 | u32::from(low));
            }
            text
        }
        17 => {
            let (mailbox, at) = within(begin)?;
            format!("{mailbox} {}", within(at)?.0)
        }
        13 | 16 | 99 => strings(data)?,
        35 => {
            let (flags, rest) = string(data.get(4..).ok_or(Flaw::Truncated)?)?;
            let (services, rest) = string(rest)?;
            let (expression, rest) = string(rest)?;
            let target = within(end - rest.len())?.0;
            let (order, preference) = (word(data, 0)?, word(data, 2)?);
            format!("{order} {preference} {} {} {} {target}", quoted(flags), quoted(services), quoted(expression))
        }
        257 => {
            let (flags, rest) = data.split_first().ok_or(Flaw::Truncated)?;
            let (tag, value) = string(rest)?;
            format!("{flags} {} {}", String::from_utf8_lossy(tag), quoted(value))
        }
        256 => format!("{} {} {}", word(data, 0)?, word(data, 2)?, quoted(data.get(4..).unwrap_or_default())),
        44 => numbered(data, 2)?,
        52 | 53 => numbered(data, 3)?,
        43 | 59 | 32769 => {
            let [algorithm, digest_kind] = *data.get(2..).and_then(<[u8]>::first_chunk::<2>).ok_or(Flaw::Truncated)?;
            let mut text = format!("{} {algorithm} {digest_kind} ", word(data, 0)?);
            hex(&mut text, data.get(4..).unwrap_or_default());
            text
        }
        46 => {
            let signer = within(begin + 18)?.0;
            let [algorithm, labels] = *data.get(2..).and_then(<[u8]>::first_chunk::<2>).ok_or(Flaw::Truncated)?;
            format!("{} {algorithm} {labels} {signer}", kind_name(word(data, 0)?))
        }
        48 | 60 => {
            let [protocol, algorithm] = *data.get(2..).and_then(<[u8]>::first_chunk::<2>).ok_or(Flaw::Truncated)?;
            format!("{} {protocol} {algorithm} ({} octets)", word(data, 0)?, data.len() - 4)
        }
        47 => within(begin)?.0,
        64 | 65 => service(data, within(begin + 2)?, begin)?,
        _ => unknown(data),
    })
}

/// The first numbers of a record as decimals, the rest as hexadecimal digits.
fn numbered(data: &[u8], count: usize) -> Result<String, Flaw> {
    let (numbers, rest) = data.split_at_checked(count).ok_or(Flaw::Truncated)?;
    let mut text = String::new();
    for number in numbers {
        let _ = write!(text, "{number} ");
    }
    hex(&mut text, rest);
    Ok(text)
}

/// Service binding (RFC 9460): priority, target, the numbers of its parameters; ALPN and hints in words.
fn service(data: &[u8], (target, at): (String, usize), begin: usize) -> Result<String, Flaw> {
    let mut text = format!("{} {target}", word(data, 0)?);
    let mut rest = data.get(at - begin..).unwrap_or_default();
    while !rest.is_empty() && text.len() < TEXT_BYTES_MAX {
        let (key, length) = (word(rest, 0)?, usize::from(word(rest, 2)?));
        let value = rest.get(4..4 + length).ok_or(Flaw::Truncated)?;
        match key {
            1 => {
                let mut names = value;
                let mut between = " alpn=";
                while !names.is_empty() {
                    let (name, more) = string(names)?;
                    let _ = write!(text, "{between}{}", String::from_utf8_lossy(name));
                    (names, between) = (more, ",");
                }
            }
            3 => {
                let _ = write!(text, " port={}", word(value, 0)?);
            }
            4 => value.as_chunks::<4>().0.iter().for_each(|ip| {
                let _ = write!(text, " ipv4hint={}", Ipv4Addr::from(*ip));
            }),
            6 => value.as_chunks::<16>().0.iter().for_each(|ip| {
                let _ = write!(text, " ipv6hint={}", Ipv6Addr::from(*ip));
            }),
            _ => {
                let _ = write!(text, " key{key}");
            }
        }
        rest = rest.get(4 + length..).unwrap_or_default();
    }
    Ok(text)
}

fn string(data: &[u8]) -> Result<(&[u8], &[u8]), Flaw> {
    let (length, rest) = data.split_first().ok_or(Flaw::Truncated)?;
    rest.split_at_checked(usize::from(*length)).ok_or(Flaw::Truncated)
}

fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes.iter().take(TEXT_BYTES_MAX) {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => text.push(char::from(*byte)),
            other => {
                let _ = write!(text, "\\{other:03}");
            }
        }
    }
    text.push('"');
    text
}

fn strings(mut data: &[u8]) -> Result<String, Flaw> {
    let mut text = String::new();
    while !data.is_empty() && text.len() < TEXT_BYTES_MAX {
        let (one, rest) = string(data)?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&quoted(one));
        data = rest;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: u16, data: &[u8]) -> Result<String, Flaw> {
        text(data, 0, data.len(), kind)
    }

    #[test]
    fn answers_read_as_zone_files_write_them() {
        assert_eq!(told(1, &[192, 0, 2, 1]).as_deref(), Ok("192.0.2.1"));
        assert_eq!(told(15, b"\0\x0a\x04mail\0").as_deref(), Ok("10 mail"));
        assert_eq!(told(16, b"\x03a\"b\x01\xff").as_deref(), Ok("\"a\\\"b\" \"\\255\""));
        assert_eq!(told(33, b"\0\x01\0\x02\0\x50\x01h\0").as_deref(), Ok("1 2 80 h"));
        assert_eq!(
            told(6, b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05").as_deref(),
            Ok("a b 1 2 3 4 5")
        );
        assert_eq!(told(257, b"\0\x05issueca.example").as_deref(), Ok("0 issue \"ca.example\""));
        assert_eq!(told(65, b"\0\x01\0\0\x01\0\x06\x02h2\x02h3").as_deref(), Ok("1 . alpn=h2,h3"));
        assert_eq!(told(9999, &[1, 2]).as_deref(), Ok("\\# 2 0102"));
    }

    #[test]
    fn data_of_another_type_is_an_error() {
        assert_eq!(told(1, &[1, 2, 3]), Err(Flaw::BadData));
        assert_eq!(told(16, b"\x09ab"), Err(Flaw::Truncated));
        assert_eq!(told(6, b"\x01a\0\x01b\0\0\0"), Err(Flaw::Truncated));
    }
}
