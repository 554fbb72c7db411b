//! Events of Windows as JSON, as NXLog and Winlogbeat send them.
//!
//! In: the security log's events with the keys of their data, flat beside `EventID` and `Channel`, or inside
//! `winlog.event_data`, `Event.EventData` (evtx as JSON) or `event_data`. Out: logons (3002), accounts (3001), groups (3006), processes (1007), a log that was cleared (1008), what Sysmon saw; other
//! events are base events with their provider and number. Source: Microsoft, "Appendix L: Events to Monitor" and the page of
//! each event; NXLog `im_msvistalog`; Winlogbeat's exported fields. Events that ECS has categories for are ECS's.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{failure, success};
use super::super::{Context, endpoint};
use super::{bare, sysmon};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// The provider and channel of the events that are taken apart.
const SECURITY: &str = "Security";

/// Where a shipper puts what Windows says.
struct Shape {
    code: &'static str,
    channel: &'static str,
    provider: &'static str,
    computer: &'static str,
    /// What stands before the names of the event's data.
    data: &'static str,
}

static SHAPES: [Shape; 6] = [
    Shape {
        code: "winlog.event_id",
        channel: "winlog.channel",
        provider: "winlog.provider_name",
        computer: "winlog.computer_name",
        data: "winlog.event_data.",
    },
    Shape {
        code: "Event.System.EventID",
        channel: "Event.System.Channel",
        provider: "Event.System.Provider.#attributes.Name",
        computer: "Event.System.Computer",
        data: "Event.EventData.",
    },
    Shape {
        code: "System.EventID",
        channel: "System.Channel",
        provider: "System.Provider.Name",
        computer: "System.Computer",
        data: "EventData.",
    },
    Shape {
        code: "event_id",
        channel: "log_name",
        provider: "source_name",
        computer: "computer_name",
        data: "event_data.",
    },
    Shape { code: "EventID", channel: "Channel", provider: "SourceName", computer: "Hostname", data: "EventData." },
    Shape { code: "EventID", channel: "Channel", provider: "ProviderName", computer: "Computer", data: "" },
];

fn shape(fields: &Fields<'_>) -> Option<&'static Shape> {
    // Of those with the same code and channel the one whose data are there.
    let mut shapes = SHAPES.iter().filter(|shape| fields.has(shape.code) && fields.has(shape.channel));
    let first = shapes.next()?;
    match first.data {
        "EventData." if first.code == "EventID" && !fields.has("EventData") => shapes.next(),
        _ => Some(first),
    }
}

/// Whether it is an event of Windows.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    !fields.has("event.category") && shape(fields).is_some()
}

/// The event's data, by the names that Windows gives them.
pub(super) struct Data<'f, 'a> {
    fields: &'f mut Fields<'a>,
    prefix: &'static str,
}

impl<'a> Data<'_, 'a> {
    fn key<'k>(&self, name: &'k str) -> Cow<'k, str> {
        if self.prefix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{}{name}", self.prefix)) }
    }

    pub(super) fn said(&self, name: &str) -> Option<&str> {
        self.fields.peek(&self.key(name)).filter(|text| !matches!(*text, "-" | "%%1793"))
    }

    pub(super) fn push(&mut self, event: &mut Event<'a>, attribute: Attribute, name: &str) -> bool {
        let key = self.key(name);
        self.said(name).is_some() && self.fields.push(event, attribute, &key)
    }

    /// A number in hexadecimal or decimal digits.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let text = self.said(name)?;
        match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    }
}

