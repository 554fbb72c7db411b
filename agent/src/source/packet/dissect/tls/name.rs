//! Distinguished names as RFC 4514 writes them: the last part first, `CN=example.org,O=Example,C=US`.

use std::fmt::Write as _;

use x509_parser::prelude::{AttributeTypeAndValue, X509Name};

use super::super::TEXT_BYTES_MAX;
use super::fingerprint::hex_of;
use super::text::cut;

/// ASN.1 tags of strings that are not UTF-8.
const T61_STRING: u32 = 20;
const UNIVERSAL_STRING: u32 = 28;
const BMP_STRING: u32 = 30;
/// ASN.1 tags of strings that are, or are ASCII: UTF8, numeric, printable, IA5, visible, general.
const UTF8_STRINGS: [u32; 6] = [12, 18, 19, 22, 26, 27];

/// A name; longer ones than `TEXT_BYTES_MAX` are cut and flagged `text_cut`.
#[must_use]
pub fn distinguished(name: &X509Name<'_>, flaws: &mut Vec<&'static str>) -> String {
    let mut written = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (at, attribute) in part.iter().enumerate() {
            if !written.is_empty() {
                written.push(if at == 0 { ',' } else { '+' });
            }
            write(&mut written, attribute);
            if written.len() > TEXT_BYTES_MAX {
                return cut(written, true, flaws);
            }
        }
    }
    written
}

fn write(written: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    written.push_str(short(&oid).unwrap_or(&oid));
    written.push('=');
    let value = attribute.attr_value();
    let data = value.data.get(..TEXT_BYTES_MAX).unwrap_or(value.data);
    let text = match value.tag().0 {
        tag if UTF8_STRINGS.contains(&tag) => String::from_utf8_lossy(data).into_owned(),
        T61_STRING => data.iter().copied().map(char::from).collect(),
        BMP_STRING => {
            let units: Vec<u16> = data.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16_lossy(&units)
        }
        UNIVERSAL_STRING => {
            let code = data.as_chunks().0.iter().map(|four| u32::from_be_bytes(*four));
            code.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => {
            written.push('#');
            written.push_str(&hex_of(data));
            return;
        }
    };
    escape(written, &text);
}

/// RFC 4514, 2.4; control characters by their octets.
fn escape(written: &mut String, text: &str) {
    let last = text.chars().count().saturating_sub(1);
    for (at, letter) in text.chars().enumerate() {
        match letter {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => written.push('\\'),
            '#' if at == 0 => written.push('\\'),
            ' ' if at == 0 || at == last => written.push('\\'),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(written, "\\{:02X}", u32::from(letter));
                continue;
            }
            _ => {}
        }
        written.push(letter);
    }
}

/// The short name of an attribute type, as RFC 4519 and `OpenSSL` have it.
fn short(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.2.840.113549.1.9.2" => "unstructuredName",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_has_a_meaning_in_names_is_escaped() {
        let escaped = |text| {
            let mut written = String::new();
            escape(&mut written, text);
            written
        };
        assert_eq!(escaped("Acme, Inc."), r"Acme\, Inc.");
        assert_eq!(escaped(" #a\0b "), r"\ #a\00b\ ");
        assert_eq!(escaped("#1"), r"\#1");
        assert_eq!(escaped("é"), "é");
    }
}
