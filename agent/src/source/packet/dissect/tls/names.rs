//! Names of versions, groups and alerts of TLS.
//!
//! Sources: IANA, "TLS Supported Groups", "TLS Alerts"; versions by RFC 6101, 2246, 4346, 5246, 8446.

use std::borrow::Cow;

/// Whether a number is reserved to be ignored (RFC 8701): `0x0a0a`, `0x1a1a` … `0xfafa`.
#[must_use]
pub fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// Whether a version is TLS 1.3 or one of its drafts.
#[must_use]
pub fn is_tls13(version: u16) -> bool {
    version == 0x0304 || is_draft(version)
}

/// Whether a version is a draft of TLS 1.3: `0x7f00` and the draft's number.
#[must_use]
pub fn is_draft(version: u16) -> bool {
    version >> 8 == 0x7f
}

/// A version as OCSF writes it: `1.2`, `1.3`, `SSLv3`, `1.3-draft28`.
#[must_use]
pub fn version(version: u16) -> Cow<'static, str> {
    Cow::Borrowed(match version {
        0x0002 => "SSLv2",
        0x0300 => "SSLv3",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        0x0304 => "1.3",
        _ if is_draft(version) => return Cow::Owned(format!("1.3-draft{}", version & 0xff)),
        _ => return Cow::Owned(format!("{version:#06x}")),
    })
}

/// A group of key exchange.
#[must_use]
pub fn group(group: u16) -> Cow<'static, str> {
    Cow::Borrowed(match group {
        1 => "sect163k1",
        2 => "sect163r1",
        3 => "sect163r2",
        4 => "sect193r1",
        5 => "sect193r2",
        6 => "sect233k1",
        7 => "sect233r1",
        8 => "sect239k1",
        9 => "sect283k1",
        10 => "sect283r1",
        11 => "sect409k1",
        12 => "sect409r1",
        13 => "sect571k1",
        14 => "sect571r1",
        15 => "secp160k1",
        16 => "secp160r1",
        17 => "secp160r2",
        18 => "secp192k1",
        19 => "secp192r1",
        20 => "secp224k1",
        21 => "secp224r1",
        22 => "secp256k1",
        23 => "secp256r1",
        24 => "secp384r1",
        25 => "secp521r1",
        26 => "brainpoolP256r1",
        27 => "brainpoolP384r1",
        28 => "brainpoolP512r1",
        29 => "x25519",
        30 => "x448",
        31 => "brainpoolP256r1tls13",
        32 => "brainpoolP384r1tls13",
        33 => "brainpoolP512r1tls13",
        41 => "curveSM2",
        256 => "ffdhe2048",
        257 => "ffdhe3072",
        258 => "ffdhe4096",
        259 => "ffdhe6144",
        260 => "ffdhe8192",
        512 => "MLKEM512",
        513 => "MLKEM768",
        514 => "MLKEM1024",
        4587 => "SecP256r1MLKEM768",
        4588 => "X25519MLKEM768",
        4589 => "SecP384r1MLKEM1024",
        16696 => "CECPQ2",
        25497 => "X25519Kyber768Draft00",
        25498 => "SecP256r1Kyber768Draft00",
        _ => return Cow::Owned(format!("{group:#06x}")),
    })
}

/// An alert's description.
#[must_use]
pub fn alert(code: u8) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return Cow::Owned(code.to_string()),
    })
}

/// Whether OCSF 1.8 has this extension in its enum `tls_extension.type_id`.
#[must_use]
pub fn is_ocsf_extension(extension: u16) -> bool {
    matches!(extension, 0 | 1 | 5 | 10 | 13 | 14 | 15 | 16 | 18..=21 | 41..=45 | 47..=51)
}

#[cfg(test)]
mod tests {
    use super::{is_grease, version};

    #[test]
    fn only_the_sixteen_reserved_numbers_are_grease() {
        assert_eq!((0..=u16::MAX).filter(|number| is_grease(*number)).count(), 16);
        assert!(is_grease(0x0a0a) && is_grease(0xfafa) && !is_grease(0x0a1a) && !is_grease(0x0b0b));
    }

    #[test]
    fn a_draft_is_named_by_its_number() {
        assert_eq!(version(0x7f1c), "1.3-draft28");
        assert_eq!(version(0x0303), "1.2");
        assert_eq!(version(0xfb1a), "0xfb1a");
    }
}
