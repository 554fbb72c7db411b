//! The JSON audit log of ModSecurity, versions 2 and 3.
//!
//! In: fields of `transaction`. Out: a finding (2004) where a rule matched, else the request (4002). Source: ModSecurity 2
//! `apache2/msc_logging.c`, libmodsecurity 3 `src/transaction.cc`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::{Context, http_fields, json, modsecurity, outcome};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it is a record of the audit log.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    fields.has("transaction.client_ip") || (fields.has("transaction.remote_address") && fields.has("request"))
}

/// Takes the request and the first rule that matched.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.push(Attribute::MetadataLogProvider, "modsecurity");
    let _ = ["transaction.time_stamp", "transaction.time"]
        .into_iter()
        .any(|key| fields.push_time(event, key, context.reference));
    let unique = fields.text("transaction.unique_id").or_else(|| fields.text("transaction.transaction_id"));
    match rule(fields) {
        Some(rule) => finding(rule, unique.as_deref().unwrap_or_default(), fields, event),
        None => request(fields, event),
    }
    if let Some(unique) = unique {
        event.push(Attribute::MetadataCorrelationUid, unique);
    }
}

/// What the first message says.
struct Rule<'a> {
    title: Cow<'a, str>,
    id: Cow<'a, str>,
    severity: u8,
}

fn rule<'a>(fields: &Fields<'a>) -> Option<Rule<'a>> {
    let list = ["transaction.messages", "audit_data.messages"].into_iter().find_map(|key| match fields.leaf(key) {
        Some(Leaf::Json(list)) => Some(*list),
        _ => None,
    })?;
    match json::elements(list).next()? {
        Leaf::Json(object) => {
            let mut message = json::read(object)?;
            let severity = message.peek("details.severity").map_or(2, modsecurity::severity);
            let id = message.text("details.ruleId").unwrap_or_default();
            Some(Rule { title: message.text("message").unwrap_or(Cow::Borrowed("rule matched")), id, severity })
        }
        Leaf::Text(text) => {
            let part = |key: &str| {
                let (_, rest) = text.split_once(key)?;
                rest.split_once("\"]").map(|(value, _)| value.to_owned())
            };
            let severity = part("[severity \"").map_or(2, |text| modsecurity::severity(&text));
            let title = part("[msg \"").map_or_else(|| text.clone(), Cow::Owned);
            Some(Rule { title, id: Cow::Owned(part("[id \"").unwrap_or_default()), severity })
        }
        _ => None,
    }
}

fn finding<'a>(rule: Rule<'a>, unique: &str, fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.severity_id = rule.severity;
    event.push(Attribute::FindingUid, format!("{}:{unique}", rule.id));
    event.push(Attribute::FindingTitle, rule.title.clone());
    event.push(Attribute::FindingAnalyticName, rule.title.clone());
    event.push(Attribute::FindingAnalyticTypeId, 1);
    if !rule.id.is_empty() {
        event.push(Attribute::FindingAnalyticUid, rule.id);
    }
    event.push(Attribute::IsAlert, true);
    event.push(Attribute::Message, rule.title);
    let ends = [
        (
            ["transaction.client_ip", "transaction.remote_address"],
            ["transaction.client_port", "transaction.remote_port"],
            Attribute::EvidencesSrcEndpointIp,
            Attribute::EvidencesSrcEndpointHostname,
            Attribute::EvidencesSrcEndpointPort,
        ),
        (
            ["transaction.host_ip", "transaction.local_address"],
            ["transaction.host_port", "transaction.local_port"],
            Attribute::EvidencesDstEndpointIp,
            Attribute::EvidencesDstEndpointHostname,
            Attribute::EvidencesDstEndpointPort,
        ),
    ];
    for (hosts, ports, ip, name, number) in ends {
        if hosts.into_iter().any(|host| fields.push_host(event, ip, name, host))
            && let Some(port) = ports.into_iter().find(|port| fields.is_port(port))
        {
            fields.push(event, number, port);
        }
    }
    fields.push_all(
        event,
        &[
            (Attribute::EvidencesUrlString, "transaction.request.uri"),
            (Attribute::EvidencesHttpUserAgent, "transaction.request.headers.User-Agent"),
            (Attribute::EvidencesHttpUserAgent, "request.headers.User-Agent"),
            (Attribute::EvidencesHttpCode, "transaction.response.http_code"),
            (Attribute::EvidencesHttpCode, "response.status"),
        ],
    );
    // Version 2 has the request's first line in one piece: `GET /x HTTP/1.1`.
    if let Some(line) = fields.peek("request.request_line").map(str::to_owned) {
        let mut words = line.splitn(3, ' ');
        if let (Some(method), Some(target)) = (words.next(), words.next()) {
            event.push(Attribute::EvidencesHttpMethod, method.to_owned());
            event.push(Attribute::EvidencesUrlString, target.to_owned());
        }
    }
    fields.push_new(
        event,
        &[
            (Attribute::EvidencesHttpMethod, "transaction.request.method"),
            (Attribute::EvidencesUrlHostname, "transaction.request.headers.Host"),
            (Attribute::EvidencesUrlHostname, "transaction.request.headers.host"),
            (Attribute::EvidencesUrlHostname, "request.headers.Host"),
            (Attribute::EvidencesUrlHostname, "request.headers.host"),
        ],
    );
    let blocked = fields.is_true("audit_data.action.intercepted")
        || matches!(event.value(Attribute::EvidencesHttpCode), Some(crate::event::Value::Int(403)));
    outcome::controlled(event, if blocked { outcome::Control::Blocked } else { outcome::Control::Alerted });
}

