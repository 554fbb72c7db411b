//! What services of AWS write as JSON: GuardDuty and Security Hub (2004), WAF (4002), flow logs (4001), the resolver's queries
//! (4003), and Cloudflare's.
//!
//! In: fields as the service or EventBridge (`detail`) hands them on. Out: the event with its ends, its time and what was done
//! about it. Source: Amazon, "GuardDuty finding format", "AWS Security Finding Format", "AWS WAF log fields", "Flow log
//! records", "Values that appear in Resolver query logs".

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{Control, controlled, failure, success};
use super::super::{Context, http_fields, json, transport};
use super::eve::push_rcode;
use super::falco::{Process, push_process};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// `detail.` where EventBridge stands around it.
fn prefix(fields: &Fields<'_>) -> &'static str {
    if fields.has("detail-type") && fields.has("detail") { "detail." } else { "" }
}

/// Whether it is a finding of GuardDuty.
pub(super) fn looks_guardduty(fields: &Fields<'_>) -> bool {
    fields.is("service.serviceName", "guardduty") || fields.is("detail.service.serviceName", "guardduty")
}

/// Takes the finding and both ends of what it saw.
pub(super) fn parse_guardduty<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let prefix = prefix(fields);
    let key = |name: &str| format!("{prefix}{name}");
    event.push(Attribute::MetadataLogProvider, "guardduty");
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let times = ["updatedAt", "service.eventLastSeen", "createdAt"];
    let _ = times.into_iter().any(|name| fields.push_time(event, &key(name), context.reference))
        || fields.push_time(event, "time", context.reference);
    // 1.0 to 3.9 is low, to 6.9 medium, to 8.9 high, above it critical.
    event.severity_id = match fields.number(&key("severity")) {
        Some(9..) => 5,
        Some(7..) => 4,
        Some(4..) => 3,
        _ => 2,
    };
    titled(fields, event, [&key("id"), &key("title"), &key("description"), &key("type")]);
    let action = ["networkConnectionAction", "awsApiCallAction", "kubernetesApiCallAction", "rdsLoginAttemptAction"]
        .into_iter()
        .map(|name| key(&format!("service.action.{name}")))
        .find(|name| fields.has(name));
    let action = action.unwrap_or_default();
    let local = format!("{action}.localIpDetails.ipAddressV4");
    let remote = format!("{action}.remoteIpDetails.ipAddressV4");
    let (near, far) = (format!("{action}.localPortDetails.port"), format!("{action}.remotePortDetails.port"));
    let outbound = fields.is(&format!("{action}.connectionDirection"), "OUTBOUND");
    let (here, there) = ([local.as_str()], [remote.as_str()]);
    let (here, there) = ((here.as_slice(), near.as_str()), (there.as_slice(), far.as_str()));
    fields.push_evidence_ends(event, if outbound { [here, there] } else { [there, here] });
    let users = [
        "resource.kubernetesDetails.kubernetesUserDetails.username",
        "resource.accessKeyDetails.userName",
        "resource.rdsDbUserDetails.user",
        "service.runtimeDetails.process.user",
    ];
    let _ = users.into_iter().any(|name| fields.push(event, Attribute::EvidencesUserName, &key(name)));
    fields.push(event, Attribute::EvidencesQueryHostname, &key("service.action.dnsRequestAction.domain"));
    let process = |name: &str| key(&format!("service.runtimeDetails.process.{name}"));
    let process = Process {
        name: fields.text(&process("name")),
        path: fields.text(&process("executablePath")),
        pid: fields.number(&process("pid")),
        ..Process::default()
    };
    push_process(process, event);
    if ["networkConnectionAction", "dnsRequestAction", "portProbeAction"]
        .into_iter()
        .any(|name| fields.is_true(&key(&format!("service.action.{name}.blocked"))))
    {
        controlled(event, Control::Blocked);
    }
    fields.push(event, Attribute::Count, &key("service.count"));
}

/// Uid, title, description and kind of a finding.
fn titled<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, [id, title, description, kind]: [&str; 4]) {
    fields.push(event, Attribute::FindingUid, id);
    if let Some(title) = fields.text(title) {
        event.push(Attribute::FindingTitle, title.clone());
        event.push(Attribute::Message, title);
    }
    fields.push(event, Attribute::FindingDesc, description);
    if let Some(kind) = fields.text(kind) {
        event.push(Attribute::FindingAnalyticName, kind.clone());
        event.push(Attribute::FindingAnalyticTypeId, 1);
        event.push(Attribute::FindingTypes, kind);
    }
    event.push(Attribute::IsAlert, true);
}

