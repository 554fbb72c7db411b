//! A transaction as a record: OCSF `http_activity` (4002), by attribute paths.

use shared::record::Value;
use shared::time::Timestamp;

use super::super::{Fields, NetworkClass, Told};
use super::{Request, Response};

/// OCSF `activity_id` of 4002.
fn activity(method: &str) -> u8 {
    match method {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        "PATCH" => 9,
        _ => 99,
    }
}

pub(super) fn told(request: Option<Request>, response: Option<Response>) -> Told {
    let mut fields: Fields = Vec::with_capacity(20);
    let mut flaws = Vec::new();
    let mut put = |key: &str, value: String| {
        if !value.is_empty() {
            fields.push((key.to_owned(), Value::String(value)));
        }
    };
    let mut numbers: Vec<(&str, Value)> = Vec::new();
    let (mut kind, mut at) = (99, Timestamp(0));
    if let Some(request) = &request {
        (kind, at) = (activity(&request.method), request.at);
        if kind == 99 {
            put("activity_name", if request.method.is_empty() { "Unknown".into() } else { request.method.clone() });
        }
        let target = request.target.as_str();
        // An absolute target names its host itself (RFC 9112 §3.2.2).
        let (host, path) = absolute(target).unwrap_or((request.host.as_str(), target));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        put("http_request.http_method", request.method.clone());
        put("http_request.url.url_string", target.to_owned());
        put("http_request.url.path", path.to_owned());
        put("http_request.url.query_string", query.to_owned());
        put("http_request.url.hostname", without_port(host).to_owned());
        put("http_request.version", request.version.clone());
        put("http_request.user_agent", request.user_agent.clone());
        put("http_request.referrer", request.referrer.clone());
        put("actor.user.name", request.user.clone());
        put("unmapped.x_forwarded_for", request.forwarded_for.clone());
        put("unmapped.request_content_type", request.content_type.clone());
        put("unmapped.request_line_raw", request.raw_line.clone().unwrap_or_default());
        numbers.push(("http_request.body_length", Value::U64(request.body_bytes)));
        numbers.push(("start_time", Value::Time(request.at)));
        flaws.extend(&request.flaws);
    } else {
        put("activity_name", "Response".to_owned());
    }
    if let Some(response) = &response {
        at = response.at;
        put("http_response.status", response.reason.clone());
        put("http_response.content_type", response.content_type.clone());
        put("unmapped.server", response.server.clone());
        put("unmapped.response_version", response.version.clone());
        numbers.push(("http_response.code", Value::U64(response.code.into())));
        numbers.push(("http_response.body_length", Value::U64(response.body_bytes)));
        numbers.push(("end_time", Value::Time(response.at)));
        if let Some(request) = &request {
            let ms = u64::try_from(response.at.since(request.at).as_millis()).unwrap_or(u64::MAX);
            numbers.push(("http_response.latency", Value::U64(ms)));
        }
        flaws.extend(&response.flaws);
    }
    fields.extend(numbers.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Told { class: NetworkClass::HttpActivity, activity: kind, at, fields, flaws }
}

/// `http://example.com/a` → `example.com`, `/a`. What stands behind the path or in a query is no scheme.
fn absolute(target: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    if !begins || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return None;
    }
    Some(rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)))
}

/// `example.com:8080` → `example.com`; an IPv6 address keeps its brackets off.
fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
