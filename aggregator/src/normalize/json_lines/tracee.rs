//! Tracee: system calls, hooks and signatures, one object an event.
//!
//! In: `eventName`, `processName`, `args` and `returnValue`. Out: processes (1007), connections (4001) and files (1001) by the
//! event's name; a signature's event is a finding (2004); every other is kernel activity (1003). Source: Tracee, "Events",
//! `types/trace/trace.go`.

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{failure, success};
use super::super::text::base_name;
use super::super::{Context, endpoint, json};
use super::attacks;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most arguments that are looked at.
const ARGUMENTS_MAX: usize = 32;
/// `kernel.type_id` of a system call.
const SYSTEM_CALL: i64 = 2;

/// Whether it is an event of Tracee.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("eventName") && fields.has("processName") && fields.has("argsNum")
}

/// An argument by its name.
fn argument<'a>(list: &'a str, name: &str) -> Option<Fields<'a>> {
    json::elements(list).take(ARGUMENTS_MAX).find_map(|element| match element {
        Leaf::Json(text) => json::read(text).filter(|argument| argument.is("name", name)),
        _ => None,
    })
}

/// Takes the process and what it did.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "tracee");
    fields.push_time(event, "timestamp", context.reference);
    let name = fields.text("eventName").unwrap_or_default();
    let list = match fields.leaf("args") {
        Some(Leaf::Json(list)) => *list,
        _ => "[]",
    };
    let rule = fields.text("metadata.Properties.signatureName");
    match name.as_ref() {
        _ if rule.is_some() => finding(rule.unwrap_or_default(), fields, event),
        "sched_process_exec" | "execve" | "execveat" => process(list, fields, event),
        "sched_process_exit" => ended(list, fields, event),
        _ => {
            let _ = connection(&name, list, event) || file(&name, list, event) || {
                event.class = Class::KernelActivity;
                event.activity_id = 4;
                event.push(Attribute::KernelName, name.clone());
                event.push(Attribute::KernelTypeId, SYSTEM_CALL);
                true
            };
            fields.push(event, Attribute::ActorProcessPid, "processId");
            fields.push(event, Attribute::ActorProcessName, "processName");
            fields.push(event, Attribute::ActorUserUid, "userId");
            match fields.leaf("returnValue").and_then(Leaf::as_text) {
                Some(code) if code.starts_with('-') => failure(event, ""),
                _ => success(event),
            }
        }
    }
    let id = fields.peek("container.id").or_else(|| fields.peek("containerId")).map(str::to_owned);
    if let Some(id) = id.filter(|_| context.origin.container.is_none()) {
        event.profile("container");
        event.push(Attribute::DeviceContainerUid, id);
        fields.push(event, Attribute::DeviceContainerName, "container.name");
    }
    if event.value(Attribute::Message).is_none() {
        event.push(Attribute::Message, name.clone());
    }
    event.push(Attribute::MetadataEventCode, name);
}

/// MITRE ATT&CK as signatures name it; the tactic stands as `defense-evasion`.
const ATTACKS: attacks::Keys = attacks::Keys {
    technique: "metadata.Properties.external_id",
    beside: &[
        (Attribute::FindingAttacksTechniqueName, "metadata.Properties.Technique"),
        (Attribute::FindingAttacksTacticName, "metadata.Properties.Category"),
    ],
};

/// A signature that matched.
fn finding<'a>(rule: std::borrow::Cow<'a, str>, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = match fields.number("metadata.Properties.Severity") {
        Some(3..) => 4,
        Some(2) => 3,
        _ => 2,
    };
    let id = fields.text("metadata.Properties.signatureID").unwrap_or_else(|| rule.clone());
    event.push(Attribute::FindingUid, format!("{id}:{}", event.time.0));
    event.push(Attribute::FindingAnalyticUid, id);
    event.push(Attribute::FindingAnalyticName, rule.clone());
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::FindingTitle, rule.clone());
    event.push(Attribute::IsAlert, true);
    attacks::push(fields, &ATTACKS, event);
    fields.push(event, Attribute::FindingDesc, "metadata.Description");
    fields.push(event, Attribute::EvidencesProcessPid, "processId");
    fields.push(event, Attribute::EvidencesProcessName, "processName");
    event.push(Attribute::Message, rule);
}

/// A program that a process became.
fn process<'a>(list: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    about(1, fields, event);
    let path = argument(list, "pathname").or_else(|| argument(list, "cmdpath")).and_then(|mut path| path.text("value"));
    if let Some(path) = path {
        event.push(Attribute::ProcessFileName, base_name(&path).to_owned());
        event.push(Attribute::ProcessFileTypeId, 1);
        event.push(Attribute::ProcessFilePath, path.into_owned());
    }
    if let Some(words) = argument(list, "argv")
        && let Some(Leaf::Json(words)) = words.leaf("value")
    {
        let words: Vec<_> = json::elements(words).filter_map(Leaf::into_text).collect();
        let command = words.join(" ");
        event.push(Attribute::Message, command.clone());
        event.push(Attribute::ProcessCmdLine, command);
    }
    success(event);
}

/// A process that ended.
fn ended<'a>(list: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    about(2, fields, event);
    let code = argument(list, "exit_code").and_then(|mut code| code.number("value"));
    if let Some(code) = code.filter(|code| i32::try_from(*code).is_ok()) {
        event.push(Attribute::ExitCode, code);
    }
    success(event);
}

/// What happened to which process, and whose.
fn about<'a>(activity: u8, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::ProcessActivity;
    event.activity_id = activity;
    fields.push(event, Attribute::ProcessPid, "processId");
    fields.push(event, Attribute::ProcessName, "processName");
    fields.push(event, Attribute::ProcessUserUid, "userId");
    parent(fields, event);
}

