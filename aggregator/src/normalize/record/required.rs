//! What OCSF 1.8.0 requires of objects and classes: what lacks it goes to `unmapped`.
//!
//! Invariant: behind [`enforce`] the event's own objects have their required parts, and its class too.

use super::takes::{OTHER, word};
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// An object that needs something: one of each group.
struct Object {
    /// What the paths of its parts begin with.
    prefix: &'static str,
    needs: &'static [&'static [Attribute]],
}

const fn object(prefix: &'static str, needs: &'static [&'static [Attribute]]) -> Object {
    Object { prefix, needs }
}

/// Objects, those inside others before these.
static OBJECTS: [Object; 39] = [
    object("actor.process.file.", &[&[Attribute::ActorProcessFileName], &[Attribute::ActorProcessFileTypeId]]),
    object("actor.process.", &[&[Attribute::ActorProcessPid, Attribute::ActorProcessUid]]),
    object(
        "src_endpoint.",
        &[&[
            Attribute::SrcEndpointIp,
            Attribute::SrcEndpointHostname,
            Attribute::SrcEndpointDomain,
            Attribute::SrcEndpointUid,
            Attribute::SrcEndpointInterfaceName,
        ]],
    ),
    object(
        "dst_endpoint.",
        &[&[
            Attribute::DstEndpointIp,
            Attribute::DstEndpointHostname,
            Attribute::DstEndpointDomain,
            Attribute::DstEndpointInterfaceName,
        ]],
    ),
    object("connection_info.", &[&[Attribute::ConnectionDirectionId]]),
    object("http_request.url.", &[&[Attribute::HttpRequestUrlString, Attribute::HttpRequestUrlPath]]),
    object("http_request.", &[]),
    object("http_response.", &[&[Attribute::HttpResponseCode]]),
    object("tls.ja3_hash.", &[&[Attribute::TlsJa3AlgorithmId], &[Attribute::TlsJa3Value]]),
    object("tls.ja3s_hash.", &[&[Attribute::TlsJa3sAlgorithmId], &[Attribute::TlsJa3sValue]]),
    object("tls.certificate.", &[&[Attribute::TlsCertificateIssuer], &[Attribute::TlsCertificateSerialNumber]]),
    object("tls.", &[&[Attribute::TlsVersion]]),
    object("query.", &[&[Attribute::QueryHostname]]),
    object(
        "client_hassh.",
        &[&[Attribute::ClientHasshFingerprintAlgorithmId], &[Attribute::ClientHasshFingerprintValue]],
    ),
    object(
        "server_hassh.",
        &[&[Attribute::ServerHasshFingerprintAlgorithmId], &[Attribute::ServerHasshFingerprintValue]],
    ),
    object("user.", &[&[Attribute::UserName, Attribute::UserUid]]),
    object("group.", &[&[Attribute::GroupName, Attribute::GroupUid]]),
    object("process.file.", &[&[Attribute::ProcessFileName], &[Attribute::ProcessFileTypeId]]),
    object("process.user.", &[&[Attribute::ProcessUserUid, Attribute::ProcessUserName]]),
    object("process.parent_process.", &[&[Attribute::ProcessParentPid]]),
    object("process.", &[&[Attribute::ProcessPid, Attribute::ProcessUid]]),
    object("job.", &[&[Attribute::JobName]]),
    object("file.", &[&[Attribute::FileName], &[Attribute::FileTypeId]]),
    object("file_result.", &[&[Attribute::FileResultName], &[Attribute::FileResultTypeId]]),
    object("driver.file.", &[&[Attribute::DriverFileName], &[Attribute::DriverFileTypeId]]),
    object("app.", &[&[Attribute::AppName, Attribute::AppUid]]),
    object(
        "finding_info.analytic.",
        &[&[Attribute::FindingAnalyticTypeId], &[Attribute::FindingAnalyticName, Attribute::FindingAnalyticUid]],
    ),
    object("finding_info.", &[&[Attribute::FindingUid]]),
    object(
        "sbom.",
        &[&[Attribute::SbomPackageName], &[Attribute::SbomPackageVersion], &[Attribute::SbomComponentName]],
    ),
    object(
        "query_evidence.process.file.",
        &[&[Attribute::EvidenceProcessFileName], &[Attribute::EvidenceProcessFileTypeId]],
    ),
    object("query_evidence.process.parent_process.", &[&[Attribute::EvidenceProcessParentPid]]),
    object("query_evidence.process.", &[&[Attribute::EvidenceProcessPid, Attribute::EvidenceProcessUid]]),
    object("query_evidence.connection_info.", &[&[Attribute::EvidenceConnectionDirectionId]]),
    object("query_evidence.file.", &[&[Attribute::EvidenceFileName], &[Attribute::EvidenceFileTypeId]]),
    object("query_evidence.folder.", &[&[Attribute::EvidenceFolderName], &[Attribute::EvidenceFolderTypeId]]),
    object("query_evidence.job.", &[&[Attribute::EvidenceJobName]]),
    object(
        "query_evidence.module.file.",
        &[&[Attribute::EvidenceModuleFileName], &[Attribute::EvidenceModuleFileTypeId]],
    ),
    object("query_evidence.module.", &[&[Attribute::EvidenceModuleLoadTypeId]]),
    object("query_evidence.", &[&[Attribute::EvidenceQueryTypeId]]),
];

/// What the paths of an object's parts begin with, as its bit in the masks of this file.
const fn bit(prefix: &str) -> u64 {
    let mut number = 0;
    let mut objects = OBJECTS.as_slice();
    while let [object, rest @ ..] = objects {
        if object.prefix.len() == prefix.len() && begins(prefix.as_bytes(), object.prefix.as_bytes()) {
            return 1 << number;
        }
        number += 1;
        objects = rest;
    }
    assert!(number < OBJECTS.len(), "the table has such an object");
    0
}

const SOURCE: u64 = bit("src_endpoint.");
const DESTINATION: u64 = bit("dst_endpoint.");
const REQUEST: u64 = bit("http_request.");
const RESPONSE: u64 = bit("http_response.");
const CONNECTION: u64 = bit("connection_info.");
const USER: u64 = bit("user.");
const GROUP: u64 = bit("group.");
const JOB: u64 = bit("job.");
const PROCESS: u64 = bit("process.");
const FILE: u64 = bit("file.");
const DRIVER: u64 = bit("driver.file.");
const APP: u64 = bit("app.");
const FINDING: u64 = bit("finding_info.");

const fn begins(text: &[u8], prefix: &[u8]) -> bool {
    match (text, prefix) {
        (_, []) => true,
        ([a, text @ ..], [b, prefix @ ..]) => *a == *b && begins(text, prefix),
        _ => false,
    }
}

/// What an attribute is to [`OBJECTS`], a bit each.
#[derive(Clone, Copy)]
struct Part {
    /// Those that it is part of.
    objects: u64,
    /// The needs that it meets, in the order of the table.
    needs: u64,
}

const fn holds(attributes: &[Attribute], attribute: Attribute) -> bool {
    match attributes {
        [] => false,
        [first, rest @ ..] => *first as usize == attribute as usize || holds(rest, attribute),
    }
}

/// [`Part`] of every attribute, by its number: it is asked for each field of each event.
static PARTS: [Part; Attribute::ALL.len()] = {
    let mut parts = [Part { objects: 0, needs: 0 }; Attribute::ALL.len()];
    let (mut attributes, mut slots) = (Attribute::ALL, parts.as_mut_slice());
    while let ([attribute, rest @ ..], [slot, more @ ..]) = (attributes, slots) {
        let (mut objects, mut number, mut need) = (OBJECTS.as_slice(), 0, 0);
        while let [object, others @ ..] = objects {
            if begins(attribute.path().as_bytes(), object.prefix.as_bytes()) {
                slot.objects |= 1 << number;
            }
            let mut needs = object.needs;
            while let [any, rest @ ..] = needs {
                if holds(any, *attribute) {
                    slot.needs |= 1 << need;
                }
                (needs, need) = (rest, need + 1);
            }
            (objects, number) = (others, number + 1);
        }
        (attributes, slots) = (rest, more);
    }
    parts
};

/// What each of [`OBJECTS`] needs: bits as in [`Part::needs`].
static NEEDS: [u64; OBJECTS.len()] = {
    let mut needs = [0; OBJECTS.len()];
    let (mut objects, mut slots, mut need) = (OBJECTS.as_slice(), needs.as_mut_slice(), 0);
    while let ([object, others @ ..], [slot, more @ ..]) = (objects, slots) {
        let mut left = object.needs;
        while let [_, rest @ ..] = left {
            *slot |= 1 << need;
            (left, need) = (rest, need + 1);
        }
        (objects, slots) = (others, more);
    }
    assert!(need <= 64, "a bit for each need");
    needs
};

fn part(attribute: Attribute) -> Part {
    PARTS.get(attribute as usize).copied().unwrap_or(Part { objects: 0, needs: 0 })
}

/// What an event has of its own. Nothing that events share is asked for here, but the version of the host's system.
#[derive(Clone, Copy)]
struct Present {
    objects: u64,
    needs: u64,
}

impl Present {
    fn of(event: &Event<'_>) -> Self {
        let mut present = Self { objects: 0, needs: 0 };
        for field in &event.fields {
            let Part { objects, needs } = part(field.attribute);
            present.objects |= objects;
            present.needs |= needs;
        }
        present
    }

    /// Whether it has a part of one of these objects.
    fn any(self, objects: u64) -> bool {
        self.objects & objects != 0
    }
}

/// Whether an event has such a field of its own.
fn has(event: &Event<'_>, attribute: Attribute) -> bool {
    event.fields.iter().any(|field| field.attribute == attribute)
}

/// Takes away what lacks a required part, and adds the parts that follow from others.
pub(in super::super) fn enforce(event: &mut Event<'_>) {
    words(event);
    complete(event);
    settle(event);
}

/// Takes away what lacks a required part: of a line that says less than its kind does, and of a record.
pub(in super::super) fn settle(event: &mut Event<'_>) {
    let present = objects(event);
    let ends = present.any(SOURCE | DESTINATION);
    let is_whole = match event.class {
        Class::HttpActivity => present.any(REQUEST | RESPONSE),
        Class::NtpActivity => ends && has(event, Attribute::NtpVersion),
        Class::NetworkActivity | Class::DnsActivity | Class::DhcpActivity | Class::SshActivity => ends,
        Class::AccountChange | Class::UserInventory => present.any(USER),
        Class::Authentication => present.any(USER) && (has(event, Attribute::ServiceName) || present.any(DESTINATION)),
        Class::GroupManagement => present.any(GROUP),
        Class::ScheduledJobActivity => present.any(JOB),
        Class::ProcessActivity => present.any(PROCESS),
        Class::FileActivity => present.any(FILE),
        Class::KernelExtensionActivity => present.any(DRIVER),
        Class::ApplicationLifecycle => present.any(APP),
        Class::DetectionFinding => present.any(FINDING),
        Class::PatchState => event.value(Attribute::DeviceOsVersion).is_some(),
        Class::EvidenceInfo => has(event, Attribute::QueryResultId) && evidence(event) == 1,
        _ => true,
    };
    if !is_whole {
        event.unmap("class_uid", event.class.uid());
        if event.activity_id != 0 {
            event.unmap("activity_id", i64::from(event.activity_id));
        }
        if !has(event, Attribute::Message) {
            event.push(Attribute::Message, format!("a record of {} without what it requires", event.class.name()));
        }
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        strip(event, |attribute| !Class::BaseEvent.carries(attribute));
        // An object may have lost the part that it needs.
        objects(event);
    }
}

/// How many things an answer is about: OCSF takes one.
fn evidence(event: &Event<'_>) -> usize {
    const THINGS: [&str; 10] =
        ["connection_info", "file", "folder", "group", "job", "module", "process", "service", "session", "user"];
    let is_part = |path: &str, thing: &str| {
        let rest = path.strip_prefix("query_evidence.").and_then(|rest| rest.strip_prefix(thing));
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let is_about = |thing: &str| event.fields.iter().any(|field| is_part(field.attribute.path(), thing));
    THINGS.into_iter().filter(|thing| is_about(thing)).count()
}

/// Takes away objects that lack a part; gives what is left.
fn objects(event: &mut Event<'_>) -> Present {
    let mut present = Present::of(event);
    let mut rest = present.objects;
    // Objects inside others come first: what is taken away may be the part that those around them need.
    while rest != 0 {
        let number = rest.trailing_zeros();
        rest &= rest - 1;
        let Some(needs) = usize::try_from(number).ok().and_then(|number| NEEDS.get(number)) else { break };
        if needs & !present.needs != 0 {
            strip(event, |attribute| part(attribute).objects >> number & 1 == 1);
            present = Present::of(event);
            rest &= present.objects;
        }
    }
    present
}

/// A number that says "other" needs the word for it.
fn words(event: &mut Event<'_>) {
    let is_other = |value: &Value<'_>| *value == Value::Int(OTHER);
    let wordless = |event: &Event<'_>| {
        let others =
            event.fields.iter().filter(|field| is_other(&field.value) && !field.attribute.path().contains("[]"));
        let mut words = others.filter_map(|field| Some((field.attribute, word(field.attribute)?)));
        words.find(|(_, word)| event.value(*word).is_none()).map(|(id, _)| id)
    };
    while let Some(id) = wordless(event) {
        strip(event, |attribute| attribute == id);
    }
}

/// Adds what follows from what is there.
fn complete(event: &mut Event<'_>) {
    let present = Present::of(event);
    if present.any(CONNECTION) && !has(event, Attribute::ConnectionDirectionId) {
        event.push(Attribute::ConnectionDirectionId, 0);
    }
    if let Some(Value::Text(path)) = event.value(Attribute::ActorProcessFilePath) {
        const EXECUTABLE: i64 = 8;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(name) = name.filter(|_| !has(event, Attribute::ActorProcessFileName)) {
            event.push(Attribute::ActorProcessFileName, name);
        }
        if !has(event, Attribute::ActorProcessFileTypeId) {
            event.push(Attribute::ActorProcessFileTypeId, EXECUTABLE);
        }
    }
}

/// Moves own fields to `unmapped`, under their paths.
fn strip(event: &mut Event<'_>, mut goes: impl FnMut(Attribute) -> bool) {
    let fields = std::mem::take(&mut event.fields);
    for field in fields {
        if goes(field.attribute) {
            event.unmapped.push((field.key(), field.value));
        } else {
            event.fields.push(field);
        }
    }
}
