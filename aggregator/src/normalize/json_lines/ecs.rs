//! Elastic Common Schema as input: what Beats, Elastic Agent and Auditbeat have parsed already.
//!
//! In: fields with `ecs.version` or `event.category`, nested or dotted. Out: the class that `event.category` and
//! `event.type` stand for, with the fields that have a home there; everything else stands in `unmapped`. Source: ECS 8 and 9,
//! "Using the categorization fields".

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::record::enforce;
use super::super::remark::spoken;
use super::super::text::base_name;
use super::super::{Context, http_fields, json, outcome, transport};
use super::bare;
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is of ECS.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    (fields.has("ecs.version") && fields.has("@timestamp"))
        || (fields.has("event.category") && !fields.has("class_uid"))
}

/// The values of a field that may be a list.
fn values<'a>(fields: &Fields<'a>, key: &str) -> Vec<Cow<'a, str>> {
    match fields.leaf(key) {
        Some(Leaf::Json(list)) => json::elements(list).take(8).filter_map(Leaf::into_text).collect(),
        Some(Leaf::Text(text)) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn class(fields: &Fields<'_>, categories: &[Cow<'_, str>]) -> Class {
    let is = |name: &str| categories.iter().any(|category| category == name);
    let alert = fields.is("event.kind", "alert") || fields.is("event.kind", "signal");
    if alert || is("intrusion_detection") || is("malware") || is("threat") {
        return Class::DetectionFinding;
    }
    if is("authentication") || is("session") {
        return Class::Authentication;
    }
    if is("iam") {
        return if fields.has("group.name") && !fields.has("user.target.name") && !fields.has("user.name") {
            Class::GroupManagement
        } else {
            Class::AccountChange
        };
    }
    if is("process") {
        return Class::ProcessActivity;
    }
    if is("file") {
        return Class::FileActivity;
    }
    if is("package") {
        return Class::ApplicationLifecycle;
    }
    if is("web") || (fields.has("http.request.method") && fields.has("url")) {
        return Class::HttpActivity;
    }
    if fields.has("dns.question.name") {
        return Class::DnsActivity;
    }
    if is("network") {
        return Class::NetworkActivity;
    }
    Class::BaseEvent
}

/// Takes what has a home.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    bare::push_time(fields, context, event);
    let _ = ["event.provider", "event.module", "event.dataset"]
        .into_iter()
        .any(|key| fields.push(event, Attribute::MetadataLogProvider, key));
    let _ = ["event.code", "event.action"].into_iter().any(|key| fields.push(event, Attribute::MetadataEventCode, key));
    bare::push_level(fields, event);
    let (categories, types) = (values(fields, "event.category"), values(fields, "event.type"));
    event.class = class(fields, &categories);
    ends(fields, event);
    let is = |name: &str| types.iter().any(|kind| kind == name);
    match event.class {
        Class::DetectionFinding => finding(fields, event),
        Class::HttpActivity => request(fields, event),
        Class::DnsActivity => {
            event.activity_id = if is("answer") || fields.has("dns.answers") { 2 } else { 1 };
            query(fields, event);
        }
        Class::Authentication => {
            let action = event.text(Attribute::MetadataEventCode).unwrap_or_default();
            let ended = (is("end") && !is("start")) || action.contains("logoff") || action.contains("logged-out");
            event.activity_id = if ended { 2 } else { 1 };
            logon(fields, event);
        }
        Class::ProcessActivity => {
            event.activity_id = if is("end") { 2 } else { 1 };
            process(fields, event);
        }
        Class::FileActivity => {
            event.activity_id = if is("creation") {
                1
            } else if is("deletion") {
                4
            } else if is("change") {
                3
            } else if is("access") {
                14
            } else {
                0
            };
            file(fields, event);
        }
        Class::AccountChange => {
            event.activity_id = if is("creation") {
                1
            } else if is("deletion") {
                6
            } else {
                0
            };
            fields.push_new(
                event,
                &[
                    (Attribute::UserName, "user.target.name"),
                    (Attribute::UserUid, "user.target.id"),
                    (Attribute::UserName, "user.name"),
                    (Attribute::UserUid, "user.id"),
                ],
            );
        }
        Class::GroupManagement => {
            event.activity_id = if is("creation") {
                6
            } else if is("deletion") {
                5
            } else {
                0
            };
            fields.push_all(event, &[(Attribute::GroupName, "group.name"), (Attribute::GroupUid, "group.id")]);
        }
        Class::ApplicationLifecycle => {
            event.activity_id = if is("installation") {
                1
            } else if is("deletion") {
                2
            } else {
                8
            };
            fields.push_all(event, &[(Attribute::AppName, "package.name"), (Attribute::AppVersion, "package.version")]);
        }
        Class::NetworkActivity => {
            event.activity_id = if is("start") {
                1
            } else if is("end") {
                2
            } else if is("denied") {
                5
            } else {
                6
            };
        }
        _ => {}
    }
    shared(fields, event, context);
    bare::push_message(fields, event);
    if event.class == Class::BaseEvent && event.value(Attribute::StatusId).is_none() {
        reported(!categories.is_empty(), fields, event);
    }
    enforce(event);
}