/// Who did it: the process's parent.
fn parent<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if let Some(pid) = fields.number("parentProcessId").filter(|pid| i32::try_from(*pid).is_ok()) {
        event.push(Attribute::ProcessParentPid, pid);
        event.push(Attribute::ActorProcessPid, pid);
    } else {
        event.push(Attribute::ActorAppName, "tracee");
    }
}

/// A connection: both ends, or the address that a socket was told.
fn connection(name: &str, list: &str, event: &mut Event<'_>) -> bool {
    if !name.contains("socket") && !name.starts_with("net_") && !name.contains("connect") {
        return false;
    }
    let ends = [
        (["src", "local_addr"], ["src_port", "local_port"], Attribute::SrcEndpointIp, Attribute::SrcEndpointPort),
        (["dst", "remote_addr"], ["dst_port", "remote_port"], Attribute::DstEndpointIp, Attribute::DstEndpointPort),
    ];
    event.class = Class::NetworkActivity;
    let mut found = false;
    for (hosts, ports, ip, number) in ends {
        let value = |keys: [&str; 2]| {
            keys.into_iter().find_map(|key| {
                let argument = argument(list, key)?;
                argument.leaf("value")?.as_text().map(str::to_owned)
            })
        };
        // A socket's address is an object: `{"sa_family":"AF_INET","sin_addr":"192.0.2.1","sin_port":"443"}`.
        let inner = |keys: [&str; 2]| {
            let argument = hosts.into_iter().find_map(|host| argument(list, host))?;
            keys.into_iter().find_map(|key| argument.peek(&format!("value.{key}")).map(str::to_owned))
        };
        let host = value(hosts).or_else(|| inner(["sin_addr", "sin6_addr"]));
        let Some(host) = host.as_deref().and_then(endpoint::ip).map(str::to_owned) else { continue };
        event.push(ip, host);
        found = true;
        let port = value(ports).or_else(|| inner(["sin_port", "sin6_port"]));
        if let Some(port) = port.as_deref().and_then(super::super::text::port) {
            event.push(number, port);
        }
    }
    if !found {
        event.class = Class::BaseEvent;
        return false;
    }
    event.push(Attribute::ConnectionDirectionId, 0);
    event.activity_id = match name {
        name if name.contains("listen") => 7,
        name if ["connect", "accept", "bind"].iter().any(|verb| name.contains(verb)) => 1,
        _ => 6,
    };
    true
}

/// A file by its path.
fn file(name: &str, list: &str, event: &mut Event<'_>) -> bool {
    let path = argument(list, "pathname").and_then(|mut path| path.text("value")).map(std::borrow::Cow::into_owned);
    let Some(path) = path.filter(|path| path.starts_with('/')) else { return false };
    let any = |verbs: &[&str]| verbs.iter().any(|verb| name.contains(verb));
    event.class = Class::FileActivity;
    event.activity_id = match () {
        () if any(&["unlink", "rmdir"]) => 4,
        () if any(&["rename"]) => 5,
        () if any(&["creat", "mkdir", "mknod"]) => 1,
        () if any(&["write", "truncate", "modification"]) => 3,
        () if any(&["chmod", "chown", "setattr"]) => 6,
        _ => 14,
    };
    event.push(Attribute::FileName, base_name(&path).to_owned());
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, 0);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    fn line(name: &str, rest: &str) -> serde_json::Value {
        normalized(&format!(
            r#"{{"timestamp":1773651600123456789,"processId":12,"parentProcessId":7,"userId":0,"processName":"nc","hostName":"h","containerId":"c1","eventName":"{name}","argsNum":2,"returnValue":0,{rest}}}"#
        ))
    }

    #[test]
    fn events_are_what_their_names_say() {
        let event = line(
            "sched_process_exec",
            r#""args":[{"name":"pathname","value":"/usr/bin/nc"},{"name":"argv","value":["nc","-l"]}]"#,
        );
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(100_701), &json!(1_773_651_600_123_i64)));
        assert_eq!((&event["process"]["cmd_line"], &event["process"]["pid"]), (&json!("nc -l"), &json!(12)));
        assert_eq!(event["device"]["container"]["uid"], "c1");
        let event = line(
            "security_socket_connect",
            r#""args":[{"name":"sockfd","value":5},{"name":"remote_addr","value":{"sa_family":"AF_INET","sin_addr":"192.0.2.7","sin_port":"443"}}]"#,
        );
        assert_eq!((&event["type_uid"], &event["actor"]["process"]["pid"]), (&json!(400_101), &json!(12)));
        assert_eq!(event["dst_endpoint"], json!({"ip": "192.0.2.7", "port": 443}));
        let event = line("security_file_open", r#""args":[{"name":"pathname","value":"/etc/shadow"}]"#);
        assert_eq!((&event["type_uid"], &event["file"]["name"]), (&json!(100_114), &json!("shadow")));
        let event = line("ptrace", r#""args":[{"name":"request","value":"PTRACE_ATTACH"}]"#);
        assert_eq!((&event["type_uid"], &event["kernel"]["name"]), (&json!(100_304), &json!("ptrace")));
        let event = line(
            "anti_debugging",
            r#""args":[],"metadata":{"Description":"d","Properties":{"Severity":1,"signatureID":"TRC-102","signatureName":"Anti-Debugging","external_id":"T1622","Technique":"Debugger Evasion","Category":"defense-evasion"}}"#,
        );
        assert_eq!((&event["type_uid"], &event["finding_info"]["title"]), (&json!(200_401), &json!("Anti-Debugging")));
        let technique = json!({"uid": "T1622", "name": "Debugger Evasion"});
        let attacks = json!([{"technique": technique, "tactic": {"name": "defense-evasion"}}]);
        assert_eq!(event["finding_info"]["attacks"], attacks);
    }
}
