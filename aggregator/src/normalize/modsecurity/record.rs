//! A whole record of ModSecurity's serial audit log, its lines joined: a finding (2004) where a rule matched, else the request
//! (4002).
//!
//! In: `--6b253045-A--` and what follows up to `--6b253045-Z--`. Out: time and ends of section A, the request line, host and
//! agent of B, the status of F, of the messages in H the one that denied the request, else the first; all their rules stand in
//! `unmapped.rules`. Source: ModSecurity 2 Reference Manual, "Audit Log Format".

use super::super::combined::{push_code, push_request};
use super::super::text::{between, cut, number, port, word};
use super::super::{Context, endpoint, http_fields, timestamp};
use super::{boundary, finding, section_a};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Most rules that are named.
const RULES_MAX: usize = 64;

/// What the sections say.
#[derive(Default)]
struct Record<'a> {
    /// The time and the rest of section A.
    ends: Option<(&'a str, &'a str)>,
    request: Option<&'a str>,
    host: Option<&'a str>,
    agent: Option<&'a str>,
    status: Option<&'a str>,
    message: Option<&'a str>,
    rules: Vec<&'a str>,
}

/// Reads a record; false where the text is none.
pub(super) fn parse<'a>(text: &'a str, context: &Context<'a>, event: &mut Event<'a>) -> bool {
    let Some((id, _)) = text.split_once('\n').and_then(|(first, _)| boundary(first.trim_end())) else { return false };
    let record = sections(text, id);
    let Some((time, rest)) = record.ends else { return false };
    let Some((stamp, _)) = timestamp::access(time, context.reference) else { return false };
    stamp.apply(event);
    event.push(Attribute::MetadataLogFormat, "modsecurity_audit");
    event.push(Attribute::MetadataLogProvider, "modsecurity");
    let mut words = rest.split(' ');
    let mut next = || words.next().unwrap_or_default();
    let (unique, from, from_port, to, to_port) = (next(), next(), next(), next(), next());
    match record.message {
        Some(message) => {
            finding(message, event);
            let rule = record.rules.first().copied().unwrap_or_default();
            event.set(Attribute::FindingUid, format!("{rule}:{unique}"));
            evidence(&record, [(from, from_port), (to, to_port)], event);
        }
        None => {
            event.class = Class::HttpActivity;
            endpoint::push_source(event, from, port(from_port));
            endpoint::push_destination(event, to, port(to_port));
            push_request(record.request.unwrap_or_default(), event);
            if let Some(agent) = record.agent {
                event.push(Attribute::HttpRequestUserAgent, agent);
            }
            if let Some(code) = record.status.and_then(number) {
                push_code(code, event);
            }
            event.push(Attribute::Message, record.request.unwrap_or(text));
        }
    }
    event.set(Attribute::MetadataCorrelationUid, unique);
    true
}

fn sections<'a>(text: &'a str, id: &str) -> Record<'a> {
    let mut record = Record::default();
    let mut section = "";
    for line in text.lines() {
        if let Some((_, name)) = boundary(line).filter(|(of, _)| *of == id) {
            section = name;
            continue;
        }
        match section {
            "A" if record.ends.is_none() => record.ends = section_a(line),
            "B" if record.request.is_none() => record.request = Some(line).filter(|line| !line.is_empty()),
            "B" => match cut(line, ": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("host") => record.host = Some(value),
                Some((name, value)) if name.eq_ignore_ascii_case("user-agent") => record.agent = Some(value),
                _ => {}
            },
            "F" if record.status.is_none() && line.starts_with("HTTP/") => {
                record.status = Some(word(word(line).1).0);
            }
            "H" => matched(line, &mut record),
            _ => {}
        }
    }
    record
}

/// A message of section H; Apache's error log says the same once more.
fn matched<'a>(line: &'a str, record: &mut Record<'a>) {
    let Some(message) = line.strip_prefix("Message: ").or_else(|| line.strip_prefix("ModSecurity: ")) else { return };
    let Some((rule, _)) = between(message, "[id \"", "\"]") else { return };
    let denies = message.starts_with("Access denied");
    if record.message.is_none_or(|before| denies && !before.starts_with("Access denied")) {
        record.message = Some(message);
        record.rules.insert(0, rule);
    } else if record.rules.len() < RULES_MAX {
        record.rules.push(rule);
    }
}