/// What has no class of its own: a report or an error of the service, or of the module that put it in a category that is none
/// of ours.
fn reported<'a>(is_categorized: bool, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let name = fields.text("service.name").or_else(|| fields.text("log.logger"));
    let module = event.text(Attribute::MetadataLogProvider).filter(|_| is_categorized);
    let name = name.or_else(|| module.map(|module| Cow::Owned(module.to_owned())));
    spoken(name, fields.text("error.message"), event);
}

/// Both ends, as every class has them that has any.
fn ends<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if event.class == Class::DetectionFinding {
        fields.push_evidence_ends(
            event,
            [
                (&["source.ip", "client.ip", "source.address"], "source.port"),
                (&["destination.ip", "server.ip", "destination.address"], "destination.port"),
            ],
        );
        return;
    }
    let sources = [("source.ip", "source.port"), ("client.ip", "client.port"), ("source.address", "source.port")];
    let _ = sources.into_iter().any(|(host, port)| fields.push_source(event, host, port));
    let destinations = [
        ("destination.ip", "destination.port"),
        ("server.ip", "server.port"),
        ("destination.address", "destination.port"),
    ];
    let _ = destinations.into_iter().any(|(host, port)| fields.push_destination(event, host, port));
    fields.push_new(
        event,
        &[(Attribute::SrcEndpointHostname, "source.domain"), (Attribute::DstEndpointHostname, "destination.domain")],
    );
}

/// What any class may have.
fn shared<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, context: &Context<'a>) {
    if event.class.carries(Attribute::ConnectionDirectionId) {
        let protocol =
            fields.peek("network.transport").or_else(|| fields.peek("network.iana_number")).map(str::to_owned);
        transport::push(event, protocol.as_deref());
        let direction = match fields.peek("network.direction") {
            Some("inbound" | "ingress" | "incoming") => 1,
            Some("outbound" | "egress" | "outgoing") => 2,
            Some("internal") => 3,
            _ => 0,
        };
        event.set(Attribute::ConnectionDirectionId, direction);
    }
    let mac = |fields: &Fields<'_>, key: &str| fields.peek(key).is_some_and(|text| text.len() == 17);
    for (attribute, key) in [(Attribute::SrcEndpointMac, "source.mac"), (Attribute::DstEndpointMac, "destination.mac")]
    {
        if mac(fields, key) {
            fields.push(event, attribute, key);
        }
    }
    fields.push_new(
        event,
        &[
            (Attribute::AppProtocolName, "network.protocol"),
            (Attribute::ConnectionCommunityUid, "network.community_id"),
            (Attribute::TrafficBytesOut, "source.bytes"),
            (Attribute::TrafficBytesIn, "destination.bytes"),
            (Attribute::TrafficPacketsOut, "source.packets"),
            (Attribute::TrafficPacketsIn, "destination.packets"),
            (Attribute::TrafficBytes, "network.bytes"),
            (Attribute::TrafficPackets, "network.packets"),
            (Attribute::TlsVersion, "tls.version"),
            (Attribute::TlsCipher, "tls.cipher"),
            (Attribute::TlsSni, "tls.client.server_name"),
            (Attribute::MetadataCorrelationUid, "trace.id"),
            (Attribute::MetadataCorrelationUid, "event.id"),
            (Attribute::StatusDetail, "event.reason"),
            (Attribute::FirewallRuleName, "rule.name"),
            (Attribute::FirewallRuleUid, "rule.id"),
        ],
    );
    if event.class != Class::ProcessActivity {
        fields.push_new(
            event,
            &[(Attribute::ActorProcessPid, "process.pid"), (Attribute::ActorProcessName, "process.name")],
        );
    }
    fields.push_new(event, &[(Attribute::ActorUserName, "user.name"), (Attribute::ActorUserUid, "user.id")]);
    for (attribute, key) in [(Attribute::StartTime, "event.start"), (Attribute::EndTime, "event.end")] {
        fields.push_moment(event, attribute, key, context.reference);
    }
    if event.value(Attribute::StatusId).is_none() {
        match fields.peek("event.outcome") {
            Some("success") => outcome::success(event),
            Some("failure") => outcome::failure(event, ""),
            _ => return,
        }
        fields.take("event.outcome");
    }
}