/// Takes what the event says.
pub(in super::super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let Some(shape) = shape(fields) else { return };
    let times = [
        "Event.System.TimeCreated.#attributes.SystemTime",
        "System.TimeCreated.SystemTime",
        "@timestamp",
        "EventTime",
        "TimeCreated",
        "TimeGenerated",
    ];
    if !times.iter().any(|key| fields.push_time(event, key, context.reference)) {
        bare::push_time(fields, context, event);
    }
    let _ = [shape.provider, "ProviderName", "SourceName", "Event.System.Provider_attributes.Name"]
        .iter()
        .any(|key| fields.push(event, Attribute::MetadataLogProvider, key));
    // Where the number has attributes it stands in a text of its own.
    let code = fields.leaf(shape.code).and_then(Leaf::as_number);
    let code = code.or_else(|| fields.leaf(&format!("{}.#text", shape.code)).and_then(Leaf::as_number));
    let code = code.unwrap_or_default();
    event.push(Attribute::MetadataEventCode, code.to_string());
    let channel = fields.peek(shape.channel).unwrap_or_default();
    let security = channel == SECURITY;
    let watched = channel.contains("Sysmon");
    let computer = fields.peek(shape.computer).map(str::to_owned);
    let mut data = Data { prefix: shape.data, fields };
    let understood = match code {
        _ if watched => sysmon::parse(code, &mut data, computer, event),
        _ if !security => code == 104 && cleared(event),
        4624 | 4625 | 4634 | 4647 | 4648 | 4768 | 4769 | 4771 | 4776 | 4778 | 4779 => logon(code, &mut data, event),
        4688 | 4689 => process(code, &mut data, event),
        4720 | 4722..=4726 | 4738 | 4740 | 4767 => account(code, &mut data, event),
        4727..=4735 | 4737 | 4754..=4758 => group(code, &mut data, event),
        1102 => cleared(event),
        _ => false,
    };
    if understood && !watched {
        actor(&mut data, event);
    }
    for key in ["message", "Message"] {
        if event.value(Attribute::Message).is_none() {
            fields.push(event, Attribute::Message, key);
        }
    }
}

/// Who did it: the subject of the event.
fn actor<'a>(data: &mut Data<'_, 'a>, event: &mut Event<'a>) {
    if event.value(Attribute::ActorUserName).is_none() {
        data.push(event, Attribute::ActorUserName, "SubjectUserName");
        data.push(event, Attribute::ActorUserUid, "SubjectUserSid");
    }
}

/// A logon, its end, or a ticket.
fn logon<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::Authentication;
    event.activity_id = match code {
        4634 | 4647 | 4779 => 2,
        4768 | 4771 => 3,
        4769 => 4,
        _ => 1,
    };
    let user =
        data.push(event, Attribute::UserName, "TargetUserName") || data.push(event, Attribute::UserName, "AccountName");
    if !user {
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        return false;
    }
    if !data.push(event, Attribute::UserDomain, "TargetDomainName") {
        data.push(event, Attribute::UserDomain, "AccountDomain");
    }
    let _ = data.push(event, Attribute::UserUid, "TargetUserSid") || data.push(event, Attribute::UserUid, "TargetSid");
    data.push(event, Attribute::SessionUid, "TargetLogonId");
    let address =
        data.said("IpAddress").or_else(|| data.said("ClientAddress")).map(|text| text.trim_start_matches("::ffff:"));
    let address = address.filter(|text| endpoint::ip(text).is_some()).map(str::to_owned);
    let host =
        ["WorkstationName", "Workstation", "ClientName"].iter().find_map(|name| data.said(name)).map(str::to_owned);
    match (address, host) {
        (Some(address), host) => {
            let remote = !matches!(address.as_str(), "127.0.0.1" | "::1");
            event.push(Attribute::SrcEndpointIp, address);
            if let Some(host) = host {
                event.push(Attribute::SrcEndpointHostname, host);
            }
            if let Some(port) = data.number("IpPort").filter(|port| (1..65_536).contains(port)) {
                event.push(Attribute::SrcEndpointPort, port);
            }
            event.push(Attribute::IsRemote, remote);
        }
        (None, Some(host)) => event.push(Attribute::SrcEndpointHostname, host),
        (None, None) => {}
    }
    if let Some(kind) = data.number("LogonType").filter(|kind| matches!(kind, 2..=5 | 7..=13)) {
        event.push(Attribute::LogonTypeId, kind);
    }
    protocol(code, data, event);
    event.push(Attribute::ServiceName, data.said("ServiceName").unwrap_or("Windows").to_owned());
    let status = ["SubStatus", "Status"].iter().find_map(|name| data.said(name).filter(|status| *status != "0x0"));
    match status.map(str::to_owned) {
        Some(status) if code != 4624 => {
            failure(event, "");
            event.push(Attribute::StatusCode, status);
            data.push(event, Attribute::StatusDetail, "FailureReason");
        }
        _ if code == 4625 || code == 4771 => failure(event, ""),
        _ => success(event),
    }
    true
}

