//! Observables: what an analyst searches for across classes, gathered once from the event's fields.
//!
//! Ports are left out on purpose: as text each would cost an allocation, and a port alone leads nowhere.

use super::Origin;
use crate::event::{Event, Value};
use crate::schema::Attribute;

/// `observable.type_id` of a name of a host.
const HOSTNAME: u8 = 1;
/// `observable.type_id` of an address.
const IP: u8 = 2;

/// `observable.type_id` of an attribute that others may ask for.
const fn kind(attribute: Attribute) -> Option<u8> {
    Some(match attribute {
        Attribute::SrcEndpointHostname
        | Attribute::DstEndpointHostname
        | Attribute::HttpRequestUrlHostname
        | Attribute::QueryHostname
        | Attribute::TlsSni => HOSTNAME,
        // Of what answers say, addresses.
        Attribute::SrcEndpointIp
        | Attribute::DstEndpointIp
        | Attribute::RelayIp
        | Attribute::HttpRequestForwardedFor
        | Attribute::AnswersRdata => IP,
        Attribute::SrcEndpointMac | Attribute::DstEndpointMac => 3,
        Attribute::UserName
        | Attribute::ActorUserName
        | Attribute::ProcessUserName
        | Attribute::JobUserName
        | Attribute::EvidenceUserName
        | Attribute::EvidenceProcessUserName
        | Attribute::EvidenceJobUserName => 4,
        Attribute::HttpRequestUrlString => 6,
        Attribute::TlsJa3Value
        | Attribute::ClientHasshFingerprintValue
        | Attribute::ServerHasshFingerprintValue
        | Attribute::FileHashValue
        | Attribute::FileResultHashValue
        | Attribute::ProcessFileHashValue
        | Attribute::EvidenceProcessFileHashValue => 8,
        Attribute::ProcessName | Attribute::EvidenceProcessName => 9,
        Attribute::ProcessCmdLine
        | Attribute::JobCmdLine
        | Attribute::EvidenceProcessCmdLine
        | Attribute::EvidenceJobCmdLine => 13,
        Attribute::HttpRequestUserAgent => 16,
        Attribute::ProcessFilePath
        | Attribute::ActorProcessFilePath
        | Attribute::FilePath
        | Attribute::FileResultPath
        | Attribute::DriverFilePath
        | Attribute::EvidenceFilePath
        | Attribute::EvidenceProcessFilePath => 45,
        _ => return None,
    })
}

/// [`kind`] of every attribute, by its number; 0 for what is none: it is asked for each field of each event.
static KINDS: [u8; Attribute::ALL.len()] = {
    let mut kinds = [0; Attribute::ALL.len()];
    let (mut attributes, mut slots) = (Attribute::ALL, kinds.as_mut_slice());
    while let ([attribute, rest @ ..], [slot, more @ ..]) = (attributes, slots) {
        if let Some(kind) = kind(*attribute) {
            *slot = kind;
        }
        (attributes, slots) = (rest, more);
    }
    kinds
};

/// Addresses that some classes have no attribute for: what they are called in `unmapped`, and as an observable.
const UNMAPPED: [(&str, &str); 3] = [
    ("src_ip", "unmapped.src_ip"),
    ("src_endpoint.ip", "unmapped.src_endpoint.ip"),
    ("dst_endpoint.ip", "unmapped.dst_endpoint.ip"),
];

/// Most observables of an event: an answer of the DNS can have thousands of addresses.
const OBSERVABLES_MAX: u16 = 64;

/// Adds an observable for every field that is one; the host's own name stands in `device` already.
pub(super) fn push(event: &mut Event<'_>, origin: &Origin) {
    let mut index = 0;
    for at in 0..event.fields.len() {
        let Some(field) = event.fields.get(at) else { return };
        let kind = KINDS.get(field.attribute as usize).copied().unwrap_or(0);
        if kind == 0 {
            continue;
        }
        let Value::Text(text) = &field.value else { continue };
        if text.is_empty() || (kind == HOSTNAME && **text == *origin.hostname) || index >= OBSERVABLES_MAX {
            continue;
        }
        if field.attribute == Attribute::AnswersRdata && super::endpoint::ip(text).is_none() {
            continue;
        }
        let (path, value) = (field.attribute.path(), field.value.clone());
        event.push_at(Attribute::ObservablesName, index, path);
        event.push_at(Attribute::ObservablesTypeId, index, i64::from(kind));
        event.push_at(Attribute::ObservablesValue, index, value);
        index += 1;
    }
    for (key, path) in UNMAPPED {
        let source = event.unmapped.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let Some(Value::Text(source)) = source.cloned() else { continue };
        if super::endpoint::ip(&source).is_none() {
            continue;
        }
        event.push_at(Attribute::ObservablesName, index, path);
        event.push_at(Attribute::ObservablesTypeId, index, i64::from(IP));
        event.push_at(Attribute::ObservablesValue, index, source);
        index += 1;
    }
}
