//! Tetragon: what its sensors saw of processes, one object an event.
//!
//! In: `process_exec`, `process_exit`, `process_kprobe`, `process_lsm`, `process_tracepoint`, `process_uprobe` or
//! `process_loader` beside `time` and `node_name`. Out: processes (1007), connections (4001) and files (1001) by the arguments of
//! a hook, else kernel activity (1003) with the hook's name. Source: Tetragon, `api/v1/tetragon/tetragon.proto`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{Control, controlled, success};
use super::super::text::base_name;
use super::super::{Context, endpoint, json, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

const EVENTS: [&str; 7] = [
    "process_exec",
    "process_exit",
    "process_kprobe",
    "process_lsm",
    "process_tracepoint",
    "process_uprobe",
    "process_loader",
];
/// `kernel.type_id` of a system call.
const SYSTEM_CALL: i64 = 2;

fn kind(fields: &Fields<'_>) -> Option<&'static str> {
    EVENTS.into_iter().find(|name| fields.has(name))
}

/// Whether it is an event of Tetragon.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("time") && kind(fields).is_some_and(|kind| fields.has(&format!("{kind}.process")))
}

/// Takes the process and what it did.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let Some(kind) = kind(fields) else { return };
    event.push(Attribute::MetadataLogProvider, "tetragon");
    fields.push_time(event, "time", context.reference);
    event.push(Attribute::MetadataEventCode, kind);
    let key = |name: &str| format!("{kind}.{name}");
    let binary = fields.peek(&key("process.binary")).unwrap_or_default().to_owned();
    let arguments = fields.peek(&key("process.arguments")).unwrap_or_default();
    let command = if arguments.is_empty() { binary.clone() } else { format!("{binary} {arguments}") };
    match kind {
        "process_exec" | "process_exit" => process(kind, binary, command, fields, event),
        _ => {
            hook(kind, fields, event);
            by(kind, &binary, &command, fields, event);
            let refusals = ["KPROBE_ACTION_OVERRIDE", "KPROBE_ACTION_SIGKILL", "KPROBE_ACTION_SIGNAL"];
            if refusals.iter().any(|action| fields.is(&key("action"), action)) {
                controlled(event, Control::Blocked);
            }
            fields.push(event, Attribute::PolicyName, &key("policy_name"));
        }
    }
    container(kind, fields, context, event);
}

/// A process that began or ended.
fn process<'a>(kind: &str, binary: String, command: String, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let key = |name: &str| format!("{kind}.{name}");
    event.class = Class::ProcessActivity;
    event.activity_id = if kind == "process_exec" { 1 } else { 2 };
    let parent = fields.peek(&key("parent.binary")).map(|path| base_name(path).to_owned());
    fields.push(event, Attribute::ActorProcessPid, &key("parent.pid"));
    if event.value(Attribute::ActorProcessPid).is_some() {
        if let (Some(parent), Some(pid)) = (parent, event.value(Attribute::ActorProcessPid).cloned()) {
            event.push(Attribute::ProcessParentPid, pid);
            event.push(Attribute::ProcessParentName, parent.clone());
            event.push(Attribute::ActorProcessName, parent);
        }
    } else {
        event.push(Attribute::ActorAppName, "tetragon");
    }
    fields.push(event, Attribute::ProcessPid, &key("process.pid"));
    fields.push(event, Attribute::ProcessUid, &key("process.exec_id"));
    fields.push(event, Attribute::ProcessUserUid, &key("process.uid"));
    fields.push(event, Attribute::ProcessWorkingDirectory, &key("process.cwd"));
    event.push(Attribute::Message, command.clone());
    event.push(Attribute::ProcessName, base_name(&binary).to_owned());
    event.push(Attribute::ProcessCmdLine, command);
    event.push(Attribute::ProcessFileName, base_name(&binary).to_owned());
    event.push(Attribute::ProcessFileTypeId, 1);
    event.push(Attribute::ProcessFilePath, binary);
    if kind == "process_exit" {
        fields.push(event, Attribute::ExitCode, &key("status"));
    }
    success(event);
}

