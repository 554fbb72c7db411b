//! Observables: what an analyst searches for across classes, gathered once from the event's fields.
//!
//! Ports are left out on purpose: as text each would cost an allocation, and a port alone leads nowhere.

use super::Origin;
use crate::event::{Event, Field, Value};
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
const OBSERVABLES_MAX: usize = 64;

/// Adds an observable for every field that is one; the host's own name stands in `device` already.
pub(super) fn push(event: &mut Event<'_>, origin: &Origin) {
    let is_one = |field: &Field<'_>, kind: u8| match &field.value {
        Value::Text(text) => {
            !(text.is_empty()
                || (kind == HOSTNAME && **text == *origin.hostname)
                || (field.attribute == Attribute::AnswersRdata && super::endpoint::ip(text).is_none()))
        }
        _ => false,
    };
    let kind = |field: &Field<'_>| KINDS.get(field.attribute as usize).copied().unwrap_or(0);
    let (mut found, mut count) = ([0_u16; OBSERVABLES_MAX], 0);
    for (at, field) in (0..).zip(&event.fields) {
        let kind = kind(field);
        if kind > 0
            && is_one(field, kind)
            && let Some(slot) = found.get_mut(count)
        {
            *slot = at;
            count += 1;
        }
    }
    let mut index = 0;
    for at in found.iter().take(count) {
        let Some(field) = event.fields.get(usize::from(*at)) else { return };
        let (path, kind, value) = (field.attribute.path(), kind(field), field.value.clone());
        event.fields.extend(observable(index, path, kind, value));
        index += 1;
    }
    for at in 0..event.unmapped.len() {
        let Some((key, Value::Text(source))) = event.unmapped.get(at) else { continue };
        let Some((_, path)) = UNMAPPED.iter().find(|(name, _)| name == key) else { continue };
        if super::endpoint::ip(source).is_some() {
            let value = Value::Text(source.clone());
            event.fields.extend(observable(index, path, IP, value));
            index += 1;
        }
    }
}

/// The fields of one.
fn observable<'a>(index: u16, path: &'static str, kind: u8, value: Value<'a>) -> [Field<'a>; 3] {
    [
        Field { attribute: Attribute::ObservablesName, index, value: path.into() },
        Field { attribute: Attribute::ObservablesTypeId, index, value: i64::from(kind).into() },
        Field { attribute: Attribute::ObservablesValue, index, value },
    ]
}
