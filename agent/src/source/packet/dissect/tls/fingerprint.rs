//! Fingerprints of hellos: JA4 (`FoxIO`, BSD 3-Clause, `technical_details/JA4.md`), JA3 and JA3S (Salesforce).
//!
//! Only JA4 of the JA4+ family: the others have another licence.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};
use ring::digest;

use super::hello::{ALPN, ClientHello, SERVER_NAME, ServerHello};
use super::names::is_grease;

/// What carried a hello, JA4's first letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// TLS over TCP.
    Tcp,
    /// QUIC.
    Quic,
}

/// JA4, e.g. `t13d1516h2_8daaf6152771_e5627efa2ab1`.
#[must_use]
pub fn ja4(transport: Transport, hello: &ClientHello) -> String {
    let mut ciphers: Vec<u16> = without_grease(&hello.ciphers).collect();
    ciphers.sort_unstable();
    let mut extensions: Vec<u16> = without_grease(&hello.extensions).collect();
    let count = extensions.len();
    extensions.retain(|extension| !matches!(*extension, SERVER_NAME | ALPN));
    extensions.sort_unstable();
    let transport = match transport {
        Transport::Tcp => 't',
        Transport::Quic => 'q',
    };
    let version = match hello.offered() {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    };
    let name = if hello.extensions.contains(&SERVER_NAME) { 'd' } else { 'i' };
    let [first, last] = alpn(hello.alpn.first().map_or(&[], Vec::as_slice));
    let mut signed = hex(extensions.into_iter());
    if !hello.signature_algorithms.is_empty() && !signed.is_empty() {
        signed.push('_');
        signed.push_str(&hex(without_grease(&hello.signature_algorithms)));
    }
    format!(
        "{transport}{version}{name}{:02}{:02}{first}{last}_{}_{}",
        ciphers.len().min(99),
        count.min(99),
        short_hash(&hex(ciphers.into_iter())),
        short_hash(&signed)
    )
}

/// JA3: MD5 of version, ciphers, extensions, groups and point formats, in decimal and in their order.
#[must_use]
pub fn ja3(hello: &ClientHello) -> String {
    let mut text = format!("{},", hello.version);
    for numbers in [&hello.ciphers, &hello.extensions, &hello.groups] {
        decimal(&mut text, without_grease(numbers));
        text.push(',');
    }
    decimal(&mut text, hello.point_formats.iter().copied().map(u16::from));
    md5(&text)
}

/// JA3S: MD5 of version, cipher and extensions.
#[must_use]
pub fn ja3s(hello: &ServerHello) -> String {
    let mut text = format!("{},{},", hello.legacy_version, hello.cipher);
    decimal(&mut text, hello.extensions.iter().copied());
    md5(&text)
}

/// Lower-case hexadecimal digits of bytes.
#[must_use]
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

fn without_grease(numbers: &[u16]) -> impl Iterator<Item = u16> {
    numbers.iter().copied().filter(|number| !is_grease(*number))
}

/// First and last character of the first protocol; of its hexadecimal digits where one of both is not alphanumeric.
fn alpn(protocol: &[u8]) -> [char; 2] {
    let (Some(&first), Some(&last)) = (protocol.first(), protocol.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [first.into(), last.into()];
    }
    let digit = |number: u8| char::from_digit(u32::from(number & 0x0f), 16).unwrap_or('0');
    [digit(first >> 4), digit(last)]
}

fn hex(numbers: impl Iterator<Item = u16>) -> String {
    let mut text = String::new();
    for number in numbers {
        let _ = write!(text, "{}{number:04x}", if text.is_empty() { "" } else { "," });
    }
    text
}

fn decimal(text: &mut String, numbers: impl Iterator<Item = u16>) {
    for (at, number) in numbers.enumerate() {
        let _ = write!(text, "{}{number}", if at == 0 { "" } else { "-" });
    }
}

/// The first twelve digits of SHA-256; zeros of nothing.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    hex_of(digest::digest(&digest::SHA256, text.as_bytes()).as_ref().get(..6).unwrap_or_default())
}

fn md5(text: &str) -> String {
    hex_of(&Md5::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::hello::{ClientHello, ServerHello};
    use super::{Transport, alpn, ja3, ja3s, ja4};

    /// The example of `FoxIO`'s document.
    fn chrome() -> ClientHello {
        ClientHello {
            version: 0x0303,
            versions: vec![0x8a8a, 0x0304, 0x0303],
            ciphers: vec![
                0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                0x009d, 0x002f, 0x0035,
            ],
            extensions: vec![
                0x2a2a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
                0xff01, 0x000b, 0x000a, 0x0015, 0x3a3a,
            ],
            signature_algorithms: vec![0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601],
            alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            ..ClientHello::default()
        }
    }

    #[test]
    fn ja4_is_that_of_the_document() {
        assert_eq!(ja4(Transport::Tcp, &chrome()), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn ja4_of_an_empty_hello_has_zeros_and_no_hashes_of_nothing() {
        let hello = ClientHello { version: 0x0303, ..ClientHello::default() };
        assert_eq!(ja4(Transport::Quic, &hello), "q12i000000_000000000000_000000000000");
    }

    #[test]
    fn ja4_without_signature_algorithms_has_no_underscore_in_what_is_hashed() {
        let hello = ClientHello {
            version: 0x0303,
            ciphers: vec![0x1301, 0x1302],
            extensions: vec![0x000a, 0x000b],
            ..ClientHello::default()
        };
        assert_eq!(ja4(Transport::Tcp, &hello), "t12i020200_62ed6f6ca7ad_33a13ba74d1c");
    }

    #[test]
    fn counts_above_99_are_99() {
        let hello = ClientHello { extensions: (100..300).collect(), ciphers: (1..200).collect(), ..chrome() };
        assert!(ja4(Transport::Tcp, &hello).starts_with("t13i9999h2_"));
    }

    #[test]
    fn alpn_that_is_not_alphanumeric_at_an_end_is_told_by_its_digits() {
        let told = |protocol: &[u8]| alpn(protocol).iter().collect::<String>();
        assert_eq!(told(b""), "00");
        assert_eq!(told(b"x"), "xx");
        assert_eq!(told(b"http/1.1"), "h1");
        assert_eq!(told(&[0xab]), "ab");
        assert_eq!(told(&[0xab, 0xcd]), "ad");
        assert_eq!(told(&[0x30, 0xab]), "3b");
        assert_eq!(told(&[0x30, 0x31, 0xab, 0xcd]), "3d");
        assert_eq!(told(&[0x30, 0xab, 0xcd, 0x31]), "01");
    }

    #[test]
    fn ja3_and_ja3s_hash_decimal_numbers_in_their_order() {
        // Of "771,47,,," and "771,47,".
        let hello = ClientHello { version: 0x0303, ciphers: vec![0x0a0a, 47], ..ClientHello::default() };
        assert_eq!(ja3(&hello), "fde4273625b2ac63bd01d9c500dac91b");
        let hello = ServerHello { legacy_version: 0x0303, cipher: 47, ..ServerHello::default() };
        assert_eq!(ja3s(&hello), "5397c414a9ebeaff1bf18b70ca22eaa0");
    }
}
