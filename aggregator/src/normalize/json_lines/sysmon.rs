//! Sysmon of Windows and of Linux: what it saw of processes, connections, files and names.
//!
//! In: number and data of an event, whatever shipper brought it. Out: processes (1007), connections (4001), files (1001), names
//! that were asked for (4003), drivers (1002). Source: Microsoft, "Sysmon", "Events".

use std::borrow::Cow;

use super::super::endpoint;
use super::super::outcome::success;
use super::super::transport;
use super::windows::{Data, base_name};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Takes what the event says; false where its number is none of those.
pub(super) fn parse<'a>(code: i64, data: &mut Data<'_, 'a>, computer: Option<String>, event: &mut Event<'a>) -> bool {
    match code {
        1 | 5 => process(code, data, event),
        8 | 10 => touched(code, data, event),
        3 => connection(data, event),
        2 | 11 | 15 | 23 | 26 => file(code, data, event),
        6 => driver(data, event),
        22 => query(data, computer, event),
        _ => false,
    }
}

/// A process that began or ended.
fn process<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::ProcessActivity;
    event.activity_id = if code == 1 { 1 } else { 2 };
    let image = data.said("Image").map(str::to_owned);
    named(image.as_deref(), data.number("ProcessId"), event);
    data.push(event, Attribute::ProcessUid, "ProcessGuid");
    data.push(event, Attribute::ProcessCmdLine, "CommandLine");
    data.push(event, Attribute::ProcessWorkingDirectory, "CurrentDirectory");
    data.push(event, Attribute::ProcessUserName, "User");
    if let Some(pid) = data.number("ParentProcessId") {
        event.push(Attribute::ProcessParentPid, pid);
        event.push(Attribute::ActorProcessPid, pid);
        if let Some(parent) = data.said("ParentImage").map(|path| base_name(path).to_owned()) {
            event.push(Attribute::ProcessParentName, parent.clone());
            event.push(Attribute::ActorProcessName, parent);
        }
        data.push(event, Attribute::ProcessParentCmdLine, "ParentCommandLine");
    } else {
        event.push(Attribute::ActorAppName, "Sysmon");
    }
    success(event);
    true
}

/// Name, number and file of a process.
fn named(image: Option<&str>, pid: Option<i64>, event: &mut Event<'_>) {
    if let Some(pid) = pid {
        event.push(Attribute::ProcessPid, pid);
    }
    if let Some(image) = image {
        event.push(Attribute::ProcessName, base_name(image).to_owned());
        event.push(Attribute::ProcessFileName, base_name(image).to_owned());
        event.push(Attribute::ProcessFileTypeId, 1);
        event.push(Attribute::ProcessFilePath, image.to_owned());
    }
}

/// A process that another opened (10) or began a thread in (8).
fn touched<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::ProcessActivity;
    event.activity_id = if code == 8 { 4 } else { 3 };
    let image = data.said("TargetImage").map(str::to_owned);
    named(image.as_deref(), data.number("TargetProcessId"), event);
    actor("SourceImage", "SourceProcessId", data, event);
    success(event);
    true
}

/// The process that did it.
fn actor<'a>(image: &str, pid: &str, data: &mut Data<'_, 'a>, event: &mut Event<'a>) {
    if let Some(pid) = data.number(pid) {
        event.push(Attribute::ActorProcessPid, pid);
        if let Some(name) = data.said(image).map(|path| base_name(path).to_owned()) {
            event.push(Attribute::ActorProcessName, name);
        }
    } else if event.class.carries(Attribute::ActorAppName) {
        event.push(Attribute::ActorAppName, "Sysmon");
    }
    if event.value(Attribute::ActorUserName).is_none() {
        data.push(event, Attribute::ActorUserName, "User");
    }
}

/// A connection that a process opened or took.
fn connection<'a>(data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    event.class = Class::NetworkActivity;
    event.activity_id = 1;
    let ends = [
        ("SourceIp", "SourcePort", Attribute::SrcEndpointIp, Attribute::SrcEndpointPort),
        ("DestinationIp", "DestinationPort", Attribute::DstEndpointIp, Attribute::DstEndpointPort),
    ];
    let mut found = false;
    for (host, port, ip, number) in ends {
        let Some(address) = data.said(host).and_then(endpoint::ip).map(str::to_owned) else { continue };
        event.push(ip, address);
        if let Some(port) = data.number(port).filter(|port| u16::try_from(*port).is_ok()) {
            event.push(number, port);
        }
        found = true;
    }
    if !found {
        event.class = Class::BaseEvent;
        event.activity_id = 0;
        return false;
    }
    if event.value(Attribute::SrcEndpointIp).is_some() {
        data.push(event, Attribute::SrcEndpointHostname, "SourceHostname");
    }
    if event.value(Attribute::DstEndpointIp).is_some() {
        data.push(event, Attribute::DstEndpointHostname, "DestinationHostname");
    }
    let protocol = data.said("Protocol").map(str::to_owned);
    transport::push(event, protocol.as_deref());
    actor("Image", "ProcessId", data, event);
    success(event);
    true
}