fn finding<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.activity_id = 1;
    let rule = ["rule.name", "rule.id", "event.action", "threat.technique.name", "message"]
        .into_iter()
        .find_map(|key| fields.peek(key))
        .unwrap_or("alert")
        .to_owned();
    let at = fields.peek("event.id").map_or_else(|| event.time.0.to_string(), str::to_owned);
    event.push(Attribute::FindingUid, format!("{}:{at}", fields.peek("rule.id").unwrap_or(&rule)));
    event.push(Attribute::FindingTitle, rule);
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    event.severity_id = event.severity_id.max(3);
    fields.push_all(
        event,
        &[
            (Attribute::FindingAnalyticName, "rule.name"),
            (Attribute::FindingAnalyticUid, "rule.id"),
            (Attribute::FindingAnalyticCategory, "rule.category"),
            (Attribute::FindingDesc, "rule.description"),
            (Attribute::EvidencesUserName, "user.name"),
            (Attribute::EvidencesUrlString, "url.original"),
        ],
    );
    let path = fields.peek("file.path").map(str::to_owned);
    if let Some(path) = path {
        fields.take("file.path");
        event.push(Attribute::EvidencesFileName, base_name(&path).to_owned());
        event.push(Attribute::EvidencesFilePath, path);
        event.push(Attribute::EvidencesFileTypeId, 0);
    }
}

fn request<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if let Some(method) = fields.text("http.request.method") {
        http_fields::push_method(event, method);
    }
    let host = fields.text("url.domain");
    let url = ["url.original", "url.full", "url.path"].into_iter().find_map(|key| fields.text(key));
    match (url, host) {
        (Some(url), host) => http_fields::push_target(event, url, host),
        (None, Some(host)) => event.unmap("url.domain", host),
        (None, None) => {}
    }
    fields.push_new(
        event,
        &[
            (Attribute::HttpRequestUrlQueryString, "url.query"),
            (Attribute::HttpRequestUserAgent, "user_agent.original"),
            (Attribute::HttpRequestReferrer, "http.request.referrer"),
            (Attribute::HttpRequestVersion, "http.version"),
            (Attribute::HttpRequestBodyLength, "http.request.body.bytes"),
        ],
    );
    if let Some(code) = fields.leaf("http.response.status_code").and_then(Leaf::as_number)
        && http_fields::push_status(event, code)
    {
        fields.take("http.response.status_code");
        fields.push(event, Attribute::HttpResponseBodyLength, "http.response.body.bytes");
    }
}

fn query<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    if fields.push(event, Attribute::QueryHostname, "dns.question.name") {
        fields.push_all(
            event,
            &[
                (Attribute::QueryType, "dns.question.type"),
                (Attribute::QueryClass, "dns.question.class"),
                (Attribute::QueryPacketUid, "dns.id"),
            ],
        );
    }
    if let Some(code) = fields.text("dns.response_code") {
        super::push_rcode(event, code);
    }
    let addresses = values(fields, "dns.resolved_ip");
    for (index, address) in (0..).zip(addresses) {
        event.push_at(Attribute::AnswersRdata, index, address);
    }
}

fn logon<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    fields.push_new(
        event,
        &[
            (Attribute::UserName, "user.target.name"),
            (Attribute::UserName, "user.name"),
            (Attribute::UserName, "user.effective.name"),
            (Attribute::UserName, "related.user"),
            (Attribute::UserUid, "user.id"),
            (Attribute::UserDomain, "user.domain"),
            (Attribute::ServiceName, "service.name"),
            (Attribute::ServiceName, "process.name"),
            (Attribute::SessionUid, "session.id"),
        ],
    );
    let ended =
        event.value(Attribute::DstEndpointIp).is_some() || event.value(Attribute::DstEndpointHostname).is_some();
    if event.value(Attribute::ServiceName).is_none() && !ended {
        let provider = event.text(Attribute::MetadataLogProvider).unwrap_or("unknown").to_owned();
        event.push(Attribute::ServiceName, provider);
    }
}