/// Who asked whom for what.
fn evidence<'a>(record: &Record<'a>, [from, to]: [(&'a str, &'a str); 2], event: &mut Event<'a>) {
    for (ip, number, (address, digits)) in [
        (Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort, from),
        (Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort, to),
    ] {
        if let Some(address) = endpoint::ip(address) {
            event.push(ip, address);
            if let Some(port) = port(digits) {
                event.push(number, port);
            }
        }
    }
    let (method, rest) = word(record.request.unwrap_or_default());
    let target = word(rest).0;
    if !target.is_empty() {
        event.set(Attribute::EvidencesUrlString, target);
        if let Some(host) = record.host {
            event.set(Attribute::EvidencesUrlHostname, host);
        }
    }
    // OCSF has a list of methods, a client may say anything.
    match http_fields::method(method) {
        Some(method) => event.push(Attribute::EvidencesHttpMethod, method),
        None if method.is_empty() => {}
        None => event.unmap("http_method", method),
    }
    if let Some(agent) = record.agent.filter(|agent| !agent.is_empty()) {
        event.push(Attribute::EvidencesHttpUserAgent, agent);
    }
    if let Some(code) = record.status.and_then(number) {
        event.push(Attribute::EvidencesHttpCode, code);
    }
    event.unmap("rules", record.rules.join(","));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    const HEAD: &str = "--6b253045-A--\n[16/Mar/2026:10:00:00 +0100] YVW7 192.0.2.7 4444 198.51.100.9 80\n--6b253045-B--\nGET /x?a=1 HTTP/1.1\nHost: www.example.com\nUser-Agent: curl\n\n--6b253045-F--\nHTTP/1.1 403 Forbidden\n\n--6b253045-H--\n";

    #[test]
    fn a_record_is_the_finding_of_the_rule_that_denied() {
        let event = normalized(&format!(
            "{HEAD}Message: Warning. Matched. [id \"1\"] [msg \"m\"]\nMessage: Access denied with code 403 (phase 2). Matched. [id \"2\"] [msg \"n\"] [severity \"CRITICAL\"]\nAction: Intercepted (phase 2)\n\n--6b253045-Z--"
        ));
        assert_eq!((&event["type_uid"], &event["finding_info"]["uid"]), (&json!(200_401), &json!("2:YVW7")));
        assert_eq!((&event["severity_id"], &event["unmapped"]["rules"]), (&json!(5), &json!("2,1")));
        let evidence = &event["evidences"][0];
        assert_eq!(evidence["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4444}));
        assert_eq!(evidence["url"], json!({"url_string": "/x?a=1", "hostname": "www.example.com"}));
        assert_eq!(
            (&event["time"], &event["metadata"]["correlation_uid"]),
            (&json!(1_773_651_600_000_i64), &json!("YVW7"))
        );
    }

    #[test]
    fn a_method_that_ocsf_does_not_know_is_kept_beside() {
        let event = normalized(&format!(
            "{}Message: Warning. Matched. [id \"1\"] [msg \"m\"]\n\n--6b253045-Z--",
            HEAD.replace("GET /x", "G\0T /x")
        ));
        assert!(event["evidences"][0]["http_request"].get("http_method").is_none());
        assert_eq!(event["unmapped"]["http_method"], "G\0T");
    }

    #[test]
    fn a_record_without_a_rule_is_the_request() {
        let event = normalized(&format!("{HEAD}Stopwatch: 1 2 (- - -)\n\n--6b253045-Z--"));
        assert_eq!((&event["type_uid"], &event["http_response"]["code"]), (&json!(400_203), &json!(403)));
        assert_eq!((&event["src_endpoint"]["ip"], &event["dst_endpoint"]["port"]), (&json!("192.0.2.7"), &json!(80)));
    }
}
