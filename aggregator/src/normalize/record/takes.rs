//! What OCSF 1.8.0 says of the values that an attribute takes, beyond its kind: formats, ranges, enums.

use crate::event::Value;
use crate::normalize::endpoint;
use crate::schema::Attribute;

/// `*_id` of anything: it is named beside it.
pub(super) const OTHER: i64 = 99;

/// Whether the attribute takes this value.
pub(in crate::normalize) fn takes(attribute: Attribute, value: &Value<'_>) -> bool {
    match value {
        Value::Int(number) => takes_number(attribute, *number),
        Value::Text(text) => takes_text(attribute, text),
        Value::Bool(_) => true,
        Value::Float(number) => number.is_finite(),
    }
}

fn takes_text(attribute: Attribute, text: &str) -> bool {
    match attribute {
        Attribute::SrcEndpointIp
        | Attribute::DstEndpointIp
        | Attribute::RelayIp
        | Attribute::DeviceInterfaceIp
        | Attribute::HttpRequestForwardedFor => endpoint::ip(text) == Some(text),
        Attribute::SrcEndpointMac
        | Attribute::DstEndpointMac
        | Attribute::EvidencesSrcEndpointMac
        | Attribute::EvidencesDstEndpointMac
        | Attribute::DeviceInterfaceMac => is_mac(text),
        Attribute::DeviceOsMachineUuid => is_uuid(text),
        Attribute::HttpRequestMethod => {
            matches!(text, "CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT" | "TRACE")
        }
        _ => true,
    }
}

fn takes_number(attribute: Attribute, number: i64) -> bool {
    match attribute {
        Attribute::SrcEndpointPort | Attribute::DstEndpointPort => u16::try_from(number).is_ok(),
        Attribute::StatusId => matches!(number, 0..=2 | OTHER),
        Attribute::DeviceTypeId => matches!(number, 0..=15),
        Attribute::DeviceOsTypeId => matches!(number, 0 | 100 | 101 | 200 | 201 | 300..=302 | 400..=402),
        // `type`, the word for 99, has no column, here and below.
        Attribute::ActorProcessFileTypeId
        | Attribute::ProcessFileTypeId
        | Attribute::FileTypeId
        | Attribute::FileResultTypeId
        | Attribute::DriverFileTypeId
        | Attribute::EvidenceFileTypeId
        | Attribute::EvidenceFolderTypeId
        | Attribute::EvidenceModuleFileTypeId
        | Attribute::EvidenceProcessFileTypeId => matches!(number, 0..=8),
        Attribute::UserTypeId => matches!(number, 0..=4),
        Attribute::LogonTypeId => matches!(number, 0..=5 | 7..=13),
        Attribute::AuthProtocolId => matches!(number, 0..=12 | OTHER),
        Attribute::AccountSwitchTypeId | Attribute::SbomPackageTypeId => matches!(number, 0..=2),
        Attribute::AuthFactorsFactorTypeId => matches!(number, 0..=11),
        Attribute::LaunchTypeId => matches!(number, 0..=3),
        Attribute::QueryResultId | Attribute::EvidenceModuleLoadTypeId => matches!(number, 0..=5),
        Attribute::EvidenceQueryTypeId => matches!(number, 0..=18 | OTHER),
        Attribute::EvidenceTcpStateId => matches!(number, 0..=11),
        Attribute::EvidenceConnectionDirectionId => matches!(number, 0..=4),
        Attribute::EvidenceConnectionProtocolVerId => matches!(number, 0 | 4 | 6),
        Attribute::FileHashAlgorithmId
        | Attribute::FileResultHashAlgorithmId
        | Attribute::ProcessFileHashAlgorithmId
        | Attribute::EvidenceProcessFileHashAlgorithmId => matches!(number, 0..=20 | OTHER),
        Attribute::ConnectionDirectionId => matches!(number, 0..=4 | OTHER),
        Attribute::ConnectionProtocolVerId => matches!(number, 0 | 4 | 6),
        Attribute::TlsExtensionTypeId => is_tls_extension(number) || number == OTHER,
        Attribute::Ja4TypeId => matches!(number, 0..=9 | OTHER),
        Attribute::TlsJa3AlgorithmId
        | Attribute::TlsJa3sAlgorithmId
        | Attribute::EvidencesTlsJa3AlgorithmId
        | Attribute::EvidencesTlsJa3sAlgorithmId
        | Attribute::TlsCertificateFingerprintAlgorithmId => matches!(number, 0..=20 | OTHER),
        // `hassh.fingerprint.algorithm`, the word for 99, has no column.
        Attribute::ClientHasshFingerprintAlgorithmId | Attribute::ServerHasshFingerprintAlgorithmId => {
            matches!(number, 0..=20)
        }
        Attribute::QueryOpcodeId => matches!(number, 0..=6 | OTHER),
        Attribute::RcodeId => matches!(number, 0..=11 | 16..=25 | OTHER),
        Attribute::NtpStratumId => matches!(number, 0..=2 | 16 | 17 | OTHER),
        _ => true,
    }
}

/// `tls_extension.type_id`.
const fn is_tls_extension(number: i64) -> bool {
    matches!(number, 0 | 1 | 5 | 10 | 13..=16 | 18..=21 | 41..=45 | 47..=51)
}

/// Six pairs of hexadecimal digits, `:` or `-` between them.
pub(in super::super) fn is_mac(text: &str) -> bool {
    text.len() == 17
        && text.bytes().enumerate().all(|(at, byte)| match at % 3 {
            2 => matches!(byte, b':' | b'-'),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Thirty-two hexadecimal digits in five groups.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The attribute that says in a word what a number of [`OTHER`] is: it must stand beside it.
pub(super) const fn word(id: Attribute) -> Option<Attribute> {
    Some(match id {
        Attribute::StatusId => Attribute::Status,
        Attribute::AuthProtocolId => Attribute::AuthProtocol,
        Attribute::EvidenceQueryTypeId => Attribute::EvidenceQueryType,
        Attribute::FileHashAlgorithmId => Attribute::FileHashAlgorithm,
        Attribute::FileResultHashAlgorithmId => Attribute::FileResultHashAlgorithm,
        Attribute::ProcessFileHashAlgorithmId => Attribute::ProcessFileHashAlgorithm,
        Attribute::EvidenceProcessFileHashAlgorithmId => Attribute::EvidenceProcessFileHashAlgorithm,
        Attribute::ConnectionDirectionId => Attribute::ConnectionDirection,
        Attribute::TlsExtensionTypeId => Attribute::TlsExtensionType,
        Attribute::Ja4TypeId => Attribute::Ja4Type,
        Attribute::TlsJa3AlgorithmId => Attribute::TlsJa3Algorithm,
        Attribute::TlsJa3sAlgorithmId => Attribute::TlsJa3sAlgorithm,
        Attribute::TlsCertificateFingerprintAlgorithmId => Attribute::TlsCertificateFingerprintAlgorithm,
        Attribute::RcodeId => Attribute::Rcode,
        Attribute::NtpStratumId => Attribute::NtpStratum,
        _ => return None,
    })
}
