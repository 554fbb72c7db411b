//! Snort 3: its alerts as JSON (`alert_json`), each a finding (2004).
//!
//! In: `{"seconds":…,"action":"allow","msg":…,"rule":"1:2013028:7","src_ap":"A:p","dst_ap":"B:p",…}`, of which the sensor's
//! configuration names what it writes. Out: the rule, the two ends as evidence, what was done. Source: Snort 3,
//! `loggers/alert_json.cc`, `utils/util.cc`.

use std::borrow::Cow;

use super::super::fields::{Fields, Leaf};
use super::super::outcome::{Control, controlled};
use super::super::text::port;
use super::super::{Context, endpoint, snort, timestamp, transport};
use crate::event::Event;
use crate::schema::{Attribute, Class};

/// Whether it names a rule and two ends.
pub(super) fn looks(fields: &Fields<'_>) -> bool {
    let ended = |host: &str, both: &str| fields.has(host) || fields.has(both);
    (fields.has("rule") || fields.has("sid")) && ended("src_addr", "src_ap") && ended("dst_addr", "dst_ap")
}

/// Takes what the alert says.
pub(super) fn parse<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    event.class = Class::DetectionFinding;
    event.activity_id = 1;
    event.push(Attribute::MetadataLogProvider, "snort");
    push_time(fields, context, event);
    let rule = fields.text("rule").unwrap_or_default();
    let mut parts = rule.split(':').map(str::to_owned);
    let mut part = |fields: &mut Fields<'a>, key: &str| {
        let part = parts.next();
        fields.text(key).or(part.map(Cow::Owned)).filter(|part| !part.is_empty())
    };
    let generator = part(fields, "gid").unwrap_or(Cow::Borrowed("1"));
    let number = part(fields, "sid").unwrap_or_default();
    let revision = part(fields, "rev");
    let between = [("src_ap", "src_addr"), ("dst_ap", "dst_addr")];
    let [from, to] = between.map(|(both, host)| fields.peek(both).or_else(|| fields.peek(host)).unwrap_or_default());
    event.push(Attribute::FindingUid, format!("{generator}:{number}:{from} -> {to}"));
    end(fields, event, ["src_addr", "src_port", "src_ap"], SOURCE);
    end(fields, event, ["dst_addr", "dst_port", "dst_ap"], DESTINATION);
    let name = fields.text("msg").filter(|name| !name.is_empty()).unwrap_or(rule);
    event.push(Attribute::FindingTitle, name.clone());
    event.push(Attribute::FindingAnalyticName, name.clone());
    event.push(Attribute::Message, name);
    event.push(Attribute::FindingAnalyticUid, number);
    if let Some(revision) = revision {
        event.push(Attribute::FindingAnalyticVersion, revision);
    }
    event.push(Attribute::FindingAnalyticTypeId, 1);
    event.push(Attribute::IsAlert, true);
    if let Some(class) = fields.text("class").filter(|class| *class != "none") {
        event.push(Attribute::FindingAnalyticCategory, class.clone());
        event.push(Attribute::FindingTypes, class);
    }
    event.severity_id = match fields.number("priority") {
        Some(1) => 4,
        Some(2) => 3,
        Some(3) => 2,
        _ => 1,
    };
    let protocol = fields.text("proto");
    transport::push(event, protocol.as_deref());
    let control = match fields.text("action").as_deref() {
        Some("allow" | "pass") => Control::Allowed,
        Some("drop") => Control::Dropped,
        Some("block") => Control::Blocked,
        Some("reset" | "react" | "reject") => Control::Reset,
        // What it would have done, or cannot do, where it stands beside the traffic.
        _ => Control::Alerted,
    };
    controlled(event, control);
}