/// Whether it is a finding of Security Hub.
pub(super) fn looks_finding(fields: &Fields<'_>) -> bool {
    fields.has("ProductArn") && fields.has("GeneratorId") && fields.has("Title")
}

/// Takes the finding.
pub(super) fn parse_finding<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "security-hub");
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    let times = ["UpdatedAt", "LastObservedAt", "CreatedAt"];
    let _ = times.into_iter().any(|key| fields.push_time(event, key, context.reference));
    event.severity_id = match fields.peek("Severity.Label") {
        Some("CRITICAL") => 5,
        Some("HIGH") => 4,
        Some("MEDIUM") => 3,
        Some("LOW") => 2,
        _ => 1,
    };
    titled(fields, event, ["Id", "Title", "Description", "GeneratorId"]);
    let ends = [
        (&["Network.SourceIpV4", "Network.SourceIpV6"][..], "Network.SourcePort"),
        (&["Network.DestinationIpV4", "Network.DestinationIpV6"][..], "Network.DestinationPort"),
    ];
    fields.push_evidence_ends(event, ends);
}

/// Whether it is a request that WAF looked at.
pub(super) fn looks_waf(fields: &Fields<'_>) -> bool {
    fields.has("webaclId") && fields.has("httpRequest.clientIp")
}

/// Most headers that are looked at.
const HEADERS_MAX: usize = 64;

/// Takes the request and what WAF did with it.
pub(super) fn parse_waf<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "aws-waf");
    event.class = Class::HttpActivity;
    fields.push_time(event, "timestamp", context.reference);
    fields.push_source(event, "httpRequest.clientIp", "");
    if let Some(method) = fields.text("httpRequest.httpMethod") {
        http_fields::push_method(event, method);
    }
    let mut host = None;
    if let Some(Leaf::Json(list)) = fields.leaf("httpRequest.headers") {
        for header in json::elements(list).take(HEADERS_MAX) {
            let Leaf::Json(header) = header else { continue };
            let Some(mut header) = json::read(header) else { continue };
            let Some((name, value)) = header.text("name").zip(header.text("value")) else { continue };
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("host") {
                host = Some(value);
            } else if is("user-agent") && event.value(Attribute::HttpRequestUserAgent).is_none() {
                event.push(Attribute::HttpRequestUserAgent, value);
            } else if is("referer") && event.value(Attribute::HttpRequestReferrer).is_none() {
                event.push(Attribute::HttpRequestReferrer, value);
            }
        }
    }
    if let Some(uri) = fields.text("httpRequest.uri") {
        http_fields::push_target(event, uri, host);
    }
    if event.value(Attribute::HttpRequestUrlQueryString).is_none() {
        fields.push(event, Attribute::HttpRequestUrlQueryString, "httpRequest.args");
    }
    if let Some(version) = fields.text("httpRequest.httpVersion") {
        event.push(Attribute::HttpRequestVersion, version.trim_start_matches("HTTP/").to_owned());
    }
    fields.push(event, Attribute::MetadataCorrelationUid, "httpRequest.requestId");
    let rule = fields.text("terminatingRuleId");
    let action = fields.text("action").unwrap_or_default();
    let said = |attribute| event.text(attribute).unwrap_or_default();
    let method = said(Attribute::HttpRequestMethod);
    let message = format!("{action} {method} {}", said(Attribute::HttpRequestUrlString));
    event.push(Attribute::Message, message);
    if matches!(&*action, "BLOCK" | "CAPTCHA" | "CHALLENGE") {
        controlled(event, Control::Blocked);
        failure(event, rule.clone().unwrap_or_default());
    } else {
        controlled(event, Control::Allowed);
        success(event);
    }
    if let Some(rule) = rule {
        event.push(Attribute::FirewallRuleName, rule);
    }
}

/// Whether it is a record of flows.
pub(super) fn looks_flow(fields: &Fields<'_>) -> bool {
    let any = |keys: [&str; 3]| keys.into_iter().any(|key| fields.has(key));
    any(["srcaddr", "srcAddr", "src_addr"])
        && any(["dstaddr", "dstAddr", "dst_addr"])
        && any(["interface_id", "interfaceId", "action"])
}

