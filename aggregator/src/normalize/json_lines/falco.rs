//! Falco: a rule that matched a system call, a Kubernetes audit event or a plugin's event (2004).
//!
//! In: fields `rule`, `priority`, `output` and `output_fields`. Out: a finding with the process, user, file, ends and
//! container that the rule's output names, and the techniques and tactics of MITRE ATT&CK that its tags do. Source: Falco, `formats.cpp`; its text output is the same without fields.

use std::borrow::Cow;

use super::super::Context;
use super::super::endpoint::ip;
use super::super::fields::Fields;
use super::super::text::{base_name, port};
use super::{attacks, push_evidence_file};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is an alert.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("rule") && fields.has("priority") && (fields.has("output_fields") || fields.has("output"))
}

/// `severity_id` of a priority.
pub(in super::super) fn severity(priority: &str) -> u8 {
    match priority.to_ascii_lowercase().as_str() {
        "emergency" => 6,
        "alert" | "critical" => 5,
        "error" => 4,
        "warning" => 3,
        "notice" => 2,
        _ => 1,
    }
}

/// An address and a port.
type End<'a> = (&'a str, i64);

/// Both ends of a connection as `fd.name` shows it: `192.0.2.1:40000->198.51.100.2:22`, also of IPv6.
pub(in super::super) fn ends(name: &str) -> Option<(End<'_>, End<'_>)> {
    let end = |text| {
        let (address, number) = str::rsplit_once(text, ':')?;
        Some((ip(address)?, port(number)?))
    };
    let (from, to) = name.split_once("->")?;
    end(from).zip(end(to))
}

/// Sets both ends of a connection.
pub(in super::super) fn push_ends((from, to): (End<'_>, End<'_>), event: &mut Event<'_>) {
    event.push(Attribute::EvidencesSrcEndpointIp, from.0.to_owned());
    event.push(Attribute::EvidencesSrcEndpointPort, from.1);
    event.push(Attribute::EvidencesDstEndpointIp, to.0.to_owned());
    event.push(Attribute::EvidencesDstEndpointPort, to.1);
}

/// What an alert says of a process and of the one that began it.
#[derive(Default)]
pub(in super::super) struct Process<'a> {
    pub(in super::super) name: Option<Cow<'a, str>>,
    pub(in super::super) command: Option<Cow<'a, str>>,
    pub(in super::super) path: Option<Cow<'a, str>>,
    pub(in super::super) pid: Option<i64>,
    pub(in super::super) parent: Option<Cow<'a, str>>,
    pub(in super::super) parent_command: Option<Cow<'a, str>>,
    pub(in super::super) parent_pid: Option<i64>,
}

/// Sets the process of a finding's evidence, and says whether there is one. The event's own id stands in for a number that
/// the rule does not show: OCSF has no process without either.
pub(in super::super) fn push_process<'a>(process: Process<'a>, event: &mut Event<'a>) -> bool {
    let known = |text: Option<Cow<'a, str>>| text.filter(|text| !matches!(&**text, "" | "<NA>"));
    let (name, command, path) = (known(process.name), known(process.command), known(process.path));
    let path = path.filter(|path| path.starts_with('/'));
    if name.is_none() && command.is_none() && path.is_none() {
        return false;
    }
    let whole = |pid: Option<i64>| pid.filter(|pid| i32::try_from(*pid).is_ok());
    match whole(process.pid) {
        Some(pid) => event.push(Attribute::EvidencesProcessPid, pid),
        None => event.push(Attribute::EvidencesProcessUid, event.id.to_string()),
    }
    if let Some(path) = path {
        event.push(Attribute::EvidencesProcessFileName, base_name(&path).to_owned());
        event.push(Attribute::EvidencesProcessFilePath, path);
        event.push(Attribute::EvidencesProcessFileTypeId, 1);
    }
    let (parent, parent_command) = (known(process.parent), known(process.parent_command));
    match whole(process.parent_pid) {
        Some(pid) => event.push(Attribute::EvidencesProcessParentPid, pid),
        None if parent.is_some() || parent_command.is_some() => {
            event.push(Attribute::EvidencesProcessParentUid, format!("{}.parent", event.id));
        }
        None => {}
    }
    for (attribute, value) in [
        (Attribute::EvidencesProcessName, name),
        (Attribute::EvidencesProcessCmdLine, command),
        (Attribute::EvidencesProcessParentName, parent),
        (Attribute::EvidencesProcessParentCmdLine, parent_command),
    ] {
        if let Some(value) = value {
            event.push(attribute, value);
        }
    }
    true
}