/// Seconds since the epoch with the fraction that the sensor's own time has, else that time, which has no zone.
fn push_time<'a>(fields: &mut Fields<'a>, context: &Context<'a>, event: &mut Event<'a>) {
    let local = fields.peek("timestamp");
    let fraction = local.and_then(|text| text.rsplit_once('.')).map_or("", |(_, fraction)| fraction);
    let seconds = fields.leaf("seconds").and_then(Leaf::as_number);
    let counted = seconds.and_then(|seconds| timestamp::seconds(&seconds.to_string(), fraction));
    let found = match counted {
        Some(time) => Some((time, None)),
        None => local.and_then(|text| snort::moment(text, context)),
    };
    let Some((time, assumed)) = found else { return };
    event.time = time;
    if let Some(minutes) = assumed {
        event.push(Attribute::TimezoneOffset, minutes);
    }
    if !fields.push(event, Attribute::MetadataOriginalTime, "timestamp") {
        fields.push(event, Attribute::MetadataOriginalTime, "seconds");
    }
}

/// Where an end's address and port go.
const SOURCE: [Attribute; 2] = [Attribute::EvidencesSrcEndpointIp, Attribute::EvidencesSrcEndpointPort];
const DESTINATION: [Attribute; 2] = [Attribute::EvidencesDstEndpointIp, Attribute::EvidencesDstEndpointPort];

/// An end by its two fields, else by the one that has both; what has no ports has none or zero.
fn end<'a>(fields: &mut Fields<'a>, event: &mut Event<'a>, [host, number, both]: [&str; 3], to: [Attribute; 2]) {
    let [address, ports] = to;
    let (joined, behind) = fields.peek(both).and_then(|text| text.rsplit_once(':')).unwrap_or(("", ""));
    let found = fields.peek(host).unwrap_or(joined);
    let Some(ip) = endpoint::ip(found).map(str::to_owned) else { return };
    let port = fields.peek(number).and_then(port).or_else(|| port(behind)).filter(|port| *port > 0);
    fields.take(host);
    fields.take(number);
    fields.take(both);
    event.push(address, ip);
    if let Some(port) = port {
        event.push(ports, port);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    #[test]
    fn alerts_name_rule_ends_and_verdict() {
        let event = normalized(
            r#"{"seconds":1773651600,"action":"drop","class":"Leak","dst_addr":"198.51.100.9","dst_ap":"198.51.100.9:80","dst_port":80,"gid":1,"msg":"NAME of it","priority":2,"proto":"TCP","rev":7,"rule":"1:2013028:7","sid":2013028,"src_addr":"192.0.2.7","src_ap":"192.0.2.7:4711","src_port":4711,"timestamp":"03/16-10:00:00.500123"}"#,
        );
        assert_eq!((&event["type_uid"], &event["severity_id"]), (&json!(200_401), &json!(3)));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
        assert_eq!(event["finding_info"]["title"], "NAME of it");
        assert_eq!(
            (&event["finding_info"]["analytic"]["uid"], &event["finding_info"]["analytic"]["version"]),
            (&json!("2013028"), &json!("7"))
        );
        assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "192.0.2.7", "port": 4711}));
        assert_eq!(event["evidences"][0]["dst_endpoint"], json!({"ip": "198.51.100.9", "port": 80}));
        assert_eq!(event["evidences"][0]["connection_info"]["protocol_name"], "tcp");
        assert_eq!(event["disposition_id"], 6);
    }

    #[test]
    fn the_least_that_a_sensor_writes_is_a_finding() {
        let event = normalized(
            r#"{"timestamp":"03/16-10:00:00.500123","pkt_num":8,"proto":"ICMP","pkt_gen":"raw","pkt_len":84,"dir":"S2C","src_ap":"2001:db8::7:0","dst_ap":"2001:db8::9:0","rule":"116:414:1","action":"allow"}"#,
        );
        assert_eq!((&event["type_uid"], &event["action_id"]), (&json!(200_401), &json!(1)));
        assert_eq!(event["finding_info"]["title"], "116:414:1");
        assert_eq!(event["finding_info"]["analytic"]["uid"], "414");
        assert_eq!(event["evidences"][0]["src_endpoint"], json!({"ip": "2001:db8::7"}));
        assert_eq!(event["time"], 1_773_651_600_500_i64);
    }
}
