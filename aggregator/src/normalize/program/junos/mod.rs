//! Junos of SRX firewalls: sessions and files (4001), requests that a filter of URLs saw (4002); threats are [`threat`]'s, what the
//! device's own daemons say [`daemon`]'s.
//!
//! `RT_FLOW_SESSION_CREATE [junos@2636.1.1.1.2.26 source-address="A" source-port="1" …]` in the structured data of RFC 5424, which
//! the header's reader has put into `unmapped`, or as text: `RT_FLOW_SESSION_CREATE: session created A/p->B/p …`. Source: Juniper,
//! "System Log Explorer", `RT_FLOW_*`, `APPTRACK_*`, `WEBFILTER_*`, `AV_*`, `CONTENT_FILTERING_*`.

mod daemon;
mod threat;

use std::borrow::Cow;

use super::super::endpoint::ip;
use super::super::outcome::{Control, controlled, failure, success};
use super::super::syslog::Header;
use super::super::text::{cut, number, port, word};
use super::super::transport;
use crate::event::{Event, Value};
use crate::schema::{Attribute, Class};

pub(super) use daemon::{parse as parse_daemon, parse_structured};

/// What the names of its parameters begin with, before the number that Juniper has for each platform.
const ENTERPRISE: &str = "junos@";

/// The value of a parameter.
fn value<'a>(event: &Event<'a>, name: &str) -> Option<Cow<'a, str>> {
    let is = |key: &str| {
        key.strip_prefix(ENTERPRISE)
            .and_then(|rest| rest.strip_suffix(name))
            .is_some_and(|platform| platform.ends_with('.'))
    };
    let found = event.unmapped.iter().find(|(key, _)| is(key))?;
    match &found.1 {
        Value::Text(text)
            if !matches!(
                &**text,
                "" | "-" | "N/A" | "None" | "UNKNOWN" | "unknown" | "unknown-user" | "INCONCLUSIVE"
            ) =>
        {
            Some(text.clone())
        }
        _ => None,
    }
}

/// An end's address, and its port; false where there is no address.
fn end(event: &mut Event<'_>, address: Attribute, number: Attribute, name: &str) -> bool {
    let Some(host) = value(event, &format!("{name}-address")).filter(|host| ip(host).is_some()) else { return false };
    event.push(address, host);
    if let Some(port) = value(event, &format!("{name}-port")).and_then(|value| port(&value)) {
        event.push(number, port);
    }
    true
}

/// Reads a message.
pub(super) fn parse<'a>(message: &'a str, _: &Header<'a>, event: &mut Event<'a>) -> bool {
    match event.text(Attribute::MetadataEventCode).map(str::to_owned) {
        Some(code) if threat::is(&code) => threat::parse(&code, event),
        Some(code) if value(event, "source-address").is_some() => structured(&code, event),
        _ => text(message, event),
    }
}

/// What was done with a session, a request or a file, by the name of the message.
fn verdict(code: &str, event: &mut Event<'_>) {
    let control = match () {
        () if code.contains("DROP") => Control::Dropped,
        () if code.contains("_DENY") || code.contains("_BLOCKED") => Control::Blocked,
        () => Control::Allowed,
    };
    let passed = control == Control::Allowed;
    event.activity_id = match code {
        _ if event.class == Class::HttpActivity => 0,
        _ if !passed => 5,
        _ if code.contains("_CREATE") => 1,
        _ if code.contains("_CLOSE") => 2,
        _ => 6,
    };
    controlled(event, control);
    if passed {
        success(event);
    } else {
        failure(event, "");
    }
}

fn structured(code: &str, event: &mut Event<'_>) -> bool {
    let url = value(event, "url").filter(|_| code.starts_with("WEBFILTER_"));
    event.class = if url.is_some() { Class::HttpActivity } else { Class::NetworkActivity };
    let from = end(event, Attribute::SrcEndpointIp, Attribute::SrcEndpointPort, "source");
    let to = end(event, Attribute::DstEndpointIp, Attribute::DstEndpointPort, "destination");
    if !from || !to {
        return false;
    }
    for (attribute, name) in [
        (Attribute::SrcEndpointZone, "source-zone-name"),
        (Attribute::DstEndpointZone, "destination-zone-name"),
        (Attribute::FirewallRuleName, "policy-name"),
        (Attribute::ActorUserName, "username"),
        (Attribute::AppProtocolName, "application"),
        (Attribute::ConnectionUid, "session-id-32"),
        (Attribute::StatusDetail, "reason"),
    ] {
        if let Some(value) = value(event, name) {
            event.push(attribute, value);
        }
    }
    for (attribute, name, unit) in [
        (Attribute::TrafficBytesOut, "bytes-from-client", 1),
        (Attribute::TrafficBytesIn, "bytes-from-server", 1),
        (Attribute::TrafficPacketsOut, "packets-from-client", 1),
        (Attribute::TrafficPacketsIn, "packets-from-server", 1),
        (Attribute::Duration, "elapsed-time", 1000),
    ] {
        if let Some(count) = value(event, name).and_then(|value| value.parse::<u32>().ok()) {
            event.push(attribute, i64::from(count) * unit);
        }
    }
    if event.value(Attribute::ConnectionUid).is_none()
        && let Some(session) = value(event, "session-id")
    {
        event.push(Attribute::ConnectionUid, session);
    }
    if let Some(host) = url {
        let path = value(event, "obj").unwrap_or_default();
        event.push(Attribute::HttpRequestUrlString, format!("{host}{path}"));
        event.push(Attribute::HttpRequestUrlHostname, host);
        if path.starts_with('/') {
            event.push(Attribute::HttpRequestUrlPath, path);
        }
    }
    let protocol = value(event, "protocol-id").or_else(|| value(event, "protocol"));
    transport::push(event, protocol.as_deref());
    verdict(code, event);
    true
}