fn process<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let path = fields.text("process.executable");
    fields.push_all(
        event,
        &[
            (Attribute::ProcessPid, "process.pid"),
            (Attribute::ProcessUid, "process.entity_id"),
            (Attribute::ProcessName, "process.name"),
            (Attribute::ProcessCmdLine, "process.command_line"),
            (Attribute::ProcessWorkingDirectory, "process.working_directory"),
            (Attribute::ProcessParentPid, "process.parent.pid"),
            (Attribute::ProcessParentName, "process.parent.name"),
            (Attribute::ProcessParentCmdLine, "process.parent.command_line"),
            (Attribute::ProcessUserName, "user.name"),
            (Attribute::ProcessUserUid, "user.id"),
            (Attribute::ExitCode, "process.exit_code"),
        ],
    );
    if let Some(path) = path {
        event.push(Attribute::ProcessFileName, base_name(&path).to_owned());
        event.push(Attribute::ProcessFileTypeId, 1);
        event.push(Attribute::ProcessFilePath, path);
    }
    event.push(Attribute::ActorAppName, event.text(Attribute::MetadataLogProvider).unwrap_or("ecs").to_owned());
}

fn file<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let path = fields.text("file.path");
    if !fields.push(event, Attribute::FileName, "file.name")
        && let Some(path) = &path
    {
        event.push(Attribute::FileName, base_name(path).to_owned());
    }
    if let Some(path) = path {
        event.push(Attribute::FilePath, path);
    }
    let directory = fields.is("file.type", "dir");
    event.push(Attribute::FileTypeId, if directory { 2 } else { 1 });
    fields.push_all(
        event,
        &[
            (Attribute::FileSize, "file.size"),
            (Attribute::FileOwnerName, "file.owner"),
            (Attribute::FileOwnerUid, "file.uid"),
        ],
    );
    let mut index = 0;
    for (key, name, id) in [
        ("file.hash.md5", "MD5", 1),
        ("file.hash.sha1", "SHA-1", 2),
        ("file.hash.sha256", "SHA-256", 3),
        ("hash.sha1", "SHA-1", 2),
        ("hash.sha256", "SHA-256", 3),
    ] {
        if fields.push_at(event, Attribute::FileHashValue, index, key) {
            event.push_at(Attribute::FileHashAlgorithm, index, name);
            event.push_at(Attribute::FileHashAlgorithmId, index, id);
            index += 1;
        }
    }
    event.push(Attribute::ActorAppName, event.text(Attribute::MetadataLogProvider).unwrap_or("ecs").to_owned());
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn categories_are_classes() {
        let line = |rest: &str| {
            normalized(&format!(
                r#"{{"@timestamp":"2026-03-16T09:00:00.500Z","ecs":{{"version":"8.11.0"}},"message":"m",{rest}}}"#
            ))
        };
        let event = line(
            r#""event":{"category":["authentication"],"type":["start"],"action":"ssh_login","outcome":"failure"},"user":{"name":"ann"},"source":{"ip":"192.0.2.7","port":5},"process":{"name":"sshd","pid":7}"#,
        );
        assert_eq!((event["type_uid"].as_u64(), event["status_id"].as_u64()), (Some(300_201), Some(2)));
        assert_eq!(event["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 5}));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        for (rest, type_uid) in [
            (
                r#""event.category":"web","http.request.method":"GET","url.original":"/x","http.response.status_code":200,"source.ip":"192.0.2.7""#,
                400_203,
            ),
            (
                r#""event":{"category":["network"],"type":["connection"]},"source":{"ip":"192.0.2.7"},"destination":{"ip":"192.0.2.9","port":53},"network":{"transport":"udp"}"#,
                400_106,
            ),
            (
                r#""event":{"category":["network"]},"dns":{"question":{"name":"a.example.com","type":"A"}},"source":{"ip":"192.0.2.7"}"#,
                400_301,
            ),
            (
                r#""event":{"category":["process"],"type":["start"]},"process":{"pid":7,"name":"ls","executable":"/bin/ls"}"#,
                100_701,
            ),
            (r#""event":{"category":["file"],"type":["deletion"]},"file":{"path":"/etc/x"}"#, 100_104),
            (
                r#""event":{"kind":"alert","category":["intrusion_detection"]},"rule":{"name":"r","id":"5"},"source":{"ip":"192.0.2.7"}"#,
                200_401,
            ),
            (r#""event":{"category":["authentication"]}"#, 0),
            (r#""event":{"category":["host"]}"#, 0),
        ] {
            assert_eq!(line(rest)["type_uid"], type_uid, "{rest}");
        }
    }
}