/// Takes both ends, what flowed and whether it was let through.
pub(super) fn parse_flow<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "vpc-flow");
    event.class = Class::NetworkActivity;
    let sources = [("srcaddr", "srcport"), ("srcAddr", "srcPort"), ("src_addr", "src_port")];
    let _ = sources.into_iter().any(|(host, port)| fields.push_source(event, host, port));
    let destinations = [("dstaddr", "dstport"), ("dstAddr", "dstPort"), ("dst_addr", "dst_port")];
    let _ = destinations.into_iter().any(|(host, port)| fields.push_destination(event, host, port));
    let times = ["start", "end", "@timestamp", "timestamp", "time"];
    let is_start = fields.push_moment(event, Attribute::StartTime, "start", context.reference);
    fields.push_moment(event, Attribute::EndTime, "end", context.reference);
    if is_start {
        if let Some(crate::event::Value::Int(start)) = event.value(Attribute::StartTime).cloned() {
            event.time = shared::time::Timestamp(start.saturating_mul(1_000_000));
            event.push(Attribute::MetadataOriginalTime, (start / 1000).to_string());
        }
    } else {
        let _ = times.into_iter().any(|key| fields.push_time(event, key, context.reference));
    }
    let protocol = fields.peek("protocol").map(str::to_owned);
    transport::push(event, protocol.as_deref());
    fields.push_all(event, &[(Attribute::TrafficBytes, "bytes"), (Attribute::TrafficPackets, "packets")]);
    let action = fields.text("action").unwrap_or_default();
    event.push(Attribute::Message, format!("flow {action}"));
    match action.as_ref() {
        "REJECT" => {
            event.activity_id = 5;
            controlled(event, Control::Blocked);
            failure(event, "");
        }
        "ACCEPT" => {
            event.activity_id = 6;
            controlled(event, Control::Allowed);
            success(event);
        }
        _ => event.activity_id = 6,
    }
}

/// Whether it is a query that Route 53's resolver or Cloudflare's answered.
pub(super) fn looks_query(fields: &Fields<'_>) -> bool {
    (fields.has("query_name") && fields.has("query_type") && fields.has("rcode"))
        || (fields.has("QueryName") && fields.has("QueryType") && (fields.has("SourceIP") || fields.has("SrcIP")))
}

/// Most answers that are taken.
const ANSWERS_MAX: usize = 64;