/// `RT_FLOW_SESSION_CREATE: session created A/p->B/p SERVICE …`, `RT_FLOW_SESSION_DENY: session denied A/p->B/p 0x0 ssh 6(0) POLICY …`.
fn text<'a>(message: &'a str, event: &mut Event<'a>) -> bool {
    let Some((code, rest)) = cut(message, ": ").filter(|(code, _)| code.starts_with("RT_FLOW_SESSION_")) else {
        return false;
    };
    let Some((from, to)) = rest.split(' ').find_map(|word| word.split_once("->")) else { return false };
    let end = |text: &'a str| text.split_once('/').and_then(|(host, digits)| Some((ip(host)?, port(digits)?)));
    let (Some((source, from)), Some((destination, to))) = (end(from), end(to)) else { return false };
    event.class = Class::NetworkActivity;
    event.push(Attribute::MetadataEventCode, code);
    event.push(Attribute::SrcEndpointIp, source);
    event.push(Attribute::SrcEndpointPort, from);
    event.push(Attribute::DstEndpointIp, destination);
    event.push(Attribute::DstEndpointPort, to);
    // The protocol, then the policy and the zones, stand behind two or more words of translation.
    let words: Vec<&str> = rest.split(' ').take(24).collect();
    let bare = |text: &'a str| text.split('(').next().unwrap_or(text);
    let numbered = |text: &&'a str| number(bare(text)).is_some_and(|number| (1..=255).contains(&number));
    let after = cut(rest, "->").map_or(rest, |(_, after)| word(after).1);
    let protocol = words.iter().copied().filter(numbered).find(|text| cut(after, text).is_some()).map(bare);
    transport::push(event, protocol);
    verdict(code, event);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::testing::normalized;

    const ENDS: &str =
        r#"source-address="192.0.2.7" source-port="41222" destination-address="198.51.100.9" destination-port="443""#;

    #[test]
    fn sessions_are_read_from_structured_data_and_text() {
        for (code, kind, status) in [
            ("RT_FLOW_SESSION_CREATE", 400_101, 1),
            ("RT_FLOW_SESSION_CLOSE", 400_102, 1),
            ("RT_FLOW_SESSION_DENY", 400_105, 2),
        ] {
            let structured = format!(
                r#"<14>1 2026-03-16T09:00:00.5Z fw RT_FLOW - {code} [junos@2636.1.1.1.2.26 {ENDS} protocol-id="6" policy-name="p" source-zone-name="untrust" username="ann" bytes-from-client="9" elapsed-time="2"] said"#
            );
            let text = format!(
                "Mar 16 10:00:00 fw RT_FLOW: {code}: session created 192.0.2.7/41222->198.51.100.9/443 junos-https None None 6 p untrust trust 77"
            );
            for line in [&structured, &text] {
                let event = normalized(line);
                assert_eq!((&event["type_uid"], &event["status_id"]), (&json!(kind), &json!(status)), "{line}");
                assert_eq!(
                    (&event["src_endpoint"]["ip"], &event["src_endpoint"]["port"]),
                    (&json!("192.0.2.7"), &json!(41222))
                );
                assert_eq!(event["dst_endpoint"]["port"], 443, "{line}");
                assert_eq!(event["connection_info"]["protocol_name"], "tcp", "{line}");
            }
            let event = normalized(&structured);
            assert_eq!(
                (&event["firewall_rule"]["name"], &event["actor"]["user"]["name"]),
                (&json!("p"), &json!("ann"))
            );
            assert_eq!((&event["duration"], &event["src_endpoint"]["zone"]), (&json!(2000), &json!("untrust")));
        }
    }

    #[test]
    fn requests_and_files_are_what_the_filter_did_with_them() {
        for (code, rest, kind, action) in [
            ("WEBFILTER_URL_BLOCKED", r#"url="www.example.com" obj="/a""#, 400_200, 2),
            ("WEBFILTER_URL_PERMITTED", r#"url="www.example.com" obj="/a""#, 400_200, 1),
            ("AV_FILE_NOT_SCANNED_DROPPED_MT", r#"filename="www.example.com/a""#, 400_105, 2),
            ("CONTENT_FILTERING_BLOCKED_MT", r#"protocol="http" filename="a.cmd""#, 400_105, 2),
            ("APPTRACK_SESSION_VOL_UPDATE", r#"protocol-id="6""#, 400_106, 1),
        ] {
            let event = normalized(&format!(
                r#"<14>1 2026-03-16T09:00:00.5Z fw RT_UTM - {code} [junos@2636.1.1.1.2.86 {ENDS} {rest} username="ann"]"#
            ));
            assert_eq!((&event["type_uid"], &event["action_id"]), (&json!(kind), &json!(action)), "{code}");
            assert_eq!(event["src_endpoint"], json!({"ip": "192.0.2.7", "port": 41222}), "{code}");
            if kind == 400_200 {
                assert_eq!(event["http_request"]["url"]["url_string"], "www.example.com/a", "{code}");
            }
        }
    }
}