/// Takes the rule and what it saw.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::MetadataLogProvider, "falco");
    let _ = ["time", "output_fields.evt.time", "output_fields.evt.time.iso8601"]
        .into_iter()
        .any(|key| fields.push_time(event, key, context.reference));
    event.severity_id = fields.peek("priority").map_or(1, severity);
    fields.push(event, Attribute::MetadataLogLevel, "priority");
    if let Some(rule) = fields.text("rule") {
        let at = event.time.0;
        event.push(Attribute::FindingUid, format!("{rule}:{at}"));
        event.push(Attribute::FindingAnalyticName, rule.clone());
        event.push(Attribute::FindingAnalyticTypeId, 1);
        event.push(Attribute::FindingTitle, rule);
    }
    event.push(Attribute::IsAlert, true);
    if let Some(output) = fields.text("output") {
        event.push(Attribute::FindingDesc, output.clone());
        event.push(Attribute::Message, output);
    }
    fields.push(event, Attribute::FindingTypes, "source");
    attacks::push_tags(fields, "tags", event);
    evidence(fields, event);
}

/// Takes the process, where the rule shows one.
fn process<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let shown = ["output_fields.proc.name", "output_fields.proc.cmdline", "output_fields.proc.exepath"];
    if !shown.into_iter().any(|key| fields.peek(key).is_some()) {
        return;
    }
    let process = Process {
        name: fields.text("output_fields.proc.name"),
        command: fields.text("output_fields.proc.cmdline"),
        path: fields.text("output_fields.proc.exepath"),
        pid: fields.number("output_fields.proc.pid"),
        parent: fields.text("output_fields.proc.pname"),
        parent_command: fields.text("output_fields.proc.pcmdline"),
        parent_pid: fields.number("output_fields.proc.ppid"),
    };
    push_process(process, event);
}

fn evidence<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    fields.push_new(
        event,
        &[
            (Attribute::EvidencesUserName, "output_fields.user.name"),
            (Attribute::EvidencesUserName, "output_fields.ka.user.name"),
            (Attribute::EvidencesUserUid, "output_fields.user.uid"),
        ],
    );
    process(fields, event);
    if fields.peek("output_fields.fd.name").is_some_and(|path| path.starts_with('/')) {
        push_evidence_file(fields, "output_fields.fd.name", event);
    }
    fields.push_evidence_ends(
        event,
        [
            (&["output_fields.fd.cip", "output_fields.fd.lip"], "output_fields.fd.cport"),
            (&["output_fields.fd.sip", "output_fields.fd.rip"], "output_fields.fd.sport"),
        ],
    );
    if event.value(Attribute::EvidencesSrcEndpointIp).is_none()
        && event.value(Attribute::EvidencesDstEndpointIp).is_none()
        && let Some(ends) = fields.peek("output_fields.fd.name").and_then(ends)
    {
        push_ends(ends, event);
    }
    // A container alone is no evidence.
    let found = [
        Attribute::EvidencesUserName,
        Attribute::EvidencesUserUid,
        Attribute::EvidencesProcessPid,
        Attribute::EvidencesProcessUid,
        Attribute::EvidencesFileName,
        Attribute::EvidencesSrcEndpointIp,
        Attribute::EvidencesDstEndpointIp,
    ];
    let found = found.into_iter().any(|attribute| event.value(attribute).is_some());
    if found && fields.peek("output_fields.container.id").is_some_and(|id| id != "host" && id != "<NA>") {
        fields.push_all(
            event,
            &[
                (Attribute::EvidencesContainerUid, "output_fields.container.id"),
                (Attribute::EvidencesContainerName, "output_fields.container.name"),
                (Attribute::EvidencesContainerPodUid, "output_fields.k8s.pod.uid"),
            ],
        );
        image(fields, event);
    }
}