/// A file that was made (11, 15), whose time was set (2), or that was deleted (23, 26).
fn file<'a>(code: i64, data: &mut Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    let Some(path) = data.said("TargetFilename").map(str::to_owned) else { return false };
    event.class = Class::FileActivity;
    event.activity_id = match code {
        23 | 26 => 4,
        2 => 6,
        _ => 1,
    };
    event.push(Attribute::FileName, base_name(&path).to_owned());
    event.push(Attribute::FilePath, path);
    event.push(Attribute::FileTypeId, 1);
    actor("Image", "ProcessId", data, event);
    success(event);
    true
}

/// A driver that was loaded.
fn driver<'a>(data: &Data<'_, 'a>, event: &mut Event<'a>) -> bool {
    let Some(path) = data.said("ImageLoaded").map(str::to_owned) else { return false };
    event.class = Class::KernelExtensionActivity;
    event.activity_id = 1;
    event.push(Attribute::DriverFileName, base_name(&path).to_owned());
    event.push(Attribute::DriverFilePath, path);
    event.push(Attribute::DriverFileTypeId, 1);
    event.push(Attribute::ActorAppName, "Sysmon");
    success(event);
    true
}

/// A name that a process asked for: the host is the one that asks.
fn query<'a>(data: &mut Data<'_, 'a>, computer: Option<String>, event: &mut Event<'a>) -> bool {
    let Some(computer) = computer else { return false };
    if data.said("QueryName").is_none() {
        return false;
    }
    event.class = Class::DnsActivity;
    event.activity_id = 2;
    event.push(Attribute::SrcEndpointHostname, computer);
    data.push(event, Attribute::QueryHostname, "QueryName");
    // `type:  5 a.example;::ffff:192.0.2.7;`
    let results = data.said("QueryResults").unwrap_or_default().to_owned();
    let addresses = results.split(';').filter_map(|part| endpoint::ip(part.trim()));
    for (index, address) in (0..16).zip(addresses) {
        event.push_at(Attribute::AnswersRdata, index, Cow::Owned::<str>(address.to_owned()));
    }
    actor("Image", "ProcessId", data, event);
    success(event);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn events_have_their_class_whoever_brings_them() {
        for (code, data, kind) in [
            (
                1,
                r#""Image":"C:\\a\\b.exe","ProcessId":"12","CommandLine":"b.exe -x","ParentImage":"C:\\c.exe","ParentProcessId":"7","User":"EX\\ann""#,
                100_701,
            ),
            (5, r#""Image":"C:\\a\\b.exe","ProcessId":"12""#, 100_702),
            (
                3,
                r#""Image":"C:\\b.exe","ProcessId":"12","Protocol":"tcp","SourceIp":"192.0.2.7","SourcePort":"4711","DestinationIp":"198.51.100.2","DestinationPort":"443""#,
                400_101,
            ),
            (11, r#""Image":"C:\\b.exe","ProcessId":"12","TargetFilename":"C:\\t\\x.txt""#, 100_101),
            (23, r#""Image":"C:\\b.exe","ProcessId":"12","TargetFilename":"C:\\t\\x.txt""#, 100_104),
            (
                10,
                r#""SourceImage":"C:\\b.exe","SourceProcessId":"12","TargetImage":"C:\\l.exe","TargetProcessId":"9""#,
                100_703,
            ),
            (
                22,
                r#""Image":"C:\\b.exe","ProcessId":"12","QueryName":"a.example","QueryResults":"::ffff:192.0.2.9;""#,
                400_302,
            ),
            (13, r#""Image":"C:\\b.exe","TargetObject":"HKLM""#, 0),
        ] {
            const CHANNEL: &str = "Microsoft-Windows-Sysmon/Operational";
            for line in [
                format!(
                    r#"{{"@timestamp":"2026-03-16T09:00:00.000Z","winlog":{{"channel":"{CHANNEL}","event_id":{code},"computer_name":"pc","event_data":{{{data}}}}}}}"#
                ),
                format!(
                    r#"{{"EventTime":"2026-03-16T09:00:00.000Z","EventID":{code},"Channel":"{CHANNEL}","Computer":"pc",{data}}}"#
                ),
                format!(
                    r##"{{"Event":{{"System":{{"Channel":"{CHANNEL}","EventID":{code},"Computer":"pc","TimeCreated":{{"#attributes":{{"SystemTime":"2026-03-16T09:00:00.000Z"}}}}}},"EventData":{{{data}}}}}}}"##
                ),
            ] {
                let event = normalized(&line);
                assert_eq!(
                    (&event["type_uid"], &event["time"]),
                    (&json!(kind), &json!(1_773_651_600_000_i64)),
                    "{line}"
                );
                match code {
                    1 => assert_eq!(event["process"]["parent_process"], json!({"pid": 7, "name": "c.exe"}), "{line}"),
                    3 => assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 443}), "{line}"),
                    22 => assert_eq!(event["answers"], json!([{"rdata": "192.0.2.9"}]), "{line}"),
                    _ => {}
                }
            }
        }
    }
}