/// Who did it.
fn by<'a>(kind: &str, binary: &str, command: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let key = |name: &str| format!("{kind}.{name}");
    if !fields.push(event, Attribute::ActorProcessPid, &key("process.pid")) {
        if event.class.carries(Attribute::ActorAppName) {
            event.push(Attribute::ActorAppName, "tetragon");
        }
        return;
    }
    event.push(Attribute::ActorProcessName, base_name(binary).to_owned());
    if event.class.carries(Attribute::ActorProcessFilePath) {
        event.push(Attribute::ActorProcessFileName, base_name(binary).to_owned());
        event.push(Attribute::ActorProcessFilePath, binary.to_owned());
        event.push(Attribute::ActorProcessFileTypeId, 1);
    }
    if event.class.carries(Attribute::ActorProcessCmdLine) {
        event.push(Attribute::ActorProcessCmdLine, command.to_owned());
    }
    fields.push(event, Attribute::ActorUserUid, &key("process.uid"));
}

/// Most arguments of a hook that are looked at.
const ARGUMENTS_MAX: usize = 8;

/// What a hook saw: the first of its arguments that is an end of a connection or a file.
fn hook<'a>(kind: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let names = ["function_name", "event", "symbol", "subsys"];
    let name = names.into_iter().find_map(|name| fields.peek(&format!("{kind}.{name}")));
    let name = name.unwrap_or(kind).to_owned();
    event.push(Attribute::Message, name.clone());
    if let Some(Leaf::Json(list)) = fields.leaf(&format!("{kind}.args")) {
        for argument in json::elements(list).take(ARGUMENTS_MAX) {
            let Leaf::Json(argument) = argument else { continue };
            let Some(mut argument) = json::read(argument) else { continue };
            if connection(&name, &mut argument, event) || file(&name, &mut argument, event) {
                return;
            }
        }
    }
    event.class = Class::KernelActivity;
    event.activity_id = 4;
    event.push(Attribute::KernelName, name);
    event.push(Attribute::KernelTypeId, SYSTEM_CALL);
}

/// Both ends of a socket.
fn connection<'a>(name: &str, argument: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let Some(kind) = ["sock_arg", "skb_arg", "sockaddr_arg"].into_iter().find(|kind| argument.has(kind)) else {
        return false;
    };
    event.class = Class::NetworkActivity;
    let mut end = |host: &str, number: &str, attributes: [Attribute; 2], argument: &mut Fields<'a>| {
        let address = argument.peek(&format!("{kind}.{host}")).and_then(endpoint::ip).map(str::to_owned);
        let Some(address) = address else { return false };
        event.push(attributes[0], address);
        let number = format!("{kind}.{number}");
        if argument.is_port(&number) {
            argument.push(event, attributes[1], &number);
        }
        true
    };
    let from = end("saddr", "sport", [Attribute::SrcEndpointIp, Attribute::SrcEndpointPort], argument);
    let to = end("daddr", "dport", [Attribute::DstEndpointIp, Attribute::DstEndpointPort], argument)
        || (kind == "sockaddr_arg"
            && end("addr", "port", [Attribute::DstEndpointIp, Attribute::DstEndpointPort], argument));
    if !from && !to {
        event.class = Class::BaseEvent;
        return false;
    }
    event.activity_id = match name {
        name if name.contains("close") => 2,
        name if name.contains("listen") => 7,
        name if ["connect", "accept", "bind"].iter().any(|verb| name.contains(verb)) => 1,
        _ => 6,
    };
    let protocol =
        argument.peek(&format!("{kind}.protocol")).map(|name| name.trim_start_matches("IPPROTO_").to_owned());
    transport::push(event, protocol.as_deref());
    success(event);
    true
}

