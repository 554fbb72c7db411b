//! Observables: what an analyst searches for across classes, gathered once from the event's fields.
//!
//! Ports are left out on purpose: as text each would cost an allocation, and a port alone leads nowhere.

use super::Origin;
use crate::event::{Event, Value};
use crate::schema::Attribute;

/// `observable.type_id` of an address.
const IP: u8 = 2;

/// `observable.type_id` of an attribute that others may ask for.
const fn kind(attribute: Attribute) -> Option<u8> {
    Some(match attribute {
        Attribute::SrcEndpointHostname | Attribute::DstEndpointHostname | Attribute::HttpRequestUrlHostname => 1,
        Attribute::SrcEndpointIp | Attribute::DstEndpointIp => IP,
        Attribute::UserName | Attribute::ActorUserName | Attribute::ProcessUserName | Attribute::JobUserName => 4,
        Attribute::HttpRequestUrlString => 6,
        Attribute::ProcessName => 9,
        Attribute::ProcessCmdLine | Attribute::JobCmdLine => 13,
        Attribute::HttpRequestUserAgent => 16,
        Attribute::ProcessFilePath => 45,
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
        if text.is_empty() || (kind == 1 && **text == *origin.hostname) {
            continue;
        }
        let (path, value) = (field.attribute.path(), field.value.clone());
        event.push_at(Attribute::ObservablesName, index, path);
        event.push_at(Attribute::ObservablesTypeId, index, i64::from(kind));
        event.push_at(Attribute::ObservablesValue, index, value);
        index += 1;
    }
    let source = event.unmapped.iter().find(|(key, _)| key == "src_ip").map(|(_, value)| value.clone());
    if let Some(source) = source {
        event.push_at(Attribute::ObservablesName, index, "unmapped.src_ip");
        event.push_at(Attribute::ObservablesTypeId, index, i64::from(IP));
        event.push_at(Attribute::ObservablesValue, index, source);
    }
}
