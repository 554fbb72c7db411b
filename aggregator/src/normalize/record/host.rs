//! What a record of host state or of file integrity says besides its own words: names of files, who did it, a line for
//! people.

use std::fmt::Write as _;

use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

/// What OCSF knows only with its profile `container`.
const OF_CONTAINERS: [Attribute; 2] = [Attribute::ProcessContainerUid, Attribute::EvidenceProcessContainerUid];

/// The program that says what it saw, where nobody knows who did it.
const AGENT: &str = "picket-agent";

/// `file.type_id` 1: a regular file.
const REGULAR_FILE: i64 = 1;

/// Paths of files with the name and type that OCSF requires beside each.
const FILES: [[Attribute; 3]; 5] = [
    [Attribute::ProcessFilePath, Attribute::ProcessFileName, Attribute::ProcessFileTypeId],
    [Attribute::FilePath, Attribute::FileName, Attribute::FileTypeId],
    [Attribute::FileResultPath, Attribute::FileResultName, Attribute::FileResultTypeId],
    [Attribute::EvidenceFilePath, Attribute::EvidenceFileName, Attribute::EvidenceFileTypeId],
    [Attribute::EvidenceProcessFilePath, Attribute::EvidenceProcessFileName, Attribute::EvidenceProcessFileTypeId],
];

/// Adds what follows from what is there: names of files, and who acted, which classes of category 1 require.
pub(super) fn complete(event: &mut Event<'_>) {
    for [path, name, kind] in FILES {
        let Some(Value::Text(text)) = event.value(path) else { continue };
        let last = text.rsplit('/').next().unwrap_or_default().to_owned();
        if event.value(name).is_none() && !last.is_empty() {
            event.push(name, last);
        }
        if event.value(kind).is_none() {
            event.push(kind, REGULAR_FILE);
        }
    }
    if event.class == Class::ProcessActivity && event.value(Attribute::ActorProcessPid).is_none() {
        let parts = [
            (Attribute::ProcessParentPid, Attribute::ActorProcessPid),
            (Attribute::ProcessParentName, Attribute::ActorProcessName),
        ];
        let is_free = parts.iter().all(|(_, to)| event.value(*to).is_none());
        if is_free && event.value(Attribute::ProcessParentPid).is_some() {
            for (from, to) in parts {
                if let Some(value) = event.value(from).cloned() {
                    event.push(to, value);
                }
            }
        }
    }
    let has_container = OF_CONTAINERS.iter().any(|uid| event.value(*uid).is_some());
    let declared = |event: &Event<'_>| {
        let mut fields = event.shared.iter().chain(&event.fields);
        fields.any(|field| field.attribute == Attribute::MetadataProfiles && field.value == Value::from("container"))
    };
    if has_container && !declared(event) {
        event.profile("container");
    }
    let acts = matches!(event.class, Class::FileActivity | Class::KernelExtensionActivity | Class::ProcessActivity);
    if acts && event.value(Attribute::ActorAppName).is_none() {
        event.push(Attribute::ActorAppName, AGENT);
    }
}

/// What happened, in a word; of a state nothing did.
fn verb(class: Class, activity: u8) -> &'static str {
    match (class, activity) {
        (Class::FileActivity, 1) | (Class::AccountChange, 1) | (Class::ScheduledJobActivity, 1) => "created",
        (Class::GroupManagement, 6) => "created",
        (Class::FileActivity, 3) | (Class::ScheduledJobActivity, 2) | (Class::ApplicationLifecycle, 8) => "changed",
        (Class::FileActivity, 4) | (Class::AccountChange, 6) | (Class::ScheduledJobActivity, 3) => "deleted",
        (Class::GroupManagement, 5) => "deleted",
        (Class::FileActivity, 5) => "renamed",
        (Class::FileActivity, 6) => "has other attributes",
        (Class::FileActivity, 7) => "has other permissions or another owner",
        (Class::FileActivity, 12) => "mounted",
        (Class::FileActivity, 13) => "unmounted",
        (Class::KernelExtensionActivity, 1) => "loaded",
        (Class::KernelExtensionActivity, 2) => "unloaded",
        (Class::ProcessActivity, 1) | (Class::ApplicationLifecycle, 3) | (Class::ScheduledJobActivity, 6) => "started",
        (Class::ApplicationLifecycle, 6) => "enabled",
        (Class::ProcessActivity, 2) => "ended",
        (Class::AccountChange, 3 | 4) => "has another password",
        (Class::AccountChange, 9) => "locked",
        (Class::AccountChange, 12) => "unlocked",
        (Class::GroupManagement, 3) => "has a new member",
        (Class::GroupManagement, 4) => "lost a member",
        (Class::ApplicationLifecycle, 1) => "installed",
        (Class::ApplicationLifecycle, 2) => "removed",
        (Class::ApplicationLifecycle, 7) => "disabled",
        (Class::Authentication, 1) => "logged on",
        (Class::Authentication, 2) => "logged off",
        _ => "",
    }
}

