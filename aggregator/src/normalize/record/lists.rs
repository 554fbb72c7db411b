//! Lists of records, to the lists of an event.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use shared::record::Value as Recorded;

use super::place::{fitting, plain, write_json};
use super::takes::{OTHER, word};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// Lists that only the aggregator makes.
const OWN: [&str; 2] = ["metadata.profiles", "observables"];

/// One list of an event.
pub(super) struct List {
    /// Its attributes with their names in an element; the name is empty in a list of plain values.
    members: Vec<(&'static str, Attribute)>,
}

/// Lists by their path.
static LISTS: LazyLock<HashMap<&'static str, List, ahash::RandomState>> = LazyLock::new(|| {
    let mut lists: HashMap<&'static str, List, ahash::RandomState> = HashMap::default();
    for attribute in Attribute::ALL {
        let Some((list, name)) = attribute.path().split_once("[]") else { continue };
        if !OWN.contains(&list) {
            let list = lists.entry(list).or_insert(List { members: Vec::new() });
            list.members.push((name.strip_prefix('.').unwrap_or(name), *attribute));
        }
    }
    lists
});

/// What OCSF requires of an element.
const fn needed(attribute: Attribute) -> bool {
    matches!(
        attribute,
        Attribute::AnswersRdata
            | Attribute::AuthFactorsFactorTypeId
            | Attribute::FileHashAlgorithmId
            | Attribute::FileHashValue
            | Attribute::FileResultHashAlgorithmId
            | Attribute::FileResultHashValue
            | Attribute::ProcessFileHashAlgorithmId
            | Attribute::ProcessFileHashValue
            | Attribute::EvidenceProcessFileHashAlgorithmId
            | Attribute::EvidenceProcessFileHashValue
            | Attribute::SbomComponentName
            | Attribute::SbomComponentVersion
            | Attribute::DeviceInterfaceName
            | Attribute::Ja4TypeId
            | Attribute::Ja4Value
            | Attribute::TlsExtensionTypeId
            | Attribute::TlsCertificateFingerprintAlgorithmId
            | Attribute::TlsCertificateFingerprintValue
            | Attribute::TlsCertificateSanName
            | Attribute::TlsCertificateSanType
    )
}

/// Values of elements that have no attribute: by their name, with the number of the element.
type Left<'a> = BTreeMap<&'a str, Vec<(u16, &'a Recorded)>>;

impl List {
    /// The list with this path.
    pub(super) fn named(path: &str) -> Option<&'static Self> {
        LISTS.get(path)
    }

    /// Whether events of the class have it.
    pub(super) fn stands_in(&self, class: Class) -> bool {
        self.attributes().all(|attribute| class.carries(attribute))
    }

    /// Its attributes.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute> {
        self.members.iter().map(|(_, attribute)| *attribute)
    }

    fn member(&self, name: &str) -> Option<Attribute> {
        self.members.iter().find(|(known, _)| *known == name).map(|(_, attribute)| *attribute)
    }

    /// Puts the elements into the event; what cannot stand there into `unmapped`.
    pub(super) fn place<'a>(&self, key: &'a str, elements: &'a [Recorded], event: &mut Event<'a>) {
        let (mut index, mut left) = (0, Left::new());
        for (number, element) in elements.iter().enumerate() {
            let placed = index < u16::MAX && self.element(element, index, event, &mut left);
            if placed {
                index += 1;
            } else if let Some(value) = plain(element) {
                event.unmap(format!("{key}[{number}]"), value);
            }
        }
        for (name, values) in left {
            let mut json = String::from("[");
            let mut next = 0;
            for (at, value) in values {
                if at < next {
                    // A name said twice in one element.
                    if let Some(value) = plain(value) {
                        event.unmap(format!("{key}[{at}].{name}"), value);
                    }
                    continue;
                }
                for missing in next..=at {
                    json.push_str(if missing > 0 { "," } else { "" });
                    json.push_str(if missing < at { "null" } else { "" });
                }
                write_json(value, &mut json);
                next = at + 1;
            }
            json.push(']');
            event.unmap(format!("{key}[].{name}"), json);
        }
    }

    /// One element; `false`, and nothing of it is there, where it lacks what it needs.
    fn element<'a>(&self, element: &'a Recorded, index: u16, event: &mut Event<'a>, left: &mut Left<'a>) -> bool {
        if let Some(attribute) = self.member("") {
            return fitting(attribute, element).map(|value| event.push_at(attribute, index, value)).is_some();
        }
        let Recorded::Map(entries) = element else { return false };
        let before = event.fields.len();
        let mut strays = Vec::new();
        for (name, value) in entries {
            let member = self.member(name).filter(|member| !has(event, before, *member));
            match member.and_then(|member| Some((member, fitting(member, value)?))) {
                Some((member, value)) => event.push_at(member, index, value),
                None => strays.push((name.as_str(), value)),
            }
        }
        let complete = self.attributes().all(|attribute| !needed(attribute) || has(event, before, attribute));
        let other = |attribute| match word(attribute) {
            Some(word) => !is_other(event, before, attribute) || has(event, before, word),
            None => true,
        };
        if event.fields.len() == before || !complete || !self.attributes().all(other) {
            event.fields.truncate(before);
            return false;
        }
        for (name, value) in strays {
            left.entry(name).or_default().push((index, value));
        }
        true
    }
}

fn has(event: &Event<'_>, from: usize, attribute: Attribute) -> bool {
    event.fields.iter().skip(from).any(|field| field.attribute == attribute)
}

fn is_other(event: &Event<'_>, from: usize, attribute: Attribute) -> bool {
    let mut fields = event.fields.iter().skip(from);
    fields.any(|field| field.attribute == attribute && field.value == Value::Int(OTHER))
}