fn request<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>) {
    event.class = Class::HttpActivity;
    let _ = fields.push_source(event, "transaction.client_ip", "transaction.client_port")
        || fields.push_source(event, "transaction.remote_address", "transaction.remote_port");
    let _ = fields.push_destination(event, "transaction.host_ip", "transaction.host_port")
        || fields.push_destination(event, "transaction.local_address", "transaction.local_port");
    let line = fields.text("request.request_line");
    let mut words = line.as_deref().unwrap_or_default().split(' ').map(str::to_owned);
    let method = fields.text("transaction.request.method").or_else(|| words.next().map(Cow::Owned));
    let target = fields.text("transaction.request.uri").or_else(|| words.next().map(Cow::Owned));
    if let Some(method) = method.filter(|method| !method.is_empty()) {
        http_fields::push_method(event, method);
    }
    if let Some(target) = target {
        let host = fields.text("transaction.request.headers.Host").or_else(|| fields.text("request.headers.Host"));
        event.push(Attribute::Message, target.clone());
        http_fields::push_target(event, target, host);
    }
    fields.push_new(
        event,
        &[
            (Attribute::HttpRequestUserAgent, "transaction.request.headers.User-Agent"),
            (Attribute::HttpRequestUserAgent, "request.headers.User-Agent"),
        ],
    );
    for key in ["transaction.response.http_code", "response.status"] {
        if let Some(code) = fields.leaf(key).and_then(Leaf::as_number)
            && http_fields::push_status(event, code)
        {
            fields.take(key);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::normalized;

    #[test]
    fn a_rule_makes_it_a_finding_and_none_a_request() {
        let line = |messages: &str| {
            normalized(&format!(
                r#"{{"transaction":{{"client_ip":"192.0.2.7","time_stamp":"Mon Mar 16 10:00:00 2026","client_port":4444,"host_ip":"198.51.100.9","host_port":80,"unique_id":"u1","request":{{"method":"GET","http_version":1.1,"uri":"/x?a=b","headers":{{"Host":"www.example.com","User-Agent":"curl"}}}},"response":{{"http_code":403}},"messages":[{messages}]}}}}"#
            ))
        };
        let event = line(r#"{"message":"SQL Injection","details":{"ruleId":"942100","severity":"2"}}"#);
        assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(200_401), Some(5)));
        assert_eq!(event["finding_info"]["uid"], "942100:u1");
        assert_eq!(event["evidences"][0]["src_endpoint"], serde_json::json!({"ip": "192.0.2.7", "port": 4444}));
        assert_eq!(event["time"], 1_773_651_600_000_i64);
        let event = line("");
        assert_eq!(event["type_uid"], 400_203);
        assert_eq!(event["http_response"]["code"], 403);
    }
}
