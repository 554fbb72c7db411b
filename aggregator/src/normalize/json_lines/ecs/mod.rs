//! Elastic Common Schema as input: what Beats, Elastic Agent and Auditbeat have parsed already.
//!
//! In: fields with `ecs.version` or `event.category`, nested or dotted. Out: the class that `event.category` and
//! `event.type` stand for, with the fields that have a home there; everything else stands in `unmapped`. Source: ECS 8 and 9,
//! "Using the categorization fields".

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::record::enforce;
use super::super::remark::spoken;
use super::super::{Context, http_fields, json, outcome, transport};
use super::windows::base_name;
use super::{attacks, bare, push_evidence_file};
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
    // What Windows says of its own log, which Winlogbeat puts among accounts and processes.
    if fields.has("winlog") && ["1100", "1102", "104"].iter().any(|code| fields.is("winlog.event_id", code)) {
        return Class::EventLogActivity;
    }
    if is("iam") {
        let of_group = values(fields, "event.type").iter().any(|kind| kind == "group");
        let named = fields.has("user.target.name") || fields.has("user.name");
        return if fields.has("group.name") && (of_group || !named) {
            Class::GroupManagement
        } else if fields.is("event.kind", "state") {
            Class::UserInventory
        } else {
            Class::AccountChange
        };
    }
    if is("driver") && (fields.has("file.name") || fields.has("file.path")) {
        return Class::KernelExtensionActivity;
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
    let requested = fields.has("http.request.method") && fields.has("url");
    if requested || (is("web") && (fields.has("http") || fields.has("url") || fields.has("url.original"))) {
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
    // An access log's dash is nobody.
    if fields.is("user.name", "-") {
        fields.take("user.name");
    }
    let (categories, types) = (values(fields, "event.category"), values(fields, "event.type"));
    event.class = class(fields, &categories);
    ends(fields, event);
    let is = |name: &str| types.iter().any(|kind| kind == name);
    match event.class {
        Class::DetectionFinding => finding(fields, event),
        Class::HttpActivity => request(fields, event),
        Class::DnsActivity => {
            let answered = ["dns.answers", "dns.response_code"].iter().any(|key| fields.has(key));
            event.activity_id = if answered || is("answer") || fields.is("dns.type", "answer") { 2 } else { 1 };
            query(fields, event);
        }
        Class::Authentication => {
            let action = event.text(Attribute::MetadataEventCode).unwrap_or_default();
            let ended = (is("end") && !is("start")) || action.contains("logoff") || action.contains("logged-out");
            event.activity_id = if ended { 2 } else { 1 };
            logon(fields, event);
        }
        Class::ProcessActivity => {
            event.activity_id = if is("start") {
                1
            } else if is("end") {
                2
            } else {
                0
            };
            process(fields, event);
        }
        Class::FileActivity => {
            const ACTIVITIES: [(&str, u8); 4] = [("creation", 1), ("deletion", 4), ("change", 3), ("access", 14)];
            event.activity_id = ACTIVITIES.iter().find(|(kind, _)| is(kind)).map_or(0, |(_, activity)| *activity);
            file(fields, event);
        }
        Class::AccountChange | Class::UserInventory => account(&types, fields, event),
        Class::GroupManagement => group(&types, fields, event),
        Class::EventLogActivity => event.activity_id = if fields.is("winlog.event_id", "1100") { 7 } else { 1 },
        Class::KernelExtensionActivity => {
            event.activity_id = if is("end") { 2 } else { 1 };
            driver(fields, event);
        }
        Class::ApplicationLifecycle => package(&types, fields, event),
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
    if event.class == Class::BaseEvent {
        // What is reported says itself how it ended: a failure weighs as an error.
        event.fields.retain(|field| !matches!(field.attribute, Attribute::Status | Attribute::StatusId));
        reported(!categories.is_empty(), fields, event);
    }
    enforce(event);
}

/// Whether an event is of this type.
fn is_of(types: &[Cow<'_, str>], name: &str) -> bool {
    types.iter().any(|kind| kind == name)
}

/// What was done, in a word of Winlogbeat or Auditbeat.
fn action<'e>(fields: &'e Fields<'_>, event: &'e Event<'_>) -> &'e str {
    fields.peek("event.action").or_else(|| event.text(Attribute::MetadataEventCode)).unwrap_or_default()
}

/// An account that was changed, or that is there.
fn account<'a>(types: &[Cow<'_, str>], fields: &mut Fields<'a>, event: &mut Event<'a>) {
    const ACTIONS: [(&str, u8); 8] = [
        ("reset-password", 4),
        ("password-reset", 4),
        ("password", 3),
        ("unlocked", 12),
        ("locked-out", 9),
        ("enabled", 2),
        ("disabled", 5),
        ("deleted", 6),
    ];
    let action = action(fields, event);
    event.activity_id = match event.class {
        Class::UserInventory => 2,
        _ if is_of(types, "creation") => 1,
        _ if is_of(types, "deletion") => 6,
        _ => ACTIONS.iter().find(|(word, _)| action.contains(word)).map_or(0, |(_, activity)| *activity),
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

/// A group that was made or deleted, or a member of it.
fn group<'a>(types: &[Cow<'_, str>], fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let action = action(fields, event);
    event.activity_id = match () {
        () if is_of(types, "creation") => 6,
        () if is_of(types, "deletion") => 5,
        () if action.contains("removed") => 4,
        () if action.contains("added") => 3,
        _ => 0,
    };
    fields.push_all(
        event,
        &[
            (Attribute::GroupName, "group.name"),
            (Attribute::GroupUid, "group.id"),
            (Attribute::UserName, "user.target.name"),
            (Attribute::UserUid, "user.target.id"),
        ],
    );
}

/// A package that came, went or changed, or that is there.
fn package<'a>(types: &[Cow<'_, str>], fields: &mut Fields<'a>, event: &mut Event<'a>) {
    const ACTIVITIES: [(&str, u8); 3] = [("installation", 1), ("deletion", 2), ("change", 8)];
    let activity = ACTIVITIES.iter().find(|(kind, _)| is_of(types, kind)).map(|(_, activity)| *activity);
    event.activity_id = activity.unwrap_or(99);
    if activity.is_none() {
        event.push(Attribute::ActivityName, "Report");
    }
    fields.push_all(event, &[(Attribute::AppName, "package.name"), (Attribute::AppVersion, "package.version")]);
}