/// What the record is about, the first that it names.
const ABOUT: [(&str, &[Attribute]); 16] = [
    ("file", &[Attribute::FilePath, Attribute::FileName]),
    ("module", &[Attribute::DriverFileName]),
    ("process", &[Attribute::ProcessCmdLine, Attribute::ProcessName, Attribute::ProcessFilePath]),
    ("job", &[Attribute::JobCmdLine, Attribute::JobName]),
    ("software", &[Attribute::AppName, Attribute::AppUid]),
    ("group", &[Attribute::GroupName, Attribute::GroupUid]),
    ("user", &[Attribute::UserName, Attribute::UserUid]),
    ("software of", &[Attribute::SbomPackageName]),
    ("process", &[Attribute::EvidenceProcessCmdLine, Attribute::EvidenceProcessName]),
    ("file", &[Attribute::EvidenceFilePath, Attribute::EvidenceFolderPath]),
    ("job", &[Attribute::EvidenceJobCmdLine, Attribute::EvidenceJobName]),
    ("service", &[Attribute::EvidenceServiceName]),
    ("module", &[Attribute::EvidenceModuleFileName]),
    ("session", &[Attribute::EvidenceSessionTerminal, Attribute::EvidenceSessionUid]),
    ("group", &[Attribute::EvidenceGroupName]),
    ("socket", &[Attribute::EvidenceConnectionProtocolName]),
];

/// Where a socket is bound and what it is connected to: OCSF's answers have no place for its ends.
fn ends(event: &Event<'_>, line: &mut String) {
    let said = |name: &str| event.unmapped.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    for (before, ip, port) in
        [(" ", "src_endpoint.ip", "src_endpoint.port"), (" -> ", "dst_endpoint.ip", "dst_endpoint.port")]
    {
        if let (Some(Value::Text(ip)), Some(Value::Int(port))) = (said(ip), said(port)) {
            let _ = match ip.contains(':') {
                true => write!(line, "{before}[{}]:{port}", super::message::clipped(ip)),
                false => write!(line, "{before}{}:{port}", super::message::clipped(ip)),
            };
        }
    }
}

/// Says how it ended where that is known, and writes the line for people.
pub(super) fn describe(event: &mut Event<'_>) {
    if event.value(Attribute::Message).is_some() {
        return;
    }
    let mut line = String::with_capacity(96);
    let about = ABOUT.iter().find_map(|(what, names)| {
        let name = names.iter().find_map(|name| event.text(*name).filter(|text| !text.is_empty()))?;
        Some((*what, name))
    });
    match about {
        Some((what, name)) => _ = write!(line, "{what} {}", super::message::clipped(name)),
        None => line.push_str(event.class.name()),
    }
    if event.value(Attribute::EvidenceConnectionProtocolName).is_some() {
        ends(event, &mut line);
    }
    let verb = verb(event.class, event.activity_id);
    let verb = if event.activity_id == 99 { event.text(Attribute::ActivityName).unwrap_or(verb) } else { verb };
    if !verb.is_empty() {
        let _ = write!(line, " {verb}");
    }
    if let (5, Some(to)) = (event.activity_id, event.text(Attribute::FileResultPath)) {
        let _ = write!(line, " to {}", super::message::clipped(to));
    }
    event.push(Attribute::Message, line);
}
