//! Observables: what an analyst searches for across classes.
//!
//! They repeat what other fields say, so an event does not hold them: whoever shows all that it says asks for [`of`] or
//! [`fields`], and a field that a rule has changed or taken out is changed or missing here too.
//!
//! Ports are left out on purpose: as text each would cost an allocation, and a port alone leads nowhere.

use std::borrow::Cow;
use std::net::IpAddr;

use super::{Event, Field, Value};
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

/// The attributes of which an observable consists.
pub const PARTS: [Attribute; 3] =
    [Attribute::ObservablesName, Attribute::ObservablesTypeId, Attribute::ObservablesValue];

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observable<'e> {
    /// The path of the attribute that says it.
    pub name: &'static str,
    /// `observable.type_id`.
    pub type_id: u8,
    /// What it says.
    pub value: &'e str,
}

/// The observables of an event that [is observed](Event::is_observed): one for every field of its own that is one, and for
/// addresses in `unmapped`. The host's own name is none: it stands in `device` already.
pub fn of<'e>(event: &'e Event<'_>) -> impl Iterator<Item = Observable<'e>> {
    let (fields, unmapped): (&[Field<'_>], &[_]) =
        if event.is_observed { (&event.fields, &event.unmapped) } else { (&[], &[]) };
    let fields = fields.iter().filter_map(|field| {
        let type_id = KINDS.get(field.attribute as usize).copied().filter(|kind| *kind > 0)?;
        let Value::Text(text) = &field.value else { return None };
        let is_none = text.is_empty()
            || (type_id == HOSTNAME && event.text(Attribute::DeviceHostname) == Some(text))
            || (field.attribute == Attribute::AnswersRdata && !is_address(text));
        (!is_none).then(|| Observable { name: field.attribute.path(), type_id, value: text })
    });
    let unmapped = unmapped.iter().filter_map(|(key, value): &'e (Cow<'_, str>, Value<'_>)| {
        let (_, name) = UNMAPPED.iter().find(|(name, _)| name == key)?;
        let Value::Text(text) = value else { return None };
        is_address(text).then_some(Observable { name, type_id: IP, value: text })
    });
    fields.chain(unmapped).take(OBSERVABLES_MAX)
}

/// The fields that tell them.
pub fn fields<'e>(event: &'e Event<'_>) -> impl Iterator<Item = Field<'e>> {
    let [name, type_id, value] = PARTS;
    (0..).zip(of(event)).flat_map(move |(index, observable)| {
        [
            Field { attribute: name, index, value: observable.name.into() },
            Field { attribute: type_id, index, value: i64::from(observable.type_id).into() },
            Field { attribute: value, index, value: observable.value.into() },
        ]
    })
}

/// Whether a text is an address; of IPv6 with or without a zone.
fn is_address(text: &str) -> bool {
    text.split_once('%').map_or(text, |(address, _)| address).parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use shared::identity::{AgentId, ChainId, Epoch, EventId, Lane};
    use shared::time::Timestamp;

    use super::*;

    fn event<'a>() -> Event<'a> {
        let chain = ChainId { agent: AgentId::default(), lane: Lane::High, epoch: Epoch(1) };
        Event::new(EventId { chain, record: 1, part: 0 }, Timestamp(0), Timestamp(0))
    }

    #[test]
    fn fields_and_addresses_without_a_place_are_told_and_the_host_itself_is_not() {
        let shared = [Field { attribute: Attribute::DeviceHostname, index: 0, value: "web-1".into() }];
        let mut event = event();
        event.shared = &shared;
        event.push(Attribute::SrcEndpointIp, "192.0.2.7");
        event.push(Attribute::SrcEndpointHostname, "web-1");
        event.push(Attribute::DstEndpointHostname, "db-1");
        event.push(Attribute::UserName, "");
        event.push_at(Attribute::AnswersRdata, 0, "mx.example.net");
        event.push_at(Attribute::AnswersRdata, 1, "2001:db8::1");
        event.unmap("src_ip", "fe80::1%eth0");
        event.unmap("dst_endpoint.ip", "nobody");
        assert_eq!(of(&event).count(), 0);
        event.is_observed = true;
        let said = |name, type_id, value| Observable { name, type_id, value };
        let expected = [
            said("src_endpoint.ip", 2, "192.0.2.7"),
            said("dst_endpoint.hostname", 1, "db-1"),
            said("answers[].rdata", 2, "2001:db8::1"),
            said("unmapped.src_ip", 2, "fe80::1%eth0"),
        ];
        assert_eq!(of(&event).collect::<Vec<_>>(), expected);
        let told: Vec<_> = fields(&event).skip(9).map(|field| (field.attribute, field.index, field.value)).collect();
        let [name, type_id, value] = PARTS;
        let last = [(name, 3, "unmapped.src_ip".into()), (type_id, 3, 2.into()), (value, 3, "fe80::1%eth0".into())];
        assert_eq!(told, last);
    }

    #[test]
    fn there_is_a_most() {
        let mut event = event();
        event.is_observed = true;
        for index in 0..1000 {
            event.push_at(Attribute::AnswersRdata, index, "192.0.2.7");
        }
        assert_eq!(of(&event).count(), OBSERVABLES_MAX);
    }
}