/// How the user proved it.
fn protocol<'a>(code: i64, data: &Data<'_, 'a>, event: &mut Event<'a>) {
    let package = data.said("AuthenticationPackageName").or_else(|| data.said("PackageName")).unwrap_or(match code {
        4768 | 4769 | 4771 => "Kerberos",
        _ => "",
    });
    let id = match package {
        "" => return,
        "NTLM" | "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0" => 1,
        "Kerberos" => 2,
        _ => 99,
    };
    let name = match id {
        1 => "NTLM",
        2 => "Kerberos",
        _ => package,
    };
    event.push(Attribute::AuthProtocol, name.to_owned());
    event.push(Attribute::AuthProtocolId, id);
}

/// The last part of a path of Windows.
pub(super) fn base_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// A process that began or ended.
fn process<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::ProcessActivity;
    event.activity_id = if code == 4688 { 1 } else { 2 };
    let (image, pid) = if code == 4688 { ("NewProcessName", "NewProcessId") } else { ("ProcessName", "ProcessId") };
    if let Some(pid) = data.number(pid) {
        event.push(Attribute::ProcessPid, pid);
    }
    if let Some(path) = data.said(image).map(str::to_owned) {
        event.push(Attribute::ProcessName, base_name(&path).to_owned());
        event.push(Attribute::ProcessFileName, base_name(&path).to_owned());
        event.push(Attribute::ProcessFileTypeId, 1);
        event.push(Attribute::ProcessFilePath, path);
    }
    data.push(event, Attribute::ProcessCmdLine, "CommandLine");
    if let Some(parent) = data.number("ProcessId").filter(|_| code == 4688) {
        event.push(Attribute::ProcessParentPid, parent);
        if let Some(path) = data.said("ParentProcessName").map(str::to_owned) {
            event.push(Attribute::ProcessParentName, base_name(&path).to_owned());
        }
    }
    let _ = data.push(event, Attribute::ProcessUserName, "TargetUserName")
        || data.said("SubjectUserName").map(str::to_owned).is_some_and(|user| {
            event.push(Attribute::ProcessUserName, user);
            true
        });
    if code == 4689
        && let Some(status) = data.number("Status").filter(|status| i32::try_from(*status).is_ok())
    {
        event.push(Attribute::ExitCode, status);
    }
    // The class asks who did it: where the event does not say, Windows did.
    if data.said("SubjectUserName").is_none() {
        event.push(Attribute::ActorAppName, "Windows");
    }
    success(event);
    true
}

/// An account that was made, changed, locked or deleted.
fn account<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::AccountChange;
    event.activity_id = match code {
        4720 => 1,
        4722 => 2,
        4723 => 3,
        4724 => 4,
        4725 => 5,
        4726 => 6,
        4740 => 9,
        4767 => 12,
        _ => 99,
    };
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, "Change");
    }
    let named = data.push(event, Attribute::UserName, "TargetUserName");
    data.push(event, Attribute::UserDomain, "TargetDomainName");
    data.push(event, Attribute::UserUid, "TargetSid");
    success(event);
    named
}