/// A driver or module that was loaded or taken out.
fn driver<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    let path = fields.text("file.path");
    if !fields.push(event, Attribute::DriverFileName, "file.name")
        && let Some(path) = &path
    {
        event.push(Attribute::DriverFileName, base_name(path).to_owned());
    }
    if let Some(path) = path {
        event.push(Attribute::DriverFilePath, path);
    }
    event.push(Attribute::DriverFileTypeId, 1);
    event.push(Attribute::ActorAppName, event.text(Attribute::MetadataLogProvider).unwrap_or("ecs").to_owned());
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
    // Who asks for a name and says nothing of an end is the host itself.
    let ends = [Attribute::SrcEndpointIp, Attribute::SrcEndpointHostname, Attribute::DstEndpointIp];
    if event.class == Class::DnsActivity && ends.into_iter().all(|end| event.value(end).is_none()) {
        let hosts = ["host.ip", "host.name", "host.hostname", "winlog.computer_name"];
        let _ = hosts.into_iter().any(|host| fields.push_source(event, host, ""));
    }
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

/// MITRE ATT&CK as ECS names it.
const ATTACKS: attacks::Keys = attacks::Keys {
    technique: "threat.technique.id",
    beside: &[
        (Attribute::FindingAttacksTechniqueName, "threat.technique.name"),
        (Attribute::FindingAttacksTacticUid, "threat.tactic.id"),
        (Attribute::FindingAttacksTacticName, "threat.tactic.name"),
    ],
};

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
    attacks::push(fields, &ATTACKS, event);
    push_evidence_file(fields, "file.path", event);
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
        let unknown = if fields.has("winlog") { "Windows" } else { "unknown" };
        let provider = event.text(Attribute::MetadataLogProvider).unwrap_or(unknown).to_owned();
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
    let numbered = event.value(Attribute::ProcessPid).is_some() || event.value(Attribute::ProcessUid).is_some();
    let named = event.value(Attribute::ProcessName).is_some() || event.value(Attribute::ProcessCmdLine).is_some();
    // A command that was run through another program (sudo) has no number of its own.
    if named && !numbered {
        event.push(Attribute::ProcessUid, event.id.to_string());
    }
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
mod tests;