/// Takes the query and its answers.
pub(super) fn parse_query<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, if fields.has("QueryName") { "cloudflare" } else { "route53" });
    event.class = Class::DnsActivity;
    let times = ["query_timestamp", "timestamp", "@timestamp", "Timestamp", "Datetime"];
    let _ = times.into_iter().any(|key| fields.push_time(event, key, context.reference));
    let sources = [("srcaddr", "srcport"), ("SourceIP", "SourcePort"), ("SrcIP", "SrcPort")];
    let _ = sources.into_iter().any(|(host, port)| fields.push_source(event, host, port));
    fields.push_destination(event, "DstIP", "DstPort");
    let name = fields.text("query_name").or_else(|| fields.text("QueryName")).unwrap_or_default();
    let kind = ["query_type", "QueryTypeName", "QueryType"].into_iter().find(|key| fields.peek(key).is_some());
    event.push(Attribute::Message, format!("{name} {}", kind.and_then(|key| fields.peek(key)).unwrap_or_default()));
    event.push(Attribute::QueryHostname, name);
    if let Some(kind) = kind {
        fields.push(event, Attribute::QueryType, kind);
    }
    fields.push(event, Attribute::QueryClass, "query_class");
    let transport = fields.peek("transport").map(str::to_owned);
    transport::push(event, transport.as_deref());
    if let Some(code) = fields.text("rcode") {
        push_rcode(event, code);
    }
    if let Some(code) = ["ResponseCode", "RCode"].into_iter().find_map(|key| fields.number(key)) {
        const NAMES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
        let name = usize::try_from(code).ok().and_then(|code| NAMES.get(code));
        match name {
            Some(name) => push_rcode(event, Cow::Borrowed(name)),
            None => event.unmap("rcode", code),
        }
    }
    event.activity_id = 2;
    let Some(Leaf::Json(list)) = fields.leaf("answers") else { return };
    let mut index = 0;
    for answer in json::elements(list).take(ANSWERS_MAX) {
        let Leaf::Json(answer) = answer else { continue };
        let Some(mut answer) = json::read(answer) else { continue };
        if answer.push_at(event, Attribute::AnswersRdata, index, "Rdata") {
            answer.push_at(event, Attribute::AnswersType, index, "Type");
            answer.push_at(event, Attribute::AnswersClass, index, "Class");
            index += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn findings_name_what_they_saw() {
        let finding = r#"{"accountId":"1","id":"f1","type":"Recon:EC2/PortProbe","severity":8,"title":"probed","description":"d","createdAt":"2026-03-16T08:00:00.000Z","updatedAt":"2026-03-16T09:00:00.000Z","service":{"serviceName":"guardduty","count":3,"action":{"actionType":"NETWORK_CONNECTION","networkConnectionAction":{"connectionDirection":"INBOUND","remoteIpDetails":{"ipAddressV4":"192.0.2.7"},"remotePortDetails":{"port":4711},"localIpDetails":{"ipAddressV4":"198.51.100.2"},"localPortDetails":{"port":22}}}}}"#;
        let bridged = format!(
            r#"{{"version":"0","detail-type":"GuardDuty Finding","source":"aws.guardduty","time":"2026-03-16T09:00:00Z","detail":{finding}}}"#
        );
        for line in [finding, bridged.as_str()] {
            let event = normalized(line);
            assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(4)), "{line}");
            assert_eq!((&event["time"], &event["count"]), (&json!(1_773_651_600_000_i64), &json!(3)));
            assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
            assert_eq!(event["evidences"][0]["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 22}));
            assert_eq!((&event["finding_info"]["uid"], &event["message"]), (&json!("f1"), &json!("probed")));
        }
        let event = normalized(
            r#"{"id":"f2","type":"t","title":"t","updatedAt":"2026-03-16T09:00:00Z","resource":{"kubernetesDetails":{"kubernetesUserDetails":{"username":"bob"}}},"service":{"serviceName":"guardduty","action":{"dnsRequestAction":{"domain":"bad.example","blocked":true}},"runtimeDetails":{"process":{"name":"sh","executablePath":"/bin/sh","pid":7}}}}"#,
        );
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["query"], json!({"hostname": "bad.example"}));
        assert_eq!((&evidence["user"]["name"], &evidence["process"]["pid"]), (&json!("bob"), &json!(7)));
        assert_eq!((&evidence["process"]["file"]["path"], &event["disposition_id"]), (&json!("/bin/sh"), &json!(2)));
        let event = normalized(
            r#"{"SchemaVersion":"2018-10-08","Id":"a","ProductArn":"p","GeneratorId":"g","Title":"t","Severity":{"Label":"HIGH"},"UpdatedAt":"2026-03-16T09:00:00Z"}"#,
        );
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(4)));
    }

    #[test]
    fn requests_flows_and_queries_have_their_class() {
        let event = normalized(
            r#"{"timestamp":1773651600000,"webaclId":"w","terminatingRuleId":"r","action":"BLOCK","httpRequest":{"clientIp":"192.0.2.7","headers":[{"name":"Host","value":"a.example"},{"name":"User-Agent","value":"curl"}],"uri":"/x","args":"a=b","httpVersion":"HTTP/1.1","httpMethod":"GET"}}"#,
        );
        assert_eq!((&event["type_uid"], &event["disposition_id"]), (&json!(400_203), &json!(2)));
        assert_eq!(event["http_request"]["url"]["hostname"], "a.example");
        assert_eq!(
            (&event["src_endpoint"]["ip"], &event["time"]),
            (&json!("192.0.2.7"), &json!(1_773_651_600_000_i64))
        );
        let event = normalized(
            r#"{"version":2,"interface_id":"eni-1","srcaddr":"192.0.2.7","dstaddr":"198.51.100.2","srcport":4711,"dstport":22,"protocol":6,"packets":2,"bytes":99,"start":1773651600,"end":1773651660,"action":"REJECT"}"#,
        );
        assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(400_105), &json!(2)));
        assert_eq!(
            (&event["time"], &event["end_time"]),
            (&json!(1_773_651_600_000_i64), &json!(1_773_651_660_000_i64))
        );
        assert_eq!(event["dst_endpoint"], json!({"ip": "198.51.100.2", "port": 22}));
        let event = normalized(
            r#"{"query_timestamp":"2026-03-16T09:00:00Z","query_name":"a.example.","query_type":"A","query_class":"IN","rcode":"NOERROR","answers":[{"Rdata":"198.51.100.2","Type":"A","Class":"IN"}],"srcaddr":"192.0.2.7","srcport":"4711","transport":"UDP"}"#,
        );
        assert_eq!((&event["type_uid"], &event["query"]["hostname"]), (&json!(400_302), &json!("a.example.")));
        assert_eq!(event["answers"][0]["rdata"], "198.51.100.2");
        let event = normalized(
            r#"{"QueryName":"a.example","QueryType":28,"ResponseCode":3,"SourceIP":"192.0.2.7","Timestamp":"2026-03-16T09:00:00Z"}"#,
        );
        assert_eq!((&event["type_uid"], &event["rcode_id"]), (&json!(400_302), &json!(3)));
    }
}