/// A group that was made or deleted, or a member of it.
fn group<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::GroupManagement;
    event.activity_id = match code {
        4728 | 4732 | 4756 => 3,
        4729 | 4733 | 4757 => 4,
        4730 | 4734 | 4758 => 5,
        4727 | 4731 | 4754 => 6,
        _ => 99,
    };
    if event.activity_id == 99 {
        event.push(Attribute::ActivityName, "Change");
    }
    let named = data.push(event, Attribute::GroupName, "TargetUserName");
    data.push(event, Attribute::GroupUid, "TargetSid");
    if matches!(event.activity_id, 3 | 4) {
        data.push(event, Attribute::UserName, "MemberName");
        data.push(event, Attribute::UserUid, "MemberSid");
    }
    success(event);
    named
}

/// A log that was cleared.
fn cleared(event: &mut Event<'_>) -> bool {
    event.class = Class::EventLogActivity;
    event.activity_id = 1;
    event.severity_id = 3;
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    const LOGON: &str = r#""TargetUserName":"ann","TargetDomainName":"EX","IpAddress":"192.0.2.7","IpPort":"41222","LogonType":"3","AuthenticationPackageName":"NTLM","SubjectUserName":"-""#;

    fn nxlog(code: u16, data: &str) -> serde_json::Value {
        normalized(&format!(
            r#"<14>Mar 16 10:00:01 pc app[7]: {{"EventTime":"2026-03-16T09:00:00Z","EventID":{code},"SourceName":"Microsoft-Windows-Security-Auditing","Channel":"Security","Message":"m",{data}}}"#
        ))
    }

    #[test]
    fn logons_are_read_from_both_shippers() {
        for (code, status, activity) in [(4624, 1, 1), (4625, 2, 1), (4634, 1, 2)] {
            let beat = format!(
                r#"{{"@timestamp":"2026-03-16T09:00:00.000Z","ecs":{{"version":"8.0"}},"winlog":{{"channel":"Security","event_id":"{code}","provider_name":"Microsoft-Windows-Security-Auditing","event_data":{{{LOGON}}}}},"message":"m"}}"#
            );
            for event in [nxlog(code, LOGON), normalized(&beat)] {
                assert_eq!((&event["class_uid"], &event["activity_id"]), (&json!(3002), &json!(activity)), "{code}");
                assert_eq!(event["user"], json!({"name": "ann", "domain": "EX"}));
                assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 41222}));
                assert_eq!((&event["status_id"], &event["logon_type_id"]), (&json!(status), &json!(3)));
                assert_eq!((&event["time"], &event["auth_protocol_id"]), (&json!(1_773_651_600_000_i64), &json!(1)));
                assert_eq!(event["metadata"]["event_code"], code.to_string());
                assert!(event.get("actor").is_none_or(|actor| actor.get("user").is_none()));
            }
        }
    }

    #[test]
    fn processes_accounts_groups_and_cleared_logs_have_their_class() {
        let event = nxlog(
            4688,
            r#""NewProcessName":"C:\\Windows\\cmd.exe","NewProcessId":"0x1a","ProcessId":"0x10","CommandLine":"cmd /c dir","SubjectUserName":"ann""#,
        );
        assert_eq!((&event["type_uid"], &event["process"]["pid"]), (&json!(100_701), &json!(26)));
        assert_eq!(event["process"]["file"]["path"], r"C:\Windows\cmd.exe");
        assert_eq!(
            (&event["process"]["cmd_line"], &event["actor"]["user"]["name"]),
            (&json!("cmd /c dir"), &json!("ann"))
        );
        for (code, kind) in [(4720, 300_101), (4726, 300_106), (4740, 300_109), (4732, 300_603), (4734, 300_605)] {
            let event =
                nxlog(code, r#""TargetUserName":"x","TargetSid":"S-1-5","SubjectUserName":"ann","MemberSid":"S-1-6""#);
            assert_eq!((&event["type_uid"], &event["actor"]["user"]["name"]), (&json!(kind), &json!("ann")), "{code}");
        }
        assert_eq!(nxlog(1102, r#""SubjectUserName":"ann""#)["type_uid"], 100_801);
        assert_eq!(nxlog(5156, r#""a":"b""#)["class_uid"], 0);
    }
}