/// The image of the container: OCSF has none without an id. Where the rule does not show it, what it was pulled as stands in.
fn image<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let known = |fields: &Fields<'_>, key: &str| {
        fields.peek(key).filter(|text| !matches!(*text, "" | "<NA>")).map(str::to_owned)
    };
    let (repository, tag) = ("output_fields.container.image.repository", "output_fields.container.image.tag");
    let pulled = known(fields, "output_fields.container.image").or_else(|| {
        let repository = known(fields, repository)?;
        Some(known(fields, tag).map_or_else(|| repository.clone(), |tag| format!("{repository}:{tag}")))
    });
    let Some(pulled) = pulled else { return };
    if known(fields, "output_fields.container.image.id").is_none() {
        event.push(Attribute::EvidencesContainerImageUid, pulled.clone());
    } else {
        fields.push(event, Attribute::EvidencesContainerImageUid, "output_fields.container.image.id");
    }
    if known(fields, repository).is_none() {
        event.push(Attribute::EvidencesContainerImageName, pulled);
    } else {
        fields.push(event, Attribute::EvidencesContainerImageName, repository);
    }
    if known(fields, tag).is_some() {
        fields.push(event, Attribute::EvidencesContainerImageTag, tag);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn a_rule_and_its_fields_are_a_finding() {
        let event = normalized(
            r#"{"hostname":"n1","output":"09:00:00.5: Notice A shell (user=root)","output_fields":{"container.id":"ab12","container.name":"web","container.image.repository":"r/nginx","container.image.tag":"1.2","user.uid":0,"evt.time":1773651600500000000,"proc.cmdline":"sh -c id","proc.name":"sh","proc.pid":7,"proc.pname":"nginx","proc.ppid":1,"user.name":"root","fd.name":"/etc/shadow"},"priority":"Warning","rule":"Terminal shell","source":"syscall","tags":["container","T1059","mitre_execution"],"time":"2026-03-16T09:00:00.500000000Z"}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(200_401), Some(3)));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["finding_info"]["title"], "Terminal shell");
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["process"]["cmd_line"], "sh -c id");
        assert_eq!(evidence["process"]["parent_process"]["name"], "nginx");
        assert_eq!(evidence["user"], json!({"name": "root", "uid": "0"}));
        let attack = json!({"technique": {"uid": "T1059"}, "tactic": {"uid": "TA0002", "name": "Execution"}});
        assert_eq!(event["finding_info"]["attacks"], json!([attack]));
        let tactics = normalized(
            r#"{"output":"x","priority":"Notice","rule":"r","tags":["mitre_discovery","mitre_impact","mitre_none"]}"#,
        );
        assert_eq!(tactics["finding_info"]["attacks"][1], json!({"tactic": {"uid": "TA0040", "name": "Impact"}}));
        assert_eq!(tactics["finding_info"]["attacks"].as_array().map(Vec::len), Some(2));
        let image = json!({"name": "r/nginx", "uid": "r/nginx:1.2", "tag": "1.2"});
        assert_eq!(evidence["container"]["image"], image);
        assert_eq!(evidence["file"]["path"], "/etc/shadow");
        assert_eq!(evidence["container"]["uid"], "ab12");
        let event = normalized(
            r#"{"output":"x","output_fields":{"fd.name":"192.0.2.7:40000->198.51.100.4:22"},"priority":"Notice","rule":"r"}"#,
        );
        assert_eq!(event["evidences"][0]["src_endpoint"]["ip"], "192.0.2.7");
        assert_eq!(event["evidences"][0]["dst_endpoint"]["port"], 22);
        let event = normalized(
            r#"{"output":"x","output_fields":{"proc.name":"sh","proc.cmdline":"sh -c id","proc.exepath":"/bin/sh","proc.pname":"httpd"},"priority":"Notice","rule":"r"}"#,
        );
        let process = &event["evidences"][0]["process"];
        assert_eq!((&process["cmd_line"], &process["file"]["path"]), (&"sh -c id".into(), &"/bin/sh".into()));
        assert_eq!(process["parent_process"]["name"], "httpd");
        assert!(process["uid"].is_string() && process.get("pid").is_none());
    }
}