/// A file by its path.
fn file<'a>(name: &str, argument: &mut Fields<'a>, event: &mut Event<'a>) -> bool {
    let keys = ["file_arg.path", "path_arg.path", "linux_binprm_arg.path"];
    let Some(path) = keys.into_iter().find_map(|key| argument.text(key)) else { return false };
    if !path.starts_with('/') {
        return false;
    }
    let any = |verbs: &[&str]| verbs.iter().any(|verb| name.contains(verb));
    event.class = Class::FileActivity;
    event.activity_id = match () {
        () if any(&["unlink", "rmdir"]) => 4,
        () if any(&["rename"]) => 5,
        () if any(&["creat", "mkdir", "mknod"]) => 1,
        () if any(&["write", "truncate"]) => 3,
        () if any(&["chmod", "chown", "setattr", "set_acl"]) => 6,
        () if any(&["mount"]) => 12,
        _ => 14,
    };
    event.push(Attribute::FileName, base_name(&path).to_owned());
    event.push(Attribute::FilePath, Cow::Owned::<str>(path.into_owned()));
    event.push(Attribute::FileTypeId, 0);
    success(event);
    true
}

/// Names the container of the process, where the line's source does not.
fn container<'a>(kind: &str, fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let id = fields.peek(&format!("{kind}.process.pod.container.id"));
    let id =
        id.map(|id| id.rsplit("//").next().unwrap_or(id)).or_else(|| fields.peek(&format!("{kind}.process.docker")));
    let Some(id) = id.filter(|id| !id.is_empty() && context.origin.container.is_none()).map(str::to_owned) else {
        return;
    };
    event.profile("container");
    event.push(Attribute::DeviceContainerUid, id);
    fields.push(event, Attribute::DeviceContainerName, &format!("{kind}.process.pod.container.name"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    const PROCESS: &str = r#""process":{"exec_id":"ab","pid":12,"uid":0,"cwd":"/","binary":"/usr/bin/nc","arguments":"-l 5","pod":{"name":"p","container":{"id":"containerd://c1","name":"web"}}},"parent":{"pid":7,"binary":"/bin/sh"}"#;

    #[test]
    fn processes_begin_and_end() {
        let event =
            normalized(&format!(r#"{{"process_exec":{{{PROCESS}}},"node_name":"n","time":"2026-03-16T09:00:00.5Z"}}"#));
        assert_eq!((&event["type_uid"], &event["time"]), (&json!(100_701), &json!(1_773_651_600_500_i64)));
        assert_eq!((&event["process"]["cmd_line"], &event["process"]["pid"]), (&json!("/usr/bin/nc -l 5"), &json!(12)));
        assert_eq!(event["process"]["parent_process"], json!({"pid": 7, "name": "sh"}));
        assert_eq!(event["device"]["container"], json!({"uid": "c1", "name": "web"}));
        let event = normalized(&format!(
            r#"{{"process_exit":{{{PROCESS},"status":3}},"node_name":"n","time":"2026-03-16T09:00:00.5Z"}}"#
        ));
        assert_eq!((&event["type_uid"], &event["exit_code"]), (&json!(100_702), &json!(3)));
    }

    #[test]
    fn a_hook_is_what_its_arguments_are() {
        let line = |name: &str, argument: &str| {
            normalized(&format!(
                r#"{{"process_kprobe":{{{PROCESS},"function_name":"{name}","args":[{argument}],"action":"KPROBE_ACTION_POST","policy_name":"w"}},"time":"2026-03-16T09:00:00.5Z"}}"#
            ))
        };
        let event = line(
            "tcp_connect",
            r#"{"sock_arg":{"family":"AF_INET","protocol":"IPPROTO_TCP","saddr":"192.0.2.7","daddr":"198.51.100.2","sport":4711,"dport":443}}"#,
        );
        assert_eq!((&event["type_uid"], &event["actor"]["process"]["pid"]), (&json!(400_101), &json!(12)));
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 443}));
        assert_eq!(event["connection_info"]["protocol_name"], "tcp");
        let event = line("security_file_permission", r#"{"file_arg":{"path":"/etc/passwd"}},{"int_arg":4}"#);
        assert_eq!((&event["type_uid"], &event["file"]["path"]), (&json!(100_114), &json!("/etc/passwd")));
        let event = line("__x64_sys_setuid", r#"{"int_arg":0}"#);
        assert_eq!((&event["type_uid"], &event["kernel"]["name"]), (&json!(100_304), &json!("__x64_sys_setuid")));
    }
}
